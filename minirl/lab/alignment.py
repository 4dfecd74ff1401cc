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

from functools import partial
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.kernel import counts
from minirl.people.best_of_n import best_of_n, rejection_sampling
from minirl.exact.return_law import reward_law
from minirl.people.fitting import minimise_near
from minirl.exact.evaluation import NoEnd, expectation
from minirl.people.groups import group_centred, group_leave_one_out, per_length
from minirl.people.grpo import grpo, resting_policy
from minirl.lab.main_job import SHOWN, WORDS, LanguageRow, fit_corpus, measure
from minirl.play.optim import linear
from minirl.play.ppo import ppo
from minirl.exact.regularised import critical_beta, frontier, regularised_optimum, tilt
from minirl.play.reinforce import reinforce
from minirl.play.training import after, start
from minirl.people.calibration import accuracy, best_accuracy, calibration, reward_error
from minirl.people.reward_model import bradley_terry_loss, fit_reward_model
from minirl.people.rlhf import rlhf, step_rewards
from minirl.kernel.softmax import log_softmax
from toy_lm.align import BETA, METHODS, PULL
from toy_lm.corpora import unicode_words
from toy_lm.ngram import language, sample
from toy_lm.preferences import sample_pairs
from toy_lm.rewards import easy_to_say, letters

ITERATIONS = 200     # of every trainer that climbs J,
RESTING = 400        # and of those that come to rest elsewhere
LENGTH = 7           # the constant of Dr. GRPO and RLOO: about the steps of a string
WINNERS = 100_000    # strings written for rejection sampling, four for each winner
NS = [1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024]
BETAS = [10.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.0, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.36, 0.33, 0.31, 0.3]
FEW = 100            # preferences of the learned proxies
ROUNDS = 3           # of iterated RLHF
SIZES = [100, 1_000, 10_000]  # preferences of the reward models that are judged,
FRESH = 20_000       # on so many others
UNHELD = [("dpo", 300), ("dpo", 3_000), ("ipo", 300), ("kto", 300), ("simpo", 300), ("orpo", 300)]


class Point(NamedTuple):
    """A policy on its way from the reference, judged by a proxy and by the true reward."""

    kl: float
    proxy: float  # more than the reference earns
    gold: float   # likewise
    letters: float  # mean length
    at: float     # its n, or its β


class Proxy(NamedTuple):
    """What becomes of the true reward when another one is maximised."""

    name: str
    optima: list     # of Point, along the proxy's own frontier
    best_of_n: list  # of Point; empty where the law of the proxy is not exact


class Model(NamedTuple):
    """A reward model, judged on fresh preferences over strings of the reference."""

    pairs: int           # it was fitted to
    accuracy: float
    best_accuracy: float  # that any model can expect on these preferences
    error: float         # `calibration.reward_error`: std of learned less true reward
    largest: float       # weight of its table, in absolute value
    has_optimum: bool    # at β
    calibration: float   # expected error of its probabilities, and for ten bins of them
    predicted: list      # the mean, or None where the bin is empty,
    observed: list       # and how often it came true


class Held(NamedTuple):
    """A method fitted to few preferences, without and with the pull."""

    method: str
    pairs: int
    share: float         # without; None where strings do not end
    mean_length: float
    held_share: float    # with it
    held_length: float


class Alignment(NamedTuple):
    """All results of the job."""

    rows: list           # of main_job.LanguageRow
    n: int               # of best_of_n
    critical_beta: float
    frontier: list       # of regularised.FrontierPoint
    best_of: list        # of (n, reward, KL, share)
    resting: dict        # share of `grpo.resting_policy` by the size of the group
    proxies: list        # of Proxy
    models: list         # of Model
    held: list           # of Held


class Setting(NamedTuple):
    """The running example."""

    vocabulary: tuple
    ref_logp: np.ndarray
    world: object
    optimum: object
    ref_J: float

    def share(self, J):
        """(J − J(ref)) / (J* − J(ref))."""
        return (J - self.ref_J) / (self.optimum.objective - self.ref_J)


def running_example():
    """The `Setting` of the Unicode words."""
    vocabulary, ref_logp, _ = fit_corpus(unicode_words())
    world = language(easy_to_say(vocabulary))
    return Setting(vocabulary, ref_logp, world,
                   regularised_optimum(world, ref_logp, beta=BETA),
                   measure(world, ref_logp, ref_logp, BETA)[2])


def trainers(setting, seed):
    """The learners that play, by name: functions without arguments that return log π.

    `grpo` and `dr_grpo` have k3 in the loss, `rejection_sampling` has no KL to pay for in its one
    round, and the others have it in the reward.
    """
    world, ref = setting.world, setting.ref_logp
    paid = step_rewards(world.mean_reward, ref, beta=BETA)
    falling = {"iterations": ITERATIONS, "learning_rate": linear(0.05, 0.0)}

    def last(trainer, iterations=ITERATIONS):
        return log_softmax(next(record for record in trainer
                                if record.iteration == iterations).logits)

    def begin(stream):
        return start(ref, rng=[seed, stream])

    group = partial(grpo, world, ref_logits=ref, **falling)
    # What has no objective is followed with small steps, so that it is seen where it comes to rest.
    resting = partial(grpo, world, ref_logits=ref, beta=BETA, episodes=2048, num_iterations=1,
                      iterations=RESTING, learning_rate=linear(0.02, 0.0))
    return {
        "rejection_sampling": lambda: last(rejection_sampling(world, begin(0), episodes=WINNERS),
                                           1),
        "reinforce": lambda: last(reinforce(world, begin(1), rewards=paid, **falling)),
        "ppo": lambda: last(ppo(world, begin(2), rewards=paid, ent_coef=0.0, **falling)),
        "grpo": lambda: last(resting(begin(3)), RESTING),
        "dr_grpo": lambda: last(resting(begin(4), advantage=group_centred,
                                        weights=per_length(LENGTH)), RESTING),
        "grpo_kl_in_reward": lambda: last(group(begin(5), rewards=paid)),
        "rloo": lambda: last(group(begin(6), rewards=paid, advantage=group_leave_one_out,
                                   weights=per_length(LENGTH)))}


def by_rlhf(setting, pairs, seed, rounds=1):
    """log π of a reward model fitted to preferences, and then PPO on it.

    With several rounds the preferences are shared out among them.  Those of a round are over
    strings of the policy before, and the model is fitted to all so far.
    """
    logp, data = setting.ref_logp, None
    for k in range(rounds):
        drawn = preferences(setting, logp, max(pairs // rounds, 1), [seed, 7, k])
        data = data + drawn if k else drawn
        model = fit_reward_model(np.zeros(setting.world.shape), data, pull=PULL)
        trainer = rlhf(setting.world, start(setting.ref_logp, rng=[seed, 8, k]), model.x,
                       setting.ref_logp, beta=BETA, iterations=ITERATIONS,
                       learning_rate=linear(0.05, 0.0))
        logp = after(trainer, ITERATIONS).logp
    return logp


def preferences(setting, logp, pairs, rng):
    """Preferences over strings of a policy."""
    return sample_pairs(logp, setting.world.mean_reward, pairs, rng=rng)


def by_preferences(setting, data, pull=PULL):
    """The methods that need no reward model, by name: functions that return log π."""
    return {name: lambda fit=fit, beta=beta: log_softmax(
        fit(setting.ref_logp, data, beta=beta, pull=pull).x)
        for name, (fit, beta) in METHODS.items() if name != "reward_model"}


def held_or_not(setting, seed):
    """Few preferences, fitted without a pull and with it: a list of Held."""
    def judged(fit):
        try:
            _, _, J, length = measure(setting.world, fit(), setting.ref_logp, BETA)
        except NoEnd:  # of strings, in the fit of KTO or in what was fitted
            return None, None
        return setting.share(J), length

    rows = []
    for method, pairs in UNHELD:
        data = preferences(setting, setting.ref_logp, pairs, [seed, 9])
        rows.append(Held(method, pairs, *judged(by_preferences(setting, data, 0.0)[method]),
                         *judged(by_preferences(setting, data)[method])))
    return rows


def judged_models(setting, sizes, seed):
    """Reward models of more and more preferences: a list of Model."""
    fresh = preferences(setting, setting.ref_logp, FRESH, [seed, 10]).difference
    true = fresh @ setting.world.mean_reward.ravel()
    models = []
    for pairs in sizes:
        data = preferences(setting, setting.ref_logp, pairs, [seed, 9])
        fit = fit_reward_model(np.zeros(setting.world.shape), data, pull=PULL)
        margins = fresh @ fit.x.ravel()
        table = calibration(margins)
        bins = ([float(x) if n else None for x, n in zip(values, table.number)]
                for values in (table.predicted, table.observed))
        models.append(Model(
            pairs, accuracy(margins), best_accuracy(true),
            reward_error(setting.world, np.exp(setting.ref_logp), fit.x),
            float(np.abs(fit.x).max()),
            bool(critical_beta(language(fit.x), setting.ref_logp) < BETA), table.error, *bins))
    return models


def run(pairs, seed, progress):
    """All results: `Alignment`.

    Parameters
    ----------
    pairs : int ≥ 1
        Preferences for `rlhf` and for the methods without a reward model.
    seed : int
    progress : callable
        Called with a line of text before each piece of work.
    """
    progress("reference and optimum")
    began = perf_counter()
    setting = running_example()
    ref, best = setting.ref_logp, setting.optimum
    rows = [_row(setting, "reference", ref, perf_counter() - began, seed)]
    rows.append(_row(setting, "optimum", tilt(ref, best.action_values, beta=BETA),
                     perf_counter() - began, seed))
    progress("best of n")
    began = perf_counter()
    curve, n, row = _best_of(setting, seed)
    rows.append(row._replace(seconds=perf_counter() - began))
    learners = {**trainers(setting, seed), "rlhf": lambda: by_rlhf(setting, pairs, seed),
                "rlhf_iterated": lambda: by_rlhf(setting, pairs, seed, ROUNDS),
                **by_preferences(setting, preferences(setting, ref, pairs, [seed, 7, 0]))}
    for name, train in learners.items():
        progress(name)
        began = perf_counter()
        rows.append(_row(setting, name, train(), perf_counter() - began, seed))
    progress("reward models and proxies")
    resting = {}
    for G in (2, 4, 8, 16, 64):
        logp = resting_policy(setting.world, ref, beta=BETA, num_generations=G)
        resting[G] = setting.share(measure(setting.world, logp, ref, BETA)[2])
    progress("few preferences without a pull")
    held = held_or_not(setting, seed)
    return Alignment(rows, n, critical_beta(setting.world, ref),
                     frontier(setting.world, ref, BETAS), curve, resting,
                     _proxies(setting, seed),
                     judged_models(setting, [size for size in SIZES if size < pairs] + [pairs],
                                   seed), held)


def _row(setting, name, logp, seconds, seed):
    words = setting.vocabulary.decode(sample(logp, WORDS, rng=seed, horizon=SHOWN))
    try:
        reward, kl, J, length = measure(setting.world, logp, setting.ref_logp, BETA)
    except NoEnd:  # of its strings
        return LanguageRow(name, None, None, None, None, None, seconds, words)
    return LanguageRow(name, reward, kl, J, setting.share(J), length, seconds, words)


def _best_of(setting, seed):
    """(n, reward, KL, share) for every n, the best n, and its row of the table."""
    policy = np.exp(setting.ref_logp)
    law = reward_law(setting.world, policy, also=letters(policy.shape)[None])
    curve, found = [], {}
    for n in NS:
        found[n] = best_of_n(law, n)
        J = found[n].reward - BETA * found[n].kl
        curve.append((n, found[n].reward, found[n].kl, setting.share(J)))
    n, reward, kl, share = max(curve, key=lambda entry: entry[3])
    strings = sample(setting.ref_logp, n * WORDS, rng=seed, horizon=SHOWN)
    earned = (counts.matrix(strings) @ setting.world.mean_reward.ravel()).reshape(-1, n)
    shown = counts.select(strings, np.arange(WORDS) * n + earned.argmax(axis=1))
    return curve, n, LanguageRow("best_of_n", reward, kl, reward - BETA * kl, share,
                                 float(found[n].means[0]), 0.0, setting.vocabulary.decode(shown))


def _path(setting, proxy):
    """The proxy's own optima, from far β to near its critical one: a list of Point."""
    policy = np.exp(setting.ref_logp)
    tables = np.array([proxy, setting.world.mean_reward, letters(proxy.shape)])
    proxy_0, gold_0, _ = expectation(setting.world, policy, tables)
    least, points = critical_beta(language(proxy), setting.ref_logp), []
    for beta in sorted({*BETAS, *(least * x for x in (2.0, 1.5, 1.2, 1.1, 1.05)), 0.2, 0.1},
                       reverse=True):
        if beta <= least * 1.01:
            continue
        best = regularised_optimum(language(proxy), setting.ref_logp, beta=beta)
        logp = tilt(setting.ref_logp, best.action_values, beta=beta)
        earned, gold, length, kl = expectation(setting.world, np.exp(logp),
                                               np.array([*tables, logp - setting.ref_logp]))
        points.append(Point(float(kl), float(earned - proxy_0), float(gold - gold_0),
                            float(length), float(beta)))
    return points


def _best_of_proxy(setting, proxy):
    """The best of n by a proxy of few values: a list of Point."""
    law = reward_law(language(proxy), np.exp(setting.ref_logp),
                     also=np.array([setting.world.mean_reward, letters(proxy.shape)]))
    proxy_0, (gold_0, _) = law.prob @ law.rewards, law.means @ law.prob
    points = []
    for n in NS:
        best = best_of_n(law, n)
        gold, length = best.means
        points.append(Point(best.kl, float(best.reward - proxy_0), float(gold - gold_0),
                            float(length), float(n)))
    return points


def _proxies(setting, seed):
    """The three of the text."""
    shape = setting.world.shape
    pairs = preferences(setting, setting.ref_logp, FEW, [seed, 9])
    every = fit_reward_model(np.zeros(shape), pairs, pull=PULL).x
    # Two features of a string, its like pairs and its letters, in the place of 729.
    features = np.array([easy_to_say(setting.vocabulary, letter=0.0), letters(shape)])
    gaps = sparse.csr_array(pairs.difference @ features.reshape(2, -1).T)
    two = minimise_near(lambda w: bradley_terry_loss(w, gaps), np.zeros((1, 2)), pull=PULL,
                        examples=len(pairs)).x @ features.reshape(2, -1)
    two, bare = two.reshape(shape), features[0]
    return [Proxy(f"reward model of {FEW} pairs", _path(setting, every), []),
            Proxy("the same with two features", _path(setting, two), _best_of_proxy(setting, two)),
            Proxy("true reward without its letters", _path(setting, bare),
                  _best_of_proxy(setting, bare))]
