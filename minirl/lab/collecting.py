"""How mathematical names are found among all others, in rounds with a person, and what they are
worth.

The names of characters in Unicode 3.2 are the web.  Those of mathematical symbols are looked for.
A hundred of them are known at first: drawn from all, or all from one block, the mathematical
operators.  Each round trains a classifier on words and neighbouring words, with so many negatives
for each known line, and collects what looks right.  A person looks at the domains, of 128
characters, of which more than a tenth was collected, and marks the rows of 16 that are mostly
mathematical.

Then a model of order 4 learns from what was collected, and is judged by 90 mathematical names that
nobody has seen.  It is compared with models of other lines: once as they are, and once without
those that are near to one of the 90: half of their shingles, runs of four characters, are common.
"""

from collections import namedtuple
from itertools import islice

import numpy as np

from minirl.beyond.harvest import (begin, harvest, mostly_right, overlaps, precision_and_recall)
from minirl.kernel.sampling import generator
from minirl.lab.job import SEED, Job, stopwatch
from minirl.lab.table import in_columns, page
from toy_lm.contexts import look_up, tree
from toy_lm.corpora import unicode_names
from toy_lm.lines import categories, code_points, presence, shingles, with_ones, word_runs
from toy_lm.vocabulary import from_items

KNOWN = 100       # lines at first
LONGEST_LOOP = 5  # in rounds
LEARNED = 4       # after which a model is trained, as many as DeepSeekMath's
BENCHMARK = 90    # right lines that are held out
NEAR = 0.5        # an overlap with one of them
ORDER, WEIGHT = 4, 3.0  # of the model
STARTS = ("random", 1), ("random", 5), ("random", 20), ("one block", 5), ("one block", 20)
IN_TABLE = STARTS[1], STARTS[3]


# The lines: names, code points, which are right, their words, (lines, F) sparse.
Names = namedtuple("Names", "names codes right rows")


# One round from one start: how many lines were known, collected, and collected rightly.
Round = namedtuple("Round", "start negatives round known collected hits precision recall "
                            "already_there")


# What a model has learned from: the number of lines and of characters, ends included, and the nats
# per character of the benchmark; and the same where lines near to the benchmark are left out.
Worth = namedtuple("Worth", "trained_on lines letters nats lines_near letters_near nats_near")


# What the job finds: its seed, the numbers of lines, of features and of right lines, and lists of
# Round and of Worth.
Collected = namedtuple("Collected", "seed lines features right rounds worths")


def names_to_search(which=slice(None)) -> Names:
    """The `Names` of all Unicode 3.2 names, or of some of them (an index)."""
    names = np.array(unicode_names())[which].tolist()
    rows, _ = presence([word_runs(name, 1, 2) for name in names], least=2)
    return Names(names, code_points(names), categories(names) == "Sm", with_ones(rows))


def rounds_of(pool, start, negatives, rng, rounds=LONGEST_LOOP):
    """The records of so many rounds, from a start of this kind."""
    rng, right = generator(rng), pool.right
    where = right & (pool.codes // 256 == 0x22) if start == "one block" else right
    known = rng.choice(np.flatnonzero(where), KNOWN, replace=False)
    person = mostly_right(pool.codes // 16, right)
    return list(islice(harvest(pool.rows, pool.codes // 128, person,
                               begin(known, right.size, rng=rng), negatives=negatives), rounds))


def measure_harvest(seed, progress) -> Collected:
    """The rounds from all `STARTS`, and what the harvest of one is worth: `Collected`."""
    pool, found, timed = names_to_search(), [], stopwatch(len(STARTS) + 1, progress)
    for start, negatives in STARTS:
        records, _ = timed(f"{start}, {negatives} negatives",
                           lambda: rounds_of(pool, start, negatives, seed))
        for record in records:
            found.append(Round(start, negatives, record.iteration, record.known.size,
                               int(record.collected.sum()),
                               int((record.collected & pool.right).sum()),
                               *precision_and_recall(record.collected, pool.right),
                               record.already_there))
    both, _ = timed("models", lambda: worth_of_lines(pool, seed))
    worths = [Worth(*one, *other[1:]) for one, other in zip(*both)]
    return Collected(seed, *pool.rows.shape, int(pool.right.sum()), found, worths)


def worth_of_lines(pool, seed):
    """(trained on, lines, letters, nats) of each training; and again without near duplicates."""
    benchmark = np.sort(generator(0).choice(np.flatnonzero(pool.right), BENCHMARK, replace=False))
    runs, _ = presence(map(shingles, pool.names))
    near = overlaps(runs, runs[benchmark]).tocsr().max(axis=1).toarray() >= NEAR
    held = [pool.names[i] for i in benchmark]
    letters = from_items(pool.names)
    return [[_worth(letters, held, name, lines)
             for name, lines in _trainings(names_to_search(~out), seed)]
            for out in (np.isin(np.arange(near.size), benchmark), near)]


def _trainings(pool, seed):
    """What models learn from, by name: lists of lines of a pool."""
    rng = generator(seed)
    records = rounds_of(pool, "random", 5, rng, LEARNED)
    collected = records[-1].collected
    order = rng.permutation(len(pool.names))
    length = np.array([len(name) + 1 for name in pool.names])
    random = order[:np.searchsorted(np.cumsum(length[order]), length[collected].sum())]
    for name, lines in (("known", records[0].known), ("harvested", np.flatnonzero(collected)),
                        ("random lines", random), ("all right lines", np.flatnonzero(pool.right)),
                        ("the whole pool", order)):
        yield name, [pool.names[i] for i in lines]


def _worth(vocabulary, held, name, lines):
    chances = tree(look_up(vocabulary, lines, held, order=ORDER), weight=WEIGHT)[-1]
    return name, len(lines), sum(map(len, lines)) + len(lines), float(-np.log(chances).mean())


# What is printed.


def collected_text(found):
    """The tables of the job."""
    shown = [row for row in found.rounds if (row.start, row.negatives) in IN_TABLE]
    last = [row for row in shown if (row.start, row.negatives) == IN_TABLE[0]][-1]
    missed, wrong = found.right - last.hits, last.collected - last.hits
    return page(
        f"{found.right:,} of {found.lines:,} names of Unicode 3.2 are mathematical.  {KNOWN} of "
        f"them are known, and looked for are the others, by {found.features:,} features.",
        in_columns("start, negatives, round, known, collected, precision, recall, already there",
                   [(*row[:5], *row[6:]) for row in shown], (0, 0, 0, 0, 0, 3, 3, 3)),
        f"Last round of {' x'.join(map(str, IN_TABLE[0]))}: {last.hits:,} are collected rightly, "
        f"{wrong:,} wrongly; {missed:,} are missed, {found.lines - found.right - wrong:,} left out "
        f"rightly.",
        f"Nats per character of {BENCHMARK} names that are held out, at order {ORDER}:",
        in_columns("learned from, lines, characters, nats, lines, characters, nats", found.worths,
                   (0, 0, 0, 3, 0, 0, 3)),
        "The last three columns leave out what is near to one of these names: half of their "
        "shingles, or more, are common to both.  So many negatives are drawn for each known line.  "
        "Already there is the share of what was collected that the round before had too.")


HARVEST = Job("harvest", __doc__,
              lambda arguments, progress: measure_harvest(arguments.seed, progress),
              collected_text, arguments={"seed": SEED},
              draw=lambda figures, found: figures.harvest_figures(found))
