"""W1: N worlds at once under one policy, which need not be uniform.

The world is the slippery 8x8 lake.  Every form hands over all it passes through: states, actions,
rewards, ends and next states; where an episode ends, the next one begins at once.  *plain* draws
an action from the policy and an outcome from the law, world by world.  *book* is
`minirl.kernel.playing.walk`.

Of the peers, *gymnasium* is its SyncVectorEnv, without the wrappers of `make`; *jax* looks up both
draws in running sums, in one compiled scan; *numba* is one compiled loop over alias tables.
"""

from bisect import bisect
from collections import deque
from copy import copy
from functools import partial
from itertools import islice
from random import Random

import numpy as np

from benchmarks.timing import Case, likely
from gridworld.maps import LAKE_8X8, frozen_lake
from minirl.kernel.playing import Moves, walk
from minirl.kernel.sampling import alias

WORLD = frozen_lake(LAKE_8X8).mdp(gamma=0.99)
POLICY = np.random.default_rng(0).dirichlet(np.ones(4), size=64)
START = int(WORLD.start.argmax())  # the only one
# (state, action, outcome): restarted where it ended, what was paid, and whether it ended.
AFTER = np.where(WORLD.terminated, START, WORLD.next_state)
SMALL = 20_000  # moves of all worlds, of which all are kept for the comparison


def plain(worlds, steps):
    """A loop over steps and worlds, in plain Python."""
    random = Random(0).random
    policy, law = np.cumsum(POLICY, axis=1).tolist(), np.cumsum(WORLD.prob, axis=2).tolist()
    following, paid = AFTER.tolist(), WORLD.reward.tolist()
    ends = WORLD.terminated.tolist()
    states, trace = [START] * worlds, []
    for _ in range(steps):
        moves = []
        for s in states:
            a = bisect(policy[s], random(), hi=3)
            k = bisect(law[s][a], random(), hi=2)
            moves.append((s, a, paid[s][a][k], ends[s][a][k], following[s][a][k]))
        states = [move[-1] for move in moves]
        trace.append(Moves(*zip(*moves)))
    return trace


def book(worlds, steps):
    """All moves in the end if there are few; otherwise each is let go, as a learner would."""
    moves = walk(WORLD, POLICY, np.full(worlds, START), rng=0)
    return deque(islice(moves, steps), maxlen=None if worlds * steps <= SMALL else 1)


def with_gymnasium(worlds):
    """The worlds one by one, in Python."""
    from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    lake = FrozenLakeEnv(map_name="8x8")  # the copies share its table
    env = SyncVectorEnv([partial(copy, lake)] * worlds,
                        autoreset_mode=AutoresetMode.SAME_STEP)
    states, _ = env.reset(seed=0)
    rng, running = np.random.default_rng(0), POLICY.cumsum(axis=1)[:, :3]

    def form(steps):
        nonlocal states
        trace = []
        for _ in range(steps):
            before = states.copy()
            actions = (running[before] < rng.random(worlds)[:, None]).sum(axis=1)
            states, rewards, ends, _, _ = env.step(actions)
            trace.append(Moves(before, actions, rewards, ends, states))
            states = states.copy()
        return trace
    return form


def with_jax(worlds):
    """One scan over steps; all random numbers first."""
    import jax
    from jax import numpy as jnp

    K = WORLD.prob.shape[2]
    policy = jnp.asarray(POLICY.cumsum(axis=1)[:, :3], jnp.float32)
    law = jnp.asarray(WORLD.prob.cumsum(axis=2)[:, :, :K - 1].reshape(-1, K - 1), jnp.float32)
    following, paid = jnp.asarray(AFTER.ravel(), jnp.int32), jnp.asarray(WORLD.reward.ravel())
    ends = jnp.asarray(WORLD.terminated.ravel())

    def move(states, numbers):
        actions = (policy[states] <= numbers[0][:, None]).sum(axis=1, dtype=jnp.int32)
        pairs = 4 * states + actions
        cell = K * pairs + (law[pairs] <= numbers[1][:, None]).sum(axis=1, dtype=jnp.int32)
        return following[cell], Moves(states, actions, paid[cell], ends[cell], following[cell])

    @partial(jax.jit, static_argnums=1)
    def play(key, steps):
        numbers = jax.random.uniform(key, (steps, 2, worlds), jnp.float32)
        return jax.lax.scan(move, jnp.full(worlds, START, jnp.int32), numbers)[1]

    key = jax.random.key(0)
    return lambda steps: jax.block_until_ready(play(key, steps))


def with_numba(worlds):
    """A loop over steps and worlds, compiled."""
    from numba import njit

    S, A, K = WORLD.prob.shape
    table = alias((POLICY[:, :, None] * WORLD.prob).reshape(S, A * K))
    bits, size = table.bits, 2**table.bits

    def by_cell(values):
        padded = np.zeros((S, size), values.dtype)
        padded[:, :A * K] = np.broadcast_to(values, (S, A, K)).reshape(S, A * K)
        return padded.ravel()

    action, following = by_cell(np.arange(A)[:, None]), by_cell(AFTER)
    paid, ends = by_cell(WORLD.reward), by_cell(WORLD.terminated)

    @njit
    def play(states, steps, word):
        shape = steps, states.size
        trace = (np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape),
                 np.empty(shape, np.bool_), np.empty(shape, np.int64))
        for t in range(steps):
            for n in range(states.size):
                word ^= word << np.uint64(13)  # xorshift, Marsaglia 2003
                word ^= word >> np.uint64(7)
                word ^= word << np.uint64(17)
                number = word >> np.uint64(32)
                s = states[n]
                cell = (s << bits) + np.int64(number >> np.uint64(32 - bits))
                give = other[cell]  # both are loaded: a branch would be guessed wrongly too often
                cell = cell if number < accept[cell] else give
                trace[0][t, n], trace[1][t, n], trace[2][t, n] = s, action[cell], paid[cell]
                trace[3][t, n], trace[4][t, n] = ends[cell], following[cell]
                states[n] = following[cell]
        return trace

    accept, other = table.accept[::2].astype(np.uint64), table.other
    return lambda steps: Moves(*play(np.full(worlds, START), steps, np.uint64(88172645463325252)))


PEERS = {"gymnasium": with_gymnasium, "jax": with_jax, "numba": with_numba}


def prepare(size, peers):
    """`size` is (worlds, steps)."""
    worlds, steps = size
    forms = {"plain": partial(plain, worlds, steps), "book": partial(book, worlds, steps)}
    items = dict.fromkeys(forms, worlds * steps)
    for name, build in PEERS.items():
        if name in peers:  # gymnasium is so slow that it does a part of the work
            few = min(steps, max(SMALL // worlds, 1)) if name == "gymnasium" else steps
            forms[name], items[name] = partial(build(worlds), few), worlds * few
    return forms, items


def law():
    """(S, A·S·2·2) the exact probability of (action, next state, paid, ended) in each state."""
    S, A, _ = WORLD.prob.shape
    table = np.zeros((S, A, S, 2, 2))
    s, a, _ = np.indices(WORLD.prob.shape)
    np.add.at(table, (s, a, AFTER, WORLD.reward.astype(int), WORLD.terminated.astype(int)),
              POLICY[:, :, None] * WORLD.prob)
    return table.reshape(S, -1)


def count(result):
    """How often a form made each move; from its list of `Moves`, one a step, or from arrays."""
    moves = result if isinstance(result, Moves) else map(np.concatenate, zip(*result))
    s, a, paid, ended, after = (np.asarray(part).ravel().astype(int) for part in moves)
    S, A = POLICY.shape
    move = (((s * A + a) * S + after) * 2 + paid) * 2 + ended
    return np.bincount(move, minlength=S * A * S * 4).reshape(S, -1)


CASES = [Case("W1", f"stepping, {worlds:,} worlds" if worlds > 1 else "stepping, one world",
              "step", prepare, ((1, 5000) if worlds == 1 else (64, 300), (worlds, steps),
                                (worlds, 4 * steps)), likely(law(), count))
         for worlds, steps in ((1, 5000), (64, 3000), (1024, 500), (4096, 200), (16384, 60))]
