"""Certified solves against eigenvalues, dense solves and series; and where sweeps stop."""

import math

import numpy as np
import pytest
from scipy import sparse

from minirl.exact import solving
from minirl.exact.solving import solve, solve_all, solve_by_sweeps, sweep


def with_radius(rng, n, radius):
    """A random matrix M ≥ 0, sparse, with this spectral radius."""
    M = rng.random((n, n)) * (rng.random((n, n)) < 0.6) + 0.1 * np.roll(np.eye(n), 1, axis=1)
    return sparse.csr_array(M * radius / np.abs(np.linalg.eigvals(M)).max())


# The solve.


@pytest.mark.parametrize("radius", [0.0, 0.5, 0.99, 1 - 1e-6])
def test_a_solution_is_that_of_a_dense_solve_and_of_the_series(rng, route, radius):
    M, right = with_radius(rng, 7, radius), rng.normal(size=7)
    expected = np.linalg.solve(np.eye(7) - M.toarray(), right)
    x = solve(M, right)
    np.testing.assert_allclose(x, expected, rtol=1e-13 / (1 - radius), atol=1e-12)
    if radius < 0.6:
        np.testing.assert_allclose(x, sum(np.linalg.matrix_power(M.toarray(), k) @ right
                                          for k in range(60)), atol=1e-12)


def test_the_dense_and_the_sparse_route_agree(rng, monkeypatch):
    M, right = with_radius(rng, 40, 0.9), rng.normal(size=40)
    dense = solve(M, right)
    calls = []
    splu = solving.linalg.splu
    monkeypatch.setattr(solving.linalg, "splu", lambda *args: calls.append(1) or splu(*args))
    monkeypatch.setattr(solving, "DENSE", 39)
    np.testing.assert_allclose(solve(M, right), dense, atol=1e-12)
    assert calls
    calls.clear()
    monkeypatch.setattr(solving, "DENSE", 40)
    np.testing.assert_array_equal(solve(M, right), dense)
    assert not calls


@pytest.mark.parametrize("radii", [[0.5, 1.5, 0.99, 40.0], [0.5, 0.0, 1.0]])
def test_many_equations_at_once_are_solved_or_refused_one_by_one(rng, radii):
    """(solving.1); a ring of radius 1 is exactly singular: no reason to refuse the rest."""
    M = np.array([radius * np.roll(np.eye(6), 1, axis=1) for radius in radii])
    M[0] = with_radius(rng, 6, 0.5).toarray()
    right = rng.normal(size=(len(M), 6))
    for one, b, x in zip(M, right, solve_all(M, right)):
        alone = solve(sparse.csr_array(one), b)
        np.testing.assert_array_equal(x, np.full(6, np.nan) if alone is None else alone)


@pytest.mark.parametrize("radius", [1.0, 1 + 1e-9, 1.001, 1.5, 40.0])
def test_there_is_no_answer_from_spectral_radius_one_upwards(rng, any_route, radius):
    for n in 1, 2, 6:
        ring = radius * np.roll(np.eye(n), 1, axis=1)  # the entries, too, are exactly the radius
        assert solve(sparse.csr_array(ring), np.ones(n)) is None
        if radius > 1:  # elsewhere the radius of a random matrix is known only up to rounding
            assert solve(with_radius(rng, n, radius), rng.random(n)) is None


def test_an_answer_too_large_for_a_number_is_none(route):
    """1 / (1 − M) is 2^49."""
    M = sparse.csr_array([[1 - 2.0**-49]])
    assert solve(M, np.array([1e293])) == 2.0**49 * 1e293 and solve(M, np.array([1e294])) is None


def test_a_radius_that_is_one_but_for_rounding_has_no_answer(route):
    """The rows of such a chain may add up to 1 − 2⁻⁵³, where no episode was meant to end."""
    for left in 2.0**-53, 2.0**-51, 2.0**-50:
        M = np.array([[1 - left, 0, 0], [0.25, 0.5, 0.25 - left], [0.5, 0.5, 0]])
        assert solve(sparse.csr_array(M), np.ones(3)) is None
        assert np.isnan(solve_all(M[None], np.ones((1, 3)))).all()


def test_a_random_chain_that_never_ends_has_no_answer(rng, any_route):
    for n in 2, 5, 30:
        for chain in rng.dirichlet(np.ones(n), n), rng.multinomial(8, np.ones(n) / n, n) / 8:
            assert solve(sparse.csr_array(chain), rng.normal(size=n)) is None


def test_a_part_that_diverges_is_found_even_where_nothing_is_earned(rng, any_route):
    blocks = np.zeros((4, 4))
    blocks[:2, :2], blocks[2:, 2:] = with_radius(rng, 2, 0.5).toarray(), [[0, 2], [1.5, 0]]
    assert solve(sparse.csr_array(blocks), np.array([1.0, 1.0, 0.0, 0.0])) is None


def test_a_solution_exists_exactly_below_spectral_radius_one(rng, route):
    """(solving.1): the certificate agrees with the eigenvalues, wherever the radius lies."""
    for radius in rng.uniform(0.5, 1.5, 60):
        M = with_radius(rng, rng.integers(1, 8), radius)
        assert (solve(M, np.ones(M.shape[0])) is None) == (radius >= 1)


def test_a_complex_matrix_keeps_its_imaginary_part(rng, any_route):
    """What a complex step through a large world needs."""
    M, right = with_radius(rng, 6, 0.8).toarray(), rng.normal(size=6)
    dM, dright = rng.random((6, 6)), rng.random(6)
    x = solve(sparse.csr_array(M + 1e-30j * dM), right + 1e-30j * dright)
    inverse = np.linalg.inv(np.eye(6) - M)
    slope = inverse @ (dM @ inverse @ right + dright)
    np.testing.assert_allclose(x.imag / 1e-30, slope, rtol=1e-10)
    x = solve(sparse.csr_array(M), right + 1e-30j * dright)  # rewards alone may be complex
    np.testing.assert_allclose(x.imag / 1e-30, inverse @ dright, rtol=1e-10)


# The solve by sweeps.


def bounds(M, right, terms):
    """(largest error, (solving.2), x) of each partial sum x; infinite where it says nothing."""
    exact = np.linalg.solve(np.eye(len(right)) - M, right)
    a, x, found = [], np.zeros(len(right)), []
    for k in range(terms):
        power = np.linalg.matrix_power(M, k)
        a.append((power @ np.ones(len(right))).max())
        bound = a[k] * sum(a[:k]) / (1 - a[k]) if a[k] < 1 else np.inf
        found.append((np.abs(exact - x).max(), bound * np.abs(right).max(), x))
        x = x + power @ right
    return found


def substochastic(rng, n):
    """A random chain that ends sooner or later; from some states it does not end at once."""
    ends = rng.uniform(0.1, 1, n) * np.append(True, rng.random(n - 1) < 0.5)
    return sparse.csr_array((1 - ends[:, None]) * rng.dirichlet(np.ones(n), n))


@pytest.mark.parametrize("n", [1, 3, 40])
def test_sweeps_and_the_direct_solve_agree(rng, n):
    for scale in 1.0, 1e6:
        M, right = substochastic(rng, n) if n > 1 else with_radius(rng, 1, 0.9), rng.normal(size=n)
        exact = np.linalg.solve(np.eye(n) - M.toarray(), scale * right)
        np.testing.assert_allclose(solve_by_sweeps(M, scale * right), exact, rtol=1e-13,
                                   atol=1e-12 * scale)


def test_sweeps_need_only_the_radius_to_be_below_one(rng):
    """Of a matrix whose rows add up to ten and more, the first powers grow."""
    M = with_radius(rng, 12, 0.9).toarray()
    scale = 10.0 ** np.linspace(0, 3, 12)
    M = M * scale[:, None] / scale
    assert M.sum(axis=1).max() > 10
    right = rng.normal(size=12)
    exact = np.linalg.solve(np.eye(12) - M, right)
    np.testing.assert_allclose(solve_by_sweeps(sparse.csr_array(M), right), exact, rtol=1e-11,
                               atol=1e-11)


def test_the_sweeps_stop_where_the_bound_says_so_and_not_later(rng, monkeypatch):
    """(solving.2): it bounds the real error of every partial sum, and is used as it stands."""
    ring = 0.5 * np.roll(np.eye(4), 1, axis=1)
    ring[0] *= 6  # a row of 3, and a radius of 0.78
    for M in (substochastic(rng, 6).toarray(), with_radius(rng, 5, 0.8).toarray(), ring,
              np.array([[0.7]])):
        right = 7 * rng.normal(size=len(M))
        found = bounds(M, right, 1500)
        assert all(error <= bound * (1 + 1e-9) + 1e-12 for error, bound, _ in found)
        for accuracy in 0.85, 1e-1, 1e-3, 1e-6:
            monkeypatch.setattr(solving, "ACCURACY", accuracy)
            first = next(k for k, (_, bound, _) in enumerate(found)
                         if bound <= accuracy * np.abs(right).max())
            assert first > 1
            np.testing.assert_allclose(solve_by_sweeps(sparse.csr_array(M), right),
                                       found[first][2], rtol=1e-13, atol=1e-13)


def sweeps_needed(radius):
    """How many terms make (solving.2), here radiusᵏ/(1 − radius), as small as it must be."""
    return math.log(solving.ACCURACY * (1 - radius)) / math.log(radius)


def test_two_hundred_thousand_sweeps_tell_a_radius_of_almost_four_digits_from_one(monkeypatch):
    assert sweeps_needed(0.9998) < solving.SWEEPS == 200_000 < sweeps_needed(0.9999)
    monkeypatch.setattr(solving, "SWEEPS", 1000)
    assert sweeps_needed(0.96) < 900 < 1100 < sweeps_needed(0.975)
    assert solve_by_sweeps(sparse.csr_array([[0.96]]), np.ones(1)) == pytest.approx(25, rel=1e-12)
    for radius in 0.975, 1.0, 1.0001, 1.5:
        assert solve_by_sweeps(sparse.csr_array([[radius]]), np.ones(1)) is None


@pytest.mark.parametrize("n, full, sweeps", [(30, 4, False), (31, 3, False), (31, 4, True)])
def test_only_a_matrix_that_is_large_and_full_is_solved_by_sweeps(rng, monkeypatch, n, full,
                                                                  sweeps):
    """Above LARGE unknowns and FILLED entries a row, both excluded."""
    monkeypatch.setattr(solving, "LARGE", 30)
    monkeypatch.setattr(solving, "FILLED", 3)
    M = sum(np.roll(np.eye(n), shift, axis=1) for shift in range(full)) * 0.2
    calls = []
    monkeypatch.setattr(solving, "solve_by_sweeps",
                        lambda *args: calls.append(1) or solve_by_sweeps(*args))
    right = rng.normal(size=n)
    np.testing.assert_allclose(solve(sparse.csr_array(M), right),
                               np.linalg.solve(np.eye(n) - M, right), atol=1e-12)
    assert len(calls) == sweeps


def test_a_series_without_an_end_is_noticed_long_before_the_last_sweep(rng):
    class Counted:
        """A matrix that gives up after 500 products."""

        def __init__(self, M):
            self.M, self.products = M, 0

        def __matmul__(self, x):
            self.products += 1
            assert self.products < 500
            return self.M @ x

    for n in 1, 5, 40:
        chain = sparse.csr_array(rng.dirichlet(np.ones(n), n))
        for M in chain, 1.001 * chain, 3.0 * chain, with_radius(rng, n, 1.01):
            assert solve_by_sweeps(Counted(M), np.ones(n)) is None


def test_the_thresholds_are_those_of_a_language_of_four_letters_of_context():
    """An order-4 model with 17 letters goes on in 17 ways from each of its 5832 states."""
    assert (solving.LARGE, solving.FILLED) == (4000, 16)


def test_a_sweep_takes_all_values_from_the_one_before():
    """(solving.3): in place, the reward would run through the whole corridor at once."""
    seen = []

    def backup(V):
        seen.append(V)
        return np.append(V[1:], 1.0)

    values, sweeps = sweep(backup, np.zeros(4), gamma=1.0)
    assert values.tolist() == [1] * 4 and sweeps == 5
    assert [int(V.sum()) for V in seen] == [0, 1, 2, 3, 4]


def test_sweeps_that_do_not_settle_say_what_may_help():
    for gamma, advice in (0.999, "a larger tol or max_sweeps is needed"), (1.0, "may be infinite"):
        with pytest.raises(ValueError, match=f"after max_sweeps = 5 sweeps.*{advice}"):
            sweep(lambda V, gamma=gamma: 1 + gamma * V, np.zeros(1), gamma=gamma, max_sweeps=5)
