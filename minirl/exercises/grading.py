"""What a reader is told of a function, in the order in which it can be used.

Does it run?  Is the loss right?  Is the gradient the derivative of this very loss?  Where is the
largest wrong entry?  And which famous mistake gives these very numbers?
"""

import re
import traceback
import warnings
from typing import NamedTuple

import numpy as np

from minirl.console import counted
from minirl.exercises.exercise import (argument_names, capital, joined, kept_cases,
                                       kept_results, results_of, same)
from minirl.exercises.mistakes import likely_mistake
from minirl.kernel.gradcheck import by_complex_step, by_differences

CONSISTENT = 1e-5  # central differences of a loss with kinks are good to six digits


class Verdict(NamedTuple):
    """Whether a function is right, and lines of (what is looked at, what is said of it)."""

    right: bool
    lines: tuple


def grade(exercise, function, path="<exercise>") -> Verdict:
    """The `Verdict` on the reader's function, whose file is `path`."""
    right, found = kept_results(exercise), []
    number = len(right)
    for at, case in enumerate(exercise.cases()):
        results, complaint = _call(exercise, function, case, at, path)
        if complaint:
            which = "" if at == 0 else f" on case {at + 1}, though yes on the first"
            return Verdict(False, (("Runs", f"no{which}: {complaint}"),))
        found.append(results)
    wrong = {name: not all(same(f[at], r[at]) for f, r in zip(found, right))
             for at, name in enumerate(exercise.results)}
    if not any(wrong.values()):
        lines = [("Right", f"{joined(exercise.results)} on {number} cases, to 1e-9."),
                 ("", exercise.done)]
        if not _lasts(exercise, function):
            lines.append(("But", "with logits a thousand times as large yours is not finite, and "
                          "the book's is: an exponential overflows, or a logarithm gets 0.  "
                          "log_softmax and log_sigmoid avoid that."))
        return Verdict(True, tuple(lines))
    lines = [("Runs", f"yes, on {number} cases.")]
    for at, name in enumerate(exercise.results):
        lines.append((capital(name), _compared(exercise, function, found, right, at)
                      if wrong[name] else "right."))
    reason = likely_mistake(exercise, found)
    lines.append(("Likely", reason) if reason else
                 ("Likely", "none of the well-known mistakes explains these numbers."))
    if not reason:
        first = next(at for at, (f, r) in enumerate(zip(found, right)) if not all(map(same, f, r)))
        lines.append(("By hand", _by_hand(exercise, function, first + 1)))
    return Verdict(False, tuple(lines))


def _lasts(exercise, function):
    """Whether a loss is finite, where the book's is, with logits a thousand times as large."""
    if not (exercise.is_loss and exercise.through_softmax):
        return True
    finite = []
    for one in exercise.function, function:
        case = exercise.cases()[0]
        try:
            with np.errstate(all="ignore"):
                results = one(1000 * case.arguments[0], *case.arguments[1:], **case.keywords)
            finite.append(all(np.isfinite(result).all() for result in results))
        except Exception:
            finite.append(False)
    return finite[1] or not finite[0]


# Does it run?


def _call(exercise, function, case, at, path):
    """(results on a case, "") or (None, a sentence for the reader)."""
    try:
        results = results_of(exercise, function, case)
    except BaseException as error:  # SystemExit too: it is the reader's file that stops
        return None, raised(error, path)
    complaint = _misshapen(exercise, results, kept_results(exercise)[at])
    if not complaint:
        names, untouched = argument_names(exercise.function), kept_cases(exercise)[at].arguments
        changed = [name for name, now, before in zip(names, case.arguments, untouched)
                   if name not in exercise.changes and not _unchanged(now, before)]
        if not changed:
            return tuple(np.asarray(x, float) if np.ndim(x) else float(x) for x in results), ""
        complaint = f"it changes its argument {changed[0]} in place: work on a copy."
    return None, complaint


def _unchanged(now, before):
    """Whether an argument is what it was: arrays, and tuples of them."""
    if isinstance(before, np.ndarray):
        return now.shape == before.shape and np.array_equal(now, before)
    if isinstance(before, (tuple, list)):
        return len(now) == len(before) and all(map(_unchanged, now, before))
    if hasattr(before, "nnz"):  # a sparse matrix
        return now.shape == before.shape and (now != before).nnz == 0
    if isinstance(before, (int, float, str)):
        return now == before or now != now and before != before
    return True


def raised(error, path):
    """An error of the reader's file in a sentence, with the reader's own line."""
    if isinstance(error, NotImplementedError):
        return "it has no body yet."
    if isinstance(error, SystemExit):
        return "it ends the program (exit)."
    if isinstance(error, SyntaxError) and error.filename in (str(path), None):
        where = f"line {error.lineno}" if error.lineno else "it"
        line = (error.text or "").strip()
        return f"{where} is no Python, {error.msg}" + (f": {line}" if line else ".")
    own = [frame for frame in traceback.extract_tb(error.__traceback__)
           if frame.filename == str(path)]
    where = f"  Line {own[-1].lineno}: {own[-1].line}" if own else ""
    told = str(error).strip().split("\n")[0][:300]
    said = f"{type(error).__name__}{': ' if told else ''}{told}.{where}".replace("..", ".")
    if isinstance(error, ValueError) and re.search("broadcast|mismatch", told):
        said += ("  The shapes do not fit.  keepdims=True keeps the axis of a sum, ravel() lays a "
                 "table end to end, and reshape(logits.shape) makes a table again.")
    return said


def _misshapen(exercise, results, right):
    names = exercise.results
    if len(results) != len(right):
        return (f"it must return ({', '.join(names)}), got "
                f"{counted(len(results), 'value')}.")
    for name, result, wanted in zip(names, results, right):
        if result is None:
            return "it returns nothing: is `return` missing?"
        try:
            got = np.asarray(result)
        except ValueError:  # rows of unequal lengths
            return f"the {name} is no array of shape {np.shape(wanted)}: its rows differ in length."
        if got.dtype.kind not in "biuf":
            told = "complex" if got.dtype.kind == "c" else type(result).__name__
            shown = "" if " at 0x" in str(result) else f": {str(result)[:60]}"
            return f"the {name} must consist of real numbers, got {told}{shown}."
        if got.shape != np.shape(wanted):
            return (f"the {name} must have the shape {np.shape(wanted)}, got {got.shape}."
                    if np.ndim(wanted) else f"the {name} must be one number, got the shape "
                    f"{got.shape}.")
        if got.dtype.kind == "f" and got.dtype.itemsize < 8:
            return (f"the {name} is {got.dtype}, which keeps about seven digits or fewer; 1e-9 is "
                    f"asked for: use float64, NumPy's default.")
    return ""


# What is wrong?


def _compared(exercise, function, found, right, at):
    """What is said of one result that is wrong."""
    name = exercise.results[at]
    number = next(i for i, (f, r) in enumerate(zip(found, right)) if not same(f[at], r[at]))
    yours, wanted = found[number][at], np.asarray(right[number][at])
    said = "wrong"
    if name == "gradient" and exercise.is_loss:
        own = exercise.results[0]
        said += (f", but it is the derivative of your own {own}: mend the {own} first"
                 if _is_derivative(exercise, function, found[0][1]) else
                 f"; it is not the derivative of your own {own}")
    if not np.ndim(wanted):
        return (f"{said}: on case {number + 1} yours is {_number(yours)}, right is "
                f"{_number(wanted)}.")
    with np.errstate(invalid="ignore"):
        errors = np.where(yours == wanted, 0, np.abs(yours - wanted))
    errors[np.isnan(errors)] = np.inf
    place = tuple(map(int, np.unravel_index(errors.argmax(), errors.shape)))
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
    many = int((errors > 1e-9 * largest).sum())
    index = ", ".join(map(str, place))
    there = _numbers_there(exercise, exercise.cases()[number], place)
    are = "is" if many == 1 else "are"
    return (f"{said}.  {many} of {errors.size} entries {are} wrong on case {number + 1}, most at "
            f"[{index}]: yours {_number(yours[place])}, right {_number(wanted[place])}.{there}")


def _number(value):
    return f"{value + 0.0:.6f}" if np.isfinite(value) else f"{value} (not finite)"


def _is_derivative(exercise, function, gradient):
    """Whether the reader's gradient is the derivative of the reader's loss, on the first case."""
    case = exercise.cases()[0]

    def own(x):
        loss, grad = function(x, *case.arguments[1:], **case.keywords)
        return loss, grad

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of complex numbers that the reader never asked for
        for way in by_complex_step, by_differences:
            try:  # a body may take no complex numbers, or fail at another table
                if same(gradient, way(own, case.arguments[0]), CONSISTENT):
                    return True
            except Exception:
                pass
    return False


def _numbers_there(exercise, case, place):
    """The numbers that matter at an entry: those of the exercise, or the entries of its tables."""
    if exercise.there is not None:
        return f"  There {exercise.there(case, place)}."
    names = argument_names(exercise.function)
    entries = [f"{name} = {value[place]:.4g}" for name, value in zip(names, case.arguments)
               if isinstance(value, np.ndarray) and value.ndim == len(place)
               and all(i < size for i, size in zip(place, value.shape))]
    return f"  There {', '.join(entries)}." if entries else ""


def _by_hand(exercise, function, case):
    """The smallest call and what it should give, or that the function is right there."""
    results = []
    for one in exercise.function, function:
        names = {}
        exec(exercise.imports, names)
        names[exercise.function.__name__] = one
        try:
            with np.errstate(all="ignore"):
                results.append(_shown(eval(exercise.by_hand, names)))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
    call = f"\n>>> {exercise.by_hand}\n{results[0]}"
    if results[0] == results[1]:
        return ("the smallest case, which can be worked out on paper, comes out right.  Look at "
                f"the first that does not: minirl exercise {exercise.name} --case {case}.{call}")
    return f"work out the smallest case on paper.  Yours gives {results[1]}; right is{call}"


def _shown(found):
    """Results in a line, with four decimals."""
    if isinstance(found, tuple):
        return "(" + ", ".join(map(_shown, found)) + ")"
    return str((np.round(found, 4) + 0.0).tolist()) if np.ndim(found) else f"{found:.4f}"
