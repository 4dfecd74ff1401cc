"""When does a fit to comparisons have a maximum, and how well is it known?

A beat B, and A beat C.  What is A's reward?  By the model of Bradley and Terry a comparison is won
with the probability σ(m) of its margin m, the winner's reward less the loser's.  With a row of D
for each comparison, and rewards or weights w, the log-likelihood is

    ℓ(w) = Σ_i log σ(m_i),   m = D w.                                                  (existence.1)

Every further point for A makes both wins likelier, and nothing speaks against it.  So there is no
maximum.  A fit stops all the same, wherever its tolerance stops it, at a lead of 11 or of 20.

*Which data have a maximum?*  Walk from any w along a direction d.  There are three cases.

    some (D d)_i < 0            log σ(m_i) falls without end: so does ℓ
    D d = 0                     nothing changes: d is flat
    all (D d)_i ≥ 0, some > 0   ℓ rises for ever: d separates the winners from the losers

Since ℓ is concave, it has a maximum if and only if the third case does not occur,

    D d ≥ 0   only if   D d = 0.                                                       (existence.2)

Then the maximum is unique but for flat directions.  A constant added to all rewards is always one.

*Items.*  Where whole items are compared, a row of D is +1 at the winner and −1 at the loser.  Let d
be 1 on a group of items and 0 on the others.  D d ≥ 0 says that nobody of the group ever lost to
the others.  Groups are all that must be tried (Ford 1957).  For let d be any direction that is not
the same for all, and look at the items where it is largest.  If this group loses once to the rest,
an entry of D d is negative.  So there is a maximum if every group loses at least once to the rest.
Draw an arrow from each loser to the winner: then this graph is strongly connected.  It may also
fall into pieces that were never compared.  Each of them must be strongly connected, and each has a
constant of its own, which is flat.

>>> from minirl.people.pairs import choices
>>> found = existence(choices([0, 0, 1, 2], [1, 2, 2, 1], 3).difference)
>>> print(verdict(found, "ABC"))
no maximum without a pull: A > B, C, and nobody ever loses to a later one

*Tables.*  Where a row is the difference of two counts, many directions are neither groups nor flat.
Whether one of them separates is a question for a linear programme,

    maximise Σ_i (D d)_i   subject to   D d ≥ 0,  −1 ≤ d ≤ 1,                          (existence.3)

the value of which is zero if and only if there is a maximum.

*A proof from where a fit stopped.*  The gradient of ℓ is Dᵀ s, with the slopes s = σ(−m) > 0.  If
Dᵀ s = 0 for any positive s, then sᵀ(D d) = 0 for every d, so (existence.2) holds.  A fit stops
where Dᵀ s is nearly zero.  Let z be Newton's step from there, Dᵀ diag(s(1 − s)) D z = Dᵀ s, and
take s′ = s − s(1 − s) D z.  Then Dᵀ s′ = 0, and s′ is positive if no margin is moved by one:

    all |D z| < 1   ⟹   there is a maximum.                                            (existence.4)

A fit that runs away never passes.  On its way both slope and curvature are about e^{−m}, however
far it has come, and their quotient, the step, stays about 1.  The same holds for labels, where a
row is a string, and for rankings: there s are the probabilities of the strings that were not
chosen, and no two strings of a prompt may move apart by one.

*How well is it known?*  Around the maximum ℓ is about a parabola.  With a prior of precision
`pull` the covariance of the weights is about the inverse of its curvature,

    C = (Dᵀ diag(s(1 − s)) D + pull·1)⁻¹,                                              (existence.5)

the standard error of a weight is the root of its entry on the diagonal, and that of a margin the
root of dᵀ C d for its row d.  Without a pull, flat directions have no curvature: nothing is known
there, they are left out, and C is about the weights that have no part in them.  With two items and
n₁ and n₂ wins the margin is log(n₁/n₂) and its standard error √(1/n₁ + 1/n₂), as in every book of
statistics:

>>> from functools import partial
>>> from minirl.people.reward_model import bradley_terry_loss, fit_reward_model
>>> two = choices([1, 1, 1, 0], [0, 0, 0, 1], 2)
>>> x = fit_reward_model(0, two, pull=0).x
>>> C = covariance(partial(bradley_terry_loss, difference=two.difference), x, examples=4)
>>> d = np.array([-1, 1])
>>> print((x @ d).round(4), np.sqrt(d @ C @ d).round(4), np.sqrt(1 / 3 + 1 / 1).round(4))
[1.0986] 1.1547 1.1547

Read first: `pairs`, `fitting`.  Read next: `reward_model`.
Source: Ford 1957, "Solution of a ranking problem from binary comparisons"; Albert and Anderson
1984, "On the existence of maximum likelihood estimates in logistic regression models"; Hunter 2004,
"MM algorithms for generalized Bradley-Terry models", for rankings.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse
from scipy.sparse.csgraph import connected_components

from minirl.kernel import checks

MOST_WEIGHTS = 2000  # Of more weights no curvature is formed: it would take minutes.


class Existence(NamedTuple):
    """Whether a likelihood of comparisons has a maximum, and if not, where it rises for ever."""

    exists: bool
    direction: np.ndarray  # (n,) d of (existence.2) that separates; zeros where a maximum exists
    won: int               # the number of rows that rise along it
    pieces: np.ndarray     # (n,) int: columns of different numbers are never compared
    of_items: bool         # whether every row is +1 at one column and −1 at another


def existence(rows):
    """Whether (existence.1) has a maximum, by (existence.2): `Existence`.

    `rows` (B, n) is D, sparse or not: `Pairs.difference`, that of the pairs of rankings, or
    labelled strings with the sign of the label.  Of items the direction is their rank, in groups
    that never lose to a lower one.

    Examples
    --------
    The second column helps wherever it occurs:

    >>> found = existence(np.array([[1.0, 0.0], [-1.0, 1.0]]))
    >>> print(found.exists, found.direction, found.won)
    False [0. 1.] 1
    """
    D = _reduced(rows)
    of_items = D.nnz > 0 and bool((np.diff(D.indptr) == 2).all() and (np.abs(D.data) == 1).all()
                                  and (D.sum(axis=1) == 0).all())
    direction = (_ranks if of_items else _separating)(D)
    margins = D @ direction
    pieces = connected_components(abs(D).T @ abs(D), directed=False)[1]
    return Existence(not direction.any(), direction, int((margins > 0).sum()), pieces, of_items)


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

    if len(names) != found.direction.size:
        raise ValueError(f"names must be {found.direction.size}, one per column, got {len(names)}")
    d, met = found.direction, np.bincount(found.pieces)[found.pieces] > 1
    if found.exists:
        words = "a maximum exists"
    elif found.of_items:
        groups = [listed(np.flatnonzero((d == rank) & met), 9) for rank in np.unique(d[met])[::-1]]
        words = (f"no maximum without a pull: {' > '.join(groups[:9])}"
                 f"{' > …' * (len(groups) > 9)}, and nobody ever loses to a later one")
    else:
        ways = [f"{verb} {listed(side, 3)}" for verb, side in (
            ("raising", np.flatnonzero(d > 1e-9)), ("lowering", np.flatnonzero(d < -1e-9)))
            if side.size]
        words = f"no maximum without a pull: nothing speaks against {' and '.join(ways)}"
    apart = [found.pieces == piece for piece in np.unique(found.pieces[met])]
    apart += [~met] * (not met.all())
    if found.of_items and len(apart) > 1:
        listing = " | ".join(listed(np.flatnonzero(piece), 9) for piece in apart)
        words += f"; never compared: {listing}"
    return words


def flat_directions(rows):
    """How many independent directions no row of D (B, n) sees: n less the rank.

    Examples
    --------
    >>> flat_directions(np.array([[1.0, -1.0, 0.0]]))
    2
    """
    D = _reduced(rows)
    used = D[:, np.unique(D.indices)]
    gram = (used.T @ used).toarray()
    return D.shape[1] - int(np.linalg.matrix_rank(gram, hermitian=True) if D.nnz else 0)


def settled(loss, x, rows):
    """Whether the step (existence.4) from x proves that the loss has a minimum.

    Parameters
    ----------
    loss : callable
        `loss(x) -> (value, gradient)`, of the rows (B, n) times x, as the losses of `reward_model`.
    x : array of n entries
        Where a fit stopped.  False may also mean that it stopped too early, or that more than
        `MOST_WEIGHTS` weights occur in the rows.

    Examples
    --------
    Three wins and a loss, at the maximum; and three wins, at a lead of nine:

    >>> from functools import partial
    >>> from minirl.people.pairs import choices
    >>> from minirl.people.reward_model import bradley_terry_loss
    >>> four, three = (choices([1] * 3 + [0] * n, [0] * 3 + [1] * n, 2).difference for n in (1, 0))
    >>> [settled(partial(bradley_terry_loss, difference=D), np.array([[0.0, lead]]), D)
    ...  for D, lead in ((four, np.log(3)), (three, 9.0))]
    [True, False]
    """
    rows = sparse.csr_array(rows)
    used = np.unique(rows.indices)
    if used.size > MOST_WEIGHTS:
        return False
    at_start, here = (np.linalg.eigh(curvature(loss, y, used)) for y in (np.zeros(x.shape), x))
    kept, before = (values > _rounding(values) for values, _ in (here, at_start))
    if kept.sum() < before.sum():  # A direction has become flat on the way.
        return False
    values, vectors = here[0][kept], here[1][:, kept]
    step = np.zeros(x.size)
    step[used] = vectors @ (vectors.T @ loss(x)[1].ravel()[used] / values)
    # A quarter: then two strings of a ranking do not move apart by one either, nor up to rounding.
    return bool(np.abs(rows @ step).max(initial=0) < 0.25)


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


def covariance(loss, x, *, examples):
    """C of (existence.5) at the minimum x of a mean over `examples`: (n, n), n entries of x.

    The loss is with the prior if x was `fitting.attracted`; then C is of the posterior.

    Examples
    --------
    The mean of four numbers of variance 1:

    >>> print(covariance(lambda x: (((x - 3) ** 2).sum() / 2, x - 3), np.array([3.0]), examples=4))
    [[0.25]]
    """
    examples = checks.whole("examples", examples)
    values, vectors = np.linalg.eigh(examples * curvature(loss, x))
    kept = values > _rounding(values)
    return vectors[:, kept] / values[kept] @ vectors[:, kept].T


def _rounding(values):
    """What may be the rounding of an eigenvalue that is zero."""
    return 8 * values.size * np.finfo(float).eps * np.abs(values).max(initial=0)


def _reduced(rows):
    """D as CSR, with every column of a row once, without zeros and empty rows, the largest entry of
    each row 1: only directions matter.
    """
    rows = rows if sparse.issparse(rows) else checks.floats("rows", rows)
    if rows.ndim != 2:
        raise ValueError(f"rows must be a matrix, got shape {rows.shape}")
    D = sparse.csr_array(rows, dtype=float, copy=True)
    checks.finite("rows", D.data)
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
    """A direction that separates, by columns of one sign or (existence.3); zeros if there is none.
    """
    more, less = ((D * sign).maximum(0).sum(axis=0) > 0 for sign in (1, -1))
    one_sided = 1.0 * (more & ~less) - (less & ~more)
    if one_sided.any() or D.nnz == 0:
        return one_sided
    # d as its positive less its negative part, at a small price, so that flat directions stay out.
    both = sparse.hstack([D, -D])
    parts = optimize.linprog(1e-4 - both.sum(axis=0), A_ub=-both, b_ub=np.zeros(D.shape[0]),
                             bounds=(0, 1)).x
    d = np.subtract(*np.split(parts, 2))
    return d * ((D @ d).max() > 1e-5)  # HiGHS is exact to 1e-7
