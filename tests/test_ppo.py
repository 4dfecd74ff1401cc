"""PPO: the collapsed loss against the loop over steps, its clipping quadrant by quadrant, the
learner."""

import numpy as np
import pytest
from worlds import random_mdp

from gridworld.maps import frozen_lake
from minirl import counts, mdp as world
from minirl.optim import gradient_descent, linear
from minirl.planning import policy_gradient, policy_iteration
from minirl.ppo import Advantages, clip_fraction, collapse, ppo, ppo_loss
from minirl.reinforce import environment_rewards, play, reinforce_loss, start
from minirl.returns import gae, move_values
from minirl.sampling import generator
from minirl.softmax import entropy_loss, log_softmax


def random_batch(seed, steps=60):
    """Steps with many repeated pairs over a 4 × 3 table, and their advantages."""
    rng = np.random.default_rng(seed)
    states, actions = rng.integers(4, size=steps), rng.integers(3, size=steps)
    flat = counts.steps(states, actions, np.array([0, steps]), (4, 3))
    return flat, rng.normal(size=steps), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


def loop_loss(logits, old, steps, advantages, epsilon):
    """(ppo.1), a step at a time"""
    new_logp, old_logp = log_softmax(logits).ravel(), log_softmax(old).ravel()
    total = 0.0
    for n, A in zip(steps.index, advantages):
        ratio = np.exp(new_logp[n] - old_logp[n])
        total += min(ratio * A, max(min(ratio, 1 + epsilon), 1 - epsilon) * A)
    return -total / len(advantages)


@pytest.mark.parametrize("seed", range(5))
def test_the_collapsed_loss_equals_the_loop_over_steps(seed):
    """(ppo.1) = (ppo.2) by (counts.1)"""
    steps, advantages, logits, old = random_batch(seed)
    batch = collapse(steps, advantages)
    loss, _ = ppo_loss(logits, old, batch, clip_range=0.2)
    assert loss == pytest.approx(loop_loss(logits, old, steps, advantages, 0.2), abs=1e-12)


def test_collapse_separates_gains_from_losses_of_the_same_pair():
    steps = counts.steps(np.zeros(5, int), np.array([1, 1, 1, 0, 2]), np.array([0, 5]), (1, 3))
    batch = collapse(steps, np.array([2.0, -3.0, 4.0, 0.0, -1.0]))
    assert batch.gains.tolist() == [[0, 6, 0]] and batch.losses.tolist() == [[0, -3, -1]]
    assert batch.counts.tolist() == [[1, 3, 1]]


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
    clipped = {0.7: 0.8, 1.0: 1.0, 1.3: 1.2}[ratio]
    assert loss == pytest.approx(-advantage * (clipped if dead else ratio), abs=1e-12)
    p = 0.5 * ratio
    expected = 0.0 if dead else -advantage * ratio * (1 - p)
    np.testing.assert_allclose(grad, [[expected, -expected]], atol=1e-12)


def test_a_ratio_exactly_at_the_bound_still_has_a_gradient():
    """(ppo.3) with ≤ and ≥: ε is chosen so that the ratio 1.5 is the bound in floating point."""
    old, logits = np.log([[0.5, 0.5]]), np.log([[0.75, 0.25]])
    reached = float(np.exp(log_softmax(logits) - log_softmax(old))[0, 0])
    up = Advantages(np.array([[1.0, 0]]), np.zeros((1, 2)), np.array([[1.0, 0]]))
    _, grad = ppo_loss(logits, old, up, clip_range=reached - 1)
    assert 1 + (reached - 1) == reached and grad[0, 0] < -0.1

    logits = np.log([[0.25, 0.75]])
    reached = float(np.exp(log_softmax(logits) - log_softmax(old))[0, 0])
    down = Advantages(np.zeros((1, 2)), np.array([[-1.0, 0]]), np.array([[1.0, 0]]))
    _, grad = ppo_loss(logits, old, down, clip_range=1 - reached)
    assert 1 - (1 - reached) == reached and grad[0, 0] > 0.1


def test_before_the_first_step_n_times_the_gradient_is_b_times_that_of_reinforce():
    steps, advantages, old, _ = random_batch(7)
    _, ours = ppo_loss(old, old, collapse(steps, advantages))
    _, theirs = reinforce_loss(old, counts.table(steps, advantages), episodes=5)
    np.testing.assert_allclose(60 * ours, 5 * theirs, atol=1e-12)


def test_before_the_first_step_the_ratio_is_exactly_one():
    """Pitfall 32: the loss is then minus the mean advantage, up to the order of summation."""
    steps, advantages, old, _ = random_batch(8)
    order = np.random.default_rng(0).permutation(60)
    shuffled = steps._replace(index=steps.index[order])
    for flat, A in ((steps, advantages), (shuffled, advantages[order])):
        loss, _ = ppo_loss(old, old, collapse(flat, A))
        assert loss == pytest.approx(-advantages.mean(), abs=1e-15)
        assert clip_fraction(old, old, flat, A) == 0.0


def test_minibatch_gradients_weighted_by_their_steps_add_up_to_the_batch():
    """Pitfall 26"""
    steps, advantages, logits, old = random_batch(9)
    _, whole = ppo_loss(logits, old, collapse(steps, advantages))
    total = np.zeros_like(whole)
    for part in np.array_split(np.arange(60), [7, 30]):
        some = counts.steps(steps.index[part] // 3, steps.index[part] % 3, np.array([0, part.size]),
                            (4, 3))
        total += part.size / 60 * ppo_loss(logits, old, collapse(some, advantages[part]))[1]
    np.testing.assert_allclose(total, whole, atol=1e-12)


def test_a_pair_without_steps_may_have_an_infinite_ratio():
    old, logits = np.array([[0.0, -2e4]]), np.array([[0.0, 2e4]])
    batch = Advantages(np.array([[0.0, 0.0]]), np.array([[-1.0, 0.0]]), np.array([[1.0, 0.0]]))
    loss, grad = ppo_loss(logits, old, batch)
    assert loss == pytest.approx(0.8) and np.isfinite(grad).all()


def test_the_clip_fraction_counts_dead_gradients_only():
    """Pitfall 34, as a loop: a step outside the interval that is being pulled back is alive."""
    steps, advantages, logits, old = random_batch(10)
    advantages[:3] = 0.0
    ratio = np.exp(log_softmax(logits) - log_softmax(old)).ravel()
    dead = sum((A > 0 and ratio[n] > 1.2) or (A < 0 and ratio[n] < 0.8)
               for n, A in zip(steps.index, advantages))
    outside = sum(not 0.8 <= ratio[n] <= 1.2 for n in steps.index)
    assert clip_fraction(logits, old, steps, advantages) == pytest.approx(dead / 60)
    assert 0 < dead < outside


def test_an_iteration_is_its_epochs_on_one_batch_of_normalised_advantages():
    """Advantages over their batch standard deviation, not centred (pitfall 33)."""
    mdp = random_mdp(np.random.default_rng(0), 4, 3, 2, 0.9)
    first = next(ppo(mdp, start(np.zeros((4, 3)), rng=1), episodes=30))
    second = next(ppo(mdp, first, episodes=30, horizon=9, n_epochs=3, clip_range=0.1,
                      gae_lambda=0.8, learning_rate=2.0, ent_coef=0.05, value_rate=0.7,
                      optimiser=gradient_descent()))
    played, earned, _ = play(mdp, first, generator(first.rng), rewards=environment_rewards,
                             episodes=30, horizon=9)
    A, returns = gae(earned, played, first.values, gamma=0.9, gae_lambda=0.8)
    steps = played.steps((4, 3))
    A, returns = counts.flatten(A, played.alive), counts.flatten(returns, played.alive)
    A = A / A.std()
    logits, share = first.logits, np.bincount(steps.index // 3, minlength=4) / steps.index.size
    for _ in range(3):
        _, grad = ppo_loss(logits, first.logits, collapse(steps, A), clip_range=0.1)
        logits = logits - 2.0 * (grad + 0.05 * entropy_loss(logits, share)[1])
    np.testing.assert_allclose(second.logits, logits, atol=1e-6)  # std + 1e-8
    np.testing.assert_allclose(second.values, move_values(first.values, steps, returns, rate=0.7),
                               atol=1e-12)
    assert second.steps == first.steps + steps.index.size
    assert second.metrics["policy/clipfrac"] == clip_fraction(second.logits, first.logits, steps, A,
                                                              clip_range=0.1) > 0


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_near_the_optimum_of_small_random_worlds(seed):
    """A share of J* − J(uniform); the promises for the grids are checked on the main job's run."""
    mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, 0.95)
    best, (worst, _) = policy_iteration(mdp).objective, policy_gradient(mdp, np.zeros((5, 3)))
    trainer = ppo(mdp, start(np.zeros((5, 3)), rng=seed), episodes=256,
                  learning_rate=linear(0.1, 0.0, 60), ent_coef=0.0)
    record = next(record for record in trainer if record.iteration == 60)
    assert (policy_gradient(mdp, record.logits)[0] - worst) / (best - worst) >= 0.97


def test_training_continues_from_any_record_bit_for_bit():
    mdp = frozen_lake().mdp(gamma=0.99)
    schedule = linear(0.1, 0.0, 5)
    whole = [record for record, _ in zip(
        ppo(mdp, start(np.zeros(mdp.shape), rng=5), ent_coef=schedule), range(4))]
    for record in ppo(mdp, whole[1], ent_coef=schedule):
        if record.iteration == 4:
            break
    assert (record.logits == whole[3].logits).all() and (record.values == whole[3].values).all()
    assert record.rng == whole[3].rng and record.optimiser.count == whole[3].optimiser.count == 40


@pytest.mark.parametrize("name, value", [("clip_range", 0.0), ("n_epochs", 0), ("value_rate", -1.0),
                                         ("horizon", 0), ("episodes", 0), ("gae_lambda", 1.5)])
def test_bad_arguments_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        next(ppo(world.coin_game(), start(np.zeros((1, 2)), rng=0), **{name: value}))


def test_the_ends_of_each_range_are_allowed():
    coin, first = world.coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)
    for value_rate in (0.0, 1.0):
        record = next(ppo(coin, first, n_epochs=1, horizon=1, episodes=1, gae_lambda=value_rate,
                          value_rate=value_rate))
        assert record.optimiser.count == 1 and (record.values != 0).any() == (value_rate == 1.0)


def test_bad_batches_are_refused_by_name():
    steps, advantages, logits, old = random_batch(0)
    with pytest.raises(ValueError, match="advantages must be finite"):
        collapse(steps, np.where(advantages > 0, np.nan, advantages))
    with pytest.raises(ValueError, match="advantages must have shape"):
        collapse(steps, advantages[1:])
    batch = collapse(steps, advantages)
    with pytest.raises(ValueError, match="old_logits and the batch must have shape"):
        ppo_loss(logits, old[1:], batch)
    empty = Advantages(np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="at least one step"):
        ppo_loss(logits, old, empty)
