"""When is it luck?  The bounds of the tests that draw.

A test that is right fails at one seed in a million, or less.  Where it compares several numbers, or
a sample of skewed ones, 5.6 standard errors are the bound: a normal number is farther away with the
chance 2e-8, so that there is room for fifty comparisons.
"""

import numpy as np
from scipy.special import bdtr, bdtrc

FALSE_ALARM = 1e-6
ERRORS, ONE_SIDE = 5.6, 1e-8


def assert_mean(exact, sample):
    """The mean of independent numbers lies within 5.6 standard errors of what it should be."""
    error = np.std(sample) / np.size(sample)**0.5
    assert abs(np.mean(sample) - exact) <= ERRORS * error + 1e-12


def assert_share(chance, hits):
    """As rare as 5.6 standard errors are as few or as many of N independent events (N,) bool of a
    known chance, by the binomial law: also where hardly any is expected."""
    number, N, chance = np.count_nonzero(hits), np.size(hits), min(chance, 1.0)
    assert bdtr(number, N, chance) > ONE_SIDE
    assert number == 0 or bdtrc(number - 1, N, chance) > ONE_SIDE
