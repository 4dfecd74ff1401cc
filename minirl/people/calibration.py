"""How good a reward model is: accuracy, calibration, and its exact error.

*Part 4, a side road.  Previous: `reward_model`.  Next: `rlhf`.*

A rater whose temperature is not zero contradicts herself, so no model agrees with all of her
choices.  The best that any model can do is to prefer what she prefers on average.  With m her own
margin, the difference of her rewards of the two strings, that is right with probability

    E[σ(|m|/temperature)].                                                           (calibration.1)

A model may be right as often and still be too sure.  So its probabilities σ(m) are sorted into bins
of equal width, and each bin is asked how often what it says came true.  A pair can be told either
way round, and is told both ways: one string was preferred with σ(m), and the other was not with
σ(−m).  The expected calibration error is

    Σ_bins (share of the bin) · |mean probability − share that came true|.           (calibration.2)

Where the true reward R is known, the learned one R̂ can be compared with it.  Comparisons know it
up to a constant and a potential (`reward_model`), and neither changes how rewards of whole strings
*differ*.  So the error is

    the standard deviation of R̂(y) − R(y), over the strings y of a policy,          (calibration.3)

which is exact here, by one linear solve.

Read first: `reward_model`.  Read next: `rlhf`.
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


def calibration(margins, *, bins=10):
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
