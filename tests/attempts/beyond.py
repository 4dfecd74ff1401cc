"""Attempts at the exercises of Part 5."""

from itertools import product

import numpy as np

from attempts import attempt
from minirl.beyond.contrastive import infonce_loss
from minirl.kernel.softmax import log_softmax


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


@attempt("symmetric_infonce", "gradient_one_way")
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
    loss, grad = -(p * critic).sum(), -p
    for s, f in enumerate(critic):
        for z in Z:
            gone = np.exp(-z * np.exp(f))
            own = gone if partner else np.ones(len(f))
            each = foreign[s] @ gone
            loss += 0.1 * (p[s] @ (np.exp(-z) - own * each**others))
            part = p[s] * gone * each**others * partner * slopes[0]
            rest = p[s] @ own * others * each**(others - 1) * foreign[s] * gone * slopes[1]
            grad[s] = grad[s] + 0.1 * z * np.exp(f) * (part + rest)
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


