"""Drawings, as the exact text that is expected."""

import re

import numpy as np
import pytest

from gridworld.draw import policy_text, side_by_side, values_text
from gridworld.world import GridWorld, parse

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


def test_logits_and_action_values_are_drawn_like_probabilities():
    table = np.array([[-3.0, -1.0, -2.0, -9.0], [0.0, 0.0, 1e4, 0.0], [5.0, 5.0, 5.0, 5.0]])
    assert policy_text(GridWorld(parse("SFG")), table) == "↓ → G"


def test_of_equal_moves_the_first_is_drawn():
    table = np.array([[0.25] * 4, [0.0, 0.5, 0.0, 0.5]])
    assert policy_text(GridWorld(parse("S\nF")), table) == "←\n↓"
    assert policy_text(GridWorld(parse("SF"), moves="URDL"), table) == "↑ →"


def test_values_have_two_decimals_in_columns_of_one_width():
    values = np.array([1.0, -12.5, 9.0, 9.0, 100.004, 9.0, np.nan, 9.0, 0.126])
    assert values_text(GridWorld(MAP), values) == ("  1.00 -12.50      #\n"
                                                   "     H 100.00      G\n"
                                                   "     ·      C   0.13")


def test_a_value_that_is_not_a_number_is_a_dot_but_a_goal_stays_a_goal():
    assert values_text(GridWorld(parse("SGH")), np.full(3, np.nan)) == "· G H"


@pytest.mark.parametrize("shape", [(3, 4), (2, 3), (8,), (2, 4, 1)])
def test_a_policy_that_does_not_fit_the_map_is_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"policy must have shape (2, 4), got {shape}")):
        policy_text(GridWorld(parse("SG")), np.zeros(shape))


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 1)])
def test_values_that_do_not_fit_the_map_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"values must have shape (2,), got {shape}")):
        values_text(GridWorld(parse("SG")), np.zeros(shape))


def test_blocks_of_unequal_size_stand_side_by_side_without_trailing_space():
    titled = {"a": "1\n2 2\n3", "long title": "x", "c": "y\nz"}
    assert side_by_side(titled) == ("a      long title    c\n"
                                    "1      x             y\n"
                                    "2 2                  z\n"
                                    "3")


def test_the_gap_between_blocks_can_be_chosen():
    assert side_by_side({"a": "1", "b": "2"}, gap=" | ") == "a | b\n1 | 2"


def test_one_block_stands_alone_under_its_title():
    assert side_by_side({"title": "← →\n↑ G"}) == "title\n← →\n↑ G"
