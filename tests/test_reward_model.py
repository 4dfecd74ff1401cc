"""Reward models: the optimum of their losses in the population, and what cannot be learned.  The
losses themselves are in `test_preference_losses.py`."""

import math
from functools import cache, partial
from itertools import combinations, permutations

import numpy as np
import pytest
from languages import (BETA, all_strings, as_steps, preference_matrix, preference_pairs,
                       running_example, share, sigma)
from scipy import sparse

from minirl.kernel import counts
from minirl.people.fitting import minimise_near
from minirl.people.regularised import regularised_optimum, tilt
from minirl.people.calibration import reward_error
from minirl.people.reward_model import (bradley_terry_loss, fit_reward_model, logistic_loss,
                                        plackett_luce_loss, squared_loss)
from minirl.people.pairs import Pairs
from minirl.kernel.softmax import log_sigmoid
from toy_lm.ngram import language
from toy_lm.preferences import respond
from toy_lm.raters import pairs_of_ranking, rank

STRINGS = as_steps(all_strings(3, 4), 4)  # 121 of them
RNG = np.random.default_rng(0)
TRUE, OTHER = RNG.normal(size=(2, 4, 4))
X = counts.matrix(STRINGS)


def ordered(steps, rows):
    """`Pairs` of rows (B, 2) of the strings, the better one first."""
    first, second = np.asarray(rows).T
    return Pairs(counts.select(steps, first), counts.select(steps, second))


@cache
def all_pairs():
    """All ordered pairs of different strings of up to four letters over an alphabet of three."""
    rows = np.argwhere(~np.eye(121, dtype=bool))
    assert len(rows) == 14_520
    return ordered(STRINGS, rows)


def every_pair():
    """D of them."""
    return all_pairs().difference


@cache
def fitted(pairs, seed=0):
    return fit_reward_model(np.zeros((27, 27)), preference_pairs(pairs, seed), pull=2.0).x


def test_in_the_population_the_gradient_vanishes_at_the_true_reward_and_not_elsewhere():
    """(reward_model.2), with every ordered pair weighted by its true probability"""
    D = every_pair()
    chance = np.array([sigma(m) for m in D @ TRUE.ravel()])
    _, grad = bradley_terry_loss(TRUE, D, pair_weights=chance)
    np.testing.assert_allclose(grad, 0, atol=1e-10)
    for elsewhere in (TRUE + 0.1 * OTHER, 2 * TRUE, -TRUE):
        _, grad = bradley_terry_loss(elsewhere, D, pair_weights=chance)
        assert np.abs(grad).max() > 1e-3


def ranking_chance(r):
    """P of the order in which the rewards stand, by one choice after the other."""
    return np.prod([np.exp(r[k]) / sum(np.exp(r[k:])) for k in range(len(r))])


def test_in_the_population_of_rankings_the_gradient_vanishes_at_the_true_reward():
    """(reward_model.4) over all rankings of three of six strings"""
    r = X @ TRUE.ravel()

    def gradient(w):
        return sum(ranking_chance(r[list(order)]) * plackett_luce_loss(w, X[list(order)], 3)[1]
                   for three in combinations([1, 8, 30, 55, 90, 118], 3)
                   for order in permutations(three)) / 20

    np.testing.assert_allclose(gradient(TRUE), 0, atol=1e-10)
    assert np.abs(gradient(TRUE + 0.1 * OTHER)).max() > 1e-3
    assert np.abs(gradient(2 * TRUE)).max() > 1e-2


def population(true):
    """Losses of w whose data are all strings, labelled and scored in proportion."""
    r = X @ true.ravel()
    return {"labels": partial(logistic_loss, labels=np.array([sigma(x) for x in r])),
            "scores": partial(squared_loss, scores=r)}


@pytest.mark.parametrize("name", ["labels", "scores"])
def test_in_the_population_of_strings_the_gradient_vanishes_at_the_true_reward(name):
    """(reward_model.5) and (reward_model.6); the constant counts here"""
    loss = population(TRUE)[name]
    np.testing.assert_allclose(loss(TRUE, X)[1], 0, atol=1e-10)
    for elsewhere in (TRUE + 0.1 * OTHER, 2 * TRUE, TRUE + 0.1 * (np.arange(4) == 0)):
        assert np.abs(loss(elsewhere, X)[1]).max() > 1e-3


def test_a_margin_fits_where_its_slope_is_the_share_of_wins():
    """d log σ(m)/dm = σ(−m), by which the loss of one comparison has the slope σ(m) − wins."""
    one, other = (sparse.csr_array([[sign, -sign]]) for sign in (1.0, -1.0))
    for m in (-2.0, 0.0, 0.7):
        up, down = (bradley_terry_loss(np.array([[m, 0.0]]), D)[1][0, 0] for D in (one, other))
        assert up == pytest.approx(-sigma(-m), abs=1e-15)
        assert 0.75 * up + 0.25 * down == pytest.approx(sigma(m) - 0.75, abs=1e-15)
    assert 0.75 == pytest.approx(sigma(np.log(3))) and np.log([3, 2]).round(3).tolist() == [
        1.099, 0.693]


# What can be learned.


def changes():
    """A potential, and a point for every string."""
    phi = np.append(0, np.random.default_rng(3).normal(size=3))
    return phi - phi[:, None], 1.0 * (np.arange(4) == 0) * np.ones((4, 1))


def test_comparisons_and_rankings_know_neither_a_potential_nor_a_constant():
    D, groups = every_pair()[:100], X[:120]
    for change in changes():
        for loss in (lambda w: bradley_terry_loss(w, D, margin=0.3, label_smoothing=0.1),
                     lambda w: plackett_luce_loss(w, groups, 4)):
            (before, grad), (after, shifted) = loss(TRUE), loss(TRUE + 3 * change)
            assert after == pytest.approx(before, abs=1e-12)
            np.testing.assert_allclose(shifted, grad, atol=1e-12)
            assert abs((grad * change).sum()) < 1e-12 < np.abs(grad).max()


def test_labels_and_scores_know_the_constant_but_no_potential():
    potential, constant = changes()
    for loss in population(OTHER).values():
        before, grad = loss(TRUE, X)
        assert loss(TRUE + 3 * potential, X)[0] == pytest.approx(before, abs=1e-12)
        assert abs(loss(TRUE + 3 * constant, X)[0] - before) > 0.03
        assert abs((grad * potential).sum()) < 1e-12 and abs((grad * constant).sum()) > 1e-3


# All losses.


def test_huge_rewards_do_not_overflow():
    """Pitfall 13, for rankings and labels"""
    strings = counts.matrix(as_steps([[(0, 0)], [(0, 1)], [(0, 2)]], 3))
    w = np.array([[1000.0, 0, -1000], [0, 0, 0], [0, 0, 0]])
    loss, grad = plackett_luce_loss(w, strings, 3)
    assert loss == 0 and (grad == 0).all()
    loss, grad = plackett_luce_loss(-w, strings, 3)  # 2000 for the first choice, 1000 for the next
    assert loss == 3000 and grad[0].tolist() == [-1, -1, 2]
    for label, (loss, first, last) in {1.0: (1000, 0, -1), 0.0: (1000, 1, 0),
                                       0.5: (1000, 0.5, -0.5)}.items():
        value, grad = logistic_loss(w, strings[[0, 2]], np.array([label, label]))
        assert value == pytest.approx(loss / 2, abs=1e-12)
        assert grad[0].tolist() == [first / 2, 0, last / 2]


# Fits.


def spread(w, policy=None):
    """`reward_error` of w from TRUE, under a policy that ends a quarter of the time."""
    policy = np.full((4, 4), 0.25) if policy is None else policy
    return reward_error(language(TRUE), policy, w)


@pytest.mark.parametrize("name", ["labels", "scores"])
def test_labels_and_scores_give_back_the_true_reward_with_its_constant(name):
    w = fit_reward_model(np.zeros((4, 4)), STRINGS, pull=0, loss=population(TRUE)[name]).x
    np.testing.assert_allclose(X @ w.ravel(), X @ TRUE.ravel(), atol=1e-3)
    assert spread(np.zeros((4, 4))) > 1 > 1e-3 > spread(w)
    assert np.abs(w - TRUE).max() > 0.1  # table entries are not to be compared: a potential


def test_comparisons_give_back_the_true_reward_but_not_its_constant():
    D = every_pair()
    chance = np.exp(log_sigmoid(D @ TRUE.ravel()))
    w = fit_reward_model(np.zeros((4, 4)), all_pairs(), pull=0,
                         loss=partial(bradley_terry_loss, pair_weights=chance)).x
    assert spread(w) < 1e-3
    difference = X @ (w - TRUE).ravel()
    assert np.ptp(difference) < 1e-3 and np.abs(difference).min() > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_ranking_says_more_than_a_pair_and_more_than_its_pairs_taken_apart(seed):
    """2000 prompts with four responses each on the running example"""
    example, rng, K = running_example(), np.random.default_rng(seed), 4
    steps = respond(example.reference, K, rng=rng, prompts=np.zeros(2000, int))
    r = (counts.matrix(steps) @ example.world.mean_reward.ravel()).reshape(-1, K)
    order = rank(r, rng=rng)
    ranked = counts.select(steps, (order + K * np.arange(2000)[:, None]).ravel())
    none = np.zeros((27, 27))
    w = fit_reward_model(none, ranked, pull=2.0,
                         loss=partial(plackett_luce_loss, num_generations=K)).x
    apart = fit_reward_model(none, ordered(steps, pairs_of_ranking(order)), pull=2.0).x
    single = fit_reward_model(none, preference_pairs(2000, seed), pull=2.0).x
    policy = np.exp(example.reference)
    errors = [reward_error(example.world, policy, table) for table in (w, apart, single)]
    assert errors[0] < 0.5 and errors[0] < errors[2] - 0.1 and errors[1] < errors[2] - 0.1


@pytest.mark.parametrize("pairs, least", [(20_000, 0.88), (80_000, 0.96)])
def test_the_optimum_of_the_learned_reward_is_nearly_that_of_the_true_one(pairs, least):
    example = running_example()
    learned = regularised_optimum(language(fitted(pairs)), example.reference, beta=BETA)
    assert share(tilt(example.reference, learned.action_values, beta=BETA)) >= least


@pytest.mark.parametrize("seed", range(3))
def test_300_pairs_without_a_pull_have_no_optimum_and_with_it_a_bad_one(seed):
    """On the running example the true weights are below 1 and the largest learned one above 40.
    With the pull there is an optimum, which is worse than the reference."""
    example, pairs = running_example(), preference_pairs(300, seed)
    free, held = (fit_reward_model(np.zeros((27, 27)), pairs, pull=pull).x for pull in (0.0, 2.0))
    assert np.abs(free).max() > 40 > 1.2 > np.abs(held).max()
    true = example.world.mean_reward
    assert true.min() == pytest.approx(-0.861, abs=5e-4) and true.max() == pytest.approx(0.139)
    with pytest.raises(ValueError, match=r"no optimum exists at beta = 0.5"):
        regularised_optimum(language(free), example.reference, beta=BETA)
    learned = regularised_optimum(language(held), example.reference, beta=BETA)
    assert -1 < share(tilt(example.reference, learned.action_values, beta=BETA)) < 0


@pytest.mark.slow
def test_the_error_of_the_learned_reward_falls_like_the_root_of_the_pairs_only_when_they_are_many():
    """The table of the chapter, each the mean over two samples of pairs"""
    example, policy = running_example(), np.exp(running_example().reference)
    found = {}
    for pairs, error in ((1_000, 0.9), (5_000, 0.5), (20_000, 0.29), (80_000, 0.16),
                         (320_000, 0.085)):
        found[pairs] = np.mean([reward_error(example.world, policy, fit_reward_model(
            np.zeros((27, 27)), preference_pairs(pairs, seed), pull=2.0).x) for seed in (0, 1)])
        assert found[pairs] == pytest.approx(error, rel=0.04)
    assert found[5_000] / found[80_000] < 3.3  # the root would be 4
    assert 1.8 < found[80_000] / found[320_000] < 2.0


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_extreme_margins_cost_what_they_should_to_the_last_digits(epsilon):
    """(reward_model.3) and its slope from one logarithm: small losses keep their relative size."""
    pair, one = sparse.csr_array([[1.0, -1.0]]), sparse.csr_array([[1.0, 0.0]])
    for m in (-1000.0, -50.0, -1.0, 0.0, 1.0, 30.0, 50.0, 300.0, 1000.0):
        loss, grad = bradley_terry_loss(np.array([[m, 0.0]]), pair, label_smoothing=epsilon)
        right, wrong = float(log_sigmoid(m)), float(log_sigmoid(-m))
        assert math.isclose(loss, -(1 - epsilon) * right - epsilon * wrong, rel_tol=1e-13)
        slope = -(1 - epsilon) * math.exp(wrong) + epsilon * math.exp(right)
        assert math.isclose(grad[0, 0], slope, rel_tol=1e-12) and grad[0, 1] == -grad[0, 0]
        labelled, pushed = logistic_loss(np.array([[m, 0.0]]), one, np.array([1 - epsilon]))
        assert math.isclose(labelled, loss, rel_tol=1e-12)
        assert math.isclose(pushed[0, 0], slope, rel_tol=1e-12, abs_tol=1e-16)


def test_knowing_the_curvature_spares_a_quarter_of_the_search():
    """5,000 pairs of the running example, in which common steps outnumber rare ones."""
    D = preference_matrix(5000, 1)
    fit = fit_reward_model(np.zeros((27, 27)), preference_pairs(5000, 1), pull=2.0)
    plain = minimise_near(lambda w: bradley_terry_loss(w, D), np.zeros((27, 27)), pull=2.0,
                          examples=5000)
    assert fit.converged and plain.converged and fit.evaluations < 0.8 * plain.evaluations


def test_a_fit_stops_at_the_tolerance_that_it_is_given():
    pairs = preference_pairs(300, 3)
    loose, tight = (fit_reward_model(np.zeros((27, 27)), pairs, pull=1.0, tol=tol)
                    for tol in (1e-3, 1e-9))
    assert loose.converged and tight.converged and loose.evaluations < tight.evaluations
    for fit, tol in ((loose, 1e-3), (tight, 1e-9)):
        assert np.abs(bradley_terry_loss(fit.x, pairs.difference)[1] + fit.x / 300).max() <= tol
