"""DPO: the loss against a loop, the population optimum, its known traps, and its share of J*."""

import numpy as np
import pytest
from languages import all_strings, as_steps, preference_matrix, running_example, share

from minirl import counts
from minirl.dpo import dpo_loss, fit_dpo
from minirl.regularised import regularised_optimum, tilt
from minirl.softmax import log_sigmoid, log_softmax
from toy_lm.ngram import language


def two_pairs():
    """Pairs of unequal lengths: (chosen, rejected) lists of strings, and D."""
    chosen = [[(0, 1), (1, 1), (1, 2), (2, 0)], [(0, 0)]]
    rejected = [[(0, 2), (2, 0)], [(0, 1), (1, 0)]]
    return chosen, rejected, counts.difference_matrix(as_steps(chosen, 3), as_steps(rejected, 3))


def log_ratios(logits, ref, strings):
    """log π/π_ref of whole strings, a sum over steps, end included."""
    table = log_softmax(logits) - log_softmax(ref)
    return np.array([sum(table[pair] for pair in string) for string in strings])


def test_the_loss_compares_sums_of_log_ratios():
    """(dpo.2), pitfalls 10 and 11, as a loop over strings of unequal lengths"""
    rng = np.random.default_rng(0)
    logits, ref = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    chosen, rejected, D = two_pairs()
    margins = 0.3 * (log_ratios(logits, ref, chosen) - log_ratios(logits, ref, rejected))
    direct = -np.mean(np.log(1 / (1 + np.exp(-margins))))
    assert dpo_loss(logits, ref, D, beta=0.3)[0] == pytest.approx(direct, abs=1e-12)


def test_at_the_reference_the_loss_is_log_two():
    ref = np.random.default_rng(1).normal(size=(3, 3))
    loss, _ = dpo_loss(ref + 5.0, ref, two_pairs()[2], beta=0.3)
    assert loss == pytest.approx(np.log(2), abs=1e-12)


def test_the_regularised_optimum_contains_its_reward():
    """(dpo.1): β log π*/π_ref is the reward of the string minus β log Z, a constant"""
    rng = np.random.default_rng(2)
    rewards, ref = rng.normal(size=(3, 3)) - 1, rng.normal(size=(3, 3))
    best = regularised_optimum(language(rewards), ref, beta=0.7)
    strings = all_strings(2, 4)
    implied = 0.7 * log_ratios(tilt(ref, best.action_values, beta=0.7), ref, strings)
    true = np.array([sum(rewards[pair] for pair in string) for string in strings])
    np.testing.assert_allclose(true - implied, best.objective, atol=1e-10)


def test_in_the_population_the_gradient_vanishes_at_the_regularised_optimum():
    """(dpo.3): every ordered pair of strings of up to four letters over an alphabet of three"""
    rng = np.random.default_rng(3)
    rewards, ref = rng.normal(size=(4, 4)) - 1.5, rng.normal(size=(4, 4))
    best = regularised_optimum(language(rewards), ref, beta=0.7)
    optimal = tilt(ref, best.action_values, beta=0.7)
    steps = as_steps(all_strings(3, 4), 4)
    first, second = np.triu_indices(steps.starts.size - 1, k=1)
    D = counts.difference_matrix(counts.select(steps, first), counts.select(steps, second))
    chance = np.exp(log_sigmoid(D @ rewards.ravel()))
    # A pair enters in both orders, so its share of the gradient is P(−)σ(m) − P(+)σ(−m).
    margin = 0.7 * (D @ (optimal - log_softmax(ref)).ravel())
    residual = (1 - chance) * np.exp(log_sigmoid(margin)) - chance * np.exp(log_sigmoid(-margin))
    np.testing.assert_allclose(residual, 0, atol=1e-10)
    assert np.abs(np.exp(log_sigmoid(-D @ log_softmax(ref).ravel())) - 0.5).max() > 0.1


def test_the_reference_counts_up_to_a_constant_a_row_only():
    """Pitfall 10: invariant to a constant on each row, not to rows exchanged"""
    rng = np.random.default_rng(4)
    logits, ref, D = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), two_pairs()[2]
    loss = dpo_loss(logits, ref, D, beta=0.5)[0]
    assert dpo_loss(logits, ref + rng.normal(size=(3, 1)), D, beta=0.5)[0] == pytest.approx(loss)
    assert abs(dpo_loss(logits, ref[::-1], D, beta=0.5)[0] - loss) > 1e-3


def test_the_chosen_string_may_become_less_likely():
    """Pitfall 14: "ab" is preferred to "aa"; both share (start, a), so the loss cares for b only"""
    ref = np.zeros((3, 3))
    chosen, rejected = [(0, 1), (1, 2), (2, 0)], [(0, 1), (1, 1), (1, 0)]
    extra = [(0, 2), (2, 2), (2, 2), (2, 0)]
    D = counts.difference_matrix(as_steps([chosen, extra], 3), as_steps([rejected, chosen], 3))
    logits = ref - 0.5 * dpo_loss(ref, ref, D, beta=1.0)[1]
    assert dpo_loss(logits, ref, D, beta=1.0)[0] < np.log(2)
    assert log_ratios(logits, ref, [chosen])[0] < 0


def test_huge_margins_do_not_overflow():
    """Pitfall 13: margins of ±1000 are finite, with gradients of one and zero"""
    D = counts.difference_matrix(as_steps([[(0, 1)]], 2), as_steps([[(0, 0)]], 2))
    ref, logits = np.zeros((2, 2)), np.array([[0.0, 1000.0], [0.0, 0.0]])
    assert dpo_loss(logits, ref, D, beta=1.0)[0] == 0
    loss, grad = dpo_loss(-logits, ref, D, beta=1.0)
    assert loss == 1000 and grad[0].tolist() == [1, -1]


def test_parts_of_a_batch_weighted_by_their_size_add_up_to_the_batch():
    """Pitfall 26"""
    rng = np.random.default_rng(5)
    D, logits, ref = preference_matrix(20_000, 0)[:1000], *rng.normal(size=(2, 27, 27))
    whole = dpo_loss(logits, ref, D, beta=0.5)
    parts = [(n / 1000, dpo_loss(logits, ref, D[i:i + n], beta=0.5))
             for i, n in ((0, 1), (1, 300), (301, 699))]
    assert sum(part * loss for part, (loss, _) in parts) == pytest.approx(whole[0], abs=1e-12)
    np.testing.assert_allclose(sum(part * grad for part, (_, grad) in parts), whole[1], atol=1e-12)


@pytest.mark.parametrize("pairs, least", [(20_000, 0.90), (100_000, 0.97)])
def test_the_fit_reaches_most_of_the_optimum(pairs, least):
    fit = fit_dpo(running_example().reference, preference_matrix(pairs, 1), beta=0.5, pull=2.0)
    assert fit.converged and share(fit.x) >= least


def test_without_a_pull_a_pair_seen_in_chosen_strings_only_runs_away():
    D = counts.difference_matrix(as_steps([[(0, 1), (1, 0)]], 2), as_steps([[(0, 0)]], 2))
    free, held = (fit_dpo(np.zeros((2, 2)), D, beta=0.5, pull=pull).x for pull in (0.0, 2.0))
    assert np.exp(log_softmax(free))[0, 1] > 0.9999 > 0.7 > np.exp(log_softmax(held))[0, 1] > 0.5


def test_bad_arguments_are_refused_by_name():
    logits, D = np.zeros((3, 3)), two_pairs()[2]
    for beta in (0.0, -1.0, np.nan, np.inf):  # pitfall 12: at 0 nothing would be learned, silently
        with pytest.raises(ValueError, match="beta must be positive"):
            dpo_loss(logits, logits, D, beta=beta)
    with pytest.raises(ValueError, match=r"ref_logits must have shape \(3, 3\)"):
        dpo_loss(logits, np.zeros((2, 3)), D, beta=0.5)
    for wrong in (D[:0], D[:, :4]):
        with pytest.raises(ValueError, match=r"pairs must be \(B, 9\)"):
            dpo_loss(logits, logits, wrong, beta=0.5)
        with pytest.raises(ValueError, match=r"pairs must be \(B, 9\)"):
            fit_dpo(logits, wrong, beta=0.5, pull=1.0)
    for pull in (-1.0, np.nan):
        with pytest.raises(ValueError, match="pull must not be negative"):
            fit_dpo(logits, D, beta=0.5, pull=pull)
