"""What several tests need: random worlds, and slow oracles that follow the definitions by loops."""

from dataclasses import replace
import itertools

import numpy as np

from minirl.kernel.mdp import TabularMDP, unroll
from minirl.kernel.playing import Rollout
from minirl.play.training import start
from minirl.play.returns import reward_to_go, whole_return
from minirl.kernel.softmax import log_softmax

# A credit, and whether γᵗ is kept: the three forms of REINFORCE's estimate.
WHOLE, KEPT, DROPPED = (whole_return, False), (reward_to_go, True), (reward_to_go, False)


def random_mdp(rng, S, A, K, gamma):
    """A random world that leaks: a policy with full support ends from every state, at any gamma.

    With several outcomes (K > 1) the first outcome of every action ends the episode, so that every
    policy ends.  With one outcome only the last action ends it surely.
    """
    terminated = rng.random((S, A, K)) < 0.2
    if K > 1:
        terminated[:, :, 0] = True
    else:
        terminated[:, -1] = True
    return TabularMDP(next_state=rng.integers(0, S, (S, A, K)),
                      prob=0.7 * rng.dirichlet(np.ones(K), (S, A)) + 0.3 / K,
                      reward=rng.normal(size=(S, A, K)), terminated=terminated,
                      start=rng.dirichlet(np.ones(S)), gamma=gamma)


def uneven_world(seed):
    """A random world to tell solvers apart: rewards over twelve decades, actions that are not
    available, outcomes without a chance, states out of reach, and any gamma from 0 to 1.

    At gamma 1 every action may end the episode, so that each world has an optimum.
    """
    rng = np.random.default_rng(seed)
    S, A, K = rng.integers(1, 9), rng.integers(1, 5), rng.integers(1, 4)
    gamma = rng.choice([0, 0.3, 0.9, 0.99, 0.999, 1, rng.random()])
    prob = rng.dirichlet(np.full(K, 0.5), (S, A)) * (rng.random((S, A, K)) < 0.8)
    prob[:, :, 0] += 0.05
    terminated = rng.random((S, A, K)) < rng.choice([0, 0.1, 0.4])
    terminated[:, :, 0] |= gamma == 1
    available = rng.random((S, A)) < 0.7
    available[np.arange(S), rng.integers(0, A, S)] = True
    return TabularMDP(next_state=rng.integers(0, S, (S, A, K)),
                      prob=prob / prob.sum(axis=2, keepdims=True),
                      reward=rng.choice([-1, 0, 1], (S, A, K)) * 10**rng.uniform(-6, 6, (S, A, K)),
                      terminated=terminated, start=np.eye(S)[rng.integers(S)], gamma=float(gamma),
                      available=available)


def random_policy(rng, mdp):
    """A random policy with full support."""
    return rng.dirichlet(np.ones(mdp.shape[1]), mdp.shape[0])


def single_outcome(next_state, reward, ends, start, gamma=1.0):
    """A world in which an action has one outcome, from nested lists (S, A)."""
    next_state = np.array(next_state)[:, :, None]
    return TabularMDP(next_state=next_state, prob=np.ones(next_state.shape),
                      reward=np.array(reward, float)[:, :, None],
                      terminated=np.array(ends, bool)[:, :, None],
                      start=np.array(start, float), gamma=gamma)


def corridor(length, gamma):
    """Actions left and right; only the step out of the right end pays, and ends the episode."""
    cells = range(length)
    return single_outcome([[max(s - 1, 0), min(s + 1, length - 1)] for s in cells],
                          [[0, s == length - 1] for s in cells],
                          [[False, s == length - 1] for s in cells], np.eye(length)[0], gamma)


def island():
    """State 0 ends by action 1 and goes to state 2 by action 2; state 1, which nobody reaches
    from 0, never ends."""
    return single_outcome([[0, 0, 2], [1, 1, 1], [0, 0, 0]], [[-1, 2, 3], [5, 5, 5], [0, 0, 7]],
                          [[False, True, False], [False] * 3, [True] * 3], [1, 0, 0])


def endless(mdp):
    """The same world without its endings."""
    return replace(mdp, terminated=np.zeros(mdp.next_state.shape, bool))


def with_rewards(mdp, values, seed=2):
    """The same world, paying one of these values, on the last step as on the others."""
    drawn = np.random.default_rng(seed).choice(values, mdp.next_state.shape)
    return replace(mdp, reward=drawn.astype(float))


def tables(mdp):
    """r (S, A) of (mdp.1) and P (S, A, S) of (mdp.2), by loops."""
    S, A, K = mdp.next_state.shape
    r, P = np.zeros((S, A)), np.zeros((S, A, S))
    for s, a, k in np.ndindex(S, A, K):
        r[s, a] += mdp.prob[s, a, k] * mdp.reward[s, a, k]
        if not mdp.terminated[s, a, k]:
            P[s, a, mdp.next_state[s, a, k]] += mdp.prob[s, a, k]
    return r, P


def episodes(mdp, horizon):
    """Yield (chance, pairs, rewards, ended) for every episode of at most `horizon` steps.

    `chance` is the world's part of its probability; the policy's part is the product of π over the
    list `pairs` of (s, a).  `ended` is False if the horizon cut the episode.
    """
    def extend(state, chance, pairs, rewards):
        if len(pairs) == horizon:
            yield chance, pairs, rewards, False
            return
        for a, k in np.ndindex(mdp.next_state.shape[1:]):
            prob = chance * mdp.prob[state, a, k]
            longer = pairs + [(state, a)], rewards + [mdp.reward[state, a, k]]
            if prob > 0 and mdp.terminated[state, a, k]:
                yield prob, *longer, True
            elif prob > 0:
                yield from extend(int(mdp.next_state[state, a, k]), prob, *longer)

    for state, chance in enumerate(mdp.start):
        if chance > 0:
            yield from extend(state, chance, [], [])


def episodes_of(batch):
    """The steps (s, a, r, next s, terminated) of each episode of a rollout, as lists."""
    columns = (batch.states, batch.actions, batch.rewards, batch.next_states, batch.terminated)
    steps = list(zip(*(column.tolist() for column in columns)))
    return [steps[i:j] for i, j in zip(batch.starts[:-1], batch.starts[1:])]


def apart(values, starts):
    """Sequences that lie end to end, each by itself: a list of arrays."""
    return [values[i:j] for i, j in zip(starts[:-1], starts[1:])]


def deterministic_policies(mdp):
    """Yield all A^S policies that never hesitate."""
    S, A = mdp.shape
    for choice in itertools.product(range(A), repeat=S):
        yield np.eye(A)[list(choice)]


def value_by_loops(mdp, policy, table=None):
    """V of (evaluation.1) and γ P_π, by loops and a dense solve; every state must end."""
    r, P = tables(mdp)
    r = r if table is None else table
    S, A = mdp.shape
    M, right = np.zeros((S, S)), np.zeros(S)
    for s, a in np.ndindex(S, A):
        right[s] += policy[s, a] * r[s, a]
        M[s] += mdp.gamma * policy[s, a] * P[s, a]
    return np.linalg.solve(np.eye(S) - M, right), M


def small_world(gamma=0.9, horizon=2):
    """Every episode ends within two steps, so all of them can be listed."""
    return unroll(random_mdp(np.random.default_rng(0), 2, 2, 2, gamma), horizon)


def random_record(mdp, seed=1):
    """A policy and a value table that are right about nothing."""
    rng = np.random.default_rng(seed)
    record = start(rng.normal(size=mdp.shape), rng=0)
    return record._replace(values=rng.normal(size=mdp.shape[0]))


def law(mdp, logits, horizon):
    """Every episode of at most `horizon` steps, as a `Rollout`, and the probability of each.

    One step more is listed than is kept: it begins in the state in which the cut left the episode.
    """
    policy = np.exp(log_softmax(logits))
    listed = list(episodes(mdp, horizon + 1))
    chances = np.array([chance * np.prod([policy[pair] for pair in pairs])
                        for chance, pairs, _, _ in listed])
    states, actions, rewards, terminated, starts, last = [], [], [], [], [0], []
    for _, pairs, paid, _ in listed:
        for t, (s, a) in enumerate(pairs[:horizon]):
            states.append(s)
            actions.append(a)
            rewards.append(paid[t])
            terminated.append(t == len(pairs) - 1)
        starts.append(len(states))
        last.append(pairs[horizon][0] if len(pairs) > horizon else 0)
    cut = np.array([len(pairs) > horizon for _, pairs, _, _ in listed])
    assert abs(chances.sum() - 1) < 1e-12
    flat = map(np.array, (states, actions, rewards, terminated, starts, last))
    return Rollout(*flat, cut), chances


def without_discount(mdp, logits):
    """What is expected if γᵗ is dropped: undiscounted visits times policy times advantage."""
    policy = np.exp(log_softmax(logits))
    r, P = tables(mdp)
    V, _ = value_by_loops(mdp, policy)
    _, M = value_by_loops(replace(mdp, gamma=1.0), policy)
    visits = np.linalg.solve(np.eye(len(V)) - M.T, mdp.start)
    return visits[:, None] * policy * (r + mdp.gamma * P @ V - V[:, None])
