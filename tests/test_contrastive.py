"""Contrastive learning: losses by loops over the steps of a batch, means by lists of all batches,
and the letters of the words; the job `contrastive`."""

from functools import cache, partial
from itertools import product
from math import log

import defaults
from luck import assert_mean
import numpy as np
import pytest

from minirl.beyond import contrastive as chapter
from minirl.beyond.contrastive import (chance_right, chi_square, encoded, infonce_loss,
                                       mean_infonce_loss, mutual_information,
                                       negative_sampling_loss, on_sphere, pointwise_information,
                                       symmetric_infonce_loss)
from minirl.exact.evaluation import occupancy
from minirl.kernel.gradcheck import check
from minirl.kernel.softmax import kl, log_ratios, log_softmax
from minirl.lab import contrasts
from minirl.people.fitting import minimise
from minirl.people.sft import sft_loss
from toy_lm.corpora import unicode_words
from toy_lm.models import fit
from toy_lm.ngram import language

SEEDS = pytest.mark.parametrize("seed", range(4))
EXAMPLE = np.array([[3, 1], [1, 3]]) / 8


@cache
def letters():
    """p(s, a) of a letter of the words and the next symbol."""
    policy = fit(unicode_words(), pseudo_count=0.1).policy
    joint = occupancy(language(np.zeros(policy.shape)), policy)[:, None] * policy
    return joint / joint.sum()


@cache
def noisy(errors):
    """A copy of 27 symbols."""
    return np.where(np.eye(27) > 0, 1 - errors, errors / 26) / 27


def some(seed, S=3, A=4, K=9):
    """A critic, a distribution, and the steps of a batch."""
    rng = np.random.default_rng(seed)
    joint = rng.random((S, A))
    return (2 * rng.normal(size=(S, A)), joint / joint.sum(),
            list(zip(rng.integers(S, size=K), rng.integers(A, size=K))))


def counted(steps, shape):
    table = np.zeros(shape)
    for step in steps:
        table[step] += 1
    return table


def by_loops(f, steps):
    """(contrastive.1), one step after the other."""
    total = 0.0
    for s, a in steps:
        total -= np.log(np.exp(f[s, a]) / sum(np.exp(f[s, b]) for _, b in steps))
    return total / len(steps)


def batches(joint, K):
    """Every row of K steps, and its chance."""
    for steps in product(np.ndindex(joint.shape), repeat=K):
        yield steps, np.prod([joint[step] for step in steps])


# One batch.


@SEEDS
def test_the_loss_is_that_of_loops_over_the_steps(seed):
    """(contrastive.1) and (contrastive.8); some actions come twice, others not at all"""
    f, _, steps = some(seed)
    steps = [(s, min(a, 2)) for s, a in steps]
    N = counted(steps, f.shape)
    assert not N[:, 3].any() and N.sum(axis=0).max() > 1
    assert infonce_loss(f, N)[0] == pytest.approx(by_loops(f, steps), abs=1e-12)
    turned = by_loops(f.T, [(a, s) for s, a in steps])
    assert symmetric_infonce_loss(f, N)[0] == pytest.approx(
        (by_loops(f, steps) + turned) / 2, abs=1e-12)


@SEEDS
def test_the_loss_is_imitation_at_shifted_logits(seed):
    """(contrastive.2)"""
    f, joint, _ = some(seed)
    N, seen = 9 * joint, 9 * joint.sum(axis=0)
    (loss, grad), (imitation, same) = infonce_loss(f, N), sft_loss(f + np.log(seen), N)
    assert loss == pytest.approx(imitation + seen @ np.log(seen) / 9, abs=1e-13)
    np.testing.assert_allclose(grad, same, atol=1e-16)


@SEEDS
def test_an_action_that_is_not_in_the_batch_has_no_part(seed):
    """Not even if its f is enormous; a batch of one step costs nothing"""
    f, _, steps = some(seed)
    N = counted([(s, min(a, 2)) for s, a in steps], f.shape)
    loss, grad = infonce_loss(f, N)
    f[:, 3] = 1e4
    assert infonce_loss(f, N)[0] == loss and not infonce_loss(f, N)[1][:, 3].any()
    assert grad.sum(axis=1) == pytest.approx(0)
    one = infonce_loss(f, counted(steps[:1], f.shape))
    assert one[0] == 0 and not one[1].any()


def test_the_example_of_the_chapter():
    """All batches; I, χ² and what a false negative does; a single batch that shows more than I"""
    f = pointwise_information(EXAMPLE)
    assert f == pytest.approx(np.log(4 * EXAMPLE))
    like = log(2) - infonce_loss(f, np.eye(2))[0]
    assert like == pytest.approx(log(2) - log(4 / 3)) and like > mutual_information(EXAMPLE)
    differ = [(s == a, chance) for ((s, a), (_, b)), chance in batches(EXAMPLE, 2) if a != b]
    assert sum(chance for _, chance in differ) == pytest.approx(1 / 2)
    assert sum(chance for alike, chance in differ if alike) == pytest.approx(3 / 4 / 2)
    told = 3 / 4 * log(4 / 3) + log(4) / 4
    assert round(told, 4) == 0.5623 and round((log(2) + told) / 2, 4) == 0.6277
    mean = sum(chance * by_loops(f, steps) for steps, chance in batches(EXAMPLE, 2))
    assert mean == pytest.approx((log(2) + told) / 2)
    assert mutual_information(EXAMPLE) == pytest.approx(log(2) - told)
    assert round(mutual_information(EXAMPLE), 3) == 0.131 and round(log(2) - told / 2, 3) == 0.412
    assert chi_square(EXAMPLE) == pytest.approx(1 / 4)


def without_false_negatives(f, steps):
    """The loss of who leaves out what has the partner's action."""
    total = 0.0
    for i, (s, a) in enumerate(steps):
        others = [b for j, (_, b) in enumerate(steps) if j == i or b != a]
        total -= np.log(np.exp(f[s, a]) / sum(np.exp(f[s, b]) for b in others))
    return total / len(steps)


def test_false_negatives_belong_to_the_batch():
    """Without them the bound is none, as the lifts need not sum to K, and for K > 2 the critic is
    another one.  The right answer is likelier for the second step with its action."""
    def shown(joint, f, K):
        return log(K) - sum(chance * without_false_negatives(f, steps)
                            for steps, chance in batches(joint, K))

    f = pointwise_information(EXAMPLE)
    assert round(shown(EXAMPLE, f, 2), 3) == 0.412 > mutual_information(EXAMPLE)
    joint = np.array([[0.6, 0.1], [0.1, 0.2]])
    f, move = pointwise_information(joint), np.array([[1e-4, 0], [0, 0]])
    slopes = [(shown(joint, f + move, K) - shown(joint, f - move, K)) / 2e-4 for K in (2, 3)]
    assert abs(slopes[0]) < 1e-9 and abs(slopes[1]) > 0.01


# What it finds.


@SEEDS
@pytest.mark.parametrize("K", [2, 3])
def test_the_best_answer_is_the_chance_of_the_partner(seed, K):
    """(contrastive.3): by Bayes' rule over all batches with these actions"""
    _, joint, _ = some(seed)
    f, (S, A) = pointwise_information(joint), joint.shape
    marginal = joint.sum(axis=0)
    for actions in product(range(A), repeat=K):
        for s in range(S):
            chance = [joint[s, actions[j]] * np.prod([marginal[actions[i]] for i in range(K)
                                                      if i != j]) for j in range(K)]
            answer = np.exp(f[s, list(actions)])
            np.testing.assert_allclose(answer / answer.sum(), np.divide(chance, sum(chance)),
                                       rtol=1e-12)


@SEEDS
def test_no_batch_size_wants_another_critic(seed):
    """(contrastive.3): the mean loss has no slope at PMI, whatever is added to rows"""
    f, joint, _ = some(seed)
    best = pointwise_information(joint) + f[:, :1]
    for K in 2, 3, 8, 64, 512:
        loss, grad = mean_infonce_loss(best, joint, batch_size=K)
        assert np.abs(grad).max() < 1e-13
        assert mean_infonce_loss(f, joint, batch_size=K)[0] > loss


@SEEDS
def test_the_critic_is_the_implicit_reward_of_what_follows(seed):
    """(dpo.1) at β = 1: the policy p(a|s), with the marginal as its reference, and log Z"""
    f, joint, _ = some(seed)
    marginal = joint.sum(axis=0)
    policy, ref = np.log(joint / joint.sum(axis=1, keepdims=True)), np.log(marginal)
    _, h = log_ratios(policy, np.tile(ref, (3, 1)))
    np.testing.assert_allclose(h, pointwise_information(joint), atol=1e-14)
    critic = h + f[:, :1]
    np.testing.assert_allclose(log_softmax(ref + critic), policy, atol=1e-14)
    np.testing.assert_allclose(np.log(np.exp(critic) @ marginal), f[:, 0], atol=1e-14)


@SEEDS
def test_the_mutual_information_and_a_batch_of_the_whole_population(seed):
    """(contrastive.4), and what a critic lacks of it"""
    f, joint, _ = some(seed)
    rows, marginal = joint.sum(axis=1), joint.sum(axis=0)
    information = sum(joint[s, a] * log(joint[s, a] / rows[s] / marginal[a])
                      for s, a in np.ndindex(joint.shape))
    assert mutual_information(joint) == pytest.approx(information, abs=1e-15)
    assert mutual_information(12 * joint) == pytest.approx(information, abs=1e-15)
    lacks = rows @ kl(np.log(joint / rows[:, None]), log_softmax(np.log(marginal) + f))
    for K in 1, 50:
        shown = log(K) - infonce_loss(f, K * joint)[0]
        assert shown == pytest.approx(information - lacks, abs=1e-14)


def test_the_letters_of_the_words():
    """I = 0.3392 to six digits; of what the next letter has, what is left given the last one"""
    p = letters()
    information = mutual_information(p)
    assert information == pytest.approx(0.339152, abs=5e-7) and round(information, 4) == 0.3392
    assert p.shape == (27, 27) and round(chi_square(p), 3) == 0.678
    marginal, policy = p.sum(axis=0), p / p.sum(axis=1, keepdims=True)
    assert information == pytest.approx(-marginal @ np.log(marginal) + (p * np.log(policy)).sum())
    assert p.sum(axis=1) == pytest.approx(marginal)  # each letter is left as often as it comes
    assert contrasts.next_letters() == pytest.approx(p, rel=1e-12)


def test_a_fit_to_the_population_finds_all_of_it_and_pmi():
    """log K − L* = I; one constant per row, one for both ways, and none with negative samples:
    (contrastive.3), (contrastive.8) and (contrastive.10)"""
    p = letters()
    pmi, start = pointwise_information(p), np.zeros(p.shape)
    one = minimise(partial(infonce_loss, counts=p), start, tol=1e-10, curvature=p)
    both = minimise(partial(symmetric_infonce_loss, counts=p), start, tol=1e-10, curvature=p)
    noise = np.outer(p.sum(axis=1), p.sum(axis=0))
    word2vec = minimise(partial(negative_sampling_loss, counts=p, negatives=5), start, tol=1e-12,
                        curvature=p + 5 * noise)
    assert -one.loss == pytest.approx(mutual_information(p), abs=1e-12)
    assert -both.loss == pytest.approx(mutual_information(p), abs=1e-12)
    apart = one.x - pmi
    assert np.abs(apart - apart.mean(axis=1, keepdims=True)).max() < 1e-5
    apart = both.x - pmi
    assert np.abs(apart - apart.mean()).max() < 1e-5
    assert np.abs(word2vec.x - (pmi - np.log(5))).max() < 1e-4
    assert -infonce_loss(word2vec.x, p)[0] == pytest.approx(mutual_information(p), abs=1e-12)


@SEEDS
def test_negative_sampling_is_that_of_loops(seed):
    """(contrastive.10)"""
    f, joint, _ = some(seed)

    def log_chance(x):
        return -np.log1p(np.exp(-x))

    total = 0.0
    for s, a in np.ndindex(f.shape):
        total -= joint[s, a] * log_chance(f[s, a])
        for b in range(4):  # the foreign actions of this step
            total -= 3 * joint[s, a] * joint[:, b].sum() * log_chance(-f[s, b])
    assert negative_sampling_loss(f, 7 * joint, negatives=3)[0] == pytest.approx(total, abs=1e-12)
    best = pointwise_information(joint) - np.log(3)
    assert np.abs(negative_sampling_loss(best, joint, negatives=3)[1]).max() < 1e-15


@SEEDS
def test_word2vec_draws_by_a_power_and_finds_something_else(seed):
    """q(a) ∝ p(a)^¾ in place of p(a), in the loss and in its best critic"""
    joint = some(seed)[1]
    rows, power = joint.sum(axis=1), joint.sum(axis=0)**0.75
    noise = 3 * np.outer(rows, power / power.sum())
    best = np.log(joint / noise)
    slopes = noise / (1 + np.exp(-best)) - joint / (1 + np.exp(best))
    assert np.abs(slopes).max() < 1e-15
    assert np.abs(best - pointwise_information(joint) + np.log(3)).max() > 0.01


# How much a batch shows.


@SEEDS
def test_the_bound_is_a_divergence_of_two_distributions(seed):
    """(contrastive.5), by a list of all batches of K = 3"""
    f, joint, _ = some(seed, S=2, A=3)
    rows, marginal, total, gap = joint.sum(axis=1), joint.sum(axis=0), 0.0, 0.0
    for s, *actions in product(range(2), *[range(3)] * 3):
        apart = rows[s] * np.prod(marginal[actions])
        other = apart * np.exp(f[s, actions[0]]) / np.mean(np.exp(f[s, actions]))
        true = joint[s, actions[0]] * np.prod(marginal[actions[1:]])
        total, gap = total + other, gap + true * np.log(true / other)
    assert total == pytest.approx(1)
    shown = log(3) - mean_infonce_loss(f, joint, batch_size=3)[0]
    assert mutual_information(joint) - shown == pytest.approx(gap, abs=1e-12)


def test_the_bound_holds_for_every_critic_and_batch_size():
    """(contrastive.5), both of its sides; near the best critic too"""
    for joint in *(some(seed)[1] for seed in range(4)), letters(), noisy(0.01):
        information, rng = mutual_information(joint), np.random.default_rng(0)
        for scale, K in product((0, 0.1, 1, 10), (2, 3, 8, 64, 512)):
            critic = pointwise_information(joint) + scale * rng.normal(size=joint.shape)
            shown = log(K) - mean_infonce_loss(critic, joint, batch_size=K)[0]
            assert shown <= min(information, log(K))


def test_a_partner_that_never_comes_does_not_win():
    joint, critic = np.array([[3, 1, 0], [1, 3, 0]]), np.array([[2.0, 1.0, 3.0], [1.0, 2.0, 0.5]])
    for K in 1, 2, 5:
        assert chance_right(critic, joint, batch_size=K) == pytest.approx(
            chance_right(critic[:, :2], joint[:, :2], batch_size=K), abs=1e-15)


@pytest.mark.parametrize("K", [32_768, 10**6, 10**9, 10**12, 10**15, 2**64, 10**25])
def test_a_batch_may_be_of_any_size(K):
    """(contrastive.5) with its gap (contrastive.6), the slopes, and 1/K: sums of chances are 1 but
    for a rounding, and the power K must not see it."""
    rng = np.random.default_rng(0)
    for joint in letters(), noisy(0.01), some(0)[1]:
        best, information = pointwise_information(joint), mutual_information(joint)
        loss, grad = mean_infonce_loss(best, joint, batch_size=K)
        assert information - log(K) + loss == pytest.approx(
            chi_square(joint) / 2 / K, rel=0.02, abs=1e-11)
        assert np.abs(grad).max() < 1e-13
        other = best + rng.normal(size=best.shape)
        assert log(K) - mean_infonce_loss(other, joint, batch_size=K)[0] < information - 0.01
        assert K * chance_right(0 * best, joint, batch_size=K) == pytest.approx(1, abs=1e-12)
        top = joint.sum(axis=0)[other.argmax(axis=1)]  # how many of the K have the highest f
        right = (joint[np.arange(len(joint)), other.argmax(axis=1)] / top).sum()
        assert K * chance_right(other, joint, batch_size=K) == pytest.approx(right, rel=1e-3)


def test_tables_of_many_points_are_summed_in_blocks(monkeypatch):
    """The same from small ones, and no table is larger: a span of 9e4 has 9e5 points, which are
    two blocks for two actions."""
    f, joint, sizes = 20 * some(0)[0], some(0)[1], []
    whole, held = mean_infonce_loss(f, joint, batch_size=8), chapter._held_exp
    monkeypatch.setattr(chapter, "_held_exp", lambda x: sizes.append(x.size) or held(x))
    monkeypatch.setattr(chapter, "POINTS_AT_ONCE", 300)
    parts = mean_infonce_loss(f, joint, batch_size=8)
    assert parts[0] == pytest.approx(whole[0], abs=1e-12) and 250 < max(sizes) <= 304
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-13)
    monkeypatch.undo()
    monkeypatch.setattr(chapter, "_held_exp", lambda x: sizes.append(x.size) or held(x))
    mean_infonce_loss(np.array([[0, 9e4]]), np.ones((1, 2)), batch_size=8)
    assert 900_000 < max(sizes) < 1.1 * 2**20


@pytest.mark.parametrize("seed, K", [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_the_integral_is_the_mean_of_all_batches(seed, K):
    """(contrastive.7)"""
    f, joint, _ = some(seed)
    loss, grad, slopes = 0.0, np.zeros(f.shape), mean_infonce_loss(f, 5 * joint, batch_size=K)
    for steps, chance in batches(joint, K):
        one, slope = infonce_loss(f, counted(steps, f.shape))
        loss, grad = loss + chance * one, grad + chance * slope
    assert slopes[0] == pytest.approx(loss, abs=1e-11)
    np.testing.assert_allclose(slopes[1], grad, atol=1e-11)


def test_the_integral_far_out_and_where_something_never_happens():
    """A critic of ±1e4 is sure; a distribution with zeros; a constant of a row changes nothing"""
    sure = np.where(np.eye(3) > 0, 1e4, -1e4)
    joint = np.array([[2, 1, 0], [0, 2, 1], [0, 0, 0]]) / 6
    for K in 2, 3:
        loss, grad = mean_infonce_loss(sure, joint, batch_size=K)
        mean = sum(chance * infonce_loss(sure, counted(steps, (3, 3)))[0]
                   for steps, chance in batches(joint, K) if chance)
        assert loss == pytest.approx(mean, rel=1e-11) and not grad[2].any()
        f, more = np.random.default_rng(0).normal(size=(3, 3)), np.array([[1e4], [0.0], [-1e3]])
        one, other = (mean_infonce_loss(x, joint, batch_size=K) for x in (f, f + more))
        assert one[0] == pytest.approx(other[0], abs=1e-11)
        np.testing.assert_allclose(one[1], other[1], atol=1e-11)


TABLE = {2: (0.1671, 0.1720, 0.1695, 0.7136, 0.5000), 8: (0.2966, 0.0425, 0.0424, 0.2792, 0.1250),
         64: (0.3339, 0.0053, 0.0053, 0.0477, 0.0156),
         512: (0.3385, 0.0007, 0.0007, 0.0066, 0.0020)}


def test_what_is_missing():
    """(contrastive.6): within 2 % at K = 64; what the chapter says of the letters, and the job"""
    p = letters()
    best, information, half = (pointwise_information(p), mutual_information(p), chi_square(p) / 2)
    rows, marginal = p.sum(axis=1), p.sum(axis=0)
    assert 2 * half == pytest.approx((p**2 / np.outer(rows, marginal)).sum() - 1)
    for K, row in TABLE.items():
        shown = log(K) - mean_infonce_loss(best, p, batch_size=K)[0]
        numbers = (shown, information - shown, half / K, chance_right(best, p, batch_size=K),
                   1 / K)
        assert tuple(round(x, 4) for x in numbers) == row
    for K in 64, 512, 4096:
        gap = information - log(K) + mean_infonce_loss(best, p, batch_size=K)[0]
        assert gap * K == pytest.approx(half, rel=0.02)
    found = {row.batch_size: row for row in job().steps[0].batches}
    assert {K: tuple(round(x, 4) for x in found[K][2:]) for K in TABLE} == TABLE


@SEEDS
@pytest.mark.parametrize("K", [2, 3])
def test_the_moments_of_more(seed, K):
    """(contrastive.6): E[more] = χ²/K; e^PMI of a foreign action has the mean 1, the variance χ²,
    and of the partner the mean 1 + χ²; K − 1 variances and what the partner adds make E[more²]."""
    _, joint, _ = some(seed)
    rows, marginal = joint.sum(axis=1), joint.sum(axis=0)
    odds, chi = np.exp(pointwise_information(joint)), chi_square(joint)
    assert odds @ marginal == pytest.approx(1)
    assert rows @ ((odds - 1)**2 @ marginal) == pytest.approx(chi)
    assert (joint * odds).sum() == pytest.approx(1 + chi)
    first = second = 0.0
    for s, *actions in product(range(3), *[range(4)] * K):
        chance = joint[s, actions[0]] * np.prod(marginal[actions[1:]])
        more = odds[s, actions].mean() - 1
        first, second = first + chance * more, second + chance * more**2
    assert first == pytest.approx(chi / K)
    partner = (joint * (odds - 1)**2).sum()
    assert second == pytest.approx(((K - 1) * chi + partner) / K**2)


def test_that_missing_times_K_is_near_I_is_chance():
    """Not so where PMIs are large, although (contrastive.6) holds there as well."""
    p, copy = letters(), noisy(0.1)
    assert chi_square(p) / 2 == pytest.approx(mutual_information(p), rel=1e-3)
    assert chi_square(copy) / 2 > 3 * mutual_information(copy)
    gap = mutual_information(copy) - log(4096) + mean_infonce_loss(
        pointwise_information(copy), copy, batch_size=4096)[0]
    assert gap * 4096 == pytest.approx(chi_square(copy) / 2, rel=0.02)


def test_the_copies_of_the_job_are_as_it_says():
    """I is 2.645 and 3.207, of at most log 27 = 3.296"""
    said = " ".join(contrasts.__doc__.split())
    assert "There I is {:.3f} and {:.3f}, of at most log 27 = {:.3f},".format(
        *map(mutual_information, (noisy(0.1), noisy(0.01))), log(27)) in said
    assert log(8) < mutual_information(noisy(0.1))


def test_a_copy_meets_the_ceiling():
    """27 symbols of which a tenth is wrong: I = 2.645, and 1.613 of log 8 = 2.079 with K = 8.
    There K is below χ² = 20.9, and (contrastive.6) says 1.305 for 1.032."""
    found = {K: log(K) - mean_infonce_loss(pointwise_information(noisy(0.1)), noisy(0.1),
                                           batch_size=K)[0] for K in (2, 8, 64)}
    assert round(mutual_information(noisy(0.1)), 3) == 2.645 and round(log(8), 3) == 2.079
    square, missing = chi_square(noisy(0.1)), mutual_information(noisy(0.1)) - found[8]
    assert (round(square, 1), round(square / 16, 3), round(missing, 3)) == (20.9, 1.305, 1.032)
    assert {K: round(shown, 3) for K, shown in found.items()} == {2: 0.579, 8: 1.613, 64: 2.474}
    copy = job().steps[1]
    assert {row.batch_size: row.shown for row in copy.batches if row.batch_size in found} == (
        pytest.approx(found))


def draw(p, K, number, rng):
    """The counts of so many batches of K steps."""
    return (np.bincount(cells, minlength=p.size).reshape(p.shape).astype(float)
            for cells in rng.choice(p.size, (number, K), p=p.ravel()))


def said_by_batches():
    """What each of a thousand batches of 64 steps says at the best critic, and the exact mean."""
    p, rng = letters(), np.random.default_rng(0)
    best = pointwise_information(p)
    said = [log(64) - infonce_loss(best, batch)[0] for batch in draw(p, 64, 1000, rng)]
    return said, log(64) - mean_infonce_loss(best, p, batch_size=64)[0]


def test_one_batch_says_little():
    """0.33 ± 0.08"""
    said, exact = said_by_batches()
    assert round(exact, 2) == 0.33 and np.std(said) == pytest.approx(0.08, abs=0.005)


@pytest.mark.statistical
def test_many_batches_say_the_exact_mean():
    said, exact = said_by_batches()
    assert_mean(exact, said)


@pytest.mark.slow
@pytest.mark.parametrize("K, steps, rate, least", [
    (64, 16_384, 19.2, 0.99), (8, 20_000, 2.4, 0.97)])
def test_gradient_descent_on_batches_finds_nearly_all(K, steps, rate, least):
    """In 8 of 8 runs, in steps that fall to zero; exact, for a batch of the whole population"""
    p = letters()
    for seed in range(8):
        f = np.zeros(p.shape)
        for i, batch in enumerate(draw(p, K, steps, np.random.default_rng(seed))):
            f -= rate * (1 - i / steps) * infonce_loss(f, batch)[1]
        assert -infonce_loss(f, p)[0] >= least * mutual_information(p)


@SEEDS
def test_the_chance_of_being_right_is_that_of_all_batches(seed):
    """With ties, which a lot decides"""
    f, joint, _ = some(seed)
    for critic, K in product((f, np.round(f), 0 * f), (1, 2, 3)):
        total = 0.0
        for s, *actions in product(range(3), *[range(4)] * K):
            row = critic[s, actions]
            if row[0] == row.max():
                total += joint[s, actions[0]] * np.prod(joint.sum(axis=0)[actions[1:]]) / (
                    row == row.max()).sum()
        assert chance_right(critic, joint, batch_size=K) == pytest.approx(total, abs=1e-14)
    assert chance_right(0 * f, joint, batch_size=7) == pytest.approx(1 / 7)


# Distributions with zeros.


def test_what_never_happens():
    joint = np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])
    inf = np.inf
    np.testing.assert_allclose(pointwise_information(joint), [
        [log(4 / 3), -inf, 0], [log(2 / 3), log(2), 0], [0, 0, 0]])
    assert mutual_information(joint) == pytest.approx(
        log(4 / 3) / 2 + log(2 / 3) / 4 + log(2) / 4)
    assert chi_square(joint) == pytest.approx(4 / 3 / 2 + 2 / 3 / 4 + 2 / 4 - 1)


def test_what_hardly_ever_happens():
    """Where p(s) p(a) is no float any more"""
    found = pointwise_information([[1, 1e-200], [1e-200, 1e-300]])
    np.testing.assert_allclose(found, [[0, 0], [0, 100 * log(10)]], rtol=0, atol=1e-12)


# Encoders.


@SEEDS
def test_the_gradient_of_encoders(seed):
    """(contrastive.9), by differences and by the complex step; rows of length 1 too"""
    rng, batch = np.random.default_rng(seed), counted(some(seed)[2], (3, 4))
    x = rng.normal(size=(7, 2))
    loss = partial(symmetric_infonce_loss, counts=batch)
    critic = [[sum(x[s, i] * x[3 + a, i] for i in range(2)) / 0.3 for a in range(4)]
              for s in range(3)]
    total = encoded(loss, 3, temperature=0.3)
    assert total(x)[0] == pytest.approx(loss(np.array(critic))[0], abs=1e-13)
    assert check(total, x).passed and check(on_sphere(total), x).passed
    unit = x / np.linalg.norm(x, axis=1)[:, None]
    for size in 1, 3:
        assert on_sphere(total)(size * x)[0] == pytest.approx(total(unit)[0], abs=1e-13)


def job():
    return defaults.contrasts()[0]


def test_the_shares_of_encoders_by_rank():
    """0.460, 0.623, 0.802, 0.937, 0.997 and 1 of I; (contrastive.9)"""
    shares = job().shares
    assert [round(share, 3) for share in shares.values()] == [0.460, 0.623, 0.802, 0.937, 0.997, 1]
    assert shares[1] <= 0.47 and shares[8] >= 0.93 and shares[16] >= 0.99
    assert shares[26] == pytest.approx(1, abs=1e-9)


def test_twenty_six_numbers_hold_a_table():
    """As a constant of a row is free: if it takes the last column, 26 columns are left."""
    p = letters()
    pmi = pointwise_information(p)
    rest = pmi - pmi[:, -1:]
    assert np.linalg.matrix_rank(rest) == 26 < np.linalg.matrix_rank(pmi)
    total = encoded(partial(infonce_loss, counts=p), 27)
    found = -total(np.concatenate([rest[:, :26], np.eye(27, 26)]))[0]
    assert found == pytest.approx(mutual_information(p), abs=1e-12)


@pytest.mark.slow
@SEEDS
def test_a_fit_from_anywhere_ends_near_the_best_that_was_found(seed):
    """And not above it: there are local minima."""
    p = letters()
    shares = {}
    for rank in 1, 8, 16:
        start = np.random.default_rng(seed).normal(size=(54, rank)) / rank**0.5
        total = encoded(partial(infonce_loss, counts=p), 27)
        shares[rank] = -minimise(total, start, tol=1e-6).loss / mutual_information(p)
    assert shares[1] <= 0.47 and shares[8] >= 0.93 and shares[16] >= 0.99
    for rank, share in shares.items():
        assert job().shares[rank] - 0.005 < share < job().shares[rank] + 1e-4


@pytest.mark.slow
def test_no_start_is_found_that_is_better_than_those_of_the_job():
    """A hundred others, at the rank with most local minima; from the singular vectors 0.933"""
    p, rng, information = letters(), np.random.default_rng(1), mutual_information(letters())
    total = encoded(partial(infonce_loss, counts=p), 27)
    shares = [-minimise(total, rng.normal(size=(54, 8)) / 8**0.5, tol=1e-6).loss / information
              for _ in range(100)]
    assert max(shares) == pytest.approx(job().shares[8], abs=1e-4)
    assert sum(share < job().shares[8] - 0.0005 for share in shares) > 60  # most end in another
    first = minimise(total, contrasts.first_vectors(p, 8), tol=1e-6)
    assert round(-first.loss / information, 3) == 0.933


def test_a_small_temperature_wants_dimensions():
    """With vectors of length 1: few tell most at τ = 0.5, many at 0.1."""
    p, shares = letters(), {}
    for rank, tau in product((4, 16), (2, 0.5, 0.1)):
        start = np.random.default_rng(0).normal(size=(54, rank))
        total = on_sphere(encoded(partial(infonce_loss, counts=p), 27, temperature=tau))
        shares[rank, tau] = -minimise(total, start, tol=1e-6,
                                      max_iterations=200).loss / mutual_information(p)
    assert shares[4, 2] == pytest.approx(shares[16, 2], abs=0.01)
    assert shares[4, 0.5] > shares[4, 0.1] + 0.01 and shares[4, 0.5] > 0.75
    assert shares[16, 0.1] > 0.99 > shares[16, 0.5] + 0.05


def test_two_dimensions_hold_a_hundred_states():
    """On a circle, at a small τ: what is of rank 2 before the softmax is not so after it."""
    angle = np.arange(100) * np.pi / 50
    circle = np.tile([np.cos(angle), np.sin(angle)], 2).T
    total = encoded(partial(infonce_loss, counts=np.eye(100) / 100), 100, temperature=1e-4)
    assert -total(circle)[0] == pytest.approx(log(100), abs=1e-6)


def test_the_figure_shows_bounds_below_their_ceilings():
    """log K first; then a line and a dashed one for each name; the shares beside"""
    pytest.importorskip("matplotlib")
    from minirl.lab import figures

    figure, = figures.contrasts_figures(job()).values()
    left, right = figure.axes
    ceiling, *lines = (line.get_ydata() for line in left.lines)
    assert list(ceiling) == pytest.approx([k * log(2) for k in range(1, 11)])
    for steps, shown, information in zip(job().steps, lines[::2], lines[1::2], strict=True):
        assert list(shown) == [row.shown for row in steps.batches]
        assert set(information) == {steps.information}
        assert (np.array(shown) < np.minimum(ceiling, steps.information)).all()
        assert any(text.get_text().startswith(steps.name) for text in left.texts)
    assert list(right.lines[0].get_ydata()) == [*job().shares.values()]
    assert [text.get_text() for text in right.texts] == [f"{x:.3f}" for x in job().shares.values()]
