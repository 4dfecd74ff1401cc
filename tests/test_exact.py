"""Lengths and entropies: against all strings, powers of a dense matrix, and the text end to end."""

from collections import Counter
from itertools import product
from math import log

import numpy as np
import pytest

from minirl.exact import solving
from minirl.kernel.softmax import log_softmax
from toy_lm.corpora import unicode_words
from toy_lm.exact import lengths, summary
from toy_lm.models import fit
from toy_lm.ngram import decoding, nats_per_character, sample, score

NEVER = np.array([[-np.inf, 0.0, 1.0]] * 3)  # never writes the end
ORDERS, WORDS = [1, 2, 3], unicode_words()


def random_table(order, A=3, end=0.0, seed=0):
    """A random table; the larger `end`, the shorter its strings."""
    logits = np.random.default_rng([order, seed]).normal(size=(A**(order - 1), A))
    logits[:, 0] += end
    return logits


def holed(order, seed=1):
    """A random table of three letters in which no letter is written twice in a row."""
    logits = random_table(order, A=4, end=0.5, seed=seed)
    for s, a in product(range(len(logits)), range(1, 4)):
        if order > 1 and s % 4 == a:
            logits[s, a] = -np.inf
    return logits


def falling(order):
    """A table that writes only letters in falling order: "", "a", "b", "ba", …, "cba"."""
    logits = random_table(order, A=4, seed=2)
    for s, a in product(range(len(logits)), range(1, 4)):
        if 0 < s % 4 <= a:
            logits[s, a] = -np.inf
    return logits


def strings_of(logits, longest):
    """(letters, log-probability) of every string that can be written, by following each."""
    S, A = logits.shape
    logp, found = log_softmax(logits), []

    def follow(s, letters, so_far):
        found.append((letters, so_far + logp[s, 0]))
        for a in range(1, A):
            if letters < longest and logp[s, a] > -np.inf:
                follow((s * A + a) % S, letters + 1, so_far + logp[s, a])

    follow(0, 0, 0.0)
    return [(letters, value) for letters, value in found if value > -np.inf]


@pytest.mark.parametrize("logits", [random_table(1), random_table(2), random_table(3),
                                    random_table(4, seed=5), holed(2), holed(3), falling(2), NEVER])
def test_the_law_of_the_length_is_that_of_all_strings(logits):
    """(exact.1), by following every string of at most seven letters"""
    law, expected = lengths(logits, 8), np.zeros(8)
    for letters, value in strings_of(logits, 7):
        expected[letters] += np.exp(value)
    np.testing.assert_allclose(law.prob, expected, atol=1e-14)
    assert law.unfinished == pytest.approx(1 - expected.sum(), abs=1e-14)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("cut", [{"top_p": 0.9}, {"top_k": 3},
                                 {"top_p": 0.9, "temperature": 1.5}])
def test_what_is_written_from_a_decoding_is_known_exactly_too(order, cut):
    """(exact.1) and (exact.2) of tables with zeros, and what is sampled from them is as long"""
    logits = decoding(random_table(order, A=4, end=1.0, seed=4), **cut)
    assert (logits == -np.inf).any() and summary(logits).letters > 0.5
    law, found, expected = lengths(logits, 9), summary(logits), np.zeros(9)
    for letters, value in strings_of(logits, 8):
        expected[letters] += np.exp(value)
    np.testing.assert_allclose(law.prob, expected, atol=1e-14)
    longer = lengths(logits, 800)
    assert longer.unfinished < 1e-12 and found.letters == pytest.approx(
        longer.prob @ np.arange(800), rel=1e-9)
    drawn = sample(logits, 20_000, rng=order)
    error = found.letters_std / 20_000**0.5
    assert abs(np.diff(drawn.starts).mean() - 1 - found.letters) < 5 * error
    assert (score(logits, drawn) > -np.inf).all()


def test_a_model_that_never_ends_has_a_law_but_no_moments():
    law = lengths(NEVER, 5)
    assert law.prob.tolist() == [0.0] * 5 and law.unfinished == pytest.approx(1, abs=1e-15)
    with pytest.raises(ValueError, match="from state 0 this policy never ends"):
        summary(NEVER)


def test_a_model_that_may_run_into_a_trap_has_no_moments_either():
    trap = np.zeros((3, 3))
    trap[2] = [-np.inf, -np.inf, 0.0]  # b is followed by b, for ever
    assert lengths(trap, 200).unfinished == pytest.approx(1 / 2, abs=1e-12)
    with pytest.raises(ValueError, match="from state 2 this policy never ends"):
        summary(trap)
    trap[:2, 2] = -np.inf  # and b is not written any more
    assert summary(trap).letters == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("logits", [
    *(random_table(order, seed=4) for order in ORDERS), holed(2), holed(3), falling(2), falling(3),
    fit(WORDS).logits], ids=range(8))
def test_the_moments_are_those_of_the_law(logits):
    """(exact.2), summed up until less than 1e-15 is left"""
    found, law = summary(logits), lengths(logits, 400)
    assert law.unfinished < 1e-15
    n = np.arange(400)
    mean = (n * law.prob).sum()
    assert found.letters == pytest.approx(mean, abs=1e-10)
    assert found.letters_std == pytest.approx(((n - mean)**2 @ law.prob)**0.5, abs=1e-10)


def test_the_moments_of_a_model_too_large_to_solve_are_those_of_the_law(monkeypatch):
    """(exact.2) at order 4 over 18 symbols, summed up by (solving.2)"""
    words = [word for word in WORDS if set(word) <= set("abcdeghilmnoprstu")]
    logits = fit(words, order=4, pseudo_count=1e-3).logits
    law, n = lengths(logits, 250), np.arange(250)
    monkeypatch.setattr(solving.linalg, "splu", None)  # would be called, but for the sweeps
    found, mean = summary(logits), (n * law.prob).sum()
    assert law.unfinished < 1e-15 and found.letters == pytest.approx(mean, abs=1e-9)
    assert found.letters_std == pytest.approx(((n - mean)**2 @ law.prob)**0.5, abs=1e-9)


def test_a_model_of_a_single_string_has_no_spread_and_no_entropy():
    logits = np.full((3, 3), -np.inf)
    logits[0, 2] = logits[2, 1] = logits[1, 0] = 0.0  # "on", and nothing else
    assert summary(logits) == pytest.approx((2, 0, 0, 0, 1), abs=1e-12)
    assert lengths(logits, 4).prob.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("seed", range(30))
def test_rounding_makes_no_variance_negative(seed):
    """Every string has four letters: one of ab, of cd, of ef and of gh, by random chances"""
    logits = np.full((9, 9), -np.inf)
    for s in range(9):
        following = 2 * ((s + 1) // 2) + 1
        if following < 9:
            logits[s, following:following + 2] = np.random.default_rng([seed, s]).normal(size=2)
        else:
            logits[s, 0] = 0.0
    found = summary(logits)
    assert found.letters == pytest.approx(4, abs=1e-12) and 0 <= found.letters_std < 1e-6


@pytest.mark.parametrize("logits", [falling(2), falling(3)], ids=["bigram", "trigram"])
def test_the_entropy_is_that_of_the_law_of_all_strings(logits):
    """(exact.3), in models that can write only eight strings"""
    strings = strings_of(logits, 9)
    assert len(strings) == 8 and sum(np.exp(value) for _, value in strings) == pytest.approx(1)
    found = summary(logits)
    entropy = -sum(np.exp(value) * value for _, value in strings)
    steps = sum(np.exp(value) * (letters + 1) for letters, value in strings)
    assert found.entropy == pytest.approx(entropy, abs=1e-13)
    assert found.entropy_rate == pytest.approx(entropy / steps, abs=1e-13)
    assert found.perplexity == pytest.approx(np.exp(entropy / steps), abs=1e-13)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_rate_of_a_maximum_likelihood_model_is_the_likelihood_of_its_corpus(order):
    """(exact.3), and the lengths are those of the corpus; with a pseudo-count neither holds"""
    model = fit(WORDS, order=order, pseudo_count=0)
    found = summary(model.logits)
    contexts, windows = Counter(), Counter()
    for word in WORDS:
        padded = "\n" * (order - 1) + word + "\n"
        for i in range(len(word) + 1):
            contexts[padded[i:i + order - 1]] += 1
            windows[padded[i:i + order]] += 1
    cost = -sum(n * log(n / contexts[window[:-1]]) for window, n in windows.items())
    assert found.entropy_rate == pytest.approx(cost / sum(windows.values()), abs=1e-10)
    steps = model.vocabulary.encode(WORDS, order=order)
    assert found.entropy_rate == pytest.approx(nats_per_character(model.logits, steps), abs=1e-10)
    assert found.letters == pytest.approx(sum(map(len, WORDS)) / len(WORDS), abs=1e-9)
    if order < 4:
        smooth = fit(WORDS, order=order, pseudo_count=0.1)
        assert summary(smooth.logits).entropy_rate > found.entropy_rate + 1e-5
