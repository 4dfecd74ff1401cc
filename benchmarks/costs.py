"""How time and memory grow with the size of the work: tokens, pairs, states, episodes, horizon.

Each curve does one job of the book at sizes that lie a constant factor apart.  Seconds are the
fastest of three; memory is the most that was allocated at one time by the job, its result included
and its input not, measured in a run of its own since watching slows it down.  The slope is that of
the line fitted to the logarithms: 1 means in proportion, 0 not at all.  Small sizes cost a fixed
time, which makes slopes smaller.
"""

import tracemalloc
from time import perf_counter
from typing import Callable, NamedTuple

import numpy as np

from gridworld.maps import LAKE_8X8, frozen_lake, teleports
from minirl.kernel.counts import select, table, two_matrices
from minirl.people.dpo import dpo_loss
from minirl.exact.evaluation import evaluate
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


CURVES = [
    Curve("strings sampled", "tokens", sampling, (10_000, 100_000, 1_000_000), (10_000_000,)),
    Curve("likelihood, gradient", "tokens", likelihood, (10_000, 100_000, 1_000_000),
          (10_000_000,)),
    Curve("PPO, four epochs", "tokens", four_epochs, (10_000, 100_000, 1_000_000), (10_000_000,)),
    Curve("DPO from strings", "pairs", preferences, (1000, 10_000, 100_000), (1_000_000,)),
    Curve("exact evaluation", "states", equations, (64, 256, 1024), (4096, 16384)),
    Curve("episodes of a lake", "episodes", episodes, (100, 1000, 10_000), (100_000,)),
    Curve("100 episodes, GAE", "horizon", horizon, (10, 100, 1000), (10_000,))]


def measure(job):
    """(seconds, bytes): the fastest of some runs, and the most that is allocated at one time."""
    seconds = []
    for _ in range(REPEATS):
        began = perf_counter()
        job()
        seconds.append(perf_counter() - began)
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


def text(*, full=False):
    """The table of all curves, measured now: str."""
    lines = [f"{'how costs grow':<22}{'size':>12} {'':<9}{'seconds':>12}{'peak MB':>11}"]
    for curve in CURVES:
        sizes = curve.sizes + curve.full * full
        seconds, memory = zip(*(measure(curve.prepare(size)) for size in sizes))
        for n, (size, time, peak) in enumerate(zip(sizes, seconds, memory)):
            lines.append(f"{curve.title if n == 0 else '':<22}{size:>12,} {curve.unit:<9}"
                         f"{time:>12.5f}{peak / 1e6:>11.2f}")
        lines.append(f"{'':<22}{'slope':>12} {'':<9}{slope(sizes, seconds):>12.2f}"
                     f"{slope(sizes, memory):>11.2f}")
    return "\n".join(lines)
