"""How does a learner find out what actions are worth, by playing only?

*Part 3.  Previous: `many_learners`, a side road.  Next: `reinforce`.*

Planning needs the tables of the world.  A learner that only plays sees single steps: in the state s
the action a paid r and led to s'.  It moves one entry of its table towards what that suggests,

    Q(s, a) ← Q(s, a) + α (r + γ V(s') − Q(s, a)),                                    (q_learning.1)

by the share α of the difference.  V(s') is the value that it gives to the next state.  There is no
γ V(s') where the step terminated the episode; a truncated episode keeps it.  *Q-learning* supposes
that the best action will be taken in s', whatever the learner does there: V(s') = max_b Q(s', b).

**In numbers.**  A corridor has two cells, 0 and 1.  The step to the right out of cell 1 pays 1 and
ends the episode.  Every other step pays 0, and to the left of cell 0 is a wall.  Let γ = ½, α = ½,
and all values be 0.  One episode begins in cell 1 and the next in cell 0, and both go right:

    (1, right) pays 1 and ends          Q(1, right) = 0 + ½ (1 − 0)          = ½
    (0, right) pays 0, leads to 1       Q(0, right) = 0 + ½ (0 + ½ · ½ − 0)  = ⅛
    (1, right) pays 1 and ends          Q(1, right) = ½ + ½ (1 − ½)          = ¾

>>> Q, right = np.zeros((2, 2)), 1
>>> for s, r, after, terminated in (1, 1, 1, True), (0, 0, 1, False), (1, 1, 1, True):
...     V = 0 if terminated else max(Q[after])
...     Q[s, right] += 0.5 * (r + 0.5 * V - Q[s, right])
...     print(s, Q[s, right])
1 0.5
0 0.125
1 0.75

In the second line V(1) is the larger of Q(1, left) = 0 and Q(1, right) = ½.  So the reward travels
backwards, one step per visit.  The best values are 1 and ½ for right, and ¼ for left, which wastes
a step or two.  `q_learning` has them after one iteration, which is 1,000 steps.  It begins with the
record that `learners` makes.  The first axis of `Q` counts learners; here there is one.  The law
lists, for each cell and action, (chance, next cell, reward, whether the episode ends):

>>> law = [[[(1, 0, 0, False)], [(1, 1, 0, False)]], [[(1, 0, 0, False)], [(1, 1, 1, True)]]]
>>> world = TabularMDP.from_gymnasium(law, gamma=0.5)
>>> print(next(q_learning(world, learners(world, rng=0), learning_rate=0.5, decay=0.0)).Q.round(4))
[[[0.25 0.5 ]
  [0.25 1.  ]]]

**Why it works.**  Hold the table fixed.  The mean over what the world may answer to s and a is

    E[r + γ V(s') − Q(s, a)] = r(s, a) + γ Σ_s' P(s'|s, a) max_b Q(s', b) − Q(s, a).  (q_learning.7)

Bellman's equation (planning.1) says that this is 0 for the best values.  So an entry moves, on
average, towards the right side of that equation, of which each step is a sample: the tables r(s, a)
and P are not needed.  All entries are at rest, on average, exactly where the equation holds.  At
γ < 1 only Q* solves it: a sweep brings two tables nearer by the factor γ, but two solutions would
stay apart.  (At γ = 1 it takes more, as on the cliff, where walking for ever costs without bound.)
That a learner arrives at this point of rest is another theorem, of Watkins and Dayan.

**Four learners** differ in V(s').  π is (exploration.1) in the learner's own table; Q₁ and Q₂ come
below.  The numbers are J on the cliff at γ = 1, greedy and exploring with a rate of 0.1:

                    V(s')                                       greedy  exploring
    SARSA           Q(s', a'), a' being the next action         −15     −20.7         (q_learning.2)
    expected SARSA  Σ_b π(b|s') Q(s', b)                        −15     −20.7         (q_learning.3)
    Q-learning      max_b Q(s', b)                              −13     −50.8         (q_learning.4)
    double          Q₂(s', argmax_b Q₁(s', b))                  −17     −24.5         (q_learning.5)

*On-policy* means: it learns the value of the policy that plays.  *SARSA* does.  It draws a' from
π(·|s') before the update and takes it after.  With the mean under π in the place of the maximum,
(q_learning.7) is 0 where Q is the value of π.  *Expected SARSA* rests there too, without the noise
of a'.  Q-learning is *off-policy*: it learns about the greedy policy and plays another one.

    · · · · · · · · · · · ·        · · · · · · · · · · · ·
    · · · · · · · · · · · ·        → → → → → → → → → → → ↓
    → → → → → → → → → → → ↓        ↑ · · · · · · · · · · ↓
    S C C C C C C C C C C G        S C C C C C C C C C C G
    Q-learning, 13 steps           SARSA, 15 steps

Q-learning finds the shortest way, and falls off the edge while it explores.  SARSA allows for its
own stray steps.  The first three rows are exact, for tables at rest; if actions tie for the best, π
takes them equally often.  The last row is the mean of 20 learners, see below.

**The maximum has a flaw.**  Two actions pay +1 or −1, each with ½, so both are worth 0.  Try each
once.  The larger result is −1 in one case of four and 1 in three: ½ on average.  *Double
Q-learning* keeps two tables with separate luck.  Q₁ says which action is best and Q₂ what that is
worth, here 0 on average.  A coin decides whether Q₁ is updated so, or Q₂ the other way round, and
the learner acts on their mean.  Its values are rather too low: on the cliff Q₂ may know of a fall
of which Q₁ does not.  After 20,000 steps with α = ½ all of 20 learners still go round in 17 steps.

**The step size.**  In a deterministic world a constant α will do, except for SARSA, whose a' is
random.  In a random one every entry has to be tried again and again, while α shrinks.  The sum of
all its α must be infinite, to cover any distance, and that of α² finite, for the noise to fade.
With N[s, a] the number of updates of the entry, the present one included,

    α = learning_rate / N[s, a]^decay,   which does both for ½ < decay ≤ 1.           (q_learning.6)

**Noise and bias.**  Learners with separate luck have tables Q* + bias + noise, and the noise is 0
on average.  The mean of k tables has the same bias, and 1/√k of the noise.  Let 960 learners take
30,000 steps on the slippery 4x4 lake, at γ = 0.99, from values of 1.  The largest error of a table
is 0.196 on average.  For their 60 means of 16 tables it is 0.187, and for three means of 256 too:
that is bias.  It is what is left of the first values: on average all entries are too high, and too
low from values of 0.  All of the 60 means act optimally, but only 18 of 60 from values of 0.

**Without a law.**  Environments of Gymnasium are played as well.  After 100,000 episodes of
blackjack Q-learning says that the best policy is worth −0.0488; by the law it is −0.0466.

**Exercises.**  `from minirl.play.q_learning import *`
1. The largest of ten results, each of them +1 or −1 with ½: what is its mean?
       np.random.default_rng(0).choice([-1, 1], size=(10_000, 10)).max(axis=1).mean().item()
2. Q-learning and expected SARSA toss a fair coin in the coin game, at γ = ½.  What is head worth?
       from minirl.kernel.mdp import coin_game
       coin, fair = coin_game(gamma=0.5), epsilon_greedy(1.0)
       off = next(q_learning(coin, learners(coin, rng=0), exploration=fair))
       on = next(expected_sarsa(coin, learners(coin, rng=0), exploration=fair))
       [off.Q[0, 0, 0].round(2).item(), on.Q[0, 0, 0].round(2).item()]
3. At γ = 0.9 head is worth 10, and decay = 1 converges.  What is the value after 100,000 steps?
       from minirl.kernel.mdp import coin_game
       coin = coin_game(gamma=0.9)
       trainer = q_learning(coin, learners(coin, rng=0), decay=1.0, steps_per_iteration=100_000)
       next(trainer).Q.round(2)

Read next: `reinforce`, which learns the policy itself.
Source: Watkins and Dayan 1992, "Q-learning"; van Seijen et al. 2009 on expected SARSA; van Hasselt
2010, "Double Q-learning"; Sutton and Barto, 2nd edition, example 5.1 and §§6.4 to 6.7; Even-Dar and
Mansour 2003, "Learning rates for Q-learning", on (q_learning.6).
"""

from bisect import bisect
from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.kernel import checks
from minirl.exact.evaluation import reachable
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.environment import playable
from minirl.kernel.playing import first_states
from minirl.kernel.sampling import generators
from minirl.play.exploration import HIDDEN, chosen, drawn, epsilon_greedy, who_explores
from minirl.play.many_learners import (check_available, expected_value, hide, move_together, split,
                                       value_by_the_other, value_of_best, value_of_taken)
from minirl.play.optim import remaining

TAKE_TURNS = 32         # learners that are faster one after the other than together
TAKE_TURNS_DRAWING = 3  # the same where actions are drawn, like Boltzmann's


def q_learning(world, record, *, learning_rate=1.0, decay=0.6, exploration=epsilon_greedy(0.5),
               horizon=200, steps_per_iteration=1000, iterations=400,
               truth=None) -> Iterator["ValueLearning"]:
    """Q-learning, (q_learning.4), for ever: yields a `ValueLearning` record per iteration.

    Parameters
    ----------
    world : TabularMDP or environment.Environment
        Used to play only.
    record : ValueLearning
        From `learners`, or any record yielded before: training continues from it bit for bit.  (An
        `Environment` goes on from its last one only.)
    learning_rate, decay : float
        Step size, (q_learning.6).
    exploration : Exploration
        `exploration.epsilon_greedy` or `exploration.boltzmann`.
    horizon : int ≥ 1
        An episode is truncated after this many steps.
    steps_per_iteration : int ≥ 1
    iterations : int ≥ 1
        Where schedules of `exploration` end; learning may go on after it.
    truth : (S, A) float, optional
        Q*, as `planning` knows it, to report the distance from.  Of an environment only the finite
        entries count.

    Yields
    ------
    ValueLearning
        `finished` lists the episodes that ended in the iteration.  Its `metrics` hold for each run
        `rollout/reward`, what it earned in the iteration, `rollout/episodes`, how many of its
        episodes ended, and, given the truth, `error/max`, ‖Q − Q*‖∞ over the states that an
        episode can be in.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game(gamma=0.5)
    >>> record = next(q_learning(coin, learners(coin, rng=0), learning_rate=0.5, decay=0.0,
    ...                          truth=np.array([[2.0, 0.0]])))
    >>> print(record.Q.round(4), record.metrics["error/max"].round(4))
    [[[2. 0.]]] [0.]
    """
    yield from _learn(world, record, lambda progress: max, value_of_best, 1, learning_rate, decay,
                      exploration, horizon, steps_per_iteration, iterations, truth)


def _learn(world, record, row_value, ahead, M, learning_rate, decay, exploration, horizon,
           steps_per_iteration, iterations, truth):
    """The loop of all four learners: an iteration of steps (q_learning.1), and a record of it.

    They differ in V(s'): `row_value` is for learners that take turns, `ahead` for those that move
    together, and M is the number of tables.
    """
    law, world = world, playable(world)
    checks.step_size(learning_rate, decay)
    horizon, T = (checks.whole(name, value) for name, value in (
        ("horizon", horizon), ("steps_per_iteration", steps_per_iteration)))
    _, R, S, A = record.tables.shape
    checks.shape("the record's tables", record.tables, (M, R, *world.shape))
    if truth is not None:
        checks.shape("truth", truth, (S, A))
        judged = (reachable(law, law.uniform)[:, None] & law.available
                  if isinstance(law, TabularMDP) else np.isfinite(truth))
    world.resume(record.states)
    rng = generators(record.rng)
    drawn = np.empty((R, T, 4))  # used again by every iteration
    # Turning a run's tables into lists, and back, takes about as long as a step for each entry.
    most = TAKE_TURNS if exploration.chances is None else TAKE_TURNS_DRAWING
    few = R * (1 + S * A / T) <= most and isinstance(law, TabularMDP)
    step_sizes = []
    while True:
        progress = remaining(record.iteration, iterations)
        for bits, numbers in zip(rng, drawn):
            bits.random(out=numbers)
        tables, updates = record.tables.copy(), record.updates.copy()
        needed = updates.max() + T
        if len(step_sizes) < needed:  # α of an entry after 0, 1, 2, … updates, (q_learning.6)
            more = learning_rate / np.arange(len(step_sizes) + 1, needed + T + 1)**decay
            step_sizes = step_sizes + more.tolist() if few else np.append(step_sizes, more)
        move, value = (_take_turns, row_value) if few else (move_together, ahead)
        states, planned, paid, ended = move(world, record, exploration, value, tables, updates,
                                            step_sizes, drawn, horizon, progress)
        finished, age, earned, episodes, reward, number = _episodes(paid, ended, record)
        metrics = {"rollout/reward": reward, "rollout/episodes": number}
        if truth is not None:
            errors = np.abs(tables.mean(axis=0)[:, judged] - truth[judged])
            metrics["error/max"] = errors.max(axis=1)
        record = ValueLearning(record.iteration + 1, record.steps + T, tables, updates,
                               states, planned, age, earned, episodes,
                               tuple(bits.bit_generator.state for bits in rng), finished, metrics)
        yield record


@storable
class Episodes(NamedTuple):
    """B episodes that ended, terminated or truncated, in the order of runs and of time."""

    run: np.ndarray      # (B,) int, whose it was
    number: np.ndarray   # (B,) int, its number within its run, from 0
    rewards: np.ndarray  # (B,) float, undiscounted
    lengths: np.ndarray  # (B,) int, steps


@storable
class ValueLearning(NamedTuple):
    """R learners after some number of iterations; all that the next iteration needs."""

    iteration: int
    steps: int            # environment steps of each learner
    tables: np.ndarray    # (M, R, S, A) action values; M is 2 for double Q-learning, else 1
    updates: np.ndarray   # (M, R, S, A) int, how often each entry was updated
    states: np.ndarray    # (R,) int, where each learner stands
    planned: np.ndarray   # (R,) int, the action SARSA has decided on there, −1 for none; or None
    age: np.ndarray       # (R,) int, steps since its episode began
    earned: np.ndarray    # (R,) float, rewards since its episode began
    episodes: np.ndarray  # (R,) int, episodes that ended
    rng: tuple            # state of each run's bit generator
    finished: Episodes    # in the last iteration
    metrics: dict         # of the last iteration

    @property
    def Q(self):
        """(R, S, A), the table on which each learner acts: the mean of its tables."""
        return self.tables.mean(axis=0)


def learners(world, *, rng, initial_value=0.0, tables=1) -> ValueLearning:
    """R learners that have learned nothing yet: the record from which this chapter starts.

    Parameters
    ----------
    world : TabularMDP or environment.Environment
    rng : seed or Generator, or a sequence of them, one per run
        Training continues from a copy of their states.
    initial_value : float, or array that fits (R, S, A)
        Every Q(s, a) at the start, where a is available.  Above the largest possible return it is
        optimistic.
    tables : 1, or 2 for `double_q_learning`

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> learners(coin_game(), rng=range(3)).Q.shape
    (3, 1, 2)
    """
    if tables not in (1, 2):
        raise ValueError(f"tables must be 1 or 2, got {tables}")
    rng, world = generators(rng), playable(world)
    R, (S, A) = len(rng), world.shape
    values = np.empty((int(tables), R, S, A))
    try:
        values[:] = initial_value
    except ValueError:
        raise ValueError(f"initial_value must fit {(R, S, A)}, "
                         f"got {np.shape(initial_value)}") from None
    if not np.isfinite(values[:, :, world.available]).all():
        raise ValueError(f"initial_value must be finite, got {initial_value}")
    states, none = world.begin(rng), np.zeros(R, int)
    hide(values, world.available)
    return ValueLearning(0, 0, values, np.zeros(values.shape, int), states, None, none,
                         np.zeros(R), none, tuple(bits.bit_generator.state for bits in rng),
                         Episodes(none[:0], none[:0], np.zeros(0), none[:0]), {})


def sarsa(world, record, *, learning_rate=1.0, decay=0.6, exploration=epsilon_greedy(0.5),
          horizon=200, steps_per_iteration=1000, iterations=400,
          truth=None) -> Iterator[ValueLearning]:
    """SARSA, (q_learning.2), like `q_learning`.

    The next action is decided before the table is updated, and then taken, unless the episode ends
    or is cut there.

    Examples
    --------
    A fair coin is worth 1 + V/2 on head and 0 on tail, V = (1 + V/2)/2 = 2/3:

    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game(gamma=0.5)
    >>> trainer = sarsa(coin, learners(coin, rng=range(50)), exploration=epsilon_greedy(1.0))
    >>> print(next(trainer).Q.mean(axis=0).round(2))
    [[1.33 0.  ]]
    """
    yield from _learn(world, record, None, value_of_taken, 1, learning_rate, decay, exploration,
                      horizon, steps_per_iteration, iterations, truth)


def expected_sarsa(world, record, *, learning_rate=1.0, decay=0.6, exploration=epsilon_greedy(0.5),
                   horizon=200, steps_per_iteration=1000, iterations=400,
                   truth=None) -> Iterator[ValueLearning]:
    """Expected SARSA, (q_learning.3), like `q_learning`.

    Examples
    --------
    The value of `sarsa`, with less noise:

    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game(gamma=0.5)
    >>> trainer = expected_sarsa(coin, learners(coin, rng=0), exploration=epsilon_greedy(1.0))
    >>> print(next(trainer).Q.round(2))
    [[[1.33 0.  ]]]
    """
    def of_the_policy(progress):
        def value(row):
            policy, = exploration.policy(np.array([row]), progress).tolist()
            V = 0.0  # and not `sum`, which newer Pythons round in a way of their own
            for chance, q in zip(policy, row):
                if q > HIDDEN:
                    V += chance * q
            return V

        return value

    def expected(progress):  # the same for ε-greedy learners, without arrays
        rate = exploration.rate(progress)

        def value(row):
            if HIDDEN in row:
                row = [q for q in row if q > HIDDEN]
            best, tried = max(row), rate / len(row)
            preferred = (1 - rate) / row.count(best) + tried
            V = 0.0
            for q in row:
                V += (preferred if q == best else tried) * q
            return V

        return value

    row_value = expected if exploration.chances is None else of_the_policy
    yield from _learn(world, record, row_value, expected_value, 1, learning_rate, decay,
                      exploration, horizon, steps_per_iteration, iterations, truth)


def double_q_learning(world, record, *, learning_rate=1.0, decay=0.6,
                      exploration=epsilon_greedy(0.5), horizon=200, steps_per_iteration=1000,
                      iterations=400, truth=None) -> Iterator[ValueLearning]:
    """Double Q-learning, (q_learning.5), like `q_learning`; its record starts with `tables=2`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin = coin_game(gamma=0.5)
    >>> record = next(double_q_learning(coin, learners(coin, rng=0, tables=2), learning_rate=0.5,
    ...                                 decay=0.0))
    >>> print(record.tables.round(4).tolist())
    [[[[2.0, 0.0]]], [[[2.0, 0.0]]]]
    """
    yield from _learn(world, record, None, value_by_the_other, 2, learning_rate, decay,
                      exploration, horizon, steps_per_iteration, iterations, truth)


def _episodes(paid, ended, record):
    """(finished, age, earned, episodes) after an iteration, as in its record, and of each run what
    it earned in the iteration and how many of its episodes ended.

    `paid` (T, R) is what each step earned, and `ended` (T, R) whether an episode ended with it.
    """
    T = len(paid)
    # The steps of one run after another, cut where an episode ends and where the run does.
    over = ended.T.ravel()
    cut = over.copy()
    cut[T - 1::T] = True
    end, = cut.nonzero()
    begin = np.concatenate([[0], end[:-1] + 1])
    run, lengths, rewards = end // T, end - begin + 1, np.add.reduceat(paid.T.ravel(), begin)
    reward = np.bincount(run, rewards)
    last, = (end % T == T - 1).nonzero()  # the last piece of each run, and its first
    first = np.concatenate([[0], last[:-1] + 1])
    rewards[first] += record.earned
    lengths[first] += record.age
    number = np.arange(len(end)) + (record.episodes - first)[run]
    whole, going_on = over[end].nonzero()[0], ~over[end[last]]
    return (Episodes(run[whole], number[whole], rewards[whole], lengths[whole]),
            np.where(going_on, lengths[last], 0), np.where(going_on, rewards[last], 0.0),
            number[last] + ~going_on, reward, last - first + ~going_on)


def _take_turns(world, record, exploration, row_value, tables, updates, step_sizes, numbers,
                horizon, progress):
    """The steps of an iteration, run by run and one at a time, over lists.

    A loop over lists, an equation per line, is nearly twenty times as fast as arrays of length one.
    From some thirty ε-greedy learners on, arrays are faster; from four on, where actions are drawn,
    whose chances are NumPy's; and sooner where the tables are large beside the steps.

    `row_value(progress)` is V(s') as a function of the row Q(s', ·), or `row_value` is None where
    V(s') is the value of one action.  All else is as in `many_learners.move_together`, which does
    the same to the bit.  Of the four numbers of a step the first decides the action, and the
    fourth, in double Q-learning and in SARSA, what is looked at in the next state.
    """
    (R, T, _), A, two_tables = numbers.shape, world.shape[1], len(tables) > 1
    choices, outcomes, restarts, fourth = numbers.transpose(2, 0, 1)
    _, masked = hide(tables, world.available)
    explores, luck = who_explores(exploration, choices, progress)
    # Where every action is available, it is known beforehand what an explorer tries.  Who is −1
    # looks at the values.
    tried = np.where(explores & (not masked), (luck * A).astype(int), -1)

    def by_chances(row, explores, luck):
        if explores:
            return chosen(row, explores, luck)
        chances, = exploration.chances(np.array([row]), progress).tolist()
        a = drawn(chances, luck)
        check_available(np.array(row[a]))
        return a

    choose = chosen if exploration.chances is None else by_chances
    value = sides = explores_ahead = luck_ahead = starts = None
    if row_value is not None:
        value = row_value(progress)
    elif two_tables:
        sides, luck_ahead = split(fourth)
    else:
        explores_ahead, luck_ahead = who_explores(exploration, fourth, progress)
    if world.first.size > 1:
        starts = first_states(world.mdp, restarts)
    plans = np.full(R, -1) if record.planned is None else record.planned.copy()
    decided = plans >= 0
    check_available(tables[0, decided, record.states[decided], plans[decided]])
    states, paid, ended = record.states.copy(), np.empty((R, T)), np.zeros((R, T), bool)
    gamma, law, first = world.gamma, world.lists, world.first.item(0)
    for run in range(R):
        columns = (repeat(None) if column is None else column[run].tolist() for column in (
            tried, explores if masked else None, luck, outcomes, starts, sides, explores_ahead,
            luck_ahead))
        Qs, Ns = tables[:, run].tolist(), updates[:, run].tolist()
        Q, other, N = Qs[0], Qs[-1], Ns[0]
        s, planned, age = states[run].item(), plans[run].item(), record.age[run].item()
        rewards, ends = [], []
        for a, exploring, u, outcome, start, side, exploring_ahead, u_ahead in zip(*columns):
            if two_tables:  # a coin decides which of them is updated
                Q, other, N = Qs[side], Qs[not side], Ns[side]
            row, counts = Q[s], N[s]
            if planned >= 0:
                a, planned = planned, -1
            elif a < 0:
                mean = [(q1 + q2) / 2 for q1, q2 in zip(row, other[s])] if two_tables else row
                a = choose(mean, exploring, u)
            limits, results = law[s][a]
            # (sampling.1); from here on s is the next state.
            s, r, terminated = results[bisect(limits, outcome)]
            if terminated:
                V = 0.0
            elif value is not None:
                V = value(Q[s])                                  # (q_learning.3), (q_learning.4)
            elif two_tables:
                V = other[s][chosen(Q[s], False, u_ahead)]       # (q_learning.5)
            else:
                planned = choose(Q[s], exploring_ahead, u_ahead)
                V = Q[s][planned]                                # (q_learning.2)
            q, k = row[a], counts[a]
            row[a] = q + step_sizes[k] * (r + gamma * V - q)     # (q_learning.1)
            counts[a] = k + 1
            rewards.append(r)
            age += 1
            if terminated or age >= horizon:
                ends.append(len(rewards) - 1)
                s = first if start is None else start
                planned, age = -1, 0
        tables[:, run], updates[:, run] = Qs, Ns
        states[run], plans[run], paid[run], ended[run, ends] = s, planned, rewards, True
    plans_ahead = row_value is None and not two_tables
    return states, plans if plans_ahead else None, paid.T, ended.T
