"""Attempts at the exercises of Part 4, losses on pairs."""

import math

import numpy as np

from attempts import attempt
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def h_of(logits, ref_logits):
    return log_softmax(logits) - log_softmax(ref_logits)


def margins(logits, ref_logits, difference):
    return difference @ h_of(logits, ref_logits).ravel()


def back(logits, rows, slope, number=None):
    """The gradient in the logits of what has these slopes in `rows` @ log π."""
    G = (rows.T @ slope).reshape(logits.shape) / (number or len(slope))
    return backward(log_softmax(logits), G)


def back_by_columns(logits, rows, slope):
    """As `back`, but the table is filled column by column."""
    G = (rows.T @ slope).reshape(logits.shape[::-1]).T / len(slope)
    return backward(log_softmax(logits), G)


# DPO, with matrices.


@attempt("dpo")
def dpo_by_matrices(logits, ref_logits, difference, *, beta):
    logp = log_softmax(logits)
    m = beta * (difference @ (logp - log_softmax(ref_logits)).ravel())
    G = -beta / len(m) * (difference.T @ sigmoid(-m)).reshape(logits.shape)
    return -log_sigmoid(m).mean(), backward(logp, G)


@attempt("dpo")
def dpo_by_rows(logits, ref_logits, difference, *, beta):
    logp = log_softmax(logits)
    h, loss, G = (logp - log_softmax(ref_logits)).ravel(), 0.0, np.zeros(logits.size)
    for row in difference.toarray():
        m = beta * (row @ h)
        loss += np.log1p(np.exp(-m))
        G += -beta * row * sigmoid(-m)
    B = difference.shape[0]
    return loss / B, backward(logp, G.reshape(logits.shape) / B)


def dpo(logits, difference, m, slope):
    """What most of the wrong ones return."""
    return -log_sigmoid(m).mean(), back(logits, difference, slope)


@attempt("dpo", "no_exp")
def dpo_logarithm_for_a_chance(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -beta * log_sigmoid(-m))


@attempt("dpo", "by_columns")
def dpo_transposed(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return -log_sigmoid(m).mean(), back_by_columns(logits, difference, -beta * sigmoid(-m))


@attempt("dpo", "no_reference")
def dpo_without_reference(logits, ref_logits, difference, *, beta):
    m = beta * (difference @ log_softmax(logits).ravel())
    return dpo(logits, difference, m, -beta * sigmoid(-m))


@attempt("dpo", "swapped")
def dpo_rejected_first(logits, ref_logits, difference, *, beta):
    m = -beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, beta * sigmoid(-m))


@attempt("dpo", "swapped")
def dpo_reference_less_policy(logits, ref_logits, difference, *, beta):
    m = beta * margins(ref_logits, logits, difference)
    return dpo(logits, difference, m, beta * sigmoid(-m))


@attempt("dpo", "no_beta")
def dpo_without_beta(logits, ref_logits, difference, *, beta):
    m = margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -sigmoid(-m))


@attempt("dpo", "gradient: a factor beta is missing")
def dpo_chain_rule_forgotten(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -sigmoid(-m))


@attempt("dpo", "saturated")
def dpo_pushes_the_right_ones(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return dpo(logits, difference, m, -beta * sigmoid(m))


@attempt("dpo", "no_log")
def dpo_probability_of_preference(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return -sigmoid(m).mean(), back(logits, difference, -beta * sigmoid(m) * sigmoid(-m))


@attempt("dpo", "of_logits")
def dpo_of_logits(logits, ref_logits, difference, *, beta):
    m = beta * (difference @ logits.ravel() - difference @ ref_logits.ravel())
    return dpo(logits, difference, m, -beta * sigmoid(-m))


@attempt("dpo", "of_logits")  # it is the derivative of its own loss: nothing goes through softmax
def dpo_of_logits_without_softmax(logits, ref_logits, difference, *, beta):
    m = beta * (difference @ (logits - ref_logits).ravel())
    return (-log_sigmoid(m).mean(),
            -beta / len(m) * (difference.T @ sigmoid(-m)).reshape(logits.shape))


@attempt("dpo", "at_reference")
def dpo_through_the_reference(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return -log_sigmoid(m).mean(), back(ref_logits, difference, -beta * sigmoid(-m))


@attempt("dpo", "one_margin")
def dpo_of_the_mean_margin(logits, ref_logits, difference, *, beta):
    m = (beta * margins(logits, ref_logits, difference)).mean()
    return -log_sigmoid(m), back(logits, difference,
                                 np.full(difference.shape[0], -beta * sigmoid(-m)))


@attempt("dpo", "log_of_mean")
def dpo_of_the_mean_chance(logits, ref_logits, difference, *, beta):
    chance = sigmoid(beta * margins(logits, ref_logits, difference))
    return -np.log(chance.mean()), back(logits, difference,
                                        -beta * chance * (1 - chance) / chance.mean())


@attempt("dpo", "the backward pass (softmax.3) is missing")
def dpo_returns_G(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return (-log_sigmoid(m).mean(),
            -beta / len(m) * (difference.T @ sigmoid(-m)).reshape(logits.shape))


@attempt("dpo", "loss and gradient: it is B (the number of pairs) times too large")
def dpo_sums(logits, ref_logits, difference, *, beta):
    loss, grad = dpo_by_matrices(logits, ref_logits, difference, beta=beta)
    return loss * difference.shape[0], grad * difference.shape[0]


@attempt("dpo", "the sign is wrong")
def dpo_uphill(logits, ref_logits, difference, *, beta):
    loss, grad = dpo_by_matrices(logits, ref_logits, difference, beta=beta)
    return loss, -grad


@attempt("dpo", "none of the well-known mistakes")
def dpo_with_a_penalty(logits, ref_logits, difference, *, beta):
    loss, grad = dpo_by_matrices(logits, ref_logits, difference, beta=beta)
    return loss + 0.1 * (logits**2).sum(), grad + 0.2 * logits


# DPO, with loops.


def softmax(theta):
    return np.exp(log_softmax(theta))


@attempt("dpo_loop")
def loop_over_pairs(theta, ref, pairs, beta):
    h, pi = np.log(softmax(theta) / softmax(ref)), softmax(theta)
    loss, grad = 0.0, np.zeros_like(theta)
    for won, lost in pairs:
        m = beta * (sum(h[step] for step in won) - sum(h[step] for step in lost))
        loss -= np.log(sigmoid(m)) / len(pairs)
        for string, sign in [(won, -1), (lost, 1)]:
            for s, a in string:
                score = -pi[s]
                score[a] += 1
                grad[s] += sign * beta * sigmoid(-m) * score / len(pairs)
    return loss, grad


def counted(theta, won, lost):
    D = np.zeros(theta.shape)
    for string, sign in (won, 1), (lost, -1):
        for step in string:
            D[step] += sign
    return D


def loops(theta, ref, pairs, beta, *, table=None, slope=lambda m: -sigmoid(-m), count=counted,
          score=lambda G, pi: G - pi * G.sum(axis=1, keepdims=True)):
    """A table of counts per pair; `table` is what is added up, `slope` that of −log σ."""
    table, pi, loss = h_of(theta, ref) if table is None else table, softmax(theta), 0.0
    G = np.zeros(theta.shape)
    for won, lost in pairs:
        D = count(theta, won, lost)
        m = beta * (D * table).sum()
        loss += np.logaddexp(0, -m) / len(pairs)
        G += beta * slope(m) * D / len(pairs)
    return loss, score(G, pi)


@attempt("dpo_loop")
def loop_over_tables(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, beta)


@attempt("dpo_loop", "no_reference")
def loop_without_reference(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, beta, table=log_softmax(theta))


@attempt("dpo_loop", "swapped")
def loop_with_the_loser_first(theta, ref, pairs, beta):
    return loops(theta, ref, [(lost, won) for won, lost in pairs], beta)


@attempt("dpo_loop", "no_policy")
def loop_that_adds_e_a(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, beta, score=lambda G, pi: G)


@attempt("dpo_loop", "own_entry_only")
def loop_that_adds_one_less_pi(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, beta, score=lambda G, pi: G * (1 - pi))


@attempt("dpo_loop", "means")
def loop_of_means(theta, ref, pairs, beta):
    def means(theta, won, lost):
        return counted(theta, won, []) / len(won) + counted(theta, [], lost) / len(lost)
    return loops(theta, ref, pairs, beta, count=means)


@attempt("dpo_loop", "no_beta")
def loop_without_beta(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, 1.0)


@attempt("dpo_loop", "gradient: a factor beta is missing")
def loop_without_chain_rule(theta, ref, pairs, beta):
    loss, grad = loops(theta, ref, pairs, beta)
    return loss, grad / beta


@attempt("dpo_loop", "saturated")
def loop_that_pushes_the_right_ones(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, beta, slope=lambda m: -sigmoid(m))


@attempt("dpo_loop", "no_exp")
def loop_of_logarithms(theta, ref, pairs, beta):
    return loops(theta, ref, pairs, beta, slope=lambda m: np.log(1 + np.exp(m)))


@attempt("dpo_loop", "no_logarithms")
def loop_as_in_print(theta, ref, pairs, beta):
    h, loss, G = h_of(theta, ref), 0.0, np.zeros(theta.shape)
    for won, lost in pairs:
        good, bad = (np.exp(sum(h[step] for step in string)) for string in (won, lost))
        m = beta * good - beta * bad
        loss -= log_sigmoid(m) / len(pairs)
        G -= beta * sigmoid(-m) / len(pairs) * (good * counted(theta, won, [])
                                                + bad * counted(theta, [], lost))
    return loss, backward(log_softmax(theta), G)


@attempt("dpo_loop", "repeats_lost")
def loop_with_fancy_indices(theta, ref, pairs, beta):
    h, pi, grad, loss = h_of(theta, ref), softmax(theta), np.zeros(theta.shape), 0.0
    for pair in pairs:
        (s, a), (t, b) = (tuple(np.array(string).T) for string in pair)
        m = beta * (h[s, a].sum() - h[t, b].sum())
        loss += np.log1p(np.exp(-m)) / len(pairs)
        c = beta * sigmoid(-m) / len(pairs)
        grad[s, a] -= c
        grad[s] += c * pi[s]
        grad[t, b] += c
        grad[t] -= c * pi[t]
    return loss, grad


@attempt("dpo_loop", "it is B (the number of pairs) times too large: a sum")
def loop_of_sums(theta, ref, pairs, beta):
    loss, grad = loops(theta, ref, pairs, beta)
    return loss * len(pairs), grad * len(pairs)


@attempt("dpo_loop", "the loss must be one number, got the shape (5,)")
def loop_of_a_list(theta, ref, pairs, beta):
    return [loops(theta, ref, [pair], beta)[0] for pair in pairs], loops(theta, ref, pairs, beta)[1]


@attempt("dpo_loop", "none of the well-known mistakes")
def loop_that_lets_the_rejected_go(theta, ref, pairs, beta):
    loss, _ = loops(theta, ref, pairs, beta)
    return loss, loops(theta, ref, [(won, []) for won, _ in pairs], beta)[1]


# IPO.


@attempt("ipo")
def ipo_by_matrices(logits, ref_logits, difference, *, beta):
    lead = margins(logits, ref_logits, difference)
    return ((lead - 1 / (2 * beta))**2).mean(), back(logits, difference, 2 * lead - 1 / beta)


@attempt("ipo")
def ipo_by_rows(logits, ref_logits, difference, *, beta):
    D, logp = difference.toarray(), log_softmax(logits)
    h, loss, G = (logp - log_softmax(ref_logits)).ravel(), 0.0, np.zeros(logits.size)
    for row in D:
        missing = row @ h - 0.5 / beta
        loss += missing**2 / len(D)
        G += 2 * missing * row / len(D)
    return loss, backward(logp, G.reshape(logits.shape))


def ipo(logits, difference, missing, factor=1.0):
    """What most of the wrong ones return."""
    return (missing**2).mean(), back(logits, difference, 2 * factor * missing)


@attempt("ipo", "no_reference")
def ipo_without_reference(logits, ref_logits, difference, *, beta):
    return ipo(logits, difference, difference @ log_softmax(logits).ravel() - 1 / (2 * beta))


@attempt("ipo", "lead_doubled")
def ipo_one_over_tau(logits, ref_logits, difference, *, beta):
    return ipo(logits, difference, margins(logits, ref_logits, difference) - 1 / beta)


@attempt("ipo", "lead_times_price")
def ipo_without_brackets(logits, ref_logits, difference, *, beta):
    return ipo(logits, difference, margins(logits, ref_logits, difference) - 1 / 2 * beta)


@attempt("ipo", "margin_of_dpo")
def ipo_after_dpo(logits, ref_logits, difference, *, beta):
    m = beta * margins(logits, ref_logits, difference)
    return ipo(logits, difference, m - 1 / (2 * beta), beta)


@attempt("ipo", "swapped")
def ipo_rejected_first(logits, ref_logits, difference, *, beta):
    return ipo(logits, -difference, -margins(logits, ref_logits, difference) - 1 / (2 * beta))


@attempt("ipo", "never_called_back")
def ipo_as_a_hinge(logits, ref_logits, difference, *, beta):
    short = np.maximum(0, 1 / (2 * beta) - margins(logits, ref_logits, difference))
    return ipo(logits, difference, short, -1.0)


@attempt("ipo", "square_of_mean")
def ipo_of_the_mean_lead(logits, ref_logits, difference, *, beta):
    mean = difference.mean(axis=0)
    missing = mean @ h_of(logits, ref_logits).ravel() - 1 / (2 * beta)
    return missing**2, backward(log_softmax(logits),
                                2 * missing * np.reshape(mean, logits.shape))


@attempt("ipo", "of_logits")
def ipo_of_logits(logits, ref_logits, difference, *, beta):
    return ipo(logits, difference, difference @ (logits - ref_logits).ravel() - 1 / (2 * beta))


@attempt("ipo", "at_reference")
def ipo_through_the_reference(logits, ref_logits, difference, *, beta):
    loss, _ = ipo_by_matrices(logits, ref_logits, difference, beta=beta)
    missing = margins(logits, ref_logits, difference) - 1 / (2 * beta)
    return loss, back(ref_logits, difference, 2 * missing)


@attempt("ipo", "by_columns")
def ipo_transposed(logits, ref_logits, difference, *, beta):
    missing = margins(logits, ref_logits, difference) - 1 / (2 * beta)
    return (missing**2).mean(), back_by_columns(logits, difference, 2 * missing)


@attempt("ipo", "gradient: a factor 2 is missing")
def ipo_half_of_the_slope(logits, ref_logits, difference, *, beta):
    loss, grad = ipo_by_matrices(logits, ref_logits, difference, beta=beta)
    return loss, grad / 2


@attempt("ipo", "the backward pass (softmax.3) is missing")
def ipo_returns_G(logits, ref_logits, difference, *, beta):
    missing = margins(logits, ref_logits, difference) - 1 / (2 * beta)
    return ((missing**2).mean(),
            2 * (difference.T @ missing).reshape(logits.shape) / len(missing))


@attempt("ipo", "none of the well-known mistakes")
def ipo_of_absolute_values(logits, ref_logits, difference, *, beta):
    missing = margins(logits, ref_logits, difference) - 1 / (2 * beta)
    return np.abs(missing).mean(), back(logits, difference, np.sign(missing))


# KTO.


@attempt("kto")
def kto_by_kinds(logits, ref_logits, chosen, rejected, *, beta, z0):
    h = h_of(logits, ref_logits).ravel()
    up, down = beta * (chosen @ h - z0), beta * (z0 - rejected @ h)
    n = len(up) + len(down)
    G = -chosen.T @ (sigmoid(up) * sigmoid(-up)) + rejected.T @ (sigmoid(down) * sigmoid(-down))
    return (((1 - sigmoid(up)).sum() + (1 - sigmoid(down)).sum()) / n,
            backward(log_softmax(logits), beta / n * G.reshape(logits.shape)))


@attempt("kto")
def kto_by_strings(logits, ref_logits, chosen, rejected, *, beta, z0):
    h, loss, G = h_of(logits, ref_logits).ravel(), [], np.zeros(logits.size)
    for X, sign in (chosen.toarray(), 1), (rejected.toarray(), -1):
        for row in X:
            worth = sigmoid(sign * beta * (row @ h - z0))
            loss.append(1 - worth)
            G -= sign * beta * worth * (1 - worth) * row
    return np.mean(loss), backward(log_softmax(logits), G.reshape(logits.shape) / len(loss))


def kto(logits, chosen, rejected, m, *, value=lambda m: sigmoid(-m),
        slope=lambda m: -sigmoid(m) * sigmoid(-m), factors=(1, -1), number=None):
    """What most of the wrong ones return; `m` are the margins of both kinds, `factors` dm/dh."""
    n = number or sum(map(len, m))
    G = sum(factor * (X.T @ slope(own)) for factor, X, own in zip(factors, (chosen, rejected), m))
    return (sum(value(own).sum() for own in m) / n,
            backward(log_softmax(logits), G.reshape(logits.shape) / n))


def kto_margins(logits, ref_logits, chosen, rejected, beta, z0):
    h = h_of(logits, ref_logits).ravel()
    return beta * (chosen @ h - z0), -beta * (rejected @ h - z0)


@attempt("kto", "no_reference")
def kto_without_reference(logits, ref_logits, chosen, rejected, *, beta, z0):
    logp = log_softmax(logits).ravel()
    m = beta * (chosen @ logp - z0), -beta * (rejected @ logp - z0)
    return kto(logits, chosen, rejected, m, factors=(beta, -beta))


@attempt("kto", "slope_of_log")
def kto_with_the_slope_of_dpo(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, slope=lambda m: -sigmoid(-m), factors=(beta, -beta))


@attempt("kto", "no_exp")
def kto_logarithms_for_chances(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, factors=(beta, -beta),
               slope=lambda m: -np.log(sigmoid(m)) * np.log(sigmoid(-m)))


@attempt("kto", "by_columns")
def kto_transposed(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    up, down = (beta / sum(map(len, m)) * sigmoid(own) * sigmoid(-own) for own in m)
    G = (rejected.T @ down - chosen.T @ up).reshape(logits.shape, order="F")
    return np.mean(sigmoid(-np.concatenate(m))), backward(log_softmax(logits), G)


@attempt("kto", "logarithm")
def kto_after_dpo(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, value=lambda m: np.log1p(np.exp(-m)),
               slope=lambda m: -sigmoid(-m), factors=(beta, -beta))


@attempt("kto", "swapped")
def kto_likes_the_disliked(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = [-own for own in kto_margins(logits, ref_logits, chosen, rejected, beta, z0)]
    return kto(logits, chosen, rejected, m, factors=(-beta, beta))


@attempt("kto", "swapped")
def kto_worth_as_loss(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, value=sigmoid,
               slope=lambda m: sigmoid(m) * sigmoid(-m), factors=(beta, -beta))


@attempt("kto", "mean_of_each_kind")
def kto_two_means(logits, ref_logits, chosen, rejected, *, beta, z0):
    up, down = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    G = (-beta * chosen.T @ (sigmoid(up) * sigmoid(-up)) / len(up)
         + beta * rejected.T @ (sigmoid(down) * sigmoid(-down)) / len(down))
    return (sigmoid(-up).mean() + sigmoid(-down).mean(),
            backward(log_softmax(logits), G.reshape(logits.shape)))


@attempt("kto", "point_not_turned")
def kto_point_after_the_sign(logits, ref_logits, chosen, rejected, *, beta, z0):
    up, down = kto_margins(logits, ref_logits, chosen, rejected, beta, 0.0)
    return kto(logits, chosen, rejected, (up - beta * z0, down - beta * z0),
               factors=(beta, -beta))


@attempt("kto", "point_in_reward")
def kto_point_without_beta(logits, ref_logits, chosen, rejected, *, beta, z0):
    up, down = kto_margins(logits, ref_logits, chosen, rejected, beta, 0.0)
    return kto(logits, chosen, rejected, (up - z0, down + z0), factors=(beta, -beta))


@attempt("kto", "sign_not_in_gradient")
def kto_one_sign(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, factors=(beta, beta))


@attempt("kto", "no_beta")
def kto_without_beta(logits, ref_logits, chosen, rejected, *, beta, z0):
    return kto(logits, chosen, rejected,
               kto_margins(logits, ref_logits, chosen, rejected, 1.0, z0))


@attempt("kto", "gradient: a factor beta is missing")
def kto_chain_rule_forgotten(logits, ref_logits, chosen, rejected, *, beta, z0):
    return kto(logits, chosen, rejected,
               kto_margins(logits, ref_logits, chosen, rejected, beta, z0))


@attempt("kto", "it is n (the number of strings) times too large: a sum")
def kto_of_sums(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, factors=(beta, -beta), number=1)


@attempt("kto", "none of the well-known mistakes")
def kto_of_the_liked_only(logits, ref_logits, chosen, rejected, *, beta, z0):
    m = kto_margins(logits, ref_logits, chosen, rejected, beta, z0)
    return kto(logits, chosen, rejected, m, factors=(beta, 0.0))


# SimPO.


@attempt("simpo")
def simpo_by_matrices(logits, chosen, rejected, *, beta, simpo_gamma):
    logp, M = log_softmax(logits), chosen - rejected
    x = beta * (M @ logp.ravel()) - simpo_gamma
    G = -beta * (M.T @ sigmoid(-x)).reshape(logits.shape) / len(x)
    return np.log1p(np.exp(-x)).mean(), backward(logp, G)


@attempt("simpo")
def simpo_by_rows(logits, chosen, rejected, *, beta, simpo_gamma):
    logp, loss, G = log_softmax(logits), 0.0, np.zeros(logits.size)
    for good, bad in zip(chosen.toarray(), rejected.toarray()):
        m = beta * (good @ logp.ravel()) - beta * (bad @ logp.ravel())
        loss -= np.log(sigmoid(m - simpo_gamma))
        G -= beta * sigmoid(simpo_gamma - m) * (good - bad)
    return loss / chosen.shape[0], backward(logp, G.reshape(logits.shape) / chosen.shape[0])


def simpo(logits, M, m, lead, slope=lambda x: -sigmoid(-x), factor=1.0):
    """What most of the wrong ones return; `slope` is that of −log σ, `factor` is dm/dh."""
    return -log_sigmoid(m - lead).mean(), back(logits, M, factor * slope(m - lead))


def mean_margins(logits, chosen, rejected):
    """M⁺ − M⁻, and its product with log π."""
    return chosen - rejected, (chosen - rejected) @ log_softmax(logits).ravel()


@attempt("simpo", "no_exp")
def simpo_logarithm_for_a_chance(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * gap, simpo_gamma, slope=lambda x: -log_sigmoid(-x), factor=beta)


@attempt("simpo", "by_columns")
def simpo_transposed(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    x = beta * gap - simpo_gamma
    return -log_sigmoid(x).mean(), back_by_columns(logits, M, -beta * sigmoid(-x))


@attempt("simpo", "lead_inside")
def simpo_lead_in_nats(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * gap, beta * simpo_gamma, factor=beta)


@attempt("simpo", "swapped")
def simpo_rejected_first(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, -beta * gap, simpo_gamma, factor=-beta)


@attempt("simpo", "lead_added")
def simpo_lead_the_other_way(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * gap, -simpo_gamma, factor=beta)


@attempt("simpo", "lead_not_in_gradient")
def simpo_with_the_slope_of_dpo(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return (-log_sigmoid(beta * gap - simpo_gamma).mean(),
            back(logits, M, -beta * sigmoid(-beta * gap)))


@attempt("simpo", "no_lead")
def simpo_without_lead(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * gap, 0.0, factor=beta)


@attempt("simpo", "no_beta")
def simpo_without_beta(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, gap, simpo_gamma)


@attempt("simpo", "saturated")
def simpo_pushes_the_right_ones(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * gap, simpo_gamma, slope=lambda x: -sigmoid(x), factor=beta)


@attempt("simpo", "one_margin")
def simpo_of_the_mean_margin(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, np.full(len(gap), beta * gap.mean()), simpo_gamma, factor=beta)


@attempt("simpo", "no_log")
def simpo_probability_of_preference(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    chance = sigmoid(beta * gap - simpo_gamma)
    return -chance.mean(), back(logits, M, -beta * chance * (1 - chance))


@attempt("simpo", "gradient: a factor beta is missing")
def simpo_chain_rule_forgotten(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * gap, simpo_gamma)


@attempt("simpo", "the backward pass (softmax.3) is missing")
def simpo_returns_G(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    x = beta * gap - simpo_gamma
    return -log_sigmoid(x).mean(), -beta * (M.T @ sigmoid(-x)).reshape(logits.shape) / len(x)


@attempt("simpo", "none of the well-known mistakes")
def simpo_that_multiplies_the_lead(logits, chosen, rejected, *, beta, simpo_gamma):
    M, gap = mean_margins(logits, chosen, rejected)
    return simpo(logits, M, beta * simpo_gamma * gap, 0.0, factor=beta * simpo_gamma)


# The log-odds.


@attempt("log_odds")
def odds_by_expm1(log_p):
    rest = -np.expm1(log_p)
    return log_p - np.log(rest), 1 / rest


@attempt("log_odds")
def odds_one_by_one(log_p):
    slope = [1 / -math.expm1(x) for x in log_p.ravel()]
    value = [x + math.log(one) for x, one in zip(log_p.ravel(), slope)]
    return np.reshape(value, log_p.shape), np.reshape(slope, log_p.shape)


@attempt("log_odds", "cancelled")
def odds_as_printed(log_p):
    p = np.exp(log_p)
    return np.log(p / (1 - p)), 1 / (1 - p)


@attempt("log_odds", "cancelled")
def odds_by_log1p(log_p):
    return log_p - np.log1p(-np.exp(log_p)), 1 + np.exp(log_p) / (1 - np.exp(log_p))


@attempt("log_odds", "cancelled_in_value")
def odds_with_care_for_the_slope(log_p):
    return log_p - np.log(1 - np.exp(log_p)), -1 / np.expm1(log_p)


@attempt("log_odds", "cancelled_in_slope")
def odds_with_care_for_the_value(log_p):
    return log_p - np.log(-np.expm1(log_p)), 1 / (1 - np.exp(log_p))


@attempt("log_odds", "in_the_probability")
def odds_slope_in_p(log_p):
    rest = -np.expm1(log_p)
    return log_p - np.log(rest), np.exp(-log_p) / rest


@attempt("log_odds", "own_part_missing")
def odds_slope_of_the_second_part(log_p):
    rest = -np.expm1(log_p)
    return log_p - np.log(rest), 1 / rest - 1


@attempt("log_odds", "product")
def odds_with_a_plus(log_p):
    rest = -np.expm1(log_p)
    return np.log(rest) + log_p, 1 / rest


@attempt("log_odds", "no_log")
def odds_themselves(log_p):
    rest = -np.expm1(log_p)
    return (1 - rest) / rest, 1 / rest


@attempt("log_odds", "it must return (value, slope), got 1 value")
def odds_without_slope(log_p):
    return log_p - np.log(-np.expm1(log_p))


@attempt("log_odds", "value and slope: the sign is wrong")
def odds_upside_down(log_p):
    rest = -np.expm1(log_p)
    return np.log(rest) - log_p, -1 / rest


@attempt("log_odds", "none of the well-known mistakes")
def odds_in_bits(log_p):
    rest = -np.expm1(log_p)
    return np.log2(np.exp(log_p)) - np.log2(rest), 1 / (rest * np.log(2))


# ORPO.


def own_log_odds(x):
    """As the paper writes it: the means of the exercise are not near 0."""
    return x - np.log(1 - np.exp(x))


def own_slope(x):
    return 1 / (1 - np.exp(x))


def two_means(logits, chosen, rejected):
    """log π̄ of the strings of both kinds."""
    logp = log_softmax(logits).ravel()
    return chosen @ logp, rejected @ logp


@attempt("orpo")
def orpo_by_matrices(logits, chosen, rejected, *, beta):
    plus, minus = two_means(logits, chosen, rejected)
    m = own_log_odds(plus) - own_log_odds(minus)
    push = beta * sigmoid(-m)
    G = -chosen.T @ (1 + push * own_slope(plus)) + rejected.T @ (push * own_slope(minus))
    return ((beta * np.log1p(np.exp(-m)) - plus).mean(),
            backward(log_softmax(logits), G.reshape(logits.shape) / len(m)))


@attempt("orpo")
def orpo_by_rows(logits, chosen, rejected, *, beta):
    logp, loss, G = log_softmax(logits), 0.0, np.zeros(logits.size)
    for good, bad in zip(chosen.toarray(), rejected.toarray()):
        p, q = np.exp(good @ logp.ravel()), np.exp(bad @ logp.ravel())
        ratio = p / (1 - p) / (q / (1 - q))
        loss += -np.log(p) - beta * np.log(ratio / (1 + ratio))
        G += -good - beta / (1 + ratio) * (good / (1 - p) - bad / (1 - q))
    return loss / chosen.shape[0], backward(logp, G.reshape(logits.shape) / chosen.shape[0])


def orpo(logits, chosen, rejected, value, slope_plus, slope_minus):
    """What most of the wrong ones return; the slopes are those in log π̄."""
    G = (chosen.T @ slope_plus + rejected.T @ slope_minus).reshape(logits.shape) / len(value)
    return value.mean(), backward(log_softmax(logits), G)


def parts(logits, chosen, rejected):
    """log π̄(y⁺), m, and the slopes of m in the two log π̄, without their signs."""
    plus, minus = two_means(logits, chosen, rejected)
    return plus, own_log_odds(plus) - own_log_odds(minus), own_slope(plus), own_slope(minus)


@attempt("orpo", "no_exp")
def orpo_logarithm_for_a_chance(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = beta * log_sigmoid(-m)
    return orpo(logits, chosen, rejected, -plus - beta * log_sigmoid(m), -1 - push * up,
                push * down)


@attempt("orpo", "by_columns")
def orpo_transposed(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = beta * sigmoid(-m)
    return ((-plus - beta * log_sigmoid(m)).mean(),
            back_by_columns(logits, chosen, -1 - push * up)
            + back_by_columns(logits, rejected, push * down))


@attempt("orpo", "slope_missing")
def orpo_forgets_the_slope_of_odds(logits, chosen, rejected, *, beta):
    plus, m, _, _ = parts(logits, chosen, rejected)
    return orpo(logits, chosen, rejected, -plus - beta * log_sigmoid(m), -1 - beta * sigmoid(-m),
                beta * sigmoid(-m))


@attempt("orpo", "log_probabilities")
def orpo_without_odds(logits, chosen, rejected, *, beta):
    plus, minus = two_means(logits, chosen, rejected)
    m = plus - minus
    return orpo(logits, chosen, rejected, -plus - beta * log_sigmoid(m), -1 - beta * sigmoid(-m),
                beta * sigmoid(-m))


@attempt("orpo", "printed_sign")
def orpo_as_printed(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    delta = 1 / (1 + np.exp(m))
    return orpo(logits, chosen, rejected, -plus - beta * log_sigmoid(m), -1 + beta * delta * up,
                -beta * delta * down)


@attempt("orpo", "weight_inside")
def orpo_after_dpo(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = beta * sigmoid(-beta * m)
    return orpo(logits, chosen, rejected, -plus - log_sigmoid(beta * m), -1 - push * up,
                push * down)


@attempt("orpo", "no_imitation")
def orpo_of_odds_only(logits, chosen, rejected, *, beta):
    _, m, up, down = parts(logits, chosen, rejected)
    push = beta * sigmoid(-m)
    return orpo(logits, chosen, rejected, -beta * log_sigmoid(m), -push * up, push * down)


@attempt("orpo", "saturated")
def orpo_pushes_the_right_ones(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = beta * sigmoid(m)
    return orpo(logits, chosen, rejected, -plus - beta * log_sigmoid(m), -1 - push * up,
                push * down)


@attempt("orpo", "margin_turned")
def orpo_odds_of_the_rejected(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = beta * sigmoid(m)
    return orpo(logits, chosen, rejected, -plus - beta * log_sigmoid(-m), -1 + push * up,
                -push * down)


@attempt("orpo", "swapped")
def orpo_rejected_first(logits, chosen, rejected, *, beta):
    return orpo_by_rows(logits, rejected, chosen, beta=beta)


@attempt("orpo", "weight_on_imitation")
def orpo_weighs_the_other_term(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = sigmoid(-m)
    return orpo(logits, chosen, rejected, -beta * plus - log_sigmoid(m), -beta - push * up,
                push * down)


@attempt("orpo", "the backward pass (softmax.3) is missing")
def orpo_returns_G(logits, chosen, rejected, *, beta):
    plus, m, up, down = parts(logits, chosen, rejected)
    push = beta * sigmoid(-m)
    G = rejected.T @ (push * down) - chosen.T @ (1 + push * up)
    return (-plus - beta * log_sigmoid(m)).mean(), G.reshape(logits.shape) / len(m)


@attempt("orpo", "loss and gradient: it is B (the number of pairs) times too large")
def orpo_of_sums(logits, chosen, rejected, *, beta):
    loss, grad = orpo_by_matrices(logits, chosen, rejected, beta=beta)
    return loss * chosen.shape[0], grad * chosen.shape[0]


@attempt("orpo", "none of the well-known mistakes")
def orpo_imitates_both(logits, chosen, rejected, *, beta):
    loss, grad = orpo_by_matrices(logits, chosen, rejected, beta=beta)
    _, minus = two_means(logits, chosen, rejected)
    return loss - minus.mean(), grad + back(logits, rejected, -np.ones(len(minus)))
