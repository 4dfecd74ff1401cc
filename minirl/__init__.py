"""Reinforcement learning and the alignment of language models, from scratch in NumPy.

The contents page.  Every chapter is a module: its docstring is the text, its functions are the
equations.  A chapter imports only chapters above it, so the reading order is also the dependency
order.

    softmax       the table π(a|s), and the one backward pass
    counts        batches as tables and sparse matrices of counts
    mdp           the world: tabular Markov decision processes, and playing many episodes at once
    planning      exact answers: values, visits, the best policy, the exact policy gradient
    regularised   the best policy near a reference: what RLHF and DPO chase
    optim         gradient descent, Adam, and quasi-Newton fits
    q_learning    learn what actions are worth, and act greedily
    returns       what came after a step: reward-to-go, TD errors, GAE
    reinforce     the policy gradient by sampling, with a baseline
    ppo           many steps from one batch, none of them too far
    sft           imitation: maximum likelihood on demonstrations
    reward_model  from preferences back to a reward: Bradley-Terry
    rlhf          maximise a reward without leaving the reference, by PPO
    dpo           preferences without a reward model

Beside the chapters, `lab` holds the experiments and `__main__` the command line.  The worlds are in
`gridworld` (to draw) and `toy_lm` (to read); `minirl` itself knows neither grids nor text.
"""

__version__ = "0.1.0"
