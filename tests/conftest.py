"""What the tests share: one thread for linear algebra, a report of the gradient checks, and one run
of the main job, which has the second core while the other tests have the first."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

# Set before NumPy is imported: at the size of these matrices threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

GRADIENTS, MAIN_JOB = pytest.StashKey(), pytest.StashKey()


def pytest_configure(config):
    config.stash[GRADIENTS] = []


@pytest.fixture
def report_gradient(request):
    """Call with a loss's name and its two errors, to be printed under `-m gradient`."""
    return lambda name, errors: request.config.stash[GRADIENTS].append((name, *errors))


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[GRADIENTS]
    if rows and "gradient" in config.option.markexpr:
        terminalreporter.section("gradients: largest error / largest entry")
        terminalreporter.write_line(f"{'loss':44}  central differences  complex step")
        for name, central, exact in sorted(rows):
            terminalreporter.write_line(f"{name:44}  {central:19.1e}  {exact:12.1e}")


def pytest_collection_finish(session):
    """Start `python -m minirl --json FILE`, if some test wants to know its results."""
    if session.config.option.collectonly or not any(
            "full_run" in getattr(item, "fixturenames", ()) for item in session.items):
        return
    folder = tempfile.TemporaryDirectory()
    process = subprocess.Popen(
        [sys.executable, "-m", "minirl", "--json", os.path.join(folder.name, "out.json")],
        cwd=Path(__file__).parent.parent, env=os.environ | {"PYTHONUTF8": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    session.config.stash[MAIN_JOB] = process, folder


def pytest_sessionfinish(session):
    """Stop it, if the tests end before it does."""
    process, folder = session.config.stash.get(MAIN_JOB, (None, None))
    if process is None:
        return
    if process.poll() is None:
        process.kill()
        process.communicate()
    folder.cleanup()


@pytest.fixture(scope="session")
def full_run(request):
    """The main job after its end: `stdout`, `stderr`, and `json`, what is in the file."""
    process, folder = request.config.stash[MAIN_JOB]
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    found = Path(folder.name, "out.json").read_text(encoding="utf-8")
    return SimpleNamespace(stdout=stdout, stderr=stderr, json=json.loads(found))
