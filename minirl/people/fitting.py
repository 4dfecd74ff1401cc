"""How is the lowest point of a loss found without a learning rate?

*Part 4, a side road.  Previous: `ppo_kl`.  Next: `pairs`.*

In Part 3 the policy played new batches, and each batch made another loss.  In Part 4 most data are
fixed, such as a list of pairs, and one loss can be asked again and again.  Then nobody has to tune
a learning rate, since the loss itself says how long a step should be.  `minimise` hands it to
SciPy's L-BFGS-B.  This chapter says what that method does, how to help it, and what to do where a
loss has no lowest point.

**In two numbers.**  Fit x = (x_0, x_1) to two measurements: 10 x_0 should be 20, and x_1 should be
3.  The loss is the mean of half the squared errors,

    L = ½ [½ (10 x_0 − 20)² + ½ (x_1 − 3)²],   ∂L/∂x = (5 (10 x_0 − 20), ½ (x_1 − 3)).

The lowest point is x = (2, 3).  The *curvature* of a loss is its second derivative, here 50 in x_0
and ½ in x_1.  A step of gradient descent multiplies the error of x_0 by 1 − 50 · rate, where `rate`
is the learning rate, and that of x_1 by 1 − ½ · rate.  For the first not to grow, the rate must be
below 2/50 = 0.04.  Then the second shrinks to 0.98 of itself at best, and takes 798 steps to become
1e-7 of itself:

>>> print(np.log(1e-7) / np.log(0.98))
797.8...

*Newton's method* divides the slope by the curvature.  From x = 0 the slopes are −100 and −1.5, and
the steps 100/50 = 2 and 1.5/½ = 3 lead to the lowest point at once, because this loss is a parabola
in each direction.  A *quasi-Newton* method does the same with a curvature that it has observed: the
change of the slope over a move.  From x_0 = 0 to 1 the slope went from −100 to −50, so the
curvature is 50/1, and the next step is 50/50 = 1.  L-BFGS-B remembers the last twenty moves and
changes of the gradient, for tables of any size.

>>> def loss(x):
...     error = np.array([10 * x[0] - 20, x[1] - 3])
...     return (error**2).sum() / 4, np.array([5 * error[0], error[1] / 2])
>>> fit = minimise(loss, np.zeros(2))
>>> print(fit.x.round(4), fit.converged, fit.evaluations < 20)
[2. 3.] True True

**In the units of the curvature.**  Before its first move the method takes the loss to curve alike
in all directions.  Where the `curvature`, about the diagonal of the second derivatives, is known
beforehand, search in the variables

    scaled = x √curvature,   ∂L/∂scaled = (∂L/∂x)/√curvature,                            (fitting.1)

where the second formula is the chain rule.  In the example scaled = (√50 x_0, √½ x_1), and

    L = ½ (scaled_0 − 2 √50)² + ½ (scaled_1 − 3 √½)²,

which curves by 1 in both.  For a loss in general all directions curve about alike then.  An entry
that is seen in a thousand strings curves a loss a thousand times as much as one that is seen once.

**The pull.**  With few data a fit may run away: an entry that only occurs in preferred strings
grows without end.  `attracted` is the remedy used in this book.  It adds to a loss a term that
pulls towards a table, the centre:

    (weight/2) Σ (x − centre)²,   with the gradient weight (x − centre).                 (fitting.2)

It has the curvature `weight` in all directions.  A chapter names the `pull`, and the weight is
pull/B for B examples.  The pull is the *precision* (one over the variance) of a Gaussian belief
about each entry, held before the data.  Many examples outweigh it.  In the example let the pull be
1, so that the weight is ½, and the centre 0.  The gradient is zero where 50 (x_0 − 2) + ½ x_0 = 0
and ½ (x_1 − 3) + ½ x_1 = 0, at x_0 = 100/(50 + ½) = 1.9802 and x_1 = 1.5.  What the data know well
hardly moves.  What they know no better than the belief goes half the way:

>>> print(minimise_near(loss, np.zeros(2), pull=1, examples=2).x.round(4))
[1.9802 1.5   ]

**Where the curvature comes from.**  A loss is often a mean of f_i(m_i), with m = D x for a matrix D
of B rows.  In the example these are (10, 0) and (0, 1), and f_i is half the squared distance of m_i
from measurement i.  The first derivative of the loss in an entry of x is (1/B) Σ_i f_i′(m_i) D_i,
where D_i is what row i has there.  The second one is (1/B) Σ_i f_i″(m_i) D_i².  With one number f″
for all f_i″ that is a sum of squares,

    curvature = f″ (1/B) Σ_i D_i²,                                                       (fitting.3)

which is 1 · ½ · 10² = 50 and 1 · ½ · 1² = ½ in the example (`mean_squares`):

>>> from scipy.sparse import csr_array
>>> print(mean_squares(csr_array([[10., 0.], [0., 1.]]), (2,)))
[50.   0.5]

With a pull its weight is added, and then the factor f″ matters.  Where logits are fitted, D
multiplies log π instead of x, and the softmax takes a mean out of each row.  So there are
directions in which D sees nothing and the weight is all that curves, while (fitting.3) says more.
DPO and IPO take a sixteenth of it, which was the best of the factors tried.  On 10,000 pairs of the
running example DPO, IPO and ORPO then need from a fifth to two fifths fewer evaluations than
without it.  With 3,000 pairs and a weak pull of 0.2, IPO needs half as many again or more.

**Where there is no lowest point**, a loss falls for ever, mostly like e^−x, and so does its slope.
A search stops all the same, as soon as the slope is small: at 1e-7 it has come to x = log 10⁷ =
16.1.  But ask for a hundredth of that slope, and x goes on by log 100 = 4.6, where at a minimum it
would hardly move.  So fits without a pull ask once more (`minimise_lasting`), and have not
`converged` if anything moves.  One long step may take an entry so far that nothing of its slope is
left to ask for.  So all entries are moved on by a small part of their way, and those that are far
away must then have a slope.  At a minimum they have one, and where the loss is flat they have none.

**Exercises.**  `from minirl.people.fitting import *`
1. One measurement of 10 and a pull of 1 towards 0: where does a fit end?  And with 99 more
   measurements of 10?
       tens = lambda x: (((x - 10)**2 / 2).sum(), x - 10)
       [minimise_near(tens, np.zeros(1), pull=1, examples=B).x.round(2).tolist() for B in (1, 100)]
2. Somebody says that the loss curves a million times as much in x_0 as it does.  Is the fit wrong?
       bowl = lambda x: (((x - 3)**2).sum(), 2 * (x - 3))
       minimise(bowl, np.zeros(2), curvature=np.array([2e6, 2.0])).x.round(4)
3. log(1 + e^−x) falls for ever.  Which of these two searches says that it has converged?
       falls = lambda x: (np.log1p(np.exp(-x)).sum(), -1 / (1 + np.exp(x)))
       minimise(falls, np.zeros(1)).converged, minimise_lasting(falls, np.zeros(1)).converged

Read next: `pairs`, the data of the fits.
Source: Byrd et al. 1995, "A limited memory algorithm for bound constrained optimization".
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import optimize

from minirl.checkpoints import storable
from minirl.kernel import checks
from minirl.kernel.softmax import difference

FAR = 36.0  # from where on e^{−x} is about the rounding of 1


@storable
class Fit(NamedTuple):
    """What a deterministic fit found."""

    x: np.ndarray     # the minimiser, in the shape of the start
    loss: float       # the loss there
    evaluations: int  # how often the loss was evaluated
    converged: bool   # False: stopped at the limit of iterations, could go no lower, or no minimum


def minimise(loss, start, *, tol=1e-7, max_iterations=10_000, curvature=None, until=None) -> Fit:
    """Minimise a smooth loss by L-BFGS-B, from an array `start` of any shape: a `Fit`.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (value, gradient shaped like x)`.
    start : array
        An entry of −∞ stays as it is: an action that is not available is not learned.
    tol : float > 0
        Stop when no entry of the gradient is larger.
    max_iterations : int
    curvature : array ≥ 0, shaped like `start`, optional
        That of (fitting.1), up to a factor; 0 where the loss is flat.  A wrong one costs time and
        does not move the minimum.
    until : callable, optional
        `until(x) -> bool`: stop as soon as it is true, too.

    Examples
    --------
    >>> bowl = minimise(lambda x: (((x - 1) ** 2).sum(), 2 * (x - 1)), np.zeros((2, 2)))
    >>> print(bowl.x.round(6), bowl.converged)
    [[1. 1.]
     [1. 1.]] True
    """
    checks.positive("tol", tol)
    start, most = checks.floats("start", start), checks.whole("max_iterations", max_iterations)
    free = start != -np.inf
    if not free.any():
        raise ValueError(f"start must not be −∞ everywhere, got {start}")
    curved = np.ones(start.shape) if curvature is None else curvature
    if curved.shape != start.shape or not ((curved >= 0) & (curved < np.inf)).all():
        raise ValueError(f"curvature must be finite, not negative and of shape {start.shape}, got "
                         f"{curvature}")
    # At most 1, so that no entry of ∂L/∂x is larger than that of ∂L/∂scaled.
    unit = np.sqrt(np.where(curved > 0, curved / max(curved.max(), 1e-300), 1.0))[free]
    grad = None

    def table(scaled):
        x = start.copy()
        x[free] = scaled / unit
        return x

    def scaled_loss(scaled):
        nonlocal grad
        value, grad = loss(table(scaled))
        return value, grad[free] / unit

    def stop(scaled):  # `tol` is about ∂L/∂x, and what SciPy sees is ∂L/∂scaled.
        if np.abs(grad).max() <= tol or until is not None and until(table(scaled)):
            raise StopIteration

    found = optimize.minimize(
        scaled_loss, start[free] * unit, jac=True, method="L-BFGS-B", callback=stop,
        options={"gtol": tol, "ftol": 0.0, "maxcor": 20, "maxiter": most, "maxfun": 2 * most})
    converged = bool(np.abs(found.jac * unit).max() <= tol and np.isfinite(found.fun))
    return Fit(table(found.x), float(found.fun), int(found.nfev), converged)


def minimise_near(loss, centre, *, pull, examples, start=None, tol=1e-7, curvature=None) -> Fit:
    """Minimise a mean over examples, `attracted` to a table as by a Gaussian prior: a `Fit`.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (value, gradient shaped like x)`, a mean over B examples.
    centre : array
        What attracts.
    pull : float ≥ 0
        Precision of the prior on each entry; its share of the mean loss is pull/B, so that its
        influence fades as the data grow.  0 is the plain minimum; if there is none, the fit has not
        `converged`.
    examples : int ≥ 1
        B.
    start : array, optional
        Where to begin; by default at the centre.
    tol, curvature
        As for `minimise`; the curvature is that of the loss without the prior, to which pull/B is
        added.

    Examples
    --------
    Four examples whose mean squared distance is least at 3, and a prior as strong as two of them:

    >>> fit = minimise_near(lambda x: (((x - 3)**2 / 2).sum(), x - 3), np.zeros(1), pull=2,
    ...                     examples=4)
    >>> print(fit.x.round(4))
    [2.]
    """
    checks.not_negative("pull", pull)
    share = pull / checks.whole("examples", examples)
    fit = minimise if pull > 0 else partial(minimise_lasting, centre=centre)
    return fit(attracted(loss, centre, share), centre if start is None else start, tol=tol,
               curvature=None if curvature is None else curvature + share)


def minimise_lasting(loss, start, *, tol=1e-7, curvature=None, centre=None) -> Fit:
    """As `minimise`, but `converged` only if x hardly moves for a hundredth of its gradient.

    What moves may be spread over many entries, so that a tenth in one of them is too much, and then
    nobody follows it further.  And if all entries go on by a twentieth to a tenth of their way from
    the centre, by default the start, those that are far must have a gradient there.

    Examples
    --------
    >>> tail = lambda x: (np.exp(-x).sum(), -np.exp(-x))
    >>> print(minimise(tail, np.zeros(1)).converged, minimise_lasting(tail, np.zeros(1)).converged)
    True False
    """
    found = minimise(loss, start, tol=tol, curvature=curvature)
    free, left = found.x != -np.inf, np.abs(loss(found.x)[1]).max()
    way = difference(found.x, np.asarray(start if centre is None else centre), free)
    # The parts of their ways are as irregular as roots are, so that no sum of them cancels exactly.
    more = (1 + np.sqrt(np.arange(1, way.size + 1) / way.size)).reshape(way.shape) / 20
    felt = np.abs(loss(found.x + more * way)[1]) > tol
    rests = found.converged and felt[np.abs(way) > FAR].all()
    if rests and left > 0:
        def moves(x):
            return np.abs(x[free] - found.x[free]).max() >= 0.1

        rests = not moves(minimise(loss, found.x, tol=left / 100, curvature=curvature,
                                   until=moves).x)
    return found._replace(converged=bool(rests))


def mean_squares(rows, shape):
    """(1/B) Σ_i D_i² of (fitting.3), in the `shape` of x, from the CSR rows of D (B, x.size).

    A column that a row lists twice counts twice, as if its entries had different signs.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> print(mean_squares(csr_array([[1.0, 0.0], [-1.0, 2.0]]), (1, 2)))
    [[1. 2.]]
    """
    sums = np.bincount(rows.indices, rows.data**2, np.prod(shape, dtype=int))
    return sums.reshape(shape) / rows.shape[0]


def attracted(loss, centre, weight):
    """`loss` plus the attraction (fitting.2), again a function x -> (value, gradient).

    Examples
    --------
    >>> bowl = attracted(lambda x: (x.sum(), np.ones(2)), np.array([1.0, 1.0]), 0.5)
    >>> value, grad = bowl(np.array([3.0, 1.0]))
    >>> print(value, grad)
    5.0 [2. 1.]
    """
    checks.not_negative("weight", weight)
    centre = checks.floats("centre", centre)
    if not (centre < np.inf).all():
        raise ValueError(f"centre must be finite or −∞, got {centre}")

    def total(x):
        checks.shape("centre", centre, np.shape(x))
        value, grad = loss(x)
        away = difference(x, centre, centre != -np.inf)
        return value + weight / 2 * (away**2).sum(), grad + weight * away

    return total
