"""Exercises of Part 4: reward models, groups, and what is trained on them."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.people.reward_model import (bradley_terry_loss, logistic_loss, plackett_luce_loss,
                                        squared_loss)

# Cases.


def _strings(rng, number, shape, longest):
    """Strings of random lengths, at least one step each, as `counts.Steps`."""
    starts = np.append(0, np.cumsum(rng.integers(1, longest + 1, number)))
    states, actions = (rng.integers(size, size=starts[-1]) for size in shape)
    return counts.steps(states, actions, starts, shape)


def _compared():
    """A reward table, and the difference matrix of the pairs."""
    rng = np.random.default_rng(1)
    return [ExerciseCase((rng.normal(size=shape), counts.difference_matrix(
        _strings(rng, B, shape, 6), _strings(rng, B, shape, 4))),
        factors={"B": B, "S·A": shape[0] * shape[1]})
        for shape, B in (((4, 3), 5), ((3, 5), 7), ((7, 2), 4))]


def _ranked():
    """A reward table, the strings of some prompts from best to worst, and their number."""
    rng = np.random.default_rng(2)
    return [ExerciseCase((rng.normal(size=shape),
                          counts.matrix(_strings(rng, prompts * K, shape, 4)), K),
                         factors={"prompts": prompts, "num_generations": K,
                                  "K(K − 1)/2": K * (K - 1) / 2, "S·A": shape[0] * shape[1]})
            for shape, prompts, K in (((4, 3), 3, 4), ((3, 5), 7, 3), ((7, 2), 4, 5))]


def _judged(verdicts):
    """A reward table, strings, and `verdicts(rng, B)` on them."""
    rng = np.random.default_rng(3)
    for shape, B in ((4, 3), 5), ((3, 5), 7), ((7, 2), 4):
        strings = _strings(rng, B, shape, 6)
        yield ExerciseCase((rng.normal(size=shape), counts.matrix(strings), verdicts(rng, B)),
                           factors={"n": B, "N": strings.index.size, "S·A": shape[0] * shape[1]})


def _labelled():
    """Labels that are certain, of both kinds, and others that are not."""
    return list(_judged(lambda rng, B: np.append([0.0, 1.0], rng.random(B - 2).round(2))))


def _scored():
    """Scores on both sides of the rewards."""
    return list(_judged(lambda rng, B: 2 * rng.normal(size=B).round(2)))


# What matters at an entry.


def _steps_there(rows, place, shape):
    """(row, how often it takes the step) for the rows of a matrix (B, S·A) that take it."""
    column = rows[:, [place[0] * shape[1] + place[1]]].toarray().ravel()
    return [(number, column[number]) for number in np.flatnonzero(column)]


def _compared_there(case, place):
    r, D = case.arguments
    m = D @ r.ravel()
    pairs = ", ".join(f"{number} (D = {times:+.0f}, m = {m[number]:+.3f})"
                      for number, times in _steps_there(D, place, r.shape))
    return f"the pairs that differ in this step are {pairs or 'none'}"


def _ranked_there(case, place):
    r, X, K = case.arguments
    R = X @ r.ravel()
    strings = ", ".join(
        f"{times:.0f} times in number {number % K} of prompt {number // K} (R = {R[number]:+.3f})"
        for number, times in _steps_there(X, place, r.shape))
    return f"the step is taken {strings}"


def _judged_there(case, place):
    r, X, verdicts = case.arguments
    R = X @ r.ravel()
    strings = ", ".join(f"{number} ({times:.0f} times, R = {R[number]:+.3f}, told "
                        f"{verdicts[number]:.2f})"
                        for number, times in _steps_there(X, place, r.shape))
    return f"the strings that take the step are {strings}"


# What is said of mistakes that several of these losses invite.

_NO_SOFTMAX = (
    "the gradient went through the backward pass of a softmax.  No softmax is behind r: ∂L/∂r is "
    "the gradient already.")
_NO_POLICY = (
    "log_softmax was taken of the table.  Rewards are no log-probabilities: r is summed as it is.")
_MEAN_REWARD = "R is the mean over the steps of a string, where the chapter has their sum, X r."


def _passed_back(function, gradient):
    """An edit after which this gradient goes through the backward pass of a softmax."""
    return (function, gradient, f"(G := {gradient}) - np.exp(log_softmax(reward_table)) * "
            "G.sum(axis=1, keepdims=True)")


ON_REWARDS = (
    Exercise(
        "bradley_terry", "people.reward_model", bradley_terry_loss,
        "Write the Bradley-Terry loss, L = −(1/B) Σ_i log σ(m_i) with the margins m = D r, and its "
        "gradient in the reward table r.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import log_sigmoid\n"
        "from minirl.people.pairs import choices", _compared,
        mistakes=(
            Mistake("swapped", "chosen and rejected are exchanged, or the sign inside σ is wrong: "
                    "the reward grows for what nobody preferred.",
                    ((bradley_terry_loss, "m = D @ reward_table.ravel()",
                      "m = -(D @ reward_table.ravel())"),
                     (bradley_terry_loss, "-(D.T @ (w * slope))", "(D.T @ (w * slope))"))),
            Mistake("saturated", "σ(m) stands where the gradient has σ(−m): pairs that are ranked "
                    "rightly push hardest.",
                    ((bradley_terry_loss, "np.exp(log_wrong)", "np.exp(log_right)"),)),
            Mistake("sigmoid_slope", "the gradient has σ(m) σ(−m), which is the derivative of σ.  "
                    "That of log σ is σ(−m).",
                    ((bradley_terry_loss, "np.exp(log_wrong)", "np.exp(log_wrong + log_right)"),)),
            Mistake("through_softmax", _NO_SOFTMAX,
                    (_passed_back(bradley_terry_loss,
                                  "-(D.T @ (w * slope)).reshape(reward_table.shape)"),)),
            Mistake("reward_as_policy", _NO_POLICY,
                    ((bradley_terry_loss, "m = D @ reward_table.ravel()",
                      "m = D @ log_softmax(reward_table).ravel()"),
                     _passed_back(bradley_terry_loss,
                                  "-(D.T @ (w * slope)).reshape(reward_table.shape)"))),
            Mistake("no_log", "σ stands without its logarithm: L = −mean σ(m).  A pair that is "
                    "ranked quite wrongly then has hardly any gradient.",
                    ((bradley_terry_loss, "(log_right - label_smoothing * m)", "np.exp(log_right)"),
                     (bradley_terry_loss, "np.exp(log_wrong)", "np.exp(log_wrong + log_right)"))),
            Mistake("squared_error", "the loss is the squared error of the probability, "
                    "(1 − σ(m))², where the chapter has −log σ(m).",
                    ((bradley_terry_loss, "-(w * (log_right - label_smoothing * m))",
                      "(w * np.exp(log_wrong) ** 2)"),
                     (bradley_terry_loss, "np.exp(log_wrong) - label_smoothing",
                      "2 * np.exp(log_wrong) ** 2 * np.exp(log_right)"))),
            Mistake("log_of_mean", "the logarithm is taken of the mean of σ(m), where the chapter "
                    "has the mean of the logarithms: the answers are independent, so that their "
                    "probabilities are multiplied.",
                    ((bradley_terry_loss, "-(w * (log_right - label_smoothing * m)).sum()",
                      "-np.log((w * np.exp(log_right)).sum())"),
                     (bradley_terry_loss, "np.exp(log_wrong) - label_smoothing",
                      "np.exp(log_wrong + log_right) / (w * np.exp(log_right)).sum()")))),
        hints=("`difference @ reward_table.ravel()` is m, one number per pair.",
               "d log σ(m)/dm = σ(−m), and ∂m_i/∂r[s, a] is the entry of D in row i.",
               "`difference.T @ numbers` adds up one number per pair in the entries of the table.",
               "The numbers are −σ(−m)/B, and `.reshape(reward_table.shape)` makes a table of the "
               "sums: no backward pass comes after it."),
        by_hand="bradley_terry_loss(np.array([[0.0, 1.0]]), choices([1], [0], 2).difference)",
        done="The gradient vanishes where the model says what the raters do.  Predict: what is it "
             "if a pair and the same pair turned round are all there is, at r = 0?",
        without=("margin", "label_smoothing", "pair_weights"), through_softmax=False,
        there=_compared_there),
    Exercise(
        "plackett_luce", "people.reward_model", plackett_luce_loss,
        "Write the loss of rankings, where R_k is the reward of a whole string, the sum of r over "
        "its steps, and its gradient in the reward table.",
        "import numpy as np\n\nfrom minirl.kernel import counts\nfrom minirl.kernel.softmax import "
        "log_softmax\nfrom minirl.people.pairs import choices", _ranked,
        mistakes=(
            Mistake("all_remain", "each choice is a softmax over all K strings, where "
                    "(reward_model.4) has those that are left, j ≥ k.",
                    ((plackett_luce_loss, "range(K - 1)", "range(K)"),
                     (plackett_luce_loss, "log_softmax(R[:, k:])", "log_softmax(R)"),
                     (plackett_luce_loss, "logp[:, 0]", "logp[:, k]"),
                     (plackett_luce_loss, "slope[:, k:] +=", "slope +="))),
            Mistake("first_choice_only", "only the first choice counts, the best of all.  What the "
                    "ranking says of the others is lost: the sum goes over k.",
                    ((plackett_luce_loss, "range(K - 1)", "range(1)"),)),
            Mistake("worst_first", "the worst string is taken for the best: the neighbours stand "
                    "from the best to the worst.",
                    ((plackett_luce_loss, ".reshape(-1, K)", ".reshape(-1, K)[:, ::-1]"),
                     (plackett_luce_loss, "slope.ravel()", "slope[:, ::-1].ravel()"))),
            Mistake("pairs", "this is the Bradley-Terry loss of all pairs of a ranking.  They are "
                    "not independent answers, and the chapter has K − 1 choices in their place.",
                    ((plackett_luce_loss, "logp = log_softmax(R[:, k:])",
                      "m = R[:, [k]] - R[:, k + 1:]"),
                     (plackett_luce_loss, "logp[:, 0].sum()", "log_sigmoid(m).sum()"),
                     (plackett_luce_loss, "slope[:, k] -= 1",
                      "slope[:, k] -= np.exp(log_sigmoid(-m)).sum(axis=1)"),
                     (plackett_luce_loss, "slope[:, k:] += np.exp(logp)",
                      "slope[:, k + 1:] += np.exp(log_sigmoid(-m))"))),
            Mistake("neighbours", "each string is compared with the next one only.  Its choice is "
                    "among all that are left.",
                    ((plackett_luce_loss, "log_softmax(R[:, k:])", "log_softmax(R[:, k:k + 2])"),
                     (plackett_luce_loss, "slope[:, k:] +=", "slope[:, k:k + 2] +="))),
            Mistake("interleaved", "the wrong strings share a ranking: the K of a prompt are "
                    "neighbours, so that R.reshape(-1, K) has a row per prompt.",
                    ((plackett_luce_loss, ".reshape(-1, K)", ".reshape(K, -1).T"),
                     (plackett_luce_loss, "slope.ravel()", "slope.T.ravel()"))),
            Mistake("numerator_only", "the gradient is that of −R_k alone; log Σ e^R has a "
                    "derivative too, the softmax over what is left.",
                    ((plackett_luce_loss, "slope[:, k:] += np.exp(logp)", "pass"),))),
        hints=("`(strings @ reward_table.ravel()).reshape(-1, K)` has a row per prompt, the best "
               "string first.",
               "R_k − log Σ_{j ≥ k} e^{R_j} is the first column of `log_softmax(R[:, k:])`.",
               "Its derivative in R_j is 1{j = k} less the softmax over what is left.  Add up these "
               "slopes, over k, in an array of the shape of R.",
               "Xᵀ brings the slopes back to the table: "
               "`strings.T @ slope.ravel() / prompts`, reshaped."),
        by_hand="plackett_luce_loss(np.array([[1.0, 0.0]]), "
                "counts.matrix(choices([0, 1], [1, 0], 2).chosen), 2)",
        done="With K = 2 this is the Bradley-Terry loss.  Predict: what is the loss of a constant "
             "reward, for K = 3?",
        equations=("reward_model.4",), through_softmax=False, there=_ranked_there),
    Exercise(
        "logistic", "people.reward_model", logistic_loss,
        "Write the loss of labels, where R_i is the reward of a whole string, the sum of r over "
        "its steps, and its gradient in the reward table.",
        "import numpy as np\nfrom scipy.sparse import csr_array\n\n"
        "from minirl.kernel.softmax import log_sigmoid", _labelled,
        mistakes=(
            Mistake("good_only", "only label · log σ(R) counts: that a string is bad, "
                    "(1 − label) log σ(−R), is missing.  The rewards then grow without end.",
                    ((logistic_loss, "log_good - (1 - labels) * R", "labels * log_good"),
                     (logistic_loss, "np.exp(log_good) - labels",
                      "labels * (np.exp(log_good) - 1)"))),
            Mistake("exchanged", "good and bad are exchanged: label stands before log σ(−R).",
                    ((logistic_loss, "(1 - labels) * R", "labels * R"),
                     (logistic_loss, "np.exp(log_good) - labels",
                      "np.exp(log_good) - (1 - labels)"))),
            Mistake("label_inside", "the label is inside σ, log σ((2 label − 1) R).  That is right "
                    "for labels of 0 and 1 alone, and not for probabilities.",
                    ((logistic_loss, "(log_good - (1 - labels) * R)",
                      "log_sigmoid((2 * labels - 1) * R)"),
                     (logistic_loss, "(np.exp(log_good) - labels)",
                      "(1 - 2 * labels) * np.exp(log_sigmoid((1 - 2 * labels) * R))"))),
            Mistake("squared_error", "the loss is the squared error of the probability, "
                    "(σ(R) − label)², where the chapter has the cross-entropy.",
                    ((logistic_loss, "-(log_good - (1 - labels) * R)",
                      "((np.exp(log_good) - labels) ** 2)"),
                     (logistic_loss, "(np.exp(log_good) - labels) /",
                      "2 * (np.exp(log_good) - labels) * np.exp(2 * log_good - R) /"))),
            Mistake("sigmoid_slope", "the gradient has the factor σ(R) σ(−R), the slope of σ.  The "
                    "derivative of the logarithm cancels it, which leaves σ(R) − label.",
                    ((logistic_loss, "(np.exp(log_good) - labels) /",
                      "(np.exp(log_good) - labels) * np.exp(2 * log_good - R) /"),)),
            Mistake("no_sigmoid", "the gradient has R − label, where the chapter's loss has the "
                    "slope σ(R) − label.",
                    ((logistic_loss, "np.exp(log_good) - labels", "R - labels"),)),
            Mistake("mean_reward", _MEAN_REWARD,
                    ((logistic_loss, "R = X @", "X = sparse.csr_array(X / X.sum(axis=1)[:, None])\n"
                      "    R = X @"),), 11),
            Mistake("through_softmax", _NO_SOFTMAX,
                    (_passed_back(logistic_loss, "(X.T @ slope).reshape(reward_table.shape)"),))),
        hints=("`strings @ reward_table.ravel()` is R, one number per string.",
               "d log σ(R)/dR = σ(−R) and d log σ(−R)/dR = −σ(R).",
               "With σ(−R) = 1 − σ(R) the slope of a string is σ(R) − label.",
               "`strings.T @ slope`, over the number of strings and reshaped, is the gradient."),
        by_hand="logistic_loss(np.array([[0.0, 1.0]]), csr_array([[0.0, 1.0]]), np.array([0.25]))",
        done="The gradient is zero where σ(R) = label for every string.  Predict: where is that for "
             "a label of 1?",
        equations=("reward_model.5",), through_softmax=False, there=_judged_there),
    Exercise(
        "squared", "people.reward_model", squared_loss,
        "Write the loss of scores, where R_i is the reward of a whole string, the sum of r over "
        "its steps, and its gradient in the reward table.",
        "import numpy as np\nfrom scipy.sparse import csr_array", _scored,
        mistakes=(
            Mistake("mean_reward", _MEAN_REWARD,
                    ((squared_loss, "error = X @", "X = sparse.csr_array(X / X.sum(axis=1)[:, None]"
                      ")\n    error = X @"),), 11),
            Mistake("repeats_once", "in the gradient a step that a string takes several times "
                    "counts once: `table[s, a] += x` keeps only the last of equal indices, and "
                    "np.add.at, or Xᵀ, adds them up.",
                    ((squared_loss, "X.T @", "np.minimum(X.toarray(), 1).T @"),), 41),
            Mistake("square_of_mean", "the mean error is squared.  Errors of both signs then "
                    "cancel: (reward_model.6) is the mean of the squares.",
                    ((squared_loss, "(error * error).mean()", "error.mean() ** 2"),
                     (squared_loss, "X.T @ error", "X.T @ np.full(error.size, error.mean())"))),
            Mistake("centred", "the mean error is taken away before the squares.  So a constant "
                    "does not matter, but scores say what it is.",
                    ((squared_loss, "- scores", "- scores\n    error = error - error.mean()"),)),
            Mistake("absolute", "the loss is the mean of |R − score|, where (reward_model.6) has "
                    "squares: the gradient knows only the sign of an error.",
                    ((squared_loss, "(error * error).mean() / 2", "np.abs(error).mean()"),
                     (squared_loss, "X.T @ error", "X.T @ np.sign(error)"))),
            Mistake("reward_as_policy", _NO_POLICY,
                    ((squared_loss, "X @ reward_table.ravel()",
                      "X @ log_softmax(reward_table).ravel()"),
                     _passed_back(squared_loss,
                                  "(X.T @ error / error.size).reshape(reward_table.shape)"))),
            Mistake("through_softmax", _NO_SOFTMAX,
                    (_passed_back(squared_loss,
                                  "(X.T @ error / error.size).reshape(reward_table.shape)"),))),
        hints=("`strings @ reward_table.ravel()` is R, one number per string.",
               "d(R − score)²/2 = (R − score) dR, and ∂R_i/∂r[s, a] is the entry of X in row i.",
               "`strings.T @ error`, over the number of strings and reshaped, is the gradient."),
        by_hand="squared_loss(np.array([[1.0, 3.0]]), csr_array([[2.0, 1.0]]), np.array([4.0]))",
        done="Unlike comparisons, scores know the constant.  Predict: what happens to the gradient "
             "if all scores rise by 1?",
        equations=("reward_model.6",), through_softmax=False, there=_judged_there),
)
