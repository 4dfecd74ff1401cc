"""Exercises of Parts 1 and 2: softmax, counts, backups, values."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.softmax import backward, log_softmax


def _gradient_tables():
    """A table log π, and a table G."""
    rng = np.random.default_rng(1)
    return [ExerciseCase((log_softmax(rng.normal(size=shape)), rng.normal(size=shape)),
                 factors={"S": shape[0], "A": shape[1], "S·A": shape[0] * shape[1]})
            for shape in ((4, 3), (3, 5), (6, 2))]


ON_TABLES = (
    Exercise(
        "backward", "kernel.softmax", backward,
        "Write the one backward pass of the book: from G, the derivative in log π, to the gradient "
        "in the logits.",
        "import numpy as np", _gradient_tables,
        mistakes=(
            Mistake("softmax_jacobian", "this is the derivative of π and not that of log π: "
                    "π (G − Σ π G).",
                    ((backward, "G - np.exp(logp) * G.sum(axis=-1, keepdims=True)",
                      "np.exp(logp) * (G - (np.exp(logp) * G).sum(axis=-1, keepdims=True))"),)),
            Mistake("own_entry_only", "π G is taken from an entry where (softmax.3) takes π Σ G: "
                    "the sum over the row is missing.",
                    ((backward, "np.exp(logp) * G.sum(axis=-1, keepdims=True)",
                      "np.exp(logp) * G"),)),
            Mistake("sum_without_policy", "Σ G is taken from every entry where (softmax.3) takes "
                    "π Σ G.",
                    ((backward, "np.exp(logp) * G.sum(axis=-1, keepdims=True)",
                      "G.sum(axis=-1, keepdims=True)"),)),
            Mistake("log_policy", "log π stands where (softmax.3) has π: take np.exp(logp).",
                    ((backward, "np.exp(logp) *", "logp *"),)),
            Mistake("sum_over_states", "G is summed over the states; (softmax.3) sums over the "
                    "actions of a row.",
                    ((backward, "G.sum(axis=-1, keepdims=True)", "G.sum(axis=0, keepdims=True)"),)),
            Mistake("sum_over_all", "G is summed over the whole table; (softmax.3) sums over the "
                    "actions of a row.",
                    ((backward, "G.sum(axis=-1, keepdims=True)", "G.sum()"),)),
            Mistake("wrong_sign_of_sum", "π Σ G is added where (softmax.3) takes it away.",
                    ((backward, "G - np.exp(logp)", "G + np.exp(logp)"),))),
        hints=("Raising θ[s, b] raises log π(b|s), and lowers log π of every action of the row.",
               "∂log π(c|s)/∂θ[s, b] is 1 where c = b, and 0 elsewhere, minus π(b|s).",
               "Σ_c G[s, c] (1[c = b] − π(b|s)) has two parts: G[s, b], and π(b|s) times a sum.",
               "`G.sum(axis=1, keepdims=True)` is the sum of each row, as a column."),
        by_hand="backward(np.log([[0.5, 0.5]]), np.array([[-1.0, 0.0]]))",
        done="Each row of what you return sums to zero, because a constant added to a row of "
             "logits changes no policy.  Which G gives no gradient at all?",
        equations=("softmax.2",), results=("gradient",)),
)
