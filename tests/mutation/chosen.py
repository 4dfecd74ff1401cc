"""A plugin of pytest: only the tests that the file MUTATION_TESTS lists, in its order."""

import os
import sys
from pathlib import Path


def pytest_configure():
    """The hook comes before pytest's own, which reads from their source the files it is given."""
    sys.meta_path.sort(key=lambda finder: getattr(finder, "__module__", "") != "sitecustomize")


def pytest_collection_modifyitems(items):
    """Those that are there; what a mutant has renamed is left out."""
    order = {name: place for place, name in enumerate(
        Path(os.environ["MUTATION_TESTS"]).read_text(encoding="utf-8").split("\n"))}
    items[:] = sorted((item for item in items if item.nodeid in order),
                      key=lambda item: order[item.nodeid])
