"""Pictures of a world, with matplotlib (the extra `plot`): heat maps with arrows, learning curves.

A function returns a `matplotlib.figure.Figure`, which you save or show; nothing is kept in global
state.  Without matplotlib the import fails with a sentence that says what to install.

Read first: `draw`, which needs no extra.
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
except ImportError:
    raise ImportError("pictures need matplotlib: pip install 'minirl[plot]'") from None
finally:
    os.environ.update({"MPLBACKEND": _BACKEND} if _BACKEND else {})
if _FIRST and _BACKEND:
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _BACKEND


def heat_map(world, values, *, policy=None, title="", label="value"):
    """The values of all cells as colours and numbers, and a policy as arrows.

    `values` (S,) and `policy` (S, 4) fit the map.  A cell has an arrow for each move, as long as
    the move is likely.  Goals, holes, cliffs and walls stay uncoloured and carry their symbol, and
    so does a cell whose value is not a number.  `label` stands beside the scale of colours.

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
    figure = Figure(figsize=(max(4, 1.2 + 0.75 * columns), 0.6 + 0.75 * rows), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.92")  # of the cells that are not coloured
    image = axes.imshow(np.where(standing, np.nan, values).reshape(rows, columns), cmap="YlGnBu")
    figure.colorbar(image, ax=axes, label=label, shrink=0.8)
    low, high = image.get_clim()
    for s, cell in enumerate(world.symbols):
        row, column = divmod(s, columns)
        if standing[s] or not np.isfinite(values[s]):
            axes.text(column, row, cell, ha="center", va="center", color="grey", weight="bold")
        else:
            colour = "white" if values[s] > low + 0.6 * (high - low) else "black"
            axes.text(column, row + 0.3, f"{values[s]:.2f}", ha="center", va="center",
                      fontsize=7, color=colour)
            if policy is not None:
                _arrows(axes, world, row, column, policy[s], colour)
    axes.set(title=title, xticks=[], yticks=[])
    return figure


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
    axes.plot(list(J), list(J.values()), label="policy")
    axes.axhline(policy_iteration(mdp).objective, color="black", linestyle="--", label="optimum")
    axes.set(xlabel="iteration", ylabel="J, exact")
    axes.legend(frameon=False)
    return figure
