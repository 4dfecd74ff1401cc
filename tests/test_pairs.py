"""Pairs: their matrices, made once, and what each of them counts."""

import numpy as np
import pytest
from languages import all_strings, pairs_of

from minirl.kernel import counts
from minirl.people.pairs import MEANS, check_matrix, choices, shares

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


def test_choices_are_strings_of_one_step():
    pairs = choices([2, 0], range(2), 3)
    assert pairs.shape == (1, 3)
    assert pairs.difference.toarray().tolist() == [[-1, 0, 1], [1, -1, 0]]


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
