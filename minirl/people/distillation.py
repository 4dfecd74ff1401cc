"""What becomes of a small student that learns from a larger teacher?

*Part 4.  Previous: `ratios`.  Next: `unified`.*

*Distillation* trains a small policy, the *student* π, to act as a larger one does, the *teacher* T.
The teacher is asked for whole rows: what would you do here, and with what chance?  A bigram may
learn from a model that looks two characters back: each *context* s, a state of the teacher, has a
row of the student, row(s), here that of the last character.  This chapter asks where the losses of
distillation come to rest, and whose strings they should use.

**One coin for two.**  Head goes on and tail ends, as in the coin game.  The teacher shows head with
the chance 1/5 in the first throw, and with 9/10 in each later one.  So four of five strings are
empty, and the others long: a mean of 1/5 · (1 + 9) = 2 heads.  The student has one coin for all
throws.  State 0 is the first throw, and state 1 any later one.  Head (action 0) leads to state 1,
and tail ends.  Each head is followed by a later throw, so that the teacher's visits are 1 and 2:

>>> from minirl.kernel.mdp import TabularMDP
>>> game = TabularMDP([[[1], [1]], [[1], [1]]], np.ones((2, 2, 1)), np.zeros((2, 2, 1)),
...                   [[[False], [True]], [[False], [True]]], start=[1, 0], gamma=1.0)
>>> teacher, rows = np.log([[1/5, 4/5], [9/10, 1/10]]), [0, 0]
>>> theirs = occupancy(game, np.exp(teacher))  # 1 and 2

**The loss** compares two rows in each context.  Let middle = mix T + (1 − mix) π, and

    distance(T, π) = mix KL(T‖middle) + (1 − mix) KL(π‖middle),   0 < mix < 1,
    distance(T, π) = KL(T‖π) at mix = 0, and KL(π‖T) at mix = 1.                   (distillation.1)

This is the *generalised Jensen-Shannon divergence*.  (The code says `beta` for mix, as libraries
do.)  At its ends stand the *forward KL* and the *reverse KL*, the limits of distance/mix and of
distance/(1 − mix).  So near an end the distance is nearly 0, and at the end it jumps.  Make small

    L = Σ_s visits(s) distance(T(·|s), π(·|row(s))).                               (distillation.2)

The visits, η in (kl.1), say how often a string is in a context.  The strings are the teacher's, or
the student's own, or a share `lmbda` of them is its own.  The visits are held fixed, as in (kl.3).
When an entry of log π moves, middle moves by (1 − mix) π:

    from mix KL(T‖middle):         −mix T (1 − mix) π/middle
    from (1 − mix) KL(π‖middle):   (1 − mix) π [log(π/middle) + 1 − (1 − mix) π/middle]

The two terms over middle sum to −(1 − mix) π, and take the 1 away.  A visit adds to its row

    G = (1 − mix) π log(π/middle);   at mix = 1: π log(π/T);   at mix = 0: −T.     (distillation.3)

**Where it rests, for fixed visits.**  Let share(s) be the visits of s over those of all contexts of
its row.  At mix = 0 the loss is that of `sft` with the counts visits · T, up to a constant and a
factor.  So the best row is the arithmetic mean, by (sft.2).  At mix = 1 it is the geometric mean,
scaled to sum to 1: Σ_s share(s) KL(π‖T) is Σ_a π (log π − Σ_s share(s) log T), which is KL(π‖that
mean) plus a constant.  In between, let any row q stand for middle: mix KL(T‖q) + (1 − mix) KL(π‖q)
is the distance plus KL(middle‖q), so that middle is best.  So alternate: middle for this π, then
the best π for these middles, again a geometric mean.  L is convex in π, and falls until both agree:

    mix = 0:  π(a) = Σ_s share(s) T(a|s),
    mix > 0:  π(a) ∝ exp Σ_s share(s) log middle(a|s), where π is in middle too.   (distillation.4)

With the teacher's visits this is (1/5 + 2 · 9/10)/3 = 2/3 at mix = 0.  At 1 the odds of head
are the third root of ¼ · 9 · 9, which is 2.7257, and its chance is 0.7316:

>>> for mix in 0, 0.5, 1:
...     print(np.exp(distilled(teacher, theirs, beta=mix, rows=rows)).round(4))
[[0.6667 0.3333]]
[[0.705 0.295]]
[[0.7316 0.2684]]

**Whose strings?**  With a row for each context all losses lead to T, where each distance is 0.  A
smaller student has to compromise, and the visits weigh its contexts.  On own strings they change as
it learns (`fit_distilled`).  Yet the forward KL still rests at 2/3.  There the student takes each
action of a row as often as the teacher (`sft`).  If row and action decide the next context, as here
but not in exercise 2, its visits are then the teacher's.  The reverse KL moves.  With p the chance
of head, own strings have the shares 1 − p and p, and T the odds ¼ and 9.  So its log-odds of head
are (1 − p) log ¼ + p log 9 at rest.  That is at p = 0.8307, with nearly 5 heads.

**The other gradient.**  By (kl.1) the forward KL on the teacher's strings adds up to KL(T‖π) of
strings, and its visits do not move.  The reverse KL on own strings adds up to KL(π‖T), but that has
another gradient, (kl.2).  With `rest`, the KL still to come after a step, and own visits it is

    G = visits(s) π(a|row(s)) [log(π(a|row(s))/T(a|s)) + rest(s, a)].              (distillation.5)

At p = 2/3, where its visits are 1 and 2 too, the two disagree.  The frozen one wants more heads, to
be like the later throws.  The true one wants fewer, since each head leads to a throw that costs:

>>> student = np.log([[2/3, 1/3]])
>>> print(distillation_loss(student, teacher, theirs, beta=1, rows=rows)[1].round(4))
[[-0.2064  0.2064]]
>>> print(string_distillation_loss(student, game, teacher, rows=rows)[1].round(4))
[[ 0.1961 -0.1961]]

To minimise KL(π‖T) itself is RLHF without a reward, at the price 1.  The best coin hardly writes:
97 % of its strings are empty, which is T's likeliest string.  The words below are the Unicode ones.
T looks two characters back (pseudo-count 0.1); its students are bigrams.  Letters, or heads, are a
mean, entropy is that of strings in nats, nats/char what the words cost (2.584 with a bigram counted
from them), and a string is *odd* if T gives one of its steps less than 1/1000.

    student                         KL(T‖π)  KL(π‖T)  letters  entropy  nats/char  odd
    coin: forward, any strings       0.759    0.913     2.000
    reverse, own strings, at rest    0.996    1.031     4.906
    least KL(π‖T) of strings         5.819    0.195     0.032
    words: T itself                  0        0         6.475   17.954   2.222     0.013
    forward, any strings             2.573    3.908     6.475   20.527   2.616     0.233
    mix ½, every other string own    2.628    3.647     6.438   19.980   2.614     0.198
    reverse, own strings, at rest    2.882    4.014     7.727   22.999   2.648     0.159
    least KL(π‖T) found              7.794    1.877     2.913    7.503   3.205     0.023

With frozen visits the reverse KL (the default of TRL's DistillationTrainer) writes fewer odd ones.
In both worlds it rests at *more* KL(π‖T) than imitation.  Per step of the words it is nearer, 0.460
nats against 0.523, but its strings are longer, and the frozen loss does not see that.

**Exercises.**  `from minirl.people.distillation import *; from minirl.kernel.mdp import *`
1. A fair teacher, and a coin with log-odds 3.  Which of these mixes costs least?
       x, fair = np.array([[3., 0.]]), np.zeros((1, 2))
       [round(distillation_loss(x, fair, [1], beta=mix)[0], 4) for mix in (0, 0.001, 0.5, 1)]
2. The game is cut after two throws.  Does the forward KL still not care who writes?
       game, T, x = unroll(coin_game(), 2), np.log([[0.2, 0.8], [0.9, 0.1]]), [[0., 0.]]
       [np.exp(fit_distilled(x, game, T, beta=0, lmbda=k, rows=[0, 0])).round(4) for k in (0, 1)]
3. A student has all but dropped tail.  Which mix calls it back?
       x, fair = np.array([[9., 0.]]), np.zeros((1, 2))
       [distillation_loss(x, fair, [1], beta=mix)[1].round(3).tolist() for mix in (0, 0.5, 1)]

Read next: `unified`, one gradient for all of them.
Source: Agarwal et al. 2023 (GKD), arXiv:2306.13649, eq. 1; Gu et al. 2023, arXiv:2306.08543.
"""

import numpy as np
from scipy import sparse

from minirl.exact.evaluation import occupancy
from minirl.exact.solving import sweep
from minirl.kernel import checks
from minirl.kernel.softmax import LogPolicy, backward, difference, kl, log_softmax, product
from minirl.people.kl import string_kl


def distillation_loss(logits, teacher_logits, visits, *, beta=0.5, rows=None):
    """The loss (distillation.2), with the visits frozen, and its gradient by (distillation.3).

    Parameters
    ----------
    logits : (S, A) float
        The student.
    teacher_logits : (contexts, A) float
    visits : (contexts,) float ≥ 0
        How often each context is met: per string, for a loss in nats per string; divided by their
        sum, for a mean per step, as in TRL.  Of a rollout they are the row sums of `counts.table`.
    beta : float in [0, 1]
        `mix`: 0 is the forward KL, 1 the reverse KL.  Between them both rows are compared with
        middle = beta T + (1 − beta) π, where T(·|s) and π(·|row(s)) are teacher and student.
    rows : (contexts,) int, optional
        Which row of the student is played in each context.  By default each has its own.

    Returns
    -------
    loss : float
        +∞ where a context is visited in which the student never does what the teacher does, at
        `beta` 0, or does what the teacher never does, at 1.  Between, no row costs more than log 2.
    grad : (S, A) float
        A context that makes the loss infinite has no part in it.

    Examples
    --------
    >>> teacher = np.log([[0.2, 0.8], [0.9, 0.1]])
    >>> loss, grad = distillation_loss(np.log([[0.5, 0.5]]), teacher, [1, 2], beta=0, rows=[0, 0])
    >>> print(round(loss, 4), grad.round(4))
    0.9289 [[-0.5  0.5]]
    """
    logp, teacher_logp, rows = _tables(log_softmax(logits), teacher_logits, rows)
    visits = checks.weights("visits", visits, rows.shape)
    distance, G = row_distance(logp[rows], teacher_logp, beta=beta)
    G = np.where(np.isfinite(distance), visits, 0)[:, None] * G
    return product(visits, distance).sum(), backward(logp, _added_up(G, rows, logp))


def row_distance(logp, teacher_logp, *, beta=0.5):
    """The distance (distillation.1) of two tables, row by row, (S,) in nats, and its G (S, A).

    Examples
    --------
    >>> fair, bent = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    >>> for beta in 0, 0.5, 1:
    ...     print(row_distance(fair, bent, beta=beta)[0].round(4))
    [0.3681]
    [0.1017]
    [0.5108]
    """
    checks.fraction("beta", beta)
    middle = logp if beta == 0 else teacher_logp if beta == 1 else _mixed(logp, teacher_logp, beta)
    # At an end the middle is one of the two, so that one term is 0; the other one counts in full.
    distance = (beta or 1) * kl(teacher_logp, middle) + (1 - beta or 1) * kl(logp, middle)
    if beta == 0:
        return distance, -np.exp(teacher_logp)
    policy = np.exp(logp)
    used = (policy != 0) & (middle.real > -np.inf)
    return distance, (1 - beta or 1) * policy * difference(logp, middle, used)


def string_distillation_loss(logits, mdp, teacher_logits, *, rows=None):
    """KL(π‖T) of whole strings, in nats, and its true gradient, by (distillation.5).

    Parameters
    ----------
    logits : (S, A) float
        The student.
    mdp : TabularMDP
        Its states are the contexts; it says which context follows, and where a string ends.
    teacher_logits : (contexts, A) float
    rows : (contexts,) int, optional
        Which row of the student is played in each context.  By default each has its own.

    Examples
    --------
    The coin of `kl`, of which each toss costs 0.1308 and a string has four:

    >>> from minirl.kernel.mdp import coin_game
    >>> loss, grad = string_distillation_loss(np.log([[0.75, 0.25]]), coin_game(), [[0, 0]])
    >>> print(round(loss, 4), grad.round(4))
    0.5232 [[ 1.2164 -1.2164]]
    """
    logp, teacher_logp, rows = _tables(log_softmax(logits), teacher_logits, rows)
    distance, grad = string_kl(mdp, LogPolicy(logp[rows]), LogPolicy(teacher_logp))
    return distance, _added_up(grad, rows, logp)


def distilled(teacher_logits, visits, *, beta=0.5, rows=None, tol=1e-13):
    """log π (S, A) of the student with the least `distillation_loss`, by (distillation.4).

    It has the rows that `rows` names.  One that is never visited becomes the plain mean of its
    contexts.  Where at `beta` 1 the contexts of a row have no action in common, no student has a
    finite loss, and that is a ValueError.

    Examples
    --------
    >>> teacher = np.log([[0.2, 0.8], [0.9, 0.1]])
    >>> print(np.exp(distilled(teacher, [1, 2], beta=0, rows=[0, 0])).round(4))
    [[0.6667 0.3333]]
    """
    checks.fraction("beta", beta)
    checks.positive("tol", tol)
    teacher_logp = log_softmax(teacher_logits, "teacher_logits")
    rows = _rows(rows, teacher_logp, len(teacher_logp))
    visits = checks.weights("visits", visits, rows.shape)
    size = rows.max() + 1
    if np.bincount(rows).min() == 0:
        raise ValueError(f"rows must hold each number up to the largest, got {np.unique(rows)}")
    visited = np.bincount(rows, visits) > 0
    weights = np.where(visited[rows], visits, 1.0)
    used = np.flatnonzero(weights)  # what has no share is left out, since 0 times −∞ is no number
    shares = (weights / np.bincount(rows, weights)[rows])[used]
    mean = sparse.csr_array((shares, (rows[used], used)), shape=(size, len(rows)))
    arithmetic = mean @ np.exp(teacher_logp)
    if beta == 0:
        return _log(arithmetic)

    def better(policy):
        logp = _log(policy)
        middle = teacher_logp if beta == 1 else _mixed(logp[rows], teacher_logp, beta)
        geometric = np.where(visited[:, None], mean @ middle, logp)
        return np.exp(log_softmax(geometric, "at beta = 1 the mean of log T"))

    return _log(sweep(better, arithmetic, gamma=1.0, tol=tol)[0])


def fit_distilled(start, mdp, teacher_logits, *, beta=0.5, lmbda=0.5, rows=None, tol=1e-12):
    """log π (S, A) where the loss with frozen visits comes to rest, from the logits `start`.

    A share `lmbda` of the strings is written by the student, and the others by the teacher.  Each
    round takes the `distilled` student for the visits of the round before.  The states of `mdp` are
    the contexts.

    Examples
    --------
    A coin that may be thrown three times, and a teacher that changes its mind:

    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> teacher = np.log([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])
    >>> print(np.exp(fit_distilled(np.zeros((1, 2)), unroll(coin_game(), 3), teacher, beta=1.0,
    ...                            lmbda=1.0, rows=[0, 0, 0])).round(4))
    [[0.4335 0.5665]]
    """
    checks.fraction("lmbda", lmbda)
    logp, teacher_logp, rows = _tables(log_softmax(start, "start"), teacher_logits, rows)
    checks.shape("start", logp, (int(rows.max()) + 1, logp.shape[1]))
    theirs = occupancy(mdp, np.exp(teacher_logp))

    def better(policy):
        visits = (1 - lmbda) * theirs + lmbda * occupancy(mdp, policy[rows])
        return np.exp(distilled(teacher_logits, visits, beta=beta, rows=rows, tol=tol / 10))

    return _log(sweep(better, np.exp(logp), gamma=1.0, tol=tol, max_sweeps=1000)[0])


def _added_up(table, rows, logp):
    """The rows of a table of contexts, added up in the rows of the student."""
    total = np.zeros(logp.shape, table.dtype)
    np.add.at(total, rows, table)
    return total


def _mixed(logp, teacher_logp, beta):
    """log(mix T + (1 − mix) π), where what is tiny in both is not lost."""
    largest = np.maximum(logp.real, teacher_logp)
    largest = np.where(largest == -np.inf, 0, largest)
    return largest + _log(beta * np.exp(teacher_logp - largest)
                          + (1 - beta) * np.exp(logp - largest))


def _log(numbers):
    """The logarithm, which is −∞ at 0."""
    return np.log(numbers, where=numbers != 0, out=np.full_like(numbers, -np.inf))


def _tables(logp, teacher_logits, rows):
    """log π, log T and the student's row of each context."""
    teacher_logp = log_softmax(teacher_logits, "teacher_logits")
    rows = _rows(rows, teacher_logp, len(logp))
    checks.shape("teacher_logits", teacher_logp, (len(rows), *logp.shape[1:]))
    return logp, teacher_logp, rows


def _rows(rows, teacher_logp, bound):
    if rows is None and len(teacher_logp) != bound:
        raise ValueError(f"rows must be given unless the student has one for each of the "
                         f"{len(teacher_logp)} contexts, got {bound}")
    rows = checks.numbers("rows", range(bound) if rows is None else rows, bound)
    checks.shape("rows", rows, teacher_logp.shape[:1])
    return rows
