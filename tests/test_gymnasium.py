"""Our worlds in Gymnasium, and Gymnasium's worlds as ours."""

from collections import Counter
import re

import numpy as np
import pytest
from scipy.special import chdtrc

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env

from gridworld import maps
from gridworld.classics import gambler
from gridworld.gymnasium import WorldEnv, make
from gridworld.world import OTHERS, GridWorld, parse
from minirl.kernel.mdp import TabularMDP

FALSE_ALARM = 1e-6
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
    *(({"map_name": name}, f"map_name must be one of 4x4, 8x8, cliff, windy, four_rooms, "
                           f"teleports, corners, random_walk, got {name!r}")
      for name in ("5x5", "", "Cliff", None)),
    ({"desc": ["SFX"]}, "map line 1, column 3: 'X' is neither one of"),
    ({"desc": ["FFG"]}, "the map needs a start"),
    ({"success_rate": 1.5}, "success_rate must lie in [0, 1], got 1.5"),
    ({"reward_schedule": (1, 0)}, "reward_schedule must be (goal, hole, ice), got (1, 0)"),
    ({"render_mode": "human"}, "render_mode must be None or 'ansi', got 'human'")])
def test_bad_arguments_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**options)


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
        assert list(info) == ["prob"] and info["prob"] == pytest.approx(law[tuple(outcome)])
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
    assert env.step(2) == (1, 1.0, True, False, {"prob": 1.0})  # and an end is no cut


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
