"""Actor-critic: a value table says after every step how much better things have become.

    θ ← θ + α Σ_t [A_t ∇ log π(a_t|s_t) + β ∇H(π(·|s_t))],   A_t = δ_t + γλ A_{t+1}

δ_t = r + γ V(s') − V(s) is by how much step t did better than V expected.  A_t adds up all δ from t
on, each counting γλ times as much as the one before: λ = 0 believes V, λ = 1 only what happened.
β is what a nat of the entropy H is worth (`ent_coef` in the chapters).

Mnih et al. 2016, arXiv:1602.01783, section 4 (A3C; without its threads A2C), with the advantages
of Schulman et al. 2016, arXiv:1506.02438, (16).
"""

import numpy as np


def actor_critic(theta, V, episodes, *, gamma, lam, beta, alpha, rate):
    """θ and V after one step; V(s) moves towards the mean of A_t + V(s_t) over its visits.

    In the row s of θ, ∇ log π(a|s) is e_a − π(·|s), where e_a is 1 at a and 0 elsewhere, and
    ∇H(π(·|s)) is −π(·|s) (log π(·|s) + H).
    """
    pi, grad = softmax(theta), np.zeros(theta.shape)
    H = -(pi * np.log(pi)).sum(axis=1)
    error, visits = np.zeros(len(V)), np.zeros(len(V))
    for episode in episodes:
        for (s, a, *_), A in zip(episode, advantages(episode, V, gamma, lam)):
            grad[s] -= A * pi[s]
            grad[s, a] += A
            grad[s] -= beta * pi[s] * (np.log(pi[s]) + H[s])
            error[s] += A
            visits[s] += 1
    return theta + alpha * grad / len(episodes), V + rate * error / np.maximum(visits, 1)


def advantages(episode, V, gamma, lam):
    """A_t of each step, from the last one backwards; after a cut, V(next s) is what would come."""
    A, found = 0.0, []
    for s, _, r, after, terminal in reversed(episode):
        delta = r + gamma * V[after] * (not terminal) - V[s]
        A = delta + gamma * lam * A
        found.append(A)
    return found[::-1]


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
        theta, V = actor_critic(theta, V, batch, gamma=0.99, lam=0.7, beta=0.002, alpha=30, rate=1)
