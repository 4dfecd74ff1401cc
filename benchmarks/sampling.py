"""W3: strings from a bigram model of 96 symbols, the making of tables included.

All forms begin with the logits.  *plain* is `minirl.plain.language_model`: it draws symbol by
symbol, each by a search in the running sums of its row.  *book* is `toy_lm.ngram.sample`.  Both
stop a string at its end symbol, which is rare here: nearly all strings are cut at the horizon.

Of the peers, *torch* draws one step of all strings at once by `multinomial`; *jax* inverts the
running sums in one compiled scan; *numba* is a compiled loop that fills alias tables by Vose's
method and then writes step by step.  torch and jax go on writing after an end symbol, and what
they wrote there is not counted, as a drawn symbol costs no more where strings hardly end.
"""

from functools import cache, partial

import numpy as np

from benchmarks.timing import Case, likely
from minirl.kernel.counts import Steps
from minirl.kernel.softmax import log_softmax
from minirl.plain import language_model
from toy_lm.ngram import sample

SYMBOLS, HORIZON = 96, 128
LOGITS = np.random.default_rng(0).normal(size=(SYMBOLS, SYMBOLS))
LOGITS[:, 0] -= 4.0  # the end symbol


def plain(strings):
    """String by string, symbol by symbol."""
    policy, rng = np.exp(log_softmax(LOGITS)), np.random.default_rng(0)
    return [[a for _, a in language_model.sample(policy, rng, longest=HORIZON)]
            for _ in range(strings)]


def book(strings):
    return sample(LOGITS, strings, rng=0, horizon=HORIZON)


def with_torch(strings):
    """One call a step, for all strings."""
    import torch

    logits = torch.tensor(LOGITS)

    def form():
        generator = torch.Generator().manual_seed(0)
        policy = torch.softmax(logits, dim=1)
        written = torch.zeros((HORIZON + 1, strings), dtype=torch.long)
        for t in range(HORIZON):
            rows = policy[written[t]]
            written[t + 1] = torch.multinomial(rows, 1, generator=generator)[:, 0]
        return written[1:]
    return form


def with_jax(strings):
    """One scan over steps; all random numbers first."""
    import jax
    from jax import numpy as jnp

    @jax.jit
    def write(logits, key):
        running = jax.nn.softmax(logits, axis=1).cumsum(axis=1)

        def step(symbols, numbers):
            # A search among the sums of one row: seven halvings find one of 96.
            low = jnp.zeros_like(symbols)
            for width in 64, 32, 16, 8, 4, 2, 1:
                middle = jnp.minimum(low + width, SYMBOLS) - 1
                low = jnp.where(running[symbols, middle] <= numbers, middle + 1, low)
            symbols = jnp.minimum(low, SYMBOLS - 1)
            return symbols, symbols

        numbers = jax.random.uniform(key, (HORIZON, strings), jnp.float32)
        return jax.lax.scan(step, jnp.zeros(strings, jnp.int32), numbers)[1]

    logits, key = jnp.asarray(LOGITS, jnp.float32), jax.random.key(0)
    return lambda: jax.block_until_ready(write(logits, key))


@cache
def _compiled():
    """The loop of numba: (logits, strings, first random word) -> written (HORIZON, strings)."""
    from numba import njit

    @njit
    def write(logits, strings, word):
        A = logits.shape[1]
        accept, other = np.empty(logits.shape), np.zeros(logits.shape, np.int64)
        poor, rich = np.empty(A, np.int64), np.empty(A, np.int64)
        for s in range(len(logits)):
            weights = np.exp(logits[s] - logits[s].max())
            left = weights * (A / weights.sum())
            poors = riches = 0
            for a in range(A):
                if left[a] < 1:
                    poor[poors] = a
                    poors += 1
                else:
                    rich[riches] = a
                    riches += 1
            accept[s] = 1.0
            while poors and riches:
                poors -= 1
                a, giver = poor[poors], rich[riches - 1]
                accept[s, a], other[s, a] = left[a], giver
                left[giver] -= 1 - left[a]
                if left[giver] < 1:
                    riches -= 1
                    poor[poors] = giver
                    poors += 1
        written = np.zeros((HORIZON, strings), np.int32)
        running, states = np.arange(strings), np.zeros(strings, np.int64)
        for t in range(HORIZON):  # step by step: the strings do not wait for one another
            alive = 0
            for n in running:
                word ^= word << np.uint64(13)  # xorshift, Marsaglia 2003
                word ^= word >> np.uint64(7)
                word ^= word << np.uint64(17)
                number = np.float64(word >> np.uint64(11)) * (A / 2.0**53)
                s, a = states[n], np.int64(number)
                give = other[s, a]  # both are loaded: a branch would be guessed wrongly too often
                a = a if number - a < accept[s, a] else give
                written[t, n] = states[n] = a
                running[alive] = n
                alive += a != 0
            running = running[:alive]
        return written
    return write


def with_numba(strings):
    """A loop over steps and strings, compiled."""
    return lambda: _compiled()(LOGITS, strings, np.uint64(88172645463325252))


PEERS = {"torch": with_torch, "jax": with_jax, "numba": with_numba}


def prepare(strings, peers):
    """As `timing.run` wants it; the items are symbols, as many as are expected to be written."""
    forms = {"plain": partial(plain, strings), "book": partial(book, strings)}
    forms |= {name: build(strings) for name, build in PEERS.items() if name in peers}
    return forms, round(strings * expected_length())


def expected_length():
    """Exact: symbols written before the horizon, the end included."""
    chain = np.exp(log_softmax(LOGITS))
    chain[:, 0] = 0  # those who still write
    here, length = np.arange(SYMBOLS) == 0, 0.0
    for _ in range(HORIZON):
        length, here = length + here.sum(), here @ chain
    return length


def count(result):
    """(S, S) how often each symbol followed each; from `Steps`, lists, or (HORIZON, strings)."""
    if isinstance(result, list):
        index = np.concatenate([np.array([0, *string[:-1]]) * SYMBOLS + string
                                for string in result])
    elif isinstance(result, Steps):
        index = result.index
    else:
        written = np.asarray(result)
        before = np.concatenate([np.zeros_like(written[:1]), written[:-1]])
        alive = np.cumsum(before == 0, axis=0) == 1  # only the first state is 0
        index = (before * SYMBOLS + written)[alive]
    return np.bincount(index, minlength=SYMBOLS**2).reshape(SYMBOLS, SYMBOLS)


CASES = [Case("W3", f"{SYMBOLS} symbols, strings of {HORIZON}", "symbol", prepare,
              (256, 4096, 16384), likely(np.exp(log_softmax(LOGITS)), count))]
