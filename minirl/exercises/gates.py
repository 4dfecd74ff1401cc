"""Exercises of Part 4, the end: losses of margins, and surrogates of a ratio."""

from functools import partial

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.people.dpo import logistic
from minirl.people.groups import weighted
from minirl.people.ipo import squared
from minirl.people.margins import (aot_loss, aot_unpaired_loss, bco, exponential, hinge,
                                   margin_loss, nca)
from minirl.people.pairs import Pairs, over_pairs
from minirl.people.ratios import (cispo, clip, dual_clip, gate_loss, gmpo_loss, sapo, string_loss,
                                  weighted_strings)


def _some_strings(rng, number, shape, longest):
    """Strings of random lengths, none of them empty: `Steps`."""
    starts = np.append(0, np.cumsum(rng.integers(1, longest + 1, number)))
    states, actions = (rng.integers(size, size=starts[-1]) for size in shape)
    return counts.steps(states, actions, starts, shape)


# Pairs.


def _pair_cases(phis, seed):
    """Two tables, the two matrices of pairs, and a φ, for each (S, A), B, form and φ."""
    rng = np.random.default_rng(seed)
    return [ExerciseCase((rng.normal(size=shape), rng.normal(size=shape), getattr(
                Pairs(*(_some_strings(rng, B, shape, longest) for longest in (6, 4))), form), phi),
                factors={"B": B, "S·A": shape[0] * shape[1]})
            for shape, B, form, phi in phis]


def _margin_cases():
    return _pair_cases([((4, 3), 5, "counts", partial(bco, beta=0.3, delta=0.2)),
                        ((3, 5), 7, "means", partial(nca, beta=1.7)),
                        ((6, 2), 4, "counts", partial(logistic, beta=0.9))], seed=1)


def _aot_cases():
    return _pair_cases([((4, 3), 6, "counts", partial(logistic, beta=0.7)),
                        ((3, 5), 9, "means", partial(squared, beta=0.4)),
                        ((6, 2), 7, "counts", partial(exponential, beta=0.3))], seed=2)


def _pairs_there(case, place):
    logits, ref_logits, rows, _ = case.arguments
    h = log_softmax(logits) - log_softmax(ref_logits)
    column = [place[0] * logits.shape[1] + place[1]]
    sums = [side @ h.ravel() for side in rows]
    said = [", ".join(f"{sum_of[pair]:+.3f} of pair {pair}"
                      for pair in np.flatnonzero(side[:, column].toarray())) or "none"
            for side, sum_of in zip(rows, sums)]
    return f"h = {h[place]:+.3f}; of the strings that pass there h⁺ is {said[0]}, h⁻ {said[1]}"


def _ranks_there(case, place):
    logits, ref_logits, (plus, minus), _ = case.arguments
    D = plus - minus
    lead, ref_lead = (D @ log_softmax(table).ravel() for table in (logits, ref_logits))
    met = dict(zip(np.argsort(lead), np.sort(ref_lead)))
    pairs = np.flatnonzero(D[:, [place[0] * logits.shape[1] + place[1]]].toarray())
    said = ", ".join(f"{pair} (lead {lead[pair]:+.3f}, which meets {met[pair]:+.3f} of π_ref)"
                     for pair in pairs)
    return f"plus and minus differ in the pairs {said}" if said else "plus and minus agree"


def _leads():
    """h⁺ and h⁻ whose margins lie on both sides of 1, and of 0."""
    rng = np.random.default_rng(3)
    return [ExerciseCase((rng.normal(size=B), rng.normal(size=B)), {"beta": beta})
            for B, beta in ((9, 0.7), (12, 1.4), (7, 2.3))]


def _lead_there(case, place):
    plus, minus = (h[place] for h in case.arguments)
    return f"h⁺ = {plus:+.3f}, h⁻ = {minus:+.3f}, m = {case.keywords['beta'] * (plus - minus):+.3f}"


_TWO_MATRICES = ("Here `plus, minus = pairs` are X⁺ and X⁻ of (margins.1), or M⁺ and M⁻: two "
                 "sparse matrices (B, S·A).  So the example needs `choices(...).counts`.  All "
                 "pairs weigh the same.")
_BY_COLUMNS = ("the gradient has the right numbers in the wrong places: G was filled column by "
               "column.  The columns of the matrices go through the table row by row, so that "
               "number s · A + a is [s, a]: `reshape(logits.shape)` does this.")
_NO_REFERENCE = "the reference is not used: log π stands where the chapter has log π − log π_ref."


# Ratios.


def _ratio_tables():
    """What a gate is asked: ratios, and signs of advantages."""
    rng = np.random.default_rng(4)
    return [ExerciseCase((np.exp(rng.normal(0.2, 0.6, size)), sign(rng, size)), options)
            for size, sign, options in (
                (24, lambda rng, size: rng.choice([-1.0, 1.0], size),
                 {"epsilon": 0.3, "epsilon_high": 0.9, "delta": 1.6}),
                (11, lambda rng, size: -1, {"epsilon": 0.4, "delta": 1.3}),
                (17, lambda rng, size: 1, {"epsilon": 0.15, "epsilon_high": 0.25, "delta": 1.7}),
                (13, lambda rng, size: 1, {"epsilon": 0.35, "delta": 2.3}))]


def _ratio_there(case, place):
    ratio, sign = case.arguments
    good = np.broadcast_to(sign, ratio.shape)[place] > 0
    return f"ρ = {ratio[place]:.3f}, and A {'>' if good else '<'} 0"


def _moved_tables(rng, shape):
    """Logits, and old ones whose policy differs from theirs by factors."""
    logits = rng.normal(size=shape)
    return logits, logits + rng.normal(0, 0.6, shape)


def _step_batches():
    """Steps of both signs in the same places, whose weights hold a divisor, and a gate."""
    rng = np.random.default_rng(5)
    cases = []
    for shape, n, gate in (((4, 3), 7, partial(clip, epsilon=0.2, epsilon_high=0.35)),
                           ((3, 5), 9, partial(sapo, temperature_pos=1.5, temperature_neg=3.0)),
                           ((6, 2), 8, partial(dual_clip, epsilon=0.15, delta=1.4))):
        tables, strings = _moved_tables(rng, shape), _some_strings(rng, n, shape, 6)
        batch = weighted(strings, rng.normal(size=strings.index.size), 0.1 + rng.random(n))
        cases.append(ExerciseCase((*tables, batch, gate), factors={
            "batch.number": batch.number, "S·A": shape[0] * shape[1]}))
    return cases


def _step_there(case, place):
    logits, old_logits, batch, gate = case.arguments
    ratio = np.exp(log_softmax(logits) - log_softmax(old_logits))[place]
    slopes = [float(gate(np.array(ratio), sign)[1]) for sign in (1, -1)]
    return (f"ρ = {ratio:.3f}, A⁺ = {batch.gains[place]:.3f} with the slope {slopes[0]:.3f}, "
            f"A⁻ = {batch.losses[place]:.3f} with the slope {slopes[1]:.3f}")


def _string_batches(seed, settings):
    """Good and bad strings with weights; each of the settings ends with what else is given."""
    rng = np.random.default_rng(seed)
    cases = []
    for shape, n, rows, gate, options in settings:
        tables, strings = _moved_tables(rng, shape), _some_strings(rng, n, shape, 5)
        batch = weighted_strings(strings, rng.normal(size=n), 0.1 + rng.random(n), rows=rows)
        cases.append(ExerciseCase((*tables, batch, *gate), options, {
            "n": n, "S·A": shape[0] * shape[1], **options}))
    return cases


def _gated_strings():
    return _string_batches(6, (
        ((4, 3), 7, counts.mean_matrix, [partial(clip, epsilon=0.1, epsilon_high=0.15)], {}),
        ((3, 5), 9, counts.mean_matrix, [partial(cispo, low=0.8, high=1.3)], {}),
        ((6, 2), 8, counts.matrix, [partial(sapo, temperature_pos=1.5, temperature_neg=3.0)], {})))


def _clipped_strings():
    return _string_batches(7, [(shape, n, counts.mean_matrix, [], {"epsilon": epsilon})
                               for shape, n, epsilon in (((4, 3), 7, 0.3), ((3, 5), 9, 0.15),
                                                         ((6, 2), 8, 0.4))])


def _strings_there(case, place):
    logits, old_logits, batch = case.arguments[:3]
    h = log_softmax(logits) - log_softmax(old_logits)
    passing = np.flatnonzero(batch.matrix[:, [place[0] * h.shape[1] + place[1]]].toarray())
    sums = batch.matrix @ h.ravel()
    said = ", ".join(f"{i} (log ρ_{i} = {sums[i]:+.3f}, A_{i} = {batch.advantages[i]:+.2f})"
                     for i in passing)
    return f"log ρ = {h[place]:+.3f} in a step; the strings that pass there are {said or 'none'}"


_UPSIDE_DOWN = "the ratio is upside down: it is π_old/π where the chapter has ρ = π/π_old."


ON_GATES = (
    Exercise(
        "hinge", "people.margins", hinge,
        "Write the hinge for pairs: the value of φ, its slope in h⁺ and its slope in h⁻, where m = "
        "β (h⁺ − h⁻), `plus` is h⁺ and `minus` is h⁻, arrays of shape (B,).",
        "import numpy as np", _leads,
        mistakes=(
            Mistake("beta_not_in_slope", "β is in the value but not in the slopes: the chain rule "
                    "through m = β (h⁺ − h⁻) leaves a factor β.",
                    ((hinge, "slope = -beta *", "slope = -1.0 *"),)),
            Mistake("always_on", "the slope is −β everywhere.  Beyond m = 1 the value is 0 and "
                    "stays 0, so the slope is 0 there.",
                    ((hinge, "(m.real < 1)", "np.ones(np.shape(m))"),)),
            Mistake("perceptron", "max(0, −m) stands where the hinge has max(0, 1 − m): a pair is "
                    "content as soon as it is ranked rightly, by whatever lead.",
                    ((hinge, "(m.real < 1)", "(m.real < 0)"),
                     (hinge, "np.maximum(1 - m, 0)", "np.maximum(-m, 0)"))),
            Mistake("lead_of_one", "the 1 is a lead of h⁺ over h⁻ here, max(0, β (1 − h⁺ + h⁻)).  "
                    "In the chapter it is a margin m, so that a lead of 1/β is enough.",
                    ((hinge, "(m.real < 1)", "(m.real < beta)"),
                     (hinge, "np.maximum(1 - m, 0)", "np.maximum(beta - m, 0)"))),
            Mistake("no_beta", "β is missing in m.",
                    ((hinge, "m = _margin(plus, minus, beta)", "m = plus - minus"),
                     (hinge, "slope = -beta *", "slope = -1.0 *"))),
            Mistake("one_sign", "both slopes have the same sign.  φ falls with h⁺ and rises with "
                    "h⁻, so they are opposite.",
                    ((hinge, "slope, -slope", "slope, slope"),)),
            Mistake("swapped", "chosen and rejected are exchanged: m = β (h⁻ − h⁺).",
                    ((hinge, "m = _margin(plus, minus, beta)", "m = _margin(minus, plus, beta)"),
                     (hinge, "slope = -beta *", "slope = beta *"))),
            Mistake("squared", "the value is squared: this is `truncated_squared`.",
                    ((hinge, "(m.real < 1)", "2 * np.maximum(1 - m, 0)"),
                     (hinge, "return np.maximum(1 - m, 0)", "return np.maximum(1 - m, 0)**2")))),
        hints=("Which m costs nothing?  What is the slope of φ in m below, and what above?",
               "m = β (h⁺ − h⁻), so the slope in h⁺ is β times the slope in m, and that in h⁻ is "
               "−β times it.",
               "`m < 1` is an array of True and False, and a number times it is 0 where it is "
               "False."),
        by_hand="hinge(np.array([0.5, 3.0]), np.array([0.0, 0.0]), beta=0.8)",
        done="Each pair pushes with the same force until it leads by 1/β, and then not at all.  "
             "DPO's never stops pushing.  Predict: what does this loss do with a pair that raters "
             "chose 6 times of 10?",
        results=("value", "slope of plus", "slope of minus"), there=_lead_there),
    Exercise(
        "margins", "people.margins", margin_loss,
        "Write the loss of any φ, the mean of φ(h⁺, h⁻) over the B pairs, and its gradient.  "
        + _TWO_MATRICES,
        "from functools import partial\n\nimport numpy as np\n\nfrom minirl.kernel.softmax import "
        "backward, log_softmax\nfrom minirl.people.margins import bco, hinge\n"
        "from minirl.people.pairs import choices", _margin_cases,
        mistakes=(
            Mistake("same_slope", "φ₊ is used for both sides, X⁺ᵀ φ₊ − X⁻ᵀ φ₊.  That is right "
                    "for a φ of h⁺ − h⁻ alone, as DPO's; others have a slope φ₋ of their own.",
                    ((over_pairs, "+ minus.T @ (w * slope_minus)",
                      "- minus.T @ (w * slope_plus)"),)),
            Mistake("difference_alone", "φ is asked at (h⁺ − h⁻, 0).  That is right for a φ of "
                    "the difference alone, as DPO's; others see both numbers.",
                    ((over_pairs, "phi(plus @ table.ravel(), minus @ table.ravel())",
                      "phi(plus @ table.ravel() - minus @ table.ravel(), np.zeros(w.size))"),)),
            Mistake("subtracted", "X⁻ᵀ φ₋ is taken away where the chain rule adds it: that the "
                    "rejected string must fall is said by the sign of φ₋ already.",
                    ((over_pairs, "+ minus.T", "- minus.T"),)),
            Mistake("no_reference", _NO_REFERENCE,
                    ((margin_loss, "logp, h = log_ratios(logits, ref_logits)",
                      "logp = h = log_ratios(logits, ref_logits)[0]"),), 10),
            Mistake("crossed", "the slopes are exchanged: X⁺ goes with φ₊ and X⁻ with φ₋.",
                    ((over_pairs, "plus.T @ (w * slope_plus) + minus.T @ (w * slope_minus)",
                      "plus.T @ (w * slope_minus) + minus.T @ (w * slope_plus)"),)),
            Mistake("chosen_only", "G has the chosen strings only.  The loss depends on h⁻ too: "
                    "X⁻ᵀ φ₋ is missing.",
                    ((over_pairs, " + minus.T @ (w * slope_minus)", ""),)),
            Mistake("swapped", "chosen and rejected are exchanged: the policy learns what nobody "
                    "wanted.",
                    ((over_pairs, "plus, minus = rows", "minus, plus = rows"),)),
            Mistake("upside_down", "policy and reference are exchanged: h is log π_ref − log π.",
                    ((margin_loss, "over_pairs(logp, h,", "over_pairs(logp, -h,"),)),
            Mistake("mean_first", "φ is asked once, at the means of h⁺ and h⁻.  The loss is the "
                    "mean of φ and not φ of the means.",
                    ((over_pairs, "phi(plus @ table.ravel(), minus @ table.ravel())",
                      "phi(*(np.full(w.size, (side @ table.ravel()).mean()) for side in rows))"),
                     )),
            Mistake("by_columns", _BY_COLUMNS,
                    ((over_pairs, "G.reshape(logp.shape)",
                      'G.reshape(logp.shape, order="F")'),))),
        hints=("h = log π − log π_ref is a table; `plus @ h.ravel()` is h⁺, one number per pair.",
               "`phi` gives three arrays (B,): values and two slopes.  The loss is the mean of "
               "the first one.",
               "h⁺ depends on log π through X⁺, and h⁻ through X⁻: each slope goes back through "
               "the matrix of its own side, and they are added.",
               "`plus.T @ slope_plus` has one number per entry of the table.  Divide by B, "
               "reshape, and go backward."),
        by_hand="margin_loss(np.log([[1, 3]]), np.zeros((1, 2)), choices([1, 1, 0], [0, 0, 1], "
                "2).counts, partial(bco, beta=2.0))",
        done="DPO, IPO, the hinge and a dozen others are now one line each.  With DPO all of G "
             "sums to zero where the strings of a pair are equally long.  Predict: with BCO too?",
        equations=("margins.1",),
        without=("pair_weights",), helpers=(over_pairs,), there=_pairs_there),
    Exercise(
        "aot", "people.margins", aot_loss,
        "Write AOT for pairs, the mean over k of φ(k-th lead under π − k-th lead under π_ref, 0), "
        "and its gradient.  " + _TWO_MATRICES,
        "from functools import partial\n\nimport numpy as np\n\nfrom minirl.kernel.softmax import "
        "backward, log_softmax\nfrom minirl.people.margins import exponential\n"
        "from minirl.people.pairs import choices", _aot_cases,
        mistakes=(
            Mistake("unsorted", "the lead of a pair meets the lead of the same pair under π_ref, "
                    "as in `margin_loss`; to sort their differences changes nothing.  Sort the "
                    "leads under π and those under π_ref, each by themselves.",
                    ((aot_loss, "i, j, mass = coupled(lead, ref_lead, shares(pair_weights, "
                      "lead.size))", "i = j = np.arange(lead.size)\n    mass = "
                      "shares(pair_weights, lead.size)"),)),
            Mistake("gradient_unsorted", "the loss is sorted and the gradient is not: the k-th "
                    "slope belongs to the pair with the k-th smallest lead, and goes back through "
                    "its row.",
                    ((aot_loss, "return over_pairs(logp, logp, (plus[i], minus[i]), shifted, mass)",
                      "loss, _ = over_pairs(logp, logp, (plus[i], minus[i]), shifted, mass)\n"
                      "    slope = shifted(lead[i], 0)[1]\n    return loss, over_pairs(logp, logp, "
                      "(plus, minus), lambda *_: (slope, slope, -slope), mass)[1]"),)),
            Mistake("unpaired", "h⁺ and h⁻ are sorted, each by themselves: that is AOT without "
                    "pairs, `aot_unpaired_loss`.",
                    ((aot_loss, "_check_difference_alone(phi)", "return aot_unpaired_loss(logits, "
                      "ref_logits, pairs, phi, pair_weights=pair_weights)"),)),
            Mistake("one_sorted", "the leads under π are sorted, and those under π_ref are not.",
                    ((aot_loss, "ref_lead[j]", "ref_lead"),)),
            Mistake("argsort_for_rank", "`argsort` was taken for the rank.  `argsort(x)[k]` says "
                    "which pair has the k-th smallest lead; the rank of pair k is "
                    "`argsort(argsort(x))[k]`.",
                    ((aot_loss, "ref_lead[j]", "ref_lead[j[i]]"),
                     (aot_loss, "(plus[i], minus[i])", "(plus, minus)"))),
            Mistake("opposite_orders", "the largest lead under π meets the smallest one under "
                    "π_ref: both must be sorted in the same order.",
                    ((aot_loss, "ref_lead[j]", "ref_lead[j[::-1]]"),)),
            Mistake("no_reference", "the leads under π_ref are not taken away.  Without them the "
                    "order plays no part either.",
                    ((aot_loss, "plus - minus - ref_lead[j]", "plus - minus"),), 10),
            Mistake("swapped", "chosen and rejected are exchanged: a lead is log π(y⁺) − log "
                    "π(y⁻).",
                    ((aot_loss, "plus, minus = _both(pairs, logp)",
                      "minus, plus = _both(pairs, logp)"),))),
        hints=("A lead is log π(y⁺) − log π(y⁻): `D @ logp.ravel()` with D = plus − minus.",
               "Sort the leads under π, sort those under π_ref, subtract, and ask `phi` with "
               "zeros as its second argument.",
               "The order is held fixed in the derivative.  With `i = np.argsort(lead)` the k-th "
               "slope belongs to pair i[k].",
               "`D[i].T @ slope / B` is G, flat; the slope is `phi(...)[1]`."),
        by_hand="aot_loss(np.log([[1, 2, 1]]), np.log([[3, 3, 2]]), choices([1, 2, 0], [0, 1, 2],"
                " 3).counts, partial(exponential, beta=1.0))",
        done="The order changes while π learns, so the loss has kinks where two leads are equal.  "
             "Predict: at logits = ref_logits, is this the gradient of DPO?",
        without=("pair_weights",), helpers=(over_pairs,), there=_ranks_there),
    Exercise(
        "aot_unpaired", "people.margins", aot_unpaired_loss,
        "Write AOT without pairs, the mean over k of φ(k-th smallest h⁺, k-th smallest h⁻), and "
        "its gradient.  " + _TWO_MATRICES,
        "from functools import partial\n\nimport numpy as np\n\nfrom minirl.kernel.softmax import "
        "backward, log_softmax\nfrom minirl.people.margins import exponential\n"
        "from minirl.people.pairs import choices", _aot_cases,
        mistakes=(
            Mistake("unsorted", "h⁺ meets the h⁻ of its own pair, as in `margin_loss`; so it does "
                    "if one order is used for both.  Sort h⁺ and h⁻, each by themselves.",
                    ((aot_unpaired_loss, "minus[j])", "minus[i])"),)),
            Mistake("gradient_unsorted", "the loss is sorted and the gradient is not: the k-th "
                    "slopes belong to the strings with the k-th smallest h⁺ and h⁻, and go back "
                    "through their rows.",
                    ((aot_unpaired_loss, "return over_pairs(logp, h, (plus[i], minus[j]), phi, "
                      "mass)", "loss, _ = over_pairs(logp, h, (plus[i], minus[j]), phi, mass)\n"
                      "    found = phi(plus[i] @ h.ravel(), minus[j] @ h.ravel())\n"
                      "    return loss, over_pairs(logp, h, (plus, minus), lambda *_: found, "
                      "mass)[1]"),)),
            Mistake("paired", "leads under π are set against leads under π_ref: that is AOT for "
                    "pairs, `aot_loss`.",
                    ((aot_unpaired_loss, "logp, h = log_ratios(logits, ref_logits)",
                      "return aot_loss(logits, ref_logits, pairs, phi, "
                      "pair_weights=pair_weights)"),)),
            Mistake("one_sorted", "the h⁺ are sorted, and the h⁻ are not.",
                    ((aot_unpaired_loss, "minus[j])", "minus)"),)),
            Mistake("argsort_for_rank", "`argsort` was taken for the rank.  `argsort(x)[k]` says "
                    "which string has the k-th smallest h; the rank of string k is "
                    "`argsort(argsort(x))[k]`.",
                    ((aot_unpaired_loss, "(plus[i], minus[j])", "(plus, minus[j[i]])"),)),
            Mistake("opposite_orders", "the largest h⁺ meets the smallest h⁻: both must be sorted "
                    "in the same order.",
                    ((aot_unpaired_loss, "minus[j])", "minus[j[::-1]])"),)),
            Mistake("no_reference", _NO_REFERENCE,
                    ((aot_unpaired_loss, "logp, h = log_ratios(logits, ref_logits)",
                      "logp = h = log_ratios(logits, ref_logits)[0]"),), 10),
            Mistake("sorted_by_policy", "the strings are sorted by log π, and compared by h.  The "
                    "order is that of h too.",
                    ((aot_unpaired_loss, "coupled(plus @ h.ravel(), minus @ h.ravel()",
                      "coupled(plus @ logp.ravel(), minus @ logp.ravel()"),)),
            Mistake("swapped", "chosen and rejected are exchanged: φ is asked at (h⁻, h⁺).",
                    ((aot_unpaired_loss, "(plus[i], minus[j])", "(minus[j], plus[i])"),))),
        hints=("h = log π − log π_ref; h⁺ is `plus @ h.ravel()`, and h⁻ likewise.",
               "There are two orders here, `np.argsort` of h⁺ and of h⁻.",
               "The orders are held fixed in the derivative.  `plus[i]` are the rows of the "
               "chosen strings in the order i.",
               "With the rows `plus[i]` and `minus[j]` in the place of plus and minus all else is "
               "as in `margin_loss`."),
        by_hand="aot_unpaired_loss(np.log([[4, 4, 2, 2]]), np.log([[1, 3, 2, 4]]), choices([2, 1,"
                " 3], [3, 0, 1], 4).counts, partial(exponential, beta=1.0))",
        done="Who was compared with whom plays no part.  Predict: a string is chosen once and "
             "rejected once.  May AOT set it against itself, and what does it push then?",
        without=("pair_weights",), helpers=(over_pairs,), there=_pairs_there),
    Exercise(
        "dual_clip", "people.ratios", dual_clip,
        "Write the gate with three bounds, its value and its slope in ρ: min(ρ, 1 + ε_high) where "
        "A > 0; where A < 0, max(ρ, 1 − ε) and at most δ.  `ratio` is an array of ρ, `sign` is 1 "
        "or −1, or an array of them, and without `epsilon_high` it is `epsilon`.",
        "import numpy as np", _ratio_tables,
        mistakes=(
            Mistake("alive_beyond_delta", "the value is held at δ and the slope is not: beyond δ "
                    "the gate is constant, so its slope is 0.",
                    ((dual_clip, "slope * (held == value)", "slope"),)),
            Mistake("no_delta", "δ is not used: this is `clip`, which pulls a bad action back with "
                    "a force that grows with ρ.",
                    ((dual_clip, "np.minimum(value, delta)", "value"),)),
            Mistake("delta_for_good", "δ bounds good actions too.  It is for A < 0 alone, and "
                    "makes a difference for A > 0 where δ < 1 + ε_high.",
                    ((dual_clip, "np.where(sign > 0, value, np.minimum(value, delta))",
                      "np.minimum(value, delta)"),)),
            Mistake("sides_exchanged", "the sides are exchanged: where A > 0 the gain is bounded "
                    "from above, and where A < 0 ρ is held at 1 − ε from below.",
                    ((clip, "np.where(sign > 0,", "np.where(sign < 0,"),), 31),
            Mistake("both_sides", "both sides are clipped for either sign.  A step that has moved "
                    "the wrong way must stay alive, or it is never called back.",
                    ((clip, "np.where(sign > 0, np.minimum(ratio, 1 + high), np.maximum(ratio, 1 - "
                      "epsilon))", "np.minimum(np.maximum(ratio, 1 - epsilon), 1 + high)"),), 31),
            Mistake("at_least_delta", "the gate is at least δ where A < 0, and should be at most "
                    "δ.",
                    ((dual_clip, "np.minimum(value, delta)", "np.maximum(value, delta)"),), 31),
            Mistake("one_epsilon", "ε bounds both sides: where `epsilon_high` is given, the upper "
                    "bound is 1 + ε_high.",
                    ((clip, "high = epsilon if epsilon_high is None else epsilon_high",
                      "high = epsilon"),)),
            Mistake("slope_in_log", "this is the slope in log ρ, a factor ρ too much.  The loss "
                    "multiplies by ρ later, (ratios.2).",
                    ((dual_clip, "slope * (held == value)", "slope * (held == value) * ratio"),))),
        hints=("Three bounds, two signs: draw ρ against the value, once for A > 0 and once for "
               "A < 0.",
               "The value is ρ itself, or a bound.  What is the slope of ρ in ρ, and what is the "
               "slope of a bound?",
               "`np.where(sign > 0, upper, lower)` takes from one or the other.",
               "The slope is 1 where the held value still equals ρ: `(held == ratio) * 1.0`."),
        by_hand="dual_clip(np.array([0.5, 0.5, 4.0, 4.0]), np.array([1, -1, 1, -1]), "
                "epsilon=0.2, epsilon_high=0.5, delta=1.3)",
        done="`clip` pulls a bad action at ρ = 10 back as hard as ten others, and this gate not at "
             "all.  Predict: at which ρ does it pull hardest?",
        results=("value", "slope"), helpers=(clip,), there=_ratio_there),
    Exercise(
        "gates", "people.ratios", gate_loss,
        "Write the loss of any gate, and its gradient.  `batch.gains` and `batch.losses` are A⁺ "
        "and A⁻, (S, A) each, and A⁻ ≤ 0.",
        "from functools import partial\n\nimport numpy as np\n\nfrom minirl.kernel.softmax import "
        "backward, log_softmax\nfrom minirl.people.ratios import clip\n"
        "from minirl.play.surrogate import Advantages", _step_batches,
        mistakes=(
            Mistake("no_ratio", "ρ is missing in G: the gate gives its slope in ρ, and ∂ρ/∂log π "
                    "= ρ (the chain rule).",
                    ((gate_loss, "G = -ratio *", "G = -1.0 *"),)),
            Mistake("value_in_gradient", "the value of the gate stands where G has ρ times its "
                    "slope.  Both are the same for ρ itself; but where the value is held, the "
                    "slope is 0.",
                    ((gate_loss, "G = -ratio * (rise * batch.gains + fall * batch.losses)",
                      "G = -(up * batch.gains + down * batch.losses)"),)),
            Mistake("one_sign", "the gate is asked with the sign + for A⁻ too: bad steps are "
                    "clipped on the side of good ones.",
                    ((gate_loss, "gate(ratio, -1)", "gate(ratio, 1)"),), 31),
            Mistake("signs_exchanged", "the signs are exchanged: A⁺ goes with gate(ρ, +) and A⁻ "
                    "with gate(ρ, −).",
                    ((gate_loss, "gate(ratio, 1), gate(ratio, -1)",
                      "gate(ratio, -1), gate(ratio, 1)"),), 31),
            Mistake("net", "A⁺ + A⁻ is put through one gate, that of its sign.  Good and bad "
                    "steps of one entry meet different gates, so their sums are kept apart.",
                    ((gate_loss, "(up, rise), (down, fall) = gate(ratio, 1), gate(ratio, -1)",
                      "(up, rise) = (down, fall) = gate(ratio, np.sign(batch.gains + "
                      "batch.losses))"),)),
            Mistake("losses_subtracted", "the part of A⁻ is taken away where (ratios.1) adds it: "
                    "A⁻ is negative already.",
                    ((gate_loss, "rise * batch.gains + fall", "rise * batch.gains - fall"),
                     (gate_loss, "up * batch.gains + down", "up * batch.gains - down"))),
            Mistake("upside_down", _UPSIDE_DOWN,
                    ((gate_loss, "ratio = _ratios(h)", "ratio = _ratios(-h)"),)),
            Mistake("ratio_of_logits", "ρ is made of logits, exp(θ − θ_old).  It is π/π_old, so "
                    "take the logarithms of the policies, from `log_softmax`.",
                    ((gate_loss, "ratio = _ratios(h)",
                      "ratio = np.exp(np.subtract(logits, old_logits))"),))),
        hints=("ρ = exp(log π − log π_old) is a table.  A gate takes the table and a sign, and "
               "gives two tables.",
               "Two calls: gate(ρ, 1) goes with A⁺, and gate(ρ, −1) with A⁻.",
               "∂L/∂log π = ∂L/∂ρ · ∂ρ/∂log π, and ρ = exp(log π − log π_old).",
               "Nothing is divided: the weights are in A⁺ and A⁻.  ∂L/∂ρ is minus the sum of "
               "slope times A over both signs."),
        by_hand="gate_loss(np.log([[3, 1]]), np.zeros((1, 2)), Advantages(np.array([[1.0, 0.0]]),"
                " np.array([[-0.5, -0.5]]), 2.0), partial(clip, epsilon=0.2))",
        done="PPO, DAPO, dual clip, CISPO and SAPO are this function with one gate or another.  "
             "Predict: at π = π_old, do their gradients differ?",
        equations=("ratios.1",), there=_step_there),
    Exercise(
        "strings", "people.ratios", string_loss,
        "Write the loss of the ratios of strings, GSPO's, for any gate, and its gradient.  "
        "`batch.matrix` is M (n, S·A), `batch.advantages` and `batch.weights` are (n,), and no A "
        "is 0.",
        "from functools import partial\n\nimport numpy as np\n\nfrom minirl.kernel import counts\n"
        "from minirl.kernel.softmax import backward, log_softmax\n"
        "from minirl.people.ratios import clip, unclipped, weighted_strings", _gated_strings,
        mistakes=(
            Mistake("gate_of_steps", "each step goes through the gate with its own ratio, and "
                    "then their mean is taken: that is GRPO.  A string has one ratio, and goes "
                    "through the gate once.",
                    ((string_loss, "_ratios(batch.matrix @ h.ravel())", "_ratios(h.ravel())"),
                     (string_loss, "value, slope = gate(ratio, np.sign(batch.advantages))",
                      "value, slope = (np.where(batch.advantages[:, None] > 0, *both) for both in "
                      "zip(gate(ratio, 1), gate(ratio, -1)))"),
                     (string_loss, "G = -(batch.matrix.T @ (A * slope * ratio))",
                      "M = batch.matrix.toarray()\n    value = (M * value).sum(axis=1)\n"
                      "    G = -((M * slope * ratio).T @ A)"))),
            Mistake("arithmetic_mean", "the ratio of a string is the arithmetic mean of those of "
                    "its steps, M ρ.  The chapter takes the mean of log ρ, and then exp.",
                    ((string_loss, "_ratios(batch.matrix @ h.ravel())",
                      "batch.matrix @ _ratios(h.ravel())"),
                     (string_loss, "(A * slope * ratio)).reshape(logp.shape)",
                      "(A * slope)).reshape(logp.shape) * _ratios(h)"))),
            Mistake("ratio_of_steps_in_gradient", "G has the ratio of each step where the chain "
                    "rule leaves the ratio of its string: ∂ρ_i/∂log π = ρ_i M[i].",
                    ((string_loss, "(A * slope * ratio)).reshape(logp.shape)",
                      "(A * slope)).reshape(logp.shape) * _ratios(h)"),)),
            Mistake("no_ratio", "ρ_i is missing in G: ∂ρ_i/∂log π = ρ_i M[i] (the chain rule).",
                    ((string_loss, "A * slope * ratio", "A * slope"),)),
            Mistake("value_in_gradient", "the value of the gate stands where G has ρ_i times its "
                    "slope.  Where the value is held, the slope is 0.",
                    ((string_loss, "A * slope * ratio", "A * value"),)),
            Mistake("one_sign", "the gate is asked with the sign + for all strings: bad ones are "
                    "clipped on the side of good ones.",
                    ((string_loss, "np.sign(batch.advantages)", "1"),), 31),
            Mistake("no_weights", "`batch.weights` is not used: a string counts with its weight "
                    "times A.",
                    ((string_loss, "A = batch.weights * batch.advantages",
                      "A = batch.advantages"),)),
            Mistake("upside_down", _UPSIDE_DOWN,
                    ((string_loss, "_ratios(batch.matrix @ h.ravel())",
                      "_ratios(-(batch.matrix @ h.ravel()))"),)),
            Mistake("by_columns", _BY_COLUMNS,
                    ((string_loss, "ratio)).reshape(logp.shape)",
                      'ratio)).reshape(logp.shape, order="F")'),))),
        hints=("h = log π − log π_old is a table, and `batch.matrix @ h.ravel()` is log ρ_i, one "
               "number per string.",
               "`gate(ratio, np.sign(batch.advantages))` gives values and slopes, (n,) each.",
               "log ρ_i = Σ M[i] h, so ∂ρ_i/∂log π is ρ_i times row i of M.",
               "`batch.matrix.T @ numbers` brings one number per string back to the entries; the "
               "numbers are weight · A · slope · ρ."),
        by_hand="string_loss(np.log([[3, 1]]), np.zeros((1, 2)), "
                "weighted_strings(counts.steps([0] * 4, [1, 0, 0, 1], [0, 1, 4], (1, 2)), "
                "np.array([-1.0, -2.0]), np.array([1.0, 0.25])), partial(clip, epsilon=0.1))",
        done="With the rows of means this is GSPO and LUSPO, and with those of sums the product of "
             "all ratios.  Predict: at π = π_old and with `weighted_strings`, does it matter "
             "which?",
        equations=("ratios.3",), there=_strings_there),
    Exercise(
        "gmpo", "people.ratios", gmpo_loss,
        "Write the loss of GMPO, −Σ_i weight_i A_i ρ_i with the ρ_i of (ratios.5), and its "
        "gradient.  `batch.matrix` is M (n, S·A), whose rows make means, `batch.advantages` and "
        "`batch.weights` are (n,).",
        "import numpy as np\n\nfrom minirl.kernel import counts\n"
        "from minirl.kernel.softmax import backward, log_softmax\n"
        "from minirl.people.ratios import weighted_strings", _clipped_strings,
        mistakes=(
            Mistake("clip_after_mean", "the mean is taken, and then clipped: that is the order of "
                    "GSPO, in which a string is dead or alive as a whole.  GMPO clips log ρ of "
                    "each step, and then takes the mean.",
                    ((gmpo_loss, "np.minimum(h, epsilon)", "(np.minimum, epsilon)"),
                     (gmpo_loss, "np.maximum(h, -epsilon)", "(np.maximum, -epsilon)"),
                     (gmpo_loss, "pushed = part * _ratios(batch.matrix @ held.ravel())",
                      "mean = batch.matrix @ h.ravel()\n        alive = held[0](mean, held[1]) == "
                      "mean\n        pushed = part * _ratios(held[0](mean, held[1]))"),
                     (gmpo_loss, "(batch.matrix.T @ pushed).reshape(h.shape) * (held == h)",
                      "(batch.matrix.T @ (alive * pushed)).reshape(h.shape)"))),
            Mistake("clipped_alive", "steps that are clipped still have a gradient: where log ρ is "
                    "held, its derivative is 0.",
                    ((gmpo_loss, " * (held == h)", ""),)),
            Mistake("units_of_ratio", "ρ is held at 1 + ε and 1 − ε, as in PPO.  The ε of GMPO "
                    "bounds log ρ, in nats.",
                    ((gmpo_loss, "np.minimum(h, epsilon)", "np.minimum(h, np.log(1 + epsilon))"),
                     (gmpo_loss, "np.maximum(h, -epsilon)",
                      "np.maximum(h, np.log(1 - epsilon))"))),
            Mistake("both_sides", "both sides are clipped for either sign.  A step that has moved "
                    "the wrong way must stay alive, or it is never called back.",
                    ((gmpo_loss, "np.minimum(h, epsilon)", "np.clip(h, -epsilon, epsilon)"),
                     (gmpo_loss, "np.maximum(h, -epsilon)", "np.clip(h, -epsilon, epsilon)")), 31),
            Mistake("wrong_side", "the sides are exchanged: log ρ is at most ε where A > 0, and at "
                    "least −ε where A < 0.",
                    ((gmpo_loss, "np.minimum(h, epsilon)", "np.maximum(h, -epsilon)"),
                     (gmpo_loss, "(np.minimum(A, 0), np.maximum(h, -epsilon))",
                      "(np.minimum(A, 0), np.minimum(h, epsilon))")), 31),
            Mistake("arithmetic_mean", "the ratio of a string is the arithmetic mean of the "
                    "clipped ratios.  GMPO takes the mean of their logarithms, and then exp.",
                    ((gmpo_loss, "_ratios(batch.matrix @ held.ravel())",
                      "(batch.matrix @ _ratios(held.ravel()))"),
                     (gmpo_loss, "(batch.matrix.T @ pushed).reshape(h.shape)",
                      "_ratios(held) * (batch.matrix.T @ part).reshape(h.shape)"))),
            Mistake("left_out", "a clipped step counts as log ρ = 0.  It counts with its bound, ε "
                    "or −ε.",
                    ((gmpo_loss, "np.minimum(h, epsilon)", "np.where(h <= epsilon, h, 0)"),
                     (gmpo_loss, "np.maximum(h, -epsilon)", "np.where(h >= -epsilon, h, 0)"))),
            Mistake("no_ratio", "ρ_i is missing in G: the derivative of exp of a mean is ρ_i "
                    "times that of the mean (the chain rule).",
                    ((gmpo_loss, "(batch.matrix.T @ pushed)", "(batch.matrix.T @ part)"),)),
            Mistake("no_weights", "`batch.weights` is not used: a string counts with its weight "
                    "times A.",
                    ((gmpo_loss, "batch.weights * batch.advantages", "batch.advantages"),))),
        hints=("Good and bad strings hold the same step differently, so make two tables: "
               "min(h, ε) and max(h, −ε).",
               "`batch.matrix @ held.ravel()` is log ρ_i under one of the tables; take the first "
               "one where A > 0, and the second one where A < 0.",
               "∂log ρ_i/∂log π is row i of M, but 0 in the entries where its table is held.",
               "For the good strings `M.T @ (weight · A · ρ)`, reshaped, times `(held == h)`; the "
               "same for the bad ones; −G is their sum."),
        by_hand="gmpo_loss(np.log([[3, 1]]), np.zeros((1, 2)), weighted_strings(counts.steps([0, "
                "0], [0, 1], [0, 2], (1, 2)), np.ones(1), np.full(1, 3.0)), epsilon=0.2)",
        done="A dead step does not silence its string: it has no gradient, but it counts in ρ_i.  "
             "Predict: with a huge ε, is this GSPO without a clip?",
        equations=("ratios.5",), there=_strings_there),
)
