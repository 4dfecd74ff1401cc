"""One gradient: by loops, with the coefficients of every method against the method's own loss, and
what the policy gradient has in common with imitation."""

import numpy as np
import pytest
from batches import STARTS, random_batch, ratios
from languages import all_strings, as_steps, score, sigma, strings_of, totals
from test_kl import complex_gradient

from minirl.kernel import counts
from minirl.people.dpo import dpo_loss
from minirl.people.grpo import grpo_loss
from minirl.people.groups import weighted
from minirl.people.kto import kto_loss
from minirl.lab.listing import all_episodes
from minirl.lab import objectives
from minirl.lab.objectives import REFERENCE
from minirl.people.orpo import orpo_loss
from minirl.people.pairs import Pairs
from minirl.play.surrogate import collapse
from minirl.play.ppo import ppo_loss
from minirl.people.sft import fit_by_counting, sft_loss
from minirl.kernel.softmax import backward, log_softmax
from minirl.people.unified import dpo_coefficients, gradient, grpo_coefficients, ppo_coefficients
from toy_lm.ngram import language

SEEDS = pytest.mark.parametrize("seed", range(3))
BETA, EPSILON = 0.7, 0.2


def by_loops(logits, strings, coefficients, weights):
    """(unified.1), a step at a time."""
    logp, each = log_softmax(logits), iter(coefficients)
    return sum(w * next(each) * score(logp, [step]) for string, w in zip(strings, weights)
               for step in string)


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 1e-3


def random_strings(rng, number):
    """Strings of one to five letters of a language of two, as lists of steps."""
    every = [string for string in all_strings(2, 5) if len(string) > 1]
    return [every[i] for i in rng.choice(len(every), number, replace=False)]


def pairs_of_strings(seed):
    """Two lists of strings of unequal lengths, a policy far from the reference, and that."""
    rng = np.random.default_rng(seed)
    both = random_strings(rng, 12)
    assert len({len(string) for string in both}) > 2
    return both[:6], both[6:], rng.normal(size=(3, 3)), rng.normal(size=(3, 3))


@SEEDS
def test_the_gradient_is_the_sum_of_its_definition(seed):
    """(unified.1), with an empty string among the others, and steps that come again"""
    steps, coefficients, logits, _ = random_batch(seed)
    weights = np.random.default_rng(seed).random(STARTS.size - 1)
    assert_same(gradient(logits, steps, coefficients, weights),
                by_loops(logits, strings_of(steps), coefficients, weights))


@SEEDS
def test_imitation_says_one_to_every_step(seed):
    """(unified.1) and the first row of the table, w = 1/N"""
    steps, _, logits, _ = random_batch(seed)
    N = steps.index.size
    assert_same(gradient(logits, steps, np.ones(N), np.full(STARTS.size - 1, 1 / N)),
                -sft_loss(logits, counts.table(steps))[1])


@SEEDS
def test_dpo_says_yes_and_no(seed):
    """(unified.1): ±β σ(−m) by loops, the steps of long strings included, w = 1/B"""
    good, bad, logits, ref = pairs_of_strings(seed)
    pairs = Pairs(as_steps(good, 3), as_steps(bad, 3))
    ratio = log_softmax(logits) - log_softmax(ref)
    m = BETA * (totals(ratio, good) - totals(ratio, bad))
    plus, minus = dpo_coefficients(logits, ref, pairs, beta=BETA)
    for found, strings, sign in ((plus, good, 1), (minus, bad, -1)):
        assert_same(found, [sign * BETA * sigma(-m[i]) for i, string in enumerate(strings)
                            for _ in string])
    own = dpo_loss(logits, ref, pairs.difference, beta=BETA)[1]
    assert_same(gradient(logits, counts.join([pairs.chosen, pairs.rejected]),
                         np.append(plus, minus), np.full(12, 1 / 6)), -own)


def test_dpo_falls_silent_where_it_is_right():
    """Margins of a thousand: β where it is wrong, nothing where it is right, and no overflow."""
    pairs = Pairs(as_steps([[(0, 1)]], 2), as_steps([[(0, 0)]], 2))
    for lead, push in ((1000.0, 0.0), (-1000.0, BETA)):
        found = dpo_coefficients(np.array([[0.0, lead], [0.0, 0.0]]), np.zeros((2, 2)), pairs,
                                 beta=BETA)
        assert found == ([pytest.approx(push)], [pytest.approx(-push)])


def far_apart(seed):
    """`random_batch` with policies that differ by factors, and its ratios."""
    steps, advantages, logits, old = random_batch(seed)
    logits, old = 4 * logits, 4 * old
    ratio = ratios(logits, old)[steps.index]
    for side in (ratio > 1 + EPSILON, ratio < 1 - EPSILON):
        assert all((side & (np.sign(advantages) == sign)).any() for sign in (-1, 0, 1))
    assert ratio.max() > 5 and ratio.min() < 0.2
    return steps, advantages, logits, old, ratio


def clipped_by_loops(ratio, advantages):
    """ρ A where it is the smaller one of the two in the minimum of PPO, else 0."""
    return np.array([r * A if r * A <= max(min(r, 1 + EPSILON), 1 - EPSILON) * A else 0.0
                     for r, A in zip(ratio, advantages)])


@SEEDS
def test_ppo_says_ratio_times_advantage_unless_it_is_clipped(seed):
    """(unified.1) and pitfall 31: all quadrants, far from the policy that played, w = 1/N"""
    steps, advantages, logits, old, ratio = far_apart(seed)
    c = ppo_coefficients(logits, old, steps, advantages)
    assert_same(c, clipped_by_loops(ratio, advantages))
    own = ppo_loss(logits, old, collapse(steps, advantages))[1]
    assert_same(gradient(logits, steps, c, np.full(STARTS.size - 1, 1 / len(c))), -own)
    wide = ppo_coefficients(logits, old, steps, advantages, clip_range=1e6)
    assert_same(wide, ratio * advantages)
    assert np.abs(wide - c).max() > 0.1


def test_before_the_first_step_a_coefficient_is_the_advantage():
    """Pitfall 32: to the last bit"""
    steps, advantages, logits, _ = random_batch(0)
    assert (ppo_coefficients(logits, logits, steps, advantages) == advantages).all()
    assert (grpo_coefficients(logits, logits, steps, advantages, ref_logits=logits, beta=3.0)
            == advantages).all()


@SEEDS
@pytest.mark.parametrize("beta", [0.0, BETA])
def test_grpo_adds_a_reward_for_letters_that_have_become_less_likely(seed, beta):
    """(unified.3) and pitfall 9: three policies, and w the weights of the loss"""
    steps, advantages, logits, old, ratio = far_apart(seed)
    rng = np.random.default_rng(seed)
    ref, weights = rng.normal(size=logits.shape), rng.random(STARTS.size - 1) + 0.1
    c = grpo_coefficients(logits, old, steps, advantages, ref_logits=ref, beta=beta)
    assert_same(c, clipped_by_loops(ratio, advantages)
                + beta * (ratios(ref, logits)[steps.index] - 1))
    own = grpo_loss(logits, old, weighted(steps, advantages, weights), ref_logits=ref,
                    beta=beta)[1]
    assert_same(gradient(logits, steps, c, weights), -own)
    wide = grpo_coefficients(logits, old, steps, advantages, ref_logits=ref, beta=beta,
                             epsilon=0.99)
    wide_loss = grpo_loss(logits, old, weighted(steps, advantages, weights), ref_logits=ref,
                          beta=beta, epsilon=0.99)[1]
    assert_same(gradient(logits, steps, wide, weights), -wide_loss)
    assert np.abs(wide - c).max() > 0.1


def test_policies_as_far_apart_as_can_be_have_finite_coefficients():
    """A ratio of e^1000 overflows, and ∞ times nothing is not a number."""
    steps = as_steps([[(0, 0), (0, 1)]], 2)
    here, there = np.array([[0.0, 1000.0], [0.0, 0.0]]), np.array([[0.0, -1000.0], [0.0, 0.0]])
    none = np.zeros(2)
    assert (ppo_coefficients(here, there, steps, none) == 0).all()
    found = grpo_coefficients(here, here, steps, none, ref_logits=there, beta=1.0)
    assert found == pytest.approx([np.exp(700), -1])


@SEEDS
def test_orpo_is_louder_where_the_odds_are_steep(seed):
    """(unified.2), w = 1/(B·|y|)"""
    good, bad, logits, _ = pairs_of_strings(seed)
    P, other = (np.exp(totals(log_softmax(logits), side) / [len(string) for string in side])
                for side in (good, bad))
    push = BETA * sigma(-(np.log(P / (1 - P)) - np.log(other / (1 - other))))
    c = [1 + push[i] / (1 - P[i]) for i, string in enumerate(good) for _ in string]
    c += [-push[i] / (1 - other[i]) for i, string in enumerate(bad) for _ in string]
    steps = as_steps(good + bad, 3)
    own = orpo_loss(logits, counts.mean_matrix(as_steps(good, 3)),
                    counts.mean_matrix(as_steps(bad, 3)), beta=BETA)[1]
    assert_same(gradient(logits, steps, np.array(c), 1 / (6 * np.diff(steps.starts))), -own)


@SEEDS
def test_kto_says_most_about_strings_at_its_reference_point(seed):
    """(unified.1) and the row of the table: ±λ β σ(x)σ(−x), w = 1/N"""
    liked, disliked, logits, ref = pairs_of_strings(seed)
    disliked = disliked[:4]
    strings, z0 = liked + disliked, 0.3
    x = BETA * (totals(log_softmax(logits) - log_softmax(ref), strings) - z0)
    factor = np.append(np.full(6, 1.5), np.full(4, -0.8)) * BETA * sigma(x) * sigma(-x)
    c = np.array([factor[i] for i, string in enumerate(strings) for _ in string])
    own = kto_loss(logits, ref, counts.matrix(as_steps(liked, 3)),
                   counts.matrix(as_steps(disliked, 3)), beta=BETA, z0=z0, desirable_weight=1.5,
                   undesirable_weight=0.8)[1]
    assert_same(gradient(logits, as_steps(strings, 3), c, np.full(10, 1 / 10)), -own)


def test_two_answers_by_hand():
    """(unified.6) and the example of the chapter: each entry of g as −G + π ΣG"""
    pi, old, ref = np.log([[[0.5, 0.25, 0.25]], [[0.5, 0.2, 0.3]], [[0.25, 0.25, 0.5]]])
    two = as_steps([[(0, 0)], [(0, 1)]], 3)._replace(shape=(1, 3))
    pair, falls = Pairs(*(counts.select(two, np.array([i])) for i in (0, 1))), []
    for c, told, w in (
            (ppo_coefficients(pi, old, two, [0.5, -0.5]), (0.5, -0.625), 0.5),
            (grpo_coefficients(pi, old, two, [1, -1], ref_logits=ref, beta=1.0), (0.5, -1.25), 0.5),
            (np.concatenate(dpo_coefficients(pi, ref, pair, beta=1.0)), (1 / 3, -1 / 3), 1)):
        assert c == pytest.approx(told)
        good, bad = w * told[0], w * told[1]
        expected = [good - 0.5 * (good + bad), bad - 0.25 * (good + bad), -0.25 * (good + bad)]
        G = np.array([[-good, -bad, 0.0]])
        for found in (gradient(pi, two, c, np.full(2, w)), -backward(pi, G)):
            assert found[0] == pytest.approx(expected, abs=1e-15)
        if told[1] == -0.625:
            assert round(expected[2], 3) == 0.016
        # What log π(2) changes by, per unit of g: rarer although nobody spoke against it.
        mean, moved = np.exp(pi[0]) @ expected, (log_softmax(pi + 1e-6 * found) - pi)[0, 2] / 1e-6
        assert moved == pytest.approx(expected[2] - mean, abs=1e-5)
        falls.append((round(float(mean), 3), round(float(moved), 3)))
    assert (falls[0], falls[2]) == ((0.07, -0.055), (0.083, -0.083))  # 0.070 of PPO; DPO


def test_how_far_the_methods_point_from_the_policy_gradient():
    """The cosines of the chapter, of the job `objectives`"""
    found = objectives.every_string()
    moves = objectives.updates(found)
    best = objectives.at_rest(moves["reinforce"], [found.ref])[0]
    rows = objectives.one_gradient(found, moves, (found.ref + best) / 2)
    assert {row.method: round(row.cosine, 3) for row in rows} == {
        "sft": 0.980, "rejection_sampling": 0.888, "online_sampling": 0.657, "dpo": 0.974,
        "ppo": 1.0, "grpo": 0.615}


# When the policy gradient is supervised learning.


def listed(logits):
    """Every string of two letters, cut after four steps; whether it has two letters; log π."""
    world = language(np.zeros((3, 3)))
    batch, _ = all_episodes(world, REFERENCE, 4)
    steps = batch.steps((3, 3))
    strings = strings_of(steps)
    passes = np.array([sum(a > 0 for _, a in string) == 2 for string in strings])
    assert len(strings) == 31 and passes.sum() == 4
    return steps, strings, passes, np.exp(totals(log_softmax(logits), strings))


def chance_to_pass(logits, strings, passes):
    """P(pass), for complex logits too."""
    logp = log_softmax(logits)
    return sum(np.exp(sum(logp[step] for step in string))
               for string, good in zip(strings, passes) if good)


@SEEDS
def test_with_a_reward_of_nought_or_one_the_policy_gradient_is_a_step_of_imitation(seed):
    """(unified.4): the gradient of P(pass) itself, imitation of one's own strings that passed, and
    (unified.1)"""
    logits = np.random.default_rng(seed).normal(size=(3, 3))
    steps, strings, passes, chances = listed(logits)
    true = complex_gradient(lambda x: chance_to_pass(x, strings, passes), logits)
    P = chances[passes].sum()
    logp = log_softmax(logits)
    mean = sum(chance * score(logp, string)
               for string, good, chance in zip(strings, passes, chances) if good) / P
    assert_same(P * mean, true)
    given = chances * passes / P
    table = counts.table(steps, np.repeat(given, np.diff(steps.starts)))
    assert_same(-P * table.sum() * sft_loss(logits, table)[1], true)
    assert_same(gradient(logits, steps, np.repeat(passes, np.diff(steps.starts)).astype(float),
                         chances), true)


@SEEDS
def test_to_imitate_oneself_teaches_nothing(seed):
    """(unified.5), and so a baseline changes no mean, but says no to what fails"""
    logits = np.random.default_rng(seed).normal(size=(3, 3))
    steps, strings, passes, chances = listed(logits)
    lengths = np.diff(steps.starts)
    logp = log_softmax(logits)
    mean = sum(chance * score(logp, string) for string, chance in zip(strings, chances))
    assert np.abs(mean).max() < 1e-15
    assert np.abs(gradient(logits, steps, np.ones(lengths.sum()), chances)).max() < 1e-15
    for baseline in (0.3, chances @ passes):
        assert_same(gradient(logits, steps, np.repeat(passes - baseline, lengths), chances),
                    complex_gradient(lambda x: chance_to_pass(x, strings, passes), logits))


def test_imitation_ends_at_the_law_of_the_reference_given_that_a_string_passes():
    """In a world of one step, where a policy can be any law; the policy gradient starts there with
    the same step and ends elsewhere: what was likelier has become more so."""
    ref, passes = np.array([[0.4, 0.3, 0.2, 0.1]]), np.array([[0, 1, 1, 0]])
    given = np.exp(fit_by_counting(ref * passes, pseudo_count=0))[0]
    assert given == pytest.approx([0, 0.6, 0.4, 0], abs=1e-15)
    steps = as_steps([[(0, a)] for a in range(4)], 4)._replace(shape=(1, 4))
    copied, climbed = np.log(ref), np.log(ref)
    for step in range(3_000):
        strings = ref, np.exp(log_softmax(climbed))
        moves = [gradient(logits, steps, passes[0], weights[0])
                 for logits, weights in zip((copied, climbed), strings)]
        if step == 0:
            np.testing.assert_allclose(*moves, rtol=0, atol=1e-15)
        copied, climbed = copied + 4 * moves[0], climbed + 4 * moves[1]
    copied, climbed = (np.exp(log_softmax(logits))[0] for logits in (copied, climbed))
    assert copied == pytest.approx(given, abs=1e-3)
    assert climbed[1] + climbed[2] > 0.999 and climbed[1] / climbed[2] > 2


def test_where_imitation_has_ended_the_policy_gradient_goes_on():
    """A bigram cannot count to two letters: its best copy of the strings that pass fails in part,
    and has nothing more to learn from them."""
    steps, strings, passes, chances = listed(np.log(REFERENCE))
    lengths = np.diff(steps.starts)
    kept = np.repeat(passes, lengths).astype(float)
    table = counts.table(steps, kept * np.repeat(chances, lengths))
    logits = fit_by_counting(table, pseudo_count=0)
    assert np.isfinite(logits[1:]).all() and logits[0, 0] == -np.inf
    logits = np.maximum(logits, -50)  # what never begins a string that passes
    assert np.abs(gradient(logits, steps, kept, chances)).max() < 1e-15
    stopped = chance_to_pass(logits, strings, passes)
    for _ in range(400):
        own = np.exp(totals(log_softmax(logits), strings))
        logits = logits + 5 * gradient(logits, steps, kept, own)
    assert stopped < 0.6 and chance_to_pass(logits, strings, passes) > 0.99
