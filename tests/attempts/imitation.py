"""Attempts at the exercises of Part 4, first half."""

import math

import numpy as np
from scipy import special

from attempts import attempt
from minirl.exact.evaluation import (action_values, ending_chance, evaluate, occupancy,
                                     transitions_under)
from minirl.kernel.softmax import backward, log_softmax
from minirl.people.best_of_n import BestOfN


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# sft


def gathered(logits, weights):
    """−Σ weights log π, the loss of most attempts."""
    logp = log_softmax(logits)
    return -(weights * logp).sum(), backward(logp, -weights)


@attempt("sft")
def by_table(logits, counts):
    return gathered(logits, counts / counts.sum())


@attempt("sft")
def by_the_shares(logits, counts):
    pi, N = softmax(logits), counts.sum()
    loss = 0.0
    for (s, a), times in np.ndenumerate(counts):
        loss -= times * np.log(pi[s, a]) / N
    return loss, (counts.sum(axis=1)[:, None] * pi - counts) / N


@attempt("sft", "rows_not_weighted")
def policy_minus_shares(logits, counts):
    rows = counts.sum(axis=1, keepdims=True)
    grad = np.where(rows > 0, softmax(logits) - counts / np.where(rows > 0, rows, 1), 0)
    return by_table(logits, counts)[0], grad


@attempt("sft", "every_state_alike")
def mean_of_means(logits, counts):
    met = [s for s in range(len(counts)) if counts[s].any()]
    weights = np.zeros(counts.shape)
    for s in met:
        weights[s] = counts[s] / counts[s].sum() / len(met)
    return gathered(logits, weights)


@attempt("sft", "end_not_counted")
def letters_only(logits, counts):
    letters = counts.copy()
    letters[:, 0] = 0
    return gathered(logits, letters / letters.sum())


@attempt("sft", "once_each")
def seen_or_not(logits, counts):
    seen = (counts > 0).astype(float)
    return gathered(logits, seen / seen.sum())


@attempt("sft", "no_log")
def mean_probability(logits, counts):
    pi = softmax(logits)
    share = counts / counts.sum()
    return -(share * pi).sum(), -pi * (share - (share * pi).sum(axis=1, keepdims=True))


@attempt("sft", "log_of_mean")
def logarithm_outside(logits, counts):
    pi = softmax(logits)
    mean = (counts * pi).sum() / counts.sum()
    return -np.log(mean), backward(np.log(pi), -counts * pi / counts.sum() / mean)


@attempt("sft", "perplexity")
def guessed_among(logits, counts):
    loss, grad = by_table(logits, counts)
    return np.exp(loss), grad


@attempt("sft", "bits")
def base_two(logits, counts):
    loss = -(counts * np.log2(softmax(logits))).sum() / counts.sum()
    return loss, by_table(logits, counts)[1] / np.log(2)


@attempt("sft", "loss and gradient: it is N (the number of steps) times too large")
def sums(logits, counts):
    return gathered(logits, counts)


@attempt("sft", "mean over the table")
def numpy_mean(logits, counts):
    return gathered(logits, counts / counts.size)


@attempt("sft", "the backward pass (softmax.3) is missing")
def returns_G(logits, counts):
    return by_table(logits, counts)[0], -counts / counts.sum()


@attempt("sft", "a factor π is missing")
def slope_in_pi(logits, counts):
    logp = log_softmax(logits)
    return by_table(logits, counts)[0], backward(logp, -counts / counts.sum() / np.exp(logp))


@attempt("sft", "none of the well-known mistakes")
def decayed(logits, counts):
    loss, grad = by_table(logits, counts)
    return loss + 0.05 * (logits**2).sum(), grad + 0.1 * logits


# counting


def shares(total):
    return total / total.sum(axis=1, keepdims=True)


def plus(counts, pseudo_count):
    """N + α, and ones in a row without either."""
    total = counts + pseudo_count
    total[total.sum(axis=1) == 0] = 1
    return total


@attempt("counting")
def add_and_divide(counts, *, pseudo_count):
    with np.errstate(divide="ignore"):
        return np.log(shares(plus(counts, pseudo_count)))


@attempt("counting")
def row_by_row(counts, *, pseudo_count):
    S, A = counts.shape
    alpha = np.broadcast_to(pseudo_count, (S, A))
    logp = np.zeros((S, A))
    for s in range(S):
        N = sum(counts[s, a] + alpha[s, a] for a in range(A))
        for a in range(A):
            logp[s, a] = np.log((counts[s, a] + alpha[s, a]) / N if N else 1 / A)
    return logp


@attempt("counting", "alpha_once")
def alpha_of_the_row(counts, *, pseudo_count):
    rows = plus(counts, pseudo_count)
    below = counts.sum(axis=1, keepdims=True) + pseudo_count
    return np.log(rows / np.where(below > 0, below, counts.shape[1]))


@attempt("counting", "over_the_table")
def joint(counts, *, pseudo_count):
    total = plus(counts, pseudo_count)
    return np.log(total) - np.log(np.sum(total))


@attempt("counting", "columns")
def wrong_axis(counts, *, pseudo_count):
    return np.log(shares(plus(counts, pseudo_count).T).T)


@attempt("counting", "no_division")
def logarithms_of_counts(counts, *, pseudo_count):
    return np.log(plus(counts, pseudo_count))


@attempt("counting", "probabilities")
def pi_itself(counts, *, pseudo_count):
    return shares(plus(counts, pseudo_count))


@attempt("counting", "counts_as_logits")
def softmax_of_counts(counts, *, pseudo_count):
    return np.log(softmax(plus(counts, pseudo_count)))


@attempt("counting", "only_unseen")
def fill_the_zeros(counts, *, pseudo_count):
    alpha = np.broadcast_to(pseudo_count, counts.shape)
    return np.log(shares(plus(np.where(counts == 0, alpha, counts), 0)))


@attempt("counting", "shares_first")
def alpha_on_shares(counts, *, pseudo_count):
    rows = counts.sum(axis=1, keepdims=True)
    return np.log(shares(plus(counts / np.where(rows > 0, rows, 1), pseudo_count)))


@attempt("counting", "mixture")
def smoothed(counts, *, pseudo_count):
    A = counts.shape[1]
    rows = np.array([row / row.sum() if row.any() else np.ones(A) / A for row in counts])
    return np.log((1 - pseudo_count) * rows + pseudo_count / A)


@attempt("counting", "nan (not finite)")
def rows_without_counts(counts, *, pseudo_count):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(shares(counts + pseudo_count))


@attempt("counting", "the sign is wrong")
def surprise(counts, *, pseudo_count):
    return -add_and_divide(counts, pseudo_count=pseudo_count)


@attempt("counting", "none of the well-known mistakes")
def one_more(counts, *, pseudo_count):
    return add_and_divide(counts, pseudo_count=pseudo_count + 1)


# best_of_n


def best(law, K, q=None, kl=None, wins=None, reward=None, bound=None):
    """All fields, from q and from what is wrong."""
    p, F = law.prob, np.cumsum(law.prob)
    q = F**K - (F - p)**K if q is None else q
    kl = np.sum(q * np.log(q / p)) if kl is None else kl
    wins = np.sum(q * (F - p / 2)) if wins is None else wins
    reward = np.sum(q * law.rewards) if reward is None else reward
    bound = np.log(K) - (K - 1) / K if bound is None else bound
    return q, reward, kl, bound, wins, law.means @ q


@attempt("best_of_n")
def two_powers(law, n):
    return BestOfN(*best(law, n))


@attempt("best_of_n")
def level_by_level(law, n):
    q, kl, reward, wins, below = [], 0.0, 0.0, 0.0, 0.0
    for p, R in zip(law.prob, law.rewards):
        q.append((below + p)**n - below**n)
        kl += q[-1] * (np.log(q[-1]) - np.log(p))
        reward += q[-1] * R
        wins += q[-1] * (below + p / 2)
        below += p
    means = np.array([sum(w * x for w, x in zip(q, row)) for row in law.means])
    return BestOfN(np.array(q), reward, kl, np.log(n) - 1 + 1 / n, wins, means)


@attempt("best_of_n", "density")
def derivative_of_the_power(law, n):
    return best(law, n, n * law.prob * np.cumsum(law.prob)**(n - 1))


@attempt("best_of_n", "not_a_difference")
def chance_of_no_more(law, n):
    return best(law, n, np.array([law.prob[:k + 1].sum()**n for k in range(len(law.prob))]))


@attempt("best_of_n", "first_lost")
def differences_of_powers(law, n):
    power = np.cumsum(law.prob)**n
    q = np.append(0, power[1:] - power[:-1])
    return best(law, n, q, kl=special.rel_entr(q, law.prob).sum())


@attempt("best_of_n", "power_of_chance")
def all_of_them(law, n):
    return best(law, n, law.prob**n)


@attempt("best_of_n", "worst")
def from_the_top(law, n):
    above = law.prob[::-1].cumsum()[::-1]
    return best(law, n, above**n - (above - law.prob)**n)


@attempt("best_of_n", "at_least_one")
def one_of_them(law, n):
    return best(law, n, np.array([1 - (1 - p)**n for p in law.prob]))


@attempt("best_of_n", "bound_for_kl")
def the_well_known_kl(law, n):
    return best(law, n, kl=np.log(n) - 1 + 1 / n)


@attempt("best_of_n", "exchanged")
def bound_first(law, n):
    q, reward, kl, bound, wins, means = best(law, n)
    return q, reward, bound, kl, wins, means


@attempt("best_of_n", "logarithm_alone")
def log_of_how_many(law, n):
    return best(law, n, bound=math.log(n))


@attempt("best_of_n", "reward_of_one")
def mean_of_the_law(law, n):
    return best(law, n, reward=law.prob @ law.rewards)


@attempt("best_of_n", "means_of_one")
def all_means_of_the_law(law, n):
    return *best(law, n, reward=law.rewards.dot(law.prob))[:-1], law.means.dot(law.prob)


@attempt("best_of_n", "negative_kl")
def under_the_reference(law, n):
    q = best(law, n)[0]
    return best(law, n, kl=law.prob @ np.log(q / law.prob))


@attempt("best_of_n", "reversed_kl")
def from_the_reference(law, n):
    q = best(law, n)[0]
    return best(law, n, kl=(law.prob * (np.log(law.prob) - np.log(q))).sum())


@attempt("best_of_n", "ties_win")
def no_less(law, n):
    return best(law, n, wins=best(law, n)[0] @ np.cumsum(law.prob))


@attempt("best_of_n", "ties_lose")
def strictly_more(law, n):
    below = np.append(0, np.cumsum(law.prob)[:-1])
    return best(law, n, wins=best(law, n)[0] @ below)


@attempt("best_of_n", "tie_of_winner")
def ties_of_the_best(law, n):
    q, below = best(law, n)[0], np.cumsum(law.prob) - law.prob
    return best(law, n, wins=(q * (below + q / 2)).sum())


@attempt("best_of_n", "bound_for_win_rate")
def the_well_known_rate(law, n):
    return best(law, n, wins=1 - 1 / (n + 1))


@attempt("best_of_n", "it must return (prob, reward, KL, bound, win rate, means), got 3 values")
def three_fields(law, n):
    return best(law, n)[:3]


@attempt("best_of_n", "none of the well-known mistakes")
def one_string_less(law, n):
    return best(law, n - 1)


# tilt


@attempt("tilt")
def in_logarithms(ref_logits, action_values, *, beta):
    total = log_softmax(ref_logits) + action_values / beta
    return total - special.logsumexp(total, axis=1, keepdims=True)


@attempt("tilt")
def in_two_moves(ref_logits, action_values, *, beta):
    logp = np.zeros(ref_logits.shape)
    for s, row in enumerate(softmax(ref_logits)):
        worth = [p * np.exp(Q / beta) for p, Q in zip(row, action_values[s])]
        logp[s] = np.log(np.array(worth) / sum(worth))
    return logp


@attempt("tilt", "no_reference")
def boltzmann(ref_logits, action_values, *, beta):
    return np.log(softmax(action_values / beta))


@attempt("tilt", "no_price")
def at_price_one(ref_logits, action_values, *, beta):
    return np.log(softmax(ref_logits + action_values))


@attempt("tilt", "times_beta")
def inverse_temperature(ref_logits, action_values, *, beta):
    return np.log(softmax(ref_logits + action_values * beta))


@attempt("tilt", "wrong_sign")
def worth_less(ref_logits, action_values, *, beta):
    return np.log(softmax(ref_logits - action_values / beta))


@attempt("tilt", "all_over_beta")
def temperature_of_both(ref_logits, action_values, *, beta):
    return np.log(softmax((ref_logits + action_values) / beta))


@attempt("tilt", "not_normalised")
def without_Z(ref_logits, action_values, *, beta):
    return np.log(softmax(ref_logits) * np.exp(action_values / beta))


@attempt("tilt", "probabilities")
def pi_star(ref_logits, action_values, *, beta):
    return softmax(ref_logits + action_values / beta)


@attempt("tilt", "probability_in_exponent")
def without_logarithm(ref_logits, action_values, *, beta):
    return np.log(softmax(softmax(ref_logits) + action_values / beta))


@attempt("tilt", "the sign is wrong")
def surprise_of_the_best(ref_logits, action_values, *, beta):
    return -np.log(softmax(ref_logits + action_values / beta))


@attempt("tilt", "none of the well-known mistakes")
def other_axis(ref_logits, action_values, *, beta):
    return np.log(softmax((ref_logits + action_values / beta).T).T)


# optimum


def solved(mdp, weights, earned=None):
    """Z of weights (S, A): Z = b + T Z, entry by entry."""
    S = len(weights)
    T, b = np.zeros((S, S)), np.zeros(S)
    for s, a in np.ndindex(weights.shape):
        if mdp.terminated[s, a, 0]:
            b[s] += weights[s, a] if earned is None else earned[s, a]
        else:
            T[s, mdp.next_state[s, a, 0]] += weights[s, a]
    return np.linalg.solve(np.eye(S) - T, b)


@attempt("optimum")
def by_the_tools(mdp, ref_logits, *, beta):
    M = np.exp(log_softmax(ref_logits) + mdp.mean_reward / beta)
    T = transitions_under(mdp, M).toarray()
    return beta * np.log(np.linalg.solve(np.eye(len(T)) - T, ending_chance(mdp, M)))


@attempt("optimum")
def soft_value_iteration(mdp, ref_logits, *, beta):
    ref, V = softmax(ref_logits), np.zeros(len(ref_logits))
    for _ in range(300):
        after = np.where(mdp.terminated, 0, V[mdp.next_state])[:, :, 0]
        V = beta * np.log((ref * np.exp((mdp.mean_reward + after) / beta)).sum(axis=1))
    return V


@attempt("optimum", "no_reference")
def all_strings_alike(mdp, ref_logits, *, beta):
    return beta * np.log(solved(mdp, np.exp(mdp.mean_reward / beta)))


@attempt("optimum", "no_price")
def rewards_as_they_are(mdp, ref_logits, *, beta):
    return beta * np.log(solved(mdp, softmax(ref_logits) * np.exp(mdp.mean_reward)))


@attempt("optimum", "times_beta")
def sharpness(mdp, ref_logits, *, beta):
    return beta * np.log(solved(mdp, softmax(ref_logits) * np.exp(mdp.mean_reward * beta)))


@attempt("optimum", "unpaid_end")
def ends_are_free(mdp, ref_logits, *, beta):
    ref = softmax(ref_logits)
    return beta * np.log(solved(mdp, ref * np.exp(mdp.mean_reward / beta), ref))


@attempt("optimum", "after_the_end")
def for_ever(mdp, ref_logits, *, beta):
    M = softmax(ref_logits) * np.exp(mdp.mean_reward / beta)
    T, S = np.zeros((len(M), len(M))), len(M)
    for s, a in np.ndindex(M.shape):
        T[s, mdp.next_state[s, a, 0]] += M[s, a]
    return beta * np.log(np.linalg.solve(np.eye(S) - T, ending_chance(mdp, M)))


@attempt("optimum", "largest_string")
def hard_value_iteration(mdp, ref_logits, *, beta):
    step, V = mdp.mean_reward + beta * log_softmax(ref_logits), np.zeros(len(ref_logits))
    for _ in range(300):
        V = (step + np.where(mdp.terminated, 0, V[mdp.next_state])[:, :, 0]).max(axis=1)
    return V


@attempt("optimum", "mean_reward")
def value_of_the_reference(mdp, ref_logits, *, beta):
    pi = softmax(ref_logits)
    T = transitions_under(mdp, pi).toarray()
    return np.linalg.solve(np.eye(len(T)) - T, (pi * mdp.mean_reward).sum(axis=1))


@attempt("optimum", "no_log")
def partition_sum(mdp, ref_logits, *, beta):
    return solved(mdp, softmax(ref_logits) * np.exp(mdp.mean_reward / beta))


@attempt("optimum", "a factor beta is missing")
def log_Z(mdp, ref_logits, *, beta):
    return by_the_tools(mdp, ref_logits, beta=beta) / beta


@attempt("optimum", "the values must have the shape (3,), got ()")
def objective(mdp, ref_logits, *, beta):
    return mdp.start @ by_the_tools(mdp, ref_logits, beta=beta)


@attempt("optimum", "none of the well-known mistakes")
def a_few_steps(mdp, ref_logits, *, beta):
    ref, Z = softmax(ref_logits), np.ones(len(ref_logits))
    for _ in range(3):
        after = np.where(mdp.terminated, 1, Z[mdp.next_state])[:, :, 0]
        Z = (ref * np.exp(mdp.mean_reward / beta) * after).sum(axis=1)
    return beta * np.log(Z)


# kl


def two(logits, ref_logits):
    return log_softmax(logits), log_softmax(ref_logits)


@attempt("kl")
def weighted_rows(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    G = visits[:, None] * np.exp(logp) * (logp - ref)
    return G.sum(), backward(logp, G)


@attempt("kl")
def by_the_product_rule(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    loss, G = 0.0, np.zeros(logp.shape)
    for s, a in np.ndindex(logp.shape):
        loss += visits[s] * np.exp(logp[s, a]) * (logp[s, a] - ref[s, a])
        G[s, a] = visits[s] * np.exp(logp[s, a]) * (logp[s, a] - ref[s, a] + 1)
    return loss, backward(logp, G)


@attempt("kl", "other_direction")
def from_the_reference_to_the_policy(logits, ref_logits, visits):
    pi, ref = softmax(logits), softmax(ref_logits)
    loss = visits @ (ref * np.log(ref / pi)).sum(axis=1)
    return loss, visits[:, None] * (pi - ref)


@attempt("kl", "other_gradient")
def difference_of_probabilities(logits, ref_logits, visits):
    return (weighted_rows(logits, ref_logits, visits)[0],
            visits[:, None] * (softmax(logits) - softmax(ref_logits)))


@attempt("kl", "reference_weights")
def mean_under_the_reference(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    W = visits[:, None] * np.exp(ref)
    return (W * (logp - ref)).sum(), backward(logp, W)


@attempt("kl", "no_logarithms")
def distance_of_probabilities(logits, ref_logits, visits):
    pi, ref = softmax(logits), softmax(ref_logits)
    G = visits[:, None] * (pi * (pi - ref) + pi * pi)
    return (visits[:, None] * pi * (pi - ref)).sum(), backward(np.log(pi), G)


@attempt("kl", "cross_entropy")
def without_entropy(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    G = -visits[:, None] * np.exp(logp) * ref
    return G.sum(), backward(logp, G)


@attempt("kl", "k2")
def half_the_square(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    W, x = visits[:, None] * np.exp(logp), logp - ref
    return (W * x**2).sum() / 2, backward(logp, W * (x**2 / 2 + x))


@attempt("kl", "visits_unused")
def every_row_once(logits, ref_logits, visits):
    return weighted_rows(logits, ref_logits, visits**0)


@attempt("kl", "N (the number of steps) times too small")
def mean_over_visits(logits, ref_logits, visits):
    return weighted_rows(logits, ref_logits, visits / visits.sum())


@attempt("kl", "a factor S (the number of states) is missing")
def mean_over_rows(logits, ref_logits, visits):
    return weighted_rows(logits, ref_logits, visits / len(visits))


@attempt("kl", "the backward pass (softmax.3) is missing")
def G_of_the_rows(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    G = visits[:, None] * np.exp(logp) * (logp - ref)
    return G.sum(), G


@attempt("kl", "a factor π is missing")
def samples_without_weight(logits, ref_logits, visits):
    logp, ref = two(logits, ref_logits)
    G = visits[:, None] * (logp - ref)
    return (np.exp(logp) * G).sum(), backward(logp, G)


@attempt("kl", "the sign is wrong")
def reference_less_policy(logits, ref_logits, visits):
    return weighted_rows(logits, ref_logits, -visits)


@attempt("kl", "none of the well-known mistakes")
def both_directions(logits, ref_logits, visits):
    one = weighted_rows(logits, ref_logits, visits)
    other = from_the_reference_to_the_policy(logits, ref_logits, visits)
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


# string_kl


def of_strings(mdp, logits, ref_logits):
    """log π, the log-ratio, η (S, 1), and what follows a step."""
    logp, ref = two(logits, ref_logits)
    ratio = logp - ref
    V = evaluate(mdp, np.exp(logp), ratio)
    later = action_values(mdp, V) - mdp.mean_reward
    return logp, ratio, occupancy(mdp, np.exp(logp))[:, None], V, later


def its_gradient(mdp, logits, ref_logits, Q, eta=None):
    """The distance, and the gradient with some Q and η."""
    logp, ratio, visits, V, _ = of_strings(mdp, logits, ref_logits)
    G = (visits if eta is None else eta) * np.exp(logp) * Q
    return mdp.start @ V, backward(logp, G)


@attempt("string_kl")
def as_a_policy_gradient(mdp, logits, ref_logits):
    _, ratio, _, V, later = of_strings(mdp, logits, ref_logits)
    return its_gradient(mdp, logits, ref_logits, ratio + later - V[:, None])


@attempt("string_kl")
def by_matrices(mdp, logits, ref_logits):
    logp, ref = two(logits, ref_logits)
    pi, (S, A) = np.exp(logp), logp.shape
    P = mdp.transitions.toarray().reshape(S, A, S)
    T = np.eye(S) - mdp.gamma * np.einsum("sa,sat->st", pi, P)
    V, eta = np.linalg.solve(T, (pi * (logp - ref)).sum(axis=1)), np.linalg.solve(T.T, mdp.start)
    grad = np.zeros((S, A))
    for s, a in np.ndindex(S, A):
        grad[s, a] = eta[s] * pi[s, a] * (logp[s, a] - ref[s, a] + mdp.gamma * P[s, a] @ V - V[s])
    return eta @ (pi * (logp - ref)).sum(axis=1), grad


@attempt("string_kl", "frozen_visits")
def rows_added_up(mdp, logits, ref_logits):
    logp, ref = two(logits, ref_logits)
    G = occupancy(mdp, np.exp(logp))[:, None] * np.exp(logp) * (logp - ref)
    return G.sum(), backward(logp, G)


@attempt("string_kl", "later_only")
def what_follows(mdp, logits, ref_logits):
    return its_gradient(mdp, logits, ref_logits, of_strings(mdp, logits, ref_logits)[4])


@attempt("string_kl", "visits_missing")
def every_state_once(mdp, logits, ref_logits):
    _, ratio, eta, _, later = of_strings(mdp, logits, ref_logits)
    return its_gradient(mdp, logits, ref_logits, ratio + later, np.ones(eta.shape))


@attempt("string_kl", "reference_visits")
def visits_of_the_reference(mdp, logits, ref_logits):
    _, ratio, _, _, later = of_strings(mdp, logits, ref_logits)
    eta = occupancy(mdp, softmax(ref_logits))[:, None]
    return its_gradient(mdp, logits, ref_logits, ratio + later, eta)


@attempt("string_kl", "rewards_charged")
def action_values_as_they_are(mdp, logits, ref_logits):
    _, ratio, _, V, _ = of_strings(mdp, logits, ref_logits)
    return its_gradient(mdp, logits, ref_logits, ratio + action_values(mdp, V))


@attempt("string_kl", "no_discount")
def without_gamma(mdp, logits, ref_logits):
    _, ratio, _, _, later = of_strings(mdp, logits, ref_logits)
    return its_gradient(mdp, logits, ref_logits, ratio + later / mdp.gamma)


@attempt("string_kl", "every_start")
def from_every_state(mdp, logits, ref_logits):
    _, grad = as_a_policy_gradient(mdp, logits, ref_logits)
    return sum(of_strings(mdp, logits, ref_logits)[3]), grad


@attempt("string_kl", "no_backward")
def G_of_strings(mdp, logits, ref_logits):
    logp, ratio, eta, V, later = of_strings(mdp, logits, ref_logits)
    return mdp.start @ V, eta * np.exp(logp) * (ratio + later)


@attempt("string_kl", "other_direction")
def strings_of_the_reference(mdp, logits, ref_logits):
    pi, ref = softmax(logits), softmax(ref_logits)
    eta = occupancy(mdp, ref)[:, None]
    return (eta * ref * np.log(ref / pi)).sum(), eta * (pi - ref)


@attempt("string_kl", "none of the well-known mistakes")
def square_of_the_ratio(mdp, logits, ref_logits):
    _, ratio, _, _, later = of_strings(mdp, logits, ref_logits)
    return its_gradient(mdp, logits, ref_logits, ratio**2 + later)


# kl_estimates


@attempt("kl_estimates")
def series_near_zero(u):
    near = np.abs(u) < 1e-3
    x = np.where(near, u, 0)
    series = x**2 / 2 + x**3 / 6 + x**4 / 24 + x**5 / 120
    return np.where(near, series, np.expm1(u) - u)


@attempt("kl_estimates")
def hypergeometric(u):
    return u * u / 2 * special.hyp1f1(1, 3, u)


@attempt("kl_estimates")
def term_by_term(u):
    total, term = np.zeros(u.shape), u.copy()
    for k in range(2, 80):
        term = term * u / k
        total += term
    return np.where(np.abs(u) < 1, total, np.exp(u) - 1 - u)


@attempt("kl_estimates", "digits")
def as_printed(u):
    return np.exp(u) - 1 - u


@attempt("kl_estimates", "expm1_alone")
def with_expm1(u):
    return -u + np.expm1(u)


@attempt("kl_estimates", "upside_down")
def policy_over_reference(u):
    ratio = np.exp(-u)
    return ratio - 1 + u


@attempt("kl_estimates", "wrong_sign")
def plus_u(u):
    return np.exp(u) - 1 + u


@attempt("kl_estimates", "ratio_alone")
def mean_zero(u):
    return -(1 - np.exp(u))


@attempt("kl_estimates", "no_one")
def one_too_large(u):
    return -u + np.exp(u)


@attempt("kl_estimates", "k2")
def square(u):
    return 0.5 * u**2


@attempt("kl_estimates", "a factor 2 is missing")
def half(u):
    return series_near_zero(u) / 2


@attempt("kl_estimates", "none of the well-known mistakes")
def absolute(u):
    return np.abs(u)


# k3


def u_of(logits, ref_logits):
    logp, ref = two(logits, ref_logits)
    return logp, ref - logp


def with_slope(logits, ref_logits, weights, slope):
    """The right loss, and the gradient with some slope in log π."""
    logp, u = u_of(logits, ref_logits)
    return (weights * (np.exp(u) - u - 1)).sum(), backward(logp, weights * slope(u))


@attempt("k3")
def chain_rule(logits, ref_logits, weights):
    return with_slope(logits, ref_logits, weights, lambda u: 1 - np.exp(u))


@attempt("k3")
def step_by_step(logits, ref_logits, weights):
    pi, ref = softmax(logits), softmax(ref_logits)
    loss, grad = 0.0, np.zeros(pi.shape)
    for (s, a), W in np.ndenumerate(weights):
        ratio = ref[s, a] / pi[s, a]
        loss += W * (ratio - np.log(ratio) - 1)
        for b in range(pi.shape[1]):
            grad[s, b] += W * (1 - ratio) * ((a == b) - pi[s, b])
    return loss, grad


@attempt("k3", "upside_down")
def ratio_of_the_policy(logits, ref_logits, weights):
    logp, u = u_of(logits, ref_logits)
    r = np.exp(-u)
    return (weights * (r - np.log(r) - 1)).sum(), backward(logp, weights * (r - 1))


@attempt("k3", "k2_gradient")
def straight_through(logits, ref_logits, weights):
    return with_slope(logits, ref_logits, weights, lambda u: -u)


@attempt("k3", "ratio_held")
def detached_ratio(logits, ref_logits, weights):
    return with_slope(logits, ref_logits, weights, lambda u: np.ones(u.shape))


@attempt("k3", "ratio_only")
def detached_logarithm(logits, ref_logits, weights):
    return with_slope(logits, ref_logits, weights, lambda u: -np.exp(u))


@attempt("k3", "k1")
def plain_log_ratio(logits, ref_logits, weights):
    logp, u = u_of(logits, ref_logits)
    return -(weights * u).sum(), backward(logp, weights)


@attempt("k3", "k2")
def squared_log_ratio(logits, ref_logits, weights):
    logp, u = u_of(logits, ref_logits)
    return 0.5 * (weights * u**2).sum(), backward(logp, -weights * u)


@attempt("k3", "policy_twice")
def expected(logits, ref_logits, weights):
    pi, ref = softmax(logits), softmax(ref_logits)
    k = ref - pi - pi * np.log(ref / pi)
    G = weights * (k + pi * (1 - ref / pi))
    return (weights * k).sum(), backward(np.log(pi), G)


@attempt("k3", "once_each")
def visited_or_not(logits, ref_logits, weights):
    return chain_rule(logits, ref_logits, np.sign(weights))


@attempt("k3", "N (the number of steps) times too small")
def mean_of_steps(logits, ref_logits, weights):
    return chain_rule(logits, ref_logits, weights / weights.sum())


@attempt("k3", "the backward pass (softmax.3) is missing")
def G_of_k3(logits, ref_logits, weights):
    _, u = u_of(logits, ref_logits)
    return chain_rule(logits, ref_logits, weights)[0], weights * (1 - np.exp(u))


@attempt("k3", "gradient: the sign is wrong")
def inner_derivative_forgotten(logits, ref_logits, weights):
    return with_slope(logits, ref_logits, weights, lambda u: np.exp(u) - 1)


@attempt("k3", "none of the well-known mistakes")
def clipped(logits, ref_logits, weights):
    return with_slope(logits, ref_logits, weights, lambda u: 1 - np.minimum(np.exp(u), 1.1))
