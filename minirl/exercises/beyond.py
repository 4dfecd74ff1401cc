"""Exercises of Part 5: contrastive learning, right answers, laws of scale."""

from dataclasses import replace

import numpy as np

from minirl.beyond.contrastive import (infonce_loss, mean_infonce_loss, negative_sampling_loss,
                                       symmetric_infonce_loss)
from minirl.beyond.inference import estimated_pass_at_k, right_answer_loss, worlds_of_answers
from minirl.beyond.scaling import Law, compute_optimal, law_loss, predicted
from minirl.exact.evaluation import occupancy
from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import log_softmax
from minirl.people.kl import string_kl
from minirl.people.sft import sft_loss

# Edits of the losses of the chapter `contrastive`.

_SHIFTED = "sft_loss(critic[:, here] + np.log(seen[here]), counts[:, here])"
_IN_THE_SUM = """\
exps = np.exp(critic)
    less = {} * exps
    number = (seen * exps).sum(axis=1, keepdims=True) - less
    share = counts / number / seen.sum()
    grad = seen * exps * share.sum(axis=1, keepdims=True) - share * less - counts / seen.sum()
    return (counts * (np.log(number) - critic)).sum() / seen.sum(), grad
    """


def _left_out(what):
    """InfoNCE with less in the sum over j of an entry: so many of its own action are left out."""
    return infonce_loss, f"loss, slopes = {_SHIFTED}", _IN_THE_SUM.format(what)


_MASKED = Mistake(
    "false_negatives_masked", "the other steps with the partner's action are left out of the sum "
    "over j.  (contrastive.1) counts them: without them the bound (contrastive.5) fails, and for "
    "K > 2 another f is best.", (_left_out("(seen - here)"),))
_WHOLE_TABLE = Mistake(
    "all_of_the_table", "the softmax goes over the whole table, each action once.  The sum over j "
    "goes over the batch: an action counts seen(a) times, and not at all if it is not there.",
    ((infonce_loss, f"loss, slopes = {_SHIFTED}", "return sft_loss(critic, counts)"),))


def _counts(rng, shape, steps):
    """N[s, a] of a batch without the last state and the last action."""
    counts, (S, A) = np.zeros(shape), shape
    np.add.at(counts, (rng.integers(S - 1, size=steps), rng.integers(A - 1, size=steps)), 1)
    return counts


def _batch_cases(**hyperparameters):
    """A critic and the counts of a batch; of each hyperparameter a number for each case."""
    rng, cases = np.random.default_rng(5), []
    for number, (shape, K) in enumerate((((4, 3), 7), ((3, 5), 11), ((5, 6), 13))):
        keywords = {name: values[number] for name, values in hyperparameters.items()}
        cases.append(ExerciseCase(
            (rng.normal(size=shape), _counts(rng, shape, K)), keywords,
            {"K": K, "S": shape[0], "S·A": shape[0] * shape[1], **keywords}))
    return cases


def _infonce_there(case, place):
    critic, counts = case.arguments
    weights = counts.sum(axis=0) * np.exp(critic)
    return (f"N = {counts[place]:.0f}, seen = {counts[:, place[1]].sum():.0f}, "
            f"N of the row = {counts[place[0]].sum():.0f}, "
            f"the chance of the action is {weights[place] / weights[place[0]].sum():.4f}")


_INFONCE = Exercise(
    "infonce", "beyond.contrastive", infonce_loss,
    "Write InfoNCE of a batch of K steps and its gradient in the critic f.  The batch is given by "
    "its counts: the sum over i has N[s, a] equal terms, and that over j has seen(a) = Σ_s N[s, a] "
    "of them.",
    "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax, product",
    _batch_cases,
    mistakes=(
        _WHOLE_TABLE, _MASKED,
        Mistake("partner_left_out", "the partner is left out of the sum over j; in (contrastive.1) "
                "it is one of the K.  Without it this is no chance, and the loss may be negative.",
                (_left_out("here"),)),
        Mistake("no_softmax", "the gradient is −N/K, which is G, the derivative in log π.  f also "
                "stands in the sum over j: the backward pass is missing, at the logits f + log "
                "seen.",
                ((infonce_loss, "grad[:, here] = slopes", "grad = -counts / seen.sum()"),)),
        Mistake("number_left_out", "the loss is that of imitation at the logits f + log seen.  "
                "(contrastive.2) adds (1/K) Σ seen log seen, which has no f in it.",
                ((infonce_loss, "loss + seen[here] @ np.log(seen[here]) / seen.sum(), grad",
                  "loss, grad"),)),
        Mistake("states_for_actions", "the softmax goes over the states of an action: this is the "
                "other half of CLIP's loss.  (contrastive.1) sums over the K actions that are "
                "shown to a state.",
                ((infonce_loss, "critic, counts = _table(critic), _counts(counts)",
                  "critic, counts = _table(critic).T, _counts(counts).T"),
                 (infonce_loss, "seen.sum(), grad", "seen.sum(), grad.T"))),
        Mistake("seen_without_log", "the number seen(a) is added to f where its logarithm "
                "belongs: seen(a) e^f = e^(f + log seen(a)).",
                ((infonce_loss, _SHIFTED, "sft_loss(critic[:, here] + seen[here], "
                  "counts[:, here])"),
                 (infonce_loss, "seen[here] @ np.log(seen[here])", "seen[here] @ seen[here]"))),
        Mistake("states_alike", "every state weighs the same: the mean is taken over the steps of "
                "a state and then over the states.  (contrastive.1) is a mean over the K steps.",
                ((infonce_loss, "seen = counts.sum(axis=0)",
                  "seen, own = counts.sum(axis=0), counts.sum(axis=1, keepdims=True)\n"
                  "    counts = counts / np.where(own > 0, own, 1)"),
                 (infonce_loss, "seen[here] @ np.log(seen[here]) / seen.sum()",
                  "counts.sum(axis=0)[here] @ np.log(seen[here]) / counts.sum()")))),
    hints=("The sum over j is Σ_a seen(a) e^f[s, a], the same for all steps of a state.",
           "The chances of a state are π(a|s) = seen(a) e^f[s, a] / Σ_b seen(b) e^f[s, b]: a "
           "softmax of f + log seen.",
           "L = −(1/K) Σ N[s, a] (f[s, a] − log Σ_b seen(b) e^f[s, b]), and K = counts.sum().",
           "The derivative in f[s, a] is −(N[s, a] − N[s] π(a|s))/K, where N[s] is the sum of the "
           "row: backward does this."),
    by_hand="infonce_loss(np.log([[1, 2], [1, 1]]), np.array([[2.0, 1.0], [0.0, 1.0]]))",
    done="At f = 0 the loss is log K, whatever the batch.  Predict: can it be larger?",
    equations=("contrastive.1",), through_softmax=False, helpers=(sft_loss,), there=_infonce_there)


_SYMMETRIC = Exercise(
    "symmetric_infonce", "beyond.contrastive", symmetric_infonce_loss,
    "Write CLIP's loss and its gradient in the critic f (S, A).  `infonce_loss(critic, counts)` "
    "returns the loss L(f, N) of one way and its gradient.  Here f is any table: τ and the vectors "
    "have no part.",
    "import numpy as np\n\nfrom minirl.beyond.contrastive import infonce_loss", _batch_cases,
    mistakes=(
        Mistake("one_way", "only the action of a state is asked for; (contrastive.8) has a second "
                "half, L(fᵀ, Nᵀ).",
                ((symmetric_infonce_loss, "return (actions + states) / 2, (grad + turned.T) / 2",
                  "return actions, grad"),)),
        Mistake("other_way", "only the state of an action is asked for; (contrastive.8) has a "
                "first half, L(f, N).",
                ((symmetric_infonce_loss, "return (actions + states) / 2, (grad + turned.T) / 2",
                  "return states, turned.T"),)),
        Mistake("gradient_one_way", "the loss has both halves, and the gradient only the first: "
                "∂L(fᵀ, Nᵀ)/∂f is missing.",
                ((symmetric_infonce_loss, "(grad + turned.T) / 2", "grad / 2"),)),
        Mistake("gradient_other_way", "the loss has both halves, and the gradient only the second: "
                "∂L(f, N)/∂f is missing.",
                ((symmetric_infonce_loss, "(grad + turned.T) / 2", "turned.T / 2"),)),
        Mistake("reshaped", "a table (A, S) is reshaped where it must be transposed: "
                "`reshape` keeps the order of the numbers, so that they end at other entries.",
                ((symmetric_infonce_loss, "turned.T", "turned.reshape(grad.shape)"),)),
        _WHOLE_TABLE._replace(says="both softmaxes go over the whole table, each entry once.  The "
                              "sums go over the batch: an action counts seen(a) times, and a state "
                              "as often as it is there."),
        _MASKED._replace(says="in both ways the other steps with the same partner are left out of "
                         "the sum.  (contrastive.1) counts them: without them the bound "
                         "(contrastive.5) fails.")),
    hints=("`critic.T` and `counts.T` are the tables of the other question: which state belongs to "
           "an action?",
           "The gradient of that half comes as a table (A, S).  Entry [a, s] belongs to f[s, a].",
           "The loss is half the sum of the two losses, and the gradient half the sum of the two "
           "gradients, the second one transposed back."),
    by_hand="symmetric_infonce_loss(np.log([[1, 2], [1, 1]]), np.array([[2.0, 1.0], [0.0, 1.0]]))",
    done="Predict: what does a number added to a whole row of f do to each of the two halves?",
    equations=("contrastive.8",), through_softmax=False, there=_infonce_there)


# All batches at once.

_THE_LOOP = "for s, row in enumerate(critic):"
_LOG_OF_MEAN = """\
exps = np.exp(critic)
    number = exps + others * (exps @ marginal)[:, None]
    share = p / number
    grad = exps * (share + others * marginal * share.sum(axis=1, keepdims=True)) - p
    return (p * (np.log(number) - critic)).sum(), grad
    """
_MEAN_BATCH = "return infonce_loss(critic, batch_size * p)\n    "


def _mean_cases():
    """A critic, a distribution, and K."""
    rng = np.random.default_rng(6)
    return [ExerciseCase((rng.normal(size=shape), rng.dirichlet(np.ones(shape[0] * shape[1]))
                          .reshape(shape)), {"batch_size": K},
                         {"K": K, "K − 1": K - 1, "S": shape[0], "S·A": shape[0] * shape[1]})
            for shape, K in (((4, 3), 6), ((3, 5), 4), ((5, 2), 9))]


def _mean_there(case, place):
    critic, p = case.arguments
    return (f"f = {critic[place]:+.3f}, p(s, a) = {p[place]:.4f}, p(a) = "
            f"{p[:, place[1]].sum():.4f}, K = {case.keywords['batch_size']}")


_MEAN = Exercise(
    "mean_infonce", "beyond.contrastive", mean_infonce_loss,
    "Write the mean of InfoNCE over all batches of K steps, (contrastive.7) in the chapter, and "
    "its gradient in the critic f.  The integral over dz/z is one over x = log z: 0.1 times the "
    "sum of the integrand (without 1/z) over `np.arange(-40, 10, 0.1)` is exact to 1e-12 here.  A "
    "loop over all that the K − 1 foreign actions may be will do as well, since K is at most 9.",
    "import numpy as np\n\nfrom minirl.beyond.contrastive import pointwise_information",
    _mean_cases,
    mistakes=(
        Mistake("one_foreign_too_many", "there are K foreign actions; of the K actions one is the "
                "partner, so that (contrastive.7) has the power K − 1.",
                ((mean_infonce_loss, "checks.whole(\"batch_size\", batch_size, 2) - 1",
                  "checks.whole(\"batch_size\", batch_size, 2)"),)),
        Mistake("mean_in_the_logarithm", "the logarithm of the mean stands where (contrastive.7) "
                "is the mean of the logarithm: log(e^f + (K − 1) Σ_b p(b) e^f[s, b]) is larger.",
                ((mean_infonce_loss, _THE_LOOP, _LOG_OF_MEAN + _THE_LOOP),)),
        Mistake("mean_batch", "this is InfoNCE of the mean batch, N = K p, and not the mean of "
                "InfoNCE: in every batch the sum over j is another one.",
                ((mean_infonce_loss, _THE_LOOP, _MEAN_BATCH + _THE_LOOP),)),
        Mistake("partner_left_out", "the sum inside the logarithm has the K − 1 foreign actions "
                "alone: the factor e^(−z e^f[s, a]) of the partner is missing in (contrastive.7).",
                ((mean_infonce_loss, "np.exp(others * log_each - size)",
                  "np.exp(others * log_each - 0 * size)"),
                 (mean_infonce_loss, "p[s] * each + others * marginal * (gone @ p[s][:, None])",
                  "others * marginal * p[s].sum()"))),
        Mistake("foreign_by_the_state", "the foreign actions are drawn by p(a|s).  They belong to "
                "other states, drawn independently: in (contrastive.7) their law is p(a).",
                ((mean_infonce_loss, "f = row - most",
                  "f, marginal = row - most, p[s] / p[s].sum()"),)),
        Mistake("foreign_alike", "the foreign actions are drawn with equal chances; in "
                "(contrastive.7) their law is p(a) = Σ_s p(s, a).",
                ((mean_infonce_loss, "marginal, loss, grad = p.sum(axis=0), 0.0,",
                  "marginal, loss, grad = np.full(p.shape[1], 1 / p.shape[1]), 0.0,"),)),
        Mistake("foreign_without_slope", "the gradient has f of the partner alone; f[s, b] of the "
                "foreign actions stands in the power, and moves it too.",
                ((mean_infonce_loss, " + others * marginal * (gone @ p[s][:, None])", ""),)),
        Mistake("power_forgotten", "the derivative of the power lacks its factor K − 1: that of "
                "x^(K−1) is (K − 1) x^(K−2).",
                ((mean_infonce_loss, "+ others * marginal", "+ marginal"),))),
    hints=("`z = np.exp(np.arange(-40, 10, 0.1))[:, None, None]` makes room for S and A: "
           "`gone = np.exp(-z * np.exp(critic))` holds e^(−z e^f[s, a]), for each point.",
           "`each = (gone @ p.sum(axis=0))[:, :, None]` is the mean over one foreign action, and "
           "the loss is (p · (0.1 Σ_z [e^−z − gone · each^(K−1)] − f)).sum().",
           "The derivative of e^(−z e^f) in f is −z e^f e^(−z e^f).  It enters twice: f[s, a] of "
           "the partner, and f[s, b] in each of the K − 1 equal factors.",
           "With size = z e^f, the gradient is −p + 0.1 Σ_z size · gone · each^(K−2) · "
           "(p · each + (K − 1) · marginal · Σ_a p · gone), where Σ_a goes over the row."),
    by_hand="mean_infonce_loss(np.log([[1, 3], [1, 1]]), np.array([[0.25, 0.25], [0.5, 0.0]]), "
            "batch_size=3)",
    done="At f = PMI the gradient is zero for every K.  Predict: what is the loss at f = 0?",
    equations=("contrastive.1",), through_softmax=False, there=_mean_there)


_NOISE = "noise = negatives * np.outer(p.sum(axis=1), p.sum(axis=0))"
_SLOPES = "noise * np.exp(right) - p * np.exp(wrong)"
_WORD2VEC = f"return -(p * right + noise * wrong).sum(), {_SLOPES}"


def _drawn(name, says, noise):
    """Negative samples that are drawn otherwise."""
    return Mistake(name, says, ((negative_sampling_loss, _NOISE, f"noise = negatives * {noise}"),))


def _sampling_cases():
    return _batch_cases(negatives=(3, 7, 4))


def _sampling_there(case, place):
    critic, counts = case.arguments
    p = counts / counts.sum()
    return (f"p(s, a) = {p[place]:.4f}, p(s) p(a) = {p[place[0]].sum() * p[:, place[1]].sum():.4f},"
            f" σ(f) = {1 / (1 + np.exp(-critic[place])):.4f}, k = {case.keywords['negatives']}")


_SAMPLING = Exercise(
    "negative_sampling", "beyond.contrastive", negative_sampling_loss,
    "Write the loss of word2vec with negative samples, and its gradient in the critic f.  p(s, a) "
    "is the share of the steps that are (s, a), counts/K; p(s) and p(a) are its marginals.",
    "import numpy as np\n\nfrom minirl.kernel.softmax import log_sigmoid", _sampling_cases,
    mistakes=(
        Mistake("sign_inside", "both terms have σ(f), where the second has σ(−f): the critic is "
                "paid for taking foreign actions for partners.",
                ((negative_sampling_loss, _WORD2VEC, "return -((p + noise) * right).sum(), "
                  "-(p + noise) * np.exp(wrong)"),)),
        Mistake("no_exp", "log σ stands where the gradient has σ: np.exp is missing.  A logarithm "
                "is negative, so that every entry moves the wrong way.",
                ((negative_sampling_loss, _SLOPES, "noise * right - p * wrong"),)),
        Mistake("no_k", "the factor k is missing in the second term: there are k foreign actions "
                "for each step, not one.",
                ((negative_sampling_loss, "negatives * np.outer", "np.outer"),)),
        _drawn("power", "the foreign actions are drawn by p(a)^¾, as word2vec's program does it.  "
               "(contrastive.10) draws them by p(a); with the power f* is no longer PMI − log k.",
               "np.outer(p.sum(axis=1), p.sum(axis=0)**0.75 / (p.sum(axis=0)**0.75).sum())"),
        _drawn("foreign_alike", "the foreign actions are drawn with equal chances 1/A; in "
               "(contrastive.10) their law is p(a).",
               "np.outer(p.sum(axis=1), np.full(p.shape[1], 1 / p.shape[1]))"),
        _drawn("foreign_by_the_state", "the foreign actions are drawn with the step, by p(s, a), "
               "so that partners are told from partners; the second term has p(s) p(a).", "p"),
        _drawn("states_alike", "the factor p(s) is missing in the second term: every state has as "
               "many foreign actions, however seldom it comes.",
               "np.outer(np.ones(p.shape[0]), p.sum(axis=0))"),
        Mistake("slopes_exchanged", "the gradient has σ(f) and σ(−f) exchanged: the derivative of "
                "−log σ(f) is −σ(−f), and that of −log σ(−f) is σ(f).",
                ((negative_sampling_loss, _SLOPES, "noise * np.exp(wrong) - p * np.exp(right)"),)),
        Mistake("backward_pass", "the gradient went through the backward pass of a softmax.  There "
                "is none here: each entry of f is judged by itself, with σ.",
                ((negative_sampling_loss, _WORD2VEC,
                  f"G, exps = {_SLOPES}, np.exp(critic)\n"
                  "    G = G - exps / exps.sum(axis=1, keepdims=True) * G.sum(axis=1, "
                  "keepdims=True)\n    return -(p * right + noise * wrong).sum(), G"),)),
        Mistake("counts_for_chances", "the counts stand where the chances belong.  Then the first "
                "term is K times too large and the second K² times.",
                ((negative_sampling_loss, "_joint(counts, \"counts\")", "_counts(counts)"),))),
    hints=("`p = counts / counts.sum()`; its sums over the columns and over the rows are p(s) and "
           "p(a).",
           "`np.outer(p.sum(axis=1), p.sum(axis=0))` is the table p(s) p(a).",
           "d log σ(f)/df = σ(−f), and d log σ(−f)/df = −σ(f).",
           "The gradient is k p(s) p(a) σ(f) − p(s, a) σ(−f), entry by entry; "
           "σ(f) = np.exp(log_sigmoid(f))."),
    by_hand="negative_sampling_loss(np.log([[1, 3], [1, 1]]), np.array([[1.0, 1.0], [2.0, 0.0]]),"
            " negatives=3)",
    done="The gradient is zero at f = PMI − log k.  Predict: what happens to f[s, a] where the "
         "step (s, a) never comes?",
    equations=("contrastive.10",), through_softmax=False, there=_sampling_there)


# More attempts.

_WRONG = "return 1 - (np.maximum(wrong[..., None] - i, 0) / (samples - i)).prod(axis=-1)"


def _estimate(name, says, old, new):
    return Mistake(name, says, ((estimated_pass_at_k, old, new),))


def _attempt_cases():
    """How many of so many attempts were right, and k; in the last case binomials overflow."""
    return [ExerciseCase((np.array(right), samples, k), factors={"k": k, "samples": samples})
            for right, samples, k in ((range(8), 7, 3), ((0, 2, 5, 9, 12), 12, 5),
                                      ((1, 4, 0, 8), 9, 4), ((0, 1, 3, 300, 1990), 2000, 600))]


def _attempts_there(case, place):
    right, samples, k = case.arguments
    return f"{right[place]} of {samples} attempts were right, and k = {k}"


_ATTEMPTS = Exercise(
    "pass_at_k", "beyond.inference", estimated_pass_at_k,
    "Write the unbiased estimate of pass@k, an array (M,) with a number for each prompt: `right` "
    "(M,) of `samples` attempts were right, and `wrong` of (inference.2) is the rest.",
    "import numpy as np", _attempt_cases,
    mistakes=(
        _estimate("plug_in", "this is 1 − (1 − c/n)^k, with c of n samples right.  It puts the "
                  "share c/n in the place of the chance p, and is too low on average.", _WRONG,
                  "return 1 - (wrong / samples)**k"),
        _estimate("complement", "this is the chance that none of the k is right; pass@k is 1 "
                  "minus it.", "return 1 - (", "return ("),
        _estimate("all_right", "this is the chance that all k are right; one of them is enough.",
                  "return 1 - (np.maximum(wrong[..., None]",
                  "return (np.maximum(samples - wrong[..., None]"),
        _estimate("right_for_wrong", "the right attempts stand where the wrong ones belong: this "
                  "is the chance that one of the k is wrong.", "np.maximum(wrong[..., None]",
                  "np.maximum(samples - wrong[..., None]"),
        _estimate("samples_put_back", "each factor is divided by the number of samples.  None is "
                  "put back, so that after i of them samples − i are left.", "(samples - i)",
                  "samples"),
        _estimate("begins_at_one", "the factors go from i = 1 to k; (inference.2) has i < k, "
                  "from 0 to k − 1.", "np.arange(k)", "np.arange(1, k + 1)"),
        _estimate("range_too_short", "with c of n samples right, 1 − Π (1 − k/j) over "
                  "j = n − c + 1, …, n is the same as (inference.2).  Here it ends before j = n: "
                  "`np.arange(a, b)` ends before b.", _WRONG,
                  f"{_WRONG[:-len('.prod(axis=-1)')]}.prod(axis=-1) * np.where(\n"
                  "        wrong < samples, samples / (samples - k), 1)"),
        _estimate("k_times_share", "this is k · c/n, cut off at 1: how many of the k are right on "
                  "average, and not how likely one is.", _WRONG,
                  "return np.minimum(k * (samples - wrong) / samples, 1)")),
    hints=("What is the chance that the first of the k is wrong?  And the second one, when one of "
           "the wrong is gone?",
           "If fewer than k are wrong, one factor is 0, and so is the product.",
           "`np.arange(k)` is i; `wrong[:, None] - np.arange(k)` has a row for each prompt, and "
           "`.prod(axis=-1)` multiplies along it."),
    by_hand="estimated_pass_at_k(np.array([1, 2]), samples=4, k=2)",
    done="It is 1 − C(wrong, k)/C(samples, k) as well; but with many samples these binomials are "
         "too large for floating-point numbers.  Predict: what is the estimate at k = samples?",
    equations=("inference.2",), results=("estimate",), there=_attempts_there)


_PRICED = "loss, grad = product(beta, loss), beta * grad"
_GAINED = "loss, grad = loss - share * J, grad - share * slope"
_DISTANCE = "string_kl(replace(mdp, gamma=1.0), logits, ref_logits)"


def _prompted_world(rng, shape, gamma):
    """A world that may end after each step, and whose episodes do not begin in the last state."""
    S, outcomes = shape[0], (*shape, 2)
    return TabularMDP(
        rng.integers(S, size=outcomes), rng.dirichlet(np.ones(2), shape) * 0.8 + 0.1,
        np.zeros(outcomes), np.tile([True, False], (*shape, 1)),
        np.append(rng.dirichlet(np.ones(S - 1)), 0), gamma)


def _answer_cases():
    """A policy, a world, a reference, and the right answers; several prompts share one."""
    rng, cases = np.random.default_rng(8), []
    for shape, gamma, beta, right in (((4, 3), 0.8, 0.3, (2, 0, 2, 1)),
                                      ((3, 5), 0.6, 0.13, (1, 2, 0)),
                                      ((5, 2), 0.9, 1.7, (3, 0, 3, 4, 1))):
        world, (logits, ref) = _prompted_world(rng, shape, gamma), rng.normal(size=(2, *shape))
        cases.append(ExerciseCase((logits, world, ref, np.array(right)), {"beta": beta},
                                  {"beta": beta}))
    return cases


def _answer_there(case, place):
    logits, world, ref, _ = case.arguments
    logp = log_softmax(logits)
    visits = occupancy(replace(world, gamma=1.0), np.exp(logp))[place[0]]
    return (f"π = {np.exp(logp[place]):.4f}, log π − log π_ref = "
            f"{logp[place] - log_softmax(ref)[place]:+.4f}, and an episode visits the row "
            f"{visits:.4f} times")


_ANSWERS = Exercise(
    "right_answer", "beyond.inference", right_answer_loss,
    "Write −J of (inference.4) and its gradient in the logits.  `worlds_of_answers(mdp, right)` is "
    "a list: for each answer, the share of the prompts to which it is right, and a world that has "
    "these prompts and pays 1 for the answer.  `policy_gradient(world, logits)` gives the mean pay "
    "in a world and its gradient; `string_kl(mdp, logits, ref_logits)` gives the KL of whole "
    "episodes, at the gamma of `mdp`, and its gradient.",
    "from dataclasses import replace\n\nimport numpy as np\n\n"
    "from minirl.beyond.inference import worlds_of_answers\n"
    "from minirl.exact.planning import policy_gradient\n"
    "from minirl.kernel.mdp import coin_game, unroll  # to try it\n"
    "from minirl.people.kl import string_kl", _answer_cases,
    mistakes=(
        Mistake("kl_rewarded", "the price has the wrong sign: the loss is β KL − Σ start p_s, and "
                "here a larger distance makes it smaller.",
                ((right_answer_loss, _PRICED, "loss, grad = product(-beta, loss), -beta * grad"),),
                2),
        Mistake("right_punished", "the chance of the right answer is added where −J takes it "
                "away: descent would make the answers wrong.",
                ((right_answer_loss, _GAINED,
                  "loss, grad = loss + share * J, grad + share * slope"),)),
        Mistake("slope_added", "the slope of the chances is added in the gradient, while the "
                "chances are taken away in the loss: `policy_gradient` is to be climbed.",
                ((right_answer_loss, _GAINED,
                  "loss, grad = loss - share * J, grad + share * slope"),)),
        Mistake("no_price", "the price is missing: β KL is a part of −J.",
                ((right_answer_loss, _PRICED, "loss, grad = 0.0, 0 * grad"),)),
        Mistake("discounted_kl", "the KL is discounted by the world's gamma, which plays no part "
                "here: use replace(mdp, gamma=1.0).",
                ((right_answer_loss, _DISTANCE, "string_kl(mdp, logits, ref_logits)"),)),
        Mistake("shares_forgotten", "the share of an answer is missing.  The pay in its world is a "
                "mean over its own prompts, so it must be multiplied by their share.",
                ((right_answer_loss, _GAINED, "loss, grad = loss - J, grad - slope"),)),
        Mistake("any_right_answer", "an answer is paid whoever was asked, if it is right for some "
                "prompt; in (inference.4) p_s is the chance of the answer that is right for s.",
                ((worlds_of_answers, "start = np.where(right == answer, mdp.start, 0.0)",
                  "start = mdp.start"),)),
        Mistake("exchanged", "policy and reference are exchanged: this is KL(π_ref‖π), with the "
                "gradient in the logits of the reference.  It must be KL(π‖π_ref).",
                ((right_answer_loss, _DISTANCE,
                  "string_kl(replace(mdp, gamma=1.0), ref_logits, logits)"),), 1),
        Mistake("visits_fixed", "the gradient of the KL takes the visits as fixed.  A step also "
                "decides which rows come later, and they have distances of their own (kl.2).",
                ((string_kl, "(ratio + later)", "ratio"),))),
    hints=("Begin with the price: β times what `string_kl` gives, both of it, at gamma = 1.",
           "`for share, world in worlds_of_answers(mdp, right):` goes through the answers.",
           "Σ_s start(s) p_s is the sum of share · J over the answers, J from `policy_gradient`.",
           "The loss falls by share · J, and the gradient by share · slope: J is to be climbed."),
    by_hand="right_answer_loss(np.log([[2, 1], [1, 3]]), replace(unroll(coin_game(), 2), "
            "start=np.array([0.75, 0.25]), gamma=0.5), np.zeros((2, 2)), np.array([1, 0]), "
            "beta=0.25)",
    done="At the best policy the mean over prompts is no lower than in the reference, but single "
         "prompts that share rows may be.  Predict: which ones fall?",
    equations=("inference.4",), helpers=(worlds_of_answers,), there=_answer_there)


# Laws of scale.


def _split_cases():
    """Laws, and budgets: a number, and arrays."""
    return [ExerciseCase((law, budget)) for law, budget in (
        (Law(1.3, (4.1, 7.3), (0.34, 0.61)), 5.2e4),
        (Law(1.7, (406.4, 410.7), (0.34, 0.28)), np.array([1e18, 3e21, 5.76e23])),
        (Law(0.9, (90.0, 23.0), (0.47, 0.38)), np.array([7e6, 2e9])))]


_SPLIT = "split = (params_power * params_factor / (tokens_power * tokens_factor))**(1 / both)"
_BOUGHT = "return split * area**(tokens_power / both), area**(params_power / both) / split"


def _bought(name, says, new, old=_BOUGHT):
    return Mistake(name, says, ((compute_optimal, old, new),))


_OPTIMAL = Exercise(
    "compute_optimal", "beyond.scaling", compute_optimal,
    "Write the best split of a budget between params and tokens: solve (scaling.3) for them.  "
    "`law.factors` and `law.powers` are pairs, params before tokens.  Return (params, tokens), "
    "numbers or arrays as the budget is.",
    "import numpy as np\n\nfrom minirl.beyond.scaling import Law", _split_cases,
    mistakes=(
        _bought("powers_exchanged", "the powers of the budget are exchanged.  The steeper a term "
                "falls, the less its size has to grow: params grow with the power "
                "tokens_power/both.",
                "return split * area**(params_power / both), area**(tokens_power / both) / split"),
        _bought("no_six", "the 6 is missing: a param and a token cost 6 operations, so that "
                "params · tokens = budget/6.", '_positive("budget", budget)',
                '_positive("budget", budget) / 6'),
        _bought("terms_equal", "the two terms are made equal.  At the best split their "
                "derivatives in log size are equal, power times term (scaling.3).",
                "split = (params_factor / tokens_factor)**(1 / both)", _SPLIT),
        _bought("no_root", "a root is missing: params_power params_factor/(tokens_power "
                "tokens_factor), times area^tokens_power, is params^both and not params.",
                _SPLIT.replace("**(1 / both)", ""), _SPLIT),
        _bought("upside_down", "the quotient of the factors and powers is upside down: the larger "
                "params_factor, the more params are bought.",
                "return area**(tokens_power / both) / split, split * area**(params_power / both)"),
        _bought("square_root", "both sizes grow like the square root of the budget.  That is so "
                "with equal powers only.", "return split * area**0.5, area**0.5 / split"),
        _bought("twenty", "these are 20 tokens per param, whatever the law.  This is what "
                "Chinchilla has; at its budget and above, the published laws ask for 16 to 153.",
                "return (area / 20)**0.5, (20 * area)**0.5"),
        _bought("order", "the two are exchanged: params come first.",
                "return area**(params_power / both) / split, split * area**(tokens_power / both)")),
    hints=("Put tokens = area/params, with area = budget/6, into the second line of (scaling.3).",
           "All powers of params on one side: params^(params_power + tokens_power) = "
           "(params_power params_factor)/(tokens_power tokens_factor) · area^tokens_power.",
           "With both = params_power + tokens_power take the root: `**(1 / both)`.",
           "Then tokens = area/params."),
    by_hand="compute_optimal(Law(1.0, (48.0, 1.0), (0.5, 1.5)), 60_000.0)",
    done="Predict: if the power of params is the larger one, does a larger budget ask for more "
         "tokens per param, or for fewer?",
    equations=("scaling.3",), results=("params", "tokens"))


_ERROR = "error = top[:, 0] + np.log(parts.sum(axis=1)) - np.log(losses)"
_VALUE = "np.where(small, error**2 / 2, delta * (sign * error - delta / 2)).sum()"
_SLOPE = "slope = np.where(small, error, delta * sign)"
_SLOPES = "slopes = slope[:, None] * parts / parts.sum(axis=1, keepdims=True)"
_GRADIENT = "np.concatenate([slopes.sum(axis=0), -(slopes[:, 1:] * logs).sum(axis=0)])"
_TERMS = "terms = np.column_stack([np.full(len(sizes), x[0]), x[1:k + 1] - x[k + 1:] * logs])"


def _law(name, says, *edits):
    return Mistake(name, says, tuple((law_loss, old, new) for old, new in edits))


def _law_cases():
    """Errors of both signs, within delta and beyond it."""
    rng, cases = np.random.default_rng(9), []
    for k, points, delta in (2, 9, 0.3), (1, 7, 0.8), (3, 11, 0.15):
        x, sizes = rng.uniform(0.2, 1.2, 1 + 2 * k), np.exp(rng.uniform(0, 3, (points, k)))
        law = Law(np.exp(x[0]), tuple(np.exp(x[1:k + 1])), tuple(x[k + 1:]))
        errors = delta * np.resize([0.4, -1.9, -0.7, 1.6, 0.2], points)
        cases.append(ExerciseCase((x, sizes, predicted(law, *sizes.T) * np.exp(-errors)),
                                  {"delta": delta}, {"delta": delta, "number of points": points}))
    return cases


def _law_there(case, place):
    x, sizes, losses = case.arguments
    k, at = sizes.shape[1], place[0]
    names = ["log floor", *(f"log factor {i}" for i in range(k)), *(f"power {i}" for i in range(k))]
    law = Law(np.exp(x[0]), tuple(np.exp(x[1:k + 1])), tuple(x[k + 1:]))
    errors = np.log(predicted(law, *sizes.T) / losses)
    beyond = (np.abs(errors) > case.keywords["delta"]).sum()
    return (f"{names[at]} = {x[at]:.4f}, and of {len(errors)} errors {beyond} are beyond delta "
            f"and {(errors < 0).sum()} negative")


_FIT = Exercise(
    "law", "beyond.scaling", law_loss,
    "Write the loss by which laws are fitted, and its gradient in x = (log floor, log factors, "
    "powers).  A point has 1 + k terms: log floor, and log factor − power · log size for each of "
    "its k sizes.",
    "import numpy as np", _law_cases,
    mistakes=(
        _law("mean", "this is a mean over the points, and (scaling.6) is a sum.  The mean is least "
             "at the same place, but it is so small that a search with fixed tolerances stops "
             "early.", (f"value = {_VALUE}", f"value = {_VALUE} / len(losses)"),
             (_SLOPE, f"{_SLOPE} / len(losses)")),
        _law("squares", "all errors count by their squares.  Beyond delta (scaling.6) grows in "
             "proportion to the error, so that a few wild points cannot bend the law.",
             (_VALUE, "(error**2 / 2).sum()"), (_SLOPE, "slope = error")),
        _law("losses_without_log", "the losses are compared as they are.  (scaling.6) compares "
             "their logarithms, since losses err in proportion to their size.",
             (_ERROR, "error = np.exp(terms).sum(axis=1) - losses"),
             (_SLOPES, "slopes = slope[:, None] * np.exp(terms)")),
        _law("factors_without_log", "here x is read as floor, factors, powers.  It holds log "
             "floor and the logarithms of the factors.",
             (_TERMS, "terms = np.column_stack([np.full(len(sizes), np.log(x[0])), "
              "np.log(x[1:k + 1]) - x[k + 1:] * logs])"),
             (_GRADIENT, _GRADIENT.replace("slopes.sum(axis=0),",
                                           "slopes.sum(axis=0) / x[:k + 1],"))),
        _law("smooth_l1", "this is Huber's loss divided by delta, which PyTorch calls smooth L1.  "
             "(scaling.6) has error²/2 up to delta.", (f"value = {_VALUE}",
                                                       f"value = {_VALUE} / delta"),
             (_SLOPE, f"{_SLOPE} / delta")),
        _law("jump", "beyond delta stands delta |error|, where (scaling.6) has "
             "delta (|error| − delta/2): the loss jumps at delta.",
             (_VALUE, "np.where(small, error**2 / 2, delta * sign * error).sum()")),
        _law("no_sign", "beyond delta the slope is delta, whatever the sign of the error.  It is "
             "delta · sign(error): where the law is too low, to raise it lowers the loss.",
             (_SLOPE, "slope = np.where(small, error, delta)")),
        _law("no_shares", "each term has the whole slope.  The derivative of log Σ e^term in one "
             "term is the share that e^term has of the sum.",
             (_SLOPES, "slopes = slope[:, None] + 0 * parts")),
        _law("power_without_size", "the gradient in a power lacks log size: the term is "
             "log factor − power · log size.",
             (_GRADIENT, _GRADIENT.replace("slopes[:, 1:] * logs", "slopes[:, 1:]")))),
    hints=("`terms = np.column_stack([np.full(B, x[0]), x[1:k + 1] - x[k + 1:] * np.log(sizes)])` "
           "has a row for each point.",
           "error = log Σ_terms e^term − log measured, and `np.where(abs(error) <= delta, …, …)` "
           "takes the one or the other branch.",
           "Huber's loss has the slope error up to delta, and delta · sign(error) beyond.",
           "The slope in a term is that times e^term/Σ e^term.  Sum it over the points for log "
           "floor and log factors; for a power multiply by −log size first."),
    by_hand="law_loss(np.array([0.0, np.log(2), 0.5]), np.array([[4.0], [1.0]]), np.array([1.0, "
            "6.0]), delta=0.5)",
    done="Predict: by how much can one more point move the gradient in log floor at most?",
    equations=("scaling.6",), through_softmax=False, there=_law_there)

ON_BEYOND = (_INFONCE, _SYMMETRIC, _MEAN, _SAMPLING, _ATTEMPTS, _ANSWERS, _OPTIMAL, _FIT)
