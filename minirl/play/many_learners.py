"""How do hundreds of learners take their steps together?

*Part 3, a side road.  Previous: `exploration`.  Next: `q_learning`.*

One learner of values says little about an algorithm: the next one had other luck.  So R learners
are trained side by side, each with a table and random numbers of its own.  `q_learning` shows a
step as it is, for one learner, with a line for each equation.  A hundred learners that take turns
at that cost a hundred times as much.  Here all of them take their step at once, and each line is
one operation on arrays that have an entry per learner.  What they learn is the same, bit for bit.
Read the next chapter, `q_learning`, before this one: it says what is done here faster.  It stands
after this one only because its code calls the functions below.

**In numbers.**  Two learners play a world with two states and two actions.  Their tables are laid
end to end, in one long table of four rows:

    learner     0      0      1      1
    state       0      1      0      1
    row         0      1      2      3
    values     3 2    0 0    5 2    0 0

Both stand in state 0, so `here`, the rows in which they look, is 0 and 2.  The rate is 0.5.  The
first learner draws the number 0.25.  It lies below the rate, so that the learner explores, with
luck 0.25/0.5 = 0.5, and takes action ⌊2 · 0.5⌋ = 1, although 2 is less than 3.  The second one
draws 0.75, looks at its values 5 and 2, and takes action 0.  `plan` is told all numbers in advance,
here of one step, and makes the function `act`.  That is told the step 0, the tables, the rows
`here`, where second tables are (None) and whether some action is not available (False):

>>> from minirl.play.exploration import epsilon_greedy
>>> tables, here = np.array([[3., 2.], [0., 0.], [5., 2.], [0., 0.]]), np.array([0, 2])
>>> act = plan(epsilon_greedy(0.5), np.array([[0.25, 0.75]]), 2, 1.0)
>>> actions = act(0, tables, here, None, False)
>>> print(actions)
[1 0]

In the flat memory of the long table the entry of a row and an action is 2 · row + action: 1 and 4.
Both actions pay 1 and end the episode.  With α = 0.5 the update (q_learning.1) moves 2 halfway to
1, and 5 as well, in one line for both learners:

>>> entry, flat = 2 * here + actions, tables.reshape(-1)
>>> flat[entry] += 0.5 * (1 - flat[entry])
>>> print(tables.tolist())
[[3.0, 1.5], [0.0, 0.0], [3.0, 2.0], [0.0, 0.0]]

Each learner has rows of its own, so that no entry is written twice in a step.

**What makes it fast.**  An operation on arrays costs about a microsecond before it has done
anything.  So a step should have few of them, and quick ones.  Three things are arranged for that.

*What does not depend on values is decided before the first step.*  A number says who explores,
what is tried and with which luck (`exploration.who_explores`), and another one what the world does
(`environment`), whatever the learner has learned.

*Only the learners that do not explore look up their values.*

*A row per action.*  NumPy finds the maximum of a few long rows faster than that of many short ones,
so values (R, A) are turned into (A, R) before they are compared.

**What it costs.**  A few learners do not fill the arrays.  For fewer than some thirty (or four,
where actions are drawn) the loop over lists in `q_learning` takes less time, and in a world with a
law a call takes the faster one.  There is a price for the reader too: a step no longer looks like
its equation.

**Two tables.**  A learner of double Q-learning has two.  All rows are laid end to end: the first
tables of all learners, and then their second ones.  `here` are the rows of the states in the table
that each learner updates, and `here + across` those in its other table.  With one table `across` is
None.

**Exercises.**  `from minirl.play.many_learners import *`
1. Of three actions the first and the last are marked.  Which one does a luck of 0.6 take?
       one_of(np.array([[True], [False], [True]]), np.array([0.6])).tolist()
2. A number serves as a coin and as luck.  What is left of 0.4 and of 0.9 when the coin is known?
       split(np.array([0.4, 0.9]))[1].round(4)
3. Does learner 7 learn the same alone as among fifty?
       from minirl.kernel.mdp import coin_game
       from minirl.play.q_learning import learners, sarsa
       coin = coin_game(gamma=0.9)
       together, alone = (next(sarsa(coin, learners(coin, rng=rng))) for rng in (range(50), 7))
       bool((together.Q[7] == alone.Q[0]).all())

Read next: `q_learning`, where a step looks like its equations.
"""

from functools import cache

import numpy as np

from minirl.kernel.sampling import draw, thresholds
from minirl.play.exploration import highest, who_explores

LOWEST = np.finfo(float).min


def move_together(world, record, exploration, ahead, tables, updates, step_sizes, numbers, horizon,
                  progress):
    """Steps of all runs of a `q_learning.ValueLearning`, which change `tables` and `updates`.

    Parameters
    ----------
    world : what `environment.playable` returns
    record : ValueLearning
    exploration : Exploration
    ahead : callable
        `ahead(exploration, numbers, A, progress) -> look_ahead(t, tables, there, across, masked)`,
        one of the functions below.  It is told the rows `there` (R,) of the next states, and
        returns their values (R,) and the actions (R,) that are planned there, or None.
    tables, updates : (M, R, S, A)
    step_sizes : float array
        α of an entry, by the number of updates that it has had before.
    numbers : (R, T, 4) float
        What decides T steps: the action, the outcome, the next first state, and what `ahead` needs.
    horizon : int
    progress : float

    Returns
    -------
    states (R,) int, planned (R,) int or None, paid (T, R) float, ended (T, R) bool

    Examples
    --------
    A head and a tail, with α = 0.5:

    >>> from types import SimpleNamespace
    >>> from minirl.kernel.environment import playable
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.exploration import epsilon_greedy
    >>> record = SimpleNamespace(states=np.array([0]), age=np.array([0]), planned=None)
    >>> Q, N = np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1, 2), int)
    >>> numbers = np.array([[[0.0, 0, 0, 0], [0.9, 0, 0, 0]]])
    >>> _, _, paid, ended = move_together(playable(coin_game()), record, epsilon_greedy(1.0),
    ...                                   value_of_best, Q, N, np.full(2, 0.5), numbers, 9, 1.0)
    >>> print(Q, N, paid.T, ended.T)
    [[[[0.5 0. ]]]] [[[[1 1]]]] [[1. 0.]] [[False  True]]
    """
    (R, T, _), (M, _, S, A) = numbers.shape, tables.shape
    choices, outcomes, restarts, coins = numbers.transpose(2, 1, 0)
    # Where a number is needed at every step, those of one step are laid side by side.
    act = plan(exploration, choices.copy(), A, progress)
    move = world.moves(outcomes.copy())
    look_ahead = ahead(exploration, coins, A, progress)
    # The same memory, by rows and by entries.
    rows, entries, counts = tables.reshape(-1, A), tables.reshape(-1), updates.reshape(-1)
    first = mine = np.arange(R) * S  # where the table of each learner begins
    across, available, begin = None, None, first * A
    states, planned = record.states, record.planned
    paid, ended = np.empty((T, R)), np.empty((T, R), bool)
    last = horizon - 1 - record.age  # the step t that is the last one an episode may take
    if M > 1:  # a coin decides which table is updated
        sides = R * S * split(coins.copy())[0]
    for t in range(T):
        if world.available is not available:  # an environment tells it by and by
            available, masked = hide(tables, world.available)
        if M > 1:
            # The second table of a learner lies R · S rows below its first one.
            mine, across = first + sides[t], R * S - 2 * sides[t]
        actions = act(t, rows, mine + states, across, masked)
        if planned is not None:
            actions = np.where(planned < 0, actions, planned)
        entry = states * A
        entry += actions
        states, rewards, discounts, terminated, truncated = move(t, entry)
        if world.available is not available:
            available, masked = hide(tables, world.available)
        target, planned = look_ahead(t, rows, mine + states, across, masked)
        entry += mine * A if M > 1 else begin
        before, number = entries.take(entry), counts.take(entry)
        if masked:
            check_available(before)
        # (q_learning.1), in the memory of V(s'): r + γ V(s') − Q(s, a), times α, and Q(s, a) added.
        target *= discounts
        target += rewards
        target -= before
        target *= step_sizes.take(number)
        target += before
        entries[entry] = target
        number += 1
        counts[entry] = number

        paid[t] = rewards
        late = t >= last if truncated is None else (t >= last) | truncated
        over, = np.logical_or(terminated, late, out=ended[t]).nonzero()
        if over.size:
            states[over] = world.restart(over, restarts[t])
            last[over] = t + horizon
            if planned is not None:
                planned[over] = -1
    return states, planned, paid, ended


def plan(exploration, numbers, A, progress):
    """The function that acts in T steps of R learners, of which uniform numbers (T, R) are known.

    It is `act(t, tables, here, across, masked) -> (R,) int`, and `masked` says whether some action
    is not available somewhere.

    Examples
    --------
    >>> from minirl.play.exploration import epsilon_greedy
    >>> values = np.array([[1.0, 3.0, 3.0, -np.inf]])
    >>> act = plan(epsilon_greedy(0.3), np.array([[0.0], [0.29], [0.3], [0.7]]), 4, 1.0)
    >>> print([act(t, values, np.array([0]), None, True).item() for t in range(4)])
    [0, 2, 1, 2]
    """
    explores, luck = who_explores(exploration, numbers, progress)
    tried = (luck * A).astype(int)
    others = [row.nonzero()[0] for row in ~explores]

    def act(t, tables, here, across, masked):
        actions, who = tried[t], others[t]
        if masked:
            trying, = explores[t].nonzero()
            possible = tables.take(here.take(trying), axis=0).T > -np.inf
            actions[trying] = one_of(possible, luck[t].take(trying))
        if who.size:
            rows = here.take(who)
            values = tables.take(rows, axis=0)
            if across is not None:
                values = (values + tables.take(rows + across.take(who), axis=0)) / 2
            if exploration.chances is None:
                actions[who] = one_of(highest(values), luck[t].take(who))
            else:
                chances = exploration.chances(values, progress)
                actions[who] = draw(thresholds(chances), luck[t].take(who))
        return actions

    return act


def value_of_taken(exploration, numbers, A, progress):
    """(q_learning.2), for `move_together`.

    Examples
    --------
    >>> from minirl.play.exploration import epsilon_greedy
    >>> ahead = value_of_taken(epsilon_greedy(0.0), np.zeros((1, 1)), 2, 1.0)
    >>> ahead(0, np.array([[1.0, 3.0]]), np.array([0]), None, False)
    (array([3.]), array([1]))
    """
    act = plan(exploration, numbers.copy(), A, progress)

    def taken(t, tables, there, across, masked):
        planned = act(t, tables, there, None, masked)
        return tables[there, planned], planned

    return taken


def expected_value(exploration, numbers, A, progress):
    """(q_learning.3), for `move_together`.

    Examples
    --------
    >>> from minirl.play.exploration import epsilon_greedy
    >>> ahead = expected_value(epsilon_greedy(0.5), None, 2, 1.0)
    >>> ahead(0, np.array([[1.0, 3.0]]), np.array([0]), None, False)
    (array([2.5]), None)
    """
    def expected(t, tables, there, across, masked):
        values = tables.take(there, axis=0)
        chances = exploration.policy(values, progress).T
        # What is not available has the probability 0, and 0·∞ is meant to be 0.  The sum is taken
        # action by action, in the order of a loop.
        return sum(chances * np.maximum(values.T, LOWEST)), None

    return expected


def value_of_best(exploration, numbers, A, progress):
    """(q_learning.4), for `move_together`.

    Examples
    --------
    >>> ahead = value_of_best(None, None, 2, 1.0)
    >>> ahead(0, np.array([[1.0, 3.0]]), np.array([0]), None, False)
    (array([3.]), None)
    """
    return lambda t, tables, there, across, masked: (
        np.maximum.reduce(tables.take(there, axis=0).T.copy()), None)


def value_by_the_other(exploration, numbers, A, progress):
    """(q_learning.5), for `move_together`.

    Examples
    --------
    >>> ahead = value_by_the_other(None, np.zeros((1, 1)), 2, 1.0)
    >>> ahead(0, np.array([[1.0, 3.0], [7.0, 5.0]]), np.array([0]), 1, False)
    (array([5.]), None)
    """
    _, luck = split(numbers.copy())

    def of_the_other(t, tables, there, across, masked):
        best = one_of(highest(tables.take(there, axis=0)), luck[t])
        return tables[there + across, best], None

    return of_the_other


def one_of(marked, luck):
    """One of the actions marked in each column of (A, R) bool, all as likely: (R,) int.

    Each column has a mark, and a number in [0, 1) that decides.

    Examples
    --------
    >>> marked = np.array([[True, False], [False, True], [True, False]])
    >>> print(one_of(marked, np.array([0.4, 0.4])), one_of(marked, np.array([0.6, 0.6])))
    [0 1] [2 1]
    """
    # A product of matrices is quick; `cumsum` and `argmax` of a few long rows are not.
    triangle, order = _for_counting(len(marked))
    if np.count_nonzero(marked) > luck.size:
        # Marks are counted downwards.  The action sought is the number of rows above its mark, in
        # which no more marks have been met than luck times their number.
        running = triangle @ marked
        return np.add.reduce(running <= luck * running[-1], dtype=int)
    return (order @ marked).astype(int)  # with one mark in each column, the number of its row


@cache
def _for_counting(A):
    return np.tri(A), np.arange(A, dtype=float)


def hide(tables, available):
    """Write −∞ into all tables where an action is not available: `available`, and if any is not.

    Examples
    --------
    >>> hide(np.zeros((1, 1, 1, 2)), np.array([[True, True]]))
    (array([[ True,  True]]), False)
    """
    masked = not available.all()
    if masked:
        tables[:, :, ~available] = -np.inf
    return available, masked


def check_available(values):
    """Raise ValueError where an action was taken whose value is −∞.

    Examples
    --------
    >>> check_available(np.zeros(2))
    """
    if (values == -np.inf).any():
        raise ValueError("exploration must take available actions, whose value is not −∞")


def split(coins):
    """A number in [0, 1) as a coin and as luck: its side (bool), and what is left of it, in [0, 1).

    Examples
    --------
    >>> print(*split(np.array([0.25, 0.75])))
    [False  True] [0.5 0.5]
    """
    sides = coins >= 0.5
    return sides, 2 * coins - sides
