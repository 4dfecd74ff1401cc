"""Preference data: the rater's law on given strings, and what the pairs are made of."""

from collections import Counter
from itertools import product
from math import exp, sqrt

from luck import FALSE_ALARM
import numpy as np
import pytest
from scipy.special import chdtrc

from minirl.kernel import counts
from toy_lm import preferences
from toy_lm.corpora import unicode_words
from toy_lm.jsonl import Labelled, Pair
from toy_lm.ngram import decoding, widen
from toy_lm.preferences import (Preferences, as_text, from_text, improve, respond, sample_pairs,
                                unpaired)
from toy_lm.rewards import easy_to_say, of_strings
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
    return sum(REWARDS[step] for step in zip([0] + symbols, symbols + [0]))


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


@pytest.mark.statistical
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


def test_the_default_temperature_is_one_and_the_default_prompt_is_empty(monkeypatch):
    for own, told in ((respond(LOGITS, 3, rng=2), respond(LOGITS, 3, rng=2, prompts=[0])),
                      (sample_pairs(LOGITS, REWARDS, 3, rng=2).chosen,
                       sample_pairs(LOGITS, REWARDS, 3, rng=2, prompts=[0]).chosen)):
        assert own.index.tolist() == told.index.tolist()
    assert (rated(monkeypatch, GIVEN * 50, rng=2)
            == rated(monkeypatch, GIVEN * 50, rng=2, temperature=1.0))


def test_a_seed_draws_the_same_pairs_and_a_generator_goes_on():
    rng = np.random.default_rng(9)
    first, second = (texts_of(sample_pairs(LOGITS, REWARDS, 30, rng=rng)) for _ in range(2))
    assert first == texts_of(sample_pairs(LOGITS, REWARDS, 30, rng=9)) != second


# Responses.


def test_the_responses_to_a_prompt_are_neighbours_and_follow_it():
    steps = respond(widen(LOGITS, 3), 3, rng=0, prompts=[2, 15, 7, 2], temperatures=[1.0, 2.0])
    assert (steps.index[steps.starts[:-1]] // 4).tolist() == np.repeat([2, 15, 7, 2], 3).tolist()


def decoded(logits, *, temperature):
    """A table that always writes the letter of its temperature, and ends."""
    table = np.full((4, 4), -800.0)
    table[0, int(temperature)] = table[1:, 0] = 0.0
    return table


@pytest.mark.parametrize("K, temperatures, expected", [
    (3, [1, 2, 3], "abc"), (2, [3, 1], "ca"), (5, [1, 2], "ababa"), (4, [1], "aaaa"),
    (1, [3], "c")])
def test_the_responses_to_each_prompt_take_the_temperatures_in_turn(monkeypatch, K, temperatures,
                                                                    expected):
    monkeypatch.setattr(preferences, "decoding", decoded)
    steps = respond(LOGITS, K, rng=0, prompts=[0] * 4, temperatures=temperatures)
    assert WORDS.decode(steps) == list(expected) * 4


@pytest.mark.statistical
@pytest.mark.parametrize("temperatures", [(1.0,), (0.5, 2.0), (0.7, 1.0, 3.0)])
def test_each_response_follows_the_table_of_its_own_temperature(temperatures):
    """By chi-square, row by row, with prompts."""
    steps = respond(LOGITS, 6, rng=1, prompts=[0, 2] * 1000, temperatures=temperatures)
    assert steps.starts.size - 1 == 12_000
    for i, temperature in enumerate(temperatures):
        rows = np.flatnonzero(np.arange(12_000) % 6 % len(temperatures) == i)
        table = counts.table(counts.select(steps, rows))
        expected = table.sum(axis=1, keepdims=True) * np.exp(decoding(LOGITS,
                                                                      temperature=temperature))
        assert expected.min() > 5
        statistic = ((table - expected) ** 2 / expected).sum()
        assert chdtrc(12, statistic) > FALSE_ALARM


def test_without_temperatures_responses_are_those_of_the_model():
    tables = [counts.table(respond(LOGITS, 2, rng=3, prompts=[0] * 50, **temperatures))
              for temperatures in ({}, {"temperatures": [1.0]}, {"temperatures": [2.0]})]
    assert (tables[0] == tables[1]).all() and (tables[0] != tables[2]).any()


def test_pairs_of_several_prompts_belong_together(monkeypatch):
    """So many of each prompt, in turn; one response of each at each temperature."""
    monkeypatch.setattr(preferences, "decoding", decoded)
    rewards = np.zeros((4, 4))
    rewards[:, 3] = 9e9  # c is better than a
    data = sample_pairs(LOGITS, rewards, 4, rng=0, prompts=[0, 0, 0], temperatures=[1, 3])
    assert texts_of(data) == [("c", "a")] * 12
    alone = sample_pairs(LOGITS, rewards, 2, rng=0, prompts=[2, 1])
    states = alone.chosen.index[alone.chosen.starts[:-1]] // 4
    assert states.tolist() == [2, 2, 1, 1]


def test_the_rater_counts_the_step_from_the_prompt_and_not_the_prompt():
    """(preferences.1): the pair (b, c) is worth all, whichever response begins with c wins."""
    rewards = np.zeros((4, 4))
    rewards[2, 3] = 1e9
    data = sample_pairs(LOGITS, rewards, 500, rng=3, prompts=[2])
    for chosen, rejected in texts_of(data):
        value = [("b" + text).count("bc") for text in (chosen, rejected)]
        assert value[0] >= value[1]
    assert any(not rejected.startswith("c") and chosen.startswith("c")
               for chosen, rejected in texts_of(data))


# Noise and ties.


@pytest.mark.statistical
def test_ties_are_left_out_and_counted(monkeypatch):
    """(preferences.1) for the others: z-tests on given pairs, at 1e-6 for all together."""
    strings = WORDS.encode([text for pair in GIVEN * DRAWS for text in pair])
    monkeypatch.setattr(preferences, "sample", lambda *args, **options: strings)
    some = sample_pairs(LOGITS, REWARDS, len(GIVEN) * DRAWS, rng=5, ties=1.5)
    found = Counter(texts_of(some))
    assert some.ties == len(GIVEN) * DRAWS - len(texts_of(some)) and type(some.ties) is int
    for first, second in GIVEN:
        if first != second and (second, first) not in GIVEN:
            better, decided = found[first, second], found[first, second] + found[second, first]
            d = reward_of(first) - reward_of(second)
            chance, kept = 1 / (1 + exp(-d)), 1 - 1.5 / (exp(d / 2) + exp(-d / 2) + 1.5)
            assert abs(better - decided * chance) < 5.6 * sqrt(decided * chance * (1 - chance))
            assert abs(decided - DRAWS * kept) < 5.6 * sqrt(DRAWS * kept * (1 - kept))


def test_the_pairs_that_are_left_are_those_that_were_decided(monkeypatch):
    """An answer for each pair, by hand."""
    pairs = [("a", "b"), ("c", "aa"), ("bb", "cc"), ("ab", "ba"), ("", "abc")]
    monkeypatch.setattr(preferences, "choose", lambda *args, **options: np.array([0, -1, 1, 0, -1]))
    assert rated(monkeypatch, pairs, rng=0) == [("aa", "c"), ("bb", "cc"), ("abc", "")]


def test_a_rater_who_never_decides_leaves_nothing_and_without_ties_none_is_counted():
    data = sample_pairs(LOGITS, REWARDS, 20, rng=0, ties=1e300)
    assert data.ties == 20 and texts_of(data) == [] and data.identical == 0
    assert sample_pairs(LOGITS, REWARDS, 20, rng=0).ties == 0
    assert Preferences(WORDS.encode(["a"]), WORDS.encode(["b"])).ties == 0


def test_noise_turns_answers_round(monkeypatch):
    plain = rated(monkeypatch, GIVEN * 50, rng=6, temperature=1e-9)
    turned = rated(monkeypatch, GIVEN * 50, rng=6, temperature=1e-9, noise=1.0)
    for (chosen, rejected), other in zip(plain, turned):
        if reward_of(chosen) != reward_of(rejected):
            assert other == (rejected, chosen)


# Text.


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("prompt", ["", "b", "cab"])
def test_pairs_survive_being_text(order, prompt):
    data = sample_pairs(widen(LOGITS, order), widen(REWARDS, order), 200, rng=7, ties=0.5,
                        prompts=[WORDS.state(prompt, order=order)])
    pairs = as_text(WORDS, data, prompt)
    assert {pair.prompt for pair in pairs} == {prompt}
    assert [pair[1:] for pair in pairs] == texts_of(data)
    back = from_text(WORDS, pairs, order=order)
    for found, expected in ((back.chosen, data.chosen), (back.rejected, data.rejected)):
        assert found.index.tolist() == expected.index.tolist()
        assert found.starts.tolist() == expected.starts.tolist() and found.shape == expected.shape


def test_text_with_different_prompts_keeps_each_with_its_pair():
    pairs = [Pair("ab", "c", ""), Pair("", "ba", "a"), Pair("c", "", "ab")]
    data = from_text(WORDS, pairs, order=3)
    assert texts_of(data) == [pair[1:] for pair in pairs]
    for steps in (data.chosen, data.rejected):
        states = steps.index[steps.starts[:-1]] // 4
        assert states.tolist() == [WORDS.state(pair.prompt, order=3) for pair in pairs]
    assert from_text(WORDS, []).identical == 0


def test_pairs_taken_apart_are_liked_and_not_liked():
    assert unpaired([Pair("a", "b", "c"), Pair("", "", "ab")]) == [
        Labelled("a", "b", True), Labelled("a", "c", False), Labelled("", "", True),
        Labelled("", "ab", False)]
    assert unpaired([]) == []


# Edits.


def test_an_edit_is_the_best_of_all_changes_of_one_letter():
    """By brute force over real words; the first of the best, and never worse."""
    words = unicode_words()
    vocabulary = from_items(words)
    reward_table, changed = easy_to_say(vocabulary), 0

    def value(text):
        symbols = [0] + [vocabulary.letters.index(letter) + 1 for letter in text]
        return round(sum(reward_table[step] for step in zip(symbols, symbols[1:] + [0])), 9)

    for word in words[::200]:
        best, most = word, value(word)
        for i, letter in product(range(len(word)), vocabulary.letters):
            other = word[:i] + letter + word[i + 1:]
            if value(other) > most:
                best, most = other, value(other)
        found = improve(word, lambda texts: [value(text) for text in texts], vocabulary.letters)
        assert found == best
        assert sum(p != q for p, q in zip(word, best)) == (best != word)
        changed += best != word
    assert changed > 3


def test_rounding_is_no_improvement():
    """The edit "allianae" is worth the same, though its sum comes out larger by 2e-16."""
    vocabulary = from_items(["abcdefghijklmnopqrstuvwxyz"])
    reward = of_strings(vocabulary, easy_to_say(vocabulary))
    assert improve("alliance", reward, vocabulary.letters) == "alliance"


def test_a_huge_reward_elsewhere_hides_no_improvement():
    """The rounding of a gain is that of its own two values."""
    for huge in -1e12, -1e300:
        value = {"a": 0.5, "b": 0.501, "c": huge}
        assert improve("a", lambda texts: [value[text] for text in texts], "abc") == "b"
        assert improve("b", lambda texts: [value[text] for text in texts], "abc") == "b"
    assert improve("a", lambda texts: [{"a": 7.0, "b": 7.0 + 1e-12}[text] for text in texts],
                   "b") == "a"


def test_an_edit_changes_only_to_the_letters_given_and_not_where_nothing_is_better():
    def rounds(texts):
        return [text.count("o") - text.count("x") for text in texts]

    assert improve("hat", rounds, "xa") == "hat" and improve("hat", rounds, "xo") == "oat"
    assert improve("ooo", rounds, "ox") == "ooo" and improve("", rounds, "o") == ""
    assert improve("hx", rounds, "o") == "ho" and improve("hat", rounds, "") == "hat"


def test_a_pair_with_a_string_that_was_cut_is_left_out_and_counted(monkeypatch):
    strings = WORDS.encode(["a", "b", "ab", "ba", "c", "cc"])
    cut = counts.Steps(np.delete(strings.index, strings.starts[4] - 1), np.append(
        strings.starts[:4], strings.starts[4:] - 1), strings.shape)  # "ba" loses its end
    monkeypatch.setattr(preferences, "sample", lambda *args, **names: cut)
    data = sample_pairs(LOGITS, REWARDS, 3, rng=0)
    assert (data.cut, data.ties, type(data.cut)) == (1, 0, int)
    assert [set(pair) for pair in texts_of(data)] == [{"a", "b"}, {"c", "cc"}]
    assert sample_pairs(LOGITS, REWARDS, 3, rng=0, ties=1e12).ties == 2
