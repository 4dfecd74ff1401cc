"""The worlds without a map: their laws against loops, and published or provable values."""

from collections import defaultdict
import inspect
import math
from statistics import NormalDist

import numpy as np
import pytest

from gridworld.classics import blackjack, car_rental, gambler, maximisation_bias
from minirl.exact.evaluation import evaluate
from minirl.exact.planning import policy_iteration

SMALL = 6


@pytest.fixture(scope="module")
def rental():
    return car_rental(most=SMALL)


# Blackjack; `test_gymnasium` plays the game of Gymnasium.


def test_the_best_policy_of_blackjack_is_that_of_the_book():
    """Sutton and Barto, figure 5.2: without a usable ace stick on 12 against 4 to 6, on 13 against
    2 and 3, else on 17; with one on 19, and on 18 unless the dealer shows 9, 10 or an ace."""
    game = blackjack()
    best = policy_iteration(game)
    sticks = best.policy[:, 0].reshape(32, 11, 2)[12:22, 1:] > 0.5  # sums, cards, ace
    assert best.objective == pytest.approx(-0.046556, abs=1e-6)
    assert [12 + int(column.argmax()) for column in sticks[:, :, 0].T] == [
        17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert [12 + int(column.argmax()) for column in sticks[:, :, 1].T] == [
        19, 18, 18, 18, 18, 18, 18, 18, 19, 19]
    assert sticks[9].all() and (sticks[1:] >= sticks[:-1]).all()


def test_the_dealer_of_blackjack_draws_up_to_17_by_loops():
    game, weights = blackjack(), [1 / 13] * 9 + [4 / 13]
    for shown in 1, 2, 6, 10:
        chances, hands = defaultdict(float), [((shown,), 1.0)]
        for _ in range(12):
            going = []
            for hand, chance in hands:
                for card, weight in enumerate(weights, start=1):
                    more = (*hand, card)
                    total = sum(more) + 10 * (1 in more and sum(more) <= 11)
                    if total < 17:
                        going.append((tuple(sorted(more)), chance * weight))
                    else:
                        chances[total if total <= 21 else 0] += chance * weight
            merged = defaultdict(float)
            for hand, chance in going:
                merged[hand] += chance
            hands = list(merged.items())
        for total in range(12, 22):
            state = 22 * total + 2 * shown
            wins = sum(p for end, p in chances.items() if end < total)
            np.testing.assert_allclose(game.prob[state, 0, :3], [
                wins, chances[total], 1 - wins - chances[total]], rtol=0, atol=1e-9)


# The gambler.


@pytest.mark.parametrize("heads, goal", [(0.4, 2), (0.3, 7), (0.25, 10)])
def test_the_gambler_wins_or_loses_his_stake(heads, goal):
    game = gambler(heads=heads, goal=goal)
    assert game.shape == (goal + 1, goal // 2) and game.gamma == 1.0
    for capital in range(1, goal):
        for a in range(goal // 2):
            stake = min(a + 1, capital, goal - capital)
            assert game.P[capital][a] == [
                (heads, capital + stake, float(capital + stake == goal), capital + stake == goal),
                (1 - heads, capital - stake, 0.0, capital - stake == 0)]


@pytest.mark.parametrize("goal", [2, 7, 10])
def test_a_gambler_starts_anywhere_but_at_nothing_or_his_goal_where_he_stays(goal):
    law = gambler(goal=goal).P
    for capital in 0, goal:
        for outcomes in law[capital].values():
            assert {outcome[1:] for outcome in outcomes} == {(capital, 0.0, True)}
    assert gambler(goal=5).start.tolist() == [0, 0.25, 0.25, 0.25, 0.25, 0]


def test_with_heads_0_4_the_best_gambler_wins_as_often_as_the_book_says():
    """Sutton and Barto, figure 4.3: bold play wins 50 at once, 25 twice, 75 after one loss too."""
    best = policy_iteration(gambler()).values
    assert best[[25, 50, 75]] == pytest.approx([0.16, 0.4, 0.64], abs=1e-9)
    assert policy_iteration(gambler(heads=1.0, goal=8)).objective == pytest.approx(1.0)
    assert policy_iteration(gambler(heads=0.0, goal=8)).objective == 0.0


def test_in_a_fair_game_every_policy_wins_with_the_share_of_the_goal_that_he_has():
    game = gambler(heads=0.5, goal=20)
    rng = np.random.default_rng(0)
    for policy in rng.dirichlet(np.ones(10), 21), np.eye(10)[rng.integers(0, 10, 21)]:
        np.testing.assert_allclose(evaluate(game, policy)[1:20], np.arange(1, 20) / 20, atol=1e-12)


# Car rental.


def poisson(n, mean):
    return math.exp(-mean) * mean**n / math.factorial(n)


def day_by_loops(morning, renting, bringing, most):
    """({cars in the evening: probability}, mean rentals) over all requests and returns below 40."""
    evening, rented = defaultdict(float), 0.0
    for requests in range(40):
        for back in range(40):
            chance = poisson(requests, renting) * poisson(back, bringing)
            out = min(requests, morning)
            rented += chance * out
            evening[min(morning - out + back, most)] += chance
    return evening, rented


def test_a_night_and_a_day_of_the_rental_follow_the_rules(rental):
    """Sutton and Barto, example 4.2: all states, moves, requests and returns, by loops."""
    n = SMALL + 1
    first = [day_by_loops(cars, 3, 3, SMALL) for cars in range(n)]
    second = [day_by_loops(cars, 4, 2, SMALL) for cars in range(n)]
    assert rental.shape == (n * n, 11) and not rental.terminated.any()
    going = rental.transitions.toarray().reshape(n * n, 11, n * n)
    for one, two, a in np.ndindex(n, n, 11):
        s = n * one + two
        wanted = a - 5
        moved = min(wanted, one) if wanted >= 0 else -min(-wanted, two)
        one_morning, two_morning = min(one - moved, SMALL), min(two + moved, SMALL)
        (ones, rented), (twos, rented_too) = first[one_morning], second[two_morning]
        assert rental.mean_reward[s, a] == pytest.approx(
            10 * (rented + rented_too) - 2 * abs(moved), abs=1e-9)
        expected = [[ones[i] * twos[j] for j in range(n)] for i in range(n)]
        np.testing.assert_allclose(going[s, a].reshape(n, n), expected, atol=1e-12)


def test_the_rental_is_discounted_and_opens_with_any_number_of_cars(rental):
    assert rental.gamma == 0.9 and car_rental(gamma=0.5, most=5).gamma == 0.5
    assert rental.start == pytest.approx(np.full(49, 1 / 49))
    assert inspect.signature(car_rental).parameters["most"].default == 20  # the book's


# Maximisation bias.


def test_the_law_of_the_two_estimates_is_that_of_the_book():
    """Sutton and Barto, example 6.7: right ends; left is B, of mean −0.1 and variance 1."""
    world = maximisation_bias()
    assert world.gamma == 1.0 and world.start.tolist() == [1.0, 0.0]
    for a in range(10):
        outcomes = {(state, reward, ended) for _, state, reward, ended in world.P[0][a]}
        assert outcomes == {(1, 0.0, a >= 5)}
    assert world.terminated[1].all() and (world.prob == 0.05).all()
    np.testing.assert_allclose(world.reward[1].mean(axis=1), -0.1, atol=1e-12)
    np.testing.assert_allclose(world.reward[1].var(axis=1), 1.0, atol=1e-12)


def test_the_twenty_rewards_lie_at_the_quantiles_of_a_normal_distribution():
    """The middles of its twentieths, up to one factor that makes the variance one."""
    rewards = maximisation_bias().reward[1, 0] + 0.1
    quantiles = [NormalDist().inv_cdf((i + 0.5) / 20) for i in range(20)]
    np.testing.assert_allclose(rewards / quantiles, rewards[-1] / quantiles[-1], rtol=1e-9)
    assert 1 < rewards[-1] / quantiles[-1] < 1.05


def test_left_is_wrong_by_a_tenth():
    best = policy_iteration(maximisation_bias())
    assert best.objective == 0.0 and best.policy[0, 5:].sum() == 1
    np.testing.assert_allclose(best.action_values[0], [-0.1] * 5 + [0] * 5, atol=1e-12)
