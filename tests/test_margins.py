"""Every loss on preferences is a φ: what each says of a pair, which margin it wants, and which has
the optimum of RLHF for its own.  What each costs at extreme margins is here too; gradients are in
`test_gradients.py`."""

import ast
import inspect
import re
from functools import partial
from itertools import permutations

import numpy as np
import pytest
from languages import all_strings, pairs_of, sigma, totals
from scipy.optimize import brentq, minimize, minimize_scalar

from minirl.kernel.softmax import log_softmax
from minirl.people import margins, ratios
from minirl.people.dpo import dpo_loss, fit_dpo, logistic
from minirl.people.fitting import minimise
from minirl.people.ipo import ipo_loss, squared
from minirl.people.kto import kto_loss
from minirl.people.margins import (alpha_divergence, aot_loss, aot_unpaired_loss, apo_down,
                                   apo_zero, bco, coupled, discopop, exo, exponential, fit_margins,
                                   forward_kl, hinge, jensen_shannon, margin_loss, nca, robust,
                                   savage, sppo, truncated_squared, under, wanted_lead)
from minirl.people.orpo import odds, orpo_loss
from minirl.people.pairs import choices
from minirl.people.simpo import simpo_loss

BETA, EPS = 0.7, 0.2


def log_sigma(x):
    return np.log(sigma(x))


def piecewise(condition, x):
    """x where the condition holds, else 0, for complex numbers too."""
    return np.where(condition, x, 0)


# Each φ, and what its paper says of r⁺ = β h⁺ and r⁻ = β h⁻, in formulas of their own.
OF_A_DIFFERENCE = {
    "logistic": (partial(logistic, beta=BETA), lambda r, s: -log_sigma(r - s)),
    "conservative": (partial(logistic, beta=BETA, label_smoothing=EPS),
                     lambda r, s: -(1 - EPS) * log_sigma(r - s) - EPS * log_sigma(s - r)),
    "robust": (partial(robust, beta=BETA, label_smoothing=EPS),
               lambda r, s: (-(1 - EPS) * log_sigma(r - s) + EPS * log_sigma(s - r)) / (1 - 2*EPS)),
    "squared": (partial(squared, beta=BETA / 2), lambda r, s: ((r - s) / BETA - 1 / BETA)**2),
    "truncated squared": (partial(truncated_squared, beta=BETA),
                          lambda r, s: piecewise(np.real(r - s) < 1, (1 - r + s)**2)),
    "hinge": (partial(hinge, beta=BETA), lambda r, s: piecewise(np.real(r - s) < 1, 1 - r + s)),
    "exponential": (partial(exponential, beta=BETA), lambda r, s: np.exp(s - r)),
    "savage": (partial(savage, beta=BETA), lambda r, s: 1 / (1 + np.exp(r - s))**2),
    "exo": (partial(exo, beta=BETA, label_smoothing=EPS), lambda r, s: sum(
        q * np.log(q / p) for q, p in zip(np.exp([r, s]) / (np.exp(r) + np.exp(s)),
                                          (1 - EPS, EPS)))),
    "discopop": (partial(discopop, beta=BETA, discopop_tau=0.3), lambda r, s: (
        -log_sigma(r - s) * (1 - sigma((r - s) / 0.3)) + np.exp(s - r) * sigma((r - s) / 0.3)))}
OF_TWO = {
    "nca": (partial(nca, beta=BETA),
            lambda r, s: -log_sigma(r) - (log_sigma(-r) + log_sigma(-s)) / 2),
    "bco": (partial(bco, beta=BETA), lambda r, s: -log_sigma(r) - log_sigma(-s)),
    "bco, shifted": (partial(bco, beta=BETA, delta=0.3),
                     lambda r, s: -log_sigma(r - 0.3) - log_sigma(-(s - 0.3))),
    "sppo": (partial(sppo, beta=BETA),
             lambda r, s: (r / BETA - 0.5 / BETA)**2 + (s / BETA + 0.5 / BETA)**2),
    "apo_zero": (partial(apo_zero, beta=BETA), lambda r, s: 1 - sigma(r) + sigma(s)),
    "apo_down": (partial(apo_down, beta=BETA), lambda r, s: sigma(r) + 1 - sigma(r - s)),
    "forward KL": (under(forward_kl, partial(logistic, beta=BETA)), lambda r, s: -log_sigma(
        BETA * (np.exp(-s / BETA) - np.exp(-r / BETA)))),
    "Jensen-Shannon": (under(jensen_shannon, partial(logistic, beta=BETA)), lambda r, s: -log_sigma(
        BETA * np.log(2 / (1 + np.exp(-r / BETA)) / (2 / (1 + np.exp(-s / BETA)))))),
    "alpha": (under(partial(alpha_divergence, alpha=0.4), partial(squared, beta=BETA)),
              lambda r, s: ((np.exp(-0.4 * s / BETA) - np.exp(-0.4 * r / BETA)) / 0.4
                            - 1 / (2 * BETA))**2)}
ROWS = OF_A_DIFFERENCE | OF_TWO

RNG = np.random.default_rng(2)
STRINGS = all_strings(2, 4)
SIDES = [[STRINGS[i] for i in side] for side in RNG.integers(len(STRINGS), size=(2, 12))]
PAIRS = pairs_of(*SIDES, symbols=4)
LOGITS, REF = RNG.normal(size=(2, 4, 4))
WEIGHTS = RNG.random(12)
LENGTHS = [np.array([len(string) for string in side]) for side in SIDES]
SUMS = [totals(log_softmax(LOGITS) - log_softmax(REF), side) for side in SIDES]


def slope(f, x):
    """df/dx by a complex step, at each x."""
    return np.imag(f(x + 1e-30j)) / 1e-30


@pytest.mark.parametrize("form", ["counts", "means"])
@pytest.mark.parametrize("name", ROWS)
def test_a_loss_is_a_mean_over_pairs_and_its_gradient_a_loop_over_strings_and_steps(name, form):
    """(margins.1), the formula of each paper, and its slopes"""
    phi, paper = ROWS[name]
    h, k = SUMS if form == "counts" else (SUMS[0] / LENGTHS[0], SUMS[1] / LENGTHS[1])
    loss, grad = margin_loss(LOGITS, REF, getattr(PAIRS, form), phi, pair_weights=WEIGHTS)
    w = WEIGHTS / WEIGHTS.sum()
    assert loss == pytest.approx(w @ paper(BETA * h, BETA * k), abs=1e-12, rel=1e-12)
    slopes = slope(lambda x: paper(BETA * x, BETA * k), h), slope(
        lambda x: paper(BETA * h, BETA * x), k)
    np.testing.assert_allclose(phi(h, k)[1:], slopes, rtol=1e-12, atol=1e-13)
    G = np.zeros((4, 4))
    for side, lengths, slopes_of_side in zip(SIDES, LENGTHS, slopes):
        for string, length, weight, one in zip(side, lengths, w, slopes_of_side):
            for s, a in string:
                G[s, a] += weight * one / (1 if form == "counts" else length)
    expected = G - np.exp(log_softmax(LOGITS)) * G.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(grad, expected, rtol=1e-12, atol=1e-12)


def test_pairs_are_their_counts_and_a_function_of_the_difference_needs_no_more():
    for name, (phi, _) in ROWS.items():
        loss, grad = margin_loss(LOGITS, REF, PAIRS.counts, phi)
        same, same_grad = margin_loss(LOGITS, REF, PAIRS, phi)
        assert loss == same and (grad == same_grad).all()
        if name in OF_A_DIFFERENCE:
            one, one_grad = margin_loss(LOGITS, REF, PAIRS.difference, phi)
            assert one == pytest.approx(loss, abs=1e-12)
            np.testing.assert_allclose(one_grad, grad, atol=1e-12)
        else:
            with pytest.raises(ValueError, match="phi must depend on h⁺ − h⁻ alone"):
                margin_loss(LOGITS, REF, PAIRS.difference, phi)


def test_the_losses_of_other_chapters_are_such_a_phi():
    """DPO, IPO, SimPO and ORPO; the last two over log π̄ in the place of h."""
    flat = np.zeros((4, 4))  # whose log-ratio to log π is −log 4 in every step of every string
    for one, other in (
            (dpo_loss(LOGITS, REF, PAIRS.counts, beta=0.3, label_smoothing=0.1),
             margin_loss(LOGITS, REF, PAIRS, partial(logistic, beta=0.3, label_smoothing=0.1))),
            (ipo_loss(LOGITS, REF, PAIRS.counts, beta=0.3),
             margin_loss(LOGITS, REF, PAIRS, partial(squared, beta=0.3))),
            (simpo_loss(LOGITS, *PAIRS.means, beta=2.0, simpo_gamma=0.0),
             margin_loss(LOGITS, flat, PAIRS.means, partial(logistic, beta=2.0))),
            (orpo_loss(LOGITS, *PAIRS.means, beta=2.0),
             margin_loss(LOGITS, flat, PAIRS.means, lambda plus, minus: odds(
                 plus - np.log(4), minus - np.log(4), beta=2.0)))):
        assert one[0] == pytest.approx(other[0], abs=1e-12)
        np.testing.assert_allclose(*(found[1] for found in (one, other)), atol=1e-12)


def test_apo_zero_is_kto_at_the_reference_point_zero():
    """Twice, since KTO's mean is over 2B strings."""
    X, Y = PAIRS.counts
    loss, grad = margin_loss(LOGITS, REF, PAIRS, partial(apo_zero, beta=BETA))
    other, other_grad = kto_loss(LOGITS, REF, X, Y, beta=BETA, z0=0.0)
    assert loss == pytest.approx(2 * other, abs=1e-14)
    np.testing.assert_allclose(grad, 2 * other_grad, atol=1e-14)


# The convex family.

WINS = 0.1, 0.5, 0.9


def log_odds_of(p):
    return np.log(p / (1 - p))


# φ at β = 1, and the margin that it wants where y⁺ wins a share p.
CONVEX = {
    "logistic": (partial(logistic, beta=1.0), log_odds_of),
    "conservative": (partial(logistic, beta=1.0, label_smoothing=0.1),
                     lambda p: log_odds_of(0.9 * p + 0.1 * (1 - p))),
    "robust": (partial(robust, beta=1.0, label_smoothing=0.05),
               lambda p: np.log((p - 0.05) / (1 - p - 0.05))),
    "exponential": (partial(exponential, beta=1.0), lambda p: log_odds_of(p) / 2),
    "squared": (partial(squared, beta=0.5), lambda p: 2 * p - 1),
    "truncated squared": (partial(truncated_squared, beta=1.0), lambda p: 2 * p - 1),
    "hinge": (partial(hinge, beta=1.0), lambda p: np.sign(2 * p - 1))}
TWO_WAYS = choices([1, 0], [0, 1], 2)
EVEN = np.zeros((1, 2))


def population_slope(phi, p, m):
    """∂/∂m of the mean loss of two strings of which the first one wins a share p."""
    _, grad = margin_loss(np.array([[0.0, m]]), EVEN, TWO_WAYS, phi,
                          pair_weights=np.array([p, 1 - p]))
    return grad[0, 1]


@pytest.mark.parametrize("p", WINS)
@pytest.mark.parametrize("name", CONVEX)
def test_the_population_gradient_vanishes_at_the_wanted_lead(name, p):
    """(margins.2): for the hinge, which has a kink there, its two one-sided slopes do not agree in
    sign."""
    phi, formula = CONVEX[name]
    m = formula(p)
    if name == "hinge" and p != 0.5:
        below, above = (population_slope(phi, p, m + side) for side in (-1e-9, 1e-9))
        assert (below, above) == pytest.approx((-p, 1 - 2*p) if m < 0 else (1 - 2*p, 1 - p))
        assert below < 0 < above
    else:
        assert abs(population_slope(phi, p, m)) < 1e-10
        assert population_slope(phi, p, m - 0.1) <= 0 <= population_slope(phi, p, m + 0.1)
    assert wanted_lead(phi, p) == pytest.approx(m, abs=1e-10)


@pytest.mark.parametrize("name", OF_A_DIFFERENCE)
def test_a_larger_beta_wants_a_lead_as_much_smaller(name):
    """m = β (h⁺ − h⁻)"""
    if name in ("discopop", "squared"):
        return
    phi, _ = OF_A_DIFFERENCE[name]
    unit = partial(phi.func, **phi.keywords | {"beta": 1.0})
    for p in (0.2, 0.3, 0.6, 0.75):
        assert BETA * wanted_lead(phi, p) == pytest.approx(wanted_lead(unit, p), abs=1e-10)


def test_exo_and_savage_have_one_minimum_and_that_of_exo_is_linear_in_the_wins():
    """(margins.2): (2p − 1) log((1 − ε)/ε), and the slope changes its sign nowhere else."""
    for eps in (1e-3, 0.1, 0.4):
        phi = partial(exo, beta=1.0, label_smoothing=eps)
        for p in (0.1, 0.5, 0.9, 1.0):
            m = (2 * p - 1) * np.log((1 - eps) / eps)
            assert abs(population_slope(phi, p, m)) < 1e-10
            assert wanted_lead(phi, p) == pytest.approx(m, abs=1e-9)
            assert_one_sign_on_each_side(phi, p, m)
    for p in WINS:
        assert_one_sign_on_each_side(partial(savage, beta=1.0), p, log_odds_of(p))


def assert_one_sign_on_each_side(phi, p, m):
    """So that φ need not be convex"""
    for x in np.linspace(0.5, 15, 30):
        assert population_slope(phi, p, m - x) < 0 < population_slope(phi, p, m + x)


def test_which_phi_has_a_finite_minimum_where_one_string_always_wins():
    wanted = {name: wanted_lead(phi, 1.0) for name, (phi, _) in CONVEX.items()}
    assert {name for name, m in wanted.items() if m == np.inf} == {
        "logistic", "robust", "exponential"}
    assert wanted["conservative"] == pytest.approx(np.log(9))
    assert [wanted[name] for name in ("squared", "truncated squared", "hinge")] == [1, 1, 1]
    for name, (phi, _) in CONVEX.items():
        assert wanted_lead(phi, 0.0) == -wanted[name]
    # Beyond its finite margin a square calls back, and the other two let be.
    called = {name: population_slope(CONVEX[name][0], 1.0, 3.0)
              for name in ("squared", "truncated squared", "hinge")}
    assert called["squared"] > 1 and called["truncated squared"] == called["hinge"] == 0
    # Robust DPO is unbounded below.
    assert margin_loss(np.array([[0, 1e4]]), EVEN, choices([1], [0], 2),
                       CONVEX["robust"][0])[0] == pytest.approx(-1e4 * 0.05 / 0.9)


def test_wanted_margins_of_extreme_steepness():
    """And of raters who are nearly sure"""
    for wins in (1e-12, 1 - 1e-12):
        for phi, formula in (CONVEX[name] for name in ("logistic", "exponential")):
            assert wanted_lead(phi, wins) == pytest.approx(formula(wins), rel=1e-5)
    for beta in (1e-6, 1e-3, 1e3, 1e5):
        phi = partial(logistic, beta=beta)
        assert beta * wanted_lead(phi, 0.9) == pytest.approx(np.log(9), rel=1e-9)
        assert wanted_lead(phi, 1.0) == np.inf and wanted_lead(phi, 0.5) == 0


def test_a_phi_is_asked_about_as_many_rejected_strings_as_chosen_ones():
    """So one of your own need not rely on broadcasting."""
    def phi(plus, minus):
        assert plus.shape == minus.shape
        return logistic(plus, minus, beta=2.0)

    for wins in 0.75, 0.25:
        assert wanted_lead(phi, wins) == pytest.approx(np.log(wins / (1 - wins)) / 2, rel=1e-12)
    pairs = choices([0, 1], [1, 0], 2)
    assert margin_loss(np.zeros((1, 2)), EVEN, pairs.difference, phi)[0] == pytest.approx(np.log(2))


def test_conservative_and_robust_dpo_are_dpo_with_a_pull_and_with_a_push():
    """(margins.4): the same term, smoothing·m, with opposite signs"""
    h, k = SUMS
    m = BETA * (h - k)
    plain = logistic(h, k, beta=BETA)[0]
    np.testing.assert_allclose(logistic(h, k, beta=BETA, label_smoothing=0.1)[0],
                               plain + 0.1 * m, atol=1e-12)
    np.testing.assert_allclose(robust(h, k, beta=BETA, label_smoothing=0.1)[0],
                               plain - 0.1 / 0.8 * m, atol=1e-12)
    np.testing.assert_allclose(
        0.9 * robust(h, k, beta=BETA, label_smoothing=0.1)[0]
        + 0.1 * robust(k, h, beta=BETA, label_smoothing=0.1)[0], plain, atol=1e-12)


# Many strings in one state: what each finds.

REWARD = np.array([0.0, 1.0, 2.0, 3.0])
FOUR = np.log([[0.4, 0.3, 0.2, 0.1]])
WRITERS = np.exp(FOUR[0]), np.array([0.1, 0.2, 0.3, 0.4])  # the reference, and somebody else
FIRST, SECOND = np.divmod(np.arange(16), 4)
ALL_PAIRS = choices(FIRST, SECOND, 4)


def population(writer, flipped=0.0):
    """The weights of all pairs: both strings by the writer, compared by Bradley-Terry, of which
    answers a share is turned round."""
    wins = sigma(REWARD[FIRST] - REWARD[SECOND])
    return writer[FIRST] * writer[SECOND] * ((1 - flipped) * wins + flipped * (1 - wins))


def optimum(price):
    """log π of RLHF."""
    return log_softmax(FOUR + REWARD / price)


def steepest(logp, phi, weights):
    return np.abs(margin_loss(logp, FOUR, ALL_PAIRS, phi, pair_weights=weights)[1]).max()


def table_of_phi():
    """Each row of the table in the chapter at β = 0.5: φ, and the price of the RLHF whose optimum
    is its own, None if there is no such price."""
    rows = {name: (phi, None) for name, phi in {
        "conservative": partial(logistic, beta=0.5, label_smoothing=0.1),
        "robust": partial(robust, beta=0.5, label_smoothing=0.1),
        "squared": partial(squared, beta=0.5), "hinge": partial(hinge, beta=0.5),
        "truncated": partial(truncated_squared, beta=0.5),
        "exo": partial(exo, beta=0.5, label_smoothing=0.1),
        "discopop": partial(discopop, beta=0.5), "nca": partial(nca, beta=0.5),
        "bco": partial(bco, beta=0.5), "sppo": partial(sppo, beta=0.5),
        "apo_zero": partial(apo_zero, beta=0.5), "apo_down": partial(apo_down, beta=0.5),
        "forward": under(forward_kl, partial(logistic, beta=0.5)),
        "jensen_shannon": under(jensen_shannon, partial(logistic, beta=0.5)),
        "alpha": under(partial(alpha_divergence, alpha=0.5), partial(logistic, beta=0.5))}.items()}
    return rows | {"logistic": (partial(logistic, beta=0.5), 0.5),
                   "savage": (partial(savage, beta=0.5), 0.5),
                   "exponential": (partial(exponential, beta=0.5), 1.0)}


def nearest(loss):
    """The price of the RLHF at whose optimum the loss has the smallest slope, against that at the
    reference, and this slope: first on a grid, and then between its points."""
    start = np.abs(loss(FOUR)[1]).max()

    def slope(log_price):
        return np.abs(loss(optimum(np.exp(log_price)))[1]).max() / start

    grid = np.linspace(np.log(0.15), np.log(50), 200)
    best = np.argmin([slope(x) for x in grid])
    found = minimize_scalar(slope, bounds=(grid[max(best - 1, 0)], grid[min(best + 1, 199)]),
                            method="bounded", options={"xatol": 1e-12})
    return np.exp(found.x), found.fun


@pytest.mark.parametrize("name", table_of_phi())
@pytest.mark.parametrize("writer", WRITERS, ids=["reference", "other"])
def test_which_rows_have_the_optimum_of_rlhf_as_their_own(name, writer):
    """(margins.3): at the price of the row, or at none, from a third to a hundred times β; and the
    answer does not depend on who wrote the pairs."""
    phi, price = table_of_phi()[name]
    weights = population(writer)
    found, slope = nearest(lambda x: margin_loss(x, FOUR, ALL_PAIRS, phi, pair_weights=weights))
    if price:
        assert steepest(optimum(price), phi, weights) < 1e-15
        assert (found, slope) == (pytest.approx(price, rel=1e-6), pytest.approx(0, abs=1e-6))
    else:
        assert slope > 3e-3


@pytest.mark.parametrize("name", ["logistic", "savage", "exponential", "forward", "alpha",
                                  "conservative", "squared", "truncated", "exo", "bco", "sppo"])
def test_where_a_compromise_rests_depends_on_who_wrote_the_pairs(name):
    """And where each pair is content by itself it does not."""
    phi, _ = table_of_phi()[name]
    one, other = population(WRITERS[0]), population(WRITERS[1])
    fit = minimise(lambda x: margin_loss(x, FOUR, ALL_PAIRS, phi, pair_weights=one), FOUR,
                   tol=1e-10)
    assert steepest(fit.x, phi, one) < 1e-9
    content = name in ("logistic", "savage", "exponential", "forward", "alpha")
    assert (steepest(fit.x, phi, other) < 1e-7) == content
    assert content or steepest(fit.x, phi, other) > 1e-3


def other_losses(w):
    """KTO at the z₀ of the policy, SimPO, ORPO and both AOT, of pairs with these weights."""
    logistic_phi, (X, Y) = partial(logistic, beta=0.5), ALL_PAIRS.counts
    return {
        "kto": lambda x: kto_loss(
            x, FOUR, X, Y, beta=0.5, z0=max(0, (np.exp(x) * (x - log_softmax(FOUR))).sum()),
            desirable_weight=w, undesirable_weight=w),
        "simpo": lambda x: simpo_loss(x, *ALL_PAIRS.means, beta=0.5, simpo_gamma=0.0,
                                      pair_weights=w),
        "orpo": lambda x: orpo_loss(x, *ALL_PAIRS.means, beta=1.0, pair_weights=w),
        "aot": lambda x: aot_loss(x, FOUR, ALL_PAIRS, logistic_phi, pair_weights=w),
        "aot_unpaired": lambda x: aot_unpaired_loss(x, FOUR, ALL_PAIRS, logistic_phi,
                                                    pair_weights=w)}


@pytest.mark.parametrize("name", ["kto", "simpo", "orpo", "aot", "aot_unpaired"])
@pytest.mark.parametrize("writer", WRITERS, ids=["reference", "other"])
def test_the_other_losses_have_not(name, writer):
    assert nearest(other_losses(population(writer))[name])[1] > 1e-3


def test_robust_dpo_undoes_the_flips():
    """Its population gradient under flips vanishes at the clean optimum, and there is its minimum;
    conservative DPO and DPO rest elsewhere."""
    for writer in WRITERS:
        for flipped in (0.05, 0.1, 0.3):
            phi = partial(robust, beta=0.5, label_smoothing=flipped)
            weights = population(writer, flipped)
            assert steepest(optimum(0.5), phi, weights) < 1e-10
            found = minimize(lambda x: [part if i == 0 else part.ravel() for i, part in enumerate(
                margin_loss(x[None], FOUR, ALL_PAIRS, phi, pair_weights=weights))],
                FOUR[0], jac=True, method="BFGS", options={"gtol": 1e-12})
            np.testing.assert_allclose(log_softmax(found.x[None]), optimum(0.5), atol=1e-6)
            for other in (partial(logistic, beta=0.5),
                          partial(logistic, beta=0.5, label_smoothing=flipped)):
                assert steepest(optimum(0.5), other, weights) > 1e-3


@pytest.mark.parametrize("divergence, inverse, most", [
    (forward_kl, lambda u: 1 / (1 - u), 1.0),
    (jensen_shannon, lambda u: 1 / (2 * np.exp(-u) - 1), np.log(2)),
    (partial(alpha_divergence, alpha=0.5), lambda u: (1 - u / 2)**-2, 2.0)])
def test_under_another_divergence_dpo_finds_the_optimum_of_its_price(divergence, inverse, most):
    """(margins.6): where the derivatives of E[R] − β D_f in each π(y) are equal, f' of π/π_ref is
    (R − c)/β, and c makes π sum to 1; there the loss of every writer's pairs has no slope."""
    def policy(c):
        return np.exp(FOUR[0]) * inverse((REWARD - c) / 2.0)

    c = brentq(lambda c: policy(c).sum() - 1, 3 - 2 * most + 1e-9, 50, xtol=1e-14, rtol=1e-15)
    best = np.log(policy(c))[None]
    np.testing.assert_allclose(divergence(best - FOUR)[0], (REWARD - c)[None] / 2, atol=1e-12)
    for writer in WRITERS:
        phi = under(divergence, partial(logistic, beta=2.0))
        assert steepest(best, phi, population(writer)) < 1e-12


def test_divergences_are_derivatives_of_their_f():
    """u(h) = f'(e^h), with the slopes by complex steps; α goes from one KL to the other."""
    h = np.linspace(-3, 3, 13)
    fs = {forward_kl: lambda t: t - np.log(t),  # up to a constant, and what is linear in t
          jensen_shannon: lambda t: t * np.log(t) - (1 + t) * np.log((1 + t) / 2),
          partial(alpha_divergence, alpha=0.3): lambda t: (t**0.7 - 0.7 * t - 0.3) / (-0.3 * 0.7)}
    for divergence, f in fs.items():
        u, du = divergence(h)
        np.testing.assert_allclose(u, slope(f, np.exp(h)), atol=1e-12)
        np.testing.assert_allclose(du, slope(lambda x: divergence(x)[0], h), rtol=1e-12)
    np.testing.assert_allclose(alpha_divergence(h, alpha=1.0), forward_kl(h))
    np.testing.assert_allclose(alpha_divergence(h, alpha=1e-8)[0], h, atol=1e-6)


def test_the_table_of_wanted_margins():
    """(margins.2); and the last column, which is what the tests above find"""
    phis = {"logistic, DPO": (partial(logistic, beta=1.0), 2.197, "∞", "yes"),
            "savage": (partial(savage, beta=1.0), 2.197, "∞", "yes"),
            "exponential": (partial(exponential, beta=1.0), 1.099, "∞", "at price 2β"),
            "conservative": (partial(logistic, beta=1.0, label_smoothing=0.05), 1.815, "2.944",
                             "no"),
            "robust": (partial(robust, beta=1.0, label_smoothing=0.05), 2.833, "∞", "if mixed"),
            "exo": (partial(exo, beta=1.0, label_smoothing=0.05), 2.356, "2.944", "no"),
            "squared, IPO": (partial(squared, beta=0.5), 0.8, "1", "no"),
            "truncated_squared": (partial(truncated_squared, beta=1.0), 0.8, "1 or more", "no"),
            "hinge": (partial(hinge, beta=1.0), 1, "1 or more", "no")}
    rows = re.findall(r"^    (\w[\w, ]*?) {2,}\S.* {2,}([\d.]+) +(∞|1 or more|[\d.]+) +(\S.*)$",
                      margins.__doc__, flags=re.M)
    assert [(name, float(m), sure, found) for name, m, sure, found in rows] == [
        (name, *said) for name, (_, *said) in phis.items()]
    known = {"yes": 0.5, "at price 2β": 1.0, "no": None}  # at β = 0.5
    for name, (phi, m, sure, found) in phis.items():
        assert wanted_lead(phi, 0.9) == pytest.approx(m, abs=5e-4)
        least = float(sure.split()[0].replace("∞", "inf"))
        assert wanted_lead(phi, 1.0) == pytest.approx(least, abs=5e-4)
        beyond = phi(np.full(1, least + 1), np.zeros(1))[1] if np.isfinite(least) else None
        assert ("or more" in sure) == (beyond is not None and beyond[0] == 0)
        if found in known:
            key = name.split(",")[0].removesuffix("_squared")
            assert table_of_phi()[key][1] == known[found]


def test_the_chapters_are_short():
    """Lines of code without texts, comments and blanks; and a φ or a gate has at most ten"""
    total, short = 0, []
    for module in margins, ratios:
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(
                    node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        total += len([line for line in ast.unparse(tree).split("\n") if line.strip()])
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and (
                    node.args.args[0].arg in ("plus", "ratio", "h")):
                short.append(node.name)
                assert len(ast.unparse(node).split("\n")) <= 10, node.name
    assert total <= 350 and len(short) == 12 + 3 + 6


def test_which_phi_wants_a_multiple_of_the_log_odds():
    """(margins.3): its quotient of slopes is a power of e^m for three of the rows."""
    m = np.linspace(-3, 3, 7)
    for name, multiple in (("logistic", 1), ("savage", 1), ("exponential", 2)):
        phi = partial(OF_A_DIFFERENCE[name][0].func, beta=1.0)
        np.testing.assert_allclose(phi(-m, 0.0)[1], np.exp(multiple * m) * phi(m, 0.0)[1])
        for p in WINS:
            assert multiple * wanted_lead(phi, p) == pytest.approx(log_odds_of(p), abs=1e-10)
    for name, (phi, _) in (OF_A_DIFFERENCE | CONVEX).items():
        if name not in ("logistic", "savage", "exponential", "hinge", "discopop"):
            multiples = [log_odds_of(p) / wanted_lead(phi, p) for p in (0.6, 0.75)]
            assert abs(multiples[0] / multiples[1] - 1) > 0.01


WINS_OF = {  # β h(y) of (margins.5)
    "bco": (bco, log_odds_of), "nca": (nca, lambda p: np.log(2 * p)),
    "sppo": (sppo, lambda p: p - 0.5)}


@pytest.mark.parametrize("name", WINS_OF)
def test_losses_of_two_numbers_tell_every_string_its_own_log_ratio(name):
    """(margins.5): the slope in h(y) alone is zero there for every y, whatever π(y) sum to."""
    phi, told = WINS_OF[name]
    for writer in WRITERS:
        weights = population(writer)
        wins = sigma(REWARD[:, None] - REWARD) @ writer
        h = told(wins) / BETA
        _, up, down = phi(h[FIRST], h[SECOND], beta=BETA)
        in_each = np.bincount(FIRST, weights * up) + np.bincount(SECOND, weights * down)
        np.testing.assert_allclose(in_each, 0, atol=1e-15)
        assert name == "nca" or abs((np.exp(FOUR[0] + h)).sum() - 1) > 0.02
    p = np.linspace(0.1, 0.9, 9)
    for x in (-2.0, 0.0, 2.0):  # and APO-zero puts it to the vote, wherever it is
        _, up, down = apo_zero(x, x, beta=1.0)
        np.testing.assert_allclose(p * up + (1 - p) * down, (2 * p - 1) * up, atol=1e-15)


def test_nca_at_one_finds_the_law_of_the_chosen_strings():
    """From pairs of the reference: the best of two, as these raters judge"""
    weights = population(np.exp(FOUR[0]))
    law = np.bincount(FIRST, weights) / weights.sum()
    assert steepest(np.log(law)[None], partial(nca, beta=1.0), weights) < 1e-15
    wins = sigma(REWARD[:, None] - REWARD) @ np.exp(FOUR[0])
    np.testing.assert_allclose(law, 2 * wins * np.exp(FOUR[0]), atol=1e-15)


def test_where_aa_over_aaaa_ends():
    """The language of `dpo` with one letter, after it"""
    pair = pairs_of([[(0, 1), (0, 0)]], [[(0, 1)] * 3 + [(0, 0)]], symbols=2)
    ref = np.log([[2 / 3, 1 / 3], [0.5, 0.5]])
    assert np.exp(log_softmax(ref))[0].prod() == pytest.approx(0.222, abs=5e-4)
    for phi, chance in ((partial(sppo, beta=1.0), 0.205), (partial(squared, beta=0.5), 0.161),
                        (partial(nca, beta=1.0), 0.159), (partial(bco, beta=1.0), 0.149),
                        (partial(apo_zero, beta=1.0), 0.113),
                        (partial(exo, beta=1.0, label_smoothing=0.1), 0.099)):
        fit = fit_margins(ref, pair, phi, pull=0)
        assert fit.converged
        assert np.exp(log_softmax(fit.x))[0].prod() == pytest.approx(chance, abs=5e-4)
    runaway = fit_margins(ref, pair, partial(logistic, beta=1.0), pull=0)
    assert not runaway.converged and np.exp(log_softmax(runaway.x))[0].prod() < 1e-3
    for phi in (logistic, bco, nca, sppo, apo_zero):
        _, up, down = phi(0.0, 0.0, beta=1.0)
        assert up == -down < 0


def test_discopop_pushes_the_wrong_way_at_the_reference():
    m = np.linspace(-1, 1, 200_001)
    rises = m[discopop(m, 0.0, beta=1.0)[1] > 0]
    assert [rises[0], rises[-1]] == pytest.approx([-0.119, 0.072], abs=6e-4)
    assert discopop(0.0, 0.0, beta=1.0)[1] == pytest.approx(0.78, abs=5e-3)
    won = choices([1], [0], 2)
    fit = fit_margins(EVEN, won, partial(discopop, beta=1.0), pull=1e-6)
    assert fit.x[0, 1] - fit.x[0, 0] == pytest.approx(-0.119, abs=6e-4)
    # With Bradley-Terry's pairs it rests where J is below that of the reference.
    phi, weights = partial(discopop, beta=0.5), population(WRITERS[0])
    fit = minimise(lambda x: margin_loss(x, FOUR, ALL_PAIRS, phi, pair_weights=weights), FOUR)

    def J(logp):
        return (np.exp(logp) * (REWARD - 0.5 * (logp - FOUR))).sum()

    assert fit.converged and J(log_softmax(fit.x)) < J(FOUR) - 0.1
    assert fit.loss > margin_loss(optimum(0.5), FOUR, ALL_PAIRS, phi, pair_weights=weights)[0] + 0.1


# AOT.


def by_hand(phi, values, others):
    return np.mean([phi(a, b)[0] for a, b in zip(values, others)])


def test_aot_is_the_least_of_all_pairings_for_a_convex_phi():
    """Unpaired: h⁺ against h⁻ of anybody; paired: leads under π against leads under π_ref."""
    phi, few = partial(logistic, beta=BETA), PAIRS.select(np.arange(6))
    h, k = (side[:6] for side in SUMS)
    leads, ref_leads = (totals(log_softmax(table), SIDES[0])[:6]
                        - totals(log_softmax(table), SIDES[1])[:6] for table in (LOGITS, REF))
    for loss, ups, downs in ((aot_unpaired_loss, h, k), (aot_loss, leads, ref_leads)):
        found, _ = loss(LOGITS, REF, few, phi)
        assert found == pytest.approx(by_hand(phi, np.sort(ups), np.sort(downs)), abs=1e-12)
        costs = [by_hand(phi, ups, downs[list(order)]) for order in permutations(range(6))]
        assert found == pytest.approx(min(costs), abs=1e-12)
        assert found < by_hand(phi, ups, downs) - 1e-3


@pytest.mark.parametrize("loss", [aot_loss, aot_unpaired_loss])
def test_aot_of_weighted_pairs_is_that_of_repeated_ones(loss):
    phi = partial(exponential, beta=BETA)
    times = np.array([3, 1, 2, 0, 1, 4, 1, 1, 2, 1, 1, 5])
    whole = loss(LOGITS, REF, PAIRS.select(np.repeat(np.arange(12), times)), phi)
    weighted = loss(LOGITS, REF, PAIRS, phi, pair_weights=times / 7)
    for one, other in zip(whole, weighted):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_aot_does_not_ask_who_was_compared_with_whom():
    phi, order = partial(logistic, beta=BETA), RNG.permutation(12)
    mixed = pairs_of(SIDES[0], [SIDES[1][i] for i in order], symbols=4)
    for one, other in zip(aot_unpaired_loss(LOGITS, REF, PAIRS, phi),
                          aot_unpaired_loss(LOGITS, REF, mixed, phi)):
        np.testing.assert_allclose(one, other, atol=1e-14)
    assert abs(margin_loss(LOGITS, REF, PAIRS, phi)[0]
               - margin_loss(LOGITS, REF, mixed, phi)[0]) > 1e-3


def test_aot_of_one_pair_is_dpo():
    phi, one = partial(logistic, beta=BETA), PAIRS.select([3])
    for loss in (aot_loss, aot_unpaired_loss):
        for found, expected in zip(loss(LOGITS, REF, one, phi), margin_loss(LOGITS, REF, one, phi)):
            np.testing.assert_allclose(found, expected, atol=1e-14)


def test_a_coupling_has_both_weights_and_crosses_nowhere():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b, w = rng.normal(size=(3, 9))
        w = np.abs(w) * (rng.random(9) < 0.8) + 1e-300
        w /= w.sum()
        i, j, mass = coupled(a, b, w)
        np.testing.assert_allclose(np.bincount(i, mass, 9), w, atol=1e-15)
        np.testing.assert_allclose(np.bincount(j, mass, 9), w, atol=1e-15)
        assert (np.diff(a[i]) >= 0).all() and (np.diff(b[j]) >= 0).all() and (mass > 0).all()


# Fits, and extremes.


@pytest.mark.parametrize("name", ROWS)
def test_a_fit_is_a_stationary_point_with_the_pull(name):
    phi, _ = ROWS[name]
    for form in (PAIRS, PAIRS.means):
        fit = fit_margins(REF, form, phi, pull=2.0)
        if name != "hinge":  # which may rest at a kink
            _, grad = margin_loss(fit.x, REF, form, phi)
            assert fit.converged
            np.testing.assert_allclose(grad, -2 / 12 * (fit.x - REF), atol=1e-6)


def test_a_fit_of_the_logistic_phi_is_that_of_dpo():
    np.testing.assert_allclose(fit_margins(REF, PAIRS, partial(logistic, beta=0.5), pull=0.5).x,
                               fit_dpo(REF, PAIRS, beta=0.5, pull=0.5).x, atol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_extreme_margins_cost_finite_numbers(name):
    """Without a warning, which would be an error here"""
    phi, _ = ROWS[name]
    for sign in (1, -1):
        x = 1e4 * sign * np.array([[0.0, 1.0]])
        for loss in (margin_loss, aot_unpaired_loss, *[aot_loss] * (name in OF_A_DIFFERENCE)):
            value, grad = loss(x, -x, choices([1, 1], [0, 0], 2), phi)
            assert np.isfinite(value) and np.isfinite(grad).all()
    powers = [partial(exponential, beta=1.0), partial(squared, beta=1.0),
              partial(sppo, beta=1.0), partial(discopop, beta=1.0)]
    for inner in powers:
        for divergence in (forward_kl, partial(alpha_divergence, alpha=0.5)):
            x = np.array([[0.0, -1e4]])
            value, grad = margin_loss(x, -x, choices([1, 0], [0, 1], 2), under(divergence, inner))
            assert np.isfinite(value) and np.isfinite(grad).all()
