"""Which mistake gives these very numbers?  A mistake is named only if it explains every entry.

The numbers that the reader's function gives on all cases are compared with a list of *forms*: the
book, the book with one famous mistake in it, and the book with a famous mistake and a wrong
backward pass.  Each form is tried as it is, then in some of the results only, and then up to a
factor and up to a backward pass that is missing.  What agrees to 1e-9 of the largest entry, on
every case, is named.
"""

import itertools
from functools import cache

import numpy as np

from minirl.exercises.exercise import (Mistake, capital, edited_functions, joined, kept_cases,
                                       kept_results, same)
from minirl.kernel.softmax import backward, log_softmax

MEANINGS = {
    "B": "the number of pairs", "N": "the number of steps", "S": "the number of states",
    "A": "the number of actions", "S·A": "the number of entries of the table",
    "n": "the number of strings", "K": "the size of the batch"}

BACKWARD = (
    Mistake("softmax_jacobian", "the backward pass is that of π and not that of log π: "
            "π (G − Σ π G).  Either G is ∂L/∂π, or the backward pass is G − π Σ G (softmax.3).",
            ((backward, "G - np.exp(logp) * G.sum(axis=-1, keepdims=True)",
              "np.exp(logp) * (G - (np.exp(logp) * G).sum(axis=-1, keepdims=True))"),)),
    Mistake("slope_in_pi", "G is ∂L/∂π where (softmax.3) wants ∂L/∂log π: a factor π is missing, "
            "since π = exp(log π) (the chain rule).",
            ((backward, "G = np.asarray(G)", "G = np.asarray(G) / np.exp(logp)"),)),
    Mistake("own_entry_only", "the backward pass takes π G from an entry where (softmax.3) takes "
            "π Σ G: the sum over the row is missing.",
            ((backward, "np.exp(logp) * G.sum(axis=-1, keepdims=True)", "np.exp(logp) * G"),)),
    Mistake("sum_without_policy", "the backward pass takes Σ G from every entry where (softmax.3) "
            "takes π Σ G.",
            ((backward, "np.exp(logp) * G.sum(axis=-1, keepdims=True)",
              "G.sum(axis=-1, keepdims=True) + 0 * np.exp(logp)"),)),
    Mistake("sum_over_states", "the backward pass sums G over the states; (softmax.3) sums over "
            "the actions of a row.",
            ((backward, "G.sum(axis=-1, keepdims=True)", "G.sum(axis=0, keepdims=True)"),)),
    Mistake("wrong_sign_of_sum", "the backward pass adds π Σ G where (softmax.3) takes it away.",
            ((backward, "G - np.exp(logp)", "G + np.exp(logp)"),)))
NO_PASS = Mistake("no_backward_pass", "", (  # whose gradients are G itself
    (backward, "G - np.exp(logp) * G.sum(axis=-1, keepdims=True)", "G + 0 * logp"),))


def likely_mistake(exercise, found):
    """A sentence that explains all that was found, or None.

    `found` are the results of the reader's function on all cases.  The simplest explanation is
    tried first: one mistake, one in some of the results, a factor or a missing backward pass, and
    then two things at once.
    """
    singles, pairs = _forms(exercise)
    return (_explained(exercise, found, singles, _exactly)
            or _explained(exercise, found, [()], _nearly)
            or _explained(exercise, found, singles, _partly)
            or _explained(exercise, found, singles, _nearly)
            or _explained(exercise, found, _of_this_loss(exercise, found, pairs), _exactly))


def _explained(exercise, found, forms, difference):
    """The first of some forms that gives what was found: what it says, or None."""
    right = kept_results(exercise)
    for mistakes in forms:
        wanted = kept_results(exercise, *mistakes)
        reason = difference(exercise, found, wanted, right, mistakes)
        if reason is not None:
            said = [f"{capital(mistake.says)}{_pitfall(mistake)}" for mistake in mistakes]
            if reason.startswith("in "):
                return f"{capital(reason)}: {said[0]}"
            said += [capital(reason)] if reason else []
            return said[0] if len(said) == 1 else (
                f"Two at once, or one that not all results share.  {said[0]}  And: {said[1]}  Mend "
                "the first, and check again.")
    return None


def _exactly(exercise, found, wanted, right, mistakes):
    """"" if all results are those of a form; else None."""
    return "" if _all_same(found, wanted, right) else None


def _partly(exercise, found, wanted, right, mistakes):
    """Which results are those of a form if all others are right; else None."""
    where = []
    for name, one, mistaken, true in zip(exercise.results, *map(_columns, (found, wanted, right))):
        if not all(map(same, one, true)):
            if not all(same(x, y, beside=z) for x, y, z in zip(one, mistaken, true)):
                return None
            where.append(name)
    return f"in the {joined(where)} only" if where else None


def _columns(rows):
    """The results of all cases, one after another."""
    return list(zip(*rows))


@cache
def _forms(exercise):
    """Tuples of one mistake, and of two: a famous one and one in the backward pass."""
    generic = BACKWARD if exercise.is_loss and exercise.through_softmax else ()
    singles = [(mistake,) for mistake in (*exercise.mistakes, *generic)]
    return singles, [pair for pair in itertools.product(exercise.mistakes, generic)
                     if not edited_functions(pair[0]) & edited_functions(pair[1])]


def _of_this_loss(exercise, found, pairs):
    """The pairs whose first mistake gives the loss that was found: a backward pass changes none."""
    return [pair for pair in pairs if all(
        same(one[0], mistaken[0], beside=true[0]) for one, mistaken, true in zip(
            found, kept_results(exercise, pair[0]), kept_results(exercise)))]


def _pitfall(mistake):
    return f"  (Pitfall {mistake.pitfall} of tests/PITFALLS.md.)" if mistake.pitfall else ""


def _nearly(exercise, found, wanted, right, mistakes):
    """What is between two lists of results, in a sentence, or None if nothing explains it."""
    said = []
    for name, one, form in zip(exercise.results, _columns(found), _columns(wanted)):
        reason = _scaled(exercise, name, one, form)
        if reason is None and name == "gradient" and exercise.is_loss and exercise.through_softmax:
            reason = _backward_pass(exercise, one, form, mistakes)
        if reason is None:
            return None
        said.append(reason)
    causes = [sentence.partition(": ")[2] for sentence in said]
    if len(said) == 2 and all(causes) and causes[0] == causes[1]:
        said = [f"{joined(exercise.results)}: {causes[0]}"]
    return "  And: ".join(filter(None, said))


def _backward_pass(exercise, found, right, mistakes):
    """A sentence if the backward pass is missing, or was given another table; else None."""
    logits = [case.arguments[0] for case in kept_cases(exercise)]
    logps = map(log_softmax, logits)
    factor = _scaled(exercise, "gradient", list(map(backward, logps, found)), right)
    if factor is None:
        return None
    also = f"  And: {factor}" if factor else ""
    sums = (np.round(np.sum(found[0], axis=-1), 3) + 0.0).tolist()
    sentence = ("the backward pass (softmax.3) is missing, or has another table where log π "
                "belongs: backward(logp, ·) of what you return would be right.")
    if not any(edited_functions(NO_PASS) & edited_functions(mistake) for mistake in mistakes):
        G = _columns(kept_results(exercise, *mistakes, NO_PASS))[1]
        if _scaled(exercise, "gradient", found, G) is not None:
            sentence = ("the backward pass (softmax.3) is missing: what you return is G = "
                        "∂L/∂log π.  Return backward(logp, G).")
        with np.errstate(all="ignore"):
            if _scaled(exercise, "gradient", found, list(map(backward, logits, G))) is not None:
                sentence = ("the backward pass has the logits where (softmax.3) has log π: take "
                            "backward(log_softmax(logits), G).")
    return (f"{sentence}  Each row of a gradient in logits sums to zero; yours sum to {sums}."
            f"{also}")


def _all_same(found, wanted, right):
    """Whether all numbers agree; a mistake may make 0 of them, which is found up to rounding."""
    return all(same(x, y, beside=z) for rows in zip(found, wanted, right) for x, y, z in zip(*rows))


def _scaled(exercise, what, found, right):
    """"" if all are right, a sentence if one factor is wrong, which has a name, and None otherwise.

    A number is always some multiple of another one; so the factor must be, on every case, a product
    of the chapter's own numbers.
    """
    if all(same(f, r) for f, r in zip(found, right)):
        return ""
    factors = []
    for one, form in zip(found, right):
        factors.append(_factor(np.atleast_1d(one), np.atleast_1d(form)))
        if factors[-1] is None:
            return None
    names, values = _products(exercise)
    agree = (np.abs(factors - values) <= 1e-9 * np.abs(values)).all(axis=1)
    return f"{what}: {names[agree.argmax()]}." if agree.any() else None


def _factor(found, right):
    """c where found = c · right and c is not zero, or None."""
    norm = (right * right).sum()
    c = float((found * right).sum() / norm) if norm > 0 else 0.0
    return c if c and same(found, c * right) else None


@cache
def _products(exercise):
    """Names of factors, simplest first, and their values on all cases: a row for each."""
    cases, names, rows = kept_cases(exercise), [], []
    numbers = {name: [case.factors[name] for case in cases] for name in cases[0].factors}
    powers = [()] + [((name, power),) for name in numbers for power in (1, -1)]
    powers += [((one, p), (other, q)) for one, other in itertools.combinations(numbers, 2)
               for p in (1, -1) for q in (1, -1)]
    for constant in 1.0, 2.0, 0.5:
        for product in powers[:1 if constant != 1 else None]:
            for sign in 1.0, -1.0:
                values = np.full(len(cases), sign * constant)
                for name, power in product:
                    values = values * np.asarray(numbers[name], float) ** power
                names.append(_in_words(sign * constant, dict(product)))
                rows.append(values)
    return names, np.array(rows)


def _in_words(constant, product):
    """A factor as what was done wrong."""
    said = ["the sign is wrong"] if constant < 0 else []
    if abs(constant) == 2:
        said.append("there is a factor 2 too much")
    if abs(constant) == 0.5:
        said.append("a factor 2 is missing")
    above = [name for name, power in product.items() if power > 0]
    below = [name for name, power in product.items() if power < 0]
    if below == ["S·A"] and above:
        said.append(f"this is a mean over the table, where the chapter divides by {above[0]} "
                    f"({MEANINGS.get(above[0], above[0])})")
        return " and ".join(said)
    for name in above:
        means = f" ({MEANINGS[name]})" if name in MEANINGS else ""
        said.append(f"it is {name}{means} times too large: a sum where the chapter has a mean"
                    if name in ("B", "N", "n", "K") else f"a factor {name}{means} is too much")
    for name in below:
        means = f" ({MEANINGS[name]})" if name in MEANINGS else ""
        said.append(f"it is {name}{means} times too small: a mean where the chapter has a sum"
                    if name in ("B", "N", "n", "K") else f"a factor {name}{means} is missing")
    return " and ".join(said)
