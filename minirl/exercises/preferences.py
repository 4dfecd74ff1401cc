"""Exercises of Part 4: losses on pairs."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.counts import difference_matrix, matrix, mean_matrix, select, steps
from minirl.kernel.softmax import log_softmax
from minirl.people import orpo
from minirl.people.dpo import dpo_loss, logistic
from minirl.people.ipo import ipo_loss, squared
from minirl.people.kto import kto_loss
from minirl.people.orpo import log_odds, orpo_loss
from minirl.people.pairs import over_pairs
from minirl.people.simpo import simpo_loss
from minirl.plain import dpo as plain

SIZES = ((4, 3), 5, 0.3), ((3, 5), 7, 0.9), ((6, 2), 4, 2.3)  # the table, the pairs, and β


# Cases.


def _pair_of_batches(rng, pairs, shape):
    """Chosen and rejected strings of random lengths, as `Steps`."""
    for longest in 6, 4:
        starts = np.append(0, np.cumsum(rng.integers(1, longest + 1, pairs)))
        states, actions = (rng.integers(size, size=starts[-1]) for size in shape)
        yield steps(states, actions, starts, shape)


def _difference_cases():
    """Two tables, and the difference matrix of the pairs."""
    rng = np.random.default_rng(2)
    return [ExerciseCase((rng.normal(size=shape), rng.normal(size=shape),
                          difference_matrix(*_pair_of_batches(rng, B, shape))), {"beta": beta},
                         {"B": B, "beta": beta, "S·A": shape[0] * shape[1]})
            for shape, B, beta in SIZES]


def _loop_cases():
    """Two tables, the pairs as lists of (s, a), and the price."""
    rng = np.random.default_rng(3)
    return [ExerciseCase((rng.normal(size=shape), rng.normal(size=shape),
                          list(zip(*map(_lists, _pair_of_batches(rng, B, shape)))), beta),
                         factors={"B": B, "beta": beta, "S·A": shape[0] * shape[1]})
            for shape, B, beta in SIZES]


def _lists(strings):
    """Steps as a list of (s, a) for each string."""
    both = [divmod(number, strings.shape[1]) for number in strings.index.tolist()]
    return [both[i:j] for i, j in zip(strings.starts, strings.starts[1:])]


def _label_cases():
    """Two tables, and the counts of liked strings and of disliked ones, which are fewer."""
    rng, cases = np.random.default_rng(4), []
    for (shape, B, beta), fewer, z0 in zip(SIZES, (2, 3, 1), (0.7, 0.2, 1.4)):
        liked, disliked = _pair_of_batches(rng, B, shape)
        cases.append(ExerciseCase(
            (rng.normal(size=shape), rng.normal(size=shape), matrix(liked),
             matrix(select(disliked, np.arange(B - fewer)))), {"beta": beta, "z0": z0},
            {"n": 2 * B - fewer, "beta": beta, "S·A": shape[0] * shape[1]}))
    return cases


def _mean_cases(leads=None):
    """A table, and the means of chosen and of rejected strings; leads too, if SimPO asks."""
    rng = np.random.default_rng(5)
    return [ExerciseCase((rng.normal(size=shape),
                          *map(mean_matrix, _pair_of_batches(rng, B, shape))),
                         {"beta": beta} | lead,
                         {"B": B, "beta": beta, "S·A": shape[0] * shape[1]} | lead)
            for (shape, B, beta), lead in zip(SIZES, leads or 3 * [{}])]


def _lead_cases():
    return _mean_cases([{"simpo_gamma": lead} for lead in (1.7, 0.4, 0.6)])


def _odds_cases():
    """Log-probabilities: usual ones, a table of them, far from 0, and all of them near 0."""
    rng = np.random.default_rng(6)
    return [ExerciseCase((x,)) for x in (-rng.exponential(size=5), -rng.exponential(size=(2, 3)),
                                         np.array([-3.0, -40.0, -300.0]),
                                         np.array([-1e-3, -2e-5, -1e-6]),
                                         np.array([-3e-12, -1e-12]))]


# The numbers that matter at an entry.


def _log_ratios_there(case, place):
    logits, ref_logits = case.arguments[:2]
    h = log_softmax(logits) - log_softmax(ref_logits)
    return h, f"h = {h[place]:+.3f}"


def _column(rows, place, shape):
    """The entries of a sparse matrix at a place of the table, one per row."""
    return rows[:, [place[0] * shape[1] + place[1]]].toarray().ravel()


def _pairs_there(columns, numbers, name):
    """The pairs that have an entry in a column, with the entries and a number for each."""
    pairs = []
    for at in np.flatnonzero(np.any(list(columns.values()), axis=0)):
        entries = "".join(f"{head} = {column[at]:.3g}, " for head, column in columns.items())
        pairs.append(f"{at} ({entries}{name} = {numbers[at]:+.3f})")
    if not pairs:
        return f"{' = '.join(columns)} = 0 in all pairs"
    return f"the pairs that count there: {', '.join(pairs)}"


def _dpo_there(case, place):
    h, said = _log_ratios_there(case, place)
    difference = case.arguments[2]
    m = case.keywords["beta"] * (difference @ h.ravel())
    return f"{said}; {_pairs_there({'D': _column(difference, place, h.shape)}, m, 'm')}"


def _loop_there(case, place):
    h, said = _log_ratios_there(case, place)
    pairs, beta = case.arguments[2:]
    m = [beta * (sum(h[step] for step in won) - sum(h[step] for step in lost))
         for won, lost in pairs]
    column = np.array([won.count(place) - lost.count(place) for won, lost in pairs])
    return f"{said}; {_pairs_there({'D': column}, m, 'm')}"


def _ipo_there(case, place):
    h, said = _log_ratios_there(case, place)
    difference = case.arguments[2]
    columns = {"D": _column(difference, place, h.shape)}
    there = _pairs_there(columns, difference @ h.ravel(), "lead")
    return f"{said}; the lead asked for is {1 / (2 * case.keywords['beta']):.3f}; {there}"


def _kto_there(case, place):
    h, said = _log_ratios_there(case, place)
    for sign, X, kind in ((1, case.arguments[2], "liked"), (-1, case.arguments[3], "disliked")):
        m = sign * case.keywords["beta"] * (X @ h.ravel() - case.keywords["z0"])
        column = _column(X, place, h.shape)
        said += f"; {kind} " + (", ".join(
            f"{number} (X = {column[number]:g}, m = {m[number]:+.3f})"
            for number in np.flatnonzero(column)) or "none")
    return said


def _means_there(case, place, margins, name="m"):
    logits, chosen, rejected = case.arguments
    logp = log_softmax(logits)
    m = margins(*(M @ logp.ravel() for M in (chosen, rejected)))
    columns = {head: _column(M, place, logp.shape)
               for head, M in (("M⁺", chosen), ("M⁻", rejected))}
    return f"log π = {logp[place]:+.3f}; {_pairs_there(columns, m, name)}"


def _simpo_there(case, place):
    beta, lead = case.keywords["beta"], case.keywords["simpo_gamma"]
    return _means_there(case, place, lambda plus, minus: beta * (plus - minus) - lead, "m − lead")


def _orpo_there(case, place):
    return _means_there(case, place, lambda plus, minus: log_odds(plus)[0] - log_odds(minus)[0])


# Mistakes that several losses share.


def _no_reference(function, form):
    return Mistake(
        "no_reference", f"the reference is not used: log π stands where {form} has the log-ratio "
        "h = log π − log π_ref, and nothing says any more what the policy was like before.",
        ((function, "logp, ratios = log_ratios(logits, ref_logits)",
          "logp = ratios = log_ratios(logits, ref_logits)[0]"),), 10)


def _at_reference(function):
    return Mistake(
        "at_reference", "the backward pass is taken at the table of the reference: π_ref Σ G "
        "stands where (softmax.3) has π Σ G.  It is the policy's logits that are trained.",
        ((function, "logp, ratios = log_ratios(logits, ref_logits)",
          "logp, ratios = log_ratios(logits, ref_logits)\n    logp = logp - ratios"),))


def _of_logits(function):
    return Mistake(
        "of_logits", "the difference of the logits stands where the loss has that of log π.  They "
        "differ by a constant in each row, which cancels only if both strings are equally often "
        "in each state.",
        ((function, "logp, ratios = log_ratios(logits, ref_logits)",
          "logp, ratios = log_ratios(logits, ref_logits)\n    ratios = logits - ref_logits"),))


def _by_columns(function, rows):
    return Mistake(
        "by_columns", "the gradient has the right numbers in the wrong places: G was filled column "
        f"by column.  The columns of {rows} go through the table row by row, so that number "
        "s · A + a is [s, a]: `reshape(logits.shape)` does this.",
        ((function, "G.reshape(logp.shape)", 'G.reshape(logp.shape, order="F")'),))


SWAPPED = ("chosen and rejected are exchanged, or policy and reference are, or the sign inside σ "
           "is wrong: the policy learns what nobody wanted.")
NO_LOG = ("no_log", "σ stands without its logarithm: L is a mean of −σ.  A pair that is ranked "
          "wrongly by far then hardly pushes any more.",
          ((logistic, "return -((1 - label_smoothing) * right + label_smoothing * wrong)",
            "slope = -beta * np.exp(right + wrong)\n    return -np.exp(right)"),))
SATURATED = ("saturated", "σ(x) stands where the gradient has σ(−x), x being what is inside σ in "
             "the loss: pairs that are ranked rightly push hardest.")
NO_EXP = ("log σ(−x) stands where the gradient has σ(−x), x being what is inside σ in the loss: "
          "np.exp is missing.  A logarithm is negative, so that every pair pushes the wrong way.")
NO_BETA = "β is missing in m: whatever β is asked for, the policy is trained as if it were 1."
ONE_MARGIN = ("the mean over pairs is taken inside σ, of the margins, where the loss is the mean "
              "of −log σ: a pair with a large margin excuses all others.",
              ((logistic, "m = beta * (plus - minus)",
                "m = np.mean(beta * (plus - minus)) + 0 * plus"),))
CANCELLED = ("1 − π̄ has lost its digits where π̄ is near 1: np.exp(log π̄) is rounded to 1e-16 "
             "before the difference is taken, and np.log1p cannot bring them back.  Take "
             "-np.expm1(log π̄).")

LOOPED = "for s, a in string:\n                grad[s] += sign * push * pi[s]\n" \
         "                grad[s, a] -= sign * push"


ON_PREFERENCES = (
    Exercise(
        "dpo", "people.dpo", dpo_loss,
        "Write the loss of DPO, without smoothing or weights, and its gradient.  The "
        "log-ratio h = log π − log π_ref of a string is the sum over its steps.  `difference` is "
        "D: a sparse matrix with a row per pair and a column per entry of the table, which counts "
        "a step of the chosen string as 1 and one of the rejected string as −1.",
        "import numpy as np\nfrom scipy.sparse import csr_array  # to try it\n\n"
        "from minirl.kernel.softmax import backward, log_sigmoid, log_softmax", _difference_cases,
        mistakes=(
            Mistake("no_exp", NO_EXP, ((logistic, "np.exp(wrong)", "wrong"),)),
            _no_reference(dpo_loss, "(dpo.2)"),
            Mistake("swapped", SWAPPED,
                    ((logistic, "m = beta * (plus - minus)", "m = beta * (minus - plus)"),
                     (logistic, "slope = -beta", "slope = beta"))),
            Mistake("no_beta", NO_BETA,
                    ((logistic, "m = beta * (plus - minus)", "m = plus - minus"),
                     (logistic, "slope = -beta *", "slope = -"))),
            Mistake(*SATURATED, ((logistic, "np.exp(wrong)", "np.exp(right)"),)),
            _of_logits(dpo_loss),
            _at_reference(dpo_loss),
            _by_columns(over_pairs, "D"),
            Mistake(*NO_LOG),
            Mistake("one_margin", *ONE_MARGIN),
            Mistake("log_of_mean", "the mean over pairs is taken inside the logarithm, of σ(m), "
                    "where (dpo.2) has the mean of log σ(m).  The comparisons are independent: "
                    "their probabilities multiply, and so their logarithms add up.",
                    ((over_pairs, "G = rows.T @ (w * slope)",
                      "likely = w * np.exp(-value)\n"
                      "        G = rows.T @ (likely / likely.sum() * slope)"),
                     (over_pairs, "return (w * value).sum()",
                      "return -np.log((w * np.exp(-value)).sum())")))),
        hints=("`difference @ table.ravel()` is one number per pair.",
               "d(−log σ(m))/dm = −σ(−m), and m = β D h: the chain rule leaves a factor β.",
               "`difference.T @ numbers` brings one number per pair back to the entries of the "
               "table; reshape it.",
               "G is not yet the gradient in the logits: backward(logp, G)."),
        by_hand="dpo_loss(np.log([[1, 3]]), np.zeros((1, 2)), csr_array([[0, 1], [1, -1]]), "
                "beta=3.0)",
        done="At logits = ref_logits the loss is log 2.  Predict: is the gradient zero there?",
        equations=("dpo.2",), without=("label_smoothing", "pair_weights"),
        helpers=(logistic, over_pairs), there=_dpo_there),
    Exercise(
        "dpo_loop", "people.dpo", plain.loss,
        "Write the loss of DPO and its gradient once more, as loops over pairs and steps.  `theta` "
        "and `ref` are the logits of policy and reference, and `pairs` is a list of (y_w, y_l), "
        "chosen and rejected.  The log-ratio h = log π − log π_ref of a string is the sum over "
        "its steps.",
        "import numpy as np\n\nfrom minirl.plain.dpo import softmax", _loop_cases,
        mistakes=(
            Mistake("no_reference", "the reference is not used: log π stands where (dpo.2) has the "
                    "log-ratio h = log π − log π_ref, and nothing says any more what the "
                    "policy was like before.",
                    ((plain.loss, "pi, pi_ref = softmax(theta), softmax(ref)",
                      "pi, pi_ref = softmax(theta), np.ones(theta.shape)"),), 10),
            Mistake("swapped", SWAPPED,
                    ((plain.loss, "for y_w, y_l in pairs:", "for y_l, y_w in pairs:"),)),
            Mistake("no_policy", "the gradient has e_a where ∇ log π(a|s) = e_a − π(·|s): a higher "
                    "logit of one action lowers log π of all others in its row.",
                    ((plain.loss, "grad[s] += sign * push * pi[s]", "grad[s] += 0 * pi[s]"),)),
            Mistake("means", "the mean of the log-ratios over the steps of a string stands where "
                    "h of (dpo.1) is their sum: log π(y) of a string is a sum over its steps.",
                    ((plain.loss, "margin = beta * sum(", "margin = beta / len(y_w) * sum("),
                     (plain.loss, "margin -= beta * sum(", "margin -= beta / len(y_l) * sum("),
                     (plain.loss, "(y_w, 1), (y_l, -1)",
                      "(y_w, 1 / len(y_w)), (y_l, -1 / len(y_l))")), 11),
            Mistake("no_beta", NO_BETA,
                    ((plain.loss, "margin = beta * sum(", "margin = sum("),
                     (plain.loss, "margin -= beta * sum(", "margin -= sum("),
                     (plain.loss, "push = beta * np", "push = np"))),
            Mistake("no_exp", NO_EXP, ((plain.loss, "np.exp(-np.logaddexp(0, margin))",
                                        "-np.logaddexp(0, margin)"),)),
            Mistake(*SATURATED, ((plain.loss, "np.logaddexp(0, margin)",
                                  "np.logaddexp(0, -margin)"),)),
            Mistake("no_logarithms", "the ratios π/π_ref of the two strings stand where (dpo.2) "
                    "has their logarithms, as is often printed.  To lower the rejected string can "
                    "then raise the margin by no more than β times its present ratio.",
                    ((plain.loss, "margin = beta * sum(np.log(pi[s, a] / pi_ref[s, a]) "
                      "for s, a in y_w)",
                      "one, other = (np.prod([pi[s, a] / pi_ref[s, a] for s, a in y]) "
                      "for y in (y_w, y_l))\n        margin = beta * one"),
                     (plain.loss, "margin -= beta * sum(np.log(pi[s, a] / pi_ref[s, a]) "
                      "for s, a in y_l)", "margin -= beta * other"),
                     (plain.loss, "(y_w, 1), (y_l, -1)", "(y_w, one), (y_l, -other)"))),
            Mistake("own_entry_only", "each step changes the gradient at its own entry only, by "
                    "1 − π(a|s); ∇ log π(a|s) = e_a − π(·|s) has an entry for each action of the "
                    "row.",
                    ((plain.loss, "grad[s] += sign * push * pi[s]",
                      "grad[s, a] += sign * push * pi[s, a]"),)),
            Mistake("repeats_lost", "where a string comes to a state or a step twice, only one of "
                    "the two is added: `grad[states] += x` adds once at each index.  Take a loop, "
                    "or np.add.at.",
                    ((plain.loss, LOOPED, "states, actions = map(list, zip(*string))\n"
                      "            grad[states] += sign * push * pi[states]\n"
                      "            grad[states, actions] -= sign * push"),), 41)),
        hints=("The margin of a pair is β times the difference of two sums over steps of "
               "log(π/π_ref).",
               "−log σ(m) is `np.logaddexp(0, -margin)`, which never overflows.",
               "d(−log σ(m))/dm = −σ(−m), so each step of the chosen string adds "
               "−β σ(−m) ∇ log π(a|s), and each step of the rejected one takes it away.",
               "With push = β σ(−m)/B: `grad[s] += push * pi[s]; grad[s, a] -= push` for each step "
               "of y_w, and the opposite for y_l."),
        by_hand="loss(np.log([[1, 3]]), np.zeros((1, 2)), [([(0, 1), (0, 1)], [(0, 1)]), ([(0, "
                "0)], [(0, 1)])], 3.0)",
        done="Count a batch once, and all these loops become D h and Dᵀ σ(−m).  Predict: what does "
             "a step contribute that the two strings of a pair share?",
        equations=("dpo.2",), through_softmax=False, there=_loop_there),
    Exercise(
        "ipo", "people.ipo", ipo_loss,
        "Write the loss of IPO, without weights, and its gradient.  As for DPO, the log-ratio "
        "h = log π − log π_ref of a string is the sum over its steps, `difference` is D, with a "
        "row per pair, and `ref_logits` is the table of the reference.  `beta` is τ.",
        "import numpy as np\nfrom scipy.sparse import csr_array  # to try it\n\n"
        "from minirl.kernel.softmax import backward, log_softmax", _difference_cases,
        mistakes=(
            _no_reference(ipo_loss, "(ipo.1)"),
            Mistake("lead_doubled", "a lead of 1/τ is asked for, where (ipo.1) asks for 1/(2τ).",
                    ((squared, "1 / (2 * beta)", "1 / beta"),)),
            Mistake("lead_times_price", "a lead of τ/2 is asked for, where (ipo.1) asks for "
                    "1/(2τ): `1 / 2 * beta` is (1/2) · τ.  A dearer nat must make it smaller.",
                    ((squared, "1 / (2 * beta)", "1 / 2 * beta"),)),
            Mistake("margin_of_dpo", "the lead is multiplied by τ, as the margin of DPO is by β; "
                    "(ipo.1) has the lead h⁺ − h⁻ itself, and τ only in 1/(2τ).",
                    ((squared, "missing = plus - minus - 1", "missing = beta * (plus - minus) - 1"),
                     (squared, "2 * missing, -2 * missing",
                      "2 * beta * missing, -2 * beta * missing"))),
            Mistake("swapped", "1/(2τ) is added to the lead, where (ipo.1) takes it away, or "
                    "chosen and rejected are exchanged: the rejected string is asked to lead.",
                    ((squared, "- 1 / (2 * beta)", "+ 1 / (2 * beta)"),)),
            Mistake("never_called_back", "a pair that leads by more than 1/(2τ) costs nothing.  "
                    "The square of (ipo.1) calls it back.",
                    ((squared, "missing = plus - minus - 1 / (2 * beta)",
                      "missing = np.minimum(plus - minus - 1 / (2 * beta), 0)"),)),
            Mistake("square_of_mean", "the mean over pairs is taken inside the square: one lead "
                    "too large makes up for one too small, where (ipo.1) has a square for each "
                    "pair.",
                    ((squared, "missing = plus - minus - 1 / (2 * beta)",
                      "missing = np.mean(plus - minus - 1 / (2 * beta)) + 0 * plus"),)),
            _of_logits(ipo_loss),
            _at_reference(ipo_loss),
            _by_columns(over_pairs, "D")),
        hints=("The leads are `difference @ h.ravel()`, one per pair, with h = log π − log π_ref.",
               "The derivative of (lead − 1/(2τ))² in the lead is twice what is squared.",
               "∂lead_i/∂log π is row i of D, so that `difference.T @ numbers` brings one number "
               "per pair back to the table.",
               "G = 2/B times `difference.T @ (lead - 1 / (2 * beta))`, reshaped; then "
               "backward(logp, G)."),
        by_hand="ipo_loss(np.log([[1, 3]]), np.zeros((1, 2)), csr_array([[0, 1], [1, -1]]), "
                "beta=2.0)",
        done="The loss is zero where every pair leads by 1/(2τ), and a pair that leads by more is "
             "called back.  Predict: can three pairs A over B, B over C, A over C all have it?",
        equations=("ipo.1",), without=("pair_weights",), helpers=(squared, over_pairs),
        there=_ipo_there),
    Exercise(
        "kto", "people.kto", kto_loss,
        "Write the loss of KTO and its gradient, with all weights w = 1.  The log-ratio "
        "h = log π − log π_ref of a string is the sum over its steps.  B is the number of strings "
        "of both kinds together.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_sigmoid, "
        "log_softmax\nfrom minirl.people.pairs import choices", _label_cases,
        mistakes=(
            _no_reference(kto_loss, "(kto.1)"),
            Mistake("slope_of_log", "the gradient has σ(−m), the slope of log σ; that of σ is "
                    "σ(m) σ(−m).",
                    ((kto_loss, "missing * np.exp(log_sigmoid(m))", "missing"),)),
            Mistake("no_exp", "log σ(m) log σ(−m) stands where the gradient has σ(m) σ(−m): np.exp "
                    "is missing.",
                    ((kto_loss, "missing * np.exp(log_sigmoid(m))",
                      "log_sigmoid(-m) * log_sigmoid(m)"),)),
            Mistake("logarithm", "the loss is −log σ(m), as in DPO, where (kto.1) has 1 − σ(m): a "
                    "string that is quite wrong is not given up, but pushes most.",
                    ((kto_loss, "loss + missing.sum() / B", "loss - log_sigmoid(m).sum() / B"),
                     (kto_loss, "missing * np.exp(log_sigmoid(m))", "missing"))),
            Mistake("swapped", "liked and disliked are exchanged, or σ(m) stands where the loss "
                    "has 1 − σ(m): the policy learns what nobody wanted.",
                    ((kto_loss, "desirable_weight, 1), (minus, undesirable_weight, -1)",
                      "desirable_weight, -1), (minus, undesirable_weight, 1)"),)),
            Mistake("mean_of_each_kind", "the mean of each kind is taken over its own strings, and "
                    "then both are added; (kto.1) divides by B, the number of all strings.",
                    ((kto_loss, "loss, G, B = 0.0, 0.0, plus.shape[0] + minus.shape[0]",
                      "loss, G = 0.0, 0.0"),
                     (kto_loss, "m = sign", "B = X.shape[0]\n        m = sign"))),
            Mistake("point_not_turned", "the point z₀ is subtracted after the sign: m = −βh − βz₀ "
                    "for a disliked string, where (kto.1) has −β(h − z₀) = −βh + βz₀.",
                    ((kto_loss, "m = sign * beta * (X @ ratios.ravel() - z0)",
                      "m = beta * (sign * (X @ ratios.ravel()) - z0)"),)),
            Mistake("point_in_reward", "β multiplies h only: βh − z₀ stands where (kto.1) has "
                    "β(h − z₀).  z₀ is in nats, like h.",
                    ((kto_loss, "m = sign * beta * (X @ ratios.ravel() - z0)",
                      "m = sign * (beta * (X @ ratios.ravel()) - z0)"),)),
            Mistake("sign_not_in_gradient", "disliked strings have the sign of liked ones in the "
                    "gradient: ∂m/∂h is −β for them.",
                    ((kto_loss, "G - sign * beta / B", "G - beta / B"),)),
            Mistake("no_beta", NO_BETA,
                    ((kto_loss, "m = sign * beta *", "m = sign *"),
                     (kto_loss, "G - sign * beta / B", "G - sign / B"))),
            _by_columns(kto_loss, "both matrices")),
        hints=("`chosen @ h.ravel()` is the log-ratio of each liked string; those of `rejected` "
               "are treated alike, with the other sign.",
               "dσ(m)/dm = σ(m) σ(−m), and 1 − σ(m) = σ(−m) = np.exp(log_sigmoid(-m)).",
               "∂m/∂log π is β times a row of `chosen`, and −β times a row of `rejected`; z₀ is "
               "held constant.",
               "For the liked strings G has −β/B · `chosen.T @ (σ(m) σ(−m))`, for the others "
               "+β/B · `rejected.T @ (σ(m) σ(−m))`; reshape, and then backward(logp, G)."),
        by_hand="kto_loss(np.log([[1, 3]]), np.zeros((1, 2)), *choices([1], [0], 2).counts, "
                "beta=2.0, z0=np.log(2))",
        done="σ(m) σ(−m) is small on both sides: KTO leaves alone what is right by far, and gives "
             "up what is wrong by far.  Predict: what moves if a string was liked once and "
             "disliked once?",
        equations=("kto.1",),
        without=("desirable_weight", "undesirable_weight"),
        there=_kto_there),
    Exercise(
        "simpo", "people.simpo", simpo_loss,
        "Write the loss of SimPO, without weights, and its gradient: the mean over pairs of "
        "−log σ(m − lead), with m = β (M⁺ − M⁻) log π.  `chosen` and `rejected` are M⁺ and M⁻: "
        "a row times log π is log π(y)/|y|, the mean over the steps of a string.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_sigmoid, "
        "log_softmax\nfrom minirl.people.pairs import choices", _lead_cases,
        mistakes=(
            Mistake("no_exp", NO_EXP, ((logistic, "np.exp(wrong)", "wrong"),)),
            Mistake("lead_inside", "the lead stands inside the price: β (difference − lead), where "
                    "(simpo.1) has m − lead, beside β.  The lead is in units of reward.",
                    ((simpo_loss, "minus + simpo_gamma / beta", "minus + simpo_gamma"),), 15),
            Mistake("swapped", "chosen and rejected are exchanged, or the sign of m is wrong: the "
                    "policy learns what nobody wanted.",
                    ((simpo_loss, "check_means(chosen, rejected, logp)",
                      "check_means(rejected, chosen, logp)"),)),
            Mistake("lead_added", "the lead is added to the margin, where (simpo.1) subtracts it: "
                    "the chosen string need not lead, and may even be behind.",
                    ((simpo_loss, "minus + simpo_gamma / beta", "minus - simpo_gamma / beta"),)),
            Mistake("lead_not_in_gradient", "the gradient has σ(−m), where that of −log σ(m − "
                    "lead) has σ(lead − m).",
                    ((simpo_loss, "return logistic(plus, minus + simpo_gamma / beta, beta=beta)",
                      "return (logistic(plus, minus + simpo_gamma / beta, beta=beta)[:1]\n"
                      "                + logistic(plus, minus, beta=beta)[1:])"),)),
            Mistake("no_lead", "the lead is missing: −log σ(m), where (simpo.1) has "
                    "−log σ(m − lead).",
                    ((simpo_loss, "minus + simpo_gamma / beta", "minus"),)),
            Mistake("no_beta", NO_BETA,
                    ((simpo_loss, "minus + simpo_gamma / beta, beta=beta",
                      "minus + simpo_gamma, beta=1.0"),)),
            Mistake(*SATURATED, ((logistic, "np.exp(wrong)", "np.exp(right)"),)),
            Mistake("one_margin", *ONE_MARGIN),
            Mistake(*NO_LOG),
            _by_columns(over_pairs, "M⁺ and M⁻")),
        hints=("`chosen @ logp.ravel()` is log π(y⁺)/|y⁺|, one number per pair.",
               "With x = m − lead, the loss is −mean log σ(x), and d(−log σ(x))/dx = −σ(−x).",
               "∂m_i/∂log π is β times row i of M⁺ − M⁻.",
               "G = −β/B times `(chosen - rejected).T @ σ(lead − m)`, reshaped; then "
               "backward(logp, G)."),
        by_hand="simpo_loss(np.log([[1, 3]]), *choices([1, 1, 0], [0, 0, 1], 2).means, beta=2.0, "
                "simpo_gamma=np.log(3))",
        done="No reference holds this policy.  Predict: where the longer string was preferred, is "
             "the end of a string pushed up or down?",
        equations=("simpo.1",), without=("pair_weights",), helpers=(logistic, over_pairs),
        there=_simpo_there),
    Exercise(
        "log_odds", "people.orpo", log_odds,
        "Write the log-odds and their derivative so that no digits are lost where π̄ is nearly 1, "
        "as in log π̄ = −1e-12.  That π̄ is 1 up to rounding does not occur here.",
        "import numpy as np", _odds_cases,
        mistakes=(
            Mistake("cancelled", CANCELLED, ((log_odds, "-np.expm1(log_p)", "1 - np.exp(log_p)"),),
                    16),
            Mistake("cancelled_in_value", f"in the value, {CANCELLED}",
                    ((log_odds, "np.log(rest)", "np.log(1 - np.exp(log_p))"),), 16),
            Mistake("cancelled_in_slope", f"in the derivative, {CANCELLED}",
                    ((log_odds, "1 / rest, 1.0)", "1 / (1 - np.exp(log_p)), 1.0)"),), 16),
            Mistake("in_the_probability", "the derivative is that in π̄, 1/(π̄ (1 − π̄)); that in "
                    "log π̄ has a factor π̄ more (the chain rule).",
                    ((log_odds, "1 / rest, 1.0)", "1 / (np.exp(log_p) * rest), 1.0)"),)),
            Mistake("own_part_missing", "the derivative is π̄/(1 − π̄), that of −log(1 − π̄): the "
                    "1 of log π̄ itself is missing.",
                    ((log_odds, "1 / rest, 1.0)", "np.exp(log_p) / rest, 1.0)"),)),
            Mistake("product", "the logarithm of 1 − π̄ is added, where that of the "
                    "quotient π̄/(1 − π̄) takes it away.",
                    ((log_odds, "log_p - np.log(rest)", "log_p + np.log(rest)"),)),
            Mistake("no_log", "the odds stand there, π̄/(1 − π̄), and not their logarithm.",
                    ((log_odds, "log_p - np.log(rest)", "np.exp(log_p) / rest"),))),
        hints=("log(π̄/(1 − π̄)) is a difference of two logarithms, and the first one is given.",
               "Both need 1 − π̄.  np.exp(-1e-12) is rounded to the 16th digit, and only four "
               "digits are left of its distance to 1.",
               "`np.expm1(x)` is exp(x) − 1 to all digits.",
               "With rest = -np.expm1(log_p): the value is log_p − log(rest), the slope 1/rest."),
        by_hand="log_odds(np.array([np.log(0.2), -1e-15]))",
        done="The book also takes log π̄ = 0: the log-odds are held at 37 there, since 1 − π̄ is "
             "below what can be told.  Predict: how steep are they at π̄ = 0.999?",
        results=("value", "slope")),
    Exercise(
        "orpo", "people.orpo", orpo_loss,
        "Write the loss of ORPO, without weights, and its gradient.  `chosen` and `rejected` are "
        "M⁺ and M⁻: row i times log π is log π̄ of a string, the mean over its steps; `beta` is λ.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_sigmoid, "
        "log_softmax\nfrom minirl.people.orpo import log_odds\n"
        "from minirl.people.pairs import choices", _mean_cases,
        mistakes=(
            Mistake("no_exp", NO_EXP, ((orpo.odds, "np.exp(log_sigmoid(bad - good))",
                                        "log_sigmoid(bad - good)"),)),
            Mistake("slope_missing", "the derivative of the log-odds in log π̄ is missing in the "
                    "gradient: 1/(1 − π̄), which `log_odds` returns too.",
                    ((orpo.odds, "-1 - push * slope, push * other_slope", "-1 - push, push"),)),
            Mistake("log_probabilities", "the margin m is the difference of log π̄, where "
                    "(orpo.1) has that of the log-odds: −log(1 − π̄) is missing.",
                    ((orpo.odds, "(good, slope), (bad, other_slope) = log_odds(plus), "
                      "log_odds(minus)",
                      "(good, slope), (bad, other_slope) = (plus, 1), (minus, 1)"),)),
            Mistake("printed_sign", "the part of the odds has the wrong sign in the gradient, as "
                    "in print: the gradient of −log σ(m) is −σ(−m) ∇m.",
                    ((orpo.odds, "-1 - push * slope, push * other_slope",
                      "-1 + push * slope, -push * other_slope"),), 17),
            Mistake("weight_inside", "λ stands inside σ, as β does in DPO: −log σ(λ m), where "
                    "(orpo.1) has −λ log σ(m).",
                    ((orpo.odds, "log_sigmoid(bad - good)", "log_sigmoid(beta * (bad - good))"),
                     (orpo.odds, "beta * log_sigmoid(good - bad)",
                      "log_sigmoid(beta * (good - bad))"))),
            Mistake("no_imitation", "the first term, −log π̄(y⁺), is missing: it is what holds "
                    "this policy, in the place of a reference.",
                    ((orpo.odds, "return -plus - beta", "return -beta"),
                     (orpo.odds, "-1 - push * slope, push", "-push * slope, push"))),
            Mistake(*SATURATED, ((orpo.odds, "push = beta * np.exp(log_sigmoid(bad - good))",
                                  "push = beta * np.exp(log_sigmoid(good - bad))"),)),
            Mistake("margin_turned", "the sign inside σ is wrong: the odds of the rejected string "
                    "are asked to lead, although the chosen one is imitated.",
                    ((orpo.odds, "push = beta * np.exp(log_sigmoid(bad - good))",
                      "push = -beta * np.exp(log_sigmoid(good - bad))"),
                     (orpo.odds, "return -plus - beta * log_sigmoid(good - bad)",
                      "return -plus - beta * log_sigmoid(bad - good)"))),
            Mistake("swapped", "chosen and rejected are exchanged, in the odds and in the "
                    "imitation: the policy learns what nobody wanted.",
                    ((orpo_loss, "check_means(chosen, rejected, logp)",
                      "check_means(rejected, chosen, logp)"),)),
            Mistake("weight_on_imitation", "λ weighs the imitation, −log π̄(y⁺), where in (orpo.1) "
                    "it weighs −log σ(m).",
                    ((orpo.odds, "push = beta *", "push ="),
                     (orpo.odds, "return -plus - beta * log", "return -beta * plus - log"),
                     (orpo.odds, "-1 - push * slope, push", "-beta - push * slope, push"))),
            _by_columns(over_pairs, "M⁺ and M⁻")),
        hints=("`chosen @ logp.ravel()` is log π̄(y⁺), one number per pair; `log_odds` of it gives "
               "the log-odds, and their derivative in log π̄.",
               "The loss has two terms, and log π̄(y⁺) is in both: −1 from the imitation, and "
               "−λ σ(−m) times the slope of its log-odds.",
               "log π̄(y⁻) is in the second one only, with λ σ(−m) times the slope of its own.",
               "G = −1/B times `chosen.T @ (1 + push * up) − rejected.T @ (push * down)`, with "
               "push = λ σ(−m); reshape, and then backward(logp, G)."),
        by_hand="orpo_loss(np.log([[1, 3]]), *choices([1], [0], 2).means, beta=2.0)",
        done="The 1 in the bracket of (orpo.2) never fades: ORPO goes on imitating.  Predict: if "
             "a pair is ranked rightly by far, which of its two strings still moves?",
        equations=("orpo.1",), without=("pair_weights",), helpers=(orpo.odds, log_odds),
        there=_orpo_there),
)
