"""Prediction against plain loops, linear solves, and the examples of Sutton and Barto."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from gridworld.maps import random_walk
from minirl.exact.evaluation import evaluate
from minirl.kernel.mdp import coin_game, unroll
from minirl.kernel.playing import Rollout, rollout, start_states
from minirl.play.prediction import (batch_monte_carlo, batch_td, monte_carlo, predictors,
                                    td_prediction)
from minirl.play.returns import reward_to_go
from minirl.kernel.sampling import generators
from worlds import apart, random_mdp, random_policy, single_outcome

LEARNERS = pytest.mark.parametrize("learner", [td_prediction, monte_carlo], ids=["td", "mc"])
ENDLESS = single_outcome([[0]], [[1]], [[False]], [1], gamma=0.5)
ONLY = np.ones((1, 1))
WALK = random_walk().mdp(gamma=1.0)
LEFT_OR_RIGHT = np.tile([0.5, 0.0, 0.5, 0.0], (7, 1))


@pytest.fixture
def world():
    """A random world that ends one time in seven, and a policy for it."""
    rng = np.random.default_rng(1)
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    mdp = replace(mdp, terminated=rng.random((4, 3, 2)) < 0.15)
    return mdp, random_policy(rng, mdp)


def after(iterations, learner):
    return next(record for record in learner if record.iteration == iterations)


def an_episode(mdp, policy, horizon, rng):
    """[(s, r, s')] of an episode played alone, and whether it terminated."""
    play = rollout(mdp, policy, start_states(mdp, 1, (rng,)), horizon=horizon, rng=(rng,))
    states = [*play.states.tolist(), play.last_state.item()]
    return list(zip(states, play.rewards.tolist(), states[1:])), not play.truncated.item()


def only_run(record, i):
    """Run i of a record, as if it had been alone."""
    return record._replace(
        steps=record.steps[i:i + 1], values=record.values[i:i + 1],
        updates=record.updates[i:i + 1], rng=(record.rng[i],),
        metrics={name: value[i:i + 1] for name, value in record.metrics.items()})


def episodes_of(*walks):
    """A `Rollout` of one state each step and its reward, [(s, r), ...]; all terminate."""
    N, steps = len(walks), [(s, r, t == len(walk) - 1) for walk in walks
                            for t, (s, r) in enumerate(walk)]
    states, rewards, terminated = map(np.array, zip(*steps))
    return Rollout(states, np.zeros_like(states), rewards.astype(float), terminated,
                   np.cumsum([0, *map(len, walks)]),
                   last_state=np.zeros(N, int), truncated=np.zeros(N, bool))


# The worked example.


def test_two_tosses_of_a_coin_that_always_shows_head_by_hand():
    """(prediction.1) to (prediction.3), three episodes at α = ½: nothing is rounded."""
    two, heads = unroll(coin_game(), 2), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert evaluate(two, heads).tolist() == [2, 1]
    for learner, expected in ((monte_carlo, [[1, 1 / 2], [3 / 2, 3 / 4], [7 / 4, 7 / 8]]),
                              (td_prediction, [[1 / 2, 1 / 2], [1, 3 / 4], [11 / 8, 7 / 8]])):
        records = learner(two, heads, predictors(two, rng=0), learning_rate=0.5)
        assert [record.values[0].tolist() for record in itertools.islice(records, 3)] == expected


@pytest.mark.parametrize("rate, decay", [(1.0, 1.0), (0.25, 0.0)])
def test_a_falling_step_size_makes_plain_means_and_a_constant_one_forgets(rate, decay):
    """(prediction.2): at the decay 1 all returns count alike, and the start not at all; at 0 each
    one counts 1 − α times as much with every later update."""
    coin, fair = coin_game(), np.array([[0.5, 0.5]])
    walk, _ = an_episode(coin, fair, 10**9, generators([10])[0])
    returns = reward_to_go(np.array([r for _, r, _ in walk]), np.array([0, len(walk)]), gamma=1.0)
    assert returns.tolist() == [2, 1, 0]
    record = next(monte_carlo(coin, fair, predictors(coin, rng=[10], initial_value=1000.0),
                              learning_rate=rate, decay=decay))
    expected = returns.mean() if decay else (0.75**3 * 1000 + 0.25 * 0.75**2 * 2 + 0.25 * 0.75 * 1)
    assert record.values.item() == pytest.approx(expected, rel=1e-12)


# Equation against loop.


@LEARNERS
def test_a_learner_equals_a_loop_over_runs_and_steps(world, learner):
    """(prediction.1), with (prediction.3) while the episode is played, and with (prediction.2)
    after its end; α falls with the updates of a state; pitfalls 20 and 36: a truncated episode
    counts V of its last state, as Monte Carlo found it when the episode was over, and one that
    terminates, were it at the horizon, does not."""
    mdp, policy = world
    record = predictors(mdp, rng=[3, 4, 5], initial_value=2.0)
    trainer = learner(mdp, policy, record, learning_rate=0.8, decay=0.6, horizon=4)
    rngs, V, N = generators([3, 4, 5]), np.full((3, 4), 2.0), np.zeros((3, 4), int)
    steps, cut, goals = np.zeros(3, int), 0, 0
    for record in itertools.islice(trainer, 12):
        walks = [an_episode(mdp, policy, 4, rng) for rng in rngs]
        for i, (walk, ended) in enumerate(walks):
            R, targets = 0.0 if ended else V[i, walk[-1][-1]], []
            for _, r, _ in reversed(walk):
                R = r + 0.9 * R
                targets.insert(0, R)
            for t, (s, r, s2) in enumerate(walk):
                if learner is td_prediction:
                    ends = ended and t == len(walk) - 1
                    targets[t] = r if ends else r + 0.9 * V[i, s2]
                N[i, s] += 1
                V[i, s] += 0.8 / N[i, s]**0.6 * (targets[t] - V[i, s])
            steps[i] += len(walk)
            cut += not ended
            goals += ended and len(walk) == 4
        np.testing.assert_allclose(record.values, V, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(record.updates, N)
        np.testing.assert_array_equal(record.steps, steps)
        np.testing.assert_allclose(record.metrics["rollout/ep_rew"],
                                   [sum(step[1] for step in walk) for walk, _ in walks], atol=1e-12)
        assert record.metrics["rollout/ep_len"].tolist() == [len(walk) for walk, _ in walks]
        assert record.metrics["rollout/truncated"].tolist() == [not ended for _, ended in walks]
    assert record.iteration == 12 and 5 < cut < 36 and goals > 2


@LEARNERS
def test_a_run_is_the_same_alone_and_among_others_bit_for_bit(learner):
    """In a world of ten states, so that sums over states and over steps are long; and episodes end
    at very different times, so that a Generator must not go on when its own is over."""
    mdp = random_mdp(np.random.default_rng(2), 10, 3, 2, 0.9)
    mdp = replace(mdp, terminated=np.random.default_rng(2).random((10, 3, 2)) < 0.08)
    policy, seeds = random_policy(np.random.default_rng(3), mdp), [3, 1, 4, 15, 9]
    options = {"decay": 0.6, "horizon": 50, "truth": evaluate(mdp, policy)}
    for n in 1, 2, 3:
        record = after(n, learner(mdp, policy, predictors(mdp, rng=seeds, initial_value=1.5),
                                  **options))
        for i, seed in enumerate(seeds):
            alone = after(n, learner(mdp, policy, predictors(mdp, rng=seed, initial_value=1.5),
                                     **options))
            np.testing.assert_equal(alone, only_run(record, i))
    lengths = record.metrics["rollout/ep_len"]
    assert len(set(lengths)) == 5 and lengths.min() < 16 < 32 < lengths.max()


def test_the_start_copies_the_states_of_its_generators(world):
    rng = np.random.default_rng(1)
    record = predictors(world[0], rng=rng)
    rng.random(5)
    np.testing.assert_equal(record, predictors(world[0], rng=[1]))


# Ends, metrics, convergence.


@LEARNERS
def test_errors_are_taken_over_the_states_that_an_episode_can_be_in(learner):
    """This policy never takes the action that leads to state 2, of which the truth says nothing."""
    mdp = single_outcome([[1, 2], [0, 2], [0, 0]], [[0, 0], [4, 0], [0, 0]],
                         [[False, False], [True, False], [False, False]], [1, 0, 0])
    record = after(1, learner(mdp, np.eye(2)[[0, 0, 0]], predictors(mdp, rng=[0, 1]),
                              learning_rate=0.5,
                              truth=np.array([7.0, 1.0, np.nan])))
    errors = [7 - (2 if learner is monte_carlo else 0), 2 - 1]
    assert record.metrics["error/max"].tolist() == [max(errors)] * 2
    np.testing.assert_allclose(record.metrics["error/rms"],
                               math.sqrt(sum(error**2 for error in errors) / 2), rtol=1e-15)


@LEARNERS
def test_each_seed_finds_what_the_policy_is_worth(world, learner):
    """(prediction.1) with a falling α, and the mean of the runs is closer."""
    mdp, policy = world
    truth = evaluate(mdp, policy)
    record = after(150, learner(mdp, policy, predictors(mdp, rng=range(10)), learning_rate=1.0,
                                decay=0.8, truth=truth, horizon=10))
    assert record.metrics["error/max"].max() < 0.8 < np.abs(truth).max() / 2
    assert np.abs(record.values.mean(axis=0) - truth).max() < 0.2


# A fixed batch.


def a_batch(world, *, horizon, episodes=12):
    mdp, policy = world
    rng = np.random.default_rng(5)
    return rollout(mdp, policy, start_states(mdp, episodes, rng), horizon=horizon, rng=rng)


@pytest.mark.parametrize("gamma, horizon", [(0.0, 10**9), (0.9, 10**9), (1.0, 10**9), (0.9, 4)])
@pytest.mark.parametrize("batch", [batch_td, batch_monte_carlo])
def test_the_answer_to_a_batch_is_where_sweeps_over_it_settle(world, batch, gamma, horizon):
    """(prediction.4): (prediction.1) again and again, the sum of a sweep applied at its end; for
    Monte Carlo with (prediction.2), for TD with (prediction.3).  Pitfall 20: a cut episode goes on
    with V."""
    play = a_batch(world, horizon=horizon, episodes=4)
    assert play.truncated.any() == (horizon == 4)
    values, visits = np.zeros(4), np.bincount(play.states, minlength=4)
    steps = list(zip(*(column.tolist() for column in (play.states, play.rewards, play.next_states,
                                                      play.terminated))))
    for _ in range(3000):
        change = np.zeros(4)
        for i, episode in enumerate(apart(steps, play.starts)):
            after_it = play.truncated[i] * values[play.last_state[i]]
            for s, r, s2, ended in reversed(episode):
                after_it = r + gamma * after_it
                target = (after_it if batch is batch_monte_carlo else
                          r + gamma * (not ended) * values[s2])
                change[s] += target - values[s]
        values += 0.5 * change / visits
        if np.abs(change).max() < 1e-12:
            break
    np.testing.assert_allclose(batch(play, states=4, gamma=gamma), values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("batch", [batch_td, batch_monte_carlo])
def test_a_batch_may_come_in_any_order_and_its_states_as_a_whole_float(world, batch):
    """Whoever lies beside an episode has no part in what it teaches."""
    for horizon in 9, 10**9:
        play = a_batch(world, horizon=horizon)
        assert len(set(play.lengths)) >= 3 and play.truncated.any() == (horizon == 9)
        found = batch(play, states=4, gamma=0.9)
        np.testing.assert_array_equal(batch(play, states=4.0, gamma=0.9), found)
        for rows in np.arange(12)[::-1], np.random.default_rng(6).permutation(12):
            np.testing.assert_allclose(batch(play.select(rows), states=4, gamma=0.9), found,
                                       rtol=0, atol=1e-12)


def test_the_first_mean_over_every_visit_is_half_the_number_of_heads():
    """So it is ½ on average with a fair coin, whose game is worth 1: the bias of Monte Carlo."""
    coin, fair = coin_game(), np.array([[0.5, 0.5]])
    record = next(monte_carlo(coin, fair, predictors(coin, rng=range(2000)), learning_rate=1.0,
                              decay=1.0))
    heads = record.metrics["rollout/ep_rew"]
    np.testing.assert_allclose(record.values[:, 0], heads / 2, atol=1e-12)
    assert record.values.mean() == pytest.approx(0.5, abs=0.05) and heads.max() > 3


def test_monte_carlo_settles_on_the_mean_return_of_every_visit():
    """(prediction.2): state 0 is visited twice in the first episode, state 2 never."""
    play = episodes_of([(0, 1.0), (1, 2.0), (0, 4.0)], [(1, 8.0)])
    np.testing.assert_allclose(batch_monte_carlo(play, states=3, gamma=0.5),
                               [(1 + 1 + 1 + 4) / 2, (2 + 2 + 8) / 2, np.nan], rtol=1e-15)
    assert np.isnan(batch_td(play, states=3, gamma=0.5)).tolist() == [False, False, True]


def test_a_truncated_last_state_that_is_never_left_counts_as_zero():
    """Pitfall 20: state 0 leads on to 0, which has a value, or to 1, of which nothing is known."""
    play = rollout(ENDLESS, ONLY, np.zeros(2, int), horizon=1, rng=0)
    assert batch_td(play, states=2, gamma=0.5).tolist()[0] == 2
    assert batch_monte_carlo(play, states=2, gamma=0.5).tolist()[0] == 2
    elsewhere = play._replace(last_state=np.array([0, 1]))
    # V = 1 + ½ · (½ V + ½ · 0)
    for batch in batch_td, batch_monte_carlo:
        np.testing.assert_allclose(batch(elsewhere, states=2, gamma=0.5), [4 / 3, np.nan])


def test_a_batch_without_an_end_is_refused_at_gamma_one():
    """However many steps it has: six sixths make one."""
    for steps in range(1, 30):
        play = rollout(ENDLESS, ONLY, np.zeros(1, int), horizon=steps, rng=0)
        for batch in batch_td, batch_monte_carlo:
            with pytest.raises(ValueError, match=r"at gamma = 1.0 the batch must show an end"):
                batch(play, states=1, gamma=1.0)


# Sutton and Barto, 2nd edition.


def test_the_random_walk_is_worth_one_to_five_sixths():
    """Example 6.2."""
    np.testing.assert_allclose(evaluate(WALK, LEFT_OR_RIGHT, states=np.ones(7, bool))[1:6],
                               np.arange(1, 6) / 6, rtol=1e-12)


def test_after_one_episode_only_the_last_state_of_the_random_walk_has_changed():
    """Example 6.2, left figure: by α/2 = 0.05, down at A or up at E, for each of 100 seeds."""
    first = predictors(WALK, rng=range(100), initial_value=0.5)
    record = next(td_prediction(WALK, LEFT_OR_RIGHT, first, learning_rate=0.1))
    right = record.metrics["rollout/ep_rew"] == 1
    assert 30 < right.sum() < 70
    expected = np.full((100, 7), 0.5)
    expected[right, 5], expected[~right, 1] = 0.55, 0.45
    np.testing.assert_allclose(record.values, expected, rtol=0, atol=1e-15)


def test_on_the_random_walk_td_has_the_error_and_monte_carlo_the_noise():
    """After ten episodes at α = 0.1, in 1,000 runs, of the cell right of the middle."""
    first = predictors(WALK, rng=range(1000), initial_value=0.5)
    off, spread, total = {}, {}, {}
    for learner in td_prediction, monte_carlo:
        values = after(10, learner(WALK, LEFT_OR_RIGHT, first, learning_rate=0.1)).values
        off[learner] = round(abs(values[:, 4].mean() - 4 / 6), 2)
        spread[learner] = round(values[:, 4].std(), 2)
        total[learner] = ((values - np.arange(7) / 6)[:, 1:6]**2).mean()
    assert (off[td_prediction], spread[td_prediction]) == (0.12, 0.03)
    assert (off[monte_carlo], spread[monte_carlo]) == (0.03, 0.21)
    assert total[td_prediction] < 0.5 * total[monte_carlo]
    assert np.round(np.sqrt([total[td_prediction], total[monte_carlo]]), 2).tolist() == [0.13, 0.20]


@pytest.mark.slow
def test_on_the_random_walk_td_is_better_than_monte_carlo():
    """Example 6.2, right figure, with 25 runs: the error starts at 0.236, and after 40 episodes
    every curve of TD (at most 0.072 over 300 runs) is below every one of Monte Carlo (at least
    0.110)."""
    truth = np.arange(7) / 6
    first = predictors(WALK, rng=range(25), initial_value=0.5)
    assert math.isclose(np.sqrt(((first.values - truth)[0, 1:6]**2).mean()), 0.236, abs_tol=5e-4)
    curves = {}
    for learner, rates in ((td_prediction, [0.05, 0.1, 0.15]),
                           (monte_carlo, [0.01, 0.02, 0.03, 0.04])):
        for rate in rates:
            record = after(40, learner(WALK, LEFT_OR_RIGHT, first, learning_rate=rate, truth=truth,
                                       horizon=10**9))
            curves[learner, rate] = record.metrics["error/rms"].mean()
    td, mc = ([error for (learner, _), error in curves.items() if learner is kind]
              for kind in (td_prediction, monte_carlo))
    assert max(td) < 0.085 < 0.095 < min(mc)


@pytest.mark.parametrize("episodes", [10, 40])
def test_on_the_random_walk_td_learns_more_from_a_batch(episodes):
    """Example 6.3: the error of the batch answers, averaged over the states and 100 runs; a state
    that the batch does not visit keeps 1/2."""
    errors = {batch_td: [], batch_monte_carlo: []}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        play = rollout(WALK, LEFT_OR_RIGHT, np.full(episodes, 3), horizon=10**9, rng=rng)
        for batch, found in errors.items():
            values = np.nan_to_num(batch(play, states=7, gamma=1.0)[1:6], nan=0.5)
            found.append(np.sqrt(((values - np.arange(1, 6) / 6)**2).mean()))
    assert np.mean(errors[batch_td]) < 0.75 * np.mean(errors[batch_monte_carlo])


def test_you_are_the_predictor():
    """Example 6.4: from the hall nothing was ever earned, but it leads to the room, worth 3/4."""
    hall, room = 0, 1
    play = episodes_of([(hall, 0), (room, 0)], *[[(room, 1)]] * 6, [(room, 0)])
    np.testing.assert_allclose(batch_monte_carlo(play, states=2, gamma=1.0), [0, 0.75], atol=1e-15)
    np.testing.assert_allclose(batch_td(play, states=2, gamma=1.0), [0.75, 0.75], rtol=1e-15)
