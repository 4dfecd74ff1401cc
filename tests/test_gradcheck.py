"""The checker itself: a right gradient passes, and each seeded bug is rejected."""

import numpy as np
import pytest

from gradcheck import assert_gradient, gradient_errors

WEIGHTS = np.array([[1.0, -2.0, 0.5], [3.0, 0.7, -1.1]])
POINT = np.array([[0.3, -0.8, 1.2], [-0.4, 0.9, 0.1]])


def right(x):
    """Σ w e^x plus the products of the two rows, and its gradient."""
    return (WEIGHTS * np.exp(x)).sum() + (x[0] * x[1]).sum(), WEIGHTS * np.exp(x) + x[::-1]


def bugged(change):
    """The same loss with another gradient."""
    return lambda x: (right(x)[0], change(right(x)[1], x))


def one_hot(i):
    hot = np.zeros(POINT.shape)
    hot[i] = 1.0
    return hot


def test_a_right_gradient_passes_and_both_errors_are_returned():
    central, exact = assert_gradient(right, POINT)
    assert 0 < central < 1e-8 and exact < 1e-14


def test_a_point_given_as_a_list_of_integers_is_differentiated_as_floats():
    assert_gradient(right, [[1, 0, 2], [0, 1, 1]])


def test_a_gradient_without_a_positive_entry_passes():
    assert_gradient(lambda x: (-np.exp(x).sum(), -np.exp(x)), POINT)


def test_a_wrong_sign_is_rejected():
    with pytest.raises(AssertionError, match="central differences disagree: 2.0e"):
        assert_gradient(bugged(lambda grad, x: -grad), POINT)


@pytest.mark.parametrize("factor", [2.0, 0.5, 0.0])
def test_a_wrong_factor_is_rejected(factor):
    with pytest.raises(AssertionError, match="central differences disagree"):
        assert_gradient(bugged(lambda grad, x: factor * grad), POINT)


def test_one_wrong_entry_is_rejected_wherever_it_is_and_whatever_its_sign():
    for i in np.ndindex(POINT.shape):
        for error in 1e-3, -1e-3:
            with pytest.raises(AssertionError, match="central differences disagree"):
                assert_gradient(bugged(lambda grad, x: grad + error * one_hot(i)), POINT)


def test_a_missing_term_is_rejected():
    with pytest.raises(AssertionError, match="central differences disagree"):
        assert_gradient(bugged(lambda grad, x: grad - x[::-1]), POINT)


def test_entries_that_lie_in_the_wrong_row_are_rejected():
    with pytest.raises(AssertionError, match="central differences disagree"):
        assert_gradient(bugged(lambda grad, x: grad[::-1]), POINT)


def test_a_relative_error_of_a_millionth_is_seen_by_both_comparisons():
    loss = bugged(lambda grad, x: grad * (1 + 1e-6))
    np.testing.assert_allclose(gradient_errors(loss, POINT), 1e-6, rtol=0.02)
    with pytest.raises(AssertionError, match="central differences disagree"):
        assert_gradient(loss, POINT)


def test_a_relative_error_of_1e_10_is_seen_by_the_complex_step_alone():
    with pytest.raises(AssertionError, match="complex step disagrees: 1.0e-10"):
        assert_gradient(bugged(lambda grad, x: grad * (1 + 1e-10)), POINT)


def test_a_loss_that_drops_the_imaginary_part_is_rejected():
    with pytest.raises(AssertionError, match="complex step disagrees"):
        assert_gradient(lambda x: right(x.real), POINT)


def test_a_gradient_of_the_wrong_shape_is_rejected_even_where_it_would_broadcast():
    with pytest.raises(AssertionError, match=r"gradient \(1,\) for parameter \(2, 3\)"):
        assert_gradient(lambda x: (x.sum(), np.ones(1)), POINT)
    with pytest.raises(AssertionError, match=r"gradient \(3, 2\) for parameter \(2, 3\)"):
        assert_gradient(bugged(lambda grad, x: grad.T), POINT)


def test_a_vanishing_gradient_proves_nothing_and_is_rejected():
    with pytest.raises(AssertionError, match="too small"):
        assert_gradient(lambda x: (((x - POINT) ** 4).sum(), 4 * (x - POINT) ** 3), POINT)


def test_a_gradient_that_is_not_a_number_is_rejected():
    with pytest.raises(AssertionError, match="disagree"):
        assert_gradient(bugged(lambda grad, x: grad + np.nan * one_hot((1, 2))), POINT)


def test_errors_are_measured_against_the_largest_entry():
    largest = np.abs(right(POINT)[1]).max()
    errors = gradient_errors(bugged(lambda grad, x: grad - 1e-3 * one_hot((0, 2))), POINT)
    np.testing.assert_allclose(errors, 1e-3 / largest, rtol=1e-4)
