"""The demonstration: every first learner on both worlds, each judged by its distance to the exact
optimum.

*A world you can draw*: Q-learning, REINFORCE and PPO learn two grids by playing.  The final policy
is then evaluated exactly, by one linear solve, and compared with the optimum of policy iteration.

*A world you can read*: PPO on the true reward, RLHF (a reward model fitted to preferences, then PPO
on it) and DPO on the same preferences, all around one reference model, are compared with the
KL-regularised optimum.  Reward, KL, objective and length of every policy are exact too.  Nothing in
these tables is estimated from samples, except the words that are drawn for you to read.
"""

from collections import namedtuple
from functools import partial
from typing import NamedTuple

import numpy as np

from gridworld.draw import policy_text, side_by_side
from gridworld.maps import cliff_walk, frozen_lake
from minirl.console import counted, integer, number
from minirl.exact.planning import policy_iteration
from minirl.people.regularised import critical_beta, tilt
from minirl.exact.scorecard import referee
from minirl.kernel.softmax import log_softmax
from minirl.lab.job import SEED, Job, stopwatch
from minirl.lab.running_example import (CORPUS, FITTED, PSEUDO_COUNT, bigram_of, corpus_of,
                                        running_example, writers_text, written)
from minirl.lab.table import bar, in_columns, page, paragraph, shortest
from minirl.people.dpo import fit_dpo
from minirl.people.reward_model import fit_reward_model
from minirl.play.optim import linear
from minirl.play.ppo import ppo
from minirl.play.q_learning import learners, q_learning
from minirl.play.reinforce import reinforce
from minirl.play.training import after, start
from toy_lm.align import BETA, PULL
from toy_lm.corpora import held_out
from toy_lm.models import fit
from toy_lm.ngram import language, nats_per_character

GRIDS = {"frozen_lake_4x4": frozen_lake(), "cliff_walk": cliff_walk()}
GRID_GAMMA = 0.99


class DemoScale(NamedTuple):
    """For how many iterations everybody learns."""

    q_learning: int = 25  # of a thousand steps, for each of
    runs: int = 16        # learners
    reinforce: int = 200
    ppo: int = 150
    rlhf: int = 100


# One learner on one grid: the exact J of its final policy, J*, the share 1 − (J* − J)/|J*|, the gap
# J* − J, and how many steps of the environment it took.
GridRow = namedtuple("GridRow", "world method value optimum share gap steps seconds policy")


# How well the bigram fits, in nats per character with end symbols counted.  With fewer than ten
# items none are held out, and that is None; the last is of the reference, fitted to all items.
Corpus = namedtuple("Corpus", "items symbols nll_train nll_heldout nll_all")


# Everything about the world you can read: a `Corpus`; rows of running_example.Writer; the number of
# preferences between a string and itself; whether the learned reward has an optimum; β and the
# number of preferences; and the file of a corpus of one's own, or None.
Language = namedtuple("Language", "corpus rows identical learned_optimum beta pairs file",
                      defaults=[None])


def grid_table(seed, progress, scale=DemoScale()):
    """A `GridRow` for every learner on every grid."""
    timed, rows = stopwatch(len(GRIDS) * len(GRID_LEARNERS), progress), []
    for world, grid in GRIDS.items():
        mdp = grid.mdp(gamma=GRID_GAMMA)
        best, judge = policy_iteration(mdp).objective, referee(mdp)
        for method, learn in GRID_LEARNERS.items():
            (policy, steps), seconds = timed(f"{world}: {method}", lambda: learn(mdp, seed, scale))
            score = judge(policy)
            rows.append(GridRow(world, method, score.objective, best, score.share, score.gap,
                                steps, seconds, policy))
    return rows


def _by_q_learning(mdp, seed, scale):
    """Many learners at once, greedy on the mean of their tables: (policy, steps).

    The table starts at 1, above every value of both grids.
    """
    seeds = [[seed, run] for run in range(scale.runs)]
    record = after(q_learning(mdp, learners(mdp, rng=seeds, initial_value=1.0)), scale.q_learning)
    greedy = np.eye(mdp.shape[1])[record.Q.mean(axis=0).argmax(axis=1)]
    return greedy, record.steps * len(seeds)


def _by(trainer, mdp, seed, scale):
    """A learner of policies, with a learned value table: (policy, steps)."""
    iterations = getattr(scale, trainer.__name__)
    record = after(trainer(mdp, start(np.zeros(mdp.shape), rng=seed), iterations=iterations,
                           learning_rate=linear(0.1, 0.0)), iterations)
    return record.policy, record.steps


GRID_LEARNERS = {"q_learning": _by_q_learning, "reinforce": partial(_by, reinforce),
                 "ppo": partial(_by, ppo)}


def language_table(items, seed, beta, pairs, progress, scale=DemoScale()) -> Language:
    """The `Language` of a corpus: rows `reference`, `optimum`, `ppo`, `rlhf` and `dpo`.

    The time to draw the preferences counts for both who use them.  Raises ValueError if the corpus
    cannot be modelled, or the true reward has no optimum at this beta.
    """
    timed = stopwatch(6, progress)
    model, fitting = timed("reference", lambda: bigram_of(items))
    example, solving = timed("optimum", lambda: running_example(model, beta))
    ref = example.reference
    # Where the reference is hardly ever cut; a policy that runs away from it is.
    horizon = 20 * int(example.judge(np.exp(ref)).length)

    def learn():
        learned_reward = fit_reward_model(np.zeros(ref.shape), data, pull=PULL).x
        return learned_reward, example.climbed(learned_reward, [seed, 2], scale.rlhf, horizon)

    climbed, playing = timed("ppo", lambda: example.climbed(
        example.world.mean_reward, [seed, 0], scale.rlhf, horizon))
    data, drawing = timed("preferences", lambda: example.preferences(pairs, [seed, 1]))
    (learned_reward, learned), following = timed("rlhf", learn)
    fitted, preferring = timed("dpo", lambda: fit_dpo(ref, data, beta=beta, pull=PULL))
    rows = [written(example, method, logp, seconds, seed) for method, logp, seconds in (
        ("reference", log_softmax(ref), fitting),
        ("optimum", tilt(ref, example.optimum.action_values, beta=beta), solving),
        ("ppo", climbed, playing), ("rlhf", learned, drawing + following),
        ("dpo", log_softmax(fitted.x), drawing + preferring))]
    return Language(fitted_to(items, model), rows, data.identical,
                    bool(critical_beta(language(learned_reward), ref) < beta), beta, pairs)


def fitted_to(items, reference) -> Corpus:
    """How well a bigram fits the items: a `Corpus`."""
    training, held = held_out(items)
    partial_model = fit(training, pseudo_count=PSEUDO_COUNT, vocabulary=reference.vocabulary)

    def nats(model, some):
        return nats_per_character(model.logits, model.encode(some))

    return Corpus(len(items), reference.vocabulary.size, nats(partial_model, training),
                  nats(partial_model, held) if held else None, nats(reference, items))


# What is asked for, printed and written.


def maps_text(rows):
    """The learned policies of a world you can draw, over their maps."""
    worlds = {world: [row for row in rows if row.world == world] for world in GRIDS}
    return page(
        "A world you can draw: the learned policies, each by its likeliest moves",
        *(f"{world}, where the optimum is J* = {own[0].optimum:.4f}\n\n" + side_by_side(
            {row.method: policy_text(GRIDS[world], row.policy) for row in own})
          for world, own in worlds.items()))


def grid_text(rows):
    """The table of a world you can draw."""
    return page(
        f"The exact value of these policies, gamma {GRID_GAMMA}",
        in_columns("world, method, value, share, , gap, steps, seconds",
                   [(row.world, row.method, row.value, row.share, bar(row.share), row.gap,
                     row.steps, row.seconds) for row in rows], (0, 0, 4, 4, 0, 4, 0, 1)),
        "Value is J, from the start; share is 1 - (J* - J)/|J*|, gap is J* - J.\n"
        "q_learning is greedy on the mean of 16 tables; reinforce and ppo are evaluated\n"
        "as they are, stochastic.")


def language_text(found):
    """The table of a world you can read, and ten words drawn from each policy."""
    corpus = found.corpus
    held = ("no held-out items in a corpus of fewer than ten" if corpus.nll_heldout is None else
            f"{corpus.nll_heldout:.4f} on every tenth, held out (perplexity "
            f"{np.exp(corpus.nll_heldout):.2f})")
    notes = [f"All exact, by linear solves: KL in nats per string, share of J* - J(ref), length\n"
             f"in letters.  rlhf and dpo saw {counted(found.pairs, 'preference', ',')} over "
             f"strings of the\nreference; in {found.identical:,} of them the two strings were "
             f"the same."]
    if not found.learned_optimum:
        notes.append("The learned reward has no optimum at this beta; PPO went on climbing it.")
    if found.file:
        notes.append(FITTED)
    words = (row.method + ":\n" + paragraph("  ".join(
        # What is not for reading, such as an escape, is shown as a question mark.
        "".join(c if c.isprintable() else "?" for c in word) or "(empty)" for word in row.samples),
        indent="  ") for row in found.rows)
    return page(
        f"A world you can read: {counted(corpus.items, 'item', ',')}, {corpus.symbols} symbols, "
        f"from\n{found.file or 'the words in Unicode 3.2 character names'}",
        f"bigram, pseudo-count {PSEUDO_COUNT}, nats per character, end symbols counted:\n"
        f"  {corpus.nll_train:.4f} on training items (perplexity {np.exp(corpus.nll_train):.2f})\n"
        f"  {held}\n  {corpus.nll_all:.4f} fitted to all items: the reference below",
        f"reward: which is easier to say?  J = E[reward] - {shortest(found.beta)} KL to the "
        f"reference\n\n" + writers_text(found.rows), "\n".join(notes), *words)


def _run(arguments, progress, scale=DemoScale()):
    items, file = corpus_of(arguments.corpus)
    # The text first: if its objective has no optimum, that is known at once.
    text = language_table(items, arguments.seed, arguments.beta, arguments.pairs,
                          lambda line: progress(f"language, {line}"), scale)
    grids = grid_table(arguments.seed, lambda line: progress(f"grids, {line}"), scale)
    return grids, text._replace(file=file)


def _document(found):
    grids, corpus = [row._asdict() for row in found[0]], found[1].corpus._asdict()
    for some, name in [*((row, "policy") for row in grids), (corpus, "nll_all")]:
        del some[name]
    return {"gridworld": grids, "language": {"corpus": corpus, "methods": found[1].rows}}


def _text(found):
    return f"{grid_text(found[0])}\n\n\n{language_text(found[1])}"


DEMO = Job("demo", __doc__, _run, _text, arguments={
    "seed": SEED,
    "beta": {"type": number(1e-6, 1e6), "default": BETA,  # beyond, J is lost to rounding
             "help": "price of a nat of KL to the reference, in reward (0.5)"},
    "pairs": {"type": integer(1), "default": 20_000,
              "help": "preferences that rlhf and dpo learn from (20,000)"},
    "corpus": CORPUS},
    document=_document, drawing=lambda found: maps_text(found[0]),
    draw=lambda figures, found: figures.demo_figures(*found))
