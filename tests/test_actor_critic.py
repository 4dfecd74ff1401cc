"""Actor-critic: an iteration against loops, what its update is worth by listing every episode, and
the learner against J*."""

from dataclasses import replace

import numpy as np
import pytest
from batches import batch_of
from worlds import (episodes_of, law, random_mdp, random_record, small_world, tables,
                    value_by_loops, without_discount)

from minirl.kernel import counts
from minirl.plain.actor_critic import advantages
from minirl.play.actor_critic import actor_critic, judge, normalised
from minirl.play.baselines import scores
from minirl.play.optim import gradient_descent
from minirl.exact.planning import policy_gradient
from minirl.play.training import environment_rewards, play
from minirl.play.reinforce import reinforce_loss, weigh
from minirl.play.returns import explained_variance, gae, move_values
from minirl.kernel.softmax import entropy_loss, log_softmax

CHOICES = dict(gamma=0.9, gae_lambda=0.6, value_lambda=0.3, value_rate=0.75,
               normalize_advantage=False)


def lambda_sums_by_loops(batch, rewards, V, gamma, weight):
    """(state, action, Σ (γλ)ᵏ δ) of each step, episode after episode."""
    return [(s, a, total) for episode in episodes_of(batch._replace(rewards=rewards))
            for (s, a, *_), total in zip(episode, advantages(episode, V, gamma, weight))]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("gae_lambda, value_lambda", [(0.6, 0.3), (0.0, 1.0), (1.0, 0.0)])
def test_advantages_and_targets_have_a_lambda_of_their_own(gae_lambda, value_lambda, normalize):
    """(actor_critic.1) and (actor_critic.2), by loops; some episodes are cut, and the values are
    those before."""
    mdp = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9)
    record = random_record(mdp)
    batch, V = play(mdp, record, rewards=environment_rewards, episodes=50, horizon=3), record.values
    assert 0 < batch.rollout.truncated.sum() < 50
    found = judge(batch, V, **CHOICES | {
        "gae_lambda": gae_lambda, "value_lambda": value_lambda, "value_rate": 0.75,
        "normalize_advantage": normalize})
    judged, surprise, residual = (
        lambda_sums_by_loops(batch.rollout, batch.rewards, V, 0.9, weight)
        for weight in (gae_lambda, value_lambda, 1.0))
    scale = np.mean([A**2 for _, _, A in judged])**0.5 + 1e-8 if normalize else 1.0
    np.testing.assert_allclose(found.advantages, [A / scale for _, _, A in judged], atol=1e-12)
    for state in range(4):
        target = np.mean([V[s] + x for s, _, x in surprise if s == state])
        assert found.values[state] == pytest.approx(V[state] + 0.75 * (target - V[state]))
    R = [V[s] + x for s, _, x in residual]
    assert found.explained_variance == pytest.approx(
        1 - np.var([x for _, _, x in residual]) / np.var(R))


def test_what_is_judged_are_the_sums_of_the_chapter_on_returns():
    """(returns.3) bit for bit, from what the seam paid and not from what the world did."""
    mdp = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9)
    record = random_record(mdp)
    batch = play(mdp, record, episodes=50, horizon=3,
                 rewards=lambda rollout, logp: rollout.rewards - rollout.time)
    found = judge(batch, record.values, **CHOICES)
    (A, _), (_, targets), (_, R) = (
        gae(batch.rewards, batch.rollout, record.values, gamma=0.9, gae_lambda=weight)
        for weight in (0.6, 0.3, 1.0))
    np.testing.assert_array_equal(found.advantages, A)
    np.testing.assert_array_equal(found.values, move_values(record.values, batch.steps, targets,
                                                            rate=0.75))
    assert found.explained_variance == explained_variance(record.values[batch.rollout.states], R)


def test_an_iteration_steps_along_the_loss_of_what_was_judged():
    """What the plain form has not: targets of their own, and advantages divided by their size."""
    mdp = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9)
    first, own = random_record(mdp), {"gae_lambda": 0.6, "value_lambda": 0.3, "value_rate": 0.75,
                                      "normalize_advantage": True}
    second = next(actor_critic(mdp, first, episodes=50, horizon=3, learning_rate=0.5, ent_coef=0.3,
                               optimiser=gradient_descent(), **own))
    batch = play(mdp, first, rewards=environment_rewards, episodes=50, horizon=3)
    judged = judge(batch, first.values, gamma=0.9, **own)
    table = counts.table(batch.steps, judged.advantages)
    grad = (reinforce_loss(first.logits, table, episodes=50)[1]
            + 0.3 * entropy_loss(first.logits, batch.visits / 50)[1])
    np.testing.assert_allclose(second.logits, first.logits - 0.5 * grad, atol=1e-12)
    np.testing.assert_array_equal(second.values, judged.values)
    assert second.metrics["value/explained_variance"] == judged.explained_variance


def test_advantages_are_divided_by_their_size_and_not_centred():
    """(actor_critic.3) and pitfall 33; equal ones become ones, not the inverse of rounding."""
    A = np.array([3.0, 5.0, 10.0])
    found = normalised(A)
    np.testing.assert_allclose(found, A / ((sum(A**2) / 3)**0.5 + 1e-8), rtol=1e-14)
    np.testing.assert_allclose(normalised(np.full(9, -85.0)), -1, rtol=1e-9)
    assert (found > 0).all()
    np.testing.assert_allclose(normalised(10 * A), found, rtol=1e-7)
    assert normalised(np.zeros(3)).tolist() == [0, 0, 0]


def test_while_the_bonus_lasts_another_policy_is_the_best():
    """A game of one throw, head pays 1: at `ent_coef` = 0.3 the two gradients cancel at 0.966."""
    logits = np.array([[1 / 0.3, 0.0]])
    policy = np.exp(log_softmax(logits))
    assert policy[0, 0] == pytest.approx(0.966, abs=5e-4)
    _, reward = reinforce_loss(logits, policy * [1.0, 0.0], episodes=1)  # the mean over throws
    _, bonus = entropy_loss(logits, np.ones(1))
    assert np.abs(reward).max() > 0.03
    np.testing.assert_allclose(reward + 0.3 * bonus, 0, atol=1e-15)
    H = -(policy * np.log(policy)).sum()
    np.testing.assert_allclose(-bonus, -policy * (np.log(policy) + H), atol=1e-15)


# What the update is worth.


def expected_update(mdp, record, horizon, values, gae_lambda):
    """The expected update by one episode, and the part of each step: (T, S, A)."""
    batch, chances = law(mdp, record.logits, horizon)
    judged = judge(batch_of(batch, mdp.shape), values, **CHOICES | {
        "gamma": mdp.gamma, "gae_lambda": gae_lambda})
    logp = log_softmax(record.logits)
    return np.stack([np.tensordot(chances, scores(batch, judged.advantages * (batch.time == t),
                                                  logp), 1) for t in range(horizon)])


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_with_lambda_one_and_endings_it_is_reinforce_with_a_baseline(gamma):
    """Exact for any V, but for γᵗ; every episode is listed."""
    mdp = small_world(gamma, horizon=3)
    record = random_record(mdp)
    batch, chances = law(mdp, record.logits, 3)
    assert not batch.truncated.any()
    judged = judge(batch_of(batch, mdp.shape), record.values,
                   **CHOICES | {"gamma": gamma, "gae_lambda": 1.0})
    weights = weigh(batch.rewards, batch, record, gamma=gamma)
    np.testing.assert_allclose(judged.advantages, weights, atol=1e-12)
    found = expected_update(mdp, record, 3, record.values, 1.0).sum(axis=0)
    np.testing.assert_allclose(found, without_discount(mdp, record.logits), atol=1e-12)
    exact = policy_gradient(mdp, record.logits)[1]
    assert np.allclose(found, exact, atol=1e-12) == (gamma == 1)


def visits_by_loops(mdp, policy, horizon):
    """The chance of being in each state at each time: (T, S)."""
    _, P = tables(mdp)
    visits = [mdp.start]
    for _ in range(horizon - 1):
        visits.append(np.einsum("s,sa,sat->t", visits[-1], policy, P))
    return np.stack(visits)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.6, 1.0])
def test_with_the_true_value_every_lambda_is_right_even_where_episodes_are_cut(gae_lambda):
    """Pitfalls 20 and 22: each step before the cut gets visits times policy times advantage."""
    mdp = random_mdp(np.random.default_rng(9), 2, 2, 2, 0.9)
    record = random_record(mdp)
    policy = np.exp(log_softmax(record.logits))
    r, P = tables(mdp)
    V, _ = value_by_loops(mdp, policy)
    truth = visits_by_loops(mdp, policy, 3)[:, :, None] * policy * (r + 0.9 * P @ V - V[:, None])
    found = expected_update(mdp, record, 3, V, gae_lambda)
    np.testing.assert_allclose(found, truth, atol=1e-12)

    wrong = expected_update(mdp, record, 3, V + [1.0, -1.0], gae_lambda)
    assert np.abs(wrong - truth).max(axis=(1, 2)).min() > 0.003, "every step before a cut is biased"


def test_a_wrong_value_does_harm_below_lambda_one_even_where_episodes_end():
    mdp = small_world(1.0, horizon=3)
    record = random_record(mdp)
    exact = policy_gradient(mdp, record.logits)[1]
    harm = [np.abs(expected_update(mdp, record, 3, record.values, gae_lambda).sum(axis=0)
                   - exact).max() for gae_lambda in (1.0, 0.9, 0.5, 0.0)]
    assert harm[0] < 1e-12 < 0.003 < harm[1] < harm[2] < harm[3]


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_at_a_cut_the_bias_is_the_expected_error_of_the_value_there(gamma):
    """At λ = 1: E[γᵏ (V − V_true)(s_T) ∇log π(a_t|s_t)] over the episodes that are cut."""
    mdp = random_mdp(np.random.default_rng(9), 2, 2, 2, gamma)
    record = random_record(mdp)
    true, _ = value_by_loops(mdp, np.exp(log_softmax(record.logits)))
    batch, chances = law(mdp, record.logits, 3)
    error = batch.truncated * (record.values - true)[batch.last_state]
    bias = scores(batch, gamma**(3.0 - batch.time) * batch.spread(error),
                  log_softmax(record.logits))
    found = (expected_update(mdp, record, 3, record.values, 1.0)
             - expected_update(mdp, record, 3, true, 1.0)).sum(axis=0)
    np.testing.assert_allclose(found, np.tensordot(chances, bias, 1), atol=1e-12)
    assert np.abs(found).max() > 0.01


def test_in_a_world_without_ends_it_climbs_the_reward_per_step_with_three_replacements():
    """r − r̄ for r, γ = 1, and the differential values for V: the visits are shares of time."""
    mdp = random_mdp(np.random.default_rng(10), 2, 2, 2, 1.0)
    mdp = replace(mdp, terminated=np.zeros_like(mdp.terminated))
    record = random_record(mdp)
    policy = np.exp(log_softmax(record.logits))
    r, P = tables(mdp)
    chain = np.einsum("sa,sat->st", policy, P)
    share = np.linalg.solve(np.vstack([(np.eye(2) - chain.T)[:1], np.ones(2)]), [0, 1])
    rate = share @ (policy * r).sum(axis=1)
    V = np.linalg.solve(np.eye(2) - chain + np.outer(np.ones(2), share),
                        (policy * r).sum(axis=1) - rate)
    net = replace(mdp, reward=mdp.reward - rate, start=share)
    found = expected_update(net, record, 3, V, 0.6)
    exact = share[:, None] * policy * (r - rate + P @ V - V[:, None])
    np.testing.assert_allclose(found, np.tile(exact, (3, 1, 1)), atol=1e-12)
