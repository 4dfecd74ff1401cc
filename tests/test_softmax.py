"""The softmax table against its equations, at ordinary logits and at ±1e4."""

from decimal import Decimal, localcontext
import math

import numpy as np
import pytest

from minirl.kernel.softmax import backward, entropy, entropy_loss, kl, log_sigmoid, log_softmax
from minirl.people.kl import k3_loss, kl_loss
from minirl.people.sft import sft_loss
from minirl.play.reinforce import reinforce_loss

S, A = 3, 4
EXTREME = np.array([[1e4, -1e4, 0.0, 0.0], [-1e4, -1e4, -1e4, -1e4], [1e4, 1e4, -1e4, 3.0]])


def frozen(seed):
    """A random table into which nobody can write."""
    table = np.random.default_rng(seed).normal(size=(S, A))
    table.flags.writeable = False
    return table


@pytest.fixture
def logits():
    return frozen(1)


@pytest.fixture
def G():
    return frozen(2)


def test_probabilities_are_exponentials_divided_by_their_row_sum(logits):
    """(softmax.1)."""
    logp = log_softmax(logits)
    for s, a in np.ndindex(S, A):
        total = sum(math.exp(logits[s, b]) for b in range(A))
        assert math.isclose(math.exp(logp[s, a]), math.exp(logits[s, a]) / total, rel_tol=1e-12)


def test_the_row_of_the_chapter():
    """(softmax.1), (softmax.3) and (softmax.4) at log 2, log 1, log 1: ½ ¼ ¼, by hand."""
    logp = log_softmax(np.log([[2.0, 1.0, 1.0]]))
    np.testing.assert_allclose(np.exp(logp), [[0.5, 0.25, 0.25]], rtol=1e-15)
    np.testing.assert_allclose(backward(logp, [[-1.0, 0.0, 0.0]]), [[-0.5, 0.25, 0.25]], rtol=1e-15)
    assert math.isclose(entropy(logp)[0], 0.5 * math.log(2) + 2 * 0.25 * math.log(4), rel_tol=1e-15)
    assert entropy(logp).round(4) == 1.0397
    assert entropy(log_softmax(np.zeros((1, 3)))).round(4) == round(math.log(3), 4) == 1.0986


def test_only_differences_within_a_row_count(logits):
    shift = np.array([[5.0], [-300.0], [0.25]])
    np.testing.assert_allclose(log_softmax(logits + shift), log_softmax(logits), atol=1e-12)
    assert not np.allclose(log_softmax(logits + np.eye(A)[0]), log_softmax(logits))


def test_an_infinitesimal_rise_of_one_logit_moves_log_probabilities_as_the_equation_says(logits):
    """(softmax.2), by complex step on `log_softmax`, and again as a pulled-back unit."""
    p = np.exp(log_softmax(logits))
    for t, b in np.ndindex(S, A):
        rise = np.zeros((S, A), complex)
        rise[t, b] = 1e-30j
        moved = log_softmax(logits + rise).imag / 1e-30
        for s, a in np.ndindex(S, A):
            slope = float(a == b) - p[s, b] if s == t else 0.0
            assert math.isclose(moved[s, a], slope, abs_tol=1e-12)
            unit = np.zeros((S, A))
            unit[s, a] = 1.0
            assert math.isclose(backward(np.log(p), unit)[t, b], slope, abs_tol=1e-12)


def test_backward_is_the_chain_rule(logits, G):
    """(softmax.3), both of its forms."""
    logp = log_softmax(logits)
    grad, p = backward(logp, G), np.exp(logp)
    for s, b in np.ndindex(S, A):
        chain = sum(G[s, a] * (float(a == b) - p[s, b]) for a in range(A))
        assert math.isclose(grad[s, b], chain, abs_tol=1e-12)
        assert math.isclose(grad[s, b], G[s, b] - p[s, b] * sum(G[s]), abs_tol=1e-12)


def test_entropy_is_minus_the_mean_log_probability(logits):
    """(softmax.4)."""
    logp = log_softmax(logits)
    for s in range(S):
        expected = -sum(math.exp(x) * x for x in logp[s])
        assert math.isclose(entropy(logp)[s], expected, rel_tol=1e-12)


def test_kl_is_the_mean_log_ratio_under_its_first_argument(logits, G):
    """(softmax.5)."""
    logp, logq = log_softmax(logits), log_softmax(G)
    for s in range(S):
        expected = sum(math.exp(x) * (x - y) for x, y in zip(logp[s], logq[s]))
        assert math.isclose(kl(logp, logq)[s], expected, rel_tol=1e-12)


@pytest.mark.parametrize("x", [0.0, 1e-9, -1e-9, 0.3, -0.3, 2.0, -2.0, 40.0, -40.0, 700.0, -1000.0])
def test_log_sigmoid_is_right_to_the_last_digits(x):
    """(softmax.6), against many digits of log(1/(1 + e^−x))."""
    with localcontext() as context:
        context.prec = 500
        expected = float(-(1 + (-Decimal(x)).exp()).ln())
    value = log_sigmoid(np.array([x]))[0]
    assert math.isclose(value, expected, rel_tol=1e-15)
    assert math.isclose(value, min(x, 0) - math.log1p(math.exp(-abs(x))), rel_tol=1e-15)


@pytest.mark.parametrize("x", [-1000.0, -2.0, -0.1, 0.1, 2.0, 1000.0])
def test_log_sigmoid_of_a_complex_number_has_the_right_slope(x):
    slope = log_sigmoid(np.array([x + 1e-30j]))[0].imag / 1e-30
    assert math.isclose(slope, math.exp(log_sigmoid(np.array([-x]))[0]), rel_tol=1e-12)


def test_extreme_logits_stay_finite_without_a_warning():
    logp = log_softmax(EXTREME)
    np.testing.assert_allclose(np.exp(logp).sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(logp[0], [0, -2e4, -1e4, -1e4], atol=1e-12)
    np.testing.assert_allclose(logp[1], math.log(0.25), rtol=1e-12)
    np.testing.assert_allclose(entropy(logp), [0, math.log(4), math.log(2)], atol=1e-12)
    np.testing.assert_allclose(kl(logp, log_softmax(-EXTREME))[0], 2e4, rtol=1e-12)
    np.testing.assert_allclose(kl(logp, logp), 0, atol=1e-12)
    assert np.isfinite(backward(logp, EXTREME)).all()
    loss, grad = entropy_loss(EXTREME, np.ones(3))
    assert math.isclose(loss, -math.log(8), rel_tol=1e-12) and np.isfinite(grad).all()


def test_complex_logits_keep_their_imaginary_part(logits):
    """Slopes in the direction of G, against differences: nothing on the way casts to float."""
    direction = np.random.default_rng(3).normal(size=(S, A))
    reference = log_softmax(direction)
    for f in (lambda x: entropy(log_softmax(x)), lambda x: kl(log_softmax(x), reference),
              lambda x: kl(reference, log_softmax(x)),
              lambda x: backward(log_softmax(x), direction),
              lambda x: entropy_loss(x, np.ones(S))[0]):
        slope = f(logits + 1e-30j * direction).imag / 1e-30
        difference = (f(logits + 1e-6 * direction) - f(logits - 1e-6 * direction)) / 2e-6
        np.testing.assert_allclose(slope, difference, atol=1e-8)
        assert np.abs(slope).max() > 1e-2


def test_entropy_loss_is_minus_the_weighted_entropy(logits):
    """(softmax.4), weighted."""
    weights = np.array([0.5, 0.0, 2.0])
    loss, _ = entropy_loss(logits, weights)
    H = entropy(log_softmax(logits))
    assert math.isclose(loss, -(0.5 * H[0] + 2.0 * H[2]), rel_tol=1e-12)


# Zeros, and what is no table of logits.

SURE, FAIR = np.array([[0.0, -np.inf]]), np.array([[0.0, 0.0]])


def test_what_has_probability_zero_adds_nothing_and_what_the_other_never_does_costs_everything():
    sure, fair = log_softmax(SURE), log_softmax(FAIR)
    assert kl(sure, fair) == math.log(2) and kl(sure, sure) == 0 and kl(fair, sure) == np.inf
    other = log_softmax(SURE[:, ::-1])
    assert kl(sure, other) == np.inf
    far = log_softmax(np.array([[0.0, -1e4]]))  # e^−10000 is zero in floating point
    assert kl(far, sure) == 0 and kl(far, far) == 0
    three = log_softmax(np.array([[0.0, -np.inf, 0.0]]))
    assert kl(three, log_softmax(np.zeros((1, 3)))) == pytest.approx(math.log(1.5), rel=1e-15)


def test_log_sigmoid_at_its_ends():
    assert log_sigmoid(np.array([-np.inf, np.inf])).tolist() == [-np.inf, 0]


def test_the_entropy_of_a_table_with_zeros_has_a_gradient():
    loss, grad = entropy_loss(SURE, np.ones(1))
    assert loss == 0 and grad.tolist() == [[0.0, 0.0]]
    loss, grad = entropy_loss(np.array([[0.0, -np.inf, 1.0]]), np.ones(1))
    without, without_grad = entropy_loss(np.array([[0.0, 1.0]]), np.ones(1))
    assert loss == without and grad[:, [0, 2]].tolist() == without_grad.tolist() and grad[0, 1] == 0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64, bool])
def test_whole_numbers_do_not_wrap_around(dtype):
    logits = np.array([[0, 1, 100]]).astype(dtype)
    assert log_softmax(logits).tolist() == log_softmax(logits.astype(float)).tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64, bool])
def test_weights_may_be_small_whole_numbers(dtype):
    """Minus them is no small whole number."""
    x, weights = np.array([[0.3, -0.2, 1.0]]), np.array([[1, 0, 100]]).astype(dtype)
    for loss in (lambda w: reinforce_loss(x, w, episodes=2), lambda w: k3_loss(x, 2 * x, w),
                 lambda w: sft_loss(x, w), lambda w: kl_loss(x, 2 * x, w[:, 2]),
                 lambda w: entropy_loss(x, w[:, 2])):
        for found, expected in zip(loss(weights), loss(weights.astype(float))):
            np.testing.assert_array_equal(found, expected)


def test_a_list_is_a_table_too():
    assert log_softmax([[1, 2]]).tolist() == log_softmax(np.array([[1.0, 2.0]])).tolist()


@pytest.mark.parametrize("wrong", [[[np.nan, 0.0]], [[np.inf, 0.0]], [[-np.inf, -np.inf]],
                                   [[0.0, 0.0], [np.nan, 0.0]]])
def test_one_rule_for_logits(wrong):
    with pytest.raises(ValueError, match=r"^ref_logits must be finite or −∞, and not −∞ all along"):
        log_softmax(np.array(wrong), "ref_logits")


@pytest.mark.parametrize("wrong", ["ab", [["a", "b"]], [[1.0], [1.0, 2.0]], None, np.zeros((3, 0))])
def test_what_is_no_table_of_numbers(wrong):
    with pytest.raises(ValueError, match=r"^logits must be an array of numbers"):
        log_softmax(wrong)
