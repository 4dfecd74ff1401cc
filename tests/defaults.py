"""What jobs find with their defaults, from seed 0, and the lines of their progress: computed once
for all files of tests that look at it."""

from functools import cache

from minirl.lab.collecting import measure_harvest
from minirl.lab.contrasts import measure_contrasts
from minirl.lab.laws import measure_laws
from sharing import once


@cache
def contrasts():
    """Of the job `contrastive`."""
    lines = []
    return once("contrasts", lambda: (measure_contrasts(lines.append), lines))


@cache
def harvest():
    """Of the job `harvest`."""
    lines = []
    return once("harvest", lambda: (measure_harvest(0, lines.append), lines))


@cache
def scaling():
    """Of the job `scaling`, which has no progress."""
    return once("scaling", lambda: (measure_laws(), []))
