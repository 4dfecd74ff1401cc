"""Exercises of Part 4: losses on pairs."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.counts import difference_matrix, steps
from minirl.kernel.softmax import log_softmax
from minirl.people.dpo import dpo_loss, logistic
from minirl.people.pairs import over_pairs


def _pair_of_batches(rng, pairs, shape):
    """Chosen and rejected strings of random lengths, as `Steps`."""
    for longest in 6, 4:
        starts = np.append(0, np.cumsum(rng.integers(1, longest + 1, pairs)))
        states, actions = (rng.integers(size, size=starts[-1]) for size in shape)
        yield steps(states, actions, starts, shape)


def _dpo_cases():
    """Two tables, and the difference matrix of the pairs."""
    rng = np.random.default_rng(2)
    return [ExerciseCase((rng.normal(size=shape), rng.normal(size=shape),
                  difference_matrix(*_pair_of_batches(rng, B, shape))), {"beta": beta},
                 {"B": B, "beta": beta, "S·A": shape[0] * shape[1]})
            for shape, B, beta in (((4, 3), 5, 0.3), ((3, 5), 7, 0.9), ((6, 2), 4, 2.3))]


def _dpo_there(case, place):
    logits, ref_logits, difference = case.arguments
    h = log_softmax(logits) - log_softmax(ref_logits)
    m = case.keywords["beta"] * (difference @ h.ravel())
    column = difference[:, [place[0] * logits.shape[1] + place[1]]].toarray().ravel()
    pairs = ", ".join(f"{number} (D = {column[number]:+.0f}, m = {m[number]:+.3f})"
                      for number in np.flatnonzero(column))
    return f"h = {h[place]:+.3f}; the pairs that pass there are {pairs or 'none'}"


ON_PREFERENCES = (
    Exercise(
        "dpo", "people.dpo", dpo_loss,
        "Write the loss of DPO, without smoothing or weights, and its gradient.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_sigmoid, "
        "log_softmax\nfrom minirl.people.pairs import choices", _dpo_cases,
        mistakes=(
            Mistake("no_reference", "the reference is not used: m = β D log π.  Without log π_ref "
                    "this is no longer DPO.",
                    ((dpo_loss, "logp, ratios = log_ratios(logits, ref_logits)",
                      "logp = ratios = log_ratios(logits, ref_logits)[0]"),), 10),
            Mistake("swapped", "chosen and rejected are exchanged, or policy and reference are, or "
                    "the sign inside σ is wrong: the policy learns what nobody wanted.",
                    ((logistic, "m = beta * (plus - minus)", "m = beta * (minus - plus)"),
                     (logistic, "slope = -beta", "slope = beta"))),
            Mistake("no_beta", "β is missing in m.",
                    ((logistic, "m = beta * (plus - minus)", "m = plus - minus"),
                     (logistic, "slope = -beta *", "slope = -"))),
            Mistake("beta_not_in_gradient", "β is in the loss but not in the gradient: the chain "
                    "rule through m = β D h leaves a factor β.",
                    ((logistic, "slope = -beta *", "slope = -"),)),
            Mistake("saturated", "σ(m) stands where the gradient has σ(−m): pairs that are ranked "
                    "rightly push hardest.",
                    ((logistic, "np.exp(wrong)", "np.exp(right)"),)),
            Mistake("no_log", "σ stands without its logarithm: L = −mean σ(m).",
                    ((logistic, "return -((1 - label_smoothing) * right + label_smoothing * wrong)",
                      "slope = -beta * np.exp(right + wrong)\n    return -np.exp(right)"),))),
        hints=("`difference @ table.ravel()` is one number per pair.",
               "d(−log σ(m))/dm = −σ(−m), and m = β D h: the chain rule leaves a factor β.",
               "`difference.T @ numbers` brings one number per pair back to the entries of the "
               "table; reshape it.",
               "G is not yet the gradient in the logits: backward(logp, G)."),
        by_hand="dpo_loss(np.array([[0.0, 1.0]]), np.zeros((1, 2)), "
                "choices([1], [0], 2).difference, beta=1.0)",
        done="At logits = ref_logits the loss is log 2.  Predict: is the gradient zero there?",
        equations=("dpo.2",), without=("label_smoothing", "pair_weights"),
        helpers=(logistic, over_pairs), there=_dpo_there),
)
