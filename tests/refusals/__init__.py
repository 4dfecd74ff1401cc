"""What every public function refuses: rows of one table, a file for each part of the book.

Each file holds `ROWS`, a dict from the name of a module to the rows of its functions.  A row is a
call that must raise a ValueError, and words that its message must contain: the argument, the value
that came, and what is accepted.

    row(lambda: unroll(WORLD, -1), "horizon must be at least 1, got -1")

What many arguments share has a function that makes all rows of one argument:

    *whole("horizon", lambda n: unroll(WORLD, n), 3)

A row here is a function without arguments that returns what is wrong, or None if all is well.
"""

from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
from scipy import sparse


def row(call, *words, kind=ValueError):
    """`call()` must raise an error of exactly this kind, with all these words in its message."""
    where = f"{Path(call.__code__.co_filename).name}, line {call.__code__.co_firstlineno}"

    def problem():
        try:
            call()
        except Exception as error:
            missing = [word for word in words if word not in str(error)]
            if type(error) is not kind:
                return f"{where}: {words} is refused by {type(error).__name__}: {error}"
            return f"{where}: {missing} is not in {str(error)!r}" if missing else None
        return f"{where}: {words} is not refused"

    return problem


def whole(name, call, good, *, least=1):
    """The rows of a whole number ≥ `least`: `call(3.0)` does what `call(3)` does, and what is no
    such number is refused.  `good` is a number that is accepted; what `call` returns is compared.
    """
    def problem():
        as_float = call(float(good))
        return None if same(call(good), as_float) else f"{name} = {good} and {good}.0 differ"

    yield problem
    for value in (2.5, np.nan, np.inf, True, "3"):
        yield row(lambda value=value: call(value), f"{name} must be a whole number, got {value}")
    for value in {least - 1, -1} - {least}:
        yield row(lambda value=value: call(value), f"{name} must be at least {least}, got {value}")


def outside(name, call, values, accepted):
    """The rows of values that do not lie in the interval `accepted`."""
    for value in values:
        yield row(lambda value=value: call(value), f"{name} must lie in {accepted}, got {value}")


def fraction(name, call):
    """The rows of a number in [0, 1]."""
    return outside(name, call, (-0.1, 1.1, np.nan, None, "0.5"), "[0, 1]")


def positive(name, call, *, finite=True):
    """The rows of a number above zero, which is finite unless `finite` is False."""
    for value in (0.0, -1.0, np.nan, None, "1", *[np.inf] * finite):
        yield row(lambda value=value: call(value), f"{name} must be positive", f"got {value}")


def not_negative(name, call):
    """The rows of a finite number that is zero or above."""
    for value in (-0.5, np.nan, np.inf, None, "1"):
        yield row(lambda value=value: call(value),
                  f"{name} must be finite and not negative, got {value}")


def same(one, other):
    """Whether two results are the same, bit for bit, whatever they are made of."""
    if is_dataclass(one):
        return all(same(getattr(one, part.name), getattr(other, part.name)) for part in fields(one))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if sparse.issparse(one):
        return same(one.toarray(), other.toarray())
    if isinstance(one, np.ndarray):
        return (one.dtype == other.dtype and one.shape == other.shape
                and ((one == other) | (one != one) & (other != other)).all())
    return type(one) is type(other) and (one == other or one != one and other != other)
