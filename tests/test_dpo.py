"""DPO: the population optimum, its known traps, and its share of J*.  Its loss is in
`test_plain.py` and `test_preference_losses.py`."""

from functools import cache

import numpy as np
import pytest
from languages import (BETA, all_strings, as_steps, mean_length, pairs_of, preference_matrix,
                       preference_pairs, running_example, score, share, sigma, totals)
from scipy import sparse

from minirl.kernel import counts
from minirl.people.dpo import dpo_loss, fit_dpo, preference_metrics
from minirl.kernel.mdp import unroll
from minirl.people.fitting import minimise
from minirl.people.regularised import regularised_optimum, tilt
from minirl.people.pairs import choices
from minirl.kernel.softmax import log_ratios, log_softmax
from toy_lm.ngram import language

SEED = (0, 9)  # of the figures in the chapter; the job `alignment` takes it for few preferences


def test_the_regularised_optimum_contains_its_reward():
    """(dpo.1): β log π*/π_ref is the reward of the string minus β log Z, a constant"""
    rng = np.random.default_rng(2)
    rewards, ref = rng.normal(size=(3, 3)) - 1, rng.normal(size=(3, 3))
    best = regularised_optimum(language(rewards), ref, beta=0.7)
    implied = 0.7 * log_ratios(tilt(ref, best.action_values, beta=0.7), ref)[1]
    np.testing.assert_allclose(totals(rewards - implied, all_strings(2, 4)), best.objective,
                               atol=1e-10)


def test_in_the_population_the_gradient_vanishes_at_the_regularised_optimum():
    """(dpo.3): every ordered pair of strings of up to four letters over an alphabet of three"""
    rng = np.random.default_rng(3)
    rewards, ref = rng.normal(size=(4, 4)) - 1.5, rng.normal(size=(4, 4))
    best = regularised_optimum(language(rewards), ref, beta=0.7)
    X = counts.matrix(as_steps(all_strings(3, 4), 4))
    first, second = np.divmod(np.arange(X.shape[0]**2), X.shape[0])
    D = X[first] - X[second]
    chance = sigma(D @ rewards.ravel())
    for logits, rests in ((tilt(ref, best.action_values, beta=0.7), True), (ref, False)):
        _, grad = dpo_loss(logits, ref, D, beta=0.7, pair_weights=chance)
        assert (np.abs(grad).max() < 1e-14) == rests and (rests or np.abs(grad).max() > 1e-3)


def test_a_bigram_cannot_be_the_optimum_of_strings_that_are_cut():
    """Its rows change with the clock; where strings end by themselves they do not."""
    rng = np.random.default_rng(2)
    rewards, ref = rng.normal(size=(3, 3)) - 1, rng.normal(size=(3, 3))
    clock = np.tile(ref, (4, 1))
    cut = regularised_optimum(unroll(language(rewards), 4), clock, beta=0.7)
    rows = np.exp(tilt(clock, cut.action_values, beta=0.7)).reshape(4, 3, 3)
    for letter in (1, 2):
        assert np.abs(rows[1, letter] - rows[3, letter]).max() > 0.01
    np.testing.assert_allclose(rows[3], np.exp(log_softmax(ref + rewards / 0.7)), atol=1e-12)


def toss(wins, losses):
    """A world of one step and two strings, and comparisons that the second string won or lost."""
    return (np.array([[0.3, -0.2]]),
            choices([1] * wins + [0] * losses, [0] * wins + [1] * losses, 2))


def margin(logits, ref, beta):
    """m of the second string over the first."""
    table = beta * log_ratios(logits, ref)[1][0]
    return table[1] - table[0]


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("wins, losses", [(2, 1), (1, 4), (3, 3)])
def test_the_fit_wants_a_margin_between_the_share_of_wins_and_a_coin(wins, losses, epsilon):
    """(dpo.4): σ(m) = ε + (1 − 2ε)p, whatever the price; a dear policy stays nearer."""
    p = wins / (wins + losses)
    ref, pairs = toss(wins, losses)
    for beta in (0.1, 1.0, 5.0):
        fit = fit_dpo(ref, pairs, beta=beta, pull=0, label_smoothing=epsilon)
        assert sigma(margin(fit.x, ref, beta)) == pytest.approx(epsilon + (1 - 2 * epsilon) * p,
                                                                abs=1e-5)


@pytest.mark.parametrize("beta", [0.1, 0.5, 5.0])
def test_a_pair_without_doubt_is_sent_to_infinity(beta):
    """The gradient is β σ(−m), so a smaller tolerance is a larger margin, at any price."""
    ref, pairs = toss(1, 0)
    for tol in (1e-2, 1e-4, 1e-6):
        fit = minimise(lambda x: dpo_loss(x, ref, pairs.difference, beta=beta), ref, tol=tol)
        assert fit.converged and margin(fit.x, ref, beta) >= np.log(beta / tol - 1) - 1e-9
        assert fit.loss <= 1.01 * tol / beta


def changes(logits, ref, chosen, rejected, beta):
    """What a step against the gradient of one pair does to both log-probabilities, exactly, by a
    step of 1e-30 times i; and the factor β σ(−m) that both have in common."""
    both = [as_steps([string], len(logits)) for string in (chosen, rejected)]
    _, grad = dpo_loss(logits, ref, counts.difference_matrix(*both), beta=beta)
    moved = log_softmax(logits - 1e-30j * grad).ravel()
    plus, minus = ((counts.matrix(steps) @ moved)[0].imag / 1e-30 for steps in both)
    m = beta * np.subtract(*totals(log_ratios(logits, ref)[1], [chosen, rejected]))
    return plus, minus, beta * sigma(-m)


def test_what_a_step_does_to_the_two_strings_of_a_pair():
    """(dpo.5), for random pairs of strings that share steps; either sign occurs."""
    rng, strings, signs = np.random.default_rng(9), all_strings(2, 4), []
    for _ in range(60):
        first, second = rng.choice(len(strings), 2, replace=False)
        chosen, rejected = strings[first], strings[second]
        logits, ref = rng.normal(size=(2, 3, 3))
        up, down = (score(log_softmax(logits), string) for string in (chosen, rejected))
        inner = (up * down).sum()
        plus, minus, factor = changes(logits, ref, chosen, rejected, beta=0.6)
        assert plus == pytest.approx(factor * ((up**2).sum() - inner), abs=1e-12)
        assert minus == pytest.approx(factor * (inner - (down**2).sum()), abs=1e-12)
        signs.append((plus > 0, minus > 0))
    assert {(True, False), (False, False), (True, True)} == set(signs)


def test_a_chosen_string_that_must_become_less_likely():
    """(dpo.5), pitfall 14: "aa" is preferred to "aaaa", and the way down for more of "aa" is a
    way down for one.  By hand: 2/3 − 4/3 and 4/3 − 14/3, at the uniform table of three symbols."""
    ref = np.zeros((3, 3))
    chosen, rejected = [(0, 1), (1, 1), (1, 0)], [(0, 1), (1, 1), (1, 1), (1, 1), (1, 0)]
    plus, minus, factor = changes(ref, ref, chosen, rejected, beta=1.0)
    assert factor == 0.5
    assert plus / factor == pytest.approx(-2 / 3, abs=1e-12)
    assert minus / factor == pytest.approx(-10 / 3, abs=1e-12)
    D = counts.difference_matrix(as_steps([chosen], 3), as_steps([rejected], 3))
    logits, before = ref, np.zeros(2)
    for _ in range(50):  # no small step only: the loss and both strings fall all the way
        loss, grad = dpo_loss(logits, ref, D, beta=1.0)
        logits = logits - 0.1 * grad
        after = totals(log_ratios(logits, ref)[1], [chosen, rejected])
        assert (after < before).all() and dpo_loss(logits, ref, D, beta=1.0)[0] < loss
        before = after
    assert after[0] < -0.3 and after[1] < after[0] - 1


def test_with_one_letter_the_lead_of_the_shorter_string_costs_its_own_probability():
    """(dpo.5), the chapter's numbers: Δ is −8/9 and −40/9 where π(a|a) = 1/3, and from there to
    1/4 the quotient grows from 9 to 16, and "aa" falls from 0.222 to 0.188."""
    strings = [(0, 1), (1, 1), (1, 0)], [(0, 1), (1, 1), (1, 1), (1, 1), (1, 0)]
    ref, later = np.log([[0.5, 0.5], [2 / 3, 1 / 3]]), np.log([[0.5, 0.5], [3 / 4, 1 / 4]])
    plus, minus, factor = changes(ref, ref, *strings, beta=1.0)
    assert [plus / factor, minus / factor] == pytest.approx([-8 / 9, -40 / 9], abs=1e-12)
    for table, short, quotient in ((ref, 0.222, 9), (later, 0.188, 16)):
        after_the_first = np.exp(totals(table, [string[1:] for string in strings]))
        assert round(after_the_first[0], 3) == short
        assert after_the_first[0] / after_the_first[1] == pytest.approx(quotient, abs=1e-9)


def test_in_one_softmax_over_whole_strings_the_chosen_one_cannot_fall():
    """(dpo.5), pitfall 14: it rises by 1 − π(y⁺) + π(y⁻), whatever policy, reference and price"""
    rng = np.random.default_rng(10)
    for _ in range(200):
        strings = int(rng.integers(2, 9))
        logits, ref = rng.choice([0.1, 1, 4]) * rng.normal(size=(2, 1, strings))
        first, second = rng.choice(strings, 2, replace=False)
        beta, policy = rng.uniform(0.01, 3), np.exp(log_softmax(logits))[0]
        _, grad = dpo_loss(logits, ref, sparse.csr_array(np.eye(strings)[[first]]
                                                         - np.eye(strings)[[second]]), beta=beta)
        moved = log_softmax(logits - 1e-30j * grad)[0].imag / 1e-30
        ratios = log_ratios(logits, ref)[1][0]
        m = beta * (ratios[first] - ratios[second])
        plus, minus = moved[[first, second]] / (beta * sigma(-m))
        assert plus > 0 > minus
        assert plus == pytest.approx(1 - policy[first] + policy[second], abs=1e-10)
        assert minus == pytest.approx(policy[second] - policy[first] - 1, abs=1e-10)


def test_without_a_pull_a_pair_seen_in_chosen_strings_only_runs_away():
    pairs = pairs_of([[(0, 1), (1, 0)]], [[(0, 0)]], 2)
    free, held = (fit_dpo(np.zeros((2, 2)), pairs, beta=0.5, pull=pull).x for pull in (0.0, 2.0))
    assert np.exp(log_softmax(free))[0, 1] > 0.9999 > 0.7 > np.exp(log_softmax(held))[0, 1] > 0.5


def test_a_pair_seen_in_chosen_strings_only_need_not_run_away_where_others_hold_its_row():
    """Of "aa" and "a" each was preferred once, which holds π(a|a) at 1/3.  "ab" was preferred to
    "b": (a, b) is in chosen strings only, and "ab" wins at no cost, since "b" is given up."""
    chosen = [[(0, 1), (1, 1), (1, 0)], [(0, 1), (1, 0)], [(0, 1), (1, 2), (2, 0)]]
    rejected = [chosen[1], chosen[0], [(0, 2), (2, 0)]]
    fit = fit_dpo(np.zeros((3, 3)), pairs_of(chosen, rejected), beta=0.5, pull=0)
    policy = np.exp(log_softmax(fit.x))
    assert fit.loss == pytest.approx(2 / 3 * np.log(2), abs=1e-6)
    assert policy[1, 1] == pytest.approx(1 / 3, abs=1e-5) and policy[0, 2] < 1e-5
    assert policy[1, 2] < 2 / 3


@pytest.mark.slow
def test_few_pairs_without_a_pull_make_strings_of_hundreds_of_letters():
    """300 and 3,000 pairs of the running example, 150 steps on the way; the reference has 5.9
    letters."""
    ref = running_example().reference
    assert round(mean_length(ref), 1) == 5.9

    def on_the_way(pairs, seed):
        D = preference_matrix(pairs, seed)
        return minimise(lambda x: dpo_loss(x, ref, D, beta=BETA), ref, max_iterations=150).x

    for pairs in (300, 3000):
        free = on_the_way(pairs, SEED)
        assert mean_length(free) > 500 and share(free) < -100
    # From 50 letters to strings that hardly ever end.
    lengths = [mean_length(on_the_way(300, seed)) for seed in range(10)]
    assert min(lengths) > 50 and np.median(lengths) > 500


@pytest.mark.slow
def test_20_000_pairs_without_a_pull_run_away_too_and_where_they_stop_is_the_solvers_choice():
    """The longer the solver may try, the lower the loss, and the longer the strings."""
    ref, D = running_example().reference, preference_matrix(20_000, SEED).copy()
    D.sum_duplicates()
    D.eliminate_zeros()  # what both strings share; a little less to multiply
    logits, previous = ref, (np.log(2), mean_length(ref))
    for iterations in (100, 250):
        fit = minimise(lambda x: dpo_loss(x, ref, D, beta=BETA), logits, max_iterations=iterations)
        assert not fit.converged and fit.loss < previous[0]
        assert mean_length(fit.x) > 2 * previous[1]
        logits, previous = fit.x, (fit.loss, mean_length(fit.x))
    assert previous[1] > 200 and share(logits) < -100


@cache
def fitted(pairs, seed):
    return fit_dpo(running_example().reference, preference_pairs(pairs, seed), beta=BETA, pull=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("pairs, percent, within, seeds", [
    (300, 33, 4, (SEED, 0, 1, 2)), (3000, 73, 2.5, (SEED, 0, 1, 2)),
    (20_000, 93, 1, (SEED, 0, 1, 2)), (100_000, 98, 0.5, (1,))])
def test_with_a_pull_of_two_pairs_give_what_the_chapter_says(pairs, percent, within, seeds):
    """About a third, 73, 93 and 98 % of what there is to gain"""
    for seed in seeds:
        fit = fitted(pairs, seed)
        assert fit.converged and 100 * share(fit.x) == pytest.approx(percent, abs=within)
        assert pairs > 20_000 or mean_length(fit.x) < mean_length(running_example().reference)


@pytest.mark.parametrize("seed", [SEED, 0, 1, 2])
def test_the_chosen_strings_of_the_running_example_fall_and_the_rejected_ones_fall_further(seed):
    """The figures of the chapter, fitted to 20,000 pairs with a pull of 2"""
    ref = running_example().reference
    before, after = (preference_metrics(logits, ref, preference_pairs(20_000, seed), beta=BETA)
                     for logits in (ref, fitted(20_000, seed).x))
    for name, fall in (("chosen", 0.37), ("rejected", 2.0)):
        assert before[f"logps/{name}"] - after[f"logps/{name}"] == pytest.approx(fall, rel=0.08)


def test_every_metric_by_loops_with_ties_counting_half():
    """(dpo.1): implicit rewards are sums of log-ratios times β; five pairs, one string twice"""
    logits, ref = np.random.default_rng(12).normal(size=(2, 3, 3))
    sides = [[all_strings(2, 3)[i] for i in side] for side in ((3, 7, 0, 11, 5), (12, 1, 9, 11, 2))]
    found = preference_metrics(logits, ref, pairs_of(*sides), beta=0.3)
    own, old = ([totals(log_softmax(table), side) for side in sides] for table in (logits, ref))
    good, bad = (0.3 * (one - other) for one, other in zip(own, old))
    wins = (good > bad) + 0.5 * (good == bad)
    expected = {"rewards/chosen": good, "rewards/rejected": bad, "rewards/margins": good - bad,
                "rewards/accuracies": wins, "logps/chosen": own[0], "logps/rejected": own[1]}
    assert list(found) == list(expected) and {type(value) for value in found.values()} == {float}
    assert found == pytest.approx({name: x.mean() for name, x in expected.items()}, abs=1e-12)
    assert set(wins) == {0.0, 0.5, 1.0} and len(set(found.values())) == 6
