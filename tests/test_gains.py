"""The doubt about a value by the sum of a series, and gains that it hides.  What solvers make of
them is tested in test_planning."""

import numpy as np
import pytest

from minirl.exact.evaluation import advantages, evaluate
from minirl.exact.gains import doubts, gains, gains_from_zero
from worlds import random_mdp, random_policy, single_outcome


def test_the_doubt_about_a_value_grows_with_what_it_is_summed_from():
    """(gains.1), by the sum of a geometric series"""
    mdp = single_outcome([[0]], [[-3.0]], [[False]], [1], 0.5)
    doubt = doubts(mdp, np.ones((1, 1)), np.array([-6.0]))
    assert doubt[0, 0] == pytest.approx(2.0**-52 * (3 + 0.5 * 6) / (1 - 0.5), rel=1e-12)


def test_a_gain_is_the_advantage_and_none_where_a_policy_is_sure(rng):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    everywhere = np.full(4, True)
    for policy in random_policy(rng, mdp), np.eye(3)[[0, 2, 1, 1]]:
        values, gain, doubt = gains(mdp, policy, everywhere)
        np.testing.assert_allclose(values, evaluate(mdp, policy), rtol=1e-13)
        np.testing.assert_allclose(gain, advantages(mdp, values), atol=1e-13)
        assert (gain[policy == 1] == 0).all() and 0 < doubt.min() < doubt.max() < 1e-12


@pytest.mark.parametrize("more, hidden", [(0.1, False), (1e-6, True)])
def test_counted_from_the_median_a_gain_beside_a_large_value_is_seen(more, hidden):
    """(gains.2)"""
    mdp = single_outcome([[0, 0]], [[1e9, 1e9 + more]], [[False, False]], [1], 0.9)
    policy, here = np.array([[1.0, 0.0]]), np.array([True])
    _, rough, doubt = gains_from_zero(mdp, policy, here)
    _, fine, less = gains(mdp, policy, here)
    assert (rough[0, 1] == 0) == hidden and less.max() < doubt.max() / 1000
    assert fine[0, 1] == pytest.approx(more, rel=0.1) and fine[0, 0] == 0
    assert doubts(mdp, policy, np.array([1e10]))[0] == pytest.approx(2.2e-05, rel=0.01)
