"""Data files: what is written is read, what is malformed is refused by its line or skipped."""

import json
import os
import random
import re

import numpy as np
import pytest

from minirl.kernel import counts
from toy_lm import jsonl
from toy_lm.jsonl import (Demonstration, Labelled, Pair, Prompt, Ranking, Reading,
                          read_demonstrations, read_labelled, read_pairs, read_prompts,
                          read_rankings, write, write_implicit)
from toy_lm.preferences import from_text
from toy_lm.vocabulary import from_items

READERS = {Demonstration: read_demonstrations, Pair: read_pairs, Labelled: read_labelled,
           Prompt: read_prompts, Ranking: read_rankings}
STRANGE = ["", " ", "  at both ends \t", 'a "quoted" word', "back\\slash\\", "\\u0041\\n", "{}",
           "a\u2028b\u2029c\x85d", "\0\x1f\x7f", "\U0001f600 e\u0301 \U0010ffff", "line\nfeed\r\n",
           "\r", "\u05e9\u05dc\u05d5\u05dd \u202e\u0639", "\ufeff", "\ufeffmark", "\uffff", "null"]


def turned(places):
    """The strange strings, beginning elsewhere."""
    return STRANGE[places:] + STRANGE[:places]


RECORDS = {
    Demonstration: [Demonstration(*row) for row in zip(STRANGE, turned(1))],
    Pair: [Pair(*row) for row in zip(STRANGE, turned(2), turned(5))] + [Pair("a", "b", "b")] * 3,
    Labelled: [Labelled(*row, label) for row in zip(STRANGE, turned(3)) for label in (True, False)],
    Prompt: [Prompt(text) for text in STRANGE],
    Ranking: [Ranking(text, tuple(turned(i)[:2 + i % 4])) for i, text in enumerate(STRANGE)]}


@pytest.fixture
def data_file(tmp_path):
    """Call with bytes: the name of a file that holds them."""
    def make(data):
        path = tmp_path / "data.jsonl"
        path.write_bytes(data)
        return str(path)
    return make


# What is written is read.


@pytest.mark.parametrize("kind", READERS)
def test_what_is_written_is_read(tmp_path, kind):
    records = RECORDS[kind]
    write(tmp_path / "data.jsonl", records)
    found = READERS[kind](tmp_path / "data.jsonl")
    lines = list(range(1, len(records) + 1))
    assert found == Reading(records, lines, [], 3 if kind is Pair else 0)
    assert {type(record) for record in found.records} == {kind}


@pytest.mark.parametrize("kind", READERS)
def test_no_records_make_an_empty_file_and_an_empty_file_has_none(tmp_path, kind):
    path = tmp_path / "data.jsonl"
    for writer in write, write_implicit:
        writer(path, [])
        assert path.read_bytes() == b"" and READERS[kind](path) == Reading([], [], [], 0)


@pytest.mark.parametrize("record, line", [
    (Demonstration("k", "ato"), '{"prompt": "k", "completion": "ato"}'),
    (Pair("k", "ato", "kk"), '{"prompt": "k", "chosen": "ato", "rejected": "kk"}'),
    (Labelled("k", "ato", True), '{"prompt": "k", "completion": "ato", "label": true}'),
    (Labelled("", "\n", False), '{"prompt": "", "completion": "\\n", "label": false}'),
    (Prompt('"\u00f6\u2028\U0001f600\0'), '{"prompt": "\\"\u00f6\u2028\U0001f600\\u0000"}'),
    (Ranking("k", ("ato", "kk", "")), '{"prompt": "k", "ranking": ["ato", "kk", ""]}'),
])
def test_a_line_is_what_other_programs_expect(tmp_path, record, line):
    """The names of TRL's forms, and UTF-8 as it is."""
    path = tmp_path / "data.jsonl"
    write(path, [record, record])
    assert path.read_bytes() == (line + "\n").encode() * 2


def test_a_line_of_the_implicit_form_holds_two_whole_strings(tmp_path):
    path = tmp_path / "data.jsonl"
    write_implicit(path, [Pair("k", "ato", "kk"), Pair("\u00f6", "", "\n")])
    assert path.read_bytes().decode() == ('{"chosen": "kato", "rejected": "kkk"}\n'
                                          '{"chosen": "\u00f6", "rejected": "\u00f6\\n"}\n')


@pytest.mark.parametrize("reader, line, record", [
    (read_demonstrations, '{"text": "k"}', Demonstration("", "k")),
    (read_demonstrations, '{"completion": "b", "text": "c", "prompt": "a"}',
     Demonstration("a", "b")),
    (read_demonstrations, '{"prompt": "\\u00e9\\ud83d\\ude00", "completion": "\\/"}',
     Demonstration("\u00e9\U0001f600", "/")),
    (read_pairs, ' {\t"rejected" :"b","prompt": "a", "chosen":"ab" } ', Pair("a", "ab", "b")),
    (read_pairs, '{"prompt": "", "chosen": "ab", "rejected": "ac"}', Pair("", "ab", "ac")),
])
def test_the_other_ways_to_write_a_record_are_read_too(data_file, reader, line, record):
    assert reader(data_file(line.encode())).records == [record]


def test_entries_of_other_names_are_ignored(data_file):
    path = data_file(b'{"id": [1, {"x": null}], "prompt": "a", "score": NaN, "completion": "b", '
                     b'"label": true, "ranking": ["c", "d"], "Prompt": 7, "": "\\ud800"}')
    assert read_demonstrations(path).records == [("a", "b")]
    assert read_labelled(path).records == [("a", "b", True)]
    assert read_prompts(path).records == [("a",)]
    assert read_rankings(path).records == [("a", ("c", "d"))]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\r\n \n"])
def test_blank_lines_windows_lines_and_a_byte_order_mark_do_no_harm(data_file, mark, end, last):
    lines = [b'{"prompt": "a"}', b"", b" \t", b'{"prompt": "b"}', b'{"prompt": "c"}']
    found = read_prompts(data_file(mark + end.join(lines) + last))
    assert found == Reading([Prompt("a"), Prompt("b"), Prompt("c")], [1, 4, 5], [], 0)


# The implicit form.


@pytest.mark.parametrize("chosen, rejected, pair", [
    ("kato", "kkk", ("k", "ato", "kk")), ("kato", "mato", ("", "kato", "mato")),
    ("kat", "kato", ("kat", "", "o")), ("kato", "kat", ("kat", "o", "")),
    ("", "kato", ("", "", "kato")), ("kato", "kato", ("kato", "", "")), ("", "", ("", "", "")),
    ("\U0001f600", "\U0001f601", ("", "\U0001f600", "\U0001f601")),
])
def test_the_prompt_is_what_both_strings_begin_with(data_file, chosen, rejected, pair):
    line = json.dumps({"chosen": chosen, "rejected": rejected}).encode()
    assert read_pairs(data_file(line)) == Reading([pair], [1], [], int(chosen == rejected))


DIALOGUE = "\n\nHuman: May I have a cat?\n\nAssistant: You may.\n\nHuman: A grey one?\n\nAssistant:"


@pytest.mark.parametrize("chosen, rejected, moved", [
    ("Of course.", "No!", ""), (" Of course.", " No!", " "), (" Yes.", " Yesterday.", " Yes"),
    (" It is.\n\nHuman: Oh.\n\nAssistant: Ah.", " It is.\n\nHuman: Oh.\n\nAssistant: Hm.",
     " It is.\n\nHuman: Oh.\n\nAssistant: ")])
def test_a_dialogue_is_divided_where_the_two_answers_part(tmp_path, chosen, rejected, moved):
    """As in the data on helpfulness and harmlessness, where an answer begins with a space."""
    path = tmp_path / "dialogues.jsonl"
    write_implicit(path, [Pair(DIALOGUE, chosen, rejected)])
    pair, = read_pairs(path).records
    assert pair.prompt == DIALOGUE + moved
    assert pair.prompt + pair.chosen == DIALOGUE + chosen
    assert pair.prompt + pair.rejected == DIALOGUE + rejected


@pytest.fixture(scope="module")
def some_pairs():
    """Pairs over two letters, many of which begin alike and some of which are equal."""
    rng = random.Random(1)
    return [Pair(*("".join(rng.choices("ab", k=rng.randrange(5))) for _ in range(3)))
            for _ in range(300)]


def test_responses_that_begin_alike_move_the_boundary_and_no_others(tmp_path, some_pairs):
    write_implicit(tmp_path / "data.jsonl", some_pairs)
    found = read_pairs(tmp_path / "data.jsonl")
    moved = 0
    for before, after in zip(some_pairs, found.records, strict=True):
        alike = 0
        while before.chosen[alike:alike + 1] == before.rejected[alike:alike + 1] != "":
            alike += 1
        assert after == (before.prompt + before.chosen[:alike], before.chosen[alike:],
                         before.rejected[alike:])
        moved += alike > 0
    assert 50 < moved < 250


@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_the_prompt_ends_makes_no_difference_to_learners_that_compare(tmp_path, some_pairs,
                                                                            order):
    """(counts.3): the steps that both strings share cancel in every row; exactly, since the vector
    has whole numbers."""
    letters = from_items(["ab"])
    write_implicit(tmp_path / "data.jsonl", some_pairs)
    whole = [Pair("", pair.prompt + pair.chosen, pair.prompt + pair.rejected)
             for pair in some_pairs]
    read = read_pairs(tmp_path / "data.jsonl").records
    vector = np.random.default_rng(2).integers(-99, 100, 3**order).astype(float)
    products = []
    for pairs in some_pairs, whole, read:
        data = from_text(letters, pairs, order=order)
        products.append(counts.difference_matrix(data.chosen, data.rejected) @ vector)
    assert len(set(products[0])) > 20
    np.testing.assert_array_equal(products[0], products[1])
    np.testing.assert_array_equal(products[0], products[2])


def test_two_equal_responses_are_counted_in_either_form(tmp_path, some_pairs):
    """Pitfall 19: they are kept, and counted among the pairs alone that were read."""
    path = tmp_path / "data.jsonl"
    equal = sum(pair.chosen == pair.rejected for pair in some_pairs)
    assert 10 < equal < 100
    for writer in write, write_implicit:
        writer(path, some_pairs)
        found = read_pairs(path)
        assert found.identical == equal and len(found.records) == 300
        path.write_bytes(path.read_bytes() + b'{"chosen": "a"}\n')
        assert read_pairs(path, skip=True).identical == equal


# What is malformed.


PROMPT, PAIR = b'{"prompt": "", ', b'{"chosen": "a", '
EVERY_READER = [
    (b"prompt", "not JSON (Expecting value, column 1)"),
    (b"  {} {}", "not JSON (Extra data, column 6)"),
    (b'{"prompt": "a" "b"}', "not JSON (Expecting ',' delimiter, column 16)"),
    (b'{"prompt": "a\tb"}', "not JSON (Invalid control character at, column 14)"),
    (b'{"prompt": "a', "not JSON (Unterminated string starting at, column 12)"),
    (b'"prompt"', "must be a JSON object, got a string"),
    (b"[{}]", "must be a JSON object, got a list"), (b"1", "must be a JSON object, got a number"),
    (b"-1.5e3", "must be a JSON object, got a number"),
    (b"NaN", "must be a JSON object, got a number"),
    (b"true", "must be a JSON object, got true or false"),
    (b"null", "must be a JSON object, got null"),
    (b'{"prompt": "a", "prompt": "a"}', "a name occurs twice in one object"),
    (b'{"prompt": "a", "x": [{"y": 1, "z": 2, "y": 1}]}', "a name occurs twice in one object"),
    (b'{"prompt": "\xe9"}', "not UTF-8 (byte 0xe9)"),
    (b'{"prompt": "\xc3\xa9\xed\xa0\xbd"}', "not UTF-8 (byte 0xed)"),
    (b"[" * 100_000, "not JSON that can be read (nested too deeply)"),
    (b'{"prompt": "a", "x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
     "not JSON that can be read (nested too deeply)"),
]
ONE_READER = [
    (read_demonstrations, b"{}", '"prompt" is missing'),
    (read_demonstrations, PROMPT + b'"chosen": "a"}', '"completion" is missing'),
    (read_demonstrations, b'{"completion": "a"}', '"prompt" is missing'),
    (read_demonstrations, b'{"completion": "a", "text": "b"}', '"prompt" is missing'),
    (read_demonstrations, b'{"text": null}', '"text" must be a string, got null'),
    (read_demonstrations, PROMPT + b'"completion": 1}', '"completion" must be a string, got a '
                                                        'number'),
    (read_demonstrations, b'{"prompt": [{"role": "user", "content": "Hi"}], "completion": ""}',
     '"prompt" must be a string, got a list; dialogues as lists of messages are not read'),
    (read_demonstrations, PROMPT + b'"completion": "\\udc00\\ud800"}',
     '"completion" contains a lone surrogate, no character'),
    (read_pairs, b"{}", '"chosen" is missing'), (read_pairs, PAIR + b'"x": 1}',
                                                 '"rejected" is missing'),
    (read_pairs, PROMPT + b'"rejected": "a"}', '"chosen" is missing'),
    (read_pairs, PAIR + b'"rejected": "a", "prompt": null}', '"prompt" must be a string, got null'),
    (read_pairs, PAIR + b'"rejected": ["a"]}',
     '"rejected" must be a string, got a list; dialogues as lists of messages are not read'),
    (read_pairs, b'{"chosen": {}, "rejected": "a"}', '"chosen" must be a string, got an object'),
    (read_pairs, b'{"rejected": "\\ud83d", "chosen": "\\ud83d\\ude00"}',
     '"rejected" contains a lone surrogate, no character'),
    (read_labelled, b'{"completion": "a", "label": true}', '"prompt" is missing'),
    (read_labelled, PROMPT + b'"label": true}', '"completion" is missing'),
    (read_labelled, PROMPT + b'"completion": "a"}', '"label" is missing'),
    (read_labelled, PROMPT + b'"completion": "a", "label": null}',
     '"label" must be true or false, got null'),
    (read_labelled, PROMPT + b'"completion": "a", "label": 1}',
     '"label" must be true or false, got a number'),
    (read_labelled, PROMPT + b'"completion": "a", "label": "true"}',
     '"label" must be true or false, got a string'),
    (read_labelled, PROMPT + b'"completion": true, "label": true}',
     '"completion" must be a string, got true or false'),
    (read_prompts, b'{"text": "a"}', '"prompt" is missing'),
    (read_prompts, b'{"prompt": 1.5}', '"prompt" must be a string, got a number'),
    (read_prompts, b'{"prompt": "a\\ud800b"}',
     '"prompt" contains a lone surrogate, no character'),
    (read_rankings, b'{"ranking": ["a", "b"]}', '"prompt" is missing'),
    (read_rankings, PROMPT + b'"chosen": "a"}', '"ranking" is missing'),
    (read_rankings, PROMPT + b'"ranking": "ab"}',
     '"ranking" must be a list of at least two strings, got a string'),
    (read_rankings, PROMPT + b'"ranking": {"a": 1, "b": 2}}',
     '"ranking" must be a list of at least two strings, got an object'),
    (read_rankings, PROMPT + b'"ranking": ["a"]}',
     '"ranking" must be a list of at least two strings, got a list of 1'),
    (read_rankings, PROMPT + b'"ranking": []}',
     '"ranking" must be a list of at least two strings, got a list of 0'),
    (read_rankings, PROMPT + b'"ranking": ["a", 1]}',
     'a response in "ranking" must be a string, got a number'),
    (read_rankings, PROMPT + b'"ranking": ["a", ["b"]]}',
     'a response in "ranking" must be a string, got a list; dialogues as lists of messages are '
     'not read'),
    (read_rankings, PROMPT + b'"ranking": ["a", "\\ude00"]}',
     'a response in "ranking" contains a lone surrogate, no character'),
    (read_demonstrations, b'{"prompt": "a", "text": "b"}', '"completion" is missing'),
]
GOOD = {reader: (json.dumps(RECORDS[kind][0]._asdict()) + "\r\n").encode()
        for kind, reader in READERS.items()}


@pytest.mark.parametrize("reader, line, reason", [
    *((reader, *case) for case in EVERY_READER for reader in READERS.values()), *ONE_READER],
    ids=lambda value: value[:40] if isinstance(value, bytes) else "")
def test_a_malformed_line_is_refused_by_number_and_reason_or_skipped(data_file, reader, line,
                                                                     reason):
    good = GOOD[reader]
    path = data_file(good + b"\n" + line + b"\n \n" + good + good + line)
    with pytest.raises(ValueError) as found:
        reader(path)
    assert str(found.value).startswith(f"{path}, line 3: {reason}")
    reading = reader(path, skip=True)
    record, = reader(data_file(good)).records
    assert reading.records == [record] * 3 and reading.lines == [1, 5, 6]
    message = str(found.value).removeprefix(f"{path}, line 3: ")
    assert reading.skipped == [(3, message), (7, message)]
    assert reason.endswith((" ", "got ")) or message == reason


def test_a_byte_order_mark_is_no_part_of_a_later_line(data_file):
    path = data_file(b"\xef\xbb\xbf\n\xef\xbb\xbf{}")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: not JSON")):
        read_prompts(path)


@pytest.mark.parametrize("reader", READERS.values())
def test_a_file_that_cannot_be_read_is_refused_even_if_lines_may_be_skipped(tmp_path, reader):
    message = re.escape(f"cannot read {tmp_path}: Is a directory")
    for skip in True, False:
        with pytest.raises(ValueError, match=message):
            reader(tmp_path, skip=skip)


def mutant(rng, data):
    """The bytes with up to three accidents."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        i, accident = rng.randrange(len(data)), rng.randrange(4)
        if accident == 0:
            data[i] ^= 1 << rng.randrange(8)
        elif accident == 1:
            data.insert(i, rng.randrange(256))
        elif accident == 2:
            del data[i]
        else:
            data[i:i] = data[i:i + rng.randrange(1, 30)]
    return bytes(data)


@pytest.mark.parametrize("kind", READERS)
def test_whatever_happens_to_a_file_a_line_is_named_or_skipped(monkeypatch, kind):
    """Two thousand accidents a reader.  Every line with something on it is a record or skipped, and
    what is refused is what would be skipped first."""
    reader, rng, refused = READERS[kind], random.Random(7), 0
    stored = {}
    monkeypatch.setattr(jsonl, "write_bytes", stored.__setitem__)
    monkeypatch.setattr(jsonl, "read_bytes", stored.__getitem__)
    write("good", RECORDS[kind][7:11])
    for _ in range(2000):
        stored["bad"] = mutant(rng, stored["good"])
        skipping = reader("bad", skip=True)
        numbers = [n for n, line in enumerate(stored["bad"].split(b"\n"), start=1) if line.strip()]
        assert sorted(skipping.lines + [n for n, _ in skipping.skipped]) == numbers
        assert skipping.lines == sorted(skipping.lines)
        try:
            assert reader("bad") == skipping and skipping.skipped == []
        except ValueError as error:
            number, reason = skipping.skipped[0]
            assert str(error) == f"bad, line {number}: {reason}"
            refused += 1
        write("again", skipping.records)
        assert reader("again").records == skipping.records
    assert 500 < refused < 1990


# Writing.


@pytest.mark.parametrize("writer", [write, write_implicit])
def test_a_failure_leaves_the_old_file_alone(tmp_path, monkeypatch, writer):
    def fail(*_):
        raise OSError("disk full")

    path = tmp_path / "data.jsonl"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        writer(path, RECORDS[Pair])
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["data.jsonl"]


@pytest.mark.parametrize("writer, record", [
    (write, Demonstration("\ud800", "")), (write, Demonstration("", "a\udfff")),
    (write, Pair("", "", "\ud83d")), (write, Labelled("", "\ude00", True)),
    (write, Prompt("\ude00\ud83d")), (write, Ranking("", ("a", "b", "\ud83d"))),
    (write_implicit, Pair("\ud83d", "", "a")), (write_implicit, Pair("", "a", "\udfff")),
    (write_implicit, Pair("\ud83d", "\ude00", ""))])
def test_a_lone_surrogate_is_refused_by_record_and_nothing_is_written(tmp_path, writer,
                                                                           record):
    good = record._replace(**{name: "a" if isinstance(text, str) else ("a", "b")
                              for name, text in record._asdict().items() if text is not True})
    path = tmp_path / "data.jsonl"
    with pytest.raises(ValueError) as found:
        writer(path, [good, good, record, good, record])
    assert str(found.value) == "record 3 contains a lone surrogate, which is no character"
    assert os.listdir(tmp_path) == []
    writer(path, [good])
    with pytest.raises(ValueError, match="record 1 contains a lone"):
        writer(path, [record])
    assert read_prompts(path, skip=True).lines == [1] * (writer is write)


def test_an_entry_that_is_ignored_may_be_a_number_of_any_length(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "k", "n": ' + "9" * 5000 + "}\n")
    assert read_prompts(path).records == [Prompt("k")]
