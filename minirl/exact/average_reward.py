"""What does a policy earn per step, when an episode that ends starts again?

*Part 2, a side road.  Previous: `planning`.  Next: `return_law`, a side road.*

The return asks how much an episode earns until its end.  A robot that works all day, and a learner
that plays one episode after the other, may rather ask how much is earned *per step*.  Let an
episode that has ended begin again from `start`, at once and for ever, and do not discount.  The
*reward per step* is the mean over a long time T,

    r̄(π) = lim (1/T) E[r_0 + r_1 + … + r_{T−1}].                                 (average_reward.1)

Many books call it the gain of a policy.  γ plays no part in this chapter.

**In numbers.**  A courier is at the depot, state 0, or with a customer, state 1.  At the depot two
actions are possible: to stay, which pays 1, or to go, which pays nothing.  Whatever is done at the
customer's leads back and pays 4.

    stay, pays 1  ⟲ 0  ── go, pays 0 ──→  1
                    0  ←── pays 4 ──────  1

Let a fair coin decide at the depot.  Then every second step at the depot leads to a customer, with
whom one step is spent.  So two thirds of the time are spent at the depot and one third with
customers, and a step pays ⅔ · ½ · 1 + ⅓ · 4 = 5/3:

>>> from minirl.kernel.mdp import TabularMDP
>>> courier = TabularMDP(next_state=[[[0], [1]], [[0], [0]]], prob=np.ones((2, 2, 1)),
...                      reward=[[[1], [0]], [[4], [4]]], terminated=np.full((2, 2, 1), False),
...                      start=[1, 0], gamma=1)
>>> found = average_reward(courier, np.full((2, 2), 0.5))
>>> print(found.visits.round(4), round(found.rate, 4))
[0.6667 0.3333] 1.6667

**Differential values.**  The sum of all rewards is infinite here, so a state has no value of the
usual kind.  It has a *differential value* h(s): how much more is earned from s on than r̄ in every
step.  The next step earns r_π(s) in place of r̄, and then comes s', or an end and a fresh episode:

    h(s) = r_π(s) − r̄ + Σ_s' P_π(s'|s) h(s') + (chance of an end) Σ_s start(s) h(s).

All chances sum to 1, so that h plus a constant solves this too.  Choose the constant so that a
fresh episode is worth nothing.  Then the restarts drop out of the equation,

    h = r_π − r̄ + P_π h,   Σ_s start(s) h(s) = 0.                                (average_reward.2)

The courier begins at the depot, so h(0) = 0, and h(1) = 4 − 5/3 + h(0) = 7/3: it is worth 7/3 to be
with a customer already.  The other row agrees: ½ − 5/3 + ½ · 7/3 = 0.

**Shares of time.**  The share d(s) of time that is spent in s is what flows into s.  It comes from
other states, and from the episodes that begin there, "begun" of them per step:

    d = P_πᵀ d + begun · start,   Σ_s d(s) = 1.                                   (average_reward.3)

Multiply (average_reward.2) by d(s) and sum.  By (average_reward.3) P_πᵀ d = d − begun · start, and
Σ start h = 0, so Σ d P_π h = Σ d h.  Hence Σ d h = Σ d r_π − r̄ + Σ d h, and r̄ = Σ_s d(s) r_π(s).
Both are one square system: its unknowns are h and r̄, those of its transpose d and −begun.

Where every episode ends, divide the visits of (evaluation.2) at γ = 1 by their sum, the mean
length: d = η/length, begun = 1/length and r̄ = J/length solve (average_reward.3).  Where none ends,
begun = 0.  Where some end and some are caught in a loop, all are caught at last: again begun = 0.

**The gradient.**  Write ∇ for the derivative in any logit, and Q(s, a) = r(s, a) − r̄ + Σ_s'
P(s'|s, a) h(s').  Differentiate (average_reward.2):

    ∇h(s) = Σ_a ∇π(a|s) Q(s, a) − ∇r̄ + Σ_s' P_π(s'|s) ∇h(s').

Here r̄ could be put into Q because Σ_a ∇π(a|s) = 0.  Multiply by d(s) and sum, as before.  The
terms in ∇h cancel, since Σ_s start(s) ∇h(s) = 0.  What is left is ∇r̄ = Σ_s d(s) Σ_a ∇π(a|s) Q(s,
a).  As in `planning`, (softmax.3) makes a gradient of that.  With Σ_a π(a|s) Q(s, a) = h(s) it is

    ∂r̄/∂θ[s, a] = d(s) π(a|s) [Q(s, a) − h(s)].                                  (average_reward.4)

This is (planning.5) with d for the visits and h for the values.  For the courier Q(0, go) = 0 − 5/3
+ 7/3 = ⅔, so the derivative for going is ⅔ · ½ · ⅔ = 2/9.  The two objectives differ all the same:
a policy that earns little, quickly, may have the larger r̄ and the smaller J.

**The best rate.**  Take any table h, and let best(s) be the largest r(s, a) + Σ_s' P(s'|s, a) h(s')
of any action, where an end adds its chance times Σ_s start(s) h(s).  If the largest reward per step
r̄* is the same from every state, then

    min_s [best(s) − h(s)] ≤ r̄* ≤ max_s [best(s) − h(s)].                        (average_reward.5)

For any policy best(s) is at least r_π(s) plus the h that it leads to.  Take the mean under the
policy's d: what it leads to cancels h, and Σ_s d(s) [best(s) − h(s)] ≥ r̄(π).  A mean is at most
the largest entry, which gives the right bound.  For the policy that takes the best steps the two
sides are equal, and a mean is at least the smallest entry, which gives the left one.

*Relative value iteration* moves h halfway to `best` until the bounds meet.  If it moved all the
way, it would never come to rest in a world that goes round in a circle.  *Howard's policy
iteration* evaluates a policy and takes a better action where there is one.  A policy on the way may
be caught in a poor loop, so its rate r̄(s) depends on the state.  An action is judged by the rate
that it leads to, with P here including the restarts, and among equals by what it earns on the way:

    π(s) ← argmax_a Σ_s' P(s'|s, a) r̄(s'),
    among equals argmax_a r(s, a) + Σ_s' P(s'|s, a) h(s').                        (average_reward.6)

The courier should always go: 4 in two steps are 2 per step, against 1 for staying.

**When is there no answer?**  The limit (average_reward.1) must not depend on luck.  If a policy can
be caught in one of two loops and never leave it, r̄ depends on which.  A search in the graph of
what is possible finds the loops, and more than one is an error.

**Exercises.**  `from minirl.kernel.mdp import *; from minirl.exact.average_reward import *`
1. A coin for the coin game shows head with ½, another one with ¾.  The second has three times the
   return.  How much more does it earn per step?
       coins = np.array([[0.5, 0.5]]), np.array([[0.75, 0.25]])
       [round(float(average_reward(coin_game(), coin).rate), 4) for coin in coins]
2. An episode earns 9 and ends.  One in a thousand goes on to a state that pays 1 for ever.  What is
   earned per step?
       trap = TabularMDP(next_state=[[[0, 1]], [[1, 1]]], prob=[[[0.999, 0.001]], [[1, 0]]],
                         reward=[[[9, 9]], [[1, 1]]], start=[1, 0], gamma=1,
                         terminated=[[[True, False]], [[False, False]]])
       round(float(average_reward(trap, np.ones((2, 1))).rate), 4)
3. One errand pays 1 and ends, another takes three steps and pays 2.  Which one does `howard` take?
       two = TabularMDP(next_state=[[[0], [1]], [[2], [2]], [[0], [0]]], prob=np.ones((3, 2, 1)),
                        reward=[[[1], [0]], [[0], [0]], [[2], [2]]], start=[1, 0, 0], gamma=1,
                        terminated=[[[True], [False]], [[False]] * 2, [[True]] * 2])
       print(howard(two).policy[0], round(howard(two).rate, 4))

Read next: `scorecard`.
Source: Sutton et al. 2000, theorem 1, as in `planning`; Sutton and Barto, 2nd edition, chapters
10.3 and 13.6; Puterman 1994, chapters 8 and 9.2.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csgraph

from minirl.exact.evaluation import (at_states, checked_table, ending_chance, links_among,
                                     reachable, transitions_under)
from minirl.kernel import checks
from minirl.kernel.softmax import log_softmax

CLOSE = 1e-12  # relative to the terms of their sums, two rates or values are one


class AverageReward(NamedTuple):
    """What a policy earns per step, and where it spends its time."""

    rate: float                # r̄, reward per step
    restarts: float            # episodes begun per step; 0 if none ends
    visits: np.ndarray         # (S,) d, share of the time; zero where no episode comes
    values: np.ndarray         # (S,) h, differential; NaN where no episode comes
    action_values: np.ndarray  # (S, A) Q of (average_reward.4); NaN where it needs such an h


def average_reward(mdp, policy, table=None) -> AverageReward:
    """r̄, restarts, d, h and Q of a policy (S, A), by one dense solve of S + 1 unknowns.

    A `table` (S, A) may take the place of the world's mean reward.  Gamma is not used.  A policy
    that can be caught in more than one loop is a ValueError that names a state of each.

    Examples
    --------
    Head pays 1 and goes on, tail pays nothing and ends.  An episode with π(head) = ¾ takes four
    steps on average and pays three times:

    >>> from minirl.kernel.mdp import coin_game
    >>> found = average_reward(coin_game(), np.array([[0.75, 0.25]]))
    >>> print(round(found.rate, 6), round(found.restarts, 6), found.visits.round(6))
    0.75 0.25 [1.]
    """
    table = checked_table(mdp, policy, table)
    states = reachable(mdp, policy)
    onwards = links_among(states, transitions_under(mdp, policy)).toarray()
    start, ends = mdp.start[states], ending_chance(mdp, np.real(policy))[states] > 0
    _refuse_several_loops(np.flatnonzero(states),
                          (onwards.real > 0) | (ends[:, None] & (start > 0)))
    n = len(onwards)
    system = np.block([[np.eye(n) - onwards, np.ones((n, 1))], [start, 0.0]])
    differential = np.linalg.solve(system, np.append((policy * table).sum(axis=1)[states], 0.0))
    balance = np.linalg.solve(system.T, np.append(np.zeros(n), 1.0))
    rate, restarts = differential[n], -balance[n]
    values = at_states(states, differential[:n])
    Q = table - rate + (mdp.transitions @ values).reshape(mdp.shape)
    return AverageReward(rate, restarts, at_states(states, balance[:n], elsewhere=0), values, Q)


def average_reward_gradient(mdp, logits):
    """r̄ and its exact gradient in the logits, (average_reward.4).  To be climbed, not descended.

    The gradient (S, A) is zero in rows that no episode visits.

    Examples
    --------
    With π(head) = p, r̄ = p, and its derivative in the first logit is p(1 − p):

    >>> from minirl.kernel.mdp import coin_game
    >>> rate, grad = average_reward_gradient(coin_game(), np.log([[0.75, 0.25]]))
    >>> print(round(rate, 6), grad.round(6))
    0.75 [[ 0.1875 -0.1875]]
    """
    checks.shape("logits", logits, mdp.shape)
    policy = np.exp(log_softmax(logits))
    found = average_reward(mdp, policy)
    advantages = np.nan_to_num(found.action_values - found.values[:, None])
    return found.rate, found.visits[:, None] * policy * advantages


class BestRate(NamedTuple):
    """A policy that earns most per step, and between which bounds the best rate lies."""

    policy: np.ndarray  # (S, A) deterministic; the first available action where no episode comes
    rate: float         # r̄* from the start, reward per step
    low: float          # the bounds (average_reward.5) for the h that was found
    high: float
    rounds: int         # sweeps or improvements that were needed


def howard(mdp) -> BestRate:
    """The `BestRate` by Howard's policy iteration, (average_reward.6).

    Each round is a dense solve.

    Where the best rate depends on the state, because good loops cannot be reached from everywhere,
    `rate` is the mean over the start.  The bounds then enclose the rates of all states, and may be
    wide.

    Examples
    --------
    Head pays 1 and goes on: show it for ever.

    >>> from minirl.kernel.mdp import coin_game
    >>> best = howard(coin_game())
    >>> print(best.policy, best.rate, best.low, best.high)
    [[1. 0.]] 1.0 1.0 1.0
    """
    states, n = reachable(mdp, mdp.uniform), np.arange(mdp.shape[0])
    ends = (mdp.prob * mdp.terminated).sum(axis=2)
    P = mdp.transitions.toarray().reshape(*mdp.shape, -1) + ends[:, :, None] * mdp.start
    reward, action, rounds = mdp.masked(mdp.mean_reward), mdp.available.argmax(axis=1), 0
    while True:
        rate, values = _rates_and_values(P[n, action], mdp.mean_reward[n, action])
        leads_to, earns = mdp.masked(P @ rate), reward + P @ values
        doubt = CLOSE * (np.abs(mdp.mean_reward) + P @ np.abs(values) + P @ np.abs(rate))
        as_fast = leads_to >= leads_to.max(axis=1, keepdims=True) - doubt
        score = np.where(as_fast, earns, -np.inf)
        better = (~as_fast[n, action] | (score.max(axis=1) > earns[n, action]
                                         + 2 * doubt[n, action])) & states
        if not better.any():
            policy = np.eye(mdp.shape[1])[action]
            return BestRate(policy, float(mdp.start @ rate), *rate_bounds(mdp, values), rounds)
        action, rounds = np.where(better, score.argmax(axis=1), action), rounds + 1


def relative_value_iteration(mdp, *, tol=1e-10, max_sweeps=100_000) -> BestRate:
    """The `BestRate` by relative value iteration: until the bounds are `tol` apart or less.

    `rate` is their middle.  A world in which the best rate depends on the state never comes to
    that, which is a ValueError, as is one that needs more than `max_sweeps`; `howard` finds both.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> best = relative_value_iteration(coin_game())
    >>> print(best.policy, best.rate)
    [[1. 0.]] 1.0
    """
    checks.positive("tol", tol)
    values = np.zeros(mdp.shape[0])
    for sweeps in range(1, checks.whole("max_sweeps", max_sweeps) + 1):
        Q = _restarted(mdp, values)
        low, high = rate_bounds(mdp, values)
        if high - low <= tol:
            policy = np.eye(mdp.shape[1])[Q.argmax(axis=1)]
            return BestRate(policy, (low + high) / 2, low, high, sweeps)
        values = (values + Q.max(axis=1)) / 2
        values -= mdp.start @ values
    raise ValueError(f"after max_sweeps = {max_sweeps} sweeps the bounds {low:g} and {high:g} are "
                     f"more than tol = {tol:g} apart: the best rate may depend on the state")


def rate_bounds(mdp, values):
    """The bounds (average_reward.5) of the best rate that a table h (S,) gives: two floats.

    They are taken over the states that an episode can come to.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(rate_bounds(coin_game(), np.zeros(1)))
    (1.0, 1.0)
    """
    checks.shape("values", values, mdp.shape[:1])
    states = reachable(mdp, mdp.uniform)
    change = (_restarted(mdp, values).max(axis=1) - values)[states]
    return float(change.min()), float(change.max())


def _restarted(mdp, values):
    """r + P h, and after an end a fresh episode; −∞ where an action is not available."""
    fresh = (mdp.prob * mdp.terminated).sum(axis=2) * (mdp.start @ values)
    return mdp.masked(mdp.mean_reward + fresh + (mdp.transitions @ values).reshape(mdp.shape))


def _rates_and_values(P, reward):
    """r̄(s) and h(s) of a chain P (n, n) that pays reward (n,), whatever loops it has.

    In each loop that is never left h is 0 at the first state.
    """
    count, part = csgraph.connected_components(P > 0, connection="strong")
    rate, values, inside = np.zeros(len(P)), np.zeros(len(P)), np.full(len(P), False)
    for i in range(count):
        loop = part == i
        if P[np.ix_(loop, ~loop)].any():
            continue
        system = np.eye(loop.sum()) - P[np.ix_(loop, loop)]
        system[:, 0] = 1.0  # the unknown h of the first state is 0, and r̄ takes its place
        solution = np.linalg.solve(system, reward[loop])
        rate[loop], values[loop] = solution[0], np.append(0.0, solution[1:])
        inside |= loop
    left = np.eye((~inside).sum()) - P[np.ix_(~inside, ~inside)]
    caught = P[np.ix_(~inside, inside)]
    rate[~inside] = np.linalg.solve(left, caught @ rate[inside])
    values[~inside] = np.linalg.solve(left, (reward - rate)[~inside] + caught @ values[inside])
    return rate, values


def _refuse_several_loops(numbers, links):
    """Raise ValueError if more than one part of a graph cannot be left.

    `numbers` (n,) are the numbers of its states in the world; `links` (n, n) bool says which states
    can follow which, restarts included.
    """
    parts, part = csgraph.connected_components(links, connection="strong")
    source, target = np.nonzero(links)
    left = part[source[part[source] != part[target]]]  # parts with a way out
    loops = [int(numbers[part == i][0]) for i in np.setdiff1d(np.arange(parts), left)]
    if len(loops) > 1:
        raise ValueError(f"the reward per step depends on luck: this policy can be caught in loops "
                         f"around the states {', '.join(map(str, loops))}, and never leave them")
