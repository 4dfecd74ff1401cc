"""What the tests share: one thread for linear algebra, a report of the gradient checks, and a few
long runs, which have the second core while the other tests have the first, unless pytest-xdist has
given tests to both."""

import gc
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import sharing

# Set before NumPy is imported: at the size of these matrices threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

collect_ignore = ["ten_things"]  # scripts, which test_ten_things runs where their files are

GRADIENTS, RUNS = pytest.StashKey(), pytest.StashKey()

LONG_RUNS = {  # by fixture and name: what Python is given, before the name of a file for results
    ("shared_out", "reinforce"): ["-m", "minirl", "policies", "--learner", "reinforce", "--seed",
                                  "3", "--runs", "2", "--iterations", "20", "--episodes", "8",
                                  "--horizon", "9", "--json"],
    ("full_run", "demo"): ["-m", "minirl", "--json"],
    ("full_alignment", "job"): ["-m", "minirl", "alignment", "--json"],
    ("grpo_at_rest", "expected_update"): ["tests/grpo_at_rest.py"],
    ("slippery_lake", "q_learning"): ["tests/slippery_lake.py"],
    **{("learned", world): ["-m", "minirl", "policies", "--learner", "ppo", "--runs", "1",
                            "--world", world, "--episodes", episodes, "--json"]
       for world, episodes in (("language", "512"), ("cliff", "512"), ("4x4", "512"),
                               ("8x8", "1024"))}}
ROOT = Path(__file__).parent.parent


def pytest_addoption(parser):
    parser.addoption("--seeds", type=int, default=1, metavar="N",
                     help="run each test marked `statistical` N times, with other random numbers")
    parser.addoption("--order", metavar="SEED", help="run the files in random order, and the tests "
                     "of each file; or all of them `backwards`")


def pytest_configure(config):
    gc.disable()  # until all modules and tests are there, which stay
    config.stash[GRADIENTS] = {}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as for all that a shell runs behind it;
        signal.signal(signal.SIGINT, signal.default_int_handler)  # our commands would ignore it too


def pytest_generate_tests(metafunc):
    seeds = metafunc.config.option.seeds
    marked = metafunc.definition.get_closest_marker("statistical")
    if seeds > 1 and (marked or "rng" in metafunc.fixturenames):
        metafunc.parametrize("other_seeds", range(seeds), indirect=True)


def pytest_itemcollected(item):
    """What wants numbers from `rng` is true of any."""
    if "rng" in getattr(item, "fixturenames", ()):
        item.add_marker("statistical")


@pytest.fixture(autouse=True)
def other_seeds(request):
    """Of N `--seeds` this is number 0, which changes nothing, or another one, which is put beside
    every seed of which a generator is made: in the test, and in what it calls."""
    number = getattr(request, "param", 0)
    if number:
        import numpy as np  # after the number of threads is set

        monkeypatch = request.getfixturevalue("monkeypatch")
        made = np.random.default_rng

        def shifted(seed=None):
            whole = isinstance(seed, (int, np.integer, list, tuple))
            return made([*np.atleast_1d(seed), number] if whole else seed)

        monkeypatch.setattr(np.random, "default_rng", shifted)


@pytest.fixture(scope="session", autouse=True)
def folder_of_the_workers(request, tmp_path_factory):
    if hasattr(request.config, "workerinput"):
        sharing.FOLDER = tmp_path_factory.getbasetemp().parent


@pytest.fixture
def report_gradient(request):
    """Call with a loss's name and its report, which must have passed; its errors are printed under
    `-m gradient`, the largest of each method."""
    def record(name, report):
        assert report
        rows, errors = request.config.stash[GRADIENTS], [row.error for row in report.comparisons]
        rows[name] = [max(pair) for pair in zip(rows.get(name, errors), errors)]
    return record


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[GRADIENTS]
    if rows and "gradient" in config.option.markexpr:
        terminalreporter.section("gradients: largest error / largest entry")
        terminalreporter.write_line(f"{'loss':44}  central differences  complex step")
        for name, (central, exact) in sorted(rows.items()):
            terminalreporter.write_line(f"{name:44}  {central:19.1e}  {exact:12.1e}")


class LongRuns:
    """The runs of LONG_RUNS that are wanted, one after another, beside the tests."""

    def __init__(self, wanted):
        self.folder, self.process = tempfile.TemporaryDirectory(), None
        self.queue = ThreadPoolExecutor(max_workers=1)
        self.futures = {key: self.queue.submit(self.run, key) for key in wanted}

    def run(self, key):
        path = Path(self.folder.name, "_".join(key) + ".json")
        self.process = begun(key, path)
        return outcome(self.process, path)

    def found(self, *key):
        return SimpleNamespace(**self.futures[key].result())

    def stop(self):
        self.queue.shutdown(wait=False, cancel_futures=True)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.queue.shutdown()
        self.folder.cleanup()


class RunsOfWorkers:
    """The same where pytest-xdist has tests for every core: the first of its workers that waits for
    a run makes it."""

    def found(self, *key):
        name = "_".join(key)
        path = sharing.FOLDER / f"{name}.json"
        return SimpleNamespace(**sharing.once(name, lambda: outcome(begun(key, path), path)))


def begun(key, path):
    """The process of a long run, whose results go to a file."""
    return subprocess.Popen(
        [sys.executable, *LONG_RUNS[key], str(path)], cwd=ROOT,
        env=os.environ | {"PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8")


def outcome(process, path):
    """What a long run has printed and written, after its end."""
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return {"stdout": stdout, "stderr": stderr,
            "json": json.loads(path.read_text(encoding="utf-8"))}


def pytest_collection_modifyitems(items, config):
    """What waits for the longest runs comes last, unless an order is asked for."""
    order = config.option.order
    if order is not None:
        if order == "backwards":
            items.reverse()
        else:
            random = Random(int(order))
            place = {path: random.random() for path in sorted({item.path for item in items})}
            items.sort(key=lambda item: (place[item.path], random.random()))
        return
    waited_for = {name for name, _ in LONG_RUNS} - {"full_run"}
    items.sort(key=lambda item: not waited_for.isdisjoint(getattr(item, "fixturenames", ())))


def pytest_collection_finish(session):
    """Start the long runs that some test wants to know the results of."""
    gc.freeze()  # to look through them again takes half a second
    gc.enable()
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted = [key for key in LONG_RUNS if key[0] in fixtures]
    is_worker = hasattr(session.config, "workerinput")
    if wanted and not is_worker and not session.config.option.collectonly:
        session.config.stash[RUNS] = LongRuns(wanted)


def pytest_sessionfinish(session):
    """Stop them, if the tests end before they do."""
    runs = session.config.stash.get(RUNS, None)
    if runs is not None:
        runs.stop()


@pytest.fixture(scope="session")
def long_runs(request):
    """Long runs: `found(fixture, name)` waits for one and says what it has found."""
    if hasattr(request.config, "workerinput"):
        return RunsOfWorkers()
    return request.config.stash[RUNS]


@pytest.fixture(scope="session")
def full_run(long_runs):
    """The job `demo` after its end: `stdout`, `stderr` and `json`."""
    return long_runs.found("full_run", "demo")


@pytest.fixture(scope="session")
def full_alignment(long_runs):
    """The job `alignment` after its end: `stdout`, `stderr` and `json`."""
    return long_runs.found("full_alignment", "job")


@pytest.fixture(scope="session")
def grpo_at_rest(long_runs):
    """What `grpo_at_rest.py` has found: `share` and `update`."""
    return long_runs.found("grpo_at_rest", "expected_update").json


@pytest.fixture(scope="session")
def slippery_lake(long_runs):
    """What `slippery_lake.py` has found: `steps` and `errors`."""
    return long_runs.found("slippery_lake", "q_learning").json


@pytest.fixture(scope="session")
def learned(long_runs):
    """One run of PPO with its defaults on four worlds: the JSON of each, by the world's name."""
    return {world: long_runs.found(fixture, world).json for fixture, world in LONG_RUNS
            if fixture == "learned"}


@pytest.fixture(scope="session")
def shared_out(long_runs):
    """Two runs of REINFORCE with the seed 3, shared out among processes: their JSON."""
    return long_runs.found("shared_out", "reinforce").json


@pytest.fixture
def command(capsys, monkeypatch, request):
    """Run the command line here, the `PROGRAM` of the test's module, or else minirl, with its
    `JOB`: (exit status, stdout, stderr).  Standard input holds the bytes `stdin`."""
    program = getattr(request.module, "PROGRAM", "minirl")
    command_line = importlib.import_module(f"{program}.__main__")
    job = [request.module.JOB] if hasattr(request.module, "JOB") else []

    def run(*arguments, stdin=b"", **options):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = command_line.main([*job, *arguments], **options)
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()
    return run


@pytest.fixture
def rng():
    import numpy as np  # after the number of threads is set

    return np.random.default_rng(1)


@pytest.fixture(params=["dense", "sparse"])
def route(request, monkeypatch):
    """Runs a test twice: through the dense solve and through sparse LU."""
    monkeypatch.setattr("minirl.exact.solving.DENSE", {"dense": 1000, "sparse": 0}[request.param])


@pytest.fixture(params=["dense", "sparse", "sweeps"])
def any_route(request, monkeypatch):
    """Runs a test three times, the third time by at most 500 sweeps."""
    settings = {"dense": {"DENSE": 1000}, "sparse": {"DENSE": 0},
                "sweeps": {"LARGE": 0, "FILLED": -1, "SWEEPS": 500}}
    for name, value in settings[request.param].items():
        monkeypatch.setattr(f"minirl.exact.solving.{name}", value)
