"""The vocabulary: against loops over strings, on friendly and on strange text."""

from itertools import product
import re

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.people.sft import sft_loss
from toy_lm.ngram import finished, score
from toy_lm.vocabulary import Vocabulary, from_items, from_tokens

STRANGE = ["a\0b", "\0", "", "e\u0301te\u0301", "\u00e9t\u00e9", "\U0001d538\U00010000",
           "\U0010ffff", " x\ty ", "\r\v\x85\u2028", "\u200d", "ab" * 300]


def pairs_of(steps, i):
    """The pairs (s, a) of string i."""
    index = steps.index[steps.starts[i]:steps.starts[i + 1]]
    return [divmod(n, steps.shape[1]) for n in index.tolist()]


def pairs_by_loops(letters, item, order=2, prompt=""):
    """The steps that write `item` after `prompt`; a state is a list of its order − 1 digits."""
    memory, pairs = [0] * (order - 1), []
    for symbol in [1 + letters.index(letter) for letter in prompt + item] + [0]:
        state = 0
        for digit in memory:
            state = state * (len(letters) + 1) + digit
        pairs.append((state, symbol))
        memory = (memory + [symbol])[1:] if order > 1 else []
    return pairs[len(prompt):]


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


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("items", [["on", "", "no", "onno", "n", "oooooo"], STRANGE[:-1]])
def test_states_are_the_last_letters_at_every_order(order, items):
    """(vocabulary.1), with the digits of the states moved by (vocabulary.2)"""
    vocabulary, letters = from_items(items), sorted(set("".join(items)))
    steps, A = vocabulary.encode(items, order=order), len(letters) + 1
    assert steps.shape == vocabulary.shape(order) == (A**(order - 1), A)
    for i, item in enumerate(items):
        found = pairs_of(steps, i)
        assert found == pairs_by_loops(letters, item, order)
        assert [s for s, _ in found[1:]] == [(s * A + a) % steps.shape[0] for s, a in found[:-1]]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_prompt_is_left_out_and_its_last_letters_are_remembered(order):
    """(vocabulary.2): the completion begins in the state that the prompt leaves behind"""
    vocabulary = from_items(["abc"])
    prompts = ["", "a", "cab", "", "bbbbb", "ca", "c"]
    items = ["ab", "", "cabba", "", "c", "abc", "ccccc"]
    steps = vocabulary.encode(items, order=order, prompts=prompts)
    for i, (prompt, item) in enumerate(zip(prompts, items)):
        expected = pairs_by_loops("abc", item, order, prompt)
        assert pairs_of(steps, i) == expected
        assert vocabulary.state(prompt, order=order) == expected[0][0]
    assert vocabulary.decode(steps) == items
    nothing = vocabulary.encode(items, order=order, prompts=[""] * len(items))
    assert nothing.index.tolist() == vocabulary.encode(items, order=order).index.tolist()


def test_an_order_asks_no_more_of_the_memory_than_its_last_letters():
    """A bigram's prompt is its last letter, a trigram's the last two, order 1 knows none"""
    words = from_items(["think"])
    assert words.state("k") == words.state("think") == 1 + "hiknt".index("k")
    assert words.state("nk", order=3) == words.state("think", order=3)
    assert len({words.state(prompt, order=3) for prompt in ("", "k", "kk", "nk", "kn")}) == 5
    assert words.state("think", order=1) == words.state("", order=1) == words.state("") == 0
    assert type(words.state("k")) is int


def test_a_bigram_is_the_default():
    words = from_items(["on", "no"])
    assert words.shape() == words.shape(2) == words.encode(["on"]).shape == (3, 3)
    assert words.state("on") == words.state("on", order=2) != words.state("on", order=3)


@pytest.mark.parametrize("order, message", [
    (0, "order must be at least 1, got 0"), (-1, "order must be at least 1, got -1"),
    (1.5, "order must be a whole number, got 1.5")])
def test_an_order_that_is_none_is_refused(order, message):
    words = from_items(["on"])
    for refused in (lambda: words.shape(order), lambda: words.encode(["on"], order=order),
                    lambda: words.state("o", order=order)):
        with pytest.raises(ValueError, match=re.escape(message)):
            refused()


def test_a_table_with_more_pairs_than_can_be_numbered_is_refused():
    words = from_items(["on"])
    assert words.shape(19) == (3**18, 3)
    for order in 20, 60:
        message = f"a table of 3^{order} entries cannot be numbered with 32 bits"
        with pytest.raises(ValueError, match=re.escape(message)):
            words.encode(["on"], order=order)


@pytest.mark.parametrize("prompts", [[], ["o"], ["o", "n", "o"]])
def test_there_must_be_a_prompt_an_item(prompts):
    with pytest.raises(ValueError, match=f"prompts must be one an item, 2, got {len(prompts)}"):
        from_items(["on"]).encode(["o", "n"], prompts=prompts)


@pytest.mark.parametrize("items, prompts, message", [
    (["on", "o"], ["", "nx"], "item 2 contains 'x', which is not in the vocabulary of 2 letters"),
    (["on", "o"], ["", "o\n"], "item 2 contains a line feed"),
    (["on", "\n"], ["n", ""], "item 2 contains a line feed")])
def test_what_is_wrong_in_a_prompt_is_refused_by_the_item(items, prompts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_items(["on"]).encode(items, prompts=prompts)


@pytest.mark.parametrize("prompt, reason", [
    ("nx", "'x', which is not in the vocabulary of 2 letters"), ("o\nn", "a line feed"),
    ("\ud800", "'\\ud800', which is not in")])
def test_a_prompt_that_cannot_be_read_is_named(prompt, reason):
    for order in 1, 2, 3:
        with pytest.raises(ValueError) as found:
            from_items(["on"]).state(prompt, order=order)
        assert str(found.value).startswith(f"the prompt {prompt!r} contains ")
        assert reason in str(found.value)


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
    assert pairs_of(steps, 0) == pairs_by_loops("abc", "abc", order)[:-1]


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


@pytest.mark.parametrize("tokens, message", [
    (np.array([1, 0]), "tokens must be integers of shape (B, T), got int64 of shape (2,)"),
    (np.zeros((1, 1, 1), int), "integers of shape (B, T), got int64 of shape (1, 1, 1)"),
    (np.ones((1, 1)), "integers of shape (B, T), got float64 of shape (1, 1)"),
    (np.array([[1, 4, 0]]), "tokens must lie in [0, 4), got [0, 4]"),
    (np.array([[1, 0], [-1, 0]]), "tokens must lie in [0, 4), got [-1, 1]")])
def test_tokens_that_are_none_are_refused(tokens, message):
    for order in 1, 2, 3:
        with pytest.raises(ValueError, match=re.escape(message)):
            from_tokens(tokens, from_items(["abc"]).shape(order))


@pytest.mark.parametrize("letters", ["on", "nn", "abdc"])
def test_letters_that_are_not_sorted_are_refused(letters):
    with pytest.raises(ValueError, match="letters must be sorted and different"):
        Vocabulary(letters).encode([letters])


@pytest.mark.parametrize("shape", [(5, 3), (2, 3), (10, 3)])
def test_tokens_for_a_table_of_no_order_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape("shape must be (A^(order - 1), A), got")):
        from_tokens(np.array([[1, 0]]), shape)
