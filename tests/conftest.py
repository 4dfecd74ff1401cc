"""What the tests share: one thread for linear algebra, and a report of the gradient checks."""

import os

import pytest

# Set before NumPy is imported: at the size of these matrices threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

GRADIENTS = pytest.StashKey()


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
