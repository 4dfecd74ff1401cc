"""Many learners at once: the steps of `q_learning`, an array operation for hundreds of runs.

*Part 3, a side road.  Previous: `exploration`.  Next: `q_learning`.*

`q_learning` shows a step as it is: one learner, one line for each equation.  A hundred learners
that take turns at that cost a hundred times as much.  Here all of them take their step together,
and each line is one operation on arrays with an entry per learner.  What they learn is the same,
bit for bit; from some thirty learners on they learn it sooner.

An operation on arrays costs about a microsecond before it has done anything, so there should be few
of them in a step.  Three things are arranged for that.

*What does not depend on values is decided before the first step.*  Who explores, what is tried and
with which luck (`exploration.who_explores`), and what the world does (`environment`): a number
says it whatever the learner has learned.

*Only those who look at their values look them up*: the learners that do not explore.

*A row an action.*  NumPy finds the maximum of a few long rows faster than that of many short ones,
so values (R, A) are turned into (A, R) before they are compared.

All tables are laid end to end, (M·R·S, A).  `here` (R,) are the rows of the states in the table
that each learner updates, and `here + across` those in its other table; `across` is None if there
is none.

Read first: `exploration`, `environment`, and `q_learning`, which this is another form of.
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
    step_sizes : (n,) float
        α of an entry that has been updated n times before.
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
    >>> Q, n = np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1, 2), int)
    >>> numbers = np.array([[[0.0, 0, 0, 0], [0.9, 0, 0, 0]]])
    >>> _, _, paid, ended = move_together(playable(coin_game()), record, epsilon_greedy(1.0),
    ...                                   value_of_best, Q, n, np.full(2, 0.5), numbers, 9, 1.0)
    >>> print(Q, n, paid.T, ended.T)
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
        before, n = entries.take(entry), counts.take(entry)
        if masked:
            check_available(before)
        # (q_learning.1), in the memory of v: r + γ v − Q(s, a), times α, added to Q(s, a).
        target *= discounts
        target += rewards
        target -= before
        target *= step_sizes.take(n)
        target += before
        entries[entry] = target
        n += 1
        counts[entry] = n

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
        # which no more than luck · m marks have been met.
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
