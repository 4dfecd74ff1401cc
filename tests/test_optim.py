"""Optimisers against loops over single numbers, and schedules."""

import math
import pickle

import numpy as np
import pytest

from minirl.play.optim import (adam, at, clip_norm, coefficient, gradient_descent, linear,
                                remaining)

SHAPE = (2, 3)


def test_gradient_descent_subtracts_the_gradient_times_the_rate(rng):
    """(optim.1), three steps at three rates."""
    optimiser, x = gradient_descent(), rng.normal(size=SHAPE)
    by_loops, state = x.copy(), optimiser.init(x)
    for rate in 0.1, 0.5, 2.0:
        grad = rng.normal(size=SHAPE)
        x, state = optimiser.step(x, grad, state, rate)
        for i in np.ndindex(SHAPE):
            by_loops[i] -= rate * grad[i]
        np.testing.assert_allclose(x, by_loops, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"beta1": 0.5, "beta2": 0.8, "eps": 0.1},
                                     {"beta1": 0.0, "beta2": 0.0}])
def test_adam_follows_its_equations(rng, options):
    """(optim.2), ten steps with a falling rate, one number at a time."""
    beta1, beta2, eps = (options.get(name, default) for name, default in
                         (("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8)))
    start, grads = rng.normal(size=SHAPE), rng.normal(size=(10, *SHAPE))
    optimiser, x = adam(**options), start
    state = optimiser.init(x)
    for k in range(10):
        x, state = optimiser.step(x, grads[k], state, 0.1 / (k + 1))
    for i in np.ndindex(SHAPE):
        theta, m, v = start[i], 0.0, 0.0
        for k in range(1, 11):
            g = grads[k - 1][i]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            m_hat, v_hat = m / (1 - beta1**k), v / (1 - beta2**k)
            theta -= 0.1 / k * m_hat / (math.sqrt(v_hat) + eps)
        assert math.isclose(x[i], theta, rel_tol=1e-12)
        assert math.isclose(state.mean[i], m, rel_tol=1e-12)
        assert math.isclose(state.square[i], v, rel_tol=1e-12)
    assert state.count == 10


def test_the_first_step_of_adam_is_as_long_as_the_rate_and_points_downhill():
    """(optim.2), for gradients over twelve orders of magnitude; without a gradient it rests."""
    optimiser = adam(eps=1e-30)
    grad = np.array([1e-6, -1e-3, 1.0, -1e6, 0.0])
    x, _ = optimiser.step(np.zeros(5), grad, optimiser.init(np.zeros(5)), 0.25)
    np.testing.assert_allclose(x, [-0.25, 0.25, -0.25, 0.25, 0.0], rtol=1e-12)


def test_two_steps_of_adam_by_hand_as_the_chapter_prints_them():
    """(optim.2) with 0.9 and 0.999, for L = θ²/2 from θ = 3 at α = 0.5."""
    optimiser, theta, printed = adam(), np.array([3.0]), []
    state = optimiser.init(theta)
    for k in 1, 2:
        before = theta
        theta, state = optimiser.step(theta, theta, state, 0.5)
        printed.append([*before, *state.mean, *state.square, *theta - before])
        corrected = state.mean / (1 - 0.9**k), state.square / (1 - 0.999**k)
        assert np.ravel(corrected) == pytest.approx([(3, 9), (2.7368, 7.6243)][k - 1], abs=5e-5)
    assert (0.1 * 3, 0.001 * 9) == pytest.approx((0.3, 0.009))
    assert (0.9 * 0.3 + 0.1 * 2.5, 0.999 * 0.009 + 0.001 * 6.25) == pytest.approx((0.52, 0.015241))
    assert (1 - 0.9**2, 1 - 0.999**2) == pytest.approx((0.19, 0.001999))
    np.testing.assert_allclose(printed, [(3, 0.3, 0.009, -0.5), (2.5, 0.52, 0.015241, -0.4956)],
                               atol=5e-5)


def test_a_second_gradient_that_disagrees_makes_a_short_step():
    """(optim.2), 3 and then −3 at α = 0.5: up by 0.0263."""
    optimiser, theta = adam(), np.array([3.0])
    first, state = optimiser.step(theta, np.array([3.0]), optimiser.init(theta), 0.5)
    second, state = optimiser.step(first, np.array([-3.0]), state, 0.5)
    assert state.mean == pytest.approx(0.27 - 0.3) and -0.03 / 0.19 == pytest.approx(-0.1579, 1e-3)
    assert state.square / (1 - 0.999**2) == pytest.approx(9)
    assert round((second - first).item(), 4) == 0.0263 == round(0.5 * 0.1579 / 3, 4)


def test_without_noise_gradient_descent_settles_at_a_constant_rate():
    """(optim.1) on L = θ²/2 at α = 0.1."""
    theta = np.array([3.03])
    for _ in range(1000):
        theta, _ = gradient_descent().step(theta, theta, (), 0.1)
    assert abs(theta.item()) < 1e-12


def test_noise_moves_adam_as_far_however_small_it_is():
    """(optim.2) where gradients are nothing else."""
    optimiser, steps = adam(), []
    for scale in 1.0, 1e-4:
        noise, x, state = np.random.default_rng(2), np.zeros(1), optimiser.init(np.zeros(1))
        path = [x]
        for _ in range(300):
            x, state = optimiser.step(x, scale * noise.normal(size=1), state, 0.1)
            path.append(x)
        steps.append(np.abs(np.diff(path, axis=0)))
    np.testing.assert_allclose(*steps, rtol=1e-2, atol=1e-4)
    assert steps[0].mean() > 0.01


def test_adam_does_not_see_how_large_the_gradients_are(rng):
    """(optim.2): all of them a thousandth as large, and the same steps."""
    optimiser, grads, paths = adam(), rng.normal(size=(20, *SHAPE)), []
    for scale in 1.0, 1e-3:
        x = np.zeros(SHAPE)
        state = optimiser.init(x)
        for grad in grads:
            x, state = optimiser.step(x, scale * grad, state, 0.1)
        paths.append(x)
    np.testing.assert_allclose(*paths, rtol=0, atol=1e-3)


def test_gradient_descent_goes_by_one_minus_the_rate_and_no_further_than_the_limit():
    """(optim.1) on L = θ²/2: halved at ½, there at 1, ever further away above 2; and (optim.3)."""
    descent = gradient_descent()
    for rate, expected in ((0.5, [3, 1.5, 0.75]), (1.0, [3, 0, 0]), (3.0, [3, -6, 12])):
        for scale in 1, 10:  # of the loss
            theta, path = 3.0, []
            for _ in range(3):
                path.append(theta)
                theta, _ = descent.step(theta, scale * theta, (), rate / scale)
            assert path == pytest.approx(expected)
    x, _ = descent.step(np.zeros(2), clip_norm(np.array([3.0, 4.0]), 1.0), (), 0.5)
    np.testing.assert_allclose(x, [-0.5 * 0.6, -0.5 * 0.8], rtol=1e-15)


@pytest.mark.parametrize("optimiser", [gradient_descent(), adam()], ids=["descent", "adam"])
def test_under_noise_a_constant_rate_never_settles_and_a_falling_one_does(optimiser):
    """The gradient of θ²/2 and as much noise: the spread of the last hundred of 3,000 steps."""
    spread = {}
    for rate in 0.1, linear(0.1, 0.0):
        noise, theta, path = np.random.default_rng(1), np.array([3.0]), []
        state = optimiser.init(theta)
        for k in range(3000):
            theta, state = optimiser.step(theta, theta + noise.normal(size=1), state,
                                          at(rate, remaining(k, 3000)))
            path.append(theta[0])
        spread[rate] = np.sqrt(np.mean(np.square(path[-100:])))
    assert spread[linear(0.1, 0.0)] < 0.05 < 0.1 < spread[0.1]


def test_progress_falls_from_one_to_zero_and_stays_there():
    assert [remaining(t, 4) for t in (0, 1, 2, 3, 4, 5, 100)] == [1, 0.75, 0.5, 0.25, 0, 0, 0]
    assert remaining(1, 4.0) == 0.75


def test_a_schedule_is_that_of_stable_baselines3_by_its_own_words():
    """`start + (1 − progress_remaining) (end − start)/end_fraction`, and `end` after that part."""
    for start, end, part in ((0.3, 0.01, 0.4), (1.0, 2.0, 1.0)):
        for progress in np.linspace(0, 1, 21):
            spent = 1 - progress
            theirs = end if spent > part else start + spent * (end - start) / part
            rate = linear(start, end, part)
            assert rate(progress) == at(rate, progress) == pytest.approx(theirs, abs=1e-15)
            assert at(start, progress) == start


def test_a_schedule_shows_itself_and_survives_a_journey_to_another_process():
    schedule = linear(0.3, 0.0, 0.5)
    assert repr(schedule) == "Linear(start=0.3, end=0.0, end_fraction=0.5)"
    assert pickle.loads(pickle.dumps(schedule))(0.75) == schedule(0.75) == pytest.approx(0.15)


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf])
def test_a_coefficient_is_checked_where_it_is_used(value):
    """A schedule that goes wrong later is refused later, and by name."""
    assert coefficient("ent_coef", 0.0, 3) == 0.0
    schedule = [0.5, value].__getitem__
    assert coefficient("ent_coef", schedule, 0) == 0.5
    with pytest.raises(ValueError, match="ent_coef must be finite and not negative, got"):
        coefficient("ent_coef", schedule, 1)


@pytest.mark.parametrize("shape", [(), (5,), SHAPE, (2, 2, 2)])
def test_a_long_gradient_is_shortened_to_the_limit_and_keeps_its_direction(rng, shape):
    """(optim.3), over all entries whatever their shape."""
    grad = np.asarray(rng.normal(size=shape))
    kept, norm = grad.copy(), math.sqrt(sum(grad[i] ** 2 for i in np.ndindex(shape)))
    for limit in (0.5 * norm, 0.999 * norm, 1e-9 * norm):
        clipped = np.asarray(clip_norm(grad, limit))
        for i in np.ndindex(shape):
            assert math.isclose(clipped[i], grad[i] * min(1, limit / norm), rel_tol=1e-12)
        length = math.sqrt(sum(clipped[i] ** 2 for i in np.ndindex(shape)))
        assert math.isclose(length, limit, rel_tol=1e-12)
    np.testing.assert_array_equal(grad, kept)


def test_a_gradient_within_the_limit_is_left_alone(rng):
    grad = rng.normal(size=SHAPE)
    norm = np.linalg.norm(grad)
    for limit in norm, 1.001 * norm, 1e300, np.inf:
        np.testing.assert_array_equal(clip_norm(grad, limit), grad)
        np.testing.assert_array_equal(clip_norm(0 * grad, 1e-300), 0 * grad)
    np.testing.assert_array_equal(clip_norm(np.array([3.0, 4.0]), 5), [3, 4])
