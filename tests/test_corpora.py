"""Corpora: the figures of the Unicode words, files of every kind, and the held-out tenth."""

from collections import Counter
import hashlib
from math import log
import re

import pytest

from minirl.lab.main_job import PSEUDO_COUNT, fit_corpus
from toy_lm.corpora import held_out, read_lines, unicode_words


@pytest.fixture(scope="module")
def words():
    return unicode_words()


def nll_by_loops(items, training):
    """Nats per character of `items` under the bigram of `training`, pseudo-count 0.1."""
    symbols = len(set("".join(items + training))) + 1
    pairs = Counter(pair for item in training for pair in zip("\n" + item, item + "\n"))
    visits = Counter(last for item in training for last in "\n" + item)
    costs = [-log((pairs[pair] + 0.1) / (visits[pair[0]] + 0.1 * symbols))
             for item in items for pair in zip("\n" + item, item + "\n")]
    return sum(costs) / len(costs)


def test_the_unicode_words_are_the_same_on_every_machine(words):
    assert len(words) == 2465 and sum(map(len, words)) == 14521
    assert hashlib.sha256("\n".join(words).encode()).hexdigest() == (
        "58d1cf76d5af8888a5407b3a1bfa5cad86b46330bd925ca22e8d03a132adad8c")


def test_the_bigram_of_the_unicode_words_costs_2_5838_nats_a_character(words):
    corpus = fit_corpus(words)[2]
    training, held = words.copy(), words[9::10]
    del training[9::10]
    assert PSEUDO_COUNT == 0.1 and (corpus.items, corpus.symbols) == (2465, 27)
    assert round(corpus.nll_all, 4) == 2.5838
    assert corpus.nll_all == pytest.approx(nll_by_loops(words, words), rel=1e-12)
    assert corpus.nll_train == pytest.approx(nll_by_loops(training, training), rel=1e-12)
    assert corpus.nll_heldout == pytest.approx(nll_by_loops(held, training), rel=1e-12)


def test_a_corpus_of_nine_items_holds_nothing_out():
    assert fit_corpus(["ab"] * 9)[2].nll_heldout is None
    assert fit_corpus(["ab"] * 10)[2].nll_heldout > 0


@pytest.mark.parametrize("data, items", [
    (b"one\ntwo\n", ["one", "two"]),
    (b"one\ntwo", ["one", "two"]),
    (b"\n\n one\t\n  \n\t\ntwo \n\n", ["one", "two"]),
    (b"one\r\ntwo\r\n\r\n", ["one", "two"]),
    (b"\xef\xbb\xbfone\ntwo", ["one", "two"]),
    (b"New York\ntwo", ["New York", "two"]),
    ("\u00e9t\u00e9\n\U0001d538\n".encode(), ["\u00e9t\u00e9", "\U0001d538"]),
    ("one\u2028more\n\0".encode(), ["one\u2028more", "\0"]),
    (b"two\none\ntwo", ["two", "one", "two"]),
])
def test_a_file_is_read_one_item_a_line(tmp_path, data, items):
    path = tmp_path / "corpus.txt"
    path.write_bytes(data)
    assert read_lines(path) == items


@pytest.mark.parametrize("data, line, byte", [
    (b"\xff", 1, 0xFF),
    (b"one\ntwo\nthr\xe9e\nfour\xff\n", 3, 0xE9),
    (b"one\r\n\r\n\x80", 3, 0x80),
    ("one\n".encode("utf-16"), 1, 0xFF),
    (b"\xef\xbb\xbfa\nb\xfe", 2, 0xFE),
    (b"one\ntw\xf0\x9d\x94", 2, 0xF0),
])
def test_a_file_that_is_not_utf_8_is_refused_by_line_and_byte(tmp_path, data, line, byte):
    path = tmp_path / "corpus.txt"
    path.write_bytes(data)
    message = f"{path}, line {line}: not UTF-8 (byte {byte:#04x})"
    with pytest.raises(ValueError, match=re.escape(message)):
        read_lines(path)


@pytest.mark.parametrize("data", [b"", b"\n", b" \t\r\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_an_item_is_refused(tmp_path, data):
    path = tmp_path / "corpus.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(f"{path} holds no item")):
        read_lines(path)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path):
    missing = tmp_path / "missing.txt"
    with pytest.raises(ValueError, match=re.escape(f"cannot read {missing}: No such file")):
        read_lines(missing)
    with pytest.raises(ValueError, match=re.escape(f"cannot read {tmp_path}: Is a directory")):
        read_lines(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 19, 20, 35])
def test_every_tenth_item_is_held_out(size):
    training, held = held_out(list(range(1, size + 1)))
    assert held == [i for i in range(1, size + 1) if i in (10, 20, 30)]
    assert training == [i for i in range(1, size + 1) if i not in (10, 20, 30)]
