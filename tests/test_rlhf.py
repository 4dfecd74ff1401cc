"""RLHF: the shaped rewards against loops, their expectation against J, and PPO's share of J*."""

import numpy as np
import pytest
from languages import BETA, running_example, share

from minirl.mdp import coin_game, rollout, start_states
from minirl.optim import linear
from minirl.evaluation import expectation
from minirl.planning import policy_gradient
from minirl.ppo import ppo
from minirl.reinforce import start
from minirl.rlhf import pair_rewards, string_rewards
from minirl.softmax import log_softmax
from toy_lm.ngram import language


def small_language(seed=0):
    rng = np.random.default_rng(seed)
    weights, ref, logits = rng.normal(size=(3, 3, 3))
    world = language(weights)
    batch = rollout(world, np.exp(log_softmax(logits)), start_states(world, 60, rng), horizon=3,
                    rng=rng)
    assert batch.truncated.any() and not batch.truncated.all()
    return weights, ref, logits, world, batch


def test_every_pair_is_paid_minus_the_price_of_leaving_the_reference():
    """(rlhf.1), π_old and π_ref being two different tables (pitfall 9)"""
    weights, ref, logits, _, batch = small_language()
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    paid = pair_rewards(weights, ref, beta=0.4)(batch, logp)
    for i, length in enumerate(batch.alive.sum(axis=0)):
        for t in range(length):
            s, a = batch.states[t, i], batch.actions[t, i]
            direct = weights[s, a] - 0.4 * (logp[s, a] - ref_logp[s, a])
            assert paid[t, i] == pytest.approx(direct, abs=1e-12)
        assert (paid[length:, i] == 0).all()


def test_a_string_is_paid_on_its_last_step_once():
    """Pitfall 25: on the end symbol, or where the horizon cut it, and never on the dead steps"""
    weights, ref, logits, _, batch = small_language()
    logp = log_softmax(logits)
    pairwise = pair_rewards(weights, ref, beta=0.4)(batch, logp)
    at_end = string_rewards(weights, ref, beta=0.4)(batch, logp)
    np.testing.assert_allclose(at_end.sum(axis=0), pairwise.sum(axis=0), atol=1e-12)
    for i, length in enumerate(batch.alive.sum(axis=0)):
        for t in range(length - 1):
            s, a = batch.states[t, i], batch.actions[t, i]
            assert at_end[t, i] == pytest.approx(-0.4 * (logp - log_softmax(ref))[s, a], abs=1e-12)
        assert (at_end[length:, i] == 0).all()


def test_the_expected_return_is_the_objective_of_the_whole_string():
    """(rlhf.2), pitfall 6: KL = Σ_y π(y) log π(y)/π_ref(y), summed over strings by their length"""
    weights, ref, logits, world, _ = small_language()
    policy, ratio = np.exp(log_softmax(logits)), log_softmax(logits) - log_softmax(ref)
    step, onwards = policy * ratio, (np.arange(3) > 0)  # symbol 0 ends the string
    chance, spent, divergence = np.array([1.0, 0, 0]), np.zeros(3), 0.0
    for _ in range(2000):  # chance of, and Σ chance · log-ratio over, the beginnings of this length
        divergence += chance @ step[:, 0] + spent @ policy[:, 0]
        spent = spent @ (policy * onwards) + chance @ (step * onwards)
        chance = chance @ (policy * onwards)
    assert chance.sum() < 1e-15 and divergence > 0.1
    reward = expectation(world, policy, weights)
    shaped = expectation(world, policy, weights - 0.4 * ratio)
    assert shaped == pytest.approx(reward - 0.4 * divergence, abs=1e-12)


def test_holding_the_shaped_reward_fixed_gives_the_gradient_of_the_objective():
    """(rlhf.2): policy_gradient in the world that pays r̃ equals central differences of J_β"""
    weights, ref, logits, _, _ = small_language()
    ref_logp = log_softmax(ref)

    def J(x):
        logp = log_softmax(x)
        return expectation(language(weights), np.exp(logp), weights - 0.4 * (logp - ref_logp))

    _, grad = policy_gradient(language(weights - 0.4 * (log_softmax(logits) - ref_logp)), logits)
    for i in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i] = 1e-5
        assert grad[i] == pytest.approx((J(logits + step) - J(logits - step)) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ppo_on_the_true_reward_reaches_the_optimum(seed):
    """At least 99 % of J* − J(ref) on the running example"""
    example = running_example()
    rewards = pair_rewards(example.world.mean_reward, example.reference, beta=BETA)
    trainer = ppo(example.world, start(example.reference, rng=seed), rewards=rewards, horizon=1000,
                  episodes=1024, learning_rate=linear(0.05, 0.0, 100), ent_coef=0.0)
    record = next(record for record in trainer if record.iteration == 100)
    assert share(record.logits) >= 0.99


def test_a_reward_on_the_last_step_is_biased_by_lambda_as_the_chapter_states():
    """With λ = 0.95 a value table of the last letter misjudges; with λ = 1 less is lost."""
    example = running_example()
    rewards = string_rewards(example.world.mean_reward, example.reference, beta=BETA)
    shares = []
    for gae_lambda in (0.95, 1.0):
        trainer = ppo(example.world, start(example.reference, rng=0), rewards=rewards, horizon=1000,
                      episodes=1024, gae_lambda=gae_lambda, learning_rate=linear(0.05, 0.0, 100),
                      ent_coef=0.0)
        record = next(record for record in trainer if record.iteration == 100)
        shares.append(share(record.logits))
    assert 0.955 < shares[0] < 0.975 and 0.98 < shares[1] < 0.995


def test_bad_arguments_are_refused_by_name():
    weights = coin_game().mean_reward
    for maker in (pair_rewards, string_rewards):
        for beta in (0.0, -0.5, np.nan, np.inf):
            with pytest.raises(ValueError, match="beta must be positive"):
                maker(weights, np.zeros((1, 2)), beta=beta)
        with pytest.raises(ValueError, match="weights must be finite and have the shape"):
            maker(weights, np.zeros((2, 2)), beta=0.5)
        with pytest.raises(ValueError, match="weights must be finite"):
            maker(weights * np.nan, np.zeros((1, 2)), beta=0.5)
