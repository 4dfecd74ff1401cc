"""Going downhill: gradient descent, Adam, and schedules.

*Part 3.  Previous: `scorecard`.  Next: `returns`.*

A loss gives a direction; an optimiser turns directions into steps.  Gradient descent with learning
rate α takes the plain one,

    θ ← θ − α g.                                                                           (optim.1)

Adam keeps running means m of the gradient and v of its square, corrects both for having started at
zero, and takes steps of nearly the same length in every coordinate,

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,
    θ ← θ − α m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ).                    (optim.2)

So its first step has length α wherever the gradient is not zero.  That suits a table: an entry
visited once in a thousand steps moves as fast as a common one.  It also means that noise is
amplified where there is little signal, and that α must fall towards zero if the iterates are to
settle.

Each is two functions, `init` and `step`, on plain arrays.  Nothing is mutated: the state goes
in and a new state comes out.

Where a hyperparameter should change over time, a trainer takes a *schedule* in its place: a
function of the progress remaining, which falls from 1 at the start of a run to 0 at its end.  That
is the convention of Stable-Baselines3, and its schedules may be used here.  A schedule so fits a
run of any length.  `linear` makes the commonest one, `remaining` is the progress, and `at`
evaluates a schedule.

A batch of play may happen to have a huge gradient, and one step along it may undo a hundred.  A
limit M on its length keeps the direction,

    g ← g · min(1, M / ‖g‖).                                                               (optim.3)

Before gradient descent that is a limit on the step.  Before Adam, whose steps do not depend on the
length of all gradients together, it only keeps the batch from weighing more than others in m and v.

Read next: any chapter that learns.  Compare: `fitting`, which needs no learning rate.
Source: Kingma and Ba 2015, "Adam", arXiv:1412.6980, algorithm 1; Pascanu et al. 2013, "On the
difficulty of training recurrent neural networks", arXiv:1211.5063, algorithm 1, for (optim.3).
"""

from typing import Callable, NamedTuple

import numpy as np

from minirl.kernel import checks


class Optimiser(NamedTuple):
    """`init(x) -> state` and `step(x, grad, state, learning_rate) -> (x, state)`."""

    init: Callable
    step: Callable


def gradient_descent():
    """The optimiser (optim.1).  It has no state.

    Examples
    --------
    >>> descent = gradient_descent()
    >>> x, state = descent.step(np.array([3.0]), np.array([2.0]), descent.init(None), 0.5)
    >>> print(x)
    [2.]
    """
    return Optimiser(init=lambda x: (),
                     step=lambda x, grad, state, learning_rate: (x - learning_rate * grad, state))


class AdamState(NamedTuple):
    """The running means of (optim.2) and the number of steps taken."""

    mean: np.ndarray
    square: np.ndarray
    count: int


def adam(*, beta1=0.9, beta2=0.999, eps=1e-8):
    """The optimiser (optim.2), with beta1 and beta2 in [0, 1).

    eps > 0 keeps a coordinate that never had a gradient at rest.

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
    """(optim.3): the gradient, no longer than M in the Euclidean norm of all its entries.

    A limit of infinity changes nothing.

    Examples
    --------
    >>> print(clip_norm(np.array([3., 4.]), 1.0), clip_norm(np.array([3., 4.]), np.inf))
    [0.6 0.8] [3. 4.]
    """
    checks.positive("max_grad_norm", max_grad_norm, finite=False)
    norm = np.linalg.norm(grad)
    return grad * (max_grad_norm / norm) if norm > max_grad_norm else grad


class Linear(NamedTuple):
    """A schedule, see `linear`."""

    start: float
    end: float
    end_fraction: float

    def __call__(self, progress):
        """The value where so much progress remains."""
        return self.start + (self.end - self.start) * min((1 - progress) / self.end_fraction, 1.0)


def linear(start, end, end_fraction=1.0):
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
