"""What holds for every job: what it prints, writes and draws, what it refuses before the work, and
that docs/jobs.md shows what is printed.

Each job runs once here, as small as it can be, and its tests hand out again what it has found.
"""

from contextlib import ExitStack
from functools import cache, partial
from importlib.util import find_spec
from itertools import combinations
import json
import os
from pathlib import Path
import re
import subprocess
import sys
from unittest import mock

import defaults
import kept
import pytest
from test_console import colourful, terminal
from test_house import EXTRAS
import test_objectives

from minirl.__main__ import JOBS, _parser, main
from minirl.console import PLAIN
from minirl.lab.alignment import AlignmentScale
from minirl.lab.attempts import AttemptsScale, attempt
from minirl.lab.demo import DemoScale
from minirl.lab.job import as_json
from minirl.lab.networks import NetworkScale
from minirl.lab.searches import SearchScale
from minirl.lab.table import BLOCKS

ROOT = Path(__file__).parent.parent
ARGUMENTS = {"demo": ["--pairs", "5"], "values": ["--steps", "20", "--runs", "1"],
             "policies": ["--learner", "ppo", "--runs", "1", "--iterations", "20", "--episodes",
                          "1"],
             "estimators": [], "kl": [], "objectives": [], "contrastive": [],
             "harvest": [], "alignment": ["--pairs", "50", "--seed", "3"],
             "inference": ["--seed", "1"],
             "search": [], "scaling": [], "network": ["--runs", "1"]}
SCALES = {"demo": DemoScale(1, 1, 1, 1, 1),
          "alignment": AlignmentScale(2, 1, 400, (1, 2, 4), (2.0, 0.5), (2,), 30, (20, 50), 200,
                                      (("dpo", 20), ("orpo", 10)), 1e-4),
          "inference": AttemptsScale((0.3,), 2, 1, 64, (1000,)),
          "search": SearchScale((2, 3), (1, 2, 4), (4, 8), 2, 64),
          "network": NetworkScale(2, 1, 1, (1, 2, 3), (0, 2), (0, 1), 50)}
EVERY = {job.name: job for job in JOBS}
DEFAULTS = {"objectives": lambda: (test_objectives.job()[0], []), "scaling": defaults.scaling,
            "contrastive": defaults.contrasts, "harvest": defaults.harvest}
SMALL = {name: job._replace(run=partial(job.run, scale=SCALES[name])) if name in SCALES else job
         for name, job in EVERY.items()}


@cache
def found(name):
    """What a small run of a job finds, by a clock that stands still, and the lines of its
    progress."""
    if name in DEFAULTS:  # which takes a few seconds
        return DEFAULTS[name]()
    arguments, lines = _parser(JOBS).parse_args([name, *ARGUMENTS[name]]), []
    with ExitStack() as clocks:
        for module in "job", "keeping", "policies", "values":
            clocks.enter_context(mock.patch(f"minirl.lab.{module}.perf_counter", lambda: 0.0))
        return SMALL[name].run(arguments, lines.append), lines


def handed_out(name):
    """A job that does no work, and finds it all the same."""
    def run(arguments, progress):
        progress("working")
        return found(name)[0]
    return EVERY[name]._replace(run=run)


def idle(name):
    """A job whose work must not begin."""
    return EVERY[name]._replace(run=lambda *_: pytest.fail("work was begun"))


@pytest.fixture(params=EVERY)
def name(request):
    return request.param


# What is printed and written.


@pytest.mark.slow
def test_a_text_is_printed_in_eighty_columns_and_json_is_valid_and_alone(command, name, tmp_path,
                                                                        monkeypatch):
    """To standard output; what goes to a file is the same, beside the text or without it."""
    path, jobs, job = tmp_path / "out.json", [handed_out(name)], EVERY[name]
    status, text, err = command(name, jobs=jobs)
    assert (status, err) == (0, "") and text.endswith("\n") and not text.endswith("\n\n")
    lines = text.splitlines()
    assert len(lines) > 5 and [line for line in lines if len(line) > 80 or line.endswith(" ")] == []
    assert text.endswith(f"{job.text(found(name)[0])}\n") and "-0.0000 " not in text
    drawn = name in ("demo", "values")
    assert ("\n\n\n" in text) == drawn and "\x1b" not in text
    assert re.sub(f"[{BLOCKS}]", "", text).isascii() or drawn

    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    out = as_json(job.document(found(name)[0]))
    assert len(json.loads(out, parse_constant=refuse)) > 1 and len(out) > 1000
    assert command(name, "--quiet", jobs=jobs) == (0, "", "")
    for more, printed in (["-"], out), ([str(path)], text), ([str(path), "--quiet"], ""):
        path.unlink(missing_ok=True)
        assert command(name, "--json", *more, jobs=jobs) == (0, printed, "")
        assert more == ["-"] or path.read_text(encoding="utf-8") == out
    stderr = terminal(monkeypatch)
    assert main([name], jobs) == 0 and stderr.getvalue() == f"\r\033[K{name}: working\r\033[K"


def test_the_demo_begins_with_the_learned_arrows_and_has_colours_on_a_terminal_only(
        command, monkeypatch):
    """And there the same text"""
    job = handed_out("demo")
    plain = command("demo", jobs=[job])[1]
    assert plain.startswith(job.drawing(found("demo")[0])) and "\x1b" not in plain
    for no_color in "", "1":
        out = colourful(monkeypatch)
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["demo"], [job]) == 0
        lines, bare = out.getvalue().splitlines(), plain.splitlines()
        if no_color:
            assert lines == bare
            continue
        assert [re.sub("\x1b\\[[0-9]+m", "", line) for line in lines] == bare
        for line, same in zip(lines, bare):
            words = re.findall(f"[←↓→↑]+|[{BLOCKS[1:]}]+", same)  # and nothing else is cyan
            assert re.findall("\x1b\\[36m(.+?)\x1b\\[0m", line) == words
            assert ("\x1b" in line) == bool(words)


def test_a_locale_that_has_only_ascii_gets_hashes(tmp_path):
    """In a real process; the columns stay as they are."""
    path = tmp_path / "way.txt"
    path.write_text("SFG")
    with_blocks, with_hashes = (subprocess.run(
        [sys.executable, "-m", "minirl", "values", "--steps", "20", "--runs", "1", "--map", path],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"},
        cwd=ROOT, capture_output=True, check=True).stdout.decode("utf-8") for utf8 in "10")
    assert with_hashes == "\n".join(
        map(str.rstrip, with_blocks.translate(PLAIN).split("\n")))
    assert with_hashes.isascii() and "##########\n" in with_hashes
    assert "██████████\n" in with_blocks and "\x1b" not in with_blocks + with_hashes


@pytest.mark.slow
def test_a_plot_is_written_as_png_and_what_it_wrote_is_said(command, name, tmp_path):
    pytest.importorskip("matplotlib")
    folder, jobs = tmp_path / "new" / "folder", [handed_out(name)]
    status, out, err = command(name, "--plot", str(folder), jobs=jobs)
    assert (status, err) == (0, "") and out.startswith(command(name, jobs=jobs)[1])
    drawn = out.splitlines()[-1].removeprefix("Drawn: ").split(", ")
    assert drawn == sorted(map(str, folder.iterdir()), key=drawn.index) and len(drawn) in (1, 2)
    for path in drawn:
        data = Path(path).read_bytes()
        assert path.endswith(".png") and data.startswith(b"\x89PNG") and len(data) > 5_000
    if name == "policies":
        assert command(name, "--quiet", "--plot", str(folder), jobs=jobs) == (0, "", "")


@pytest.mark.parametrize("name, first, last, pieces", [
    ("demo", "language, 1 of 6, reference", "grids, 6 of 6, cliff_walk: ppo", 12),
    ("values", "1 of 5, planning", "5 of 5, expected_sarsa", 5),
    ("policies", "1 of 20, ppo", "20 of 20, ppo", 20),
    ("alignment", "1 of 34, reference", "34 of 34, proxies", 34),
    ("contrastive", "1 of 9, letters", "9 of 9, rank 26", 9),
    ("inference", "1 of 6, reference", "6 of 6, emergence", 6),
    ("search", "1 of 7, order 2", "7 of 7, the chain", 7),
    ("harvest", "1 of 6, random, 1 negatives", "6 of 6, models", 6),
    ("network", "1 of 10, words, 1 letter", "10 of 10, preferences, 1 unit", 10)])
def test_progress_counts_all_pieces_of_work(name, first, last, pieces):
    lines = found(name)[1]
    assert lines[0] == first and lines[-1] == last and len(lines) == pieces
    counts = [re.findall(r"(\d+) of (\d+), ", line)[0] for line in lines]
    for (k, of), (after, of_all) in zip(counts, counts[1:]):
        assert (int(after), of_all) == (int(k) + 1, of) or (k, after) == (of, "1")


@pytest.mark.slow
def test_no_word_of_a_plot_is_cut_off_or_lies_over_another(name):
    """In at most 825 dots.  Where lines lead to names their own tests say it."""
    pytest.importorskip("matplotlib")
    from test_pictures import words_of

    from minirl.lab import figures
    with figures.rc_context(figures.STYLE):
        drawn = EVERY[name].draw(figures, found(name)[0])
    for file, figure in drawn.items():
        words = words_of(figure)
        assert figure.bbox.width <= 825 and figure.get_suptitle() and figure.get_supxlabel()
        for text, box in words:
            assert box.x0 >= -1 and box.x1 <= figure.bbox.width + 1, (file, text)
            assert box.y0 >= -1 and box.y1 <= figure.bbox.height + 1, (file, text)
        if file not in ("objectives_rests", "alignment_frontier"):
            for (one, box), (other, another) in combinations(words, 2):
                assert not box.shrunk(0.96, 0.7).overlaps(another.shrunk(0.96, 0.7)), (one, other)


# What was found once.  `python tests/kept.py > tests/kept.json` writes it down anew.


KEPT = json.loads((Path(__file__).parent / "kept.json").read_text(encoding="utf-8"))["jobs"]


# Where a loss is flat, rounding decides where a search stops, and other libraries round otherwise.
FLAT = {("contrastive", "shares"): 1e-5, ("scaling", "tokens_per_param"): 1e-3}


def test_a_small_run_finds_and_says_what_it_did(name):
    """Words to the letter, numbers to a unit of the last digit that is printed."""
    assert kept.of_document(EVERY[name].document(found(name)[0])) == {
        field: pytest.approx(sizes, rel=FLAT.get((name, field), 1e-6), abs=1e-9)
        for field, sizes in KEPT[name]["document"].items()}
    said = EVERY[name].text(found(name)[0]).splitlines()
    assert len(said) == len(KEPT[name]["text"])
    for line, before in zip(said, KEPT[name]["text"]):
        words, words_before = line.split(), before.split()
        assert len(words) == len(words_before) and all(
            map(same_to_a_digit, words, words_before)), (line, before)


def same_to_a_digit(one, other):
    digits = re.compile(r"\d+(?:\.(\d+))?(e[+-]\d+)?")
    if digits.sub("0", one) != digits.sub("0", other):
        return False
    for a, b in zip(digits.finditer(one), digits.finditer(other)):
        unit = float(f"1e-{len(b[1] or '')}") * float(f"1{b[2] or ''}")
        if abs(float(a[0]) - float(b[0])) > 1.001 * unit and not b[0].endswith(("e-16", "e-17")):
            return False
    return True


def test_a_plot_of_a_small_run_shows_what_it_did(name):
    """Every line, mark, number and word on it, its panels and their limits."""
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    with figures.rc_context(figures.STYLE):
        drawn = EVERY[name].draw(figures, found(name)[0])
    assert list(drawn) == list(KEPT[name]["figures"])
    for file, figure in drawn.items():
        for part, before in zip(kept.of_figure(figure), KEPT[name]["figures"][file], strict=True):
            assert part[:-1] == before[:-1]
            assert part[-1] == pytest.approx(before[-1], rel=1e-5, abs=1e-7), (file, part)


# What is refused before the work.


def test_a_file_that_cannot_be_written_is_refused_before_the_work(command, name, tmp_path):
    """And what fails at work is one line too."""
    for path in tmp_path / "missing" / "out.json", tmp_path:
        status, out, err = command(name, "--json", str(path), jobs=[idle(name)])
        assert status == 2 and out == "" and err.startswith(f"minirl: cannot write {path}: ")
        assert err.count("\n") == 1

    def run(*_):
        raise ValueError("the world is flat")

    assert command(name, jobs=[EVERY[name]._replace(run=run)]) == (
        2, "", "minirl: the world is flat\n")


def hide_matplotlib(monkeypatch):
    """As if it were not installed, and no module of ours that needs it had been imported."""
    for module in [*sys.modules]:
        if module.split(".")[0] == "matplotlib" or EXTRAS.get(module) == "matplotlib":
            monkeypatch.delitem(sys.modules, module)
    for module, extra in EXTRAS.items():
        if extra == "matplotlib":
            monkeypatch.delattr(module, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_pictures_that_cannot_be_drawn_are_refused(command, monkeypatch):
    hide_matplotlib(monkeypatch)
    assert command("figures") == (2, "", "minirl: pictures cannot be drawn: pictures need "
                                         "matplotlib: pip install 'minirl-book[plot]'\n")


def test_a_plot_that_cannot_be_drawn_is_refused_before_the_work(command, name, monkeypatch,
                                                                tmp_path):
    """A file in the place of its folder; and no matplotlib, of which no module is there."""
    path = tmp_path / "file"
    path.write_text("")
    for hidden, message in (False, f"cannot make the folder {path}: File exists"), (
            True, "--plot cannot draw: pictures need matplotlib: pip install 'minirl-book[plot]'"):
        if hidden:
            hide_matplotlib(monkeypatch)
        elif find_spec("matplotlib") is None:
            continue
        assert command(name, "--plot", str(path if not hidden else tmp_path / "new"),
                       jobs=[idle(name)]) == (2, "", f"minirl: {message}\n")
    assert list(tmp_path.iterdir()) == [path]


# Help.


def test_help_lists_every_job_with_what_it_is_and_each_has_help_of_its_own(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    helps = [command(*arguments) for arguments in (["--help"], ["-h"], ["help"])]
    status, text, err = helps[0]
    assert helps[1:] == helps[:2] and (status, err) == (0, "")
    assert text.startswith("usage: minirl ") and "--version" in text
    assert re.findall(r"^    (\w+)\b", text, flags=re.M) == [*EVERY, "exercise", "figures"] == [
        "demo", "values", "policies", "estimators", "kl", "objectives", "alignment",
        "contrastive", "inference", "search", "scaling", "harvest", "network", "exercise",
        "figures"]
    for name, job in EVERY.items():
        status, out, err = command(name, "--help")
        assert (status, err) == (0, "") and out.startswith(f"usage: minirl {name} ")
        assert "--json FILE" in out and "--quiet" in out
        assert "--plot DIR" in out
        about = " ".join(job.about.split("\n\n")[0].split())
        assert about in " ".join(out.split()) and about in " ".join(text.split())
        assert command("help", name) == (0, out, "")


# The page of the jobs.


TRAINED = {"demo": ["frozen_lake_4x4", "cliff_walk", "ppo", "rlhf", "dpo"],
           "alignment": ["rejection_sampling", "reinforce", "ppo", "grpo", "dr_grpo", "rloo",
                         *test_objectives.SURROGATES, "rlhf", "rlhf_iterated", "dpo", "ipo", "kto",
                         "simpo", "orpo", "savage", "robust_mistaken"],
           "inference": ["descent,", "ppo,", "own"],
           "network": ["0", "1", "2", "3", "4", "16", "worst", "best"]}
TIMED = "demo", "alignment"  # whose rows end with the seconds that they took


@pytest.mark.parametrize("name", ["estimators", "objectives", "kl", "contrastive", "scaling",
                                  "harvest"])
def test_the_page_shows_what_is_printed(name):
    assert_shown(name, EVERY[name].text(found(name)[0]))


@pytest.mark.slow
def test_the_page_shows_what_the_full_runs_print(full_run, full_alignment):
    for name, done in ("demo", full_run), ("alignment", full_alignment):
        assert done.stderr == ""
        assert_shown(name, done.stdout)


@pytest.mark.slow
def test_the_page_shows_what_attempts_buy():
    assert_shown("inference", EVERY["inference"].text(attempt(0, lambda line: None)))


@pytest.mark.slow
def test_the_page_shows_what_the_job_search_prints():
    arguments = _parser(JOBS).parse_args(["search"])
    assert_shown("search", EVERY["search"].text(EVERY["search"].run(arguments, lambda line: None)))


@pytest.mark.slow
def test_the_page_shows_what_the_job_network_prints():
    """What is not trained to the digit: n-grams, numbers of params, and pulls"""
    arguments = _parser(JOBS).parse_args(["network"])
    found = EVERY["network"].run(arguments, lambda line: None)
    assert_shown("network", EVERY["network"].text(found))
    page = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    for row in found.memories:
        assert re.search(rf"^ +{row.letters}  {row.flat:.3f}  {row.tree:.3f} +[\d.]+ +"
                         rf"{row.params:,} +{row.pull}$", page, flags=re.M)


def sections():
    """What docs/jobs.md says of each job."""
    page = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## `minirl (\w+)`\n", page, flags=re.M)
    return dict(zip(parts[::2], parts[1::2]))


def test_the_page_has_every_job_and_of_its_arguments_what_its_help_says():
    """Beside those that all jobs share"""
    assert list(sections()) == list(EVERY)
    for name, section in sections().items():
        listed, shared = {}, set()
        for item in re.findall(r"^- (`--(?:.|\n  )*)", section, flags=re.M):
            if item.endswith(": as above"):
                shared |= set(re.findall(r"`(--\w+)`", item))
            else:
                flag, about = re.fullmatch(r"`(\S+) [^`]+`: (.*)", " ".join(item.split())).groups()
                listed[flag] = about
        choices = {flag: re.findall(r"`(\S+)`", about) for flag, about in listed.items()}
        listed = {flag: about.partition("; one of `")[0] for flag, about in listed.items()}
        parser = _parser(JOBS)._subparsers._group_actions[0].choices[name]
        known = {action.option_strings[-1]: action for action in parser._actions}
        assert shared == known.keys() & {"--seed"}
        assert listed == {flag: " ".join(action.help.split()) for flag, action in known.items()
                          if flag not in {"--help", "--json", "--plot", "--quiet", *shared}}, name
        assert all(choices[flag] == list(known[flag].choices or []) for flag in listed), name


@pytest.mark.slow
def test_the_page_shows_what_the_job_values_prints_of_the_cliff(command):
    """Of the world, which is solved, and of what is said below the table of learners"""
    status, text, _ = command("values", "--world", "cliff")
    assert status == 0
    shown, = re.findall(r"^```text\n(.*?)^```$", sections()["values"], flags=re.M | re.S)
    for start, end in ("cliff, gamma 1", "Solved three times"), ("20 runs of", "not Q*."):
        assert shown[shown.index(start):shown.index(end)] in text


def test_the_page_of_worlds_shows_the_map_that_it_solves(command, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "worlds_and_text.md").read_text(encoding="utf-8")
    world, shown, *_ = re.findall(r"^```text\n(.*?)^```$", page, flags=re.M | re.S)
    line, = re.findall(r"^minirl (values --map map\.txt .*)$", page, flags=re.M)
    monkeypatch.chdir(tmp_path)
    Path("map.txt").write_text(world)
    status, out, _ = command(*line.split(), "--steps", "20", "--runs", "1")
    assert status == 0 and out.startswith(shown)


def assert_shown(name, text):
    """The lines of each block of the section are printed, in this order.

    What is not trained agrees to the digit.  Training amplifies the last bit, which is not the same
    with every version of a library, so what is trained agrees to a hundredth; the moves and the
    words that come of it are not compared, nor are the seconds, nor the lengths of bars.
    """
    blocks = re.findall(r"^```text\n(.*?)^```$", sections()[name], flags=re.M | re.S)
    lines = iter(text.splitlines())
    shown = [line for line in "".join(blocks).splitlines()
             if line != "..." and not re.search(r"[←↓→↑]|^  [a-z]{2}", line)]
    assert len(shown) > 9
    for line in shown:
        assert any(agree(name, line, printed) for printed in lines), line


def agree(name, line, printed):
    one, other = line.split(), printed.split()
    if len(one) > 1 and one[0] in (*TRAINED.get(name, ()), "reference", "optimum", "best_of_n"):
        trained = one[0] in TRAINED.get(name, ())
        timed = name in TIMED and trained | (len(one) > 6)
        return len(one) == len(other) and all(
            alike(a, b, 0.02 if trained else 0) for a, b in zip(one[:len(one) - timed], other))
    # A bias that is only rounding is shown as such, and may be any.
    return re.sub(r"\b\de-1\d\b", "0e-17", line) == re.sub(r"\b\de-1\d\b", "0e-17", printed)


def alike(one, other, slack):
    try:
        a, b = (float(word.replace(",", "")) for word in (one, other))
    except ValueError:
        return one == other or slack > 0 and {*one, *other} <= {*BLOCKS}
    return abs(a - b) <= slack * max(abs(b), 0.5)


# Part 5.


BEYOND = {"contrastive": [], "inference": [], "search": [], "scaling": [], "harvest": [],
          "network": ["--runs", "1"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", BEYOND)
def test_the_bytes_are_the_same_whatever_the_hash_seed_and_the_number_of_threads(name):
    outs = [subprocess.run([sys.executable, "-m", "minirl", name, *BEYOND[name], "--json", "-"],
                           env=os.environ | {"PYTHONHASHSEED": hashes, "OPENBLAS_NUM_THREADS": n},
                           cwd=ROOT, capture_output=True, check=True).stdout
            for hashes, n in (("1", "1"), ("2", "2"))]
    assert outs[0] == outs[1] and len(outs[0]) > 1000


@pytest.mark.parametrize("name", BEYOND)
def test_a_job_of_part_5_takes_less_than_half_a_minute(name):
    """As it was measured for docs/speed.md"""
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    wall, processor = re.search(rf"^\| `minirl {name}` \| ([\d.]+) \| ([\d.]+) \|", text,
                                flags=re.M).groups()
    assert max(float(wall), float(processor)) < 30
