"""One hidden layer in the place of the table: on words, on grids and on preferences, by its size.

*Words*: a tenth of the Unicode words is held out.  A network reads the last one to four letters,
each in an embedding of eight numbers that is fitted with the rest.  There are 64 hidden units.
Beside it stand n-grams with the same memory, flat and as a tree (`toy_lm.contexts`).  Of the pulls
3, 10 and 30 each is the best on a tenth of the training items, and so is the weight of the tree.

*Grids*: PPO plays the slippery 4x4 lake and the cliff.  The features of a cell are its row and its
column, scaled to [-1, 1], and the critic is still a table.  Shares are exact.

*Preferences*: DPO moves the reference of the running example by a network of the last letter, with
a weak pull and with a strong one.

The tests train more runs, and longer ones, than this job, which is to be done in half a minute.
"""

from collections import namedtuple
from functools import partial

import numpy as np

from gridworld.maps import WORLDS
from minirl.beyond.network import (composed, embedded, forward, network_optimiser,
                                   random_params)
from minirl.checkpoints import storable
from minirl.console import counted, integer
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective, referee
from minirl.kernel.softmax import log_softmax
from minirl.lab.job import SEED, Job, stopwatch
from minirl.lab.keeping import CHECKPOINT, Keeper, keeper, trained
from minirl.lab.running_example import bigram_of, running_example
from minirl.lab.table import bar, in_columns, page
from minirl.people.dpo import dpo_loss, fit_dpo
from minirl.people.fitting import attracted, minimise
from minirl.people.sft import sft_loss
from minirl.play.optim import linear
from minirl.play.ppo import ppo
from minirl.play.training import start
from toy_lm.contexts import flat, look_up, tree
from toy_lm.corpora import held_out, unicode_words
from toy_lm.vocabulary import from_items

WEIGHT = 30.0  # of the tree
EMBEDDING = 8   # numbers for each letter
UNITS = 64
CHOSEN = {1: 3, 2: 10, 3: 30, 4: 30}  # the pull by letters
PLAYERS, ALIGNERS = (0, 2, 4, 16), (0, 1, 2, 4, 16)  # hidden units of the other two
LAKE, CLIFF = "4x4", "cliff"
PLAYED = {LAKE: {"episodes": 256, "horizon": 200}, CLIFF: {"episodes": 512, "horizon": 100}}
PAIRS = 20_000
PULLS = 2.0, 16.0  # of DPO, the weak and the strong one


class NetworkScale(namedtuple("NetworkScale", "fit lake cliff memories players aligners pairs",
                              defaults=(200, 400, 200, (1, 2, 3, 4), PLAYERS, ALIGNERS, PAIRS))):
    """How long the job works: iterations of a fit and of PPO; the memories and sizes it tries."""


# A memory of so many letters: held out, nats per character of n-grams, flat and as a tree, and of
# the network, which has so many params and so large a pull.
Memory = storable(namedtuple("Memory", "letters flat tree network params pull"))


# So many hidden units: lists of the shares of all runs, of PPO on the lake and on the cliff, and of
# DPO with the weak and the strong pull.  None stands for a table, of which there is one fit.
Player = storable(namedtuple("Player", "hidden lake cliff"))
Aligner = storable(namedtuple("Aligner", "hidden weak strong"))


# What the job finds: lists of `Memory`, `Player` and `Aligner`; J* of the lake and of the cliff;
# and how many runs of how many iterations there were.
Networks = storable(namedtuple(
    "Networks", "memories players aligners lake_optimum cliff_optimum pairs seed runs "
    "fit_iterations lake_iterations cliff_iterations"))


# Words.


def seen_contexts(steps):
    """The contexts that occur in `counts.Steps` of a language, and what came after each.

    Returns (contexts (n, order − 1), counts (n, A)).  The steps are numbered as in `Vocabulary`, so
    that the last digit of a state is the last letter.
    """
    S, A = steps.shape
    states, actions = np.divmod(steps.index, A)
    seen, place = np.unique(states, return_inverse=True)
    table = np.bincount(place.ravel() * A + actions, minlength=seen.size * A)
    letters = round(np.log(S) / np.log(A))
    return seen[:, None] // A**np.arange(letters)[::-1] % A, table.reshape(-1, A).astype(float)


class WordNetwork(namedtuple("WordNetwork", "params vocabulary letters hidden")):
    """A model of words: a network that reads the last letters."""

    def cost(self, items):
        """Nats per character of items, ends included."""
        contexts, table = seen_contexts(self.vocabulary.encode(items, order=self.letters + 1))
        return self.loss(contexts, table)(self.params)[0]

    def loss(self, contexts, table):
        """The imitation loss of params."""
        return embedded(partial(sft_loss, counts=table), contexts, symbols=self.vocabulary.size,
                        width=EMBEDDING, hidden=self.hidden)


def fit_words(items, vocabulary, letters, *, hidden, pull, iterations, rng) -> WordNetwork:
    """The `WordNetwork` of items after so many iterations of L-BFGS."""
    contexts, table = seen_contexts(vocabulary.encode(items, order=letters + 1))
    A, rng = vocabulary.size, np.random.default_rng(rng)
    first = np.concatenate([rng.normal(size=A * EMBEDDING),
                            random_params(letters * EMBEDDING, hidden, A, rng=rng)])
    model = WordNetwork(first, vocabulary, letters, hidden)
    loss = attracted(model.loss(contexts, table), np.zeros(first.size), pull / table.sum())
    return model._replace(params=minimise(loss, first, tol=1e-5, max_iterations=iterations).x)


def remember(letters, *, iterations, seed) -> Memory:
    """The `Memory` of so many letters."""
    words = unicode_words()
    vocabulary, (training, held) = from_items(words), held_out(words)
    network = fit_words(training, vocabulary, letters, hidden=UNITS, pull=CHOSEN[letters],
                        iterations=iterations, rng=[seed, letters])
    found = look_up(vocabulary, training, held, order=letters + 1)
    chances = flat(found, pseudo_count=0.1)[-1], tree(found, weight=WEIGHT)[-1]
    return Memory(letters, *(float(-np.log(chance).mean()) for chance in chances),
                  float(network.cost(held)), network.params.size, CHOSEN[letters])


# Grids.


def coordinates(shape):
    """Row and column of each cell of a grid (rows, columns), scaled to [-1, 1]: (S, 2)."""
    return np.stack([axis.ravel() for axis in np.meshgrid(
        *(np.linspace(-1, 1, size) for size in shape), indexing="ij")], axis=1)


def climb(mdp, x, *, hidden, iterations, rng, after=trained, **played):
    """log π after so many iterations of PPO, with a network of the features x."""
    params = random_params(x.shape[1], hidden, mdp.shape[1], rng=[*rng, 0], scale=2.0)
    record = start(forward(params, x, hidden=hidden)[0], rng=[*rng, 1])
    trainer = partial(ppo, mdp, iterations=iterations, learning_rate=linear(0.02, 0.0),
                      optimiser=network_optimiser(params, x, hidden=hidden), **played)
    return after(trainer, record, iterations).logp


# Preferences.


def fit_dpo_network(ref_logits, pairs, x, *, hidden, beta, pull, rng, iterations=400):
    """The logits of DPO where the table is the reference plus a network of the features x."""
    difference = pairs.difference
    first = random_params(x.shape[1], hidden, ref_logits.shape[1], rng=rng)
    loss = composed(lambda logits: dpo_loss(ref_logits + logits, ref_logits, difference, beta=beta),
                    x, hidden=hidden)
    found = minimise(attracted(loss, np.zeros(first.size), pull / len(pairs)), first, tol=1e-6,
                     max_iterations=iterations)
    return ref_logits + forward(found.x, x, hidden=hidden)[0]


# What the job does.


def measure_networks(seed=0, runs=2, scale=NetworkScale(), progress=lambda line: None,
                     kept=None) -> Networks:
    """All results: `Networks`.  A `keeping.Keeper` keeps what is done."""
    kept = kept or Keeper()
    timed = partial(stopwatch(len(scale.memories) + 2 * len(scale.players) + len(scale.aligners)
                              + 1, progress), piece=kept.piece)
    memories = [timed(f"words, {counted(letters, 'letter')}", partial(
        remember, letters, iterations=scale.fit, seed=seed))[0] for letters in scale.memories]
    grids = {name: WORLDS[name]() for name in (LAKE, CLIFF)}
    worlds = {name: grid.mdp(gamma=0.99) for name, grid in grids.items()}
    judges = {name: referee(world) for name, world in worlds.items()}
    example = running_example(bigram_of())
    pairs = example.preferences(scale.pairs, [seed, 1])

    def share(logits):
        return example.judge(np.exp(log_softmax(logits))).share

    def climbed(name, hidden, iterations):
        return [judges[name](np.exp(climb(
            worlds[name], coordinates(grids[name].shape), hidden=hidden, iterations=iterations,
            rng=[seed, run], after=kept.after, **PLAYED[name]))).share for run in range(runs)]

    def aligned(hidden):
        if hidden is None:
            fits = [[fit_dpo(example.reference, pairs, beta=example.beta, pull=pull).x]
                    for pull in PULLS]
        else:
            fits = [[fit_dpo_network(example.reference, pairs, np.eye(27), hidden=hidden,
                                     beta=example.beta, pull=pull, rng=[seed, run])
                     for run in range(runs)] for pull in PULLS]
        return [[share(logits) for logits in found] for found in fits]

    players = [Player(hidden, *(
        timed(f"{name}, {counted(hidden, 'unit')}", partial(climbed, name, hidden, iterations))[0]
        for name, iterations in ((LAKE, scale.lake), (CLIFF, scale.cliff))))
        for hidden in scale.players]
    aligners = [Aligner(hidden, *timed(
        "preferences, " + ("table" if hidden is None else counted(hidden, "unit")),
        partial(aligned, hidden))[0]) for hidden in (None, *scale.aligners)]
    best = {name: objective(worlds[name], policy_iteration(worlds[name]).policy)
            for name in worlds}
    return Networks(memories, players, aligners, best[LAKE], best[CLIFF], scale.pairs, seed, runs,
                    scale.fit, scale.lake, scale.cliff)


def networks_text(found):
    """The three tables of the job."""
    sizes = ["table" if row.hidden is None else counted(row.hidden, "unit")
             for row in found.aligners]
    walk = 1 + (found.cliff_optimum + 100) / found.cliff_optimum
    return page(
        "Held out of the Unicode words, in nats per character, by how many letters are "
        "remembered:",
        in_columns("letters, flat, tree, network, params, pull", found.memories,
                   (0, 3, 3, 3, 0, 0)),
        f"With {UNITS} hidden units and an embedding of {EMBEDDING} numbers per letter, one fit of "
        f"{found.fit_iterations} iterations.  Flat n-grams have a pseudo-count of 0.1, the tree "
        f"has the weight {WEIGHT:.0f}.",
        f"Share of J* by PPO, from the row and the column of a cell, worst and best of "
        f"{counted(found.runs, 'run')}:",
        in_columns("hidden, lake, , , cliff, , \nunits" + 2 * ", worst, best, ",
                   [(str(row.hidden), *(part for shares in (row.lake, row.cliff) for part in (
                       min(shares), max(shares), bar(max(shares))))) for row in found.players], 3),
        f"{found.lake_iterations} iterations on the lake, {found.cliff_iterations} on the cliff.  "
        f"J* is {found.lake_optimum:.4f} and {found.cliff_optimum:.4f}; a share is 1 - (J* - "
        f"J)/|J*|, and {walk:.3f} that of a walk on the cliff that never ends.  The chapter has "
        f"eight runs, all of 400 iterations, and fits of 600.",
        f"Share of what there is to gain by DPO, from {found.pairs:,} pairs and the last letter, "
        f"by the pull, worst and best of {counted(found.runs, 'run')}; a table has one fit:",
        in_columns(", ".join(["pull", "", *sizes]),
                   [(f"{pull:.0f}", name, *numbers)
                    for pull, column in zip(PULLS, ("weak", "strong"))
                    for name, numbers in zip(("worst", "best"), zip(*(
                        worst_and_best(getattr(row, column)) for row in found.aligners)))], 3))


def worst_and_best(shares):
    """Of runs; None is a run whose strings do not end, and the worst.

    >>> worst_and_best([0.5, 0.75]), worst_and_best([0.5, None]), worst_and_best([None])
    ((0.5, 0.75), (None, 0.5), (None, None))
    """
    known = [share for share in shares if share is not None]
    return min(known) if len(known) == len(shares) else None, max(known, default=None)


def _run(arguments, progress, scale=NetworkScale()):
    kept = keeper(arguments)
    return kept.whole(lambda: measure_networks(arguments.seed, arguments.runs, scale, progress,
                                               kept))


NETWORKS = Job("network", __doc__, _run, networks_text, arguments={
    "runs": {"type": integer(1), "default": 2, "help": "of each size (2)"}, "seed": SEED,
    "checkpoint": CHECKPOINT},
    draw=lambda figures, found: figures.networks_figures(found))
