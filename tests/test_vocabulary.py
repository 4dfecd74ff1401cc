"""The vocabulary: against loops over strings, on friendly and on strange text."""

from itertools import product

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.people.sft import sft_loss
from toy_lm.ngram import finished, score
from toy_lm.vocabulary import from_items, from_tokens

STRANGE = ["a\0b", "\0", "", "e\u0301te\u0301", "\u00e9t\u00e9", "\U0001d538\U00010000",
           "\U0010ffff", " x\ty ", "\r\v\x85\u2028", "\u200d", "ab" * 300]


def steps_of(steps, i):
    """The steps (s, a) of string i."""
    index = steps.index[steps.starts[i]:steps.starts[i + 1]]
    return [divmod(n, steps.shape[1]) for n in index.tolist()]


def steps_by_loops(letters, item, order=2, prompt=""):
    """The steps that write `item` after `prompt`; a state is a list of its order − 1 digits."""
    memory, written = [0] * (order - 1), []
    for symbol in [1 + letters.index(letter) for letter in prompt + item] + [0]:
        state = 0
        for digit in memory:
            state = state * (len(letters) + 1) + digit
        written.append((state, symbol))
        memory = (memory + [symbol])[1:] if order > 1 else []
    return written[len(prompt):]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("items", [["on", "", "no", "onno", "n", "oooooo"], STRANGE[:-1]])
def test_states_are_the_last_letters_at_every_order(order, items):
    """(vocabulary.1), with the digits of the states moved by (vocabulary.2)"""
    vocabulary, letters = from_items(items), sorted(set("".join(items)))
    steps, A = vocabulary.encode(items, order=order), len(letters) + 1
    assert steps.shape == vocabulary.shape(order) == (A**(order - 1), A)
    for i, item in enumerate(items):
        found = steps_of(steps, i)
        assert found == steps_by_loops(letters, item, order)
        assert [s for s, _ in found[1:]] == [(s * A + a) % steps.shape[0] for s, a in found[:-1]]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_prompt_is_left_out_and_its_last_letters_are_remembered(order):
    """(vocabulary.2): the completion begins in the state that the prompt leaves behind"""
    vocabulary = from_items(["abc"])
    prompts = ["", "a", "cab", "", "bbbbb", "ca", "c"]
    items = ["ab", "", "cabba", "", "c", "abc", "ccccc"]
    steps = vocabulary.encode(items, order=order, prompts=prompts)
    for i, (prompt, item) in enumerate(zip(prompts, items)):
        expected = steps_by_loops("abc", item, order, prompt)
        assert steps_of(steps, i) == expected
        assert vocabulary.state(prompt, order=order) == expected[0][0]
    assert vocabulary.decode(steps) == items
    nothing = vocabulary.encode(items, order=order, prompts=[""] * len(items))
    assert nothing.index.tolist() == vocabulary.encode(items, order=order).index.tolist()


def test_a_bigram_is_the_default():
    words = from_items(["on", "no"])
    assert words.shape() == words.shape(2) == words.encode(["on"]).shape == (3, 3)
    assert words.state("on") == words.state("on", order=2) != words.state("on", order=3)


def test_the_largest_table_is_the_last_that_can_be_numbered_with_32_bits():
    assert from_items(["on"]).shape(19) == (3**18, 3)


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
    assert steps.index.tolist() == [0] * len(items)  # the step (0, 0): nothing, then the end
    assert vocabulary.decode(steps) == items


def test_a_line_feed_is_no_letter_of_the_vocabulary():
    assert from_items(["o\nn"]).letters == "no"


def test_a_string_that_was_cut_ends_in_an_ellipsis():
    path = [(0, 2), (2, 1), (0, 1), (1, 0), (0, 2)]
    states, actions = np.array(path).T
    steps = counts.steps(states, actions, np.array([0, 2, 4, 5, 5]), (3, 3))
    assert from_items(["on"]).decode(steps) == ["on…", "n", "o…", "…"]


# Rows of tokens.


def rows(items, width, filler):
    """(B, width) tokens of items over "abc", whose tail after the end is taken from `filler`."""
    tokens = filler.copy()
    for row, item in zip(tokens, items):
        symbols = [1 + "abc".index(letter) for letter in item] + [0]
        row[:len(symbols)] = symbols
    assert tokens.shape == (len(items), width)
    return tokens


ITEMS = ["".join(letters) for n in range(4) for letters in product("abc", repeat=n)]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_what_comes_after_the_first_end_symbol_changes_nothing(order):
    """Pitfall 24: steps, counts, scores and loss are those of the strings, whatever the padding"""
    vocabulary, rng = from_items(["abc"]), np.random.default_rng(order)
    shape = vocabulary.shape(order)
    logits = rng.normal(size=shape)
    whole = vocabulary.encode(ITEMS, order=order)
    junk = [np.zeros((len(ITEMS), 9), int), rng.integers(0, 4, (len(ITEMS), 9)),
            rng.integers(-100, 100, (len(ITEMS), 9)), np.full((len(ITEMS), 9), -100)]
    for filler in junk:
        steps = from_tokens(rows(ITEMS, 9, filler), shape)
        assert steps.shape == shape and steps.index.tolist() == whole.index.tolist()
        assert steps.starts.tolist() == whole.starts.tolist()
        assert (score(logits, steps) == score(logits, whole)).all()
        assert (counts.table(steps) == counts.table(whole)).all()
        loss, grad = sft_loss(logits, counts.table(steps))
        right, right_grad = sft_loss(logits, counts.table(whole))
        assert loss == right and (grad == right_grad).all()
        assert finished(steps).all() and vocabulary.decode(steps) == ITEMS


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_row_without_an_end_is_a_string_that_was_cut(order):
    vocabulary = from_items(["abc"])
    tokens = np.array([[1, 2, 3], [2, 0, 3], [3, 3, 0], [3, 3, 3]])
    steps = from_tokens(tokens, vocabulary.shape(order))
    assert vocabulary.decode(steps) == ["abc…", "b", "cc", "ccc…"]
    assert finished(steps).tolist() == [False, True, True, False]
    assert steps_of(steps, 0) == steps_by_loops("abc", "abc", order)[:-1]


@pytest.mark.parametrize("shape, strings", [((0, 4), []), ((2, 0), ["…", "…"])])
def test_no_rows_and_no_columns_are_no_steps(shape, strings):
    vocabulary = from_items(["abc"])
    steps = from_tokens(np.zeros(shape, int), vocabulary.shape())
    assert steps.index.size == 0 and vocabulary.decode(steps) == strings


def test_a_narrow_type_does_not_wrap_around():
    """Pitfall 47, in a table of order 3 over 30 symbols"""
    shape, tokens = (900, 30), np.array([[29, 28, 29, 0, 7]])
    wide = from_tokens(tokens, shape)
    assert wide.index.tolist() == [29, 29 * 30 + 28, (29 * 30 + 28) * 30 + 29, (28 * 30 + 29) * 30]
    for dtype in np.int8, np.uint8, np.int16, np.int32:
        assert from_tokens(tokens.astype(dtype), shape).index.tolist() == wide.index.tolist()
