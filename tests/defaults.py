"""What jobs find with their defaults, from seed 0, and the lines of their progress: computed once
for all files of tests that look at it."""

from functools import cache

from minirl.lab.collecting import measure_harvest
from minirl.lab.contrasts import measure_contrasts
from minirl.lab.laws import measure_laws


@cache
def contrasts():
    """Of the job `contrastive`."""
    lines = []
    return measure_contrasts(lines.append), lines


@cache
def harvest():
    """Of the job `harvest`."""
    lines = []
    return measure_harvest(0, lines.append), lines


@cache
def scaling():
    """Of the job `scaling`, which has no progress."""
    return measure_laws(), []
