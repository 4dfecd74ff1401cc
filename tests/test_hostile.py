"""Hostile terminals: every command, with a standard output that is full, closed or broken, in poor
locales and narrow windows, killed and interrupted, and beside other commands."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_house import ROOT

from minirl import console, files
from minirl.exercises.progress import FILE
from minirl.start import INTERRUPTED
from toy_lm import jsonl, models

# What every program can do in a second or two, in a folder with the files of `desk`.
COMMANDS = {
    "help": "minirl --help", "version": "minirl --version", "kl": "minirl kl",
    "values": "minirl values --map map.txt --steps 20 --runs 1",
    "exercises": "minirl exercise", "exercise": "minirl exercise dpo --force",
    "hint": "minirl exercise backward --hint", "solution": "minirl exercise backward --solution",
    "case": "minirl exercise backward --case 1", "quiz": "minirl exercise backward --quiz",
    "mistakes": "minirl exercise --break", "figures": "minirl figures",
    "train": "toy_lm train words --out new.npz", "score": "toy_lm score m.npz words",
    "sample": "toy_lm sample m.npz -n 3", "sample many": "toy_lm sample m.npz -n 3000",
    "align": "toy_lm align m.npz p.jsonl --method dpo --out new.npz",
    "letter help": "toy_lm --help", "time help": "benchmarks --help",
    "tables": "benchmarks.tables measured.json --print"}
if find_spec("matplotlib") is None:
    del COMMANDS["figures"]  # then it says what to install, and no more
RAW = {  # with results on standard output, and words beside them on standard error
    "model out": "toy_lm train words --out -", "pairs out": "toy_lm pairs m.npz --out -",
    "json out": "minirl kl --json -"}


@pytest.fixture(scope="module")
def files_of_desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    words = ["anna", "otto", "nona", "hanna", "nat", "hat", "noah", "hoho", "ottona", "ahnot"]
    (folder / "words").write_text("\n".join(words))
    (folder / "map.txt").write_text("SFF\nF#F\nFFG\n")
    models.save(folder / "m.npz", models.fit(words))
    jsonl.write(folder / "p.jsonl", [jsonl.Pair("", "anna", "otto"), jsonl.Pair("", "hat", "nat")])
    (folder / "measured.json").write_text(json.dumps({"jobs": [
        {"job": "minirl kl", "seconds": 1.5, "processor": 1.0, "peak_mb": 70.0}]}))
    return folder


@pytest.fixture
def desk(files_of_desk, tmp_path, monkeypatch):
    """The working folder, with what the commands read."""
    folder = tmp_path / "desk"
    shutil.copytree(files_of_desk, folder)
    monkeypatch.chdir(folder)
    return folder


def run(line):
    """The status of a command in this process."""
    program, *arguments = line.split()
    module = program if "." in program else f"{program}.__main__"
    return import_module(module).main(arguments)


@pytest.fixture
def streams(monkeypatch):
    """Put files in the place of standard output and standard error: a function of two paths."""
    opened = []

    def put(**paths):
        for name, path in paths.items():
            opened.append(open(path, "w", encoding="utf-8"))
            monkeypatch.setattr(sys, name, opened[-1])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    yield put
    for file in opened:
        file.close()  # which must not fail: what could not be written is given up


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


@needs_full
@pytest.mark.parametrize("name", [*COMMANDS, *RAW])
def test_a_standard_output_that_is_full_is_told(desk, streams, capfd, name):
    streams(stdout="/dev/full")
    line = (COMMANDS | RAW)[name]
    assert run(line) == 1
    program, err = line.split()[0], capfd.readouterr().err
    assert err.endswith("No space left on device\n") and f"{program}: " in err
    assert "Traceback" not in err and not list(desk.glob("*.part"))


@needs_full
@pytest.mark.parametrize("name", [*COMMANDS, *RAW])
def test_a_standard_error_that_is_full_or_closed_harms_nobody(desk, streams, capsysbinary,
                                                              monkeypatch, name):
    """And what is meant for it does not get among the results."""
    line, outs = (COMMANDS | RAW)[name], []
    for hidden in False, True, None:
        if hidden:
            streams(stderr="/dev/full")
        elif hidden is None:
            monkeypatch.setattr(sys, "stderr", None)
        assert run(line) == 0
        outs.append(capsysbinary.readouterr().out)
        (desk / FILE).unlink(missing_ok=True)  # of the progress, lest the next hint follow
    assert outs[0] == outs[1] == outs[2] or name == "model out"  # in which times are noted


@pytest.mark.parametrize("name", [*COMMANDS, *RAW])
def test_a_reader_who_has_seen_enough_ends_a_command(desk, monkeypatch, capfd, name):
    """Without a word, at the end of the work or in its middle"""
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with open(writer, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run((COMMANDS | RAW)[name]) == 1
    err = capfd.readouterr().err
    assert "Broken" not in err and "Traceback" not in err


# Files.


WRITERS = {"new.npz": "toy_lm train words --out new.npz", "new.json": "minirl kl --json new.json",
           "new.jsonl": "toy_lm pairs m.npz --pairs 300 --out new.jsonl"}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_keeps_the_old_file(desk, monkeypatch, capsys, name, there):
    """And names it, whichever step fails"""
    if there:
        (desk / name).write_text("old")
    for step in "fsync", "replace":
        with monkeypatch.context() as patched:
            patched.setattr(os, step, lambda *_: (_ for _ in ()).throw(
                OSError(28, "No space left on device")))
            assert run(WRITERS[name]) == 1
        err = capsys.readouterr().err
        assert f": cannot write {name}: No space left on device\n" in err
        assert [path.name for path in desk.glob("new*")] == [name] * there
        assert not there or (desk / name).read_text() == "old"


def on_small_disk(tmp_path):
    """A disk of 64 kB that is full, or a skipped test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False,
            capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    return disk


def child(line, *, cwd, environment=(), **options):
    """A command in a process of its own, as it is started outside of tests."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.Popen(
        [sys.executable, "-m", *line.split()], cwd=cwd,
        env=plain | {"PYTHONPATH": str(ROOT)} | dict(environment),
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
           **options})


def ends(line, **options):
    """How it ends: (status, stdout, stderr), the latter as text."""
    process = child(line, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err.decode("utf-8", "replace")


@pytest.mark.slow
def test_a_small_disk_that_is_full_and_one_that_is_read_only(desk, tmp_path):
    disk = on_small_disk(tmp_path)
    try:
        (disk / "new.jsonl").write_text("old")
        (disk / "ballast").write_bytes(bytes(60 * 1024))
        line = f"toy_lm pairs m.npz --pairs 3000 --out {disk}/new.jsonl"
        status, out, err = ends(line, cwd=desk)
        assert (status, out) == (1, b"")
        assert err.endswith(f"toy_lm: cannot write {disk}/new.jsonl: No space left on device\n")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        status, out, err = ends(line, cwd=desk)
        assert (status, out) == (2, b"") and err.startswith(f"toy_lm: cannot write {disk}/new.jso")
        status, out, err = ends("minirl exercise backward", cwd=disk)
        assert status == 2 and err.startswith("minirl: cannot write ") and err.count("\n") == 1
        status, out, err = ends("minirl exercise backward --hint", cwd=disk)
        assert status == 0 and b"(minirl_exercises.json is not updated: " in out and not err
        assert sorted(path.name for path in disk.iterdir()) == ["ballast", "new.jsonl"]
        assert (disk / "new.jsonl").read_text() == "old"
    finally:
        subprocess.run(["umount", disk], check=True)


def test_of_two_that_write_one_file_at_once_one_has_written_it_whole(tmp_path):
    """Two processes, forty times each, and somebody who looks"""
    path, script = tmp_path / "out", (
        "import sys; from minirl.files import write_bytes\n"
        "for _ in range(40): write_bytes(sys.argv[1], sys.argv[2].encode() * 100_000)")
    path.write_bytes(b"a" * 100_000)
    processes = [subprocess.Popen([sys.executable, "-c", script, path, letter], cwd=ROOT)
                 for letter in "ab"]
    try:
        while any(process.poll() is None for process in processes):
            found = path.read_bytes()
            assert len(found) == 100_000 and len(set(found)) == 1
    finally:
        assert [process.wait() for process in processes] == [0, 0]
    assert os.listdir(tmp_path) == ["out"]


# Signals.


def test_a_command_that_is_told_to_end_tidies_up(desk, monkeypatch):
    """By each signal, in the middle of a file that is half written; what a program that calls has
    arranged is as it was."""
    real, names, struck = os.fsync, [], []
    monkeypatch.setattr(signal, "raise_signal", struck.append)  # which would end the tests
    (desk / "new.jsonl").write_text("old")
    for name, status in ("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", INTERRUPTED):
        number = getattr(signal, name)
        before = signal.signal(number, signal.default_int_handler if name == "SIGINT"
                               else signal.SIG_DFL)  # whoever has started the tests

        def strike(file, number=number):
            names.extend(desk.glob("*.part"))
            os.kill(os.getpid(), number)
            real(file)

        try:
            with monkeypatch.context() as patched:
                patched.setattr(os, "fsync", strike)
                after = signal.getsignal(number)
                assert run("toy_lm pairs m.npz --pairs 3 --out new.jsonl") == status
                assert signal.getsignal(number) == after
        finally:
            signal.signal(number, before)
    assert struck == [signal.SIGTERM, signal.SIGHUP]
    assert len(names) == 3 and not list(desk.glob("*.part"))
    assert (desk / "new.jsonl").read_text() == "old"


def test_who_ignores_a_signal_is_obeyed(monkeypatch):
    """As of nohup"""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert console.finish("tool", lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


STRUCK = """
import importlib.abc, os, runpy, signal, sys

class Strike(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(10**7):
                pass

sys.meta_path.insert(0, Strike())
signal.signal(signal.SIGINT, signal.default_int_handler)
module, entry, sys.argv[1:] = *sys.argv[1:], ["--help"]
if "." in entry:
    import minirl.start
    getattr(minirl.start, entry.split(".")[1])()
else:
    runpy.run_module(entry, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("entry, module", [
    ("minirl", "argparse"), ("start.run_toy_lm", "minirl.console"), ("benchmarks", "argparse"),
    *(pytest.param(entry, module, marks=pytest.mark.slow)
      for entry in ("minirl", "toy_lm", "start.run_minirl", "start.run_toy_lm")
      for module in ("minirl.console", "numpy", "numpy.linalg", "scipy.sparse", "toy_lm.corpora"))])
def test_an_interrupt_while_a_command_is_loaded_ends_it_without_a_word(entry, module):
    done = subprocess.run([sys.executable, "-c", STRUCK, module, entry], cwd=ROOT, check=False,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


LONG = {"policies": "minirl policies --runs 2 --iterations 100000",
        "pairs": "toy_lm pairs m.npz --pairs 2000000 --out new.jsonl",
        "check": "minirl exercise backward --check"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", LONG)
def test_a_signal_at_any_moment_leaves_no_traceback_file_or_process(desk, name, number):
    """From when Python has begun: three moments of the first seconds"""
    rng = random.Random(name)
    (desk / "backward_exercise.py").write_text("while True:\n    pass\n")
    before = sorted(os.listdir(desk))
    for soon in 0, 0.1, 1:
        with session(LONG[name], desk) as process:
            maps = Path(f"/proc/{process.pid}/maps")
            while maps.exists() and "math" not in maps.read_text() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(soon + soon * rng.random())
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            assert process.returncode in (-number, 128 + number), err
            assert b"Traceback" not in err and b"ignored" not in err, err
            assert sorted(os.listdir(desk)) == before
            for _ in range(100):
                if not in_session(process.pid):
                    break
                time.sleep(0.1)
            assert not in_session(process.pid)


@contextmanager
def session(line, desk):
    """A command with a session of its own, of which nothing lives on if the test fails."""
    with child(line, cwd=desk, start_new_session=True) as process:
        try:
            yield process
        finally:
            for one in in_session(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(int(one), signal.SIGKILL)


def in_session(leader):
    """The processes of a session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == str(leader) and fields[0] not in "ZX":
            found.append(stat.parent.name)
    return found


# Terminals and places.


EACH = [COMMANDS[name] for name in ("kl", "values", "quiz", "train", "sample", "tables", "help")]
ENVIRONMENTS = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
              "PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"}, "warnings": {"PYTHONWARNINGS": "error"},
    "one column": {"COLUMNS": "1", "LINES": "1", "TERM": "dumb", "NO_COLOR": "1"},
    "no numbers": {"COLUMNS": "many", "LINES": ""}}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_command_of_each_kind_works_in_every_environment(desk, name):
    """Without a terminal, and without a home"""
    (desk / "backward_exercise.py").write_text("def backward(logp, G):\n    return G\n")
    for line in *EACH, "minirl.plain.episode", "benchmarks W5", "minirl exercise backward --check":
        environment = {"HOME": ""} | ENVIRONMENTS[name]
        status, out, err = ends(line, cwd=desk, environment=environment)
        assert status == int(line.endswith("--check")) and out, (line, err)
        assert "Traceback" not in err and "Error" not in err, (line, err)


def closed(*numbers):
    """What a child does before it begins."""
    return lambda: [os.close(number) for number in numbers]


@pytest.mark.slow
@pytest.mark.parametrize("numbers, status", [((0,), 0), ((1,), 1), ((2,), 0), ((0, 2), 0),
                                             ((0, 1, 2), 1)])
def test_a_command_of_each_kind_works_with_closed_streams_or_says_so(desk, numbers, status):
    for line in EACH:
        found, out, err = ends(line, cwd=desk, preexec_fn=closed(*numbers))
        assert found == status and "Traceback" not in err, line
        assert 1 not in numbers or out == b"" and (2 in numbers or "output is closed\n" in err)


@pytest.mark.slow
def test_the_plain_programs_end_with_their_reader(desk):
    for path in (ROOT / "minirl" / "plain").glob("[a-z]*.py"):
        reader, writer = os.pipe()
        os.close(reader)
        process = child(f"minirl.plain.{path.stem}", cwd=desk, stdout=writer)
        os.close(writer)
        _, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (-signal.SIGPIPE, b""), path


def test_a_folder_that_is_no_more_is_told(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    for line, said in (
            ("minirl kl --json x", "minirl: cannot write x: "),
            ("toy_lm train words --out x", "toy_lm: cannot write x: "),
            ("minirl exercise backward", "minirl: the folder of your files cannot be found: ")):
        assert run(line) == 2 and capsys.readouterr().err == f"{said}No such file or directory\n"
    assert run("minirl kl") == 0 and run("minirl exercise --break") == 0


@pytest.mark.parametrize("name", ["Übung 練習.txt", "\udcff.txt", "a\nb", "-x", " ", "$(x);'\""])
def test_a_file_may_have_any_name(desk, monkeypatch, capsys, name):
    """Also one that is no text; it is shown as well as it can be."""
    try:
        shutil.copy("words", name)
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names")
    shutil.copy("map.txt", "map " + name)
    toy_lm, minirl = (import_module(f"{program}.__main__").main
                      for program in ("toy_lm", "minirl"))
    model, found = name + ".npz", "json " + name
    assert toy_lm(["train", "./" + name, "--out", "./" + model]) == 0
    assert toy_lm(["score", "./" + model, "./" + name]) == 0
    assert minirl(["values", "--map", "map " + name, "--steps", "20", "--runs", "1", "--json",
                   found]) == 0
    assert json.loads(files.read_text(found))["world"]
    assert toy_lm(["score", "./" + name, "./" + name]) == 2
    assert minirl(["demo", "--corpus", "./missing" + name]) == 2
    assert "Traceback" not in capsys.readouterr().err
