"""A batch item by item: items can be left out, change places, and be told in other numbers of
states and actions.  Every loss of the book takes its arguments from here, in `LOSSES`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from worlds import random_mdp

from minirl.beyond import contrastive, inference, scaling
from minirl.exact import average_reward, planning
from minirl.kernel import counts
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import entropy_loss
from minirl.people import (distillation, dpo, fitting, grpo, ipo, kl, kto, margins, orpo, ratios,
                           reward_model, rlhf, sft, simpo)
from minirl.people.groups import weighted
from minirl.play import ppo, ppo_kl, reinforce, surrogate
from toy_lm import verifiers


class Item(NamedTuple):
    """A string, another one that it was preferred to, and what is said about them."""

    chosen: np.ndarray      # (n, 2) its states and actions
    rejected: np.ndarray    # (m, 2)
    advantages: np.ndarray  # (n,) of the steps of the chosen one
    weight: float           # > 0
    score: float            # in (0, 1)


class Given(NamedTuple):
    """What a loss may be asked about: tables, a batch of items, and a world."""

    table: np.ndarray       # (S, A), and the other two
    old: np.ndarray
    ref: np.ndarray
    items: list
    world: TabularMDP
    right: np.ndarray       # (S,) a state for each state

    def relabelled(self, states, actions):
        """The same, where state s is called states[s], and action a is called actions[a]."""
        there = np.argsort(states)
        back = np.ix_(there, np.argsort(actions))
        new = [item._replace(chosen=renamed(item.chosen, states, actions),
                             rejected=renamed(item.rejected, states, actions))
               for item in self.items]
        return Given(*(table[back] for table in self[:3]), new,
                     relabelled_world(self.world, states, actions), states[self.right[there]])

    def widened(self):
        """The same with one action more, which is never available."""
        S, A = self.table.shape

        def wider(array, value):
            return np.concatenate([array, np.full((S, 1, *array.shape[2:]), value)], axis=1)

        world = replace(
            self.world, next_state=wider(self.world.next_state, 0),
            prob=wider(self.world.prob, 0.5), reward=wider(self.world.reward, 9.0),
            terminated=wider(self.world.terminated, True),
            available=np.tile(np.arange(A + 1) < A, (S, 1)))
        return self._replace(world=world, **{
            name: wider(getattr(self, name), -np.inf) for name in ("table", "old", "ref")})

    def steps(self, side="chosen"):
        """The `Steps` of all chosen or of all rejected strings."""
        strings = [getattr(item, side) for item in self.items]
        flat = np.concatenate([np.zeros((0, 2), int), *strings])
        return counts.steps(*flat.T, np.cumsum([0, *map(len, strings)]), self.table.shape)

    def each(self, name):
        """A number per item: (B,)."""
        return np.array([getattr(item, name) for item in self.items], float)

    @property
    def advantages(self):
        return np.concatenate([np.zeros(0), *(item.advantages for item in self.items)])

    @property
    def seen(self):
        """How often each entry was met: (S, A)."""
        return counts.table(self.steps())

    @property
    def visits(self):
        return self.seen.sum(axis=1)

    @property
    def difference(self):
        return counts.difference_matrix(self.steps(), self.steps("rejected"))

    @property
    def both(self):
        return counts.two_matrices(self.steps(), self.steps("rejected"))

    @property
    def means(self):
        return counts.mean_matrix(self.steps()), counts.mean_matrix(self.steps("rejected"))

    @property
    def batch(self):
        return surrogate.collapse(self.steps(), self.advantages, counted=True)

    @property
    def weighted(self):
        return weighted(self.steps(), self.advantages, self.each("weight"))

    def strings(self, rows=counts.mean_matrix):
        """What is said of whole strings."""
        return ratios.weighted_strings(self.steps(), self.each("score") - 0.5, self.each("weight"),
                                       rows=rows)


def renamed(string, states, actions):
    """A string (n, 2) in other numbers."""
    return np.column_stack([states[string[:, 0]], actions[string[:, 1]]])


def relabelled_world(world, states, actions):
    """A world in other numbers."""
    back = np.ix_(np.argsort(states), np.argsort(actions))
    return replace(world, next_state=states[world.next_state[back]], prob=world.prob[back],
                   reward=world.reward[back], terminated=world.terminated[back],
                   start=world.start[np.argsort(states)])


def some_items(rng, number, S, A, longest=4):
    """Strings of different lengths, the shortest of one step."""
    def string():
        length = rng.integers(1, longest + 1)
        return np.column_stack([rng.integers(S, size=length), rng.integers(A, size=length)])

    def item(chosen):
        return Item(chosen, string(), rng.normal(size=len(chosen)), rng.random() + 0.1,
                    rng.random())

    return [item(string()) for _ in range(number)]


def given(seed=0, S=4, A=3, number=9, longest=4):
    """Random tables and a random batch."""
    rng = np.random.default_rng(seed)
    return Given(*rng.normal(size=(3, S, A)), some_items(rng, number, S, A, longest),
                 random_mdp(rng, S, A, 2, 1.0), np.arange(S)[::-1].copy())


# By what a loss divides its batch: its normaliser.


def by_nothing(given):
    """A sum over steps, or over strings."""
    return 1.0


def by_strings(given):
    return len(given.items)


def by_steps(given):
    return given.steps().index.size


def by_weights(given):
    return given.each("weight").sum()


def by_opinions(given):
    """Strings of which each one is good or bad by itself."""
    return 2 * len(given.items) + len(liked(given))


def liked(given):
    """The items of which the rejected string is good too, so that good and bad ones are not as
    many."""
    return np.flatnonzero(given.each("score") > 0.5)


def unpaired(given):
    """X of the good strings and of the bad ones."""
    good, bad = given.steps(), given.steps("rejected")
    return counts.matrix(counts.join([good, counts.select(bad, liked(given))])), counts.matrix(bad)


class Loss(NamedTuple):
    """How a loss is called, and which of the laws do not hold for it, and why."""

    call: Callable  # given -> partial(loss, table, …)
    divides: Callable = None  # by one of the normalisers; None needs a reason under "parts"
    rows: str = ""   # why a constant added to a row of the table changes it
    parts: str = ""  # why the loss of a batch is no mean of the losses of its parts
    names: str = ""  # why it depends on the numbers of states and actions
    absent: str = ""  # why an action that is not available may not be left out instead
    empty: str = ""  # why it answers where there is no item
    extreme: str = ""  # why logits of ten thousand are too much


LAW = "the law of a world is no batch"
REWARDS = "a table of rewards is no policy: a constant counts once per step"
ENDLESS = "a table of rewards is finite"
SUM = "a sum over nothing is 0"


def world_first(gradient):
    """A function of (world, table) as one of (table, world)."""
    def loss(logits, mdp):
        return gradient(mdp, logits)

    return loss


def string_kl(logits, mdp, ref_logits):
    return kl.string_kl(mdp, logits, ref_logits)


def pulled(logits, centre):
    """A loss and its attraction."""
    return fitting.attracted(partial(entropy_loss, weights=np.ones(4)), centre, 0.3)(logits)


def pairs(loss, **options):
    """A loss on preferences with a reference, weighted."""
    return lambda g: partial(loss, g.table, g.ref, g.both, pair_weights=g.each("weight"), **options)


LOSSES = {
    "softmax.entropy_loss": Loss(lambda g: partial(entropy_loss, g.table, g.visits), by_nothing,
                                 empty=SUM),
    "sft.sft_loss": Loss(lambda g: partial(sft.sft_loss, g.table, g.seen), by_steps),
    "sft.sft_loss, smoothed": Loss(
        lambda g: partial(sft.sft_loss, g.table, g.seen, label_smoothing=0.3), by_steps,
        absent="smoothing demonstrates every action"),
    "reinforce.reinforce_loss": Loss(lambda g: partial(
        reinforce.reinforce_loss, g.table, counts.table(g.steps(), g.advantages),
        episodes=len(g.items)), by_strings),
    "ppo.ppo_loss": Loss(lambda g: partial(ppo.ppo_loss, g.table, g.old, g.batch), by_steps),
    "ppo_kl.ppo_kl_loss": Loss(
        lambda g: partial(ppo_kl.ppo_kl_loss, g.table, g.old, g.batch, kl_coef=0.7), by_steps),
    "rlhf.ptx_loss": Loss(
        lambda g: partial(rlhf.ptx_loss, g.table, g.old, g.batch, g.seen, ptx_coef=0.7),
        by_steps),
    "grpo.grpo_loss": Loss(lambda g: partial(
        grpo.grpo_loss, g.table, g.old, g.weighted, ref_logits=g.ref, beta=0.3), by_nothing),
    "ratios.gate_loss": Loss(lambda g: partial(
        ratios.gate_loss, g.table, g.old, g.weighted, ratios.sapo), by_nothing),
    "ratios.string_loss": Loss(lambda g: partial(
        ratios.string_loss, g.table, g.old, g.strings(counts.matrix), ratios.vespo), by_nothing),
    "ratios.gmpo_loss": Loss(lambda g: partial(ratios.gmpo_loss, g.table, g.old, g.strings()),
                             by_nothing),
    "reward_model.bradley_terry_loss": Loss(lambda g: partial(
        reward_model.bradley_terry_loss, g.table, g.difference, margin=g.each("score"),
        label_smoothing=0.1, pair_weights=g.each("weight")), by_weights, REWARDS, absent=ENDLESS),
    "reward_model.plackett_luce_loss": Loss(lambda g: partial(
        reward_model.plackett_luce_loss, g.table, ranked(g), 2), by_strings, REWARDS,
        absent=ENDLESS),
    "reward_model.logistic_loss": Loss(lambda g: partial(
        reward_model.logistic_loss, g.table, counts.matrix(g.steps()), g.each("score")),
        by_strings, REWARDS, absent=ENDLESS),
    "reward_model.squared_loss": Loss(lambda g: partial(
        reward_model.squared_loss, g.table, counts.matrix(g.steps()), g.each("score")),
        by_strings, REWARDS, absent=ENDLESS),
    "kl.kl_loss": Loss(lambda g: partial(kl.kl_loss, g.table, g.ref, g.visits), by_nothing,
                       empty=SUM),
    "kl.k3_loss": Loss(lambda g: partial(
        kl.k3_loss, g.table, g.ref, counts.table(g.steps(), np.abs(g.advantages))), by_nothing,
        empty=SUM),
    "dpo.dpo_loss": Loss(pairs(dpo.dpo_loss, beta=0.5, label_smoothing=0.1), by_weights),
    "ipo.ipo_loss": Loss(pairs(ipo.ipo_loss, beta=0.5), by_weights),
    "kto.kto_loss": Loss(lambda g: partial(
        kto.kto_loss, g.table, g.ref, *unpaired(g), beta=0.5, z0=0.3, desirable_weight=np.append(
            g.each("weight"), g.each("weight")[liked(g)]), undesirable_weight=g.each("score")),
        by_opinions),
    "simpo.simpo_loss": Loss(lambda g: partial(
        simpo.simpo_loss, g.table, *g.means, beta=2.0, simpo_gamma=1.0,
        pair_weights=g.each("weight")), by_weights),
    "orpo.orpo_loss": Loss(lambda g: partial(
        orpo.orpo_loss, g.table, *g.means, beta=0.7, pair_weights=g.each("weight")), by_weights),
    "margins.margin_loss": Loss(
        pairs(margins.margin_loss, phi=partial(margins.nca, beta=0.5)), by_weights),
    "margins.aot_loss": Loss(
        pairs(margins.aot_loss, phi=partial(dpo.logistic, beta=0.5)),
        parts="the strings of a batch are put in order together"),
    "margins.aot_unpaired_loss": Loss(
        pairs(margins.aot_unpaired_loss, phi=partial(dpo.logistic, beta=0.5)),
        parts="the strings of a batch are put in order together"),
    "distillation.distillation_loss": Loss(lambda g: partial(
        distillation.distillation_loss, g.table, g.ref, g.visits, beta=0.3), by_nothing, empty=SUM),
    "contrastive.infonce_loss": Loss(
        lambda g: partial(contrastive.infonce_loss, g.table, g.seen),
        parts="the others of the batch are the wrong answers", absent=ENDLESS),
    "contrastive.symmetric_infonce_loss": Loss(
        lambda g: partial(contrastive.symmetric_infonce_loss, g.table, g.seen),
        rows="a column is a softmax too", parts="the others of the batch are the wrong answers",
        absent=ENDLESS),
    "contrastive.negative_sampling_loss": Loss(
        lambda g: partial(contrastive.negative_sampling_loss, g.table, g.seen),
        rows="each entry is a logistic regression", parts="the noise is that of the batch",
        absent=ENDLESS),
    "contrastive.mean_infonce_loss": Loss(
        lambda g: partial(contrastive.mean_infonce_loss, g.table, g.seen, batch_size=3),
        parts="the batch is the population", absent=ENDLESS),
    "scaling.law_loss": Loss(
        lambda g: partial(scaling.law_loss, g.table.ravel()[:5], 1 + np.column_stack(
            [g.each("weight"), g.each("score")]), 1 + g.each("score")), by_nothing,
        rows="it has no table", names="it has no table", absent="it has no table"),
    "planning.policy_gradient": Loss(
        lambda g: partial(world_first(planning.policy_gradient), g.table, g.world), parts=LAW),
    "average_reward.average_reward_gradient": Loss(
        lambda g: partial(world_first(average_reward.average_reward_gradient), g.table, g.world),
        parts=LAW),
    "kl.string_kl": Loss(
        lambda g: partial(string_kl, g.table, g.world, g.ref), parts=LAW),
    "distillation.string_distillation_loss": Loss(
        lambda g: partial(distillation.string_distillation_loss, g.table, g.world, g.ref),
        parts=LAW),
    "inference.right_answer_loss": Loss(lambda g: partial(
        inference.right_answer_loss, g.table, g.world, g.ref, g.right, beta=0.3), parts=LAW),
    "verifiers.objective_loss": Loss(lambda g: partial(
        verifiers.objective_loss, g.table[:3], g.ref[:3], verifiers.palindrome_counts, bonus=1.0,
        beta=0.3), parts=LAW, names="symbol 0 ends a string", absent="a bigram is square",
        extreme="a bigram that never ends is refused"),
    "fitting.attracted": Loss(
        lambda g: partial(pulled, g.table, g.ref), parts="there is no batch",
        rows="the centre is a place, and no policy", absent="−∞ is without end from the centre"),
}


def ranked(given):
    """X of chosen and rejected strings in turn: rankings of two."""
    order = np.arange(2 * len(given.items)).reshape(2, -1).T.ravel()
    return counts.matrix(counts.select(
        counts.join([given.steps(), given.steps("rejected")]), order))
