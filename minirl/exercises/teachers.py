"""Exercises of Part 4, the end: learning from a teacher."""

import numpy as np

from minirl.exact.evaluation import evaluate, occupancy
from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import log_softmax
from minirl.people import distillation
from minirl.people.distillation import distillation_loss, row_distance, string_distillation_loss
from minirl.people.kl import string_kl

# Cases.


def _pupils(seed, *sizes):
    """A generator, a student, a teacher and the rows, for a shape and a number of contexts.

    Every row is played somewhere.  With as many contexts as rows, each has its own.
    """
    rng = np.random.default_rng(seed)
    for shape, contexts in sizes:
        student, teacher = rng.normal(size=shape), 1.5 * rng.normal(size=(contexts, shape[1]))
        more = rng.integers(shape[0], size=contexts - shape[0])
        rows = None if contexts == shape[0] else rng.permutation([*range(shape[0]), *more])
        yield rng, student, teacher, rows


def _row_cases():
    """Both ends and two mixes between them; the last student has a row for each context."""
    made = _pupils(1, ((4, 3), 7), ((3, 5), 8), ((6, 2), 11), ((5, 4), 5))
    return [ExerciseCase((student, teacher, visits := 3 * rng.random(len(teacher))),
                         {"beta": beta} | ({} if rows is None else {"rows": rows}),
                         {"visits.sum()": visits.sum(), "len(visits)": len(visits),
                          "S·A": student.size})
            for (rng, student, teacher, rows), beta in zip(made, (0.3, 0, 1, 0.8))]


def _string_cases():
    """Worlds like a language, and teachers; the last student has a row for each context."""
    made = _pupils(2, ((4, 3), 7), ((3, 5), 8), ((6, 2), 6))
    return [ExerciseCase((_ending(student), _language(rng, teacher.shape), _ending(teacher)),
                         {} if rows is None else {"rows": rows},
                         {"len(rows)": len(teacher), "S·A": student.size})
            for rng, student, teacher, rows in made]


def _ending(logits):
    """The logits of a policy whose strings are rather short."""
    return logits + (np.arange(logits.shape[1]) == 0)


def _language(rng, shape):
    """Action 0 ends the string, and each other one leads to some context."""
    ends = np.broadcast_to(np.arange(shape[1])[:, None] == 0, (*shape, 1))
    return TabularMDP(rng.integers(shape[0], size=(*shape, 1)), np.ones((*shape, 1)),
                      np.zeros((*shape, 1)), ends, rng.dirichlet(np.ones(shape[0])), 1.0)


# The numbers that matter at an entry.


def _in_contexts(case, place, log_ratio, **numbers):
    """What an action is in each context of a row: a log-ratio (contexts, A), and numbers."""
    rows = case.keywords.get("rows", np.arange(len(log_ratio)))
    told = "; ".join(f"{s} (" + ", ".join(
        f"{name} = {value[s] if value.ndim == 1 else value[s, place[1]]:.3f}"
        for name, value in {**numbers, "log(π/T)": log_ratio}.items()) + ")"
        for s in np.flatnonzero(rows == place[0]))
    return f"the contexts of the row are {told}"


def _row_there(case, place):
    logits, teacher, visits = case.arguments
    logp, logt = log_softmax(logits), log_softmax(teacher)
    rows = case.keywords.get("rows", slice(None))
    return (f"π = {np.exp(logp[place]):.3f} and mix = {case.keywords['beta']}; "
            f"{_in_contexts(case, place, logp[rows] - logt, visits=visits)}")


def _string_there(case, place):
    logits, mdp, teacher = case.arguments
    logp = log_softmax(logits)[case.keywords.get("rows", slice(None))]
    ratio = logp - log_softmax(teacher)
    rest = (mdp.transitions @ evaluate(mdp, np.exp(logp), ratio)).reshape(mdp.shape)
    visits = occupancy(mdp, np.exp(logp))
    return (f"π = {np.exp(log_softmax(logits)[place]):.3f}; "
            f"{_in_contexts(case, place, ratio, visits=visits, rest=rest)}")


# What the edits replace, and what stands there instead.

_MIDDLE = "logp if beta == 0 else teacher_logp if beta == 1 else _mixed(logp, teacher_logp, beta)"
_OF_TEACHER = "(beta or 1) * kl(teacher_logp, middle)"
_OF_STUDENT = "(1 - beta or 1) * kl(logp, middle)"
_AT_0 = "    if beta == 0:\n        return distance, -np.exp(teacher_logp)\n"
_BETWEEN = "(1 - beta or 1) * policy * difference(logp, middle, used)"
_STRINGS = ("distance, grad = string_kl(mdp, LogPolicy(logp[rows]), LogPolicy(teacher_logp))\n"
            "    return distance, _added_up(grad, rows, logp)")
_ON_TEACHERS_STRINGS = ("return distillation_loss(logits, teacher_logits, occupancy(mdp, "
                        "np.exp(teacher_logp)), beta={}, rows=rows)")

_ROWS_ONCE = Mistake(
    "rows_once", "of the contexts that share a row only the last one counts in the gradient: "
    "`grad[rows] += x` adds once at each index.  Take np.add.at, or a loop.",
    ((distillation._added_up, "np.add.at(total, rows, table)", "total[rows] += table"),), 41)


ON_TEACHERS = (
    Exercise(
        "distillation", "people.distillation", distillation_loss,
        "Write the loss of distillation, with the visits frozen, and its gradient in the "
        "student's logits.  In between the ends middle is mix T + (1 − mix) π.  All logits are "
        "finite in the exercise.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, kl, log_softmax",
        _row_cases,
        mistakes=(
            Mistake("ends_are_zero", "the formula with middle is used at mix = 0 and at mix = 1 "
                    "too.  There middle is one of the two, and the formula is 0; (distillation.1) "
                    "has KL(T‖π) at 0, and KL(π‖T) at 1.",
                    ((row_distance, _OF_TEACHER, "beta * kl(teacher_logp, middle)"),
                     (row_distance, _OF_STUDENT, "(1 - beta) * kl(logp, middle)"),
                     (row_distance, "-np.exp(teacher_logp)", "0 * teacher_logp"),
                     (row_distance, _BETWEEN, _BETWEEN.replace(" or 1", "")))),
            Mistake("arguments_exchanged", "the arguments of each KL are exchanged, as in "
                    "KL(middle‖T).  The mean of the log-ratio is taken under the first one.  "
                    "PyTorch's kl_div(log q, p) is KL(p‖q).",
                    ((row_distance, "kl(teacher_logp, middle)", "kl(middle, teacher_logp)"),
                     (row_distance, "kl(logp, middle)", "kl(middle, logp)"),
                     (row_distance, _AT_0,
                      "    if beta == 0:\n"
                      "        return distance, np.exp(logp) * (logp - teacher_logp)\n"
                      "    if beta == 1:\n        return distance, -np.exp(teacher_logp)\n"),
                     (row_distance, _BETWEEN,
                      "(1 - beta) * (policy * (beta * (middle - teacher_logp) + (1 - beta) * "
                      "(middle - logp)) - np.exp(middle))"))),
            _ROWS_ONCE,
            Mistake("middle_turned", "middle is mix π + (1 − mix) T, as it once was in TRL, where "
                    "the chapter has mix T + (1 − mix) π.  At mix = 0 this is KL(π‖T), and at "
                    "mix = 1 it is KL(T‖π): the ends are exchanged.",
                    ((row_distance, _MIDDLE, "_mixed(logp, teacher_logp, 1 - beta)"),
                     (row_distance, _AT_0, ""),
                     (row_distance, _BETWEEN,
                      "policy * ((1 - beta) * (logp - middle) - beta * np.exp(-middle) * "
                      "(beta * np.exp(teacher_logp) + (1 - beta) * policy))"))),
            Mistake("mean_of_logarithms", "middle is a mean of log T and log π, as it once was in "
                    "TRL, where the chapter has the logarithm of a mean, log(mix T + (1 − mix) π). "
                    " If one of the two is tiny, a row then costs more than log 2.",
                    ((row_distance, "_mixed(logp, teacher_logp, beta)",
                      "beta * teacher_logp + (1 - beta) * logp"),
                     (row_distance, _BETWEEN,
                      "policy * (logp - teacher_logp) if beta == 1 else beta * (1 - beta) * "
                      "(policy * (logp - teacher_logp) - np.exp(teacher_logp))"))),
            Mistake("mix_turned", "mix and 1 − mix are exchanged everywhere.  In (distillation.1) "
                    "mix = 0 is the forward KL, KL(T‖π), and mix = 1 is the reverse KL.",
                    ((row_distance, 'checks.fraction("beta", beta)', "beta = 1 - beta"),)),
            Mistake("weights_turned", "the weights of the two KLs are exchanged: (1 − mix) "
                    "KL(T‖middle) + mix KL(π‖middle).  Then nothing jumps at the ends, but this is "
                    "another divergence: a row may cost more than log 2.",
                    ((row_distance, _OF_TEACHER, "(1 - beta) * kl(teacher_logp, middle)"),
                     (row_distance, _OF_STUDENT, "beta * kl(logp, middle)"),
                     (row_distance, _BETWEEN,
                      "policy * (beta * difference(logp, middle, used) - (1 - beta) * "
                      "np.exp(-middle) * ((1 - beta) * np.exp(teacher_logp) + beta * policy))"))),
            Mistake("no_gradient_at_0", "the gradient at mix = 0 is that of the formula with "
                    "middle, which is 0 there.  KL(T‖π) has the derivative −T in log π.",
                    ((row_distance, "-np.exp(teacher_logp)", "0 * teacher_logp"),)),
            Mistake("visits_unused", "every context counts once; `visits` says how often each one "
                    "counts.",
                    ((distillation_loss, 'checks.weights("visits", visits, rows.shape)',
                      "np.ones(rows.shape)"),))),
        hints=("`log_softmax(logits)[rows]` is a table of the contexts: the student's row in each. "
               " `kl` of two such tables is one number per context.",
               "Take the ends first: at `beta` 0 and at `beta` 1 the distance is a single KL.  In "
               "between, two of them are needed, from the table "
               "np.log(beta * T + (1 - beta) * pi).",
               "If an entry of log π moves, so do π and middle.  What is a multiple of π may be "
               "left out, since `backward` takes it out again.",
               "In between, what remains is (1 − mix) π log(π/middle) in each context.  At mix = 1 "
               "it is π log(π/T), and at mix = 0 it is −T.",
               "Multiply it by `visits[:, None]`.  `np.add.at(G, rows, table)` adds up the "
               "contexts of each row in a table of zeros, G; then backward(logp, G)."),
        by_hand="distillation_loss(np.zeros((1, 2)), np.log([[9, 1], [1, 3]]), np.array([3.0, "
                "1.0]), beta=0.25, rows=np.array([0, 0]))",
        done="Middle moves when π does.  Predict: what would change in the gradient if middle were "
             "held fixed?",
        equations=("distillation.1", "distillation.2"),
        helpers=(row_distance, distillation._mixed, distillation._added_up), there=_row_there),
    Exercise(
        "string_distillation", "people.distillation", string_distillation_loss,
        "Write KL(π‖T) of whole strings, which the student π writes, and its true gradient in the "
        "student's logits.  The states of `mdp` are the contexts: `rows` (contexts,) says which "
        "row of the student is played in each, and by default each has its own.  "
        "`string_kl(mdp, logits, ref_logits)` returns KL(π‖π_ref) of two policies that have a row "
        "for each context, and its gradient in `logits`.",
        "import numpy as np\n\nfrom minirl.kernel.mdp import coin_game, unroll\n"
        "from minirl.people.kl import string_kl", _string_cases,
        mistakes=(
            _ROWS_ONCE,
            Mistake("frozen", "the visits are frozen: the gradient charges a step for its own "
                    "log-ratio, and not for the KL of the steps that follow, `rest`.",
                    ((string_kl, "(ratio + later)", "ratio"),)),
            Mistake("exchanged", "student and teacher are exchanged: this is KL(T‖π), of strings "
                    "that T writes, and a gradient in the logits of T.",
                    ((string_distillation_loss,
                      "string_kl(mdp, LogPolicy(logp[rows]), LogPolicy(teacher_logp))",
                      "string_kl(mdp, LogPolicy(teacher_logp), LogPolicy(logp[rows]))"),)),
            Mistake("mean_of_contexts", "the gradient of a row is the mean over its contexts.  One "
                    "logit moves all of them, so that the chain rule adds them up.",
                    ((distillation._added_up, "return total",
                      "return total / np.bincount(rows)[:, None]"),)),
            Mistake("forward", "this is KL(T‖π), of strings that the teacher writes, with a right "
                    "gradient.  What is asked for is KL(π‖T), of strings that π writes.",
                    ((string_distillation_loss, _STRINGS, _ON_TEACHERS_STRINGS.format(0)),)),
            Mistake("teachers_strings", "the KL(π‖T) of the rows is weighed by the visits of the "
                    "teacher.  In (kl.1) the first policy writes the strings, and here that is the "
                    "student.",
                    ((string_distillation_loss, _STRINGS, _ON_TEACHERS_STRINGS.format(1)),)),
            Mistake("teacher_of_row", "the teacher's rows are picked by `rows` too.  It has one "
                    "for each context, T(·|s); only the student's are shared.",
                    ((string_distillation_loss, "LogPolicy(teacher_logp))",
                      "LogPolicy(teacher_logp[rows]))"),)),
            Mistake("per_step", "loss and gradient are divided by the mean length of the student's "
                    "strings: (kl.1) has a sum over the steps.  A student could make a mean small "
                    "by writing longer strings.",
                    ((string_distillation_loss, _STRINGS,
                      _STRINGS.replace("return distance, _added_up(grad",
                                       "length = occupancy(mdp, np.exp(logp[rows])).sum()\n"
                                       "    return distance / length, _added_up(grad / length")
                      ),))),
        hints=("In each context the student plays a row of `logits`: `logits[rows]` is a policy "
               "with a row for each.",
               "KL(π‖T) is a mean under the student, so the student comes first in `string_kl`.  "
               "The loss needs no more.",
               "The gradient that comes with it has a row for each context.  A logit of the "
               "student stands in all the contexts of its row.",
               "`np.add.at(grad, rows, slopes)` adds them up in the rows of a table of zeros; "
               "`grad[rows] += slopes` would not."),
        by_hand="string_distillation_loss(np.zeros((1, 2)), unroll(coin_game(), 2), "
                "np.log([[0.2, 0.8], [0.9, 0.1]]), rows=np.array([0, 0]))",
        done="A row of the gradient is a sum over contexts.  Predict: can it be zero although the "
             "student differs from the teacher in all of them?",
        equations=("kl.1",), helpers=(distillation._added_up, string_kl), there=_string_there),
)
