"""Layout: end to end, side by side and part by part, by loops."""

import numpy as np
import pytest

from minirl.kernel import counts, layout

SHAPE = (3, 4)


@pytest.mark.parametrize("rows", [[2, 0, 2], [], [1], np.array([True, False, True, True])])
def test_the_sequences_taken_keep_their_places_together(rows):
    """In the order asked, as often as asked, an empty one too; or those of a mask."""
    rows, starts = np.array(rows, bool if np.ndim(rows) and len(rows) == 4 else int), np.array(
        [0, 2, 2, 5, 6])
    places, begin = layout.taken(starts, rows)
    wanted = [[*range(starts[i], starts[i + 1])] for i in np.arange(4)[rows]]
    assert places.tolist() == sum(wanted, [])
    assert begin.tolist() == [0, *np.cumsum([len(own) for own in wanted], dtype=int)]
    assert begin.dtype == np.int32 and starts.tolist() == [0, 2, 2, 5, 6]


def test_more_steps_than_32_bits_can_number_are_refused():
    with pytest.raises(ValueError, match="32 bits, got 3221225472 steps"):
        layout.starts_of([2**30] * 3)


@pytest.mark.parametrize("dtype", [float, int, np.int8, bool])
@pytest.mark.parametrize("lengths", [[3, 1, 2], [0, 4, 0, 0, 2, 0], [1], [0, 0], [], [2] * 512,
                                     [1, 0, 2, 5] * 256, [3] * 511, [0, 1] * 513, [1] * 1536])
def test_a_rectangle_has_one_sequence_a_column_and_flatten_takes_it_back(lengths, dtype):
    """By loops, at widths at which rows lie whole pages apart too, with one blank or many.

    Neither changes what it was given, and a rectangle that is a view of another is read as it is.
    """
    rng, B, T = np.random.default_rng(8), len(lengths), max(lengths, default=0)
    starts = np.array([0, *np.cumsum(lengths, dtype=int)])
    values, blanks = (rng.integers(0, 2 if dtype == bool else 100, n).astype(dtype)
                      for n in (starts[-1], B))
    alive, kept = np.arange(T)[:, None] < np.array(lengths, int), values.copy()
    for blank in 0, 1, blanks:
        filled = layout.rectangle(values, starts, blank)
        assert filled.shape == (T, B) and filled.dtype == dtype
        for i, length in enumerate(lengths):
            own = values[starts[i]:starts[i + 1]].tolist()
            assert filled[:, i].tolist() == own + [np.broadcast_to(blank, B)[i]] * (T - length)
        before, made = filled.copy(), layout.columns(T, B, dtype)
        assert made.strides[0] % 4096 or not made.size
        made[:] = filled
        for same in filled, np.asfortranarray(filled), np.repeat(filled, 2, axis=0)[::2], made:
            flat = layout.flatten(same, alive)
            assert flat.dtype == dtype and flat.tolist() == values.tolist()
        np.testing.assert_array_equal(filled, before)
    np.testing.assert_array_equal(layout.rectangle(values, starts),
                                  layout.rectangle(values, starts, 0))
    np.testing.assert_array_equal(values, kept)


def test_the_drawing_of_the_chapter_is_what_the_functions_make():
    lines = layout.__doc__.split("\n")
    at = next(n for n, line in enumerate(lines) if line.startswith("    place"))
    place, value, starts = (line[14:40] for line in lines[at:at + 3])
    sequences = [[int(word) for word in part.split()] for part in value.split("|")]
    assert place.replace("|", "").split() == list("012345")
    begin = layout.starts_of([len(sequence) for sequence in sequences])
    assert [int(word) for word in starts.split()] == begin.tolist() == [0, 2, 3, 6]
    assert all(value[starts.index(str(n))] == str(sequence[0])  # each start is under its value
               for n, sequence in zip(begin, sequences))
    made = layout.rectangle(sum(sequences, []), begin, blank=-1)
    assert [line.split()[-3:] for line in lines[at:at + 3]] == [
        ["·" if x < 0 else str(x) for x in row] for row in made.tolist()]


def test_one_long_sequence_makes_a_rectangle_of_which_nearly_all_is_blank():
    """99 strings of 10 letters and one of 1,000: 1,990 places end to end, and 100,000."""
    starts = layout.starts_of([10] * 99 + [1_000])
    block = layout.rectangle(np.ones(starts[-1], np.int8), starts)
    assert (starts[-1], block.size) == (1_990, 100_000)
    assert round(100 * (block == 0).mean()) == 98


def parts_of(rng, strings, widths, shuffled=False):
    """Cut rows of pairs into parts of these widths, without those that have nothing left."""
    parts, at = [], 0
    for width in widths:
        who = [i for i, string in enumerate(strings) if len(string) > at or rng.random() < 0.3]
        who = rng.permutation(who).astype(int) if shuffled else np.array(who, int)
        index = np.full((width, len(who)), -1, np.int32)
        for column, i in zip(index.T, who):
            here = strings[i][at:at + width]
            column[:len(here)] = here
        parts.append((who, index))
        at += width
    return parts


@pytest.mark.parametrize("seed", range(8))
def test_sequences_written_part_by_part_are_laid_end_to_end(seed):
    """By loops: empty ones, ones that end in any part or with it, ones that are not in a part."""
    rng = np.random.default_rng(seed)
    for widths in (9,), (4, 5), (1, 1, 1, 6), (5, 3, 1), (3, 0, 6):
        strings = [rng.integers(0, 12, rng.integers(0, 10)).tolist() for _ in range(12)]
        parts = parts_of(rng, strings, widths, shuffled=len(widths) > 1 and seed % 2 == 1)
        kept = [(who.copy(), index.copy()) for who, index in parts]
        for dtype in np.int8, np.int64:
            values, starts = layout.laid_out([(who, index.astype(dtype)) for who, index in parts],
                                             12, dtype)
            assert values.tolist() == sum(strings, []) and values.dtype == dtype
            assert starts.tolist() == [0, *np.cumsum([len(string) for string in strings])]
        steps = counts.from_parts(parts, 12, SHAPE)
        assert steps.index.tolist() == sum(strings, [])
        assert steps.starts.tolist() == [0, *np.cumsum([len(string) for string in strings])]
        assert steps.index.dtype == steps.starts.dtype == np.int32 and steps.shape == SHAPE
        for (who, index), (who_before, index_before) in zip(parts, kept):
            assert (who == who_before).all() and (index == index_before).all()


def test_without_parts_or_with_empty_ones_there_are_no_steps():
    nobody = np.zeros(0, int), np.zeros((3, 0), np.int32)
    ended = np.arange(2), np.full((3, 2), -1, np.int32)
    for parts, sequences in (([], 0), ([], 2), ([nobody], 2), ([ended], 2), ([nobody, ended], 2),
                             ([ended, nobody, ended], 2)):
        steps = counts.from_parts(parts, sequences, SHAPE)
        assert steps.index.size == 0 and steps.index.dtype == steps.starts.dtype == np.int32
        assert steps.starts.tolist() == [0] * (sequences + 1)
        assert counts.matrix(steps).shape == (sequences, 12)
