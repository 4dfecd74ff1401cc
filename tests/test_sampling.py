"""Drawing: by counting and by cells, exactly; and generators, one a run."""

import re

import numpy as np
import pytest

from minirl.kernel import sampling
from minirl.kernel.sampling import (alias, codes, codes_of_few, draw, generator, generators,
                                    thresholds, words)


def test_a_draw_counts_the_cumulative_probabilities_that_are_no_larger(rng):
    """(sampling.1)."""
    prob, uniforms = rng.dirichlet(np.ones(5), 300), rng.random(300)
    drawn = draw(thresholds(prob), uniforms)
    for row, u, outcome in zip(prob, uniforms, drawn):
        assert outcome == sum(row[:k + 1].sum() <= u for k in range(4))


@pytest.mark.parametrize("prob", [[0, 0.5, 0, 0.5, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [1],
                                  [0.1] * 10 + [0], [0] + [0.1] * 10 + [0, 0]])
def test_an_outcome_of_probability_zero_is_never_drawn(prob):
    """Not even by the smallest and the largest uniform number, where the sum is 1 − 1e-16."""
    prob = np.array([prob], float)
    for u in 0.0, 2.0**-53, 0.5, 1 - 2.0**-53:
        assert prob[0, draw(thresholds(prob), np.array([u]))[0]] > 0


def test_the_thresholds_of_rows_are_their_running_shares(rng):
    """(sampling.1): outcomes first, the last one left out, and divided by the total."""
    prob = rng.random((3, 2, 4))
    found = thresholds(prob)
    assert found.shape == (3, 3, 2)
    for k, i, j in np.ndindex(found.shape):
        share = sum(prob[i, j, :k + 1]) / sum(prob[i, j])
        assert abs(found[k, i, j] - share) < 1e-15


# Generators.


def test_a_seed_a_generator_and_its_saved_state_draw_the_same():
    first = generator(7)
    saved = first.bit_generator.state
    numbers = np.random.default_rng(7).random(5).tolist()
    assert generator(first) is first
    assert first.random(5).tolist() == generator(saved).random(5).tolist() == numbers
    assert generator(saved).random(5).tolist() == numbers and first.random() != numbers[0]
    assert generator(7.0).random(5).tolist() == generator(np.float32(7)).random(5).tolist()


@pytest.mark.parametrize("many", [[3, 4, 5], (3, 4, 5), range(3, 6), np.array([3, 4, 5])])
def test_a_sequence_names_one_generator_a_run(many):
    made = generators(many)
    assert isinstance(made, tuple) and len(made) == 3
    for seed, run in zip((3, 4, 5), made):
        assert run.random() == np.random.default_rng(seed).random()


def test_anything_else_is_a_single_run():
    own = np.random.default_rng(3)
    assert generators(own)[0] is own and generators([own, 4])[0] is own
    first = own.bit_generator.state
    for rng in 3, own, first:
        run, = generators(rng)
        assert run.random() == np.random.default_rng(3).random()


# The alias method.


def shares(table, rows):
    """How many of the 2^32 words draw each outcome, exactly: (rows, n), from the cells alone."""
    n, size = 2**table.bits, 2**(32 - table.bits)
    assert table.accept.dtype == np.uint32
    assert table.accept.shape == table.either.shape == (2 * rows * n,)
    assert (table.either[::2] == np.arange(rows * n)).all()
    assert (table.accept[::2] == table.accept[1::2]).all()  # a code asks for its cell's own
    own = table.accept[::2].astype(np.int64) - np.tile(np.arange(n) * size, rows)
    assert own.min() >= 0 and own.max() <= size
    assert (table.other // n == np.repeat(np.arange(rows), n)).all()  # never leaves its row
    drawn = own.copy()
    np.add.at(drawn, table.other, size - own)
    return drawn.reshape(rows, n)


def assert_lawful(prob):
    """The cells hold every probability to n·2⁻³², and nothing of what is impossible."""
    prob = np.array(prob, float)
    prob.flags.writeable = False
    rows, m = prob.shape
    table = alias(prob)
    n = 2**table.bits
    assert n >= 2 and n // 2 < max(m, 2) <= n  # the first power of two from m upwards
    drawn, expected = shares(table, rows), np.zeros((rows, n))
    expected[:, :m] = prob / prob.sum(axis=1, keepdims=True)
    assert not drawn[expected == 0].any()
    error = np.abs(drawn / 2**32 - expected)
    assert error.max() <= n * 2.0**-32, prob[error.max(axis=1).argmax()].tolist()


def rounded(rng, rows, m):
    """Hundredths: sums of some outcomes are those of others, but for rounding."""
    prob = rng.integers(0, 20, (rows, m)) / 100
    prob[np.arange(rows), rng.integers(0, m, rows)] += 0.01
    return prob


TABLES = {
    "scattered": lambda rng, rows, m: rng.dirichlet(np.ones(m), rows),
    "concentrated": lambda rng, rows, m: rng.dirichlet(np.full(m, 0.05), rows) + 1e-300,
    "uniform": lambda rng, rows, m: np.full((rows, m), 1 / m),
    "sure": lambda rng, rows, m: np.eye(m)[rng.integers(0, m, rows)],
    "rounded": rounded,
    "whole": lambda rng, rows, m: 1.0 + rng.integers(0, 3, (rows, m)),
    "some impossible": lambda rng, rows, m: (rng.dirichlet(np.ones(m), rows) + 1e-9)
    * ((rng.random((rows, m)) < 0.5) | (np.arange(m) == m // 2)),
    "tiny": lambda rng, rows, m: 10.0**rng.uniform(-40, 0, (rows, m)),
    "nearly even": lambda rng, rows, m: (1 + 1e-13 * rng.normal(size=(rows, m))) / m,
    "not quite one": lambda rng, rows, m: rng.dirichlet(np.ones(m), rows) * (1 + 1e-9),
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_cells_hold_the_law(kind):
    """(sampling.2), exactly: no sampling.  From 1 to 300 outcomes, in tables and row by row."""
    rng = np.random.default_rng(2)
    for m in (*range(1, 34), 63, 64, 65, 127, 128, 129, 255, 256, 257, 300):
        prob = TABLES[kind](rng, 30, m)
        assert_lawful(prob)
        for row in prob[:3]:
            assert_lawful(row[None])
    assert_lawful(TABLES[kind](rng, 3000, 6))


def test_the_cells_hold_the_law_where_a_lack_ends_together_with_something_spare():
    """All splits of a whole into equal parts; what one lacks is just what another has to spare."""
    for parts, m in (8, 4), (10, 3), (12, 4), (7, 5), (6, 6):
        prob = np.array([split for split in np.ndindex((parts + 1,) * m) if sum(split) == parts])
        assert_lawful(prob)
        assert_lawful(prob / parts)
        for split in prob[::max(1, len(prob) // 60)]:
            assert_lawful(split[None] / parts)


@pytest.mark.parametrize("prob", [[0.25, 0.5, 0.25, 0], [0.1, 0.2, 0.2, 0, 0, 0.5], [0.25, 0.75],
                                  [0, 0, 0, 1], [1], [0.5, 0.5], [1, 0, 0], [1e-20, 1, 1e-20]])
def test_the_cells_of_small_rows_hold_the_law(prob):
    """The first cell full and another one poor; a lack that is used up but for rounding."""
    assert_lawful([prob])
    assert_lawful([prob, prob[::-1], prob])


def test_the_picture_of_the_chapter_fills_four_cells_step_by_step():
    """(sampling.2): the cells of 0.1, 0.2, 0.3 and 0.4, in tenths, and the two lines of them."""
    prob = np.array([[0.1, 0.2, 0.3, 0.4]])
    tenths = [round(10 * 4 * p) for p in prob[0]]
    assert tenths == [10 * 0.4, 10 * 0.8, 10 * 1.2, 10 * 1.6]
    drawn = re.findall(r"^    (?:at the start|cell (\d) is full) +(\|.*)$", sampling.__doc__, re.M)
    rows = [re.findall(r"\|([\d.]{10})\|(\d*)", row) for _, row in drawn]
    assert rows[0] == [(f"{str(c) * min(size, 10):.<10}", str(c) * max(size - 10, 0))
                       for c, size in enumerate(tenths)]
    for (number, _), before, after in zip(drawn[1:], rows, rows[1:]):
        filled, lacks = int(number), before[int(number)][0].count(".")
        giver = int(after[filled][0][-1])
        for c in range(4):
            own = "".join(before[c]).count(str(c)) - lacks * (c == giver)
            cell = before[c][0].replace(".", str(giver)) if c == filled else before[c][0]
            cell = f"{str(c) * min(own, 10):.<10}" if c == giver else cell
            assert after[c] == (cell, str(c) * max(own - 10, 0))
    table = alias(prob)
    share = (table.accept[::2] / 2**30 - np.arange(4)).round(4)
    assert (share.tolist(), table.other.tolist()) == ([0.4, 0.8, 0.6, 1.0], [2, 3, 3, 3])
    for c, (cell, spare) in enumerate(rows[-1]):
        own = round(10 * share[c])
        assert (cell, spare) == (str(c) * own + str(table.other[c]) * (10 - own), "")
    lines = re.findall(r"^    what is \w+ +\|(\d+)\|", sampling.__doc__, re.M)
    assert lines == ["22" + 6 * "3", 6 * "0" + "11"]
    assert table.other[0] == int(lines[0][0]) and table.other[1] == int(lines[0][6])
    for u, cell_of, within, outcome in (0.55, 2, 0.2, 2), (0.7, 2, 0.8, 3):
        assert (int(4 * u), round(4 * u - cell_of, 4)) == (cell_of, within)
        assert round(4 * u, 1) in (2.2, 2.8)
        (code,), _ = codes(table, np.array([0]), np.array([[u * 2**32]], np.uint32), np.zeros_like)
        assert table.either[code[0]] == outcome == draw(thresholds(prob), np.array([u]))[0]


def test_what_is_rarer_than_half_a_word_is_never_drawn():
    """2⁻³³ is half a word.  And the largest word, in a last cell that is full, finds its own."""
    for rare, drawn in (2.0**-34, 0), (0.99 * 2.0**-33, 0), (1.01 * 2.0**-33, 1), (1e-10, 0):
        assert shares(alias(np.array([[rare, 1 - rare]])), 1)[0, 0] == drawn
    sure = alias(np.array([[0.0, 1.0]]))
    (code,), _ = codes(sure, np.array([0]), np.array([[2**32 - 1]], np.uint32), np.zeros_like)
    assert sure.either[code[0]] == 1


def in_arrays(table, first, numbers, onward):
    return codes(table, first, numbers, onward.take)


FORMS = pytest.mark.parametrize("form", [in_arrays, codes_of_few])


@FORMS
def test_a_cell_is_picked_by_the_first_bits_and_kept_by_the_others(rng, form):
    """(sampling.2) by loops, at both edges of every cell and of every coin; the code says both."""
    prob = np.concatenate([rng.dirichlet(np.full(5, 0.4), 6), np.eye(5), np.full((1, 5), 0.2)])
    table, n = alias(prob), 8
    size, nowhere = 2**32 // n, np.zeros(table.either.size, int)
    for s, row in enumerate(prob):
        coins = table.accept[::2][s * n:(s + 1) * n].tolist()
        numbers = {c * size + shift for c in range(n + 1) for shift in (-1, 0, 1, size // 2)}
        numbers |= {coin + shift for coin in coins for shift in (-1, 0, 1)} | {0, 2**32 - 1}
        numbers = [u for u in sorted(numbers) if 0 <= u < 2**32]
        first = np.full(len(numbers), 2 * s * n)
        (found,), _ = form(table, first, np.array([numbers], np.uint32), nowhere)
        for u, code in zip(numbers, found):
            own, coin = s * n + u // size, int(u >= coins[u // size])
            assert code == 2 * own + coin
            assert table.either[code] == (table.other[own] if coin else own)
            assert row[table.either[code] - s * n] > 0


@FORMS
@pytest.mark.parametrize("rows, m", [(1, 1), (1, 2), (5, 3), (40, 100)])
def test_each_draw_is_from_the_row_that_the_one_before_led_to(rng, form, rows, m):
    """In arrays and in plain Python both are the loop, draw by draw, bit for bit."""
    table = alias(rng.dirichlet(np.full(m, 0.5), rows))
    first, onward = (rng.integers(0, rows, size) << table.bits + 1
                     for size in (20, table.either.size))
    numbers = words(rng, 30, np.arange(20))
    kept = [x.copy() for x in (first, numbers, onward)]
    found, after = form(table, first, numbers, onward)
    assert found.shape == (30, 20) and found.dtype == after.dtype == np.int64
    for n, here in enumerate(first.tolist()):
        for t, number in enumerate(numbers[:, n].tolist()):
            cell = here // 2 + number // 2**(32 - table.bits)
            assert found[t, n] == 2 * cell + (number >= table.accept[2 * cell])
            here = int(onward[found[t, n]])
        assert after[n] == here
    for before, now in zip(kept, (first, numbers, onward)):
        np.testing.assert_array_equal(before, now)


BITS = [np.random.PCG64, np.random.MT19937, np.random.SFC64, np.random.Philox]


@pytest.mark.parametrize("bits", BITS)
def test_words_are_the_halves_of_words_of_64_bits(bits):
    """Also an odd number of them; the same seed draws the same, and no more than it must."""
    for count, runs in (1, 1), (2, 3), (3, 3), (5, 1), (16, 7):
        rng, again = np.random.Generator(bits(5)), np.random.Generator(bits(5))
        drawn = words(rng, count, np.arange(runs))
        assert drawn.dtype == np.uint32 and drawn.shape == (count, runs)
        whole = again.integers(0, 2**64, (count * runs + 1) // 2, dtype=np.uint64).tolist()
        halves = sorted(half for word in whole for half in (word % 2**32, word >> 32))
        left = sorted(drawn.ravel().tolist())
        assert len(set(left)) == count * runs and set(left) <= set(halves)
        assert rng.random() == again.random()
        same = words(np.random.Generator(bits(5)), count, np.arange(runs))
        assert same.tolist() == drawn.tolist()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_words_of_a_run_are_the_same_whoever_is_beside_it(count):
    """And a run that is not asked for does not advance."""
    runs, alone = generators([5, 6, 7]), generators([5, 6, 7])
    for which in [0, 1, 2], [2, 0], [2]:
        together = words(runs, count, np.array(which))
        assert together.shape == (count, len(which)) and together.dtype == np.uint32
        for column, run in enumerate(which):
            expected = words(alone[run], count, np.array([0]))[:, 0]
            assert together[:, column].tolist() == expected.tolist()
    for one, other in zip(runs, alone):
        assert one.bit_generator.state == other.bit_generator.state
