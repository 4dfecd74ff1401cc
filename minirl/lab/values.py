"""Learning values: a world solved exactly, and four learners on their way to Q*.

The world is solved three times, by different solvers, and their largest difference is reported.
Where they disagree, the states are named.  A solver that does not settle is left out, and so is the
linear programme on a large map; both are said.

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
from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import NamedTuple

import numpy as np

from gridworld.draw import policy_text, side_by_side, values_text, visits_text
from gridworld.maps import WORLDS
from minirl.console import counted, integer, number
from minirl.exact.evaluation import evaluate_all, occupancy
from minirl.exact.gains import DOUBT
from minirl.exact.planning import (best_actions, disagreement, linear_programme,
                                   modified_policy_iteration, policy_iteration, value_iteration)
from minirl.exact.scorecard import objective, share_of_optimum
from minirl.lab.job import SEED, Job, chosen_world, stopwatch
from minirl.lab.summary import known, spread
from minirl.lab.table import WIDTH, bar, in_columns, page, shortest
from minirl.play.exploration import epsilon_greedy
from minirl.play.q_learning import double_q_learning, expected_sarsa, learners, q_learning, sarsa

VALUE_LEARNERS = {"q_learning": q_learning, "double_q_learning": double_q_learning,
                  "sarsa": sarsa, "expected_sarsa": expected_sarsa}
POINTS = 20  # of a learning curve
ARRIVED = 0.5  # the share of the optimum below which nobody arrived
APART = 1e-6   # the relative difference from which two values disagree
NAMED = 5      # states, of those in which solvers disagree
PROGRAMMED = 2500  # states that the linear programme is asked about, in a few seconds
BUDGET = 10**5     # sweeps of value iteration, and fewer if
LOOKED_AT = 10**9    # entries of the transitions have been looked at
EVALUATION = 50    # sweeps in a round of modified policy iteration


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


# The exact answers of a world: the `planning.Optimum` of policy iteration, all best actions (S, A)
# bool, the visits (S,) of its policy, how many rounds each solver needed, by name, and the largest
# difference of their values; why some solvers are left out, by name; and the values (S,) of those
# that disagree, NaN where they agree.
Solution = namedtuple("Solution", "optimum best visits rounds disagreement left_out apart",
                      defaults=[{}, {}])


# R runs of one learner, judged POINTS times: the steps of each run so far, (POINTS,) int;
# ‖Q − Q*‖∞ and the exact J of the greedy policy, (POINTS, R), NaN where it never ends; its share of
# the optimum in the end, (R,), NaN where there is none; seconds; and its last actions, (R, S).
ValueCurve = namedtuple("ValueCurve", "method steps errors values shares seconds actions",
                        defaults=[()])


# What the job finds: the name of a world, its GridWorld, Settings and Solution, and a ValueCurve
# for each learner.
Values = namedtuple("Values", "name grid settings solution curves")


def solve_world(mdp) -> Solution:
    """The `Solution` of a world.

    Modified policy iteration is asked where value iteration does not settle.  Raises ValueError
    where there is no solution: at gamma 1, if some state cannot reach an end, or the optimum is
    infinite.
    """
    optimum = policy_iteration(mdp)
    found, left_out = {"policy iteration": optimum}, {}
    asked = ~np.isnan(optimum.values)
    # Where values are large, their rounding is all that the last sweeps change.
    rounding = DOUBT * np.abs(optimum.values[asked]).max(initial=0) / ((1 - mdp.gamma) or 1)
    tol = 1e-11 * (1 + abs(optimum.objective)) + 10 * rounding
    sweeps = min(BUDGET, LOOKED_AT // max(mdp.transitions.nnz, 1))
    rounds = 1 + 4 * sweeps // EVALUATION  # since a sweep of one of four actions costs a quarter

    def ask(name, solve, failure):
        try:
            found[name] = solve()
        except ValueError:
            left_out[name] = failure

    ask("value iteration", lambda: value_iteration(mdp, tol=tol, max_sweeps=sweeps),
        f"not settled after {counted(sweeps, 'sweep', ',')}")
    if left_out:
        ask("modified policy iteration", lambda: modified_policy_iteration(
            mdp, tol=tol, evaluation_sweeps=EVALUATION, max_sweeps=rounds),
            f"not settled after {counted(rounds, 'round', ',')}")
    if asked.size <= PROGRAMMED:
        ask("linear programme", lambda: linear_programme(mdp), "not settled")
    else:
        left_out["linear programme"] = f"not tried with more than {PROGRAMMED:,} states"
    differences = {name: np.abs(other.values - optimum.values) for name, other in found.items()}
    apart = {name: np.where((disagreement(optimum, other) > APART) & (differences[name] > 10 * tol),
                            other.values, np.nan) for name, other in found.items()}
    return Solution(optimum, best_actions(mdp, optimum), occupancy(mdp, optimum.policy),
                    {name: other.rounds for name, other in found.items()},
                    float(max(difference[asked].max() for difference in differences.values())),
                    left_out, {name: values for name, values in apart.items()
                               if not np.isnan(values).all()})


def learn_values(mdp, optimum, method, *, seed, runs, settings=Settings()) -> ValueCurve:
    """The `ValueCurve` of one of VALUE_LEARNERS; run i draws from the seed [seed, i].

    `optimum` is that of `planning`.
    """
    began, best = perf_counter(), objective(mdp, optimum.policy)
    record = learners(mdp, rng=[[seed, run] for run in range(runs)],
                      tables=2 if method == "double_q_learning" else 1,
                      initial_value=settings.initial_value)
    records = list(islice(VALUE_LEARNERS[method](
        mdp, record, learning_rate=settings.learning_rate, decay=settings.decay,
        exploration=epsilon_greedy(settings.exploration_rate), truth=optimum.action_values,
        steps_per_iteration=settings.steps // POINTS), POINTS))
    actions = np.array([record.Q.argmax(axis=2) for record in records])
    values = worth(mdp, actions)
    return ValueCurve(method, np.array([record.steps for record in records]),
                      np.array([record.metrics["error/max"] for record in records]),
                      values, np.array([share_of_optimum(J, best) for J in values[-1]], float),
                      perf_counter() - began, actions[-1])


def worth(mdp, actions):
    """J of policies that take the same action (..., S) in a state, NaN where one never ends."""
    values = evaluate_all(mdp, actions.reshape(-1, mdp.shape[0]))
    return np.where(mdp.start > 0, mdp.start * values, 0).sum(axis=1).reshape(actions.shape[:-1])


# What is asked for, printed and written.


TIMES = {1: "once", 2: "twice", 3: "three times"}


def value_rows(curves):
    """The last point of each curve, with None where there is no number: a list of dicts.

    `error` and `value` are lists: 10 %, median, 90 % of the runs.
    """
    return [{"method": curve.method,
             "error": [known(x) for x in spread(curve.errors[-1])],
             "value": [known(x) for x in spread(curve.values[-1])],
             "share": known(spread(curve.shares)[1]), "steps": int(curve.steps[-1]),
             "runs": curve.errors.shape[1], "seconds": curve.seconds} for curve in curves]


def listed(table):
    """A table as lists of numbers, with None where there is none.

    >>> listed(np.array([[1, np.nan], [-np.inf, 0.5]]))
    [[1.0, None], [None, 0.5]]
    """
    return [listed(row) for row in table] if np.ndim(table) else known(table)


def solution_text(found):
    """A world, all its best moves, values and visits, and how well three solvers agree."""
    solution, gamma = found.solution, found.settings.gamma
    drawings = {"best moves": policy_text(found.grid, solution.best),
                "values": values_text(found.grid, solution.optimum.values),
                f"{'expected' if gamma == 1 else 'discounted'} visits":
                    visits_text(found.grid, solution.visits)}
    drawn = side_by_side(drawings)
    if max(map(len, drawn.split("\n"))) > WIDTH:
        drawn = page(*(f"{title}\n{block}" for title, block in drawings.items()))
    rounds = ", ".join(f"{solver} {count}" for solver, count in solution.rounds.items())
    solved = f"Solved {TIMES[len(solution.rounds)]}, with these numbers of rounds: {rounds}.  " + (
        f"The values differ by at most {solution.disagreement:.0e}." if len(solution.rounds) > 1
        else "No other solver confirms it.")
    if solution.left_out:
        solved += "  Left out: " + "; ".join(map(", ".join, solution.left_out.items())) + "."
    return page(f"{found.name}, gamma {shortest(gamma)}: the optimum is J* = "
                f"{solution.optimum.objective:.6f}\n\n{drawn}", solved, *apart_text(found))


def apart_text(found) -> Iterator[str]:
    """For each solver that disagrees with policy iteration: in which cells, and by how much."""
    values, columns = found.solution.optimum.values, found.grid.shape[1]
    for solver, others in found.solution.apart.items():
        states = np.flatnonzero(~np.isnan(others))
        cells = [f"row {s // columns + 1}, column {s % columns + 1}: {others[s]:.6g} and not "
                 f"{values[s]:.6g}" for s in states[:NAMED]]
        more = [f"and {states.size - NAMED} more"] if states.size > NAMED else []
        yield (f"Not certain: {solver} disagrees in {counted(states.size, 'state')} ("
               + "; ".join(cells + more) + ")."
               + ("  It also counts going on for ever, which at gamma 1 may be worth more than any "
                  "end." if found.settings.gamma == 1 and "iteration" in solver else ""))


def curves_text(found):
    """The final figures of the learners: 10 %, median and 90 % of the runs."""
    rows, settings = value_rows(found.curves), found.settings
    lost = [row["method"] for row in rows if row["value"][1] is None
            or row["share"] is not None and row["share"] < ARRIVED]
    missed = [f"Did not get there with these settings: {', '.join(lost)}."] if lost else []
    return page(
        in_columns(", , |Q - Q*|, , , J greedy, , share, \n"
                   "method" + 2 * ", 10 %, median, 90 %" + ", median, ",
                   [(row["method"], *row["error"], *row["value"], row["share"], bar(row["share"]))
                    for row in rows], (0, *6 * [3], 4, 0)),
        f"{counted(rows[0]['runs'], 'run')} of {counted(rows[0]['steps'], 'step', ',')} each, "
        f"with learning rate {shortest(settings.learning_rate)}, decay {shortest(settings.decay)}, "
        f"exploration rate {shortest(settings.exploration_rate)} and initial value "
        f"{shortest(settings.initial_value)}.  |Q - Q*| is the largest error of an action value; J "
        f"is the exact value of the greedy policy from the start, null where it never ends; share "
        f"is 1 - (J* - J)/|J*|.  sarsa and expected_sarsa learn what their exploring policy is "
        f"worth, which is not Q*.", *missed)


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
    optimum = solution.optimum
    return {"world": found.name, "gamma": found.settings.gamma, "optimum": optimum.objective,
            "disagreement": solution.disagreement, "rounds": solution.rounds,
            "left_out": solution.left_out,
            "apart": {solver: listed(values) for solver, values in solution.apart.items()},
            "shape": found.grid.shape, "moves": found.grid.moves, "policy": listed(optimum.policy),
            "best_actions": solution.best.tolist(),
            "values": listed(optimum.values), "action_values": listed(optimum.action_values),
            "visits": listed(solution.visits), "methods": value_rows(found.curves),
            "curves": {curve.method: {"steps": listed(curve.steps), "errors": listed(curve.errors),
                                      "values": listed(curve.values)} for curve in found.curves},
            "actions": {curve.method: np.asarray(curve.actions).tolist() for curve in found.curves}}


VALUES = Job("values", __doc__, _run, curves_text, arguments={
    "runs": {"type": integer(1), "default": 20, "help": "of each learner (20)"},
    "gamma": {"type": number(0, 1), "metavar": "G",
              "help": "discount (0.95; 1 on cliff and windy)"},
    "steps": {"type": integer(POINTS, multiple=POINTS), "metavar": "N",
              "help": f"of each run, a multiple of {POINTS}; episodes are cut after 200"},
    "learning-rate": {"type": number(1e-6, 1), "metavar": "A",
                      "help": "step size of the first update"},
    "decay": {"type": number(0, 1), "metavar": "D",
              "help": "the nth update of a step has step size A / n^D"},
    "exploration-rate": {"type": number(0, 1), "metavar": "E", "help": "share of random actions"},
    "initial-value": {"type": number(-1e6, 1e6), "metavar": "Q",
                      "help": "of every action; optimistic if large"}, "seed": SEED},
    worlds=WORLDS, document=_document, drawing=solution_text,
    draw=lambda figures, found: figures.values_figures(found))
