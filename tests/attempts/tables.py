"""Attempts at the exercises of Parts 1 and 2."""

import numpy as np

from attempts import attempt


@attempt("backward")
def by_rows(logp, G):
    return np.array([g - np.exp(row) * g.sum() for row, g in zip(logp, G)])


@attempt("backward")
def by_loops(logp, G):
    S, A = G.shape
    grad = np.zeros((S, A))
    for s in range(S):
        for b in range(A):
            for a in range(A):
                grad[s, b] += G[s, a] * ((a == b) - np.exp(logp[s, b]))
    return grad


@attempt("backward", "softmax_jacobian")
def jacobian_of_pi(logp, G):
    pi = np.exp(logp)
    return pi * (G - (pi * G).sum(axis=1, keepdims=True))


@attempt("backward", "own_entry_only")
def without_sum(logp, G):
    return G * (1 - np.exp(logp))


@attempt("backward", "sum_without_policy")
def without_pi(logp, G):
    return G - G.sum(axis=1)[:, None]


@attempt("backward", "log_policy")
def without_exp(logp, G):
    return G - logp * G.sum(axis=1)[:, None]


@attempt("backward", "sum_over_states")
def other_axis(logp, G):
    return G - np.exp(logp) * G.sum(axis=0)


@attempt("backward", "sum_over_all")
def no_axis(logp, G):
    return G - np.exp(logp) * G.sum()


@attempt("backward", "wrong_sign_of_sum")
def added(logp, G):
    return G + np.exp(logp) * G.sum(axis=1, keepdims=True)


@attempt("backward", "shape (4, 3), got (12,)")
def flat(logp, G):
    return (G - np.exp(logp) * G.sum(axis=1, keepdims=True)).ravel()


@attempt("backward", "the sign is wrong")
def downhill(logp, G):
    return np.exp(logp) * G.sum(axis=1, keepdims=True) - G


@attempt("backward", "none of the well-known mistakes")
def mean_of_the_row(logp, G):
    return G - G.mean(axis=1, keepdims=True) * np.exp(logp) ** 2
