"""What an exercise is, what a case and a mistake are, and the book with one mistake in it."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np


class ExerciseCase(NamedTuple):
    """One call of the function of an exercise."""

    arguments: tuple
    keywords: dict = {}
    factors: dict = {}  # name to number: what may be missing as a factor, or be one too many


class Mistake(NamedTuple):
    """A famous mistake: an edit of the book's own source, and what to say to whoever made it."""

    name: str     # a word or two
    says: str     # sentences: what is wrong, and what follows from it
    edits: tuple  # of (function of the book, what its source says once, what stands there instead)
    pitfall: int = 0  # its number in tests/PITFALLS.md, if it is there


class Exercise(NamedTuple):
    """A function of the book that the reader writes.

    What it returns, and then those of its arguments that it changes, are its *results*.
    """

    name: str            # of the exercise and of its file: NAME_exercise.py
    chapter: str         # where to read, as in "people.dpo"
    function: Callable   # of the book
    task: str            # one sentence in the imperative
    imports: str         # what the file begins with
    cases: Callable      # () -> three or more cases, the same in every call, with their own arrays
    mistakes: tuple      # of Mistake, the likeliest first
    hints: tuple         # three or more, from a nudge to nearly the line
    by_hand: str         # an expression: the smallest call, that can be worked out on paper
    done: str            # what to say after success: why it is so, or a question to predict
    equations: tuple = ()   # tags of displays that the docstring of the file shows
    without: tuple = ()     # keyword arguments of the book that the exercise leaves out
    results: tuple = ("loss", "gradient")
    changes: tuple = ()     # names of the arguments that the function is meant to change
    through_softmax: bool = True  # the gradient is taken in logits, by `softmax.backward`
    helpers: tuple = ()     # functions shown with the solution: what it calls, or a plainer form
    there: Callable = None  # (case, place) -> the numbers that matter at an entry of the gradient

    @property
    def is_loss(self):
        """Whether it gives a loss, or an objective, and its gradient in the first argument."""
        return self.results[1:] == ("gradient",)


def results_of(exercise, function, case):
    """What a function gives on a case: a tuple of arrays and numbers, `exercise.results`."""
    found = function(*case.arguments, **case.keywords)
    names = argument_names(exercise.function)
    changed = [case.arguments[names.index(name)] for name in exercise.changes]
    if len(changed) == len(exercise.results):
        return tuple(changed)
    several = len(exercise.results) > 1 and isinstance(found, (tuple, list))
    return (*(found if several else [found]), *changed)


@cache
def argument_names(function):
    """The names of the arguments of a function of the book, in their order."""
    return list(inspect.signature(function).parameters)


@cache
def kept_cases(exercise):
    """The cases of an exercise, made once, for those who only read them."""
    return exercise.cases()


@cache
def kept_results(exercise, *mistakes):
    """`right_results`, computed once for all attempts that are judged."""
    with np.errstate(all="ignore"):  # a mistake may divide by zero
        return right_results(exercise, *mistakes)


def right_results(exercise, *mistakes):
    """What the book gives on all cases; with mistakes in it, what it gives then."""
    with ExitStack() as stack:
        for mistake in mistakes:
            stack.enter_context(mistaken(mistake))
        return [results_of(exercise, exercise.function, case) for case in exercise.cases()]


@contextmanager
def mistaken(mistake) -> Iterator[None]:
    """The book with a mistake in it, for a while, for all who call what it edits.

    The code of a function is exchanged, and not the function, so that everybody who imported it
    runs the edited one.
    """
    before = {function: function.__code__ for function, _, _ in mistake.edits}
    try:
        for function in before:
            function.__code__ = _edited(function, tuple(
                (old, new) for other, old, new in mistake.edits if other is function))
        yield
    finally:
        for function, code in before.items():
            function.__code__ = code


@cache
def _edited(function, edits):
    """The code of a function after edits of its source."""
    source = _source(function)
    for old, new in edits:
        if source.count(old) != 1:
            raise ValueError(f"an edit must replace what {function.__name__} says exactly once, "
                             f"got {old!r}, {source.count(old)} times")
        source = source.replace(old, new)
    tree = ast.increment_lineno(ast.parse(source), function.__code__.co_firstlineno - 1)
    module = compile(tree, function.__code__.co_filename, "exec")
    return next(code for code in module.co_consts
                if inspect.iscode(code) and code.co_name == function.__name__)


@cache
def _source(function):
    """The source of a function of the book, which many mistakes edit."""
    return inspect.getsource(function)


def edited_functions(mistake):
    """The functions of the book that a mistake edits."""
    return {function for function, _, _ in mistake.edits}


def same(found, true, tolerance=1e-9, beside=None):
    """Whether two numbers or arrays agree, relative to the largest entry that should be there.

    Where that entry may be 0 up to rounding, the entries of `beside` say what is large.
    """
    found, true = np.asarray(found), np.asarray(true)
    if found.shape != true.shape:
        return False
    if (found == true).all():
        return True
    scale = max(np.abs(x[np.isfinite(x)]).max(initial=1e-300)
                for x in ([true] if beside is None else [true, np.asarray(beside)]))
    with np.errstate(invalid="ignore"):
        return bool(((found == true) | (np.abs(found - true) <= tolerance * scale)).all())


def joined(words):
    """Words as English lists them: a, b and c.

    >>> joined(["loss"]), joined(["loss", "gradient"]), joined(["a", "b", "c"])
    ('loss', 'loss and gradient', 'a, b and c')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def capital(text):
    """With a capital letter if the text begins with a word: σ is not Σ, and m is not M."""
    return text[0].upper() + text[1:] if re.match(r"(?!log\b)[a-z]{2}", text) else text
