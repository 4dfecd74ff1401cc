"""Exact answers: what a policy is worth, which policy is best, and how fast its worth climbs.

Everything a learner estimates by playing can be computed, because a tabular world is linear once
the policy is fixed.  The value V(s) is the expected return from s.  The visits η(s) are the
expected discounted number of times an episode is in s.  Average the tables (mdp.1) and (mdp.2) over
actions, r_π(s) = Σ_a π(a|s) r(s, a) and P_π(s'|s) = Σ_a π(a|s) P(s'|s, a).  Then

    V = r_π + γ P_π V,      Q(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V(s'),                (planning.1)
    η = start + γ P_πᵀ η,   J = Σ_s start(s) V(s) = Σ_{s,a} η(s) π(a|s) r(s, a).        (planning.2)

The last sum works for any table in place of r.  So one solve for η yields the expected reward, the
KL to a reference, the entropy and the length of an episode: `expectation`.

**Which policy is best?**  Value iteration repeats the best one-step improvement.  Policy iteration
solves for V and acts greedily on Q, until nothing changes:

    V(s) ← max_a Q(s, a),                                                               (planning.3)
    π(s) ← argmax_a Q(s, a), keeping the present action on a tie.                       (planning.4)

Why keep it?  At γ = 1 two actions may look equally good although one of them, repeated, never ends.
On the slippery 8x8 lake a careless tie turns the best policy into one that is worth 0.  For the
same reason policy iteration starts from a policy that ends.

**How fast does J climb?**  Differentiate J in the logits.  Write ∇ for any derivative.  From
(planning.1), ∇V(s) = Σ_a ∇π(a|s) Q(s, a) + γ Σ_s' P_π(s'|s) ∇V(s'): the same equation as that of V,
with another reward.  Solving it by the visits (planning.2) gives the policy gradient theorem, ∇J =
Σ_s η(s) Σ_a ∇π(a|s) Q(s, a).  How the visits change need not be differentiated.  For a softmax
table, (softmax.3) turns it into

    ∂J/∂θ[s, a] = η(s) π(a|s) [Q(s, a) − V(s)].                                         (planning.5)

**When is there no answer?**  Every solve in this book has the form x = M x + b with M ≥ 0.  It has
a meaningful answer if and only if the spectral radius of M is below one: then x = b + M b + M² b +
… converges.  There is a certificate that costs one more right-hand side:

    if some x > 0 has x − M x > 0, then the spectral radius of M is below one.          (planning.6)

`solve` asks for the x with x − M x = 1, which for M = P_π is the expected length of an episode, and
refuses to answer without it.  Up to a thousand unknowns it solves densely, above by sparse LU.

Read first: `mdp`.  Read next: `regularised`, then `q_learning`, where Q is learned by playing.
Source: Sutton and Barto, 2nd edition, chapters 4 and 13.2; Sutton et al. 2000, "Policy gradient
methods for reinforcement learning with function approximation", theorem 1; Berman and Plemmons
1994, "Nonnegative matrices", chapter 6, for (planning.6).
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from minirl.mdp import check_policy
from minirl.softmax import log_softmax

DENSE = 1000  # up to this many unknowns a dense solve is the faster one


def solve(M, right):
    """x with x = M x + right, certified by (planning.6).

    Parameters
    ----------
    M : (n, n) sparse, not negative
    right : (n,) float

    Returns
    -------
    (n,) float, or None
        None where the spectral radius of M is one or more, and where the certificate is lost to
        rounding: where the radius is one to fifteen digits, or entries are as large as 10^15.

    Examples
    --------
    >>> half, one = sparse.csr_array([[0.5]]), sparse.csr_array([[1.0]])
    >>> print(solve(half, np.array([3.0])), solve(one, np.array([3.0])))
    [6.] None
    """
    n = len(right)
    both = np.stack([right, np.ones(n)], axis=1).astype(np.result_type(M.dtype, right.dtype, float))
    try:
        if n <= DENSE:
            x = np.linalg.solve(np.eye(n) - M.toarray(), both)
        else:
            system = (sparse.csc_array(sparse.identity(n)) - sparse.csc_array(M)).astype(both.dtype)
            system.indices = system.indices.astype(np.int32)  # all that SuperLU knows
            system.indptr = system.indptr.astype(np.int32)
            x = linalg.splu(system).solve(both)
    except (np.linalg.LinAlgError, RuntimeError):  # exactly singular
        return None
    certificate = x[:, 1]
    if not np.isfinite(x).all():
        return None
    left = certificate - M @ certificate  # one everywhere, if rounding has not eaten it
    return x[:, 0] if (certificate > 0).all() and (left > 0.5).all() else None


def transitions_under(mdp, policy):
    """P_π of (planning.1), sparse (S, S).

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> print(transitions_under(coin_game(), np.array([[0.75, 0.25]])).toarray())
    [[0.75]]
    """
    S, A = mdp.shape
    mixture = sparse.csr_array((policy.ravel(), np.arange(S * A), np.arange(0, S * A + 1, A)),
                               shape=(S, S * A))
    return mixture @ mdp.transitions


def reachable(mdp, policy):
    """The states that an episode can be in under `policy`: (S,) bool.

    Examples
    --------
    >>> from minirl.mdp import coin_game, unroll
    >>> print(reachable(unroll(coin_game(), 3), np.array([[1., 0.], [0., 1.], [1., 0.]])))
    [ True  True False]
    """
    arrivals = transitions_under(mdp, (policy.real > 0).astype(float)).T
    reached = mdp.start > 0
    while True:
        more = reached | (arrivals @ reached.astype(float) > 0)
        if (more == reached).all():
            return reached
        reached = more


def _values(mdp, policy, table, states):
    """V of (planning.1) with `table` as the reward, NaN outside the mask `states`."""
    M = mdp.gamma * transitions_under(mdp, policy)[states][:, states]
    solution = solve(M, (policy * table).sum(axis=1)[states])
    if solution is None:
        raise ValueError(f"the value is infinite or undefined: at gamma = {mdp.gamma} there are "
                         f"states from which this policy never ends (use gamma < 1, a policy that "
                         f"ends, or mdp.unroll)")
    values = np.full(mdp.shape[0], np.nan, dtype=solution.dtype)
    values[states] = solution
    return values


def _states_with_value(mdp, policy):
    """Below gamma 1 every state has a value; at gamma 1 it is asked of the reachable ones."""
    return np.full(mdp.shape[0], True) if mdp.gamma < 1 else reachable(mdp, policy)


def evaluate(mdp, policy, table=None):
    """V of (planning.1): what `policy` is worth from each state.

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
        π(a|s), rows of probabilities.
    table : (S, A) float, optional
        What a step earns, in place of the world's mean reward.

    Returns
    -------
    (S,) float
        In units of reward.  At gamma = 1 a state that no episode reaches is NaN: no value is asked
        of it, and it may have none.

    Raises
    ------
    ValueError
        If the policy or the table does not fit the world, or at gamma = 1 the policy does not end.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> print(evaluate(coin_game(), np.array([[0.75, 0.25]])).round(6))
    [3.]
    """
    check_policy(mdp, policy)
    table = mdp.mean_reward if table is None else table
    if table.shape != mdp.shape:
        raise ValueError(f"table must have shape {mdp.shape}, got {table.shape}")
    return _values(mdp, policy, table, _states_with_value(mdp, policy))


def action_values(mdp, values):
    """Q of (planning.1), shape (S, A), from values (S,) of the states that come next.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> print(action_values(coin_game(), np.array([3.0])))
    [[4. 0.]]
    """
    return mdp.mean_reward + mdp.gamma * (mdp.transitions @ values).reshape(mdp.shape)


def occupancy(mdp, policy):
    """η of (planning.2): expected discounted number of visits to each state in an episode.

    Parameters and errors are those of `evaluate`.  Returns (S,) float, zero where no episode
    comes.  At gamma = 1 it sums to the expected length of an episode.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> print(occupancy(coin_game(), np.array([[0.75, 0.25]])).round(6))
    [4.]
    """
    check_policy(mdp, policy)
    states = reachable(mdp, policy)
    M = mdp.gamma * transitions_under(mdp, policy)[states][:, states].T
    solution = solve(M, mdp.start[states])
    if solution is None:
        raise ValueError(f"the number of visits is infinite: at gamma = {mdp.gamma} there are "
                         f"states from which this policy never ends")
    visits = np.zeros(mdp.shape[0])
    visits[states] = solution
    return visits


def expectation(mdp, policy, table):
    """E[Σ_t γᵗ table[s_t, a_t]] of an episode, by (planning.2).

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
    table : (S, A) or (M, S, A) float
        What a step counts: a reward, a log-ratio, 1 for a length.  Several tables share one solve.

    Returns
    -------
    float or (M,) float

    Raises
    ------
    ValueError
        As `evaluate`.

    Examples
    --------
    Expected reward and expected number of steps:

    >>> from minirl.mdp import coin_game
    >>> coin = coin_game()
    >>> tables = np.array([coin.mean_reward, np.ones((1, 2))])
    >>> print(expectation(coin, np.array([[0.75, 0.25]]), tables).round(6))
    [3. 4.]
    """
    if table.shape[-2:] != mdp.shape:
        raise ValueError(f"table must end in shape {mdp.shape}, got {table.shape}")
    return (occupancy(mdp, policy)[:, None] * policy * table).sum(axis=(-2, -1))


def policy_gradient(mdp, logits):
    """J and its exact gradient in the logits, (planning.5).  To be climbed, not descended.

    Parameters
    ----------
    mdp : TabularMDP
    logits : (S, A) float
        Policy table θ.

    Returns
    -------
    J : float
        Expected return from the start, in units of reward.
    grad : (S, A) float
        ∂J/∂θ.  Zero in rows that no episode visits; each row sums to zero.

    Raises
    ------
    ValueError
        If the logits do not fit the world, or at gamma = 1 the policy does not end.

    Examples
    --------
    With π(head) = p, J = p/(1 − p), and its derivative in the first logit is p/(1 − p) again:

    >>> from minirl.mdp import coin_game
    >>> J, grad = policy_gradient(coin_game(), np.log([[0.75, 0.25]]))
    >>> print(round(J, 6), grad.round(6))
    3.0 [[ 3. -3.]]
    """
    if logits.shape != mdp.shape:
        raise ValueError(f"logits must have shape {mdp.shape}, got {logits.shape}")
    policy = np.exp(log_softmax(logits))
    visited = reachable(mdp, policy)
    values = np.nan_to_num(_values(mdp, policy, mdp.mean_reward, visited))
    advantages = action_values(mdp, values) - values[:, None]
    visits = occupancy(mdp, policy.real)
    return (mdp.start * values).sum(), visits[:, None] * policy * advantages


class Optimum(NamedTuple):
    """A best policy and what it is worth."""

    policy: np.ndarray         # (S, A) rows of probabilities
    values: np.ndarray         # (S,) V; NaN where no value is asked
    action_values: np.ndarray  # (S, A) Q
    objective: float           # J, the value from the start
    rounds: int                # sweeps or improvements that were needed


def optimum(mdp, policy, values, rounds):
    """The `Optimum` record of a policy with these values; Q and J follow from them.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> optimum(coin_game(), np.array([[0.75, 0.25]]), np.array([3.0]), 1).objective
    3.0
    """
    J = float((mdp.start * np.nan_to_num(values)).sum())
    return Optimum(policy, values, action_values(mdp, values), J, rounds)


def value_iteration(mdp, *, tol=1e-10, max_sweeps=100_000):
    """The optimum by repeating (planning.3) from V = 0.

    Parameters
    ----------
    mdp : TabularMDP
    tol : float > 0
        Below gamma 1 a bound on the error of V: a sweep that changes V by at most d leaves it
        within d γ/(1 − γ) of V*.  At gamma 1 that bound is void, and `tol` is the change itself.
    max_sweeps : int

    Returns
    -------
    Optimum
        Its policy is greedy on Q, the first action on a tie.  At gamma 1 a tie may hide a policy
        that never ends; `policy_iteration` does not have that weakness.

    Raises
    ------
    ValueError
        If `tol` is not positive, or the values still move after `max_sweeps`.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> best = value_iteration(coin_game(gamma=0.9))
    >>> print(best.values.round(6), best.policy)
    [10.] [[1. 0.]]
    """
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    error_per_change = mdp.gamma / (1 - mdp.gamma) if mdp.gamma < 1 else 1.0
    values = np.zeros(mdp.shape[0])
    for sweep in range(1, max_sweeps + 1):
        before, values = values, action_values(mdp, values).max(axis=1)
        if np.abs(values - before).max() * error_per_change <= tol:
            greedy = np.eye(mdp.shape[1])[action_values(mdp, values).argmax(axis=1)]
            return optimum(mdp, greedy, values, sweep)
    raise ValueError(f"the values still move after max_sweeps = {max_sweeps} sweeps; at gamma = "
                     f"{mdp.gamma} the optimum may be infinite")


def policy_that_ends(mdp):
    """A deterministic policy (S, A) under which every episode ends, if each state can reach an end.

    In each state it takes an action that may end the episode; failing that, one that may lead to a
    state where such an action was found before; and so on backwards.  From every state some end
    then has a positive probability, so that no episode can avoid it for ever.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> print(policy_that_ends(coin_game()))
    [[0. 1.]]
    """
    S, A = mdp.shape
    helps = (mdp.prob * mdp.terminated).sum(axis=2) > 0
    action, found = np.zeros(S, int), np.full(S, False)
    while True:
        new = helps.any(axis=1) & ~found
        if not new.any():
            return np.eye(A)[action]
        action[new] = helps[new].argmax(axis=1)
        found |= new
        helps = (mdp.transitions @ found.astype(float) > 0).reshape(S, A)


def policy_iteration(mdp, *, tol=1e-10):
    """The optimum by (planning.4), starting from `policy_that_ends`.

    At gamma 1 every policy on the way ends too: going round in circles could only replace an end if
    each turn paid, and then the optimum is infinite.

    Parameters
    ----------
    mdp : TabularMDP
    tol : float > 0
        Another action replaces the present one only if its Q is larger by more than this, relative
        to the largest Q: what "keeping the present action on a tie" means in floating point.

    Returns
    -------
    Optimum
        Deterministic.  At gamma 1 the values of states that no policy reaches are NaN.

    Raises
    ------
    ValueError
        If `tol` is not positive; or, at gamma 1, if some state cannot reach an end or the optimum
        is infinite.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> best = policy_iteration(coin_game(gamma=0.9))
    >>> print(best.values.round(6), best.policy)
    [10.] [[1. 0.]]
    """
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    S, A = mdp.shape
    policy, rounds = policy_that_ends(mdp), 0
    states = _states_with_value(mdp, np.full(mdp.shape, 1 / A))
    while True:
        values = _values(mdp, policy, mdp.mean_reward, states)
        Q = action_values(mdp, np.nan_to_num(values))
        best = Q.argmax(axis=1)
        gain = Q[np.arange(S), best] - (policy * Q).sum(axis=1)
        better = gain > tol * (1 + np.abs(Q).max())
        if not better.any():
            return optimum(mdp, policy, values, rounds)
        policy, rounds = np.where(better[:, None], np.eye(A)[best], policy), rounds + 1
