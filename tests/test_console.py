"""What the command lines share: arguments are numbers in a range, and every end has its status."""

import argparse
from concurrent.futures.process import BrokenProcessPool
import io
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from minirl.console import (check_command, counted, emit, file_name, finish, integer, number,
                            progress, standard_output)


def give_up(error):
    def work():
        raise error
    return work


def terminal(monkeypatch):
    """Make stderr a terminal, and return it."""
    stderr = colourful(monkeypatch)
    monkeypatch.setattr(sys, "stderr", stderr)
    return stderr


def colourful(monkeypatch):
    """A terminal, in an environment that has nothing against colours."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    file = io.StringIO()
    file.isatty = lambda: True
    return file


# Arguments.


def test_a_number_is_converted_if_it_lies_in_its_range_to_which_the_ends_belong():
    assert (integer(1)("1"), integer(0)("0")) == (1, 0)
    assert (integer(-2, 3)("-2"), integer(-2, 3)("3")) == (-2, 3)
    assert integer(1)("1" + "0" * 40) == 10**40 and type(integer(1)("7")) is int
    assert [integer(20, multiple=20)(text) for text in ("20", "40")] == [20, 40]
    assert [number(0.25, 4)(text) for text in ("0.25", "4", "1e0")] == [0.25, 4.0, 1.0]
    for name in "-", " ", "words.txt", "/a folder/\u00f6.txt":
        assert file_name(name) == name


@pytest.mark.parametrize("convert, text, message", [
    (integer(1), "0", "must be at least 1, got 0"),
    (integer(1, 9), "0", "must lie between 1 and 9, got 0"),
    (integer(1, 9), "10", "must lie between 1 and 9, got 10"),
    (integer(20, multiple=20), "39", "must be a multiple of 20, got 39"),
    (integer(1), "1.0", "'1.0' is not a whole number"),
    (integer(1), "", "'' is not a whole number"),
    (integer(1), "1e3", "'1e3' is not a whole number"),
    (integer(1), "nan", "'nan' is not a whole number"),
    (number(0, 1), "1.5", "must lie between 0 and 1, got 1.5"),
    (number(0, 1), "-1e-9", "must lie between 0 and 1, got -1e-9"),
    (number(1e-6, 1e6), "0", "must lie between 1e-06 and 1e+06, got 0"),
    (number(0, 1), "nan", "must lie between 0 and 1, got nan"),
    (number(0, 1e9), "inf", "must lie between 0 and 1e+09, got inf"),
    (number(0, 1), "half", "'half' is not a number"), (number(0, 1), "", "'' is not a number"),
    (file_name, "", "the name of a file is expected, got ''"),
])
def test_an_argument_that_does_not_fit_is_refused_with_what_is_accepted(convert, text, message):
    with pytest.raises(argparse.ArgumentTypeError) as found:
        convert(text)
    assert str(found.value).startswith(message)


# Sentences.


@pytest.mark.parametrize("word, near", [("value", ", did you mean 'values'?"), ("moon", ""),
                                        ("", ""), ("DEMO", ""), ("vlaues", ", did you mean")])
def test_who_asks_for_no_command_is_told_the_nearest_and_all(capsys, word, near):
    parser, names = argparse.ArgumentParser("tool"), ["demo", "values"]
    for right in "values", "demo", "--help", "-h", "-":
        check_command(parser, right, names)
    with pytest.raises(SystemExit):
        check_command(parser, word, names)
    err = capsys.readouterr().err
    assert f"argument JOB: invalid choice: {word!r}{near}" in err
    assert ("did you mean" in err) == (near != "") and err.endswith(" (choose from demo, values)\n")


def test_a_number_of_things_is_said_in_words():
    assert [counted(n, "pair") for n in (0, 1, 2, 1000)] == ["0 pairs", "1 pair", "2 pairs",
                                                           "1000 pairs"]
    assert [counted(n, "step", ",") for n in (1, 1000)] == ["1 step", "1,000 steps"]


# Progress.


def test_progress_is_one_line_of_a_terminal_and_nothing_elsewhere(monkeypatch, capsys):
    progress("fitting")
    assert capsys.readouterr() == ("", "")
    stderr = terminal(monkeypatch)
    progress("fitting")
    progress("")
    assert stderr.getvalue() == "\r\033[Kfitting\r\033[K" and capsys.readouterr().out == ""
    monkeypatch.setenv("TERM", "dumb")
    progress("fitting")
    assert stderr.getvalue() == "\r\033[Kfitting\r\033[K"
    monkeypatch.setattr(sys, "stderr", None)
    progress("fitting")


# Colours and letters.


@pytest.mark.parametrize("variables, colours", [
    ({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_go_to_a_terminal_only_and_to_none_that_does_not_want_them(
        monkeypatch, capsys, variables, colours):
    out, file = colourful(monkeypatch), io.StringIO()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    emit("bars", str.upper, file)
    emit("bars", str.upper)
    assert file.getvalue() == capsys.readouterr().out == "bars\n"
    emit("bars", str.upper, out)
    monkeypatch.setattr(sys, "stdout", out)
    emit("bars", str.upper)
    assert out.getvalue() == 2 * ("BARS\n" if colours else "bars\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_bars_that_cannot_be_shown_become_the_nearest_number_of_hashes(encoding):
    """The columns stay as they are, and no line gets a space at its end."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    for block in "▏▎▍▌▋▊▉█":
        emit(f"█{block}|\n█{block}", file=file)
    file.flush()
    lines = file.buffer.getvalue().decode(encoding).splitlines()
    assert lines == (["█▏|", "█▏", "█▎|", "█▎", "█▍|", "█▍", "█▌|", "█▌", "█▋|", "█▋", "█▊|", "█▊",
                      "█▉|", "█▉", "██|", "██"] if encoding == "utf-8" else
                     [*["# |", "#"] * 3, *["##|", "##"] * 5])

# One thread.


@pytest.mark.parametrize("package", ["minirl", "toy_lm", "benchmarks"])
def test_a_command_limits_the_threads_before_numpy_is_imported_and_is_obeyed(package):
    """Whatever the environment says; `benchmarks` does so when it is called."""
    program = f"""
import os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "numpy":
            print(sorted(os.environ[name] for name in os.environ if name.endswith("_NUM_THREADS")))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Watch())
from {package}.__main__ import main
if "{package}" == "benchmarks":
    main(["--json", "/no/such/folder/file"])
    import numpy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8",
                          env=os.environ | {"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "3"})
    assert done.stdout == f"{['1'] * 7}\n", done.stderr


# The end.


def test_work_that_is_done_has_the_status_0_and_everything_is_printed(monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    assert finish("tool", lambda: print("done", end="")) == 0
    assert stdout.buffer.getvalue() == b"done"


@pytest.mark.parametrize("error, status, message", [
    (ValueError("the world is flat"), 2, "tool: the world is flat\n"),
    (np.linalg.LinAlgError("a singular matrix"), 2, "tool: a singular matrix\n"),
    (KeyboardInterrupt(), 130, "\ntool: interrupted\n"),
    (MemoryError(), 1, "tool: out of memory\n"),
    (MemoryError("7 TiB are too much"), 1, "tool: 7 TiB are too much\n"),
    (OSError(28, "No space left on device"), 1, "tool: [Errno 28] No space left on device\n"),
    (BrokenProcessPool("a process died"), 1, "tool: a process died\n"),
])
def test_work_that_fails_ends_in_one_line_on_stderr(monkeypatch, capsys, error, status, message):
    """Which is not glued to the progress."""
    def work():
        progress("fitting")
        raise error

    assert finish("tool", work) == status
    assert capsys.readouterr() == ("", message)
    stderr = terminal(monkeypatch)
    finish("tool", work)
    wiped = "" if isinstance(error, KeyboardInterrupt) else "\r\033[K"
    assert stderr.getvalue() == f"\r\033[Kfitting{wiped}{message}"


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("a bug"), AssertionError("a bug")])
def test_a_bug_is_not_taken_for_a_mistake_of_the_user(error):
    with pytest.raises(type(error), match="a bug"):
        finish("tool", give_up(error))


@pytest.mark.parametrize("text", ["a", "a" * 100_000])
def test_a_reader_who_has_seen_enough_is_no_error_and_hears_no_more(monkeypatch, capsys, text):
    """The pipe breaks where a buffer is full, or at the end of the work where it is not."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert finish("tool", lambda: print(text)) == 1
        print("what is printed on the way out")
    assert capsys.readouterr() == ("", "")


def test_without_a_standard_output_nothing_is_done(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert finish("tool", lambda: pytest.fail("work was begun")) == 1
    assert capsys.readouterr().err == "tool: standard output is closed\n"


@pytest.mark.parametrize("error", [ValueError("flat"), KeyboardInterrupt(), OSError("full")])
def test_without_a_standard_error_nothing_is_said_elsewhere(monkeypatch, capsys, error):
    monkeypatch.setattr(sys, "stderr", None)
    assert finish("tool", give_up(error)) in (1, 2, 130) and capsys.readouterr().out == ""


@pytest.mark.parametrize("code, status", [(2, 2), (0, 0), (None, 0)])
def test_a_program_that_calls_us_goes_on_after_wrong_arguments(code, status):
    assert finish("tool", give_up(SystemExit(code))) == status


@pytest.mark.parametrize("stream", [io.StringIO(), SimpleNamespace(write=len)])
def test_a_stream_without_a_file_may_break_and_need_not_flush(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=len))
    progress("fitting")
    assert finish("tool", lambda: print("done")) == 0
    assert finish("tool", give_up(BrokenPipeError())) == 1
    with standard_output(encoding="utf-8"):
        assert sys.stdout is stream


def test_a_command_that_is_called_in_a_thread_leaves_signals_alone():
    """Only the main thread may set them."""
    seen, before = [], signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: seen.append(
        finish("tool", lambda: seen.append(signal.getsignal(signal.SIGTERM)))))
    thread.start()
    thread.join()
    assert seen == [before, 0]
