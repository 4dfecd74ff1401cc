"""Exact answers against power iteration, enumeration of episodes and enumeration of policies."""

from dataclasses import replace
import itertools
import math
import re

import numpy as np
import pytest
from scipy import sparse

from minirl import planning
from minirl.mdp import TabularMDP, coin_game, unroll
from minirl.planning import (action_values, evaluate, expectation, occupancy, optimum,
                             policy_gradient, policy_iteration, policy_that_ends, reachable, solve,
                             transitions_under, value_iteration)
from minirl.softmax import log_softmax
from worlds import (deterministic_policies, episodes, random_mdp, random_policy, single_outcome,
                    tables, value_by_loops)

GAMMAS = [0.0, 0.9, 1.0]


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture(params=["dense", "sparse"])
def route(request, monkeypatch):
    """Runs a test twice: through the dense solve and through sparse LU."""
    monkeypatch.setattr(planning, "DENSE", {"dense": 1000, "sparse": 0}[request.param])


def with_radius(rng, n, radius):
    """A random matrix M ≥ 0, sparse, with this spectral radius."""
    M = rng.random((n, n)) * (rng.random((n, n)) < 0.6) + 0.1 * np.roll(np.eye(n), 1, axis=1)
    return sparse.csr_array(M * radius / np.abs(np.linalg.eigvals(M)).max())


def corridor(length, gamma):
    """Actions left and right; only the step out of the right end pays, and ends the episode."""
    cells = range(length)
    return single_outcome([[max(s - 1, 0), min(s + 1, length - 1)] for s in cells],
                          [[0, s == length - 1] for s in cells],
                          [[False, s == length - 1] for s in cells], np.eye(length)[0], gamma)


def island():
    """State 0 ends by action 1 and goes to state 2 by action 2; state 1, which nobody reaches
    from 0, never ends."""
    return single_outcome([[0, 0, 2], [1, 1, 1], [0, 0, 0]], [[-1, 2, 3], [5, 5, 5], [0, 0, 7]],
                          [[False, True, False], [False] * 3, [True] * 3], [1, 0, 0])


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
    splu = planning.linalg.splu
    monkeypatch.setattr(planning.linalg, "splu", lambda *args: calls.append(1) or splu(*args))
    monkeypatch.setattr(planning, "DENSE", 39)
    np.testing.assert_allclose(solve(M, right), dense, atol=1e-12)
    assert calls
    calls.clear()
    monkeypatch.setattr(planning, "DENSE", 40)
    np.testing.assert_array_equal(solve(M, right), dense)
    assert not calls


@pytest.mark.parametrize("radius", [1.0, 1 + 1e-9, 1.001, 1.5, 40.0])
def test_there_is_no_answer_from_spectral_radius_one_upwards(rng, route, radius):
    for n in 1, 2, 6:
        ring = radius * np.roll(np.eye(n), 1, axis=1)  # the entries, too, are exactly the radius
        assert solve(sparse.csr_array(ring), np.ones(n)) is None
        if radius > 1:  # elsewhere the radius of a random matrix is known only up to rounding
            assert solve(with_radius(rng, n, radius), rng.random(n)) is None


def test_a_random_chain_that_never_ends_has_no_answer(rng, route):
    for n in 2, 5, 30:
        for chain in rng.dirichlet(np.ones(n), n), rng.multinomial(8, np.ones(n) / n, n) / 8:
            assert solve(sparse.csr_array(chain), rng.normal(size=n)) is None


def test_a_part_that_diverges_is_found_even_where_nothing_is_earned(rng, route):
    blocks = np.zeros((4, 4))
    blocks[:2, :2], blocks[2:, 2:] = with_radius(rng, 2, 0.5).toarray(), [[0, 2], [1.5, 0]]
    assert solve(sparse.csr_array(blocks), np.array([1.0, 1.0, 0.0, 0.0])) is None


def test_a_solution_exists_exactly_below_spectral_radius_one(rng, route):
    """(planning.6): the certificate agrees with the eigenvalues, wherever the radius lies."""
    for radius in rng.uniform(0.5, 1.5, 60):
        M = with_radius(rng, rng.integers(1, 8), radius)
        assert (solve(M, np.ones(M.shape[0])) is None) == (radius >= 1)


def test_a_complex_matrix_keeps_its_imaginary_part(rng, route):
    """What a complex step through a large world needs."""
    M, right = with_radius(rng, 6, 0.8).toarray(), rng.normal(size=6)
    dM, dright = rng.random((6, 6)), rng.random(6)
    x = solve(sparse.csr_array(M + 1e-30j * dM), right + 1e-30j * dright)
    inverse = np.linalg.inv(np.eye(6) - M)
    slope = inverse @ (dM @ inverse @ right + dright)
    np.testing.assert_allclose(x.imag / 1e-30, slope, rtol=1e-10)


# Under one policy.


@pytest.mark.parametrize("gamma", GAMMAS)
def test_transitions_under_a_policy_are_averaged_and_not_discounted(rng, gamma):
    """(planning.1), P_π."""
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


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("K", [1, 2])
def test_values_are_the_limit_of_repeated_one_step_returns(rng, route, gamma, K):
    """(planning.1), V by power iteration and Q by loops."""
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


def test_another_table_may_take_the_place_of_the_reward(rng):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    policy, table = random_policy(rng, mdp), rng.normal(size=(4, 3))
    np.testing.assert_allclose(evaluate(mdp, policy, table), value_by_loops(mdp, policy, table)[0],
                               atol=1e-12)
    assert not evaluate(mdp, policy, np.zeros((4, 3))).any()


@pytest.mark.parametrize("gamma", GAMMAS)
def test_visits_are_the_sum_over_time_of_the_state_distribution(rng, route, gamma):
    """(planning.2), η by power iteration, and J in its two forms."""
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
    """(planning.2) holds for any table in place of r, and for several at once."""
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
    np.testing.assert_array_equal(occupancy(island(), only_end), [1, 0, 0])
    np.testing.assert_array_equal(occupancy(island(), by_two), [1, 0, 1])


def test_below_gamma_one_every_state_has_a_value():
    mdp = replace(island(), gamma=0.5)
    np.testing.assert_allclose(evaluate(mdp, np.eye(3)[[1, 0, 2]]), [2, 10, 7], rtol=1e-12)
    np.testing.assert_allclose(evaluate(mdp, np.eye(3)[[0, 0, 0]]), [-2, 10, 0], atol=1e-12)
    np.testing.assert_allclose(occupancy(mdp, np.eye(3)[[0, 0, 0]]), [2, 0, 0], atol=1e-12)


@pytest.mark.parametrize("use", [
    evaluate, occupancy, lambda mdp, policy: expectation(mdp, policy, np.ones(mdp.shape)),
    lambda mdp, policy: policy_gradient(mdp, 1e4 * policy),
])
def test_a_policy_that_never_ends_is_refused(route, use):
    with pytest.raises(ValueError, match="infinite.* at gamma = 1.0 there are .* never ends"):
        use(island(), np.eye(3)[[0, 0, 0]])
    with pytest.raises(ValueError, match="infinite.* at gamma = 1.0 there are .* never ends"):
        use(replace(island(), start=np.array([0.5, 0.5, 0])), np.eye(3)[[1, 0, 0]])
    use(replace(island(), gamma=0.99), np.eye(3)[[0, 0, 0]])


@pytest.mark.parametrize("use, message", [
    (lambda mdp: evaluate(mdp, np.ones((2, 3)) / 3), "policy must have shape (3, 3), got (2, 3)"),
    (lambda mdp: evaluate(mdp, np.ones((3, 3))), "policy[0] must sum to one, got 3.0"),
    (lambda mdp: occupancy(mdp, np.ones((3, 3))), "policy[0] must sum to one, got 3.0"),
    (lambda mdp: expectation(mdp, np.ones((3, 3)), np.ones((3, 3))), "policy[0] must sum to one"),
    (lambda mdp: evaluate(mdp, np.ones((3, 3)) / 3, np.ones((3, 1))),
     "table must have shape (3, 3), got (3, 1)"),
    (lambda mdp: expectation(mdp, np.ones((3, 3)) / 3, np.ones(3)),
     "table must end in shape (3, 3), got (3,)"),
    (lambda mdp: expectation(mdp, np.ones((3, 3)) / 3, np.ones((3, 3, 2))),
     "table must end in shape (3, 3), got (3, 3, 2)"),
    (lambda mdp: policy_gradient(mdp, np.ones((3, 1))),
     "logits must have shape (3, 3), got (3, 1)"),
])
def test_tables_that_do_not_fit_the_world_are_refused(use, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        use(island())


# The policy gradient.


@pytest.mark.parametrize("gamma", [0.7, 1.0])
def test_the_policy_gradient_is_the_mean_of_return_times_score(rng, route, gamma):
    """(planning.5), by the score function E[R Σ_t ∇log π(a_t|s_t)] over all episodes."""
    mdp = unroll(random_mdp(rng, 2, 3, 2, gamma), 3)
    logits = rng.normal(size=mdp.shape)
    policy = np.exp(log_softmax(logits))
    J, grad = 0.0, np.zeros(mdp.shape)
    for chance, pairs, rewards, _ in episodes(mdp, 3):
        weight = chance * np.prod([policy[pair] for pair in pairs])
        total = weight * sum(gamma**t * r for t, r in enumerate(rewards))
        J += total
        for s, a in pairs:
            grad[s, a] += total
            grad[s] -= total * policy[s]
    exact_J, exact = policy_gradient(mdp, logits)
    assert math.isclose(exact_J, J, abs_tol=1e-12)
    np.testing.assert_allclose(exact, grad, atol=1e-12)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_policy_gradient_is_visits_times_policy_times_advantage(rng, gamma):
    """(planning.5), by loops; at gamma 0 only the first step counts."""
    mdp = random_mdp(rng, 4, 3, 2, gamma)
    logits = rng.normal(size=(4, 3))
    policy = np.exp(log_softmax(logits))
    V, M = value_by_loops(mdp, policy)
    visits = np.linalg.solve(np.eye(4) - M.T, mdp.start)
    r, P = tables(mdp)
    J, grad = policy_gradient(mdp, logits)
    assert math.isclose(J, mdp.start @ V, abs_tol=1e-12)
    for s, a in np.ndindex(4, 3):
        advantage = r[s, a] + gamma * P[s, a] @ V - V[s]
        assert math.isclose(grad[s, a], visits[s] * policy[s, a] * advantage, abs_tol=1e-12)


def test_rows_of_the_policy_gradient_sum_to_zero_and_vanish_where_no_episode_comes(rng):
    for gamma in 0.9, 1.0:
        J, grad = policy_gradient(replace(island(), gamma=gamma), rng.normal(size=(3, 3)))
        assert math.isfinite(J) and np.abs(grad[[0, 2]]).max() > 0.1
        np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-12)
        np.testing.assert_array_equal(grad[1], 0)


def test_a_potential_added_to_the_reward_does_not_turn_the_policy_gradient(rng):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    logits, potential = rng.normal(size=(4, 3)), rng.normal(size=4)
    later = np.where(mdp.terminated, 0, potential[mdp.next_state])
    shaped = replace(mdp, reward=mdp.reward + 0.9 * later - potential[:, None, None])
    (J, grad), (shaped_J, shaped_grad) = (policy_gradient(world, logits) for world in (mdp, shaped))
    np.testing.assert_allclose(shaped_grad, grad, atol=1e-12)
    assert math.isclose(shaped_J, J - mdp.start @ potential, abs_tol=1e-12)


def test_nothing_is_mutated(rng):
    mdp = random_mdp(rng, 3, 2, 1, 0.9)
    logits, policy, table = rng.normal(size=(3, 2)), np.full((3, 2), 0.5), rng.normal(size=(3, 2))
    kept = [x.copy() for x in (logits, policy, table, mdp.mean_reward, mdp.start)]
    policy_gradient(mdp, logits), evaluate(mdp, policy, table), expectation(mdp, policy, table)
    value_iteration(mdp), policy_iteration(mdp)
    for now, before in zip((logits, policy, table, mdp.mean_reward, mdp.start), kept):
        np.testing.assert_array_equal(now, before)


# The best policy.


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_optimum_is_the_best_of_all_deterministic_policies(gamma):
    """(planning.3) and (planning.4): one policy is best in every state at once."""
    rounds = []
    for seed in range(6):
        mdp = random_mdp(np.random.default_rng(seed), 4, 3, 2, gamma)
        worths = [value_by_loops(mdp, policy)[0] for policy in deterministic_policies(mdp)]
        V = np.max(worths, axis=0)
        r, P = tables(mdp)
        for best in policy_iteration(mdp), value_iteration(mdp):
            np.testing.assert_allclose(best.values, V, atol=1e-9)
            np.testing.assert_allclose(best.action_values, r + gamma * P @ V, atol=1e-9)
            np.testing.assert_allclose(value_by_loops(mdp, best.policy)[0], V, atol=1e-9)
            assert math.isclose(best.objective, mdp.start @ V, abs_tol=1e-9)
            assert (np.sort(best.policy, axis=1) == [0, 0, 1]).all()
        rounds.append(policy_iteration(mdp).rounds)
    assert max(rounds) > (gamma > 0)


def test_a_sweep_takes_the_best_one_step_return():
    """(planning.3), sweep by sweep: n sweeps are n steps of the corridor from its end."""
    mdp = corridor(6, 0.5)
    for sweeps in range(1, 7):
        with pytest.raises(ValueError, match=f"still move after max_sweeps = {sweeps} sweeps"):
            value_iteration(mdp, max_sweeps=sweeps)
    assert value_iteration(mdp, max_sweeps=7).rounds == 7
    assert value_iteration(replace(mdp, gamma=0.0)).rounds == 1


@pytest.mark.parametrize("solver", [value_iteration, policy_iteration])
def test_a_single_distant_reward_is_found(route, solver):
    """Pitfall 37: the first sweeps change nothing near the start."""
    best = solver(corridor(40, 0.9))
    np.testing.assert_allclose(best.values, 0.9 ** np.arange(39, -1, -1), atol=1e-10)
    assert math.isclose(best.objective, 0.9**39, abs_tol=1e-10)
    assert best.policy[:, 1].all()


@pytest.mark.parametrize("gamma", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6])
def test_the_error_of_value_iteration_stays_within_its_bound(rng, gamma, tol):
    coin = coin_game(gamma=gamma)
    best = value_iteration(coin, tol=tol)
    assert 0 < 1 / (1 - gamma) - best.values[0] <= tol
    # After k sweeps V is Σ γᵗ up to k − 1, and short of V* by exactly the bound, γᵏ/(1 − γ).
    needed = next(k for k in itertools.count(1) if gamma**k / (1 - gamma) <= tol)
    assert abs(best.rounds - needed) <= (tol == 1e-6)
    mdp = random_mdp(rng, 4, 2, 2, gamma)
    error = value_iteration(mdp, tol=tol).values - policy_iteration(mdp).values
    assert np.abs(error).max() <= tol


def test_value_iteration_without_discount_settles_where_every_policy_ends():
    for seed in range(5):
        mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, 1.0)
        np.testing.assert_allclose(value_iteration(mdp).values, policy_iteration(mdp).values,
                                   atol=1e-9)


@pytest.mark.parametrize("reward", [1.0, 0.1 + 0.2, 1e-3, 1e6, -1.0])
def test_a_tie_keeps_the_action_that_ends(reward):
    """(planning.4) and pitfall 38: once V is the best, waiting looks as good as ending."""
    waiting = single_outcome([[0, 0, 0]], [[0, reward, reward - 3]], [[False, True, True]], [1])
    best = policy_iteration(waiting)
    assert best.policy.tolist() == [[0, 1, 0]]
    np.testing.assert_allclose(best.values, reward, rtol=1e-12)


def test_a_tie_keeps_its_action_while_other_states_improve():
    """(planning.4): state 0 may wait or end, as above; state 1 finds out that state 2 pays more."""
    mdp = single_outcome([[0, 0, 0], [0, 2, 0], [0, 0, 0]],
                         [[0, 1, -2], [1, 0, -9], [3, -9, -9]],
                         [[False, True, True], [True, False, True], [True, True, True]],
                         [0.5, 0.5, 0.0])
    best = policy_iteration(mdp)
    assert best.rounds == 1 and best.policy.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_allclose(best.values, [1, 3, 3], rtol=1e-12)


@pytest.mark.parametrize("gain, chosen", [(1e-13, 0), (1e-6, 1)])
def test_an_action_is_replaced_only_by_one_that_is_better_than_rounding(gain, chosen):
    """(planning.4): action 0 of state 0 pays 1, action 1 leads to a state worth 1 + gain."""
    mdp = single_outcome([[0, 1], [0, 0]], [[1, 0], [1 + gain, -9]], [[True, False], [True, True]],
                         [1, 0])
    best = policy_iteration(mdp)
    assert best.policy.tolist() == [np.eye(2)[chosen].tolist(), [1, 0]]
    assert best.rounds == chosen
    assert policy_iteration(mdp, tol=1e-3).policy[0].tolist() == [1, 0]


@pytest.mark.parametrize("length", [1, 3, 10])
def test_where_all_policies_that_end_are_worth_the_same_one_that_ends_is_found(length):
    """(planning.4) and pitfall 38 in the first round: at gamma 1 the corridor is worth 1 under
    every policy that ends, the random one included, and walking into the wall never ends."""
    best = policy_iteration(corridor(length, 1.0))
    np.testing.assert_allclose(best.values, 1, rtol=1e-9)
    np.testing.assert_allclose(evaluate(corridor(length, 1.0), best.policy), 1, rtol=1e-9)


def test_at_gamma_one_states_out_of_reach_have_no_value_and_disturb_nothing():
    best = policy_iteration(island())
    np.testing.assert_array_equal(best.values, [10, np.nan, 7])
    assert best.objective == 10 and best.policy[[0, 2]].tolist() == [[0, 0, 1], [0, 0, 1]]
    np.testing.assert_array_equal(best.action_values[[0, 2]], [[9, 2, 10], [0, 0, 7]])


def test_a_policy_that_ends_is_found_where_ends_are_rare():
    """Its chain has a spectral radius below one; that of always taking action 0 is one."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        S, A, K = shape = 8, 3, 2
        terminated, prob = np.zeros(shape, bool), rng.dirichlet(np.ones(K), (S, A))
        terminated[seed % S, 2, 1] = True
        prob[:, 0], terminated[:, 0, 1] = [1.0, 0.0], True  # an end that never happens
        next_state = rng.integers(0, S, shape)
        next_state[:, 1, 0] = (np.arange(S) + 1) % S  # so that the end may be reached from anywhere
        mdp = TabularMDP(next_state, prob, np.zeros(shape), terminated, np.ones(S) / S, 1.0)
        policy = policy_that_ends(mdp)
        assert (np.sort(policy, axis=1) == [0, 0, 1]).all()
        _, P = value_by_loops(replace(mdp, gamma=1 - 1e-9), policy)
        assert np.abs(np.linalg.eigvals(P)).max() < 1 - 1e-6
        careless = value_by_loops(replace(mdp, gamma=1 - 1e-9), np.eye(A)[np.zeros(S, int)])[1]
        assert np.abs(np.linalg.eigvals(careless)).max() > 1 - 1e-6
        assert np.isfinite(evaluate(mdp, policy)).all()


def test_a_policy_that_ends_takes_the_first_action_that_helps():
    assert policy_that_ends(corridor(4, 1.0)).argmax(axis=1).tolist() == [1, 1, 1, 1]
    assert policy_that_ends(island()).argmax(axis=1).tolist() == [1, 0, 0]


def test_a_world_in_which_some_state_never_ends_is_refused():
    with pytest.raises(ValueError, match="never ends"):
        policy_iteration(replace(island(), start=np.array([0.5, 0.5, 0.0])))


def test_an_infinite_optimum_is_refused():
    with pytest.raises(ValueError, match="max_sweeps = 50 sweeps; at gamma = 1.0 .* infinite"):
        value_iteration(coin_game(), max_sweeps=50)
    with pytest.raises(ValueError, match="at gamma = 1.0"):
        policy_iteration(coin_game())


@pytest.mark.parametrize("tol", [0.0, -1e-3, np.nan])
@pytest.mark.parametrize("solver", [value_iteration, policy_iteration])
def test_a_tolerance_that_is_not_positive_is_refused(solver, tol):
    with pytest.raises(ValueError, match=f"tol must be positive, got {tol}"):
        solver(coin_game(gamma=0.9), tol=tol)


def test_the_record_of_an_optimum_skips_states_without_a_value():
    policy, values = np.eye(3)[[2, 0, 2]], np.array([10, np.nan, 7])
    record = optimum(replace(island(), start=np.array([0.5, 0.0, 0.5])), policy, values, 3)
    assert record.objective == 8.5 and record.rounds == 3 and record.policy is policy
    np.testing.assert_array_equal(record.values, values)
    np.testing.assert_array_equal(record.action_values[0], [9, 2, 10])
