"""REINFORCE: the loss against loops, the estimate against the exact gradient, the learner against
J*."""

import numpy as np
import pytest
from worlds import random_mdp

from gridworld.maps import cliff_walk, frozen_lake
from minirl import counts, mdp as world
from minirl.evaluation import action_values, evaluate, occupancy
from minirl.optim import gradient_descent, linear
from minirl.planning import policy_gradient, policy_iteration
from minirl.reinforce import environment_rewards, play, reinforce, reinforce_loss, start
from minirl.sampling import generator
from minirl.softmax import entropy_loss, log_softmax


def small_world(gamma=0.9, horizon=2):
    """Every episode ends within two steps, so all of them can be listed."""
    return world.unroll(random_mdp(np.random.default_rng(0), 2, 2, 2, gamma), horizon)


def all_episodes(mdp, policy):
    """(probability, list of (s, a, r)) of every episode of a world that always ends."""
    def extend(s, chance, done):
        for a, k in np.ndindex(mdp.next_state.shape[1:]):
            p = chance * policy[s, a] * mdp.prob[s, a, k]
            steps = done + [(s, a, mdp.reward[s, a, k])]
            if mdp.terminated[s, a, k]:
                yield p, steps
            else:
                yield from extend(mdp.next_state[s, a, k], p, steps)
    for s in np.flatnonzero(mdp.start):
        yield from extend(s, mdp.start[s], [])


@pytest.mark.parametrize("baseline", [0.0, 3.0])
def test_the_expected_gradient_is_exact_for_any_baseline_when_gamma_t_is_kept(baseline):
    """(reinforce.1), (reinforce.2): enumeration of every episode against (planning.5)"""
    mdp = small_world()
    logits = np.random.default_rng(1).normal(size=mdp.shape)
    b = baseline * np.random.default_rng(2).normal(size=mdp.shape[0])
    total, mean = 0.0, np.zeros(mdp.shape)
    for chance, steps in all_episodes(mdp, np.exp(log_softmax(logits))):
        weights = np.zeros(mdp.shape)
        for t, (s, a, _) in enumerate(steps):
            G = sum(0.9**(k - t) * r for k, (_, _, r) in enumerate(steps) if k >= t)
            weights[s, a] += 0.9**t * (G - b[s])
        mean -= chance * reinforce_loss(logits, weights, episodes=1)[1]
        total += chance
    assert total == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(mean, policy_gradient(mdp, logits)[1], atol=1e-12)


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
    """(reinforce.5), as a loop over steps with repeated pairs"""
    rng = np.random.default_rng(3)
    states, actions = np.array([0, 1, 0, 0]), np.array([1, 2, 1, 0])
    steps = counts.steps(states, actions, np.array([0, 3, 4]), (2, 3))
    advantages, logits = rng.normal(size=4), rng.normal(size=(2, 3))
    logp = log_softmax(logits)
    direct = -sum(A * logp[s, a] for A, s, a in zip(advantages, states, actions)) / 2
    loss, _ = reinforce_loss(logits, counts.table(steps, advantages), episodes=2)
    assert loss == pytest.approx(direct, abs=1e-12)


def test_an_iteration_steps_along_the_loss_of_its_batch_with_the_earlier_baseline():
    mdp = small_world()
    first = next(reinforce(mdp, start(np.zeros(mdp.shape), rng=4), episodes=50, horizon=9))
    second = next(reinforce(mdp, first, episodes=50, horizon=9, learning_rate=0.5, ent_coef=0.3,
                            value_rate=1.0, optimiser=gradient_descent()))

    batch, earned, _ = play(mdp, first, generator(first.rng), rewards=environment_rewards,
                            episodes=50, horizon=9)
    weights, visits = np.zeros(mdp.shape), np.zeros(mdp.shape[0])
    targets = {s: [] for s in range(mdp.shape[0])}
    for i in range(50):
        G = 0.0
        for t in reversed(range(batch.alive[:, i].sum())):
            s, a = batch.states[t, i], batch.actions[t, i]
            G = earned[t, i] + 0.9 * G
            weights[s, a] += G - first.values[s]
            visits[s] += 1
            targets[s].append(G)
    _, grad = reinforce_loss(first.logits, weights, episodes=50)
    direction = grad + 0.3 * entropy_loss(first.logits, visits / 50)[1]
    np.testing.assert_allclose(second.logits, first.logits - 0.5 * direction, atol=1e-12)
    for s, seen in targets.items():
        value = np.mean(seen) if seen else first.values[s]
        assert second.values[s] == pytest.approx(value, abs=1e-12)


def test_the_rewards_seam_replaces_what_the_world_pays():
    mdp = small_world()
    seen = []

    def rewards(batch, logp):
        seen.append(logp)
        return 7.0 * batch.alive

    record = next(reinforce(mdp, start(np.zeros(mdp.shape), rng=0), rewards=rewards, episodes=20))
    np.testing.assert_allclose(seen[0], np.log(0.5))
    length = record.metrics["rollout/ep_len_mean"]
    assert record.metrics["rollout/ep_rew_mean"] == pytest.approx(7 * length)
    assert record.steps == pytest.approx(20 * length)


def test_strings_cut_by_the_horizon_are_counted():
    lake = frozen_lake().mdp(gamma=0.99)
    batch, _, metrics = play(lake, start(np.zeros(lake.shape), rng=0), generator(0),
                             rewards=environment_rewards, episodes=64, horizon=3)
    assert 0 < metrics["rollout/truncated"] == batch.truncated.sum() < 64


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_near_the_optimum_of_small_random_worlds(seed):
    """A share of J* − J(uniform); the promises for the grids are checked on the main job's run."""
    mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, 0.95)
    best, (worst, _) = policy_iteration(mdp).objective, policy_gradient(mdp, np.zeros((5, 3)))
    trainer = reinforce(mdp, start(np.zeros((5, 3)), rng=seed), episodes=256,
                        learning_rate=linear(0.3, 0.0, 60))
    record = next(record for record in trainer if record.iteration == 60)
    assert (policy_gradient(mdp, record.logits)[0] - worst) / (best - worst) >= 0.9


def test_training_continues_from_any_record_bit_for_bit():
    mdp = frozen_lake().mdp(gamma=0.99)
    schedule = linear(0.1, 0.0, 5)
    whole = [record for record, _ in zip(
        reinforce(mdp, start(np.zeros(mdp.shape), rng=5), learning_rate=schedule), range(4))]
    for record in reinforce(mdp, whole[1], learning_rate=schedule):
        if record.iteration == 4:
            break
    assert (record.logits == whole[3].logits).all() and (record.values == whole[3].values).all()
    assert record.rng == whole[3].rng and record.steps == whole[3].steps


def test_a_generator_passed_to_start_does_not_advance():
    rng = np.random.default_rng(0)
    record = start(np.zeros((1, 2)), rng=rng)
    next(reinforce(world.coin_game(), record))
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("name, value", [("value_rate", 2.0), ("horizon", 0), ("episodes", 0)])
def test_bad_arguments_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), **{name: value}))


def test_bad_tables_and_rewards_are_refused_by_name():
    with pytest.raises(ValueError, match="weights must be finite"):
        reinforce_loss(np.zeros((1, 2)), np.array([[np.nan, 0.0]]), episodes=1)
    with pytest.raises(ValueError, match="weights must be finite and of shape"):
        reinforce_loss(np.zeros((1, 2)), np.zeros((2, 1)), episodes=1)
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        reinforce_loss(np.zeros((1, 2)), np.zeros((1, 2)), episodes=0)
    with pytest.raises(ValueError, match="logits must be a finite table"):
        start(np.array([[np.inf, 0.0]]), rng=0)
    for wrong in (lambda batch, logp: batch.rewards[0], lambda batch, logp: batch.rewards * np.nan):
        with pytest.raises(ValueError, match="rewards must return finite numbers of shape"):
            next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), rewards=wrong))
    with pytest.raises(ValueError, match="policy must have shape"):
        next(reinforce(world.coin_game(), start(np.zeros((2, 2)), rng=0)))
