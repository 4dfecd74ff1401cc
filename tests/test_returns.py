"""Recursions in time: each against loops over one episode at a time, endings and cuts included."""

import numpy as np
import pytest
from worlds import random_mdp, random_policy

from minirl import counts
from minirl.mdp import Rollout, rollout, start_states
from minirl.evaluation import action_values, evaluate
from minirl.returns import gae, move_values, reward_to_go


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


def test_reward_to_go_is_the_discounted_sum_of_what_follows():
    """(returns.1), episode by episode"""
    _, _, batch = played(0)
    G = reward_to_go(batch.rewards, gamma=0.9)
    for i, length in enumerate(batch.alive.sum(axis=0)):
        for t in range(length):
            direct = sum(0.9**(k - t) * batch.rewards[k, i] for k in range(t, length))
            assert G[t, i] == pytest.approx(direct, abs=1e-12)
        assert (G[length:, i] == 0).all()


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_gae_is_the_doubly_discounted_sum_of_td_errors(gae_lambda):
    """(returns.2), (returns.3): V after a termination is zero, after a truncation it is kept"""
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


def test_gae_with_lambda_one_is_reward_to_go_minus_value_where_episodes_end():
    _, _, batch = played(3)
    V = np.random.default_rng(4).normal(size=5)
    A, _ = gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=1.0)
    G = reward_to_go(batch.rewards, gamma=0.9)
    ended = batch.alive & ~batch.truncated
    np.testing.assert_allclose(A[ended], (G - V[batch.states])[ended], atol=1e-12)
    cut = batch.alive & batch.truncated
    assert (np.abs(A - (G - V[batch.states]))[cut] > 1e-6).all(), "a cut episode bootstraps"


@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
def test_expected_gae_with_the_true_value_is_the_true_advantage(gae_lambda):
    """Pitfall 22.  The expectation is exact: every outcome of two steps, weighted by its chance."""
    rng = np.random.default_rng(5)
    mdp = random_mdp(rng, 3, 2, 2, 0.9)
    policy = random_policy(rng, mdp)
    V = evaluate(mdp, policy)
    A = action_values(mdp, V) - V[:, None]
    S, actions, K = mdp.next_state.shape
    for s, a in np.ndindex(S, actions):
        mean = 0.0
        for k in range(K):
            chance, ends = mdp.prob[s, a, k], mdp.terminated[s, a, k]
            for a2, k2 in np.ndindex(actions, K):
                s2 = mdp.next_state[s, a, k]
                weight = chance * policy[s2, a2] * mdp.prob[s2, a2, k2]
                batch = Rollout(
                    states=np.array([[s], [s2]]), actions=np.array([[a], [a2]]),
                    rewards=np.array([[mdp.reward[s, a, k]],
                                      [0 if ends else mdp.reward[s2, a2, k2]]]),
                    alive=np.array([[True], [not ends]]),
                    terminated=np.array([[ends], [not ends and mdp.terminated[s2, a2, k2]]]),
                    last_state=mdp.next_state[s2, a2, [k2]],
                    truncated=np.array([not ends and not mdp.terminated[s2, a2, k2]]))
                found, _ = gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
                mean += weight * found[0, 0]
        assert mean == pytest.approx(A[s, a], abs=1e-12)


def test_the_value_before_the_last_step_is_not_zeroed():
    """Pitfall 21: A → B → the goal pays 1; with λ = 0 the advantage in A sees γ V(B)."""
    yes, end = np.array([[True], [True]]), np.array([[False], [True]])
    batch = Rollout(np.array([[0], [1]]), np.zeros((2, 1), int), np.array([[0.0], [1.0]]), yes, end,
                    np.array([2]), np.array([False]))
    A, returns = gae(batch.rewards, batch, np.array([0.0, 1.0, 5.0]), gamma=0.9, gae_lambda=0.0)
    np.testing.assert_allclose(returns.ravel(), [0.9, 1.0])
    np.testing.assert_allclose(A.ravel(), [0.9, 0.0])


def test_values_move_towards_the_mean_target_of_each_state():
    """(returns.5), with a state visited three times, one visited once, one never"""
    steps = counts.steps(np.array([0, 1, 0, 0]), np.array([0, 1, 1, 0]), np.array([0, 4]), (3, 2))
    targets = np.array([1.0, 5.0, 2.0, 6.0])
    moved = move_values(np.array([2.0, 1.5, 7.0]), steps, targets, rate=0.25)
    np.testing.assert_allclose(moved, [2 + 0.25 * (3 - 2), 1.5 + 0.25 * (5 - 1.5), 7], atol=1e-15)


def test_the_ends_of_each_range_are_allowed():
    rewards = np.array([[1.0], [2.0]])
    assert reward_to_go(rewards, gamma=0.0).ravel().tolist() == [1, 2]
    assert reward_to_go(rewards, gamma=1.0).ravel().tolist() == [3, 2]
    steps = counts.steps(np.array([0]), np.array([0]), np.array([0, 1]), (1, 1))
    for rate, value in ((0.0, 5.0), (1.0, 9.0)):
        assert move_values(np.array([5.0]), steps, np.array([9.0]), rate=rate).tolist() == [value]


def test_bad_arguments_are_refused_by_name():
    _, _, batch = played(6)
    V = np.zeros(5)
    with pytest.raises(ValueError, match="gamma must lie"):
        reward_to_go(batch.rewards, gamma=1.5)
    with pytest.raises(ValueError, match=r"rewards must have shape \(T, N\)"):
        reward_to_go(batch.rewards[0], gamma=0.9)
    with pytest.raises(ValueError, match="rewards must have shape"):
        gae(batch.rewards[:, 1:], batch, V, gamma=0.9, gae_lambda=0.9)
    with pytest.raises(ValueError, match="gae_lambda must lie in .* got -0.1"):
        gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=-0.1)
    with pytest.raises(ValueError, match="gamma must lie in .* got 1.5"):
        gae(batch.rewards, batch, V, gamma=1.5, gae_lambda=0.5)
    with pytest.raises(ValueError, match="gamma must lie in .* got nan"):
        gae(batch.rewards, batch, V, gamma=float("nan"), gae_lambda=0.5)
    steps = batch.steps((5, 3))
    with pytest.raises(ValueError, match="values must have shape"):
        move_values(np.zeros(4), steps, np.zeros(steps.index.size), rate=0.5)
    with pytest.raises(ValueError, match="rate must lie in"):
        move_values(V, steps, np.zeros(steps.index.size), rate=1.5)
    with pytest.raises(ValueError, match="weights must have shape"):
        move_values(V, steps, np.zeros(3), rate=0.5)
