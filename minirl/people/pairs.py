"""Preferences: pairs of strings of which one was preferred.

What people say about two strings is one datum, and every method of this part fits it: `Pairs` holds
the strings, and makes each matrix that a loss asks for when it is first wanted.

    D = X⁺ − X⁻   reward model, DPO, IPO        `difference`, of (counts.3)
    X⁺, X⁻        KTO                           `counts`, of (counts.2)
    M⁺, M⁻        SimPO, ORPO                   `means`, of (counts.4)

A fit takes the `Pairs`, a loss the matrix.  A loss that is given another matrix would fit something
else without a word, so each looks at what it got: D has negative entries, X is whole and has none,
and the rows of M sum to 1.  To look costs next to nothing, since the first rows tell them apart.

Read first: `counts`.  Read next: `reward_model`, `dpo`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from minirl.kernel import counts

HEAD = 32  # rows that tell what a matrix is


@dataclass(frozen=True, eq=False)
class Pairs:
    """B pairs of strings: string i of `chosen` was preferred to string i of `rejected`.

    Examples
    --------
    "b" was preferred to "aa", as strings of two letters:

    >>> good = counts.steps(np.array([0, 2]), np.array([2, 0]), np.array([0, 2]), (3, 3))
    >>> bad = counts.steps(np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0, 3]), (3, 3))
    >>> pairs = Pairs(good, bad)
    >>> print(len(pairs), pairs.shape, pairs.difference.toarray())
    1 (3, 3) [[ 0. -1.  1. -1. -1.  0.  1.  0.  0.]]
    """

    chosen: counts.Steps
    rejected: counts.Steps

    def __post_init__(self):
        for name, strings in (("chosen", self.chosen), ("rejected", self.rejected)):
            if not isinstance(strings, counts.Steps):
                raise ValueError(f"{name} must be counts.Steps, got {type(strings).__name__}")
        if self.chosen.shape != self.rejected.shape or len(self) != self.rejected.starts.size - 1:
            raise ValueError(f"chosen and rejected must share a table and a number of strings, got "
                             f"{len(self)} of {self.chosen.shape} and "
                             f"{self.rejected.starts.size - 1} of {self.rejected.shape}")

    def __len__(self):
        """B."""
        return self.chosen.starts.size - 1

    @property
    def shape(self):
        """(S, A) of the table."""
        return self.chosen.shape

    @cached_property
    def difference(self):
        """D of (counts.3): sparse (B, S·A), read-only."""
        return _kept(counts.difference_matrix(self.chosen, self.rejected))

    @cached_property
    def counts(self):
        """X⁺ and X⁻ of (counts.2): sparse (B, S·A), read-only."""
        return _kept(counts.matrix(self.chosen)), _kept(counts.matrix(self.rejected))

    @cached_property
    def means(self):
        """M⁺ and M⁻ of (counts.4): sparse (B, S·A), read-only."""
        return _kept(counts.mean_matrix(self.chosen)), _kept(counts.mean_matrix(self.rejected))

    @property
    def identical(self):
        """How many pairs consist of one string twice."""
        same = np.flatnonzero(np.diff(self.chosen.starts) == np.diff(self.rejected.starts))
        ours, theirs = counts.select(self.chosen, same), counts.select(self.rejected, same)
        owner = np.repeat(np.arange(same.size), np.diff(ours.starts))
        differences = np.bincount(owner, ours.index != theirs.index, minlength=same.size)
        return int((differences == 0).sum())

    def __add__(self, others):
        """These pairs, and then the others."""
        return Pairs(counts.join([self.chosen, others.chosen]),
                     counts.join([self.rejected, others.rejected]))

    def select(self, rows):
        """The pairs `rows` (M,) int, in that order; a pair may be taken twice."""
        return Pairs(counts.select(self.chosen, rows), counts.select(self.rejected, rows))


def choices(chosen, rejected, actions):
    """`Pairs` of a world of one state, in which a string is one of `actions` actions.

    Examples
    --------
    Two of three raters preferred action 1:

    >>> print(choices([1, 1, 0], [0, 0, 1], 2).difference.toarray().tolist())
    [[-1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]]
    """
    return Pairs(*(counts.steps(np.zeros(len(side), int), np.asarray(side),
                                np.arange(len(side) + 1), (1, actions))
                   for side in (chosen, rejected)))


def _kept(matrix):
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


def check_pairs(pairs, table):
    """Refuse what a fit cannot take: no `Pairs`, none at all, or those of another table.

    Examples
    --------
    >>> check_pairs(np.eye(2), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: pairs must be people.pairs.Pairs of counts.Steps, got ndarray
    """
    if not isinstance(pairs, Pairs):
        raise ValueError(f"pairs must be people.pairs.Pairs of counts.Steps, got "
                         f"{type(pairs).__name__}")
    check_steps("pairs", pairs.chosen, table)


def check_steps(name, steps, table):
    """Refuse strings that are none, or are over another table.

    Examples
    --------
    >>> one = counts.steps(np.array([0]), np.array([1]), np.array([0, 1]), (1, 2))
    >>> check_steps("strings", one, np.zeros((1, 3)))
    Traceback (most recent call last):
    ValueError: strings must be at least one over a table of shape (1, 3), got 1 over (1, 2)
    """
    if not isinstance(steps, counts.Steps):
        raise ValueError(f"{name} must be counts.Steps, got {type(steps).__name__}")
    if steps.starts.size < 2 or steps.shape != table.shape:
        raise ValueError(f"{name} must be at least one over a table of shape {table.shape}, got "
                         f"{steps.starts.size - 1} over {steps.shape}")


def check_difference(name, rows, table):
    """D of (counts.3), as CSR: it has negative entries.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> check_difference("difference", csr_array([[0., 1.]]), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: difference must have negative entries (Pairs.difference), got none
    """
    rows = _fitting(name, rows, table, "difference")
    if _head(rows).min(initial=0) >= 0 and rows.data.min(initial=0) >= 0:
        raise ValueError(f"{name} must have negative entries (Pairs.difference), got none")
    return rows


def check_counts(name, rows, table):
    """X of (counts.2), as CSR: the first rows are whole numbers, none of them negative.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> check_counts("strings", csr_array([[-1., 1.]]), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: strings must be whole counts, not negative (counts.matrix), got -1
    """
    rows = _fitting(name, rows, table, "counts")
    head = _head(rows)
    wrong = head[(head < 0) | (head != np.floor(head))]
    if wrong.size:
        raise ValueError(f"{name} must be whole counts, not negative (counts.matrix), got "
                         f"{wrong[0]:g}")
    return rows


def check_means(name, rows, table):
    """M of (counts.4), as CSR: the first rows sum to 1, with no negative entry.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> check_means("chosen", csr_array([[2., 1.]]), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: chosen must have rows that sum to 1 (counts.mean_matrix), got sums from 3 to 3
    """
    rows = _fitting(name, rows, table, "means")
    head = _head(rows)
    sums = np.diff(np.append(0, np.cumsum(head))[rows.indptr[:HEAD + 1]])
    if not (np.abs(sums - 1) <= 1e-9).all():
        raise ValueError(f"{name} must have rows that sum to 1 (counts.mean_matrix), got sums from "
                         f"{sums.min():g} to {sums.max():g}")
    if head.min() < 0:
        raise ValueError(f"{name} must have no negative entries (counts.mean_matrix), got "
                         f"{head.min():g}")
    return rows


def check_both_means(logits, chosen, rejected):
    """M⁺ and M⁻ of as many strings, as CSR, for logits that are finite.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> means = csr_array([[0.5, 0.5]]), csr_array([[1., 0.]])
    >>> len(check_both_means(np.zeros((1, 2)), *means))
    2
    """
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite: the policy needs full support")
    both = check_means("chosen", chosen, logits), check_means("rejected", rejected, logits)
    if chosen.shape != rejected.shape:
        raise ValueError(f"chosen and rejected must be pairs, got {chosen.shape[0]} and "
                         f"{rejected.shape[0]} strings")
    return both


def _fitting(name, rows, table, needed):
    if not sparse.issparse(rows):
        raise ValueError(f"{name} must be a sparse matrix (Pairs.{needed}), got "
                         f"{type(rows).__name__}")
    if rows.shape[0] == 0 or rows.shape[1] != table.size:
        raise ValueError(f"{name} must be (B, {table.size}) with B > 0 for a table of shape "
                         f"{table.shape}, got {rows.shape}")
    return rows.tocsr()


def _head(rows):
    """The entries of the first rows."""
    return rows.data[:rows.indptr[:HEAD + 1][-1]]


def shares(pair_weights, pairs):
    """q/Σq of (reward_model.3): what each of B pairs counts, (B,).

    Parameters
    ----------
    pair_weights : (B,) float ≥ 0, or None
        By default all pairs count the same.
    pairs : int ≥ 1
        B.

    Raises
    ------
    ValueError
        If the weights do not fit, or are not finite, negative or all zero.

    Examples
    --------
    >>> print(shares(None, 2), shares(np.array([3.0, 1.0]), 2))
    [0.5 0.5] [0.75 0.25]
    """
    if pair_weights is None:
        return np.full(pairs, 1 / pairs)
    q = pair_weights
    if q.shape != (pairs,) or not (np.isfinite(q).all() and (q >= 0).all() and q.any()):
        raise ValueError(f"pair_weights must be {pairs} finite numbers, not negative and not all "
                         f"zero, got {q}")
    return q / q.sum()
