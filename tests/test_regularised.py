"""The KL-regularised optimum against enumeration of strings, eigenvalues and closed forms."""

from dataclasses import replace
import math

import numpy as np
import pytest

from minirl.exact.evaluation import expectation
from minirl.kernel.mdp import TabularMDP, coin_game, unroll
from minirl.exact.planning import policy_iteration
from minirl.people.regularised import (critical_beta, entropy_optimum, frontier, log_partition,
                                       referee_near, regularised_optimum, tilt)
from minirl.kernel.softmax import kl, log_softmax
from languages import running_example
from worlds import (endless, episodes, island, random_mdp, random_policy, single_outcome, tables,
                    value_by_loops)


def language(rng, reward=1.0):
    """Two letters and an end symbol: state 0 is the start, 1 and 2 a last letter; action 0 ends."""
    return single_outcome([[0, 1, 2]] * 3, reward * rng.normal(size=(3, 3)),
                          [[True, False, False]] * 3, [1, 0, 0])


def cycle(rewards):
    """Two states; action 0 goes to the other one and pays, action 1 ends and pays nothing."""
    return single_outcome([[1, 1], [0, 0]], [[rewards[0], 0], [rewards[1], 0]],
                          [[False, True]] * 2, [1, 0])


def softmax(logits):
    return np.exp(log_softmax(logits))


def test_a_tilted_reference_stays_finite_where_its_probability_underflows():
    np.testing.assert_allclose(tilt(np.zeros((1, 2)), np.array([[1.0, -1.0]]), beta=1e-4),
                               [[0, -2e4]], atol=1e-8)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_the_optimum_tilts_the_reference_by_the_action_values(rng, gamma):
    """(regularised.2) and (regularised.3), by loops, with random transitions."""
    mdp = random_mdp(rng, 4, 3, 2, gamma)
    ref_logits = rng.normal(size=(4, 3))
    ref, beta = softmax(ref_logits), 0.6
    best = regularised_optimum(mdp, ref_logits, beta=beta)
    r, P = tables(mdp)
    for s in range(4):
        weights = [ref[s, a] * math.exp(best.action_values[s, a] / beta) for a in range(3)]
        assert math.isclose(best.values[s], beta * math.log(sum(weights)), abs_tol=1e-10)
        for a in range(3):
            assert math.isclose(best.policy[s, a], weights[a] / sum(weights), rel_tol=1e-10)
            Q = r[s, a] + gamma * sum(P[s, a, t] * best.values[t] for t in range(4))
            assert math.isclose(best.action_values[s, a], Q, abs_tol=1e-10)
    assert math.isclose(best.objective, mdp.start @ best.values, abs_tol=1e-12)


def test_the_partition_sum_of_a_language_without_a_longest_string_agrees_with_the_optimum(rng):
    """(regularised.4)"""
    for more in 2.0, 5.0:
        mdp, ref_logits = language(rng), rng.normal(size=(3, 3)) + [2.0, 0.0, 0.0]
        beta = critical_beta(mdp, ref_logits) + more
        best = regularised_optimum(mdp, ref_logits, beta=beta)
        np.testing.assert_allclose(best.values, log_partition(mdp, ref_logits, beta=beta),
                                   atol=1e-10)


@pytest.mark.parametrize("beta", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("length", [3, 4])
def test_the_optimum_over_strings_is_the_reference_tilted_by_the_reward(rng, length, beta):
    """(regularised.9): π*(y) = π_ref(y) e^{R(y)/β}/Z for every string y of up to `length` steps."""
    mdp = unroll(language(rng), length)
    ref_logits = rng.normal(size=mdp.shape)
    ref, best = softmax(ref_logits), regularised_optimum(mdp, ref_logits, beta=beta)
    strings = [(pairs, np.prod([ref[pair] for pair in pairs]) * math.exp(sum(rewards) / beta))
               for _, pairs, rewards, _ in episodes(mdp, length)]
    Z = sum(weight for _, weight in strings)
    assert len(strings) == 2**(length + 1) - 1
    for J in best.objective, log_partition(mdp, ref_logits, beta=beta)[0]:
        assert math.isclose(J, beta * math.log(Z), abs_tol=1e-10)
    for pairs, weight in strings:
        chance = np.prod([best.policy[pair] for pair in pairs])
        assert math.isclose(chance, weight / Z, rel_tol=1e-10, abs_tol=1e-15)


def test_three_actions_by_hand():
    """The chapter's first table: a reward, its price and what is left, for three policies."""
    world = single_outcome([[0, 0, 0]], [[0, 1, 2]], [[True] * 3], [1])
    judge = referee_near(world, np.log([[0.5, 0.25, 0.25]]), beta=1 / math.log(2))
    for row, reward, price, J in (([0.5, 0.25, 0.25], 0.75, 0, 0.75), ([0, 0, 1], 2, 2, 0),
                                  ([0.25, 0.25, 0.5], 1.25, 0.25, 1)):
        score = judge([row])
        assert score[:3] == pytest.approx((reward, price * math.log(2), J), abs=1e-14)
    assert score.share == pytest.approx(1) and round(1 / math.log(2), 4) == 1.4427


def test_letters_that_alternate_by_hand():
    """(regularised.4) and (regularised.9): Z, the policy, the string "ba" after an a, and the price
    at which a further "ba" begins to pay."""
    world, ref, beta = cycle((1.0, 1.0)), np.array([[0.5, 0.5], [0.25, 0.75]]), 1 / math.log(2)
    values = log_partition(world, np.log(ref), beta=beta)
    np.testing.assert_allclose(np.exp(values / beta), [5 / 2, 2], rtol=1e-12)
    best = regularised_optimum(world, np.log(ref), beta=beta).policy
    np.testing.assert_allclose(best, [[4 / 5, 1 / 5], [5 / 8, 3 / 8]], rtol=1e-12)
    assert best[0, 0] * best[1, 0] * best[0, 1] == pytest.approx(1 / 10, rel=1e-12)
    assert (round(math.exp(4) / 8, 1), round(math.log(8) / 2, 2)) == (6.8, 1.04)
    critical = critical_beta(world, np.log(ref))
    assert critical == pytest.approx(2 / math.log(8), rel=1e-9) and round(critical, 4) == 0.9618
    M = np.array([[0, 0.5], [0.25, 0]]) * math.exp(1 / 0.7)
    assert np.abs(np.linalg.eigvals(M)).max() == pytest.approx(math.sqrt(math.exp(2 / 0.7) / 8))


# At any price.


@pytest.mark.parametrize("beta", [1e4, 1e8])
def test_a_huge_beta_times_rounding_is_no_sign_of_an_infinite_objective(beta):
    """β (log π − log π_ref) is then good to only 1e-16 β, which is more than `tol`."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        mdp, ref_logits = random_mdp(rng, 8, 5, 2, 1.0), rng.normal(size=(8, 5))
        best = regularised_optimum(mdp, ref_logits, beta=beta)
        np.testing.assert_allclose(best.policy, softmax(ref_logits), atol=100 / beta)


@pytest.mark.parametrize("beta", [1.0, 0.1, 0.06, 0.03, 0.01, 3e-3, 1e-3, 1e-5])
def test_a_world_without_cycles_has_an_optimum_at_every_beta(beta):
    """A coin thrown at most three times: heads pays 1, tail ends, V_n = β log(½ e^{(1 + V)/β} + ½)
    with V = V_{n−1}.  (regularised.4) holds as well where Z itself, about e^{3/β}, overflows."""
    V = 0.0
    for _ in range(3):
        V = 1 + V + beta * math.log(0.5 + 0.5 * math.exp(-(1 + V) / beta))
    mdp, ref_logits = unroll(coin_game(), 3), np.zeros((3, 2))
    best = regularised_optimum(mdp, ref_logits, beta=beta)
    assert math.isclose(best.objective, V, abs_tol=1e-10)
    assert math.isclose(log_partition(mdp, ref_logits, beta=beta)[0], V, abs_tol=1e-10)


def test_a_world_in_which_every_step_costs_much_has_an_optimum():
    """(regularised.4), where Z = ½ e^{-1000} / (1 − ½ e^{-1000}) underflows."""
    costly = single_outcome([[0, 0]], [[-1000, -1000]], [[False, True]], [1])
    best = regularised_optimum(costly, np.zeros((1, 2)), beta=1.0)
    for J in best.objective, log_partition(costly, np.zeros((1, 2)), beta=1.0)[0]:
        assert math.isclose(J, -1000 + math.log(0.5), rel_tol=1e-12)


# Entropy in place of the KL.


def soft_values(mdp, ent_coef, sweeps):
    """V = β log Σ_a e^{Q/β} and Q, by sweeps of loops from V = 0."""
    r, P = tables(mdp)
    S, A = mdp.shape
    V, Q = np.zeros(S), np.zeros((S, A))
    for _ in range(sweeps):
        for s, a in np.ndindex(S, A):
            Q[s, a] = r[s, a] + mdp.gamma * P[s, a] @ V
        V = np.array([max(Q[s]) + ent_coef * math.log(sum(
            math.exp((Q[s, a] - max(Q[s])) / ent_coef) for a in range(A))) for s in range(S)])
    return V, Q


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("ent_coef", [0.05, 1.0, 20.0])
def test_the_entropy_optimum_is_the_limit_of_soft_value_iteration(rng, gamma, ent_coef):
    """(regularised.5), in a world with endings and in one without."""
    for mdp in random_mdp(rng, 4, 3, 2, gamma), endless(random_mdp(rng, 3, 2, 1, gamma)):
        V, Q = soft_values(mdp, ent_coef, 260)
        best = entropy_optimum(mdp, ent_coef=ent_coef)
        np.testing.assert_allclose(best.values, V, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(best.action_values, Q, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(best.policy, np.exp((Q - V[:, None]) / ent_coef), atol=1e-9)
        assert math.isclose(best.objective, mdp.start @ V, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("ent_coef", [0.5, 2.0, 8.0])
def test_where_going_on_is_worth_more_than_any_end_no_temperature_is_promised(ent_coef):
    """The bonus of a step grows with the temperature, and at gamma 1 it never stops to pay: a
    critical β, which holds the reward of a step fixed, would promise what is not there."""
    for mdp in coin_game(), two_outcomes(coin_game()):
        with pytest.raises(ValueError) as error:
            entropy_optimum(mdp, ent_coef=ent_coef)
        assert "exists above" not in str(error.value)


def test_rounds_that_run_out_are_reported_and_they_and_the_tolerance_are_handed_on(rng):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    with pytest.raises(ValueError, match="in 2 rounds or fewer"):
        entropy_optimum(mdp, ent_coef=0.3, max_rounds=2)
    assert entropy_optimum(mdp, ent_coef=0.3, tol=0.1).rounds < \
        entropy_optimum(mdp, ent_coef=0.3).rounds
    with pytest.raises(ValueError, match=r"no convergence at beta = 0.3 in 2 rounds"):
        regularised_optimum(mdp, np.zeros((4, 3)), beta=0.3, max_rounds=2)


def test_the_entropy_optimum_leaves_the_world_alone_and_states_out_of_reach_without_a_value():
    mdp = replace(island(), reward=-10 - island().reward)
    kept = mdp.reward.copy()
    best = entropy_optimum(mdp, ent_coef=1.0)
    np.testing.assert_array_equal(mdp.reward, kept)
    V2 = -10 + math.log(2 + math.exp(-7))
    V0 = math.log(math.exp(-12) / (1 - math.exp(-9)) + math.exp(-13 + V2) / (1 - math.exp(-9)))
    np.testing.assert_allclose(best.values, [V0, np.nan, V2], rtol=1e-10)
    assert math.isclose(best.objective, V0, rel_tol=1e-10)


# The limit β → 0.


@pytest.mark.parametrize("gamma, K", [(0.0, 2), (0.9, 2), (0.9, 1), (1.0, 2)])
@pytest.mark.parametrize("beta", [2.0, 0.3, 1e-2, 1e-5])
def test_the_price_lowers_the_values_by_at_most_the_kl_of_a_best_policy(gamma, K, beta):
    """(regularised.6), in every state; C by loops."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        mdp, ref_logits = random_mdp(rng, 4, 3, K, gamma), 2 * rng.normal(size=(4, 3))
        best = policy_iteration(mdp)
        C, _ = value_by_loops(mdp, best.policy, -log_softmax(ref_logits))
        V = regularised_optimum(mdp, ref_logits, beta=beta).values
        assert (C > 0).all() and (best.values - beta * C <= V + 1e-9).all()
        assert (V <= best.values + 1e-9).all()


@pytest.mark.parametrize("beta", [1.0, 1e-2, 1e-3, 1e-4])
def test_a_state_that_the_policy_avoids_on_the_way_is_not_lost(beta):
    """Pitfall 46.  The way to 10 is worth −45 under the reference, so that its chance e^{−47/β}
    underflows for a round; at gamma 1 the state behind it is then out of reach, but must keep its
    value."""
    mdp = single_outcome([[0, 1], [0, 0]], [[2, 0], [-100, 10]], [[True, False], [True, True]],
                         [1, 0])
    ref_logits = np.zeros((2, 2))
    expected = log_partition(mdp, ref_logits, beta=beta)
    for world in mdp, two_outcomes(mdp), replace(mdp, gamma=1 - 1e-12):
        best = regularised_optimum(world, ref_logits, beta=beta)
        np.testing.assert_allclose(best.values, expected, rtol=1e-9)
    assert policy_iteration(mdp).objective - best.objective <= beta * 2 * math.log(2) + 1e-9


@pytest.mark.parametrize("gamma", [0.5, 0.99, 1.0])
def test_a_few_rounds_are_enough_and_without_a_reward_the_reference_is_best_at_once(gamma):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        mdp, ref_logits = random_mdp(rng, 6, 4, 3, gamma), rng.normal(size=(6, 4))
        best = regularised_optimum(mdp, ref_logits, beta=0.3)
        assert 2 <= best.rounds <= 9
        best = regularised_optimum(replace(mdp, reward=0 * mdp.reward), ref_logits, beta=1.0)
        np.testing.assert_allclose(best.policy, softmax(ref_logits), rtol=1e-12)
        assert best.rounds == 2 and abs(best.objective) < 1e-12


@pytest.mark.parametrize("beta, rounds", [(0.5, 7), (0.3, 10), (0.28, 12)])
def test_the_rounds_that_the_running_example_needs(beta, rounds):
    """The figures of the chapter: more, the nearer β comes to its critical value"""
    example = running_example()
    assert regularised_optimum(example.world, example.reference, beta=beta).rounds == rounds


def test_the_rounds_wait_for_the_slowest_state(rng):
    """In state 0 every action ends, so that its own value is right from the second round on."""
    mdp, beta = random_mdp(rng, 5, 3, 2, 0.99), 0.1
    terminated = mdp.terminated.copy()
    terminated[0], terminated[1:] = True, False
    mdp, ref_logits = replace(mdp, terminated=terminated), rng.normal(size=(5, 3))
    best = regularised_optimum(mdp, ref_logits, beta=beta)
    scale = np.exp((best.action_values - best.values[:, None]) / beta)
    np.testing.assert_allclose((softmax(ref_logits) * scale).sum(axis=1), 1, atol=1e-9)


def test_states_out_of_reach_have_no_value_at_gamma_one():
    """State 1, which no episode reaches, never ends."""
    mdp = single_outcome([[2, 0], [1, 1], [0, 2]], [[1, 0], [9, 9], [0, 0]],
                         [[False, True], [False, False], [True, True]], [1, 0, 0])
    ref_logits = np.zeros((3, 2))
    best = regularised_optimum(mdp, ref_logits, beta=1.0)
    J = math.log(0.5 * math.e + 0.5)
    np.testing.assert_allclose(best.values, [J, np.nan, 0], atol=1e-12)
    np.testing.assert_allclose(log_partition(mdp, ref_logits, beta=1.0), [J, np.nan, 0], atol=1e-12)
    assert math.isclose(best.objective, J, rel_tol=1e-12)
    elsewhere = regularised_optimum(replace(mdp, gamma=0.5), ref_logits, beta=1.0)
    assert np.isfinite(elsewhere.values).all()


def two_outcomes(mdp):
    """The same world with every outcome written twice, at half the probability each."""
    next_state, prob, reward, terminated = (
        np.repeat(table, 2, axis=2) for table in
        (mdp.next_state, mdp.prob / 2, mdp.reward, mdp.terminated))
    return TabularMDP(next_state, prob, reward, terminated, mdp.start, mdp.gamma)


def test_random_transitions_reach_the_same_optimum_and_find_the_same_limit():
    """Where nothing is linear, no convergence is the only sign that the objective has no bound."""
    coin, ref_logits = coin_game(), np.zeros((1, 2))
    split = two_outcomes(coin)
    for beta in 1.45, 2.0, 50.0:
        np.testing.assert_allclose(regularised_optimum(split, ref_logits, beta=beta).values,
                                   log_partition(coin, ref_logits, beta=beta), rtol=1e-9)
    for beta in 1.44, 1.0, 0.1, 1e-3:
        with pytest.raises(ValueError, match=f"no convergence at beta = {beta:g} .* upper bound"):
            regularised_optimum(split, ref_logits, beta=beta)
    assert regularised_optimum(replace(split, gamma=0.99), ref_logits, beta=0.1).objective > 90


# The critical β.


@pytest.mark.parametrize("p, reward", [(0.01, 20.0), (0.999, 1e-3), (0.2, 1e5),
                                       (0.5, 1e-8)])
def test_the_critical_beta_of_a_coin_is_the_price_of_a_head(p, reward):
    """p e^{r/β} = 1; an optimum exists exactly above."""
    coin = replace(coin_game(), reward=np.array([[[reward], [0.0]]]))
    ref_logits, exact = np.log([[p, 1 - p]]), reward / -math.log(p)
    assert math.isclose(critical_beta(coin, ref_logits), exact, rel_tol=1e-9)
    above = 1.01 * exact
    Z = (1 - p) / (1 - p * math.exp(reward / above))
    best = regularised_optimum(coin, ref_logits, beta=above)
    assert math.isclose(best.objective, above * math.log(Z), rel_tol=1e-8)
    with pytest.raises(ValueError, match="no optimum exists") as error:
        regularised_optimum(coin, ref_logits, beta=0.999 * exact)
    assert f"at beta = {0.999 * exact:g}: a longer episode" in str(error.value)
    assert str(error.value).endswith(f"one exists above beta = {exact:.5f}")


def test_a_partition_sum_that_diverges_is_refused():
    for beta in 1.0, 1.4426:
        with pytest.raises(ValueError, match=f"at beta = {beta:g}: .* exists above beta = 1.44270"):
            log_partition(coin_game(), np.zeros((1, 2)), beta=beta)
    assert log_partition(coin_game(), np.zeros((1, 2)), beta=1.4428)[0] > 10


@pytest.mark.parametrize("rewards", [(1.0, 1.0), (1.0, -0.5), (-2.0, 3.0), (1.0, -0.9)])
def test_the_critical_beta_of_a_cycle_counts_the_whole_round(rewards):
    """p q e^{(r₁ + r₂)/β} = 1: a loss on the way is paid back by the gain."""
    ref_logits = np.log([[0.5, 0.5], [0.125, 0.875]])
    np.testing.assert_allclose(critical_beta(cycle(rewards), ref_logits),
                               sum(rewards) / math.log(16), rtol=1e-9)


def test_at_the_critical_beta_the_largest_eigenvalue_is_one():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        mdp = language(rng, reward=rng.choice([0.1, 1.0, 10.0]))
        ref_logits = rng.normal(size=(3, 3))
        beta = critical_beta(mdp, ref_logits)

        def radius(beta):
            M, weights = np.zeros((3, 3)), softmax(ref_logits) * np.exp(mdp.mean_reward / beta)
            for s in range(3):
                M[s, 1:] = weights[s, 1:]
            return np.abs(np.linalg.eigvals(M)).max()

        if beta == 0:
            assert radius(1e-2 * mdp.mean_reward.max()) < 1
            continue
        assert math.isclose(radius(beta), 1, abs_tol=1e-9)
        assert radius(1.01 * beta) < 1 < radius(0.99 * beta)
        assert np.isfinite(regularised_optimum(mdp, ref_logits, beta=1.001 * beta).objective)


@pytest.mark.parametrize("mdp", [
    cycle((0.0, 0.0)), cycle((-1.0, -3.0)), cycle((1.0, -1.5)), cycle((1.0, -1.0)),
    single_outcome([[0, 0]], [[-1, 5]], [[False, True]], [1]),
    unroll(coin_game(), 1), unroll(coin_game(), 3), unroll(coin_game(), 20),
])
def test_where_no_round_pays_an_optimum_exists_at_every_beta(mdp):
    assert critical_beta(mdp, np.zeros(mdp.shape)) == 0.0


@pytest.mark.parametrize("logit", [-600.0, -1000.0, -3000.0, -8e5])
def test_a_reference_that_hardly_ever_earns_has_a_small_critical_beta(logit):
    """e^{logit + 1/β} = 1: no step is worth e^700 at any β on the way."""
    beta = critical_beta(coin_game(), np.array([[logit, 0.0]]))
    assert math.isclose(beta, -1 / logit, rel_tol=1e-9)


def test_the_critical_beta_is_found_although_a_step_overflows():
    """The round trip diverges at 1/β = 607; there a step is worth e^{607}, and at 710 ∞."""
    ref_logits = np.array([[0.0, 0.0], [-60.0, 0.0]])
    exact = 0.1 / (60 + math.log(2))
    np.testing.assert_allclose(critical_beta(cycle((1.0, -0.9)), ref_logits), exact, rtol=1e-5)


def test_states_out_of_reach_have_no_say_in_the_critical_beta():
    mdp = single_outcome([[0, 0], [1, 1]], [[1, 0], [50, 50]], [[False, True], [False, False]],
                         [1, 0])
    np.testing.assert_allclose(critical_beta(mdp, np.zeros((2, 2))), 1 / math.log(2), rtol=1e-9)


TRAP = single_outcome([[0, 1], [1, 1]], [[1, 0], [0, 0]], [[True, False], [False, False]], [1, 0])


@pytest.mark.parametrize("mdp", [TRAP, *(single_outcome([[0, 0]], [[r, r]], [[False, False]], [1])
                                         for r in (-1.0, 0.0, 1.0))])
def test_a_reference_that_does_not_end_is_refused(mdp):
    """For ever in one state, or in the trap beside an end."""
    for use in log_partition, regularised_optimum, lambda mdp, ref, beta: critical_beta(mdp, ref):
        with pytest.raises(ValueError, match="the reference policy does not end"):
            use(mdp, np.zeros(mdp.shape), beta=1.0)
    with pytest.raises(ValueError, match="or the reference does not end"):
        regularised_optimum(two_outcomes(mdp), np.zeros(mdp.shape), beta=1.0)


def test_the_reference_is_compared_by_its_probabilities(rng):
    """A constant added to a row of reference logits is no preference."""
    mdp, ref_logits = random_mdp(rng, 3, 2, 2, 0.9), rng.normal(size=(3, 2))
    kept = ref_logits.copy()
    one = regularised_optimum(mdp, ref_logits, beta=0.5)
    other = regularised_optimum(mdp, ref_logits + [[3.0], [-100.0], [0.5]], beta=0.5)
    np.testing.assert_allclose(other.values, one.values, atol=1e-10)
    np.testing.assert_array_equal(ref_logits, kept)
    assert (kl(np.log(one.policy), log_softmax(ref_logits)) > 0).all()


@pytest.mark.parametrize("size", [1e-11, 1e9])
def test_the_unit_of_reward_does_not_matter(rng, size):
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    scaled = replace(mdp, reward=size * mdp.reward)
    logits = rng.normal(size=mdp.shape)
    J = regularised_optimum(mdp, logits, beta=0.3).objective
    assert regularised_optimum(scaled, logits, beta=0.3 * size).objective == pytest.approx(
        size * J, rel=1e-10)


@pytest.mark.parametrize("gamma, K", [(1.0, 1), (0.9, 3)])
def test_the_slope_of_the_frontier_is_the_price(rng, gamma, K):
    """(regularised.7), by central differences along the path"""
    mdp = random_mdp(rng, 4, 3, K, gamma)
    ref = rng.normal(size=mdp.shape)
    least = critical_beta(mdp, ref) if K == 1 else 0.0
    for beta in 3.0 + least, 8.0 + least:
        before, after = frontier(mdp, ref, [beta * (1 + 1e-4), beta * (1 - 1e-4)])
        assert before.kl < after.kl and before.reward < after.reward
        slope = (after.reward - before.reward) / (after.kl - before.kl)
        assert slope == pytest.approx(beta, rel=1e-6)


@pytest.mark.parametrize("gamma, K", [(0.9, 2), (1.0, 2)])
def test_a_point_of_the_frontier_is_the_optimum_and_no_policy_with_its_kl_earns_more(rng, gamma, K):
    """(regularised.1)"""
    mdp = random_mdp(rng, 4, 3, K, gamma)
    ref = rng.normal(size=mdp.shape)
    point, = frontier(mdp, ref, [2.5])
    best = regularised_optimum(mdp, ref, beta=2.5)
    assert point.beta == 2.5
    assert point.reward - 2.5 * point.kl == pytest.approx(best.objective, rel=1e-10)
    for _ in range(50):
        logp = log_softmax(tilt(ref, best.action_values, beta=2.5)
                           + 0.3 * rng.normal(size=mdp.shape))
        reward, kl = expectation(mdp, np.exp(logp), np.array([mdp.mean_reward,
                                                              logp - log_softmax(ref)]))
        assert reward <= point.reward + 2.5 * (kl - point.kl)  # the tangent lies above the frontier


# A reference with zeros.


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_what_the_reference_never_does_is_a_world_without_that_action(rng, gamma):
    """(regularised.2) with zeros, against the same reference where action 2 copies action 0."""
    for K in 1, 2:
        mdp = random_mdp(rng, 4, 3, K, gamma)
        ref_logits = rng.normal(size=(4, 3)) + [0, 0, -np.inf]
        law = {name: getattr(mdp, name).copy() for name in ("next_state", "prob", "reward",
                                                            "terminated")}
        for table in law.values():
            table[:, 1], table[:, 2] = table[:, 2].copy(), table[:, 0]  # the last action ends
        mdp = replace(mdp, **law)
        shared = np.column_stack([ref_logits[:, 0] - np.log(2), ref_logits[:, 1],
                                  ref_logits[:, 0] - np.log(2)])
        masked = replace(mdp, available=np.tile([True, True, False], (4, 1)))
        least = critical_beta(mdp, shared) if gamma == K == 1 else 0.0
        for beta in least + 0.5, least + 3.0:
            best, same = (regularised_optimum(world, ref, beta=beta)
                          for world, ref in ((masked, ref_logits), (mdp, shared)))
            np.testing.assert_allclose(best.values, same.values, rtol=1e-11)
            np.testing.assert_allclose(best.policy[:, 1], same.policy[:, 1], rtol=1e-9)
            assert (best.policy[:, 2] == 0).all() and (best.action_values[:, 2] == -np.inf).all()
        points = [frontier(world, ref, [least + 2.0])[0] for world, ref in (
            (masked, ref_logits), (mdp, shared))]
        assert points[0] == pytest.approx(points[1], rel=1e-9)


def test_a_reference_that_writes_one_string_leaves_nothing_to_choose():
    """A single string of two letters, whose partition sum has one term."""
    mdp = unroll(language(np.random.default_rng(4)), 3)
    ref_logits = np.full(mdp.shape, -np.inf)
    ref_logits[:, 0], ref_logits[0, 0], ref_logits[0, 1] = 0, -np.inf, 0
    worth = mdp.mean_reward[0, 1] + mdp.mean_reward[mdp.next_state[0, 1, 0], 0]
    for beta in 0.1, 1.0:
        assert regularised_optimum(mdp, ref_logits, beta=beta).objective == pytest.approx(worth)
        assert mdp.start @ np.nan_to_num(log_partition(mdp, ref_logits, beta=beta)) == (
            pytest.approx(worth))
    assert critical_beta(mdp, ref_logits) == 0


def test_a_reference_that_does_what_is_not_available_is_refused():
    coin = replace(coin_game(), available=np.array([[False, True]]))
    for use in (lambda ref: regularised_optimum(coin, ref, beta=1.0),
                lambda ref: log_partition(coin, ref, beta=1.0),
                lambda ref: critical_beta(coin, ref), lambda ref: frontier(coin, ref, [1.0])):
        with pytest.raises(ValueError, match=r"policy\[0, 0\] must be 0, since the action is not"):
            use(np.zeros((1, 2)))


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_the_entropy_of_a_state_counts_the_actions_that_it_has(rng, gamma):
    """(regularised.5) in one step: V = β log Σ e^{r/β} over what is available."""
    mdp = replace(unroll(random_mdp(rng, 3, 3, 1, gamma), 1),
                  available=np.array([[True, True, False], [False, True, False], [True] * 3]))
    best = entropy_optimum(mdp, ent_coef=0.7)
    for s in range(3):
        earned = mdp.mean_reward[s][mdp.available[s]]
        assert best.values[s] == pytest.approx(0.7 * np.log(np.exp(earned / 0.7).sum()), rel=1e-12)


@pytest.mark.parametrize("huge", [1e9, -1e9, -1e13])
def test_a_huge_reward_elsewhere_does_not_stop_the_rounds_early(huge):
    """Two steps below gamma 1; state 2, which nobody reaches, pays a huge reward."""
    small = single_outcome([[1, 1], [0, 1]], [[0.001, 0], [0, 0.003]], [[False] * 2] * 2, [1, 0],
                           0.9)
    large = single_outcome([[1, 1], [0, 1], [2, 2]], [[0.001, 0], [0, 0.003], [huge, 0]],
                           [[False] * 2] * 3, [1, 0, 0], 0.9)
    for beta in 1e-4, 0.01:
        best = regularised_optimum(large, np.zeros((3, 2)), beta=beta)
        alone = regularised_optimum(small, np.zeros((2, 2)), beta=beta)
        np.testing.assert_allclose(best.values[:2], alone.values, rtol=1e-12)
        np.testing.assert_allclose(entropy_optimum(large, ent_coef=beta).values[:2],
                                   entropy_optimum(small, ent_coef=beta).values, rtol=1e-12)


def test_the_share_of_a_bent_coin_by_hand():
    """(regularised.8), as the chapter works it out"""
    score = referee_near(coin_game(), np.zeros((1, 2)), beta=2.0)([[0.75, 0.25]])
    per_throw = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    J, best = 3 - 8 * per_throw, 2 * np.log(0.5 / (1 - np.exp(0.5) / 2))
    assert (round(per_throw, 5), round(J, 4), round(best, 4)) == (0.13081, 1.9535, 2.0924)
    assert round(math.exp(best / 2), 3) == 2.847
    assert (round(J - 1, 4), round(best - 1, 4), round((J - 1) / (best - 1), 3)) == (
        0.9535, 1.0924, 0.873)
    assert score == pytest.approx((3, 4 * per_throw, J, (J - 1) / (best - 1), best - J, 4))


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_the_reference_has_the_share_zero_and_the_optimum_one(rng, gamma):
    """(regularised.8)"""
    mdp = random_mdp(rng, 4, 3, 2, gamma)
    ref_logits, beta = rng.normal(size=mdp.shape), 0.7
    judge = referee_near(mdp, ref_logits, beta=beta)
    best = regularised_optimum(mdp, ref_logits, beta=beta)
    reference, optimum = judge(np.exp(log_softmax(ref_logits))), judge(best.policy)
    assert reference.share == 0 and reference.kl == pytest.approx(0, abs=1e-15)
    assert optimum.share == pytest.approx(1, rel=1e-13)
    assert optimum.gap == pytest.approx(0, abs=1e-13)
    other = judge(random_policy(rng, mdp))
    assert other.gap == pytest.approx(best.objective - other.objective, rel=1e-14)
    assert other.share == pytest.approx((other.objective - reference.objective)
                                        / (best.objective - reference.objective), rel=1e-14)
    assert other.objective == pytest.approx(other.reward - beta * other.kl, rel=1e-14)


def test_an_action_without_chance_costs_no_kl():
    """A policy that never shows head: KL = log 1/½, length 1."""
    score = referee_near(coin_game(), np.zeros((1, 2)), beta=2.0)(np.array([[0.0, 1.0]]))
    assert score[:3] == pytest.approx((0, np.log(2), -2 * np.log(2))) and score.length == 1


@pytest.mark.parametrize("reward", [0.0, 1e-13])
def test_where_the_reference_is_best_there_is_no_share(reward):
    mdp = replace(coin_game(), reward=np.array([[[reward], [0.0]]]))
    score = referee_near(mdp, np.zeros((1, 2)), beta=2.0)(np.array([[0.25, 0.75]]))
    assert score.share is None and score.objective < 0 < score.gap


def test_without_an_optimum_there_is_no_referee():
    with pytest.raises(ValueError, match=r"no optimum exists at beta = 0.1"):
        referee_near(coin_game(), np.zeros((1, 2)), beta=0.1)


def test_what_the_reference_never_does_is_infinitely_far_away():
    """Also if a policy does it in a state that it never comes to: then it costs nothing."""
    sure = np.array([[-np.inf, 0.0]])
    judge = referee_near(coin_game(), sure, beta=1.0)
    assert judge(np.array([[0.0, 1.0]])).kl == 0
    score = judge(np.array([[0.5, 0.5]]))
    assert (score.kl, score.objective, score.gap) == (np.inf, -np.inf, np.inf)
    timed = unroll(coin_game(), 2)
    judge = referee_near(timed, np.array([[-np.inf, 0.0], [-np.inf, 0.0]]), beta=1.0)
    assert judge(np.array([[0.0, 1.0], [1.0, 0.0]])).kl == 0
