"""DPO: preferences without a reward model; the policy is one.

    L(θ) = −(1/B) Σ log σ(r̂(y_w) − r̂(y_l)),   r̂(y) = β log(π(y)/π_ref(y))

σ(m) = 1/(1 + e⁻ᵐ).  Of the two strings of a pair y_w won and y_l lost; B is the number of pairs.
β is the price: J(π) is the reward minus β for each nat by which π leaves π_ref.

Rafailov et al. 2023, arXiv:2305.18290, (7), and the gradient below it.
"""

import numpy as np


def loss(theta, ref, pairs, beta):
    """The loss of pairs (y_w, y_l) and its gradient in θ.

    A string is a list of (s, a), and ∇ log π(a|s) = e_a − π(·|s).
    """
    pi, pi_ref = softmax(theta), softmax(ref)
    value, grad = 0.0, np.zeros(theta.shape)
    for y_w, y_l in pairs:
        margin = beta * sum(np.log(pi[s, a] / pi_ref[s, a]) for s, a in y_w)
        margin -= beta * sum(np.log(pi[s, a] / pi_ref[s, a]) for s, a in y_l)
        value += np.logaddexp(0, -margin) / len(pairs)  # −log σ(m) = log(1 + e⁻ᵐ)
        push = beta * np.exp(-np.logaddexp(0, margin)) / len(pairs)  # β σ(−m)
        for string, sign in (y_w, 1), (y_l, -1):
            for s, a in string:
                grad[s] += sign * push * pi[s]
                grad[s, a] -= sign * push
    return value, grad


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
    pairs = []
    for _ in range(1000):  # the rater prefers by Bradley and Terry
        one, two = write(ref, rng), write(ref, rng)
        better = sum(r[s, a] for s, a in one) - sum(r[s, a] for s, a in two)
        pairs.append((one, two) if rng.random() < 1 / (1 + np.exp(-better)) else (two, one))
    M = ref * np.exp(r / beta)  # the largest J is β log Z(0): Z(s) = Σ_a M(s, a) Z(a), 1 at the end
    best = beta * np.log(np.linalg.solve(np.eye(5) - M * (np.arange(5) > 0), M[:, 0])[0])
    theta = np.log(ref)
    for iteration in range(21):
        if iteration % 5 == 0:
            value, _ = loss(theta, np.log(ref), pairs, beta)
            J = objective(softmax(theta), r, ref, beta)
            print(f"after {iteration:2} steps: loss {value:.3f}, J = {J:.3f} of at most {best:.3f}")
        theta = theta - 4 * loss(theta, np.log(ref), pairs, beta)[1]
    # This J is that of another run: with range(8000) above, and range(51) for the iterations.
    print("What is missing is pairs, not steps: 50 steps along 8,000 pairs lead to J = -0.145.")
