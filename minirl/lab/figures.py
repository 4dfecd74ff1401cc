"""Figures of the experiments, with matplotlib (the extra `plot`), as PNG files."""

from itertools import product

import numpy as np

from gridworld.figures import Figure, heat_map  # which says what to install
from matplotlib.ticker import MaxNLocator
from minirl.beyond.scaling import compute_optimal
from minirl.console import counted
from minirl.lab.summary import spread
from minirl.pictures.style import apart

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


def objectives_figures(found, families, beta):
    """Where the methods rest, and what losses want of a pair, by the names of their files."""
    return {"objectives_rests": rests_figure(found, families, beta),
            "objectives_margins": margins_figure(found)}


def rests_figure(found, families, beta):
    """A panel per family: reward against KL where each method rests, below the path of optima.

    What lies beyond a panel is drawn at its edge.  A nat costs `beta` along the line J = J*.
    """
    figure = Figure(figsize=(7.5, 9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    kl, reward = np.transpose(found.frontier)
    aiming = sum(rest.aims for rest in found.rests)
    figure.suptitle(f"{aiming} of {len(found.rests) - 1} methods aim at J*; most others rest close "
                    f"to the path of optima, at another price", fontsize=10)
    for place, (heading, rests) in enumerate(families.items(), 1):
        axes = figure.add_subplot(3, 2, place, xlim=(0, 1.25), ylim=(-0.3, 0.65))
        axes.set_title(heading.rstrip(":"), fontsize=8, loc="left")
        axes.plot(kl, reward, color="black", linewidth=1, label="path of optima")
        axes.plot(kl, found.optimum + beta * kl, ":", color="0.5", linewidth=1, label="J = J*")
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


def attempts_figures(found):
    """Attempts against training, and what checks and names buy, by the names of their files."""
    return {"inference_attempts": attempts_figure(found), "inference_checks": checks_figure(found)}


def attempts_figure(found):
    """pass@k against k, with the majority votes broken: where training wins, and where it loses."""
    title = "Training wins with few attempts, the reference with many"
    figure, axes = _panels(6.5, 4, (title, "attempts k",
                                    "right, of 26 prompts (broken lines: by majority)"))
    attempts = 2.0 ** np.arange(len(found.answers[0].passes))
    ends = []
    styles = [("reference", "black", 2), ("descent, beta 1", COLOURS[0], 1.2),
              ("descent, beta 0.3", COLOURS[3], 1.2), ("descent, beta 0.1", COLOURS[1], 1.8),
              ("own tables", COLOURS[2], 1.8)]
    for run in found.runs:
        axes.plot(attempts, run.passes, color="0.65", linewidth=0.7)
    shown = {row.policy: row for row in found.answers}
    for name, colour, width in styles:
        if name in shown:
            row = shown[name]
            axes.plot(attempts, row.passes, color=colour, linewidth=width)
            axes.plot(attempts[:len(row.majorities)], row.majorities, "--", color=colour,
                      linewidth=1)
            ends.append((row.passes[0], name, colour))
    ends.append((min(run.passes[0] for run in found.runs), "ppo, each run", "0.45"))
    ends.sort()
    heights = apart([end / 1.05 for end, *_ in ends], 0.055, 1.0)
    axes.set(ylim=(0, 1.05), xlim=(1, attempts[-1]), xscale="log")
    axes.set_xticks(attempts, [f"{k:.0f}" for k in attempts])
    axes.minorticks_off()
    axes.grid(color="0.9", linewidth=0.5)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    for (_, name, colour), height in zip(ends, heights):
        axes.annotate(name, (-0.02, height), textcoords="axes fraction", fontsize=8, ha="right",
                      xycoords="axes fraction", va="center", color=colour)
    return figure


def checks_figure(found):
    """Two panels: clean words against draws, and letters ahead against letters of training."""
    figure, left, right = _panels(
        7, 3.3, ("Checking steps buys more", "draws per word", "a clean word"),
        ("Long skills grow by more", "letters of names", "the next letters all right"))
    for field, colour, mark, name, place in (
            ("clean", COLOURS[2], "o", "steps checked", (5.3, 0.75)),
            ("stopping", COLOURS[1], "s", "whole words", (8.2, 0.58))):
        left.plot(*zip(*((row.draws, getattr(row, field)) for row in found.checks)), color=colour,
                  marker=mark, markersize=4)
        left.annotate(name, place, color=colour, fontsize=9, ha="center")
    for row in found.checks[:4]:
        left.annotate(f"{row.tries}", (row.draws, row.clean + 0.02), fontsize=7, ha="right")
    letters = [row.letters for row in found.emergence]
    runs = dict(zip(("next 1", "next 4", "next 16"),
                    zip(*(row.chances for row in found.emergence))))
    for (name, chances), colour, mark, up in zip(runs.items(), COLOURS, "os^", (3, -4, 0)):
        right.plot(letters, chances, color=colour, marker=mark, markersize=4)
        right.annotate(name, (letters[-1], chances[-1]), (5, up), textcoords="offset points",
                       fontsize=9, va="center", color=colour)
    right.plot(letters, [row.power for row in found.emergence], ":", color=COLOURS[2])
    right.annotate("(next 1)^16", (letters[0], found.emergence[0].power), (6, 0),
                   textcoords="offset points", fontsize=9, va="center", color=COLOURS[2])
    right.set(xscale="log", yscale="log", xlim=(letters[0] / 1.3, letters[-1] * 9))
    left.set(ylim=(0.3, 1.04), xlim=(4, 9.3))
    for axes in left, right:
        axes.grid(color="0.9", linewidth=0.5)
    return figure


def laws_figures(found, published, spent):
    """The losses of n-grams against data, and tokens per param by the `published` laws.

    The second panel has Chinchilla, which `spent` so many operations, as a star.

    Trees are lines in shades, from order 1 to 6, and the best of all a band; laws differ in their
    dashes too.
    """
    steps = np.array([part.steps for part in found.parts])
    trees = np.array([part.tree for part in found.parts]).T
    title = ("Unicode names: each order comes\nto rest, and the best of them slows down"
             if found.corpus is None else f"{_literal(found.corpus)}:\neach order, and their best")
    figure, left, right = _panels(
        7.5, 3.5, (title, "steps that were counted", "nats per held-out character"),
        ("Fits of the same points disagree\non what to buy", "budget, in operations",
         "best number of tokens per param"))
    left.plot(steps, trees.min(axis=0), color=COLOURS[1], linewidth=6, alpha=0.35)
    for order, losses in enumerate(trees, 1):
        left.plot(steps, losses, color=COLOURS[0], linewidth=1.2, alpha=0.4 + 0.1 * order)
    budgets, ratios = np.geomspace(1e18, 1e26, 33), []
    for law, dash, colour in zip(published.values(), ("-", "--", "-.", ":"), COLOURS):
        params, tokens = compute_optimal(law, budgets)
        ratios.append(tokens[-1] / params[-1])
        right.plot(budgets, tokens / params, dash, color=colour)
    right.plot(spent, 20, "k*", markersize=9)
    right.annotate("Chinchilla", (spent, 20), (0, 7), ha="center", fontsize=8,
                   textcoords="offset points")
    for axes in left, right:
        axes.set(xscale="log", yscale="log")
        axes.grid(color="0.9", linewidth=0.5)
        axes.set_title(axes.get_title(), fontsize=10)
    ticks = [tick for tick in (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5)
             if trees.min() * 0.9 < tick < trees.max() * 1.1]
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    _named_at_their_ends(left, trees[:, -1], [f"order {k}" for k in range(1, len(trees) + 1)],
                         len(trees) * COLOURS[:1], 0.06)
    _named_at_their_ends(right, ratios, [name.replace(", ", ",\n") for name in published], COLOURS,
                         0.12)
    return {"scaling_laws": figure}


def _named_at_their_ends(axes, ends, names, colours, gap):
    """The names of lines to the right of a logarithmic panel, each beside the end of its line."""
    low, high = np.log(axes.get_ylim())
    order = np.argsort(ends)
    seen = np.log(np.maximum(ends, np.exp(low)))  # a loss of 0 is below every panel
    heights = apart([(seen[i] - low) / (high - low) for i in order], gap, 1.0)
    for i, height in zip(order, heights):
        axes.annotate(names[i], (1.02, height), xycoords="axes fraction", fontsize=8, va="center",
                      color=colours[i])


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


def contrasts_figures(found):
    """What batches show of I, below its ceilings; and what encoders show, by their rank."""
    figure, left, right = _panels(7.5, 3.6, ("a batch of K shows no more than log K",
                                             "K", "nats, at the best critic"),
                                  ("eight numbers for a letter are nearly enough",
                                   "rank of the encoder", "share of I that is shown"))
    figure.suptitle("InfoNCE shows the mutual information I, if the batch is large", fontsize=11)
    sizes, ceilings = zip(*((row.batch_size, row.ceiling) for row in found.steps[0].batches))
    left.plot(sizes, ceilings, color="black", linewidth=1)
    left.annotate("log K", (sizes[4], ceilings[4]), (-4, 2), textcoords="offset points", ha="right")
    for steps, colour, marker in zip(found.steps, COLOURS, "os^"):
        _line(left, steps.batches, "batch_size", "shown", color=colour, marker=marker, markersize=4)
        left.axhline(steps.information, color=colour, linestyle="--", linewidth=1)
        left.annotate(f"{steps.name}: I = {steps.information:.2f}", (sizes[-1], steps.information),
                      (0, 4), textcoords="offset points", ha="right", color=colour, fontsize=8)
    left.set_xscale("log", base=2)
    left.set_ylim(0, 4)
    right.plot(*zip(*found.shares.items()), color=COLOURS[0], marker="o", markersize=4)
    right.axhline(1, color=COLOURS[0], linestyle="--", linewidth=1)
    for rank, share in found.shares.items():
        right.annotate(f"{share:.3f}", (rank, share), (3, -11), textcoords="offset points",
                       fontsize=8)
    right.set(xlim=(0, 31), ylim=(0, 1.05))
    for axes in left, right:
        axes.title.set_size(9)
        axes.grid(color="0.9", linewidth=0.5)
    return {"contrastive": figure}


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


def harvest_figures(found):
    """Precision against recall, round by round, from each start."""
    figure, axes = _panels(6.5, 4.4, (
        "A strict loop from a narrow start stops early, and a lax one collects too much",
        "recall: share of what is right that was collected",
        "precision: share of what was collected that is right"))
    axes.title.set_size(9)
    starts = dict.fromkeys((row.start, row.negatives) for row in found.rounds)
    for (start, negatives), colour in zip(starts, (*COLOURS, "0.35")):
        path = [row for row in found.rounds if (row.start, row.negatives) == (start, negatives)]
        block = start == "one block"
        _line(axes, path, "recall", "precision", color=colour, linewidth=1.2,
              linestyle="--" if block else "-", marker="s" if block else "o", markersize=4)
        axes.plot(path[0].recall, path[0].precision, "s" if block else "o", color="white",
                  markeredgecolor=colour, markersize=7)
        axes.annotate(f"{start} x{negatives}", (path[-1].recall, path[-1].precision),
                      (6, -22 if block and negatives > 5 else -11), fontsize=8, color=colour,
                      textcoords="offset points")
    axes.annotate("round 1 is white, x5 is five negatives\nfor each known line", (0.02, 0.03),
                  xycoords="axes fraction", fontsize=8, color="0.3")
    axes.grid(color="0.9", linewidth=0.5)
    axes.set(xlim=(0, 1.14), ylim=(0, 1.05))
    return {"harvest_rounds": figure}


def searches_figures(found):
    """What beams find, and what trees lose, by the names of their files."""
    return {"search_beams": beams_figure(found), "search_trees": trees_figure(found)}


def beams_figure(found):
    """Two panels against the width of a beam: the nats it lacks, and the letters of its words."""
    figure, left, right = _panels(7, 3.2, ("nats that beams lack", "width of the beam",
                                             "nats short, mean of 27 prompts"),
                                  ("letters of their words", "width of the beam",
                                   "mean letters, with the prompt"))
    for one, colour, marker in zip(found.strings, COLOURS, "os^"):
        widths = [beam.width for beam in one.beams]
        for axes, name in (left, "short"), (right, "letters"):
            numbers = [getattr(beam, name) for beam in one.beams]
            axes.plot(widths, numbers, color=colour, marker=marker, markersize=4)
        right.annotate(f"order {one.order}", (widths[-1], one.letters), (0, 5), ha="right",
                       textcoords="offset points", fontsize=8, color=colour)
        left.annotate(f"order {one.order}", (1, one.beams[0].short), (-6, 0), fontsize=8,
                      ha="right", va="center", textcoords="offset points", color=colour)
    for axes in left, right:
        axes.set_xscale("log", base=2)
        axes.grid(color="0.9", linewidth=0.5)
        axes.set(ylim=(0, None))
    left.set(xlim=(0.35, None))
    figure.suptitle("A wider beam finds likelier words, and so shorter ones", fontsize=10)
    return figure


def trees_figure(found):
    """Two panels of simulations: the regret of each rule on the lake, and what the chain needs."""
    figure, left, right = _panels(7, 3.2, ("the lake", "simulations in each cell",
                                             "regret, percent of V*"),
                                  ("a chain that misleads", "states of the chain",
                                   "simulations until UCT stays"))
    for tree, colour, marker, place in zip(found.trees, COLOURS, "os^D",
                                           ((-18, -12), (-60, -14), (4, 8), (4, -12))):
        lines = 100 * spread(np.array(tree.regrets), (0.0, 0.5, 1.0))
        _band(left, tree.simulations, lines, colour, None)
        left.plot(tree.simulations, lines[1], marker, color=colour, markersize=4)
        left.annotate(tree.rule, (tree.simulations[1], lines[1][1]), place, fontsize=8,
                      textcoords="offset points", color=colour)
    left.set_xscale("log", base=2)
    left.set(ylim=(-8, None))
    known = [(length, n) for length, n in found.chain if n is not None]
    right.plot(*zip(*known), color=COLOURS[0], marker="o", markersize=4)
    for length, n in found.chain:
        if n is None:
            right.annotate(f"more than {found.most:,}", (length, found.most), (-6, 0), ha="right",
                           va="center", textcoords="offset points", fontsize=8, color=COLOURS[1])
            right.plot(length, found.most, "^", color=COLOURS[1], markersize=7)
    right.set_yscale("log", base=2)
    for axes in left, right:
        axes.grid(color="0.9", linewidth=0.5)
    figure.suptitle("UCT needs thousands of simulations, and far more on a chain that misleads",
                    fontsize=10)
    return figure


def networks_figures(found):
    """Words by memory, and shares by hidden units, by the names of their files."""
    return {"network_words": memories_figure(found), "network_sizes": sizes_figure(found)}


def memories_figure(found):
    """Nats per character held out against the letters that are remembered."""
    figure, axes = _panels(6, 3.8, ("a longer memory hurts flat n-grams, and hardly a network",
                                    "letters remembered", "nats per character, held out"))
    letters, lines = [row.letters for row in found.memories], []
    for name, word, mark, colour in (("flat", "flat n-grams", "s", COLOURS[1]),
                                     ("tree", "a tree of n-grams", "^", COLOURS[0]),
                                     ("network", "network", "o", COLOURS[2])):
        costs = [getattr(row, name) for row in found.memories]
        axes.plot(letters, costs, marker=mark, color=colour)
        lines.append((costs[-1], word, colour))
    axes.set_xticks(letters)
    _light_grid(axes)
    low, high = axes.get_ylim()
    lines.sort()
    heights = apart([(cost - low) / (high - low) for cost, *_ in lines], 0.06, 1.0)
    for (_, word, colour), height in zip(lines, heights):
        axes.annotate(word, (1.01, height), xycoords="axes fraction", va="center", color=colour,
                      fontsize=9)
    return figure


def sizes_figure(found):
    """Two panels against hidden units: the shares of PPO, and that of DPO beside its table's."""
    figure, left, right = _panels(7, 3.4, (
        "PPO: 16 hidden units find both ways", "hidden units", "share of J*, or 0"),
        ("DPO: many units need a strong pull", "hidden units", "share of what there is to gain"))
    table, *networks = found.aligners
    for axes, rows, name, mark, colour in (
            (left, found.players, "lake", "o", COLOURS[0]),
            (left, found.players, "cliff", "s", COLOURS[1]),
            (right, networks, "weak", "o", COLOURS[2]),
            (right, networks, "strong", "^", COLOURS[0])):
        shares = np.fmax(0, np.array([getattr(row, name) for row in rows], float))
        worst, best = shares.min(axis=1), shares.max(axis=1)
        middle, places = (worst + best) / 2, np.arange(len(rows))
        _band(axes, places, (worst, middle, best), colour, name)
        axes.plot(places, middle, linestyle="", marker=mark, color=colour)
        at = 0 if axes is left else len(rows) - 1
        away = {"lake": (6, -14), "cliff": (6, 6), "weak": (-10, -4), "strong": (0, -14)}[name]
        axes.annotate(name + " pull" * (axes is right), (places[at], middle[at]), away,
                      textcoords="offset points", color=colour, fontsize=9,
                      ha="left" if axes is left else "right")
        axes.set_xticks(places, [str(row.hidden) for row in rows])
    for axes in left, right:
        _light_grid(axes)
    best = max(share or 0 for share in table.weak + table.strong)
    right.axhline(best, **OPTIMUM)
    right.annotate("table", (len(networks) - 1, best), (0, 3), ha="right", fontsize=9,
                   textcoords="offset points")
    for axes in left, right:
        axes.title.set_fontsize(10)
    return figure


def _light_grid(axes):
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
