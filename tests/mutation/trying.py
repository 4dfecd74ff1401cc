"""One mutant after another: which tests may kill it, and whether one does.

All tests are collected once.  A mutant inside a function is tried in a fork, where the code of
the function is exchanged for all who imported it, as `minirl.exercises.exercise.mistaken` does it.
What runs at the import of a module, a constant or a default, is tried in a fresh interpreter, into
which `hook/sitecustomize.py` brings the mutated module.  The same hook brings it into every
process that a test starts.  What survives in a fork is tried in a fresh interpreter too: a test may
have computed with the right code while it was collected, or a cache may remember it.
"""

import ast
import contextlib
import functools
import gc
import json
import marshal
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import pytest

from mutation.covering import ALL
from mutation.operators import PACKAGES, ROOT, apply

HOOK = Path(__file__).parent / "hook"
AGAIN = 3         # seconds of tests, as recorded, that a fresh interpreter runs for a survivor
PATIENCE = 15     # seconds besides, for a fixture that another test had paid for
FILES = 6         # of tests, that a fresh interpreter collects
MEMORY = 6 << 30  # bytes that a mutant may ask for


class Campaign:
    """A plugin of pytest that tries mutants in place of the tests' own run."""

    def __init__(self, pairs, tests, budget, workers, say):
        self.pairs, self.tests, self.budget, self.workers = pairs, tests, budget, workers
        self.generous = max(1, budget / 10)  # with all that is limited
        self.say, self.results, self.users, self.importers = say, [], _users(), _importers()
        self.looking = _looking()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.nodeid in self.tests]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.items = {item.nodeid: item for item in session.items}
        self.functions = {}
        gc.unfreeze()  # what `conftest.py` has frozen is not among the objects
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType):
                self.functions.setdefault(_key(thing.__code__), []).append(thing)
        self.caches = [thing for thing in gc.get_objects()
                       if isinstance(thing, functools._lru_cache_wrapper)]
        gc.collect()
        gc.freeze()
        running, waiting = {}, list(enumerate(self.pairs))[::-1]
        while running or waiting:
            while waiting and len(running) < self.workers:
                place, pair = waiting.pop()
                running |= self.begin(place, *pair)
            self.collect(*os.wait(), running)
        self.results.sort(key=lambda result: result.pop("place"))
        self.control()
        return True

    def begin(self, place, tree, mutant):
        """Start the trial of a mutant: {its process: what is known about it}."""
        chosen = self.covering(mutant)
        folder = Path(tempfile.mkdtemp(prefix="mutant"))
        process = os.fork()
        if not process:
            try:
                os.setpgid(0, 0)
                _quiet(folder)
                verdict = _Trial(self, mutant, tree, folder).verdict(chosen)
                (folder / "verdict").write_text(json.dumps(verdict))
            finally:
                os._exit(0)
        return {process: (place, mutant, chosen, folder, time.monotonic())}

    def collect(self, process, status, running):
        """Note what a trial has found."""
        place, mutant, chosen, folder, began = running.pop(process)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
        verdict = folder / "verdict"
        if verdict.exists():
            status, killer = json.loads(verdict.read_text())
        elif os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
            status, killer = "timed out", (folder / "running").read_text()
        elif os.WIFSIGNALED(status):
            status, killer = "killed", f"signal {os.WTERMSIG(status)}"
        else:
            status, killer = "error", (folder / "output").read_text()[-2000:]
        shutil.rmtree(folder, ignore_errors=True)
        self.results.append(dict(
            place=place, name=mutant.name, module=mutant.module, loss=mutant.loss,
            status=status, killer=killer, tests=len(chosen), lines=mutant.lines,
            seconds=round(time.monotonic() - began, 2)))
        self.say(f"{len(self.results):5} {status:9} {self.results[-1]['seconds']:6.1f} s  "
                 f"{mutant.name}")

    def covering(self, mutant):
        """Tests that run the lines of a mutant, those first that may kill it soonest."""
        file = mutant.module.replace(".", "/") + ".py"
        own = (f"tests/test_{Path(file).stem}.py", file)
        places = ([(file, *mutant.lines)] if mutant.zone != "module" else
                  [place for name in mutant.names for place in self.users.get(name, ())])
        wanted = {}
        for other, first, last in places:
            wanted.setdefault(other, set()).update(range(first, last + 1))
        times = {}
        found = [nodeid for nodeid in self.items if any(
            not lines.isdisjoint(self.tests[nodeid][1].get(other, ()))
            for other, lines in wanted.items())]
        # What no test runs may have run at import, for all tests that import it.
        found = found or [nodeid for nodeid in self.items if nodeid.split("::")[0] in
                          self.importers.get(mutant.module, ())]
        if mutant.zone != "body":
            found = dict.fromkeys([*found, *(
                nodeid for nodeid in self.items if nodeid.split("::")[0] in self.looking)])
        found = sorted((self.tests[nodeid][0], nodeid) for nodeid in found)
        ranked = []
        for seconds, nodeid in found:
            function = nodeid.split("[")[0]
            times[function] = times.get(function, 0) + 1
            near = 1 if nodeid.startswith(own) else 3
            if mutant.zone != "body" and nodeid.split("::")[0] in self.looking:
                near = 0.001
            ranked.append(((seconds + 0.005) * times[function] * near, nodeid))
        return self.within(self.budget, [nodeid for _, nodeid in sorted(ranked)])

    def within(self, seconds, nodeids):
        """As many of the tests as take so long."""
        chosen = []
        for nodeid in nodeids:
            if self.tests[nodeid][0] <= seconds:
                seconds -= self.tests[nodeid][0]
                chosen.append(nodeid)
        return chosen

    def control(self):
        """Every test that has killed in a fork passes in a fork without a mutant, or is named."""
        killers = sorted({result["killer"] for result in self.results
                          if result["killer"] in self.items})
        folder = Path(tempfile.mkdtemp(prefix="mutant"))
        process = os.fork()
        if not process:
            try:
                _quiet(folder)
                failing = [nodeid for nodeid in killers if _run([self.items[nodeid]])]
                (folder / "verdict").write_text(json.dumps(failing))
            finally:
                os._exit(0)
        os.waitpid(process, 0)
        verdict = folder / "verdict"
        self.failing = (json.loads(verdict.read_text()) if verdict.exists()
                        else ["nobody knows: the control has died"])
        shutil.rmtree(folder, ignore_errors=True)


class _Trial:
    """What a fork does with a mutant."""

    def __init__(self, campaign, mutant, tree, folder):
        self.campaign, self.mutant, self.folder = campaign, mutant, folder
        file = ROOT / (mutant.module.replace(".", "/") + ".py")
        self.original = compile(tree, str(file), "exec")
        apply(mutant.edit)
        self.code = compile(ast.fix_missing_locations(tree), str(file), "exec")
        (folder / "code").write_bytes(marshal.dumps(
            (mutant.module.removesuffix(".__init__"), self.code)))

    def verdict(self, chosen):
        """(status, the test that has failed)"""
        if not chosen:
            return "uncovered", ""
        os.environ["MUTANT"] = str(self.folder / "code")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HOOK), str(ROOT), str(ROOT / "tests")])
        file = self.mutant.module.replace(".", "/") + ".py"
        here = set(range(self.mutant.lines[0], self.mutant.lines[1] + 1))
        run = not here.isdisjoint(self.campaign.tests[chosen[0]][1].get(file, ()))
        if self.mutant.zone == "body" and run and self.exchanged():
            for cache in self.campaign.caches:
                cache.cache_clear()
            patience = PATIENCE * self.campaign.generous
            limits = {nodeid: 10 * self.campaign.tests[nodeid][0] + patience for nodeid in chosen}
            killer = _run([self.campaign.items[nodeid] for nodeid in chosen], limits, self.folder)
            if killer:
                return "killed", killer
            chosen = self.campaign.within(AGAIN * self.campaign.generous, chosen)
        return self.fresh(chosen)

    def exchanged(self):
        """Give the functions that are changed their new code, if it is clear which they are."""
        originals, changed = {}, []
        for code in _codes(self.original):
            originals.setdefault(_key(code), []).append(code)
        for code in _codes(self.code):
            same_place = originals.get(_key(code), ())
            if code not in same_place:
                for function in self.campaign.functions.get(_key(code), ()):
                    if len(same_place) != 1 or (
                            len(function.__code__.co_freevars) != len(code.co_freevars)):
                        return False
                    changed.append((function, code))
        for function, code in changed:
            function.__code__ = code
        return bool(changed)

    def fresh(self, chosen):
        """The verdict of tests in an interpreter of their own."""
        names = self.folder / "tests"
        names.write_text("\n".join(chosen), encoding="utf-8")
        files = list(dict.fromkeys(nodeid.split("::")[0] for nodeid in chosen))
        files = files[:int(FILES * self.campaign.generous)]
        seconds = int(20 * self.campaign.generous
                      + 10 * sum(self.campaign.tests[nodeid][0] for nodeid in chosen))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *ALL,
             "-p", "mutation.chosen", *files], cwd=ROOT, capture_output=True, encoding="utf-8",
            env=os.environ | {"MUTATION_TESTS": str(names)},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)))
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "timed out", "in a fresh interpreter"
        if done.returncode in (0, 5):
            return "survived", ""
        lines = [line for line in done.stdout.split("\n") if line.startswith(("FAILED", "ERROR"))]
        if done.returncode in (1, 2, 4) and lines or done.returncode < 0:
            return "killed", "fresh: " + "".join(lines[:1])[:200]
        return ("killed" if "conftest" in done.stderr else "error",
                (done.stdout + done.stderr)[-900:])


def _key(code):
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes(code):
    """A code object and all inside it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _users():
    """{name: (file, first line, last line) of the functions that say it}"""
    found = {}
    for path in [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                place = str(path.relative_to(ROOT)), node.body[0].lineno, node.end_lineno
                for part in ast.walk(node):
                    name = getattr(part, "id", getattr(part, "attr", None))
                    found.setdefault(name, set()).add(place)
    return found


def _importers():
    """{module: the files of tests that name it, or the package it is in}"""
    texts = {f"tests/{path.name}": path.read_text(encoding="utf-8")
             for path in (ROOT / "tests").glob("test_*.py")}
    found = {}
    for path in [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        package, _, name = module.rpartition(".")
        says = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import .*\b{name}\b"
                          + rf"|from {re.escape(package)} import" * package.count("."))
        found[module] = {file for file, text in texts.items() if says.search(text)}
    return found


def _looking():
    """The files of tests that look at constants and defaults without running what has them."""
    texts = {path.stem: path.read_text(encoding="utf-8")
             for path in (ROOT / "tests").glob("*.py")}
    looking = {stem for stem, text in texts.items() if re.search(r"\bvars\(module", text)}
    used = {stem: set(re.findall(r"^(?:from|import) (?!test_)(\w+)", text, re.MULTILINE))
            for stem, text in texts.items()}
    return {f"tests/{stem}.py" for stem in texts
            if stem.startswith("test_") and (stem in looking or looking & used[stem])}


def _quiet(folder):
    """Print into a file; bound the memory."""
    out = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


class _Failed:
    """A plugin that remembers whether a test has failed."""

    failed = False

    def pytest_runtest_logreport(self, report):
        self.failed = self.failed or report.failed


def _run(items, limits=None, folder=None):
    """The first of the tests that fails, or None; too slow a one ends this process."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    config, watch = items[0].config, _Failed()
    config.pluginmanager.register(watch)
    config._tmp_path_factory._basetemp = Path(tempfile.mkdtemp(dir=folder))
    for place, item in enumerate(items):
        if limits:
            (folder / "running").write_text(item.nodeid)
            signal.setitimer(signal.ITIMER_PROF, limits[item.nodeid])
        following = items[place + 1] if place + 1 < len(items) else None
        try:
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException:
            watch.failed = True
        if watch.failed:
            signal.setitimer(signal.ITIMER_PROF, 0)
            config.pluginmanager.unregister(watch)
            return item.nodeid
    signal.setitimer(signal.ITIMER_PROF, 0)
    config.pluginmanager.unregister(watch)
    return None
