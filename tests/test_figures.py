"""Pictures: what stands where on them, read back from the figure itself."""

import io
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from gridworld.figures import heat_map, training_curve
from gridworld.maps import corners, frozen_lake, teleports, windy_grid
from gridworld.world import MOVES, GridWorld, parse
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective
from minirl.play.reinforce import reinforce
from minirl.play.training import start

WORLD = GridWorld(parse("SF#\nGH4"))
VALUES = np.array([0.25, -1.5, 9.0, 9.0, 9.0, 3.126])


def words(figure):
    """{(column, row of the map): words in this cell, from the top}."""
    cells = {}
    for text in sorted(figure.axes[0].texts, key=lambda text: text.get_position()[1]):
        if text.get_text():
            x, y = text.get_position()
            cells.setdefault((round(x), round(y)), []).append(text.get_text())
    return cells


def arrows(figure):
    """{(column, row of the map): {the move that an arrow shows: its length}}."""
    cells = {}
    for text in figure.axes[0].texts:
        if getattr(text, "arrow_patch", None) is not None:
            (x, y), (to_x, to_y) = text.xyann, text.xy
            length = np.hypot(to_x - x, to_y - y)
            move, = (move for move, (down, right) in MOVES.items()
                     if (to_x - x, to_y - y) == pytest.approx((length * right, length * down)))
            cells.setdefault((round(x), round(y)), {})[move] = length
    return cells


def test_each_cell_carries_its_symbol_or_its_value_and_the_colour_of_its_value():
    """The rows of the map run downwards.  A figure of pyplot would have a manager, which keeps it
    in memory until it is closed; this one belongs to the caller alone."""
    values = VALUES.copy()
    figure = heat_map(WORLD, values)
    axes, scale = figure.axes
    assert words(figure) == {(0, 0): ["S", "0.25"], (1, 0): ["−1.50"],
                             (0, 1): ["G"], (1, 1): ["H"], (2, 1): ["3.13"]}
    shown = axes.images[0].get_array()
    assert np.ma.getmaskarray(shown).tolist() == [[False, False, True], [True, True, False]]
    assert shown.compressed().tolist() == [0.25, -1.5, 3.126]
    assert axes.images[0].get_clim() == (-1.5, 3.126)
    assert axes.get_title() == "" and scale.get_ylabel() == "value" and arrows(figure) == {}
    (bottom, top), (left, right) = axes.get_ylim(), axes.get_xlim()
    assert bottom > top and left < right and figure.canvas.manager is None
    assert not len(axes.get_xticks()) and not len(axes.get_yticks()) and (values == VALUES).all()
    axes, scale = heat_map(WORLD, VALUES, title="the lake", label="visits").axes
    assert axes.get_title() == "the lake" and scale.get_ylabel() == "visits"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_cell_without_a_finite_value_stays_uncoloured_and_carries_its_symbol(value):
    figure = heat_map(WORLD, np.append(VALUES[:5], value))
    image, = figure.axes[0].images
    assert np.ma.getmaskarray(image.get_array())[1, 2] and image.get_clim() == (-1.5, 0.25)
    assert words(heat_map(WORLD, np.array([value, 2.0, 0, 0, 0, 1.0])))[0, 0] == ["S"]


def test_words_are_light_on_dark_and_dark_on_light():
    figure = heat_map(GridWorld(parse("SFFF")), np.array([0.0, 0.1, 0.9, 1.0]))
    assert [text.get_color() for text in figure.axes[0].texts] == ["black"] * 3 + ["white"] * 2
    image, = figure.axes[0].images
    brightness = image.cmap(image.norm([0.0, 1.0]))[:, :3].mean(axis=1)
    assert brightness[0] > 0.7 and brightness[1] < 0.3


@pytest.mark.parametrize("moves", ["LDRU", "URDL"])
def test_a_policy_is_drawn_as_an_arrow_for_each_likely_move(moves):
    world = GridWorld(parse("SF#\nGH4"), moves=moves)
    policy = np.full((6, 4), 0.25)
    policy[0] = 0.5, 0.0, 0.5, 0.0
    policy[1] = np.eye(4)[3]
    policy[5] = 0.005, 0.98, 0.005, 0.01
    before = policy.copy()
    found = arrows(heat_map(world, VALUES, policy=policy))
    assert {cell: "".join(sorted(lengths)) for cell, lengths in found.items()} == {
        (0, 0): "".join(sorted(moves[0] + moves[2])), (1, 0): moves[3], (2, 1): moves[1]}
    assert (policy == before).all()


def test_an_arrow_is_as_long_as_its_move_is_likely_and_leaves_room_for_the_number():
    figure = heat_map(GridWorld(parse("SF")), np.array([0.0, 1.0]),
                      policy=np.array([[0.2, 0.2, 0.4, 0.2], [1.0, 0, 0, 0]]))
    lengths = arrows(figure)
    assert lengths[0, 0]["R"] == pytest.approx(2 * lengths[0, 0]["L"])
    assert lengths[1, 0]["L"] == pytest.approx(5 * lengths[0, 0]["L"])
    assert lengths[0, 0]["U"] == pytest.approx(lengths[0, 0]["D"])
    assert lengths[1, 0]["L"] < 0.5
    numbers = {text.get_position()[1] for text in figure.axes[0].texts
               if text.get_text() not in ("", "S")}
    assert max(text.xy[1] for text in figure.axes[0].texts
               if hasattr(text, "xyann")) < min(numbers)


@pytest.mark.parametrize("values", [np.full(16, np.nan), np.full(16, -1e6)])
def test_a_picture_is_written_without_a_warning(values):
    file = io.BytesIO()
    figure = heat_map(corners(), values, policy=np.full((16, 4), 0.25))
    figure.savefig(file, format="png", dpi=30)
    assert file.getvalue().startswith(b"\x89PNG")


def test_goals_holes_cliffs_and_walls_are_told_apart_without_colours():
    """A frame, a wall that is filled, a disc, and what is hatched; three of them with letters."""
    figure = heat_map(GridWorld(parse("SG#\nFHC")), np.arange(6.0))
    goal, wall, hole, cliff = figure.axes[0].patches
    assert (goal.get_fill(), wall.get_fill(), cliff.get_hatch()) == (False, True, "////")
    assert (*hole.get_center(), hole.get_radius()) == (1, 1, 0.37)
    assert [(patch.get_x() > column - 0.51, patch.get_y() > row - 0.51) for patch, row, column in
            ((goal, 0, 1), (wall, 0, 2), (cliff, 1, 2))] == 3 * [(True, True)]
    found = words(figure)
    assert (found[1, 0], found[1, 1], found[2, 1]) == (["G"], ["H"], ["C"])


def test_starts_teleports_and_wind_are_drawn():
    windy = heat_map(windy_grid(), np.zeros(70)).axes[0]
    assert [label.get_text() for label in windy.get_xticklabels()] == [
        "", "", "", "↑1", "↑1", "↑1", "↑2", "↑2", "↑1", ""]
    assert words(windy.figure)[0, 3] == ["S", "0.00"] and windy.get_xlabel() == "wind, in cells"
    found = words(heat_map(teleports(), np.arange(25.0)))
    assert (found[1, 0], found[1, 4]) == (["A", "1.0"], ["a", "21.0"])
    assert (found[3, 0], found[3, 2]) == (["B", "3.0"], ["b", "13.0"])


@pytest.mark.parametrize("name, accepted, shapes", [
    ("values", "(16,)", [(15,), (4, 4), (16, 1)]),
    ("policy", "(16, 4)", [(15, 4), (16, 3), (16,)])])
def test_what_does_not_fit_the_map_is_refused(name, accepted, shapes):
    for shape in shapes:
        arguments = {"values": np.zeros(16), "policy": None, name: np.zeros(shape)}
        with pytest.raises(ValueError) as found:
            heat_map(frozen_lake(), **arguments)
        assert str(found.value) == f"{name} must have shape {accepted}, got {shape}"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "svg", None])
def test_the_window_of_a_notebook_is_not_asked_for_and_stays_what_it_is(backend):
    """A name that matplotlib does not know made its import fail."""
    program = ("import os, sys, gridworld.figures, matplotlib; "
               "name = os.environ.get('MPLBACKEND'); "
               "print(name, 'matplotlib.pyplot' in sys.modules, "
               "name != 'svg' or matplotlib.rcParams['backend'])")
    others = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8",
                          cwd=Path(__file__).parent.parent,
                          env=others | ({"MPLBACKEND": backend} if backend else {}))
    assert done.stdout == f"{backend} False {'svg' if backend == 'svg' else True}\n", done.stderr


def test_a_curve_shows_the_exact_worth_of_every_record_and_the_optimum():
    lake = frozen_lake().mdp(gamma=0.95)
    records = [record for record, _ in zip(reinforce(lake, start(lake, rng=0)), range(4))]
    policy, optimum = training_curve(lake, records).axes[0].lines
    assert list(policy.get_xdata()) == [1, 2, 3, 4]
    assert list(policy.get_ydata()) == [objective(lake, record.policy) for record in records]
    assert set(optimum.get_ydata()) == {policy_iteration(lake).objective}
