"""Attempts at the exercises of `rewards`."""

import numpy as np

from attempts import attempt
from minirl.kernel.softmax import backward, log_softmax
from minirl.play.ppo import ppo_loss


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


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


# The price of leaving the reference.


def paid(string, r, pi, ref, beta):
    """What each step is paid."""
    s, a = np.array(string).T
    return r[s, a] - beta * (np.log(pi[s, a]) - np.log(ref[s, a]))


@attempt("credits")
def cumulated(string, r, pi, ref, beta):
    return np.cumsum(paid(string, r, pi, ref, beta)[::-1])[::-1]


@attempt("credits")
def sum_of_the_rest(string, r, pi, ref, beta):
    return [sum(r[s, a] - beta * np.log(pi[s, a]) + beta * np.log(ref[s, a])
                for s, a in string[t:]) for t in range(len(string))]


@attempt("credits", "price_added")
def ratio_to_policy(string, r, pi, ref, beta):
    return sum_of_the_rest(string, r, ref, pi, beta)


@attempt("credits", "own_price_only")
def blamed_for_itself(string, r, pi, ref, beta):
    return paid(string, 0 * r, pi, ref, beta) + cumulated(string, r, pi, ref, 0)


@attempt("credits", "mean_price")
def one_price(string, r, pi, ref, beta):
    price = sum(np.log(pi[step] / ref[step]) for step in string) / len(string)
    return cumulated(string, r, pi, ref, 0) - beta * price


@attempt("credits", "no_reference")
def entropy_bonus(string, r, pi, ref, beta):
    return sum_of_the_rest(string, r, pi, np.ones(pi.shape), beta)


@attempt("credits", "no_log")
def ratios_as_prices(string, r, pi, ref, beta):
    return cumulated(string, r - beta * pi / ref, pi, ref, 0)


@attempt("credits", "no_sum")
def steps_alone(string, r, pi, ref, beta):
    return paid(string, r, pi, ref, beta)


@attempt("credits", "so_far")
def until_here(string, r, pi, ref, beta):
    return np.cumsum(paid(string, r, pi, ref, beta))


@attempt("credits", "own_left_out")
def from_the_next_on(string, r, pi, ref, beta):
    return [*sum_of_the_rest(string, r, pi, ref, beta)[1:], 0.0]


@attempt("credits", "turned_round")
def from_the_end(string, r, pi, ref, beta):
    return np.cumsum(paid(string[::-1], r, pi, ref, beta))


@attempt("credits", "credit: the sign is wrong")
def costs(string, r, pi, ref, beta):
    return -cumulated(string, r, pi, ref, beta)


@attempt("credits", "must have the shape (5,), got ()")
def of_the_string(string, r, pi, ref, beta):
    return paid(string, r, pi, ref, beta).sum()


@attempt("credits", "none of the well-known mistakes")
def discounted(string, r, pi, ref, beta):
    return 0.9 ** np.arange(len(string)) * cumulated(string, r, pi, ref, beta)


# PPO-ptx.


def imitation(logits, counts, total=None):
    """The loss of imitation and its gradient, entry by entry."""
    loss, grad = 0.0, np.zeros(logits.shape)
    for (s, a), times in np.ndenumerate(counts):
        pi = np.exp(logits[s]) / np.exp(logits[s]).sum()
        loss -= times * np.log(pi[a])
        grad[s] += times * (pi - np.eye(pi.size)[a])
    total = counts.sum() if total is None else total
    return loss / total, grad / total


def combined(clipped, texts, ptx_coef, ppo_coef=1):
    """ppo_coef L_ppo + ptx_coef L_sft, and the same of the gradients."""
    return tuple(ppo_coef * x + ptx_coef * y for x, y in zip(clipped, texts))


@attempt("ptx")
def two_losses(logits, old, batch, counts, *, ptx_coef, clip_range):
    logp, share = log_softmax(logits), counts / counts.sum()
    loss, grad = ppo_loss(logits, old, batch, clip_range=clip_range)
    return (loss - ptx_coef * np.vdot(share, logp),
            grad + ptx_coef * (share.sum(axis=1)[:, None] * np.exp(logp) - share))


@attempt("ptx")
def entry_by_entry(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts), ptx_coef)


@attempt("ptx", "sum")
def all_texts(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts, total=1), ptx_coef)


@attempt("ptx", "wrong_sign")
def rewarded_in_the_loss(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts), -ptx_coef)


@attempt("ptx", "no_coefficient")
def one_to_one(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts), 1)


@attempt("ptx", "coefficient_not_in_gradient")
def priced_loss(logits, old, batch, counts, *, ptx_coef, clip_range):
    loss, _ = two_losses(logits, old, batch, counts, ptx_coef=ptx_coef, clip_range=clip_range)
    return loss, one_to_one(logits, old, batch, counts, ptx_coef=1, clip_range=clip_range)[1]


@attempt("ptx", "steps_of_batch")
def one_number_of_steps(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts, total=batch.number), ptx_coef)


@attempt("ptx", "old_policy")
def texts_of_old(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(old, counts), ptx_coef)


@attempt("ptx", "mixture")
def convex(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts), ptx_coef, 1 - ptx_coef)


@attempt("ptx", "each_state_alike")
def row_by_row(logits, old, batch, counts, *, ptx_coef, clip_range):
    alike = np.array([row / row.sum() for row in counts])
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, alike, total=len(alike)), ptx_coef)


@attempt("ptx", "the backward pass (softmax.3) is missing")
def one_backward_pass_too_few(logits, old, batch, counts, *, ptx_coef, clip_range):
    loss, _ = two_losses(logits, old, batch, counts, ptx_coef=ptx_coef, clip_range=clip_range)
    grad = ppo_loss(logits, old, batch, clip_range=clip_range)[1]
    return loss, grad - ptx_coef * counts / counts.sum()


@attempt("ptx", "none of the well-known mistakes")
def smoothed(logits, old, batch, counts, *, ptx_coef, clip_range):
    return combined(ppo_loss(logits, old, batch, clip_range=clip_range),
                    imitation(logits, counts + 1), ptx_coef)


# Groups.


def earned(rewards, batch):
    """The reward of each string."""
    return rewards if batch is None else np.array(
        [rewards[i:j].sum() for i, j in zip(batch.starts, batch.starts[1:])])


def judged(R, num_generations, judge):
    """What `judge` says of each group, end to end."""
    return np.concatenate([judge(R[i:i + num_generations])
                           for i in range(0, R.size, num_generations)])


@attempt("group_normalised")
def rows(rewards, batch, num_generations):
    R = (rewards if batch is None else batch.totals(rewards)).reshape(-1, num_generations)
    return ((R - R.mean(axis=1)[:, None]) / (R.std(axis=1)[:, None] + 1e-4)).ravel()


def in_stds(r, K):
    mean = sum(r) / K
    std = (sum((x - mean)**2 for x in r) / K)**0.5
    return [(x - mean) / (std + 1e-4) for x in r]


@attempt("group_normalised")
def string_after_string(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations, lambda r: in_stds(r, num_generations))


@attempt("group_normalised", "sample_std")
def like_torch(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: (r - r.mean()) / (r.std(ddof=1) + 1e-4))


@attempt("group_normalised", "batch_std")
def one_std(rewards, batch, num_generations):
    R = earned(rewards, batch)
    return judged(R, num_generations, lambda r: r - r.mean()) / (R.std() + 1e-4)


@attempt("group_normalised", "whole_batch")
def one_group(rewards, batch, num_generations):
    R = earned(rewards, batch)
    return (R - R.mean()) / (R.std() + 1e-4)


@attempt("group_normalised", "no_std")
def as_dr_grpo(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations, lambda r: r - r.mean())


@attempt("group_normalised", "variance")
def no_root(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: (r - r.mean()) / (r.var() + 1e-4))


@attempt("group_normalised", "other_small_number")
def small_as_usual(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: (r - r.mean()) / (r.std() + 1e-8))


@attempt("group_normalised", "small_number_in_root")
def like_layer_norm(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: (r - r.mean()) / np.sqrt(r.var() + 1e-4))


def in_columns(rewards, batch, num_generations, judge):
    R = earned(rewards, batch).reshape(num_generations, -1)
    return np.array([judge(column) for column in R.T]).T.ravel()


@attempt("group_normalised", "interleaved")
def columns(rewards, batch, num_generations):
    return in_columns(rewards, batch, num_generations, lambda r: in_stds(r, num_generations))


def earned_per_step(rewards, batch):
    return earned(rewards, batch) / (1 if batch is None else np.diff(batch.starts))


@attempt("group_normalised", "mean_per_step")
def mean_of_steps(rewards, batch, num_generations):
    return rows(earned_per_step(rewards, batch), None, num_generations)


@attempt("group_normalised", "not finite")
def nothing_added(rewards, batch, num_generations):
    with np.errstate(invalid="ignore"):
        return judged(earned(rewards, batch), num_generations, lambda r: (r - r.mean()) / r.std())


@attempt("group_normalised", "must have the shape (12,), got (3, 4)")
def not_end_to_end(rewards, batch, num_generations):
    return rows(rewards, batch, num_generations).reshape(-1, num_generations)


@attempt("group_normalised", "advantage: the sign is wrong")
def mean_less_reward(rewards, batch, num_generations):
    return -rows(rewards, batch, num_generations)


@attempt("group_normalised", "none of the well-known mistakes")
def medians(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: (r - np.median(r)) / (np.abs(r - np.median(r)).mean() + 1e-4))


@attempt("group_leave_one_out")
def others(rewards, batch, num_generations):
    R = (rewards if batch is None else batch.totals(rewards)).reshape(-1, num_generations)
    return (R - (R.sum(axis=1)[:, None] - R) / (num_generations - 1)).ravel()


@attempt("group_leave_one_out")
def without_each(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: [r[i] - np.delete(r, i).mean() for i in range(r.size)])


@attempt("group_leave_one_out", "own_included")
def all_of_them(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations, lambda r: r - r.mean())


@attempt("group_leave_one_out", "factor_upside_down")
def shrunk(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: (1 - 1 / r.size) * (r - r.sum() / r.size))


@attempt("group_leave_one_out", "divided_by_all")
def others_over_K(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: [r[i] - np.delete(r, i).sum() / r.size for i in range(r.size)])


@attempt("group_leave_one_out", "own_in_sum")
def sum_over_others(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations, lambda r: r - r.sum() / (r.size - 1))


@attempt("group_leave_one_out", "others_of_batch")
def all_but_one(rewards, batch, num_generations):
    return without_each(earned(rewards, batch), None, earned(rewards, batch).size)


@attempt("group_leave_one_out", "divided_by_std")
def in_stds_too(rewards, batch, num_generations):
    std = judged(earned(rewards, batch), num_generations, lambda r: np.full(r.size, r.std()))
    return without_each(rewards, batch, num_generations) / (std + 1e-4)


@attempt("group_leave_one_out", "interleaved")
def others_in_a_column(rewards, batch, num_generations):
    return in_columns(rewards, batch, num_generations, lambda r: others(r, None, r.size))


@attempt("group_leave_one_out", "mean_per_step")
def others_per_step(rewards, batch, num_generations):
    return others(earned_per_step(rewards, batch), None, num_generations)


@attempt("group_leave_one_out", "advantage: the sign is wrong")
def others_less_own(rewards, batch, num_generations):
    return -without_each(rewards, batch, num_generations)


@attempt("group_leave_one_out", "advantage: a factor num_generations is too much")
def sums_for_means(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: [(r[i] - np.delete(r, i).mean()) * r.size for i in range(r.size)])


@attempt("group_leave_one_out", "none of the well-known mistakes")
def best_of_others(rewards, batch, num_generations):
    return judged(earned(rewards, batch), num_generations,
                  lambda r: [r[i] - np.delete(r, i).max() for i in range(r.size)])


# GRPO from tables.


def ratio_bounded(ratio, A, epsilon):
    """The minimum of (grpo.1) for the sums A of one sign, and its slope in log π."""
    free, bounded = ratio * A, np.clip(ratio, 1 - epsilon, 1 + epsilon) * A
    return np.minimum(free, bounded), np.where(free <= bounded, free, 0)


def k3_of(u):
    """k3 and its slope in log π."""
    return np.exp(u) - u - 1, 1 - np.exp(u)


def from_tables(logits, old, ref, batch, epsilon, beta, bounded=ratio_bounded, price=k3_of):
    """The loss of GRPO and G."""
    logp = log_softmax(logits)
    ratio = np.exp(logp) / np.exp(log_softmax(old))
    (good, up), (bad, down) = (bounded(ratio, A, epsilon) for A in (batch.gains, batch.losses))
    cost, slope = price(log_softmax(ref) - logp)
    return ((beta * batch.counts * cost - good - bad).sum(),
            beta * batch.counts * slope - up - down)


def in_logits(logits, loss, G):
    """The loss, and its gradient with the backward pass."""
    return loss, G - softmax(logits) * G.sum(axis=1, keepdims=True)


@attempt("grpo")
def whole_tables(logits, old, batch, *, ref_logits, beta, epsilon):
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta))


@attempt("grpo")
def cell_by_cell(logits, old, batch, *, ref_logits, beta, epsilon):
    pi, pi_old, pi_ref = map(softmax, (logits, old, ref_logits))
    loss, grad = 0.0, np.zeros(pi.shape)
    for s, a in np.ndindex(*pi.shape):
        ratio, away, W = pi[s, a] / pi_old[s, a], pi_ref[s, a] / pi[s, a], batch.counts[s, a]
        push = beta * W * (1 - away)
        loss += beta * W * (away - np.log(away) - 1)
        for A in batch.gains[s, a], batch.losses[s, a]:
            bound = 1 + epsilon if A > 0 else 1 - epsilon
            loss -= min(ratio * A, bound * A)
            push -= ratio * A if ratio * A <= bound * A else 0
        grad[s] += push * (np.eye(pi.shape[1])[a] - pi[s])
    return loss, grad


@attempt("grpo", "old_for_reference")
def penalty_to_old(logits, old, batch, *, ref_logits, beta, epsilon):
    return cell_by_cell(logits, old, batch, ref_logits=old, beta=beta, epsilon=epsilon)


@attempt("grpo", "reference_for_old")
def ratio_to_reference(logits, old, batch, *, ref_logits, beta, epsilon):
    return cell_by_cell(logits, ref_logits, batch, ref_logits=ref_logits, beta=beta,
                        epsilon=epsilon)


@attempt("grpo", "kl_subtracted")
def sign_of_the_objective(logits, old, batch, *, ref_logits, beta, epsilon):
    return whole_tables(logits, old, batch, ref_logits=ref_logits, beta=-beta, epsilon=epsilon)


@attempt("grpo", "k3_upside_down")
def ratio_turned_round(logits, old, batch, *, ref_logits, beta, epsilon):
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta,
                                          price=lambda u: (np.exp(-u) + u - 1, np.exp(-u) - 1)))


@attempt("grpo", "k3_slope")
def slope_in_u(logits, old, batch, *, ref_logits, beta, epsilon):
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta,
                                          price=lambda u: (k3_of(u)[0], np.exp(u) - 1)))


@attempt("grpo", "no_ratio_in_gradient")
def slope_of_A(logits, old, batch, *, ref_logits, beta, epsilon):
    def bounded(ratio, A, epsilon):
        value, slope = ratio_bounded(ratio, A, epsilon)
        return value, slope / ratio
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta, bounded))


@attempt("grpo", "both_sides")
def clip_only(logits, old, batch, *, ref_logits, beta, epsilon):
    def bounded(ratio, A, epsilon):
        bound = np.maximum(1 - epsilon, np.minimum(ratio, 1 + epsilon))
        return bound * A, A * ratio * (bound == ratio)
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta, bounded))


@attempt("grpo", "k1")
def log_ratio_as_penalty(logits, old, batch, *, ref_logits, beta, epsilon):
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta,
                                          price=lambda u: (-u, 1)))


@attempt("grpo", "divided_again")
def weighted_mean(logits, old, batch, *, ref_logits, beta, epsilon):
    loss, grad = cell_by_cell(logits, old, batch, ref_logits=ref_logits, beta=beta,
                              epsilon=epsilon)
    return loss / batch.counts.sum(), grad / batch.counts.sum()


@attempt("grpo", "the backward pass (softmax.3) is missing")
def G_alone(logits, old, batch, *, ref_logits, beta, epsilon):
    return from_tables(logits, old, ref_logits, batch, epsilon, beta)


@attempt("grpo", "gradient: the sign is wrong")
def ascent(logits, old, batch, *, ref_logits, beta, epsilon):
    loss, grad = whole_tables(logits, old, batch, ref_logits=ref_logits, beta=beta,
                              epsilon=epsilon)
    return loss, -grad


@attempt("grpo", "a factor S·A (the number of entries of the table) is missing")
def mean_of_entries(logits, old, batch, *, ref_logits, beta, epsilon):
    loss, G = from_tables(logits, old, ref_logits, batch, epsilon, beta)
    return in_logits(logits, loss / G.size, G / G.size)


@attempt("grpo", "none of the well-known mistakes")
def half_the_square(logits, old, batch, *, ref_logits, beta, epsilon):
    return in_logits(logits, *from_tables(logits, old, ref_logits, batch, epsilon, beta,
                                          price=lambda u: (u * u / 2, -u)))


# GRPO with loops.


def min_of_two(ratio, A, epsilon):
    """The minimum of (grpo.1) at a step, and what stands before ∇ log π in its gradient."""
    if A > 0:
        return (A * ratio, A * ratio) if ratio <= 1 + epsilon else (A * (1 + epsilon), 0)
    return (A * ratio, A * ratio) if ratio >= 1 - epsilon else (A * (1 - epsilon), 0)


def per_string(strings, o):
    return len(strings) * len(o)


def by_scores(theta, old, ref, strings, A, epsilon, beta, bounded=min_of_two, size=per_string,
              price=k3_of):
    """J and its gradient as a sum over steps."""
    J, grad, eye = 0.0, np.zeros(theta.shape), np.eye(theta.shape[1])
    pi, pi_old, pi_ref = map(softmax, (theta, old, ref))
    for i, o in enumerate(strings):
        for step in o:
            gain, push = bounded(pi[step] / pi_old[step], A[i], epsilon)
            cost, slope = price(np.log(pi_ref[step] / pi[step]))
            J += (gain - beta * cost) / size(strings, o)
            grad[step[0]] += ((push - beta * slope) * (eye[step[1]] - pi[step[0]])
                              / size(strings, o))
    return J, grad


@attempt("grpo_loop")
def scores(theta, old, ref, strings, A, *, epsilon, beta):
    return by_scores(theta, old, ref, strings, A, epsilon, beta)


@attempt("grpo_loop")
def string_as_arrays(theta, old, ref, strings, A, *, epsilon, beta):
    logp, logq, log_ref = map(log_softmax, (theta, old, ref))
    J, G = [], np.zeros(theta.shape)
    for o, A_i in zip(strings, A):
        s, a = np.array(o).T
        ratio, u = np.exp(logp[s, a] - logq[s, a]), log_ref[s, a] - logp[s, a]
        gain, push = ratio_bounded(ratio, A_i, epsilon)
        J.append((gain - beta * (np.exp(u) - u - 1)).mean())
        np.add.at(G, (s, a), (push + beta * (np.exp(u) - 1)) / len(o) / len(strings))
    return np.mean(J), backward(logp, G)


@attempt("grpo_loop", "objective and gradient: the sign is wrong")
def the_loss(theta, old, ref, strings, A, *, epsilon, beta):
    J, grad = string_as_arrays(theta, old, ref, strings, A, epsilon=epsilon, beta=beta)
    return -J, -grad


@attempt("grpo_loop", "score_without_policy")
def own_logit_only(theta, old, ref, strings, A, *, epsilon, beta):
    J, G = scores(theta, old, ref, strings, A, epsilon=epsilon, beta=beta)[0], 0 * theta
    pi, pi_old, pi_ref = map(softmax, (theta, old, ref))
    for o, A_i in zip(strings, A):
        for step in o:
            _, push = min_of_two(pi[step] / pi_old[step], A_i, epsilon)
            G[step] += (push + beta * (pi_ref[step] / pi[step] - 1)) / per_string(strings, o)
    return J, G


@attempt("grpo_loop", "no_length")
def sums_of_steps(theta, old, ref, strings, A, *, epsilon, beta):
    return by_scores(theta, old, ref, strings, A, epsilon, beta,
                     size=lambda strings, o: len(strings))


@attempt("grpo_loop", "all_steps_alike")
def mean_of_all_steps(theta, old, ref, strings, A, *, epsilon, beta):
    return by_scores(theta, old, ref, strings, A, epsilon, beta,
                     size=lambda strings, o: len(sum(strings, [])))


@attempt("grpo_loop", "old_for_reference")
def away_from_old(theta, old, ref, strings, A, *, epsilon, beta):
    return string_as_arrays(theta, old, old, strings, A, epsilon=epsilon, beta=beta)


@attempt("grpo_loop", "reference_for_old")
def ratio_to_ref(theta, old, ref, strings, A, *, epsilon, beta):
    return string_as_arrays(theta, ref, ref, strings, A, epsilon=epsilon, beta=beta)


@attempt("grpo_loop", "kl_added")
def paid_for_leaving(theta, old, ref, strings, A, *, epsilon, beta):
    return string_as_arrays(theta, old, ref, strings, A, epsilon=epsilon, beta=-beta)


@attempt("grpo_loop", "never_dead")
def clipped_value_only(theta, old, ref, strings, A, *, epsilon, beta):
    def bounded(ratio, A, epsilon):
        return min_of_two(ratio, A, epsilon)[0], ratio * A
    return by_scores(theta, old, ref, strings, A, epsilon, beta, bounded)


@attempt("grpo_loop", "no_ratio_in_gradient")
def reinforced(theta, old, ref, strings, A, *, epsilon, beta):
    def bounded(ratio, A, epsilon):
        value, push = min_of_two(ratio, A, epsilon)
        return value, A if push else 0
    return by_scores(theta, old, ref, strings, A, epsilon, beta, bounded)


@attempt("grpo_loop", "it is n (the number of strings) times too large")
def sum_over_strings(theta, old, ref, strings, A, *, epsilon, beta):
    return by_scores(theta, old, ref, strings, A, epsilon, beta, size=lambda strings, o: len(o))


@attempt("grpo_loop", "gradient: the sign is wrong")
def downhill(theta, old, ref, strings, A, *, epsilon, beta):
    J, grad = scores(theta, old, ref, strings, A, epsilon=epsilon, beta=beta)
    return J, -grad


@attempt("grpo_loop", "k1")
def plain_log_ratio(theta, old, ref, strings, A, *, epsilon, beta):
    return by_scores(theta, old, ref, strings, A, epsilon, beta, price=lambda u: (-u, 1))


@attempt("grpo_loop", "none of the well-known mistakes")
def squared_log_ratio(theta, old, ref, strings, A, *, epsilon, beta):
    return by_scores(theta, old, ref, strings, A, epsilon, beta, price=lambda u: (u * u / 2, -u))
