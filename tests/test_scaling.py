"""Laws of scale: published constants, the best split of a budget, and fits that recover a law."""

from functools import cache, partial
from itertools import product

import numpy as np
import pytest
from scipy import optimize
from test_gradients import CASES

from minirl.beyond import scaling
from minirl.beyond.scaling import (BESIROGLU, HOFFMANN, HOFFMANN_TEX, Law, compute_optimal, fit_law,
                                   kaplan, law_loss, predicted)
from minirl.lab.laws import BUDGETS, PUBLISHED, noisy_points, stopped_early

SPENT = 5.76e23
ROWS = {  # Gopher, Chinchilla, and tokens per param at four budgets
    "Hoffmann, as printed": (HOFFMANN, 1.9933, 1.9366, 25.7, 50.1, 92.6, 152.6),
    "Hoffmann, not rounded": (HOFFMANN_TEX, 1.9672, 1.9208, 18.6, 33.9, 58.9, 92.3),
    "Besiroglu": (BESIROGLU, 1.9996, 1.9739, 25.7, 21.6, 18.4, 16.1),
    "as printed, with 0.25": (HOFFMANN._replace(powers=(0.34, 0.25)), 2.2970, 2.1511, 154.8, 444.1,
                              1171.1, 2571.7)}


def tokens_per_param(law, budget=SPENT):
    params, tokens = compute_optimal(law, budget)
    return tokens / params


def constants(law):
    return np.array([law.floor, *law.factors, *law.powers])


# What laws say.


@pytest.mark.parametrize("name", ROWS)
def test_what_the_published_constants_imply(name):
    """(scaling.2) and (scaling.5); 1.9933 and 1.9366 belong to the printed power 0.28."""
    law, gopher, chinchilla, *ratios = ROWS[name]
    assert predicted(law, 280e9, 300e9) == pytest.approx(gopher, abs=5e-5)
    assert predicted(law, 70e9, 1.4e12) == pytest.approx(chinchilla, abs=5e-5)
    assert [round(tokens_per_param(law, budget), 1) for budget in BUDGETS] == ratios
    shown = [f"{value:.4f}" for value in (gopher, chinchilla)]
    shown += [f"{ratio:,.1f}" for ratio in ratios[:1] + ratios[2:]]
    line, = [line for line in scaling.__doc__.split("\n") if line.startswith(f"    {name} ")]
    assert line.split()[-5:] == shown
    assert law in PUBLISHED.values()


def test_the_powers_alone_make_the_difference_that_rounding_makes():
    """0.34 and 0.28 are 0.3392 and 0.2849, and with the factors as printed these alone turn 58.9
    into 92.6."""
    assert HOFFMANN.powers == (0.34, 0.28) and round(tokens_per_param(HOFFMANN), 1) == 92.6
    rounded = HOFFMANN._replace(powers=HOFFMANN_TEX.powers)
    assert round(tokens_per_param(rounded), 1) == 58.9
    assert [round(power, 4) for power in HOFFMANN_TEX.powers] == [0.3392, 0.2849]


def test_kaplan_et_al_have_no_floor():
    """(scaling.1) with the scales of its own fit, 6.4e13 and 1.8e13, and its powers, 0.076 and
    0.103; and its two limits.  The two lines have 8.8e13 with 0.076, and 5.4e13 with 0.095."""
    assert round(kaplan(175e9, np.inf), 3) == 1.566 and round(kaplan(175e9, 300e9), 3) == 1.661
    assert round((8.8e13 / 175e9)**0.076, 3) == 1.604
    assert kaplan(175e9, np.inf) == pytest.approx((6.4e13 / 175e9)**0.076, rel=1e-14)
    assert kaplan(np.inf, 300e9) == pytest.approx((1.8e13 / 300e9)**0.103, rel=1e-14)
    assert kaplan(np.inf, np.inf) == 0
    text = " ".join(scaling.__doc__.split())
    for words in ("(8.8e13/params)^0.076", "(5.4e13/tokens)^0.095", "the line says 1.604",
                  "scales 6.4e13 and 1.8e13, and the powers 0.076 and 0.103",
                  "1.566 with endless tokens, and 1.661 with the 300e9"):
        assert words in text
    params = np.array([1e9, 1e10])
    assert kaplan(params, 1e10).tolist() == [kaplan(n, 1e10) for n in params]


def test_numbers_lists_and_arrays_may_be_mixed():
    one, two = 1e9, [1e9, 1e10]
    for law in partial(predicted, BESIROGLU), kaplan:
        expected = [law(one, tokens) for tokens in two]
        for tokens in two, np.array(two), np.array(two, np.int64):
            assert law(one, tokens).tolist() == expected
        assert law(two, 1e9).tolist() == [law(params, 1e9) for params in two]
        assert law(two, np.array(two)[:, None]).shape == (2, 2)
    each = zip(*(compute_optimal(BESIROGLU, budget) for budget in (1e20, 1e21)))
    assert [found.tolist() for found in compute_optimal(BESIROGLU, [1e20, 1e21])] == [
        list(numbers) for numbers in each]


@pytest.mark.parametrize("law, budget", [
    (Law(1.0, (4.0, 1.0), (0.5, 0.5)), 60_000.0), (Law(1.0, (4.0, 9.0), (0.5, 1.5)), 600.0),
    *((law, budget) for law in (HOFFMANN, HOFFMANN_TEX, BESIROGLU) for budget in BUDGETS)])
def test_the_best_split_of_a_budget_is_that_of_a_search(law, budget):
    """(scaling.3) and (scaling.4); (scaling.5) for the ratio."""
    params, tokens = compute_optimal(law, budget)
    assert 6 * params * tokens == pytest.approx(budget, rel=1e-13)
    found = optimize.minimize_scalar(
        lambda log: predicted(law, np.exp(log), budget / 6 / np.exp(log)), method="bounded",
        bounds=(np.log(params) - 9, np.log(params) + 7), options={"xatol": 1e-12})
    assert abs(found.x - np.log(params)) < 1e-6
    terms = [power * factor / size**power for size, factor, power in zip(
        (params, tokens), law.factors, law.powers)]
    assert terms[0] == pytest.approx(terms[1], rel=1e-12)
    both, area = sum(law.powers), budget / 6
    split = (law.powers[0] * law.factors[0] / (law.powers[1] * law.factors[1]))**(1 / both)
    ratio = area**((law.powers[0] - law.powers[1]) / both) / split**2
    assert tokens / params == pytest.approx(ratio, rel=1e-12)


def test_params_grow_with_half_a_power_of_the_budget_where_the_powers_are_equal():
    """0.51 for Besiroglu et al."""
    params = [compute_optimal(BESIROGLU, budget)[0] for budget in (1e20, 1e24)]
    assert round(np.log(params[1] / params[0]) / np.log(1e4), 2) == 0.51
    equal = Law(1.0, (4.0, 1.0), (0.3, 0.3))
    assert tokens_per_param(equal, 1e9) == pytest.approx(tokens_per_param(equal, 1e25), rel=1e-12)


def test_by_the_form_of_kaplan_et_al_params_grow_with_the_power_that_it_implies():
    """(scaling.1) gives 0.58, which is 0.103/(0.076 + 0.103); 0.73 is what they advised."""
    best = [optimize.minimize_scalar(
        lambda log: kaplan(np.exp(log), budget / 6 / np.exp(log)), method="bounded",
        bounds=(5, 50), options={"xatol": 1e-10}).x for budget in (1e20, 1e24)]
    grown = (best[1] - best[0]) / np.log(1e4)
    assert grown == pytest.approx(0.103 / 0.179, abs=1e-6) and round(grown, 2) == 0.58


# Fits.


def test_the_loss_of_a_fit_is_that_of_a_loop():
    """(scaling.6), with errors below delta and above it."""
    rng = np.random.default_rng(3)
    for k in 1, 2, 3:
        sizes, losses = np.exp(rng.normal(size=(20, k))), np.exp(rng.normal(size=20))
        x, delta, total, small = rng.normal(size=1 + 2 * k), 0.7, 0.0, 0
        for row, measured in zip(sizes, losses):
            loss = np.exp(x[0]) + sum(np.exp(x[1 + i]) / row[i]**x[1 + k + i] for i in range(k))
            error = np.log(loss) - np.log(measured)
            small += abs(error) <= delta
            total += error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)
        assert 0 < small < 20
        assert law_loss(x, sizes, losses, delta=delta)[0] == pytest.approx(total, rel=1e-12)


def test_the_checked_gradients_meet_both_branches_of_hubers_loss():
    values = {delta: law_loss(x, *args, delta=delta)[0] for delta in (0.5, 1e-3)
              for x, args in [(np.zeros(5), (np.ones((4, 2)), np.array([1.0, 2.0, 3.0, 30.0])))]}
    assert values[1e-3] < values[0.5] and len(CASES["scaling.law_loss"]) > 2


def test_losses_without_error_give_all_constants_back():
    for law in BESIROGLU, HOFFMANN:
        sizes, _ = noisy_points(0, 60)
        found = fit_law(sizes, predicted(law, *sizes.T))
        assert found.converged
        np.testing.assert_allclose(constants(found.x), constants(law), rtol=1e-8)


def test_the_units_of_the_sizes_do_not_matter():
    sizes, losses = noisy_points(1, 60)
    one, other = fit_law(sizes, losses), fit_law(sizes / [1e9, 1e12], losses)
    assert one.x.powers == pytest.approx(other.x.powers, rel=1e-6)
    assert predicted(one.x, 7e10, 1.4e12) == pytest.approx(predicted(other.x, 70, 1.4), rel=1e-6)


@cache
def fit_of_noisy_points(seed):
    return fit_law(*noisy_points(seed))


@cache
def fits_of_noisy_points():
    return [fit_law(*noisy_points(seed, 60)).x for seed in range(20)]


@pytest.mark.slow
def test_what_an_error_of_three_thousandths_does_to_a_fit():
    """Over 20 seeds: the first power within 0.03, and in fact within 0.016; tokens per param in
    [14, 25] for 80 %."""
    laws = fits_of_noisy_points()
    assert np.abs([law.powers[0] - 0.3478 for law in laws]).max() < 0.016
    ratios = np.array([tokens_per_param(law) for law in laws])
    assert ((14 <= ratios) & (ratios <= 25)).mean() >= 0.8
    assert 13 < ratios.min() and ratios.max() < 31 and round(tokens_per_param(BESIROGLU), 1) == 18.4


def test_outliers_hardly_move_a_fit():
    sizes, losses = noisy_points(2, 60)
    before = fit_law(sizes, losses).x
    losses[:3] *= 1.1
    assert abs(fit_law(sizes, losses).x.powers[0] - before.powers[0]) < 0.01
    squares = fit_law(sizes, losses, delta=1e3).x
    assert abs(squares.powers[0] - before.powers[0]) > 0.01


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow)
                                       for seed in (1, 2, 3)), 17])
def test_the_mean_with_scipys_default_stop_is_a_trap_and_the_sum_is_none(seed):
    """More than 30 % off, in one case above, from the same starts, with the same stop."""
    sizes, losses = noisy_points(seed)
    ratio = tokens_per_param(fit_of_noisy_points(seed).x)
    early = tokens_per_param(stopped_early(sizes, losses))
    assert early > 10 * ratio if seed == 17 else early < 0.7 * ratio
    if seed < 2:
        arrived = stopped_early(sizes, losses, share=1)
        assert tokens_per_param(arrived) == pytest.approx(ratio, rel=1e-3)


def in_units(sizes, losses, share):
    """What SciPy's default stop finds from the starts of `fit_law`, in its units."""
    units, k = np.exp(np.log(sizes).mean(axis=0)), 2
    found = []
    for floor, *powers in product(scaling.FLOORS, *k * [scaling.POWERS]):
        terms = np.log(losses.min() * np.array([floor, *k * [(1 - floor) / k]]))
        found.append(optimize.minimize(
            lambda x: tuple(share * part for part in law_loss(x, sizes / units, losses)),
            np.append(terms, powers), jac=True, method="L-BFGS-B"))
    x = min(found, key=lambda one: one.fun).x
    return Law(np.exp(x[0]), tuple(np.exp(x[1:3] + x[3:] * np.log(units))), tuple(x[3:]))


def test_the_mean_stops_early_in_better_units_too():
    """At 12.8 tokens per param, where the sum arrives at 15.8"""
    sizes, losses = noisy_points(0)
    assert tokens_per_param(in_units(sizes, losses, 1 / 240)) == pytest.approx(12.8, abs=0.1)
    assert tokens_per_param(in_units(sizes, losses, 1)) == pytest.approx(15.8, abs=0.1)


def test_how_small_the_mean_is_where_it_is_least():
    """About 2e-6, so that a gain of 2e-9 is a thousandth of it; and 5e-6 of the sum, 4e-4."""
    sizes, losses = noisy_points(0)
    law = BESIROGLU
    x = np.array([np.log(law.floor), *np.log(law.factors), *law.powers])
    assert 1.5e-6 < law_loss(x, sizes, losses)[0] / 240 < 2.5e-6
    least = fit_of_noisy_points(0).loss
    assert 3.5e-4 < least < 4.5e-4 and 4e-6 < 2e-9 / least < 5.5e-6


def test_a_constant_that_runs_away_is_not_chosen():
    """Losses that fall below every floor, or rise, have a law without overflow or none."""
    sizes = np.geomspace(1, 1e6, 6)[:, None]
    for losses in (5 / sizes[:, 0]**0.1, np.linspace(1, 2, 6), np.full(6, 2.0)):
        law = fit_law(sizes, losses).x
        assert np.isfinite(constants(law)).all()
        assert np.isfinite(predicted(law, sizes[:, 0])).all()
    with pytest.raises(ValueError, match="run away"):
        fit_law(np.array([[1.0], [1.1], [1.2], [1.3]]), np.array([1e6, 1, 1, 1]))


def test_a_law_of_one_size_is_a_curve():
    sizes = np.geomspace(1e3, 1e6, 8)[:, None]
    found = fit_law(sizes, 0.4 + 9 / sizes[:, 0]**0.3).x
    np.testing.assert_allclose(constants(found), [0.4, 9, 0.3], rtol=1e-7)
    assert partial(predicted, found)(np.inf) == pytest.approx(0.4)
