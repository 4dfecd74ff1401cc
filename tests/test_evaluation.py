"""Exact answers against power iteration, enumeration of episodes and eigenvalues."""

from dataclasses import replace
import math
import re

import numpy as np
import pytest
from scipy import sparse

from minirl.exact import solving
from minirl.exact.evaluation import (NoEnd, action_values, advantages, can_end, ending_chance,
                                     evaluate, evaluate_by_sweeps, expectation, occupancy,
                                     reachable, return_variance, transitions_under, valued_states)
from minirl.exact.solving import solve, solve_by_sweeps, sweep
from minirl.kernel.mdp import coin_game, unroll
from toy_lm.ngram import language, widen
from worlds import (corridor, endless, episodes, island, random_mdp, random_policy, single_outcome,
                    small_world, tables, value_by_loops)

GAMMAS = [0.0, 0.9, 1.0]


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture(params=["dense", "sparse"])
def route(request, monkeypatch):
    """Runs a test twice: through the dense solve and through sparse LU."""
    monkeypatch.setattr(solving, "DENSE", {"dense": 1000, "sparse": 0}[request.param])


@pytest.fixture(params=["dense", "sparse", "sweeps"])
def any_route(request, monkeypatch):
    """Runs a test three times, the third time by at most 500 sweeps."""
    settings = {"dense": {"DENSE": 1000}, "sparse": {"DENSE": 0},
                "sweeps": {"LARGE": 0, "FILLED": -1, "SWEEPS": 500}}
    for name, value in settings[request.param].items():
        monkeypatch.setattr(solving, name, value)


def with_radius(rng, n, radius):
    """A random matrix M ≥ 0, sparse, with this spectral radius."""
    M = rng.random((n, n)) * (rng.random((n, n)) < 0.6) + 0.1 * np.roll(np.eye(n), 1, axis=1)
    return sparse.csr_array(M * radius / np.abs(np.linalg.eigvals(M)).max())


# The solve.


@pytest.mark.parametrize("radius", [0.0, 0.5, 0.99, 1 - 1e-6])
def test_a_solution_is_that_of_a_dense_solve_and_of_the_series(rng, route, radius):
    M, right = with_radius(rng, 7, radius), rng.normal(size=7)
    expected = np.linalg.solve(np.eye(7) - M.toarray(), right)
    x = solve(M, right)
    np.testing.assert_allclose(x, expected, rtol=1e-13 / (1 - radius), atol=1e-12)
    if radius < 0.6:
        np.testing.assert_allclose(x, sum(np.linalg.matrix_power(M.toarray(), k) @ right
                                          for k in range(60)), atol=1e-12)


def test_the_dense_and_the_sparse_route_agree(rng, monkeypatch):
    M, right = with_radius(rng, 40, 0.9), rng.normal(size=40)
    dense = solve(M, right)
    calls = []
    splu = solving.linalg.splu
    monkeypatch.setattr(solving.linalg, "splu", lambda *args: calls.append(1) or splu(*args))
    monkeypatch.setattr(solving, "DENSE", 39)
    np.testing.assert_allclose(solve(M, right), dense, atol=1e-12)
    assert calls
    calls.clear()
    monkeypatch.setattr(solving, "DENSE", 40)
    np.testing.assert_array_equal(solve(M, right), dense)
    assert not calls


@pytest.mark.parametrize("radius", [1.0, 1 + 1e-9, 1.001, 1.5, 40.0])
def test_there_is_no_answer_from_spectral_radius_one_upwards(rng, any_route, radius):
    for n in 1, 2, 6:
        ring = radius * np.roll(np.eye(n), 1, axis=1)  # the entries, too, are exactly the radius
        assert solve(sparse.csr_array(ring), np.ones(n)) is None
        if radius > 1:  # elsewhere the radius of a random matrix is known only up to rounding
            assert solve(with_radius(rng, n, radius), rng.random(n)) is None


def test_a_random_chain_that_never_ends_has_no_answer(rng, any_route):
    for n in 2, 5, 30:
        for chain in rng.dirichlet(np.ones(n), n), rng.multinomial(8, np.ones(n) / n, n) / 8:
            assert solve(sparse.csr_array(chain), rng.normal(size=n)) is None


def test_a_part_that_diverges_is_found_even_where_nothing_is_earned(rng, any_route):
    blocks = np.zeros((4, 4))
    blocks[:2, :2], blocks[2:, 2:] = with_radius(rng, 2, 0.5).toarray(), [[0, 2], [1.5, 0]]
    assert solve(sparse.csr_array(blocks), np.array([1.0, 1.0, 0.0, 0.0])) is None


def test_a_solution_exists_exactly_below_spectral_radius_one(rng, route):
    """(solving.1): the certificate agrees with the eigenvalues, wherever the radius lies."""
    for radius in rng.uniform(0.5, 1.5, 60):
        M = with_radius(rng, rng.integers(1, 8), radius)
        assert (solve(M, np.ones(M.shape[0])) is None) == (radius >= 1)


def test_a_complex_matrix_keeps_its_imaginary_part(rng, any_route):
    """What a complex step through a large world needs."""
    M, right = with_radius(rng, 6, 0.8).toarray(), rng.normal(size=6)
    dM, dright = rng.random((6, 6)), rng.random(6)
    x = solve(sparse.csr_array(M + 1e-30j * dM), right + 1e-30j * dright)
    inverse = np.linalg.inv(np.eye(6) - M)
    slope = inverse @ (dM @ inverse @ right + dright)
    np.testing.assert_allclose(x.imag / 1e-30, slope, rtol=1e-10)


# The solve by sweeps.


def bounds(M, right, terms):
    """(largest error, (solving.2), x) of each partial sum x; infinite where it says nothing."""
    exact = np.linalg.solve(np.eye(len(right)) - M, right)
    a, x, found = [], np.zeros(len(right)), []
    for k in range(terms):
        power = np.linalg.matrix_power(M, k)
        a.append((power @ np.ones(len(right))).max())
        bound = a[k] * sum(a[:k]) / (1 - a[k]) if a[k] < 1 else np.inf
        found.append((np.abs(exact - x).max(), bound * np.abs(right).max(), x))
        x = x + power @ right
    return found


def substochastic(rng, n):
    """A random chain that ends sooner or later; from some states it does not end at once."""
    ends = rng.random(n) * (rng.random(n) < 0.5)
    return sparse.csr_array((1 - ends[:, None]) * rng.dirichlet(np.ones(n), n))


@pytest.mark.parametrize("n", [1, 3, 40])
def test_sweeps_and_the_direct_solve_agree(rng, n):
    for scale in 1.0, 1e6:
        M, right = substochastic(rng, n) if n > 1 else with_radius(rng, 1, 0.9), rng.normal(size=n)
        exact = np.linalg.solve(np.eye(n) - M.toarray(), scale * right)
        np.testing.assert_allclose(solve_by_sweeps(M, scale * right), exact, rtol=1e-13,
                                   atol=1e-12 * scale)


def test_sweeps_need_only_the_radius_to_be_below_one(rng):
    """Of a matrix whose rows add up to ten and more, the first powers grow."""
    M = with_radius(rng, 12, 0.9).toarray()
    scale = 10.0 ** np.linspace(0, 3, 12)
    M = M * scale[:, None] / scale
    assert M.sum(axis=1).max() > 100
    right = rng.normal(size=12)
    exact = np.linalg.solve(np.eye(12) - M, right)
    np.testing.assert_allclose(solve_by_sweeps(sparse.csr_array(M), right), exact, rtol=1e-11,
                               atol=1e-11)


@pytest.mark.parametrize("accuracy", [0.85, 1e-1, 1e-3, 1e-6])
def test_the_sweeps_stop_where_the_bound_says_so_and_not_later(rng, monkeypatch, accuracy):
    """(solving.2): it bounds the real error of every partial sum, and is used as it stands."""
    monkeypatch.setattr(solving, "ACCURACY", accuracy)
    ring = 0.5 * np.roll(np.eye(4), 1, axis=1)
    ring[0] *= 6  # a row of 3, and a radius of 0.78
    for M in (substochastic(rng, 6).toarray(), with_radius(rng, 5, 0.8).toarray(), ring,
              np.array([[0.7]])):
        right = 7 * rng.normal(size=len(M))
        found = bounds(M, right, 150)
        assert all(error <= bound * (1 + 1e-9) + 1e-12 for error, bound, _ in found)
        first = next(k for k, (_, bound, _) in enumerate(found)
                     if bound <= accuracy * np.abs(right).max())
        assert first > 1
        np.testing.assert_allclose(solve_by_sweeps(sparse.csr_array(M), right), found[first][2],
                                   rtol=1e-13, atol=1e-13)


def test_the_bound_is_reached_where_every_state_ends_alike():
    """(solving.2) with M = p: the rest from the kth term on is pᵏ/(1 − p), as is the bound."""
    for error, bound, _ in bounds(np.array([[0.7]]), np.array([-2.0]), 30)[1:]:
        assert bound == pytest.approx(error, rel=1e-6)


def sweeps_needed(radius):
    """How many terms make (solving.2), here radiusᵏ/(1 − radius), as small as it must be."""
    return math.log(solving.ACCURACY * (1 - radius)) / math.log(radius)


def test_two_hundred_thousand_sweeps_tell_a_radius_of_almost_four_digits_from_one(monkeypatch):
    assert sweeps_needed(0.9998) < solving.SWEEPS == 200_000 < sweeps_needed(0.9999)
    monkeypatch.setattr(solving, "SWEEPS", 1000)
    assert sweeps_needed(0.96) < 900 < 1100 < sweeps_needed(0.975)
    assert solve_by_sweeps(sparse.csr_array([[0.96]]), np.ones(1)) == pytest.approx(25, rel=1e-12)
    for radius in 0.975, 1.0, 1.0001, 1.5:
        assert solve_by_sweeps(sparse.csr_array([[radius]]), np.ones(1)) is None


@pytest.mark.parametrize("n, full, sweeps", [(30, 4, False), (31, 3, False), (31, 4, True)])
def test_only_a_matrix_that_is_large_and_full_is_solved_by_sweeps(rng, monkeypatch, n, full,
                                                                  sweeps):
    """Above LARGE unknowns and FILLED entries a row, both excluded."""
    monkeypatch.setattr(solving, "LARGE", 30)
    monkeypatch.setattr(solving, "FILLED", 3)
    M = sum(np.roll(np.eye(n), shift, axis=1) for shift in range(full)) * 0.2
    calls = []
    monkeypatch.setattr(solving, "solve_by_sweeps",
                        lambda *args: calls.append(1) or solve_by_sweeps(*args))
    right = rng.normal(size=n)
    np.testing.assert_allclose(solve(sparse.csr_array(M), right),
                               np.linalg.solve(np.eye(n) - M, right), atol=1e-12)
    assert len(calls) == sweeps


@pytest.mark.parametrize("gamma", [0.9, 0.999])
def test_a_discounted_world_that_never_ends_has_values_however_it_is_solved(rng, any_route, gamma,
                                                                            monkeypatch):
    """A slow series is no policy that never ends: at gamma 0.999 that would be no reason."""
    monkeypatch.setattr(solving, "SWEEPS", 200_000)
    mdp = endless(random_mdp(rng, 4, 2, 3, gamma))
    policy = random_policy(rng, mdp)
    np.testing.assert_allclose(evaluate(mdp, policy), value_by_loops(mdp, policy)[0], rtol=1e-10)


def test_a_discount_too_near_one_for_the_sweeps_is_not_called_a_policy_that_never_ends(rng,
                                                                                       monkeypatch):
    for name, value in (("LARGE", 0), ("FILLED", -1), ("SWEEPS", 100)):
        monkeypatch.setattr(solving, name, value)
    mdp = endless(random_mdp(rng, 4, 2, 3, 0.99))
    with pytest.raises(ValueError, match="gamma = 0.99 is too near 1 for so large a") as error:
        evaluate(mdp, random_policy(rng, mdp))
    assert error.type is not NoEnd


def test_a_series_without_an_end_is_noticed_long_before_the_last_sweep(rng):
    class Counted:
        """A matrix that gives up after 500 products."""

        def __init__(self, M):
            self.M, self.products = M, 0

        def __matmul__(self, x):
            self.products += 1
            assert self.products < 500
            return self.M @ x

    for n in 1, 5, 40:
        chain = sparse.csr_array(rng.dirichlet(np.ones(n), n))
        for M in chain, 1.001 * chain, 3.0 * chain, with_radius(rng, n, 1.01):
            assert solve_by_sweeps(Counted(M), np.ones(n)) is None


def test_the_thresholds_are_those_of_a_language_of_four_letters_of_context():
    """An order-4 model with 17 letters goes on in 17 ways from each of its 5832 states."""
    assert (solving.LARGE, solving.FILLED) == (4000, 16)


def test_sweeps_and_sparse_lu_agree_on_a_large_matrix(rng, monkeypatch):
    """223 worlds of 18 states beside each other, which LU does not fill up"""
    blocks = sparse.csr_array(sparse.block_diag([sparse.csr_array(0.7 * chain) for chain
                                                 in rng.dirichlet(np.ones(18), (223, 18))]))
    right = rng.normal(size=blocks.shape[0])
    assert blocks.shape[0] > solving.LARGE and blocks.nnz > 17 * blocks.shape[0]
    swept = solve(blocks, right)
    np.testing.assert_array_equal(swept, solve_by_sweeps(blocks, right))
    monkeypatch.setattr(solving, "LARGE", 10**9)
    monkeypatch.setattr(solving, "solve_by_sweeps", None)
    np.testing.assert_allclose(swept, solve(blocks, right), atol=1e-12, rtol=1e-12)


def test_the_length_of_what_a_model_of_order_four_writes_is_summed_up(rng, monkeypatch):
    """An order-2 model that is widened writes as it did; one that ends with one chance does so."""
    small = rng.dirichlet(np.ones(18), 18)
    small[:, 0] += 0.2
    small /= small.sum(axis=1, keepdims=True)
    expected = expectation(language(np.zeros((18, 18))), small, np.ones((18, 18)))
    monkeypatch.setattr(solving.linalg, "splu", None)
    world = language(np.zeros((18**3, 18)))
    assert world.shape[0] == 5832
    policy = np.hstack([np.full((5832, 1), 0.15), 0.85 * rng.dirichlet(np.ones(17), 5832)])
    for policy, length in (widen(small, 4), expected), (policy, 1 / 0.15):
        assert expectation(world, policy, np.ones(world.shape)) == pytest.approx(length, rel=1e-12)
        assert evaluate(world, policy, np.ones(world.shape))[0] == pytest.approx(length, rel=1e-12)


# Under one policy.


@pytest.mark.parametrize("gamma", GAMMAS)
def test_transitions_under_a_policy_are_averaged_and_not_discounted(rng, gamma):
    """(evaluation.1), P_π."""
    mdp = random_mdp(rng, 4, 3, 2, gamma)
    policy = random_policy(rng, mdp)
    _, P = value_by_loops(replace(mdp, gamma=1.0), policy)
    np.testing.assert_allclose(transitions_under(mdp, policy).toarray(), P, atol=1e-12)


def test_reachable_states_are_those_of_a_search(rng):
    """Against a search by loops, for policies that rule out most actions."""
    for seed in range(30):
        mdp = random_mdp(np.random.default_rng(seed), 9, 2, 2, 1.0)
        mdp = replace(mdp, start=np.eye(9)[4])
        _, P = tables(mdp)
        policy = np.eye(2)[rng.integers(0, 2, 9)]
        found, waiting = {4}, [4]
        while waiting:
            s = waiting.pop()
            for a, t in np.ndindex(2, 9):
                if policy[s, a] * P[s, a, t] > 0 and t not in found:
                    found.add(t)
                    waiting.append(t)
        assert set(np.flatnonzero(reachable(mdp, policy)).tolist()) == found


def test_a_discount_of_zero_does_not_change_where_an_episode_can_be():
    assert reachable(unroll(coin_game(gamma=0.0), 2), np.full((2, 2), 0.5)).tolist() == [True, True]


@pytest.mark.parametrize("ends_at", [None, 0.1, 0.4])
def test_the_states_that_can_end_are_those_of_a_search(ends_at):
    """Against a search by loops; an end that never happens is none, nor one never chosen."""
    found = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mdp = random_mdp(rng, 6, 2, 2, 1.0)
        prob = np.where(rng.random((6, 2, 1)) < 0.5, [1.0, 0.0], mdp.prob)
        mdp = replace(mdp, prob=prob, terminated=rng.random((6, 2, 2)) < (ends_at or 0))
        policy = np.where(rng.random((6, 1)) < 0.7, np.eye(2)[rng.integers(0, 2, 6)], 0.5)
        _, P = tables(mdp)
        chance, can = np.zeros(6), set()
        for s, a, k in np.ndindex(6, 2, 2):
            chance[s] += policy[s, a] * mdp.prob[s, a, k] * mdp.terminated[s, a, k]
        for _ in range(6):
            can |= {s for s in range(6) if chance[s] > 0 or any(
                policy[s, a] * P[s, a, t] > 0 for a in range(2) for t in can)}
        np.testing.assert_allclose(ending_chance(mdp, policy), chance, atol=1e-15)
        assert set(np.flatnonzero(can_end(mdp, policy)).tolist()) == can
        found.add(len(can))
    assert found == {0} if ends_at is None else len(found) > 2


def test_below_gamma_one_a_value_is_asked_everywhere_and_at_gamma_one_where_episodes_come(rng):
    only_end = np.eye(3)[[1, 0, 0]]
    assert valued_states(island(), only_end).tolist() == [True, False, False]
    assert valued_states(island(), np.full((3, 3), 1 / 3)).tolist() == [True, False, True]
    assert valued_states(replace(island(), gamma=1 - 1e-9), only_end).all()


def test_values_may_be_asked_in_other_states():
    only_end = np.eye(3)[[1, 0, 2]]
    values = evaluate(island(), only_end, states=np.array([True, False, True]))
    np.testing.assert_array_equal(values, [2, np.nan, 7])
    with pytest.raises(ValueError, match="from state 1 this policy never ends"):
        evaluate(island(), only_end, states=np.full(3, True))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("K", [1, 2])
def test_values_are_the_limit_of_repeated_one_step_returns(rng, any_route, gamma, K):
    """(evaluation.1), V by power iteration and Q by loops."""
    mdp = random_mdp(rng, 4, 3, K, gamma)
    policy = random_policy(rng, mdp)
    r, P = tables(mdp)
    V = np.zeros(4)
    for _ in range(600):
        Q = np.array([[r[s, a] + gamma * sum(P[s, a, t] * V[t] for t in range(4))
                       for a in range(3)] for s in range(4)])
        V = (policy * Q).sum(axis=1)
    values = evaluate(mdp, policy)
    np.testing.assert_allclose(values, V, atol=1e-12)
    np.testing.assert_allclose(action_values(mdp, values), Q, atol=1e-12)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_an_advantage_is_what_an_action_adds_and_none_on_average(rng, gamma):
    """(evaluation.3), by loops."""
    mdp = random_mdp(rng, 4, 3, 2, gamma)
    policy = random_policy(rng, mdp)
    (r, P), (V, _) = tables(mdp), value_by_loops(mdp, policy)
    A = advantages(mdp, V)
    for s, a in np.ndindex(4, 3):
        assert math.isclose(A[s, a], r[s, a] + gamma * P[s, a] @ V - V[s], abs_tol=1e-12)
    assert np.abs(A).max() > 0.1
    np.testing.assert_allclose((policy * A).sum(axis=1), 0, atol=1e-12)


def test_another_table_may_take_the_place_of_the_reward(rng):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    policy, table = random_policy(rng, mdp), rng.normal(size=(4, 3))
    np.testing.assert_allclose(evaluate(mdp, policy, table), value_by_loops(mdp, policy, table)[0],
                               atol=1e-12)
    np.testing.assert_allclose(evaluate_by_sweeps(mdp, policy, table),
                               evaluate(mdp, policy, table), atol=1e-10)
    assert not evaluate(mdp, policy, np.zeros((4, 3))).any()


@pytest.mark.parametrize("gamma", GAMMAS)
def test_visits_are_the_sum_over_time_of_the_state_distribution(rng, any_route, gamma):
    """(evaluation.2), η by power iteration, and J in its two forms."""
    mdp = random_mdp(rng, 5, 2, 2, gamma)
    policy = random_policy(rng, mdp)
    r, P = tables(mdp)
    distribution, visits = mdp.start, np.zeros(5)
    for _ in range(600):
        visits = visits + distribution
        distribution = sum(gamma * distribution[s] * policy[s, a] * P[s, a]
                           for s, a in np.ndindex(5, 2))
    eta = occupancy(mdp, policy)
    np.testing.assert_allclose(eta, visits, atol=1e-12)
    J = sum(eta[s] * policy[s, a] * r[s, a] for s, a in np.ndindex(5, 2))
    assert math.isclose(mdp.start @ evaluate(mdp, policy), J, abs_tol=1e-12)
    assert math.isclose(expectation(mdp, policy, r), J, abs_tol=1e-12)


@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_expectations_are_sums_over_all_episodes(rng, gamma):
    """(evaluation.2) holds for any table in place of r, and for several at once."""
    mdp = unroll(random_mdp(rng, 2, 2, 2, gamma), 3)
    policy = random_policy(rng, mdp)
    several = np.stack([mdp.mean_reward, np.ones(mdp.shape), rng.normal(size=mdp.shape)])
    expected = np.zeros(3)
    for chance, pairs, _, ended in episodes(mdp, 9):
        assert ended
        weight = chance * np.prod([policy[pair] for pair in pairs])
        expected += weight * sum(gamma**t * several[:, s, a] for t, (s, a) in enumerate(pairs))
    np.testing.assert_allclose(expectation(mdp, policy, several), expected, atol=1e-12)
    for table, value in zip(several, expected):
        assert math.isclose(expectation(mdp, policy, table), value, abs_tol=1e-12)


def test_without_discount_the_visits_add_up_to_the_length_of_an_episode():
    for p in 0.25, 0.9:
        policy = np.array([[p, 1 - p]])
        np.testing.assert_allclose(occupancy(coin_game(), policy), 1 / (1 - p), rtol=1e-12)
        np.testing.assert_allclose(evaluate(coin_game(), policy), p / (1 - p), rtol=1e-12)


def test_at_gamma_one_exactly_the_unreachable_states_have_no_value():
    only_end, by_two = np.eye(3)[[1, 0, 0]], np.eye(3)[[2, 0, 2]]
    np.testing.assert_array_equal(evaluate(island(), only_end), [2, np.nan, np.nan])
    np.testing.assert_array_equal(evaluate(island(), by_two), [10, np.nan, 7])
    np.testing.assert_array_equal(evaluate_by_sweeps(island(), only_end), [2, np.nan, np.nan])
    np.testing.assert_array_equal(evaluate_by_sweeps(island(), by_two), [10, np.nan, 7])
    np.testing.assert_array_equal(occupancy(island(), only_end), [1, 0, 0])
    np.testing.assert_array_equal(occupancy(island(), by_two), [1, 0, 1])


def test_below_gamma_one_every_state_has_a_value():
    mdp = replace(island(), gamma=0.5)
    np.testing.assert_allclose(evaluate(mdp, np.eye(3)[[1, 0, 2]]), [2, 10, 7], rtol=1e-12)
    np.testing.assert_allclose(evaluate(mdp, np.eye(3)[[0, 0, 0]]), [-2, 10, 0], atol=1e-12)
    np.testing.assert_allclose(occupancy(mdp, np.eye(3)[[0, 0, 0]]), [2, 0, 0], atol=1e-12)


# By sweeps.


def values_by_steps(mdp, policy, steps):
    """The values of 0, 1, …, `steps` steps, by loops from the last step backwards."""
    r, P = tables(mdp)
    S, A = mdp.shape
    worth = [np.zeros(S)]
    for _ in range(steps):
        now = np.zeros(S)
        for s, a in np.ndindex(S, A):
            now[s] += policy[s, a] * (r[s, a] + mdp.gamma * P[s, a] @ worth[-1])
        worth.append(now)
    return worth


@pytest.mark.parametrize("gamma", [0.5, 0.9, 1.0])
def test_k_sweeps_are_k_steps_and_stop_at_the_first_change_that_is_small_enough(rng, gamma):
    """(solving.3) and, below gamma 1, the change times γ/(1 − γ) of (solving.4)."""
    mdp = random_mdp(rng, 4, 2, 2, gamma)
    policy = random_policy(rng, mdp)
    worth = values_by_steps(mdp, policy, 20)
    factor = gamma / (1 - gamma) if gamma < 1 else 1.0
    bounds = [factor * np.abs(now - before).max() for before, now in zip(worth, worth[1:])]
    for k in 1, 2, 3, 8, 20:
        found = evaluate_by_sweeps(mdp, policy, tol=1.001 * bounds[k - 1], max_sweeps=k)
        np.testing.assert_allclose(found, worth[k], atol=1e-13)
        with pytest.raises(ValueError, match=f"still move after max_sweeps = {k} sweeps"):
            evaluate_by_sweeps(mdp, policy, tol=0.999 * bounds[k - 1], max_sweeps=k)


def test_a_sweep_takes_all_values_from_the_one_before():
    """(solving.3): in place, the reward would run through the whole corridor at once."""
    seen = []

    def backup(V):
        seen.append(V)
        return np.append(V[1:], 1.0)

    values, sweeps = sweep(backup, np.zeros(4), gamma=1.0)
    assert values.tolist() == [1] * 4 and sweeps == 5
    assert [int(V.sum()) for V in seen] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("tol", [1.0, 1e-3, 1e-8])
def test_below_gamma_one_the_tolerance_bounds_the_error(gamma, tol):
    """(solving.4), also in worlds without endings, where the bound is nearly reached."""
    worst = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mdp = random_mdp(rng, 5, 2, 2, gamma)
        mdp = endless(mdp) if seed % 2 else mdp
        policy = random_policy(rng, mdp)
        exact, _ = value_by_loops(mdp, policy)
        worst = max(worst, np.abs(evaluate_by_sweeps(mdp, policy, tol=tol) - exact).max())
    assert worst <= tol + 1e-12
    head = evaluate_by_sweeps(coin_game(gamma=gamma), np.array([[1.0, 0.0]]), tol=tol)
    missing = 1 / (1 - gamma) - head[0]
    assert gamma * tol - 1e-12 <= missing <= tol + 1e-12


def test_at_gamma_one_the_tolerance_bounds_the_change_and_not_the_error():
    """(solving.4) is void there: sweep k of a coin with p = 0.99 changes V by p^k and leaves
    p^(k+1)/(1 − p), a hundred times as much."""
    policy, k = np.array([[0.99, 0.01]]), math.ceil(math.log(1e-3) / math.log(0.99))
    found = evaluate_by_sweeps(coin_game(), policy, tol=1e-3, max_sweeps=k)[0]
    assert math.isclose(99 - found, 0.99 ** (k + 1) / 0.01, rel_tol=1e-9) and found < 99 - 0.09
    with pytest.raises(ValueError, match=f"after max_sweeps = {k - 1} sweeps"):
        evaluate_by_sweeps(coin_game(), policy, tol=1e-3, max_sweeps=k - 1)


def test_without_discount_only_a_policy_that_earns_for_ever_is_noticed_by_sweeps():
    head = np.array([[1.0, 0.0]])
    with pytest.raises(ValueError, match="max_sweeps = 50 sweeps; at gamma = 1.0 .* infinite"):
        evaluate_by_sweeps(coin_game(), head, max_sweeps=50)
    assert evaluate_by_sweeps(coin_game(), head, np.zeros((1, 2)))[0] == 0


def test_a_corridor_is_not_given_up_before_its_end_is_seen():
    """Pitfall 37: the first sweep changes only the last state, and the next one that before it."""
    right = np.eye(2)[np.ones(30, int)]
    np.testing.assert_allclose(evaluate_by_sweeps(corridor(30, 0.9), right),
                               0.9 ** np.arange(29, -1, -1), atol=1e-10)
    assert evaluate_by_sweeps(corridor(30, 1.0), right).tolist() == [1] * 30


@pytest.mark.parametrize("wrong, message", [
    ({"tol": 0.0}, "tol must be positive, got 0.0"), ({"tol": -1.0}, "be positive, got -1.0"),
    ({"tol": np.nan}, "tol must be positive, got nan"),
    ({"max_sweeps": 0}, "max_sweeps must be at least 1, got 0"),
])
def test_sweeps_that_could_never_stop_or_start_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        sweep(lambda V: V, np.zeros(1), gamma=0.5, **wrong)
    with pytest.raises(ValueError, match=message):
        evaluate_by_sweeps(coin_game(gamma=0.5), np.array([[0.5, 0.5]]), **wrong)


# How much an episode varies.


def covariance_by_list(mdp, policy, first, second):
    """Of Σ_t γᵗ first[s_t, a_t] and the same of `second`, over all episodes of a small world."""
    law = []
    for chance, pairs, _, ended in episodes(mdp, 4):
        assert ended
        sums = [sum(mdp.gamma**t * table[pair] for t, pair in enumerate(pairs))
                for table in (first, second)]
        law.append((chance * np.prod([policy[pair] for pair in pairs]), *sums))
    chances, one, other = np.array(law).T
    assert abs(chances.sum() - 1) < 1e-12
    return (chances * (one - chances @ one) * (other - chances @ other)).sum()


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.0])
def test_the_variance_of_the_return_is_that_of_all_episodes(rng, route, gamma):
    """(evaluation.4), with random starts, random transitions, and a table or the mean reward"""
    mdp = small_world(gamma, 4)
    policy, table = random_policy(rng, mdp), rng.normal(size=mdp.shape)
    assert (mdp.start > 0).sum() > 1
    for own, asked in ((table, (table,)), (mdp.mean_reward, ())):
        assert return_variance(mdp, policy, *asked) == pytest.approx(
            covariance_by_list(mdp, policy, own, own), abs=1e-12)


def test_the_derivative_of_the_variance_is_twice_a_covariance(rng):
    """(evaluation.4) by a complex step in the table"""
    mdp = small_world(0.9, 4)
    policy, table, way = random_policy(rng, mdp), *rng.normal(size=(2, *mdp.shape))
    slope = return_variance(mdp, policy, table + 1e-30j * way).imag / 1e-30
    assert slope == pytest.approx(2 * covariance_by_list(mdp, policy, table, way), rel=1e-12)


def test_the_variance_holds_the_spread_of_the_start():
    """Two states that end at once with 1 and 4: between them lies a variance of 9 p (1 − p)."""
    world = single_outcome([[0], [0]], [[1], [4]], [[True], [True]], [0.2, 0.8])
    assert return_variance(world, np.ones((2, 1))) == pytest.approx(9 * 0.16, abs=1e-12)


def test_long_episodes_vary_as_the_geometric_law_says():
    """Heads before the first tail have the variance p/(1 − p)², and the last state of a corridor
    that one walks straight through none."""
    for p in 0.5, 0.75, 0.99:
        assert return_variance(coin_game(), np.array([[p, 1 - p]])) == pytest.approx(
            p / (1 - p)**2, rel=1e-9)
    assert return_variance(corridor(30, 0.9), np.eye(2)[np.ones(30, int)]) == pytest.approx(
        0, abs=1e-12)


def test_states_that_no_episode_reaches_do_not_vary():
    """At gamma 1 they have no value."""
    world, policy = island(), np.array([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]])
    assert return_variance(world, policy) == pytest.approx(2, abs=1e-12)  # of −1 before the end
    assert return_variance(replace(world, gamma=0.5), policy) == pytest.approx(
        coin_variance(0.5), abs=1e-12)


def coin_variance(gamma):
    """Of −1 − γ − … until a fair coin ends it with 2, by a sum over its length."""
    paid = [2 * gamma**n - sum(gamma**t for t in range(n)) for n in range(200)]
    chance = 0.5**np.arange(1, 201)
    return chance @ np.square(paid) - (chance @ paid)**2


# Errors.


@pytest.mark.parametrize("use", [
    evaluate, occupancy, lambda mdp, policy: expectation(mdp, policy, np.ones(mdp.shape)),
    return_variance,
])
def test_a_policy_that_never_ends_is_refused_and_a_state_of_it_named(route, use):
    """Pitfall 39: a sentence, and not a warning of the solver."""
    message = (r"infinite.*: at gamma = 1.0 from state {} this policy never ends \(use gamma < 1, "
               r"a policy that ends, or mdp.unroll\)$")
    with pytest.raises(NoEnd, match=message.format(0)):
        use(island(), np.eye(3)[[0, 0, 0]])
    with pytest.raises(NoEnd, match=message.format(1)):
        use(replace(island(), start=np.array([0.5, 0.5, 0])), np.eye(3)[[1, 0, 0]])
    with pytest.raises(NoEnd, match=message.format(1)):  # nobody asks for state 0
        use(replace(endless(corridor(2, 1.0)), start=np.array([0.0, 1.0])), np.eye(2)[[1, 1]])
    use(replace(island(), gamma=0.99), np.eye(3)[[0, 0, 0]])


@pytest.mark.parametrize("use", [evaluate, occupancy])
def test_episodes_too_long_for_floating_point_are_refused_as_such(use):
    """Tail has a chance of 1e-17, and 1 − 1e-17 is one."""
    with pytest.raises(NoEnd, match="too long to be told from endless ones"):
        use(coin_game(), np.array([[1.0, 1e-17]]))


@pytest.mark.parametrize("use, message", [
    (lambda mdp: evaluate(mdp, np.ones((2, 3)) / 3), "policy must have shape (3, 3), got (2, 3)"),
    (lambda mdp: evaluate(mdp, np.ones((3, 3))), "policy[0] must sum to one, got 3.0"),
    (lambda mdp: occupancy(mdp, np.ones((3, 3))), "policy[0] must sum to one, got 3.0"),
    (lambda mdp: evaluate_by_sweeps(mdp, np.ones((3, 3))), "policy[0] must sum to one, got 3.0"),
    (lambda mdp: evaluate_by_sweeps(mdp, np.ones((3, 3)) / 3, np.ones((3, 1))),
     "table must have shape (3, 3), got (3, 1)"),
    (lambda mdp: expectation(mdp, np.ones((3, 3)), np.ones((3, 3))), "policy[0] must sum to one"),
    (lambda mdp: return_variance(mdp, np.ones((3, 3))), "policy[0] must sum to one, got 3.0"),
    (lambda mdp: return_variance(mdp, np.ones((3, 3)) / 3, np.ones((3, 1))),
     "table must have shape (3, 3), got (3, 1)"),
    (lambda mdp: evaluate(mdp, np.ones((3, 3)) / 3, np.ones((3, 1))),
     "table must have shape (3, 3), got (3, 1)"),
    (lambda mdp: expectation(mdp, np.ones((3, 3)) / 3, np.ones(3)),
     "table must end in shape (3, 3), got (3,)"),
    (lambda mdp: expectation(mdp, np.ones((3, 3)) / 3, np.ones((3, 3, 2))),
     "table must end in shape (3, 3), got (3, 3, 2)"),
])
def test_tables_that_do_not_fit_the_world_are_refused(use, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        use(island())
    assert error.type is not NoEnd


@pytest.mark.parametrize("gamma", [-0.1, 1.1, np.nan])
def test_sweeps_need_a_discount(gamma):
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\], got"):
        sweep(lambda V: V, np.zeros(1), gamma=gamma)


def test_sweeps_that_do_not_settle_say_what_may_help():
    for gamma, advice in (0.999, "a larger tol or max_sweeps is needed"), (1.0, "may be infinite"):
        with pytest.raises(ValueError, match=f"after max_sweeps = 5 sweeps.*{advice}"):
            sweep(lambda V, gamma=gamma: 1 + gamma * V, np.zeros(1), gamma=gamma, max_sweeps=5)


def test_values_of_another_world_are_refused():
    with pytest.raises(ValueError, match=r"values must have shape \(1,\), got \(2,\)"):
        action_values(coin_game(), np.zeros(2))


def test_visits_keep_the_imaginary_part_of_a_policy():
    """η = 1/(1 − p) of the coin game, and its derivative by a complex step."""
    visits = occupancy(coin_game(), np.array([[0.75 + 1e-30j, 0.25 - 1e-30j]]))
    assert visits.imag[0] / 1e-30 == pytest.approx(16, rel=1e-12)
