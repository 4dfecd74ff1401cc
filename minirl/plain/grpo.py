"""GRPO: each string of a group is judged by the others; no value table.

    J(θ) = mean over strings i of (1/|o_i|) Σ_t [min(ρ A_i, clip(ρ, 1 ± ε) A_i) − β k3]
    A_i = (r_i − mean(r)) / (std(r) + 10⁻⁴),   ρ = π/π_old,   k3 = π_ref/π − log(π_ref/π) − 1

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, (3) and (4), whose G counts the strings of a
group, and whose std has no 10⁻⁴ beside it; the gradient is in appendix A.1.6.
"""

import numpy as np


def objective(theta, old, ref, strings, A, *, epsilon, beta):
    """J(θ), to be maximised, and its gradient in θ; ∇ log π(a|s) = e_a − π(·|s)."""
    pi, pi_old, pi_ref = softmax(theta), softmax(old), softmax(ref)
    J, grad = 0.0, np.zeros(theta.shape)
    for o, A_i in zip(strings, A):
        for s, a in o:
            weight = 1 / (len(strings) * len(o))
            ratio, away = pi[s, a] / pi_old[s, a], pi_ref[s, a] / pi[s, a]
            clipped = min(max(ratio, 1 - epsilon), 1 + epsilon)
            J += weight * (min(ratio * A_i, clipped * A_i) - beta * (away - np.log(away) - 1))
            push = ratio * A_i if ratio * A_i <= clipped * A_i else 0.0
            push += beta * (away - 1)
            grad[s] -= weight * push * pi[s]
            grad[s, a] += weight * push
    return J, grad


def advantages(r, eps=1e-4):
    """A_i of the rewards r_i of one group; equal ones have nothing to teach."""
    return (r - np.mean(r)) / (np.std(r) + eps)


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


if __name__ == "__main__":
    C = np.full((5, 5), 0.1)  # the reference has counted ten words
    known = "no on one none noon neon eon ton note tone".split()
    for word in known:
        symbols = [".enot".index(letter) for letter in f".{word}."]
        for s, a in zip(symbols, symbols[1:]):
            C[s, a] += 1
    ref, rng = np.log(C / C.sum(axis=1, keepdims=True)), np.random.default_rng(0)
    theta = ref
    for iteration in range(31):
        strings, A, right = [], [], []
        for _ in range(20):
            group = [write(softmax(theta), rng) for _ in range(8)]
            words = ["".join(".enot"[a] for _, a in o[:-1]) for o in group]
            r = [float(word in known) for word in words]
            strings, A, right = strings + group, [*A, *advantages(r)], right + r
        if iteration % 10 == 0:
            print(f"after {iteration:2} batches {np.mean(right):3.0%} are words:", *words)
        old = theta
        for _ in range(4):
            theta = theta + 2 * objective(theta, old, ref, strings, A, epsilon=0.2, beta=0.04)[1]
