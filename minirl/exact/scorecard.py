"""The scorecard: how good is this policy, measured by the best one?

*Part 2.  Previous: `return_law`.  Next: `optim`.*

A learner hands over a policy, and the question is always the same.  What does it earn, and how much
better could it be?  Both have exact answers.  A *referee* computes the optimum once and then turns
any policy into a `Score`.

The objective J alone says little.  Is 0.5 much on the slippery lake?  Only the optimum J* says so.
A world that pays for itself, as a grid does, is scored by

    gap = J* − J,   share = 1 − (J* − J)/|J*|.                                      (scorecard.1)

Where J* is positive the share is J/J*.  The form above also holds where the best policy loses: on
the cliff every step costs 1, the best way takes 13 steps, and one of 26 steps has the share
1 − 13/13 = 0.  A longer one has a share below 0.

*A worked example.*  The coin game has one state: head pays 1 and goes on, tail pays 0 and ends.
With γ = 0.9 the best policy always shows head and is worth J* = 1/(1 − 0.9) = 10.  A fair coin has
V = ½ (1 + 0.9 V), so J = ½/0.55 = 0.909, a gap of 9.091 and a share of 1 − 9.091/10 = 0.091.  Its
episodes are 2 steps long.

Read next: `returns`, where learning begins.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirl.exact.evaluation import NoEnd, evaluate, from_start, occupancy
from minirl.exact.planning import policy_iteration


class Score(NamedTuple):
    """How good a policy is, exactly.  All are None where at gamma 1 its episodes do not end."""

    reward: float     # E[Σ γᵗ r] of an episode
    kl: float         # to the reference, in nats, discounted as the reward is; None without one
    objective: float  # J: the reward, less β times the KL
    share: float      # of the optimum; None also where there is nothing to divide by
    gap: float        # J* − J
    length: float     # steps per episode, whatever γ is; None where some do not end


ENDLESS = Score(*6 * [None])


def referee(mdp, optimum=None):
    """A function from a policy (S, A) of probabilities to its `Score`, by (scorecard.1).

    `optimum` is that of `planning`, where it is known already.  Raises ValueError where
    `planning.policy_iteration` does: the world has no optimum.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> score = referee(coin_game(gamma=0.9))(np.array([[0.5, 0.5]]))
    >>> print(round(score.objective, 3), round(score.share, 3), round(score.length, 3))
    0.909 0.091 2.0
    """
    best = objective(mdp, (optimum or policy_iteration(mdp)).policy)

    def judge(policy):
        policy = as_policy(policy)
        try:
            J = objective(mdp, policy)
        except NoEnd:
            return ENDLESS
        return Score(J, None, J, share_of_optimum(J, best), best - J, mean_length(mdp, policy))

    return judge


def share_of_optimum(J, best):
    """The share of (scorecard.1) that J is of the optimum `best`, or None if that is 0.

    Examples
    --------
    >>> share_of_optimum(-26.0, -13.0)
    0.0
    """
    return 1 - (best - J) / abs(best) if best != 0 else None


def objective(mdp, policy):
    """J of (evaluation.2): what a policy (S, A) of probabilities is worth from the start.

    States that no episode reaches may have no value at gamma 1, and do not count.  Raises
    `evaluation.NoEnd` where the policy does not end.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> round(objective(coin_game(), np.array([[0.75, 0.25]])), 6)
    3.0
    """
    return float(from_start(mdp, evaluate(mdp, as_policy(policy))))


def as_policy(policy):
    """A policy as an array (S, A), also if it came as a list of lists.

    Examples
    --------
    >>> print(as_policy([[1, 0]]))
    [[1. 0.]]
    """
    try:
        return np.asarray(policy).astype(float, casting="same_kind", copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"policy must be a table of numbers, got {policy!r}") from error


def mean_length(mdp, policy):
    """Steps per episode, whatever γ is, or None where some episodes do not end.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(round(mean_length(coin_game(), np.array([[0.75, 0.25]])), 6))
    4.0
    """
    try:
        return float(occupancy(replace(mdp, gamma=1.0), policy).sum())
    except NoEnd:
        return None
