"""The house itself: contents page, import order, dependencies, equation tags, global randomness."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import minirl

ROOT = Path(minirl.__file__).parent.parent
PACKAGES = ("minirl", "toy_lm", "gridworld")
PARTS = {part: re.findall(r"\w+", names) for part, names in re.findall(
    r"^    (\w+) {2,}(\S.*(?:\n {8,}\S.*)*)", minirl.__doc__, flags=re.M)
    if (ROOT / "minirl" / part).is_dir()}  # with the side roads, which stand in brackets
CHAPTERS = [f"{part}.{name}" for part, names in PARTS.items() for name in names if part != "plain"]
EXTRAS = {"gridworld.gymnasium": "gymnasium", "gridworld.figures": "matplotlib",
          "minirl.lab.figures": "matplotlib", "minirl.lab.style": "matplotlib"}
APPENDICES = {"minirl.files", "minirl.checkpoints"}
NO_CHAPTERS = {"lab", "plain", "exercises", "pictures", "__main__.py",
               "start.py"}  # which need no examples
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EXTRAS |= {f"minirl.pictures.{path.stem}": "matplotlib" for path in SOURCES
           if path.parent.name == "pictures" and path.stem not in ("__init__", "command")}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path):
    """All nodes of a source file, which many tests look through."""
    return list(ast.walk(parsed(path)))


@cache
def imported_modules(path):
    """Full names of the modules that a source file imports, anywhere in it."""
    return {name for node in nodes_of(path)
            if isinstance(node, (ast.Import, ast.ImportFrom)) for name in names_imported(node)}


def names_imported(node):
    """Full names of the modules that one import statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0, "imports are absolute"
    inside = [f"{node.module}.{alias.name}" for alias in node.names]
    return {name if is_module(name) else node.module for name in inside}


@cache
def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def drawn_from_numpy(path):
    """What a source file takes from `np.random`."""
    return {node.attr for node in nodes_of(path) if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute) and ast.unparse(node.value) == "np.random"}


def contents(package):
    """The names that the docstring of a package lists, in its order."""
    doc = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")))
    return re.findall(r"^    \(?(\w+)\)? {2,}\S", doc, flags=re.M)


def test_the_contents_of_a_package_are_its_modules_and_those_of_the_book_its_parts():
    assert list(PARTS) == ["plain", "kernel", "exact", "play", "people", "beyond"]
    for package in (*(f"minirl/{part}" for part in PARTS), "minirl/lab", "minirl/exercises",
                    "minirl/pictures",
                    "toy_lm", "gridworld"):
        files = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__", "__main__"}
        listed = contents(package)
        assert set(listed) == files and len(listed) == len(files), package
        assert listed == PARTS.get(package.removeprefix("minirl/"), listed), package


def test_a_chapter_imports_only_earlier_chapters():
    for place, chapter in enumerate(CHAPTERS):
        part, name = chapter.split(".")
        imported = imported_modules(ROOT / "minirl" / part / f"{name}.py")
        assert {name for name in imported if name.split(".")[0] in PACKAGES} <= APPENDICES | {
            f"minirl.{name}" for name in CHAPTERS[:place]}, chapter


def test_after_one_import_every_chapter_and_every_page_is_at_hand():
    """In a process of its own, where nothing else has imported them."""
    pages = {path.stem for path in (ROOT / "minirl").glob("[a-z]*.py")} - {"console", "files"}
    done = subprocess.run(
        [sys.executable, "-c", "import minirl\n" + "\n".join(
            f"minirl.{name}.__doc__[0]" for name in ("plain", *CHAPTERS, *sorted(pages)))],
        cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(AttributeError, match="module 'minirl' has no attribute 'ppo'"):
        minirl.ppo()


def test_what_coverage_leaves_out_says_why():
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").split("\n"):
            if re.search(r"#\s*pragma", line, flags=re.I):
                assert re.search(r"# pragma: no (cover|branch) - \S+ \S+ \S", line), (path, line)
    settings = (ROOT / "setup.cfg").read_text(encoding="utf-8").partition("[coverage:run]")[2]
    assert "fail_under = 100" in settings and not re.search("exclude|omit|partial", settings)


def test_an_appendix_that_chapters_import_knows_nothing_of_the_book():
    """It writes files, which is no chapter's subject."""
    for name in APPENDICES:
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        assert {name for name in imported_modules(path) if name.split(".")[0] in PACKAGES} <= (
            APPENDICES - {name}), name


def test_a_plain_file_imports_numpy_alone_and_only_the_exercises_import_it():
    for path in SOURCES:
        imported = imported_modules(path)
        if path.parent.name == "plain" and path.stem != "__init__":
            assert imported <= {"numpy"}, path
        if path.parent.name != "exercises":
            assert not any(name.startswith("minirl.plain") for name in imported), path


def test_no_two_modules_import_each_other():
    arrows = {(module_name(path), name) for path in SOURCES for name in imported_modules(path)}
    assert [(one, other) for one, other in arrows if (other, one) in arrows] == []


def test_no_two_public_things_share_a_name():
    """Functions, classes and constants of all modules; `main` is what a command line calls, and
    `save` and `load` are called by the name of their module, `models.save` and `training.save`.

    What is in `plain` says everything again, in the words of the papers.
    """
    places = {}
    for path in (path for path in SOURCES if path.parent.name != "plain"):
        for node in parsed(path).body:
            names = {target.id for target in getattr(node, "targets", ())
                     if isinstance(target, ast.Name)} | {getattr(node, "name", "_")}
            for name in names - {"main", "save", "load"}:
                places.setdefault(name, []).append(module_name(path))
    assert {name: modules for name, modules in places.items()
            if len(modules) > 1 and not name.startswith("_")} == {}


def test_the_worlds_do_not_know_each_other_or_the_laboratory():
    for package in "gridworld", "toy_lm":
        for path in (ROOT / package).glob("*.py"):
            for name in imported_modules(path):
                assert name.split(".")[0] not in set(PACKAGES) - {package, "minirl"}, path
                assert not name.startswith(("minirl.lab", "minirl.__main__")), path


def test_a_module_imports_what_it_may_and_its_randomness_is_an_argument():
    """NumPy, SciPy and the standard library; what needs an extra only inside a function, which may
    then say what to install.  Pitfall 43: not NumPy's global generator."""
    for path in SOURCES:
        extra = EXTRAS.get(module_name(path))
        tops = {name.split(".")[0] for name in imported_modules(path)}
        assert tops <= {*sys.stdlib_module_names, "numpy", "scipy", *PACKAGES, extra,
                        "PIL" if extra == "matplotlib" else extra}, path  # which matplotlib needs
        at_once = {name for node in parsed(path).body
                   if isinstance(node, (ast.Import, ast.ImportFrom))
                   for name in names_imported(node)}
        assert extra or not at_once & set(EXTRAS), path
        assert drawn_from_numpy(path) <= {"Generator", "default_rng", "PCG64", "BitGenerator"}, path


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_and_all_that_is_public_in_it_says_what_it_is(path):
    """A function of a chapter by an example too"""
    module, chapter = parsed(path), not NO_CHAPTERS & set(path.parts)
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
            exempt = isinstance(node, ast.ClassDef) or node.name in {
                "check_policy", "read_lines", "read_map", "environment_rewards"}
            assert exempt or not chapter or ">>>" in ast.get_docstring(node), node.name
    if path.stem != "__main__":
        if module_name(path) in EXTRAS:
            pytest.importorskip(EXTRAS[module_name(path)])
        found = importlib.import_module(module_name(path).removesuffix(".__init__"))
        assert found.__doc__ and found.__doc__.strip()


def test_every_tagged_equation_is_named_by_a_test():
    """An equation is defined by its tag at the end of a line of a docstring."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    tags = set()
    for path in SOURCES:
        doc = ast.get_docstring(parsed(path)) or ""
        tags.update(re.findall(rf"\(({path.stem}\.\d+)\)", doc))
    assert len(tags) > 40
    assert {tag for tag in tags if f"({tag})" not in tests} == set()


def test_the_list_of_pitfalls_and_the_tests_that_name_them_agree():
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    named = {number for numbers in re.findall(r"[Pp]itfalls? (\d+(?: and \d+)*)", tests)
             for number in numbers.split(" and ")}
    pitfalls = (ROOT / "tests" / "PITFALLS.md").read_text(encoding="utf-8")
    assert named == set(re.findall(r"^\| (\d+) \|", pitfalls, flags=re.M))


def test_no_line_is_longer_than_a_hundred_characters():
    for path in [*SOURCES, *(path for folder in ("tests", "benchmarks", "docs")
                             for path in ROOT.glob(f"{folder}/**/*.py"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            assert len(line) <= 100, f"{path}, line {number}"


def example(page, language):
    """The names that the one block of a page in a language leaves, and its text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    code, = re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)
    names = {}
    exec(code, names)
    return names, code


def test_the_example_of_the_readme_does_what_it_says():
    names, code = example("README.md", "python")
    promised = float(re.search(r"# .* (0\.\d+) of the optimum", code)[1])
    assert round(names["share"], 2) == promised


def test_the_gymnasium_example_of_the_pages_runs():
    pytest.importorskip("gymnasium")
    names, _ = example("docs/worlds_and_text.md", "py")
    assert names["env"].unwrapped.mdp.shape == (64, 4) and names["world"].shape == (16, 4)


def test_the_readme_links_every_chapter_and_every_room_and_the_changelog_the_version():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = [(package, path.stem) for package in ("toy_lm", "gridworld")
             for path in (ROOT / package).glob("*.py")]
    pages = [("minirl", name) for name in (
        "introduction", "symbols", "glossary", "errata", "compared", "names")]
    chapters = [(f"minirl/{part}", name) for part, names in PARTS.items() for name in names]
    for folder, name in {*pages, *chapters, *rooms}:
        if folder == "minirl/plain":
            assert f"`{name}`" in readme, name
        elif name not in ("__init__", "__main__"):
            assert f"[`{name}`]({folder}/{name}.py)" in readme, name
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {minirl.__version__}" in changelog
