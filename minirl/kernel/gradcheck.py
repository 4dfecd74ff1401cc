"""How do we know that a gradient is right?

Every loss of this book returns its gradient, derived by hand and written by hand.  A learning curve
does not prove it: with a factor wrong or a term missing, a learner still learns.  What can be
proved is that the gradient belongs to the loss.  Move one parameter a little, see how much the loss
moves, and compare.  This chapter does so for every parameter, in two ways.

**Central differences.**  Let f be the loss as a function of one parameter x, all others fixed.
Taylor's formula to both sides of x is

    f(x ± h) = f(x) ± h f′(x) + h² f″(x)/2 ± h³ f‴(x)/6 + …

In the difference of the two, the terms with even powers of h cancel.  Divided by 2h it is

    [f(x + h) − f(x − h)] / 2h = f′(x) + h² f‴(x)/6 + …                                (gradcheck.1)

It has two errors.  One is what the formula cuts off, about h² f‴/6; it asks for a small h.  The
other is rounding.  A float64 keeps 16 digits, so f(x + h) and f(x − h) are each wrong by about
eps |f|, eps = 1e-16, and dividing by h makes this eps |f|/h; it asks for a large h.  Their sum is
smallest near h = 1e-5.  There it is 1e-10 to 1e-9, and 1e-8 where f is large beside its slopes.
Nobody gets more digits than that by subtracting two nearly equal numbers.

**The complex step** subtracts nothing.  It takes a step of ih instead of ±h, where i² = −1:

    f(x + ih) = f(x) + ih f′(x) − h² f″(x)/2 − ih³ f‴(x)/6 + …

The slope now stands in the imaginary part, and f(x) in the real part, out of its way:

    Im f(x + ih) / h = f′(x) − h² f‴(x)/6 + …                                          (gradcheck.2)

No rounding error grows as h shrinks, so h may be 1e-30.  Then h² is 1e-60, which no float64 notices
beside f′, and the slope is as good as any number computed with float64: about 1e-15.

By hand, take f(x) = x³ at x = 2, where f′ = 12 and f‴ = 6, with h = 0.1.  The central difference is
(9.261 − 6.859)/0.2 = 12.01, which is 12 + h².  For the complex step, (2 + ih)³ = 8 + 12ih − 6h² −
ih³, and the imaginary part over h is 12 − h² = 11.99.  With h = 1e-30 the first has lost
everything, since 2 + 1e-30 is 2 in float64, and the second is exact:

>>> def cube(x):
...     return (x ** 3).sum(), 3 * x ** 2
>>> two = np.array([2.])
>>> print(by_differences(cube, two, h=0.1).round(9), by_complex_step(cube, two, h=0.1).round(9))
[12.01] [11.99]
>>> print(by_differences(cube, two, h=1e-30), by_complex_step(cube, two, h=1e-30))
[0.] [12.]

**What the complex step asks of a loss.**  Taylor's formula holds at x + ih only for an analytic f:
one made of + − × ÷, powers, exp, log, sin and the like, all of which NumPy computes for complex
numbers too.  The length |x + ih| is not: it is a real number, the imaginary part is gone.  So it is
with `abs`, `np.linalg.norm`, `np.vdot`, `np.var` and `np.real`, and `float` drops it with a
warning.  Choosing is harmless: NumPy's `<`, `min`, `max`, `clip` and `sort` compare the real parts
of complex numbers first, so they choose as they would without ih, and what they choose keeps its
imaginary part.  `np.logaddexp` and `scipy.special.log_expit` refuse complex numbers;
`softmax.log_sigmoid` takes them.  Where a loss cannot be asked, `check` says so, and with
`complex_step=False` it asks the central differences alone.

**Where a check misleads**

- *At a kink.*  max(0, x) has the slope 0 to the left of x = 0 and 1 to the right.  There a central
  difference is the mean of both, ½, and the complex step is one of them.  `clip` has two such
  points and every hinge has one.  A random x does not meet them, an x of round numbers may.
- *At a symmetric point.*  Where all logits are equal, so are the probabilities, and a backward pass
  that subtracts a plain mean where (softmax.3) wants a mean under π is right by accident.  At any
  other point it is wrong.  So check at random points, more than one, small and large:

  >>> from minirl.kernel import softmax
  >>> def careless(logits):  # the loss is −log π(0|s) of one state
  ...     G = np.array([[-1., 0.]])
  ...     return -softmax.log_softmax(logits)[0, 0], G - G.mean()
  >>> check(careless, np.array([[0., 0.]])).passed
  True
  >>> check(careless, np.log([[1., 3.]]))
  wrong gradient, shape (1, 2)
    central differences: error 3.3e-01 > 1e-07 at (0, 0), analytic -0.5, numerical -0.75
    complex step: error 3.3e-01 > 1e-12 at (0, 0), analytic -0.5, numerical -0.75

- *Where the gradient vanishes*, at a minimum or far out on a flat side, there is nothing to
  compare.  `check` refuses such a point.
- *Where a term weighs nothing.*  A term with the coefficient 0 is not checked, and neither is the
  branch of a `clip` that no entry takes.  Turn on every term and visit every branch.
- *Beside something large.*  Errors are measured against the largest entry.  An entry 1e-8 times as
  large may be all wrong and pass the central differences; the complex step sees it down to 1e-12.
- *At another x.*  log(1 + exp(−m)) passes at m = 1 and overflows at m = −1000.  Try 1e4 and −1e4.
- *In another loss.*  The gradient of a wrong loss is right too.  That the loss is the one in the
  paper needs another witness: a loop written as in the paper, or a case worked out by hand.

Read first: `softmax`.  Read next: `solving`.
Source: Squire and Trapp 1998, "Using complex variables to estimate derivatives of real functions",
SIAM Review 40.
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks

CENTRAL, COMPLEX = 1e-7, 1e-12  # largest errors allowed, relative to the largest entry
SMALLEST = 1e-4  # In a gradient smaller than this, rounding alone comes near to what is allowed.


def check(loss, x, *, complex_step=True):
    """Compare the gradient of `loss` at `x` with its numerical gradients: a `Report`.

    A report says right or wrong.  Where the question cannot be asked, because a loss does not take
    complex numbers or its gradient is too small to compare, neither is true: a ValueError.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (number, gradient)`, pure, the gradient shaped like `x`.
    x : array
        Of any shape.  Random numbers are best.
    complex_step : bool
        False: central differences alone, for a loss that does not take complex numbers.

    Examples
    --------
    >>> x = np.array([0.5, -1.0])
    >>> check(lambda x: (np.exp(x).sum(), np.exp(x)), x).passed
    True
    >>> check(lambda x: (np.logaddexp(0, x).sum(), 1 / (1 + np.exp(x))), x, complex_step=False)
    wrong gradient, shape (2,)
      central differences: error 7.4e-01 > 1e-07 at (1,), analytic 0.731059, numerical 0.268941
    """
    x = _floats(x)
    analytic, central = _gradient(loss, x), by_differences(loss, x)
    checks.finite("the central differences of loss", central)
    scale, note = np.abs(central).max(), ""
    if scale < SMALLEST:
        raise ValueError(f"the largest slope of loss at x must be at least {SMALLEST} for a pass "
                         f"to mean anything, got {scale:.1e}: take another x")
    rows = [_compare("central differences", analytic, central, scale, CENTRAL)]
    if complex_step:
        imaginary = by_complex_step(loss, x)
        rows.append(_compare("complex step", analytic, imaginary, scale, COMPLEX))
        if not np.abs(central - imaginary).max() <= CENTRAL * scale:
            note = "\n  these two differ: x is at a kink, or loss is not analytic (abs, np.real)"
    return Report(x.shape, tuple(rows), note)


def by_differences(loss, x, *, h=1e-5):
    """The gradient of `loss` by central differences, (gradcheck.1), shaped like `x`.

    Examples
    --------
    >>> by_differences(lambda x: (x[0] * x[1], "not looked at"), np.array([2., 3.])).round(6)
    array([3., 2.])
    """
    return np.reshape([(loss(x + h * one)[0] - loss(x - h * one)[0]) / (2 * h) for one in _ones(x)],
                      x.shape)


def by_complex_step(loss, x, *, h=1e-30):
    """The gradient of `loss` by the complex step, (gradcheck.2), shaped like `x`.

    Examples
    --------
    >>> by_complex_step(lambda x: (np.abs(x).sum(), "not looked at"), np.array([2., 3.]))
    Traceback (most recent call last):
    ValueError: loss drops the imaginary part of x: complex_step=False asks differences alone
    """
    return np.reshape([_complex(loss, x + 1j * h * one).imag / h for one in _ones(x)], x.shape)


class Comparison(NamedTuple):
    """Where the analytic gradient and a numerical one differ most."""

    method: str
    error: float  # |analytic − numerical|, relative to the largest slope
    allowed: float
    entry: tuple  # its place in x
    analytic: float
    numerical: float


@dataclass(frozen=True)
class Report:
    """What `check` has found: true if every comparison passed, so that `assert check(…)` works."""

    shape: tuple
    comparisons: tuple  # a `Comparison` for each method
    note: str

    @property
    def passed(self):
        return all(row.error <= row.allowed for row in self.comparisons)

    def __bool__(self):
        return self.passed

    def __repr__(self):
        return f"{'right' if self else 'wrong'} gradient, shape {self.shape}" + "".join(
            f"\n  {row.method}: error {row.error:.1e} {'≤' if row.error <= row.allowed else '>'} "
            f"{row.allowed:.0e} at {row.entry}, analytic {row.analytic:.6g}, numerical "
            f"{row.numerical:.6g}" for row in self.comparisons) + self.note


def _compare(method, analytic, numerical, scale, allowed):
    errors = np.abs(analytic - numerical) / scale
    i = tuple(int(index) for index in np.unravel_index(errors.argmax(), errors.shape))
    return Comparison(method, errors[i], allowed, i, analytic[i], numerical[i])


def _floats(x):
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "iuf" or x.size == 0:
        raise ValueError(f"x must be an array of real numbers, at least one, got {x!r}")
    checks.finite("x", x)
    return x.astype(np.float64)


def _gradient(loss, x):
    value, gradient = loss(x.copy())
    for name, got, shape in ("value", value, ()), ("gradient", gradient, x.shape):
        checks.shape(f"the {name} of loss", got, shape)
        checks.finite(f"the {name} of loss", got)
    return np.asarray(gradient)


def _ones(x):
    """For each entry of `x`, a step of one there and of zero elsewhere."""
    for i in np.ndindex(x.shape):
        one = np.zeros(x.shape)
        one[i] = 1
        yield one


def _complex(loss, z):
    """The value of `loss` at a complex `z`, or the sentence that it has none."""
    alone = "complex_step=False asks differences alone"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            value, _ = loss(z)
    except Exception as error:
        raise ValueError(f"loss does not take complex numbers ({error}): {alone}") from error
    if not np.iscomplexobj(value):
        raise ValueError(f"loss drops the imaginary part of x: {alone}")
    return value
