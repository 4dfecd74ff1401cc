"""What pages, commands and readers' notes quote changes only on purpose: `kept.py` says how."""

import json
from pathlib import Path

import kept
import pytest

from minirl.exercises import EXERCISES

KEPT = json.loads((Path(__file__).parent / "kept.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("one", EXERCISES, ids=lambda one: one.name)
def test_the_cases_of_an_exercise_give_what_they_gave(one):
    """The numbers in sentences are rounded: in their sum, the last digits of some may differ."""
    for (size, said, numbers, words), (kept_size, kept_said, kept_numbers, kept_words) in zip(
            kept.of_exercise(one), KEPT["exercises"][one.name], strict=True):
        assert size == pytest.approx(kept_size, rel=1e-7, abs=1e-9) and said == kept_said
        assert numbers == pytest.approx(kept_numbers, abs=0.005) and words == kept_words


@pytest.mark.parametrize("one", EXERCISES, ids=lambda one: one.name)
def test_an_exercise_has_the_chapter_the_factors_and_the_pitfalls_that_it_had(one):
    facts, kept_facts = kept.facts_of_exercise(one), dict(KEPT["facts"][one.name])
    assert facts.pop("by_hand") == pytest.approx(kept_facts.pop("by_hand"), abs=1e-9)
    assert facts.pop("factors") == [pytest.approx(factors)
                                    for factors in kept_facts.pop("factors")]
    assert facts == kept_facts


@pytest.mark.parametrize("name", kept.modules_of_laboratory())
def test_an_experiment_has_the_settings_that_it_had(name):
    assert json.loads(json.dumps(kept.of_module(name))) == KEPT["laboratory"][name]
