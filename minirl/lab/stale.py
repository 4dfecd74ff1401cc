"""What a batch says first, and what it says when it is stale: exactly, on the 31 strings.

A *surrogate* here is what `grpo` takes: `surrogate(steps, advantages, weights) -> loss`.  The batch
is all strings of the language, each with its chance under π_old for a weight, so that every number
is an expectation.  J is the mean reward, without a KL: what a string earned when it was written is
fixed, and a surrogate does not ask what the policy of now would pay (but see the end of `ratios`).
"""

from collections import namedtuple

import numpy as np

from minirl.kernel.softmax import log_softmax
from minirl.lab.objectives import TINY, chances
from minirl.people.unified import gradient

# How the update after so many steps compares with ∇J at the same policy: the cosine, and the length
# over that of ∇J.  And of that policy J, KL(π‖π_old) of a string, and 1/E_old[ρ²] with the ratio ρ
# of whole strings: the share of the batch that importance sampling by the product has left.
Compared = namedtuple("Compared", "steps cosine length objective kl effective")


def true_gradient(found, logits):
    """∇J of the mean reward, (S, A)."""
    chance = chances(found, logits)
    A = found.rewards - chance @ found.rewards
    return gradient(logits, found.steps, np.repeat(A, found.lengths), chance)


def against(update, true):
    """The cosine of an update with ∇J, and its length over that of ∇J; a zero update has (0, 0)."""
    length, scale = np.linalg.norm(update), np.linalg.norm(true)
    return float((update * true).sum() / max(length * scale, TINY)), float(length / scale)


def expected_loss(found, old_logits, surrogate):
    """The expected loss of a surrogate: A is the reward less its mean, and a step weighs 1/B."""
    chance = chances(found, old_logits)
    return surrogate(found.steps, found.rewards - chance @ found.rewards, chance)


def stale_updates(found, old_logits, surrogate, *, after=(0, 1, 2, 4, 8, 16), rate=1.0):
    """The next update after some steps on one batch: a list of `Compared`, one for each of `after`.

    The batch is that of `old_logits`, in expectation; a step is `rate` times the surrogate's own
    gradient there.
    """
    loss, logits, rows = expected_loss(found, old_logits, surrogate), old_logits, []
    old_logp = log_softmax(old_logits)
    for step in range(max(after) + 1):
        update = -loss(logits, old_logits)[1]
        if step in after:
            chance = chances(found, logits)
            h = found.matrix @ (log_softmax(logits) - old_logp).ravel()
            rows.append(Compared(step, *against(update, true_gradient(found, logits)),
                                 float(chance @ found.rewards), float(chance @ h),
                                 float(1 / (chance @ np.exp(h)))))
        logits = logits + rate * update
    return rows


def first_update(found, logits, advantage, weights):
    """The expected first update of a batch that is one group, (S, A): all groups are listed.

    `advantage` is a function of `groups`, and `weights` is one of `objectives.DIVISORS`.
    """
    members, chance = found.members, chances(found, logits)
    A = advantage(found.rewards[members.ravel()], None, members.shape[1]).reshape(members.shape)
    said = A * weights(found.lengths[members])
    often = found.orders * chance[members].prod(axis=1)
    total = np.bincount(members.ravel(), (often[:, None] * said).ravel(), chance.size)
    return gradient(logits, found.steps, np.ones(found.lengths.sum()), total)
