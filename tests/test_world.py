"""Gridworlds: maps that are read or refused, and the rules against a transcription by loops."""

from collections import defaultdict

import numpy as np
import pytest

from gridworld.world import OTHERS, SIDES, GridWorld, parse, read_map

CYCLES = ["LDRU", "DRUL", "RULD", "ULDR", "LURD", "URDL", "RDLU", "DLUR"]
WEATHER = """
F A  # F B  2
# F  C F F  G
S F  F # a  F
4 H  F b F -1.5
F F  # F F  F
"""
WIND = 1, -2, 0, 2, 3, -1
NO_RULES = {"wind": (), "leaving": {}, "step_reward": 0.0, "bump_reward": 0.0}
RULES = {"wind": WIND, "leaving": {"A": 10.0, "F": 0.25, "S": -0.125, "a": 3.0, "G": 99.0},
         "step_reward": -1.0, "bump_reward": -0.5}
PAY = {"S": -0.5, "F": -2.0, "G": 10.0, "H": -7.0, "C": -100.0, "#": 1000.0, "A": 20.0, "a": 5.0,
       "b": 0.75}


def outcomes_by_loops(text, moves, success_rate, rewards, *, others, wind, leaving, step_reward,
                      bump_reward):
    """{(s, a): {(next state, reward, ended): probability}} from the rules, without arrays.

    `others` says whether a slip may go in any of the other three directions.
    """
    cells = {(row, column): cell for row, line in enumerate(text.split("\n")[1:-1])
             for column, cell in enumerate(line.split() if " " in line else line)}
    columns = 1 + max(column for _, column in cells)

    def the(symbol):
        place, = (place for place, cell in cells.items() if cell == symbol)
        return place

    def beside(place, move):
        row, column = place
        target = {"L": (row, column - 1), "R": (row, column + 1),
                  "U": (row - 1, column), "D": (row + 1, column)}[move]
        return target if cells.get(target, "#") != "#" else None

    def walk(place, move):
        pay = step_reward + leaving.get(cells[place], 0.0)
        if cells[place] in ("A", "B"):
            target = the(cells[place].lower())
        else:
            target = beside(place, move)
            if target is None:
                target, pay = place, pay + bump_reward
            breeze = wind[place[1]] if wind else 0
            for _ in range(abs(breeze)):
                target = beside(target, "U" if breeze > 0 else "D") or target
        cell = cells[target]
        pay += rewards.get(cell, 0.0) if cell.isalpha() else float(cell)
        return the("S") if cell == "C" else target, pay, cell in "GH"

    table = {}
    for place, cell in cells.items():
        for a, move in enumerate(moves):
            chances = defaultdict(float)
            for other in "LDRU":
                if other == move:
                    chance = success_rate
                elif others:
                    chance = (1 - success_rate) / 3
                else:
                    chance = (1 - success_rate) / 2 * ((other in "LR") != (move in "LR"))
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


def test_cells_are_symbols_digits_that_pay_and_in_a_line_with_spaces_words():
    assert parse("SFGHC#") == (("S", "F", "G", "H", "C", "#"),)
    assert parse("AaBb\nSFFF") == (("A", "a", "B", "b"), ("S", "F", "F", "F"))
    assert parse("S07\n9F3") == (("S", 0.0, 7.0), (9.0, "F", 3.0))
    assert parse("S 12 -2.5\nF\t1e-3  #") == (("S", 12.0, -2.5), ("F", 0.001, "#"))
    assert parse("SFG\nF -5 3") == (("S", "F", "G"), ("F", -5.0, 3.0))  # rows of both kinds
    assert parse("\n\n  SF  \n \t \r\n\tFG\n\n") == (("S", "F"), ("F", "G"))


def test_a_map_file_is_read_like_a_map(tmp_path):
    path = tmp_path / "map.txt"
    path.write_bytes("\ufeffS F 2.5\r\n\r\nFFG\r\n".encode())
    assert read_map(path) == parse("S F 2.5\nFFG") == (("S", "F", 2.5), ("F", "F", "G"))


def check_every_outcome(text, moves, success_rate, slip, rules):
    world = GridWorld(parse(text), moves=moves, success_rate=success_rate, slip=slip, rewards=PAY,
                      **rules)
    found = outcomes_of(world.mdp(gamma=0.9))
    expected = outcomes_by_loops(text, moves, success_rate, PAY, others=slip is OTHERS, **rules)
    assert found.keys() == expected.keys()
    for step, chances in expected.items():
        assert found[step] == pytest.approx(chances, abs=1e-12)


@pytest.mark.parametrize("moves", CYCLES)
@pytest.mark.parametrize("slip", [SIDES, OTHERS])
def test_every_outcome_follows_the_rules(moves, slip):
    for success_rate in 1.0, 0.6, 0.0:
        for rules in NO_RULES, {**RULES, "wind": WIND}:
            check_every_outcome(WEATHER, moves, success_rate, slip, rules)
    for wind in (), tuple(-strength for strength in WIND), (9,) * 6:
        check_every_outcome(WEATHER, moves, 0.6, slip, {**RULES, "wind": wind})


@pytest.mark.parametrize("moves", ["LDRU", "URDL"])
def test_a_slip_goes_aside_in_the_order_of_the_moves_and_may_prefer_one_way(moves):
    """Cell 1 of a tiny map, by hand: a wall to the left below, the goal below, edges elsewhere.
    One quarter turn further is the next move of the string: from left, down or up."""
    beside = {"L": (0, 0.0, False), "D": (3, 1.0, True), "R": (1, -2.0, False),
              "U": (1, -2.0, False)}
    rules = {"moves": moves, "rewards": {"G": 1.0, "F": -2.0}}
    even = GridWorld(parse("SF\n#G"), success_rate=0.8, **rules).mdp(gamma=1.0)
    uneven = GridWorld(parse("SF\n#G"), success_rate=0.5, slip={-1: 0.1, 1: 0.3, 2: 0.6},
                       **rules).mdp(gamma=1.0)
    for a in range(4):
        before, own, after, back = (beside[moves[(a + turn) % 4]] for turn in (-1, 0, 1, 2))
        assert outcomes_in_order(even, 1, a) == [(0.1, *before), (0.8, *own), (0.1, *after)]
        assert outcomes_in_order(uneven, 1, a) == [(0.05, *before), (0.5, *own), (0.15, *after),
                                                   (0.3, *back)]


def test_a_slip_to_one_side_alone_has_two_outcomes():
    mdp = GridWorld(parse("SFG"), success_rate=0.75, slip={2: 1.0, 1: 0.0}).mdp(gamma=1.0)
    assert outcomes_in_order(mdp, 1, 2) == [(0.75, 2, 1.0, True), (0.25, 0, 0.0, False)]


def test_a_move_ends_where_the_wind_has_carried_it():
    """It stays put, pays for the edge, and is blown over a hole into which it does not fall."""
    world = GridWorld(parse("F\nH\nS"), wind=(2,), bump_reward=-1.0, step_reward=-0.5,
                      rewards={"H": -10.0, "F": 4.0})
    assert outcomes_in_order(world.mdp(gamma=1.0), 2, 0) == [(1.0, 0, 2.5, False)]


def test_the_strength_of_a_wind_may_be_a_whole_float():
    one, other = (GridWorld(parse("FF\nSF"), wind=wind).mdp(gamma=1.0).next_state.tolist()
                  for wind in ((0, 1), (0.0, np.float64(1))))
    assert one == other


def test_a_teleport_knows_no_direction_no_wind_and_no_bump():
    world = GridWorld(parse("ASa"), wind=(1, 0, 0), leaving={"A": 10.0}, rewards={"a": 2.0},
                      bump_reward=-1.0, success_rate=0.5)
    found = outcomes_of(world.mdp(gamma=1.0))
    for a in range(4):
        assert found[0, a] == pytest.approx({(2, 12.0, False): 1.0})


def test_the_shares_of_a_slip_belong_to_one_world():
    first, second = GridWorld(parse("SFG")), GridWorld(parse("SFG"))
    first.slip[2] = 9.0
    assert second.slip == SIDES == {-1: 0.5, 1: 0.5}


def test_an_action_has_three_outcomes_on_ice_and_one_elsewhere():
    for success_rate, outcomes in (1.0, 1), (0.999, 3), (1 / 3, 3), (0.0, 2):
        mdp = GridWorld(parse("SFG"), success_rate=success_rate).mdp(gamma=1.0)
        assert mdp.prob.shape == (3, 4, outcomes)
        assert mdp.prob.sum(axis=2) == pytest.approx(np.ones((3, 4)), abs=1e-12)
    for success_rate, outcomes in (1.0, 1), (2 / 3, 4), (0.0, 3):
        world = GridWorld(parse("SFG"), success_rate=success_rate, slip=OTHERS)
        assert world.mdp(gamma=1.0).prob.shape == (3, 4, outcomes)


def test_only_a_goal_pays_by_default():
    mdp = GridWorld(parse("SGH")).mdp(gamma=1.0)
    assert mdp.reward[0, :, 0].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert not GridWorld(parse("SHG")).mdp(gamma=1.0).reward[0].any()


def test_several_starts_are_equally_likely():
    start = GridWorld(parse("SF\nSS")).mdp(gamma=1.0).start
    assert start == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert GridWorld(parse("FFS")).mdp(gamma=1.0).start.tolist() == [0.0, 0.0, 1.0]


def test_a_world_knows_its_shape_its_discount_and_its_symbols():
    world = GridWorld(parse("SFG\nSF2"))
    assert world.shape == (2, 3) and world.mdp(gamma=0.75).gamma == 0.75
    assert world.symbols == ("S", "F", "G", "S", "F", 2.0)
    assert world.places == {"S": [0, 3], "F": [1, 4], "G": [2], **{x: [] for x in "HC#AaBb"}}


@pytest.mark.parametrize("text", ["SS", "SaF", "SaabbF", "SAAa", "SCF", "SSAaBb"])
def test_a_cliff_or_a_teleport_asks_for_no_more_than_it_needs(text):
    world = GridWorld(parse(text))
    assert len(world.symbols) == len(text) == world.mdp(gamma=1.0).shape[0]
