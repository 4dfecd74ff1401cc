"""When is it luck?  The bounds of the tests that draw.

A test that is right fails at one seed in a million, or less.  Where it compares several numbers, or
a sample of skewed ones, 5.6 standard errors are the bound: a normal number is farther away with the
chance 2e-8, so that there is room for fifty comparisons.
"""

import numpy as np

FALSE_ALARM = 1e-6
ERRORS = 5.6


def assert_mean(exact, sample):
    """The mean of independent numbers lies within 5.6 standard errors of what it should be."""
    error = np.std(sample) / np.size(sample)**0.5
    assert abs(np.mean(sample) - exact) <= ERRORS * error + 1e-12


def assert_share(chance, hits):
    """As `assert_mean`, for independent events (N,) bool of a known chance."""
    error = (chance * (1 - chance) / np.size(hits))**0.5
    assert abs(np.mean(hits) - chance) <= ERRORS * error + 1e-12
