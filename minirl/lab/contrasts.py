"""What contrastive learning shows of the mutual information: by batch, and by rank of the encoder.

A step is a letter of the words and the next one, the end included; its chance is exact, from the
visits of the reference bigram.  A batch holds K such steps, and a critic has to say which letter
follows which.  What a batch *shows* is log K less its loss; here it is the mean over all batches,
at the best critic.  *Missing* is what that lacks of the mutual information I: how many nats a
letter tells about the next one.  chi2/2K is what should be missing by the first term of a series.
*Right* says how often the best critic puts the right one of K letters first, and 1/K how often a
lot would.

A dual encoder has as many numbers per letter as its rank.  Its share of I is what it shows in a
batch of endless size with the one-sided loss.  As a fit may end in a local minimum, it is the best
found: a fit begins at the singular vectors of the PMI, and twelve at random numbers.

Two other distributions of 27 symbols serve for comparison: in a *copy* the action is the state, but
for a share of errors.  There I is 2.645 and 3.207, of at most log 27 = 3.296, and above the log K
of small batches.
"""

from collections import namedtuple
from functools import partial

import numpy as np

from minirl.beyond.contrastive import (chance_right, chi_square, encoded, infonce_loss,
                                       mean_infonce_loss, mutual_information,
                                       pointwise_information)
from minirl.exact.evaluation import occupancy
from minirl.lab.job import Job, stopwatch
from minirl.lab.running_example import bigram_of
from minirl.lab.table import in_columns, page
from minirl.people.fitting import minimise
from toy_lm.ngram import language

BATCH_SIZES = tuple(2**k for k in range(1, 11))
PRINTED = 2, 8, 64, 512
RANKS = 1, 2, 4, 8, 16, 26  # 26 holds every table, as a constant of a row is free
RANDOM_STARTS = 12          # of the fit of an encoder
ERRORS = 0.1, 0.01          # of the copies


# The best critic at one K: log K, log K − E[L], I less that, χ²/2K, the chance that the partner has
# the highest f, and 1/K.
ContrastShown = namedtuple("ContrastShown", "batch_size ceiling shown missing predicted right lot")


# A distribution of steps: its name, I, and a list of ContrastShown.
ContrastSteps = namedtuple("ContrastSteps", "name information batches")


# What the job finds: distributions of steps, that of the letters first; and the share of I that an
# encoder of each rank shows.
Contrasts = namedtuple("Contrasts", "steps shares")


def measure_contrasts(progress=lambda line: None) -> Contrasts:
    """`Contrasts` of the letters and of the copies."""
    letters = next_letters()
    steps = {"letters": letters} | {f"copy, {errors:.0%} errors": noisy_copy(27, errors)
                                    for errors in ERRORS}
    timed = stopwatch(len(steps) + len(RANKS), progress)
    found = [timed(name, lambda: contrast_steps(name, joint))[0] for name, joint in steps.items()]
    shares = {rank: timed(f"rank {rank}", lambda: share_shown(letters, rank))[0] for rank in RANKS}
    return Contrasts(found, shares)


def next_letters():
    """p(s, a) of a letter and the next symbol, (27, 27), in an endless row of reference words."""
    model = bigram_of()
    visits = occupancy(language(np.zeros(model.logits.shape)), model.policy)
    joint = visits[:, None] * model.policy
    return joint / joint.sum()


def noisy_copy(symbols, errors):
    """p(s, a) where a is s, but for a share of errors that are spread over all other symbols."""
    joint = np.full((symbols, symbols), errors / (symbols - 1))
    np.fill_diagonal(joint, 1 - errors)
    return joint / symbols


def contrast_steps(name, joint) -> ContrastSteps:
    """The ContrastSteps of p(s, a), with a record for each of BATCH_SIZES."""
    best, information = pointwise_information(joint), mutual_information(joint)
    rows = []
    for K in BATCH_SIZES:
        shown = float(np.log(K) - mean_infonce_loss(best, joint, batch_size=K)[0])
        rows.append(ContrastShown(K, float(np.log(K)), shown, information - shown,
                                  chi_square(joint) / 2 / K,
                                  chance_right(best, joint, batch_size=K), 1 / K))
    return ContrastSteps(name, information, rows)


def share_shown(joint, rank):
    """The share of I that an encoder of a rank shows in a batch of endless size: the best found."""
    total = encoded(partial(infonce_loss, counts=joint), len(joint))
    rng, first = np.random.default_rng(0), first_vectors(joint, rank)
    starts = [first, *rng.normal(size=(RANDOM_STARTS, *first.shape)) / np.sqrt(rank)]
    return -min(minimise(total, start, tol=1e-5).loss for start in starts
                ) / mutual_information(joint)


def first_vectors(joint, rank):
    """The best product for the PMI, (S + A, rank), with errors weighed by p(s) p(a)."""
    left, right = np.sqrt(joint.sum(axis=1)), np.sqrt(joint.sum(axis=0))
    U, sizes, V = np.linalg.svd(np.outer(left, right) * pointwise_information(joint))
    return np.concatenate([U[:, :rank] / left[:, None], V[:rank].T / right[:, None]]
                          ) * np.sqrt(sizes[:rank])


# What is printed.


def contrasts_text(found):
    """The tables of the job."""
    letters = found.steps[0]
    return page(
        f"InfoNCE on letters: a letter tells I = {letters.information:.4f} nats about the next "
        "one.  At the best critic, exact, over all batches:",
        in_columns("batch, log K, shown, missing, chi2/2K, right, 1/K",
                   [row for row in letters.batches if row.batch_size in PRINTED],
                   (0, 3, 4, 4, 4, 4, 4)),
        in_columns("rank of the encoder, " + ", ".join(map(str, found.shares)),
                   [("share of I", *found.shares.values())], (0, *[3] * len(found.shares))),
        "What batches show of a copy of 27 symbols, where I is large, and log K the ceiling:",
        in_columns("steps, I, " + ", ".join(f"batch {K}" for K in PRINTED),
                   [(copy.name, copy.information, *(row.shown for row in copy.batches
                                                    if row.batch_size in PRINTED))
                    for copy in found.steps[1:]], (0, 4, 4, 4, 4, 4)))


CONTRASTIVE = Job("contrastive", __doc__, lambda arguments, progress: measure_contrasts(progress),
                  contrasts_text, draw=lambda figures, found: figures.contrasts_figures(found))
