"""How are outcomes drawn from their probabilities, quickly and so that a draw can be repeated?

*Part 1, a side road.  Previous: `counts`.  Next: `mdp`.*

Everything that plays must draw: a first state, an action, where the ice leads.  This chapter draws
one of K outcomes, numbered from 0, whose probabilities are known.  The chance comes in as a number
u, drawn *uniformly* from 0 to 1: equally long intervals are equally likely, and 1 itself never
comes.  The example has K = 4 outcomes with the probabilities 0.1, 0.2, 0.3 and 0.4.

**By thresholds.**  Lay the probabilities end to end on the line from 0 to 1, and see where u falls:

    |0.1|   0.2   |     0.3     |        0.4        |
    0  0.1       0.3           0.6                  1
      0      1          2                3             the outcome

The running sums 0.1, 0.3 and 0.6 are the *thresholds*.  At u = 0.55 two of them lie below, and the
outcome is number 2.  In general:

    draw the number of thresholds that are ≤ u.                                         (sampling.1)

>>> prob = np.array([[0.1, 0.2, 0.3, 0.4]])
>>> print(draw(thresholds(prob), np.array([0.55])))
[2]

**By cells.**  This takes K − 1 comparisons.  The *alias method* takes one, however many outcomes
there are.  It cuts the same probabilities into K *cells* of the size 1, each of which holds its own
outcome and at most one other.  Then a draw picks a cell, and in it one of the two.

Multiply all probabilities by K, so that they are 1 on average.  An outcome with less than 1 is
*poor*: it lacks the rest of its cell.  The others are *rich*, and may have something to spare:

    outcome   0               1               2               3
    K times   0.4             0.8             1.2             1.6
              lacks 0.6       lacks 0.2       spares 0.2      spares 0.6

Since the mean is 1, all poor ones together lack what all rich ones can spare, here 0.8.  Three
steps fill the cells.  In the picture a cell is ten signs wide.  A digit is 0.1 of the outcome that
it names, a dot is 0.1 that is lacking, and what can be spared stands to the right of its cell.

    at the start    |0000......|     |11111111..|     |2222222222|22   |3333333333|333333
    cell 0 is full  |0000222222|     |11111111..|     |222222....|     |3333333333|333333
    cell 2 is full  |0000222222|     |11111111..|     |2222223333|     |3333333333|33
    cell 1 is full  |0000222222|     |1111111133|     |2222223333|     |3333333333|

1. Cell 0 lacks 0.6.  The first rich outcome, number 2, fills all of it.  That is 0.4 more than it
   could spare, so that now cell 2 lacks 0.4 of its own.
2. The next rich outcome, number 3, fills cell 2.  It had 1.6 and has 1.2 left.
3. Outcome 3 also fills cell 1, which lacks 0.2.  It has 1 left, which fills its own cell.

Each step fills a cell for good, so that K steps are always enough.  Each outcome keeps its total,
for example 0.6 + 0.6 = 1.2 of outcome 2.  Let share[c] be what cell c holds of its own outcome, and
other[c] the number of the other one.  Then a draw is

    cell c = ⌊K u⌋,   its own outcome if K u − c < share[c], else other[c],             (sampling.2)

where ⌊ ⌋ rounds down.  At u = 0.55, K u = 2.2: this is cell 2 at 0.2 of its width.  Since 0.2 < 0.6
the outcome is 2.  At u = 0.7, K u = 2.8: cell 2 again, at 0.8.  That is the other outcome, 3.

`alias` makes the cells.  Its array `accept` has two equal entries for each cell c, namely c +
share[c] in units of 2⁻³⁰.  The reasons for both follow below.

>>> cells = alias(prob)
>>> print((cells.accept[::2] / 2**30 - np.arange(4)).round(4), cells.other)
[0.4 0.8 0.6 1. ] [2 3 3 3]

**All cells at once.**  `alias` needs no loop over outcomes.  Lay what the poor ones lack end to end
on a line, in their order, and what the rich ones can spare on another, a digit for 0.1 again:

    what is spared   |22333333|      The outcome above the sign where a lack begins fills it:
    what is lacked   |00000011|      outcome 2 fills cell 0, and outcome 3 fills cell 1.

What outcome 2 spares ends after 0.2, and the lack of cell 0 goes on for 0.4.  These 0.4 come out of
cell 2.  So it lacks 0.4 itself, and the next rich outcome fills it.  All this takes running sums
and two searches in them, for all rows of a table together.

A random *word* of 32 bits is one of 2³² equally likely whole numbers, and u is the word over 2³².
Outcomes of probability 0 are added until K is a power of two.  Then the first bits of the word are
the number of the cell, and the other bits say where in the cell u lies.  Here K = 4, so that a cell
has 2³⁰ words.  Cells are filled in whole words.  So all sums are exact, and each probability is
right to K/2³².  An outcome that is rarer than half a word, 2⁻³³, is never drawn.

**Codes.**  The cells of a table of many rows are counted row after row: cell c of row s has the
number s·K + c.  What a draw finds is one number too, its *code* 2 (s·K + c) + coin, where coin is 0
for the cell's own outcome and 1 for the other.  So each cell has two codes, and what follows from a
draw is looked up by its code.  In play a draw also decides from which row the next one is, and only
this must be known at once.  All else is looked up later, for many draws together (`codes`).

**Again the same.**  An argument `rng` is a *generator*, a source of random numbers that advances
with each draw, or a *seed*: a whole number that starts a new generator, always with the same
numbers.  The state of a generator can be saved, and work that goes on from it draws what it would
have drawn.  NumPy's global generator is never used.  Where independent runs go on side by side,
each has its own generator (`generators`).  So a run is the same alone and among a thousand others.

**Exercises.**  `from minirl.kernel.sampling import *`
1. A first outcome has the probability 0, and u is 0.  Which outcome is drawn, and why?
       draw(thresholds(np.array([[0., 1.]])), np.array([0.])).tolist()
2. Two outcomes have the probabilities 1e-10 and 1 − 1e-10.  How many words draw the first one?
       int(alias(np.array([[1e-10, 1 - 1e-10]])).accept[0])
3. The same generator is used twice, and then the same seed.  Which of the four numbers are equal?
       rng = generator(7)
       [round(float(generator(source).random()), 4) for source in (rng, rng, 7, 7)]

Read next: `mdp`, the world whose outcomes are drawn.
Source: Devroye 1986, "Non-uniform random variate generation", chapters III.2 and III.4; Walker 1977
and Vose 1991 on the alias method.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks


def draw(columns, numbers):
    """The outcome (N,) that each number in [0, 1) draws from its column of thresholds (K − 1, N).

    This is (sampling.1).

    Examples
    --------
    >>> print(draw(np.array([[0.25, 0.0], [0.5, 1.0]]), np.array([0.3, 0.0])))
    [1 1]
    """
    return (columns <= numbers).sum(axis=0)


def thresholds(prob):
    """The running sums that (sampling.1) compares with, all but the last: (K − 1, …).

    The distributions (…, K) are divided by their total, so that a last outcome of probability zero
    can never be drawn.  In the result the axis of the outcomes comes first, so that a comparison
    runs along the many draws and not along the few outcomes.

    Examples
    --------
    >>> print(thresholds(np.array([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]])))
    [[0.25 0.  ]
     [0.5  1.  ]]
    """
    running = np.moveaxis(prob, -1, 0).cumsum(axis=0)
    return running[:-1] / running[-1]


class Alias(NamedTuple):
    """The cells of (sampling.2) for S rows of outcomes, K = 2^bits of them per row, by code."""

    accept: np.ndarray  # (2·S·K,) uint32, (c + share[c]) 2³²/K: smaller words keep the cell
    either: np.ndarray  # (2·S·K,) int, the cell that is drawn: itself, and the other one
    bits: int

    @property
    def other(self):
        """(S·K,) int, where the other words go: a cell of the same row."""
        return self.either[1::2]


def alias(prob) -> Alias:
    """The cells of (sampling.2) for every row of `prob` (S, outcomes), divided by its total.

    Outcome j of row s is the cell s·K + j.  K is the first power of two that is as large as the
    number of outcomes, and at least 2.

    Examples
    --------
    A cell of its own for the first outcome, and one that the two share:

    >>> two = alias(np.array([[0.75, 0.25]]))
    >>> print(two.accept / 2**32, two.either)
    [0.5  0.5  0.75 0.75] [0 0 1 0]
    """
    S, outcomes = prob.shape
    bits = max((outcomes - 1).bit_length(), 1)
    K, size = 2**bits, 2**(32 - bits)
    # Whole numbers of words: sums are exact, and what a row lacks is what it has to spare.
    share = np.zeros((S, K), np.int64)
    share[:, :outcomes] = np.rint(prob * (2.0**32 / prob.sum(axis=1, keepdims=True)))
    share[np.arange(S), share.argmax(axis=1)] += 2**32 - share.sum(axis=1)
    kept, other = share.ravel(), np.arange(S * K)
    poor, rich = np.flatnonzero(kept < size), np.flatnonzero(kept >= size)
    # The two lines, of all rows end to end: at the end of a row they meet.
    lack_end = np.append(0, (size - kept[poor]).cumsum())
    spare_end = (kept[rich] - size).cumsum()
    # Each poor cell is filled by the rich outcome above the place where its lack begins.
    other[poor] = rich[spare_end.searchsorted(lack_end[:-1], side="right")]
    # A rich outcome that ends within a lack gives the rest of it too, and so lacks it itself.
    beyond = lack_end[lack_end.searchsorted(spare_end)] - spare_end
    other[rich] = np.where(beyond > 0, np.append(rich[1:], 0), rich)
    kept[rich] = size - beyond
    # 2³² is no word.  Where a last cell is full, the one word too many finds its own outcome too.
    accept = np.minimum(np.tile(np.arange(K) * size, S) + kept, 2**32 - 1).astype(np.uint32)
    return Alias(np.repeat(accept, 2), np.stack([np.arange(S * K), other], axis=1).ravel(), bits)


def codes(table, first, numbers, onward):
    """N chains of t draws from an `Alias`, by `numbers`, words (t, N) uint32: codes (t, N) int.

    The codes of row s begin at 2K·s, and `first` (N,) holds these beginnings for the rows of the
    first draws.  After draws of the codes `code` (N,), the next rows begin at `onward(code)` (N,).
    Returns the codes, and the last result of `onward`.  Nothing is checked.

    Examples
    --------
    Three draws from the only row:

    >>> two, luck = alias(np.array([[0.75, 0.25]])), np.array([[2**30], [2**31], [2**32 - 1]])
    >>> print(codes(two, np.array([0]), luck.astype(np.uint32), np.zeros_like)[0].T)
    [[0 2 3]]
    """
    drawn = _own_codes(table, numbers)
    for number, code in zip(numbers, drawn):  # a row of `drawn`, in place
        code += first
        code += number >= table.accept.take(code)  # True is 1, the other outcome
        first = onward(code)
    return drawn, first


def generator(rng):
    """A NumPy `Generator` from a Generator, a seed, or a saved `bit_generator.state`.

    A Generator is returned as it is and will advance.  A saved state is copied, so that work
    continued from it draws the same numbers again.

    Examples
    --------
    >>> first = generator(7)
    >>> saved = first.bit_generator.state
    >>> first.random() == generator(saved).random()
    True
    """
    if isinstance(rng, dict):
        kind = getattr(np.random, str(rng.get("bit_generator")), None)
        if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
            raise ValueError(f"rng must be the state of a bit generator of NumPy, got {rng}")
        bits = kind()
        bits.state = rng
        return np.random.Generator(bits)
    if isinstance(rng, (float, np.floating)):
        rng = checks.whole("rng", rng, least=0)
    return np.random.default_rng(rng)


def generators(rng):
    """One Generator per run, as a tuple, from a list, tuple, range or array with one entry per run.

    Anything else that `generator` accepts means a single run.  A Generator that comes twice is
    refused: runs that share it would not be independent of each other.

    Examples
    --------
    >>> len(generators(7)), len(generators(range(20)))
    (1, 20)
    """
    several = isinstance(rng, (list, tuple, range)) or np.ndim(rng) == 1
    runs = list(rng) if several else [rng]
    if not runs:
        raise ValueError(f"rng must name at least one run, got {rng!r}")
    made = tuple(generator(run) for run in runs)
    if len({id(bits) for bits in made}) < len(made):
        raise ValueError("rng must hold a Generator of its own for each run, got one twice")
    return made


def words(rng, count, which):
    """`count` random words of 32 bits for each of the runs `which` (R,): (count, R) uint32.

    `rng` is one Generator for all, or a tuple with one per run.  With one for all, only the number
    of the runs matters.

    Examples
    --------
    With a tuple, a run draws the same whatever other runs are beside it:

    >>> both = words(generators([3, 4]), 2, np.array([0, 1]))
    >>> alone = words(generators(4), 2, np.array([0]))
    >>> print((alone == both[:, 1:]).all())
    True
    """
    if isinstance(rng, tuple):
        return np.stack([_words(rng[run], count) for run in which], axis=1)
    return _words(rng, count * len(which)).reshape(count, len(which))


def _words(rng, count):
    """Words of 64 bits cost as much as words of 32, so each is cut into two.

    Those of `default_rng` are handed out as its bit generator makes them: the same that `integers`
    draws, in a quarter of the time.
    """
    bits, number = rng.bit_generator, (count + 1) // 2
    whole = (bits.random_raw(number) if isinstance(bits, np.random.PCG64) else
             rng.integers(0, 2**64, number, dtype=np.uint64))
    return whole.view(np.uint32)[:count]


# Fewer chains than this are drawn faster in plain Python.
FEW = 10


def codes_of_few(table, first, numbers, onward):
    """`codes` in plain Python, faster for fewer than `FEW` chains; `onward` is a table (2·S·K,).

    A step of `codes` has a fixed cost, about that of ten draws of this loop.  A memoryview hands
    out Python's own numbers, as a list would, and nothing is copied.

    Examples
    --------
    >>> two, luck = alias(np.array([[0.75, 0.25]])), np.array([[2**30], [2**31], [2**32 - 1]])
    >>> print(codes_of_few(two, np.array([0]), luck.astype(np.uint32), np.zeros(4, int))[0].T)
    [[0 2 3]]
    """
    drawn, after = _own_codes(table, numbers), np.empty_like(first)
    accept, onward = memoryview(table.accept), memoryview(onward)
    for n, code in enumerate(first.tolist()):
        column = []
        for number, own in zip(numbers[:, n].tolist(), drawn[:, n].tolist()):
            code += own
            if number >= accept[code]:
                code += 1
            column.append(code)
            code = onward[code]
        drawn[:, n], after[n] = column, code
    return drawn, after


def _own_codes(table, numbers):
    """The code within a row of the cell that each word picks, for its own outcome."""
    return (numbers >> np.uint32(32 - table.bits) << np.uint32(1)).astype(np.int64)
