"""What each method really optimises: exactly, on a language of 31 strings.

Two letters, a vowel and a consonant, and strings that are cut after four steps.  The reward is the
running example's, and so is β = 0.5.  All strings can be listed, so the expected update of every
method is a sum over the list: of strings, of pairs of them with the rater's exact probabilities, or
of groups of four.

*One gradient* is (unified.1) at one policy, halfway from the reference to the best bigram: which
strings a method looks at, with which coefficient, and the cosine of its expected update with the
gradient of J.

*At rest*: where the expected update of a method is zero, and stays so when disturbed (the
eigenvalues of its derivative say that), what is the policy worth?  Its share is of what the best
*bigram* gains.  A cut after four steps is not something that a bigram can know, so the optimum over
strings, π_ref e^{r/β}/Z, is a little better still.  A method without such a point is followed for
2,000 steps of learning rate 10, and its row says so.
"""

from itertools import combinations_with_replacement
from math import factorial
from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse

from minirl.kernel import counts
from minirl.kernel.softmax import log_sigmoid, log_softmax
from minirl.lab.job import Job
from minirl.lab.listing import all_episodes
from minirl.lab.table import in_columns, paragraph
from minirl.people.dpo import dpo_loss
from minirl.people.fitting import minimise
from minirl.people.groups import group_centred, group_normalised, weighted
from minirl.people.grpo import grpo_loss
from minirl.people.ipo import ipo_loss
from minirl.people.kto import kto_loss
from minirl.people.orpo import orpo_loss
from minirl.people.pairs import Pairs
from minirl.people.reward_model import bradley_terry_loss
from minirl.people.sft import sft_loss
from minirl.people.simpo import simpo_loss
from minirl.people.unified import dpo_coefficients, gradient, grpo_coefficients
from toy_lm.align import BETA, LEAD, ODDS, SCALE, TAU
from toy_lm.ngram import language
from toy_lm.rewards import easy_to_say
from toy_lm.vocabulary import Vocabulary

CUT = 4            # steps of a string
GROUP = 4          # of GRPO, and the n of best of n
REFERENCE = np.array([[0.10, 0.45, 0.45],   # from the start: end, a, b
                      [0.30, 0.25, 0.45],
                      [0.30, 0.40, 0.30]])
SMOOTHING = 0.1    # of conservative DPO
TINY = 1e-300      # in place of a chance that underflowed
ZERO = 1e-9        # largest entry of an update at rest,
STIFF = 1e-6       # and least eigenvalue of its derivative
STEPS, RATE = 2000, 10.0  # along an update that has no zero


class Strings(NamedTuple):
    """The language, and every string of it."""

    world: object
    ref: np.ndarray      # (3, 3) log π_ref
    steps: counts.Steps  # M strings
    matrix: np.ndarray   # (M, 9) their counts
    lengths: np.ndarray  # (M,) steps
    rewards: np.ndarray  # (M,)
    chances: np.ndarray  # (M,) under the reference
    group: int           # how many strings are written at once


class EveryPair(NamedTuple):
    """Every ordered pair of strings, and how often the first is chosen and the second rejected."""

    pairs: Pairs         # M² of them
    weights: np.ndarray  # (M²,)
    liked: np.ndarray    # (M,) how often a string is the chosen one,
    disliked: np.ndarray  # and the rejected one


class Coefficients(NamedTuple):
    """What a method puts into (unified.1) at one policy."""

    method: str
    strings: str      # where they come from
    judge: str
    least: float      # coefficient of a step,
    mean: float       # as the method meets them,
    largest: float
    cosine: float     # of the expected update with ∇J
    difference: float  # largest, from the gradient of the method's own loss


class Rest(NamedTuple):
    """Where a method comes to rest."""

    method: str
    at_rest: bool
    reward: float
    kl: float
    objective: float
    share: float     # of what the best bigram gains
    length: float    # letters
    rarest: float    # the least probability in the table


class Objectives(NamedTuple):
    """All results of the job."""

    strings: int        # that were listed
    reference: float    # J of it
    best_bigram: float  # J
    optimum: float      # J, over strings
    gradient: list      # of Coefficients
    rests: list         # of Rest


def every_string(cut=CUT, group=GROUP):
    """The `Strings` that are cut after so many steps."""
    world = language(easy_to_say(Vocabulary("ab")))
    ref = np.log(REFERENCE)
    batch, chances = all_episodes(world, REFERENCE, cut)
    steps = batch.steps(ref.shape)
    matrix = counts.matrix(steps).toarray()
    return Strings(world, ref, steps, matrix, np.diff(steps.starts),
                   matrix @ world.mean_reward.ravel(), chances, group)


def all_pairs(found):
    """`EveryPair` of strings of the reference, chosen by a rater of (reward_model.1)."""
    M = found.chances.size
    first, second = np.divmod(np.arange(M * M), M)
    prefers = np.exp(log_sigmoid(found.rewards[first] - found.rewards[second]))
    # Each pair is met in both orders, and its winner comes first: twice what one order has.
    weights = 2 * found.chances[first] * found.chances[second] * prefers
    pairs = Pairs(counts.select(found.steps, first), counts.select(found.steps, second))
    return EveryPair(pairs, weights, np.bincount(first, weights, M),
                     np.bincount(second, weights, M))


def chances(found, logits):
    """The probability of every string, (M,)."""
    return np.exp(found.matrix @ log_softmax(logits).ravel())


def shaped(found, logits, rewards):
    """r(y) − β log π/π_ref(y) of every string, (M,)."""
    return rewards - BETA * (found.matrix @ (log_softmax(logits) - found.ref).ravel())


def kept(chance, rewards, group):
    """The probability of a string to be the best of its group, ties broken by lot: (M,)."""
    below = np.array([chance[rewards < r].sum() for r in rewards])
    equal = np.array([chance[rewards == r].sum() for r in rewards])
    return ((below + equal)**group - below**group) / (group * equal)


def all_groups(strings, group):
    """All groups of strings, (groups, group) int, and in how many orders each can be written."""
    listed = np.array(list(combinations_with_replacement(range(strings), group)))
    # A string's first copy counts 1, its second 2: the product of these is that of factorials.
    copies = np.tril(listed[:, :, None] == listed[:, None]).sum(axis=2)
    return listed, factorial(group) / copies.prod(axis=1)


def member_advantages(rewards, advantage, listing):
    """A of every member of every group, (groups, group), by a function of the chapter `groups`."""
    members, _ = listing
    return advantage(rewards[members].reshape(1, -1), None, members.shape[1])[0].reshape(
        members.shape)


def judged(chance, A, listing):
    """E[A | y], the mean advantage of a string over the groups that it may be in: (M,)."""
    members, orders = listing
    weight = orders * chance[members].prod(axis=1)
    total = np.bincount(members.ravel(), (weight[:, None] * A).ravel(), chance.size)
    return total / (members.shape[1] * np.maximum(chance, TINY))


def demonstrations(found):
    """What a writer shows who is the optimum over strings: their chances (M,), and log Z."""
    tilted = found.chances * np.exp(found.rewards / BETA)
    return tilted / tilted.sum(), np.log(tilted.sum())


def updates(found):
    """The expected update of each method, by name: functions logits -> (3, 3), uphill."""
    every_pair, listing = all_pairs(found), all_groups(found.chances.size, found.group)
    difference, means = every_pair.pairs.difference, every_pair.pairs.means
    q = every_pair.weights
    learned = found.matrix @ minimise(lambda w: bradley_terry_loss(w, difference, pair_weights=q),
                                      np.zeros(found.ref.shape)).x.ravel()
    shown = demonstrations(found)[0]
    winners = found.chances * kept(found.chances, found.rewards, found.group)

    def ascent(logits, coefficients, weights):
        return gradient(logits, found.steps, np.repeat(coefficients, found.lengths), weights)

    def imitate(weights):
        return lambda logits: ascent(logits, np.ones(weights.size), weights)

    def climb(rewards):
        def update(logits):
            chance, earned = chances(found, logits), shaped(found, logits, rewards)
            return ascent(logits, earned - chance @ earned, chance)
        return update

    def online(logits):
        chance = chances(found, logits)
        return ascent(logits, kept(chance, found.rewards, found.group), chance)

    def grpo_paid(logits):
        chance = chances(found, logits)
        A = judged(chance, member_advantages(shaped(found, logits, found.rewards), group_normalised,
                                      listing), listing)
        return ascent(logits, A, chance / found.lengths)

    def grpo(advantage, lengths):
        fixed = member_advantages(found.rewards, advantage, listing)  # whatever the policy is

        def update(logits):
            chance = chances(found, logits)
            A = judged(chance, fixed, listing)
            c = grpo_coefficients(logits, logits, found.steps, np.repeat(A, found.lengths),
                                  ref_logits=found.ref, beta=BETA)
            return gradient(logits, found.steps, c, chance / lengths)
        return update

    def down(loss):
        return lambda logits: -loss(logits)[1]

    def kto(logits):
        z0 = chances(found, logits) @ (found.matrix @ (log_softmax(logits) - found.ref).ravel())
        every, M = sparse.csr_array(found.matrix), found.chances.size
        return -kto_loss(logits, found.ref, every, every, beta=BETA, z0=max(z0, 0.0),
                         desirable_weight=M * every_pair.liked,
                         undesirable_weight=M * every_pair.disliked)[1]

    return {
        "sft": imitate(shown), "rejection_sampling": imitate(winners), "online_sampling": online,
        "reinforce": climb(found.rewards), "grpo": grpo(group_normalised, found.lengths),
        "dr_grpo": grpo(group_centred, found.lengths.max()), "grpo_kl_in_reward": grpo_paid,
        "rlhf": climb(learned),
        "dpo": down(lambda x: dpo_loss(x, found.ref, difference, beta=BETA, pair_weights=q)),
        "dpo_smoothed": down(lambda x: dpo_loss(x, found.ref, difference, beta=BETA,
                                                label_smoothing=SMOOTHING, pair_weights=q)),
        "ipo": down(lambda x: ipo_loss(x, found.ref, difference, beta=TAU, pair_weights=q)),
        "kto": kto,
        "simpo": down(lambda x: simpo_loss(x, *means, beta=SCALE, simpo_gamma=LEAD,
                                           pair_weights=q)),
        "orpo": down(lambda x: orpo_loss(x, *means, beta=ODDS, pair_weights=q))}


def at_rest(update, starts, steps=STEPS, rate=RATE):
    """(logits, whether they are at rest): a stable zero of the update, or some steps along it.

    The zero is looked for from each of `starts`; the steps begin at the first.
    """
    shape = starts[0].shape

    def pinned(x):
        # Downhill; and its rows, which sum to zero, are free for a row's constant to be pinned.
        logits = x.reshape(shape)
        return (-update(logits) + logits.mean(axis=1, keepdims=True)).ravel()

    for start in starts:
        x = optimize.root(pinned, start.ravel(), tol=1e-13).x
        derivative = np.array([(pinned(x + step) - pinned(x - step)) / 2e-5
                               for step in 1e-5 * np.eye(x.size)])
        logits = x.reshape(shape)
        if np.abs(update(logits)).max() < ZERO and np.linalg.eigvals(derivative).real.min() > STIFF:
            return logits, True
    logits = starts[0]
    for _ in range(steps):
        logits = logits + rate * update(logits)
    return logits, False


def measure_objectives():
    """All results: `Objectives`."""
    found = every_string()
    moves = updates(found)
    best = at_rest(moves["reinforce"], [found.ref])[0]

    def worth(name, logits, rests):
        logp, chance = log_softmax(logits), chances(found, logits)
        reward = chance @ found.rewards
        kl = chance @ (found.matrix @ (logp - found.ref).ravel())
        letters = chance @ (found.matrix.reshape(-1, *logp.shape)[:, :, 1:].sum(axis=(1, 2)))
        return Rest(name, rests, *map(float, (reward, kl, reward - BETA * kl, 0.0, letters,
                                              np.exp(logp.min()))))

    rests = [worth("reference", found.ref, True)]
    rests += [worth(name, *at_rest(move, [found.ref, best])) for name, move in moves.items()]
    low, high = rests[0].objective, worth("", best, True).objective
    rests = [rest._replace(share=(rest.objective - low) / (high - low)) for rest in rests]
    return Objectives(found.chances.size, low, high, float(BETA * demonstrations(found)[1]),
                      one_gradient(found, moves, (found.ref + best) / 2), rests)


def one_gradient(found, moves, logits):
    """(unified.1) of six methods at one policy: a list of Coefficients."""
    chance, every_pair = chances(found, logits), all_pairs(found)
    pairs, met = every_pair.pairs, every_pair.weights
    true = moves["reinforce"](logits)
    both = counts.join([pairs.chosen, pairs.rejected])
    earned = shaped(found, logits, found.rewards)
    shown = demonstrations(found)[0]
    rows = []

    def row(method, strings, judge, c, weights, own, steps=found.steps):
        """`own` is the gradient of the method's loss, as often as (unified.1) has it."""
        g = gradient(logits, steps, c, weights)
        each = np.repeat(weights, np.diff(steps.starts))
        some = c[each > 0]
        rows.append(Coefficients(
            method, strings, judge, float(some.min()), float(each @ c / each.sum()),
            float(some.max()),
            float((g * true).sum() / np.linalg.norm(g) / np.linalg.norm(true)),
            float(np.abs(g + own).max())))

    def imitation(method, strings, judge, c, weights):
        table = counts.table(found.steps, np.repeat(c * weights, found.lengths))
        row(method, strings, judge, np.repeat(c, found.lengths), weights,
            sft_loss(logits, table)[1] * table.sum())

    def from_groups(method, judge, c, weights, beta):
        """A first step, at which the policy is the one that wrote."""
        A = np.repeat(c, found.lengths)
        batch = weighted(found.steps, A, weights)
        row(method, "policy", judge,
            grpo_coefficients(logits, logits, found.steps, A, ref_logits=found.ref, beta=beta),
            weights, grpo_loss(logits, logits, batch, ref_logits=found.ref, beta=beta)[1])

    imitation("sft", "optimum", "nobody", np.ones(shown.size), shown)
    imitation("rejection_sampling", "reference", f"best of {found.group}",
              kept(found.chances, found.rewards, found.group), found.chances)
    imitation("online_sampling", "policy", f"best of {found.group}",
              kept(chance, found.rewards, found.group), chance)
    row("dpo", "reference", "comparison",
        np.concatenate(dpo_coefficients(logits, found.ref, pairs, beta=BETA)), np.tile(met, 2),
        dpo_loss(logits, found.ref, pairs.difference, beta=BETA, pair_weights=met)[1],
        both)
    from_groups("ppo", "reward - beta KL", earned - chance @ earned, chance, 0.0)
    listing = all_groups(chance.size, found.group)
    normalised = member_advantages(found.rewards, group_normalised, listing)
    from_groups("grpo", f"group of {found.group}", judged(chance, normalised, listing),
                chance / found.lengths, BETA)
    return rows


# What is printed.


def objectives_text(found):
    """The tables of the job."""
    worst = max(row.difference for row in found.gradient)
    return "\n\n".join([
        paragraph(
            "What each method really optimises, for a language of two letters whose strings are "
            f"cut after {CUT} steps: exact, from all {found.strings} strings."),
        "One gradient, sum of w(y) c(y, t) grad log pi, halfway to the best bigram:",
        in_columns("method, strings of, judged by, least, mean, most, cosine",
                   [row[:-1] for row in found.gradient], 3),
        paragraph(
            "Least, mean and most are of the coefficient c of a step; cosine compares the expected "
            "update with the gradient of J.  Each is the gradient of the method's own loss at the "
            f"first step from a batch, to {worst:.0e}."),
        "Where the expected update is zero, and stays so:",
        in_columns("method, rests, reward, KL, J, share, length, rarest", found.rests,
                   (0, 0, 4, 4, 4, 4, 2, "{:.0e}".format)),
        paragraph(
            f"Share is of what the best bigram gains, J = {found.best_bigram:.4f}; no policy of "
            f"any kind has more than {found.optimum:.4f}.  Length is in letters, rarest the least "
            f"probability in the table.  What does not rest is shown after {STEPS:,} steps of "
            f"learning rate {RATE:g}: kto creeps towards the edge, where some letters never follow "
            f"some others, and online_sampling runs away.  sft imitates that optimum, "
            f"rejection_sampling the best of {GROUP} of the reference, online_sampling that of the "
            f"policy itself.  reinforce is where PPO and RLOO rest too, with the KL in the reward; "
            f"grpo and dr_grpo have k3 in the loss, and groups of {GROUP}.  rlhf has learned the "
            f"reward from all preferences, which the rows below see as well.")])


OBJECTIVES = Job("objectives", __doc__, lambda arguments, progress: measure_objectives(),
                 objectives_text)
