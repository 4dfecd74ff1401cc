"""N-grams that occur, kept in a sorted list: against loops over strings, and against tables."""

from collections import Counter

import numpy as np
import pytest

from minirl.kernel import counts
from minirl.people.sft import fit_by_counting
from toy_lm import contexts
from toy_lm.contexts import flat, look_up, tree
from toy_lm.corpora import held_out, unicode_names, unicode_words
from toy_lm.ngram import widen
from toy_lm.vocabulary import from_items

CORPORA = {"words": unicode_words(), "names": unicode_names()}
COSTS = {  # held out, in nats per character at the orders 1 to 6
    "words, flat": (2.925, 2.600, 2.526, 2.644, 2.756, 2.856),
    "words, tree": (2.925, 2.604, 2.529, 2.566, 2.646, 2.755),
    "names, flat": (2.999, 2.376, 1.598, 0.969, 0.779, 0.761),
    "names, tree": (2.999, 2.377, 1.598, 0.967, 0.757, 0.705)}


def found_in(name):
    items = CORPORA[name]
    return look_up(from_items(items), *held_out(items), order=6)


def test_counts_are_those_of_loops_over_the_strings():
    training, held = ["on", "no", "noon", ""], ["nn", "onno", ""]
    found = look_up(from_items(training), training, held, order=4)

    def grams(items, order):
        return [(("\n" * order + item + "\n")[i:i + order]) for item in items
                for i in range(1, len(item) + 2)]

    for order in range(1, 5):
        known, places = Counter(grams(training, order)), grams(held, order)
        visits = Counter(gram[:-1] for gram in known.elements())
        assert found.count[order - 1].tolist() == [known[gram] for gram in places]
        assert found.total[order - 1].tolist() == [visits[gram[:-1]] for gram in places]
        assert found.kinds[order - 1] == len(known)


def test_each_chance_is_that_of_the_table_of_its_order():
    """(contexts.1) is (sft.3), and (contexts.2) is (sft.3) with an array of pseudo-counts."""
    training, held = held_out(unicode_words())
    vocabulary = from_items(training)
    found = look_up(vocabulary, training, held, order=3)
    shorter = np.full((1, 27), 1 / 27)
    for order, one, other in zip((1, 2, 3), flat(found, pseudo_count=0.1), tree(found, weight=3)):
        known, asked = (vocabulary.encode(items, order=order) for items in (training, held))
        N = counts.table(known)
        table = np.exp(fit_by_counting(N, pseudo_count=0.1))
        np.testing.assert_allclose(one, table.ravel()[asked.index], rtol=1e-12)
        shorter = np.exp(fit_by_counting(N, pseudo_count=3 * widen(shorter, order)))
        np.testing.assert_allclose(other, shorter.ravel()[asked.index], rtol=1e-12)


@pytest.mark.parametrize("name", CORPORA)
def test_what_memories_cost_on_words_and_names(name):
    """The table of the chapter; the bigram of the words costs what docs/jobs.md says, 2.5996."""
    found = found_in(name)
    for kind, chances in ("flat", flat(found, pseudo_count=0.1)), ("tree", tree(found, weight=3)):
        costs = -np.log(chances).mean(axis=1)
        assert tuple(costs.round(3)) == COSTS[f"{name}, {kind}"]
        shown = "".join(f"{cost:8.3f}" for cost in costs.round(3)).strip()
        assert f"    {name}, {kind}      {shown}\n" in contexts.__doc__
        if (name, kind) == ("words", "flat"):
            assert costs[1].round(4) == 2.5996
        if (name, kind) == ("names", "tree"):
            assert costs[4] <= 0.76 and costs[5] <= 0.71
    if name == "words":
        assert round(-np.log(tree(found, weight=10))[3].mean(), 3) == 2.433


def test_how_many_n_grams_the_corpora_have():
    for name, steps in ("words", 15_267), ("names", 316_948):
        assert sum(len(item) + 1 for item in held_out(CORPORA[name])[0]) == steps
    kinds = found_in("names").kinds
    assert (39**6, kinds[5]) == (3_518_743_761, 29_711) and 8e-6 < kinds[5] / 39**6 < 9e-6


def test_rows_sum_to_one_where_a_context_occurred_and_where_it_did_not():
    training, letters = ["on", "noon"], "no"
    for prompt in "", "o", "oo", "nn":
        held = [prompt + letter for letter in letters] + [prompt]
        found = look_up(from_items(training), training, held, order=3)
        last = np.array([len(prompt), 2 * len(prompt) + 2, 3 * len(prompt) + 4])
        for chances in flat(found, pseudo_count=0.3), tree(found, weight=2.0):
            np.testing.assert_allclose(chances[:, last].sum(axis=1), 1, rtol=1e-14)
