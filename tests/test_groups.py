"""Groups: advantages and weights against loops over strings, and the tables of a weighted batch."""

import numpy as np
import pytest
from batches import S, random_batch, random_world
from worlds import random_policy

from minirl.kernel import counts, playing
from minirl.people.groups import (equal_groups, group_centred, group_leave_one_out,
                                  group_normalised, per_length, per_step, per_string,
                                  process_normalised, weighted)

PER_STRING = [group_normalised, group_centred, group_leave_one_out]
ADVANTAGES = [*PER_STRING, process_normalised]


def judged_by_loops(advantage, strings, K):
    """The advantage of each step of each string, as lists; `strings` are lists of rewards."""
    found = []
    for i, own in enumerate(strings):
        first = i - i % K
        rewards = strings[first:first + K]
        if advantage is process_normalised:
            numbers = [r for string in rewards for r in string]
        else:
            numbers = [sum(string) for string in rewards]
        mean = sum(numbers) / len(numbers)
        std = (sum((x - mean)**2 for x in numbers) / len(numbers))**0.5
        if advantage is process_normalised:
            found.append([sum((r - mean) / (std + 1e-4) for r in own[t:])
                          for t in range(len(own))])
            continue
        if advantage is group_leave_one_out:
            mean = (sum(numbers) - sum(own)) / (K - 1)
        scale = std + 1e-4 if advantage is group_normalised else 1.0
        found.append([(sum(own) - mean) / scale] * len(own))
    return found


def as_lists(values, batch):
    """What the steps of each string have."""
    return [part.tolist() for part in np.split(values, batch.starts[1:-1])]


def of_steps(judged, batch):
    """An advantage per step, where there may be one per string."""
    return judged if judged.size == batch.states.size else batch.spread(judged)


def rewarded(rows):
    """Strings that are rewarded step by step as these rows say (T, B), and equally long."""
    rows = np.array(rows)
    T, B = rows.shape
    earned, ended = rows.T.ravel(), np.tile(np.arange(T) == T - 1, B)
    zeros = np.zeros(T * B, int)
    return earned, playing.Rollout(zeros, zeros, earned, ended, np.arange(B + 1) * T,
                                   np.zeros(B, int), np.zeros(B, bool))


def played(seed, K=4, episodes=24):
    """A batch of strings of unequal lengths, some of them cut, and rewards for it."""
    mdp, rng = random_world(seed), np.random.default_rng(seed)
    batch = playing.rollout(mdp, random_policy(rng, mdp),
                            np.repeat(rng.integers(S, size=episodes // K), K), horizon=3, rng=rng)
    assert batch.truncated.any() and len(set(batch.lengths)) > 2
    return batch, rng.normal(size=batch.states.shape)


# The advantages.


@pytest.mark.parametrize("advantage", ADVANTAGES)
@pytest.mark.parametrize("K", [2, 3, 4, 12])
def test_advantages_equal_the_loops_over_the_group(advantage, K):
    """(groups.1), (groups.2), (groups.3), (groups.4): groups are neighbours, the std is that of the
    population of the group (pitfall 28), and 1e-4 is added to it."""
    for seed in (0, 2):
        batch, earned = played(seed, K=K)
        found = advantage(earned, batch, K)
        assert found.shape == ((24,) if advantage in PER_STRING else earned.shape)
        for ours, loops in zip(as_lists(of_steps(found, batch), batch),
                               judged_by_loops(advantage, as_lists(earned, batch), K), strict=True):
            assert ours == pytest.approx(loops, rel=0, abs=1e-12)


@pytest.mark.parametrize("rewards", [[0.1 + 0.2, 0.3], [3e8 * (0.1 + 0.2), 3e8 * 0.3, 9e7],
                                     [1e9 + 2e-7, 1e9], [-7.3] * 3, [0.0] * 4, [1e-9] * 3])
def test_equal_strings_have_an_advantage_of_exactly_zero(rewards):
    """Pitfall 28: also where equal rewards differ by rounding, which the std would blow up."""
    (earned, batch), K = rewarded([rewards + list(range(len(rewards)))]), len(rewards)
    for advantage in ADVANTAGES:
        found = advantage(earned, batch, K)
        assert (found[:K] == 0).all() and found[K:].any(), advantage
    assert equal_groups(earned, batch, K).tolist() == [True, False]


@pytest.mark.parametrize("earned, equal", [
    ([[0.1, 0.0], [0.2, 0.0], [-0.3, 0.0]], [True]),  # 0.1 + 0.2 − 0.3 is 5.6e-17 and not 0
    ([[1.0, 0.0], [0.0, 1.0]], [True]),  # paid early or late
    *(([[size, size * (1 + 1e-10), size, size]], [False, True]) for size in (1e-8, 1.0, 1e8))])
def test_strings_are_equal_if_their_sums_are_but_for_rounding(earned, equal):
    """Relative to what is added up; small differences are differences."""
    earned, batch = rewarded(earned)
    assert equal_groups(earned, batch, 2).tolist() == equal
    for advantage in PER_STRING:
        found = advantage(earned, batch, 2)
        assert (found.reshape(-1, 2)[equal] == 0).all() and (found[:2] != 0).all() != equal[0]
    if not equal[0]:
        found = group_centred(earned, batch, 2)[1]
        assert found == pytest.approx(0.5e-10 * earned[0], rel=1e-4)


@pytest.mark.parametrize("sizes", [4, [3, 5, 1, 3]])
def test_without_a_batch_the_rewards_are_those_of_strings(sizes):
    """Bit for bit those of strings of one step; rewards may be answers, small integers or lists."""
    rng = np.random.default_rng(1)
    for rewards in (rng.normal(size=12), rng.random(12) < 0.5, rng.integers(2, size=12) == 0,
                    rng.integers(200, size=12).astype(np.uint8), [0.1, 0.3] * 6):
        steps, batch = rewarded([np.array(rewards, float)])
        for judge in (*PER_STRING, equal_groups):
            found = judge(rewards, None, sizes)
            np.testing.assert_array_equal(found, judge(steps, batch, sizes))


@pytest.mark.parametrize("sizes", [[3, 1, 4, 2], [1, 1, 8], [2, 2, 3, 3], [10]])
def test_groups_of_any_size_are_judged_each_by_itself(sizes):
    """As masked strings leave them; a string that is alone has nothing to learn."""
    mdp, rng = random_world(3), np.random.default_rng(3)
    batch = playing.rollout(mdp, random_policy(rng, mdp), np.zeros(10, int), horizon=3, rng=rng)
    earned, sizes = rng.normal(size=batch.states.shape), np.array(sizes)
    for advantage in ADVANTAGES:
        found = of_steps(advantage(earned, batch, sizes), batch)
        for own in np.split(np.arange(10), sizes.cumsum()[:-1]):
            part, here = batch.select(own), np.isin(batch.episode, own)
            lonely = own.size == 1 and advantage is process_normalised  # its steps may differ
            expected = (of_steps(advantage(earned[here], part, own.size), part) if own.size > 1
                        else np.zeros(part.states.size))
            assert lonely or found[here] == pytest.approx(expected)
    assert equal_groups(earned, batch, sizes).tolist() == [size == 1 for size in sizes]


def test_the_numbers_of_the_chapter():
    """(groups.1), (groups.4), (groups.5): by hand, with ∓0.9998 and, for rewards that differ by
    0.01 only, ∓0.98; and a group of any size is equally loud."""
    R = np.array([0.0, 1.0, 1.0, 0.0])
    found = group_normalised(R, None, 4)
    assert found.round(4).tolist() == [-0.9998, 0.9998, 0.9998, -0.9998]
    assert group_normalised(0.01 * R, None, 4).round(2).tolist() == [-0.98, 0.98, 0.98, -0.98]
    for size in (2, 3, 17):
        judged = group_normalised(1e6 * np.random.default_rng(size).normal(size=size), None, size)
        assert (judged**2).mean() == pytest.approx(1, abs=1e-6)
    starts = np.cumsum([0, 2, 4, 4, 10])
    zeros = np.zeros(20, int)
    batch = playing.Rollout(zeros, zeros, np.zeros(20), np.isin(np.arange(20), starts[1:] - 1),
                            starts, np.zeros(4, int), np.zeros(4, bool))
    pushes = (per_string(batch) * np.sign(found), per_length(10)(batch) * group_centred(R, None, 4),
              per_step(batch) * np.sign(found))
    np.testing.assert_allclose(pushes[0], [-1 / 8, 1 / 16, 1 / 16, -1 / 40], rtol=1e-12)
    np.testing.assert_allclose(pushes[1], [-1 / 80, 1 / 80, 1 / 80, -1 / 80], rtol=1e-12)
    np.testing.assert_allclose(pushes[2], [-1 / 20, 1 / 20, 1 / 20, -1 / 20], rtol=1e-12)
    earned, batch = rewarded([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(process_normalised(earned, batch, 2), [0, -1, 0, 1], atol=1e-3)


# The tables.


@pytest.mark.parametrize("seed", range(3))
def test_one_advantage_a_string_is_the_same_on_each_of_its_steps(seed):
    """Bit for bit, with an empty string, and strings with no advantage."""
    steps, _, _, _ = random_batch(seed)
    rng = np.random.default_rng(seed)
    weights, judged = rng.random(9) + 0.1, rng.normal(size=9) * (rng.random(9) < 0.8)
    lengths = np.diff(steps.starts)
    for found, expected in zip(weighted(steps, judged, weights),
                               weighted(steps, np.repeat(judged, lengths), weights), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_as_many_advantages_as_strings_and_steps_are_one_a_step():
    """Two steps of the second of two strings."""
    steps = counts.steps(np.array([0, 1]), np.array([0, 0]), np.array([0, 0, 2]), (2, 1))
    batch = weighted(steps, np.array([1.0, -3.0]), np.array([9.0, 0.5]))
    assert batch.gains.tolist() == [[0.5], [0]] and batch.losses.tolist() == [[0], [-1.5]]


@pytest.mark.parametrize("huge", [1e9, 1e13, -1e15])
def test_a_huge_reward_in_another_group_makes_no_strings_equal(huge):
    """A spread is small beside the rewards of its own group."""
    earned, batch = rewarded([[1.0, 1.01, huge, 0.0]])
    for advantage in ADVANTAGES:
        alone = advantage(earned[:2], batch.select(np.arange(2)), 2)
        assert alone.all() and advantage(earned, batch, 2)[:2].tolist() == alone.tolist()
