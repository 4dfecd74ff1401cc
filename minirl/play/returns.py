"""Returns: what came after a step, and how much better it was than expected.

*Part 3.  Previous: `optim`.  Next: `training`.*

A batch is N steps of B episodes, laid end to end (`playing.Rollout`).  Everything in this chapter
is one recursion backwards in time, over all episodes at once.  The reward-to-go is

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

or with fewer rewards, if the episode is over before: then it is the λ-return at λ = 1.  It needs no
recursion of its own.  Its advantage G_t^(n) − V(s_t) is the sum of n errors δ, discounted, which is
the sum of all of them minus γⁿ times the same sum n steps later.  The λ-return is the mean of the
n-step returns, with the weights (1 − λ) λⁿ⁻¹: each further step multiplies the weight by λ.

Mistakes here are silent, and well-known libraries have shipped each of these: letting A_{t+1} of
the next episode leak into the last step of this one, dropping V at a truncation, keeping it at a
termination.  Here an episode's last step has no next one: the sum starts from zero there.

A value table is learned from such targets by moving each state towards the mean of its targets,

    V(s) ← V(s) + rate · (mean of the targets at s − V(s)).                              (returns.5)

With rate 1 that is least squares: no table is nearer to the targets.  How much of what happened a
table foresaw is its *explained variance*,

    1 − Var(G − V) / Var(G),                                                             (returns.6)

over all steps, where G is the λ-return at λ = 1.  It is zero if V says no more than a constant
does, and negative if V misleads.  It would be one if V foretold every return, which luck forbids:
on the slippery 4x4 lake, under the uniform policy, the *true* V explains 9 %.  And it is blind to
an error of V that is the same everywhere.  With a smaller λ the target contains V itself, and a
table would be praised for agreeing with itself.

*All episodes in one call.*  Every recursion of this chapter makes sums y from numbers x: returns
from rewards with the factor γ, or advantages from errors δ with the factor γλ.  Number the steps of
all episodes n = 0, 1, 2 … as they lie, and let c_n be the factor, but 0 at the last step of an
episode.  Then the recursion is a system of linear equations, one for each step,

    y_n − c_n y_{n+1} = x_n.                                                             (returns.7)

With the factor ½, one episode of the rewards 1 0 4 and one of the reward 8 are four of them,

    y₀ − ½ y₁ = 1,   y₁ − ½ y₂ = 0,   y₂ = 4,   y₃ = 8,   so that y = 2 2 4 8.

Its matrix has two diagonals, a 1 and a −c_n beside it, and an equation is solved as soon as the one
after it is.  BLAS, the library of linear algebra under NumPy and SciPy, does that in one call
(`dtbsv`), in the order of the recursion (`discounted_sums`).  What it costs is the same for each
step, whether episodes are many or long.

*Side by side.*  Episodes that begin together, and are cut after the same number of steps, fill a
rectangle with time downwards and episodes across.  There a row is one operation for all episodes,
which is quicker still where few of its entries are empty (`gae_of_rectangle`).

Read first: `playing`.  Read next: `prediction`, `reinforce`.
Source: Sutton and Barto, 2nd edition, §7.1, §12.1; Schulman et al. 2016, "High-dimensional
continuous control using generalized advantage estimation", arXiv:1506.02438, eq. 16; Pardo et al.
2018, arXiv:1712.00378, on truncation.
"""

import numpy as np
from scipy.linalg.blas import dtbsv

from minirl.kernel import checks, counts


def reward_to_go(rewards, starts, *, gamma):
    """G of (returns.1), (N,), for episodes that begin at `starts` (B + 1,), as in a `Rollout`.

    A truncated episode counts as it is: what it would still have earned is missing.

    Examples
    --------
    >>> print(reward_to_go(np.array([1., 0., 4., 8.]), np.array([0, 3, 4]), gamma=0.5))
    [2. 2. 4. 8.]
    """
    checks.fraction("gamma", gamma)
    checks.finite("rewards", rewards)
    return discounted_sums(rewards, starts, gamma)


def whole_return(rewards, starts, *, gamma):
    """G_0 of (returns.1), the return of the whole episode, for each of its steps: (N,).

    Examples
    --------
    >>> print(whole_return(np.array([1., 0., 4., 8.]), np.array([0, 3, 4]), gamma=0.5))
    [2. 2. 2. 8.]
    """
    lengths = np.diff(starts)
    firsts = np.asarray(starts)[:-1][lengths > 0]
    return np.repeat(reward_to_go(rewards, starts, gamma=gamma)[firsts], lengths[lengths > 0])


def td_errors(rewards, rollout, values, *, gamma):
    """δ of (returns.2), (N,); for the arguments see `gae`.

    Examples
    --------
    A step that ends the episode, and one after which it was cut; only then V(1) counts:

    >>> from minirl.kernel.playing import Rollout
    >>> step = Rollout(states=np.array([0, 0]), actions=np.array([0, 0]),
    ...                rewards=np.array([1., 1.]), terminated=np.array([True, False]),
    ...                starts=np.array([0, 1, 2]), last_state=np.array([1, 1]),
    ...                truncated=np.array([False, True]))
    >>> print(td_errors(step.rewards, step, np.array([0.5, 4.0]), gamma=0.5))
    [0.5 2.5]
    """
    rewards = checks.array("rewards", rewards, rollout.states.shape)
    checks.fraction("gamma", gamma)
    largest = max(rollout.states.max(), rollout.last_state.max())
    if np.ndim(values) != 1 or np.size(values) <= largest:
        raise ValueError(f"values must be a vector with an entry for state {largest}, "
                         f"got shape {np.shape(values)}")
    values = np.asarray(values, float)
    here = values.take(rollout.states)
    checks.finite("values of the states in a batch", here)
    after = rollout.followed_by(here, np.where(rollout.truncated, values[rollout.last_state], 0))
    return rewards + gamma * after - here


def gae(rewards, rollout, values, *, gamma, gae_lambda):
    """Advantages A and λ-returns of (returns.3), both (N,).

    Parameters
    ----------
    rewards : (N,) float
        What to learn from; not necessarily `rollout.rewards`.
    rollout : playing.Rollout
        N steps.
    values : (S,) float
        The value table V.
    gamma, gae_lambda : float in [0, 1]

    Examples
    --------
    Two steps from state 0 to 1 to the goal, which pays 1; V is right about state 1, wrong about 0,
    and is not asked about the goal:

    >>> from minirl.kernel.playing import Rollout
    >>> walk = Rollout(states=np.array([0, 1]), actions=np.array([0, 0]),
    ...                rewards=np.array([0., 1.]), terminated=np.array([False, True]),
    ...                starts=np.array([0, 2]), last_state=np.array([2]),
    ...                truncated=np.array([False]))
    >>> A, returns = gae(walk.rewards, walk, np.array([0., 1., 9.]), gamma=0.9, gae_lambda=0.5)
    >>> print(A, returns)
    [0.9 0. ] [0.9 1. ]
    """
    checks.fraction("gae_lambda", gae_lambda)
    errors = td_errors(rewards, rollout, values, gamma=gamma)
    A = discounted_sums(errors, rollout.starts, gamma * gae_lambda)
    return A, A + np.take(values, rollout.states)


def n_step_returns(rewards, rollout, values, *, gamma, n):
    """G^(n) of (returns.4), (N,); for the arguments see `gae`.

    With n = 1 it is the target of TD(0), and from the longest episode's length on the λ-return at
    λ = 1.

    Examples
    --------
    The walk of `gae`, judged by one step and by two:

    >>> from minirl.kernel.playing import Rollout
    >>> walk = Rollout(states=np.array([0, 1]), actions=np.array([0, 0]),
    ...                rewards=np.array([0., 1.]), terminated=np.array([False, True]),
    ...                starts=np.array([0, 2]), last_state=np.array([2]),
    ...                truncated=np.array([False]))
    >>> for n in 1, 2:
    ...     print(n_step_returns(walk.rewards, walk, np.array([0., 5., 9.]), gamma=0.9, n=n))
    [4.5 1. ]
    [0.9 1. ]
    """
    n = checks.whole("n", n)
    sums = discounted_sums(td_errors(rewards, rollout, values, gamma=gamma), rollout.starts, gamma)
    later, = np.nonzero(rollout.time >= n)  # steps before which there are n others
    returns = sums + np.take(values, rollout.states)
    returns[later - n] -= gamma**n * sums[later]
    return returns


def move_values(values, steps, targets, *, rate, visits=None):
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
    visits : (S,) float, optional
        How many of the steps were taken in each state, if they have been counted already.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([0, 1]), np.array([0, 2]), (2, 2))
    >>> print(move_values(np.array([1., 7.]), two, np.array([2., 4.]), rate=0.5))
    [2. 7.]
    """
    values = checks.array("values", values, steps.shape[:1])
    checks.fraction("rate", rate)
    visits = (counts.table(steps).sum(axis=1) if visits is None
              else checks.weights("visits", visits, values.shape))
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


def discounted_sums(x, starts, factor):
    """The recursion of this chapter, y_n = x_n + factor · y_{n+1}, in each episode: (N,).

    Rewards make (returns.1), and errors δ make (returns.3).  x (N,) is finite; `starts` (B + 1,) is
    as in a `Rollout`, and an episode without a step is allowed.

    Examples
    --------
    >>> print(discounted_sums(np.array([1., 0., 4., 8.]), np.array([0, 3, 4]), 0.5))
    [2. 2. 4. 8.]
    """
    x, starts = np.array(x, float), np.asarray(starts)
    checks.finite("x", x)  # 0 · ∞, at the end of an episode, is not a number
    if not (x.ndim == starts.ndim == 1 and starts.size and starts[0] == 0
            and starts[-1] == x.size and (starts[:-1] <= starts[1:]).all()):
        raise ValueError(f"starts must rise from 0 to the number of steps, got {starts} for "
                         f"shape {x.shape}")
    if x.size == 0:
        return x
    # The two diagonals of (returns.7), the way BLAS wants them (`order`), one below the other.  The
    # first is never read, for its ones are known (`diag`).  The matrix is given as the transpose of
    # a lower one (`lower`, `trans`): so each equation is a product and a sum, both rounded, as in
    # the recursion.  Given as an upper one, some processors round once for both.
    band = np.empty((2, x.size), order="F")
    band[1] = -factor
    band[1, starts[1:] - 1] = 0  # of an empty first episode the last one
    return dtbsv(1, band, x, lower=1, trans=1, diag=1, overwrite_x=1)


def gae_of_rectangle(rewards, values, last_values, *, gamma, gae_lambda):
    """Advantages and λ-returns of (returns.3), both (T, B), one row after another.

    Parameters
    ----------
    rewards, values : (T, B) float
        r_t and V(s_t) of each step, one episode per column, and zero after its end.  A column that
        is shorter must have terminated: only the last row is cut.
    last_values : (B,) float
        V of the state after the last row, and zero for an episode that has terminated.
    gamma, gae_lambda : float in [0, 1]

    Examples
    --------
    The walk of `gae`, beside one that ends with its first step:

    >>> A, returns = gae_of_rectangle([[0., 3.], [1., 0.]], [[0., 2.], [1., 0.]], [0., 0.],
    ...                               gamma=0.9, gae_lambda=0.5)
    >>> print(A.T, returns.T)
    [[0.9 0. ]
     [1.  0. ]] [[0.9 1. ]
     [3.  0. ]]
    """
    checks.fraction("gamma", gamma)
    checks.fraction("gae_lambda", gae_lambda)
    rewards, V, last = (checks.floats(name, x) for name, x in (
        ("rewards", rewards), ("values", values), ("last_values", last_values)))
    checks.shape("values", V, rewards.shape)
    checks.shape("last_values", last, rewards.shape[1:])
    A, returns = np.empty((2, *V.shape))
    next_V, next_A = gamma * last, np.zeros(last.shape)  # γV and γλA of the step after
    for t in range(len(A) - 1, -1, -1):  # each operation writes a row that is in the cache
        a, v = A[t], V[t]
        np.add(rewards[t], next_V, out=a)
        a -= v       # δ_t of (returns.2)
        a += next_A  # A_t of (returns.3)
        np.add(a, v, out=returns[t])
        np.multiply(v, gamma, out=next_V)
        np.multiply(a, gamma * gae_lambda, out=next_A)
    return A, returns
