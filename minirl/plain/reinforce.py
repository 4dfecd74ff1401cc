"""REINFORCE with a baseline: an action followed by more than was expected becomes likelier.

    θ ← θ + α Σ_t γᵗ A_t ∇ log π(a_t|s_t),   A_t = R_t − V(s_t)

R_t = r_t + γ R_{t+1} is the return from step t on, and Sutton and Barto's G_t.  A_t is by how much
it was more than V expected.  In the row s of θ, ∇ log π(a|s) is e_a − π(·|s), where e_a is 1 at a
and 0 elsewhere.  (Most trainers drop γᵗ, that of `minirl.play.reinforce` too.)

Williams 1992; Sutton and Barto, 2nd edition, (13.11), for the mean over a batch of episodes.
"""

import numpy as np


def reinforce(theta, V, episodes, *, gamma, alpha, rate):
    """θ and V after one step; V(s) moves towards the mean of what followed s.

    The gradient is a mean over episodes, and what one state has of it is tiny, hence a large α.  A
    cut counts as an end; `actor_critic` and `ppo` put V in place of what is missing.
    """
    pi, grad = softmax(theta), np.zeros(theta.shape)
    error, visits = np.zeros(len(V)), np.zeros(len(V))
    for episode in episodes:
        R = 0.0
        for t in reversed(range(len(episode))):
            s, a, r, _, _ = episode[t]
            R = r + gamma * R
            A = R - V[s]
            grad[s] -= gamma**t * A * pi[s] / len(episodes)
            grad[s, a] += gamma**t * A / len(episodes)
            error[s] += A
            visits[s] += 1
    return theta + alpha * grad, V + rate * error / np.maximum(visits, 1)


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
            print(f"after {100 * iteration:4} episodes: mean return {np.mean(R):.3f} (standard "
                  f"error {np.std(R) / 500**0.5:.3f}); the best is exactly 0.542")
        batch = [play(lake, softmax(theta), rng) for _ in range(100)]
        theta, V = reinforce(theta, V, batch, gamma=0.99, alpha=20, rate=0.5)
