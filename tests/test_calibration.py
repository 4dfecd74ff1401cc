"""How good a reward model is: accuracies, bins by loops, and its exact error."""

from itertools import product

import numpy as np
import pytest
from languages import all_strings, preference_matrix, running_example, sigma, totals
from test_reward_model import OTHER, RNG, TRUE, changes, fitted, spread

from minirl.kernel.softmax import log_sigmoid
from minirl.people.calibration import accuracy, best_accuracy, calibration, reward_error
from toy_lm.ngram import language


def test_a_tie_counts_half_and_only_signs_count():
    margins = np.array([3.0, 1e-9, -0.1, 0, 0, -5, 2])
    assert accuracy(margins) == (3 + 0.5 + 0.5) / 7
    assert accuracy(-margins) == pytest.approx(3 / 7, abs=1e-15)
    assert accuracy(margins / 100) == accuracy(margins)
    assert accuracy(np.zeros(3)) == 0.5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_best_accuracy_is_that_of_the_best_of_all_opinions(temperature):
    """(calibration.1): all ways to prefer one string of each of five pairs, by their accuracy"""
    m = np.array([-2.0, 0.3, 1.5, 0.0, -0.1])
    first = [sigma(x / temperature) for x in m]
    best = max(np.mean([p if opinion else 1 - p for p, opinion in zip(first, opinions)])
               for opinions in product((True, False), repeat=5))
    assert best_accuracy(m, temperature=temperature) == pytest.approx(best, abs=1e-12)
    assert best_accuracy(-m, temperature=temperature) == pytest.approx(best, abs=1e-12)
    if temperature == 1.0:
        assert best_accuracy(m) == pytest.approx(best, abs=1e-12)


def expected_accuracy(true, margins):
    """Of what a model prefers, over the answers of a rater of temperature 1."""
    p = np.exp(log_sigmoid(true))
    return np.mean([q * accuracy(np.array([m])) + (1 - q) * accuracy(np.array([-m]))
                    for q, m in zip(p, margins)])


@pytest.mark.slow
def test_on_fresh_pairs_a_fitted_model_is_nearly_as_accurate_as_any_can_be():
    fresh = preference_matrix(5000, 99)
    true = fresh @ running_example().world.mean_reward.ravel()
    best = best_accuracy(true)
    few, many = (expected_accuracy(true, fresh @ fitted(pairs).ravel()) for pairs in (5000, 80_000))
    assert best - 0.04 < few < many < best and many > best - 0.005
    assert expected_accuracy(true, true) == pytest.approx(best, abs=1e-12)
    margins = fresh @ fitted(80_000).ravel()
    assert abs(accuracy(margins) - many) < 5 * 0.5 / np.sqrt(5000)


@pytest.mark.slow
def test_more_pairs_make_a_model_less_wrong_when_they_make_it_hardly_more_accurate():
    """The table of the chapter, on the running example with 5,000 fresh pairs"""
    example, fresh = running_example(), preference_matrix(5000, 99)
    truth = example.world.mean_reward
    true, policy = fresh @ truth.ravel(), np.exp(example.reference)
    assert best_accuracy(true) == pytest.approx(0.724, abs=5e-4)
    assert calibration(true).error == pytest.approx(0.011, abs=5e-4)
    for pairs, *expected in ((1_000, 0.641, 0.059, 0.886), (5_000, 0.699, 0.013, 0.466),
                             (80_000, 0.721, 0.012, 0.152)):
        margins = fresh @ fitted(pairs).ravel()
        found = (expected_accuracy(true, margins), calibration(margins).error,
                 reward_error(example.world, policy, fitted(pairs)))
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_bins_by_loops():
    """(calibration.2): told both ways; the last bin holds its upper end, empty bins are NaN."""
    margins = np.concatenate([RNG.normal(size=40), [0.0, 50.0, -50.0]])
    for bins in (1, 4, 10, 60):
        told = [(sigma(m), 1) for m in margins] + [(sigma(-m), 0) for m in margins]
        found, error = calibration(margins, bins=bins), 0.0
        for i in range(bins):
            inside = [(p, came) for p, came in told if i <= p * bins < i + 1
                      or (i == bins - 1 and p == 1)]
            assert found.number[i] == len(inside)
            if inside:
                predicted, observed = np.mean(inside, axis=0)
                assert found.predicted[i] == pytest.approx(predicted, abs=1e-12)
                assert found.observed[i] == pytest.approx(observed, abs=1e-12)
                error += len(inside) / len(told) * abs(predicted - observed)
            else:
                assert np.isnan(found.predicted[i]) and np.isnan(found.observed[i])
        assert found.error == pytest.approx(error, abs=1e-12)
        assert found.number.sum() == 86
    assert calibration(margins).number.size == 10 and (found.number == 0).any()


def test_the_error_of_a_reward_is_a_standard_deviation_over_all_strings_of_the_reference():
    """(calibration.3), against the 8191 strings of up to twelve letters: all but 1e-12"""
    policy = np.array([[0.9, 0.06, 0.04], [0.9, 0.03, 0.07], [0.9, 0.02, 0.08]])
    true, learned = np.random.default_rng(5).normal(size=(2, 3, 3))
    strings = all_strings(2, 12)
    chance = np.array([np.prod([policy[step] for step in string]) for string in strings])
    gap = totals(learned - true, strings)
    assert abs(chance.sum() - 1) < 1e-11
    mean = (chance * gap).sum()
    assert reward_error(language(true), policy, learned) == pytest.approx(
        (chance * (gap - mean)**2).sum()**0.5, abs=1e-8)


def test_the_error_knows_neither_a_potential_nor_a_constant_nor_the_sign():
    for change in changes():
        assert spread(TRUE + change) < 1e-6
        assert spread(OTHER + change) == pytest.approx(spread(OTHER), abs=1e-8)
    assert spread(TRUE) == 0 < 0.5 < spread(OTHER)
    assert spread(TRUE + OTHER) == pytest.approx(spread(TRUE - OTHER), abs=1e-12)
    assert spread(TRUE + 3 * OTHER) == pytest.approx(3 * spread(TRUE + OTHER), abs=1e-12)


def test_sixteen_times_the_pairs_make_the_error_at_least_three_times_smaller():
    """On the running example; by the root of the pairs it would be four times."""
    example = running_example()
    policy = np.exp(example.reference)
    few, many = (reward_error(example.world, policy, fitted(pairs)) for pairs in (5000, 80_000))
    assert 3 < few / many < 5.5
    assert reward_error(example.world, policy, np.zeros((27, 27))) > 2 * few


def test_margins_may_be_a_list_of_whole_numbers():
    assert accuracy([1, -2, 0]) == 0.5 and best_accuracy([0, 1000]) == 0.75
    sure = calibration([900, 900, -900, 900], bins=2)
    assert sure.predicted.tolist() == [0.0, 1.0] and sure.observed.tolist() == [0.25, 0.75]
