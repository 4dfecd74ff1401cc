"""The maps of the literature: against the rules of Gymnasium, and by their known optima."""

from collections import Counter

import numpy as np
import pytest

from gridworld.maps import LAKE_8X8, cliff_walk, frozen_lake
from minirl.mdp import unroll
from minirl.planning import policy_iteration

LAKES = {4: ["SFFF", "FHFH", "FFFH", "HFFG"],
         8: ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF",
             "FFFHFFFG"]}


def lake(size, *, slippery=True):
    return frozen_lake(LAKE_8X8, slippery=slippery) if size == 8 else frozen_lake(slippery=slippery)


def lake_by_rules(rows, slippery):
    """P[s][a], a list of (probability, next state, reward, terminated).

    Action 0 is left, 1 down, 2 right, 3 up.
    """
    size, P = len(rows), {}
    for row in range(size):
        for column in range(size):
            s = row * size + column
            P[s] = {a: [] for a in range(4)}
            for a in range(4):
                if rows[row][column] in "GH":
                    P[s][a].append((1.0, s, 0, True))
                    continue
                for b in [(a - 1) % 4, a, (a + 1) % 4] if slippery else [a]:
                    i, j = row, column
                    if b == 0:
                        j = max(column - 1, 0)
                    elif b == 1:
                        i = min(row + 1, size - 1)
                    elif b == 2:
                        j = min(column + 1, size - 1)
                    else:
                        i = max(row - 1, 0)
                    P[s][a].append((1 / 3 if slippery else 1.0, i * size + j,
                                    int(rows[i][j] == "G"), rows[i][j] in "GH"))
    return P


def cliff_by_rules():
    """P[s][a] of the 4x12 cliff: 0 up, 1 right, 2 down, 3 left."""
    P = {}
    for row in range(4):
        for column in range(12):
            P[row * 12 + column] = {}
            for a, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
                i, j = min(max(row + down, 0), 3), min(max(column + right, 0), 11)
                if i == 3 and 1 <= j <= 10:
                    outcome = (1.0, 36, -100, False)
                else:
                    outcome = (1.0, i * 12 + j, -1, (i, j) == (3, 11))
                P[row * 12 + column][a] = [outcome]
    return P


def merged(outcomes):
    """{(next state, reward, terminated): probability}."""
    chances = Counter()
    for prob, *outcome in outcomes:
        chances[tuple(outcome)] += prob
    return dict(chances)


def outcomes_of(mdp, s, a):
    return merged(zip(mdp.prob[s, a].tolist(), mdp.next_state[s, a].tolist(),
                      mdp.reward[s, a].tolist(), mdp.terminated[s, a].tolist()))


@pytest.mark.parametrize("slippery", [True, False])
@pytest.mark.parametrize("size", [4, 8])
def test_the_frozen_lake_is_that_of_gymnasium(size, slippery):
    mdp = lake(size, slippery=slippery).mdp(gamma=1.0)
    assert mdp.shape == (size * size, 4) and mdp.start[0] == 1.0
    for s, actions in lake_by_rules(LAKES[size], slippery).items():
        for a, outcomes in actions.items():
            assert outcomes_of(mdp, s, a) == pytest.approx(merged(outcomes), abs=1e-12)


def test_the_cliff_is_that_of_gymnasium_except_that_its_goal_is_the_end():
    mdp = cliff_walk().mdp(gamma=1.0)
    assert mdp.shape == (48, 4) and mdp.start[36] == 1.0
    for s, actions in cliff_by_rules().items():
        for a, outcomes in actions.items():
            assert outcomes_of(mdp, s, a) == merged([(1.0, 47, 0, True)] if s == 47 else outcomes)


def test_the_best_walk_over_the_slippery_4x4_lake_arrives_14_times_of_17():
    best = policy_iteration(frozen_lake().mdp(gamma=1.0)).objective
    assert best == pytest.approx(14 / 17, abs=1e-12) and round(best, 4) == 0.8235


def test_within_100_steps_the_best_walk_over_the_4x4_lake_is_worth_0_7442():
    best = policy_iteration(unroll(frozen_lake().mdp(gamma=1.0), 100)).objective
    assert round(best, 4) == 0.7442


def test_the_8x8_lake_can_be_crossed_surely():
    assert policy_iteration(lake(8).mdp(gamma=1.0)).objective == pytest.approx(1.0, abs=1e-9)


def test_without_ice_the_lakes_are_crossed_by_the_shortest_way():
    for size, steps in (4, 6), (8, 14):
        best = policy_iteration(lake(size, slippery=False).mdp(gamma=0.9)).objective
        assert best == pytest.approx(0.9 ** (steps - 1), rel=1e-12)


def test_the_best_walk_along_the_cliff_takes_thirteen_steps():
    best = policy_iteration(cliff_walk().mdp(gamma=0.99))
    assert best.objective == pytest.approx(-(1 - 0.99**13) / 0.01, abs=1e-9)
    assert np.flatnonzero(best.policy[36])[0] == 0  # up, away from the edge
