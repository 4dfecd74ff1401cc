"""What many runs come to: the scores of all, and quantiles that are runs."""

import numpy as np


def each(scores, name):
    """A field of all `Score`s in lists of lists: an array of floats, NaN where there is none."""
    return np.array([[getattr(score, name) for score in some] for some in scores], float)


def spread(numbers, quantiles=(0.1, 0.5, 0.9)):
    """Quantiles, 10 %, median and 90 %, along the last axis, each the number of a run that exists.

    Of an even number of runs the median is the lower of the two in the middle.  A run that is not a
    number is worse than any other, so it counts as −∞.
    """
    ranked = np.where(np.isnan(numbers), -np.inf, numbers)
    return np.quantile(ranked, quantiles, axis=-1, method="lower")


def known(value):
    """A number, or None if it is none."""
    return float(value) if np.isfinite(value) else None
