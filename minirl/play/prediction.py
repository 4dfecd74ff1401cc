"""What is a policy worth, to somebody who only plays it?

*Part 3.  Previous: `training`.  Next: `exploration`.*

`evaluation` computes the value of a state from the tables of the world.  A learner that only plays
sees episodes.  It keeps a value table V, and for each step, in the order of time, it moves the
value of the step's state towards a *target*, by the share α of the difference:

    V(s_t) ← V(s_t) + α (target_t − V(s_t)).                                          (prediction.1)

*Monte Carlo* waits for the end of the episode and takes what really followed, (returns.1),

    target_t = R_t = r_t + γ r_{t+1} + γ² r_{t+2} + …                                 (prediction.2)

*TD(0)*, temporal-difference learning, does not wait.  It takes one reward, and the table's own
opinion of the next state:

    target_t = r_t + γ V(s_{t+1}),                                                    (prediction.3)

without γ V where the step terminated the episode.  So TD(0) moves V by α times the
temporal-difference error (returns.2).  Its target is the λ-return at λ = 0, hence the 0 in its
name.  A truncated episode would have gone on.  There both targets count V of its last state.

**In numbers.**  A coin that always shows head is tossed twice, and each toss pays 1, at γ = 1.  So
the first state is worth 2, and the second one 1.  Start at V = 0, with α = ½:

    after episode                     1      2      3
    Monte Carlo   V of the first      1      1½     1¾
                  V of the second     ½      ¾      7/8
    TD(0)         V of the first      ½      1      11/8
                  V of the second     ½      ¾      7/8

In episode 1 the target of TD(0) for the first state is 1 + 0, since V of the second is still 0.  In
episode 2 it is 1 + ½, and V of the first moves from ½ to ½ + ½ (1½ − ½) = 1.  Monte Carlo has the
target 1 + 1 from the beginning.

>>> from itertools import islice
>>> from minirl.kernel.mdp import coin_game, unroll
>>> two, heads = unroll(coin_game(), 2), np.array([[1., 0.], [1., 0.]])
>>> for learner in monte_carlo, td_prediction:
...     learning = learner(two, heads, predictors(two, rng=0), learning_rate=0.5)
...     print([record.values[0].tolist() for record in islice(learning, 3)])
[[1.0, 0.5], [1.5, 0.75], [1.75, 0.875]]
[[0.5, 0.5], [1.0, 0.75], [1.375, 0.875]]

**Bias or noise.**  Each return is right on average, since the true value of s *is* the mean return.
But it holds the luck of a whole episode.  TD(0) learns a guess from a guess.  While V(s_{t+1}) is
wrong, the target is wrong on average too, and this error is its *bias*.  But it holds the luck of
one step only.  (Monte Carlo has a small bias at first: an episode that visits a state often counts
often.  In the coin game k heads and a tail have the returns k, …, 1 and 0, whose mean is k/2.  So
after one episode of a fair coin the mean of the returns is ½ on average, and the truth is 1.)

Take the random walk of Sutton and Barto: five cells in a row, a start in the middle, left or right
by a fair coin, 1 for leaving on the right, γ = 1.  Each cell is worth the mean of its neighbours,
between 0 outside on the left and 1 on the right: 1/6, 2/6 and so on up to 5/6.  Start at V = ½,
with α = 0.1, and look at the cell right of the middle after ten episodes, in 1,000 runs.  The mean
of TD(0) is off by 0.12, and the standard deviation over the runs is 0.03.  The mean of Monte Carlo
is off by 0.03, and the standard deviation is 0.21.  The error of both kinds, the root of the mean
square over all cells and runs, is 0.13 for TD(0) and 0.20 for Monte Carlo.

**The step size** is α = learning_rate / N[s]^decay, where N[s] is the number of updates of the
state, this one included.  With learning_rate = 1 and decay = 1 Monte Carlo is the plain mean of the
returns: the first return replaces V, the second one counts a half, the third one a third.  With
decay = 0 and so a constant α, V never settles while new episodes come in.  It goes on forgetting:
each return counts 1 − α times as much with every later update.

**A fixed batch.**  Eight episodes were seen in two states, hall (0) and room (1), at γ = 1:

    hall pays 0, then room pays 0, end      once
    room pays 1, end                        six times
    room pays 0, end                        once

What is the hall worth?  The room earned 1 in six visits of eight, so V(room) = ¾.  The only return
from the hall was 0, and Monte Carlo says V(hall) = 0.  But the hall led to the room, without
exception, and the room is worth ¾: TD(0) says V(hall) = ¾.

>>> from minirl.kernel.playing import Rollout
>>> batch = Rollout(states=np.array([0, 1, 1, 1, 1, 1, 1, 1, 1]), actions=np.zeros(9, int),
...                 rewards=np.array([0., 0, 1, 1, 1, 1, 1, 1, 0]), terminated=np.arange(9) > 0,
...                 starts=np.array([0, 2, 3, 4, 5, 6, 7, 8, 9]), last_state=np.ones(8, int),
...                 truncated=np.zeros(8, bool))
>>> print(batch_monte_carlo(batch, states=2, gamma=1.0), batch_td(batch, states=2, gamma=1.0))
[0.   0.75] [0.75 0.75]

Both learners settle there if they are given the same batch again and again, in small steps.  Monte
Carlo settles on the mean return seen from each state, which fits the past best.  TD(0) settles
where its moves in each state sum to zero: Σ (r_t + γ V(s_{t+1}) − V(s)) = 0, over the visits to s.
Divide by their number.  With r̂(s) the mean reward seen in s, and P̂(s'|s) the share of the steps
from s that went on in s',

    V = r̂ + γ P̂ V.                                                                  (prediction.4)

That is Bellman's equation in the world that the counts suggest.  If what follows a state depends on
that state alone, as in a Markov decision process, TD(0) predicts the future better: it uses all
that was seen after the room, however the room was reached.  On the random walk, with batches of ten
episodes, its error is less than three quarters of that of Monte Carlo.

One call learns many independent runs at once, each with random numbers and a table of its own.  An
iteration is one episode of each run.

**Exercises.**  `from minirl.play.prediction import *; from minirl.play.training import after`
1. How many values does TD(0) change in its first episode on the random walk, five steps long?
       from gridworld.maps import random_walk
       walk, policy = random_walk().mdp(gamma=1.0), np.tile([0.5, 0.0, 0.5, 0.0], (7, 1))
       next(td_prediction(walk, policy, predictors(walk, rng=0, initial_value=0.5))).values.round(4)
2. One table starts at 0, another at 1,000.  How far apart are the plain means of 100 returns?
       from minirl.kernel.mdp import coin_game
       coin, fair, mean = coin_game(), np.array([[0.5, 0.5]]), {"learning_rate": 1.0, "decay": 1.0}
       [after(monte_carlo(coin, fair, predictors(coin, rng=0, initial_value=value), **mean),
              100).values.item() for value in (0.0, 1000.0)]
3. A fair coin game is worth 1.  Five runs learn 500 episodes each with α = ½.  What do they say?
       from minirl.kernel.mdp import coin_game
       coin, fair = coin_game(), np.array([[0.5, 0.5]])
       learning = monte_carlo(coin, fair, predictors(coin, rng=range(5)), learning_rate=0.5)
       after(learning, 500).values.ravel().round(2)

Read next: `exploration`, how a learner that acts on its values chooses.
Source: Sutton 1988, "Learning to predict by the methods of temporal differences"; Sutton and Barto,
2nd edition, chapters 6.1 to 6.3, examples 6.2, 6.3 and 6.4 (where the states are called A and B).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.checkpoints import storable
from minirl.kernel import checks
from minirl.exact.evaluation import reachable
from minirl.exact.solving import solve
from minirl.kernel.mdp import check_policy
from minirl.kernel.playing import rollout, start_states
from minirl.play.returns import reward_to_go
from minirl.kernel.sampling import generators


def td_prediction(mdp, policy, record, *, learning_rate=0.1, decay=0.0, horizon=1000,
                  truth=None) -> Iterator["Prediction"]:
    """Learn V by TD(0), (prediction.3), for ever: yields a `Prediction` record per episode.

    Playing an episode first and learning from it afterwards, in the order of time, is the same as
    learning while playing, because the policy does not change.

    Parameters
    ----------
    mdp : TabularMDP
        Used to play only.
    policy : (S, A) float
        π(a|s), the policy that is to be judged.
    record : Prediction
        From `predictors`, or any record yielded before: learning continues from it bit for bit.
    learning_rate, decay : float
        α = learning_rate / N[s]^decay.
    horizon : int ≥ 1
        An episode is truncated after this many steps.
    truth : (S,) float, optional
        V_π, as `evaluation.evaluate` knows it, to report the distance from.

    Yields
    ------
    Prediction
        Its `metrics` hold for each run `rollout/ep_rew`, `rollout/ep_len` and
        `rollout/truncated` of its episode and, given the truth, `error/max` and `error/rms`, over
        the states that an episode can be in.

    Examples
    --------
    Head pays 1 and goes on, tail pays nothing and ends: worth 1 with a fair coin.

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after
    >>> coin, fair = coin_game(), np.array([[0.5, 0.5]])
    >>> record = after(td_prediction(coin, fair, predictors(coin, rng=0), learning_rate=1.0,
    ...                              decay=1.0, truth=np.array([1.0])), 200)
    >>> print(record.values.round(2), record.metrics["error/max"].round(2))
    [[1.]] [0.]
    """
    def targets(play, values):
        next_states, goes_on = play.next_states, ~play.terminated
        return lambda runs, n: (play.rewards[n]
                                + mdp.gamma * goes_on[n] * values[runs, next_states[n]])

    yield from _learn(mdp, policy, record, targets, learning_rate, decay, horizon, truth)


def monte_carlo(mdp, policy, record, *, learning_rate=0.1, decay=0.0, horizon=1000,
                truth=None) -> Iterator["Prediction"]:
    """Learn V by Monte Carlo, (prediction.2), like `td_prediction`.  Every visit to a state counts.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin, fair = coin_game(), np.array([[0.5, 0.5]])
    >>> record = next(monte_carlo(coin, fair, predictors(coin, rng=range(8, 11)), learning_rate=1.0,
    ...                           decay=1.0))
    >>> print(record.metrics["rollout/ep_len"], record.values.ravel())
    [2 1 3] [0.5 0.  1. ]
    """
    def targets(play, values):
        rewards, runs = play.rewards.copy(), np.arange(len(values))
        rewards[play.starts[1:] - 1] += (
            mdp.gamma * play.truncated * values[runs, play.last_state])
        returns = reward_to_go(rewards, play.starts, gamma=mdp.gamma)
        return lambda runs, n: returns[n]

    yield from _learn(mdp, policy, record, targets, learning_rate, decay, horizon, truth)


@storable
class Prediction(NamedTuple):
    """R runs after some number of episodes; all that the next episode needs."""

    iteration: int       # episodes of each run
    steps: np.ndarray    # (R,) int, environment steps
    values: np.ndarray   # (R, S) float
    updates: np.ndarray  # (R, S) int, how often each state was updated
    rng: tuple           # state of each run's bit generator
    metrics: dict        # of the last iteration


def predictors(mdp, *, rng, initial_value=0.0) -> Prediction:
    """R runs that have seen nothing yet: the record from which both learners start.

    `rng` is a seed or a Generator, or a sequence of them, one per run; learning continues from a
    copy of their states.  `initial_value` is every V(s) at the start.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> predictors(coin_game(), rng=range(5)).values.shape
    (5, 1)
    """
    checks.finite("initial_value", initial_value)
    states = tuple(bits.bit_generator.state for bits in generators(rng))
    shape = len(states), mdp.shape[0]
    return Prediction(0, np.zeros(shape[0], int), np.full(shape, float(initial_value)),
                      np.zeros(shape, int), states, {})


def batch_monte_carlo(play, *, states, gamma):
    """The table (S,) on which Monte Carlo settles, given one batch again and again: mean returns.

    `play` is the batch, a `playing.Rollout`, and `states` is S.
    NaN in states that the batch does not visit.  The return of a truncated episode goes on with V
    of its last state, discounted by the steps to it, which makes the means a linear equation.  At
    gamma 1 it has no solution if from some state cuts only lead to states of which the same is
    true.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> fair = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=9, rng=5)
    >>> print(fair.rewards, fair.starts, batch_monte_carlo(fair, states=1, gamma=1.0))
    [0. 0. 1. 0. 0.] [0 1 2 4 5] [0.2]
    """
    states = _check_batch(play, states, gamma)
    cut = play.spread(play.truncated)
    to_go = play.spread(play.starts[1:]) - np.arange(play.states.size)
    return _settled(play.states, reward_to_go(play.rewards, play.starts, gamma=gamma),
                    (play.states[cut], play.spread(play.last_state)[cut], gamma ** to_go[cut]),
                    states, gamma)


def batch_td(play, *, states, gamma):
    """The table (S,) on which TD(0) settles, given one batch again and again: (prediction.4).

    As `batch_monte_carlo`; at gamma 1 it has no solution if some state of the batch was never seen
    to lead to an end.  In both, a state in which an episode was cut, and which the batch never
    leaves, counts as worth 0.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> fair = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=9, rng=5)
    >>> print(batch_td(fair, states=1, gamma=1.0).round(4))
    [0.25]
    """
    states = _check_batch(play, states, gamma)
    going = ~play.terminated
    return _settled(play.states, play.rewards,
                    (play.states[going], play.next_states[going], np.full(going.sum(), gamma)),
                    states, gamma)


def _learn(mdp, policy, record, targets, learning_rate, decay, horizon, truth):
    """(prediction.1) for both kinds of target.

    `targets(play, values)` is called after an episode of each run.  It returns the function that
    gives the runs `runs` their targets for their steps n, and may look at `values` while these
    change.
    """
    checks.step_size(learning_rate, decay)
    check_policy(mdp, policy)
    runs, S = record.values.shape
    checks.shape("the record's values", record.values, (runs, mdp.shape[0]))
    if truth is not None:
        checks.shape("truth", truth, (S,))
        judged = reachable(mdp, policy)
    rng = generators(record.rng)
    while True:
        play = rollout(mdp, policy, start_states(mdp, runs, rng), horizon=horizon, rng=rng)
        values, updates = record.values.copy(), record.updates.copy()
        target = targets(play, values)
        lengths = play.lengths
        for t in range(lengths.max()):
            who, = np.nonzero(lengths > t)
            n = play.starts[who] + t
            entry = who, play.states[n]
            updates[entry] += 1
            step_sizes = learning_rate / updates[entry]**decay
            values[entry] += step_sizes * (target(who, n) - values[entry])  # (prediction.1)
        metrics = {"rollout/ep_rew": play.totals(play.rewards), "rollout/ep_len": lengths,
                   "rollout/truncated": play.truncated}
        if truth is not None:
            error = np.abs(values - truth)[:, judged].copy()
            metrics["error/max"] = error.max(axis=1)
            metrics["error/rms"] = np.sqrt((error**2).mean(axis=1))
        record = Prediction(record.iteration + 1, record.steps + lengths, values, updates,
                            tuple(bits.bit_generator.state for bits in rng), metrics)
        yield record


def _settled(source, numbers, links, states, gamma):
    """The table V with V(s) = the mean, over the visits to s, of a number and of linked values.

    `source` (N,) and `numbers` (N,) are the visits; `links` are vectors (s, s', factor): a visit to
    s adds factor · V(s').
    """
    visits = np.bincount(source, minlength=states)
    earned = np.bincount(source, numbers, minlength=states) / np.maximum(visits, 1)
    here, there, factors = links
    # Counted first and divided then: six sixths would not add up to one.
    seen = sparse.csr_array((factors.astype(float), (here, there)), shape=(states, states))
    values = solve(sparse.csr_array(seen / np.maximum(visits, 1)[:, None]), earned)
    if values is None:
        raise ValueError(f"at gamma = {gamma} the batch must show an end from every state in it")
    return np.where(visits > 0, values, np.nan)


def _check_batch(play, states, gamma):
    checks.fraction("gamma", gamma)
    states = checks.whole("states", states)
    largest = max(play.states.max(), play.last_state.max())
    if states <= largest:
        raise ValueError(f"states must be above {largest}, a state of the batch, got {states}")
    return states
