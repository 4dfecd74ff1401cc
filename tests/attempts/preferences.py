"""Attempts at the exercises of Part 4, second half."""

import numpy as np

from attempts import attempt
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@attempt("dpo")
def by_matrices(logits, ref_logits, difference, *, beta):
    logp = log_softmax(logits)
    m = beta * (difference @ (logp - log_softmax(ref_logits)).ravel())
    G = -beta / len(m) * (difference.T @ sigmoid(-m)).reshape(logits.shape)
    return -log_sigmoid(m).mean(), backward(logp, G)


@attempt("dpo")
def by_loops(logits, ref_logits, difference, *, beta):
    logp = log_softmax(logits)
    h, loss, G = (logp - log_softmax(ref_logits)).ravel(), 0.0, np.zeros(logits.size)
    for row in difference.toarray():
        m = beta * (row @ h)
        loss += np.log1p(np.exp(-m))
        G += -beta * row * sigmoid(-m)
    B = difference.shape[0]
    return loss / B, backward(logp, G.reshape(logits.shape) / B)


def dpo(logits, difference, m, slope, beta):
    """What most of the wrong ones return."""
    G = (difference.T @ slope).reshape(logits.shape) / len(m)
    return -log_sigmoid(m).mean(), backward(log_softmax(logits), G)


def margins(logits, ref_logits, difference):
    return difference @ (log_softmax(logits) - log_softmax(ref_logits)).ravel()


@attempt("dpo", "no_reference")
def without_reference(logits, ref_logits, difference, *, beta):
    m = beta * (difference @ log_softmax(logits).ravel())
    return dpo(logits, difference, m, -beta * sigmoid(-m), beta)


@attempt("dpo", "swapped")
def rejected_first(logits, ref_logits, difference, *, beta):
    m = -beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, beta * sigmoid(-m), beta)


@attempt("dpo", "no_beta")
def without_beta(logits, ref_logits, difference, *, beta):
    m = margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -sigmoid(-m), beta)


@attempt("dpo", "beta_not_in_gradient")
def chain_rule_forgotten(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -sigmoid(-m), beta)


@attempt("dpo", "saturated")
def push_the_right_ones(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -beta * sigmoid(m), beta)


@attempt("dpo", "no_log")
def probability_of_preference(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    G = -beta / len(m) * (difference.T @ (sigmoid(m) * sigmoid(-m))).reshape(logits.shape)
    return -sigmoid(m).mean(), backward(log_softmax(logits), G)


@attempt("dpo", "the backward pass (softmax.3) is missing")
def returns_G(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return (-log_sigmoid(m).mean(),
            -beta / len(m) * (difference.T @ sigmoid(-m)).reshape(logits.shape))


@attempt("dpo", "loss and gradient: it is B (the number of pairs) times too large")
def sums(logits, ref_logits, difference, *, beta):
    loss, grad = by_matrices(logits, ref_logits, difference, beta=beta)
    return loss * difference.shape[0], grad * difference.shape[0]


@attempt("dpo", "the sign is wrong")
def uphill(logits, ref_logits, difference, *, beta):
    loss, grad = by_matrices(logits, ref_logits, difference, beta=beta)
    return loss, -grad


@attempt("dpo", "none of the well-known mistakes")
def own_penalty(logits, ref_logits, difference, *, beta):
    loss, grad = by_matrices(logits, ref_logits, difference, beta=beta)
    return loss + 0.1 * (logits**2).sum(), grad + 0.2 * logits
