"""What a search finds: the likeliest strings of the words, and trees against exact values.

Strings first.  For models of order 2, 3 and 4 the likeliest string is computed exactly, from each
of 27 prompts: nothing, and each letter.  Beams of several widths search for the same, and it is
counted how often they find it.  *Enough* is the first of these widths that finds it from each.  The
mean length is that of the 26 words that begin with a letter, which is counted too.

Then trees.  On the 4x4 lake, where moves succeed with the chance 0.8 and gamma is 0.9, a search
runs from each cell in which actions differ, and its regret is known by the exact Q*.  PUCT has one
of three priors: a good one, softmax(Q*/0.1); the uniform policy; and a wrong one, softmax(-Q*/0.1).
At last the chain of Coquelin and Munos, on which UCT fails.
"""

from collections import namedtuple
from itertools import islice
from typing import NamedTuple

import numpy as np

from gridworld.maps import frozen_lake
from minirl.beyond.search import beam, follow, viterbi
from minirl.beyond.tree_search import deceptive_chain, puct, regret, tree_search, uct
from minirl.exact.planning import policy_iteration
from minirl.kernel.softmax import log_softmax
from minirl.lab.job import SEED, Job, stopwatch
from minirl.lab.table import in_columns, page
from toy_lm.corpora import unicode_words
from toy_lm.models import fit
from toy_lm.ngram import language

PSEUDO_COUNTS = {2: 0.1, 3: 0.1, 4: 0.01}  # by order
LENGTHS = range(2, 8)  # of the chain
SAME = 1e-9            # nats: a beam that is so near has found the likeliest string


class SearchScale(NamedTuple):
    """How much work the job does.  The defaults are those of the command line."""

    orders: tuple = (2, 3, 4)
    widths: tuple = (1, 2, 4, 8, 16, 32, 64)
    simulations: tuple = (16, 64, 256, 1024)
    runs: int = 8      # of each search
    most: int = 2**15  # simulations on the chain


# A beam of one width and 27 prompts: how often it finds the likeliest string, how many nats it
# lacks on average, the mean letters of the words, and how many rows of the policy it reads.
Width = namedtuple("Width", "width right short letters rows")


# A model: its likeliest string from nothing and log π of it, the same of greedy's, the mean letters
# of the likeliest words, and a list of Width.
LikelyWords = namedtuple("LikelyWords", "order likeliest log_prob greedy greedy_log_prob letters "
                         "beams")


# A rule of tree search: for each number of simulations, the regret of each run as a share of V*,
# the mean over cells.
Regrets = namedtuple("Regrets", "rule simulations regrets")


# What the job finds.  The chain is a list of (D, how many simulations until staying is visited
# most, None if it is more than `most`).
Searches = namedtuple("Searches", "seed corpus_letters strings trees most chain")


# The lake, its `Optimum`, and the cells where actions differ.
Lake = namedtuple("Lake", "mdp optimum cells")


def measure_searches(seed, progress, scale=SearchScale()) -> Searches:
    """The `Searches`."""
    words, world = unicode_words(), lake()
    timed = stopwatch(len(scale.orders) + len(rules(world)) + 1, progress)
    strings = [timed(f"order {order}", lambda order=order: strings_of(words, order, scale.widths))
               for order in scale.orders]
    trees = [timed(name, lambda name=name, rule=rule: Regrets(
        name, scale.simulations, np.transpose([regrets(world, rule, scale.simulations, seed + run)
                                               for run in range(scale.runs)]).tolist()))
        for name, rule in rules(world).items()]
    chain, _ = timed("the chain", lambda: [(D, until_it_stays(D, scale.most, seed))
                                           for D in LENGTHS])
    return Searches(seed, float(np.mean([len(word) for word in words])),
                    [row for row, _ in strings], [row for row, _ in trees], scale.most, chain)


def strings_of(words, order, widths) -> LikelyWords:
    """The `LikelyWords` of the model of this order."""
    model = fit(words, order=order, pseudo_count=PSEUDO_COUNTS[order])
    world, letters = language(model.logits), model.vocabulary.letters
    best, prompts = viterbi(world, model.logits), range(len(letters) + 1)

    def text(answer):
        return "".join(letters[a - 1] for a in answer.actions[:-1])

    def mean_letters(answers):  # the prompt's letter, but not the end
        return float(np.mean([len(answer.actions) for answer in answers[1:]]))

    beams = []
    for width in widths:
        answers = [beam(world, model.logits, prompt, width) for prompt in prompts]
        short = best.values[:len(prompts)] - [answer.log_prob for answer in answers]
        beams.append(Width(width, int((short < SAME).sum()), float(short.mean()),
                           mean_letters(answers), float(np.mean([one.rows for one in answers]))))
    exact = [follow(world, best, prompt) for prompt in prompts]
    greedy = beam(world, model.logits, 0, 1)
    return LikelyWords(order, text(exact[0]), exact[0].log_prob, text(greedy), greedy.log_prob,
                   mean_letters(exact), beams)


def lake() -> Lake:
    """The `Lake` of this job."""
    mdp = frozen_lake(success_rate=0.8).mdp(gamma=0.9)
    optimum = policy_iteration(mdp)
    return Lake(mdp, optimum, np.flatnonzero(np.ptp(optimum.action_values, axis=1) > 1e-12))


def rules(world):
    """The rules of choice by name, with their priors for a `Lake`."""
    Q = world.optimum.action_values
    return {"UCT": uct(), "PUCT, good prior": puct(np.exp(log_softmax(Q / 0.1))),
            "PUCT, no opinion": puct(world.mdp.uniform),
            "PUCT, wrong prior": puct(np.exp(log_softmax(-Q / 0.1)))}


def regrets(world, rule, simulations, seed):
    """The regret after each number of simulations, as a share of V*, the mean over the cells."""
    found = []
    for s in world.cells:
        trees = enumerate(islice(tree_search(world.mdp, s, rule, rng=seed), max(simulations)), 1)
        found.append([regret(world.optimum, s, tree.action) / world.optimum.values[s]
                      for n, tree in trees if n in simulations])
    return np.mean(found, axis=0)


def until_it_stays(length, most, seed):
    """The first power of 2, from 4 to `most` simulations, after which staying is visited most."""
    trees = tree_search(deceptive_chain(length), 0, uct(), rng=seed)
    return next((n for n, tree in enumerate(islice(trees, most), 1)
                 if n >= 4 and n & (n - 1) == 0 and tree.action == 1), None)


# What is printed.


def searches_text(found):
    """The tables of the job."""
    widths, last = [beam.width for beam in found.strings[0].beams], found.strings[-1]
    rows = [(f"order {one.order}: right of 27", *(beam.right for beam in one.beams), 27)
            for one in found.strings]
    rows.append((f"order {last.order}: letters", *(beam.letters for beam in last.beams),
                 last.letters))
    enough = [next((beam.width for beam in one.beams if beam.right == 27), None)
              for one in found.strings]
    return page(
        "Models of the words: the likeliest one, exactly, what greedy writes, and which of the "
        "widths below is the first that is enough to find the likeliest ending of each of 27 "
        "prompts, which are nothing and each letter.",
        in_columns("order, likeliest, log p, greedy, log p, enough", [
            (*one[:5], width) for one, width in zip(found.strings, enough)], (0, 0, 3, 0, 3, 0)),
        f"Beams of these widths.  The words of the corpus have {found.corpus_letters:.2f} letters "
        f"on average; likely ones are shorter.",
        in_columns(", ".join(["width", *map(str, widths), "exact"]), rows, 2),
        f"Trees: the regret on the lake, in percent of V*, median and worst of "
        f"{len(found.trees[0].regrets[0])} seeds, by the number of simulations in each cell.",
        in_columns(", ".join(["", *(f", {n}" for n in found.trees[0].simulations)]), [
            (tree.rule, *(100 * number for runs in tree.regrets
                          for number in (float(np.median(runs)), max(runs))))
            for tree in found.trees], 1),
        "A chain on which to leave looks better, and to stay is: the simulations, in powers of 2, "
        "until UCT has stayed more often.",
        in_columns(", ".join(["states", *(str(length) for length, _ in found.chain)]),
                   [("simulations", *(f"> {found.most:,}" if n is None else n
                                      for _, n in found.chain))]))


def _run(arguments, progress, scale=SearchScale()):
    return measure_searches(arguments.seed, progress, scale)


SEARCHES = Job("search", __doc__, _run, searches_text, arguments={"seed": SEED},
               draw=lambda figures, found: figures.searches_figures(found))
