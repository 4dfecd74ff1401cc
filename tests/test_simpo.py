"""SimPO: the loss against loops, where its margin stands, what it finds without a reference, and
that it forgets how to end a string."""

import numpy as np
import pytest
from languages import (BETA, all_strings, as_steps, pairs_of, preference_pairs, running_example,
                       share)
from scipy import sparse

from minirl.kernel import counts
from minirl.exact.evaluation import expectation
from minirl.people.kl import string_kl
from minirl.people.fitting import minimise
from minirl.people.reward_model import bradley_terry_loss
from minirl.people.pairs import check_both_means, choices
from minirl.people.simpo import fit_simpo, simpo_loss
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(3, 3))
SHORT = [(0, 1), (1, 2), (2, 2), (2, 0)]  # "abb"
LONG = [(0, 2), (2, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 0)]  # "baaabb"
GOOD = sparse.csr_array([[0.0, 1.0]])  # one string of one step, and the other one
BAD = sparse.csr_array([[1.0, 0.0]])


def means(strings, symbols=3):
    return counts.mean_matrix(as_steps(strings, symbols))


def mean_logp(logits, string):
    """log π(y)/|y| by a loop."""
    logp = log_softmax(logits)
    return sum(logp[pair] for pair in string) / len(string)


def some_pairs():
    """Twelve pairs of strings of one to five steps, the first of them empty."""
    strings = all_strings(2, 4)
    rows = np.random.default_rng(1).integers(len(strings), size=(12, 2))
    rows[0, 0] = 0
    return [strings[i] for i in rows[:, 0]], [strings[i] for i in rows[:, 1]]


def every_pair(probability):
    """M⁺, M⁻ of all ordered pairs of the 31 strings of up to four letters of two, and the chance
    `probability(first, second)` that the first is preferred."""
    M = means(all_strings(2, 4))
    first, second = np.divmod(np.arange(M.shape[0]**2), M.shape[0])
    return M[first], M[second], probability(first, second)


def one_step(p):
    """Pairs of a world of two strings, the second of which wins the share p; and their weights."""
    both = sparse.vstack([GOOD, BAD]).tocsr()
    return both, both[[1, 0]], np.array([p, 1 - p])


# The loss.


def test_the_loss_compares_mean_log_probabilities_and_not_sums():
    """(simpo.1), pitfalls 11 and 27, as a loop over strings of four and of seven steps"""
    chosen, rejected, weights = [SHORT, LONG, SHORT], [LONG, SHORT, LONG[:1]], RNG.random(3)
    for gamma in (0.0, 1.5):
        nats = []
        for good, bad in zip(chosen, rejected):
            lead = 2.5 * (mean_logp(LOGITS, good) - mean_logp(LOGITS, bad)) - gamma
            nats.append(-np.log(1 / (1 + np.exp(-lead))))
        for q, expected in ((None, np.mean(nats)), (weights, weights @ nats / weights.sum())):
            loss, _ = simpo_loss(LOGITS, means(chosen), means(rejected), beta=2.5,
                                 simpo_gamma=gamma, pair_weights=q)
            assert loss == pytest.approx(expected, abs=1e-12)


def test_the_margin_stands_beside_the_price():
    """Pitfall 15: "a" with 1/2 · 1/2 against "bb" with 1/4 · 1/4 · 1/4, β = 3 and γ = log 2.

    m − γ = 3 log 2 − log 2, so that the loss is log(1 + 1/4).  With γ inside it would be log 2, and
    with sums in place of means log(1 + 2/2¹²).
    """
    logits = np.log([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    a, bb = [(0, 1), (1, 0)], [(0, 2), (2, 2), (2, 0)]
    loss, _ = simpo_loss(logits, means([a]), means([bb]), beta=3.0, simpo_gamma=np.log(2))
    assert loss == pytest.approx(np.log(5 / 4), abs=1e-14)


def test_it_is_the_loss_of_a_reward_model_at_the_scaled_log_probabilities():
    """(simpo.2): (reward_model.3) at w = β log π with the margin γ, and ∂w/∂log π = β"""
    chosen, rejected = map(means, some_pairs())
    weights, logp = RNG.random(12), log_softmax(LOGITS)
    for gamma, q in ((0.0, None), (1.0, weights)):
        loss, grad = simpo_loss(LOGITS, chosen, rejected, beta=2.0, simpo_gamma=gamma,
                                pair_weights=q)
        own, slope = bradley_terry_loss(2 * logp, chosen - rejected, margin=gamma, pair_weights=q)
        assert loss == pytest.approx(own, abs=1e-12)
        np.testing.assert_allclose(grad, backward(logp, 2 * slope), atol=1e-12)


def test_a_reference_that_gives_every_step_the_same_would_not_matter_and_another_one_would():
    """Every mean of log π − c is c less; with sums it would be c times the length less."""
    chosen, rejected = map(means, some_pairs())
    loss, _ = simpo_loss(LOGITS, chosen, rejected, beta=2.0, simpo_gamma=1.0)
    for reference, matters in ((np.full((3, 3), -np.log(3)), False), (log_softmax(-LOGITS), True)):
        own, _ = bradley_terry_loss(2 * (log_softmax(LOGITS) - reference), chosen - rejected,
                                    margin=1.0)
        assert (abs(own - loss) > 1e-3) == matters and (matters or own == pytest.approx(loss))


def test_a_constant_on_a_row_changes_nothing():
    chosen, rejected = map(means, some_pairs())
    for logits in (LOGITS, LOGITS + RNG.normal(size=(3, 1))):
        loss, grad = simpo_loss(logits, chosen, rejected, beta=2.0, simpo_gamma=1.0)
        np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-15)
        assert loss == pytest.approx(simpo_loss(LOGITS, chosen, rejected, beta=2.0,
                                                simpo_gamma=1.0)[0], abs=1e-12)


def test_parts_of_a_batch_weighted_by_their_size_add_up_to_the_batch():
    """Pitfall 26; with weights a part counts by the sum of its weights."""
    chosen, rejected = map(means, some_pairs())
    for q in (np.ones(12), np.arange(1.0, 13)):
        whole = simpo_loss(LOGITS, chosen, rejected, beta=2.0, simpo_gamma=1.0, pair_weights=q)
        parts = [(q[rows].sum() / q.sum(),
                  simpo_loss(LOGITS, chosen[rows], rejected[rows], beta=2.0, simpo_gamma=1.0,
                             pair_weights=q[rows])) for rows in np.split(np.arange(12), [1, 4])]
        assert sum(part * loss for part, (loss, _) in parts) == pytest.approx(whole[0], abs=1e-12)
        np.testing.assert_allclose(sum(part * grad for part, (_, grad) in parts), whole[1],
                                   atol=1e-12)


def test_huge_margins_do_not_overflow():
    """Pitfall 13: a lead of ±1000"""
    logits = np.array([[0.0, 1000.0]])
    for gamma in (0.0, 30.0):
        loss, grad = simpo_loss(logits, GOOD, BAD, beta=1.0, simpo_gamma=gamma)
        assert loss == 0 and (grad == 0).all()
        loss, grad = simpo_loss(-logits, GOOD, BAD, beta=1.0, simpo_gamma=gamma)
        assert loss == 1000 + gamma and grad.tolist() == [[1, -1]]


# What it finds.


@pytest.mark.parametrize("beta", [0.7, 2.0])
def test_in_the_population_mean_log_probabilities_become_the_rewards_up_to_a_constant(beta):
    """Raters whose reward is β log π*/|y| + 3: the gradient vanishes at π*, and not with γ > 0."""
    optimal = log_softmax(RNG.normal(size=(3, 3)))
    reward = beta * (means(all_strings(2, 4)) @ optimal.ravel()) + 3
    chosen, rejected, chance = every_pair(
        lambda first, second: np.exp(log_sigmoid(reward[first] - reward[second])))
    for logits, gamma, rests in ((optimal, 0.0, True), (LOGITS, 0.0, False), (optimal, 1.0, False)):
        _, grad = simpo_loss(logits, chosen, rejected, beta=beta, simpo_gamma=gamma,
                             pair_weights=chance)
        assert (np.abs(grad).max() < 1e-14) == rests and (rests or np.abs(grad).max() > 1e-3)


def test_nothing_remains_of_where_the_fit_began():
    """Three strings of one step: log π is the reward over β, from every reference."""
    reward, number = np.array([0.5, -1.0, 1.2]), 20_000
    rows = np.argwhere(~np.eye(3, dtype=bool))
    wins = np.exp(log_sigmoid(reward[rows[:, 0]] - reward[rows[:, 1]]))
    rows = np.repeat(rows, np.round(number * wins).astype(int), axis=0)
    pairs = choices(*rows.T, 3)
    for reference in (np.zeros((1, 3)), np.array([[3.0, -2.0, 0.0]])):
        fit = fit_simpo(reference, pairs, beta=2.0, simpo_gamma=0.0, pull=0)
        assert fit.converged
        np.testing.assert_allclose(log_softmax(fit.x), log_softmax(reward[None] / 2), atol=1e-4)


def best_lead(p, gamma):
    """The minimum over m of −p log σ(m − γ) − (1 − p) log σ(−m − γ), by the zero of a quadratic:
    with x = e^m and c = e^−γ its slope vanishes where (1 − p)(1 + cx) = p(1 + c/x)."""
    c = np.exp(-gamma)
    return np.log(np.roots([(1 - p) * c, 1 - 2 * p, -p * c]).max())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.9])
def test_a_margin_enlarges_every_lead_but_that_of_equals(p, gamma):
    """Two strings of one step; without γ the lead is log p/(1 − p), with it more, unless p = 1/2,
    where each winner should lead and neither does."""
    chosen, rejected, q = one_step(p)
    found = minimise(lambda x: simpo_loss(x, chosen, rejected, beta=2.0, simpo_gamma=gamma,
                                          pair_weights=q), np.array([[1.0, 0.0]]), tol=1e-10)
    lead = 2 * (found.x[0, 1] - found.x[0, 0])
    assert found.converged and lead == pytest.approx(best_lead(p, gamma), abs=1e-6)
    if p == 0.5:
        assert abs(lead) < 1e-6 and found.loss == pytest.approx(np.log(1 + np.exp(gamma)))
    elif gamma == 0:
        assert lead == pytest.approx(np.log(p / (1 - p)), abs=1e-6)
    else:
        assert lead > np.log(p / (1 - p)) + 0.1


def test_a_lead_by_hand():
    """e^γ = 2 and two wins of three: x²/2 − x − 1 = 0, so that e^m is 1 + √3 in place of 2."""
    assert best_lead(2 / 3, np.log(2)) == pytest.approx(np.log(1 + 3**0.5), abs=1e-12)
    chosen, rejected, q = one_step(2 / 3)
    logits = np.array([[0.0, np.log(1 + 3**0.5) / 2]])
    _, grad = simpo_loss(logits, chosen, rejected, beta=2.0, simpo_gamma=np.log(2), pair_weights=q)
    np.testing.assert_allclose(grad, 0, atol=1e-15)


def test_the_fit_is_a_stationary_point_of_the_loss_with_its_pull():
    """(fitting.2) around the reference with pull/B"""
    pairs, reference = pairs_of(*some_pairs()), RNG.normal(size=(3, 3))
    fit = fit_simpo(reference, pairs, beta=2.0, simpo_gamma=1.0, pull=3.0)
    _, grad = simpo_loss(fit.x, *pairs.means, beta=2.0, simpo_gamma=1.0)
    assert fit.converged and np.abs(fit.x - reference).max() > 0.1
    np.testing.assert_allclose(grad + 3 / 12 * (fit.x - reference), 0, atol=1e-6)


# The running example, with the β = 2 and γ = 1 of the paper.


def mean_of(logits, table):
    return expectation(running_example().world, np.exp(log_softmax(logits)), table)


@pytest.mark.parametrize("pairs, seed, least, most", [
    (3000, 1, 1e6, np.inf), (3000, 2, 1e7, np.inf), (3000, 3, 1e7, np.inf),
    (20_000, 0, 1e6, np.inf), (20_000, 1, 1e6, np.inf), (20_000, 2, 0, 1e-3)])
def test_without_a_pull_strings_do_not_end_or_end_at_once(pairs, seed, least, most):
    """After 800 steps on the way they have more than a million letters, or none."""
    example, letters = running_example(), 1.0 * (np.arange(27) > 0) * np.ones((27, 1))
    chosen, rejected = preference_pairs(pairs, seed).means
    difference = chosen - rejected

    def loss(x):  # that of `simpo_loss`, with the difference taken once
        value, slope = bradley_terry_loss(2 * log_softmax(x), difference, margin=1.0)
        return value, backward(log_softmax(x), 2 * slope)

    fit = minimise(loss, example.reference, max_iterations=800)
    assert not fit.converged and fit.loss < loss(example.reference)[0] - 0.1
    assert least < mean_of(fit.x, letters) < most and 5 < mean_of(example.reference, letters) < 6
    assert share(fit.x) < (-1e5 if least else -5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_the_pull_of_dpo_the_kl_eats_up_a_reward_above_that_of_the_optimum(seed):
    """A sixth of what there is to gain at most"""
    example = running_example()
    fit = fit_simpo(example.reference, preference_pairs(100_000, seed), beta=2.0, simpo_gamma=1.0,
                    pull=2.0)
    assert fit.converged and -0.1 < share(fit.x) < 1 / 6
    kl, _ = string_kl(example.world, fit.x, example.reference)
    assert 2.1 < kl < 2.6
    reward = mean_of(fit.x, example.world.mean_reward)
    assert reward - BETA * kl < example.optimum.objective < 0.2 < 0.596 < reward


# Errors.


def test_what_is_no_pair_of_means_is_refused_by_name():
    def run(logits, good, bad, beta):
        return simpo_loss(logits, good, bad, beta=beta, simpo_gamma=1.0)

    good, bad = means([SHORT, LONG]), means([LONG, SHORT])
    for beta in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"beta must be positive and finite, got {beta}"):
            run(LOGITS, good, bad, beta)
        with pytest.raises(ValueError, match=f"beta must be positive and finite, got {beta}"):
            fit_simpo(LOGITS, pairs_of([SHORT], [LONG]), beta=beta, simpo_gamma=1.0, pull=1.0)
    for name, pair in (("chosen", (good[:0], bad)), ("chosen", (good[:, :4], bad)),
                       ("rejected", (good, bad[:0])), ("rejected", (good, bad[:, :4]))):
        with pytest.raises(ValueError, match=rf"{name} must be \(B, 9\) with B > 0"):
            run(LOGITS, *pair, 2.0)
    with pytest.raises(ValueError, match="must be pairs, got 2 and 1 strings"):
        run(LOGITS, good, bad[:1], 2.0)
    sums = counts.matrix(as_steps([SHORT, LONG], 3))
    for name, pair in (("chosen", (sums, bad)), ("rejected", (good, sums))):
        with pytest.raises(ValueError, match=rf"{name} must have rows that sum to 1 "
                                             r"\(counts.mean_matrix\), got sums from 4 to 7"):
            run(LOGITS, *pair, 2.0)


def test_means_need_not_be_exact_but_nearly():
    good = means([LONG, [(0, 0)]])
    check_both_means(LOGITS, (1 + 1e-12) * good, good)
    for factor in (1 + 1e-6, 1 - 1e-6, 0, -1):
        with pytest.raises(ValueError, match="chosen must have rows that sum to 1"):
            check_both_means(LOGITS, factor * good, good)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_a_row_that_sums_to_one_by_negative_entries_is_no_mean(form):
    """No string takes a step less than never."""
    good = form(np.eye(9)[:2])
    crooked = form([[1.5, -0.5, *[0.0] * 7], np.eye(9)[1]])
    check_both_means(LOGITS, good, good)
    for name, pair in (("chosen", (crooked, good)), ("rejected", (good, crooked))):
        message = rf"^{name} must have no negative entries \(counts.mean_matrix\), got -0.5$"
        for run in (lambda: check_both_means(LOGITS, *pair),
                    lambda: simpo_loss(LOGITS, *pair, beta=2.0, simpo_gamma=1.0)):
            with pytest.raises(ValueError, match=message):
                run()


@pytest.mark.parametrize("gamma", [-0.1, np.nan, np.inf])
def test_a_margin_out_of_range_is_refused(gamma):
    good, bad = means([SHORT]), means([LONG])
    with pytest.raises(ValueError, match=f"simpo_gamma must be finite and not negative, "
                                         f"got {gamma}"):
        simpo_loss(LOGITS, good, bad, beta=2.0, simpo_gamma=gamma)
    with pytest.raises(ValueError, match="simpo_gamma must be finite"):
        fit_simpo(LOGITS, pairs_of([SHORT], [LONG]), beta=2.0, simpo_gamma=gamma, pull=1.0)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan]])
def test_weights_that_are_none_are_refused(weights):
    pair = means([SHORT, LONG]), means([LONG, SHORT])
    with pytest.raises(ValueError, match="pair_weights must be 2 finite numbers"):
        simpo_loss(LOGITS, *pair, beta=2.0, simpo_gamma=1.0, pair_weights=np.array(weights))


@pytest.mark.parametrize("pull", [-1.0, np.nan])
def test_a_negative_pull_is_refused(pull):
    with pytest.raises(ValueError, match=f"pull must be finite and not negative, got {pull}"):
        fit_simpo(LOGITS, pairs_of([SHORT], [LONG]), beta=2.0, simpo_gamma=1.0, pull=pull)


def test_rows_that_are_not_numbers_are_no_means():
    good = means([LONG, [(0, 0)]])
    holed = good.copy()
    holed.data[0] = np.nan
    for name, pair in (("chosen", (holed, good)), ("rejected", (good, holed))):
        with pytest.raises(ValueError, match=f"{name} must have rows that sum to 1"):
            check_both_means(LOGITS, *pair)


@pytest.mark.parametrize("wrong", [-np.inf, np.inf, np.nan])
def test_a_policy_without_full_support_is_refused(wrong):
    """Otherwise the loss is not a number, and a fit returns it without a word."""
    good, holed = means([LONG, [(0, 0)]]), LOGITS.copy()
    holed[1, 2] = wrong
    for run in (lambda: simpo_loss(holed, good, good, beta=2.0, simpo_gamma=1.0),
                lambda: fit_simpo(holed, pairs_of([SHORT], [LONG]), beta=2.0, simpo_gamma=1.0,
                                  pull=1.0)):
        with pytest.raises(ValueError, match="^logits must be finite"):
            run()
