"""Learning values: a world solved exactly, and four learners on their way to Q*.

The world is solved three times, by different solvers, and their largest difference is reported.
Then Q-learning, SARSA, expected SARSA and double Q-learning play it, many independent runs of each.
Along the way every run is judged twice, exactly: by ‖Q − Q*‖∞, and by what its greedy policy is
worth from the start.  SARSA and expected SARSA do not aim at Q*.  They learn what their exploring
policy is worth, so their distance does not go to zero; their greedy policy may be the best all the
same.
"""

from time import perf_counter
from typing import NamedTuple

import numpy as np

from minirl.exact.evaluation import NoEnd, evaluate, occupancy
from minirl.play.exploration import epsilon_greedy
from minirl.exact.planning import linear_programme, policy_iteration, value_iteration
from minirl.play.q_learning import double_q_learning, expected_sarsa, learners, q_learning, sarsa

LEARNERS = {"q_learning": q_learning, "double_q_learning": double_q_learning, "sarsa": sarsa,
            "expected_sarsa": expected_sarsa}
POINTS = 20  # of a learning curve


class Solution(NamedTuple):
    """A world and its exact answers."""

    optimum: object       # planning.Optimum, of policy iteration
    visits: np.ndarray    # (S,) of the best policy
    rounds: dict          # solver to the rounds it needed
    disagreement: float   # the largest difference between two solvers' values


class Curve(NamedTuple):
    """R runs of one learner, judged POINTS times."""

    method: str
    steps: np.ndarray    # (POINTS,) int, steps of each run
    errors: np.ndarray   # (POINTS, R) ‖Q − Q*‖∞
    values: np.ndarray   # (POINTS, R) exact J of the greedy policy; NaN where it never ends
    seconds: float


def solve_world(mdp):
    """The `Solution` of a world.

    Raises ValueError where it has none: at gamma 1, if some state cannot reach an end, the optimum
    is infinite, or going on for ever is worth more than any end; close to gamma 1, if value
    iteration does not settle.
    """
    optimum = policy_iteration(mdp)
    size = np.abs(np.nan_to_num(optimum.values)).max()
    found = {"policy iteration": optimum,
             "value iteration": value_iteration(mdp, tol=1e-11 * (1 + size)),
             "linear programme": linear_programme(mdp)}
    asked = ~np.isnan(optimum.values)
    differences = [np.abs(other.values - optimum.values)[asked].max() for other in found.values()]
    if mdp.gamma == 1 and max(differences) > 1e-6 * (1 + size):
        raise ValueError(f"at gamma = 1 going on for ever is worth more than any end, by up to "
                         f"{max(differences):.4g}, so that no policy that ends is best (use "
                         f"gamma < 1)")
    return Solution(optimum, occupancy(mdp, optimum.policy),
                    {name: other.rounds for name, other in found.items()}, max(differences))


def learn(mdp, optimum, method, *, seed, runs, steps, learning_rate=1.0, decay=0.6,
          exploration_rate=0.5, initial_value=1.0):
    """The `Curve` of one learner of `LEARNERS`.

    Parameters
    ----------
    mdp : TabularMDP
    optimum : planning.Optimum
    method : str
    seed, runs : int
        Run i draws from the seed [seed, i].
    steps : int
        Of each run; cut to a multiple of POINTS.
    learning_rate, decay, exploration_rate, initial_value : float
        Of the learner; ε-greedy.
    """
    began = perf_counter()
    record = learners(mdp, rng=[[seed, run] for run in range(runs)], initial_value=initial_value,
                      tables=2 if method == "double_q_learning" else 1)
    trainer = LEARNERS[method](mdp, record, learning_rate=learning_rate, decay=decay,
                               exploration=epsilon_greedy(exploration_rate),
                               steps_per_iteration=steps // POINTS, truth=optimum.action_values)
    points = [(record.steps, record.metrics["error/max"],
               [greedy_value(mdp, Q) for Q in record.Q])
              for record, _ in zip(trainer, range(POINTS))]
    at, errors, values = (np.array(column) for column in zip(*points))
    return Curve(method, at, errors, values, perf_counter() - began)


def greedy_value(mdp, Q):
    """What the greedy policy of Q is worth from the start, exactly; NaN if it never ends."""
    try:
        values = evaluate(mdp, np.eye(mdp.shape[1])[Q.argmax(axis=1)])
    except NoEnd:
        return np.nan
    return float(mdp.start @ np.nan_to_num(values))


def spread(numbers, quantiles=(0.1, 0.5, 0.9)):
    """Quantiles, 10 %, median and 90 %, along the last axis, each the number of a run that exists.

    Of an even number of runs the median is the lower of the two in the middle.  A run that is not a
    number is worse than any other, so it counts as −∞.
    """
    ranked = np.where(np.isnan(numbers), -np.inf, numbers)
    return np.quantile(ranked, quantiles, axis=-1, method="lower")
