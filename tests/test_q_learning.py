"""Q-learning: each update against a loop, and the table against the Q* of planning."""

import numpy as np
import pytest
from worlds import random_mdp, single_outcome

from gridworld.maps import cliff_walk, frozen_lake
from minirl.mdp import draw, generator, start_states
from minirl.planning import evaluate, policy_iteration
from minirl.q_learning import q_learning, start


def after(iterations, trainer):
    return next(record for record in trainer if record.iteration == iterations)


def test_training_equals_a_loop_over_learners_and_steps():
    """(q_learning.1), (q_learning.2), (q_learning.3), with the same random numbers"""
    rng = np.random.default_rng(0)
    mdp = random_mdp(rng, 4, 3, 2, 0.9)
    first = start(mdp, rng=1, runs=3, initial_value=0.5)
    learned = after(1, q_learning(mdp, first, learning_rate=0.8, decay=0.7, exploration_rate=0.4,
                                  horizon=2, steps_per_iteration=60))

    rng = generator(first.rng)
    explores, explorations = rng.random((60, 3)) < 0.4, rng.integers(3, size=(60, 3))
    luck, restarts = rng.random((60, 3)), start_states(mdp, 180, rng).reshape(60, 3)
    Q, n = np.full((3, 4, 3), 0.5), np.zeros((3, 4, 3), int)
    cut = 0
    for i in range(3):
        s, age = first.states[i], 0
        for t in range(60):
            a = explorations[t, i] if explores[t, i] else int(np.argmax(Q[i, s]))
            k = int(draw(mdp.prob[s, a].cumsum()[None, :-1], luck[t, i:i + 1])[0])
            future = 0.0 if mdp.terminated[s, a, k] else 0.9 * max(Q[i, mdp.next_state[s, a, k]])
            n[i, s, a] += 1
            Q[i, s, a] += 0.8 / n[i, s, a]**0.7 * (mdp.reward[s, a, k] + future - Q[i, s, a])
            age += 1
            cut += age == 2 and not mdp.terminated[s, a, k]
            over = mdp.terminated[s, a, k] or age == 2
            s, age = (restarts[t, i], 0) if over else (mdp.next_state[s, a, k], age)
    assert cut > 0, "a truncation must keep the bootstrap, so one must happen"
    np.testing.assert_allclose(learned.Q, Q, atol=1e-12)
    assert (learned.updates == n).all() and learned.steps == 60


def test_a_terminal_state_is_never_bootstrapped_even_from_an_optimistic_table():
    """Pitfall 36: the value of what comes after the end is 0, not the table's initial 50."""
    mdp = single_outcome([[1, 0], [1, 1]], [[1, 0], [0, 0]], [[True, False], [True, True]], [1, 0],
                         gamma=0.9)
    record = after(20, q_learning(mdp, start(mdp, rng=0, initial_value=50.0), learning_rate=0.5,
                                  decay=0.0, steps_per_iteration=100))
    best = policy_iteration(mdp)
    np.testing.assert_allclose(record.Q[0, 0], best.action_values[0], atol=1e-6)


def test_the_table_converges_to_the_optimal_action_values():
    mdp = random_mdp(np.random.default_rng(3), 4, 3, 2, 0.8)
    best = policy_iteration(mdp)
    trainer = q_learning(mdp, start(mdp, rng=4, runs=20), exploration_rate=1.0, decay=0.7)
    errors = [np.abs(record.Q - best.action_values).max(axis=(1, 2)).max()
              for record in (after(1, trainer), after(10, trainer), after(30, trainer))]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.3 * np.abs(best.action_values).max()


@pytest.mark.slow
@pytest.mark.parametrize("grid", [frozen_lake(), cliff_walk()], ids=["lake", "cliff"])
def test_the_mean_of_sixteen_learners_is_optimal_for_every_seed(grid):
    mdp = grid.mdp(gamma=0.99)
    best = policy_iteration(mdp)
    record = after(25, q_learning(mdp, start(mdp, rng=7, runs=80, initial_value=1.0)))
    for Q in record.Q.reshape(5, 16, *mdp.shape).mean(axis=1):
        values = evaluate(mdp, np.eye(mdp.shape[1])[Q.argmax(axis=1)])
        assert mdp.start @ values == pytest.approx(best.objective, abs=1e-9)


def test_training_continues_from_any_record_bit_for_bit():
    mdp = frozen_lake().mdp(gamma=0.99)
    whole = [record for record, _ in zip(q_learning(mdp, start(mdp, rng=5, runs=2)), range(4))]
    resumed = after(4, q_learning(mdp, whole[1]))
    assert (resumed.Q == whole[3].Q).all() and (resumed.states == whole[3].states).all()
    assert resumed.rng == whole[3].rng and (resumed.age == whole[3].age).all()


def test_a_record_is_not_changed_by_the_training_that_follows():
    mdp = frozen_lake().mdp(gamma=0.99)
    trainer = q_learning(mdp, start(mdp, rng=5, initial_value=1.0))
    record = next(trainer)
    before, updates = record.Q.copy(), record.updates.copy()
    next(trainer)
    assert (record.Q == before).all() and (record.updates == updates).all()


def test_the_exploration_rate_may_be_a_schedule():
    mdp = frozen_lake().mdp(gamma=0.99)
    seen = []
    trainer = q_learning(mdp, start(mdp, rng=0), steps_per_iteration=10,
                         exploration_rate=lambda iteration: seen.append(iteration) or 0.5)
    after(3, trainer)
    assert seen == [0, 1, 2]


def test_the_metrics_count_episodes_and_rewards():
    mdp = single_outcome([[0, 0]], [[2, 2]], [[True, True]], [1])
    record = after(1, q_learning(mdp, start(mdp, rng=0, runs=2), steps_per_iteration=7))
    assert record.metrics["rollout/episodes"].tolist() == [7, 7]
    assert record.metrics["rollout/reward"].tolist() == [14.0, 14.0]


@pytest.mark.parametrize("name, value", [("learning_rate", 0.0), ("learning_rate", 1.5),
                                         ("decay", -0.1), ("exploration_rate", 1.1), ("horizon", 0),
                                         ("steps_per_iteration", 0)])
def test_bad_arguments_are_refused_by_name(name, value):
    mdp = frozen_lake().mdp(gamma=0.99)
    with pytest.raises(ValueError, match=name):
        next(q_learning(mdp, start(mdp, rng=0), **{name: value}))


def test_a_record_of_another_world_is_refused():
    lake, cliff = frozen_lake().mdp(gamma=0.99), cliff_walk().mdp(gamma=0.99)
    with pytest.raises(ValueError, match="record's Q must be"):
        next(q_learning(cliff, start(lake, rng=0)))
    with pytest.raises(ValueError, match="episodes must be at least 1"):
        start(lake, rng=0, runs=0)
