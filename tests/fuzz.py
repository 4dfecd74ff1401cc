"""Damaged files for every reader of files: `python -m tests.fuzz [INPUTS [SEED]]`, `make fuzz`.

A reader gives what it promises, or raises the `ValueError` that names the file, and the line where
there are lines; a command ends with status 0, or with 2 and one such line.  Another exception, a
warning, three seconds, and more memory than the limit are failures, and the file is kept.
"""

import contextlib
import io
import json
import os
import random
import re
import signal
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks import tables
from gridworld.maps import FOUR_ROOMS, LAKE_4X4, TELEPORTS
from gridworld.world import GridWorld, read_map
from minirl.__main__ import main as minirl
from minirl.checkpoints import FIRST_LINE, packed
from minirl.exercises import exercise_called
from minirl.exercises.attempt import source_of
from minirl.exercises.command import listing
from minirl.exercises.cutting import file_of
from minirl.exercises.progress import noted, read_progress, write_progress
from minirl.exercises.quiz import is_near
from minirl.files import read_bytes
from minirl.kernel.mdp import coin_game
from minirl.play import q_learning
from minirl.play.ppo import ppo
from minirl.play.training import load, start
from toy_lm import corpora, jsonl, models
from toy_lm.__main__ import main as toy_lm
from toy_lm.align import load_preferences
from toy_lm.demonstrations import Pool
from toy_lm.smoothing import kneser_ney

INPUTS = 100_000
SECONDS = 3        # of the processor, for each
ROOM = 3 * 2**30   # bytes of addresses for all


class Reader(NamedTuple):
    """What reads a file, and what becomes of it."""

    files: list               # as they should be, bytes
    read: Callable            # path -> found
    refusal: str              # the form of a refusal, in which PATH stands for the path
    holds: Callable = lambda found, path: True  # what is promised of what was found
    damage: Callable = lambda data, rng: damaged(data, rng)
    weight: int = 10          # how often it is chosen


class TooSlow(BaseException):
    """A file has kept a reader busy for too long."""


def fuzz(inputs, seed, report=print):
    """Damage so many files, of readers at random: a Counter of (reader, "read" or "refused").

    Raises AssertionError for faults, with the first of each kind, the file of which is kept.
    """
    rng, outcomes, faults = random.Random(seed), Counter(), {}
    with folder_in_memory() as folder, warnings.catch_warnings(), patch("os.fsync"):
        warnings.simplefilter("error")
        readers = all_readers(folder)
        names, weights = zip(*((name, reader.weight) for name, reader in readers.items()))
        path = os.path.join(folder, "damaged file")
        for number in range(inputs):
            name, = rng.choices(names, weights)
            reader = readers[name]
            data = reader.damage(rng.choice(reader.files), rng)
            Path(path).write_bytes(data)
            try:
                outcomes[name, outcome(reader, path)] += 1
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if (name, type(error)) not in faults:
                    kept = f"/tmp/fuzz-{name.replace(' ', '-')}-{seed}-{number}"
                    Path(kept).write_bytes(data)
                    faults[name, type(error)] = f"{name}, {kept}: {type(error).__name__}: {error}"
            if number % 10_000 == 9_999:
                report(f"{number + 1:,} inputs")
    assert not faults, "\n".join(faults.values())
    return outcomes


def folder_in_memory():
    """A folder for a while, which no disk delays where the system has such."""
    return TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def outcome(reader, path):
    """Whether a reader reads a file or refuses it; anything else is an exception."""
    with at_most(SECONDS):
        try:
            found = reader.read(path)
        except ValueError as error:
            form = reader.refusal.replace("PATH", re.escape(path))
            assert re.match(f"({form}).*$", str(error)), f"the refusal {error}"
            return "refused"
        assert reader.holds(found, path), f"what was found does not hold: {found!r:.500}"
        return "read"


@contextlib.contextmanager
def at_most(seconds):
    """Raise TooSlow after some seconds of the processor, where the system has such a clock."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_):
        raise TooSlow(f"more than {seconds} seconds")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# The damage.


TOKENS = [
    b"\0", b"\xef\xbb\xbf", b"\xff", b"\xfe\xff", b"\x80", b"\xed\xa0\x80", b"\xf0\x9d\x94",
    *(c.encode() for c in "\x0b\x0c\x1c\x1e\x7f\x85\xa0\xad\u0301\u2028\u2029\u200f\ufeff\ufffd"
      "\u0663\xb2\u3000\U0001f600\U0010ffff"), rb"\ud800", rb"\ude00\ud83d", rb"\u0000", rb"\x",
    b"\r", b"\n", b"\r\n", b"\n\r", b"\t", b" ", b"", b"'", b'"', b"\\", b"{", b"}", b"[", b"]",
    b",", b":", b"#", b"(", b"NaN", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"0x1p3", b"1_0",
    b"inf", b"-0", b"1" + b"0" * 5000, b"null", b"true", b"[" * 3000, b'{"prompt":' * 3000,
    b"(" * 150, b"-" * 9000, b'"prompt"', b'"chosen"', b'"label": 1', b'"ranking": []',
    b'"messages": [{"role": "user"}]', b'"prompt": "a", "prompt": "b"', b"x" * 20_000,
    b"# coding: hex\n", b"# coding: punycode\n", b"# coding: utf-7\n", b"# coding: x\n",
    b"S", b"G", b"H", b"C", b"A", b"a", b"B", b"b", b"F", b"-1.5 ", b"5"]


def damaged(data, rng):
    """A file with one to four accidents."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = rng.choice(ACCIDENTS)(data, rng)
    return data


def _flipped(data, rng):
    data, at = bytearray(data or b"\0"), rng.randrange(max(1, len(data)))
    data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def _replaced(data, rng):
    """A byte, or a few, by random ones; none at all is an insertion."""
    begin, end = _piece(data, rng, 9)
    return data[:begin] + rng.randbytes(rng.randrange(9)) + data[end:]


def _deleted(data, rng):
    begin, end = _piece(data, rng, 30)
    return data[:begin] + data[end:]


def _cut_off(data, rng):
    return data[:rng.randrange(len(data) + 1)]


def _repeated(data, rng):
    begin, end = _piece(data, rng, 200)
    return data[:end] + data[begin:end] * rng.choice([1, 1, 1, 2, 50]) + data[end:]


def _with_token(data, rng):
    begin, end = _piece(data, rng, rng.choice([1, 1, 8]))
    return data[:begin] + rng.choice(TOKENS) + data[end:]


def _behind_token(data, rng):
    return rng.choice(TOKENS) + data


def _shuffled(data, rng):
    """Two lines change places, or one is doubled or left out."""
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = rng.choice([(lines[other], lines[one]), (lines[one], lines[one]),
                                           (lines[one] + lines[other], b"")])
    return b"\n".join(lines)


def _with_other_ends(data, rng):
    return data.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b"\0", "\u2028".encode(), b""]))


def _with_other_word(data, rng):
    """A word or a number becomes another one of the file, or a token."""
    words = list(re.finditer(rb"[\w.+-]+", data))
    if not words:
        return data
    word = rng.choice(words)
    new = rng.choice([rng.choice(words)[0], rng.choice(TOKENS)])
    return data[:word.start()] + new + data[word.end():]


def _piece(data, rng, longest):
    begin = rng.randrange(len(data) + 1)
    return begin, min(len(data), begin + rng.randrange(longest + 1))


ACCIDENTS = [_flipped, _replaced, _deleted, _cut_off, _repeated, _with_token, _behind_token,
             _shuffled, _with_other_ends, _with_other_word]


# Archives: damage before and after the sums are taken, entries of other kinds, and false promises.


def resealed(data, rng):
    """A checkpoint with accidents in its record, under a digest that is right."""
    _, _, content = data.split(b"\n", 2)
    content = damaged(content, rng)
    return b"\n".join([FIRST_LINE, f"{sha256(content).hexdigest()} {len(content)}".encode(),
                       content])


def damaged_archive(data, rng):
    """A model with accidents, in its bytes, in an entry, or of its own kind, or other numbers."""
    kind = rng.randrange(5)
    if kind == 0:
        return damaged(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    name = rng.choice(list(entries))
    if kind == 1:
        entries[name] = damaged(entries[name], rng)
    elif kind == 2:
        entries[name] = _as_entry(_any_array(rng))
    elif kind == 3:
        return _with_other_numbers(entries, rng)
    else:
        entries[name] = rng.choice([_false_header, _with_other_word, _cut_off])(entries[name], rng)
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(
            made, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2,
                                   zipfile.ZIP_LZMA])) as archive:
        warnings.simplefilter("ignore")  # of two entries with one name
        for name in rng.sample(list(entries), len(entries)):
            for _ in range(rng.choice([1, 1, 1, 1, 0, 2])):
                archive.writestr(rng.choice([name, name, name, name.upper(), "../" + name]),
                                 entries[name])
    return made.getvalue() if rng.random() < 0.8 else _flipped(made.getvalue(), rng)


def _with_other_numbers(entries, rng):
    """A model with a table of any numbers, some of which no table may hold."""
    letters, logits = (np.load(io.BytesIO(entries[name]))
                       for name in ("letters.npy", "logits.npy"))
    extremes = [0.0, -0.0, -1.0, 700.0, 1e4, -1e4, 1e300, -1e300, 5e-324, -np.inf, -np.inf]
    extremes += rng.choice([[], [], [np.nan], [np.inf]])
    for _ in range(rng.choice([1, 3, 100])):
        logits.flat[rng.randrange(logits.size)] = rng.choice(extremes)
    letters = letters + np.uint32(rng.choice([0, 0, 0x1F600, 0x80, 2**32 - 97]))
    made = io.BytesIO()
    np.savez(made, version=1, letters=letters, logits=logits)
    return made.getvalue()


def _any_array(rng):
    shape = rng.choice([(), (0,), (1,), (2,), (3, 3), (9, 3), (3, 4), (0, 3), (1, 1, 1)])
    dtype = rng.choice(["f8", ">f8", "f4", "f2", "c16", "i8", "u4", ">u4", "u1", "?", "U3", "S3",
                        "M8[s]", "O", "V8", [("a", "f8")]])
    found = np.zeros(shape, dtype)
    with contextlib.suppress(TypeError, ValueError, OverflowError), np.errstate(all="ignore"):
        found[...] = rng.choice([1, 97, np.nan, np.inf, -np.inf, 1e300, -1, "a", None])
    return found


def _as_entry(array):
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def _false_header(entry, rng):
    """The promise of another shape or another kind."""
    shape = rng.choice(["(1073741824, 27)", f"({2**62}, {2**62})", f"({2**63},)", "(-1, 3)",
                        "(3L,)", "(3.0, 3)", "(0, 9223372036854775807)", "[3, 3]", "'a'",
                        "(" * 99 + ")" * 99, "(True,)", "(" + "1," * 70 + ")"])
    kind = rng.choice(["'<f8'", "'<f8'", "'O'", "'|V0'", "'|V2000000000'", "'<U500000000'", "1",
                       "[('a', '<f8')]", "[('a', '<f8', (1000000, 1000000))]", "'<f8, <f8'"])
    text = f"{{'descr': {kind}, 'fortran_order': {rng.choice(['False', 'True', '0'])}, 'shape': " \
           f"{shape}, }}\n".encode()
    version, width = rng.choice([(1, 2), (2, 4), (3, 4)])
    size = rng.choice([len(text)] * 3 + [2**(8 * width) - 1])
    return b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(width, "little") + text + entry[80:]


# The readers.


WORDS = ["anna", "otto", "nona", "hanna", "tona", "nat", "hat", "ahnot", "noah", "hoho", "é t"]
PREFERENCES = [
    jsonl.Pair("k", "ato", "a"), jsonl.Ranking("k", ("ato", "kk", "")),
    jsonl.Pair("", "\u00e9\\\"\n\u2028", "ta"), jsonl.Pair("ka", "to", "to")]
LABELLED = [jsonl.Labelled("k", "ato", True), jsonl.Labelled("", "kk", False)]
QUESTION, ANSWERS = {"role": "user", "content": "k"}, [
    {"role": "assistant", "content": content} for content in ("ato", "a")]
DIALOGUES = "\n\n".join(map(json.dumps, [
    {name: [QUESTION, answer] for name, answer in zip(("chosen", "rejected"), ANSWERS)},
    {"messages": [QUESTION, ANSWERS[0]], "label": True},
    {"chosen": "kato", "rejected": "kata", "score": [1.5, None, {"by": "me"}]}])).encode()
LINE = r"PATH(, line \d+: .| holds no item)"
MAP = r"PATH(, line \d+|: map line \d+, column \d+|: the map needs a start|: a map with the symbol)"
MAPS = [LAKE_4X4.encode(), TELEPORTS.encode(), FOUR_ROOMS.encode(), b"SFF\r\nH#F\r\nFFG\r\n",
        b"S -1.5 F 1e3 G\nF  F   # 0   C\n"]


def all_readers(folder):
    """{name: `Reader`}, whose helper files are in a folder."""
    model, large = models.fit(["kato", "kkatta", "o"]), models.fit(WORDS, order=3,
                                                                   smoothing=kneser_ney)
    known = noted(noted({}, "dpo", hints=2, checks=7), "backward", solved=True, shown=True)
    at = {name: os.path.join(folder, name) for name in (
        "model", "model 3", "words", "preferences", "labelled", "known", "progress", "prompts",
        "out")}
    models.save(at["model"], model)
    models.save(at["model 3"], large)
    Path(at["words"]).write_text("\n".join(WORDS), encoding="utf-8")
    jsonl.write(at["preferences"], PREFERENCES)
    jsonl.write(at["labelled"], LABELLED)
    jsonl.write(at["known"], [jsonl.Pair("k", "ato", "a"), jsonl.Ranking("", ("o", "kata"))])
    Path(at["prompts"]).write_text('{"prompt": "k"}\n\n{"prompt": "", "id": 7}\n')
    write_progress(known, at["progress"])
    bytes_of = {name: Path(path).read_bytes() for name, path in at.items() if os.path.exists(path)}
    corpus, preferences = [bytes_of["words"]], [bytes_of["preferences"], bytes_of["labelled"],
                                                DIALOGUES]
    archives = [bytes_of["model"], bytes_of["model 3"]]
    measured = [json.dumps({"works": [], "jobs": [{"job": "minirl kl", "seconds": 1.5,
                                                   "processor": 1.0, "peak_mb": 70.0}]}).encode()]
    exercises = [file_of(exercise_called(name)).encode() for name in ("backward", "dpo")]
    letters = model.vocabulary.letters
    trained = next(ppo(coin_game(), start(coin_game(), rng=0), episodes=8))
    checkpoints = [packed(trained), packed(Pool(["on", "no"], model, 3, 1, trained.rng)),
                   packed(q_learning.learners(coin_game(), rng=[1, 2]))]

    def command(files, run, *arguments, damage=damaged, well=(0,)):
        """A command that reads the file in the place of PATH, to its end."""
        program = run.__module__.removesuffix(".__main__")
        return Reader(files, lambda path: ended(run, [path if one == "PATH" else one
                                                      for one in arguments]),
                      f"{program}: (PATH|{re.escape(at['words'])} holds no item)",
                      lambda status, path: status in well, damage, weight=1)

    def preferences_and_those_before_a_refusal(path):
        try:
            return jsonl.read_preferences(path)
        except ValueError as error:
            for number in re.findall(r", line (\d+): ", str(error)):
                Path(at["out"]).write_bytes(b"\n".join(lines_of(path)[:int(number) - 1]))
                jsonl.read_preferences(at["out"])
            raise

    def of_lines(found, path):
        """Every line with something on it is a record, and can be written and read again."""
        jsonl.write(at["out"], found.records)
        marks = (re.sub(b"^(\xef\xbb\xbf)+", b"", line).strip() for line in lines_of(path))
        return (found.lines == [n for n, line in enumerate(marks, start=1) if line]
                and jsonl.read_preferences(at["out"]).records == found.records)

    def loadable(found, path):
        models.save(at["out"], found)
        again = models.load(at["out"])
        return (again.vocabulary == found.vocabulary and found.order >= 1
                and again.logits.tobytes() == found.logits.tobytes())

    def kept(found, path):
        write_progress(noted(found, "ppo", hints=1), at["out"])
        return listing(found).count("\n") > 9 and read_progress(at["out"]).items() >= {
            **found, "ppo": read_progress(at["out"])["ppo"]}.items()

    return {
        "corpus": Reader(corpus, corpora.read_lines, LINE, lambda found, path: all(
            item == item.strip() != "" for item in found)),
        "strings": Reader(corpus, lambda path: corpora.read_strings(path, letters), LINE),
        "map": Reader(MAPS, lambda path: GridWorld(read_map(path)), MAP,
                      lambda found, path: found.shape[0] * found.shape[1] == len(found.symbols)),
        "preferences": Reader(preferences, preferences_and_those_before_a_refusal,
                              r"PATH, line \d+: .", of_lines, weight=20),
        "prompts": Reader([bytes_of["prompts"]], jsonl.read_prompts, r"PATH, line \d+: ."),
        "preferences of a model": Reader(
            preferences, lambda path: load_preferences(path, model),
            r"PATH(, line \d+: .| holds no preferences| must hold strings that were liked and)"),
        "model": Reader(archives, models.load, "PATH holds no model: .", loadable,
                        damaged_archive, weight=20),
        "checkpoint": Reader(checkpoints, load, "PATH: .", lambda found, path: (
            Path(path).read_bytes() == packed(found))),
        "sealed checkpoint": Reader(checkpoints, load, "PATH: .", lambda found, path: isinstance(
            found, tuple), resealed, weight=20),
        "progress": Reader([bytes_of["progress"]], read_progress,
                           "PATH is not a record of exercises", kept),
        "exercise": Reader(exercises, source_of, "it is not UTF-8|line \\d+ is no Python|it is no "
                           "Python"),
        "prediction": Reader([b"-0.0001, 0.0001", b"right", b"1e3 2"], lambda path: is_near(
            read_bytes(path).decode(errors="replace"), "array([1.0e-4, -7.])"), "never",
            lambda found, path: found in (True, False)),
        "benchmarks.tables": command(measured, tables.main, "PATH", well=(0, 1)),
        "benchmarks.tables --print": command(measured, tables.main, "PATH", "--print"),
        "toy_lm train": command(corpus, toy_lm, "train", "PATH", "--out", at["out"]),
        "toy_lm train kneser_ney": command(corpus, toy_lm, "train", "PATH", "--out", at["out"],
                                           "--smoothing", "kneser_ney", "--order", "3"),
        "toy_lm train --also": command(preferences, toy_lm, "train", at["words"], "--also", "PATH",
                                       "--out", at["out"]),
        "toy_lm score": command(corpus, toy_lm, "score", at["model 3"], "PATH", "--skip"),
        "toy_lm score by": command(archives, toy_lm, "score", "PATH", at["words"], "--skip",
                                   damage=damaged_archive),
        "toy_lm sample": command(archives, toy_lm, "sample", "PATH", "-n", "3", "--horizon", "30",
                                 damage=damaged_archive),
        "toy_lm pairs": command([bytes_of["prompts"]], toy_lm, "pairs", at["model"], "--prompts",
                                "PATH", "--pairs", "3", "--out", at["out"]),
        "toy_lm align": command([bytes_of["known"]], toy_lm, "align", at["model"], "PATH",
                                "--method", "dpo", "--out", at["out"]),
        "toy_lm align kto": command([bytes_of["labelled"]], toy_lm, "align", at["model"], "PATH",
                                    "--method", "kto", "--out", at["out"]),
        "minirl values": command(MAPS, minirl, "values", "--map", "PATH", "--steps", "20", "--runs",
                                 "1", "--gamma", "0.9")}


def lines_of(path):
    """The lines of a file, as bytes."""
    return re.split(rb"\r\n?|\n", Path(path).read_bytes())


def ended(run, arguments):
    """The status of a command; a refusal, which comes before all output, is raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(arguments)
    if status == 2 and not out.getvalue():
        raise ValueError(err.getvalue().removesuffix("\n"))
    return status


def main(inputs=INPUTS, seed=0):
    """Fuzz under a limit of memory, and say what happened."""
    with contextlib.suppress(ImportError):  # of a system without such limits
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    began = time.monotonic()
    outcomes = fuzz(inputs, seed, lambda line: print(line, flush=True))
    for name in sorted({name for name, _ in outcomes}):
        print(f"{name:24} {outcomes[name, 'read']:7,} read {outcomes[name, 'refused']:7,} refused")
    print(f"{inputs:,} inputs of seed {seed} in {time.monotonic() - began:.0f} s, no fault")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
