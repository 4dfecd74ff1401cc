"""Figures of the experiments, with matplotlib (the extra `plot`), as PNG files."""

from itertools import product

import numpy as np

from gridworld.figures import Figure, heat_map  # which says what to install
from matplotlib.ticker import MaxNLocator
from minirl.console import counted
from minirl.lab.objectives import BETA, families
from minirl.lab.summary import spread

COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # told apart by colour-blind readers too
NATS = "KL to the reference, nats per string"
AT_REST = {"aims at J*": {"marker": "o", "color": COLOURS[2], "markersize": 5},
           "aims elsewhere": {"marker": "o", "color": COLOURS[1], "markersize": 5,
                              "markerfacecolor": "white"},
           "does not rest": {"marker": "X", "color": COLOURS[3], "markersize": 6}}
OPTIMUM = {"color": "black", "linestyle": "--", "linewidth": 1, "label": "optimum"}


def values_figures(found):
    """A heat map with all best moves and the learning curves, by the names of their files."""
    best, name, title = found.solution.optimum, found.name, _literal(found.name)
    moves = found.solution.best / found.solution.best.sum(axis=1, keepdims=True)
    return {f"{name}_values": heat_map(found.grid, best.values, policy=moves,
                                       title=f"{title}: the best values and moves"),
            f"{name}_curves": learning_curves(found.curves, optimum=best.objective, title=title)}


def _literal(name):
    """A name for a title, in which a dollar sign begins no formula."""
    return name.replace("$", r"\$")


def learning_curves(curves, *, optimum, title):
    """Two panels, the distance to Q* and the value of the greedy policy, against steps.

    Each of the `values.ValueCurve`s is a line, the median of its runs, in a band from 10 % to 90 %
    of them.  Where a greedy policy never ends, at gamma 1, it has no value, and the line has a gap.
    J* is a dashed line.
    """
    figure, left, right = _panels(10, 4, ("distance to Q*", "steps of each run", "‖Q − Q*‖∞"),
                                  ("value of the greedy policy", "steps of each run", "J, exact"))
    for curve, colour in zip(curves, COLOURS):
        _band(left, curve.steps, spread(curve.errors), colour, curve.method)
        _band(right, curve.steps, spread(curve.values), colour, curve.method)
    right.axhline(optimum, **OPTIMUM)
    left.axhline(0, **OPTIMUM)
    right.legend(frameon=False)
    figure.suptitle(f"{title}: median and 10-90 % of {counted(curves[0].errors.shape[1], 'run')}")
    return figure


def policies_figures(found):
    """Two panels against iterations: J, and on a logarithmic scale what is missing to J*.

    Each of the `policies.PolicyCurve`s is a line, the median of its runs, in a band from the worst
    to the best.  Where a policy has no J, the line has a gap.
    """
    curves, optimum = found.curves, found.problem.optimum
    figure, left, right = _panels(10, 4, ("J, exact", "iteration", "J"),
                                  ("what is missing", "iteration", "J* − J"))
    for curve, colour in zip(curves, COLOURS):
        lines = spread(curve.values, (0.0, 0.5, 1.0))
        _band(left, curve.iterations, lines, colour, curve.method)
        _band(right, curve.iterations, optimum - lines[::-1], colour, curve.method)
    left.axhline(optimum, **OPTIMUM)
    if any((optimum - curve.values > 0).any() for curve in curves):
        right.set_yscale("log")
    for axes in left, right:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(frameon=False)
    figure.suptitle(f"{_literal(found.name)}: median, worst and best of "
                    f"{counted(curves[0].values.shape[1], 'run')}")
    return {f"{found.name}_policies": figure}


def estimators_figures(found):
    """GAE and the surrogate, by the names of their files."""
    return {"estimators_gae": gae_figure(found), "estimators_surrogate": surrogate_figure(found)}


def gae_figure(found):
    """Squared bias, variance and their sum against λ, for the wrong values."""
    weights, wrong, _ = zip(*found.gae)
    bias, variance = np.array([(row.bias**2, row.variance) for row in wrong]).T
    figure, axes = _panels(6, 4, (f"GAE with a wrong value table, {found.episodes} episodes, exact",
                                  "λ", "squared error of the gradient"))
    for line, label, colour in zip((bias, variance, bias + variance),
                                   ("bias²", "variance", "both"), COLOURS):
        axes.plot(weights, line, color=colour, marker="o", label=label)
    axes.set(ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def surrogate_figure(found):
    """J and its two surrogates along a line of policies."""
    figure, axes = _panels(6, 4, ("the cliff, from the uniform policy along the gradient",
                                  "distance in logits", "J, exact, and what is promised"))
    _line(axes, found.surrogate, "step", "objective", color=COLOURS[2], label="J")
    _line(axes, found.surrogate, "step", "surrogate", color=COLOURS[1], label="surrogate")
    _line(axes, found.surrogate, "step", "clipped", color=COLOURS[0], label="clipped surrogate")
    axes.legend(frameon=False)
    return figure


def objectives_figures(found):
    """Where the methods rest, and what losses want of a pair, by the names of their files."""
    return {"objectives_rests": rests_figure(found), "objectives_margins": margins_figure(found)}


def rests_figure(found):
    """A panel per family: reward against KL where each method rests, below the path of optima.

    What lies beyond a panel is drawn at its edge.
    """
    figure = Figure(figsize=(7.5, 9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    kl, reward = np.transpose(found.frontier)
    aiming = sum(rest.aims for rest in found.rests)
    figure.suptitle(f"{aiming} of {len(found.rests) - 1} methods aim at J*; most others rest close "
                    f"to the path of optima, at another price", fontsize=10)
    for place, (heading, rests) in enumerate(families(found.rests).items(), 1):
        axes = figure.add_subplot(3, 2, place, xlim=(0, 1.25), ylim=(-0.3, 0.65))
        axes.set_title(heading.rstrip(":"), fontsize=8, loc="left")
        axes.plot(kl, reward, color="black", linewidth=1, label="path of optima")
        axes.plot(kl, found.optimum + BETA * kl, ":", color="0.5", linewidth=1, label="J = J*")
        axes.grid(color="0.9", linewidth=0.5)
        axes.tick_params(labelsize=7)
        if place % 2:
            axes.set_ylabel("E[reward]", fontsize=8)
        if place > 4:
            axes.set_xlabel(NATS, fontsize=8)
        _named_at_the_side(axes, sorted(rests, key=lambda rest: (rest.reward, -rest.kl)))
    for label, mark in AT_REST.items():
        axes.plot([], [], linestyle="", label=label, **mark)
    axes.legend(frameon=False, fontsize=7, loc="lower right", handlelength=1.2, borderpad=0)
    return figure


def _named_at_the_side(axes, rests):
    """Marks of methods that rest, from low to high, and their names to the right of the panel."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    heights = apart([(rest.reward - bottom) / (top - bottom) for rest in rests], 0.068, 0.97)
    for rest, height in zip(rests, heights):
        beyond = f", KL {rest.kl:.1f}" if rest.kl > right else ""
        x = min(rest.kl, right)
        mark = list(AT_REST.values())[0 if rest.aims else 1 if rest.at_rest else 2]
        axes.plot(x, rest.reward, clip_on=False, zorder=3, **mark)
        axes.annotate(rest.method + beyond, (x, rest.reward), (1.04, height), fontsize=7,
                      textcoords="axes fraction", va="center", color="0.1", arrowprops={
                          "arrowstyle": "-", "color": "0.75", "linewidth": 0.5, "relpos": (0, 0.5),
                          "shrinkA": 0, "shrinkB": 2})


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


def margins_figure(found):
    """The margin that each convex loss wants against the share of comparisons that y⁺ wins."""
    title = "DPO wants what the rater's rewards differ by, these others do not"
    figure, axes = _panels(6.5, 4.2, (title, "share of the comparisons that y⁺ wins",
                                      "wanted margin β (h⁺ − h⁻)"))
    colours = [*COLOURS, "0.45", "#e69f00"]
    for (name, points), colour in zip(found.wanted.items(), colours):
        share, margin = np.transpose(points)
        mirrored = np.concatenate([1 - share[::-1], share]), np.concatenate([-margin[::-1], margin])
        axes.plot(*mirrored, color=colour, linewidth=2 if name == "dpo" else 1.2)
    axes.grid(color="0.9", linewidth=0.5)
    axes.set(xlim=(0, 1))
    ends = sorted((points[-1][1], name) for name, points in found.wanted.items())
    low, high = axes.get_ylim()
    heights = apart([(end - low) / (high - low) for end, _ in ends], 0.06, 1.0)
    for (end, name), height in zip(ends, heights):
        axes.annotate(name, (0.98, end), (1.04, height), textcoords="axes fraction", fontsize=8,
                      va="center", color=colours[list(found.wanted).index(name)])
    return figure


def alignment_figures(found):
    """The frontier and the proxies, by the names of their files."""
    return {"alignment_frontier": frontier_figure(found),
            "alignment_proxies": proxies_figure(found)}


def frontier_figure(found):
    """Reward against KL, up to three nats: the frontier, the best of n, and every method."""
    figure, axes = _panels(9, 5.5, ("what a nat buys, exactly", NATS, "E[reward]"))
    _line(axes, [found.rows[0], *filter(_near, found.frontier)], "kl", "reward", color="black",
          label="frontier: the path of optima")
    _line(axes, filter(_near, found.best_of_n), "kl", "reward", color=COLOURS[0], marker=".",
          label="best of n")
    for row, (marker, colour) in zip(found.rows, product("os^Dv<>PpX", COLOURS[1:])):
        if _near(row) and row.method != "best_of_n":
            axes.plot(row.kl, row.reward, marker, color=colour, markersize=6, alpha=0.8,
                      label=row.method)
    figure.legend(frameon=False, loc="outside right center", fontsize=8)
    return figure


def _near(point):
    return point.kl is not None and point.kl < 3


def proxies_figure(found):
    """One panel a proxy: what it promises and what is true, against the KL."""
    figure, *panels = _panels(12, 4, *((proxy.name, NATS, "more than the reference earns")
                                       for proxy in found.proxies))
    for axes, proxy in zip(panels, found.proxies):
        for points, style, who in ((proxy.optima, "-", "optimum"),
                                   (proxy.best_of_n, ":", "best of n")):
            if points:
                _line(axes, points, "kl", "proxy", style, color=COLOURS[1], label=f"proxy, {who}")
                _line(axes, points, "kl", "gold", style, color=COLOURS[2], label=f"truth, {who}")
        axes.legend(frameon=False, fontsize=8)
    return figure


def _panels(width, height, *panels):
    """A figure and the axes of its panels, for their titles and what their axes show."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, *(figure.add_subplot(1, len(panels), place, title=title, xlabel=x, ylabel=y)
                     for place, (title, x, y) in enumerate(panels, 1))


def _line(axes, points, x, y, *form, **style):
    """A line through points, which have fields of these names."""
    axes.plot(*zip(*((getattr(point, x), getattr(point, y)) for point in points)), *form, **style)


def _band(axes, x, lines, colour, label):
    """A line in a band, with a gap where there is no number; `lines` are low, middle and high."""
    low, middle, high = (np.where(np.isfinite(line), line, np.nan) for line in lines)
    axes.plot(x, middle, color=colour, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
