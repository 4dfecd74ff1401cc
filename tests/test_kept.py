"""What pages, commands and readers' notes quote changes only on purpose: `kept.py` says how."""

import json
from pathlib import Path

import kept
import pytest

from minirl.exercises import EXERCISES

KEPT = json.loads((Path(__file__).parent / "kept.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("one", EXERCISES, ids=lambda one: one.name)
def test_the_cases_of_an_exercise_give_what_they_gave(one):
    for (size, said), (kept_size, kept_said) in zip(
            kept.of_exercise(one), KEPT["exercises"][one.name], strict=True):
        assert size == pytest.approx(kept_size, rel=1e-7, abs=1e-9) and said == kept_said


@pytest.mark.parametrize("name", kept.modules_of_laboratory())
def test_an_experiment_has_the_settings_that_it_had(name):
    assert json.loads(json.dumps(kept.of_module(name))) == KEPT["laboratory"][name]
