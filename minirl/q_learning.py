"""Q-learning: learn what actions are worth by playing, and act on it.

Planning (`planning`) needs the tables of the world.  A learner that only plays sees one step at a
time:  from state s action a led to s' and paid r.  The optimal action values satisfy (planning.1)
with the best action after every step, Q*(s, a) = E[r + γ max_b Q*(s', b)].  So each step is a noisy
sample of the right-hand side, and Q-learning moves the table towards it:

    Q(s, a) ← Q(s, a) + α (r + γ max_b Q(s', b) − Q(s, a)),                           (q_learning.1)

without the second term where the step terminated the episode.  A truncated episode keeps it.

The target does not ask which action the learner takes next.  So Q-learning is *off-policy*: it
learns about the greedy policy while it explores.  Here a random action is taken with probability ε,

    a = argmax_b Q(s, b) with probability 1 − ε, else uniform.                        (q_learning.2)

The first action wins a tie.  A table that starts above every possible value is *optimistic*:
whatever is tried disappoints, so that everything is tried.

For the table to settle in a random world the steps must shrink, but not too fast.  With n the
number of times the pair was updated,

    α = learning_rate / n^decay,   convergence for ½ < decay ≤ 1.                     (q_learning.3)

In a deterministic world a constant α, decay = 0, is as good and quicker.

One call trains R independent learners: the table has shape (R, S, A) and every operation below acts
on all of them.  They share nothing but the clock.  So their errors are independent, and averaging
the tables of several learners removes most of what is noise.  On the slippery 4x4 lake some 60 in
100 learners are within 5 % of the optimum after 30,000 steps; the greedy policy of the mean of
sixteen was optimal in each of 60 trials after 25,000.

Read first: `planning`.  Compare: `reinforce`, which learns the policy itself.
Source: Watkins and Dayan 1992, "Q-learning"; Sutton and Barto, 2nd edition, §6.5; Even-Dar and
Mansour 2003, "Learning rates for Q-learning", on (q_learning.3).
"""

from typing import NamedTuple

import numpy as np

from minirl import mdp as world
from minirl.optim import at


class QLearning(NamedTuple):
    """R learners after some number of iterations; all that the next iteration needs."""

    iteration: int
    steps: int           # environment steps of each learner
    Q: np.ndarray        # (R, S, A) action values
    updates: np.ndarray  # (R, S, A) int, how often each pair was updated
    states: np.ndarray   # (R,) int, where each learner stands
    age: np.ndarray      # (R,) int, steps since its episode began
    rng: dict            # state of the bit generator
    metrics: dict        # of the last iteration


def start(mdp, *, rng, runs=1, initial_value=0.0):
    """The record from which `q_learning` starts.

    Parameters
    ----------
    mdp : TabularMDP
    rng : Generator or seed
        Training continues from a copy of its state.
    runs : int ≥ 1
        R, the number of independent learners.
    initial_value : float
        Every Q(s, a) at the start.  Above the largest possible return it is optimistic.

    Raises
    ------
    ValueError
        If `runs` is not positive.

    Examples
    --------
    >>> start(world.coin_game(), rng=0, runs=3).Q.shape
    (3, 1, 2)
    """
    rng = world.generator(rng)
    states = world.start_states(mdp, runs, rng)
    shape = (runs, *mdp.shape)
    return QLearning(0, 0, np.full(shape, float(initial_value)), np.zeros(shape, int), states,
                     np.zeros(runs, int), rng.bit_generator.state, {})


def q_learning(mdp, record, *, learning_rate=1.0, decay=0.6, exploration_rate=0.5, horizon=200,
               steps_per_iteration=1000):
    """Train by (q_learning.1), for ever: yields a `QLearning` record an iteration.

    Parameters
    ----------
    mdp : TabularMDP
        Used to play only.
    record : QLearning
        From `start`, or any record yielded before: training continues from it bit for bit.
    learning_rate, decay : float
        Step size, (q_learning.3).
    exploration_rate : float in [0, 1], or function of the iteration number
        ε of (q_learning.2).
    horizon : int ≥ 1
        An episode is truncated after this many steps.
    steps_per_iteration : int ≥ 1

    Yields
    ------
    QLearning
        Its `metrics` hold `rollout/reward` (R,), what each learner earned in the iteration, and
        `rollout/episodes` (R,), how many of its episodes ended.

    Raises
    ------
    ValueError
        If an argument is out of range, at the first iteration.

    Examples
    --------
    >>> coin = world.coin_game(gamma=0.5)
    >>> for record in q_learning(coin, start(coin, rng=0), learning_rate=0.5, decay=0):
    ...     break
    >>> print(record.Q.round(4))
    [[[2. 0.]]]
    """
    if not 0 < learning_rate <= 1:
        raise ValueError(f"learning_rate must lie in (0, 1], got {learning_rate}")
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must lie in [0, 1], got {decay}")
    if horizon < 1 or steps_per_iteration < 1:
        raise ValueError(f"horizon and steps_per_iteration must be at least 1, "
                         f"got {horizon} and {steps_per_iteration}")
    if record.Q.shape[1:] != mdp.shape:
        raise ValueError(f"the record's Q must be (R, {mdp.shape[0]}, {mdp.shape[1]}), "
                         f"got {record.Q.shape}")
    runs, S, A = record.Q.shape
    row = S * np.arange(runs)  # learner i owns rows i·S … i·S + S − 1 of one long table
    while True:
        epsilon = at(exploration_rate, record.iteration)
        if not 0 <= epsilon <= 1:
            raise ValueError(f"exploration_rate must lie in [0, 1], got {epsilon}")
        rng = world.generator(record.rng)
        shape = (steps_per_iteration, runs)
        explores, explorations = rng.random(shape) < epsilon, rng.integers(A, size=shape)
        luck = rng.random(shape)
        restarts = world.start_states(mdp, steps_per_iteration * runs, rng).reshape(shape)

        Q, updates, states, age = record.Q.copy(), record.updates.copy(), record.states, record.age
        # Three views: rows of Q, entries of Q, and their counters.
        table, entries, counters = Q.reshape(runs * S, A), Q.reshape(-1), updates.reshape(-1)
        earned, episodes = np.zeros(runs), np.zeros(runs, int)
        for t in range(steps_per_iteration):
            greedy = table.take(row + states, axis=0).argmax(axis=1)
            actions = np.where(explores[t], explorations[t], greedy)
            following, rewards, terminated = world.step(mdp, states, actions, luck[t])
            best = table.take(row + following, axis=0).max(axis=1)
            target = rewards + mdp.gamma * ~terminated * best
            entry = (row + states) * A + actions
            counters[entry] += 1
            entries[entry] += learning_rate / counters[entry] ** decay * (target - entries[entry])

            age = age + 1
            over = terminated | (age == horizon)
            states, age = np.where(over, restarts[t], following), age * ~over
            earned += rewards
            episodes += over
        record = QLearning(record.iteration + 1, record.steps + steps_per_iteration, Q, updates,
                           states, age, rng.bit_generator.state,
                           {"rollout/episodes": episodes, "rollout/reward": earned})
        yield record
