"""What came after a step, and how much better was it than expected?

*Part 3.  Previous: `optim`.  Next: `training`.*

Part 2 computes what a policy is worth, from the tables of the world.  A learner sees only episodes.
This chapter makes numbers of them that say how good each step was.

**The reward-to-go** R_t is what a step and all later ones of its episode earn, discounted to the
time of the step.  It is 0 after the last step, and before that

    R_t = r_t + γ R_{t+1}.                                                               (returns.1)

The rewards 2 0 4 at γ = ½ are summed from the end: R_2 = 4, R_1 = 0 + ½ · 4 = 2, R_0 = 2 + ½ · 2 =
3.  The *whole return* R_0 judges every action by one number, also by rewards that came before it.
In the policy gradient either is right on average (`reinforce` shows how); R_0 is usually noisier.

>>> rewards, starts = np.array([2., 0., 4.]), np.array([0, 3])
>>> print(reward_to_go(rewards, starts, gamma=0.5), whole_return(rewards, starts, gamma=0.5))
[3. 2. 4.] [3. 3. 3.]

**One step.**  R_t is noisy too: luck a hundred steps later counts in every step before it.  With a
*value table* V, which says what a learner expects in each state, the luck of one step can be told
apart, by the *temporal-difference error*

    δ_t = r_t + γ V(s_{t+1}) − V(s_t).                                                   (returns.2)

It is what the step earned and V expects after it, minus what V expected before.  What stands for
V(s_{t+1}) at the last step depends on how the episode ended:

    terminated    s_0 ─r_0→ s_1 ─r_1→ s_2 ─r_2→ end          0, since nothing follows
    truncated     s_0 ─r_0→ s_1 ─r_1→ s_2 ─r_2→ s_3 ┄┄       V(s_3), since it would have gone on

(To put V in the place of what has not been seen is called *bootstrapping*.)  Let the episode above
terminate, and let V be 1, 4 and 2 in its states.  Then δ_0 = 2 + ½ · 4 − 1 = 3 is better than
expected, δ_1 = 0 + ½ · 2 − 4 = −3 is worse, and δ_2 = 4 + 0 − 2 = 2.

**Many steps.**  *Generalised advantage estimation*, GAE, sums the errors with a second discount λ,

    A_t = δ_t + γλ A_{t+1},   with A = 0 after the last step of an episode,
    λ-return_t = A_t + V(s_t).                                                           (returns.3)

A_t estimates the advantage A(s_t, a_t) of (evaluation.3): how much better a_t is than what the
policy does in s_t on average.  The *λ-return* is what V(s_t) should have been.  In the example γλ
is 0, ¼ or ½.  One begins at the end again (in code with a `Rollout`, see `playing`):

    λ = 0     A_2 = 2     A_1 = −3                   A_0 = 3
    λ = ½     A_2 = 2     A_1 = −3 + ¼ · 2 = −2.5    A_0 = 3 − ¼ · 2.5 = 2.375
    λ = 1     A_2 = 2     A_1 = −3 + ½ · 2 = −2      A_0 = 3 − ½ · 2 = 2

>>> from minirl.kernel.playing import Rollout
>>> walk = Rollout(states=np.arange(3), actions=np.zeros(3, int), rewards=rewards, starts=starts,
...                terminated=np.array([False, False, True]), last_state=np.array([0]),
...                truncated=np.array([False]))
>>> [gae(rewards, walk, np.array([1., 4., 2.]), gamma=0.5, gae_lambda=weight)[0].tolist()
...  for weight in (0, 0.5, 1)]
[[3.0, -3.0, 2.0], [2.375, -2.5, 2.0], [2.0, -2.0, 2.0]]

Put (returns.3) into its own right side again and again, and A_t is the sum of all (γλ)ʲ δ_{t+j}, up
to the last step of the episode.  At λ = 1 the V in the middle cancel.  Three steps before an end,

    A_t = δ_t + γ δ_{t+1} + γ² δ_{t+2}
        =    r_t     + γ  V(s_{t+1}) −    V(s_t)
        + γ  r_{t+1} + γ² V(s_{t+2}) − γ  V(s_{t+1})
        + γ² r_{t+2} + 0             − γ² V(s_{t+2})
        = R_t − V(s_t).

So the λ-return is R_t, right on average whatever V is, with all the noise.  If V(s_t) is too low by
3, A_t is too high by 3 on average, for every action alike.  (If the episode is cut there instead, V
of the last state stands in the place of 0, and γ³ V(s_{t+3}) is added.)  At λ = 0 A_t is δ_t alone:
little noise, and all the error of V.  With the true V every λ is right on average.  For the mean of
δ_t after a_t is A(s_t, a_t) then, and that of all later errors is 0, by (evaluation.3).

**k steps** are another way between the two.  V is asked after k of them (books write n):

    R_t^(k) = r_t + γ r_{t+1} + … + γᵏ⁻¹ r_{t+k−1} + γᵏ V(s_{t+k}),                      (returns.4)

or after fewer, if the episode is over before.  In the example R_0^(1) = 2 + ½ · 4 = 4, R_0^(2) = 2
+ 0 + ¼ · 2 = 2.5 and R_0^(3) = R_0 = 3.  As above, R_t^(k) − V(s_t) is δ_t + … + γᵏ⁻¹ δ_{t+k−1}.
The λ-return is the mean of all R_t^(k) with the weights (1 − λ) λᵏ⁻¹, where the last one has what
is left: ½ · 4 + ¼ · 2.5 + ¼ · 3 = 3.375 = 2.375 + V(s_0).  Those with k ≤ j lack γʲ δ_{t+j}.  They
weigh (1 − λ)(1 + … + λʲ⁻¹) = 1 − λʲ, and the others λʲ.  So (γλ)ʲ δ_{t+j} is in the mean.

**Learning V.**  Each visited state moves towards the mean of its targets, such as its λ-returns,

    V(s) ← V(s) + value_rate · (mean of the targets at s − V(s)).                        (returns.5)

At a value_rate of 1 V(s) becomes that mean, the number with the least sum of squared distances to
the targets.  The *explained variance* says how much of what happened a table foresaw.  Over all
steps, and with R the λ-return at λ = 1, it is

    1 − Var(R − V) / Var(R).                                                             (returns.6)

It is 0 for a constant V, and negative if V misleads, as above: R is 3 2 4, R − V is 2 −2 2, the
variances are 6/9 and 32/9, and 1 − 32/6 = −13/3.  Luck keeps it below 1: on the slippery 4x4 lake,
under the uniform policy, the *true* V explains 9 %.  It is blind to a constant error.

**All episodes in one call.**  Every recursion here makes sums of numbers x: rewards or errors.  Lay
the steps of all episodes end to end, n = 0, 1, 2 …  Let factor_n be γ or γλ, but 0 at the last step
of an episode, so that nothing of the next one leaks into it.  Then each step is an equation,

    sum_n − factor_n sum_{n+1} = x_n.                                                    (returns.7)

With the factor ½, the episodes 2 0 4 and 8 make sum_0 − ½ sum_1 = 2, sum_1 − ½ sum_2 = 0, sum_2 = 4
and sum_3 = 8.  The last equation is solved first: one call of SciPy (`discounted_sums`).

**Exercises.**  `from minirl.play.returns import *`
1. V is wrong by 100 in every state.  How much of the returns 1 2 3 does it explain?
       explained_variance(np.array([101., 102., 103.]), np.array([1., 2., 3.]))
2. V says 100 everywhere.  Which λ-returns has the episode 2 0 4, at λ = 0 and at λ = 1?
       [gae_of_rectangle([[2.], [0.], [4.]], [[100.]] * 3, [0.], gamma=0.5,
                         gae_lambda=weight)[1].ravel().tolist() for weight in (0, 1)]
3. A world pays 1 per step for ever, so V = 100 is right at γ = 0.99.  An episode is cut after three
   steps.  What does the reward-to-go say, and what does the λ-return at λ = 1?
       reward_to_go(np.ones(3), np.array([0, 3]), gamma=0.99).round(4)
       gae_of_rectangle(np.ones((3, 1)), [[100.]] * 3, [100.], gamma=0.99, gae_lambda=1)[1].T

Read next: `training`, what all learners of policies share.
Source: Sutton and Barto, 2nd edition, §7.1, §12.1; Schulman et al. 2016, "High-dimensional
continuous control using generalized advantage estimation", arXiv:1506.02438, eq. 16; Pardo et al.
2018, arXiv:1712.00378, on truncation.
"""

import numpy as np
from scipy.linalg.blas import dtbsv

from minirl.kernel import checks, counts


def reward_to_go(rewards, starts, *, gamma):
    """R of (returns.1), (N,), for episodes that begin at `starts` (B + 1,), as in a `Rollout`.

    A truncated episode counts as it is: what it would still have earned is missing.

    Examples
    --------
    >>> print(reward_to_go(np.array([2., 0., 4., 8.]), np.array([0, 3, 4]), gamma=0.5))
    [3. 2. 4. 8.]
    """
    checks.fraction("gamma", gamma)
    checks.finite("rewards", rewards)
    return discounted_sums(rewards, starts, gamma)


def whole_return(rewards, starts, *, gamma):
    """R_0 of (returns.1), the return of the whole episode, for each of its steps: (N,).

    Examples
    --------
    >>> print(whole_return(np.array([2., 0., 4., 8.]), np.array([0, 3, 4]), gamma=0.5))
    [3. 3. 3. 8.]
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
    """R^(k) of (returns.4), (N,), where k is `n`; for the arguments see `gae`.

    With n = 1 it is the λ-return at λ = 0, and from the longest episode's length on that at λ = 1.
    No learner of the book uses it; it is for comparison.

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
        The value_rate; 1 replaces a value by the mean of its targets.
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
    """(returns.6) of V(s_n) and R_n, both (N,): at most 1.

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
    """The recursion of this chapter, sum_n = x_n + factor · sum_{n+1}, in each episode: (N,).

    Rewards make (returns.1), and errors δ make (returns.3).  x (N,) is finite; `starts` (B + 1,) is
    as in a `Rollout`, and an episode without a step is allowed.

    Examples
    --------
    >>> print(discounted_sums(np.array([2., 0., 4., 8.]), np.array([0, 3, 4]), 0.5))
    [3. 2. 4. 8.]
    """
    x, starts = np.array(x, float), np.asarray(starts)
    checks.finite("x", x)  # 0 · ∞, at the end of an episode, is not a number
    if not (x.ndim == starts.ndim == 1 and starts.size and starts[0] == 0
            and starts[-1] == x.size and (starts[:-1] <= starts[1:]).all()):
        raise ValueError(f"starts must rise from 0 to the number of steps, got {starts} for "
                         f"shape {x.shape}")
    if x.size == 0:
        return x
    # The two diagonals of (returns.7), one below the other (`order`), the way SciPy's library of
    # linear algebra, BLAS, wants them.  The first is never read, for its ones are known (`diag`).
    # The matrix is given as the transpose of a lower one (`lower`, `trans`): so each equation is a
    # product and a sum, both rounded, as in the recursion.  Given as an upper one, some processors
    # round once for both.
    band = np.empty((2, x.size), order="F")
    band[1] = -factor
    band[1, starts[1:] - 1] = 0  # of an empty first episode the last one
    return dtbsv(1, band, x, lower=1, trans=1, diag=1, overwrite_x=1)


def gae_of_rectangle(rewards, values, last_values, *, gamma, gae_lambda):
    """Advantages and λ-returns of (returns.3), both (T, B), one row after another.

    Quicker than `gae` where all episodes are cut together.  No learner of the book uses it.

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
