"""REINFORCE: the loss and the trainer against loops, the learner against J*.  What its estimate is
worth is in `test_baselines.py`."""


import numpy as np
import pytest
from worlds import DROPPED, KEPT, WHOLE, apart, random_mdp, random_record

from gridworld.maps import cliff_walk, frozen_lake
from minirl.kernel import counts
from minirl.kernel.mdp import coin_game
from minirl.kernel.playing import Rollout
from minirl.lab.estimators import measure_estimators
from minirl.play.baselines import (batch_mean, constant_baseline, leave_one_out, no_baseline,
                                   scores)
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.play.optim import gradient_descent
from minirl.exact.planning import policy_gradient
from minirl.play.training import environment_rewards, play, start
from minirl.play.reinforce import reinforce, reinforce_loss, value_baseline, weigh
from minirl.play.returns import reward_to_go
from minirl.kernel.softmax import backward, entropy_loss, log_softmax


# The pieces.


def test_the_example_of_the_chapter_by_all_numbers_of_heads():
    """(reinforce.1) and (reinforce.2) for a fair coin at γ = ½: the estimates, their mean and
    variance, without a baseline and with the true V."""
    game = coin_game(gamma=0.5)
    heads = np.arange(60)
    actions = np.concatenate([[0] * n + [1] for n in heads])
    starts = np.append(0, np.cumsum(heads + 1))
    played = Rollout(np.zeros(actions.size, int), actions, 1.0 - actions, actions == 1, starts,
                     np.zeros(60, int), np.zeros(60, bool))
    record = start(np.zeros((1, 2)), rng=0)._replace(values=np.array([2 / 3]))
    assert evaluate(game, record.policy) == pytest.approx([2 / 3])
    for baseline, first, variance in ((no_baseline, [0, 1 / 2, 1, 11 / 8], 0.297),
                                      (value_baseline, [1 / 3, 1 / 3, 7 / 12, 5 / 6], 0.050)):
        weights = weigh(played.rewards, played, record, gamma=0.5, keep_discount=True,
                        baseline=baseline)
        found = scores(played, weights, record.logp)[:, 0, 0]
        assert found[:4] == pytest.approx(first)
        mean = (found * 0.5**(heads + 1)).sum()
        assert mean == pytest.approx(policy_gradient(game, record.logits)[1][0, 0]) == 4 / 9
        assert (found**2 * 0.5**(heads + 1)).sum() - mean**2 == pytest.approx(variance, abs=5e-4)


def test_the_mean_of_a_score_is_zero_in_every_state():
    """(reinforce.4)"""
    logp = log_softmax(np.random.default_rng(2).normal(size=(4, 3)))
    mean = sum(np.exp(logp[:, [a]]) * backward(logp, np.tile(np.eye(3)[a], (4, 1)))
               for a in range(3))
    np.testing.assert_allclose(mean, 0, atol=1e-15)


def test_the_noise_of_an_estimate_is_what_the_chapter_says():
    rows = {row[:2]: row for row in measure_estimators(32).rows}
    for baseline, ratio in ("none", 2.04), ("true_values", 0.80):
        row = rows["reward_to_go", baseline]
        assert 1 / row.snr == pytest.approx(ratio, abs=5e-3) and row.bias < 1e-12


@pytest.mark.parametrize("grid, degrees, length, steps", [(frozen_lake(), 1.5, 1.09, None),
                                                          (cliff_walk(), 3.0, 58.9, 6453)])
def test_dropping_gamma_t_turns_the_gradient_by_the_angle_that_the_chapter_states(
        grid, degrees, length, steps):
    discounted, endless = grid.mdp(gamma=0.99), grid.mdp(gamma=1.0)
    policy = np.full(discounted.shape, 0.25)
    _, exact = policy_gradient(discounted, np.zeros(discounted.shape))
    V = evaluate(discounted, policy)
    undiscounted_visits = occupancy(endless, policy)
    expected = undiscounted_visits[:, None] * policy * (action_values(discounted, V) - V[:, None])
    norm = np.linalg.norm
    angle = np.degrees(np.arccos((exact * expected).sum() / norm(exact) / norm(expected)))
    assert angle == pytest.approx(degrees, abs=0.06)
    assert norm(expected) / norm(exact) == pytest.approx(length, abs=0.05)
    assert steps is None or round(undiscounted_visits.sum()) == steps


def test_the_loss_is_the_weighted_log_likelihood_of_an_episode():
    """(reinforce.3), as a loop over steps with repeated pairs"""
    rng = np.random.default_rng(3)
    states, actions = np.array([0, 1, 0, 0]), np.array([1, 2, 1, 0])
    steps = counts.steps(states, actions, np.array([0, 3, 4]), (2, 3))
    advantages, logits = rng.normal(size=4), rng.normal(size=(2, 3))
    logp = log_softmax(logits)
    direct = -sum(A * logp[s, a] for A, s, a in zip(advantages, states, actions)) / 2
    loss, _ = reinforce_loss(logits, counts.table(steps, advantages), episodes=2)
    assert loss == pytest.approx(direct, abs=1e-12)


# The trainer.


def batch_of(mdp, **options):
    """Episodes of at most three steps, and the record that played them."""
    record = random_record(mdp)
    batch = play(mdp, record, rewards=environment_rewards, horizon=3, **options).rollout
    assert batch.truncated.any() and batch.terminated.any()
    return batch, record


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
@pytest.mark.parametrize("baseline", [value_baseline, leave_one_out, batch_mean,
                                      constant_baseline(0.7)])
def test_weights_are_credits_minus_baselines_times_the_scale(form, baseline):
    """(reinforce.1) and (reinforce.2), by loops; some episodes are cut, and count as they are"""
    mdp = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9)
    batch, record = batch_of(mdp, episodes=50)
    rewards, lengths = 2 * batch.rewards, batch.lengths
    found = weigh(rewards, batch, record, gamma=0.9, credit=form[0], keep_discount=form[1],
                  baseline=baseline)
    assert found.shape == rewards.shape and set(lengths) == {1, 2, 3}
    paid, states, found = (apart(x, batch.starts) for x in (rewards, batch.states, found))
    R = [[sum(0.9**(k - t) * paid[i][k] for k in range(t, lengths[i])) for t in range(3)]
         for i in range(50)]
    C = [[R[i][0] for t in range(3)] for i in range(50)] if form == WHOLE else R
    for i, t in np.ndindex(50, 3):
        if t < lengths[i]:
            b = {value_baseline: record.values[states[i][t]],
                 batch_mean: np.mean([c[t] for c in C]),
                 leave_one_out: np.mean([C[j][t] for j in range(50) if j != i])}.get(baseline, 0.7)
            expected = (0.9**t if form == KEPT else 1) * (C[i][t] - b)
            assert found[i][t] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
@pytest.mark.parametrize("baseline", [value_baseline, leave_one_out])
def test_an_iteration_steps_along_the_loss_of_its_weights(form, baseline):
    """What the plain form has not: other credits and baselines, a bonus, and what was foreseen."""
    mdp = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9)
    batch, first = batch_of(mdp, episodes=50)
    own = {"credit": form[0], "keep_discount": form[1], "baseline": baseline}
    second = next(reinforce(mdp, first, episodes=50.0, horizon=3, learning_rate=0.5, ent_coef=0.3,
                            optimiser=gradient_descent(), **own))
    steps, weights = batch.steps(mdp.shape), weigh(batch.rewards, batch, first, gamma=0.9, **own)
    table = counts.table(steps, weights)
    grad = (reinforce_loss(first.logits, table, episodes=50)[1]
            + 0.3 * entropy_loss(first.logits, counts.table(steps).sum(axis=1) / 50)[1])
    np.testing.assert_allclose(second.logits, first.logits - 0.5 * grad, atol=1e-12)
    R = reward_to_go(batch.rewards, batch.starts, gamma=0.9)
    V = first.values[steps.index // 3]
    assert second.metrics["value/explained_variance"] == pytest.approx(
        1 - np.var(R - V) / np.var(R), abs=1e-12)
