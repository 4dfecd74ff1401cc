"""W6: generalised advantage estimates and λ-returns (returns.3) of a rectangle of episodes.

*plain* is `minirl.plain.ppo`: it runs backwards through each episode, a step at a time.  *book*
does all episodes at once, a row at a time.  All forms start from rewards, a rollout and a value
table, so that looking the values up is part of the work, and they return advantages and returns.

*numba* is one loop over the rectangle, the limit of the machine; *jax* a scan over rows.
*stable_baselines3* is its rollout buffer: the library's own loop, given arrays of 64 bits;
*stable_baselines3_float32* is the same with those of 32 bits, which it uses itself.
"""

from functools import cache

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax
from benchmarks.timing import Case
from minirl.kernel.playing import rollout
from minirl.play.returns import gae
from minirl.kernel.softmax import log_softmax
from minirl.plain import ppo
from toy_lm.ngram import language

SYMBOLS, T, GAMMA, LAMBDA = 27, 128, 0.99, 0.95


def batch(episodes):
    """(rewards, rollout, values): every fifth string ends before it is cut, after T steps."""
    rng = np.random.default_rng(0)
    logits, rewards = rng.normal(size=(2, SYMBOLS, SYMBOLS))
    logits[:, 0] -= 4
    world = language(rewards)
    played = rollout(world, np.exp(log_softmax(logits)), np.zeros(episodes, int), horizon=T,
                     rng=rng)
    return played.rewards, played, rng.normal(size=SYMBOLS)


def listed(rewards, played):
    """The steps (s, a, r, next s, terminated) of each episode, as lists, for the plain form."""
    columns = played.states, played.actions, rewards, played.next_states, played.terminated
    return [list(zip(*(column[:length, i].tolist() for column in columns)))
            for i, length in enumerate(played.alive.sum(axis=0))]


def plain(episodes, shape, values):
    """A_t = δ_t + γλ A_{t+1}, backwards through each episode."""
    advantages, returns, values = np.zeros(shape), np.zeros(shape), values.tolist()
    for i, episode in enumerate(episodes):
        A = ppo.advantages(episode, values, GAMMA, LAMBDA)
        advantages[:len(A), i] = A
        returns[:len(A), i] = [A_t + values[s] for A_t, (s, *_) in zip(A, episode)]
    return advantages, returns


def numba_form(rewards, played, values):
    """The same recursion for all episodes, along the rows as they lie in memory."""

    def backwards(rewards, states, alive, last_state, truncated, values):
        steps, episodes = rewards.shape
        advantages, returns = np.empty(rewards.shape), np.empty(rewards.shape)
        A, after = np.zeros(episodes), values[last_state] * truncated
        for t in range(steps - 1, -1, -1):
            for i in range(episodes):
                if alive[t, i]:
                    here = values[states[t, i]]
                    A[i] = rewards[t, i] + GAMMA * after[i] - here + GAMMA * LAMBDA * A[i]
                    advantages[t, i], returns[t, i] = A[i], A[i] + here
                    after[i] = here
                else:
                    advantages[t, i], returns[t, i] = 0.0, 0.0
        return advantages, returns

    loop = compiled(backwards)
    return {"numba": lambda: loop(rewards, played.states, played.alive, played.last_state,
                                  played.truncated, values)}


def jax_forms(rewards, played, values):
    """A scan over rows, last row first.  A dead step leaves what it finds."""
    import jax
    import jax.numpy as jnp

    def form(rewards, states, alive, last_state, truncated, values):
        def row(carry, now):
            A, after = carry
            reward, state, living = now
            here = values[state]
            new = reward + GAMMA * after - here + GAMMA * LAMBDA * A
            carry = jnp.where(living, new, A), jnp.where(living, here, after)
            return carry, (jnp.where(living, new, 0), jnp.where(living, new + here, 0))

        start = jnp.zeros_like(rewards[0]), values[last_state] * truncated
        _, found = jax.lax.scan(row, start, (rewards, states, alive), reverse=True)
        return found

    data = (rewards, played.states, played.alive, played.last_state, played.truncated, values)
    return {"jax": in_jax(form, *data), "jax_float32": in_jax(form, *data, dtype="float32")}


def stable_baselines3_forms(rewards, played, values):
    """`RolloutBuffer.compute_returns_and_advantage`, for a critic that is a table.

    Its rows are steps of several worlds, of which a new episode may start at once.  A dead step is
    an episode by itself, without reward and value.
    """
    return {"stable_baselines3": stable_baselines3(rewards, played, values, np.float64),
            "stable_baselines3_float32": stable_baselines3(rewards, played, values, np.float32)}


def stable_baselines3(rewards, played, values, dtype):
    """The buffer's loop on arrays of `dtype`."""
    import torch
    from gymnasium.spaces import Discrete
    from stable_baselines3.common.buffers import RolloutBuffer

    steps, episodes = rewards.shape
    buffer = RolloutBuffer(steps, Discrete(len(values)), Discrete(len(values)), "cpu",
                           gae_lambda=LAMBDA, gamma=GAMMA, n_envs=episodes)
    values, states, alive = values.astype(dtype), played.states, played.alive
    buffer.rewards = rewards.astype(dtype)
    buffer.advantages = np.zeros(rewards.shape, dtype)
    buffer.episode_starts = np.ones(rewards.shape, dtype)
    buffer.episode_starts[1:] = ~alive[1:] | played.terminated[:-1]
    over = ~played.truncated

    def form():
        buffer.values = np.where(alive, values[states], dtype(0))
        after = torch.from_numpy(values[played.last_state])
        buffer.compute_returns_and_advantage(after, over)
        return buffer.advantages, buffer.returns

    return form


def prepare(size, peers):
    """All forms; `size` is the number of episodes, an item one of their steps."""
    data = batch(size)
    rewards, played, values = data
    episodes = cache(lambda: listed(rewards, played))
    forms = {"plain": lambda: plain(episodes(), rewards.shape, values),
             "book": lambda: gae(*data, gamma=GAMMA, gae_lambda=LAMBDA)}
    makers = {"numba": numba_form, "jax": jax_forms, "stable_baselines3": stable_baselines3_forms}
    return forms | forms_of(peers, makers, data), int(data[1].alive.sum())


CASES = [Case("W6", f"GAE, episodes of up to {T} steps", "step", prepare, (64, 1024, 4096))]
