"""Four full-batch epochs of PPO on one batch of strings.

*plain* is (ppo.1) as the paper writes it: a loop over tokens, each with its own softmax row and
ratio.  *arrays* is what most code does: the same sum over per-token arrays, a gather and a scatter
an epoch.  *book* collapses the batch into two tables once (ppo.2), after which an epoch does not
see a token.
"""

import numpy as np

from benchmarks.timing import compare
from minirl.ppo import collapse, ppo_loss
from minirl.softmax import backward, log_softmax
from toy_lm.ngram import sample

SYMBOLS, STRINGS, EPOCHS, CLIP = 27, 4096, 4, 0.2
RATE = 2000.0  # of plain gradient descent, so large that the later epochs clip


def batch():
    """(old logits, steps, advantages): strings from a random bigram, with random advantages."""
    rng = np.random.default_rng(0)
    old = rng.normal(size=(SYMBOLS, SYMBOLS))
    steps = sample(old, STRINGS, rng=rng, horizon=128)
    return old, steps, rng.normal(size=steps.index.size)


def plain(old, steps, advantages):
    """(ppo.1), a token at a time."""
    logits, N = old, len(advantages)
    old_logp = log_softmax(old)
    for _ in range(EPOCHS):
        logp, loss = log_softmax(logits), 0.0
        G = np.zeros_like(old)
        for n, A in zip(steps.index.tolist(), advantages.tolist()):
            s, a = divmod(n, SYMBOLS)
            ratio = np.exp(logp[s, a] - old_logp[s, a])
            clipped = min(max(ratio, 1 - CLIP), 1 + CLIP)
            loss -= min(ratio * A, clipped * A) / N
            if ratio * A <= clipped * A:
                G[s, a] -= ratio * A / N
        grad = backward(logp, G)
        logits = logits - RATE * grad
    return loss, grad


def arrays(old, steps, advantages):
    """(ppo.1) over per-token arrays."""
    logits, N = old, len(advantages)
    old_logp = log_softmax(old).ravel()[steps.index]
    for _ in range(EPOCHS):
        logp = log_softmax(logits)
        ratio = np.exp(logp.ravel()[steps.index] - old_logp)
        free, clipped = ratio * advantages, np.clip(ratio, 1 - CLIP, 1 + CLIP) * advantages
        loss = -np.minimum(free, clipped).sum() / N
        G = np.zeros(old.size)
        np.add.at(G, steps.index, -np.where(free <= clipped, free, 0) / N)
        grad = backward(logp, G.reshape(old.shape))
        logits = logits - RATE * grad
    return loss, grad


def book(old, steps, advantages):
    """(ppo.2): the batch is collapsed once."""
    logits, collapsed = old, collapse(steps, advantages)
    for _ in range(EPOCHS):
        loss, grad = ppo_loss(logits, old, collapsed, clip_range=CLIP)
        logits = logits - RATE * grad
    return loss, grad


def run():
    """Prove the forms equal, time them, and print the table; returns ns per token by form."""
    old, steps, advantages = batch()
    forms = {form.__name__: lambda form=form: form(old, steps, advantages)
             for form in (plain, arrays, book)}
    return compare(f"PPO, {EPOCHS} epochs", forms, steps.index.size, "token")
