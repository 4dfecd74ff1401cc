"""Drawing: by counting, exactly; and generators, one a run."""

import numpy as np
import pytest

from minirl.sampling import draw, generator, generators, thresholds, uniform


@pytest.fixture
def rng():
    return np.random.default_rng(1)


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


@pytest.mark.parametrize("nobody", [[], (), range(0)])
def test_no_run_at_all_is_refused(nobody):
    with pytest.raises(ValueError, match="rng must name at least one run, got "):
        generators(nobody)


def test_runs_that_share_a_generator_are_refused():
    shared = np.random.default_rng(3)
    with pytest.raises(ValueError, match="a Generator of its own for each run, got one twice"):
        generators([shared, 4, shared])
    generators([shared, 3, 3])


def test_a_run_draws_the_same_whoever_is_beside_it():
    """And a run that is not asked for does not advance."""
    runs = generators([5, 6, 7])
    drawn = [uniform(runs, 2, np.array(which)) for which in ([0, 1, 2], [2, 0], [2])]
    assert [table.shape for table in drawn] == [(2, 3), (2, 2), (2, 1)]
    for run, seed, places in ((0, 5, [(0, 0), (1, 1)]), (1, 6, [(0, 1)]),
                              (2, 7, [(0, 2), (1, 0), (2, 0)])):
        alone = np.concatenate([drawn[call][:, column] for call, column in places])
        expected = np.random.default_rng(seed).random(2 * len(places))
        assert alone.tolist() == expected.tolist(), run


def test_one_generator_for_all_draws_a_fresh_number_for_each():
    drawn = uniform(np.random.default_rng(5), 2, np.array([4, 4, 9]))
    assert drawn.tolist() == np.random.default_rng(5).random((2, 3)).tolist()
