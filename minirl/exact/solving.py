"""Solving: when does a world's linear equation have an answer, and how sure is it?

*Part 2, a side road.  Previous: `gradcheck`.  Next: `evaluation`.*

This side road makes the answers of Part 2 certain.  `evaluation` solves V = r_π + γ P_π V for the
values of a policy, and a similar equation for its visits.  Both have the form x = c + M x, with a
matrix M whose entries are not negative.  The answer that is meant is the sum of a series,

    x = c + M c + M² c + …,   if it converges.

**Spectral radius.**  The *spectral radius* of M is the largest absolute value of its eigenvalues.
Mᵏ grows or shrinks like its kth power.  Take M with the rows (0, 2) and (⅛, 0).  M² is ¼ of the
identity matrix, so the radius is ½, although one entry is 2.  With c = (1, 1) the equations are x₀
= 1 + 2 x₁ and x₁ = 1 + x₀/8, and the answer is x = (4, 1½).  With 2 in the place of ⅛, M² is 4
times the identity and the series has no end.  The equations x₀ = 1 + 2 x₁, x₁ = 1 + 2 x₀ have a
solution all the same, x = (−1, −1), but it means nothing: a sum of positive terms is not negative.

>>> for corner in 1/8, 2:
...     print(solve(sparse.csr_array([[0, 2], [corner, 0]]), np.ones(2)))
[4.  1.5]
None

**A certificate.**  So one has to know that the radius is below one.  For that no eigenvalue has to
be computed.  There is a *certificate*, which is easy to check and proves it, and it costs one more
right side:

    the radius of M is below one if some x > 0 solves x = c + M x with a c > 0.          (solving.1)

*Proof.*  Let factor be 1 minus the smallest of the quotients c/x.  They are positive, so factor < 1
and M x = x − c ≤ factor · x.  As M ≥ 0 keeps inequalities, Mᵏ x ≤ factorᵏ x, which goes to 0.  Any
other right side lies between two multiples of x.  So the terms of its series go to 0 at least as
fast, and the series converges.  An eigenvector is such a right side, or two, its real and imaginary
parts.  Its terms are the powers of its eigenvalue times itself.  So these powers go to 0, and the
radius is below one.

If the radius is below one, there is such an x for every c > 0: the series, which is no smaller than
its first term.  So `solve` takes c = 1, in every entry, beside the c of the question.  It refuses
to answer where an entry of this x is not positive.  Where M holds the chances of going on from
state to state, this x is the expected length of an episode.

**Three ways to solve.**  Up to 1,000 unknowns `solve` takes NumPy's dense solver, above that sparse
LU factors.  Where these would fill up, as with the long contexts of a language model, it adds up
the series.  When may that stop?  Let largest_k be the largest entry of Mᵏ 1; for chances of going
on it is the chance of still playing after k steps.  Since Mᵏ 1 ≤ largest_k · 1, also M^(k+j) 1 ≤
largest_k Mʲ 1, and largest_{k+j} ≤ largest_k largest_j.  The terms from the kth on come in blocks
of k, and each block is at most largest_k times the one before.  If largest_k is below one, their
sum is at most

    largest_k (largest_0 + … + largest_{k−1}) / (1 − largest_k)                          (solving.2)

times the largest |c|.  That is the certificate.  As soon as one more M makes no entry of Mᵏ 1
smaller, the radius is one or more, and the sum has no end.  200,000 terms are enough up to a radius
of 0.9998.

**By sweeps.**  The oldest way to the values of a policy repeats

    V ← r_π + γ P_π V,   from V = 0.                                                     (solving.3)

When does it stop?  A sweep leaves at most γ times the largest difference between two tables.  So
the next change is at most γ times the last one, the one after that γ² times, and so on.  All
changes still to come sum to

    (γ + γ² + …) change = change γ / (1 − γ)                                             (solving.4)

at most, where change is the largest |change| of the last sweep.  At γ = 1 this bound is void.
There a sweep may change little because it is nearly done, or because the episodes are long, and
nothing tells the two apart: `sweep` then stops on the change alone.

Where no episode ever ends there is a sharper bound.  Let the last sweep have changed all values by
between low and high, whatever their signs.  The next changes are γ P_π times these, and the rows of
P_π sum to 1: they lie between γ low and γ high, and so on.  So V lies between γ low/(1 − γ) and γ
high/(1 − γ) above the last table, and the middle is wrong by at most

    (high − low) γ / (2 (1 − γ)).                                                        (solving.5)

Both bounds hold for sweeps too that take the largest of several such values, as value iteration in
`planning` does: the largest moves no less than the least of them, and no more than the most.

Near γ = 1 all values soon rise at the same pace, long before they stop rising.  Two states that pay
2 and 0, and lead to either with equal chances, are worth 2 + γ · 100 = 101 and 0 + γ · 100 = 99 at
γ = 0.99, since 100 is their mean.  The second sweep changes both by 0.99, so the middle is right at
once:

>>> P = np.full((2, 2), 0.5)
>>> for endless in False, True:
...     values, sweeps = sweep(lambda V: [2, 0] + 0.99 * P @ V, np.zeros(2), gamma=0.99, tol=1e-5,
...                            endless=endless)
...     print(values.round(4), sweeps)
[101.  99.] 1604
[101.  99.] 2

Right sides may be complex numbers, so that a derivative can be checked by a complex step.

**Exercises.**  `from minirl.exact.solving import *`
1. M has an entry of 100.  Is there an answer, and which?
       solve(sparse.csr_array([[0., 100.], [0., 0.]]), np.ones(2))
2. In x = 1 + 2x nothing keeps the terms small.  What does NumPy say, and what does `solve`?
       print(np.linalg.solve([[1. - 2.]], [1.]), solve(sparse.csr_array([[2.]]), np.ones(1)))
3. A step pays 0.0001 and ends with the chance 0.0001, so that V = 1.  At γ = 1, what does `sweep`
   find with this tolerance, and after how many sweeps?
       sweep(lambda V: 1e-4 + 0.9999 * V, np.zeros(1), gamma=1.0, tol=1e-4)

Read next: `evaluation`, where all of this is used.
Source: Berman and Plemmons 1994, "Nonnegative matrices", chapter 6, for (solving.1); Sutton and
Barto, 2nd edition, chapter 4.1; Puterman 1994, "Markov decision processes", theorem 6.3.1, for
(solving.4).
"""

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from minirl.kernel import checks

DENSE = 1000      # Up to so many unknowns a dense solve is faster than a sparse one.
LARGE = 4000      # Above so many unknowns a matrix that is also FILLED is not solved but summed up.
FILLED = 16       # With more entries per row than this, on average, LU would fill the matrix up.
SWEEPS = 200_000  # The series is given up after so many terms.
ACCURACY = 1e-12  # It is summed up when the bound (solving.2) is below this.
ROUNDING = 1e-14  # A vector that shrinks by less than this share does not shrink.
TOO_LARGE = 1e15  # A certificate as large as this is lost to rounding.


def solve(M, right):
    """x (n,) with x = M x + right, certified by (solving.1), for a sparse M (n, n) ≥ 0.

    None where the spectral radius of M is one or more, and where the certificate is lost to
    rounding: where the radius is one to fifteen digits, or entries are as large as 10^15.  (With
    `solve_by_sweeps`: where the radius is above 0.9998.)

    Examples
    --------
    >>> half, one = sparse.csr_array([[0.5]]), sparse.csr_array([[1.0]])
    >>> print(solve(half, np.array([3.0])), solve(one, np.array([3.0])))
    [6.] None
    """
    n = len(right)
    if n > LARGE and M.nnz > FILLED * n:
        return solve_by_sweeps(M, right)
    both = np.stack([right, np.ones(n)], axis=1).astype(np.result_type(M.dtype, right.dtype, float))
    try:
        if n <= DENSE:
            x = np.linalg.solve(np.eye(n) - M.toarray(), both)
        else:
            x = factorised(M.astype(both.dtype)).solve(both)
    except (np.linalg.LinAlgError, RuntimeError):  # exactly singular
        return None
    certificate = x[:, 1]
    if not np.isfinite(x).all():
        return None
    left = certificate - M @ certificate  # one everywhere, if rounding has not eaten it
    certain = (certificate > 0) & (certificate < TOO_LARGE) & (left > 0.5)
    return x[:, 0] if certain.all() else None


def sweep(backup, values, *, gamma, tol=1e-10, max_sweeps=100_000, endless=False, between=None):
    """Repeat values ← backup(values) until it has settled: the values, and how many sweeps it took.

    A backup leaves at most gamma times the largest difference between two tables.  Below gamma 1
    `tol` bounds the error, by (solving.4), or by (solving.5) in `endless` states, from which no
    episode can end, once all others have stopped; one bool says that of all states.  At gamma 1
    `tol` is the largest change of the last sweep.  `between` may bring values nearer to their limit
    after a sweep.  Values that still move after `max_sweeps` are a ValueError.

    Examples
    --------
    >>> values, sweeps = sweep(lambda V: 1 + 0.5 * V, np.zeros(1), gamma=0.5, tol=1e-3)
    >>> print(values.round(3), sweeps)
    [1.999] 11
    """
    checks.fraction("gamma", gamma)
    checks.positive("tol", tol)
    max_sweeps = checks.whole("max_sweeps", max_sweeps)
    error_per_change = gamma / (1 - gamma) if gamma < 1 else 1.0
    endless = np.full(np.shape(values), endless) & (gamma < 1)
    some = endless.any()
    for sweeps in range(1, max_sweeps + 1):
        before, values = values, backup(values)
        change = values - before
        if some and not change[~endless].any():
            low, high = change[endless].min(), change[endless].max()
            if (high - low) / 2 * error_per_change <= tol:
                return values + endless * (low + high) / 2 * error_per_change, sweeps
        if max(change.max(), -change.min()) * error_per_change <= tol:
            return values, sweeps
        if between is not None:
            values = between(values)
    advice = "they may be infinite" if gamma == 1 else "a larger tol or max_sweeps is needed"
    raise ValueError(f"the values still move after max_sweeps = {max_sweeps} sweeps; at gamma = "
                     f"{gamma} {advice}")


def solve_by_sweeps(M, right):
    """`solve` by adding up right + M right + M² right + …, to an error of 1e-12 by (solving.2).

    The error is relative to the largest entry of `right`.  None if 200,000 terms are not enough.

    Examples
    --------
    >>> print(solve_by_sweeps(sparse.csr_array([[0.5]]), np.array([3.0])))
    [6.]
    """
    x, term, playing, sum_before = np.zeros_like(right), right, np.ones(len(right)), 0.0
    for _ in range(SWEEPS):
        largest = playing.max()
        if largest < 1 and largest * sum_before <= ACCURACY * (1 - largest):
            return x
        still_playing = (M @ playing).real  # for a complex step the certificate is that of M
        if (still_playing >= (1 - ROUNDING) * playing).all():
            return None
        x, sum_before = x + term, sum_before + largest
        term, playing = M @ term, still_playing
    return None


def factorised(M):
    """The sparse LU factors of I − M, an object of SciPy with a method `solve`.

    Examples
    --------
    >>> print(factorised(sparse.csr_array([[0.5]])).solve(np.array([3.0])))
    [6.]
    """
    system = sparse.csc_array(sparse.identity(M.shape[0])) - sparse.csc_array(M)
    system.indices = system.indices.astype(np.int32)  # all that SuperLU knows
    system.indptr = system.indptr.astype(np.int32)
    return linalg.splu(system)


def solve_all(M, right):
    """`solve` for N small equations in one call: x (N, n) for dense M (N, n, n) and right (N, n).

    A row of NaN stands for None.

    Examples
    --------
    >>> print(solve_all(np.array([[[0.5]], [[1.5]]]), np.array([[3.0], [3.0]])))
    [[ 6.]
     [nan]]
    """
    both = np.stack([right, np.ones_like(right)], axis=-1)
    try:
        x = np.linalg.solve(np.eye(M.shape[-1]) - M, both)
    except np.linalg.LinAlgError:  # some are exactly singular
        found = (solve(sparse.csr_array(one), c) for one, c in zip(M, right))
        return np.array([np.full(len(M[0]), np.nan) if x is None else x for x in found])
    certificate = x[:, :, 1]
    left = certificate - (M @ certificate[:, :, None])[:, :, 0]
    certain = (certificate > 0) & (certificate < TOO_LARGE) & (left > 0.5)
    certain &= np.isfinite(x).all(axis=2)
    return np.where(certain.all(axis=1, keepdims=True), x[:, :, 0], np.nan)
