"""Returns: what came after a step, and how much better it was than expected.

A batch of episodes is a rectangle, time downwards and episodes across (`playing.Rollout`).
Everything in this chapter is one recursion backwards in time, over all episodes at once.  The
reward-to-go is

    G_t = r_t + γ G_{t+1}.                                                               (returns.1)

It judges action a_t by everything that followed.  Judging it by the *whole return* G_0, what came
before included, is right on average too, and usually noisier: an action is then paid for what it
could not change.  But the reward-to-go is noisy as well: luck a hundred steps later is credited to
every step before it.  With a value table V the luck of one step can be told apart from the rest.
The temporal-difference error compares what was expected before a step with what is expected after
it,

    δ_t = r_t + γ V(s_{t+1}) − V(s_t),                                                   (returns.2)

where V after a *termination* is zero, and V after a *truncation* is that of the state in which the
episode was cut: it would have gone on.  Generalised advantage estimation sums these errors with a
second discount,

    A_t = δ_t + γλ A_{t+1},   λ-return  A_t + V(s_t).                                    (returns.3)

At λ = 1 the V in the middle cancel, A_t = G_t − V(s_t): no bias where episodes end, and all the
noise.  At λ = 0 it is δ_t alone: little noise, and all the error of V.  With the true V every λ is
right on average.

Another way to go between the two is to wait n steps before V is asked,

    G_t^(n) = r_t + γ r_{t+1} + … + γⁿ⁻¹ r_{t+n−1} + γⁿ V(s_{t+n}),                      (returns.4)

or less, if the episode is over before: then it is the λ-return at λ = 1.  It needs no recursion of
its own.  Its advantage G_t^(n) − V(s_t) is the sum of n errors δ, discounted, which is the sum of
all of them minus γⁿ times the same sum n steps later.  The λ-return is the mean of the n-step
returns, with the weights (1 − λ) λⁿ⁻¹: a step more is worth a factor λ.

Mistakes here are silent, and well-known libraries have shipped each of these: letting A_{t+1} of
the next episode leak into the last step of this one, dropping V at a truncation, keeping it at a
termination.  In a rectangle the first cannot happen.  Dead steps have δ = 0, so the sum starts from
zero at every episode's own end.  (What is *paid* after an end would leak in, so it must be zero.)

A value table is learned from such targets by moving each state towards the mean of its own,

    V(s) ← V(s) + rate · (mean of the targets at s − V(s)).                              (returns.5)

With rate 1 that is least squares: no table is nearer to the targets.  How much of what happened a
table foresaw is its *explained variance*,

    1 − Var(G − V) / Var(G),                                                             (returns.6)

over all steps, where G is the λ-return at λ = 1.  It is zero if V says no more than a constant
does, and negative if V misleads.  It would be one if V foretold every return, which luck forbids:
on the slippery 4x4 lake, under the uniform policy, the *true* V explains 9 %.  And it is blind to
an error of V that is the same everywhere.  With a smaller λ the target contains V itself, and a
table would be praised for agreeing with itself.

Read first: `playing`.  Read next: `prediction`, `reinforce`.
Source: Sutton and Barto, 2nd edition, §7.1, §12.1; Schulman et al. 2016, "High-dimensional
continuous control using generalized advantage estimation", arXiv:1506.02438, eq. 16; Pardo et al.
2018, arXiv:1712.00378, on truncation.
"""

import numpy as np

from minirl.kernel import checks, counts


def gae(rewards, rollout, values, *, gamma, gae_lambda):
    """Advantages A and λ-returns of (returns.3), both (T, N), zero after an episode's end.

    Parameters
    ----------
    rewards : (T, N) float
        What to learn from, zero after an episode's end; not necessarily `rollout.rewards`.
    rollout : playing.Rollout
    values : (S,) float
        The value table V.
    gamma, gae_lambda : float in [0, 1]

    Examples
    --------
    Two steps from state 0 to 1 to the goal, which pays 1; V is right about state 1, wrong about 0:

    >>> from minirl.kernel.playing import Rollout
    >>> yes, end = np.array([[True], [True]]), np.array([[False], [True]])
    >>> walk = Rollout(states=np.array([[0], [1]]), actions=np.array([[0], [0]]),
    ...                rewards=np.array([[0.], [1.]]), alive=yes, terminated=end,
    ...                last_state=np.array([2]), truncated=np.array([False]))
    >>> A, returns = gae(walk.rewards, walk, np.array([0., 1., 9.]), gamma=0.9, gae_lambda=0.5)
    >>> print(A.ravel(), returns.ravel())
    [0.9 0. ] [0.9 1. ]
    """
    checks.fraction("gae_lambda", gae_lambda)
    A, V = _rewards_and_values(rewards, rollout, values, gamma)
    next_V, next_A = np.zeros((2, V.shape[1]))  # γV and γλA of the step after
    for a, v in zip(A[::-1], V[::-1]):  # in place, row by row, while a row is in the cache
        a += next_V
        a -= v       # δ_t of (returns.2)
        a += next_A  # A_t of (returns.3)
        np.multiply(v, gamma, out=next_V)
        np.multiply(a, gamma * gae_lambda, out=next_A)
        v += a       # the λ-return
    return A, V


def reward_to_go(rewards, *, gamma):
    """G of (returns.1), (T, N), zero after an episode's end like the rewards.

    A truncated episode counts as it is: what it would still have earned is missing.

    Examples
    --------
    >>> print(reward_to_go(np.array([[1.], [0.], [4.]]), gamma=0.5).ravel())
    [2. 2. 4.]
    """
    if np.ndim(rewards) != 2:
        raise ValueError(f"rewards must have shape (T, N), got {np.shape(rewards)}")
    checks.fraction("gamma", gamma)
    return discounted_sums(rewards, gamma)


def whole_return(rewards, *, gamma):
    """G_0 of (returns.1), the return of the whole episode, in every row: (T, N), the rows equal.

    Examples
    --------
    >>> print(whole_return(np.array([[1.], [0.], [4.]]), gamma=0.5).ravel())
    [2. 2. 2.]
    """
    return np.repeat(reward_to_go(rewards, gamma=gamma)[:1], len(rewards), axis=0)


def td_errors(rewards, rollout, values, *, gamma):
    """δ of (returns.2), (T, N), zero after an episode's end; for the arguments see `gae`.

    Examples
    --------
    A step that ends the episode, and one after which it was cut; only then V(1) counts:

    >>> from minirl.kernel.playing import Rollout
    >>> step = Rollout(states=np.array([[0, 0]]), actions=np.array([[0, 0]]),
    ...                rewards=np.array([[1., 1.]]), alive=np.array([[True, True]]),
    ...                terminated=np.array([[True, False]]), last_state=np.array([1, 1]),
    ...                truncated=np.array([False, True]))
    >>> print(td_errors(step.rewards, step, np.array([0.5, 4.0]), gamma=0.5))
    [[0.5 2.5]]
    """
    errors, here = _rewards_and_values(rewards, rollout, values, gamma)
    errors[:-1] += gamma * here[1:]
    errors -= here
    return errors


def n_step_returns(rewards, rollout, values, *, gamma, n):
    """G^(n) of (returns.4), (T, N), zero after an episode's end; for the arguments see `gae`.

    With n = 1 it is the target of TD(0), and from the longest episode's length on the λ-return at
    λ = 1.

    Examples
    --------
    The walk of `gae`, judged by one step and by two:

    >>> from minirl.kernel.playing import Rollout
    >>> yes, end = np.array([[True], [True]]), np.array([[False], [True]])
    >>> walk = Rollout(states=np.array([[0], [1]]), actions=np.array([[0], [0]]),
    ...                rewards=np.array([[0.], [1.]]), alive=yes, terminated=end,
    ...                last_state=np.array([2]), truncated=np.array([False]))
    >>> for n in 1, 2:
    ...     print(n_step_returns(walk.rewards, walk, np.array([0., 5., 9.]), gamma=0.9, n=n).T)
    [[4.5 1. ]]
    [[0.9 1. ]]
    """
    n = checks.whole("n", n)
    sums = discounted_sums(td_errors(rewards, rollout, values, gamma=gamma), gamma)
    later = np.pad(sums[n:], ((0, min(n, len(sums))), (0, 0)))
    return sums - gamma**n * later + np.where(rollout.alive, values[rollout.states], 0)


def move_values(values, steps, targets, *, rate):
    """The value table (S,) after (returns.5); states that were not visited keep their value.

    Parameters
    ----------
    values : (S,) float
    steps : counts.Steps
        N steps.
    targets : (N,) float
        What was observed to follow each step, for example its λ-return.
    rate : float in [0, 1]
        1 replaces a value by the mean of its targets.

    Examples
    --------
    >>> visits = counts.steps(np.array([0, 0]), np.array([0, 1]), np.array([0, 2]), (2, 2))
    >>> print(move_values(np.array([1., 7.]), visits, np.array([2., 4.]), rate=0.5))
    [2. 7.]
    """
    values = checks.array("values", values, steps.shape[:1])
    checks.fraction("rate", rate)
    visits = counts.table(steps).sum(axis=1)
    total = counts.table(steps, targets).sum(axis=1)
    return values + rate * (total - visits * values) / np.maximum(visits, 1)


def explained_variance(predictions, returns):
    """(returns.6) of V(s_n) and G_n, both (N,): at most 1.

    NaN if all returns are equal, since there is nothing to explain.

    Examples
    --------
    >>> explained_variance(np.array([1., 2., 3.]), np.array([1., 3., 5.]))
    0.75
    """
    predictions, returns = np.asarray(predictions), np.asarray(returns)
    checks.shape("predictions", predictions, returns.shape)
    checks.positive("the number of returns", returns.size)
    if returns.std() <= 1e-12 * np.abs(returns).max():  # equal up to rounding
        return np.nan
    return float(1 - (returns - predictions).var() / returns.var())


def discounted_sums(x, factor):
    """The recursion of this chapter, y_t = x_t + factor · y_{t+1}, for x (T, N).

    Rewards make (returns.1), and errors δ make (returns.3).

    Examples
    --------
    >>> print(discounted_sums(np.array([[1.], [0.], [4.]]), 0.5).ravel())
    [2. 2. 4.]
    """
    sums = np.array(x, dtype=float)
    for t in range(len(sums) - 2, -1, -1):
        sums[t] += factor * sums[t + 1]
    return sums


def _rewards_and_values(rewards, rollout, values, gamma):
    """(r_t, V(s_t)), both zero after an episode's end; γV of what follows a truncation is in r."""
    checks.shape("rewards", rewards, rollout.states.shape)
    checks.fraction("gamma", gamma)
    largest = max(rollout.states.max(), rollout.last_state.max())
    if np.ndim(values) != 1 or np.size(values) <= largest:
        raise ValueError(f"values must be a vector with an entry for state {largest}, "
                         f"got shape {np.shape(values)}")
    here, cut = (np.array(values, float).take(states)
                 for states in (rollout.states, rollout.last_state))
    np.putmask(here, ~rollout.alive, 0)
    earned = np.array(rewards, dtype=float)
    last = rollout.alive.sum(axis=0, dtype=np.int32) - 1
    earned[last, np.arange(last.size)] += gamma * np.where(rollout.truncated, cut, 0)
    return earned, here
