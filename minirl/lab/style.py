"""One look for every picture: what stands where, in which colours, and how it becomes a file.

A picture has no frame and a light grid.  Its title says the finding, one line below says what is
drawn and which command draws it, and names stand at the lines instead of in a legend.  A dash or a
marker always stands beside a colour, since a print may be grey.

The four colours are told apart by those who see no red or no green too, and they differ in
lightness, so that they are four shades in grey.  A test measures both.
"""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gridworld.figures import GREY, INK, RED, TEAL, Figure  # which says what to install
from matplotlib import rc_context
from PIL import Image

NAVY, OCHRE = "#1a145d", "#bf8700"
PALETTE = NAVY, RED, TEAL, OCHRE  # beside INK for text, and GREY for what is beside the point
PALE = "#e6e8eb"                  # the grid
DASHES, MARKERS = ("-", "--", "-.", ":"), "os^D"
WIDTH, DPI = 7.5, 110  # inches, and dots per inch: 825 dots, of at most 900

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "text.parse_math": False,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.titlesize": 10, "axes.titlelocation": "left", "axes.titlecolor": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.spines.bottom": False, "xtick.major.size": 0, "ytick.major.size": 0,
    "xtick.minor.size": 0, "ytick.minor.size": 0,
    "axes.grid": True, "grid.color": PALE, "grid.linewidth": 0.8, "axes.axisbelow": True,
    "lines.linewidth": 1.8, "lines.markersize": 5, "legend.frameon": False,
    "figure.facecolor": "white", "savefig.facecolor": "white",
}


class Picture(NamedTuple):
    """A picture of the book: numbers from a seed, and how they are drawn."""

    name: str         # of its file and in the command
    chapter: str      # where it belongs, as in "play.ppo"
    finding: str      # its title: what one sees, a sentence without a full stop
    caption: str      # one line: what is drawn, with units
    data: Callable    # seed -> the numbers, any record
    draw: Callable    # (numbers) -> Figure, without title and caption
    tag: str = ""     # the equation that it shows

    @property
    def alt(self):
        """What is read to those who do not see it."""
        return f"{self.finding}. {self.caption}"


def panels(height, count=1, *, rows=1, width=WIDTH, **options):
    """A figure and its axes side by side, for `draw`; `options` are those of `Figure.subplots`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, count, squeeze=False, **options)
    return figure, *axes.ravel()


def titled(picture, numbers):
    """The finished `Figure` of a picture: with its title and its caption."""
    tag = f"  ({picture.tag})" if picture.tag else ""
    with rc_context(STYLE):
        return headed(picture.draw(numbers), picture.finding,
                      f"{picture.caption}{tag}   minirl figures {picture.name}")


def headed(figure, title, caption):
    """The figure itself, with a title above it and a caption below."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color=GREY)
    return figure


def png(figure):
    """The bytes of a PNG file of at most 256 colours, the same on every run: no date in it."""
    drawn, data = io.BytesIO(), io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(drawn, format="png", dpi=DPI)
    fewer = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE,
                                                      dither=Image.Dither.NONE)
    fewer.save(data, format="png", optimize=True)
    return data.getvalue()


def name_at_end(axes, x, y, name, colour, *, dx=5, dy=0, **options):
    """The name of a line beside a point of it, in its colour."""
    axes.annotate(name, (x, y), (dx, dy), textcoords="offset points", color=colour, fontsize=9,
                  va="center", annotation_clip=False, **options)


def names_at_ends(axes, ends, names, colours, gap=0.055, left=False):
    """Names to the right (or left) of a panel, each at the end of its line, none over another."""
    low, high = axes.get_ylim()
    scale = axes.yaxis.get_transform().transform
    seen = (scale(np.asarray(ends, float)) - scale(low)) / (scale(high) - scale(low))
    order = np.argsort(seen, kind="stable")
    heights = apart(np.clip(seen[order], 0, 1).tolist(), gap, 1.0)
    for i, height in zip(order, heights):
        axes.annotate(names[i], (-0.02 if left else 1.02, height), xycoords="axes fraction",
                      fontsize=9, va="center", ha="right" if left else "left", color=colours[i])


def apart(heights, gap, top):
    """Heights from low to high, moved until they are so far apart and none is above the top.

    >>> apart([0.0, 0.25, 0.5, 1.0, 1.0], 0.25, 1.0)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    found = list(heights)
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] + gap)
    found[-1] = min(found[-1], top)
    for i in range(len(found) - 2, -1, -1):
        found[i] = min(found[i], found[i + 1] - gap)
    return found
