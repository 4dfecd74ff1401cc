"""The maps of the literature, by published numbers; `test_gymnasium` has the laws of three."""

import importlib
import sys

import numpy as np
import pytest

from gridworld.maps import (LAKE_8X8, cliff_walk, corners, four_rooms, frozen_lake, random_walk,
                            teleports, windy_grid)
from minirl.exact.evaluation import action_values, evaluate
from minirl.kernel.mdp import unroll
from minirl.exact.planning import policy_iteration


@pytest.mark.parametrize("world, gamma, J", [
    (frozen_lake(), 1.0, 14 / 17), (frozen_lake(LAKE_8X8), 1.0, 1.0),
    (cliff_walk(), 0.99, -(1 - 0.99**13) / 0.01), (windy_grid(), 1.0, -15),
    (four_rooms(success_rate=1.0), 0.9, 0.9**13)])
def test_the_best_walk_is_worth_what_is_known(world, gamma, J):
    """Over the lakes 14 times of 17, and surely; along the cliff in 13 steps, through the wind in
    15 (Sutton and Barto, example 6.5), through the doorway (3, 6) of the rooms in 14."""
    assert policy_iteration(world.mdp(gamma=gamma)).objective == pytest.approx(J, abs=1e-9)


def test_within_100_steps_the_best_walk_over_the_4x4_lake_is_worth_0_7442():
    best = policy_iteration(unroll(frozen_lake().mdp(gamma=1.0), 100)).objective
    assert round(best, 4) == 0.7442


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


def test_the_wind_is_written_below_the_columns_of_the_figure():
    """Sutton and Barto, example 6.5."""
    grid = windy_grid()
    assert grid.shape == (7, 10) and grid.wind == (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
    assert grid.places["S"] == [30] and grid.places["G"] == [37]


def test_the_random_walk_ends_on_the_right_with_a_sixth_more_at_each_step():
    """Sutton and Barto, example 6.2."""
    world = random_walk().mdp(gamma=1.0)
    values = evaluate(world, np.tile([0.5, 0.0, 0.5, 0.0], (7, 1)))
    np.testing.assert_allclose(values[1:6], np.arange(1, 6) / 6, atol=1e-12)
    assert world.start.tolist() == [0, 0, 0, 1, 0, 0, 0]


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
        assert sorted(mdp.P[3 * 13 + 5][a]) == [
            (pytest.approx(2 / 3 if place == meant else 1 / 9), place, 0.0, False)
            for place in sorted((left, down, right, up), key=lambda place: (place == meant, place))]
    assert (pytest.approx(2 / 3), 7 * 13 + 9, 1.0, True) in mdp.P[6 * 13 + 9][1]


def test_without_gymnasium_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "gridworld.gymnasium", raising=False)
    with pytest.raises(ImportError) as found:
        importlib.import_module("gridworld.gymnasium")
    assert str(found.value) == "gridworld.gymnasium needs Gymnasium: pip install 'minirl-book[gym]'"
    assert found.value.__suppress_context__
