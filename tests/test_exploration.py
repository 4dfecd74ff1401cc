"""Two ways to explore: what they take, with which chances, and that both halves agree."""

import math

import numpy as np
import pytest

from minirl.play.exploration import boltzmann, epsilon_greedy
from minirl.play.q_learning import learners, q_learning
from worlds import single_outcome

RULES = pytest.mark.parametrize("rule", [
    epsilon_greedy(0.0), epsilon_greedy(0.3), epsilon_greedy(1e-3), epsilon_greedy(1.0),
    boltzmann(0.1), boltzmann(1.0), boltzmann(100.0)],
    ids=["greedy", "0.3", "0.001", "uniform", "cold", "warm", "hot"])


@pytest.fixture
def values():
    """A few rows, the first two with ties for the best action."""
    rows = np.random.default_rng(0).normal(size=(6, 4))
    rows[0], rows[1, [1, 3]] = 0.0, 5.0
    return rows


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy_takes_the_first_best_action_and_sometimes_any(values, epsilon):
    """(exploration.1): one of several best actions has 1 − ε, not each of them a share."""
    chances = epsilon_greedy(epsilon).policy(values, 0)
    for row, chance in zip(values.tolist(), chances):
        for a in range(4):
            wanted = epsilon / 4 + (1 - epsilon) * (a == row.index(max(row)))
            assert math.isclose(chance[a], wanted, abs_tol=1e-15)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 30.0])
def test_boltzmann_weighs_by_the_exponential_of_the_value(values, temperature):
    """(exploration.2), and what it says of T: worth T less, taken e times as rarely."""
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
        taken = rule.act(np.broadcast_to(row, (N, 4)), numbers, 0)
        assert np.abs(np.bincount(taken, minlength=4) - N * chances).max() <= 2


@RULES
@pytest.mark.parametrize("number", [0.0, 2.0**-53, 1 - 2.0**-53])
def test_the_smallest_and_the_largest_number_take_an_action_that_is_possible(values, rule, number):
    taken = rule.act(values, np.full(6, number), 0)
    assert (rule.policy(values, 0)[np.arange(6), taken] > 0).all()


@pytest.mark.parametrize("A", [3, 4, 7])
def test_epsilon_itself_is_greedy_and_the_number_below_it_takes_the_last_action(A):
    """u/ε · A may round up to A, which is no action."""
    values = np.eye(A)[[1]]
    for epsilon in np.linspace(0.01, 0.99, 99):
        act = epsilon_greedy(epsilon).act
        assert act(values, np.array([epsilon]), 0).tolist() == [1]
        assert act(values, np.array([np.nextafter(epsilon, 0)]), 0).tolist() == [A - 1]


def test_a_greedy_learner_tries_everything_if_its_table_is_optimistic():
    """And from a table of zeros it never finds out that another action pays more."""
    mdp = single_outcome([[0, 0, 0], [0, 0, 0]], [[1, 3, 2], [1, 1, 4]], [[True] * 3] * 2,
                         [0.5, 0.5])
    for first, found in ((10.0, [1, 2]), (0.0, [0, 0])):
        record = next(q_learning(mdp, learners(mdp, rng=0, initial_value=first), learning_rate=0.5,
                                 decay=0.0, exploration=epsilon_greedy(0.0)))
        assert record.Q[0].argmax(axis=1).tolist() == found
        assert (record.updates > 0).all() == (first > 0)
