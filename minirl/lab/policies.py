"""Four learners of policies on one world, many runs of each, judged exactly along the way.

REINFORCE, A2C and the two forms of PPO play the same world.  At twenty points of every run the
policy as it is then, stochastic, is evaluated by one linear solve and compared with the optimum.
The world is a grid, or the language model of the main job, where J is the reward minus β times the
KL to the reference.  The learners are the same functions on both.

Runs do not know of each other, so they are shared out among the processor's cores.  A run gives the
same numbers wherever it is played.
"""

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from time import perf_counter
from typing import NamedTuple

import numpy as np

from minirl.play.actor_critic import actor_critic
from minirl.exact.evaluation import NoEnd, evaluate
from minirl.lab.main_job import fit_corpus, measure
from minirl.kernel.mdp import TabularMDP
from minirl.play.optim import linear
from minirl.exact.planning import policy_iteration
from minirl.play.ppo import ppo
from minirl.play.ppo_kl import ppo_kl
from minirl.exact.regularised import regularised_optimum
from minirl.play.training import environment_rewards, start
from minirl.play.reinforce import reinforce
from minirl.people.rlhf import step_rewards
from minirl.kernel.softmax import log_softmax
from toy_lm.ngram import language
from toy_lm.corpora import unicode_words
from toy_lm.rewards import easy_to_say

POINTS = 20  # of a learning curve


class Problem(NamedTuple):
    """A world to learn, and what is known about it."""

    mdp: TabularMDP
    logits: np.ndarray  # (S, A) where learning starts; on the language model the reference
    beta: float         # price of a nat of KL to it; None on a grid
    optimum: float      # J*
    before: float       # J of the first policy


class Curve(NamedTuple):
    """R runs of one learner, judged at the start and POINTS times after."""

    method: str
    iterations: np.ndarray  # (POINTS + 1,) int
    steps: np.ndarray       # (R,) int, environment steps of each run in all
    values: np.ndarray      # (POINTS + 1, R) exact J; NaN where it does not exist
    seconds: float          # of all runs, one after another


def grid_problem(mdp):
    """The `Problem` of a world that pays for itself, from the uniform policy.

    Raises ValueError where the optimum does not exist.
    """
    logits = np.zeros(mdp.shape)
    problem = Problem(mdp, logits, None, policy_iteration(mdp).objective, np.nan)
    return problem._replace(before=objective(problem, logits))


def language_problem(beta):
    """The `Problem` of the main job: easy to say, and not far from the reference.

    Raises ValueError where it has no optimum at this beta.
    """
    vocabulary, reference, _ = fit_corpus(unicode_words())
    world = language(easy_to_say(vocabulary))
    best = regularised_optimum(world, reference, beta=beta)
    problem = Problem(world, reference, beta, best.objective, np.nan)
    return problem._replace(before=objective(problem, reference))


def objective(problem, logits):
    """J of a policy, exactly; NaN where it does not exist, since episodes do not end."""
    logp = log_softmax(logits)
    try:
        if problem.beta is not None:
            return measure(problem.mdp, logp, problem.logits, problem.beta)[2]
        values = np.nan_to_num(evaluate(problem.mdp, np.exp(logp)))
        return float(problem.mdp.start @ values)
    except NoEnd:
        return np.nan


def share(problem, value):
    """Of a grid 1 − (J* − J)/|J*|, of text (J − J(ref)) / (J* − J(ref)); None where J does not
    exist, or there is nothing to divide by."""
    gap = problem.optimum - value
    room = abs(problem.optimum) if problem.beta is None else problem.optimum - problem.before
    return float(1 - gap / room) if np.isfinite(gap) and room > 0 else None


def by_reinforce(problem, record, iterations, episodes, horizon):
    """REINFORCE with a learned value table as baseline."""
    return reinforce(problem.mdp, record, rewards=rewards_of(problem), episodes=episodes,
                     horizon=horizon, iterations=iterations, learning_rate=linear(0.1, 0.0))


def by_actor_critic(problem, record, iterations, episodes, horizon):
    """A2C with normalised advantages and an entropy bonus in the first half."""
    return actor_critic(problem.mdp, record, rewards=rewards_of(problem), episodes=episodes,
                        horizon=horizon, iterations=iterations, normalize_advantage=True,
                        learning_rate=linear(0.1, 0.0), ent_coef=linear(0.3, 0.0, 0.5))


def by_ppo(problem, record, iterations, episodes, horizon):
    """PPO, clipped, with its defaults."""
    return ppo(problem.mdp, record, rewards=rewards_of(problem), episodes=episodes, horizon=horizon,
               iterations=iterations)


def by_ppo_kl(problem, record, iterations, episodes, horizon):
    """PPO with a price on the KL to the old policy, with its defaults."""
    return ppo_kl(problem.mdp, record, rewards=rewards_of(problem), episodes=episodes,
                  horizon=horizon, iterations=iterations)


LEARNERS = {"reinforce": by_reinforce, "actor_critic": by_actor_critic, "ppo": by_ppo,
            "ppo_kl": by_ppo_kl}


def rewards_of(problem):
    """The reward seam: what the world pays, minus the price of leaving the reference, if any."""
    if problem.beta is None:
        return environment_rewards
    return step_rewards(problem.mdp.mean_reward, problem.logits, beta=problem.beta)


def run(task):
    """One run, (steps, J at every point, seconds), of a task (problem, method, seed, iterations,
    episodes, horizon)."""
    problem, method, seed, iterations, *limits = task
    began = perf_counter()
    record = start(problem.logits, rng=seed)
    trainer = LEARNERS[method](problem, record, iterations, *limits)
    values = [problem.before]
    for point in judged_at(iterations)[1:]:
        while record.iteration < point:
            record = next(trainer)
        values.append(objective(problem, record.logits))
    return record.steps, values, perf_counter() - began


def judged_at(iterations):
    """The iterations after which a run is judged, from 0 to the last: (POINTS + 1,) int."""
    return np.arange(POINTS + 1) * iterations // POINTS


def learn(problem, methods, *, seed, runs, iterations, episodes, horizon, progress):
    """Yield the `Curve` of each learner.

    Parameters
    ----------
    problem : Problem
    methods : list of str
        Names in LEARNERS.
    seed, runs : int
        Run i draws from the seed [seed, i].
    iterations : int ≥ POINTS
    episodes, horizon : int
        Of an iteration, and where an episode is cut.
    progress : callable
        Called with a line of text before each learner.
    """
    tasks = [(problem, method, [seed, i], iterations, episodes, horizon)
             for method in methods for i in range(runs)]
    with _workers(len(tasks)) as share_out:
        results = share_out(run, tasks)
        for method in methods:
            progress(method)
            steps, values, seconds = zip(*(next(results) for _ in range(runs)))
            yield Curve(method, judged_at(iterations), np.array(steps), np.array(values).T,
                        sum(seconds))


@contextmanager
def _workers(tasks):
    """A `map` that shares tasks out among the cores; without help for one task or on one core.

    An interrupt from the keyboard ends the helpers at once and without a word.
    """
    processes = min(tasks, os.cpu_count() or 1)
    if processes == 1:
        yield map
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"),
                               initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL))
    try:
        yield pool.map
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
