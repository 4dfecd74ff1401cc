"""How good is a reward model?

*Part 4, a side road.  Previous: `reward_model`.  Next: `rlhf`.*

A *reward model* gives strings rewards, learned from the choices of raters.  There are three ways to
judge it.  Does it agree with the raters?  Is it as sure as it may be?  How far is it from the
truth?  The first two need pairs that were not used for the fit.  The third needs the true reward,
which is known here.  In this chapter m is a margin: the reward of one string of a pair less that of
the other.

**Does it agree?**  The *accuracy* is the share of pairs in which the chosen string has the larger
reward.  A tie counts one half, since a coin would decide it.  Of the margins 2, 0.5, −1 and 0 of
chosen over rejected strings two are right, one is wrong and one is a tie, (2 + ½)/4 = 0.625:

>>> accuracy(np.array([2.0, 0.5, -1.0, 0.0]))
0.625

How much is enough?  A rater who is asked the same thing twice may answer differently, so no model
agrees with all of her choices.  Let m be her own margin.  She prefers the string that is worth more
to her with the probability σ(|m|/temperature): the higher her *temperature*, the more often she
errs.  The best that a model can do is to prefer what she prefers more often.  That is right with
probability

    E[σ(|m|/temperature)],                                                           (calibration.1)

the mean over pairs.  For the margins 0, 1 and −1 and a temperature of 1 it is (½ + 0.731 +
0.731)/3 = 0.654:

>>> round(best_accuracy(np.array([0.0, 1.0, -1.0])), 4)
0.654

**Is it as sure as it may be?**  Double all rewards.  The accuracy is what it was, but the model now
says σ(2m) instead of σ(m).  So gather the pairs for which it says about the same, in bins of equal
width from 0 to 1, and count how often what it said came true.  Each pair is told both ways round:
the chosen string is preferred with σ(m), which came true, and the rejected one with σ(−m), which
did not.  Take the margins 2, 2 and −2.  σ(2) is 0.881, and the model was right twice:

    what it said          0.119  0.119  0.119      0.881  0.881  0.881
    did it come true?     no     no     yes        yes    yes    no
    bins                  from 0 to ½              from ½ to 1
    share that came true  1/3                      2/3
    too sure by           0.333 − 0.119 = 0.214    0.881 − 0.667 = 0.214

The expected calibration error is the mean of the last row, with each bin counted by its share of
what was said:

    Σ_bins (share of the bin) · |mean probability − share that came true|.           (calibration.2)

>>> found = calibration(np.array([2.0, 2.0, -2.0]), bins=2)
>>> print(found.predicted.round(3), found.observed.round(3), round(found.error, 3))
[0.119 0.881] [0.333 0.667] 0.214

**How far is it from the truth?**  Comparisons know a reward up to a constant, and its table up to a
potential (`reward_model`).  Neither changes by how much the rewards of strings *differ*.  So what
counts against a learned reward R̂ is

    the standard deviation of R̂(y) − R(y), over the strings y of a policy,          (calibration.3)

usually those of the reference.  The difference of the two tables is a table too, and the variance
of a return takes two linear solves, for V and for the mean square (`evaluation`), so the error is
exact.  In the coin game, let the learned reward pay a point too much for each head.  The number of
heads of a fair coin before the first tail has the variance 2, so the error is √2:

>>> from minirl.kernel.mdp import coin_game
>>> coin = coin_game()
>>> round(reward_error(coin, np.array([[0.5, 0.5]]), coin.mean_reward + [1, 0]), 4)
1.4142

**What the three say.**  Each of these models was fitted to one sample of pairs of the running
example, with a pull of 2.  (The errors in `reward_model` are means of two samples.)  They are
judged by 5,000 fresh pairs, for which the best accuracy is 0.724.  (The accuracies are means over
what the rater may say of these pairs.)

    fitted to    accuracy   calibration error   error
    1,000        0.641      0.059               0.886
    5,000        0.699      0.013               0.466
    80,000       0.721      0.012               0.152

From 5,000 pairs to 80,000 the accuracy hardly rises: where the margin is small, a wrong sign costs
little.  The error falls to a third.  A policy that looks for strings of a high reward meets this
error, and not the accuracy.  A calibration error of 0.012 is about what chance leaves of zero in
5,000 pairs: the true reward itself has 0.011.

**Exercises.**  `from minirl.people.calibration import *; from minirl.kernel.mdp import coin_game`
1. The model says log 3 of four pairs, and is right in three.  What changes when rewards double?
       m = np.log(3) * np.array([1, 1, 1, -1])
       [(accuracy(x), round(calibration(x).error, 4)) for x in (m, 2 * m)]
2. A point too much for each *tail*: how far is that from the truth?
       coin = coin_game()
       round(reward_error(coin, np.array([[0.5, 0.5]]), coin.mean_reward + [0, 1]), 4)
3. How accurate can a model be, if the rater's margins are 1 and her temperature 0.1, 1 or 10?
       [round(best_accuracy(np.ones(9), temperature=x), 3) for x in (0.1, 1.0, 10.0)]

Read next: `rlhf`, which maximises a learned reward.
Source: Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, eq. 3.
"""

from typing import NamedTuple

import numpy as np

from minirl.exact.evaluation import return_variance
from minirl.kernel import checks
from minirl.kernel.softmax import log_sigmoid


class Calibration(NamedTuple):
    """How often what was predicted came true, in bins of equal width from 0 to 1."""

    predicted: np.ndarray  # (bins,) mean probability in each bin, NaN where it is empty
    observed: np.ndarray   # (bins,) share that came true
    number: np.ndarray     # (bins,) int
    error: float           # (calibration.2)


def accuracy(margins):
    """The share of pairs (B,) in which the chosen string has the larger reward; ties count half.

    Of pairs that tie up to rounding, `pairs.reward_margins` makes the margins zero.

    Examples
    --------
    >>> accuracy(np.array([2.0, 0.5, -1.0, 0.0]))
    0.625
    """
    margins = _checked_margins("margins", margins)
    return float(((margins > 0).mean() + (margins >= 0).mean()) / 2)


def best_accuracy(true_margins, *, temperature=1.0):
    """The expected accuracy of the best model, (calibration.1); signs of the margins do not matter.

    Examples
    --------
    >>> round(best_accuracy(np.array([0.0, 1.0, -1.0])), 4)
    0.654
    """
    margins = _checked_margins("true_margins", true_margins)
    checks.positive("temperature", temperature)
    return float(np.exp(log_sigmoid(np.abs(margins) / temperature)).mean())


def calibration(margins, *, bins=10) -> Calibration:
    """The reliability of the probabilities σ(m) that a model gives to the choices: `Calibration`.

    The margins (B,) are the model's R(y⁺) − R(y⁻).

    Examples
    --------
    A model that says 0.88 and is right two times in three:

    >>> found = calibration(np.array([2.0, 2.0, -2.0]), bins=2)
    >>> print(found.predicted.round(4), found.observed.round(4), round(found.error, 4))
    [0.1192 0.8808] [0.3333 0.6667] 0.2141
    """
    margins = _checked_margins("margins", margins)
    bins = checks.whole("bins", bins)
    predicted = np.exp(log_sigmoid(np.concatenate([margins, -margins])))
    true = np.repeat([1.0, 0.0], margins.size)
    which = np.minimum((predicted * bins).astype(int), bins - 1)
    number = np.bincount(which, minlength=bins)
    mean, share = (np.divide(np.bincount(which, values, minlength=bins), number, where=number > 0,
                             out=np.full(bins, np.nan)) for values in (predicted, true))
    error = (number * np.abs(np.nan_to_num(mean - share))).sum() / predicted.size
    return Calibration(mean, share, number, float(error))


def reward_error(mdp, policy, reward_table):
    """How far a learned reward table is from the world's own, (calibration.3), in units of reward.

    The strings are those of `policy`, usually the reference; `mdp.mean_reward` is the true table.

    Examples
    --------
    A point too much for a head: the number of heads has the variance 2.

    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game()
    >>> round(reward_error(coin, np.array([[0.5, 0.5]]), coin.mean_reward + [1, 0]), 4)
    1.4142
    """
    reward_table = checks.array("reward_table", reward_table, mdp.shape)
    return float(max(return_variance(mdp, policy, reward_table - mdp.mean_reward), 0)**0.5)


def _checked_margins(name, margins):
    """A vector of at least one finite number."""
    margins = checks.floats(name, margins)
    if margins.ndim != 1:
        raise ValueError(f"{name} must be a vector, got {margins}")
    checks.finite(name, margins)
    return margins
