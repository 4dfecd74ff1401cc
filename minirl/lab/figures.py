"""Figures of the experiments, with matplotlib (the extra `plot`), as PNG files.

They look like the pictures of the book (`minirl.lab.style`).  A title says what is found, and
it is worded so that it holds for each world, corpus and seed that a job may be asked for.
"""

import sys
from warnings import catch_warnings, filterwarnings

import numpy as np

from gridworld.figures import SIGN_NAMES, heat_map  # which says what to install
from matplotlib import rc_context
from matplotlib.ticker import (FuncFormatter, MaxNLocator, NullFormatter,
                               StrMethodFormatter)
from minirl.beyond.scaling import compute_optimal
from minirl.console import counted
from minirl.lab.summary import spread
from minirl.lab.style import (DASHES, GREY, INK, MARKERS, NAVY, OCHRE, PALETTE, RED, STYLE,
                                   TEAL, apart, headed, name_at_end, names_at_ends, panels, png)
from toy_lm.align import BETA

SHOWN_ANSWERS = ("reference", "descent, beta 1", "descent, beta 0.3", "descent, beta 0.1",
                 "own tables")
NOT_LEARNED = "reference", "optimum", "best_of_n"
STROKES = tuple(zip(PALETTE, DASHES, MARKERS))  # of the first, the second, … line
GLYPHS = dict(zip(MARKERS, "●■▲◆"))            # in front of a name, where lines lie on each other
NATS = "KL to the reference, nats per string"
AT_REST = {"aims at J*": {"marker": "o", "color": TEAL, "markersize": 5},
           "aims elsewhere": {"marker": "o", "color": RED, "markersize": 5,
                              "markerfacecolor": "white"},
           "does not rest": {"marker": "X", "color": OCHRE, "markersize": 6}}
WRITERS = {"reference": (GREY, "s", "■"), "optimum": (INK, "*", "★"), "ppo": (NAVY, "o", "●"),
           "rlhf": (RED, "^", "▲"), "dpo": (TEAL, "D", "◆")}
OPTIMUM = {"color": INK, "linestyle": (0, (6, 3)), "linewidth": 1}


def pictured(job, found):
    """All figures of a job in the one look: name of a file to the bytes of a PNG."""
    with rc_context(STYLE), catch_warnings():
        filterwarnings("ignore", "Glyph")  # of letters that a map's name has and the font has not
        figures = job.draw(sys.modules[__name__], found)
        return {name: png(figure) for name, figure in figures.items()}


# Worlds to draw.


def values_figures(found):
    """A heat map with all best moves and the learning curves, by the names of their files."""
    best, name, gamma = found.solution.optimum, found.name, f"γ = {found.settings.gamma:g}"
    moves = found.solution.best / found.solution.best.sum(axis=1, keepdims=True)
    heat = heat_map(found.grid, best.values, policy=moves, label="V*")
    heat.set_figwidth(max(heat.get_figwidth(), 6.0))
    symbols = found.grid.symbols
    signs = ", ".join(f"{sign} {word}" for sign, word in SIGN_NAMES.items() if sign in symbols)
    if not np.isfinite(best.values).all():
        signs += ", F never reached"
    runs = counted(found.curves[0].errors.shape[1], "run")
    nearest = min(found.curves, key=lambda curve: np.median(curve.errors[-1])).method
    return {f"{name}_values": headed(
        heat, f"{name}: the best policy is worth {_short(best.objective)} at {gamma}",
        f"V* of each cell and all best moves, exact; {signs}"),
        f"{name}_curves": headed(
            learning_curves(found.curves, optimum=best.objective),
            f"{name}: no learner ends nearer to Q* than {nearest}",
            f"median of {runs}, bars from 10 to 90 % of them; {gamma}, J* = "
            f"{_short(best.objective)}")}


def _short(number):
    """A number for people: four digits, with the minus of a sentence."""
    return f"{number:.4g}".replace("-", "−")


def learning_curves(curves, *, optimum):
    """Two panels, the distance to Q* and the value of the greedy policy, against steps.

    Each of the `values.ValueCurve`s is a line, the median of its runs, with bars from 10 % to 90 %
    of them.  Where a greedy policy never ends, at gamma 1, it has no value, and the line has a gap.
    J* is a dashed line.
    """
    figure, left, right = panels(3.4, 2)
    left.set(title="distance to Q*, ‖Q − Q*‖∞", xlabel="steps of each run")
    right.set(title="J of the greedy policy, exact", xlabel="steps of each run")
    lines = [spread(curve.values) for curve in curves]
    for place, (curve, values) in enumerate(zip(curves, lines)):
        _with_bars(left, curve.steps, spread(curve.errors), place, curve.method)
        _with_bars(right, curve.steps, values, place, curve.method)
    right.axhline(optimum, **OPTIMUM, label="optimum")
    left.axhline(0, **OPTIMUM, label="optimum")
    for axes in left, right:
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _name_learners(right, curves, lines, optimum)
    return figure


def policies_figures(found):
    """What is missing to J* against iterations, on a logarithmic scale.

    Each of the `policies.PolicyCurve`s is a line, the median of its runs, with bars from the worst
    to the best.  Where a policy has no J, the line has a gap.
    """
    curves, optimum = found.curves, found.problem.optimum
    figure, axes = panels(4.0)
    axes.set(xlabel="iteration", ylabel="J* − J, exact")
    lines = [optimum - spread(curve.values, (1.0, 0.5, 0.0)) for curve in curves]
    for place, (curve, missing) in enumerate(zip(curves, lines)):
        _with_bars(axes, curve.iterations, missing, place, curve.method)
    if any((optimum - curve.values > 0).any() for curve in curves):
        _log_scale(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _name_learners(axes, curves, lines)
    nearest = min(curves, key=lambda curve: np.nan_to_num(
        optimum - np.median(curve.values[-1]), nan=np.inf)).method
    return {f"{found.name}_policies": headed(
        figure, f"{found.name}: no learner ends nearer to J* than {nearest}",
        f"median, worst and best of {counted(curves[0].values.shape[1], 'run')}; J* = "
        f"{_short(optimum)}; an entropy bonus holds all but reinforce back in the first half")}


def _with_bars(axes, x, lines, place, label):
    """A line with bars, each where there are numbers; `lines` are low, middle and high."""
    colour, dash, marker = STROKES[place]
    low, middle, high = (np.where(np.isfinite(line), line, np.nan) for line in lines)
    x = np.asarray(x, float)
    axes.plot(x, middle, dash, color=colour, marker=marker, markersize=4, linewidth=1.4,
              markevery=(place, 4), label=label)
    seen = np.isfinite(low) & np.isfinite(high)
    beside = (place - 1.5) * np.ptp(x) / len(x) / 6  # so that no bar hides another
    axes.vlines((x + beside)[seen][::-2], low[seen][::-2], high[seen][::-2], color=colour,
                linewidth=1, alpha=0.6)


def _name_learners(axes, curves, lines, optimum=None):
    """The names of learners to the right of a panel, each with its marker, and J*."""
    ends, names, colours = [], [], []
    for curve, (_, middle, _), (colour, _, marker) in zip(curves, lines, STROKES):
        known = np.asarray(middle)[np.isfinite(middle)]
        ends.append(known[-1] if known.size else axes.get_ylim()[0])
        names.append(f"{GLYPHS[marker]} {curve.method}")
        colours.append(colour)
    if optimum is not None:
        ends, names, colours = [*ends, optimum], [*names, "J*"], [*colours, INK]
    names_at_ends(axes, ends, names, colours, gap=0.07)


def demo_figures(grids, language):
    """What the first learners reach, in one figure."""
    figure, left, right = panels(3.4, 2, width_ratios=(1, 1.15))
    methods = list(dict.fromkeys(row.method for row in grids))
    worlds = list(dict.fromkeys(row.world for row in grids))
    for world, (colour, _, marker), up in zip(worlds, STROKES, (0.14, -0.14)):
        rows = [row for row in grids if row.world == world]
        places = [methods.index(row.method) + up for row in rows]
        shares = [max(0.0, row.share) for row in rows]
        left.hlines(places, 0, shares, color=colour, linewidth=1.2)
        left.plot(shares, places, marker, color=colour, clip_on=False)
        name_at_end(left, 0, places[-1], f"{GLYPHS[marker]} {world}", colour, dx=4,
                    dy=9 if up > 0 else -9)
    left.set(title="two grids", xlabel="share of J*, or 0", xlim=(0, 1), ylim=(-0.6, 2.6),
             xticks=[0, 0.25, 0.5, 0.75, 1], xticklabels=["0", "¼", "½", "¾", "1"])
    left.set_yticks(range(len(methods)), methods)
    left.grid(axis="y", visible=False)
    known = [row for row in language.rows if row.kl is not None]
    best = max(row.kl for row in known) * 1.25 + 0.1
    J = {row.method: row.objective for row in known}["optimum"]
    right.plot([0, best], [J, J + language.beta * best], ":", color=GREY, linewidth=1.2)
    right.set(title=f"words: a nat costs β = {language.beta:g}", xlabel=NATS, ylabel="E[reward]",
              xlim=(-0.03, best))
    for row in known:
        colour, marker, _ = WRITERS[row.method]
        right.plot(row.kl, row.reward, marker, color=colour, clip_on=False,
                   markersize=11 if marker == "*" else 6)
    name_at_end(right, 0, J, "J = J*", GREY, dx=8, dy=-3, rotation=12)
    looks = [WRITERS[row.method] for row in known]
    names_at_ends(right, [row.reward for row in known],
                  [f"{sign} {row.method}" for (*_, sign), row in zip(looks, known)],
                  [colour for colour, *_ in looks], gap=0.085)
    learned = [row for row in known if row.method not in ("reference", "optimum")]
    top = max(learned, key=lambda row: row.objective, default=None)
    title = ("No learner of words has a J" if top is None else
             f"No learner of words gains more than {top.method}: {top.share:.1%} of what there is")
    return {"demo": headed(figure, title, f"left: 1 − (J* − J)/|J*| of the final policy, "
                           f"γ = 0.99; right: all exact, {language.pairs:,} preferences")}


# Estimates.


def estimators_figures(found):
    """GAE and the surrogate, by the names of their files."""
    best = min(found.gae, key=lambda row: row[1].bias**2 + row[1].variance)[0]
    return {"estimators_gae": headed(
        gae_figure(found), f"With wrong values, and {found.episodes} episodes, λ = {best:g} is "
        "best", "GAE on thin ice; squared error of the gradient of J, exact, from all episodes "
        "that can happen; values are half of the true ones"),
        "estimators_surrogate": headed(
            surrogate_figure(found),
            "Far from the old policy the surrogate promises what nobody can earn",
            "the cliff, from the uniform policy along the gradient, γ = 0.99; J, and what an "
            "endless batch would promise, exact")}


def gae_figure(found):
    """Squared bias, variance and their sum against λ, for the wrong values."""
    weights, wrong, _ = zip(*found.gae)
    bias, variance = np.array([(row.bias**2, row.variance) for row in wrong]).T
    figure, axes = panels(3.6)
    axes.set(xlabel="λ: from one step (0) to the episode's end (1)",
             ylabel="squared error of the gradient")
    lines = {"bias²": bias, "variance": variance, "error, their sum": bias + variance}
    for line, (colour, dash, marker) in zip(lines.values(), STROKES):
        axes.plot(weights, line, dash, color=colour, marker=marker)
    axes.set(ylim=(0, None), xlim=(-0.02, 1.02))
    names_at_ends(axes, [line[-1] for line in lines.values()], [*lines], PALETTE, gap=0.07)
    best = (bias + variance).argmin()
    axes.plot(weights[best], (bias + variance)[best], "o", color=TEAL, markersize=12,
              markerfacecolor="none")
    name_at_end(axes, weights[best], (bias + variance)[best], f"least at {weights[best]:g}", TEAL,
                dx=0, dy=16, ha="center")
    return figure


def surrogate_figure(found):
    """J and its two surrogates along a line of policies; what lies above 0 is cut."""
    figure, axes = panels(3.8)
    top = 150
    axes.set(xlabel="distance in logits, x", ylabel="J, and what is promised",
             ylim=(1.04 * found.surrogate[0].objective, top))
    last = found.surrogate[-1]
    for field, (colour, dash, _) in zip(("objective", "surrogate", "clipped"), STROKES):
        _line(axes, found.surrogate, "step", field, dash, color=colour)
    axes.axhline(0, color=INK, linewidth=1)
    name_at_end(axes, last.step, 0, "0: every step costs 1", INK, dx=0, dy=8, ha="right")
    name_at_end(axes, last.step, last.objective, "J", NAVY)
    name_at_end(axes, last.step, last.clipped, "clipped,\nε = 0.2", TEAL)
    leaving = next(point for point in found.surrogate if point.surrogate > top)
    name_at_end(axes, leaving.step, top, f"surrogate, up to {last.surrogate:+,.0f}", RED, dy=-8,
                dx=6)
    return figure


def divergences_figures(found):
    """The mean of each estimate, and where its gradient points, in one figure."""
    rows = list(dict.fromkeys((row.form, row.samples) for row in found.estimates))
    names = list(dict.fromkeys(row.name for row in found.estimates))
    figure, left, right = panels(4.6, 2, sharey=True)
    left.set(title="mean, in units of the KL", xlabel="1 is right")
    right.set(title="cosine of its gradient with ∇KL", xlabel="1 is right")
    for axes in left, right:
        axes.axvline(1, color=INK, linewidth=1)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.grid(axis="y", visible=False)
        for line in 2.5, 5.5:
            axes.axhline(line, color=GREY, linewidth=0.6)
    for name, (colour, _, marker), up in zip(names, STROKES, (-0.24, 0, 0.24)):
        for row in found.estimates:
            if row.name == name:
                place = rows.index((row.form, row.samples)) + up
                true = found.row_kl if row.form == "row" else found.string_kl
                left.plot(row.mean / true, place, marker, color=colour)
                if row.cosine is None:
                    right.plot(0, place, marker, color=colour, markerfacecolor="white")
                    name_at_end(right, 0, place, "no gradient", colour, dy=0)
                else:
                    right.plot(row.cosine, place, marker, color=colour)
        name_at_end(right, 1.12, up * 1.5, f"{GLYPHS[marker]} {name}", colour)
    left.set_yticks(range(len(rows)), [f"{form}, {samples}" for form, samples in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    right.set(xlim=(-1.05, 1.08), xticks=[-1, 0, 1])
    return {"kl": headed(
        figure, "The k1 of a policy's own samples has the right mean and no gradient",
        "each estimate of KL(π‖π_ref), exact, from all strings of two letters; π's own samples, "
        "another's as they are, and weighted")}


# A language of two letters.


def objectives_figures(found, families, beta):
    """Where the methods rest, and what losses want of a pair, by the names of their files."""
    aiming = sum(rest.aims for rest in found.rests)
    return {"objectives_rests": headed(
        rests_figure(found, families, beta),
        f"{aiming} of {len(found.rests) - 1} methods aim at J*; most others rest close to the path "
        "of optima",
        f"exact, β = {beta:g}; line: path of optima, dotted: J = J*.  ● aims at J*   ○ aims "
        "elsewhere   ✖ does not rest"),
        "objectives_margins": headed(
            margins_figure(found),
            "DPO wants what the rater's rewards differ by, these others do not",
            "the margin at which the expected loss of a pair is least, exact")}


def rests_figure(found, families, beta):
    """A panel per family: reward against KL where each method rests, below the path of optima.

    What lies beyond a panel is drawn at its edge.  A nat costs `beta` along the line J = J*.
    """
    figure, *all_axes = panels(9, 2, rows=3, sharex=True, sharey=True)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    kl, reward = np.transpose(found.frontier)
    for axes, (heading, rests) in zip(all_axes, families.items()):
        axes.set(xlim=(0, 1.25), ylim=(-0.3, 0.65))
        axes.set_title(heading.rstrip(":"), fontsize=8.5)
        axes.plot(kl, reward, color=INK, linewidth=1)
        axes.plot(kl, found.optimum + beta * kl, ":", color=GREY, linewidth=1.2)
        axes.tick_params(labelsize=7.5)
        _named_at_the_side(axes, sorted(rests, key=lambda rest: (rest.reward, -rest.kl)), 0.068)
    for axes in all_axes[::2]:
        axes.set_ylabel("E[reward]", fontsize=8.5)
    for axes in all_axes[4:]:
        axes.set_xlabel(NATS, fontsize=8.5)
    return figure


def _named_at_the_side(axes, rests, gap):
    """Marks of methods that rest, from low to high, and their names to the right of the panel."""
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    heights = apart([(rest.reward - bottom) / (top - bottom) for rest in rests], gap, 0.97)
    for rest, height in zip(rests, heights):
        beyond = f", KL {rest.kl:.1f}" if rest.kl > right else ""
        x = min(rest.kl, right)
        mark = list(AT_REST.values())[0 if rest.aims else 1 if rest.at_rest else 2]
        axes.plot(x, rest.reward, clip_on=False, zorder=3, linestyle="", **mark)
        _leader(axes, x, rest.reward, height, rest.method + beyond)


def _leader(axes, x, y, height, name, colour=INK):
    """A name at this height to the right of a panel, and a thin line from it to the point."""
    axes.annotate(name, (x, y), (1.04, height), fontsize=7.5, textcoords="axes fraction",
                  va="center", color=colour, arrowprops={
                      "arrowstyle": "-", "color": GREY, "linewidth": 0.4, "relpos": (0, 0.5),
                      "shrinkA": 0, "shrinkB": 2})


def margins_figure(found):
    """The margin that each convex loss wants against the share of comparisons that y⁺ wins."""
    figure, axes = panels(4.0)
    axes.set(xlabel="share of the comparisons that y⁺ wins",
             ylabel="wanted margin, β (h⁺ − h⁻)", xlim=(0, 1))
    colours = [*PALETTE, GREY, INK]
    dashes = [*DASHES, "-", "--"]
    for (name, points), colour, dash in zip(found.wanted.items(), colours, dashes):
        share, margin = np.transpose(points)
        mirrored = np.concatenate([1 - share[::-1], share]), np.concatenate([-margin[::-1], margin])
        axes.plot(*mirrored, dash, color=colour, linewidth=2.4 if name == "dpo" else 1.4)
    names_at_ends(axes, [points[-1][1] for points in found.wanted.values()], [*found.wanted],
                  colours, gap=0.06)
    return figure


# One language model, aligned in every way.


def alignment_figures(found):
    """The frontier and the proxies, by the names of their files."""
    far = [row.method for row in found.rows if not _near(row)]
    falls = sum(proxy.optima[-1].gold < max(point.gold for point in proxy.optima)
                for proxy in found.proxies if proxy.optima)
    known = [row for row in found.rows if _near(row) and row.method not in NOT_LEARNED]
    best = max(known, key=lambda row: row.objective, default=None)
    title = ("No method is close to the reference" if best is None else
             f"No method gains more than {best.method}: {best.share:.1%} of what there is")
    beyond = f"; beyond three nats or without an end: {', '.join(far)}" if far else ""
    return {"alignment_frontier": headed(
        frontier_figure(found), title, "exact.  Dotted: policies as good as the optimum, where a "
        f"nat costs β = {BETA:g}{beyond}"),
        "alignment_proxies": headed(
            proxies_figure(found), f"The truth falls again under {falls} of "
            f"{len(found.proxies)} proxies, and no proxy says so",
            "more than the reference earns, exact; lines: the proxy's optima, ○ where the truth "
            "is highest; dotted and dash-dotted: best of n")}


def frontier_figure(found):
    """Reward against KL, up to three nats: the frontier, the best of n, and every method."""
    figure, axes = panels(6.2)
    rows = sorted((row for row in found.rows if _near(row) and row.method != "best_of_n"),
                  key=lambda row: (row.reward, -row.kl))
    path = [found.rows[0], *filter(_near, found.frontier)]
    best = list(filter(_near, found.best_of_n))
    _line(axes, path, "kl", "reward", color=INK, linewidth=1.2, label="path of optima")
    _line(axes, best, "kl", "reward", "--", color=NAVY, marker=".", linewidth=1.2,
          label="best of n")
    low, high = (edge(point.reward for point in (*rows, *path, *best)) for edge in (min, max))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    left, right = -0.05, 0.1 + max(1.3 * path[-1].kl, *(point.kl for point in (*rows, *best)))
    axes.set(xlabel=NATS, ylabel="E[reward]")
    optimum = next((row for row in found.rows if row.method == "optimum"), None)
    if optimum is not None:
        kl = np.array([0, right])
        axes.plot(kl, optimum.objective + BETA * kl, ":", color=GREY, label="J = J*")
        name_at_end(axes, 0, optimum.objective, "J = J*", GREY, dx=-2, dy=20)
    axes.set(ylim=(low, high), xlim=(left, right))
    for points, name, colour in (path, "path of optima", INK), (best, "best of n", NAVY):
        name_at_end(axes, points[-1].kl, points[-1].reward, name, colour, zorder=5,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    heights = apart([(row.reward - low) / (high - low) for row in rows], 0.0345, 0.99)
    for row, height in zip(rows, heights):
        close = (row.share or 0) > 0.99
        look = ({"marker": "*", "color": INK, "markersize": 11} if row.method == "optimum" else
                {"marker": "s", "color": GREY} if row.method == "reference" else
                {"marker": "o", "color": TEAL} if close else
                {"marker": "D", "color": RED, "markerfacecolor": "white"})
        axes.plot(row.kl, row.reward, linestyle="", label=row.method, **look)
        _leader(axes, row.kl, row.reward, height, row.method, look["color"])
    return figure


def _near(point):
    return point.kl is not None and point.kl < 3


def proxies_figure(found):
    """One panel a proxy: what it promises and what is true, against the KL."""
    figure, *axes = panels(3.6, len(found.proxies), sharex=True, sharey=True)
    for panel, proxy in zip(axes, found.proxies):
        panel.set_title(proxy.name.replace(" of ", "\nof ").replace(" with", "\nwith"), fontsize=9)
        panel.set_xlabel("KL, nats per string")
        for points, dashes, who in ((proxy.optima, ("-", "--"), "optima"),
                                    (proxy.best_of_n, (":", "-."), "best of n")):
            if points:
                _line(panel, points, "kl", "proxy", dashes[0], color=OCHRE, linewidth=1.4,
                      label=f"proxy, {who}")
                _line(panel, points, "kl", "gold", dashes[1], color=NAVY, linewidth=1.4,
                      label=f"truth, {who}")
        if proxy.optima:
            last = proxy.optima[-1]
            over = last.gold > last.proxy
            name_at_end(panel, last.kl, last.proxy, "promise", OCHRE, dx=4 if over else -14,
                        dy=-62 if over else 5, ha="right")
            name_at_end(panel, last.kl, last.gold, "truth", NAVY, dx=-16 if over else -6,
                        dy=0 if over else -14, ha="right")
            top = max(proxy.optima, key=lambda point: point.gold)
            panel.plot(top.kl, top.gold, "o", color=NAVY, markerfacecolor="white", markersize=8,
                       label="peak")
    axes[0].set_xscale("symlog", linthresh=1)
    axes[0].set_xticks([0, 0.5, 1, 3, 10], ["0", "0.5", "1", "3", "10"])
    axes[0].set_xlim(left=-0.05)
    axes[0].margins(y=0.12)
    axes[0].minorticks_off()
    axes[0].set_ylabel("more than the reference")
    return figure


# Part 5.


def contrasts_figures(found):
    """What batches show of I, below its ceilings; and what encoders show, by their rank."""
    return {"contrastive": headed(
        contrasts_figure(found), "A batch of K shows at most log K of the mutual information",
        "nats, mean over all batches at the best critic, exact; the rank is that of a dual "
        "encoder, the best of 13 fits")}


def contrasts_figure(found):
    """Two panels: bounds against the size of a batch, and shares against the rank."""
    figure, left, right = panels(3.8, 2, width_ratios=(1.25, 1))
    left.set(title="what is shown of I (dashed)", xlabel="size of the batch, K", ylabel="nats")
    right.set(title="letters: share of I that is shown", xlabel="numbers for each letter (rank)")
    sizes, ceilings = zip(*((row.batch_size, row.ceiling) for row in found.steps[0].batches))
    left.plot(sizes, ceilings, color=INK, linewidth=1.2)
    name_at_end(left, sizes[4], ceilings[4], "log K", INK, dx=-6, dy=6, ha="right")
    for steps, (colour, _, marker), dy in zip(found.steps, STROKES, (8, -18, 8)):
        _line(left, steps.batches, "batch_size", "shown", color=colour, marker=marker, markersize=4)
        left.axhline(steps.information, color=colour, linestyle="--", linewidth=1)
        name_at_end(left, sizes[-1], steps.information,
                    f"{steps.name}: I = {steps.information:.2f}", colour, dx=0, dy=dy, ha="right")
    left.set_xscale("log", base=2)
    left.set(ylim=(0, 4), xticks=sizes[::3], xticklabels=[str(size) for size in sizes[::3]])
    right.plot(*zip(*found.shares.items()), color=NAVY, marker="o", markersize=4)
    right.axhline(1, color=NAVY, linestyle="--", linewidth=1)
    for rank, share in found.shares.items():
        name_at_end(right, rank, share, f"{share:.3f}", NAVY, dx=3, dy=-9)
    right.set(xlim=(0, 31), ylim=(0, 1.05))
    return figure


def attempts_figures(found):
    """Attempts against training, and what checks and names buy, by the names of their files."""
    return {"inference_attempts": headed(
        attempts_figure(found), "A trained table wins with few attempts, the reference with many",
        "share of 26 prompts that is right: by one of k attempts (lines), by a majority of k "
        "(dotted); exact for each policy"),
        "inference_checks": headed(
            checks_figure(found), "Checking steps buys more than checking words; long skills grow "
            "by more", "left: most draws of a step, 1 to 4; right: models that remember five "
            "letters of names; (next 1)^16 if letters were independent")}


def attempts_figure(found):
    """pass@k against k, with the majority votes dotted: where training wins, and where it loses."""
    figure, axes = panels(4.2)
    attempts = 2.0 ** np.arange(len(found.answers[0].passes))
    ends, names, colours = [], [], []
    for run in found.runs:
        axes.plot(attempts, run.passes, color=GREY, linewidth=0.7, alpha=0.6)
    shown = {row.policy: row for row in found.answers}
    for name, look in zip(SHOWN_ANSWERS, [(INK, "o"), *((c, m) for c, _, m in STROKES)]):
        if name in shown:
            row, (colour, marker) = shown[name], look
            axes.plot(attempts, row.passes, color=colour, marker=marker, clip_on=False)
            axes.plot(attempts[:len(row.majorities)], row.majorities, ":", color=colour,
                      linewidth=1.4)
            ends.append(row.passes[0])
            names.append(name.replace("beta", "β ="))
            colours.append(colour)
    ends.append(min(run.passes[0] for run in found.runs))
    axes.set(ylim=(0, 1.03), xlim=(1, attempts[-1]), xscale="log", xlabel="attempts k")
    axes.set_xticks(attempts, [f"{k:.0f}" for k in attempts])
    axes.minorticks_off()
    axes.set_ylabel("share of prompts that is right")
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.tick_params(axis="y", pad=10)
    names_at_ends(axes, ends, [*names, "ppo, each run"], [*colours, GREY], left=True)
    return figure


def checks_figure(found):
    """Two panels: clean words against draws, and letters ahead against letters of training."""
    figure, left, right = panels(3.6, 2)
    left.set(title="chance of a word without a wrong step", xlabel="draws per word")
    right.set(title="chance that the next letters are all right",
              xlabel="letters of names that it learned from")
    for field, (colour, _, marker), name, place, (dx, dy) in (
            ("clean", STROKES[2], "steps checked", 2, (-22, 9)),
            ("stopping", STROKES[1], "whole words", 1, (8, -9))):
        left.plot(*zip(*((row.draws, getattr(row, field)) for row in found.checks)), color=colour,
                  marker=marker, markersize=4)
        row = found.checks[place]
        name_at_end(left, row.draws, getattr(row, field), name, colour, dx=dx, dy=dy,
                    ha="right" if dx < 0 else "left")
    for row in found.checks[:4]:
        name_at_end(left, row.draws, row.clean, f"{row.tries}", INK, dx=-5, dy=6, ha="right")
    letters = [row.letters for row in found.emergence]
    lines = dict(zip(("next 1", "next 4", "next 16"),
                     zip(*(row.chances for row in found.emergence))))
    for chances, (colour, _, marker) in zip(lines.values(), STROKES):
        right.plot(letters, chances, color=colour, marker=marker, markersize=4)
    right.plot(letters, [row.power for row in found.emergence], ":", color=GREY)
    name_at_end(right, letters[1], found.emergence[1].power, "(next 1)^16", GREY, dx=5, dy=-6)
    _log_scale(right, "x")
    _log_scale(right, "y")
    names_at_ends(right, [chances[-1] for chances in lines.values()], [*lines], PALETTE, gap=0.07)
    left.set(ylim=(0.3, 1.06))
    return figure


def searches_figures(found):
    """What beams find, and what trees lose, by the names of their files."""
    return {"search_beams": headed(
        beams_figure(found), "A wider beam finds likelier words, and so shorter ones",
        "left: log π that the beam's words lack to the likeliest, mean of 27 prompts; models of "
        "the Unicode words"),
        "search_trees": headed(
            trees_figure(found), "A tree search is as good as its prior, and UCT can be misled",
            f"left: mean over the cells; median, worst and best of "
            f"{counted(len(found.trees[0].regrets[0]), 'seed')}; right: the first power of 2 at "
            "which it stays")}


def beams_figure(found):
    """Two panels against the width of a beam: the nats it lacks, and the letters of its words."""
    figure, left, right = panels(3.5, 2)
    left.set(title="nats short of the likeliest word", xlabel="width of the beam")
    right.set(title="letters of the words found", xlabel="width of the beam")
    for one, (colour, dash, marker) in zip(found.strings, STROKES):
        widths = [beam.width for beam in one.beams]
        for axes, name in (left, "short"), (right, "letters"):
            numbers = [getattr(beam, name) for beam in one.beams]
            axes.plot(widths, numbers, dash, color=colour, marker=marker, markersize=4)
    for axes in left, right:
        axes.set_xscale("log", base=2)
        axes.set(ylim=(0, None), xticks=widths, xticklabels=[str(width) for width in widths])
    names_at_ends(right, [one.letters for one in found.strings],
                  [f"{GLYPHS[marker]} order {one.order}" for one, (*_, marker) in zip(found.strings,
                                                                                    STROKES)],
                  PALETTE, gap=0.07)
    return figure


def trees_figure(found):
    """Two panels of simulations: the regret of each rule on the lake, and what the chain needs."""
    figure, left, right = panels(3.6, 2, width_ratios=(1.3, 1))
    left.set(title="the lake: regret, percent of V*", xlabel="simulations in each cell")
    right.set(title="a chain that misleads:\nsimulations until UCT stays",
              xlabel="states of the chain")
    middles = []
    for place, tree in enumerate(found.trees):
        low, middle, high = 100 * spread(np.array(tree.regrets), (0.0, 0.5, 1.0))
        colour, dash, marker = STROKES[place]
        left.plot(tree.simulations, middle, dash, color=colour, marker=marker, markersize=4)
        left.vlines(np.array(tree.simulations) * 1.06**(place - 1.5), low, high, color=colour,
                    linewidth=1, alpha=0.6)
        middles.append(middle[-1])
    left.set_xscale("log", base=2)
    simulations = found.trees[0].simulations
    left.set(xticks=simulations, xticklabels=[str(n) for n in simulations])
    names_at_ends(left, middles, [f"{GLYPHS[look[2]]} {tree.rule}" for tree, look in
                                  zip(found.trees, STROKES)], PALETTE, gap=0.075)
    known = [(length, n) for length, n in found.chain if n is not None]
    right.plot(*zip(*known), color=NAVY, marker="o", markersize=4)
    beyond = [length for length, n in found.chain if n is None]
    right.plot(beyond, [found.most] * len(beyond), "^", color=RED, markersize=7)
    name_at_end(right, beyond[0], found.most, f"more than {found.most:,}", RED, dx=-8, ha="right")
    right.set_yscale("log", base=2)
    powers = [2**k for k in range(2, 17, 2) if 2**k <= 2 * found.most]
    right.set_yticks(powers, [f"{power:,}" for power in powers])
    return figure


def laws_figures(found, published, spent):
    """The losses of n-grams against data, and tokens per param by the `published` laws."""
    name = "Unicode names" if found.corpus is None else found.corpus
    last = found.parts[-1]
    return {"scaling_laws": headed(
        laws_figure(found, published, spent),
        f"Order {last.tree_order} is the best of six with all the data, and order "
        f"{found.parts[0].tree_order} with the least",
        f"left: {name}, trees of order 1 to 6, the best of them as a band; right: laws that were "
        "fitted to the same models")}


def laws_figure(found, published, spent):
    """Two panels: the losses of all orders, and the best tokens per param by `published` laws.

    The second panel has Chinchilla, which `spent` so many operations, as a star.  Trees are lines
    in shades, from order 1 to 6, and the best of all a band; laws differ in their dashes too.
    """
    steps = np.array([part.steps for part in found.parts])
    trees = np.array([part.tree for part in found.parts]).T
    figure, left, right = panels(3.8, 2)
    left.set(title="nats per held-out character", xlabel="characters that were counted")
    right.set(title="best number of tokens per param", xlabel="budget, in operations")
    left.plot(steps, trees.min(axis=0), color=OCHRE, linewidth=7, alpha=0.45)
    for order, losses in enumerate(trees, 1):
        left.plot(steps, losses, color=NAVY, linewidth=1.2, alpha=0.4 + 0.1 * order)
    budgets, ratios = np.geomspace(1e18, 1e26, 33), []
    for law, (colour, dash, _) in zip(published.values(), STROKES):
        params, tokens = compute_optimal(law, budgets)
        ratios.append(tokens[-1] / params[-1])
        right.plot(budgets, tokens / params, dash, color=colour)
    right.plot(spent, 20, "*", color=INK, markersize=11)
    name_at_end(right, spent, 20, "Chinchilla", INK, dx=0, dy=11, ha="center")
    for axes in left, right:
        _log_scale(axes, "x")
        _log_scale(axes, "y")
    ticks = [tick for tick in (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5)
             if trees.min() * 0.9 < tick < trees.max() * 1.1]
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    names_at_ends(left, trees[:, -1], [f"order {k}" for k in range(1, len(trees) + 1)],
                  len(trees) * (NAVY,), gap=0.07)
    right.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    right.minorticks_off()
    names_at_ends(right, ratios, [name.replace(", ", ",\n") for name in published], PALETTE,
                  gap=0.14)
    return figure


def harvest_figures(found):
    """Precision against recall, round by round, from each start."""
    return {"harvest_rounds": headed(
        harvest_figure(found),
        "Few negatives collect too much; a narrow start stops early if it is strict",
        "open: round 1 of 5; ×5: five negatives for each of 100 known lines; names of "
        "mathematical characters among all names")}


def harvest_figure(found):
    """The path of each start, from a first round that is drawn open."""
    figure, axes = panels(4.4)
    axes.set(xlabel="recall: share of what is right that was collected",
             ylabel="precision: share of it that is right", xlim=(0, 1.16),
             ylim=(0.95 * min(row.precision for row in found.rounds), 1.06),
             xticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
    starts = dict.fromkeys((row.start, row.negatives) for row in found.rounds)
    for (start, negatives), colour in zip(starts, (NAVY, TEAL, OCHRE, RED, INK)):
        path = [row for row in found.rounds if (row.start, row.negatives) == (start, negatives)]
        block = start == "one block"
        dash, marker = ("--", "s") if block else ("-", "o")
        _line(axes, path, "recall", "precision", dash, color=colour, linewidth=1.4, marker=marker,
              markersize=4)
        axes.plot(path[0].recall, path[0].precision, marker, color="white", markeredgecolor=colour,
                  markersize=8)
        name_at_end(axes, path[-1].recall, path[-1].precision, f"{start} ×{negatives}", colour,
                    dx=6, dy=9 if block and negatives > 5 else -8)
    return figure


def networks_figures(found):
    """Words by memory, and shares by hidden units, by the names of their files."""
    return {"network_words": headed(
        memories_figure(found), "A longer memory hurts flat n-grams, and hardly a network",
        "Unicode words; a tree falls back on shorter memories; the network has 64 "
        "hidden units"),
        "network_sizes": headed(
            sizes_figure(found), "Sixteen hidden units find both ways; on preferences many "
            "need a strong pull",
            f"worst, middle and best of {counted(found.runs, 'run')}; left: PPO from row and "
            f"column; right: DPO from {found.pairs:,} pairs")}


def memories_figure(found):
    """Nats per character held out against the letters that are remembered."""
    figure, axes = panels(3.8)
    axes.set(xlabel="letters remembered", ylabel="nats per character, held out")
    letters = [row.letters for row in found.memories]
    looks = {"flat": ("flat n-grams", STROKES[1]), "network": ("network", STROKES[0]),
             "tree": ("a tree of n-grams", STROKES[2])}
    for name, (_, (colour, dash, marker)) in looks.items():
        axes.plot(letters, [getattr(row, name) for row in found.memories], dash, color=colour,
                  marker=marker)
    axes.set_xticks(letters)
    names_at_ends(axes, [getattr(found.memories[-1], name) for name in looks],
                  [word for word, _ in looks.values()], [look[0] for _, look in looks.values()],
                  gap=0.07)
    return figure


def sizes_figure(found):
    """Two panels against hidden units: the shares of PPO, and that of DPO beside its table's."""
    figure, left, right = panels(3.5, 2)
    left.set(title="PPO: share of J*, or 0", xlabel="hidden units")
    right.set(title="DPO: share of what there is to gain", xlabel="hidden units")
    table, *networks = found.aligners
    for axes, rows, name, (colour, dash, marker) in (
            (left, found.players, "lake", STROKES[0]), (left, found.players, "cliff", STROKES[1]),
            (right, networks, "weak", STROKES[2]), (right, networks, "strong", STROKES[0])):
        shares = np.fmax(0, np.array([getattr(row, name) for row in rows], float))
        worst, best = shares.min(axis=1), shares.max(axis=1)
        middle, places = (worst + best) / 2, np.arange(len(rows))
        axes.plot(places, middle, dash, color=colour, marker=marker)
        axes.vlines(places, worst, best, color=colour, linewidth=1, alpha=0.6)
        at = 0 if axes is left else len(rows) - 1
        away = {"lake": (6, -11), "cliff": (6, 9), "weak": (-10, -8), "strong": (0, -10)}[name]
        name_at_end(axes, places[at], middle[at], name + " pull" * (axes is right), colour,
                    dx=away[0], dy=away[1], ha="left" if axes is left else "right")
        axes.set_xticks(places, [str(row.hidden) for row in rows])
    best = max(share or 0 for share in table.weak + table.strong)
    right.axhline(best, **OPTIMUM)
    name_at_end(right, len(networks) - 1, best, "table", INK, dx=0, dy=7, ha="right")
    return figure


def _line(axes, points, x, y, *form, **style):
    """A line through points, which have fields of these names."""
    axes.plot(*zip(*((getattr(point, x), getattr(point, y)) for point in points)), *form, **style)


def _log_scale(axes, which):
    """A logarithmic axis, "x" or "y", whose numbers need no formulas."""
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    axis.set_minor_formatter(NullFormatter())


def _power(value):
    """A power of ten as one reads it.

    >>> [_power(value) for value in (0.01, 1000, 1e-06, 1e+18)]
    ['0.01', '1,000', '10⁻⁶', '10¹⁸']
    """
    if 1e-3 < value < 1e5:
        return f"{value:,g}"
    return "10" + f"{np.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
