"""Drawing: from probabilities to outcomes, for many rows at once, and reproducibly.

*Part 1, a side road.  Previous: `counts`.  Next: `mdp`.*

Everything that plays must draw: a first state, an action, where the ice leads.  An outcome is drawn
by inverting the cumulative distribution: with u uniform on [0, 1),

    draw the number of cumulative probabilities that are ≤ u.                           (sampling.1)

The running sums are called *thresholds* here.  They are computed once for all rows of a table, and
then a draw is a comparison.

*The alias method* needs no search, however many outcomes there are.  Cut the probability of n
outcomes, each multiplied by n, into n cells of size one, so that each cell holds its own outcome
and at most one other.  A draw picks a cell and then tosses a coin for the two,

    cell c = ⌊n u⌋,   its own outcome if n u − c < share[c], else other[c].             (sampling.2)

The cells are filled like this.  Outcomes with less than one are poor, the others rich.  Lay what
the poor lack end to end on a line, and what the rich have to spare on another.  A poor cell is
filled by the rich one that lies above where its lack begins.  It may take more than that one had
left; then the rich cell lacks as much itself, and the next rich one fills it.  With four outcomes

    1.2 and 1.6 spare   |0.2|--- 0.6 ---|
    0.4 and 0.8 lack    |--- 0.6 ---|0.2|

the first lack begins under the 0.2 of the third outcome, and takes 0.6 from it.  So the third cell
lacks 0.4 itself, and the fourth outcome fills it, as it fills the second.  Two searches in sorted
running sums fill all cells, and those of all rows together.  With n a power of two and u a random
word of 32 bits, the cell is the word's first bits and the coin its others.  Counted in whole words
all sums are exact, the two lines of a row are equally long, and a probability holds to n·2⁻³².

In a table of many rows the cells are numbered through: cell c of row s is the cell s·n + c.  A cell
and its coin are one number, the *code* 2 (s·n + c) + coin, where the coin is 0 for the cell's own
outcome and 1 for the other.  Whatever follows from a draw is looked up by its code, in one table,
and the outcome itself need not be known.  In play a draw also decides from which row the next one
is.  Only that must be known before the next draw.  All else can wait: the codes are kept, and what
they stand for is looked up for many draws together (`codes`).

*Randomness is an argument.*  Nothing in this book touches NumPy's global generator.  An argument
`rng` is a `Generator`, which advances, or a seed, which always gives the same numbers.  A record of
training holds the state of its generator, so that training can go on from it bit for bit.

Where R independent runs are trained side by side, each has a generator of its own.  Then a run is
the same whether it is trained alone or among a thousand others, which is what makes one seed of a
figure reproducible: `generators`.

Read next: `mdp`, then `playing`, where everything here is used.
Source: Devroye 1986, "Non-uniform random variate generation", chapters III.2 and III.4; Walker 1977
and Vose 1991 on the alias method.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks


def draw(columns, numbers):
    """The outcome (N,) that each number in [0, 1) draws from its column of thresholds (n − 1, N).

    This is (sampling.1).

    Examples
    --------
    >>> print(draw(np.array([[0.25, 0.0], [0.5, 1.0]]), np.array([0.3, 0.0])))
    [1 1]
    """
    return (columns <= numbers).sum(axis=0)


def thresholds(prob):
    """The running sums that (sampling.1) compares with, all but the last: (n − 1, …).

    The distributions (…, n) are divided by their total, so that a last outcome of probability zero
    can never be drawn.  Outcomes come first, so that a comparison runs along the many draws and not
    along the few outcomes.

    Examples
    --------
    >>> print(thresholds(np.array([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]])))
    [[0.25 0.  ]
     [0.5  1.  ]]
    """
    running = np.moveaxis(prob, -1, 0).cumsum(axis=0)
    return running[:-1] / running[-1]


class Alias(NamedTuple):
    """The cells of (sampling.2) for S rows of outcomes, n = 2^bits of them a row, by code."""

    accept: np.ndarray  # (2·S·n,) uint32, (c + share[c]) 2³²/n: smaller words keep the cell
    either: np.ndarray  # (2·S·n,) int, the cell that is drawn: itself, and the other one
    bits: int

    @property
    def other(self):
        """(S·n,) int, where the other words go: a cell of the same row."""
        return self.either[1::2]


def alias(prob):
    """The cells of (sampling.2) for every row of `prob` (S, m), divided by its total.

    Outcome j of row s is the cell s·n + j, with n the first power of two from m upwards.

    Examples
    --------
    A cell of its own for the first outcome, and one that the two share:

    >>> two = alias(np.array([[0.75, 0.25]]))
    >>> print(two.accept / 2**32, two.either)
    [0.5  0.5  0.75 0.75] [0 0 1 0]
    """
    S, m = prob.shape
    bits = max((m - 1).bit_length(), 1)
    n, size = 2**bits, 2**(32 - bits)
    # Whole numbers of words: sums are exact, and what a row lacks is what it has to spare.
    share = np.zeros((S, n), np.int64)
    share[:, :m] = np.rint(prob * (2.0**32 / prob.sum(axis=1, keepdims=True)))
    share[np.arange(S), share.argmax(axis=1)] += 2**32 - share.sum(axis=1)
    kept, other = share.ravel(), np.arange(S * n)
    poor, rich = np.flatnonzero(kept < size), np.flatnonzero(kept >= size)
    # The two lines, of all rows end to end: at the end of a row they meet.
    lack_end = np.append(0, (size - kept[poor]).cumsum())
    spare_end = (kept[rich] - size).cumsum()
    # Each poor cell is filled by the rich one that lies above where its lack begins.
    other[poor] = rich[spare_end.searchsorted(lack_end[:-1], side="right")]
    # A rich cell that runs out within a lack itself lacks what is beyond.
    beyond = lack_end[lack_end.searchsorted(spare_end)] - spare_end
    other[rich] = np.where(beyond > 0, np.append(rich[1:], 0), rich)
    kept[rich] = size - beyond
    # 2³² is no word; but a last cell that is full has itself for the other one.
    accept = np.minimum(np.tile(np.arange(n) * size, S) + kept, 2**32 - 1).astype(np.uint32)
    return Alias(np.repeat(accept, 2), np.stack([np.arange(S * n), other], axis=1).ravel(), bits)


def codes(table, first, numbers, onward):
    """What N chains of t draws draw from an `Alias` by words (t, N) uint32: codes (t, N) int.

    The codes of row s begin at 2n·s, and `first` (N,) says where those of the first draws' rows do.
    After draws of the codes c (N,) the next ones are from the rows that begin at `onward(c)` (N,).
    Returns the codes, and what `onward` said last.  Nothing is checked.

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
        bits = getattr(np.random, rng["bit_generator"])()
        bits.state = rng
        return np.random.Generator(bits)
    if isinstance(rng, (float, np.floating)):
        rng = checks.whole("rng", rng, least=0)
    return np.random.default_rng(rng)


def generators(rng):
    """One Generator per run, as a tuple, from a list, tuple, range or array with one entry per run.

    Anything else that `generator` accepts means a single run.  A Generator that is named twice is
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
    """`count` random words of 32 bits for each of the runs `which` (n,): (count, n) uint32.

    `rng` is one Generator for all, or a tuple with one per run.  With one for all, only the number
    of the runs matters.

    Examples
    --------
    A run draws the same, whoever is beside it:

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
    """`codes` in plain Python, faster for less than `FEW` chains; `onward` is a table (2·S·n,).

    A step of the other form takes as long as ten draws of this loop, however few chains there are.
    A memoryview hands out Python's own numbers, as a list would, and nothing is copied.

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
