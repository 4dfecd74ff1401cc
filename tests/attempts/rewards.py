"""Attempts at the exercises of `rewards`."""

import numpy as np

from attempts import attempt
from minirl.kernel.softmax import backward, log_softmax


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def spread_out(rows, numbers, table):
    """One number per string or pair, added up in the entries of its steps."""
    return (rows.toarray().T @ numbers).reshape(table.shape)


# Bradley-Terry.


@attempt("bradley_terry")
def by_matrices(reward_table, difference):
    m = difference @ reward_table.ravel()
    return np.logaddexp(0, -m).mean(), spread_out(difference, -sigmoid(-m) / m.size, reward_table)


@attempt("bradley_terry")
def by_loops(reward_table, difference):
    loss, grad, B = 0.0, np.zeros(reward_table.size), difference.shape[0]
    for row in difference.toarray():
        m = sum(row * reward_table.ravel())
        loss += np.log(1 + np.exp(-m)) / B
        grad -= row / (1 + np.exp(m)) / B
    return loss, grad.reshape(reward_table.shape)


def bradley_terry(reward_table, difference, cost, slope):
    """What most of the wrong ones return: a mean of `cost(m)`, and its gradient by `slope(m)`."""
    m = difference @ reward_table.ravel()
    return cost(m).mean(), spread_out(difference, slope(m) / m.size, reward_table)


def surprise(m):
    return -np.log(sigmoid(m))


@attempt("bradley_terry", "swapped")
def rejected_first(reward_table, difference):
    return by_loops(reward_table, -difference)


@attempt("bradley_terry", "saturated")
def push_the_right_ones(reward_table, difference):
    return bradley_terry(reward_table, difference, surprise, lambda m: -sigmoid(m))


@attempt("bradley_terry", "sigmoid_slope")
def derivative_of_sigmoid(reward_table, difference):
    return bradley_terry(reward_table, difference, surprise,
                         lambda m: -sigmoid(m) * (1 - sigmoid(m)))


@attempt("bradley_terry", "through_softmax")
def as_if_logits(reward_table, difference):
    loss, grad = by_loops(reward_table, difference)
    return loss, backward(log_softmax(reward_table), grad)


@attempt("bradley_terry", "reward_as_policy")
def scores_of_a_policy(reward_table, difference):
    logp = log_softmax(reward_table)
    loss, G = by_loops(logp, difference)
    return loss, backward(logp, G)


@attempt("bradley_terry", "no_log")
def accuracy(reward_table, difference):
    return bradley_terry(reward_table, difference, lambda m: -sigmoid(m),
                         lambda m: -sigmoid(m) * sigmoid(-m))


@attempt("bradley_terry", "squared_error")
def brier(reward_table, difference):
    return bradley_terry(reward_table, difference, lambda m: (1 - sigmoid(m))**2,
                         lambda m: -2 * (1 - sigmoid(m)) * sigmoid(m) * (1 - sigmoid(m)))


@attempt("bradley_terry", "log_of_mean")
def mean_probability(reward_table, difference):
    value, grad = accuracy(reward_table, difference)
    return -np.log(-value), -grad / value


@attempt("bradley_terry", "loss and gradient: it is B (the number of pairs) times too large")
def sums_of_pairs(reward_table, difference):
    loss, grad = by_matrices(reward_table, difference)
    return loss * difference.shape[0], grad * difference.shape[0]


@attempt("bradley_terry", "gradient: the sign is wrong")
def uphill(reward_table, difference):
    return bradley_terry(reward_table, difference, surprise, lambda m: sigmoid(-m))


@attempt("bradley_terry", "none of the well-known mistakes")
def hinge(reward_table, difference):
    return bradley_terry(reward_table, difference, lambda m: np.maximum(0, 1 - m),
                         lambda m: -1.0 * (m < 1))


# Rankings.


@attempt("plackett_luce")
def choice_by_choice(reward_table, strings, num_generations):
    R = (strings @ reward_table.ravel()).reshape(-1, num_generations)
    loss, slope = 0.0, np.zeros(R.shape)
    for k in range(num_generations):
        left = np.exp(R[:, k:])
        loss += (np.log(left.sum(axis=1)) - R[:, k]).sum() / len(R)
        slope[:, k:] += left / left.sum(axis=1, keepdims=True) / len(R)
        slope[:, k] -= 1 / len(R)
    return loss, spread_out(strings, slope.ravel(), reward_table)


@attempt("plackett_luce")
def string_by_string(reward_table, strings, num_generations):
    rows, K = strings.toarray(), num_generations
    prompts, loss, grad = len(rows) // K, 0.0, np.zeros(reward_table.size)
    for first in range(0, len(rows), K):
        for k in range(first, first + K):
            left = rows[k:first + K]
            weights = np.exp(left @ reward_table.ravel())
            loss += np.log(sum(weights)) - rows[k] @ reward_table.ravel()
            grad += weights @ left / sum(weights) - rows[k]
    return loss / prompts, grad.reshape(reward_table.shape) / prompts


def ranked(reward_table, strings, R, slope_of, back=lambda slope: slope):
    """The mean over rows of R of what `slope_of(row)` costs, and its gradient."""
    found = [slope_of(row) for row in R]
    slope = back(np.array([slope for _, slope in found])).ravel() / len(R)
    return np.mean([cost for cost, _ in found]), spread_out(strings, slope, reward_table)


def choices_of(r, among):
    """The cost of choosing k among `among(k)`, for each k, and its slope in r."""
    cost, slope = 0.0, np.zeros(r.size)
    for k in range(r.size):
        left = among(k)
        chances = np.exp(r[left]) / np.exp(r[left]).sum()
        cost -= np.log(chances[left.index(k)])
        slope[left] += chances
        slope[k] -= 1
    return cost, slope


def rewards_of(reward_table, strings, K):
    return (strings @ reward_table.ravel()).reshape(-1, K)


@attempt("plackett_luce", "all_remain")
def nobody_leaves(reward_table, strings, num_generations):
    K = num_generations
    return ranked(reward_table, strings, rewards_of(reward_table, strings, K),
                  lambda r: choices_of(r, lambda k: list(range(K))))


@attempt("plackett_luce", "first_choice_only")
def best_of_all(reward_table, strings, num_generations):
    K = num_generations
    return ranked(reward_table, strings, rewards_of(reward_table, strings, K),
                  lambda r: choices_of(r, lambda k: [k] if k else list(range(K))))


@attempt("plackett_luce", "worst_first")
def what_came_before(reward_table, strings, num_generations):
    return ranked(reward_table, strings, rewards_of(reward_table, strings, num_generations),
                  lambda r: choices_of(r, lambda k: list(range(k + 1))))


@attempt("plackett_luce", "neighbours")
def next_one(reward_table, strings, num_generations):
    K = num_generations
    return ranked(reward_table, strings, rewards_of(reward_table, strings, K),
                  lambda r: choices_of(r, lambda k: list(range(k, min(k + 2, K)))))


def all_pairs(r):
    cost, slope = 0.0, np.zeros(r.size)
    for k in range(r.size):
        for j in range(k + 1, r.size):
            cost += np.log(1 + np.exp(r[j] - r[k]))
            slope[k] -= sigmoid(r[j] - r[k])
            slope[j] += sigmoid(r[j] - r[k])
    return cost, slope


@attempt("plackett_luce", "pairs")
def comparisons(reward_table, strings, num_generations):
    return ranked(reward_table, strings, rewards_of(reward_table, strings, num_generations),
                  all_pairs)


@attempt("plackett_luce", "This is the Bradley-Terry loss of all pairs of a ranking.")
def mean_of_comparisons(reward_table, strings, num_generations):
    pairs = num_generations * (num_generations - 1) / 2
    loss, grad = comparisons(reward_table, strings, num_generations)
    return loss / pairs, grad / pairs


@attempt("plackett_luce", "interleaved")
def columns_are_prompts(reward_table, strings, num_generations):
    K = num_generations
    return ranked(reward_table, strings, rewards_of(reward_table, strings, K).reshape(K, -1).T,
                  lambda r: choices_of(r, lambda k: list(range(k, K))), np.transpose)


@attempt("plackett_luce", "numerator_only")
def without_partition(reward_table, strings, num_generations):
    K = num_generations
    slope = np.full((strings.shape[0] // K, K), -1.0)
    slope[:, -1] = 0  # the last is no choice
    loss, _ = choice_by_choice(reward_table, strings, K)
    return loss, spread_out(strings, slope.ravel() / len(slope), reward_table)


@attempt("plackett_luce", "loss and gradient: a factor num_generations is missing")
def mean_over_strings(reward_table, strings, num_generations):
    loss, grad = string_by_string(reward_table, strings, num_generations)
    return loss / num_generations, grad / num_generations


@attempt("plackett_luce", "the sign is wrong")
def likelihood(reward_table, strings, num_generations):
    loss, grad = string_by_string(reward_table, strings, num_generations)
    return -loss, -grad


@attempt("plackett_luce", "none of the well-known mistakes")
def squares_of_places(reward_table, strings, num_generations):
    return ranked(reward_table, strings, rewards_of(reward_table, strings, num_generations),
                  lambda r: (((r + np.arange(r.size))**2).sum(), 2 * (r + np.arange(r.size))))


# Labels.


@attempt("logistic")
def cross_entropy(reward_table, strings, labels):
    P = sigmoid(strings @ reward_table.ravel())
    loss = -(labels * np.log(P) + (1 - labels) * np.log(1 - P)).mean()
    return loss, spread_out(strings, (P - labels) / len(P), reward_table)


@attempt("logistic")
def one_after_the_other(reward_table, strings, labels):
    loss, grad = 0.0, np.zeros(reward_table.size)
    for row, label in zip(strings.toarray(), labels):
        R = row @ reward_table.ravel()
        loss += label * np.log1p(np.exp(-R)) + (1 - label) * np.log1p(np.exp(R))
        grad += ((1 - label) * sigmoid(R) - label * sigmoid(-R)) * row
    return loss / len(labels), grad.reshape(reward_table.shape) / len(labels)


def labelled(reward_table, strings, cost, slope):
    """A mean of `cost(R)` over strings, and its gradient by `slope(R)`."""
    R = strings @ reward_table.ravel()
    return cost(R).mean(), spread_out(strings, slope(R) / R.size, reward_table)


@attempt("logistic", "good_only")
def bad_forgotten(reward_table, strings, labels):
    return labelled(reward_table, strings, lambda R: labels * surprise(R),
                    lambda R: -labels * sigmoid(-R))


@attempt("logistic", "exchanged")
def bad_is_good(reward_table, strings, labels):
    return cross_entropy(reward_table, strings, 1 - labels)


@attempt("logistic", "label_inside")
def sign_of_label(reward_table, strings, labels):
    sign = labels - (1 - labels)
    return labelled(reward_table, strings, lambda R: surprise(sign * R),
                    lambda R: -sign * (1 - sigmoid(sign * R)))


@attempt("logistic", "squared_error")
def error_of_probability(reward_table, strings, labels):
    return labelled(reward_table, strings, lambda R: (labels - sigmoid(R))**2,
                    lambda R: -2 * (labels - sigmoid(R)) * sigmoid(R) * sigmoid(-R))


@attempt("logistic", "sigmoid_slope")
def chain_rule_twice(reward_table, strings, labels):
    loss, _ = cross_entropy(reward_table, strings, labels)
    return loss, labelled(reward_table, strings, sigmoid,
                          lambda R: (sigmoid(R) - labels) * sigmoid(R) * (1 - sigmoid(R)))[1]


@attempt("logistic", "no_sigmoid")
def slope_of_squares(reward_table, strings, labels):
    loss, _ = cross_entropy(reward_table, strings, labels)
    return loss, labelled(reward_table, strings, sigmoid, lambda R: R - labels)[1]


def per_step(strings):
    rows = strings.toarray()
    return strings.__class__(rows / rows.sum(axis=1, keepdims=True))


@attempt("logistic", "mean_reward")
def reward_per_step(reward_table, strings, labels):
    return one_after_the_other(reward_table, per_step(strings), labels)


@attempt("logistic", "through_softmax")
def labels_of_logits(reward_table, strings, labels):
    loss, grad = one_after_the_other(reward_table, strings, labels)
    return loss, backward(log_softmax(reward_table), grad)


@attempt("logistic", "it is n (the number of strings) times too large")
def sum_of_strings(reward_table, strings, labels):
    loss, grad = cross_entropy(reward_table, strings, labels)
    return loss * len(labels), grad * len(labels)


@attempt("logistic", "none of the well-known mistakes")
def perceptron(reward_table, strings, labels):
    return labelled(reward_table, strings, lambda R: np.maximum(0, (1 - 2 * labels) * R),
                    lambda R: (1 - 2 * labels) * ((1 - 2 * labels) * R > 0))


# Scores.


@attempt("squared")
def least_squares(reward_table, strings, scores):
    error = scores - strings.toarray() @ reward_table.ravel()
    return error @ error / (2 * error.size), spread_out(strings, -error / error.size, reward_table)


@attempt("squared")
def score_by_score(reward_table, strings, scores):
    loss, grad = 0.0, np.zeros(reward_table.size)
    for row, score in zip(strings.toarray(), scores):
        error = (row * reward_table.ravel()).sum() - score
        loss += error**2 / 2 / len(scores)
        grad += error * row / len(scores)
    return loss, grad.reshape(reward_table.shape)


def errors(reward_table, strings, scores):
    return strings @ reward_table.ravel() - scores


@attempt("squared", "mean_reward")
def points_per_step(reward_table, strings, scores):
    return score_by_score(reward_table, per_step(strings), scores)


@attempt("squared", "repeats_once")
def fancy_index(reward_table, strings, scores):
    grad, error = np.zeros(reward_table.size), errors(reward_table, strings, scores)
    for i in range(error.size):
        steps = strings.indices[strings.indptr[i]:strings.indptr[i + 1]]
        grad[steps] += error[i] / error.size
    return (error**2).mean() / 2, grad.reshape(reward_table.shape)


@attempt("squared", "square_of_mean")
def errors_cancel(reward_table, strings, scores):
    mean = errors(reward_table, strings, scores).mean()
    return mean * mean / 2, mean * strings.toarray().mean(axis=0).reshape(reward_table.shape)


@attempt("squared", "centred")
def variance(reward_table, strings, scores):
    error, rows = errors(reward_table, strings, scores), strings.toarray()
    grad = error @ (rows - rows.mean(axis=0)) / error.size
    return error.var() / 2, grad.reshape(reward_table.shape)


@attempt("squared", "absolute")
def absolute_error(reward_table, strings, scores):
    error = errors(reward_table, strings, scores)
    return np.abs(error).mean(), spread_out(strings, np.where(error > 0, 1, -1) / error.size,
                                            reward_table)


@attempt("squared", "reward_as_policy")
def log_probabilities(reward_table, strings, scores):
    logp = log_softmax(reward_table)
    loss, G = least_squares(logp, strings, scores)
    return loss, backward(logp, G)


@attempt("squared", "through_softmax")
def scores_of_logits(reward_table, strings, scores):
    loss, grad = least_squares(reward_table, strings, scores)
    return loss, backward(log_softmax(reward_table), grad)


@attempt("squared", "there is a factor 2 too much")
def without_half(reward_table, strings, scores):
    loss, grad = least_squares(reward_table, strings, scores)
    return 2 * loss, 2 * grad


@attempt("squared", "none of the well-known mistakes")
def relative(reward_table, strings, scores):
    error = errors(reward_table, strings, scores) / (1 + np.abs(scores))
    return (error**2).mean() / 2, spread_out(strings, error / error.size, reward_table)
