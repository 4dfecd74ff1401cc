"""The bigram model: its world by loops, its strings by chi-square."""

from collections import Counter
from itertools import product
from math import exp, prod
import re

import numpy as np
import pytest
from scipy.special import chdtrc

from minirl import counts
from minirl.mdp import rollout
from minirl.sft import fit_by_counting, sft_loss
from minirl.softmax import log_softmax
from toy_lm.ngram import HORIZON, language, sample
from toy_lm.vocabulary import from_items

FALSE_ALARM = 1e-6
WORDS = from_items(["abc"])
LOGITS = np.array([[-1.0, 0.3, 0.9, -0.2], [0.4, -0.6, 0.8, 0.1], [0.2, 1.1, -1.2, 0.5],
                   [-0.3, 0.7, 0.0, -0.9]])
CHANCE = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def drawn():
    """20,000 strings of the model."""
    return sample(LOGITS, 20_000, rng=1)


def pairs_of(text):
    """The pairs of symbols of a string, by loops; a, b, c are 1, 2, 3."""
    symbols = ["abc".index(letter) + 1 for letter in text]
    return list(zip([0] + symbols, symbols + [0]))


def assert_drawn_from(observed, expected, *, constraints=1):
    """Chi-square; `constraints` is how many sums of the observed counts are given."""
    assert min(expected) >= 5
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected))
    assert chdtrc(len(expected) - constraints, statistic) > FALSE_ALARM


# The world.


def test_the_world_of_a_language_goes_where_it_writes_and_ends_with_the_end_symbol():
    rewards = np.arange(16.0).reshape(4, 4)
    world = language(rewards)
    assert world.next_state.shape == (4, 4, 1) and world.gamma == 1.0
    for s, a in product(range(4), repeat=2):
        assert world.next_state[s, a, 0] == a and world.prob[s, a, 0] == 1.0
        assert world.reward[s, a, 0] == 4 * s + a and world.terminated[s, a, 0] == (a == 0)
    assert world.start.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_an_episode_earns_the_rewards_of_its_string():
    rewards = np.random.default_rng(2).normal(size=(4, 4))
    played = rollout(language(rewards), CHANCE, np.zeros(50, int), horizon=HORIZON, rng=3)
    strings = WORDS.decode(played.steps((4, 4)))
    for total, text in zip(played.rewards.sum(axis=0), strings):
        assert total == pytest.approx(sum(rewards[pair] for pair in pairs_of(text)), abs=1e-12)


@pytest.mark.parametrize("rewards, message", [
    (np.zeros((2, 3)), "S = A^(order - 1) states, got (2, 3)"),
    (np.zeros(4), "S = A^(order - 1) states, got (4,)"),
    (np.zeros((3, 3, 1)), "S = A^(order - 1) states, got (3, 3, 1)"),
    (np.array([[0.0, 0.0], [np.nan, 0.0]]), "reward[1, 0, 0] must be finite, got nan"),
])
def test_a_reward_table_that_is_no_language_is_refused(rewards, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        language(rewards)


# The likelihood.


def test_the_log_probability_of_a_string_is_a_sum_over_its_pairs_and_the_end():
    """(ngram.1)."""
    texts = ["".join(letters) for n in range(5) for letters in product("abc", repeat=n)]
    found = counts.matrix(WORDS.encode(texts)) @ log_softmax(LOGITS).ravel()
    for value, text in zip(found, texts):
        assert exp(value) == pytest.approx(prod(CHANCE[pair] for pair in pairs_of(text)), rel=1e-12)


def test_the_mean_over_letters_is_the_loss_and_not_the_log_probability():
    """(ngram.1) divided by the number of letters and ends: the likelihood per character."""
    texts = ["ab", "", "cabba"]
    logp = [np.log(CHANCE[pair]) for text in texts for pair in pairs_of(text)]
    assert len(logp) == 10
    loss, _ = sft_loss(LOGITS, counts.table(WORDS.encode(texts)))
    assert loss == pytest.approx(-sum(logp) / 10, rel=1e-12)


# The strings.


def test_whole_strings_are_drawn_as_often_as_their_probability_says(drawn):
    """(ngram.1) is the law of `sample`."""
    found = Counter(WORDS.decode(drawn))
    texts = ["".join(letters) for n in range(3) for letters in product("abc", repeat=n)]
    expected = [20_000 * prod(CHANCE[pair] for pair in pairs_of(text)) for text in texts]
    assert_drawn_from([found[text] for text in texts] + [20_000 - sum(found[t] for t in texts)],
                      expected + [20_000 - sum(expected)])


def test_first_letters_follow_the_first_row_of_the_table(drawn):
    first = Counter(drawn.index[drawn.starts[:-1]].tolist())
    assert set(first) <= {0, 1, 2, 3}  # pairs (0, a)
    assert_drawn_from([first[a] for a in range(4)], 20_000 * CHANCE[0])


def test_every_next_symbol_follows_the_row_of_the_last_one(drawn):
    table = counts.table(drawn)
    expected = table.sum(axis=1, keepdims=True) * CHANCE
    assert_drawn_from(table.ravel(), expected.ravel(), constraints=4)


def test_counting_recovers_the_rate_of_the_end_symbol(drawn):
    """A model trained without its ends would never stop."""
    fitted = np.exp(fit_by_counting(counts.table(drawn), pseudo_count=1e-6))
    visits = counts.table(drawn).sum(axis=1)
    z = (fitted - CHANCE)[:, 0] / np.sqrt(CHANCE[:, 0] * (1 - CHANCE[:, 0]) / visits)
    assert (np.abs(z) < 5.2).all()  # FALSE_ALARM, four times


def test_nothing_is_written_after_the_end(drawn):
    for i, j in zip(drawn.starts[:2000].tolist(), drawn.starts[1:].tolist()):
        states, actions = np.divmod(drawn.index[i:j], 4)
        assert actions[-1] == 0 and (actions[:-1] > 0).all()
        assert states[0] == 0 and (states[1:] == actions[:-1]).all()


def test_the_end_symbol_in_the_first_place_makes_an_empty_string():
    always_end = np.full((4, 4), -1e4)
    always_end[:, 0] = 1e4
    assert WORDS.decode(sample(always_end, 3, rng=0)) == ["", "", ""]


def test_strings_are_cut_at_the_horizon_and_lack_the_end():
    never_end = np.array([[-1e4, 0.0, 0.0, 0.0]] * 4)
    steps = sample(never_end, 5, rng=0, horizon=7)
    assert np.diff(steps.starts).tolist() == [7] * 5 and (steps.index % 4 > 0).all()
    texts = WORDS.decode(steps)
    assert all(re.fullmatch("[abc]{7}…", text) for text in texts)
    assert np.diff(sample(never_end, 1, rng=0).starts).tolist() == [HORIZON] == [1000]


def test_a_string_that_ends_exactly_at_the_horizon_is_whole():
    texts = WORDS.decode(sample(LOGITS, 2000, rng=4, horizon=3))
    assert {len(text) for text in texts if "…" not in text} == {0, 1, 2}
    assert {len(text) for text in texts if "…" in text} == {4}


def test_a_seed_draws_the_same_strings_and_a_generator_goes_on():
    rng = np.random.default_rng(5)
    first, second = sample(LOGITS, 20, rng=rng), sample(LOGITS, 20, rng=rng)
    assert first.index.tolist() == sample(LOGITS, 20, rng=5).index.tolist()
    assert first.index.tolist() != second.index.tolist()


@pytest.mark.parametrize("logits, strings, horizon, message", [
    (np.zeros((2, 3)), 1, 9, "states, got"), (LOGITS, 0, 9, "at least 1, got 0"),
    (LOGITS, -2, 9, "at least 1, got -2"), (LOGITS, 1, 0, "horizon must be at least 1, got 0")])
def test_what_cannot_be_drawn_is_refused(logits, strings, horizon, message):
    with pytest.raises(ValueError, match=message):
        sample(logits, strings, rng=0, horizon=horizon)
