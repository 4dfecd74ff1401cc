"""W9: GRPO's loss and gradient (grpo.1), from strings with one advantage each.

*plain* is `minirl.plain.grpo`: the formula as the paper writes it, a loop over strings and their
tokens, with ratio, clipping and k3 for each.  *book* weights the strings, collapses them into
tables (ppo.2), and takes one pass over those.

*numba*, *jax* and *torch* do that as well, on rectangles of pair indices, which strings of one
length allow; *numba* is the limit of the machine, and *jax_float32* is *jax* in the numbers that it
is mostly used with.  *torch_idiom* is what most people write: a softmax and a penalty for each
token, differentiated automatically.
"""

from functools import cache

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax, loop_softmax, unsigned
from benchmarks.text import endless, strings_of
from benchmarks.timing import Case
from minirl.people.grpo import grpo_loss
from minirl.people.groups import weighted
from minirl.plain.grpo import objective

SYMBOLS, LENGTH, GROUP, BETA, CLIP = 27, 128, 8, 0.1, 0.2


def batch(groups):
    """(logits, old logits, reference logits, steps, advantages); π has moved enough to clip."""
    rng = np.random.default_rng(0)
    steps = endless(SYMBOLS, groups * GROUP, LENGTH, rng)
    old, move, away = rng.normal(size=(3, *steps.shape))
    rewards = rng.normal(size=(groups, GROUP))
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    advantages = centred / rewards.std(axis=1, keepdims=True)
    return old + 0.2 * move, old, old + 0.2 * away, steps, advantages.ravel()


def plain(logits, old, reference, strings, advantages):
    """(grpo.1), a token at a time."""
    J, grad = objective(logits, old, reference, strings, advantages, epsilon=CLIP, beta=BETA)
    return -J, -grad


def book(logits, old, reference, steps, advantages):
    """Weights (groups.5), tables, loss and gradient."""
    lengths = np.diff(steps.starts)
    tables = weighted(steps, advantages, 1 / (lengths.size * lengths))
    return grpo_loss(logits, old, tables, ref_logits=reference, beta=BETA, epsilon=CLIP)


def numba_form(logits, old, reference, steps, advantages):
    """One loop over strings, of which each adds to one table of advantages, and one over tables."""

    def tables(index, starts, advantages, size):
        sums, strings = np.zeros((2, size)), len(advantages)
        numbers = np.zeros(size)
        for i in range(strings):
            own = sums[int(advantages[i] < 0)]
            weight = 1 / (strings * (starts[i + 1] - starts[i]))
            for n in index[starts[i]:starts[i + 1]]:
                own[n] += weight * advantages[i]
                numbers[n] += weight
        return sums, numbers

    tables, softmax = compiled(tables), loop_softmax()

    def form(logits, old, reference, index, starts, advantages):
        sums, numbers = tables(index, starts, advantages, logits.size)
        policy, old_policy, ref_policy = softmax(logits), softmax(old), softmax(reference)
        S, A = logits.shape
        loss, grad = 0.0, np.empty_like(logits)
        for s in range(S):
            for a in range(A):
                n = s * A + a
                ratio, U, V = policy[s, a] / old_policy[s, a], sums[0, n], sums[1, n]
                away = ref_policy[s, a] / policy[s, a]
                loss -= min(ratio, 1 + CLIP) * U + max(ratio, 1 - CLIP) * V
                loss += BETA * numbers[n] * (away - 1 - np.log(away))
                grad[s, a] = BETA * numbers[n] * (1 - away) - ratio * (
                    U * (ratio <= 1 + CLIP) + V * (ratio >= 1 - CLIP))
            grad[s] -= policy[s] * grad[s].sum()
        return loss, grad

    form = compiled(form)
    return {"numba": lambda: form(logits, old, reference, unsigned(steps.index), steps.starts,
                                  advantages)}


def jax_forms(logits, old, reference, steps, advantages):
    """Two weighted histograms; the tables' part is differentiated by jax."""
    import jax
    import jax.numpy as jnp

    def form(logits, old, reference, index, advantages):
        def total(key, each, size):
            each = jnp.broadcast_to(each[:, None], key.shape)
            sums = jnp.zeros(size, logits.dtype)
            return sums.at[key.ravel()].add(each.ravel(), mode="promise_in_bounds")

        weights = jnp.full(len(index), 1 / index.size, logits.dtype)
        key = index + logits.size * (advantages < 0)[:, None]
        U, V = total(key, weights * advantages, 2 * logits.size).reshape(2, *logits.shape)
        W = total(index, weights, logits.size).reshape(logits.shape)
        old, reference = jax.nn.log_softmax(old), jax.nn.log_softmax(reference)

        def loss(logits):
            logp = jax.nn.log_softmax(logits)
            ratio, u = jnp.exp(logp - old), reference - logp
            gains, losses = jnp.minimum(ratio, 1 + CLIP) * U, jnp.maximum(ratio, 1 - CLIP) * V
            return (BETA * W * (jnp.exp(u) - 1 - u) - gains - losses).sum()

        return jax.value_and_grad(loss)(logits)

    data = logits, old, reference, steps.index.reshape(-1, LENGTH), advantages
    return {"jax": in_jax(form, *data), "jax_float32": in_jax(form, *data, dtype="float32")}


def torch_forms(logits, old, reference, steps, advantages):
    """Two weighted sums, loss and gradient by hand; and the idiom, a token at a time."""
    import torch

    logits, old, reference, A = map(torch.from_numpy, (logits, old, reference, advantages))
    given = torch.from_numpy(steps.index).view(-1, LENGTH)
    strings, size = len(given), logits.numel()

    def total(key, each, size):
        sums = torch.zeros(size, dtype=torch.float64)
        return sums.scatter_add_(0, key.reshape(-1), each[:, None].expand(key.shape).reshape(-1))

    def form():
        index, weights = given.long(), torch.full_like(A, 1 / given.numel())
        U, V = total(index + size * (A < 0)[:, None], weights * A, 2 * size).view(2, *logits.shape)
        W = total(index, weights, size).view(logits.shape)
        logp = logits.log_softmax(1)
        ratio, u = (logp - old.log_softmax(1)).exp(), reference.log_softmax(1) - logp
        loss = (BETA * W * (u.exp() - 1 - u) - ratio.clamp(max=1 + CLIP) * U
                - ratio.clamp(min=1 - CLIP) * V).sum()
        G = BETA * W * (1 - u.exp()) - ratio * (U * (ratio <= 1 + CLIP) + V * (ratio >= 1 - CLIP))
        return loss.item(), (G - logp.exp() * G.sum(1, keepdim=True)).numpy()

    states, actions = given.long() // SYMBOLS, (given.long() % SYMBOLS)[..., None]
    leaf, each = logits.clone().requires_grad_(), A[:, None]

    def score(logits):
        return logits[states].log_softmax(2).gather(2, actions)[..., 0]

    def idiom():
        leaf.grad = None
        with torch.no_grad():
            old_logp, ref_logp = score(old), score(reference)
        logp = score(leaf)
        ratio, u = (logp - old_logp).exp(), ref_logp - logp
        free, bounded = ratio * each, ratio.clamp(1 - CLIP, 1 + CLIP) * each
        loss = (BETA * (u.exp() - 1 - u) - torch.min(free, bounded)).mean(1).sum() / strings
        loss.backward()
        return loss.item(), leaf.grad.numpy()

    return {"torch": form, "torch_idiom": idiom}


def prepare(size, peers):
    """All forms; `size` is the number of groups."""
    logits, old, reference, steps, advantages = data = batch(size)
    listed = cache(lambda: (strings_of(steps), advantages.tolist()))
    forms = {"plain": lambda: plain(logits, old, reference, *listed()), "book": lambda: book(*data)}
    makers = {"numba": numba_form, "jax": jax_forms, "torch": torch_forms}
    return forms | forms_of(peers, makers, data), steps.index.size


CASES = [Case("W9", f"GRPO, groups of {GROUP} strings of {LENGTH}", "token", prepare,
              (4, 128, 512))]
