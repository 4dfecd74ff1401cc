"""How do we know that a gradient is right?

*Part 1.  Previous: `environment`, a side road.  Next: `solving`, a side road.*

Every loss of this book returns its gradient, derived by hand and written by hand.  That a policy
becomes better does not show that the gradient is right: with a wrong factor or a missing term, a
policy often becomes better too.  What can be tested, to many digits, is whether the gradient
belongs to the loss.  Move one logit a little, see how much the loss moves, and compare.  This
chapter does so for every logit, in two ways.

**Central differences.**  Let f be the loss as a function of one number x, such as a logit, with all
others fixed, and h a small step.  Taylor's formula to both sides of x is

    f(x ± h) = f(x) ± h f′(x) + h² f″(x)/2 ± h³ f‴(x)/6 + …

In the difference of the two, the terms with even powers of h cancel.  Divided by 2h it is the
*central difference*

    [f(x + h) − f(x − h)] / 2h = f′(x) + h² f‴(x)/6 + …                                (gradcheck.1)

It has two errors.  One is what is cut off, about h² |f‴|/6; it asks for a small h.  The other is
rounding.  A float64 keeps 16 digits, so f(x + h) and f(x − h) are each wrong by about eps |f|, with
eps = 2.2e-16, the distance from 1 to the next float64.  Divided by 2h, the two make eps |f|/h; this
asks for a large h.  The derivative of the sum with respect to h is h |f‴|/3 − eps |f|/h².  It is 0
where h³ = 3 eps |f/f‴|.  If f and f‴ are alike, that is h = 8.7e-6, so this book takes h = 1e-5.
There rounding is 2e-11 |f| and what is cut off 2e-11 |f‴|: together 2e-10 to 2e-9 at most where |f|
is 10 to 100 and the slopes are about one.  With these two values more digits cannot be had.  Where
|f| is 5e3 times the largest slope, rounding is 1e-7 of that slope, all that `check` allows to
central differences.  The same holds where |x| is 5e3, since x + h is rounded as well.

**The complex step** subtracts nothing.  It goes by ih instead of ±h.  In this chapter i is not a
whole number but the imaginary unit, i² = −1.  Since f and its derivatives are real at a real x,

    f(x + ih) = f(x) + ih f′(x) − h² f″(x)/2 − ih³ f‴(x)/6 + …

has the slope in its imaginary part, Im, and f(x) in its real part, out of the way:

    Im f(x + ih) / h = f′(x) − h² f‴(x)/6 + …                                          (gradcheck.2)

No rounding error grows as h shrinks, so h may be 1e-30.  Then h² is 1e-60, which no float64 notices
beside f′.  The slope is as good as any number computed with float64: its error is about 1e-15 times
its size.

By hand, take f(x) = x³ at x = 2, where f′ = 12 and f‴ = 6, with h = 0.1.  The central difference is
(9.261 − 6.859)/0.2 = 12.01, which is 12 + h².  For the complex step, (2 + ih)³ = 8 + 12ih − 6h² −
ih³, and the imaginary part over h is 12 − h² = 11.99.  With h = 1e-30 the first has lost
everything, since 2 + 1e-30 is 2 in float64, and the second is exact.  In the code a loss returns
two things, its value and its gradient:

>>> def cube(x):
...     return (x ** 3).sum(), 3 * x ** 2
>>> two = np.array([2.])
>>> print(by_differences(cube, two, h=0.1).round(9), by_complex_step(cube, two, h=0.1).round(9))
[12.01] [11.99]
>>> print(by_differences(cube, two, h=1e-30), by_complex_step(cube, two, h=1e-30))
[0.] [12.]

**What the complex step asks of a loss.**  Taylor's formula holds at x + ih only for an analytic f:
one made of + − × ÷, powers, exp, log, sin and the like, all of which NumPy computes for complex
numbers too.  The length |x + ih| is not analytic: it is a real number, the imaginary part is gone.
So `abs`, `np.linalg.norm`, `np.vdot`, `np.var` and `np.real` must not be applied to what depends on
x.  Choosing is harmless: NumPy's `<`, `min`, `max`, `clip` and `sort` compare the real parts of
complex numbers first, so they choose as they would without ih, and what they choose keeps its
imaginary part.

Where a loss does not take complex numbers, `check` says so, and with `complex_step=False` it uses
central differences alone.  Where only one term of a loss is not analytic, the complex step gives a
wrong number, and the central differences disagree with it.  Then the report says "undecided"
instead of "wrong gradient".

**Where a check misleads**

- *At a kink.*  max(0, x) has the slope 0 to the left of x = 0 and 1 to the right.  At x = 0 a
  central difference is the mean of both, ½, and the complex step is one of them.  `clip` has two
  such points.  The report says "undecided" there too.  A random x does not meet a kink, but an x of
  round numbers may.
- *At a symmetric point.*  Equal logits have equal probabilities.  (softmax.3) shares ΣG out over a
  row by π.  A backward pass that shares it out in equal parts is right there by accident, and wrong
  at any other point.  So check at random points, more than one, small and large:

  >>> from minirl.kernel import softmax
  >>> def careless(logits):  # the loss is −log π(0|s) of one state
  ...     G = np.array([[-1., 0.]])
  ...     return -softmax.log_softmax(logits)[0, 0], G - G.mean()
  >>> check(careless, np.array([[0., 0.]])).passed
  True
  >>> check(careless, np.log([[1., 3.]]))
  wrong gradient
    central differences: error 3.3e-01 > 1e-07 at (0, 0), by hand -0.5, numerical -0.75
    complex step: error 3.3e-01 > 1e-12 at (0, 0), by hand -0.5, numerical -0.75

- *Where the gradient vanishes*, at a minimum or far out on a flat side, there is nothing to
  compare.  `check` refuses such a point.
- *Where a term weighs nothing.*  A term with the coefficient 0 is not checked, and neither is the
  branch of a `clip` that no entry takes.  Turn on every term and visit every branch.
- *Beside something large.*  Errors are measured against the largest entry.  An entry 1e-8 times as
  large may be all wrong and pass the central differences; the complex step sees it down to 1e-12.
- *At another x.*  log(1 + exp(−x)) passes at x = 1 and overflows at x = −1000.  So put 1e4, −1e4
  and ordinary numbers into one x: with all slopes zero `check` would refuse.  At such an x rounding
  may exceed what central differences are allowed.  Then the report says so, and the complex step
  decides alone.
- *In another loss.*  A wrong loss with its own right gradient passes.  That the loss is the one in
  the paper needs another witness: a loop written as in the paper, or a case worked out by hand.

**A loss of your own** goes this way: a loop as in the paper, one case by hand, G, `backward`, then
the loop against the fast form, `check` at several random points, and logits of ±1e4.  The page
`docs/own_loss.md` does so for one loss, step by step, and says what to ask when a check fails.

**Exercises.**  `from minirl.kernel.gradcheck import *`
1. The loss is x₀² + x₁² at (1, 3), and its gradient has the wrong sign.  What is the error?
       check(lambda x: ((x * x).sum(), -2 * x), np.array([1., 3.]))
2. The slope of x |x| at 3 is 6.  What does the complex step find?
       by_complex_step(lambda x: ((x * abs(x)).sum(), None), np.array([3.]))
3. The slope of x² at 1 is 2.  What does the central difference find with h = 3e-16?
       by_differences(lambda x: ((x * x).sum(), None), np.ones(1), h=3e-16).round(4)

Read next: `evaluation`, the exact answers with which Part 2 begins.
Source: Squire and Trapp 1998, "Using complex variables to estimate derivatives of real functions",
SIAM Review 40.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks

CENTRAL, COMPLEX = 1e-7, 1e-12  # largest errors allowed, relative to the largest entry
SMALLEST = 1e-4  # In a gradient smaller than this, rounding alone comes near to what is allowed.
H, EPS = 1e-5, np.finfo(float).eps


def check(loss, x, *, complex_step=True) -> "Report":
    """Compare the gradient of `loss` at `x` with its numerical gradients: a `Report`.

    An error is |difference| over the largest slope; exactly 2 is a forgotten sign.  The report
    names the entry where it is largest; `by_complex_step(loss, x) - gradient` shows all of them.

    A loss that does not take complex numbers, or a gradient that is too small to compare, is
    refused by a ValueError.

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
    wrong gradient
      central differences: error 7.4e-01 > 1e-07 at (1,), by hand 0.731059, numerical 0.268941
    """
    x, value, by_hand = _asked(loss, x)
    central = by_differences(loss, x)
    checks.finite("the central differences of loss", central)
    exact = by_complex_step(loss, x) if complex_step else central
    scale = np.abs(central).max()
    noise = EPS / H * (abs(value) + np.abs(x).max() * scale)
    blunt = bool(noise > CENTRAL * scale)  # then central differences cannot decide
    scale = np.abs(exact).max() if blunt else scale
    least = max(SMALLEST, 0 if complex_step else noise / CENTRAL)
    if not scale >= least:
        raise ValueError(f"the largest slope of loss at x must be at least {least:.2g} to stand "
                         f"out from rounding, got {scale:.1e}: take another x")
    rows = (_compare("central differences", by_hand, central, scale, max(CENTRAL, noise / scale)),
            _compare("complex step", by_hand, exact, scale, COMPLEX))[:1 + complex_step]
    right = all(row.error <= row.allowed for row in rows[blunt:])
    differ = not right and not np.abs(central - exact).max() <= rows[0].allowed * scale
    note = ("\n  rounding is too large for central differences to decide" * blunt
            + "\n  these two differ: x is at a kink or a sharp bend, or a term of loss is not "
            "analytic (abs, norm, sign, real)" * differ)
    return Report("right gradient" if right else "undecided" if differ else "wrong gradient",
                  rows, note)


def by_differences(loss, x, *, h=H):
    """The gradient of `loss` by central differences, (gradcheck.1), shaped like `x`.

    Examples
    --------
    >>> by_differences(lambda x: (x[0] * x[1], "not looked at"), np.array([2., 3.])).round(6)
    array([3., 2.])
    """
    return np.reshape([(loss(x + h*e)[0] - loss(x - h*e)[0]) / (2*h) for e in _ones(x)], x.shape)


def by_complex_step(loss, x, *, h=1e-30):
    """The gradient of `loss` by the complex step, (gradcheck.2), shaped like `x`.

    `np.logaddexp` and `scipy.special.log_expit` refuse complex numbers, and `softmax.log_sigmoid`
    takes them.  `float` drops the imaginary part with a warning.  Since NumPy 2 `np.sign` of a
    complex x is x/|x|, which is not analytic.

    Examples
    --------
    >>> by_complex_step(lambda x: (x[0] * x[1], "not looked at"), np.array([2., 3.]))
    array([3., 2.])
    """
    try:
        values = [loss(x + 1j*h*e)[0] for e in _ones(x)]
        if not np.iscomplexobj(values):
            raise TypeError("the imaginary part is lost")
    except Exception as error:
        raise ValueError(f"loss does not take complex numbers ({error}): use softmax.log_sigmoid "
                         "for log σ, or check(…, complex_step=False) for central differences alone"
                         ) from error
    return np.imag(values).reshape(x.shape) / h


class Comparison(NamedTuple):
    """Where the gradient by hand and a numerical one differ most."""

    method: str
    error: float  # |by hand − numerical|, relative to the largest slope
    allowed: float
    entry: tuple  # its place in x
    by_hand: float
    numerical: float


class Report(NamedTuple):
    """What `check` has found: true if the gradient is right, so that `assert check(…)` works."""

    verdict: str  # right gradient, wrong gradient or undecided
    comparisons: tuple  # a `Comparison` for each method
    note: str

    def __bool__(self):
        return self.verdict == "right gradient"

    passed = property(__bool__)

    def __repr__(self):
        return self.verdict + "".join(
            f"\n  {row.method}: error {row.error:.1e} {'≤' if row.error <= row.allowed else '>'} "
            f"{row.allowed:.0e} at {row.entry}, by hand {row.by_hand:.6g}, numerical "
            f"{row.numerical:.6g}" for row in self.comparisons) + self.note


def _compare(method, by_hand, numerical, scale, allowed):
    errors = np.abs(by_hand - numerical) / scale
    i = tuple(map(int, np.unravel_index(errors.argmax(), errors.shape)))
    return Comparison(method, errors[i], allowed, i, by_hand[i], numerical[i])


def _asked(loss, x):
    """x as floats, and the value and the gradient there."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "iuf" or x.size == 0:
        raise ValueError(f"x must be an array of real numbers, at least one, got {x!r}")
    checks.finite("x", x)
    value, gradient = loss(x.astype(np.float64))
    for name, got, shape in ("value", value, ()), ("gradient", gradient, x.shape):
        checks.array(f"the {name} of loss", got, shape)
    return x.astype(np.float64), value, np.asarray(gradient)


def _ones(x):
    """For each entry of `x`, an array that is 1 there and 0 elsewhere."""
    places = np.arange(x.size).reshape(x.shape)
    return (places == i for i in range(x.size))
