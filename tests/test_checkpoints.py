"""Checkpoints: every record of every trainer as a file and back, what a damaged file is called, and
jobs that go on where they were stopped."""

import ast
from collections import namedtuple
import errno
from functools import partial
from itertools import islice
import io
import json
import os
from pathlib import Path
import pickle
import re
import signal
import subprocess
import sys
from hashlib import sha256

import kills
import numpy as np
import pytest
from scipy import sparse
from test_house import ROOT, SOURCES
from test_trainers import FIRST, TRAINERS

from minirl import checkpoints
from minirl.__main__ import main
from minirl.beyond.harvest import begin, fit_classifier, harvest
from minirl.checkpoints import CheckpointError, packed, storable, unpacked
from minirl.kernel.mdp import coin_game
from minirl.kernel.sampling import generator
from minirl.lab import alignment, keeping, networks, policies
from minirl.play.optim import AdamState
from minirl.play.reinforce import reinforce
from minirl.play.training import load, save, start
from toy_lm.demonstrations import self_instruct


def identical(one, other):
    """Whether two values are the same to the last bit, and lie in memory alike."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(
            identical(*two) for two in zip([*one, *one.values()], [*other, *other.values()]))
    if isinstance(one, np.ndarray):
        return ((one.dtype.str, one.shape) == (other.dtype.str, other.shape)
                and one.tobytes() == other.tobytes()
                and one.flags.c_contiguous == other.flags.c_contiguous
                and (one.flags.c_contiguous or np.argsort(one.strides).tolist()
                     == np.argsort(other.strides).tolist()))
    if isinstance(one, (float, complex, np.generic)):
        return np.asarray(one).tobytes() == np.asarray(other).tobytes()
    return one == other


# The contract of all trainers.


def collected(record):
    """Rounds of a harvest in which six lines have random features."""
    rows = sparse.csr_array(np.random.default_rng(0).integers(0, 2, (6, 5)).astype(float))
    return harvest(rows, [0, 0, 1, 1, 2, 2], lambda shown: shown[:1], record)


def grown(record):
    """Rounds of self-instruct; a pool goes on from its items and its state."""
    items, rng = (["on", "no"], 3) if record is None else (record.items, record.rng)
    return self_instruct(items, lambda text: len(text) < 6, rng=rng, strings=5)


# By name: a function from a record to the trainer that goes on from it, and the first record.
KEPT = {**{name: (case, case.first) for name, case in TRAINERS.items()},
        "harvest": (collected, begin([0, 2], 6, rng=1)), "self_instruct": (grown, None)}
NO_TRAINERS = {  # yield something else, or take the record of a trainer
    "until_stopped", "tree_search", "walk", "minibatches", "batch_mean", "leave_one_out",
    "optimal_constant", "no_baseline", "value_baseline", "weigh", "move_together", "save", "play",
    "next_record", "text_of", "packed", "standard_output"}


def yields(node):
    """Whether a function is a generator function; functions in it do not count."""
    return any(isinstance(part, (ast.Yield, ast.YieldFrom)) or (
        not isinstance(part, (ast.FunctionDef, ast.Lambda)) and yields(part))
        for part in ast.iter_child_nodes(node))


def test_every_trainer_of_the_tree_is_held_to_the_contract():
    """Whatever yields for ever, or has an argument `record`, is a trainer or known to be none."""
    found = set()
    for path in SOURCES:
        if not {"lab", "plain", "exercises", "pictures"} & set(path.parts):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and (
                        yields(node) or "record" in {arg.arg for arg in node.args.args}):
                    found.add(node.name)
    names = {name.split(",")[0] for name in KEPT}
    assert found == names | NO_TRAINERS and not names & NO_TRAINERS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of the records of all trainers after two iterations."""
    folder = tmp_path_factory.mktemp("records")
    for name, (trainer, first) in KEPT.items():
        save(list(islice(trainer(first), 2))[-1], folder / name)
    return folder


@pytest.mark.parametrize("name", KEPT)
def test_a_record_is_loaded_as_it_was(folder, name):
    """Types, bits and the order in memory; and it is the same file again."""
    trainer, first = KEPT[name]
    record, found = list(islice(trainer(first), 2))[-1], load(folder / name)
    assert identical(found, record) and packed(found) == (folder / name).read_bytes()
    for trained in [first] * (first is not None):
        assert identical(unpacked(packed(trained), "memory"), trained)


def further(folder):
    """A fingerprint of the next three records of every trainer, from the files in a folder."""
    return {name: [sha256(packed(record)).hexdigest()
                   for record in islice(trainer(load(Path(folder) / name)), 3)]
            for name, (trainer, _) in KEPT.items()}


def test_every_trainer_goes_on_bit_for_bit_in_another_process(folder):
    """Which has another hash seed, and has trained nothing before."""
    there = subprocess.run(
        [sys.executable, "-c", "import json, sys, test_checkpoints\n"
                               "print(json.dumps(test_checkpoints.further(sys.argv[1])))", folder],
        cwd=ROOT / "tests", capture_output=True, check=True, encoding="utf-8",
        env=os.environ | {"PYTHONHASHSEED": "12", "PYTHONPATH": os.pathsep.join(
            [str(ROOT / "tests"), str(ROOT)])})
    expected = {name: [sha256(packed(record)).hexdigest()
                       for record in list(islice(trainer(first), 5))[2:]]
                for name, (trainer, first) in KEPT.items()}
    assert json.loads(there.stdout) == expected


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_training_goes_on_with_every_bit_generator_of_numpy(tmp_path, kind):
    bits = getattr(np.random, kind)(5)
    rng = np.random.Generator(bits)
    rng.integers(0, 9, dtype=np.uint32)  # half of a number is kept for the next draw
    record = start(coin_game(), rng=rng)
    save(record, tmp_path / "record")
    found = load(tmp_path / "record")
    assert identical(found.rng, record.rng) and found.rng["bit_generator"] == kind
    for one, other in zip(range(3), zip(reinforce(coin_game(), record),
                                        reinforce(coin_game(), found))):
        assert identical(*other)


@pytest.mark.parametrize("name", ["seed", "BitGenerator2", "bytes", "default_rng", None])
def test_only_a_bit_generator_is_made_from_a_state(name):
    """Which may come from a file."""
    with pytest.raises(ValueError, match="rng must be the state of a bit generator of NumPy, got"):
        generator({"bit_generator": name})


@storable
class Box(namedtuple("Box", "content more", defaults=[None])):
    """A record of this test."""


Unmarked = namedtuple("Unmarked", "content")
FLOATS = [0.1, -0.0, 5e-324, np.inf, -np.inf, *np.frombuffer(np.array(
    [0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001], np.uint64)).tolist()]
TABLE = np.arange(24.0).reshape(2, 3, 4) / 7
ARRAYS = [TABLE, np.asfortranarray(TABLE), TABLE.transpose(1, 0, 2), TABLE.transpose(2, 0, 1),
          TABLE[:, ::2, ::-1], np.broadcast_to(TABLE[0], (5, 3, 4)), np.zeros((0, 3)),
          np.zeros((3, 0, 2)).T, np.array(2.5), np.array([True, False]), np.array(FLOATS),
          *(np.array([1, 2, 250]).astype(dtype) for dtype in (
              "u1", "i1", "<u2", ">i4", "u8", "f2", ">f4", "f8", "c8", "c16", "longdouble"))]
VALUES = [None, True, False, 0, -1, 2**127 + 1, -10**300, *FLOATS, "", "é\0\n\"", "\ud800", "𝛽",
          (), [], {}, set(), (1, [2, (3,)], {"a": {"b": None}}), {(1, "a"): 2.0, None: 3, 1.5: {}},
          {"tuple": [1], "record": ["Box", {}]}, {1, "a", None, (2, 3), 4.5, np.float64(2)},
          np.float64(0.1), np.float32(0.1), np.int8(-3), np.bool_(True), np.complex64(1 + 2j),
          np.float64(FLOATS[-1]), Box(Box((Box(1),)), AdamState(TABLE, TABLE.T, 3)), *ARRAYS]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_of_any_kind_is_read_as_it_was_written(value):
    found = unpacked(packed(Box(value)), "memory").content
    if isinstance(value, np.ndarray) and not value.flags.c_contiguous:
        value = value.copy(order="K")
    assert value == found if isinstance(value, set) else identical(found, value)
    assert not isinstance(found, np.ndarray) or found.flags.writeable and found.flags.aligned


def test_a_set_is_the_same_file_whatever_the_order_of_its_entries():
    orders = [{f"{i}" for i in range(50)}, {f"{i}" for i in reversed(range(50))}]
    assert packed(Box(orders[0])) == packed(Box(orders[1]))
    line = packed(Box(orders[0])).split(b"\n")[2].decode()
    assert line.index('"10"') < line.index('"11"') < line.index('"5"')


@pytest.mark.parametrize("value, place, kind", [
    (print, "record.content", "builtin_function_or_method"),
    ({"a": [0, object()]}, "record.content['a'][1]", "object"),
    (np.array([None]), "record.content", "ndarray"),
    (np.array(["a"]), "record.content", "ndarray"),
    (np.ma.array([1.0], mask=[True]), "record.content", "MaskedArray"),
    (Box(Unmarked(1)), "record.content.content", "Unmarked"), (b"1", "record.content", "bytes"),
    (np.str_("a"), "record.content", "str_"), (1j, "record.content", "complex"),
    (frozenset(), "record.content", "frozenset"), ({Unmarked(1): 1},
     "the key Unmarked(content=1) of record.content", "Unmarked")])
def test_what_a_file_cannot_hold_is_refused_by_its_place(tmp_path, value, place, kind):
    with pytest.raises(ValueError) as found:
        save(Box(value), tmp_path / "box")
    assert str(found.value).startswith(f"{place} must be a number, text, None, an array of numbers")
    assert str(found.value).endswith(f"got {kind}") and not os.listdir(tmp_path)


def test_only_marked_records_are_written_and_a_name_is_marked_once():
    for wrong in Unmarked(1), {"logits": 1}, np.zeros(3), None, Box:
        with pytest.raises(ValueError, match="record must be of a class that is marked as"):
            packed(wrong)
    with pytest.raises(ValueError, match="a name of its own, got Training, which minirl"):
        storable(namedtuple("Training", "logits"))
    with pytest.raises(ValueError, match="kind must be a class of named tuples, got Other"):
        storable(type("Other", (), {}))
    assert storable(Box) is Box and isinstance(unpacked(packed(FIRST), "memory"), type(FIRST))


def test_what_a_deterministic_fit_found_is_a_record_too(tmp_path):
    fit = fit_classifier(np.zeros(1), sparse.csr_array(np.ones((4, 1))), np.arange(4) < 3)
    save(fit, tmp_path / "fit")
    assert identical(load(tmp_path / "fit"), fit)


# What is wrong with a file.


SMALL = packed(Box((1.5, "a"), np.array([3, 4], np.int8)))
REASONS = ("truncated", "changed after it was written, since its digest does not fit",
           "no checkpoint of this book", "of version ")


def refusal(data):
    """Why bytes are refused, after the name of the file."""
    with pytest.raises(CheckpointError) as found:
        unpacked(data, "run.checkpoint")
    assert str(found.value).startswith("run.checkpoint: ")
    return str(found.value).removeprefix("run.checkpoint: ")


def test_a_change_of_any_byte_to_any_other_is_found():
    """Of a whole small file, 255 changes of each byte"""
    seen, kinds = set(), {}
    for place, byte in enumerate(SMALL):
        for other in {*range(256)} - {byte}:
            try:
                unpacked(SMALL[:place] + bytes([other]) + SMALL[place + 1:], "x")
            except CheckpointError as error:
                reason = next(reason for reason in REASONS if str(error).startswith(f"x: {reason}"))
                kinds.setdefault(reason, set()).add(place)
                seen.add((place, other))
    assert len(seen) == 255 * len(SMALL) and set(kinds) == set(REASONS)
    first, second = SMALL.index(b"\n"), SMALL.index(b"\n", SMALL.index(b"\n") + 1)
    assert kinds["no checkpoint of this book"] == set(range(first + 1))
    assert kinds["of version "] == {first - 1}
    assert min(kinds["changed after it was written, since its digest does not fit"]) == first + 1
    assert max(kinds["truncated"]) <= second  # the length


def test_a_file_that_ends_too_early_or_too_late_is_found():
    for length in range(len(SMALL)):
        assert refusal(SMALL[:length]).startswith("truncated"), length
        for more in b"0", b"\n", b" ":
            assert refusal(SMALL[:length] + more + SMALL[length:]), length
            assert refusal(SMALL[:length] + SMALL[length + 1:]), length
    size = len(SMALL) - len(b"\n".join(SMALL.split(b"\n")[:2])) - 1
    assert refusal(SMALL[:-3]) == f"truncated, since {size - 3} of {size} bytes are there"
    assert refusal(SMALL + SMALL).startswith("changed")


@pytest.mark.parametrize("version, order", [(0, "older"), (2, "newer"), (10, "newer")])
def test_another_version_is_refused_by_its_number(version, order):
    other = SMALL.replace(b"checkpoint 1", f"checkpoint {version}".encode())
    assert refusal(other) == (f"of version {version}, which is {order} than the version 1 that is "
                              f"read here")


class Trap:
    """An object that tells when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("data", [b"hello\n", b"\x93NUMPY", b"minirl checkpoint 01\n" + SMALL[20:],
                                  pickle.dumps(Trap()), b"\n" + SMALL, b"PK\x03\x04" + SMALL])
def test_a_file_of_another_kind_is_foreign(data):
    assert refusal(data) == "no checkpoint of this book"


def sealed(content):
    """A file whose digest is right, whatever it holds."""
    return b"\n".join([checkpoints.FIRST_LINE,
                       f"{sha256(content).hexdigest()} {len(content)}".encode(), content])


def holding(content, numbers=b""):
    """The same of a `Box` of a tree."""
    return sealed(json.dumps({"record": ["Box", {"content": content, "more": None}]}).encode()
                  + b"\n" + numbers)


@pytest.mark.parametrize("tree, reason", [
    ({"record": ["os.system", {"command": "true"}]}, "a record 'os.system', which nothing here"),
    ({"record": ["Training", {"logits": 1}]}, "with a Training of other fields (logits) than here"),
    ({"record": ["Box", {"more": 1, "content": 1}]}, "with a Box of other fields (more, content)"),
    ({"array": ["|O", [1], [0]]}, "with an array of '|O', which are no numbers"),
    ({"array": ["<U1", [1], [0]]}, "with an array of '<U1', which are no numbers"),
    ({"array": ["<f3", [1], [0]]}, "not to be understood (TypeError"),
    ({"array": ["<f8", [10**15], [0]]}, ""), ({"array": ["<f8", [2**70], [0]]}, "not to be"),
    ({"array": ["<f8", [-1, -1], [0, 1]]}, ""), ({"array": ["<f8", [1, 1], [0, 0]]}, ""),
    ({"array": ["<f8", [1], [5]]}, ""), ({"array": 3}, "not to be understood"),
    ({"number": ["<f8", "00"]}, ""), ({"number": ["<f8", ""]}, ""), ({"float": "zz"}, ""),
    ({"pickle": "gASV"}, "with a value of the unknown kind 'pickle'"), ({}, ""),
    ({"tuple": [1], "set": [1]}, ""), ({"set": [[1]]}, "not to be understood (TypeError"),
    ({"dict": [[[1], 2]]}, "not to be understood"), ({"dict": [1]}, "not to be understood"),
    ({"dict": {"a": 1}}, ""), (1, "longer than its record")])
def test_what_a_stranger_has_sealed_is_refused_too(tree, reason):
    """The digest is right, but there is no such record here; nothing is imported or made."""
    assert reason in refusal(holding(tree, b"12345678" * (tree == 1)))


@pytest.mark.parametrize("content", [b"", b"1\n", b"[]\n", b"{}\n", b'{"tuple": []}\n', b"\xff\n",
                                     b"[" * 100_000 + b"\n", b'{"record": 1}\n', b"1" * 5000])
def test_a_sealed_file_without_a_record_is_refused(content):
    assert refusal(sealed(content))


def test_whatever_is_changed_under_a_right_digest_there_is_a_record_or_the_one_error():
    """Three thousand changes of the tree and its numbers"""
    rng, found = np.random.default_rng(0), 0
    content = packed(FIRST).split(b"\n", 2)[2]
    for _ in range(3000):
        data = bytearray(content)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place:place + rng.integers(0, 3)] = rng.bytes(rng.integers(0, 3))
        try:
            assert isinstance(unpacked(sealed(bytes(data)), "x"), tuple)
            found += 1
        except CheckpointError as error:
            assert str(error).startswith("x: ")
    assert 30 < found < 2970


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for path, reason in ((tmp_path / "none", "cannot read .*none: No such file or directory"),
                         (tmp_path, "cannot read .*: Is a directory"),
                         (tmp_path / "empty", ".*empty: truncated in its first line")):
        with pytest.raises(CheckpointError, match=reason):
            load(path)


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_nothing_is_lost_where_a_record_cannot_be_written(tmp_path, monkeypatch, name):
    """A full disk; what is not to be stored; a file that is read-only, or a folder."""
    path, first = tmp_path / "run", start(coin_game(), rng=0)
    save(first, path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(CheckpointError, match=r"cannot write .*run: No space left on device"):
            save(Box(1), path)
    with pytest.raises(ValueError, match=r"record\.content must be a number"):
        save(Box(print), path)
    path.chmod(0o444)
    for wrong, reason in ((path, "it is read-only"), (tmp_path, "it must be a file in a folder"),
                          (tmp_path / "no" / "run", "it must be a file in a folder")):
        with pytest.raises(CheckpointError, match=f"cannot write {wrong}: {reason}"):
            save(Box(1), wrong)
    assert os.listdir(tmp_path) == ["run"] and identical(load(path), first)


# Jobs that go on.


JOBS = {"policies": policies.POLICIES, "alignment": alignment.ALIGNMENT,
        "network": networks.NETWORKS}
FIRST_NAMES = {"policies": (policies, "learn_policies"), "alignment": (alignment, "align"),
               "network": (networks, "measure_networks")}


class Stop(BaseException):
    """What stops a job in a test."""


@pytest.fixture
def stopped_at(monkeypatch):
    """Call with a number: at this writing the file is written and the job is stopped, or it is not
    stopped if the number is 0.  It returns the list of what would have been written."""
    monkeypatch.setattr(keeping, "INTERVAL", 0.0)
    monkeypatch.setitem(kills.SCALES, "network", networks.NetworkScale(1, 6, 6, (1,), (0, 2), (0,),
                                                                       20))
    monkeypatch.setitem(kills.ARGUMENTS, "policies", ["--runs", "1", "--iterations", "21",
                                                      "--episodes", "4", "--horizon", "20"])

    def until(number):
        written = []

        def save_and_stop(record, path):
            written.append(record)
            if len(written) == number:
                save(record, path)
                raise Stop

        monkeypatch.setattr(keeping, "save", save_and_stop)
        return written
    return until


@pytest.mark.parametrize("name", ["policies", "network",
                                  pytest.param("alignment", marks=pytest.mark.slow)])
def test_a_job_that_was_stopped_goes_on_to_the_same_results(name, tmp_path, stopped_at):
    """Wherever it was stopped, and it does nothing twice: each iteration is kept once."""
    path, written = str(tmp_path / "run"), stopped_at(0)
    whole = kills.run_job(name)
    assert kills.run_job(name, path) == whole and not os.listdir(tmp_path)
    total = len(written)
    for stop in [1, 2, *np.random.default_rng(0).integers(3, total - 1, 2).tolist(), total - 1]:
        stopped_at(stop)
        with pytest.raises(Stop):
            kills.run_job(name, path)
        rest = stopped_at(0)
        assert kills.run_job(name, path) == whole and len(rest) == total - stop > 0, stop
        os.remove(path)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_is_done_prints_the_same_again_without_any_work(name, tmp_path, monkeypatch,
                                                                   capsys):
    """Seconds too, whatever the interval was."""
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 1)
    path, out = str(tmp_path / "run"), str(tmp_path / "out.json")
    jobs = [JOBS[name]]
    if name in kills.SCALES:
        jobs = [JOBS[name]._replace(run=partial(JOBS[name].run, scale=kills.SCALES[name]))]
    asked = [name, *kills.ARGUMENTS[name], "--checkpoint", path]
    assert main([*asked, "--json", out], jobs) == 0
    text, document, data = capsys.readouterr().out, Path(out).read_text(), Path(path).read_bytes()
    monkeypatch.setattr(*FIRST_NAMES[name], lambda *_, **__: pytest.fail("work was begun"))
    assert main([*asked, "--json", out], jobs) == 0
    assert capsys.readouterr().out == text and Path(out).read_text() == document
    assert Path(path).read_bytes() == data and load(path).done == load(path).begun == {}
    assert re.sub(r'"seconds": [^,\n]*', '"seconds"', document) == kills.run_job(name, path)


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What `minirl policies` says after 'minirl: ', given a checkpoint that asked for --seed 4."""
    path, corpus = tmp_path / "run", tmp_path / "words.txt"
    corpus.write_text("on\nno\n")
    small = ["policies", "--world", "language", "--corpus", str(corpus), "--runs", "1",
             "--learner", "ppo"]

    def stop(*_, **__):
        raise Stop

    def call(*more, asked=small):
        status = main([*asked, "--quiet", *more, "--checkpoint", str(path)])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "") and err.count("\n") == 1 and err.startswith("minirl: ")
        return err.removeprefix("minirl: ").replace(str(tmp_path) + os.sep, "").removesuffix("\n")

    monkeypatch.setattr(policies, "learn_policies", stop)
    with pytest.raises(Stop):
        main([*small, "--seed", "4", "--checkpoint", str(path)])
    monkeypatch.setattr(policies, "learn_policies", lambda *_, **__: pytest.fail("work was begun"))
    return call, path, corpus


def test_other_arguments_than_before_are_refused_by_name_and_both_values(refused):
    call, path, corpus = refused
    end = " in run: ask for the same, or name another file"
    assert call() == f"--seed is 0 here, and 4{end}"
    assert call("--seed", "4", "--beta", "0.25") == f"--beta is 0.25 here, and not given{end}"
    assert call("--seed", "4", "--runs", "2") == f"--runs is 2 here, and 1{end}"
    other = corpus.with_name("others.txt")
    other.write_text("on\nno\n")
    assert call("--seed", "4", "--corpus", str(other)).startswith(
        "--corpus is others.txt here, and words.txt in run")
    corpus.write_text("on\nnoon\n")
    digests = re.fullmatch(
        f"the digest of what --corpus holds is (.{{16}}) here, and (.{{16}}){end}",
        call("--seed", "4"))
    assert digests[1] != digests[2]
    corpus.write_text("on\nno\n")
    record = load(path)
    save(record._replace(asked=record.asked | {"the version of minirl": "0.1.0"}), path)
    assert call("--seed", "4").startswith("the version of minirl is ") and call(
        "--seed", "4").endswith(f"here, and 0.1.0{end}")


def test_a_file_that_is_no_checkpoint_of_the_job_is_refused_and_stays(refused, monkeypatch):
    call, path, corpus = refused
    for make, reason in (
            (lambda: save(load(path)._replace(job="network"), path),
             "--checkpoint must be of the job policies, and run is of the job network"),
            (lambda: save(FIRST, path),
             "--checkpoint must be of the job policies, and run is of the Training"),
            (lambda: path.write_text("my notes"), "run: no checkpoint of this book")):
        make()
        data = path.read_bytes()
        assert call() == reason and path.read_bytes() == data
    assert call("--json", str(path)) == "cannot write run: the same file is read"
    path.unlink()
    assert call("--json", str(path)) == "--json and --checkpoint must be two files, got run twice"
    monkeypatch.setattr(sys, "stdin", io.StringIO("on\nno\n"))
    assert call("--corpus", "-") == (
        "--checkpoint needs files that can be read again, got --corpus -")
    assert not path.exists()


@pytest.mark.parametrize("name", ["-", "no/run", "."])
def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_work(name, tmp_path, monkeypatch,
                                                                        capsys):
    monkeypatch.chdir(tmp_path)
    for job, first in FIRST_NAMES.items():
        monkeypatch.setattr(*first, lambda *_, **__: pytest.fail("work was begun"))
        assert main([job, "--checkpoint", name]) == 2
        assert re.match(r"minirl: (--checkpoint must be the name of a file, got -|cannot (write "
                        r"no/run: it must be a file|read \.: Is a directory))",
                        capsys.readouterr().err)
    assert os.listdir(tmp_path) == []


def test_which_jobs_keep_what_they_have_done():
    """Those that take more than ten seconds, by docs/speed.md"""
    from minirl.__main__ import JOBS as every
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    seconds = dict(re.findall(r"^\| `minirl (\w+)` \| ([\d.]+) \|", page, flags=re.M))
    assert {job.name for job in every if "checkpoint" in job.arguments} == {
        name for name, time in seconds.items() if float(time) > 10} == set(JOBS)


def test_at_most_one_writing_falls_into_an_interval(monkeypatch):
    now, written = [100.0], []
    monkeypatch.setattr(keeping, "monotonic", lambda: now[0])
    monkeypatch.setattr(keeping, "save", lambda record, path: written.append(now[0]))
    kept = keeping.Keeper(path="run")
    for now[0] in (100.0, 100.5, 100.99, 101.0, 101.5, 102.5):
        kept.write()
    assert written == [100.0, 101.0, 102.5]
    kept.write(at_once=True)
    assert written == [100.0, 101.0, 102.5, 102.5] and keeping.INTERVAL == 1.0


# Kills.


@pytest.mark.slow
def test_runs_that_are_killed_leave_a_checkpoint_and_end_as_if_nobody_had():
    """SIGKILL; `make kills` has 200 of them."""
    found = kills.campaign(20, seed=int.from_bytes(os.urandom(2), "big"))
    assert [what["kills"] for what in found.values()] == [5] * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_runs_that_are_interrupted_or_ended_leave_one_too(name):
    found = kills.campaign(8, seed=1, signal_sent=getattr(signal, name))
    assert [what["kills"] for what in found.values()] == [2] * 4
