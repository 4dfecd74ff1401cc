"""The book with one famous mistake in it, and the tests that catch it.

As a plugin of pytest, `-p minirl.exercises.breaking`, it puts the mistake that the environment
names into the book before the tests are collected.
"""

import os
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

from minirl.exercises import mistake_called
from minirl.exercises.exercise import capital, edited_functions, mistaken

VARIABLE = "MINIRL_MISTAKE"
ROOT = Path(__file__).parent.parent.parent


def pytest_configure(config):
    """Put the mistake into the book until the tests have run."""
    context = mistaken(mistake_called(os.environ[VARIABLE])[1])
    context.__enter__()
    config.add_cleanup(lambda: context.__exit__(None, None, None))


def tests_of(exercise, mistake):
    """The tests of the chapters that a mistake touches, those that are quickest first."""
    stems = [exercise.chapter.split(".")[1]]
    stems += sorted({function.__module__.split(".")[-1] for function in edited_functions(mistake)})
    files = [ROOT / "tests" / f"test_{stem}.py" for stem in dict.fromkeys(stems)]
    sources = [sys.modules[function.__module__].__file__ for function in edited_functions(mistake)]
    plain = [ROOT / "tests" / "test_plain.py"] * exercise.function.__module__.startswith(
        "minirl.plain")
    return [str(path) for path in [*files, *plain, *sorted(set(sources)),
                                   ROOT / "tests" / "test_gradients.py"] if Path(path).exists()]


def break_the_book(name):
    """Run the tests on the book with a mistake in it, and say which one catches it."""
    exercise, mistake = mistake_called(name)
    if not (ROOT / "tests" / "test_gradients.py").is_file():
        raise ValueError("--break runs the tests of the book, which are not installed: use a clone "
                         "of the repository, or its source distribution")
    if find_spec("pytest") is None:
        raise ValueError("--break runs the tests of the book: install the extra 'test'")
    print(textwrap.fill(f"The mistake: {capital(mistake.says)}", 88))
    for function, old, new in mistake.edits:
        print(f"\n  {function.__module__}.{function.__name__}\n{_marked('-', old)}\n"
              f"{_marked('+', new)}")
    print("\nThe tests of its chapters:", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p",
         "minirl.exercises.breaking", "-p", "no:cacheprovider", *tests_of(exercise, mistake)],
        cwd=ROOT, env=os.environ | {VARIABLE: name, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace")
    caught = re.search(r"^FAILED (\S+)", done.stdout, flags=re.M)
    if done.returncode != 1 or caught is None:
        raise ValueError(f"no test has caught it (pytest ends with {done.returncode}): "
                         f"{done.stdout.strip()[-300:]}")
    print(f"  caught by {caught[1]}")
    for line in re.findall(r"^E   (.*)$", done.stdout, flags=re.M)[:4]:
        print(f"    {line[:96]}")


def _marked(mark, text):
    return "\n".join(f"  {mark} {line.strip()}" for line in text.split("\n"))
