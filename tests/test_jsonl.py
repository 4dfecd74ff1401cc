"""Data files: what is written is read, what is malformed is refused by its line."""

import json
import random
import re

import numpy as np
import pytest

from minirl.kernel import counts
from toy_lm.jsonl import (Demonstration, Labelled, Pair, Ranking, Reading, read_preferences,
                          read_prompts, text_of, write, write_implicit)
from toy_lm.preferences import from_text
from toy_lm.vocabulary import from_items

STRANGE = ["", " ", "  at both ends \t", 'a "quoted" word', "back\\slash\\", "\\u0041\\n", "{}",
           "a\u2028b\u2029c\x85d", "\0\x1f\x7f", "\U0001f600 e\u0301 \U0010ffff", "line\nfeed\r\n",
           "\r", "\u05e9\u05dc\u05d5\u05dd \u202e\u0639", "\ufeff", "\ufeffmark", "\uffff", "null"]


def turned(places):
    """The strange strings, beginning elsewhere."""
    return STRANGE[places:] + STRANGE[:places]


RECORDS = {
    Pair: [Pair(*row) for row in zip(STRANGE, turned(2), turned(5))] + [Pair("a", "b", "b")] * 3,
    Labelled: [Labelled(*row, label) for row in zip(STRANGE, turned(3)) for label in (True, False)],
    Ranking: [Ranking(text, tuple(turned(i)[:2 + i % 4])) for i, text in enumerate(STRANGE)]}


@pytest.fixture
def data_file(tmp_path):
    """Call with bytes: the name of a file that holds them."""
    def make(data):
        path = tmp_path / "data.jsonl"
        path.write_bytes(data)
        return str(path)
    return make


@pytest.mark.parametrize("kind", RECORDS)
def test_what_is_written_is_read(tmp_path, kind):
    path = tmp_path / "data.jsonl"
    for records in RECORDS[kind], []:
        write(path, records)
        found = read_preferences(path)
        assert found == Reading(records, list(range(1, len(records) + 1)))
        assert {type(record) for record in found.records} <= {kind}
    assert path.read_bytes() == b""


def test_preferences_of_every_kind_may_stand_in_one_file(tmp_path):
    records = sum(zip(*RECORDS.values()), ())
    write(tmp_path / "data.jsonl", records)
    assert read_preferences(tmp_path / "data.jsonl").records == [*records]
    assert {type(record) for record in read_preferences(tmp_path / "data.jsonl").records} == {
        Pair, Labelled, Ranking}


@pytest.mark.parametrize("record, text", [
    (Demonstration("k", "ato"), "kato"), (Pair("k", "ato", "kk"), "katokk"),
    (Labelled("k", "", True), "k"), (Ranking("k", ("ato", "b", "", "c")), "katobc")])
def test_the_text_of_a_record_is_all_that_it_says(record, text):
    assert text_of(record) == text


@pytest.mark.parametrize("record, line", [
    (Demonstration("k", "ato"), '{"prompt": "k", "completion": "ato"}'),
    (Pair("k", "ato", "kk"), '{"prompt": "k", "chosen": "ato", "rejected": "kk"}'),
    (Labelled("k", "ato", True), '{"prompt": "k", "completion": "ato", "label": true}'),
    (Labelled("", "\n", False), '{"prompt": "", "completion": "\\n", "label": false}'),
    (Demonstration('"\u00f6\u2028\U0001f600\0', ""),
     '{"prompt": "\\"\u00f6\u2028\U0001f600\\u0000", "completion": ""}'),
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


@pytest.mark.parametrize("line, record", [
    (' {\t"rejected" :"b","prompt": "a", "chosen":"ab" } ', Pair("a", "ab", "b")),
    ('{"prompt": "", "chosen": "ab", "rejected": "ac"}', Pair("", "ab", "ac")),
    ('{"completion": "\\/", "label": true, "prompt": "\\u00e9\\ud83d\\ude00"}',
     Labelled("\u00e9\U0001f600", "/", True)),
    ('{"id": [1, {"x": null}], "prompt": "a", "score": NaN, "chosen": "b", "rejected": "c", '
     '"label": 1, "ranking": 2, "Prompt": 7, "": "\\ud800"}', Pair("a", "b", "c")),
    ('{"prompt": "a", "label": 1, "ranking": ["c", "d"], "n": ' + "9" * 5000 + "}",
     Ranking("a", ("c", "d"))),
    ('{"prompt": null, "chosen": "ab", "rejected": "ac", "label": null}', Pair("a", "b", "c")),
    ('{"chosen": null, "ranking": null, "prompt": "a", "completion": "b", "label": true}',
     Labelled("a", "b", True)),
    ('{"prompt": "a", "chosen": "b", "id": 1, "rejected": "c", "id": 2, "x": {"y": 1, "y": 2}, '
     '"label": true, "label": false, "messages": [1, 2, 3]}', Pair("a", "b", "c")),
    ('{"chosen": "ab", "rejected": "a", "messages": 3}', Pair("a", "b", ""))])
def test_other_ways_to_write_a_record_are_read_and_other_entries_ignored(data_file, line, record):
    assert read_preferences(data_file(line.encode())).records == [record]
    if '"prompt": "' in line:
        assert read_prompts(data_file(line.encode())).records == [record.prompt]


def said(**turns):
    """A list of messages."""
    return [{"role": role, "content": text} for role, text in turns.items()]


@pytest.mark.parametrize("line, record", [
    ({"messages": said(user="a", assistant="b"), "label": False}, Labelled("a", "b", False)),
    ({"messages": said(user="a", assistant=""), "prompt": None, "label": True},
     Labelled("a", "", True)),
    ({"messages": said(user="a"), "ranking": ["b", "c"]}, Ranking("a", ("b", "c"))),
    ({"prompt": said(user="a"), "chosen": said(assistant="b"), "rejected": said(assistant="c")},
     Pair("a", "b", "c")),
    ({"prompt": "a", "chosen": said(assistant="b"), "rejected": "c"}, Pair("a", "b", "c")),
    ({"prompt": said(user="a"), "completion": said(assistant="b"), "label": True},
     Labelled("a", "b", True)),
    ({"chosen": said(user="a", assistant="ab"), "rejected": said(user="a", assistant="ac")},
     Pair("a", "ab", "ac")),
    ({"prompt": said(user="a"), "ranking": [said(assistant="b"), "c"]}, Ranking("a", ("b", "c")))])
def test_a_question_and_its_answer_are_a_prompt_and_a_completion(data_file, line, record):
    """The conversational forms of TRL, where nobody speaks twice."""
    path = data_file(json.dumps(line).encode())
    assert read_preferences(path) == Reading([record], [1])
    if "chosen" not in line or "prompt" in line:
        assert read_prompts(path).records == ["a"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\n\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\r\n \n", b"\r\xef\xbb\xbf"])
def test_blank_lines_other_line_ends_and_a_byte_order_mark_do_no_harm(data_file, mark, end, last):
    lines = [b'{"prompt": "a"}', b"", b" \t", b'{"prompt": "b"}', b'{"prompt": "c"}']
    found = read_prompts(data_file(mark + end.join(lines) + last))
    assert found == Reading(["a", "b", "c"], [1, 4, 5])


@pytest.mark.parametrize("chosen, rejected, pair", [
    ("kato", "kkk", ("k", "ato", "kk")), ("kato", "mato", ("", "kato", "mato")),
    ("kat", "kato", ("kat", "", "o")), ("kato", "kat", ("kat", "o", "")),
    ("", "kato", ("", "", "kato")), ("kato", "kato", ("kato", "", "")), ("", "", ("", "", "")),
    ("\U0001f600", "\U0001f601", ("", "\U0001f600", "\U0001f601")),
])
def test_the_prompt_is_what_both_strings_begin_with(data_file, chosen, rejected, pair):
    line = json.dumps({"chosen": chosen, "rejected": rejected}).encode()
    assert read_preferences(data_file(line)) == Reading([pair], [1])


@pytest.fixture(scope="module")
def some_pairs():
    """Pairs over two letters, many of which begin alike and some of which are equal."""
    rng = random.Random(1)
    return [Pair(*("".join(rng.choices("ab", k=rng.randrange(5))) for _ in range(3)))
            for _ in range(300)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_the_prompt_ends_makes_no_difference_to_learners_that_compare(tmp_path, some_pairs,
                                                                            order):
    """(counts.3): the steps that both strings share cancel in every row; exactly, since the vector
    has whole numbers."""
    letters = from_items(["ab"])
    write_implicit(tmp_path / "data.jsonl", some_pairs)
    whole = [Pair("", pair.prompt + pair.chosen, pair.prompt + pair.rejected)
             for pair in some_pairs]
    read = read_preferences(tmp_path / "data.jsonl").records
    vector = np.random.default_rng(2).integers(-99, 100, 3**order).astype(float)
    products = []
    for pairs in some_pairs, whole, read:
        data = from_text(letters, pairs, order=order)
        products.append(counts.difference_matrix(data.chosen, data.rejected) @ vector)
    assert len(set(products[0])) > 20
    np.testing.assert_array_equal(products[0], products[1])
    np.testing.assert_array_equal(products[0], products[2])


# What is malformed.


TURNS = "must be one user turn, one answer or both, got"
EVERY_READER = [
    (b"prompt", "not JSON (Expecting value, column 1)"),
    (b"  {} {}", "not JSON (Extra data, column 6)"),
    (b'{"prompt": "a', "not JSON (Unterminated string starting at, column 12)"),
    (b'"prompt"', "must be a JSON object, got a string"),
    (b"[{}]", "must be a JSON object, got a list"),
    (b"-1.5e3", "must be a JSON object, got a number"),
    (b"true", "must be a JSON object, got true or false"),
    (b"null", "must be a JSON object, got null"),
    (b'{"messages": "a"}', f'"messages" {TURNS} a string'),
    (b'{"messages": []}', f'"messages" {TURNS} 0 messages'),
    (b'{"messages": ["a", "b"]}', f'"messages" {TURNS} 2 messages'),
    (b'{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
     f'"messages" {TURNS} 2 messages'),
    (b'{"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, '
     b'{"role": "assistant", "content": "c"}]}', f'"messages" {TURNS} 3 messages'),
    (b'{"messages": [{"role": "user", "content": null}]}',
     '"content" in "messages" must be a string, got null'),
    (b'{"messages": [{"role": "user", "content": "a", "content": "a"}]}',
     '"content" in "messages" must be a string, got two values'),
    (b'{"messages": [], "messages": []}', f'"messages" {TURNS} two values'),
    (b'{"messages": [{"role": "user", "content": [{"role": "user", "content": "a"}]}]}',
     '"content" in "messages" must be a string, got a list'),
    (b'{"prompt": "\xc3\xa9\xed\xa0\xbd"}', "not UTF-8 (byte 0xed)"),
    (b'{"prompt": "a", "x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
     "not JSON that can be read (nested too deeply)")]
PREFERENCES = [
    ("{}", '"chosen" is missing'), ('{"chosen": "a", "x": 1}', '"rejected" is missing'),
    ('{"prompt": "", "rejected": "a"}', '"chosen" is missing'),
    ('{"prompt": 1, "chosen": "a", "rejected": "a"}', '"prompt" must be a string, got a number'),
    ('{"rejected": "b", "chosen": "a", "x": [1], "rejected": "b"}',
     '"rejected" must be a string, got two values'),
    ('{"prompt": "b", "chosen": null, "rejected": "a"}', '"chosen" is missing'),
    ('{"chosen": "a", "rejected": ["a"]}', f'"rejected" {TURNS} 1 message'),
    ('{"chosen": [], "rejected": ["a"]}', f'"chosen" {TURNS} 0 messages'),
    ('{"chosen": "a", "rejected": [{"role": "user", "content": "a"}, {"role": "assistant", '
     '"content": ""}]}', '"rejected" must be a string or one message, got two messages'),
    ('{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], '
     '"rejected": [{"role": "user", "content": "b"}, {"role": "assistant", "content": "a"}]}',
     '"chosen" and "rejected" must answer the same user turn'),
    ('{"chosen": [{"role": "assistant", "content": "b"}], "rejected": [{"role": "assistant", '
     '"content": "a"}]}', '"chosen" and "rejected" must answer the same user turn'),
    ('{"messages": [{"role": "assistant", "content": "b"}], "label": true}',
     '"prompt" is missing'),
    ('{"messages": [{"role": "user", "content": "b"}], "label": true}',
     '"completion" is missing'),
    ('{"messages": [{"role": "user", "content": "b"}, {"role": "assistant", "content": "b"}]}',
     '"label" is missing'),
    ('{"chosen": {}, "rejected": "a"}', '"chosen" must be a string, got an object'),
    ('{"rejected": "\\ud83d", "chosen": "\\ud83d\\ude00"}',
     '"rejected" contains a lone surrogate, no character'),
    ('{"completion": "a", "label": true}', '"prompt" is missing'),
    ('{"prompt": "", "label": true}', '"completion" is missing'),
    ('{"prompt": "", "completion": "a", "label": null}', '"label" is missing'),
    ('{"prompt": "", "completion": "a", "label": true, "label": true}',
     '"label" must be true or false, got two values'),
    ('{"prompt": "", "completion": "a", "label": 1}',
     '"label" must be true or false, got a number'),
    ('{"prompt": "", "completion": true, "label": true}',
     '"completion" must be a string, got true or false'),
    ('{"ranking": ["a", "b"]}', '"prompt" is missing'),
    ('{"prompt": "", "ranking": "ab"}',
     '"ranking" must be a list of at least two strings, got a string'),
    ('{"prompt": "", "ranking": ["a"]}',
     '"ranking" must be a list of at least two strings, got a list of 1'),
    ('{"prompt": "", "ranking": ["a", ["b"]]}',
     f'a response in "ranking" {TURNS} 1 message'),
    ('{"prompt": "", "ranking": ["a", "\\ude00"]}',
     'a response in "ranking" contains a lone surrogate, no character')]
PROMPTS = [("{}", '"prompt" is missing'), ('{"prompt": null}', '"prompt" is missing'),
           ('{"prompt": "a", "prompt": "a"}', '"prompt" must be a string, got two values'),
           ('{"text": "a"}', '"prompt" is missing'),
           ('{"prompt": 1.5}', '"prompt" must be a string, got a number'),
           ('{"prompt": "a\\ud800b"}', '"prompt" contains a lone surrogate, no character')]


def test_a_malformed_line_is_refused_by_number_and_reason(data_file):
    good = {read_preferences: b'{"chosen": "a", "rejected": "b"}\r\n', read_prompts:
            b'{"prompt": "a"}\r\n'}
    cases = [(reader, *case) for reader in good for case in EVERY_READER]
    cases += [(reader, line.encode(), reason) for reader, some
              in ((read_preferences, PREFERENCES), (read_prompts, PROMPTS))
              for line, reason in some]
    for reader, line, reason in cases:
        path = data_file(good[reader] + b"\n" + line + b"\n \n" + good[reader] + line)
        with pytest.raises(ValueError) as found:
            reader(path)
        assert str(found.value) == f"{path}, line 3: {reason}"


def test_a_byte_order_mark_begins_a_line_or_is_no_json(data_file):
    path = data_file(b"\xef\xbb\xbf\n{} \xef\xbb\xbf")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: not JSON")):
        read_prompts(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for reader in read_preferences, read_prompts:
        with pytest.raises(ValueError, match=re.escape(f"cannot read {tmp_path}: Is a directory")):
            reader(tmp_path)
