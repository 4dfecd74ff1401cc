"""Returns: what came after a step, and how much better it was than expected.

A batch of episodes is a rectangle, time downwards and episodes across (`mdp.Rollout`).  Everything
in this chapter is one recursion backwards in time, over all episodes at once.  The reward-to-go is

    G_t = r_t + γ G_{t+1}.                                                               (returns.1)

It judges action a_t by everything that followed.  That is right on average, and noisy: luck a
hundred steps later is credited to every step before it.  With a value table V the luck of one step
can be told apart from the rest.  The temporal-difference error compares what was expected before a
step with what is expected after it,

    δ_t = r_t + γ V(s_{t+1}) − V(s_t),                                                   (returns.2)

where V after a *termination* is zero, and V after a *truncation* is that of the state in which the
episode was cut: it would have gone on.  Generalised advantage estimation sums these errors with a
second discount,

    A_t = δ_t + γλ A_{t+1},   λ-return  A_t + V(s_t).                                    (returns.3)

At λ = 1 the V in the middle cancel, A_t = G_t − V(s_t): no bias where episodes end, and all the
noise.  At λ = 0 it is δ_t alone: little noise, and all the error of V.  With the true V every λ is
right on average.

Mistakes here are silent, and well-known libraries have shipped each of these: letting A_{t+1} of
the next episode leak into the last step of this one, dropping V at a truncation, keeping it at a
termination.  In a rectangle the first cannot happen.  Dead steps have δ = 0, so the sum starts from
zero at every episode's own end.

A value table is learned from such targets by moving each state towards the mean of its own,

    V(s) ← V(s) + rate · (mean of the targets at s − V(s)).                              (returns.4)

Read first: `mdp`.  Read next: `reinforce`.
Source: Schulman et al. 2016, "High-dimensional continuous control using generalized advantage
estimation", arXiv:1506.02438, eq. 16; Pardo et al. 2018, arXiv:1712.00378, on truncation.
"""

import numpy as np

from minirl import counts


def _discounted_sums(x, factor):
    """y_t = x_t + factor · y_{t+1} down the columns of x (T, N); after the last row y is zero."""
    sums = np.array(x, dtype=float)
    for t in range(len(sums) - 2, -1, -1):
        sums[t] += factor * sums[t + 1]
    return sums


def reward_to_go(rewards, *, gamma):
    """G of (returns.1).

    Parameters
    ----------
    rewards : (T, N) float
        One episode a column, zero after its end.
    gamma : float in [0, 1]

    Returns
    -------
    (T, N) float
        Zero after an episode's end.  A truncated episode counts as it is: what it would still have
        earned is missing.

    Raises
    ------
    ValueError
        If gamma is outside [0, 1], or the rewards are not a rectangle.

    Examples
    --------
    >>> print(reward_to_go(np.array([[1.], [0.], [4.]]), gamma=0.5).ravel())
    [2. 2. 4.]
    """
    if rewards.ndim != 2:
        raise ValueError(f"rewards must have shape (T, N), got {rewards.shape}")
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}")
    return _discounted_sums(rewards, gamma)


def gae(rewards, rollout, values, *, gamma, gae_lambda):
    """Advantages A and λ-returns of (returns.3).

    Parameters
    ----------
    rewards : (T, N) float
        What to learn from, zero after an episode's end; not necessarily `rollout.rewards`.
    rollout : mdp.Rollout
        The episodes.
    values : (S,) float
        The value table V.
    gamma, gae_lambda : float in [0, 1]

    Returns
    -------
    advantages, returns : (T, N) float
        Both zero after an episode's end.

    Raises
    ------
    ValueError
        If the rewards do not have the rollout's shape, or gamma or gae_lambda is outside [0, 1].

    Examples
    --------
    Two steps from state 0 to 1 to the goal, which pays 1; V is right about state 1, wrong about 0:

    >>> from minirl.mdp import Rollout
    >>> yes, end = np.array([[True], [True]]), np.array([[False], [True]])
    >>> walk = Rollout(states=np.array([[0], [1]]), actions=np.array([[0], [0]]),
    ...                rewards=np.array([[0.], [1.]]), alive=yes, terminated=end,
    ...                last_state=np.array([2]), truncated=np.array([False]))
    >>> A, returns = gae(walk.rewards, walk, np.array([0., 1., 9.]), gamma=0.9, gae_lambda=0.5)
    >>> print(A.ravel(), returns.ravel())
    [0.9 0. ] [0.9 1. ]
    """
    if rewards.shape != rollout.states.shape:
        raise ValueError(f"rewards must have shape {rollout.states.shape}, got {rewards.shape}")
    for name, value in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")
    here = np.where(rollout.alive, values[rollout.states], 0)
    after = np.zeros_like(here)
    after[:-1] = here[1:]
    episodes, last = np.arange(here.shape[1]), rollout.alive.sum(axis=0) - 1
    after[last, episodes] = np.where(rollout.truncated, values[rollout.last_state], 0)
    errors = rewards + gamma * after - here
    advantages = _discounted_sums(errors, gamma * gae_lambda)
    return advantages, advantages + here


def move_values(values, steps, targets, *, rate):
    """The value table after one step of (returns.4); states that were not visited keep their value.

    Parameters
    ----------
    values : (S,) float
    steps : counts.Steps
        N steps.
    targets : (N,) float
        What was observed to follow each step, for example its λ-return.
    rate : float in [0, 1]
        1 replaces a value by the mean of its targets.

    Returns
    -------
    (S,) float

    Raises
    ------
    ValueError
        If the shapes disagree or the rate is outside [0, 1].

    Examples
    --------
    >>> visits = counts.steps(np.array([0, 0]), np.array([0, 1]), np.array([0, 2]), (2, 2))
    >>> print(move_values(np.array([1., 7.]), visits, np.array([2., 4.]), rate=0.5))
    [2. 7.]
    """
    if values.shape != steps.shape[:1]:
        raise ValueError(f"values must have shape {steps.shape[:1]}, got {values.shape}")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must lie in [0, 1], got {rate}")
    visits = counts.table(steps).sum(axis=1)
    total = counts.table(steps, targets).sum(axis=1)
    return values + rate * (total - visits * values) / np.maximum(visits, 1)
