"""What do people say about strings, and how does a method read it?

*Part 4.  Previous: `fitting`, a side road.  Next: `sft`.*

The learners of Part 3 were paid by a world.  No world pays for a text, and people cannot say that
it is worth 0.417 and mean the same tomorrow.  But they can do three other things, and Part 4 learns
from them.  A *rater* is somebody who does one of them.

    a rater says                   called            a method counts     chapters
    write like this: ab            a demonstration   N                   sft
    I prefer ab to aa              a preference      D = X⁺ − X⁻         reward_model dpo ipo
                                                     M⁺ and M⁻           simpo orpo
                                                     any of them         margins
    I like ab; I do not like aa    labels            X⁺ and X⁻           kto

A *demonstration* is a string that is to be imitated.  A *preference* is a pair of strings of which
one was preferred: the *chosen* one, y⁺, to the *rejected* one, y⁻.  Often both answer one *prompt*,
a text that somebody else has written.  The steps of the prompt belong to neither string; the
strings start in the state in which the prompt ends.  A *label* says of a single string whether it
was liked.  Most of the other chapters have a reward already: a rule, or what `reward_model` has
learned from preferences.

**Three pairs over two letters.**  As in `counts`, the states are start, a and b, the actions are
end, a and b, and both are numbered 0, 1, 2.

    pair   chosen                        rejected
    1      ab: start→a  a→b  b→end       aa: start→a  a→a  a→end
    2      b:  start→b  b→end            aa: start→a  a→a  a→end
    3      ab: start→a  a→b  b→end       b:  start→b  b→end

`Pairs` takes the steps of the three chosen strings, end to end, and those of the three rejected
ones:

>>> chosen = counts.steps([0, 1, 2, 0, 2, 0, 1, 2], [1, 2, 0, 2, 0, 1, 2, 0], [0, 3, 5, 8], (3, 3))
>>> rejected = counts.steps([0, 1, 1, 0, 1, 1, 0, 2], [1, 1, 0, 1, 1, 0, 2, 0], [0, 3, 6, 8],
...                         (3, 3))
>>> pairs = Pairs(chosen, rejected)

The matrix D of (counts.3) has a row per pair.  It counts a step of the chosen string as 1 and one
of the rejected string as −1:

           start           a               b
           end  a   b      end  a   b      end  a   b
    1       0   0   0      −1  −1   1       1   0   0
    2       0  −1   1      −1  −1   0       1   0   0
    3       0   1  −1       0   0   1       0   0   0

>>> print(pairs.difference.toarray().astype(int))
[[ 0  0  0 -1 -1  1  1  0  0]
 [ 0 -1  1 -1 -1  0  1  0  0]
 [ 0  1 -1  0  0  1  0  0  0]]

In pair 1 both strings begin with a.  That step cancels, so the pair says nothing about it.  Row 1
is the sum of rows 2 and 3: ab is ahead of aa by as much as ab is ahead of b and b ahead of aa,
together.  This holds for any table of numbers that is summed over the steps of both strings.  By
how much the chosen string has more is the *margin* m of the pair; it is negative if the rejected
one has more.  Say that a→b earns 2, b→end earns 1, and all else earns nothing.  Then ab earns 3, aa
earns 0 and b earns 1, which makes the margins 3, 1 and 2:

>>> print(reward_margins(pairs.difference, [[0, 0, 0], [0, 0, 2], [1, 0, 0]]))
[3. 1. 2.]

With log π in the place of this table, m is log π(y⁺) − log π(y⁻).  Some methods compare means per
step instead of sums, to be fair to long strings.  Their matrices are M⁺ and M⁻ of (counts.4).  The
steps of ab count ⅓ each, and those of b ½.  Here are the chosen strings of pairs 1 and 2:

>>> print(pairs.means[0].toarray()[:2].round(2))
[[0.   0.33 0.   0.   0.   0.33 0.33 0.   0.  ]
 [0.   0.   0.5  0.   0.   0.   0.5  0.   0.  ]]

**Where the pairs of this book come from.**  The reference writes both strings, and a program
chooses.  It has a reward R that we know, so we can say how much a method has learned.  Like a
person it errs, mostly where two strings are worth about the same.  With the logistic function σ, it
prefers y_1 to y_2 with probability σ(R(y_1) − R(y_2)).  For rewards that are equal this is ½, and
for margins of 1 and 3 it is

>>> from minirl.kernel.softmax import log_sigmoid
>>> print(np.exp(log_sigmoid(np.array([1.0, 3.0]))).round(3))
[0.731 0.953]

(`reward_model` says more about this law, and `toy_lm.raters` knows raters who are careless or
undecided.)  In 10,000 pairs of the running example the better string is rejected in every fourth
pair, and the two are worth the same in every twentieth.  In 11 pairs, which `identical` counts,
they are one and the same string.  Such a pair says nothing; D has a row of zeros for it.

**What it costs.**  D has 729 columns in the running example, and a row has about 14 stored entries,
one for each step of its two strings; steps that cancel are stored too.  Each matrix is made when a
loss first asks for it.  A *fit*, which asks for a loss again and again until its lowest point is
found, takes the `Pairs`.  A loss takes a matrix.  A loss of D takes X⁺ and X⁻ as well
(`Pairs.counts`).  They need no memory of their own, since the steps already are their rows, so for
a single product they are faster.  A fit asks for hundreds of products, and then it pays to make D.

**When it fails.**  A pair only says which string is better, never how good either is.  It says
nothing about steps that neither string takes.  Given a matrix of another kind, a loss would measure
something else without a word.  So each loss looks at the first rows: D has negative entries, X
holds whole numbers and none of them is negative, and the rows of M sum to 1.

**Exercises.**  `from minirl.people.pairs import *`
1. "ab" was preferred to "abab".  Does this pair speak for the step a→b, or against it?
       pair = Pairs(counts.steps([0, 1, 2], [1, 2, 0], [0, 3], (3, 3)),
                    counts.steps([0, 1, 2, 1, 2], [1, 2, 1, 2, 0], [0, 5], (3, 3)))
       pair.difference.toarray().astype(int)
2. One rater prefers 0 to 1, another one 1 to 2, and a third one 2 to 0.  What do they say together?
   (`choices` makes pairs of strings of one action each, here 0, 1 and 2 of three.)
       choices([0, 1, 2], [1, 2, 0], 3).difference.sum(axis=0).tolist()
3. All rewards are raised by 1000, so that two strings earn 1003 and 1002.  How often does the rater
   reject the better one?
       from minirl.kernel.softmax import log_sigmoid
       round(float(np.exp(log_sigmoid(np.array(1002.0 - 1003.0)))), 4)

Read next: `sft`, which imitates demonstrations.
Source: Christiano et al. 2017, "Deep reinforcement learning from human preferences",
arXiv:1706.03741; Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, §3.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from minirl.kernel import checks, counts
from minirl.kernel.counts import Difference, Steps
from minirl.kernel.softmax import backward

HEAD = 32  # So many rows are looked at to see what kind of matrix it is.


@dataclass(frozen=True, eq=False)
class Pairs:
    """B pairs of strings: string i of `chosen` was preferred to string i of `rejected`.

    The matrices are sparse, (B, S·A), made once and read-only.  `counts` lie on the strings.

    Examples
    --------
    "b" was preferred to "aa", as strings of two letters:

    >>> good = counts.steps(np.array([0, 2]), np.array([2, 0]), np.array([0, 2]), (3, 3))
    >>> bad = counts.steps(np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0, 3]), (3, 3))
    >>> pairs = Pairs(good, bad)
    >>> print(len(pairs), pairs.shape, pairs.difference.toarray())
    1 (3, 3) [[ 0. -1.  1. -1. -1.  0.  1.  0.  0.]]
    """

    chosen: Steps  # in this class `counts` is something else
    rejected: Steps

    def __post_init__(self):
        _check_type("chosen", self.chosen, Steps)
        _check_type("rejected", self.rejected, Steps)
        if len(self) != self.rejected.starts.size - 1 or self.shape != self.rejected.shape:
            raise ValueError(f"rejected must be as many strings as chosen, {len(self)} over "
                             f"{self.shape}, got {self.rejected.starts.size - 1} over "
                             f"{self.rejected.shape}")

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
    def counts(self) -> Difference:
        """X⁺ and X⁻ of (counts.2), which together are D: a `counts.Difference`."""
        return counts.two_matrices(self.chosen, self.rejected)

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

    def select(self, rows) -> "Pairs":
        """The pairs `rows` (M,) int, in that order; a pair may be taken twice."""
        rows = np.asarray(rows) if len(rows) else np.zeros(0, int)
        return Pairs(counts.select(self.chosen, rows), counts.select(self.rejected, rows))

    def __add__(self, others) -> "Pairs":
        """These pairs, and then the others."""
        _check_type("others", others, Pairs)
        return Pairs(counts.join([self.chosen, others.chosen]),
                     counts.join([self.rejected, others.rejected]))


def choices(chosen, rejected, actions) -> Pairs:
    """`Pairs` of a world of one state, in which a string is one of `actions` actions.

    Examples
    --------
    Two of three raters preferred action 1:

    >>> print(choices([1, 1, 0], [0, 0, 1], 2).difference.toarray().tolist())
    [[-1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]]
    """
    shape, none = (1, checks.whole("actions", actions)), np.zeros(0, int)
    return Pairs(*(counts.steps(np.zeros(len(side), int), np.asarray(side) if len(side) else none,
                                np.arange(len(side) + 1), shape) for side in (chosen, rejected)))


def reward_margins(difference, table):
    """m = D r of (reward_model.1), (B,), and zero where it is no more than the rounding of its sum.

    Equal strings have a row of D that cancels, and its sum need not: with floating-point numbers
    0.1 + 0.2 + 0.3 − 0.1 − 0.2 − 0.3 is 1e-16.

    Examples
    --------
    >>> rows = choices([0, 1], [1, 0], 2).difference
    >>> print(reward_margins(rows, np.array([[1.0, 3.0]])))
    [-2.  2.]
    """
    table = finite_table("table", table)
    D = check_difference("difference", difference, table)
    m, number, size = D @ table.ravel(), 0, 0.0
    for part in _parts(D):
        sizes = sparse.csr_array((np.abs(part.data), part.indices, part.indptr), shape=D.shape)
        number, size = number + np.diff(part.indptr), size + sizes @ np.abs(table.ravel())
    return np.where(np.abs(m) <= number * np.finfo(float).eps * size, 0.0, m)


def over_pairs(logp, table, rows, phi, pair_weights=None):
    """The mean of φ over pairs, and its gradient in the logits: the losses on preferences are this.

    Parameters
    ----------
    logp, table : (S, A) float
        log π, and what is added up over the strings: log π or log(π/π_ref).
    rows : counts.Difference, or tuple of two sparse matrices, or sparse matrix
        X⁺ and X⁻; or M⁺ and M⁻; or D, if φ depends on the difference alone.  The caller has
        checked them.
    phi : callable
        `phi(plus, minus) -> (value, slope_plus, slope_minus)`, (B,) each, where plus and minus are
        the sums of the chosen and of the rejected strings.  The slopes are ∂φ/∂plus and ∂φ/∂minus.
        D is asked as φ(difference, zeros).
    pair_weights : (B,) float ≥ 0, optional
        By default all pairs count the same.

    Examples
    --------
    A pair costs what the rejected action leads by:

    >>> def lead(plus, minus):
    ...     return minus - plus, -np.ones(plus.shape), np.ones(plus.shape)
    >>> logp = np.log([[0.75, 0.25]])
    >>> loss, grad = over_pairs(logp, logp, choices([1], [0], 2).counts, lead)
    >>> print(round(loss, 4), grad)
    1.0986 [[ 1. -1.]]
    """
    w = shares(pair_weights, rows.shape[0] if sparse.issparse(rows) else rows[0].shape[0])
    if sparse.issparse(rows):
        difference = rows @ table.ravel()
        value, slope, _ = phi(difference, np.zeros(difference.shape))
        G = rows.T @ (w * slope)
    else:
        plus, minus = rows
        value, slope_plus, slope_minus = phi(plus @ table.ravel(), minus @ table.ravel())
        G = plus.T @ (w * slope_plus) + minus.T @ (w * slope_minus)
    return (w * value).sum(), backward(logp, G.reshape(logp.shape))


def shares(pair_weights, B):
    """w/Σw of (reward_model.3): what each of B pairs counts, (B,); by default all count the same.

    Examples
    --------
    >>> print(shares(None, 2), shares(np.array([3.0, 1.0]), 2))
    [0.5 0.5] [0.75 0.25]
    """
    if pair_weights is None:
        return np.full(B, 1 / B)
    w = checks.weights("pair_weights", pair_weights, (B,))
    if not w.any():
        raise ValueError(f"pair_weights must not be all zero, got {w}")
    return w / w.sum()


# What is refused.


def _means(M, head):
    sums = np.diff(np.append(0, np.cumsum(head))[M.indptr[:HEAD + 1]])
    return (head >= 0).all() and (np.abs(sums - 1) <= 1e-9).all()


# What a matrix must be, and whether it is that, by its first entries.
DIFFERENCE = ("counts less counts, some of them negative (Pairs.difference or Pairs.counts)",
              lambda D, head: (head < 0).any() or (D.data < 0).any())
COUNTS = ("whole and not negative (counts.matrix)",
          lambda X, head: (head == np.floor(np.abs(head))).all())
MEANS = "not negative, with rows that sum to 1 (Pairs.means)", _means


def finite_table(name, table):
    """The array of finite numbers that a table or a nested list is.

    Examples
    --------
    >>> print(finite_table("table", [[0, 1]]))
    [[0. 1.]]
    """
    table = checks.floats(name, table)
    checks.finite(name, table)
    return table


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
    _check_type(name, steps, Steps)
    shape = np.shape(table)
    if steps.starts.size < 2 or steps.shape != shape:
        raise ValueError(f"{name} must be at least one over a table of shape {shape}, got "
                         f"{steps.starts.size - 1} over {steps.shape}")


def check_matrix(name, rows, table, kind, B=None):
    """The matrix as CSR, if it is of its kind, and has B rows if B is given.

    Examples
    --------
    >>> check_matrix("strings", sparse.csr_array([[-1., 1.]]), np.zeros((1, 2)), COUNTS)
    Traceback (most recent call last):
    ValueError: strings must be whole and not negative (counts.matrix), got entries from -1 to 1
    """
    needed, holds = kind
    if not sparse.issparse(rows):
        raise ValueError(f"{name} must be a sparse matrix: {needed}, got {type(rows).__name__}")
    if rows.shape != (B or max(rows.shape[0], 1), table.size):
        raise ValueError(f"{name} must be ({B or 'B'}, {table.size}), B > 0, for a table of shape "
                         f"{table.shape}, got {rows.shape}")
    rows = rows.tocsr()
    head = rows.data[:rows.indptr[:HEAD + 1][-1]]
    if not holds(rows, head):
        raise ValueError(f"{name} must be {needed}, got entries from {head.min(initial=0):g} to "
                         f"{head.max(initial=0):g}")
    return rows


def check_difference(name, difference, table):
    """D, as CSR or as a `counts.Difference` of CSR, if it is that.

    Examples
    --------
    >>> one = sparse.csr_array([[0.5, 0.5]])
    >>> check_difference("D", Difference(one, one), np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: D.plus must be whole and not negative (counts.matrix), got entries from 0 to 0.5
    """
    if not isinstance(difference, Difference):
        return check_matrix(name, difference, table, DIFFERENCE)
    plus = check_matrix(f"{name}.plus", difference.plus, table, COUNTS)
    minus = check_matrix(f"{name}.minus", difference.minus, table, COUNTS, plus.shape[0])
    return Difference(plus, minus)


def check_means(chosen, rejected, logp):
    """M⁺ and M⁻ as CSR, if they are such and as many, and their strings can be written.

    Examples
    --------
    >>> one, two = sparse.csr_array([[0.5, 0.5]]), sparse.csr_array([[1., 0.], [0., 1.]])
    >>> check_means(one, two, np.zeros((1, 2)))
    Traceback (most recent call last):
    ValueError: rejected must be (1, 2), B > 0, for a table of shape (1, 2), got (2, 2)
    """
    if logp.ndim != 2:
        raise ValueError(f"logits must be a table (S, A), got shape {logp.shape}")
    plus = check_matrix("chosen", chosen, logp, MEANS)
    minus = check_matrix("rejected", rejected, logp, MEANS, plus.shape[0])
    check_possible("chosen", plus, logp)
    check_possible("rejected", minus, logp)
    return plus, minus


def check_possible(name, rows, logp):
    """CSR rows of strings, or X⁺ and X⁻, that can be written: no step at which log π is −∞.

    Examples
    --------
    >>> check_possible("strings", sparse.csr_array([[0., 1.]]), np.array([[0., -np.inf]]))
    Traceback (most recent call last):
    ValueError: strings must have no step that the policy never takes, got action 1 in state 0
    """
    never = np.flatnonzero(logp.real == -np.inf)
    for part in _parts(rows) if never.size else ():
        wrong = np.isin(part.indices, never)
        if wrong.any():
            state, action = np.unravel_index(part.indices[wrong.argmax()], logp.shape)
            raise ValueError(f"{name} must have no step that the policy never takes, got action "
                             f"{action} in state {state}")


def _parts(D):
    """D itself, or X⁺ and X⁻."""
    return (D,) if sparse.issparse(D) else D


def _check_type(name, value, kind):
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, got {type(value).__name__}")


def _read_only(matrix):
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix
