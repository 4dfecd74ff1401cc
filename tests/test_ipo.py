"""IPO: a finite lead, its zero in a world of one step, and its price.  Its loss is in
`test_preference_losses.py`."""

import numpy as np
import pytest
from languages import (BETA, all_strings, as_steps, mean_length, pairs_of, preference_matrix,
                       preference_pairs, running_example, share)
from scipy import sparse
from worlds import single_outcome

from minirl.kernel import counts
from minirl.people.dpo import dpo_loss, fit_dpo
from minirl.people import ipo
from minirl.people.ipo import fit_ipo, ipo_in_squares, ipo_loss
from minirl.people.fitting import minimise, minimise_near
from minirl.people.regularised import regularised_optimum, tilt
from minirl.people.calibration import accuracy
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax
TAU = 0.3


@pytest.mark.parametrize("tau", [0.05, 0.5, 4.0])
def test_a_pair_compared_once_gets_its_finite_lead_where_dpo_runs_away(tau):
    """(ipo.1), for strings of unequal lengths, and also if they were compared a hundred times."""
    ref = np.random.default_rng(6).normal(size=(3, 3))
    pair = pairs_of([[(0, 1), (1, 1), (1, 2), (2, 0)]], [[(0, 2), (2, 0)]])

    def lead(fit):
        return (pair.difference @ (log_softmax(fit.x) - log_softmax(ref)).ravel())[0]

    for pairs in (pair, pair.select(np.zeros(100, int))):
        assert lead(fit_ipo(ref, pairs, beta=tau, pull=0)) == pytest.approx(0.5 / tau, abs=1e-5)
    assert tau * lead(fit_dpo(ref, pair, beta=tau, pull=0)) > 10


def beaten(kind, rewards):
    """p(y, y'), the probability that y beats y', for all pairs."""
    gaps = rewards[:, None] - rewards
    if kind == "Bradley-Terry":
        return np.exp(log_sigmoid(gaps))
    if kind == "deterministic":
        return (np.sign(gaps) + 1) / 2
    above = np.triu(np.random.default_rng(7).random(gaps.shape), 1)  # no reward explains these
    return above + np.tril(1 - above.T, -1) + np.eye(rewards.size) / 2


def population(p, mu):
    """Every ordered pair of actions of one state, and how often the first one beat the second."""
    first, second = np.divmod(np.arange(mu.size**2), mu.size)
    pairs = sparse.csr_array(np.eye(mu.size))
    return pairs[first] - pairs[second], (mu[:, None] * mu * p).ravel()


def claimed(ref, p, mu, tau):
    """log π of (ipo.3)."""
    return log_softmax(log_softmax(ref) + p @ mu / tau)


def few_actions():
    """log π_ref, log μ and rewards of five actions."""
    ref, mu, rewards = np.random.default_rng(8).normal(size=(3, 5))
    return ref[None], log_softmax(mu), 2 * rewards


def strings_as_actions():
    """The same of all strings of up to four letters of three: tables over letters make them."""
    X = counts.matrix(as_steps(all_strings(2, 4), 4))
    ref, mu, rewards = (X @ log_softmax(table).ravel()
                        for table in np.random.default_rng(9).normal(size=(3, 4, 4)))
    return ref[None], log_softmax(mu), rewards


@pytest.mark.parametrize("kind", ["Bradley-Terry", "deterministic", "no reward"])
@pytest.mark.parametrize("world", [few_actions, strings_as_actions])
def test_in_the_population_the_gradient_vanishes_where_the_chance_to_win_says(world, kind):
    """(ipo.3), with pairs of strings of the reference, and with pairs of others"""
    ref, other, rewards = world()
    p, disturbance = beaten(kind, rewards), 0.01 * np.random.default_rng(10).normal(size=ref.shape)
    own, other = np.exp(log_softmax(ref)[0]), np.exp(other)
    for mu, wrong in ((own, other), (other, own)):
        pairs, weights = population(p, mu)

        def largest(logits):
            return np.abs(ipo_loss(logits, ref, pairs, beta=TAU, pair_weights=weights)[1]).max()

        best = claimed(ref, p, mu, TAU)
        assert largest(best) < 1e-10
        assert largest(best + disturbance) > 1e-4
        assert largest(claimed(ref, p, wrong, TAU)) > 1e-4
        for tau in (TAU / 2, TAU * 2):
            assert largest(claimed(ref, p, mu, tau)) > 1e-3
        assert largest(claimed(0 * ref, p, mu, TAU)) > 1e-3


def test_the_optimum_trades_the_chance_to_win_against_the_divergence():
    """(ipo.3) is (regularised.1) with the chance to win as reward and tau as price."""
    ref, mu, rewards = few_actions()
    p, mu = beaten("no reward", rewards), np.exp(mu)
    world = single_outcome([[0] * 5], [p @ mu], [[True] * 5], [1])
    best = tilt(ref, regularised_optimum(world, ref, beta=TAU).action_values, beta=TAU)
    np.testing.assert_allclose(log_softmax(best), claimed(ref, p, mu, TAU), atol=1e-10)


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_raters_who_never_doubt_move_log_ratios_by_one_over_tau_at_most(tau):
    """(ipo.3): of four equally common actions the best wins 7/8 and the worst 1/8; DPO runs on"""
    ref, even = np.array([[0.3, -0.2, 1.0, 0.1]]), np.full(4, 0.25)
    pairs, weights = population(beaten("deterministic", np.arange(4.0)), even)

    def spread(loss):
        table = log_softmax(minimise(lambda x: loss(x, ref, pairs, beta=tau, pair_weights=weights),
                                     ref).x) - log_softmax(ref)
        return np.ptp(table)

    assert spread(ipo_loss) == pytest.approx(0.75 / tau, abs=1e-5)
    assert spread(dpo_loss) > 20 / tau


def test_where_rewards_are_close_a_quarter_of_the_price_gives_the_optimum_of_rlhf():
    """(ipo.4): with rewards and β ten times smaller, the error is a hundred times smaller"""
    ref, mu, rewards = few_actions()
    mu = np.exp(mu)

    def error(scale, tau):
        """The largest error of the log-ratios; `rewards / BETA`, the optimum, stays the same."""
        p = beaten("Bradley-Terry", scale * rewards)
        pairs, weights = population(p, mu)
        found = claimed(ref, p, mu, scale * tau)
        assert np.abs(ipo_loss(found, ref, pairs, beta=scale * tau,
                               pair_weights=weights)[1]).max() < 1e-10 / scale
        return np.abs(found - log_softmax(ref + rewards / BETA)).max()

    errors = [error(scale, BETA / 4) for scale in (0.1, 0.01, 0.001)]
    assert errors[0] < 0.2
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 100, rtol=0.02)
    assert error(0.001, BETA) > 1 and error(0.001, BETA / 2) > 1


def test_far_away_a_good_string_is_told_from_a_very_good_one_by_too_little():
    """(ipo.4): rewards 0, 4 and 8 are equal steps, the log-ratios of IPO are not"""
    even = np.full(3, 1 / 3)
    pairs, weights = population(beaten("Bradley-Terry", np.array([0.0, 4.0, 8.0])), even)
    ratios = minimise(lambda x: ipo_loss(x, np.zeros((1, 3)), pairs, beta=BETA / 4,
                                         pair_weights=weights), np.zeros((1, 3))).x[0]
    steps, deserved = np.diff(ratios), 4 / BETA
    assert (steps < 0.4 * deserved).all() and steps[0] == pytest.approx(steps[1], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("tau, percent", [(BETA / 4, 90), (BETA, 45)])
def test_the_price_of_dpo_does_not_carry_over(tau, percent):
    """(ipo.4), the docstring's figures.

    The loss is quadratic in the leads, so that DᵀD holds all of the 100,000 pairs; that its
    minimum is one of the loss is checked with the pairs.
    """
    pairs, ref, target = preference_matrix(100_000, 1), running_example().reference, 1 / (2 * tau)
    B = pairs.shape[0]
    squares, sums = (pairs.T @ pairs).toarray() / B, pairs.T @ np.ones(B) / B

    def loss(logits):
        logp = log_softmax(logits)
        f = (logp - ref).ravel()
        slope = squares @ f - target * sums
        return (f @ (slope - target * sums) + target**2,
                backward(logp, 2 * slope.reshape(ref.shape)))

    fit = minimise_near(loss, ref, pull=2.0, examples=B)
    value, grad = ipo_loss(fit.x, ref, pairs, beta=tau)
    assert np.abs(grad + 2 / B * (fit.x - ref)).max() < 1e-6
    assert value + 1 / B * ((fit.x - ref)**2).sum() == pytest.approx(fit.loss, abs=1e-9)
    assert abs(100 * share(fit.x) - percent) < 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_few_pairs_rank_rightly_and_strings_run_away_without_a_pull(seed):
    """The leads of 300 pairs stay finite; the length of strings that were in none does not."""
    ref, pairs = running_example().reference, preference_matrix(300, seed)

    fits = [minimise(lambda x: ipo_loss(x, ref, pairs, beta=BETA / 4), ref,
                     max_iterations=iterations).x for iterations in (50, 100, 400)]
    lengths = np.array([mean_length(x) for x in fits])
    assert (lengths[1:] > 1.5 * lengths[:-1]).all() and lengths[-1] > 10_000
    h = pairs @ (log_softmax(fits[-1]) - ref).ravel()
    assert accuracy(h) > 0.97 and np.abs(h).max() < 3 * 2 / BETA
    assert share(fits[-1]) < -1000
    held = fit_ipo(ref, preference_pairs(300, seed), beta=BETA / 4, pull=2.0).x
    assert mean_length(held) < 20 and share(held) < 0


@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_pairs_collapse_into_a_square_table(tau):
    """(ipo.5): loss and gradient are those of the pairs, also with a pair that is a tie, and with
    actions that nobody can take."""
    rng = np.random.default_rng(12)
    ref, logits = rng.normal(size=(2, 3, 3))
    ref[1, 2] = logits[1, 2] = -np.inf
    strings = [string for string in all_strings(2, 4) if (1, 2) not in string]
    chosen, rejected = rng.integers(len(strings), size=(2, 40))
    rejected[-1] = chosen[-1]
    pairs = pairs_of(*([strings[i] for i in side] for side in (chosen, rejected)))
    found, grad = ipo_in_squares(ref, pairs, beta=tau)(logits)
    loss, expected = ipo_loss(logits, ref, pairs.difference, beta=tau)
    assert found == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(grad, expected, rtol=0, atol=1e-12 * loss)


def test_a_fit_in_squares_finds_the_same_minimum(monkeypatch):
    """Where pairs are many and short, which is when they collapse by themselves."""
    rng = np.random.default_rng(13)
    ref, strings = rng.normal(size=(3, 3)), all_strings(2, 4)
    pairs = pairs_of(*([strings[i] for i in rng.integers(len(strings), size=60)] for _ in range(2)))
    assert pairs.difference.nnz > 81
    fits = []
    for longest in 100, 0:
        monkeypatch.setattr(ipo, "LONG", longest)
        fits.append(fit_ipo(ref, pairs, beta=TAU, pull=1.0))
    assert all(fit.converged for fit in fits) and fits[0].loss == pytest.approx(fits[1].loss)
    np.testing.assert_allclose(fits[0].x, fits[1].x, atol=1e-5)
