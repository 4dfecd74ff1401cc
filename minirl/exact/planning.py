"""Planning: which policy is best, and which way is up?

*Part 2.  Previous: `gains`, a side road.  Next: `average_reward`, a side road.*

A policy can be improved in two ways.  A large step takes, in each state, the action that is best if
the old policy goes on afterwards.  A small step follows the gradient of J.  Large steps arrive in a
few rounds, but need the tables of the world.  A learner that only plays can take small steps.

**Two policies.**  Let V and A belong to π, and let another policy μ play an episode.  At time t the
mean of A(s_t, a_t) is that of r_t + γ V(s_{t+1}) − V(s_t), where V counts as 0 after the end.  Sum
these up, with discounts.  Each +γᵗ⁺¹ V(s_{t+1}) meets its negative in the next step, so that Σ_t γᵗ
r_t − V(s_0) is left.  (In an endless episode γᵗ V(s_t) goes to 0; at γ = 1 both policies must end.)
On average this is J(μ) − J(π).  By (evaluation.2), with A for r and with the visits η_μ of μ,

    J(μ) − J(π) = Σ_s η_μ(s) Σ_a μ(a|s) A(s, a).                                        (planning.6)

Now let μ be *greedy*: in each state it takes an action with the largest Q(s, a), which is the one
with the largest A(s, a).  The largest A(s, a) is never negative, since their mean under π is 0.  So
no term is negative and μ is no worse than π, from whichever state one starts.  If π is greedy
already, V(s) is the largest Q(s, a), so no A(s, a) is positive.  Then no term is positive for any
μ: π is best, from every state at once.  Its values V* solve Bellman's equation for the best policy,

    V(s) = max_a Q(s, a),   Q(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V(s').                (planning.1)

**By hand.**  In the corridor of `evaluation`, V = (4, 12), and A is ∓2 and ∓10: negative for left,
positive for right.  So the greedy policy goes right.  From cell 0 its visits are (1, ½).  The gain
is 1 · 2 + ½ · 10 = 7, and it is worth 4 + 7 = 11 = ½ · 22.  Now left is worse, so right is best:

>>> from minirl.kernel.mdp import TabularMDP
>>> cells, pays, ends = [[[0], [1]]] * 2, [[[0], [0]], [[0], [22]]], [[[0], [0]], [[0], [1]]]
>>> walk = TabularMDP(cells, np.ones((2, 2, 1)), pays, np.array(ends) == 1, [1, 0], 0.5)
>>> right = np.array([[0., 1.], [0., 1.]])
>>> print(evaluate(walk, right), advantages(walk, evaluate(walk, right))[:, 0])
[11. 22.] [ -5.5 -16.5]

**Large steps.**  *Policy iteration* solves for the values of the present policy and acts greedily
on them, until nothing changes:

    π(s) ← argmax_a Q(s, a), keeping the present action on a tie.                       (planning.2)

Of equally good new actions any will do.  A round that changes s gains at least the A(s, a) > 0 of
the new action from s, and loses nowhere.  So no policy comes back, and there are finitely many.  At
γ = 1 each of them ends if the first does: if one went round for ever, its A on the circle, none
below and one above 0, would sum to what a turn pays (the V cancel), and the optimum would be
infinite.  On the slippery lake, with γ = 0.99, these are the policies, with J below them:

    ← ← ← ←    ← ↓ → ↑    ↓ → → ↑    ↑ ↑ → ↑    ↓ ↑ → ↑    ← ↑ ← ↑    ← ↑ ↑ ↑
    ↓ H ← H    ↓ H ← H    ↓ H ← H    ← H ← H    ← H ← H    ← H ← H    ← H ← H
    ← ← ↓ H    ← ↓ ← H    ↓ ↓ ← H    ↑ ↓ ← H    ↑ ↓ ← H    ↑ ↓ ← H    ↑ ↓ ← H
    H ← ↓ G    H ↓ → G    H → → G    H → ↓ G    H → ↓ G    H → ↓ G    H → ↓ G
    0          0          0.0919     0.2220     0.3446     0.5325     0.5420

The first policy only makes sure that episodes end, for example in a hole.  It takes an action that
may end them, or one that may lead nearer to such an action.  Why keep an action on a tie?  At γ = 1
two actions may look equally good although one of them, repeated, never ends.  On the slippery 8x8
lake a careless tie turns the best policy into one that never ends, and never earns anything.

*Value iteration* reads (planning.1) as an assignment: greedy sweeps, from V = 0.  A maximum moves
no more than the value that moves most.  So a greedy sweep, too, leaves at most γ times the error,
and changes at most γ times as much as the last one.  All changes to come sum to at most γ + γ² + …
= γ/(1 − γ) times the last: below γ = 1 it stops when that is within `tol`.  At γ = 1 there is no
such bound, and it stops when a sweep changes little.  On the lake, with γ = 0.99 and a `tol` of
10⁻¹⁰, it takes 704 sweeps, where policy iteration takes 6 rounds with a solve each.  *Modified
policy iteration* adds 50 sweeps of the greedy policy to each greedy one, and takes 18 rounds.

*Backward induction* is for a horizon of T steps.  With t steps taken there are T − t left, and what
is best may depend on that.  It is exact after T sweeps, at any γ, and needs no policy that ends:

    V_T = 0,   V_t(s) = max_a r(s, a) + γ Σ_s' P(s'|s, a) V_{t+1}(s').                  (planning.3)

A *linear programme* makes a weighted sum as small as some inequalities allow.  Its solver knows
nothing of policies, so that it is an independent witness.  Let a table V satisfy V(s) ≥ r(s, a) + γ
Σ_s' P(s'|s, a) V(s') for every action.  For the best policy π it says V ≥ r_π + γ P_π V.  Put this
into its own right side again and again, which P_π ≥ 0 allows: V ≥ r_π + γ P_π r_π + … = V*, since
what remains, γᵏ P_πᵏ V, goes to 0.  V* is such a table itself, and so the lowest:

    minimise Σ_s w(s) V(s)   subject to   V(s) − γ Σ_s' P(s'|s, a) V(s') ≥ r(s, a).     (planning.4)

All weights are positive: where w(s) is 0, V(s) could be larger.  Each inequality has a *price*, or
dual variable: how much the minimum rises per unit of r(s, a).  Let episodes start with the weights
w.  Then the minimum is what the best policy earns, and a reward is earned whenever a is taken in s.
So the prices are the visits η(s) π(a|s) of the best policy, and an action that has one is best.

*At γ = 1* policy iteration and the linear programme find the best policy that ends.  The others may
also wait for ever: where waiting is free, they answer 0 even if every end costs something.

**Small steps.**  Write ∇ for any derivative in the logits, and V = Σ_a π(a|s) Q(s, a).  The product
rule gives, since r and P do not depend on the logits,

    ∇V(s) = Σ_a ∇π(a|s) Q(s, a) + γ Σ_s' P_π(s'|s) ∇V(s').

This is (evaluation.1) for ∇V, with Σ_a ∇π(a|s) Q(s, a) for the reward.  So (evaluation.2) gives ∇J
= Σ_s η(s) Σ_a ∇π(a|s) Q(s, a), the *policy gradient* theorem.  Here η is never differentiated: V
is, and its recursion carries the ∇π of all later steps.  In J = Σ η π r the gradient of π alone
would give Σ η ∇π r; that of η adds what turns r into Q.  As ∇π = π ∇log π, the table η π Q stands
before ∇log π, as G does in (softmax.3).  Then, since V is the mean of Q,

    ∂J/∂θ[s, a] = η(s) π(a|s) Q(s, a) − π(a|s) Σ_b η(s) π(b|s) Q(s, b)
                = η(s) π(a|s) A(s, a).                                                  (planning.5)

In the corridor, with η = (16/11, 4/11), π = ½ and A = ∓2, ∓10, this is ∓16/11 and ∓20/11:

>>> print(policy_gradient(walk, np.zeros((2, 2)))[1] * 11)
[[-16.  16.]
 [-20.  20.]]

**Exercises.**  `from minirl.exact.planning import *; from gridworld.maps import frozen_lake`
1. The shortest way over the lake has six steps.  How often can six steps reach the goal?
       round(backward_induction(frozen_lake().mdp(gamma=1.0), 6).objective, 4)
2. Does the best policy still push against the left edge at the start (action 0) if γ is 0.5?
       policy_iteration(frozen_lake().mdp(gamma=0.5)).policy[0]
3. Head for ever is worth 10 at γ = 0.9.  How steep is J where the coin nearly always shows tail?
       from minirl.kernel.mdp import coin_game
       policy_gradient(coin_game(gamma=0.9), np.array([[0., 9.]]))[1].round(4)

Read next: `scorecard`, which measures a policy by the best one.
Source: Sutton and Barto, 2nd edition, chapters 4 and 13.2; Puterman 1994, "Markov decision
processes", chapters 4.5 and 6.9; Kakade and Langford, ICML 2002, lemma 6.1, for (planning.6);
Sutton et al. 2000, "Policy gradient methods for reinforcement learning with function
approximation", theorem 1.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse

from minirl.exact.evaluation import (action_values, advantages, at_states, evaluate, from_start,
                                     occupancy, valued_states)
from minirl.exact.gains import gains, gains_from_zero
from minirl.exact.solving import sweep
from minirl.kernel import checks
from minirl.kernel.softmax import log_softmax

TIE = 10  # Two action values nearer than so many tolerances of value iteration are a tie.
REFINEMENTS = 20  # The linear programme is solved so often at most, each time with more digits.


class Optimum(NamedTuple):
    """A best policy and what it is worth."""

    policy: np.ndarray         # (S, A) rows of probabilities
    values: np.ndarray         # (S,) V; NaN where no value is asked
    action_values: np.ndarray  # (S, A) Q
    objective: float           # J, the value from the start
    rounds: int                # sweeps, improvements or pivots that were needed


def policy_iteration(mdp) -> Optimum:
    """The optimum by (planning.2), starting from `policy_that_ends`.

    Another action replaces the present one only if it is better by more than the doubts about the
    two, (gains.1).

    The `Optimum` is deterministic.  At gamma 1 the values of states that no policy reaches are NaN,
    and it is a ValueError if some state cannot reach an end or the optimum is infinite.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> best = policy_iteration(coin_game(gamma=0.9))
    >>> print(best.values.round(6), best.policy)
    [10.] [[1. 0.]]
    """
    _, A = mdp.shape
    policy, rounds = policy_that_ends(mdp), 0
    states = valued_states(mdp, mdp.uniform)
    while True:
        values, gain, _ = gains_from_zero(mdp, policy, states)
        if not (gain > 0).any():
            values, gain, _ = gains(mdp, policy, states)
        best = gain.argmax(axis=1)
        better = gain.max(axis=1) > 0
        if not better.any():
            return optimum_of(mdp, policy, values, rounds)
        policy, rounds = np.where(better[:, None], np.eye(A)[best], policy), rounds + 1


def policy_gradient(mdp, logits):
    """J and its exact gradient in the logits (S, A), (planning.5).  To be climbed, not descended.

    The gradient is zero in rows that no episode visits.

    Examples
    --------
    With π(head) = p, J = p/(1 − p), and its derivative in the first logit is p/(1 − p) again:

    >>> from minirl.kernel.mdp import coin_game
    >>> J, grad = policy_gradient(coin_game(), np.log([[0.75, 0.25]]))
    >>> print(round(J, 6), grad.round(6))
    3.0 [[ 3. -3.]]
    """
    checks.shape("logits", logits, mdp.shape)
    policy = np.exp(log_softmax(logits))
    values = np.nan_to_num(evaluate(mdp, policy))
    visits = occupancy(mdp, policy.real)
    return from_start(mdp, values), visits[:, None] * policy * advantages(mdp, values)


def value_iteration(mdp, *, tol=1e-10, max_sweeps=100_000) -> Optimum:
    """The optimum by repeating (planning.1) from V = 0.

    `tol` and `max_sweeps` are those of `sweep`.  Where episodes cannot end it may stop earlier, by
    the span (solving.5).  The policy is greedy on Q, and action values within ten times `tol` are a
    tie, of which it takes the first.  At gamma 1 a tie may hide a policy that never ends;
    `policy_iteration` does not have that weakness.  At gamma 1 the values of states that no policy
    reaches are NaN.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> best = value_iteration(coin_game(gamma=0.9))
    >>> print(best.values.round(6), best.policy)
    [10.] [[1. 0.]]
    """
    return modified_policy_iteration(mdp, evaluation_sweeps=0, tol=tol, max_sweeps=max_sweeps)


def modified_policy_iteration(mdp, *, evaluation_sweeps=50, tol=1e-10,
                              max_sweeps=100_000) -> Optimum:
    """The optimum by greedy steps (planning.1), with sweeps (solving.3) of their policy between.

    As `value_iteration`, with `evaluation_sweeps` of the present policy after each greedy sweep.
    They look at one action per state and not at A of them, and near gamma 1 most sweeps can be
    such.  A round, which is what `rounds` and `max_sweeps` count, is a greedy sweep and those after
    it.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> best = modified_policy_iteration(coin_game(gamma=0.9))
    >>> print(best.values.round(6), best.rounds)
    [10.] 6
    """
    m = checks.whole("evaluation_sweeps", evaluation_sweeps, least=0)
    A = mdp.shape[1]
    states = valued_states(mdp, mdp.uniform)
    M = mdp.gamma * mdp.transitions[np.repeat(states, A)][:, states]
    reward = mdp.masked(mdp.mean_reward)[states]

    def look_ahead(V):
        return reward + (M @ V).reshape(-1, A)

    def follow_greedily(V):
        taken = np.arange(0, reward.size, A) + look_ahead(V).argmax(axis=1)
        P, r = M[taken], reward.ravel()[taken]
        for _ in range(m):
            V = r + P @ V
        return V

    values, rounds = sweep(lambda V: look_ahead(V).max(axis=1), np.zeros(len(reward)),
                           gamma=mdp.gamma, tol=tol, max_sweeps=max_sweeps,
                           endless=~_may_end(mdp)[states],
                           between=follow_greedily if m else None)
    values = at_states(states, values)
    Q = mdp.masked(action_values(mdp, np.nan_to_num(values)))
    first = (Q >= Q.max(axis=1, keepdims=True) - TIE * tol).argmax(axis=1)
    return optimum_of(mdp, np.eye(A)[first], values, rounds)


class Schedule(NamedTuple):
    """What is best with a finite horizon T, when t steps have been taken."""

    policy: np.ndarray         # (T, S, A) rows of probabilities
    values: np.ndarray         # (T + 1, S) V_t; the last row is zero
    action_values: np.ndarray  # (T, S, A) Q_t
    objective: float           # J, the value from the start at time 0


def backward_induction(mdp, horizon) -> Schedule:
    """The best policy for `horizon` steps, by (planning.3); it may look at the clock.

    The same as planning in `unroll(mdp, horizon)`, without making that larger world.  It is greedy,
    the first action on a tie.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> best = backward_induction(coin_game(), 3)
    >>> print(best.values.ravel(), best.objective)
    [3. 2. 1. 0.] 3.0
    """
    horizon, (S, A) = checks.whole("horizon", horizon), mdp.shape
    values, Q = np.zeros((horizon + 1, S)), np.zeros((horizon, S, A))
    for t in reversed(range(horizon)):
        Q[t] = mdp.masked(action_values(mdp, values[t + 1]))
        values[t] = Q[t].max(axis=1)
    return Schedule(np.eye(A)[Q.argmax(axis=2)], values, Q, float(mdp.start @ values[0]))


def linear_programme(mdp) -> Optimum:
    """The optimum by (planning.4), solved by SciPy's HiGHS: an independent check of the others.

    The policy takes the action whose constraint has the largest price.  The values solve the
    constraints of these actions, which are tight, once more.  HiGHS resolves 10⁻¹⁰ of the
    largest reward.  Where that hides a gain, the programme is solved again with
    the gains in the place of the rewards: what the optimum is worth more than this policy.  At
    gamma 1 the values of states that no policy reaches are NaN.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> best = linear_programme(coin_game(gamma=0.9))
    >>> print(best.values.round(6), best.policy)
    [10.] [[1. 0.]]
    """
    states, A = valued_states(mdp, mdp.uniform), mdp.shape[1]
    rewards, pivots = mdp.mean_reward, 0
    unit = np.abs(rewards[mdp.available]).max() or 1.0  # because HiGHS's tolerances are absolute
    for _ in range(REFINEMENTS):
        visits, more = _prices(mdp, rewards, unit, states)
        policy, pivots = np.eye(A)[visits.argmax(axis=1)], pivots + more
        values, rewards, _ = gains(mdp, policy, states)
        unit = rewards.max()
        if unit <= 0:
            return optimum_of(mdp, policy, values, pivots)
    raise ValueError(f"the linear programme is not settled: after {REFINEMENTS} times some action "
                     f"is still worth {unit:.3g} more than the one it takes")


def best_actions(mdp, optimum, *, tol=0.0):
    """All actions that are as good as the best one, (S, A) bool, one at least in each state.

    The policy of an `Optimum` is evaluated once more.  Two of its action values are equal if they
    differ by no more than their doubts (gains.1), and twice `tol` where its solver was rougher.

    Examples
    --------
    Where nothing pays, everything is best:

    >>> from dataclasses import replace
    >>> from minirl.kernel.mdp import coin_game
    >>> free = replace(coin_game(gamma=0.5), reward=np.zeros((1, 2, 1)))
    >>> print(best_actions(free, policy_iteration(free)))
    [[ True  True]]
    """
    checks.not_negative("tol", tol)
    _, gain, doubt = gains(mdp, optimum.policy, ~np.isnan(optimum.values))
    best = np.take_along_axis(doubt, gain.argmax(axis=1)[:, None], axis=1)
    return gain >= gain.max(axis=1, keepdims=True) - doubt - best - 2 * tol


def policy_that_ends(mdp):
    """A deterministic policy (S, A) under which every episode ends, if each state can reach an end.

    In each state it takes an action that may end the episode; failing that, one that may lead to a
    state where such an action was found before; and so on backwards.  From every state some end
    then has a positive probability, so that no episode can avoid it for ever.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(policy_that_ends(coin_game()))
    [[0. 1.]]
    """
    S, A = mdp.shape
    helps = (mdp.prob * mdp.terminated).sum(axis=2) > 0
    helps &= mdp.available
    action, found = mdp.available.argmax(axis=1), np.full(S, False)
    while True:
        new = helps.any(axis=1) & ~found
        if not new.any():
            return np.eye(A)[action]
        action[new] = helps[new].argmax(axis=1)
        found |= new
        helps = (mdp.transitions @ found.astype(float) > 0).reshape(S, A) & mdp.available


def _may_end(mdp):
    """From which states some policy may end, (S,) bool: no way leads there from the others."""
    ends = (((mdp.prob * mdp.terminated).sum(axis=2) > 0) & mdp.available).any(axis=1)
    while True:
        leads = ((mdp.transitions @ ends.astype(float) > 0).reshape(mdp.shape)
                 & mdp.available).any(axis=1)
        if not (leads & ~ends).any():
            return ends
        ends = ends | leads


def disagreement(first, second):
    """By how much the values of two `Optimum`s differ, relative to the larger of the two: (S,).

    Two solvers are witnesses of each other only where this is small.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game(gamma=0.9)
    >>> rough = value_iteration(coin, tol=0.1)
    >>> print(disagreement(policy_iteration(coin), rough).round(3))
    [0.01]
    """
    values = np.nan_to_num([first.values, second.values])
    size = np.abs(values).max(axis=0)
    return np.abs(values[0] - values[1]) / np.where(size > 0, size, 1)


def optimum_of(mdp, policy, values, rounds) -> Optimum:
    """The `Optimum` record of a policy with these values; Q and J follow from them.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> optimum_of(coin_game(), np.array([[0.75, 0.25]]), np.array([3.0]), 1).objective
    3.0
    """
    return Optimum(np.asarray(policy), values, mdp.masked(action_values(mdp, values)),
                   float(from_start(mdp, values)), rounds)


def _prices(mdp, rewards, unit, states):
    """The dual variables (S, A) of (planning.4) with these rewards, and how many pivots it took."""
    S, A = mdp.shape
    here = sparse.csr_array((np.ones(S * A), np.repeat(np.arange(S), A), np.arange(S * A + 1)),
                            shape=(S * A, S))
    asked = np.flatnonzero(np.repeat(states, A) & mdp.available.ravel())
    constraints = (here - mdp.gamma * mdp.transitions)[asked][:, states]
    found = optimize.linprog(np.ones(states.sum()), A_ub=-constraints,
                             b_ub=-rewards.ravel()[asked] / unit,
                             bounds=(None, None), method="highs-ds",
                             options={"primal_feasibility_tolerance": 1e-10,
                                      "dual_feasibility_tolerance": 1e-10})
    if found.x is None:
        raise ValueError(f"the linear programme has no solution: at gamma = {mdp.gamma} some state "
                         f"cannot reach an end, or the optimum is infinite")
    visits = np.where(mdp.available, 0.0, -np.inf).ravel()
    visits[asked] = -found.ineqlin.marginals
    return visits.reshape(S, A), int(found.nit)
