"""Rewards of letters and their neighbours: against loops over strings, and the optima they make."""

from itertools import product

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.lab.running_example import bigram_of
from minirl.exact.evaluation import expectation
from minirl.people.regularised import critical_beta, log_partition, regularised_optimum, tilt
from toy_lm import rewards
from toy_lm.ngram import language
from toy_lm.rewards import LETTER, easy_to_say, is_vowel, of_strings
from toy_lm.vocabulary import from_items


VOWELS = set("aeiou")
BY_LOOPS = {
    "alternating": lambda y: sum((p in VOWELS) != (q in VOWELS) for p, q in zip(y, y[1:])),
    "ends_in_vowel": lambda y: int(y != "" and y[-1] in VOWELS),
    "no_doubles": lambda y: -sum(p == q for p, q in zip(y, y[1:])),
    "short": lambda y: -len(y)}


@pytest.fixture(scope="module")
def default():
    """The world of the default corpus, and its reference model."""
    reference = bigram_of()
    return language(easy_to_say(reference.vocabulary)), reference.logits


def reward_by_loops(text, letter):
    like = 0
    for last, following in zip(text, text[1:]):
        like += (last in "aeiou") == (following in "aeiou")
    return -like + letter * len(text)


def rewards_of(texts, vocabulary, **options):
    return counts.matrix(vocabulary.encode(texts)) @ easy_to_say(vocabulary, **options).ravel()


def test_the_reward_of_a_string_counts_its_like_neighbours_and_its_letters():
    """(rewards.1), for every string of up to four letters."""
    texts = ["".join(some) for n in range(5) for some in product("aeub", repeat=n)]
    texts += ["".join(some) for n in range(4) for some in product("ioZ9y", repeat=n)]
    found = rewards_of(texts, from_items(texts), letter=0.25)
    for value, text in zip(found, texts):
        assert value == pytest.approx(reward_by_loops(text, 0.25), abs=1e-12)


@pytest.mark.parametrize("name", BY_LOOPS)
def test_the_other_rewards_of_a_string_are_what_a_loop_counts(name):
    """(rewards.2), (rewards.3), (rewards.4) and (rewards.5), for every string of up to four
    letters."""
    texts = ["".join(some) for n in range(5) for some in product("aeubk", repeat=n)]
    vocabulary = from_items(texts)
    found = of_strings(vocabulary, getattr(rewards, name)(vocabulary))(texts)
    assert found.tolist() == [BY_LOOPS[name](text) for text in texts]
    assert found.min() < found.max()


def test_a_string_has_its_letters_at_every_order():
    words = from_items(["abe"])
    for order in (1, 2, 3):
        table = rewards.letters(words.shape(order))
        assert of_strings(words, table)(["", "a", "beb"]).tolist() == [0, 1, 3]


def test_the_reward_of_strings_is_that_of_any_table_and_of_no_string_is_nothing():
    vocabulary = from_items(["abc"])
    table, texts = np.arange(16.0).reshape(4, 4)**2, ["", "ab", "cab", "bb"]
    expected = [0, 1 + 6**2 + 8**2, 3**2 + 13**2 + 6**2 + 8**2, 2**2 + 10**2 + 8**2]
    reward = of_strings(vocabulary, table)
    assert reward(texts).tolist() == expected and reward([]).tolist() == []


def test_vowels_are_marked_in_the_order_of_the_letters():
    assert is_vowel(from_items(["kuei", "b"])).tolist() == [False, True, True, False, True]


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
    assert round(expectation(world, policy, letters), 1) == 6.1 and round(14521 / 2465, 1) == 5.9


def test_no_optimum_exists_below_beta_0_27757_on_the_default_corpus(default):
    world, reference = default
    assert round(critical_beta(world, reference), 5) == 0.27757
    regularised_optimum(world, reference, beta=0.27758)
    with pytest.raises(ValueError, match=r"no optimum exists at beta = 0.27756.* 0.27757"):
        regularised_optimum(world, reference, beta=0.27756)


@pytest.mark.parametrize("name, beta", [("easy_to_say", 0.3), ("alternating", 4.0),
                                        ("ends_in_vowel", 0.01), ("no_doubles", 0.01),
                                        ("short", 0.01)])
def test_every_reward_has_an_optimum_on_the_default_corpus(default, name, beta):
    """By two ways; two may earn without end, and need a beta above 0.28 and 3.97."""
    vocabulary = from_items(["abcdefghijklmnopqrstuvwxyz"])
    world, reference = language(getattr(rewards, name)(vocabulary)), default[1]
    best = regularised_optimum(world, reference, beta=beta)
    assert best.objective == pytest.approx(log_partition(world, reference, beta=beta)[0], rel=1e-10)
    limit = {"easy_to_say": 0.28, "alternating": 3.97}.get(name, 0)
    assert round(critical_beta(world, reference), 2) == limit
    start = expectation(world, np.exp(reference), world.mean_reward)
    assert expectation(world, best.policy, world.mean_reward) > start
