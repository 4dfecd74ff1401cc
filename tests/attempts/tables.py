"""Attempts at the exercises of Parts 1 and 2."""

import numpy as np

from attempts import attempt
from minirl.exact.evaluation import (action_values, advantages, evaluate, from_start, occupancy)
from minirl.kernel.softmax import backward, log_softmax


def column(values):
    return np.asarray(values)[:, None]


# log_softmax


@attempt("log_softmax")
def shifted(logits):
    x = logits - logits.max(axis=1, keepdims=True)
    return x - column(np.log(np.exp(x).sum(axis=1)))


@attempt("log_softmax")
def row_by_row(logits):
    found = []
    for row in logits.tolist():
        largest = max(row)
        total = sum(np.exp(x - largest) for x in row)
        found.append([x - largest - np.log(total) for x in row])
    return found


@attempt("log_softmax", "no_largest")
def by_logsumexp(logits):
    return logits - column(np.log(np.exp(logits).sum(axis=1)))


def quotient(x):
    powers = np.exp(x)
    return np.log((powers.T / powers.sum(axis=1)).T)


@attempt("log_softmax", "log_of_softmax")
def log_of_quotient(logits):
    return quotient((logits.T - logits.max(axis=1)).T)


@attempt("log_softmax", "naive")
def as_it_is_written(logits):
    return quotient(logits)


@attempt("log_softmax", "largest_of_table")
def one_largest(logits):
    x = logits - np.max(logits)
    return (x.T - np.log(np.exp(x).sum(axis=1))).T


@attempt("log_softmax", "largest_in_sum_only")
def largest_forgotten(logits):
    return logits - column([np.log(np.exp(row - row.max()).sum()) for row in logits])


@attempt("log_softmax", "whole_table")
def one_distribution(logits):
    return logits - np.log(np.exp(logits).sum())


@attempt("log_softmax", "over_states")
def columns_of_one(logits):
    return shifted(logits.T).T


@attempt("log_softmax", "probabilities")
def policy_itself(logits):
    return np.exp(shifted(logits))


@attempt("log_softmax", "the sign is wrong")
def surprise(logits):
    return -shifted(logits)


@attempt("log_softmax", "none of the well-known mistakes")
def never_quite_zero(logits):
    return np.log(np.exp(shifted(logits)) + 1e-12)


# backward


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
    return G - column(G.sum(axis=1))


@attempt("backward", "equal_shares")
def centred(logp, G):
    return (G.T - G.mean(axis=1)).T


@attempt("backward", "no_sum")
def policy_subtracted(logp, G):
    return G - np.exp(logp)


@attempt("backward", "mean_for_sum")
def means_of_rows(logp, G):
    return G - np.exp(logp) * column([g.mean() for g in G])


@attempt("backward", "log_policy")
def without_exp(logp, G):
    return G - logp * column(G.sum(axis=1))


@attempt("backward", "sum_over_states")
def other_axis(logp, G):
    return G - np.exp(logp) * G.sum(axis=0)


@attempt("backward", "sum_over_all")
def no_axis(logp, G):
    return G - np.exp(logp) * G.sum()


@attempt("backward", "weighted_sum")
def policy_twice(logp, G):
    pi = np.exp(logp)
    return G - pi * column([p @ g for p, g in zip(pi, G)])


@attempt("backward", "wrong_sign_of_sum")
def added(logp, G):
    return G + np.exp(logp) * G.sum(axis=1, keepdims=True)


@attempt("backward", "shape (4, 3), got (12,)")
def flat(logp, G):
    return (G - np.exp(logp) * G.sum(axis=1, keepdims=True)).ravel()


@attempt("backward", "it changes its argument G in place")
def on_the_spot(logp, G):
    G -= np.exp(logp) * G.sum(axis=1, keepdims=True)
    return G


@attempt("backward", "the sign is wrong")
def downhill(logp, G):
    return np.exp(logp) * G.sum(axis=1, keepdims=True) - G


@attempt("backward", "none of the well-known mistakes")
def mean_of_the_row(logp, G):
    return G - G.mean(axis=1, keepdims=True) * np.exp(logp) ** 2


# entropy


def weighted_entropy(logits, weights):
    logp = log_softmax(logits)
    return -weights @ -(np.exp(logp) * logp).sum(axis=1)


@attempt("entropy")
def entropy_by_table(logits, weights):
    logp = log_softmax(logits)
    G = column(weights) * np.exp(logp) * (logp + 1)
    return weighted_entropy(logits, weights), backward(logp, G)


@attempt("entropy")
def entropy_by_loops(logits, weights):
    loss, grad = 0.0, np.zeros(logits.shape)
    for s, row in enumerate(log_softmax(logits)):
        H = -sum(np.exp(x) * x for x in row)
        loss -= weights[s] * H
        for a, x in enumerate(row):
            grad[s, a] = weights[s] * np.exp(x) * (x + H)
    return loss, grad


@attempt("entropy", "no_weights")
def entropy_of_all_rows(logits, weights):
    return entropy_by_table(logits, np.ones(len(weights)))


@attempt("entropy", "weights_not_in_gradient")
def weighted_loss_alone(logits, weights):
    logp = log_softmax(logits)
    return weighted_entropy(logits, weights), backward(logp, np.exp(logp) * (1 + logp))


@attempt("entropy", "slope_in_pi")
def entropy_chain_rule_forgotten(logits, weights):
    logp = log_softmax(logits)
    return weighted_entropy(logits, weights), backward(logp, ((1 + logp).T * weights).T)


@attempt("entropy", "one_without_policy")
def product_rule_by_half(logits, weights):
    logp = log_softmax(logits)
    G = column(weights) * (1 + np.exp(logp) * logp)
    return weighted_entropy(logits, weights), backward(logp, G)


@attempt("entropy", "sum_of_logs")
def logs_alone(logits, weights):
    logp = log_softmax(logits)
    ones = np.ones(logits.shape)
    return weights @ logp.sum(axis=1), backward(logp, (ones.T * weights).T)


@attempt("entropy", "bits")
def entropy_in_bits(logits, weights):
    bits = log_softmax(logits) / np.log(2)
    pi = 2**bits
    G = column(weights) * pi * (bits + 1 / np.log(2))
    return (column(weights) * pi * bits).sum(), backward(log_softmax(logits), G)


@attempt("entropy", "from_uniform")
def distance_from_uniform(logits, weights):
    S, A = logits.shape
    uniform = np.full((S, A), -np.log(A))
    logp = log_softmax(logits)
    loss = (column(weights) * np.exp(logp) * (logp - uniform)).sum()
    return loss, backward(logp, column(weights) * np.exp(logp) * (logp - uniform + 1))


@attempt("entropy", "loss and gradient: the sign is wrong")
def entropy_itself(logits, weights):
    loss, grad = entropy_by_loops(logits, weights)
    return -loss, -grad


@attempt("entropy", "the backward pass (softmax.3) is missing")
def entropy_returns_G(logits, weights):
    logp = log_softmax(logits)
    return weighted_entropy(logits, weights), column(weights) * np.exp(logp) * (logp + 1)


@attempt("entropy", "a factor S (the number of states) is missing")
def mean_over_states(logits, weights):
    loss, grad = entropy_by_table(logits, weights)
    return loss / len(logits), grad / len(logits)


@attempt("entropy", "a factor Σ weights is missing")
def weighted_mean(logits, weights):
    return entropy_by_table(logits, weights / weights.sum())


@attempt("entropy", "none of the well-known mistakes")
def squared_probabilities(logits, weights):
    logp = log_softmax(logits)
    G = 2 * column(weights) * np.exp(2 * logp)
    return (column(weights) * np.exp(2 * logp)).sum(), backward(logp, G)


# counts


def each_weight(steps, weights):
    return np.ones(steps.index.size) if weights is None else weights


@attempt("counts")
def by_bincount(steps, weights=None):
    S, A = steps.shape
    return np.bincount(steps.index, weights, S * A).reshape(S, A)


@attempt("counts")
def by_dividing(steps, weights=None):
    W = np.zeros(steps.shape)
    for i, w in zip(steps.index.tolist(), each_weight(steps, weights)):
        W[divmod(i, steps.shape[1])] += w
    return W


@attempt("counts")
def by_adding_at(steps, weights=None):
    W = np.zeros(steps.shape)
    np.add.at(W, np.unravel_index(steps.index, steps.shape), 1 if weights is None else weights)
    return W


@attempt("counts", "repeats_lost")
def fancy_assignment(steps, weights=None):
    W = np.zeros(steps.shape)
    W[np.unravel_index(steps.index, steps.shape)] += each_weight(steps, weights)
    return W


@attempt("counts", "weights_ignored")
def numbers_of_steps(steps, weights=None):
    return by_dividing(steps)


@attempt("counts", "mean_weight")
def means_of_pairs(steps, weights=None):
    w = each_weight(steps, weights)
    W = np.zeros(steps.shape[0] * steps.shape[1])
    for i in set(steps.index.tolist()):
        W[i] = w[steps.index == i].mean()
    return W.reshape(steps.shape)


@attempt("counts", "columns_first")
def in_fortran(steps, weights=None):
    return by_bincount(steps, weights).ravel().reshape(steps.shape, order="F")


def some_steps(steps, weights, chosen):
    """The table of those steps of each string that a slice chooses."""
    W, w = np.zeros(steps.shape), each_weight(steps, weights)
    for start, end in zip(steps.starts, steps.starts[1:]):
        for n in range(start, end)[chosen]:
            W[divmod(int(steps.index[n]), steps.shape[1])] += w[n]
    return W


@attempt("counts", "end_not_counted")
def without_end(steps, weights=None):
    return some_steps(steps, weights, slice(None, -1))


@attempt("counts", "first_step_skipped")
def without_start(steps, weights=None):
    return some_steps(steps, weights, slice(1, None))


@attempt("counts", "it is N (the number of steps) times too small: a mean where")
def shares(steps, weights=None):
    return by_bincount(steps, weights) / steps.index.size


@attempt("counts", "it is n (the number of strings) times too small: a mean where")
def per_string(steps, weights=None):
    return by_bincount(steps, weights) / (steps.starts.size - 1)


@attempt("counts", "ValueError: cannot reshape")
def as_long_as_the_largest(steps, weights=None):
    seen = steps.index < steps.index.max()
    return np.bincount(steps.index[seen], each_weight(steps, weights)[seen]).reshape(steps.shape)


@attempt("counts", "none of the well-known mistakes")
def never_zero(steps, weights=None):
    return by_bincount(steps, weights) + 1


# differences


def at_each_place(x, slope):
    """The array of slope(unit) over the unit arrays of the shape of x."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[place] = 1.0
        found[place] = slope(unit)
    return found


@attempt("differences")
def by_units(loss, x, *, h):
    return at_each_place(x, lambda unit: (loss(x + h*unit)[0] - loss(x - h*unit)[0]) / (2*h))


@attempt("differences")
def by_copies(loss, x, *, h):
    grad = np.empty_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += h
        down[place] -= h
        grad[place] = (loss(up)[0] - loss(down)[0]) / h / 2
    return grad


@attempt("differences")
def there_and_back(loss, x, *, h):
    moved, grad = x.copy().ravel(), []
    for i in range(x.size):
        values = []
        for step in h, -h:
            moved[i] = x.flat[i] + step
            values.append(loss(moved.reshape(x.shape))[0])
        moved[i] = x.flat[i]
        grad.append((values[0] - values[1]) / (2 * h))
    return np.reshape(grad, x.shape)


@attempt("differences", "one_sided")
def forward(loss, x, *, h):
    here = loss(x)[0]
    return at_each_place(x, lambda unit: (loss(x + h*unit)[0] - here) / h)


@attempt("differences", "not_twice")
def over_h(loss, x, *, h):
    return at_each_place(x, lambda unit: (loss(x + h*unit)[0] - loss(x - h*unit)[0]) / h)


@attempt("differences", "precedence")
def without_brackets(loss, x, *, h):
    return at_each_place(x, lambda unit: (loss(x + h*unit)[0] - loss(x - h*unit)[0]) / 2 * h)


@attempt("differences", "moved_back_by_half")
def back_by_h(loss, x, *, h):
    x, grad = x.copy(), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        before = x[place]
        x[place] += h
        up, _ = loss(x)
        x[place] -= h
        grad[place] = (up - loss(x)[0]) / (2 * h)
        x[place] = before
    return grad


@attempt("differences", "all_at_once")
def every_entry(loss, x, *, h):
    return np.full(x.shape, (loss(x + h)[0] - loss(x - h)[0]) / (2 * h))


@attempt("differences", "not_moved_back")
def left_there(loss, x, *, h):
    x, grad = x.copy(), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        x[place] += h
        up, _ = loss(x)
        x[place] -= 2 * h
        grad[place] = (up - loss(x)[0]) / (2 * h)
    return grad


@attempt("differences", "own_step")
def usual_step(loss, x, *, h):
    return by_units(loss, x, h=1e-5)


@attempt("differences", "gradient_by_hand")
def ask_the_loss(loss, x, *, h):
    return loss(x)[1]


@attempt("differences", "complex_step")
def imaginary(loss, x, *, h):
    return at_each_place(x, lambda unit: np.imag(loss(x + 1j * h * unit)[0]) / h)


@attempt("differences", "it changes its argument x in place")
def on_the_argument(loss, x, *, h):
    grad = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        x[place] += h
        up, _ = loss(x)
        x[place] -= 2 * h
        grad[place] = (up - loss(x)[0]) / (2 * h)
    return grad


@attempt("differences", "TypeError")
def whole_loss(loss, x, *, h):
    return at_each_place(x, lambda unit: (loss(x + h*unit) - loss(x - h*unit)) / (2*h))


@attempt("differences", "gradient: the sign is wrong")
def down_minus_up(loss, x, *, h):
    return at_each_place(x, lambda unit: (loss(x - h*unit)[0] - loss(x + h*unit)[0]) / (2*h))


@attempt("differences", "none of the well-known mistakes")
def five_points(loss, x, *, h):
    return (4 * by_units(loss, x, h=h) - by_units(loss, x, h=2 * h)) / 3


# bellman


def outcome_by_outcome(mdp, backed_up):
    """Q where backed_up(s, p, s', r, ended) is summed over the outcomes."""
    Q = np.zeros(mdp.shape)
    for s, a in np.ndindex(mdp.shape):
        for outcome in mdp.P[s][a]:
            Q[s, a] += backed_up(s, *outcome)
    return Q


@attempt("bellman")
def backup_by_matrix(mdp, values):
    S, A = mdp.shape
    P = mdp.transitions.toarray().reshape(S, A, S)
    return mdp.mean_reward + mdp.gamma * np.einsum("sat,t->sa", P, values)


@attempt("bellman")
def backup_by_loops(mdp, values):
    return outcome_by_outcome(mdp, lambda s, p, after, r, ended: p * (
        r if ended else r + mdp.gamma * values[after]))


@attempt("bellman")
def backup_by_outcomes(mdp, values):
    later = np.where(mdp.terminated, 0.0, values[mdp.next_state])
    return (mdp.prob * (mdp.reward + mdp.gamma * later)).sum(axis=-1)


@attempt("bellman", "value_after_the_end")
def backup_without_ends(mdp, values):
    return outcome_by_outcome(mdp, lambda s, p, after, r, ended:
                              p * (r + mdp.gamma * values[after]))


@attempt("bellman", "last_reward_lost")
def backup_times_going_on(mdp, values):
    return outcome_by_outcome(mdp, lambda s, p, after, r, ended:
                              p * (1 - ended) * (r + mdp.gamma * values[after]))


@attempt("bellman", "no_discount")
def backup_undiscounted(mdp, values):
    return outcome_by_outcome(mdp, lambda s, p, after, r, ended:
                              p * (r + (1 - ended) * values[after]))


@attempt("bellman", "discounted_reward")
def backup_all_discounted(mdp, values):
    return mdp.gamma * outcome_by_outcome(mdp, lambda s, p, after, r, ended:
                                          p * (r + (1 - ended) * values[after]))


@attempt("bellman", "no_reward")
def backup_of_the_future(mdp, values):
    return mdp.gamma * outcome_by_outcome(mdp, lambda s, p, after, r, ended:
                                          p * (1 - ended) * values[after])


@attempt("bellman", "own_value")
def backup_of_the_state(mdp, values):
    return (mdp.mean_reward.T + mdp.gamma * values).T


@attempt("bellman", "no_probabilities")
def backup_of_all_outcomes(mdp, values):
    return outcome_by_outcome(mdp, lambda s, p, after, r, ended:
                              r + mdp.gamma * values[after] * (1 - ended))


@attempt("bellman", "advantage")
def backup_less_value(mdp, values):
    return outcome_by_outcome(mdp, lambda s, p, after, r, ended: p * (
        r + mdp.gamma * values[after] * (1 - ended) - values[s]))


@attempt("bellman", "columns_first")
def backup_in_fortran(mdp, values):
    return mdp.mean_reward + mdp.gamma * (mdp.transitions @ values).reshape(mdp.shape, order="F")


@attempt("bellman", "shape (4, 3), got (4,)")
def backup_of_the_best(mdp, values):
    return backup_by_loops(mdp, values).max(axis=1)


@attempt("bellman", "Q: the sign is wrong")
def backup_of_costs(mdp, values):
    return -backup_by_loops(mdp, values)


@attempt("bellman", "none of the well-known mistakes")
def backup_in_two_steps(mdp, values):
    return backup_by_loops(mdp, backup_by_loops(mdp, values).max(axis=1))


# value_iteration


def backups(law, V, gamma):
    """A list Q[s] of the backed-up values of each action of each state."""
    return [[sum(p * (r if end else r + gamma * V[after]) for p, after, r, end in outcomes)
             for outcomes in actions] for actions in law]


def swept(law, backed_up, new=max, settled=lambda V, old: np.abs(V - old).max() <= 1e-10):
    """V and the best actions, by sweeps of any kind."""
    V, old = np.zeros(len(law)), np.full(len(law), np.inf)
    while not settled(V, old):
        old, Q = V, backed_up(V)
        V = np.array([new(q) for q in Q])
    return V, [int(np.argmax(q)) for q in Q]


@attempt("value_iteration")
def by_arrays(law, gamma, tol=1e-10):
    return swept(law, lambda V: backups(law, V, gamma))


@attempt("value_iteration")
def one_state_after_the_other(law, gamma, tol=1e-10):
    V, change = [0.0] * len(law), 1.0
    while change > tol:
        change = 0.0
        for s in range(len(law)):
            before, V[s] = V[s], max(backups(law, V, gamma)[s])
            change = max(change, abs(V[s] - before))
    best = []
    for q in backups(law, V, gamma):
        a = 0
        for b in range(1, len(q)):
            if q[b] > q[a] + 1e-12:
                a = b
        best.append(a)
    return V, best


@attempt("value_iteration", "value_after_the_end")
def ends_forgotten(law, gamma, tol=1e-10):
    return swept(law, lambda V: [[sum(p * r + p * gamma * V[after] for p, after, r, _ in outcomes)
                                  for outcomes in actions] for actions in law])


@attempt("value_iteration", "last_reward_lost")
def paid_only_if_it_goes_on(law, gamma, tol=1e-10):
    return swept(law, lambda V: [[sum(p * (r + gamma * V[after])
                                      for p, after, r, end in outcomes if not end)
                                  for outcomes in actions] for actions in law])


@attempt("value_iteration", "mean_over_actions")
def walker_at_random(law, gamma, tol=1e-10):
    return swept(law, lambda V: backups(law, V, gamma), np.mean)


@attempt("value_iteration", "change_without_abs")
def rises_only(law, gamma, tol=1e-10):
    return swept(law, lambda V: backups(law, V, gamma),
                 settled=lambda V, old: old[0] < np.inf and (V - old).max() <= tol)


@attempt("value_iteration", "smallest_change")
def one_is_enough(law, gamma, tol=1e-10):
    return swept(law, lambda V: backups(law, V, gamma),
                 settled=lambda V, old: (np.abs(V - old) <= tol).any())


@attempt("value_iteration", "policy_repeats")
def until_nobody_changes_his_mind(law, gamma, tol=1e-10):
    V, best = [0.0] * len(law), None
    while True:
        Q = backups(law, V, gamma)
        V, old, best = [max(q) for q in Q], best, [q.index(max(q)) for q in Q]
        if best == old:
            return V, best


@attempt("value_iteration", "no_discount")
def as_good_later(law, gamma, tol=1e-10):
    return by_arrays(law, 1.0)


@attempt("value_iteration", "discounted_reward")
def paid_a_step_later(law, gamma, tol=1e-10):
    V, best = by_arrays(law, gamma)
    return gamma * V, best


@attempt("value_iteration", "last_of_ties")
def a_later_one_as_good(law, gamma, tol=1e-10):
    V, _ = by_arrays(law, gamma)
    best = []
    for q in backups(law, V, gamma):
        a = 0
        for b in range(1, len(q)):
            if q[b] >= q[a]:
                a = b
        best.append(a)
    return V, best


@attempt("value_iteration", "it must return (V, best), got 1 value.")
def values_alone(law, gamma, tol=1e-10):
    return by_arrays(law, gamma)[0]


@attempt("value_iteration", "the best must have the shape")
def policy_as_a_table(law, gamma, tol=1e-10):
    V, best = by_arrays(law, gamma)
    return V, np.eye(len(law[0]))[best]


@attempt("value_iteration", "none of the well-known mistakes")
def three_sweeps(law, gamma, tol=1e-10):
    V = np.zeros(len(law))
    for _ in range(3):
        Q = backups(law, V, gamma)
        V = np.array([max(q) for q in Q])
    return V, [int(np.argmax(q)) for q in Q]


# policy_gradient


def climbed(mdp, logits, visits=None, earned=None, actions_by=None):
    """J and η π A, with something else in the place of η, π or A."""
    policy = np.exp(log_softmax(logits))
    V = evaluate(mdp, policy)
    visits = occupancy(mdp, policy) if visits is None else visits
    earned = advantages(mdp, V) if earned is None else earned
    return mdp.start @ V, np.array([
        [visits[s] * (policy if actions_by is None else actions_by)[s, a] * earned[s, a]
         for a in range(mdp.shape[1])] for s in range(mdp.shape[0])])


@attempt("policy_gradient")
def by_advantages(mdp, logits):
    policy = np.exp(log_softmax(logits))
    V = evaluate(mdp, policy)
    grad = (occupancy(mdp, policy) * (policy * advantages(mdp, V)).T).T
    return from_start(mdp, V), grad


@attempt("policy_gradient")
def by_the_backward_pass(mdp, logits):
    logp = log_softmax(logits)
    V = evaluate(mdp, np.exp(logp))
    G = column(occupancy(mdp, np.exp(logp))) * np.exp(logp) * action_values(mdp, V)
    return mdp.start @ V, backward(logp, G)


@attempt("policy_gradient", "no_visits")
def each_state_once(mdp, logits):
    return climbed(mdp, logits, visits=np.ones(mdp.shape[0]))


@attempt("policy_gradient", "no_policy")
def each_action_once(mdp, logits):
    return climbed(mdp, logits, actions_by=np.ones(mdp.shape))


@attempt("policy_gradient", "action_values")
def without_baseline(mdp, logits):
    V = evaluate(mdp, np.exp(log_softmax(logits)))
    return climbed(mdp, logits, earned=action_values(mdp, V))


@attempt("policy_gradient", "reward_only")
def visits_held_fixed(mdp, logits):
    logp = log_softmax(logits)
    policy = np.exp(logp)
    eta = occupancy(mdp, policy)
    J = (column(eta) * policy * mdp.mean_reward).sum()
    return J, backward(logp, column(eta) * policy * mdp.mean_reward)


@attempt("policy_gradient", "start_only")
def first_step_alone(mdp, logits):
    return climbed(mdp, logits, visits=mdp.start)


@attempt("policy_gradient", "undiscounted_visits")
def without_discount(mdp, logits):
    policy = np.exp(log_softmax(logits))
    P = (policy.ravel() * mdp.transitions.toarray().T).T.reshape(*mdp.shape, -1).sum(axis=1)
    return climbed(mdp, logits, visits=np.linalg.solve(np.eye(len(P)) - P.T, mdp.start))


@attempt("policy_gradient", "shares_of_visits")
def share_of_time(mdp, logits):
    eta = occupancy(mdp, np.exp(log_softmax(logits)))
    return climbed(mdp, logits, visits=eta / sum(eta))


@attempt("policy_gradient", "descent")
def as_a_loss(mdp, logits):
    J, grad = climbed(mdp, logits)
    return J, 0 - grad


@attempt("policy_gradient", "mean_value")
def from_anywhere(mdp, logits):
    _, grad = climbed(mdp, logits)
    return np.mean(evaluate(mdp, np.exp(log_softmax(logits)))), grad


@attempt("policy_gradient", "shape (4, 3), got (12,)")
def laid_flat(mdp, logits):
    J, grad = climbed(mdp, logits)
    return J, grad.ravel()


@attempt("policy_gradient", "none of the well-known mistakes")
def policy_squared(mdp, logits):
    return climbed(mdp, logits, actions_by=np.exp(2 * log_softmax(logits)))
