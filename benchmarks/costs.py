"""How time and memory grow with the size of the work: tokens, pairs, states, episodes, horizon.

Each curve does one job of the book at sizes that lie a constant factor apart.  Seconds are the
fastest of three; memory is the most that was allocated at one time by the job, its result included
and its input not, measured in a run of its own since watching slows it down.  The ones that
`counts` keeps are forgotten before, as small sizes would otherwise need none.  The slope is that of
the line fitted to the logarithms: 1 means in proportion, 0 not at all.  Small sizes cost a fixed
time, which makes slopes smaller.
"""

import tracemalloc
from collections.abc import Callable
from itertools import groupby
from time import perf_counter
from typing import NamedTuple

import numpy as np

from gridworld.maps import LAKE_8X8, frozen_lake, teleports
from minirl.console import progress
from minirl.kernel import counts
from minirl.kernel.counts import select, table, two_matrices
from minirl.people.dpo import dpo_loss
from minirl.exact.evaluation import evaluate
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.playing import rollout
from minirl.play.surrogate import collapse
from minirl.play.ppo import ppo_loss
from minirl.play.returns import gae
from minirl.people.sft import sft_loss
from toy_lm.ngram import sample

LOGITS, REFERENCE = np.random.default_rng(0).normal(size=(2, 27, 27))
REPEATS = 3


class Curve(NamedTuple):
    """A job at growing sizes."""

    title: str
    unit: str          # what the size counts
    prepare: Callable  # prepare(size) -> a job without arguments
    sizes: tuple
    full: tuple        # with --full as well


def text_of(tokens):
    """`Steps` of about this many tokens."""
    return sample(LOGITS, max(tokens // 25, 1), rng=0)


def sampling(tokens):
    return lambda: text_of(tokens)


def likelihood(tokens):
    steps = text_of(tokens)
    return lambda: sft_loss(LOGITS, table(steps))


def four_epochs(tokens):
    steps = text_of(tokens)
    advantages = np.random.default_rng(0).normal(size=steps.index.size)

    def job():
        batch = collapse(steps, advantages)
        for _ in range(4):
            ppo_loss(LOGITS, REFERENCE, batch)
    return job


def preferences(pairs):
    strings = sample(REFERENCE, 2 * pairs, rng=0)
    order = np.random.default_rng(0).permutation(2 * pairs)
    chosen, rejected = select(strings, order[:pairs]), select(strings, order[pairs:])
    return lambda: dpo_loss(LOGITS, REFERENCE, two_matrices(chosen, rejected), beta=0.5)


def lake_of(states):
    """A slippery lake without holes, as near to a square as powers of two can be."""
    wide = 2**(int(states).bit_length() // 2)
    cells = "S" + "F" * (states - 2) + "G"
    return frozen_lake("\n".join(cells[i:i + wide] for i in range(0, states, wide))).mdp(gamma=0.99)


def equations(states):
    world = lake_of(states)
    policy = np.full(world.shape, 0.25)
    return lambda: evaluate(world, policy)


def episodes(number):
    world = frozen_lake(LAKE_8X8).mdp(gamma=0.99)
    policy, starts = np.full(world.shape, 0.25), np.zeros(number, int)
    return lambda: rollout(world, policy, starts, horizon=100, rng=0)


def horizon(steps):
    world = teleports().mdp(gamma=0.99)  # where no episode ends
    policy, starts, values = np.full(world.shape, 0.25), np.zeros(100, int), np.zeros(25)

    def job():
        batch = rollout(world, policy, starts, horizon=steps, rng=0)
        gae(batch.rewards, batch, values, gamma=0.99, gae_lambda=0.95)
    return job


def one_long(steps):
    """10,000 episodes, all but one of a single step.  State 0 ends at once, state 1 never."""
    world = TabularMDP(prob=np.ones((2, 1, 1)), next_state=np.array([[[0]], [[1]]]),
                       reward=np.zeros((2, 1, 1)), terminated=np.array([[[True]], [[False]]]),
                       start=np.array([0.5, 0.5]), gamma=0.99)
    policy, starts = np.ones((2, 1)), np.arange(10_000) == 0
    return lambda: rollout(world, policy, starts.astype(int), horizon=steps, rng=0)


CURVES = [
    Curve("strings sampled", "tokens", sampling, (10_000, 100_000, 1_000_000), (10_000_000,)),
    Curve("likelihood, gradient", "tokens", likelihood, (10_000, 100_000, 1_000_000),
          (10_000_000,)),
    Curve("PPO, four epochs", "tokens", four_epochs, (10_000, 100_000, 1_000_000), (10_000_000,)),
    Curve("DPO from strings", "pairs", preferences, (1000, 10_000, 100_000), (1_000_000,)),
    Curve("exact evaluation", "states", equations, (64, 256, 1024), (4096, 16384)),
    Curve("episodes of a lake", "episodes", episodes, (100, 1000, 10_000), (100_000,)),
    Curve("one long among 10,000", "steps", one_long, (100, 1000, 10_000), (100_000,)),
    Curve("100 episodes, GAE", "horizon", horizon, (10, 100, 1000), (10_000,))]


def measure(job):
    """(seconds, bytes): the fastest of some runs, and the most that is allocated at one time."""
    seconds = []
    for _ in range(REPEATS):
        began = perf_counter()
        job()
        seconds.append(perf_counter() - began)
    counts._power_of_two_ones.cache_clear()
    tracemalloc.start()
    try:
        job()
        return min(seconds), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def slope(sizes, costs):
    """Of the line through the logarithms.

    Examples
    --------
    >>> round(slope([1, 10, 100], [3, 300, 30_000]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


class Cost(NamedTuple):
    """A job at one of its sizes, measured."""

    curve: str
    unit: str
    size: int
    seconds: float
    peak_mb: float


def run(*, full=False):
    """All curves, measured now: a list of Cost."""
    costs = []
    for curve in CURVES:
        progress(f"costs: {curve.title}")
        for size in curve.sizes + curve.full * full:
            seconds, peak = measure(curve.prepare(size))
            costs.append(Cost(curve.title, curve.unit, size, seconds, peak / 1e6))
    return costs


def text(costs):
    """The table of all costs, with the slopes of each curve.

    Examples
    --------
    >>> sums = Cost("sums", "numbers", 10, 0.5, 2.0)
    >>> print(text([sums, sums._replace(size=100, seconds=50.0, peak_mb=20.0)]))
    how costs grow                size               seconds    peak MB
    sums                            10 numbers       0.50000       2.00
                                   100 numbers      50.00000      20.00
                                 slope                  2.00       1.00
    """
    lines = [f"{'how costs grow':<22}{'size':>12} {'':<9}{'seconds':>12}{'peak MB':>11}"]
    for title, points in groupby(costs, key=lambda cost: cost.curve):
        points = list(points)
        for n, (_, unit, size, seconds, peak) in enumerate(points):
            lines.append(f"{title if n == 0 else '':<22}{size:>12,} {unit:<9}"
                         f"{seconds:>12.5f}{peak:>11.2f}")
        sizes, *grown = zip(*((cost.size, cost.seconds, cost.peak_mb) for cost in points))
        lines.append(f"{'':<22}{'slope':>12} {'':<9}"
                     + "".join(f"{slope(sizes, one):>{width}.2f}"
                               for one, width in zip(grown, (12, 11))))
    return "\n".join(lines)
