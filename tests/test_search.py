"""The likeliest string: by planning, by beams, by its length; and what beams miss."""

import re
from dataclasses import replace
from functools import cache
from itertools import product
from unittest import mock

import numpy as np
import pytest

from minirl.beyond import search as chapter
from minirl.beyond.search import Answer, beam, follow, of_each_length, viterbi
from minirl.exact.planning import policy_iteration
from minirl.kernel.mdp import coin_game
from minirl.kernel.softmax import log_softmax
from minirl.people.regularised import regularised_optimum
from toy_lm.corpora import unicode_words
from toy_lm.exact import summary
from toy_lm.models import fit
from toy_lm.ngram import decoding, language

WIDTHS = 1, 2, 3, 4, 8, 16, 32, 64


@cache
def words(order):
    """A model of the words, its world, and the likeliest ending from each state."""
    model = fit(unicode_words(), order=order, pseudo_count=0.01 if order == 4 else 0.1)
    world = language(model.logits)
    return model, world, viterbi(world, model.logits)


@cache
def beams(order, width):
    """The answers for 27 prompts, nothing and each letter."""
    return [searched(order, beam, prompt, width) for prompt in range(27)]


@cache
def lengths(order):
    """The likeliest string of each length, after nothing."""
    return searched(order, of_each_length, 0, 100)


def searched(order, search, *arguments, **options):
    """What a search finds among the words.  All searches share one making of the tables."""
    (model, world, _), made = words(order), tables(order)
    with mock.patch.object(chapter, "_steps", lambda *_: made):
        return search(world, model.logits, *arguments, **options)


@cache
def tables(order):
    model, world, _ = words(order)
    return chapter._steps(world, model.logits)


def text(order, answer):
    return "".join(words(order)[0].vocabulary.letters[a - 1] for a in answer.actions[:-1])


def random_language(seed, letters=3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(letters + 1, letters + 1))
    return language(logits), logits


def all_strings(logits, state, longest):
    """(string, log π) of every string of at most so many steps, by a plain loop."""
    logp = log_softmax(logits)
    for steps in range(longest):
        for letters in product(range(1, logp.shape[1]), repeat=steps):
            s, total = state, 0.0
            for a in (*letters, 0):
                total, s = total + logp[s, a], a
            yield (*letters, 0), total


def test_the_likeliest_of_all_strings_is_what_viterbi_finds():
    """(search.1), from every state of languages whose likeliest strings have at most four letters,
    and (search.4) for each number of steps."""
    for seed in range(20):
        world, logits = random_language(seed)
        best = viterbi(world, logits)
        assert best.rounds <= 4
        for state in range(4):
            strings = list(all_strings(logits, state, 5))
            answer = follow(world, best, state)
            expected, log_prob = max(strings, key=lambda pair: pair[1])
            assert answer.actions == expected
            assert answer.log_prob == pytest.approx(log_prob, abs=1e-12)
            for steps, found in enumerate(of_each_length(world, logits, state, 5), start=1):
                log_prob = max(total for y, total in strings if len(y) == steps)
                assert len(found.actions) == steps  # of letters in another order, where these tie
                assert dict(strings)[found.actions] == pytest.approx(log_prob, abs=1e-12)
                assert found.log_prob == pytest.approx(log_prob, abs=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_the_likeliest_string_is_the_best_policy_of_a_world_that_pays_log_pi(order):
    """(search.1) is (planning.1)."""
    model, world, best = words(order)
    paid = replace(world, reward=log_softmax(model.logits)[:, :, None],
                   start=np.full(world.shape[0], 1 / world.shape[0]))
    planned = policy_iteration(paid)
    np.testing.assert_allclose(best.values, planned.values, rtol=0, atol=1e-12)
    assert (planned.policy.argmax(axis=1) == best.actions).mean() > 0.999


def test_the_rounds_are_the_steps_of_the_longest_of_the_likeliest_endings():
    """No more than there are states."""
    assert [words(order)[2].rounds for order in (2, 3, 4)] == [2, 4, 8]
    for order in 2, 3:
        _, world, best = words(order)
        assert best.rounds == max(len(follow(world, best, s).actions)
                                  for s in range(world.shape[0]))
    for seed in range(20):
        world, logits = random_language(seed)
        assert viterbi(world, 5 * logits).rounds <= 4


def test_a_beam_with_room_for_every_prefix_is_exact_and_width_one_is_greedy():
    """(search.2), with and without a penalty on the length, (search.3)"""
    for seed in range(10):
        world, logits = random_language(seed)
        for penalty in 0.0, 0.6, 1.0:
            expected, log_prob = max(all_strings(logits, 0, 5),
                                     key=lambda pair: pair[1] / len(pair[0])**penalty)
            answer = beam(world, logits, 0, 3**5, length_penalty=penalty, horizon=5)
            assert answer.actions == expected
            assert answer.log_prob == pytest.approx(log_prob, abs=1e-12)
        s, greedy = 0, []
        while len(greedy) < 100 and (not greedy or greedy[-1]):
            greedy.append(int(logits[s].argmax()))
            s = greedy[-1]
        found = beam(world, logits, 0, 1)
        assert found.actions == (tuple(greedy) if greedy[-1] == 0 else ())
        assert found.rows == len(greedy)


def test_a_beam_keeps_the_likeliest_prefixes_and_an_ended_one_takes_a_place():
    """(search.2), by a plain loop over lists that never stops before the horizon.  It counts the
    rows that are read as long as a prefix may still become the answer."""
    for seed, width, penalty in product(range(10), (1, 2, 3, 5), (0.0, 0.7)):
        world, logits = random_language(seed)
        logp, prefixes, best, rows = log_softmax(logits), [((), 0.0)], ((), -np.inf), 0
        for steps in range(1, 13):
            if prefixes and prefixes[0][1] / 12**penalty > best[1]:
                rows += len(prefixes)
            grown = sorted((((*y, a), total + logp[y[-1] if y else 2, a])
                            for y, total in prefixes for a in range(4)), key=lambda pair: -pair[1])
            for y, total in grown[:width]:
                if y[-1] == 0 and total / steps**penalty > best[1]:
                    best = y, total / steps**penalty
            prefixes = [(y, total) for y, total in grown[:width] if y[-1]]
        found = beam(world, logits, 2, width, length_penalty=penalty, horizon=12)
        assert (found.actions, found.rows) == (best[0], rows)
        if best[0]:
            assert found.log_prob / len(best[0])**penalty == pytest.approx(best[1], abs=1e-12)


# The words.


def rows_of_the_chapter(start, end=""):
    """The cells of each line of the text that begins with this number or word."""
    return [row.split() for row in re.findall(rf"^    {start} {{2,}}(\S.*?){end}$", chapter.__doc__,
                                              flags=re.M)]


@pytest.mark.parametrize("order, short, exact_from", [
    (2, [0.68, 0.32, 0.12, 0.05, 0, 0, 0, 0], 8),
    (3, [0.60, 0.37, 0.16, 0.03, 0.003, 0, 0, 0], 16),
    pytest.param(4, None, 64, marks=pytest.mark.slow)])
def test_what_a_beam_misses(order, short, exact_from):
    """For each width, exactly, as the table of the text says; the mean shortfall falls."""
    widths, = rows_of_the_chapter("width")
    assert widths == [str(width) for width in WIDTHS]
    right = [int(cell) for cell in rows_of_the_chapter(f"order {order}", "(?:   of 27 right)?")[0]]
    if order == 4:
        short = [float(cell) for cell in rows_of_the_chapter(
            "order 4", "   nats short, mean")[0]]
    best = words(order)[2].values[:27]
    gaps = np.array([[best[s] - answer.log_prob for s, answer in enumerate(beams(order, width))]
                     for width in WIDTHS])
    assert gaps.min() > -1e-12
    assert (gaps < 1e-9).sum(axis=1).tolist() == right
    mean = gaps.mean(axis=1)
    np.testing.assert_array_less(np.abs(mean - short), np.where(np.array(short) < 0.01, 6e-4, 6e-3))
    assert (np.diff(mean) <= 1e-12).all()
    assert (gaps[WIDTHS.index(exact_from):] < 1e-9).all()


def test_a_wider_beam_may_find_less():
    """At order 4, after d and s.  After d, a beam of 2 ends "iga", at −5.111; one of 3 keeps "iv",
    whose offspring are likelier than that end, and it answers "ivide", at −5.320."""
    worse = [s for s, (two, three) in enumerate(zip(beams(4, 2), beams(4, 3)))
             if three.log_prob < two.log_prob - 1e-9]
    assert ["abcdefghijklmnopqrstuvwxyz"[s - 1] for s in worse] == ["d", "s"]
    d = worse[0]
    assert [(text(4, beams(4, width)[d]), round(beams(4, width)[d].log_prob, 3))
            for width in (2, 3)] == [("iga", -5.111), ("ivide", -5.320)]
    assert [kept_after(d, width, 2) for width in (2, 3)] == [["ia", "ig"], ["ia", "ig", "iv"]]
    assert [kept_after(d, width, 4) for width in (2, 3)] == [
        ["igra", "iga."], ["igra", "ivid", "ivis"]]


def kept_after(state, width, steps):
    """What a beam at order 4 keeps after so many steps, likeliest first, by a plain loop."""
    model, world, _ = words(4)
    logp, kept = log_softmax(model.logits), [(0.0, "", state)]
    for _ in range(steps):
        kept = sorted([(total + logp[s, a], y + ("." + model.vocabulary.letters)[a],
                        world.next_state[s, a, 0]) for total, y, s in kept
                       if not y.endswith(".") for a in range(27)], reverse=True)[:width]
    return [y for _, y, _ in kept]


def test_what_a_beam_reads_and_what_viterbi_reads():
    """At order 4: 161 rows on average, and nine times 19,683."""
    assert round(np.mean([answer.rows for answer in beams(4, 64)])) == 161
    assert follow(*words(4)[1:], 0).rows == 9 * 19_683


def test_the_likeliest_words():
    found = {order: follow(*words(order)[1:], 0) for order in (2, 3, 4)}
    assert {order: text(order, answer) for order, answer in found.items()} == {
        2: "s", 3: "ma", 4: "bar"}
    assert [round(np.exp(answer.log_prob), 4) for answer in found.values()] == [
        0.0237, 0.0059, 0.0014]
    assert [text(order, beams(order, 1)[0]) for order in (2, 3, 4)] == ["s", "se", "semicine"]
    assert words(4)[1].shape[0] == 19_683
    assert -found[2].log_prob == pytest.approx(3.74, abs=0.005)
    assert summary(words(2)[0].logits).entropy == pytest.approx(17.93, abs=0.005)
    lengths = [len(word) for word in unicode_words()]
    assert np.mean(lengths) == pytest.approx(5.89, abs=0.005)
    assert (min(lengths), max(lengths)) == (3, 12)


def test_the_wider_the_beam_the_shorter_the_words():
    """The curse, at order 4, the letter of the prompt counted but the end not; and an exception."""
    lengths = [np.mean([len(answer.actions) for answer in beams(4, width)[1:]])
               for width in (1, 2, 4, 8, 16, 32)]
    assert np.round(lengths, 2).tolist() == [4.31, 3.88, 3.50, 3.50, 3.31, 3.31]
    _, world, best = words(4)
    exact = np.mean([len(follow(world, best, s).actions) for s in range(1, 27)])
    assert round(exact, 2) == 3.31
    assert [text(4, beams(4, width)[0]) for width in (4, 8, 16)] == ["ther", "comple", "bar"]


def test_the_prices_of_the_chapter():
    heading, = re.findall(r"^    order  penalty +(.*)$", chapter.__doc__, flags=re.M)
    assert heading.split("   ")[0] == "greedy" and re.findall("width [0-9]+", heading) == [
        "width 4", "width 16"]
    assert [row[0] for order in "34" for row in rows_of_the_chapter("  " + order)] == [
        "1", "0.6", "1"]


@pytest.mark.parametrize("order, penalty, by_beams, exact", [
    (4, 0.0, ["semicine", "ther", "bar"], "bar"),
    *((int(order), float(penalty), by_beams, exact) for order in "34"
      for penalty, *by_beams, exact in rows_of_the_chapter("  " + order))])
def test_a_price_on_length(order, penalty, by_beams, exact):
    """(search.3) by (search.4), as the text has it; no beam up to 64 finds the two last."""
    def score(answer):
        return answer.log_prob / len(answer.actions)**penalty

    best = max(lengths(order), key=score)
    found = [searched(order, beam, 0, width, length_penalty=penalty) for width in WIDTHS]
    assert text(order, best) == exact
    assert [text(order, found[WIDTHS.index(width)]) for width in (1, 4, 16)] == by_beams
    assert all(score(answer) <= score(best) + 1e-12 for answer in found)
    if order == 4 and penalty > 0:
        assert all(score(answer) < score(best) - 1e-3 for answer in found)
    if order == 4 and penalty == 1:
        assert text(order, found[-1]).count("mikuruzeirth") == 4
        assert len(found[-1].actions) == 96


def test_a_price_of_zero_writes_the_likeliest_string_and_a_temperature_of_zero_is_greedy():
    """(search.5): the optimum over strings for the reward log π(y), by its chances too."""
    world, logits = random_language(3)
    paid = replace(world, reward=log_softmax(logits)[:, :, None])
    strings = dict(all_strings(logits, 0, 9))
    for beta in 0.5, 0.1:
        assert 1 / (1 + 1 / beta) == pytest.approx(beta / (1 + beta))  # the temperature
        logp = log_softmax(np.log(regularised_optimum(paid, logits, beta=beta).policy))
        tilted = dict(all_strings(logp, 0, 3))
        partition = sum(np.exp((1 + 1 / beta) * log_prob) for log_prob in strings.values())
        for y, log_prob in tilted.items():
            expected = (1 + 1 / beta) * strings[y] - np.log(partition)
            assert log_prob == pytest.approx(expected, abs=2e-3 if beta == 0.5 else 1e-7)
    model, world, best = words(2)
    paid = replace(world, reward=log_softmax(model.logits)[:, :, None])
    cold = regularised_optimum(paid, model.logits, beta=0.01)
    np.testing.assert_array_equal(cold.policy.argmax(axis=1), best.actions)
    assert cold.policy[0].max() > 0.999
    frozen = np.exp(decoding(model.logits, temperature=0.001))
    np.testing.assert_array_equal(frozen.argmax(axis=1), model.logits.argmax(axis=1))


# What cannot end, and ties.


def test_where_no_string_ends_nothing_is_found():
    logits = np.array([[-np.inf, 0.0, 0.0], [-np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0]])
    logits[1:, 1] = 0.0
    logits[:2, 2] = -np.inf
    world = language(np.zeros((3, 3)))
    best = viterbi(world, logits)
    assert best.values[:2].tolist() == [-np.inf, -np.inf] and best.actions[:2].tolist() == [-1, -1]
    assert follow(world, best, 0) == Answer((), -np.inf, (best.rounds + 1) * 3)
    assert follow(world, best, 2).actions == (0,)
    assert beam(world, logits, 0, 5, horizon=20) == Answer((), -np.inf, 20)  # one prefix, always
    assert of_each_length(world, logits, 0, 3) == [
        Answer((), -np.inf, 3 * steps) for steps in (1, 2, 3)]


def tied(*scores):
    """Sums of logarithms tie exactly on most processors; on others there is no tie to look at."""
    if len(set(map(float, scores))) > 1:
        pytest.skip("on this processor the logarithms of powers of 2 do not add up exactly")


def test_of_equally_likely_strings_the_shortest_and_the_first():
    """By chances that are powers of 2, so that sums of logarithms tie exactly.  At first 0, (1, 0)
    and (2, 0) have the chance 1/8."""
    table = np.log([[1/8, 1/4, 1/4, 3/8], [1/2, 1/8, 1/8, 1/4], [1/2, 1/8, 1/8, 1/4],
                    [1/64, 1/64, 1/64, 61/64]])
    world = language(table)
    strings = dict(all_strings(table, 0, 3))
    tied(strings[(0,)], strings[(1, 0)], strings[(2, 0)], max(strings.values()))
    assert follow(world, viterbi(world, table), 0).actions == (0,)
    assert beam(world, table, 0, 50).actions == (0,)
    table[0, :] = np.log([1/16, 1/4, 1/4, 7/16])  # now the first two of two steps are the likeliest
    assert follow(world, viterbi(world, table), 0).actions == (1, 0)
    assert beam(world, table, 0, 50).actions == (1, 0)
    assert [y.actions for y in of_each_length(world, table, 0, 3)] == [(0,), (1, 0), (1, 1, 0)]
    table[0, :] = np.log([1/32, 1/8, 1/4, 19/32])
    table[2, :] = np.log([1/4, 1/4, 1/4, 1/4])
    tied(*(dict(all_strings(table, 0, 2))[actions] for actions in ((1, 0), (2, 0))))
    assert follow(world, viterbi(world, table), 0).actions == (1, 0)
    assert beam(world, table, 0, 50).actions == (2, 0)  # 2 is the likelier prefix
    table[:3] = np.log([[1/16, 1/2, 1/4, 3/16], [1/8, 1/8, 1/2, 1/4], [1/2, 1/8, 1/8, 1/4]])
    strings = dict(all_strings(table, 0, 3))
    tied(strings[(2, 0)], strings[(1, 2, 0)], max(strings.values()))
    assert follow(world, viterbi(world, table), 0).actions == (2, 0)  # the shorter one
    assert beam(world, table, 0, 50).actions == (2, 0)


def test_a_length_that_no_string_has_is_left_empty():
    """In a language in which letter 1 must follow the start and end comes next."""
    table = np.array([[-np.inf, 0.0], [0.0, -np.inf]])
    found = of_each_length(language(np.zeros((2, 2))), table, 0, 3)
    assert [(y.actions, y.log_prob) for y in found] == [
        ((), -np.inf), ((1, 0), 0.0), ((), -np.inf)]


def test_only_what_is_available_is_written():
    """As if its logit were −∞."""
    world, logits = random_language(5)
    fewer = replace(world, available=np.tile([True, False, True, True], (4, 1)))
    masked = np.where(fewer.available, logits, -np.inf)
    for state in range(4):
        for found, expected in zip(
                (follow(fewer, viterbi(fewer, logits), state), beam(fewer, logits, state, 9),
                 *of_each_length(fewer, logits, state, 4)),
                (follow(world, viterbi(world, masked), state), beam(world, masked, state, 9),
                 *of_each_length(world, masked, state, 4)), strict=True):
            assert found == expected and 1 not in found.actions


def test_a_loop_that_costs_nothing_does_not_catch_the_likeliest_string():
    """At logits of 1e4 to stay costs 0 as a float; the ending is found all the same."""
    coin = coin_game()
    best = viterbi(coin, np.array([[1e4, 0.0]]))
    assert follow(coin, best, 0).actions == (1,) and best.values.tolist() == [-1e4]
