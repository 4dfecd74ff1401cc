"""Wrong steps: what a string without one is like, by listing all strings and by drawing many;
checked steps and checked strings; the words of the reference; and letters that must all be right.
"""

from bisect import bisect
from dataclasses import replace
from functools import cache

from luck import assert_mean, assert_share
import numpy as np
import pytest
from worlds import random_mdp

from minirl.beyond import cascade
from minirl.beyond.cascade import (checked_steps, clean_chances, clean_policy, error_rate,
                                   three_faces)
from minirl.beyond.inference import pass_at_k
from minirl.exact.evaluation import NoEnd, occupancy
from minirl.kernel import counts
from minirl.kernel.mdp import coin_game, unroll
from minirl.kernel.playing import rollout
from minirl.kernel.softmax import log_softmax
from minirl.lab import attempts
from minirl.lab.listing import all_episodes
from minirl.people.kl import string_kl
from toy_lm.contexts import look_up, tree
from toy_lm.corpora import held_out, unicode_names, unicode_words
from toy_lm.ngram import language, sample, widen
from toy_lm.vocabulary import from_items

SEEDS = pytest.mark.parametrize("seed", range(3))
COIN = three_faces(), np.array([[0.2, 0.6, 0.2]]), np.array([[1, 1, 0]])


def some_steps(seed, K=2):
    """A world whose episodes have at most four steps, a policy, and which steps are right."""
    rng = np.random.default_rng(seed)
    world = unroll(random_mdp(rng, 3, 3, K, 1.0), 4)
    return world, np.exp(log_softmax(rng.normal(size=(12, 3)))), rng.random((12, 3)) < 0.7


def listed(world, policy, correct):
    """All episodes, their chances, and the number of wrong steps in each."""
    batch, chance = all_episodes(world, policy, 4)
    return batch, chance, batch.totals(1.0 - correct[batch.states, batch.actions])


@SEEDS
def test_clean_strings_by_listing_all(seed):
    """(cascade.1), and the share of wrong steps"""
    world, policy, correct = some_steps(seed)
    batch, chance, wrong = listed(world, policy, correct)
    assert world.start @ clean_chances(world, policy, correct) == pytest.approx(
        chance @ (wrong == 0), abs=1e-12)
    for gamma in 1.0, 0.5:  # by which nothing is discounted
        assert error_rate(replace(world, gamma=gamma), policy, correct) == pytest.approx(
            chance @ wrong / (chance @ batch.lengths), abs=1e-12)
    one = checked_steps(world, policy, correct, 1)
    assert one.clean == pytest.approx(chance @ (wrong == 0), abs=1e-12)
    assert one.length == pytest.approx(chance @ ((wrong == 0) * batch.lengths) / one.clean)
    right = correct[batch.states, batch.actions]
    until = batch.totals([right[first:last].all() * 1.0 for e in range(len(chance))
                          for first in [batch.starts[e]]
                          for last in range(first, batch.starts[e + 1])])
    assert one.draws == pytest.approx(chance @ until, abs=1e-12)


@SEEDS
def test_steps_that_may_be_right_by_listing_all(seed):
    """(cascade.2): where each step is right with one chance it is the mean of a power."""
    world, policy, _ = some_steps(seed)
    batch, chance = all_episodes(world, policy, 4)
    clean = world.start @ clean_chances(world, policy, np.full((12, 3), 0.8))
    assert clean == pytest.approx(chance @ 0.8**batch.lengths, abs=1e-12)
    assert clean >= 0.8**(chance @ batch.lengths)


@pytest.mark.statistical
@SEEDS
@pytest.mark.parametrize("k", [1, 2, 5])
def test_checked_steps_by_drawing_them(seed, k):
    """(cascade.3)"""
    world, policy, correct = some_steps(seed, K=1)
    rng, runs, chances = np.random.default_rng(seed), 4000, policy.cumsum(axis=1)[:, :2].tolist()
    clean, draws, lengths = np.zeros(runs), np.zeros(runs), np.zeros(runs)
    for run in range(runs):
        s = rng.choice(12, p=world.start)
        while True:
            for attempt in range(k):
                a = bisect(chances[s], rng.random())
                draws[run] += 1
                if correct[s, a]:
                    break
            lengths[run] += 1
            if not correct[s, a]:
                break
            if world.terminated[s, a, 0]:
                clean[run] = 1
                break
            s = world.next_state[s, a, 0]
    found = checked_steps(world, policy, correct, k)
    assert_share(found.clean, clean)
    assert_mean(found.draws, draws)
    assert_mean(found.length, lengths[clean == 1])


@SEEDS
def test_the_policy_of_clean_strings_by_listing_all(seed):
    """(cascade.4): each clean string has its share of them"""
    world, policy, correct = some_steps(seed, K=1)
    batch, chance, wrong = listed(world, policy, correct)
    found = clean_policy(world, policy, correct)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    first = batch.states[batch.starts[:-1]]
    starts = np.bincount(first, chance * (wrong == 0), 12)
    for e in range(chance.size):
        steps = slice(batch.starts[e], batch.starts[e + 1])
        written = found[batch.states[steps], batch.actions[steps]].prod()
        share = chance[e] * (wrong[e] == 0) / starts[first[e]] if starts[first[e]] else 0
        if starts[first[e]]:
            assert written == pytest.approx(share, abs=1e-12)


def test_the_coin_of_the_text():
    """0.5, 0.328, 0.444, and the two ways to check it"""
    world, policy, correct = COIN
    assert clean_chances(world, policy, correct) == pytest.approx(0.2 / (1 - 0.6))
    assert error_rate(world, policy, correct) == pytest.approx(0.2)
    assert occupancy(world, policy) == pytest.approx(5) and round(0.8**5, 3) == 0.328
    assert clean_chances(world, policy, np.full((1, 3), 0.8)).round(3) == 0.444
    two, one = (checked_steps(world, policy, correct, k) for k in (2, 1))
    assert [round(x, 4) for x in two] == [0.8571, 4.2857, 3.5714]
    assert (0.2 * 1.2, 0.6 * 1.2) == (pytest.approx(0.24), pytest.approx(0.72))
    assert two.clean == pytest.approx(0.24 / (1 - 0.72)) and one.draws == pytest.approx(2.5)
    assert two.draws == pytest.approx(1.2 / (1 - 0.72))
    assert clean_policy(world, policy, correct)[0] == pytest.approx([0.4, 0.6, 0])
    assert (policy * correct / 0.8)[0] == pytest.approx([0.25, 0.75, 0])


def test_what_never_ends_and_what_is_never_right():
    with pytest.raises(NoEnd):
        clean_chances(coin_game(), np.array([[1.0, 0.0]]), np.ones((1, 2)))
    none = checked_steps(*COIN[:2], np.zeros((1, 3)), 7)
    assert none[:2] == (0, 7) and np.isnan(none.length)
    assert (clean_policy(*COIN[:2], np.zeros((1, 3))) == COIN[1]).all()


# The words.


@cache
def words():
    """The world, the policy and the right steps of three symbols in a row."""
    model = attempts.bigram_of(unicode_words())
    policy = np.exp(widen(log_softmax(model.logits), 3))
    correct = counts.table(model.vocabulary.encode(unicode_words(), order=3)) > 0
    return language(np.zeros(policy.shape)), policy, correct


def test_words_without_a_wrong_step_and_what_a_power_says():
    errors, _ = attempts.cascade_of_words()
    assert [round(x, 4) for x in errors] == [0.1733, 6.9129, 0.3776, 0.3660, 0.2683]
    assert round(errors.steps, 3) == 6.913 and round(errors.clean - errors.alike, 4) == 0.0116


@pytest.mark.statistical
def test_drawn_words_are_clean_as_often_as_they_should():
    world, policy, correct = words()
    steps = sample(np.log(policy), 20_000, rng=0)
    wrong = counts.matrix(steps) @ (~correct).ravel().astype(float)
    assert_share(clean_chances(world, policy, correct)[0], wrong == 0)


@pytest.mark.statistical
def test_checked_steps_of_words_in_draws():
    world, policy, correct = words()
    rng, found = np.random.default_rng(1), checked_steps(world, policy, correct, 2)
    again = 1 - (policy * correct).sum(axis=1)
    assert found.clean >= 0.73
    batch = rollout(world, policy, np.zeros(20_000, int), horizon=200, rng=rng)
    right = correct[batch.states, batch.actions]
    # A step that is wrong is drawn again: the first wrong step that fails twice ends the string.
    weight = np.where(right, 1 + again[batch.states], 0.0)
    assert_mean(found.clean, np.multiply.reduceat(weight, batch.starts[:-1]))


def test_what_checks_of_words_buy():
    """Step by step against whole words at the same price; the figures of the text."""
    _, checks = attempts.cascade_of_words()
    assert [round(row.clean, 4) for row in checks] == [0.3776, 0.7371, 0.8796, 0.9357, 0.9858, 1.0]
    assert [round(row.draws, 2) for row in checks] == [4.33, 6.83, 7.83, 8.24, 8.64, 8.84]
    assert [round(row.all_written, 4) for row in checks] == [0.3776, 0.5266, 0.5757, 0.5943,
                                                            0.6117, 0.6201]
    assert [round(row.per_clean, 2) for row in checks] == [11.47, 9.27, 8.90, 8.81, 8.76, 8.84]
    assert [round(row.stopping, 4) for row in checks] == [0.3776, 0.5956, 0.6828, 0.7184, 0.7533,
                                                         0.7708]
    assert checks[1].clean >= 1.35 * checks[1].all_written
    assert round(checks[1].draws / checks[0].draws, 2) == 1.58


@pytest.mark.statistical
@pytest.mark.parametrize("n", [1, 2, 5])
def test_words_until_one_is_clean_by_drawing_them(n):
    """At most n words: a draw buys as much for each n, and less if no one stops"""
    world, policy, correct = words()
    batch = rollout(world, policy, np.zeros(50_000, int), horizon=200, rng=np.random.default_rng(n))
    wrong = ~correct[batch.states, batch.actions]
    so_far = np.cumsum(wrong) - wrong
    until = batch.totals((so_far == so_far[batch.starts[:-1]].repeat(batch.lengths)) * 1.0)
    clean = (batch.totals(wrong * 1.0) == 0).reshape(-1, n)
    tried = np.where(clean.any(axis=1), clean.argmax(axis=1) + 1, n)
    draws = np.where(np.arange(n) < tried[:, None], until.reshape(-1, n), 0).sum(axis=1)
    one = checked_steps(world, policy, correct, 1)
    assert_mean(0, clean.any(axis=1) - draws * one.clean / one.draws)
    assert_share(pass_at_k(one.clean, n), clean.any(axis=1))


@pytest.mark.parametrize("end", [0.05, 0.2, 0.7])
def test_one_row_gains_nothing_by_checking_steps(end):
    """A clean string costs 1/π(end) draws, whatever k is."""
    policy = np.array([[end, 0.4 * (1 - end), 0.6 * (1 - end)]])
    for k in 1, 2, 3, 1000:
        found = checked_steps(COIN[0], policy, COIN[2], k)
        assert found.draws / found.clean == pytest.approx(1 / end, rel=1e-12)


def test_clean_words_by_string_and_by_step_are_not_the_same():
    world, policy, correct = words()
    by_string = clean_policy(world, policy, correct)
    good = policy * correct
    total = good.sum(axis=1, keepdims=True)
    by_step = np.where(total > 0, good / np.where(total > 0, total, 1), policy)
    lengths = [occupancy(world, table).sum() - 1 for table in (by_string, by_step)]
    assert [round(x, 2) for x in lengths] == [4.21, 6.08]
    assert round(checked_steps(world, policy, correct, 1).length - 1, 2) == 4.21
    with np.errstate(divide="ignore"):
        distance, _ = string_kl(world, np.log(by_string), np.log(by_step))
    assert round(distance, 3) == 0.196


def test_every_right_step_leaves_a_right_one():
    world, policy, correct = words()
    following = world.next_state[:, :, 0]
    leads_on = correct & ~world.terminated[:, :, 0]
    assert correct.any(axis=1)[following[leads_on]].all()


# Emergence.


EMERGENCE = """
    1,000       2.244   0.4109   0.1482   0.0016     6.6e-7
    16,000      1.126   0.6646   0.3473   0.0168     1.4e-3
    316,948     0.705   0.7498   0.4243   0.0224     1.0e-2
"""


@cache
def emerging():
    return attempts.emerging(0, (1_000, 16_000))


def test_the_table_of_emergence():
    assert EMERGENCE.rstrip() in cascade.__doc__
    for line, row in zip(EMERGENCE.strip().splitlines(), emerging()):
        letters, nats, *chances, power = line.split()
        assert int(letters.replace(",", "")) == row.letters and nats == f"{row.nats:.3f}"
        assert chances == [f"{chance:.4f}" for chance in row.chances]
        assert power.replace("e-", "e-0") == f"{row.power:.1e}"
    first, _, last = emerging()
    assert last.chances[0] < 2 * first.chances[0]
    assert round(last.chances[2] / first.chances[2]) == 14
    assert round(first.chances[2] / first.power, -2) == 2400 and last.chances[2] > 2 * last.power
    assert [round(100 * row.chances[2]) for row in (first, last)] == [0, 2]


def test_runs_of_letters_by_loops():
    """The mean over all places, ends of names included."""
    names = unicode_names()
    training, held = held_out(names)
    chances = tree(look_up(from_items(names), training, held, order=6), weight=3.0)[-1]
    for k, found in zip(attempts.AHEAD, emerging()[-1].chances):
        product = np.prod([chances[i:len(chances) - k + 1 + i] for i in range(k)], axis=0)
        assert found == pytest.approx(product.mean(), rel=1e-9)


def test_runs_that_stay_within_a_name():
    """46 % of all: the first fifteen of sixteen letters end no name."""
    training, held = held_out(unicode_names())
    chances = tree(look_up(from_items(unicode_names()), training, held, order=6), weight=3.0)[-1]
    places = np.arange(len(chances) - 15)
    runs = np.prod([chances[places + i] for i in range(16)], axis=0)
    lasts = np.cumsum([len(name) + 1 for name in held]) - 1
    ended = np.append(0, np.bincount(lasts, minlength=len(chances))).cumsum()
    within = ended[places + 15] == ended[places]
    assert round(100 * (1 - within.mean())) == 54
    assert [round(runs[part].mean(), 4) for part in (within, ~within)] == [0.0454, 0.0027]


@SEEDS
def test_places_that_are_alike_and_places_that_have_nothing_to_do_with_each_other(seed):
    """(cascade.5)"""
    p = np.random.default_rng(seed).random(1000)
    for k in 1, 4, 16:
        assert (p**k).mean() >= p.mean()**k - 1e-15
    two = np.multiply.outer(p, p).mean()
    assert two == pytest.approx(p.mean()**2)
