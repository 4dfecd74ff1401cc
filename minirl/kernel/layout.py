"""How do episodes of different lengths lie in one array?

*Part 1, a side road.  Previous: `softmax`.  Next: `counts`.*

Episodes and strings are not equally long, but the rows of an array are.  A *sequence* is an episode
or a string, of which each step has a value: a state, a reward or a letter.  Here are the two ways
to lay out three sequences, whose values are 4 8, then 7, then 9 5 6:

    *end to end*                            *side by side*
                                                         sequence  0  1  2
    place     0  1 | 2 | 3  4  5                  time 0           4  7  9
    value     4  8 | 7 | 9  5  6                       1           8  ·  5
    starts    0      2   3         6                   2           ·  ·  6

**End to end**, all steps of the first sequence come first, then those of the second.  Another
array, `starts`, says where each begins, and its last entry where the last one ends.  So sequence i
owns the places starts[i] to starts[i + 1], the latter excluded, as in Python's slices.  Its length
is the difference of the two, and the value of its step t lies at the place starts[i] + t.

>>> values, starts = np.array([4, 8, 7, 9, 5, 6]), starts_of([2, 1, 3])
>>> print(starts, np.diff(starts), values[starts[2]:starts[3]])
[0 2 3 6] [2 1 3] [9 5 6]

**Side by side**, each sequence is a column of a *rectangle*, with time downwards.  The rectangle is
as high as the longest sequence.  What the others leave free is filled with a blank:

>>> side_by_side = rectangle(values, starts, blank=-1)
>>> print(side_by_side)
[[ 4  7  9]
 [ 8 -1  5]
 [-1 -1  6]]
>>> print(flatten(side_by_side, side_by_side >= 0))
[4 8 7 9 5 6]

`flatten` goes back.  It must be told which entries are *alive*, that is, hold a value: a blank may
look like one.

**Which one, when?**  Playing moves all episodes by one step at once.  That is one row, so playing
writes rectangles.  Nearly all else in this book reads sequences end to end, since no memory is
needed then for blanks.  Of 100 strings let 99 have 10 letters and one 1,000.  End to end they take
1,990 places.  The rectangle has 1,000 · 100 = 100,000, and 98 of 100 are blank.

**Some of them.**  `taken` picks sequences in any order.  All steps of a sequence move together, by
the distance between the place where it begins and the place where it is to begin.  Of the three
above, take number 2 and then number 0:

>>> places, begin = taken(starts, [2, 0])
>>> print(places, begin, values[places])
[3 4 5 0 1] [0 3 5] [9 5 6 4 8]

**Part by part.**  Where most episodes end early, playing goes on with the others in a smaller
rectangle.  `laid_out` takes such rectangles one after the other, and with each the numbers of the
sequences that its columns continue.  It lays everything end to end.  Here −1 marks what is over,
and sequence 2 goes on after two steps:

    part 1   sequence  0  1  2         part 2   sequence  2         end to end
                       4  7  9                            6         4 8 | 7 | 9 5 6
                       8 −1  5

>>> parts = [([0, 1, 2], np.array([[4, 7, 9], [8, -1, 5]])), ([2], np.array([[6]]))]
>>> print(*laid_out(parts, 3, int))
[4 8 7 9 5 6] [0 2 3 6]

**Exercises.**  `from minirl.kernel.layout import *`
1. The values of the example, where they are not −1, without `flatten`: in which order do they come?
       block = rectangle(np.array([4, 8, 7, 9, 5, 6]), np.array([0, 2, 3, 6]), blank=-1)
       print(block[block >= 0])
2. NumPy can sum from one start to the next.  Three sequences earn 5, nothing at all (the second one
   is empty), and 1 + 2.  What are the sums?
       print(np.add.reduceat([5, 1, 2], [0, 1, 1]))
3. The rewards −1 −1 of one episode and 0 of another lie side by side, with −1 as the blank.  How
   many come back, if what is not −1 is taken to be alive?
       block = rectangle(np.array([-1, -1, 0]), starts_of([2, 1]), blank=-1)
       print(flatten(block, block != -1))

Read next: `counts`, where the values are steps.
"""

import numpy as np


def starts_of(lengths):
    """Where sequences of these lengths (B,) begin, laid end to end, and where the last one ends.

    Examples
    --------
    >>> print(starts_of([2, 1, 3]))
    [0 2 3 6]
    """
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if starts[-1] >= 2**31:
        raise ValueError(f"steps are numbered with 32 bits, got {starts[-1]} steps")
    return starts.astype(np.int32)


def rectangle(values, starts, blank=0):
    """Sequences laid end to end, values (N,), as the columns of an array (T, B).

    T, the number of rows, is the length of the longest one.  The others are filled up with `blank`,
    a number, or one for each, (B,).  One long sequence makes all columns long.

    Examples
    --------
    >>> print(rectangle(np.array([1, 3, 2]), np.array([0, 2, 3]), blank=-1))
    [[ 1  2]
     [ 3 -1]]
    """
    lengths = np.diff(starts)
    filled = np.full((lengths.max(initial=0), lengths.size), blank, np.asarray(values).dtype)
    filled.T[np.arange(len(filled)) < lengths[:, None]] = values
    return filled


def flatten(rectangle, alive):
    """The living entries of a rectangle (T, B), sequence after sequence: (N,).

    Each of the B columns is a sequence and each of the T rows a time.  `alive` (T, B) bool marks
    the first entries of each column, as many as its sequence has steps.

    Examples
    --------
    >>> print(flatten(np.array([[1, 2], [3, 4]]), np.array([[True, True], [True, False]])))
    [1 3 2]
    """
    return rectangle.T[alive.T]


def taken(starts, rows):
    """The places of the sequences `rows`, (M,) int or a mask (B,) bool, and where they now begin.

    Examples
    --------
    >>> places, begin = taken(np.array([0, 2, 3, 6]), np.array([2, 0]))
    >>> print(places, begin)
    [3 4 5 0 1] [0 3 5]
    """
    lengths = np.diff(starts)[rows]
    begin = starts_of(lengths)
    # All places of a sequence move by one distance: from where it lies now to where it lay before.
    moved = np.repeat(starts[:-1][rows] - begin[:-1], lengths)
    return np.arange(begin[-1]) + moved, begin


def laid_out(parts, sequences, dtype):
    """Sequences that were written part by part, laid end to end: (values (N,), starts (B + 1,)).

    Parts come in the order of time.  A part is (who, values): the rising numbers (n,) of some of
    the B `sequences`, and their next t values (t, n) of `dtype`, a column for each sequence.
    Values are at least 0, and −1 from the end of a sequence on.

    Examples
    --------
    >>> first = np.array([0, 1]), np.array([[5, 3], [4, -1]])
    >>> values, starts = laid_out([first, (np.array([0]), np.array([[2]]))], 2, int)
    >>> print(values, starts)
    [5 4 2 3] [0 3 4]
    """
    lengths, pieces = np.zeros(sequences, np.int64), []
    for who, values in parts:
        alive = np.greater_equal(values, 0, out=columns(*values.shape, bool))
        here = alive.sum(axis=0)
        pieces.append((who, lengths[who], here, flatten(values, alive)))
        lengths[who] += here
    starts = starts_of(lengths)
    if len(pieces) == 1:  # then everything is in place
        return pieces[0][3], starts
    together = np.empty(starts[-1], dtype)
    for who, before, here, values in pieces:
        # Where each run of a sequence goes, less where it lies in its part.
        moved = starts[who] + before - starts_of(here)[:-1]
        together[np.arange(values.size) + np.repeat(moved, here)] = values
    return together, starts


# A line of the processor's cache has 64 bytes, and an entry has at least one.
CACHE_LINE = 64


def columns(steps, sequences, dtype):
    """An array (steps, sequences), made for `flatten`; nothing is written yet.

    Places whole pages of memory apart (4,096 bytes) share a few places of the cache.  So where rows
    are as long as a page, reading down a column throws out what the next column needs.  Here such
    rows lie some lines further apart.

    Examples
    --------
    >>> columns(3, 512, float).strides
    (4608, 8)
    """
    paged = sequences * np.dtype(dtype).itemsize % 4096 == 0
    return np.empty((steps, sequences + CACHE_LINE * paged), dtype)[:, :sequences]
