"""Pictures of Part 3: what a batch says, what a clip takes away, and what a baseline buys."""

from typing import NamedTuple

import numpy as np

from minirl.pictures.style import GREY, NAVY, RED, Picture, name_at_end, panels

EPSILON = 0.2


class Clipped(NamedTuple):
    """The term min(ρ A, clip(ρ) A) of one step, and its slope in ρ, for a good and a bad action."""

    ratios: np.ndarray
    terms: dict   # A to the terms
    slopes: dict  # A to the slopes


def clipped_terms(seed=0):
    """The numbers of the picture `clip`; nothing in them is random."""
    ratios = np.linspace(0, 2, 401)
    clipped = np.clip(ratios, 1 - EPSILON, 1 + EPSILON)
    terms = {A: np.minimum(ratios * A, clipped * A) for A in (1, -1)}
    slopes = {A: np.where(ratios * A <= clipped * A, A, 0) for A in (1, -1)}
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
        name_at_end(axes, dead, terms[~alive][0], "gradient 0", GREY, dx=0, dy=-10, ha="center")
        name_at_end(axes, 1, A, "ρ A", colour, dx=-16, dy=12 * A, ha="right")
    both[0].set_ylabel("term of the surrogate")
    return figure


ON_PLAY = (
    Picture("clip", "play.ppo", "PPO's clip takes the gradient away on one side only",
            "min(ρ A, clip(ρ) A) of one step, ε = 0.2; dotted: ρ A, what it would be unclipped",
            clipped_terms, draw_clip, "ppo.1"),
)
