"""The four learners against plain loops, against exact values, and against Sutton and Barto."""

import copy
import itertools
import re
from dataclasses import replace
from functools import cache

from luck import assert_mean
import numpy as np
import pytest

from gridworld.classics import maximisation_bias
from gridworld.maps import cliff_walk, frozen_lake, windy_grid
from minirl.exact.evaluation import action_values, evaluate, from_start
from minirl.play.exploration import Exploration, boltzmann, epsilon_greedy
from minirl.exact.planning import policy_iteration
from minirl.kernel import environment
from minirl.kernel.environment import playable
from minirl.play import q_learning as module
from minirl.play.q_learning import (Episodes, double_q_learning, expected_sarsa, learners,
                                    q_learning, sarsa)
from minirl.kernel.sampling import generators
from worlds import random_mdp, single_outcome

TABLES = {q_learning: 1, sarsa: 1, expected_sarsa: 1, double_q_learning: 2}
LEARNERS = pytest.mark.parametrize("learner", TABLES, ids=lambda learner: learner.__name__)
ENDLESS = single_outcome([[0, 0]], [[1, 1]], [[False, False]], [1], gamma=0.5)
BY_THE_BOOK = {"learning_rate": 0.5, "decay": 0.0, "exploration": epsilon_greedy(0.1),
               "horizon": 10**9}


def after(iterations, trainer):
    return next(record for record in trainer if record.iteration == iterations)


def greedily(row, u, iteration):
    """The chances of (exploration.1) at the rate 0.6/(1 + iteration), and the action of u."""
    epsilon, best = 0.6 / (1 + iteration), best_in(row)
    able = [b for b, q in enumerate(row) if q > -np.inf]
    chances = [epsilon * (b in able) / len(able) + (1 - epsilon) * (b in best) / len(best)
               for b in range(len(row))]
    return chances, (able[int(u / epsilon * len(able))] if u < epsilon else
                     best[int((u - epsilon) / (1 - epsilon) * len(best))])


def best_in(row):
    return [b for b, q in enumerate(row) if q == max(row)]


def warmly(row, u, iteration):
    """The chances of (exploration.2) with τ = 0.5 + iteration, and the action that u takes."""
    weights = np.exp(np.array(row) / (0.5 + iteration))
    chances = weights / weights.sum()
    return chances, drawn(chances, u)


RULES = {"epsilon_greedy": (greedily, epsilon_greedy(lambda p: 0.6 / (1 + round(400 * (1 - p))))),
         "boltzmann": (warmly, boltzmann(lambda p: 0.5 + round(400 * (1 - p))))}


def drawn(chances, u):
    return int((np.cumsum(chances)[:-1] <= u).sum())


def by_loops(mdp, record, learner, rule, *, learning_rate, decay, horizon, steps):
    """Learner by learner and step by step.  Yields, each iteration: tables, updates, where each
    learner stands (state, planned action, age, earned, episodes), what it earned in the iteration,
    and its finished episodes."""
    M, R, _, A = record.tables.shape
    Q, n, rng = record.tables.copy(), record.updates.copy(), generators(record.rng)
    stands = [[int(state), -1, 0, 0.0, 0] for state in record.states]
    for iteration in itertools.count():
        finished, pay = [], [0.0] * R
        for i in range(R):
            s, planned, age, earned, number = stands[i]
            for choice, outcome, restart, last in rng[i].random((steps, 4)):
                mean = [sum(Q[m, i, s, b] for m in range(M)) / M for b in range(A)]
                a = rule(mean, choice, iteration)[1] if planned < 0 else planned
                k = drawn(mdp.prob[s, a], outcome)
                s2, reward = int(mdp.next_state[s, a, k]), float(mdp.reward[s, a, k])
                one = int(last >= 0.5) if learner is double_q_learning else 0
                row = Q[one, i, s2].tolist()
                chances, would = rule(row, last, iteration)
                if learner is sarsa:
                    v, planned = row[would], would
                elif learner is expected_sarsa:
                    v = sum(chance * q for chance, q in zip(chances, row) if chance > 0)
                elif learner is q_learning:
                    v = max(row)
                else:
                    best = best_in(row)
                    v = Q[1 - one, i, s2, best[int(2 * last % 1 * len(best))]]
                ended = mdp.terminated[s, a, k]
                target = reward if ended else reward + mdp.gamma * v
                n[one, i, s, a] += 1
                alpha = learning_rate / n[one, i, s, a]**decay
                Q[one, i, s, a] += alpha * (target - Q[one, i, s, a])
                s, age, earned, pay[i] = s2, age + 1, earned + reward, pay[i] + reward
                if ended or age == horizon:
                    finished.append((i, number, earned, age, ended))
                    s, planned, age, earned = drawn(mdp.start, restart), -1, 0, 0.0
                    number += 1
            stands[i] = [s, planned, age, earned, number]
        yield Q, n, stands, pay, finished


def leaky(seed, S, A, K, *, leak=0.15, gamma=0.9):
    """A random world that starts anywhere, and in which a share of the outcomes end an episode."""
    mdp, rng = random_mdp(np.random.default_rng(seed), S, A, K, gamma), np.random.default_rng(seed)
    return replace(mdp, terminated=rng.random((S, A, K)) < leak, start=np.full(S, 1 / S))


def only_run(record, i):
    """Run i of a record, as if it had been alone."""
    mine = record.finished.run == i
    finished = Episodes(*(column[mine] for column in record.finished))
    return record._replace(
        tables=record.tables[:, i:i + 1], updates=record.updates[:, i:i + 1],
        rng=(record.rng[i],), finished=finished._replace(run=finished.run - i),
        metrics={name: value[i:i + 1] for name, value in record.metrics.items()},
        **{name: None if getattr(record, name) is None else getattr(record, name)[i:i + 1]
           for name in ("states", "planned", "age", "earned", "episodes")})


def steps_of_the_greedy_path(mdp, Q, most=200):
    """In a deterministic world; infinite if there are more than `most`."""
    s = int(mdp.start.argmax())
    for n in range(1, most + 1):
        a = Q[s].argmax()
        if mdp.terminated[s, a, 0]:
            return n
        s = mdp.next_state[s, a, 0]
    return np.inf


def first_episodes(trainer, count):
    """The `Episodes` columns (R, count) rewards and lengths of the first episodes of each run, and
    the record in which the last of them ended."""
    rewards = lengths = None
    for record in trainer:
        if rewards is None:
            rewards, lengths = np.full((2, len(record.rng), count), np.nan)
        early = record.finished.number < count
        where = record.finished.run[early], record.finished.number[early]
        rewards[where], lengths[where] = (record.finished.rewards[early],
                                          record.finished.lengths[early])
        if record.episodes.min() >= count:
            return rewards, lengths, record


# Equation against loop.


@pytest.mark.parametrize("first", ["scattered", "tied", "masked"])
@pytest.mark.parametrize("rule", RULES)
@LEARNERS
def test_a_learner_and_its_books_equal_a_loop_over_learners_and_steps(learner, rule, first):
    """(q_learning.1) and (q_learning.6), with (q_learning.2), (q_learning.3), (q_learning.4) and
    (q_learning.5) in turn, and all of an episode that began in an iteration before, once.  Pitfalls
    20 and 36: cut episodes bootstrap, those that end, were it at the horizon, never do.  From zeros
    all is a tie at first; and some actions are not available."""
    mdp, (loop, exploration) = leaky(0, 4, 3, 2), RULES[rule]
    if first == "masked":
        mdp = replace(mdp, available=np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 1, 1]]) > 0)
    values = np.random.default_rng(1).normal(size=(3, 4, 3)) if first == "scattered" else 0.0
    record = learners(mdp, rng=[5, 6, 7], tables=TABLES[learner], initial_value=values)
    options = {"learning_rate": 0.8, "decay": 0.7, "horizon": 5}
    slow = by_loops(mdp, record, learner, loop, steps=60, **options)
    fast = learner(mdp, record, exploration=exploration, steps_per_iteration=60, **options)
    across, ends = 0, []
    for _ in range(3):
        (Q, n, stands, pay, finished), record = next(slow), next(fast)
        np.testing.assert_allclose(record.tables, Q, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(record.updates, n)
        np.testing.assert_allclose(record.Q, sum(Q) / len(Q), rtol=0, atol=1e-12)
        states, planned, age, earned, episodes = zip(*stands)
        run, number, rewards, lengths, ended = zip(*finished)
        assert record.finished.run.tolist() == list(run)
        assert record.finished.number.tolist() == list(number)
        assert record.finished.lengths.tolist() == list(lengths)
        np.testing.assert_allclose(record.finished.rewards, rewards, rtol=0, atol=1e-12)
        assert record.states.tolist() == list(states) and record.age.tolist() == list(age)
        np.testing.assert_allclose(record.earned, earned, rtol=0, atol=1e-12)
        assert record.episodes.tolist() == list(episodes)
        assert planned == tuple(record.planned if learner is sarsa else [-1] * 3)
        np.testing.assert_allclose(record.metrics["rollout/reward"], pay, rtol=0, atol=1e-12)
        assert record.metrics["rollout/episodes"].tolist() == np.bincount(run).tolist()
        across += sum(a > 0 for a in age)
        ends += zip(lengths, ended)
    assert across > 2 and record.steps == 180 and record.iteration == 3
    assert (record.updates.sum(axis=(0, 2, 3)) == 180).all()
    assert (record.updates.sum(axis=(1, 2, 3)) > 200).all()
    assert ends.count((5, False)) > 10 and ends.count((5, True)) > 2


# Many runs, records.


@pytest.fixture
def few(monkeypatch):
    """How many learners take turns, which the tests of equality change."""
    def set_number(number):
        monkeypatch.setattr(module, "TAKE_TURNS", number)
        monkeypatch.setattr(module, "TAKE_TURNS_DRAWING", number)
    return set_number


@pytest.mark.parametrize("rule", [
    epsilon_greedy(0.0), epsilon_greedy(0.3), epsilon_greedy(1.0),
    epsilon_greedy(lambda progress: 0.1 + 0.8 * progress), boltzmann(0.5),
    boltzmann(lambda progress: 0.1 + progress), boltzmann(2.0)._replace(rate=lambda progress: 0.4)],
    ids=["greedy", "0.3", "uniform", "schedule", "boltzmann", "cooling", "boltzmann and 0.4"])
@pytest.mark.parametrize("kind", ["tied", "masked", "nine actions", "one start", "no luck"])
@LEARNERS
def test_learners_that_take_turns_learn_what_they_learn_together_bit_for_bit(learner, kind, rule,
                                                                             few):
    mdp, truth = world_of(kind)
    first = np.random.default_rng(2).normal(size=(5, *mdp.shape)).round(kind == "nine actions")
    record = learners(mdp, rng=range(5), tables=TABLES[learner],
                      initial_value=0.0 if kind == "tied" else first)
    options = {"exploration": rule, "horizon": 6, "steps_per_iteration": 25, "truth": truth,
               "iterations": 2}
    records = []
    for number in 0, np.inf:
        few(number)
        records.append(list(itertools.islice(learner(mdp, record, **options), 2)))
    np.testing.assert_equal(*records)


@cache
def world_of(kind):
    """And its Q*."""
    mdp = leaky(2, 6, 9 if kind == "nine actions" else 3, 1 if kind == "no luck" else 3)
    if kind == "masked":
        able = np.random.default_rng(2).random(mdp.shape) < 0.6
        mdp = replace(mdp, available=able | (np.arange(3) == 0))
    if kind == "one start":
        mdp = replace(mdp, start=np.eye(6)[2])
    return mdp, policy_iteration(mdp).action_values


def test_few_learners_take_turns_and_only_those_that_can(monkeypatch, few):
    """Many, with large tables, with actions to draw or without a law do not."""
    asked = []
    monkeypatch.setattr(module, "_take_turns", lambda *given: asked.append(True) or 4 * [None])
    monkeypatch.setattr(module, "move_together", lambda *given: asked.append(False) or 4 * [None])
    small, large = leaky(9, 4, 3, 2), leaky(9, 40, 30, 1)
    for mdp, R, rule, turns in ((small, 1, epsilon_greedy(0.1), True),
                                (small, 2, boltzmann(0.1), True),
                                (small, 4, boltzmann(0.1), False),
                                (small, 31, epsilon_greedy(0.1), True),
                                (small, 33, epsilon_greedy(0.1), False),
                                (large, 1, epsilon_greedy(0.1), False),
                                (playable(small), 1, epsilon_greedy(0.1), False)):
        with pytest.raises((AttributeError, TypeError)):  # the rest does without their answer
            next(q_learning(mdp, learners(mdp, rng=range(R)), exploration=rule,
                            steps_per_iteration=10 if mdp is large else 1000))
        assert asked.pop() is turns and not asked


@LEARNERS
def test_a_world_with_few_pieces_is_looked_up_and_the_others_are_drawn(learner, monkeypatch):
    """[0, 1) has seven in this world, and a number that is a threshold lies above it."""
    mdp = replace(leaky(2, 6, 3, 3), prob=np.array(
        [[[1, 1, 2], [0, 4, 0], [3, 1, 0]]] * 3 + [[[2, 1, 1], [1, 0, 3], [0, 0, 4]]] * 3) / 4)
    record, found = learners(mdp, rng=range(40), tables=TABLES[learner]), []
    for pieces in 0, 16:
        monkeypatch.setattr(environment, "MOST_PIECES", pieces)
        found.append(next(learner(mdp, record, steps_per_iteration=100, horizon=6)))
        move = playable(mdp).moves(np.arange(4)[:, None] / 4)
        assert [move(t, np.array([entry]))[0].item() for entry in range(18) for t in range(4)] == [
            mdp.next_state[s, a, (mdp.prob[s, a].cumsum()[:2] <= t / 4).sum()]
            for s, a in np.ndindex(6, 3) for t in range(4)]
    np.testing.assert_equal(*found)


@pytest.mark.parametrize("rule", RULES)
@LEARNERS
def test_a_run_is_the_same_alone_and_among_others_bit_for_bit(learner, rule):
    mdp, seeds = leaky(2, 6, 9, 3), [3, 1, 4, 15, 9]
    mdp = replace(mdp, available=np.random.default_rng(2).random((6, 9)) < 0.8)
    first = np.random.default_rng(2).normal(size=(5, 6, 9)).round()  # with ties
    options = {"exploration": RULES[rule][1], "horizon": 6, "steps_per_iteration": 40,
               "truth": policy_iteration(mdp).action_values}
    record = after(2, learner(mdp, learners(mdp, rng=seeds, initial_value=first,
                                            tables=TABLES[learner]), **options))
    for i, seed in enumerate(seeds):
        alone = learners(mdp, rng=seed, initial_value=first[i], tables=TABLES[learner])
        np.testing.assert_equal(after(2, learner(mdp, alone, **options)), only_run(record, i))


def test_the_start_is_drawn_by_each_run_for_itself_and_copies_what_it_is_given():
    mdp = replace(leaky(6, 4, 3, 2), start=np.array([0, 0.25, 0, 0.75]))
    assert learners(mdp, rng=range(200)).states.tolist() == [
        3 if np.random.default_rng(seed).random() >= 0.25 else 1 for seed in range(200)]
    pair, first = [np.random.default_rng(1), np.random.default_rng(2)], np.ones((2, 4, 3))
    record = learners(mdp, rng=pair, initial_value=first)
    kept = copy.deepcopy(record)
    first += 1
    for rng in pair:
        rng.random(5)
    np.testing.assert_equal(record, kept)
    np.testing.assert_equal(record, learners(mdp, rng=[1, 2], initial_value=1.0))
    np.testing.assert_equal(learners(mdp, rng=[1]), learners(mdp, rng=1))
    assert [column.size for column in record.finished] == [0] * 4
    values = np.random.default_rng(0).normal(size=(2, 4, 3))  # of a run, a state and an action
    np.testing.assert_array_equal(learners(mdp, rng=pair, initial_value=values, tables=2).tables,
                                  [values, values])
    np.testing.assert_array_equal(learners(mdp, rng=pair, initial_value=values[0]).Q,
                                  [values[0], values[0]])


@LEARNERS
def test_a_record_may_go_on_with_a_shorter_horizon(learner):
    """No episode may end in an iteration; one that is older than the new horizon is cut at its next
    step."""
    trainer = learner(ENDLESS, learners(ENDLESS, rng=0, tables=TABLES[learner]), horizon=100,
                      steps_per_iteration=7)
    record = next(trainer)
    assert record.finished.run.size == 0 and record.metrics["rollout/episodes"].tolist() == [0]
    record = next(learner(ENDLESS, record, horizon=5, steps_per_iteration=7))
    assert record.finished.lengths.tolist() == [8, 5]


@pytest.mark.parametrize("number", [0, np.inf], ids=["together", "in turns"])
def test_a_learner_may_go_on_with_the_table_of_another(number, few):
    """SARSA has planned an action, which the next learner takes, once, if it still can."""
    few(number)
    mdp = leaky(9, 4, 3, 2)
    record = after(3, sarsa(mdp, learners(mdp, rng=range(20)), steps_per_iteration=5, horizon=9))
    following = next(q_learning(mdp, record, steps_per_iteration=1))
    decided = record.planned >= 0
    assert 3 < decided.sum() < 20
    changed = (following.updates - record.updates)[0, np.arange(20), record.states]
    assert (changed.argmax(axis=1) == record.planned)[decided].all()
    following = next(q_learning(mdp, record, steps_per_iteration=20))
    few(0 if number else np.inf)
    np.testing.assert_equal(next(q_learning(mdp, record, steps_per_iteration=20)), following)
    with pytest.raises(ValueError, match="exploration must take available actions"):
        next(q_learning(replace(mdp, available=np.arange(12).reshape(4, 3) % 2 > 0), record))
    with pytest.raises(ValueError, match="exploration must take available actions"):
        next(q_learning(replace(mdp, available=np.tile([False, True, True], (4, 1))),
                        record._replace(planned=np.zeros(20, int))))


@LEARNERS
def test_the_actions_of_an_exploration_stay_its_own(learner):
    """A rule may return one and the same array for ever; SARSA forgets its plan at an end, and
    that must not be written there."""
    mdp, always = leaky(9, 4, 3, 2), np.array([2, 0, 1])
    always.flags.writeable = False
    rule = Exploration(lambda progress: 0.0, lambda values, progress: np.eye(3)[always])
    record = next(learner(mdp, learners(mdp, rng=range(3), tables=TABLES[learner]), horizon=4,
                          exploration=rule, steps_per_iteration=40))
    assert (record.updates.sum(axis=(0, 2)) == 40 * np.eye(3)[always]).all()
    assert (record.episodes >= 10).all()


@LEARNERS
def test_a_rule_that_takes_what_is_not_available_is_refused(learner):
    mdp = replace(leaky(9, 4, 3, 2), available=np.array([[True, True, False]] * 4))
    for action in 2, 1:
        rule = Exploration(lambda progress: 0.0,
                           lambda values, progress: np.eye(3)[[action] * len(values)])
        trainer = learner(mdp, learners(mdp, rng=range(3), tables=TABLES[learner]),
                          exploration=rule, steps_per_iteration=5)
        if action == 2:
            with pytest.raises(ValueError, match="exploration must take available actions"):
                next(trainer)
        else:
            assert np.isfinite(next(trainer).tables[..., :2]).all()


# Fixed points.


@pytest.mark.parametrize("learner", [q_learning, double_q_learning], ids=["q", "double"])
def test_in_a_deterministic_world_a_learner_that_is_off_policy_finds_the_optimum(learner):
    """(q_learning.4) and (q_learning.5) with α = 1, to rounding, in every world tried."""
    for seed in range(2):
        mdp = leaky(seed, 4, 3, 1, gamma=0.5)
        record = next(learner(mdp, learners(mdp, rng=range(3), tables=TABLES[learner]),
                              learning_rate=1.0, decay=0.0, exploration=epsilon_greedy(1.0),
                              horizon=5, steps_per_iteration=2000))
        best = policy_iteration(mdp).action_values
        np.testing.assert_allclose(record.tables, np.broadcast_to(best, record.tables.shape),
                                   rtol=0, atol=1e-9)


@pytest.mark.parametrize("exploration", [epsilon_greedy(0.5), boltzmann(2.0)],
                         ids=["epsilon_greedy", "boltzmann"])
def test_in_a_deterministic_world_expected_sarsa_finds_what_its_own_policy_is_worth(exploration):
    """(q_learning.3) with α = 1: the policy that explores by the final table, evaluated exactly,
    has this very table, and Q* is another."""
    for seed in range(2):
        mdp = leaky(seed, 4, 3, 1, gamma=0.5)
        record = next(expected_sarsa(mdp, learners(mdp, rng=range(3)), learning_rate=1.0, decay=0.0,
                                     exploration=exploration, horizon=5,
                                     steps_per_iteration=1500))
        best = policy_iteration(mdp).action_values
        for Q in record.Q:
            worth = action_values(mdp, evaluate(mdp, exploration.policy(Q, 0)))
            np.testing.assert_allclose(Q, worth, rtol=0, atol=1e-9)
            assert np.abs(worth - best).max() > 0.1


LEAKY = leaky(3, 4, 3, 2, gamma=0.8)


@pytest.mark.parametrize("learner", [sarsa, expected_sarsa, double_q_learning],
                         ids=["sarsa", "expected_sarsa", "double"])
def test_in_a_random_world_each_seed_finds_what_its_learner_is_after(learner):
    """(q_learning.2) and (q_learning.3): under uniform play both kinds of SARSA find Q of the
    uniform policy; double Q-learning finds Q*, which is far away.  20 seeds, and their mean is
    closer.  The lake below is Q-learning's."""
    uniform = action_values(LEAKY, evaluate(LEAKY, np.full(LEAKY.shape, 1 / 3)))
    best = policy_iteration(LEAKY).action_values
    truth = best if learner is double_q_learning else uniform
    record = next(learner(LEAKY, learners(LEAKY, rng=range(20), tables=TABLES[learner]), decay=0.7,
                          truth=truth, exploration=epsilon_greedy(1.0), horizon=5,
                          steps_per_iteration=6000))
    assert record.metrics["error/max"].max() < 0.5
    assert np.abs(record.Q.mean(axis=0) - truth).max() < 0.15
    assert np.abs(best - uniform).max() > 1


@pytest.mark.statistical
@pytest.mark.parametrize("learner", [sarsa, expected_sarsa])
def test_the_mean_of_a_hundred_learners_is_what_they_are_after(learner):
    """(q_learning.2) and (q_learning.3), of the uniform policy: there is noise, but no bias."""
    truth = action_values(LEAKY, evaluate(LEAKY, np.full(LEAKY.shape, 1 / 3)))
    record = next(learner(LEAKY, learners(LEAKY, rng=range(100)), decay=0.7, horizon=5,
                          exploration=epsilon_greedy(1.0), steps_per_iteration=6000))
    for s, a in np.ndindex(LEAKY.shape):
        assert_mean(truth[s, a], record.Q[:, s, a])


@pytest.mark.slow
def test_on_the_slippery_lake_every_learner_is_close_to_the_optimum_after_100_000_updates(
        slippery_lake):
    """(q_learning.4) and (q_learning.6): ‖Q − Q*‖∞ < 0.1 for each of 100 seeds, uniform play from
    a random cell.  The worst has 0.053."""
    assert slippery_lake["steps"] == 100_000 and len(slippery_lake["errors"]) == 100
    assert max(slippery_lake["errors"]) < 0.1


@pytest.mark.slow
def test_the_greedy_policy_of_the_mean_of_sixteen_learners_is_optimal():
    """On the lake; the job `demo` does the same on the cliff, where every single learner is."""
    mdp = frozen_lake().mdp(gamma=0.99)
    best = policy_iteration(mdp)
    record = after(25, q_learning(mdp, learners(mdp, rng=range(16), initial_value=1.0)))
    values = evaluate(mdp, np.eye(4)[record.Q.mean(axis=0).argmax(axis=1)])
    assert mdp.start @ values == pytest.approx(best.objective, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_update_is_what_is_missing_to_bellmans_equation(seed):
    """(q_learning.7), by a loop over outcomes; it is zero for all entries at Q*, and only there."""
    mdp = leaky(seed, 4, 3, 2)
    best = policy_iteration(mdp).action_values
    for Q in best, np.random.default_rng(seed).normal(size=(4, 3)):
        mean = np.zeros((4, 3))
        for s, a, k in np.ndindex(4, 3, 2):
            V = 0.0 if mdp.terminated[s, a, k] else max(Q[mdp.next_state[s, a, k]])
            mean[s, a] += mdp.prob[s, a, k] * (mdp.reward[s, a, k] + mdp.gamma * V - Q[s, a])
        ahead = (mdp.transitions @ Q.max(axis=1)).reshape(4, 3)
        np.testing.assert_allclose(mean, mdp.mean_reward + mdp.gamma * ahead - Q, atol=1e-12)
        assert (np.abs(mean).max() < 1e-9) == (Q is best)


# Noise, bias and the maximum.


def worth(mdp, policy):
    """J; a state that a policy never visits has no value, and needs none."""
    return from_start(mdp, np.nan_to_num(evaluate(mdp, policy)))


def greedy_policy(Q):
    return np.eye(4)[Q.argmax(axis=1)]


def test_on_the_cliff_a_table_at_rest_is_worth_more_greedily_or_more_while_exploring():
    """The rows of the table: (q_learning.4) rests at Q*, (q_learning.2) and (q_learning.3) where Q
    is the value of the policy that explores by it."""
    cliff, rule = cliff_walk().mdp(gamma=1.0), epsilon_greedy(0.1)
    rest = np.zeros((48, 4))
    for _ in range(5):
        rest = action_values(cliff, np.nan_to_num(evaluate(cliff, rule.policy(rest, 0))))
    np.testing.assert_allclose(
        rest, action_values(cliff, np.nan_to_num(evaluate(cliff, rule.policy(rest, 0)))))
    for Q, steps, exploring, drawing in zip((policy_iteration(cliff).action_values, rest), (13, 15),
                                            (-50.8, -20.7), drawings()):
        assert steps_of_the_greedy_path(cliff, Q) == steps
        assert (walk_of_the_greedy_policy(cliff, Q), f"{steps} steps") == drawing
        assert worth(cliff, greedy_policy(Q)) == pytest.approx(-steps, abs=1e-9)
        assert round(worth(cliff, rule.policy(Q, 0)), 1) == exploring


def drawings():
    """The two maps of the chapter: the rows of each, and what stands below it after the comma."""
    found = re.search(r"((?:^ {4}[·→←↑↓] .*\n){3})(^ {4}S .*\n)(^ {4}\w.*\n)", module.__doc__, re.M)
    halves = [re.split(r" {5,}", line.strip()) for line in "".join(found.groups()).splitlines()]
    for left_or_right in zip(*halves):
        *rows, below = left_or_right
        yield [row.split(" ") for row in rows], below.split(", ")[1]


def walk_of_the_greedy_policy(cliff, Q):
    """The map of the cliff with an arrow in each cell that the walk crosses after the start."""
    rows = [["·"] * 12 for _ in range(3)] + [["S", *"CCCCCCCCCC", "G"]]
    s, best = 36, Q.argmax(axis=1)
    while not cliff.terminated[s, best[s], 0]:
        assert (Q[s] == Q[s].max()).sum() == 1, "a tie would make another walk as good"
        s = cliff.next_state[s, best[s], 0]
        rows[s // 12][s % 12] = "↑→↓←"[best[s]]
    return rows


@pytest.mark.slow
def test_double_q_learning_still_goes_round_the_cliff_after_20_000_steps():
    cliff = cliff_walk().mdp(gamma=1.0)
    record = after(20, double_q_learning(cliff, learners(cliff, rng=range(20), tables=2),
                                         **BY_THE_BOOK))
    assert {steps_of_the_greedy_path(cliff, Q) for Q in record.Q} == {17}
    exploring = [worth(cliff, BY_THE_BOOK["exploration"].policy(Q, 0)) for Q in record.Q]
    assert round(np.mean(exploring), 1) == -24.5


def test_the_larger_of_two_noisy_results_is_too_large_and_a_second_table_is_not():
    """The four cases of the text, and all sixteen of two tables, by (q_learning.5)."""
    cases = list(itertools.product([-1, 1], repeat=2))
    assert [max(case) for case in cases] == [-1, 1, 1, 1]
    assert np.mean([max(case) for case in cases]) == 0.5
    judged = [np.mean([second[a] for a in best_in(first)])
              for first, second in itertools.product(cases, repeat=2)]
    assert np.mean(judged) == 0


@pytest.mark.slow
@pytest.mark.parametrize("first, trials, share, errors", [
    (1.0, (60, 60), 69, [0.196, 0.187, 0.187]), (0.0, (3, 18), 89, [0.175, 0.163, 0.164])])
def test_a_mean_of_tables_has_less_noise_and_the_same_bias(first, trials, share, errors):
    """960 learners on the slippery lake: the optimal ones of 60 means of 16, after 25,000 steps and
    after 30,000; then whether the mean of all is too high everywhere, or too low; how many in a
    hundred are within 5 % of the optimum; and the largest error of a table, of a mean of 16 and of
    a mean of 256."""
    lake = frozen_lake().mdp(gamma=0.99)
    best, ice = policy_iteration(lake), np.isin(frozen_lake().symbols, ["S", "F"])
    trainer = q_learning(lake, learners(lake, rng=range(960), initial_value=first))
    for iterations, number in zip((25, 30), trials):
        Q = after(iterations, trainer).Q
        means = Q.reshape(60, 16, 16, 4).mean(axis=1)
        assert sum(worth(lake, greedy_policy(one)) > best.objective - 1e-9
                   for one in means) == number
    off = (Q.mean(axis=0) - best.action_values)[ice]
    assert (off > 0).all() if first else (off < 0).all()
    assert round(100 * np.mean([worth(lake, greedy_policy(one)) > 0.95 * best.objective
                                for one in Q])) == share
    found = [np.mean([np.abs(Q[i:i + k].mean(axis=0) - best.action_values)[ice].max()
                      for i in range(0, 961 - k, k)]) for k in (1, 16, 256)]
    assert np.round(found, 3).tolist() == errors


# Metrics.


@LEARNERS
def test_the_error_is_the_largest_one_of_the_table_on_which_the_learner_acts(learner):
    mdp = leaky(8, 4, 3, 2)
    truth = np.random.default_rng(0).normal(size=(4, 3))
    record = after(2, learner(mdp, learners(mdp, rng=range(3), tables=TABLES[learner]), truth=truth,
                              steps_per_iteration=10))
    for i, error in enumerate(record.metrics["error/max"]):
        assert error == max(abs(sum(Q[i, s, a] for Q in record.tables) / TABLES[learner]
                                - truth[s, a]) for s, a in np.ndindex(4, 3))
    without = after(2, learner(mdp, learners(mdp, rng=range(3), tables=TABLES[learner]),
                               steps_per_iteration=10))
    assert set(without.metrics) == {"rollout/reward", "rollout/episodes"}
    np.testing.assert_array_equal(without.tables, record.tables)


def test_states_that_no_episode_reaches_are_not_judged():
    """State 1 leads to state 0, but nothing leads there; the truth of it is unknown."""
    mdp = single_outcome([[0, 0], [0, 0]], [[1, 2], [5, 5]], [[True, True], [False, False]], [1, 0])
    truth = np.array([[1, 2], [np.nan, np.nan]])
    record = next(q_learning(mdp, learners(mdp, rng=0), learning_rate=1.0, decay=0.0, truth=truth))
    assert record.metrics["error/max"].tolist() == [0]


# Sutton and Barto, 2nd edition.


@pytest.mark.statistical
def test_q_learning_crosses_the_windy_grid_in_fifteen_steps():
    """Example 6.5: 15 is the minimum, and after 8,000 steps every seed has found it."""
    windy = windy_grid().mdp(gamma=1.0)
    record = after(8, q_learning(windy, learners(windy, rng=range(20)), **BY_THE_BOOK))
    assert {steps_of_the_greedy_path(windy, Q) for Q in record.Q} == {15}


@pytest.mark.slow
def test_sarsa_crosses_the_windy_grid():
    """Example 6.5: its figure shows some 170 episodes after 8,000 steps; the mean of 50 seeds is
    161.  At a constant ε and α the table never settles, and the greedy path of many seeds does not
    end.  Once ε has faded, all do, after 15 to 19 steps."""
    windy = windy_grid().mdp(gamma=1.0)
    fading = epsilon_greedy(lambda progress: 0.1 * min(1.0, 4 * progress))
    trainer = sarsa(windy, learners(windy, rng=range(40)), **BY_THE_BOOK | {"exploration": fading},
                    steps_per_iteration=500, iterations=20)
    assert 150 < after(16, trainer).episodes.mean() < 175
    lengths = [steps_of_the_greedy_path(windy, Q) for Q in after(26, trainer).Q]
    assert min(lengths) == 15 and max(lengths) <= 19


@pytest.mark.slow
@pytest.mark.parametrize("learner, lowest, highest, paths", [
    (q_learning, -53.5, -45.5, {13}), (expected_sarsa, -22, -19.5, {15}),
    (sarsa, -31, -24, {15, 17, 19, np.inf})], ids=["q", "expected_sarsa", "sarsa"])
def test_on_the_cliff_q_learning_finds_the_shortest_way_and_earns_less(learner, lowest, highest,
                                                                       paths):
    """Example 6.6: the mean reward of episodes 401 to 500, over 50 runs.  200 seeds have
    −49.3 (Q-learning), −20.8 (expected SARSA) and −27.4 (SARSA) with standard errors of 0.5, 0.15
    and 0.4; the bands are four of those of 50 runs to either side.  The table of SARSA never
    settles, so that its greedy path need not end within 200 steps."""
    cliff = cliff_walk().mdp(gamma=1.0)
    rewards, lengths, record = first_episodes(
        learner(cliff, learners(cliff, rng=range(50)), **BY_THE_BOOK), 500)
    assert not np.isnan(rewards).any() and (rewards <= -lengths).all()
    assert lowest < rewards[:, 400:].mean() < highest
    assert {steps_of_the_greedy_path(cliff, Q) for Q in record.Q} <= paths


def share_of_left(learner):
    """The share of 500 runs that go left, episode by episode, in example 6.7."""
    world, M = maximisation_bias(), TABLES[learner]
    _, lengths, _ = first_episodes(
        learner(world, learners(world, rng=range(500), tables=M),
                **BY_THE_BOOK | {"learning_rate": 0.1}, steps_per_iteration=100), 300)
    return (lengths == 2).mean(axis=0)


def test_q_learning_is_biased_by_the_maximum_and_double_q_learning_much_less():
    """(q_learning.5), example 6.7 and figure 6.5.  Half go left at first, when all is a tie.  2,000
    seeds: around the 20th episode 94 and 57 in a hundred, in the last twenty 12.9 and 6.7; the
    optimum is 5."""
    single, double = share_of_left(q_learning), share_of_left(double_q_learning)
    assert 0.45 < single[0] < 0.55 and 0.45 < double[0] < 0.55
    assert single[15:25].mean() > 0.9 and 0.5 < double[15:25].mean() < 0.63
    assert 0.1 < single[280:].mean() < 0.16 and 0.05 < double[280:].mean() < 0.085
    assert (single[5:] > double[5:]).all()
