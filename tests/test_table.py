"""How the jobs set their results: numbers, tables, paragraphs, and JSON."""

import json

import numpy as np
import pytest

from minirl.people.regularised import FrontierPoint
from minirl.lab.job import as_json
from minirl.console import PLAIN
from minirl.lab.table import bar, coloured_bars, fixed, in_columns, paragraph, shortest


@pytest.mark.parametrize("value, digits, text", [
    (0.12345, 3, "0.123"), (-0.00004, 4, "0.0000"), (998.9, 3, "998.900"), (-12.0, 0, "-12"),
    (999_999.4, 1, "999999.4"), (1e6, 3, "1e+06"), (-1.26e99, 4, "-1.3e+99"), (None, 2, "null"),
    (np.float64(0.5), 1, "0.5"), (1234567, 2, "1,234,567"), (-5, 0, "-5"), (True, 0, "yes"),
    (False, 4, "no"), ("word", 4, "word"), ("", 4, "")])
def test_a_value_in_words(value, digits, text):
    assert fixed(value, digits) == text


@pytest.mark.parametrize("value, text", [
    (1, "1"), (1.0, "1"), (0.9999999, "0.9999999"), (1 - 2**-53, "0.9999999999999999"),
    (0.95, "0.95"), (1e6, "1000000"), (1e-6, "1e-06"), (-1234.5, "-1234.5"), (0, "0"),
    (np.float64(0.1), "0.1")])
def test_a_number_in_as_many_digits_as_it_takes_to_tell_it_from_every_other(value, text):
    assert shortest(value) == text and float(shortest(value)) == value


@pytest.mark.parametrize("share, text", [
    (1, "█" * 10), (1.0, "█" * 10), (0.5, "█████"), (1 / 16, "▋"), (15 / 16, "█████████▍"),
    (0.9, "█████████"), (np.float64(0.0247), "▎"), (1 / 80, "▏"), (0.006, ""),
    (0.9937, "█████████▉"), (0.9938, "█" * 10), (1 + 1e-9, "█" * 10), (7, "█" * 10),
    (np.inf, "█" * 10), (0, ""), (-0.0, ""), (-1e-9, ""), (-3.5, ""), (None, ""), (np.nan, "")])
def test_a_share_is_a_bar_to_an_eighth_of_a_cell(share, text):
    """Ten cells at most; none where the share is negative or does not exist."""
    assert bar(share) == text


def test_a_bar_of_hashes_is_right_to_half_a_cell():
    for share in np.linspace(0, 1, 1001):
        assert abs(10 * share - bar(share).translate(PLAIN).count("#")) <= 0.5 + 1 / 16 + 1e-9


def test_bars_have_a_colour_and_nothing_else_has():
    text = "G  0.5000  █████  C # →\n█▏\n▏"
    assert coloured_bars(text) == (
        "G  0.5000  \x1b[36m█████\x1b[0m  C # →\n\x1b[36m█▏\x1b[0m\n\x1b[36m▏\x1b[0m")
    for block in "▏▎▍▌▋▊▉█":
        assert coloured_bars(block) == f"\x1b[36m{block}\x1b[0m"


def test_numbers_stand_on_the_right_and_words_on_the_left_under_their_heads():
    rows = [("reference", -0.53549, 5.91, "yes", 2465), ("dpo", None, 123.456, "no", 7)]
    assert in_columns(", J, , , \nmethod, exact, length, rests, n", rows,
                      (0, 4, 2, 0, 0)).split("\n") == [
        "                 J",
        "method       exact  length  rests      n",
        "reference  -0.5355    5.91  yes    2,465",
        "dpo           null  123.46  no         7"]


def test_a_column_may_have_words_of_its_own_and_there_may_be_no_head():
    assert in_columns("", [("a", 0.5, 0.25)], (0, "{:.0e}".format, 1)) == "a  5e-01  0.2"
    assert in_columns("x, y", [(1.5, 2.25)]) == "     x       y\n1.5000  2.2500"


def test_a_column_is_to_the_left_only_if_all_its_entries_are_words():
    assert in_columns("n, name", [("4", "a"), (None, "bb")]).split("\n")[2] == "null  bb"
    assert in_columns("name", [(None,), ("a",)]).split("\n") == ["name", "null", "   a"]


@pytest.mark.parametrize("columns, word", [
    (8, "123.4568  "), (9, "123.4568 "), (10, "123.457 "), (13, "123.5 "), (16, "123 ")])
def test_what_is_too_wide_moves_together_and_then_loses_decimals(columns, word):
    """Up to 80 columns"""
    table = in_columns(", ".join(columns * ["x"]), [columns * (123.45678,)]).split("\n")
    assert table[1] == (columns * word).rstrip() and len(table[1]) <= 80


def test_a_table_that_never_fits_is_as_narrow_as_it_can_be():
    """All lines are still one word per column, and nothing is cut."""
    words = 3 * (40 * "a",) + (0.123456,)
    assert in_columns("", [words], (0, 0, 0, 5)) == f"{40 * 'a'} " * 3 + "0.1"


@pytest.mark.parametrize("longest, gap", [(26, "  "), (27, " "), (28, " ")])
def test_a_table_of_eighty_columns_fits_and_one_more_does_not(longest, gap):
    words = 25 * "a", 25 * "b", longest * "c"
    assert in_columns("", [words]) == gap.join(words)


def test_a_paragraph_has_lines_of_eighty_columns():
    lines = paragraph(50 * "four ", indent="  ").split("\n")
    assert len(lines) == 4 and {len(line) for line in lines[:3]} == {76}
    assert all(line.startswith("  f") for line in lines)
    assert paragraph("a" * 81) == "a" * 80 + "\na"


def test_records_become_their_fields_and_everything_else_stays():
    point = FrontierPoint(beta=0.5, reward=-1.0, kl=1 / 3)
    text = as_json({"n": 4, "path": [point, (1, None)], 8: {"deep": [point]}, "yes": True})
    assert json.loads(text) == {"n": 4, "path": [point._asdict(), [1, None]],
                                "8": {"deep": [point._asdict()]}, "yes": True}
    assert text.startswith('{\n "n": 4,\n') and text.endswith("}\n")
    assert list(json.loads(as_json(point))) == ["beta", "reward", "kl"]


def test_letters_are_written_as_themselves():
    assert as_json(["ön←"]) == '[\n "ön←"\n]\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_never_written_as_one(value):
    with pytest.raises(ValueError):
        as_json({"value": [value]})
