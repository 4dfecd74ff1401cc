"""What the tests of both forms of PPO share: batches with every kind of step, loops over them, and
records in the middle of a training."""

import numpy as np
import pytest
from worlds import random_mdp

from minirl.kernel import counts
from minirl.play.optim import gradient_descent
from minirl.play.ppo import ppo
from minirl.play.training import Batch, start
from minirl.kernel.softmax import log_softmax

S, A = 4, 3
STARTS = np.array([0, 7, 7, 8, 20, 33, 35, 50, 58, 60])  # nine episodes, one of them empty


def random_batch(seed):
    """60 steps over a 4 × 3 table: every pair with both signs and with no advantage, and others."""
    rng = np.random.default_rng(seed)
    index = np.append(np.repeat(np.arange(12), 3), rng.integers(12, size=24))
    size = rng.random(60) + 0.1
    sign = np.append(np.tile([1, -1, 0], 12), rng.choice([1, -1], 24))
    order = rng.permutation(60)
    steps = counts.steps(index[order] // A, index[order] % A, STARTS, (S, A))
    return steps, (sign * size)[order], 0.4 * rng.normal(size=(S, A)), 0.4 * rng.normal(size=(S, A))


def batch_of(rollout, shape):
    """These episodes as a trainer sees them; the world pays."""
    steps = rollout.steps(shape)
    return Batch(rollout, rollout.rewards, steps, counts.table(steps), None, {})


def ratios(logits, old):
    return np.exp(log_softmax(logits) - log_softmax(old)).ravel()


def charged_by_loops(logits, old, index, advantages, kl_coef):
    """(ppo_kl.1) and its gradient, a step at a time; each step is charged for its whole state."""
    policy, old_policy = np.exp(log_softmax(logits)), np.exp(log_softmax(old))
    loss, grad = 0.0, np.zeros(logits.shape)
    for n, advantage in zip(index, advantages):
        s, a = divmod(n, logits.shape[1])
        ratio = policy[s, a] / old_policy[s, a]
        loss -= ratio * advantage / len(index)
        for b in range(logits.shape[1]):
            loss += (kl_coef / len(index) * old_policy[s, b]
                     * (np.log(old_policy[s, b]) - np.log(policy[s, b])))
            grad[s, b] -= ratio * advantage * ((a == b) - policy[s, b]) / len(index)
            grad[s, b] += kl_coef / len(index) * (policy[s, b] - old_policy[s, b])
    return loss, grad


def assert_same(found, expected):
    assert found[0] == pytest.approx(expected[0], abs=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-12)


def random_world(seed):
    return random_mdp(np.random.default_rng(seed), S, A, 4, 0.9)


def some_record(seed):
    """A record in the middle of a training, with values that are not zero and a price of 0.4."""
    mdp = random_world(seed)
    begun = next(ppo(mdp, start(np.zeros((S, A)), rng=seed, kl_coef=0.4), episodes=30,
                     learning_rate=0.3, optimiser=gradient_descent()))
    return begun._replace(iteration=3)
