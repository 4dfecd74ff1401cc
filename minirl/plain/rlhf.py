"""RLHF: PPO on a reward minus the price of leaving the reference.

    J = E[r(y) − β log(π(y)/π_ref(y))],   paid step by step: r(s, a) − β log(π_old(a|s)/π_ref(a|s))

Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, (2), whose π^SFT is π_ref here, with PPO,
arXiv:1707.06347, (7).
"""

import numpy as np


def rlhf(theta, V, strings, r, ref, *, beta, epsilon, epochs, alpha, rate):
    """θ and V after one batch written by π; V(s) moves towards the mean of its R_t.

    ∇ log π(a|s) = e_a − π(·|s).
    """
    old = softmax(theta)
    steps = [(s, a, R) for y in strings for (s, a), R in zip(y, credits(y, r, old, ref, beta))]
    for _ in range(epochs):
        pi, grad = softmax(theta), np.zeros(theta.shape)
        for s, a, R in steps:
            A, ratio = R - V[s], pi[s, a] / old[s, a]
            if ratio * A <= min(max(ratio, 1 - epsilon), 1 + epsilon) * A:  # not clipped
                grad[s] -= ratio * A * pi[s] / len(steps)
                grad[s, a] += ratio * A / len(steps)
        theta = theta + alpha * grad
    error, visits = np.zeros(len(V)), np.zeros(len(V))
    for s, _, R in steps:
        error[s] += R - V[s]
        visits[s] += 1
    return theta, V + rate * error / np.maximum(visits, 1)


def credits(string, r, pi, ref, beta):
    """R_t of every step: the rewards from there on, less the price of leaving the reference."""
    R, found = 0.0, []
    for s, a in reversed(string):
        R += r[s, a] - beta * np.log(pi[s, a] / ref[s, a])
        found.append(R)
    return found[::-1]


def softmax(theta):
    """π, row by row."""
    pi = np.exp(theta - theta.max(axis=1, keepdims=True))
    return pi / pi.sum(axis=1, keepdims=True)


def write(pi, rng, longest=100):
    """A string: its (symbol before, symbol); symbol 0 is the end, and stands before the first."""
    bounds = pi.cumsum(axis=1)[:, :-1]  # a number in [0, 1) falls between two of them
    string, s, a = [], 0, None
    while a != 0 and len(string) < longest:
        a = int(bounds[s].searchsorted(rng.random(), "right"))
        string.append((s, a))
        s = a
    return string


def objective(pi, r, ref, beta):
    """J(π) = V(start), exactly, with V(s) = Σ_a π(a|s) (r − β log(π/π_ref) + V(a)).

    Symbol 0 is the start as a state and the end as an action.  Nothing follows the end: no V(a).
    """
    onwards = pi * (np.arange(len(pi)) > 0)
    reward = (pi * (r - beta * np.log(pi / ref))).sum(axis=1)
    return np.linalg.solve(np.eye(len(pi)) - onwards, reward)[0]


if __name__ == "__main__":
    C = np.full((5, 5), 0.1)  # the reference has counted ten words
    for word in "no on one none noon neon eon ton note tone".split():
        symbols = [".enot".index(letter) for letter in f".{word}."]
        for s, a in zip(symbols, symbols[1:]):
            C[s, a] += 1
    ref, beta, rng = C / C.sum(axis=1, keepdims=True), 0.5, np.random.default_rng(0)
    # A vowel (e, o) beside a vowel, or a consonant beside a consonant, costs 1.
    r = np.array([[-float(s > 0 and a > 0 and (s - a) % 2 == 0) for a in range(5)]
                  for s in range(5)])
    M = ref * np.exp(r / beta)  # the largest J is β log Z(0): Z(s) = Σ_a M(s, a) Z(a), 1 at the end
    best = beta * np.log(np.linalg.solve(np.eye(5) - M * (np.arange(5) > 0), M[:, 0])[0])
    theta, V = np.log(ref), np.zeros(5)
    for iteration in range(31):
        pi = softmax(theta)
        if iteration % 10 == 0:
            J = objective(pi, r, ref, beta)
            print(f"after {iteration:2} batches: J = {J:.3f} of at most {best:.3f}")
        batch = [write(pi, rng) for _ in range(100)]
        theta, V = rlhf(theta, V, batch, r, ref, beta=beta, epsilon=0.2, epochs=4, alpha=2, rate=1)
