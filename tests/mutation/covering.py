"""Which tests run which lines of the packages, and how many seconds of a processor each takes.

    `python -m pytest -p mutation.covering --covering OUT`

What a fixture of a module or of the session runs counts for each test that uses it.  Tests that
wait for the long runs of `conftest.py`, which are other processes, are left out, and so are those
that fail or are skipped.
"""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

from mutation.operators import PACKAGES, ROOT

LONG = {"full_run", "full_alignment", "grpo_at_rest", "slippery_lake", "learned", "shared_out"}


def needs_long_runs(item):
    """Whether a test waits for another process that runs for long."""
    return not LONG.isdisjoint(getattr(item, "fixturenames", ()))


class _Covering:
    """The plugin: one context for each test, and one for each wide fixture."""

    def __init__(self, out):
        self.out, self.context, self.seconds, self.fixtures, self.bad = out, "", {}, {}, set()
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(ROOT / name) for name in PACKAGES])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        items[:] = [item for item in items if not needs_long_runs(item)]

    def pytest_collection_finish(self, session):
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        self.switch(item.nodeid)
        before = sum(os.times()[:4])
        found = yield
        self.seconds[item.nodeid] = sum(os.times()[:4]) - before
        self.switch("")
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        test, name = self.context, f"fixture {id(fixturedef)}"
        self.switch(name)
        found = yield
        self.switch(test)
        return found

    def switch(self, name):
        self.context = name
        self.coverage.switch_context(name)

    def pytest_runtest_setup(self, item):
        wide = [definition for definitions in item._fixtureinfo.name2fixturedefs.values()
                for definition in definitions if definition.scope != "function"]
        self.fixtures[item.nodeid] = [f"fixture {id(definition)}" for definition in wide]

    def pytest_runtest_logreport(self, report):
        if report.outcome != "passed":
            self.bad.add(report.nodeid)

    def pytest_sessionfinish(self, session):
        self.coverage.stop()
        lines, data = {}, self.coverage.get_data()
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    lines.setdefault(context, set()).add((file, line))
        tests = {}
        for nodeid, seconds in self.seconds.items():
            if nodeid not in self.bad:
                own = lines.get(nodeid, set()).union(
                    *(lines.get(name, ()) for name in self.fixtures.get(nodeid, ())))
                by_file = {}
                for file, line in own:
                    by_file.setdefault(str(Path(file).relative_to(ROOT)), set()).add(line)
                tests[nodeid] = (seconds, by_file)
        Path(self.out).write_bytes(pickle.dumps(tests))


def pytest_addoption(parser):
    """The file for what is found."""
    parser.addoption("--covering")


def pytest_configure(config):
    """Begin."""
    config.pluginmanager.register(_Covering(config.getoption("--covering")))


def recorded(files, folder, say=print):
    """{test: (seconds, {file of the packages: lines})} of all test files.

    A file of tests is run again when it has changed, and all are when the packages have, or what
    the tests share.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shared = hashlib.sha256()
    for path in sorted([*(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")),
                        *(path for path in (ROOT / "tests").rglob("*.py")
                          if not path.name.startswith("test_") and "mutation" not in path.parts)]):
        shared.update(path.read_bytes())
    places = {}
    for file in files:
        own = shared.copy()
        if file.startswith("tests"):
            own.update((ROOT / file).read_bytes())
        places[file] = folder / f"{file.replace('/', '.')}-{own.hexdigest()[:16]}.pickle"
    missing = [file for file, place in places.items() if not place.exists()]
    if missing:
        say(f"recording which lines {len(missing)} files of tests run")
        halves = [half for half in (missing[::2], missing[1::2]) if half]
        outs = [folder / f"half{place}.pickle" for place in range(len(halves))]
        runs = [subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p",
             "mutation.covering", "--covering", str(out), *half],
            cwd=ROOT, stdout=open(out.with_suffix(".log"), "w"), stderr=subprocess.STDOUT)
                for half, out in zip(halves, outs)]
        for run in runs:
            run.wait()
        tests = {}
        for out in outs:
            tests |= pickle.loads(out.read_bytes())
        for file in missing:
            here = {nodeid: found for nodeid, found in tests.items()
                    if nodeid.split("::")[0] == file or nodeid.startswith(file + "/")}
            places[file].write_bytes(pickle.dumps(here))
    found = {}
    for place in places.values():
        found |= pickle.loads(place.read_bytes())
    return found
