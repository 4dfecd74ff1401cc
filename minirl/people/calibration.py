"""How good a reward model is: accuracy, calibration, and its exact error."""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.exact.evaluation import return_variance
from minirl.kernel.softmax import log_sigmoid


class Calibration(NamedTuple):
    """How often what was predicted came true, in bins of equal width from 0 to 1."""

    predicted: np.ndarray  # (bins,) mean probability in each bin, NaN where it is empty
    observed: np.ndarray   # (bins,) share that came true
    number: np.ndarray     # (bins,) int
    error: float           # Σ share of the bin · |predicted − observed|, the expected one


def accuracy(margins):
    """The share of pairs (B,) in which the chosen string has the larger reward; ties count half.

    Examples
    --------
    >>> accuracy(np.array([2.0, 0.5, -1.0, 0.0]))
    0.625
    """
    if margins.size == 0:
        raise ValueError("margins must be at least one, got none")
    return float(((margins > 0).mean() + (margins >= 0).mean()) / 2)


def best_accuracy(true_margins, *, temperature=1.0):
    """The expected accuracy of the best model, for a rater of (reward_model.1): E[σ(|m|/τ)].

    Parameters
    ----------
    true_margins : (B,) float
        Differences of the rater's own rewards; their signs do not matter.
    temperature : float > 0
        τ of the rater.

    Examples
    --------
    >>> round(best_accuracy(np.array([0.0, 1.0, -1.0])), 4)
    0.654
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return float(np.exp(log_sigmoid(np.abs(true_margins) / temperature)).mean())


def calibration(margins, *, bins=10):
    """The reliability of the probabilities σ(m) that a model gives to the choices: `Calibration`.

    A pair can be told either way round, so each is told both ways: it was preferred with σ(m), and
    the other was not with σ(−m).

    Parameters
    ----------
    margins : (B,) float
        The model's r(y⁺) − r(y⁻).
    bins : int ≥ 1

    Raises
    ------
    ValueError
        If there is no pair, or the number of bins is not positive.

    Examples
    --------
    A model that says 0.88 and is right two times in three:

    >>> found = calibration(np.array([2.0, 2.0, -2.0]), bins=2)
    >>> print(found.predicted.round(4), found.observed.round(4), round(found.error, 4))
    [0.1192 0.8808] [0.3333 0.6667] 0.2141
    """
    checks.whole("bins", bins)
    if margins.ndim != 1 or margins.size == 0:
        raise ValueError(f"margins must be a vector of at least one, got shape {margins.shape}")
    predicted = np.exp(log_sigmoid(np.concatenate([margins, -margins])))
    true = np.repeat([1.0, 0.0], margins.size)
    which = np.minimum((predicted * bins).astype(int), int(bins) - 1)
    number = np.bincount(which, minlength=int(bins))
    some = np.maximum(number, 1)
    mean, share = (np.where(number > 0, np.bincount(which, values, minlength=int(bins)) / some,
                            np.nan) for values in (predicted, true))
    error = (number * np.abs(np.nan_to_num(mean - share))).sum() / predicted.size
    return Calibration(mean, share, number, float(error))


def reward_error(mdp, policy, weights):
    """How far a learned reward is from the world's own: the standard deviation of r̂ − r.

    Over the episodes of `policy`, exactly, by one linear solve.  A constant does not count, nor
    does a potential.

    Parameters
    ----------
    mdp : TabularMDP
        Its `mean_reward` is the true table.
    policy : (S, A) float
        Usually the reference.
    weights : (S, A) float
        The learned table.

    Returns
    -------
    float
        In units of reward.

    Raises
    ------
    ValueError
        If the tables do not fit, or the policy does not end.

    Examples
    --------
    A point too much for a head: the number of heads has the variance 2.

    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game()
    >>> round(reward_error(coin, np.array([[0.5, 0.5]]), coin.mean_reward + [1, 0]), 4)
    1.4142
    """
    if weights.shape != mdp.shape:
        raise ValueError(f"weights must have shape {mdp.shape}, got {weights.shape}")
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite")
    return float(max(return_variance(mdp, policy, weights - mdp.mean_reward), 0)**0.5)
