"""Exercises of Part 4: demonstrations, the best of n, the exact optimum, and the KL."""

import numpy as np

from minirl.exact.return_law import RewardLaw
from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import log_softmax
from minirl.people.best_of_n import _levels_of_the_best, best_of_n
from minirl.people.kl import k3, k3_loss, kl_loss, string_kl
from minirl.people.regularised import _log_partition, log_partition, tilt
from minirl.people.sft import fit_by_counting, sft_loss

_SHAPES = (4, 3), (3, 5), (6, 2)


def _counted(rng, shape):
    """Counts of a few dozen steps, some of them 0, and some larger than 1 in every column."""
    counts = rng.integers(0, 6, shape).astype(float)
    counts[0], counts[1, 0] = np.arange(2, shape[1] + 2), 0
    return counts


def _sizes(shape, counts):
    return {"N": counts.sum(), "S": shape[0], "S·A": shape[0] * shape[1]}


def _sft_cases():
    """A table, and counts; the last state of the second case was never met."""
    rng = np.random.default_rng(11)
    cases = []
    for shape in _SHAPES:
        logits, counts = rng.normal(size=shape), _counted(rng, shape)
        counts[-1] *= shape != (3, 5)
        cases.append(ExerciseCase((logits, counts), factors=_sizes(shape, counts)))
    return cases


def _sft_there(case, place):
    logits, counts = case.arguments
    return (f"N[s, a] = {counts[place]:.0f} of N[s] = {counts[place[0]].sum():.0f}, "
            f"π = {np.exp(log_softmax(logits))[place]:.3f}")


def _counting_cases():
    """Counts and a pseudo-count: a number, none, and one for each state.

    A state of the second case has neither.
    """
    rng = np.random.default_rng(12)
    cases = []
    for shape, alpha in zip(_SHAPES, (0.3, 0.0, rng.uniform(0.2, 0.9, (6, 1)))):
        counts = _counted(rng, shape)
        if np.all(alpha == 0):
            counts += 1
            counts[-1] = 0
        cases.append(ExerciseCase((counts,), {"pseudo_count": alpha}, {"A": shape[1]}))
    return cases


def _law_cases():
    """Laws of a reward with one, two or no other sums, and the number of strings."""
    rng = np.random.default_rng(13)
    cases = []
    for levels, others, K in (3, 1, 4), (5, 2, 3), (7, 0, 6):
        law = RewardLaw(np.sort(rng.normal(size=levels)), rng.dirichlet(np.ones(levels)), 0.0,
                        rng.normal(size=(others, levels)))
        cases.append(ExerciseCase((law, K)))
    return cases


def _tilt_cases():
    """A reference and action values."""
    rng = np.random.default_rng(14)
    return [ExerciseCase((rng.normal(size=shape), rng.normal(size=shape)), {"beta": beta},
                         {"beta": beta})
            for shape, beta in zip(_SHAPES, (0.3, 0.7, 2.3))]


def _world(rng, shape, gamma):
    """Action 0 ends the episode.  Action 1 goes on to the next state, the others anywhere.

    Steps mostly cost something, so that the sums of all kinds of mistakes are finite.
    """
    S, A = shape
    following = rng.integers(S, size=shape)
    following[:, 0], following[:, 1] = 0, (np.arange(S) + 1) % S
    rewards = rng.normal(size=shape) - 1.5 - 0.5 * (np.arange(A) > 0)
    ends = np.broadcast_to(np.arange(A)[:, None] == 0, (S, A, 1))
    return TabularMDP(following[:, :, None], np.ones((S, A, 1)), rewards[:, :, None], ends,
                      rng.dirichlet(np.ones(S)), gamma)


def _reference(rng, shape):
    """Logits of a policy that ends after a few steps."""
    return rng.normal(size=shape) + 0.7 * (np.arange(shape[1]) == 0)


def _optimum_cases():
    """Worlds like a language, and a reference."""
    rng = np.random.default_rng(25)
    return [ExerciseCase((_world(rng, shape, 1.0), _reference(rng, shape)), {"beta": beta},
                         {"beta": beta})
            for shape, beta in (((3, 3), 0.8), ((4, 3), 1.3), ((5, 4), 0.7))]


def _string_cases():
    """Worlds like a language, some of them discounted, a policy and a reference."""
    rng = np.random.default_rng(16)
    return [ExerciseCase((_world(rng, shape, gamma), _reference(rng, shape),
                          _reference(rng, shape)))
            for shape, gamma in (((3, 3), 1.0), ((4, 3), 0.9), ((5, 4), 0.6))]


def _kl_cases():
    """Two tables, and how often each state was visited."""
    rng = np.random.default_rng(17)
    cases = []
    for shape in _SHAPES:
        tables, visits = rng.normal(size=(2, *shape)), rng.integers(1, 7, shape[0]).astype(float)
        visits[1] = 0
        cases.append(ExerciseCase((*tables, visits), factors=_sizes(shape, visits)))
    return cases


def _kl_there(case, place):
    logits, ref_logits, visits = case.arguments
    pi, ref = (np.exp(log_softmax(table))[place] for table in (logits, ref_logits))
    return f"π = {pi:.3f}, π_ref = {ref:.3f}, N[s] = {visits[place[0]]:.0f}"


def _estimate_cases():
    """Log-ratios far from zero, near it, and so near that e^u is 1 + u to the last digit.

    The last are powers of two: then e^u − u − 1 is 0, in whatever order it is worked out.
    """
    rng = np.random.default_rng(18)
    return [ExerciseCase((np.append(rng.normal(size=5), [-9.0, 6.0]),)),
            ExerciseCase((0.01 * rng.normal(size=(2, 3)),)),
            ExerciseCase((np.array([2.0**-27, -2.0**-27, 2.0**-28, -2.0**-30]),))]


def _k3_cases():
    """Two tables, and counts of the steps."""
    rng = np.random.default_rng(19)
    cases = []
    for shape in _SHAPES:
        tables, counts = rng.normal(size=(2, *shape)), _counted(rng, shape)
        cases.append(ExerciseCase((*tables, counts), factors=_sizes(shape, counts)))
    return cases


def _k3_there(case, place):
    logits, ref_logits, weights = case.arguments
    u = (log_softmax(ref_logits) - log_softmax(logits))[place]
    return f"W = {weights[place]:.0f}, u = {u:+.3f}, e^u = {np.exp(u):.3f}"


_IMPORTS = "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax"

# What several mistakes replace, and the sum of a row of counts where there is one.
_NORMALISED = ("return log_softmax(np.log(total, where=total > 0, "
               "out=np.full(total.shape, -np.inf)))")
_LEVELS = "F, q = _levels_of_the_best(p, K)"
_BOUND = "float(np.log(K) - (K - 1) / K)"
_K3 = "return series + np.expm1(capped) - capped + np.where(u == np.inf, np.inf, 0)"
_ROW_SUM = "np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)"

ON_IMITATION = (
    Exercise(
        "sft", "people.sft", sft_loss,
        "Write (sft.1), the loss of imitation L = −(1/N) Σ N[s, a] log π(a|s), and its gradient.  "
        "N is the number of all steps.  All probabilities are positive in the exercise.",
        _IMPORTS, _sft_cases,
        mistakes=(
            Mistake("rows_not_weighted", "the gradient of a row is π − N[s, a]/N[s]; that of "
                    "(sft.1) is (N[s] π − N[s, a])/N.  A state counts as often as it was met.",
                    ((sft_loss, "loss = product(G, logp).sum()",
                      "loss = product(G, logp).sum()\n"
                      f"    G = -counts / {_ROW_SUM}"),)),
            Mistake("every_state_alike", "the loss is the mean over the states of what a step "
                    "costs there; (sft.1) is the mean over all steps, so that a state counts as "
                    "often as it was met.",
                    ((sft_loss, "/ counts.sum()",
                      f"/ {_ROW_SUM} / (counts.sum(axis=1) > 0).sum()"),)),
            Mistake("end_not_counted", "action 0, which is the end symbol of a language, is left "
                    "out.  It is an action like the others: without it a model never learns to "
                    "stop.",
                    ((sft_loss, "logp = log_softmax(logits)",
                      "logp = log_softmax(logits)\n"
                      "    counts = counts * (np.arange(counts.shape[1]) > 0)"),), 23),
            Mistake("once_each", "a step that was demonstrated several times counts once here; "
                    "(sft.1) weighs it with N[s, a], the number of times.",
                    ((sft_loss, "logp = log_softmax(logits)",
                      "logp = log_softmax(logits)\n    counts = np.minimum(counts, 1)"),), 41),
            Mistake("no_log", "the loss is the mean of −π and not of −log π: (sft.1) adds up "
                    "logarithms, so that its minimum is where all demonstrations together are "
                    "likeliest.",
                    ((sft_loss, "loss = product(G, logp).sum()",
                      "G = G * np.exp(logp)\n    loss = G.sum()"),)),
            Mistake("log_of_mean", "the logarithm is taken of the mean probability of a step; "
                    "(sft.1) is the mean of the logarithms.",
                    ((sft_loss, "loss = product(G, logp).sum()",
                      "G = G * np.exp(logp)\n    loss = -np.log(-G.sum())\n"
                      "    G = G / -G.sum()"),)),
            Mistake("perplexity", "the loss is e^L, the perplexity, and the gradient is that "
                    "of L.  The loss is L itself, in nats per step.",
                    ((sft_loss, "return loss, ", "return np.exp(loss), "),)),
            Mistake("bits", "the logarithm is that to the base 2: loss and gradient are in bits, "
                    "and (sft.1) is in nats.",
                    ((sft_loss, "/ counts.sum()", "/ counts.sum() / np.log(2)"),))),
        hints=("`counts * logp` is N[s, a] log π(a|s), entry by entry.",
               "N is `counts.sum()`: all steps, and not those of a row.",
               "L is linear in log π.  So G, the derivative in log π(a|s), is the factor in front "
               "of it: −N[s, a]/N.",
               "G is not yet the gradient in the logits: backward(logp, G)."),
        by_hand="sft_loss(np.log([[1, 3], [1, 1]]), np.array([[2.0, 0.0], [1.0, 5.0]]))",
        done="The gradient is (N[s] π − N[s, a])/N.  Predict: what is it at π = N[s, a]/N[s], "
             "the shares of the counts?",
        equations=("sft.1",), without=("label_smoothing",), there=_sft_there),
    Exercise(
        "counting", "people.sft", fit_by_counting,
        "Write the table log π that counting finds, with a pseudo-count.  In (sft.3) N[s] is the "
        "sum of a row, and `actions` is the number of actions.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import log_softmax", _counting_cases,
        mistakes=(
            Mistake("alpha_once", "each row is divided by N[s] + α.  Every action of the row gets "
                    "α, so that (sft.3) divides by N[s] + α · actions; your rows do not sum to "
                    "one.",
                    ((fit_by_counting, _NORMALISED,
                      "return np.log(total / (total.sum(axis=1, keepdims=True) "
                      "- alpha * (total.shape[1] - 1)))"),)),
            Mistake("over_the_table", "the counts are divided by the sum of the whole table; "
                    "(sft.3) divides each row by its own sum.",
                    ((fit_by_counting, _NORMALISED,
                      "return np.log(total / total.sum())"),)),
            Mistake("columns", "the columns sum to one.  π(·|s) is a row: the sum is that over "
                    "the actions, axis 1.",
                    ((fit_by_counting, _NORMALISED,
                      "return np.log(total / total.sum(axis=0))"),)),
            Mistake("no_division", "this is log(N[s, a] + α): logits of the right policy, but "
                    "their exponentials do not sum to one.",
                    ((fit_by_counting, _NORMALISED, "return np.log(total)"),)),
            Mistake("probabilities", "this is π; the function returns log π.",
                    ((fit_by_counting, "return log_softmax(", "return np.exp(log_softmax("),
                     (fit_by_counting, "-np.inf)))", "-np.inf))))"))),
            Mistake("counts_as_logits", "the counts are taken for logits, e^N[s, a] over the sum "
                    "of the row.  A softmax has their logarithms.",
                    ((fit_by_counting, _NORMALISED, "return log_softmax(total)"),)),
            Mistake("only_unseen", "α is added only where the count is zero.  (sft.3) adds it to "
                    "every count, so that the order of the counts is kept.",
                    ((fit_by_counting, "total = counts + alpha",
                      "total = counts + alpha * (counts == 0)"),)),
            Mistake("shares_first", "α is added to the shares N[s, a]/N[s]; (sft.3) adds it to the "
                    "counts, so that it matters less as data come in.",
                    ((fit_by_counting, "total = counts + alpha",
                      f"total = counts / {_ROW_SUM} + alpha"),)),
            Mistake("mixture", "α is the weight of the uniform policy in a mixture, as in label "
                    "smoothing.  In (sft.3) it is a number of steps.",
                    ((fit_by_counting, "total = counts + alpha",
                      f"total = (1 - alpha) * counts / {_ROW_SUM} + alpha / counts.shape[1]"),))),
        hints=("Add the pseudo-count to every entry, and then make each row sum to one.",
               "`total.sum(axis=1, keepdims=True)` is N[s] + α · actions, as a column.",
               "Where that sum is zero, put ones into the row: they make it uniform.",
               "log π is np.log(total) less the logarithm of the row's sum: log_softmax of "
               "np.log(total) says the same."),
        by_hand="np.exp(fit_by_counting(np.array([[3.0, 0.0], [1.0, 1.0]]), pseudo_count=0.25))",
        done="With α = 0 this is the minimum of `sft_loss`.  What is the loss then of a new string "
             "with a step that was never shown?",
        equations=("sft.3",), results=("log_policy",)),
    Exercise(
        "best_of_n", "people.best_of_n", best_of_n,
        "Write what the best of K strings is like.  `law.rewards` (levels,) are R_k, rising, "
        "and `law.prob` (levels,) are p_k, which sum to one.  A string may have m other sums "
        "besides its reward, such as its length: `law.means` (m, levels) has the mean of each "
        "among the strings of a level, and no rows if m = 0.  F_k is p_1 + … + p_k.  Return "
        "BestOfN(prob, reward, kl, bound, win_rate, means): all q_k, their mean reward, the KL and "
        "its bound, the chance to win, and the means of the other sums, (m,).",
        "import numpy as np\n\nfrom minirl.exact.return_law import RewardLaw\n"
        "from minirl.people.best_of_n import BestOfN", _law_cases,
        mistakes=(
            Mistake("density", "your q_k is K F_k^(K−1) p_k, as for a density, where no two "
                    "strings tie.  With ties it is a difference of two powers, (best_of_n.1); your "
                    "q_k do not sum to one.",
                    ((best_of_n, _LEVELS,
                      "F, q = p.cumsum(), K * p.cumsum()**(K - 1) * p"),)),
            Mistake("not_a_difference", "your q_k is F_k^K, the chance that the best earns R_k "
                    "or less.  Take away F_{k−1}^K, the chance that it earns less than R_k.",
                    ((best_of_n, _LEVELS,
                      "F, q = p.cumsum(), p.cumsum()**K"),)),
            Mistake("first_lost", "your q_1 is zero.  F_0 is 0, so that q_1 = F_1^K: the lowest "
                    "reward is the best if all K strings earn it.",
                    ((best_of_n, _LEVELS, f"{_LEVELS}\n    q[0] = 0"),)),
            Mistake("power_of_chance", "your q_k is p_k^K, the chance that all K strings earn "
                    "R_k.  The best earns it too where others earn less.",
                    ((best_of_n, _LEVELS, "F, q = p.cumsum(), p**K"),
                     (best_of_n, "max(float(kl), 0.0)", "float(kl)"))),
            Mistake("worst", "this is the worst of K strings: your sums run from the top, and F_k "
                    "runs from the lowest reward upwards.",
                    ((best_of_n, _LEVELS,
                      "F, q = _levels_of_the_best(p[::-1], K)\n"
                      "    F, q = _levels_of_the_best(p, 1)[0], q[::-1]"),)),
            Mistake("at_least_one", "your q_k is 1 − (1 − p_k)^K, the chance that one of the K "
                    "strings earns R_k; but another one may earn more.",
                    ((best_of_n, _LEVELS,
                      "F, q = p.cumsum(), 1 - (1 - p)**K"),)),
            Mistake("bound_for_kl", "the KL is log K − (K − 1)/K, a bound, which it reaches only "
                    "where no two strings tie.  The KL itself is the sum of (best_of_n.2).",
                    ((best_of_n, "special.rel_entr(q, p).sum()", _BOUND),)),
            Mistake("exchanged", "the KL and its bound are exchanged: in BestOfN `kl` comes first, "
                    "and the bound is the larger one.",
                    ((best_of_n, "kl=max(float(kl), 0.0)", f"kl={_BOUND}"),
                     (best_of_n, f"bound={_BOUND}", "bound=float(kl)"))),
            Mistake("logarithm_alone", "the bound is log K; (best_of_n.2) takes (K − 1)/K away.",
                    ((best_of_n, f"bound={_BOUND}", "bound=np.log(K)"),)),
            Mistake("reward_of_one", "the reward is the mean under p, that of a single string.  A "
                    "mean over the winners weighs R_k with q_k.",
                    ((best_of_n, "float(q @ law.rewards)", "float(p @ law.rewards)"),)),
            Mistake("means_of_one", "the reward and the means of the other sums are taken under p, "
                    "as those of a single string.  A mean over the winners weighs with q_k.",
                    ((best_of_n, "float(q @ law.rewards)", "float(p @ law.rewards)"),
                     (best_of_n, "law.means @ q", "law.means @ p"))),
            Mistake("negative_kl", "the KL is Σ p_k log(q_k/p_k), which is −KL(π_ref‖π_K): the "
                    "mean of (best_of_n.2) is taken under q.  A KL is never below zero.",
                    ((best_of_n, "special.rel_entr(q, p)", "-special.rel_entr(p, q)"),
                     (best_of_n, "max(float(kl), 0.0)", "float(kl)"))),
            Mistake("reversed_kl", "the KL is KL(π_ref‖π_K): its mean is taken under p, and "
                    "that of (best_of_n.2) under q.",
                    ((best_of_n, "rel_entr(q, p)", "rel_entr(p, q)"),)),
            Mistake("ties_win", "a tie counts as a win in the win rate: (best_of_n.3) counts one "
                    "half of p_k.",
                    ((best_of_n, "F - p / 2", "F"),)),
            Mistake("ties_lose", "a tie does not count in the win rate: (best_of_n.3) counts one "
                    "half of p_k.",
                    ((best_of_n, "F - p / 2", "F - p"),)),
            Mistake("tie_of_winner", "one half of q_k is taken for the ties in the win rate.  The "
                    "best ties with one more string of the reference, which earns R_k with the "
                    "chance p_k.",
                    ((best_of_n, "F - p / 2", "F - p + q / 2"),)),
            Mistake("bound_for_win_rate", "the win rate is K/(K + 1), a bound, which it reaches "
                    "only where no two strings tie.  The win rate itself is the sum of "
                    "(best_of_n.3).",
                    ((best_of_n, "float(q @ (F - p / 2))", "K / (K + 1)"),))),
        hints=("`np.cumsum(law.prob)` is F_k; F_{k−1} is F_k − p_k.",
               "q_k = F_k^K − F_{k−1}^K.  Check that they sum to one.",
               "A mean over the winners weighs with q: `q @ law.rewards` and `law.means @ q`.",
               "The win rate is `q @ (F - p / 2)`, since F_{k−1} + p_k/2 = F_k − p_k/2."),
        by_hand="best_of_n(RewardLaw(np.array([0.0, 2.0]), np.array([0.75, 0.25]), 0.0, "
                "np.array([[3.0, 1.0]])), 3)",
        done="F_k^K − F_{k−1}^K is exact on paper.  With K = 10^6 and p_k = 10^−15 its digits are "
             "lost, which is why the book takes logarithms.",
        equations=("best_of_n.1", "best_of_n.2", "best_of_n.3"),
        results=("prob", "reward", "KL", "bound", "win rate", "means"),
        helpers=(_levels_of_the_best,)),
    Exercise(
        "tilt", "people.regularised", tilt,
        "Write the best policy under a price on the KL: the table log π*, from the logits of the "
        "reference and Q(s, a).",
        "import numpy as np\n\nfrom minirl.kernel.softmax import log_softmax", _tilt_cases,
        mistakes=(
            Mistake("no_reference", "the reference is not used: this is the softmax of Q/β, which "
                    "is the best policy near the uniform one.",
                    ((tilt, "log_softmax(log_softmax(ref_logits) + np.asarray(action_values) / beta"
                      ")", "log_softmax(np.asarray(action_values) / beta)"),), 10),
            Mistake("no_price", "β is missing: (regularised.2) divides Q by it, since a nat of KL "
                    "costs β.",
                    ((tilt, "np.asarray(action_values) / beta", "np.asarray(action_values)"),)),
            Mistake("times_beta", "Q is multiplied by β; (regularised.2) divides by it.  The "
                    "higher the price, the nearer the optimum is to the reference.",
                    ((tilt, "/ beta", "* beta"),)),
            Mistake("wrong_sign", "Q has the wrong sign: what is worth more must become more "
                    "likely.",
                    ((tilt, "log_softmax(ref_logits) + ", "log_softmax(ref_logits) - "),), 2),
            Mistake("all_over_beta", "log π_ref is divided by β too.  β divides only Q: where "
                    "nothing can be gained the optimum is the reference itself.",
                    ((tilt, "log_softmax(ref_logits) + np.asarray(action_values) / beta",
                      "(log_softmax(ref_logits) + np.asarray(action_values)) / beta"),)),
            Mistake("not_normalised", "the log Z of a row is not taken away: these are logits of "
                    "the optimum, and their exponentials do not sum to one.",
                    ((tilt, "return log_softmax(log_softmax(ref_logits)",
                      "return (log_softmax(ref_logits)"),)),
            Mistake("probabilities", "this is π*; the function returns log π*, which is finite "
                    "where the probability underflows.",
                    ((tilt, "return log_softmax(", "return np.exp(log_softmax("),
                     (tilt, "/ beta)", "/ beta))"))),
            Mistake("probability_in_exponent", "π_ref is added to Q/β, and not its logarithm: "
                    "(regularised.2) multiplies π_ref with exp(Q/β), so that log π_ref is added.",
                    ((tilt, "log_softmax(log_softmax(ref_logits)",
                      "log_softmax(np.exp(log_softmax(ref_logits))"),))),
        hints=("Take the logarithm of (regularised.2): a product becomes a sum.",
               "log π* = log π_ref + Q/β − log Z, and log Z belongs to the row.",
               "log_softmax takes log Z away, since it makes every row sum to one.",
               "log_softmax(ref_logits) is log π_ref: add action_values / beta to it."),
        by_hand="np.exp(tilt(np.log([[3, 1]]), np.array([[0.0, 1.0]]), beta=1 / np.log(2)))",
        done="A constant that is added to Q changes nothing: Q may be an advantage.  Predict: what "
             "becomes of log π* as β grows, and as β goes to 0?",
        equations=("regularised.2",), results=("log_policy",)),
    Exercise(
        "optimum", "people.regularised", log_partition,
        "Write V*(s) = β log Z(s), the exact optimum of a bigram under a price on the KL, by one "
        "linear solve.  `mdp.mean_reward` (S, A) is r(s, a), and Z is 1 after the end.  In the "
        "exercise every state is reached and every Z is finite.",
        "import numpy as np\n\n"
        "from minirl.exact.evaluation import ending_chance, transitions_under\n"
        "from minirl.kernel.mdp import coin_game\nfrom minirl.kernel.softmax import log_softmax",
        _optimum_cases,
        mistakes=(
            Mistake("no_reference", "π_ref is not used: Z(s) is a mean of e^{R/β} over the "
                    "strings of the reference.",
                    ((_log_partition, "log_softmax(ref_logits) + mdp.mean_reward",
                      "mdp.mean_reward"),), 10),
            Mistake("no_price", "the rewards are not divided by β in the exponent.",
                    ((_log_partition, "mdp.mean_reward * inverse_beta", "mdp.mean_reward"),)),
            Mistake("times_beta", "the rewards are multiplied by β in the exponent; "
                    "(regularised.4) divides by it.",
                    ((_log_partition, "mdp.mean_reward * inverse_beta",
                      "mdp.mean_reward / inverse_beta"),)),
            Mistake("unpaid_end", "the step that ends the episode earns nothing in your sum.  Its "
                    "term is π_ref e^{r/β}, like that of every other step, and Z is 1 after it.",
                    ((_log_partition, "mdp.mean_reward * inverse_beta",
                      "mdp.mean_reward * inverse_beta * ~mdp.terminated[:, :, 0]"),)),
            Mistake("after_the_end", "a step that ends the episode leads on to Z of another "
                    "state.  Nothing follows the end: `next_state` means nothing there.",
                    ((log_partition, "log_Z = _log_partition(mdp, ref_logits, 1 / beta)",
                      "M = np.exp(log_softmax(ref_logits) + mdp.mean_reward / beta)\n"
                      "    log_Z = np.log(np.linalg.solve(\n"
                      "        np.eye(len(M)) - np.einsum('sa,sat->st', M, np.eye(len(M))["
                      "mdp.next_state[:, :, 0]]),\n"
                      "        (M * mdp.terminated[:, :, 0]).sum(axis=1)))"),), 36),
            Mistake("largest_string", "only the largest term of the sum Z is left: you take a "
                    "maximum over the actions, where (regularised.4) has a sum.",
                    ((_log_partition, "return best + np.log(at_states(states, solution))",
                      "return best"),)),
            Mistake("mean_reward", "this is E[R] of the reference.  V* is β log of the mean of "
                    "e^{R/β}, and not the mean of R: so it is larger.",
                    ((log_partition, "return beta * log_Z",
                      "return evaluate(mdp, np.exp(log_softmax(ref_logits)))"),)),
            Mistake("no_log", "this is Z; V* is β log Z.",
                    ((log_partition, "return beta * log_Z", "return np.exp(log_Z)"),))),
        hints=("Let M(s, a) = π_ref(a|s) e^{r(s, a)/β}; r(s, a) is `mdp.mean_reward`.",
               "Steps that end the episode give numbers, the others give a matrix times Z: "
               "Z = b + T Z.",
               "`ending_chance(mdp, M)` is b, and `transitions_under(mdp, M).toarray()` is T: both "
               "take any weights of the actions.",
               "Z = np.linalg.solve(np.eye(len(T)) - T, b), and the values are β log Z."),
        by_hand="log_partition(coin_game(), np.zeros((1, 2)), beta=2.0)",
        done="Z = ½ e^{1/β} Z + ½ is all there is to the coin game.  `tilt` makes the best policy "
             "of these values: which Q does it need?",
        equations=("regularised.4",), results=("values",), helpers=(_log_partition,)),
    Exercise(
        "kl", "people.kl", kl_loss,
        "Write L = Σ_s N[s] KL(π(·|s)‖π_ref(·|s)), the loss of rows with the visits N[s] frozen, "
        "and its gradient.  All probabilities are positive in the exercise.",
        _IMPORTS, _kl_cases,
        mistakes=(
            Mistake("other_direction", "this is KL(π_ref‖π).  In KL(π‖π_ref) the mean of log π − "
                    "log π_ref is taken under π.",
                    ((kl_loss, "kl(logp, ref_logp)", "kl(ref_logp, logp)"),
                     (kl_loss, "policy * difference(logp, ref_logp, used)",
                      "-np.exp(ref_logp)"))),
            Mistake("other_gradient", "the gradient is that of KL(π_ref‖π), N[s] (π − π_ref), "
                    "which k3 has on average; the loss is KL(π‖π_ref).",
                    ((kl_loss, "policy * difference(logp, ref_logp, used)",
                      "-np.exp(ref_logp)"),), 3),
            Mistake("reference_weights", "the weight of log π − log π_ref is π_ref and not π: this "
                    "is −KL(π_ref‖π), and is never positive.",
                    ((kl_loss, "kl(logp, ref_logp)", "-kl(ref_logp, logp)"),
                     (kl_loss, "policy * difference(logp, ref_logp, used)", "np.exp(ref_logp)")),
                    1),
            Mistake("no_logarithms", "the logarithms are missing: Σ π (π − π_ref) is no distance; "
                    "it may be negative.",
                    ((kl_loss, "kl(logp, ref_logp)",
                      "(np.exp(logp) * (np.exp(logp) - np.exp(ref_logp))).sum(axis=1)"),
                     (kl_loss, "policy * difference(logp, ref_logp, used)",
                      "policy * (2 * policy - np.exp(ref_logp))"))),
            Mistake("cross_entropy", "this is −Σ π log π_ref, the cross-entropy: Σ π log π, minus "
                    "the entropy of π, is missing.  It is not zero at π = π_ref.",
                    ((kl_loss, "kl(logp, ref_logp)", "-(np.exp(logp) * ref_logp).sum(axis=1)"),
                     (kl_loss, "difference(logp, ref_logp, used)", "-ref_logp"))),
            Mistake("k2", "this is the mean of k2, half the square of the log-ratio, which is a "
                    "biased estimate: the KL is the mean of the log-ratio itself.",
                    ((kl_loss, "kl(logp, ref_logp)",
                      "(np.exp(logp) * k2(logp - ref_logp)).sum(axis=1)"),
                     (kl_loss, "difference(logp, ref_logp, used)",
                      "(k2(logp - ref_logp) + logp - ref_logp)"))),
            Mistake("visits_unused", "every state counts once: `visits` says how often each row "
                    "counts.",
                    ((kl_loss, "policy, distance = np.exp(logp), kl(logp, ref_logp)",
                      "policy, distance = np.exp(logp), kl(logp, ref_logp)\n"
                      "    visits = np.ones(len(logp))"),))),
        hints=("`pi * (logp - ref_logp)`, summed over each row, is the divergence of the row.",
               "`visits` has one number per row: `visits[:, None]` weighs the entries of a table.",
               "d(π log π)/d log π = π log π + π, since π = exp(log π) (the product rule).",
               "The second term, N[s] π, is N[s] times π in every row: `backward` takes it out "
               "again."),
        by_hand="kl_loss(np.log([[3, 1]]), np.zeros((1, 2)), np.array([2.0]))",
        done="The gradient pays for a row's own distance and not for where its actions lead.  "
             "`string_kl` has what is missing.",
        equations=("kl.1", "softmax.5"), there=_kl_there),
    Exercise(
        "string_kl", "people.kl", string_kl,
        "Write the KL of whole episodes and its gradient, by linear solves.  In the exercise every "
        "state is reached and all probabilities are positive.",
        "import numpy as np\n\n"
        "from minirl.exact.evaluation import action_values, evaluate, occupancy\n"
        "from minirl.kernel.mdp import coin_game\n"
        "from minirl.kernel.softmax import backward, log_softmax", _string_cases,
        mistakes=(
            Mistake("frozen_visits", "the visits are frozen: the gradient charges a step for its "
                    "own log-ratio and not for those of the steps to which it leads.",
                    ((string_kl, "ratio + later", "ratio"),)),
            Mistake("later_only", "the gradient charges a step for what follows, and not for its "
                    "own log-ratio.",
                    ((string_kl, "ratio + later", "later"),)),
            Mistake("visits_missing", "every state counts once in the gradient; a state counts as "
                    "often as it is visited, η(s) times.",
                    ((string_kl, "G = visits * ", "G = "),)),
            Mistake("reference_visits", "the visits are those of π_ref; the strings are written by "
                    "π.",
                    ((string_kl, "occupancy(mdp, policy.real)",
                      "occupancy(mdp, np.exp(ref_logp))"),)),
            Mistake("rewards_charged", "the rewards of the world count in what follows: a step "
                    "earns its log-ratio here, and nothing else.",
                    ((string_kl, "later = mdp.gamma", "later = mdp.mean_reward + mdp.gamma"),)),
            Mistake("no_discount", "what follows a step is not discounted in the gradient: it "
                    "counts γ times.",
                    ((string_kl, "later = mdp.gamma * ", "later = "),)),
            Mistake("every_start", "the distance is the sum over all states from which an episode "
                    "could begin; weigh them with `mdp.start`.",
                    ((string_kl, "(mdp.start * values).sum()", "values.sum()"),)),
            Mistake("no_backward", "the backward pass (softmax.3) is missing in the gradient: what "
                    "you return is G.",
                    ((string_kl, "backward(logp, G)", "G"),)),
            Mistake("other_direction", "this is KL(π_ref‖π), a mean over strings that π_ref "
                    "writes.  In KL(π‖π_ref) π writes them.",
                    ((string_kl, "logp, ref_logp = _tables(logits, ref_logits)",
                      "logp, ref_logp = _tables(ref_logits, logits)"),
                     (string_kl, "G = visits * policy * (ratio + later)",
                      "G, logp = -visits * policy, ref_logp")))),
        hints=("(kl.2) is a policy gradient: log π − log π_ref stands in place of the reward, and "
               "is held fixed.",
               "`evaluate(mdp, pi, ratio)` is V with the table `ratio` in place of the reward, and "
               "the distance is its mean under `mdp.start`.",
               "`action_values` adds the world's reward, which is to be taken away again: Q is "
               "ratio + action_values(mdp, V) − mdp.mean_reward.",
               "G = η(s) π(a|s) Q(s, a), where η is `occupancy(mdp, pi)`; then backward(logp, G)."),
        by_hand="string_kl(coin_game(gamma=0.5), np.log([[3, 1]]), np.zeros((1, 2)))",
        done="Compare with `kl_loss` at the visits of π: the value is the same, and the gradient "
             "is not.  In which worlds do they agree?",
        equations=("kl.1", "kl.2"),
        results=("distance", "derivative")),  # no gradient in the first argument, which is `mdp`
    Exercise(
        "kl_estimates", "people.kl", k3,
        "Write k3 so that it keeps nine digits, also where u is as small as 1e-8.  Log-ratios from "
        "700 upwards do not occur in the exercise.",
        "import numpy as np", _estimate_cases,
        mistakes=(
            Mistake("digits", "this is e^u − u − 1 as it is printed.  Near zero its terms cancel: "
                    "at u = 1e-8 they are as large as 1, their sum is 5e-17, and a number near 1 "
                    "is kept to 1e-16.",
                    ((k3, _K3, "return np.exp(u) - u - 1"),), 4),
            Mistake("expm1_alone", "this is expm1(u) − u.  That is better than e^u − u − 1, but "
                    "expm1 keeps sixteen digits of u + u²/2, and u is taken away: at u = 1e-8 "
                    "about eight digits of u²/2 are left.  Sum up the series there.",
                    ((k3, _K3, "return np.expm1(u) - u"),), 4),
            Mistake("upside_down", "the ratio is upside down: this is e^{−u} + u − 1, whose mean "
                    "under π is not KL(π‖π_ref).  Here e^u is π_ref/π.  Its digits are lost near "
                    "zero, too.",
                    ((k3, _K3, "return np.exp(-u) + u - 1"),), 1),
            Mistake("wrong_sign", "this is e^u − 1 + u, and (kl.4) takes u away: the mean under π "
                    "of what you return is −KL(π‖π_ref).",
                    ((k3, _K3, "return np.exp(u) + u - 1"),), 1),
            Mistake("ratio_alone", "this is e^u − 1, whose mean under π is zero: −u is missing.",
                    ((k3, _K3, "return np.exp(u) - 1"),)),
            Mistake("no_one", "the 1 is not taken away: k3 is 0 at u = 0, where the two policies "
                    "agree.",
                    ((k3, _K3, "return np.exp(u) - u"),)),
            Mistake("k2", "this is k2 = u²/2, the first term of the series of k3.  Its mean under "
                    "π is not KL(π‖π_ref).",
                    ((k3, _K3, "return u * u / 2"),))),
        hints=("Try u = 1e-8: k3 is about u²/2 = 5e-17, and 1 + 1e-8 is kept to 1e-16.",
               "e^u − u − 1 = u²/2 + u³/6 + u⁴/24 + …: near zero a few terms are enough.",
               "np.expm1(u) − u is good to nine digits where |u| is larger than 1e-4 or so; "
               "`np.where` takes one of two values, entry by entry.",
               "The series is u²/2 · (1 + u/3 · (1 + u/4 · (1 + u/5)))."),
        by_hand="k3(np.array([np.log(2), 1e-8])) * [1, 1e16]",
        done="The mean of e^u − 1 under π is zero, so that k3 and k1 have the same mean.  Which of "
             "the two varies less near the reference?",
        equations=("kl.4",), results=("k3",)),
    Exercise(
        "k3", "people.kl", k3_loss,
        "Write L = Σ W[s, a] k3, with u = log π_ref − log π at each entry, and its gradient.  All "
        "probabilities are positive in the exercise.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax\n"
        "from minirl.people.kl import k3", _k3_cases,
        mistakes=(
            Mistake("upside_down", "the sign of u is wrong: this is the sum of k3(log π − "
                    "log π_ref), where e^u must be π_ref/π.",
                    ((k3_loss, "difference(ref_logp, logp, used)",
                      "difference(logp, ref_logp, used)"),
                     (k3_loss, "G = -weights", "G = weights")), 1),
            Mistake("k2_gradient", "the gradient is that of k2, G = −W u.  On average it is "
                    "that of KL(π‖π_ref), but it is not the derivative of k3.",
                    ((k3_loss, "np.expm1(np.minimum(u, 700))", "u"),), 3),
            Mistake("ratio_held", "the ratio e^u is held fixed in the gradient: π_ref/π moves with "
                    "π as −u does.",
                    ((k3_loss, "-weights * np.expm1(np.minimum(u, 700))", "weights"),)),
            Mistake("ratio_only", "only e^u is differentiated, and −u, which is log π − log π_ref, "
                    "is not.",
                    ((k3_loss, "np.expm1(np.minimum(u, 700))", "np.exp(u)"),)),
            Mistake("k1", "this is the sum of W k1 = −W u, whose mean gradient is zero: as a loss "
                    "it is nothing but noise.",
                    ((k3_loss, "-weights * np.expm1(np.minimum(u, 700))", "weights"),
                     (k3_loss, "k3(u)", "k1(u)")), 3),
            Mistake("k2", "this is the sum of W k2 = W u²/2, which is near that of W k3 only where "
                    "u is small.",
                    ((k3_loss, "np.expm1(np.minimum(u, 700))", "u"),
                     (k3_loss, "k3(u)", "k2(u)")), 3),
            Mistake("policy_twice", "an entry is weighted with π besides W.  W adds up steps that "
                    "π has taken already.",
                    ((k3_loss, "G = -weights * np.expm1(np.minimum(u, 700))",
                      "weights = weights * np.exp(logp)\n    G = weights * (k3(u) - np.expm1(u))"),
                     )),
            Mistake("once_each", "a step that was taken several times counts once here: weigh it "
                    "with W, the number of times.",
                    ((k3_loss, "used = (weights", "weights = np.minimum(weights, 1)\n"
                      "    used = (weights"),), 41)),
        hints=("u = log π_ref − log π is a table; the loss is a sum over its entries.",
               "dk3/du = e^u − 1, and du/d log π = −1.",
               "G = W (1 − e^u), which has the sign of log π − log π_ref.",
               "`np.expm1(u)` is e^u − 1 with all its digits.  Then backward(logp, G)."),
        by_hand="k3_loss(np.log([[3, 1]]), np.zeros((1, 2)), np.array([[4.0, 1.0]]))",
        done="Put W = N[s] π, the mean over the steps of π.  Of which divergence is this the "
             "gradient: of KL(π‖π_ref), or of KL(π_ref‖π)?",
        equations=("kl.4",), helpers=(k3,), there=_k3_there),
)
