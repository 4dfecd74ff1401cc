"""What a batch says about another policy: tables, distances and dead gradients against loops."""

from itertools import product

import numpy as np
import pytest
from batches import A, S, random_batch, ratios
from worlds import random_mdp

from gridworld.maps import cliff_walk
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.exact.planning import policy_gradient
from minirl.kernel import counts
from minirl.kernel.gradcheck import check
from minirl.kernel.mdp import coin_game
from minirl.kernel.softmax import LogPolicy, backward, entropy_loss, log_softmax
from minirl.lab.estimators import surrogate_line
from minirl.people.grpo import grpo_loss
from minirl.people.kl import k3_loss, kl_loss
from minirl.play.ppo import ppo_loss
from minirl.play.ppo_kl import ppo_kl_loss
from minirl.play.surrogate import (Advantages, approximate_kl, clip_fraction, clipped, collapse,
                                   mean_kl, minibatches)

PARTS = np.array([2, 0, 1, 2, 2, 0, 1, 2, 0])


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_of_a_step_counts_in_all_three_tables(seed):
    """(surrogate.1), gains and losses of the same entry apart"""
    steps, advantages, _, _ = random_batch(seed)
    weights = np.random.default_rng(seed).random(60) + 0.1
    plain = [np.bincount(steps.index, each, S * A).reshape(S, A) for each in (
        weights * np.maximum(advantages, 0), weights * np.minimum(advantages, 0), weights)]
    assert_equal(collapse(steps, advantages, weights), (*plain[:2], plain[2].sum(), plain[2]))
    counted = collapse(steps, advantages, counted=True)
    assert_equal(counted, collapse(steps, advantages, np.ones(60)))
    assert_equal(counted[:3], collapse(steps, advantages)[:3])
    assert collapse(steps, advantages).counts is collapse(steps, advantages).shares is None
    np.testing.assert_array_equal(counted.shares, counted.counts.sum(axis=1) / 60)


def assert_equal(found, expected):
    """Bit for bit, field by field."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_tables_too_large_for_32_bits_are_refused():
    """Pitfall 47: gains and losses lie side by side, and a key that wrapped would be negative."""
    states, starts = np.zeros(2, int), np.array([0, 1, 2])
    for shape, parts, size in (((2**15, 2**15), [0, 0], 2**30), ((2**15, 2**14), [0, 1], 2**29)):
        steps = counts.steps(states, states, starts, shape)
        with pytest.raises(ValueError, match=f"32 bits, got {max(parts) + 1} parts of {size} en"):
            next(minibatches(steps, np.ones(2), [np.array(parts)]))
    with pytest.raises(ValueError, match=f"32 bits, got 1 parts of {2**30} entries"):
        collapse(counts.steps(states, states, starts, (2**15, 2**15)), np.ones(2))


def selected(steps, advantages, rows):
    """The steps and advantages of some episodes, laid out anew: what `minibatches` avoids."""
    return counts.select(steps, rows), np.concatenate(
        [advantages[steps.starts[row]:steps.starts[row + 1]] for row in rows])


@pytest.mark.parametrize("seed", range(3))
def test_a_minibatch_is_the_collapse_of_its_episodes(seed):
    steps, advantages, _, _ = random_batch(seed)
    batches = list(minibatches(steps, advantages, [PARTS], counted=True))
    for counted, plain in zip(batches, minibatches(steps, advantages, [PARTS]), strict=True):
        assert_equal(plain[:3], counted[:3])
        assert plain.counts is None and counted.number == counted.counts.sum()
    assert [batch.number for batch in batches] == [0 + 2 + 2, 1 + 15, 7 + 12 + 13 + 8]
    for part, batch in enumerate(batches):
        some, theirs = selected(steps, advantages, np.flatnonzero(PARTS == part))
        gains, losses, number = np.zeros((3, S * A))
        for n, advantage in zip(some.index, theirs):
            gains[n] += max(advantage, 0)
            losses[n] += min(advantage, 0)
            number[n] += 1
        gains, losses, number = (x.reshape(S, A) for x in (gains, losses, number))
        for plain in (Advantages(gains, losses, number.sum(), number),
                      collapse(some, theirs, counted=True)):
            for found, expected in zip(batch, plain):
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_parts_may_be_numbered_in_few_bits():
    """Pitfall 47: thirty parts of a table of twelve pairs need more than eight bits."""
    steps = counts.steps(np.repeat(np.arange(4), 10), np.arange(40) % 3, np.arange(41), (4, 3))
    advantages = np.random.default_rng(0).normal(size=40)
    parts = np.arange(40) % 30
    for small, plain in zip(minibatches(steps, advantages, [parts.astype(np.uint8)]),
                            minibatches(steps, advantages, [parts]), strict=True):
        assert_equal(small, plain)


def test_epochs_follow_each_other_and_are_drawn_only_when_they_begin():
    """What is made once for all of them does not wander from one to the next."""
    steps, advantages, _, _ = random_batch(4)
    epochs = [PARTS, np.arange(9) % 2, np.zeros(9, int), PARTS[::-1]]
    drawn = iter(epochs)
    batches = minibatches(steps, advantages, drawn)
    for parts in epochs[:3]:
        for alone in minibatches(steps, advantages, [parts]):
            assert_equal(next(batches), alone)
    assert next(drawn) is epochs[3] and next(batches, None) is None


ASKED = {  # of three policies
    "ppo": lambda x, old, ref, batch, steps: ppo_loss(x, old, batch),
    "ppo_kl": lambda x, old, ref, batch, steps: ppo_kl_loss(x, old, batch, kl_coef=0.7),
    "grpo": lambda x, old, ref, batch, steps: grpo_loss(x, old, batch, ref_logits=ref, beta=0.3),
    "kl": lambda x, old, ref, batch, steps: kl_loss(x, ref, batch.visits),
    "k3": lambda x, old, ref, batch, steps: k3_loss(x, ref, batch.counts),
    "entropy": lambda x, old, ref, batch, steps: entropy_loss(x, batch.shares),
    "mean": lambda x, old, ref, batch, steps: (mean_kl(x, old, batch.visits),),
    "approximate": lambda x, old, ref, batch, steps: (approximate_kl(x, old, batch.counts),),
    "clipped": lambda x, old, ref, batch, steps: (
        clip_fraction(x, old, steps, np.ones(60), clip_range=0.05),)}


@pytest.mark.parametrize("name", ASKED)
def test_a_policy_whose_table_is_known_stands_for_its_logits(name):
    """Bit for bit, in each of three places."""
    steps, advantages, *_ = random_batch(6)
    batch = collapse(steps, advantages, counted=True)
    tables = np.random.default_rng(6).normal(size=(3, S, A))
    expected = ASKED[name](*tables, batch, steps)
    known = [LogPolicy(log_softmax(table)) for table in tables]
    for given in product(*zip(tables, known)):
        assert_equal(ASKED[name](*given, batch, steps), expected)


def advantages_of(mdp, policy):
    """The table A of a policy, by the solves."""
    V = evaluate(mdp, policy)
    return action_values(mdp, V) - V[:, None]


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_two_policies_differ_by_the_old_advantages_at_the_new_visits(gamma):
    """(surrogate.4); and with the visits frozen (surrogate.5) has the value and the gradient of J
    at the old policy, and another value elsewhere."""
    rng = np.random.default_rng(8)
    mdp = random_mdp(rng, S, A, 2, gamma)
    old_logits, logits = rng.normal(size=(2, S, A))
    old, new = (np.exp(log_softmax(x)) for x in (old_logits, logits))
    judged, J = advantages_of(mdp, old), policy_gradient(mdp, old_logits)[0]
    gain = policy_gradient(mdp, logits)[0] - J
    assert (occupancy(mdp, new)[:, None] * new * judged).sum() == pytest.approx(gain, abs=1e-12)

    def surrogate(x):
        rho = np.exp(log_softmax(x)) / old
        value = (occupancy(mdp, old)[:, None] * old * rho * judged).sum()
        return value, backward(log_softmax(x), occupancy(mdp, old)[:, None] * old * rho * judged)

    value, slope = surrogate(old_logits)
    assert value == pytest.approx(0, abs=1e-12) and check(surrogate, logits).passed
    np.testing.assert_allclose(slope, policy_gradient(mdp, old_logits)[1], atol=1e-12)
    assert gamma == 0 or abs(surrogate(logits)[0] - gain) > 1e-3


def test_a_coin_outdoes_what_its_surrogate_promises():
    """(surrogate.4) and (surrogate.5), the numbers of the chapter: 2 and 1."""
    game, fair, bent = coin_game(), np.array([[0.5, 0.5]]), np.array([[0.75, 0.25]])
    assert advantages_of(game, fair).tolist() == [[1, -1]]
    assert (occupancy(game, fair)[0], occupancy(game, bent)[0]) == pytest.approx((2, 4))
    truth, promise = ((occupancy(game, who)[0] * bent * [1, -1]).sum() for who in (bent, fair))
    assert (truth, promise) == pytest.approx((2, 1))
    assert evaluate(game, bent)[0] - evaluate(game, fair)[0] == pytest.approx(2)


def test_on_the_cliff_the_surrogate_promises_what_no_policy_earns():
    """The table of the chapter."""
    cliff = cliff_walk().mdp(gamma=0.99)
    expected = [(0, 0, -1072, -1072), (0.5, 0.007, -725, -641), (1, 0.028, -530, -257),
                (2, 0.102, -358, 367), (4, 0.339, -255, 1219)]
    found = surrogate_line(cliff, np.zeros(cliff.shape), [x for x, *_ in expected])
    for point, (x, nats, J, promised) in zip(found, expected, strict=True):
        assert (point.step, round(point.kl, 3)) == (x, nats)
        assert (round(point.objective), round(point.surrogate)) == (J, promised)
    assert cliff.mean_reward.max() == 0


def test_the_mean_kl_is_the_mean_over_the_steps_of_that_of_their_states():
    """(surrogate.2), by loops"""
    rng = np.random.default_rng(11)
    logits, old, visits = rng.normal(size=(S, A)), rng.normal(size=(S, A)), np.array([5, 0, 1, 2.0])
    p, q = np.exp(log_softmax(old)), np.exp(log_softmax(logits))
    direct = sum(visits[s] / 8 * p[s, a] * np.log(p[s, a] / q[s, a]) for s, a in np.ndindex(S, A))
    assert mean_kl(logits, old, visits) == pytest.approx(direct, abs=1e-12)
    assert type(mean_kl(logits, old, visits)) is float
    assert abs(mean_kl(old, logits, visits) - direct) > 0.01
    assert mean_kl(old + rng.normal(size=(S, 1)), old, visits) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_the_approximate_kl_is_right_on_average(seed):
    """(surrogate.3), step by step; `mean_kl` if each action was taken as often as expected"""
    rng = np.random.default_rng(seed)
    logits, old, visits = rng.normal(size=(S, A)), rng.normal(size=(S, A)), np.array([5, 0, 1, 2.0])
    steps, _, _, _ = random_batch(seed)
    ratio = ratios(logits, old)
    direct = np.mean([ratio[n] - 1 - np.log(ratio[n]) for n in steps.index])
    assert approximate_kl(logits, old, counts.table(steps)) == pytest.approx(direct, abs=1e-12)
    expected = visits[:, None] * np.exp(log_softmax(old))
    assert approximate_kl(logits, old, expected) == pytest.approx(mean_kl(logits, old, visits),
                                                                  abs=1e-12)


def test_the_approximate_kl_is_off_where_the_policy_was_trained_on_the_batch():
    """(surrogate.3): a fair coin that threw one head, and has been moved to 0.6"""
    old, new = np.log([[0.5, 0.5]]), np.log([[0.6, 0.4]])
    assert ratios(new, old)[0] == pytest.approx(1.2)
    assert approximate_kl(new, old, np.array([[1.0, 0]])) == pytest.approx(0.0177, abs=5e-5)
    assert mean_kl(new, old, np.ones(1)) == pytest.approx(0.0204, abs=5e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 30.0])
def test_the_approximate_kl_of_no_pair_is_negative(scale):
    """(surrogate.3): ρ − 1 is never below log ρ, and rounding must not make it so."""
    rng = np.random.default_rng(12)
    old = rng.normal(size=(S, A))
    logits = old + scale * rng.normal(size=(S, A))
    for pair in np.eye(S * A).reshape(-1, S, A):
        assert approximate_kl(logits, old, pair) >= 0
        assert approximate_kl(old, old, pair) == 0


def test_clipped_steps_are_those_of_two_quadrants():
    """Pitfalls 31 and 34: a good action above 1 + ε, a bad one below 1 − ε; the bounds themselves
    are alive, and where the advantage is zero there is nothing to clip."""
    table = {(0.7, 1.0): False, (1.0, 1.0): False, (1.3, 1.0): True,
             (0.7, -1.0): True, (1.0, -1.0): False, (1.3, -1.0): False,
             (0.7, 0.0): False, (1.0, 0.0): False, (1.3, 0.0): False,
             (0.0, -9.0): True, (700.0, 1e-9): True, (0.0, 9.0): False, (700.0, -9.0): False}
    ratio, advantages = np.array(list(table)).T
    assert clipped(ratio, advantages).tolist() == list(table.values())
    assert clipped(ratio, advantages, clip_range=0.2).tolist() == list(table.values())
    assert clipped(ratio, 1e-6 * advantages).tolist() == list(table.values())
    wide = [(r == 700 and a > 0) for r, a in table]  # no ratio is below 1 − 1.5
    assert clipped(ratio, advantages, clip_range=1.5).tolist() == wide
    bounds, next_to_them = np.array([1.25, 0.75]), np.array([np.nextafter(1.25, 2),
                                                             np.nextafter(0.75, 0)])
    assert clipped(bounds, np.array([1.0, -1.0]), clip_range=0.25).tolist() == [False, False]
    assert clipped(next_to_them, np.array([1.0, -1.0]), clip_range=0.25).tolist() == [True, True]


def test_the_clip_fraction_counts_dead_gradients_only():
    """Pitfall 34, as a loop: a step outside the interval that is being pulled back is alive."""
    steps, advantages, logits, old = random_batch(10)
    ratio = ratios(logits, old)
    for epsilon in (0.2, 0.05):
        dead = sum((some > 0 and ratio[n] > 1 + epsilon) or (some < 0 and ratio[n] < 1 - epsilon)
                   for n, some in zip(steps.index, advantages))
        outside = sum(abs(ratio[n] - 1) > epsilon for n in steps.index)
        assert clip_fraction(logits, old, steps, advantages,
                             clip_range=epsilon) == pytest.approx(dead / 60)
        assert 0 < dead < outside
    at_bound = ratio[(1 < ratio) & (ratio < 2)].max()
    number = sum(some > 0 and ratio[n] > at_bound for n, some in zip(steps.index, advantages))
    number += sum(some < 0 and ratio[n] < 2 - at_bound for n, some in zip(steps.index, advantages))
    assert clip_fraction(logits, old, steps, advantages,
                         clip_range=at_bound - 1) == pytest.approx(number / 60)
