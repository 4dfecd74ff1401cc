"""The best policy against enumeration of policies, and the gradient against all episodes."""

from dataclasses import replace
from fractions import Fraction
import itertools
import math
import re

import numpy as np
import pytest

from gridworld.classics import gambler
from gridworld.maps import LAKE_8X8, cliff_walk, frozen_lake, teleports
from gridworld.world import GridWorld, parse
from minirl.exact import planning
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.kernel.mdp import TabularMDP, coin_game, unroll
from minirl.exact.planning import (backward_induction, best_actions, disagreement,
                                   linear_programme, modified_policy_iteration, optimum_of,
                                   policy_gradient, policy_iteration, policy_that_ends,
                                   value_iteration)
from minirl.kernel.softmax import log_softmax
from worlds import (corridor, deterministic_policies, endless, episodes, island, random_mdp,
                    random_policy, single_outcome, tables, uneven_world, value_by_loops)

GAMMAS = [0.0, 0.9, 1.0]


@pytest.mark.parametrize("gamma", [0.7, 1.0])
def test_the_policy_gradient_is_the_mean_of_return_times_score(rng, gamma):
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


def test_rows_of_the_policy_gradient_sum_to_zero_and_vanish_where_no_episode_comes(rng):
    for gamma in 0.9, 1.0:
        J, grad = policy_gradient(replace(island(), gamma=gamma), rng.normal(size=(3, 3)))
        assert math.isfinite(J) and np.abs(grad[[0, 2]]).max() > 1e-6
        np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-12)
        np.testing.assert_array_equal(grad[1], 0)


def test_two_policies_differ_by_the_advantages_of_the_one_under_the_visits_of_the_other(rng):
    """(planning.6), against the two values."""
    for gamma in GAMMAS:
        mdp = random_mdp(rng, 4, 3, 2, gamma)
        one, other = random_policy(rng, mdp), random_policy(rng, mdp)
        (V, _), (other_V, _) = (value_by_loops(mdp, policy) for policy in (one, other))
        r, P = tables(mdp)
        advantage = r + gamma * P @ V - V[:, None]
        found = (occupancy(mdp, other)[:, None] * other * advantage).sum()
        assert math.isclose(found, mdp.start @ (other_V - V), abs_tol=1e-12)
        assert abs(found) > 1e-6


# The best policy.


def rounds_of(mdp):
    """The policies of policy iteration, by loops; of new actions that tie, it takes the first."""
    policy, found = policy_that_ends(mdp), []
    while not found or (policy != found[-1]).any():
        found.append(policy.copy())
        Q = action_values(mdp, evaluate(mdp, policy))
        for s in range(len(Q)):
            if max(Q[s]) > Q[s, policy[s].argmax()] + 1e-12:
                policy[s] = np.eye(4)[(Q[s] > max(Q[s]) - 1e-12).argmax()]
    return found


def test_the_rounds_on_the_lake_are_those_of_the_drawing():
    """(planning.2)"""
    grid = frozen_lake()
    mdp = grid.mdp(gamma=0.99)
    found = rounds_of(mdp)
    objectives = [round(mdp.start @ evaluate(mdp, policy), 4) for policy in found]
    assert objectives == [0, 0, 0.0919, 0.2220, 0.3446, 0.5325, 0.5420]
    cells = [[cell if cell in "HG" else "←↓→↑"[row.argmax()] for cell, row in
              zip(grid.symbols, policy)] for policy in found]
    for row in range(0, 16, 4):
        line = " ".join(" ".join(policy[row:row + 4]) for policy in cells)
        assert line in re.sub(" +", " ", planning.__doc__)
    assert (found[-1] == policy_iteration(mdp).policy).all()
    rounds = [solver(mdp).rounds for solver in (policy_iteration, value_iteration,
                                                modified_policy_iteration)]
    assert rounds == [6, 704, 18]
    assert policy_iteration(cliff_walk().mdp(gamma=0.99)).rounds == 0


def test_a_careless_tie_turns_the_best_policy_of_the_large_lake_into_one_that_is_worth_nothing():
    """(planning.2): at γ = 1 the first of the best actions may wait for ever."""
    mdp = frozen_lake(LAKE_8X8).mdp(gamma=1.0)
    best = policy_iteration(mdp)
    assert best.objective == pytest.approx(1, rel=1e-12)
    first = np.eye(4)[best_actions(mdp, best).argmax(axis=1)]
    for horizon in 100, 1000:
        timed = unroll(mdp, horizon)
        values = evaluate(timed, np.tile(first, (horizon, 1)))
        assert timed.start @ np.nan_to_num(values) == 0


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_optimum_is_the_best_of_all_deterministic_policies(gamma):
    """(planning.1), (planning.2) and (planning.4): one policy is best in every state at once."""
    rounds = []
    for seed in range(6):
        mdp = random_mdp(np.random.default_rng(seed), 4, 3, 2, gamma)
        worths = [value_by_loops(mdp, policy)[0] for policy in deterministic_policies(mdp)]
        V = np.max(worths, axis=0)
        r, P = tables(mdp)
        for best in policy_iteration(mdp), value_iteration(mdp), linear_programme(mdp):
            np.testing.assert_allclose(best.values, V, atol=1e-9)
            np.testing.assert_allclose(best.action_values, r + gamma * P @ V, atol=1e-9)
            np.testing.assert_allclose(value_by_loops(mdp, best.policy)[0], V, atol=1e-9)
            assert math.isclose(best.objective, mdp.start @ V, abs_tol=1e-9)
            assert (np.sort(best.policy, axis=1) == [0, 0, 1]).all()
        rounds.append(policy_iteration(mdp).rounds)
    assert max(rounds) > (gamma > 0)


def test_a_sweep_takes_the_best_one_step_return():
    """(planning.1), sweep by sweep: n sweeps are n steps of the corridor from its end."""
    mdp = corridor(6, 0.5)
    for sweeps in range(1, 7):
        with pytest.raises(ValueError, match=f"still move after max_sweeps = {sweeps} sweeps"):
            value_iteration(mdp, max_sweeps=sweeps)
    assert value_iteration(mdp, max_sweeps=7).rounds == 7
    assert value_iteration(replace(mdp, gamma=0.0)).rounds == 1


@pytest.mark.parametrize("solver", [value_iteration, policy_iteration, linear_programme])
def test_a_single_distant_reward_is_found(solver):
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


@pytest.mark.parametrize("solver", [policy_iteration, linear_programme])
@pytest.mark.parametrize("reward", [1.0, 0.1 + 0.2, 1e-3, 1e6, -1.0])
def test_a_tie_keeps_the_action_that_ends(solver, reward):
    """(planning.2), (planning.4) and pitfall 38: once V is the best, waiting looks as good as
    ending.  A programme without prices would not know which is which."""
    waiting = single_outcome([[0, 0, 0]], [[0, reward, reward - 3]], [[False, True, True]], [1])
    best = solver(waiting)
    assert best.policy.tolist() == [[0, 1, 0]]
    np.testing.assert_allclose(best.values, reward, rtol=1e-12)


def test_a_tie_keeps_its_action_while_other_states_improve():
    """(planning.2): state 0 may wait or end, as above; state 1 finds out that state 2 pays more."""
    mdp = single_outcome([[0, 0, 0], [0, 2, 0], [0, 0, 0]],
                         [[0, 1, -2], [1, 0, -9], [3, -9, -9]],
                         [[False, True, True], [True, False, True], [True, True, True]],
                         [0.5, 0.5, 0.0])
    best = policy_iteration(mdp)
    assert best.rounds == 1 and best.policy.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_allclose(best.values, [1, 3, 3], rtol=1e-12)


@pytest.mark.parametrize("gain, chosen", [(2e-16, 0), (1e-13, 1)])
def test_an_action_is_replaced_only_by_one_that_is_better_than_rounding(gain, chosen):
    """(planning.2): action 0 of state 0 pays 1, action 1 leads to a state worth 1 + gain."""
    mdp = single_outcome([[0, 1], [0, 0]], [[1, 0], [1 + gain, -9]], [[True, False], [True, True]],
                         [1, 0])
    best = policy_iteration(mdp)
    assert best.policy.tolist() == [np.eye(2)[chosen].tolist(), [1, 0]]
    assert best.rounds == chosen


@pytest.mark.parametrize("solver", [policy_iteration, linear_programme])
@pytest.mark.parametrize("length", [1, 3, 10])
def test_where_all_policies_that_end_are_worth_the_same_one_that_ends_is_found(solver, length):
    """(planning.2) and pitfall 38 in the first round: at gamma 1 the corridor is worth 1 under
    every policy that ends, the random one included, and walking into the wall never ends."""
    best = solver(corridor(length, 1.0))
    np.testing.assert_allclose(best.values, 1, rtol=1e-9)
    np.testing.assert_allclose(evaluate(corridor(length, 1.0), best.policy), 1, rtol=1e-9)


@pytest.mark.parametrize("solver", [policy_iteration, linear_programme])
def test_at_gamma_one_states_out_of_reach_have_no_value_and_disturb_nothing(solver):
    best = solver(island())
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


def test_a_state_that_never_ends_and_an_infinite_optimum_are_refused():
    for gain in 5.0, 0.0, -5.0:
        reward = island().reward.copy()
        reward[1] = gain
        mdp = replace(island(), reward=reward, start=np.array([0.5, 0.5, 0.0]))
        with pytest.raises(ValueError, match=r"at gamma = 1.0 from state 1 this policy never ends"):
            policy_iteration(mdp)
        with pytest.raises(ValueError, match=r"at gamma = 1.0 some state cannot reach an end"):
            linear_programme(mdp)
    for solver, message in (
            (lambda mdp: value_iteration(mdp, max_sweeps=50),
             "max_sweeps = 50 sweeps; at gamma = 1.0 .* infinite"),
            (policy_iteration, "at gamma = 1.0 from state 0 this policy never ends"),
            (linear_programme, "at gamma = 1.0 .*, or the optimum is infinite")):
        with pytest.raises(ValueError, match=message):
            solver(coin_game())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("K", [1, 3])
def test_sweeps_improvements_and_pivots_find_the_same_optimum(gamma, K):
    """(planning.1), (planning.2) and (planning.4), on worlds too large to enumerate policies.

    With K = 1 and gamma 1 a world may pay for going round in circles; then its rewards are costs.
    """
    for seed in range(4):
        mdp = random_mdp(np.random.default_rng(seed), 12, 4, K, gamma)
        mdp = replace(mdp, reward=-np.abs(mdp.reward)) if K == gamma == 1 else mdp
        best = policy_iteration(mdp)
        for other in value_iteration(mdp), linear_programme(mdp):
            np.testing.assert_allclose(other.values, best.values, atol=1e-8)
            np.testing.assert_allclose(other.action_values, best.action_values, atol=1e-8)
            np.testing.assert_array_equal(other.policy, best.policy)
            assert math.isclose(other.objective, best.objective, abs_tol=1e-8)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_prices_are_the_visits_of_the_best_policy_from_everywhere(monkeypatch, gamma):
    """(planning.4), with w = 1: and what the prices earn is the minimum."""
    solved, linprog = [], planning.optimize.linprog
    monkeypatch.setattr(planning.optimize, "linprog",
                        lambda *args, **options: solved.append(linprog(*args, **options))
                        or solved[-1])
    for seed in range(4):
        mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, gamma)
        best = linear_programme(mdp)
        prices = -solved[-1].ineqlin.marginals.reshape(5, 3)
        visits = 5 * occupancy(replace(mdp, start=np.full(5, 0.2)), best.policy)
        np.testing.assert_allclose(prices, visits[:, None] * best.policy, atol=1e-8)
        assert math.isclose((prices * tables(mdp)[0]).sum(), best.values.sum(), abs_tol=1e-8)


def test_a_rare_outcome_is_not_lost_in_the_programme():
    """HiGHS ignores coefficients below 1e-9; here one carries a value of a thousandth."""
    mdp = TabularMDP(next_state=np.array([[[1, 0]], [[0, 0]]]),
                     prob=np.array([[[1e-10, 1 - 1e-10]], [[1.0, 0.0]]]),
                     reward=np.array([[[0.0, 1.0]], [[1e7, 0.0]]]),
                     terminated=np.array([[[False, True]], [[True, True]]]),
                     start=np.array([1.0, 0.0]), gamma=1.0)
    best = linear_programme(mdp)
    np.testing.assert_allclose(best.values, [1.001 - 1e-10, 1e7], rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("K", [1, 2])
def test_backward_induction_follows_its_equation(rng, gamma, K):
    """(planning.3), by loops; also where an episode would never end by itself."""
    mdp = endless(random_mdp(rng, 4, 3, K, gamma))
    r, P = tables(mdp)
    for horizon in 1, 2, 7:
        found, V = backward_induction(mdp, horizon), np.zeros(4)
        assert found.policy.shape == found.action_values.shape == (horizon, 4, 3)
        assert found.values.shape == (horizon + 1, 4) and not found.values[horizon].any()
        for t in reversed(range(horizon)):
            Q = np.array([[r[s, a] + gamma * P[s, a] @ V for a in range(3)] for s in range(4)])
            V = np.array([max(Q[s]) for s in range(4)])
            np.testing.assert_allclose(found.action_values[t], Q, atol=1e-12)
            np.testing.assert_allclose(found.values[t], V, atol=1e-12)
            assert [row.tolist() for row in found.policy[t]] == np.eye(3)[Q.argmax(1)].tolist()
        assert math.isclose(found.objective, mdp.start @ V, abs_tol=1e-12)


def test_backward_induction_takes_the_first_action_on_a_tie():
    tie = single_outcome([[0, 0, 0]], [[1, 2, 2]], [[False] * 3], [1])
    assert backward_induction(tie, 2).policy.tolist() == [[[0, 1, 0]]] * 2


def test_the_record_of_an_optimum_skips_states_without_a_value():
    policy, values = np.eye(3)[[2, 0, 2]], np.array([10, np.nan, 7])
    record = optimum_of(replace(island(), start=np.array([0.5, 0.0, 0.5])), policy, values, 3)
    assert record.objective == 8.5 and record.rounds == 3 and record.policy is policy
    np.testing.assert_array_equal(record.values, values)
    np.testing.assert_array_equal(record.action_values[0], [9, 2, 10])


def test_value_iteration_asks_nothing_of_states_out_of_reach():
    """At gamma 1 a free cell behind a wall may earn for ever without disturbing the others."""
    mdp = GridWorld(parse("S G # 5")).mdp(gamma=1.0)
    best = value_iteration(mdp)
    assert best.objective == 1 == best.values[0] and np.isnan(best.values[3])


@pytest.mark.parametrize("size", [1e-10, 1e10])
def test_the_unit_of_reward_does_not_matter(size):
    for solver in policy_iteration, linear_programme, value_iteration:
        corner = GridWorld(parse("SFG"), rewards={"G": size}).mdp(gamma=0.9)
        tight = {"tol": 1e-12 * size} if solver is value_iteration else {}
        assert solver(corner, **tight).objective == pytest.approx(0.9 * size, rel=1e-9)


def test_at_gamma_one_going_on_for_ever_counts_for_value_iteration_only():
    """The chapter says so: −5 on the way and +1 at the end, or nothing for ever."""
    mdp = GridWorld(parse("S -5 G")).mdp(gamma=1.0)
    assert policy_iteration(mdp).objective == linear_programme(mdp).objective == -4
    assert value_iteration(mdp).objective == 0 == backward_induction(mdp, 50).objective


# Large numbers elsewhere, and ties.


def solvers_differ(seeds):
    """The seeds of uneven worlds on which two exact solvers differ by more than 1e-8 in a state,
    or the third one by more than its `tol`."""
    wrong = []
    for seed in seeds:
        mdp = uneven_world(seed)
        best, tol = policy_iteration(mdp), 1e-9 * max(1, np.abs(mdp.mean_reward).max())
        swept = modified_policy_iteration(mdp, tol=tol)
        apart = np.nan_to_num(swept.values - best.values)
        rounding = 1e-9 * np.abs(np.nan_to_num(best.values)).max()
        if (disagreement(best, linear_programme(mdp)).max() > 1e-8
                or mdp.gamma < 1 and np.abs(apart).max() > tol + rounding):
            wrong.append(seed)
    return wrong


def test_solvers_agree_in_every_state_although_rewards_differ_by_twelve_decades():
    """(gains.1)"""
    assert solvers_differ(range(80)) == []


def grid(text, gamma):
    return GridWorld(parse(text)).mdp(gamma=gamma)


def test_a_programme_that_is_not_settled_is_refused(monkeypatch):
    """The hole of −10⁸ hides what the goal pays from the first of its solutions."""
    lake = grid("S F F F F G\nH F F F F F\nF F F F F -100000000", 0.3)
    monkeypatch.setattr(planning, "REFINEMENTS", 1)
    with pytest.raises(ValueError, match="after 1 times some action is still worth 0"):
        linear_programme(lake)


@pytest.mark.parametrize("solver", [policy_iteration, linear_programme])
@pytest.mark.parametrize("mdp, worth", [
    (grid("S F F F F G\nH F F F F F\nF F F F F -100000000", 0.3), 0.3**4),
    (grid("S F F G\nH -10000000000 F F", 1.0), 1.0),
    # A gain of a tenth beside rewards of 10^9; one of 10^−9 behind a loss that nobody meets.
    (single_outcome([[0, 0]], [[1e9, 1e9 + 0.1]], [[False, False]], [1], 0.9), 1e10 + 1),
    (single_outcome([[0, 0], [1, 0]], [[0, 1e-9], [-1e9, 0]], [[True] * 2] * 2, [1, 0], 0.5), 1e-9),
    (single_outcome([[0, 1], [2, 2], [2, 2]], [[0, 0], [1e-6, -1e6], [1e6, 1e6]],
                    [[True, False], [True, True], [True, True]], [1, 0, 0], 1.0), 1e-6)])
def test_a_huge_number_elsewhere_hides_no_gain(solver, mdp, worth):
    """(gains.1)"""
    assert solver(mdp).objective == pytest.approx(worth, rel=1e-12)


@pytest.mark.parametrize("solve", [policy_iteration, value_iteration])
def test_the_first_of_the_best_stakes_of_the_gambler_is_the_figure_of_the_book(solve):
    """Sutton and Barto, figure 4.3: with ties taken at the smallest stake."""
    mdp = gambler()
    best = best_actions(mdp, solve(mdp), tol=1e-9)
    smallest = best[1:100].argmax(axis=1) + 1
    rise_and_fall = [*range(1, 13), *range(12, 0, -1)]
    figure = [*rise_and_fall, 25, *rise_and_fall]
    assert smallest.tolist() == [*figure, 50, *figure]
    if solve is value_iteration:
        assert (solve(mdp).policy[1:100].argmax(axis=1) + 1).tolist() == smallest.tolist()


def test_actions_that_a_policy_hesitates_between_are_told_apart_too():
    mdp = single_outcome([[0, 0, 0]], [[1, 2, 2]], [[True] * 3], [1])
    optimum = optimum_of(mdp, np.full((1, 3), 1 / 3), np.array([5 / 3]), 1)
    assert best_actions(mdp, optimum).tolist() == [[False, True, True]]


def test_all_best_actions_are_listed_and_no_other():
    mdp = grid("SFF\nFFF\nFFG", 0.9)
    best = best_actions(mdp, policy_iteration(mdp))
    down_or_right = [False, True, True, False]
    assert best[0].tolist() == down_or_right and best[4].tolist() == down_or_right
    assert best[2].tolist() == [False, True, False, False]
    masked = replace(mdp, available=np.tile([True, True, False, True], (9, 1)))
    assert not best_actions(masked, policy_iteration(masked))[:, 2].any()


# Actions that are not available.


def test_an_action_that_is_not_available_is_never_taken_however_much_it_pays():
    coin = replace(coin_game(gamma=0.9), available=np.array([[False, True]]))
    for solve in (policy_iteration, value_iteration, modified_policy_iteration, linear_programme):
        best = solve(coin)
        assert best.policy.tolist() == [[0, 1]] and best.objective == 0
        assert best.action_values.tolist() == [[-np.inf, 0]]
    assert backward_induction(coin, 3).policy.tolist() == [[[0, 1]]] * 3
    assert policy_that_ends(coin).tolist() == [[0, 1]]


def test_the_world_without_the_action_is_worth_the_same(rng):
    """A mask against a world in which the action is a copy of an available one."""
    for gamma in GAMMAS:
        mdp = random_mdp(rng, 5, 3, 2, gamma)
        available = np.tile([True, False, True], (5, 1))
        law = {name: getattr(mdp, name).copy() for name in ("next_state", "prob", "reward",
                                                            "terminated")}
        for table in law.values():
            table[:, 1] = table[:, 0]
        masked, copied = replace(mdp, available=available), replace(mdp, **law)
        for solve in (policy_iteration, linear_programme, value_iteration):
            assert np.abs(solve(masked).values - solve(copied).values).max() < 1e-9


# Near gamma 1.


def test_teleports_near_gamma_one_are_settled_by_the_solver_in_between():
    mdp = teleports().mdp(gamma=0.9999)
    best = policy_iteration(mdp)
    assert best.objective == pytest.approx(19_996.81, abs=0.005)
    swept = modified_policy_iteration(mdp, evaluation_sweeps=1000, tol=1e-4)
    assert np.abs(best.values - swept.values).max() < 1e-4
    with pytest.raises(ValueError, match="still move after max_sweeps = 1000 sweeps"):
        value_iteration(mdp, max_sweeps=1000)


@pytest.mark.parametrize("text", ["S 3 F\nF # 1\n2 F F", "SF5#FG\nFFF#FH",
                                  "S 2 # F # -1\nF F # G # H"])
@pytest.mark.parametrize("solve", [value_iteration, modified_policy_iteration])
def test_a_region_that_never_ends_is_settled_by_the_span_beside_walls_and_ends(solve, text):
    """(solving.5): walls end, as far as their tables are concerned, but nobody comes there."""
    mdp = GridWorld(parse(text), success_rate=0.7).mdp(gamma=0.99999)
    best, tol = policy_iteration(mdp), 1e-2
    swept = solve(mdp, tol=tol, max_sweeps=500)
    assert np.abs(swept.values - best.values).max() <= tol
    again = solve(replace(mdp, gamma=0.5), tol=1e-9)
    assert np.abs(again.values - policy_iteration(replace(mdp, gamma=0.5)).values).max() <= 1e-9


def worth_exactly(mdp, policy):
    """V of a policy of a deterministic world, by going round its circles in fractions: a list."""
    gamma, taken = Fraction(mdp.gamma), policy.argmax(axis=1)
    ways = [(int(mdp.next_state[s, a, 0]), Fraction(float(mdp.reward[s, a, 0])),
             gamma * (not mdp.terminated[s, a, 0])) for s, a in enumerate(taken)]
    worth = []
    for s in range(len(ways)):
        seen, total, factor = {}, Fraction(0), Fraction(1)
        while s not in seen and factor:
            seen[s] = total, factor
            s, reward, going = ways[s]
            total, factor = total + factor * reward, factor * going
        if factor:  # the circle is worth V = its own rewards + its own factor · V
            before, at = seen[s]
            total = before + (total - before) / (1 - factor / at)
        worth.append(total)
    return worth


@pytest.mark.parametrize("text, gap", [
    *itertools.product(["SASBS\nSSSSS\nSSSbS\nSSSSS\nSaSSS", "SAFBH\nFFFbF\nFaGFF",
                        "S 2 F\nF # 1\n3 F F"], [0.1, 1e-4, 1e-8, 1e-10, 1e-13]),
    *itertools.product(["S 1 # 1e12 F\nF 2 # F -1e12\nF F # F F"], [0.5, 0.1, 1e-2, 1e-4])])
def test_near_gamma_one_no_gain_is_hidden_by_the_size_of_the_values(text, gap):
    """(gains.2), in fractions: whether episodes may end, or a region that nobody reaches pays
    a million millions."""
    mdp = GridWorld(parse(text), leaving={"A": 10.0, "B": 5.0}, bump_reward=-1.0).mdp(gamma=1 - gap)
    best = policy_iteration(mdp)
    V = worth_exactly(mdp, best.policy)
    listed = best_actions(mdp, best)
    for s, worth in enumerate(V):
        assert abs(Fraction(float(best.values[s])) - worth) <= 1e-12 * abs(worth)
        Q = [Fraction(float(mdp.reward[s, a, 0])) + Fraction(mdp.gamma) * V[mdp.next_state[s, a, 0]]
             * (not mdp.terminated[s, a, 0]) for a in range(4)]
        assert max(Q) <= worth + Fraction(1e-9)
        if "1e12" not in text or s % 5 < 2:
            assert [q >= worth - Fraction(1e-5) for q in Q] == listed[s].tolist()


def test_an_endless_world_is_settled_by_the_span_of_a_sweep():
    """(solving.5): all states rise at the same pace long before they stop."""
    rng = np.random.default_rng(3)
    mdp = endless(random_mdp(rng, 4, 2, 3, 0.9999))
    best, swept = policy_iteration(mdp), value_iteration(mdp, tol=1e-8)
    assert swept.rounds < 100
    assert np.abs(swept.values - best.values).max() <= 1e-8 + 1e-11 * np.abs(best.values).max()
