"""Attempts at the exercises of Part 3, the end."""

import numpy as np

from attempts import attempt
from minirl.kernel import counts
from minirl.kernel.softmax import backward, kl, log_softmax
from minirl.plain.ppo import advantages, surrogate
from minirl.play.surrogate import Advantages


def softmax(x):
    pi = np.exp(x)
    return pi / pi.sum(axis=1, keepdims=True)


# The policy gradient.


@attempt("reinforce")
def by_table(logits, weights, *, episodes):
    pi = softmax(logits)
    return (-(weights * np.log(pi)).sum() / episodes,
            (pi * weights.sum(axis=1, keepdims=True) - weights) / episodes)


@attempt("reinforce")
def by_scores(logits, weights, *, episodes):
    pi, loss, grad = softmax(logits), 0.0, np.zeros(logits.shape)
    for (s, a), W in np.ndenumerate(weights):
        loss -= W * np.log(pi[s, a]) / episodes
        grad[s] -= W * (np.eye(len(pi[s]))[a] - pi[s]) / episodes
    return loss, grad


def praised(logits, weights, episodes):
    """The right loss for these weights."""
    logp = log_softmax(logits)
    return -(weights * logp).sum() / episodes, backward(logp, -weights / episodes)


@attempt("reinforce", "no_log")
def probabilities(logits, weights, *, episodes):
    pi = softmax(logits)
    mean = (pi * weights).sum(axis=1, keepdims=True)
    return -(weights * pi).sum() / episodes, -pi * (weights - mean) / episodes


@attempt("reinforce", "weighed_by_policy")
def expected(logits, weights, *, episodes):
    return praised(logits, weights * softmax(logits), episodes)


@attempt("reinforce", "softmax_over_states")
def default_axis(logits, weights, *, episodes):
    pi = np.exp(logits) / np.exp(logits).sum(axis=0)
    G = -weights / episodes
    return (G * np.log(pi)).sum(), G - pi * G.sum(axis=1)[:, None]


@attempt("reinforce", "logits_for_log_policy")
def no_softmax(logits, weights, *, episodes):
    return -np.vdot(weights, logits) / episodes, -weights / episodes


@attempt("reinforce", "only_praise")
def positive(logits, weights, *, episodes):
    return praised(logits, np.where(weights > 0, weights, 0.0), episodes)


@attempt("reinforce", "centred")
def whitened(logits, weights, *, episodes):
    return praised(logits, weights - np.mean(weights), episodes)


@attempt("reinforce", "divided_by_weights")
def weighted_mean(logits, weights, *, episodes):
    return praised(logits, weights, np.sum(np.abs(weights)))


@attempt("reinforce", "the backward pass (softmax.3) is missing")
def returns_minus_W(logits, weights, *, episodes):
    return praised(logits, weights, episodes)[0], -weights / episodes


@attempt("reinforce", "loss and gradient: the sign is wrong")
def objective(logits, weights, *, episodes):
    return praised(logits, -weights, episodes)


@attempt("reinforce", "loss and gradient: a factor episodes is too much")
def summed(logits, weights, *, episodes):
    return praised(logits, weights, 1)


@attempt("reinforce", "this is a mean over the table")
def mean_of_entries(logits, weights, *, episodes):
    return praised(logits, weights, weights.size)


@attempt("reinforce", "none of the well-known mistakes")
def squared(logits, weights, *, episodes):
    return praised(logits, weights**2, episodes)


# A batch in two tables.


@attempt("collapse")
def with_tables(steps, advantages, weights=None, *, counted=False):
    weights = np.ones(len(advantages)) if weights is None else weights
    number = counts.table(steps, weights)
    return Advantages(counts.table(steps, weights * np.maximum(advantages, 0)),
                      counts.table(steps, weights * np.minimum(advantages, 0)), number.sum(),
                      number)


@attempt("collapse")
def with_a_loop(steps, advantages, weights=None, *, counted=False):
    gains, losses, number = np.zeros((3, *steps.shape))
    for n, A_n in enumerate(advantages):
        place = divmod(int(steps.index[n]), steps.shape[1])
        w = 1.0 if weights is None else weights[n]
        (gains if A_n > 0 else losses)[place] += w * A_n
        number[place] += w
    return gains, losses, number.sum(), number


def summed_up(steps, A, w=None, v=None):
    """Gains, losses, number and counts, with the weights w of the sums and v of the counts."""
    w = np.ones(len(A)) if w is None else w
    number = counts.table(steps, w if v is None else v)
    return [counts.table(steps, w * A * (A > 0)), counts.table(steps, w * A * (A < 0)),
            number.sum(), number]


@attempt("collapse", "netted")
def sign_of_the_sum(steps, advantages, weights=None, *, counted=False):
    gains, losses, N, number = summed_up(steps, advantages, weights)
    W = gains + losses
    return np.where(W > 0, W, 0), np.where(W < 0, W, 0), N, number


@attempt("collapse", "last_step_only")
def fancy(steps, advantages, weights=None, *, counted=False):
    w = np.ones(len(advantages)) if weights is None else weights
    tables = np.zeros((3, *steps.shape))
    s, a = np.divmod(steps.index, steps.shape[1])
    tables[0, s, a] += w * np.maximum(advantages, 0)
    tables[1, s, a] += w * np.minimum(advantages, 0)
    tables[2, s, a] += w
    return tables[0], tables[1], w.sum(), tables[2]


@attempt("collapse", "weights_not_in_sums")
def weights_in_counts(steps, advantages, weights=None, *, counted=False):
    return summed_up(steps, advantages, None, weights)


@attempt("collapse", "number_without_weights")
def length(steps, advantages, weights=None, *, counted=False):
    gains, losses, _, number = summed_up(steps, advantages, weights)
    return gains, losses, len(advantages), number


@attempt("collapse", "counts_without_weights")
def plain_counts(steps, advantages, weights=None, *, counted=False):
    return summed_up(steps, advantages, weights, np.ones(len(advantages)))


@attempt("collapse", "losses_as_magnitudes")
def magnitudes(steps, advantages, weights=None, *, counted=False):
    gains, losses, N, number = summed_up(steps, advantages, weights)
    return gains, abs(losses), N, number


@attempt("collapse", "divided")
def means(steps, advantages, weights=None, *, counted=False):
    gains, losses, N, number = summed_up(steps, advantages, weights)
    return gains / N, losses / N, N, number


@attempt("collapse", "exchanged")
def other_way(steps, advantages, weights=None, *, counted=False):
    gains, losses, N, number = summed_up(steps, advantages, weights)
    return losses, gains, N, number


@attempt("collapse", "must return (gains, losses, number, counts), got 3 values")
def without_counts(steps, advantages, weights=None, *, counted=False):
    return summed_up(steps, advantages, weights)[:3]


@attempt("collapse", "none of the well-known mistakes")
def one_more(steps, advantages, weights=None, *, counted=False):
    gains, losses, N, number = summed_up(steps, advantages, weights)
    return gains, losses, N, number + 1


# The clip, in tables.


@attempt("ppo")
def by_where(logits, old_logits, batch, *, clip_range=0.2):
    pi, pi_old = softmax(logits), softmax(old_logits)
    ratio, N = pi / pi_old, batch.number
    too_high, too_low = ratio > 1 + clip_range, ratio < 1 - clip_range
    loss = -(np.where(too_high, 1 + clip_range, ratio) * batch.gains
             + np.where(too_low, 1 - clip_range, ratio) * batch.losses).sum() / N
    G = -np.where(too_high, 0, ratio) * batch.gains - np.where(too_low, 0, ratio) * batch.losses
    return loss, backward(np.log(pi), G / N)


@attempt("ppo")
def by_entries(logits, old_logits, batch, *, clip_range=0.2):
    pi, pi_old = softmax(logits), softmax(old_logits)
    loss, grad = 0.0, np.zeros(logits.shape)
    for s, a in np.ndindex(pi.shape):
        rho, score = pi[s, a] / pi_old[s, a], np.eye(pi.shape[1])[a] - pi[s]
        clipped = min(max(rho, 1 - clip_range), 1 + clip_range)
        for A in batch.gains[s, a], batch.losses[s, a]:
            loss -= min(rho * A, clipped * A) / batch.number
            if rho * A <= clipped * A:
                grad[s] -= rho * A * score / batch.number
    return loss, grad


def of_ratio(logits, old_logits):
    return np.exp(log_softmax(logits) - log_softmax(old_logits))


def clip_of(ratio, epsilon):
    return np.clip(ratio, 1 - epsilon, 1 + epsilon)


def inside(ratio, epsilon):
    return abs(ratio - 1) <= epsilon


def from_factors(logits, batch, factors, slopes):
    """A loss and gradient from what A⁺ and A⁻ are multiplied by."""
    both = np.array([batch.gains, batch.losses])
    return (-(np.array(factors) * both).sum() / batch.number,
            backward(log_softmax(logits), -(np.array(slopes) * both).sum(axis=0) / batch.number))


def right_factors(ratio, epsilon):
    return np.minimum(ratio, 1 + epsilon), np.maximum(ratio, 1 - epsilon)


def right_slopes(ratio, epsilon):
    return ratio * (ratio < 1 + epsilon), ratio * (ratio > 1 - epsilon)


@attempt("ppo", "max_for_min")
def wrong_sides(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    low, high = rho < 1 - clip_range, rho > 1 + clip_range
    return from_factors(logits, batch, (np.where(low, 1 - clip_range, rho),
                                        np.where(high, 1 + clip_range, rho)),
                        (rho * ~low, rho * ~high))


@attempt("ppo", "clipped_alone")
def no_minimum(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    return from_factors(logits, batch, [clip_of(rho, clip_range)] * 2,
                        [rho * inside(rho, clip_range)] * 2)


@attempt("ppo", "dead_on_both_sides")
def alive_inside(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    return from_factors(logits, batch, right_factors(rho, clip_range),
                        [rho * inside(rho, clip_range)] * 2)


@attempt("ppo", "netted")
def of_the_sum(logits, old_logits, batch, *, clip_range=0.2):
    W, rho = batch.gains + batch.losses, of_ratio(logits, old_logits)
    dead = (W > 0) & (rho > 1 + clip_range) | (W < 0) & (rho < 1 - clip_range)
    return (-np.minimum(rho * W, clip_of(rho, clip_range) * W).sum() / batch.number,
            backward(log_softmax(logits), -rho * W * ~dead / batch.number))


@attempt("ppo", "no_ratio_in_gradient")
def indicator(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    return from_factors(logits, batch, right_factors(rho, clip_range),
                        (rho < 1 + clip_range, rho > 1 - clip_range))


@attempt("ppo", "gradient_unclipped")
def never_dead(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    return from_factors(logits, batch, right_factors(rho, clip_range), (rho, rho))


@attempt("ppo", "unclipped")
def importance_sampling(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    return from_factors(logits, batch, (rho, rho), (rho, rho))


@attempt("ppo", "upside_down")
def old_over_new(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(old_logits, logits)
    return from_factors(logits, batch, right_factors(rho, clip_range),
                        right_slopes(rho, clip_range))


@attempt("ppo", "upside_down")
def old_over_new_and_its_derivative(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(old_logits, logits)
    up, down = right_slopes(rho, clip_range)
    return from_factors(logits, batch, right_factors(rho, clip_range), (-up, -down))


@attempt("ppo", "log_ratio")
def no_exp(logits, old_logits, batch, *, clip_range=0.2):
    rho = log_softmax(logits) - log_softmax(old_logits)
    return from_factors(logits, batch, right_factors(rho, clip_range),
                        right_slopes(rho, clip_range))


@attempt("ppo", "the backward pass (softmax.3) is missing")
def returns_G(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    up, down = right_slopes(rho, clip_range)
    return (by_where(logits, old_logits, batch, clip_range=clip_range)[0],
            -(up * batch.gains + down * batch.losses) / batch.number)


@attempt("ppo", "loss and gradient: it is N (the number of steps) times too large")
def sums(logits, old_logits, batch, *, clip_range=0.2):
    loss, grad = by_where(logits, old_logits, batch, clip_range=clip_range)
    return loss * batch.number, grad * batch.number


@attempt("ppo", "this is a mean over the table, where the chapter divides by N")
def mean_over_the_table(logits, old_logits, batch, *, clip_range=0.2):
    loss, grad = sums(logits, old_logits, batch, clip_range=clip_range)
    return loss / logits.size, grad / logits.size


@attempt("ppo", "loss and gradient: the sign is wrong")
def uphill(logits, old_logits, batch, *, clip_range=0.2):
    loss, grad = by_where(logits, old_logits, batch, clip_range=clip_range)
    return -loss, -grad


@attempt("ppo", "the backward pass is that of π")
def jacobian_of_pi(logits, old_logits, batch, *, clip_range=0.2):
    loss, G = returns_G(logits, old_logits, batch, clip_range=clip_range)
    pi = softmax(logits)
    return loss, pi * (G - (pi * G).sum(axis=1, keepdims=True))


@attempt("ppo", "none of the well-known mistakes")
def soft_clip(logits, old_logits, batch, *, clip_range=0.2):
    rho = of_ratio(logits, old_logits)
    return from_factors(logits, batch, [1 + clip_range * np.tanh((rho - 1) / clip_range)] * 2,
                        [rho / np.cosh((rho - 1) / clip_range)**2] * 2)


# The clip, in a loop.


@attempt("ppo_loop")
def by_arrays(theta, old, steps, A, epsilon):
    s, a = np.array(steps).T
    A, pi = np.array(A), softmax(theta)
    ratio = pi[s, a] / softmax(old)[s, a]
    free, held = ratio * A, clip_of(ratio, epsilon) * A
    G, alive = np.zeros(theta.shape), free <= held
    np.add.at(G, (s, a), free * alive / len(A))
    return np.minimum(free, held).mean(), backward(np.log(pi), G)


def a_step_at_a_time(of_step):
    """A surrogate from a rule that gives the value and the factor of ∇ log π of a step."""
    def looped(theta, old, steps, A, epsilon):
        pi, pi_old, L, grad = softmax(theta), softmax(old), 0.0, np.zeros(theta.shape)
        for (s, a), A_t in zip(steps, A):
            value, slope = of_step(pi[s, a] / pi_old[s, a], A_t, epsilon)
            L += value / len(A)
            for b in range(theta.shape[1]):
                grad[s, b] += slope * ((a == b) - pi[s, b]) / len(A)
        return L, grad
    return looped


def right_step(ratio, A, epsilon):
    if A > 0:
        return min(ratio, 1 + epsilon) * A, ratio * A * (ratio < 1 + epsilon)
    return max(ratio, 1 - epsilon) * A, ratio * A * (ratio > 1 - epsilon)


def max_step(ratio, A, epsilon):
    free, held = ratio * A, clip_of(ratio, epsilon) * A
    return max(free, held), free * (free >= held)


def clipped_step(ratio, A, epsilon):
    return clip_of(ratio, epsilon) * A, ratio * A * inside(ratio, epsilon)


LOOPED = {None: right_step, "max_for_min": max_step, "clipped_alone": clipped_step,
          "dead_on_both_sides": lambda ratio, A, epsilon: (
              right_step(ratio, A, epsilon)[0], clipped_step(ratio, A, epsilon)[1]),
          "no_ratio_in_gradient": lambda ratio, A, epsilon: (
              right_step(ratio, A, epsilon)[0], right_step(ratio, A, epsilon)[1] / ratio),
          "gradient_unclipped": lambda ratio, A, epsilon: (
              right_step(ratio, A, epsilon)[0], ratio * A),
          "unclipped": lambda ratio, A, epsilon: (ratio * A, ratio * A),
          "upside_down": lambda ratio, A, epsilon: right_step(1 / ratio, A, epsilon),
          "none of the well-known mistakes": lambda ratio, A, epsilon: (
              min(ratio, 1 + epsilon) * A, ratio * A * (ratio < 1 + epsilon))}

for mistake, rule in LOOPED.items():
    looped = a_step_at_a_time(rule)
    looped.__name__ = f"looped_{(mistake or 'right').split()[0]}"
    attempt("ppo_loop", mistake)(looped)


@attempt("ppo_loop", "objective and gradient: it is N (the number of steps) times too large")
def total(theta, old, steps, A, epsilon):
    L, grad = by_arrays(theta, old, steps, A, epsilon)
    return L * len(A), grad * len(A)


@attempt("ppo_loop", "own_entry_only")
def only_the_action(theta, old, steps, A, epsilon):
    L, grad = 0.0, np.zeros(theta.shape)
    ratio = softmax(theta) / softmax(old)
    for pair, A_t in zip(steps, A):
        value, slope = right_step(ratio[pair], A_t, epsilon)
        L += value / len(steps)
        grad[pair] += slope / len(steps)
    return L, grad


# The epochs of a batch.


@attempt("ppo_epochs")
def as_the_paper_says(theta, V, episodes, *, gamma, lam, epsilon, epochs, alpha, rate):
    steps = sum(episodes, [])
    A = np.concatenate([advantages(episode, V, gamma, lam) for episode in episodes])
    root = np.sqrt((A**2).mean()) + 1e-8
    x, values = np.copy(theta), np.copy(V)
    for _ in range(epochs):
        x += alpha * surrogate(x, theta, steps, A / root, epsilon)[1]
    for s in {step[0] for step in steps}:
        values[s] += rate * np.mean([A_t for step, A_t in zip(steps, A) if step[0] == s])
    return x, values


def judged(episodes, V, *, gamma, lam, **_):
    return np.array([A for episode in episodes for A in advantages(episode, V, gamma, lam)])


def by_size(A):
    return A / np.sqrt((A**2).mean())


def learned(theta, V, episodes, A, scaled, *, epsilon, epochs, alpha, rate, moving=False,
            divisor=None, **_):
    """θ after steps by the scaled advantages, and V after one by A."""
    steps, x = [step for episode in episodes for step in episode], theta
    for _ in range(epochs):
        x = x + alpha * surrogate(x, x if moving else theta, steps, scaled, epsilon)[1]
    states = np.array([step[0] for step in steps])
    visits = np.bincount(states, minlength=len(V)) if divisor is None else divisor(states)
    return x, V + rate * np.bincount(states, A, len(V)) / np.maximum(visits, 1)


@attempt("ppo_epochs")
def by_counting(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, by_size(A), **options)


@attempt("ppo_epochs", "old_moves")
def ratio_always_one(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, by_size(A), moving=True, **options)


@attempt("ppo_epochs", "centred")
def as_libraries(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, (A - A.mean()) / A.std(), **options)


@attempt("ppo_epochs", "standard_deviation")
def by_deviation(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, A / A.std(), **options)


@attempt("ppo_epochs", "unscaled")
def as_they_are(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, A, **options)


@attempt("ppo_epochs", "across_episodes")
def end_to_end(theta, V, episodes, **options):
    A = judged([sum(episodes, [])], V, **options)
    return learned(theta, V, episodes, A, by_size(A), **options)


@attempt("ppo_epochs", "scaled_for_critic")
def one_scale(theta, V, episodes, **options):
    A = by_size(judged(episodes, V, **options))
    return learned(theta, V, episodes, A, A, **options)


@attempt("ppo_epochs", "sum_for_critic")
def no_mean(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, by_size(A), divisor=lambda states: 1, **options)


@attempt("ppo_epochs", "mean_over_batch")
def batch_mean(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, by_size(A), divisor=len, **options)


@attempt("ppo_epochs", "downhill")
def descends(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, by_size(A), **options | {"alpha": -options["alpha"]})


@attempt("ppo_epochs", "it changes its argument V in place")
def in_place(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    theta, V[:] = learned(theta, V, episodes, A, by_size(A), **options)
    return theta, V


@attempt("ppo_epochs", "none of the well-known mistakes")
def an_epoch_too_many(theta, V, episodes, **options):
    A = judged(episodes, V, **options)
    return learned(theta, V, episodes, A, by_size(A),
                   **options | {"epochs": options["epochs"] + 1})


# The price of the distance.


@attempt("ppo_kl")
def by_rows(logits, old_logits, batch, *, kl_coef):
    pi, pi_old, W = softmax(logits), softmax(old_logits), batch.gains + batch.losses
    share = batch.counts.sum(axis=1, keepdims=True) / batch.number
    loss = (kl_coef * share * pi_old * np.log(pi_old / pi)).sum() - (
        pi / pi_old * W).sum() / batch.number
    return loss, (backward(np.log(pi), -pi / pi_old * W / batch.number)
                  + kl_coef * share * (pi - pi_old))


@attempt("ppo_kl")
def state_by_state(logits, old_logits, batch, *, kl_coef):
    loss, grad, N = 0.0, np.zeros(logits.shape), batch.number
    for s, (logp, old) in enumerate(zip(log_softmax(logits), log_softmax(old_logits))):
        W, visits = batch.gains[s] + batch.losses[s], batch.counts[s].sum()
        ratio = np.exp(logp - old)
        loss += (kl_coef * visits * np.exp(old) @ (old - logp) - ratio @ W) / N
        G = -(ratio * W + kl_coef * visits * np.exp(old)) / N
        grad[s] = G - np.exp(logp) * G.sum()
    return loss, grad


def charged(logits, old_logits, batch, price, slope, ratio=None, push=None):
    """A loss with this price, and its gradient with this table G of the price."""
    W = batch.gains + batch.losses
    ratio = of_ratio(logits, old_logits) if ratio is None else ratio
    G = slope - (ratio if push is None else push) * W / batch.number
    return price - (ratio * W).sum() / batch.number, backward(log_softmax(logits), G)


def right_price(logits, old_logits, batch, beta, shares=None):
    """The price of (ppo_kl.1), and its G."""
    shares = batch.visits / batch.number if shares is None else shares
    distance = kl(log_softmax(old_logits), log_softmax(logits))
    return beta * shares @ distance, -beta * shares[:, None] * softmax(old_logits)


@attempt("ppo_kl", "other_direction")
def new_over_old(logits, old_logits, batch, *, kl_coef):
    logp, old, share = log_softmax(logits), log_softmax(old_logits), batch.visits / batch.number
    slope = kl_coef * share[:, None] * np.exp(logp) * (logp - old + 1)
    return charged(logits, old_logits, batch, kl_coef * share @ kl(logp, old), slope)


@attempt("ppo_kl", "price_without_gradient")
def only_in_the_loss(logits, old_logits, batch, *, kl_coef):
    price, _ = right_price(logits, old_logits, batch, kl_coef)
    return charged(logits, old_logits, batch, price, 0)


@attempt("ppo_kl", "wrong_sign_of_price")
def subtracted(logits, old_logits, batch, *, kl_coef):
    return charged(logits, old_logits, batch, *right_price(logits, old_logits, batch, -kl_coef))


@attempt("ppo_kl", "every_state_alike")
def mean_of_rows(logits, old_logits, batch, *, kl_coef):
    rows = len(logits)
    return charged(logits, old_logits, batch,
                   *right_price(logits, old_logits, batch, kl_coef, np.ones(rows) / rows))


@attempt("ppo_kl", "price_not_divided")
def sum_of_visits(logits, old_logits, batch, *, kl_coef):
    return charged(logits, old_logits, batch,
                   *right_price(logits, old_logits, batch, kl_coef, batch.visits))


@attempt("ppo_kl", "no_kl_coef")
def free(logits, old_logits, batch, *, kl_coef):
    return charged(logits, old_logits, batch, *right_price(logits, old_logits, batch, 1))


@attempt("ppo_kl", "actions_taken")
def sampled(logits, old_logits, batch, *, kl_coef):
    share = kl_coef * batch.counts / batch.number
    change = log_softmax(logits) - log_softmax(old_logits)
    return charged(logits, old_logits, batch, -(share * change).sum(), -share)


@attempt("ppo_kl", "no_ratio_in_gradient")
def derivative_one(logits, old_logits, batch, *, kl_coef):
    return charged(logits, old_logits, batch, *right_price(logits, old_logits, batch, kl_coef),
                   push=1)


@attempt("ppo_kl", "upside_down")
def inverse(logits, old_logits, batch, *, kl_coef):
    return charged(logits, old_logits, batch, *right_price(logits, old_logits, batch, kl_coef),
                   ratio=1 / of_ratio(logits, old_logits))


@attempt("ppo_kl", "the backward pass (softmax.3) is missing")
def no_backward(logits, old_logits, batch, *, kl_coef):
    price, slope = right_price(logits, old_logits, batch, kl_coef)
    W, ratio = (batch.gains + batch.losses) / batch.number, of_ratio(logits, old_logits)
    return price - (ratio * W).sum(), slope - ratio * W


@attempt("ppo_kl", "loss and gradient: it is N (the number of steps) times too large")
def not_a_mean(logits, old_logits, batch, *, kl_coef):
    loss, grad = by_rows(logits, old_logits, batch, kl_coef=kl_coef)
    return loss * batch.number, grad * batch.number


@attempt("ppo_kl", "none of the well-known mistakes")
def with_k3(logits, old_logits, batch, *, kl_coef):
    share, ratio = kl_coef * batch.counts / batch.number, of_ratio(logits, old_logits)
    return charged(logits, old_logits, batch, (share * (ratio - 1 - np.log(ratio))).sum(),
                   share * (ratio - 1))
