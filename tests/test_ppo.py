"""PPO: the collapsed losses against loops over steps, the minibatches against selected episodes,
the trainers against iterations made by hand, and the learners against J*."""


import numpy as np
import pytest
from batches import A, S, assert_same, random_batch, random_world, ratios, some_record
from worlds import random_mdp

from gridworld.maps import frozen_lake
from minirl.kernel import counts, mdp as world
from minirl.play.actor_critic import actor_critic, judge
from minirl.play.optim import Optimiser, gradient_descent, linear
from minirl.exact.planning import policy_gradient, policy_iteration
from minirl.exact.scorecard import objective
from minirl.play.surrogate import (Advantages, approximate_kl, clip_fraction, clipped, collapse,
                                   mean_kl, minibatches)
from minirl.play.ppo import epochs, ppo, ppo_loss
from minirl.play.ppo_kl import ppo_kl, ppo_kl_loss
from minirl.play.training import Batch, after, environment_rewards, play, start
from minirl.play.reinforce import reinforce_loss
from minirl.kernel.softmax import entropy_loss, log_softmax

BOTH = pytest.mark.parametrize("trainer", [ppo, ppo_kl])


def clipped_by_loops(logits, old, index, advantages, epsilon):
    """(ppo.1) and its gradient, a step at a time; the minimum is alive where both sides are equal.
    """
    ratio, policy = ratios(logits, old), np.exp(log_softmax(logits))
    loss, grad = 0.0, np.zeros(logits.shape)
    for n, advantage in zip(index, advantages):
        s, a = divmod(n, logits.shape[1])
        free = ratio[n] * advantage
        held = max(min(ratio[n], 1 + epsilon), 1 - epsilon) * advantage
        loss -= min(free, held) / len(index)
        if free <= held:
            for b in range(logits.shape[1]):
                grad[s, b] -= free * ((a == b) - policy[s, b]) / len(index)
    return loss, grad


# The losses.


@pytest.mark.parametrize("seed", range(4))
def test_the_collapsed_loss_and_its_gradient_equal_the_loop_over_steps(seed):
    """(ppo.1) = (ppo.2) by (counts.1), and (ppo.3)"""
    steps, advantages, logits, old = random_batch(seed)
    for epsilon in (0.05, 0.2, 0.9, 3.0, np.inf):
        assert_same(ppo_loss(logits, old, collapse(steps, advantages), clip_range=epsilon),
                    clipped_by_loops(logits, old, steps.index, advantages, epsilon))
    assert_same(ppo_loss(logits, old, collapse(steps, advantages)),
                clipped_by_loops(logits, old, steps.index, advantages, 0.2))


@pytest.mark.parametrize("seed", range(4))
def test_they_are_equal_where_the_ratio_of_a_pair_lies_exactly_at_the_bound(seed):
    """(ppo.3), with ≤ and ≥: between 1/2 and 2 the distance to one is exact in floating point."""
    steps, advantages, logits, old = random_batch(seed)
    near = [ratio for ratio in ratios(logits, old) if 0.5 <= ratio <= 2]
    assert min(near) < 0.9 and max(near) > 1.1
    for ratio in near:
        epsilon = abs(ratio - 1)
        assert ratio in (1 + epsilon, 1 - epsilon)
        assert_same(ppo_loss(logits, old, collapse(steps, advantages), clip_range=epsilon),
                    clipped_by_loops(logits, old, steps.index, advantages, epsilon))


def test_collapse_separates_gains_from_losses_of_the_same_entry():
    """(surrogate.1)"""
    steps = counts.steps(np.zeros(5, int), np.array([1, 1, 1, 0, 2]), np.array([0, 5]), (1, 3))
    batch = collapse(steps, np.array([2.0, -3.0, 4.0, 0.0, -1.0]))
    assert batch.gains.tolist() == [[0, 6, 0]] and batch.losses.tolist() == [[0, -3, -1]]
    assert batch.counts.tolist() == [[1, 3, 1]] and batch.visits.tolist() == [5]


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_of_a_step_counts_in_all_three_tables(seed):
    steps, advantages, _, _ = random_batch(seed)
    weights = np.random.default_rng(seed).random(60) + 0.1
    plain = [np.bincount(steps.index, each, S * A).reshape(S, A) for each in (
        weights * np.maximum(advantages, 0), weights * np.minimum(advantages, 0), weights)]
    np.testing.assert_array_equal(collapse(steps, advantages, weights), plain)
    np.testing.assert_array_equal(collapse(steps, advantages, np.ones(60)),
                                  collapse(steps, advantages))


def test_tables_too_large_for_32_bits_are_refused():
    """Pitfall 47: gains and losses lie side by side, and a key that wrapped would be negative."""
    states, starts = np.zeros(2, int), np.array([0, 1, 2])
    for shape, parts, size in (((2**15, 2**15), [0, 0], 2**30), ((2**15, 2**14), [0, 1], 2**29)):
        steps = counts.steps(states, states, starts, shape)
        with pytest.raises(ValueError, match=f"32 bits, got {max(parts) + 1} parts of {size} en"):
            next(minibatches(steps, np.ones(2), [np.array(parts)]))
    with pytest.raises(ValueError, match=f"32 bits, got 1 parts of {2**30} entries"):
        collapse(counts.steps(states, states, starts, (2**15, 2**15)), np.ones(2))


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_the_four_quadrants_of_clipping(ratio, advantage):
    """Pitfall 31: only a good action above 1 + ε and a bad one below 1 − ε have a dead gradient"""
    old = np.log([[0.5, 0.5]])
    logits = np.log([[0.5 * ratio, 1 - 0.5 * ratio]])
    batch = Advantages(np.array([[max(advantage, 0), 0]]), np.array([[min(advantage, 0), 0]]),
                       np.array([[1.0, 0.0]]))
    loss, grad = ppo_loss(logits, old, batch, clip_range=0.2)
    dead = (ratio > 1.2 and advantage > 0) or (ratio < 0.8 and advantage < 0)
    held = {0.7: 0.8, 1.0: 1.0, 1.3: 1.2}[ratio]
    assert loss == pytest.approx(-advantage * (held if dead else ratio), abs=1e-12)
    p = 0.5 * ratio
    expected = 0.0 if dead else -advantage * ratio * (1 - p)
    np.testing.assert_allclose(grad, [[expected, -expected]], atol=1e-12)


def test_before_the_first_step_n_times_the_gradient_is_b_times_that_of_reinforce():
    steps, advantages, old, _ = random_batch(7)
    _, ours = ppo_loss(old, old, collapse(steps, advantages))
    _, theirs = reinforce_loss(old, counts.table(steps, advantages), episodes=9)
    np.testing.assert_allclose(60 * ours, 9 * theirs, rtol=0, atol=1e-12)


@BOTH
def test_n_times_the_first_step_on_a_played_batch_is_b_times_that_of_actor_critic(trainer):
    """(ppo.3) and (ppo_kl.2) at ρ = 1 are (reinforce.3) with another divisor."""
    mdp, first = random_world(0), some_record(0)
    shared = {"episodes": 25, "horizon": 6, "gae_lambda": 0.8, "normalize_advantage": False,
              "learning_rate": 0.5, "ent_coef": 0.3, "value_rate": 0.7,
              "optimiser": gradient_descent()}
    ours = next(trainer(mdp, first, n_epochs=1, **shared))
    theirs = next(actor_critic(mdp, first, value_lambda=0.8, **shared))
    steps = ours.steps - first.steps
    np.testing.assert_allclose(steps * (ours.logits - first.logits),
                               25 * (theirs.logits - first.logits), rtol=0, atol=1e-12)
    assert np.abs(ours.logits - first.logits).max() > 0.01
    assert (ours.values == theirs.values).all() and ours.rng == theirs.rng


def test_before_the_first_step_the_ratio_is_exactly_one():
    """Pitfall 32: the loss is then minus the mean advantage, up to the order of summation."""
    steps, advantages, old, _ = random_batch(8)
    order = np.random.default_rng(0).permutation(60)
    shuffled = steps._replace(index=steps.index[order])
    for flat, some in ((steps, advantages), (shuffled, advantages[order])):
        for loss in (ppo_loss(old, old, collapse(flat, some))[0],
                     ppo_kl_loss(old, old, collapse(flat, some), kl_coef=5.0)[0]):
            assert loss == pytest.approx(-advantages.mean(), abs=1e-15)
        assert clip_fraction(old, old, flat, some) == 0.0


@pytest.mark.parametrize("loss", [lambda *args: ppo_loss(*args, clip_range=1e-9),
                                  lambda *args: ppo_kl_loss(*args, kl_coef=0.7)])
def test_a_pair_without_steps_may_have_an_infinite_ratio(loss):
    old, logits = np.array([[0.0, -2e4]]), np.array([[0.0, 2e4]])
    batch = Advantages(np.array([[0.0, 0.0]]), np.array([[-1.0, 0.0]]), np.array([[1.0, 0.0]]))
    value, grad = loss(logits, old, batch)
    assert np.isfinite(value) and value > 0.9 and np.isfinite(grad).all()
    assert approximate_kl(logits, old, batch.counts) == pytest.approx(2e4 - 1)


# Minibatches.


PARTS = np.array([2, 0, 1, 2, 2, 0, 1, 2, 0])


def selected(steps, advantages, rows):
    """The steps and advantages of some episodes, laid out anew: what `minibatches` avoids."""
    return counts.select(steps, rows), np.concatenate(
        [advantages[steps.starts[row]:steps.starts[row + 1]] for row in rows])


@pytest.mark.parametrize("seed", range(3))
def test_a_minibatch_is_the_collapse_of_its_episodes(seed):
    steps, advantages, _, _ = random_batch(seed)
    batches = list(minibatches(steps, advantages, [PARTS]))
    assert len(batches) == 3
    assert [batch.counts.sum() for batch in batches] == [0 + 2 + 2, 1 + 15, 7 + 12 + 13 + 8]
    for part, batch in enumerate(batches):
        some, theirs = selected(steps, advantages, np.flatnonzero(PARTS == part))
        gains, losses, number = np.zeros((3, S * A))
        for n, advantage in zip(some.index, theirs):
            gains[n] += max(advantage, 0)
            losses[n] += min(advantage, 0)
            number[n] += 1
        for plain in (Advantages(*(x.reshape(S, A) for x in (gains, losses, number))),
                      collapse(some, theirs)):
            for found, expected in zip(batch, plain):
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [ppo_loss, lambda *args: ppo_kl_loss(*args, kl_coef=0.7)])
def test_minibatches_weighted_by_their_steps_add_up_to_the_batch(loss):
    """Pitfall 26: the loss and its gradient"""
    steps, advantages, logits, old = random_batch(9)
    value, grad = 0.0, np.zeros((S, A))
    for batch in minibatches(steps, advantages, [PARTS]):
        some, part = loss(logits, old, batch)
        value += batch.counts.sum() / 60 * some
        grad += batch.counts.sum() / 60 * part
    assert_same(loss(logits, old, collapse(steps, advantages)), (value, grad))


def test_parts_may_be_numbered_in_few_bits():
    """Pitfall 47: thirty parts of a table of twelve pairs need more than eight bits."""
    steps = counts.steps(np.repeat(np.arange(4), 10), np.arange(40) % 3, np.arange(41), (4, 3))
    advantages = np.random.default_rng(0).normal(size=40)
    parts = np.arange(40) % 30
    for small, plain in zip(minibatches(steps, advantages, [parts.astype(np.uint8)]),
                            minibatches(steps, advantages, [parts]), strict=True):
        for found, expected in zip(small, plain):
            np.testing.assert_array_equal(found, expected)


def test_epochs_follow_each_other_and_are_drawn_only_when_they_begin():
    """What is made once for all of them does not wander from one to the next."""
    steps, advantages, _, _ = random_batch(4)
    epochs = [PARTS, np.arange(9) % 2, np.zeros(9, int), PARTS[::-1]]
    drawn = iter(epochs)
    batches = minibatches(steps, advantages, drawn)
    for parts in epochs[:3]:
        for alone in minibatches(steps, advantages, [parts]):
            for found, expected in zip(next(batches), alone, strict=True):
                np.testing.assert_array_equal(found, expected)
    assert next(drawn) is epochs[3] and next(batches, None) is None


@pytest.mark.parametrize("batch_size", [None, 6])
def test_numbers_of_epochs_and_episodes_may_be_written_as_floats(batch_size):
    coin, first = world.coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)
    plain, same = (next(ppo(coin, first, episodes=20, horizon=9, n_epochs=number(3),
                            batch_size=batch_size and number(batch_size)))
                   for number in (int, float))
    np.testing.assert_array_equal(plain.logits, same.logits)
    assert plain.metrics["policy/updates"] == same.metrics["policy/updates"] == (
        3 if batch_size is None else 12)


# Distances.


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


def test_a_clipped_step_is_one_that_changes_no_gradient():
    """(ppo.3): each step of a batch alone; without an advantage there is no gradient to lose"""
    steps, advantages, logits, old = random_batch(11)
    dead = clipped(ratios(logits, old)[steps.index], advantages)
    for n, (pair, some) in enumerate(zip(steps.index, advantages)):
        one = counts.steps(np.array([pair // A]), np.array([pair % A]), np.array([0, 1]), (S, A))
        _, grad = ppo_loss(logits, old, collapse(one, np.array([some])))
        assert dead[n] == (some != 0 and not grad.any())
    assert 0 < dead.sum() < len(dead) and (advantages == 0).any()


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


# The steps on one batch.


def watched(optimiser):
    """The optimiser, and the list of (x, grad, learning rate) that it was asked for."""
    asked = []

    def step(x, grad, state, learning_rate):
        asked.append((x, grad, learning_rate))
        return optimiser.step(x, grad, state, learning_rate)

    return Optimiser(optimiser.init, step), asked


def parts_of(steps, advantages, *, seed=0, n_epochs=3, batch_size=None):
    """What `epochs` yields, and the generator after it."""
    batch = Batch(None, None, steps, counts.table(steps), np.random.default_rng(seed), {})
    return list(epochs(batch, advantages, n_epochs=n_epochs, batch_size=batch_size)), batch.rng


@pytest.mark.parametrize("batch_size, sizes", [(None, [9]), (1, [1] * 9), (4, [4, 4, 1]),
                                               (3, [3] * 3), (8, [8, 1]), (9, [9]), (50, [9])])
def test_every_episode_is_used_once_an_epoch(batch_size, sizes):
    """An episode shows which it is: episode i takes pair i, and i + 1 steps."""
    index = np.repeat(np.arange(9), np.arange(1, 10))
    steps = counts.steps(index // A, index % A, np.append(0, np.cumsum(np.arange(1, 10))), (S, A))
    parts, _ = parts_of(steps, np.ones(45), batch_size=batch_size)
    seen = [part.counts.ravel()[:9] for part in parts]
    assert [np.count_nonzero(number) for number in seen] == sizes * 3
    drawn = np.array(seen).reshape(3, len(sizes), 9)
    assert (drawn.sum(axis=1) == np.arange(1, 10)).all()
    assert ((drawn == 0) | (drawn == np.arange(1, 10))).all()
    if len(sizes) > 1:  # drawn anew
        assert (drawn[0] != drawn[1]).any() and (drawn[1] != drawn[2]).any()
        assert (drawn[0, 0] > 0).tolist() != [True] * sizes[0] + [False] * (9 - sizes[0])


def test_one_minibatch_of_all_episodes_is_the_whole_batch():
    steps, advantages, _, _ = random_batch(13)
    (full, rested), (large, drawn) = (parts_of(steps, advantages, batch_size=size)
                                      for size in (None, 9))
    for one, other in zip(full, large, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    fresh = np.random.default_rng(0).bit_generator.state
    assert rested.bit_generator.state == fresh != drawn.bit_generator.state


@pytest.mark.parametrize("batch_size", [None, 7])
def test_the_step_that_crosses_the_largest_kl_is_the_last_one(batch_size):
    """Over the states of the whole batch; a KL that is just as large as allowed does not stop."""
    mdp, first = random_world(1), some_record(1)
    options = {"episodes": 20, "horizon": 6, "batch_size": batch_size, "learning_rate": 0.3}
    visits = play(mdp, first, rewards=environment_rewards, episodes=20, horizon=6).visits
    free, asked = watched(gradient_descent())
    whole = next(ppo(mdp, first, optimiser=free, **options))
    path = [x for x, _, _ in asked] + [whole.logits]
    distances = [mean_kl(x, first.logits, visits) for x in path]
    assert distances[0] == 0 and len(path) == {None: 11, 7: 31}[batch_size]
    assert whole.metrics["policy/updates"] == len(path) - 1

    tried = 0
    for k in range(1, len(path) - 1):
        target = distances[k] / 1.5
        if 1.5 * target != distances[k]:  # rounded
            continue
        for largest, inclusive in ((target, True), (target * (1 - 1e-9), False)):
            last = next((i for i, distance in enumerate(distances) if distance > 1.5 * largest),
                        len(path) - 1)
            assert (last > k) == inclusive or last < k
            record = next(ppo(mdp, first, optimiser=gradient_descent(), target_kl=largest,
                              **options))
            assert (record.logits == path[last]).all()
            assert record.metrics["policy/updates"] == last
            assert record.metrics["policy/kl"] == distances[last]
            tried += 1
    assert tried > 4
    record = next(ppo(mdp, first, optimiser=gradient_descent(), target_kl=1e-300, **options))
    assert (record.logits == path[1]).all() and record.metrics["policy/updates"] == 1


def test_the_target_kl_stops_a_batch_and_not_the_training():
    """1.5 times the target; the KL ends just above it, and the next batch begins anew."""
    mdp, first = random_world(1), some_record(1)
    options = {"episodes": 20, "horizon": 6, "batch_size": 7, "learning_rate": 0.3}
    target, updates = 0.002, []
    optimiser, asked = watched(gradient_descent())
    for record in ppo(mdp, first, target_kl=target, optimiser=optimiser, **options):
        visits = play(mdp, first, rewards=environment_rewards, episodes=20, horizon=6).visits
        updates.append(record.metrics["policy/updates"])
        assert len(asked) == updates[-1]
        inside = [mean_kl(x, first.logits, visits) for x, _, _ in asked]
        assert max(inside) <= 1.5 * target and record.metrics["policy/kl"] > 1.5 * target
        assert record.metrics["policy/kl"] == mean_kl(record.logits, first.logits, visits)
        first = record
        asked.clear()
        if len(updates) == 4:
            break
    assert min(updates) >= 1 and max(updates) < 30
    free = next(ppo(mdp, some_record(1), optimiser=gradient_descent(), **options))
    assert free.metrics["policy/updates"] == 30


@BOTH
def test_no_gradient_step_is_longer_than_the_limit(trainer):
    """(optim.3) in front of gradient descent; without it the first step would be longer."""
    mdp, first = random_world(2), some_record(2)
    options = {"episodes": 20, "horizon": 6, "batch_size": 7, "learning_rate": 0.5}
    for limit in (0.05, np.inf):
        optimiser, asked = watched(gradient_descent())
        record = next(trainer(mdp, first, max_grad_norm=limit, optimiser=optimiser, **options))
        path = [x for x, _, _ in asked] + [record.logits]
        lengths = [np.linalg.norm(new - old) for old, new in zip(path, path[1:])]
        assert len(lengths) == 30
        if limit < np.inf:
            assert max(lengths) <= 0.5 * limit + 1e-12
            assert lengths[0] == pytest.approx(0.5 * limit, abs=1e-12)
            short = asked[0][1]
        else:
            assert max(lengths) > 0.5 * 0.05
            np.testing.assert_allclose(short, asked[0][1] * 0.05 / np.linalg.norm(asked[0][1]),
                                       rtol=0, atol=1e-12)


# The trainers.


@BOTH
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("normalise", [True, False])
def test_an_iteration_takes_a_step_for_each_part_of_its_epochs(trainer, batch_size, normalise):
    """What the plain form has not: minibatches, a bonus, a limit, the metrics.  Only the policy
    that played matters, not an earlier one (pitfall 9)."""
    mdp, first = random_world(0), some_record(0)
    own = {"clip_range": 0.1} if trainer is ppo else {"target_kl": 1e-9}
    found = next(trainer(mdp, first, episodes=30, horizon=3, n_epochs=3, batch_size=batch_size,
                         gae_lambda=0.8, normalize_advantage=normalise, learning_rate=2.0,
                         ent_coef=0.05, max_grad_norm=0.5, value_rate=0.7,
                         optimiser=gradient_descent(), **own))

    batch = play(mdp, first, rewards=environment_rewards, episodes=30, horizon=3)
    judged = judge(batch, first.values, gamma=0.9, gae_lambda=0.8, value_lambda=0.8,
                   value_rate=0.7, normalize_advantage=normalise)
    old = logits = first.logits
    parts = list(epochs(batch, judged.advantages, n_epochs=3, batch_size=batch_size))
    assert len(parts) == (15 if batch_size else 3)
    for part in parts:
        _, grad = (ppo_loss(logits, old, part, clip_range=0.1) if trainer is ppo else
                   ppo_kl_loss(logits, old, part, kl_coef=0.4))
        share = part.counts.sum(axis=1) / part.counts.sum()
        grad = grad + 0.05 * entropy_loss(logits, share)[1]
        logits = logits - 2.0 * grad * min(1, 0.5 / np.linalg.norm(grad))
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(found.values, judged.values)
    assert found.rng == batch.rng.bit_generator.state

    expected = {"value/explained_variance": judged.explained_variance,
                "policy/kl": mean_kl(logits, old, batch.visits),
                "policy/approxkl": approximate_kl(logits, old, batch.counts),
                "policy/updates": len(parts)}
    if trainer is ppo:
        expected["policy/clipfrac"] = clip_fraction(logits, old, batch.steps, judged.advantages,
                                                    clip_range=0.1)
        assert 0 < expected["policy/clipfrac"] < 1 and found.kl_coef == 0.4
    else:
        expected["policy/kl_coef"] = 0.4
        assert found.kl_coef == 0.8
    own = {name: found.metrics[name] for name in expected}
    assert own == pytest.approx(expected, abs=1e-12)
    assert set(found.metrics) == {*own, "policy/entropy", *batch.metrics}
    assert expected["policy/kl"] > 1e-3


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_it_comes_near_the_optimum_of_small_random_worlds(trainer, seed):
    """At least 97 % of J* − J(uniform), in 40 iterations."""
    mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, 0.95)
    best, (worst, _) = policy_iteration(mdp).objective, policy_gradient(mdp, np.zeros((5, 3)))
    training = trainer(mdp, start(np.zeros((5, 3)), rng=seed), episodes=256,
                       iterations=40, learning_rate=linear(0.1, 0.0), ent_coef=0.0)
    record = next(record for record in training if record.iteration == 40)
    assert 0.97 <= (policy_gradient(mdp, record.logits)[0] - worst) / (best - worst) <= 1


def test_by_default_adam_takes_steps_as_long_as_the_schedule_says():
    """(optim.2): the first step of each coordinate has the length of the rate."""
    mdp, begun = random_world(0), start(np.zeros((S, A)), rng=0)
    for iteration, rate in ((0, 0.06), (200, 0.03005), (400, 0.0001), (1000, 0.0001)):
        record = next(ppo(mdp, begun._replace(iteration=iteration), n_epochs=1, episodes=50))
        np.testing.assert_allclose(np.abs(record.logits), rate, rtol=0, atol=1e-6)


@pytest.mark.parametrize("iterations, least, seeds", [(50, 0.90, 10), (100, 0.95, 3)])
def test_the_defaults_fit_a_short_run_too(iterations, least, seeds):
    """A share of J* on the slippery lake; what 400 iterations promise is in `test_policies`."""
    lake = frozen_lake().mdp(gamma=0.99)
    best = policy_iteration(lake).objective
    for seed in range(seeds):
        record = after(ppo(lake, start(lake, rng=seed), iterations=iterations), iterations)
        assert least <= objective(lake, record.policy) / best <= 1, seed


# What is allowed.


def test_the_ends_of_each_range_are_allowed():
    coin, first = world.coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=2)
    for trainer in (ppo, ppo_kl):
        for end in (0.0, 1.0):
            record = next(trainer(coin, first, n_epochs=1, horizon=1, episodes=1, batch_size=1,
                                  gae_lambda=end, value_rate=end))
            assert record.metrics["rollout/ep_rew_mean"] == 1, "something to learn from"
            assert record.optimiser.count == 1 and (record.values != 0).any() == (end == 1.0)
