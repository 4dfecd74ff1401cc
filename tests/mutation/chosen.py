"""A plugin of pytest: only the tests that the file MUTATION_TESTS lists, in its order."""

import os
from pathlib import Path


def pytest_collection_modifyitems(items):
    """Those that are there; what a mutant has renamed is left out."""
    order = {name: place for place, name in enumerate(
        Path(os.environ["MUTATION_TESTS"]).read_text(encoding="utf-8").split("\n"))}
    items[:] = sorted((item for item in items if item.nodeid in order),
                      key=lambda item: order[item.nodeid])
