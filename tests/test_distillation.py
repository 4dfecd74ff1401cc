"""Distillation: losses by loops, minima of fixed visits, points of rest, and the true gradient of
whole strings; a coin, and the Unicode words."""

from functools import cache
from itertools import product
from math import log

import numpy as np
import pytest
from languages import all_strings
from worlds import random_mdp

from minirl.exact.evaluation import ending_chance, expectation, occupancy, transitions_under
from minirl.exact.solving import solve
from minirl.kernel import counts
from minirl.kernel.gradcheck import by_complex_step
from minirl.kernel.mdp import TabularMDP, unroll
from minirl.kernel.playing import steps_played
from minirl.kernel.softmax import log_softmax
from minirl.people import distillation as chapter
from minirl.people.distillation import (distillation_loss, distilled, fit_distilled, row_distance,
                                        string_distillation_loss)
from minirl.people.fitting import minimise
from minirl.people.kl import kl_loss, string_kl
from minirl.people.sft import fit_by_counting, sft_loss
from toy_lm.corpora import unicode_words
from toy_lm.exact import summary
from toy_lm.models import fit
from toy_lm.ngram import language, nats_per_character, widen

MIXES = pytest.mark.parametrize("mix", [0, 0.1, 0.5, 0.9, 1])
SEEDS = pytest.mark.parametrize("seed", range(3))
ROWS = np.array([0, 1, 0, 2, 1, 0])


def tables(seed):
    """A student of three rows, a teacher of six contexts, and how often they are met."""
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(3, 4)), 2 * rng.normal(size=(6, 4)), rng.random(6)


def row_by_hand(student, teacher, mix):
    """(distillation.1) of two rows of probabilities."""
    if mix == 0:
        return sum(t * (np.log(t) - np.log(p)) for p, t in zip(student, teacher))
    if mix == 1:
        return sum(p * (np.log(p) - np.log(t)) for p, t in zip(student, teacher))
    total = 0
    for p, t in zip(student, teacher):
        middle = mix * t + (1 - mix) * p
        total = total + mix * t * (np.log(t) - np.log(middle))
        total = total + (1 - mix) * p * (np.log(p) - np.log(middle))
    return total


def loss_by_hand(logits, teacher, visits, mix):
    """(distillation.2) by loops."""
    student, total = np.exp(logits), 0
    student = student / student.sum(axis=1)[:, None]
    for s, row in enumerate(ROWS):
        chances = np.exp(teacher[s])
        total = total + visits[s] * row_by_hand(student[row], chances / chances.sum(), mix)
    return total


@SEEDS
@MIXES
def test_the_loss_and_its_gradient_are_those_of_loops(mix, seed):
    """(distillation.1), (distillation.2) and (distillation.3), rows that are shared added up."""
    x, teacher, visits = tables(seed)
    loss, grad = distillation_loss(x, teacher, visits, beta=mix, rows=ROWS)
    assert loss == pytest.approx(loss_by_hand(x, teacher, visits, mix), rel=1e-12)
    slopes = by_complex_step(lambda z: (loss_by_hand(z, teacher, visits, mix), None), x)
    np.testing.assert_allclose(grad, slopes, atol=1e-12)
    # G itself, for it may differ from another one by a multiple of π.
    p, t = np.exp(log_softmax(x)[ROWS]), np.exp(log_softmax(teacher))
    middle = mix * t + (1 - mix) * p
    G = -t if mix == 0 else (1 - mix or 1) * p * np.log(p / middle)
    np.testing.assert_allclose(row_distance(np.log(p), np.log(t), beta=mix)[1], G, atol=1e-14)


@SEEDS
def test_the_ends_are_limits_of_quotients_and_no_limits_of_the_distance(seed):
    """(distillation.1); with own rows the end at 1 is (kl.3), and that at 0 imitation."""
    p, t = (log_softmax(x) for x in np.random.default_rng(seed).normal(size=(2, 4, 3)))
    forward, reverse = (row_distance(p, t, beta=end)[0] for end in (0, 1))
    for mix, quotient, end in (1e-7, 1e-7, forward), (1 - 1e-7, 1e-7, reverse):
        near = row_distance(p, t, beta=mix)[0]
        np.testing.assert_allclose(near / quotient, end, rtol=1e-5)
        assert (near < 1e-5).all() and (end > 1e-3).all()
    visits = np.arange(4.0)
    one, other = distillation_loss(p, t, visits, beta=1), kl_loss(p, t, visits)
    assert one[0] == pytest.approx(other[0], rel=1e-14)
    np.testing.assert_allclose(one[1], other[1], atol=1e-14)
    counted = visits[:, None] * np.exp(t)
    own, theirs = (sft_loss(x, counted) for x in (p, t))
    loss, grad = distillation_loss(p, t, visits, beta=0)
    assert loss == pytest.approx(counted.sum() * (own[0] - theirs[0]), rel=1e-12)
    np.testing.assert_allclose(grad, counted.sum() * own[1], atol=1e-14)
    far = log_softmax(20 * p), log_softmax(20 * t)
    assert (row_distance(*far)[0] <= np.log(2)).all() and (row_distance(*far)[0] > 0).all()


def test_half_of_the_smallest_number_is_not_lost():
    """e^−745 is about the smallest float, and half of it would be 0."""
    p = np.array([[0.0, -745.0]])
    distance, G = row_distance(p, p)
    assert distance.tolist() == [0] and not G.any()


# Where it rests.


@SEEDS
@MIXES
def test_the_best_student_of_fixed_visits(mix, seed):
    """(distillation.4): means, no gradient, and what a search finds."""
    x, teacher, visits = tables(seed)

    def loss(x):
        return distillation_loss(x, teacher, visits, beta=mix, rows=ROWS)

    best = distilled(teacher, visits, beta=mix, rows=ROWS)
    assert np.abs(loss(best)[1]).max() < 1e-12
    np.testing.assert_allclose(best, log_softmax(minimise(loss, x, tol=1e-10).x), atol=1e-6)
    logt = log_softmax(teacher)
    for row in range(3):
        here = ROWS == row
        share = visits[here] / visits[here].sum()
        if mix == 0:
            found = np.log(share @ np.exp(logt[here]))
        else:
            middle = mix * np.exp(logt[here]) + (1 - mix) * np.exp(best[row])
            found = share @ np.log(middle)
            found = found - np.log(np.exp(found).sum())
        np.testing.assert_allclose(best[row], found, atol=1e-11)


def test_imitation_of_endless_strings_is_the_forward_kl():
    """The best student at mix 0 counts what the teacher does."""
    _, teacher, visits = tables(0)
    counted = np.zeros((3, 4))
    np.add.at(counted, ROWS, visits[:, None] * np.exp(log_softmax(teacher)))
    np.testing.assert_allclose(distilled(teacher, visits, beta=0, rows=ROWS),
                               fit_by_counting(counted, pseudo_count=0), atol=1e-14)


def test_rows_without_visits_and_contexts_without_a_common_action():
    sure = np.array([[0, -np.inf], [-np.inf, 0]])
    for mix in 0, 0.5, 1:
        table = distilled(np.log([[0.2, 0.8], [0.6, 0.4]]), [0, 0], beta=mix, rows=[0, 0])
        np.testing.assert_allclose(np.exp(table), [[0.4, 0.6]])
    assert np.exp(distilled(sure, [1, 1], beta=0.5, rows=[0, 0])).tolist() == [[0.5, 0.5]]
    with pytest.raises(ValueError, match="at beta = 1 the mean of log T must be finite or −∞, and"):
        distilled(sure, [1, 1], beta=1, rows=[0, 0])
    assert distilled(sure, [1, 0], beta=1, rows=[0, 0]).tolist() == [[0, -np.inf]]


@MIXES
@pytest.mark.parametrize("lmbda", [0.0, 0.3, 1.0])
def test_with_a_row_for_each_context_all_losses_lead_to_the_teacher(mix, lmbda):
    world = random_mdp(np.random.default_rng(1), 4, 3, 2, 0.9)
    teacher = np.random.default_rng(2).normal(size=(4, 3))
    found = fit_distilled(np.zeros((4, 3)), world, teacher, beta=mix, lmbda=lmbda)
    np.testing.assert_allclose(found, log_softmax(teacher), atol=1e-10)
    np.testing.assert_allclose(string_distillation_loss(teacher, world, teacher)[1], 0, atol=1e-14)


@SEEDS
@MIXES
def test_the_point_of_rest_has_no_frozen_gradient(mix, seed):
    world = random_mdp(np.random.default_rng(seed), 6, 4, 2, 0.9)
    _, teacher, _ = tables(seed)
    theirs = occupancy(world, np.exp(log_softmax(teacher)))
    found = fit_distilled(np.zeros((3, 4)), world, teacher, beta=mix, lmbda=0.3, rows=ROWS)
    visits = 0.7 * theirs + 0.3 * occupancy(world, np.exp(found)[ROWS])
    assert np.abs(distillation_loss(found, teacher, visits, beta=mix, rows=ROWS)[1]).max() < 1e-10


def random_teacher(seed, order):
    """A teacher of two letters whose strings end soon."""
    logits = np.random.default_rng(seed).normal(size=(3**(order - 1), 3))
    logits[:, 0] += 1
    return language(np.zeros(logits.shape)), logits, np.arange(len(logits)) % 3


@SEEDS
def test_the_forward_kl_does_not_ask_who_writes_if_contexts_are_steps(seed):
    """A bigram of a trigram visits each context as often as the teacher; of an order 4, not."""
    for order, alike in (3, True), (4, False):
        world, teacher, rows = random_teacher(seed, order)
        theirs, own = (fit_distilled(np.zeros((3, 3)), world, teacher, beta=0, lmbda=lmbda,
                                     rows=rows) for lmbda in (0.0, 1.0))
        assert (np.abs(theirs - own).max() < 1e-9) == alike
        steps = [occupancy(world, np.exp(table)) for table in (log_softmax(teacher), theirs[rows])]
        assert (np.abs(steps[0] - steps[1]).max() < 1e-9) == alike


# Whole strings.


@SEEDS
def test_the_kl_of_strings_by_loops_over_strings(seed):
    """(distillation.5): its value and its complex step, over all strings of up to three letters."""
    world, teacher, rows = random_teacher(seed, 2)
    world, rows = unroll(world, 4), np.tile([0, 1, 1], 4)
    teacher = np.random.default_rng(seed).normal(size=(12, 3))
    strings = [[(3 * t + s, a) for t, (s, a) in enumerate(string)]
               for string in all_strings(2, 3)]
    strings += [string[:3] + [(9 + string[2][1], a)] for string in strings if len(string) == 4
                for a in (1, 2)]  # cut by the clock

    def by_strings(x):
        chances = np.exp(x)
        logp, logt = np.log(chances / chances.sum(axis=1)[:, None])[rows], log_softmax(teacher)
        total = 0
        for string in strings:
            own = sum(logp[step] for step in string)
            total = total + np.exp(own) * (own - sum(logt[step] for step in string))
        return total

    x = np.random.default_rng(seed + 9).normal(size=(2, 3))
    loss, grad = string_distillation_loss(x, world, teacher, rows=rows)
    assert loss == pytest.approx(by_strings(x), rel=1e-12)
    np.testing.assert_allclose(grad, by_complex_step(lambda z: (by_strings(z), None), x),
                               atol=1e-12)


@SEEDS
def test_the_true_gradient_has_the_kl_still_to_come(seed):
    """(distillation.5) by loops; without `rest` it is the frozen one.  Its value is the same, and
    minus J of RLHF without a reward; that of the teacher's strings has no other gradient."""
    world, teacher, rows = random_teacher(seed, 3)
    x = np.random.default_rng(seed + 5).normal(size=(3, 3)) + np.array([2, 0, 0])
    p, logt = np.exp(log_softmax(x)[rows]), log_softmax(teacher)
    visits = occupancy(world, p)
    # V by iterating, and what follows a step: nothing after the end symbol.
    V = np.zeros(9)
    for _ in range(500):
        rest = np.array([[0 if a == 0 else V[(3 * s + a) % 9] for a in range(3)] for s in range(9)])
        V = (p * (np.log(p) - logt + rest)).sum(axis=1)
    for tail, found in ((rest, string_distillation_loss(x, world, teacher, rows=rows)),
                        (0 * rest, distillation_loss(x, teacher, visits, beta=1, rows=rows))):
        grad = np.zeros((3, 3))
        for s, a in product(range(9), range(3)):
            G = visits[s] * p[s, a] * (np.log(p[s, a]) - logt[s, a] + tail[s, a])
            grad[rows[s]] -= G * p[s]
            grad[rows[s], a] += G
        np.testing.assert_allclose(found[1], grad, atol=1e-12)
        assert found[0] == pytest.approx(V[0], rel=1e-12)
        assert found[0] == pytest.approx(-expectation(world, p, logt - np.log(p)), rel=1e-12)
    theirs = occupancy(world, np.exp(logt))

    def forward(z):
        """KL(T‖π) of strings; the visits are the teacher's."""
        logp = z - np.log(np.exp(z).sum(axis=1))[:, None]
        return (theirs[:, None] * np.exp(logt) * (logt - logp[rows])).sum()

    loss, grad = distillation_loss(x, teacher, theirs, beta=0, rows=rows)
    assert loss == pytest.approx(string_kl(world, teacher, log_softmax(x)[rows])[0], rel=1e-12)
    np.testing.assert_allclose(grad, by_complex_step(lambda z: (forward(z), None), x), atol=1e-12)


# The coin.

GAME = TabularMDP([[[1], [1]], [[1], [1]]], np.ones((2, 2, 1)), np.zeros((2, 2, 1)),
                  [[[False], [True]], [[False], [True]]], start=[1, 0], gamma=1.0)
COIN = np.log([[1 / 5, 4 / 5], [9 / 10, 1 / 10]])
ONE = np.zeros(2, int)


def line(world, teacher, student, rows, letters):
    """What the table of the chapter says of a student."""
    return [f"{x:.3f}" for x in (string_kl(world, teacher, student[rows])[0],
                                 string_kl(world, student[rows], teacher)[0], letters)]


def said(figures):
    """Whether a line of the chapter ends with these figures."""
    lines = [row.split() for row in chapter.__doc__.split("\n")]
    return any(row[-len(figures):] == figures for row in lines)


def test_the_coin_of_the_chapter():
    """By hand: 2/3; the root of 81/4; log-odds (1 − p) log ¼ + p log 9; a mode of log 5/4."""
    def rest(mix, lmbda):
        return fit_distilled([[0.0, 0.0]], GAME, COIN, beta=mix, lmbda=lmbda, rows=ONE)

    def heads(p):
        return p / (1 - p)

    found = minimise(lambda x: string_distillation_loss(x, GAME, COIN, rows=ONE), np.zeros((1, 2)))
    expected = [(rest(0, 0.0), "0.6667", ["0.759", "0.913", "2.000"]),
                (rest(0, 1.0), "0.6667", ["0.759", "0.913", "2.000"]),
                (rest(1, 1.0), "0.8307", ["0.996", "1.031", "4.906"]),
                (log_softmax(found.x), "0.0311", ["5.819", "0.195", "0.032"])]
    for student, chance, figures in expected:
        p = np.exp(student)[0, 0]
        assert f"{p:.4f}" == chance and line(GAME, COIN, student, ONE, heads(p)) == figures
        assert said(figures)
    p = np.exp(rest(1, 1.0))[0, 0]
    assert log(heads(p)) == pytest.approx((1 - p) * log(1 / 4) + p * log(9), abs=1e-9)
    p = np.exp(distilled(COIN, [1, 2], beta=1, rows=ONE))[0, 0]
    assert f"{heads(p):.4f} {p:.4f}" == "2.7257 0.7316"
    assert heads(p)**3 == pytest.approx(81 / 4) and found.converged

    def strings(p):
        return string_distillation_loss(np.log([[p, 1 - p]]), GAME, COIN, rows=ONE)[0]

    # A grid finds no lower student, and writing nothing is hardly worse.
    assert min(map(strings, np.linspace(0.001, 0.99, 100))) >= found.loss
    assert strings(1e-9) == pytest.approx(log(5 / 4), abs=1e-6)


def test_visits_can_be_counted_in_a_rollout():
    student = np.log([[2 / 3, 1 / 3]])
    steps = steps_played(GAME, np.exp(student)[ONE], np.zeros(20_000, int), horizon=200, rng=0)
    visits = counts.table(steps).sum(axis=1) / 20_000
    exact = occupancy(GAME, np.exp(student)[ONE])
    np.testing.assert_allclose(visits, exact, atol=0.06)
    np.testing.assert_allclose(distilled(COIN, visits, beta=1, rows=ONE),
                               distilled(COIN, exact, beta=1, rows=ONE), atol=0.02)


# The words.


@cache
def words():
    """The teacher, its world, its row of the student, and the words for it and for a bigram."""
    items = unicode_words()
    three, two = (fit(items, order=order, pseudo_count=0.1) for order in (3, 2))
    teacher = three.logits
    return (teacher, language(np.zeros(teacher.shape)), np.arange(729) % 27,
            {729: three.encode(items), 27: two.encode(items)})


def odd(logp):
    """The chance that a string has a step that the teacher takes with less than 1/1000."""
    teacher, world, _, _ = words()
    usual = np.exp(logp) * (log_softmax(teacher) >= log(1 / 1000))
    return 1 - world.start @ solve(transitions_under(world, usual), ending_chance(world, usual))


def figures(table):
    """The line of the chapter's table of words."""
    teacher, world, rows, items = words()
    logp = log_softmax(widen(table, 3))
    found = summary(table)
    return [f"{x:.3f}" for x in (string_kl(world, teacher, logp)[0],
                                 string_kl(world, logp, teacher)[0], found.letters, found.entropy,
                                 nats_per_character(table, items[len(table)]), odd(logp))]


@cache
def rests(mix, lmbda):
    teacher, world, rows, _ = words()
    return fit_distilled(np.zeros((27, 27)), world, teacher, beta=mix, lmbda=lmbda, rows=rows)


WORDS = {  # mix and lmbda, and the line of the table
    (0, 0.0): ["2.573", "3.908", "6.475", "20.527", "2.616", "0.233"],
    (0, 1.0): ["2.573", "3.908", "6.475", "20.527", "2.616", "0.233"],
    (0.5, 0.5): ["2.628", "3.647", "6.438", "19.980", "2.614", "0.198"],
    (1, 1.0): ["2.882", "4.014", "7.727", "22.999", "2.648", "0.159"]}
LEAST = ["7.794", "1.877", "2.913", "7.503", "3.205", "0.023"]


@pytest.mark.parametrize("settings", [
    (0, 0.0), (1, 1.0), *(pytest.param(settings, marks=pytest.mark.slow)
                          for settings in ((0, 1.0), (0.5, 0.5)))])
def test_a_line_of_the_table_of_words(settings):
    assert figures(rests(*settings)) == WORDS[settings]


def test_the_bigram_of_a_trigram_of_the_words():
    teacher, world, rows, _ = words()
    assert all(map(said, WORDS.values()))
    # KL(π‖T) per step, of which a string has one more than letters.
    assert [f"{float(reverse) / (float(length) + 1):.3f}" for _, reverse, length, *_ in (
        WORDS[0, 0.0], WORDS[1, 1.0])] == ["0.523", "0.460"]
    theirs = ["6.475", "17.954", "2.222", "0.013"]
    assert figures(teacher)[2:] == theirs and said(["0", "0", *theirs])
    at_rest = rests(1, 1.0)
    # It rests, and whole strings would go on to something else.
    visits = occupancy(world, np.exp(at_rest)[rows])
    assert np.abs(distillation_loss(at_rest, teacher, visits, beta=1, rows=rows)[1]).max() < 1e-9
    assert np.abs(string_distillation_loss(at_rest, world, teacher, rows=rows)[1]).max() > 0.5


@pytest.mark.slow
def test_the_least_kl_of_strings_that_was_found():
    """The same from the point of rest and from nothing."""
    teacher, world, rows, _ = words()

    def search(start):
        return minimise(lambda x: string_distillation_loss(x, world, teacher, rows=rows), start)

    found, other = search(rests(1, 1.0)), search(np.zeros((27, 27)))
    assert found.converged and found.loss == pytest.approx(other.loss, abs=1e-6)
    assert figures(log_softmax(found.x)) == LEAST and said(LEAST)
