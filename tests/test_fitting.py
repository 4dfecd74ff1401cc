"""Fits against known minima: near a table, and in the units of the curvature."""

import math

import numpy as np
import pytest
from bowl import BOTTOM, CURVATURE, quadratic
from languages import preference_pairs, running_example
from scipy.sparse import csr_array

from minirl.kernel.gradcheck import check
from minirl.kernel.softmax import log_softmax
from minirl.people.dpo import dpo_loss, fit_dpo
from minirl.people.fitting import (attracted, mean_squares, minimise, minimise_lasting,
                                   minimise_near)
from minirl.people.ipo import fit_ipo, ipo_loss
from minirl.people.orpo import fit_orpo, orpo_loss
from minirl.people.pairs import choices
from minirl.people.reward_model import fit_reward_model
from minirl.people.sft import fit_sft
from minirl.people.simpo import fit_simpo

SHAPE = (2, 3)


def rosenbrock(x):
    value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    return value, np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]),
                            200 * (x[1] - x[0] ** 2)])


def test_an_attraction_adds_half_the_weighted_squared_distance(rng):
    """(fitting.2), by loops, and its gradient."""
    centre, x = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    loss = attracted(quadratic, centre, 0.3)
    value, grad = loss(x)
    plain, plain_grad = quadratic(x)
    expected = plain + 0.15 * sum((x[i] - centre[i]) ** 2 for i in np.ndindex(SHAPE))
    assert math.isclose(value, expected, rel_tol=1e-12)
    for i in np.ndindex(SHAPE):
        assert math.isclose(grad[i], plain_grad[i] + 0.3 * (x[i] - centre[i]), abs_tol=1e-12)
    assert check(loss, x)


def test_an_attraction_leaves_the_gradient_that_it_was_given_alone():
    own = np.ones(2)
    loss = attracted(lambda x: (x.sum(), own), np.zeros(2), 1.0)
    assert loss(np.ones(2))[1].tolist() == loss(np.ones(2))[1].tolist() == [2.0, 2.0]
    assert own.tolist() == [1.0, 1.0]


def test_a_fit_finds_the_bottom_of_a_bowl_in_the_shape_of_its_start():
    start = np.zeros(SHAPE)
    fit = minimise(quadratic, start)
    np.testing.assert_allclose(fit.x, BOTTOM, atol=1e-6)
    assert fit.x.shape == SHAPE and fit.converged
    assert math.isclose(fit.loss, 2.0, rel_tol=1e-12) and type(fit.loss) is float
    assert np.abs(quadratic(fit.x)[1]).max() <= 1e-7
    assert not start.any()


def test_a_fit_that_runs_out_of_iterations_says_so():
    fit = minimise(rosenbrock, np.array([-1.2, 1.0]), max_iterations=5)
    assert not fit.converged and fit.evaluations <= 9
    assert math.isclose(fit.loss, rosenbrock(fit.x)[0], rel_tol=1e-12) and fit.loss < 24.2


def test_a_fit_that_can_go_no_lower_without_reaching_the_tolerance_says_so():
    """At the kink of |x| no point has a small gradient."""
    fit = minimise(lambda x: (np.abs(x).sum(), np.sign(x) + (x == 0)), np.array([0.3, -2.0]))
    assert not fit.converged and fit.loss < 2.3


def test_a_fit_whose_loss_is_flattened_by_rounding_says_so():
    """Next to 1e16 no step lowers the loss, and SciPy calls that a success."""
    fit = minimise(lambda x: (1e16 + rosenbrock(x)[0], rosenbrock(x)[1]), np.array([-1.2, 1.0]))
    assert not fit.converged and np.abs(rosenbrock(fit.x)[1]).max() > 1e-3


def test_a_flat_loss_is_at_its_minimum_wherever_it_starts():
    fit = minimise(lambda x: (1.5, np.zeros(x.shape)), np.ones((2, 1)))
    assert fit.converged and fit.evaluations == 1 and fit.x.tolist() == [[1.0], [1.0]]


# Near a table.


def mean_square(targets):
    """Half the mean squared distance from B tables: a function x -> (value, gradient)."""
    return lambda x: (((x - targets) ** 2).sum() / (2 * len(targets)), x - targets.mean(axis=0))


@pytest.mark.parametrize("pull", [0.0, 0.5, 2.0, 40.0])
@pytest.mark.parametrize("examples", [1, 7])
def test_a_fit_near_a_table_is_the_posterior_mean_of_a_normal_prior(rng, pull, examples):
    """(fitting.2) with weight pull/B: (Σ targets + pull · centre)/(B + pull), by loops."""
    targets, centre = rng.normal(size=(examples, *SHAPE)), rng.normal(size=SHAPE)
    kept = centre.copy()
    fit = minimise_near(mean_square(targets), centre, pull=pull, examples=examples)
    value = 0.0
    for i in np.ndindex(SHAPE):
        best = (sum(target[i] for target in targets) + pull * centre[i]) / (examples + pull)
        assert math.isclose(fit.x[i], best, abs_tol=1e-6)
        value += sum((best - target[i]) ** 2 for target in targets) / (2 * examples)
        value += pull / examples * (best - centre[i]) ** 2 / 2
    assert fit.converged and math.isclose(fit.loss, value, abs_tol=1e-10)
    np.testing.assert_array_equal(centre, kept)


def test_a_fit_near_a_table_begins_there_or_where_it_is_told(rng):
    """The start is where the search begins, and not what attracts."""
    targets, centre, start = rng.normal(size=(4, *SHAPE)), *rng.normal(size=(2, *SHAPE))
    asked = []

    def watched(x):
        asked.append(x.copy())
        return mean_square(targets)(x)

    for where, expected in ((None, centre), (start, start), (np.zeros(SHAPE), 0 * start)):
        asked.clear()
        found = minimise_near(watched, centre, pull=3.0, examples=4, start=where)
        np.testing.assert_array_equal(asked[0], expected)
        np.testing.assert_allclose(found.x, (4 * targets.mean(axis=0) + 3 * centre) / 7, atol=1e-6)


# In the units of the curvature.


UNEVEN = np.array([[1e6, 1.0, 1e-3], [1e3, 0.0, 1e2]])


def uneven(x):
    """A bowl a thousand million times as steep in one direction as in another, flat in one."""
    return 0.5 * (UNEVEN * (x - BOTTOM) ** 2).sum(), UNEVEN * (x - BOTTOM)


def test_a_search_in_the_right_units_sees_a_round_bowl(rng):
    """(fitting.1): nearly the first step ends at the bottom; a factor of the curvature is none."""
    start = rng.normal(size=SHAPE)
    for factor in 1e-9, 1.0, 1e9:
        fit = minimise(uneven, start, curvature=factor * UNEVEN)
        assert fit.converged and fit.evaluations <= 5
        curved = UNEVEN > 0
        np.testing.assert_allclose(fit.x[curved], BOTTOM[curved], atol=2e-4)
        assert fit.x[~curved] == start[~curved]
    assert minimise(uneven, start).evaluations > 10


def test_the_units_change_neither_the_arguments_of_the_loss_nor_the_start(rng):
    """(fitting.1): the loss is asked in θ, and first of all at the start."""
    start, asked = rng.normal(size=SHAPE), []
    kept, curvature = start.copy(), rng.random(SHAPE) + 0.1
    kept_curvature = curvature.copy()
    fit = minimise(lambda x: asked.append(x) or quadratic(x), start, curvature=curvature)
    np.testing.assert_allclose(asked[0], start, rtol=1e-14)
    np.testing.assert_array_equal(start, kept)
    np.testing.assert_array_equal(curvature, kept_curvature)
    np.testing.assert_allclose(fit.x, BOTTOM, atol=1e-6)
    assert fit.loss == quadratic(fit.x)[0] and fit.evaluations == len(asked)


def test_the_tolerance_is_about_the_gradient_whatever_the_units():
    """Neither later, as √h/max √h ≤ 1 would have it, nor earlier."""
    for curvature in None, np.diag(CURVATURE).reshape(SHAPE), np.array([[1e-8, 1, 1], [1, 1, 1]]):
        seen = []

        def watched(x):
            value, grad = quadratic(x)
            seen.append(np.abs(grad).max())
            return value, grad

        fit = minimise(watched, np.zeros(SHAPE), tol=1e-3, curvature=curvature)
        assert fit.converged and seen[-1] <= 1e-3 < min(seen[:-1])
        assert np.abs(quadratic(fit.x)[1]).max() <= 1e-3 * (1 + 1e-9)


def test_a_curvature_of_zero_is_no_knowledge():
    told = minimise(rosenbrock, np.array([-1.2, 1.0]), curvature=np.zeros(2))
    plain = minimise(rosenbrock, np.array([-1.2, 1.0]))
    assert told.evaluations == plain.evaluations
    np.testing.assert_array_equal(told.x, plain.x)


def test_a_prior_adds_to_the_curvature_of_a_loss(rng):
    """pull/B: with it the bowl is round again, and without it one direction would be flat."""
    near = minimise_near(uneven, np.ones(SHAPE), pull=20.0, examples=10, curvature=UNEVEN)
    plain = minimise_near(uneven, np.ones(SHAPE), pull=20.0, examples=10, tol=1e-6)
    assert near.converged and near.evaluations <= 5 < plain.evaluations
    np.testing.assert_allclose(near.x, (UNEVEN * BOTTOM + 2) / (UNEVEN + 2), atol=1e-6)


def test_the_curvature_of_a_mean_is_a_sum_of_squares(rng):
    """(fitting.3), by the second differences of a quadratic loss."""
    D = rng.normal(size=(5, 6)) * (rng.random((5, 6)) < 0.5)
    squares = mean_squares(csr_array(D), SHAPE)

    def loss(x):
        return ((D @ x.ravel()) ** 2).mean() / 2

    for i in np.ndindex(SHAPE):
        step = np.zeros(SHAPE)
        step[i] = 1.0
        assert math.isclose(squares[i], loss(step) + loss(-step), abs_tol=1e-12)  # loss(0) is 0
    twice = csr_array((np.array([1.0, -1.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 2))
    assert mean_squares(twice, (1, 2)).tolist() == [[2.0, 0.0]]


SPARED = {"dpo": (fit_dpo, 0.5, lambda x, ref, pairs: dpo_loss(x, ref, pairs.difference, beta=0.5)),
          "ipo": (fit_ipo, 0.125,
                  lambda x, ref, pairs: ipo_loss(x, ref, pairs.difference, beta=0.125)),
          "orpo": (fit_orpo, 1.0, lambda x, ref, pairs: orpo_loss(x, *pairs.means, beta=1.0))}


@pytest.mark.parametrize("method", SPARED)
def test_knowing_the_curvature_spares_a_fifth_of_the_search_and_ends_at_the_same_place(method):
    """10,000 pairs of the running example: it spares from a fifth to two fifths."""
    fit, beta, loss = SPARED[method]
    pairs, ref = preference_pairs(10_000, 1), running_example().reference
    told = fit(ref, pairs, beta=beta, pull=2.0)
    plain = minimise_near(lambda x: loss(x, ref, pairs), ref, pull=2.0, examples=len(pairs))
    assert told.converged and plain.converged
    assert 0.55 * plain.evaluations < told.evaluations < 0.8 * plain.evaluations
    np.testing.assert_allclose(np.exp(log_softmax(told.x)), np.exp(log_softmax(plain.x)), atol=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_knowing_too_large_a_curvature_costs_time_where_the_pull_is_weak(seed):
    """IPO on 3,000 pairs with a pull of 0.2: half as many evaluations again, or more"""
    fit, beta, loss = SPARED["ipo"]
    pairs, ref = preference_pairs(3000, seed), running_example().reference
    told = fit(ref, pairs, beta=beta, pull=0.2)
    plain = minimise_near(lambda x: loss(x, ref, pairs), ref, pull=0.2, examples=len(pairs))
    assert told.converged and plain.converged and told.evaluations > 1.4 * plain.evaluations


def measured(x):
    """The two measurements of the chapter: 10 x_0 should be 20, and x_1 should be 3."""
    error = np.array([10 * x[0] - 20, x[1] - 3])
    return (error**2).sum() / 4, np.array([5 * error[0], error[1] / 2])


def test_two_measurements_as_the_chapter_has_them():
    """(fitting.1) and (fitting.3) with the curvatures 50 and ½, and gradient descent at its best"""
    assert check(measured, np.array([0.3, -1.0]))
    curvature = mean_squares(csr_array([[10.0, 0.0], [0.0, 1.0]]), (2,))
    assert curvature.tolist() == [50, 0.5]
    told, plain = (minimise(measured, np.zeros(2), curvature=c) for c in (curvature, None))
    assert told.evaluations <= 4 < plain.evaluations < 20

    def error(rate, steps):
        x = np.zeros(2)
        for _ in range(steps):
            x = x - rate * measured(x)[1]
        return abs(x / [2, 3] - 1)

    assert error(0.041, 800)[0] > 1e6 and error(0.0399, 800)[0] < 1
    assert error(0.04, 798)[1] < 1e-7 < error(0.04, 797)[1]


def test_how_far_a_fall_goes_on_for_a_hundredth_of_its_slope():
    """e^−x: to 16.1 for a slope of 1e-7, and by 4.6 from there"""
    stops = [-np.log(tol) for tol in (1e-7, 1e-9)]
    assert stops[0] == pytest.approx(16.1, abs=0.05)
    assert stops[1] - stops[0] == pytest.approx(4.6, abs=0.01)
    for tol, stop in zip((1e-7, 1e-9), stops):
        fit = minimise(lambda x: (np.exp(-x).sum(), -np.exp(-x)), np.zeros(1), tol=tol)
        assert fit.converged and fit.x[0] >= stop


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fall_to_the_left_goes_on_as_one_to_the_right(sign):
    assert not minimise_lasting(lambda x: (np.exp(sign * x).sum(), sign * np.exp(sign * x)),
                                np.zeros(1)).converged


def test_what_a_long_step_took_out_of_sight_has_not_come_to_rest():
    """`minimise_lasting`: e^{−x} is 0 after one step of a thousand, and so is all of its slope."""
    def tail(x):
        return np.exp(-x[0]) + (x[1] - 1) ** 2, np.array([-np.exp(-x[0]), 2 * (x[1] - 1)])

    def bowl(x):
        return 1e-3 * (x[0] - 900) ** 2 + (x[1] - 1) ** 2, np.array([2e-3 * (x[0] - 900),
                                                                     2 * (x[1] - 1)])

    def unround(x):  # whose other entry never comes to rest exactly
        return np.exp(-x[0]) + np.cosh(x[1] - 1 / 3), np.array([-np.exp(-x[0]),
                                                                np.sinh(x[1] - 1 / 3)])

    def mirrored(loss, turn=np.array([-1, 1])):
        return lambda x: (loss(turn * x)[0], turn * loss(turn * x)[1])

    assert unround(minimise(unround, np.zeros(2), curvature=np.array([1e-6, 1.0])).x)[1].any()
    for loss, rests in ((tail, False), (unround, False), (bowl, True), (mirrored(tail), False),
                        (mirrored(bowl), True)):
        found = minimise(loss, np.zeros(2), curvature=np.array([1e-6, 1.0]))
        assert found.converged and abs(found.x[0]) > 100 and abs(loss(found.x)[1]).max() < 1e-7
        for start in np.zeros(2), found.x:  # KTO begins again where it was
            assert minimise_lasting(loss, start, curvature=np.array([1e-6, 1.0]),
                                    centre=np.zeros(2)).converged == rests
            assert minimise_near(loss, np.zeros(2), pull=0, examples=1, start=start,
                                 curvature=np.array([1e-6, 1.0])).converged == rests


def test_what_is_far_away_may_rest_though_nothing_draws_it_from_the_start():
    """Scores of which those with the first feature cancel: w = (50, 50, −150)."""
    X, scores = np.array([[1.0, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]]), [100, -100, 50, -150]

    def loss(w):
        error = X @ w - scores
        return (error @ error) / 2, X.T @ error

    found = minimise_lasting(loss, np.zeros(3))
    assert found.converged and loss(np.zeros(3))[1][0] == 0
    np.testing.assert_allclose(found.x, [50, 50, -150], atol=1e-5)


def test_a_minimum_is_not_taken_for_flat_where_whole_numbers_of_parts_cancel():
    """x_1 − 2 x_2 + x_3 does not see a step along 1, 1, 1, nor one along 1, 2, 3."""
    weights = np.array([1.0, -2.0, 1.0])
    assert minimise_lasting(lambda x: ((weights @ x)**2 / 2, weights * (weights @ x)),
                            np.full(3, 40.0), centre=np.zeros(3)).converged


def test_a_loss_that_is_no_number_has_no_minimum():
    """A gradient of zero beside it proves nothing."""
    for value in np.nan, np.inf:
        assert not minimise(lambda x: (value, 0 * x), np.ones(2)).converged
    assert not minimise(quadratic, np.full(SHAPE, np.nan)).converged
    assert minimise(lambda x: ((x - 1) @ (x - 1), 2 * (x - 1)), [0, 3]).converged


ALWAYS = choices([0, 0, 1, 2], [1, 2, 2, 1], 3)
AT_TIMES = choices([0, 0, 1, 2, 1], [1, 2, 2, 1, 0], 3)
FREE = {"reward_model": lambda pairs, beta: fit_reward_model(0, pairs, pull=0),
        "dpo": lambda pairs, beta: fit_dpo(np.zeros((1, 3)), pairs, beta=beta, pull=0),
        "simpo": lambda pairs, beta: fit_simpo(np.zeros((1, 3)), pairs, beta=beta, simpo_gamma=0.5,
                                               pull=0)}


@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("method", FREE)
def test_without_a_pull_no_method_converges_to_an_item_that_never_loses(method, beta):
    """`minimise_lasting`, and for the reward model (existence.4) besides."""
    runaway, found = (FREE[method](pairs, beta) for pairs in (ALWAYS, AT_TIMES))
    assert (runaway.converged, found.converged) == (False, True)
    assert np.ptp(runaway.x) > np.ptp(found.x)


def test_what_falls_for_ever_moves_on_and_a_minimum_stays():
    """`minimise_lasting`: e^{−x} in one entry or spread over twenty, 1/x, and bowls."""
    def tail(x):
        return np.exp(-x.sum()), np.full(x.shape, -np.exp(-x.sum()))

    def verdict(loss, size, tol=1e-7):
        return minimise_lasting(loss, np.ones(size), tol=tol).converged

    for size in 1, 3, 20:
        assert not verdict(tail, size) and not verdict(tail, size, 1e-4)
        for steepness in 1e-4, 1.0, 1e4:
            assert verdict(lambda x: (steepness * ((x - 3) ** 2).sum(), 2 * steepness * (x - 3)),
                           size)
    assert not verdict(lambda x: (1 / x[0], -1 / x**2), 1, 1e-3)
    assert verdict(lambda x: (0.0, 0 * x), 2) and not verdict(lambda x: (np.nan, 0 * x), 2)
    assert fit_sft(np.zeros((1, 2)), np.array([[3.0, 1.0]])).converged
    assert not fit_sft(np.zeros((1, 3)), np.array([[3.0, 1.0, 0.0]])).converged
    assert fit_sft(np.zeros((1, 3)), np.array([[3.0, 1, 0]]), label_smoothing=0.1).converged
    never_met = np.array([[3.0, 1.0], [0.0, 0.0]])
    assert fit_sft(np.zeros((2, 2)), never_met).converged
    assert fit_sft(np.array([[0.0, 0.0, -np.inf]]), np.array([[3.0, 1.0, 0.0]])).converged


def test_a_search_stops_as_soon_as_it_is_told_to_and_not_before():
    """`until` sees each place after a step, in the shape of the start."""
    def loss(x):
        return (np.exp(x) - np.arange(1, 7).reshape(2, 3) * x).sum(), (
            np.exp(x) - np.arange(1, 7).reshape(2, 3))

    seen = []

    def third(x):
        seen.append(x.copy())
        return len(seen) == 3

    found = minimise(loss, np.zeros((2, 3)), until=third)
    assert [x.shape for x in seen] == [(2, 3)] * 3
    np.testing.assert_array_equal(found.x, seen[-1])
    assert len({x.tobytes() for x in seen}) == 3 and np.abs(loss(found.x)[1]).max() > 1e-3
