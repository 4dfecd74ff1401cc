"""The law of an episode's return against lists of all episodes, by its two ways."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import product
from string import ascii_lowercase

import numpy as np
import pytest
from languages import running_example
from worlds import episodes, random_mdp, random_policy, single_outcome, with_rewards

from minirl.exact import return_law
from minirl.exact.evaluation import expectation
from minirl.exact.return_law import integer_law, reward_law
from minirl.kernel.mdp import coin_game, unroll
from minirl.people.best_of_n import best_of_n
from toy_lm.ngram import language
from toy_lm.rewards import alternating
from toy_lm.vocabulary import from_items

COIN = np.array([[0.5, 0.5]])


def levels_of(strings_rewards, chances):
    """The law of the reward as a dictionary, from a list of strings."""
    law = defaultdict(float)
    for reward, chance in zip(strings_rewards, chances):
        law[round(float(reward), 9)] += chance
    return law


def assert_one_law(first, second, atol=1e-13):
    for level in set(first) | set(second):
        assert first.get(level, 0) == pytest.approx(second.get(level, 0), abs=atol, rel=0), level


def as_levels(law):
    return levels_of(law.rewards, law.prob)


@pytest.mark.parametrize("p", [0.5, 0.75])
def test_the_heads_of_a_coin_and_its_throws_by_hand(p):
    """(return_law.1) to (return_law.3): k heads and a tail are k + 1 throws"""
    policy, k = np.array([[p, 1 - p]]), np.arange(12)
    law = reward_law(coin_game(), policy, also=np.ones((1, 1, 2)))
    for found in integer_law(coin_game(), policy), law:
        np.testing.assert_allclose(found.prob[:12], (1 - p) * p**k, rtol=1e-13)
        assert found.rewards @ found.prob == pytest.approx(p / (1 - p), rel=1e-12)
    np.testing.assert_allclose(law.means[0, :12], k + 1, rtol=1e-13)


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("values", [[0, 1, 2, 3], [0, -1, -2, -3], [0, 2], [-3, -1], [1, 3], [2]])
def test_both_laws_are_those_of_a_list_of_all_episodes(values, K):
    """(return_law.1) and (return_law.2), undiscounted; with several outcomes, and ends that pay"""
    rng = np.random.default_rng(1)
    mdp = with_rewards(unroll(random_mdp(rng, 2, 2, K, 0.9), 3), values)
    policy = random_policy(rng, mdp)
    listed = list(episodes(mdp, 3))
    chances = [chance * np.prod([policy[pair] for pair in pairs]) for chance, pairs, _, _ in listed]
    expected = levels_of([sum(paid) for _, _, paid, _ in listed], chances)
    assert sum(expected.values()) == pytest.approx(1)
    for law in integer_law(mdp, policy), reward_law(mdp, policy):
        assert_one_law(as_levels(law), expected)
        assert (np.diff(law.rewards) > 0).all()
        assert 0 <= law.tail < 1e-14


@pytest.mark.parametrize("values", [[0, 1], [0, -1], [0, 1, 3], [-3, -2, 0], [1, 2]])
@pytest.mark.parametrize("K", [1, 2])
def test_the_two_laws_agree_where_episodes_have_no_longest(values, K):
    """(return_law.1) needs no limit of length, and (return_law.2) states what it leaves out"""
    rng = np.random.default_rng(4)
    mdp = with_rewards(random_mdp(rng, 3, 3, K, 0.9), values)
    policy = random_policy(rng, mdp)
    summed, played = integer_law(mdp, policy), reward_law(mdp, policy)
    assert_one_law(as_levels(summed), as_levels(played), atol=1e-14)
    mean = expectation(replace(mdp, gamma=1.0), policy, mdp.mean_reward)
    assert summed.prob @ summed.rewards == pytest.approx(mean, abs=1e-12)


def test_a_world_that_never_pays_has_one_level(monkeypatch):
    monkeypatch.setattr(return_law, "LEVELS", 10)
    mdp = single_outcome([[0, 0]], [[0, 0]], [[False, True]], [1.0])
    for law in integer_law(mdp, COIN), reward_law(mdp, COIN):
        assert law.rewards.tolist() == [0] and law.prob == pytest.approx([1])
        assert best_of_n(law, 5)[1:3] == pytest.approx((0, 0))


def test_the_tail_is_the_mass_that_was_still_playing_and_is_in_no_level():
    for tol, steps in (0.3, 2), (0.26, 2), (0.25, 2), (0.24, 3), (1e-3, 10):
        law = reward_law(coin_game(), COIN, tol=tol)
        np.testing.assert_allclose(law.prob, 0.5 ** np.arange(1, steps + 1), atol=1e-15)
        assert law.tail == pytest.approx(0.5**steps, abs=1e-15)
    assert 0 < reward_law(coin_game(), COIN).tail <= 1e-15


def test_levels_that_are_given_up_are_in_the_tail(monkeypatch):
    """The first level with a chance of a tenth or less is the last, after one, two, three heads."""
    monkeypatch.setattr(return_law, "NOTHING", 0.1)
    law = integer_law(coin_game(), COIN)
    assert law.prob.tolist() == [1 / 2, 1 / 4, 1 / 8, 1 / 16] and law.tail == 1 / 16


@pytest.mark.parametrize("tenths", [(1, 2, 3), (0, 1, 2, 3)])
def test_sums_of_floats_that_differ_by_rounding_are_one_level(tenths):
    """0.1 + 0.2 + 0.3 and 0.3 + 0.3 are not the same float; also where a string earns nothing."""
    A = len(tenths)
    mdp = single_outcome(np.repeat([1, 2, 3, 3], A).reshape(4, A), [[x / 10 for x in tenths]] * 4,
                         [[False] * A] * 3 + [[True] * A], [1, 0, 0, 0])
    law = reward_law(mdp, np.full((4, A), 1 / A))
    ways = Counter(sum(paid) for paid in product(tenths, repeat=4))
    np.testing.assert_allclose(law.rewards, np.array(sorted(ways)) / 10, atol=1e-12)
    np.testing.assert_allclose(law.prob, [ways[x] / A**4 for x in sorted(ways)], atol=1e-15)


def test_where_every_first_step_ends_nobody_is_left_to_play():
    mdp = single_outcome([[0, 0]], [[1, 2]], [[True, True]], [1.0])
    law = reward_law(mdp, np.array([[0.25, 0.75]]))
    assert (law.rewards.tolist(), law.prob.tolist(), law.tail) == ([1, 2], [0.25, 0.75], 0)


def test_what_a_policy_never_earns_is_no_reward_of_its_law():
    """The third action pays half a point and is never taken."""
    mdp = single_outcome([[0, 0, 0]], [[1, 0, 0.5]], [[False, True, True]], [1.0])
    law = integer_law(mdp, np.array([[0.5, 0.5, 0.0]]))
    assert_one_law(as_levels(law), as_levels(integer_law(coin_game(), COIN)))


def test_too_many_levels_are_refused(monkeypatch):
    monkeypatch.setattr(return_law, "LEVELS", 20)
    monkeypatch.setattr(return_law, "WORK", 1000)
    with pytest.raises(ValueError, match="the reward has more than 20 levels"):
        integer_law(coin_game(), COIN)
    with pytest.raises(ValueError, match="rewards must be below 20, got 20: use reward_law"):
        integer_law(with_rewards(coin_game(), [0, 20]), COIN)
    mdp = with_rewards(random_mdp(np.random.default_rng(5), 3, 3, 2, 0.9), [0, 1, -0.3])
    with pytest.raises(ValueError, match=r"too many levels: .* have 2 values besides 0, and "
                                         r"\d\.\de-\d\d of the episodes are longer than \d+ steps"):
        reward_law(mdp, np.full((3, 3), 1 / 3))


@pytest.mark.parametrize("values", [[0, 1, 2], [0, -1, 2], [0.1, -0.2, 0.35], [3]])
@pytest.mark.parametrize("K", [1, 2])
def test_the_means_of_other_sums_are_those_of_a_list_of_all_episodes(values, K):
    """(return_law.3), level by level, and for the best of n over its levels"""
    rng = np.random.default_rng(21)
    mdp = with_rewards(unroll(random_mdp(rng, 2, 2, K, 0.9), 3), values)
    policy, also = random_policy(rng, mdp), rng.normal(size=(3, *mdp.shape))
    law = reward_law(mdp, policy, also=also)
    chance, total = defaultdict(float), defaultdict(lambda: np.zeros(3))
    for world, pairs, paid, _ in episodes(mdp, 3):
        level, prob = round(sum(paid), 9), world * np.prod([policy[pair] for pair in pairs])
        chance[level] += prob
        total[level] += prob * sum(also[:, s, a] for s, a in pairs)
    levels = sorted(level for level in chance if chance[level] > 0)
    assert law.rewards == pytest.approx(levels, abs=1e-12) and law.means.shape == (3, len(levels))
    assert law.prob == pytest.approx([chance[level] for level in levels], abs=1e-14)
    expected = np.array([total[level] / chance[level] for level in levels]).T
    np.testing.assert_allclose(law.means, expected, atol=1e-12)
    plain = reward_law(mdp, policy)
    np.testing.assert_allclose(law.prob, plain.prob, atol=1e-15)
    for n in 1, 3, 64:
        best = best_of_n(law, n)
        np.testing.assert_allclose(best.means, expected @ best.prob, atol=1e-12)
        assert best[:5][1:] == pytest.approx(best_of_n(plain, n)[1:5], abs=1e-14)
    np.testing.assert_allclose(best_of_n(law, 1).means, [
        expectation(replace(mdp, gamma=1.0), policy, table) for table in also], atol=1e-12)


def test_a_policy_that_does_not_reach_every_state_carries_only_what_it_meets():
    """(return_law.3): a table is for all states, in their own order"""
    mdp = single_outcome([[2, 0], [1, 1], [2, 0]], [[1, 0], [5, 5], [2, 0]],
                         [[False, True], [True, True], [True, True]], [1.0, 0.0, 0.0])
    also = np.array([[[10.0, 20], [np.pi, np.pi], [30, 40]]])
    law = reward_law(mdp, np.full((3, 2), 0.5), also=also)
    assert law.rewards.tolist() == [0, 1, 3]
    np.testing.assert_allclose(law.prob, [0.5, 0.25, 0.25], atol=1e-15)
    np.testing.assert_allclose(law.means, [[20, 50, 40]], atol=1e-13)


def test_nothing_is_carried_along_unless_it_is_asked_for():
    for law in (reward_law(coin_game(), COIN, tol=0.1), integer_law(coin_game(), COIN)):
        assert law.means.shape == (0, law.prob.size) and best_of_n(law, 3).means.shape == (0,)


def test_the_two_laws_agree_on_the_words():
    policy = np.exp(running_example().reference)
    world = language(alternating(from_items([ascii_lowercase])))
    summed, played = integer_law(world, policy), reward_law(world, policy)
    assert_one_law(as_levels(summed), as_levels(played), atol=2e-15)


def test_two_strings_of_the_running_example_earn_the_same_if_they_are_as_long_and_as_hard():
    """After the first letter t − 1 pairs may be alike or not: t levels at time t."""
    example = running_example()
    levels = reward_law(example.world, np.exp(example.reference)).rewards
    longest = np.round(levels.max() / 0.139)
    assert levels.size == 1 + longest * (longest + 1) / 2


def test_a_state_that_is_not_reached_need_not_end():
    policy = np.log([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]] + np.full((3, 3), 1e-320))
    world = language(np.array([[0.0, 1, 1]] * 3))
    law = integer_law(world, np.round(np.exp(policy), 12))
    np.testing.assert_allclose(law.prob[:5], 0.5**np.arange(1, 6), atol=1e-12)
