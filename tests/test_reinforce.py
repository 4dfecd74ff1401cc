"""REINFORCE: the loss and the trainer against loops, the learner against J*.  What its estimate is
worth is in `test_baselines.py`."""


import numpy as np
import pytest
from worlds import DROPPED, KEPT, WHOLE, apart, random_mdp, random_record

from gridworld.maps import cliff_walk, frozen_lake
from minirl.kernel import counts
from minirl.play.baselines import batch_mean, constant_baseline, leave_one_out
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.play.optim import gradient_descent
from minirl.exact.planning import policy_gradient
from minirl.play.training import environment_rewards, play
from minirl.play.reinforce import reinforce, reinforce_loss, value_baseline, weigh
from minirl.play.returns import reward_to_go
from minirl.kernel.softmax import entropy_loss, log_softmax


# The pieces.


@pytest.mark.parametrize("grid, degrees, length", [(frozen_lake(), 1.5, 1.09),
                                                   (cliff_walk(), 3.0, 58.9)])
def test_dropping_gamma_t_turns_the_gradient_by_the_angle_that_the_chapter_states(
        grid, degrees, length):
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
    G = [[sum(0.9**(k - t) * paid[i][k] for k in range(t, lengths[i])) for t in range(3)]
         for i in range(50)]
    C = [[G[i][0] for t in range(3)] for i in range(50)] if form == WHOLE else G
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
    G = reward_to_go(batch.rewards, batch.starts, gamma=0.9)
    V = first.values[steps.index // 3]
    assert second.metrics["value/explained_variance"] == pytest.approx(
        1 - np.var(G - V) / np.var(G), abs=1e-12)
