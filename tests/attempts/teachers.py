"""Attempts at the exercises of Part 4, the end: learning from a teacher."""

import numpy as np

from attempts import attempt
from minirl.exact.evaluation import evaluate, occupancy
from minirl.kernel.softmax import backward, kl, log_softmax
from minirl.people.distillation import distillation_loss
from minirl.people.kl import string_kl


def softmax(logits):
    return np.exp(log_softmax(logits))


def played(S, contexts, rows):
    """The matrix (contexts, S) that has a 1 at the student's row of each context."""
    return np.eye(S)[np.arange(contexts) if rows is None else rows]


def backward_in_rows(logits, table, rows):
    """From a table G of the contexts to the gradient in the student's logits."""
    return backward(log_softmax(logits), played(len(logits), len(table), rows).T @ table)


# Distillation on a table.


@attempt("distillation")
def with_a_branch_for_each_end(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    rows = np.arange(len(visits)) if rows is None else rows
    logp, logt = log_softmax(logits), log_softmax(teacher_logits)
    own = logp[rows]
    pi, T = np.exp(own), np.exp(logt)
    if beta == 0:
        cost, G = T * (logt - own), -T
    elif beta == 1:
        cost = G = pi * (own - logt)
    else:
        middle = np.log(beta * T + (1 - beta) * pi)
        cost = beta * T * (logt - middle) + (1 - beta) * pi * (own - middle)
        G = (1 - beta) * pi * (own - middle)
    total = np.zeros(logits.shape)
    np.add.at(total, rows, visits[:, None] * G)
    return visits @ cost.sum(axis=1), backward(logp, total)


@attempt("distillation")
def context_by_context(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    loss, grad, pi = 0.0, np.zeros(logits.shape), softmax(logits)
    for s, T in enumerate(softmax(teacher_logits)):
        row = s if rows is None else rows[s]
        p = pi[row]
        M = beta * T + (1 - beta) * p
        if 0 < beta < 1:  # with both terms that middle moves, as the chapter derives it
            loss += visits[s] * (beta * T @ np.log(T / M) + (1 - beta) * p @ np.log(p / M))
            G = (1 - beta) * p * (np.log(p / M) + 1 - (1 - beta) * p / M - beta * T / M)
        else:
            loss += visits[s] * (p @ np.log(p / T) if beta else T @ np.log(T / p))
            G = p * (np.log(p / T) + 1) if beta else -T
        grad[row] += visits[s] * (G - p * G.sum())
    return loss, grad


@attempt("distillation")
def with_middle_held_fixed(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    """Right, for middle is what makes the two KLs least."""
    loss, _ = context_by_context(logits, teacher_logits, visits, beta=beta, rows=rows)
    p, T = played(len(logits), len(visits), rows) @ softmax(logits), softmax(teacher_logits)
    G = (1 - beta) * p * (np.log(p / (beta * T + (1 - beta) * p)) + 1) if 0 < beta < 1 else (
        p * np.log(p / T) if beta else -T)
    return loss, backward_in_rows(logits, visits[:, None] * G, rows)


def of_rows(distance, keep=lambda table, visits: table * visits[:, None]):
    """A loss from `distance(π, T, mix)`, which gives what an entry costs and G."""
    def loss(logits, teacher_logits, visits, *, beta=0.5, rows=None):
        pi = played(len(logits), len(visits), rows) @ softmax(logits)
        cost, G = (keep(np.asarray(table), visits)
                   for table in distance(pi, softmax(teacher_logits), beta))
        return cost.sum(), backward_in_rows(logits, G, rows)
    return loss


def forward(p, T):
    return T * np.log(T / p), -T


def reverse(p, T):
    return p * np.log(p / T), p * np.log(p / T)


def right(p, T, mix):
    return forward(p, T) if mix == 0 else reverse(p, T) if mix == 1 else between(p, T, mix)


def between(p, T, mix):
    M = mix * T + (1 - mix) * p
    return (mix * T * np.log(T / M) + (1 - mix) * p * np.log(p / M), (1 - mix) * p * np.log(p / M))


def kl_div_in_its_order(p, T, mix):
    if mix in (0, 1):
        return reverse(p, T) if mix == 0 else forward(p, T)
    M = mix * T + (1 - mix) * p
    slope = mix * np.log(M / T) + (1 - mix) * np.log(M / p) + 1  # of what is summed, in M
    return (mix * M * np.log(M / T) + (1 - mix) * M * np.log(M / p),
            (1 - mix) * p * slope - (1 - mix) * M)


def as_trl_once_had_it(p, T, mix):
    M = mix * p + (1 - mix) * T
    return (mix * T * np.log(T / M) + (1 - mix) * p * np.log(p / M),
            (1 - mix) * p * (np.log(p / M) - mix * p / M) - mix * T * mix * p / M)


def logs_mixed(p, T, mix):
    if mix in (0, 1):
        return right(p, T, mix)
    log_M = mix * np.log(T) + (1 - mix) * np.log(p)
    return (mix * T * (np.log(T) - log_M) + (1 - mix) * p * (np.log(p) - log_M),
            -mix * T * (1 - mix) + (1 - mix) * p * (np.log(p) - log_M + 1 - (1 - mix)))


def made_continuous(p, T, mix):
    M = mix * T + (1 - mix) * p
    return ((1 - mix) * T * np.log(T / M) + mix * p * np.log(p / M),
            mix * p * (np.log(p / M) - (1 - mix) * p / M) - (1 - mix)**2 * T * p / M)


def dead_at_0(p, T, mix):
    cost, G = right(p, T, mix)
    return cost, G * (mix > 0)


def first_term_held(p, T, mix):
    cost, G = right(p, T, mix)
    M = mix * T + (1 - mix) * p
    return cost, G - (1 - mix)**2 * p * p / M if 0 < mix < 1 else G


OF_ROWS = {
    "ends_are_zero": between, "arguments_exchanged": kl_div_in_its_order,
    "middle_turned": as_trl_once_had_it, "mean_of_logarithms": logs_mixed,
    "mix_turned": lambda p, T, mix: right(p, T, 1 - mix), "weights_turned": made_continuous,
    "no_gradient_at_0": dead_at_0, "none of the well-known mistakes": first_term_held,
    "loss and gradient: the sign is wrong": lambda p, T, mix: -np.array(right(p, T, mix)),
    "G is ∂L/∂π where (softmax.3) wants ∂L/∂log π": lambda p, T, mix: (
        right(p, T, mix)[0], right(p, T, mix)[1] / p)}

for expected, of_a_row in OF_ROWS.items():
    looked_at = of_rows(of_a_row)
    looked_at.__name__ = f"rows_{expected.split()[0].replace('∂', '')}"
    attempt("distillation", expected)(looked_at)


@attempt("distillation", "ends_are_zero")  # which are not 0 to the last digit
def in_logarithms(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    rows = np.arange(len(visits)) if rows is None else rows
    logp, logt = log_softmax(logits)[rows], log_softmax(teacher_logits)
    middle = np.log(beta * np.exp(logt) + (1 - beta) * np.exp(logp))
    cost = beta * kl(logt, middle) + (1 - beta) * kl(logp, middle)
    G = (1 - beta) * np.exp(logp) * (logp - middle)
    return visits @ cost, backward_in_rows(logits, visits[:, None] * G, rows)


@attempt("distillation", "visits_unused")
def each_context_once(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    once = of_rows(right, keep=lambda table, visits: table)
    return once(logits, teacher_logits, visits, beta=beta, rows=rows)


@attempt("distillation", "rows_once")
def with_fancy_indices(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    rows = np.arange(len(visits)) if rows is None else rows
    cost, G = right(softmax(logits)[rows], softmax(teacher_logits), beta)
    grad = np.zeros(logits.shape)
    grad[rows] += visits[:, None] * G
    return visits @ cost.sum(axis=1), backward(log_softmax(logits), grad)


@attempt("distillation", "the backward pass (softmax.3) is missing")
def rows_of_G(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    chosen = played(len(logits), len(visits), rows)
    cost, G = right(chosen @ softmax(logits), softmax(teacher_logits), beta)
    return visits @ cost.sum(axis=1), chosen.T @ (visits[:, None] * G)


@attempt("distillation", "loss and gradient: a factor visits.sum() is missing")
def mean_per_step(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    return of_rows(right)(logits, teacher_logits, visits / visits.sum(), beta=beta, rows=rows)


@attempt("distillation", "on case 4, though yes on the first")
def rows_always_there(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    return of_rows(right)(logits, teacher_logits, visits, beta=beta, rows=list(rows))


# Distillation of strings.


@attempt("string_distillation")
def by_the_chain_rule(logits, mdp, teacher_logits, *, rows=None):
    chosen = played(len(logits), len(teacher_logits), rows)
    loss, slopes = string_kl(mdp, chosen @ logits, teacher_logits)
    return loss, chosen.T @ slopes


@attempt("string_distillation")
def by_what_is_still_to_come(logits, mdp, teacher_logits, *, rows=None):
    pi = played(len(logits), len(teacher_logits), rows) @ softmax(logits)
    log_ratio = np.log(pi) - log_softmax(teacher_logits)
    values = evaluate(mdp, pi, log_ratio)
    rest = (mdp.transitions @ values).reshape(pi.shape)
    G = occupancy(mdp, pi)[:, None] * pi * (log_ratio + rest)
    return mdp.start @ values, backward_in_rows(logits, G, rows)


@attempt("string_distillation")  # a backward pass too much takes nothing away
def row_by_row(logits, mdp, teacher_logits, *, rows=None):
    rows = range(len(teacher_logits)) if rows is None else rows
    loss, slopes = string_kl(mdp, np.array([logits[row] for row in rows]), teacher_logits)
    grad = np.zeros_like(logits)
    for row, slope in zip(rows, slopes):
        grad[row] += slope
    return loss, backward(log_softmax(logits), grad)


@attempt("string_distillation", "rows_once")
def strings_with_fancy_indices(logits, mdp, teacher_logits, *, rows=None):
    rows = np.arange(len(teacher_logits)) if rows is None else rows
    loss, slopes = string_kl(mdp, logits[rows], teacher_logits)
    grad = np.zeros_like(logits)
    grad[rows] += slopes
    return loss, grad


def visits_of(mdp, logits, contexts, rows):
    return occupancy(mdp, played(len(logits), contexts, rows) @ softmax(logits))


@attempt("string_distillation", "frozen")
def rows_on_own_strings(logits, mdp, teacher_logits, *, rows=None):
    visits = visits_of(mdp, logits, len(teacher_logits), rows)
    return distillation_loss(logits, teacher_logits, visits, beta=1, rows=rows)


@attempt("string_distillation", "teachers_strings")
def rows_on_its_strings(logits, mdp, teacher_logits, *, rows=None):
    visits = occupancy(mdp, softmax(teacher_logits))
    return distillation_loss(logits, teacher_logits, visits, beta=1, rows=rows)


@attempt("string_distillation", "forward")
def imitation_of_endless_strings(logits, mdp, teacher_logits, *, rows=None):
    T, chosen = softmax(teacher_logits), played(len(logits), len(teacher_logits), rows)
    logp, steps = log_softmax(logits), occupancy(mdp, T)[:, None] * T
    return ((steps * (np.log(T) - chosen @ logp)).sum(), backward(logp, -chosen.T @ steps))


@attempt("string_distillation", "exchanged")
def teacher_first(logits, mdp, teacher_logits, *, rows=None):
    chosen = played(len(logits), len(teacher_logits), rows)
    loss, slopes = string_kl(mdp, teacher_logits, chosen @ logits)
    return loss, chosen.T @ slopes


@attempt("string_distillation", "mean_of_contexts")
def means(logits, mdp, teacher_logits, *, rows=None):
    chosen = played(len(logits), len(teacher_logits), rows)
    loss, slopes = string_kl(mdp, chosen @ logits, teacher_logits)
    return loss, np.array([slopes[column > 0].mean(axis=0) for column in chosen.T])


@attempt("string_distillation", "teacher_of_row")
def everybody_in_rows(logits, mdp, teacher_logits, *, rows=None):
    chosen = played(len(logits), len(teacher_logits), rows)
    asked = teacher_logits if rows is None else teacher_logits[rows]
    loss, slopes = string_kl(mdp, chosen @ logits, asked)
    return loss, chosen.T @ slopes


@attempt("string_distillation", "per_step")
def nats_per_step(logits, mdp, teacher_logits, *, rows=None):
    loss, grad = by_the_chain_rule(logits, mdp, teacher_logits, rows=rows)
    length = visits_of(mdp, logits, len(teacher_logits), rows).sum()
    return loss / length, grad / length


@attempt("string_distillation", "loss and gradient: the sign is wrong")
def strings_uphill(logits, mdp, teacher_logits, *, rows=None):
    loss, grad = by_the_chain_rule(logits, mdp, teacher_logits, rows=rows)
    return -loss, -grad


@attempt("string_distillation", "loss and gradient: a factor len(rows) is missing")
def mean_over_contexts(logits, mdp, teacher_logits, *, rows=None):
    loss, grad = by_the_chain_rule(logits, mdp, teacher_logits, rows=rows)
    return loss / len(teacher_logits), grad / len(teacher_logits)


@attempt("string_distillation", "the gradient must have the shape (4, 3), got (7, 3)")
def not_added_up(logits, mdp, teacher_logits, *, rows=None):
    return string_kl(mdp, logits if rows is None else logits[rows], teacher_logits)


@attempt("string_distillation", "none of the well-known mistakes")
def half_frozen(logits, mdp, teacher_logits, *, rows=None):
    loss, grad = by_the_chain_rule(logits, mdp, teacher_logits, rows=rows)
    frozen = rows_on_own_strings(logits, mdp, teacher_logits, rows=rows)[1]
    return loss, (grad + frozen) / 2
