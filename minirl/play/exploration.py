"""Exploration: how a learner that values actions chooses among them.

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

An action that is not available has the value −∞.  Neither rule takes it; A in (exploration.1) is
the number of the others.

An `Exploration` is two functions.  `plan` looks at the uniform numbers (T, R) that decide T steps
of R learners, and returns the function that acts: given t and the values (R, A), a row each, it
takes an action per row.  A number decides whether its learner explores, what it tries, and which of
equal actions it takes.  `policy` says with which probabilities, which expected SARSA wants to know.
The rate or the temperature may be a schedule (`optim`): `epsilon_greedy(linear(1.0, 0.05, 0.1))`
tries everything at first and little after a tenth of the run.

Read first: `optim`, for schedules.  Read next: `q_learning`.
Source: Sutton and Barto, 2nd edition, chapters 2.2, 2.6 and 6.4; Watkins 1989 for both rules.
"""

from functools import cache
from typing import Callable, NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.play.optim import at
from minirl.kernel.sampling import draw, thresholds
from minirl.kernel.softmax import log_softmax


class Exploration(NamedTuple):
    """`plan(numbers, A, progress) -> act(t, values)`, (R,) int, and `policy(values, progress)`."""

    plan: Callable
    policy: Callable


def epsilon_greedy(exploration_rate):
    """The rule (exploration.1).  ε in [0, 1], or a schedule: 0 is greedy, 1 is uniform.

    Examples
    --------
    >>> values = np.array([[1.0, 3.0, 3.0, -np.inf]])
    >>> print(epsilon_greedy(0.3).policy(values, 1.0).round(3))
    [[0.1  0.45 0.45 0.  ]]
    >>> numbers = np.array([[0.0], [0.29], [0.3], [0.7]])
    >>> act = epsilon_greedy(0.3).plan(numbers, 4, 1.0)
    >>> print([act(t, values).item() for t in range(4)])
    [0, 2, 1, 2]
    """
    def rate(progress):
        epsilon = at(exploration_rate, progress)
        checks.fraction("exploration_rate", epsilon)
        return epsilon

    def plan(numbers, A, progress):
        epsilon = rate(progress)
        explores = numbers < epsilon
        # A number u below ε is uniform there, so that u/ε may choose the action, rounded down,
        # because A is no action; and one above it is uniform in what is left, and may decide a tie.
        actions = (numbers * np.nextafter(A / (epsilon or 1), 0)).astype(int)
        luck = np.minimum((numbers - epsilon) / (1 - epsilon or 1), 1 - 2.0**-53)
        greedy = [row.nonzero()[0] for row in ~explores]

        def act(t, values):
            taken, who = actions[t], greedy[t]
            if is_masked(values):
                tried, = explores[t].nonzero()
                taken[tried] = one_of(values[tried].T > -np.inf, numbers[t, tried] / epsilon)
            if who.size:
                taken[who] = one_of(highest(values.take(who, axis=0)), luck[t].take(who))
            return taken

        return act

    def policy(values, progress):
        epsilon, best = rate(progress), highest(values)
        chances = (1 - epsilon) / best.sum(axis=0) * best
        if is_masked(values):
            possible = values.T > -np.inf
            chances += epsilon / possible.sum(axis=0) * possible
        else:
            chances += epsilon / values.shape[1]
        return chances.T.copy()

    return Exploration(plan, policy)


def is_masked(values):
    """Whether some action is not available, that is, whether the lowest value is −∞.

    Examples
    --------
    >>> is_masked(np.array([[3.0, -np.inf]])), is_masked(np.array([[3.0, 1.0]]))
    (True, False)
    """
    return values.item(values.argmin()) == -np.inf


def highest(values):
    """Which actions have the highest value in each row of (R, A): (A, R) bool, a row an action.

    Examples
    --------
    >>> print(highest(np.array([[3.0, 3.0, 1.0]])).T)
    [[ True  True False]]
    """
    # A few long rows are quicker than many short ones.
    columns = values.T.copy()
    return columns == columns.max(axis=0)


def one_of(marked, numbers):
    """One of the actions marked in each column of (A, R) bool, all as likely: (R,) int.

    Each column has a mark, and a number in [0, 1) that decides.

    Examples
    --------
    >>> marked = np.array([[True, False], [False, True], [True, False]])
    >>> print(one_of(marked, np.array([0.4, 0.4])), one_of(marked, np.array([0.6, 0.6])))
    [0 1] [2 1]
    """
    if np.count_nonzero(marked) == numbers.size:  # nothing to decide
        return marked.argmax(axis=0)
    running = _triangle(len(marked)) @ marked  # a product of matrices is quick, `cumsum` is not
    return (running <= numbers * running[-1]).sum(axis=0)


@cache
def _triangle(A):
    return np.tri(A)


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

    def plan(numbers, A, progress):
        return lambda t, values: draw(thresholds(policy(values, progress)), numbers[t])

    return Exploration(plan, policy)
