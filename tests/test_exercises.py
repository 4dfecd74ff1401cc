"""The exercises: attempts as readers write them, the files, the mistakes, and the command."""

import ast
import doctest
import importlib
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

from minirl.exercises import EXERCISES, cutting, exercise_called, mistake_called, mistakes_by_name
from minirl.exercises.exercise import Mistake, capital, mistaken, right_results, same
from minirl.exercises.grading import grade
from minirl.exercises.mistakes import likely_mistake
from minirl.kernel.counts import Difference
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax
from minirl.people import margins
from minirl.people.dpo import dpo_loss

for room in (ROOT / "tests" / "attempts").glob("[a-z]*.py"):
    importlib.import_module(f"attempts.{room.stem}")

NAMES = [one.name for one in EXERCISES]
MISTAKES = list(mistakes_by_name())


def told(verdict):
    return "\n".join(f"{head}  {text}" for head, text in verdict.lines)


# What is told of attempts.


@pytest.mark.parametrize("name, expected, function", ATTEMPTS,
                         ids=[f"{name}-{function.__name__}" for name, _, function in ATTEMPTS])
def test_an_attempt_is_judged_as_intended(name, expected, function):
    exercise = exercise_called(name)
    says = {mistake.name: mistake.says for mistake in exercise.mistakes}
    verdict = grade(exercise, function, function.__code__.co_filename)
    assert verdict.right == (expected is None), told(verdict)
    if expected is not None:
        text = says.get(expected, expected)
        assert text in told(verdict) or capital(text) in told(verdict), told(verdict)


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


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_has_two_right_attempts_eight_wrong_ones_and_one_at_each_mistake(name):
    expected = [found for exercise, found, _ in ATTEMPTS if exercise == name]
    assert expected.count(None) >= 2
    assert len(expected) - expected.count(None) >= 8
    assert {mistake.name for mistake in exercise_called(name).mistakes} <= set(expected)


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


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_changes_the_results_and_is_told_from_every_other(name):
    exercise, mistake = mistake_called(name)
    right, wrong = right_results(exercise), right_results(exercise, mistake)
    assert any(not same(x, y) for one, other in zip(wrong, right) for x, y in zip(one, other))
    assert [list(map(np.shape, one)) for one in wrong] == [list(map(np.shape, one))
                                                           for one in right]
    assert all(np.isfinite(x).all() for results in wrong for x in results)
    found = [tuple(np.asarray(x, float) for x in results) for results in wrong]
    assert likely_mistake(exercise, found).startswith(capital(mistake.says))
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
    assert len(one.cases()) >= 3 and len(one.hints) >= 3 and one.task.endswith(".") and one.done
    assert all(set(case.factors) == set(one.cases()[0].factors) for case in one.cases())
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


def test_the_solution_of_a_function_without_a_docstring_is_all_of_it():
    def bare(x):
        x = 2 * x
        return x

    assert cutting.solution_of(exercise_called("backward")._replace(
        function=bare, helpers=())) == "def bare(x):\n    x = 2 * x\n    return x"


def alike(x, y):
    """Whether two arguments are of one form, and their arrays the same in what is shown of them."""
    if isinstance(x, (tuple, list)):
        return type(x) is type(y) and len(x) == len(y) and all(map(alike, x, y))
    if isinstance(x, partial):
        return (x.func, x.args, x.keywords) == (y.func, y.args, y.keywords)
    if hasattr(x, "toarray"):
        x, y = x.toarray(), y.toarray()
    return np.allclose(x, y) if isinstance(x, np.ndarray) else x == y


@pytest.mark.parametrize("name", ["gae", "dpo_loop", "value_iteration", "margins"])
def test_a_case_of_nested_values_is_shown_as_python(name):
    """The arguments of the case, when they are read again."""
    one = exercise_called(name)
    for number, case in enumerate(one.cases()):
        *lines, call = cutting.call_of(one, number).split("\n")
        names = {**vars(margins), "array": np.array, "csr_array": csr_array, "partial": partial,
                 "Difference": Difference,
                 one.function.__name__: lambda *arguments, **keywords: (arguments, keywords)}
        exec("\n".join(lines), names)
        arguments, keywords = eval(call, names)
        assert alike(arguments, case.arguments) and keywords == case.keywords


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
