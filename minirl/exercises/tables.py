"""Exercises of Parts 1 and 2: softmax, counts, backups, values."""

import numpy as np

from minirl.exact.evaluation import action_values, advantages, evaluate, occupancy
from minirl.exact.planning import policy_gradient
from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.counts import add_up, steps, table
from minirl.kernel.gradcheck import by_differences
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import backward, entropy_loss, log_softmax, product
from minirl.plain.value_iteration import value_iteration

_SHAPES = (4, 3), (3, 5), (6, 2)
_FAR = 738  # e^−738 is so small that a float64 keeps two or three of its digits


def _sizes(shape):
    return {"S": shape[0], "A": shape[1], "S·A": shape[0] * shape[1]}


def _logits():
    """Tables of logits; the last one has a row, and an entry, far below all others."""
    rng = np.random.default_rng(3)
    tables = [rng.normal(size=shape) for shape in _SHAPES]
    tables[2][2] -= _FAR
    tables[2][4, 1] -= _FAR
    return [ExerciseCase((logits,)) for logits in tables]


def _logits_there(case, place):
    (logits,) = case.arguments
    return (f"the logit is {logits[place]:.3f}, the largest of its row is "
            f"{logits[place[0]].max():.3f}, and the largest of the table is {logits.max():.3f}")


def _gradient_tables():
    """A table log π, and a table G."""
    rng = np.random.default_rng(1)
    return [ExerciseCase((log_softmax(rng.normal(size=shape)), rng.normal(size=shape)),
                         factors=_sizes(shape)) for shape in _SHAPES]


def _backward_there(case, place):
    logp, G = case.arguments
    return (f"π = {np.exp(logp[place]):.3f}, G = {G[place]:+.3f}, and G sums to "
            f"{G[place[0]].sum():+.3f} over the row")


def _weighted_logits():
    """Logits, and a weight for each row."""
    rng = np.random.default_rng(4)
    cases = [(rng.normal(size=shape), rng.uniform(0.2, 1.7, shape[0])) for shape in _SHAPES]
    return [ExerciseCase(case, factors={**_sizes(case[0].shape), "Σ weights": case[1].sum()})
            for case in cases]


def _entropy_there(case, place):
    logits, weights = case.arguments
    logp = log_softmax(logits)
    return (f"π = {np.exp(logp[place]):.3f}, log π = {logp[place]:.3f}, and the row has the weight "
            f"{weights[place[0]]:.3f} and the entropy "
            f"{-(np.exp(logp) * logp)[place[0]].sum():.3f}")


def _batches():
    """Strings of at least one step, with weights of both signs and without."""
    rng, cases = np.random.default_rng(5), []
    for shape, n, N, weighted in (((4, 3), 5, 33, True), ((3, 5), 7, 29, False),
                                  ((6, 2), 4, 31, True)):
        starts = np.array([0, *np.sort(rng.choice(np.arange(1, N), n - 1, replace=False)), N])
        states, actions = (rng.integers(size, size=N) for size in shape)
        batch, weights = steps(states, actions, starts, shape), rng.normal(size=N)
        cases.append(ExerciseCase((batch, weights) if weighted else (batch,),
                                  factors={"N": N, "n": n, "S·A": shape[0] * shape[1]}))
    return cases


def _counts_there(case, place):
    batch, *weights = case.arguments
    found = np.flatnonzero(batch.index == place[0] * batch.shape[1] + place[1])
    if not weights:
        return f"the number of steps is {found.size}"
    weights = ", ".join(f"{weight:+.3f}" for weight in weights[0][found])
    return f"the weights of the steps are {weights or 'none'}"


def _misled(c):
    """The loss e^(c Σ x) + Σ sin 2x with a wrong gradient, which misses a term."""
    return lambda x: (np.exp(c * x.sum()) + np.sin(2 * x).sum(), 2 * np.cos(2 * x))


def _losses():
    """Losses whose higher derivatives are not zero, and large steps."""
    rng = np.random.default_rng(6)
    return [ExerciseCase((_misled(c), rng.normal(size=shape)), {"h": h}, {"h": h})
            for c, shape, h in ((0.3, (4,), 0.1), (-0.7, (2, 3), 0.03), (0.4, (5, 1), 0.007))]


def _world(rng, S, A, K, gamma):
    """A random world in which the first outcome of every action ends the episode."""
    terminated = rng.random((S, A, K)) < 0.2
    terminated[:, :, 0] = True
    return TabularMDP(rng.integers(0, S, (S, A, K)),
                      0.7 * rng.dirichlet(np.ones(K), (S, A)) + 0.3 / K,
                      rng.normal(0.3, 2.0, (S, A, K)), terminated, rng.dirichlet(np.ones(S)), gamma)


def _worlds():
    rng = np.random.default_rng(7)
    return [_world(rng, *sizes) for sizes in ((4, 3, 2, 0.9), (3, 2, 4, 0.7), (5, 2, 3, 0.4))]


def _backups():
    """Worlds, and values of both signs that are those of no policy."""
    rng = np.random.default_rng(8)
    return [ExerciseCase((mdp, rng.normal(size=mdp.shape[0])),
                         factors={**_sizes(mdp.shape), "gamma": mdp.gamma}) for mdp in _worlds()]


def _backup_there(case, place):
    mdp, values = case.arguments
    outcomes = "; ".join(
        f"p = {prob:.3f}, r = {reward:+.3f}, "
        + ("the end" if ended else f"V(s') = {values[state]:+.3f}")
        for prob, state, reward, ended in mdp.P[place[0]][place[1]])
    return f"γ = {mdp.gamma}, and the outcomes are: {outcomes}"


def _laws():
    """Worlds as lists; in one all rewards are costs, and in one each action is there twice."""
    cases = []
    for mdp, change in zip(_worlds(), ("", "costs", "twice")):
        law = [[actions[a] for a in sorted(actions)] for _, actions in sorted(mdp.P.items())]
        if change == "costs":
            law = [[[(p, after, -1 - abs(r), end) for p, after, r, end in outcomes]
                    for outcomes in actions] for actions in law]
        if change == "twice":
            law = [actions + actions for actions in law]
        cases.append(ExerciseCase((law, mdp.gamma)))
    return cases


def _policies():
    """Worlds and logits."""
    rng = np.random.default_rng(9)
    return [ExerciseCase((mdp, rng.normal(size=mdp.shape))) for mdp in _worlds()]


def _policy_there(case, place):
    mdp, logits = case.arguments
    policy = np.exp(log_softmax(logits))
    advantage = advantages(mdp, evaluate(mdp, policy))[place]
    return (f"η = {occupancy(mdp, policy)[place[0]]:.3f}, π = {policy[place]:.3f} and "
            f"A = {advantage:+.3f}")


_NORMALISED = "np.log(np.exp(logp).sum(axis=-1, keepdims=True))"
_ROW_SUM = "np.exp(logp) * G.sum(axis=-1, keepdims=True)"
_COUNTED = "return add_up(steps.index, prod(steps.shape), weights).reshape(steps.shape)"
_QUOTIENT = "(loss(x + h*e)[0] - loss(x - h*e)[0]) / (2*h)"
_NEXT = "(mdp.transitions @ values).reshape(mdp.shape)"
_BACKED_UP = "p * (r + gamma * V[after] * (not terminal))"

ON_TABLES = (
    Exercise(
        "log_softmax", "kernel.softmax", log_softmax,
        "Write the table log π (S, A) for logits of any size, all of them finite.  What is said "
        "below of −∞, of `name`, of errors and of `LogPolicy` is no part of the exercise.",
        "import numpy as np", _logits,
        mistakes=(
            Mistake("no_largest", "the powers exp θ are formed from the logits as they are.  Far "
                    "below 0 a power loses its digits and becomes 0, and far above it becomes ∞: "
                    "take the largest logit of the row away first.",
                    ((log_softmax, "logp = logits - largest", "logp = logits + 0.0"),)),
            Mistake("log_of_softmax", "this is the logarithm of a quotient that was formed first.  "
                    "Where π underflows, its logarithm is lost: log π is a difference, θ minus the "
                    "logarithm of the sum.",
                    ((log_softmax, f"logp -= {_NORMALISED}",
                      "logp = np.log(np.exp(logp) / np.exp(logp).sum(axis=-1, keepdims=True))"),)),
            Mistake("naive", "this is the logarithm of exp θ / Σ exp θ as it is written.  The "
                    "powers underflow where logits are far below 0 and overflow where they are far "
                    "above: take the largest logit of the row away, and form the difference θ − "
                    "log Σ.",
                    ((log_softmax, "logp = logits - largest", "logp = logits + 0.0"),
                     (log_softmax, f"logp -= {_NORMALISED}",
                      "logp = np.log(np.exp(logp) / np.exp(logp).sum(axis=-1, keepdims=True))"))),
            Mistake("largest_of_table", "the largest logit of the whole table is taken away.  A "
                    "row that is far below it loses its digits: each row needs its own largest "
                    "logit.",
                    ((log_softmax, "logits.max(axis=-1, keepdims=True)", "logits.max()"),)),
            Mistake("largest_in_sum_only", "the largest logit was taken away inside the sum "
                    "only: what is returned is too large by it.  log Σ exp θ is the largest logit "
                    "plus the logarithm of the sum of the rest.",
                    ((log_softmax, f"logp -= {_NORMALISED}", f"logp = logits - {_NORMALISED}"),)),
            Mistake("whole_table", "the sum goes over the whole table; in (softmax.1) it goes over "
                    "the actions of a row, so that each row is a distribution.",
                    ((log_softmax, "logits.max(axis=-1, keepdims=True)", "logits.max()"),
                     (log_softmax, "np.exp(logp).sum(axis=-1, keepdims=True)",
                      "np.exp(logp).sum()"))),
            Mistake("over_states", "the sum goes over the states; in (softmax.1) it goes over the "
                    "actions of a row.  With axis=0 the columns sum to 1, and the rows do not.",
                    ((log_softmax, "logits.max(axis=-1, keepdims=True)",
                      "logits.max(axis=0, keepdims=True)"),
                     (log_softmax, "sum(axis=-1, keepdims=True)", "sum(axis=0, keepdims=True)"))),
            Mistake("probabilities", "this is π and not log π.",
                    ((log_softmax, "return logp", "return np.exp(logp)"),))),
        hints=("The logarithm of the quotient (softmax.1) is a difference of two terms.",
               "A constant that is taken away from all logits of a row changes nothing.  Which one "
               "makes the largest power 1?",
               "`x.max(axis=1, keepdims=True)` is a column with the largest entry of each row.",
               "With x = logits − that column, log π = x − log Σ exp x, row by row."),
        by_hand="log_softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]]))",
        done="The largest power is now 1, so that the sum lies between 1 and A.  Predict: what is "
             "log_softmax of [[1e4, 0]]?",
        equations=("softmax.1",), without=("name",), results=("log π",), there=_logits_there),
    Exercise(
        "backward", "kernel.softmax", backward,
        "Write the one backward pass of the book: from a table G (S, A) of derivatives in log π, "
        "and from the table log π, to the gradient in the logits (S, A).",
        "import numpy as np", _gradient_tables,
        mistakes=(
            Mistake("softmax_jacobian", "this is the derivative of π and not that of log π: "
                    "π (G − Σ π G).",
                    ((backward, f"G - {_ROW_SUM}",
                      "np.exp(logp) * (G - (np.exp(logp) * G).sum(axis=-1, keepdims=True))"),)),
            Mistake("own_entry_only", "π G is taken from an entry where (softmax.3) takes π Σ G: "
                    "the sum over the row is missing.",
                    ((backward, _ROW_SUM, "np.exp(logp) * G"),)),
            Mistake("sum_without_policy", "Σ G is taken from every entry where (softmax.3) takes "
                    "π Σ G.",
                    ((backward, _ROW_SUM, "G.sum(axis=-1, keepdims=True)"),)),
            Mistake("equal_shares", "the mean of the row of G is taken from every entry where "
                    "(softmax.3) takes π Σ G.  The two agree only where all actions are equally "
                    "likely.",
                    ((backward, _ROW_SUM, "G.mean(axis=-1, keepdims=True)"),)),
            Mistake("no_sum", "the policy π alone is taken from G where (softmax.3) takes π Σ G: "
                    "the sum of G over the row is missing.",
                    ((backward, _ROW_SUM, "np.exp(logp)"),)),
            Mistake("mean_for_sum", "the row of G is averaged where (softmax.3) has its sum: π "
                    "times the mean of the row is taken away.",
                    ((backward, "G.sum(axis=-1, keepdims=True)",
                      "G.mean(axis=-1, keepdims=True)"),)),
            Mistake("log_policy", "this takes log π where (softmax.3) has π: take np.exp(logp).",
                    ((backward, "np.exp(logp) *", "logp *"),)),
            Mistake("sum_over_states", "G is summed over the states; (softmax.3) sums over the "
                    "actions of a row.",
                    ((backward, "G.sum(axis=-1, keepdims=True)", "G.sum(axis=0, keepdims=True)"),)),
            Mistake("sum_over_all", "G is summed over the whole table; (softmax.3) sums over the "
                    "actions of a row.",
                    ((backward, "G.sum(axis=-1, keepdims=True)", "G.sum()"),)),
            Mistake("weighted_sum", "the sum is Σ π G where (softmax.3) has Σ G: the π of the row "
                    "stands in front of the sum and not inside it.",
                    ((backward, "G.sum(axis=-1, keepdims=True)",
                      "(np.exp(logp) * G).sum(axis=-1, keepdims=True)"),)),
            Mistake("wrong_sign_of_sum", "π Σ G is added where (softmax.3) takes it away.",
                    ((backward, "G - np.exp(logp)", "G + np.exp(logp)"),))),
        hints=("Raising θ[s, b] raises log π(b|s), and lowers log π of every other action of the "
               "row.",
               "∂log π(a|s)/∂θ[s, b] is 1 where a = b, and 0 elsewhere, minus π(b|s).",
               "Σ_a G[s, a] (1{a = b} − π(b|s)) has two parts: G[s, b], and π(b|s) times a sum.",
               "`G.sum(axis=1, keepdims=True)` is the sum of each row, as a column, and "
               "`np.exp(logp)` is π."),
        by_hand="backward(np.log([[0.75, 0.25], [0.5, 0.5]]), np.array([[-1.0, 4.0], [2.0, 0.0]]))",
        done="Each row of what you return sums to zero, because a constant added to a row of "
             "logits changes no policy.  Which G gives no gradient at all?",
        equations=("softmax.2",), results=("gradient",), there=_backward_there),
    Exercise(
        "entropy", "kernel.softmax", entropy_loss,
        "Write the loss −Σ_s weights[s] H(s) and its gradient in the logits, which are all finite.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax",
        _weighted_logits,
        mistakes=(
            Mistake("no_weights", "all rows count alike: the weights are missing.",
                    ((entropy_loss, "weights[:, None] * product", "product"),)),
            Mistake("weights_not_in_gradient", "the weights are in the loss but not in the "
                    "gradient.",
                    ((entropy_loss, "backward(logp, G)", "backward(logp, G / weights[:, None])"),)),
            Mistake("slope_in_pi", "G is ∂L/∂π, which is weights[s] (log π + 1), where the "
                    "backward pass wants ∂L/∂log π: a factor π is missing (the chain rule).",
                    ((entropy_loss, "backward(logp, G)",
                      "backward(logp, weights[:, None] * (logp + 1))"),)),
            Mistake("one_without_policy", "the product rule leaves π log π + π, and 1 stands where "
                    "the second π should be.",
                    ((entropy_loss, "backward(logp, G)", "backward(logp, G + weights[:, None])"),)),
            Mistake("sum_of_logs", "each log π is summed as it is; in (softmax.4) it is multiplied "
                    "by its π, which makes the mean under π.",
                    ((entropy_loss, "product(np.exp(logp), logp)", "logp"),
                     (entropy_loss, "backward(logp, G)", "backward(logp, weights[:, None] + 0 * G)")
                     )),
            Mistake("bits", "the logarithm has the base 2, which gives bits; the book counts in "
                    "nats, with the natural logarithm.",
                    ((entropy_loss, "G = weights[:, None]",
                      "G = weights[:, None] / np.log(2)"),)),
            Mistake("from_uniform", "the loss is the weighted KL divergence from the uniform "
                    "policy, log A − H(s).  Its gradient is right, but −H(s) has no log A.",
                    ((entropy_loss, "return G.sum()",
                      "return G.sum() + weights.sum() * np.log(logp.shape[1])"),))),
        hints=("With logp = log_softmax(logits), H(s) is minus the sum of np.exp(logp) * logp over "
               "row s.",
               "`weights[:, None]` is a column: times a table, it multiplies each row by its "
               "weight.",
               "Write the loss in x = log π: it is Σ weights eˣ x.  Its derivative in one x has "
               "two terms, by the product rule.",
               "backward(logp, weights[:, None] * np.exp(logp) * (logp + 1)) is the gradient."),
        by_hand="entropy_loss(np.log([[0.75, 0.25]]), np.array([2.0]))",
        done="Leave the 1 of log π + 1 out: the gradient stays the same.  Why?  And predict: which "
             "rows have a gradient of zero?",
        equations=("softmax.4",), helpers=(product,), there=_entropy_there),
    Exercise(
        "counts", "kernel.counts", table,
        "Write the table W (S, A) of summed weights.  The argument `steps` holds `index` (N,), the "
        "numbers s·A + a of the steps, and `shape`, which is (S, A).",
        "import numpy as np\n\nfrom minirl.kernel.counts import steps", _batches,
        mistakes=(
            Mistake("repeats_lost", "a pair that comes several times is counted once, with the "
                    "last of its weights.  NumPy's `W[index] += w` reads all entries before it "
                    "writes any; np.add.at and np.bincount add up.",
                    ((table, _COUNTED, "found = np.zeros(prod(steps.shape))\n"
                      "    found[steps.index] += 1 if weights is None else weights\n"
                      "    return found.reshape(steps.shape)"),), 41),
            Mistake("weights_ignored", "this is the number of steps N[s, a] also where weights are "
                    "given; W[s, a] is the sum of their weights.",
                    ((table, "prod(steps.shape), weights)", "prod(steps.shape), None)"),)),
            Mistake("mean_weight", "this is the mean of the weights of each pair; W[s, a] is their "
                    "sum.  How often a pair comes must count.",
                    ((table, _COUNTED,
                      "found = [add_up(steps.index, prod(steps.shape), w) for w in (weights, None)]"
                      "\n    return (found[0] / np.maximum(found[1], 1)).reshape(steps.shape)"),)),
            Mistake("columns_first", "the entries are laid out column after column.  The number "
                    "s·A + a goes along row s first, as `reshape((S, A))` does.",
                    ((table, ".reshape(steps.shape)", ".reshape(steps.shape[::-1]).T"),)),
            Mistake("end_not_counted", "the last step of each string is not counted.  The end is "
                    "an action like any other, and is learnt only if it is counted.",
                    ((table, _COUNTED,
                      "kept = np.setdiff1d(np.arange(steps.index.size), steps.starts[1:] - 1)\n"
                      "    weights = None if weights is None else weights[kept]\n"
                      "    found = add_up(steps.index[kept], prod(steps.shape), weights)\n"
                      "    return found.reshape(steps.shape)"),), 23),
            Mistake("first_step_skipped", "the first step of each string is not counted.  The "
                    "start is a state like any other.",
                    ((table, _COUNTED,
                      "kept = np.setdiff1d(np.arange(steps.index.size), steps.starts[:-1])\n"
                      "    weights = None if weights is None else weights[kept]\n"
                      "    found = add_up(steps.index[kept], prod(steps.shape), weights)\n"
                      "    return found.reshape(steps.shape)"),))),
        hints=("The table laid out as a row has S·A entries, and `steps.index` says to which of "
               "them each step belongs.",
               "Where `weights` is None, each step weighs 1.",
               "`np.add.at(row, index, w)` adds w[n] to row[index[n]] for every n, however often "
               "an index comes.",
               "`np.bincount(index, w, S * A)` does so too; `.reshape(S, A)` makes the table."),
        by_hand="table(steps(np.array([0, 1, 0]), np.array([1, 0, 1]), np.array([0, 3]), (2, 2)), "
                "np.array([1.0, 5.0, 0.5]))",
        done="From now on a loss of N steps costs as much as a table of S·A entries.  Predict: of "
             "100,000 steps over a table of 12 entries, how many would `W[index] += 1` count?",
        equations=("counts.1",), results=("table",), helpers=(add_up,), there=_counts_there),
    Exercise(
        "differences", "kernel.gradcheck", by_differences,
        "Write the gradient check itself: the central difference of `loss` at x for every entry of "
        "x, an array of any shape.  A loss returns two things, its value and its gradient.",
        "import numpy as np\n\nfrom minirl.kernel.gradcheck import H", _losses,
        mistakes=(
            Mistake("one_sided", "this is the one-sided difference [f(x + h) − f(x)]/h.  Its error "
                    "is h f″/2; that of the central difference is h² f‴/6, which is much smaller.",
                    ((by_differences, "loss(x - h*e)[0]) / (2*h)", "loss(x)[0]) / h"),)),
            Mistake("not_twice", "the difference is divided by h where (gradcheck.1) has 2h: x + h "
                    "and x − h are 2h apart.",
                    ((by_differences, "/ (2*h)", "/ h"),)),
            Mistake("precedence", "Python reads `/ 2 * h` from left to right: it divides by 2 and "
                    "then multiplies by h.  Write `/ (2 * h)`.",
                    ((by_differences, "/ (2*h)", "/ 2*h"),)),
            Mistake("moved_back_by_half", "the second value is f(x) where (gradcheck.1) has "
                    "f(x − h).  Whoever moves an entry up by h must move it down by 2h.",
                    ((by_differences, "loss(x - h*e)[0]", "loss(x)[0]"),)),
            Mistake("all_at_once", "all entries of x are moved by h at once, which gives the sum "
                    "of all slopes: move one entry, and leave the others where they are.",
                    ((by_differences, "loss(x + h*e)", "loss(x + h)"),
                     (by_differences, "loss(x - h*e)", "loss(x - h)"))),
            Mistake("not_moved_back", "an entry stays at x − h when the next ones are moved: put "
                    "it back, or begin with a fresh copy of x for each entry.",
                    ((by_differences, "loss(x + h*e)",
                      "loss(x + h*(e + np.cumsum(e).reshape(x.shape) - 1))"),
                     (by_differences, "loss(x - h*e)",
                      "loss(x + h*(np.cumsum(e).reshape(x.shape) - 1 - e))"))),
            Mistake("own_step", "the step is 1e-5, whatever h the caller gives: use the argument.",
                    ((by_differences, "return np.reshape(", "h = H\n    return np.reshape("),)),
            Mistake("gradient_by_hand", "this is the gradient that the loss itself returns.  It is "
                    "what the check is to judge, so that it cannot be its own witness.",
                    ((by_differences, _QUOTIENT, "loss(x)[1][e][0]"),)),
            Mistake("complex_step", "this is the complex step (gradcheck.2).  It is more exact, "
                    "but asks more of a loss; here the central difference is wanted.",
                    ((by_differences, _QUOTIENT, "loss(x + 1j*h*e)[0].imag / h"),))),
        hints=("`loss(x)[0]` is the value.  The gradient has an entry for each entry of x.",
               "`for place in np.ndindex(x.shape)` goes through all places of an array of any "
               "shape.",
               "For each place make a copy of x that is larger by h there, and one that is "
               "smaller.",
               "The entry is (loss(up)[0] - loss(down)[0]) / (2 * h); mind the brackets."),
        by_hand="by_differences(lambda x: ((x ** 3).sum(), 3 * x ** 2), np.array([2.0, 1.0]), "
                "h=0.1)",
        done="You own a gradient check now.  For f = x³ at x = 2, with h = 0.1, it finds 12 + h² = "
             "12.01.  Predict: what does it find for f = x² with the same large h?",
        equations=("gradcheck.1",), results=("gradient",)),
    Exercise(
        "bellman", "exact.evaluation", action_values,
        "Write one Bellman backup: the table Q (S, A) from the values V (S,) of the next states.  "
        "The world has mdp.gamma, mdp.mean_reward (S, A) and mdp.transitions, which is P (S·A, S) "
        "with P(·|s, a) in row s·A + a; or, outcome by outcome, mdp.next_state, mdp.prob, "
        "mdp.reward and mdp.terminated (S, A, K).",
        "import numpy as np\n\nfrom minirl.kernel.mdp import TabularMDP", _backups,
        mistakes=(
            Mistake("value_after_the_end", "V(s') is added also where the outcome ends the "
                    "episode.  P(s'|s, a) of (mdp.2) is the chance to go on in s': after an end "
                    "nothing follows.",
                    ((action_values, "mdp.transitions @ values",
                      "(mdp.prob * values[mdp.next_state]).sum(axis=2)"),), 36),
            Mistake("last_reward_lost", "the reward of an outcome that ends the episode is left "
                    "out.  Only V(s') is 0 after the end; the reward is paid.",
                    ((action_values, "mdp.mean_reward",
                      "(mdp.prob * ~mdp.terminated * mdp.reward).sum(axis=2)"),)),
            Mistake("no_discount", "γ is missing before the values of the next states.",
                    ((action_values, "mdp.gamma * (", "("),)),
            Mistake("discounted_reward", "γ multiplies the reward too.  The reward is paid at "
                    "once; only what follows waits for a step.",
                    ((action_values, "mdp.mean_reward", "mdp.gamma * mdp.mean_reward"),)),
            Mistake("no_reward", "the reward r(s, a) is missing: this is γ Σ P V alone.",
                    ((action_values, "mdp.mean_reward + ", ""),)),
            Mistake("own_value", "V(s) of the state itself stands where (evaluation.1) has the "
                    "mean of V(s') over the next states.",
                    ((action_values, _NEXT, "values[:, None]"),)),
            Mistake("no_probabilities", "the outcomes are summed as if each were certain: reward "
                    "and value of an outcome count with its probability.",
                    ((action_values, "mdp.mean_reward", "mdp.reward.sum(axis=2)"),
                     (action_values, "mdp.transitions @ values",
                      "(~mdp.terminated * values[mdp.next_state]).sum(axis=2)"))),
            Mistake("advantage", "this is the advantage Q(s, a) − V(s) of (evaluation.3).",
                    ((action_values, _NEXT, f"{_NEXT} - np.asarray(values)[:, None]"),)),
            Mistake("columns_first", "the S·A numbers P V are laid out column after column.  Row "
                    "s·A + a of P belongs to (s, a), as `reshape((S, A))` has it.",
                    ((action_values, _NEXT,
                      "(mdp.transitions @ values).reshape(mdp.shape[::-1]).T"),))),
        hints=("Q(s, a) has two parts: what the step pays on average, and γ times what follows.",
               "`mdp.transitions @ values` has a number for each (s, a), the mean of V(s') where "
               "the episode goes on; reshape it.",
               "Outcome by outcome: Q[s, a] is the sum over k of prob · (reward + γ "
               "V[next_state]), without V where the outcome has terminated."),
        by_hand="action_values(TabularMDP.from_gymnasium({0: {0: [(0.5, 1, 4.0, False), "
                "(0.5, 0, 8.0, True)], 1: [(1.0, 0, 3.0, False)]}, 1: {0: [(1.0, 1, 1.0, False)], "
                "1: [(1.0, 0, 5.0, True)]}}, gamma=0.5), np.array([2.0, 6.0]))",
        done="Put the mean of Q under π, or its largest entry, in the place of V and repeat: the "
             "first is a sweep of `evaluation`, the second one of value iteration.  What does a "
             "backup of V = 0 give?",
        equations=("evaluation.1",), results=("Q",), there=_backup_there),
    Exercise(
        "value_iteration", "exact.planning", value_iteration,
        "Write value iteration from V = 0.  Return the optimal values, and the first of the best "
        "actions of each state: two lists, or arrays, of S numbers.  After a terminal outcome "
        "nothing follows.",
        "import numpy as np", _laws,
        mistakes=(
            Mistake("value_after_the_end", "V of the next state is added also where the outcome is "
                    "terminal: after the end nothing follows.",
                    ((value_iteration, "V[after] * (not terminal)", "V[after]"),), 36),
            Mistake("last_reward_lost", "the reward of a terminal outcome is left out.  Only V of "
                    "the next state is 0 after the end; the reward is paid.",
                    ((value_iteration, _BACKED_UP,
                      "p * (r + gamma * V[after]) * (not terminal)"),)),
            Mistake("mean_over_actions", "the new V is the mean over the actions where "
                    "(planning.1) has the largest: this is what a walker at random is worth.",
                    ((value_iteration, "V = [max(q) for q in Q]", "V = [sum(q) / len(q) for q in Q]"
                      ),
                     (value_iteration, "max(abs(max(q) - v)", "max(abs(sum(q) / len(q) - v)"))),
            Mistake("change_without_abs", "the change is compared with its sign.  Where all "
                    "values fall it is negative, and the first sweep is the last: take its "
                    "absolute value.",
                    ((value_iteration, "max(abs(max(q) - v) for", "max(max(q) - v for"),)),
            Mistake("smallest_change", "the smallest change over the states ends the sweeps, where "
                    "the largest should: one state that has settled is not all of them.",
                    ((value_iteration, "max(abs(max(q) - v)", "min(abs(max(q) - v)"),), 37),
            Mistake("policy_repeats", "the sweeps end when the best actions are those of the sweep "
                    "before.  The values still move then; with a distant reward the actions are "
                    "not right either.",
                    ((value_iteration, "V = [0.0 for _ in law]", "V, old = [0.0 for _ in law], 0"),
                     (value_iteration, "if change <= tol:",
                      "new = [q.index(max(q)) for q in Q]\n        change, old = new != old, new\n"
                      "        if not change:")), 37),
            Mistake("no_discount", "γ is missing before V of the next state.",
                    ((value_iteration, "gamma * V[after]", "V[after]"),)),
            Mistake("discounted_reward", "γ multiplies the reward too.  The reward is paid at "
                    "once; only what follows waits for a step.",
                    ((value_iteration, _BACKED_UP,
                      "p * gamma * (r + V[after] * (not terminal))"),)),
            Mistake("last_of_ties", "of several best actions this takes the last one; the first is "
                    "asked for.  `>` keeps the first one, and `>=` does not.",
                    ((value_iteration, "q.index(max(q)) for",
                      "len(q) - 1 - q[::-1].index(max(q)) for"),))),
        hints=("One sweep: a list q with a number for each action of each state, from the old V.",
               "The number of an action is the sum over its outcomes of p (r + γ V[next s]), "
               "without V where the outcome is terminal.",
               "The new V of a state is max(q).  Stop when no V has changed by more than `tol`, up "
               "or down.",
               "q.index(max(q)), or np.argmax(q), is the first of the best actions."),
        by_hand="value_iteration([[[(1.0, 1, 0.0, False)], [(1.0, 1, -0.5, True)]], "
                "2 * [[(1.0, 1, -1.0, False)]]], 0.5)",
        done="A sweep leaves at most γ times the error.  Predict: how many sweeps does the "
             "slippery lake take at γ = 0.99?  The chapter says it.",
        equations=("planning.1",), results=("V", "best")),
    Exercise(
        "policy_gradient", "exact.planning", policy_gradient,
        "Write J, the value from the start, and its exact gradient in the logits (S, A).  The "
        "tools `evaluate` and `occupancy` take the world and a table π (S, A); the other three of "
        "`evaluation` take the world and the values V (S,).",
        "import numpy as np\n\nfrom minirl.exact.evaluation import (action_values, advantages, "
        "evaluate, from_start, occupancy)\nfrom minirl.kernel.mdp import coin_game\n"
        "from minirl.kernel.softmax import backward, log_softmax", _policies,
        mistakes=(
            Mistake("no_visits", "η(s) is missing: a state counts as often as episodes visit it.",
                    ((policy_gradient, "visits[:, None] * policy", "policy"),)),
            Mistake("no_policy", "π(a|s) is missing: an action counts as often as it is taken.",
                    ((policy_gradient, "visits[:, None] * policy", "visits[:, None]"),)),
            Mistake("action_values", "Q stands where (planning.5) has A.  η π Q is only what "
                    "stands before ∇log π: the backward pass is missing, which takes the mean V(s) "
                    "away.",
                    ((policy_gradient, "advantages(mdp, values)", "action_values(mdp, values)"),)),
            Mistake("reward_only", "the gradient of π is there, but with r where (planning.5) has "
                    "Q: η depends on the policy too, and what an action leads to is missing.",
                    ((policy_gradient, "advantages(mdp, values)",
                      "(mdp.mean_reward - (policy * mdp.mean_reward).sum(axis=1, keepdims=True))"),)
                    ),
            Mistake("start_only", "only the first step of an episode counts: start(s) stands where "
                    "(planning.5) has the visits η(s).",
                    ((policy_gradient, "visits[:, None]", "mdp.start[:, None]"),)),
            Mistake("undiscounted_visits", "the visits are counted without discount, as most "
                    "libraries do.  The derivative of J has γᵗ before step t, and η has it too.",
                    ((policy_gradient, "occupancy(mdp, policy.real)",
                      "occupancy(type(mdp)(mdp.next_state, mdp.prob, mdp.reward, mdp.terminated, "
                      "mdp.start, 1.0), policy.real)"),)),
            Mistake("shares_of_visits", "the visits are divided by their sum.  η(s) is a number of "
                    "visits and no probability: the direction is right, the length is not.",
                    ((policy_gradient, "visits[:, None]", "(visits / visits.sum())[:, None]"),)),
            Mistake("descent", "this is the gradient of −J.  J is to be climbed, and its own "
                    "gradient is asked for.",
                    ((policy_gradient, "visits[:, None] * policy", "-visits[:, None] * policy"),)),
            Mistake("mean_value", "J is the mean of V over the states where (evaluation.2) has the "
                    "mean over the start.",
                    ((policy_gradient, "from_start(mdp, values)", "values.mean()"),))),
        hints=("Everything is there: `evaluate` gives V, `occupancy` gives η, and `from_start` "
               "makes J of V.",
               "Differentiate V = Σ_a π Q by the product rule.  ∇V obeys Bellman's equation, with "
               "Σ_a ∇π(a|s) Q(s, a) for the reward.",
               "So ∇J = Σ_s η(s) Σ_a ∇π(a|s) Q(s, a), and ∇π = π ∇log π: the table η π Q goes "
               "through the backward pass.",
               "The result is η(s) π(a|s) A(s, a); a column of visits is `visits[:, None]`."),
        by_hand="policy_gradient(coin_game(gamma=0.5), np.zeros((1, 2)))",
        done="A state that is never visited has no gradient, and neither has an action that is "
             "never taken: that is why learners explore.  Predict: what becomes of the gradient as "
             "the policy nears the best one?",
        # No "gradient" for the engine, which would take the derivative in the first argument.
        equations=("evaluation.2",), results=("J", "policy gradient"), there=_policy_there),
)
