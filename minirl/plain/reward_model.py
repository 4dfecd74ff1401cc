"""A reward model: what does somebody like who prefers one string to another?

    loss(w) = −(1/B) Σ log σ(r(y_w) − r(y_l)),   r(y) = Σ_t w(y_{t−1}, y_t)

σ(m) = 1/(1 + e⁻ᵐ).  Of the two strings of a pair y_w won and y_l lost; B is the number of pairs.

Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, (1), whose θ is w here; Bradley and
Terry 1952.
"""

import numpy as np


def loss(w, pairs):
    """The loss of pairs (y_w, y_l) and its gradient in w.

    A string is the list of its (symbol before, symbol).
    """
    value, grad = 0.0, np.zeros(w.shape)
    for y_w, y_l in pairs:
        margin = reward(w, y_w) - reward(w, y_l)
        value += np.logaddexp(0, -margin) / len(pairs)  # −log σ(m) = log(1 + e⁻ᵐ)
        surprise = np.exp(-np.logaddexp(0, margin)) / len(pairs)  # σ(−m)
        for s, a in y_w:
            grad[s, a] -= surprise
        for s, a in y_l:
            grad[s, a] += surprise
    return value, grad


def reward(w, string):
    """r(y), the sum over the steps of a string."""
    return sum(w[s, a] for s, a in string)


if __name__ == "__main__":
    words, strings = "no on one none noon neon eon ton note tone".split(), []
    for word in words:
        symbols = [".enot".index(letter) for letter in f".{word}."]
        strings.append(list(zip(symbols, symbols[1:])))
    # The true reward: a vowel (e, o) beside a vowel, or a consonant beside a consonant, costs 1.
    true = np.array([[-float(s > 0 and a > 0 and (s - a) % 2 == 0) for a in range(5)]
                     for s in range(5)])
    rng, pairs = np.random.default_rng(0), []
    for _ in range(200):
        one, two = (strings[i] for i in rng.choice(10, 2, replace=False))
        first = rng.random() < 1 / (1 + np.exp(reward(true, two) - reward(true, one)))
        pairs.append((one, two) if first else (two, one))
    w = np.zeros((5, 5))
    print(f"loss {loss(w, pairs)[0]:.3f}", end="")
    for _ in range(100):
        w -= 0.5 * loss(w, pairs)[1]
    print(f" -> {loss(w, pairs)[0]:.3f} (the true reward's: {loss(true, pairs)[0]:.3f})")
    print("from best to worst:", *sorted(words, key=lambda y: -reward(w, strings[words.index(y)])))
