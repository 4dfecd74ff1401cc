"""What each method really optimises: exactly, on a language of 31 strings.

Two letters, a vowel and a consonant, and strings that are cut after four steps.  The reward is the
running example's, and so is β = 0.5.  All strings can be listed, so the expected update of every
method is a sum over the list: of strings, of pairs of them with the rater's exact probabilities, or
of groups of four.  Every loss of `margins` has a row, and every surrogate of `ratios`.

*One gradient* is (unified.1) at one policy, halfway from the reference to the best bigram: which
strings a method looks at, with which coefficient, and the cosine of its expected update with the
gradient of J.

*At rest*: where the expected update of a method is zero, and stays so when disturbed (the
eigenvalues of its derivative say that), what is the policy worth?  Its share is of what the best
*bigram* gains.  A cut after four steps is not something that a bigram can know, so the optimum over
strings, π_ref e^{R/β}/Z, is a little better still.  A method without such a point is followed for
2,000 steps of learning rate 10, and its row says so.  The update of the hinge jumps where m = 1, so
it is never zero; its row is the minimum of the loss, which is the limit of smooth ones.

*Aims* asks for more than a row can show: is the update of the method zero at that optimum?  A table
with a row for each *beginning* of a string, in the place of each letter, can be any policy over the
strings.  There the optimum is a policy, and the update of the method is computed at it.
"""

from collections import namedtuple
from functools import lru_cache, partial
from itertools import combinations_with_replacement
from math import factorial

import numpy as np
from scipy import optimize, sparse

from minirl.kernel import counts
from minirl.kernel.softmax import log_sigmoid, log_softmax
from minirl.lab.job import Job
from minirl.lab.listing import all_episodes
from minirl.lab.table import bar, in_columns, page
from minirl.people import (dpo, fitting, grpo, ipo, kto, margins, orpo, ratios, reward_model, sft,
                           simpo)
from minirl.people.groups import group_centred, group_normalised, weighted
from minirl.people.pairs import Pairs
from minirl.people.ratios import on_steps, on_strings, weighted_strings
from minirl.people.unified import dpo_coefficients, gradient, grpo_coefficients
from minirl.play.ppo_kl import ppo_kl_loss
from toy_lm.align import BETA, LEAD, ODDS, SCALE, TAU
from toy_lm.ngram import language
from toy_lm.rewards import easy_to_say
from toy_lm.vocabulary import Vocabulary

CUT = 4            # steps of a string
GROUP = 4          # strings in one: of GRPO, and of the best of n
REFERENCE = np.array([[0.10, 0.45, 0.45],   # from the start: end, a, b
                      [0.30, 0.25, 0.45],
                      [0.30, 0.40, 0.30]])
SMOOTHING = 0.1    # of conservative and of robust DPO: the share of wrong answers
ALPHA = 0.5        # of the α-divergence
UNSURE = 1e-3      # of EXO, its label smoothing
SHARPEST = 1e-6    # margins over which the last smooth hinge bends
TINY = 1e-300      # in place of a chance that underflowed
NEARLY = 1e-6      # largest entry of an update that is zero but for the fit of a reward
ZERO = 1e-9        # largest entry of an update at rest,
STIFF = 1e-6       # and least eigenvalue of its derivative
STEPS, RATE = 2000, 10.0  # along an update that has no zero

HEADINGS = {  # by the first row below them
    "reference": "What imitates, and what climbs a reward:",
    "grpo_kl_in_reward": "Surrogates of a ratio, with the KL in the reward:",
    "dpo": "Losses on pairs, of the margin:",
    "kto": "Losses of two numbers, one per string:",
    "forward_kl": "DPO for other divergences than the KL:",
    "ipo_by_length": "Losses on pairs, of means per step:"}

# What a step of each string weighs in a group, from the lengths of its members, (…, group).
DIVISORS = {"per_string": lambda lengths: 1 / (lengths.shape[-1] * lengths),
            "per_length": lambda lengths: np.full(lengths.shape, 1 / lengths.shape[-1]),
            "per_step": lambda lengths: np.ones(lengths.shape) / lengths.sum(-1, keepdims=True)}


def priced(*batch):
    """The surrogate of `ppo_kl` at β = 1, in the sum over steps and not their mean."""
    tables = weighted(*batch)

    def loss(logits, old_logits):
        mean, grad = ppo_kl_loss(logits, old_logits, tables, kl_coef=1.0)
        return tables.number * mean, tables.number * grad

    return loss


# The surrogates, as `grpo` takes them, and their divisors.
SURROGATES = {
    "grpo_kl_in_reward": (on_steps(ratios.clip), "per_string"),
    "unclipped": (on_steps(ratios.unclipped), "per_string"),
    "sapo": (on_steps(ratios.sapo), "per_string"),
    "gspo": (on_strings(partial(ratios.clip, epsilon=3e-4, epsilon_high=4e-4)), "per_string"),
    "gmpo": (lambda *batch: partial(ratios.gmpo_loss, batch=weighted_strings(*batch)),
             "per_string"),
    "ppo_kl": (priced, "per_step"),
    "dual_clip": (on_steps(ratios.dual_clip), "per_step"),
    "dapo": (on_steps(partial(ratios.clip, epsilon_high=0.28)), "per_step"),
    "cispo": (on_steps(ratios.cispo), "per_step"),
    "vespo": (on_strings(ratios.vespo, rows=counts.matrix), "per_step"),
    "luspo": (on_strings(partial(ratios.clip, epsilon=2e-3, epsilon_high=2.5e-3)), "per_length")}


# Every string of the language: the reference log π_ref, (3, 3); the `counts.Steps` of M strings;
# for each string how often it takes each step, (M, 9), how many steps it has, its reward, and its
# chance under the reference, (M,); all groups of strings, (K, group), the order of a group set
# aside, and in how many orders each can be written, (K,).
Strings = namedtuple("Strings", "ref steps matrix lengths rewards chances members orders")


# What a method puts into (unified.1) at one policy: where its strings come from, the coefficient of
# a step as the method meets them, the cosine of its expected update with ∇J, and the largest
# difference from the gradient of its own loss.
Coefficients = namedtuple("Coefficients", "method strings judge least mean largest cosine "
                          "difference")


# Where a method comes to rest, whether it aims at J*, and whether it is at rest, True, False or
# "kink"; a share of what the best bigram gains, letters, and the least probability in the table.
Rest = namedtuple("Rest", "method aims at_rest reward kl objective share length rarest")


# What the job finds: how many strings were listed; J of the reference, of the best bigram and of
# the optimum over strings; lists of Coefficients and of Rest; (KL, reward) of optima at prices from
# high to low; and what losses want of a pair, (share of the comparisons won, m) by name.
Objectives = namedtuple("Objectives", "strings reference best_bigram optimum gradient rests "
                        "frontier wanted")


def measure_objectives() -> Objectives:
    """All results: `Objectives`."""
    found = every_string()
    moves, places = updates(found), [found.ref]
    aims = aims_at_the_optimum(found)
    best = at_rest(moves["reinforce"], places)[0]

    def worth(name, logits, rests):
        logp, chance = log_softmax(logits), chances(found, logits)
        reward, kl = chance @ found.rewards, chance @ ratios_of(found, logits)
        letters = (chance @ found.matrix).reshape(logp.shape)[:, 1:].sum()
        return Rest(name, aims.get(name, False), rests, *map(float, (
            reward, kl, reward - BETA * kl, 0.0, letters, np.exp(logp.min()))))

    rests = [worth("reference", found.ref, True)]
    for name, move in moves.items():
        # Surrogates with one divisor rest together.
        starts = [places[-1] if name in SURROGATES else found.ref, best]
        logits, resting = ((lowest_hinge(found, best), "kink") if name == "hinge"
                           else at_rest(move, starts))
        places.append(logits)
        rests.append(worth(name, logits, resting))
    low, high = rests[0].objective, worth("", best, True).objective
    rests = [rest._replace(share=(rest.objective - low) / (high - low)) for rest in rests]
    return Objectives(found.chances.size, low, high, float(BETA * demonstrations(found)[1]),
                      one_gradient(found, moves, (found.ref + best) / 2), rests,
                      path_of_optima(found), wanted())


def one_gradient(found, moves, logits):
    """(unified.1) of six methods at one policy: a list of Coefficients."""
    chance, (pairs, met) = chances(found, logits), all_pairs(found)
    true, shown, rows = moves["reinforce"](logits), demonstrations(found)[0], []
    earned, group = found.rewards - BETA * ratios_of(found, logits), found.members.shape[1]

    def row(method, strings, judge, c, weights, own, steps=found.steps):
        """`own` is the gradient of the method's loss, as often as (unified.1) has it."""
        g, each = gradient(logits, steps, c, weights), np.repeat(weights, np.diff(steps.starts))
        rows.append(Coefficients(method, strings, judge, *map(float, (
            c.min(), each @ c / each.sum(), c.max(),
            (g * true).sum() / np.linalg.norm(g) / np.linalg.norm(true), np.abs(g + own).max()))))

    def imitation(method, strings, judge, c, weights):
        table = counts.table(found.steps, np.repeat(c * weights, found.lengths))
        row(method, strings, judge, np.repeat(c, found.lengths), weights,
            sft.sft_loss(logits, table)[1] * table.sum())

    def from_groups(method, judge, c, weights, beta):
        """A first step, at which the policy is the one that wrote."""
        A = np.repeat(c, found.lengths)
        row(method, "policy", judge,
            grpo_coefficients(logits, logits, found.steps, A, ref_logits=found.ref, beta=beta),
            weights, grpo.grpo_loss(logits, logits, weighted(found.steps, A, weights),
                                    ref_logits=found.ref, beta=beta)[1])

    imitation("sft", "optimum", "nobody", np.ones(shown.size), shown)
    imitation("rejection_sampling", "reference", f"best of {group}", kept(found, found.chances),
              found.chances)
    imitation("online_sampling", "policy", f"best of {group}", kept(found, chance), chance)
    row("dpo", "reference", "comparison",
        np.concatenate(dpo_coefficients(logits, found.ref, pairs, beta=BETA)), np.tile(met, 2),
        dpo.dpo_loss(logits, found.ref, pairs.counts, beta=BETA, pair_weights=met)[1],
        counts.join([pairs.chosen, pairs.rejected]))
    from_groups("ppo", "reward - beta KL", earned - chance @ earned, chance, 0.0)
    from_groups("grpo", f"group of {group}",
                judged(found, chance, member_advantages(found, found.rewards, group_normalised)),
                chance / found.lengths, BETA)
    return rows


def every_string(cut=CUT, group=GROUP) -> Strings:
    """The `Strings` that are cut after so many steps, and groups of so many."""
    world = language(easy_to_say(Vocabulary("ab")))
    batch, chances = all_episodes(world, REFERENCE, cut)
    steps = batch.steps(REFERENCE.shape)
    matrix = counts.matrix(steps).toarray()
    return Strings(np.log(REFERENCE), steps, matrix, batch.lengths,
                   matrix @ world.mean_reward.ravel(), chances, *all_groups(len(matrix), group))


def with_beginnings(found):
    """The same strings, over a table with a row for each beginning of one in the place of letters.

    Any policy over the strings is such a table.
    """
    begun, rows, actions = {}, [], found.steps.index % found.ref.shape[1]
    for i, j in zip(found.steps.starts, found.steps.starts[1:]):
        rows += [begun.setdefault(tuple(actions[i:k]), len(begun)) for k in range(i, j)]
    last = [begin[-1] if begin else 0 for begin in begun]  # the letter whose row it had
    steps = counts.steps(rows, actions, found.steps.starts, found.ref[last].shape)
    return found._replace(ref=found.ref[last], steps=steps, matrix=counts.matrix(steps).toarray())


def aims_at_the_optimum(found):
    """Whether the update of each method is zero at the optimum over strings, by name: bool."""
    free = with_beginnings(found)
    visits = demonstrations(free)[0] @ free.matrix
    best = np.log(visits.reshape(free.ref.shape))
    return {name: bool(np.abs(move(best)).max() < NEARLY) for name, move in updates(free).items()}


def path_of_optima(found):
    """(KL, reward) of the optimum over strings at prices from 10 down to a tenth: a list."""
    points = []
    for beta in np.geomspace(10, 0.1, 41):
        tilted = found.chances * np.exp(found.rewards / beta)
        shown = tilted / tilted.sum()
        points.append((float(shown @ np.log(shown / found.chances)), float(shown @ found.rewards)))
    return points


def wanted():
    """By name, the margin β(h⁺ − h⁻) that a loss wants at shares from ½ to 0.98: lists of pairs."""
    shares = [0.5, 0.500001, *np.linspace(0.52, 0.98, 24).tolist()]
    phis = {"dpo": partial(dpo.logistic, beta=BETA),
            "dpo_smoothed": partial(dpo.logistic, beta=BETA, label_smoothing=SMOOTHING),
            "ipo": partial(ipo.squared, beta=TAU),
            **{phi.__name__: partial(phi, beta=BETA) for phi in (
                margins.truncated_squared, margins.hinge, margins.exponential)}}
    return {name: [(share, float(BETA * margins.wanted_lead(phi, share))) for share in shares]
            for name, phi in phis.items()}


def families(rests):
    """The rows under each of `HEADINGS`: a dict of lists."""
    found, heading = {}, ""
    for rest in rests:
        heading = HEADINGS.get(rest.method, heading)
        found.setdefault(heading, []).append(rest)
    return found


def all_groups(strings, group):
    """All groups of strings, (K, group) int, and in how many orders each can be written."""
    listed = np.array(list(combinations_with_replacement(range(strings), group)))
    # A string's first copy counts 1, its second 2: the product of these is that of factorials.
    copies = np.tril(listed[:, :, None] == listed[:, None]).sum(axis=2)
    return listed, factorial(group) / copies.prod(axis=1)


def all_pairs(found):
    """Every pair of strings, and how often it is met with the first as the chosen one: (M²,).

    The strings are the reference's, and the rater is that of (reward_model.1).
    """
    first, second = np.divmod(np.arange(found.chances.size**2), found.chances.size)
    prefers = np.exp(log_sigmoid(found.rewards[first] - found.rewards[second]))
    # Each pair is met in both orders, and its winner comes first: twice what one order has.
    return (Pairs(counts.select(found.steps, first), counts.select(found.steps, second)),
            2 * found.chances[first] * found.chances[second] * prefers)


def chances(found, logits):
    """The probability of every string, (M,)."""
    return np.exp(found.matrix @ log_softmax(logits).ravel())


def ratios_of(found, logits):
    """The log-ratio log(π/π_ref) of every string, (M,)."""
    return found.matrix @ (log_softmax(logits) - found.ref).ravel()


def kept(found, chance):
    """The probability of a string to be the best of its group, ties broken by lot: (M,)."""
    rewards, group = found.rewards, found.members.shape[1]
    below, equal = (rewards[:, None] > rewards) @ chance, (rewards[:, None] == rewards) @ chance
    return ((below + equal)**group - below**group) / (group * equal)


def member_advantages(found, rewards, advantage):
    """A of every member of every group, (K, group), by a function of the chapter `groups`."""
    members = found.members
    return advantage(rewards[members.ravel()], None, members.shape[1]).reshape(members.shape)


def judged(found, chance, A):
    """E[A | y], the mean advantage of a string over the groups that it may be in: (M,)."""
    weight = found.orders * chance.take(found.members.T).prod(axis=0)
    total = np.bincount(found.members.ravel(), (weight[:, None] * A).ravel(), chance.size)
    return total / (A.shape[1] * np.maximum(chance, TINY))


def demonstrations(found):
    """What a writer shows who is the optimum over strings: their chances (M,), and log Z."""
    tilted = found.chances * np.exp(found.rewards / BETA)
    return tilted / tilted.sum(), np.log(tilted.sum())


def updates(found):
    """The expected update of each method, by name: functions of logits, as large, uphill."""
    pairs, met = all_pairs(found)
    D, M, ref = pairs.difference, found.chances.size, found.ref
    weighing = {name: found.members.shape[1] * divisor(found.lengths[found.members])
                for name, divisor in DIVISORS.items()}
    learned = fitting.minimise(lambda w: reward_model.bradley_terry_loss(w, D, pair_weights=met),
                               np.zeros(ref.shape)).x

    def ascent(logits, coefficients, weights):
        return gradient(logits, found.steps, np.repeat(coefficients, found.lengths), weights)

    def imitate(weights):
        return lambda logits: ascent(logits, np.ones(M), weights)

    def climb(rewards):
        def update(logits):
            chance, earned = chances(found, logits), rewards - BETA * ratios_of(found, logits)
            return ascent(logits, earned - chance @ earned, chance)
        return update

    def online(logits):
        chance = chances(found, logits)
        return ascent(logits, kept(found, chance), chance)

    def with_kl_paid(surrogate, divisor):
        def update(logits):
            said, chance = judge_paid(logits.tobytes(), divisor), chances(found, logits)
            loss = surrogate(found.steps, said, np.maximum(chance, TINY))
            return -loss(logits, logits)[1]
        return update

    @lru_cache(2 * STEPS)
    def judge_paid(buffer, divisor):
        """E[w A | y] of groups that pay for the KL; surrogates that rest together ask together."""
        logits = np.frombuffer(buffer).reshape(ref.shape)
        earned = found.rewards - BETA * ratios_of(found, logits)
        A = member_advantages(found, earned, group_normalised)
        return judged(found, chances(found, logits), A * weighing[divisor])

    def with_k3(advantage, lengths):
        fixed = member_advantages(found, found.rewards, advantage)  # whatever the policy is

        def update(logits):
            chance = chances(found, logits)
            A = np.repeat(judged(found, chance, fixed), found.lengths)
            c = grpo_coefficients(logits, logits, found.steps, A, ref_logits=ref, beta=BETA)
            return gradient(logits, found.steps, c, chance / lengths)
        return update

    def down(loss, *data, **options):
        return lambda logits: -loss(logits, *data, pair_weights=met, **options)[1]

    def of(phi, rows=pairs.counts, loss=margins.margin_loss, weights=met):
        return lambda logits: -loss(logits, ref, rows, phi, pair_weights=weights)[1]

    def of_the_margin(phi, **options):
        return of(partial(phi, beta=BETA, **options), D)

    def bco_as_met(logits):
        h, table = met / met.sum(), log_softmax(logits) - ref
        delta = BETA * (h @ (pairs.counts[0] @ table.ravel() + pairs.counts[1] @ table.ravel())) / 2
        return of(partial(margins.bco, beta=BETA, delta=delta))(logits)

    every, often = sparse.csr_array(found.matrix), M * met.reshape(M, M)
    liked, disliked = often.sum(axis=1), often.sum(axis=0)

    def kto_as_met(logits):
        z0 = chances(found, logits) @ ratios_of(found, logits)
        return -kto.kto_loss(logits, ref, every, every, beta=BETA, z0=max(z0, 0.0),
                             desirable_weight=liked, undesirable_weight=disliked)[1]

    logistic = partial(dpo.logistic, beta=BETA)
    mistaken = (1 - SMOOTHING) * met + SMOOTHING * met.reshape(M, M).T.ravel()
    return {
        "sft": imitate(demonstrations(found)[0]),
        "rejection_sampling": imitate(found.chances * kept(found, found.chances)),
        "online_sampling": online, "grpo": with_k3(group_normalised, found.lengths),
        "dr_grpo": with_k3(group_centred, found.lengths.max()),
        "reinforce": climb(found.rewards), "rlhf": climb(found.matrix @ learned.ravel()),
        **{name: with_kl_paid(*how) for name, how in SURROGATES.items()},
        "dpo": down(dpo.dpo_loss, ref, D, beta=BETA),
        "dpo_smoothed": down(dpo.dpo_loss, ref, D, beta=BETA, label_smoothing=SMOOTHING),
        "robust": of_the_margin(margins.robust, label_smoothing=SMOOTHING),
        "robust_mistaken": of(partial(margins.robust, beta=BETA, label_smoothing=SMOOTHING), D,
                              weights=mistaken),
        "ipo": down(ipo.ipo_loss, ref, D, beta=TAU),
        "truncated_squared": of_the_margin(margins.truncated_squared),
        "hinge": of_the_margin(margins.hinge), "savage": of_the_margin(margins.savage),
        "exponential": of_the_margin(margins.exponential),
        "exo": of_the_margin(margins.exo, label_smoothing=UNSURE),
        "discopop": of_the_margin(margins.discopop),
        "aot": of(logistic, loss=margins.aot_loss),
        "kto": kto_as_met, "bco": bco_as_met,
        **{phi.__name__: of(partial(phi, beta=BETA)) for phi in (
            margins.nca, margins.sppo, margins.apo_zero, margins.apo_down)},
        "aot_unpaired": of(logistic, loss=margins.aot_unpaired_loss),
        "forward_kl": of(margins.under(margins.forward_kl, logistic)),
        "jensen_shannon": of(margins.under(margins.jensen_shannon, logistic)),
        "alpha_divergence": of(margins.under(partial(margins.alpha_divergence, alpha=ALPHA),
                                             logistic)),
        "ipo_by_length": of(partial(ipo.squared, beta=TAU), pairs.means),
        "simpo": down(simpo.simpo_loss, *pairs.means, beta=SCALE, simpo_gamma=LEAD),
        "orpo": down(orpo.orpo_loss, *pairs.means, beta=ODDS)}


def at_rest(update, starts, steps=STEPS, rate=RATE):
    """(logits, whether they are at rest): a stable zero of the update, or some steps along it.

    The zero is looked for from each of `starts`.  The steps begin at the first.  After a tenth of
    them, and at their end, it is looked for once more.
    """
    for start in starts:
        place, resting = zero_near(update, start)
        if resting:
            return place, True
    logits = starts[0]
    for number in steps // 10, steps - steps // 10:
        for _ in range(number):
            logits = logits + rate * update(logits)
        place, resting = zero_near(update, logits)
        if resting:
            return place, True
    return logits, False


def zero_near(update, start):
    """(logits, whether they are a stable zero of the update): the start, if it is one already."""
    shape = start.shape

    def pinned(x):
        # Downhill; and its rows, which sum to zero, are free for a row's constant to be pinned.
        logits = x.reshape(shape)
        return (-update(logits) + logits.mean(axis=1, keepdims=True)).ravel()

    def moves(logits):
        return np.abs(update(logits)).max() >= ZERO

    x = optimize.root(pinned, start.ravel(), tol=1e-13).x if moves(start) else start.ravel()
    logits = x.reshape(shape)
    if moves(logits):
        return logits, False
    derivative = np.array([(pinned(x + step) - pinned(x - step)) / 2e-5
                           for step in 1e-5 * np.eye(x.size)])
    return logits, bool(np.linalg.eigvals(derivative).real.min() > STIFF)


def lowest_hinge(found, start):
    """The minimum of the hinge loss, where its slope jumps: the limit of smooth hinges."""
    pairs, met = all_pairs(found)
    for width in np.geomspace(1, SHARPEST, 25):
        def smooth(plus, minus, width=width):
            x = (BETA * (plus - minus) - 1) / width
            slope = -BETA * np.exp(log_sigmoid(-x))
            return -width * log_sigmoid(x), slope, -slope

        start, _ = zero_near(lambda logits: -margins.margin_loss(
            logits, found.ref, pairs.difference, smooth, pair_weights=met)[1], start)
    return start


# What is printed.


def objectives_text(found):
    """The tables of the job."""
    worst = max(row.difference for row in found.gradient)
    return page(
        "What each method really optimises, for a language of two letters whose strings are cut "
        f"after {CUT} steps: exact, from all {found.strings} strings.",
        "One gradient, sum of w(y) c(y, t) grad log pi, halfway to the best bigram:",
        in_columns("method, strings of, judged by, least, mean, most, cosine",
                   [row[:-1] for row in found.gradient], 3),
        "Least, mean and most are of the coefficient c of a step; cosine compares the expected "
        "update with the gradient of J.  Each is the gradient of the method's own loss at the "
        f"first step from a batch, to {worst:.0e}.",
        "Where the expected update is zero, and stays so:",
        under_headings(in_columns("method, aim, rest, reward, KL, J, share, , length, least",
                                  [(*rest[:7], bar(rest.share), *rest[7:]) for rest in found.rests],
                                  (0, 0, 0, 3, 3, 4, 4, 0, 2, "{:.0e}".format))),
        f"Aim: is the update zero at the optimum over strings, if the table is large enough to "
        f"hold it?  Share is of what the best bigram gains, J = {found.best_bigram:.4f}; no policy "
        f"of any kind has more than {found.optimum:.4f}.  Length is in letters, least the smallest "
        f"probability in the table.  What does not rest is shown after {STEPS:,} steps of learning "
        f"rate {RATE:g}: kto and apo_zero creep towards the edge, where some letters never follow "
        f"some others; online_sampling, apo_down and aot_unpaired run away.  The update of hinge "
        f"jumps where a margin is 1, and is zero nowhere: shown is the lowest point of its loss.",
        f"sft imitates the optimum, rejection_sampling the best of {GROUP} of the reference, "
        f"online_sampling that of the policy itself.  grpo and dr_grpo have k3 in the loss; groups "
        f"are of {GROUP}.  reinforce is where PPO and RLOO rest too.  rlhf has learned the reward "
        f"from all preferences, which the rows of losses see as well.  Surrogates are at the first "
        f"step from a batch, where what they clip plays no part: they differ in what a step is "
        f"divided by.  dpo_smoothed and robust allow for {SMOOTHING:.0%} of wrong answers, and "
        f"robust_mistaken has heard so many.  exo takes {UNSURE:g} for its label smoothing, "
        f"alpha_divergence {ALPHA:g} for alpha, and bco the mean of beta h for its shift.")


def under_headings(table):
    """The table, with each of `HEADINGS` above the first row that it is about."""
    return "\n".join(f"\n{HEADINGS[line.split()[0]]}\n{line}" if line.split()[0] in HEADINGS
                     else line for line in table.splitlines())


OBJECTIVES = Job("objectives", __doc__, lambda arguments, progress: measure_objectives(),
                 objectives_text, draw=lambda figures, found: figures.objectives_figures(
                     found, families(found.rests), BETA))
