"""Exercises of Part 4: reward models, groups, and what is trained on them."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel import counts
from minirl.kernel.playing import Rollout
from minirl.kernel.softmax import log_softmax
from minirl.people.groups import (_over, _totals, group_centred, group_leave_one_out,
                                  group_normalised, weighted)
from minirl.people.grpo import grpo_loss
from minirl.people.kl import k3_loss
from minirl.people.reward_model import (bradley_terry_loss, logistic_loss, plackett_luce_loss,
                                        squared_loss)
from minirl.people.rlhf import ptx_loss
from minirl.people.sft import sft_loss
from minirl.plain.grpo import advantages, objective
from minirl.plain.rlhf import credits
from minirl.play.ppo import ppo_loss
from minirl.play.surrogate import collapse

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


def _not_forgotten():
    """Two policies, a batch, and the counts of texts, some in every state."""
    rng = np.random.default_rng(4)
    for shape, episodes, ptx_coef, epsilon in (((4, 3), 9, 0.3, 0.15), ((3, 5), 14, 1.7, 0.25),
                                               ((7, 2), 11, 0.6, 0.1)):
        steps, texts = _strings(rng, episodes, shape, 6), rng.integers(1, 9, size=shape)
        batch = collapse(steps, rng.normal(size=steps.index.size))
        yield ExerciseCase(
            (*0.6 * rng.normal(size=(2, *shape)), batch, texts.astype(float)),
            {"ptx_coef": ptx_coef, "clip_range": epsilon},
            {"N": batch.number, "texts": texts.sum(), "ptx_coef": ptx_coef,
             "S·A": shape[0] * shape[1]})


def _priced():
    """A string that takes some steps twice, a table of rewards, two policies, and β."""
    rng = np.random.default_rng(7)
    for shape, length, beta in ((4, 3), 5, 0.3), ((3, 5), 8, 1.7), ((7, 2), 4, 0.6):
        string = [tuple(map(int, step)) for step in rng.integers(shape, size=(length, 2))]
        string[-1] = string[1]
        pi, ref = np.exp(log_softmax(0.6 * rng.normal(size=(2, *shape))))
        yield ExerciseCase((string, rng.normal(size=shape), pi, ref, beta),
                           factors={"beta": beta, "steps": length})


def _grouped():
    """Rewards of strings, and rewards of steps with their batch; a group of equals in each."""
    rng = np.random.default_rng(5)
    for groups, K, played in (3, 4, False), (4, 3, True), (3, 5, True):
        starts = np.append(0, np.cumsum(rng.integers(1, 5 if played else 2, groups * K)))
        last = starts[1:] - 1
        rewards, nothing = rng.normal(size=starts[-1]), np.zeros(starts[-1], int)
        rewards[starts[K]:starts[2 * K]] = 0  # the second group earns a half, in the end
        rewards[last[K:2 * K]] = 0.5
        batch = Rollout(nothing, nothing, rewards, np.isin(np.arange(starts[-1]), last), starts,
                        np.zeros(groups * K, int), np.zeros(groups * K, bool))
        yield ExerciseCase((rewards, batch if played else None, K),
                           factors={"num_generations": K, "groups": groups})


def _group_tasks():
    """(three policies, strings, their advantages, ε, β), with a group of equals in each."""
    rng = np.random.default_rng(6)
    for shape, K, epsilon, beta in (((4, 3), 4, 0.15, 0.3), ((3, 5), 3, 0.25, 1.7),
                                    ((7, 2), 5, 0.1, 0.6)):
        strings, rewards = _strings(rng, 3 * K, shape, 5), rng.normal(size=3 * K)
        rewards[K:2 * K] = 0.5
        yield (0.6 * rng.normal(size=(3, *shape)), strings, group_normalised(rewards, None, K),
               epsilon, beta)


def _collapsed():
    """Weights of GRPO in one batch, and in the others those of Dr. GRPO, which sum not to one."""
    for (tables, strings, A, epsilon, beta), length in zip(_group_tasks(), (None, 7, 4)):
        logits, old, ref = tables
        weights = 1 / (A.size * (length or np.diff(strings.starts)) * np.ones(A.size))
        batch = weighted(strings, A, weights)
        yield ExerciseCase((logits, old, batch), {"ref_logits": ref, "beta": beta,
                                                  "epsilon": epsilon},
                           {"beta": beta, "S·A": logits.size})


def _as_printed():
    """Strings as lists of (s, a)."""
    for tables, strings, A, epsilon, beta in _group_tasks():
        steps = [(int(index) // strings.shape[1], int(index) % strings.shape[1])
                 for index in strings.index]
        strings = [steps[i:j] for i, j in zip(strings.starts, strings.starts[1:])]
        yield ExerciseCase((*tables, strings, A), {"epsilon": epsilon, "beta": beta},
                           {"beta": beta, "n": A.size, "N": len(steps)})


# What matters at an entry.


def _steps_there(rows, place, shape):
    """(row, how often it takes the step) for the rows of a matrix (B, S·A) that take it."""
    column = rows[:, [place[0] * shape[1] + place[1]]].toarray().ravel()
    return [(number, column[number]) for number in np.flatnonzero(column)]


def _often(number):
    """How often, in words."""
    return {1: "once", 2: "twice"}.get(int(number), f"{number:.0f} times")


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
        f"number {number % K} of prompt {number // K} ({_often(times)}, R = {R[number]:+.3f})"
        for number, times in _steps_there(X, place, r.shape))
    return f"the strings that take the step are {strings or 'none'}"


def _judged_there(case, place):
    r, X, verdicts = case.arguments
    R = X @ r.ravel()
    strings = ", ".join(f"{number} ({_often(times)}, R = {R[number]:+.3f}, told "
                        f"{verdicts[number]:.2f})"
                        for number, times in _steps_there(X, place, r.shape))
    return f"the strings that take the step are {strings or 'none'}"


def _priced_there(case, place):
    string, r, pi, ref, _ = case.arguments
    step = string[place[0]]
    return f"(s, a) = {step}, r = {r[step]:+.3f}, π = {pi[step]:.3f}, π_ref = {ref[step]:.3f}"


def _not_forgotten_there(case, place):
    logits, old, batch, texts = case.arguments
    ratio = np.exp(log_softmax(logits) - log_softmax(old))[place]
    return (f"ρ = {ratio:.3f}, A⁺ = {batch.gains[place]:.3f}, A⁻ = {batch.losses[place]:.3f}, and "
            f"the texts take {texts[place]:.0f} of their {texts.sum():.0f} steps")


def _grouped_there(case, place):
    rewards, batch, K = case.arguments
    R = rewards if batch is None else batch.totals(rewards)
    own = R[place[0] // K * K:][:K]
    return f"R = {R[place]:+.3f}, in the group {np.round(own, 3).tolist()}"


def _collapsed_there(case, place):
    logits, old, batch = case.arguments
    logp = log_softmax(logits)[place]
    ratio = np.exp(logp - log_softmax(old)[place])
    u = log_softmax(case.keywords["ref_logits"])[place] - logp
    return (f"ρ = {ratio:.3f}, u = {u:+.3f}, A⁺ = {batch.gains[place]:.3f}, A⁻ = "
            f"{batch.losses[place]:.3f}, W = {batch.counts[place]:.3f}")


def _as_printed_there(case, place):
    theta, old, ref, strings, A = case.arguments
    pi, pi_old, pi_ref = (np.exp(log_softmax(x))[place] for x in (theta, old, ref))
    steps = ", ".join(f"{i} ({_often(o.count(place))}, |y| = {len(o)}, A = {A_i:+.3f})"
                      for i, (o, A_i) in enumerate(zip(strings, A)) if place in o)
    return (f"ρ = {pi / pi_old:.3f}, π_ref/π = {pi_ref / pi:.3f}; the strings that take the step "
            f"are {steps or 'none'}")


# What is said of mistakes that several of these losses invite.

_NO_SOFTMAX = (
    "the gradient went through the backward pass of a softmax.  No softmax is behind r: ∂L/∂r is "
    "the gradient already.")
_NO_POLICY = (
    "log_softmax was taken of the table.  Rewards are no log-probabilities: r is summed as it is.")
_MEAN_REWARD = "R is the mean over the steps of a string, where the chapter has their sum, X r."
_K1 = (
    "the penalty is k1 = −u, where (grpo.1) has k3.  Both estimate the KL.  But the gradient of k1 "
    "is ∇ log π (kl.5), whatever π_ref is: as a loss it does not pull towards the reference.")


def _passed_back(function, gradient):
    """An edit after which this gradient goes through the backward pass of a softmax."""
    return (function, gradient, f"(G := {gradient}) - np.exp(log_softmax(reward_table)) * "
            "G.sum(axis=1, keepdims=True)")


_NOT_EXACT = (group_centred, "centred[_equal(totals, magnitudes, sizes).repeat(sizes)] = 0", "pass")
_INTERLEAVED = Mistake(
    "interleaved", "the wrong strings share a group: those of one prompt are neighbours, so that "
    "R.reshape(-1, K) has a row per group.",
    (_NOT_EXACT, (_over, "_reduced(ufunc, values, sizes).repeat(sizes)",
                  "np.tile(ufunc.reduce(values.reshape(sizes[0], -1), axis=0), sizes[0])")))
_PER_STEP = Mistake(
    "mean_per_step", "R is the mean over the steps of a string, where the chapter has their sum: a "
    "long string is then worth less than a short one that earns as much.",
    ((_totals, "(batch.totals(rewards), batch.totals(magnitudes))",
      "(batch.totals(rewards) / batch.lengths, batch.totals(magnitudes) / batch.lengths)"),))


ON_REWARDS = (
    Exercise(
        "bradley_terry", "people.reward_model", bradley_terry_loss,
        "Write the Bradley-Terry loss, L = −(1/B) Σ_i log σ(m_i) with the margins m = D r, and its "
        "gradient in the reward table r.  D is `difference`, here always a sparse matrix.",
        "import numpy as np\nfrom scipy.sparse import csr_array\n\n"
        "from minirl.kernel.softmax import log_sigmoid", _compared,
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
        by_hand="bradley_terry_loss(np.array([[1.0, 2.0]]), csr_array([[2.0, -1.0], [0.0, 1.0]]))",
        done="The gradient vanishes where the model says what the raters do.  Predict: what is it "
             "if a pair and the same pair turned round are all there is, at r = 0?",
        without=("margin", "label_smoothing", "pair_weights"), through_softmax=False,
        there=_compared_there),
    Exercise(
        "plackett_luce", "people.reward_model", plackett_luce_loss,
        "Write the loss of rankings, where R_k is the reward of a whole string, the sum of r over "
        "its steps, and its gradient in the reward table.",
        "import numpy as np\nfrom scipy.sparse import csr_array\n\n"
        "from minirl.kernel.softmax import log_softmax", _ranked,
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
               "Its derivative in R_j is 1{j = k} less the softmax over what is left.  Add up "
               "these slopes, over k, in an array of the shape of R.",
               "Xᵀ brings the slopes back to the table: "
               "`strings.T @ slope.ravel() / prompts`, reshaped."),
        by_hand="plackett_luce_loss(np.log([[1.0, 2.0, 3.0]]), "
                "csr_array(np.eye(3)[[0, 1, 2, 1, 0, 2]]), 3)",
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
                      "    R = X @"),)),
            Mistake("through_softmax", _NO_SOFTMAX,
                    (_passed_back(logistic_loss, "(X.T @ slope).reshape(reward_table.shape)"),))),
        hints=("`strings @ reward_table.ravel()` is R, one number per string.",
               "d log σ(R)/dR = σ(−R) and d log σ(−R)/dR = −σ(R).",
               "With σ(−R) = 1 − σ(R) the slope of a string is σ(R) − label.",
               "`strings.T @ slope`, over the number of strings and reshaped, is the gradient."),
        by_hand="logistic_loss(np.array([[0.0, 1.0]]), csr_array([[0.0, 2.0]]), np.array([0.25]))",
        done="The gradient is zero where σ(R) = label for every string.  Predict: where is that "
             "for a label of 1?",
        equations=("reward_model.5",), through_softmax=False, there=_judged_there),
    Exercise(
        "squared", "people.reward_model", squared_loss,
        "Write the loss of scores, where R_i is the reward of a whole string, the sum of r over "
        "its steps, and its gradient in the reward table.",
        "import numpy as np\nfrom scipy.sparse import csr_array", _scored,
        mistakes=(
            Mistake("mean_reward", _MEAN_REWARD,
                    ((squared_loss, "error = X @", "X = sparse.csr_array(X / X.sum(axis=1)[:, None]"
                      ")\n    error = X @"),)),
            Mistake("repeats_once", "in the gradient a step that a string takes several times "
                    "counts once: `table[s, a] += x` keeps only the last of equal indices, and "
                    "np.add.at, or Xᵀ, adds them up.",
                    ((squared_loss, "X.T @", "np.minimum(X.toarray(), 1).T @"),), 41),
            Mistake("square_of_mean", "the mean error is squared.  Errors of both signs then "
                    "cancel: (reward_model.6) is the mean of the squares.",
                    ((squared_loss, "(error * error).mean()", "error.mean() ** 2"),
                     (squared_loss, "X.T @ error", "X.T @ np.full(error.size, error.mean())"))),
            Mistake("centred", "the mean error is taken away before the squares.  A constant "
                    "in r then costs nothing, although scores say which constant it is.",
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
        by_hand="squared_loss(np.array([[1.0, 3.0]]), csr_array([[2.0, 1.0], [0.0, 1.0]]), "
                "np.array([4.0, 5.0]))",
        done="Unlike comparisons, scores know the constant.  Predict: what happens to the gradient "
             "if all scores rise by 1?",
        equations=("reward_model.6",), through_softmax=False, there=_judged_there),
    Exercise(
        "credits", "people.rlhf", credits,
        "Write what RLHF credits each step of a string with, R_t = Σ_{t' ≥ t} r̃_t', the first "
        "step first.  A string is the list of its steps (s, a); pi, which wrote it, and ref hold "
        "probabilities, (S, A).",
        "import numpy as np", lambda: list(_priced()),
        mistakes=(
            Mistake("price_added", "the price has the wrong sign, or its ratio is upside down: "
                    "(rlhf.1) takes β log(π/π_ref) away.  Like this the policy is paid for leaving "
                    "the reference.",
                    ((credits, "- beta * np.log", "+ beta * np.log"),), 2),
            Mistake("own_price_only", "a step pays its own price only.  It is to blame for the "
                    "price of later steps as well: the sum is over r̃, and not over r.",
                    ((credits, "R += r[s, a] - beta * np.log(pi[s, a] / ref[s, a])",
                      "R += r[s, a]"),
                     (credits, "found.append(R)",
                      "found.append(R - beta * np.log(pi[s, a] / ref[s, a]))"))),
            Mistake("mean_price", "the log-ratio is averaged over the steps, and its mean is taken "
                    "away from the whole.  (rlhf.1) has a sum: like this a long string leaves the "
                    "reference for less.",
                    ((credits, "R += r[s, a] - beta * np.log(pi[s, a] / ref[s, a])",
                      "R += r[s, a]"),
                     (credits, "found.append(R)", "found.append(R - beta * np.mean("
                      "[np.log(pi[step] / ref[step]) for step in string]))")), 6),
            Mistake("no_reference", "the price is that of log π alone, where (rlhf.1) has "
                    "log π − log π_ref: this is a bonus for entropy.",
                    ((credits, "np.log(pi[s, a] / ref[s, a])", "np.log(pi[s, a])"),)),
            Mistake("no_log", "the price is β π/π_ref, where (rlhf.1) has its logarithm.",
                    ((credits, "np.log(pi[s, a] / ref[s, a])", "(pi[s, a] / ref[s, a])"),)),
            Mistake("no_sum", "this is r̃_t, what a step is paid itself.  R_t adds what follows.",
                    ((credits, "R += r", "R = r"),)),
            Mistake("so_far", "the sum is over the steps up to t, where R_t has those from t on: a "
                    "step is then praised for what it could not change.",
                    ((credits, "reversed(string)", "string"), (credits, "found[::-1]", "found"))),
            Mistake("own_left_out", "R_t begins after step t.  It begins with r̃_t, what the step "
                    "itself is paid.",
                    ((credits, "found.append(R)",
                      "found.append(R - r[s, a] + beta * np.log(pi[s, a] / ref[s, a]))"),)),
            Mistake("turned_round", "the last step comes first: what was found from the end to the "
                    "beginning is to be turned round.",
                    ((credits, "found[::-1]", "found"),))),
        hints=("r̃ is a number per step, r[s, a] − β log(π/π_ref) at its (s, a).",
               "R_t = r̃_t + R_{t+1}, and after the last step there is nothing.",
               "So begin at the end: `for s, a in reversed(string)` with R = 0 before the loop, "
               "and append R to a list after each step.",
               "The list begins with the last step: return it as `found[::-1]`."),
        by_hand="credits([(0, 0), (0, 1)], np.array([[1.0, 0.0]]), np.array([[0.75, 0.25]]), "
                "np.array([[0.5, 0.5]]), 1.0)",
        done="The mean of R_0 over the strings of π is J_β (rlhf.2).  Predict: what is R_0 of the "
             "strings of a prompt, one by one, if π is the best policy of all?",
        equations=("rlhf.1",), results=("credit",), there=_priced_there),
    Exercise(
        "ptx", "people.rlhf", ptx_loss,
        "Write the loss of PPO-ptx and its gradient.  L_ppo is there already, ppo_loss.  Write "
        "L_sft yourself: −(1/N) Σ N[s, a] log π(a|s), where N is the number of all steps of the "
        "texts.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax\n"
        "from minirl.play.ppo import ppo_loss\nfrom minirl.play.surrogate import Advantages",
        lambda: list(_not_forgotten()),
        mistakes=(
            Mistake("sum", "log π is summed over the steps of the texts, where L_sft has its "
                    "mean.  The more texts there are, the less the reward counts.",
                    ((sft_loss, " / counts.sum()", ""),), 27),
            Mistake("wrong_sign", "the term of the texts has the wrong sign: what is minimised is "
                    "−log π.  Like this the texts are unlearned.",
                    ((ptx_loss, "loss + ptx_coef * nats, grad + ptx_coef * pull",
                      "loss - ptx_coef * nats, grad - ptx_coef * pull"),)),
            Mistake("no_coefficient", "L_sft is there without its factor ptx_coef.",
                    ((ptx_loss, "loss + ptx_coef * nats, grad + ptx_coef * pull",
                      "loss + nats, grad + pull"),)),
            Mistake("coefficient_not_in_gradient", "the factor ptx_coef is in the loss, and "
                    "missing in the gradient.",
                    ((ptx_loss, "ptx_coef * pull", "pull"),)),
            Mistake("steps_of_batch", "the texts are divided by the steps of the batch, where "
                    "L_sft has those of the texts: the two are different data.",
                    ((ptx_loss, "nats, pull = sft_loss(now, counts)",
                      "nats, pull = (np.sum(counts) / batch.number * x "
                      "for x in sft_loss(now, counts))"),), 27),
            Mistake("old_policy", "the texts are scored by π_old, which is not trained: L_sft is "
                    "that of π.",
                    ((ptx_loss, "sft_loss(now, counts)", "sft_loss(old_logits, counts)"),)),
            Mistake("mixture", "L_ppo has the factor 1 − ptx_coef, where (rlhf.6) has 1: it is a "
                    "sum and not a mean of the two.",
                    ((ptx_loss, "loss + ptx_coef * nats, grad + ptx_coef * pull",
                      "loss + ptx_coef * (nats - loss), grad + ptx_coef * (pull - grad)"),)),
            Mistake("each_state_alike", "each state has the same weight, N[s, a]/N[s] over the "
                    "number of states.  L_sft is a mean over steps, and a state that the texts "
                    "visit often counts for more.",
                    ((sft_loss, " / counts.sum()",
                      " / counts.sum(axis=1, keepdims=True) / len(counts)"),))),
        hints=("`counts / counts.sum()` is the share of each step in the texts.",
               "L_sft is minus the mean of log π over these steps: −Σ share · log π.",
               "Its G is minus the share, and backward(logp, G) is its gradient in the logits.",
               "Both the loss and the gradient are a sum of two, ppo_loss(...) and ptx_coef times "
               "this."),
        by_hand="ptx_loss(np.zeros((2, 2)), np.log([[2.0, 1.0], [1.0, 1.0]]), "
                "Advantages(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros((2, 2)), 3.0), "
                "np.array([[3.0, 1.0], [2.0, 0.0]]), ptx_coef=2.0)",
        done="A policy that has forgotten nothing, π = N[s, a]/N[s], has no gradient from the "
             "second term.  Predict: does clipping ever stop that term?",
        equations=("rlhf.6",), helpers=(ppo_loss, sft_loss), there=_not_forgotten_there),
    Exercise(
        "group_normalised", "people.groups", group_normalised,
        "Write the advantages of GRPO, one for each string, (B,).  `batch.totals(rewards)` adds up "
        "the rewards of steps, (N,), in each string; where the batch is None, they are the rewards "
        "of strings already, (B,).  Each group has K = num_generations strings, neighbours, and "
        "some groups are groups of equals.",
        "import numpy as np", lambda: list(_grouped()),
        mistakes=(
            Mistake("sample_std", "the std is that of a sample, which divides the sum of squares "
                    "by K − 1, as in several libraries; (groups.1) divides by K.",
                    ((group_normalised, "/ sizes.repeat(sizes))",
                      "/ (sizes.repeat(sizes) - 1))"),)),
            Mistake("batch_std", "the std is that of the rewards of the whole batch; (groups.1) "
                    "has that of the group.",
                    ((group_normalised,
                      "np.sqrt(_over(np.add, centred**2, sizes) / sizes.repeat(sizes))",
                      "_totals(rewards, batch)[0].std()"),), 28),
            Mistake("whole_batch", "mean and std are those of the whole batch.  Then a string is "
                    "compared with answers to other prompts, and an easy prompt looks like a good "
                    "answer.",
                    (_NOT_EXACT,
                     (group_centred, "_over(np.add, totals, sizes) / sizes.repeat(sizes)",
                      "totals.mean()"),
                     (group_normalised,
                      "np.sqrt(_over(np.add, centred**2, sizes) / sizes.repeat(sizes))",
                      "centred.std()")), 28),
            Mistake("no_std", "nothing is divided by the std: this is Dr. GRPO (groups.2).",
                    ((group_normalised, "centred / (np.sqrt(_over(np.add, centred**2, sizes) / "
                      "sizes.repeat(sizes)) + EPS)", "centred"),)),
            Mistake("variance", "the variance divides, where (groups.1) has its root, the std.",
                    ((group_normalised, "np.sqrt(_over(np.add, centred**2, sizes) / "
                      "sizes.repeat(sizes))",
                      "_over(np.add, centred**2, sizes) / sizes.repeat(sizes)"),)),
            Mistake("other_small_number", "the small number beside the std is 10⁻⁸, where "
                    "(groups.1) has 10⁻⁴.",
                    ((group_normalised, "EPS", "1e-8"),)),
            Mistake("small_number_in_root", "the small number is inside the root, √(variance + "
                    "10⁻⁴), where (groups.1) adds it to the std.",
                    ((group_normalised, "np.sqrt(_over(np.add, centred**2, sizes) / "
                      "sizes.repeat(sizes)) + EPS",
                      "np.sqrt(_over(np.add, centred**2, sizes) / sizes.repeat(sizes) + EPS)"),)),
            _INTERLEAVED, _PER_STEP),
        hints=("`R.reshape(-1, K)` has a row per group.",
               "`mean(axis=1, keepdims=True)` and `std(axis=1, keepdims=True)` are columns, which "
               "fit to it.",
               "NumPy's std divides by K, as (groups.1) does.  Add 1e-4 to it.",
               "`.ravel()` lays the groups end to end again, (B,)."),
        by_hand="group_normalised(np.array([0.0, 1.0, 2.0, 6.0]), None, 2)",
        done="All groups whose strings differ are equally loud.  Predict: what are the advantages "
             "of the rewards 0, 0.01, 0.01, 0?",
        equations=("groups.1",), results=("advantage",), helpers=(advantages, group_centred),
        there=_grouped_there),
    Exercise(
        "group_leave_one_out", "people.groups", group_leave_one_out,
        "Write the advantages of RLOO, one for each string, (B,).  `batch.totals(rewards)` adds up "
        "the rewards of steps, (N,), in each string; where the batch is None, they are the rewards "
        "of strings already, (B,).  Each group has K = num_generations strings, neighbours.",
        "import numpy as np", lambda: list(_grouped()),
        mistakes=(
            Mistake("own_included", "the baseline is the mean of the whole group, which contains "
                    "the string itself.  On average that gives (K − 1)/K of the gradient.",
                    ((group_leave_one_out, "centred * (sizes / np.maximum(sizes - 1, 1))"
                      ".repeat(sizes)", "centred"),), 29),
            Mistake("factor_upside_down", "the factor is (K − 1)/K, where (groups.3) has "
                    "K/(K − 1).",
                    ((group_leave_one_out, "sizes / np.maximum(sizes - 1, 1)",
                      "(sizes - 1) / sizes"),)),
            Mistake("divided_by_all", "the sum of the others is divided by K.  There are K − 1 of "
                    "them.",
                    ((group_leave_one_out, "centred * (sizes / np.maximum(sizes - 1, 1))"
                      ".repeat(sizes)",
                      "centred + _totals(rewards, batch)[0] / sizes.repeat(sizes)"),)),
            Mistake("own_in_sum", "the sum of the whole group is divided by K − 1.  Take the "
                    "string's own reward out of the sum.",
                    ((group_leave_one_out, "centred * (sizes / np.maximum(sizes - 1, 1))"
                      ".repeat(sizes)",
                      "(lambda R: R - _over(np.add, R, sizes) / (sizes - 1).repeat(sizes))"
                      "(_totals(rewards, batch)[0])"),), 29),
            Mistake("others_of_batch", "the others are those of the whole batch.  They answer "
                    "other prompts; (groups.3) has the others of the group.",
                    ((group_leave_one_out, "centred * (sizes / np.maximum(sizes - 1, 1))"
                      ".repeat(sizes)",
                      "(lambda R: R - (R.sum() - R) / (R.size - 1))"
                      "(_totals(rewards, batch)[0])"),)),
            Mistake("divided_by_std", "this is divided by the std of the group as well, which "
                    "(groups.3) is not: RLOO follows ∇J, and the std would change its direction.",
                    ((group_leave_one_out, "centred * (sizes",
                      "group_normalised(rewards, batch, num_generations) * (sizes"),)),
            _INTERLEAVED, _PER_STEP),
        hints=("`R.reshape(-1, K)` has a row per group.",
               "The sum of the others is the sum of the row less the string's own reward.",
               "There are K − 1 others, so their mean is (sum − R)/(K − 1).",
               "`.ravel()` lays the groups end to end again, (B,)."),
        by_hand="group_leave_one_out(np.array([0.0, 1.0, 2.0, 3.0, 3.0, 9.0]), None, 3)",
        done="The others know nothing of the string, so that their mean changes no expectation.  "
             "Predict: in groups of two, how do these advantages compare with R_i − mean?",
        equations=("groups.3",), results=("advantage",), helpers=(group_centred,),
        there=_grouped_there),
    Exercise(
        "grpo", "people.grpo", grpo_loss,
        "Write the loss of GRPO and its gradient, from tables: `batch.gains` is A⁺, the sum of w A "
        "over the steps with A > 0 at each entry, `batch.losses` is A⁻, the same for A < 0, and "
        "`batch.counts` is W, the sum of w over all steps there.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax\n"
        "from minirl.play.surrogate import Advantages", lambda: list(_collapsed()),
        mistakes=(
            Mistake("old_for_reference", "the penalty k3 is taken to π_old.  It is for "
                    "leaving π_ref, which does not change with the batch.",
                    ((grpo_loss, "LogPolicy(ref_logp), batch.counts", "old_logits, batch.counts"),
                     ), 9),
            Mistake("reference_for_old", "the ratio is taken to π_ref.  It weighs steps that "
                    "π_old wrote: ρ = π/π_old.",
                    ((grpo_loss, "ppo_loss(policy, old_logits,",
                      "ppo_loss(policy, LogPolicy(ref_logp),"),), 9),
            Mistake("kl_subtracted", "β k3 has the wrong sign: in a loss, which is minimised, it "
                    "is added.  Like this the policy is paid for leaving the reference.",
                    ((grpo_loss, "loss + beta * penalty, grad + beta * back",
                      "loss - beta * penalty, grad - beta * back"),), 2),
            Mistake("k3_upside_down", "the sign of u is wrong: k3 is taken of log π − log π_ref, "
                    "where (grpo.1) has u = log π_ref − log π.  This estimates no KL of π to the "
                    "reference.",
                    ((k3_loss, "u = difference(ref_logp, logp, used)",
                      "u = difference(logp, ref_logp, used)"),
                     (k3_loss, "G = -weights", "G = weights")), 1),
            Mistake("k3_slope", "the slope of k3 has the wrong sign: dk3/du = e^u − 1, and "
                    "du = −d log π, so that it is 1 − e^u in log π.",
                    ((k3_loss, "G = -weights", "G = weights"),)),
            Mistake("no_ratio_in_gradient", "the factor ρ is missing in the gradient: the "
                    "derivative of ρ in log π is ρ, since π = e^{log π}.",
                    ((ppo_loss, "G = ratio * (", "G = ("),)),
            Mistake("both_sides", "ρ is clipped on both sides, whatever the sign of A.  The "
                    "minimum of (grpo.1) bounds it above where A > 0 and below where A < 0.",
                    ((ppo_loss, "np.minimum(ratio, high) * gains + np.maximum(ratio, low) * losses",
                      "np.clip(ratio, low, high) * (gains + losses)"),
                     (ppo_loss, "gains * (ratio <= high) + losses * (ratio >= low)",
                      "(gains + losses) * (ratio <= high) * (ratio >= low)")), 31),
            Mistake("k1", _K1,
                    ((k3_loss, "(weights * k3(u)).sum()", "-(weights * u).sum()"),
                     (k3_loss, "G = -weights * np.expm1(np.minimum(u, 700))", "G = weights")), 3),
            Mistake("divided_again", "L is divided by Σ w, as that of PPO is divided by N.  In "
                    "(grpo.1) the weights w are the whole division.",
                    ((grpo_loss, "loss + beta * penalty, grad + beta * back",
                      "(loss + beta * penalty) / batch.number, "
                      "(grad + beta * back) / batch.number"),), 27)),
        hints=("ρ = exp(log π − log π_old) and u = log π_ref − log π are tables, (S, A).",
               "For A > 0 the minimum is min(ρ, 1 + ε) A, and for A < 0 it is max(ρ, 1 − ε) A.",
               "In log π the slope of ρ is ρ, and that of a bound is 0.  The slope of k3 is "
               "1 − e^u.",
               "The steps of the first part are those of PPO, without a division.  To it add "
               "β W k3(u), and to its G β W (1 − e^u); then backward(logp, G)."),
        by_hand="grpo_loss(np.zeros((1, 2)), np.log([[1.0, 3.0]]), "
                "Advantages(np.array([[0.5, 0.0]]), np.array([[-0.25, -0.5]]), 1.25, "
                "np.array([[0.75, 0.5]])), ref_logits=np.log([[3.0, 1.0]]), beta=0.5, epsilon=0.4)",
        done="A⁺ and A⁻ know nothing of a group of equals, and W does.  Predict: does a batch of "
             "such groups move the policy?",
        equations=("grpo.1",), without=("policy_loss",), helpers=(ppo_loss, k3_loss),
        there=_collapsed_there),
    Exercise(
        "grpo_loop", "people.grpo", objective,
        "Write GRPO as the paper prints it, with loops over the strings and their steps: J = −L, "
        "which is to be maximised, and its gradient in theta.  A string is the list of its steps "
        "(s, a), and A[i] is the advantage of string i; theta, old and ref are logits, (S, A).",
        "import numpy as np\n\nfrom minirl.plain.grpo import softmax",
        lambda: list(_as_printed()),
        mistakes=(
            Mistake("score_without_policy", "−π(b|s) is missing in the gradient: "
                    "∇ log π(a|s) = e_a − π(·|s), so that a step moves all logits of its row.",
                    ((objective, "grad[s] -= weight * push * pi[s]", "pass"),)),
            Mistake("no_length", "the steps of a string are summed; the paper takes their mean, "
                    "1/|y_i|.",
                    ((objective, "1 / (len(strings) * len(o))", "1 / len(strings)"),), 27),
            Mistake("all_steps_alike", "the mean is over all steps of the batch; the paper has "
                    "a mean over strings of means over their steps.",
                    ((objective, "1 / (len(strings) * len(o))", "1 / sum(map(len, strings))"),),
                    27),
            Mistake("old_for_reference", "the penalty k3 is taken to π_old.  It is for "
                    "leaving π_ref, which does not change with the batch.",
                    ((objective, "pi_ref[s, a] / pi[s, a]", "pi_old[s, a] / pi[s, a]"),), 9),
            Mistake("reference_for_old", "the ratio is taken to π_ref.  It weighs steps that "
                    "π_old wrote: ρ = π/π_old.",
                    ((objective, "pi[s, a] / pi_old[s, a]", "pi[s, a] / pi_ref[s, a]"),), 9),
            Mistake("kl_added", "β k3 has the wrong sign: it is taken away from what is "
                    "maximised.  Like this the policy is paid for leaving the reference.",
                    ((objective, "- beta * (away", "+ beta * (away"),
                     (objective, "push += beta", "push -= beta")), 2),
            Mistake("k1", _K1,
                    ((objective, "(away - np.log(away) - 1)", "-np.log(away)"),
                     (objective, "push += beta * (away - 1)", "push -= beta")), 3),
            Mistake("never_dead", "steps that are clipped still push in the gradient.  Where the "
                    "minimum is the bound times A, it does not depend on θ.",
                    ((objective, "push = ratio * A_i if ratio * A_i <= clipped * A_i else 0.0",
                      "push = ratio * A_i"),)),
            Mistake("no_ratio_in_gradient", "the factor ρ is missing in the gradient: "
                    "∇ρ = ρ ∇ log π.",
                    ((objective, "push = ratio * A_i if", "push = A_i if"),))),
        hints=("Two loops: over strings with their A_i, and over the (s, a) of a string.  Each "
               "step counts 1/(number of strings · number of its steps).",
               "min(ρ A, clip(ρ) A) has the gradient ρ A ∇ log π where ρ A is the smaller one, and "
               "0 where the bound is.",
               "With x = π_ref/π, −β k3 = −β (x − log x − 1) has the gradient β (x − 1) ∇ log π.",
               "Add both to one number, push; then grad[s] −= weight · push · π(·|s), and "
               "grad[s, a] += weight · push."),
        by_hand="objective(np.zeros((1, 2)), np.log([[1.0, 3.0]]), np.log([[3.0, 1.0]]), "
                "[[(0, 0)], [(0, 1), (0, 1)]], [1.0, -1.0], epsilon=0.4, beta=0.5)",
        done="The book's grpo_loss gives the same numbers from three tables.  Why do these know "
             "enough of the strings?",
        equations=("grpo.1",), results=("objective", "gradient"), there=_as_printed_there),
)
