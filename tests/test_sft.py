"""Imitation: counting and gradient agree, and the loss is the mean over characters."""

import numpy as np
import pytest

from minirl import counts
from minirl.sft import fit_by_counting, fit_sft, sft_loss
from minirl.softmax import log_softmax
from toy_lm.corpora import unicode_words
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
    fitted = log_softmax(fit_sft(C, np.zeros((4, 3))).x)
    np.testing.assert_allclose(np.exp(fitted), policy, atol=1e-7)


def test_counting_and_gradient_give_the_same_model_of_the_unicode_words():
    items = unicode_words()
    C = counts.table(from_items(items).encode(items)) + 0.1
    fit = fit_sft(C, np.zeros(C.shape))
    counted = fit_by_counting(C - 0.1, pseudo_count=0.1)
    assert fit.converged
    np.testing.assert_allclose(np.exp(log_softmax(fit.x)), np.exp(counted), atol=1e-6)


def test_a_pseudo_count_is_as_many_more_observations_of_every_pair():
    C = np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    policy = np.exp(fit_by_counting(C, pseudo_count=0.5))
    np.testing.assert_allclose(policy, [[3.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5], [1 / 3] * 3])


def test_bad_counts_are_refused_by_name():
    for wrong in (np.zeros((1, 2)), np.array([[1.0, -1.0]]), np.array([[1.0, np.nan]])):
        with pytest.raises(ValueError, match="counts must be finite, not negative"):
            sft_loss(np.zeros((1, 2)), wrong)
        with pytest.raises(ValueError, match="counts must be finite, not negative"):
            fit_by_counting(wrong, pseudo_count=0.1)
    with pytest.raises(ValueError, match=r"counts must have shape \(1, 2\)"):
        sft_loss(np.zeros((1, 2)), np.ones((2, 2)))
    for wrong in (-1.0, np.inf, np.nan, np.array([[0.5, -0.1]])):
        with pytest.raises(ValueError, match="pseudo_count must be finite and not negative, got"):
            fit_by_counting(np.ones((1, 2)), pseudo_count=wrong)
