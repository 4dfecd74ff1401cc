"""Recursions in time: each against loops over one episode at a time, endings and cuts included."""

import ast
import math

import numpy as np
import pytest
from test_house import ROOT
from worlds import apart, random_mdp, random_policy

from gridworld.maps import frozen_lake
from minirl.kernel import counts, layout
from minirl.kernel.mdp import coin_game, unroll
from minirl.exact.evaluation import advantages, evaluate, occupancy
from minirl.kernel.playing import Rollout, rollout, start_states
from minirl.play.returns import (discounted_sums, explained_variance, gae, gae_of_rectangle,
                                 move_values, n_step_returns, reward_to_go, td_errors,
                                 whole_return)


def played(seed, *, horizon=3, gamma=0.9):
    """A world, a policy, and a batch with terminated and truncated episodes of several lengths."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, 5, 3, 2, gamma)
    policy = random_policy(rng, mdp)
    batch = rollout(mdp, policy, start_states(mdp, 200, rng), horizon=horizon, rng=rng)
    assert batch.truncated.any() and set(batch.lengths) == {1, 2, 3}
    assert (~batch.truncated & (batch.lengths == horizon)).any(), "one should end at the horizon"
    return mdp, policy, batch


def each_episode(batch):
    """Yield (steps, states, end) of every episode; `end` weighs V of the last state."""
    for i, states in enumerate(apart(batch.states, batch.starts)):
        yield (slice(batch.starts[i], batch.starts[i + 1]), [*states, batch.last_state[i]],
               float(batch.truncated[i]))


def recursion(x, starts, factor):
    """(returns.1), step after step from the last one, each episode by itself."""
    sums = np.zeros(len(x))
    for i, j in zip(starts[:-1], starts[1:]):
        following = 0.0
        for n in reversed(range(i, j)):
            following = sums[n] = x[n] + factor * following
    return sums


# The worked example.


def walk(*, cut=False):
    """Three steps through the states 0, 1 and 2, with the rewards 2, 0 and 4; state 3 is after."""
    return Rollout(states=np.arange(3), actions=np.zeros(3, int), rewards=np.array([2.0, 0.0, 4.0]),
                   terminated=np.array([False, False, not cut]), starts=np.array([0, 3]),
                   last_state=np.array([3]), truncated=np.array([cut]))


def test_one_episode_by_hand_as_the_chapter_prints_it():
    """(returns.1) to (returns.4), (returns.6): rewards 2 0 4, V 1 4 2, γ = ½; sums are exact"""
    V, options = np.array([1.0, 4.0, 2.0, 9.0]), {"gamma": 0.5}
    R = reward_to_go(walk().rewards, walk().starts, **options)
    assert R.tolist() == [2 + 0.5 * 2, 0 + 0.5 * 4, 4] == [3, 2, 4]
    assert whole_return(walk().rewards, walk().starts, **options).tolist() == [3, 3, 3]
    errors = [2 + 0.5 * 4 - 1, 0 + 0.5 * 2 - 4, 4 - 2]
    assert td_errors(walk().rewards, walk(), V, **options).tolist() == errors == [3, -3, 2]
    for weight, expected in ((0, errors), (0.5, [2.375, -2.5, 2]), (1, [2, -2, 2])):
        A, targets = gae(walk().rewards, walk(), V, gae_lambda=weight, **options)
        assert A.tolist() == expected and targets.tolist() == (expected + V[:3]).tolist()
    assert A.tolist() == (R - V[:3]).tolist()
    firsts = [n_step_returns(walk().rewards, walk(), V, n=k, **options)[0] for k in (1, 2, 3)]
    assert firsts == [2 + 0.5 * 4, 2 + 0 + 0.25 * 2, R[0]] == [4, 2.5, 3]
    assert np.array([0.5, 0.25, 0.25]) @ firsts == 3.375 == 2.375 + V[0]
    assert (R.var(), A.var()) == pytest.approx((6 / 9, 32 / 9))
    assert explained_variance(V[:3], R) == pytest.approx(1 - 32 / 6) == pytest.approx(-13 / 3)


def test_an_episode_that_is_cut_goes_on_with_the_value_of_the_state_it_was_cut_in():
    """(returns.2), (returns.3): the same walk, cut in state 3; only its last error differs"""
    V = np.array([1.0, 4.0, 2.0, 6.0])
    errors = td_errors(walk().rewards, walk(cut=True), V, gamma=0.5)
    assert errors.tolist() == [3, -3, 4 + 0.5 * 6 - 2]
    _, returns = gae(walk().rewards, walk(cut=True), V, gamma=0.5, gae_lambda=1.0)
    assert returns.tolist() == [3 + 6 / 8, 2 + 6 / 4, 4 + 6 / 2]


def test_the_values_in_the_middle_cancel():
    """(returns.3) at λ = 1 and (returns.4): sums of the first k errors, at any γ"""
    _, _, batch = played(5)
    V = np.random.default_rng(6).normal(size=5)
    errors = td_errors(batch.rewards, batch, V, gamma=0.7)
    for k in 1, 2, 3:
        found = n_step_returns(batch.rewards, batch, V, gamma=0.7, n=k) - V[batch.states]
        for steps, states, _ in each_episode(batch):
            for t in range(len(states) - 1):
                direct = sum(0.7**j * error for j, error in enumerate(errors[steps][t:t + k]))
                assert found[steps][t] == pytest.approx(direct, abs=1e-12)
    ended = ~batch.spread(batch.truncated)
    A, _ = gae(batch.rewards, batch, V, gamma=0.7, gae_lambda=1.0)
    R = reward_to_go(batch.rewards, batch.starts, gamma=0.7)
    np.testing.assert_allclose(A[ended], (R - V[batch.states])[ended], rtol=0, atol=1e-12)


def test_with_true_values_every_lambda_is_right_and_with_others_only_the_return_is():
    """(returns.3) on average after each first action: A of (evaluation.3).  At λ = 1 a value that
    is too low by 3 makes every A_t too high by 3; at λ = 0 an error elsewhere counts as well."""
    mdp = unroll(coin_game(gamma=0.5), 3)
    policy = np.full((3, 2), 0.5)
    V = evaluate(mdp, policy)
    expected, wrong = advantages(mdp, V)[0], V - [3, 0, 8]

    def means(values, weight):
        """Of A_0 over what may follow head and tail: a tail ends, and so does the third toss."""
        found = []
        for first in ([1, 1, 1], [1, 1, 0], [1, 0], [0]):
            n = len(first)
            play = Rollout(np.arange(n), 1 - np.array(first), np.array(first, float),
                           np.arange(n) == n - 1, np.array([0, n]), np.array([0]),
                           np.array([False]))
            found.append(gae(play.rewards, play, values, gamma=0.5, gae_lambda=weight)[0][0])
        return np.array([found[0] / 4 + found[1] / 4 + found[2] / 2, found[3]])

    for weight in 0.0, 0.3, 1.0:
        np.testing.assert_allclose(means(V, weight), expected, atol=1e-15)
    np.testing.assert_allclose(means(wrong, 1.0), expected + 3, atol=1e-15)
    np.testing.assert_allclose(means(V - [0, 8, 0], 0.0), expected - [4, 0], atol=1e-15)


@pytest.mark.parametrize("name, users", [
    ("reward_to_go", {"groups", "prediction", "reinforce"}), ("gae", {"actor_critic"}),
    ("judge", {"ppo", "ppo_kl"}), ("n_step_returns", set()), ("gae_of_rectangle", set())])
def test_who_uses_what_is_as_the_functions_say(name, users):
    """`judge` is where `actor_critic` calls `gae`."""
    found = {path.stem for part in ("play", "people") for path in (ROOT / "minirl" / part).iterdir()
             if path.suffix == ".py" for node in ast.parse(path.read_text(encoding="utf-8")).body
             if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]}
    assert found == users


# Equations against loops.


def test_discounted_sums_are_those_of_what_follows_and_leave_the_input_alone():
    """(returns.1)"""
    x, starts = np.random.default_rng(7).normal(size=18), np.array([0, 6, 12, 18])
    kept = x.copy(), starts.copy()
    for factor in 0.0, 0.7, 1.0:
        sums = discounted_sums(x, starts, factor)
        for i, j in zip(starts[:-1], starts[1:]):
            for n in range(i, j):
                direct = sum(factor**(k - n) * x[k] for k in range(n, j))
                assert sums[n] == pytest.approx(direct, abs=1e-12)
        np.testing.assert_array_equal(reward_to_go(x, starts, gamma=factor), sums)
        np.testing.assert_array_equal(whole_return(x, starts, gamma=factor),
                                      sums[[0] * 6 + [6] * 6 + [12] * 6])
    assert (x == kept[0]).all() and (starts == kept[1]).all()
    assert discounted_sums(np.array([1, 1]), np.array([0, 2]), 0.5).tolist() == [1.5, 1]
    # Episodes without a step, at either end and in the middle, have no return.
    assert whole_return(np.array([1, 2, 8]), [0, 0, 2, 2, 3, 3], gamma=0.5).tolist() == [2, 2, 8]


@pytest.mark.parametrize("factor", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("lengths", [[1], [7], [1] * 9, [0, 3, 0, 0, 1, 5, 0], [2, 300, 1, 40], [0],
                                     [], [1, 1, 60, 1] * 20])
def test_the_two_diagonals_are_solved_by_the_recursion(lengths, factor):
    """(returns.7), with episodes of one step and empty sequences.

    With the recursion it is equal bit for bit where BLAS rounds the product and the sum, as ours
    does; another one may round them once (a fused multiply and add).
    """
    starts = np.array([0, *np.cumsum(lengths, dtype=int)])
    N, x = starts[-1], np.random.default_rng(7).normal(size=starts[-1])
    kept, sums = x.copy(), discounted_sums(x, starts, factor)
    factors = np.full(N, factor)
    factors[[j - 1 for i, j in zip(starts[:-1], starts[1:]) if j > i]] = 0
    system = np.eye(N) - np.diag(factors[:-1], 1) if N else np.zeros((0, 0))
    np.testing.assert_allclose(system @ sums, x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(sums, recursion(x, starts, factor), rtol=0, atol=1e-12)
    for same in x.astype(object), np.repeat(x, 2)[::2], x.tolist():
        np.testing.assert_array_equal(discounted_sums(same, starts.astype(np.int32), factor), sums)
    assert sums.dtype == float and sums.shape == (N,) and (x == kept).all()


def test_whole_numbers_and_halves_are_summed_exactly():
    """(returns.7) bit for bit, whatever BLAS: no step of this has anything to round."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(0, 20, 400)
    starts, x = np.append(0, lengths.cumsum()), rng.integers(-9, 10, lengths.sum())
    for factor in 0.0, 0.5, 1.0:
        np.testing.assert_array_equal(discounted_sums(x, starts, factor),
                                      recursion(x, starts, factor))


def test_nothing_leaks_into_a_neighbouring_episode():
    """An episode finds the same alone, bit for bit, though its neighbours' numbers are enormous."""
    _, _, batch = played(1)
    V = np.random.default_rng(2).normal(size=5)
    loud = np.arange(200) % 3 == 1
    rewards = np.where(batch.spread(loud), 1e200, batch.rewards)
    options = {"gamma": 0.9}

    def every(rewards, batch):
        yield from gae(rewards, batch, V, gae_lambda=0.8, **options)
        yield td_errors(rewards, batch, V, **options)
        yield n_step_returns(rewards, batch, V, n=2, **options)
        yield reward_to_go(rewards, batch.starts, **options)
        yield whole_return(rewards, batch.starts, **options)

    together = list(every(rewards, batch))
    for i in np.flatnonzero(~loud):
        here = slice(batch.starts[i], batch.starts[i + 1])
        for found, alone in zip(together, every(rewards[here], batch.select([i]))):
            np.testing.assert_array_equal(found[here], alone)


@pytest.mark.parametrize("gamma", [0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_n_step_returns_ask_the_table_after_n_steps_or_at_a_cut(n, gamma):
    """(returns.4), with episodes of one to four steps"""
    rng = np.random.default_rng(12)
    mdp = random_mdp(rng, 5, 3, 2, gamma)
    batch = rollout(mdp, random_policy(rng, mdp), start_states(mdp, 100, rng), horizon=4, rng=rng)
    assert set(batch.lengths) == {1, 2, 3, 4}
    assert 0 < batch.truncated.sum() < (batch.lengths == 4).sum()
    V = rng.normal(size=5)
    found = n_step_returns(batch.rewards, batch, V, gamma=gamma, n=n)
    assert found.shape == batch.states.shape
    for steps, states, end in each_episode(batch):
        rewards, length = batch.rewards[steps], len(states) - 1
        for t in range(length):
            last = min(t + n, length)
            direct = sum(gamma**(k - t) * rewards[k] for k in range(t, last))
            direct += gamma**(last - t) * V[states[last]] * (end if last == length else 1)
            assert found[steps][t] == pytest.approx(direct, abs=1e-12)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.3, 0.8])
def test_the_lambda_return_is_a_weighted_mean_of_n_step_returns(gae_lambda):
    """(returns.3) and (returns.4): weights (1 − λ) λⁿ⁻¹, and all later ones at the longest n"""
    _, _, batch = played(12)
    V = np.random.default_rng(13).normal(size=5)
    one, two, three = (n_step_returns(batch.rewards, batch, V, gamma=0.9, n=n) for n in (1, 2, 3))
    _, returns = gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
    mean = (1 - gae_lambda) * (one + gae_lambda * two) + gae_lambda**2 * three
    np.testing.assert_allclose(returns, mean, atol=1e-12)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_gae_is_the_doubly_discounted_sum_of_td_errors(gae_lambda):
    """(returns.2), (returns.3): V after a termination is zero, after a truncation it is kept, and
    before the last step it counts (pitfall 21)"""
    mdp, _, batch = played(1)
    V = np.random.default_rng(2).normal(size=5)
    A, returns = gae(batch.rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
    assert A.shape == returns.shape == batch.states.shape
    for steps, states, end in each_episode(batch):
        rewards, length = batch.rewards[steps], len(states) - 1
        after = [V[s] for s in states[1:]]
        after[-1] = after[-1] if end else 0.0
        deltas = [rewards[t] + 0.9 * after[t] - V[states[t]] for t in range(length)]
        for t in range(length):
            direct = sum((0.9 * gae_lambda)**(k - t) * deltas[k] for k in range(t, length))
            assert A[steps][t] == pytest.approx(direct, abs=1e-12)
            assert returns[steps][t] == pytest.approx(direct + V[states[t]], abs=1e-12)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_gae_is_the_plain_recursion_bit_for_bit_and_leaves_its_input_alone(gae_lambda):
    """(returns.3), with rewards of whole numbers too, and a value that nobody asks for: it may be
    anything.  By rows the recursion is NumPy's own, and equal to a loop whatever BLAS."""
    _, _, batch = played(1)
    V = np.append(np.random.default_rng(2).normal(size=5), np.nan)
    whole = np.random.default_rng(3).integers(-3, 4, batch.states.shape)
    for rewards in batch.rewards, whole:
        kept = rewards.copy(), V.copy()
        A, returns = gae(rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
        errors = td_errors(rewards, batch, V, gamma=0.9)
        plain = discounted_sums(errors, batch.starts, 0.9 * gae_lambda)
        np.testing.assert_array_equal(A, plain)
        np.testing.assert_array_equal(returns, plain + V[batch.states])
        looped = recursion(errors, batch.starts, 0.9 * gae_lambda)
        A, returns = by_rows(rewards, batch, V, gamma=0.9, gae_lambda=gae_lambda)
        np.testing.assert_array_equal(A, looped)
        np.testing.assert_array_equal(returns, looped + V[batch.states])
        np.testing.assert_array_equal(rewards, kept[0])
        np.testing.assert_array_equal(V, kept[1])


def by_rows(rewards, batch, V, **options):
    """`gae` by `gae_of_rectangle`, for episodes of which some are cut, all of them at once."""
    given = (*(layout.rectangle(x, batch.starts) for x in (rewards, V[batch.states])),
             np.where(batch.truncated, V[batch.last_state], 0.0))
    kept = [x.copy() for x in given]
    results = gae_of_rectangle(*given, **options)
    assert all((x == before).all() for x, before in zip(given, kept))
    alive = np.arange(batch.lengths.max())[:, None] < batch.lengths
    for table in results:
        assert table.shape == alive.shape and not table[~alive].any()
    return [layout.flatten(table, alive) for table in results]


@pytest.mark.parametrize("gamma, gae_lambda", [(0.0, 0.5), (0.5, 0.0), (0.5, 0.25), (1.0, 0.5),
                                               (0.5, 1.0), (1.0, 1.0)])
def test_gae_end_to_end_and_side_by_side_are_equal_bit_for_bit(gamma, gae_lambda):
    """(returns.3), (returns.7): with numbers that no step rounds, whatever BLAS; and with others,
    as far as another BLAS may round product and sum at once."""
    _, _, batch = played(1)
    rng = np.random.default_rng(2)
    exact = rng.integers(-3, 4, batch.states.size), rng.integers(-3, 4, 5) / 4
    for one, other in zip(*(function(exact[0], batch, exact[1], gamma=gamma, gae_lambda=gae_lambda)
                            for function in (gae, by_rows))):
        np.testing.assert_array_equal(one, other)
    V = rng.normal(size=5)
    for one, other in zip(*(function(batch.rewards, batch, V, gamma=0.9 * gamma,
                                     gae_lambda=0.7 * gae_lambda) for function in (gae, by_rows))):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_explained_variance_of_the_best_the_empty_and_the_opposite_prediction():
    R = np.array([1.0, 2.0, 6.0])
    assert explained_variance(R - 7, R) == 1
    assert explained_variance(np.full(3, 8.0), R) == 0
    assert explained_variance(-R, R) == pytest.approx(-3)
    assert isinstance(explained_variance(-R, R), float)
    assert explained_variance([1, 2, 3], [1, 3, 5]) == 0.75
    for V in np.zeros(3), R:
        assert math.isnan(explained_variance(V, np.full(3, 0.1))), "there is nothing to explain"
    assert math.isnan(explained_variance(np.ones(1), np.zeros(1)))


def test_on_the_lake_the_true_values_explain_the_share_that_the_chapter_states():
    """(returns.6), exactly: given its state a return has the mean V and a second moment that obeys
    an equation like that of V, and steps are where undiscounted visits say."""
    lake, policy = frozen_lake().mdp(gamma=0.99), np.full((16, 4), 0.25)
    V, visits = evaluate(lake, policy), occupancy(frozen_lake().mdp(gamma=1.0), policy)
    chain, constant = np.zeros((16, 16)), np.zeros(16)
    for s, a, k in np.ndindex(lake.next_state.shape):
        chance, following = policy[s, a] * lake.prob[s, a, k], lake.next_state[s, a, k]
        r, goes_on = lake.reward[s, a, k], not lake.terminated[s, a, k]
        constant[s] += chance * (r**2 + goes_on * 2 * 0.99 * r * V[following])
        chain[s, following] += goes_on * 0.99**2 * chance
    second = np.linalg.solve(np.eye(16) - chain, constant)
    share = visits / visits.sum()
    explained = (share @ V**2 - (share @ V)**2) / (share @ second - (share @ V)**2)
    assert explained == pytest.approx(0.09, abs=0.005)


def test_values_move_towards_the_mean_target_of_each_state():
    """(returns.5), with a state visited three times, one visited once, one never"""
    steps = counts.steps(np.array([0, 1, 0, 0]), np.array([0, 1, 1, 0]), np.array([0, 4]), (3, 2))
    targets = np.array([1.0, 5.0, 2.0, 6.0])
    for visits in None, [3, 1, 0]:
        moved = move_values(np.array([2.0, 1.5, 7.0]), steps, targets, rate=0.25, visits=visits)
        np.testing.assert_allclose(moved, [2 + 0.25 * (3 - 2), 1.5 + 0.25 * (5 - 1.5), 7],
                                   atol=1e-15)


def test_at_the_rate_one_no_table_is_nearer_to_the_targets(rng):
    """(returns.5) is least squares: NumPy's own, from a matrix with a one per step"""
    steps = counts.steps(rng.integers(3, size=40), rng.integers(2, size=40), np.array([0, 40]),
                         (3, 2))
    targets = rng.normal(size=40)
    nearest, *_ = np.linalg.lstsq(np.eye(3)[steps.index // 2], targets, rcond=None)
    np.testing.assert_allclose(move_values(rng.normal(size=3), steps, targets, rate=1.0), nearest,
                               atol=1e-12)
