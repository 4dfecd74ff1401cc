"""The DPO loss and its gradient on pairs of strings, from the strings themselves.

*plain* is (dpo.2) as the paper writes it: a loop over pairs, and over the tokens of each string.
*arrays* is what most code does: per-token arrays, padded to the longest string and masked.  *book*
makes one sparse matrix of counts (counts.3), after which a loss is one product.  Making it is timed
too.
"""

import numpy as np

from benchmarks.timing import compare
from minirl.counts import difference_matrix, select
from minirl.dpo import dpo_loss
from minirl.softmax import backward, log_sigmoid, log_softmax
from toy_lm.ngram import sample

SYMBOLS, PAIRS, BETA = 27, 2000, 0.5


def batch():
    """(logits, reference logits, chosen, rejected): strings from the reference, in random order."""
    rng = np.random.default_rng(0)
    reference, logits = rng.normal(size=(2, SYMBOLS, SYMBOLS))
    strings = sample(reference, 2 * PAIRS, rng=rng, horizon=128)
    rows = np.arange(2 * PAIRS)
    return logits, reference, select(strings, rows[::2]), select(strings, rows[1::2])


def tokens(steps, i):
    """The pairs (s, a) of sequence i."""
    return [divmod(n, SYMBOLS) for n in steps.index[steps.starts[i]:steps.starts[i + 1]].tolist()]


def plain(logits, reference, chosen, rejected):
    """(dpo.2), a token at a time."""
    logp, ref_logp = log_softmax(logits), log_softmax(reference)
    loss, G = 0.0, np.zeros_like(logits)
    for i in range(PAIRS):
        good, bad = tokens(chosen, i), tokens(rejected, i)
        margin = BETA * (sum(logp[s, a] - ref_logp[s, a] for s, a in good)
                         - sum(logp[s, a] - ref_logp[s, a] for s, a in bad))
        loss -= log_sigmoid(margin) / PAIRS
        force = BETA * np.exp(log_sigmoid(-margin)) / PAIRS
        for s, a in good:
            G[s, a] -= force
        for s, a in bad:
            G[s, a] += force
    return loss, backward(logp, G)


def padded(steps):
    """(index, mask), each (B, T): strings padded with zeros to the longest."""
    lengths = np.diff(steps.starts)
    mask = np.arange(lengths.max()) < lengths[:, None]
    index = np.zeros(mask.shape, int)
    index[mask] = steps.index
    return index, mask


def arrays(logits, reference, chosen, rejected):
    """(dpo.2) over padded per-token arrays."""
    logp = log_softmax(logits)
    ratio = (logp - log_softmax(reference)).ravel()
    sides = [(*padded(steps), sign) for steps, sign in ((chosen, 1.0), (rejected, -1.0))]
    margin = BETA * sum(sign * (ratio[index] * mask).sum(axis=1) for index, mask, sign in sides)
    force = -BETA * np.exp(log_sigmoid(-margin)) / PAIRS
    G = np.zeros(logits.size)
    for index, mask, sign in sides:
        np.add.at(G, index, sign * force[:, None] * mask)
    return -log_sigmoid(margin).mean(), backward(logp, G.reshape(logits.shape))


def book(logits, reference, chosen, rejected):
    """(dpo.3), the matrix included."""
    return dpo_loss(logits, reference, difference_matrix(chosen, rejected), beta=BETA)


def run():
    """Prove the forms equal, time them, and print the table; returns ns per pair by form."""
    data = batch()
    forms = {form.__name__: lambda form=form: form(*data) for form in (plain, arrays, book)}
    return compare("DPO, loss and gradient", forms, PAIRS, "pair")
