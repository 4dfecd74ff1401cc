"""Counting against loops over the steps, with repeated pairs and empty sequences."""

import math
import re

import numpy as np
import pytest

from minirl.kernel import counts, layout
from minirl.kernel.softmax import backward, log_softmax
from toy_lm.corpora import unicode_words
from toy_lm.vocabulary import from_items

SHAPE = (3, 4)
STARTS = np.array([0, 0, 5, 6, 6, 12, 30, 30])  # seven sequences, three of them empty


@pytest.fixture
def batch():
    """Pairs (s, a) and their `Steps`; with 30 steps over 12 pairs, many repeat."""
    rng = np.random.default_rng(1)
    states, actions = rng.integers(0, 3, 30), rng.integers(0, 4, 30)
    pairs = list(zip(states.tolist(), actions.tolist()))
    return pairs, counts.steps(states, actions, STARTS, SHAPE)


@pytest.fixture
def logp():
    return log_softmax(np.random.default_rng(2).normal(size=SHAPE))


def sequences(pairs, starts):
    return [pairs[i:j] for i, j in zip(starts[:-1], starts[1:])]


def steps_of(*sequences, shape=SHAPE):
    """`Steps` from lists of pairs."""
    flat = np.array([pair for sequence in sequences for pair in sequence], int).reshape(-1, 2)
    starts = np.array([0, *np.cumsum([len(sequence) for sequence in sequences], dtype=int)])
    return counts.steps(flat[:, 0], flat[:, 1], starts, shape)


def test_steps_are_numbered_row_after_row(batch):
    pairs, steps = batch
    assert steps.index.tolist() == [s * 4 + a for s, a in pairs]
    assert steps.index.dtype == np.int32 and steps.starts.dtype == np.int32
    assert steps.starts.tolist() == STARTS.tolist() and steps.shape == SHAPE


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_small_and_unsigned_integers_do_not_wrap_around(dtype):
    """Row 100 of a table with 100 columns starts at 10,000, which no int8 holds."""
    steps = counts.steps(np.array([100, 3], dtype), np.array([99, 0], dtype), np.array([0, 2]),
                         (101, 100))
    assert steps.index.tolist() == [10_099, 300]


def test_a_sum_over_steps_is_a_sum_over_the_table(batch, logp):
    """(counts.1), for f = log and f = exp, with weights of both signs and without."""
    pairs, steps = batch
    weights = np.random.default_rng(3).normal(size=30)
    by_loops = np.zeros(SHAPE)
    for w, (s, a) in zip(weights, pairs):
        by_loops[s, a] += w
    np.testing.assert_allclose(counts.table(steps, weights), by_loops, atol=1e-12)
    for f in np.array, np.exp:
        total = sum(w * f(logp[s, a]) for w, (s, a) in zip(weights, pairs))
        assert math.isclose((counts.table(steps, weights) * f(logp)).sum(), total, rel_tol=1e-12)
        plain = sum(f(logp[pair]) for pair in pairs)
        assert math.isclose((counts.table(steps) * f(logp)).sum(), plain, rel_tol=1e-12)


def test_the_word_of_the_chapter_as_steps_as_a_table_and_as_a_row():
    """(counts.1) to (counts.4): "abab", read from the drawing, under chances of ½ and ¼."""
    lines = counts.__doc__.split("\n")
    at = next(n for n, line in enumerate(lines) if line.startswith("    as steps"))
    words = {"start": 0, "end": 0, "a": 1, "b": 2}
    spelt = [[words[word] for word in line.split()[-11:-6]] for line in lines[at:at + 2]]
    states, actions = ([int(word) for word in line.split()[-5:]] for line in lines[at:at + 2])
    assert spelt == [states, actions]
    one, table = counts.steps(states, actions, [0, 5], (3, 3)), np.zeros((3, 3))
    for step in zip(states, actions):
        table[step] += 1
    rows = lines[at + 4:at + 7]
    assert [[int(word) for word in line.split()[1:4]] for line in rows] == table.tolist()
    assert [int(word) for word in rows[1].split()[4:]] == one_row(one).tolist()
    np.testing.assert_array_equal(counts.table(one), table)
    chances = np.full((3, 3), 0.25)
    chances[[0, 1, 2], [1, 2, 0]] = 0.5
    logp, other = np.log(chances), counts.steps([0, 1, 1, 2], [1, 1, 2, 0], [0, 4], (3, 3))
    both = counts.join([one, other])
    assert (counts.matrix(both) @ logp.ravel()).round(4).tolist() == [-4.1589, -3.4657]
    assert (counts.mean_matrix(both) @ logp.ravel()).round(4).tolist() == [-0.8318, -0.8664]
    assert math.isclose(-6 * math.log(2), (table * logp).sum(), rel_tol=1e-15)
    D = counts.difference_matrix(one, other)
    assert D.toarray().astype(int).tolist() == [[0, 0, 0, 0, -1, 1, 0, 1, 0]]
    gap = D @ logp.ravel()
    assert gap.round(4) == -0.6931 and math.isclose(gap[0], -math.log(2), rel_tol=1e-14)


def one_row(steps):
    return counts.matrix(steps).toarray().astype(int)[0]


def test_the_gradient_of_a_counted_sum_is_the_table_times_the_slope(batch, logp):
    """(counts.1) differentiated, in all logits and by complex step: G = W f′(log π)."""
    pairs, steps = batch
    weights = np.random.default_rng(3).normal(size=30)
    for f, slope in (np.sin, np.cos), (np.exp, np.exp):
        found = backward(logp, counts.table(steps, weights) * slope(logp))
        for place in np.ndindex(SHAPE):
            moved = logp.astype(complex)
            moved[place] += 1e-30j
            total = sum(w * f(log_softmax(moved)[pair]) for w, pair in zip(weights, pairs))
            assert math.isclose(found[place], total.imag / 1e-30, abs_tol=1e-12)


def test_the_words_of_the_running_example_are_counted_in_a_small_table():
    """2,465 words, 16,986 steps, 729 entries; a matrix of 1,796,985, of which 1 in 100 is used."""
    words = unicode_words()
    steps = from_items(words).encode(words)
    X = counts.matrix(steps)
    assert (len(words), steps.index.size, math.prod(steps.shape)) == (2_465, 16_986, 729)
    assert steps.shape == (27, 27) and X.shape[0] * X.shape[1] == 1_796_985
    X.sum_duplicates()
    assert X.nnz / 1_796_985 < 0.01


@pytest.mark.parametrize("N", [0, 1, 2, 3, 64, 65, counts.FEW_ENTRIES - 1, counts.FEW_ENTRIES,
                               3 * counts.BLOCK + 5, counts.KEPT, counts.KEPT + 1])
def test_sums_are_those_of_bincount_bit_for_bit(N):
    """(counts.1), pitfall 41: added in the order of the steps, by a sparse matrix or plainly."""
    rng = np.random.default_rng(5)
    index, weights = rng.integers(0, 12, N).astype(np.int32), rng.normal(size=N)
    for some in None, weights, 1e300 * weights, np.arange(N):
        found = counts.add_up(index, 14, some)
        assert found.dtype == float and found.shape == (14,)
        np.testing.assert_array_equal(found, np.bincount(index, some, 14))
    starts = np.array([0, 0, N // 3, N // 3, N, N], np.int32)
    steps = counts.Steps(index, starts, (2, 7))
    rows = np.array([[3.0, -1.5, 0.1, 1e300, 2.0], np.arange(5), [np.nan, 1, 1, 1, np.inf]])
    for some in rows, rows[:1], np.arange(10).reshape(2, 5):
        for found, row in zip(counts.sequence_tables(steps, some), some, strict=True):
            np.testing.assert_array_equal(found.ravel(),
                                          np.bincount(index, row.repeat(np.diff(starts)), 14))


def test_nobody_can_spoil_the_steps_or_the_ones_that_are_kept(batch):
    """SciPy sorts and sums in place, and a matrix that borrowed its arrays would spoil them."""
    pairs, steps = batch[0], counts.select(batch[1], np.array([1, 2, 4, 5]))  # none is empty
    before, each = counts.table(steps), np.ones(4)
    for made in (counts.matrix(steps), counts.difference_matrix(steps, steps),
                 counts.mean_matrix(steps)):
        made.data *= 7
        made.sum_duplicates()
    assert steps.index.tolist() == [s * 4 + a for s, a in pairs]
    assert steps.starts.tolist() == [0, 5, 6, 12, 30]
    np.testing.assert_array_equal(counts.table(steps), before)
    np.testing.assert_array_equal(counts.sequence_tables(steps, [each])[0], before)
    for made in counts.two_matrices(steps, steps):  # which do borrow them
        for spoil in made.sum_duplicates, made.sort_indices, made.eliminate_zeros:
            with pytest.raises(ValueError, match="read-only"):
                spoil()
        assert not any(array.flags.writeable for array in (made.data, made.indices, made.indptr))
        assert made.indices.tolist() == steps.index.tolist()
    with pytest.raises(ValueError, match="read-only"):
        counts._ones(3, np.int32)[0] = 2


def test_a_weight_that_is_not_a_number_spoils_its_own_sum_only():
    found = counts.add_up(np.array([1, 0, 1, 2, 2], np.int32), 4,
                          np.array([np.nan, 1.0, 2.0, np.inf, -np.inf]))
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, 0])


@pytest.mark.parametrize("dtype, wrong", [(np.int8, -1), (np.int16, -1), (np.int32, -2**31),
                                          (np.int64, -2**63), (np.uint64, 2**63),
                                          (np.uint64, 2**64 - 1), (">i2", -1)])
def test_no_type_hides_a_bad_number(dtype, wrong):
    """Read as a byte without a sign, −1 would be state 255 of 300."""
    bad, good, starts = np.array([3, wrong], dtype), np.array([3, 4]), np.array([0, 2])
    for name, pair in ("states", (bad, good)), ("actions", (good, bad)):
        with pytest.raises(ValueError, match=re.escape(f"{name} must lie in [0, 300), got [")):
            counts.steps(*pair, starts, (300, 300))


def test_many_steps_are_numbered_in_blocks_and_each_is_checked():
    """Pitfall 47; what passes `steps` is never checked again.  The message has the range of all."""
    N = 2 * counts.BLOCK + 3
    states, actions = np.arange(N) % 300, np.arange(N) % 7
    for few in np.int64, np.int16, np.uint16, ">i8", "<u4":
        steps = counts.steps(states.astype(few), actions.astype(few), np.array([0, N]), (300, 7))
        np.testing.assert_array_equal(steps.index, states * 7 + actions)
    for n in 0, counts.BLOCK - 1, counts.BLOCK, N - 1:
        for values, name, bound in (states, "states", 300), (actions, "actions", 7):
            for wrong in -1, bound, 2**32:
                kept, values[n] = values[n], wrong
                message = f"{name} must lie in [0, {bound}), got [{values.min()}, {values.max()}]"
                with pytest.raises(ValueError, match=re.escape(message)):
                    counts.steps(states, actions, np.array([0, N]), (300, 7))
                values[n] = kept


def test_the_matrix_gives_the_log_probability_of_each_sequence(batch, logp):
    """(counts.2)."""
    pairs, steps = batch
    X = counts.matrix(steps)
    expected = np.zeros((7, 12))
    for i, sequence in enumerate(sequences(pairs, STARTS)):
        for s, a in sequence:
            expected[i, s * 4 + a] += 1
    np.testing.assert_array_equal(X.toarray(), expected)
    for value, sequence in zip(X @ logp.ravel(), sequences(pairs, STARTS)):
        assert math.isclose(value, sum(logp[pair] for pair in sequence), abs_tol=1e-12)


def test_the_mean_matrix_gives_the_mean_log_probability_of_a_step(logp):
    """(counts.4), by loops: repeated pairs count each time, and lengths are unequal."""
    strings = [[(0, 1), (1, 1), (1, 1), (1, 0)], [(2, 3)], [(0, 0), (0, 0)],
               [(s, a) for s in range(3) for a in range(4)]]
    steps = steps_of(*strings)
    M, expected = counts.mean_matrix(steps), np.zeros((4, 12))
    for i, string in enumerate(strings):
        for s, a in string:
            expected[i, s * 4 + a] += 1 / len(string)
    np.testing.assert_allclose(M.toarray(), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(M @ np.ones(12), 1, rtol=0, atol=1e-15)
    for value, string in zip(M @ logp.ravel(), strings):
        mean = sum(logp[pair] for pair in string) / len(string)
        assert math.isclose(value, mean, rel_tol=1e-12)
    assert M.shape == (4, 12) and M.dtype == float
    assert counts.mean_matrix(steps_of()).shape == (0, 12)


def test_the_difference_matrix_gives_the_gap_between_two_sequences(batch, logp):
    """(counts.3), with sequences that share pairs and with empty ones on either side."""
    pairs, chosen = batch
    starts = np.array([0, 3, 3, 9, 9, 20, 22, 25])
    other = pairs[:12] + pairs[:13]
    rejected = counts.steps(*np.array(other).T, starts, SHAPE)
    D = counts.difference_matrix(chosen, rejected)
    expected = (counts.matrix(chosen) - counts.matrix(rejected)).toarray()
    np.testing.assert_array_equal(D.toarray(), expected)
    for value, plus, minus in zip(D @ logp.ravel(), sequences(pairs, STARTS),
                                  sequences(other, starts)):
        gap = sum(logp[pair] for pair in plus) - sum(logp[pair] for pair in minus)
        assert math.isclose(value, gap, abs_tol=1e-12)
    two, each = counts.two_matrices(chosen, rejected), np.random.default_rng(1).normal(size=7)
    assert two.shape == D.shape and two.T.shape == D.T.shape
    for one, other, vector in ((two, D, logp.ravel()), (two.T, D.T, each),
                               (two.T.T, D, 1j * logp.ravel())):
        np.testing.assert_allclose(one @ vector, other @ vector, rtol=0, atol=1e-13)
    assert np.shares_memory(two.plus.indices, chosen.index)  # nothing is copied
    assert np.shares_memory(two.minus.indptr, rejected.starts)
    assert np.shares_memory(two.plus.data, two.minus.data)


def test_a_batch_of_empty_sequences_and_an_empty_batch_are_allowed():
    for steps, B in ((steps_of([], []), 2), (steps_of(), 0)):
        assert steps.index.dtype == np.int32
        assert counts.table(steps).tolist() == np.zeros(SHAPE).tolist()
        assert counts.table(steps, np.zeros(0)).shape == SHAPE
        for matrix in (counts.matrix(steps), counts.difference_matrix(steps, steps),
                       counts.two_matrices(steps, steps)):
            assert matrix.shape == (B, 12)
            assert (matrix @ np.ones(12)).tolist() == [0.0] * B


def test_select_takes_sequences_in_the_order_asked_and_as_often(batch):
    pairs, steps = batch
    rows = [5, 1, 1, 0, 4, 6, 5]
    chosen = counts.select(steps, np.array(rows))
    expected = steps_of(*[sequences(pairs, STARTS)[row] for row in rows])
    assert chosen.index.tolist() == expected.index.tolist()
    assert chosen.starts.tolist() == expected.starts.tolist() and chosen.shape == SHAPE
    assert chosen.index.dtype == np.int32 and chosen.starts.dtype == np.int32
    nothing = counts.select(steps, np.zeros(0, int))
    assert nothing.index.size == 0 and nothing.starts.tolist() == [0] and nothing.shape == SHAPE


def test_joined_batches_follow_one_another_with_their_empty_sequences(batch):
    pairs, steps = batch
    other = [[(2, 3)], [], [(0, 0), (1, 1), (0, 0)]]
    joined = counts.join([steps, steps_of(), steps_of(*other), steps])
    expected = steps_of(*sequences(pairs, STARTS), *other, *sequences(pairs, STARTS))
    assert joined.index.tolist() == expected.index.tolist()
    assert joined.starts.tolist() == expected.starts.tolist() and joined.shape == SHAPE
    assert joined.index.dtype == np.int32 and joined.starts.dtype == np.int32


def test_a_rectangle_is_read_episode_after_episode_and_weights_meet_their_own_steps():
    """`flatten` has one order for states, actions and weights, in a rectangle of random lengths."""
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, 7, 5)
    alive = np.arange(6)[:, None] < lengths
    states, actions = rng.integers(0, 3, (6, 5)), rng.integers(0, 4, (6, 5))
    weights, by_loops = rng.normal(size=(6, 5)), np.zeros(SHAPE)
    for t, n in np.ndindex(6, 5):
        if alive[t, n]:
            by_loops[states[t, n], actions[t, n]] += weights[t, n]
    flat = [layout.flatten(x, alive) for x in (states, actions, weights)]
    steps = counts.steps(*flat[:2], np.append(0, lengths.cumsum()), SHAPE)
    np.testing.assert_allclose(counts.table(steps, flat[2]), by_loops, atol=1e-12)
    expected = steps_of(*[[(states[t, n], actions[t, n]) for t in range(6) if alive[t, n]]
                          for n in range(5)])
    assert steps.index.tolist() == expected.index.tolist()
    assert steps.starts.tolist() == expected.starts.tolist()


def test_dead_entries_may_hold_anything_and_an_episode_may_be_empty():
    alive = np.array([[False, True], [False, False]])
    steps = counts.steps(*(layout.flatten(np.array([[99, here], [-7, 99]]), alive)
                           for here in (1, 2)), np.array([0, 0, 1]), SHAPE)
    assert steps.index.tolist() == [6] and steps.starts.tolist() == [0, 0, 1]


def test_the_largest_table_of_32_bits_is_numbered():
    last = counts.steps(np.array([2**16 - 1]), np.array([2**15 - 2]), np.array([0, 1]),
                        (2**16, 2**15 - 1))
    assert last.index.tolist() == [2**16 * (2**15 - 1) - 1]


def test_the_chosen_steps_of_a_row_lie_before_the_rejected_ones_in_their_own_order():
    """As lists, for rows of all lengths: none, one side only, both."""
    chosen = steps_of([(0, 1), (2, 3), (0, 1)], [], [(1, 1)], [], [(2, 0)])
    rejected = steps_of([(0, 1)], [(1, 2), (0, 3)], [], [], [(1, 0), (0, 0), (1, 0)])
    D = counts.difference_matrix(chosen, rejected)
    assert D.indptr.tolist() == [0, 4, 6, 7, 7, 11]
    assert D.indices.tolist() == [1, 11, 1, 1, 6, 3, 5, 8, 4, 0, 4]
    assert D.data.tolist() == [1, 1, 1, -1, -1, -1, 1, 1, -1, -1, -1]
    assert D.indices.dtype == D.indptr.dtype == np.int32 and D.dtype == np.float64
