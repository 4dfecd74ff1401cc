"""What the experiments print, and write as JSON."""

import json
import textwrap
from itertools import zip_longest
from math import exp

import numpy as np

from gridworld.draw import policy_text, side_by_side, values_text, visits_text
from minirl.lab import alignment, divergences, objectives
from minirl.lab.main_job import GAMMA, GRIDS, PSEUDO_COUNT
from minirl.lab.policies import share
from minirl.lab.values import spread
from toy_lm.rewards import LETTER

WIDTH = 80
MODEL = 8, 9, 14, 12, 7, 8, 8  # columns of the table of reward models


def _line(words, widths):
    """Words in columns: text to the left where the width is negative, else to the right."""
    return " ".join(word.ljust(-width) if width < 0 else word.rjust(width)
                    for word, width in zip(words, widths)).rstrip()


def _number(value, digits):
    return "null" if value is None else f"{value:.{digits}f}"


def _readable(word):
    """A string for a terminal: what is not for reading, such as an escape, as a question mark."""
    return "".join(c if c.isprintable() else "?" for c in word)


def grid_text(rows):
    """The table of a world you can draw, and the learned policies over their maps."""
    widths = (-15, -10, 8, 8, 6, 8, 9, 7)
    lines = [f"A world you can draw: exact value of the final policy, gamma {GAMMA}", "",
             _line(("world", "method", "value", "optimum", "share", "gap", "steps", "seconds"),
                   widths)]
    for row in rows:
        lines.append(_line((row.world, row.method, f"{row.value:.4f}", f"{row.optimum:.4f}",
                            f"{row.share:.4f}", f"{row.gap:.4f}", f"{row.steps:,}",
                            f"{row.seconds:.1f}"), widths))
    lines += ["",
              "Value and optimum are from the start; share is 1 - (J* - J)/|J*|, gap is J* - J.",
              "q_learning is greedy on the mean of 16 tables; reinforce and ppo are evaluated",
              "as they are, stochastic."]
    for world, grid in GRIDS.items():
        drawings = {row.method: policy_text(grid, row.policy) for row in rows if row.world == world}
        lines += ["", f"{world}: the likeliest move in each cell", "", side_by_side(drawings)]
    return "\n".join(lines)


def language_text(result, *, beta, pairs, file):
    """The table of a world you can read, and ten words drawn from each policy.

    `file` is the name of the corpus file, or None for the default corpus.
    """
    corpus = result.corpus
    source = file or "the words in Unicode 3.2 character names"
    held = (f"{corpus.nll_heldout:.4f} on every tenth, held out (perplexity "
            f"{exp(corpus.nll_heldout):.2f})" if corpus.nll_heldout is not None
            else "no held-out items in a corpus of fewer than ten")
    widths = (-10, 9, 9, 10, 8, 12, 8)
    lines = [f"A world you can read: {corpus.items:,} items, {corpus.symbols} symbols, from",
             f"{source}", "",
             f"bigram, pseudo-count {PSEUDO_COUNT}, nats per character, end symbols counted:",
             f"  {corpus.nll_train:.4f} on training items (perplexity {exp(corpus.nll_train):.2f})",
             f"  {held}",
             f"  {corpus.nll_all:.4f} fitted to all items: the reference below", "",
             f"reward: which is easier to say?  J = E[reward] - {beta:g} KL to the reference", "",
             _line(("method", "reward", "KL", "J", "share", "mean length", "seconds"), widths)]
    for row in result.rows:
        lines.append(_line((row.method, _number(row.reward, 4), _number(row.kl, 4),
                            _number(row.objective, 4), _number(row.share, 4),
                            _number(row.mean_length, 2), f"{row.seconds:.2f}"), widths))
    lines += ["", "All exact, by linear solves: KL in nats a string, share of J* - J(ref), length",
              f"in letters.  rlhf and dpo saw {pairs:,} preferences over strings of the",
              f"reference; in {result.identical:,} of them the two strings were the same."]
    if not result.learned_optimum:
        lines.append("The learned reward has no optimum at this beta; PPO went on climbing it.")
    if file:
        lines.append(f"The bonus of {LETTER} a letter was fitted to the default corpus, not to "
                     f"this one.")
    for row in result.rows:
        words = "  ".join(_readable(word) or "(empty)" for word in row.samples)
        lines += ["", f"{row.method}:", textwrap.fill(words, WIDTH, initial_indent="  ",
                                                      subsequent_indent="  ")]
    return "\n".join(lines)


def as_json(rows, result):
    """The results of the main job as one JSON document: str."""
    corpus = {name: getattr(result.corpus, name)
              for name in ("items", "symbols", "nll_train", "nll_heldout")}
    grids = [{name: value for name, value in row._asdict().items() if name != "policy"}
             for row in rows]
    methods = [row._asdict() for row in result.rows]
    return json.dumps({"gridworld": grids, "language": {"corpus": corpus, "methods": methods}},
                      indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def solution_text(name, grid, gamma, solution):
    """A world, its best policy, values and visits, and how well three solvers agree."""
    drawings = {"best policy": policy_text(grid, solution.optimum.policy),
                "values": values_text(grid, solution.optimum.values),
                f"{'expected' if gamma == 1 else 'discounted'} visits":
                    visits_text(grid, solution.visits)}
    beside = side_by_side(drawings)
    wide = max(map(len, beside.split("\n"))) > WIDTH
    rounds = ", ".join(f"{solver} {count}" for solver, count in solution.rounds.items())
    return "\n".join([
        f"{name}, gamma {gamma:g}: the optimum is J* = {solution.optimum.objective:.6f}", "",
        "\n\n".join(f"{title}\n{block}" for title, block in drawings.items()) if wide else beside,
        "", textwrap.fill(f"Solved three times, with these numbers of rounds: {rounds}.  The "
                          f"values differ by at most {solution.disagreement:.0e}.", WIDTH)])


def curves_text(curves, solution):
    """The final figures of the learners: 10 %, median and 90 % of the runs."""
    widths = (-17, 7, 7, 7, 8, 8, 8, 7)
    lines = [_line(("", "", "|Q - Q*|", "", "", "J greedy", "", "share"), widths),
             _line(("method", *2 * ("10 %", "median", "90 %"), "median"), widths)]
    for row in value_rows(curves, solution):
        lines.append(_line((row["method"], *map(_compact, row["error"] + row["value"]),
                            _number(row["share"], 4)), widths))
    runs, steps = curves[0].errors.shape[1], curves[0].steps[-1]
    return "\n".join(lines + [
        "", f"{runs} runs of {steps:,} steps each.  |Q - Q*| is the largest error of an action",
        "value; J is the exact value of the greedy policy from the start, null where it",
        "never ends; share is 1 - (J* - J)/|J*|.  sarsa and expected_sarsa learn what",
        "their exploring policy is worth, which is not Q*."])


def _compact(value):
    """At most eight characters for a number below 1e100."""
    return _number(value, 3) if value is None or abs(value) < 999 else f"{value:.2g}"


def value_rows(curves, solution):
    """The last point of each curve, with None where there is no number: a list of dicts."""
    best = solution.optimum.objective
    rows = []
    for curve in curves:
        error, value = ([float(x) if np.isfinite(x) else None for x in spread(numbers[-1])]
                        for numbers in (curve.errors, curve.values))
        known = value[1] is not None and best != 0
        rows.append({"method": curve.method, "error": error, "value": value,
                     "share": 1 - (best - value[1]) / abs(best) if known else None,
                     "steps": int(curve.steps[-1]), "runs": curve.errors.shape[1],
                     "seconds": curve.seconds})
    return rows


def values_json(name, gamma, curves, solution):
    """The results of the job `values` as one JSON document: str.

    `error` and `value` are lists: 10 %, median, 90 % of the runs.
    """
    return json.dumps({"world": name, "gamma": gamma, "optimum": solution.optimum.objective,
                       "disagreement": float(solution.disagreement), "rounds": solution.rounds,
                       "methods": value_rows(curves, solution)},
                      indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _bias(value):
    """A bias in nine characters; what is only rounding is shown as such."""
    return f"{value:.0e}" if value < 1e-12 else f"{value:.5f}"


def estimators_text(laboratory):
    """The tables of the job `estimators`."""
    N = laboratory.episodes
    widths = (-26, -17, 9, 10, 7)
    names = ("estimator", "baseline", "bias", "variance", "SNR")
    lines = [f"Estimates of the policy gradient from {N} episodes on thin ice: exact, from all",
             f"{laboratory.trajectories} episodes that can happen.  The length of the gradient is "
             f"{laboratory.gradient_norm:.5f}.", "", _line(names, widths)]
    for row in laboratory.rows:
        lines.append(_line((row.estimator, row.baseline, _bias(row.bias), f"{row.variance:.5f}",
                            f"{row.snr:.3f}"), widths))
    lines += ["", textwrap.fill(
        "Bias is the length of E[estimate] - gradient, variance the trace of the covariance, SNR "
        "the length of E[estimate] over the root of the variance.  constant is J; optimal_constant "
        "is (baselines.2), known beforehand, which the trainer must estimate; true_values is the "
        "policy's own V, wrong_values half of it.  What A2C and PPO follow, but for scale, is "
        "gae_0.9_undiscounted.", WIDTH), "",
        "Generalised advantage estimation, from one step (0) to the episode's end (1):", ""]
    widths = (6, 10, 10, 10, 12, 10)
    lines += [_line(("", "wrong", "values", "", "true", "values"), widths),
              _line(("lambda", "bias", "variance", "error", "bias", "variance"), widths)]
    for weight, wrong, true in laboratory.curve:
        lines.append(_line((f"{weight:.1f}", _bias(wrong.bias), f"{wrong.variance:.5f}",
                            f"{wrong.bias**2 + wrong.variance:.5f}", _bias(true.bias),
                            f"{true.variance:.5f}"), widths))
    best = min(laboratory.curve, key=lambda entry: entry[1].bias**2 + entry[1].variance)[0]
    widths = (-14, -14, 9, 9, 10, 7)
    lines += ["", textwrap.fill(
        f"Error is bias squared plus variance; with {N} episodes and these values lambda "
        f"{best:.1f} has the least.  More episodes lower the variance, not the bias.", WIDTH), "",
        "Episodes cut after four steps, not ended by them; the gradient is "
        f"{laboratory.cut_gradient_norm:.5f} long:", "",
        _line((*names[:3], "of steps", *names[3:]), widths)]
    for row, taken in laboratory.cut:
        lines.append(_line((row.estimator, row.baseline, _bias(row.bias), _bias(taken),
                            f"{row.variance:.5f}", f"{row.snr:.3f}"), widths))
    widths = (4, 8, 11, 11, 11)
    lines += ["", textwrap.fill(
        "What follows a cut is missing from every estimate.  'of steps' leaves that out: it is the "
        "bias in what the steps before the cut contribute, by counting the episode as it is, by "
        "trusting wrong values at the cut, and below lambda 1 by trusting them at every step.",
        WIDTH), "",
        "From the uniform policy on the cliff (gamma 0.99) x logits along the gradient:", "",
        _line(("x", "KL", "J", "surrogate", "clipped"), widths)]
    for point in laboratory.line[::5]:
        lines.append(_line((f"{point.step:.1f}", f"{point.kl:.4f}", f"{point.objective:.2f}",
                            f"{point.surrogate:.2f}", f"{point.clipped:.2f}"), widths))
    return "\n".join(lines + ["", textwrap.fill(
        "KL is from the uniform policy, in nats a step.  The surrogate is what importance sampling "
        "promises: right to first order, and soon more than any policy can earn (J* is -12.25).  "
        "Clipped at 0.2, as PPO does, it promises nothing for going far.", WIDTH)])


def estimators_json(laboratory):
    """The results of the job `estimators` as one JSON document: str."""
    curve = [{"lambda": weight, **true_or_wrong._asdict()}
             for weight, *rows in laboratory.curve for true_or_wrong in rows]
    cut = [{**row._asdict(), "bias_of_steps": taken} for row, taken in laboratory.cut]
    return json.dumps({"episodes": laboratory.episodes, "trajectories": laboratory.trajectories,
                       "gradient_norm": laboratory.gradient_norm,
                       "rows": [row._asdict() for row in laboratory.rows], "gae": curve,
                       "cut_gradient_norm": laboratory.cut_gradient_norm, "cut": cut,
                       "surrogate": [point._asdict() for point in laboratory.line]},
                      indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def divergences_text(found):
    """The table of the job `kl`."""
    widths = (-6, -8, -2, 8, 8, 8, 6, -24)
    lines = [textwrap.fill(
        f"Estimates of KL(pi|ref) for a language of two letters: exact, from all {found.strings} "
        f"strings, which are cut after {divergences.HORIZON} steps.  It is {found.row_kl:.4f} for "
        f"the first row and {found.string_kl:.4f} for strings.", WIDTH), "",
             _line(("form", "samples", "", "mean", "variance", "gradient", "cosine",
                    " follows"), widths)]
    for row in found.rows:
        lines.append(_line((row.form, row.samples, row.name, f"{row.mean:.4f}",
                            f"{row.variance:.4f}", f"{row.gradient:.4f}", _number(row.cosine, 3),
                            f" {row.follows}"), widths))
    return "\n".join(lines + ["", textwrap.fill(
        "Samples are the policy's own; another's (mu), as they are; or another's, weighted by the "
        "ratio of the policy to it.  Gradient is the length of the mean gradient of the estimate, "
        "cosine compares it with the gradient of KL(pi|ref), and 'follows' names the divergence "
        "whose gradient it is.  Rows are the divergences of the rows of the table, added up over "
        "the visits as if these were given.", WIDTH)])


def divergences_json(found):
    """The table of the job `kl` as one JSON document: str."""
    return json.dumps({"strings": found.strings, "row_kl": found.row_kl,
                       "string_kl": found.string_kl,
                       "estimates": [row._asdict() for row in found.rows]},
                      indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def objectives_text(found):
    """The tables of the job `objectives`."""
    widths = (-18, -10, -16, 7, 7, 7, 7)
    lines = [textwrap.fill(
        "What each method really optimises, for a language of two letters whose strings are cut "
        f"after {objectives.HORIZON} steps: exact, from all {found.listed} strings.", WIDTH), "",
             "One gradient, sum of w(y) c(y, t) grad log pi, halfway to the best bigram:", "",
             _line(("method", "strings of", "judged by", "least", "mean", "most", "cosine"),
                   widths)]
    for row in found.rows:
        lines.append(_line((row.method, row.strings, row.judge, f"{row.least:.3f}",
                            f"{row.mean:.3f}", f"{row.largest:.3f}", f"{row.cosine:.3f}"), widths))
    worst = max(row.difference for row in found.rows)
    lines += ["", textwrap.fill(
        "Least, mean and most are of the coefficient c of a step; cosine compares the expected "
        "update with the gradient of J.  Each is the gradient of the method's own loss at the "
        f"first step from a batch, to {worst:.0e}.", WIDTH), "",
              "Where the expected update is zero, and stays so:", "",
              _line(("method", "rests", "reward", "KL", "J", "share", "length", "rarest"),
                    (-18, -5, 8, 8, 8, 8, 7, 8))]
    for rest in found.rests:
        lines.append(_line((rest.method, "yes" if rest.at_rest else "no",
                            *(f"{round(x, 4) + 0.0:.4f}" for x in (rest.reward, rest.kl,
                                                                 rest.objective, rest.share)),
                            f"{rest.length:.2f}", f"{rest.rarest:.0e}"),
                           (-18, -5, 8, 8, 8, 8, 7, 8)))
    return "\n".join(lines + ["", textwrap.fill(
        f"Share is of what the best bigram gains, J = {found.bigram:.4f}; no policy of any kind "
        f"has more than {found.strings:.4f}.  Length is in letters, rarest the least probability "
        f"in the table.  What does not rest is shown after {objectives.STEPS:,} steps of learning "
        f"rate {objectives.RATE:g}: kto creeps towards the edge, where some letters never follow "
        f"some others, and online_sampling runs away.  sft imitates that optimum, "
        f"rejection_sampling the best of {objectives.GROUP} of the reference, online_sampling that "
        f"of the policy itself.  reinforce is where PPO and RLOO rest too, with the KL in the "
        f"reward; grpo and dr_grpo have k3 in the loss, and groups of {objectives.GROUP}.  rlhf "
        f"has learned the reward from all preferences, which the rows below see as well.", WIDTH)])


def objectives_json(found):
    """The tables of the job `objectives` as one JSON document: str."""
    return json.dumps({"strings": found.listed, "reference": found.reference,
                       "best_bigram": found.bigram, "optimum": found.strings,
                       "gradient": [row._asdict() for row in found.rows],
                       "rests": [rest._asdict() for rest in found.rests]},
                      indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def alignment_text(found, *, pairs):
    """The tables of the job `alignment`."""
    widths = (-18, 8, 8, 8, 8, 12, 8)
    lines = ["Which is easier to say?  "
             f"J = E[reward] - {alignment.BETA:g} KL to the reference, the bigram",
             "of the Unicode words.", "",
             _line(("method", "reward", "KL", "J", "share", "mean length", "seconds"), widths)]
    for row in found.rows:
        lines.append(_line((row.method, _number(row.reward, 4), _number(row.kl, 4),
                            _number(row.objective, 4), _number(row.share, 4),
                            _number(row.mean_length, 2), f"{row.seconds:.2f}"), widths))
    resting = ", ".join(f"{share:.3f} for {G}" for G, share in found.resting.items())
    lines += ["", textwrap.fill(
        f"All exact.  best_of_n is at its best n, {found.n}; rejection_sampling is fine-tuned on "
        f"the best of 4.  rlhf, dpo, ipo, kto, simpo and orpo saw the same {pairs:,} preferences, "
        f"rlhf_iterated as many in {alignment.ROUNDS} rounds, the others the true reward.  grpo "
        f"and dr_grpo have k3 in the loss; where there is a KL in the other trainers, it is in the "
        f"reward.  ipo, kto, simpo and orpo do not aim at J: what they aim at is in 'minirl "
        f"objectives'.  The expected update of dr_grpo comes to rest at a share of (size of the "
        f"group) {resting}; here the group is 8.", WIDTH), "",
              "The frontier, the best policy at each price:", "",
        _line(("beta", "reward", "KL", "", "best of n", "reward", "KL", "share"),
              (5, 9, 9, 2, 9, 9, 8, 9))]
    for point, entry in zip_longest(found.frontier, found.best_of):
        left = (f"{point.beta:g}", f"{point.reward:.4f}", f"{point.kl:.4f}") if point else ("",) * 3
        right = ("" if entry is None else str(entry[0]), *("" if entry is None else f"{x:.4f}"
                                                           for x in (entry or (0,) * 4)[1:]))
        lines.append(_line((*left, "", *right), (5, 9, 9, 2, 9, 9, 8, 9)))
    lines += ["", f"No optimum exists at or below beta = {found.critical_beta:.5f}.", "",
              "Reward models, judged on fresh preferences of the same rater:", "",
              _line(("pairs", "accuracy", "best possible", "calibration", "error", "weights",
                     "optimum"), MODEL)]
    for model in found.models:
        lines.append(_line((f"{model.pairs:,}", f"{model.accuracy:.4f}",
                            f"{model.best_accuracy:.4f}", f"{model.calibration:.4f}",
                            f"{model.error:.3f}", f"{model.largest:.2f}",
                            "yes" if model.has_optimum else "no"), MODEL))
    last = found.models[-1]
    lines += ["", textwrap.fill(
        "Calibration is the expected error of the probabilities, error the standard deviation of "
        "learned less true reward over the reference's strings, weights the largest one, and "
        f"optimum whether one exists at this beta.  How often what the model of {last.pairs:,} "
        "pairs predicts comes true:", WIDTH), "",
              *(_line((name, *(_number(x, 2) for x in getattr(last, name))), (-10, *[6] * 10))
                for name in ("predicted", "observed")), "",
              "Few preferences, fitted without a pull towards the reference and with one:", "",
              *held_lines(found.held), "",
              "Over-optimisation: more than the reference, by the proxy and in truth", "",
              _line(("proxy", "maximised by", "KL", "proxy", "truth", "letters"),
                    (-31, -12, 8, 8, 8, 8))]
    for proxy in found.proxies:
        for name, points in (("optimum", proxy.optima), ("best of n", proxy.best_of_n)):
            for point in points[::3] if points else []:
                label = f"{'beta' if name == 'optimum' else 'n ='} {point.at:.4g}"
                numbers = (round(x, 3) + 0.0 for x in (point.kl, point.proxy, point.gold))
                lines.append(_line((proxy.name, label, *(f"{x:.3f}" for x in numbers),
                                    f"{point.letters:.2f}"), (-31, -12, 8, 8, 8, 8)))
    return "\n".join(lines)


def held_lines(rows):
    """The table of `alignment.Held`, as lines."""
    widths = (-8, 6, 13, 12, 13, 12)
    lines = [_line(("", "", "without", "", "with", ""), widths),
             _line(("method", "pairs", *2 * ("mean length", "share")), widths)]
    for row in rows:
        lines.append(_line((row.method, f"{row.pairs:,}", _compact(row.mean_length),
                            _compact(row.share), _compact(row.held_length),
                            _compact(row.held_share)), widths))
    return [*lines, "", "Without it there is often no minimum; where a fit stops is the solver's "
            "choice,", "and null means that strings do not end."]


def alignment_json(found):
    """The results of the job `alignment` as one JSON document: str."""
    return json.dumps({"language": {"methods": [row._asdict() for row in found.rows]},
                       "n": found.n, "critical_beta": found.critical_beta,
                       "frontier": [point._asdict() for point in found.frontier],
                       "best_of_n": [dict(zip(("n", "reward", "kl", "share"), entry))
                                     for entry in found.best_of],
                       "resting": found.resting,
                       "models": [model._asdict() for model in found.models],
                       "held": [row._asdict() for row in found.held],
                       "proxies": [{"name": proxy.name,
                                    "optima": [point._asdict() for point in proxy.optima],
                                    "best_of_n": [point._asdict() for point in proxy.best_of_n]}
                                   for proxy in found.proxies]},
                      indent=1, ensure_ascii=False, allow_nan=False, default=float) + "\n"


def policies_text(title, problem, curves):
    """The final figures of the learners of policies: worst, median and best of the runs."""
    widths = (-13, 9, 9, 9, 7, 7, 11, 8)
    lines = [f"{title}: the optimum is J* = {problem.optimum:.6f},",
             f"the first policy is worth {_number(_known(problem.before), 6)}.", "",
             _line(("", "J", "", "", "share", "", "steps", "seconds"), widths),
             _line(("method", "worst", "median", "best", "worst", "median", "of a run", "of a run"),
                   widths)]
    for row in policy_rows(problem, curves):
        shares = (_share(row[name]) for name in ("share_worst", "share"))
        values = (_compact(row[name]) for name in ("worst", "median", "best"))
        lines.append(_line((row["method"], *values, *shares, f"{row['steps'] // row['runs']:,}",
                            f"{row['seconds'] / row['runs']:.1f}"), widths))
    runs, iterations = curves[0].values.shape[1], curves[0].iterations[-1]
    share = ("1 - (J* - J)/|J*|" if problem.beta is None else
             "(J - J(ref)) / (J* - J(ref)), where the reference is the first policy")
    return "\n".join(lines + [
        "", textwrap.fill(
            f"{runs} run{'s' * (runs > 1)} of {iterations} iterations.  J is exact, of the "
            f"stochastic policy as it is; null where episodes do not end.  Share is {share}.",
            WIDTH)])


def _share(value):
    """A share in seven characters, or null."""
    if value is None or abs(value) < 9.99:
        return _number(value, 4)
    return f"{value:.1f}" if abs(value) < 999 else f"{value:.1g}"


def _known(value):
    return float(value) if np.isfinite(value) else None


def policy_rows(problem, curves):
    """The last point of each curve, with None where there is no number: a list of dicts.

    A run whose policy has no J is worse than any other.
    """
    rows = []
    for curve in curves:
        worst, median, best = spread(curve.values[-1], (0.0, 0.5, 1.0))
        rows.append({"method": curve.method, "worst": _known(worst), "median": _known(median),
                     "best": _known(best), "share_worst": share(problem, worst),
                     "share": share(problem, median), "steps": int(curve.steps.sum()),
                     "runs": curve.steps.size, "seconds": curve.seconds,
                     "iterations": curve.iterations.tolist(),
                     "values": [[_known(value) for value in point] for point in curve.values]})
    return rows


def policies_json(name, problem, curves, *, seed, episodes, horizon):
    """The results of the job `policies` as one JSON document: str.

    `values` are J of every run at each of `iterations`.
    """
    return json.dumps({"world": name, "gamma": problem.mdp.gamma, "beta": problem.beta,
                       "optimum": problem.optimum, "before": _known(problem.before), "seed": seed,
                       "episodes": episodes, "horizon": horizon,
                       "methods": policy_rows(problem, curves)},
                      indent=1, ensure_ascii=False, allow_nan=False) + "\n"
