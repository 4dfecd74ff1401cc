"""PPO with a price on the distance: its loss against loops, the price, the trainer's own part.

What both forms share is in `test_ppo.py`."""

import numpy as np
import pytest
from batches import A, S, assert_same, charged_by_loops, random_batch, random_world, some_record

from gridworld.maps import cliff_walk, frozen_lake
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective
from minirl.play.optim import gradient_descent
from minirl.play.surrogate import Advantages, collapse, mean_kl
from minirl.play.ppo_kl import adapted, ppo_kl, ppo_kl_loss
from minirl.play.training import after, start


@pytest.mark.parametrize("kl_coef", [0.0, 0.7, 30.0])
def test_the_charged_loss_and_its_gradient_equal_the_loop_over_steps(kl_coef):
    """(ppo_kl.1) and (ppo_kl.2)"""
    steps, advantages, logits, old = random_batch(5)
    batch = collapse(steps, advantages, counted=True)
    assert_same(ppo_kl_loss(logits, old, batch, kl_coef=kl_coef),
                charged_by_loops(logits, old, steps.index, advantages, kl_coef))


def test_where_a_price_and_one_good_step_are_in_balance():
    """The table of the chapter: a fair coin, a head with the advantage 1."""
    head = np.array([[1.0, 0.0]])
    batch = Advantages(head, 0 * head, 1.0, counts=head)
    for kl_coef, p, nats in (1, 0.809, 0.241), (4, 0.618, 0.029), (16, 0.531, 0.002):
        exact = max(np.roots([2, kl_coef - 2, -kl_coef / 2]))
        logits = np.log([[exact, 1 - exact]])
        _, grad = ppo_kl_loss(logits, np.zeros((1, 2)), batch, kl_coef=kl_coef)
        np.testing.assert_allclose(grad, 0, atol=1e-14)
        assert exact == pytest.approx(p, abs=5e-4)
        assert mean_kl(logits, np.zeros((1, 2)), np.ones(1)) == pytest.approx(nats, abs=5e-4)


def test_the_bounds_of_the_price_at_the_default_target():
    """(ppo_kl.3): 0.0067 and 0.015 for 0.01, between which 0.012 lies."""
    for distance, factor in (0.0066, 0.5), (0.0067, 1), (0.012, 1), (0.0149, 1), (0.0151, 2):
        assert adapted(2.0, distance, 0.01) == 2.0 * factor


def test_the_price_holds_the_distance_near_its_target_while_the_learning_rate_is_large():
    """On the slippery lake; then it falls to its end."""
    lake = frozen_lake().mdp(gamma=0.99)
    trainer = ppo_kl(lake, start(lake, rng=0))
    records = [next(trainer) for _ in range(200)]
    distances = [record.metrics["policy/kl"] for record in records]
    assert np.median(distances[:100]) == pytest.approx(0.0097, abs=2e-4)
    assert records[99].kl_coef > 0.1 and records[199].kl_coef == 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("grid, least", [(frozen_lake(), 99.8 / 100), (cliff_walk(), -12.248)])
def test_the_worst_of_twenty_runs_is_a_little_nearer_than_with_the_clip(grid, least):
    world = grid.mdp(gamma=0.99)
    best = policy_iteration(world).objective if least > 0 else 1
    worst = min(objective(world, after(ppo_kl(world, start(world, rng=seed)), 400).policy) / best
                for seed in range(20))
    assert worst == pytest.approx(least, abs=5e-4) and worst > least - 3e-4


def test_the_price_is_doubled_or_halved_outside_an_interval_and_kept_inside():
    """(ppo_kl.3), pitfall 8, at the bounds and next to them: the factor is two, not 1.5."""
    for target in (1.0, 0.012):
        low, high = target / 1.5, 1.5 * target
        for distance, factor in ((0.0, 0.5), (np.nextafter(low, 0), 0.5), (low, 1), (target, 1),
                                 (high, 1), (np.nextafter(high, np.inf), 2), (99.0, 2)):
            assert adapted(0.3, distance, target) == 0.3 * factor


def test_the_price_of_kl_never_falls_so_low_that_it_cannot_come_back():
    """The floor under (ppo_kl.3); a price that began below it is not raised by halving."""
    price = 1.0
    for _ in range(2000):
        price = adapted(price, 0.0, 0.01)
    assert price == 1e-6 and adapted(1.5e-6, 0.0, 0.01) == 1e-6
    assert adapted(1e-6, 0.01, 0.01) == 1e-6 and adapted(1e-6, 0.02, 0.01) == 2e-6
    assert adapted(1e-9, 0.0, 0.01) <= 1e-9 and adapted(1e-9, 0.02, 0.01) == 2e-9


def test_the_price_of_kl_never_grows_so_large_that_its_square_overflows():
    """Adam squares the gradient of (ppo_kl.1); a target that no step can meet doubles for ever."""
    price = 1.0
    for _ in range(2000):
        price = min(adapted(price, 1.0, 0.01), 1e300)
    assert price < 1e150 and adapted(price, 0.0, 0.01) == price / 2


@pytest.mark.parametrize("target, factor", [(1e9, 0.5), (1e-9, 2.0)])
def test_the_price_of_kl_is_adapted_from_iteration_to_iteration(target, factor):
    """(ppo_kl.3) in the record; the metric is the price that the batch was trained with."""
    record = start(np.zeros((S, A)), rng=0, kl_coef=0.3)
    for _ in range(4):
        before = record
        record = next(ppo_kl(random_world(0), before, episodes=20, target_kl=target))
        assert record.metrics["policy/kl_coef"] == before.kl_coef
        assert record.kl_coef == factor * before.kl_coef
    assert record.kl_coef == 0.3 * factor**4


def test_it_is_the_exact_kl_that_is_compared_with_the_target():
    """(ppo_kl.3): the targets let the exact KL and (surrogate.3) lie on two sides of a bound."""
    factors = set()
    for seed in range(4, 8):
        mdp, first = random_world(seed), some_record(seed)
        options = {"episodes": 20, "horizon": 6, "optimiser": gradient_descent(),
                   "learning_rate": 1.0}
        metrics = next(ppo_kl(mdp, first, **options)).metrics
        exact, sampled = metrics["policy/kl"], metrics["policy/approxkl"]
        target = np.sqrt(exact * sampled) / 1.5
        factor = 2 if exact > sampled else 1
        assert next(ppo_kl(mdp, first, target_kl=target, **options)).kl_coef == 0.4 * factor
        factors.add(factor)
    assert factors == {1, 2}
