"""The vocabulary: against loops over strings, on friendly and on strange text."""

import re

import numpy as np
import pytest

from minirl import counts
from toy_lm.vocabulary import from_items

STRANGE = ["a\0b", "\0", "", "e\u0301te\u0301", "\u00e9t\u00e9", "\U0001d538\U00010000",
           "\U0010ffff", " x\ty ", "\r\v\x85\u2028", "\u200d", "ab" * 300]


def pairs_of(steps, i):
    """The pairs (s, a) of string i."""
    index = steps.index[steps.starts[i]:steps.starts[i + 1]]
    return [divmod(n, steps.shape[1]) for n in index.tolist()]


def pairs_by_loops(letters, item):
    last, pairs = 0, []
    for letter in item:
        symbol = 1 + letters.index(letter)
        pairs.append((last, symbol))
        last = symbol
    return pairs + [(last, 0)]


@pytest.mark.parametrize("items", [["on", "", "no", "onno", "n"], STRANGE, STRANGE[::-1]])
def test_a_string_of_n_letters_is_n_plus_one_pairs(items):
    """(vocabulary.1)."""
    steps = from_items(items).encode(items)
    letters = sorted(set("".join(items)))
    assert steps.shape == (len(letters) + 1,) * 2 and steps.starts.size == len(items) + 1
    for i, item in enumerate(items):
        assert pairs_of(steps, i) == pairs_by_loops(letters, item)


def test_the_example_of_the_docstring_by_hand():
    """(vocabulary.1), with n = 1 and o = 2."""
    assert pairs_of(from_items(["on"]).encode(["on"]), 0) == [(0, 2), (2, 1), (1, 0)]


def test_symbols_are_the_letters_that_occur_sorted_by_code_point():
    vocabulary = from_items(["zebra", "Éa", "\U00010000\uffff"])
    assert vocabulary.letters == "aberzÉ\uffff\U00010000"
    assert vocabulary.size == 9
    assert from_items([" b", "a\t"]).letters == "\t ab"


def test_strange_text_survives_the_round_trip():
    vocabulary = from_items(STRANGE)
    assert vocabulary.decode(vocabulary.encode(STRANGE)) == STRANGE


@pytest.mark.parametrize("items", [[""], ["", ""], []])
def test_empty_strings_and_an_empty_list_are_encoded_too(items):
    vocabulary = from_items(["on"])
    steps = vocabulary.encode(items)
    assert steps.index.tolist() == [0] * len(items)  # the pair (0, 0): nothing, then the end
    assert vocabulary.decode(steps) == items


@pytest.mark.parametrize("items, number, letter", [
    (["on", "no", "ox"], 3, "x"),
    (["z"], 1, "z"),
    (["on", "", "\0"], 3, "\0"),
    (["On"], 1, "O"),
    (["on", "m"], 2, "m"),
    (["no\U0001d538"], 1, "\U0001d538"),
    (["xy", "z"], 1, "x"),
])
def test_an_unknown_letter_is_refused_by_item_and_name(items, number, letter):
    message = f"item {number} contains {letter!r}, which is not in the vocabulary of 3 letters"
    with pytest.raises(ValueError, match=re.escape(message)):
        from_items(["on", "l"]).encode(items)


@pytest.mark.parametrize("items, number", [
    (["on", "o\nn"], 2), (["on\n"], 1), (["\n"], 1), (["no", "on", "\n\n", "\n"], 3)])
def test_a_line_feed_is_refused(items, number):
    with pytest.raises(ValueError, match=f"item {number} contains a line feed"):
        from_items(["on"]).encode(items)


def test_a_line_feed_does_not_shift_the_number_of_a_later_item():
    with pytest.raises(ValueError, match="item 1 contains a line feed|item 2 contains 'x'"):
        from_items(["on"]).encode(["o\nn", "x"])


def test_a_line_feed_is_no_letter_of_the_vocabulary():
    assert from_items(["o\nn"]).letters == "no"


@pytest.mark.parametrize("items, message", [
    ([], "the corpus is empty"),
    ([""], "at least two different letters, got ''"),
    (["aaa", "a"], "at least two different letters, got 'a'"),
    (["a\n", "\na"], "at least two different letters, got 'a'"),
])
def test_a_corpus_with_nothing_to_model_is_refused(items, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_items(items)


def test_a_string_that_was_cut_ends_in_an_ellipsis():
    pairs = [(0, 2), (2, 1), (0, 1), (1, 0), (0, 2)]
    states, actions = np.array(pairs).T
    steps = counts.steps(states, actions, np.array([0, 2, 4, 5, 5]), (3, 3))
    assert from_items(["on"]).decode(steps) == ["on…", "n", "o…", "…"]


def test_steps_of_another_table_are_refused():
    steps = from_items(["on"]).encode(["no"])
    with pytest.raises(ValueError, match=re.escape("table of 4 symbols, got (3, 3)")):
        from_items(["one"]).decode(steps)
