"""Reinforcement learning and the alignment of language models, from scratch in NumPy.

The contents page.  Every chapter is a module: its docstring is the text, its functions are the
equations.  A chapter imports only chapters above it, so the reading order is also the dependency
order.

    softmax         the table π(a|s), and the one backward pass
    counts          batches as tables and sparse matrices of counts
    sampling        drawing outcomes, and where randomness comes from
    mdp             the world: tabular Markov decision processes
    playing         many episodes at once: one step, for ever, or to the end
    evaluation      what a policy is worth: values, advantages, visits
    planning        which policy is best, by four solvers; the exact policy gradient
    average_reward  the other objective: reward per step
    regularised     the best policy near a reference: what RLHF and DPO chase
    optim           gradient descent, Adam, and quasi-Newton fits
    returns         what came after a step: reward-to-go, TD errors, n steps, GAE
    prediction      learn what a policy is worth: TD(0) and Monte Carlo
    exploration     how a learner that values actions chooses among them
    q_learning      learn what actions are worth: Q-learning, SARSA, expected SARSA, double Q
    reinforce       the policy gradient by sampling, with a baseline
    baselines       what to subtract from a return: five more
    actor_critic    a value table that judges single steps: A2C
    ppo             many steps from one batch, none of them too far
    ppo_kl          the same with a price on the distance
    sft             imitation: maximum likelihood on demonstrations
    best_of_n       sample n, keep the best: the exact law, and fine-tuning on the winners
    kl              the distance to the reference, its estimates, and where their gradients lead
    reward_model    from preferences back to a reward: Bradley-Terry
    rlhf            maximise a reward without leaving the reference, by PPO
    grpo            PPO without a value table: the group is the baseline
    dpo             preferences without a reward model
    ipo             the same for raters who never doubt
    kto             strings that were liked, and strings that were not
    simpo           preferences without a reference
    orpo            imitation and preference in one loss
    unified         the view from above: one gradient for all of them
    files           appendix: reading and writing files so that nothing is lost
    console         appendix: what the command lines share

Beside the chapters, `lab` holds the experiments and `__main__` the command line.  The worlds are in
`gridworld` (to draw) and `toy_lm` (to read); `minirl` itself knows neither grids nor text.
"""

__version__ = "0.1.0"
