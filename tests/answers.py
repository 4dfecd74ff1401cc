"""What the lines of the exercises print, three for each chapter."""

ANSWERS = {
    "introduction": ["0.015625", "np.float64(7.723)", "np.float64(-2.0794415416798357)"],
    "checks": ["False", "horizon must be a whole number, got True", "[-56] [200.]"],
    "softmax": ["array([[-0.0001,  0.0001]])", "array([[-0.2,  0.2]])", "array([0.6931])"],
    "layout": ["[4 7 9 8 5 6]", "[5 1 3]", "[0]"],
    "counts": ["4", "array([[0, 1, 0, 0, 1, 2, 1, 1, 0],\n       [0, 1, 0, 0, 1, 2, 1, 1, 0]])",
               "array([[ 0.3333, -0.6667,  0.3333],\n       [ 0.6667,  0.6667, -1.3333],\n"
               "       [-0.3333, -0.3333,  0.6667]])"],
    "sampling": ["[1]", "0", "[0.6251, 0.8972, 0.6251, 0.6251]"],
    "mdp": ["49.7487", "array([1., 0.])", "[[False, True], [False, True], [True, True]]"],
    "playing": ["17", "0.12", "[1, 1, 1, 3]\n[1, 1, 1, 2, 2, 2]"],
    "environment": ["35", "array([1, 1])", "array([0.9])"],
    "gradcheck": ["wrong gradient\n"
                  "  central differences: error 2.0e+00 > 1e-07 at (1,), by hand -6, numerical 6\n"
                  "  complex step: error 2.0e+00 > 1e-12 at (1,), by hand -6, numerical 6",
                  "array([3.])", "array([1.8504])"],
    "solving": ["array([101.,   1.])", "[-1.] None", "(array([0.0001]), 1)"],
    "evaluation": ["9.4868", "array([3.1536, 0.0494])", "[0.0, 0.099]"],
    "planning": ["0.0041", "array([0., 1., 0., 0.])", "array([[ 0.0001, -0.0001]])"],
    "average_reward": ["[0.5, 0.75]", "1.0", "[1. 0.] 1.0"],
    "return_law": ["0", "2.5048", "array([0.1765, 0.8235])"],
    "scorecard": ["0.4737", "0.1042", "[(16.564, 0.0266), (16.564, 0.8584)]"],
    "optim": ["-7.0738", "array([-0.1, -0.1])", "array([-0.6])"],
    "returns": ["1.0", "[[51.0, 50.0, 4.0], [2.0, 2.0, 4.0]]",
                "array([2.9701, 1.99  , 1.    ])\narray([[100., 100., 100.]])"],
    "training": ["[[[77.0, 91.0]], [[77.0, 91.0]]]", "[0.77, 0.5495]", "('second', 'fourth')"],
    "prediction": ["array([[0.5 , 0.45, 0.5 , 0.5 , 0.5 , 0.5 , 0.5 ]])", "[0.885, 0.885]",
                   "array([0.25, 0.23, 0.29, 0.27, 0.9 ])"],
    "exploration": [
        "array([[0.025, 0.025, 0.025, 0.925]])",
        """array([[0.1, 0.1, 0.8],
       [0.1, 0.1, 0.8]])
array([[0.09  , 0.2447, 0.6652],
       [0.    , 0.    , 1.    ]])""",
        "0.8482"],
    "many_learners": ["[2]", "array([0.8, 0.8])", "True"],
    "q_learning": ["0.9978", "[2.0, 1.33]", "array([[[6.95, 0.  ]]])"],
    "reinforce": ["array([[ 50., -50.]])", "array([5., 0.])\narray([5., 5.])",
                  "array([[-0.5,  0.5]])"],
    "baselines": ["0.4219", "array([0., 0., 0.])", "array([-1.,  1.])\narray([-2.,  2.])"],
    "actor_critic": ["[0.0, 0.0, 1.0]", "[-100.0, -100.0]\n[0.0, 0.0]",
                     "array([0.98, 1.02])\narray([-1.,  1.])"],
    "surrogate": ["array([[50.  ,  0.51]])", "5.0", "0.1438\n0.1438"],
    "ppo": ["array([[ 0.375, -0.375]])", "array([[0.6, 0.4]])\narray([[1., 0.]])", "0.02\n3.81"],
    "ppo_kl": ["array([[-0.4,  0.4]])", "8.0", "(array([inf]), array([0.693]))"],
}
