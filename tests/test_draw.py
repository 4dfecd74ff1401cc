"""Drawings, as the exact text that is expected."""

import importlib
import io
import re
import sys

import numpy as np
import pytest

from test_console import colourful

from gridworld.draw import (map_text, painted, policy_text, show, side_by_side, values_text,
                            visits_text)
from gridworld.maps import (LAKE_8X8, cliff_walk, corners, four_rooms, frozen_lake, random_walk,
                            teleports, windy_grid)
from gridworld.world import GridWorld, parse
from minirl.exact.planning import best_actions, policy_iteration

SHIPPED = [frozen_lake(), frozen_lake(LAKE_8X8), cliff_walk(), teleports(), corners(), windy_grid(),
           four_rooms(), random_walk()]

MAP = parse("""
S F #
H 2 G
F C -1.5
""")


def pointing(*actions):
    """A policy (S, 4) that mostly takes these actions."""
    return 0.1 + 0.6 * np.eye(4)[list(actions)]


@pytest.mark.parametrize("moves, drawn", [
    ("LDRU", "← ↓ #\nH → G\n↑ C ←"), ("URDL", "↑ → #\nH ↓ G\n← C ↑")])
def test_a_policy_is_drawn_as_the_arrow_of_each_likeliest_move(moves, drawn):
    world = GridWorld(MAP, moves=moves)
    assert policy_text(world, pointing(0, 1, 2, 3, 2, 1, 3, 2, 0)) == drawn


def test_any_table_is_drawn_like_probabilities_and_each_of_equal_moves_has_an_arrow():
    """What is not available is −∞, and a mask may say which are best."""
    table = np.array([[-3.0, -1.0, -2.0, -9.0], [0.0, 0.0, 1e4, 0.0], [5.0, 5.0, 5.0, 5.0]])
    assert policy_text(GridWorld(parse("SFG")), table) == "↓ → G"
    table = np.array([[0.25] * 4, [0.0, 0.5, 0.0, 0.5]])
    assert policy_text(GridWorld(parse("S\nF")), table) == "←↓→↑\n  ↓↑"
    assert policy_text(GridWorld(parse("SF"), moves="URDL"), table) == "↑→↓←   →←"
    table = np.array([[-np.inf, -2.0, -np.inf, -2.0], [-np.inf, -np.inf, -np.inf, 0.0]])
    assert policy_text(GridWorld(parse("SF")), table) == "↓↑  ↑"
    assert policy_text(GridWorld(parse("SF")), table > -1) == "←↓→↑    ↑"
    best = best_actions(cliff_walk().mdp(gamma=1.0), policy_iteration(cliff_walk().mdp(gamma=1.0)))
    assert policy_text(cliff_walk(), best).split("\n")[1:3] == ["→↓ " * 11 + " ↓",
                                                                " → " * 11 + " ↓"]


@pytest.mark.parametrize("columns, drawn", [(16, "←↓→↑"), (17, "←"), (40, "←"), (41, "←")])
def test_of_equal_moves_the_first_is_drawn_where_80_columns_are_not_enough(columns, drawn):
    text = policy_text(row_of(columns), np.zeros((columns, 4)))
    assert text == (" " * (columns <= 40)).join([drawn] * columns) and len(text) <= 80


def test_values_have_two_decimals_in_columns_of_one_width():
    values = np.array([1.0, -12.5, 9.0, 9.0, 100.004, 9.0, np.nan, 9.0, 0.126])
    assert values_text(GridWorld(MAP), values) == ("  1.00 -12.50      #\n"
                                                   "     H 100.00      G\n"
                                                   "     ·      C   0.13")
    assert values_text(GridWorld(parse("SGH")), np.full(3, np.nan)) == "· G H"
    assert values_text(GridWorld(parse("SFG")), np.array([-0.004, -0.006, 0.0])) == (
        " 0.00 -0.01     G")  # and no negative zero


def row_of(columns):
    return GridWorld(parse("S" * columns))


@pytest.mark.parametrize("columns, value, drawn", [
    (9, -1234.56, "-1234.56"), (9, -12345.67, "-12345.7"), (9, -1234567.89, "-1234568"),
    (13, -123.45, "-123"), (10, -123.45, "-123.45"), (11, -123.44, "-123.4"), (16, 0.81, "0.81"),
    (17, 0.81, "0.8"), (20, 0.81, "0.8"), (21, 0.81, "1"), (27, 11.6, "12"), (40, 0.81, "1")])
def test_values_give_up_decimals_until_80_columns_are_enough(columns, value, drawn):
    text = values_text(row_of(columns), np.full(columns, value))
    assert text == " ".join([drawn] * columns) and len(text) <= 80


def test_numbers_that_no_form_makes_narrow_enough_are_drawn_in_the_last_one_without_spaces():
    assert values_text(row_of(41), np.full(41, -123.45)) == "-123" * 41


def test_the_widest_number_decides_for_all():
    values = np.full(16, 0.5)
    values[7] = 10.25
    assert values_text(row_of(16), values).split()[6:9] == ["0.5", "10.2", "0.5"]


def test_words_give_up_their_spaces_where_nothing_else_helps():
    for columns, gap in (40, " "), (41, ""), (80, ""):
        text = gap.join("S" * columns)
        assert map_text(row_of(columns)) == text and len(text) <= 80
        assert policy_text(row_of(columns), pointing(*[2] * columns)) == text.replace("S", "→")


def test_the_map_itself_is_drawn_with_its_numbers():
    assert map_text(GridWorld(MAP)) == ("   S    F    #\n"
                                        "   H    2    G\n"
                                        "   F    C -1.5")


@pytest.mark.parametrize("world", [*SHIPPED, GridWorld(MAP),
                                   GridWorld(parse("S 12 0.001\nF -7 1234567.5\n9 0.123456789 G"))],
                         ids=lambda world: str(world.shape))
def test_a_map_that_is_drawn_can_be_read_again(world):
    assert parse(map_text(world)) == world.cells


def test_visits_are_whole_numbers_and_symbols_stand_for_themselves():
    visits = np.array([1234567, 0, 5, 5, 20, 5, 1, 5, 300])
    assert visits_text(GridWorld(MAP), visits) == ("1234567       0       #\n"
                                                   "      H      20       G\n"
                                                   "      1       C     300")
    assert visits_text(GridWorld(MAP), visits.astype(float)) == visits_text(GridWorld(MAP), visits)
    assert visits_text(GridWorld(parse("SFG")), np.array([1.0, 2.5, 3.0])) == "1.00 2.50    G"


@pytest.mark.parametrize("columns, count, drawn", [
    (16, 1234, "1234"), (17, 1234, "1k"), (13, 12345, "12345"), (13, 123456, "123k"),
    (13, 12345678, "12M"), (16, 999400, "999k"), (20, 1600000, "2M"), (27, 1400000, "1M")])
def test_visits_are_counted_in_thousands_or_millions_if_80_columns_want_it(columns, count, drawn):
    text = visits_text(row_of(columns), np.full(columns, count))
    assert text == " ".join([drawn] * columns) and len(text) <= 80


@pytest.mark.parametrize("world", SHIPPED, ids=lambda world: str(world.shape))
def test_every_drawing_of_a_map_of_the_book_is_at_most_80_columns_wide(world):
    """And one word a cell, so that the columns can be told apart."""
    n = len(world.symbols)
    drawings = [map_text(world), policy_text(world, pointing(*np.arange(n) % 4)),
                values_text(world, np.full(n, -123.45)), values_text(world, np.full(n, np.nan)),
                visits_text(world, np.full(n, 12_345_678)), visits_text(world, np.full(n, 9999.5))]
    for drawing in drawings:
        lines = drawing.split("\n")
        assert max(map(len, lines)) <= 80
        assert [len(line.split()) for line in lines] == [world.shape[1]] * world.shape[0]


def test_blocks_of_unequal_size_stand_side_by_side_without_trailing_space():
    titled = {"a": "1\n2 2\n3", "long title": "x", "c": "y\nz"}
    assert side_by_side(titled) == ("a      long title    c\n"
                                    "1      x             y\n"
                                    "2 2                  z\n"
                                    "3")
    assert side_by_side({"a": "1", "b": "2"}, gap=" | ") == "a | b\n1 | 2"
    assert side_by_side({"title": "← →\n↑ G"}) == "title\n← →\n↑ G"


def test_symbols_that_stand_alone_are_painted_and_nothing_else():
    assert painted("S H C # G F ←↓\nG") == (
        "\x1b[1mS\x1b[0m \x1b[34mH\x1b[0m \x1b[31mC\x1b[0m \x1b[2m#\x1b[0m \x1b[32mG\x1b[0m F "
        "\x1b[36m←↓\x1b[0m\n\x1b[32mG\x1b[0m")
    for arrow in "←↓→↑":
        assert painted(arrow) == f"\x1b[36m{arrow}\x1b[0m"
    text = "Goals SARSA Q-learning G. 0.50 #1 HC s→a"
    assert painted(text) == text
    drawing = map_text(four_rooms())
    assert re.sub("\x1b\\[[0-9]+m", "", painted(drawing)) == drawing != painted(drawing)


def test_a_drawing_is_shown_in_colour_on_a_terminal_only(monkeypatch, capsys):
    terminal, file = colourful(monkeypatch), io.StringIO()
    show("F G", terminal)
    show("F G", file)
    show("F G")
    assert terminal.getvalue() == "F \x1b[32mG\x1b[0m\n"
    assert file.getvalue() == capsys.readouterr().out == "F G\n"


@pytest.mark.parametrize("encoding, shown", [
    ("cp1252", "< v > ^ . G 0.50"), ("ascii", "< v > ^ . G 0.50"), ("latin-1", "< v > ^ . G 0.50"),
    ("utf-8", "← ↓ → ↑ · G 0.50"), ("utf-16", "← ↓ → ↑ · G 0.50")])
def test_arrows_that_cannot_be_shown_become_others(encoding, shown):
    """The columns stay as they are."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    show("← ↓ → ↑ · G 0.50", file)
    show("· é", file)
    file.flush()
    first, second = file.buffer.getvalue().decode(encoding).splitlines()
    assert first == shown
    assert second == ("· é" if encoding != "ascii" else ". ?")


def test_without_matplotlib_one_sentence_says_what_to_install(monkeypatch):
    for name in "matplotlib", "matplotlib.figure":
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "gridworld.figures", raising=False)
    with pytest.raises(ImportError) as found:
        importlib.import_module("gridworld.figures")
    assert str(found.value) == "pictures need matplotlib: pip install 'minirl-book[plot]'"
    assert found.value.__suppress_context__
