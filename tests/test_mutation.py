"""The tool of `make mutation`: what the mutants of a source are, and what becomes of them."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutation.operators import mutants_of, sample_of
from mutation.report import score

TOY = '''"""A toy."""

import functools

WIDTH: int = 3


@functools.lru_cache(maxsize=8)
def clipped(x: int = 5, width=WIDTH) -> int:
    """At most so much, clipped(7) < 4."""
    if x < width and x:
        return abs(x) + 1
    raise ValueError(f"{x:>3}")


def step_loss(x):
    return _weighed(x), grad(x)


def _weighed(x):
    return x.sum(axis=-1)[x:]


if __name__ == "__main__":
    print(clipped(1))
'''
NAMES = """\
<module>, constant: 3 → 4
<module>, constant: 3 → 2
clipped, constant: 5 → 6
clipped, constant: 5 → 4
clipped, and, or: x < width and x → x < width or x
clipped, and, or: x < width and x → x
clipped, and, or: x < width and x → x < width
clipped, condition: x < width and x → True
clipped, condition: x < width and x → False
clipped, comparison: x < width and x → x <= width and x
clipped, comparison: x < width and x → x >= width and x
clipped, statement: return abs(x) + 1 → pass
clipped, arithmetic: abs(x) + 1 → abs(x) - 1
clipped, call: abs(x) + 1 → x + 1
clipped, constant: abs(x) + 1 → abs(x) + 2
clipped, constant: abs(x) + 1 → abs(x) + 0
clipped, statement: raise ValueError(f'{x:>3}') → pass
step_loss, statement: return (_weighed(x), grad(x)) → pass
_weighed, statement: return x.sum(axis=-1)[x:] → pass
_weighed, keyword: x.sum(axis=-1)[x:] → x.sum()[x:]
_weighed, call: x.sum(axis=-1)[x:] → x[x:]
_weighed, function: x.sum(axis=-1)[x:] → x.mean(axis=-1)[x:]
_weighed, sign: x.sum(axis=-1)[x:] → x.sum(axis=1)[x:]
_weighed, constant: x.sum(axis=-1)[x:] → x.sum(axis=-2)[x:]
_weighed, constant: x.sum(axis=-1)[x:] → x.sum(axis=-0)[x:]
_weighed, bound: x.sum(axis=-1)[x:] → x.sum(axis=-1)[x + 1:]""".split("\n")


def of_toy(source=TOY):
    tree = ast.parse(source)
    return [(tree, mutant) for mutant in mutants_of(tree, "toy")]


def test_every_operator_at_its_places_and_none_in_words_annotations_and_programs():
    assert [mutant.name.removeprefix("toy.") for _, mutant in of_toy()] == NAMES


def test_a_loss_is_known_by_its_name_and_takes_its_private_helpers_with_it():
    assert {mutant.function for _, mutant in of_toy() if mutant.loss} == {"step_loss", "_weighed"}


def test_a_sample_is_a_function_of_the_seed_and_the_names():
    moved = of_toy(TOY.replace("WIDTH: int", "# moved\n\n\nWIDTH: int"))
    names = [[mutant.name for _, mutant in sample_of(pairs, 5, seed)]
             for pairs, seed in ((of_toy(), 1), (moved, 1), (moved[::-1], 1), (moved, 2))]
    assert names[0] == names[1] == names[2] != names[3]
    lines = [mutant.lines for _, mutant in sample_of(of_toy(), 100, 1)]
    assert len(lines) == len(set(lines)) == len({mutant.lines for _, mutant in of_toy()})


def test_an_equivalent_mutant_does_not_count_and_one_that_is_killed_is_none(monkeypatch):
    monkeypatch.setattr("mutation.report.known", lambda: {"same": "a reason", "dead": "a reason"})
    rows = score([dict(module=module, name=name, status=status, loss=name == "dead")
                  for module, name, status in (("minirl.a.b", "same", "survived"),
                                               ("minirl.a.b", "dead", "timed out"),
                                               ("toy_lm.c", "hole", "uncovered"),
                                               ("toy_lm.c", "d", "killed"))]).split("\n")
    assert rows[2:] == ["| minirl.a | 2 | 1 | 1 | 100.0 % |", "| toy_lm | 2 | 0 | 1 | 50.0 % |",
                        "| all | 4 | 1 | 2 | 66.7 % |",
                        "| losses and gradients | 1 | 0 | 1 | 100.0 % |"]


PACKAGE = '''"""A toy."""

SCALE = 2
TWINS = (lambda x: x), (lambda x: -x)


def half(x, by=2):
    """Half of it.

    >>> half(4)
    2.0
    """
    while x > 100:
        x = x // 2
    return x / by


def scaled(x):
    if x < 0:
        return -x
    return SCALE * x


def asked():
    return 7


def doubled(x):
    return x + x


def never(x):
    return x + 1
'''
TESTS = '''import functools
import subprocess
import sys

from minirl.toy import doubled, half, scaled


@functools.cache
def six():
    return doubled(3)


TABLE = {"six": six}


def test_who_asks_a_cache_first_need_not_look():
    TABLE["six"]()


def test_six():
    assert TABLE["six"]() == 6


def test_here():
    assert half(102) == 25.5


def test_the_constant():
    assert scaled(3) == 6


def test_there():
    program = "from minirl.toy import asked; sys.exit(asked() != 7)"
    from minirl.toy import asked
    asked()
    assert not subprocess.run([sys.executable, "-c", "import sys; " + program]).returncode
'''


FREEZING = """import gc


def pytest_collection_finish():
    gc.freeze()
"""


@pytest.mark.slow
def test_mutants_of_a_toy_are_killed_here_there_and_by_the_clock_and_the_rest_survive(tmp_path):
    pytest.importorskip("coverage")
    for name, text in (("minirl/__init__.py", ""), ("minirl/toy.py", PACKAGE),
                       ("tests/test_toy.py", TESTS), ("tests/conftest.py", FREEZING),
                       ("setup.cfg", "[tool:pytest]\naddopts = --doctest-modules\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copytree(Path(__file__).parent / "mutation", tmp_path / "tests" / "mutation")
    (tmp_path / "tests" / "mutation" / "equivalents.json").write_text(
        json.dumps({"classes": {}, "mutants": {}}))
    done = subprocess.run(
        [sys.executable, "-m", "mutation", "--all", "--json", "found.json"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": f"{tmp_path}/tests:{tmp_path}"},
        capture_output=True, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "killers that fail without a mutant: none" in done.stdout
    results = json.loads((tmp_path / "found.json").read_text())
    found = {result["name"].removeprefix("minirl.toy."): result["status"] for result in results}
    killers = [result["killer"] for result in results
               if result["name"].startswith("minirl.toy.scaled") and result["status"] == "killed"]
    assert killers and not any(killer.startswith("fresh") for killer in killers)
    assert found["half, constant: x // 2 → x // 1"] == "timed out"
    assert {name for name, status in found.items() if status == "survived"} == {
        *(name for name in found if name.startswith("never")),  # which no test runs
        "<module>, sign: (lambda x: x, lambda x: -x) → (lambda x: x, lambda x: x)",
        "scaled, statement: return -x → pass", "scaled, sign: -x → x",
        *(f"half, {what}" for what in (
            "comparison: x > 100 → x >= 100", "constant: x > 100 → x > 99",
            "constant: x > 100 → x > 101", "arithmetic: x // 2 → x / 2")),
        *(f"scaled, {what}" for what in (
            "comparison: x < 0 → x <= 0", "condition: x < 0 → False", "constant: x < 0 → x < 1",
            "constant: x < 0 → x < -1"))}
    assert set(found.values()) == {"killed", "timed out", "survived"}
    assert {found[name] for name in ("asked, constant: 7 → 8", "<module>, constant: 2 → 3",
                                     "half, constant: 2 → 3")} == {"killed"}
