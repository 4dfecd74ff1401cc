"""Exploration: how a learner that values actions chooses among them.

A learner that always took the action of highest value would never learn that it is wrong about
another one.  Two rules for trying are in common use.  Both turn a row of values Q(s, ·) into a row
of probabilities.  *ε-greedy* takes a uniformly random action now and then,

    π(a|s) = (1 − ε) 1{a = argmax_b Q(s, b)} + ε/A.                                  (exploration.1)

The first action wins a tie.  *Boltzmann* exploration prefers the better of two bad actions,

    π(a|s) = exp(Q(s, a)/T) / Σ_b exp(Q(s, b)/T),                                    (exploration.2)

with a temperature T in units of reward: an action that is worth T less is taken e times as rarely.

A third way needs no rule at all.  A table that starts above every possible value is *optimistic*:
whatever is tried disappoints, so that a greedy learner tries everything.

An `Exploration` is two functions of the values (R, A) of R learners, one row each.  `act` draws an
action per row, from one uniform number per row; `policy` says with which probabilities, which
expected SARSA wants to know.  The rate or the temperature may be a schedule (`optim`):
`epsilon_greedy(linear(1.0, 0.05, 0.1))` tries everything at first and little after a tenth of the
run.

Read first: `optim`, for schedules.  Read next: `q_learning`.
Source: Sutton and Barto, 2nd edition, chapters 2.2, 2.6 and 6.4; Watkins 1989 for both rules.
"""

from typing import Callable, NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.play.optim import at
from minirl.kernel.sampling import draw, thresholds
from minirl.kernel.softmax import log_softmax


class Exploration(NamedTuple):
    """`act(values, numbers, progress) -> (R,) int` and `policy(values, progress) -> (R, A)`."""

    act: Callable
    policy: Callable


def epsilon_greedy(exploration_rate):
    """The rule (exploration.1).  ε in [0, 1], or a schedule: 0 is greedy, 1 is uniform.

    Examples
    --------
    >>> values = np.array([[1.0, 3.0, 3.0, 2.0]])
    >>> print(epsilon_greedy(0.4).policy(values, 1.0))
    [[0.1 0.7 0.1 0.1]]
    >>> epsilon_greedy(0.4).act(values, np.array([0.9]), 1.0)
    array([1])
    """
    def rate(progress):
        epsilon = at(exploration_rate, progress)
        checks.fraction("exploration_rate", epsilon)
        return epsilon

    def act(values, numbers, progress):
        epsilon = rate(progress)
        if epsilon == 0:
            return values.argmax(axis=1)
        # A number u that is below ε is uniform there, so that u/ε can choose the action.
        last = values.shape[1] - 1
        actions = np.minimum(numbers * ((last + 1) / epsilon), last).astype(int)
        if epsilon < 1:  # `argmax` is the slow part, and only those who do not explore need it
            greedy, = (numbers >= epsilon).nonzero()
            actions[greedy] = values.take(greedy, axis=0).argmax(axis=1)
        return actions

    def policy(values, progress):
        epsilon, A = rate(progress), values.shape[1]
        return epsilon / A + (1 - epsilon) * np.eye(A)[values.argmax(axis=1)]

    return Exploration(act, policy)


def boltzmann(temperature):
    """The rule (exploration.2).  T > 0 in units of reward, or a schedule.

    Examples
    --------
    >>> print(boltzmann(0.5).policy(np.array([[1.0, 0.0]]), 1.0).round(4))
    [[0.8808 0.1192]]
    """
    def policy(values, progress):
        degree = at(temperature, progress)
        checks.positive("temperature", degree)
        return np.exp(log_softmax(values / degree))

    return Exploration(lambda values, numbers, progress:
                       draw(thresholds(policy(values, progress)), numbers), policy)
