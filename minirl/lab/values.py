"""Learning values: a world solved exactly, and four learners on their way to Q*.

The world is solved three times, by different solvers, and their largest difference is reported.
Then Q-learning, SARSA, expected SARSA and double Q-learning play it, many independent runs of each.
Along the way every run is judged twice, exactly: by ‖Q − Q*‖∞, and by what its greedy policy is
worth from the start.  SARSA and expected SARSA do not aim at Q*.  They learn what their exploring
policy is worth, so their distance does not go to zero; their greedy policy may be the best all the
same.

How to learn depends on the world.  A long way without reward needs steps that do not shrink too
fast, and values that begin above it.  A world without chance needs no steps that shrink at all.
`SETTINGS` has numbers for each known world with which all four arrive.
"""

from collections import namedtuple
from itertools import islice
from time import perf_counter
from typing import NamedTuple

import numpy as np

from gridworld.draw import policy_text, side_by_side, values_text, visits_text
from gridworld.maps import WORLDS
from minirl.console import integer, number
from minirl.exact.evaluation import occupancy
from minirl.exact.planning import linear_programme, policy_iteration, value_iteration
from minirl.exact.scorecard import referee
from minirl.lab.job import SEED, Job, chosen_world, stopwatch
from minirl.lab.table import WIDTH, in_columns, page
from minirl.play.exploration import epsilon_greedy
from minirl.play.q_learning import double_q_learning, expected_sarsa, learners, q_learning, sarsa

VALUE_LEARNERS = {"q_learning": q_learning, "double_q_learning": double_q_learning,
                  "sarsa": sarsa, "expected_sarsa": expected_sarsa}
POINTS = 20  # of a learning curve
ARRIVED = 0.5  # the share of the optimum below which nobody arrived


class Settings(NamedTuple):
    """How values are learned; exploration is ε-greedy."""

    gamma: float = 0.95
    steps: int = 20_000  # of each run, cut to a multiple of POINTS
    learning_rate: float = 1.0
    decay: float = 0.6
    exploration_rate: float = 0.5
    initial_value: float = 1.0


SETTINGS = {
    "cliff": Settings(1.0, 40_000, 0.5, 0.0, 0.1, 0.0),  # example 6.6 of Sutton and Barto,
    "windy": Settings(1.0, 20_000, 0.5, 0.0, 0.1, 0.0),  # and their example 6.5
    "8x8": Settings(0.95, 100_000, 1.0, 0.5, 0.2, 0.1),
    "four_rooms": Settings(0.95, 40_000, 0.5, 0.4, 0.1, 0.5),
    "teleports": Settings(0.95, 20_000, 1.0, 0.6, 0.3, 40.0)}


# The exact answers of a world: the `planning.Optimum` of policy iteration, the visits (S,) of its
# policy, how many rounds each solver needed, by name, and the largest difference of their values.
Solution = namedtuple("Solution", "optimum visits rounds disagreement")


# R runs of one learner, judged POINTS times: the steps of each run so far, (POINTS,) int;
# ‖Q − Q*‖∞ and the exact J of the greedy policy, (POINTS, R), NaN where it never ends; its share of
# the optimum in the end, (R,), NaN where there is none; and seconds.
ValueCurve = namedtuple("ValueCurve", "method steps errors values shares seconds")


# What the job finds: the name of a world, its GridWorld, Settings and Solution, and a ValueCurve
# for each learner.
Values = namedtuple("Values", "name grid settings solution curves")


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
                    {name: other.rounds for name, other in found.items()}, float(max(differences)))


def learn_values(mdp, optimum, method, *, seed, runs, settings=Settings()):
    """The `ValueCurve` of one of VALUE_LEARNERS; run i draws from the seed [seed, i].

    `optimum` is that of `planning`.
    """
    began, judge = perf_counter(), referee(mdp)
    record = learners(mdp, rng=[[seed, run] for run in range(runs)],
                      tables=2 if method == "double_q_learning" else 1,
                      initial_value=settings.initial_value)
    records = list(islice(VALUE_LEARNERS[method](
        mdp, record, learning_rate=settings.learning_rate, decay=settings.decay,
        exploration=epsilon_greedy(settings.exploration_rate), truth=optimum.action_values,
        steps_per_iteration=settings.steps // POINTS), POINTS))
    scores = [[judge(greedy(Q)) for Q in record.Q] for record in records]
    return ValueCurve(method, np.array([record.steps for record in records]),
                      np.array([record.metrics["error/max"] for record in records]),
                      each(scores, "objective"), each(scores[-1:], "share")[0],
                      perf_counter() - began)


def greedy(Q):
    """The greedy policy of action values, (S, A)."""
    return np.eye(Q.shape[1])[Q.argmax(axis=1)]


def each(scores, name):
    """A field of all `Score`s in lists of lists: an array of floats, NaN where there is none."""
    return np.array([[getattr(score, name) for score in some] for some in scores], float)


def spread(numbers, quantiles=(0.1, 0.5, 0.9)):
    """Quantiles, 10 %, median and 90 %, along the last axis, each the number of a run that exists.

    Of an even number of runs the median is the lower of the two in the middle.  A run that is not a
    number is worse than any other, so it counts as −∞.
    """
    ranked = np.where(np.isnan(numbers), -np.inf, numbers)
    return np.quantile(ranked, quantiles, axis=-1, method="lower")


# What is asked for, printed and written.


def value_rows(curves):
    """The last point of each curve, with None where there is no number: a list of dicts.

    `error` and `value` are lists: 10 %, median, 90 % of the runs.
    """
    return [{"method": curve.method,
             "error": [known(x) for x in spread(curve.errors[-1])],
             "value": [known(x) for x in spread(curve.values[-1])],
             "share": known(spread(curve.shares)[1]), "steps": int(curve.steps[-1]),
             "runs": curve.errors.shape[1], "seconds": curve.seconds} for curve in curves]


def known(value):
    """A number, or None if it is none."""
    return float(value) if np.isfinite(value) else None


def solution_text(found):
    """A world, its best policy, values and visits, and how well three solvers agree."""
    solution, gamma = found.solution, found.settings.gamma
    drawings = {"best policy": policy_text(found.grid, solution.optimum.policy),
                "values": values_text(found.grid, solution.optimum.values),
                f"{'expected' if gamma == 1 else 'discounted'} visits":
                    visits_text(found.grid, solution.visits)}
    drawn = side_by_side(drawings)
    if max(map(len, drawn.split("\n"))) > WIDTH:
        drawn = page(*(f"{title}\n{block}" for title, block in drawings.items()))
    rounds = ", ".join(f"{solver} {count}" for solver, count in solution.rounds.items())
    return page(
        f"{found.name}, gamma {gamma:g}: the optimum is J* = {solution.optimum.objective:.6f}\n\n"
        f"{drawn}",
        f"Solved three times, with these numbers of rounds: {rounds}.  The values differ by at "
        f"most {solution.disagreement:.0e}.")


def curves_text(found):
    """The final figures of the learners: 10 %, median and 90 % of the runs."""
    rows, settings = value_rows(found.curves), found.settings
    lost = [row["method"] for row in rows if row["value"][1] is None
            or row["share"] is not None and row["share"] < ARRIVED]
    missed = [f"Did not get there with these settings: {', '.join(lost)}."] if lost else []
    return page(
        in_columns(", , |Q - Q*|, , , J greedy, , share\n"
                   "method" + 2 * ", 10 %, median, 90 %" + ", median",
                   [(row["method"], *row["error"], *row["value"], row["share"]) for row in rows],
                   (0, *6 * [3], 4)),
        f"{rows[0]['runs']} runs of {rows[0]['steps']:,} steps each, with learning rate "
        f"{settings.learning_rate:g}, decay {settings.decay:g}, exploration rate "
        f"{settings.exploration_rate:g} and initial value {settings.initial_value:g}.  |Q - Q*| is "
        f"the largest error of an action value; J is the exact value of the greedy policy from the "
        f"start, null where it never ends; share is 1 - (J* - J)/|J*|.  sarsa and expected_sarsa "
        f"learn what their exploring policy is worth, which is not Q*.", *missed)


def _run(arguments, progress):
    name, grid = chosen_world(arguments)
    usual = SETTINGS.get(arguments.world if arguments.map is None else None, Settings())
    settings = usual._replace(**{field: getattr(arguments, field) for field in Settings._fields
                                 if getattr(arguments, field) is not None})
    timed, mdp = stopwatch(1 + len(VALUE_LEARNERS), progress), grid.mdp(gamma=settings.gamma)
    solution, _ = timed("planning", lambda: solve_world(mdp))
    curves = [timed(method, lambda: learn_values(
        mdp, solution.optimum, method, seed=arguments.seed, runs=arguments.runs,
        settings=settings))[0] for method in VALUE_LEARNERS]
    return Values(name, grid, settings, solution, curves)


def _document(found):
    solution = found.solution
    return {"world": found.name, "gamma": found.settings.gamma,
            "optimum": solution.optimum.objective, "disagreement": solution.disagreement,
            "rounds": solution.rounds, "methods": value_rows(found.curves)}


VALUES = Job("values", __doc__, _run, curves_text, {
    "runs": {"type": integer(1), "default": 20, "help": "of each learner (20)"},
    "gamma": {"type": number(0, 1), "metavar": "G",
              "help": "discount (0.95; 1 on cliff and windy)"},
    "steps": {"type": integer(POINTS), "metavar": "N",
              "help": f"of each run, a multiple of {POINTS}; episodes are cut after 200"},
    "learning-rate": {"type": number(1e-6, 1), "metavar": "A",
                      "help": "step size of the first update"},
    "decay": {"type": number(0, 1), "metavar": "D",
              "help": "the nth update of a step has step size A / n^D"},
    "exploration-rate": {"type": number(0, 1), "metavar": "E", "help": "share of random actions"},
    "initial-value": {"type": number(-1e6, 1e6), "metavar": "Q",
                      "help": "of every action; optimistic if large"}, "seed": SEED},
    WORLDS, _document, solution_text, lambda figures, found: figures.values_figures(found))
