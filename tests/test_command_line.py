"""The command line of the jobs: what it refuses and how, what may come from standard input, and
where the arguments of `demo` go."""

import io
import json
from pathlib import Path
import re
import shlex
import sys

import pytest
from test_jobs import ARGUMENTS, EVERY, SMALL, handed_out, idle

from minirl import __version__
from minirl.__main__ import main
from minirl.console import standard_output
from minirl.lab import demo
from minirl.lab.demo import DemoScale
from minirl.lab.running_example import RunningExample

NAMES = ["anna", "otto", "nona", "hanna", "tona", "nat", "hat", "ahnot", "noah", "hoho", "ottona"]
RULES = "--success-rate and --step-reward are rules for a map of your own: give --map too"


@pytest.fixture
def names(tmp_path):
    """A corpus file of eleven names."""
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES))
    return str(path)


# What is refused.


RANGES = [  # jobs, an argument, what it must be, and values that are not
    ("demo policies", "--beta", "lie between 1e-06 and 1e+06", "0 -0.5 1e7 nan"),
    ("demo values policies alignment inference", "--seed", "be at least 0", "-1"),
    ("demo", "--pairs", "be at least 1", "0"),
    ("alignment", "--pairs", "lie between 1 and 1e+07", "0 10000001"),
    ("values policies", "--gamma", "lie between 0 and 1", "-0.1 1.5 nan"),
    ("values policies", "--runs", "be at least 1", "0"),
    ("values", "--steps", "be at least 20", "19"),
    ("values", "--steps", "be a multiple of 20", "39 21 100010"),
    ("values", "--learning-rate", "lie between 1e-06 and 1", "0 1.1"),
    ("values", "--decay", "lie between 0 and 1", "1.1"),
    ("values", "--exploration-rate", "lie between 0 and 1", "2"),
    ("values", "--initial-value", "lie between -1e+06 and 1e+06", "1e7"),
    ("values policies", "--success-rate", "lie between 0 and 1", "1.1"),
    ("values policies", "--step-reward", "lie between -1e+06 and 1e+06", "1e7"),
    ("policies", "--iterations", "be at least 20", "19"),
    ("policies", "--episodes", "be at least 1", "0"),
    ("policies", "--horizon", "be at least 1", "0"),
    ("estimators", "--episodes", "lie between 2 and 1e+09", "1 1000000001")]


@pytest.mark.parametrize("job, arguments, message", [
    *((job, f"{name} {value}", f"argument {name}: must {must}, got {value}")
      for jobs, name, must, values in RANGES for job in jobs.split() for value in values.split()),
    ("demo", "--beta half", "argument --beta: 'half' is not a number"),
    ("demo", "--pairs 1.5", "argument --pairs: '1.5' is not a whole number"),
    ("demo", "--json", "argument --json: expected one argument"),
    ("values", "--decay x", "argument --decay: 'x' is not a number"),
    *((job, f"{name} ''", f"argument {name}: the name of a file is expected, got ''")
      for job, name in (("demo", "--json"), ("demo", "--corpus"), ("values", "--map"),
                        ("values", "--plot"))),
    ("values", "--world cliff --map x", "argument --map: not allowed with argument --world"),
    *((job, arguments, f"unrecognized arguments: {arguments}") for job, arguments in (
        ("demo", "--sead 1"), ("demo", "--pair 1"), ("demo", "names.txt"),
        ("values", "--learn 1"), ("values", "--beta 1"), ("policies", "--learn ppo"),
        ("kl", "--seed 1"), ("kl", "--qui"), ("objectives", "--seed 1"),
        ("alignment", "--beta 1")))])
def test_a_wrong_argument_is_refused_by_name(command, job, arguments, message):
    status, out, err = command(job, *shlex.split(arguments), jobs=[idle(job)])
    prog = "minirl" if message.startswith("unrecognized") else f"minirl {job}"
    assert status == 2 and out == "" and err.startswith("usage: minirl ")
    assert err.endswith(f"\n{prog}: error: {message}\n")


@pytest.mark.parametrize("job, argument", [("values", "--world"), ("policies", "--world"),
                                           ("policies", "--learner")])
def test_a_wrong_choice_is_refused_with_what_there_is(command, job, argument):
    status, out, err = command(job, argument, "moon", jobs=[idle(job)])
    assert status == 2 and out == "" and f"argument {argument}: invalid choice: 'moon'" in err
    choices = err.split("choose from")[1]
    assert ("cliff" in choices) == (argument == "--world")
    assert ("language" in choices) == (job == "policies" and argument == "--world")
    assert ("actor_critic" in choices) == (argument == "--learner")
    for word in "nonsense", "value", "names.txt", "":
        status, out, err = command(word, "--quiet")
        assert status == 2 and out == "" and f"argument JOB: invalid choice: {word!r}" in err
        assert re.findall(r"(\w+)'?[,)]", err.split("choose from")[1]) == [
            *EVERY, "exercise", "figures"]
    for words, near in ((["value"], "values"), (["policy", "--runs", "2"], "policies"),
                        (["help", "aligment"], "alignment"), (["estimator"], "estimators"),
                        (["nonsense"], None), (["names.txt"], None)):
        assert (f"{words[0 if words[0] != 'help' else 1]!r}, did you mean {near!r}? (choose"
                in command(*words)[2]) == (near is not None)


@pytest.mark.parametrize("job, arguments, message", [
    ("demo", "--beta 0.25", "no optimum exists at beta = 0.25: a longer episode is always worth "
                            "more than the KL it costs; one exists above beta = 0.27757"),
    ("values", "--step-reward 0", RULES), ("values", "--success-rate 0.5", RULES),
    ("values", "--map no_file", "cannot read no_file: No such file or directory"),
    ("values", "--world teleports --gamma 1", "at gamma = 1.0 from state 0 this policy never ends"),
    ("policies", "--world language --gamma 0",
     "--gamma is for gridworlds: strings are not discounted"),
    ("policies", "--world language --step-reward 1", RULES),
    *(("policies", f"{option} 1", f"{option} is for the language model: give --world language too")
      for option in ("--beta", "--corpus")),
    ("policies", "--success-rate 0.5", RULES),
    ("policies", "--world language --beta 0.25", "no optimum exists at beta = 0.25"),
])
def test_what_the_user_can_mend_is_refused_in_a_sentence(command, monkeypatch, job, arguments,
                                                         message):
    """Before anything is trained."""
    for owner, name in ((RunningExample, "climbed"), (RunningExample, "preferences"),
                        (demo, "grid_table")):
        monkeypatch.setattr(owner, name, lambda *_, **__: pytest.fail("training was begun"))
    status, out, err = command(job, *ARGUMENTS[job], *arguments.split())
    assert status == 2 and out == "" and err.startswith("minirl: ") and err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("job, argument, data, message", [
    ("demo", "--corpus", b"", "{path} holds no item: one item per line is expected\n"),
    ("demo", "--corpus", b" \n\r\n", "{path} holds no item: one item per line is expected\n"),
    ("demo", "--corpus", b"anna\nb\xf6b\n", "{path}, line 2: not UTF-8 (byte 0xf6)\n"),
    *((job, "--corpus", b"aaa\na\n",
       "{path}: the corpus must have at least two different letters, got 'a'\n")
      for job in ("demo", "alignment", "policies --world language")),
    ("values", "--map", b"SFF\nFXG\n", "{path}: map line 2, column 2: 'X' is neither"),
    ("values", "--map", b"SG\nF\xff\n", "{path}, line 2: not UTF-8 (byte 0xff)\n"),
    ("values", "--map", b"", "{path}"), ("values", "--map", b"FF\n", "{path}")])
def test_a_corpus_or_a_map_that_cannot_be_used_is_refused(command, tmp_path, job, argument, data,
                                                          message):
    """By the name of the file, which may be standard input."""
    path = tmp_path / "some.txt"
    path.write_bytes(data)
    for given, shown, stdin in (str(path), path, b""), ("-", "standard input", data):
        status, out, err = command(*job.split(), argument, given, stdin=stdin)
        assert status == 2 and out == "" and err.count("\n") == 1
        assert err.startswith(f"minirl: {message.format(path=shown)}")


# Standard input and output.


@pytest.mark.parametrize("job, argument, data", [
    ("demo", "--corpus", "\n".join(NAMES).encode()), ("values", "--map", b"SFF\r\nH#F\r\nFFG\r\n"),
    ("policies", "--map", b"SFF\r\nH#F\r\nFFG\r\n")])
def test_a_corpus_or_a_map_may_come_from_standard_input(command, tmp_path, job, argument, data):
    """A map is then called "map"; apart from that the result is that of the file."""
    path = tmp_path / "map.txt"
    path.write_bytes(data)
    found, expected = (json.loads(command(job, *ARGUMENTS[job], argument, file, "--json", "-",
                                          stdin=given, jobs=[SMALL[job]])[1])
                       for file, given in (("-", data), (str(path), b"")))
    assert without_seconds(found) == without_seconds(expected)
    assert found.get("world", "map") == "map"


def without_seconds(found):
    if isinstance(found, dict):
        return {name: without_seconds(value) for name, value in found.items() if name != "seconds"}
    return [without_seconds(value) for value in found] if isinstance(found, list) else found


@pytest.mark.parametrize("option, name", [("--corpus", "names.txt"), ("--map", "map.txt")])
def test_what_is_read_is_not_overwritten(command, tmp_path, monkeypatch, option, name):
    """By JSON, before the work, or by a picture."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("SFG\n")
    Path("link").symlink_to(name)
    jobs = {"--corpus": ["demo", "alignment", "policies"], "--map": ["values", "policies"]}[option]
    for job in jobs:
        for out in name, f"./{name}", "link", str(tmp_path / name):
            assert command(job, option, name, "--json", out, jobs=[idle(job)]) == (
                2, "", f"minirl: cannot write {out}: the same file is read\n")
    if "values" in jobs:
        pytest.importorskip("matplotlib")
        picture = Path("4x4_values.png")
        picture.symlink_to("map.txt")
        status, _, err = command("values", "--map", name, "--plot", ".", "--quiet",
                                 jobs=[handed_out("values")])
        assert (status, err) == (2, f"minirl: cannot write ./{picture}: the same file is read\n")
    assert Path(name).read_text() == "SFG\n"


class Pad:
    """What a program may put in the place of standard output: it only writes."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def getvalue(self):
        return self.text


@pytest.mark.parametrize("stream", [Pad, io.StringIO])
def test_a_program_that_calls_us_may_have_replaced_standard_output(monkeypatch, stream):
    """And gets a status, whatever the arguments are."""
    for arguments, status, text in (
            (["demo"], 0, "← G"), (["demo", "--json", "-"], 0, '["ön…"]'), (["demo", "-x"], 2, ""),
            (["moon"], 2, ""), (["--help"], 0, "usage: minirl"), (["demo", "-h"], 0, "usage"),
            (["--version"], 0, f"minirl {__version__}\n")):
        monkeypatch.setattr(sys, "stdout", stream())
        job = handed_out("demo")._replace(drawing=lambda found: "← G", text=lambda found: "ön",
                                          document=lambda found: ["ön…"])
        assert main(arguments, [job]) == status
        found = sys.stdout.getvalue()
        assert (text in found or text == "".join(found.split())) and (found != "") == (text != "")


def test_standard_output_is_given_back_as_it_was(monkeypatch):
    job = handed_out("demo")._replace(drawing=None, text=lambda found: "ön")
    for arguments in ["demo"], ["moon"]:
        out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="xmlcharrefreplace")
        monkeypatch.setattr(sys, "stdout", out)
        main(arguments, [job])
        assert (out.encoding, out.errors) == ("latin-1", "xmlcharrefreplace")
        with standard_output(encoding="utf-8", errors="strict"):
            assert (out.encoding, out.errors) == ("utf-8", "strict")
        assert (out.encoding, out.errors) == ("latin-1", "xmlcharrefreplace")


def test_a_terminal_without_arrows_prints_others_and_json_is_not_spoilt(monkeypatch):
    job = handed_out("demo")._replace(drawing=lambda found: "H ← G", text=lambda found: "ön",
                                      document=lambda found: ["ön…"])
    outputs = []
    for arguments in [], ["--json", "-"]:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        assert main(arguments, [job]) == 0
        outputs.append(sys.stdout.buffer.getvalue())
    assert outputs[0] == b"H < G\n\n\n?n\n" and json.loads(outputs[1].decode("utf-8")) == ["ön…"]


def test_the_version_is_printed_and_the_installed_command_is_this_one(command):
    assert command("--version") == (0, f"minirl {__version__}\n", "")
    setup = (Path(__file__).parent.parent / "setup.cfg").read_text(encoding="utf-8")
    assert re.search(r"^\s+minirl = minirl.start:run_minirl$", setup, flags=re.M)


# demo, with and without its name.


@pytest.mark.parametrize("job", [[], ["demo"]])
def test_arguments_without_a_job_are_those_of_the_demonstration(command, monkeypatch, names, job):
    seen = []

    def language_table(items, seed, beta, pairs, progress, scale):
        seen.append((len(items), items[0], seed, beta, pairs, scale))
        return demo.Language(None, [], 0, True, beta, pairs)

    monkeypatch.setattr(demo, "language_table", language_table)
    monkeypatch.setattr(demo, "grid_table", lambda seed, progress, scale: seen.append(seed))
    monkeypatch.setattr("minirl.lab.running_example.unicode_words", lambda: ["latin", "letter"])
    assert command(*job, "--quiet") == (0, "", "")
    assert command(*job, "--seed", "7", "--beta", "0.3", "--pairs", "12", "--corpus", names,
                   "--quiet") == (0, "", "")
    assert seen == [(2, "latin", 0, 0.5, 20_000, DemoScale()), 0,
                    (11, "anna", 7, 0.3, 12, DemoScale()), 7]
