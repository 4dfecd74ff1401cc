"""Corpora: the figures of the Unicode words, files of every kind, and the held-out tenth."""

from collections import Counter
from fractions import Fraction
import hashlib
from math import floor, log
import re
import unicodedata

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.lab.demo import fitted_to
from minirl.lab.running_example import PSEUDO_COUNT, bigram_of
from minirl.people.sft import fit_by_counting, sft_loss
from toy_lm import corpora
from toy_lm.corpora import held_out, read_lines, read_strings, unicode_names, unicode_words
from toy_lm.vocabulary import from_items


def nll_by_loops(items, training):
    """Nats per character of `items` under the bigram of `training`, pseudo-count 0.1."""
    symbols = len(set("".join(items + training))) + 1
    bigrams = Counter(two for item in training for two in zip("\n" + item, item + "\n"))
    visits = Counter(last for item in training for last in "\n" + item)
    costs = [-log((bigrams[two] + 0.1) / (visits[two[0]] + 0.1 * symbols))
             for item in items for two in zip("\n" + item, item + "\n")]
    return sum(costs) / len(costs)


def test_the_unicode_words_are_the_same_on_every_machine():
    words = unicode_words()
    assert len(words) == 2465 and sum(map(len, words)) == 14521
    assert hashlib.sha256("\n".join(words).encode()).hexdigest() == (
        "58d1cf76d5af8888a5407b3a1bfa5cad86b46330bd925ca22e8d03a132adad8c")


def test_the_unicode_names_are_the_same_on_every_machine():
    """All names that the standard's version 3.2 has, in the order of their characters."""
    names, table = unicode_names(), unicodedata.ucd_3_2_0
    assert len(names) == len(set(names)) == 12_771 and sum(map(len, names)) == 339_361
    assert len(set("".join(names))) == 38
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == (
        "7cc55aa670bdb8ceec1e0fdf5b0a64dec6cb084d2592b1b21364899ea87e916a")
    named = [(code, name) for code in range(0x110000) if (name := table.name(chr(code), ""))]
    assert names == [name for _, name in named if not re.match("CJK|HANGUL SYLLABLE", name)]
    assert all(ord(table.lookup(name)) == code for code, name in named)
    names.clear()
    assert len(unicode_names()) == 12_771


def test_the_bigram_of_the_unicode_words_costs_2_5838_nats_a_character():
    words = unicode_words()
    corpus = fitted_to(words, bigram_of())
    training, held = words.copy(), words[9::10]
    del training[9::10]
    assert PSEUDO_COUNT == 0.1 and (corpus.items, corpus.symbols) == (2465, 27)
    assert round(corpus.nll_all, 4) == 2.5838
    assert corpus.nll_all == pytest.approx(nll_by_loops(words, words), rel=1e-12)
    assert corpus.nll_train == pytest.approx(nll_by_loops(training, training), rel=1e-12)
    assert corpus.nll_heldout == pytest.approx(nll_by_loops(held, training), rel=1e-12)


@pytest.mark.parametrize("order, counted, unseen", [
    (2, 2.584, 2.600), (3, 2.212, 2.526), (4, 1.790, 2.644)])
def test_a_longer_memory_knows_the_counted_words_better_and_others_not(order, counted, unseen):
    """The table of the chapter, by (sft.1) and (sft.3)"""
    training, held = held_out(unicode_words())
    vocabulary = from_items(training)
    seen, new = (counts.table(vocabulary.encode(items, order=order)) for items in (training, held))
    policy = fit_by_counting(seen, pseudo_count=0.1)
    assert [round(sft_loss(policy, table)[0], 3) for table in (seen, new)] == [counted, unseen]
    assert all(f"{nats:.3f}" in corpora.__doc__ for nats in (counted, unseen))
    assert (unicode_words()[-246], unicode_words()[-1]) == ("tonos", "zygos")  # the last tenth


def test_a_corpus_of_nine_items_holds_nothing_out():
    nine, ten = (fitted_to(n * ["ab"], bigram_of(["ab"])) for n in (9, 10))
    assert nine.nll_heldout is None and ten.nll_heldout > 0


@pytest.mark.parametrize("data, items", [
    (b"one\ntwo\n", ["one", "two"]),
    (b"one\ntwo", ["one", "two"]),
    (b"\n\n one\t\n  \n\t\ntwo \n\n", ["one", "two"]),
    (b"one\r\ntwo\r\n\r\n", ["one", "two"]),
    (b"\xef\xbb\xbfone\ntwo", ["one", "two"]), (b"one\rtwo\r", ["one", "two"]),
    (b"one\n\xef\xbb\xbftwo\xef\xbb\xbfthree\r\n\xef\xbb\xbf", ["one", "two", "three"]),
    (b"\xef\xbb\xbf\xef\xbb\xbf one\rtwo\r\n\rthree", ["one", "two", "three"]),
    (b"New York\ntwo", ["New York", "two"]),
    ("\u00e9t\u00e9\n\U0001d538\n".encode(), ["\u00e9t\u00e9", "\U0001d538"]),
    ("one\u2028more\n\0".encode(), ["one\u2028more", "\0"]),
    (b"two\none\ntwo", ["two", "one", "two"]),
])
def test_a_file_is_read_one_item_a_line(tmp_path, data, items):
    path = tmp_path / "corpus.txt"
    path.write_bytes(data)
    assert read_lines(path) == items


@pytest.mark.parametrize("data, letters, strings", [
    (b"", "no", []), (b"\n", "no", [""]), (b"\n\n", "no", ["", ""]), (b"on", "no", ["on"]),
    (b"\n on\t\r\n\nno \n", "no", ["", "on", "", "no"]),  # this space is no letter
    (b"\n on\t\r\n\nno \n", " no", ["", " on", "", "no "]),
    (b" \xe2\x80\xa8on\r\n", "no", ["on"]), (b" \xe2\x80\xa8on ", "no\u2028", ["\u2028on"]),
    (b"x n \n", "no", ["x n"])])
def test_strings_are_read_as_a_model_of_these_letters_writes_them(tmp_path, data, letters, strings):
    path = tmp_path / "written.txt"
    path.write_bytes(data)
    assert read_strings(path, letters) == strings


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 19, 20, 35])
def test_every_tenth_item_is_held_out(size):
    training, held = held_out(list(range(1, size + 1)))
    assert held == [i for i in range(1, size + 1) if i in (10, 20, 30)]
    assert training == [i for i in range(1, size + 1) if i not in (10, 20, 30)]
    assert held_out(list(range(1, size + 1)), 0.1) == (training, held)


@pytest.mark.parametrize("fraction", ["0", "0.01", "0.07", "0.1", "0.15", "0.2", "0.25", "0.29",
                                      "0.3", "0.35", "0.5", "0.57", "0.58", "0.6", "0.7", "0.75",
                                      "0.9", "0.99", "0.001"])
def test_as_many_items_are_held_out_as_the_fraction_says_and_evenly(fraction):
    """Of the first i items floor(i·fraction), in whole numbers, at every i"""
    part, N = Fraction(fraction), 2465
    training, held = held_out(list(range(N)), float(fraction))
    assert sorted(training + held) == list(range(N))
    assert training == sorted(training) and held == sorted(held)
    kept = set(held)
    before = np.cumsum([0] + [i in kept for i in range(N)])
    assert before.tolist() == [floor(i * part) for i in range(N + 1)]
    gaps = set(np.diff(held).tolist())
    assert not gaps or max(gaps) - min(gaps) <= 1
    for size in 0, 1, 2, 9, 10, 99, 100, 101, 1000:
        training, held = held_out(list(range(size)), float(fraction))
        assert (len(training), len(held)) == (size - floor(size * part), floor(size * part))


def test_a_third_is_every_third_and_just_below_one_all_but_the_first():
    assert held_out(list(range(1, 10)), 1 / 3) == ([1, 2, 4, 5, 7, 8], [3, 6, 9])
    assert held_out(["a", "b", "c", "a"], 0.5) == (["a", "c"], ["b", "a"])
    assert held_out([1, 2, 3], 0.999999) == ([1], [2, 3])
    assert held_out([1, 2, 3], 1 - 1e-12) == ([1], [2, 3])
