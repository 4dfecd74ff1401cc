"""The world: its tables against loops, Gymnasium's tables, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from minirl.exact.evaluation import evaluate
from minirl.kernel.mdp import TabularMDP, check_policy, coin_game, unroll
from minirl.kernel.softmax import log_softmax
from worlds import random_mdp, tables


@pytest.fixture
def world(rng):
    return random_mdp(rng, 4, 3, 3, 0.9)


def test_the_mean_reward_and_the_transitions_are_sums_over_outcomes(world):
    """(mdp.1) and (mdp.2)."""
    r, P = tables(world)
    np.testing.assert_allclose(world.mean_reward, r, atol=1e-12)
    np.testing.assert_allclose(world.transitions.toarray(), P.reshape(12, 4), atol=1e-12)


def test_outcomes_that_lead_to_one_state_are_added():
    """(mdp.2), with a state met twice, out of order, and once by an ending."""
    mdp = TabularMDP(next_state=np.array([[[1, 0, 1, 1]], [[1, 1, 1, 1]]]),
                     prob=np.array([[[0.1, 0.2, 0.3, 0.4]]] * 2), reward=np.ones((2, 1, 4)),
                     terminated=np.array([[[False, False, False, True]]] * 2),
                     start=np.ones(2) / 2, gamma=1.0)
    np.testing.assert_allclose(mdp.transitions.toarray(), [[0.2, 0.4], [0.0, 0.6]], atol=1e-15)
    assert mdp.transitions.nnz == 3


def test_impossible_transitions_are_not_stored():
    mdp = TabularMDP(next_state=np.array([[[0, 1]], [[0, 1]]]), prob=np.array([[[0.0, 1.0]]] * 2),
                     reward=np.zeros((2, 1, 2)),
                     terminated=np.array([[[False, True]], [[False, False]]]),
                     start=np.ones(2) / 2, gamma=1.0)
    assert mdp.transitions.nnz == 1 and mdp.transitions.toarray().tolist() == [[0, 0], [0, 1]]


def test_a_world_is_frozen_and_keeps_its_law_and_the_arrays_it_was_made_of_are_not(world):
    with pytest.raises(AttributeError):
        world.gamma = 0.5
    for name in "next_state", "prob", "reward", "terminated", "start":
        array = getattr(world, name).copy()
        made = replace(world, **{name: array})
        array[...] = 1
        np.testing.assert_array_equal(getattr(made, name), getattr(world, name))
        with pytest.raises(ValueError, match="read-only"):
            getattr(made, name)[0] = 0


@pytest.mark.parametrize("p, gamma", [(0.5, 1.0), (0.9, 1.0), (0.99, 1.0), (0.9, 0.9)])
def test_the_coin_game_is_worth_what_the_series_and_the_first_step_say(p, gamma):
    """(mdp.3): p/(1 − γp), which is 1, 9, 99 and 4.7368."""
    J, = evaluate(coin_game(gamma=gamma), np.array([[p, 1 - p]]))
    assert J == pytest.approx(p / (1 - gamma * p), rel=1e-12)
    assert J == pytest.approx(p * (1 + gamma * J), rel=1e-12)
    assert J == pytest.approx(sum(p**n * gamma**(n - 1) for n in range(1, 5000)), rel=1e-12)


def test_a_discount_is_the_chance_of_going_on(world):
    """The same values, if every step ends the episode with the further chance 1 − γ."""
    policy = np.full((4, 3), 1 / 3)
    both = [np.concatenate([table, table], axis=2) for table in (world.next_state, world.reward)]
    prob = np.concatenate([0.9 * world.prob, 0.1 * world.prob], axis=2)
    ended = np.concatenate([world.terminated, np.full((4, 3, 3), True)], axis=2)
    mortal = TabularMDP(both[0], prob, both[1], ended, world.start, gamma=1.0)
    assert world.gamma == 0.9
    np.testing.assert_allclose(evaluate(mortal, policy), evaluate(world, policy), rtol=1e-12)


# Gymnasium's tables.


COIN = {0: {0: [(1.0, 0, 1.0, False)], 1: [(1.0, 0, 0.0, True)]}}


def law(P):
    """What a table of lists says: {(s, a): {(next state, reward, terminated): probability}}."""
    said = {}
    for s in range(len(P)):
        for a in range(len(P[s])):
            chances = said[s, a] = {}
            for prob, *outcome in P[s][a]:
                if prob > 0:
                    chances[tuple(outcome)] = chances.get(tuple(outcome), 0.0) + prob
    return said


def assert_same_law(one, other):
    assert one.keys() == other.keys()
    for pair, chances in one.items():
        assert chances == pytest.approx(other[pair], abs=1e-15), pair


@pytest.mark.parametrize("seed", range(4))
def test_a_law_written_out_and_read_again_is_the_same_law(seed):
    """Outcomes that agree in all but their probability are merged, impossible ones left out."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, 4, 3, 4, 0.9)
    prob = rng.dirichlet(np.ones(4), (4, 3)) * [1, 1, 1, 0]
    mdp = replace(mdp, prob=prob / prob.sum(axis=2, keepdims=True),
                  next_state=rng.integers(0, 2, (4, 3, 4)),
                  reward=rng.integers(0, 2, (4, 3, 4)).astype(float))
    entries = {(s, a): {} for s, a in np.ndindex(4, 3)}
    for s, a, k in np.ndindex(4, 3, 3):
        chances = entries[s, a]
        key = (mdp.next_state[s, a, k], mdp.reward[s, a, k], mdp.terminated[s, a, k])
        chances[key] = chances.get(key, 0.0) + mdp.prob[s, a, k]
    written = mdp.P
    assert_same_law(law(written), entries)
    assert all(len(written[s][a]) == len(entries[s, a]) for s, a in entries)
    again = TabularMDP.from_gymnasium(written, mdp.start, mdp.gamma)
    assert_same_law(law(again.P), entries)
    np.testing.assert_allclose(again.mean_reward, mdp.mean_reward, atol=1e-15)
    np.testing.assert_allclose(again.transitions.toarray(), mdp.transitions.toarray(), atol=1e-15)
    assert again.start.tolist() == mdp.start.tolist() and again.gamma == 0.9


def test_a_law_is_written_in_plain_numbers_afresh_at_every_call():
    written = coin_game().P
    assert repr(written) == repr(COIN)
    written[0][0].clear()
    assert coin_game().P == COIN and repr(coin_game().P[0][1]) == "[(1.0, 0, 0.0, True)]"


def test_lists_of_unequal_lengths_are_filled_up_with_outcomes_that_never_happen():
    P = [[[(0.25, 1, 2.0, False), (0.5, 0, -1.0, True), (0.25, 1, 2.0, True)], [(1, 1, 3, False)]],
         {1: ((0.5, 0, 0.0, False), [0.5, 1, 4.0, True]), 0: {0: (1.0, 1, 0.0, True)}}]
    mdp = TabularMDP.from_gymnasium(P, start=1, gamma=0.5)
    assert mdp.next_state.shape == (2, 2, 3) and mdp.gamma == 0.5
    assert mdp.start.tolist() == [0, 1]
    assert mdp.prob.tolist() == [[[0.25, 0.5, 0.25], [1, 0, 0]], [[1, 0, 0], [0.5, 0.5, 0]]]
    assert mdp.mean_reward.tolist() == [[0.5, 3.0], [0.0, 2.0]]
    assert mdp.transitions.toarray().tolist() == [[0, 0.25], [0, 1], [0, 0], [0.5, 0]]


def test_numpy_scalars_and_a_distribution_of_starts_are_read():
    """Many environments hold their entries as NumPy scalars."""
    outcome = np.float32(1.0), np.int64(1), np.int32(-1), np.bool_(True)
    mdp = TabularMDP.from_gymnasium({np.int64(s): {0: [outcome]} for s in range(2)}, [0.25, 0.75])
    assert mdp.P == {s: {0: [(1.0, 1, -1.0, True)]} for s in range(2)}
    assert mdp.start.tolist() == [0.25, 0.75] and mdp.gamma == 1.0
    default = TabularMDP.from_gymnasium(mdp.P)
    assert default.start.tolist() == [1, 0]
    assert TabularMDP.from_gymnasium(mdp.P, np.int64(1)).start.tolist() == [0, 1]


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_law_in_single_precision_is_read_in_double_precision(kind):
    """Thirds of float32 add up to 1.00000003; a mistake is a mistake all the same."""
    rng = np.random.default_rng(0)
    mdp = random_mdp(rng, 5, 3, 7, 0.9)
    mdp = replace(mdp, prob=np.full(mdp.prob.shape, 1 / 7), start=rng.dirichlet(np.ones(5)))
    prob, start, reward = (table.astype(kind) for table in (mdp.prob, mdp.start, mdp.reward))
    small = replace(mdp, prob=prob, start=start, reward=reward)
    written = {s: {a: [(prob[s, a, k], float(mdp.next_state[s, a, k]), reward[s, a, k],
                        mdp.terminated[s, a, k]) for k in range(7)] for a in range(3)}
               for s in range(5)}
    for made in small, TabularMDP.from_gymnasium(written, start, 0.9):
        for name in "prob", "start", "reward":
            assert getattr(made, name).dtype == float
            np.testing.assert_allclose(getattr(made, name), getattr(mdp, name), rtol=0,
                                       atol=4 * np.finfo(kind).eps)
        assert np.abs(made.prob.sum(axis=2) - 1).max() < 1e-15
        assert abs(made.start.sum() - 1) < 1e-15 and made.next_state.dtype == np.int64
    assert replace(mdp, prob=mdp.prob.astype(np.longdouble)).prob.dtype == float
    with pytest.raises(ValueError, match=r"prob\[0, 0\] must sum to one"):
        replace(mdp, prob=changed(prob, (0, 0, 0), kind(0.2)))
    written[1][2][0] = kind(0.2), *written[1][2][0][1:]
    with pytest.raises(ValueError, match=r"prob\[1, 2\] must sum to one"):
        TabularMDP.from_gymnasium(written, start)


def test_whole_numbers_may_be_floats_and_masks_zeros_and_ones():
    made = TabularMDP([[[0.0, 1.0]], [[1.0, 0.0]]], [[[0.5, 0.5]]] * 2,
                      np.zeros((2, 1, 2), np.int8), np.full((2, 1, 2), True), [1, 0], 1)
    assert made.next_state.tolist() == [[[0, 1]], [[1, 0]]] and made.reward.dtype == float
    P = [[[(1, 1.0, 0, True)], [(1, np.float32(0), 2, False)]], [[(1, 0, 0, True)]] * 2]
    for start in 1, 1.0, np.float32(1), np.int8(1), [0, 1]:
        for available in [[1, 0], [1, 1]], np.array([[1, 0], [1, 1]], np.int8), [[True, False],
                                                                               [True, True]]:
            mdp = TabularMDP.from_gymnasium(P, start, available=available)
            assert mdp.start.tolist() == [0, 1] and mdp.next_state.ravel().tolist() == [1, 0, 0, 0]
            assert mdp.available.tolist() == [[True, False], [True, True]]
    with pytest.raises(ValueError, match="available must hold booleans, got int64"):
        TabularMDP.from_gymnasium(P, available=[[1, 2], [0, 1]])


def changed(array, entry, value):
    array = array.copy()
    array[entry] = value
    return array


def test_rounding_is_forgiven_and_no_more(world):
    for name, entry in (("prob", (2, 1, 0)), ("start", 1)):
        array = getattr(world, name)
        replace(world, **{name: changed(array, entry, array[entry] - 1e-10)})
        with pytest.raises(ValueError, match=f"{name}.* must sum to one"):
            replace(world, **{name: changed(array, entry, array[entry] - 1e-8)})
    assert replace(world, gamma=0).gamma == 0 and replace(world, gamma=1).gamma == 1
    check_policy(world, np.full((4, 3), (1 + 1e-10) / 3))
    check_policy(world, np.eye(3)[[0, 1, 2, 0]] * (1 + 1e-10))
    with pytest.raises(ValueError, match="must sum to one"):
        check_policy(world, np.full((4, 3), (1 + 1e-8) / 3))


def test_an_unrolled_world_starts_at_time_zero_and_counts_the_time(world):
    timed = unroll(world, 3)
    assert timed.shape == (12, 3) and timed.gamma == world.gamma
    np.testing.assert_array_equal(timed.start, [*world.start, *np.zeros(8)])
    for t, s, a, k in np.ndindex(3, 4, 3, 3):
        entry, old = (4 * t + s, a, k), (s, a, k)
        assert timed.prob[entry] == world.prob[old] and timed.reward[entry] == world.reward[old]
        assert timed.terminated[entry] == (world.terminated[old] or t == 2)
        if t < 2:
            assert timed.next_state[entry] == 4 * (t + 1) + world.next_state[old]


def test_nobody_can_write_to_the_tables_of_a_world(world):
    for table in world.mean_reward, world.transitions.data:
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0


def test_a_world_may_be_made_from_lists():
    made = TabularMDP(next_state=[[[0], [0]]], prob=[[[1], [1]]], reward=[[[1], [0]]],
                      terminated=[[[False], [True]]], start=[1], gamma=1.0)
    assert made.P == coin_game().P


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_next_states_of_any_integer_type_are_kept_in_sixty_four_bits(dtype):
    """Pitfall 47: so are those of the same world with a clock."""
    ring = (np.arange(100)[:, None, None] + 1) % 100 * np.ones((1, 2, 1), int)
    mdp = TabularMDP(next_state=ring.astype(dtype), prob=np.ones(ring.shape), reward=1.0 * ring,
                     terminated=ring < 0, start=np.eye(100)[62], gamma=0.9)
    timed = unroll(mdp, 2)
    assert mdp.next_state.dtype == timed.next_state.dtype == np.int64
    assert (mdp.next_state == ring).all()
    assert (timed.next_state == 100 + np.concatenate([ring, ring])).all()


def test_what_is_not_available_has_no_probability_and_no_logit():
    game = replace(coin_game(), available=np.array([[False, True]]))
    assert game.masked([[1.0, 2.0]]).tolist() == [[-np.inf, 2.0]]
    assert game.uniform.tolist() == [[0.0, 1.0]]
    assert np.exp(log_softmax(game.masked(np.zeros((1, 2))))).tolist() == [[0.0, 1.0]]
    assert unroll(game, 3).available.tolist() == [[False, True]] * 3
    check_policy(game, np.array([[0.0, 1.0]]))
    for policy in ([[1e-300, 1.0]], [[1.0, 0.0]]):
        with pytest.raises(ValueError, match=r"policy\[0, 0\] must be 0, since the action is not"):
            check_policy(game, np.array(policy))


def test_every_state_has_an_action():
    with pytest.raises(ValueError, match=r"available\[0\] must be at least one action, got 0"):
        replace(coin_game(), available=np.array([[False, False]]))
    with pytest.raises(ValueError, match="available must hold booleans, got int64"):
        replace(coin_game(), available=np.array([[1, 1]]))
    with pytest.raises(ValueError, match=r"available must have shape \(1, 2\), got \(2,\)"):
        replace(coin_game(), available=np.array([True, True]))
