"""What is handed on: metadata that agree, a whole source distribution, and a wheel that runs."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from configparser import ConfigParser
from email import message_from_string
from fnmatch import fnmatch
from zipfile import ZipFile

import pytest
from test_house import PACKAGES, ROOT, example

import minirl
from minirl.__main__ import JOBS
from minirl.exercises import exercise_called
from minirl.exercises.cutting import file_of, solution_of

SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
NAME, PYTHONS = SETUP["metadata"]["name"], ["3.11", "3.12", "3.13", "3.14"]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


# Before anything is built.


def test_every_package_of_the_tree_is_installed_and_says_that_it_is_typed():
    there = {".".join(path.parent.relative_to(ROOT).parts)
             for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")}
    assert set(SETUP["options"]["packages"].split()) == there
    assert SETUP["options.package_data"]["*"] == "py.typed"
    other = {str(path.relative_to(ROOT)) for package in PACKAGES
             for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix != ".py"
             and path.parent.name != "__pycache__"}
    assert other == {f"{package}{os.sep}py.typed" for package in PACKAGES}


def test_the_version_is_one():
    """Of the package, in the changelog and in what is cited; what is released there has a date."""
    newest, date = re.search(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.M).groups()
    cited = dict(re.findall(r"^([\w-]+): (\S+)$", read("CITATION.cff"), flags=re.M))
    assert newest == cited["version"] == minirl.__version__ and date == cited["date-released"]
    assert SETUP["metadata"]["version"] == "attr: minirl.__version__"
    versions = re.findall(r"^## (.*)$", read("CHANGELOG.md"), flags=re.M)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", version) for version in versions)


def test_the_changelog_has_the_headings_of_keep_a_changelog_once_in_each_version():
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in read("CHANGELOG.md").split("\n## ")[1:]:
        found = re.findall(r"^#+ (.*)$", version, flags=re.M)
        assert found and found == [kind for kind in kinds if kind in found], version[:20]


def test_the_pythons_that_are_named_are_those_that_are_tested():
    workflow, metadata = read(".github/workflows/ci.yml"), SETUP["metadata"]
    assert re.findall(r":: (3\.\d+)$", metadata["classifiers"], flags=re.M) == PYTHONS
    assert re.search(r"^        python: (\[.*\])$", workflow, re.M)[1] == (
        "[" + ", ".join(f'"{python}"' for python in PYTHONS) + "]")
    assert SETUP["options"]["python_requires"] == f">={PYTHONS[0]}"
    assert f'target-version = "py{PYTHONS[0].replace(".", "")}"' in read("pyproject.toml")
    oldest = re.sub(r">=(\S+)", r"==\1.*", " ".join(SETUP["options"]["install_requires"].split()))
    assert f'- python: "{PYTHONS[0]}"\n            arrays: "{oldest}"' in workflow


def test_the_workflow_has_a_job_for_all_that_ci_runs_and_its_commands_exist():
    workflow = read(".github/workflows/ci.yml")
    assert re.findall(r"^  (\w+):$", workflow.partition("\njobs:\n")[2], flags=re.M) == [
        "lint", "test", "slow", "package", "book"]
    goals, = re.findall(r"^        goal: \[(.*)\]$", workflow, flags=re.M)
    made = {*re.findall(r"make ([\w-]+)", workflow), *goals.split(", ")}
    assert {*re.findall(r"^make ([\w-]+)$", read(".ci/run"), flags=re.M)} <= made
    assert made <= {*re.findall(r"^([\w-]+):", read("Makefile"), flags=re.M)}


def test_all_that_the_repository_keeps_is_in_the_source_distribution():
    ignored = [line.rstrip("/") for line in read(".gitignore").splitlines()]
    kept = {path.name for path in ROOT.iterdir()
            if not any(fnmatch(path.name, one) for one in [".git", "PKG-INFO", *ignored])
            and not (path / "pyvenv.cfg").exists()}
    named = [line.split()[1:] for line in read("MANIFEST.in").splitlines()
             if line.startswith(("include ", "graft "))]
    assert {*sum(named, []), *PACKAGES} == kept


def test_whoever_is_told_to_install_something_is_told_our_name():
    """And not that of a package which belongs to somebody else; a name in brackets is an extra."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"),
             *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    told = re.findall(r"pip install '?\"?([\w-]+)(?:\[(\w+)\])?(?=['\"])",
                      "".join(path.read_text(encoding="utf-8") for path in pages))
    extras = SETUP["options.extras_require"].keys()
    assert len(told) > 4 and all(name == NAME and extra in {*extras, ""} for name, extra in told)


def test_the_page_of_the_index_has_its_name_and_no_link_that_leads_nowhere():
    """On the index there is no repository beside the page."""
    page = read(SETUP["metadata"]["long_description"].removeprefix("file: "))
    assert {*re.findall(r"pip install \"?([\w-]+)", page)} == {NAME}
    assert not re.search(r"\]\((?!https://)|^!\[|^```\{", page, flags=re.M)
    names, _ = example("docs/installed.md", "python")
    assert round(names["share"], 2) == 0.97


def test_the_form_of_an_erratum_asks_for_what_the_page_says():
    asked = re.findall(r"^\d\. \*\*(.*)\*\*", read("CONTRIBUTING.md"), flags=re.M)
    form = read(".github/ISSUE_TEMPLATE/erratum.yml")
    assert asked == re.findall(r"^      label: (.*)$", form, flags=re.M)
    assert f"minirl {minirl.__version__}" in form


# What is built.


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution and the wheel, from a copy of the repository, without a network."""
    setuptools = pytest.importorskip("setuptools", reason="builds with setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("builds with setuptools 77: install the extra 'package'")
    place = tmp_path_factory.mktemp("built")
    leave = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, place / "clone", ignore=leave)
    run = "import sys; from setuptools import build_meta; {}(sys.argv[1])".format
    for what, source in ("sdist", place / "clone"), ("wheel", place / "unpacked"):
        done = subprocess.run([sys.executable, "-c", run(f"build_meta.build_{what}"), str(place)],
                              cwd=source, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        for path in place.glob("*.tar.gz"):
            with tarfile.open(path) as archive:
                archive.extractall(place, filter="data")
            path.with_suffix("").with_suffix("").rename(place / "unpacked")
            path.unlink()
    wheel, = place.glob("*.whl")
    return place / "clone", place / "unpacked", wheel


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
            and not {"build", "chapters", "__pycache__"} & {*path.parts}
            and not re.search(r"[.](egg-info|pytest_cache|ruff_cache)", str(path))}


@pytest.mark.slow
def test_the_source_distribution_is_the_repository_and_its_tests_run(built):
    """Those of the house read nearly every file; all of them are run in `.github/workflows`."""
    clone, unpacked, _ = built
    assert files_of(unpacked) - {"PKG-INFO"} == files_of(clone)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_house.py",
         "tests/test_readme.py", "tests/test_package.py", "tests/test_ten_things.py",
         "tests/test_compared.py", "tests/test_command_line.py"],
        cwd=unpacked, env=os.environ | {"PYTHONPATH": str(unpacked)}, capture_output=True,
        encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A function that runs Python with the wheel alone, in a folder that no clone is near."""
    place = tmp_path_factory.mktemp("site")
    desk = tmp_path_factory.mktemp("desk") / "meine Übungen 練習"
    desk.mkdir()
    with ZipFile(built[2]) as archive:
        archive.extractall(place)

    def run(*arguments, status=0):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=desk, stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(place), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"},
            capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        return done.stdout if status == 0 else done.stderr

    run.place, run.desk = place, desk
    return run


@pytest.mark.slow
def test_the_wheel_has_the_three_packages_and_what_the_index_asks_for(installed):
    assert {path.name for path in installed.place.iterdir()} == {
        *PACKAGES, f"{NAME.replace('-', '_')}-{minirl.__version__}.dist-info"}
    for package in PACKAGES:
        assert files_of(installed.place / package) == files_of(ROOT / package)
    about, = installed.place.glob("*.dist-info")
    metadata = message_from_string((about / "METADATA").read_text(encoding="utf-8"))
    assert (metadata["Name"], metadata["Version"]) == (NAME, minirl.__version__)
    assert metadata["Requires-Python"] == ">=3.11" and "NumPy" in metadata["Keywords"]
    assert metadata["Author"] == "the minirl authors" and "Project-URL" not in metadata
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    needed = [one for one in metadata.get_all("Requires-Dist") if "extra" not in one]
    assert [re.match(r"\w+", one)[0] for one in needed] == ["numpy", "scipy"]
    assert "pip install minirl-book" in metadata.get_payload()
    assert (about / "entry_points.txt").read_text(encoding="utf-8").split("\n")[1:3] == [
        "minirl = minirl.start:run_minirl", "toy_lm = minirl.start:run_toy_lm"]


@pytest.mark.slow
def test_the_installed_packages_are_imported_from_where_they_are(installed):
    out = installed("-c", "import gridworld, toy_lm, minirl; "
                          "print(minirl.__file__, toy_lm.__file__, gridworld.__file__)")
    assert out.count(str(installed.place)) == 3
    assert installed("-m", "minirl.plain.ppo")


@pytest.mark.slow
@pytest.mark.parametrize("command", [
    ["minirl"], *(["minirl", job.name] for job in JOBS), ["minirl", "exercise"],
    ["minirl", "figures"], ["toy_lm"], *(["toy_lm", name] for name in (
        "train", "score", "sample", "pairs", "align"))], ids=" ".join)
def test_every_installed_command_has_help(installed, command):
    assert installed("-m", *command, "--help").startswith(f"usage: {command[0]}")


@pytest.mark.slow
def test_an_exercise_is_written_graded_and_solved_without_a_clone(installed):
    """The way of a reader who has the wheel alone, up to what only a clone has."""
    run, exercise = installed, exercise_called("dpo")
    path = run.desk / "dpo_exercise.py"
    assert "dpo_exercise.py" in run("-m", "minirl", "exercise", "dpo")
    assert path.read_text(encoding="utf-8") == file_of(exercise)
    run("-m", "minirl", "exercise", "dpo", "--check", status=1)  # it has no body yet
    assert run("-m", "minirl", "exercise", "dpo", "--solution").strip() == solution_of(exercise)
    path.write_text("from minirl.people.dpo import dpo_loss\n", encoding="utf-8")
    assert "Right" in run("-m", "minirl", "exercise", "dpo", "--check")
    assert "1 of 66 solved" in run("-m", "minirl", "exercise")
    name = f"dpo.{exercise.mistakes[0].name}"
    assert "use a clone" in run("-m", "minirl", "exercise", "--break", name, status=2)


@pytest.mark.slow
def test_text_of_ones_own_is_learned_without_a_clone(installed):
    (installed.desk / "wörter.txt").write_text("anna\notto\nhannah\n" * 20, encoding="utf-8")
    installed("-m", "toy_lm", "train", "wörter.txt", "--out", "modell.npz")
    assert len(installed("-m", "toy_lm", "sample", "modell.npz", "-n", "5").splitlines()) == 5
