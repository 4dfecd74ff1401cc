"""Solving: linear equations with a certificate, and sweeps that know when to stop.

*Part 2, a side road.  Previous: `gradcheck`.  Next: `evaluation`.*

**When is there no answer?**  Every solve in `evaluation` and in `regularised` has the form x = M x
+ b with M ≥ 0.  It has a meaningful answer for every b if and only if the spectral radius of M is
below one: then x = b + M b + M² b + … converges.  There is a certificate that costs one more
right-hand side:

    if some x > 0 has x − M x > 0, then the spectral radius of M is below one.           (solving.1)

`solve` asks for the x with x − M x = 1, and refuses to answer without it.  Where M holds the
chances of going on from state to state, this x is the expected length of an episode.  Up to a
thousand unknowns it solves densely, above by sparse LU.  Where LU would fill the matrix up, as with
the long contexts of a language model, it adds the series up instead.  With a_k = max_s (M^k 1)(s),
which for chances of going on is the chance of still playing after k steps, a_{k+j} ≤ a_k a_j.  So
as soon as one a_k is below one, the terms from the kth on sum to at most

    a_k (a_0 + … + a_{k−1}) / (1 − a_k)                                                  (solving.2)

times the largest entry of b, and that is the certificate.  And as soon as one more M makes no entry
of M^k 1 smaller, beyond rounding, the radius is one or more, and the sum has no end.

**By sweeps.**  The oldest way to the values V of a policy is to apply their equation again and
again.  With its rewards r_π, its transitions P_π and the discount γ that is

    V ← r_π + γ P_π V,   from V = 0.                                                     (solving.3)

After k sweeps V is the value of k steps.  When to stop?  A sweep brings any two tables closer by
the factor γ, so one that changes no value by more than d leaves V within

    d γ / (1 − γ)                                                                        (solving.4)

of the truth.  At γ = 1 this bound is void.  There a sweep may change little because it is nearly
done, or because the episodes are long, and nothing tells the two apart: `sweep` then stops on the
change alone.

Where no episode ever ends there is a sharper bound.  If the last sweep changed the values by
between d_1 and d_2, whatever their signs, the next ones change them by between γ d_1 and γ d_2,
and so on.  So V lies between γ d_1/(1 − γ) and γ d_2/(1 − γ) above the last table, and the middle
is wrong by at most

    (d_2 − d_1) γ / (2 (1 − γ)),                                                         (solving.5)

Near γ = 1 all values rise at the same pace long before they stop rising.  Then d_1 is close to d_2,
and this bound is small while (solving.4) is still large.

Right sides may be complex numbers, so that a derivative can be checked by a complex step.

Read first: `mdp`.  Read next: `evaluation`, where all of this is used.
Source: Berman and Plemmons 1994, "Nonnegative matrices", chapter 6, for (solving.1); Sutton and
Barto, 2nd edition, chapter 4.1; Puterman 1994, "Markov decision processes", theorem 6.3.1, for
(solving.4).
"""

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from minirl.kernel import checks

DENSE = 1000      # unknowns up to which a dense solve is faster than a sparse one
LARGE = 4000      # unknowns above which a matrix that is also FILLED is not solved but summed up
FILLED = 16       # entries in a row, on average, from which LU would fill the matrix up
SWEEPS = 200_000  # terms of the series at most, which must
ACCURACY = 1e-12  # bring the bound (solving.2) below this
ROUNDING = 1e-14


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
    return x[:, 0] if (certificate > 0).all() and (left > 0.5).all() else None


def sweep(backup, values, *, gamma, tol=1e-10, max_sweeps=100_000, endless=False, between=None):
    """Repeat values ← backup(values) until it has settled: the values, and how many sweeps it took.

    A backup brings any two tables closer by the factor gamma.  Below gamma 1 `tol` bounds the
    error, by (solving.4), or by (solving.5) in `endless` states, from which no episode can end,
    once all others have stopped; it may be one answer for all states.  At gamma 1 `tol` is the
    largest change of the last sweep.  `between` may bring values nearer to their limit after a
    sweep.  Values that still move after `max_sweeps` are a ValueError.

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
    """The sparse LU factors of 1 − M, an object of SciPy with a method `solve`.

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
        found = (solve(sparse.csr_array(one), b) for one, b in zip(M, right))
        return np.array([np.full(len(M[0]), np.nan) if x is None else x for x in found])
    certificate = x[:, :, 1]
    left = certificate - (M @ certificate[:, :, None])[:, :, 0]
    certain = np.isfinite(x).all(axis=2) & (certificate > 0) & (left > 0.5)
    return np.where(certain.all(axis=1, keepdims=True), x[:, :, 0], np.nan)
