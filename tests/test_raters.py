"""Raters: the laws of their answers, and what scores, rankings and pairs say of each other."""

import re
from itertools import combinations, permutations, product
from math import exp, prod

import numpy as np
import pytest
from languages import running_example
from luck import FALSE_ALARM
from scipy.special import chdtrc

from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from toy_lm.preferences import sample_pairs
from toy_lm.raters import (FIRST, SECOND, TIE, choose, compare, judgement, pairs_of_ranking,
                           pairs_of_scores, rank, ranking_from_pairs, ranking_of_scores,
                           undecided)
from toy_lm.vocabulary import Vocabulary

FINE = 20_000
REWARDS = [(0.0, 0.0), (1.0, 0.0), (-0.5, 2.0), (3.0, 2.5), (-4.0, 4.0)]
LAWS = [(1.0, 0.0, 0.0), (0.7, 0.2, 0.4), (3.0, 1.0, 5.0), (3.0, 0.2, 0.0), (0.7, 0.0, 5.0)]


class Grid(np.random.Generator):
    """A generator whose n numbers lie evenly in [0, 1): shares are then exact up to 1/n."""

    def random(self, n):
        return (np.arange(n) + 0.5) / n


def shares(first, second, **options):
    """The shares of FIRST, TIE and SECOND for two rewards, within 1/FINE."""
    answers = choose(np.tile([[first, second]], (FINE, 1)), rng=Grid(np.random.PCG64(0)), **options)
    return [(answers == answer).mean() for answer in (FIRST, TIE, SECOND)]


def sigma(x):
    return 1 / (1 + exp(-x))


def davidson(first, second, temperature, noise, ties):
    """The chances of FIRST, TIE and SECOND, from the equations."""
    d = (first - second) / temperature
    tie = ties / (exp(d / 2) + exp(-d / 2) + ties)
    decided = (1 - noise) * sigma(d) + noise * sigma(-d)
    return [(1 - tie) * decided, tie, (1 - tie) * (1 - decided)]


def plackett_luce(rewards, order, temperature=1.0):
    """(raters.2), by a loop: the best of what is left, again and again."""
    strength = [exp(rewards[k] / temperature) for k in order]
    return prod(strength[k] / sum(strength[k:]) for k in range(len(order)))


# Pairs.


@pytest.mark.parametrize("temperature, noise, ties", LAWS)
def test_the_shares_of_the_answers_are_those_of_the_law(temperature, noise, ties):
    """(raters.1) and (raters.3), without luck."""
    for first, second in REWARDS:
        found = shares(first, second, temperature=temperature, noise=noise, ties=ties)
        expected = davidson(first, second, temperature, noise, ties)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2 / FINE)


@pytest.mark.statistical
@pytest.mark.parametrize("options", [{}, {"temperature": 0.5, "noise": 0.1, "ties": 0.8}])
def test_real_luck_has_the_same_law(options):
    """(raters.1) and (raters.3): z-tests at 1e-6 for all together, on pairs that are mixed."""
    draws = 20_000
    rewards = np.tile(REWARDS, (draws, 1))
    answers = choose(rewards, rng=1, **options).reshape(draws, len(REWARDS))
    for i, (first, second) in enumerate(REWARDS):
        law = davidson(first, second, **{"temperature": 1.0, "noise": 0.0, "ties": 0.0, **options})
        for answer, chance in zip((FIRST, TIE, SECOND), law):
            z = (answers[:, i] == answer).sum() - draws * chance
            assert abs(z) <= 5.6 * (draws * chance * (1 - chance)) ** 0.5


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e300])
@pytest.mark.parametrize("temperature", [1e-9, 1e-300])
def test_a_temperature_near_zero_is_infinitely_sure_and_does_not_overflow(temperature, scale):
    answers = choose(scale * np.array([[1.0, -1.0], [-1.0, 1.0]] * 50), rng=0, ties=1.0,
                     temperature=temperature)
    assert answers.tolist() == [FIRST, SECOND] * 50


def test_the_defaults_are_temperature_one_without_noise_or_ties():
    rewards = np.random.default_rng(3).normal(size=(500, 2))
    assert (choose(rewards, rng=4) == choose(rewards, rng=4, temperature=1.0, noise=0.0,
                                             ties=0.0)).all()
    assert (rank(rewards, rng=4) == rank(rewards, rng=4, temperature=1.0, noise=0.0)).all()
    assert choose(np.zeros((0, 2)), rng=0).shape == (0,)


# Programs.


@pytest.mark.statistical
def test_a_program_prefers_the_larger_score_and_ties_equal_ones():
    """Without luck by default; errors only between different scores, by the law of a person."""
    scores = np.array(list(product((0.0, 1.0, 1.0 + 1e-15, -3e9), repeat=2)))
    expected = np.sign(scores[:, 0] - scores[:, 1]).astype(int)
    for seed in range(5):
        assert compare(scores, rng=seed).tolist() == expected.tolist()
        assert compare(scores, rng=seed, noise=1.0).tolist() == (-expected).tolist()
        assert compare(scores > 0, rng=seed)[0] == TIE
    many = np.tile([[1.0, 0.0], [1.0, 1.0]], (FINE, 1))
    told = compare(many, rng=3, temperature=2.0, noise=0.1, ties=0.5)
    assert (told[1::2] == TIE).all()
    for answer, chance in zip((FIRST, TIE, SECOND), davidson(1.0, 0.0, 2.0, 0.1, 0.5)):
        assert abs((told[::2] == answer).mean() - chance) < 5.6 * (chance / FINE) ** 0.5


def test_two_equal_scores_anywhere_leave_a_ranking_undecided():
    scores = np.array(list(product((0, 1, 2), repeat=3)))
    assert undecided(scores).tolist() == [len(set(row)) < 3 for row in scores.tolist()]
    assert not undecided(np.zeros((2, 1))).any() and undecided(scores % 2 == 1).all()


# Rankings.


@pytest.mark.statistical
@pytest.mark.parametrize("temperature, noise", [(1.0, 0.0), (0.5, 0.0), (3.0, 0.0), (1.0, 0.3)])
def test_rankings_are_as_frequent_as_plackett_and_luce_say(temperature, noise):
    """(raters.2): chi-square over all 24 orders of four responses."""
    rewards, draws = (0.3, -0.5, 0.9, 0.0), 50_000
    found = rank(np.tile(rewards, (draws, 1)), rng=5, noise=noise, temperature=temperature)
    seen, statistic = np.bincount(found @ [64, 16, 4, 1], minlength=256), 0.0
    for order in permutations(range(4)):
        chance = ((1 - noise) * plackett_luce(rewards, order, temperature)
                  + noise * plackett_luce(rewards, order[::-1], temperature))
        observed, expected = seen[np.dot(order, [64, 16, 4, 1])], draws * chance
        assert expected > 5
        statistic += (observed - expected) ** 2 / expected
    assert chdtrc(23, statistic) > FALSE_ALARM


def test_noise_turns_a_ranking_round_as_a_whole():
    rewards = np.random.default_rng(6).normal(size=(300, 5))
    plain = rank(rewards, rng=7)
    np.testing.assert_array_equal(rank(rewards, rng=7, noise=1.0), plain[:, ::-1])
    some = rank(rewards, rng=7, noise=0.5)
    turned = (some == plain[:, ::-1]).all(axis=1)
    assert (turned | (some == plain).all(axis=1)).all() and 100 < turned.sum() < 200


@pytest.mark.parametrize("temperature", [1e-9, 1e-300])
def test_a_ranking_at_a_temperature_near_zero_is_that_of_the_scores(temperature):
    rewards = np.random.default_rng(8).normal(size=(200, 6))
    np.testing.assert_array_equal(rank(rewards, rng=9, temperature=temperature),
                                  ranking_of_scores(rewards))


def test_even_the_smallest_temperature_keeps_the_order_of_the_worse_ones():
    """A quotient that overflows is no reason to forget who is better."""
    found = rank(1e10 * np.array([[0.0, -2.0, -1.0]] * 20), rng=0, temperature=1e-300)
    assert found.tolist() == [[0, 2, 1]] * 20


def test_only_rewards_divided_by_the_temperature_count_and_a_constant_does_not():
    """(raters.2)"""
    rewards = np.random.default_rng(10).normal(size=(300, 3))
    plain = rank(rewards, rng=11)
    np.testing.assert_array_equal(rank(4 * rewards, rng=11, temperature=4.0), plain)
    np.testing.assert_array_equal(rank(rewards + 1024.0, rng=11), plain)
    assert (plain != ranking_of_scores(rewards)).any()


# Scores, rankings and pairs.


def test_pairs_of_a_ranking_by_loops():
    rankings = np.array(list(permutations(range(4))))
    expected = [[4 * i + better, 4 * i + worse] for i, order in enumerate(rankings.tolist())
                for better, worse in combinations(order, 2)]
    assert pairs_of_ranking(rankings).tolist() == expected and len(expected) == 24 * 6


def test_pairs_of_scores_by_loops():
    scores = np.array(list(product((0.0, 1.0, 2.5), repeat=3)))
    expected = {(3 * i + j, 3 * i + k) for i, row in enumerate(scores)
                for j, k in permutations(range(3), 2) if row[j] > row[k]}
    found = [tuple(pair) for pair in pairs_of_scores(scores).tolist()]
    assert set(found) == expected and len(found) == len(expected)


def test_equal_scores_stay_as_they_came_and_make_no_pair():
    scores = np.array([[1.0, 2.0, 1.0, 2.0]])
    assert ranking_of_scores(scores).tolist() == [[1, 3, 0, 2]]
    assert pairs_of_scores(np.ones((3, 4))).shape == (0, 2)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.uint64, np.int64])
def test_scores_and_rewards_may_be_answers_or_small_numbers(dtype):
    """Minus a score and a difference of rewards must not wrap around, nor fail for True and False.
    """
    scores = np.array([[1, 0, 1], [0, 0, 1]], dtype)
    assert ranking_of_scores(scores).tolist() == [[0, 2, 1], [2, 0, 1]]
    assert sorted(pairs_of_scores(scores).tolist()) == [[0, 1], [2, 1], [5, 3], [5, 4]]
    assert pairs_of_scores(np.array([[-128, 0]], np.int8)).tolist() == [[1, 0]]
    rewards = np.array([[0, 1], [1, 0]] * 20, dtype)
    assert choose(rewards, rng=0, temperature=1e-3).tolist() == [SECOND, FIRST] * 20
    assert rank(rewards, rng=0, temperature=1e-3).tolist() == [[1, 0], [0, 1]] * 20


@pytest.mark.parametrize("K", [2, 3, 4])
def test_every_ranking_comes_back_from_its_pairs(K):
    """In any order, repeated, and from the neighbours alone."""
    rng = np.random.default_rng(K)
    for order in permutations(range(K)):
        pairs = pairs_of_ranking(np.array([order]))
        mixed = rng.permutation(np.concatenate([pairs, pairs]))
        assert ranking_from_pairs(mixed, K).tolist() == list(order)
        neighbours = np.stack([order[:-1], order[1:]], axis=1)
        assert ranking_from_pairs(rng.permutation(neighbours), K).tolist() == list(order)


def test_pairs_have_a_ranking_if_exactly_one_order_agrees_with_them():
    """All sets of pairs of three responses, against all orders; a circle consists of pairs given,
    and two that are undecided stand either way in some order."""
    every = list(permutations(range(3), 2))
    for chosen in product((False, True), repeat=6):
        pairs = [pair for pair, given in zip(every, chosen) if given]
        agreeing = [order for order in permutations(range(3))
                    if all(order.index(a) < order.index(b) for a, b in pairs)]
        array = np.array(pairs, int).reshape(-1, 2)
        if len(agreeing) == 1:
            assert ranking_from_pairs(array, 3).tolist() == list(agreeing[0])
            continue
        with pytest.raises(ValueError) as error:
            ranking_from_pairs(array, 3)
        if not agreeing:
            circle = re.search("no ranking agrees with the pairs: they run in a circle, (.*)$",
                               str(error.value))[1].split(" > ")
            assert circle[0] == circle[-1]
            assert all((int(a), int(b)) in pairs for a, b in zip(circle, circle[1:]))
        else:
            a, b = map(int, re.fullmatch("the pairs do not decide between (.) and (.)",
                                         str(error.value)).groups())
            assert len({order.index(a) < order.index(b) for order in agreeing}) == 2


def test_one_response_needs_no_pair_and_none_is_better_than_itself():
    assert ranking_from_pairs(np.zeros((0, 2), int), 1).tolist() == [0]
    with pytest.raises(ValueError, match=r"they run in a circle, 1 > 1$"):
        ranking_from_pairs(np.array([[0, 1], [1, 1]]), 2)


# The model as a judge.


def test_the_judge_gives_the_mean_log_probability_of_a_character():
    """Of a character and not of the string; the end is one."""
    logits = np.random.default_rng(12).normal(size=(4, 4))
    logp, words = log_softmax(logits), Vocabulary("abc")
    texts = ["", "a", "cab", "bbbb"]
    for text, found in zip(texts, judgement(logits, words.encode(texts))):
        symbols = [0] + ["abc".index(letter) + 1 for letter in text] + [0]
        steps = [logp[pair] for pair in zip(symbols, symbols[1:])]
        assert found == pytest.approx(sum(steps) / (len(text) + 1), abs=1e-12)


def test_a_judge_scores_a_completion_after_its_prompt_and_at_any_order():
    logits, words = np.random.default_rng(13).normal(size=(16, 4)), Vocabulary("abc")
    whole = words.encode(["abca"], order=3)
    logp = log_softmax(logits).ravel()[whole.index]
    found = judgement(logits, words.encode(["ca"], order=3, prompts=["ab"]))
    assert found == pytest.approx([logp[2:].mean()], abs=1e-12)


def test_the_judge_agrees_with_58_percent_of_a_persons_choices_and_her_reward_with_72():
    example = running_example()
    data = sample_pairs(example.reference, example.world.mean_reward, 200_000, rng=0)
    ours, theirs = (judgement(example.reference, steps) for steps in (data.chosen, data.rejected))
    assert round(100 * (ours > theirs).mean()) == 58
    chosen, rejected = (counts.matrix(steps) @ example.world.mean_reward.ravel()
                        for steps in (data.chosen, data.rejected))
    ties = np.isclose(chosen, rejected)
    assert round(100 * ((chosen > rejected)[~ties].sum() + ties.sum() / 2) / ties.size) == 72
