"""How does one see at a glance what has been learned, and how fast?

*Worlds to draw, after `q_learning`.  Previous: `draw`.  Next: `gymnasium`.*

Two pictures answer.  A *heat map* shows the values of all cells as colours, and a policy as arrows.
A *learning curve* shows J of the policies that a trainer went through.  Both need the library
matplotlib, which comes with `pip install 'minirl[plot]'`.  Without it the import fails with a
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
['0.90', '1.00', 'G']

    ┌───────┬───────┬───────┐
    │   →   │   →   │   G   │      The colours go from the least of the values drawn, light, to the
    │  0.90 │  1.00 │       │      largest one, dark.  Goals, holes, cliffs and walls stay grey.
    └───────┴───────┴───────┘

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
