"""Language models of any order: their worlds by loops, their strings by chi-square."""

from collections import Counter
from itertools import product
from math import exp, prod
import re

from luck import FALSE_ALARM
import numpy as np
import pytest
from scipy.special import chdtrc

from minirl.kernel import counts
from minirl.kernel.playing import steps_played
from minirl.people.sft import sft_loss
from minirl.kernel.softmax import log_softmax
from toy_lm import ngram
from toy_lm.ngram import (HORIZON, decoding, finished, language, nats_per_character, order_of,
                          sample, score, widen)
from toy_lm.vocabulary import from_items

WORDS = from_items(["abc"])
LOGITS = np.array([[-1.0, 0.3, 0.9, -0.2], [0.4, -0.6, 0.8, 0.1], [0.2, 1.1, -1.2, 0.5],
                   [-0.3, 0.7, 0.0, -0.9]])
CHANCE = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def table_of(order, seed=0):
    """A random table over a, b, c whose strings are not long."""
    logits = 0.7 * np.random.default_rng(seed).normal(size=WORDS.shape(order))
    logits[:, 0] += 0.2
    return logits


def steps_of(text, order=2, prompt=""):
    """The steps of a string, state and symbol, by loops; a, b, c are 1, 2, 3."""
    symbols = ["abc".index(letter) + 1 for letter in prompt + text] + [0]
    written = []
    for n, symbol in enumerate(symbols):
        memory = ([0] * order + symbols[:n])[n + 1:]
        written.append((sum(digit * 4**i for i, digit in enumerate(reversed(memory))), symbol))
    return written[len(prompt):]


def texts_to(longest):
    return ["".join(letters) for n in range(longest + 1)
            for letters in product("abc", repeat=n)]


def decoded_by_loops(logits, temperature, top_k=None, top_p=1.0):
    """The probabilities of (ngram.2), and of their nucleus (ngram.3)."""
    table = np.zeros(logits.shape)
    for s, row in enumerate(logits):
        least = sorted(row, reverse=True)[:top_k][-1]
        weights = [exp(value / temperature) if value >= least else 0.0 for value in row]
        falling, n = sorted(weights, reverse=True), 1
        while sum(falling[:n]) < top_p * sum(weights) * (1 - 1e-12):
            n += 1
        weights = [weight if weight >= falling[n - 1] else 0.0 for weight in weights]
        table[s] = [weight / sum(weights) for weight in weights]
    return table


@pytest.fixture(params=[ngram.PREPARED, 0], ids=["prepared", "met"])
def rows(request, monkeypatch):
    """Runs a test twice: with all rows made ready before, and with those that are met only."""
    monkeypatch.setattr(ngram, "PREPARED", request.param)


def assert_drawn_from(observed, expected, *, constraints=1):
    """Chi-square; `constraints` is how many sums of the observed counts are given."""
    assert min(expected) >= 5
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected))
    assert chdtrc(len(expected) - constraints, statistic) > FALSE_ALARM


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_writing_drops_the_first_digit_of_the_state_and_adds_the_symbol_at_the_end(order):
    """(vocabulary.2), on tuples of digits"""
    rewards = np.random.default_rng(order).normal(size=(3**(order - 1), 3))
    world = language(rewards)
    assert (world.mean_reward == rewards).all() and (world.prob == 1).all() and world.gamma == 1
    numbered = list(product(range(3), repeat=order - 1))
    assert world.shape == (len(numbered), 3) and world.start.tolist() == [1] + [0] * (
        len(numbered) - 1)
    for s, digits in enumerate(numbered):
        for a in range(3):
            assert numbered[world.next_state[s, a, 0]] == (*digits, a)[1:]
            assert world.terminated[s, a, 0] == (a == 0)


def test_the_shape_of_a_table_says_its_order():
    for A, order in product(range(2, 7), range(1, 6)):
        assert order_of((A**(order - 1), A)) == order
    assert order_of(WORDS.shape(4)) == 4 and order_of((2**29, 2)) == 30  # the longest there is


# The likelihood.


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_log_probability_of_a_string_is_a_sum_over_its_steps(order):
    """(ngram.1)."""
    logits, texts = table_of(order), texts_to(4)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for value, text in zip(score(logits, WORDS.encode(texts, order=order)), texts):
        expected = prod(chance[step] for step in steps_of(text, order))
        assert exp(value) == pytest.approx(expected, rel=1e-12)


def test_a_string_that_was_cut_is_scored_as_far_as_it_goes():
    whole = WORDS.encode(["abca"])
    cut = counts.steps(*np.divmod(whole.index[:3], 4), np.array([0, 3, 3]), (4, 4))
    found = score(LOGITS, cut)
    expected = sum(np.log(CHANCE[step]) for step in [(0, 1), (1, 2), (2, 3)])
    assert found[0] == pytest.approx(expected, rel=1e-12) and found[1] == 0


def test_a_string_that_the_model_cannot_write_scores_minus_infinity_and_no_other_does():
    logits = LOGITS.copy()
    logits[1, 2] = -np.inf  # no b after an a
    texts = texts_to(3)
    steps = WORDS.encode(texts)
    assert [value == -np.inf for value in score(logits, steps)] == ["ab" in t for t in texts]
    assert not np.isnan(score(logits, steps)).any()
    assert nats_per_character(logits, steps) == np.inf
    assert nats_per_character(logits, WORDS.encode(["ba", "c"])) < np.inf


def test_the_mean_over_letters_is_the_loss_and_not_the_log_probability():
    """(ngram.1) divided by the number of letters and ends: the likelihood per character."""
    texts = ["ab", "", "cabba"]
    logp = [np.log(CHANCE[step]) for text in texts for step in steps_of(text)]
    assert len(logp) == 10
    loss, _ = sft_loss(LOGITS, counts.table(WORDS.encode(texts)))
    assert loss == pytest.approx(-sum(logp) / 10, rel=1e-12)
    assert nats_per_character(LOGITS, WORDS.encode(texts)) == pytest.approx(loss, rel=1e-14)


# The strings.


def test_strings_are_cut_at_the_horizon_and_lack_the_end(rows):
    never_end = np.array([[-1e4, 0.0, 0.0, 0.0]] * 4)
    steps = sample(never_end, 5, rng=0, horizon=7)
    assert np.diff(steps.starts).tolist() == [7] * 5 and (steps.index % 4 > 0).all()
    texts = WORDS.decode(steps)
    assert all(re.fullmatch("[abc]{7}…", text) for text in texts)
    assert np.diff(sample(never_end, 1, rng=0).starts).tolist() == [HORIZON] == [1000]


def test_a_string_without_steps_is_not_finished():
    steps = counts.steps(*np.divmod([0, 1, 4], 4), np.array([0, 0, 1, 1, 3, 3]), (4, 4))
    assert finished(steps).tolist() == [False, True, False, True, False]
    assert finished(WORDS.encode([])).tolist() == []


# Temperature and top-k.


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [None, 1, 2, 3, 4, 9])
def test_a_decoding_is_a_power_of_the_likeliest_entries_of_each_row(monkeypatch, order, temperature,
                                                                    top_k):
    """(ngram.2) and (ngram.3), also where few rows are decoded at a time"""
    monkeypatch.setattr(ngram, "ROWS", 3)
    logits = table_of(order, seed=order)
    for top_p in 1, 0.99, 0.7, 0.4, 0:
        found = decoding(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        expected = decoded_by_loops(logits, temperature, top_k, top_p)
        np.testing.assert_allclose(np.exp(found), expected, rtol=1e-12)
        assert ((found == -np.inf) == (expected == 0)).all()
        kept = (found > -np.inf).sum(axis=1)
        most = 4 if top_k is None else min(top_k, 4)
        assert (kept == most).all() if top_p == 1 else (kept <= most).all()


def test_by_default_a_decoding_is_the_model():
    np.testing.assert_allclose(decoding(LOGITS), log_softmax(LOGITS), rtol=1e-14)
    np.testing.assert_allclose(decoding(LOGITS + [[5.0], [-7.0], [900.0], [0.0]], top_k=2),
                               decoding(LOGITS, top_k=2), rtol=1e-12)


@pytest.mark.parametrize("row, top_k, kept", [
    ([1.0, 1.0, 0.0, -1.0], 1, [0, 1]), ([1.0, 1.0, 0.0, -1.0], 2, [0, 1]),
    ([1.0, 1.0, 0.0, -1.0], 3, [0, 1, 2]), ([0.1, 0.7, 0.1, 0.1], 2, [0, 1, 2, 3]),
    ([0.3, 0.3, 0.3, 0.3], 1, [0, 1, 2, 3]), ([-np.inf, 0.2, -np.inf, 0.1], 3, [1, 3]),
    ([-np.inf, 0.2, 0.1, 0.1], 2, [1, 2, 3])])
def test_what_is_as_likely_as_the_kth_is_kept(row, top_k, kept):
    found = np.exp(decoding(np.array([row]), top_k=top_k))[0]
    assert np.flatnonzero(found).tolist() == kept and found.sum() == pytest.approx(1, abs=1e-15)
    weights = np.exp([row[a] for a in kept])
    np.testing.assert_allclose(found[kept], weights / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize("row, top_p, kept", [
    ([0.5, 0.3, 0.2], 0.5, [0]), ([0.5, 0.3, 0.2], 0.8, [0, 1]), ([0.5, 0.3, 0.2], 0.81, range(3)),
    ([0.1, 0.9], 0.9, [1]), ([0.7, 0.1, 0.1, 0.1], 0.8, [0, 1, 2, 3]), (10 * [0.1], 0.3, range(10)),
    ([0.2, 0.4, 0.4], 0.1, [1, 2]), ([0.2, 0.5, 0.3], 0, [1]), ([0.5, 0.0, 0.5], 0.99, [0, 2]),
    ([1.0, 1e-300, 1e-17], 1 - 1e-9, [0]), ([1.0, 1e-300, 1e-17], 1, [0, 1, 2])])
def test_a_nucleus_is_as_small_as_can_be_and_what_is_as_likely_as_its_last_is_in_it(row, top_p,
                                                                                    kept):
    with np.errstate(divide="ignore"):
        found = np.exp(decoding(np.log([row]), top_p=top_p))[0]
    assert np.flatnonzero(found).tolist() == list(kept)
    np.testing.assert_allclose(found[kept], np.array(row)[kept] / sum(row[a] for a in kept),
                               rtol=1e-12)


def test_a_nucleus_is_taken_of_what_temperature_and_k_have_left():
    """As in other libraries: the likeliest is 0.45 of all, 0.66 at that temperature, 0.69 of two"""
    logits = np.log([[0.45, 0.2, 0.19, 0.16]])
    for options, kept in ({}, 2), ({"temperature": 0.5}, 1), ({"top_k": 2}, 1):
        assert np.isfinite(decoding(logits, top_p=0.62, **options)).sum() == kept


@pytest.mark.parametrize("temperature", [1e-6, 1e-100, 1e-300, 1e-307])
def test_a_cold_decoding_takes_the_likeliest_whatever_overflows(temperature):
    for scale in 1, 1e10:
        found = np.exp(decoding(scale * LOGITS, temperature=temperature))
        assert (found == np.eye(4)[LOGITS.argmax(axis=1)]).all()


def test_a_hot_decoding_takes_all_that_are_kept_alike():
    found = np.exp(decoding(np.array([[9.0, 5.0, 3.0, -4.0]]), temperature=1e300, top_k=3))
    np.testing.assert_allclose(found, [[1 / 3, 1 / 3, 1 / 3, 0]], rtol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("temperature", [0.6, 1.0])
@pytest.mark.parametrize("cut", [{}, {"top_k": 3}, {"top_p": 0.95}])
def test_strings_and_transitions_follow_the_table_of_the_decoding(rows, order, temperature, cut):
    """(ngram.1), (ngram.2) and (ngram.3) are the law of `sample`"""
    world = np.random.Generator(np.random.PCG64(3))  # one table for all `--seeds`, which draw
    N, logits = 20_000, 0.6 * table_of(order, seed=world)
    chance = decoded_by_loops(logits, temperature, **cut)
    drawn = sample(decoding(logits, temperature=temperature, **cut), N, rng=order)
    assert finished(drawn).all()

    expected = {text: N * prod(chance[step] for step in steps_of(text, order))
                for text in texts_to(4)}
    likely = [text for text in expected if expected[text] >= 20]
    found = Counter(WORDS.decode(drawn))
    rest = N - sum(expected[text] for text in likely)
    assert len(likely) > 20 and all(found[text] == 0 for text in expected if expected[text] == 0)
    assert_drawn_from([found[text] for text in likely] + [N - sum(found[t] for t in likely)],
                      [expected[text] for text in likely] + [rest])

    table = counts.table(drawn)
    expected = table.sum(axis=1, keepdims=True) * chance
    assert (table[chance == 0] == 0).all()
    often = np.where(chance > 0, expected, np.inf).min(axis=1) >= 5
    cells = (chance > 0) & often[:, None]
    assert often.sum() >= {2: 4, 3: 10}[order]
    assert_drawn_from(table[cells], expected[cells], constraints=often.sum())


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.6}, {"temperature": 1.7, "top_k": 3},
                                     {"top_k": 2}, {"top_p": 0.6}])
def test_a_string_is_scored_with_the_table_it_was_drawn_from(monkeypatch, order, options):
    """Pitfall 40: the ratio is exactly one, step by step"""
    given = []

    def watched(world, policy, *arguments, **others):
        given.append(policy)
        return steps_played(world, policy, *arguments, **others)

    monkeypatch.setattr(ngram.playing, "steps_played", watched)
    logits = table_of(order, seed=4)
    table = decoding(logits, **options)
    steps = sample(table, 500, rng=5, horizon=50)
    each = steps._replace(starts=np.arange(steps.index.size + 1))  # every step a string
    drawn_with = given[0].ravel()[steps.index]
    assert (np.exp(score(table, each)) / drawn_with == 1).all()
    total = np.add.reduceat(np.log(drawn_with), steps.starts[:-1])
    np.testing.assert_allclose(score(table, steps), total, rtol=1e-12, atol=1e-12)
    if options:
        assert np.abs(np.exp(score(logits, each)) / drawn_with - 1).max() > 0.1


def test_completions_begin_in_the_states_of_their_prompts(rows):
    """Each string has a prompt of its own, here three of a trigram in turn"""
    states = np.array([WORDS.state(prompt, order=3) for prompt in ("", "ab", "c")] * 50)
    steps = sample(table_of(3, seed=9), 150, rng=10, prompt=states)
    assert (steps.index[steps.starts[:-1]] // 4 == states).all()


def test_widening_repeats_the_row_of_the_last_letters():
    for own, order in [(1, 1), (1, 2), (1, 4), (2, 2), (2, 3), (2, 4), (3, 4)]:
        table = np.random.default_rng(own).normal(size=WORDS.shape(own))
        wide = widen(table, order)
        assert wide.shape == WORDS.shape(order)
        for s, digits in enumerate(product(range(4), repeat=order - 1)):
            row = 0
            for digit in digits[order - own:]:
                row = 4 * row + digit
            assert (wide[s] == table[row]).all()


def test_many_strings_are_drawn_in_blocks_that_follow_each_other(rows, monkeypatch):
    monkeypatch.setattr(ngram, "AT_ONCE", 7)
    rng, prompts = np.random.default_rng(3), np.arange(17) % 4
    blocks = [sample(LOGITS, len(part), rng=rng, prompt=part)
              for part in (prompts[:7], prompts[7:14], prompts[14:])]
    found = sample(LOGITS, 17, rng=3, prompt=prompts)
    assert found.index.tolist() == np.concatenate([part.index for part in blocks]).tolist()
    assert found.starts.size == 18
