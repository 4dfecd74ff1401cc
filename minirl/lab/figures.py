"""Figures of the experiments, with matplotlib (the extra `plot`), as PNG files."""

import io
import os

import numpy as np

from gridworld.figures import Figure, heat_map
from minirl import files
from minirl.lab.values import spread

COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # told apart by colour-blind readers too


def learning_curves(curves, *, optimum, title):
    """Two panels, the distance to Q* and the value of the greedy policy, against steps.

    Each learner is a line, the median of its runs, in a band from 10 % to 90 % of them.  Where a
    greedy policy never ends, at gamma 1, it has no value, and the line has a gap.

    Parameters
    ----------
    curves : list of values.Curve
    optimum : float
        J*, a dashed line.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve, colour in zip(curves, COLOURS):
        for axes, numbers in ((left, curve.errors), (right, curve.values)):
            low, middle, high = (np.where(np.isfinite(line), line, np.nan)
                                 for line in spread(numbers))
            axes.plot(curve.steps, middle, color=colour, label=curve.method)
            axes.fill_between(curve.steps, low, high, color=colour, alpha=0.2, linewidth=0)
    right.axhline(optimum, color="black", linestyle="--", linewidth=1, label="optimum")
    left.axhline(0, color="black", linestyle="--", linewidth=1)
    left.set(title="distance to Q*", xlabel="steps of each run", ylabel="‖Q − Q*‖∞")
    right.set(title="value of the greedy policy", xlabel="steps of each run", ylabel="J, exact")
    right.legend(frameon=False)
    figure.suptitle(f"{title}: median and 10-90 % of {curves[0].errors.shape[1]} runs")
    return figure


def draw_values(folder, name, grid, curves, solution):
    """Write `NAME_values.png`, a heat map, and `NAME_curves.png`, the learning curves."""
    best = solution.optimum
    title = f"{name}: the best values and moves"
    save(heat_map(grid, best.values, policy=best.policy, title=title),
         os.path.join(folder, f"{name}_values.png"))
    save(learning_curves(curves, optimum=best.objective, title=name),
         os.path.join(folder, f"{name}_curves.png"))


def save(figure, path):
    """Write a figure as a PNG file, whole or not at all."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    files.write_bytes(path, data.getvalue())
