"""What an argument must be: one wording for what public functions ask in their first lines.

A check returns nothing, or raises a `ValueError` that names the argument, what is accepted and what
came.  Only `whole` returns something: the int, so that 3.0 may stand wherever 3 may.

Read next: `softmax`.
"""

from numbers import Real

import numpy as np


def whole(name, value, least=1):
    """The whole number that `value` is, as an int: 3 and 3.0 are one, 2.5 and True are not.

    Examples
    --------
    >>> whole("horizon", 3.0)
    3
    """
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)) or value % 1 != 0:
        raise ValueError(f"{name} must be a whole number, got {value}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def fraction(name, value):
    """In [0, 1].

    Examples
    --------
    >>> fraction("gae_lambda", 0.95)
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def step_size(learning_rate, decay):
    """learning_rate / n^decay is a step size for every n ≥ 1: in (0, 1], and it does not rise.

    Examples
    --------
    >>> step_size(1.5, 0.0)
    Traceback (most recent call last):
    ValueError: learning_rate must lie in (0, 1], got 1.5
    """
    if not 0 < learning_rate <= 1:
        raise ValueError(f"learning_rate must lie in (0, 1], got {learning_rate}")
    fraction("decay", decay)


def positive(name, value, finite=True):
    """Above zero and finite, and so is one divided by it; infinity too if `finite` is False.

    Examples
    --------
    >>> positive("beta", 0.5)
    """
    if not (value > 0 and 1 / value < np.inf) or finite and value == np.inf:
        raise ValueError(f"{name} must be positive{' and finite' * finite}, got {value}")


def not_negative(name, value):
    """Zero or above, and finite.

    Examples
    --------
    >>> not_negative("pull", 0.0)
    """
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")


def finite(name, values):
    """A number or an array without infinities and NaN.

    Examples
    --------
    >>> finite("weights", np.array([1.0, np.nan]))
    Traceback (most recent call last):
    ValueError: weights must be finite, got [ 1. nan]
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values}")


def shape(name, values, expected):
    """An array of the shape that is expected.

    Examples
    --------
    >>> shape("values", np.zeros(3), (4,))
    Traceback (most recent call last):
    ValueError: values must have shape (4,), got (3,)
    """
    if np.shape(values) != expected:
        raise ValueError(f"{name} must have shape {expected}, got {np.shape(values)}")
