"""How good is this policy, measured by the best one?

*Part 2.  Previous: `return_law`, a side road.  Next: `optim`.*

A learner hands over a policy.  What does it earn, and how much better could it be?  Both questions
have exact answers: `evaluation` gives J of any policy, and `planning` the best policy and its J*.
A *referee* computes J* once.  After that it turns any policy into a `Score`.

**Two numbers.**  J alone says little.  Is 0.5 much on the slippery lake?  Only J* can tell.  The
*gap* is what is missing, in units of reward.  The *share of the optimum* is what has been reached,
and has no unit:

    gap = J* − J,   share = 1 − (J* − J)/|J*|.                                      (scorecard.1)

The gap is divided by the size of J*, so that the share is 1 for the best policy and less for every
worse one.  There are five cases:

    J* > 0             1 − (J* − J)/J* = J/J*       the share is what one would expect
    J* < 0             1 − (J* − J)/(−J*)           0 where J = 2 J*, twice the loss
    J* = 0             division by zero             no share (None), but a gap
    no end at γ = 1    J has no certain answer      no share and no gap
    J* is infinite     nothing to measure by        no referee, but a ValueError

The coin game at γ = 1 is of the last kind.

**In numbers.**  The coin game pays 1 for a head and goes on, and ends with a tail.  With γ = 0.9
the best policy shows head for ever, worth 1 + 0.9 + 0.81 + … = 1/(1 − 0.9) = 10.  A fair coin has
V = ½ (1 + 0.9 V): half of the time it earns 1 and plays on.  So V = ½/(1 − 0.45) = 0.9091, the gap
is 9.0909 and the share 0.9091/10 = 0.0909.  Its games take two throws on average.

>>> from minirl.kernel.mdp import coin_game
>>> judge = referee(coin_game(gamma=0.9))
>>> score = judge(np.array([[0.5, 0.5]]))
>>> print(round(score.objective, 4), round(score.gap, 4), round(score.share, 4))
0.9091 9.0909 0.0909
>>> print(round(score.length, 4))
2.0

On the cliff every step costs 1 and the best way takes 13 steps, so J* = −13 at γ = 1.  A walk of 26
steps has J = −26 and the share 1 − 13/13 = 0, and a longer one has a share below 0.  A walk that
never arrives has a `Score` of nothing but None.  A share is negative where the gap is larger than
|J*|.

**What is in a `Score`.**  `reward` is the mean discounted reward of an episode, and `objective` is
J.  Here the two are the same.  They will differ when a policy pays for leaving a reference, and
`kl` will say how far it has gone; until then `kl` is None.  Such a policy is measured by another
share, from the reference on, which follows in `regularised`.  `length` counts the steps of an
episode, whatever γ is.

**What a share does not say.**  It has no unit, but it depends on the reward that is called 0.  Pay
ten more for every step of an endless world.  Then all policies gain the same, the best one stays
the best, and every gap stays what it was.  If J* was positive, |J*| grows, and all shares come
nearer to 1.  So shares may be compared within a world, and not across worlds.

The optimum costs one policy iteration, and each score two linear solves.

**Exercises.**  `from minirl.exact.scorecard import *; from gridworld.maps import *`
1. In the coin game at γ = 0.9, a coin shows head nine times out of ten.  What is its share?
       from minirl.kernel.mdp import coin_game
       round(referee(coin_game(gamma=0.9))(np.array([[0.9, 0.1]])).share, 4)
2. On the slippery lake a walker follows the best policy in half of the steps and moves at random in
   the others.  Half of the optimum?
       lake = frozen_lake().mdp(gamma=0.99)
       half = (policy_iteration(lake).policy + lake.uniform) / 2
       round(referee(lake)(half).share, 4)
3. On a map of 5x5 cells no episode ends.  Two teleports pay 10 and 5 for any move and lead away; a
   step off the map costs 1.  A random walk has the share 0.0266.  Now every step is paid ten more.
   What are gap and share before and after?
       world = teleports().mdp(gamma=0.9)
       richer = replace(world, reward=world.reward + 10)
       scores = referee(world)(world.uniform), referee(richer)(world.uniform)
       [(round(score.gap, 4), round(score.share, 4)) for score in scores]

Read next: `optim`, where learning begins: how a gradient becomes a step.
Source: Sutton and Barto, 2nd edition, example 6.6 for the cliff, and example 3.5 for the teleports.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.exact.evaluation import NoEnd, evaluate, from_start, occupancy
from minirl.exact.planning import policy_iteration


@storable
class Score(NamedTuple):
    """How good a policy is, exactly.  All are None where at gamma 1 its episodes do not end."""

    reward: float     # E[Σ γᵗ r] of an episode
    kl: float         # to the reference, in nats, discounted as the reward is; None without one
    objective: float  # J: the reward, less β times the KL
    share: float      # of the optimum; None also where there is nothing to divide by
    gap: float        # J* − J
    length: float     # steps per episode, whatever γ is; None where some do not end


ENDLESS = Score(*6 * [None])


def referee(mdp, optimum=None) -> Callable[..., Score]:
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
