"""The plain forms: each is one screen, runs by itself and does what it says, and the book gives the
same numbers, from the same batch or from the same random numbers."""

import ast
import contextlib
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from batches import random_batch
from languages import all_strings, as_steps, strings_of
from worlds import episodes_of, random_mdp, random_record, single_outcome

import minirl.plain
from gridworld.maps import cliff_walk, frozen_lake
from minirl.exact import planning
from minirl.exact.evaluation import evaluate, expectation
from minirl.people.regularised import regularised_optimum
from minirl.exact.return_law import RewardLaw
from minirl.kernel import counts, playing
from minirl.kernel.sampling import draw, generator, thresholds
from minirl.kernel.softmax import log_softmax
from minirl.people import best_of_n as best, dpo, groups, grpo, reward_model, rlhf, sft
from minirl.plain import (actor_critic as plain_actor_critic, best_of_n as plain_best_of_n,
                          dpo as plain_dpo, episode as plain_episode, grpo as plain_grpo,
                          language_model, ppo as plain_ppo, q_learning as plain_q_learning,
                          reinforce as plain_reinforce, reward_model as plain_reward_model,
                          rlhf as plain_rlhf, value_iteration as plain_value_iteration)
from minirl.play import ppo, q_learning, returns
from minirl.play.exploration import epsilon_greedy
from minirl.play.optim import gradient_descent
from minirl.play.surrogate import collapse
from minirl.play.training import environment_rewards, play
from toy_lm import ngram
from toy_lm.vocabulary import Vocabulary

PLAIN = Path(minirl.plain.__file__).parent
FILES = sorted(path for path in PLAIN.glob("*.py") if path.stem != "__init__")
BEST = 0.5420  # J* of the slippery 4x4 lake at gamma 0.99


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def lines_of_code(path):
    """The numbers of the lines that are neither blank, nor a comment, nor part of a docstring."""
    source = path.read_text(encoding="utf-8")
    text = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
            text.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return [n for n, line in enumerate(source.split("\n"), start=1)
            if n not in text and line.strip() and not line.strip().startswith("#")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_algorithm_is_on_one_screen_and_names_its_paper(path):
    assert 15 <= len(lines_of_code(path)) <= 60
    module = importlib.import_module(f"minirl.plain.{path.stem}")
    assert re.search(r"\b(19|20)\d\d\b|Sutton and Barto", module.__doc__)
    assert len(inspect.getdoc(module).split("\n")) <= 10


def test_what_two_files_both_need_is_the_same_word_for_word():
    written = {}
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                written.setdefault(node.name, []).append(ast.get_source_segment(source, node))
    for name in "softmax", "play", "lake", "write":
        # The lake of `value_iteration` is a law, not a step.
        texts = [text for text in written[name] if name != "lake" or "(s, a, rng)" in text]
        assert len(texts) > 2 and len(set(texts)) == 1, name


# What they print.


@cache
def printed(name):
    """The lines that the main part of a plain file prints; any terminal can show them."""
    return run_changed(name, {})


def numbers(line):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", line)]


def run_changed(name, changes, **given):
    """The lines that its main part prints with other numbers in it, or other functions."""
    path = PLAIN / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(source, path, "exec"), {"__name__": "__main__", **given})
    assert out.getvalue().isascii()
    return out.getvalue().splitlines()


def test_the_optimum_that_the_lakes_name_is_the_optimum_and_that_of_the_careful_agent():
    lake = frozen_lake().mdp(gamma=0.99)
    assert round(planning.policy_iteration(lake).objective, 4) == BEST
    careful = [plain_episode.careful(s, None) if cell in "SF" else 0
               for s, cell in enumerate("SFFFFHFHFFFHHFFG")]
    assert evaluate(lake, np.eye(4)[careful])[0] == pytest.approx(BEST, abs=5e-5)


def test_an_episode_of_the_best_agent_is_worth_the_optimum_and_one_at_random_little():
    first, *rows = (numbers(line) for line in printed("episode"))
    (J, error, *_), (best_J, best_error, *_) = rows
    assert first == [0.99, round(BEST, 3)]
    lake = frozen_lake().mdp(gamma=0.99)
    uniform = lake.start @ evaluate(lake, np.full(lake.shape, 1 / 4))
    assert abs(J - uniform) < 4 * error and abs(best_J - BEST) < 4 * best_error < 0.05


def test_value_iteration_prints_the_optimum_and_the_best_way():
    first, *rows = printed("value_iteration")
    assert numbers(first) == [BEST]
    optimum = planning.policy_iteration(frozen_lake().mdp(gamma=0.99))
    arrows, values = re.findall("[<v>^GH]", "".join(rows)), numbers(" ".join(rows))
    alive = [s for s, arrow in enumerate(arrows) if arrow in "<v>^"]
    assert ["<v>^".index(arrows[s]) for s in alive] == optimum.policy[alive].argmax(axis=1).tolist()
    assert values == [round(V, 2) for V in optimum.values[alive]]


@pytest.mark.slow
def test_q_learning_finds_the_edge_of_the_cliff_and_sarsa_keeps_away():
    rows = printed("q_learning")[:4]
    found = {line.split()[0]: numbers(line)[0] for line in rows}
    assert found.pop("q_learning") == -13
    assert set(found) == {"sarsa", "expected_sarsa", "double_q_learning"}
    assert all(-17 <= walk < -13 for walk in found.values())
    assert all("returns" in line and "along the edge -13" in line for line in rows)


def test_a_walk_along_the_cliff_that_circles_does_not_arrive():
    rows = run_changed("q_learning", {"20_000": "300"})[:4]
    assert all("the greedy policy does not arrive;" in line for line in rows)
    assert all(numbers(line) == [-13] for line in rows)


@pytest.mark.slow
def test_double_q_learning_values_the_edge_of_the_cliff_too_low():
    """As the file says; Q-learning, which begins above every value, does not."""
    Q, both = np.zeros((48, 4)), np.zeros((2, 48, 4))
    for name, tables in ("q_learning", Q), ("double_q_learning", both):
        getattr(plain_q_learning, name)(tables, plain_q_learning.cliff, 36, 20_000, alpha=0.2,
                                        gamma=1, epsilon=0.1, rng=np.random.default_rng(0))
    along = np.arange(26, 34)  # From cell s it is 35 − s steps along the edge, and one down.
    assert (Q[along, 1] >= -(36 - along)).all()
    assert (both[:, along, 1].mean(axis=0) < -(36 - along)).sum() >= 6


def lake_by_table(s, a, rng, law=plain_value_iteration.lake()):
    """As that of the files, which is slower."""
    return law[s][a][int(3 * rng.random())][1:]


def surrogate_by_counting(theta, old, steps, A, epsilon):
    """As that of the file, which is slower."""
    s, a = np.array([step[:2] for step in steps]).T
    batch = collapse(counts.steps(s, a, np.array([0, len(A)]), theta.shape), np.array(A))
    loss, grad = ppo.ppo_loss(theta, old, batch, clip_range=epsilon)
    return -loss, -grad


@pytest.mark.slow
@pytest.mark.parametrize("name, batch, quicker", [
    ("reinforce", 100, {}), ("actor_critic", 50, {}),
    ("ppo", 50, {"surrogate": surrogate_by_counting})])
def test_a_policy_learns_to_cross_the_lake(name, batch, quicker):
    """Asked before the first batch and after the last."""
    quicker = {**quicker, "lake": lake_by_table}
    first, last = map(numbers, run_changed(name, {"% 20 == 0": "% 60 == 0", **{
        f"def {name}(": "def other(" for name in quicker}}, **quicker))
    assert (first[0], last[0], first[3], last[3]) == (0, 60 * batch, *[round(BEST, 3)] * 2)
    assert first[1] < 0.04 < 0.45 < last[1] < BEST + 4 * last[2]


def test_counting_beats_chance_and_writes_words_of_its_letters():
    first, second = printed("language_model")
    counted, chance = numbers(first)
    assert counted < 1 < chance == round(np.log(5), 3)
    assert set(second.split(":")[1]) <= set(" enot") and len(second.split(":")[1].split()) == 10


def test_a_reward_model_fits_better_than_the_truth_and_finds_the_three_bad_words():
    first, second = printed("reward_model")
    before, after, truth = numbers(first.replace("->", " "))
    assert after < truth < before == 0.693
    assert set(second.split()[-3:]) == {"noon", "neon", "eon"}


def test_the_best_of_n_is_what_its_law_says_and_not_further_than_its_bound():
    first, *rows = (numbers(line) for line in printed("best_of_n"))
    assert first == [1, 0.7] and [row[0] for row in rows] == [2, 4, 8, 16]
    for _, mean, exact, distance, bound in rows:
        assert abs(mean - exact) < 0.1 and 0 < distance < bound


def run_dpo(pairs=1000, **changes):
    """The file with the loss of the book, which is faster, along so many pairs."""
    matrices = {}

    def loss(theta, ref, pairs, beta):
        if not matrices:
            y_w, y_l = zip(*pairs)
            matrices["D"] = counts.difference_matrix(as_steps(y_w, 5), as_steps(y_l, 5))
        return dpo.dpo_loss(theta, ref, matrices["D"], beta=beta)

    return run_changed("dpo", {"range(1000)": f"range({pairs})", "def loss(": "def other(",
                               **changes}, loss=loss)


@pytest.mark.parametrize("run, least", [(lambda: printed("rlhf"), 0.95), (run_dpo, 0.8)])
def test_what_is_aligned_comes_near_the_optimum(run, least):
    rows = [numbers(line)[-2:] for line in run() if "at most" in line]
    assert len({best for _, best in rows}) == 1
    (first, best), (last, _) = rows[0], rows[-1]
    assert least < (last - first) / (best - first) < 1


@pytest.mark.slow
def test_more_pairs_bring_dpo_nearer_and_more_steps_do_not():
    """The last lines of `dpo`."""
    *_, last, words = run_dpo()
    for pairs, J in (8000, numbers(words)[-1]), (1000, numbers(last)[-2]):
        rows = run_dpo(pairs, **{"range(21)": "range(51)", "% 5 == 0": "% 50 == 0"})
        assert numbers(rows[1])[-2] == J


@pytest.mark.slow
def test_grpo_learns_to_write_words():
    share = [numbers(line)[1] for line in printed("grpo")]
    assert share[0] < 30 and share[-1] > 95


# Worlds.


class Given:
    """In place of a Generator: numbers that were drawn before."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def random(self):
        return self.numbers.pop(0)


def test_the_lake_and_the_cliff_of_the_plain_files_are_those_of_the_maps():
    lake, law = frozen_lake().mdp(gamma=0.99), plain_value_iteration.lake()
    for s, a, k in np.ndindex(lake.next_state.shape):
        if "SFFFFHFHFFFHHFFG"[s] in "SF":
            expected = lake.next_state[s, a, k], lake.reward[s, a, k], lake.terminated[s, a, k]
            for name in "episode", "reinforce", "actor_critic", "ppo":
                step = importlib.import_module(f"minirl.plain.{name}").lake
                assert step(s, a, Given((k + 0.5) / 3)) == expected
            assert law[s][a][k] == (pytest.approx(lake.prob[s, a, k]), *expected)
    cliff = cliff_walk().mdp(gamma=1.0)
    for s, a in np.ndindex(37, 4):  # the rest are the cliff and the goal
        assert plain_q_learning.cliff(s, a, None) == (
            cliff.next_state[s, a, 0], cliff.reward[s, a, 0], cliff.terminated[s, a, 0])


def world(seed, gamma=0.9, S=4, A=3, K=4):
    """A random world in which every episode begins in state 0."""
    return replace(random_mdp(np.random.default_rng(seed), S, A, K, gamma), start=np.eye(S)[0])


def law_of(mdp):
    """`law[s][a]`, as the plain form wants it."""
    S, A, K = mdp.prob.shape
    return [[[(mdp.prob[s, a, k], mdp.next_state[s, a, k], mdp.reward[s, a, k],
               mdp.terminated[s, a, k]) for k in range(K)] for a in range(A)] for s in range(S)]


def step_of(mdp):
    """`step(s, a, rng)`, as the plain form wants it."""
    def step(s, a, rng):
        after, r, terminal = playing.move(mdp, np.array([s]), np.array([a]),
                                          np.array([rng.random()]))
        return int(after[0]), float(r[0]), bool(terminal[0])
    return step


@pytest.mark.parametrize("seed", range(3))
def test_value_iteration_equals_planning(seed):
    mdp = world(seed)
    V, action = plain_value_iteration.value_iteration(law_of(mdp), 0.9, tol=1e-14)
    found = planning.value_iteration(mdp, tol=1e-13)
    assert_equal(V, found.values)
    assert action == found.policy.argmax(axis=1).tolist()


def test_value_iteration_settles_where_all_values_fall_and_takes_the_first_of_equal_actions():
    """Nothing but costs; and each action is there a second time, behind the others."""
    mdp = world(0)
    mdp = replace(mdp, reward=-1 - np.abs(mdp.reward))
    twice = [actions * 2 for actions in law_of(mdp)]
    V, action = plain_value_iteration.value_iteration(twice, 0.9, tol=1e-14)
    found = planning.value_iteration(mdp, tol=1e-13)
    assert_equal(V, found.values)
    assert action == found.policy.argmax(axis=1).tolist()


def test_an_episode_equals_a_rollout_where_nothing_is_left_to_chance():
    """To the end, and cut in the middle."""
    mdp = single_outcome([[1, 2], [3, 0], [0, 1], [2, 3]], [[1, 2], [3, 4], [5, 6], [7, 8]],
                         [[False, False], [False, True], [True, False], [False, False]],
                         [1, 0, 0, 0])
    action = np.array([0, 0, 0, 0])
    for horizon in 2, 9:
        found = plain_episode.episode(step_of(mdp), lambda s, rng: action[s],
                                      np.random.default_rng(0), horizon)
        batch = playing.rollout(mdp, np.eye(2)[action], np.zeros(1, int), horizon=horizon, rng=0)
        assert [found] == episodes_of(batch) and len(found) == min(horizon, 4)


def test_returns_are_the_reward_to_go():
    rewards = np.random.default_rng(0).normal(size=9)
    assert_equal(plain_episode.returns(rewards.tolist(), 0.9),
                 returns.reward_to_go(rewards, np.array([0, 9]), gamma=0.9))


@pytest.mark.parametrize("seed", range(3))
def test_actions_are_drawn_from_the_same_numbers_as_in_the_book(seed):
    """By (sampling.1), in the files that play and in those that write."""
    rng, mdp = np.random.default_rng(seed), world(seed)
    pi = rng.dirichlet(np.ones(3), 4)
    luck = rng.random(400)
    found = plain_ppo.play(step_of(mdp), pi, Given(*luck), horizon=200)
    for file in plain_reinforce, plain_actor_critic:
        assert file.play(step_of(mdp), pi, Given(*luck), horizon=200) == found
        assert file.play(step_of(mdp), pi, Given(*luck), horizon=1) == found[:1]
    written = plain_grpo.write(pi[:3], Given(*luck), longest=20)
    for write in language_model.sample, plain_dpo.write, plain_rlhf.write:
        assert write(pi[:3], Given(*luck), longest=20) == written
    for n, (s, a, *_) in enumerate(found):
        assert a == draw(thresholds(pi[s])[:, None], luck[2 * n])
    assert [terminal for *_, terminal in found].index(True) == len(found) - 1 < 199
    for u, (s, a) in zip(luck, written):
        assert a == draw(thresholds(pi[s])[:, None], u)
    assert [s for s, _ in written] == [0, *(a for _, a in written)][:-1]
    assert (written[-1][1] == 0) == (len(written) < 20) and all(a for _, a in written[:-1])


# Learning from play.


class Luck:
    """The numbers of the book's learners, as the loops of the plain ones ask for them.

    Row t is drawn for step t: a number for the action, one for the outcome, one for a new start,
    and one that decides on the next action (SARSA) or on the table (double Q-learning).
    """

    def __init__(self, drawn, epsilon, last_of_a_row):
        self.drawn, self.epsilon, self.more = drawn, epsilon, last_of_a_row
        self.t, self.waiting = 0, [(drawn[0, 0], epsilon)]

    def random(self):
        """A number that will be compared with another one, such as ε."""
        self.last, self.split = self.waiting.pop(0)
        return self.last

    def choice(self, options):
        """By what is left of a number when it is known on which side it is."""
        options = list(range(options)) if isinstance(options, int) else options
        low, high = (0, self.split) if self.last < self.split else (self.split, 1)
        return options[int((self.last - low) / (high - low) * len(options))]

    def outcome(self):
        row, following = self.drawn[self.t], self.drawn[(self.t + 1) % len(self.drawn)]
        self.t += 1
        self.waiting = [(row[3], split) for split in self.more] + [(following[0], self.epsilon)]
        return row[1]


@pytest.mark.parametrize("first", ["scattered", "tied"])
@pytest.mark.parametrize("name, tables, more", [("q_learning", 1, []), ("sarsa", 1, [0.4]),
                                                ("expected_sarsa", 1, []),
                                                ("double_q_learning", 2, [0.5])])
def test_learners_of_values_equal_the_book_from_the_same_numbers(name, tables, more, first):
    """(q_learning.1) to (q_learning.5)"""
    mdp, T = world(1), 500
    Q = np.random.default_rng(0).normal(size=(tables, *mdp.shape)) * (first == "scattered")
    record = q_learning.learners(mdp, rng=5, tables=tables)
    record = record._replace(tables=Q[:, None].copy())
    learner = getattr(q_learning, name)(mdp, record, learning_rate=0.3, decay=0.0, horizon=T + 1,
                                        exploration=epsilon_greedy(0.4), steps_per_iteration=T)
    luck = Luck(generator(record.rng[0]).random((T, 4)), 0.4, more)

    def step(s, a, rng):
        return step_of(mdp)(s, a, Given(rng.outcome()))

    getattr(plain_q_learning, name)(Q if tables == 2 else Q[0], step, 0, T, alpha=0.3, gamma=0.9,
                                    epsilon=0.4, rng=luck)
    assert luck.t == T
    assert_equal(Q, next(learner).tables[:, 0])


@pytest.mark.parametrize("name, tables", [("q_learning", ()), ("sarsa", ()),
                                          ("expected_sarsa", ()), ("double_q_learning", (2,))])
def test_learners_of_values_begin_every_episode_in_the_given_state(name, tables):
    walked = []

    def step(s, a, rng):
        walked.append(s)
        return (s + 1) % 4, 1.0, s == 3

    getattr(plain_q_learning, name)(np.zeros((*tables, 4, 2)), step, 2, 6, alpha=0.3, gamma=0.9,
                                    epsilon=0.4, rng=generator(0))
    assert walked == [2, 3, 2, 3, 2, 3]


def iteration(trainer, mdp, record, episodes, horizon=6, **arguments):
    """The episodes that an iteration of a trainer plays, and the record after it."""
    batch = play(mdp, record, rewards=environment_rewards, episodes=episodes,
                 horizon=horizon).rollout
    after = next(trainer(mdp, record, episodes=episodes, horizon=horizon, learning_rate=0.3,
                         optimiser=gradient_descent(), **arguments))
    assert not np.allclose(after.logits, record.logits, atol=1e-3)
    return batch, after


@pytest.mark.parametrize("episodes", [1, 30])
@pytest.mark.parametrize("name, options, plain", [
    ("reinforce", {"keep_discount": True}, {}),
    ("actor_critic", {"gae_lambda": 0.8, "value_lambda": 0.8, "ent_coef": 0.1},
     {"lam": 0.8, "beta": 0.1}),
    ("ppo", {"gae_lambda": 0.8, "n_epochs": 4, "clip_range": 0.02, "ent_coef": 0.0},
     {"lam": 0.8, "epsilon": 0.02, "epochs": 4})])
def test_an_iteration_of_a_learner_equals_the_book(name, options, plain, episodes):
    """(actor_critic.1), and those of REINFORCE and PPO"""
    mdp, record = world(2), random_record(world(2))
    batch, after = iteration(getattr(importlib.import_module(f"minirl.play.{name}"), name), mdp,
                             record, episodes, value_rate=0.4, **options)
    assert episodes == 1 or batch.truncated.any() and batch.terminated.any()
    assert episodes == 1 or name != "ppo" or 0 < after.metrics["policy/clipfrac"] < 1
    learner = getattr(importlib.import_module(f"minirl.plain.{name}"), name)
    theta, V = learner(record.logits, record.values, episodes_of(batch), gamma=0.9, alpha=0.3,
                       rate=0.4, **plain)
    assert_equal(theta, after.logits)
    assert_equal(V, after.values)


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_advantages_equal_the_book_after_an_end_and_after_a_cut(lam):
    """(returns.2) and (returns.3)"""
    mdp = world(3)
    record = random_record(mdp)
    batch = playing.rollout(mdp, np.exp(log_softmax(record.logits)), np.zeros(30, int), horizon=4,
                            rng=0)
    assert batch.truncated.any() and batch.terminated.any()
    expected, _ = returns.gae(batch.rewards, batch, record.values, gamma=0.9, gae_lambda=lam)
    for plain in plain_actor_critic, plain_ppo:
        found = [plain.advantages(episode, record.values, 0.9, lam)
                 for episode in episodes_of(batch)]
        assert_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_surrogate_of_ppo_equals_the_book(seed):
    """(ppo.1) = (ppo.2)"""
    steps, A, logits, old = random_batch(seed)
    pairs = [pair for string in strings_of(steps) for pair in string]
    L, grad = plain_ppo.surrogate(logits, old, pairs, A.tolist(), 0.1)
    loss, slope = ppo.ppo_loss(logits, old, collapse(steps, A), clip_range=0.1)
    assert_equal(L, -loss)
    assert_equal(grad, -slope)


# Learning from people.


def test_a_language_model_counts_scores_and_is_scored_as_the_book_does():
    words, letters = ["one", "no", "", "noon"], Vocabulary("eno")
    strings = [language_model.steps(word, ".eno") for word in words]
    encoded = letters.encode(words)
    assert strings == strings_of(encoded)
    C = language_model.count(strings, 4, pseudo_count=0.5)
    assert_equal(C, counts.table(encoded) + 0.5)
    assert_equal(language_model.count(strings, 4), counts.table(encoded))
    logits = np.random.default_rng(0).normal(size=(4, 4))
    pi = np.exp(log_softmax(logits))
    assert_equal([language_model.score(pi, y) for y in strings], ngram.score(logits, encoded))
    loss, grad = language_model.cross_entropy(logits, strings)
    expected = sft.sft_loss(logits, counts.table(encoded))
    assert_equal(loss, expected[0])
    assert_equal(grad, expected[1])


def preferences(seed):
    """Two tables of logits, pairs of strings as lists, and the same pairs as a matrix."""
    rng = np.random.default_rng(seed)
    strings = all_strings(2, 3)
    y_w, y_l = ([strings[i] for i in rng.integers(len(strings), size=40)] for _ in range(2))
    D = counts.difference_matrix(as_steps(y_w, 3), as_steps(y_l, 3))
    return *rng.normal(size=(2, 3, 3)), list(zip(y_w, y_l)), D


@pytest.mark.parametrize("seed", range(3))
def test_the_losses_of_preferences_equal_the_book(seed):
    """(reward_model.1), (reward_model.2), (dpo.2) and (dpo.3), pitfalls 10 and 11: sums over
    strings of unequal lengths"""
    logits, ref, pairs, D = preferences(seed)
    for found, expected in (
            (plain_reward_model.loss(logits, pairs), reward_model.bradley_terry_loss(logits, D)),
            (plain_dpo.loss(logits, ref, pairs, 0.7), dpo.dpo_loss(logits, ref, D, beta=0.7))):
        assert_equal(found[0], expected[0])
        assert_equal(found[1], expected[1])


def dpo_at_a_double_price(w, pairs):
    """The same margins from half the logits, so that no probability is zero."""
    loss, grad = plain_dpo.loss(w / 2, 0 * w, pairs, 2.0)
    return loss, grad / 2


@pytest.mark.parametrize("plain", [plain_reward_model.loss, dpo_at_a_double_price])
def test_the_plain_losses_of_preferences_stand_huge_margins(plain):
    """A sure choice costs nothing, and the wrong one its margin."""
    right, wrong = [(0, 1)], [(0, 2)]
    w = np.array([[0.0, 500.0, -500.0]])
    loss, grad = plain(w, [(right, wrong)])
    assert loss < 1e-200 and np.abs(grad).max() < 1e-200
    loss, grad = plain(w, [(wrong, right)])
    assert_equal(loss, 1000)
    assert_equal(grad, [[0, 1, -1]])


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_best_of_n_and_its_law_equal_the_book(n):
    rng = np.random.default_rng(n)
    pi, r = rng.dirichlet(np.ones(6)), np.array([1.0, 0.0, 2.0, 1.0, 2.0, 5.0])
    P = plain_best_of_n.law(pi.tolist(), r.tolist(), n)
    levels = np.unique(r)
    law = RewardLaw(levels, np.array([pi[r == level].sum() for level in levels]), 0.0,
                    np.zeros((0, levels.size)))
    found = best.best_of_n(law, n)
    assert_equal([np.sum(np.array(P)[r == level]) for level in levels], found.prob)
    assert_equal([np.dot(P, r), plain_best_of_n.kl(P, pi)], [found.reward, found.kl])
    assert plain_best_of_n.kl([0.0, 1.0], [0.5, 0.5]) == np.log(2)

    drawn = rng.integers(6, size=20 * n)
    steps = counts.steps(np.zeros(20 * n, int), drawn, np.arange(20 * n + 1), (1, 6))
    following = iter(drawn.tolist())
    plain = [plain_best_of_n.best_of_n(lambda: next(following), lambda y: r[y], n)
             for _ in range(20)]
    assert plain == best.winners(steps, r[drawn], n).index.tolist()


def language(seed):
    """A world of strings that end, a policy in it, and a reference."""
    logits, ref, r = 0.5 * np.random.default_rng(seed).normal(size=(3, 4, 4))
    mdp = ngram.language(-np.abs(r))
    return mdp, random_record(mdp)._replace(logits=logits), ref


@pytest.mark.parametrize("strings", [1, 50])
def test_an_iteration_of_rlhf_equals_the_book(strings):
    """(rlhf.1)"""
    mdp, record, ref = language(1)
    batch, after = iteration(rlhf.rlhf, mdp, record, strings, 1000, reward_table=mdp.mean_reward,
                             ref_logits=ref, beta=0.5, gae_lambda=1.0, n_epochs=4, clip_range=0.03,
                             value_rate=0.4, normalize_advantage=False)
    assert strings == 1 or 0 < after.metrics["policy/clipfrac"] < 1
    assert not batch.truncated.any()
    theta, V = plain_rlhf.rlhf(record.logits, record.values, strings_of(batch.steps(mdp.shape)),
                               mdp.mean_reward, np.exp(log_softmax(ref)), beta=0.5, epsilon=0.03,
                               epochs=4, alpha=0.3, rate=0.4)
    assert_equal(theta, after.logits)
    assert_equal(V, after.values)


def test_the_objective_that_is_printed_is_that_of_the_book():
    mdp, record, ref = language(2)
    logp, ref_logp = log_softmax(record.logits), log_softmax(ref)
    J = expectation(mdp, np.exp(logp), mdp.mean_reward - 0.5 * (logp - ref_logp))
    optimum = regularised_optimum(mdp, ref, beta=0.5)
    for plain in plain_rlhf, plain_dpo:
        for policy, value in (np.exp(logp), J), (optimum.policy, optimum.objective):
            found = plain.objective(policy, mdp.mean_reward, np.exp(ref_logp), 0.5)
            assert abs(found - value) < 1e-12 * max(1, abs(value))


def test_the_advantages_of_a_group_equal_the_book():
    r = np.random.default_rng(0).normal(size=(5, 4))
    r[2] = 0.1
    batch = playing.rollout(world(0), np.eye(3)[[0] * 4], np.zeros(20, int), horizon=1, rng=0)
    expected = groups.group_normalised(r.ravel(), batch, 4)
    assert_equal(np.concatenate([plain_grpo.advantages(group.tolist()) for group in r]), expected)


def test_an_iteration_of_grpo_equals_the_book():
    """(grpo.1); some strings are cut"""
    mdp, record, ref = language(3)
    batch = play(mdp, record, rewards=environment_rewards, episodes=24, horizon=6,
                 num_generations=4).rollout
    assert batch.truncated.any() and not batch.truncated.all()
    after = next(grpo.grpo(mdp, record, ref_logits=ref, beta=0.2, num_generations=4, episodes=24,
                           horizon=6, num_iterations=3, epsilon=0.02, learning_rate=0.3,
                           optimiser=gradient_descent()))
    assert 0 < after.metrics["policy/clipfrac"] < 1
    strings, theta = strings_of(batch.steps(mdp.shape)), record.logits
    rewards = batch.totals(batch.rewards).reshape(-1, 4)
    A = [A_i for group in rewards for A_i in plain_grpo.advantages(group.tolist())]
    for _ in range(3):
        J, grad = plain_grpo.objective(theta, record.logits, ref, strings, A, epsilon=0.02,
                                       beta=0.2)
        tables = groups.weighted(batch.steps(mdp.shape), np.array(A), groups.per_string(batch))
        loss, _ = grpo.grpo_loss(theta, record.logits, tables, ref_logits=ref, beta=0.2,
                                 epsilon=0.02)
        assert_equal(J, -loss)
        theta = theta + 0.3 * grad
    assert_equal(theta, after.logits)


def test_a_file_runs_by_its_name_without_a_warning():
    """The contents page imports nothing, or Python would complain that the file is there twice."""
    done = subprocess.run([sys.executable, "-W", "error", "-m", "minirl.plain.value_iteration"],
                          capture_output=True, encoding="utf-8", timeout=60,
                          env=os.environ | {"PYTHONUTF8": "1"},
                          cwd=PLAIN.parents[1])
    assert done.returncode == 0 and done.stderr == "" and "0.5420" in done.stdout
