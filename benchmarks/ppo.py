"""W5: four epochs of PPO on one batch of strings, in full batches and in minibatches.

*plain* is `minirl.plain.ppo`: (ppo.1) as the paper writes it, a loop over tokens, each with its own
ratio.  *book* collapses a batch into tables once (ppo.2), after which an epoch does not see a
token; minibatches are collapsed once an epoch, all by one histogram.  Every form takes plain
gradient steps, so large that the later ones clip, on the same minibatches of whole strings.

*numba*, *jax* and *torch* collapse as well; *numba* is the limit of the machine.  *jax_float32* is
*jax* in the numbers that it is mostly used with.  *torch_idiom* is what most people write: softmax,
ratio and clipping for each token, differentiated automatically.
"""

from functools import cache

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax, loop_softmax, unsigned
from benchmarks.text import endless, strings_of
from benchmarks.timing import Case
from minirl.kernel.softmax import LogPolicy, log_softmax
from minirl.play.surrogate import collapse, minibatches
from minirl.play.ppo import ppo_loss
from minirl.plain.ppo import surrogate

SYMBOLS, LENGTH, EPOCHS, PARTS, CLIP = 27, 128, 4, 8, 0.2
RATE = 200.0


def batch(tokens, number):
    """(old logits, steps, advantages, parts): parts[e, i] is the minibatch of string i in epoch e.

    Some pairs are better than others, and luck comes on top.
    """
    rng = np.random.default_rng(0)
    steps = endless(SYMBOLS, tokens // LENGTH, LENGTH, rng)
    old, good = rng.normal(size=(2, *steps.shape))
    advantages = good.ravel()[steps.index] + rng.normal(size=steps.index.size)
    strings = steps.starts.size - 1
    parts = np.array([rng.permutation(strings) % number for _ in range(EPOCHS)], np.int32)
    return old, steps, advantages, parts


def plain(old, strings, advantages, parts):
    """(ppo.1), a token at a time; `advantages` has a list for each string."""
    logits = old
    for epoch in parts:
        for part in range(epoch.max() + 1):
            own = np.flatnonzero(epoch == part)
            steps = [step for i in own for step in strings[i]]
            A = [A_t for i in own for A_t in advantages[i]]
            L, grad = surrogate(logits, old, steps, A, CLIP)
            logits = logits + RATE * grad
    return -L, -grad


def book(old, steps, advantages, parts):
    """(ppo.2), the batch collapsed once, or its minibatches once an epoch."""
    logits, played = old, LogPolicy(log_softmax(old))
    for tables in (minibatches(steps, advantages, parts) if parts.any()
                   else [collapse(steps, advantages)] * EPOCHS):
        loss, grad = ppo_loss(logits, played, tables, clip_range=CLIP)
        logits = logits - RATE * grad
    return loss, grad


def numba_form(old, steps, advantages, parts):
    """One loop over tokens for the tables (once, or once an epoch), one over the table a step."""

    def collapse_parts(index, advantages, part, number, size):
        sums, length = np.zeros((number, size, 2)), index.size // part.size
        for i in range(part.size):
            own = sums[part[i]]
            for n in range(i * length, (i + 1) * length):
                own[index[n], 0] += max(advantages[n], 0.0)  # no branch: the sign is a coin
                own[index[n], 1] += min(advantages[n], 0.0)
        return sums, np.bincount(part) * length

    def surrogate(policy, old_policy, sums, N):
        S, A = policy.shape
        loss, grad = 0.0, np.empty_like(policy)
        for s in range(S):
            for a in range(A):
                ratio, (U, V) = policy[s, a] / old_policy[s, a], sums[s * A + a]
                loss -= min(ratio, 1 + CLIP) * U + max(ratio, 1 - CLIP) * V
                grad[s, a] = -ratio * (U * (ratio <= 1 + CLIP) + V * (ratio >= 1 - CLIP)) / N
            grad[s] -= policy[s] * grad[s].sum()
        return loss / N, grad

    collapse_parts, surrogate, softmax = *map(compiled, (collapse_parts, surrogate)), loop_softmax()

    def epochs(old, index, advantages, parts):
        logits, old_policy, number = old, softmax(old), parts.max() + 1
        loss, grad = 0.0, old
        for e in range(len(parts)):
            if e == 0 or number > 1:
                sums, numbers = collapse_parts(index, advantages, parts[e], number, old.size)
            for part in range(number):
                loss, grad = surrogate(softmax(logits), old_policy, sums[part], numbers[part])
                logits = logits - RATE * grad
        return loss, grad

    epochs = compiled(epochs)
    return {"numba": lambda: epochs(old, unsigned(steps.index), advantages, parts)}


def jax_forms(old, steps, advantages, parts):
    """One weighted histogram (once, or once an epoch); the table's part is differentiated by it."""
    import jax
    import jax.numpy as jnp

    number = int(parts.max()) + 1

    def surrogate(logits, old_logp, sums, N):
        ratio = jnp.exp(jax.nn.log_softmax(logits) - old_logp)
        return -(jnp.minimum(ratio, 1 + CLIP) * sums[0]
                 + jnp.maximum(ratio, 1 - CLIP) * sums[1]).sum() / N

    def form(old, index, advantages, parts):
        old_logp = jax.nn.log_softmax(old)

        def tables(part):
            key = (2 * old.size * part[:, None] + index + old.size * (advantages < 0))
            sums = jnp.zeros(number * 2 * old.size, old.dtype)
            sums = sums.at[key.ravel()].add(advantages.ravel(), mode="promise_in_bounds")
            tokens = jnp.zeros(number, int).at[part].add(index.shape[1])
            return sums.reshape(number, 2, *old.shape), tokens

        def update(logits, minibatch):
            loss, grad = jax.value_and_grad(surrogate)(logits, old_logp, *minibatch)
            return logits - RATE * grad, (loss, grad)

        whole = tables(parts[0])

        def epoch(logits, part):
            return jax.lax.scan(update, logits, whole if number == 1 else tables(part))

        _, (losses, grads) = jax.lax.scan(epoch, old, parts)
        return losses[-1, -1], grads[-1, -1]

    rectangle = -1, LENGTH
    data = old, steps.index.reshape(rectangle), advantages.reshape(rectangle), parts
    return {"jax": in_jax(form, *data), "jax_float32": in_jax(form, *data, dtype="float32")}


def torch_forms(old, steps, advantages, parts):
    """The tables by one sum, loss and gradient by hand; and the idiom, a token at a time."""
    import torch

    number, strings = int(parts.max()) + 1, len(steps.starts) - 1
    old, advantages, parts = (torch.from_numpy(x) for x in (old, advantages, parts))
    given = torch.from_numpy(steps.index).view(strings, LENGTH)
    advantages = advantages.view(strings, LENGTH)

    def tables(index, part):
        key = torch.add(index, torch.signbit(advantages), alpha=old.numel())
        if number > 1:
            key += 2 * old.numel() * part[:, None]
        sums = torch.zeros(number * 2 * old.numel(), dtype=old.dtype)
        sums.scatter_add_(0, key.view(-1), advantages.view(-1))
        return zip(sums.view(number, 2, *old.shape), torch.bincount(part) * LENGTH)

    def form():
        logits, old_logp = old, old.log_softmax(1)
        index = given.long()
        whole = list(tables(index, parts[0])) if number == 1 else None
        for part in parts:
            for (U, V), N in whole or tables(index, part):
                logp = logits.log_softmax(1)
                ratio = (logp - old_logp).exp()
                loss = -(ratio.clamp(max=1 + CLIP) * U + ratio.clamp(min=1 - CLIP) * V).sum() / N
                G = -ratio * (U * (ratio <= 1 + CLIP) + V * (ratio >= 1 - CLIP)) / N
                grad = G - logp.exp() * G.sum(1, keepdim=True)
                logits = logits - RATE * grad
        return loss.item(), grad.numpy()

    states, actions = given.long() // SYMBOLS, given.long() % SYMBOLS

    def idiom():
        logits = old.clone().requires_grad_()
        old_logp = old[states].log_softmax(2).gather(2, actions[..., None])[..., 0]
        for part in parts:
            for number_of_part in range(number):
                own = part == number_of_part
                logp = logits[states[own]].log_softmax(2)
                logp = logp.gather(2, actions[own][..., None])[..., 0]
                ratio, A = (logp - old_logp[own]).exp(), advantages[own]
                loss = -torch.min(ratio * A, ratio.clamp(1 - CLIP, 1 + CLIP) * A).mean()
                logits.grad = None
                loss.backward()
                with torch.no_grad():
                    logits -= RATE * logits.grad
        return loss.item(), logits.grad.numpy()

    return {"torch": form, "torch_idiom": idiom}


def prepare(size, peers, number):
    """All forms with `number` minibatches an epoch; `size` is the number of tokens."""
    old, steps, advantages, parts = data = batch(size, number)
    listed = cache(lambda: (strings_of(steps), advantages.reshape(-1, LENGTH).tolist()))
    forms = {"plain": lambda: plain(old, *listed(), parts), "book": lambda: book(*data)}
    makers = {"numba": numba_form, "jax": jax_forms, "torch": torch_forms}
    return forms | forms_of(peers, makers, data), steps.index.size


SIZES = (2**12, 2**17, 2**19)
CASES = [
    Case("W5", f"PPO, {EPOCHS} epochs, full batch", "token",
         lambda size, peers: prepare(size, peers, 1), SIZES),
    Case("W5", f"PPO, {EPOCHS} epochs of {PARTS} minibatches", "token",
         lambda size, peers: prepare(size, peers, PARTS), SIZES),
]
