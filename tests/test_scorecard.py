"""The scorecard: scores by enumeration and by hand, and the two kinds of share."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import (deterministic_policies, episodes, island, random_mdp, random_policy,
                    small_world)

from gridworld.maps import cliff_walk, teleports
from minirl.exact.evaluation import NoEnd, evaluate
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import ENDLESS, objective, referee, share_of_optimum
from minirl.kernel.mdp import coin_game
from minirl.people.regularised import referee_near


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def listed(mdp, policy, ref, horizon):
    """Discounted reward, discounted KL and length, by all episodes of a world with a clock."""
    sums = np.zeros(3)
    for chance, pairs, paid, _ in episodes(mdp, horizon):
        chance *= np.prod([policy[pair] for pair in pairs])
        discounts = mdp.gamma ** np.arange(len(pairs))
        nats = [np.log(policy[pair] / ref[pair]) for pair in pairs]
        sums += chance * np.array([discounts @ paid, discounts @ nats, len(pairs)])
    return sums


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_a_score_is_what_all_episodes_say_on_average(rng, gamma):
    mdp = small_world(gamma)
    policy, ref = random_policy(rng, mdp), random_policy(rng, mdp)
    reward, kl, length = listed(mdp, policy, ref, 2)
    score = referee(mdp)(policy)
    assert (score.reward, score.kl) == (score.objective, None)
    assert (score.reward, score.length) == pytest.approx((reward, length), rel=1e-12)
    near = referee_near(mdp, np.log(ref), beta=0.3)(policy)
    assert near[:3] == pytest.approx((reward, kl, reward - 0.3 * kl), rel=1e-12)
    assert near.length == pytest.approx(length, rel=1e-12)


def test_the_gap_and_the_share_of_a_world_that_pays(rng):
    """(scorecard.1), with J* of both signs and zero"""
    world = random_mdp(rng, 4, 3, 2, 0.9)
    for mdp in (replace(world, reward=world.reward + 2), replace(world, reward=world.reward - 2)):
        best = max(mdp.start @ evaluate(mdp, policy) for policy in deterministic_policies(mdp))
        policy = random_policy(rng, mdp)
        score = referee(mdp)(policy)
        assert score.gap == pytest.approx(best - mdp.start @ evaluate(mdp, policy), rel=1e-12)
        assert score.share == pytest.approx(1 - score.gap / abs(best), rel=1e-12)
        exact = referee(mdp)(policy_iteration(mdp).policy)
        assert (exact.gap, exact.share) == (0, 1)
    assert [share_of_optimum(*given) for given in ((1, 4), (-5, -4), (0, 0))] == [0.25, 0.75, None]
    nothing = referee(replace(world, reward=-world.terminated.astype(float) * 0))
    assert nothing(policy)[2:5] == (0, None, 0)


def test_a_policy_may_be_a_list_of_lists(rng):
    """And an array of integers, or of bits."""
    mdp = random_mdp(rng, 3, 2, 2, 0.9)
    for policy in ([[0.5, 0.5], [0.25, 0.75], [1, 0]], np.eye(2, dtype=int)[[0, 1, 1]].tolist(),
                   np.eye(2, dtype=int)[[0, 1, 1]], np.eye(2, dtype=bool)[[1, 1, 0]]):
        for judge in (lambda policy: objective(mdp, policy), referee(mdp),
                      referee_near(mdp, np.zeros(mdp.shape), beta=0.7)):
            assert judge(policy) == judge(np.array(policy, dtype=float))


def test_the_share_of_what_is_worse_than_twice_the_optimum_is_negative():
    """(scorecard.1): a walk that goes 26 steps, and 28, where 13 are enough."""
    mdp = cliff_walk().mdp(gamma=1.0)
    judge, best = referee(mdp), policy_iteration(mdp).policy
    for extra, share in (13, 0.0), (14, -1 / 13):  # at the start, against the wall
        policy = best.copy()
        policy[36] *= 1 / (1 + extra)
        policy[36, 3] += extra / (1 + extra)
        assert judge(policy).share == pytest.approx(share, abs=1e-12)
        assert judge(policy).length == pytest.approx(13 + extra)


def test_the_fair_coin_by_hand():
    """The figures of the chapter: the best coin is worth 1 + 0.9 + 0.81 + … = 10"""
    score = referee(coin_game(gamma=0.9))(np.array([[0.5, 0.5]]))
    assert score.objective == pytest.approx(0.5 / (1 - 0.45), rel=1e-12)
    assert score.gap == pytest.approx(10 - 0.5 / (1 - 0.45), rel=1e-12)
    assert (round(score.objective, 4), round(score.gap, 4)) == (0.9091, 9.0909)
    assert (score.share, score.length) == pytest.approx((score.objective / 10, 2), rel=1e-12)


def test_more_pay_for_every_step_of_an_endless_world_changes_shares_and_no_gap():
    """(scorecard.1) has a zero: the share of a random walk goes from 0.0266 to 0.8584"""
    world = teleports().mdp(gamma=0.9)
    scores = [referee(replace(world, reward=world.reward + more))(world.uniform)
              for more in (0, 10)]
    assert [round(score.share, 4) for score in scores] == [0.0266, 0.8584]
    assert scores[0].gap == pytest.approx(scores[1].gap, rel=1e-9)
    assert scores[1].objective - scores[0].objective == pytest.approx(10 / (1 - 0.9), rel=1e-12)


def test_two_scores_by_hand():
    """The shortest way along the cliff is 13 steps of −1; a walk that stays is endless at gamma 1,
    and at 0.9 is worth −10."""
    grid = cliff_walk()
    assert referee(grid.mdp(gamma=1.0))(policy_iteration(grid.mdp(gamma=1.0)).policy) == (
        -13, None, -13, 1, 0, 13)
    stay = np.tile(np.eye(4)[0], (grid.mdp(gamma=1.0).shape[0], 1))  # left, against the wall
    assert referee(grid.mdp(gamma=1.0))(stay) == ENDLESS
    score = referee(grid.mdp(gamma=0.9))(stay)
    assert score.objective == pytest.approx(-10) and score.length is None


def test_what_does_not_end_has_no_score_at_gamma_one_and_no_length_below():
    forever = np.array([[1.0, 0.0]])
    assert referee_near(coin_game(), np.zeros((1, 2)), beta=2.0)(forever) == ENDLESS == (None,) * 6
    assert referee(coin_game(gamma=0.5))(forever) == (2, None, 2, 1, 0, None)
    near = referee_near(coin_game(gamma=0.9), np.zeros((1, 2)), beta=2.0)(forever)
    assert near[:2] == pytest.approx((10, 10 * np.log(2))) and near.length is None


def test_the_objective_where_states_that_nobody_reaches_have_no_value():
    mdp = island()
    policy = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0, 1]])
    assert np.isnan(mdp.start @ evaluate(mdp, policy))
    assert objective(mdp, policy) == pytest.approx((-0.5 + 0.5 + 0.75 + 0.25 * 7) / 0.5)
    score = referee_near(mdp, np.zeros(mdp.shape), beta=9.0)(policy)
    assert score.reward == pytest.approx(objective(mdp, policy))
    with pytest.raises(NoEnd, match="from state 0 this policy never ends"):
        objective(mdp, np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 1]]))
