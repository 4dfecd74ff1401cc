"""A language model that knows one letter back: count the pairs of letters, then score and sample.

    π(a|s) = C(s, a) / C(s),   log π(y) = Σ_t log π(y_t|y_{t−1}),   the end included

Symbol 0 is the end, and what comes before the first letter; a string is the list of its steps, the
(symbol before, symbol).  Shannon 1948, "A mathematical theory of communication", section 3.
"""

import numpy as np


def count(strings, size, pseudo_count=0.0):
    """C(s, a): how often a comes after s."""
    C = np.full((size, size), float(pseudo_count))
    for string in strings:
        for s, a in string:
            C[s, a] += 1
    return C


def score(pi, string):
    """log π(y), in nats."""
    return sum(np.log(pi[s, a]) for s, a in string)


def sample(pi, rng, longest=1000):
    """A string y ~ π, as steps; without an end if it is cut."""
    bounds = pi.cumsum(axis=1)[:, :-1]  # a number in [0, 1) falls between two of them
    string, s, a = [], 0, None
    while a != 0 and len(string) < longest:
        a = int(bounds[s].searchsorted(rng.random(), "right"))
        string.append((s, a))
        s = a
    return string


def cross_entropy(theta, strings):
    """−(1/N) Σ log π over all N steps, which counting makes smallest, and its gradient in θ.

    ∇ log π(a|s) = e_a − π(·|s).
    """
    pi = np.exp(theta) / np.exp(theta).sum(axis=1, keepdims=True)
    N = sum(len(string) for string in strings)
    loss, grad = 0.0, np.zeros(theta.shape)
    for string in strings:
        for s, a in string:
            loss -= np.log(pi[s, a]) / N
            grad[s] += pi[s] / N
            grad[s, a] -= 1 / N
    return loss, grad


def steps(word, letters):
    """The steps of a word: one for each letter, and one for the end."""
    symbols = [letters.index(letter) for letter in f".{word}."]
    return list(zip(symbols, symbols[1:]))


if __name__ == "__main__":
    words, letters = "no on one none noon neon eon ton note tone".split(), ".enot"
    strings, rng = [steps(word, letters) for word in words], np.random.default_rng(0)
    C = count(strings, len(letters))
    pi = C / C.sum(axis=1, keepdims=True)
    nats = -sum(score(pi, y) for y in strings) / C.sum()
    print(f"nats per letter: {nats:.3f} by counting, {np.log(5):.3f} at random")
    new = [sample(pi, rng) for _ in range(10)]
    print("ten samples:", *("".join(letters[a] for _, a in y[:-1]) for y in new))
