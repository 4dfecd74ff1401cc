"""Pictures of Part 4: what a nat of KL buys, who rests where, what a learned reward promises."""

from typing import NamedTuple

import numpy as np

from minirl.exact.return_law import RewardLaw, reward_law
from minirl.kernel.softmax import backward, log_softmax
from minirl.lab.alignment import AlignmentScale, at_rest_in_groups, over_optimised
from minirl.lab.divergences import ESTIMATES
from minirl.lab.objectives import (at_rest, chances, every_string, measure_objectives, ratios_of,
                                   updates)
from minirl.lab.running_example import bigram_of, running_example
from minirl.people.best_of_n import best_of_n
from minirl.people.dpo import dpo_loss, preference_metrics
from minirl.people.pairs import Pairs, choices
from minirl.lab.style import (GREY, INK, NAVY, OCHRE, RED, TEAL, Picture, name_at_end, panels)
from toy_lm.align import BETA
from toy_lm.ngram import language
from toy_lm.rewards import easy_to_say
from toy_lm.vocabulary import Vocabulary

_NATS = "KL to the reference, nats per string"


# Which methods are named in the picture `frontier`, and where, in points from their mark.
_NAMED = {
    "reference": ("the reference", 9, 0), "sppo": ("SPPO", 9, -2), "ipo": ("IPO", 14, -18),
    "dr_grpo": ("Dr. GRPO, k3 in the loss", 22, -28), "orpo": ("ORPO", 9, 0),
    "hinge": ("hinge", 9, -4), "simpo": ("SimPO", 9, 0), "aot": ("AOT", 9, -4),
    "kto": ("KTO, APO zero: creep on", 16, -28), "grpo": ("GRPO, k3 in the loss", 9, -2),
    "rejection_sampling": ("the best of 4, imitated", 9, -4), "exo": ("EXO", 6, -11),
    "ipo_by_length": ("IPO by length", 9, -5)}


def draw_frontier(found):
    """Reward against KL: the path of optima with two tangents, and where each method is."""
    figure, axes = panels(4.8)
    kl, reward = np.transpose([(found.rests[0].kl, found.rests[0].reward), *found.frontier])
    axes.plot(kl, reward, color=INK, linewidth=2.2)
    for beta, end, name in (1.0, 0.46, ""), (BETA, 0.84, ", where J = J*"):
        touch = (reward - beta * kl).argmax()
        line = reward[touch] + beta * (np.array([0, end]) - kl[touch])
        axes.plot(kl[touch], reward[touch], "o", color=INK, markerfacecolor="none", markersize=13)
        axes.plot([0, end], line, "--", color=GREY, linewidth=1.2)
        name_at_end(axes, end, line[1], f"slope β = {beta:g}{name}", GREY)
    for rest in found.rests:
        if rest.kl < 1.25:
            mark, colour, size = (("o", INK, 7) if rest.kl < 1e-9 else ("o", NAVY, 8) if rest.aims
                                  else ("s", RED, 5) if rest.at_rest else ("^", OCHRE, 6))
            axes.plot(rest.kl, rest.reward, mark, color=colour, markersize=size, zorder=3)
            if rest.method in _NAMED:
                name, dx, dy = _NAMED[rest.method]
                _named(axes, rest, name, colour, dx, dy)
    aiming = [rest for rest in found.rests if rest.aims]
    _named(axes, aiming[0], f"{len(aiming)} methods aim at J*:\nSFT, PPO, DPO, …", NAVY, -108, 74)
    name_at_end(axes, 1.23, -0.2, "three run away, to 3 nats, and lie below the path too  →", OCHRE,
                dx=0, ha="right")
    name_at_end(axes, np.interp(-0.155, reward, kl), -0.155, "the path of optima", INK, dx=9)
    axes.set(xlim=(-0.02, 1.25), ylim=(-0.26, 0.55), xlabel=_NATS, ylabel="E[reward] per string")
    return figure


def _named(axes, rest, name, colour, dx, dy):
    """A name beside the mark of a method, with a thin line to it where it is not near."""
    name_at_end(axes, rest.kl, rest.reward, name, colour, dx=dx, dy=dy)
    if abs(dy) > 15:
        end = (dx + 20, dy - 14) if dy > 0 else (dx, dy)
        axes.annotate("", (rest.kl, rest.reward), end, textcoords="offset points",
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7})


class Displacement(NamedTuple):
    """log π of a chosen and a rejected string, (steps, 2), while DPO is fitted to this one pair."""

    letters: np.ndarray  # where the strings share their steps
    strings: np.ndarray  # where each string is an action of its own


def displaced(seed=0, steps=60, rate=0.5) -> Displacement:
    """The numbers of the picture `displacement`; nothing in them is random."""
    words = Vocabulary("a")
    pair = Pairs(*(words.encode([text], prompts=["a"]) for text in ("a", "aaa")))

    def followed(ref, pair):
        logits, path = ref, []
        for _ in range(steps + 1):
            path.append(preference_metrics(logits, ref, pair, beta=1.0))
            logits = logits - rate * dpo_loss(logits, ref, pair.difference, beta=1.0)[1]
        return np.array([(now["logps/chosen"], now["logps/rejected"]) for now in path])

    return Displacement(followed(np.log([[1 / 2, 1 / 2], [2 / 3, 1 / 3]]), pair),
                        followed(np.log([[18 / 81, 2 / 81, 61 / 81]]), choices([0], [1], 3)))


def draw_displacement(found):
    """Two panels of log π against steps: with shared steps both fall, without them one rises."""
    figure, *both = panels(3.6, 2, sharey=True)
    titles = "letters: aaaa repeats the steps of aa", "each string an action of its own"
    looks = ("aa, chosen", "-", NAVY, 12), ("aaaa, rejected", "--", RED, -12)
    for axes, title, path in zip(both, titles, found):
        for (name, dash, colour, dy), line in zip(looks, path.T):
            axes.plot(0, line[0], "o", color=colour)
            axes.plot(line, dash, color=colour)
            name_at_end(axes, len(line) - 1, line[-1], name, colour, dx=0, dy=dy, ha="right")
        axes.set(title=title, xlabel="steps of gradient descent")
    both[0].set(ylabel="log π, nats per string", ylim=(-13, 1.2))
    return figure


class Followed(NamedTuple):
    """Three estimates of a KL, and where their mean gradients lead."""

    u: np.ndarray          # log π_ref − log π of a sample
    values: dict           # name to k(u)
    policy: np.ndarray     # π of three actions, from which all begin
    reference: np.ndarray  # π_ref
    gradients: dict        # name to the mean gradient at π
    paths: dict            # name to the policies along it


def followed_estimates(seed=0, steps=4000, rate=0.05) -> Followed:
    """The numbers of the picture `kl_estimates`; nothing in them is random."""
    u, policy, ref = np.linspace(-2, 2, 201), *np.array([[[4, 15, 1]], [[10, 1, 9]]]) / 20

    def mean_gradient(logits, slope):
        logp = log_softmax(logits)
        return backward(logp, np.exp(logp) * slope(np.log(ref) - logp))

    def path(slope):
        logits = np.log(policy)
        for _ in range(steps):
            yield np.exp(log_softmax(logits))[0]
            logits = logits - rate * mean_gradient(logits, slope)

    return Followed(u, {name: k(u) for name, (k, _) in ESTIMATES.items()}, policy[0], ref[0],
                    {name: mean_gradient(np.log(policy), slope)[0]
                     for name, (_, slope) in ESTIMATES.items()},
                    {name: np.array(list(path(slope))) for name, (_, slope) in ESTIMATES.items()})


def draw_kl_estimates(found):
    """The estimates over the log-ratio, and the ways of their mean gradients in a triangle."""
    figure, left, right = panels(3.8, 2, width_ratios=(1.1, 1))
    dashes, colours = dict(k1=":", k2="--", k3="-"), dict(k1=GREY, k2=TEAL, k3=RED)
    for name, values in found.values.items():
        left.plot(found.u, values, dashes[name], color=colours[name], linewidth=2.2)
    for name, u, side, dx in (("k1 = −u", 0.9, "right", -4), ("k2 = u²/2", 1.4, "left", 8),
                              ("k3 = e^u − u − 1", 1.6, "right", -8)):
        name_at_end(left, u, np.interp(u, found.u, found.values[name[:2]]), name,
                    colours[name[:2]], dx=dx, dy=-6, ha=side)
    left.set(title="what a sample says", xlabel="u = log π_ref − log π of the sample",
             ylabel="nats", xlim=(-2.1, 2.3))
    corners = np.array([[0, 0], [1, 0], [0.5, 0.75**0.5]])
    right.plot(*corners[[0, 1, 2, 0]].T, color=GREY, linewidth=1)
    for name in "k2", "k3":
        right.plot(*(found.paths[name] @ corners).T, dashes[name], color=colours[name],
                   linewidth=2.2)
    for name, place, dx, dy in (("1", (1, 0, 0), -8, -6), ("2", (0, 1, 0), 8, -6),
                                ("3", (0, 0, 1), 8, 2), ("π: k1 stays", found.policy, -14, -18),
                                ("π_ref", found.reference, -8, 8), ("k2", (0.76, 0.13, 0.11), 0, 0),
                                ("k3", (0.4, 0.4, 0.2), 0, 4)):
        x, y = place @ corners
        name_at_end(right, x, y, name, colours.get(name, INK), dx=dx, dy=dy,
                    ha="right" if dx < 0 else "left")
        if "π" in name:
            right.plot(x, y, "o", color=INK, zorder=3)
    right.set(title="where descent on its mean leads", xticks=[], yticks=[])
    right.set_aspect("equal", adjustable="datalim")
    right.grid(False)
    return figure


class Overdone(NamedTuple):
    """The optima of two learned rewards, lists of `lab.alignment.ProxyPoint`."""

    few: list   # learned from 100 pairs
    many: list  # learned from 1,000


def overdone(seed=0) -> Overdone:
    """The numbers of the picture `over_optimisation`."""
    example, betas = running_example(bigram_of()), tuple(np.geomspace(10, 0.2, 60))
    return Overdone(*(over_optimised(example, seed, AlignmentScale(
        few=pairs, betas=betas, ns=(1,)))[0].optima for pairs in (100, 1000)))


def draw_over_optimisation(found):
    """Two panels of what is earned more than by the reference: the proxy, and the truth."""
    figure, *both = panels(3.8, 2, sharey=True)
    titles = "learned from 100 pairs", "learned from 1,000 pairs: no peak yet"
    for axes, title, path in zip(both, titles, found):
        kl = np.array([0, *(point.kl for point in path)])
        for field, name, dash, colour in (("proxy", "the learned reward", "--", OCHRE),
                                          ("gold", "the true reward", "-", NAVY)):
            line = np.array([0, *(getattr(point, field) for point in path)])
            axes.plot(kl[kl < 9], line[kl < 9], dash, color=colour)
            name_at_end(axes, 5.0, np.interp(5.0, kl, line), name, colour, dx=0, dy=14, ha="right")
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set(xlabel=_NATS, title=title)
    best = max(found.few, key=lambda point: point.gold)
    both[0].plot(best.kl, best.gold, "o", color=NAVY)
    name_at_end(both[0], best.kl, best.gold, f"peak of the truth: {best.gold:.2f} at "
                f"{best.kl:.1f} nats", NAVY, dx=-8, dy=-26)
    both[0].set(ylabel="E[reward] above the reference's", ylim=(-0.8, None))
    return figure


class ByGroup(NamedTuple):
    """Shares of what there is to gain where methods rest, by name, each a dict by group size."""

    words: dict    # in the running example
    strings: dict  # in the language of 31 strings


def rests_by_group(seed=0) -> ByGroup:
    """The numbers of the picture `groups`; nothing in them is random."""
    example, found = running_example(bigram_of()), every_string()
    climb = updates(found)["reinforce"]

    def J(logits):
        chance = chances(found, logits)
        return chance @ (found.rewards - BETA * ratios_of(found, logits))

    best, _ = at_rest(climb, [found.ref])
    low, high = J(found.ref), J(best)
    strings = {"reinforce": {}, "grpo_kl_in_reward": {}, "dr_grpo": {}, "grpo": {}}
    for K in 2, 3, 4, 5:
        moves = updates(every_string(group=K))
        for name, shares in strings.items():
            if (name, K) != ("grpo_kl_in_reward", 5):  # which would take minutes
                logits, resting = at_rest(moves[name], [found.ref, best])
                shares[K] = (J(logits) - low) / (high - low) if resting else None
    # With the KL in the reward all strings of the optimum earn the same, and no group says a word.
    best, sizes = example.judge(example.optimum.policy).share, (2, 3, 4, 5, 6, 8, 12, 16, 32, 64)
    return ByGroup({"reinforce": dict.fromkeys(sizes, best),
                    "dr_grpo": {K: at_rest_in_groups(example, K) for K in sizes}}, strings)


def draw_groups(found):
    """Two panels of shares against group size, one for each language."""
    figure, left, right = panels(3.6, 2, sharey=True, width_ratios=(1.3, 1))
    for axes, title, shares, ticks, below in (
            (left, "27 letters, the running example", found.words, (2, 4, 8, 16, 32, 64),
             (12, 8, 10)),
            (right, "2 letters, 31 strings", found.strings, (2, 3, 4, 5), (3, 6, -14))):
        for name, label, look, colour, at, dx, dy in (
                ("reinforce", "KL in the reward: RLOO, GRPO", "-o", NAVY, 2, 0, -12),
                ("dr_grpo", "Dr. GRPO, k3 in the loss", "--s", TEAL, *below),
                ("grpo", "GRPO, k3 in the loss", "-.^", RED, 3, 10, 6)):
            if name in shares:
                axes.plot(shares[name].keys(), 100 * np.array([*shares[name].values()]), look,
                          color=colour)
                name_at_end(axes, at, 100 * shares[name][at], label, colour, dx=dx, dy=dy)
        axes.set(xscale="log", title=title, xlabel="strings in a group")
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    left.set(ylabel="% of what there is to gain, at rest", ylim=(40, 104))
    return figure


class Draws(NamedTuple):
    """The KL of the best of n, exactly, and its bound: by n."""

    ns: np.ndarray
    bound: np.ndarray
    kl: dict   # name of a law to (ns,)
    top: dict  # name to the chance of the best reward


def best_draws(seed=0) -> Draws:
    """The numbers of the picture `best_of_n`; nothing in them is random."""
    example, ns = running_example(bigram_of()), np.unique(np.geomspace(1, 1024, 60).round())
    bare = easy_to_say(example.model.vocabulary, letter=0.0)
    laws = {"words": reward_law(example.world, np.exp(example.reference), tol=1e-15),
            "bare": reward_law(language(bare), np.exp(example.reference), tol=1e-15),
            "five": RewardLaw(np.array([1., 2, 3]), np.array([0.6, 0.2, 0.2]), 0.0,
                              np.zeros((0, 3)))}
    found = {name: [best_of_n(law, int(n)) for n in ns] for name, law in laws.items()}
    return Draws(ns, np.array([best.bound for best in found["five"]]),
                 {name: np.array([best.kl for best in bests]) for name, bests in found.items()},
                 {name: law.prob[-1] for name, law in laws.items()})


def draw_best_of_n(found):
    """KL against n: the bound, and below it three laws that tie more and more often."""
    figure, axes = panels(3.8)
    axes.plot(found.ns, found.bound, "-", color=GREY, linewidth=4)
    looks = {"words": ("--", NAVY), "five": ("-.", TEAL), "bare": (":", RED)}
    for name, (dash, colour) in looks.items():
        axes.plot(found.ns, found.kl[name], dash, color=colour)
    name_at_end(axes, 128, np.interp(128, found.ns, found.bound), "the bound, log n − (n − 1)/n",
                GREY, dx=-12, dy=4, ha="right")
    for name, at, text, dx, dy in (
            ("words", 64, "the running example: hardly any ties", 14, -6),
            ("five", 1024, "five strings, a fifth ties for the best: log 5", 0, 10),
            ("bare", 1024, "no pay for letters, 41 % tie for the best: log 1/0.41", 0, 10)):
        name_at_end(axes, at, np.interp(at, found.ns, found.kl[name]), text, looks[name][1], dx=dx,
                    dy=dy, ha="left" if name == "words" else "right")
    axes.set_xscale("log", base=2)
    axes.set_xticks(4 ** np.arange(6), [f"{4**k:,}" for k in range(6)])
    axes.minorticks_off()
    axes.set(xlabel="n, strings of which the best is kept", ylabel=_NATS)
    return figure


ON_PEOPLE = (
    Picture("best_of_n", "people.best_of_n",
            "Where the best strings tie, best of n stops far below its bound",
            "exact, for the reward of the running example and for two whose best strings tie",
            best_draws, draw_best_of_n, "best_of_n.2"),
    Picture("frontier", "people.regularised",
            "No method gets above the path of optima, whose slope is the price β",
            "where each expected update rests, on 31 strings, exactly; all of them: minirl "
            "objectives", lambda seed: measure_objectives(), draw_frontier, "regularised.7"),
    Picture("kl_estimates", "people.kl",
            "As a loss k2 lowers KL(π‖π_ref), k3 lowers KL(π_ref‖π), and k1 does nothing",
            "right: a corner is one of three actions for sure, and descent begins at π; exact",
            followed_estimates, draw_kl_estimates, "kl.6"),
    Picture("over_optimisation", "people.rlhf",
            "The learned reward promises ever more, long after the truth has peaked",
            "the optimum of a learned reward at each price β, exact; the pairs are drawn, seed 0",
            overdone, draw_over_optimisation),
    Picture("groups", "people.grpo",
            "With k3 in the loss the size of a group decides where GRPO rests",
            "where the expected update is zero: J − J(π_ref) in % of J* − J(π_ref), β = 0.5, exact",
            rests_by_group, draw_groups, "grpo.2"),
    Picture("displacement", "people.dpo",
            "DPO may lower the chosen string too, if it shares steps with the rejected one",
            "log π while DPO is fitted to one pair, β = 1, by descent at rate 0.5; exact",
            displaced, draw_displacement, "dpo.5"),
)
