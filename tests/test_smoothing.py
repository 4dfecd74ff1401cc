"""Smoothed tables: against the papers' equations by loops, and on items held out."""

from collections import Counter
from itertools import product
from pathlib import Path
import re

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.people.sft import fit_by_counting
from toy_lm import smoothing
from toy_lm.corpora import held_out, unicode_words
from toy_lm.exact import summary
from toy_lm.models import fit
from toy_lm.ngram import nats_per_character
from toy_lm.smoothing import discount, kneser_ney, witten_bell
from toy_lm.vocabulary import from_items

WORDS = unicode_words()
TRAINING, HELD = held_out(WORDS)
CORPORA = {"few": ["on", "no", "onno", "", "n"], "one": ["ab"], "twice": 2 * ["kato", "kata", "o"],
           "often": 3 * ["ab"] + 5 * ["ba", ""], "long": ["abracadabra", "a b", "bar", "cab"]}


def windows(items, order):
    """How often each context and the character after it occur, as tuples of symbols."""
    letters = sorted(set("".join(items)))
    found = Counter()
    for item in items:
        symbols = [0] * (order - 1) + [letters.index(c) + 1 for c in item] + [0]
        found.update(tuple(symbols[i:i + order]) for i in range(len(item) + 1))
    return found


def chance(method, found, context, a, A):
    """p(a|context) by recursion, from the windows of this order that were found."""
    shorter = Counter()
    for window, times in found.items():
        shorter[window[1:]] += times if method is witten_bell else 1
    below = chance(method, shorter, context[1:], a, A) if context else 1 / A
    here = {b: found[(*context, b)] for b in range(A) if found[(*context, b)] > 0}
    total = sum(here.values())
    if total == 0:
        return below
    if method is witten_bell:  # λ p_ML + (1 − λ) p of the shorter context
        new = len(here) / (len(here) + total)
        return (1 - new) * here.get(a, 0) / total + new * below
    n1, n2 = (sum(times == n for times in found.values()) for n in (1, 2))
    D = n1 / (n1 + 2 * n2) if n1 > 0 and n2 > 0 else 0.5
    return max(here.get(a, 0) - D, 0) / total + D / total * len(here) * below


@pytest.mark.parametrize("method", [witten_bell, kneser_ney])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("corpus", CORPORA)
def test_a_smoothed_table_is_what_the_equations_say_by_loops(method, order, corpus):
    """(smoothing.1), (smoothing.2), (smoothing.3) and (smoothing.4); the beginning and the end of a
    string are characters like any other"""
    items = CORPORA[corpus]
    model = fit(items, order=order, smoothing=method)
    found, A = windows(items, order), model.vocabulary.size
    np.testing.assert_allclose(model.policy.sum(axis=1), 1, rtol=0, atol=1e-14)
    assert (model.policy > 0).all()
    contexts = list(product(range(A), repeat=order - 1))
    for s in np.random.default_rng(order).permutation(len(contexts))[:20]:
        expected = [chance(method, found, contexts[s], a, A) for a in range(A)]
        np.testing.assert_allclose(model.policy[s], expected, rtol=1e-13)


@pytest.mark.parametrize("method", [witten_bell, kneser_ney])
def test_a_context_that_never_occurred_is_its_shorter_one_and_others_are_not(method):
    items = CORPORA["long"]
    table = counts.table(from_items(items).encode(items, order=4))
    policy, below = method(table), (table > 0 if method is kneser_ney else table)
    A = table.shape[1]
    shorter = np.tile(method(below.reshape(A, -1, A).sum(axis=0)), (A, 1))
    unseen = table.sum(axis=1) == 0
    assert 0 < unseen.sum() < len(table)
    np.testing.assert_allclose(policy[unseen], shorter[unseen], rtol=1e-15)
    assert (np.abs(policy - shorter)[~unseen].max(axis=1) > 1e-3).all()


def test_a_pseudo_count_is_a_mixture_too():
    """(smoothing.1) with w = αA and the uniform distribution is (sft.3)"""
    table = np.random.default_rng(1).integers(0, 4, (9, 3))
    found = smoothing._mixed(table, 0.3 * 3, np.full((1, 3), 1 / 3))
    np.testing.assert_allclose(found, np.exp(fit_by_counting(table, pseudo_count=0.3)), rtol=1e-13)


@pytest.mark.parametrize("row, d", [
    ([1, 1, 2], 0.5), ([1, 2, 2, 5], 0.2), ([1, 0, 3], 0.5), ([2, 2, 3], 0.5), ([3, 4, 0], 0.5)])
def test_the_discount_is_between_nothing_and_all(row, d):
    assert discount(np.array([row])) == d


BOUNDS = {2: 2.60, 3: 2.48, 4: 2.44, 5: 2.39}
FIGURES = {"pseudo-count 0.1": ["2.600", "2.526", "2.644", "2.756"],
           "Witten-Bell": ["2.598", "2.469", "2.481", "2.552"],
           "Kneser-Ney": ["2.597", "2.470", "2.433", "2.384"]}


def costs(**options):
    """Nats per character of the items held out, by a model of the others."""
    model = fit(TRAINING, vocabulary=from_items(WORDS), **options)
    return nats_per_character(model.logits, model.encode(HELD))


@pytest.mark.slow
@pytest.mark.parametrize("order", BOUNDS)
def test_higher_orders_pay(order):
    """And the figures of the text and of docs/worlds_and_text.md are what is found."""
    figures = {name.strip(): values.split() for name, values in re.findall(
        r"^    ([\w\- .]+?) {2,}((?:\d\.\d{3}\s+){3}\d\.\d{3})$", smoothing.__doc__, flags=re.M)}
    page = Path(__file__).parent.parent.joinpath("docs", "worlds_and_text.md").read_text(
        encoding="utf-8")
    assert figures == FIGURES
    assert all(" | ".join(values) in page for values in figures.values())
    found = {"Kneser-Ney": costs(order=order, smoothing=kneser_ney)}
    assert found["Kneser-Ney"] <= BOUNDS[order]
    found |= {"Witten-Bell": costs(order=order, smoothing=witten_bell),
              "pseudo-count 0.1": costs(order=order)}
    for name, nats in found.items():
        assert f"{nats:.3f}" == figures[name][order - 2], name


def test_what_a_smoothed_model_writes_is_known_exactly():
    """Words of Kneser-Ney at order 3 are as long as those of the corpus, nearly."""
    found = summary(fit(WORDS, order=3, smoothing=kneser_ney).logits)
    assert found.letters == pytest.approx(np.mean([len(word) for word in WORDS]), abs=0.3)
    assert found.perplexity < np.exp(2.6)
