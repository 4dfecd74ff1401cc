"""`minirl exercise`: files, hints, progress, quizzes, broken books, and what readers' files do."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array
from test_house import ROOT

from minirl.exercises import (EXERCISES, attempt, breaking, exercise_called, mistake_called,
                              mistakes_by_name)
from minirl.exercises.attempt import verdict_on
from minirl.exercises.exercise import right_results
from minirl.exercises.progress import FILE, noted, read_progress, write_progress
from minirl.exercises.quiz import ask, is_near, questions_of
from minirl.kernel import softmax

JOB = "exercise"

RIGHT = """
import numpy as np
def backward(logp, G):
    return G - np.exp(logp) * G.sum(axis=1, keepdims=True)
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder of a reader, with a space and letters that are not ASCII in its name."""
    folder = tmp_path / "meine Übungen 練習"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def grader():
    """The process of `grader.py`."""
    with subprocess.Popen([sys.executable, str(ROOT / "tests" / "grader.py")],
                          env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1",
                                            "PYTHONDONTWRITEBYTECODE": "1"},
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield server
        server.stdin.close()


@pytest.fixture
def forks(grader, monkeypatch):
    """Attempts are forks of one process that has loaded the book, where a system has forks."""
    if not hasattr(os, "fork"):
        return

    class Fork:
        def __init__(self, command, **_):
            grader.stdin.write(json.dumps([os.getcwd(), command[3:]]) + "\n")
            grader.stdin.flush()

        def wait(self, timeout=None):
            self.returncode = int(grader.stdout.readline())
            self.wait = lambda: self.returncode

        def kill(self):
            """It has ended."""

    monkeypatch.setattr("minirl.exercises.attempt.subprocess", SimpleNamespace(
        Popen=Fork, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired))


def save(desk, body, name="backward"):
    path = desk / f"{name}_exercise.py"
    path.write_text(body, encoding="utf-8")
    return path


# From a new file to a solved exercise.


def test_the_way_of_a_reader(command, desk, forks):
    status, out, _ = command()
    assert status == 0 and f"0 of {len(EXERCISES)} solved" in out and "[ ] backward" in out
    status, out, _ = command("backward")
    path = desk / "backward_exercise.py"
    assert status == 0 and path.exists() and "--check" in out
    status, out, _ = command("backward", "--check")
    assert status == 1 and "it has no body yet" in out
    save(desk, path.read_text(encoding="utf-8").replace("raise NotImplementedError", "return G"))
    status, out, _ = command("backward", "--check")
    assert status == 1 and "Runs" in out and "Likely" in out
    save(desk, RIGHT)
    status, out, _ = command("backward", "--check")
    assert status == 0 and "Right" in out and "Next: minirl exercise" in out
    assert "[x] backward" in command()[1]
    known = read_progress()["backward"]
    assert known == {"checks": 3, "hints": 0, "solved": True, "shown": False}


def test_a_file_that_is_there_is_kept(command, desk):
    path = save(desk, "my work")
    status, _, err = command("backward")
    assert status == 2 and "--force" in err and path.read_text() == "my work"
    assert command("backward", "--force")[0] == 0 and "NotImplementedError" in path.read_text()


def test_without_a_file_the_check_says_how_to_get_one(command, desk):
    status, _, err = command("backward", "--check")
    assert status == 2 and "'minirl exercise backward' writes it" in err


@pytest.mark.parametrize("arguments, said", [
    (["backwards"], "did you mean 'backward'"), (["--check"], "needs the name of an exercise"),
    (["--break", "backward.sum"], "there is no mistake 'backward.sum'"),
    (["backward", "--hint", "--check"], "not allowed with")])
def test_what_cannot_be_meant_is_refused(command, desk, arguments, said):
    status, out, err = command(*arguments)
    assert status == 2 and said in err and not out and not list(desk.iterdir())


def test_a_solved_exercise_names_the_next_one_and_the_last_names_none(command, desk, monkeypatch):
    monkeypatch.setattr("minirl.exercises.command.verdict_on", lambda *_: {
        "right": True, "lines": [["Right", "yes"]], "printed": ""})
    for one, after in [*zip(EXERCISES[:3], EXERCISES[1:4]), (EXERCISES[-2], EXERCISES[-1]),
                       (EXERCISES[-1], None)]:
        save(desk, "", one.name)
        assert command(one.name, "--check") == (0, "Right  yes\nThe book's own: --solution." + (
            f"  Next: minirl exercise {after.name}" if after else "") + "\n", "")
    assert f"5 of {len(EXERCISES)} solved." in command()[1]


def test_hints_come_one_by_one_and_then_all_are_there(command, desk):
    one = EXERCISES[0]
    said = [command(one.name, "--hint")[1] for _ in one.hints]
    assert [line.split(":")[0] for line in said] == [
        f"Hint {number} of {len(one.hints)}" for number in range(1, len(one.hints) + 1)]
    assert command(one.name, "--hint")[1] == (
        f"These are all; minirl exercise {one.name} --solution shows the book's own.\n"
        + "".join(said))


def test_a_case_is_shown_as_python(command, desk):
    """Arrays, sparse matrices and numbers of the very case that is graded."""
    status, out, _ = command("dpo", "--case", "2")
    names = {"array": np.array, "csr_array": csr_array,
             "dpo_loss": lambda *arguments, **keywords: (arguments, keywords)}
    *lines, call = out.strip().split("\n")
    exec("\n".join(lines), names)
    (logits, ref_logits, difference), keywords = eval(call, names)
    case = exercise_called("dpo").cases()[1]
    assert status == 0 and keywords == case.keywords
    assert np.allclose(logits, case.arguments[0]) and np.allclose(ref_logits, case.arguments[1])
    assert (difference.toarray() == case.arguments[2].toarray()).all()
    status, _, err = command("dpo", "--case", "9")
    assert status == 2 and "--case must be at most 3, got 9" in err


def test_the_solution_is_the_body_of_the_book(command, desk):
    status, out, _ = command("backward", "--solution")
    assert status == 0 and "return G - np.exp(logp) * G.sum(axis=-1, keepdims=True)" in out
    assert read_progress()["backward"]["shown"]


# What readers' files do.


@pytest.mark.parametrize("body, said", [
    ("def backward(logp, G)\n    return G", "line 1 is no Python"),
    ("def backward(logp, G):\n    return G.foo", "AttributeError"),
    ("def backward(logp, G):\n    x = 1\n    return x / 0", "Line 3: return x / 0"),
    ("1 / 0", "ZeroDivisionError: division by zero.  Line 1: 1 / 0"),
    ("backward = 3", "there is no function backward"),
    ("def forward(logp, G):\n    return G", "there is no function backward"),
    ("def backward(logp):\n    return logp", "TypeError"),
    ("def backward(logp, G):\n    raise SystemExit", "ends the program"),
    ("import os\nos._exit(7)", "ends the program (status 7)"),
    ("import sys\nsys.exit()", "ends the program"),
    ("def backward(logp, G):\n    return input()", "EOFError"),
    ("def backward(logp, G):\n    return backward(logp, G)", "RecursionError"),
    ("def backward(logp, G):\n    return None", "is `return` missing?"),
    ("def backward(logp, G):\n    return 'G'", "must consist of real numbers, got str"),
    ("def backward(logp, G):\n    return G + 0j", "real numbers, got complex"),
    ("def backward(logp, G):\n    return [[1], [2, 3]]", "rows differ in length"),
    ("def backward(logp, G):\n    return G, G", "must have the shape (4, 3), got (2, 4, 3)"),
    ("def backward(logp, G):\n    return G / 0 * 0", "not finite"),
    ("def backward(logp, G):\n    return G - logp * G.sum(axis=0)[:2]", "keepdims=True keeps"),
    ("import numpy as np\n" + RIGHT.replace("return ", "return np.float32(1) * 0 + (")
     .replace("True)", "True)).astype('float32')"), "float32"),
    ("def backward(logp, G):\n    G += 1\n    return G", "changes its argument G"),
    (b"# \xff\n" + RIGHT.encode(), "not UTF-8"), (RIGHT.encode() + b"#\xff", "not UTF-8"),
    ("", "there is no function backward"),
    (b"\0", "no Python")])
def test_a_file_that_does_not_work_is_told_so_in_a_sentence(desk, forks, body, said):
    path = desk / "backward_exercise.py"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    verdict = verdict_on("backward", path)
    told = " ".join(text for _, text in verdict["lines"])
    assert not verdict["right"] and said in told and "Traceback" not in told


def test_a_loop_that_does_not_end_is_stopped_at_its_own_line(desk):
    path = save(desk, "def backward(logp, G):\n    while True:\n        G = G + 0\n")
    began = time.monotonic()
    verdict = verdict_on("backward", path, seconds=0.2)
    told = verdict["lines"][0][1]
    assert "still running after 0.2 seconds" in told and "It was at line" in told
    assert time.monotonic() - began < 10


def test_a_process_that_does_not_answer_is_stopped_too(desk, monkeypatch):
    """As one that has stopped itself, and its clock."""
    monkeypatch.setattr("minirl.exercises.attempt.GRACE", 0)
    began = []
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, begin=subprocess.Popen, **options:
                        began.append(begin(*arguments, **options)) or began[-1])
    verdict = verdict_on("backward", save(desk, RIGHT), seconds=0.01)
    assert verdict == {"right": False, "printed": "", "lines": [
        ["Runs", "no: it is still running after 0.01 seconds, and could not be asked where."]]}
    assert began[0].returncode == -9


class Ended(BaseException):
    """In the place of the end of the process."""


@pytest.fixture
def graded(desk, monkeypatch):
    """The verdict that `attempt` leaves on a body, in this process; at once, if it is too late."""
    def run(body, late=False):
        def end(status):
            assert status == 0
            raise Ended

        def timer(seconds, ring):
            assert seconds == 3.0
            return SimpleNamespace(start=ring if late else lambda: None)

        with monkeypatch.context() as patched:
            patched.setattr(os, "_exit", end)
            patched.setattr(attempt, "threading", SimpleNamespace(
                Timer=timer, main_thread=threading.main_thread))
            patched.setattr(sys, "path", [*sys.path])
            for stream in "stdout", "stderr":
                patched.setattr(sys, stream, None)
            with pytest.raises(Ended):
                attempt._main("backward", str(save(desk, body)), str(desk / "verdict"), 3.0)
        assert not (desk / "verdict.part").exists()
        return json.loads((desk / "verdict").read_text(encoding="utf-8"))
    return run


def test_an_attempt_leaves_one_document(graded):
    """The first answer ends it; what is printed, to both streams, is part of it."""
    found = graded("import sys\nprint('π')\nprint('two', file=sys.stderr)" + RIGHT)
    assert (found["right"], found["printed"]) == (True, "π\ntwo\n")
    assert [head for head, _ in found["lines"]] == ["Right", ""]
    assert graded("\0") == {"right": False, "printed": "", "lines": [
        ["Runs", "no: it is no Python: it holds null bytes."]]}
    assert graded("print(1)\n1 / 0")["lines"] == [
        ["Runs", "no: ZeroDivisionError: division by zero.  Line 2: 1 / 0"]]
    assert graded("backward = 3")["lines"] == [
        ["Runs", "no: there is no function backward in it."]]
    assert graded("print(__name__)" + RIGHT)["printed"] == "exercise\n"
    where = "import os, sys\nprint(sys.path[0] == os.path.dirname(__file__))"
    assert graded(where + RIGHT)["printed"] == "True\n"  # its neighbours come first
    assert graded(RIGHT, late=True)["lines"] == [[
        "Runs", "no: it is still running after 3 seconds; a case has a few dozen steps, so a loop "
        "that does not end is likely."]]


def test_what_a_file_prints_is_shown_after_its_verdict(command, desk, monkeypatch):
    """Five lines of it, none longer than the page."""
    save(desk, RIGHT)
    printed = ["one\n", "\n".join(["long " * 40, *"23456"])]
    monkeypatch.setattr("minirl.exercises.command.verdict_on", lambda *_: {
        "right": False, "lines": [["Runs", "yes"]], "printed": printed.pop(0)})
    assert command("backward", "--check")[:2] == (1, "Runs  yes\nIt printed\n  one\n")
    assert command("backward", "--check")[1].split("It printed\n")[1].split("\n") == [
        "  " + 16 * "long " + "long …", "  2", "  3", "  4", "  5", "  …", ""]


def test_what_a_file_prints_is_kept_in_short_and_lists_are_arrays(desk, forks):
    path = save(desk, RIGHT.replace("    return", "    while len(said) < 10**4:\n"
                                    "        said.append(0); print('here', logp[0, 0])\n"
                                    "    return").replace("(axis=1, keepdims=True)",
                                                           "(axis=1, keepdims=True)")
                + "\nsaid = []\ninner = backward\n"
                "def backward(logp, G):\n    return inner(logp, G).tolist()\n")
    verdict = verdict_on("backward", path)
    assert verdict["right"] and verdict["printed"].startswith("here ")
    assert len(verdict["printed"]) <= 1000


def test_a_file_may_import_its_neighbour(desk, forks):
    save(desk, RIGHT, "mine")
    path = save(desk, "from mine_exercise import backward")
    assert verdict_on("backward", path)["right"]


def test_a_file_is_graded_when_it_is_saved_without_a_terminal_and_in_a_locale_of_ascii(desk):
    """What is said of a wrong file has signs that are not ASCII."""
    path = save(desk, "def backward(logp, G):\n    return G\n")
    with subprocess.Popen(
            [sys.executable, "-m", "minirl", "exercise", "backward", "--watch"], cwd=desk,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "LC_ALL": "C",
                              "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8") as watch:
        try:
            while "Likely" not in watch.stdout.readline():
                assert watch.poll() is None
            beside = path.with_suffix(".new")
            beside.write_text(RIGHT, encoding="utf-8")
            os.replace(beside, path)  # as an editor saves
            out, err = watch.communicate(timeout=60)
        finally:
            watch.kill()
    assert watch.returncode == 0 and "Right" in out and not err


def test_only_a_file_that_was_saved_is_graded_again(command, desk, monkeypatch):
    """Nothing new; then an editor replaces it; then it is there again; then Ctrl-C."""
    mine, graded = save(desk, "first"), []

    def grade(name, path):
        graded.append(mine.read_text(encoding="utf-8"))
        return {"right": False, "lines": [["Runs", "yes"]], "printed": ""}

    def interrupt():
        raise KeyboardInterrupt

    happens = iter([lambda: None, mine.unlink, lambda: save(desk, "second"), interrupt])
    monkeypatch.setattr("minirl.exercises.command.verdict_on", grade)
    monkeypatch.setattr(time, "sleep", lambda seconds: next(happens)())
    status, out, err = command("backward", "--watch")
    assert (status, graded, err) == (1, ["first", "second"], "")
    assert re.fullmatch(r"Watching backward_exercise.py; Ctrl-C ends.\nRuns  yes\n"
                        r"\n\d\d:\d\d:\d\d\nRuns  yes\n\n", out)


# What is solved.


@pytest.mark.parametrize("content", [
    "", "{", "[]", "null", '{"format": 1}', '{"format": 9, "exercises": {}}',
    '{"format": 1, "exercises": {"backward": {"checks": 1}}}',
    '{"format": 1, "exercises": {"backward": 3}}', "[" * 100_000, "\0\xff",
    '{"format": 1, "exercises": {"backward": {"checks": "1", "hints": 0, "solved": true, '
    '"shown": false}}}'])
def test_a_corrupt_record_is_refused_and_nothing_is_lost(command, desk, content):
    mine = save(desk, RIGHT)
    (desk / FILE).write_text(content, encoding="latin-1")
    for arguments in [], ["backward", "--check"], ["backward", "--hint"], ["backward",
                                                                           "--solution"]:
        status, _, err = command(*arguments)
        assert status == 2 and FILE in err and "your solutions are in their own files" in err
    assert (desk / FILE).read_text(encoding="latin-1") == content
    assert mine.read_text(encoding="utf-8") == RIGHT


def test_news_are_added_and_the_rest_stays(desk):
    known = noted(noted({}, "dpo", hints=2), "ppo", solved=True)
    write_progress(known)
    assert read_progress() == known and known["dpo"]["hints"] == 2
    assert noted(known, "dpo", checks=1)["dpo"] == {"checks": 1, "hints": 2, "solved": False,
                                                    "shown": False}


def test_a_folder_that_is_read_only_still_gets_its_verdict(command, desk, forks, monkeypatch):
    save(desk, RIGHT)

    def refuse(*_):
        raise ValueError("cannot write")

    monkeypatch.setattr("minirl.exercises.command.write_progress", refuse)
    status, out, _ = command("backward", "--check")
    assert status == 0 and f"({FILE} is not updated: cannot write)" in out


@pytest.mark.slow
def test_an_installation_that_is_read_only_grades(tmp_path):
    """The packages are copied, and nothing in the copy may be written."""
    place, desk = tmp_path / "site packages", tmp_path / "desk"
    for package in "minirl", "toy_lm", "gridworld":
        shutil.copytree(ROOT / package, place / package,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for path in [place, *place.rglob("*")]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    desk.mkdir()
    save(desk, RIGHT)
    before = sorted(place.rglob("*"))
    done = subprocess.run([sys.executable, "-B", "-m", "minirl", "exercise", "backward", "--check"],
                          cwd=desk, env=os.environ | {"PYTHONPATH": str(place)},
                          capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and "Right" in done.stdout
    assert sorted(place.rglob("*")) == before


# Quizzes.


@pytest.mark.parametrize("prediction, answer, near", [
    ("0.5", "0.5", True), ("0.52", "array([0.5])", True), ("0.6", "0.5", False),
    ("1, 2 3", "[1. 2. 3.]", True), ("1 2", "[1. 2. 3.]", False), ("", "3", False),
    ("1,024", "1024", True), ("-1e-3", "-0.001", True), ("0.001", "0.0", True),
    ("true", "True", True), ("False", "True", False), ("right gradient", "right  gradient", True),
    ("inf", "inf", True), ("3", "inf", False), ("nonsense", "0.25", False)])
def test_a_prediction_is_near_or_not(prediction, answer, near):
    assert is_near(prediction, answer) == near


def test_a_quiz_asks_three_questions_and_runs_the_code(command, desk):
    answers = b"-.0001 .0001\n7\nno idea\n.5\n.7\n"
    status, out, _ = command("backward", "--quiz", stdin=answers)
    assert status == 0 and "1 of 3 predicted." in out and "That is not 2 numbers." in out
    assert "array([-0.2,  0.2])" not in out.split("Your prediction")[0]
    status, out, _ = command("backward", "--quiz")
    assert status == 0 and "0 of 3 predicted." in out


def test_a_quiz_looks_the_same_whether_its_answers_are_typed_or_piped(monkeypatch, capsys):
    """The key that ends an answer begins a line on a terminal; a pipe has no such key."""
    shown = []
    for key in "\n", "":
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(
            isatty=lambda key=key: key == "\n",
            readline=lambda key=key: print(end=key) or "7\n"))
        assert ask("kernel.softmax") == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    for question in questions_of(softmax.__doc__):
        lines = "".join(f"       {line}\n" for line in question.lines)
        assert f"\n{lines}   Your prediction" in shown[0]


def test_without_a_standard_input_nothing_is_predicted(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert ask("kernel.softmax") == 0
    assert capsys.readouterr().out.count("No prediction.") == 3


@pytest.mark.parametrize("typed, asked", [
    (["-.0001 .0001", "1", "0", "0"], 1), (["-.2", "-.0001 .0001", "0", "0"], 2),
    (["", "0", "0", "0"], 1), (["-.2", "7 8 9", "0", "0"], 2)])
def test_a_prediction_is_asked_once_more_only_if_it_has_another_number_of_numbers(
        monkeypatch, capsys, typed, asked):
    """Of the first question, whose answer has two."""
    lines = iter([line and f"{line}\n" for line in typed])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(
        isatty=lambda: True, readline=lambda: next(lines, "")))
    ask("kernel.softmax")
    first = capsys.readouterr().out.split("\n2. ")[0]
    assert first.count("2 numbers") == asked
    assert ("No prediction." in first) == (typed[0] == "")
    assert ("Yes." in first) == ("-.0001 .0001" in typed)


# The broken book.


def test_the_mistakes_are_listed(command, desk):
    status, out, _ = command("--break")
    names = [word for line in out.split("\n\n")[0].split("\n") for word in line.split()]
    assert status == 0 and names[0] == f"{EXERCISES[0].name}:"
    assert {"dpo:", "saturated"} <= set(names)
    assert len(names) == len(EXERCISES) + len(mistakes_by_name())
    status, out, _ = command("dpo", "--break")
    assert command("--break", "dpo") == (0, out, "")
    first = exercise_called("dpo").mistakes[0].name
    assert out.endswith(f"Break the book by one: minirl exercise --break dpo.{first}\n")
    assert status == 0 and "dpo.saturated: " in out and "backward." not in out


def test_a_broken_book_fails_a_test_and_is_whole_again(command, desk):
    status, out, _ = command("--break", "backward.sum_over_all")
    assert status == 0 and "caught by tests/test_softmax.py::" in out
    assert "- G.sum(axis=-1, keepdims=True)" in out and "+ G.sum()" in out
    source = (ROOT / "minirl" / "kernel" / "softmax.py").read_text(encoding="utf-8")
    assert "G.sum(axis=-1, keepdims=True)" in source


def test_a_run_of_the_tests_has_the_mistake_from_its_beginning_to_its_end(monkeypatch):
    """As a plugin of pytest, which calls the clean-up at the end."""
    exercise, mistake = mistake_called("backward.sum_over_all")
    right, cleanups = exercise.function.__code__, []
    monkeypatch.setenv(breaking.VARIABLE, "backward.sum_over_all")
    breaking.pytest_configure(SimpleNamespace(add_cleanup=cleanups.append))
    try:
        with_mistake = right_results(exercise)
    finally:
        for cleanup in cleanups:
            cleanup()
    assert exercise.function.__code__ is right
    for (one,), (other,) in zip(with_mistake, right_results(exercise, mistake), strict=True):
        assert np.array_equal(one, other)


def test_without_tests_nothing_can_be_broken(command, desk, monkeypatch):
    """Beside the tests of another package, which some install as `tests`"""
    (desk / "tests").mkdir()
    monkeypatch.setattr("minirl.exercises.breaking.ROOT", desk)
    status, _, err = command("--break", "backward.sum_over_all")
    assert status == 2 and "not installed" in err


def test_without_pytest_nothing_can_be_broken(command, desk, monkeypatch):
    monkeypatch.setattr("minirl.exercises.breaking.find_spec", {}.get)
    assert command("--break", "backward.sum_over_all") == (
        2, "", "minirl: --break runs the tests of the book: install the extra 'test'\n")


def test_a_mistake_that_no_test_catches_is_told_with_the_end_of_what_pytest_says(command, desk,
                                                                                 monkeypatch):
    (desk / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    monkeypatch.setattr("minirl.exercises.breaking.tests_of",
                        lambda *_: [str(desk / "test_nothing.py")])
    status, out, err = command("--break", "backward.sum_over_all")
    assert status == 2 and "The mistake: " in out and "caught by" not in out
    assert err.startswith("minirl: no test has caught it (pytest ends with 0): ")
    assert "1 passed" in err


def test_the_record_is_one_json_beside_the_exercises(command, desk):
    command("backward", "--hint")
    assert json.loads((desk / FILE).read_text(encoding="utf-8"))["format"] == 1
    assert [path.name for path in desk.iterdir()] == [FILE]


def test_the_page_shows_what_is_printed(command, desk, forks):
    """Of σ(m) in the place of σ(−m) in the exercise `dpo`."""
    page = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
    shown, = re.findall(r"^\$ minirl exercise dpo --check\n(.*?)^```", page, flags=re.S | re.M)
    command("dpo")
    path = desk / "dpo_exercise.py"
    save(desk, path.read_text(encoding="utf-8").replace("    raise NotImplementedError\n", """
    logp = log_softmax(logits)
    m = beta * (difference @ (logp - log_softmax(ref_logits)).ravel())
    slope = -beta * np.exp(log_sigmoid(m)) / len(m)
    G = (difference.T @ slope).reshape(logits.shape)
    return -log_sigmoid(m).mean(), backward(logp, G)
"""), "dpo")
    status, out, _ = command("dpo", "--check")
    assert status == 1 and out == shown
