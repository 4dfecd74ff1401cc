"""Part 3, learning from play: the learner acts, sees what comes of it, and improves.

In reading order, side roads in brackets:

    optim            gradient descent, Adam, and schedules
    returns          what came after a step: reward-to-go, TD errors, n steps, GAE
    training         what all trainers of policies share: the record, the batch, the step
    prediction       learn what a policy is worth: TD(0) and Monte Carlo
    exploration      how a learner that values actions chooses among them
    (many_learners)  hundreds of them, side by side
    q_learning       learn what actions are worth: Q-learning, SARSA, expected SARSA, double Q
    reinforce        the policy gradient by sampling, with a baseline
    baselines        what to subtract from a return: five more
    actor_critic     a value table that judges single steps: A2C
    surrogate        what a batch says about a policy that did not play it
    ppo              many steps from one batch, and no gain from going too far
    ppo_kl           the same with a price on the distance
"""

from minirl.play import (optim, returns, training, prediction, exploration, many_learners,
                         q_learning, reinforce, baselines, actor_critic, surrogate, ppo, ppo_kl)
