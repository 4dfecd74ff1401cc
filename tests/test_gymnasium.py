"""Our worlds in Gymnasium, and Gymnasium's worlds as ours."""

from collections import Counter
from dataclasses import replace
from functools import cache
import re

from luck import FALSE_ALARM
import numpy as np
import pytest
from scipy.special import chdtrc

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from blackjack import value_after
from gridworld import maps
from gridworld.classics import blackjack, gambler
from gridworld.gymnasium import WorldEnv, make
from gridworld.world import OTHERS, GridWorld, parse
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective
from minirl.kernel.mdp import TabularMDP, coin_game
from minirl.kernel.environment import Environment
from minirl.play.exploration import epsilon_greedy
from minirl.play.q_learning import (double_q_learning, expected_sarsa, learners, q_learning,
                                    sarsa)

BLACKJACK = blackjack()
BLACKJACK_LAW = BLACKJACK.P
ID = "minirl/GridWorld-v0"
WORLDS = {"4x4": maps.frozen_lake(), "8x8": maps.frozen_lake(maps.LAKE_8X8),
          "cliff": maps.cliff_walk(), "windy": maps.windy_grid(), "four_rooms": maps.four_rooms(),
          "teleports": maps.teleports(), "corners": maps.corners(),
          "random_walk": maps.random_walk()}
TWO_STARTS = ["SFHF", "FFSG", "GFFF"]


def theirs(name, **options):
    """An environment of Gymnasium's own, in whatever version it has."""
    latest, = (found for found in gymnasium.registry if re.fullmatch(rf"{name}-v\d+", found))
    return gymnasium.make(latest, **options).unwrapped


def merged(outcomes):
    """{(next state, reward, terminated): probability}."""
    chances = Counter()
    for prob, *outcome in outcomes:
        chances[tuple(outcome)] += prob
    return {outcome: prob for outcome, prob in chances.items() if prob > 0}


def check_same_law(ours, law, states):
    for s in states:
        assert ours[s].keys() == law[s].keys()
        for a in law[s]:
            assert merged(ours[s][a]) == pytest.approx(merged(law[s][a]), abs=1e-12)


# Their worlds.


@pytest.mark.parametrize("options", [
    {}, {"is_slippery": False}, {"success_rate": 0.7}, {"success_rate": 0.0},
    {"reward_schedule": (5, -3, -0.25)},
    {"is_slippery": False, "success_rate": 0.5, "reward_schedule": (0, -1, 2)}])
@pytest.mark.parametrize("which", [{"map_name": "4x4"}, {"map_name": "8x8"}, {"desc": TWO_STARTS}])
def test_our_lakes_are_the_lakes_of_gymnasium(which, options):
    lake, env = theirs("FrozenLake", **which, **options), make(**which, **options)
    check_same_law(env.P, lake.P, range(len(lake.P)))
    assert len(env.P) == len(lake.P) and env.P[0].keys() == {0, 1, 2, 3}
    assert env.initial_state_distrib == pytest.approx(lake.initial_state_distrib)
    assert env.observation_space == lake.observation_space
    assert env.action_space == lake.action_space
    for s in np.flatnonzero([cell in "GH" for cell in env.world.symbols]):
        assert all(outcomes == [(1.0, s, 0, True)] for outcomes in env.P[s].values())


def test_our_cliff_is_that_of_gymnasium_wherever_an_episode_can_be():
    """Nobody stands on the cliff; and in our goal nothing happens any more."""
    cliff, env = theirs("CliffWalking"), make("cliff")
    check_same_law(env.P, cliff.P, range(37))
    assert len(env.P) == len(cliff.P) == 48
    assert (env.initial_state_distrib == cliff.initial_state_distrib).all()


@pytest.mark.parametrize("name", ["FrozenLake", "CliffWalking", "Taxi"])
def test_their_worlds_become_ours_without_a_change(name):
    env = theirs(name)
    mdp = TabularMDP.from_gymnasium(env.P, env.initial_state_distrib)
    assert mdp.shape == (env.observation_space.n, env.action_space.n)
    check_same_law(mdp.P, env.P, range(len(env.P)))
    np.testing.assert_array_equal(mdp.start, env.initial_state_distrib)


# Our worlds.


@pytest.mark.parametrize("world", [
    *WORLDS.values(), gambler(goal=5), GridWorld(parse("SAFa\nFF2F")),
    GridWorld(parse("SFFF\nF2FG"), success_rate=0.5, slip=OTHERS, wind=(0, 1, 0, -1))],
    ids=[*WORLDS, "gambler", "teleport", "wind"])
def test_a_world_passes_the_checker_of_gymnasium(world):
    check_env(WorldEnv(world))
    check_env(WorldEnv(world, "ansi"))


def test_what_is_registered_passes_the_checker_of_gymnasium():
    for name in "4x4", "cliff":
        env = gymnasium.make(ID, map_name=name, render_mode="ansi").unwrapped
        check_env(env)
        assert env.render_mode == "ansi"


@pytest.mark.parametrize("name", WORLDS)
def test_a_map_has_the_law_of_its_world(name):
    env, mdp = gymnasium.make(ID, map_name=name).unwrapped, WORLDS[name].mdp(gamma=1.0)
    assert env.P == mdp.P
    np.testing.assert_array_equal(env.initial_state_distrib, mdp.start)


def test_the_lake_is_slippery_and_small_unless_said_otherwise():
    assert gymnasium.make(ID).unwrapped.P == WORLDS["4x4"].mdp(gamma=1.0).P
    assert make(map_name="8x8", is_slippery=False).P == maps.frozen_lake(
        maps.LAKE_8X8, slippery=False).mdp(gamma=1.0).P


def test_a_map_of_your_own_takes_the_place_of_a_named_one_whose_ice_is_not_asked_for():
    assert make("cliff", desc=["SFF", "FHG"], is_slippery=False).P == maps.frozen_lake(
        "SFF\nFHG", slippery=False).mdp(gamma=1.0).P
    assert make(desc="SFF\nFHG").P == make(desc=["SFF", "FHG"]).P
    assert make("cliff", is_slippery=True, success_rate=0.1, reward_schedule=(9, 9, 9)).P == make(
        "cliff").P


@pytest.mark.parametrize("options, message", [
    *(({"map_name": name}, f"map_name must be one of 4x4, 8x8, cliff, windy, four_rooms, teleports,"
                           f" corners, random_walk, or None for a random lake, got {name!r}")
      for name in ("5x5", "", "Cliff", 4)),
    *(({"desc": desc}, f"desc must be a map, as text or in rows, got {wrong}")
      for desc, wrong in ((7, "7"), ([1, 2], "1"), ([["S", None]], "None"))),
    ({"desc": ["SFX"]}, "map line 1, column 3: 'X' is neither one of"),
    ({"desc": ["FFG"]}, "the map needs a start"),
    ({"success_rate": 1.5}, "success_rate must lie in [0, 1], got 1.5"),
    ({"reward_schedule": (1, 0)}, "reward_schedule must be (goal, hole, ice), got (1, 0)"),
    ({"render_mode": "human"}, "render_mode must be None or 'ansi', got 'human'")])
def test_bad_arguments_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**options)


@pytest.mark.parametrize("rows", [
    ["SF", "HG"], ["SFFF", "FHFH", "FFFH", "HFFG"], TWO_STARTS])
def test_a_lake_may_come_in_any_form_that_gymnasium_takes_or_has(rows):
    """FrozenLake's own `desc` is an array of bytes."""
    expected = make(desc=rows).P
    own = theirs("FrozenLake", desc=rows).desc
    assert own.dtype.kind == "S"
    for desc in (own, own.tolist(), own.astype(str), [list(row) for row in rows],
                 [row.encode() for row in rows], np.array(rows), tuple(rows), "\n".join(rows)):
        assert make(desc=desc).P == expected
    assert make(desc=[["S", "-2.5", "G"]]).P == make(desc="S -2.5 G").P


def test_without_a_name_the_lake_is_a_random_one_as_in_gymnasium():
    for lake in (make(map_name=None), gymnasium.make(ID, map_name=None).unwrapped):
        assert lake.world.shape == (8, 8) and lake.world.symbols[0] == "S"
        assert lake.world.symbols[-1] == "G" and policy_iteration(lake.mdp).objective > 0
    assert len({make(map_name=None).world.symbols for _ in range(3)}) > 1
    assert make(map_name=None, desc=["SG"]).world.shape == (1, 2)


@pytest.mark.parametrize("options", [{}, {"map_name": "cliff"}, {"map_name": None},
                                     {"desc": ["SF", "HG"], "is_slippery": False}])
def test_what_is_made_can_be_written_down_and_made_again(options):
    env = gymnasium.make(ID, max_episode_steps=7, **options)
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec and again.spec.max_episode_steps == 7
    assert "map_name" in options and options["map_name"] is None or (
        again.unwrapped.P == env.unwrapped.P)


# Actions that are not available.

MASKED = replace(gambler(goal=5), available=np.array([[1, 0], [1, 0], [1, 1], [1, 1], [1, 0],
                                                      [0, 1]]) > 0)


def test_the_mask_of_the_present_state_is_told_at_every_reset_and_step():
    """As Taxi tells it: int8, so that the space of actions may be sampled with it."""
    env = WorldEnv(MASKED)
    check_env(env)
    state, info = env.reset(seed=1)
    for _ in range(50):
        assert info["action_mask"].dtype == np.int8
        assert info["action_mask"].tolist() == MASKED.available[state].tolist()
        action = env.action_space.sample(info["action_mask"])
        assert MASKED.available[state, action]
        state, _, terminated, _, info = env.step(action)
        if terminated:
            assert info["action_mask"].tolist() == MASKED.available[state].tolist()
            state, info = env.reset()


def test_taxi_is_solved_with_its_own_mask():
    """Every mask is kept, int8 or not; what Taxi rules out are steps that change nothing."""
    env = theirs("Taxi")
    masks = [env.action_mask(s) for s in range(500)]
    worlds = [TabularMDP.from_gymnasium(env.P, env.initial_state_distrib, 0.9, available)
              for available in (None, masks, np.array(masks, bool))]
    free, masked, same = map(policy_iteration, worlds)
    assert worlds[1].available.tolist() == worlds[2].available.tolist() == (
        np.array(masks) > 0).tolist()
    np.testing.assert_allclose(masked.values, free.values, atol=1e-9)
    assert (same.policy == masked.policy).all() and not masked.policy[~worlds[1].available].any()
    assert (np.isneginf(masked.action_values) == ~worlds[1].available).all()


# Playing.


def played(env, steps, seed):
    """Yield (state, action, next state, reward, terminated, info) of random steps."""
    rng, (state, _) = np.random.default_rng(seed), env.reset(seed=seed)
    for _ in range(steps):
        action = int(rng.integers(env.action_space.n))
        following, reward, terminated, truncated, info = env.step(action)
        assert not truncated
        yield state, action, following, reward, terminated, info
        state = env.reset()[0] if terminated else following


@pytest.mark.statistical
def test_the_steps_follow_the_law():
    """Outcomes of 4,000 random steps in all states, by the sum of their chi-squares."""
    env = WorldEnv(GridWorld(parse("SFA\naFG"), success_rate=0.4, slip=OTHERS, wind=(1, 0, 0)))
    observed = {}
    for state, action, *outcome, _ in played(env, 4000, seed=1):
        observed.setdefault((state, action), Counter())[tuple(outcome)] += 1
    assert len(observed) == 5 * 4
    statistic, freedom = 0.0, 0
    for (state, action), counts in observed.items():
        chances, total = merged(env.P[state][action]), sum(counts.values())
        assert counts.keys() <= chances.keys()
        statistic += sum((counts[outcome] - total * prob)**2 / (total * prob)
                         for outcome, prob in chances.items())
        freedom += len(chances) - 1
    assert freedom > 20 and chdtrc(freedom, statistic) > FALSE_ALARM


@pytest.mark.parametrize("name", WORLDS)
def test_a_step_tells_the_chance_of_its_outcome(name):
    """In corners of the lake two ways to slip lead to the same cell: their chances add up."""
    env = make(name)
    chances = set()
    for state, action, *outcome, info in played(env, 200, seed=2):
        law = merged(env.P[state][action])
        assert list(info) == ["prob", "action_mask"]
        assert info["prob"] == pytest.approx(law[tuple(outcome)])
        chances.add(round(info["prob"], 9))
        assert [type(value) for value in outcome] == [int, float, bool]
    assert name != "4x4" or round(2 / 3, 9) in chances


def test_an_episode_starts_where_it_may_and_tells_the_chance():
    env = make("corners")
    env.reset(seed=3)
    starts = [env.reset() for _ in range(200)]
    assert {info["prob"] for _, info in starts} == {1 / 14}
    assert {state for state, _ in starts} == {*range(1, 15)}
    assert all(type(state) is int for state, _ in starts)


def test_a_seed_decides_what_happens():
    first, again, other = ([step[2:4] for step in played(make(), 50, seed)] for seed in (4, 4, 5))
    one, two = make(), make()
    one.reset(seed=6), two.reset(seed=7)
    assert first == again != other
    assert [one.step(2)[0] for _ in range(20)] != [two.step(2)[0] for _ in range(20)]


@pytest.mark.parametrize("limit", [None, 7])
def test_an_episode_is_cut_after_its_limit_and_not_terminated(limit):
    env = gymnasium.make(ID, map_name="teleports", max_episode_steps=limit)
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(limit or 100)]
    assert ends == [(False, False)] * ((limit or 100) - 1) + [(False, True)]
    env = gymnasium.make(ID, desc=["SG"], is_slippery=False)
    env.reset(seed=0)
    assert env.step(2)[:4] == (1, 1.0, True, False)  # and an end is no cut


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset before step"):
        make().step(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        gymnasium.make(ID).step(0)


@pytest.mark.parametrize("action", [-1, 4, 1.0, "0", None])
def test_an_action_that_is_none_is_refused(action):
    env = make()
    env.reset(seed=0)
    message = f"action must be a whole number in [0, 4), got {action!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        env.step(action)


def test_an_action_may_be_a_number_of_numpy():
    for action in np.int64(1), np.uint8(1), np.array(1):
        env = make(is_slippery=False)
        env.reset(seed=0)
        assert env.step(action)[0] == 4


# Drawing.


def drawn(env, state):
    env.reset(seed=0)
    env.state = state
    return env.render()


def test_the_walker_is_drawn_in_brackets():
    env = gymnasium.make(ID, render_mode="ansi", is_slippery=False)
    env.reset(seed=0)
    assert env.render() == "[S]F F F\n F H F H\n F F F H\n H F F G\n"
    env.step(1), env.step(1), env.step(2)
    assert env.render() == " S F F F\n F H F H\n F[F]F H\n H F F G\n"
    assert drawn(env.unwrapped, 15) == " S F F F\n F H F H\n F F F H\n H F F[G]\n"


def test_numbers_are_drawn_in_brackets_of_their_width():
    env = WorldEnv(GridWorld(parse("S -2.5 G\nF 10 F")), "ansi")
    assert drawn(env, 0) == "[   S]-2.5    G\n    F   10    F\n"
    assert drawn(env, 1) == "    S[-2.5]   G\n    F   10    F\n"
    assert drawn(env, 4) == "    S -2.5    G\n    F[  10]   F\n"
    assert drawn(env, 5) == "    S -2.5    G\n    F   10[   F]\n"


def test_the_walker_is_drawn_on_a_map_of_any_width():
    """Its cells stay whole, and the brackets are beside the walker's."""
    assert drawn(WorldEnv(GridWorld(parse("S\nF\nG")), "ansi"), 1) == " S\n[F]\n G\n"
    text = drawn(WorldEnv(GridWorld(parse("S" + "F" * 48 + "G")), "ansi"), 20)
    assert text.count("S") == text.count("G") == 1 and text.count("F") == 48
    before, after = text.split("[F]")
    assert before.count("F") == 19 and after.count("F") == 28


def test_a_world_without_a_map_shows_its_state():
    assert drawn(WorldEnv(gambler(goal=5), "ansi"), 3) == "state 3\n"


def test_without_a_render_mode_nothing_is_drawn_but_a_warning_given():
    env = make()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render was called without a render_mode"):
        assert env.render() is None


# The seam: learners of values in environments without a law.

LEARNERS = {q_learning: 1, sarsa: 1, expected_sarsa: 1, double_q_learning: 2}
EACH = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.__name__)


def vector(makers, mode, asynchronous=False):
    kind = AsyncVectorEnv if asynchronous else SyncVectorEnv
    return kind(makers, autoreset_mode=mode)


def learned(learner, world, rng, iterations=3, **options):
    options = {"steps_per_iteration": 50} | options
    record = learners(world, rng=rng, tables=LEARNERS[learner])
    return next(record for record in learner(world, record, **options)
                if record.iteration == iterations)


@pytest.mark.parametrize("horizon", [7, 10**6])
@EACH
def test_where_nothing_is_left_to_the_world_it_does_not_matter_who_plays_it(learner, horizon):
    """On the cliff a learner has the same tables and episodes in our world and in Gymnasium's."""
    cliff, env = maps.cliff_walk().mdp(gamma=0.9), Environment(theirs("CliffWalking"), gamma=0.9)
    record = learners(cliff, rng=3, tables=LEARNERS[learner])
    learners(env, rng=0)  # begins an episode
    options = {"horizon": horizon, "steps_per_iteration": 300}
    ours, other = (next(learner(world, record, **options)) for world in (cliff, env))
    np.testing.assert_equal(other, ours)
    assert ours.finished.run.size > 0 or horizon > 7


@pytest.mark.parametrize("name, learner", [
    ("Blackjack-v1", q_learning), (ID, double_q_learning), ("Taxi-v4", sarsa)])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_vector_learns_what_its_environments_learn_one_by_one(learner, mode, name):
    """Bit for bit, however the vector begins new episodes; episodes are cut by both limits."""
    makers = [lambda: gymnasium.make(name, max_episode_steps=9)] * 3
    for horizon in 5, 100:
        world = Environment(vector(makers, mode), gamma=0.9)
        together = learned(learner, world, [5, 6, 7], 2, horizon=horizon)
        assert max(together.finished.lengths) <= min(9, horizon)
        for run, seed in enumerate((5, 6, 7)):
            alone = learned_alone(learner, name, seed, horizon)
            for field in "updates", "tables":
                one, many = getattr(alone, field)[:, 0], getattr(together, field)[:, run]
                where = alone.updates[:, 0].sum(axis=(0, 2)) > 0  # masks come from everybody
                np.testing.assert_array_equal(one[:, where], many[:, where])
            assert alone.states[0] == together.states[run]
            assert alone.episodes[0] == together.episodes[run] > 10
            mine = together.finished.run == run
            assert alone.finished.rewards.tolist() == together.finished.rewards[mine].tolist()


@cache
def learned_alone(learner, name, seed, horizon):
    env = gymnasium.make(name, max_episode_steps=9)
    return learned(learner, Environment(env, gamma=0.9), seed, 2, horizon=horizon)


def test_a_vector_may_work_in_other_processes():
    makers = [lambda: gymnasium.make("Blackjack-v1")] * 2
    results = []
    for asynchronous in False, True:
        env = vector(makers, AutoresetMode.NEXT_STEP, asynchronous)
        results.append(learned(q_learning, Environment(env), [1, 2]))
        env.close()
    np.testing.assert_equal(*results)


def test_an_episode_that_an_environment_cuts_is_not_terminated():
    """Pitfall 20: on the teleports nothing ends, and Q of the middle is Q* only if a cut episode
    counts what would have come.  All wrappers work, those of a vector too."""
    env = gymnasium.make(ID, map_name="teleports", max_episode_steps=5)
    worlds = [Environment(env, gamma=0.2),
              Environment(TimeAwareness(TimeLimit(WorldEnv(maps.teleports()), 5)), gamma=0.5)]
    best = policy_iteration(maps.teleports().mdp(gamma=0.2))
    record = learned(q_learning, worlds[0], 0, 2, steps_per_iteration=1500, learning_rate=1.0,
                     decay=0.0, truth=best.action_values, exploration=epsilon_greedy(1.0))
    assert record.metrics["error/max"].max() < 1e-3
    assert set(record.finished.lengths) == {5}
    timed = learned(q_learning, worlds[1], 0)
    assert timed.tables.shape == (1, 1, 25 * 6, 4)
    envs = RecordEpisodeStatistics(gymnasium.make_vec(ID, num_envs=4, map_name="teleports",
                                                      max_episode_steps=5))
    record = learned(q_learning, Environment(envs, gamma=0.5), range(4))
    assert record.episodes.tolist() == [30] * 4


class TimeAwareness(gymnasium.ObservationWrapper):
    """The state and the number of steps so far, as an array of two whole numbers."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.MultiDiscrete([25, 6])

    def observation(self, observation):
        return np.array([observation, self.env._elapsed_steps or 0])


def test_taxi_is_learned_with_its_own_mask():
    """What is not available is −∞ in every table, where anybody has been, and nobody tries it."""
    env = theirs("Taxi")
    masks = np.array([env.action_mask(s) for s in range(500)]) > 0
    for learner in LEARNERS:
        world = Environment(gymnasium.make_vec("Taxi-v4", num_envs=2), gamma=0.9)
        record = learned(learner, world, [0, 1], 1, steps_per_iteration=150)
        seen = record.updates.sum(axis=(0, 1, 3)) > 0
        assert seen.sum() > 20 and (world.available[seen] == masks[seen]).all()
        assert not record.updates[:, :, ~masks].any() and not np.isnan(record.tables).any()
        assert (np.isneginf(record.tables) == ~world.available).all()


@pytest.mark.slow
def test_taxi_is_learned_by_its_law_and_its_mask():
    """(q_learning.4) in a deterministic world with α = 1: after 20,000 steps hardly a detour."""
    env = theirs("Taxi")
    masks = [env.action_mask(s) for s in range(500)]
    taxi = TabularMDP.from_gymnasium(env.P, env.initial_state_distrib, 0.9, masks)
    record = next(q_learning(taxi, learners(taxi, rng=0), learning_rate=1.0, decay=0.0,
                             exploration=epsilon_greedy(0.02), steps_per_iteration=20_000))
    greedy = np.eye(6)[record.Q[0].argmax(axis=1)]
    assert objective(taxi, greedy) > policy_iteration(taxi).objective - 0.1
    assert not record.updates[:, :, ~taxi.available].any()


def test_blackjack_is_learned_without_its_law():
    """Sutton and Barto, example 5.1.  The game is worth −0.0466; `python tests/blackjack.py` has
    −0.0438 after 500,000 episodes.  Here it is sixteen learners of 150 episodes each, together."""
    assert 0 < abs(value_after(100)) < 0.2
    envs = Environment(gymnasium.make_vec("Blackjack-v1", num_envs=16))
    record = learned(q_learning, envs, range(16), 1, steps_per_iteration=200, decay=0.8)
    greedy = np.eye(2)[record.Q.mean(axis=0).argmax(axis=1)]
    best = policy_iteration(BLACKJACK).objective
    assert best == pytest.approx(-0.046556, abs=1e-6)
    assert abs(BLACKJACK.start @ record.Q.mean(axis=0).max(axis=1) - best) < 0.03
    always_stick = np.eye(2)[np.zeros(704, int)]
    assert objective(BLACKJACK, greedy) > best - 0.08 > -0.13 > objective(BLACKJACK, always_stick)


@pytest.mark.slow
def test_after_100_000_episodes_of_blackjack_its_value_is_known_to_a_few_thousandths():
    """A learner says −0.0488, the law −0.0466."""
    assert value_after(100_000) == pytest.approx(-0.0488, abs=0.003)


@pytest.mark.statistical
def test_the_law_of_blackjack_is_that_of_gymnasium():
    """Observations, by chi-square over 3,000 games of a policy that tries everything."""
    env, world = theirs("Blackjack"), Environment(theirs("Blackjack"))
    rng, observed = np.random.default_rng(0), {}
    env.reset(seed=0)
    for _ in range(3000):
        state, ended = world.number(env.reset()[0]), False
        observed.setdefault(None, Counter())[state] += 1
        while not ended:
            action = int(rng.random() < 0.6)
            seen, reward, ended, _, _ = env.step(action)
            following = world.number(seen)
            outcome = (state if action == 0 else following), float(reward), ended
            observed.setdefault((state, action), Counter())[outcome] += 1
            state = following
    statistic, freedom = 0.0, 0
    for entry, counts in observed.items():
        law = (dict(enumerate(BLACKJACK.start)) if entry is None else
               merged(BLACKJACK_LAW[entry[0]][entry[1]]))
        total = sum(counts.values())
        assert all(law[outcome] > 0 for outcome in counts)
        likely = [(counts[outcome], total * p) for outcome, p in law.items() if total * p >= 5]
        statistic += sum((n - mean)**2 / mean for n, mean in likely)
        freedom += sum(1 - mean / total for _, mean in likely)
    assert freedom > 200 and chdtrc(freedom, statistic) > FALSE_ALARM


def test_observations_are_numbered_in_the_order_of_their_indices():
    spaces = gymnasium.spaces

    class Nothing(gymnasium.Env):
        def __init__(self, observations, actions=spaces.Discrete(2)):
            self.observation_space, self.action_space = observations, actions

    for space, size in ((spaces.Discrete(4, start=-1), 4), (spaces.MultiDiscrete([2, 3, 2]), 12),
                        (spaces.MultiDiscrete([[2, 3], [1, 2]]), 12),
                        (spaces.MultiDiscrete([2, 3], start=[5, -1]), 6),
                        (spaces.Tuple([spaces.Discrete(3), spaces.MultiDiscrete([2, 2]),
                                       spaces.Tuple([spaces.Discrete(2, start=7)])]), 24)):
        world = Environment(Nothing(space, spaces.Discrete(5, start=3)), gamma=0.5)
        assert world.shape == (size, 5) and world.gamma == 0.5
        space.seed(0)
        numbers = {int(world.number(space.sample())) for _ in range(300)}
        assert numbers == set(range(size))
    blackjack = Environment(theirs("Blackjack"))
    for number, index in enumerate(np.ndindex(32, 11, 2)):
        assert blackjack.number(index) == number
    for wrong in spaces.Box(0, 1), spaces.MultiBinary(3), spaces.Dict(a=spaces.Discrete(2)), None:
        with pytest.raises(ValueError, match="observation_space must be discrete, or a tuple or"):
            Environment(Nothing(wrong))
    for wrong in (spaces.Box(0, 1), spaces.MultiDiscrete([2, 2]), None,
                  spaces.Tuple([spaces.Discrete(2)])):
        with pytest.raises(ValueError, match="action_space must be discrete"):
            Environment(Nothing(spaces.Discrete(2), wrong))


def test_what_does_not_fit_an_environment_is_refused():
    env = Environment(gymnasium.make_vec("Blackjack-v1", num_envs=3))
    with pytest.raises(ValueError, match="rng must name 3 runs, one per environment, got 2"):
        learners(env, rng=[1, 2])
    record = learners(env, rng=range(3))
    later = next(q_learning(env, record, steps_per_iteration=20))
    with pytest.raises(ValueError, match="the record must be the last one of its environment"):
        next(q_learning(env, record))
    next(q_learning(env, later, steps_per_iteration=20))
    for wrong in None, coin_game(), "Blackjack-v1":
        with pytest.raises(ValueError, match="observation_space must be discrete"):
            Environment(wrong)
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\], got 1.5"):
        Environment(theirs("Blackjack"), gamma=1.5)


def test_a_mask_that_changes_though_the_observation_does_not_is_refused():
    class Moody(gymnasium.Env):
        observation_space, action_space = gymnasium.spaces.Discrete(1), gymnasium.spaces.Discrete(2)
        steps = 0

        def reset(self, *, seed=None, options=None):
            return 0, {"action_mask": np.array([1, 1], np.int8)}

        def step(self, action):
            self.steps += 1
            mask = [[1, 1], [0, 0], [0, 1]][min(self.steps // 5, 2)]  # none at all says nothing
            return 0, 0.0, False, False, {"action_mask": np.array(mask, np.int8)}

    env = Environment(Moody())
    with pytest.raises(ValueError, match=r"action_mask must be a function of the observation; in "
                                         r"state 0 it changed to \[0 1\]"):
        learned(q_learning, env, 0)
    assert env.env.steps == 10
