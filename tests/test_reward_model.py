"""Reward models: the losses against loops, their optimum in the population, what cannot be learned,
and how good a learned reward is."""

import math
from functools import cache, partial
from itertools import combinations, permutations, product

import numpy as np
import pytest
from languages import (BETA, all_strings, as_steps, pairs_of, preference_matrix, preference_pairs,
                       running_example, share)
from scipy import sparse

from minirl.kernel import counts
from minirl.people.fitting import minimise_near
from minirl.exact.regularised import regularised_optimum, tilt
from minirl.people.calibration import accuracy, best_accuracy, calibration, reward_error
from minirl.people.reward_model import (bradley_terry_loss, fit_reward_model, logistic_loss,
                                        plackett_luce_loss, squared_loss)
from minirl.people.pairs import Pairs, check_counts, shares
from minirl.kernel.softmax import log_sigmoid
from toy_lm.ngram import language
from toy_lm.preferences import respond
from toy_lm.raters import pairs_of_ranking, rank

STRINGS = as_steps(all_strings(3, 4), 4)  # 121 of them
RNG = np.random.default_rng(0)
TRUE, OTHER = RNG.normal(size=(2, 4, 4))
X = counts.matrix(STRINGS)


def sigma(x):
    return 1 / (1 + np.exp(-x))


def rewards_by_loops(w, strings):
    return [sum(w[pair] for pair in string) for string in strings]


def random_strings(number, symbols=4, seed=0):
    """Lists of pairs (s, a)."""
    rng = np.random.default_rng(seed)
    return [[tuple(pair) for pair in rng.integers(symbols, size=(rng.integers(1, 6), 2)).tolist()]
            for _ in range(number)]


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


# Comparisons.


def test_margin_smoothing_and_weights_follow_the_formula_by_loops():
    """(reward_model.3), all three at once and one by one"""
    chosen, rejected = random_strings(9, seed=1), random_strings(9, seed=2)
    D = counts.difference_matrix(as_steps(chosen, 4), as_steps(rejected, 4))
    margins, weights = RNG.normal(size=9), RNG.random(9)
    for margin, epsilon, q in product((0.0, 0.7, margins), (0.0, 0.3), (None, weights)):
        total = 0.0
        for i, (good, bad) in enumerate(zip(rewards_by_loops(TRUE, chosen),
                                            rewards_by_loops(TRUE, rejected))):
            own = margin if np.ndim(margin) == 0 else margin[i]
            nats = ((1 - epsilon) * np.log(sigma(good - bad - own))
                    + epsilon * np.log(sigma(own - good + bad)))
            total -= nats * (1 / 9 if q is None else q[i] / sum(q))
        loss, _ = bradley_terry_loss(TRUE, D, margin=margin, label_smoothing=epsilon,
                                     pair_weights=q)
        assert loss == pytest.approx(total, abs=1e-12)


def test_in_the_population_the_gradient_vanishes_at_the_true_reward_and_not_elsewhere():
    """(reward_model.2), with every ordered pair weighted by its true probability"""
    D = every_pair()
    chance = np.array([sigma(m) for m in D @ TRUE.ravel()])
    _, grad = bradley_terry_loss(TRUE, D, pair_weights=chance)
    np.testing.assert_allclose(grad, 0, atol=1e-10)
    for elsewhere in (TRUE + 0.1 * OTHER, 2 * TRUE, -TRUE):
        _, grad = bradley_terry_loss(elsewhere, D, pair_weights=chance)
        assert np.abs(grad).max() > 1e-3


def test_smoothing_is_the_expected_loss_of_answers_that_are_flipped_so_often():
    """(reward_model.3): the mean over all flips of four pairs, with their probability"""
    D = every_pair()[[3, 500, 7000, 14_000]]
    expected, gradient = 0.0, np.zeros((4, 4))
    for flips in product((1, -1), repeat=4):
        chance = np.prod([0.8 if sign == 1 else 0.2 for sign in flips])
        flipped = sparse.csr_array(np.diag(np.array(flips, float))) @ D
        loss, grad = bradley_terry_loss(TRUE, flipped)
        expected, gradient = expected + chance * loss, gradient + chance * grad
    loss, grad = bradley_terry_loss(TRUE, D, label_smoothing=0.2)
    assert loss == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(grad, gradient, atol=1e-12)


def test_smoothing_bounds_what_a_sure_answer_is_worth():
    """(reward_model.3): with ε = 0.2 the best margin of an answer never contradicted is log 4."""
    smoothed = partial(bradley_terry_loss, label_smoothing=0.2)
    pair = all_pairs().select(np.array([200]))
    w = fit_reward_model(np.zeros((4, 4)), pair, pull=0, loss=smoothed).x
    assert (pair.difference @ w.ravel())[0] == pytest.approx(np.log(4), abs=1e-5)


def test_a_margin_is_subtracted_from_the_difference_of_rewards():
    """(reward_model.3): a pair that leads by exactly its margin is a coin toss."""
    D = every_pair()[:50]
    loss, grad = bradley_terry_loss(TRUE, D, margin=D @ TRUE.ravel())
    assert loss == pytest.approx(np.log(2), abs=1e-12)
    np.testing.assert_allclose(grad, -0.5 * D.sum(axis=0).reshape(4, 4) / 50, atol=1e-12)


def test_with_a_margin_the_rewards_differ_by_more():
    """Two raters of three prefer the first string: its lead is log 2, and the margin more."""
    pair = all_pairs().select(np.array([200]))
    answers = pair + pair + Pairs(pair.rejected, pair.chosen)
    for margin in (0.0, 0.7, -0.3):
        told = np.array([margin, margin, -margin])  # the same shift, whoever wins
        w = fit_reward_model(np.zeros((4, 4)), answers, pull=0,
                             loss=partial(bradley_terry_loss, margin=told)).x
        assert (pair.difference @ w.ravel())[0] == pytest.approx(np.log(2) + margin, abs=1e-5)


def test_all_pairs_of_one_prompt_weigh_as_one_example():
    """(reward_model.3) with 2/(K(K − 1)): K = 4 and K = 2 count the same, not six to one."""
    four, two = pairs_of_ranking(np.array([[2, 0, 3, 1]])), np.array([[5, 4]])
    q = np.repeat([2 / 12, 2 / 2], [6, 1])
    steps = counts.select(STRINGS, np.array([7, 20, 33, 50, 80, 119]))
    whole = bradley_terry_loss(TRUE, ordered(steps, np.concatenate([four, two])).difference,
                               pair_weights=q)
    apart = [bradley_terry_loss(TRUE, ordered(steps, rows).difference) for rows in (four, two)]
    assert whole[0] == pytest.approx((apart[0][0] + apart[1][0]) / 2, abs=1e-12)
    np.testing.assert_allclose(whole[1], (apart[0][1] + apart[1][1]) / 2, atol=1e-12)


def test_only_the_proportions_of_the_weights_count_and_a_weight_of_zero_leaves_a_pair_out():
    D, q = every_pair()[:6], np.array([1.0, 2, 0, 0.5, 3, 0])
    loss, grad = bradley_terry_loss(TRUE, D, pair_weights=q)
    for other in (10 * q, 1e-3 * q):
        assert bradley_terry_loss(TRUE, D, pair_weights=other)[0] == pytest.approx(loss, abs=1e-12)
    twice = sparse.vstack([D[[0, 1, 1, 4, 4, 4]], D[[0, 1, 1, 4, 4, 4, 3]]]).tocsr()
    same = bradley_terry_loss(TRUE, twice)
    assert same[0] == pytest.approx(loss, abs=1e-12)
    np.testing.assert_allclose(same[1], grad, atol=1e-12)


def test_the_shares_of_pairs_are_their_weights_divided_by_the_sum():
    """(reward_model.3): q/Σq by a loop; without weights all pairs count the same."""
    q = np.array([2.0, 0.0, 0.5, 7.0])
    total = sum(q.tolist())
    for weights in (q, 4 * q, 1e-9 * q):
        assert shares(weights, 4).tolist() == pytest.approx([x / total for x in q], abs=1e-12)
    assert shares(np.array([3, 1]), 2).tolist() == [0.75, 0.25]  # whole numbers are not cut
    assert shares(None, 5).tolist() == [0.2] * 5 and shares(None, 1).tolist() == [1.0]
    assert q.tolist() == [2.0, 0.0, 0.5, 7.0]


# Rankings.


def test_the_loss_of_rankings_is_a_loop_over_choices():
    """(reward_model.4): five prompts of three, and of four"""
    for K in (3, 4):
        strings = random_strings(5 * K, seed=K)
        r, total = rewards_by_loops(TRUE, strings), 0.0
        for prompt in range(5):
            own = r[prompt * K:prompt * K + K]
            for k in range(K):
                total -= own[k] - np.log(sum(np.exp(own[j]) for j in range(k, K)))
        loss, _ = plackett_luce_loss(TRUE, counts.matrix(as_steps(strings, 4)), K)
        assert loss == pytest.approx(total / 5, abs=1e-12)


def test_a_ranking_of_two_is_a_comparison():
    """(reward_model.4) for K = 2 is (reward_model.1), and so is its gradient."""
    chosen, rejected = random_strings(9, seed=1), random_strings(9, seed=2)
    both = [string for pair in zip(chosen, rejected) for string in pair]
    loss, grad = plackett_luce_loss(TRUE, counts.matrix(as_steps(both, 4)), 2)
    pair = bradley_terry_loss(TRUE, counts.difference_matrix(as_steps(chosen, 4),
                                                             as_steps(rejected, 4)))
    assert loss == pytest.approx(pair[0], abs=1e-12)
    np.testing.assert_allclose(grad, pair[1], atol=1e-12)


@pytest.mark.parametrize("K", [2, 3, 4])
def test_the_probabilities_of_all_orders_sum_to_one(K):
    """(reward_model.4): e^(−loss) over the K! orders of one group"""
    rows = [5, 40, 77, 120][:K]
    assert sum(np.exp(-plackett_luce_loss(TRUE, X[list(order)], K)[0])
               for order in permutations(rows)) == pytest.approx(1, abs=1e-12)


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


def test_rankings_in_their_true_shares_give_back_the_rewards():
    """"", "a" and "b" with e^r = 1, 2, 3: sixty rankings have all six orders in true shares."""
    strings = as_steps([[(0, 0)], [(0, 1), (1, 0)], [(0, 2), (2, 0)]], 3)
    rows = []
    for order in permutations(range(3)):
        times = 60 * ranking_chance(np.log(np.array(order) + 1))
        assert times == pytest.approx(round(times), abs=1e-9)
        rows += round(times) * list(order)
    assert len(rows) == 180
    fit = fit_reward_model(np.zeros((3, 3)), counts.select(strings, np.array(rows)), pull=0,
                           loss=partial(plackett_luce_loss, num_generations=3))
    r = counts.matrix(strings) @ fit.x.ravel()
    np.testing.assert_allclose(r - r[0], np.log([1, 2, 3]), atol=1e-5)


# Labels and scores.


def test_the_loss_of_labels_is_the_mean_cross_entropy():
    """(reward_model.5) by a loop; hard labels and soft ones"""
    strings, labels = random_strings(7), np.array([0, 1, 0.5, 0.9, 1, 0, 0.2])
    r = rewards_by_loops(TRUE, strings)
    total = -sum(g * np.log(sigma(x)) + (1 - g) * np.log(1 - sigma(x)) for g, x in zip(labels, r))
    loss, _ = logistic_loss(TRUE, counts.matrix(as_steps(strings, 4)), labels)
    assert loss == pytest.approx(total / 7, abs=1e-12)


def test_the_loss_of_scores_is_half_the_mean_square():
    """(reward_model.6) by a loop"""
    strings, scores = random_strings(7), RNG.normal(size=7)
    total = sum((x - score)**2 for x, score in zip(rewards_by_loops(TRUE, strings), scores))
    loss, _ = squared_loss(TRUE, counts.matrix(as_steps(strings, 4)), scores)
    assert loss == pytest.approx(total / 14, abs=1e-12)


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


def test_scores_that_scatter_symmetrically_have_the_same_optimum():
    """(reward_model.6): each string is scored once a point too high and once too low."""
    r = X @ TRUE.ravel()
    twice, scores = sparse.vstack([X, X]).tocsr(), np.concatenate([r + 1, r - 1])
    loss, grad = squared_loss(TRUE, twice, scores)
    assert loss == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_allclose(grad, 0, atol=1e-10)


# What can be learned.


def changes():
    """A potential, and a point for every string."""
    phi = np.append(0, np.random.default_rng(3).normal(size=3))
    return phi - phi[:, None], 1.0 * (np.arange(4) == 0) * np.ones((4, 1))


def test_a_potential_changes_no_strings_reward_and_one_weight_on_every_end_changes_all_alike():
    potential, constant = changes()
    np.testing.assert_allclose(X @ potential.ravel(), 0, atol=1e-12)
    np.testing.assert_allclose(X @ constant.ravel(), 1, atol=1e-12)


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


def test_a_constant_reward_costs_log_2_and_log_k_factorial():
    """As the docstrings state, of strings of one length"""
    same, flat = X[4:10], np.full((4, 4), 1.7)  # two letters
    for K, orders in ((2, 2), (3, 6), (6, 720)):
        assert plackett_luce_loss(flat, same, K)[0] == pytest.approx(np.log(orders), abs=1e-12)
    D = ordered(STRINGS, [[4, 5], [6, 9], [10, 12]]).difference
    assert bradley_terry_loss(flat, D)[0] == pytest.approx(np.log(2), abs=1e-12)


# All losses.


def bound(name, rows):
    """A loss of w on these rows of twelve examples, and what the rows weigh."""
    labels, q = np.linspace(0, 1, 12), np.arange(1.0, 13)
    margin = np.linspace(-1, 1, 12)
    ranked = np.concatenate([np.arange(3 * row, 3 * row + 3) for row in rows])
    return {
        "pairs": (lambda w: bradley_terry_loss(w, every_pair()[rows]), len(rows)),
        "pairs with weights": (lambda w: bradley_terry_loss(
            w, every_pair()[rows], margin=margin[rows], label_smoothing=0.1,
            pair_weights=q[rows]), q[rows].sum()),
        "rankings": (lambda w: plackett_luce_loss(w, X[ranked], 3), len(rows)),
        "labels": (lambda w: logistic_loss(w, X[rows], labels[rows]), len(rows)),
        "scores": (lambda w: squared_loss(w, X[rows], 3 * labels[rows]), len(rows)),
    }[name]


@pytest.mark.parametrize("name", ["pairs", "pairs with weights", "rankings", "labels", "scores"])
def test_parts_of_a_batch_weighted_by_their_size_add_up_to_the_batch(name):
    """Pitfall 26; parts of weighted pairs count by the sum of their weights."""
    loss, size = bound(name, np.arange(12))
    whole = loss(TRUE)
    parts = [bound(name, rows) for rows in np.split(np.arange(12), [1, 4])]
    found = [(weight / size, part(TRUE)) for part, weight in parts]
    assert sum(share * value for share, (value, _) in found) == pytest.approx(whole[0], abs=1e-12)
    np.testing.assert_allclose(sum(share * grad for share, (_, grad) in found), whole[1],
                               atol=1e-12)


def test_huge_margins_do_not_overflow():
    """Pitfall 13"""
    pairs = counts.difference_matrix(as_steps([[(0, 1)]], 2), as_steps([[(0, 0)]], 2))
    w = np.array([[0.0, 1000.0], [0, 0]])
    loss, grad = bradley_terry_loss(w, pairs)
    assert loss == 0 and (grad == 0).all()
    loss, grad = bradley_terry_loss(-w, pairs)
    assert loss == 1000 and grad[0].tolist() == [1, -1]
    loss, grad = bradley_terry_loss(w, pairs, margin=2000.0)
    assert loss == 1000 and grad[0].tolist() == [1, -1]
    loss, grad = bradley_terry_loss(w, pairs, label_smoothing=0.25)
    assert loss == 250 and grad[0].tolist() == [-0.25, 0.25]


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


def test_the_fit_is_a_stationary_point_of_the_loss_with_its_prior():
    """The share of the prior is pull/B, whatever the loss."""
    pairs = preference_pairs(5000, 0)
    D, fit = pairs.difference, fit_reward_model(np.zeros((27, 27)), pairs, pull=2.0)
    _, grad = bradley_terry_loss(fit.x, D)
    assert fit.converged
    np.testing.assert_allclose(grad + 2.0 / D.shape[0] * fit.x, 0, atol=1e-6)
    for loss in population(TRUE).values():
        fit = fit_reward_model(np.zeros((4, 4)), STRINGS, pull=3.0, loss=loss)
        assert fit.converged
        np.testing.assert_allclose(loss(fit.x, X)[1] + 3.0 / 121 * fit.x, 0, atol=1e-6)


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


def test_sixteen_times_the_pairs_make_the_error_about_four_times_smaller():
    """It falls as 1/√pairs, on the running example; the pull takes a little at 5,000."""
    example = running_example()
    policy = np.exp(example.reference)
    few, many = (reward_error(example.world, policy, fitted(pairs)) for pairs in (5000, 80_000))
    assert 3 < few / many < 5.5
    assert reward_error(example.world, policy, np.zeros((27, 27))) > 2 * few


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


def test_without_a_pull_a_pair_seen_in_chosen_strings_only_runs_away():
    """What the chapter says of few pairs: the reward then has no optimum; a pull mends it."""
    pairs = pairs_of([[(0, 1), (1, 1), (1, 0)]], [[(0, 1), (1, 0)]], 2)
    free, held = (fit_reward_model(np.zeros((2, 2)), pairs, pull=pull).x for pull in (0.0, 2.0))
    assert free[1, 1] > 10 > 0.5 > held[1, 1] > 0
    with pytest.raises(ValueError, match="no optimum exists"):
        regularised_optimum(language(free), np.zeros((2, 2)), beta=1.0)
    assert regularised_optimum(language(held), np.zeros((2, 2)), beta=1.0).objective > 0


@pytest.mark.parametrize("seed", range(3))
def test_300_pairs_without_a_pull_have_no_optimum_and_with_it_a_bad_one(seed):
    """On the running example the true weights are below 1 and the largest learned one above 30.
    With the pull there is an optimum, which is no better than the reference."""
    example, pairs = running_example(), preference_pairs(300, seed)
    free, held = (fit_reward_model(np.zeros((27, 27)), pairs, pull=pull).x for pull in (0.0, 2.0))
    assert np.abs(free).max() > 30 > 1.2 > np.abs(held).max()
    assert np.abs(example.world.mean_reward).max() < 1
    with pytest.raises(ValueError, match="no optimum exists at beta = 0.5"):
        regularised_optimum(language(free), example.reference, beta=BETA)
    learned = regularised_optimum(language(held), example.reference, beta=BETA)
    assert -1 < share(tilt(example.reference, learned.action_values, beta=BETA)) < 0.1


# How good it is.


def test_a_tie_counts_half_and_only_signs_count():
    margins = np.array([3.0, 1e-9, -0.1, 0, 0, -5, 2])
    assert accuracy(margins) == (3 + 0.5 + 0.5) / 7
    assert accuracy(-margins) == pytest.approx(3 / 7, abs=1e-15)
    assert accuracy(margins / 100) == accuracy(margins)
    assert accuracy(np.zeros(3)) == 0.5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_best_accuracy_is_that_of_the_best_of_all_opinions(temperature):
    """All ways to prefer one string of each of five pairs, each with its expected accuracy"""
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


def test_on_fresh_pairs_a_fitted_model_is_nearly_as_accurate_as_any_can_be():
    fresh = preference_matrix(5000, 99)
    true = fresh @ running_example().world.mean_reward.ravel()
    best = best_accuracy(true)
    few, many = (expected_accuracy(true, fresh @ fitted(pairs).ravel()) for pairs in (5000, 80_000))
    assert best - 0.04 < few < many < best and many > best - 0.005
    assert expected_accuracy(true, true) == pytest.approx(best, abs=1e-12)
    margins = fresh @ fitted(80_000).ravel()
    assert abs(accuracy(margins) - many) < 5 * 0.5 / np.sqrt(5000)


def test_bins_by_loops():
    """Every pair told both ways; the last bin holds its upper end, empty bins are NaN."""
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


def test_what_a_true_reward_says_comes_true():
    """Margins log p/(1 − p) that are right in p of the cases, exactly: the error is 0."""
    came_true = np.array([1, 3, 6, 7, 9]) / 10
    m = np.log(came_true / (1 - came_true))
    margins = np.concatenate([np.repeat([x, -x], [round(10 * p), 10 - round(10 * p)])
                              for x, p in zip(m, came_true)])
    for bins in (2, 7, 20):
        found = calibration(margins, bins=bins)
        some = found.number > 0
        assert found.error == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(found.predicted[some], found.observed[some], atol=1e-12)
        assert calibration(2 * margins, bins=bins).error > 0.05  # twice too sure
        assert calibration(margins / 2, bins=bins).error > 0.05
    assert accuracy(2 * margins) == accuracy(margins)


def test_the_error_of_a_reward_is_a_standard_deviation_over_all_strings_of_the_reference():
    """Against the 8191 strings of up to twelve letters, which hold all but 1e-12 of the chance"""
    policy = np.array([[0.9, 0.06, 0.04], [0.9, 0.03, 0.07], [0.9, 0.02, 0.08]])
    true, learned = np.random.default_rng(5).normal(size=(2, 3, 3))
    strings = all_strings(2, 12)
    chance = np.array([np.prod([policy[pair] for pair in string]) for string in strings])
    gap = np.array(rewards_by_loops(learned - true, strings))
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


def test_the_error_is_measured_where_the_policy_writes():
    """A pair that this policy never writes may be worth anything."""
    policy = np.array([[0.5, 0.25, 0.25, 0], [0.5, 0.25, 0.25, 0], [0.5, 0.25, 0.25, 0],
                       [1, 0, 0, 0]])
    assert spread(TRUE + 9 * (np.arange(4) == 3), policy) == 0 < 5 < spread(
        TRUE + 9 * (np.arange(4) == 3))


# Errors.


def test_bad_arguments_are_refused_by_name():
    D = preference_matrix(20_000, 0)[:3]
    with pytest.raises(ValueError, match="difference must be"):
        bradley_terry_loss(np.zeros((2, 2)), D)
    with pytest.raises(ValueError, match="difference must be"):
        bradley_terry_loss(np.zeros((27, 27)), D[:0])
    for wrong in (-1.0, np.nan):
        with pytest.raises(ValueError, match="pull must be finite and not negative"):
            fit_reward_model(np.zeros((4, 4)), all_pairs(), pull=wrong)



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


@pytest.mark.parametrize("loss, rows", [(bradley_terry_loss, "pairs"), (squared_loss, "strings")])
def test_a_fit_told_the_curvature_finds_the_minimum_that_the_plain_search_finds(loss, rows):
    """(fitting.1) moves no minimum, whatever the loss, and with columns that never occur."""
    data, D = ((preference_pairs(300, 3), preference_matrix(300, 3)) if rows == "pairs"
               else (STRINGS, X))
    shape = (27, 27) if rows == "pairs" else (4, 4)
    bound = loss if rows == "pairs" else lambda w, strings: loss(w, strings, X @ TRUE.ravel())
    fit = fit_reward_model(np.zeros(shape), data, pull=1.0, loss=bound, tol=1e-8)
    plain = minimise_near(lambda w: bound(w, D), np.zeros(shape), pull=1.0, examples=D.shape[0],
                          tol=1e-8)
    assert fit.converged and plain.converged
    assert math.isclose(fit.loss, plain.loss, abs_tol=1e-12)
    np.testing.assert_allclose(fit.x, plain.x, atol=1e-5)
    _, grad = bound(fit.x, D)
    assert np.abs(grad + fit.x / D.shape[0]).max() <= 1e-8


def test_knowing_the_curvature_spares_a_quarter_of_the_search():
    """5,000 pairs of the running example, in which common letter pairs outnumber rare ones."""
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


def test_no_pairs_and_pairs_of_another_table_are_refused_before_the_fit():
    pairs = all_pairs()
    for shape, data in (((4, 4), pairs.select(np.arange(0))), ((4, 3), pairs), ((5, 4), pairs),
                        ((4, 4), counts.select(STRINGS, np.arange(0))), ((4, 3), STRINGS)):
        with pytest.raises(ValueError, match="must be at least one over a table of shape"):
            fit_reward_model(np.zeros(shape), data, pull=1.0)
    for matrix in pairs.difference, X:
        with pytest.raises(ValueError, match="pairs must be people.pairs.Pairs of counts.Steps"):
            fit_reward_model(np.zeros((4, 4)), matrix, pull=1.0)


@pytest.mark.parametrize("loss, more", [
    (plackett_luce_loss, 3), (logistic_loss, np.zeros(0)), (squared_loss, np.zeros(0))])
def test_no_strings_and_strings_of_another_table_are_refused(loss, more):
    for w, strings in ((TRUE, X[:0]), (np.zeros((3, 3)), X[:3])):
        with pytest.raises(ValueError, match=r"strings must be \(B, .*\) with B > 0 for a table"):
            loss(w, strings, more)


@pytest.mark.parametrize("options, message", [
    ({"margin": np.zeros(2)}, "margin must be finite, one for all or one a pair, 3"),
    ({"margin": np.nan}, "margin must be finite.* got nan"),
    ({"margin": np.array([0, np.inf, 0])}, "margin must be finite"),
    ({"margin": np.zeros((3, 1))}, "margin must be finite, one for all or one a pair"),
    ({"label_smoothing": -0.1}, r"label_smoothing must lie in \[0, 0.5\), got -0.1"),
    ({"label_smoothing": 0.5}, r"label_smoothing must lie in \[0, 0.5\), got 0.5"),
    ({"label_smoothing": np.nan}, r"label_smoothing must lie in \[0, 0.5\), got nan"),
    ({"pair_weights": np.ones(2)}, "pair_weights must be 3 finite numbers"),
    ({"pair_weights": np.zeros(3)}, "not negative and not all zero"),
    ({"pair_weights": np.array([1, -1, 3.0])}, "pair_weights must be 3 .* not negative"),
    ({"pair_weights": np.array([1, np.nan, 3.0])}, "pair_weights must be 3 finite"),
])
def test_what_no_comparison_can_have_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        bradley_terry_loss(TRUE, every_pair()[:3], **options)


@pytest.mark.parametrize("weights", [np.ones(2), np.ones((3, 1)), np.ones(()), np.zeros(3),
                                     np.array([1, -1, 3.0]), np.array([1, np.nan, 3.0]),
                                     np.array([1, np.inf, 3.0])])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(ValueError, match="pair_weights must be 3 finite numbers, not negative and "
                                         "not all zero, got"):
        shares(weights, 3)


def test_a_matrix_of_counts_must_fit_the_table_and_hold_a_row():
    """The name, both shapes and what was expected are in the message."""
    assert check_counts("chosen", X[:1], TRUE).shape == (1, 16)
    for rows, table, message in (
            (X[:0], TRUE, r"chosen must be \(B, 16\) .* shape \(4, 4\), got \(0, 16\)"),
            (X[:2], TRUE[:3], r"chosen must be \(B, 12\) .* shape \(3, 4\), got \(2, 16\)"),
            (X[:2, :15], TRUE, r"chosen must be \(B, 16\) with B > 0 .* got \(2, 15\)")):
        with pytest.raises(ValueError, match=message):
            check_counts("chosen", rows, table)


@pytest.mark.parametrize("K, message", [
    (1, "num_generations must be at least 2"), (0, "num_generations must be"),
    (2.5, "num_generations must be"), (5, "divide the number of strings, 12, got 5")])
def test_rankings_that_do_not_come_out_even_are_refused(K, message):
    with pytest.raises(ValueError, match=message):
        plackett_luce_loss(TRUE, X[:12], K)


@pytest.mark.parametrize("loss, wrong, message", [
    (logistic_loss, [0, 1], r"labels must be 3 numbers in \[0, 1\]"),
    (logistic_loss, [0, 1, 1.1], r"labels must be 3 numbers in \[0, 1\]"),
    (logistic_loss, [0, -0.1, 1], r"labels must be 3 numbers in \[0, 1\]"),
    (logistic_loss, [0, np.nan, 1], r"labels must be 3 numbers in \[0, 1\]"),
    (squared_loss, [0, 1], "scores must be 3 finite numbers"),
    (squared_loss, [0, np.inf, 1], "scores must be 3 finite numbers"),
])
def test_labels_and_scores_out_of_range_are_refused(loss, wrong, message):
    with pytest.raises(ValueError, match=message):
        loss(TRUE, X[:3], np.array(wrong, float))


def test_measures_of_nothing_are_refused():
    for temperature in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="temperature must be positive, got"):
            best_accuracy(np.ones(2), temperature=temperature)
    for bins in (0, -1, 2.5):
        with pytest.raises(ValueError, match="bins must be"):
            calibration(np.ones(2), bins=bins)
    for margins in (np.zeros(0), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="margins must be a vector of at least one"):
            calibration(margins)
    with pytest.raises(ValueError, match="never ends"):
        reward_error(language(TRUE), np.eye(4)[[1, 1, 1, 1]], OTHER)


def test_a_learned_table_of_another_shape_is_refused_by_name():
    """A row or a column would be spread over the whole table without a word."""
    for shape in ((4, 3), (1, 4), (4, 1), ()):
        with pytest.raises(ValueError, match="weights must have"):
            reward_error(language(TRUE), np.full((4, 4), 0.25), np.zeros(shape))
