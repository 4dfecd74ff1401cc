"""How is the data found from which a model learns?

*Part 5.  Previous: `scaling`.  Next: `network`.*

A law of scaling says how much data a model wants, and not where to find it.  DeepSeekMath (2024)
took 120 billion tokens of mathematics from the web, in a loop that starts from some *known* pages:

    known ──→ classifier ──→ pages that look right ──→ domains with many of them
      ↑                                                           │
      └──────────── a person marks what is right there ←──────────┘

What it misses nobody knows.  Here it can be counted.  The web is the 12,771 names of characters in
Unicode 3.2, and a page is a *line*, such as "ALMOST EQUAL TO".  Right are the 899 lines that the
standard calls mathematical.  A *domain* is 128 neighbouring code points, a *path* 16.

**The classifier.**  A *feature* is a word or two neighbouring words.  X has a row x per line, with
a 1 for each that it has, and a column of ones (`lines.presence`).  As in (reward_model.5) a line
has a reward R and a label: 1 if it is *known* to be right, and 0 for *negatives*, so many per known
line, or all, from the others, the *pool*.  `lines` counts labels.  Where σ(R) > ½ it is collected.

    R = X w,   L = −(1/lines) Σ_i [label_i log σ(R_i) + (1 − label_i) log σ(−R_i)]
                   + (pull/(2 · lines)) Σ w²                                             (harvest.1)

*Precision* (not `fitting`'s) is what share of the found is right, *recall* what share is found:

    precision = |collected ∩ right|/|collected|,   recall = |collected ∩ right|/|right|. (harvest.2)

**In numbers.**  Lines 0 to 4 have feature 0, 4 to 8 feature 1, 8 to 15 feature 2.  The first eight
are right, two are known, and each four are a domain.  With one negative per known line round 1
takes line 4, by feature 0.  A person marks all of its domain, and round 2 learns feature 1.  With
three, line 4 is never taken.  Printed: collected, already_there (see below), precision, recall.

>>> x = np.zeros((16, 4))
>>> x[:5, 0] = x[4:9, 1] = x[8:, 2] = x[:, 3] = 1
>>> rows, domains, right = sparse.csr_array(x), np.arange(16) // 4, np.arange(16) < 8
>>> for negatives in 1, 3:
...     rounds = harvest(rows, domains, mostly_right(domains, right), begin([0, 1], 16, rng=0),
...                      negatives=negatives, pull=0.1)
...     for found in islice(rounds, 2):
...         print(np.flatnonzero(found.collected), found.already_there,
...               *precision_and_recall(found.collected, right))
[0 1 2 3 4] 0.0 1.0 0.625
[0 1 2 3 4 5 6 7] 0.625 1.0 1.0
[0 1 2 3] 0.0 1.0 0.5
[0 1 2 3] 1.0 1.0 0.5

**How many negatives?**  Among lines with the features x the odds of the label 1 are, at best,

    e^R = chance(x | known)/(negatives · chance(x | pool)).                              (harvest.3)

So, without a pull, m times the negatives lower every R by log m.  Let the known lines be a fair
sample of what is right, the part `share` of the pool.  Then such a line is right with the chance
share · chance(x | known)/chance(x | pool) (Bayes), and R > 0 if that exceeds negatives · share.  In
round 1 the share is 6 %: with 1 negative a sixteenth is enough, with 5 nearly a third, and with 20
nothing new should be collected.  Later it is below 1 %, and known lines are no fair sample.

**What it finds.**  100 lines are known, from all that are right or from *one block*, the
mathematical operators.  A person sees each domain with over a tenth collected, and marks the mostly
right paths: all their lines are then known, even a few wrong ones.  Medians of eight runs, pull 2:

    start      negatives  round   known → collected   precision   recall   already there
    random             5      1     100 →   505           0.819    0.460         -
    random             5      2     810 →   924           0.886    0.915       0.475
    random             5      3     810 →   921           0.891    0.917       0.970
    random             1      2     812 → 1,670           0.527    0.977       0.933
    random            20      3     759 →   772           0.986    0.848       1.000
    one block          5      5     608 →   683           0.933    0.709       0.969
    one block         20      5     512 →   518           0.998    0.576       0.995

Mostly that is the person.  In the second row 800 of the 810 known lines are right, and 24 of 120
others.  Of 20 negatives per known line the pool has only 15.8.  Even with four fifths of all labels
the classifier has a precision of 0.946 and a recall of 0.759 on the rest.  If nobody looks, and all
collected is believed, 1 negative lets the precision drift from 0.337 to 0.277 in six rounds.

**When to stop?**  DeepSeekMath did in round four, with nearly 98 % there already.  We take ≥ 0.98:

    already_there = |collected ∩ collected before|/|collected|.                          (harvest.4)

This says that a round brought little new, not that all is found, nor that the loop is at rest.
From one block with 20 negatives all eight runs stop, with a recall of 0.445 to 0.582.  Two would
go on to 0.58, the others miss domains that are never shown, such as arrows.  With 5, four of eight
go on after a pause, to 0.88 or 0.89 in round 12; with 1 it is 0.970 in round 2, never 98 % there.

**Near duplicates.**  *Shingles* are all runs of four characters.  As sets of these two lines have

    overlap = |one ∩ other|/|one ∪ other|,  the Jaccard index (`overlaps`).              (harvest.5)

62,628 pairs have 0.8 or more (`near_duplicates`), and 6,022 lines are the later one of a pair.
*MinHash* is faster.  In a random order of shingles two lines agree in their first one
(`min_hashes`) if the first of one ∪ other is in one ∩ other, so with the chance `overlap`.  They
*meet* (`buckets`) if they agree in a *band* of `width` orders, and only then are they compared:

    chance to meet = 1 − (1 − overlap^width)^bands.                                      (harvest.6)

16 bands of 8 let less than 1 % of all pairs meet, with 0.977 of those looked for (formula: 0.982).

**What is it worth?**  90 right lines are a *benchmark*, which models of order 4 that learned from
others must foresee; in nats per character, means of four runs.  In the second row what overlaps
with one of the 90 by half is left out.  That costs 0.1 to 0.2, also by making fewer lines:

    the 100 known   harvested   as many letters at random   all right          the whole pool
             1.46       0.966                        1.82       0.935                   1.367
             1.57       1.118                        2.00       1.089                   1.485

Most of the pool is something else: 14 or 15 times the letters (row two: 18 or 19) are worth less.
Without the later line of each near pair it has 1.250, and without as many random lines 1.42.  To
*decontaminate* is to leave out what shares a run of words with a benchmark (`contaminated`).

**Exercises.**  `from minirl.beyond.harvest import *`
1. Two lines share three quarters.  How often do they meet in 16 bands of 8, and in 32 of 4?
       [round(chance_to_meet(0.75, bands, 128 // bands), 3) for bands in (16, 32)]
2. One of six lines is right, and they all look alike.  What is R?
       fit_classifier(np.zeros(1), sparse.csr_array(np.ones((6, 1))), np.arange(6) < 1, pull=0).x
3. Four lines have no word in common, and a domain is two.  Where does the loop stop?
       loop = harvest(sparse.csr_array(np.eye(4)), [0, 0, 1, 1], lambda x: x, begin([0], 4, rng=0))
       [(found.already_there, int(found.collected.sum())) for found in until_stopped(loop)]

Read next: `network`, which shares parameters where a table has a row for everything.
Source: Shao et al. 2024, arXiv:2402.03300, §2.1; Joulin et al. 2016, arXiv:1607.01759 (fastText);
Broder 1997 (MinHash); Leskovec et al., "Mining of massive datasets"; Lee et al. 2021 (duplicates).
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.checkpoints import storable
from minirl.kernel import checks
from minirl.kernel.sampling import generator
from minirl.people.fitting import Fit, mean_squares, minimise_near
from minirl.people.pairs import COUNTS, check_matrix, finite_table
from minirl.people.reward_model import logistic_loss

COMPARED_AT_ONCE = 1000  # lines that are compared with all others at a time


@storable
class Harvest(NamedTuple):
    """A round, and all that the next one needs."""

    iteration: int
    known: np.ndarray      # the lines that the classifier was told are right, by number
    weights: np.ndarray    # w of the classifier, (F,)
    collected: np.ndarray  # (lines,) bool
    already_there: float   # the share of them that the round before had collected
    marked: np.ndarray     # known, and what a person has added: what is known next
    rng: dict


def harvest(rows, domains, person, record, *, negatives=5, pull=2.0,
            least_share=0.1) -> Iterator[Harvest]:
    """Rounds of classifier and person, for ever: an iterator of `Harvest`, from a record.

    Parameters
    ----------
    rows : (lines, F) sparse, whole and not negative
        X: which features a line has.
    domains : (lines,) int ≥ 0
        Where each line was found.
    person : callable
        `person(shown) -> right`, from numbers of lines to some of these: is shown all lines of
        each domain of which more than `least_share` was collected, and says which are right.
    record : Harvest
        From `begin`, or of an earlier round.
    negatives : int ≥ 1
        Lines drawn as wrong ones for each known one, from all that are not known; all of these if
        they are fewer.
    pull : float ≥ 0
        Of `fit_classifier`.

    Examples
    --------
    Of four lines the first two have the first feature, and the others the second one:

    >>> rows = sparse.csr_array([[1., 0.], [1., 0.], [0., 1.], [0., 1.]])
    >>> first = next(harvest(rows, [0, 0, 1, 1], lambda shown: shown, begin([0], 4, rng=0),
    ...                      negatives=1))
    >>> print(first.collected, first.marked)
    [ True  True False False] [0 1]
    """
    lines = rows.shape[0]
    rows = check_matrix("rows", rows, np.zeros(rows.shape[1]), COUNTS)
    checks.shape("domains", domains, (lines,))
    domains = checks.numbers("domains", domains, np.inf)
    negatives = checks.whole("negatives", negatives)
    checks.fraction("least_share", least_share)
    if record.collected.shape != (lines,):
        raise ValueError(f"record must be of {lines} lines, got one of {record.collected.size}")
    while True:
        rng, known = generator(record.rng), checks.numbers("known", record.marked, lines)
        others = np.setdiff1d(np.arange(lines), known)
        wrong = rng.choice(others, min(negatives * known.size, others.size), replace=False)
        labels = np.repeat([1.0, 0.0], [known.size, wrong.size])
        weights = fit_classifier(np.zeros(rows.shape[1]), rows[np.append(known, wrong)], labels,
                                 pull=pull).x
        collected = rows @ weights > 0  # where σ(R) > ½
        collected[known] = True
        there = (collected & record.collected).sum() / collected.sum()
        shown = np.flatnonzero(share_of(collected, domains)[domains] > least_share)
        marked = np.union1d(known, _said(person, shown, lines))
        record = Harvest(record.iteration + 1, known, weights, collected, float(there), marked,
                         rng.bit_generator.state)
        yield record


def _said(person, shown, lines):
    """What a person says of the lines that are shown: some of them, by number, or none."""
    said = np.asarray(person(shown))
    if said.size == 0:
        return shown[:0]
    said = checks.numbers("what person returns", said, lines)
    if not np.isin(said, shown).all():
        raise ValueError(f"person must return some of the lines that it is shown, {shown}, got "
                         f"{said}")
    return said


def begin(known, lines, *, rng) -> Harvest:
    """The record before the first round: which of so many lines are known to be right.

    Examples
    --------
    >>> print(begin([2, 0, 2], 4, rng=0).marked)
    [0 2]
    """
    lines = checks.whole("lines", lines)
    known = np.unique(checks.numbers("known", known, lines))
    return Harvest(0, known, np.zeros(0), np.zeros(lines, bool), 0.0, known,
                   generator(rng).bit_generator.state)


def fit_classifier(weights, rows, labels, *, pull=2.0, tol=1e-6) -> Fit:
    """Fit w of (harvest.1), (F,), to `rows` (B, F) with labels (B,) from 0 to 1: a `fitting.Fit`.

    The pull leads to the given weights, and the fit begins there.

    Examples
    --------
    One feature: 3 of 4 lines that have it are right, so it weighs log 3.  A pull makes it less:

    >>> rows, labels = sparse.csr_array(np.ones((4, 1))), np.array([1., 1., 1., 0.])
    >>> print([fit_classifier(np.zeros(1), rows, labels, pull=p).x.round(3) for p in (0, 2)])
    [array([1.099]), array([0.334])]
    """
    centre = finite_table("weights", weights)
    rows = check_matrix("rows", rows, centre, COUNTS)
    return minimise_near(lambda w: logistic_loss(w, rows, labels), centre, pull=pull, tol=tol,
                         examples=rows.shape[0], curvature=mean_squares(rows, centre.shape) / 4)


def until_stopped(rounds, enough=0.98, most=10) -> Iterator[Harvest]:
    """Rounds until (harvest.4) is `enough`, or until there were `most`: an iterator of `Harvest`.

    Examples
    --------
    >>> again = harvest(sparse.csr_array(np.eye(3)), [0, 1, 2], lambda shown: [],
    ...                 begin([0], 3, rng=0))
    >>> [record.already_there for record in until_stopped(again)]
    [0.0, 1.0]
    """
    checks.fraction("enough", enough)
    for record in islice(rounds, checks.whole("most", most)):
        yield record
        if record.already_there >= enough:
            return


def mostly_right(paths, right):
    """A person for `harvest`, who marks paths: all lines of each that is mostly right.

    `paths` (lines,) int says in which part of its domain a line is, and `right` (lines,) bool what
    the person sees when looking at it.

    Examples
    --------
    >>> person = mostly_right([0, 0, 0, 1, 1, 1], np.array([1, 1, 0, 0, 0, 1], bool))
    >>> print(person(np.arange(6)), person(np.arange(3, 6)))
    [0 1 2] []
    """
    paths = checks.numbers("paths", paths, np.inf)
    good = share_of(right, paths)[paths] > 0.5
    return lambda shown: shown[good[shown]]


def share_of(chosen, groups):
    """Of each group of lines, numbered from 0, the share that is chosen, (groups,).

    Examples
    --------
    >>> print(share_of(np.array([True, False, True]), np.array([0, 0, 2])))
    [0.5 0.  1. ]
    """
    groups = checks.numbers("groups", groups, np.inf)
    _check_bools("chosen", chosen, groups.shape)
    return np.bincount(groups, chosen) / np.maximum(np.bincount(groups), 1)


def precision_and_recall(collected, right):
    """(harvest.2), from two (lines,) bool; 1 and 0 where nothing was collected.

    Examples
    --------
    >>> precision_and_recall(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 1], bool))
    (0.5, 0.3333333333333333)
    """
    _check_bools("collected", collected, np.shape(collected))
    _check_bools("right", right, collected.shape)
    if not right.any():
        raise ValueError("right must hold at least one line, got none")
    both = (collected & right).sum()
    return float(both / collected.sum()) if collected.any() else 1.0, float(both / right.sum())


def _check_bools(name, values, shape):
    checks.shape(name, values, shape)
    if getattr(values, "dtype", None) != bool:
        raise ValueError(f"{name} must be an array of bool, got {values}")


# What lines have in common.


def overlaps(rows, others):
    """The overlap (harvest.5) of each line with each of some others, (lines, others) sparse.

    `rows` (lines, F) and `others` (others, F) are sparse, with ones where a line has a feature.

    Examples
    --------
    >>> rows = sparse.csr_array([[1., 1., 1.], [1., 1., 0.], [0., 0., 1.]])
    >>> print(overlaps(rows, rows[:2]).toarray().round(3))
    [[1.    0.667]
     [0.667 1.   ]
     [0.333 0.   ]]
    """
    rows, others = _as_floats(rows), _as_floats(others)
    both = sparse.coo_array(rows @ others.T)
    either = rows.sum(axis=1)[both.row] + others.sum(axis=1)[both.col] - both.data
    return sparse.coo_array((both.data / either, (both.row, both.col)), shape=both.shape)


def near_duplicates(rows, least=0.8):
    """All pairs i < j of lines with at least this overlap, above 0: (i, j, overlap), each (pairs,).

    Examples
    --------
    >>> rows = sparse.csr_array([[1., 1., 1.], [1., 1., 0.], [0., 0., 1.]])
    >>> print(*near_duplicates(rows, 0.6))
    [0] [1] [0.66666667]
    """
    checks.fraction("least", least)
    checks.positive("least", least)
    rows, found = _as_floats(rows), []
    for first in range(0, max(1, rows.shape[0]), COMPARED_AT_ONCE):
        close = overlaps(rows[first:first + COMPARED_AT_ONCE], rows)
        i, j, overlap = close.row + first, close.col, close.data
        kept = (i < j) & (overlap >= least)
        found.append((i[kept], j[kept], overlap[kept]))
    return tuple(np.concatenate(part) for part in zip(*found))


def _as_floats(rows):
    """Rows in which small integers and bools cannot wrap around."""
    return sparse.csr_array(rows, dtype=float)


def min_hashes(rows, hashes, *, rng):
    """The signatures of lines, (lines, hashes) int: the first feature of each in random orders.

    Two lines agree in each with a chance that is their overlap, (harvest.5).

    Examples
    --------
    >>> rows = sparse.csr_array([[1., 1., 1., 0.], [0., 1., 1., 1.]])  # an overlap of a half
    >>> one, other = min_hashes(rows, 10_000, rng=0)
    >>> print((one == other).mean())
    0.5013
    """
    rows, rng = sparse.csr_array(rows, copy=True), generator(rng)
    rows.eliminate_zeros()
    if rows.shape[0] == 0 or not np.diff(rows.indptr).all():
        raise ValueError("rows must have an entry in each row, got one without")
    ranks = (rng.permutation(rows.shape[1]) for _ in range(checks.whole("hashes", hashes)))
    return np.stack([np.minimum.reduceat(rank[rows.indices], rows.indptr[:-1]) for rank in ranks],
                    axis=1)


def buckets(signatures, bands):
    """Which bucket each line falls into in each band, as ones in (lines, buckets) sparse.

    Two lines meet if they share a bucket, which is to agree in all hashes of a band.

    Examples
    --------
    >>> print(buckets(np.array([[3, 1, 4, 1], [3, 1, 5, 9]]), 2).toarray())
    [[1. 1. 0.]
     [1. 0. 1.]]
    """
    signatures = checks.floats("signatures", signatures)
    if signatures.ndim != 2:
        raise ValueError(f"signatures must be a table (lines, hashes), got shape "
                         f"{signatures.shape}")
    lines, hashes = signatures.shape
    bands, columns, number = checks.whole("bands", bands), [], 0
    if hashes % bands:
        raise ValueError(f"bands must divide the number of hashes, {hashes}, got {bands}")
    for band in np.split(signatures, bands, axis=1):
        _, bucket = np.unique(band, axis=0, return_inverse=True)
        columns.append(bucket.ravel() + number)
        number += bucket.max() + 1
    return sparse.csr_array((np.ones(lines * bands), np.stack(columns, axis=1).ravel(),
                             bands * np.arange(lines + 1)), shape=(lines, number))


def chance_to_meet(overlap, bands, width):
    """(harvest.6), for lines of this overlap: a number or an array.

    Examples
    --------
    >>> chance_to_meet(np.array([0.5, 0.8, 0.9]), bands=16, width=8).round(4)
    array([0.0607, 0.947 , 0.9999])
    """
    overlap = checks.floats("overlap", overlap)
    if not ((overlap >= 0) & (overlap <= 1)).all():
        raise ValueError(f"overlap must lie in [0, 1], got {overlap}")
    return 1 - (1 - overlap**checks.whole("width", width))**checks.whole("bands", bands)


def contaminated(rows, benchmark):
    """Which lines share a feature with a line of a benchmark, (lines,) bool.

    Both are sparse, (lines, F) and (others, F), with the same features.

    Examples
    --------
    >>> runs = sparse.csr_array([[1., 1., 0.], [0., 0., 1.]])
    >>> contaminated(runs, sparse.csr_array([[0., 1., 0.]]))
    array([ True, False])
    """
    return _as_floats(rows) @ (_as_floats(benchmark).sum(axis=0) > 0) > 0
