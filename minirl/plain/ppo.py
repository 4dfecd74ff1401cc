"""PPO, clipped: several steps along one batch, none of which gains by going too far.

    L(θ) = mean over steps of min(ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t),   ρ = π(a|s)/π_old(a|s)

Once ρ_t has gone ε from 1 in the direction that A_t asks for, going on gains nothing.  δ_t = r + γ
V(s') − V(s) is by how much step t did better than V expected.  A_t = δ_t + γλ A_{t+1} adds up all δ
from t on, each counting γλ times the one before: λ = 0 believes V, λ = 1 only what happened.

Schulman et al. 2017, arXiv:1707.06347, (7), whose r_t is ρ_t here, with the advantages (11)
and (12).
"""

import numpy as np


def surrogate(theta, old, steps, A, epsilon):
    """L of (7), to be maximised, and its gradient in θ.

    In the row s of θ, ∇ log π(a|s) is e_a − π(·|s), where e_a is 1 at a and 0 elsewhere.
    """
    pi, pi_old, L, grad = softmax(theta), softmax(old), 0.0, np.zeros(theta.shape)
    for (s, a, *_), A_t in zip(steps, A):
        ratio = pi[s, a] / pi_old[s, a]
        clipped = min(max(ratio, 1 - epsilon), 1 + epsilon)
        L += min(ratio * A_t, clipped * A_t) / len(steps)
        if ratio * A_t <= clipped * A_t:  # otherwise the minimum does not depend on θ
            grad[s] -= ratio * A_t * pi[s] / len(steps)
            grad[s, a] += ratio * A_t / len(steps)
    return L, grad


def advantages(episode, V, gamma, lam):
    """(11) and (12), from the last step backwards; after a cut, V(next s) is what would come."""
    A, found = 0.0, []
    for s, _, r, after, terminal in reversed(episode):
        delta = r + gamma * V[after] * (not terminal) - V[s]
        A = delta + gamma * lam * A
        found.append(A)
    return found[::-1]


def ppo(theta, V, episodes, *, gamma, lam, epsilon, epochs, alpha, rate):
    """θ and V after one batch; V(s) moves towards the mean of A_t + V(s_t)."""
    old, steps = theta, [step for episode in episodes for step in episode]
    A = [A_t for episode in episodes for A_t in advantages(episode, V, gamma, lam)]
    # Not in the paper.  Libraries subtract the mean and divide by the standard deviation.  Divided
    # by the root mean square alone, every advantage keeps its sign.
    scaled = A / (np.sqrt(np.mean(np.square(A))) + 1e-8)
    for _ in range(epochs):
        theta = theta + alpha * surrogate(theta, old, steps, scaled, epsilon)[1]
    error, visits = np.zeros(len(V)), np.zeros(len(V))
    for (s, *_), A_t in zip(steps, A):
        error[s] += A_t
        visits[s] += 1
    return theta, V + rate * error / np.maximum(visits, 1)


def softmax(theta):
    """π, row by row."""
    pi = np.exp(theta - theta.max(axis=1, keepdims=True))
    return pi / pi.sum(axis=1, keepdims=True)


def play(step, pi, rng, horizon=200):
    """One episode: a list of (s, a, r, next s, whether it is terminal)."""
    bounds = pi.cumsum(axis=1)[:, :-1]  # a number in [0, 1) falls between two of them
    episode, s, terminal = [], 0, False
    while not terminal and len(episode) < horizon:
        a = int(bounds[s].searchsorted(rng.random(), "right"))
        after, r, terminal = step(s, a, rng)
        episode.append((s, a, r, after, terminal))
        s = after
    return episode


def lake(s, a, rng):
    """A step on the slippery lake, left, down, right or up: next state, reward, terminal.

    S is the start, F ice, H a hole and G the goal, which alone pays, 1.  The ice leads ahead or to
    either side, a third each, so whoever pushes against a wall stays or slides along it.
    """
    a = (a + int(3 * rng.random()) - 1) % 4  # where the ice leads: ahead, or to either side
    row = min(max(s // 4 + (a == 1) - (a == 3), 0), 3)
    column = min(max(s % 4 + (a == 2) - (a == 0), 0), 3)
    cell = "SFFFFHFHFFFHHFFG"[4 * row + column]
    return 4 * row + column, float(cell == "G"), cell in "GH"


if __name__ == "__main__":
    rng, theta, V = np.random.default_rng(0), np.zeros((16, 4)), np.zeros(16)
    for iteration in range(61):
        if iteration % 20 == 0:
            test = [play(lake, softmax(theta), rng) for _ in range(500)]
            # The one reward comes last, so T steps return 0.99^(T - 1) times that.
            R = [0.99**(len(episode) - 1) * episode[-1][2] for episode in test]
            print(f"after {50 * iteration:4} episodes: mean return {np.mean(R):.3f} (standard "
                  f"error {np.std(R) / 500**0.5:.3f}); the best is exactly 0.542")
        batch = [play(lake, softmax(theta), rng) for _ in range(50)]
        theta, V = ppo(theta, V, batch, gamma=0.99, lam=0.7, epsilon=0.2, epochs=3, alpha=20,
                       rate=1)
