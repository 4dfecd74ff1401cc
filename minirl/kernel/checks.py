"""What does a function answer when an argument does not fit?

*Part 1, a side road.  Previous: `introduction`.  Next: `softmax`.*

A wrong argument should be refused at once.  Otherwise it ends in an error about something else, or
worse, in a number that looks right.  So most public functions check their arguments in their first
lines, with the functions of this chapter; inner loops trust theirs.  A *check* lets pass what fits.
Otherwise it raises a `ValueError` that names the argument, says what is accepted and shows what
came:

>>> whole("horizon", 2.5)
Traceback (most recent call last):
ValueError: horizon must be a whole number, got 2.5

Some checks return nothing.  The others return what they have checked, in the form in which it is
used.  `whole` and `group_size` return an int, so that 3.0 may stand wherever 3 may.  `array`,
`numbers`, `weights` and `floats` return an array, so that a list may stand for one:

>>> whole("horizon", 3.0), floats("logits", [[0, 1]])
(3, array([[0., 1.]]))

Two kinds of values slip through a careless check.  *NaN*, "not a number", is what 0/0 and ∞ − ∞
are in NumPy.  It is neither smaller than any number nor equal to one nor larger.  So a check asks
whether a value is inside the bounds, and refuses it if not.  A check that asked whether it is
outside would let NaN pass.  *Small integers* have few bits: an int8 holds −128 to 127, and a sum
above 127 wraps around to the negative numbers.  So `floats` makes floating-point numbers of
integers.

**Exercises.**  `from minirl.kernel.checks import *`
1. A fraction must lie in [0, 1].  Is NaN outside?
       share = float("nan")
       share < 0 or share > 1
2. `True` is an int in Python.  Is it a whole number here?
       try: whole("horizon", True)
       except ValueError as error: print(error)
3. What is 100 + 100, before and after `floats`?
       hundred = np.array([100], np.int8)
       print(hundred + hundred, floats("logits", hundred) + floats("logits", hundred))

Read next: `softmax`, the table that a policy is.
"""

from numbers import Number, Real

import numpy as np


def whole(name, value, least=1):
    """A whole number, as an int: 3 and 3.0 are whole numbers, 2.5 and True are not.

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
    """Refuse a number that does not lie in [0, 1].

    Examples
    --------
    >>> fraction("gae_lambda", 0.95)
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def numbers(name, values, bound):
    """Whole numbers in [0, bound), at least one, as an array (N,) int: from an array or a list.

    Examples
    --------
    >>> print(numbers("states", [0.0, 2.0], 3))
    [0 2]
    >>> numbers("states", np.array([0, 3]), 3)
    Traceback (most recent call last):
    ValueError: states must be a vector of whole numbers in [0, 3), got [0 3]
    """
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if (array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iuf"
            or not (array.min() >= 0 and array.max() < bound)
            or array.dtype.kind == "f" and (array % 1 != 0).any()):
        raise ValueError(f"{name} must be a vector of whole numbers in [0, {bound}), got {values}")
    return array.astype(np.int64)


def group_size(num_generations, number, what="strings", least=1):
    """`num_generations`, the size of a group, as an int: it must divide the number of strings.

    Examples
    --------
    >>> group_size(5, 12)
    Traceback (most recent call last):
    ValueError: num_generations must divide the number of strings, 12, got 5
    """
    size = whole("num_generations", num_generations, least)
    if number % size:
        raise ValueError(f"num_generations must divide the number of {what}, {number}, got {size}")
    return size


def group_sizes(num_generations, number, least=1):
    """The size of each group of strings, int: one size for all, or, after some were left out, any.

    Examples
    --------
    >>> print(group_sizes(2, 6), group_sizes(np.array([2, 1, 3]), 6))
    [2 2 2] [2 1 3]
    """
    if np.ndim(num_generations) == 0:
        size = group_size(num_generations, number, least=least)
        return np.full(number // size, size)
    sizes = numbers("num_generations", num_generations, number + 1)
    if sizes.min() < 1 or sizes.sum() != number:
        raise ValueError(f"num_generations must be sizes of groups of {number} strings, got "
                         f"{sizes}")
    return sizes


def step_size(learning_rate, decay):
    """Refuse numbers unless learning_rate / n^decay, for n ≥ 1, lies in (0, 1] and never rises.

    Examples
    --------
    >>> step_size(1.5, 0.0)
    Traceback (most recent call last):
    ValueError: learning_rate must lie in (0, 1], got 1.5
    """
    if not _is_number(learning_rate) or not 0 < learning_rate <= 1:
        raise ValueError(f"learning_rate must lie in (0, 1], got {learning_rate}")
    fraction("decay", decay)


def positive(name, value, finite=True):
    """Refuse what is not positive, what has no finite inverse and, if `finite`, what is infinite.

    Examples
    --------
    >>> positive("beta", 0.5)
    """
    if (not _is_number(value) or not (value > 0 and 1 / value < np.inf)
            or finite and value == np.inf):
        raise ValueError(f"{name} must be positive{' and finite' * finite}, got {value}")


def not_negative(name, value):
    """Refuse what is below zero or not finite.

    Examples
    --------
    >>> not_negative("pull", 0.0)
    """
    if not _is_number(value) or not 0 <= value < np.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")


def _is_number(value):
    return isinstance(value, (int, float)) or (
        np.ndim(value) == 0 and np.asarray(value).dtype.kind in "biuf")


def string(name, value):
    """Refuse what is no string.

    Examples
    --------
    >>> string("pattern", 3)
    Traceback (most recent call last):
    ValueError: pattern must be a string, got 3
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {value!r}")


def finite(name, values):
    """Refuse a number or an array in which there is an infinity or NaN.

    Examples
    --------
    >>> finite("weights", [1.0, None])
    Traceback (most recent call last):
    ValueError: weights must be finite, got [1.0 None] (entry 1 is None)
    """
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.array(values, object)
    if array.dtype.kind not in "biufc" or not np.isfinite(array).all():
        with np.printoptions(threshold=20, edgeitems=1):
            raise ValueError(f"{name} must be finite, got {array}{_first_wrong(array)}")


def _first_wrong(array):
    """Says in words which entry of an array is the first that is no finite number."""
    for place in np.ndindex(array.shape if array.ndim else 0):
        entry = array[place]
        if not isinstance(entry, Number) or not np.isfinite(entry):
            return f" (entry {place[0] if array.ndim == 1 else place} is {entry})"
    return ""


def array(name, values, expected):
    """`values` as an array, which must have the shape `expected` and hold no infinity and no NaN.

    Examples
    --------
    >>> array("weights", np.array([1.0, np.inf]), (2,))
    Traceback (most recent call last):
    ValueError: weights must be finite, got [ 1. inf] (entry 1 is inf)
    """
    shape(name, values, expected)
    finite(name, values)
    return _as_floats(np.asarray(values))


def weights(name, values, expected):
    """`values` as an array of the shape `expected`, whose entries are finite and not negative.

    Examples
    --------
    >>> weights("visits", [-1.0, 2.0], (2,))
    Traceback (most recent call last):
    ValueError: visits must be finite and not negative, got [-1.0, 2.0]
    """
    shape(name, values, expected)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or not ((array >= 0) & (array < np.inf)).all():
        raise ValueError(f"{name} must be finite and not negative, got {values}")
    return _as_floats(array)


def shape(name, values, expected):
    """Refuse an array that has another shape than `expected`.

    Examples
    --------
    >>> shape("values", np.zeros(3), (4,))
    Traceback (most recent call last):
    ValueError: values must have shape (4,), got (3,)
    """
    if np.shape(values) != expected:
        raise ValueError(f"{name} must have shape {expected}, got {np.shape(values)}")


def floats(name, values):
    """An array or a nested list of numbers, not empty, as an array of floating-point numbers.

    Whole numbers become floats, since small integers would wrap around.  Floats of 16 or 32 bits
    become those of 64, in which all is computed.

    Examples
    --------
    >>> print(floats("logits", [[0, 1]]))
    [[0. 1.]]
    """
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "biufc" or array.size == 0:
        raise ValueError(f"{name} must be an array of numbers, got {values!r}")
    return _as_floats(array)


def _as_floats(array):
    return np.asarray(array, np.result_type(array.dtype, float))
