"""Playing: replayed step by step, against loops, and by chi-square."""

from dataclasses import replace
from itertools import islice
import tracemalloc

from luck import FALSE_ALARM
import numpy as np
import pytest
from scipy.special import chdtrc

from minirl.exact.evaluation import evaluate
from minirl.kernel import playing
from minirl.kernel.mdp import TabularMDP, coin_game, unroll
from minirl.kernel.playing import (Moves, _chain, first_states, move, rollout, start_states,
                                   step, steps_played, walk)
from minirl.kernel.sampling import generators
from worlds import apart, episodes, random_mdp, random_policy, single_outcome

FOREVER = single_outcome([[1, 0], [0, 1]], [[1, 0], [2, 0]], np.zeros((2, 2)), [0.5, 0.5])


@pytest.fixture
def world(rng):
    return random_mdp(rng, 4, 3, 3, 0.9)


@pytest.fixture
def played(world, rng):
    """A world, a policy, 200 start states and their episodes, some of them cut after 3 steps."""
    while True:
        policy, starts = random_policy(rng, world), start_states(world, 200, rng)
        play = rollout(world, policy, starts, horizon=3, rng=rng)
        if play.truncated.any():
            return world, starts, play


def assert_drawn_from(observed, expected):
    """Chi-square; outcomes expected fewer than five times are counted together."""
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], max(expected[rare].sum(), 1e-300))
    statistic = ((observed - expected) ** 2 / expected)[expected > 1e-300].sum()
    assert chdtrc((expected > 1e-300).sum() - 1, statistic) > FALSE_ALARM


def assert_same(one, other):
    for left, right in zip(one, other):
        np.testing.assert_array_equal(left, right)


def test_a_step_reads_the_outcome_drawn_from_the_tables(world, rng):
    """(sampling.1), for the outcome of an action."""
    states, actions = rng.integers(0, 4, 100), rng.integers(0, 3, 100)
    uniforms = rng.random(100)
    following, rewards, ended = move(world, states, actions, uniforms)
    for n, (s, a) in enumerate(zip(states, actions)):
        k = sum(world.prob[s, a, :j + 1].sum() <= uniforms[n] for j in range(2))
        assert following[n] == world.next_state[s, a, k]
        assert rewards[n] == world.reward[s, a, k] and ended[n] == world.terminated[s, a, k]


def test_a_step_is_a_move_by_the_next_numbers_of_its_generator(world):
    states, actions = np.arange(40) % 4, np.arange(40) % 3
    rng = np.random.default_rng(5)
    numbers = np.random.default_rng(5).random((2, 40))
    assert_same(step(world, states, actions, 5), move(world, states, actions, numbers[0]))
    for luck in numbers:
        assert_same(step(world, states, actions, rng), move(world, states, actions, luck))


def test_an_ended_world_starts_again_and_the_others_go_on(world):
    """With `auto_reset`; the first states are drawn by their law, one for each ended world."""
    mdp = replace(world, start=np.array([0.1, 0.0, 0.3, 0.6]))
    states, actions = np.arange(30_000) % 4, np.arange(30_000) % 3
    plain, reset = (step(mdp, states, actions, 8, auto_reset=auto) for auto in (False, True))
    np.testing.assert_array_equal(step(mdp, states, actions, 8)[0], plain[0])
    np.testing.assert_array_equal(reset[1], plain[1])
    np.testing.assert_array_equal(reset[2], plain[2])
    ended = plain[2]
    assert 5000 < ended.sum() < 25_000
    np.testing.assert_array_equal(reset[0][~ended], plain[0][~ended])
    fresh, left = reset[0][ended], plain[0][ended]
    assert not (fresh == 1).any()
    for before, first in (fresh[:-1], fresh[1:]), (left, fresh):  # the neighbour's; its own last
        expected = np.outer(np.bincount(before, minlength=4), mdp.start)
        observed = np.bincount(4 * before + first, minlength=16).reshape(4, 4)
        assert_drawn_from(observed[expected > 0], expected[expected > 0])


def test_a_step_changes_neither_its_arguments_nor_the_world(world):
    states, actions = np.arange(40) % 4, np.arange(40) % 3
    kept = [x.copy() for x in (states, actions, world.next_state)]
    following, _, _ = step(world, states, actions, 0, auto_reset=True)
    following[:] = -1
    assert_same(kept, (states, actions, world.next_state))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_states_and_actions_of_a_small_integer_type_are_stepped_like_any_others(dtype):
    """Pitfall 47: state 100 of three actions is pair 300."""
    mdp = random_mdp(np.random.default_rng(0), 110, 3, 2, 0.9)
    states, actions = np.arange(80, 110), np.arange(30) % 3
    small = step(mdp, states.astype(dtype), actions.astype(dtype), 1)
    assert_same(small, step(mdp, states, actions, 1))


def test_a_first_state_counts_the_running_sums_that_are_no_larger():
    """(sampling.1), also exactly on a threshold; a state that never comes first is never drawn."""
    mdp = random_mdp(np.random.default_rng(2), 5, 2, 2, 1.0)
    mdp = replace(mdp, start=np.array([0.0, 0.25, 0.0, 0.5, 0.25]))
    numbers = np.array([[0.0, 0.25 - 2.0**-53, 0.25], [0.5, 0.75, 1 - 2.0**-53]])
    assert first_states(mdp, numbers).tolist() == [[1, 1, 3], [3, 4, 4]]
    last = replace(mdp, start=np.array([0.5, 0.5, 0.0, 0.0, 0.0]))
    assert first_states(last, numbers).tolist() == [[0, 0, 0], [1, 1, 1]]
    drawn = start_states(mdp, 40, np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, first_states(mdp, np.random.default_rng(3).random(40)))


# Playing.


@pytest.mark.statistical
def test_what_a_cut_takes_from_the_coin_game_is_what_the_last_state_is_worth():
    """0.875 with a horizon of 3, and 0.125 = ⅛ · 1 for what would have come: together J = 1."""
    fair = np.array([[0.5, 0.5]])
    (whole,), cut = evaluate(coin_game(), fair), evaluate(unroll(coin_game(), 3), fair[[0, 0, 0]])
    assert whole == pytest.approx(1, abs=1e-12) and cut[0] == pytest.approx(0.875, abs=1e-12)
    play = rollout(coin_game(), fair, np.zeros(100_000, int), horizon=3, rng=0)
    assert play.totals(play.rewards).mean() == pytest.approx(0.875, abs=0.02)
    assert play.truncated.mean() == pytest.approx(0.125, abs=0.006)
    added = play.totals(play.rewards) + play.truncated * whole
    assert added.mean() == pytest.approx(1, abs=0.025)
    assert (play.totals(play.rewards)[play.truncated] == 3).all()
    assert play.terminated[play.starts[1:] - 1].tolist() == (~play.truncated).tolist()


def test_the_state_after_a_step_is_the_next_one_or_the_last(played):
    """An episode's last step leads to its last state, whether it was ended or cut."""
    _, _, play = played
    kept = play.states.copy()
    after = play.next_states
    assert after.shape == play.states.shape and set(play.lengths) == {1, 2, 3}
    assert play.truncated.any() and not play.truncated.all()
    for n, (here, following) in enumerate(zip(*(apart(x, play.starts) for x in (kept, after)))):
        assert following.tolist() == [*here[1:], play.last_state[n]]
    np.testing.assert_array_equal(play.states, kept)


def test_what_belongs_to_episodes_and_to_steps_is_found_by_loops(played):
    """The episode and the time of a step, what is spread and added up, and what comes after it."""
    _, _, play = played
    rng = np.random.default_rng(3)
    of_step, of_episode = rng.normal(size=play.states.size), rng.normal(size=200)
    episode, time, spread, totals, following = [], [], [], [0.0] * 200, []
    for i in range(200):
        begin, end = play.starts[i], play.starts[i + 1]
        assert play.lengths[i] == end - begin > 0
        for n in range(begin, end):
            episode.append(i)
            time.append(n - begin)
            spread.append(of_episode[i])
            totals[i] += of_step[n]
            following.append(of_step[n + 1] if n + 1 < end else of_episode[i])
    for found, expected in ((play.episode, episode), (play.time, time),
                            (play.totals(of_step), totals), (play.spread(of_episode), spread),
                            (play.spread(play.truncated), play.truncated[episode]),
                            (play.followed_by(of_step, of_episode), following)):
        np.testing.assert_array_equal(found, expected)
    assert play.episode.dtype.kind == play.time.dtype.kind == "i"
    assert play.spread(play.truncated).dtype == bool


@pytest.mark.parametrize("rows", [[5, 1, 1, 0, 199, 5], [7], [], range(200), "cut", "ended",
                                  "none"])
def test_selected_episodes_are_those_that_were_asked_for_in_their_order(played, rows):
    """By numbers, which may repeat, or by a mask; neighbours keep out of one another's episodes."""
    _, _, play = played
    masks = {"cut": play.truncated, "ended": ~play.truncated, "none": np.zeros(200, bool)}
    rows = masks[rows] if isinstance(rows, str) else np.array(rows, int)
    which, kept = np.arange(200)[rows].tolist(), [x.copy() for x in play]
    found = play.select(rows)
    assert found.starts.tolist() == [0, *np.cumsum(play.lengths[which])]
    for name in "states", "actions", "rewards", "terminated", "next_states":
        whole, part = getattr(play, name), getattr(found, name)
        assert part.tolist() == [x for i in which for x in apart(whole, play.starts)[i].tolist()]
        assert part.dtype == whole.dtype
    for name in "last_state", "truncated", "lengths":
        assert getattr(found, name).tolist() == getattr(play, name)[which].tolist()
    for table in found:
        table[...] = 0
    assert_same(play, kept)


@pytest.mark.statistical
def test_episodes_follow_the_law_of_the_world_and_the_policy():
    """Chi-square over every possible episode of at most two steps, zero probabilities included."""
    rng = np.random.default_rng(4)
    mdp = random_mdp(rng, 2, 4, 3, 1.0)
    prob = rng.dirichlet(np.ones(3), (2, 4))
    prob[:, ::2] = [0.0, 0.4, 0.6]
    prob[:, 3] = [0.7, 0.3, 0.0]
    mdp = replace(mdp, prob=prob)
    policy = np.array([[0.0, 0.3, 0.7, 0.0], [0.5, 0.0, 0.1, 0.4]])
    N = 30_000
    play = rollout(mdp, policy, start_states(mdp, N, rng), horizon=2, rng=rng)
    observed = {}
    for columns in zip(*(apart(x, play.starts) for x in (play.states, play.actions, play.rewards))):
        key = tuple(zip(*columns))
        observed[key] = observed.get(key, 0) + 1
    expected = {}
    for chance, pairs, rewards, _ in episodes(mdp, 2):
        key = tuple((s, a, r) for (s, a), r in zip(pairs, rewards))
        if chance * np.prod([policy[pair] for pair in pairs]) > 0:
            expected[key] = N * chance * np.prod([policy[pair] for pair in pairs])
    assert len(expected) > 20 and not observed.keys() - expected.keys()
    assert abs(sum(expected.values()) - N) < 1e-6
    assert_drawn_from(np.array([observed.get(key, 0) for key in expected]),
                      np.array(list(expected.values())))


@pytest.mark.statistical
def test_neighbouring_episodes_do_not_share_their_luck():
    """One draw for all episodes, or for an action and its outcome, would pass a marginal test."""
    mdp = TabularMDP(next_state=np.zeros((1, 2, 2), int), prob=np.full((1, 2, 2), 0.5),
                     reward=np.array([[[0.0, 1.0], [0.0, 1.0]]]),
                     terminated=np.full((1, 2, 2), False), start=np.ones(1), gamma=1.0)
    play = rollout(mdp, np.array([[0.5, 0.5]]), np.zeros(8000, int), horizon=2, rng=5)
    starts = start_states(FOREVER, 8000, 5)
    actions, rewards = (x.reshape(8000, 2).T for x in (play.actions, play.rewards))
    for left, right in ((starts[:-1], starts[1:]), (actions, rewards),
                        (actions[:, :-1], actions[:, 1:]), (rewards[:, :-1], rewards[:, 1:]),
                        (actions[0], actions[1]), (rewards[0], rewards[1])):
        observed = np.bincount((2 * left + right).astype(int).ravel(), minlength=4)
        assert_drawn_from(observed, np.full(4, left.size / 4))


# Randomness.


def play_forever(rng):
    return rollout(FOREVER, np.full((2, 2), 0.5), np.zeros(50, int), horizon=20, rng=rng)


def test_the_same_seed_plays_the_same_episodes_and_a_generator_goes_on():
    assert_same(play_forever(3), play_forever(3))
    assert_same(play_forever(3), play_forever(np.random.default_rng(3)))
    assert (play_forever(3).actions != play_forever(4).actions).any()
    np.testing.assert_array_equal(start_states(FOREVER, 50, 3),
                                  start_states(FOREVER, 50, np.random.default_rng(3)))
    rng = np.random.default_rng(3)
    assert (play_forever(rng).actions != play_forever(rng).actions).any()
    assert (start_states(FOREVER, 50, rng) != start_states(FOREVER, 50, rng)).any()


def test_a_first_state_with_a_generator_of_its_own_is_the_same_alone_or_in_a_batch():
    together = start_states(FOREVER, 40, generators(range(40)))
    for seed, state in enumerate(together):
        assert start_states(FOREVER, 1, seed) == start_states(FOREVER, 1, generators(seed)) == state


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox,
                                  np.random.SFC64])
def test_a_saved_state_continues_bit_for_bit_and_may_be_used_twice(bits):
    rng = np.random.Generator(bits(7))
    rng.random(3)
    saved = rng.bit_generator.state
    continued = play_forever(rng)
    assert_same(play_forever(saved), continued)
    assert_same(play_forever(saved), continued)


def test_playing_mutates_neither_the_policy_nor_the_start_states(world):
    policy, starts = np.full((4, 3), 1 / 3), np.array([3, 1, 0, 2] * 10)
    play = rollout(world, policy, starts, horizon=5, rng=0)
    assert (policy == 1 / 3).all() and starts.tolist() == [3, 1, 0, 2] * 10
    play.last_state[:], play.states[:] = -1, -1
    assert starts.tolist() == [3, 1, 0, 2] * 10 and world.next_state.min() >= 0


def test_start_states_of_a_small_integer_type_do_not_wrap_around():
    """Pitfall 47: state 50 of three actions is pair 150, which eight bits do not hold."""
    mdp = random_mdp(np.random.default_rng(0), 60, 3, 2, 0.9)
    policy = np.full((60, 3), 1 / 3)
    small, large = (rollout(mdp, policy, np.full(20, 50, dtype), horizon=5, rng=1)
                    for dtype in (np.int8, np.int64))
    assert_same(small, large)


@pytest.mark.parametrize("kind", [list, tuple, np.float32, np.uint8])
def test_states_may_be_lists_or_whole_floats_and_a_policy_nested_lists(world, kind):
    starts, policy = [3, 1, 0, 2] * 5, [[0.25, 0.25, 0.5]] * 4
    other = kind(starts) if isinstance(kind, type) and kind in (list, tuple) else np.array(
        starts, kind)
    expected = np.array(starts)
    assert_same(rollout(world, policy, other, horizon=9.0, rng=1),
                rollout(world, np.array(policy), expected, horizon=9, rng=1))
    assert_same(steps_played(world, policy, other, horizon=5, rng=1)[:1],
                steps_played(world, np.array(policy), expected, horizon=5, rng=1)[:1])
    assert_same(next(walk(world, policy, other, rng=1)),
                next(walk(world, np.array(policy), expected, rng=1)))
    assert_same(step(world, other, [0.0] * 20, 1), step(world, expected, np.zeros(20, int), 1))


@pytest.mark.statistical
@pytest.mark.parametrize("starts", [[1], [0.25, 0.75], [0.5, 0, 0.5], [0.2, 0.3, 0, 0.5]])
def test_where_a_walk_ends_it_begins_again_by_the_law_of_the_start(starts):
    """From one, two and three first states; every step ends an episode."""
    S, N = len(starts), 4000
    mdp = single_outcome([[0]] * S, [[0]] * S, [[True]] * S, starts)
    for moves in islice(walk(mdp, np.ones((S, 1)), np.zeros(N, int), rng=3), 40):
        pass
    observed = np.bincount(moves.next_states, minlength=S)
    assert not observed[np.array(starts) == 0].any()
    assert S == 1 or max(starts) == 1 or chdtrc(
        np.count_nonzero(starts) - 1, sum((n - N * p)**2 / (N * p) for n, p in zip(observed, starts)
                                          if p)) > FALSE_ALARM


# Actions that are not available.


def test_nobody_takes_what_is_not_available():
    mdp = random_mdp(np.random.default_rng(0), 6, 4, 2, 0.9)
    available = np.random.default_rng(1).random((6, 4)) < 0.5
    available[:, 2] |= ~available.any(axis=1)
    mdp = replace(mdp, available=available, start=np.full(6, 1 / 6))
    starts = start_states(mdp, 500, 0)
    play = rollout(mdp, mdp.uniform, starts, horizon=20, rng=0)
    assert available[play.states, play.actions].all()
    moves = next(walk(mdp, mdp.uniform, starts, rng=0))
    assert available[moves.states, moves.actions].all() and len(set(moves.actions)) > 2
    for call in (lambda: rollout(mdp, np.full((6, 4), 0.25), starts, horizon=2, rng=0),
                 lambda: next(walk(mdp, np.full((6, 4), 0.25), starts, rng=0))):
        with pytest.raises(ValueError, match="must be 0, since the action is not available"):
            call()
    step(mdp, moves.states, moves.actions, 0)


# Playing by one draw a step, in blocks and phases.


def slow_world(rng, S, A, K, ends):
    """A random world in which outcome 0 ends an episode, and has the probability `ends`.

    With one outcome only action 0 of state 0 ends it.
    """
    world = random_mdp(rng, S, A, K, 0.9)
    if K == 1:
        return replace(world, terminated=np.arange(S * A).reshape(S, A, 1) == 0)
    prob = np.concatenate([np.full((S, A, 1), ends), np.zeros((S, A, K - 1))], axis=2)
    prob[:, :, 1:] = (1 - ends) * rng.dirichlet(np.ones(K - 1), (S, A))
    return replace(world, prob=prob, terminated=np.broadcast_to(np.arange(K) == 0, (S, A, K)))


def held(table):
    """How many of the 2^32 words draw each cell of an alias table: (rows, n)."""
    n, size = 2**table.bits, 2**(32 - table.bits)
    own = table.accept[::2].astype(np.int64) - np.tile(np.arange(n) * size, table.other.size // n)
    drawn = own.copy()
    np.add.at(drawn, table.other, size - own)
    return drawn.reshape(-1, n)


@pytest.mark.parametrize("S, A, K", [(1, 1, 1), (1, 2, 1), (4, 3, 3), (5, 1, 3), (5, 4, 1),
                                     (2, 3, 7), (700, 4, 3)])
def test_one_draw_decides_action_and_outcome_by_their_law(S, A, K):
    """(playing.1): the probability of every (action, outcome) is π(a|s) prob[s, a, k]: no luck."""
    rng = np.random.default_rng(3)
    world = random_mdp(rng, S, A, K, 0.9)
    policy = random_policy(rng, world) * (rng.random((S, A)) < 0.7)
    policy[policy.sum(axis=1) == 0, 0] = 1
    policy /= policy.sum(axis=1, keepdims=True)
    chain = _chain(world, policy)
    drawn, n = held(chain.draw), 2**chain.draw.bits
    assert drawn.shape == (S + 1, n)
    code = np.flatnonzero(drawn.ravel()[chain.draw.either][:chain.dead])  # with either coin
    cell = chain.draw.either[code]
    s, a, k = np.unravel_index(chain.outcome[code], (S, A, K))
    after = np.where(world.terminated[s, a, k], S, world.next_state[s, a, k])
    np.testing.assert_array_equal(chain.states(code), s)
    np.testing.assert_array_equal(cell // n, s)
    np.testing.assert_array_equal(chain.onward[code], chain.first(after))
    expected, law = policy[:, :, None] * world.prob, np.zeros((S, A, K))
    law[s, a, k] = drawn.ravel()[cell] / 2**32
    assert len(set(zip(s, a, k))) == len(set(cell)) and not law[expected == 0].any()
    assert np.abs(law - expected).max() <= n * 2.0**-32


def test_the_dead_stay_dead():
    """Whatever word they get."""
    world = random_mdp(np.random.default_rng(3), 4, 3, 3, 0.9)
    chain = _chain(world, np.full((4, 3), 1 / 3))
    assert chain.first(3) < chain.dead == chain.first(4)
    assert held(chain.draw)[4].tolist() == [2**32] + [0] * (2**chain.draw.bits - 1)
    dead = np.arange(chain.dead, chain.onward.size)
    assert (chain.onward[dead] == chain.dead).all()
    assert chain.states(dead).tolist() == [4] * dead.size


@pytest.mark.parametrize("horizon", [1, 2, 15, 16, 17, 32, 33, 39, 40, 41])
def test_episodes_of_every_length_lie_end_to_end(horizon):
    """Who starts in state s of a corridor of 40 has 40 − s steps left: nothing is left to luck.

    Pitfall 20: the goal ends an episode, the horizon only cuts it, also where both come at once.
    So half have died after 20 steps, three quarters after 30, some at the first step and some at
    the horizon exactly; the episodes are in no order.
    """
    cells = np.arange(40)
    mdp = single_outcome(np.minimum(cells + 1, 39)[:, None], 10.0 + cells[:, None],
                         (cells == 39)[:, None], np.eye(40)[0])
    starts = np.random.default_rng(2).permutation(np.repeat(cells, 2)).astype(np.int8)
    for rng in 0, generators(range(80)):
        play = rollout(mdp, np.ones((40, 1)), starts, horizon=horizon, rng=rng)
        lengths = np.minimum(40 - starts, horizon)
        assert play.starts.tolist() == [0, *np.cumsum(lengths, dtype=int)]
        assert play.states.shape == play.actions.shape == (lengths.sum(dtype=int),)
        assert not play.actions.any()
        states, rewards, terminated = (apart(x, play.starts) for x in (play.states, play.rewards,
                                                                       play.terminated))
        for n, s in enumerate(starts.tolist()):
            length = min(40 - s, horizon)
            assert states[n].tolist() == [*range(s, s + length)]
            assert rewards[n].tolist() == [10.0 + t for t in range(s, s + length)]
            ended = 40 - s <= horizon
            assert terminated[n].tolist() == [False] * (length - 1) + [ended]
            assert play.truncated[n] == (not ended)
            assert play.last_state[n] == min(s + length, 39)


@pytest.mark.parametrize("S, A, K", [(4, 3, 3), (3, 1, 3), (9, 4, 1), (6, 2, 5)])
@pytest.mark.parametrize("horizon", [1, 16, 45])
def test_long_episodes_are_ones_the_tables_allow(S, A, K, horizon):
    """Replays them all, over the seams of blocks and phases; what has no probability is absent."""
    rng = np.random.default_rng(5)
    mdp = slow_world(rng, S, A, K, 0.1)
    policy = random_policy(rng, mdp) * (np.arange(A) != A - 1 if A > 1 else 1)
    policy /= policy.sum(axis=1, keepdims=True)
    starts = start_states(mdp, 60, rng)
    play = rollout(mdp, policy, starts, horizon=horizon, rng=rng)
    lengths = play.lengths
    assert horizon == 1 or lengths.min() < 16 <= lengths.max() <= horizon
    assert lengths.min() > 0 and play.starts[0] == 0 and play.starts[-1] == play.states.size
    for n, state in enumerate(starts):
        first, last = play.starts[n], play.starts[n + 1] - 1
        for t in range(first, last + 1):
            action = play.actions[t]
            assert play.states[t] == state and policy[state, action] > 0
            k = mdp.reward[state, action].tolist().index(play.rewards[t])
            assert play.terminated[t] == mdp.terminated[state, action, k]
            state = mdp.next_state[state, action, k]
        assert play.last_state[n] == state
        assert play.truncated[n] == (not play.terminated[last])
        assert lengths[n] == horizon or not play.truncated[n]
        assert not play.terminated[first:last].any()
    assert play.terminated.dtype == play.truncated.dtype == bool
    assert play.rewards.dtype == float
    for name in "states", "actions", "starts", "last_state":
        assert getattr(play, name).dtype.kind == "i"


@pytest.mark.parametrize("horizon", [5, 16, 37, 64])
def test_over_many_blocks_an_episode_is_the_same_whatever_is_played_beside_it(horizon):
    """Bit for bit, and so is the second one, and the generator after it.

    A generator that draws for its dead while others live would make a run depend on them.
    """
    rng = np.random.default_rng(6)
    world = slow_world(rng, 4, 3, 3, 0.04)
    policy, together = random_policy(rng, world), generators(range(30))
    batches = [rollout(world, policy, np.arange(30) % 4, horizon=horizon, rng=together)
               for _ in range(2)]
    for n in range(30):
        alone = generators(n)
        for batch in batches:
            play = rollout(world, policy, np.array([n % 4]), horizon=horizon, rng=alone)
            assert batch.lengths[n] == play.states.size == play.starts[1]
            for name in "states", "actions", "rewards", "terminated":
                own = getattr(batch, name)[batch.starts[n]:batch.starts[n + 1]]
                np.testing.assert_array_equal(own, getattr(play, name))
            assert batch.last_state[n] == play.last_state[0]
            assert batch.truncated[n] == play.truncated[0]
        assert alone[0].bit_generator.state == together[n].bit_generator.state


@pytest.mark.parametrize("horizon", [1, 3, 16, 17, 50])
@pytest.mark.parametrize("S, A, K", [(1, 1, 3), (4, 3, 3), (3, 4, 1), (60, 3, 2)])
def test_the_steps_played_are_those_of_the_same_rollout(S, A, K, horizon):
    rng = np.random.default_rng(7)
    for mdp in slow_world(rng, S, A, K, 0.1), random_mdp(rng, S, A, K, 0.9):
        policy, starts = random_policy(rng, mdp), start_states(mdp, 50, rng).astype(np.int8)
        for seed in 3, range(50):
            rngs = [generators(seed) if seed != 3 else 3 for _ in range(2)]
            play = rollout(mdp, policy, starts, horizon=horizon, rng=rngs[0]).steps(mdp.shape)
            pairs = steps_played(mdp, policy, starts, horizon=horizon, rng=rngs[1])
            assert_same(pairs[:2], play[:2])
            assert pairs.shape == play.shape
            assert pairs.index.dtype == pairs.starts.dtype == np.int32


def test_the_steps_played_in_a_world_without_end_fill_the_horizon():
    pairs = steps_played(FOREVER, np.full((2, 2), 0.5), np.array([0, 1, 1]), horizon=20, rng=0)
    assert pairs.starts.tolist() == [0, 20, 40, 60] and pairs.index.max() < 4
    assert (pairs.index[[0, 20, 40]] // 2).tolist() == [0, 1, 1]


def test_one_long_episode_does_not_make_the_others_long():
    """2,000 episodes of one step and one of 2,000: as a rectangle, 32 MB a table."""
    mdp = single_outcome([[0], [1]], [[1], [2]], [[True], [False]], [1, 0])
    starts = np.zeros(2001, int)
    starts[1000] = 1
    tracemalloc.start()
    try:
        play = rollout(mdp, np.ones((2, 1)), starts, horizon=2000, rng=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert play.states.size == 4000 and play.lengths[1000] == 2000 and play.rewards.sum() == 6000
    assert play.truncated.sum() == play.truncated[1000] and peak < 3e6


@pytest.mark.statistical
def test_every_step_of_a_long_episode_has_luck_of_its_own():
    """Chi-square of two steps, within a block and in two: words used twice would show."""
    play = rollout(FOREVER, np.full((2, 2), 0.5), np.zeros(8000, int), horizon=40, rng=9)
    actions = play.actions.reshape(8000, 40).T
    for one, other in (0, 1), (0, 15), (14, 15), (15, 16), (0, 16), (3, 19), (16, 32), (31, 32):
        observed = np.bincount(2 * actions[one] + actions[other], minlength=4)
        assert_drawn_from(observed, np.full(4, 2000.0))


# Walking.


def walked(world, policy, states, steps, rng):
    """The steps of a walk, as `Moves` of (steps, N) arrays."""
    listed = list(islice(walk(world, policy, states, rng=rng), steps))
    return Moves(*map(np.array, zip(*listed)))


@pytest.mark.parametrize("start", [[0.2, 0.0, 0.5, 0.3], [0, 0, 1, 0], [0, 1 - 1e-10, 0, 0]])
def test_a_walk_follows_the_tables_and_starts_again_at_an_end(start):
    rng = np.random.default_rng(11)
    world = replace(slow_world(rng, 4, 3, 3, 0.15), start=np.array(start))
    policy = random_policy(rng, world) * [1, 0, 1]
    policy /= policy.sum(axis=1, keepdims=True)
    states = np.arange(50).astype(np.int8) % 4
    moves = walked(world, policy, states, 50, 12)
    assert all(table.shape == (50, 50) for table in moves)
    np.testing.assert_array_equal(moves.states[0], states)
    np.testing.assert_array_equal(moves.next_states[:-1], moves.states[1:])
    ends = 0
    for t, n in np.ndindex(50, 50):
        s, a, reward, ended, after = (table[t, n] for table in moves)
        assert policy[s, a] > 0
        k = world.reward[s, a].tolist().index(reward)
        assert ended == world.terminated[s, a, k]
        assert world.start[after] > 0 if ended else after == world.next_state[s, a, k]
        ends += ended
    assert ends > 100 and moves.terminated.any(axis=0).all()


@pytest.mark.statistical
@pytest.mark.parametrize("start", [[0.1, 0.0, 0.3, 0.6], [0.0, 0.4, 0.0, 0.6]])
def test_a_walk_begins_its_episodes_by_the_start_distribution(start):
    """Chi-square, a fresh draw for each; whoever ended, from wherever, whatever the neighbour got.

    A walk that let an ended world stand where it ended would be caught by the state it came from.
    """
    rng = np.random.default_rng(13)
    world = replace(slow_world(rng, 4, 2, 3, 0.3), start=np.array(start))
    moves = walked(world, random_policy(rng, world), np.arange(4000) % 4, 20, 14)
    fresh, left = moves.next_states[moves.terminated], moves.states[moves.terminated]
    assert fresh.size > 20_000
    for before, first in (fresh[:-1], fresh[1:]), (left, fresh):
        expected = np.outer(np.bincount(before, minlength=4), world.start)
        observed = np.bincount(4 * before + first, minlength=16).reshape(4, 4)
        assert not observed[expected == 0].any()
        assert_drawn_from(observed[expected > 0], expected[expected > 0])


@pytest.mark.statistical
def test_every_step_of_a_walk_has_luck_of_its_own():
    """Chi-square of two steps of one world, and of two worlds at one step."""
    moves = walked(FOREVER, np.full((2, 2), 0.5), np.zeros(8000, int), 34, 17).actions
    for one, other in ((moves[0], moves[1]), (moves[15], moves[16]), (moves[0], moves[16]),
                       (moves[1], moves[33]), (moves[0, :-1], moves[0, 1:])):
        observed = np.bincount(2 * one + other, minlength=4)
        assert_drawn_from(observed, np.full(4, one.size / 4))


def test_a_walk_is_its_seeds_and_a_generator_goes_on(world):
    policy, states = np.full((4, 3), 1 / 3), np.arange(20) % 4
    seeded = walked(world, policy, states, 40, 5)
    assert_same(seeded, walked(world, policy, states, 40, np.random.default_rng(5)))
    assert (seeded.actions != walked(world, policy, states, 40, 6).actions).any()
    rng = np.random.default_rng(5)
    first, second = (walked(world, policy, states, 40, rng) for _ in range(2))
    assert_same(seeded, first)
    assert (first.actions != second.actions).any()
    assert states.tolist() == [*range(4)] * 5 and (policy == 1 / 3).all()


def test_a_step_of_a_walk_that_was_written_over_changes_nothing_later(world):
    policy, states = np.full((4, 3), 1 / 3), np.arange(20) % 4
    kept, seen = walked(world, policy, states, 40, 5), []
    for moves in islice(walk(world, policy, states, rng=5), 40):
        seen.append([table.copy() for table in moves])
        for table in moves:
            table[:] = 0
    assert_same(kept, map(np.array, zip(*seen)))


@pytest.mark.parametrize("start", [[0, 0, 1, 0], [0.2, 0.0, 0.5, 0.3]])
@pytest.mark.parametrize("worlds", [1, 2, 7, 40, 700])
def test_a_walk_is_the_same_however_much_of_it_is_played_at_once(start, worlds, monkeypatch):
    """Bit for bit: few worlds in plain Python or in arrays, one step at a time or many."""
    rng, seen = np.random.default_rng(18), []
    world = replace(slow_world(rng, 4, 3, 3, 0.15), start=np.array(start))
    policy, states = random_policy(rng, world), rng.integers(0, 4, worlds)
    for together, few in (playing.TOGETHER, playing.FEW), (1, 0), (33, 100), (1, 2**40):
        monkeypatch.setattr(playing, "TOGETHER", together)
        monkeypatch.setattr(playing, "FEW", few)
        seen.append(walked(world, policy, states, 100, 19))
    assert world.start[seen[0].next_states[seen[0].terminated]].all()
    for other in seen[1:]:
        assert_same(seen[0], other)


@pytest.mark.parametrize("horizon", [5, 16, 200])
def test_episodes_are_the_same_if_few_are_played_in_plain_python(horizon, monkeypatch):
    """The last ones alive among many, and one with a generator of its own."""
    rng, seen = np.random.default_rng(20), []
    world = slow_world(rng, 4, 3, 3, 0.04)
    policy, starts = random_policy(rng, world), rng.integers(0, 4, 60)
    for few in playing.FEW, 0, 2**40:
        monkeypatch.setattr(playing, "FEW", few)
        luck, own = np.random.default_rng(21), generators(range(5))
        seen.append((*rollout(world, policy, starts, horizon=horizon, rng=luck), luck.random(3),
                     *rollout(world, policy, starts[:5], horizon=horizon, rng=own)))
    for other in seen[1:]:
        assert_same(seen[0], other)
