"""Pictures of Parts 1 and 3: the backward pass, what a batch says, what a baseline buys."""

from typing import NamedTuple

import numpy as np

from matplotlib.patches import Rectangle  # see `style` for what to install
from minirl.kernel import counts
from minirl.kernel.mdp import unroll
from minirl.kernel.softmax import backward
from minirl.lab import estimators
from minirl.lab.style import (GREY, INK, NAVY, OCHRE, PALE, RED, TEAL, Picture, name_at_end,
                                   panels)
from minirl.play.ppo import ppo_loss
from minirl.play.surrogate import Advantages, collapse

EPSILON = 0.2
BATCHES = 32, 128, 512  # episodes of an estimate
BASELINES = {"none": "none", "constant": "constant J", "optimal_constant": "optimal constant",
             "batch_mean": "mean of the batch", "leave_one_out": "leave one out",
             "wrong_values": "half of the true V", "true_values": "true V"}


# The backward pass.


class Pushed(NamedTuple):
    """One state: a policy, the derivatives G in its log-probabilities, and those in its logits."""

    policy: np.ndarray    # (A,)
    G: np.ndarray         # (A,)
    gradient: np.ndarray  # (A,)


def pushed_logits(seed=0) -> Pushed:
    """The numbers of the picture `backward`; nothing in them is random."""
    policy, G = np.array([0.4, 0.3, 0.2, 0.1]), np.array([-4.0, 1.0, 0.0, -1.0])
    return Pushed(policy, G, backward(np.log(policy), G))


def draw_backward(found):
    """Three panels of bars, one for each action: G, what is taken from it, and what is left."""
    figure, *three = panels(3.4, 3, sharey=True)
    places, shared = np.arange(found.G.size), found.G - found.gradient
    for axes, heights, name, colour in zip(
            three, (found.G, shared, found.gradient),
            ("G", "minus π ΣG", "is the gradient"), (NAVY, OCHRE, TEAL)):
        axes.bar(places, heights, 0.6, color=colour)
        axes.axhline(0, color=GREY, linewidth=0.8)
        for place, height in zip(places, heights):
            axes.annotate(_signed(height), (place, height), (0, 8 if height >= 0 else -9),
                          textcoords="offset points", ha="center", va="center", fontsize=9)
        axes.set(title=f"{name}: the sum is {_signed(heights.sum())}",
                 xlabel="π of the four actions", ylim=(-4.8, 3))
        axes.set_xticks(places, [f"{p:g}" for p in found.policy])
    three[0].set_ylabel("derivative of the loss")
    return figure


def _signed(number):
    return f"{round(number, 10) + 0.0:g}".replace("-", "−")


# The clip.


class Clipped(NamedTuple):
    """The term min(ρ A, clip(ρ) A) of one step, and its slope in ρ, for a good and a bad action."""

    ratios: np.ndarray
    terms: dict   # A to the terms
    slopes: dict  # A to the slopes


def clipped_terms(seed=0) -> Clipped:
    """The numbers of the picture `clip`, from losses of one step; nothing in them is random.

    By (softmax.3) the gradient in the logit of the action is G (1 − π), and G is −ρ times the slope
    of the term.
    """
    ratios, chance = np.arange(1, 401) / 200, 0.25
    terms, slopes = {}, {}
    for A in 1, -1:
        step = Advantages(np.array([[max(A, 0.0), 0.0]]), np.array([[min(A, 0.0), 0.0]]), 1.0)
        losses, grads = zip(*(ppo_loss(np.log([[x * chance, 1 - x * chance]]),
                                       np.log([[chance, 1 - chance]]), step, clip_range=EPSILON)
                              for x in ratios))
        terms[A] = -np.array(losses)
        slopes[A] = -np.array(grads)[:, 0, 0] / (1 - ratios * chance) / ratios
    return Clipped(ratios, terms, slopes)


def draw_clip(found):
    """Two panels, a good and a bad action: the term against ρ, dead where it is drawn in grey."""
    figure, *both = panels(3.4, 2, sharey=True)
    for axes, (A, terms), colour in zip(both, found.terms.items(), (NAVY, RED)):
        alive = found.slopes[A] != 0
        axes.axvline(1, color=GREY, linewidth=0.8)
        axes.plot(found.ratios, found.ratios * A, ":", color=GREY, linewidth=1.2)
        axes.plot(found.ratios, np.where(alive, terms, np.nan), "-", color=colour, linewidth=2.4)
        axes.plot(found.ratios, np.where(alive, np.nan, terms), "--", color=GREY, linewidth=2.4)
        axes.set(title="a good action, A = 1" if A > 0 else "a bad action, A = −1",
                 xlabel="ρ = π/π_old", xticks=[0, 0.8, 1, 1.2, 2],
                 xticklabels=["0", "0.8", "1", "1.2", "2"])
        dead = found.ratios[~alive].mean()
        name_at_end(axes, dead, terms[~alive][0], "dead: gradient 0", GREY, dx=0, dy=-10,
                    ha="center")
        name_at_end(axes, 1 - A / 2, (1 - A / 2) * A, "alive: ρ A", colour, dx=-8, dy=10 * A,
                    ha="right")
    both[0].set_ylabel("term of the surrogate")
    return figure


# A batch as tables.


class Collapsed(NamedTuple):
    """A batch of steps and the tables that it collapses into."""

    states: np.ndarray      # (N,)
    actions: np.ndarray     # (N,)
    advantages: np.ndarray  # (N,)
    tables: Advantages


def collapsed_batch(seed=0) -> Collapsed:
    """The numbers of the picture `collapse`; nothing in them is random."""
    states, actions, advantages = np.array([
        (0, 1, 2), (1, 1, 3), (2, 0, -1), (1, 1, -2), (2, 1, 5), (0, 1, 1), (1, 1, 4), (2, 0, -3),
        (1, 0, -4)]).T
    steps = counts.steps(states, actions, [0, states.size], (3, 2))
    return Collapsed(states, actions, advantages,
                     collapse(steps, advantages.astype(float), counted=True))


def draw_collapse(found):
    """The list of steps, and three tables of sums; one pair (s, a) is marked in all of them."""
    figure, axes = panels(3.7)
    marked, moves = (1, 1), ("left", "right")
    N = found.states.size
    axes.set(xlim=(0, 100.3), ylim=(N + 0.7, -1.5))
    axes.axis("off")
    for x, word in zip((3, 8, 15, 23), ("n", "s", "a", "A")):
        axes.text(x, 0, word, ha="center", va="center", color=GREY)
    for n, (s, a, A) in enumerate(zip(found.states, found.actions, found.advantages), 1):
        if (s, a) == marked:
            axes.add_patch(Rectangle((0.5, n - 0.48), 25, 0.96, color=PALE))
        axes.text(3, n, n, ha="center", va="center", color=GREY)
        axes.text(8, n, s, ha="center", va="center")
        axes.text(15, n, moves[a], ha="center", va="center")
        axes.text(23, n, _signed(A), ha="center", va="center", color=NAVY if A > 0 else RED)
    for left, name, table, kept, colour in (
            (35, "A⁺, sums of A > 0", found.tables.gains, found.advantages > 0, NAVY),
            (58, "A⁻, sums of A < 0", found.tables.losses, found.advantages < 0, RED),
            (81, "N, number of steps", found.tables.counts, None, INK)):
        axes.text(left, -1, name, va="center", color=colour)
        for a, move in enumerate(moves):
            axes.text(left + 9.5 * a + 4.75, 0, move, ha="center", va="center", color=GREY)
        for s, a in np.ndindex(table.shape):
            x, y = left + 9.5 * a, 0.6 + 3 * s
            axes.add_patch(Rectangle((x, y), 9.5, 3, edgecolor=GREY, linewidth=0.8,
                                     facecolor=PALE if (s, a) == marked else "white"))
            here = (found.states == s) & (found.actions == a)
            terms = [] if kept is None else found.advantages[here & kept]
            if len(terms) > 1:
                axes.text(x + 4.75, y + 0.85, " + ".join(map(_signed, terms)).replace("+ −", "− "),
                          ha="center", va="center", fontsize=9, color=GREY)
            axes.text(x + 4.75, y + (2 if len(terms) > 1 else 1.5), _signed(table[s, a]),
                      ha="center", va="center", fontsize=12, color=colour if table[s, a] else GREY)
    for s in range(3):
        axes.text(34, 2.1 + 3 * s, f"s = {s}", ha="right", va="center", color=GREY, fontsize=9)
    return figure


# What an estimate costs.


class GAECurve(NamedTuple):
    """Errors of an estimate of ∇J from so many episodes, for each λ, in units of ‖∇J‖²."""

    episodes: int
    weights: np.ndarray   # λ
    bias: np.ndarray      # squared
    variance: np.ndarray

    @property
    def error(self):
        """The mean squared distance to ∇J."""
        return self.bias + self.variance

    @property
    def best(self):
        """Which of the λ has the least error."""
        return int(self.error.argmin())


def gae_curves(seed=0):
    """The numbers of the picture `gae`, exact: a list of `GAECurve`, with the wrong values."""
    curves = []
    for episodes in BATCHES:
        case = estimators.case_of(unroll(estimators.thin_ice(), estimators.STEPS), episodes)
        weights, bias, variance = np.array([(x, wrong.bias**2, wrong.variance)
                                            for x, wrong, _ in estimators.gae_rows(case)]).T
        unit = (case.gradient**2).sum()
        curves.append(GAECurve(episodes, weights, bias / unit, variance / unit))
    return curves


def draw_gae(found):
    """A panel for each size of the batch: squared bias, variance and their sum against λ."""
    figure, *three = panels(2.9, 3, sharey=True)
    for axes, curve in zip(three, found):
        x, best, error = curve.weights, curve.best, curve.error
        axes.plot(x, curve.bias, "--", color=RED)
        axes.plot(x, curve.variance, "-.", color=TEAL)
        axes.plot(x, error, "-", color=NAVY)
        axes.plot(x[best], error[best], "o", color=NAVY, markersize=7)
        axes.set(title=f"{curve.episodes} episodes", xlabel="λ", xticks=[0, 0.5, 1],
                 yticks=[0, 0.5, 1], yticklabels=["0", "0.5", "1"],
                 xticklabels=["0", "0.5", "1"], ylim=(0, None))
        name_at_end(axes, min(x[best], 0.8), error[best], f"best λ = {x[best]:g}", NAVY, dx=0,
                    dy=14, ha="center")
    x, bias, variance = found[0][1:]
    name_at_end(three[0], x[8], (bias + variance)[8], "bias² + variance", NAVY, dx=-8, dy=8,
                ha="right")
    name_at_end(three[0], x[6], variance[6], "variance", TEAL, dx=6, dy=-9)
    name_at_end(three[0], x[5], bias[5], "bias²", RED, dx=3, dy=8)
    three[0].set_ylabel("squared error / ‖∇J‖²")
    return figure


class Baseline(NamedTuple):
    """A baseline: its name, and ‖E ĝ − ∇J‖ and the variance of the estimate ĝ with it."""

    name: str
    bias: float
    variance: float


class Baselines(NamedTuple):
    """What every baseline leaves of the noise: ‖∇J‖, and `Baseline`s from the most to the least."""

    norm: float
    rows: list


def baseline_variances(seed=0) -> Baselines:
    """The numbers of the picture `baselines`, exact: the credit is γᵗ R_t, of 32 episodes."""
    case = estimators.case_of(unroll(estimators.thin_ice(), estimators.STEPS), 32)
    rows = [Baseline(BASELINES[row.baseline], row.bias, row.variance)
            for row in estimators.baseline_rows(case) if row.estimator == "reward_to_go"]
    return Baselines(float(np.linalg.norm(case.gradient)),
                     sorted(rows, key=lambda row: -row.variance))


def draw_baselines(found):
    """A bar for each baseline, with what it leaves of the variance without one."""
    figure, axes = panels(3.6)
    most = found.rows[0].variance
    for place, row in enumerate(found.rows):
        biased = row.bias > 1e-9
        axes.barh(place, row.variance, 0.62, color=OCHRE if biased else NAVY,
                  hatch="//" if biased else None, edgecolor="white")
        words = f"{row.variance:.4f}, {100 * row.variance / most:.0f} %"
        words += f"   biased: too short by 1/{found.norm / row.bias:.0f}" if biased else ""
        name_at_end(axes, row.variance, place, words, INK)
    axes.set_yticks(range(len(found.rows)), [row.name for row in found.rows])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(xlabel="variance of the estimate, summed over all logits", xlim=(0, most * 1.18))
    return figure


ON_PLAY = (
    Picture("backward", "kernel.softmax",
            "Each action gives back its share π of ΣG, so that the gradient sums to zero",
            "one state with four actions; G is the derivative in log π, the gradient that in the "
            "logits", pushed_logits, draw_backward, "softmax.3"),
    Picture("baselines", "play.baselines",
            "A baseline takes away most of the noise, and the true V takes the most",
            "exact: ∇J from 32 episodes on the thin ice, with the credit γᵗ R_t; only the hatched "
            "one is biased",
            baseline_variances, draw_baselines, "reinforce.2"),
    Picture("gae", "play.actor_critic",
            "The larger the batch, the larger the best λ: only the variance falls",
            "exact: ∇J on the thin ice, from GAE with a critic that says half of V",
            gae_curves, draw_gae, "returns.3"),
    Picture("collapse", "play.surrogate",
            "Nine steps become three small tables of sums, and so would nine million",
            "steps n in state s with action a and advantage A; grey: one pair (s, a)",
            collapsed_batch, draw_collapse, "surrogate.1"),
    Picture("clip", "play.ppo", "PPO's clip takes the gradient away on one side only",
            "min(ρ A, clip(ρ) A) of one step, ε = 0.2; dotted: ρ A, what it would be unclipped",
            clipped_terms, draw_clip, "ppo.1"),
)
