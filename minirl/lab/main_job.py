"""The main job: every first learner on both worlds, each judged by its distance to the exact
optimum.

*A world you can draw*: Q-learning, REINFORCE and PPO learn two grids by playing.  The final policy
is then evaluated exactly, by one linear solve, and compared with the optimum of policy iteration.

*A world you can read*: PPO on the true reward, RLHF (a reward model fitted to preferences, then PPO
on it) and DPO on the same preferences, all around one reference model, are compared with the
KL-regularised optimum.  Reward, KL, objective and length of every policy are exact too.  Nothing in
these tables is estimated from samples, except the words that are drawn for you to read.
"""

from time import perf_counter
from typing import NamedTuple

import numpy as np

from gridworld.maps import cliff_walk, frozen_lake
from minirl.people.dpo import fit_dpo
from minirl.play.optim import linear
from minirl.exact.evaluation import NoEnd, evaluate, expectation
from minirl.exact.planning import policy_iteration
from minirl.play.ppo import ppo
from minirl.play.q_learning import learners, q_learning
from minirl.exact.regularised import regularised_optimum, tilt
from minirl.play.reinforce import reinforce
from minirl.play.training import start
from minirl.people.reward_model import fit_reward_model
from minirl.people.rlhf import rlhf
from minirl.kernel.softmax import log_softmax
from toy_lm.align import PULL
from toy_lm.models import fit
from toy_lm.ngram import language, nats_per_character, sample
from toy_lm.corpora import held_out
from toy_lm.preferences import sample_pairs
from toy_lm.rewards import easy_to_say, letters

GAMMA = 0.99        # of the grids
PSEUDO_COUNT = 0.1  # of the reference model
WORDS = 10          # drawn from each policy,
SHOWN = 200         # and cut after this many letters


class GridRow(NamedTuple):
    """One learner on one grid."""

    world: str
    method: str
    value: float    # exact J of the final policy
    optimum: float  # J*
    share: float    # 1 − (J* − J)/|J*|
    gap: float      # J* − J
    steps: int      # environment steps
    seconds: float
    policy: np.ndarray


class LanguageRow(NamedTuple):
    """One policy that writes.  Its numbers are None where its strings do not end."""

    method: str
    reward: float       # E[r], the true one
    kl: float           # to the reference, nats a string
    objective: float    # J = E[r] − β KL
    share: float        # (J − J(ref)) / (J* − J(ref))
    mean_length: float  # letters
    seconds: float
    samples: list


class Corpus(NamedTuple):
    """How well the bigram fits; nats per character, end symbols counted."""

    items: int
    symbols: int
    nll_train: float
    nll_heldout: float  # None with fewer than ten items
    nll_all: float      # of the reference model, fitted to all items


class Language(NamedTuple):
    """Everything about the world you can read."""

    corpus: Corpus
    rows: list
    identical: int         # preference pairs that are one string twice
    learned_optimum: bool  # whether the learned reward has an optimum


def _last(trainer, iterations):
    """The record after a number of iterations."""
    return next(record for record in trainer if record.iteration == iterations)


def learn_q_learning(mdp, seed):
    """Sixteen learners of 25,000 steps, greedy on the mean of their tables: (policy, steps).

    The table starts at 1, above every value of both grids.
    """
    seeds = [[seed, run] for run in range(16)]
    record = _last(q_learning(mdp, learners(mdp, rng=seeds, initial_value=1.0)), 25)
    greedy = np.eye(mdp.shape[1])[record.Q.mean(axis=0).argmax(axis=1)]
    return greedy, record.steps * len(seeds)


def learn_reinforce(mdp, seed):
    """200 iterations of REINFORCE with a learned value table as baseline: (policy, steps)."""
    record = _last(reinforce(mdp, start(np.zeros(mdp.shape), rng=seed),
                             iterations=200, learning_rate=linear(0.1, 0.0)), 200)
    return np.exp(log_softmax(record.logits)), record.steps


def learn_ppo(mdp, seed):
    """150 iterations of PPO, with an entropy bonus in the first half: (policy, steps)."""
    record = _last(ppo(mdp, start(np.zeros(mdp.shape), rng=seed),
                       iterations=150, learning_rate=linear(0.1, 0.0),
                       ent_coef=linear(0.3, 0.0, 0.5)), 150)
    return np.exp(log_softmax(record.logits)), record.steps


GRIDS = {"frozen_lake_4x4": frozen_lake(), "cliff_walk": cliff_walk()}
LEARNERS = {"q_learning": learn_q_learning, "reinforce": learn_reinforce, "ppo": learn_ppo}


def grid_table(seed, progress):
    """A `GridRow` for every learner on every grid.

    Parameters
    ----------
    seed : int
    progress : callable
        Called with a line of text before each piece of work.
    """
    rows = []
    for world, grid in GRIDS.items():
        mdp = grid.mdp(gamma=GAMMA)
        optimum = policy_iteration(mdp).objective
        for method, learn in LEARNERS.items():
            progress(f"{world}: {method}")
            began = perf_counter()
            policy, steps = learn(mdp, seed)
            seconds = perf_counter() - began
            value = float(mdp.start @ evaluate(mdp, policy))
            rows.append(GridRow(world, method, value, optimum, 1 - (optimum - value) / abs(optimum),
                                optimum - value, steps, seconds, policy))
    return rows


def fit_corpus(items):
    """The vocabulary, the reference model of all items, and how well a bigram fits: a `Corpus`."""
    training, held = held_out(items)
    reference = fit(items, pseudo_count=PSEUDO_COUNT)
    vocabulary = reference.vocabulary
    partial = fit(training, pseudo_count=PSEUDO_COUNT, vocabulary=vocabulary)

    def nats(model, some):
        return nats_per_character(model.logits, vocabulary.encode(some))

    corpus = Corpus(items=len(items), symbols=vocabulary.size,
                    nll_train=nats(partial, training),
                    nll_heldout=nats(partial, held) if held else None,
                    nll_all=nats(reference, items))
    return vocabulary, reference.logits, corpus


def measure(world, logp, ref_logp, beta):
    """Exact (reward, KL, objective, mean length in letters) of a policy that writes.

    Raises `evaluation.NoEnd` where its strings do not end.
    """
    reward, kl, length = expectation(world, np.exp(logp),
                                     np.array([world.mean_reward, logp - ref_logp,
                                               letters(world.shape)]))
    return float(reward), float(kl), float(reward - beta * kl), float(length)


def _timed(work):
    """(result, seconds) of a function without arguments."""
    began = perf_counter()
    return work(), perf_counter() - began


def language_table(items, seed, beta, pairs, progress):
    """The `Language` of a corpus: rows `reference`, `optimum`, `ppo`, `rlhf` and `dpo`.

    Parameters
    ----------
    items : list of str
    seed : int
    beta : float > 0
    pairs : int ≥ 1
        Preferences for `rlhf` and `dpo`; the time to draw them counts for both.
    progress : callable
        Called with a line of text before each piece of work.

    Raises
    ------
    ValueError
        If the corpus cannot be modelled, or the true reward has no optimum at this beta.
    """
    progress("language: reference")
    (vocabulary, ref_logp, corpus), fitting = _timed(lambda: fit_corpus(items))
    world = language(easy_to_say(vocabulary))
    *_, ref_J, ref_length = measure(world, ref_logp, ref_logp, beta)

    def write(rewards, stream):
        """The policy after 100 iterations of PPO around the reference, on a reward table.

        Strings are cut at twenty times the reference's mean length, where the reference is hardly
        ever cut; a policy that runs away from it is.
        """
        trainer = rlhf(world, start(ref_logp, rng=[seed, stream]), rewards, ref_logp, beta=beta,
                       horizon=20 * (int(ref_length) + 1), iterations=100,
                       learning_rate=linear(0.05, 0.0))
        return log_softmax(_last(trainer, 100).logits)

    progress("language: optimum")
    best, solving = _timed(lambda: regularised_optimum(world, ref_logp, beta=beta))
    progress("language: ppo")
    by_ppo, playing = _timed(lambda: write(world.mean_reward, stream=0))
    progress("language: preferences")
    data, drawing = _timed(lambda: sample_pairs(ref_logp, world.mean_reward, pairs, rng=[seed, 1]))
    progress("language: rlhf")
    model, regressing = _timed(lambda: fit_reward_model(np.zeros(world.shape), data,
                                                          pull=PULL))
    by_rlhf, following = _timed(lambda: write(model.x, stream=2))
    progress("language: dpo")
    by_dpo, preferring = _timed(lambda: fit_dpo(ref_logp, data, beta=beta, pull=PULL))

    room = best.objective - ref_J  # a difference of numbers that are good to 1e-16 beta
    rows = []
    for method, logp, seconds in (
            ("reference", ref_logp, fitting),
            ("optimum", tilt(ref_logp, best.action_values, beta=beta), solving),
            ("ppo", by_ppo, playing),
            ("rlhf", by_rlhf, drawing + regressing + following),
            ("dpo", log_softmax(by_dpo.x), drawing + preferring)):
        words = vocabulary.decode(sample(logp, WORDS, rng=seed, horizon=SHOWN))
        try:
            reward, kl, J, length = measure(world, logp, ref_logp, beta)
            share = (J - ref_J) / room if room > 1e-10 * (1 + beta) else None
        except NoEnd:
            reward = kl = J = length = share = None
        rows.append(LanguageRow(method, reward, kl, J, share, length, seconds, words))
    return Language(corpus, rows, data.identical, _has_optimum(model.x, ref_logp, beta))


def _has_optimum(rewards, ref_logp, beta):
    try:
        regularised_optimum(language(rewards), ref_logp, beta=beta)
    except ValueError:
        return False
    return True
