"""Exercises of Part 5: contrastive learning, right answers, laws of scale."""

import numpy as np

from minirl.beyond.contrastive import (infonce_loss, mean_infonce_loss, negative_sampling_loss,
                                       symmetric_infonce_loss)
from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
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
    by_hand="infonce_loss(np.array([[0.0, np.log(2)]]), np.array([[2.0, 1.0]]))",
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
    by_hand="symmetric_infonce_loss(np.array([[0.0, np.log(2)]]), np.array([[2.0, 1.0]]))",
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
    by_hand="mean_infonce_loss(np.array([[0.0, np.log(3)]]), np.array([[0.5, 0.5]]), batch_size=2)",
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
    by_hand="negative_sampling_loss(np.array([[0.0, np.log(3)]]), np.array([[1.0, 1.0]]), "
            "negatives=3)",
    done="The gradient is zero at f = PMI − log k.  Predict: what happens to f[s, a] where the "
         "step (s, a) never comes?",
    equations=("contrastive.10",), through_softmax=False, there=_sampling_there)

ON_BEYOND = (_INFONCE, _SYMMETRIC, _MEAN, _SAMPLING)
