"""A gradient says where downhill is, and an optimiser says how far to go.

*Part 3.  Previous: `scorecard`.  Next: `returns`.*

The chapters of Part 2 know the tables of the world.  A learner that only plays makes a loss L of
what it has seen, and `softmax.backward` gives the gradient g of this loss: its derivative in each
logit.  A small step against the gradient makes the loss smaller.  How long should the step be?

*Gradient descent* takes the gradient times a number α ≥ 0, the *learning rate*:

    θ ← θ − α g.                                                                           (optim.1)

The arrow says: put what is on the right in the place of θ.

**In numbers.**  Let there be one logit θ, with the loss L = θ²/2.  Its gradient is g = θ, so that
(optim.1) multiplies θ by 1 − α.  At α = ½ each step halves it: 3, 1½, ¾ and so on.  At α = 1 one
step reaches the minimum.  Above 2 each step leads further away.  If the loss were ten times as
large, each of these rates would be a tenth of what it is.  So the right α depends on the loss, and
on the logit too.

**Adam** makes the length of a step independent of such a factor.  It keeps two running means for
each logit, m of the gradient and v of its square.  Both start at 0.  An update keeps the share ν₁
of m and the share ν₂ of v.  The k-th update is

    m ← ν₁ m + (1 − ν₁) g,    m̂ = m / (1 − ν₁ᵏ),
    v ← ν₂ v + (1 − ν₂) g²,   v̂ = v / (1 − ν₂ᵏ),   θ ← θ − α m̂ / (√v̂ + eps).           (optim.2)

In code ν₁ is `beta1`, by default 0.9, and ν₂ is `beta2`, by default 0.999.  The number eps = 10⁻⁸
only keeps a logit at rest that never had a gradient: its step would be 0/0.

*Why divide by 1 − ν₁ᵏ?*  After three updates with the gradients g₁, g₂ and g₃,

    m = (1 − ν₁) (ν₁² g₁ + ν₁ g₂ + g₃).

The weights of a mean sum to 1.  These sum to (1 − ν₁)(ν₁² + ν₁ + 1) = 1 − ν₁³, since all powers
between cancel.  Divided by that sum, m̂ is a weighted mean of the gradients, whatever k is.  In the
same way v̂ is a weighted mean of their squares.

*The first step moves each logit by α.*  At k = 1 the divisors take the factors 1 − ν away again:
m̂ = g and v̂ = g².  The step is α g/|g|, but for eps: up or down by α, however large |g| is.

*The second step* depends on how well two gradients agree.  Take L = θ²/2 again, with θ = 3 and
α = ½.  The first step leads to θ = 2.5, which is then the second gradient.  The divisors of the
second step are 1 − 0.9² = 0.19 and 1 − 0.999² = 0.001999:

    k = 1   g = 3     m = 0.1 · 3                        m̂ = 0.3 / 0.1           step
                        = 0.3                              = 3                   −½ · 3/√9
                      v = 0.001 · 9                      v̂ = 0.009 / 0.001       = −0.5
                        = 0.009                            = 9

    k = 2   g = 2.5   m = 0.9 · 0.3 + 0.1 · 2.5          m̂ = 0.52 / 0.19         step
                        = 0.52                             = 2.7368              −½ · 2.7368/√7.6243
                      v = 0.999 · 0.009 + 0.001 · 6.25   v̂ = 0.015241 / 0.001999 = −0.4956
                        = 0.015241                         = 7.6243

In code θ is `x`.  The derivative of θ²/2 is θ itself, so that `x` stands twice in `step`, as the
logit and as its gradient:

>>> x, state = np.array([3.]), adam().init(np.array([3.]))
>>> for _ in range(2):
...     x, state = adam().step(x, x, state, 0.5)
...     print(x.round(4), state.mean.round(4), state.square.round(6))
[2.5] [0.3] [0.009]
[2.0044] [0.52] [0.015241]

These two gradients agree.  If the second one were −3, m would be 0.27 − 0.3 = −0.03, hence m̂ =
−0.03/0.19 = −0.1579, while v̂ would stay 9.  The second step would be short: ½ · 0.1579/3 = 0.0263.

**What Adam is good for, and what not.**  Gradients that are a thousandth as large make the same
steps, but for eps.  That suits a table.  Few steps of a batch are taken in a rare state, so that
the gradient of its logits is small, and they move as fast as the others all the same.  The price:
gradients that are nothing but noise still make steps in proportion to α, however small they are.
Where gradients are noisy, θ keeps jumping about the minimum under either optimiser, unless α falls
towards zero.

Each optimiser is a pair of functions.  `init(x)` makes the state that it keeps, and `step` takes x,
the gradient, the state and α, and returns a new x and a new state.  Nothing is changed in place.

**Schedules.**  A *hyperparameter* is a number that is chosen and not learned, such as α.  If it
should change over time, it may be a *schedule*: a function of the progress that *remains*, which
falls from 1 at the start of a run to 0 at its end.  So a schedule fits a run of any length.  (The
library Stable-Baselines3 does the same, and its schedules may be used here.)  `remaining` is the
progress, and `at` evaluates any schedule.  The commonest one is made by `linear`, from a start, an
end and the share of the run that it takes.  From 0.8 down to 0 in half of 400 iterations, every
hundredth iteration:

>>> fall = linear(0.8, 0.0, 0.5)
>>> [fall(remaining(iteration, 400)) for iteration in (0, 100, 200, 300, 400)]
[0.8, 0.4, 0.0, 0.0, 0.0]

**A limit.**  Some batch may happen to have a huge gradient, and one step along it may undo a
hundred.  Let ‖g‖ be the length of the gradient, the root of the sum of the squares of all entries.
A limit on it keeps the direction:

    g ← g · min(1, max_grad_norm / ‖g‖).                                                   (optim.3)

The gradient 3 4 has the length 5, and the limit 1 makes 0.6 0.8 of it.  In gradient descent this
limits the step to α · max_grad_norm.  The steps of Adam do not depend on the common length of all
gradients.  There the limit only keeps one batch from weighing more than others in m and v.

**Exercises.**  `from minirl.play.optim import *`
1. L = θ²/2 from θ = 3, with a learning rate slightly above 2.  Where is θ after nine steps?
       theta = 3.0
       for _ in range(9): theta, _ = gradient_descent().step(theta, theta, (), 2.1)

       round(theta, 4)
2. The gradient 6 8 is limited to the length 0.01.  Where does Adam go first, from 0 0 at α = 0.1?
       g, x = clip_norm(np.array([6., 8.]), 0.01), np.zeros(2)
       adam().step(x, g, adam().init(x), 0.1)[0].round(4)
3. A logit has the gradient 1 once and then 0, 99 times.  How far does Adam move it at α = 0.1?
       x, state = np.zeros(1), adam().init(np.zeros(1))
       for k in range(100): x, state = adam().step(x, np.array([float(k == 0)]), state, 0.1)

       x.round(2)

Read next: `returns`, what a step has earned.
Source: Kingma and Ba 2015, "Adam", arXiv:1412.6980, algorithm 1; Pascanu et al. 2013, "On the
difficulty of training recurrent neural networks", arXiv:1211.5063, algorithm 1, for (optim.3).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.kernel import checks


class Optimiser(NamedTuple):
    """`init(x) -> state` and `step(x, grad, state, learning_rate) -> (x, state)`."""

    init: Callable
    step: Callable


def gradient_descent() -> Optimiser:
    """The optimiser (optim.1).  It keeps nothing: its state is an empty tuple.

    Examples
    --------
    >>> descent = gradient_descent()
    >>> x, state = descent.step(np.array([3.0]), np.array([2.0]), descent.init(None), 0.5)
    >>> print(x)
    [2.]
    """
    return Optimiser(init=lambda x: (),
                     step=lambda x, grad, state, learning_rate: (x - learning_rate * grad, state))


@storable
class AdamState(NamedTuple):
    """The running means of (optim.2) and the number of updates."""

    mean: np.ndarray    # m
    square: np.ndarray  # v
    count: int          # k


def adam(*, beta1=0.9, beta2=0.999, eps=1e-8) -> Optimiser:
    """The optimiser (optim.2): ν₁ is beta1 and ν₂ is beta2, both in [0, 1); eps > 0.

    Examples
    --------
    >>> optimiser = adam()
    >>> x = np.array([3.0, 3.0, 3.0])
    >>> x, state = optimiser.step(x, np.array([2.0, -0.01, 0.0]), optimiser.init(x), 0.5)
    >>> print(x.round(4))
    [2.5 3.5 3. ]
    """
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(f"beta1 and beta2 must lie in [0, 1), got {beta1} and {beta2}")
    checks.positive("eps", eps)

    def init(x):
        return AdamState(np.zeros_like(x), np.zeros_like(x), 0)

    def step(x, grad, state, learning_rate):
        mean = beta1 * state.mean + (1 - beta1) * grad
        square = beta2 * state.square + (1 - beta2) * grad**2
        count = state.count + 1
        unbiased_mean = mean / (1 - beta1**count)
        unbiased_square = square / (1 - beta2**count)
        x = x - learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + eps)
        return x, AdamState(mean, square, count)

    return Optimiser(init, step)


def clip_norm(grad, max_grad_norm):
    """(optim.3): the gradient, not longer than max_grad_norm; a limit of infinity changes nothing.

    Examples
    --------
    >>> print(clip_norm(np.array([3., 4.]), 1.0), clip_norm(np.array([3., 4.]), np.inf))
    [0.6 0.8] [3. 4.]
    """
    checks.positive("max_grad_norm", max_grad_norm, finite=False)
    norm = np.sqrt((grad * grad).sum())  # unlike BLAS, the same with any number of threads
    return grad * (max_grad_norm / norm) if norm > max_grad_norm else grad


class Linear(NamedTuple):
    """A schedule, see `linear`."""

    start: float
    end: float
    end_fraction: float

    def __call__(self, progress):
        """The value where so much progress remains."""
        return self.start + (self.end - self.start) * min((1 - progress) / self.end_fraction, 1.0)


def linear(start, end, end_fraction=1.0) -> Linear:
    """The schedule that goes from `start` to `end` in the first part of a run, and stays there.

    `end_fraction`, in (0, 1], says how large that part is.  As in Stable-Baselines3.

    Examples
    --------
    >>> rate = linear(1.0, 0.0, 0.5)
    >>> rate(1.0), rate(0.75), rate(0.0)
    (1.0, 0.5, 0.0)
    >>> rate
    Linear(start=1.0, end=0.0, end_fraction=0.5)
    """
    if not 0 < end_fraction <= 1:
        raise ValueError(f"end_fraction must lie in (0, 1], got {end_fraction}")
    checks.finite("start", start)
    checks.finite("end", end)
    return Linear(start, end, end_fraction)


def remaining(iteration, iterations):
    """The progress remaining after an iteration: from 1 down to 0 at `iterations`, and 0 after.

    Examples
    --------
    >>> [remaining(iteration, 100) for iteration in (0, 50, 100, 200)]
    [1.0, 0.5, 0.0, 0.0]
    """
    return max(1 - iteration / checks.whole("iterations", iterations), 0.0)


def at(value, progress):
    """A hyperparameter where so much progress remains: a number is itself, a function a schedule.

    Examples
    --------
    >>> at(0.3, 0.25), at(lambda progress: 2 * progress, 0.25)
    (0.3, 0.5)
    """
    return value(progress) if callable(value) else value


def coefficient(name, value, progress):
    """`at`, for a learning rate or the weight of a term of a loss, which must not be negative.

    Examples
    --------
    >>> coefficient("learning_rate", lambda progress: 2 * progress, 0.25)
    0.5
    """
    number = at(value, progress)
    checks.not_negative(name, number)
    return number
