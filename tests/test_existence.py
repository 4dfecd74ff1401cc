"""Which comparisons have a maximum: against all groups, all losses, and errors known by hand."""

from functools import partial
from itertools import combinations
from math import exp, log, sqrt

import numpy as np
import pytest
from scipy import sparse

from minirl.kernel import counts
from minirl.people import existence as chapter
from minirl.people.existence import (covariance, curvature, existence, flat_directions, nearest,
                                     settled, verdict)
from minirl.people.pairs import choices
from minirl.people.reward_model import (bradley_terry_loss, fit_reward_model, logistic_loss,
                                        plackett_luce_loss, squared_loss, standard_errors)
from test_fitting import rosenbrock


def wins(text):
    """`Pairs` of items A, B, … of "AB BA": A beat B, and B beat A."""
    return choices(*zip(*(map("ABCDE".index, pair) for pair in text.split())), 5)


def strings(actions, n):
    """`counts.Steps` of strings of one step."""
    return choices(actions, actions, n).chosen


@pytest.mark.parametrize("text, groups, apart", [
    ("AB AC BC CB", "A > B, C", "A, B, C | D, E"),
    ("AB BA AC CA BD DB DE ED", None, None),
    ("AB BA CD DC", None, "A, B | C, D | E"),
    ("AB", "A > B", "A, B | C, D, E"),
    ("AB BC CD DE", "A > B > C > D > E", None),
    ("AB BC CA AD DE EA", None, None),
    ("AB BC CA DE", "D > E", "A, B, C | D, E"),
    ("AB CD", "A > B | C > D", "A, B | C, D | E"),
    ("AB CD DC", "A > B", "A, B | C, D | E"),
    ("AB BC DE", "A > B > C | D > E", "A, B, C | D, E"),
    ("AB BC DC", "A > B, D > C", "A, B, C, D | E"),
    ("AB BA AC BD CE DE", "A, B > C, D > E", None)])
def test_a_verdict_names_the_groups_and_what_was_never_compared(text, groups, apart):
    """The first is the case of the findings: A beats B and C, who split."""
    found = existence(wins(text).difference)
    words = verdict(found, "ABCDE")
    assert found.exists == (groups is None) and found.of_items
    assert words == ("a maximum exists" if groups is None else
                     f"no maximum without a pull: {groups}, and nobody ever loses to a later one"
                     ) + (f"; never compared: {apart}" if apart else "")


def test_items_have_a_maximum_if_and_only_if_every_group_loses_once_to_the_rest(rng):
    """(existence.2) against Ford's condition over all groups, piece by piece; the groups and the
    linear programme (existence.3) agree, and the direction raises the wins that it says."""
    seen = []
    for _ in range(80):
        n, games = rng.integers(2, 6), rng.integers(1, 10)
        winner, loser = np.array([rng.choice(n, 2, replace=False) for _ in range(games)]).T
        D = choices(winner, loser, n).difference
        unbeaten = [group for size in range(1, n) for group in combinations(range(n), size)
                    if not (np.isin(loser, group) & ~np.isin(winner, group)).any()
                    and (np.isin(winner, group) & ~np.isin(loser, group)).any()]
        found = existence(D)
        assert found.exists == (not unbeaten)
        direction, proved = chapter._separating(chapter._reduced(D))
        assert proved and (direction == 0).all() == found.exists
        m = D @ found.direction
        assert (m >= 0).all() and (m > 0).sum() == found.won and (found.won == 0) == found.exists
        # Nothing else can rise: every other win is inside a group that is settled.
        assert existence(D[m == 0]).exists
        seen.append(found.exists)
    assert 10 < sum(seen) < 70


def loglikelihood(D, w):
    """(existence.1) by loops."""
    return -sum(log(1 + exp(-sum(row * w))) for row in D)


def test_along_a_direction_a_likelihood_falls_or_is_flat_or_rises_for_ever():
    """(existence.1) and (existence.2): a table, in which no single column separates."""
    D = np.array([[1.0, 1, -2, 0], [-1, 1, 0, 0], [2, -1, -1, 0], [0, 0, 0, 0]])
    found, w = existence(D), np.array([0.3, -0.2, 0.5, 0.0])
    assert not found.exists and not found.of_items and (D @ found.direction >= -1e-9).all()
    values = [loglikelihood(D, w + t * found.direction) for t in (0.0, 1.0, 3.0, 9.0)]
    assert all(np.diff(values) > 0)
    assert loglikelihood(D, w + 1) == pytest.approx(values[0], abs=1e-12)
    assert flat_directions(D) == 4 - np.linalg.matrix_rank(D) == 2
    both = existence(np.concatenate([D, -D[:3]]))
    assert both.exists and both.won == 0 and not both.direction.any()
    for d in np.random.default_rng(0).normal(size=(20, 4)):
        assert loglikelihood(np.concatenate([D, -D]), w + 30 * d) < values[0]


def test_three_items_by_hand():
    """(existence.1): the likelihood as A is raised above B and C, who split, and how far a fit goes
    until its gradient is small."""
    D = wins("AB AC BC CB").difference.toarray()[:, :3]
    found = [loglikelihood(D, [x, 0, 0]) for x in (0, 1, 10)]
    assert np.round([*found, -2 * log(2)], 4).tolist() == [-2.7726, -2.0128, -1.3864, -1.3863]
    for tol, lead in (1e-5, 10.9), (1e-9, 20.1):
        x = log(1 / (2 * tol) - 1)
        slopes = -bradley_terry_loss(np.array([[x, 0, 0]]), sparse.csr_array(D))[1][0]
        assert slopes == pytest.approx([tol, -tol / 2, -tol / 2], rel=1e-9)
        assert lead - 0.1 < x < lead


def test_two_items_by_hand():
    """(existence.5): j wins and k losses make the margin log(j/k) and the error √(1/j + 1/k)."""
    for j, k in (3, 1), (100, 1), (7, 4):
        data = choices([0] * j + [1] * k, [1] * j + [0] * k, 2)
        fit = fit_reward_model(0, data, pull=0, tol=1e-10)
        margin = np.array([[1.0, -1.0]])
        assert fit.x @ margin[0] == pytest.approx([log(j / k)], abs=1e-6)
        assert standard_errors(data, fit, pull=0, differences=margin) == pytest.approx(
            [sqrt(1 / j + 1 / k)], rel=1e-5)


def doubling(k, last):
    """Rows ±(x_i − 2 x_{i+1}), or ±(x_i − x_{i+1} − x_{i+2}), and what `last` says of x_k and y."""
    links = [np.eye(k + 1)[i] - 2 * np.eye(k + 1)[i + 1] for i in range(k - 1)]
    sums = [np.eye(k + 1)[i:i + 3].T @ [1, -1, -1] for i in range(k - 2)]
    ends = np.array(last) @ np.eye(k + 1)[[0, k - 1, k]]
    return [np.concatenate([sign * np.array(rows) for sign in (1, -1)] + [ends])
            for rows in (links, sums)]


@pytest.mark.parametrize("k", [3, 14, 16, 22, 30])
@pytest.mark.parametrize("last, exists", [
    ([[0, 1, 1], [0, 1, -1]], (False, False)),
    ([[0, 1, 1], [0, 1, -1], [-1, 0, 0]], (True, False)),  # x_1 of a sum does not bind x_k
    ([[0, 1, 1], [0, 1, -1], [0, -2, 0]], (True, True)),
    ([[0, 1, 1], [0, -1, -1]], (True, True)), ([[0, 0, 1], [0, 0, -1], [1, 0, 0]], (False, False))])
def test_a_direction_of_very_different_steps_is_found_and_what_almost_separates_does_not(
        k, last, exists):
    """(existence.3): of d = 1, 1/2, 1/4, … the last entry is a thousand-millionth."""
    for D, expected in zip(doubling(k, last), exists, strict=True):
        found = existence(D)
        assert found.exists is expected and (found.won == 0) == expected
        # Powers of two and sums of whole numbers are exact, but for the size of the whole.
        assert (D @ found.direction >= -1e-14).all() and (D @ found.direction).any() != expected


def test_weights_that_a_solver_finds_nearly_are_mended_or_prove_nothing():
    """HiGHS takes 1e-10 for 0.  Of the second D, (0, 1, −1) separates."""
    assert existence([[1, 1e-10], [-1, 0], [0, 1], [0, -1]]).exists is True
    D = np.array([[1, 0, 0], [-1, 0, 0], [1, 1e-10, -1e-10], [0, 1, 1], [0, -1, -1]])
    assert (D @ [0, 1, -1] >= 0).all() and (D @ [0, 1, -1]).any()
    assert existence(D).exists is not True


def test_what_neither_proof_settles_is_said(monkeypatch):
    """A solver whose word is not a proof: neither direction nor y, or none at all."""
    D = np.array([[1.0, -1], [-1, 2]])
    assert existence(D).exists is False
    for value in 0.0, -1.0, None:
        monkeypatch.setattr(chapter.optimize, "linprog", lambda cost, value=value, **_: (
            chapter.optimize.OptimizeResult(
                x=None if value is None else np.full(len(cost), value))))
        found = existence(D)
        assert found.exists is None and not found.direction.any()
        assert verdict(found, "ab").startswith("not settled")


LETTERS = ["a", "b", "c", "d", "e", "f", "g", "h"]


@pytest.mark.parametrize("rows, words", [
    ([[1, 0, 0], [-1, 1, 0]], "nothing speaks against raising b"),
    ([[-1, 0, 2], [-1, 1, 1], [0, -1, 1]], "nothing speaks against raising c and lowering a"),
    ([[2, -1, 0], [-1, 2, 0]], "nothing speaks against raising a, b"),
    (np.eye(8), "nothing speaks against raising a, b, c and 5 more"),
    (-np.eye(2), "nothing speaks against lowering a, b"),
    ([[1e-9, -2e-9], [-1e9, 3e9]], "nothing speaks against raising a, b"),
    ([[1e-12, -2e-12], [-2e12, 4e12]], None), ([[1e-12, 0], [-1e12, 3e12], [0, -1e12]], None),
    (np.zeros((2, 3)), None), ([[1, -2], [-1, 2]], None)])
def test_a_verdict_on_a_table_names_the_weights_that_run_away(rows, words):
    rows = np.array(rows, float)
    for given in rows, sparse.csr_array(rows), sparse.coo_array(rows):
        found = existence(given)
        assert verdict(found, LETTERS[:rows.shape[1]]) == (
            f"no maximum without a pull: {words}" if words else "a maximum exists")


def test_equal_strings_and_shared_steps_say_nothing():
    """A row that lists a step on both sides is the difference."""
    data = choices([0, 1, 1], [0, 1, 0], 2)
    assert existence(data.difference).won == 1
    assert existence(choices([0, 1], [0, 1], 2).difference).exists
    assert flat_directions(choices([0, 1], [0, 1], 2).difference) == 2


def test_pieces_and_flat_directions_are_as_many_as_the_graph_has():
    """Each piece of items has a constant of its own."""
    for text, flat in ("AB BA", 4), ("AB CD", 3), ("AB BC CD DE", 1):
        D = wins(text).difference
        assert flat_directions(D) == flat == len(set(existence(D).pieces))


# Fits.


@pytest.mark.parametrize("tol", [1e-5, 1e-7, 1e-9, 1e-10])
def test_a_fit_without_a_maximum_has_not_converged_however_small_its_gradient(tol):
    """The findings: leads of 11.5, 15.7 and 20.5, each of which said `converged`."""
    data = wins("AB AC BC CB BD DB DE ED")
    fit = fit_reward_model(0, data, pull=0, tol=tol)
    assert not fit.converged and np.ptp(fit.x) > 8
    assert np.abs(bradley_terry_loss(fit.x, data.difference)[1]).max() <= tol
    assert fit_reward_model(0, data, pull=0.1, tol=tol).converged
    assert fit_reward_model(0, wins("AB AC BC CB BD DB DE ED CA"), pull=0, tol=tol).converged
    assert fit_reward_model(0, wins("AB BA CD DC"), pull=0, tol=tol).converged


def random_data(kind, rng):
    """A fit without a pull, and the rows of which (existence.2) is asked."""
    n, B = 4, rng.integers(4, 12)
    if kind == "rankings":
        order = np.array([rng.permutation(n)[:3] for _ in range(B)])
        steps = strings(order.ravel(), n)
        rows = choices(order[:, [0, 0, 1]].ravel(), order[:, [1, 2, 2]].ravel(), n).difference
        return steps, partial(plackett_luce_loss, num_generations=3), rows
    if kind == "labels":
        X = [rng.integers(0, n, size=rng.integers(1, 4)) for _ in range(B)]
        steps = counts.steps(np.zeros(sum(map(len, X)), int), np.concatenate(X),
                             np.cumsum([0, *map(len, X)]), (1, n))
        labels = rng.integers(0, 2, B).astype(float)
        rows = counts.matrix(steps).multiply((2 * labels - 1)[:, None]).tocsr()
        return steps, partial(logistic_loss, labels=labels), rows
    data = choices(*np.array([rng.choice(n, 2, replace=False) for _ in range(B)]).T, n)
    return data, bradley_terry_loss, data.difference


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "rankings", "labels"])
def test_newtons_step_and_the_groups_or_the_programme_agree(kind):
    """(existence.4), of every loss, against (existence.2): two proofs that share no line."""
    rng, seen = np.random.default_rng(3), []
    for _ in range(25):
        data, loss, rows = random_data(kind, rng)
        fit = fit_reward_model(0, data, pull=0, loss=loss)
        assert fit.converged == existence(rows).exists
        assert fit_reward_model(0, data, pull=1e-3, loss=loss).converged
        seen.append(fit.converged)
    assert 3 < sum(seen) < 22


def test_smoothed_answers_doubtful_labels_and_scores_always_have_a_maximum():
    """Each speaks for both sides."""
    one = strings([0, 1], 2)
    for data, loss in ((choices([0], [1], 2), partial(bradley_terry_loss, label_smoothing=0.1)),
                       (one, partial(logistic_loss, labels=np.array([0.9, 0.2]))),
                       (one, partial(squared_loss, scores=np.array([3.0, -1.0])))):
        assert fit_reward_model(0, data, pull=0, loss=loss).converged
    for labels in [1.0, 0.2], [0.9, 0.0]:
        assert not fit_reward_model(0, one, pull=0,
                                    loss=partial(logistic_loss, labels=np.array(labels))).converged


def test_a_step_proves_nothing_too_early_too_far_or_for_too_many_weights(monkeypatch):
    """Where the curvature has vanished by rounding, a direction seems flat and is not."""
    D = wins("AB AB BA").difference
    loss = partial(bradley_terry_loss, difference=D)
    at = [settled(loss, np.array([[lead, 0, 0, 0, 0.0]]), D) for lead in (-6, 0, log(2), 9, 800)]
    assert at == [False, False, True, False, False]
    # A thousand steps at once have no curvature but near 0, and three wins no maximum.
    three = sparse.csr_array([[2e3, -1e3]] * 3)
    assert not settled(lambda x: bradley_terry_loss(x, three), np.array([[1.0, 0]]), three)
    for most in 1, 2:  # and two occur in D
        monkeypatch.setattr(chapter, "MOST_WEIGHTS", most)
        assert settled(loss, np.array([[log(2), 0, 0, 0, 0]]), D) == (most == 2)


# Standard errors, from the curvature.


def test_the_curvature_is_that_of_differences_of_the_gradient():
    x, h = np.array([-0.7, 1.3]), 1e-6
    found = curvature(rosenbrock, x)
    for i, step in enumerate(h * np.eye(2)):
        expected = (rosenbrock(x + step)[1] - rosenbrock(x - step)[1]) / (2 * h)
        np.testing.assert_allclose(found[i], expected, rtol=1e-7)
    assert curvature(rosenbrock, x, [1]).tolist() == [[found[1, 1]]]


def test_along_a_chain_rewards_and_errors_are_known_by_hand():
    """(existence.5): choix and R's BradleyTerry2 know these too.  A beat B 3 : 1, and B beat C
    2 : 1; the margins are log 3, log 2 and their sum, and so are the variances."""
    data = wins("AB AB AB BA BC BC CB")
    fit = fit_reward_model(0, data, pull=0, tol=1e-10)
    C = covariance(partial(bradley_terry_loss, difference=data.difference), fit.x, examples=7,
                   pull=0)
    known = {(0, 1): (log(3), 1 / 3 + 1), (1, 2): (log(2), 1 / 2 + 1),
             (0, 2): (log(6), 1 / 3 + 1 + 1 / 2 + 1)}
    for (i, j), (margin, variance) in known.items():
        d = np.eye(5)[i] - np.eye(5)[j]
        assert fit.x.ravel() @ d == pytest.approx(margin, abs=1e-6)
        assert d @ C @ d == pytest.approx(variance, rel=1e-6)
        for rows in d[None], sparse.csr_array(d[None]):
            assert standard_errors(data, fit, pull=0, differences=rows) == pytest.approx(
                [sqrt(variance)], rel=1e-6)
    # A less the mean of the three is (2 log 3 + log 2)/3; nothing is known of D, nor against A.
    errors = standard_errors(data, fit, pull=0)
    assert fit.x[0, 0] == pytest.approx((2 * log(3) + log(2)) / 3, abs=1e-6)
    assert errors[0, 0] == pytest.approx(sqrt(4 * (1 / 3 + 1) + 1 / 2 + 1) / 3, rel=1e-6)
    assert not errors[0, 3:].any() and standard_errors(
        data, fit, pull=0, differences=np.array([[1, 0, 0, -1, 0]])).tolist() == [np.inf]
    assert standard_errors(data, fit, pull=0, differences=np.zeros((1, 5))).tolist() == [0]
    np.testing.assert_allclose(C.sum(axis=0), 0, atol=1e-9)  # of the part that is known
    assert not C[3:].any() and np.linalg.matrix_rank(C) == 2


def test_labels_know_the_log_odds_and_the_error_of_every_textbook():
    """(existence.5): 7 of 10 strings "a" and 2 of 8 strings "b" are good."""
    actions, labels = np.repeat([0, 1], [10, 8]), np.repeat([1.0, 0, 1, 0], [7, 3, 2, 6])
    steps = strings(actions, 2)
    loss = partial(logistic_loss, labels=labels)
    fit = fit_reward_model(0, steps, pull=0, loss=loss, tol=1e-9)  # below, rounding hides each step
    C = covariance(lambda w: loss(w, counts.matrix(steps)), fit.x, examples=18, pull=0)
    np.testing.assert_allclose(standard_errors(steps, fit, pull=0, loss=loss).ravel() ** 2,
                               C.diagonal(), rtol=1e-9)
    np.testing.assert_allclose(fit.x, [[log(7 / 3), log(2 / 6)]], atol=1e-6)
    np.testing.assert_allclose(C, np.diag([1 / 7 + 1 / 3, 1 / 2 + 1 / 6]), atol=1e-6)


def test_rankings_of_three_know_what_counting_knows():
    """(existence.5): B and C do alike, so one number is left, A's odds a against each of them; C is
    the inverse of the sum of the curvatures of the choices."""
    orders = [[0, 1, 2], [0, 2, 1]] * 3 + [[1, 0, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]]
    steps = strings(np.ravel(orders), 3)
    loss = partial(plackett_luce_loss, num_generations=3)
    fit = fit_reward_model(0, steps, pull=0, loss=loss, tol=1e-10)
    e = np.exp(fit.x.ravel() - fit.x[0, 1])
    # The likelihood is a^8/((a + 2)^10 (a + 1)^4), so that 6a² − 6a − 16 = 0.
    a = (6 + sqrt(420)) / 12
    assert 8 == pytest.approx(10 * a / (a + 2) + 4 * a / (a + 1), abs=1e-9)
    np.testing.assert_allclose(e, [a, 1, 1], rtol=1e-6)
    information = np.zeros((3, 3))
    for order in orders:
        for k in range(2):
            p = np.zeros(3)
            p[order[k:]] = e[order[k:]] / e[order[k:]].sum()
            information += np.diag(p) - np.outer(p, p)
    C = covariance(lambda w: loss(w, counts.matrix(steps)), fit.x, examples=10, pull=0)
    np.testing.assert_allclose(
        standard_errors(steps, fit, pull=0, loss=loss, examples=10).ravel() ** 2, C.diagonal(),
        rtol=1e-9)
    np.testing.assert_allclose(C, np.linalg.pinv(information), rtol=1e-5, atol=1e-9)


def test_a_pull_is_a_precision_and_makes_flat_directions_as_uncertain_as_itself():
    """(existence.5) by the matrix itself."""
    data, pull = wins("AB AB BA BC"), 0.5
    D = data.difference.toarray()
    fit = fit_reward_model(0, data, pull=pull)
    loss = partial(bradley_terry_loss, difference=data.difference)
    s = 1 / (1 + np.exp(D @ fit.x.ravel()))
    expected = np.linalg.inv(D.T @ np.diag(s * (1 - s)) @ D + pull * np.eye(5))
    C = covariance(loss, fit.x, examples=4, pull=pull)
    np.testing.assert_allclose(C, expected, rtol=1e-9)
    assert C[4, 4] == pytest.approx(1 / pull)
    np.testing.assert_allclose(standard_errors(data, fit, pull=pull), [C.diagonal() ** 0.5])
    np.testing.assert_allclose(standard_errors(data, fit, pull=pull, differences=np.eye(5)),
                               C.diagonal() ** 0.5)


def test_rankings_with_a_pull_have_the_curvature_of_what_was_fitted():
    """The loss is a mean over prompts, and its prior a share of the strings."""
    steps, loss = strings([0, 1, 2, 2, 1, 0], 3), partial(plackett_luce_loss, num_generations=3)
    fit = fit_reward_model(0, steps, pull=3.0, loss=loss)
    H = curvature(lambda w: loss(w, counts.matrix(steps)), fit.x)
    np.testing.assert_allclose(
        standard_errors(steps, fit, pull=3.0, loss=loss, examples=2).ravel() ** 2,
        np.linalg.inv(2 * (H + 3.0 / 6 * np.eye(3))).diagonal(), rtol=1e-9)


@pytest.mark.parametrize("table", [0, [[1.0, 2, 3, 4, 5]]])
def test_without_a_pull_a_fit_is_the_minimum_nearest_to_where_it_began(table):
    """`nearest`: in each piece the mean is kept, as by a pull that goes to zero."""
    data = wins("AB AB BA BC BC BC CB DE DE ED")
    free, pulled = (fit_reward_model(np.broadcast_to(table, (1, 5)), data, pull=pull, tol=1e-10)
                    for pull in (0, 1e-5))
    np.testing.assert_allclose(free.x, pulled.x, atol=1e-4)
    away = (free.x - table).ravel()
    np.testing.assert_allclose([away[:3].sum(), away[3:].sum()], 0, atol=1e-9)
    np.testing.assert_allclose(nearest(partial(bradley_terry_loss, difference=data.difference),
                                       free.x + [[2, 2, 2, 7, 7]], free.x), free.x, atol=1e-9)


def test_a_fit_without_a_maximum_has_no_standard_errors():
    data = wins("AB AC")
    for fit in fit_reward_model(0, data, pull=0), np.zeros((1, 5)), None:
        with pytest.raises(ValueError, match="fit must be a Fit that has converged"):
            standard_errors(data, fit, pull=0)
    for rows in np.ones((2, 4)), np.ones(5):
        with pytest.raises(ValueError, match="differences must have rows of 5 entries, got shape"):
            standard_errors(data, fit_reward_model(0, data, pull=1), pull=1, differences=rows)


def test_what_options_of_the_loss_change_is_for_the_fit_to_say():
    """`existence` sees rows: not that a smoothed answer speaks for both, nor a weight of zero."""
    one, both = wins("AB"), wins("AB BA")
    q = np.array([1.0, 0.0])
    for data, options, converged in ((one, {"label_smoothing": 0.1}, True),
                                     (both, {"pair_weights": q}, False)):
        loss = partial(bradley_terry_loss, **options)
        assert fit_reward_model(0, data, pull=0, loss=loss).converged == converged
        assert existence(data.difference).exists != converged
    assert not existence(both.difference[q > 0]).exists


def test_long_lists_of_items_are_cut():
    chain = existence(choices(range(29), range(1, 30), 30).difference)
    assert verdict(chain, range(30)).startswith(
        "no maximum without a pull: 0 > 1 > 2 > 3 > 4 > 5 > 6 > 7 > 8 > …, and nobody")
    star = existence(choices([0] * 15, range(1, 16), 30).difference)
    words = verdict(star, range(30))
    assert ": 0 > 1, 2, 3, 4, 5, 6, 7, 8, 9 and 6 more, and" in words
    assert words.endswith(" | 16, 17, 18, 19, 20, 21, 22, 23, 24 and 5 more")
