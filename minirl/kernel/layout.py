"""Layout: things of different lengths, end to end or side by side.

*Part 1, a side road.  Previous: `softmax`.  Next: `counts`.*

Episodes and strings are not equally long.  In this book they lie *end to end*: first all steps of
the first one, then those of the second.  An array says where each begins, and where the last one
ends,

    values   a b | c | d e f         starts   0 2 3 6,

so that sequence i owns the places starts[i] : starts[i + 1].  Its length is the difference of the
two, and memory is needed for what there is and for nothing else.

Side by side, one sequence a column, they fill a *rectangle*, time downwards:

    a c d
    b · e
    · · f

It is as high as the longest one.  Where something is made a row at a time, as by playing, this is
how it comes; `flatten` and `laid_out` bring it into order.

Read next: `counts`, where the values are steps; `playing`, where episodes are laid out.
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
    """Sequences laid end to end, values (N,), as the columns of a time-major (T, B) array.

    T is the length of the longest one; the others are filled up with `blank`, a number, or one for
    each, (B,).  This is for looking at, and for whoever cannot do without: one long sequence makes
    all columns long.

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
    """The living entries of a time-major (T, B) array, sequence after sequence: (N,).

    Sequences come in columns and `alive` marks each column's first steps.

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

    A part is (who, values), in the order of time: the rising numbers (n,) of some of B `sequences`,
    and how these go on, one per column, (t, n) of `dtype`, at least 0, and −1 from the end on.

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
    """An array (T, B) for so many steps and sequences, made for `flatten`; nothing is written yet.

    Places whole pages of memory apart (4,096 bytes) share a few places of the cache.  So where a
    row is as long as a page, whoever reads down a column throws out what the next one needs.  Here
    such a row begins some lines later.

    Examples
    --------
    >>> columns(3, 512, float).strides
    (4608, 8)
    """
    paged = sequences * np.dtype(dtype).itemsize % 4096 == 0
    return np.empty((steps, sequences + CACHE_LINE * paged), dtype)[:, :sequences]
