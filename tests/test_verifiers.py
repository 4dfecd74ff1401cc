"""Rules of whole strings: against regular expressions and lists of strings, and what they cost."""

import re
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from languages import all_strings, as_steps

from minirl.kernel import counts
from minirl.kernel.gradcheck import check
from minirl.kernel.mdp import unroll
from minirl.people.fitting import minimise
from minirl.people.regularised import log_partition, regularised_optimum
from minirl.kernel.softmax import log_softmax
from toy_lm import exact, models
from toy_lm.corpora import unicode_words
from toy_lm.ngram import language, score
from toy_lm.verifiers import (gap, is_palindrome, matches, objective_loss, palindrome_counts,
                              pattern_classes, pattern_counts)
from toy_lm.vocabulary import from_items

WORDS = from_items(["abe"])
PATTERNS = ["", ".", "V", "C", "b", "VC", "..", "ab", "V.C", "CVC", "...", "a.e", "bbb", "CVCV"]
# Both end within few letters: of the first, strings of 12 letters and more have a probability of
# 1e-12; of the second, those of 8 and more have 1e-8.
TWO = np.log([[0.9, 0.06, 0.04], [0.9, 0.03, 0.07], [0.9, 0.02, 0.08]])
THREE = np.log([[0.9, 0.05, 0.02, 0.03], [0.9, 0.01, 0.04, 0.05], [0.9, 0.06, 0.03, 0.01],
                [0.9, 0.02, 0.06, 0.02]])
OTHER = np.log([[0.91, 0.02, 0.07], [0.92, 0.05, 0.03], [0.95, 0.03, 0.02]])
LOGITS = np.random.default_rng(0).normal(size=(4, 4))


@cache
def unicode_model():
    return models.fit(unicode_words())


def by_pattern(pattern, vocabulary=WORDS):
    """`counts_of` of a pattern."""
    return lambda logits: pattern_counts(logits, pattern_classes(vocabulary, pattern))


@cache
def listed(letters, longest):
    """Every string of at most `longest` of the letters: (texts, steps)."""
    texts = ["".join(some) for n in range(longest + 1) for some in product(letters, repeat=n)]
    return texts, as_steps(all_strings(len(letters), longest), len(letters) + 1)


def counts_by_list(logits, texts, steps, rule):
    """p and N of a rule, from a list of strings."""
    passing = np.array([rule(text) for text in texts]) * np.exp(score(logits, steps))
    return passing.sum(), (counts.matrix(steps).T @ passing).reshape(logits.shape)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_its_regular_expression_matches(pattern):
    expression = "".join({"V": "[aeiou]", "C": "[^aeiou]", ".": "."}.get(c, re.escape(c))
                         for c in pattern)
    texts = ["".join(some) for n in range(5) for some in product("abeVC", repeat=n)]
    found = [matches(text, pattern) for text in texts]
    assert found == [re.fullmatch(expression, text) is not None for text in texts] and any(found)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_counts_of_a_pattern_are_those_of_the_listed_strings(pattern):
    """(verifiers.3) and N, exactly: the strings that pass have one length."""
    texts, steps = listed(WORDS.letters, len(pattern))
    p, N = counts_by_list(LOGITS, texts, steps, lambda text: matches(text, pattern))
    assert not pattern_classes(WORDS, pattern)[:, 0].any()  # never the end
    found = by_pattern(pattern)(LOGITS)
    assert 0 < p == pytest.approx(found[0], rel=1e-12)
    np.testing.assert_allclose(found[1], N, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("logits, letters, longest, tail", [(TWO, "ab", 11, 1e-12),
                                                            (THREE, "abe", 7, 1e-8)])
def test_the_counts_of_palindromes_are_those_of_the_listed_strings(logits, letters, longest, tail):
    """(verifiers.4) and N, up to what longer strings add: their probability, times some letters."""
    assert exact.lengths(logits, longest + 1).unfinished <= 1.01 * tail
    p, N = counts_by_list(logits, *listed(letters, longest), is_palindrome)
    found = palindrome_counts(logits)
    assert found[0] == pytest.approx(p, abs=2 * tail)
    np.testing.assert_allclose(found[1], N, rtol=0, atol=3 * longest * tail)
    assert N.min() > 0


# What they are worth.


@pytest.mark.parametrize("counts_of, rule", [
    (palindrome_counts, is_palindrome),
    (by_pattern("VC", from_items(["ab"])), lambda text: matches(text, "VC"))])
def test_the_optimum_over_strings_and_the_objective_of_a_bigram_are_what_the_listed_ones_earn(
        counts_of, rule):
    """(verifiers.1): the tilted law earns J*, and a law a little off earns less; (verifiers.2)"""
    texts, steps = listed("ab", 11)
    reference = np.exp(score(TWO, steps))
    reward = 2.0 * np.array([rule(text) for text in texts])

    def J(law):
        return law @ reward - 0.5 * law @ np.log(law / reference)

    best = reference * np.exp(reward / 0.5)
    best /= best.sum()
    found = gap(TWO, counts_of, bonus=2.0, beta=0.5)
    assert found.optimum == pytest.approx(J(best), abs=1e-9)
    rng = np.random.default_rng(1)
    for _ in range(5):
        other = best * np.exp(0.1 * rng.normal(size=best.size))
        assert J(other / other.sum()) < found.optimum
    loss, _ = objective_loss(OTHER, TWO, counts_of, bonus=2.0, beta=0.5)
    assert loss == pytest.approx(-J(np.exp(score(OTHER, steps))), abs=1e-9)


@pytest.mark.gradient
@pytest.mark.parametrize("name, counts_of", [("pattern", by_pattern("V.C")),
                                             ("palindrome", palindrome_counts)])
def test_gradient_of_the_objective(report_gradient, name, counts_of):
    """(verifiers.2)"""
    reference = np.random.default_rng(2).normal(size=(4, 4))
    report_gradient(f"verifiers.{name}", check(lambda logits: objective_loss(
        logits, reference, counts_of, bonus=1.3, beta=0.7), LOGITS))


@pytest.mark.parametrize("counts_of", [by_pattern("VC"), palindrome_counts])
def test_the_best_bigram_is_at_rest_and_reported_as_it_is(counts_of):
    seen = []

    def watched(logits):
        seen.append(logits.copy())
        return counts_of(logits)

    found = gap(LOGITS, watched, bonus=2.0, beta=0.5)
    loss, grad = objective_loss(seen[-1], LOGITS, counts_of, bonus=2.0, beta=0.5)
    assert found.bigram == -loss and np.abs(grad).max() <= 1e-5
    assert found.bigram_passes == counts_of(seen[-1])[0]
    assert found.ref_passes == counts_of(LOGITS)[0]
    assert 0 < found.bigram < found.optimum and found.bigram_passes > found.ref_passes
    assert all(type(value) is float for value in found)


def first_is_vowel(logits):
    """p and N of a rule that a bigram can keep: the first letter is a vowel."""
    policy = np.exp(log_softmax(logits))
    vowels = np.array([0, 1, 0, 1])
    begun = policy[0] * vowels
    inner = policy.copy()
    inner[:, 0] = 0
    visits = np.linalg.solve(np.eye(4) - inner.T, begun)
    N = visits[:, None] * policy
    N[0] += begun
    return begun.sum(), N


BEGINS, EMPTY = np.zeros((4, 4)), np.zeros((4, 4))
BEGINS[0, [1, 3]] = EMPTY[0, 0] = 1


@pytest.mark.parametrize("counts_of, table", [(by_pattern(""), EMPTY), (first_is_vowel, BEGINS)])
@pytest.mark.parametrize("bonus, beta", [(2.0, 0.5), (0.3, 1.7)])
def test_a_rule_that_a_bigram_can_keep_costs_it_nothing(counts_of, table, bonus, beta):
    """(verifiers.1) is then (regularised.4): that the string is empty, or begins well."""
    found = gap(LOGITS, counts_of, bonus=bonus, beta=beta)
    best = regularised_optimum(language(bonus * table), LOGITS, beta=beta)
    assert found.optimum == pytest.approx(best.objective, abs=1e-12)
    assert found.bigram == pytest.approx(found.optimum, abs=1e-9)
    odds = np.exp(bonus / beta) * found.ref_passes
    assert found.bigram_passes == pytest.approx(odds / (1 - found.ref_passes + odds), abs=1e-5)


# The figures of the chapter.


RULES = {"palindrome": (palindrome_counts, (0.1681, 1.1518, 1.0974, 0.9805)),
         "five letters": (".....", (0.0830, 0.8475, 0.1676, 0.0846)),
         "CVCV": ("CVCV", (0.0262, 0.4384, 0.0624, 0.0377))}


@cache
def found_for(rule):
    """The gap of a rule on the Unicode words at bonus 2, beta 0.5, the best bigram, the counts."""
    counts_of, seen = RULES[rule][0], []
    if counts_of is not palindrome_counts:
        counts_of = by_pattern(counts_of, unicode_model().vocabulary)
    found = gap(unicode_model().logits, lambda logits: seen.append(logits) or counts_of(logits),
                bonus=2.0, beta=0.5)
    return found, seen[-1], counts_of


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_the_table_of_the_chapter_and_no_other_start_finds_more(rule):
    """(verifiers.1) and (verifiers.2)"""
    reference, (found, _, counts_of) = unicode_model().logits, found_for(rule)
    assert found == pytest.approx(RULES[rule][1], abs=0.5e-4 + 1e-12)
    for start in np.random.default_rng(0).normal(size=(2, *reference.shape)):
        other = minimise(lambda logits: objective_loss(logits, reference, counts_of, bonus=2.0,
                                                       beta=0.5), reference + start, tol=1e-3)
        assert other.converged and -other.loss < found.bigram + 1e-3


def test_nearly_all_that_the_best_bigram_writes_for_palindromes_is_one_letter():
    _, best, _ = found_for("palindrome")
    assert exact.lengths(best, 2).prob[1] > 0.94
    assert exact.lengths(unicode_model().logits, 2).prob[1] < 0.2


@pytest.mark.parametrize("reference, letters, horizon", [(LOGITS, 2, 3), (LOGITS, 0, 1),
                                                         (LOGITS, 3, 6),
                                                         (unicode_model().logits, 5, 6)])
def test_a_policy_with_a_clock_earns_all_that_a_length_is_worth(reference, letters, horizon):
    """The optimum of the unrolled world, in which the bonus is for the end at the right time, is J*
    of (verifiers.1): at any horizon, as a string that was cut earns nothing either way."""
    S = len(reference)
    world = unroll(language(np.zeros(reference.shape)), horizon)
    reward = np.zeros(world.reward.shape)
    reward[letters * S:(letters + 1) * S, 0] = 2.0
    world, timed = replace(world, reward=reward), np.tile(reference, (horizon, 1))
    p, _ = pattern_counts(reference, np.arange(S)[None] * np.ones((letters, 1)) > 0)
    J = 0.5 * np.log1p(p * np.expm1(4.0))
    assert log_partition(world, timed, beta=0.5)[0] == pytest.approx(J, abs=1e-12)
    assert regularised_optimum(world, timed, beta=0.5).objective == pytest.approx(J, abs=1e-10)


def test_a_price_near_zero_does_not_overflow():
    """(verifiers.1): the optimum is then the bonus, less the price of passing surely."""
    found = gap(TWO, palindrome_counts, bonus=1.0, beta=1e-3)
    assert found.optimum == pytest.approx(1 + 1e-3 * np.log(found.ref_passes), abs=1e-12)
    assert 0.99 < found.bigram <= found.optimum


@pytest.mark.parametrize("letters, beta, ratio", [
    (2, 1.0, 7.0), (2, 1.0, 30.0), (2, 0.5, 1e3), (2, 1.0, 1e4), (2, 1e-3, 1e6), (3, 1.0, 1e2),
    (3, 2.0, 1e3), (3, 1.0, 1e4), (3, 1.0, 1e6)])
def test_a_bonus_that_is_large_for_its_price_is_answered_too(letters, beta, ratio):
    """(verifiers.2): where all symbols are as likely, the best bigram that always passes writes
    nothing or repeats a letter.  The reference does so with probability 1/A + (A − 1) A⁻²/(1 −
    1/A) = 2/A, so that this bigram earns b + β log(2/A), and another one e^{−b/β} more at most."""
    reference = np.zeros((letters + 1, letters + 1))
    found = gap(reference, palindrome_counts, bonus=beta * ratio, beta=beta)
    always = ratio + np.log(2 / (letters + 1))
    assert found.bigram / beta == pytest.approx(always, abs=1e-4 + np.exp(-ratio))
    assert found.bigram <= found.optimum and found.bigram_passes <= 1


def test_a_search_that_meets_a_bigram_without_an_end_goes_back():
    """On some machines such a bigram is met where the bonus is large; here at three steps."""
    calls = []

    def counts_of(logits):
        calls.append(logits)
        if len(calls) in (3, 7, 20):
            raise ValueError("it writes for ever")
        return palindrome_counts(logits)

    found = gap(LOGITS, counts_of, bonus=20.0, beta=1.0)
    np.testing.assert_allclose(found, gap(LOGITS, palindrome_counts, bonus=20.0, beta=1.0),
                               rtol=0, atol=2e-5)
    assert len(calls) > 20
