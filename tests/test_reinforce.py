"""REINFORCE: the loss and the trainer against loops, the learner against J*.  What its estimate is
worth is in `test_baselines.py`."""

from dataclasses import replace
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from worlds import DROPPED, KEPT, WHOLE, random_mdp, random_record, single_outcome, small_world

from gridworld.maps import cliff_walk, frozen_lake
from minirl.kernel import counts, mdp as world, playing
from minirl.play.baselines import (batch_mean, constant_baseline, leave_one_out, no_baseline,
                                   optimal_constant)
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.play.optim import Optimiser, adam, gradient_descent, linear
from minirl.exact.planning import policy_gradient, policy_iteration
from minirl.play.training import environment_rewards, play, start
from minirl.play.reinforce import reinforce, reinforce_loss, value_baseline, weigh
from minirl.play.returns import reward_to_go, whole_return
from minirl.kernel.sampling import generator
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


def doubled(batch, logp):
    return 2 * batch.rewards


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
@pytest.mark.parametrize("baseline", [value_baseline, leave_one_out, batch_mean,
                                      constant_baseline(0.7)])
@pytest.mark.parametrize("limit", [np.inf, 0.05])
def test_an_iteration_steps_along_the_loss_of_its_batch_with_the_earlier_baseline(form, baseline,
                                                                                  limit):
    """(reinforce.3), by loops; some episodes are cut, and count as they are"""
    mdp, B = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9), 50
    first = next(reinforce(mdp, start(np.zeros(mdp.shape), rng=4), episodes=B, horizon=3))
    second = next(reinforce(mdp, first, credit=form[0], keep_discount=form[1], baseline=baseline,
                            episodes=B, horizon=3, iterations=4,
                            learning_rate=lambda p: 0.5 * (p == 0.75),
                            ent_coef=lambda p: 0.4 * p, value_rate=0.75, max_grad_norm=limit,
                            optimiser=gradient_descent(), rewards=doubled))

    played = play(mdp, first, rewards=doubled, episodes=B, horizon=3)
    batch, earned = played.rollout, played.rewards
    assert batch.truncated.any() and second.rng == played.rng.bit_generator.state
    lengths = batch.alive.sum(axis=0)
    G = [[sum(0.9**(k - t) * earned[k, i] for k in range(t, lengths[i])) for t in range(3)]
         for i in range(B)]
    C = [[G[i][0] for t in range(3)] for i in range(B)] if form == WHOLE else G
    weights, visits = np.zeros(mdp.shape), np.zeros(4)
    targets = {s: [] for s in range(4)}
    for i, t in np.ndindex(B, 3):
        if t < lengths[i]:
            s = batch.states[t, i]
            b = {value_baseline: first.values[s], batch_mean: np.mean([c[t] for c in C]),
                 leave_one_out: np.mean([C[j][t] for j in range(B) if j != i])}.get(baseline, 0.7)
            weights[s, batch.actions[t, i]] += (0.9**t if form == KEPT else 1) * (C[i][t] - b)
            visits[s] += 1
            targets[s].append(G[i][t])
    _, grad = reinforce_loss(first.logits, weights, episodes=B)
    direction = grad + 0.3 * entropy_loss(first.logits, visits / B)[1]
    if limit < np.inf:
        assert np.linalg.norm(direction) > limit, "the limit should matter"
        direction = direction * limit / np.linalg.norm(direction)
    np.testing.assert_allclose(second.logits, first.logits - 0.5 * direction, atol=1e-12)
    assert second.iteration == 2 and second.steps == first.steps + lengths.sum()
    for s, seen in targets.items():
        value = first.values[s] + 0.75 * (np.mean(seen) - first.values[s])
        assert second.values[s] == pytest.approx(value, abs=1e-12)

    seen = [(g, first.values[s]) for s in targets for g in targets[s]]
    foreseen = 1 - np.var([g - v for g, v in seen]) / np.var([g for g, _ in seen])
    logp = log_softmax(second.logits)
    nats = sum(n * -p @ np.log(p) for n, p in zip(visits, np.exp(logp))) / lengths.sum()
    expected = played.metrics | {"policy/entropy": nats, "value/explained_variance": foreseen}
    assert second.metrics == pytest.approx(expected, abs=1e-10)


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
    batch = play(lake, start(np.zeros(lake.shape), rng=0), rewards=environment_rewards,
                 episodes=64, horizon=3)
    assert 0 < batch.metrics["rollout/truncated"] == batch.rollout.truncated.sum() < 64


def groups_world():
    """A random world whose episodes may begin in each of its three states."""
    mdp = random_mdp(np.random.default_rng(7), 3, 2, 2, 0.9)
    return replace(mdp, start=np.array([0.5, 0.2, 0.3]))


def played(mdp, seed, **options):
    record = random_record(mdp)._replace(rng=generator(seed).bit_generator.state)
    return play(mdp, record, rewards=environment_rewards, horizon=4, **options).rollout


def test_the_episodes_of_a_group_begin_in_one_state_and_go_their_own_ways():
    mdp = groups_world()
    batch = played(mdp, 1, episodes=60, num_generations=4)
    groups = batch.states[0].reshape(-1, 4)
    assert (groups == groups[:, :1]).all() and set(groups[:, 0]) == {0, 1, 2}
    np.testing.assert_array_equal(groups[:, 0], playing.start_states(mdp, 15, generator(1)))
    assert any(len(set(actions)) > 1 for actions in batch.actions[0].reshape(-1, 4))


def test_a_group_of_one_is_no_group():
    """Every other trainer draws what it drew before there were groups."""
    mdp, rng = groups_world(), generator(2)
    starts = playing.start_states(mdp, 30, rng)
    expected = playing.rollout(mdp, np.exp(log_softmax(random_record(mdp).logits)), starts,
                               horizon=4, rng=rng)
    for options in {}, {"num_generations": 1}:
        np.testing.assert_equal(tuple(played(mdp, 2, episodes=30, **options)),
                                tuple(expected))


@pytest.mark.parametrize("options, message", [
    ({"episodes": 30, "num_generations": 4},
     "num_generations must divide the number of episodes, 30, got 4"),
    ({"episodes": 4, "num_generations": 8},
     "num_generations must divide the number of episodes, 4, got 8"),
    ({"episodes": 30, "num_generations": 0}, "num_generations must be at least 1, got 0"),
    ({"episodes": 30, "num_generations": 2.5}, "num_generations must be a whole number, got 2.5"),
    ({"episodes": 0, "num_generations": 4}, "episodes must be at least 1, got 0"),
])
def test_groups_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        played(groups_world(), 0, **options)


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_near_the_optimum_of_small_random_worlds(seed):
    """A share of J* − J(uniform); the promises for the grids are checked on the main job's run."""
    mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, 0.95)
    best, (worst, _) = policy_iteration(mdp).objective, policy_gradient(mdp, np.zeros((5, 3)))
    trainer = reinforce(mdp, start(np.zeros((5, 3)), rng=seed), episodes=256,
                        iterations=60, learning_rate=linear(0.3, 0.0))
    record = next(record for record in trainer if record.iteration == 60)
    assert (policy_gradient(mdp, record.logits)[0] - worst) / (best - worst) >= 0.9


def test_training_continues_from_any_record_bit_for_bit():
    mdp = frozen_lake().mdp(gamma=0.99)
    options = {"iterations": 5, "learning_rate": linear(0.1, 0.0),
               "ent_coef": linear(0.1, 0.0, 0.4), "episodes": 64, "max_grad_norm": 0.1}
    first = start(np.zeros(mdp.shape), rng=5)
    whole = [record for record, _ in zip(reinforce(mdp, first, **options), range(3))]
    for i, record in enumerate([first, *whole[:-1]]):
        for expected, found in zip(whole[i:], reinforce(mdp, record, **options)):
            np.testing.assert_equal(tuple(found), tuple(expected))


def test_the_optimiser_remembers():
    counting = Optimiser(init=lambda x: [0], step=lambda x, grad, state, rate: (x, [state[0] + 1]))
    trainer = reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), optimiser=counting)
    assert [next(trainer).optimiser for _ in range(3)] == [[1], [2], [3]]


def test_the_defaults_are_those_of_the_docstring():
    """Several episodes are longer than 200 steps."""
    mdp = single_outcome([[0, 0]], [[1, 3]], [[False, False]], [1.0], 0.9)
    mdp = replace(mdp, next_state=np.zeros((1, 2, 2), int), prob=np.tile([0.99, 0.01], (1, 2, 1)),
                  reward=np.tile(mdp.reward, 2), terminated=np.tile([False, True], (1, 2, 1)))
    record = random_record(mdp)
    found, spelt = next(reinforce(mdp, record)), next(reinforce(
        mdp, record, rewards=environment_rewards, credit=reward_to_go, baseline=value_baseline,
        keep_discount=False, episodes=512, horizon=200, learning_rate=0.05, ent_coef=0.0,
        max_grad_norm=np.inf, value_rate=0.5, optimiser=adam()))
    np.testing.assert_equal(tuple(found), tuple(spelt))
    assert found.metrics["rollout/truncated"] > 0


THREE_ITERATIONS = """
import hashlib, itertools
import numpy as np
from minirl.kernel.mdp import coin_game
from minirl.play.reinforce import reinforce
from minirl.play.training import start
training = reinforce(coin_game(gamma=0.9), start(np.zeros((1, 2)), rng=5), episodes=64)
record = next(itertools.islice(training, 2, None))
digest = hashlib.sha256(record.logits.tobytes()).hexdigest()
"""


def test_another_process_comes_to_the_same_bits():
    here = {}
    exec(THREE_ITERATIONS, here)
    there = subprocess.run([sys.executable, "-c", f"{THREE_ITERATIONS}print(digest)"],
                           cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert here["record"].iteration == 3
    assert there.stdout.strip() == here["digest"], there.stderr


def test_a_generator_passed_to_start_does_not_advance():
    rng = np.random.default_rng(0)
    record = start(np.zeros((1, 2)), rng=rng)
    next(reinforce(world.coin_game(), record))
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("name, value, accepted", [
    ("value_rate", 2.0, r"value_rate must lie in \[0, 1\], got 2.0"),
    ("value_rate", -0.1, r"value_rate must lie in \[0, 1\], got -0.1"),
    ("horizon", 0, "horizon must be at least 1, got 0"),
    ("episodes", 0, "episodes must be at least 1, got 0"),
    ("horizon", 2.5, "horizon must be a whole number, got 2.5"),
    ("episodes", 2.5, "episodes must be a whole number, got 2.5"),
    ("learning_rate", -0.1, "learning_rate must be finite and not negative, got -0.1"),
    ("learning_rate", np.nan, "learning_rate must be finite and not negative, got nan"),
    ("ent_coef", np.inf, "ent_coef must be finite and not negative, got inf"),
    ("max_grad_norm", 0.0, "max_grad_norm must be positive, got 0"),
    ("max_grad_norm", np.nan, "max_grad_norm must be positive, got nan")])
def test_bad_arguments_are_refused_by_name(name, value, accepted):
    with pytest.raises(ValueError, match=accepted):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), **{name: value}))


def test_rewards_of_another_shape_are_not_stretched():
    record = start(np.zeros((1, 2)), rng=0)
    batch = play(world.coin_game(), record, rewards=environment_rewards, episodes=3, horizon=4)
    for wrong in batch.rewards[:, :1], batch.rewards[:1]:
        with pytest.raises(ValueError, match=r"rewards must have shape \(\d, 3\), got"):
            weigh(wrong, batch.rollout, record, gamma=1.0, baseline=no_baseline)


def test_the_discount_of_the_whole_return_is_not_counted_twice():
    with pytest.raises(ValueError, match="keep_discount must be False for the whole return"):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), credit=whole_return,
                       keep_discount=True))


@pytest.mark.parametrize("baseline", [leave_one_out, optimal_constant])
def test_one_episode_has_no_others(baseline):
    with pytest.raises(ValueError, match="episodes must be at least 2 to leave one out, got 1"):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), baseline=baseline,
                       episodes=1))


def test_a_price_of_kl_is_kept_and_must_be_positive():
    record = start(np.zeros((1, 2)), rng=0, kl_coef=0.3)
    assert record.kl_coef == next(reinforce(world.coin_game(), record)).kl_coef == 0.3
    assert start(np.zeros((1, 2)), rng=0).kl_coef == 1
    for wrong in 0.0, -1.0, np.inf, np.nan:
        with pytest.raises(ValueError, match=f"kl_coef must be positive and finite, got {wrong}"):
            start(np.zeros((1, 2)), rng=0, kl_coef=wrong)


def test_bad_tables_and_rewards_are_refused_by_name():
    with pytest.raises(ValueError, match="weights must be finite"):
        reinforce_loss(np.zeros((1, 2)), np.array([[np.nan, 0.0]]), episodes=1)
    with pytest.raises(ValueError, match="weights must have shape"):
        reinforce_loss(np.zeros((1, 2)), np.zeros((2, 1)), episodes=1)
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        reinforce_loss(np.zeros((1, 2)), np.zeros((1, 2)), episodes=0)
    with pytest.raises(ValueError, match="logits must be a finite table"):
        start(np.array([[np.inf, 0.0]]), rng=0)
    for wrong, message in (
            (lambda batch, logp: batch.rewards[0], "an array of shape"),
            (lambda batch, logp: batch.rewards * np.nan, "finite numbers"),
            (lambda batch, logp: batch.rewards + 1, "zero after an episode's end")):
        with pytest.raises(ValueError, match=f"rewards must return {message}"):
            next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), rewards=wrong))
    with pytest.raises(ValueError, match="policy must have shape"):
        next(reinforce(world.coin_game(), start(np.zeros((2, 2)), rng=0)))
