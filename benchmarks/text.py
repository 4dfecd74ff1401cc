"""W4: the negative log-likelihood of text under a bigram, and its gradient (sft.1).

*plain* is `minirl.plain.language_model`: −log π(a|s) and its gradient (softmax.2), token by token.
*book* counts the pairs once (counts.1); the rest is one pass over a table.  What is counted is
either the pairs as `counts.Steps` stores them, or arrays s and a, which are checked first.

The peers count too, each with its own histogram, and write the table's part in their own words.
*numba* is one loop, and does not check anything: the limit of the machine.  *torch_idiom* is what
most people write, the cross-entropy of each token's row of logits, differentiated automatically.
"""

from functools import cache

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax, unsigned
from benchmarks.timing import Case
from minirl.kernel import counts
from minirl.people.sft import sft_loss
from minirl.plain import language_model
from toy_lm.ngram import sample

SYMBOLS, LENGTH = 96, 128


def endless(symbols, strings, length, rng):
    """`Steps` of strings of exactly `length` letters, from a random bigram that never ends one."""
    logits = rng.normal(size=(symbols, symbols))
    logits[:, 0] = -np.inf
    return sample(logits, strings, rng=rng, horizon=length)


def batch(tokens):
    """(logits, steps, states, actions): the same tokens as `Steps` and as pairs (s, a)."""
    rng = np.random.default_rng(0)
    steps = endless(SYMBOLS, tokens // LENGTH, LENGTH, rng)
    states, actions = np.divmod(steps.index.astype(np.int64), SYMBOLS)
    return rng.normal(size=steps.shape), steps, states, actions


def strings_of(steps):
    """The pairs (s, a) of each string, as lists: what the plain forms read.

    They are made when a plain form is first called, since the larger sizes have none.
    """
    pairs = [divmod(n, steps.shape[1]) for n in steps.index.tolist()]
    return [pairs[first:last] for first, last in zip(steps.starts[:-1], steps.starts[1:])]


def numba_loops():
    """(counts of pair indices, counts of (s, a), loss and gradient from counts), compiled."""

    def count_index(index, size):
        table = np.zeros(size)
        for n in index:
            table[n] += 1
        return table

    def count_pairs(states, actions, size):
        table = np.zeros((size, size))
        for n in range(states.size):
            table[states[n], actions[n]] += 1
        return table

    def cross_entropy(logits, table):
        S, A = logits.shape
        N, loss, grad = table.sum(), 0.0, np.empty_like(logits)
        for s in range(S):
            visits, largest, total = 0.0, logits[s].max(), 0.0
            for a in range(A):
                grad[s, a] = np.exp(logits[s, a] - largest)
                total += grad[s, a]
                visits += table[s, a]
            normaliser = largest + np.log(total)
            for a in range(A):
                loss -= table[s, a] * (logits[s, a] - normaliser)
                grad[s, a] = (visits * grad[s, a] / total - table[s, a]) / N
        return loss / N, grad

    return compiled(count_index), compiled(count_pairs), compiled(cross_entropy)


def numba_stored(logits, steps, states, actions):
    """One compiled loop over stored pairs, and one over the table."""
    count, _, cross_entropy = numba_loops()
    index = unsigned(steps.index)
    return {"numba": lambda: cross_entropy(logits, count(index, logits.size)
                                           .reshape(logits.shape))}


def numba_pairs(logits, steps, states, actions):
    """One compiled loop over s and a, and one over the table."""
    _, count, cross_entropy = numba_loops()
    return {"numba": lambda: cross_entropy(logits, count(states, actions, SYMBOLS))}


def jax_cross_entropy(logits, pairs):
    """A histogram, block by block, which is faster than at once; loss and gradient by jax."""
    import jax
    import jax.numpy as jnp

    blocks = pairs.reshape(LENGTH, -1)
    table = jax.lax.fori_loop(
        0, LENGTH, lambda t, table: table.at[blocks[t]].add(1, mode="promise_in_bounds"),
        jnp.zeros(logits.size, jnp.int32)).reshape(logits.shape)

    def loss(logits):
        return -(table * jax.nn.log_softmax(logits)).sum() / table.sum()

    return jax.value_and_grad(loss)(logits)


def jax_stored(logits, steps, states, actions):
    """A histogram of stored pairs."""
    return {"jax": in_jax(jax_cross_entropy, logits, steps.index)}


def jax_pairs(logits, steps, states, actions):
    """A histogram of s and a."""
    def form(logits, states, actions):
        return jax_cross_entropy(logits, states * SYMBOLS + actions)

    return {"jax": in_jax(form, logits, states, actions)}


def torch_cross_entropy(logits, table):
    """Loss and gradient from a table of counts, by hand."""
    logp, N = logits.log_softmax(1), table.sum()
    visits = table.sum(1, keepdim=True)
    return -(table * logp).sum().item() / N.item(), ((logp.exp() * visits - table) / N).numpy()


def torch_idiom(logits, states, actions):
    """The cross-entropy of each token's row of logits, and `backward`."""
    import torch

    leaf = torch.from_numpy(logits.copy()).requires_grad_()
    states, actions = torch.from_numpy(states), torch.from_numpy(actions)

    def form():
        leaf.grad = None
        loss = torch.nn.functional.cross_entropy(leaf[states], actions)
        loss.backward()
        return loss.item(), leaf.grad.numpy()

    return form


def torch_stored(logits, steps, states, actions):
    """A histogram of stored pairs."""
    import torch

    table, index = torch.from_numpy(logits), torch.from_numpy(steps.index)

    def form():
        counted = torch.bincount(index, minlength=logits.size).view(logits.shape)
        return torch_cross_entropy(table, counted.double())

    return {"torch": form, "torch_idiom": torch_idiom(logits, states, actions)}


def torch_pairs(logits, steps, states, actions):
    """A histogram of s and a."""
    import torch

    table = torch.from_numpy(logits)
    s, a = torch.from_numpy(states), torch.from_numpy(actions)

    def form():
        counted = torch.bincount(s * SYMBOLS + a, minlength=logits.size).view(logits.shape)
        return torch_cross_entropy(table, counted.double())

    return {"torch": form, "torch_idiom": torch_idiom(logits, states, actions)}


def prepare_stored(size, peers):
    """The forms that start from `Steps`; `size` is the number of tokens."""
    logits, steps, states, _ = data = batch(size)
    strings = cache(lambda: strings_of(steps))
    forms = {"plain": lambda: language_model.cross_entropy(logits, strings()),
             "book": lambda: sft_loss(logits, counts.table(steps))}
    makers = {"numba": numba_stored, "jax": jax_stored, "torch": torch_stored}
    return forms | forms_of(peers, makers, data), states.size


def prepare_pairs(size, peers):
    """The forms that start from s and a; `size` is the number of tokens."""
    logits, steps, states, actions = data = batch(size)
    strings = cache(lambda: strings_of(steps))
    forms = {"plain": lambda: language_model.cross_entropy(logits, strings()),
             "book": lambda: sft_loss(logits, counts.table(
                 counts.steps(states, actions, steps.starts, steps.shape)))}
    makers = {"numba": numba_pairs, "jax": jax_pairs, "torch": torch_pairs}
    return forms | forms_of(peers, makers, data), states.size


SIZES = (2**12, 2**18, 2**20)
CASES = [
    Case("W4", "likelihood and gradient, from stored pairs", "token", prepare_stored, SIZES),
    Case("W4", "likelihood and gradient, from s and a", "token", prepare_pairs, SIZES),
]
