"""Exploration: how a learner that values actions chooses among them.

*Part 3.  Previous: `prediction`.  Next: `many_learners`.*

A learner that always took the action of highest value would never learn that it is wrong about
another one.  Two rules for trying are in common use.  Both turn a row of values Q(s, ·) into a row
of probabilities.  *ε-greedy* takes a uniformly random action now and then, and otherwise one of the
m(s) actions of highest value,

    π(a|s) = (1 − ε) 1{Q(s, a) = max_b Q(s, b)} / m(s) + ε/A.                        (exploration.1)

*A tie is broken at random.*  A table that starts at zero is all ties.  If the first action won
them, a learner would walk into the same wall again and again, since nothing it sees there changes a
zero.  On the 4x4 lake without slip, with ε = 0.1, none of 20 such learners finds the goal in 20,000
steps; with random ties all 20 do.

*Boltzmann* exploration prefers the better of two bad actions,

    π(a|s) = exp(Q(s, a)/T) / Σ_b exp(Q(s, b)/T),                                    (exploration.2)

with a temperature T in units of reward: an action that is worth T less is taken e times as rarely.

A third way needs no rule at all.  A table that starts above every possible value is *optimistic*:
whatever is tried disappoints, so that a greedy learner tries everything.

An action that is not available has the value −∞.  Neither rule takes it; A in (exploration.1)
counts the available actions only.

An `Exploration` begins with `rate`: ε, the share of steps in which a learner *explores*, that is,
takes any available action, all of them equally often.  Otherwise it takes one of the best.  A rule
of another kind says with which `chances` it takes each action instead.  Boltzmann exploration is of
that kind, and its ε is 0: it looks at the values in every step.  `policy` is all this together,
which expected SARSA wants to know.  A rule sees values; it is not told the state.

One uniform number u decides a step.  Below ε its learner explores, and there u/ε is uniform again;
otherwise (u − ε)/(1 − ε) is.  What is left of the number in this way is the *luck* of the step.
Of m actions in question it takes number ⌊m · luck⌋.  So it is known for many steps in advance who
explores and with which luck: `who_explores`.  Only the others need to look at their values.

The rate or the temperature may be a schedule (`optim`), a function of the progress that *remains*,
1 at the beginning and 0 at the end: `epsilon_greedy(linear(1.0, 0.05, 0.1))` tries everything at
first and little after a tenth of the run.

Read first: `optim`, for schedules.  Read next: `q_learning`.
Source: Sutton and Barto, 2nd edition, chapters 2.2, 2.6 and 6.4; Watkins 1989 for both rules.
"""

from itertools import accumulate
from typing import Callable, NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.play.optim import at
from minirl.kernel.softmax import log_softmax

HIDDEN = -np.inf  # the value of an action that is not available


def epsilon_greedy(exploration_rate):
    """The rule (exploration.1).  ε in [0, 1], or a schedule: 0 is greedy, 1 is uniform.

    Examples
    --------
    >>> values = np.array([[1.0, 3.0, 3.0, -np.inf]])
    >>> print(epsilon_greedy(0.3).policy(values, 1.0).round(3))
    [[0.1  0.45 0.45 0.  ]]
    """
    def rate(progress):
        epsilon = at(exploration_rate, progress)
        checks.fraction("exploration_rate", epsilon)
        return epsilon

    return Exploration(rate)


def boltzmann(temperature):
    """The rule (exploration.2).  T > 0 in units of reward, or a schedule.

    Examples
    --------
    >>> print(boltzmann(0.5).policy(np.array([[1.0, 0.0]]), 1.0).round(4))
    [[0.8808 0.1192]]
    """
    def chances(values, progress):
        degree = at(temperature, progress)
        checks.positive("temperature", degree)
        return np.exp(log_softmax(values / degree))

    return Exploration(lambda progress: 0.0, chances)


class Exploration(NamedTuple):
    """A rule for trying: how often, and with which chances an action is taken otherwise."""

    rate: Callable            # rate(progress) -> ε; the progress remains, from 1 to 0
    chances: Callable = None  # chances(values (n, A), progress) -> (n, A); None: one of the best

    def policy(self, values, progress):
        """π (R, A) of all this together, from values (R, A)."""
        epsilon = self.rate(progress)
        if self.chances is None:
            best = highest(values)
            policy = (1 - epsilon) / best.sum(axis=0) * best
        else:
            policy = (1 - epsilon) * self.chances(values, progress).T
        if is_masked(values):
            possible = values.T > -np.inf
            policy += epsilon / possible.sum(axis=0) * possible
        else:
            policy += epsilon / values.shape[1]
        return policy.T.copy()


def highest(values):
    """Which actions have the highest value in each row of (R, A): (A, R) bool, a row an action.

    Examples
    --------
    >>> print(highest(np.array([[3.0, 3.0, 1.0]])).T)
    [[ True  True False]]
    """
    # A few long rows are quicker than many short ones.
    columns = values.T.copy()
    return columns == np.maximum.reduce(columns)


def is_masked(values):
    """Whether some action is not available, that is, whether the lowest value is −∞.

    Examples
    --------
    >>> is_masked(np.array([[3.0, -np.inf]])), is_masked(np.array([[3.0, 1.0]]))
    (True, False)
    """
    return values.item(values.argmin()) == -np.inf


def who_explores(exploration, numbers, progress):
    """Whose number in [0, 1) says explore, and the luck of each: bool and float like `numbers`.

    Examples
    --------
    >>> explores, luck = who_explores(epsilon_greedy(0.5), np.array([0.25, 0.75]), 1.0)
    >>> print(explores, luck)
    [ True False] [0.5 0.5]
    """
    epsilon = exploration.rate(progress)
    explores = numbers < epsilon
    luck = numbers - epsilon
    luck /= 1 - epsilon or 1
    np.minimum(luck, 1 - 2.0**-53, out=luck)  # the largest number may be rounded up to 1
    return explores, np.where(explores, numbers / (epsilon or 1), luck)


def chosen(row, explores, luck):
    """The action that one learner takes by (exploration.1), from a list of its values.

    Examples
    --------
    >>> chosen([1.0, 3.0, 3.0], True, 0.9), chosen([1.0, 3.0, 3.0], False, 0.4)
    (2, 1)
    """
    if explores:
        if HIDDEN not in row:
            return int(luck * len(row))
        able = [a for a, value in enumerate(row) if value > HIDDEN]
        return able[int(luck * len(able))]
    best = max(row)
    a, ties = row.index(best), row.count(best)
    if ties > 1:
        for _ in range(int(luck * ties)):
            a = row.index(best, a + 1)
    return a


def drawn(chances, luck):
    """The action that one learner draws from a list of chances, by (sampling.1).

    Examples
    --------
    >>> [drawn([0.25, 0.5, 0.25], luck) for luck in (0.2, 0.25, 0.75)]
    [0, 1, 2]
    """
    *running, total = accumulate(chances)
    return sum(x / total <= luck for x in running)
