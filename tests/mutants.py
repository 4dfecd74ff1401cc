"""The book with each famous mistake of an exercise in turn, and the first test that fails:
`python tests/mutants.py dpo` prints a JSON {mistake: test, or null where none has failed}.

All runs are in this process, so that the modules are loaded once.
"""

import contextlib
import io
import json
import sys

import pytest

from minirl.exercises import exercise_called
from minirl.exercises.breaking import tests_of
from minirl.exercises.exercise import mistaken


class FirstFailure:
    """A plugin of pytest that keeps the name of the first test that fails."""

    name = None

    def pytest_runtest_logreport(self, report):
        if report.failed and self.name is None:
            self.name = report.nodeid

    def pytest_collectreport(self, report):
        self.pytest_runtest_logreport(report)


def killers(exercise):
    """{name of a mistake: the test that catches it, or None}."""
    found = {}
    for mistake in exercise.mistakes:
        first = FirstFailure()
        with mistaken(mistake), contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests_of(exercise, mistake)],
                        plugins=[first])
        found[mistake.name] = first.name
    return found


if __name__ == "__main__":
    print(json.dumps({name: killers(exercise_called(name)) for name in sys.argv[1:]}, indent=1))
