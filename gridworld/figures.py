"""How does one see at a glance what has been learned, and how fast?

*Worlds to draw, after `q_learning`.  Previous: `draw`.  Next: `gymnasium`.*

Two pictures answer.  A *heat map* shows the values of all cells as colours, and a policy as arrows.
A *learning curve* shows J of the policies that a trainer went through.  Both need the library
matplotlib, which comes with `pip install 'minirl-book[plot]'`.  Without it the import fails with a
sentence that says so.  A function returns a `matplotlib.figure.Figure`, which one saves or shows.

**A heat map in numbers.**  A corridor has a start, a free cell and a goal that pays 1.  At γ = 0.9
the best values are 0.9 and 1, since the reward waits for one step more from the start.  A Q-learner
finds them, and its largest values are what is drawn (`decay=0` keeps its learning rate as it is):

>>> from gridworld.world import GridWorld, parse
>>> from minirl.play.q_learning import learners, q_learning
>>> corridor = GridWorld(parse("SFG"))
>>> world = corridor.mdp(gamma=0.9)
>>> Q = next(q_learning(world, learners(world, rng=0), decay=0.0)).Q[0]
>>> figure = heat_map(corridor, Q.max(axis=1), policy=np.eye(4)[Q.argmax(axis=1)])
>>> print([text.get_text() for text in figure.axes[0].texts if text.get_text()])
['S', '0.90', '1.00', 'G']

    ┌───────┬───────┬───────┐      The colours go from the least of the values drawn, light, to the
    │S  →   │   →   │ ┌ G ┐ │      largest one, dark.  A goal is a frame, a hole a disc, a cliff is
    │  0.90 │  1.00 │ └───┘ │      hatched and a wall filled.  Starts and teleports have letters in
    └───────┴───────┴───────┘      a corner, and the wind stands below its column.

An arrow is as long as its move is likely, so that an undecided policy has several short ones.  The
scale of colours belongs to one picture.  Two pictures of different values can look the same, and
only their numbers tell them apart.

**A learning curve in numbers.**  A curve could be drawn from returns that were sampled.  Then it
would be noisy, and luck would look like skill.  Here J is exact, by (evaluation.2), and a dashed
line is the optimum J* of policy iteration.  The distance between the two is the gap of `scorecard`,
and no curve ever crosses the line.  In the coin game at γ = 0.9 the best policy shows head for ever
and earns 1/(1 − 0.9) = 10.  A policy of equal logits shows head with ½.  It earns J = ½ (1 + 0.9
J), so that J = 0.5/0.55:

>>> from minirl.kernel.mdp import coin_game
>>> from minirl.play.training import start
>>> figure = training_curve(coin_game(gamma=0.9), [start(coin_game(), rng=0)])
>>> for line in figure.axes[0].lines:
...     print(line.get_label(), round(float(line.get_ydata()[0]), 4))
policy 0.9091
optimum 10.0

A record needs an iteration and a policy.  The trainers of policies, from `reinforce` on, yield such
records.

**What a picture hides.**  A single bad policy can squeeze everything else: on the cliff, at γ = 1,
a policy that moves at random loses thousands of times as much as the 13 of the best one.  On that
scale −15 and −13 look equal.

**Exercises.**  `from gridworld.maps import *; from minirl.exact.scorecard import *`
1. How low does the curve of the cliff begin, at γ = 1, if the first policy moves at random?
       cliff = cliff_walk().mdp(gamma=1.0)
       round(objective(cliff, np.full(cliff.shape, 1 / 4)))
2. The dashed lines of the slippery lakes, 4x4 and 8x8, at γ = 0.99: which of the two is higher?
       from minirl.exact.planning import policy_iteration
       lakes = [frozen_lake(text).mdp(gamma=0.99) for text in (LAKE_4X4, LAKE_8X8)]
       [round(policy_iteration(lake).objective, 4) for lake in lakes]
3. The same at γ = 1.  Which one now?
       from minirl.exact.planning import policy_iteration
       lakes = [frozen_lake(text).mdp(gamma=1.0) for text in (LAKE_4X4, LAKE_8X8)]
       [round(policy_iteration(lake).objective, 4) for lake in lakes]

Read next: `gymnasium`, where other programs play these worlds.
"""

import os
import sys
from contextlib import suppress

import numpy as np

from gridworld.draw import STANDING, check_fits
from gridworld.world import MOVES
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective

# A notebook's MPLBACKEND may name a window that is not installed where it calls a command, and then
# the import would fail.  No picture here needs a window; who opens one afterwards has it as before.
_FIRST, _BACKEND = "matplotlib" not in sys.modules, os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle
except ImportError:
    raise ImportError("pictures need matplotlib: pip install 'minirl-book[plot]'") from None
finally:
    os.environ.update({"MPLBACKEND": _BACKEND} if _BACKEND else {})
if _FIRST and _BACKEND:
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _BACKEND


SIGN_NAMES = {"S": "start", "G": "goal", "H": "hole", "C": "cliff", "#": "wall",
              "A": "teleport to a", "B": "teleport to b"}
INK, GREY, TEAL, RED = "#222222", "#70757d", "#0b7f8e", "#a3260f"  # of all pictures of the book
_PINK = "#dfb3ab"
CELL, WIDEST = 0.75, 7.5  # inches: of a cell, and of a whole map


def heat_map(world, values, *, policy=None, title="", label="value"):
    """The values of all cells as colours and numbers, and a policy as arrows.

    `values` (S,) and `policy` (S, 4) fit the map.  A cell has an arrow for each move, as long as
    the move is likely.  Goals, holes, cliffs and walls have their sign (`draw_sign`), and a cell
    whose value is not a number stays white with its letter.  Starts, unless an episode may start
    anywhere, and teleports have theirs in a corner; the wind stands below its column.  `label`
    stands beside the scale of colours.

    Examples
    --------
    >>> from gridworld.maps import frozen_lake
    >>> figure = heat_map(frozen_lake(), np.linspace(0, 1, 16), title="the lake")
    >>> figure.axes[0].get_title()
    'the lake'
    """
    rows, columns = world.shape
    check_fits(world, "values", values)
    if policy is not None:
        check_fits(world, "policy", policy, moves=True)
    standing = np.array([cell in STANDING for cell in world.symbols])
    cell = min(CELL, (WIDEST - 1.2) / columns)
    figure = Figure(figsize=(max(4, 1.2 + cell * columns), 0.9 + cell * rows), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(np.where(standing, np.nan, values).reshape(rows, columns), cmap="YlGnBu")
    figure.colorbar(image, ax=axes, label=label, shrink=0.8)
    low, high = image.get_clim()
    plain = "F" if "F" in world.symbols else "S"  # has no letter
    known = np.abs(values[~standing & np.isfinite(values)])
    decimals = _decimals(known.max(initial=0))
    for s, sign in enumerate(world.symbols):
        row, column = divmod(s, columns)
        if standing[s]:
            draw_sign(axes, row, column, sign)
        elif not np.isfinite(values[s]):
            axes.text(column, row, sign, ha="center", va="center", color="grey", weight="bold")
        else:
            colour = "white" if values[s] > low + 0.6 * (high - low) else "black"
            if sign != plain and isinstance(sign, str):
                axes.text(column - 0.44, row - 0.44, sign, ha="left", va="top", fontsize=7,
                          weight="bold", color=colour)
            number = f"{values[s]:.{decimals}f}".replace("-", "−")
            axes.text(column, row + 0.3, number, ha="center", va="center", fontsize=7, color=colour)
            if policy is not None:
                _arrows(axes, world, row, column, policy[s], colour)
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(visible=False)
    if any(world.wind):
        axes.set_xticks(range(columns), [f"{'↑' if wind > 0 else '↓'}{abs(wind)}" if wind else ""
                                         for wind in world.wind])
        axes.set_xlabel("wind, in cells")
    return figure


def draw_sign(axes, row, column, cell, size=10):
    """A hole as a disc, a goal as a frame, a cliff hatched and a wall filled, at (row, column).

    All but the wall have their letter.

    Examples
    --------
    >>> axes = Figure().add_subplot()
    >>> for column, cell in enumerate("GHC#"):
    ...     draw_sign(axes, 0, column, cell)
    >>> [text.get_text() for text in axes.texts], len(axes.patches)
    (['G', 'H', 'C'], 4)
    """
    corner, colour = (column - 0.5, row - 0.5), None
    if cell == "H":
        sign, colour = Circle((column, row), 0.37, color=INK), "white"
    elif cell == "G":
        sign, colour = Rectangle((column - 0.41, row - 0.41), 0.82, 0.82, fill=False,
                                 linewidth=2.5, edgecolor=TEAL), TEAL
    elif cell == "C":
        sign, colour = Rectangle(corner, 1, 1, facecolor="white", edgecolor=_PINK, hatch="////",
                                 linewidth=0), RED
    else:
        sign = Rectangle(corner, 1, 1, color=GREY)
    axes.add_patch(sign)
    if colour:
        axes.text(column, row, cell, color=colour, fontsize=size, ha="center", va="center",
                  fontweight="bold")


def _decimals(largest):
    """So many that the largest number has three digits.

    >>> [_decimals(number) for number in (0, 0.012, 0.5, 1, 12, 1072)]
    [2, 4, 3, 2, 1, 0]
    """
    return 2 if not largest else int(np.clip(2 - np.floor(np.log10(largest)), 0, 4))


def _arrows(axes, world, row, column, chances, colour):
    """One arrow for each move, from the middle of the cell, as long as the move is likely."""
    for move, chance in zip(world.moves, chances):
        if chance > 0.01:
            down, right = MOVES[move]
            axes.annotate("", (column + 0.38 * chance * right, row - 0.12 + 0.3 * chance * down),
                          (column, row - 0.12),
                          arrowprops={"arrowstyle": "->", "color": colour, "shrinkA": 0,
                                      "shrinkB": 0, "mutation_scale": 3 + 9 * chance})


def training_curve(mdp, records):
    """J of the policy of each record of a trainer, exact, and the optimum as a dashed line: Figure.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import start
    >>> figure = training_curve(coin_game(gamma=0.9), [start(coin_game(), rng=0)])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['policy', 'optimum']
    """
    J = {record.iteration: objective(mdp, record.policy) for record in records}
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    optimum = policy_iteration(mdp).objective
    axes.plot(list(J), list(J.values()), label="policy")
    axes.axhline(optimum, color="black", linestyle="--", label="optimum")
    axes.annotate("optimum", (0.01, optimum), (0, 3), textcoords="offset points",
                  xycoords=("axes fraction", "data"))
    axes.annotate("policy", (list(J)[-1], list(J.values())[-1]), (0, -5), ha="right", va="top",
                  textcoords="offset points")
    axes.set(xlabel="iteration", ylabel="J, exact")
    axes.margins(y=0.12)
    return figure
