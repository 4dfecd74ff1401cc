"""What contrastive learning shows of the mutual information: by batch, and by rank of the encoder.

A step is a letter of the words and the next one, the end included; its chance is exact, from the
visits of the reference bigram.  A batch holds K such steps, and a critic has to say which letter
follows which.  *Bound* is log K less the mean loss over all batches, at the best critic; *missing*
is what it lacks of the mutual information I, and chi2/2K what should be missing by the first term
of a series.  *Right* says how often the best critic puts the right one of K letters first, and
*lot* how often a lot would.

A dual encoder has so many numbers for each letter as its rank.  Its share of I is what the best one
shows in a batch of endless size, found by a fit that begins at the singular vectors of the PMI.

Two worlds of 27 symbols serve for comparison: in a *copy* the action is the state, but for a share
of errors.  There I is near log 27, above the log K of small batches.
"""

from collections import namedtuple
from functools import partial

import numpy as np

from minirl.beyond.contrastive import (chi_square, encoded, infonce_loss, mean_infonce_loss,
                                       mutual_information, pointwise_information, recall)
from minirl.exact.evaluation import occupancy
from minirl.kernel.softmax import entropy
from minirl.lab.job import Job, stopwatch
from minirl.lab.running_example import bigram_of
from minirl.lab.table import in_columns, page
from minirl.people.fitting import minimise
from toy_lm.ngram import language

BATCH_SIZES = tuple(2**k for k in range(1, 11))
PRINTED = 2, 8, 64, 512
RANKS = 1, 2, 4, 8, 16, 26  # 26 holds every table, as a constant of a row is free
ERRORS = 0.1, 0.01          # of the copies


# The bound at the best critic for one K: log K, log K − E[L], I less that, χ²/2K, the chance that
# the right action has the highest f, and 1/K.
ContrastBound = namedtuple("ContrastBound", "batch_size ceiling bound missing predicted right lot")


# A law of steps: its name, I, and a list of ContrastBound.
ContrastLaw = namedtuple("ContrastLaw", "name information bounds")


# What the job finds: the entropy of the next letter; laws, that of the letters first; and
# the share of I that an encoder of each rank shows.
Contrasts = namedtuple("Contrasts", "entropy laws shares")


def measure_contrasts(progress=lambda line: None):
    """`Contrasts` of the letters and of the copies."""
    letters = next_letters()
    laws = {"letters": letters} | {f"copy, {errors:.0%} errors": noisy_copy(27, errors)
                                   for errors in ERRORS}
    timed = stopwatch(len(laws) + len(RANKS), progress)
    found = [timed(name, lambda: contrast_law(name, joint))[0] for name, joint in laws.items()]
    shares = {rank: timed(f"rank {rank}", lambda: share_shown(letters, rank))[0] for rank in RANKS}
    return Contrasts(float(entropy(np.log(letters.sum(axis=0)))), found, shares)


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


def contrast_law(name, joint):
    """The ContrastLaw of p(s, a), with a bound for each of BATCH_SIZES."""
    best, information = pointwise_information(joint), mutual_information(joint)
    rows = []
    for K in BATCH_SIZES:
        bound = float(np.log(K) - mean_infonce_loss(best, joint, batch_size=K)[0])
        rows.append(ContrastBound(K, float(np.log(K)), bound, information - bound,
                                  chi_square(joint) / 2 / K, recall(best, joint, batch_size=K),
                                  1 / K))
    return ContrastLaw(name, information, rows)


def share_shown(joint, rank):
    """The share of I that the best encoder of a rank shows in a batch of endless size."""
    total = encoded(partial(infonce_loss, counts=joint), len(joint))
    fit = minimise(total, first_vectors(joint, rank), tol=1e-6)
    return -fit.loss / mutual_information(joint)


def first_vectors(joint, rank):
    """The best product for the PMI, (S + A, rank), with errors weighed by p(s) p(a)."""
    left, right = np.sqrt(joint.sum(axis=1)), np.sqrt(joint.sum(axis=0))
    U, sizes, V = np.linalg.svd(np.outer(left, right) * pointwise_information(joint))
    return np.concatenate([U[:, :rank] / left[:, None], V[:rank].T / right[:, None]]
                          ) * np.sqrt(sizes[:rank])


# What is printed.


def contrasts_text(found):
    """The tables of the job."""
    letters = found.laws[0]
    return page(
        f"InfoNCE on letters: of the {found.entropy:.4f} nats of the next letter a letter tells "
        f"I = {letters.information:.4f}.  At the best critic, exact, over all batches:",
        in_columns("batch, log K, bound, missing, chi2/2K, right, lot",
                   [row for row in letters.bounds if row.batch_size in PRINTED],
                   (0, 3, 4, 4, 4, 4, 4)),
        in_columns("rank of the encoder, " + ", ".join(map(str, found.shares)),
                   [("share of I", *found.shares.values())], (0, *[3] * len(found.shares))),
        "A copy of 27 symbols, where I is large, and the ceiling is log K:",
        in_columns("law, I, " + ", ".join(f"batch {K}" for K in PRINTED),
                   [(law.name, law.information, *(row.bound for row in law.bounds
                                                  if row.batch_size in PRINTED))
                    for law in found.laws[1:]], (0, 4, 4, 4, 4, 4)))


CONTRASTIVE = Job("contrastive", __doc__, lambda arguments, progress: measure_contrasts(progress),
                  contrasts_text, draw=lambda figures, found: figures.contrasts_figures(found))
