"""W2: Q-learning (q_learning.4) on the slippery 8x8 lake, for many runs at once and for one.

*plain* is the loop over steps as one would first write it, each operation over the runs.  It and
the book draw the same numbers, from one generator a run, break ties by them, and return the tables
and the episodes that ended.

*jax* is a scan over the steps of one run, mapped over the runs; *numba* is one compiled loop over
runs and steps, the limit of the machine.  Both are given the numbers already drawn, and write down
no episodes.  *gymnasium* is the loop of its tutorials, one run with a table of its own; it draws
other numbers, and so takes no part in the test of equality.
"""

from functools import partial
from itertools import islice

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax
from benchmarks.timing import Case, equal
from gridworld.maps import LAKE_8X8, frozen_lake
from minirl.play.q_learning import learners, q_learning
from minirl.kernel.sampling import generators

WORLD = frozen_lake(LAKE_8X8).mdp(gamma=0.99)
S, A, K = WORLD.prob.shape
FIRST = int(WORLD.start.argmax())
GAMMA, EPSILON, RATE, DECAY, HORIZON = WORLD.gamma, 0.5, 1.0, 0.6, 200
STEPS = 500           # of an iteration
TUTORIAL_STEPS = 4000


def plain(record, iterations):
    """(q_learning.1) over the runs: fancy indexing, a maximum over rows, the power as it stands."""
    Q, n = record.tables[0].copy(), record.updates[0].copy()
    states, age, earned, finished = record.states, record.age, record.earned, []
    rng, runs = generators(record.rng), np.arange(len(Q))
    law = WORLD.prob.cumsum(axis=2)[:, :, :-1]
    for _ in range(iterations):
        luck = np.stack([bits.random((STEPS, 4)) for bits in rng], axis=2)
        for choice, outcome, _, _ in luck:
            rows = Q[runs, states]
            ties = (rows == rows.max(axis=1)[:, None]).cumsum(axis=1)
            chosen = (choice - EPSILON) / (1 - EPSILON) * ties[:, -1]
            actions = np.where(choice < EPSILON, (choice / EPSILON * A).astype(int),
                               (ties > chosen[:, None]).argmax(axis=1))
            k = (law[states, actions] <= outcome[:, None]).sum(axis=1)
            following = WORLD.next_state[states, actions, k]
            rewards = WORLD.reward[states, actions, k]
            terminated = WORLD.terminated[states, actions, k]
            v = np.where(terminated, 0.0, Q[runs, following].max(axis=1))
            error = rewards + GAMMA * v - Q[runs, states, actions]
            n[runs, states, actions] += 1
            Q[runs, states, actions] += RATE / n[runs, states, actions]**DECAY * error

            age, earned = age + 1, earned + rewards
            over = terminated | (age >= HORIZON)
            finished += [(run, earned[run], age[run]) for run in np.flatnonzero(over)]
            states = np.where(over, FIRST, following)
            age, earned = np.where(over, 0, age), np.where(over, 0.0, earned)
    finished.sort(key=lambda episode: episode[0])
    return Q, *(np.array(column) for column in zip(*finished))


def book(first, iterations):
    """The chapter's own loop."""
    finished = []
    for record in islice(q_learning(WORLD, first, steps_per_iteration=STEPS), iterations):
        finished += [record.finished]
    run, _, rewards, lengths = (np.concatenate(column) for column in zip(*finished))
    by_run = run.argsort(kind="stable")
    return record.Q, run[by_run], rewards[by_run], lengths[by_run]


def numba_form(Q, n, luck, step_sizes):
    """One loop over runs and their steps; luck is (R, T, 2)."""

    def learn(Q, n, luck, step_sizes, law, next_state, reward, terminated):
        Q, n = Q.copy(), n.copy()
        for i in range(len(Q)):
            s, age = FIRST, 0
            for t in range(luck.shape[1]):
                u = luck[i, t, 0]
                a = 0
                if u < EPSILON:
                    a = int(u / EPSILON * A)
                else:
                    best, ties = Q[i, s, 0], 1
                    for b in range(1, A):
                        if Q[i, s, b] > best:
                            best, ties = Q[i, s, b], 1
                        elif Q[i, s, b] == best:
                            ties += 1
                    chosen = int((u - EPSILON) / (1 - EPSILON) * ties)
                    while Q[i, s, a] < best or chosen > 0:
                        chosen -= Q[i, s, a] == best
                        a += 1
                k = 0
                while k < K - 1 and law[s, a, k] <= luck[i, t, 1]:
                    k += 1
                after, over, v = next_state[s, a, k], terminated[s, a, k], 0.0
                if not over:
                    v = Q[i, after, 0]
                    for b in range(1, A):
                        v = max(v, Q[i, after, b])
                error = reward[s, a, k] + GAMMA * v - Q[i, s, a]
                Q[i, s, a] += step_sizes[n[i, s, a]] * error
                n[i, s, a] += 1
                s, age = after, age + 1
                if over or age >= HORIZON:
                    s, age = FIRST, 0
        return Q

    learn = compiled(learn)
    law = WORLD.prob.cumsum(axis=2)
    return {"numba": lambda: learn(Q, n, luck, step_sizes, law, WORLD.next_state, WORLD.reward,
                                   WORLD.terminated)}


def jax_form(Q, n, luck, step_sizes):
    """A scan over the steps of a run, mapped over the runs."""
    from jax import lax, vmap
    from jax import numpy as jnp

    def learn(Q, n, luck, step_sizes, law, next_state, reward, terminated):
        def step(learner, numbers):
            Q, n, s, age = learner
            anything = (numbers[0] / EPSILON * A).astype(int)
            ties = (Q[s] == Q[s].max()).cumsum()
            chosen = (numbers[0] - EPSILON) / (1 - EPSILON) * ties[-1]
            a = jnp.where(numbers[0] < EPSILON, anything, (ties > chosen).argmax())
            k = (law[s, a] <= numbers[1]).sum()
            after, over = next_state[s, a, k], terminated[s, a, k]
            error = reward[s, a, k] + GAMMA * jnp.where(over, 0.0, Q[after].max()) - Q[s, a]
            Q, n = Q.at[s, a].add(step_sizes[n[s, a]] * error), n.at[s, a].add(1)
            over = over | (age + 1 >= HORIZON)
            return (Q, n, jnp.where(over, FIRST, after), jnp.where(over, 0, age + 1)), None

        def one(Q, n, luck):
            return lax.scan(step, (Q, n, FIRST, 0), luck)[0][0]

        return vmap(one)(Q, n, luck)

    return {"jax": in_jax(learn, Q, n, luck, step_sizes, WORLD.prob.cumsum(axis=2)[:, :, :-1],
                          WORLD.next_state, WORLD.reward, WORLD.terminated)}


def gymnasium_form(Q, n, luck, step_sizes):
    """One run, as the tutorials write it."""
    import gymnasium

    def learn():
        world = gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=True)
        rng = np.random.default_rng(0)
        Q, n = np.ones((S, A)), np.zeros((S, A), int)
        s, _ = world.reset(seed=0)
        for _ in range(TUTORIAL_STEPS):
            a = world.action_space.sample() if rng.random() < EPSILON else int(np.argmax(Q[s]))
            after, reward, terminated, truncated, _ = world.step(a)
            v = (not terminated) * np.max(Q[after])
            n[s, a] += 1
            Q[s, a] += RATE / n[s, a]**DECAY * (reward + GAMMA * v - Q[s, a])
            s = world.reset()[0] if terminated or truncated else after
        return Q

    return {"gymnasium": learn}


def prepare(runs, iterations, peers):
    """The forms, which all start from tables of ones."""
    record, steps = learners(WORLD, rng=range(runs), initial_value=1.0), iterations * STEPS
    forms = {"plain": partial(plain, record, iterations), "book": partial(book, record, iterations)}
    luck = np.stack([bits.random((steps, 4))[:, :2] for bits in generators(record.rng)])
    step_sizes = RATE / np.arange(1, steps + 2)**DECAY
    makers = {"numba": numba_form, "jax": jax_form, "gymnasium": gymnasium_form}
    forms |= forms_of(peers, makers, (record.tables[0], record.updates[0], luck, step_sizes))
    return forms, dict.fromkeys(forms, runs * steps) | {"gymnasium": TUTORIAL_STEPS}


def agree(results):
    """The same tables from all that draw the same numbers, and from plain the same episodes."""
    equal({name: results[name] for name in ("book", "plain")})
    equal({name: result[0] if name in ("book", "plain") else result
           for name, result in results.items() if name != "gymnasium"})


CASES = [Case("W2", f"Q-learning, {runs} run{'s' * (runs > 1)}", "update", partial(prepare, runs),
              sizes, agree)
         for runs, sizes in ((1, (4, 4, 20)), (20, (2, 4, 8)), (256, (2, 4, 8)),
                             (1024, (1, 2, 4)))]
