"""Models: counting against loops, the file there and back, and everything a file may hold."""

from collections import Counter
import io
from math import log
import os
import pickle
import warnings
import zipfile

import numpy as np
import pytest

from toy_lm import models
from toy_lm.corpora import unicode_words
from toy_lm.models import Model, fit, load, save
from toy_lm.ngram import nats_per_character
from toy_lm.vocabulary import Vocabulary, from_items

STRANGE = ["a\0b", "e\u0301te\u0301", "\U0010ffff1", " x\t9 ", "\u200d\u0661", "\ue000\r", "\ud7ff"]
GOOD = {"version": 1, "letters": np.array([97, 98], np.uint32),
        "logits": np.array([[0.0, -1.0, -np.inf], [1e300, 0.0, -0.0], [0.5, 0.25, 5e-324]])}
executed = []


def spring():
    executed.append("the pickle")


class Trap:
    """An object that tells when it is unpickled."""

    def __reduce__(self):
        return spring, ()


def archive(**entries):
    """The bytes of an .npz archive of the good entries, with these in their place; None is left
    out."""
    data, kept = io.BytesIO(), {**GOOD, **entries}
    np.savez_compressed(data, **{name: value for name, value in kept.items() if value is not None})
    return data.getvalue()


def zipped(packing=zipfile.ZIP_STORED, **files):
    """An archive of the good entries, in which these files are replaced by bytes."""
    data, replaced = io.BytesIO(), {name + ".npy": content for name, content in files.items()}
    with zipfile.ZipFile(io.BytesIO(archive())) as good, zipfile.ZipFile(
            data, "w", packing) as made:
        for name in good.namelist():
            made.writestr(name, replaced.get(name, good.read(name)))
    return data.getvalue()


def same_bits(one, other):
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.fixture
def refusal(tmp_path):
    """What `load` says of a file with this content, after the name of the file."""
    def message(data):
        path = tmp_path / "model.npz"
        path.write_bytes(data)
        with pytest.raises(ValueError) as found:
            load(path)
        start = f"{path} holds no model: "
        assert str(found.value).startswith(start)
        return str(found.value).removeprefix(start)
    return message


def nll_by_loops(items, training, order, alpha):
    """Nats per character under the counts of contexts, the last order − 1 characters."""
    symbols = len(set("".join(items + training))) + 1
    contexts, seen = Counter(), Counter()

    def windows(item):
        padded = "\n" * (order - 1) + item + "\n"
        return [padded[i:i + order] for i in range(len(item) + 1)]

    for item in training:
        for window in windows(item):
            contexts[window[:-1]] += 1
            seen[window] += 1
    costs = [-log((seen[w] + alpha) / (contexts[w[:-1]] + alpha * symbols))
             for item in items for w in windows(item)]
    return sum(costs) / len(costs)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("pseudo_count", [0.1, 2.0])
def test_a_model_of_any_order_costs_what_its_contexts_say(order, pseudo_count):
    words = unicode_words()
    training, held = words[::2], words[1::2]
    model = fit(training, order=order, pseudo_count=pseudo_count, vocabulary=from_items(words))
    assert model.order == order and model.logits.shape == (27**(order - 1), 27)
    for items in training, held:
        steps = model.vocabulary.encode(items, order=order)
        assert nats_per_character(model.logits, steps) == pytest.approx(
            nll_by_loops(items, training, order, pseudo_count), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_without_a_pseudo_count_a_model_is_the_frequencies(order):
    items = ["on", "no", "onno", "", "n"]
    model = fit(items, order=order, pseudo_count=0)
    steps = model.vocabulary.encode(items, order=order)
    assert nats_per_character(model.logits, steps) == pytest.approx(
        nll_by_loops(items, items, order, 0), rel=1e-12)
    seen = set(np.divmod(steps.index, 3)[0].tolist())
    assert all((np.exp(row) == pytest.approx([1 / 3] * 3)) for s, row in enumerate(model.logits)
               if s not in seen)


def test_a_given_vocabulary_may_know_more_letters_and_must_not_know_fewer():
    model = fit(["on"], vocabulary=Vocabulary("lno"))
    assert model.vocabulary.letters == "lno" and model.logits.shape == (4, 4)
    with pytest.raises(ValueError, match="item 2 contains 'x', which is not in the vocabulary"):
        fit(["on", "ox"], vocabulary=Vocabulary("no"))


# There and back.


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("items", [["on", "no"], STRANGE, ["0123456789"]])
@pytest.mark.parametrize("pseudo_count", [0, 0.1])
def test_a_model_is_loaded_as_it_was_to_the_last_bit(tmp_path, order, items, pseudo_count):
    path, model = tmp_path / "model.npz", fit(items, order=order, pseudo_count=pseudo_count)
    save(path, model)
    found = load(str(path))
    assert found.vocabulary == model.vocabulary == from_items(items)
    assert same_bits(found.logits, model.logits) and found.order == order
    assert os.listdir(tmp_path) == ["model.npz"]


def test_every_number_of_a_table_survives_and_whole_ones_as_floats(tmp_path):
    save(tmp_path / "model", Model(Vocabulary("ab"), np.zeros((3, 3), int)))
    assert load(tmp_path / "model").logits.dtype == np.float64
    model = Model(Vocabulary("ab"), GOOD["logits"])
    save(tmp_path / "model", model)
    assert os.listdir(tmp_path) == ["model"]  # NumPy alone would add its own ending
    assert same_bits(load(tmp_path / "model").logits, model.logits)


def test_a_file_is_what_the_chapter_says_and_holds_no_object(tmp_path):
    save(tmp_path / "model.npz", fit(STRANGE))
    with np.load(tmp_path / "model.npz", allow_pickle=False) as found:
        assert set(found.files) == {"version", "letters", "logits"}
        assert found["version"] == models.VERSION == 1 and found["version"].shape == ()
        assert found["letters"].dtype == np.uint32 and found["logits"].dtype == np.float64
        assert found["letters"].tolist() == sorted(map(ord, set("".join(STRANGE))))


def test_a_model_may_go_through_standard_output_and_input(monkeypatch):
    class Stream(io.BytesIO):
        buffer = property(lambda self: self)

    model, pipe = fit(STRANGE), Stream()
    monkeypatch.setattr("sys.stdout", pipe)
    save("-", model)
    monkeypatch.setattr("sys.stdin", Stream(pipe.getvalue()))
    assert same_bits(load("-").logits, model.logits)
    monkeypatch.setattr("sys.stdin", Stream(b"no"))
    with pytest.raises(ValueError, match=r"^standard input holds no model: it is no .npz archive$"):
        load("-")


# What a file may hold.


def test_the_good_entries_are_good(tmp_path):
    both = io.BytesIO(zipped())
    with zipfile.ZipFile(both, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("more.npy", b"")
    for data in (archive(), zipped(), zipped(zipfile.ZIP_DEFLATED), both.getvalue(),
                 archive(more=np.ones(3)), archive(version=np.uint8(1))):
        (tmp_path / "model.npz").write_bytes(data)
        found = load(tmp_path / "model.npz")
        assert found.vocabulary.letters == "ab" and same_bits(found.logits, GOOD["logits"])


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_good_entries_that_are_packed_in_other_ways_are_refused(refusal, packing):
    assert refusal(zipped(packing)).endswith("its entries must be stored or deflated)")


@pytest.mark.parametrize("entry", ["version", "letters", "logits", "more"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_pickle_is_refused_and_not_executed(refusal, entry, shape):
    value = np.empty(shape, object)
    value[...] = Trap()
    data = archive(**{entry: value})
    if entry == "more":
        assert models._parse(data).vocabulary.letters == "ab"  # not looked at
    else:
        assert "cannot be read (ValueError: Object arrays cannot be loaded" in refusal(data)
    assert executed == []


def test_a_file_that_is_a_pickle_is_refused_and_not_executed(refusal):
    assert refusal(pickle.dumps(Trap())) == "it is no .npz archive"
    assert refusal(pickle.dumps(Trap()) + archive()) == "it is no .npz archive"
    assert executed == []
    pickle.loads(pickle.dumps(Trap()))
    assert executed.pop() == "the pickle"  # so the trap works


@pytest.mark.parametrize("entry", ["version", "letters", "logits"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00hello",
                                     b"\x93NUMPY\x09\x00" + bytes(100)])
def test_an_entry_that_is_no_array_is_refused(refusal, entry, content):
    assert refusal(zipped(**{entry: content}))


def header(shape):
    """What stands before an array of floats in its file."""
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        data, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return data.getvalue()


def test_an_entry_that_promises_more_than_there_is_or_that_numpy_only_warns_of_is_refused(refusal):
    """A header of Python 2, even where warnings are no errors"""
    for shape in (3**30, 3), (10, 3):
        assert f"promises {8 * np.prod(shape):,} bytes" in refusal(
            zipped(logits=header(shape) + bytes(72)))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert "cannot be read (UserWarning" in refusal(
            zipped(logits=header((3, 3)).replace(b"(3, 3)", b"(3L,3)") + bytes(72)))
    assert heard == []


def test_an_entry_whose_sum_is_wrong_is_named(refusal):
    data = bytearray(zipped())
    data[data.index(GOOD["logits"].tobytes())] ^= 1
    assert refusal(bytes(data)) == "the entry 'logits.npy' is damaged"


@pytest.mark.parametrize("codes", [[0, 9], [9, 11], [0xD7FF, 0xE000], [0x10FFFE, 0x10FFFF]])
def test_letters_beside_those_are_read(codes):
    found = models._parse(archive(letters=np.array(codes, np.uint32)))
    assert found.vocabulary.letters == "".join(map(chr, codes))


def npy():
    """A single array, as NumPy stores it."""
    data = io.BytesIO()
    np.save(data, np.zeros((3, 3)))
    return data.getvalue()


def letter():
    """An archive of something else."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("letter.txt", "Dear Sir or Madam")
    return data.getvalue()


def with_row(s, row):
    """The archive of a table with this row."""
    logits = np.zeros((3, 3))
    logits[s] = row
    return archive(logits=logits)


CHARACTERS = "letters must be characters other than the line feed"
KIND = "letters must be a vector of at least two uint32, got {}"
TABLE = "logits must be a float64 table with 3 columns, one per letter and one for the end, got {}"
REFUSED = [
    *((data, "it is no .npz archive")
      for data in (b"", b"a text\nof two lines\n", b"PK\x03\x04", b"\x93NUMPY", npy())),
    (letter(), "the entry 'version' is missing"),
    *((archive(**{entry: None}), f"the entry {entry!r} is missing") for entry in GOOD),
    *((archive(version=version), f"the format must be version 1, got {got}") for version, got in (
        (2, "2"), (0, "0"), (-1, "-1"), (1.0, "1.0"), (True, "True"), ("1", "'1'"),
        ("1\n" * 99, "'" + "1\\n" * 13), (2**63, str(2**63)),
        (np.zeros((9, 9), int), "int64 of shape (9, 9)"),
        (np.array([], int), "int64 of shape (0,)"))),
    *((archive(letters=letters), KIND.format(got)) for letters, got in (
        (np.array([97, 98]), "int64 of shape (2,)"),
        (np.array([97, 98], np.int32), "int32 of shape (2,)"),
        (np.array([97.0, 98.0]), "float64 of shape (2,)"),
        (np.array(["a", "b"]), "<U1 of shape (2,)"),
        (np.array([97], np.uint32), "uint32 of shape (1,)"),
        (np.array([], np.uint32), "uint32 of shape (0,)"),
        (np.array([[97, 98]], np.uint32), "uint32 of shape (1, 2)"),
        (np.array(97, np.uint32), "uint32 of shape ()"))),
    *((archive(letters=np.array(codes, np.uint32)), message) for codes, message in (
        ([98, 97], "letters must rise"), ([97, 97], "letters must rise"),
        ([2**32 - 1, 0], "letters must rise"), ([97, 0xD800], CHARACTERS),
        ([0xDFFF, 0xE000], CHARACTERS), ([97, 0x110000], CHARACTERS),
        ([97, 98, 0x110000], CHARACTERS), ([97, 2**32 - 1], CHARACTERS),
        ([10, 97], CHARACTERS))),
    *((archive(logits=logits), TABLE.format(f"{logits.dtype} of shape {logits.shape}"))
      for logits in (np.zeros((3, 3), np.float32), np.zeros((3, 3), int),
                     np.zeros((3, 3), complex), np.zeros((3, 4)), np.zeros((3, 2)), np.zeros(3),
                     np.zeros(()), np.zeros((3, 3, 1)))),
    *((archive(logits=np.zeros((S, 3))), f"a table of a language must have the shape (S, A), with "
       f"A symbols and S = A^(order - 1) states, got ({S}, 3)") for S in (0, 2, 4, 10)),
    *((with_row(s, row), "logits must be numbers below infinity, one of each row finite")
      for s in range(3) for row in ([0, np.nan, 0], [np.nan] * 3, [0, np.inf, 0], [-np.inf] * 3,
                                    [np.nan, -np.inf, np.inf]))]


def test_what_is_wrong_with_a_file_is_said(refusal):
    for data, message in REFUSED:
        assert refusal(data) == message
