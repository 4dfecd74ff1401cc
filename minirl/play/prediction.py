"""Prediction: learn what a policy is worth by playing it.

*Part 3.  Previous: `training`.  Next: `exploration`.*

`evaluation` computes V from the tables of the world.  A learner that only plays sees episodes, and
moves its table towards what they suggest, state by state in the order of time,

    V(s_t) ← V(s_t) + α (target_t − V(s_t)).                                          (prediction.1)

*Monte Carlo* waits for the end of the episode and takes what really followed, (returns.1),

    target_t = G_t = r_t + γ r_{t+1} + γ² r_{t+2} + …                                 (prediction.2)

*Temporal-difference learning*, TD(0), does not wait.  It takes one reward, and the table's own
opinion of the next state,

    target_t = r_t + γ V(s_{t+1}),                                                    (prediction.3)

without γ V where the step terminated the episode.  Each return is right on average, but noisy; only
the mean over every visit is a little wrong at first, because a long episode counts more often.
TD(0) learns a guess from a guess, is wrong at first, and has little noise.  A truncated episode
would have gone on, so both count V of its last state.

With α = learning_rate / n^decay, n the number of updates of the state, Monte Carlo at decay = 1 and
learning_rate = 1 is the plain mean of the returns.  While new episodes come in, a constant α, decay
= 0, never settles: it goes on forgetting.

*A fixed batch.*  Given the same few episodes again and again, in small steps, both settle, on
different tables.  Monte Carlo settles on the mean return seen from each state, which fits the past
best.  TD(0) settles on the values of the world that the counts suggest, in which P̂(s'|s) = n(s,
s')/n(s) and r̂(s) is the mean reward seen,

    V = r̂ + γ P̂ V.                                                                  (prediction.4)

If the world is Markov, the second predicts the future better: it uses that what follows s' is the
same, however s' was reached.

One call learns R independent runs at once; each has a random generator and a table of its own.  An
iteration is one episode of each.

Read first: `evaluation`, `returns`.  Read next: `q_learning`, which learns what to do.
Source: Sutton 1988, "Learning to predict by the methods of temporal differences"; Sutton and Barto,
2nd edition, chapters 6.1 to 6.3, examples 6.2, 6.3 and 6.4.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.kernel import checks
from minirl.exact.evaluation import reachable
from minirl.exact.solving import solve
from minirl.kernel.mdp import check_policy
from minirl.kernel.playing import rollout, start_states
from minirl.play.returns import reward_to_go
from minirl.kernel.sampling import generators


def td_prediction(mdp, policy, record, *, learning_rate=0.1, decay=0.0, horizon=1000, truth=None):
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
        α = learning_rate / n^decay.
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


def monte_carlo(mdp, policy, record, *, learning_rate=0.1, decay=0.0, horizon=1000, truth=None):
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


class Prediction(NamedTuple):
    """R runs after some number of episodes; all that the next episode needs."""

    iteration: int       # episodes of each run
    steps: np.ndarray    # (R,) int, environment steps
    values: np.ndarray   # (R, S) float
    updates: np.ndarray  # (R, S) int, how often each state was updated
    rng: tuple           # state of each run's bit generator
    metrics: dict        # of the last iteration


def predictors(mdp, *, rng, initial_value=0.0):
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
    gamma 1 it has no solution if some state of the batch was only seen in episodes that were cut.

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
