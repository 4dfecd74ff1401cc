"""What holds for every loss of preferences and for every fit to them."""

from functools import partial

import numpy as np
import pytest
from languages import all_strings, pairs_of, sigma, totals
from scipy import sparse

from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.people.dpo import dpo_loss, fit_dpo
from minirl.people.ipo import fit_ipo, ipo_loss
from minirl.people.kto import fit_kto, kto_loss
from minirl.people.margins import margin_loss, nca
from minirl.people.orpo import fit_orpo, orpo_loss
from minirl.people.pairs import choices
from minirl.people.reward_model import (bradley_terry_loss, fit_reward_model, logistic_loss,
                                        plackett_luce_loss, squared_loss)
from minirl.people.simpo import fit_simpo, simpo_loss
from minirl.people.unified import dpo_coefficients, gradient

RNG = np.random.default_rng(0)
STRINGS = all_strings(2, 4)  # of two letters; the table has room for a third
ROWS = RNG.integers(len(STRINGS), size=(12, 2))
ROWS[0, 0], ROWS[7] = 0, 9  # an empty string, and one string twice
SIDES = [[STRINGS[i] for i in side] for side in ROWS.T]
PAIRS = pairs_of(*SIDES, symbols=4)
D, (X, Y), (M, N) = PAIRS.difference, PAIRS.counts, PAIRS.means
LOGITS, REF = RNG.normal(size=(2, 4, 4))
(Q, LABELS), (MARGINS, SCORES) = RNG.random((2, 12)), RNG.normal(size=(2, 12))
ALL, NCA = np.arange(12), partial(nca, beta=0.7)


def unified(x, ref, rows):
    """DPO by (unified.1): no loss, and its gradient."""
    pairs = PAIRS.select(rows)
    c = np.concatenate(dpo_coefficients(x, ref, pairs, beta=0.7))
    weights = np.full(2 * len(pairs), 1 / len(pairs))
    return 0.0, -gradient(x, counts.join([pairs.chosen, pairs.rejected]), c, weights)


# Each loss of the table x on some rows of the twelve pairs, with the reference and with weights.
PLAIN = {
    "bradley_terry": lambda x, ref, rows: bradley_terry_loss(x, D[rows]),
    "plackett_luce": lambda x, ref, rows: plackett_luce_loss(
        x, X[(rows[:, None] + [0, 1, 2]).ravel() % 12], 3),
    "logistic": lambda x, ref, rows: logistic_loss(x, X[rows], LABELS[rows]),
    "squared": lambda x, ref, rows: squared_loss(x, X[rows], SCORES[rows]),
    "dpo": lambda x, ref, rows: dpo_loss(x, ref, D[rows], beta=0.7),
    "ipo": lambda x, ref, rows: ipo_loss(x, ref, D[rows], beta=0.7),
    "kto": lambda x, ref, rows: kto_loss(x, ref, X[rows], Y[np.repeat(rows, 2)], beta=0.7, z0=0.4),
    "kto, weighted": lambda x, ref, rows: kto_loss(
        x, ref, X[rows], Y[np.repeat(rows, 2)], beta=0.7, z0=0.4, desirable_weight=Q[rows],
        undesirable_weight=LABELS[np.repeat(rows, 2)]),
    "simpo": lambda x, ref, rows: simpo_loss(x, M[rows], N[rows], beta=2.0, simpo_gamma=1.0),
    "orpo": lambda x, ref, rows: orpo_loss(x, M[rows], N[rows], beta=2.0),
    "margins": lambda x, ref, rows: margin_loss(x, ref, counts.Difference(X[rows], Y[rows]), NCA),
    "unified": unified}
WEIGHTED = {
    "bradley_terry": lambda x, ref, rows, q: bradley_terry_loss(
        x, D[rows], margin=MARGINS[rows], label_smoothing=0.1, pair_weights=q),
    "dpo": lambda x, ref, rows, q: dpo_loss(x, ref, D[rows], beta=0.7, label_smoothing=0.1,
                                            pair_weights=q),
    "ipo": lambda x, ref, rows, q: ipo_loss(x, ref, D[rows], beta=0.7, pair_weights=q),
    "simpo": lambda x, ref, rows, q: simpo_loss(x, M[rows], N[rows], beta=2.0, simpo_gamma=1.0,
                                                pair_weights=q),
    "orpo": lambda x, ref, rows, q: orpo_loss(x, M[rows], N[rows], beta=2.0, pair_weights=q),
    "margins": lambda x, ref, rows, q: margin_loss(
        x, ref, counts.Difference(X[rows], Y[rows]), NCA, pair_weights=q)}
POLICIES = ["dpo", "ipo", "kto", "kto, weighted", "simpo", "orpo", "margins", "unified"]


# What each says of each pair, by the equations of the papers.


def surprise(x, epsilon=0.0):
    """−log σ(x), or with a share of the answers turned round."""
    return -(1 - epsilon) * np.log(sigma(x)) - epsilon * np.log(sigma(-x))


def rankings(r):
    """(reward_model.4) of the rewards r, by one choice after the other."""
    return sum(np.log(sum(np.exp(r[k:]))) - r[k] for k in range(len(r)))


(R, R2), (H, H2) = ([totals(table, side) for side in SIDES]
                    for table in (LOGITS, log_softmax(LOGITS) - log_softmax(REF)))
P, P2 = (np.exp(totals(log_softmax(LOGITS), side) / [len(string) for string in side])
         for side in SIDES)  # geometric means
TOLD = 1 - sigma(0.7 * np.append(H - 0.4, np.repeat(0.4 - H2, 2)))
EACH = {
    "bradley_terry": surprise(R - R2), "dpo": surprise(0.7 * (H - H2)),
    "plackett_luce": np.array([rankings(R[[i, (i + 1) % 12, (i + 2) % 12]]) for i in ALL]),
    "logistic": LABELS * surprise(R) + (1 - LABELS) * surprise(-R),
    "squared": (R - SCORES)**2 / 2, "ipo": (H - H2 - 1 / 1.4)**2,
    "kto": TOLD, "kto, weighted": TOLD * np.append(Q, np.repeat(LABELS, 2)),
    "simpo": surprise(2 * np.log(P / P2) - 1),
    "margins": surprise(0.7 * H) + (surprise(-0.7 * H) + surprise(-0.7 * H2)) / 2,
    "orpo": -np.log(P) + 2 * surprise(np.log(P / (1 - P) / (P2 / (1 - P2))))}
EACH_WEIGHTED = EACH | {"bradley_terry": surprise(R - R2 - MARGINS, 0.1),
                        "dpo": surprise(0.7 * (H - H2), 0.1)}


@pytest.mark.parametrize("name", EACH)
def test_a_loss_is_a_mean_over_pairs_of_unequal_lengths(name):
    """(reward_model.1), (reward_model.3), (reward_model.4), (reward_model.5), (reward_model.6),
    (dpo.2), (dpo.4), (ipo.1), (kto.1), (simpo.1), (orpo.1) and (margins.1), strings by loops;
    pitfalls 11 and 27, pitfalls 15 and 17: sums where the paper has sums, means where it has means,
    γ beside β, and odds."""
    assert PLAIN[name](LOGITS, REF, ALL)[0] == pytest.approx(EACH[name].mean(), abs=1e-12)
    if name in WEIGHTED:
        expected = Q @ EACH_WEIGHTED[name] / Q.sum()
        assert WEIGHTED[name](LOGITS, REF, ALL, Q)[0] == pytest.approx(expected, abs=1e-12)


# Batches.


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def mean(parts):
    """The mean of losses with their gradients, by (weight, (loss, grad))."""
    total = sum(weight for weight, _ in parts)
    return [sum(weight / total * found[i] for weight, found in parts) for i in (0, 1)]


@pytest.mark.parametrize("name", PLAIN)
def test_parts_of_a_batch_weighted_by_their_size_add_up_to_the_batch(name):
    """Pitfall 26"""
    loss = partial(PLAIN[name], LOGITS, REF)
    assert_same(mean([(len(rows), loss(rows)) for rows in np.split(ALL, [1, 4])]), loss(ALL))


@pytest.mark.parametrize("name", WEIGHTED)
def test_parts_of_weighted_pairs_count_by_the_sum_of_their_weights(name):
    """(reward_model.3): and so only proportions count, and pairs of weight 2 are there twice."""
    loss = partial(WEIGHTED[name], LOGITS, REF)
    whole = loss(ALL, Q)
    assert_same(mean([(Q[rows].sum(), loss(rows, Q[rows])) for rows in np.split(ALL, [1, 4])]),
                whole)
    assert_same(loss(ALL, 1e-3 * Q), whole)
    assert_same(loss(ALL, None), loss(ALL, np.full(12, 3)))
    assert_same(loss(np.array([5, 5, 3, 3, 3]), None),
                loss(np.array([5, 0, 3]), np.array([2, 0, 3])))


@pytest.mark.parametrize("name", POLICIES)
def test_a_constant_on_a_row_changes_nothing_and_rows_of_a_gradient_sum_to_zero(name):
    """Pitfall 10: neither in the policy nor in the reference; rows exchanged do matter."""
    found = PLAIN[name](LOGITS, REF, ALL)
    shifts = np.array([[3.0], [-1.0], [7.0], [0.5]])
    assert_same(PLAIN[name](LOGITS - shifts, REF + shifts, ALL), found)
    np.testing.assert_allclose(found[1].sum(axis=1), 0, atol=1e-14)
    assert np.abs(found[1][:3]).max(axis=1).min() > 1e-3 and not found[1][3].any()
    other = PLAIN[name](LOGITS, REF[[1, 0, 2, 3]], ALL)
    assert (np.abs(other[1] - found[1]).max() > 1e-3) == (name not in ("simpo", "orpo"))


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_that_is_passed_is_changed(name):
    tables = LOGITS.copy(), REF.copy()
    for array in (*tables, Q, MARGINS, LABELS, SCORES):
        array.flags.writeable = False
    first = PLAIN[name](*tables, ALL)
    assert_same(PLAIN[name](*tables, ALL), first)
    if name in WEIGHTED:
        WEIGHTED[name](*tables, ALL, Q)
    for matrix in (D, X, Y, M, N):
        assert not matrix.data.flags.writeable  # as slices of it would be, whatever a loss did


ONE = choices([1], [0], 2)
EVEN, SURE = np.zeros((1, 2)), np.array([[0.0, 1000.0]])
GOOD, BAD = ONE.counts
EXTREME = [  # what is asked of the table of a lead of ±1000, the loss, and the gradient of action 0
    (lambda x: bradley_terry_loss(x, ONE.difference), (0, 0), (1000, 1)),
    (lambda x: bradley_terry_loss(x, ONE.difference, margin=2000.0), (1000, 1), (3000, 1)),
    (lambda x: bradley_terry_loss(x, ONE.difference, label_smoothing=0.25), (250, -0.25),
     (750, 0.75)),
    (lambda x: dpo_loss(x, EVEN, ONE.difference, beta=2.0), (0, 0), (2000, 2)),
    (lambda x: dpo_loss(x, EVEN, ONE.difference, beta=1.0, label_smoothing=0.25), (250, -0.25),
     (750, 0.75)),
    (lambda x: ipo_loss(x, EVEN, ONE.difference, beta=0.5), (999**2, -1998), (1001**2, 2002)),
    (lambda x: kto_loss(x, -x, GOOD, BAD, beta=1.0, z0=0.0), (0, 0), (1, 0)),
    (lambda x: kto_loss(x, -x, BAD, GOOD, beta=1.0, z0=0.0), (1, 0), (0, 0)),
    (lambda x: simpo_loss(x, *ONE.means, beta=1.0, simpo_gamma=30.0), (0, 0), (1030, 1)),
    (lambda x: orpo_loss(x, *ONE.means, beta=2.0), (0, 0), (3000 + 32 * np.log(10), 3))]


@pytest.mark.parametrize("loss, right, wrong", EXTREME)
def test_huge_margins_cost_what_they_should(loss, right, wrong):
    """Pitfalls 13 and 16: without overflow, and without a warning, which would be an error here."""
    for x, (value, push) in ((SURE, right), (-SURE, wrong)):
        found, grad = loss(x)
        assert found == pytest.approx(value, abs=1e-9)
        np.testing.assert_allclose(grad, [[push, -push]], atol=1e-9)


# The one matrix that a loss needs, and no other.

ONLY = {"bradley_terry": ("difference", lambda m: bradley_terry_loss(LOGITS, m)),
        "dpo": ("difference", lambda m: dpo_loss(LOGITS, REF, m, beta=1.0)),
        "ipo": ("difference", lambda m: ipo_loss(LOGITS, REF, m, beta=1.0)),
        "plackett_luce": ("counts", lambda m: plackett_luce_loss(LOGITS, m, 2)),
        "logistic": ("counts", lambda m: logistic_loss(LOGITS, m, LABELS)),
        "squared": ("counts", lambda m: squared_loss(LOGITS, m, SCORES)),
        "kto": ("counts", lambda m: kto_loss(LOGITS, REF, m, Y, beta=1.0, z0=0.0)),
        "kto, rejected": ("counts", lambda m: kto_loss(LOGITS, REF, X, m, beta=1.0, z0=0.0)),
        "simpo": ("means", lambda m: simpo_loss(LOGITS, m, N, beta=1.0, simpo_gamma=0.0)),
        "simpo, rejected": ("means", lambda m: simpo_loss(LOGITS, M, m, beta=1.0, simpo_gamma=0.0)),
        "orpo": ("means", lambda m: orpo_loss(LOGITS, m, N, beta=1.0)),
        "orpo, rejected": ("means", lambda m: orpo_loss(LOGITS, M, m, beta=1.0))}
WORDS = {"difference": "must be counts less counts, some of them negative (Pairs.difference or "
                       "Pairs.counts), got ",
         "counts": "must be whole and not negative (counts.matrix), got entries from ",
         "means": "must be not negative, with rows that sum to 1 (Pairs.means), got entries from "}
# All rejected strings but the last are empty, so that only the last row has a negative entry.
LATE = sparse.csr_array(np.concatenate([X.toarray()] * 5 + [D.toarray()[:1]]))


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("name", ONLY)
def test_a_loss_takes_its_own_matrix_and_refuses_the_others(name, form):
    wanted, loss = ONLY[name]
    for kind, matrix in (("difference", D), ("counts", X), ("means", M)):
        if kind == wanted:
            assert_same(loss(form(matrix)), loss(matrix))
        else:
            with pytest.raises(ValueError) as error:
                loss(form(matrix))
            assert WORDS[wanted] in str(error.value)


@pytest.mark.parametrize("name", ["bradley_terry", "dpo", "ipo"])
def test_a_loss_of_the_difference_takes_its_two_matrices_as_well(name):
    """(counts.3): D or X⁺ and X⁻, in every form of SciPy's, and nothing else in their place."""
    loss = ONLY[name][1]
    for form in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        assert_same(loss(counts.Difference(form(X), form(Y))), loss(D))
    for wrong, words in (((M, N), "difference.plus must be whole and not negative"),
                         ((X, N), "difference.minus must be whole and not negative"),
                         ((D, D), "difference.plus must be whole and not negative"),
                         ((X, -1 * Y), "difference.minus must be whole and not negative"),
                         ((X, Y[:5]), "difference.minus must be (12, 16), B > 0, for a table of"),
                         ((X[:0], Y[:0]), "difference.plus must be (B, 16), B > 0, for a table of"),
                         ((X, Y.toarray()), "difference.minus must be a sparse matrix: ")):
        with pytest.raises(ValueError) as error:
            loss(counts.Difference(*wrong))
        assert words in str(error.value)
    with pytest.raises(ValueError, match=r"difference must be a sparse matrix: .*, got tuple"):
        loss((X, Y))


def test_steps_that_the_policy_never_takes_are_refused_in_either_form():
    never = np.where(np.arange(4) == 1, -np.inf, LOGITS)
    for loss in (dpo_loss, ipo_loss):
        for form in (PAIRS.counts, D, sparse.csc_array(D), sparse.coo_array(D)):
            with pytest.raises(ValueError, match="difference must have no step that the policy"):
                loss(never, never, form, beta=1.0)


def test_a_difference_may_be_negative_in_its_last_row_only():
    assert np.isfinite(bradley_terry_loss(LOGITS, LATE)[0])


# Fits.

FITS = {
    "dpo": (partial(fit_dpo, beta=0.7), lambda x, ref, fit: dpo_loss(x, ref, D, beta=0.7)),
    "dpo, smoothed": (partial(fit_dpo, beta=0.7, label_smoothing=0.2),
                      lambda x, ref, fit: dpo_loss(x, ref, D, beta=0.7, label_smoothing=0.2)),
    "ipo": (partial(fit_ipo, beta=0.7), lambda x, ref, fit: ipo_loss(x, ref, D, beta=0.7)),
    "simpo": (partial(fit_simpo, beta=2.0, simpo_gamma=1.0),
              lambda x, ref, fit: simpo_loss(x, M, N, beta=2.0, simpo_gamma=1.0)),
    "orpo": (partial(fit_orpo, beta=2.0), lambda x, ref, fit: orpo_loss(x, M, N, beta=2.0)),
    "kto": (partial(fit_kto, beta=0.7, divergence=lambda x: 0.3),
            lambda x, ref, fit: kto_loss(x, ref, X, Y, beta=0.7, z0=fit.z0)),
    "reward_model": (fit_reward_model, lambda x, ref, fit: bradley_terry_loss(x, D))}
FITS |= {name: (lambda table, pairs, pull, loss=loss: fit_reward_model(
                    table, pairs.chosen, pull=pull, loss=loss),
                lambda x, ref, fit, loss=loss: loss(x, X))
         for name, loss in (("rankings", partial(plackett_luce_loss, num_generations=3)),
                            ("labels", partial(logistic_loss, labels=LABELS)),
                            ("scores", partial(squared_loss, scores=SCORES)))}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_is_a_stationary_point_of_its_loss_with_the_pull_around_the_table(name):
    """(fitting.2) with weight pull/B, and KTO's B are the strings of both kinds."""
    fit, loss = FITS[name]
    for table, pull in ((REF, 0.3), (LOGITS, 5.0)):
        kept, B = table.copy(), 24 if name == "kto" else 12
        found = fit(table, PAIRS, pull=pull)
        _, grad = loss(found.x, table, found)
        assert found.converged and np.abs(grad).max() > 1e-3
        np.testing.assert_allclose(grad, -pull / B * (found.x - table), atol=1e-6)
        np.testing.assert_allclose(found.x[3], table[3], rtol=1e-14)  # no string comes there
        np.testing.assert_array_equal(table, kept)
    np.testing.assert_allclose(fit(REF, PAIRS, pull=1e7).x, REF, atol=1e-4)


@pytest.mark.parametrize("name", ["dpo", "dpo, smoothed", "ipo", "simpo", "orpo", "kto"])
def test_what_is_not_available_stays_so_in_a_fit(name):
    """A letter that no string has, at −∞ in the reference: as if the table had no room for it."""
    fit, loss = FITS[name]
    masked = np.where(np.arange(4) == 3, -np.inf, REF)
    found = fit(masked, PAIRS, pull=0.3)
    assert found.converged and ((found.x == -np.inf) == (masked == -np.inf)).all()
    value, grad = loss(found.x, masked, found)
    free = np.isfinite(masked)
    np.testing.assert_allclose(grad[free], -0.3 / (24 if name == "kto" else 12) * (
        found.x - REF)[free], atol=1e-6)
    assert not grad[~free].any() and np.isfinite(value)


def test_a_kto_fit_takes_other_numbers_of_liked_and_disliked_strings():
    liked, disliked = PAIRS.chosen, counts.select(PAIRS.rejected, np.array([1, 4]))
    fit = fit_kto(REF, (liked, disliked), beta=1.0, pull=1.0, divergence=lambda x: 0.0)
    _, grad = kto_loss(fit.x, REF, X, Y[[1, 4]], beta=1.0, z0=0.0)
    np.testing.assert_allclose(grad, -(fit.x - REF) / 14, atol=1e-6)
    apart = fit_kto(REF, (liked, PAIRS.rejected), beta=1.0, pull=1.0, divergence=lambda x: 0.0)
    together = fit_kto(REF, PAIRS, beta=1.0, pull=1.0, divergence=lambda x: 0.0)
    np.testing.assert_array_equal(apart.x, together.x)
