"""The benchmarks: their forms agree on small inputs, one that lies is found, and the command."""

import importlib
from itertools import permutations, repeat
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import costs, jobs, lake, sampling, stepping, tables, threads, timing
from benchmarks.works import WORKS, cases
from minirl.__main__ import JOBS
from minirl.files import STANDARD

MODULES = [importlib.import_module(f"benchmarks.{name}")
           for name in dict.fromkeys(WORKS.values())]
CASES = [case for module in MODULES for case in module.CASES]


def summing(size, peers):
    """A work that is quickly done: the sum of some numbers."""
    numbers = np.arange(size, dtype=float)
    forms = {"plain": lambda: sum(numbers.tolist()), "book": lambda: numbers.sum()}
    return forms | {name: lambda: np.float32(numbers.sum()) for name in peers}, size


SUM = timing.Case("W1", "a sum", "number", summing, (3, 5, 7))


@pytest.fixture
def clock(monkeypatch):
    """Call with the seconds of each form, call by call: a case, and the calls that were made.

    Time is as the forms tell it.  `items` replaces the size as the number of items of a form.
    """
    def case(seconds, items=None):
        def prepare(size, peers):
            def form(name):
                def call():
                    calls.append((name, size))
                    spent.append(next(seconds[name]))
                    return 1.0
                return call
            return ({name: form(name) for name in seconds},
                    dict.fromkeys(seconds, size) | items if items else size)

        seconds, calls = {name: iter(times) for name, times in seconds.items()}, []
        return timing.Case("W2", "clock", "item", prepare, (1, 10, 100)), calls

    spent = []
    monkeypatch.setattr(timing, "perf_counter", lambda: sum(spent))
    return case


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", (3, 4))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.work} {case.title}")
def test_all_forms_of_every_case_agree(case):
    forms, items = case.prepare(case.sizes[0], frozenset())
    assert {"plain", "book"} <= set(forms)
    assert set(forms) <= set(items) if isinstance(items, dict) else items > 0
    case.agree({name: form() for name, form in forms.items()})


def test_every_work_has_cases_under_its_own_number_and_their_titles_differ():
    assert set(WORKS) == {case.work for case in CASES} == {f"W{n}" for n in range(1, 11)}
    for work, name in WORKS.items():
        titles = [case.title for case in importlib.import_module(f"benchmarks.{name}").CASES
                  if case.work == work]
        assert len(titles) == len(set(titles)) > 0
    assert {len(case.sizes) for case in CASES} == {3}
    assert [case.work for case in cases(["W10", "W1"])] == sorted(
        (case.work for case in CASES if case.work in ("W1", "W10")), key=len)
    assert cases(["costs"]) == []


def test_a_slow_form_is_timed_once_and_its_time_is_shared_out_among_its_items(clock):
    """Seconds after the calls that are not timed; a form of more than a second is timed once."""
    case, _ = clock({"plain": [0, 4], "book": [0, 0, 5], "numba": [0, 0, 2], "slow_idiom": [0, 8]},
                    {"book": 10, "numba": 20})
    rows, control = timing.run(case)
    table = {row.form: row for row in rows}
    assert table["book"] == ("W2", "clock", "book", 5e8, 5e8, 5e8, 1.0, 0.2)
    assert table["plain"] == ("W2", "clock", "plain", 4e9, 4e9, 4e9, 8.0, 0.025)
    assert table["numba"] == ("W2", "clock", "numba", 1e8, 1e8, 1e8, 0.2, 1.0)
    assert table["slow_idiom"].ns_per_item == 8e9
    assert control == [0, 0, 0]


def test_quick_forms_take_turns_and_the_median_is_reported_with_the_extremes(clock):
    """The full size has a number of rounds of its own."""
    case, calls = clock({"book": [0, 0, 0.5, 0.1, 0.3], "plain": [0, 0.2, 0.9, 0.4]})
    book, plain = timing.run(case)[0]
    assert calls[:3] == [("book", 1), ("plain", 1), ("book", 10)]
    rounds = [calls[n:n + 2] for n in range(3, len(calls), 2)]
    assert len(rounds) == 3 and all(set(pair) == {("book", 10), ("plain", 1)} for pair in rounds)
    assert np.allclose(book[3:7], [3e7, 1e7, 5e7, 1.0])
    assert np.allclose(plain[3:7], [4e8, 2e8, 9e8, 40 / 3])
    assert book.limit is plain.limit is None
    case, calls = clock({"plain": repeat(0.1), "book": repeat(0.1)})
    timing.run(case, full=True)
    assert [size for _, size in calls[:3]] == [1, 1, 100]
    assert [sorted(size for _, size in calls[n:n + 2])
            for n in range(3, len(calls), 2)] == [[1, 100]] * 4


def test_each_form_comes_after_each_other_in_some_round(clock, monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", (30, 30))
    case, calls = clock({name: repeat(0.1) for name in ("book", "plain", "numba")})
    timing.run(case)
    order = [name for name, _ in calls[-90:]]
    rounds = {tuple(order[n:n + 3]) for n in range(0, 90, 3)}
    assert rounds == set(permutations(("book", "plain", "numba")))


def test_a_form_that_lies_is_found_before_it_is_timed():
    """Single precision is given room, but not much."""
    honest, liar = (1.0, np.zeros(2)), (1.0, np.array([0.0, 1e-9]))
    with pytest.raises(AssertionError, match="book and liar disagree"):
        timing.equal({"book": honest, "liar": liar})
    with pytest.raises(AssertionError, match="book and liar disagree"):
        timing.run(SUM._replace(prepare=lambda size, peers: (
            {"book": lambda: honest, "liar": lambda: liar}, size)))
    timing.equal({"book": honest, "jax": (np.float32(1.00005), np.zeros(2))})
    with pytest.raises(AssertionError, match="book and jax disagree"):
        timing.equal({"book": honest, "jax": (np.float32(1.0002), np.zeros(2))})
    with pytest.raises(AssertionError, match="return 2, 1 arrays"):
        timing.equal({"book": honest, "jax": 1.0})


def test_a_sampler_of_another_law_is_found():
    """The mean of the statistic, the sum of variance / mean over cells, is Σ (1 − p): exact, from
    the multinomial."""
    law = np.array([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]])
    agree = timing.likely(law)
    agree({"book": np.rint(law * 1001)})
    with pytest.raises(AssertionError, match="other draws from another law"):
        agree({"book": law * 1000, "other": np.array([law[0], [0.2, 0.2, 0.2, 0.4]]) * 1000})
    with pytest.raises(AssertionError, match="other draws what is impossible"):
        agree({"other": law * 1000 + [0, 0, 0, 1]})


@pytest.mark.parametrize("broken", ["states", "actions", "rewards", "terminated", "next_states"])
def test_a_walker_that_tells_one_thing_wrongly_is_found(broken):
    forms, _ = stepping.prepare((64, 300), frozenset())
    moves = stepping.Moves(*map(np.concatenate, zip(*forms["book"]())))
    case, = (case for case in stepping.CASES if "64" in case.title)
    case.agree({"book": moves})
    wrong = np.roll(getattr(moves, broken), 1)
    with pytest.raises(AssertionError, match="book draws"):
        case.agree({"book": moves._replace(**{broken: wrong})})


def test_strings_that_go_on_after_their_end_are_counted_up_to_it():
    written = np.array([[3, 2], [0, 1], [5, 4]])  # one string a column
    counted = sampling.count(written)
    assert counted[0, 3] == counted[3, 0] == counted[0, 2] == counted[2, 1] == counted[1, 4] == 1
    assert counted.sum() == 5
    assert (sampling.count([[3, 0], [2, 1, 4]]) == counted).all()


def test_the_length_of_strings_is_exact(monkeypatch):
    """A symbol ends a string with 1/2: 1 + 1/2 + 1/4 symbols are expected of three."""
    monkeypatch.setattr(sampling, "LOGITS", np.zeros((2, 2)))
    monkeypatch.setattr(sampling, "SYMBOLS", 2)
    monkeypatch.setattr(sampling, "HORIZON", 3)
    assert sampling.expected_length() == 1.75


def test_a_run_that_does_not_reach_the_goal_by_a_shortest_way_is_no_success():
    right_then_down = np.full(64, 2)
    right_then_down[7::8] = 1
    assert lake.has_arrived(right_then_down)
    detour = right_then_down.copy()
    detour[0] = 0
    assert not lake.has_arrived(detour)
    lake.optimal({"book": right_then_down[None]})
    with pytest.raises(AssertionError, match=r"book is worth 0.0, .* seed 1"):
        lake.optimal({"book": np.array([right_then_down, detour])})


def test_a_random_walker_finds_the_goal_as_rarely_as_it_says():
    """Exact: the distribution over states, step by step."""
    here, found = np.arange(64) == 0, 0.0
    for _ in range(lake.HORIZON):
        share = np.repeat(here[:, None] / 4, 4, axis=1)
        found += (share * lake.REWARD).sum()
        here = np.bincount(lake.FOLLOWING[~lake.ENDS], share[~lake.ENDS], minlength=64)
    assert lake.HORIZON == 80 and round(1 / found) == 647


@pytest.fixture
def sums(monkeypatch):
    """The command with one quick case in place of every work, and no change to this process."""
    monkeypatch.setattr(command, "use_cores", lambda number: None)
    monkeypatch.setattr(command, "rows_in_two_threads", lambda works, full: [])
    monkeypatch.setattr(command, "cases", lambda works: [SUM._replace(work=work) for work in works
                                                         if work in WORKS])
    monkeypatch.setattr(costs, "CURVES", [costs.Curve("sums", "numbers", lambda size: (
        lambda: np.ones(size).sum()), (1000, 10_000), (100_000,))])


def test_the_command_runs_all_and_ends_in_one_table(sums, capsys):
    assert command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("work"))
    assert [line[:6].strip() for line in lines[head + 1:]] == [
        text for n in range(1, 11) for text in (f"W{n}", "")] + [""]
    assert lines[-1].split()[0] == "control"
    assert lines[0].startswith("how costs grow")


def test_the_command_runs_some_and_writes_them(sums, capsys, tmp_path, monkeypatch):
    """To standard output they are written alone.  Without numba the limit is null."""
    monkeypatch.setattr(command, "find_spec", lambda name: name == "numba" or None)
    file = tmp_path / "rows.json"
    assert command.main(["W8", "W5", "--peers", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    rows = json.loads(file.read_text())["works"]
    assert [(row["work"], row["form"]) for row in rows] == [
        (work, form) for work in ("W8", "W5") for form in ("plain", "book", "numba")]
    assert set(rows[0]) == set(timing.Row._fields)
    for first in (0, 3):
        plain, book, numba = rows[first:first + 3]
        assert plain["ratio"] == plain["ns_per_item"] / book["ns_per_item"]
        assert book["limit"] == numba["ns_per_item"] / book["ns_per_item"]
        assert book["ratio"] == numba["limit"] == 1
    assert "how costs grow" not in out and out.count("control") == 1
    assert command.main(["W1", "costs", "--json", STANDARD]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["limit"] for row in found["works"]] == [None, None]
    assert [row["size"] for row in found["costs"]] == [1000, 10_000] and "jobs" not in found


@pytest.mark.parametrize("arguments, message", [
    (["W11"], "'W11' is not one of W1, W2, .*, W10, costs, jobs"),
    (["--json", ""], "the name of a file is expected"),
    (["--json", os.path.join("no such folder", "rows.json")], "cannot write no such folder"),
    (["--json", os.curdir], "cannot write .: it must be a file")])
def test_what_cannot_be_used_is_refused_in_one_sentence_before_any_work(
        monkeypatch, capsys, arguments, message):
    for work in "use_cores", "cases":
        monkeypatch.setattr(command, work, lambda *_: None)
    monkeypatch.setattr(command, "import_module", lambda name: pytest.fail("work was begun"))
    try:
        status = command.main(arguments)
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    *usage, last = err.splitlines()
    assert status == 2 and out == "" and re.search(message, last)
    assert all(line.startswith(("usage:", " ")) for line in usage)


def test_threads_are_limited_and_jobs_run_before_numpy_is_there():
    """And the process keeps to as many cores, of those that it had."""
    script = """
import os, sys
from benchmarks import jobs
from benchmarks.threads import cores, use_cores
mine, number = set(cores()), int(sys.argv[1])
use_cores(number)
assert "numpy" not in sys.modules
assert os.environ["OMP_NUM_THREADS"] == str(number) and os.environ["OPENBLAS_NUM_THREADS"] == "1"
one = os.environ["XLA_FLAGS"].startswith("--ours --xla_cpu_multi_thread_eigen=false")
assert one == (number == 1)
assert not hasattr(os, "sched_getaffinity") or (
    set(cores()) <= mine and len(cores()) == min(number, len(mine)))
"""
    for number in "1", "2":
        subprocess.run([sys.executable, "-c", script, number], check=True, timeout=60,
                       env={**os.environ, "XLA_FLAGS": "--ours"})


def test_in_several_threads_the_peers_alone_are_timed_beside_the_book(clock):
    """What has none of them is not even compared.  `plain` is compared, and not timed."""
    peers = frozenset({"jax", "torch"})
    seconds = {"plain": [0], "book": repeat(0.1), "jax": repeat(0.2), "torch_idiom": repeat(0.4)}
    case, calls = clock(seconds)
    rows, _ = timing.run(case, peers, threads=2)
    assert [row.form for row in rows] == ["jax_2_threads", "torch_idiom_2_threads"]
    assert np.allclose([row.ratio for row in rows], [2, 40]) and rows[0].limit is None
    case, calls = clock({"plain": [], "book": [], "gymnasium": []})
    assert timing.run(case, peers, threads=2) == ([], []) == (calls, calls)


def test_rows_in_two_threads_stand_beside_the_others_and_share_their_limit(
        sums, capsys, tmp_path, monkeypatch):
    file, asked = tmp_path / "rows.json", []

    def in_two(works, full):
        asked.append((works, full))
        return [["W5", "a sum", "jax_2_threads", 4.0, 4.0, 4.0, 2.0, None]]

    monkeypatch.setattr(command, "rows_in_two_threads", in_two)
    monkeypatch.setattr(command, "find_spec", lambda name: name in ("jax", "numba") or None)
    assert command.main(["W5", "W8", "costs", "--peers", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["works"]
    assert [row["form"] for row in rows[:2]] == ["plain", "book"] and len(rows) == 9
    assert [row["form"] for row in rows if "2" in row["form"]] == [rows[4]["form"]]
    assert rows[4]["limit"] == rows[1]["limit"] / 2
    assert asked == [(["W5", "W8"], False)]
    assert command.main(["W5"]) == command.main(["costs", "--peers"]) == 0 and len(asked) == 1


def test_a_second_process_is_asked_only_if_there_are_peers_and_cores(monkeypatch, capsys):
    """One that fails is told in a sentence."""
    done = subprocess.CompletedProcess([], 1, "", "Traceback:\nAssertionError: they disagree\n")
    asked = []
    monkeypatch.setattr(threads.subprocess, "run", lambda line, **_: asked.append(line) or done)
    for cores, there in (([0], True), ([0, 1], None)):
        monkeypatch.setattr(threads, "cores", lambda: cores)
        monkeypatch.setattr(threads, "find_spec", lambda name: there)
        assert threads.rows_in_two_threads(["W5"], full=True) == []
    assert asked == []
    monkeypatch.setattr(threads, "find_spec", lambda name: name == "jax" or None)
    assert command.main(["W5", "--peers", "--full"]) == 1
    assert asked == [[sys.executable, "-m", "benchmarks.threads", "W5", "--full"]]
    assert capsys.readouterr().err == "benchmarks: two threads: AssertionError: they disagree\n"


def test_the_second_process_prints_rows(monkeypatch, capsys):
    monkeypatch.setattr(threads, "use_cores", lambda number: None)
    monkeypatch.setattr(threads, "find_spec", lambda name: name == "jax" or None)
    monkeypatch.setattr(threads, "cases", lambda works: [SUM._replace(work=work) for work in works
                                                         if work in WORKS])
    assert threads.main(["W5", "W8", "--full"]) == 0
    rows = [timing.Row(*row) for row in json.loads(capsys.readouterr().out)]
    assert [(row.work, row.form) for row in rows] == [("W5", "jax_2_threads"),
                                                      ("W8", "jax_2_threads")]


# Whole jobs.


def test_every_job_of_the_book_is_measured_with_its_helpers_in_bytes():
    """A hundred million bytes are held; the seconds of the processor are those of the process.

    It is measured from a process of its own, as jobs are: a child begins as large as its parent.
    """
    known = {f"minirl {job.name}" for job in JOBS}
    assert known == {line for line in (*jobs.COMMANDS, *jobs.SLOW) if not line.startswith("toy_lm")}
    program = ("from benchmarks import jobs; print(*jobs.measure("
               "\"timeit -n 1 -r 1 -s b='x'*10**8 sum(range(10**6))\", '.')[1:])")
    told = subprocess.run([sys.executable, "-c", program], text=True, stdout=subprocess.PIPE,
                          cwd=jobs.ROOT, check=True).stdout
    cost = jobs.Cost("timeit", *map(float, told.split()))
    assert 0.01 < cost.processor < 2 * cost.seconds and 100 < cost.peak_mb < 200


@pytest.mark.slow
def test_the_commands_that_hand_over_files_find_them(monkeypatch):
    lines = tuple(line for line in jobs.COMMANDS if "toy_lm" in line)
    monkeypatch.setattr(jobs, "COMMANDS", lines)
    assert tuple(cost.job for cost in jobs.run()) == lines


def test_jobs_are_run_if_they_are_named_and_written_down(sums, monkeypatch, capsys, tmp_path):
    file = tmp_path / "rows.json"
    for name in "COMMANDS", "SLOW":
        monkeypatch.setattr(jobs, name, (f"this {name}",))
    monkeypatch.setattr(jobs, "measure", lambda line, folder: jobs.Cost(line, 3.0, 2.0, 99.0))
    assert command.main(["W1"]) == 0 and "jobs" not in capsys.readouterr().out
    for full in [], ["--full"]:
        assert command.main(["jobs", "--json", str(file), *full]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].split() == ["this", "COMMANDS", "3.00", "2.00", "99"]
        assert len(lines) == 2 + len(full)
    assert json.loads(file.read_text())["jobs"][1] == {
        "job": "this SLOW", "seconds": 3.0, "processor": 2.0, "peak_mb": 99.0}


@pytest.mark.parametrize("job, message", [
    ("benchmarks W0", "'benchmarks W0' ended with status 2: python -m benchmarks: error: argument"),
    ("timeit 1/0", "'timeit 1/0' ended with status 1: ZeroDivisionError: division by zero")])
def test_a_job_that_fails_is_told_in_a_sentence(sums, monkeypatch, capsys, job, message):
    monkeypatch.setattr(jobs, "COMMANDS", (job,))
    assert command.main(["jobs"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"benchmarks: {message}") and err.count("\n") == 1


def test_an_interrupt_ends_the_job_too(sums, monkeypatch, capsys):
    """Also one that reaches only the program that waits."""
    begun, popen = [], subprocess.Popen

    def begin(*arguments, **options):
        begun.append(popen(*arguments, **options))
        return begun[-1]

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs.subprocess, "Popen", begin)
    monkeypatch.setattr(os, "wait4", interrupt)
    assert command.main(["jobs"]) == 130
    child, = begun
    assert child.returncode < 0 and capsys.readouterr().err == "\nbenchmarks: interrupted\n"


def test_a_system_that_does_not_tell_is_said_to_be_one(sums, monkeypatch, capsys):
    monkeypatch.delattr(os, "wait4", raising=False)
    assert command.main(["jobs"]) == 2
    assert capsys.readouterr().err == ("benchmarks: jobs cannot be measured here: the system does "
                                       "not tell what a process has used (there is no os.wait4)\n")


# The tables of docs/speed.md.


def test_the_tables_of_the_page_have_a_line_for_every_case_and_every_command():
    text = tables.PAGE.read_text(encoding="utf-8")
    speed, whole = tables.read_table(tables.SPEED, text), tables.read_table(tables.JOBS, text)
    assert list(speed) == [f"{case.work} {case.title}" for case in CASES]
    assert list(whole) == [f"`{line}`" for line in (*jobs.COMMANDS, *jobs.SLOW)]
    assert all(len(cells) == 6 and cells[0] and cells[1] for cells in speed.values())
    assert {len(cells) for cells in whole.values()} == {3}


HEADER = "work", "the book", "plain loop", "best form of a library"


@pytest.mark.parametrize("said, measured, wrong", [
    (["2.5 ns a token", "130", "JAX 1.3"], ["2.5 ns a token", "101", "JAX 1.1"], []),
    (["2.5 ns a token", "132", "JAX 1.3"], ["2.5 ns a token", "101", "JAX 1.1"], [1]),
    (["2.5 ns a token", "76", "JAX 1.3"], ["2.5 ns a token", "100", "JAX 1.8"], [1, 2]),
    (["2.5 ns a token", "1,100", "JAX 1.3"], ["4.2 ns a token", "1,000", "JAX 1.3"], []),
    (["2.5 ns a token", "100", "JAX 1.3"], ["4.3 ns a token", "100", "JAX 1.3"], [0]),
    (["2.5 ns a token", "100", "JAX 1.3"], ["2.5 ns a token", "100", "PyTorch 1.3"], [2]),
    (["0.9 µs a token", "100", "JAX 1.3"], ["900 ns a token", "100", "JAX 1.3"], []),
    (["0.9 µs a token", "100", ""], ["0.9 ns a token", "100", "JAX 1.3"], [0, 2]),
    (["2.5 ns a token", "100", "JAX 1.3"], ["2.5 ns a token", "100", ""], []),
    (None, ["2.5 ns a token", "100", ""], [0, 1])])
def test_what_is_further_off_than_a_factor_is_out_of_date(said, measured, wrong):
    """Times by the square of the factor; what was not measured is not judged."""
    page_says = {} if said is None else {"W5": said}
    lines, compared = tables.out_of_date(HEADER, page_says, {"W5": measured}, 1.3)
    assert lines == [f"W5, {HEADER[n + 1]}: {said and said[n] or 'nothing'}, and now {measured[n]}"
                     for n in wrong]
    assert compared == sum(map(bool, measured))


def test_a_table_takes_the_fastest_form_of_each_kind():
    times = {"plain": 2181.0, "book": 1.0, "numba": 0.42, "jax": 2.0, "torch": 1.5,
             "torch_sparse": 1.2, "torch_float32": 0.9, "jax_float32": 1.1, "jax_2_threads": 0.55,
             "jax_float32_2_threads": 0.1, "torch_idiom": 534.0, "torch_idiom_2_threads": 700.0,
             "gymnasium": 600.0}
    rows = [{"work": "W9", "case": CASES[-2].title, "form": form, "ratio": ratio, "limit": 0.42,
             "ns_per_item": 2.53 * ratio} for form, ratio in times.items()]
    table = tables.speed_table(rows)
    assert table == {f"W9 {CASES[-2].title}": [
        "2.5 ns a token", "2,200", "PyTorch 530", "PyTorch sparse 1.2", "JAX 0.55", "0.42"]}
    text = f"Text.\n\n{tables.as_markdown(tables.SPEED, table)}\n\nText."
    assert tables.read_table(tables.SPEED, text) == table
    assert tables.read_table(tables.JOBS, text) == {}


def test_the_check_says_what_is_out_of_date_and_prints_what_is_not(monkeypatch, tmp_path, capsys):
    file, page = tmp_path / "rows.json", tmp_path / "speed.md"
    file.write_text(json.dumps({"jobs": [{"job": "minirl kl", "seconds": 2.0, "processor": 1.0,
                                          "peak_mb": 80.0}]}))
    monkeypatch.setattr(tables, "PAGE", page)
    assert tables.main([str(file), "--print"]) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[2] == "| `minirl kl` | 2.0 | 1.0 | 80 |"
    page.write_text(table.replace("80", "100"))
    assert tables.main([str(file)]) == 0
    assert capsys.readouterr().out == "3 numbers compared, 0 out of date\n"
    assert tables.main([str(file), "--factor", "1.2"]) == 1
    assert capsys.readouterr().out == ("`minirl kl`, peak MB: 100, and now 80\n"
                                       "3 numbers compared, 1 out of date\n")


@pytest.mark.parametrize("text, message", [
    (None, "cannot read"), ("[", "is not what"), ("[1]", "is not what"), ("{}", "has neither"),
    ('{"works": [{"work": "W5"}]}', "is not what"), ('{"jobs": 3}', "is not what"),
    ('{"works": [{"work": "W5", "case": "gone", "form": "book"}]}', "is not what")])
def test_a_file_that_is_none_of_the_benchmarks_is_refused(tmp_path, capsys, text, message):
    file = tmp_path / "rows.json"
    if text is not None:
        file.write_text(text)
    assert tables.main([str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("benchmarks.tables: ") and message in err


def test_a_curve_is_measured_with_its_slope(monkeypatch):
    """Seconds grow with the square of the size, memory in proportion."""
    monkeypatch.setattr(costs, "measure", lambda size: (size**2 / 1e6, 1e6 * size))
    monkeypatch.setattr(costs, "CURVES", [costs.Curve("sums", "numbers", lambda size: size,
                                                      (10, 100), (1000,))])
    for full, sizes in ((False, ["10", "100"]), (True, ["10", "100", "1,000"])):
        lines = costs.text(costs.run(full=full)).splitlines()
        assert lines[1].split() == ["sums", "10", "numbers", "0.00010", "10.00"]
        assert [line[22:34].strip() for line in lines[1:-1]] == sizes
        assert lines[-1].split() == ["slope", "2.00", "1.00"]


def test_the_peak_of_memory_holds_all_that_lives_at_one_time():
    _, peak = costs.measure(lambda: np.ones(10**6) + np.ones(10**6))
    assert 16e6 < peak < 25e6


def test_one_long_episode_among_many_short_ones_needs_no_rectangle():
    """Which would be ten thousand by ten thousand."""
    assert costs.measure(costs.one_long(10_000))[1] < 60e6


@pytest.mark.parametrize("curve", costs.CURVES, ids=lambda curve: curve.title)
def test_every_curve_does_its_job_at_its_smallest_size_and_its_sizes_grow(curve):
    curve.prepare(curve.sizes[0])()
    assert list(curve.sizes + curve.full) == sorted(curve.sizes + curve.full)
    for states in 16, 64, 128, 1024:
        world = costs.lake_of(states)
        assert world.shape == (states, 4) and world.reward.max() == 1
