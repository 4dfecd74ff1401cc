"""Bad input is refused by a ValueError that names the argument, the value and what is accepted."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from refusals import row, same, whole
from scipy import sparse

from minirl.kernel import checks
from minirl.kernel.mdp import coin_game

FOLDER = Path(__file__).parent / "refusals"
PARTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
TABLE = [pytest.param(rows, id=f"{part}.{module}") for part in PARTS
         for module, rows in importlib.import_module(f"refusals.{part}").ROWS.items()]


@pytest.mark.parametrize("rows", TABLE)
def test_every_row_is_refused_in_its_words(rows):
    assert [problem for row in rows if (problem := row())] == []


def test_the_rows_of_a_part_are_those_of_its_modules():
    for part in PARTS:
        inside = re.match("toy_lm|gridworld|", part)[0] or f"minirl.{part.partition('_')[0]}"
        for module in importlib.import_module(f"refusals.{part}").ROWS:
            importlib.import_module(f"{inside}.{module}")


def test_a_number_alone_is_shown_once():
    with pytest.raises(ValueError, match=r"^x must be finite, got inf$"):
        checks.finite("x", np.inf)


# That the table can fail.


def test_a_row_that_is_not_refused_or_in_other_words_is_a_problem():
    assert row(lambda: checks.positive("beta", 1), "beta")().endswith("is not refused")
    refused = lambda: checks.positive("beta", -1)  # noqa: E731
    assert row(refused, "beta", "-1", "positive")() is None
    assert row(refused, "beta", "-2")().endswith("['-2'] is not in 'beta must be positive and "
                                                 "finite, got -1'")
    assert "by TypeError" in row(lambda: len(1), "beta")()
    assert "by ValueError" in row(refused, "beta", kind=KeyError)()


def test_a_number_that_is_not_checked_is_a_problem():
    good = whole("n", lambda n: checks.whole("n", n), 3)
    assert {problem() for problem in good} == {None}
    for call in (lambda n: n, lambda n: checks.whole("m", n), lambda n: checks.whole("n", n, 0),
                 lambda n: type(n) if checks.whole("n", n) else None):
        assert any(problem() for problem in whole("n", call, 3))


def test_what_differs_in_one_place_is_not_the_same():
    def result(number=1.0, dtype=float):
        return (coin_game(), {"a": [np.array([number, np.nan], dtype)]},
                sparse.csr_array([[number]]), np.nan, "word", None)

    assert same(result(), result())
    for other in (result(2.0), result(dtype=np.float32), result()[:-1], (
            coin_game(gamma=0.5), *result()[1:]), (*result()[:-1], 1), (
            *result()[:3], 2.0, "word", None)):
        assert not same(result(), other)
