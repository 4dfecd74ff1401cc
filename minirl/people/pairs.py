"""Preferences: pairs of strings of which one was preferred.

All methods that learn from comparisons have the same data.  `Pairs` holds the strings, and makes
each matrix when a loss first asks for it.

    D = X⁺ − X⁻   reward model, DPO, IPO        `difference`, of (counts.3)
    X⁺, X⁻        KTO                           `counts`, of (counts.2)
    M⁺, M⁻        SimPO, ORPO                   `means`, of (counts.4)

A fit takes the `Pairs`, and a loss takes the matrix.  Given another matrix, a loss would fit
something else without a word.  So it looks at the first rows, which costs next to nothing: D has
negative entries, X holds whole numbers and none of them is negative, and the rows of M sum to 1.

Read first: `counts`.  Read next: `reward_model`, `dpo`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from minirl.kernel import checks, counts

HEAD = 32  # This many rows tell what a matrix is.


@dataclass(frozen=True, eq=False)
class Pairs:
    """B pairs of strings: string i of `chosen` was preferred to string i of `rejected`.

    The matrices are sparse, (B, S·A), made once and read-only.

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
        _check_type("chosen", self.chosen, counts.Steps)
        _check_type("rejected", self.rejected, counts.Steps)
        if len(self) != self.rejected.starts.size - 1 or self.shape != self.rejected.shape:
            raise ValueError(f"rejected must be {len(self)} strings over {self.shape}, got "
                             f"{self.rejected.starts.size - 1} over {self.rejected.shape}")

    def __len__(self):
        """B."""
        return self.chosen.starts.size - 1

    @property
    def shape(self):
        """(S, A) of the table."""
        return self.chosen.shape

    @cached_property
    def difference(self):
        """D of (counts.3)."""
        return _read_only(counts.difference_matrix(self.chosen, self.rejected))

    @cached_property
    def counts(self):
        """X⁺ and X⁻ of (counts.2)."""
        return _read_only(counts.matrix(self.chosen)), _read_only(counts.matrix(self.rejected))

    @cached_property
    def means(self):
        """M⁺ and M⁻ of (counts.4)."""
        return tuple(_read_only(counts.mean_matrix(side)) for side in (self.chosen, self.rejected))

    @property
    def identical(self):
        """How many pairs consist of one string twice."""
        good, bad = ([side.index[i:j].tobytes() for i, j in zip(side.starts, side.starts[1:])]
                     for side in (self.chosen, self.rejected))
        return sum(one == other for one, other in zip(good, bad))

    def select(self, rows):
        """The pairs `rows` (M,) int, in that order; a pair may be taken twice."""
        return Pairs(counts.select(self.chosen, rows), counts.select(self.rejected, rows))

    def __add__(self, others):
        """These pairs, and then the others."""
        return Pairs(counts.join([self.chosen, others.chosen]),
                     counts.join([self.rejected, others.rejected]))


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


def shares(pair_weights, B):
    """q/Σq of (reward_model.3): what each of B pairs counts, (B,); by default all count the same.

    Examples
    --------
    >>> print(shares(None, 2), shares(np.array([3.0, 1.0]), 2))
    [0.5 0.5] [0.75 0.25]
    """
    if pair_weights is None:
        return np.full(B, 1 / B)
    q = pair_weights
    if q.shape != (B,) or not (np.isfinite(q).all() and (q >= 0).all() and q.any()):
        raise ValueError(f"pair_weights must be {B} finite numbers, not negative and not all "
                         f"zero, got {q}")
    return q / q.sum()


# What is refused.


def check_pairs(pairs, table):
    """`Pairs`, at least one, over the table of a fit.

    Examples
    --------
    >>> check_pairs(np.eye(2), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: pairs must be Pairs, got ndarray
    """
    _check_type("pairs", pairs, Pairs)
    check_strings("pairs", pairs.chosen, table)


def check_strings(name, steps, table):
    """`counts.Steps` of at least one string, over the table of a fit.

    Examples
    --------
    >>> one = counts.steps(np.array([0]), np.array([1]), np.array([0, 1]), (1, 2))
    >>> check_strings("strings", one, np.zeros((1, 3)))
    Traceback (most recent call last):
    ValueError: strings must be at least one over a table of shape (1, 3), got 1 over (1, 2)
    """
    _check_type(name, steps, counts.Steps)
    if steps.starts.size < 2 or steps.shape != table.shape:
        raise ValueError(f"{name} must be at least one over a table of shape {table.shape}, got "
                         f"{steps.starts.size - 1} over {steps.shape}")


def check_difference(difference, table):
    """D of (counts.3), as CSR.

    Examples
    --------
    >>> check_difference(sparse.csr_array([[0., 1.]]), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: difference must have negative entries (Pairs.difference), got none
    """
    D, head = _rows("difference", difference, table, "Pairs.difference")
    if head.min(initial=0) >= 0 and D.data.min(initial=0) >= 0:
        raise ValueError("difference must have negative entries (Pairs.difference), got none")
    return D


def check_counts(name, rows, table):
    """X of (counts.2), as CSR.

    Examples
    --------
    >>> check_counts("strings", sparse.csr_array([[-1., 1.]]), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: strings must be whole and not negative (counts.matrix), got entries from -1 to 1
    """
    X, head = _rows(name, rows, table, "counts.matrix")
    if (head != np.floor(np.abs(head))).any():
        raise ValueError(f"{name} must be whole and not negative (counts.matrix), got entries "
                         f"from {head.min():g} to {head.max():g}")
    return X


def check_means(name, rows, table, B=None):
    """M of (counts.4), as CSR, of B strings if B is given.

    Examples
    --------
    >>> check_means("chosen", sparse.csr_array([[2., 1.]]), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: chosen must have rows that sum to 1 (Pairs.means), got sums from 3 to 3
    """
    M, head = _rows(name, rows, table, "Pairs.means", B)
    sums = np.diff(np.append(0, np.cumsum(head))[M.indptr[:HEAD + 1]])
    if not (np.abs(sums - 1) <= 1e-9).all():
        raise ValueError(f"{name} must have rows that sum to 1 (Pairs.means), got sums from "
                         f"{sums.min():g} to {sums.max():g}")
    checks.not_negative(f"the least entry of {name}", head.min())
    return M


def _rows(name, rows, table, source, B=None):
    """The matrix as CSR, and the entries of its first rows."""
    if not sparse.issparse(rows):
        raise ValueError(f"{name} must be a sparse matrix ({source}), got {type(rows).__name__}")
    if rows.shape != (B or max(rows.shape[0], 1), table.size):
        raise ValueError(f"{name} must be ({B or 'B'}, {table.size}), B > 0, for a table of shape "
                         f"{table.shape}, got {rows.shape}")
    rows = rows.tocsr()
    return rows, rows.data[:rows.indptr[:HEAD + 1][-1]]


def _check_type(name, value, kind):
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, got {type(value).__name__}")


def _read_only(matrix):
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix
