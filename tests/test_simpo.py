"""SimPO: what it finds without a reference, what its margin does, and that it forgets how to end a
string.  Its loss is in `test_preference_losses.py`."""

import numpy as np
import pytest
from languages import (BETA, all_strings, as_steps, mean_length, pairs_of, preference_pairs,
                       running_example, share)
from scipy import sparse

from minirl.kernel import counts
from minirl.exact.evaluation import expectation
from minirl.people.kl import string_kl
from minirl.people.fitting import minimise, minimise_near
from minirl.people.reward_model import bradley_terry_loss
from minirl.people.pairs import choices
from minirl.people.simpo import fit_simpo, simpo_loss
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(3, 3))
GOOD = sparse.csr_array([[0.0, 1.0]])  # one string of one step, and the other one
BAD = sparse.csr_array([[1.0, 0.0]])


def every_pair(probability):
    """M⁺, M⁻ of all ordered pairs of the 31 strings of up to four letters of two, and the chance
    `probability(first, second)` that the first is preferred."""
    M = counts.mean_matrix(as_steps(all_strings(2, 4), 3))
    first, second = np.divmod(np.arange(M.shape[0]**2), M.shape[0])
    return M[first], M[second], probability(first, second)


def one_step(p):
    """Pairs of a world of two strings, the second of which wins the share p; and their weights."""
    both = sparse.vstack([GOOD, BAD]).tocsr()
    return both, both[[1, 0]], np.array([p, 1 - p])


def test_the_two_strings_of_the_chapter_by_loops():
    """(simpo.1) and (simpo.2): "abab" was preferred to "ab"; what is wanted sums to 0"""
    logp = np.log([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
    good, bad = [(0, 1), (1, 2), (2, 1), (1, 2), (2, 0)], [(0, 1), (1, 2), (2, 0)]
    total, other = (sum(logp[step] for step in string) for string in (good, bad))
    np.testing.assert_allclose([total, other, total / 5, other / 3],
                               [-4.159, -2.079, -0.832, -0.693], atol=5e-4)
    m = 2 * (total / 5 - other / 3)
    assert m == pytest.approx(-0.277, abs=5e-4)
    push = 2 / (1 + np.exp(m - 1))
    assert 1 - m == pytest.approx(1.277, abs=5e-4) and push == pytest.approx(1.564, abs=5e-4)
    wanted = {step: push * (good.count(step) / 5 - bad.count(step) / 3) for step in good}
    for step, value in {(0, 1): -0.209, (1, 2): 0.104, (2, 1): 0.313, (2, 0): -0.209}.items():
        assert wanted[step] == pytest.approx(value, abs=5e-4)
    assert sum(wanted.values()) == pytest.approx(0, abs=1e-14)
    means = pairs_of([good], [bad]).means
    loss, grad = simpo_loss(logp, *means, beta=2.0, simpo_gamma=1.0)
    assert loss == pytest.approx(np.log(1 + np.exp(1 - m)), abs=1e-14)
    G = np.zeros((3, 3))
    for step, value in wanted.items():
        G[step] = -value
    np.testing.assert_allclose(grad, backward(logp, G), atol=1e-14)


# What it finds.


@pytest.mark.parametrize("beta", [0.7, 2.0])
def test_in_the_population_mean_log_probabilities_become_the_rewards_up_to_a_constant(beta):
    """Raters whose reward is β log π*/|y| + 3: the gradient vanishes at π*, and not with γ > 0."""
    optimal = log_softmax(RNG.normal(size=(3, 3)))
    reward = beta * (counts.mean_matrix(as_steps(all_strings(2, 4), 3)) @ optimal.ravel()) + 3
    chosen, rejected, chance = every_pair(
        lambda first, second: np.exp(log_sigmoid(reward[first] - reward[second])))
    for logits, gamma, rests in ((optimal, 0.0, True), (LOGITS, 0.0, False), (optimal, 1.0, False)):
        _, grad = simpo_loss(logits, chosen, rejected, beta=beta, simpo_gamma=gamma,
                             pair_weights=chance)
        assert (np.abs(grad).max() < 1e-14) == rests and (rests or np.abs(grad).max() > 1e-3)


def test_nothing_remains_of_where_the_fit_began():
    """Three strings of one step: log π is the reward over β, from every reference."""
    reward, number = np.array([0.5, -1.0, 1.2]), 20_000
    rows = np.argwhere(~np.eye(3, dtype=bool))
    wins = np.exp(log_sigmoid(reward[rows[:, 0]] - reward[rows[:, 1]]))
    rows = np.repeat(rows, np.round(number * wins).astype(int), axis=0)
    pairs = choices(*rows.T, 3)
    for reference in (np.zeros((1, 3)), np.array([[3.0, -2.0, 0.0]])):
        fit = fit_simpo(reference, pairs, beta=2.0, simpo_gamma=0.0, pull=0)
        assert fit.converged
        np.testing.assert_allclose(log_softmax(fit.x), log_softmax(reward[None] / 2), atol=1e-4)


def best_lead(p, gamma):
    """The minimum over m of −p log σ(m − γ) − (1 − p) log σ(−m − γ), by the zero of a quadratic:
    with x = e^m and c = e^−γ its slope vanishes where (1 − p)(1 + cx) = p(1 + c/x)."""
    c = np.exp(-gamma)
    return np.log(np.roots([(1 - p) * c, 1 - 2 * p, -p * c]).max())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.9])
def test_a_margin_enlarges_every_lead_but_that_of_equals(p, gamma):
    """Two strings of one step; without γ the lead is log p/(1 − p), with it more, unless p = 1/2,
    where each winner should lead and neither does."""
    chosen, rejected, q = one_step(p)
    found = minimise(lambda x: simpo_loss(x, chosen, rejected, beta=2.0, simpo_gamma=gamma,
                                          pair_weights=q), np.array([[1.0, 0.0]]), tol=1e-10)
    lead = 2 * (found.x[0, 1] - found.x[0, 0])
    assert found.converged and lead == pytest.approx(best_lead(p, gamma), abs=1e-6)
    if p == 0.5:
        assert abs(lead) < 1e-6 and found.loss == pytest.approx(np.log(1 + np.exp(gamma)))
    elif gamma == 0:
        assert lead == pytest.approx(np.log(p / (1 - p)), abs=1e-6)
    else:
        assert lead > np.log(p / (1 - p)) + 0.1


# The running example, with the β = 2 and γ = 1 of the paper.


@pytest.mark.slow
@pytest.mark.parametrize("pairs, seed, iterations, least, most", [
    (3000, 1, 1200, 1e6, np.inf), (3000, 2, 400, 1e7, np.inf), (3000, 3, 300, 1e7, np.inf),
    (20_000, 0, 700, 1e6, np.inf), (20_000, 2, 400, 0, 1e-3)])
def test_without_a_pull_strings_do_not_end_or_end_at_once(pairs, seed, iterations, least, most):
    """So many steps on the way they have more than a million letters, or none."""
    ref = running_example().reference
    chosen, rejected = preference_pairs(pairs, seed).means
    difference = chosen - rejected

    def loss(x):  # that of `simpo_loss`, with the difference taken once
        value, slope = bradley_terry_loss(2 * log_softmax(x), difference, margin=1.0)
        return value, backward(log_softmax(x), 2 * slope)

    fit = minimise(loss, ref, max_iterations=iterations)
    assert not fit.converged and fit.loss < loss(ref)[0] - 0.1
    assert least < mean_length(fit.x) < most and 5 < mean_length(ref) < 6
    assert share(fit.x) < (-1e5 if least else -5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3])
def test_with_the_pull_of_dpo_the_kl_eats_up_a_reward_above_that_of_the_optimum(seed):
    """A sixth of what there is to gain at most, and less than nothing from the second sample, from
    100,000 pairs that are not fitted to the last digit."""
    example, pairs = running_example(), preference_pairs(100_000, seed)
    fit = minimise_near(lambda x: simpo_loss(x, *pairs.means, beta=2.0, simpo_gamma=1.0),
                        example.reference, pull=2.0, examples=len(pairs), tol=1e-5)
    assert fit.converged and -0.1 < share(fit.x) < (1 / 6 if seed == 1 else 0)
    kl, _ = string_kl(example.world, fit.x, example.reference)
    assert 2.1 < kl < 2.6
    reward = expectation(example.world, np.exp(log_softmax(fit.x)), example.world.mean_reward)
    assert reward - BETA * kl < example.optimum.objective < 0.2 < 0.596 < reward
