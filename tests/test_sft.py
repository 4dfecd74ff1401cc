"""Imitation: counting and gradient agree, the loss is the mean over characters, and label smoothing
is a pseudo-count."""

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.people.sft import equivalent_pseudo_count, fit_by_counting, fit_sft, sft_loss
from minirl.exact.evaluation import expectation
from minirl.kernel.softmax import kl, log_softmax
from toy_lm.ngram import language
from toy_lm.vocabulary import from_items


def test_the_loss_is_the_mean_negative_log_likelihood_of_a_step():
    """(sft.1), pitfall 27: a mean over steps, not over strings, as a loop over characters"""
    words = from_items(["on", "noon"])
    logits = np.random.default_rng(0).normal(size=(3, 3))
    logp, number = log_softmax(logits), {"n": 1, "o": 2}
    total, steps = 0.0, 0
    for item in ["on", "noon", "no"]:
        last = 0
        for symbol in [number[c] for c in item] + [0]:
            total, steps, last = total - logp[last, symbol], steps + 1, symbol
    loss, _ = sft_loss(logits, counts.table(words.encode(["on", "noon", "no"])))
    assert steps == 11 and loss == pytest.approx(total / steps, abs=1e-12)


def test_the_minimum_does_what_the_demonstrations_do_as_often():
    """(sft.2), the end symbol included (pitfall 23)"""
    C = np.random.default_rng(1).integers(1, 9, (4, 3)).astype(float)
    policy = C / C.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sft_loss(np.log(policy), C)[1], 0, atol=1e-15)
    fitted = log_softmax(fit_sft(np.zeros((4, 3)), C).x)
    np.testing.assert_allclose(np.exp(fitted), policy, atol=1e-7)


def test_what_has_neither_counts_nor_pseudo_counts_is_uniform_or_never_done():
    """(sft.2), exactly; a state without either is uniform, which is finite, and alone in that."""
    C = np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]])
    alpha = np.zeros((4, 3))
    alpha[3] = [0.75, 0.25, 0]
    for pseudo_count, last in ((0, [1 / 3] * 3), (alpha, alpha[3])):
        logp = fit_by_counting(C, pseudo_count=pseudo_count)
        expected = np.array([[0.75, 0, 0.25], [1 / 3] * 3, [0, 1, 0], last])
        np.testing.assert_allclose(np.exp(logp), expected, rtol=1e-15)
        np.testing.assert_array_equal(np.isneginf(logp), expected == 0)
    assert C.sum() == 9


@pytest.mark.parametrize("alpha", [np.array([[0.5, 0, 2.0], [1, 1, 1], [0, 0, 0]]),
                                   np.array([[0.5], [0.0], [3.0]]), np.array([0.1, 0.0, 4.0]),
                                   np.array(0.25)])
def test_a_pseudo_count_may_differ_from_pair_to_pair(alpha):
    """(sft.3), by loops: a table, a column of states, a row of actions or a number"""
    C = np.random.default_rng(2).integers(0, 4, (3, 3)).astype(float)
    policy = np.exp(fit_by_counting(C, pseudo_count=alpha))
    for s in range(3):
        total = [C[s, a] + np.broadcast_to(alpha, (3, 3))[s, a] for a in range(3)]
        np.testing.assert_allclose(policy[s], np.array(total) / sum(total), rtol=1e-14)


def three_words():
    """The demonstrations of the chapter, and their counts."""
    words = from_items(["on", "no", "noon"])
    return words, counts.table(words.encode(["on", "no", "noon"]))


def test_three_words_are_imitated_as_the_chapter_says():
    """(sft.2), with "non" as likely as "no" though nobody showed it; pseudo-counts of row n"""
    words, C = three_words()
    assert C.tolist() == [[0, 2, 1], [2, 0, 2], [1, 2, 1]]
    X = counts.matrix(words.encode(["on", "no", "noon", "non"]))
    logp = fit_by_counting(C + 1e-300, pseudo_count=0)
    np.testing.assert_allclose(np.exp(X @ logp.ravel()), [1 / 12, 1 / 12, 1 / 48, 1 / 12])
    assert equivalent_pseudo_count(C, label_smoothing=0.1)[1] == pytest.approx(0.148, abs=5e-4)
    np.testing.assert_allclose(np.exp(fit_by_counting(C, pseudo_count=1))[1], [3 / 7, 1 / 7, 3 / 7])


def test_the_loss_exceeds_its_minimum_by_a_mean_of_divergences():
    """(sft.2): Σ N[s] KL(shares‖π)/N, which is why the shares are a minimum."""
    C = np.random.default_rng(5).integers(1, 9, (4, 3)).astype(float)
    logp = log_softmax(np.random.default_rng(6).normal(size=(4, 3)))
    best = fit_by_counting(C, pseudo_count=0)
    more = (C.sum(axis=1) * kl(best, logp)).sum() / C.sum()
    assert sft_loss(logp, C)[0] - sft_loss(best, C)[0] == pytest.approx(more, abs=1e-14)


def test_imitation_earns_what_the_demonstrations_earned():
    """In each step: N[s, a]/B per string; a third of the step o→o, whatever all others earn."""
    words, C = three_words()
    policy = np.exp(fit_by_counting(C, pseudo_count=0))
    rows = np.repeat(np.eye(3)[:, :, None], 3, axis=2)  # 1 for each step in one state
    np.testing.assert_allclose(expectation(language(rows[0]), policy, rows), [1, 4 / 3, 4 / 3])
    for s, a in np.ndindex(3, 3):
        reward = np.zeros((3, 3))
        reward[s, a] = 1
        earned = expectation(language(reward), policy, reward)
        assert earned == pytest.approx(C[s, a] / 3, abs=1e-14)


SEEN = np.array([[4.0, 0.0, 1.0, 0.0], [0.0, 7.0, 0.0, 0.0], [2.0, 2.0, 3.0, 1.0]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_a_smoothed_target_is_any_action_with_some_weight(smoothing):
    """(sft.4), as a loop over steps and actions, in the shape of a mean over steps"""
    logits = np.random.default_rng(3).normal(size=SEEN.shape)
    logp, total = log_softmax(logits), 0.0
    for (s, a), times in np.ndenumerate(SEEN):
        for _ in range(int(times)):
            anything = sum(logp[s, b] for b in range(4)) / 4
            total -= (1 - smoothing) * logp[s, a] + smoothing * anything
    loss, _ = sft_loss(logits, SEEN, label_smoothing=smoothing)
    assert loss == pytest.approx(total / SEEN.sum(), abs=1e-13)
    assert sft_loss(logits, SEEN)[0] == sft_loss(logits, SEEN, label_smoothing=0.0)[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.5, 0.99])
def test_label_smoothing_is_a_pseudo_count_that_grows_with_the_data(smoothing):
    """(sft.5): the gradient is zero there, ε/A is kept for ever, and nothing is added to nothing"""
    C = np.vstack([SEEN, np.zeros(4)])
    for times in 0.01, 1, 1000:
        alpha = equivalent_pseudo_count(times * C, label_smoothing=smoothing)
        for s in range(4):
            N = times * C[s].sum()
            assert alpha[s, 0] == pytest.approx(smoothing * N / ((1 - smoothing) * 4), rel=1e-14)
        logp = fit_by_counting(times * C, pseudo_count=alpha)
        policy = np.exp(logp)
        mixed = (1 - smoothing) * SEEN / SEEN.sum(axis=1, keepdims=True) + smoothing / 4
        np.testing.assert_allclose(policy[:3], mixed, rtol=1e-13)
        assert alpha.shape == (4, 1) and alpha[3] == 0 and policy[3].tolist() == [0.25] * 4
        if smoothing > 0:
            _, grad = sft_loss(logp, times * C, label_smoothing=smoothing)
            np.testing.assert_allclose(grad, 0, atol=1e-15)


def test_gradient_descent_finds_what_the_equivalent_pseudo_count_says():
    """(sft.5), from logits that are wrong everywhere; the row without counts stays as it was"""
    C = np.vstack([SEEN, np.zeros(4)])
    first = np.random.default_rng(4).normal(size=C.shape)
    fit = fit_sft(first, C, label_smoothing=0.2)
    counted = fit_by_counting(C, pseudo_count=equivalent_pseudo_count(C, label_smoothing=0.2))
    assert fit.converged
    np.testing.assert_allclose(log_softmax(fit.x)[:3], counted[:3], atol=1e-6)
    np.testing.assert_allclose(fit.x[3], first[3])
