"""The reward "easier to say", against a loop over strings, and the optimum it makes."""

from itertools import product

import numpy as np
import pytest

from minirl import counts
from minirl.lab.main_job import fit_corpus
from minirl.evaluation import expectation
from minirl.regularised import critical_beta, log_partition, regularised_optimum, tilt
from toy_lm.ngram import language
from toy_lm.corpora import unicode_words
from toy_lm.rewards import LETTER, easy_to_say
from toy_lm.vocabulary import from_items


@pytest.fixture(scope="module")
def default():
    """The world of the default corpus, and its reference model."""
    vocabulary, reference, _ = fit_corpus(unicode_words())
    return language(easy_to_say(vocabulary)), reference


def reward_by_loops(text, letter):
    like = 0
    for last, following in zip(text, text[1:]):
        like += (last in "aeiou") == (following in "aeiou")
    return -like + letter * len(text)


def rewards_of(texts, vocabulary, **options):
    return counts.matrix(vocabulary.encode(texts)) @ easy_to_say(vocabulary, **options).ravel()


def test_the_reward_of_a_string_counts_its_like_pairs_and_its_letters():
    """(rewards.1), for every string of up to four letters."""
    texts = ["".join(some) for n in range(5) for some in product("aeub", repeat=n)]
    texts += ["".join(some) for n in range(4) for some in product("ioZ9y", repeat=n)]
    found = rewards_of(texts, from_items(texts), letter=0.25)
    for value, text in zip(found, texts):
        assert value == pytest.approx(reward_by_loops(text, 0.25), abs=1e-12)


@pytest.mark.parametrize("text, reward", [
    ("", 0.0), ("a", 0.5), ("b", 0.5), ("ab", 1.0), ("ba", 1.0), ("bb", 0.0), ("ae", 0.0),
    ("banana", 3.0), ("strengths", 4.5 - 6), ("queue", 2.5 - 3), ("yes", 1.5)])
def test_rewards_by_hand(text, reward):
    """(rewards.1), with half a point for each letter."""
    vocabulary = from_items([text, "aeb"])
    assert rewards_of([text], vocabulary, letter=0.5)[0] == pytest.approx(reward, abs=1e-12)


def test_every_symbol_that_is_not_a_small_plain_vowel_is_a_consonant():
    vowels, others = "aeiou", "AEIOU" "y" "019" "-' " "\u00e9\u00df\0\U0001d538"
    vocabulary = from_items([vowels + others])
    table = easy_to_say(vocabulary, letter=0.0)
    for s, last in enumerate(vocabulary.letters, start=1):
        for a, following in enumerate(vocabulary.letters, start=1):
            assert table[s, a] == (-1.0 if (last in others) == (following in others) else 0.0)


def test_the_end_earns_nothing_and_the_first_letter_only_its_bonus():
    table = easy_to_say(from_items(["aeb"]))
    assert table[:, 0].tolist() == [0.0] * 4 and table[0, 1:].tolist() == [LETTER] * 3


def test_the_default_bonus_is_0_139_and_about_keeps_the_length_of_the_words(default):
    world, reference = default
    best = regularised_optimum(world, reference, beta=0.5)
    policy = np.exp(tilt(reference, best.action_values, beta=0.5))
    letters = np.array([[0.0] + [1.0] * 26] * 27)
    assert LETTER == 0.139
    assert abs(expectation(world, policy, letters) - 14521 / 2465) < 0.25


def test_no_optimum_exists_below_beta_0_27757_on_the_default_corpus(default):
    world, reference = default
    assert round(critical_beta(world, reference), 5) == 0.27757
    regularised_optimum(world, reference, beta=0.27758)
    with pytest.raises(ValueError, match="no optimum exists at beta = 0.27756.* 0.27757"):
        regularised_optimum(world, reference, beta=0.27756)


def test_two_ways_to_the_optimum_of_the_default_corpus_agree(default):
    """Soft policy iteration and the linear solve of Z."""
    world, reference = default
    J = regularised_optimum(world, reference, beta=0.5).objective
    assert J == pytest.approx(log_partition(world, reference, beta=0.5)[0], abs=1e-10)
