"""Best of n: sample n strings, keep the one with the largest reward.

    P_n(y) = π(y)/π(r = r(y)) · (F(r(y))ⁿ − F⁻(r(y))ⁿ),   F(x) = π(r ≤ x), F⁻(x) = π(r < x)
    KL(P_n‖π) ≤ log n − (n − 1)/n

Stiennon et al. 2020, arXiv:2009.01325, appendix G.3; Beirami et al. 2024, arXiv:2401.01879.
"""

import numpy as np


def best_of_n(sample, reward, n):
    """The best of n strings; of equals the first."""
    best = sample()
    for _ in range(n - 1):
        other = sample()
        if reward(other) > reward(best):
            best = other
    return best


def law(pi, r, n):
    """P_n(y) for every string y, of probability pi[y] and reward r[y]."""
    P = []
    for y in range(len(pi)):
        below = sum(p for p, x in zip(pi, r) if x < r[y])
        level = sum(p for p, x in zip(pi, r) if x == r[y])
        P.append(pi[y] / level * ((below + level)**n - below**n))
    return P


def kl(P, pi):
    """KL(P‖π)."""
    return sum(p * np.log(p / q) for p, q in zip(P, pi) if p > 0)


if __name__ == "__main__":
    words = "no on one none noon neon eon ton note tone".split()
    pi, r = [1 / 10] * 10, [word.count("n") - word.count("e") for word in words]
    rng = np.random.default_rng(0)
    print(f"n =  1: mean reward {np.dot(pi, r):.2f}")
    for n in 2, 4, 8, 16:
        drawn = [best_of_n(lambda: rng.integers(10), lambda y: r[y], n) for _ in range(1000)]
        P = law(pi, r, n)
        print(f"n = {n:2}: mean reward {np.mean([r[y] for y in drawn]):.2f}, exactly "
              f"{np.dot(P, r):.2f}; KL {kl(P, pi):.3f}, at most {np.log(n) - (n - 1) / n:.3f}")
