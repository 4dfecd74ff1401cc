"""W6: generalised advantage estimates and λ-returns (returns.3), in a rectangle and end to end.

All forms start from rewards, the states of steps and a value table, so that looking the values up
is part of the work, and they return advantages and returns.  *plain* is `minirl.plain.ppo`: it runs
backwards through each episode, a step at a time.

*A rectangle*, time downwards and one episode a column, is nearly full: most episodes are cut after
the same number of steps.  *book* is `gae_of_rectangle`, a row at a time for all episodes.  *numba*
is one loop over the rectangle, the limit of the machine; *jax* a scan over rows.
*stable_baselines3* is its rollout buffer: the library's own loop, given arrays of 64 bits;
*stable_baselines3_float32* is the same with those of 32 bits, which it uses itself.

*End to end* lie episodes of very different lengths: a rectangle would be 40 % full.  *book* is
`gae`, one triangular system for all episodes; *rectangle* lays the same episodes side by side,
takes `gae_of_rectangle`, and lays the result end to end; *numba* is one loop over the steps.
"""

from functools import cache

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax
from benchmarks.timing import Case
from minirl.kernel import layout
from minirl.kernel.playing import rollout
from minirl.play.returns import gae, gae_of_rectangle
from minirl.kernel.softmax import log_softmax
from minirl.plain import ppo
from toy_lm.ngram import language

SYMBOLS, T, GAMMA, LAMBDA = 27, 128, 0.99, 0.95
RARELY, OFTEN = -4.0, -1.2  # added to the logits of the end


def batch(episodes, end):
    """(rollout, values) of strings, cut after T steps; `end` makes them end sooner or later."""
    rng = np.random.default_rng(0)
    logits, rewards = rng.normal(size=(2, SYMBOLS, SYMBOLS))
    logits[:, 0] += end
    world = language(rewards)
    played = rollout(world, np.exp(log_softmax(logits)), np.zeros(episodes, int), horizon=T,
                     rng=rng)
    return played, rng.normal(size=SYMBOLS)


def side_by_side(played):
    """(rewards, states, alive): the rectangles (T, episodes); what is dead has a state too many."""
    return tuple(layout.rectangle(x, played.starts, blank) for x, blank in (
        (played.rewards, 0.0), (played.states, SYMBOLS), (played.states >= 0, False)))


def by_rows(played, rewards, states, values):
    """The book's form on rectangles; only the last row is cut."""
    last = np.where(played.truncated, values.take(played.last_state), 0)
    return gae_of_rectangle(rewards, np.append(values, 0.0).take(states), last, gamma=GAMMA,
                            gae_lambda=LAMBDA)


def by_rows_and_back(played, values):
    """The same for episodes that lie end to end."""
    rewards, states, alive = side_by_side(played)
    return tuple(layout.flatten(x, alive) for x in by_rows(played, rewards, states, values))


def listed(played):
    """The steps (s, a, r, next s, terminated) of each episode, as lists, for the plain form."""
    columns = (played.states, played.actions, played.rewards, played.next_states,
               played.terminated)
    steps = list(zip(*(column.tolist() for column in columns)))
    return [steps[begin:end] for begin, end in zip(played.starts, played.starts[1:])]


def plain(episodes, values):
    """A_t = δ_t + γλ A_{t+1}, backwards through each episode; end to end."""
    advantages, returns, values = [], [], values.tolist()
    for episode in episodes:
        A = ppo.advantages(episode, values, GAMMA, LAMBDA)
        advantages += A
        returns += [A_t + values[s] for A_t, (s, *_) in zip(A, episode)]
    return np.array(advantages), np.array(returns)


def numba_end_to_end(played, values):
    """The recursion, from the last step of all to the first."""

    def backwards(rewards, states, starts, last_state, truncated, values):
        advantages, returns = np.empty(rewards.size), np.empty(rewards.size)
        for i in range(last_state.size):
            A, after = 0.0, values[last_state[i]] * truncated[i]
            for n in range(starts[i + 1] - 1, starts[i] - 1, -1):
                here = values[states[n]]
                A = rewards[n] + GAMMA * after - here + GAMMA * LAMBDA * A
                advantages[n], returns[n], after = A, A + here, here
        return advantages, returns

    loop = compiled(backwards)
    return {"numba": lambda: loop(played.rewards, played.states, played.starts, played.last_state,
                                  played.truncated, values)}


def numba_form(played, rewards, states, alive, values):
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
    return {"numba": lambda: loop(rewards, states, alive, played.last_state, played.truncated,
                                  values)}


def jax_forms(played, rewards, states, alive, values):
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

    data = (rewards, states, alive, played.last_state, played.truncated, values)
    return {"jax": in_jax(form, *data), "jax_float32": in_jax(form, *data, dtype="float32")}


def stable_baselines3_forms(*data):
    """`RolloutBuffer.compute_returns_and_advantage`, for a critic that is a table.

    Its rows are steps of several worlds, of which a new episode may start at once.  A dead step is
    an episode by itself, without reward and value.
    """
    return {"stable_baselines3": stable_baselines3(*data, np.float64),
            "stable_baselines3_float32": stable_baselines3(*data, np.float32)}


def stable_baselines3(played, rewards, states, alive, values, dtype):
    """The buffer's loop on arrays of `dtype`."""
    import torch
    from gymnasium.spaces import Discrete
    from stable_baselines3.common.buffers import RolloutBuffer

    steps, episodes = rewards.shape
    buffer = RolloutBuffer(steps, Discrete(len(values)), Discrete(len(values)), "cpu",
                           gae_lambda=LAMBDA, gamma=GAMMA, n_envs=episodes)
    values, worth = values.astype(dtype), np.append(values, 0).astype(dtype)
    buffer.rewards = rewards.astype(dtype)
    buffer.advantages = np.zeros(rewards.shape, dtype)
    buffer.episode_starts = np.ones(rewards.shape, dtype)
    buffer.episode_starts[1:] = ~alive[1:]
    over = ~played.truncated

    def form():
        buffer.values = worth.take(states)
        after = torch.from_numpy(values[played.last_state])
        buffer.compute_returns_and_advantage(after, over)
        return buffer.advantages, buffer.returns

    return form


def rectangle(size, peers):
    """The forms of a rectangle; `size` is the number of episodes, an item one of their steps."""
    played, values = batch(size, RARELY)
    rewards, states, alive = side_by_side(played)
    episodes = cache(lambda: listed(played))
    forms = {"plain": lambda: tuple(layout.rectangle(x, played.starts)
                                    for x in plain(episodes(), values)),
             "book": lambda: by_rows(played, rewards, states, values)}
    makers = {"numba": numba_form, "jax": jax_forms, "stable_baselines3": stable_baselines3_forms}
    data = played, rewards, states, alive, values
    return forms | forms_of(peers, makers, data), played.states.size


def end_to_end(size, peers):
    """The forms of episodes that lie end to end."""
    played, values = batch(size, OFTEN)
    episodes = cache(lambda: listed(played))
    forms = {"plain": lambda: plain(episodes(), values),
             "book": lambda: gae(played.rewards, played, values, gamma=GAMMA, gae_lambda=LAMBDA),
             "rectangle": lambda: by_rows_and_back(played, values)}
    return (forms | forms_of(peers, {"numba": numba_end_to_end}, (played, values)),
            played.states.size)


CASES = [Case("W6", f"GAE, a rectangle of {T} steps", "step", rectangle, (64, 1024, 4096)),
         Case("W6", f"GAE, end to end, up to {T} steps", "step", end_to_end, (64, 1024, 4096))]
