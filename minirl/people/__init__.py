"""Part 4, learning from people: demonstrations, preferences, and a reference to stay near.

In reading order, side roads in brackets:

    (fitting)      quasi-Newton fits to a fixed data set, with a pull towards a table
    pairs          preferences: pairs of strings of which one was preferred
    sft            imitation: maximum likelihood on demonstrations
    best_of_n      sample n, keep the best: the exact law, and fine-tuning on the winners
    regularised    the best policy near a reference: what RLHF and DPO chase
    kl             the distance to the reference, its estimates, and where their gradients lead
    (existence)    when does a fit to comparisons have a maximum, and how well is it known?
    reward_model   from preferences back to a reward: Bradley-Terry
    (calibration)  how good a reward model is: accuracy, calibration, its exact error
    rlhf           maximise a reward without leaving the reference, by PPO
    groups         strings that share a prompt: their advantages and weights
    grpo           PPO without a value table: the group is the baseline
    dpo            preferences without a reward model
    ipo            the same for raters who never doubt
    kto            strings that were liked, and strings that were not
    simpo          preferences without a reference
    orpo           imitation and preference in one loss
    margins        every loss on preferences is a function of one or two log-ratios
    ratios         every surrogate is a function of a ratio: who decides what a batch may say
    distillation   what a small student becomes that learns from a larger teacher
    unified        the view from above: one gradient for all of them
"""

from minirl.people import (fitting, pairs, sft, best_of_n, regularised, kl, existence, reward_model,
                           calibration, rlhf, groups, grpo, dpo, ipo, kto, simpo, orpo, margins,
                           ratios, distillation, unified)
