"""Going downhill: gradient descent, Adam, and SciPy's quasi-Newton method for deterministic fits.

A loss gives a direction; an optimiser turns directions into steps.  Gradient descent with learning
rate α takes the plain one,

    θ ← θ − α g.                                                                           (optim.1)

Adam keeps running means m of the gradient and v of its square, corrects both for having started at
zero, and takes steps of nearly the same length in every coordinate,

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,
    θ ← θ − α m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ).                    (optim.2)

So its first step has length α wherever the gradient is not zero.  That suits a table: a pair
visited once in a thousand steps moves as fast as a common one.  It also means that noise is
amplified where there is little signal, and that α must fall towards zero if the iterates are to
settle.

Both are pairs of functions, `init` and `step`, on plain arrays.  Nothing is mutated: the state goes
in and a new state comes out.  Where a hyperparameter should change over time, a trainer takes a
function of the iteration number in its place: `linear` makes the commonest one, `at` evaluates it.

Where a loss is deterministic and smooth, as in every fit to a fixed data set, there is no reason to
tune a learning rate: `minimise` hands the pair (loss, gradient) to SciPy's L-BFGS-B.  That method
begins as if the loss curved alike in all directions, and learns the truth from its steps.  A letter
pair seen in a thousand strings curves a loss a thousand times as much as one seen once.  Where h,
about the diagonal of the Hessian, is known beforehand, search in the variables

    z = θ √h,   ∂L/∂z = g/√h,                                                              (optim.5)

in which all directions do curve about alike.

With few data a maximum-likelihood table runs away: a pair seen only in preferred strings wants an
infinite weight.  `attracted` is the remedy used in this book: it adds to a loss

    (w/2) Σ (θ − c)²,   with the gradient w (θ − c).                                       (optim.3)

A batch of play may happen to have a huge gradient, and one step along it may undo a hundred.  A
limit M on its length keeps the direction,

    g ← g · min(1, M / ‖g‖).                                                               (optim.4)

Before gradient descent that is a limit on the step.  Before Adam, whose steps do not depend on the
length of all gradients together, it only keeps the batch from weighing more than others in m and v.

Read next: any chapter that learns.
Source: Kingma and Ba 2015, "Adam", arXiv:1412.6980, algorithm 1; Pascanu et al. 2013, "On the
difficulty of training recurrent neural networks", arXiv:1211.5063, algorithm 1, for (optim.4).
"""

from typing import Callable, NamedTuple

import numpy as np
from scipy import optimize


class Optimiser(NamedTuple):
    """`init(x) -> state` and `step(x, grad, state, learning_rate) -> (x, state)`."""

    init: Callable
    step: Callable


def at(value, iteration):
    """A hyperparameter in a given iteration: a number is itself, a function is a schedule.

    Examples
    --------
    >>> at(0.5, 10), at(lambda iteration: 1 / iteration, 10)
    (0.5, 0.1)
    """
    return value(iteration) if callable(value) else value


def coefficient(name, value, iteration):
    """`at`, for a learning rate or the weight of a term of a loss.

    Raises
    ------
    ValueError
        By name, if it is negative or not finite in this iteration.

    Examples
    --------
    >>> coefficient("learning_rate", lambda iteration: 1 / iteration, 10)
    0.1
    """
    number = at(value, iteration)
    if not 0 <= number < np.inf:
        raise ValueError(f"{name} must be finite and not negative, got {number} in iteration "
                         f"{iteration}")
    return number


class Linear(NamedTuple):
    """A schedule, see `linear`."""

    first: float
    last: float
    iterations: int

    def __call__(self, iteration):
        """The value in an iteration."""
        return self.first + (self.last - self.first) * min(iteration / self.iterations, 1.0)


def linear(first, last, iterations):
    """The schedule that goes from `first` to `last` in a number of iterations, and stays there.

    Raises ValueError if `iterations` is not positive.

    Examples
    --------
    >>> rate = linear(1.0, 0.0, 10)
    >>> rate(0), rate(5), rate(20)
    (1.0, 0.5, 0.0)
    >>> rate
    Linear(first=1.0, last=0.0, iterations=10)
    """
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    return Linear(first, last, iterations)


def clip_norm(grad, max_grad_norm):
    """(optim.4): the gradient, no longer than M in the Euclidean norm of all its entries.

    Raises
    ------
    ValueError
        If the limit is not positive; infinity is allowed, and changes nothing.

    Examples
    --------
    >>> print(clip_norm(np.array([3., 4.]), 1.0), clip_norm(np.array([3., 4.]), np.inf))
    [0.6 0.8] [3. 4.]
    """
    if not max_grad_norm > 0:
        raise ValueError(f"max_grad_norm must be positive, got {max_grad_norm}")
    norm = np.linalg.norm(grad)
    return grad * (max_grad_norm / norm) if norm > max_grad_norm else grad


class AdamState(NamedTuple):
    """The running means of (optim.2) and the number of steps taken."""

    mean: np.ndarray
    square: np.ndarray
    count: int


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


def adam(*, beta1=0.9, beta2=0.999, eps=1e-8):
    """The optimiser (optim.2).

    Parameters
    ----------
    beta1, beta2 : float in [0, 1)
        Memory of the two running means.
    eps : float > 0
        Keeps a coordinate that never had a gradient at rest.

    Raises
    ------
    ValueError
        If a parameter is out of range.

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
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")

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


def attracted(loss, centre, weight):
    """`loss` plus the attraction (optim.3), again a function x -> (value, gradient).

    Raises
    ------
    ValueError
        If the weight is negative.

    Examples
    --------
    >>> bowl = attracted(lambda x: (x.sum(), np.ones(2)), np.array([1.0, 1.0]), 0.5)
    >>> value, grad = bowl(np.array([3.0, 1.0]))
    >>> print(value, grad)
    5.0 [2. 1.]
    """
    if not 0 <= weight < np.inf:
        raise ValueError(f"weight must be finite and not negative, got {weight}")

    def total(x):
        value, grad = loss(x)
        return value + weight / 2 * ((x - centre) ** 2).sum(), grad + weight * (x - centre)

    return total


class Fit(NamedTuple):
    """What a deterministic fit found."""

    x: np.ndarray     # the minimiser, in the shape of the start
    loss: float       # the loss there
    evaluations: int  # how often the loss was evaluated
    converged: bool   # False: stopped at the limit of iterations, or could go no lower


def minimise(loss, start, *, tol=1e-7, max_iterations=10_000, curvature=None):
    """Minimise a smooth loss by L-BFGS-B.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (value, gradient shaped like x)`.
    start : array
        Where to begin; any shape.
    tol : float > 0
        Stop when no entry of the gradient is larger.
    max_iterations : int
        Give up after this many iterations.
    curvature : array ≥ 0, shaped like `start`, optional
        h of (optim.5), up to a factor; 0 where the loss is flat.  A wrong one costs time and does
        not move the minimum.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If the curvature does not fit, is negative or not finite.

    Examples
    --------
    >>> bowl = minimise(lambda x: (((x - 1) ** 2).sum(), 2 * (x - 1)), np.zeros((2, 2)))
    >>> print(bowl.x.round(6), bowl.converged)
    [[1. 1.]
     [1. 1.]] True
    """
    unit = np.ones(start.shape) if curvature is None else _unit(curvature, start.shape)

    grad = None

    def scaled(z):
        nonlocal grad
        value, grad = loss(z.reshape(start.shape) / unit)
        return value, (grad / unit).ravel()

    def stop(z):  # `tol` is about g, and what SciPy sees is g/√h
        if np.abs(grad).max() <= tol:
            raise StopIteration

    found = optimize.minimize(scaled, (start * unit).ravel(), jac=True, method="L-BFGS-B",
                              callback=stop,
                              options={"gtol": tol, "ftol": 0.0, "maxcor": 20,
                                       "maxiter": max_iterations, "maxfun": 2 * max_iterations})
    converged = bool(np.abs(found.jac * unit.ravel()).max() <= tol)
    return Fit(found.x.reshape(start.shape) / unit, float(found.fun), int(found.nfev), converged)


def _unit(curvature, shape):
    """√h of (optim.5), at most 1, so that no entry of g is larger than that of g/√h."""
    if curvature.shape != shape or not ((curvature >= 0) & (curvature < np.inf)).all():
        raise ValueError(f"curvature must be finite, not negative and of shape {shape}, got "
                         f"{curvature}")
    return np.sqrt(np.where(curvature > 0, curvature / max(curvature.max(), 1e-300), 1.0))


def minimise_near(loss, centre, *, pull, examples, start=None, tol=1e-7, curvature=None):
    """Minimise a mean over examples, `attracted` to a table as by a Gaussian prior around it.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (value, gradient shaped like x)`, a mean over B examples.
    centre : array
        What attracts.
    pull : float ≥ 0
        Precision of the prior on each entry; its share of the mean loss is pull/B, so that its
        influence fades as the data grow.  0 is the plain minimum, which may not exist.
    examples : int
        B.
    start : array, optional
        Where to begin; by default at the centre.
    tol : float > 0
        As for `minimise`.
    curvature : array, optional
        Of the loss, without the prior: as for `minimise`, but not up to a factor.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If pull is negative, or as `minimise`.

    Examples
    --------
    Four examples whose mean squared distance is least at 3, and a prior as strong as two of them:

    >>> fit = minimise_near(lambda x: (((x - 3)**2 / 2).sum(), x - 3), np.zeros(1), pull=2,
    ...                     examples=4)
    >>> print(fit.x.round(4))
    [2.]
    """
    if not 0 <= pull < np.inf:
        raise ValueError(f"pull must be finite and not negative, got {pull}")
    share = pull / max(examples, 1)  # an empty batch is refused by the loss
    return minimise(attracted(loss, centre, share), centre if start is None else start,
                    tol=tol, curvature=None if curvature is None else curvature + share)
