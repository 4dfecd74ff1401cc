"""Four learners of policies on one world, many runs of each, judged exactly along the way.

REINFORCE, A2C and the two forms of PPO play the same world.  At twenty points of every run the
policy as it is then, stochastic, is evaluated by one linear solve and compared with the optimum.
The world is a grid, or the language model of the demonstration, where J is the reward minus β times
the KL to the reference.  The learners are the same functions on both.

Runs do not know of each other, so they are shared out among the processor's cores.  A run gives the
same numbers wherever it is played.
"""

import os
import signal
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import current_process, get_context
from threading import Thread
from time import perf_counter
from types import ModuleType
from typing import NamedTuple

import numpy as np

from gridworld.maps import WORLDS
from minirl.checkpoints import storable
from minirl.console import counted, integer, number
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import Score, referee
from minirl.kernel.mdp import TabularMDP
from minirl.lab.job import SEED, Job, chosen_world, stopwatch
from minirl.lab.keeping import CHECKPOINT, Keeper, keeper
from minirl.lab.running_example import CORPUS, FITTED, bigram_of, corpus_of, running_example
from minirl.lab.summary import each, known, spread
from minirl.lab.table import bar, fixed, in_columns, page, shortest
from minirl.lab.values import POINTS
from minirl.people.regularised import referee_near
from minirl.people.rlhf import step_rewards
from minirl.play.actor_critic import actor_critic
from minirl.play.optim import linear
from minirl.play.ppo import ppo
from minirl.play.ppo_kl import ppo_kl
from minirl.play.reinforce import reinforce
from minirl.play.training import Training, after, environment_rewards, start
from toy_lm.align import BETA

LANGUAGE = "language"  # the name of the world you can read


class Problem(NamedTuple):
    """A world to learn, and what is known about it."""

    mdp: TabularMDP
    logits: np.ndarray  # (S, A) where learning starts; on the language model the reference
    beta: float         # price of a nat of KL to it; None on a grid
    optimum: float      # J*

    @property
    def judge(self) -> Callable[..., Score]:
        """A function from a policy to its `scorecard.Score`."""
        if self.beta is None:
            return referee(self.mdp)
        return referee_near(self.mdp, self.logits, beta=self.beta)

    @property
    def rewards(self):
        """The reward seam: what the world pays, minus the price of leaving the reference."""
        if self.beta is None:
            return environment_rewards
        return step_rewards(self.mdp.mean_reward, self.logits, beta=self.beta)


# R runs of one learner, judged at the start and POINTS times after: the iterations so far,
# (POINTS + 1,) int; the steps of the environment of each run in all, (R,) int; the exact J and the
# share of the optimum, (POINTS + 1, R), NaN where they do not exist; and the seconds of all runs,
# one after another.
PolicyCurve = storable(namedtuple(
    "PolicyCurve", "method iterations steps values shares seconds"))


# What the job finds: the name of a world, its Problem, a PolicyCurve for each learner, what was
# asked for, and the file of a corpus of one's own, or None.
Policies = namedtuple("Policies", "name problem curves seed episodes horizon file", defaults=[None])


def grid_problem(mdp) -> Problem:
    """The `Problem` of a world that pays for itself, from the uniform policy.

    Raises ValueError where the optimum does not exist.
    """
    return Problem(mdp, np.zeros(mdp.shape), None, policy_iteration(mdp).objective)


def language_problem(beta, items=None) -> Problem:
    """The `Problem` of the demonstration: easy to say, and not far from the reference.

    That is the bigram of the items, or of the Unicode words.

    Raises ValueError where it has no optimum at this beta.
    """
    example = running_example(bigram_of(items), beta)
    return Problem(example.world, example.reference, beta, example.optimum.objective)


# REINFORCE with a learned value table as baseline; A2C with normalised advantages and an entropy
# bonus in the first half; and the two forms of PPO with their defaults.
POLICY_LEARNERS = {
    "reinforce": partial(reinforce, learning_rate=linear(0.1, 0.0)),
    "actor_critic": partial(actor_critic, normalize_advantage=True, learning_rate=linear(0.1, 0.0),
                            ent_coef=linear(0.3, 0.0, 0.5)),
    "ppo": ppo, "ppo_kl": ppo_kl}


@storable
class RunOfPolicy(NamedTuple):
    """A run so far."""

    record: Training
    scores: list    # its `Score` at every point so far
    seconds: float  # of training


def learn_policies(problem, methods, *, seed, runs, iterations, episodes, horizon, progress,
                   kept=None) -> Iterator[PolicyCurve]:
    """Yield the `PolicyCurve` of each of some POLICY_LEARNERS.

    Run i draws from the seed [seed, i].  There are at least POINTS iterations, and all runs go on
    from point to point together.  `progress` is called with a line of text at each point of a run,
    and a `keeping.Keeper` keeps what is done.
    """
    so_far, judge, points = (kept := kept or Keeper()).begun, problem.judge, judged_at(iterations)
    for i in range(runs):
        record = start(problem.logits, rng=[seed, i])
        for method in methods:
            so_far.setdefault((method, i), RunOfPolicy(record, [judge(record.policy)], 0.0))
    left = sum(len(points) - len(run.scores) for run in so_far.values())
    limits, timed = (iterations, episodes, horizon), stopwatch(left, progress)
    with _workers(len(so_far)) as share_out:
        for k, point in enumerate(points):
            behind = [name for name, run in so_far.items() if len(run.scores) == k]
            results = share_out(climb_on, [(problem, name[0], so_far[name].record, point, *limits)
                                           for name in behind])
            for name in behind:
                (record, seconds), _ = timed(name[0], lambda: next(results))
                _, scores, before = so_far[name]
                so_far[name] = RunOfPolicy(record, [*scores, judge(record.policy)],
                                           before + seconds)
                kept.write()
    for method in methods:
        found = [so_far[method, i] for i in range(runs)]
        scores = [run.scores for run in found]
        yield PolicyCurve(method, points, np.array([run.record.steps for run in found]),
                          each(scores, "objective").T, each(scores, "share").T,
                          sum(run.seconds for run in found))


def climb_on(task) -> tuple[Training, float]:
    """The record of a run at its next point, and the seconds on the way there, of a task (problem,
    method, record, point, iterations, episodes, horizon)."""
    problem, method, record, point, iterations, episodes, horizon = task
    began = perf_counter()
    trainer = POLICY_LEARNERS[method](problem.mdp, record, rewards=problem.rewards,
                                      iterations=iterations, episodes=episodes, horizon=horizon)
    return after(trainer, point - record.iteration), perf_counter() - began


def judged_at(iterations):
    """The iterations after which a run is judged, from 0 to the last: (POINTS + 1,) int."""
    return np.arange(POINTS + 1) * iterations // POINTS


@contextmanager
def _workers(tasks):
    """A `map` that shares tasks out among the cores; without help for one task or on one core.

    Nor is there help where this process is itself a helper that may have none.
    """
    processes = min(tasks, os.cpu_count() or 1)
    if processes == 1 or current_process().daemon:
        yield map
        return
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_help, initargs=[theirs])

    def share_out(function, tasks):
        # A helper that begins imports the program that was started, which may call us again: it is
        # shown an empty one.
        program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            with _interrupts_wait():
                futures = [pool.submit(function, task) for task in tasks]
        finally:
            sys.modules["__main__"] = program
        # The pool's own `map` takes back, at an interrupt, what its thread is failing at that time.
        return (future.result() for future in futures)

    try:
        yield share_out
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        ours.close()


@contextmanager
def _interrupts_wait():
    """Helpers that begin in here hear of an interrupt when they have begun, and we after it."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover - as on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _help(lifeline):
    """How a helper begins: an interrupt ends it without a word, and so does the end of its parent,
    which closes the other end of a pipe, however that comes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):  # pragma: no branch - always but on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Thread(target=_follow, args=[lifeline], daemon=True).start()


def _follow(lifeline):
    lifeline.poll(None)
    os._exit(1)


# What is asked for, printed and written.


def policy_rows(curves):
    """The last point of each curve, with None where there is no number: a list of dicts.

    A run whose policy has no J is worse than any other.
    """
    rows = []
    for curve in curves:
        worst, median, best = map(known, spread(curve.values[-1], (0.0, 0.5, 1.0)))
        worst_share, share = map(known, spread(curve.shares[-1], (0.0, 0.5)))
        rows.append({"method": curve.method, "worst": worst, "median": median, "best": best,
                     "share_worst": worst_share, "share": share, "steps": int(curve.steps.sum()),
                     "runs": curve.steps.size, "seconds": curve.seconds,
                     "iterations": curve.iterations.tolist(),
                     "values": [[known(value) for value in point] for point in curve.values]})
    return rows


def policies_text(found):
    """The final figures of the learners of policies: worst, median and best of the runs."""
    problem, curves = found.problem, found.curves
    if problem.beta is None:
        price, share = f"gamma {shortest(problem.mdp.gamma)}", "1 - (J* - J)/|J*|"
    else:
        price = f"beta {shortest(problem.beta)}"
        share = "(J - J(ref)) / (J* - J(ref)), where the reference is the first policy"
    iterations, runs = curves[0].iterations[-1], curves[0].steps.size
    return page(
        f"{found.name}, {price}: the optimum is J* = {problem.optimum:.6f},\n"
        f"the first policy is worth {fixed(known(curves[0].values[0, 0]), 6)}.",
        in_columns(", J, , , share, , , steps, seconds\n"
                   "method, worst, median, best, worst, median, , of a run, of a run",
                   [(row["method"], row["worst"], row["median"], row["best"], row["share_worst"],
                     row["share"], bar(row["share"]), row["steps"] // row["runs"],
                     row["seconds"] / row["runs"])
                    for row in policy_rows(curves)], (0, 3, 3, 3, 4, 4, 0, 0, 1)),
        f"{counted(runs, 'run')} of {counted(iterations, 'iteration')}.  J is exact, of the "
        f"stochastic policy as it is; null where episodes do not end.  Share is {share}." +
        (f"  The reference is the bigram of {found.file}.  {FITTED}" if found.file else ""))


def _run(arguments, progress):
    name, grid = chosen_world(arguments)
    gamma, beta, file = arguments.gamma, arguments.beta, None
    if grid is None:
        if gamma is not None:
            raise ValueError("--gamma is for gridworlds: strings are not discounted")
        items, file = corpus_of(arguments.corpus)
        problem = language_problem(BETA if beta is None else beta, items)
    else:
        for option in "beta", "corpus":
            if getattr(arguments, option) is not None:
                raise ValueError(f"--{option} is for the language model: give --world {LANGUAGE} "
                                 f"too")
        problem = grid_problem(grid.mdp(gamma=0.99 if gamma is None else gamma))
    methods = list(POLICY_LEARNERS) if arguments.learner is None else [arguments.learner]
    limits = {"episodes": arguments.episodes, "horizon": arguments.horizon}
    kept = keeper(arguments)
    curves = kept.whole(lambda: list(learn_policies(
        problem, methods, seed=arguments.seed, runs=arguments.runs, progress=progress, kept=kept,
        iterations=arguments.iterations, **limits)))
    return Policies(name, problem, curves, arguments.seed, **limits, file=file)


def _document(found):
    problem = found.problem
    return {"world": found.name, "gamma": problem.mdp.gamma, "beta": problem.beta,
            "optimum": problem.optimum, "before": known(found.curves[0].values[0, 0]),
            "seed": found.seed, "episodes": found.episodes, "horizon": found.horizon,
            "methods": policy_rows(found.curves)}


POLICIES = Job("policies", __doc__, _run, policies_text, arguments={
    "gamma": {"type": number(0, 1), "help": "discount of a gridworld (0.99)"},
    "beta": {"type": number(1e-6, 1e6), "help": f"with --world {LANGUAGE}, the language model of "
             "the demonstration: price of a nat of KL to the reference (0.5)"},
    "corpus": {**CORPUS, "help": f"with --world {LANGUAGE}: {CORPUS['help']}"},
    "runs": {"type": integer(1), "default": 4, "help": "of each learner (4)"},
    "iterations": {"type": integer(POINTS), "default": 400,
                   "help": "of each run (400); all schedules end there"},
    "episodes": {"type": integer(1), "default": 512,
                 "help": "played in an iteration (512); for 8x8 take 1024"},
    "horizon": {"type": integer(1), "default": 200,
                "help": "episodes are cut after this many steps (200)"},
    "learner": {"choices": POLICY_LEARNERS, "help": "only this one (all four)"}, "seed": SEED,
    "checkpoint": CHECKPOINT},
    worlds=(*WORLDS, LANGUAGE), document=_document,
    draw=lambda figures, found: figures.policies_figures(found))
