"""Bradley–Terry regression: the loss against a loop, the population optimum, what cannot be
learned."""

import numpy as np
import pytest
from languages import all_strings, as_steps, preference_matrix, running_example, share

from minirl import counts
from minirl.regularised import regularised_optimum, tilt
from minirl.reward_model import bradley_terry_loss, fit_reward_model
from minirl.softmax import log_sigmoid
from toy_lm.ngram import language


def every_pair(letters=2, longest=3):
    """(D, steps): the matrix over all ordered pairs of different strings of a small language."""
    steps = as_steps(all_strings(letters, longest), letters + 1)
    first, second = np.nonzero(~np.eye(steps.starts.size - 1, dtype=bool))
    D = counts.difference_matrix(counts.select(steps, first), counts.select(steps, second))
    return D, steps


def test_the_loss_is_the_mean_cross_entropy_of_the_choice():
    """(reward_model.1), as a loop over strings and their pairs of symbols"""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 3))
    chosen, rejected = [[(0, 1), (1, 1), (1, 0)], [(0, 0)]], [[(0, 2), (2, 0)], [(0, 1), (1, 0)]]
    total = 0.0
    for good, bad in zip(chosen, rejected):
        margin = sum(w[p] for p in good) - sum(w[p] for p in bad)
        total -= np.log(1 / (1 + np.exp(-margin)))
    pairs = counts.difference_matrix(as_steps(chosen, 3), as_steps(rejected, 3))
    assert bradley_terry_loss(w, pairs)[0] == pytest.approx(total / 2, abs=1e-12)


def test_in_the_population_the_gradient_vanishes_at_the_true_reward():
    """(reward_model.2), with every ordered pair weighted by its true probability"""
    D, _ = every_pair()
    w = np.random.default_rng(1).normal(size=(3, 3))
    chance = np.exp(log_sigmoid(D @ w.ravel()))
    pull = D.T @ (chance * np.exp(log_sigmoid(-(D @ w.ravel()))))
    np.testing.assert_allclose(pull, 0, atol=1e-12)
    elsewhere = w + 0.1 * np.random.default_rng(2).normal(size=(3, 3))
    other = D.T @ (chance * np.exp(log_sigmoid(-(D @ elsewhere.ravel()))))
    assert np.abs(other).max() > 0.1


def test_a_potential_changes_no_strings_reward():
    """What cannot be learned: w[s, a] + φ(a) − φ(s) with φ = 0 at the start and the end."""
    D, steps = every_pair()
    rng = np.random.default_rng(3)
    w, phi = rng.normal(size=(3, 3)), np.append(0, rng.normal(size=2))
    shaped = w + phi - phi[:, None]
    np.testing.assert_allclose(counts.matrix(steps) @ (shaped - w).ravel(), 0, atol=1e-12)
    assert bradley_terry_loss(w, D)[0] == pytest.approx(bradley_terry_loss(shaped, D)[0], abs=1e-12)


def test_huge_margins_do_not_overflow():
    """Pitfall 13"""
    pairs = counts.difference_matrix(as_steps([[(0, 1)]], 2), as_steps([[(0, 0)]], 2))
    w = np.array([[0.0, 1000.0], [0, 0]])
    loss, grad = bradley_terry_loss(w, pairs)
    assert loss == 0 and (grad == 0).all()
    loss, grad = bradley_terry_loss(-w, pairs)
    assert loss == 1000 and grad[0].tolist() == [1, -1]


def test_the_fit_is_a_stationary_point_of_the_loss_with_its_prior():
    D = preference_matrix(20_000, 0)
    fit = fit_reward_model(D, (27, 27), pull=2.0)
    _, grad = bradley_terry_loss(fit.x, D)
    assert fit.converged
    np.testing.assert_allclose(grad + 2.0 / 20_000 * fit.x, 0, atol=1e-6)


def test_parts_of_a_batch_weighted_by_their_size_add_up_to_the_batch():
    """Pitfall 26"""
    D, w = preference_matrix(20_000, 0)[:1000], np.random.default_rng(4).normal(size=(27, 27))
    whole = bradley_terry_loss(w, D)
    parts = [(n / 1000, bradley_terry_loss(w, D[i:i + n]))
             for i, n in ((0, 1), (1, 300), (301, 699))]
    assert sum(part * loss for part, (loss, _) in parts) == pytest.approx(whole[0], abs=1e-12)
    np.testing.assert_allclose(sum(part * grad for part, (_, grad) in parts), whole[1], atol=1e-12)


@pytest.mark.parametrize("pairs, least", [(20_000, 0.88), (100_000, 0.97)])
def test_the_optimum_of_the_learned_reward_is_nearly_that_of_the_true_one(pairs, least):
    example = running_example()
    w = fit_reward_model(preference_matrix(pairs, 1), example.world.shape, pull=2.0).x
    learned = regularised_optimum(language(w), example.reference, beta=0.5)
    assert share(tilt(example.reference, learned.action_values, beta=0.5)) >= least


def test_without_a_pull_a_pair_seen_in_chosen_strings_only_runs_away():
    """What the chapter says of few pairs: the reward then has no optimum; a pull mends it."""
    D = counts.difference_matrix(as_steps([[(0, 1), (1, 1), (1, 0)]], 2),
                                 as_steps([[(0, 1), (1, 0)]], 2))
    free, held = (fit_reward_model(D, (2, 2), pull=pull).x for pull in (0.0, 2.0))
    assert free[1, 1] > 10 > 0.5 > held[1, 1] > 0
    with pytest.raises(ValueError, match="no optimum exists"):
        regularised_optimum(language(free), np.zeros((2, 2)), beta=1.0)
    assert regularised_optimum(language(held), np.zeros((2, 2)), beta=1.0).objective > 0


def test_bad_arguments_are_refused_by_name():
    D = preference_matrix(20_000, 0)[:3]
    with pytest.raises(ValueError, match="pairs must be"):
        bradley_terry_loss(np.zeros((2, 2)), D)
    with pytest.raises(ValueError, match="pairs must be"):
        bradley_terry_loss(np.zeros((27, 27)), D[:0])
    for wrong in (-1.0, np.nan):
        with pytest.raises(ValueError, match="pull must not be negative"):
            fit_reward_model(D, (27, 27), pull=wrong)
    with pytest.raises(ValueError, match="pairs must be"):
        fit_reward_model(D[:0], (27, 27), pull=1.0)
