"""Recursions in time: each against loops over one episode at a time, endings and cuts included."""

import math

import numpy as np
import pytest
from worlds import random_mdp, random_policy

from gridworld.maps import frozen_lake
from minirl.kernel import counts
from minirl.exact.evaluation import evaluate, occupancy
from minirl.kernel.playing import rollout, start_states
from minirl.play.returns import (discounted_sums, explained_variance, gae, move_values,
                                 n_step_returns, reward_to_go, td_errors, whole_return)


def played(seed, *, horizon=3, gamma=0.9):
    """A world, a policy, and a batch with terminated and truncated episodes of several lengths."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, 5, 3, 2, gamma)
    policy = random_policy(rng, mdp)
    batch = rollout(mdp, policy, start_states(mdp, 200, rng), horizon=horizon, rng=rng)
    lengths = batch.alive.sum(axis=0)
    assert batch.truncated.any() and set(lengths) == {1, 2, 3}
    assert (~batch.truncated & (lengths == horizon)).any(), "one should end exactly at the horizon"
    return mdp, policy, batch


def each_episode(batch):
    """Yield (column, length, states, end) of every episode; `end` weighs V of the last state."""
    for i, length in enumerate(batch.alive.sum(axis=0)):
        yield i, length, [*batch.states[:length, i], batch.last_state[i]], float(batch.truncated[i])


def test_discounted_sums_are_those_of_what_follows_and_leave_the_input_alone():
    """(returns.1)"""
    x = np.random.default_rng(7).normal(size=(6, 3))
    kept = x.copy()
    for factor in 0.0, 0.7, 1.0:
        sums = discounted_sums(x, factor)
        for t, i in np.ndindex(6, 3):
            direct = sum(factor**(k - t) * x[k, i] for k in range(t, 6))
            assert sums[t, i] == pytest.approx(direct, abs=1e-12)
        np.testing.assert_array_equal(reward_to_go(x, gamma=factor), sums)
        np.testing.assert_array_equal(whole_return(x, gamma=factor), sums[[0] * 6])
    assert (x == kept).all()
    assert discounted_sums(np.array([[1], [1]]), 0.5).ravel().tolist() == [1.5, 1]


@pytest.mark.parametrize("gamma", [0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_n_step_returns_ask_the_table_after_n_steps_or_at_a_cut(n, gamma):
    """(returns.4), with episodes of one to four steps"""
    rng = np.random.default_rng(12)
    mdp = random_mdp(rng, 5, 3, 2, gamma)
    batch = rollout(mdp, random_policy(rng, mdp), start_states(mdp, 100, rng), horizon=4, rng=rng)
    assert set(batch.alive.sum(axis=0)) == {1, 2, 3, 4}
    assert 0 < batch.truncated.sum() < batch.alive[3].sum()
    V = rng.normal(size=5)
    found = n_step_returns(batch.rewards, batch, V, gamma=gamma, n=n)
    for i, length, states, end in each_episode(batch):
        for t in range(length):
            last = min(t + n, length)
            direct = sum(gamma**(k - t) * batch.rewards[k, i] for k in range(t, last))
            direct += gamma**(last - t) * V[states[last]] * (end if last == length else 1)
            assert found[t, i] == pytest.approx(direct, abs=1e-12)
        assert (found[length:, i] == 0).all()


@pytest.mark.parametrize("gae_lambda", [0.0, 0.3, 0.8])
def test_the_lambda_return_is_a_weighted_mean_of_n_step_returns(gae_lambda):
    """(returns.3) and (returns.4): weights (1 − λ) λⁿ⁻¹, and all later ones at the longest n"""
    _, _, batch = played(12)
    V = np.random.default_rng(13).normal(size=5)
    one, two, three = (n_step_returns(batch.rewards, batch, V, gamma=0.9, n=n) for n in (1, 2, 3))
    _, returns = gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
    mean = (1 - gae_lambda) * (one + gae_lambda * two) + gae_lambda**2 * three
    np.testing.assert_allclose(returns, mean, atol=1e-12)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_gae_is_the_doubly_discounted_sum_of_td_errors(gae_lambda):
    """(returns.2), (returns.3): V after a termination is zero, after a truncation it is kept, and
    before the last step it counts (pitfall 21)"""
    mdp, _, batch = played(1)
    V = np.random.default_rng(2).normal(size=5)
    A, returns = gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
    for i, length in enumerate(batch.alive.sum(axis=0)):
        states = [*batch.states[:length, i], batch.last_state[i]]
        after = [V[s] for s in states[1:]]
        after[-1] = after[-1] if batch.truncated[i] else 0.0
        deltas = [batch.rewards[t, i] + 0.9 * after[t] - V[states[t]] for t in range(length)]
        for t in range(length):
            direct = sum((0.9 * gae_lambda)**(k - t) * deltas[k] for k in range(t, length))
            assert A[t, i] == pytest.approx(direct, abs=1e-12)
            assert returns[t, i] == pytest.approx(direct + V[states[t]], abs=1e-12)
        assert (A[length:, i] == 0).all() and (returns[length:, i] == 0).all()


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_gae_in_place_is_the_plain_recursion_bit_for_bit_and_leaves_its_input_alone(gae_lambda):
    """(returns.3), with rewards of whole numbers too, and a value that only dead steps would ask
    for: it may be anything."""
    _, _, batch = played(1)
    batch = batch._replace(states=np.where(batch.alive, batch.states, 5))
    V = np.append(np.random.default_rng(2).normal(size=5), np.nan)
    whole = np.random.default_rng(3).integers(-3, 4, batch.alive.shape) * batch.alive
    for rewards in batch.rewards, whole:
        kept = rewards.copy(), V.copy()
        A, returns = gae(rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
        plain = discounted_sums(td_errors(rewards, batch, V, gamma=0.9), 0.9 * gae_lambda)
        np.testing.assert_array_equal(A, plain)
        np.testing.assert_array_equal(returns, plain + np.where(batch.alive, V[batch.states], 0))
        np.testing.assert_array_equal(rewards, kept[0])
        np.testing.assert_array_equal(V, kept[1])


def test_explained_variance_of_the_best_the_empty_and_the_opposite_prediction():
    G = np.array([1.0, 2.0, 6.0])
    assert explained_variance(G - 7, G) == 1
    assert explained_variance(np.full(3, 8.0), G) == 0
    assert explained_variance(-G, G) == pytest.approx(-3)
    assert isinstance(explained_variance(-G, G), float)
    for V in np.zeros(3), G:
        assert math.isnan(explained_variance(V, np.full(3, 0.1))), "there is nothing to explain"
    assert math.isnan(explained_variance(np.ones(1), np.zeros(1)))


def test_on_the_lake_the_true_values_explain_the_share_that_the_chapter_states():
    """(returns.6), exactly: given its state a return has the mean V and a second moment that obeys
    an equation like that of V, and steps are where undiscounted visits say."""
    lake, policy = frozen_lake().mdp(gamma=0.99), np.full((16, 4), 0.25)
    V, visits = evaluate(lake, policy), occupancy(frozen_lake().mdp(gamma=1.0), policy)
    chain, constant = np.zeros((16, 16)), np.zeros(16)
    for s, a, k in np.ndindex(lake.next_state.shape):
        chance, following = policy[s, a] * lake.prob[s, a, k], lake.next_state[s, a, k]
        r, goes_on = lake.reward[s, a, k], not lake.terminated[s, a, k]
        constant[s] += chance * (r**2 + goes_on * 2 * 0.99 * r * V[following])
        chain[s, following] += goes_on * 0.99**2 * chance
    second = np.linalg.solve(np.eye(16) - chain, constant)
    share = visits / visits.sum()
    explained = (share @ V**2 - (share @ V)**2) / (share @ second - (share @ V)**2)
    assert explained == pytest.approx(0.09, abs=0.005)


def test_values_move_towards_the_mean_target_of_each_state():
    """(returns.5), with a state visited three times, one visited once, one never"""
    steps = counts.steps(np.array([0, 1, 0, 0]), np.array([0, 1, 1, 0]), np.array([0, 4]), (3, 2))
    targets = np.array([1.0, 5.0, 2.0, 6.0])
    moved = move_values(np.array([2.0, 1.5, 7.0]), steps, targets, rate=0.25)
    np.testing.assert_allclose(moved, [2 + 0.25 * (3 - 2), 1.5 + 0.25 * (5 - 1.5), 7], atol=1e-15)
