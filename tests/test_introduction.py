"""Chapter 0: its numbers, from the exact answers of the later chapters."""

import numpy as np
import pytest

from gridworld import maps
from minirl import introduction
from minirl.exact.planning import policy_iteration
from minirl.exact.scorecard import objective
from minirl.lab.running_example import PSEUDO_COUNT, bigram_of, running_example
from minirl.people.kl import string_kl
from minirl.plain.episode import careful, episode, lake, returns
from toy_lm.corpora import unicode_words
from toy_lm.ngram import nats_per_character
from toy_lm.rewards import LETTER, easy_to_say
from toy_lm.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def example():
    return running_example(bigram_of())


def along(table, model, word):
    """The entries of a table (S, A) along the steps of a word."""
    return table.ravel()[model.vocabulary.encode([word]).index]


def test_the_return_of_the_walk_is_discounted_once_per_step_of_waiting():
    """(introduction.1)"""
    paid = [r for _, _, r, _, _ in episode(lake, careful, np.random.default_rng(4))]
    by_hand = sum(0.99 ** t * r for t, r in enumerate(paid))
    assert returns(paid, 0.99)[0] == pytest.approx(by_hand, rel=1e-15)
    assert round(by_hand, 4) == 0.9415


def test_the_walk_is_on_the_frozen_lake_and_its_policy_the_best_one():
    """The drawing of the best policy, the values of it and of the uniform policy."""
    mdp = maps.frozen_lake().mdp(gamma=0.99)
    best = policy_iteration(mdp)
    drawn = [cell for row in introduction.__doc__.split("\n")[6:10] for cell in row.split()[-4:]]
    for s in range(16):
        if drawn[s] not in "HG":
            assert drawn[s] == "←↓→↑"[careful(s, None)] == "←↓→↑"[best.policy[s].argmax()]
    random = objective(mdp, np.full(mdp.shape, 0.25))
    assert (round(random, 4), round(best.objective, 4)) == (0.0124, 0.5420)


def test_the_maps_are_those_of_the_gridworld():
    drawn = introduction.__doc__
    rows = [line.split() for line in drawn.split("\n") if line.startswith("    SFFFFFFF")]
    start = drawn.index("    SFFFFFFF")
    lines = drawn[start:].split("\n")[:8]
    assert rows and "\n".join(line.split()[0] for line in lines) == maps.LAKE_8X8.strip()
    cliff = [word for line in lines[:4] for word in line.split() if len(word) == 12 and
             set(word) <= set("SFCG")]
    assert "\n".join(cliff) == maps.CLIFF.strip()
    flat = [word for line in drawn.split("\n")[6:10] for word in line.split()[:4]]
    assert "".join(flat) == maps.LAKE_4X4.replace("\n", "")


def test_two_words_step_by_step(example):
    """Their probabilities and rewards, and the log-probability of "sun\""""
    model = example.model
    for word, chances, paid in (
            ("sun", [0.113, 0.051, 0.121, 0.261], [0.139, 0.139, 0.139, 0]),
            ("spy", [0.113, 0.030, 0.008, 0.246], [0.139, -0.861, -0.861, 0])):
        logs = along(model.logits, model, word)
        np.testing.assert_array_equal(np.exp(logs).round(3), chances)
        table = easy_to_say(model.vocabulary)
        np.testing.assert_allclose(along(table, model, word), paid, atol=1e-15)
    assert round(along(easy_to_say(model.vocabulary), model, "sun").sum(), 3) == 0.417
    logs = along(model.logits, model, "sun")
    assert [*logs.round(2), round(logs.sum(), 2)] == [-2.18, -2.98, -2.11, -1.34, -8.61]
    assert f"{np.e:.3f}" == "2.718"


def test_the_running_example(example):
    """(introduction.2): 2,465 words, J of the reference and of the best policy, and two words."""
    words = unicode_words()
    assert (len(words), PSEUDO_COUNT, LETTER, example.beta) == (2465, 0.1, 0.139, 0.5)
    reference, best = (example.judge(policy) for policy in (
        np.exp(example.reference), example.optimum.policy))
    assert (round(reference.objective, 4), round(best.objective, 4)) == (-0.5355, 0.1489)
    logp = np.log(example.optimum.policy)
    kl, _ = string_kl(example.world, logp, example.reference)
    assert best.objective == pytest.approx(best.reward - 0.5 * kl, rel=1e-12)
    assert best.kl == pytest.approx(kl, rel=1e-12)
    for word, before, after in ("sun", -8.61, -8.07), ("spy", -11.93, -15.40):
        for table, nats in (example.reference, before), (logp, after):
            assert round(along(table, example.model, word).sum(), 2) == nats
    nats = nats_per_character(example.reference, example.model.vocabulary.encode(words))
    assert (round(nats, 2), round(np.exp(nats), 1)) == (2.58, 13.2)


def test_where_each_letter_earns_a_policy_without_a_reference_never_ends():
    """Two letters that alternate earn 0.139 each, for ever."""
    table = easy_to_say(Vocabulary("ab"))
    assert table[1, 2] == table[2, 1] == LETTER > 0
