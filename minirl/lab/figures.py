"""Figures of the experiments, with matplotlib (the extra `plot`), as PNG files."""

from itertools import product

import numpy as np

from gridworld.figures import Figure, heat_map  # which says what to install
from matplotlib.ticker import MaxNLocator
from minirl.lab.values import spread

COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # told apart by colour-blind readers too


def learning_curves(curves, *, optimum, title):
    """Two panels, the distance to Q* and the value of the greedy policy, against steps.

    Each of the `values.ValueCurve`s is a line, the median of its runs, in a band from 10 % to 90 %
    of them.  Where a greedy policy never ends, at gamma 1, it has no value, and the line has a gap.
    J* is a dashed line.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve, colour in zip(curves, COLOURS):
        for axes, numbers in ((left, curve.errors), (right, curve.values)):
            _band(axes, curve.steps, spread(numbers), colour, curve.method)
    right.axhline(optimum, color="black", linestyle="--", linewidth=1, label="optimum")
    left.axhline(0, color="black", linestyle="--", linewidth=1)
    left.set(title="distance to Q*", xlabel="steps of each run", ylabel="‖Q − Q*‖∞")
    right.set(title="value of the greedy policy", xlabel="steps of each run", ylabel="J, exact")
    right.legend(frameon=False)
    figure.suptitle(f"{title}: median and 10-90 % of {curves[0].errors.shape[1]} runs")
    return figure


def _band(axes, x, lines, colour, label):
    """A line in a band, with a gap where there is no number; `lines` are low, middle and high."""
    low, middle, high = (np.where(np.isfinite(line), line, np.nan) for line in lines)
    axes.plot(x, middle, color=colour, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def values_figures(found):
    """A heat map and the learning curves, by the names of their files."""
    best, name = found.solution.optimum, found.name
    return {f"{name}_values": heat_map(found.grid, best.values, policy=best.policy,
                                       title=f"{name}: the best values and moves"),
            f"{name}_curves": learning_curves(found.curves, optimum=best.objective, title=name)}


def policy_curves(curves, problem, *, title):
    """Two panels against iterations: J, and on a logarithmic scale what is missing to J*.

    Each of the `policies.PolicyCurve`s is a line, the median of its runs, in a band from the worst
    to the best.  Where a policy has no J, the line has a gap.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve, colour in zip(curves, COLOURS):
        lines = spread(curve.values, (0.0, 0.5, 1.0))
        _band(left, curve.iterations, lines, colour, curve.method)
        _band(right, curve.iterations, problem.optimum - lines[::-1], colour, curve.method)
    left.axhline(problem.optimum, color="black", linestyle="--", linewidth=1, label="optimum")
    if any((problem.optimum - curve.values > 0).any() for curve in curves):
        right.set_yscale("log")
    for axes in left, right:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(title="J, exact", xlabel="iteration", ylabel="J")
    right.set(title="what is missing", xlabel="iteration", ylabel="J* − J")
    left.legend(frameon=False)
    figure.suptitle(f"{title}: median, worst and best of {curves[0].values.shape[1]} runs")
    return figure


def policies_figures(found):
    """The learning curves, by the name of their file."""
    return {f"{found.name}_policies": policy_curves(found.curves, found.problem, title=found.name)}


def gae_figure(laboratory):
    """Squared bias, variance and their sum against λ, for the wrong values."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    weights, wrong, _ = zip(*laboratory.curve)
    bias = np.array([row.bias**2 for row in wrong])
    variance = np.array([row.variance for row in wrong])
    for line, label, colour in ((bias, "bias²", COLOURS[0]), (variance, "variance", COLOURS[1]),
                                (bias + variance, "both", COLOURS[2])):
        axes.plot(weights, line, color=colour, marker="o", label=label)
    axes.set(title=f"GAE with a wrong value table, {laboratory.episodes} episodes, exact",
             xlabel="λ", ylabel="squared error of the gradient", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def surrogate_figure(laboratory):
    """J and its two surrogates along a line of policies."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, label, colour in (("objective", "J", COLOURS[2]),
                                ("surrogate", "surrogate", COLOURS[1]),
                                ("clipped", "clipped surrogate", COLOURS[0])):
        axes.plot([point.step for point in laboratory.line],
                  [getattr(point, name) for point in laboratory.line], color=colour, label=label)
    axes.set(title="the cliff, from the uniform policy along the gradient",
             xlabel="distance in logits", ylabel="J, exact, and what is promised")
    axes.legend(frameon=False)
    return figure


def estimators_figures(found):
    """GAE and the surrogate, by the names of their files."""
    return {"estimators_gae": gae_figure(found), "estimators_surrogate": surrogate_figure(found)}


def frontier_figure(found):
    """Reward against KL: the frontier, the best of n, and every method."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    near = [point for point in found.frontier if point.kl < 3]
    axes.plot([0, *(point.kl for point in near)],
              [found.rows[0].reward, *(point.reward for point in near)], color="black",
              label="frontier: the path of optima")
    best = [point for point in found.best_of_n if point.kl < 3]
    axes.plot([point.kl for point in best], [point.reward for point in best], color=COLOURS[0],
              marker=".", label="best of n")
    for row, (marker, colour) in zip(found.rows, product("os^Dv<>P", COLOURS[1:])):
        if row.kl is not None and row.kl < 3 and row.method != "best_of_n":
            axes.plot(row.kl, row.reward, marker, color=colour, markersize=6, alpha=0.8,
                      label=row.method)
    axes.set(title="what a nat buys, exactly", xlabel="KL to the reference, nats a string",
             ylabel="E[reward]")
    figure.legend(frameon=False, loc="outside right center", fontsize=8)
    return figure


def proxies_figure(found):
    """One panel a proxy: what it promises and what is true, against the KL."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, proxy in zip(figure.subplots(1, len(found.proxies)), found.proxies):
        for points, style, who in ((proxy.optima, "-", "optimum"),
                                   (proxy.best_of_n, ":", "best of n")):
            for name, colour in (("proxy", COLOURS[1]), ("gold", COLOURS[2])):
                if points:
                    axes.plot([point.kl for point in points],
                              [getattr(point, name) for point in points], style, color=colour,
                              label=f"{'truth' if name == 'gold' else 'proxy'}, {who}")
        axes.set(title=proxy.name, xlabel="KL to the reference, nats a string",
                 ylabel="more than the reference earns")
        axes.legend(frameon=False, fontsize=8)
    return figure


def alignment_figures(found):
    """The frontier and the proxies, by the names of their files."""
    return {"alignment_frontier": frontier_figure(found),
            "alignment_proxies": proxies_figure(found)}
