"""Preference data: the rater's law on given strings, and what the pairs are made of."""

from collections import Counter
from math import exp, sqrt
import re

import numpy as np
import pytest

from minirl import counts
from toy_lm import preferences
from toy_lm.preferences import Preferences, sample_pairs
from toy_lm.vocabulary import from_items

WORDS = from_items(["abc"])
LOGITS = np.array([[-1.0, 0.3, 0.9, -0.2], [0.4, -0.6, 0.8, 0.1], [0.2, 1.1, -1.2, 0.5],
                   [-0.3, 0.7, 0.0, -0.9]])
REWARDS = np.array([[-1.0, 1.0, 0.0, 2.0], [0.0, -1.0, 1.0, 1.0], [2.0, 0.0, -1.0, 1.0],
                    [0.0, 1.0, 1.0, -2.0]])  # whole numbers, so that their sums are exact
GIVEN = [("", "a"), ("a", ""), ("abc", "cc"), ("b", "ba"), ("ca", "c"), ("a", "c"), ("bb", "bb"),
         ("cab", "cc")]
DRAWS = 4000


def reward_of(text):
    symbols = ["abc".index(letter) + 1 for letter in text]
    return sum(REWARDS[pair] for pair in zip([0] + symbols, symbols + [0]))


def texts_of(data):
    """(chosen, rejected) of each pair."""
    return list(zip(WORDS.decode(data.chosen), WORDS.decode(data.rejected)))


def rated(monkeypatch, pairs, **options):
    """The rater's (chosen, rejected) when the model writes exactly these pairs."""
    strings = WORDS.encode([text for pair in pairs for text in pair])

    def write(logits, number, *, rng, prompt):
        assert number == 2 * len(pairs) and rng is not None
        return strings

    monkeypatch.setattr(preferences, "sample", write)
    return texts_of(sample_pairs(LOGITS, REWARDS, len(pairs), **options))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 4.0])
def test_the_rater_prefers_the_first_string_as_often_as_the_law_says(monkeypatch, temperature):
    """(preferences.1), on given pairs; z-tests, at 1e-6 for all of them together."""
    data = rated(monkeypatch, GIVEN * DRAWS, rng=1, temperature=temperature)
    found = Counter(zip(GIVEN * DRAWS, data))
    for first, second in GIVEN:
        if first == second:
            continue
        times = found[(first, second), (first, second)]
        chance = 1 / (1 + exp(-(reward_of(first) - reward_of(second)) / temperature))
        assert abs(times - DRAWS * chance) < 5.6 * sqrt(DRAWS * chance * (1 - chance))


def test_the_default_temperature_is_one(monkeypatch):
    assert (rated(monkeypatch, GIVEN * 50, rng=2)
            == rated(monkeypatch, GIVEN * 50, rng=2, temperature=1.0))


def test_only_the_reward_divided_by_the_temperature_counts():
    """(preferences.1): four times the reward at four times the temperature is the same rater."""
    hot = sample_pairs(LOGITS, 4 * REWARDS, 500, rng=3, temperature=4.0)
    assert texts_of(hot) == texts_of(sample_pairs(LOGITS, REWARDS, 500, rng=3))


@pytest.mark.parametrize("temperature", [1e-3, 1e-9])
def test_a_rater_of_temperature_near_zero_never_prefers_the_worse_string(temperature):
    data = texts_of(sample_pairs(LOGITS, REWARDS, 2000, rng=4, temperature=temperature))
    gaps = [reward_of(chosen) - reward_of(rejected) for chosen, rejected in data]
    assert min(gaps) == 0 and max(gaps) > 0


def test_a_hot_rater_prefers_either_string_half_the_time():
    data = texts_of(sample_pairs(LOGITS, REWARDS, 4000, rng=5, temperature=1e9))
    gaps = [reward_of(chosen) - reward_of(rejected) for chosen, rejected in data]
    better, worse = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    assert abs(better - worse) < 5 * sqrt(better + worse)


def test_chosen_and_rejected_are_the_two_strings_of_a_pair(monkeypatch):
    pairs = [("a" * i, "b" * (i % 7) + "c") for i in range(60)]
    data = rated(monkeypatch, pairs, rng=6)
    assert [set(pair) for pair in data] == [set(pair) for pair in pairs]
    assert 0 < sum(found == pair for found, pair in zip(data, pairs)) < 60


def test_the_strings_come_from_the_model():
    """Both strings of all pairs together take each pair of symbols as often as the table says."""
    data = sample_pairs(LOGITS, REWARDS, 5000, rng=7)
    table = counts.table(data.chosen) + counts.table(data.rejected)
    assert data.chosen.starts.size == data.rejected.starts.size == 5001
    visits, chance = table.sum(axis=1, keepdims=True), np.exp(LOGITS)
    chance /= chance.sum(axis=1, keepdims=True)
    z = (table - visits * chance) / np.sqrt(visits * chance * (1 - chance))
    assert np.abs(z).max() < 5.5


def test_identical_pairs_are_counted_as_strings():
    data = sample_pairs(LOGITS, REWARDS, 3000, rng=8)
    texts = texts_of(data)
    alike = sum(chosen == rejected for chosen, rejected in texts)
    as_long = sum(len(chosen) == len(rejected) for chosen, rejected in texts)
    assert 0 < alike < as_long and data.identical == alike
    assert type(data.identical) is int


@pytest.mark.parametrize("chosen, rejected, identical", [
    (["ab", "", "c"], ["ab", "", "c"], 3),
    (["ab", "", "c"], ["ba", "a", "b"], 0),
    (["abc", "abc", "abc", ""], ["abb", "acc", "bbc", ""], 1),
    (["a", "b"], ["b", "a"], 0),
    ([], [], 0),
])
def test_two_strings_are_identical_if_every_letter_is(chosen, rejected, identical):
    assert Preferences(WORDS.encode(chosen), WORDS.encode(rejected)).identical == identical


def test_a_seed_draws_the_same_pairs_and_a_generator_goes_on():
    rng = np.random.default_rng(9)
    first, second = (texts_of(sample_pairs(LOGITS, REWARDS, 30, rng=rng)) for _ in range(2))
    assert first == texts_of(sample_pairs(LOGITS, REWARDS, 30, rng=9)) != second


@pytest.mark.parametrize("pairs, options, message", [
    (0, {}, "pairs must be at least 1, got 0"),
    (-1, {}, "pairs must be at least 1, got -1"),
    (1, {"temperature": 0.0}, "temperature must be positive, got 0.0"),
    (1, {"temperature": -1.0}, "temperature must be positive, got -1.0"),
    (1, {"temperature": np.nan}, "temperature must be positive, got nan"),
])
def test_numbers_that_are_not_positive_are_refused(pairs, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sample_pairs(LOGITS, REWARDS, pairs, rng=0, **options)


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=re.escape("the shape of logits, (4, 4), got (3, 4)")):
        sample_pairs(LOGITS, REWARDS[:3], 1, rng=0)
    with pytest.raises(ValueError, match="states, got"):
        sample_pairs(LOGITS[:3], REWARDS[:3], 1, rng=0)
