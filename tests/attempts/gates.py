"""Attempts at the exercises of Part 4, the end."""

import numpy as np

from attempts import attempt
from minirl.kernel.softmax import backward, log_softmax

# The hinge.


@attempt("hinge")
def by_where(plus, minus, *, beta):
    m = beta * (plus - minus)
    slope = np.where(m < 1, beta, 0.0)
    return np.where(m < 1, 1 - m, 0.0), -slope, slope


@attempt("hinge")
def pair_by_pair(plus, minus, *, beta):
    found = []
    for good, bad in zip(plus, minus):
        m = beta * (good - bad)
        found.append((1 - m, -beta, beta) if m < 1 else (0.0, 0.0, 0.0))
    return tuple(np.array(found).T)


@attempt("hinge", "beta_not_in_slope")
def slope_in_m(plus, minus, *, beta):
    short = beta * (plus - minus) < 1
    return short * (1 - beta * (plus - minus)), -1.0 * short, 1.0 * short


@attempt("hinge", "always_on")
def never_enough(plus, minus, *, beta):
    push = np.full(len(plus), beta)
    return np.clip(1 - beta * (plus - minus), 0, None), -push, push


@attempt("hinge", "perceptron")
def ranked_is_enough(plus, minus, *, beta):
    wrong = plus < minus
    return np.where(wrong, beta * (minus - plus), 0), -beta * wrong, beta * wrong


@attempt("hinge", "lead_of_one")
def one_nat(plus, minus, *, beta):
    missing = 1 - (plus - minus)
    return beta * np.maximum(missing, 0), -beta * (missing > 0), beta * (missing > 0)


@attempt("hinge", "no_beta")
def without_beta(plus, minus, *, beta):
    lead = plus - minus
    return np.maximum(0, 1 - lead), np.where(lead < 1, -1, 0), np.where(lead < 1, 1, 0)


@attempt("hinge", "one_sign")
def both_up(plus, minus, *, beta):
    value, slope, _ = by_where(plus, minus, beta=beta)
    return value, slope, slope


@attempt("hinge", "swapped")
def rejected_first(plus, minus, *, beta):
    value, slope_minus, slope_plus = by_where(minus, plus, beta=beta)
    return value, slope_plus, slope_minus


@attempt("hinge", "squared")
def of_a_square(plus, minus, *, beta):
    missing = np.clip(1 - beta * plus + beta * minus, 0, np.inf)
    return missing**2, -2 * missing * beta, 2 * missing * beta


@attempt("hinge", "it must return (value, slope of plus, slope of minus), got 2 values")
def two_only(plus, minus, *, beta):
    return by_where(plus, minus, beta=beta)[:2]


@attempt("hinge", "none of the well-known mistakes")
def squared_hinge_without_two(plus, minus, *, beta):
    value, slope, _ = by_where(plus, minus, beta=beta)
    return value, slope * value, -slope * value


# The loss of any φ.


def ratios(logits, ref_logits):
    return log_softmax(logits) - log_softmax(ref_logits)


def over_rows(logits, table, pairs, phi, slopes=lambda up, down: (up, down), order="C"):
    """What most of them return: a mean over pairs, and what goes back with two slopes."""
    X, Y = (side.toarray() for side in pairs)
    value, up, down = phi(X @ table.ravel(), Y @ table.ravel())
    up, down = slopes(up, down)
    G = (up @ X + down @ Y).reshape(logits.shape, order=order) / len(X)
    return value.mean(), backward(log_softmax(logits), G)


@attempt("margins")
def by_products(logits, ref_logits, pairs, phi):
    h, (X, Y) = ratios(logits, ref_logits).ravel(), pairs
    value, up, down = phi(X @ h, Y @ h)
    G = (X.T @ up + Y.T @ down) / len(value)
    return value.mean(), backward(log_softmax(logits), G.reshape(logits.shape))


@attempt("margins")
def one_pair_at_a_time(logits, ref_logits, pairs, phi):
    h, loss, G = ratios(logits, ref_logits).ravel(), 0.0, np.zeros(logits.size)
    for good, bad in zip(*(side.toarray() for side in pairs)):
        value, up, down = phi(good @ h, bad @ h)
        loss = loss + value
        G = G + up * good + down * bad
    B = pairs[0].shape[0]
    return loss / B, backward(log_softmax(logits), G.reshape(logits.shape) / B)


@attempt("margins", "same_slope")
def as_in_dpo(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs, phi, lambda up, down: (up, -up))


@attempt("margins", "subtracted")
def down_is_down(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs, phi, lambda up, down: (up, -down))


@attempt("margins", "crossed")
def other_slope(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs, phi, lambda up, down: (down, up))


@attempt("margins", "chosen_only")
def only_up(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs, phi, lambda up, down: (up, 0 * up))


@attempt("margins", "difference_alone")
def of_leads(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs,
                     lambda plus, minus: phi(plus - minus, np.zeros(len(plus))))


@attempt("margins", "no_reference")
def only_the_policy(logits, ref_logits, pairs, phi):
    return over_rows(logits, log_softmax(logits), pairs, phi)


@attempt("margins", "swapped")
def rejected_is_first(logits, ref_logits, pairs, phi):
    return by_products(logits, ref_logits, tuple(pairs)[::-1], phi)


@attempt("margins", "upside_down")
def from_the_reference(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(ref_logits, logits), pairs, phi)


@attempt("margins", "mean_first")
def of_the_mean_pair(logits, ref_logits, pairs, phi):
    h = ratios(logits, ref_logits).ravel()
    X, Y = (side.toarray().mean(axis=0) for side in pairs)
    value, up, down = phi(np.array([X @ h]), np.array([Y @ h]))
    return value[0], backward(log_softmax(logits), (up * X + down * Y).reshape(logits.shape))


@attempt("margins", "by_columns")
def columns_first(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs, phi, order="F")


@attempt("margins", "the backward pass (softmax.3) is missing")
def returns_G(logits, ref_logits, pairs, phi):
    h, (X, Y) = ratios(logits, ref_logits).ravel(), pairs
    value, up, down = phi(X @ h, Y @ h)
    return value.mean(), (X.T @ up + Y.T @ down).reshape(logits.shape) / len(value)


@attempt("margins", "loss and gradient: it is B (the number of pairs) times too large")
def sums(logits, ref_logits, pairs, phi):
    loss, grad = by_products(logits, ref_logits, pairs, phi)
    return loss * pairs[0].shape[0], grad * pairs[0].shape[0]


@attempt("margins", "none of the well-known mistakes")
def halves(logits, ref_logits, pairs, phi):
    return over_rows(logits, ratios(logits, ref_logits), pairs, phi,
                     lambda up, down: ((up - down) / 2, (up + down) / 2))


# AOT, for pairs and without.


@attempt("aot")
def two_sorts(logits, ref_logits, pairs, phi):
    logp, D = log_softmax(logits), pairs[0] - pairs[1]
    lead, ref_lead = D @ logp.ravel(), D @ log_softmax(ref_logits).ravel()
    order = np.argsort(lead)
    value, slope, _ = phi(lead[order] - np.sort(ref_lead), np.zeros(lead.size))
    G = D.toarray()[order].T @ slope / lead.size
    return value.mean(), backward(logp, G.reshape(logp.shape))


@attempt("aot")
def by_rank(logits, ref_logits, pairs, phi):
    logp, D = log_softmax(logits), (pairs[0] - pairs[1]).toarray()
    lead, ref_lead = D @ logp.ravel(), D @ log_softmax(ref_logits).ravel()
    loss, G = 0.0, np.zeros(logp.size)
    for row, own in zip(D, lead):
        other = sorted(ref_lead)[sum(lead < own)]
        value, slope, _ = phi(own - other, 0.0)
        loss, G = loss + value / len(D), G + slope * row / len(D)
    return loss, backward(logp, G.reshape(logp.shape))


def against(logits, pairs, others, phi):
    """The lead of each pair against a number of its own, and the right gradient of that."""
    return over_rows(logits, log_softmax(logits), pairs,
                     lambda plus, minus: phi(plus - minus - others, 0 * plus))


def leads(logits, pairs):
    return (pairs[0] - pairs[1]) @ log_softmax(logits).ravel()


def ranks(x):
    return np.array([(x < one).sum() for one in x])


@attempt("aot", "unsorted")
def sorts_the_ratios(logits, ref_logits, pairs, phi):
    D, h = (pairs[0] - pairs[1]).toarray(), ratios(logits, ref_logits).ravel()
    order = np.argsort(D @ h)
    value, slope, _ = phi((D @ h)[order], np.zeros(len(D)))
    return value.mean(), backward(log_softmax(logits),
                                  (slope @ D[order]).reshape(logits.shape) / len(D))


@attempt("aot", "gradient_unsorted")
def forgets_the_order(logits, ref_logits, pairs, phi):
    D, lead = pairs[0] - pairs[1], leads(logits, pairs)
    value, slope, _ = phi(np.sort(lead) - np.sort(leads(ref_logits, pairs)), np.zeros(lead.size))
    return value.mean(), backward(log_softmax(logits),
                                  (D.T @ slope).reshape(logits.shape) / lead.size)


@attempt("aot", "unpaired")
def the_other_one(logits, ref_logits, pairs, phi):
    return sorted_sides(logits, ref_logits, pairs, phi)


@attempt("aot", "one_sorted")
def reference_as_it_comes(logits, ref_logits, pairs, phi):
    rank = ranks(leads(logits, pairs))
    return against(logits, pairs, leads(ref_logits, pairs)[rank], phi)


@attempt("aot", "argsort_for_rank")
def one_argsort(logits, ref_logits, pairs, phi):
    order = np.argsort(leads(logits, pairs))
    return against(logits, pairs, np.sort(leads(ref_logits, pairs))[order], phi)


@attempt("aot", "opposite_orders")
def the_best_against_the_worst(logits, ref_logits, pairs, phi):
    rank = ranks(-leads(logits, pairs))
    return against(logits, pairs, np.sort(leads(ref_logits, pairs))[rank], phi)


@attempt("aot", "no_reference")
def leads_alone(logits, ref_logits, pairs, phi):
    return against(logits, pairs, 0, phi)


@attempt("aot", "swapped")
def rejected_leads(logits, ref_logits, pairs, phi):
    return two_sorts(logits, ref_logits, (pairs[1], pairs[0]), phi)


@attempt("aot", "the backward pass (softmax.3) is missing")
def no_backward(logits, ref_logits, pairs, phi):
    D, lead = pairs[0] - pairs[1], leads(logits, pairs)
    m = lead - np.sort(leads(ref_logits, pairs))[ranks(lead)]
    value, slope, _ = phi(m, 0 * m)
    return value.mean(), (D.T @ slope).reshape(logits.shape) / m.size


@attempt("aot", "none of the well-known mistakes")
def against_the_mean(logits, ref_logits, pairs, phi):
    return against(logits, pairs, leads(ref_logits, pairs).mean(), phi)


@attempt("aot_unpaired")
def sorted_sides(logits, ref_logits, pairs, phi):
    h = ratios(logits, ref_logits).ravel()
    X, Y = (side[np.argsort(side @ h)] for side in pairs)
    value, up, down = phi(X @ h, Y @ h)
    G = (X.T @ up + Y.T @ down) / len(value)
    return value.mean(), backward(log_softmax(logits), G.reshape(logits.shape))


@attempt("aot_unpaired")
def string_by_string(logits, ref_logits, pairs, phi):
    h, loss, G = ratios(logits, ref_logits).ravel(), 0.0, np.zeros(logits.size)
    good, bad = (sorted(side.toarray(), key=lambda row: row @ h) for side in pairs)
    for x, y in zip(good, bad):
        value, up, down = phi(x @ h, y @ h)
        loss, G = loss + value, G + up * x + down * y
    return loss / len(good), backward(log_softmax(logits),
                                      G.reshape(logits.shape) / len(good))


def in_orders(logits, ref_logits, pairs, phi, orders):
    """The chosen strings in one order, against the rejected ones in another."""
    table = ratios(logits, ref_logits)
    i, j = orders(*(side @ table.ravel() for side in pairs))
    return over_rows(logits, table, (pairs[0][i], pairs[1][j]), phi)


@attempt("aot_unpaired", "unsorted")
def both_by_the_chosen(logits, ref_logits, pairs, phi):
    return in_orders(logits, ref_logits, pairs, phi,
                     lambda plus, minus: (np.argsort(plus), np.argsort(plus)))


@attempt("aot_unpaired", "gradient_unsorted")
def rows_as_they_come(logits, ref_logits, pairs, phi):
    h, (X, Y) = ratios(logits, ref_logits).ravel(), pairs
    value, up, down = phi(np.sort(X @ h), np.sort(Y @ h))
    G = (X.T @ up + Y.T @ down) / len(value)
    return value.mean(), backward(log_softmax(logits), G.reshape(logits.shape))


@attempt("aot_unpaired", "paired")
def leads_of_both(logits, ref_logits, pairs, phi):
    return two_sorts(logits, ref_logits, pairs, phi)


@attempt("aot_unpaired", "one_sorted")
def rejected_as_they_come(logits, ref_logits, pairs, phi):
    return in_orders(logits, ref_logits, pairs, phi,
                     lambda plus, minus: (np.argsort(plus), np.arange(len(minus))))


@attempt("aot_unpaired", "argsort_for_rank")
def rejected_by_one_argsort(logits, ref_logits, pairs, phi):
    return in_orders(logits, ref_logits, pairs, phi, lambda plus, minus: (
        np.arange(len(plus)), np.argsort(minus)[np.argsort(plus)]))


@attempt("aot_unpaired", "opposite_orders")
def falling_and_rising(logits, ref_logits, pairs, phi):
    return in_orders(logits, ref_logits, pairs, phi,
                     lambda plus, minus: (np.argsort(-plus), np.argsort(minus)))


@attempt("aot_unpaired", "no_reference")
def log_policies(logits, ref_logits, pairs, phi):
    logp = log_softmax(logits)
    X, Y = (side[np.argsort(side @ logp.ravel())] for side in pairs)
    return over_rows(logits, logp, (X, Y), phi)


@attempt("aot_unpaired", "sorted_by_policy")
def likeliest_last(logits, ref_logits, pairs, phi):
    logp = log_softmax(logits)
    X, Y = (side[np.argsort(side @ logp.ravel())] for side in pairs)
    return over_rows(logits, ratios(logits, ref_logits), (X, Y), phi)


@attempt("aot_unpaired", "swapped")
def rejected_against_chosen(logits, ref_logits, pairs, phi):
    return string_by_string(logits, ref_logits, (pairs[1], pairs[0]), phi)


@attempt("aot_unpaired", "loss and gradient: it is B (the number of pairs) times too large")
def sum_of_all(logits, ref_logits, pairs, phi):
    loss, grad = string_by_string(logits, ref_logits, pairs, phi)
    return loss * pairs[0].shape[0], grad * pairs[0].shape[0]


@attempt("aot_unpaired", "none of the well-known mistakes")
def every_one_against_every_other(logits, ref_logits, pairs, phi):
    B = pairs[0].shape[0]
    return in_orders(logits, ref_logits, pairs, phi,
                     lambda plus, minus: np.divmod(np.arange(B * B), B))


# A gate of three bounds.


@attempt("dual_clip")
def three_bounds(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = epsilon if epsilon_high is None else epsilon_high
    value = np.where(sign > 0, np.minimum(ratio, 1 + high), np.clip(ratio, 1 - epsilon, delta))
    return value, np.where(value == ratio, 1.0, 0.0)


@attempt("dual_clip")
def case_by_case(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = 1 + (epsilon if epsilon_high is None else epsilon_high)
    found = []
    for rho, one in zip(ratio, np.broadcast_to(sign, ratio.shape)):
        if one > 0:
            found.append((rho, 1.0) if rho < high else (high, 0.0))
        elif rho < 1 - epsilon:
            found.append((1 - epsilon, 0.0))
        else:
            found.append((rho, 1.0) if rho < delta else (delta, 0.0))
    return tuple(np.array(found).T)


def gate_within(ratio, sign, good, bad):
    """ρ held between two bounds for each sign, and where it is alive."""
    low, high = (np.where(sign > 0, *bounds) for bounds in zip(good, bad))
    return np.clip(ratio, low, high), ((low < ratio) & (ratio < high)) * 1.0


@attempt("dual_clip", "alive_beyond_delta")
def no_end_of_the_slope(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = 1 + (epsilon_high or epsilon)
    value, _ = gate_within(ratio, sign, (0, high), (1 - epsilon, delta))
    return value, gate_within(ratio, sign, (0, high), (1 - epsilon, np.inf))[1]


@attempt("dual_clip", "no_delta")
def plain_clip(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    return gate_within(ratio, sign, (0, 1 + (epsilon_high or epsilon)), (1 - epsilon, np.inf))


@attempt("dual_clip", "delta_for_good")
def delta_for_both(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = min(delta, 1 + (epsilon_high or epsilon))
    return gate_within(ratio, sign, (0, high), (1 - epsilon, delta))


@attempt("dual_clip", "sides_exchanged")
def wrong_quadrants(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = min(delta, 1 + (epsilon_high or epsilon))
    return gate_within(ratio, sign, (1 - epsilon, np.inf), (0, high))


@attempt("dual_clip", "both_sides")
def np_clip(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = 1 + (epsilon_high or epsilon)
    return gate_within(ratio, sign, (1 - epsilon, high), (1 - epsilon, min(high, delta)))


@attempt("dual_clip", "at_least_delta")
def maximum_for_minimum(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    return gate_within(ratio, sign, (0, 1 + (epsilon_high or epsilon)), (delta, np.inf))


@attempt("dual_clip", "one_epsilon")
def epsilon_for_both(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    return gate_within(ratio, sign, (0, 1 + epsilon), (1 - epsilon, delta))


@attempt("dual_clip", "slope_in_log")
def alive_with_its_ratio(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    value, slope = case_by_case(ratio, sign, epsilon=epsilon, epsilon_high=epsilon_high,
                                delta=delta)
    return value, np.where(slope, value, 0)


@attempt("dual_clip", "TypeError")
def upper_bound_of_none(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    return gate_within(ratio, sign, (0, 1 + epsilon_high), (1 - epsilon, delta))


@attempt("dual_clip", "none of the well-known mistakes")
def delta_in_log(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    high = 1 + (epsilon_high or epsilon)
    return gate_within(ratio, sign, (0, high), (1 - epsilon, np.exp(delta - 1)))


# The loss of any gate.


@attempt("gates")
def two_gates(logits, old_logits, batch, gate):
    logp = log_softmax(logits)
    ratio = np.exp(logp - log_softmax(old_logits))
    good, good_slope = gate(ratio, 1)
    bad, bad_slope = gate(ratio, -1)
    loss = -np.sum(good * batch.gains + bad * batch.losses)
    return loss, backward(logp, -(good_slope * batch.gains + bad_slope * batch.losses) * ratio)


@attempt("gates")
def entry_by_entry(logits, old_logits, batch, gate):
    logp = log_softmax(logits)
    h, loss, G = logp - log_softmax(old_logits), 0.0, np.zeros(logp.shape)
    for s, a in np.ndindex(logp.shape):
        for sign, A in ((1, batch.gains[s, a]), (-1, batch.losses[s, a])):
            value, slope = gate(np.exp(h[s, a]), sign)
            loss -= value * A
            G[s, a] -= slope * A * np.exp(h[s, a])
    return loss, backward(logp, G)


def gated(logits, batch, gate, ratio, *, signs=(1, -1), factor=None, weight=1):
    """What most of the wrong ones return: signs of the two gates, and a factor of the slopes."""
    (up, rise), (down, fall) = (gate(ratio, sign) for sign in signs)
    losses, factor = weight * batch.losses, ratio if factor is None else factor
    return (-(up * batch.gains).sum() - (down * losses).sum(),
            backward(log_softmax(logits), -factor * (batch.gains * rise + losses * fall)))


def step_ratios(logits, old_logits):
    return np.exp(log_softmax(logits) - log_softmax(old_logits))


@attempt("gates", "no_ratio")
def slopes_alone(logits, old_logits, batch, gate):
    return gated(logits, batch, gate, step_ratios(logits, old_logits), factor=1)


@attempt("gates", "value_in_gradient")
def gate_as_weight(logits, old_logits, batch, gate):
    ratio = step_ratios(logits, old_logits)
    pushed = gate(ratio, 1)[0] * batch.gains + gate(ratio, -1)[0] * batch.losses
    return -pushed.sum(), backward(log_softmax(logits), -pushed)


@attempt("gates", "one_sign")
def all_are_good(logits, old_logits, batch, gate):
    return gated(logits, batch, gate, step_ratios(logits, old_logits), signs=(1, 1))


@attempt("gates", "signs_exchanged")
def good_for_bad(logits, old_logits, batch, gate):
    return gated(logits, batch, gate, step_ratios(logits, old_logits), signs=(-1, 1))


@attempt("gates", "net")
def one_advantage(logits, old_logits, batch, gate):
    A, ratio = batch.gains + batch.losses, step_ratios(logits, old_logits)
    value, slope = np.where(A > 0, gate(ratio, 1), gate(ratio, -1))
    return -(value * A).sum(), backward(log_softmax(logits), -slope * ratio * A)


@attempt("gates", "losses_subtracted")
def twice_negative(logits, old_logits, batch, gate):
    return gated(logits, batch, gate, step_ratios(logits, old_logits), weight=-1)


@attempt("gates", "upside_down")
def old_over_new(logits, old_logits, batch, gate):
    return gated(logits, batch, gate, step_ratios(old_logits, logits))


@attempt("gates", "ratio_of_logits")
def without_softmax(logits, old_logits, batch, gate):
    return gated(logits, batch, gate, np.exp(logits) / np.exp(old_logits))


@attempt("gates", "loss and gradient: a factor batch.number is missing")
def divided_again(logits, old_logits, batch, gate):
    loss, grad = two_gates(logits, old_logits, batch, gate)
    return loss / batch.number, grad / batch.number


@attempt("gates", "the sign is wrong")
def what_is_maximised(logits, old_logits, batch, gate):
    loss, grad = two_gates(logits, old_logits, batch, gate)
    return -loss, -grad


@attempt("gates", "the backward pass (softmax.3) is missing")
def slopes_in_log_policy(logits, old_logits, batch, gate):
    ratio = step_ratios(logits, old_logits)
    loss, _ = two_gates(logits, old_logits, batch, gate)
    return loss, -ratio * (gate(ratio, 1)[1] * batch.gains + gate(ratio, -1)[1] * batch.losses)


@attempt("gates", "none of the well-known mistakes")
def backward_of_old(logits, old_logits, batch, gate):
    ratio = step_ratios(logits, old_logits)
    loss, _ = two_gates(logits, old_logits, batch, gate)
    G = -ratio * (gate(ratio, 1)[1] * batch.gains + gate(ratio, -1)[1] * batch.losses)
    return loss, backward(log_softmax(old_logits), G)


# Ratios of strings.


@attempt("strings")
def sequence_ratios(logits, old_logits, batch, gate):
    logp = log_softmax(logits)
    ratio = np.exp(batch.matrix @ (logp - log_softmax(old_logits)).ravel())
    value, slope = gate(ratio, np.sign(batch.advantages))
    A = batch.weights * batch.advantages
    return -A @ value, backward(logp, -(batch.matrix.T @ (A * slope * ratio)).reshape(logp.shape))


@attempt("strings")
def one_string_at_a_time(logits, old_logits, batch, gate):
    logp, loss = log_softmax(logits), 0.0
    h, G = logp - log_softmax(old_logits), np.zeros(logp.shape)
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        M = row.reshape(logp.shape)
        ratio = np.exp((M * h).sum())
        value, slope = gate(ratio, 1 if A > 0 else -1)
        loss -= weight * A * value
        G -= weight * A * slope * ratio * M
    return loss, backward(logp, G)


def on_rows(logits, old_logits, batch, gate, *, sides=(1, -1), power=1, weights=None,
            factor=lambda value, slope, ratio: slope * ratio, order="C"):
    """What most of the wrong ones return."""
    M, h = batch.matrix.toarray(), log_softmax(logits) - log_softmax(old_logits)
    ratio, good = np.exp(power * (M @ h.ravel())), batch.advantages > 0
    value, slope = np.where(good, gate(ratio, sides[0]), gate(ratio, sides[1]))
    A = batch.advantages * (batch.weights if weights is None else weights)
    G = -(A * factor(value, slope, ratio)) @ M
    return -A @ value, backward(log_softmax(logits), G.reshape(logits.shape, order=order))


@attempt("strings", "gate_of_steps")
def as_in_grpo(logits, old_logits, batch, gate):
    ratio, loss, G = step_ratios(logits, old_logits), 0.0, np.zeros(logits.shape)
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        M = row.reshape(logits.shape)
        value, slope = gate(ratio, np.sign(A))
        loss -= weight * A * (M * value).sum()
        G -= weight * A * M * slope * ratio
    return loss, backward(log_softmax(logits), G)


@attempt("strings", "arithmetic_mean")
def mean_of_ratios(logits, old_logits, batch, gate):
    rho, loss, G = step_ratios(logits, old_logits), 0.0, np.zeros(logits.shape)
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        M = row.reshape(logits.shape)
        value, slope = gate((M * rho).sum(), np.sign(A))
        loss, G = loss - weight * A * value, G - weight * A * slope * M * rho
    return loss, backward(log_softmax(logits), G)


@attempt("strings", "ratio_of_steps_in_gradient")
def ratio_of_each_step(logits, old_logits, batch, gate):
    rho, G = step_ratios(logits, old_logits), np.zeros(logits.shape)
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        M = row.reshape(logits.shape)
        G -= weight * A * gate(np.exp((M * np.log(rho)).sum()), np.sign(A))[1] * M * rho
    return (on_rows(logits, old_logits, batch, gate)[0], backward(log_softmax(logits), G))


@attempt("strings", "no_ratio")
def only_the_slope(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, factor=lambda value, slope, ratio: slope)


@attempt("strings", "by_columns")
def columns_of_strings_first(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, order="F")


@attempt("strings", "value_in_gradient")
def only_the_value(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, factor=lambda value, slope, ratio: value)


@attempt("strings", "one_sign")
def one_side(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, sides=(1, 1))


@attempt("strings", "no_weights")
def every_string_counts_one(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, weights=1)


@attempt("strings", "upside_down")
def ratio_of_old(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, power=-1)


@attempt("strings", "loss and gradient: it is n (the number of strings) times too small")
def mean_over_strings(logits, old_logits, batch, gate):
    loss, grad = sequence_ratios(logits, old_logits, batch, gate)
    return loss / batch.weights.size, grad / batch.weights.size


@attempt("strings", "the backward pass (softmax.3) is missing")
def returns_what_goes_back(logits, old_logits, batch, gate):
    h, M = log_softmax(logits) - log_softmax(old_logits), batch.matrix
    ratio, loss = np.exp(M @ h.ravel()), on_rows(logits, old_logits, batch, gate)[0]
    slope = gate(ratio, np.sign(batch.advantages))[1]
    pushed = batch.weights * batch.advantages * slope * ratio
    return loss, -(M.T @ pushed).reshape(h.shape)


@attempt("strings", "none of the well-known mistakes")
def own_temperature(logits, old_logits, batch, gate):
    return on_rows(logits, old_logits, batch, gate, power=0.5)


# GMPO.


@attempt("gmpo")
def two_tables(logits, old_logits, batch, *, epsilon=0.4):
    logp = log_softmax(logits)
    h, M, good = logp - log_softmax(old_logits), batch.matrix, batch.advantages > 0
    up, down = np.minimum(h, epsilon), np.maximum(h, -epsilon)
    ratio = np.exp(np.where(good, M @ up.ravel(), M @ down.ravel()))
    pushed = batch.weights * batch.advantages * ratio
    G = ((M.T @ (pushed * good)).reshape(h.shape) * (h < epsilon)
         + (M.T @ (pushed * ~good)).reshape(h.shape) * (h > -epsilon))
    return -pushed.sum(), backward(logp, -G)


def by_strings(logits, old_logits, batch, held):
    """A string at a time: `held(h, sign)` gives a table of log-ratios, and where it is alive."""
    logp, loss = log_softmax(logits), 0.0
    h, G = logp - log_softmax(old_logits), np.zeros(logp.shape)
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        M = row.reshape(h.shape)
        table, alive = held(h, np.sign(A))
        ratio = np.exp((M * table).sum())
        loss -= weight * A * ratio
        G -= weight * A * ratio * M * alive
    return loss, backward(logp, G)


def one_sided(epsilon):
    """The right table, and where it is alive."""
    def held(h, sign):
        table = sign * np.minimum(sign * h, epsilon)
        return table, table == h
    return held


@attempt("gmpo")
def each_string(logits, old_logits, batch, *, epsilon=0.4):
    return by_strings(logits, old_logits, batch, one_sided(epsilon))


@attempt("gmpo", "clip_after_mean")
def as_in_gspo(logits, old_logits, batch, *, epsilon=0.4):
    A, M = batch.weights * batch.advantages, batch.matrix
    mean = M @ (log_softmax(logits) - log_softmax(old_logits)).ravel()
    held = np.where(A > 0, np.minimum(mean, epsilon), np.maximum(mean, -epsilon))
    pushed = A * np.exp(held)
    G = -M.T @ np.where(held == mean, pushed, 0)
    return -pushed.sum(), backward(log_softmax(logits), G.reshape(logits.shape))


@attempt("gmpo", "clipped_alive")
def nobody_is_dead(logits, old_logits, batch, *, epsilon=0.4):
    right = one_sided(epsilon)
    return by_strings(logits, old_logits, batch, lambda h, sign: (right(h, sign)[0], 1))


@attempt("gmpo", "units_of_ratio")
def clip_of_ppo(logits, old_logits, batch, *, epsilon=0.4):
    def held(h, sign):
        rho = np.exp(h)
        bounded = np.minimum(rho, 1 + epsilon) if sign > 0 else np.maximum(rho, 1 - epsilon)
        return np.log(bounded), bounded == rho
    return by_strings(logits, old_logits, batch, held)


@attempt("gmpo", "both_sides")
def two_sided(logits, old_logits, batch, *, epsilon=0.4):
    return by_strings(logits, old_logits, batch, lambda h, sign: (
        np.maximum(np.minimum(h, epsilon), -epsilon), np.abs(h) < epsilon))


@attempt("gmpo", "wrong_side")
def other_side(logits, old_logits, batch, *, epsilon=0.4):
    right = one_sided(epsilon)
    return by_strings(logits, old_logits, batch, lambda h, sign: right(h, -sign))


@attempt("gmpo", "arithmetic_mean")
def mean_of_clipped_ratios(logits, old_logits, batch, *, epsilon=0.4):
    h, loss, G = np.log(step_ratios(logits, old_logits)), 0.0, np.zeros(logits.shape)
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        table, alive = one_sided(epsilon)(h, np.sign(A))
        pushed = weight * A * row.reshape(h.shape) * np.exp(table)
        loss, G = loss - pushed.sum(), G - pushed * alive
    return loss, backward(log_softmax(logits), G)


@attempt("gmpo", "left_out")
def only_the_living(logits, old_logits, batch, *, epsilon=0.4):
    return by_strings(logits, old_logits, batch, lambda h, sign: (
        h * (sign * h < epsilon), sign * h < epsilon))


@attempt("gmpo", "no_ratio")
def derivative_of_the_mean(logits, old_logits, batch, *, epsilon=0.4):
    G, h = np.zeros(logits.shape), np.log(step_ratios(logits, old_logits))
    for row, A, weight in zip(batch.matrix.toarray(), batch.advantages, batch.weights):
        G -= weight * A * row.reshape(h.shape) * one_sided(epsilon)(h, np.sign(A))[1]
    return (two_tables(logits, old_logits, batch, epsilon=epsilon)[0],
            backward(log_softmax(logits), G))


@attempt("gmpo", "no_weights")
def unweighted(logits, old_logits, batch, *, epsilon=0.4):
    return two_tables(logits, old_logits, batch._replace(weights=np.ones(batch.weights.size)),
                      epsilon=epsilon)


@attempt("gmpo", "loss and gradient: the sign is wrong")
def gain(logits, old_logits, batch, *, epsilon=0.4):
    loss, grad = each_string(logits, old_logits, batch, epsilon=epsilon)
    return -loss, -grad


@attempt("gmpo", "none of the well-known mistakes")
def half_alive(logits, old_logits, batch, *, epsilon=0.4):
    right = one_sided(epsilon)
    return by_strings(logits, old_logits, batch,
                      lambda h, sign: (right(h, sign)[0], (1 + right(h, sign)[1]) / 2))
