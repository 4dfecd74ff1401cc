"""How does a learner that values actions choose among them?

*Part 3.  Previous: `prediction`.  Next: `many_learners`, a side road.*

A learner that plays keeps a table Q(s, a), its estimate of what each action is worth.  How such a
table is learned is the subject of `q_learning`; here it is given.  The greedy action of a state is
the one with the highest value.  A learner that always takes it may never learn that another one is
better.  So now and then it *explores*: it takes an action that may not look best.  A
rule of exploration turns a row of values Q(s, ·) into a row of probabilities π(·|s).

**In numbers.**  Three actions of a state have the values 1, 3 and 3.  A fourth one is not available
there, and its value is −∞.  *ε-greedy* exploration tosses a bent coin.  With the probability
`rate`, here 0.3, it takes any of the available actions, each of the three with 1/3.  Otherwise it
takes one of the best actions, each of the two with ½.  So the first action has the probability
0.3 · 1/3 = 0.1, and each of the best ones 0.1 + 0.7 · ½ = 0.45:

>>> values = np.array([[1., 3., 3., -np.inf]])
>>> print(epsilon_greedy(0.3).policy(values, 1.0).round(4))
[[0.1  0.45 0.45 0.  ]]

The last argument is the progress of a schedule, which comes below.  In general,

    π(a|s) = (1 − rate) greedy(a|s) + rate uniform(a|s).                             (exploration.1)

Here greedy(a|s) is one over the number of actions that share the highest value, or 0 if a is none
of them.  Likewise uniform(a|s) is one over the number of available actions, or 0 if a is not
available.  Most books write ε for the rate, hence the name.

**A tie is broken at random.**  A table that starts at zero is all ties.  If the first action won
them, a learner would walk into the same wall again and again, since nothing that it sees there
changes a zero.  On the 4x4 lake without slip, with a rate of 0.1, none of 20 such learners finds
the goal in 20,000 steps.  With random ties all 20 do, in the first 5,000.

**Boltzmann** exploration looks at all values, and prefers the better of two bad actions:

    π(a|s) = exp(Q(s, a)/τ) / Σ_b exp(Q(s, b)/τ).                                    (exploration.2)

This is the softmax (softmax.1) of the logits Q(s, a)/τ.  The *temperature* τ > 0 is measured in
units of reward.  In the ratio of two of these probabilities the sum cancels,

    π(a|s) / π(b|s) = exp((Q(s, a) − Q(s, b))/τ),

so an action that is worth τ less than another is taken e times as rarely.  At a high temperature
the rule is nearly uniform, and near τ = 0 it is nearly greedy.  Take τ = 1 in the example.  To
subtract 3 from all values changes no ratio, and leaves the weights e⁻², 1, 1 and 0.  Each of them
is divided by their sum:

>>> print(np.exp(values - 3).round(4))
[[0.1353 1.     1.     0.    ]]
>>> print(boltzmann(1.0).policy(values, 1.0).round(4))
[[0.0634 0.4683 0.4683 0.    ]]

A temperature has to fit the rewards.  If all of them are multiplied by ten, the same τ explores
much less, while ε-greedy exploration does not notice.

**Optimism** needs no rule.  A table that starts above every possible value is *optimistic*.  Let
rewards lie between 0 and 1, γ be 0.9, and every entry start at 20.  A step moves Q(s, a) towards
r + γ Q(s', b), for some action b, which is at most 1 + 0.9 · 20 = 19.  So the value of what is
tried falls below the values of what has not been tried.  Even a greedy learner tries everything in
this way, but only at the beginning.  (In general a start ≥ 0 has to lie above r/(1 − γ) for every
reward r, here 10.  From a lower one, or at γ = 1, a step need not lower anything.)

**What it costs.**  A learner that explores earns less.  On the slippery 4x4 lake, at γ = 0.99, the
best policy is worth 0.5420.  If it explores with a rate of 0.1 it is worth 0.3060, and with a rate
of 0.5 only 0.0565, because one stray step beside a hole may end the episode.  So the rate or the
temperature may be a schedule (`optim`), a function of the progress that *remains*, which is 1 at
the beginning of a run and 0 at its end.  With `epsilon_greedy(linear(1.0, 0.05, 0.1))` a learner
tries everything at first, and has a rate of 0.05 from a tenth of the run on.

**When it fails.**  Both rules try one step at a time.  Suppose that the only reward lies behind ten
moves, of which each has to be the right one of two, and that a wrong one ends the episode.  Before
the reward is found all values are equal, and both rules play uniformly.  One episode in 2¹⁰ finds
it, whatever the rate or the temperature.

**One number decides a step.**  The rest is about how the code draws an action.  An `Exploration`
has a `rate`, the share of steps in which a learner explores.  In the others it takes one of the
best actions, or, if the rule has `chances`, an action drawn with these.  Boltzmann exploration has
chances, and the rate 0, since it looks at the values in every step.  `policy` is all of this
together.  A single uniform number u between 0 and 1 decides:

    0                 rate                                      1
    |     explores     |          looks at its values           |
      luck = u / rate         luck = (u − rate) / (1 − rate)

If u is known to lie on one side, its place within that side is uniform between 0 and 1 again.  This
is the *luck* of the step.  Of three actions in question the step takes number ⌊3 · luck⌋, counted
from 0.  At a rate of 0.3 the number 0.24 explores with luck 0.24/0.3 = 0.8, and so it takes the
last of three actions.  The number 0.65 looks at the values, with luck 0.35/0.7 = 0.5:

>>> explores, luck = who_explores(epsilon_greedy(0.3), np.array([0.24, 0.65]), 1.0)
>>> print(explores, luck.round(4))
[ True False] [0.8 0.5]

So the numbers of many steps can be drawn in advance.  It is then known who explores and with which
luck, and only the others have to look at their values.

**Exercises.**  `from minirl.play.exploration import *`
1. One of four actions is the best, and the rate is 0.1.  How often is the best one taken?
       epsilon_greedy(0.1).policy(np.array([[0., 0., 0., 1.]]), 1.0).round(4)
2. The values of the second state are ten times those of the first.  Which rule treats both alike?
       epsilon_greedy(0.3).policy(np.array([[0., 1., 2.], [0., 10., 20.]]), 1.0).round(4)
       boltzmann(1.0).policy(np.array([[0., 1., 2.], [0., 10., 20.]]), 1.0).round(4)
3. On the slippery lake a rate of 0.1 costs 44 % of the value.  Does it cost as much without slip,
   where the best policy is worth 0.9510?
       from gridworld.maps import frozen_lake
       from minirl.exact.planning import policy_iteration
       from minirl.exact.scorecard import objective
       lake = frozen_lake(slippery=False).mdp(gamma=0.99)
       round(objective(lake, 0.9 * policy_iteration(lake).policy + 0.1 / 4), 4)

Read next: `q_learning`, which learns the values.  The side road `many_learners` lets hundreds of
learners explore at once.
Source: Sutton and Barto, 2nd edition, chapters 2.2, 2.6 and 6.4; Watkins 1989, "Learning from
delayed rewards"; Luce 1959, "Individual choice behavior", for the rule (exploration.2), and Bridle
1990 for the name softmax.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.play.optim import at
from minirl.kernel.softmax import log_softmax

HIDDEN = -np.inf  # the value of an action that is not available


def epsilon_greedy(exploration_rate) -> "Exploration":
    """The rule (exploration.1) with a rate in [0, 1], or a schedule: 0 is greedy, 1 is uniform.

    Examples
    --------
    >>> values = np.array([[1.0, 3.0, 3.0, -np.inf]])
    >>> print(epsilon_greedy(0.3).policy(values, 1.0).round(3))
    [[0.1  0.45 0.45 0.  ]]
    """
    def rate(progress):
        share = at(exploration_rate, progress)
        checks.fraction("exploration_rate", share)
        return share

    return Exploration(rate)


def boltzmann(temperature) -> "Exploration":
    """The rule (exploration.2).  The temperature τ > 0, in units of reward, or a schedule.

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

    rate: Callable            # rate(progress) -> rate; the progress remains, from 1 to 0
    chances: Callable = None  # chances(values (n, A), progress) -> (n, A); None: one of the best

    def policy(self, values, progress):
        """π (R, A) from values (R, A), by (exploration.1); `chances` stand for greedy(a|s)."""
        rate = self.rate(progress)
        if self.chances is None:
            best = highest(values)
            policy = (1 - rate) / best.sum(axis=0) * best
        else:
            policy = (1 - rate) * self.chances(values, progress).T
        if is_masked(values):
            possible = values.T > -np.inf
            policy += rate / possible.sum(axis=0) * possible
        else:
            policy += rate / values.shape[1]
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
    rate = exploration.rate(progress)
    explores = numbers < rate
    luck = numbers - rate
    luck /= 1 - rate or 1
    np.minimum(luck, 1 - 2.0**-53, out=luck)  # the largest number may be rounded up to 1
    return explores, np.where(explores, numbers / (rate or 1), luck)


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
