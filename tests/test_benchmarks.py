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
from benchmarks import costs, lake, sampling, stepping, timing
from minirl.files import STANDARD

MODULES = [importlib.import_module(f"benchmarks.{name}")
           for name in dict.fromkeys(command.WORKS.values())]
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
                    {name: size for name in seconds} | items if items else size)

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
    assert set(command.WORKS) == {case.work for case in CASES} == {f"W{n}" for n in range(1, 11)}
    for work, name in command.WORKS.items():
        titles = [case.title for case in importlib.import_module(f"benchmarks.{name}").CASES
                  if case.work == work]
        assert len(titles) == len(set(titles)) > 0
    assert {len(case.sizes) for case in CASES} == {3}
    assert [case.work for case in command.cases(["W10", "W1"])] == sorted(
        (case.work for case in CASES if case.work in ("W1", "W10")), key=len)
    assert command.cases(["costs"]) == []


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
    with pytest.raises(AssertionError, match="book is worth 0.0, .* seed 1"):
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
    monkeypatch.setattr(command, "use_one_core", lambda: None)
    monkeypatch.setattr(command, "cases", lambda works: [SUM._replace(work=work) for work in works
                                                         if work in command.WORKS])
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
    rows = json.loads(file.read_text())
    assert [(row["work"], row["form"]) for row in rows] == [
        (work, form) for work in ("W8", "W5") for form in ("plain", "book", "numba")]
    assert set(rows[0]) == {"work", "case", "form", "ns_per_item", "ratio", "limit"}
    for first in (0, 3):
        plain, book, numba = rows[first:first + 3]
        assert plain["ratio"] == plain["ns_per_item"] / book["ns_per_item"]
        assert book["limit"] == numba["ns_per_item"] / book["ns_per_item"]
        assert book["ratio"] == numba["limit"] == 1
    assert "how costs grow" not in out and out.count("control") == 1
    assert command.main(["W1", "costs", "--json", STANDARD]) == 0
    assert [row["limit"] for row in json.loads(capsys.readouterr().out)] == [None, None]


@pytest.mark.parametrize("arguments, message", [
    (["W11"], "'W11' is not one of W1, W2, .*, W10, costs"),
    (["--json", ""], "the name of a file is expected"),
    (["--json", os.path.join("no such folder", "rows.json")], "cannot write no such folder"),
    (["--json", os.curdir], "cannot write .: it must be a file")])
def test_what_cannot_be_used_is_refused_in_one_sentence_before_any_work(
        monkeypatch, capsys, arguments, message):
    for work in "use_one_core", "cases":
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


def test_threads_are_limited_before_numpy_is_there_and_the_process_keeps_to_one_core():
    script = """
import os, sys
from benchmarks.__main__ import use_one_core
assert "numpy" not in sys.modules
use_one_core()
assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
assert os.environ["XLA_FLAGS"].startswith("--ours --xla_cpu_multi_thread_eigen=false")
assert not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60,
                   env={**os.environ, "XLA_FLAGS": "--ours"})


def test_a_curve_is_measured_with_its_slope(monkeypatch):
    """Seconds grow with the square of the size, memory in proportion."""
    monkeypatch.setattr(costs, "measure", lambda size: (size**2 / 1e6, 1e6 * size))
    monkeypatch.setattr(costs, "CURVES", [costs.Curve("sums", "numbers", lambda size: size,
                                                      (10, 100), (1000,))])
    for full, sizes in ((False, ["10", "100"]), (True, ["10", "100", "1,000"])):
        lines = costs.text(full=full).splitlines()
        assert lines[1].split() == ["sums", "10", "numbers", "0.00010", "10.00"]
        assert [line[22:34].strip() for line in lines[1:-1]] == sizes
        assert lines[-1].split() == ["slope", "2.00", "1.00"]


def test_the_peak_of_memory_holds_all_that_lives_at_one_time():
    _, peak = costs.measure(lambda: np.ones(10**6) + np.ones(10**6))
    assert 16e6 < peak < 25e6


@pytest.mark.parametrize("curve", costs.CURVES, ids=lambda curve: curve.title)
def test_every_curve_does_its_job_at_its_smallest_size_and_its_sizes_grow(curve):
    curve.prepare(curve.sizes[0])()
    assert list(curve.sizes + curve.full) == sorted(curve.sizes + curve.full)
    for states in 16, 64, 128, 1024:
        world = costs.lake_of(states)
        assert world.shape == (states, 4) and world.reward.max() == 1
