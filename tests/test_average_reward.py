"""Reward per step against powers of the restarted chain, against visits, and by its gradient."""

from dataclasses import replace
import math
import re

import numpy as np
import pytest
from worlds import (corridor, deterministic_policies, endless, island, random_mdp, random_policy,
                    single_outcome, tables)

from minirl.exact.average_reward import (average_reward, average_reward_gradient, howard,
                                         rate_bounds, relative_value_iteration)
from minirl.exact.evaluation import transitions_under
from minirl.kernel.mdp import coin_game, unroll
from minirl.kernel.softmax import log_softmax


def restarted(mdp, policy):
    """r_π (S,) and the chain (S, S) in which an end is followed by a first state, by loops."""
    r, P = tables(mdp)
    S, A = mdp.shape
    earned, chain = np.zeros(S), np.zeros((S, S))
    for s, a in np.ndindex(S, A):
        earned[s] += policy[s, a] * r[s, a]
        chain[s] += policy[s, a] * (P[s, a] + (1 - P[s, a].sum()) * mdp.start)
    return earned, chain


def long_run(chain, doublings=50):
    """(1/T) Σ_{t<T} chainᵗ with T = 2^doublings; it exists for periodic chains too."""
    total, power = np.eye(len(chain)), chain
    for _ in range(doublings):
        total, power = (total + power @ total) / 2, power @ power
        power /= power.sum(axis=1, keepdims=True)
    return total


def trap():
    """Episodes in state 0 end with probability 0.9, until one leads to 1 and 2, for ever."""
    mdp = single_outcome([[0, 1], [2, 2], [1, 1]], [[9, -9], [1, 1], [4, 4]],
                         [[True, False], [False] * 2, [False] * 2], [1, 0, 0])
    return mdp, np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5]])


def one_loop(mdp):
    """Whether there is a state to which every other one leads, under the uniform policy."""
    moves = transitions_under(mdp, mdp.uniform).toarray() + np.eye(len(mdp.start))
    return (np.linalg.matrix_power(moves, len(mdp.start)) > 0).all(axis=0).any()


def worlds(rng):
    """Yield (world, policy): all episodes end, some states never end, none ends, periodic."""
    for K in 1, 3:
        mdp = random_mdp(rng, 5, 3, K, 0.9)
        while not one_loop(endless(mdp)):
            mdp = random_mdp(rng, 5, 3, K, 0.9)
        yield mdp, random_policy(rng, mdp)
        yield endless(mdp), random_policy(rng, mdp)
    yield coin_game(gamma=0.0), np.array([[0.75, 0.25]])
    ring = single_outcome([[1], [2], [3], [0]], [[1], [2], [-6], [5]], np.zeros((4, 1)),
                          [1, 0, 0, 0])
    yield ring, np.ones((4, 1))
    yield unroll(ring, 3), np.ones((12, 1))
    yield trap()


def test_the_rate_is_the_mean_over_a_long_time_of_the_restarted_chain(rng):
    """(average_reward.1), with T = 2^50 steps; the visits are the share of time in each state."""
    for mdp, policy in worlds(rng):
        earned, chain = restarted(mdp, policy)
        share = mdp.start @ long_run(chain)
        found = average_reward(mdp, policy)
        assert math.isclose(found.rate, share @ earned, abs_tol=1e-12)
        np.testing.assert_allclose(found.visits, share, atol=1e-12)


def test_the_differential_values_count_rewards_against_the_mean(rng):
    """(average_reward.2), by loops, and the action values of (average_reward.4)."""
    for mdp, policy in worlds(rng):
        r, P = tables(mdp)
        found = average_reward(mdp, policy)
        states = np.flatnonzero(found.visits + mdp.start > 0)
        h = np.nan_to_num(found.values)
        assert abs(mdp.start @ h) < 1e-12 and np.isfinite(found.values[states]).all()
        for s in states:
            Q = [r[s, a] - found.rate + P[s, a] @ h for a in range(mdp.shape[1])]
            np.testing.assert_allclose(found.action_values[s], Q, atol=1e-12)
            assert math.isclose(h[s], policy[s] @ Q, abs_tol=1e-12)


def test_the_share_of_time_balances_what_flows_in_and_out(rng):
    """(average_reward.3), by loops: as many episodes end per step as begin."""
    for mdp, policy in worlds(rng):
        _, P = tables(mdp)
        found, into, ended = average_reward(mdp, policy), np.zeros(mdp.shape[0]), 0.0
        for s, a in np.ndindex(mdp.shape):
            into += found.visits[s] * policy[s, a] * P[s, a]
            ended += found.visits[s] * policy[s, a] * (1 - P[s, a].sum())
        np.testing.assert_allclose(found.visits, into + found.restarts * mdp.start, atol=1e-12)
        assert math.isclose(found.restarts, ended, abs_tol=1e-12)
        assert math.isclose(found.visits.sum(), 1, abs_tol=1e-12)
        assert (found.visits > -1e-15).all()


def test_the_courier_of_the_chapter():
    """Stays for 1 or goes for 4 in two steps: (average_reward.2), (average_reward.4) by hand"""
    courier = single_outcome([[0, 1], [0, 0]], [[1, 0], [4, 4]], [[False] * 2] * 2, [1, 0])
    found = average_reward(courier, np.full((2, 2), 0.5))
    assert found.rate == pytest.approx(5 / 3) and found.restarts == 0
    np.testing.assert_allclose(found.values, [0, 7 / 3], atol=1e-15)
    _, grad = average_reward_gradient(courier, np.zeros((2, 2)))
    np.testing.assert_allclose(grad, [[-2 / 9, 2 / 9], [0, 0]], atol=1e-15)
    assert howard(courier).rate == pytest.approx(2)


def test_another_table_may_take_the_place_of_the_reward(rng):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    policy, table = random_policy(rng, mdp), rng.normal(size=(4, 3))
    policy.flags.writeable = table.flags.writeable = False  # nobody writes into them
    found, own = average_reward(mdp, policy, table), average_reward(mdp, policy)
    expected = own.visits @ (policy * table).sum(axis=1)
    assert math.isclose(found.rate, expected, abs_tol=1e-12) and found.rate != own.rate
    np.testing.assert_allclose((policy * found.action_values).sum(axis=1), found.values, atol=1e-12)
    shifted = average_reward(mdp, policy, table + 3.0)
    assert math.isclose(shifted.rate, found.rate + 3.0, abs_tol=1e-12)
    np.testing.assert_allclose(shifted.values, found.values, atol=1e-12)


def test_exactly_the_states_out_of_reach_have_no_value_and_no_visits():
    """State 1 of the island never ends, and would be a second loop if an episode came there."""
    found = average_reward(island(), np.eye(3)[[1, 0, 0]])
    np.testing.assert_array_equal(found.values, [0, np.nan, np.nan])
    np.testing.assert_array_equal(found.visits, [1, 0, 0])
    assert found.rate == 2 and found.restarts == 1
    both = average_reward(island(), np.array([[0, 0.5, 0.5], [1, 0, 0], [0, 0, 1]]))
    assert math.isclose(both.rate, 6 / 1.5, rel_tol=1e-12)
    np.testing.assert_allclose(both.visits, [2 / 3, 0, 1 / 3], atol=1e-15)
    np.testing.assert_allclose(both.values, [0, np.nan, 7 - 4], atol=1e-12)


def rooms(start):
    """States 0 and 1 are a ring, 2 stays, 3 ends, 4 leads to any of the others by its action."""
    return single_outcome([[1] * 4, [0] * 4, [2] * 4, [3] * 4, [0, 1, 2, 3]],
                          np.full((4, 5), 2 ** np.arange(5)).T,
                          [[False] * 4] * 3 + [[True] * 4, [False] * 4], start)


@pytest.mark.parametrize("start, leave, loops", [
    ([0.5, 0, 0.5, 0, 0], [1, 0, 0, 0], [0, 2]), ([0, 0.5, 0.5, 0, 0], [1, 0, 0, 0], [0, 2]),
    ([0, 0, 0, 0, 1], [0.5, 0, 0.5, 0], [0, 2]), ([0, 0, 0, 0, 1], [0.25] * 4, [0, 2]),
    ([0, 0, 0, 0, 1], [0.25, 0.25, 0, 0.5], None), ([0, 0, 0, 0, 1], [0, 0, 0, 1], None),
    ([0, 0, 0.5, 0.5, 0], [1, 0, 0, 0], None), ([0, 0, 0, 1, 0], [0.5, 0, 0.5, 0], None),
    ([0, 0, 0, 1e-9, 1 - 1e-9], [1, 0, 0, 0], None),
])
def test_more_than_one_loop_is_refused_and_a_state_of_each_named(start, leave, loops):
    """An end leads to a first state, so that it is no loop where a first state may be caught in
    another one; and what cannot be reached is no loop."""
    mdp, policy = rooms(start), np.array([[0.25] * 4] * 4 + [leave])
    if loops is None:
        earned, chain = restarted(mdp, policy)
        expected = mdp.start @ long_run(chain) @ earned
        assert math.isclose(average_reward(mdp, policy).rate, expected, rel_tol=1e-12)
        return
    message = (f"the reward per step depends on luck: this policy can be caught in loops around "
               f"the states {', '.join(map(str, loops))}, and never leave them")
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        average_reward(mdp, policy)


def test_loops_are_told_apart_by_what_is_possible_and_not_by_how_likely_it_is():
    """With one chance in 10^9 to leave, state 2 is no loop; state 0 is one, but out of reach."""
    mdp = single_outcome([[0, 0], [1, 1], [2, 1]], [[9, 9], [1, 1], [5, 5]], np.zeros((3, 2)),
                         [0, 0.5, 0.5])
    found = average_reward(mdp, np.array([[0.5, 0.5], [0.5, 0.5], [1 - 1e-9, 1e-9]]))
    assert math.isclose(found.rate, 1, rel_tol=1e-6)
    with pytest.raises(ValueError, match="loops around the states 1, 2, and"):
        average_reward(mdp, np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]))


def test_the_gradient_is_share_of_time_times_policy_times_advantage(rng):
    """(average_reward.4), by loops from the definitions."""
    for mdp, _ in worlds(rng):
        logits = rng.normal(size=mdp.shape)
        policy = np.exp(log_softmax(logits))
        earned, chain = restarted(mdp, policy)
        r, P = tables(mdp)
        d = mdp.start @ long_run(chain)
        rho = d @ earned
        h = np.linalg.pinv(np.eye(len(d)) - chain, rcond=1e-9) @ (earned - rho)
        h = h - mdp.start @ h
        rate, grad = average_reward_gradient(mdp, logits)
        assert math.isclose(rate, rho, abs_tol=1e-12)
        for s, a in np.ndindex(mdp.shape):
            Q = r[s, a] - rho + P[s, a] @ h
            expected = d[s] * policy[s, a] * (Q - h[s]) if d[s] > 1e-15 else 0
            assert math.isclose(grad[s, a], expected, abs_tol=1e-10)


def test_rows_of_the_gradient_sum_to_zero_and_vanish_where_no_episode_comes(rng):
    rate, grad = average_reward_gradient(island(), rng.normal(size=(3, 3)))
    assert math.isfinite(rate) and np.abs(grad[[0, 2]]).min() > 1e-9
    np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_array_equal(grad[1], 0)


def test_at_extreme_logits_the_gradient_vanishes_and_stays_finite():
    """A probability that underflows to zero puts states out of reach, whose values are NaN."""
    for mdp, best in (island(), [1, 0, 2]), (corridor(4, 1.0), [1, 1, 1, 1]):
        rate, grad = average_reward_gradient(mdp, 1e4 * np.eye(mdp.shape[1])[best])
        assert math.isfinite(rate) and not grad.any()


# The best rate.


@pytest.mark.parametrize("ends", [True, False])
def test_the_best_rate_is_that_of_the_best_of_all_deterministic_policies(ends):
    """(average_reward.5) and (average_reward.6)"""
    for seed in range(6):
        mdp = random_mdp(np.random.default_rng(seed), 4, 3, 2, 1.0)
        if not ends:  # the first outcome leads back to state 0, so that there is one loop
            home = np.where(np.arange(2) == 0, 0, mdp.next_state)
            mdp = replace(endless(mdp), next_state=home)
        drawn = np.random.default_rng(seed).random((4, 3)) < 0.7
        mdp = replace(mdp, available=drawn | (np.arange(3) == seed % 3))
        rates = [average_reward(mdp, policy).rate for policy in deterministic_policies(mdp)
                 if not (policy > mdp.available).any()]
        best, swept = howard(mdp), relative_value_iteration(mdp, tol=1e-9)
        assert best.rate == pytest.approx(max(rates), abs=1e-12)
        assert average_reward(mdp, best.policy).rate == pytest.approx(best.rate, abs=1e-12)
        assert best.low == pytest.approx(best.rate, abs=1e-11)
        assert best.high == pytest.approx(best.rate, abs=1e-11)
        assert swept.low - 1e-12 <= max(rates) <= swept.high + 1e-12
        assert swept.high - swept.low <= 1e-9 and swept.rate == (swept.low + swept.high) / 2
        assert average_reward(mdp, swept.policy).rate == pytest.approx(max(rates), abs=1e-9)


def test_any_table_bounds_the_best_rate(rng):
    """(average_reward.5)"""
    mdp = random_mdp(rng, 4, 3, 2, 1.0)
    for _ in range(20):
        low, high = rate_bounds(mdp, rng.normal(size=4))
        assert low <= howard(mdp).rate <= high


def test_a_circle_is_gone_round_without_end_and_both_find_its_rate():
    """Three steps round a circle that pay 0, 0 and 3, or standing still for 1/2."""
    mdp = single_outcome([[1, 0], [2, 1], [0, 2]], [[0, 0.5], [0, 0.5], [3, 0.5]],
                         [[False] * 2] * 3, [1, 0, 0])
    for best in (howard(mdp), relative_value_iteration(mdp)):
        assert best.rate == pytest.approx(1, abs=1e-9)
        assert best.policy.tolist() == [[1, 0]] * 3


def test_a_poor_loop_is_left_for_a_better_one_and_a_trap_has_a_rate_of_its_own():
    """From 0 to loop 1, which pays 1, or loop 2, which pays 2; state 3 is a trap that pays 5."""
    leave = single_outcome([[1, 2], [1, 0], [2, 2], [3, 3]], [[0, 0], [1, 0], [2, 2], [5, 5]],
                           [[False] * 2] * 4, [1, 0, 0, 0])
    assert howard(leave).rate == pytest.approx(2, abs=1e-12)
    luck = replace(leave, start=np.array([0.5, 0, 0, 0.5]))
    best = howard(luck)
    assert best.rate == pytest.approx(3.5, abs=1e-12)
    assert best.low <= 2 and best.high >= 5
    with pytest.raises(ValueError, match="the best rate may depend on the state"):
        relative_value_iteration(luck, max_sweeps=500)


def test_where_no_episode_comes_the_best_policy_is_the_first_available_action():
    able = np.array([[True, True, True], [False, True, True], [True, False, True]])
    island = replace(single_outcome([[0, 0, 0], [1, 1, 1], [2, 2, 2]], [[1, 2, 0]] * 3,
                                    [[False] * 3] * 3, [1, 0, 0]), available=able)
    assert howard(island).policy.argmax(axis=1).tolist() == [1, 1, 0]


def test_exactly_as_many_sweeps_as_are_needed_are_enough():
    circle = single_outcome([[1], [2], [0]], [[3], [0], [0]], [[False]] * 3, [1, 0, 0])
    needed = relative_value_iteration(circle).rounds
    assert relative_value_iteration(circle, max_sweeps=needed).rounds == needed > 2
    with pytest.raises(ValueError, match=f"after max_sweeps = {needed - 1} sweeps the bounds"):
        relative_value_iteration(circle, max_sweeps=needed - 1)


def test_a_huge_loss_elsewhere_hides_no_rate():
    mdp = single_outcome([[0, 0, 1], [0, 0, 0]], [[1e-6, 2e-6, 0], [-1e9, -1e9, -1e9]],
                         [[False] * 3] * 2, [1, 0])
    assert howard(mdp).rate == pytest.approx(2e-6, rel=1e-9)
