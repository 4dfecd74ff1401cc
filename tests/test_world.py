"""Gridworlds: maps that are read or refused, and the rules against a transcription by loops."""

from collections import defaultdict
import re

import numpy as np
import pytest

from gridworld.world import GridWorld, parse

CYCLES = ["LDRU", "DRUL", "RULD", "ULDR", "LURD", "URDL", "RDLU", "DLUR"]
EVERYTHING = """
S F # 2.5
F H F -1
# F F G
F # S F
"""
CLIFF = """
3FF#
FCFG
SC0H
"""


def outcomes_by_loops(text, moves, success_rate, rewards):
    """{(s, a): {(next state, reward, ended): probability}} from the rules, without arrays."""
    cells = {(row, column): cell for row, line in enumerate(text.split("\n")[1:-1])
             for column, cell in enumerate(line.split() if " " in line else line)}
    columns = 1 + max(column for _, column in cells)
    home = next(place for place, cell in cells.items() if cell == "S")

    def walk(place, move):
        row, column = place
        target = {"L": (row, column - 1), "R": (row, column + 1),
                  "U": (row - 1, column), "D": (row + 1, column)}[move]
        if cells.get(target, "#") == "#":
            target = place
        cell = cells[target]
        pay = rewards.get(cell, 0.0) if cell.isalpha() else float(cell)
        return home if cell == "C" else target, pay, cell in "GH"

    table = {}
    for place, cell in cells.items():
        for a, move in enumerate(moves):
            chances = defaultdict(float)
            for other in "LDRU":
                sideways = (other in "LR") != (move in "LR")
                chance = (1 - success_rate) / 2 if sideways else success_rate * (other == move)
                (row, column), pay, ended = ((place, 0.0, True) if cell in "GH#"
                                             else walk(place, other))
                chances[row * columns + column, pay, ended] += chance
            table[place[0] * columns + place[1], a] = {k: v for k, v in chances.items() if v > 0}
    return table


def outcomes_of(mdp):
    """The same from the arrays of a `TabularMDP`."""
    table = defaultdict(lambda: defaultdict(float))
    for (s, a, k), chance in np.ndenumerate(mdp.prob):
        if chance > 0:
            table[s, a][int(mdp.next_state[s, a, k]), float(mdp.reward[s, a, k]),
                        bool(mdp.terminated[s, a, k])] += chance
    return table


def outcomes_in_order(mdp, s, a):
    return list(zip(mdp.prob[s, a].round(12).tolist(), mdp.next_state[s, a].tolist(),
                    mdp.reward[s, a].tolist(), mdp.terminated[s, a].tolist()))


# Maps.


def test_cells_are_symbols_and_digits_that_pay():
    assert parse("SFGHC#") == (("S", "F", "G", "H", "C", "#"),)
    assert parse("S07\n9F3") == (("S", 0.0, 7.0), (9.0, "F", 3.0))


def test_a_line_with_spaces_is_read_as_words():
    assert parse("S 12 -2.5\nF\t1e-3  #") == (("S", 12.0, -2.5), ("F", 0.001, "#"))


def test_rows_of_letters_and_of_words_may_be_mixed():
    assert parse("SFG\nF -5 3") == (("S", "F", "G"), ("F", -5.0, 3.0))


def test_blank_lines_and_the_space_around_a_line_are_skipped():
    assert parse("\n\n  SF  \n \t \r\n\tFG\n\n") == (("S", "F"), ("F", "G"))


@pytest.mark.parametrize("text, line, column, word", [
    ("SFX", 1, 3, "X"), ("SF\nsF", 2, 1, "s"), ("\n\nSF\nF?", 4, 2, "?"), ("SF\n-5", 2, 1, "-"),
    ("S  F x", 1, 3, "x"), ("S nan", 1, 2, "nan"), ("S F\n\nF -inf", 3, 2, "-inf"),
    ("S 1e999", 1, 2, "1e999"), ("SF\nF\u00b2", 2, 2, "\u00b2"), ("S GG", 1, 2, "GG"),
])
def test_an_unknown_cell_is_refused_by_line_and_column(text, line, column, word):
    message = (f"map line {line}, column {column}: {word!r} is neither one of S F G H C # "
               f"nor a number")
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize("word", ["SF", "FG", "GHC", "SFGHC#"])
def test_letters_without_a_space_between_them_are_no_cell_of_a_line_of_words(word):
    with pytest.raises(ValueError, match=re.escape(f"map line 1, column 2: {word!r} is neither")):
        parse(f"S {word}")


@pytest.mark.parametrize("text, line, column, cells, first", [
    ("SF\nF", 2, 2, 1, 2), ("SF\nFFFF", 2, 3, 4, 2), ("\nSFF\n\nFFF\nF 1\n", 5, 3, 2, 3)])
def test_a_ragged_map_is_refused_where_the_row_departs(text, line, column, cells, first):
    message = f"map line {line}, column {column}: this row has {cells} cells, the first one {first}"
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize("text, rows", [("FG\nFF", 2), ("", 0), (" \n\n", 0)])
def test_a_map_without_a_start_is_refused(text, rows):
    with pytest.raises(ValueError, match=f"needs a start, S, and its {rows} rows have none"):
        parse(text)


# Rules.


@pytest.mark.parametrize("moves", CYCLES)
@pytest.mark.parametrize("success_rate", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("text", [EVERYTHING, CLIFF])
def test_every_outcome_follows_the_rules(text, moves, success_rate):
    rewards = {"S": -0.5, "F": -1.0, "G": 10.0, "H": -7.0, "C": -100.0, "#": 1000.0}
    world = GridWorld(parse(text), moves=moves, success_rate=success_rate, rewards=rewards)
    found = outcomes_of(world.mdp(gamma=0.9))
    expected = outcomes_by_loops(text, moves, success_rate, rewards)
    assert found.keys() == expected.keys()
    for pair, chances in expected.items():
        assert found[pair] == pytest.approx(chances, abs=1e-12)


def test_a_slip_goes_to_the_two_sides_in_the_order_of_the_moves():
    """Cell 1 of a tiny map, by hand: a wall to the left below, the goal below, edges elsewhere."""
    left, down, right, up = (0, 0.0, False), (3, 1.0, True), (1, 0.0, False), (1, 0.0, False)
    lake = GridWorld(parse("SF\n#G"), moves="LDRU", success_rate=0.8).mdp(gamma=1.0)
    assert outcomes_in_order(lake, 1, 0) == [(0.1, *up), (0.8, *left), (0.1, *down)]
    assert outcomes_in_order(lake, 1, 1) == [(0.1, *left), (0.8, *down), (0.1, *right)]
    assert outcomes_in_order(lake, 1, 2) == [(0.1, *down), (0.8, *right), (0.1, *up)]
    assert outcomes_in_order(lake, 1, 3) == [(0.1, *right), (0.8, *up), (0.1, *left)]
    cliff = GridWorld(parse("SF\n#G"), moves="URDL", success_rate=0.8).mdp(gamma=1.0)
    assert outcomes_in_order(cliff, 1, 0) == [(0.1, *left), (0.8, *up), (0.1, *right)]
    assert outcomes_in_order(cliff, 1, 1) == [(0.1, *up), (0.8, *right), (0.1, *down)]
    assert outcomes_in_order(cliff, 1, 2) == [(0.1, *right), (0.8, *down), (0.1, *left)]
    assert outcomes_in_order(cliff, 1, 3) == [(0.1, *down), (0.8, *left), (0.1, *up)]


def test_walls_and_edges_stop_a_move():
    mdp = GridWorld(parse("SF\n#G")).mdp(gamma=1.0)
    assert mdp.next_state.shape == (4, 4, 1)
    assert mdp.next_state[0].ravel().tolist() == [0, 0, 1, 0]
    assert mdp.next_state[1].ravel().tolist() == [0, 3, 1, 1]


def test_an_action_has_three_outcomes_on_ice_and_one_elsewhere():
    for success_rate, outcomes in (1.0, 1), (0.999, 3), (1 / 3, 3), (0.0, 3):
        mdp = GridWorld(parse("SFG"), success_rate=success_rate).mdp(gamma=1.0)
        assert mdp.prob.shape == (3, 4, outcomes)
        assert mdp.prob.sum(axis=2) == pytest.approx(np.ones((3, 4)), abs=1e-12)


def test_rewards_are_paid_on_entering_and_again_by_a_move_that_stays():
    mdp = GridWorld(parse("S4#\nFGF"), rewards={"S": -1.0, "G": 5.0}).mdp(gamma=1.0)
    left, down, right, up = range(4)
    assert mdp.reward[:2, :, 0].tolist() == [[-1.0, 0.0, 4.0, -1.0], [-1.0, 5.0, 4.0, 4.0]]
    assert mdp.reward[5, [left, down, right, up], 0].tolist() == [5.0, 0.0, 0.0, 0.0]


def test_only_a_goal_pays_by_default():
    mdp = GridWorld(parse("SGH")).mdp(gamma=1.0)
    assert mdp.reward[0, :, 0].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert not GridWorld(parse("SHG")).mdp(gamma=1.0).reward[0].any()


def test_nothing_happens_any_more_in_a_goal_a_hole_or_a_wall():
    for success_rate in 1.0, 1 / 3:
        world = GridWorld(parse("SG\nH#"), success_rate=success_rate,
                          rewards={"G": 1.0, "H": -1.0, "S": -1.0})
        found = outcomes_of(world.mdp(gamma=1.0))
        for s in 1, 2, 3:
            for a in range(4):
                assert found[s, a] == pytest.approx({(s, 0.0, True): 1.0})


def test_a_cliff_leads_back_to_the_start_and_does_not_end():
    mdp = GridWorld(parse("FC\nSG"), rewards={"C": -9.0}).mdp(gamma=1.0)
    assert outcomes_in_order(mdp, 0, 2) == [(1.0, 2, -9.0, False)]


def test_several_starts_are_equally_likely():
    start = GridWorld(parse("SF\nSS")).mdp(gamma=1.0).start
    assert start == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert GridWorld(parse("FFS")).mdp(gamma=1.0).start.tolist() == [0.0, 0.0, 1.0]


def test_a_world_knows_its_shape_and_its_discount():
    world = GridWorld(parse("SFG\nFFF"))
    assert world.shape == (2, 3) and world.mdp(gamma=0.75).gamma == 0.75


@pytest.mark.parametrize("moves", ["", "LDR", "LRDU", "LDRUL", "ldru", "LLLL", "UDLR", "LDRR"])
def test_moves_in_no_cyclic_order_are_refused(moves):
    message = f"moves must be L, D, R, U in a cyclic order, got {moves!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        GridWorld(parse("SG"), moves=moves)


@pytest.mark.parametrize("moves", ["DRUU", "RUUR", "UURD"])
def test_moves_that_name_a_direction_twice_are_refused(moves):
    with pytest.raises(ValueError, match="moves must be L, D, R, U in a cyclic order"):
        GridWorld(parse("SG"), moves=moves)


@pytest.mark.parametrize("success_rate", [-0.1, 1.1, np.nan, np.inf])
def test_a_success_rate_that_is_no_probability_is_refused(success_rate):
    with pytest.raises(ValueError, match=re.escape(f"must lie in [0, 1], got {success_rate}")):
        GridWorld(parse("SG"), success_rate=success_rate)


@pytest.mark.parametrize("symbol", ["X", "g", "SF", ""])
def test_a_reward_for_no_symbol_is_refused(symbol):
    message = f"rewards must be named by one of S F G H C #, got {symbol!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        GridWorld(parse("SG"), rewards={"G": 1.0, symbol: 2.0})


def test_a_cliff_needs_exactly_one_start():
    with pytest.raises(ValueError, match="exactly one start, got 2"):
        GridWorld(parse("SCS"))


@pytest.mark.parametrize("gamma", [-0.1, 1.1, np.nan])
def test_an_impossible_gamma_is_refused(gamma):
    with pytest.raises(ValueError, match=re.escape(f"gamma must lie in [0, 1], got {gamma}")):
        GridWorld(parse("SG")).mdp(gamma=gamma)
