"""Pairs: their matrices, made once, and what each of them counts."""

import numpy as np
import pytest
from languages import all_strings, pairs_of, preference_pairs, running_example
from scipy import sparse

from minirl.kernel import counts
from minirl.kernel.softmax import backward, log_softmax
from minirl.people.calibration import accuracy
from minirl.people.pairs import (HEAD, MEANS, check_difference, check_matrix, choices, over_pairs,
                                 reward_margins, shares)

STRINGS = all_strings(2, 4)
PAIRS = pairs_of([STRINGS[i] for i in (4, 9, 2, 30)], [STRINGS[i] for i in (5, 1, 17, 30)])
D, (X, Y), (M, N) = PAIRS.difference, PAIRS.counts, PAIRS.means


def test_the_matrices_are_those_of_counts_and_are_made_once():
    good, bad = PAIRS.chosen, PAIRS.rejected
    for made, own in ((D, counts.difference_matrix(good, bad)), (X, counts.matrix(good)),
                      (Y, counts.matrix(bad)), (M, counts.mean_matrix(good)),
                      (N, counts.mean_matrix(bad))):
        np.testing.assert_array_equal(made.toarray(), own.toarray())
        assert not any(array.flags.writeable for array in (made.data, made.indices, made.indptr))
    assert PAIRS.difference is D and PAIRS.counts[0] is X and PAIRS.means[1] is N
    assert np.shares_memory(X.indices, good.index) and np.shares_memory(Y.indices, bad.index)
    assert len(PAIRS) == 4 and PAIRS.shape == (3, 3) and PAIRS.identical == 1


def test_pairs_are_taken_and_put_together_row_by_row():
    rows = np.array([2, 0, 0])
    both = PAIRS.select(rows) + PAIRS
    np.testing.assert_array_equal(both.difference.toarray(),
                                  np.concatenate([D.toarray()[rows], D.toarray()]))
    assert len(both) == 7 and both.identical == 1


def test_two_strings_are_identical_if_every_letter_is():
    """Not if they are as long, nor if they take the same steps in another order."""
    a, aab, aba = ([(0, 1), (1, 0)], [(0, 1), (1, 1), (1, 2), (2, 0)],
                   [(0, 1), (1, 2), (2, 0), (1, 1)])
    for chosen, rejected, identical in (([a, aab, aba], [a, aab, aba], 3), ([a, aab], [aab, a], 0),
                                        ([aab, a, aab], [aba, a, aab], 2)):
        assert pairs_of(chosen, rejected).identical == identical
    assert PAIRS.select(np.arange(0)).identical == 0
    assert choices([0, 1, 1], [1, 1, 0], 2).identical == 1


def test_choices_are_strings_of_one_step():
    pairs = choices([2, 0], range(2), 3)
    assert pairs.shape == (1, 3)
    assert pairs.difference.toarray().tolist() == [[-1, 0, 1], [1, -1, 0]]


def test_a_difference_may_have_its_first_negative_entry_far_below():
    """"aa" over "a" is one more step if what cancels is left out; only the last pair says the
    opposite."""
    one, two = [(0, 1), (1, 0)], [(0, 1), (1, 1), (1, 0)]
    pairs = pairs_of([two] * HEAD + [one], [one] * HEAD + [two], symbols=2)
    D = sparse.csr_array(pairs.difference.toarray())
    head = D[:HEAD]
    assert head.data.min() >= 0 > D.data.min()
    assert (check_difference("difference", D, np.zeros((2, 2))) != D).nnz == 0
    with pytest.raises(ValueError, match="difference must be counts less counts, some of them neg"):
        check_difference("difference", head, np.zeros((2, 2)))


def test_means_need_not_be_exact_but_nearly():
    check_matrix("chosen", (1 + 1e-12) * M, np.zeros((3, 3)), MEANS)
    for factor in (1 + 1e-6, 1 - 1e-6):
        with pytest.raises(ValueError, match="chosen must be not negative, with rows that sum to"):
            check_matrix("chosen", factor * M, np.zeros((3, 3)), MEANS)


def test_the_shares_of_pairs_are_their_weights_divided_by_the_sum():
    """(reward_model.3): q/Σq by a loop; without weights all pairs count the same."""
    q = np.array([2.0, 0.0, 0.5, 7.0])
    total = sum(q.tolist())
    for weights in (q, 4 * q, 1e-9 * q):
        assert shares(weights, 4).tolist() == pytest.approx([x / total for x in q], abs=1e-12)
    assert shares(np.array([3, 1]), 2).tolist() == [0.75, 0.25]  # whole numbers are not cut
    assert shares(None, 5).tolist() == [0.2] * 5 and shares(None, 1).tolist() == [1.0]
    assert q.tolist() == [2.0, 0.0, 0.5, 7.0]


def test_margins_within_the_rounding_of_their_own_sum_are_ties(rng):
    """Equal strings, and strings of other steps that are worth the same; no true difference."""
    S = counts.steps(np.array([0, 1, 2]), np.array([1, 2, 0]), np.array([0, 3]), (3, 3))
    w = np.zeros((3, 3))
    w[0, 1], w[1, 2], w[2, 0] = 0.1, 0.2, 0.3
    same = counts.difference_matrix(S, S)
    assert accuracy(same @ w.ravel()) == 1.0 and accuracy(reward_margins(same, w)) == 0.5
    for table in rng.normal(size=(20, 3, 3)) * 10.0 ** rng.integers(-9, 9, (20, 1, 1)):
        m, plain = reward_margins(D, table), D @ table.ravel()
        assert m[3] == 0.0 and (m[:3] == plain[:3]).all() and m[:3].all()
        np.testing.assert_allclose(reward_margins(PAIRS.counts, table), m, rtol=1e-12)
        again = pairs_of([STRINGS[i] for i in (4, 9, 17)], [STRINGS[i] for i in (4, 9, 17)])
        assert not reward_margins(again.difference, table).any()
    # 0.1 + 0.2 and 0.3, by other steps; one part in 1e12 is a difference.
    a, b = choices([0], [1], 3), choices([2], [1], 3)
    for other in (a.difference + b.difference,
                  counts.Difference(*(one + two for one, two in zip(a.counts, b.counts)))):
        assert reward_margins(other, [[0.1, 0.15, 0.2]]) == 0.0
        assert reward_margins(other, [[0.1, 0.15, 0.2 + 1e-12]]) > 0.0
    # A million comes and goes on one side, and 0.3 stays.
    sides = sparse.csr_array([[1.0, 1, 0, 0]]), sparse.csr_array([[0.0, 0, 1, 1]])
    for two in sides, sides[::-1]:
        assert reward_margins(counts.Difference(*two), [[1e6, 0.3 - 1e6, 0.1, 0.2]]) == 0.0
        assert reward_margins(counts.Difference(*two), [[1e6, 0.4 - 1e6, 0.1, 0.2]]) != 0.0
    assert reward_margins(choices([0], [1], 2).difference, [[1, 0]]).tolist() == [1.0]


def test_the_pairs_of_the_running_example_as_the_chapter_describes_them():
    """The better string is rejected in every fourth pair; a row of D has 14 entries of 729."""
    pairs = preference_pairs(10_000, 1)
    m = reward_margins(pairs.difference, running_example().world.mean_reward)
    assert len(pairs) == 10_000 and pairs.identical == 11
    assert (m < 0).mean() == pytest.approx(1 / 4, abs=0.01)
    assert (m == 0).mean() == pytest.approx(1 / 20, abs=0.005)
    assert pairs.difference.shape[1] == 729
    assert pairs.difference.nnz / len(pairs) == pytest.approx(14, abs=0.2)
    same = [i for i in range(len(pairs)) if pairs.select([i]).identical]
    assert len(same) == 11 and not abs(pairs.difference[same]).sum()


def test_a_loss_over_pairs_is_a_loop_over_strings_and_steps():
    """φ = p² + 3pm of the sums p and m over the two strings, on counts and on means; and where φ is
    a square of the difference, also on D"""
    rng = np.random.default_rng(8)
    sides = [[STRINGS[i] for i in rng.integers(len(STRINGS), size=6)] for _ in range(2)]
    pairs, logits, weights = pairs_of(*sides), rng.normal(size=(3, 3)), rng.random(6)
    logp, lengths = log_softmax(logits), [[len(string) for string in side] for side in sides]

    def product(plus, minus):
        return plus**2 + 3 * plus * minus, 2 * plus + 3 * minus, 3 * plus

    def square(plus, minus):
        return (plus - minus)**2, 2 * (plus - minus), 2 * (minus - plus)

    for phi in product, square:
        for rows, divisors in ((pairs.counts, np.ones((2, 6))), (pairs.means, np.array(lengths))):
            loss, G = 0.0, np.zeros((3, 3))
            for i, w in enumerate(weights / weights.sum()):
                p, m = (sum(logp[step] for step in side[i]) / n[i]
                        for side, n in zip(sides, divisors))
                value, *slopes = phi(p, m)
                loss += w * value
                for side, n, slope in zip(sides, divisors, slopes):
                    for step in side[i]:
                        G[step] += w * slope / n[i]
            found = over_pairs(logp, logp, rows, phi, weights)
            assert found[0] == pytest.approx(loss, rel=1e-12)
            np.testing.assert_allclose(found[1], backward(logp, G), rtol=1e-12, atol=1e-12)
    one, other = (over_pairs(logp, logp, rows, square, weights)
                  for rows in (pairs.counts, pairs.difference))
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-12, atol=1e-12)
