"""The exercises: attempts as readers write them, the files, the mistakes, and the command."""

import ast
import doctest
import importlib
import inspect
import itertools
import json
import os
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from attempts import ATTEMPTS
from scipy.sparse import csr_array
from test_gradients import CASES
from test_house import CHAPTERS, ROOT

from minirl.exercises import (EXERCISES, breaking, cutting, exercise_called, mistake_called,
                              mistakes_by_name)
from minirl.exercises.exercise import ExerciseCase, Mistake, capital, mistaken, right_results, same
from minirl.exercises.grading import _numbers_there, _unchanged, grade, raised
from minirl.exercises.mistakes import BACKWARD, NO_PASS, likely_mistake
from minirl.exercises.playing import _Luck
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax
from minirl.people.dpo import dpo_loss

for room in (ROOT / "tests" / "attempts").glob("[a-z]*.py"):
    importlib.import_module(f"attempts.{room.stem}")

NAMES = [one.name for one in EXERCISES]
ATTEMPTS_AT = {name: [] for name in NAMES}
for name, expected, function in ATTEMPTS:
    ATTEMPTS_AT[name].append((expected, function))


def told(verdict):
    return "\n".join(f"{head}  {text}" for head, text in verdict.lines)


# What is told of attempts.


@pytest.mark.parametrize("name", NAMES)
def test_the_attempts_at_an_exercise_are_judged_as_intended(name):
    """Two right ones, eight wrong ones, and one at each mistake."""
    exercise, intended = exercise_called(name), [expected for expected, _ in ATTEMPTS_AT[name]]
    says = {mistake.name: mistake.says for mistake in exercise.mistakes}
    assert intended.count(None) >= 2 and len(intended) - intended.count(None) >= 8
    assert says.keys() <= set(intended)
    for expected, function in ATTEMPTS_AT[name]:
        verdict = grade(exercise, function, function.__code__.co_filename)
        assert verdict.right == (expected is None), (function.__name__, told(verdict))
        if expected is not None:
            text = says.get(expected, expected)
            assert text in told(verdict) or capital(text) in told(verdict), (
                function.__name__, told(verdict))


def test_logits_in_the_backward_pass_are_not_a_missing_one():
    """After a backward pass any multiple of π in a row is gone, so that both come out right."""
    dpo = exercise_called("dpo")

    def by_logits(logits, ref_logits, difference, *, beta):
        logp = log_softmax(logits)
        m = beta * (difference @ (logp - log_softmax(ref_logits)).ravel())
        G = -beta / len(m) * (difference.T @ np.exp(log_sigmoid(-m))).reshape(logits.shape)
        return -log_sigmoid(m).mean(), backward(logits, G)

    assert "has the logits where (softmax.3) has log π" in told(grade(dpo, by_logits))


def test_g_in_pi_without_a_backward_pass_is_told_as_two_mistakes():
    """π G is what comes before the sum over the row is taken away from ∂L/∂π."""
    dpo = exercise_called("dpo")

    def weighted(logits, ref_logits, difference, *, beta):
        logp = log_softmax(logits)
        m = beta * (difference @ (logp - log_softmax(ref_logits)).ravel())
        G = -beta / len(m) * (difference.T @ np.exp(log_sigmoid(-m))).reshape(logits.shape)
        return -log_sigmoid(m).mean(), np.exp(logp) * G

    said = told(grade(dpo, weighted))
    assert "The backward pass is that of π and not that of log π" in said
    assert "And: The backward pass (softmax.3) is missing, or has another table" in said


def test_a_wrong_count_is_shown_beside_the_number_of_its_steps():
    """Where the steps have no weights: with them, their weights are shown."""
    one = exercise_called("counts")

    def one_more(steps, *weights):
        return one.function(steps, *weights) + (np.indices(steps.shape).sum(axis=0) == 0) * (
            not weights)

    steps, = next(case.arguments for case in one.cases() if len(case.arguments) == 1)
    number = (steps.index == 0).sum()
    assert (f"yours {number + 1:.6f}, right {number:.6f}.  There the number of steps is {number}"
            in told(grade(one, one_more)))


@pytest.mark.parametrize("one", [one for one in EXERCISES if one.is_loss],
                         ids=lambda one: one.name)
def test_the_backward_pass_is_spoken_of_where_the_gradient_is_taken_in_logits(one):
    """And the sums of the rows are those of what stands in the place of the gradient."""
    found, right = right_results(one, NO_PASS), right_results(one)
    if one.through_softmax and any(not same(x[1], y[1])
                                   for x, y in zip(found, right, strict=True)):
        sums = (np.round(found[0][1].sum(axis=-1), 3) + 0.0).tolist()
        assert likely_mistake(one, found) == (
            "The backward pass (softmax.3) is missing: what you return is G = ∂L/∂log π.  Return "
            f"backward(logp, G).  Each row of a gradient in logits sums to zero; yours sum to "
            f"{sums}.")
    for mistake in () if one.through_softmax else BACKWARD:
        found = right_results(one, mistake)
        if not all(same(x[1], y[1]) for x, y in zip(found, right)):
            assert likely_mistake(one, found) is None


def test_a_mistake_and_a_wrong_backward_pass_are_told_together():
    """But for a wrong sign of the sum, which is told as a backward pass that is missing."""
    dpo, one = mistake_called("dpo.swapped")
    for other in BACKWARD[:-1]:
        assert likely_mistake(dpo, right_results(dpo, one, other)) == (
            f"Two at once, or one that not all results share.  {capital(one.says)}  And: "
            f"{capital(other.says)}  Mend the first, and check again."), other.name


def test_a_mistake_in_the_loss_alone_is_named():
    dpo = exercise_called("dpo")

    def without_reference_in_the_loss(logits, ref_logits, difference, *, beta):
        _, grad = dpo_loss(logits, ref_logits, difference, beta=beta)
        return -log_sigmoid(beta * (difference @ log_softmax(logits).ravel())).mean(), grad

    assert "In the loss only: The reference is not used" in told(
        grade(dpo, without_reference_in_the_loss))


@pytest.mark.parametrize("more, said", [
    (0, ", but it is the derivative of your own loss: mend the loss first"),
    (1e-3, "; it is not the derivative of your own loss")])
def test_a_gradient_of_a_wrong_loss_is_told_from_a_wrong_gradient(more, said):
    one = exercise_called("dpo")

    def seven_times(*arguments, **keywords):
        loss, grad = one.function(*arguments, **keywords)
        return 7 * loss + 1, 7 * grad + more

    assert f"wrong{said}" in told(grade(one, seven_times))


def test_a_right_loss_that_overflows_is_told_so():
    dpo = exercise_called("dpo")

    def naive(logits, ref_logits, difference, *, beta):
        logp = log_softmax(logits)
        m = beta * (difference @ (logp - log_softmax(ref_logits)).ravel())
        G = -beta / len(m) * (difference.T @ (1 / (1 + np.exp(m)))).reshape(logits.shape)
        return np.log(1 + np.exp(-m)).mean(), backward(logp, G)

    with np.errstate(over="ignore"):
        verdict = grade(dpo, naive)
    assert verdict.right and verdict.lines[-1][0] == "But"
    assert grade(dpo, dpo_loss).lines[-1][0] != "But"


def test_a_list_that_is_turned_round_is_changed():
    gae = exercise_called("gae")

    def backwards(episode, V, gamma, lam):
        episode.reverse()
        return gae.function(episode[::-1], V, gamma, lam)

    assert "changes its argument episode in place" in told(grade(gae, backwards))


def test_a_number_that_is_none_is_changed_by_any_other():
    assert _unchanged([np.nan, 1.0], [np.nan, 1.0])
    assert not _unchanged([np.nan], [1.0]) and not _unchanged([1.0], [np.nan])


@pytest.mark.parametrize("name", NAMES)
def test_the_book_itself_is_right_and_nothing_else_is_told(name):
    one = exercise_called(name)
    right, ((head, text), last) = grade(one, one.function)
    assert (right, head, last) == (True, "Right", ("", one.done))
    assert text.endswith(f" on {len(one.cases())} cases, to 1e-9.")
    assert all(result in text for result in one.results)


def spoiled(one, number, change):
    """The book's function, whose last result on one of the cases is changed."""
    calls = itertools.count()

    def function(*arguments, **keywords):
        found = one.function(*arguments, **keywords)
        if next(calls) != number:
            return found
        return ((*found[:-1], change(np.array(found[-1], float))) if len(one.results) > 1
                else change(np.array(found, float)))
    return function


@pytest.mark.parametrize("name", [one.name for one in EXERCISES if not one.changes])
def test_a_wrong_entry_is_shown_with_what_is_right_there(name, monkeypatch):
    """The last entry of the second case; the errors of all the others are below 1e-9."""
    monkeypatch.setattr("minirl.exercises.grading.likely_mistake", lambda *_: None)
    one = exercise_called(name)
    case, results = one.cases()[1], right_results(one)[1]
    wanted = np.asarray(results[-1], float)
    place = tuple(size - 1 for size in wanted.shape)
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)

    def change(last):
        last = last + 0.4e-9 * largest
        last[place] = wanted[place] + 2 * largest
        return last

    verdict = grade(one, spoiled(one, 1, change))
    lines = dict(verdict.lines)
    said, yours = lines[capital(one.results[-1])], wanted[place] + 2 * largest
    assert not verdict.right and lines["Runs"] == f"yes, on {len(one.cases())} cases."
    assert all(lines[capital(other)] == "right." for other in one.results[:-1])
    if not wanted.shape:
        assert said == f"wrong: on case 2 yours is {yours:.6f}, right is {wanted:.6f}."
    else:
        assert (f".  1 of {wanted.size} entries is wrong on case 2, most at "
                f"[{', '.join(map(str, place))}]: yours {yours + 0.0:.6f}, right "
                f"{wanted[place] + 0.0:.6f}." in said)
        there = one.there and f"  There {one.there(case, place)}."
        assert said.endswith(there or ".") and ("  There " in said or not there)
    assert lines["By hand"].startswith("the smallest case, which can be worked out on paper, comes "
                                       f"out right.  Look at the first that does not: minirl "
                                       f"exercise {name} --case 2.\n>>> {one.by_hand}\n")


@pytest.mark.parametrize("number, which", [(0, ""), (1, " on case 2, though yes on the first"),
                                           (2, " on case 3, though yes on the first")])
def test_a_failure_is_told_with_its_case(number, which):
    one = exercise_called("dpo")
    verdict = grade(one, spoiled(one, number, lambda grad: grad[1:]))
    shape = right_results(one)[number][1].shape
    assert verdict == (False, (("Runs", f"no{which}: the gradient must have the shape {shape}, got "
                                f"{(shape[0] - 1, shape[1])}."),))


def test_a_wrong_smallest_case_is_shown_beside_the_right_one(monkeypatch):
    monkeypatch.setattr("minirl.exercises.grading.likely_mistake", lambda *_: None)
    one = exercise_called("backward")._replace(by_hand="backward(np.log([[0.5, 0.5]]), [[3.0, 1]])")

    def half_more(logp, G):
        return backward(logp, G) + 0.5

    assert grade(one, half_more).lines[-1] == (
        "By hand", "work out the smallest case on paper.  Yours gives [[1.5, -0.5]]; right is\n"
        f">>> {one.by_hand}\n[[1.0, -1.0]]")


def test_without_a_sentence_of_its_own_an_entry_is_shown_with_those_of_tables_that_have_it():
    one = exercise_called("backward")._replace(there=None)

    def double_at(place):
        def change(grad):
            grad[place] *= 2
            return grad
        return dict(grade(one, spoiled(one, 0, change)).lines)["Gradient"]

    logp, G = one.cases()[0].arguments
    assert double_at((3, 1)).endswith(f"  There logp = {logp[3, 1]:.4g}, G = {G[3, 1]:.4g}.")
    assert _numbers_there(one, ExerciseCase((logp[:3], G)), (3, 1)) == f"  There G = {G[3, 1]:.4g}."
    assert _numbers_there(one, ExerciseCase((logp[0], G[:, :1])), (3, 1)) == ""


@pytest.mark.parametrize("error, helped", [
    (ValueError("operands could not be broadcast together"), True),
    (ValueError("matmul: mismatch in core dimension"), True),
    (ValueError("a number below 0"), False), (KeyError("mismatch"), False)])
def test_shapes_are_explained_only_where_they_do_not_fit(error, helped):
    said = raised(error, "mine.py")
    assert said.startswith(f"{type(error).__name__}: {error}.")
    assert ("The shapes do not fit" in said) == helped


@pytest.mark.parametrize("line, text, said", [
    (3, "  a = = 1\n", "line 3 is no Python, invalid syntax: a = = 1"),
    (3, None, "line 3 is no Python, invalid syntax."),
    (None, "", "it is no Python, invalid syntax.")])
def test_what_is_no_python_is_told_with_its_line(line, text, said):
    """In another file than the reader's it is an error like any other."""
    assert raised(SyntaxError("invalid syntax", ("mine.py", line, 1, text)), "mine.py") == said
    other = SyntaxError("invalid syntax", ("other.py", line, 1, text))
    assert raised(other, "mine.py").startswith("SyntaxError: invalid syntax")


TOO_MUCH, MISSING = "there is a factor 2 too much", "a factor 2 is missing"
SMALL = "it is B (the number of pairs) times too small: a mean where the chapter has a sum"
LARGE = "it is B (the number of pairs) times too large: a sum where the chapter has a mean"


@pytest.mark.parametrize("factor, said", [
    (lambda beta, B: -1, "the sign is wrong"), (lambda beta, B: 2, TOO_MUCH),
    (lambda beta, B: -2, f"the sign is wrong and {TOO_MUCH}"), (lambda beta, B: 0.5, MISSING),
    (lambda beta, B: -0.5, f"the sign is wrong and {MISSING}"), (lambda beta, B: B, LARGE),
    (lambda beta, B: 1 / B, SMALL), (lambda beta, B: beta, "a factor beta is too much"),
    (lambda beta, B: 1 / beta, "a factor beta is missing"),
    (lambda beta, B: -beta, "the sign is wrong and a factor beta is too much"),
    (lambda beta, B: -2 * B, None), (lambda beta, B: 0.5 / beta, None),
    (lambda beta, B: B * beta, f"{LARGE} and a factor beta is too much"),
    (lambda beta, B: beta / B, f"a factor beta is too much and {SMALL}"),
    (lambda beta, B: B / beta, f"{LARGE} and a factor beta is missing"),
    (lambda beta, B: 1 / (B * beta), f"{SMALL} and a factor beta is missing"),
    (lambda beta, B: B**2, None), (lambda beta, B: beta**-2, None), (lambda beta, B: 3, None)])
def test_a_factor_is_named_if_it_is_made_of_the_numbers_of_the_chapter(factor, said):
    """Of the gradient, and of loss and gradient; no mistake of the catalogue comes before."""
    one = exercise_called("dpo")._replace(mistakes=())
    by = [factor(case.keywords["beta"], case.factors["B"]) for case in one.cases()]
    right = right_results(one)
    for what, found in (
            ("Gradient", [(loss, c * grad) for c, (loss, grad) in zip(by, right)]),
            ("Loss and gradient", [(c * loss, c * grad) for c, (loss, grad) in zip(by, right)])):
        assert likely_mistake(one, found) == (said and f"{what}: {said}.")


@pytest.mark.parametrize("name", NAMES)
def test_a_random_gradient_has_no_name(name):
    """500 of them over all exercises, wrong in every entry, or in one alone."""
    exercise, rng = exercise_called(name), np.random.default_rng(1)
    right = right_results(exercise)
    for number in range(-(-500 // len(NAMES))):
        found = []
        for results in right:
            noise = [rng.normal(size=np.shape(result)) for result in results]
            if number % 2:  # one wrong entry
                noise = [np.where(np.arange(np.size(n)).reshape(np.shape(n)) == 0, n, 0.0)
                         for n in noise]
            if exercise.is_loss:
                noise[0] = 0.0
            found.append(tuple(result + n for result, n in zip(results, noise)))
        assert likely_mistake(exercise, found) is None


# The catalogue.


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_a_mistake_changes_the_results_and_is_told_from_every_other(exercise):
    right = right_results(exercise)
    shapes = [list(map(np.shape, results)) for results in right]
    for mistake in exercise.mistakes:
        wrong = right_results(exercise, mistake)
        assert any(not same(x, y) for one, other in zip(wrong, right)
                   for x, y in zip(one, other)), mistake.name
        assert [list(map(np.shape, results)) for results in wrong] == shapes, mistake.name
        assert all(np.isfinite(x).all() for results in wrong for x in results), mistake.name
        found = [tuple(np.asarray(x, float) + 1e-13 * np.abs(y).max(initial=0)  # other roundings
                       for x, y in zip(*results)) for results in zip(wrong, right)]
        where = f"  (Pitfall {mistake.pitfall} of tests/PITFALLS.md.)" if mistake.pitfall else ""
        assert likely_mistake(exercise, found) == capital(mistake.says) + where, mistake.name
    assert all(same(x, y) for one, other in zip(right_results(exercise), right)
               for x, y in zip(one, other))  # the book is whole again


def test_an_edit_of_what_is_not_there_once_is_refused_and_the_book_stays_whole():
    code = backward.__code__
    for old in "np.exp(logits)", "G":
        with pytest.raises(ValueError, match="must replace what backward says exactly once"):
            with mistaken(Mistake("odd", "Odd.", ((backward, old, "1"),))):
                pass
        assert backward.__code__ is code


def test_results_of_other_shapes_are_not_the_same():
    assert same(np.ones(3), np.ones(3))
    assert not same(np.ones((1, 3)), np.ones(3)) and not same(1.0, np.ones(3))


def test_mistakes_have_names_of_their_own_and_pitfalls_of_the_list():
    pitfalls = (ROOT / "tests" / "PITFALLS.md").read_text(encoding="utf-8")
    numbers = set(map(int, re.findall(r"^\| (\d+) \|", pitfalls, flags=re.M)))
    for exercise in EXERCISES:
        names = [mistake.name for mistake in exercise.mistakes]
        assert len(set(names)) == len(names) and all(map(str.isidentifier, names))
        for mistake in exercise.mistakes:
            assert mistake.says.endswith((".", "?"))
            assert mistake.pitfall == 0 or mistake.pitfall in numbers


def test_a_mistake_is_looked_for_in_the_tests_of_its_chapter_and_in_what_it_edits():
    for name, (one, mistake) in mistakes_by_name().items():
        files = breaking.tests_of(one, mistake)
        stems = [file.removeprefix(f"{ROOT}/") for file in files]
        edited = {function.__module__ for function, _, _ in mistake.edits}
        own = [f"tests/test_{stem.split('.')[-1]}.py" for stem in [one.chapter, *sorted(edited)]]
        own = [stem for stem in dict.fromkeys(own) if (ROOT / stem).exists()]
        plain = ["tests/test_plain.py"] * one.function.__module__.startswith("minirl.plain")
        sources = [f"{module.replace('.', '/')}.py" for module in edited]
        assert sorted(stems) == sorted({*own, *plain, *sources, "tests/test_gradients.py"}), name
        assert stems[:1] == own[:1] or not own and stems[0] in sources, name
        assert stems[-1] == "tests/test_gradients.py", name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_the_book_catch_every_mistake(name):
    """The mistakes are mutants of the book, and each is killed, by a test of its chapters."""
    done = subprocess.run([sys.executable, "tests/mutants.py", name], cwd=ROOT, encoding="utf-8",
                          env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
                          capture_output=True)
    caught = json.loads(done.stdout)[name]
    assert set(caught) == {mistake.name for mistake in exercise_called(name).mistakes}
    assert None not in caught.values(), caught


# The exercises themselves.


def test_every_public_loss_with_a_gradient_has_an_exercise():
    losses = {name.split(".")[1] for name in CASES if name.endswith("_loss")}
    assert losses - {one.function.__name__ for one in EXERCISES} == set()


def test_the_exercises_are_in_reading_order():
    places = [CHAPTERS.index(one.chapter) for one in EXERCISES]
    assert places == sorted(places) and len(set(NAMES)) == len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_is_whole(name):
    """Three cases of different shapes, three hints, and a smallest call that can be run."""
    one = exercise_called(name)
    cases = one.cases()
    assert len(cases) >= 3 and len(one.hints) >= 3 and one.task.endswith(".") and one.done
    assert all(case.factors.keys() == cases[0].factors.keys() for case in cases)
    for first, second in zip(right_results(one), right_results(one)):
        assert all(np.array_equal(x, y) for x, y in zip(first, second))  # the same in every call
    names = {}
    exec(one.imports, names)
    names[one.function.__name__] = one.function
    eval(one.by_hand, names)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_of_an_exercise_says_the_equation_and_not_the_derivative(name):
    one = exercise_called(name)
    text = cutting.file_of(one)
    names = {}
    exec(compile(text, name, "exec"), names)
    with pytest.raises(NotImplementedError):
        names[one.function.__name__](*one.cases()[0].arguments, **one.cases()[0].keywords)
    assert not re.search(r"\bG = |\bG is ", text.partition("def ")[2])
    assert all(f"({tag})" in text for tag in one.equations)
    assert all(len(line) <= 100 for line in text.split("\n"))
    for left_out in one.without:
        assert left_out not in text.partition("def ")[2].partition(":\n")[0]
        assert f"{left_out}=" not in text
    solution = cutting.solution_of(one)
    assert [node.name for node in ast.parse(solution).body] == [
        function.__name__ for function in (one.function, *one.helpers)]
    assert solution.startswith(f"def {one.function.__name__}(") and '"""' not in solution


def displays_of_the_book():
    """(block of indented lines, a tag of its chapter at the end of a line of it), once a tag"""
    for chapter in CHAPTERS:
        known = set()
        text = inspect.cleandoc(importlib.import_module(f"minirl.{chapter}").__doc__)
        for block in re.findall(r"(?:^ {4}.*\n)+", text + "\n", flags=re.M):
            for tag in re.findall(r"\((\w+\.\d+)\)$", block, flags=re.M):
                if tag.split(".")[0] == chapter.split(".")[1] and tag not in known:
                    known.add(tag)
                    yield block, tag


def test_a_display_is_shown_whole_with_its_tags_at_the_end_of_the_line():
    """Where it holds no derivative G: all of its words, in their order."""
    whole = [(block, tag) for block, tag in displays_of_the_book()
             if not re.search(r"\bG\b", block)]
    assert len(whole) > 100
    for block, tag in whole:
        text = cutting.display(tag)
        assert text.split() == block.split() and all(map(str.strip, text.split("\n")))
        assert all(len(line) == 96 for line in text.split("\n") if line.endswith(f"({tag})"))
        assert re.match(" *", text)[0] == re.match(" *", block)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_the_arguments_of_the_book_and_a_docstring_without_equations_too(name):
    one = exercise_called(name)
    names = {}
    exec(cutting.file_of(one), names)
    mine, book = (inspect.signature(function, eval_str=False).parameters.values()
                  for function in (names[one.function.__name__], one.function))
    assert [(x.name, x.kind, repr(x.default)) for x in mine] == [
        (x.name, x.kind, repr(x.default)) for x in book if x.name not in one.without]
    exec(cutting.file_of(one._replace(equations=())), names)
    first = inspect.getdoc(names[one.function.__name__]).split("\n\n")[0]
    assert first and not re.search(r"\(\w+\.\d+\)$", first, flags=re.M)


def test_the_solution_of_a_function_without_a_docstring_is_all_of_it():
    def bare(x):
        x = 2 * x
        return x

    assert cutting.solution_of(exercise_called("backward")._replace(
        function=bare, helpers=())) == "def bare(x):\n    x = 2 * x\n    return x"


def alike(x, y):
    """Whether two arguments are of one form, and their arrays the same in what is shown of them."""
    if isinstance(y, _Luck):
        return isinstance(x, _Luck)
    if isinstance(y, TabularMDP):
        return all(alike(value, getattr(y, name)) for name, value in x.items())
    if isinstance(x, (tuple, list)):
        return type(x) is type(y) and len(x) == len(y) and all(map(alike, x, y))
    if isinstance(x, partial):
        return (x.func, x.args, x.keywords) == (y.func, y.args, y.keywords)
    if hasattr(x, "toarray"):
        x, y = x.toarray(), y.toarray()
    return (x.shape == y.shape and np.allclose(x, y, equal_nan=True)
            if isinstance(x, np.ndarray) else x == y or x != x and y != y)


def known_to_python():
    """The names of the public functions and records of the book."""
    return {name: value for module, names in sys.modules.items() if module.startswith("minirl.")
            for name, value in list(vars(names).items()) if not name.startswith("_")}


@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_shown_as_python(name, known=known_to_python()):
    """The arguments of the case, when they are read again: but for what has no literal."""
    one = exercise_called(name)
    for number, case in enumerate(one.cases()):
        shown = re.sub("<minirl.*?_Luck object at .*?>", "luck", cutting.call_of(one, number))
        shown = shown.replace("<lambda>", "nameless")
        *lines, call = shown.split("\n")
        local = {getattr(x, "__name__", "").replace("<lambda>", "nameless"): x
                 for x in case.arguments}
        names = {**known, **local, "csr_array": csr_array, "TabularMDP": dict,
                 **{name: getattr(np, name) for name in ("int32", "float64", "inf")},
                 "array": lambda rows, dtype=None, shape=None: np.array(rows, dtype).reshape(
                     shape or np.shape(rows)),
                 "luck": _Luck.__new__(_Luck),
                 one.function.__name__: lambda *arguments, **keywords: (arguments, keywords)}
        exec("\n".join(lines), names)
        arguments, keywords = eval(call, names)
        assert alike(arguments, case.arguments) and list(keywords) == list(case.keywords)
        assert alike([*keywords.values()], [*case.keywords.values()])


def test_the_page_on_a_loss_of_your_own_runs():
    page, names = (ROOT / "docs" / "own_loss.md").read_text(encoding="utf-8"), {}
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.S | re.M)
    assert len(blocks) == 9
    for number, block in enumerate(blocks, start=1):
        if ">>>" not in block:
            exec(block, names)
            continue
        example = doctest.DocTestParser().get_doctest(block, names, f"block {number}", None, 0)
        found = doctest.DocTestRunner(verbose=False).run(example, out=print, clear_globs=False)
        assert found.failed == 0
        names = example.globs
