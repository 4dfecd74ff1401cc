"""Alignment: every method on one language, one reward and one reference.

The running example asks which invented name is easier to say, at β = 0.5.  Each method ends in a
policy, whose reward, KL, objective and length are exact, and which is judged by its share of what
there is to gain, (J − J(ref)) / (J* − J(ref)).  `best_of_n` trains nothing; its law is exact too,
at the n where J is largest.  `rlhf` and the methods that need no reward model see the same
preferences, `kto` with the pairs taken apart, and all are fitted with a pull towards the reference.
What becomes of few preferences without that pull is a table of its own.

The *frontier* is the path of optima (regularised.7).  *Over-optimisation* follows three proxies for
the true reward, as their maximisers go further and further from the reference: a reward model of
all pairs of letters, fitted to few preferences; one that only counts like pairs and letters, fitted
to the same; and the true reward without its bonus for letters, which short strings serve best.  For
each the path of its own optima is what PPO would come to.  Best of n is exact where the proxy has
few values, as the second and the third have.
"""

from collections import namedtuple
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.console import integer
from minirl.checkpoints import storable
from minirl.exact.evaluation import NoEnd, expectation
from minirl.people.regularised import critical_beta, frontier, regularised_optimum, tilt
from minirl.exact.return_law import reward_law
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.lab.job import SEED, Job, stopwatch
from minirl.lab.keeping import CHECKPOINT, Keeper, keeper, trained
from minirl.lab.objectives import SMOOTHING, SURROGATES
from minirl.lab.running_example import (CORPUS, FITTED, SHOWN, WORDS, Writer, bigram_of, corpus_of,
                                        letters_of, running_example, writers_text, written)
from minirl.lab.table import bar, fixed, in_columns, page
from minirl.people.best_of_n import best_of_n, rejection_sampling
from minirl.people.calibration import accuracy, best_accuracy, calibration, reward_error
from minirl.people.fitting import minimise_near
from minirl.people.groups import (group_centred, group_leave_one_out, per_length, per_step,
                                  per_string)
from minirl.people.grpo import grpo, resting_policy
from minirl.people.margins import fit_margins, robust, savage
from minirl.people.pairs import reward_margins
from minirl.people.reward_model import bradley_terry_loss, fit_reward_model
from minirl.people.rlhf import rlhf, step_rewards
from minirl.play.optim import linear
from minirl.play.reinforce import reinforce
from minirl.play.training import start
from toy_lm.align import BETA, METHODS, PULL
from toy_lm.ngram import language, sample
from toy_lm.preferences import sample_pairs
from toy_lm.rewards import easy_to_say, letters

MEAN_STEPS = 7  # the constant of Dr. GRPO and RLOO: about the steps of a string
ROUNDS = 3      # of iterated RLHF
PIECES = 34     # of work: the rows of the table, and what else is computed


class AlignmentScale(NamedTuple):
    """How long everything learns, and how much is computed."""

    iterations: int = 200   # of every trainer that climbs J,
    resting: int = 400      # and of those that come to rest elsewhere
    winners: int = 100_000  # strings written for rejection sampling, four for each winner
    ns: tuple = (1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024)
    betas: tuple = (10.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.0, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.36, 0.33,
                    0.31, 0.3)
    groups: tuple = (2, 4, 8, 16, 64)  # sizes for which Dr. GRPO's point of rest is computed
    few: int = 100          # preferences of the learned proxies
    sizes: tuple = (100, 1_000, 10_000)  # preferences of the reward models that are judged,
    fresh: int = 20_000     # on so many others
    unheld: tuple = (("dpo", 300), ("dpo", 3_000), ("ipo", 300), ("kto", 300), ("simpo", 300),
                     ("orpo", 300))
    law_tol: float = 1e-15  # of the law of the best of n


# A policy on its way from the reference: its KL, what a proxy and the true reward say it earns more
# than the reference, its mean letters, and its n or its β.
ProxyPoint = storable(namedtuple("ProxyPoint", "kl proxy gold letters at"))


# What becomes of the true reward when another one is maximised: points along the proxy's own
# frontier, and of the best of n, none where the law of the proxy is not exact.
Proxy = storable(namedtuple("Proxy", "name optima best_of_n"))


# A reward model, judged on fresh preferences: how many it was fitted to, its accuracy and the best
# that any model can expect, `calibration.reward_error`, its largest weight, whether it has an
# optimum at β, the expected error of its probabilities, and for ten bins of them the mean and how
# often it came true, None where a bin is empty.
JudgedModel = storable(namedtuple(
    "JudgedModel", "pairs accuracy best_accuracy error largest has_optimum calibration predicted "
    "observed"))


# A method fitted to few preferences: share and letters without the pull, None where strings do not
# end, and with it.
Held = storable(namedtuple("Held", "method pairs share mean_length held_share held_length"))


# The best of n, exactly.
BestPoint = storable(namedtuple("BestPoint", "n reward kl share"))


# What the job finds: how many preferences; rows of running_example.Writer; the n of best_of_n; the
# critical β; points of `regularised.frontier`; a BestPoint for each n; the share of
# `grpo.resting_policy` by the size of the group, None where it was not found; lists of JudgedModel,
# of Held and of Proxy; and the file of a corpus of one's own, or None.
Alignment = storable(namedtuple(
    "Alignment", "pairs rows n critical_beta frontier best_of_n resting models held proxies file",
    defaults=[None]))


def align(pairs, seed, progress, scale=AlignmentScale(), items=None, kept=None) -> Alignment:
    """Every method, on a corpus or the Unicode words: an `Alignment`.

    `pairs` are for `rlhf` and for the methods without a reward model; the time to draw them counts
    for all of these.  A `keeping.Keeper` keeps what is done.
    """
    timed, rows, kept = stopwatch(PIECES, progress), [], kept or Keeper()
    piece = partial(timed, piece=kept.piece)

    def row(method, logp, seconds):
        rows.append(written(example, method, logp, seconds, seed))

    model, fitting = timed("reference", lambda: bigram_of(items))
    example, solving = timed("optimum", lambda: running_example(model))
    ref = example.reference
    row("reference", log_softmax(ref), fitting)
    row("optimum", tilt(ref, example.optimum.action_values, beta=BETA), solving)
    (curve, best), seconds = piece("best_of_n", lambda: best_of(example, seed, scale))
    rows.append(best._replace(seconds=seconds))
    for name, train in trainers(example, seed, scale, kept.after).items():
        row(name, *piece(name, train))
    learn_from_pairs(example, pairs, seed, scale, timed, row, kept)
    sizes = [*(size for size in scale.sizes if size < pairs), pairs]
    others = [piece(name, work)[0] for name, work in {
        "points of rest": lambda: {K: at_rest_in_groups(example, K) for K in scale.groups},
        "reward models": lambda: judged_models(example, sizes, seed, scale),
        "few preferences without a pull": lambda: held_or_not(example, seed, scale.unheld),
        "proxies": lambda: over_optimised(example, seed, scale)}.items()]
    return Alignment(pairs, rows, max(curve, key=lambda point: point.share).n,
                     critical_beta(example.world, ref), frontier(example.world, ref, scale.betas),
                     curve, *others)


def learn_from_pairs(example, pairs, seed, scale, timed, row, kept):
    """A row for each method that learns from preferences; these are forgotten afterwards."""
    data, drawing = timed("preferences", lambda: example.preferences(pairs, [seed, 7, 0]))
    for name, train in {
            "rlhf": lambda: by_rlhf(example, data, [seed, 8, 0], scale, kept.after),
            "rlhf_iterated": lambda: by_iterated_rlhf(example, pairs, seed, scale, kept.after),
            **by_preferences(example, data), "savage": lambda: by_savage(example, data),
            "robust_mistaken": lambda: by_robust(example, pairs, [seed, 7, 0])}.items():
        logp, seconds = timed(name, train, kept.piece)
        row(name, logp, seconds + drawing * (name not in ("rlhf_iterated", "robust_mistaken")))


def at_rest_in_groups(example, size):
    """The share of `grpo.resting_policy` with groups of a size; None where it was not found."""
    try:
        logp = resting_policy(example.world, example.reference, beta=BETA, num_generations=size)
    except ValueError:  # long strings are far from it after all its rounds
        return None
    return example.judge(np.exp(logp)).share


def trainers(example, seed, scale, after=trained):
    """The learners that play, by name: functions without arguments that return log π.

    `grpo` and `dr_grpo` have k3 in the loss, `rejection_sampling` has no KL to pay for in its one
    round, and the others have it in the reward.
    """
    world, ref, constant = example.world, example.reference, per_length(MEAN_STEPS)
    divisors = {"per_string": per_string, "per_step": per_step, "per_length": constant}
    paid = step_rewards(world.mean_reward, ref, beta=BETA)
    climbing = {"iterations": scale.iterations, "learning_rate": linear(0.05, 0.0)}
    group = partial(grpo, world, ref_logits=ref, rewards=paid, **climbing)
    # What has no objective is followed with small steps, so that it is seen where it comes to rest.
    resting = partial(grpo, world, ref_logits=ref, beta=BETA, episodes=2048, num_iterations=1,
                      iterations=scale.resting, learning_rate=linear(0.02, 0.0))
    found = {
        "rejection_sampling": partial(rejection_sampling, world, episodes=scale.winners),
        "reinforce": partial(reinforce, world, rewards=paid, **climbing),
        "ppo": partial(rlhf, world, reward_table=world.mean_reward, ref_logits=ref, beta=BETA,
                       **climbing),
        "grpo": resting, "dr_grpo": partial(resting, advantage=group_centred, weights=constant),
        "grpo_kl_in_reward": group,
        "rloo": partial(group, advantage=group_leave_one_out, weights=constant),
        **{name: partial(group, surrogate=surrogate, weights=divisors[divisor])
           for name, (surrogate, divisor) in SURROGATES.items() if name != "grpo_kl_in_reward"}}

    def train(stream, trainer):
        iterations = trainer.keywords.get("iterations", 1)
        return after(trainer, start(ref, rng=[seed, stream]), iterations).logp

    return {name: partial(train, stream, trainer)
            for stream, (name, trainer) in enumerate(found.items())}


def by_rlhf(example, data, rng, scale, after=trained):
    """log π of a reward model fitted to preferences, and then PPO on it."""
    reward_table = fit_reward_model(np.zeros(example.reference.shape), data, pull=PULL).x
    return example.climbed(reward_table, rng, scale.iterations, after=after)


def by_iterated_rlhf(example, pairs, seed, scale, after=trained):
    """log π of ROUNDS rounds, among which the preferences are shared out.

    Those of a round are over strings of the policy before, and the model is fitted to all so far.
    """
    logp, data = example.reference, None
    for k in range(ROUNDS):
        drawn = example.preferences(max(pairs // ROUNDS, 1), [seed, 7, k], logp)
        data = data + drawn if k else drawn
        logp = by_rlhf(example, data, [seed, 8, k], scale, after)
    return logp


def by_preferences(example, data, pull=PULL):
    """The methods that need no reward model, by name: functions that return log π."""
    def fitted(fit, beta):
        return log_softmax(fit(example.reference, data, beta=beta, pull=pull).x)

    return {name: partial(fitted, *how) for name, how in METHODS.items() if name != "reward_model"}


def by_savage(example, data):
    """log π of the other loss on pairs that aims at J."""
    phi = partial(savage, beta=BETA)
    return log_softmax(fit_margins(example.reference, data, phi, pull=PULL).x)


def by_robust(example, pairs, rng):
    """log π of robust DPO, from preferences of which a tenth is turned round."""
    data = sample_pairs(example.reference, example.world.mean_reward, pairs, rng=rng,
                        noise=SMOOTHING)
    phi = partial(robust, beta=BETA, label_smoothing=SMOOTHING)
    return log_softmax(fit_margins(example.reference, data, phi, pull=PULL).x)


def held_or_not(example, seed, methods):
    """Few preferences, fitted without a pull and with it: a list of Held, for (method, pairs)."""
    def judged(fit):
        try:
            score = example.judge(np.exp(fit()))
        except NoEnd:  # of strings, in the fit of KTO
            return None, None
        return score.share, letters_of(score)

    rows = []
    for method, pairs in methods:
        data = example.preferences(pairs, [seed, 9])
        rows.append(Held(method, pairs, *judged(by_preferences(example, data, 0.0)[method]),
                         *judged(by_preferences(example, data)[method])))
    return rows


def judged_models(example, sizes, seed, scale):
    """Reward models of more and more preferences: a list of JudgedModel."""
    ref = example.reference
    fresh = example.preferences(scale.fresh, [seed, 10]).difference
    true = fresh @ example.world.mean_reward.ravel()
    models = []
    for pairs in sizes:
        data = example.preferences(pairs, [seed, 9])
        learned = fit_reward_model(np.zeros(ref.shape), data, pull=PULL).x
        margins = reward_margins(fresh, learned)
        table = calibration(margins)
        bins = ([float(x) if n else None for x, n in zip(values, table.number)]
                for values in (table.predicted, table.observed))
        models.append(JudgedModel(
            pairs, accuracy(margins), best_accuracy(true),
            reward_error(example.world, np.exp(ref), learned), float(np.abs(learned).max()),
            bool(critical_beta(language(learned), ref) < BETA), table.error, *bins))
    return models


def best_of(example, seed, scale):
    """A BestPoint for every n, and the `Writer` of the best of them."""
    policy = np.exp(example.reference)
    law = reward_law(example.world, policy, also=letters(policy.shape)[None], tol=scale.law_tol)
    low, high = example.judge(policy).objective, example.optimum.objective
    found = [best_of_n(law, n) for n in scale.ns]
    curve = [BestPoint(n, best.reward, best.kl, (best.reward - BETA * best.kl - low) / (high - low))
             for n, best in zip(scale.ns, found)]
    (n, reward, kl, share), best = max(zip(curve, found), key=lambda pair: pair[0].share)
    strings = sample(example.reference, n * WORDS, rng=seed, horizon=SHOWN)
    earned = (counts.matrix(strings) @ example.world.mean_reward.ravel()).reshape(-1, n)
    shown = counts.select(strings, np.arange(WORDS) * n + earned.argmax(axis=1))
    return curve, Writer("best_of_n", reward, kl, reward - BETA * kl, share, float(best.means[0]),
                         0.0, example.model.vocabulary.decode(shown))


def over_optimised(example, seed, scale):
    """The three proxies of the text: a list of Proxy."""
    shape = example.reference.shape
    pairs = example.preferences(scale.few, [seed, 9])
    every = fit_reward_model(np.zeros(shape), pairs, pull=PULL).x
    # Two features of a string, its like pairs and its letters, in the place of 729.
    bare = easy_to_say(example.model.vocabulary, letter=0.0)
    features = np.array([bare, letters(shape)]).reshape(2, -1)
    gaps = sparse.csr_array(pairs.difference @ features.T)
    two = (minimise_near(lambda w: bradley_terry_loss(w, gaps), np.zeros((1, 2)), pull=PULL,
                         examples=len(pairs)).x @ features).reshape(shape)
    few = {"the same with two features": two, "true reward without its letters": bare}
    return [Proxy(f"reward model of {scale.few} pairs", _path(example, every, scale), []),
            *(Proxy(name, _path(example, proxy, scale), _best_of_proxy(example, proxy, scale))
              for name, proxy in few.items())]


def _path(example, proxy, scale):
    """The proxy's own optima, from far β to near its critical one: a list of ProxyPoint."""
    ref, own = example.reference, language(proxy)
    tables = np.array([proxy, example.world.mean_reward, letters(proxy.shape)])
    proxy_0, gold_0, _ = expectation(own, np.exp(ref), tables)
    least, points = critical_beta(own, ref), []
    betas = {*scale.betas, *(least * x for x in (2.0, 1.5, 1.2, 1.1, 1.05)), 0.2, 0.1}
    for beta in sorted((beta for beta in betas if beta > least * 1.01), reverse=True):
        logp = tilt(ref, regularised_optimum(own, ref, beta=beta).action_values, beta=beta)
        earned, gold, length, kl = expectation(own, np.exp(logp), np.array([*tables, logp - ref]))
        points.append(ProxyPoint(*map(float, (kl, earned - proxy_0, gold - gold_0, length, beta))))
    return points


def _best_of_proxy(example, proxy, scale):
    """The best of n by a proxy of few values: a list of ProxyPoint."""
    law = reward_law(language(proxy), np.exp(example.reference), tol=scale.law_tol,
                     also=np.array([example.world.mean_reward, letters(proxy.shape)]))
    proxy_0, (gold_0, _) = law.prob @ law.rewards, law.means @ law.prob
    found = ((n, best_of_n(law, n)) for n in scale.ns)
    return [ProxyPoint(*map(float, (best.kl, best.reward - proxy_0, best.means[0] - gold_0,
                                    best.means[1], n))) for n, best in found]


# What is asked for, printed and written.


def alignment_text(found):
    """The tables of the job."""
    resting = ", ".join(f"{fixed(share, 3)} for {K}" for K, share in found.resting.items())
    prices = [(*(point or 3 * [None]), None, *(best or 4 * [None]), bar(best and best.share))
              for point, best in zip_longest(found.frontier, found.best_of_n)]
    proxies = [(proxy.name, f"{label} {point.at:.4g}", *point[:4]) for proxy in found.proxies
               for label, points in (("beta", proxy.optima), ("n =", proxy.best_of_n))
               for point in points[::3]]
    last = found.models[-1]
    return page(
        f"Which is easier to say?  J = E[reward] - {BETA:g} KL to the reference, the bigram\n"
        f"of {found.file or 'the Unicode words'}.", *[FITTED] * bool(found.file),
        writers_text(found.rows),
        f"All exact.  best_of_n is at its best n, {found.n}; rejection_sampling is fine-tuned on "
        f"the best of 4.  rlhf, dpo, ipo, kto, simpo, orpo and savage saw the same "
        f"{found.pairs:,} preferences, rlhf_iterated as many in {ROUNDS} rounds, robust_mistaken "
        f"these with one in ten turned round, the others the true reward.  grpo and dr_grpo have "
        f"k3 in the loss; where there is a KL in the other trainers, it is in the reward.  ipo, "
        f"kto, simpo and orpo do not aim at J: what they aim at is in 'minirl objectives'.  The "
        f"expected update of dr_grpo comes to rest at a share of (size of the group) {resting}; "
        f"here the group is 8.",
        "The frontier, the best policy at each price:",
        in_columns("beta, reward, KL, , best of n, reward, KL, share, ", prices,
                   (*map(_some, ("g", ".4f", ".4f", "", "", ".4f", ".4f", ".4f")), 0)),
        f"No optimum exists at or below beta = {found.critical_beta:.5f}.",
        "Reward models, judged on fresh preferences of the same rater:",
        in_columns("pairs, accuracy, best possible, calibration, error, weights, optimum",
                   [(*row[:3], row.calibration, *row[3:6]) for row in found.models],
                   (0, 4, 4, 4, 3, 2, 0)),
        f"Calibration is the expected error of the probabilities, error the standard deviation of "
        f"learned less true reward over the reference's strings, weights the largest one, and "
        f"optimum whether one exists at this beta.  How often what the model of {last.pairs:,} "
        f"pairs predicts comes true:",
        in_columns("", [("predicted", *last.predicted), ("observed", *last.observed)], 2),
        "Few preferences, fitted without a pull towards the reference and with one:",
        in_columns(", , without, , with, , \nmethod, pairs" + 2 * ", mean length, share" + ", ",
                   [(row.method, row.pairs, row.mean_length, row.share, row.held_length,
                     row.held_share, bar(row.held_share)) for row in found.held], 3),
        "Without it there is often no minimum; where a fit stops is the solver's choice, and null "
        "means that strings do not end.",
        "Over-optimisation: more than the reference, by the proxy and in truth",
        in_columns("proxy, maximised by, KL, proxy, truth, letters", proxies, (0, 0, 3, 3, 3, 2)))


def _some(form):
    """A number in words, or nothing where the other list is longer."""
    return lambda value: "" if value is None else format(value, form)


def _run(arguments, progress, scale=AlignmentScale()):
    (items, file), kept = corpus_of(arguments.corpus), keeper(arguments)
    return kept.whole(lambda: align(arguments.pairs, arguments.seed, progress, scale, items,
                                    kept)._replace(file=file))


def _document(found):
    others = found._asdict()
    del others["pairs"], others["file"]
    return {"language": {"methods": others.pop("rows")}, **others}


ALIGNMENT = Job("alignment", __doc__, _run, alignment_text, arguments={
    "pairs": {"type": integer(1, 10**7), "default": 100_000,
              "help": "preferences that rlhf, dpo and its kin learn from (100,000)"},
    "seed": SEED, "corpus": CORPUS, "checkpoint": CHECKPOINT}, document=_document,
    draw=lambda figures, found: figures.alignment_figures(found))
