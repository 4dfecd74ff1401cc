"""The same seed, the same bytes: in another process, with other hashes, threads and work beside it,
and the same numbers with other libraries, but for rounding."""

import ast
import importlib
import inspect
import json
import os
from pathlib import Path
import pkgutil
import subprocess
import sys

import pytest
from same import ALL, SAMPLERS, fingerprint, summary
from test_house import drawn_from_numpy, nodes_of

import gridworld
import minirl
import toy_lm

ROOT = Path(__file__).parent.parent
# A product of large matrices is rounded in another way by another number of threads.
ROUNDED = {"ppo, a large network"}


def printed(*arguments, optimised=False, **environment):
    """The fingerprints of another process, by name."""
    out = subprocess.run(
        [sys.executable, *["-O"] * optimised, "tests/same.py", *arguments], cwd=ROOT, check=True,
        capture_output=True, encoding="utf-8", env=os.environ | environment | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "PYTHONUTF8": "1"})
    return {name: number for number, name in (line.split("  ", 1)
                                              for line in out.stdout.splitlines())}


def test_one_seed_gives_the_same_bytes_in_a_process_that_differs_in_all():
    there = printed(optimised=True, PYTHONHASHSEED="random", OPENBLAS_NUM_THREADS="2")
    here = {name: fingerprint(run()) for name, run in ALL.items()}
    assert len(set(here.values())) == len(here) and there.keys() == here.keys()
    assert {name for name in here if there[name] != here[name]} <= ROUNDED


@pytest.mark.slow
def test_neither_hashes_nor_threads_nor_asserts_nor_other_work_change_a_bit():
    """One thing at a time; the other work keeps all processors busy."""
    first = printed(PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1")
    assert printed(PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1") == first
    assert printed(PYTHONHASHSEED="1", OPENBLAS_NUM_THREADS="1") == first
    assert printed(PYTHONHASHSEED="random", OPENBLAS_NUM_THREADS="1") == first
    assert printed(optimised=True, PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1") == first
    two = printed(PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="2")
    assert {name for name in first if two[name] != first[name]} <= ROUNDED
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(os.cpu_count())]
    try:
        assert printed(PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="2") == two
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_jobs_pictures_and_pages_say_the_same_in_a_process_that_differs_in_all():
    pytest.importorskip("matplotlib")
    first = printed("printed", PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1")
    assert len(first) == len(set(first.values())) > 30
    assert printed("printed", optimised=True, PYTHONHASHSEED="random",
                   OPENBLAS_NUM_THREADS="1") == first


GOLDEN = json.loads((ROOT / "tests" / "golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ALL)
def test_a_few_steps_give_the_numbers_that_are_kept(name):
    """Whole numbers exactly, the generator's among them, and sums of floats to 1e-12 of the sum of
    their sizes, whatever the Python and the libraries.  (Kept by `tests/same.py golden`.)"""
    number, size, mixed, whole = summary(ALL[name]())
    expected = GOLDEN[name]
    assert [number, whole] == [expected[0], expected[3]]
    assert [size, mixed] == pytest.approx(expected[1:3], abs=1e-12 * expected[1])


def test_numbers_are_kept_of_nothing_else():
    assert list(GOLDEN) == list(ALL)


# What could make a difference.


def public():
    """All public functions and methods of the packages, but for exercises, commands and extras."""
    for package in minirl, toy_lm, gridworld:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if {"__main__", "exercises", "figures", "gymnasium", "lab", "pictures",
                    "plain"}.isdisjoint(module.name.split(".")):
                found = importlib.import_module(module.name)
                for name, value in vars(found).items():
                    if getattr(value, "__module__", "") == module.name and name[0] != "_":
                        methods = vars(value).values() if inspect.isclass(value) else [value]
                        yield from filter(inspect.isfunction, methods)


def test_whatever_is_given_a_generator_is_tried():
    """And an `Environment` of Gymnasium draws by itself."""
    drawing = {function for function in public() if "rng" in inspect.signature(function).parameters
               and function.__qualname__[0] != "_"}
    untried = {function.__qualname__ for function in drawing - SAMPLERS.keys()}
    assert untried == {"Environment.begin"}


@pytest.mark.parametrize("package", ["minirl", "toy_lm", "gridworld"])
def test_no_package_relies_on_assert_or_hash_or_the_global_generator(package):
    """`python -O` leaves asserts out, `hash` differs between processes, and the numbers of modules
    like `random` and `np.random.normal` depend on who has drawn before."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in nodes_of(path):
            assert not isinstance(node, ast.Assert), (path, node.lineno)
            if isinstance(node, ast.Name):
                assert node.id != "hash", (path, node.lineno)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [getattr(node, "module", None), *(name.name for name in node.names)]
                assert "random" not in names, (path, node.lineno)
        assert drawn_from_numpy(path) <= {"default_rng", "Generator", "PCG64", "BitGenerator"}, path
