"""The command line: what it refuses and how."""

import io
import json
from pathlib import Path
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minirl import __main__ as command_line
from minirl import __version__
from minirl.lab import main_job, report
from toy_lm import corpora

ROOT = Path(__file__).parent.parent
NAMES = ["anna", "otto", "nona", "hanna", "tona", "nat", "hat", "ahnot", "noah", "hoho", "ottona"]


@pytest.fixture
def hurried(monkeypatch):
    """Every trainer stops after its first iteration."""
    monkeypatch.setattr(main_job, "_last", lambda trainer, iterations: next(
        record for record in trainer if record.iteration == 1))


@pytest.fixture
def names(tmp_path):
    """A corpus file of eleven names."""
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES))
    return str(path)


def terminal(monkeypatch):
    """Make stderr a terminal, and return it."""
    stderr = io.StringIO()
    stderr.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stderr)
    return stderr


@pytest.fixture
def idle(monkeypatch):
    """Fail if any work is begun."""
    for owner, name in ((corpora, "unicode_words"), (main_job, "language_table"),
                        (main_job, "grid_table")):
        monkeypatch.setattr(owner, name, lambda *_: pytest.fail("work was begun"))


def give_up(error):
    def function(*_):
        raise error
    return function


# What is refused.


@pytest.mark.parametrize("arguments, message", [
    (["--beta", "0"], "argument --beta: must lie between 1e-06 and 1e+06, got 0"),
    (["--beta", "-0.5"], "argument --beta: must lie between 1e-06 and 1e+06, got -0.5"),
    (["--beta", "nan"], "argument --beta: must lie between 1e-06 and 1e+06, got nan"),
    (["--beta", "inf"], "argument --beta: must lie between 1e-06 and 1e+06, got inf"),
    (["--beta", "half"], "argument --beta: 'half' is not a number"),
    (["--pairs", "0"], "argument --pairs: must be at least 1, got 0"),
    (["--pairs", "1.5"], "argument --pairs: '1.5' is not a whole number"),
    (["--seed", "-1"], "argument --seed: must be at least 0, got -1"),
    (["--seed", ""], "argument --seed: '' is not a whole number"),
    (["--sead", "1"], "unrecognized arguments: --sead 1"),
    (["--pair", "1"], "unrecognized arguments: --pair 1"),
    (["names.txt"], "unrecognized arguments: names.txt"),
    (["--json"], "argument --json: expected one argument"),
])
def test_a_wrong_argument_is_refused_by_name(command, idle, arguments, message):
    status, out, err = command(*arguments)
    assert status == 2 and out == ""
    assert err.startswith("usage: minirl ") and err.endswith(f"minirl: error: {message}\n")


@pytest.mark.parametrize("argument", ["--json", "--corpus"])
def test_an_empty_file_name_is_refused_and_not_taken_for_none(command, idle, argument):
    status, out, err = command(argument, "")
    assert status == 2 and out == "" and argument in err


def test_a_beta_without_an_optimum_is_refused_before_anything_is_trained(command, monkeypatch):
    for name in "ppo", "sample_pairs", "grid_table":
        monkeypatch.setattr(main_job, name, lambda *_: pytest.fail("training was begun"))
    status, out, err = command("--beta", "0.25")
    assert status == 2 and out == ""
    assert err == ("minirl: no optimum exists at beta = 0.25: a longer episode is always worth "
                   "more than the KL it costs; one exists above beta = 0.27757\n")


@pytest.mark.parametrize("data, message", [
    (b"", "{path} holds no item: one item per line is expected"),
    (b" \n\r\n", "{path} holds no item: one item per line is expected"),
    (b"anna\nb\xf6b\n", "{path}, line 2: not UTF-8 (byte 0xf6)"),
    (b"aaa\na\n", "the corpus must have at least two different letters, got 'a'"),
])
def test_a_corpus_that_cannot_be_used_is_refused(command, tmp_path, data, message):
    path = tmp_path / "corpus.txt"
    path.write_bytes(data)
    status, out, err = command("--corpus", str(path))
    assert (status, out, err) == (2, "", f"minirl: {message.format(path=path)}\n")


def test_a_corpus_that_is_missing_or_a_folder_is_refused(command, tmp_path):
    missing = tmp_path / "missing.txt"
    assert command("--corpus", str(missing)) == (
        2, "", f"minirl: cannot read {missing}: No such file or directory\n")
    assert command("--corpus", str(tmp_path)) == (
        2, "", f"minirl: cannot read {tmp_path}: Is a directory\n")


def test_a_result_that_could_not_be_written_is_refused_before_any_work(command, idle, tmp_path):
    for path in tmp_path / "missing" / "out.json", tmp_path:
        status, out, err = command("--json", str(path))
        assert status == 2 and out == "" and err.startswith(f"minirl: cannot write {path}: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize("error, status, message", [
    (ValueError("the world is flat"), 2, "minirl: the world is flat\n"),
    (KeyboardInterrupt(), 1, "\nminirl: interrupted\n"),
    (MemoryError(), 1, "minirl: out of memory\n"),
    (OSError(28, "No space left on device"), 1, "minirl: [Errno 28] No space left on device\n"),
])
def test_a_failure_at_work_is_one_line_on_stderr(command, names, monkeypatch, error, status,
                                                    message):
    monkeypatch.setattr(main_job, "language_table", give_up(error))
    assert command("--corpus", names) == (status, "", message)


def test_a_reader_who_has_seen_enough_ends_the_command_silently(monkeypatch, names, tmp_path,
                                                                capsys):
    with open(tmp_path / "out", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(main_job, "language_table", give_up(BrokenPipeError()))
        assert command_line.main(["--corpus", names]) == 1
        print("what is still in the buffer goes nowhere", file=stdout)
    assert (tmp_path / "out").read_text() == "" and capsys.readouterr().err == ""


# What is done.


def test_the_arguments_and_their_defaults_reach_the_work(command, monkeypatch, names):
    seen = []

    def language_table(items, seed, beta, pairs, progress):
        seen.append((len(items), items[0], seed, beta, pairs))
        raise ValueError("enough")

    monkeypatch.setattr(main_job, "language_table", language_table)
    monkeypatch.setattr(corpora, "unicode_words", lambda: ["latin", "letter"])
    command()
    command("--seed", "7", "--beta", "0.3", "--pairs", "12", "--corpus", names)
    assert seen == [(2, "latin", 0, 0.5, 20_000), (11, "anna", 7, 0.3, 12)]


def test_the_seed_reaches_the_grids(command, monkeypatch, names):
    seen = []
    monkeypatch.setattr(main_job, "language_table", lambda *_: None)
    monkeypatch.setattr(main_job, "grid_table", lambda seed, progress: seen.append(seed))
    assert command("--seed", "7", "--quiet", "--corpus", names) == (0, "", "") and seen == [7]


def test_an_own_corpus_works_from_end_to_end(command, hurried, names, tmp_path):
    path = tmp_path / "out.json"
    status, out, err = command("--corpus", names, "--pairs", "30", "--json", str(path))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert status == 0 and err == ""
    assert out.startswith("A world you can draw") and "\n\n\nA world you can read: 11 items" in out
    assert f"from\n{names}\n" in out and "rlhf and dpo saw 30 preferences" in out
    assert "The bonus of 0.139 a letter was fitted to the default corpus" in out
    corpus = found["language"]["corpus"]
    assert (corpus["items"], corpus["symbols"]) == (11, 6)
    assert len(found["gridworld"]) == 6 and len(found["language"]["methods"]) == 5
    for row in found["language"]["methods"]:
        assert len(row["samples"]) == 10 and set("".join(row["samples"])) <= set("ahnot…")


def test_a_quiet_command_shows_its_progress_on_a_terminal_and_wipes_it_away(
        capsys, monkeypatch, hurried, names, tmp_path):
    path, stderr = tmp_path / "out.json", terminal(monkeypatch)
    arguments = ["--quiet", "--corpus", names, "--pairs", "5", "--json", str(path)]
    assert command_line.main(arguments) == 0 and capsys.readouterr().out == ""
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["gridworld", "language"]
    lines = stderr.getvalue().split("\r\033[K")
    assert lines[:3] == ["", "language: reference", "language: optimum"]
    assert "frozen_lake_4x4: q_learning" in lines and lines[-2:] == ["cliff_walk: ppo", ""]
    assert "\n" not in stderr.getvalue()


def test_a_writer_that_never_stops_has_no_numbers(hurried, monkeypatch):
    def fit_dpo(ref_logits, pairs, *, beta, pull):
        return SimpleNamespace(x=np.array([[-1e4] + [0.0] * 5] * 6))

    monkeypatch.setattr(main_job, "fit_dpo", fit_dpo)
    *others, last = main_job.language_table(NAMES, 0, 0.5, 20, lambda line: None).rows
    assert last.method == "dpo" and last[1:6] == (None,) * 5
    assert all(None not in row for row in others)
    assert all(len(word) == 201 and word[-1] == "…" for word in last.samples)


def test_a_terminal_without_arrows_prints_question_marks(monkeypatch, names):
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)
    for name in "language_table", "grid_table":
        monkeypatch.setattr(main_job, name, lambda *_: None)
    monkeypatch.setattr(report, "grid_text", lambda rows: "H ← G")
    monkeypatch.setattr(report, "language_text", lambda result, **_: "ön")
    assert command_line.main(["--corpus", names]) == 0
    assert plain.buffer.getvalue() == b"H ? G\n\n\n?n\n"


def test_a_seed_gives_the_same_results_apart_from_the_seconds(hurried):
    def results(seed):
        language = main_job.language_table(NAMES, seed, 0.5, 20, lambda line: None)
        return language._replace(rows=[row._replace(seconds=0.0) for row in language.rows])

    first = results(3)
    assert first == results(3)
    for row, other in zip(first.rows, results(4).rows):
        assert row.samples != other.samples
        assert (row.objective == other.objective) == (row.method in ("reference", "optimum"))


@pytest.mark.parametrize("bonus, exists", [(0.1, True), (9.0, False)])
def test_a_learned_reward_without_an_optimum_is_found_out(hurried, monkeypatch, bonus, exists):
    def fit_reward_model(table, pairs, *, pull):
        return SimpleNamespace(x=np.array([[0.0] + [bonus] * (len(table) - 1)] * len(table)))

    monkeypatch.setattr(main_job, "fit_reward_model", fit_reward_model)
    result = main_job.language_table(NAMES, 0, 0.5, 20, lambda line: None)
    assert result.learned_optimum == exists and len(result.rows) == 5


def test_a_message_on_a_terminal_is_not_glued_to_the_progress(monkeypatch, names):
    stderr = terminal(monkeypatch)
    monkeypatch.setattr(main_job, "fit_corpus", give_up(ValueError("no")))
    assert command_line.main(["--corpus", names]) == 2
    assert stderr.getvalue() == "\r\033[Klanguage: reference\r\033[Kminirl: no\n"


# Standard input and output.


def without_seconds(found):
    if isinstance(found, dict):
        return {name: without_seconds(value) for name, value in found.items() if name != "seconds"}
    return [without_seconds(value) for value in found] if isinstance(found, list) else found


@pytest.mark.parametrize("arguments", [
    ["--pairs", "5"], ["values", "--steps", "20", "--runs", "1"], ["estimators", "--episodes", "2"],
    ["policies", "--learner", "ppo", "--runs", "1", "--iterations", "20", "--episodes", "1"]],
    ids=lambda arguments: arguments[0])
def test_json_to_standard_output_is_all_that_is_printed_there(command, hurried, names, tmp_path,
                                                              arguments):
    """And it is what goes to a file."""
    path, job = tmp_path / "out.json", "main" if arguments[0] == "--pairs" else arguments[0]
    arguments += ["--corpus", names] if job == "main" else []
    status, out, err = command(*arguments, "--json", "-")
    assert status == 0 and err == "" and len(json.loads(out)) > 0
    assert command(*arguments, "--json", str(path), "--quiet") == (0, "", "")
    written = path.read_text(encoding="utf-8")
    assert without_seconds(json.loads(out)) == without_seconds(json.loads(written))


def test_json_is_not_spoilt_by_a_terminal_that_cannot_show_it(monkeypatch, hurried, tmp_path):
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)
    path = tmp_path / "names.txt"
    path.write_text("\u00f6n\nn\u00f6\n\u00f6\u00f6n", encoding="utf-8")
    assert command_line.main(["--corpus", str(path), "--pairs", "5", "--json", "-"]) == 0
    written = plain.buffer.getvalue().decode("utf-8")
    letters = {c for row in json.loads(written)["language"]["methods"] for word in row["samples"]
               for c in word}
    assert "\u00f6" in letters and letters <= set("\u00f6n\u2026")


def test_a_corpus_may_come_from_standard_input(command, hurried, names, monkeypatch):
    seen, table = [], main_job.language_table
    monkeypatch.setattr(main_job, "language_table",
                        lambda items, *given: seen.append(items) or table(items, *given))
    status, out, err = command("--corpus", "-", "--pairs", "5", stdin=Path(names).read_bytes())
    assert status == 0 and err == "" and seen == [NAMES]
    assert "11 items" in out and "from\nstandard input\n" in out


@pytest.mark.parametrize("job", ["values", "policies"])
def test_a_map_may_come_from_standard_input(command, tmp_path, job):
    """It is then called "map"; apart from that the result is that of the file."""
    haste = {"values": ["--steps", "20", "--runs", "1"],
             "policies": ["--learner", "ppo", "--runs", "1", "--iterations", "20", "--episodes",
                          "1"]}[job]
    path = tmp_path / "map.txt"
    path.write_bytes(b"SFF\r\nH#F\r\nFFG\r\n")
    found, expected = (command(job, "--map", file, *haste, "--json", "-", stdin=given)[1]
                       for file, given in (("-", path.read_bytes()), (str(path), b"")))
    assert without_seconds(json.loads(found)) == without_seconds(json.loads(expected))
    assert command(job, "--map", "-", *haste, stdin=path.read_bytes())[1].startswith("map, gamma ")


@pytest.mark.parametrize("arguments, data, message", [
    (["--corpus"], b"", "standard input holds no item: one item per line is expected"),
    (["--corpus"], b"a\n\n\xf6", "standard input, line 3: not UTF-8 (byte 0xf6)"),
    (["values", "--map"], b"SG\nF\xff\n", "standard input, line 2: not UTF-8 (byte 0xff)"),
])
def test_standard_input_that_cannot_be_used_is_refused_by_name(command, idle, arguments, data,
                                                               message):
    assert command(*arguments, "-", stdin=data) == (2, "", f"minirl: {message}\n")


@pytest.mark.parametrize("data", [b"", b"SX\n", b"FF\n"])
def test_a_map_that_cannot_be_used_is_said_to_come_from_standard_input(command, data):
    status, out, err = command("values", "--map", "-", stdin=data)
    assert status == 2 and out == "" and err.startswith("minirl: ") and err.count("\n") == 1
    assert "standard input" in err


def test_help_names_every_argument_and_the_version_is_printed(command):
    status, out, err = command("--help")
    assert status == 0 and err == ""
    for name in "--seed", "--beta", "--pairs", "--corpus", "--json", "--quiet", "--version":
        assert name in out
    assert command("--version") == (0, f"minirl {__version__}\n", "")


def test_help_names_every_other_job_each_of_which_has_help_of_its_own(command):
    jobs = ["values", "policies", "estimators", "kl", "objectives", "alignment"]
    assert list(command_line.JOBS) == jobs
    _, out, _ = command("--help")
    assert re.findall(r"'minirl (\w+)'", " ".join(out.split())) == jobs
    for job in jobs:
        status, out, err = command(job, "--help")
        assert status == 0 and err == "" and out.startswith(f"usage: minirl {job} ")
        assert "--json FILE" in out and "--quiet" in out
        plotted = job in ("values", "policies", "estimators", "alignment")
        assert ("--plot DIR" in out) == plotted
