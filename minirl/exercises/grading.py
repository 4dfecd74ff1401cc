"""What a reader is told of a function, in the order in which it can be used.

Does it run?  Is the loss right?  Is the gradient the derivative of this very loss?  Where is the
largest wrong entry?  And which famous mistake gives these very numbers?
"""

import inspect
import traceback
from typing import NamedTuple

import numpy as np

from minirl.console import counted
from minirl.exercises.exercise import capital, results_of, right_results, same
from minirl.exercises.mistakes import likely_mistake
from minirl.kernel.gradcheck import by_complex_step, by_differences

CONSISTENT = 1e-5  # central differences of a loss with kinks are good to six digits


class Verdict(NamedTuple):
    """Whether a function is right, and lines of (what is looked at, what is said of it)."""

    right: bool
    lines: tuple


def grade(exercise, function, path="<exercise>"):
    """The `Verdict` on the reader's function, whose file is `path`."""
    found, number = [], len(exercise.cases())
    for at in range(number):
        results, complaint = _call(exercise, function, at, path)
        if complaint:
            which = "" if at == 0 else f" on case {at + 1}, though yes on the first"
            return Verdict(False, (("Runs", f"no{which}: {complaint}"),))
        found.append(results)
    right = right_results(exercise)
    wrong = {name: not all(same(f[at], r[at]) for f, r in zip(found, right))
             for at, name in enumerate(exercise.results)}
    if not any(wrong.values()):
        what = " and ".join(exercise.results)
        return Verdict(True, (("Right", f"{what} on {number} cases, to 1e-9."),
                              ("", exercise.done)))
    lines = [("Runs", f"yes, on {number} cases.")]
    for at, name in enumerate(exercise.results):
        lines.append((capital(name), _compared(exercise, function, found, right, at)
                      if wrong[name] else "right."))
    reason = likely_mistake(exercise, found)
    lines.append(("Likely", reason) if reason else
                 ("Likely", "none of the well-known mistakes explains these numbers."))
    if not reason:
        lines.append(("By hand", _by_hand(exercise)))
    return Verdict(False, tuple(lines))


# Does it run?


def _call(exercise, function, at, path):
    """(results on a case, "") or (None, a sentence for the reader)."""
    case, fresh, untouched = (exercise.cases()[at] for _ in range(3))
    try:
        results = results_of(exercise, function, case)
    except BaseException as error:  # SystemExit too: it is the reader's file that stops
        return None, raised(error, path)
    complaint = _misshapen(exercise, results, results_of(exercise, exercise.function, fresh))
    if not complaint:
        names = list(inspect.signature(exercise.function).parameters)
        changed = [name for name, now, before in zip(names, case.arguments, untouched.arguments)
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
    return f"{type(error).__name__}{': ' if told else ''}{told}.{where}".replace("..", ".")


def _misshapen(exercise, results, right):
    names = exercise.results
    if len(results) != len(right):
        return (f"it must return ({', '.join(names)}), got "
                f"{counted(len(results), 'value')}.")
    for name, result, wanted in zip(names, results, right):
        try:
            got = np.asarray(result)
        except ValueError:  # rows of unequal lengths
            return f"the {name} is no array of shape {np.shape(wanted)}: its rows differ in length."
        if got.dtype.kind not in "biuf":
            told = "complex" if got.dtype.kind == "c" else type(result).__name__
            return f"the {name} must consist of real numbers, got {told}: {str(result)[:60]}."
        if got.shape != np.shape(wanted):
            return (f"the {name} must have the shape {np.shape(wanted)}, got {got.shape}."
                    if np.ndim(wanted) else f"the {name} must be one number, got the shape "
                    f"{got.shape}.")
        if not np.isfinite(got).all() and np.isfinite(wanted).all():
            return f"the {name} is not finite: {str(got.ravel()[~np.isfinite(got.ravel())][0])}."
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
        said += "; it is " + ("" if _is_derivative(exercise, function, found[0][1]) else "not ")
        said += f"the derivative of your own {exercise.results[0]}"
    if not np.ndim(wanted):
        return f"{said}: on case {number + 1} yours is {yours:.6f}, right is {wanted:.6f}."
    errors = np.abs(yours - wanted)
    place = tuple(map(int, np.unravel_index(errors.argmax(), errors.shape)))
    many = int((errors > 1e-9 * np.abs(wanted).max()).sum())
    index = ", ".join(map(str, place))
    there = _numbers_there(exercise, exercise.cases()[number], place)
    return (f"{said}.  {many} of {errors.size} entries are wrong on case {number + 1}, most at "
            f"[{index}]: yours {yours[place]:+.6f}, right {wanted[place]:+.6f}.{there}")


def _is_derivative(exercise, function, gradient):
    """Whether the reader's gradient is the derivative of the reader's loss, on the first case."""
    case = exercise.cases()[0]

    def own(x):
        loss, grad = function(x, *case.arguments[1:], **case.keywords)
        return loss, grad

    x = case.arguments[0]
    with np.errstate(all="ignore"):
        try:
            numerical = by_differences(own, x)
            if not same(gradient, numerical, CONSISTENT):
                numerical = by_complex_step(own, x)
        except Exception:  # a body that takes no complex numbers has no complex step
            pass
        return same(gradient, numerical, CONSISTENT)


def _numbers_there(exercise, case, place):
    """The numbers that matter at an entry: those of the exercise, or the entries of its tables."""
    if exercise.there is not None:
        return f"  There {exercise.there(case, place)}."
    names = list(inspect.signature(exercise.function).parameters)
    entries = [f"{name} = {value[place]:.4g}" for name, value in zip(names, case.arguments)
               if isinstance(value, np.ndarray) and value.ndim == len(place)
               and all(i < size for i, size in zip(place, value.shape))]
    return f"  There {', '.join(entries)}." if entries else ""


def _by_hand(exercise):
    """The smallest call and what it should give."""
    names = {}
    exec(exercise.imports, names)
    names[exercise.function.__name__] = exercise.function
    found = eval(exercise.by_hand, names)
    return f"work out the smallest case on paper.  {exercise.by_hand} is {_shown(found)}."


def _shown(found):
    """Results in a line, with four decimals."""
    if isinstance(found, tuple):
        return "(" + ", ".join(map(_shown, found)) + ")"
    return str((np.round(found, 4) + 0.0).tolist()) if np.ndim(found) else f"{found:.4f}"
