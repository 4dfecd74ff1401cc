"""The doubt about a value by the sum of a series, and gains that it hides.  What solvers make of
them is tested in test_planning."""

import numpy as np
import pytest

from minirl.exact.evaluation import advantages, evaluate
from minirl.exact.gains import doubts, gains, gains_from_zero
from minirl.kernel.mdp import TabularMDP
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


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_two_actions_that_differ_in_the_order_of_many_outcomes_are_equal(gamma):
    """One outcome in two leads to a 2, and a thousand lead to next to nothing: their sum in one
    order is off by some hundred roundings, which is no gain."""
    S = 1002
    order = np.r_[1, 2:S]
    world = TabularMDP(
        next_state=np.stack([np.stack([order, order[::-1]]), *np.zeros((S - 1, 2, S - 1), int)]),
        prob=np.stack([np.stack([weights := np.r_[0.5, np.full(S - 2, 0.5 / (S - 2))],
                                 weights[::-1]]), *np.eye(S - 1)[np.zeros((S - 1, 2), int)]]),
        reward=np.stack([np.zeros((2, S - 1)), *np.r_[2.0, np.full(S - 2, 2e-13)][:, None, None]
                         * np.ones((1, 2, S - 1))]),
        terminated=np.arange(S)[:, None, None] * np.ones((1, 2, S - 1)) > 0,
        start=np.eye(S)[0], gamma=gamma)
    for policy in np.eye(2):
        values, gain, doubt = gains(world, np.tile(policy, (S, 1)), np.full(S, True))
        assert gain[0].max() == 0 and 1e-14 < doubt[0].max() < 1e-12
