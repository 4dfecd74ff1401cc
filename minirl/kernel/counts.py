"""What does a loss need to know of a batch?  A table of summed weights, or one row per string.

*Part 1.  Previous: `layout`, a side road.  Next: `sampling`, a side road.*

A *batch* is what a policy learns from at one time: the steps of some episodes, or of some strings.
A step is here a pair (s, a), a state and the action that was taken in it.  Batches are long, and
tables are small.  This chapter turns a batch into a table, or into one row of such a table for each
string.

**A word, three times.**  In an alphabet of two letters the states are start, a and b, and the
actions are end, a and b.  Both are numbered 0, 1, 2.  Here is the word "abab":

    as steps   state   start  a  b  a  b         state   0  1  2  1  2
               action  a      b  a  b  end       action  1  2  1  2  0

    as a table         end  a  b                 as a row, the rows of the table end to end
               start   0    1  0
               a       0    0  2                 0  1  0    0  0  2    1  1  0
               b       1    1  0                   start      a          b

The step from a to b occurs twice.  In plain NumPy the table is made by `np.add.at`, which adds 1 at
each pair, however often the pair comes:

>>> states, actions = [0, 1, 2, 1, 2], [1, 2, 1, 2, 0]
>>> counted = np.zeros((3, 3))
>>> np.add.at(counted, (states, actions), 1)
>>> print(counted)
[[0. 1. 0.]
 [0. 0. 2.]
 [1. 1. 0.]]

An entry of the table has a number too, its place in the row: the state times the number of actions,
plus the action.  `steps` numbers the steps like this.  It takes any number of strings, one after
the other.  Here [0, 5] says that the one word begins at step 0 and is over before step 5, and
(3, 3) is the shape of the table.  `np.bincount` counts the numbers, and so makes the row:

>>> word = steps(states, actions, [0, 5], (3, 3))
>>> print(word.index, np.bincount(word.index, minlength=9))
[1 5 7 5 6] [0 1 0 0 0 2 1 1 0]

**Why the table is enough.**  Suppose that a loss sees step n only through log π(a_n|s_n): it takes
some function f of this number, multiplies it by a weight w_n and sums over the N steps.  Gather the
steps of each pair (s, a).  They have the factor f(log π(a|s)) in common, and it is multiplied by
the sum of their weights:

    Σ_n w_n f(log π(a_n|s_n)) = Σ_{s,a} W[s, a] f(log π(a|s)),
    W[s, a] = sum of w_n over the steps n with s_n = s and a_n = a,
    W[s, a] = N[s, a], the number of these steps, if all w_n are 1.                       (counts.1)

Take a policy that writes a after the start, b after a and the end after b with the chance ½ each,
and all else with ¼.  The log-probability of the word has f(x) = x and the weights 1.  Four steps
are of the chance ½ and one is of ¼, in total (½)⁴ · ¼ = (½)⁶, which is −6 log 2 = −4.1589 nats:

>>> logp = np.log([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
>>> print((table(word) * logp).sum().round(4))
-4.1589

The gradient needs nothing else.  The derivative of the sum with respect to log π(a|s) is
W[s, a] f′(log π(a|s)), which is the G of (softmax.3).

**Strings by themselves.**  To compare two strings, a loss needs the log-probability of each.  Let
row i of a matrix X be the counts of string y_i, laid out as a row like the word above:

    X[i, (s, a)] = how often string y_i takes the step (s, a),
    log π(y_i) = Σ_{s,a} X[i, (s, a)] log π(a|s),   that is   X @ logp.ravel().           (counts.2)

`logp.ravel()` lays the rows of the table log π end to end, so that it has an entry per column of X.
Let y⁺ be the better and y⁻ the worse string of each pair, with the matrices X⁺ and X⁻.  Then only
the difference matters,

    D = X⁺ − X⁻,   D @ logp.ravel() = log π(y⁺) − log π(y⁻).                              (counts.3)

A method may take the mean over the |y_i| steps of a string instead of the sum.  It divides the row:

    M[i] = X[i]/|y_i|,   M @ logp.ravel() = log π(y_i)/|y_i|.                             (counts.4)

Let y⁺ be "abab" and y⁻ "aab".  The second word has the step from a to a, with the chance ¼, where
the first one has a second step from a to b, with ½, and a step from b to a, with ¼.  These are the
entries −1, 1 and 1 of D, and D @ logp.ravel() = log ½ + log ¼ − log ¼ = log ½ = −0.6931: "abab" is
half as probable.  Per step the order is the other one: −4.1589/5 = −0.8318 is the larger mean.

>>> both = steps(states + [0, 1, 1, 2], actions + [1, 1, 2, 0], [0, 5, 9], (3, 3))
>>> print((matrix(both) @ logp.ravel()).round(4), (mean_matrix(both) @ logp.ravel()).round(4))
[-4.1589 -3.4657] [-0.8318 -0.8664]

**Nearly all entries are 0.**  The 2,465 words of the running example have 16,986 steps over a table
of 27 × 27 = 729 entries.  Their X has 1,796,985 entries, and fewer than 1 in 100 are not 0.  A
*sparse matrix* stores only these, as the column and the value of each, row after row.  Its memory
grows with the number of steps only, and `@` multiplies it like any other matrix.

**What it costs.**  A batch is counted once, in a time that grows with N.  From then on, where the
table is enough, a loss and its gradient cost an operation or a few per entry: in the running
example 729 entries in the place of 16,986 steps.  (Whoever takes one step from each batch counts
every time.  The table saves where many steps are taken from one.)  A loss of single strings costs a
product with X, D or M: about as many operations as there are steps.  Some methods divide a batch at
random into *minibatches*, parts from which they learn one after the other.  Each part must be
counted.  So a pass over the whole batch, an *epoch*, then costs N operations, however small the
table is.

One table is not enough where f differs from step to step.  If f depends on the sign of the weight,
for example, each sign gets its own table.

`steps` checks every range once, and all other functions trust the `Steps` that it makes.  With
three actions numbered 0 to 2, a wrong action 3 in state 0 would have the number 3, which belongs to
action 0 in state 1.  Without the check it would be counted there, and nobody would notice.

**Exercises.**  `from minirl.kernel.counts import *`
1. Somebody adds 1 at all pairs of "abab" with `+=`.  How many of its five steps are counted?
       counted = np.zeros((3, 3), int)
       counted[[0, 1, 2, 1, 2], [1, 2, 1, 2, 0]] += 1
       int(counted.sum())
2. Can a bigram model find "abaab" more likely than "aabab"?
       matrix(steps([0, 1, 2, 1, 1, 2, 0, 1, 1, 2, 1, 2], [1, 2, 1, 1, 2, 0, 1, 1, 2, 1, 2, 0],
                    [0, 6, 12], (3, 3))).toarray().astype(int)
3. The loss is −log π(abab), so G = −N, which is −2 for b after a.  All actions are equally likely.
   What is the derivative with respect to the logit of that step?
       from minirl.kernel.softmax import backward
       backward(np.full((3, 3), -np.log(3)), -np.array([[0, 1, 0], [0, 0, 2], [1, 1, 0]])).round(4)

Read next: `mdp`, the world whose steps are counted.
"""

from functools import cache
from math import prod
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.kernel import checks
from minirl.kernel.layout import laid_out, starts_of, taken


class Steps(NamedTuple):
    """N steps of B sequences, laid end to end: sequence i owns steps starts[i] : starts[i + 1].

    A sequence is an episode or a string, and may be empty.  `steps` makes them and checks the
    ranges.
    """

    index: np.ndarray   # (N,) int32, s·A + a
    starts: np.ndarray  # (B + 1,) int32, from 0 to N, never falling
    shape: tuple        # (S, A)


def table(steps, weights=None):
    """W of (counts.1): how often each step occurs, or the sums of `weights` (N,), one per step.

    Examples
    --------
    >>> one = steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 3]), (2, 2))
    >>> print(table(one))
    [[0. 2.]
     [1. 0.]]
    """
    if weights is not None:
        checks.shape("weights", weights, steps.index.shape)
    return add_up(steps.index, prod(steps.shape), weights).reshape(steps.shape)


def matrix(steps):
    """X of (counts.2): sparse (B, S·A) float, one row per sequence.

    In *compressed sparse row* form, a row is a list of columns and a list of values, and a column
    that comes twice counts twice.  So the columns are the numbers of the steps as they are, and all
    values are 1: nothing is sorted or summed.

    Examples
    --------
    >>> two = steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 2, 3]), (2, 2))
    >>> print(matrix(two).toarray())
    [[0. 1. 1. 0.]
     [0. 1. 0. 0.]]
    """
    # Copies, since SciPy may later sort a matrix in place, and the steps with it.
    return sparse.csr_array((np.ones(steps.index.size), steps.index.copy(), steps.starts.copy()),
                            shape=(steps.starts.size - 1, prod(steps.shape)))


def difference_matrix(chosen, rejected):
    """D of (counts.3): sparse (B, S·A) float, row i = chosen sequence i minus rejected sequence i.

    A row lists the steps of the chosen sequence with value +1, then those of the rejected one
    with −1.  Steps that both share stay as they are and cancel in every product.  Making it pays
    before hundreds of products; for one or two, `two_matrices` is cheaper.

    Examples
    --------
    >>> chosen = steps(np.array([0, 1]), np.array([1, 0]), np.array([0, 2]), (2, 2))
    >>> rejected = steps(np.array([0]), np.array([1]), np.array([0, 1]), (2, 2))
    >>> print(difference_matrix(chosen, rejected).toarray())
    [[0. 0. 1. 0.]]
    """
    _check_alike(chosen, rejected)
    lengths = np.stack([np.diff(chosen.starts), np.diff(rejected.starts)], axis=1)
    starts = starts_of(lengths.sum(axis=1))
    # One byte per step says whose place it is.  Each side fills its places in its own order.
    is_chosen, signs = (np.repeat(np.tile(both, len(lengths)), lengths.ravel())
                        for both in ([True, False], [1.0, -1.0]))
    columns = np.empty(is_chosen.size, dtype=np.int32)
    columns[is_chosen], columns[~is_chosen] = chosen.index, rejected.index
    return sparse.csr_array((signs, columns, starts), shape=(len(lengths), prod(chosen.shape)))


class Difference(NamedTuple):
    """D of (counts.3), kept as X⁺ and X⁻: a product is X⁺ @ vector − X⁻ @ vector.

    Like D it has a shape and a transpose, and is multiplied with vectors by `@`.

    Examples
    --------
    >>> D = Difference(sparse.csr_array([[0, 1, 1]]), sparse.csr_array([[1, 1, 0]]))
    >>> print(D @ np.array([1., 2., 4.]), D.T @ np.array([0.5]))
    [3.] [-0.5  0.   0.5]
    """

    plus: sparse.sparray   # X⁺ (B, S·A)
    minus: sparse.sparray  # X⁻ (B, S·A)

    @property
    def shape(self):
        """(B, S·A)."""
        return self.plus.shape

    @property
    def T(self) -> "Difference":
        """Dᵀ, in the same form."""
        return Difference(self.plus.T, self.minus.T)

    def __matmul__(self, vector):
        """D @ vector."""
        return self.plus @ vector - self.minus @ vector


def two_matrices(chosen, rejected) -> Difference:
    """X⁺ and X⁻ of (counts.3) on the arrays of the steps, not copied: a read-only `Difference`.

    Examples
    --------
    >>> chosen = steps(np.array([0, 1]), np.array([1, 0]), np.array([0, 2]), (2, 2))
    >>> rejected = steps(np.array([0]), np.array([1]), np.array([0, 1]), (2, 2))
    >>> print(two_matrices(chosen, rejected) @ np.array([0., 1., 10., 0.]))
    [10.]
    """
    _check_alike(chosen, rejected)
    ones = _ones(max(chosen.index.size, rejected.index.size), float)  # the same for both
    return Difference(*(sparse.csr_array(
        tuple(map(_read_only, (ones[:side.index.size], side.index, side.starts))),
        shape=(side.starts.size - 1, prod(side.shape))) for side in (chosen, rejected)))


def mean_matrix(steps):
    """M of (counts.4): sparse (B, S·A) float, one row per sequence, the rows summing to one.

    A sequence without a step has no mean and is refused.

    Examples
    --------
    >>> two = steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 2, 3]), (2, 2))
    >>> print(mean_matrix(two).toarray())
    [[0.  0.5 0.5 0. ]
     [0.  1.  0.  0. ]]
    """
    lengths = np.diff(steps.starts)
    if not lengths.all():
        raise ValueError(f"steps must have a step in every sequence, got none in sequence "
                         f"{lengths.argmin()}")
    means = matrix(steps)
    means.data /= np.repeat(lengths, lengths)
    return means


def sequence_tables(steps, weights):
    """W of (counts.1) where all steps of sequence i weigh `weights[k, i]`: K tables, (K, S, A).

    Row (s, a) of Xᵀ says how often each sequence took that step, so the tables are Xᵀ weightsᵀ.
    They are made in one product, so that the steps are read once.  The rows of X are the columns
    of Xᵀ, so the same arrays serve for both, and nothing is copied.

    Examples
    --------
    >>> two = steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 2, 3]), (2, 2))
    >>> print(sequence_tables(two, np.array([[0.5, 3.0]])))
    [[[0.  3.5]
      [0.5 0. ]]]
    """
    weights, sequences = np.asarray(weights, float), steps.starts.size - 1
    if weights.shape != (len(weights), sequences):
        raise ValueError(f"weights must have shape (K, {sequences}), got {weights.shape}")
    transposed = sparse.csc_array((_ones(steps.index.size, float), steps.index, steps.starts),
                                  shape=(prod(steps.shape), sequences))
    return (transposed @ weights.T).T.reshape(len(weights), *steps.shape)


def steps(states, actions, starts, shape) -> Steps:
    """Check the states and actions (N,) int of all sequences, end to end: `Steps`.

    Sequence i owns the steps starts[i] : starts[i + 1], so `starts` (B + 1,) int rises from 0 to N.
    The table has `shape` (S, A).

    Examples
    --------
    Two sequences, (0, 1) (1, 0) and (0, 1), in a world of two states and two actions:

    >>> print(steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 2, 3]), (2, 2)).index)
    [1 2 1]
    """
    states, actions, starts = map(np.asarray, (states, actions, starts))
    shape = tuple(checks.whole("shape", number) for number in shape)
    for name, values in ("states", states), ("actions", actions), ("starts", starts):
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} must be a vector of integers, "
                             f"got {values.dtype} of shape {values.shape}")
    checks.shape("actions", actions, states.shape)
    if not (starts.size and starts[0] == 0 and starts[-1] == states.size
            and (starts[:-1] <= starts[1:]).all()):
        raise ValueError(f"starts must rise from 0 to {states.size}, got {starts}")
    if max(states.size, prod(shape)) >= 2**31:
        raise ValueError(f"steps are numbered with 32 bits, got {states.size} steps "
                         f"over a table of {prod(shape)} entries")
    index = np.empty(states.size, np.int32)
    for start in range(0, states.size, BLOCK):
        block = slice(start, start + BLOCK)
        for name, values, bound in (("states", states, shape[0]), ("actions", actions, shape[1])):
            # Read as a number without a sign, −1 is larger than any bound.
            if values[block].astype(np.int64, copy=False).view(np.uint64).max() >= bound:
                raise ValueError(f"{name} must lie in [0, {bound}), "
                                 f"got [{values.min()}, {values.max()}]")
        index[block] = states[block]
        index[block] *= shape[1]
        index[block] += actions[block].astype(np.int32)
    return Steps(index, starts.astype(np.int32), shape)


def from_parts(parts, sequences, shape) -> Steps:
    """`Steps` of sequences over a table of `shape` (S, A), written part by part.

    The parts are those of `layout.laid_out`, and their entries are s·A + a.  Nothing is checked.

    Examples
    --------
    >>> first = np.array([0, 1]), np.array([[5, 3], [4, -1]], np.int32)
    >>> both = from_parts([first, (np.array([0]), np.array([[2]], np.int32))], 2, (3, 3))
    >>> print(both.index, both.starts)
    [5 4 2 3] [0 3 4]
    """
    return Steps(*laid_out(parts, sequences, np.int32), tuple(shape))


def select(steps, rows) -> Steps:
    """The sequences `rows` (M,) int of `steps`, in that order; a sequence may be taken twice.

    Examples
    --------
    >>> two = steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 2, 3]), (2, 2))
    >>> print(select(two, np.array([1, 0])).index)
    [1 1 2]
    """
    sequences = steps.starts.size - 1
    if rows.size and not (0 <= rows.min() and rows.max() < sequences):
        raise ValueError(f"rows must lie in [0, {sequences}), got [{rows.min()}, {rows.max()}]")
    places, starts = taken(steps.starts, rows)
    return Steps(steps.index[places], starts, steps.shape)


def join(parts) -> Steps:
    """The sequences of several `Steps` over one table, one after the other.

    Examples
    --------
    >>> two = steps(np.array([0, 1]), np.array([1, 0]), np.array([0, 1, 2]), (2, 2))
    >>> both = join([two, two])
    >>> print(both.index, both.starts)
    [1 2 1 2] [0 1 2 3 4]
    """
    if len({part.shape for part in parts}) != 1:
        raise ValueError(f"parts must be steps over one table, got tables "
                         f"{[part.shape for part in parts]}")
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    return Steps(np.concatenate([part.index for part in parts]), starts_of(lengths), parts[0].shape)


def _check_alike(chosen, rejected):
    if chosen.shape != rejected.shape or chosen.starts.size != rejected.starts.size:
        raise ValueError(f"chosen and rejected must share a table and a number of sequences, got "
                         f"{chosen.starts.size - 1} of {chosen.shape} and "
                         f"{rejected.starts.size - 1} of {rejected.shape}")


def _read_only(array):
    """A view of it, in which SciPy cannot sort or sum in place."""
    view = array.view()
    view.flags.writeable = False
    return view


# What makes counting fast.

# Steps are numbered so many at a time: few enough to stay in the processor's cache.
BLOCK = 32_768
# So many ones are kept for the next count, at most.
KEPT = 2**21
# Of so few entries NumPy has the sums before SciPy has made a matrix.
FEW_ENTRIES = 20_000


def add_up(index, size, weights=None):
    """`np.bincount(index, weights, size)`: the sum of the weights at each index, in half the time.

    Half the time holds for many entries.  Making a matrix takes as long as counting `FEW_ENTRIES`.

    The indices are read as the columns, and the weights as the entries, of a sparse matrix with one
    row.  Columns may repeat, and when the row is written out their entries are added up, in the
    order of the steps.  SciPy does not check the indices, and one outside would be written to
    outside the array: only the int32 index of `Steps` may go in, or keys that were made from it.

    Examples
    --------
    >>> print(add_up(np.array([2, 0, 2], np.int32), 4, np.array([1., 5., 0.5])))
    [5.  0.  1.5 0. ]
    """
    if index.size < FEW_ENTRIES:
        return np.bincount(index, weights, size).astype(float)
    # Ones of 32 bits: half the memory of floats to read, and enough for the steps of any batch.
    entries = _ones(index.size, np.int32) if weights is None else np.asarray(weights, float)
    row = sparse.csr_array((entries, index, np.array([0, index.size], np.int32)), shape=(1, size))
    return row.toarray()[0].astype(float)


def _ones(number, dtype):
    """That many ones.  Up to `KEPT` are kept, since writing them is a third of counting."""
    if not 0 < number <= KEPT:
        return np.ones(number, dtype)
    # More than half of an array: SciPy copies a slice that is shorter than half of what it is from.
    return _power_of_two_ones((number - 1).bit_length(), dtype)[:number]


@cache
def _power_of_two_ones(bits, dtype):
    ones = np.ones(2**bits, dtype)
    ones.flags.writeable = False
    return ones
