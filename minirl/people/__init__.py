"""Part 4, learning from people: demonstrations, preferences, and a reference to stay near.

In reading order:

    sft            imitation: maximum likelihood on demonstrations
    best_of_n      sample n, keep the best: the exact law, and fine-tuning on the winners
    kl             the distance to the reference, its estimates, and where their gradients lead
    reward_model   from preferences back to a reward: Bradley-Terry
    rlhf           maximise a reward without leaving the reference, by PPO
    grpo           PPO without a value table: the group is the baseline
    dpo            preferences without a reward model
    ipo            the same for raters who never doubt
    kto            strings that were liked, and strings that were not
    simpo          preferences without a reference
    orpo           imitation and preference in one loss
    unified        the view from above: one gradient for all of them
"""

from minirl.people import (sft, best_of_n, kl, reward_model, rlhf, grpo, dpo, ipo, kto, simpo,
                           orpo, unified)
