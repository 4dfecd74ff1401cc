"""When do comparisons have a most likely reward, and how well is it known?

*Part 4, a side road.  Previous: `kl`.  Next: `reward_model`.*

People compare: A is better than B.  From such answers one wants a number for each item, its reward.
By the model of *Bradley and Terry* a comparison is won with the probability σ(m), where the
*margin* m is the winner's reward less the loser's.  This side road asks whether there are rewards
that make what was seen most likely, and how well they are known.

**In numbers.**  A beats B and C, who split: each of them beats the other once.  Each comparison is
a row of a matrix D, with +1 at the winner and −1 at the loser.  So D r is the margins:

           A  B  C    margin               A
    A B    1 −1  0    r_A − r_B           ↗ ↖
    A C    1  0 −1    r_A − r_C          B ⇄ C
    B C    0  1 −1    r_B − r_C
    C B    0 −1  1    r_C − r_B    an arrow from each loser to the winner

The *log-likelihood* of rewards is the sum of the log-probabilities of all that was seen:

    ℓ(r) = Σ_i log σ(m_i),   m = D r.                                                  (existence.1)

Raise A by x above B and C, which stay equal: ℓ = 2 log σ(x) − 2 log 2.  That is −2.7726 at x = 0,
−2.0128 at x = 1, and −1.3864 at x = 10.  It rises for ever, towards −2 log 2 = −1.3863, and so
there is no maximum.  A fit stops all the same.  The mean over the four comparisons, ℓ/4, has the
slope σ(−x)/2 in r_A, about ½ e^−x.  It is below 1e-5 from a lead of 10.9 on, and below 1e-9 from a
lead of 20.1 on.  So the lead that is found is a matter of the tolerance.  Let C beat A once, and
there is a maximum:

>>> from minirl.people.pairs import choices
>>> D = choices([0, 0, 1, 2], [1, 2, 2, 1], 3).difference
>>> print(verdict(existence(D), "ABC"))
no maximum without a pull: A > B, C, and nobody ever loses to a later one
>>> print(verdict(existence(choices([0, 0, 1, 2, 2], [1, 2, 2, 1, 0], 3).difference), "ABC"))
a maximum exists

Here ">" stands between layers.  Two of one layer have beaten each other, perhaps by way of others,
or neither is known to be better: after A beat B, B beat C and D beat C, it is A > B, D > C.

A *pull* is the remedy: it adds −(pull/2) Σ r² to ℓ.  This is a Gaussian *prior*, a belief held
before any data, whose variance is 1/pull.  With it there always is one maximum (`fitting`).

**Three cases.**  Which data have a maximum without a pull?  Walk from any r along a direction d:

    some (D d)_i < 0            log σ(m_i) falls without end: so does ℓ
    D d = 0                     nothing changes: d is *flat*
    all (D d)_i ≥ 0, some > 0   ℓ rises for ever: d *separates* the winners from the losers

The second derivative of log σ(m) is −σ(m) σ(−m) < 0.  So ℓ curves downwards, or is flat, in each
direction.  Such a function has a maximum if it falls in the end along each direction that is not
flat.  So there is one if and only if the third case does not occur:

    D d ≥ 0   only if   D d = 0.                                                       (existence.2)

Then the maximum is unique but for flat directions.  Among items a constant added to all rewards is
always one.  A row of zeros, which is an item against itself or two equal strings, says nothing.

**Items.**  The items fall into *pieces* that were never compared with each other, and each piece
has a constant of its own, which is flat.  Take one piece.  Let d be 1 on a group of its items and 0
on the others.  D d ≥ 0 says that nobody of the group ever lost to the others.  It is enough to try
groups (Ford 1957).  For let d be any direction that is not the same for all, and look at the items
where it is largest.  If this group loses once to the rest, an entry of D d is negative.  So there
is a maximum if and only if, in each piece, every group of items, but the whole piece, loses at
least once to the rest: an arrow leads out of it.  In the drawing none leads out of A.  It is the
same to say that each piece is *strongly connected*: one can go along the arrows from each item to
each other one.

**Tables.**  With rewards of steps, summed over strings, a row is the difference of two counts.
Then many directions are neither groups nor flat.  With the rows (1, 0) and (−1, 1), d = (0, 1)
makes D d = (0, 1) and separates.  Whether some d does so is a question for a linear programme,

    maximise Σ_i min(1, (D d)_i)   subject to   D d ≥ 0,                               (existence.3)

whose value is the number of rows that can rise.  A solver works with tolerances, so its word is not
taken.  Weights w > 0 with Dᵀ w = 0 prove that there is a maximum: then wᵀ(D d) = 0 for every d, so
D d ≥ 0 makes D d = 0.  A separating d proves that there is none.  Both are tested up to rounding,
and if neither holds, the verdict is "not settled".

**A proof from where a fit stopped.**  The slope of log σ(m) is σ(−m) > 0, so that the gradient of ℓ
is Dᵀ slope.  A fit stops where that is nearly zero, and so the slopes are nearly such weights.
Newton's step leads to where the gradient would be zero if the curvature stayed what it is.  It
solves Dᵀ diag(slope (1 − slope)) D step = Dᵀ slope.  Take w = slope − slope (1 − slope) D step.
Then Dᵀ w = Dᵀ slope − Dᵀ slope = 0, and w = slope [1 − (1 − slope) D step] is positive if no margin
moves by one.  For the labels and rankings of `reward_model` a row of D is a string.  With rankings
the slopes are the probabilities of the strings that were not chosen, and no two strings of a prompt
may move apart by 1.  It is enough that none moves by ½.  We ask for half of that, ½ · ½ = ¼, and
leave the other half for rounding:

    all |D step| < 1/4   ⟹   there is a maximum.                                       (existence.4)

A fit that runs away never passes.  On its way both slope and curvature are about e^{−m}, however
far it has come, and their quotient, the step, stays about 1.

**How well is it known?**  Around the maximum ℓ is about a parabola.  So the likelihood e^ℓ is about
a Gaussian, and the covariance of that is the inverse of the curvature of −ℓ, to which a pull adds,

    covariance = (Dᵀ diag(slope (1 − slope)) D + pull I)⁻¹.                            (existence.5)

The *standard error* of a reward is the root of its entry on the diagonal, and that of a margin the
root of dᵀ covariance d for its row d of D.  Let A beat B j times and lose k times.  Then ℓ = j log
σ(m) + k log σ(−m), with the slope j σ(−m) − k σ(m), which is 0 at m = log(j/k).  There σ(m) is j/(j
+ k), the curvature (j + k) σ(m) σ(−m) is jk/(j + k), and the standard error of m is √(1/j + 1/k).
Without a pull, flat directions have no curvature: nothing is known there, and they are left out of
the covariance and of the fit.

**Exercises.**  `from minirl.people.existence import *; from minirl.people.pairs import choices`
1. A beats B, B beats C and C beats A.  Is there a maximum?
       verdict(existence(choices([0, 1, 2], [1, 2, 0], 3).difference), "ABC")
2. A beats B a thousand times.  How often must B win before there is a maximum?
       [existence(choices([0] * 1000 + [1] * k, [1] * 1000 + [0] * k, 2).difference).exists
        for k in (0, 1)]
3. A wins 3 of 4 comparisons, or 100 of 101.  How much better known is the margin of the second A?
       [np.sqrt(1 / j + 1 / 1).round(3).item() for j in (3, 100)]

Read next: `reward_model`, which fits the rewards of strings.
Source: Ford 1957, "Solution of a ranking problem from binary comparisons"; Albert and Anderson
1984, "On the existence of maximum likelihood estimates in logistic regression models"; Hunter 2004,
"MM algorithms for generalized Bradley-Terry models", for rankings.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsqr

from minirl.kernel import checks
from minirl.people.pairs import Pairs

MOST_WEIGHTS = 2000  # Of more weights no curvature is formed: it would take minutes.


class Existence(NamedTuple):
    """Whether a likelihood of comparisons has a maximum, and if not, where it rises for ever."""

    exists: bool | None    # None: not settled
    direction: np.ndarray  # (n,) d that violates (existence.2), of items a rank; else zeros
    won: int               # the number of rows that rise along it
    pieces: np.ndarray     # (n,) int: columns of different numbers are never compared
    of_items: bool         # whether every row is +1 at one column and −1 at another


def existence(D) -> Existence:
    """Whether (existence.1) has a maximum, by (existence.2): `Existence`.

    D (B, n) is sparse or not: `Pairs.difference`, that of the pairs of rankings, or labelled
    strings with the sign of the label.  It is all that is seen.  A row of weight 0 should be left
    out, other weights and margins change nothing, and with label smoothing there is a maximum
    whatever D is.  Of items the direction is their rank, 0 in a piece that has a maximum.

    Examples
    --------
    The second column helps wherever it occurs:

    >>> found = existence(np.array([[1.0, 0.0], [-1.0, 1.0]]))
    >>> print(found.exists, found.direction, found.won)
    False [0. 1.] 1
    """
    D = _reduced(D)
    of_items = D.nnz > 0 and bool((np.diff(D.indptr) == 2).all() and (np.abs(D.data) == 1).all()
                                  and (D.sum(axis=1) == 0).all())
    direction, proved = (_ranks(D), True) if of_items else _separating(D)
    won = int((D @ direction > _doubt(D, direction)).sum())
    pieces = connected_components(abs(D).T @ abs(D), directed=False)[1]
    return Existence(not won if proved else None, direction, won, pieces, of_items)


def verdict(found, names):
    """An `Existence` in words, with a name for each column; long lists are cut.

    Examples
    --------
    >>> print(verdict(existence(np.array([[1, -1, 0, 0, 0], [-1, 1, 0, 0, 0], [0, 0, 1, -1., 0],
    ...                                   [0, 0, -1, 1, 0]])), "ABCDE"))
    a maximum exists; never compared: A, B | C, D | E
    """
    def listed(columns, most):
        more = f" and {columns.size - most} more" if columns.size > most else ""
        return ", ".join(str(names[column]) for column in columns[:most]) + more

    def chained(sign, parts):
        return sign.join(parts[:9]) + f"{sign}…" * (len(parts) > 9)

    if len(names) != found.direction.size:
        raise ValueError(f"names must be {found.direction.size}, one per column, got {len(names)}")
    d, met = found.direction, np.bincount(found.pieces)[found.pieces] > 1
    apart = [found.pieces == piece for piece in np.unique(found.pieces[met])]
    if found.exists:
        words = "a maximum exists"
    elif found.exists is None:
        words = "not settled: whether a maximum exists is hidden by rounding"
    elif found.of_items:
        chains = [chained(" > ", [listed(np.flatnonzero((d == rank) & piece), 9)
                                  for rank in np.unique(d[piece])[::-1]])
                  for piece in apart if d[piece].any()]
        words = (f"no maximum without a pull: {chained(' | ', chains)}, and nobody ever loses to a "
                 "later one")
    else:
        ways = [f"{verb} {listed(side, 3)}" for verb, side in (
            ("raising", np.flatnonzero(d > 0)), ("lowering", np.flatnonzero(d < 0))) if side.size]
        words = f"no maximum without a pull: nothing speaks against {' and '.join(ways)}"
    apart += [~met] * (not met.all())
    if found.of_items and len(apart) > 1:
        words += "; never compared: " + chained(
            " | ", [listed(np.flatnonzero(piece), 9) for piece in apart])
    return words


def flat_directions(D):
    """How many independent directions no row of D (B, n) sees: n less the rank.

    Examples
    --------
    >>> flat_directions(np.array([[1.0, -1.0, 0.0]]))
    2
    """
    D = _reduced(D)
    used = D[:, np.unique(D.indices)]
    gram = (used.T @ used).toarray()
    return D.shape[1] - int(np.linalg.matrix_rank(gram, hermitian=True) if D.nnz else 0)


def settled(loss, x, D):
    """Whether the step (existence.4) from x proves that the loss has a minimum.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (value, gradient)`, of D (B, n) times x, as the losses of `reward_model`.
    x : array of n entries
        Where a fit stopped.  False may also mean that it stopped too early, or that more than
        `MOST_WEIGHTS` weights occur in D.

    Examples
    --------
    Three wins and a loss, at the maximum; and three wins, at a lead of nine:

    >>> def loss(x, D):
    ...     return np.log(1 + np.exp(-D @ x)).sum(), -D.T @ (1 / (1 + np.exp(D @ x)))
    >>> four, three = np.array([[1.0], [1], [1], [-1]]), np.ones((3, 1))
    >>> [settled(lambda x: loss(x, D), np.array([lead]), D)
    ...  for D, lead in ((four, np.log(3)), (three, 9.0))]
    [True, False]
    """
    D = sparse.csr_array(D)
    used = np.unique(D.indices)
    if used.size > MOST_WEIGHTS:
        return False
    (values, vectors), before = (_curved(loss, y, used) for y in (x, np.zeros(x.shape)))
    if values.size < before[0].size:  # A direction has become flat on the way.
        return False
    step = np.zeros(x.size)
    step[used] = vectors @ (vectors.T @ loss(x)[1].ravel()[used] / values)
    return bool(np.abs(D @ step).max(initial=0) < 1 / 4)


def nearest(loss, x, centre):
    """The point nearest to a centre that differs from x by flat directions only, shaped like x.

    It is where a fit with a pull towards the centre goes as the pull goes to 0.  From a centre of
    zeros the items of each piece have the mean 0.

    Examples
    --------
    >>> print(nearest(lambda x: ((x[0] - x[1])**2 / 2, (x[0] - x[1]) * np.array([1, -1])),
    ...               np.array([5.0, 3.0]), np.zeros(2)))
    [ 1. -1.]
    """
    x = checks.array("x", x, np.shape(centre))
    centre = checks.array("centre", centre, x.shape)
    away = x - centre
    moved = np.flatnonzero(away)
    vectors = _curved(loss, x, moved)[1]
    away.flat[moved] = vectors @ (vectors.T @ away.flat[moved])
    return centre + away


def curvature(loss, x, entries=None):
    """The matrix of second derivatives of a loss at x, of some entries or all: (n, n).

    It takes a complex step (gradcheck.2) of the gradient for each entry.

    Examples
    --------
    >>> print(curvature(lambda x: ((x ** 3).sum(), 3 * x ** 2), np.array([1.0, 2.0])))
    [[ 6.  0.]
     [ 0. 12.]]
    """
    entries, found = np.arange(x.size) if entries is None else entries, []
    for entry in entries:
        stepped = x.astype(complex)
        stepped.flat[entry] += 1e-30j
        found.append(loss(stepped)[1].ravel()[entries].imag / 1e-30)
    return np.reshape(found, (len(entries), len(entries)))


def covariance(loss, x, *, examples, pull):
    """The matrix (existence.5) at the fit x of a mean over `examples`, without the prior: (n, n).

    x must be at a maximum, which is not checked: `reward_model.standard_errors` does.

    Examples
    --------
    The mean of four numbers of variance 1, and with a prior as strong as twelve of them:

    >>> [covariance(lambda x: (((x - 3)**2).sum() / 2, x - 3), np.array([3.0]), examples=4,
    ...             pull=pull).item() for pull in (0, 12)]
    [0.25, 0.0625]
    """
    examples = checks.whole("examples", examples)
    checks.not_negative("pull", pull)
    if pull > 0:
        return np.linalg.inv(examples * curvature(loss, x) + pull * np.eye(x.size))
    values, vectors = _curved(loss, x, np.arange(x.size))
    return vectors / (examples * values) @ vectors.T


def _curved(loss, x, entries):
    """Eigenvalues and eigenvectors of the curvature, without those that may be zero."""
    values, vectors = np.linalg.eigh(curvature(loss, x, entries))
    kept = values > _rounding(values)
    return values[kept], vectors[:, kept]


def _rounding(values):
    """What may be the rounding of an eigenvalue that is zero."""
    return 8 * values.size * np.finfo(float).eps * np.abs(values).max(initial=0)


def _doubt(D, d):
    """What may be the rounding of D d, (B,)."""
    return 32 * np.finfo(float).eps * (abs(D) @ abs(d))


def _reduced(D):
    """D as CSR, with every column of a row once, without zeros and empty rows, the largest entry of
    each row 1: only directions matter.
    """
    if isinstance(D, Pairs):
        raise ValueError("D must be a matrix, as `.difference` of Pairs is, got Pairs")
    D = D if sparse.issparse(D) else checks.floats("D", D)
    if D.ndim != 2:
        raise ValueError(f"D must be a matrix, got shape {D.shape}")
    D = sparse.csr_array(D, dtype=float, copy=True)
    checks.finite("D", D.data)
    D.sum_duplicates()
    D.eliminate_zeros()
    D = D[np.diff(D.indptr) > 0]
    D.data /= np.repeat(abs(D).max(axis=1).toarray().ravel(), np.diff(D.indptr))
    return D


def _ranks(D):
    """Of items: the longest way up to each group from groups that it beat, (n,) float."""
    winner, loser = (D.indices[D.data == sign] for sign in (1, -1))
    arrows = sparse.csr_array((np.ones(winner.size), (loser, winner)), shape=2 * D.shape[1:])
    number, group = connected_components(arrows, connection="strong")
    up, down = np.unique(group[np.stack([winner, loser])], axis=1)
    up, down = up[up != down], down[up != down]
    rank = np.zeros(number)
    while (rank[up] <= rank[down]).any():  # It ends, since no way leads back to a group.
        np.maximum.at(rank, up, rank[down] + 1)
    return rank[group]


def _separating(D):
    """A direction that separates, or zeros, and whether it is proved which of the two there is.

    By columns of one sign; or else by weights w that prove there is none; or else by (existence.3).
    """
    more, less = ((D * sign).maximum(0).sum(axis=0) > 0 for sign in (1, -1))
    one_sided = 1.0 * (more & ~less) - (less & ~more)
    if one_sided.any() or D.nnz == 0:
        return one_sided, True
    (B, n), none = D.shape, np.zeros(D.shape[1])
    w = optimize.linprog(np.zeros(B), A_eq=D.T, b_eq=none, bounds=(1, None)).x
    if w is not None:
        w = w - lsqr(D.T, D.T @ w, atol=1e-9, btol=1e-9)[0]  # the nearest with Dᵀ w = 0
        if (w > 0).all() and (abs(D.T @ w) <= _doubt(D.T, w)).all():
            return none, True
    # Of d and t = min(1, D d), so that t − D d ≤ 0; then the smallest Σ|d| for the same rows.
    best = optimize.linprog(
        np.repeat([0, -1], [n, B]), A_ub=sparse.hstack([-D, sparse.identity(B)]),
        b_ub=np.zeros(B), bounds=np.repeat([(-np.inf, np.inf), (0, 1)], [n, B], axis=0)).x
    rise = np.zeros(B) if best is None else best[n:].round()
    parts = optimize.linprog(np.ones(2 * n), A_ub=sparse.hstack([-D, D]), b_ub=-rise).x
    d = none.copy() if parts is None else parts[:n] - parts[n:]
    d[np.abs(d) <= 1e-12 * np.abs(d).max()] = 0
    proved = bool((D @ d >= -_doubt(D, d)).all() and (D @ d > _doubt(D, d)).any())
    return d / np.abs(d).max() if proved else none, proved
