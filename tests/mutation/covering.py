"""Which tests run which lines of the packages, and how many seconds of a processor each takes.

    `python -m pytest -p mutation.covering --covering OUT`

What a fixture of a module or of the session runs counts for each test that uses it, and so does
what a function with a cache runs, of the packages or of the tests.  Tests that wait for the long
runs of `conftest.py`, which are other processes, are left out, and so are those that fail or are
skipped.  Of the slow ones only those are asked that draw a picture of the book.
"""

import contextlib
import functools
import gc
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


ALL = ["-m", "slow or not slow"]
SLOW = "test_a_file_is_small_and_the_one_that_the_pages_show"


def takes_too_long(item):
    """Whether a test is slow, or waits for another process that runs for long."""
    return (not LONG.isdisjoint(getattr(item, "fixturenames", ()))
            or item.get_closest_marker("slow") is not None and item.originalname != SLOW)


class _Covering:
    """The plugin: one context for each test, and one for each wide fixture."""

    def __init__(self, out):
        self.out, self.seconds, self.fixtures, self.bad = out, {}, {}, set()
        self.contexts, self.uses = [], {}  # those that run now; which others each has asked for
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(ROOT / name) for name in PACKAGES])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        items[:] = [item for item in items if not takes_too_long(item)]

    def pytest_collection_finish(self, session):
        gc.unfreeze()  # `conftest.py` has hidden all objects from what looks for them
        ours = tuple(str(ROOT / name) for name in (*PACKAGES, "tests"))
        caches = {thing for module in list(sys.modules.values())
                  if (getattr(module, "__file__", None) or "").startswith(ours)
                  for thing in vars(module).values()
                  if isinstance(thing, functools._lru_cache_wrapper)}
        for cache in caches:
            remembering = _Remembering(self, cache)
            for names in gc.get_referrers(cache):  # modules, and tables of functions
                if isinstance(names, dict) and names is not vars(remembering):
                    names.update({name: remembering for name, thing in names.items()
                                  if thing is cache})
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        before = sum(os.times()[:4])
        with self.inside(item.nodeid):
            found = yield
        self.seconds[item.nodeid] = sum(os.times()[:4]) - before
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        with self.inside(f"fixture {id(fixturedef)}"):
            return (yield)

    @contextlib.contextmanager
    def inside(self, context):
        """What runs now belongs to a context, which all that are running ask for."""
        for other in self.contexts:
            self.uses.setdefault(other, set()).add(context)
        self.contexts.append(context)
        self.coverage.switch_context(context)
        try:
            yield
        finally:
            self.contexts.pop()
            self.coverage.switch_context(self.contexts[-1] if self.contexts else "")

    def pytest_runtest_setup(self, item):
        wide = [definition for definitions in item._fixtureinfo.name2fixturedefs.values()
                for definition in definitions if definition.scope != "function"]
        self.fixtures[item.nodeid] = [f"fixture {id(definition)}" for definition in wide]

    def asked_for(self, nodeid):
        """The contexts of a test: its own, and those that it asked for, and so on."""
        found, new = set(), {nodeid, *self.fixtures.get(nodeid, ())}
        while new:
            found |= new
            new = set().union(*(self.uses.get(name, ()) for name in new)) - found
        return found

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
                own = set().union(*(lines.get(name, ()) for name in self.asked_for(nodeid)))
                by_file = {}
                for file, line in own:
                    by_file.setdefault(str(Path(file).relative_to(ROOT)), set()).add(line)
                tests[nodeid] = (seconds, by_file)
        Path(self.out).write_bytes(pickle.dumps(tests))


class _Remembering:
    """A function with a cache, in a context of its own for each of its calls."""

    def __init__(self, covering, function):
        self.covering, self.function = covering, function
        functools.update_wrapper(self, function)

    def __call__(self, *args, **keywords):
        with self.covering.inside(f"{self.function.__module__}.{self.function.__qualname__}"
                                  f"{args}{keywords}"):
            return self.function(*args, **keywords)

    def cache_clear(self):
        """As of the function."""
        self.function.cache_clear()


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
                          if not path.name.startswith("test_") and "mutation" not in path.parts),
                        Path(__file__)]):
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
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ALL, "-p",
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
