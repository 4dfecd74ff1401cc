"""The maps of the literature: against the rules of Gymnasium, and by published numbers."""

from collections import Counter
import importlib
import sys

import numpy as np
import pytest

from gridworld.maps import (LAKE_8X8, cliff_walk, corners, four_rooms, frozen_lake, random_walk,
                            teleports, windy_grid)
from minirl.exact.evaluation import action_values, evaluate
from minirl.kernel.mdp import unroll
from minirl.exact.planning import linear_programme, policy_iteration, value_iteration

LAKES = {4: ["SFFF", "FHFH", "FFFH", "HFFG"],
         8: ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF",
             "FFFHFFFG"]}
WORLDS = {"lake_4x4": frozen_lake(), "lake_8x8": frozen_lake(LAKE_8X8), "cliff": cliff_walk(),
          "teleports": teleports(), "corners": corners(), "windy": windy_grid(),
          "four_rooms": four_rooms(), "random_walk": random_walk()}


def lake(size, *, slippery=True):
    return frozen_lake(LAKE_8X8, slippery=slippery) if size == 8 else frozen_lake(slippery=slippery)


def lake_by_rules(rows, slippery):
    """P[s][a], a list of (probability, next state, reward, terminated).

    Action 0 is left, 1 down, 2 right, 3 up.
    """
    size, P = len(rows), {}
    for row in range(size):
        for column in range(size):
            s = row * size + column
            P[s] = {a: [] for a in range(4)}
            for a in range(4):
                if rows[row][column] in "GH":
                    P[s][a].append((1.0, s, 0, True))
                    continue
                for b in [(a - 1) % 4, a, (a + 1) % 4] if slippery else [a]:
                    i, j = row, column
                    if b == 0:
                        j = max(column - 1, 0)
                    elif b == 1:
                        i = min(row + 1, size - 1)
                    elif b == 2:
                        j = min(column + 1, size - 1)
                    else:
                        i = max(row - 1, 0)
                    P[s][a].append((1 / 3 if slippery else 1.0, i * size + j,
                                    int(rows[i][j] == "G"), rows[i][j] in "GH"))
    return P


def cliff_by_rules():
    """P[s][a] of the 4x12 cliff: 0 up, 1 right, 2 down, 3 left."""
    P = {}
    for row in range(4):
        for column in range(12):
            P[row * 12 + column] = {}
            for a, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
                i, j = min(max(row + down, 0), 3), min(max(column + right, 0), 11)
                if i == 3 and 1 <= j <= 10:
                    outcome = (1.0, 36, -100, False)
                else:
                    outcome = (1.0, i * 12 + j, -1, (i, j) == (3, 11))
                P[row * 12 + column][a] = [outcome]
    return P


def merged(outcomes):
    """{(next state, reward, terminated): probability}."""
    chances = Counter()
    for prob, *outcome in outcomes:
        chances[tuple(outcome)] += prob
    return dict(chances)


def outcomes_of(mdp, s, a):
    return merged(zip(mdp.prob[s, a].tolist(), mdp.next_state[s, a].tolist(),
                      mdp.reward[s, a].tolist(), mdp.terminated[s, a].tolist()))


@pytest.mark.parametrize("slippery", [True, False])
@pytest.mark.parametrize("size", [4, 8])
def test_the_frozen_lake_is_that_of_gymnasium(size, slippery):
    mdp = lake(size, slippery=slippery).mdp(gamma=1.0)
    assert mdp.shape == (size * size, 4) and mdp.start[0] == 1.0
    for s, actions in lake_by_rules(LAKES[size], slippery).items():
        for a, outcomes in actions.items():
            assert outcomes_of(mdp, s, a) == pytest.approx(merged(outcomes), abs=1e-12)


def test_the_cliff_is_that_of_gymnasium_except_that_its_goal_is_the_end():
    mdp = cliff_walk().mdp(gamma=1.0)
    assert mdp.shape == (48, 4) and mdp.start[36] == 1.0
    for s, actions in cliff_by_rules().items():
        for a, outcomes in actions.items():
            assert outcomes_of(mdp, s, a) == merged([(1.0, 47, 0, True)] if s == 47 else outcomes)


def test_the_best_walk_over_the_slippery_4x4_lake_arrives_14_times_of_17():
    best = policy_iteration(frozen_lake().mdp(gamma=1.0)).objective
    assert best == pytest.approx(14 / 17, abs=1e-12) and round(best, 4) == 0.8235


def test_within_100_steps_the_best_walk_over_the_4x4_lake_is_worth_0_7442():
    best = policy_iteration(unroll(frozen_lake().mdp(gamma=1.0), 100)).objective
    assert round(best, 4) == 0.7442


def test_the_8x8_lake_can_be_crossed_surely():
    assert policy_iteration(lake(8).mdp(gamma=1.0)).objective == pytest.approx(1.0, abs=1e-9)


def test_the_best_walk_along_the_cliff_takes_thirteen_steps():
    best = policy_iteration(cliff_walk().mdp(gamma=0.99))
    assert best.objective == pytest.approx(-(1 - 0.99**13) / 0.01, abs=1e-9)
    assert np.flatnonzero(best.policy[36])[0] == 0  # up, away from the edge


def test_the_rewards_of_a_lake_are_those_of_goal_hole_and_ice():
    world = frozen_lake("SFG\nFHF", slippery=False, reward_schedule=(5, -3, -0.25)).mdp(gamma=1.0)
    left, down, right, up = range(4)
    assert world.reward[1, [left, down, right, up], 0].tolist() == [-0.25, -3.0, 5.0, -0.25]
    assert not world.reward[[2, 4]].any()


def test_the_success_rate_of_a_lake_counts_on_slippery_ice_only():
    slippery, firm = (frozen_lake(slippery=slippery, success_rate=0.5).mdp(gamma=1.0).prob[0, 0]
                      for slippery in (True, False))
    assert slippery.tolist() == [0.25, 0.5, 0.25] and firm.tolist() == [1.0]


# Sutton and Barto.


def rounded(values, digits=1):
    return np.round(values, digits).reshape(-1, int(len(values)**0.5)).tolist()


def test_the_random_policy_on_the_teleports_is_worth_what_the_book_says():
    """Sutton and Barto, figure 3.2, and (evaluation.1)."""
    world = teleports().mdp(gamma=0.9)
    assert rounded(evaluate(world, np.full(world.shape, 1 / 4))) == [
        [3.3, 8.8, 4.4, 5.3, 1.5],
        [1.5, 3.0, 2.3, 1.9, 0.5],
        [0.1, 0.7, 0.7, 0.4, -0.4],
        [-1.0, -0.4, -0.4, -0.6, -1.2],
        [-1.9, -1.3, -1.2, -1.4, -2.0]]


def test_the_best_policy_on_the_teleports_is_worth_what_the_book_says():
    """Sutton and Barto, figure 3.5, and (planning.1); from A and back takes five steps."""
    best = policy_iteration(teleports().mdp(gamma=0.9))
    assert rounded(best.values) == [
        [22.0, 24.4, 22.0, 19.4, 17.5],
        [19.8, 22.0, 19.8, 17.8, 16.0],
        [17.8, 19.8, 17.8, 16.0, 14.4],
        [16.0, 17.8, 16.0, 14.4, 13.0],
        [14.4, 16.0, 14.4, 13.0, 11.7]]
    assert best.values[1] == pytest.approx(10 / (1 - 0.9**5), abs=1e-9)


def test_without_discount_the_teleports_have_no_value():
    with pytest.raises(ValueError, match="from state 0 this policy never ends"):
        evaluate(teleports().mdp(gamma=1.0), np.full((25, 4), 1 / 4))


FIGURE_4_1 = {
    1: [[0.0, -1.0, -1.0, -1.0], [-1.0] * 4, [-1.0] * 4, [-1.0, -1.0, -1.0, 0.0]],
    2: [[0.0, -1.7, -2.0, -2.0], [-1.7, -2.0, -2.0, -2.0], [-2.0, -2.0, -2.0, -1.7],
        [-2.0, -2.0, -1.7, 0.0]],
    3: [[0.0, -2.4, -2.9, -3.0], [-2.4, -2.9, -3.0, -2.9], [-2.9, -3.0, -2.9, -2.4],
        [-3.0, -2.9, -2.4, 0.0]],
    10: [[0.0, -6.1, -8.4, -9.0], [-6.1, -7.7, -8.4, -8.4], [-8.4, -8.4, -7.7, -6.1],
         [-9.0, -8.4, -6.1, 0.0]]}


def test_the_sweeps_over_the_corners_are_those_of_the_book():
    """Sutton and Barto, figure 4.1, and (solving.3); the book writes −1.75 as −1.7."""
    world, values = corners().mdp(gamma=1.0), np.zeros(16)
    for sweep in range(1, 11):
        values = action_values(world, values).mean(axis=1)
        if sweep in FIGURE_4_1:
            published = np.array(FIGURE_4_1[sweep]).ravel()
            assert np.abs(values - published).max() <= 0.05 + 1e-12


def test_the_random_policy_needs_14_to_22_steps_to_a_corner():
    """Sutton and Barto, figure 4.1, k = infinity."""
    values = evaluate(corners().mdp(gamma=1.0), np.full((16, 4), 1 / 4))
    np.testing.assert_allclose(np.nan_to_num(values).reshape(4, 4), [
        [0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]],
        atol=1e-11)


def test_an_episode_on_the_corners_starts_anywhere_but_there():
    start = corners().mdp(gamma=1.0).start
    assert start[[0, 15]].tolist() == [0, 0] and start[1:15] == pytest.approx(np.full(14, 1 / 14))


def test_the_shortest_way_through_the_wind_takes_15_steps():
    """Sutton and Barto, example 6.5: the wind is written below the columns of the figure."""
    grid = windy_grid()
    assert grid.shape == (7, 10) and grid.wind == (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
    assert grid.places["S"] == [30] and grid.places["G"] == [37]
    assert policy_iteration(grid.mdp(gamma=1.0)).objective == pytest.approx(-15, abs=1e-9)


def test_the_random_walk_ends_on_the_right_with_a_sixth_more_at_each_step():
    """Sutton and Barto, example 6.2."""
    world = random_walk().mdp(gamma=1.0)
    values = evaluate(world, np.tile([0.5, 0.0, 0.5, 0.0], (7, 1)))
    np.testing.assert_allclose(values[1:6], np.arange(1, 6) / 6, atol=1e-12)
    assert world.start.tolist() == [0, 0, 0, 1, 0, 0, 0]


# Four rooms.


def test_the_four_rooms_have_walls_with_four_doorways():
    """Sutton, Precup and Singh, figure 2: 104 cells, and the two halves of a wall are shifted."""
    world = four_rooms()
    wall = np.full((13, 13), False)
    wall[[0, 12]] = wall[:, [0, 6, 12]] = wall[6, :6] = wall[7, 7:] = True
    wall[[3, 10, 6, 7], [6, 6, 2, 9]] = False
    found = np.array([cell == "#" for cell in world.symbols]).reshape(13, 13)
    assert (found == wall).all() and (~found).sum() == 104
    assert world.places["S"] == [14] and world.places["G"] == [7 * 13 + 9]


def test_a_move_through_the_rooms_goes_any_other_way_with_chance_one_ninth():
    """Cell (3, 5) is beside the doorway to the right."""
    mdp = four_rooms().mdp(gamma=1.0)
    left, down, right, up = 3 * 13 + 4, 4 * 13 + 5, 3 * 13 + 6, 2 * 13 + 5
    for a, meant in enumerate([left, down, right, up]):
        assert outcomes_of(mdp, 3 * 13 + 5, a) == pytest.approx({
            (place, 0.0, False): 2 / 3 if place == meant else 1 / 9
            for place in (left, down, right, up)})
    assert outcomes_of(mdp, 6 * 13 + 9, 1)[7 * 13 + 9, 1.0, True] == pytest.approx(2 / 3)


def test_without_slips_the_way_to_the_goal_of_the_rooms_is_the_shortest():
    """From (1, 1) through the doorway (3, 6) to (7, 9) there are 14 steps and no detour."""
    best = policy_iteration(four_rooms(success_rate=1.0).mdp(gamma=0.9))
    assert best.objective == pytest.approx(0.9**13, rel=1e-12)


# All of them.


@pytest.mark.parametrize("name, gamma", [(name, gamma) for name in WORLDS for gamma in (0.95, 1.0)
                                         if (name, gamma) != ("teleports", 1.0)])
def test_three_solvers_agree_on_every_map(name, gamma):
    """(planning.1), (planning.2) and (planning.4)."""
    world = WORLDS[name].mdp(gamma=gamma)
    best = policy_iteration(world)
    valued = np.isfinite(best.values)
    assert valued[world.start > 0].all()
    assert gamma == 1 or valued.all()
    for other in value_iteration(world, tol=1e-11), linear_programme(world):
        np.testing.assert_allclose(other.values[valued], best.values[valued], atol=1e-8)
        assert other.objective == pytest.approx(best.objective, abs=1e-8)


def test_without_gymnasium_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "gridworld.gymnasium", raising=False)
    with pytest.raises(ImportError) as found:
        importlib.import_module("gridworld.gymnasium")
    assert str(found.value) == "gridworld.gymnasium needs Gymnasium: pip install 'minirl[gym]'"
    assert found.value.__suppress_context__
