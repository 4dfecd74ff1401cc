"""Two ways to explore: what they take, with which chances, and that both halves agree."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gridworld.maps import frozen_lake
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective
from minirl.play.exploration import (Exploration, boltzmann, chosen, epsilon_greedy, highest,
                                     is_masked, who_explores)
from minirl.play.many_learners import one_of, plan, split
from minirl.play.optim import linear
from minirl.play.q_learning import (double_q_learning, expected_sarsa, learners, q_learning,
                                    sarsa)
from worlds import random_mdp, single_outcome

RULES = pytest.mark.parametrize("rule", [
    epsilon_greedy(0.0), epsilon_greedy(0.3), epsilon_greedy(1e-3), epsilon_greedy(1.0),
    boltzmann(0.1), boltzmann(1.0), boltzmann(100.0)],
    ids=["greedy", "0.3", "0.001", "uniform", "cold", "warm", "hot"])


@pytest.fixture
def values():
    """A few rows: ties for the best action in the first two, and what is not available in two."""
    rows = np.random.default_rng(0).normal(size=(8, 4))
    rows[0], rows[1, [1, 3]] = 0.0, 5.0
    rows[6, 0], rows[7] = -np.inf, [-np.inf, 2.0, -np.inf, 2.0]
    return rows


def taken(rule, values, numbers):
    """The actions of one step."""
    act = plan(rule, numbers[None], values.shape[1], 0)
    return act(0, values, np.arange(len(values)), None, True)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy_shares_among_the_best_actions_and_sometimes_takes_any(values, epsilon):
    """(exploration.1), by loops; what is not available is not counted either."""
    for row, chance in zip(values.tolist(), epsilon_greedy(epsilon).policy(values, 0)):
        for a in range(4):
            A, m = 4 - row.count(-np.inf), row.count(max(row))
            wanted = (row[a] > -np.inf) * epsilon / A + (1 - epsilon) * (row[a] == max(row)) / m
            assert math.isclose(chance[a], wanted, abs_tol=1e-15)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 30.0])
def test_boltzmann_weighs_by_the_exponential_of_the_value(values, temperature):
    """(exploration.2), and what it says of τ: worth τ less, taken e times as rarely."""
    chances = boltzmann(temperature).policy(values, 0)
    for row, chance in zip(values.tolist(), chances):
        weights = [math.exp(q / temperature) for q in row]
        np.testing.assert_allclose(chance, np.array(weights) / sum(weights), rtol=1e-12)
    chance, = boltzmann(temperature).policy(np.array([[7.0, 7.0 - temperature]]), 0)
    assert math.isclose(chance[0] / chance[1], math.e, rel_tol=1e-12)


def test_boltzmann_is_finite_for_values_of_any_size():
    chances = boltzmann(1e-3).policy(np.array([[1e6, 1e6, -1e6], [-1e6, -1e6, -1e6]]), 0)
    np.testing.assert_allclose(chances, [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-12)


@RULES
def test_of_evenly_spaced_numbers_each_action_takes_its_chance(values, rule):
    """All u = (i + ½)/N at once, in place of a sample: an action owns at most two intervals of
    them, so that its count is off by two at most."""
    N = 20_000
    numbers = (np.arange(N) + 0.5) / N
    for row, chances in zip(values, rule.policy(values, 0)):
        found = taken(rule, np.tile(row, (N, 1)), numbers)
        assert np.abs(np.bincount(found, minlength=4) - N * chances).max() <= 2


@RULES
@pytest.mark.parametrize("number", [0.0, 2.0**-53, 1 - 2.0**-53])
def test_the_smallest_and_the_largest_number_take_an_action_that_is_possible(values, rule, number):
    found = taken(rule, values, np.full(8, number))
    assert (rule.policy(values, 0)[np.arange(8), found] > 0).all()


@pytest.mark.parametrize("A", [3, 4, 7])
def test_epsilon_itself_is_greedy_and_the_number_below_it_takes_the_last_action(A):
    """u/ε · A may round up to A, which is no action."""
    values = np.eye(A)[[1]]
    for epsilon in np.linspace(0.01, 0.99, 99):
        rule = epsilon_greedy(epsilon)
        assert taken(rule, values, np.array([epsilon])).tolist() == [1]
        assert taken(rule, values, np.array([np.nextafter(epsilon, 0)])).tolist() == [A - 1]


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_one_learner_chooses_from_a_list_as_many_do_from_a_table(values, epsilon):
    rule = epsilon_greedy(epsilon)
    for row in values:
        numbers = np.append(np.random.default_rng(1).random(500), [0, 1 - 2.0**-53])
        explores, luck = who_explores(rule, numbers, 0)
        assert [chosen(row.tolist(), *which) for which in zip(explores, luck)] == taken(
            rule, np.tile(row, (502, 1)), numbers).tolist()


def test_what_is_left_of_a_number_is_luck():
    """Uniform again on either side of ε, and of a coin; never 1."""
    numbers = np.append((np.arange(1000) + 0.5) / 1000, 1 - 2.0**-53)
    for explores, luck, share in ((*who_explores(epsilon_greedy(0.3), numbers, 0), 0.3),
                                  (*split(numbers), 0.5)):
        assert luck.min() >= 0 and luck.max() < 1
        for side in explores, ~explores:
            np.testing.assert_allclose(np.sort(luck[side])[:299],
                                       (np.arange(299) + 0.5) / side[:1000].sum(), atol=1e-12)
    assert explores.sum() == 501 and who_explores(boltzmann(1.0), numbers, 0)[0].sum() == 0
    np.testing.assert_array_equal(who_explores(boltzmann(1.0), numbers, 0)[1], numbers)


def test_one_of_the_marked_is_found_by_counting():
    """At both edges of every share; also among more actions than a byte can count."""
    rng = np.random.default_rng(3)
    for A in 1, 2, 5, 200:
        marked = rng.random((A, 300)) < 0.3
        marked[rng.integers(A, size=300), np.arange(300)] = True
        for edge in 0.0, 0.5, 1 - 2.0**-53:
            count = marked.sum(axis=0)
            numbers = np.minimum((rng.integers(count) + edge) / count, 1 - 2.0**-53)
            expected = [np.flatnonzero(marks)[int(u * len(marks[marks]))]
                        for marks, u in zip(marked.T, numbers)]
            assert one_of(marked, numbers).tolist() == expected
    assert is_masked(np.array([[0.0, 1.0], [-np.inf, 2.0]])) and not is_masked(np.zeros((3, 2)))
    assert highest(np.array([[1.0, 2.0, 2.0], [-np.inf, -3.0, -4.0]])).T.tolist() == [
        [False, True, True], [False, True, False]]


def test_a_greedy_learner_tries_everything_if_its_table_is_optimistic():
    """And from a table of zeros it never finds out that another action pays more."""
    mdp = single_outcome([[0, 0, 0], [0, 0, 0]], [[1, 3, 2], [1, 1, 4]], [[True] * 3] * 2,
                         [0.5, 0.5])
    for first in 10.0, 0.0:
        record = next(q_learning(mdp, learners(mdp, rng=range(20), initial_value=first),
                                 learning_rate=0.5, decay=0.0, exploration=epsilon_greedy(0.0)))
        tried = (record.updates[0] > 0).sum(axis=-1)
        assert (tried == (3 if first else 1)).all()
        assert not first or (record.Q.argmax(axis=2) == [1, 2]).all()


def test_above_the_rewards_of_a_whole_life_every_step_lowers_what_is_tried():
    """Rewards below 1 at γ = 0.9, from 20: a step is worth at most 1 + 0.9 · 20 = 19."""
    life = random_mdp(np.random.default_rng(3), 5, 3, 2, 0.9)
    life = replace(life, reward=np.random.default_rng(4).random((5, 3, 2)))
    record = learners(life, rng=range(20), initial_value=20.0)
    for steps in 1, 5, 100:
        after = next(q_learning(life, record, learning_rate=0.5, decay=0.0,
                                exploration=epsilon_greedy(0.0), steps_per_iteration=steps))
        tried = after.updates[0] > 0
        assert (after.Q[~tried] == 20).all() and (after.Q[tried] <= (20 + 19) / 2).all()


def test_a_start_above_all_values_may_still_rise_at_a_good_step():
    """Two steps pay 0.5, worth 0.95 at γ = 0.9.  The first from 1.01 makes 0.5 + 0.9 · 1.01."""
    two = single_outcome([[1], [1]], [[0.5], [0.5]], [[False], [True]], [1, 0], gamma=0.9)
    record = next(q_learning(two, learners(two, rng=0, initial_value=1.01), learning_rate=1.0,
                             decay=0.0, steps_per_iteration=1))
    assert record.Q[0, 0, 0] == pytest.approx(0.5 + 0.9 * 1.01) and record.Q[0, 0, 0] > 1.01 > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("learner", [q_learning, sarsa, expected_sarsa, double_q_learning])
@pytest.mark.parametrize("epsilon", [0.1, 0.3, 0.5])
def test_from_zeros_everybody_finds_the_goal_of_the_lake_without_slip(learner, epsilon):
    """(exploration.1): with random ties 5,000 steps are enough for the slowest of 20."""
    assert who_finds_the_goal(learner, epsilon_greedy(epsilon), 5000).all()


@pytest.mark.slow
@pytest.mark.parametrize("rate, number", [(0.1, 0), (0.3, 4), (0.5, 16)])
def test_if_the_first_action_won_all_ties_few_would_find_the_goal(rate, number):
    """Of 20 runs of 20,000 steps, from zeros on the 4x4 lake without slip."""
    first = Exploration(lambda progress: rate,
                        lambda values, progress: np.eye(4)[values.argmax(axis=1)])
    assert who_finds_the_goal(q_learning, first, 20_000).sum() == number


def who_finds_the_goal(learner, rule, steps):
    """Which of 20 learners, on the 4x4 lake without slip."""
    lake = frozen_lake(slippery=False).mdp(gamma=0.95)
    record = learners(lake, rng=range(20), tables=2 if learner is double_q_learning else 1)
    trainer = learner(lake, record, learning_rate=0.5, decay=0.0, horizon=100, exploration=rule,
                      steps_per_iteration=steps)
    return next(trainer).Q.max(axis=(1, 2)) > 0


@pytest.mark.parametrize("rate, worth", [(0.0, 0.5420), (0.1, 0.3060), (0.5, 0.0565)])
def test_exploring_costs_the_best_policy_of_the_slippery_lake_most_of_its_value(rate, worth):
    """(exploration.1), and 44 in a hundred at a rate of 0.1."""
    lake = frozen_lake().mdp(gamma=0.99)
    best = policy_iteration(lake).policy
    exploring = epsilon_greedy(rate).policy(best, 1.0)  # its own table says what is greedy
    assert round(objective(lake, exploring), 4) == worth
    assert rate != 0.1 or round(1 - worth / objective(lake, best), 2) == 0.44


@pytest.mark.parametrize("rule", [epsilon_greedy(0.3), boltzmann(0.7)],
                         ids=["epsilon_greedy", "boltzmann"])
def test_before_a_reward_is_found_behind_ten_moves_one_episode_in_2_to_the_10_finds_it(rule):
    """A wrong move ends the episode; while all values are equal both rules are uniform."""
    right = [1, 0, 0, 1, 1, 0, 1, 0, 1, 1]
    lock = single_outcome([[min(s + 1, 9)] * 2 for s in range(10)],
                          [[float(s == 9 and a == right[9]) for a in (0, 1)] for s in range(10)],
                          [[s == 9 or a != right[s] for a in (0, 1)] for s in range(10)],
                          np.eye(10)[0])
    policy = rule.policy(np.zeros((10, 2)), 1.0)
    assert objective(lock, policy) == pytest.approx(1 / 2**10, rel=1e-12)


def test_a_schedule_explores_little_from_a_tenth_of_the_run_on():
    rates = [epsilon_greedy(linear(1.0, 0.05, 0.1)).rate(progress) for progress in (1, 0.9, 0.4, 0)]
    np.testing.assert_allclose(rates, [1.0, 0.05, 0.05, 0.05], atol=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
def test_the_policy_of_a_rule_of_ones_own_mixes_what_it_takes_with_what_it_tries(epsilon):
    """The second best action, and one of what is available with probability ε."""
    values = np.array([[3.0, 1.0, 2.0, -np.inf], [0.0, 5.0, 4.0, 4.5]])
    second = np.eye(4)[[2, 3]]
    rule = Exploration(lambda progress: epsilon, lambda values, progress: second)
    tried = np.array([[1, 1, 1, 0], [0.75] * 4]) / 3
    np.testing.assert_allclose(rule.policy(values, 1.0), (1 - epsilon) * second + epsilon * tried,
                               atol=1e-15)
