"""The checker itself: a right gradient passes, and each seeded bug is found where it is."""

import numpy as np
import pytest
from scipy.special import log_expit

from minirl.kernel.gradcheck import by_complex_step, by_differences, check
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax

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


def failed(loss, x=POINT, **options):
    """The report on a loss, which must not have passed, by either method."""
    report = check(loss, x, **options)
    assert not report and not report.passed and report.verdict == "wrong gradient"
    assert str(report).startswith("wrong gradient\n") and report.comparisons[0].error > 1e-7
    return report


def test_a_right_gradient_passes_by_both_methods():
    report = check(right, POINT)
    assert report and report.passed and report.verdict == "right gradient" and not report.note
    central, exact = report.comparisons
    assert 0 < central.error < 1e-8 and exact.error < 1e-14
    assert str(report).startswith("right gradient\n  central differences: error ")
    assert " ≤ 1e-07 at " in str(report) and " ≤ 1e-12 at " in str(report)


@pytest.mark.parametrize("unit", [1e-3, 1e6])
def test_the_unit_of_a_loss_does_not_matter(unit):
    def loss(x):
        value, grad = right(x)
        return unit * value, unit * grad

    report = check(loss, POINT)
    assert report and not report.note and 0 < report.comparisons[0].error < 1e-8


def test_a_report_cannot_be_changed():
    report = check(right, POINT)
    with pytest.raises(AttributeError):
        report.note = "right"
    with pytest.raises(AttributeError):
        report.comparisons[0].error = 0.0


def test_a_point_of_integers_and_a_gradient_without_a_positive_entry_are_checked():
    assert check(right, np.array([[1, 0, 2], [0, 1, 1]]))
    assert check(lambda x: (-np.exp(x).sum(), -np.exp(x)), POINT)


def test_the_point_is_not_changed_by_a_loss_that_writes_into_its_argument():
    def careless(x):
        loss, grad = right(x)
        x += 1
        return loss, grad

    point = POINT.copy()
    assert check(careless, point) and (point == POINT).all()


def test_a_wrong_sign_is_found():
    report = failed(bugged(lambda grad, x: -grad))
    assert [f"{row.error:.6f}" for row in report.comparisons] == ["2.000000"] * 2
    assert all(row.by_hand == pytest.approx(-row.numerical) for row in report.comparisons)


@pytest.mark.parametrize("factor", [2.0, 0.5, 0.0])
def test_a_wrong_factor_is_found(factor):
    for row in failed(bugged(lambda grad, x: factor * grad)).comparisons:
        assert row.error == pytest.approx(abs(factor - 1), rel=1e-6)


def test_one_wrong_entry_is_named_wherever_it_is_and_whatever_its_sign():
    grad = right(POINT)[1]
    for i in np.ndindex(POINT.shape):
        for error in 1e-3, -1e-3:
            report = failed(bugged(lambda grad, x: grad + error * one_hot(i)))
            for row in report.comparisons:
                assert row.entry == i
                assert (row.by_hand, row.numerical) == pytest.approx((grad[i] + error, grad[i]))
            assert str(report).count(f" at {i}, by hand {grad[i] + error:.6g}, numerical ") == 2


def test_a_missing_term_and_entries_in_the_wrong_row_are_found():
    failed(bugged(lambda grad, x: grad - x[::-1]))
    failed(bugged(lambda grad, x: grad[::-1]))


def test_a_relative_error_of_a_millionth_is_seen_by_both_methods():
    for row in failed(bugged(lambda grad, x: grad * (1 + 1e-6))).comparisons:
        assert row.error == pytest.approx(1e-6, rel=0.02)


def test_a_relative_error_of_1e_10_is_seen_by_the_complex_step_alone():
    report = check(bugged(lambda grad, x: grad * (1 + 1e-10)), POINT)
    assert report.verdict == "wrong gradient" and not report.note
    assert "  central differences: error " in str(report) and " ≤ 1e-07 at " in str(report)
    assert "  complex step: error 1.0e-10 > 1e-12 at " in str(report)


def test_errors_are_measured_against_the_largest_entry():
    largest = np.abs(right(POINT)[1]).max()
    for row in failed(bugged(lambda grad, x: grad - 1e-3 * one_hot((0, 2)))).comparisons:
        assert row.error == pytest.approx(1e-3 / largest, rel=1e-4)


# What the two methods are.


def test_the_central_difference_of_a_cube_is_off_by_the_square_of_the_step():
    """(gradcheck.1) and (gradcheck.2) with f‴ = 6: 3x² + h² and 3x² − h²."""
    def cube(x):
        return (x ** 3).sum(), 3 * x ** 2

    for h in 0.5, 0.1, 0.01:
        np.testing.assert_allclose(by_differences(cube, POINT, h=h), 3 * POINT ** 2 + h ** 2)
        np.testing.assert_allclose(by_complex_step(cube, POINT, h=h), 3 * POINT ** 2 - h ** 2)
    two = np.array([2.0])
    assert [round(cube(two + sign * 0.1)[0], 12) for sign in (1, -1)] == [9.261, 6.859]
    assert by_differences(cube, two, h=0.1)[0] == pytest.approx((9.261 - 6.859) / 0.2, rel=1e-12)


def test_the_two_errors_of_a_central_difference_are_smallest_together_near_1e_5():
    """(gradcheck.1): at larger h it is the formula's, h² f‴/6; at smaller h rounding, eps |f|/h.

    With eps = 2.2e-16 and |f| = |f‴| the sum of the two is smallest at h = 8.7e-6.
    """
    eps = np.finfo(float).eps
    h = np.geomspace(1e-7, 1e-3, 100_001)
    assert f"{eps:.1e}" == "2.2e-16" and f"{h[(h**2 / 6 + eps / h).argmin()]:.1e}" == "8.7e-06"
    assert f"{eps / 1e-5:.0e}" == f"{1e-5**2 / 6:.0e}" == "2e-11"
    assert f"{5e3 * eps / 1e-5:.0e}" == "1e-07"
    x = np.random.default_rng(0).uniform(2, 4, 200)  # |f| of 10 to 100, and slopes of about one
    error = {h: np.median([abs(by_differences(lambda y: (10 * np.sin(y[0]) + 40, None), y, h=h)
                               - 10 * np.cos(y))[0] for y in x[:, None]])
             for h in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-9)}
    assert min(error, key=error.get) == 1e-5 and 1e-11 < error[1e-5] < 1e-9
    cut = np.median(np.abs(10 * np.cos(x))) / 6
    assert error[1e-3] == pytest.approx(1e-6 * cut, rel=0.01)
    assert 0.1 < error[1e-9] * 1e-9 / (40 * 1e-16) < 10


@pytest.mark.parametrize("choose", [
    lambda x: np.minimum(x, 0.5) + np.maximum(x, -0.6), lambda x: np.clip(x, -0.6, 0.5),
    lambda x: np.where(x < 0.5, x, 2 * x), lambda x: np.sort(x, axis=None)[1:4] ** 2,
    lambda x: x.max(axis=1) - x.min(axis=0)[:2]])
def test_choosing_by_size_keeps_the_imaginary_part(choose):
    """What the chapter says of min, max, clip, < and sort."""
    def loss(x):
        return choose(x).sum(), None

    central = by_differences(loss, POINT)
    assert 0 < np.abs(central).max()
    np.testing.assert_allclose(by_complex_step(loss, POINT), central, atol=1e-9)


def test_at_a_kink_differences_are_the_mean_of_both_slopes_and_no_gradient_passes():
    x = np.array([0.0, 1.0])
    for slope in 0.0, 0.5, 1.0:
        def hinge(x):
            return np.maximum(0, x).sum(), np.array([slope, 1.0])

        report = check(hinge, x)
        assert by_differences(hinge, x)[0] == pytest.approx(0.5)
        assert not report and report.verdict == "undecided" and "at a kink" in str(report)


def test_a_gradient_that_both_methods_find_right_is_right_though_they_differ_a_little():
    """Just within what each is allowed, they differ by more than a ten-millionth."""
    def loss(x):
        return np.sin(c * x).sum() / c, np.cos(c * x) * (1 - 0.9e-12)

    x = np.zeros(1)
    c = np.sqrt(6e3) * (1 + 2e-6)  # h² f‴/6 is a little more than 1e-7 of the slope
    central, exact = check(loss, x).comparisons
    assert 0.99999e-7 < central.error < 1e-7 and 0.8e-12 < exact.error < 1e-12
    assert check(loss, x) and not check(loss, x).note
    c *= 1.01
    assert check(loss, x).verdict == "undecided" and "or a sharp bend" in str(check(loss, x))


# Where the complex step cannot be asked.


def softplus(value):
    return lambda x: (value(x), -1 / (1 + np.exp(x)))


@pytest.mark.parametrize("value", [
    lambda x: float(-log_sigmoid(x).sum()), lambda x: -log_expit(x).sum(),
    lambda x: np.logaddexp(0, -x).sum(), lambda x: -np.array(log_sigmoid(x), dtype=float).sum()])
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_a_loss_that_cannot_take_complex_numbers_is_said_to_be_one(value):
    words = r"loss does not take complex numbers \(.+\): use softmax.log_sigmoid for log σ, or che"
    for call in check, by_complex_step:
        with pytest.raises(ValueError, match=words):
            call(softplus(value), POINT)
    report = check(softplus(value), POINT, complex_step=False)
    assert report and len(report.comparisons) == 1
    failed(lambda x: (value(x), 1 / (1 + np.exp(x))), complex_step=False)


@pytest.mark.parametrize("drop", [np.real, lambda x: np.abs(x) * np.sign(x.real)])
def test_a_loss_that_drops_the_imaginary_part_is_said_to_do_so(drop):
    with pytest.raises(ValueError, match=r"numbers \(the imaginary part is lost\): use softmax"):
        check(lambda x: right(drop(x)), POINT)
    assert check(lambda x: right(drop(x)), POINT, complex_step=False)


@pytest.mark.parametrize("term, slope", [
    (lambda x: np.abs(x).sum(), np.sign), (np.linalg.norm, lambda x: x / np.linalg.norm(x)),
    (lambda x: (x * x / np.abs(x)).sum(), np.sign), (lambda x: np.real(x).sum(), np.ones_like)])
@pytest.mark.parametrize("constant", [0.0, 1e6])
def test_a_term_that_is_not_analytic_is_found_and_a_reason_given(term, slope, constant):
    """Also where rounding hides what central differences would show."""
    def loss(x):
        value, grad = right(x)
        return constant + value + term(x), grad + slope(x.real)

    report = check(loss, POINT)
    first, second = report.comparisons
    assert not report and report.verdict == "undecided" and second.error > 0.01
    assert first.error <= first.allowed and (first.error < 1e-7 or constant)
    assert str(report).startswith("undecided\n")
    assert str(report).endswith("or a term of loss is not analytic (abs, norm, sign, real)")


# Where rounding is too large for central differences.


@pytest.mark.parametrize("seed", range(30))
def test_a_right_gradient_at_huge_logits_is_right_by_the_complex_step(seed):
    """−Σ c log π, where differences alone would call it wrong, and say nothing when asked alone."""
    rng = np.random.default_rng(seed)
    c, x = rng.normal(size=(4, 5)), 1e4 * rng.normal(size=(4, 5))

    def loss(x, factor=1.0):
        logp = log_softmax(x)
        return -(c * logp).sum(), factor * backward(logp, -c)

    report = check(loss, x)
    assert report and "rounding is too large for central differences to decide" in report.note
    assert not check(lambda x: loss(x, factor=1 + 1e-11), x)
    assert check(lambda x: loss(x, factor=-1), x).verdict == "wrong gradient"
    with pytest.raises(ValueError, match=r"must be at least \S+ to stand out from rounding, got"):
        check(loss, x, complex_step=False)


@pytest.mark.parametrize("f, x", [(4.6e3, 0.0), (0.0, 4.6e3), (2.3e3, -2.3e3), (-2.3e3, 2.3e3)])
@pytest.mark.parametrize("slope", [1.0, 100.0])
def test_rounding_is_too_large_where_the_loss_or_x_is_some_thousand_slopes(f, x, slope):
    """eps (|f| + |x| f′)/h > 1e-7 f′ from 4504 on; below it all is as it was."""
    for factor, decides in (1, False), (0.97, True):
        def loss(y):
            return slope * ((y - factor * x).sum() + factor * f), slope * np.ones(1)

        report = check(loss, np.array([factor * x]))
        assert report and bool(report.note) != decides
        assert (report.comparisons[0].allowed == 1e-7) == decides
        if decides:
            assert check(loss, np.array([factor * x]), complex_step=False)
        else:
            with pytest.raises(ValueError, match="to stand out from rounding"):
                check(loss, np.array([factor * x]), complex_step=False)


def test_where_rounding_is_all_that_differences_see_the_slopes_are_those_of_the_complex_step():
    def loss(x, grad=2.0):
        return 1e9 + 1e-3 * (x ** 2).sum(), 1e-3 * grad * x

    assert np.abs(by_differences(loss, POINT) - 2e-3 * POINT).max() > 2e-3
    assert check(loss, POINT).comparisons[1].error < 1e-15
    assert check(lambda x: loss(x, 1.0), POINT).comparisons[1].error == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"at least .* to stand out from rounding, got 2.4e-05"):
        check(lambda x: (1e9 + 1e-5 * (x ** 2).sum(), 2e-5 * x), POINT)


def test_a_vanishing_gradient_proves_nothing_and_is_refused():
    with pytest.raises(ValueError, match=r"0.0001 to stand out from rounding, got \d\.\de"):
        check(lambda x: (((x - POINT) ** 4).sum(), 4 * (x - POINT) ** 3), POINT)
    for size, passes in (0.99e-4, False), (1.01e-4, True):
        def loss(x):
            return size * x.sum(), size * np.ones(3)

        if passes:
            assert check(loss, np.zeros(3))
        else:
            with pytest.raises(ValueError, match="take another x"):
                check(loss, np.zeros(3))
