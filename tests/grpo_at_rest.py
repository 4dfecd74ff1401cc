"""Where GRPO with k3 in the loss comes to rest on the running example: `grpo_at_rest.py FILE`.

The expected update of a group of 8 is computed and followed until it hardly moves.  A string's
reward is settled by how many like pairs i and how many letters n it has, so everything is a sum
over these two.  What a string's reward R is worth in a group, g(R) = E[(R − mean)/std], is a mean
over 20,000 sevens of others, drawn once from the exact law: the only thing here that is not exact.
With it the expected update is

    E[X g(R)/|y|] − β E[X/|y|] (1 − e^u),   X the counts of a string.

It takes seconds, so `conftest.py` runs it beside the tests.  The file is JSON: the share of what
there is to gain, and the largest entry of the last update.
"""

import json
import sys

import numpy as np
from languages import BETA, running_example, share

from minirl.kernel.softmax import backward, log_softmax

LETTERS, GROUP, ROUNDS = 200, 8, 25
N, LIKE = np.arange(LETTERS + 1)[:, None], np.arange(LETTERS + 2)[None]
REWARD = 0.139 * N - LIKE


def ways(policy, like):
    """(onwards to a like letter, onwards to another one, F[n, i, s] = chance to be there)."""
    writes = policy.copy()
    writes[:, 0] = 0
    same, other = writes * like, writes * (1 - like)
    F = np.zeros((LETTERS + 1, LETTERS + 2, len(policy)))
    F[0, 0, 0] = 1
    for n in range(LETTERS):
        F[n + 1] = F[n] @ other
        F[n + 1, 1:] += (F[n] @ same)[:-1]
    return same, other, F


def expected_counts(policy, same, other, F, weight):
    """E[X weight(n, i)]: from the left F, from the right B, the expected weight of what follows."""
    C, B = np.zeros(policy.shape), np.zeros(F.shape[1:])
    for n in range(LETTERS, -1, -1):
        if n < LETTERS:
            later = np.vstack([B[1:], 0 * B[:1]])
            C += other * (F[n].T @ B) + same * (F[n].T @ later)
            B = B @ other.T + later @ same.T
        C[:, 0] += F[n].T @ weight[n] * policy[:, 0]
        B = B + weight[n][:, None] * policy[:, 0]
    return C


def worth(chance, numbers):
    """g(R) for every reward, from the law of the others and uniform numbers (M, GROUP − 1)."""
    order = REWARD.ravel().argsort()
    rewards, chances = REWARD.ravel()[order], chance.ravel()[order]
    others = rewards[np.searchsorted(chances.cumsum() / chances.sum(), numbers)]
    grid = np.linspace(*rewards[chances > 1e-9][[0, -1]], 200)
    mean = (grid[:, None] + others.sum(axis=1)) / GROUP
    square = (grid[:, None]**2 + (others**2).sum(axis=1)) / GROUP
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return np.interp(REWARD, grid, ((grid[:, None] - mean) / (std + 1e-4)).mean(axis=1))


if __name__ == "__main__":
    example = running_example()
    like = (example.world.mean_reward < 0).astype(float)
    numbers = np.random.default_rng(0).random((20_000, GROUP - 1))
    logp, per_letter = example.reference, np.broadcast_to(1 / (N + 1), REWARD.shape)
    for _ in range(ROUNDS):
        policy = np.exp(logp)
        same, other, F = ways(policy, like)
        g = worth(F @ policy[:, 0], numbers)
        C = expected_counts(policy, same, other, F, g * per_letter)
        W = expected_counts(policy, same, other, F, per_letter)
        update = backward(logp, C - BETA * W * (1 - np.exp(example.reference - logp)))
        # Steps of the size of the row's curvature, and no longer than a half.
        step = update / (W.sum(axis=1, keepdims=True) * np.maximum(policy, 1e-3))
        logp = log_softmax(logp + np.clip(step, -1, 1) / 2)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"share": share(logp), "update": float(np.abs(update).max())}, file)
