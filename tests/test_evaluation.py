"""Exact answers against power iteration, enumeration of episodes and eigenvalues."""

from dataclasses import replace
import math

import numpy as np
import pytest

from gridworld.maps import WORLDS
from minirl.exact import evaluation, solving
from minirl.exact.evaluation import (NoEnd, action_values, advantages, can_end, ending_chance,
                                     evaluate, evaluate_all, evaluate_by_sweeps, expectation,
                                     from_start, occupancy, reachable, return_variance)
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective
from minirl.kernel.mdp import TabularMDP, coin_game, unroll
from worlds import (corridor, endless, episodes, island, random_mdp, random_policy, single_outcome,
                    small_world, tables, value_by_loops)

GAMMAS = [0.0, 0.9, 1.0]


def test_a_backup_is_the_mean_over_the_outcomes_of_what_they_pay_and_lead_to(rng):
    """Q of (evaluation.1) by loops, from values that are those of no policy.  It comes first, since
    with wrong action values policy iteration, which is used below, may never end."""
    mdp, values = random_mdp(rng, 4, 3, 2, 0.9), rng.normal(size=4)
    found = action_values(mdp, values)
    for s, a in np.ndindex(4, 3):
        expected = sum(p * (r + 0.9 * (not ended) * values[t]) for p, t, r, ended in mdp.P[s][a])
        assert found[s, a] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.9, 0.99])
def test_a_discounted_world_that_never_ends_has_values_however_it_is_solved(rng, any_route, gamma,
                                                                            monkeypatch):
    """A slow series is no policy that never ends: at gamma 0.99 that would be no reason."""
    monkeypatch.setattr(solving, "SWEEPS", 200_000)
    mdp = endless(random_mdp(rng, 4, 2, 3, gamma))
    policy = random_policy(rng, mdp)
    np.testing.assert_allclose(evaluate(mdp, policy), value_by_loops(mdp, policy)[0], rtol=1e-10)


def test_a_discount_too_near_one_for_the_sweeps_is_not_called_a_policy_that_never_ends(rng,
                                                                                       monkeypatch):
    for name, value in (("LARGE", 0), ("FILLED", -1), ("SWEEPS", 100)):
        monkeypatch.setattr(solving, name, value)
    mdp = endless(random_mdp(rng, 4, 2, 3, 0.99))
    with pytest.raises(ValueError, match=r"gamma = 0.99 is too near 1 for so large a") as error:
        evaluate(mdp, random_policy(rng, mdp))
    assert error.type is not NoEnd


# Under one policy.


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("name", ["4x4", "cliff", "teleports"])
def test_many_policies_are_worth_what_each_of_them_is(name, gamma, large, monkeypatch, rng):
    """(evaluation.1), below gamma 1 to the last bit; some never end, some not everywhere, and some
    states are not reached.  Seven policies fit into one call."""
    mdp = WORLDS[name]().mdp(gamma=gamma)
    monkeypatch.setattr(evaluation, "STACKED", 7 * mdp.shape[0]**2)
    monkeypatch.setattr(evaluation, "STACKABLE", 0 if large else 10**6)
    actions = rng.integers(0, mdp.shape[1], (20, mdp.shape[0]))
    if name != "teleports":
        actions[::4] = policy_iteration(mdp).policy.argmax(axis=1)
    found = evaluate_all(mdp, actions)
    assert found.shape == actions.shape
    ended = 0
    for values, taken in zip(found, actions):
        try:
            alone = evaluate(mdp, np.eye(mdp.shape[1])[taken])
        except NoEnd:
            alone = np.full(len(taken), np.nan)
        np.testing.assert_allclose(values, alone, rtol=1e-12 if gamma == 1 else 0, atol=0)
        ended += not np.isnan(alone).all()
    if gamma == 1 and name == "4x4":
        assert ended >= 5  # the best one four times more; of those that are drawn most end, not all
    else:
        assert ended == (20 if gamma < 1 else 0 if name == "teleports" else 5)



@pytest.mark.parametrize("large", [False, True])
def test_among_many_policies_too_a_discount_too_near_one_is_refused(large, monkeypatch):
    """A policy without a value is no policy that never ends."""
    monkeypatch.setattr(evaluation, "STACKABLE", 0 if large else 10**6)
    lake = WORLDS["8x8"]().mdp(gamma=np.nextafter(1, 0))
    with pytest.raises(ValueError, match="too near 1 for so large a world") as error:
        evaluate_all(lake, np.zeros((2, 64), int))
    assert error.type is not NoEnd


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


def test_values_may_be_asked_in_other_states():
    only_end = np.eye(3)[[1, 0, 2]]
    values = evaluate(island(), only_end, states=np.array([True, False, True]))
    np.testing.assert_array_equal(values, [2, np.nan, 7])
    with pytest.raises(ValueError, match="from state 1 this policy never ends"):
        evaluate(island(), only_end, states=np.full(3, True))


def test_the_value_from_the_start_asks_for_values_only_where_an_episode_may_start():
    mdp = single_outcome([[1], [1]], [[1], [1]], [[True], [True]], [1, 0])
    assert from_start(mdp, [2.0, np.nan]) == 2.0
    assert np.isnan(from_start(mdp, [np.nan, 2.0]))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("K", [1, 2])
def test_values_are_the_limit_of_repeated_one_step_returns(rng, any_route, gamma, K):
    """(evaluation.1), V by power iteration and Q by loops."""
    longest = np.inf
    while longest > 10:  # until no episode is expected to be so long that 600 backups leave some
        mdp = random_mdp(rng, 4, 3, K, gamma)
        policy = random_policy(rng, mdp)
        r, P = tables(mdp)
        goes_on = np.einsum("sa,sat->st", policy, P)
        longest = np.linalg.solve(np.eye(4) - gamma * goes_on, np.ones(4)).max()
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
    policy.flags.writeable = table.flags.writeable = False  # nobody writes into them
    np.testing.assert_allclose(evaluate(mdp, policy, table), value_by_loops(mdp, policy, table)[0],
                               atol=1e-12)
    np.testing.assert_allclose(evaluate_by_sweeps(mdp, policy, table),
                               evaluate(mdp, policy, table), atol=1e-10)
    assert not evaluate(mdp, policy, np.zeros((4, 3))).any()


@pytest.mark.parametrize("gamma", GAMMAS)
def test_visits_are_the_sum_over_time_of_the_state_distribution(rng, any_route, gamma):
    """(evaluation.2), η by power iteration, and J in its two forms, (mdp.3)."""
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
    other = sum(eta[s] * policy[s, a] for s, a in np.ndindex(5, 2))
    assert math.isclose(expectation(mdp, policy, r), J, abs_tol=1e-12)
    assert expectation(mdp, policy, np.stack([r, np.ones(mdp.shape)])) == pytest.approx([J, other])


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


def test_the_corridor_of_the_chapter_is_what_it_says_by_hand():
    """(evaluation.1) to (evaluation.4), in fractions."""
    walk = single_outcome([[0, 1], [0, 1]], [[0, 0], [0, 22]], [[False] * 2, [False, True]], [1, 0],
                          0.5)
    V, visits = evaluate(walk, walk.uniform), occupancy(walk, walk.uniform)
    np.testing.assert_allclose(V, [4, 12], rtol=1e-14)
    np.testing.assert_allclose(action_values(walk, V), [[2, 6], [2, 22]], rtol=1e-14)
    np.testing.assert_allclose(advantages(walk, V), [[-2, 2], [-10, 10]], rtol=1e-14)
    np.testing.assert_allclose(visits, [16 / 11, 4 / 11], rtol=1e-14)
    assert expectation(walk, walk.uniform, np.ones((2, 2))) == pytest.approx(20 / 11, rel=1e-14)
    assert return_variance(walk, walk.uniform) == pytest.approx(19.2, rel=1e-13)
    errors = [np.abs(values - V).max() for values in values_by_steps(walk, walk.uniform, 3)]
    assert errors == pytest.approx([12, 4, 5 / 4, 9 / 16])
    assert all(after <= 0.5 * before for before, after in zip(errors, errors[1:]))


def test_a_third_of_all_visits_of_the_best_policy_of_the_lake_are_at_the_start():
    mdp = WORLDS["4x4"]().mdp(gamma=0.99)
    visits = occupancy(mdp, policy_iteration(mdp).policy)
    assert 0.32 < visits[0] / visits.sum() < 0.34
    assert (round(visits[0], 2), round(visits.sum(), 2)) == (11.23, 34.65)


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
    felt = [k for k in (1, 2, 3, 8, 20) if bounds[k - 1] > 1e-9]  # others are as small as rounding
    assert len(felt) > 2
    for k in felt:
        found = evaluate_by_sweeps(mdp, policy, tol=1.001 * bounds[k - 1], max_sweeps=k)
        np.testing.assert_allclose(found, worth[k], atol=1e-13)
        with pytest.raises(ValueError, match=f"still move after max_sweeps = {k} sweeps"):
            evaluate_by_sweeps(mdp, policy, tol=0.999 * bounds[k - 1], max_sweeps=k)


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


def test_without_discount_only_a_policy_that_earns_for_ever_is_noticed_by_sweeps():
    head = np.array([[1.0, 0.0]])
    with pytest.raises(ValueError, match=r"max_sweeps = 50 sweeps; at gamma = 1.0 .* infinite"):
        evaluate_by_sweeps(coin_game(), head, max_sweeps=50)
    assert evaluate_by_sweeps(coin_game(), head, np.zeros((1, 2)))[0] == 0


# How much an episode varies.


def covariance_by_list(mdp, policy, first=None, second=None):
    """Of Σ_t γᵗ first[s_t, a_t] and the same of `second`, over all episodes of a small world.

    Without a table it is what the outcomes pay.
    """
    law = []
    for chance, pairs, rewards, ended in episodes(mdp, 4):
        assert ended
        sums = [sum(mdp.gamma**t * (reward if table is None else table[pair])
                    for t, (pair, reward) in enumerate(zip(pairs, rewards)))
                for table in (first, second)]
        law.append((chance * np.prod([policy[pair] for pair in pairs]), *sums))
    chances, one, other = np.array(law).T
    assert abs(chances.sum() - 1) < 1e-12
    return (chances * (one - chances @ one) * (other - chances @ other)).sum()


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.0])
def test_the_variance_of_the_return_is_that_of_all_episodes(rng, route, gamma):
    """(evaluation.4), with random starts, random transitions, and a table or the outcomes"""
    mdp = small_world(gamma, 4)
    policy, table = random_policy(rng, mdp), rng.normal(size=mdp.shape)
    assert (mdp.start > 0).sum() > 1
    assert return_variance(mdp, policy, table) == pytest.approx(
        covariance_by_list(mdp, policy, table, table), abs=1e-12)
    assert return_variance(mdp, policy) == pytest.approx(covariance_by_list(mdp, policy), abs=1e-12)


@pytest.mark.parametrize("map_name", ["4x4", "8x8"])
def test_a_return_of_zero_or_one_varies_by_p_times_one_minus_p(map_name):
    """Reward and next state belong together: the lake pays only where it ends."""
    mdp = WORLDS[map_name]().mdp(gamma=1.0)
    for policy in (policy_iteration(mdp).policy, mdp.uniform):
        p = objective(mdp, policy)
        assert return_variance(mdp, policy) == pytest.approx(p * (1 - p), abs=1e-12)


def test_luck_in_the_reward_of_a_step_counts():
    """One step that pays 0 or 2 with equal chances: variance 1, and 0 if only its mean is asked."""
    lottery = TabularMDP([[[0, 0]]], [[[0.5, 0.5]]], [[[0.0, 2.0]]], [[[True, True]]], [1.0], 1.0)
    assert return_variance(lottery, np.ones((1, 1))) == 1
    assert return_variance(lottery, np.ones((1, 1)), lottery.mean_reward) == 0


def test_the_derivative_of_the_variance_is_twice_a_covariance(rng):
    """(evaluation.4) by a complex step in the table"""
    mdp = small_world(0.9, 4)
    policy, table, way = random_policy(rng, mdp), *rng.normal(size=(2, *mdp.shape))
    slope = return_variance(mdp, policy, table + 1e-30j * way).imag / 1e-30
    assert slope == pytest.approx(2 * covariance_by_list(mdp, policy, table, way), rel=1e-12)


def test_states_that_no_episode_reaches_do_not_vary():
    """At gamma 1 they have no value."""
    world, policy = island(), np.array([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]])
    assert return_variance(world, policy) == pytest.approx(2, abs=1e-12)  # of −1 before the end


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


def test_visits_keep_the_imaginary_part_of_a_policy():
    """η = 1/(1 − p) of the coin game, and its derivative by a complex step."""
    visits = occupancy(coin_game(), np.array([[0.75 + 1e-30j, 0.25 - 1e-30j]]))
    assert visits.imag[0] / 1e-30 == pytest.approx(16, rel=1e-12)
