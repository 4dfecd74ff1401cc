"""Pairs: their matrices, made once, and what a loss or a fit refuses in their place."""

import numpy as np
import pytest
from languages import all_strings, as_steps, pairs_of
from scipy import sparse

from minirl.kernel import counts
from minirl.people.dpo import dpo_loss, fit_dpo
from minirl.people.ipo import fit_ipo, ipo_loss
from minirl.people.kto import fit_kto, kto_loss
from minirl.people.orpo import fit_orpo, orpo_loss
from minirl.people.pairs import Pairs, choices
from minirl.people.reward_model import (bradley_terry_loss, fit_reward_model, logistic_loss,
                                        plackett_luce_loss, squared_loss)
from minirl.people.simpo import fit_simpo, simpo_loss

STRINGS = all_strings(2, 4)
PAIRS = pairs_of([STRINGS[i] for i in (4, 9, 2, 30)], [STRINGS[i] for i in (5, 1, 17, 30)])
ZEROS = np.zeros((3, 3))
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


def test_choices_are_strings_of_one_step():
    pairs = choices([2, 0], range(2), 3)
    assert pairs.shape == (1, 3)
    assert pairs.difference.toarray().tolist() == [[-1, 0, 1], [1, -1, 0]]


@pytest.mark.parametrize("chosen, rejected, message", [
    (X, PAIRS.rejected, "chosen must be counts.Steps, got csr_array"),
    (PAIRS.chosen, Y, "rejected must be counts.Steps, got csr_array"),
    (PAIRS.chosen, counts.select(PAIRS.rejected, np.arange(3)), "got 4 of (3, 3) and 3 of (3, 3)"),
    (PAIRS.chosen, as_steps(STRINGS[:4], 4), "got 4 of (3, 3) and 4 of (4, 4)")])
def test_what_is_no_pair_of_steps_is_refused(chosen, rejected, message):
    with pytest.raises(ValueError) as error:
        Pairs(chosen, rejected)
    assert message in str(error.value)


LOSSES = {"bradley_terry": lambda m: bradley_terry_loss(ZEROS, m),
          "dpo": lambda m: dpo_loss(ZEROS, ZEROS, m, beta=1.0),
          "ipo": lambda m: ipo_loss(ZEROS, ZEROS, m, beta=1.0),
          "plackett_luce": lambda m: plackett_luce_loss(ZEROS, m, 2),
          "logistic": lambda m: logistic_loss(ZEROS, m, np.full(4, 0.5)),
          "squared": lambda m: squared_loss(ZEROS, m, np.zeros(4)),
          "kto, chosen": lambda m: kto_loss(ZEROS, ZEROS, m, Y, beta=1.0, z0=0.0),
          "kto, rejected": lambda m: kto_loss(ZEROS, ZEROS, X, m, beta=1.0, z0=0.0),
          "simpo, chosen": lambda m: simpo_loss(ZEROS, m, N, beta=1.0, simpo_gamma=0.0),
          "simpo, rejected": lambda m: simpo_loss(ZEROS, M, m, beta=1.0, simpo_gamma=0.0),
          "orpo, chosen": lambda m: orpo_loss(ZEROS, m, N, beta=1.0),
          "orpo, rejected": lambda m: orpo_loss(ZEROS, M, m, beta=1.0)}
WANTED = dict(zip(LOSSES, ["difference"] * 3 + ["counts"] * 5 + ["means"] * 4))
GIVEN = {"difference": D, "counts": X, "means": M}
WORDS = {"difference": "must have negative entries (Pairs.difference), got none",
         "counts": "must be whole counts, not negative (counts.matrix), got ",
         "means": "must have rows that sum to 1 (counts.mean_matrix), got sums from "}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_a_loss_takes_its_own_matrix_and_refuses_the_others(name, form):
    LOSSES[name](form(GIVEN[WANTED[name]]))
    for kind, matrix in GIVEN.items():
        if kind != WANTED[name]:
            with pytest.raises(ValueError) as error:
                LOSSES[name](form(matrix))
            assert WORDS[WANTED[name]] in str(error.value)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_refuses_pairs_and_dense_rows_by_name(name):
    for wrong, kind in ((PAIRS, "Pairs"), (D.toarray(), "ndarray")):
        with pytest.raises(ValueError) as error:
            LOSSES[name](wrong)
        assert f"must be a sparse matrix (Pairs.{WANTED[name]}), got {kind}" in str(error.value)


FITS = {"reward_model": lambda data: fit_reward_model(ZEROS, data, pull=1.0),
        "dpo": lambda data: fit_dpo(ZEROS, data, beta=1.0, pull=1.0),
        "ipo": lambda data: fit_ipo(ZEROS, data, beta=1.0, pull=1.0),
        "kto": lambda data: fit_kto(ZEROS, data, beta=1.0, pull=1.0, divergence=lambda x: 0.0),
        "simpo": lambda data: fit_simpo(ZEROS, data, beta=1.0, simpo_gamma=0.0, pull=1.0),
        "orpo": lambda data: fit_orpo(ZEROS, data, beta=1.0, pull=1.0)}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_takes_pairs_and_refuses_a_matrix_none_and_those_of_another_table(name):
    assert FITS[name](PAIRS).x.shape == (3, 3)
    for matrix in GIVEN.values():
        with pytest.raises(ValueError, match="pairs must be .*Pairs.* got csr_array"):
            FITS[name](matrix)
    elsewhere = pairs_of(STRINGS[:2], STRINGS[1:3], 4)
    for wrong in (PAIRS.select(np.arange(0)), elsewhere):
        with pytest.raises(ValueError, match="must be at least one over a table of shape"):
            FITS[name](wrong)


def test_a_kto_fit_takes_other_numbers_of_liked_and_disliked_strings():
    liked, disliked = PAIRS.chosen, counts.select(PAIRS.rejected, np.array([1]))
    fit = FITS["kto"]((liked, disliked))
    _, grad = kto_loss(fit.x, ZEROS, X, Y[[1]], beta=1.0, z0=0.0)
    np.testing.assert_allclose(grad, -fit.x / 5, atol=1e-6)
    np.testing.assert_array_equal(FITS["kto"](PAIRS).x,
                                  FITS["kto"]((PAIRS.chosen, PAIRS.rejected)).x)
    for wrong in ((liked, Y), (X, disliked), (liked,), liked, [liked, disliked]):
        with pytest.raises(ValueError, match="must be .*counts.Steps"):
            FITS["kto"](wrong)
