"""Attempts at the exercises of Part 5."""

from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
from scipy import special

from attempts import attempt
from minirl.beyond.contrastive import infonce_loss
from minirl.beyond.inference import worlds_of_answers
from minirl.exact.planning import policy_gradient
from minirl.kernel.softmax import log_softmax
from minirl.people.kl import string_kl


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# infonce


@attempt("infonce")
def infonce_by_weights(critic, counts):
    weights = counts.sum(axis=0) * np.exp(critic)
    total, own = weights.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
    K = counts.sum()
    return -(counts * (critic - np.log(total))).sum() / K, (own * weights / total - counts) / K


def by_steps(critic, counts, shown=lambda i, j, steps: True):
    """Over the steps of the batch; `shown` says which action j is shown to step i."""
    steps = [(s, a) for s, a in np.ndindex(counts.shape) for _ in range(int(counts[s, a]))]
    K, loss, grad = len(steps), 0.0, np.zeros(critic.shape)
    for i, (s, a) in enumerate(steps):
        others = [b for j, (_, b) in enumerate(steps) if shown(i, j, steps)]
        chances = np.exp(critic[s, others])
        loss += (np.log(chances.sum()) - critic[s, a]) / K
        grad[s, a] -= 1 / K
        for b, chance in zip(others, chances / chances.sum()):
            grad[s, b] += chance / K
    return loss, grad


@attempt("infonce")
def infonce_by_steps(critic, counts):
    return by_steps(critic, counts)


@attempt("infonce", "false_negatives_masked")
def infonce_masked(critic, counts):
    return by_steps(critic, counts,
                    lambda i, j, steps: i == j or steps[i][1] != steps[j][1])


@attempt("infonce", "partner_left_out")
def infonce_of_the_others(critic, counts):
    return by_steps(critic, counts, lambda i, j, steps: i != j)


@attempt("infonce", "all_of_the_table")
def infonce_cross_entropy(critic, counts):
    logp = log_softmax(critic)
    own = counts.sum(axis=1, keepdims=True)
    return -(counts * logp).sum() / counts.sum(), (own * np.exp(logp) - counts) / counts.sum()


@attempt("infonce", "no_softmax")
def infonce_returns_G(critic, counts):
    return infonce_by_weights(critic, counts)[0], -counts / counts.sum()


@attempt("infonce", "number_left_out")
def infonce_as_imitation(critic, counts):
    loss, grad = infonce_by_weights(critic, counts)
    weights = counts.sum(axis=0) * np.exp(critic)
    used = counts > 0
    chances = (weights / weights.sum(axis=1, keepdims=True))[used]
    return -counts[used] @ np.log(chances) / counts.sum(), grad


@attempt("infonce", "states_for_actions")
def infonce_of_columns(critic, counts):
    weights, K = counts.sum(axis=1, keepdims=True) * np.exp(critic), counts.sum()
    total = weights.sum(axis=0)
    grad = (counts.sum(axis=0) * weights / total - counts) / K
    return (counts * (np.log(total) - critic)).sum() / K, grad


@attempt("infonce", "seen_without_log")
def infonce_adds_seen(critic, counts):
    seen, K = counts.sum(axis=0), counts.sum()
    there = np.where(seen > 0, np.exp(critic + seen), 0.0)
    pi = there / there.sum(axis=1, keepdims=True)
    log_pi = np.log(np.where(counts > 0, pi, 1.0))
    return ((seen * seen).sum() - (counts * log_pi).sum()) / K, (
        counts.sum(axis=1, keepdims=True) * pi - counts) / K


@attempt("infonce", "states_alike")
def infonce_mean_of_means(critic, counts):
    seen, loss, grad = counts.sum(axis=0), 0.0, np.zeros(critic.shape)
    used = [s for s in range(len(counts)) if counts[s].any()]
    column = np.zeros(len(seen))
    for s in used:
        share = counts[s] / counts[s].sum() / len(used)
        weights = seen * np.exp(critic[s])
        column += share
        loss -= share[share > 0] @ np.log((weights / weights.sum())[share > 0])
        grad[s] = weights / weights.sum() / len(used) - share
    return loss + column[seen > 0] @ np.log(seen[seen > 0]), grad


@attempt("infonce", "it is K (the size of the batch) times too large")
def infonce_sum(critic, counts):
    loss, grad = infonce_by_weights(critic, counts)
    return loss * counts.sum(), grad * counts.sum()


@attempt("infonce", "gradient: the sign is wrong")
def infonce_uphill(critic, counts):
    loss, grad = infonce_by_weights(critic, counts)
    return loss, -grad


@attempt("infonce", "this is a mean over the table")
def infonce_mean_of_the_table(critic, counts):
    total = (counts.sum(axis=0) * np.exp(critic)).sum(axis=1, keepdims=True)
    grad = infonce_by_weights(critic, counts)[1]
    return -(counts * (critic - np.log(total))).mean(), grad * counts.sum() / counts.size


@attempt("infonce", "none of the well-known mistakes")
def infonce_warm(critic, counts):
    return infonce_by_weights(critic / 0.07, counts)


# symmetric_infonce


@attempt("symmetric_infonce")
def symmetric_by_weights(critic, counts):
    actions, states = infonce_by_weights(critic, counts), infonce_of_columns(critic, counts)
    return (actions[0] + states[0]) / 2, (actions[1] + states[1]) / 2


@attempt("symmetric_infonce")
def symmetric_by_steps(critic, counts):
    loss, grad = by_steps(critic, counts)
    other, turned = by_steps(critic.T, counts.T)
    return 0.5 * loss + 0.5 * other, 0.5 * grad + 0.5 * np.transpose(turned)


@attempt("symmetric_infonce", "one_way")
def symmetric_rows(critic, counts):
    return infonce_by_weights(critic, counts)


@attempt("symmetric_infonce", "other_way")
def symmetric_columns(critic, counts):
    return infonce_of_columns(critic, counts)


@attempt("symmetric_infonce", "gradient_one_way")
def symmetric_half_gradient(critic, counts):
    return symmetric_by_weights(critic, counts)[0], infonce_by_weights(critic, counts)[1] / 2


@attempt("symmetric_infonce", "one_way")
def symmetric_whole_gradient_of_one(critic, counts):
    return symmetric_by_weights(critic, counts)[0], infonce_by_weights(critic, counts)[1]


@attempt("symmetric_infonce", "gradient_other_way")
def symmetric_last_gradient(critic, counts):
    return symmetric_by_weights(critic, counts)[0], infonce_of_columns(critic, counts)[1] / 2


@attempt("symmetric_infonce", "reshaped")
def symmetric_reshaped(critic, counts):
    loss, grad = symmetric_by_weights(critic, counts)
    turned = infonce_of_columns(critic, counts)[1].T
    return loss, (infonce_by_weights(critic, counts)[1] + turned.reshape(critic.shape)) / 2


@attempt("symmetric_infonce", "all_of_the_table")
def symmetric_cross_entropy(critic, counts):
    loss, grad = infonce_cross_entropy(critic, counts)
    other, turned = infonce_cross_entropy(critic.T, counts.T)
    return (loss + other) / 2, (grad + turned.T) / 2


@attempt("symmetric_infonce", "false_negatives_masked")
def symmetric_masked(critic, counts):
    loss, grad = infonce_masked(critic, counts)
    other, turned = infonce_masked(critic.T, counts.T)
    return (loss + other) / 2, (grad + turned.T) / 2


@attempt("symmetric_infonce", "loss and gradient: there is a factor 2 too much")
def symmetric_sum(critic, counts):
    loss, grad = symmetric_by_weights(critic, counts)
    return 2 * loss, 2 * grad


@attempt("symmetric_infonce", "could not be broadcast")
def symmetric_not_turned_back(critic, counts):
    (loss, grad), (other, turned) = infonce_loss(critic, counts), infonce_loss(critic.T, counts.T)
    return (loss + other) / 2, (grad + turned) / 2


@attempt("symmetric_infonce", "the sign is wrong")
def symmetric_uphill(critic, counts):
    loss, grad = symmetric_by_weights(critic, counts)
    return loss, -grad


@attempt("symmetric_infonce", "none of the well-known mistakes")
def symmetric_of_one_softmax(critic, counts):
    """A softmax over all pairs of the batch."""
    K = counts.sum()
    weights = np.outer(counts.sum(axis=1), counts.sum(axis=0)) * np.exp(critic)
    return (counts * (np.log(weights.sum()) - critic)).sum() / K, (
        weights / weights.sum() - counts / K)


# mean_infonce


Z = np.exp(np.arange(-40, 10, 0.1))


def by_quadrature(critic, p, foreign, others, partner=True, slopes=(1, 1)):
    """With `foreign` the law of a foreign action, of each state."""
    loss, grad, z = -(p * critic).sum(), -p, Z[:, None]
    for s, f in enumerate(critic):
        gone = np.exp(-z * np.exp(f))
        own = gone if partner else np.ones(gone.shape)
        each = (gone @ foreign[s])[:, None]
        loss += 0.1 * p[s] @ (np.exp(-z) - own * each**others).sum(axis=0)
        part = p[s] * gone * each**others * partner * slopes[0]
        rest = (own @ p[s])[:, None] * others * each**(others - 1) * foreign[s] * gone * slopes[1]
        grad[s] += 0.1 * (z * np.exp(f) * (part + rest)).sum(axis=0)
    return loss, grad


def marginals(p):
    return np.tile(p.sum(axis=0), (len(p), 1))


@attempt("mean_infonce")
def mean_by_quadrature(critic, joint, *, batch_size):
    p, K = joint / joint.sum(), batch_size
    marginal, z = p.sum(axis=0), Z[:, None, None]
    gone = np.exp(-z * np.exp(critic))
    each = (gone @ marginal)[:, :, None]
    inside = np.exp(-z) - gone * each**(K - 1)
    slopes = z * np.exp(critic) * gone * each**(K - 2) * (
        p * each + (K - 1) * marginal * (p * gone).sum(axis=2, keepdims=True))
    return (p * (0.1 * inside.sum(axis=0) - critic)).sum(), 0.1 * slopes.sum(axis=0) - p


@attempt("mean_infonce")
def mean_by_lists(critic, joint, *, batch_size):
    """All foreign actions."""
    S, A = critic.shape
    marginal, loss, grad = joint.sum(axis=0), 0.0, np.zeros((S, A))
    for foreign in product(range(A), repeat=batch_size - 1):
        chance, times = np.prod(marginal[list(foreign)]), np.bincount(foreign, minlength=A)
        for s, a in np.ndindex(S, A):
            weights = (times + np.eye(A)[a]) * np.exp(critic[s])
            weight = joint[s, a] * chance
            loss += weight * (np.log(weights.sum()) - critic[s, a])
            grad[s] += weight * (weights / weights.sum() - np.eye(A)[a])
    return loss, grad


@attempt("mean_infonce", "one_foreign_too_many")
def mean_of_K_foreign(critic, joint, *, batch_size):
    return by_quadrature(critic, joint, marginals(joint), batch_size)


@attempt("mean_infonce", "mean_in_the_logarithm")
def mean_inside(critic, joint, *, batch_size):
    marginal, loss, grad = joint.sum(axis=0), 0.0, -joint
    for s, a in np.ndindex(joint.shape):
        weights = (batch_size - 1) * marginal * np.exp(critic[s])
        weights[a] += np.exp(critic[s, a])
        loss += joint[s, a] * (np.log(weights.sum()) - critic[s, a])
        grad[s] = grad[s] + joint[s, a] * weights / weights.sum()
    return loss, grad


@attempt("mean_infonce", "mean_batch")
def mean_of_expected_counts(critic, joint, *, batch_size):
    loss, grad = infonce_by_weights(critic, joint)
    return loss + np.log(batch_size), grad


@attempt("mean_infonce", "partner_left_out")
def mean_of_the_others(critic, joint, *, batch_size):
    return by_quadrature(critic, joint, marginals(joint), batch_size - 1, partner=False)


@attempt("mean_infonce", "foreign_by_the_state")
def mean_with_policy(critic, joint, *, batch_size):
    return by_quadrature(critic, joint, joint / joint.sum(axis=1)[:, None], batch_size - 1)


@attempt("mean_infonce", "foreign_alike")
def mean_with_uniform(critic, joint, *, batch_size):
    return by_quadrature(critic, joint, np.full(joint.shape, 1 / joint.shape[1]), batch_size - 1)


@attempt("mean_infonce", "foreign_without_slope")
def mean_with_own_slope(critic, joint, *, batch_size):
    return by_quadrature(critic, joint, marginals(joint), batch_size - 1, slopes=(1, 0))


@attempt("mean_infonce", "power_forgotten")
def mean_without_chain_rule(critic, joint, *, batch_size):
    return by_quadrature(critic, joint, marginals(joint), batch_size - 1,
                         slopes=(1, 1 / (batch_size - 1)))


@attempt("mean_infonce", "the sign is wrong")
def mean_uphill(critic, joint, *, batch_size):
    loss, grad = mean_by_quadrature(critic, joint, batch_size=batch_size)
    return loss, -grad


@attempt("mean_infonce", "loss and gradient: it is K (the size of the batch) times too large")
def mean_of_sums(critic, joint, *, batch_size):
    loss, grad = mean_by_quadrature(critic, joint, batch_size=batch_size)
    return batch_size * loss, batch_size * grad


@attempt("mean_infonce", "none of the well-known mistakes")
def mean_with_coarse_points(critic, joint, *, batch_size):
    loss, grad = mean_by_quadrature(critic, joint, batch_size=batch_size)
    return loss + 1e-6 * (critic**2).sum(), grad + 2e-6 * critic


# negative_sampling


def sampled(critic, p, noise):
    return -(p * np.log(sigmoid(critic)) + noise * np.log(sigmoid(-critic))).sum(), (
        noise * sigmoid(critic) - p * sigmoid(-critic))


def chances(counts):
    p = counts / counts.sum()
    return p, p.sum(axis=1)[:, None], p.sum(axis=0)


@attempt("negative_sampling")
def sampling_by_tables(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    return sampled(critic, p, negatives * rows * columns)


@attempt("negative_sampling")
def sampling_by_loops(critic, counts, *, negatives=5):
    K, (S, A) = counts.sum(), counts.shape
    loss, grad = 0.0, np.zeros((S, A))
    for s, a in np.ndindex(S, A):
        loss += counts[s, a] * np.log1p(np.exp(-critic[s, a])) / K
        grad[s, a] -= counts[s, a] * sigmoid(-critic[s, a]) / K
        for b in range(A):
            weight = counts[s, a] * negatives * counts[:, b].sum() / K**2
            loss += weight * np.log1p(np.exp(critic[s, b]))
            grad[s, b] += weight * sigmoid(critic[s, b])
    return loss, grad


@attempt("negative_sampling", "sign_inside")
def sampling_rewards_all(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    return sampled(critic, p + negatives * rows * columns, 0.0)


@attempt("negative_sampling", "no_exp")
def sampling_logarithms_for_chances(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    loss, _ = sampling_by_tables(critic, counts, negatives=negatives)
    return loss, (p * np.log1p(np.exp(critic))
                  - negatives * rows * columns * np.log1p(np.exp(-critic)))


@attempt("negative_sampling", "no_k")
def sampling_one(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    return sampled(critic, p, rows * columns)


@attempt("negative_sampling", "power")
def sampling_by_power(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    smoothed = counts.sum(axis=0)**0.75
    return sampled(critic, p, negatives * rows * smoothed / smoothed.sum())


@attempt("negative_sampling", "foreign_alike")
def sampling_uniform(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    return sampled(critic, p, negatives / p.shape[1] * rows * np.ones(p.shape))


@attempt("negative_sampling", "foreign_by_the_state")
def sampling_partners(critic, counts, *, negatives=5):
    p, _, _ = chances(counts)
    return sampled(critic, p, negatives * p)


@attempt("negative_sampling", "states_alike")
def sampling_all_states(critic, counts, *, negatives=5):
    p, _, columns = chances(counts)
    return sampled(critic, p, negatives * np.tile(columns, (len(p), 1)))


@attempt("negative_sampling", "slopes_exchanged")
def sampling_wrong_sigma(critic, counts, *, negatives=5):
    p, rows, columns = chances(counts)
    return sampling_by_tables(critic, counts, negatives=negatives)[0], (
        negatives * rows * columns * sigmoid(-critic) - p * sigmoid(critic))


@attempt("negative_sampling", "backward_pass")
def sampling_through_softmax(critic, counts, *, negatives=5):
    loss, grad = sampling_by_tables(critic, counts, negatives=negatives)
    return loss, np.array([g - np.exp(row) * g.sum() for row, g in zip(log_softmax(critic), grad)])


@attempt("negative_sampling", "counts_for_chances")
def sampling_counts(critic, counts, *, negatives=5):
    return sampled(critic, counts,
                   negatives * counts.sum(axis=1)[:, None] * counts.sum(axis=0))


@attempt("negative_sampling", "it is K (the size of the batch) times too large")
def sampling_sum(critic, counts, *, negatives=5):
    loss, grad = sampling_by_tables(critic, counts, negatives=negatives)
    return loss * counts.sum(), grad * counts.sum()


@attempt("negative_sampling", "gradient: the sign is wrong")
def sampling_uphill(critic, counts, *, negatives=5):
    loss, grad = sampling_by_tables(critic, counts, negatives=negatives)
    return loss, -grad


@attempt("negative_sampling", "none of the well-known mistakes")
def sampling_by_softmax(critic, counts, *, negatives=5):
    p, rows, _ = chances(counts)
    return -(p * log_softmax(critic)).sum(), rows * np.exp(log_softmax(critic)) - p


# pass_at_k


@attempt("pass_at_k")
def passed_by_binomials(right, samples, k):
    return np.array([1 - comb(samples - c, k) / comb(samples, k) for c in right.tolist()])


@attempt("pass_at_k")
def passed_by_factors(right, samples, k):
    wrong, none = samples - right, np.ones(len(right))
    for i in range(k):
        none = none * np.maximum(wrong - i, 0) / (samples - i)
    return 1 - none


def of_the_program(right, samples, k, end):
    """That of Chen et al., whose range has `end` = 1."""
    return np.array([1.0 if samples - c < k else
                     1 - np.prod(1 - k / np.arange(samples - c + 1, samples + end))
                     for c in right])


@attempt("pass_at_k")
def passed_by_the_program(right, samples, k):
    return of_the_program(right, samples, k, 1)


@attempt("pass_at_k", "range_too_short")
def passed_by_a_shorter_range(right, samples, k):
    return of_the_program(right, samples, k, 0)


@attempt("pass_at_k", "plug_in")
def passed_by_shares(right, samples, k):
    return np.array([1 - (1 - c / samples)**k for c in right])


@attempt("pass_at_k", "complement")
def failed_by_binomials(right, samples, k):
    return np.array([comb(samples - c, k) / comb(samples, k) for c in right.tolist()])


@attempt("pass_at_k", "all_right")
def passed_always(right, samples, k):
    return np.array([comb(c, k) / comb(samples, k) for c in right.tolist()])


@attempt("pass_at_k", "right_for_wrong")
def passed_by_the_wrong(right, samples, k):
    return np.array([1 - comb(c, k) / comb(samples, k) for c in right.tolist()])


@attempt("pass_at_k", "samples_put_back")
def passed_with_one_divisor(right, samples, k):
    wrong = (samples - right)[:, None] - np.arange(k)
    return 1 - np.prod(np.maximum(wrong, 0) / samples, axis=1)


@attempt("pass_at_k", "begins_at_one")
def passed_after_the_first(right, samples, k):
    none = np.ones(len(right))
    for i in range(1, k + 1):
        none *= np.clip(samples - right - i, 0, None) / (samples - i)
    return 1 - none


@attempt("pass_at_k", "k_times_share")
def passed_on_average(right, samples, k):
    return np.array([min(1.0, k * c / samples) for c in right])


@attempt("pass_at_k", "the estimate must have the shape")
def passed_as_reported(right, samples, k):
    return passed_by_factors(right, samples, k).mean()


@attempt("pass_at_k", "on case 4")
def passed_by_large_binomials(right, samples, k):
    with np.errstate(invalid="ignore"):
        return 1 - special.comb(samples - right, k) / special.comb(samples, k)


@attempt("pass_at_k", "it changes its argument right in place")
def passed_in_place(right, samples, k):
    right *= -1
    right += samples
    return passed_by_factors(samples - right, samples, k)


@attempt("pass_at_k", "none of the well-known mistakes")
def passed_with_a_prior(right, samples, k):
    return 1 - (1 - (right + 1) / (samples + 2))**k


# right_answer


def with_pay(logits, mdp, start, pay, gamma=1.0):
    """The mean sum of a pay r(s, a), its gradient, and the visits; by matrices."""
    S = len(start)
    go = mdp.transitions.toarray().reshape(*mdp.shape, S)
    policy = np.exp(log_softmax(logits))
    moves = np.eye(S) - gamma * np.einsum("sa,sat->st", policy, go)
    values = np.linalg.solve(moves, (policy * pay).sum(axis=1))
    visits = np.linalg.solve(moves.T, start)
    advantage = pay + gamma * go @ values - values[:, None]
    return start @ values, visits[:, None] * policy * advantage, visits


def ends_in(mdp, answers):
    """r(s, a): the chance that the episode ends here, in one of the answers."""
    there = np.isin(np.arange(mdp.shape[0]), answers)
    return (mdp.prob * mdp.terminated).sum(axis=2) * there[:, None]


def gained(logits, mdp, right):
    """Σ_s start(s) p_s and its gradient, prompt by prompt."""
    found = [with_pay(logits, mdp, share * np.eye(len(right))[s], ends_in(mdp, right[s]))
             for s, share in enumerate(mdp.start)]
    return np.array([sum(one[0] for one in found), sum(one[1] for one in found)], dtype=object)


def priced(logits, mdp, ref_logits, gamma=1.0):
    """The KL of strings and its gradient."""
    ratio = log_softmax(logits) - log_softmax(ref_logits)
    return np.array(with_pay(logits, mdp, mdp.start, ratio, gamma)[:2], dtype=object)


@attempt("right_answer")
def answer_by_the_book(logits, mdp, ref_logits, right, *, beta):
    kl, kl_slope = string_kl(replace(mdp, gamma=1.0), logits, ref_logits)
    found = [(share, *policy_gradient(world, logits))
             for share, world in worlds_of_answers(mdp, right)]
    return (beta * kl - sum(share * J for share, J, _ in found),
            beta * kl_slope - sum(share * slope for share, _, slope in found))


@attempt("right_answer")
def answer_by_prompts(logits, mdp, ref_logits, right, *, beta):
    """The log-ratio is a cost of each step."""
    ratio, loss, grad = log_softmax(logits) - log_softmax(ref_logits), 0.0, 0.0
    for s, share in enumerate(mdp.start):
        own = np.where(np.arange(len(right)) == s, share, 0.0)
        J, slope, _ = with_pay(logits, mdp, own, ends_in(mdp, right[s]) - beta * ratio)
        loss, grad = loss - J, grad - slope
    return loss, grad


@attempt("right_answer", "kl_rewarded")
def answer_far_away(logits, mdp, ref_logits, right, *, beta):
    return tuple(-gained(logits, mdp, right) - beta * priced(logits, mdp, ref_logits))


@attempt("right_answer", "right_punished")
def answer_wrong(logits, mdp, ref_logits, right, *, beta):
    return tuple(gained(logits, mdp, right) + beta * priced(logits, mdp, ref_logits))


@attempt("right_answer", "slope_added")
def answer_uphill_and_downhill(logits, mdp, ref_logits, right, *, beta):
    (J, slope), (kl, kl_slope) = gained(logits, mdp, right), priced(logits, mdp, ref_logits)
    return beta * kl - J, beta * kl_slope + slope


@attempt("right_answer", "no_price")
def answer_for_nothing(logits, mdp, ref_logits, right, *, beta):
    return tuple(-gained(logits, mdp, right))


@attempt("right_answer", "discounted_kl")
def answer_soon(logits, mdp, ref_logits, right, *, beta):
    price = beta * priced(logits, mdp, ref_logits, mdp.gamma)
    return tuple(price - gained(logits, mdp, right))


@attempt("right_answer", "shares_forgotten")
def answer_each_alike(logits, mdp, ref_logits, right, *, beta):
    found = beta * priced(logits, mdp, ref_logits)
    for answer in set(right[mdp.start > 0].tolist()):
        own = np.where(right == answer, mdp.start, 0.0)
        J, slope, _ = with_pay(logits, mdp, own / own.sum(), ends_in(mdp, answer))
        found = found - np.array([J, slope], dtype=object)
    return tuple(found)


@attempt("right_answer", "any_right_answer")
def answer_something_right(logits, mdp, ref_logits, right, *, beta):
    J, slope, _ = with_pay(logits, mdp, mdp.start, ends_in(mdp, right[mdp.start > 0]))
    kl, kl_slope = priced(logits, mdp, ref_logits)
    return beta * kl - J, beta * kl_slope - slope


@attempt("right_answer", "exchanged")
def answer_from_the_reference(logits, mdp, ref_logits, right, *, beta):
    return tuple(beta * priced(ref_logits, mdp, logits) - gained(logits, mdp, right))


@attempt("right_answer", "visits_fixed")
def answer_with_frozen_visits(logits, mdp, ref_logits, right, *, beta):
    logp, visits = log_softmax(logits), with_pay(logits, mdp, mdp.start, np.zeros(mdp.shape))[2]
    ratio = logp - log_softmax(ref_logits)
    rows = (np.exp(logp) * ratio).sum(axis=1, keepdims=True)
    J, slope = gained(logits, mdp, right)
    return (beta * visits @ rows[:, 0] - J,
            beta * visits[:, None] * np.exp(logp) * (ratio - rows) - slope)


@attempt("right_answer", "gradient: the sign is wrong")
def answer_uphill(logits, mdp, ref_logits, right, *, beta):
    loss, grad = answer_by_prompts(logits, mdp, ref_logits, right, beta=beta)
    return loss, -grad


@attempt("right_answer", "loss and gradient: a factor beta is missing")
def answer_in_nats(logits, mdp, ref_logits, right, *, beta):
    return tuple(priced(logits, mdp, ref_logits) - gained(logits, mdp, right) / beta)


@attempt("right_answer", "it must return (loss, gradient), got 1 value")
def answer_loss_alone(logits, mdp, ref_logits, right, *, beta):
    return answer_by_prompts(logits, mdp, ref_logits, right, beta=beta)[0]


@attempt("right_answer", "none of the well-known mistakes")
def answer_per_step(logits, mdp, ref_logits, right, *, beta):
    steps = with_pay(logits, mdp, mdp.start, np.ones(mdp.shape))[0]
    return tuple(beta * priced(logits, mdp, ref_logits) / steps - gained(logits, mdp, right))


# compute_optimal


def by_logarithms(law, product_of_sizes, quotient=None):
    """(scaling.3) is linear in log params and log tokens."""
    factors, powers = np.array(law.factors), np.array(law.powers)
    quotient = np.divide(*powers * factors) if quotient is None else quotient
    area, = np.broadcast_arrays(product_of_sizes)
    sides = np.log([area.ravel(), np.full(area.size, quotient)])
    found = np.exp(np.linalg.solve([[1, 1], [powers[0], -powers[1]]], sides))
    return tuple(found.reshape(2, *area.shape))


@attempt("compute_optimal")
def bought_by_logarithms(law, budget):
    return by_logarithms(law, np.asarray(budget) / 6)


@attempt("compute_optimal")
def bought_by_halving(law, budget):
    """The derivative in log params rises with log params."""
    (a, b), (p, q) = law.factors, law.powers
    low, high = np.zeros(np.shape(budget)), np.log(budget)
    for _ in range(100):
        middle = (low + high) / 2
        params = np.exp(middle)
        falls = q * b / (budget / 6 / params)**q < p * a / params**p
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    return np.exp(low), budget / 6 / np.exp(low)


@attempt("compute_optimal", "powers_exchanged")
def bought_with_the_other_powers(law, budget):
    area, (p, q) = np.asarray(budget) / 6, law.powers
    split = bought_by_logarithms(law, 6.0)[0]
    return split * np.exp(p * np.log(area) / (p + q)), np.exp(q * np.log(area) / (p + q)) / split


@attempt("compute_optimal", "no_six")
def bought_without_six(law, budget):
    return by_logarithms(law, budget)


@attempt("compute_optimal", "terms_equal")
def bought_equal_terms(law, budget):
    return by_logarithms(law, np.asarray(budget) / 6, law.factors[0] / law.factors[1])


@attempt("compute_optimal", "no_root")
def bought_without_root(law, budget):
    (a, b), (p, q) = law.factors, law.powers
    params = p * a / (q * b) * (budget / 6)**(q / (p + q))
    return params, budget / 6 / params


@attempt("compute_optimal", "upside_down")
def bought_upside_down(law, budget):
    (a, b), (p, q) = law.factors, law.powers
    return by_logarithms(law, np.asarray(budget) / 6, q * b / (p * a))


@attempt("compute_optimal", "square_root")
def bought_alike(law, budget):
    (a, b), (p, q) = law.factors, law.powers
    split = (p * a / q / b)**(1 / (p + q))
    return split * np.sqrt(budget / 6), np.sqrt(budget / 6) / split


@attempt("compute_optimal", "twenty")
def bought_like_chinchilla(law, budget):
    params = np.sqrt(budget / 120)
    return params, 20 * params


@attempt("compute_optimal", "order")
def bought_tokens_first(law, budget):
    return bought_by_logarithms(law, budget)[::-1]


@attempt("compute_optimal", "it must return (params, tokens), got 1 value")
def bought_params(law, budget):
    return bought_by_logarithms(law, budget)[0]


@attempt("compute_optimal", "there is a factor 2 too much")
def bought_twice_the_tokens(law, budget):
    params, tokens = bought_by_logarithms(law, budget)
    return params, 2 * tokens


@attempt("compute_optimal", "none of the well-known mistakes")
def bought_by_slopes_in_sizes(law, budget):
    """The derivatives in the sizes, and not in their logarithms, are made equal."""
    (a, b), (p, q) = law.factors, law.powers
    wider = law._replace(powers=(p + 1, q + 1))
    return by_logarithms(wider, np.asarray(budget) / 6, p * a / (q * b))


# law


def fitted(x, sizes, losses, cost, slope, shares=True):
    """Σ cost(error) and its gradient by slope(error): arrays, by loops over the points."""
    k = sizes.shape[1]
    value, grad = 0.0, np.zeros(len(x))
    for row, measured in zip(sizes, losses):
        parts = np.append(np.exp(x[0]), np.exp(x[1:k + 1]) / row**x[k + 1:])
        error = np.log(parts.sum() / measured)
        share = parts / parts.sum() if shares else np.ones(k + 1)
        value += cost(error)
        grad[:k + 1] += slope(error) * share
        grad[k + 1:] -= slope(error) * share[1:] * np.log(row)
    return value, grad


def huber(delta):
    """The cost and its slope."""
    return (lambda error: error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2),
            lambda error: np.clip(error, -delta, delta))


@attempt("law")
def law_by_loops(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, *huber(delta))


@attempt("law")
def law_by_tables(x, sizes, losses, *, delta=0.001):
    B, k = sizes.shape
    terms = np.column_stack([np.full(B, x[0]), x[1:k + 1] - x[k + 1:] * np.log(sizes)])
    error = np.logaddexp.reduce(terms, axis=1) - np.log(losses)
    G = special.softmax(terms, axis=1) * np.clip(error, -delta, delta)[:, None]
    small = np.abs(error) <= delta
    value = (error[small]**2).sum() / 2 + (delta * np.abs(error[~small]) - delta**2 / 2).sum()
    return value, np.hstack([G.sum(axis=0), -(G[:, 1:] * np.log(sizes)).sum(axis=0)])


@attempt("law", "mean")
def law_mean(x, sizes, losses, *, delta=0.001):
    value, grad = law_by_loops(x, sizes, losses, delta=delta)
    return value / len(sizes), grad / len(sizes)


@attempt("law", "squares")
def law_of_squares(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, lambda error: error**2 / 2, lambda error: error)


@attempt("law", "losses_without_log")
def law_of_losses(x, sizes, losses, *, delta=0.001):
    k, value, grad = sizes.shape[1], 0.0, 0.0
    cost, slope = huber(delta)
    for row, measured in zip(sizes, losses):
        parts = np.append(np.exp(x[0]), np.exp(x[1:k + 1]) * row**-x[k + 1:])
        value += cost(parts.sum() - measured)
        grad = grad + slope(parts.sum() - measured) * np.append(parts, -parts[1:] * np.log(row))
    return value, grad


@attempt("law", "factors_without_log")
def law_of_plain_factors(x, sizes, losses, *, delta=0.001):
    k = sizes.shape[1]
    plain = np.append(np.log(x[:k + 1]), x[k + 1:])
    value, grad = law_by_loops(plain, sizes, losses, delta=delta)
    return value, grad / np.append(x[:k + 1], np.ones(k))


@attempt("law", "smooth_l1")
def law_smooth(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, lambda error: error**2 / 2 / delta if abs(error) < delta
                  else abs(error) - delta / 2, lambda error: np.clip(error / delta, -1, 1))


@attempt("law", "jump")
def law_with_a_jump(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, lambda error: error**2 / 2 if abs(error) <= delta
                  else delta * abs(error), huber(delta)[1])


@attempt("law", "no_sign")
def law_of_one_sign(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, huber(delta)[0],
                  lambda error: error if abs(error) <= delta else delta)


@attempt("law", "no_shares")
def law_without_softmax(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, *huber(delta), shares=False)


@attempt("law", "power_without_size")
def law_without_log_size(x, sizes, losses, *, delta=0.001):
    value, grad = law_by_loops(x, sizes, losses, delta=delta)
    k = sizes.shape[1]
    return value, np.append(grad[:k + 1], -grad[1:k + 1])


@attempt("law", "gradient: the sign is wrong")
def law_of_measured_less_predicted(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, huber(delta)[0], lambda error: np.clip(-error, -delta, delta))


@attempt("law", "gradient: a factor number of points is missing")
def law_gradient_mean(x, sizes, losses, *, delta=0.001):
    value, grad = law_by_loops(x, sizes, losses, delta=delta)
    return value, grad / len(sizes)


@attempt("law", "none of the well-known mistakes")
def law_without_delta_beyond(x, sizes, losses, *, delta=0.001):
    return fitted(x, sizes, losses, lambda error: error**2 / 2 if abs(error) <= delta
                  else abs(error) - delta / 2,
                  lambda error: error if abs(error) <= delta else np.sign(error))
