"""Evaluation: what is a policy worth, exactly?

*Part 2.  Previous: `solving`, a side road.  Next: `gains`, a side road.*

A learner that plays can only estimate what its policy is worth.  From the tables of the world,
(mdp.1) and (mdp.2), it can be computed: what a fixed policy is worth solves a linear equation.

**The value of a state.**  V(s), the *value* of s under a policy π, is the mean return of an episode
that starts in s.  Let its first action be a, and write R_1 for the return from the second step on.
The return is R_0 = r_0 + γ R_1, since every later reward waits for one step more.  By (mdp.1) the
mean of r_0 is r(s, a).  By (mdp.2) the episode goes on in s' with the probability P(s'|s, a).
Where it goes on, the mean of R_1 is V(s'), because what follows depends on nothing but s'.  Where
it has ended, R_1 is 0.  This gives the *action value* Q(s, a), the mean return if the first action
is a and π acts after that.  The policy takes a with the probability π(a|s), so V is the mean of Q:

    Q(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V(s'),
    V(s) = Σ_a π(a|s) Q(s, a),   in short   V = r_π + γ P_π V.                        (evaluation.1)

The short form is *Bellman's equation* for a policy.  Averaged over the actions, the reward of a
step is r_π(s) = Σ_a π(a|s) r(s, a), and P_π(s'|s) = Σ_a π(a|s) P(s'|s, a) is the chance to go on in
s'.  V and r_π are vectors, and P_π is a matrix with a row for each s and a column for each s'.

**By hand.**  A corridor has two cells.  Left of cell 0 is a wall, and a step into it stays.  Right
of cell 1 is the goal, which pays 22.  A fair coin decides between left and right, and γ is ½:

    wall | cell 0 | cell 1 | goal     r_π = (0, 11)     P_π = ½ ½     cell 0: to 0 and to 1
                                                              ½ 0     cell 1: to 0; the other ½ ends

Bellman's equation is V(0) = ¼ V(0) + ¼ V(1) and V(1) = 11 + ¼ V(0).  The first one says V(1) = 3
V(0).  Then the second one says 3 V(0) = 11 + ¼ V(0), so V(0) = 4 and V(1) = 12.  In general V is
moved to one side, (I − γ P_π) V = r_π with the identity matrix I, and a program solves that:

>>> r, P = np.array([0., 11.]), np.array([[0.5, 0.5], [0.5, 0.]])
>>> print(np.linalg.solve(np.eye(2) - 0.5 * P, r))
[ 4. 12.]

**Without a solver.**  Put any V into the right side of Bellman's equation and take what comes out
as the new V.  That is a *sweep*.  From V = 0, k sweeps add up the first k terms of V = r_π + γ P_π
r_π + γ² P_π² r_π + …, which are the value of the first k steps.  The error of the new V is γ P_π
times the error of the old one, and the entries of a row of P_π sum to at most 1.  So a sweep leaves
at most γ times the largest error, and below γ = 1 the sweeps converge.  Here the largest error is
12 before the first sweep, and then 4, 1¼ and 9/16:

>>> V = np.zeros(2)
>>> for _ in range(3):
...     V = r + 0.5 * P @ V
...     print(V)
[ 0. 11.]
[ 2.75 11.  ]
[ 3.4375 11.6875]

**The visits.**  How often is an episode in a state?  It begins in s with the probability start(s).
Write start as a vector.  After one step the episode is in s with the probability (P_πᵀ start)(s),
and after k steps ((P_πᵀ)ᵏ start)(s).  Discounted and added up, these are the *visits*, η = Σ_k γᵏ
(P_πᵀ)ᵏ start: η(s) is the expected discounted number of times that an episode is in s.  The first
term is start, and the others are γ P_πᵀ η.  So η solves an equation too.  The objective J is the
mean of V over the start.  Put in start = η − γ P_πᵀ η, and J is what the visits earn:

    J = startᵀ V = (η − γ P_πᵀ η)ᵀ V = ηᵀ V − γ ηᵀ P_π V = ηᵀ (V − γ P_π V) = ηᵀ r_π,
    η = start + γ P_πᵀ η,   J = Σ_s start(s) V(s) = Σ_{s,a} η(s) π(a|s) r(s, a).      (evaluation.2)

In the corridor, from cell 0: η(1) = ¼ η(0) and η(0) = 1 + ¼ η(0) + ¼ η(1), hence η = (16/11, 4/11).
Only cell 1 earns, 11 per visit, and J = 4/11 · 11 = 4, which is V(0).  Any table with an entry for
each (s, a) may stand for r.  A table of ones makes J the discounted number of steps, 20/11, and
log(π/π_ref), at γ = 1, a KL divergence.  One solve for η answers them all: `expectation`.

**A picture.**  These are the values (left) and the visits (right) of the best policy of chapter 0
on the slippery lake.  No episode goes on in a hole or at the goal, and both are 0 there.

>>> from gridworld.maps import frozen_lake
>>> lake = frozen_lake().mdp(gamma=0.99)
>>> best = np.eye(4)[["←↓→↑".index(arrow) for arrow in "←↑↑↑←←←←↑↓←←←→↓←"]]
>>> for row in np.hstack([evaluate(lake, best).reshape(4, 4), occupancy(lake, best).reshape(4, 4)]):
...     print(("{:7.3f}" * 4 + "   " + "{:7.2f}" * 4).format(*row))
  0.542  0.499  0.471  0.457     11.23   0.31   0.62   0.61
  0.558  0.000  0.358  0.000      8.23   0.00   0.35   0.00
  0.592  0.643  0.615  0.000      5.48   2.90   1.07   0.00
  0.000  0.742  0.863  0.000      0.00   2.23   1.63   0.00

Values rise along the way of this policy, down the left edge and to the right.  They fall along the
top row to the right, since from there it goes back to the start first.  At the start it pushes
against the left edge until it slips down: 11.23 of 34.65 visits, about a third, are there.

**The advantage.**  How much better is an action than what the policy does on average?

    A(s, a) = Q(s, a) − V(s),   Σ_a π(a|s) A(s, a) = 0.                               (evaluation.3)

It sums to 0 since V is the mean of Q.  In the corridor Q(0, ·) = (2, 6) and Q(1, ·) = (2, 22), so
A is −2 for left and +2 for right in cell 0, and −10 and +10 in cell 1.

**No answer.**  At γ = 1 an answer is certain only if the policy ends from every state that it
reaches.  If it does not, the sum may be infinite (always head, in the coin game), may never settle,
or may be 0, where nothing is earned.  All three are refused with the error `NoEnd`.

**How much does an episode vary?**  Square the return from s, R_0² = r_0² + 2γ r_0 R_1 + γ² R_1².
Where the first step goes on in s', the mean of R_1 is V(s') and that of R_1² the mean square from
s'; after an end both are 0.  So the mean square obeys (evaluation.1) once more, with the mean of
r_0² + 2γ r_0 V(s') in the place of the reward and γ² for γ; and the *variance* is

    Var[R_0] = E[R_0²] − (E[R_0])².                                                   (evaluation.4)

The mean of r_0 V(s') is taken outcome by outcome.  It is not r(s, a) times the mean of V(s'): on
the lake it is 0, since a step that pays also ends.

**Exercises.**  `from minirl.exact.evaluation import *; from gridworld.maps import frozen_lake`
1. A coin that shows head nine times in ten is worth 9 in the coin game.  Is the standard deviation
   of a game smaller or larger than that?
       from minirl.kernel.mdp import coin_game
       round(float(return_variance(coin_game(), np.array([[0.9, 0.1]])) ** 0.5), 4)
2. A walker at random starts at cell 0 of the lake.  How often is it in the last cell before the
   goal, 14, compared with the start?
       lake = frozen_lake().mdp(gamma=0.99)
       occupancy(lake, lake.uniform)[[0, 14]].round(4)
3. What is the largest advantage under the best policy, and under the walker at random?
       lake = frozen_lake().mdp(gamma=0.99)
       best = np.eye(4)[["←↓→↑".index(arrow) for arrow in "←↑↑↑←←←←↑↓←←←→↓←"]]
       [round(float(advantages(lake, evaluate(lake, p)).max()), 4) for p in (best, lake.uniform)]

Read next: `planning`, which asks for the best policy.
Source: Sutton and Barto, 2nd edition, chapters 3.5 and 4.1.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from minirl.exact.solving import solve, solve_all, sweep
from minirl.kernel import checks
from minirl.kernel.mdp import check_policy

STACKABLE = 128  # Up to so many states it pays to solve many equations in one call.
STACKED = 2**20  # The equations of one call have so many entries at most, which are 8 MB.


def evaluate(mdp, policy, table=None, *, states=None):
    """V of (evaluation.1): what `policy` is worth from each state.

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
        π(a|s), rows of probabilities.
    table : (S, A) float, optional
        What a step earns, in place of the world's mean reward.  It and the policy may be complex,
        for a complex step.
    states : (S,) bool, optional
        Where a value is asked, by default in `valued_states`.  *Trusted*: the policy must not leave
        them.

    Returns
    -------
    (S,) float
        In units of reward.  NaN where no value is asked: at gamma 1 a state that no episode reaches
        may have none.  If at gamma 1 the policy does not end from all states that it reaches, that
        is the error `NoEnd`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(evaluate(coin_game(), np.array([[0.75, 0.25]])).round(6))
    [3.]
    """
    M, earned, states = _equation(mdp, policy, table, states)
    solution = solve(M, earned)
    if solution is None:
        raise _no_end(mdp, policy, states, "the value may be infinite or undefined")
    return at_states(states, solution)


def occupancy(mdp, policy):
    """η of (evaluation.2): expected discounted number of visits to each state in an episode.

    It is (S,) float, zero where no episode comes.  At gamma 1 it sums to the expected length of an
    episode, and a policy that does not end is the error `NoEnd`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(occupancy(coin_game(), np.array([[0.75, 0.25]])).round(6))
    [4.]
    """
    policy = check_policy(mdp, policy)
    states = reachable(mdp, policy)
    M = mdp.gamma * links_among(states, transitions_under(mdp, policy)).T
    solution = solve(M, mdp.start[states])
    if solution is None:
        raise _no_end(mdp, policy, states, "the number of visits is infinite")
    return at_states(states, solution, elsewhere=0)


def expectation(mdp, policy, table):
    """E[Σ_t γᵗ table[s_t, a_t]] of an episode, by (evaluation.2).

    The table (S, A) holds what a step counts: a reward, a log-ratio, 1 for a length.  Several
    tables (M, S, A) share one solve and return (M,).

    Examples
    --------
    Expected reward and expected number of steps:

    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game()
    >>> tables = np.array([coin.mean_reward, np.ones((1, 2))])
    >>> print(expectation(coin, np.array([[0.75, 0.25]]), tables).round(6))
    [3. 4.]
    """
    if np.shape(table)[-2:] != mdp.shape:
        raise ValueError(f"table must end in shape {mdp.shape}, got {np.shape(table)}")
    checks.finite("table", table)
    return (occupancy(mdp, policy)[:, None] * policy * table).sum(axis=(-2, -1))


def action_values(mdp, values):
    """Q of (evaluation.1), shape (S, A), from values (S,) of the states that come next.

    It follows the law, also for actions that are not available: `mdp.masked` hides them.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(action_values(coin_game(), np.array([3.0])))
    [[4. 0.]]
    """
    checks.shape("values", values, mdp.shape[:1])
    return mdp.mean_reward + mdp.gamma * (mdp.transitions @ values).reshape(mdp.shape)


def advantages(mdp, values):
    """A of (evaluation.3), shape (S, A), from the values (S,) of a policy.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(advantages(coin_game(), np.array([3.0])))
    [[ 1. -3.]]
    """
    return action_values(mdp, values) - np.asarray(values)[:, None]


def from_start(mdp, values):
    """J of (evaluation.2) from values (S,); where no value is asked, no episode starts.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> print(from_start(unroll(coin_game(), 2), np.array([2.0, np.nan])))
    2.0
    """
    checks.shape("values", values, mdp.shape[:1])
    return (mdp.start * np.where(mdp.start > 0, values, 0)).sum()


def return_variance(mdp, policy, table=None):
    """The variance of Σ_t γᵗ table[s_t, a_t] over episodes: (evaluation.4), over all starts.

    By default the rewards are those of the outcomes, so that luck in the reward counts, and also
    that reward and next state belong together.

    Examples
    --------
    Heads before the first tail, of a fair coin:

    >>> from minirl.kernel.mdp import coin_game
    >>> print(round(return_variance(coin_game(), np.array([[0.5, 0.5]])), 6))
    2.0
    """
    values = evaluate(mdp, policy, table)
    later = mdp.gamma * np.where(mdp.terminated, 0, np.nan_to_num(values)[mdp.next_state])
    earned = mdp.reward if table is None else table[:, :, None]
    squares = evaluate(replace(mdp, gamma=mdp.gamma**2), policy,
                       (mdp.prob * earned * (earned + 2 * later)).sum(axis=2))
    return from_start(mdp, squares) - from_start(mdp, values)**2


def evaluate_by_sweeps(mdp, policy, table=None, *, tol=1e-10, max_sweeps=100_000):
    """V of (evaluation.1) by repeating (solving.3); `evaluate` without linear algebra.

    It needs no certificate and little memory, so it suits worlds too large to solve.  `tol` and
    `max_sweeps` are those of `sweep`.  At gamma 1 a policy that never ends is noticed only if it
    earns something for ever.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(evaluate_by_sweeps(coin_game(), np.array([[0.75, 0.25]])).round(6))
    [3.]
    """
    M, earned, states = _equation(mdp, policy, table)
    values, _ = sweep(lambda V: earned + M @ V, np.zeros(len(earned)), gamma=mdp.gamma, tol=tol,
                      max_sweeps=max_sweeps)
    return at_states(states, values)


class NoEnd(ValueError):
    """At gamma 1 episodes do not end, or are too long to be told from endless ones.

    An error of its own, because a learner's policy may come to that, and who judges it may want to
    say so.  Any other ValueError is a mistake in what was given.
    """


def transitions_under(mdp, policy):
    """P_π of (evaluation.1), sparse (S, S).

    Row s of `mixture` holds π(·|s) in the columns of the steps (s, ·), so that its product with the
    law of all steps is their average.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(transitions_under(coin_game(), np.array([[0.75, 0.25]])).toarray())
    [[0.75]]
    """
    S, A = mdp.shape
    policy = checks.array("policy", policy, mdp.shape)
    mixture = sparse.csr_array((policy.ravel(), np.arange(S * A), np.arange(0, S * A + 1, A)),
                               shape=(S, S * A))
    return mixture @ mdp.transitions


def links_among(states, links):
    """The part of sparse links (S, S) that leads from `states` (S,) bool to these states again.

    Examples
    --------
    >>> links = sparse.csr_array(np.arange(9).reshape(3, 3))
    >>> print(links_among(np.array([True, False, True]), links).toarray())
    [[0 2]
     [6 8]]
    """
    return links if states.all() else links[states][:, states]  # a cut takes as long as a solve


def reachable(mdp, policy):
    """The states that an episode can be in under `policy`: (S,) bool.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> print(reachable(unroll(coin_game(), 3), np.array([[1., 0.], [0., 1.], [1., 0.]])))
    [ True  True False]
    """
    used = checks.array("policy", policy, mdp.shape).real > 0
    return _spread(transitions_under(mdp, used).T, mdp.start > 0)


def can_end(mdp, policy):
    """The states from which an episode may end under `policy`: (S,) bool.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(can_end(coin_game(), np.array([[0.75, 0.25]])), can_end(coin_game(), np.eye(2)[[0]]))
    [ True] [False]
    """
    policy = checks.array("policy", policy, mdp.shape).real
    return _spread(transitions_under(mdp, policy > 0), ending_chance(mdp, policy) > 0)


def ending_chance(mdp, policy):
    """The probability that a step from each state ends the episode: (S,) float.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(ending_chance(coin_game(), np.array([[0.75, 0.25]])))
    [0.25]
    """
    policy = checks.array("policy", policy, mdp.shape)
    return (policy * (mdp.prob * mdp.terminated).sum(axis=2)).sum(axis=1)


def valued_states(mdp, policy):
    """Where a value is asked: below gamma 1 in every state, at gamma 1 in the `reachable` ones.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> tail = np.array([[0., 1.]] * 3)
    >>> print(valued_states(unroll(coin_game(), 3), tail))
    [ True False False]
    """
    policy = checks.array("policy", policy, mdp.shape)
    return np.full(mdp.shape[0], True) if mdp.gamma < 1 else reachable(mdp, policy)


def at_states(states, solution, elsewhere=np.nan):
    """An entry for each state: those of `solution` at the `states` (S,) bool, in their order.

    Examples
    --------
    >>> print(at_states(np.array([True, False, True]), np.array([5.0, 6.0])))
    [ 5. nan  6.]
    """
    entries = np.full(states.shape, elsewhere, solution.dtype)
    entries[states] = solution
    return entries


def checked_table(mdp, policy, table=None):
    """The table to be evaluated, by default the mean reward; it and the policy fit the world.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> checked_table(coin_game(), np.array([[0.75, 0.25]])).tolist()
    [[1.0, 0.0]]
    """
    check_policy(mdp, policy)
    table = mdp.mean_reward if table is None else table
    checks.shape("table", table, mdp.shape)
    checks.finite("table", table)
    return table


def _equation(mdp, policy, table, states=None):
    """γ P_π and r_π of (evaluation.1) in the states where a value is asked, and these (S,) bool."""
    table, policy = checked_table(mdp, policy, table), np.asarray(policy)
    states = valued_states(mdp, policy) if states is None else states
    checks.shape("states", states, mdp.shape[:1])
    return (mdp.gamma * links_among(states, transitions_under(mdp, policy)),
            (policy * table).sum(axis=1)[states], states)


def _no_end(mdp, policy, states, what):
    """The error for a solve without an answer; it names a state that cannot reach an end."""
    if mdp.gamma < 1:
        return ValueError(f"{what}, to all that can be computed: gamma = {mdp.gamma} is too near 1 "
                          f"for so large a world")
    stuck = np.flatnonzero(states & ~can_end(mdp, policy))
    where = (f"from state {stuck[0]} this policy never ends" if stuck.size
             else "the episodes of this policy are too long to be told from endless ones")
    return NoEnd(f"{what}: at gamma = {mdp.gamma} {where} (use gamma < 1, a policy that ends, or "
                 f"mdp.unroll)")


def _spread(links, states):
    """All states that follow from the mask `states` (S,) by a matrix of links (S, S) ≥ 0.

    Or (N, S, 1) by (N, S, S), for N chains.
    """
    while True:
        more = states | (links @ states.astype(float) > 0)
        if (more == states).all():
            return states
        states = more


def evaluate_all(mdp, actions):
    """`evaluate` for N policies that always take the same action in a state: (N, S) float.

    `actions` is (N, S) int.  A policy that at gamma 1 does not end has NaN everywhere.  In a world
    of up to 128 states many equations are solved in one call (`solving.solve_all`), since setting
    one up takes longer than solving it; each answer is certified as that of `evaluate` is.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(evaluate_all(coin_game(), np.array([[0], [1]])))
    [[nan]
     [ 0.]]
    """
    S, A = mdp.shape
    shape = len(actions), S
    checks.shape("actions", actions, shape)
    rows = np.arange(S) * A + checks.numbers("actions", np.ravel(actions), A).reshape(shape)
    if not mdp.available.take(rows).all():
        raise ValueError("actions must be available in their states (see mdp.masked)")
    if S > STACKABLE:
        return np.array([_evaluate_one(mdp, np.eye(A)[one % A]) for one in rows])
    size = max(STACKED // S**2, 1)
    values = np.concatenate([_evaluate_some(mdp, rows[i:i + size])
                             for i in range(0, len(rows), size)])
    if mdp.gamma < 1 and np.isnan(values).any():
        raise _no_end(mdp, None, None, "the value may be infinite or undefined")
    return values


def _evaluate_one(mdp, policy):
    try:
        return evaluate(mdp, policy)
    except NoEnd:
        return np.full(mdp.shape[0], np.nan)


def _evaluate_some(mdp, rows):
    """`evaluate_all` for a few policies, whose rows (n, S) of the transitions are given."""
    n, S = rows.shape
    M = mdp.gamma * mdp.transitions[rows.ravel()].toarray().reshape(n, S, S)
    asked, ends = np.full((2, n, S, 1), True)
    if mdp.gamma == 1:
        ending = (mdp.prob * mdp.terminated).sum(axis=2).take(rows)[:, :, None] > 0
        asked = _spread(M.transpose(0, 2, 1), np.tile(mdp.start > 0, (n, 1))[:, :, None])
        ends = _spread(M, ending)
    endless = (asked & ~ends).any(axis=(1, 2))
    M[endless] = 0  # it would be singular
    # Rows that are not asked become zero, so that they have an answer; no other row leads there.
    values = solve_all(M * asked, mdp.mean_reward.take(rows))
    values[~asked[:, :, 0]] = np.nan
    values[endless] = np.nan
    return values
