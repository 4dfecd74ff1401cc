"""Tables with zeros: every public function that takes a table takes one with logits of −∞, with
rows of one action and with logits of ±1e4, without NaN and without a warning.

A probability of zero is what it is in the limit: 0 log 0 and 0 log (0/0) are 0, and a KL to a table
without support is +∞.
"""

import importlib
import inspect
import os
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest
from refusals import same
from test_house import CHAPTERS
from test_trainers import leaves
from worlds import random_mdp

from minirl.beyond.search import viterbi
from minirl.beyond.tree_search import uct
from minirl.beyond.harvest import begin
from minirl.exact.planning import policy_iteration
from minirl.kernel import counts
from minirl.kernel.gradcheck import by_complex_step
from minirl.kernel.environment import playable
from minirl.kernel.mdp import TabularMDP, coin_game, unroll
from minirl.kernel.playing import rollout, steps_played
from minirl.kernel.softmax import entropy_loss, log_softmax, product
from minirl.people.dpo import logistic
from minirl.people.distillation import distillation_loss, string_distillation_loss
from minirl.people.grpo import grpo_loss, resting_policy
from minirl.people.kl import k3, k3_loss, kl_loss, string_kl
from minirl.people.pairs import Pairs
from minirl.people.ratios import cispo, weighted_strings
from minirl.people.sft import fit_by_counting, sft_loss
from minirl.play.exploration import epsilon_greedy
from minirl.play.many_learners import value_of_best
from minirl.play.optim import adam
from minirl.play.ppo import ppo_loss
from minirl.play.ppo_kl import ppo_kl_loss
from minirl.play.prediction import predictors
from minirl.play.q_learning import learners
from minirl.play.reinforce import reinforce_loss
from minirl.play.surrogate import (Advantages, approximate_kl, collapse, mean_kl, ratios,
                                   step_ratios)
from minirl.play.training import environment_rewards, play, start

INF = np.inf
SURE, FAIR, OTHER = (np.array([row]) for row in ([0.0, -INF], [0.0, 0.0], [-INF, 0.0]))

# What a zero is worth, by hand: a loss, and its gradient.


ONE = np.ones(1)
TOOK = np.array([[1.0, 0.0]])
BATCH = collapse(counts.steps(*np.zeros((2, 3), int), np.array([0, 3]), (1, 2)),
                 np.array([1.0, 1.0, -0.5]), counted=True)
NATS = np.log(2)
TOSS = unroll(coin_game(), 1)
VALUES = {
    "a KL is that of what is done": (lambda: kl_loss(SURE, FAIR, ONE), NATS, [0, 0]),
    "and 0 log 0/0 is 0": (lambda: kl_loss(SURE, SURE, ONE), 0, [0, 0]),
    "without support it is infinite": (lambda: kl_loss(FAIR, SURE, ONE), INF, [0, 0]),
    "where nobody goes it is not asked": (lambda: kl_loss(FAIR, SURE, 0 * ONE), 0, [0, 0]),
    "a KL of strings": (lambda: string_kl(TOSS, SURE, FAIR), NATS, [0, 0]),
    "of strings, to itself": (lambda: string_kl(TOSS, SURE, SURE), 0, [0, 0]),
    "of strings, without support": (lambda: string_kl(TOSS, FAIR, SURE), INF, [0, 0]),
    "a teacher, forward": (lambda: distillation_loss(SURE, SURE, ONE, beta=0), 0, [0, 0]),
    "one who does less": (lambda: distillation_loss(FAIR, SURE, ONE, beta=0), NATS, [-0.5, 0.5]),
    "one who does more": (lambda: distillation_loss(SURE, FAIR, ONE, beta=0), INF, [0, 0]),
    "in reverse": (lambda: distillation_loss(SURE, FAIR, ONE, beta=1), NATS, [0, 0]),
    "without support": (lambda: distillation_loss(FAIR, SURE, ONE, beta=1), INF, [0, 0]),
    "where nobody goes": (lambda: distillation_loss(FAIR, SURE, 0 * ONE, beta=1), 0, [0, 0]),
    "in the middle": (lambda: distillation_loss(SURE, OTHER, ONE), NATS, [0, 0]),
    "strings of a teacher": (lambda: string_distillation_loss(FAIR, TOSS, SURE), INF, [0, 0]),
    "k3 of what was done": (lambda: k3_loss(SURE, FAIR, TOOK), 0.5 + NATS - 1, [0, 0]),
    "k3 of what π never does": (lambda: k3_loss(SURE, FAIR, np.ones((1, 2))), INF, [0, 0]),
    "k3 of what the reference never does": (lambda: k3_loss(FAIR, SURE, 1 - TOOK), INF, [0, 0]),
    "imitation at its minimum": (lambda: sft_loss(fit_by_counting(
        [[3, 1, 0]], pseudo_count=0), [[3, 1, 0]]), 2 * NATS - 0.75 * np.log(3), [0, 0, 0]),
    "imitation of what is never done": (lambda: sft_loss(SURE, 1 - TOOK), INF, [0, 0]),
    "reinforcement": (lambda: reinforce_loss(SURE, 3 * TOOK, episodes=1), 0, [0, 0]),
    "a surrogate": (lambda: ppo_loss(SURE, SURE, BATCH), -0.5, [0, 0]),
    "a surrogate with a price": (lambda: ppo_kl_loss(SURE, SURE, BATCH, kl_coef=1.0), -0.5, [0, 0]),
    "that KL without support": (lambda: ppo_kl_loss(SURE, FAIR, BATCH, kl_coef=1.0), INF, [0, 0]),
    "and without a price": (lambda: ppo_kl_loss(SURE, FAIR, BATCH, kl_coef=0.0), -1, [0, 0]),
    "GRPO, to itself": (lambda: grpo_loss(SURE, SURE, BATCH, ref_logits=SURE, beta=1.0), -1.5,
                        [0, 0]),
    "GRPO, without support": (lambda: grpo_loss(SURE, SURE, BATCH, ref_logits=OTHER, beta=1.0),
                              INF, [0, 0]),
    "GRPO, without a price": (lambda: grpo_loss(SURE, SURE, BATCH, ref_logits=OTHER, beta=0.0),
                              -1.5, [0, 0]),
    "entropy": (lambda: entropy_loss(SURE, ONE), 0, [0, 0])}


@pytest.mark.parametrize("name", VALUES)
def test_the_value_of_a_zero(name):
    """Where a loss is infinite, what makes it so has no gradient."""
    call, loss, grad = VALUES[name]
    found, slope = call()
    assert found == pytest.approx(loss, abs=1e-12)
    np.testing.assert_allclose(slope, [grad], atol=1e-12)


def test_the_rows_of_a_finite_kl_keep_their_gradient_beside_an_infinite_one():
    logits, ref = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, -INF]])
    loss, grad = kl_loss(logits, ref, np.ones(2))
    assert loss == INF and not grad[1].any()
    np.testing.assert_array_equal(grad[:1], kl_loss(logits[:1], ref[:1], ONE)[1])


def test_estimates_and_distances_of_policies_with_zeros():
    assert mean_kl(SURE, FAIR, ONE) == INF and mean_kl(FAIR, SURE, ONE) == pytest.approx(NATS)
    assert mean_kl(np.append(SURE, FAIR, 0), np.append(FAIR, FAIR, 0), np.array([0, 3])) == 0
    assert approximate_kl(FAIR, SURE, TOOK) == pytest.approx(NATS - 0.5)
    assert approximate_kl(SURE, FAIR, np.ones((1, 2))) == INF
    assert product(np.array([0, 2.0, 1]), np.array([-INF, 3, INF])).tolist() == [0, 6, INF]
    one = counts.steps([0, 0], [0, 1], [0, 2], (1, 2))
    assert step_ratios(FAIR, SURE, one).tolist() == [0.5, 1]
    assert ratios(np.log([[0.5, 0.5]]), log_softmax(SURE)).tolist() == [[0.5, 1]]
    assert k3(np.array([INF, -INF])).tolist() == [INF, INF]
    assert (k3(np.array([699.0, 701, 1e5, 1e305, -1e305])) > 1e300).all()


LOSSES = {  # of three tables, the counts of a batch, and the batch
    "entropy": lambda x, ref, old, N, batch: entropy_loss(x, N.sum(axis=1)),
    "kl": lambda x, ref, old, N, batch: kl_loss(x, ref, N.sum(axis=1)),
    "k3": lambda x, ref, old, N, batch: k3_loss(x, ref, N),
    "distillation": lambda x, ref, old, N, batch: distillation_loss(x, ref, N.sum(axis=1)),
    "sft": lambda x, ref, old, N, batch: sft_loss(x, N),
    "reinforce": lambda x, ref, old, N, batch: reinforce_loss(x, batch.losses, episodes=3),
    "ppo": lambda x, ref, old, N, batch: ppo_loss(x, old, batch),
    "ppo_kl": lambda x, ref, old, N, batch: ppo_kl_loss(x, old, batch, kl_coef=0.7),
    "grpo": lambda x, ref, old, N, batch: grpo_loss(x, old, batch, ref_logits=ref, beta=0.3),
    "rest": lambda x, ref, old, N, batch: (0.0, np.exp(resting_policy(
        bandit(N), ref, beta=1.0, num_generations=4)))}


def bandit(pays):
    """Every action ends the episode, and pays this."""
    shape = (*pays.shape, 1)
    return TabularMDP(np.zeros(shape, int), np.ones(shape), pays[:, :, None], np.full(shape, True),
                      np.full(len(pays), 1 / len(pays)), 1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_an_action_at_minus_infinity_is_as_good_as_none(name):
    """The same loss without its column, and the same gradient; that of the column is zero."""
    rng = np.random.default_rng(4)
    x, ref, old = rng.normal(size=(3, 4, 3))
    N = rng.integers(0, 5, (4, 3)) + 1.0
    batch = Advantages(N * rng.random((4, 3)), -N * rng.random((4, 3)), N.sum(), N)
    loss, grad = LOSSES[name](x, ref, old, N, batch)

    def wider(table, value=0.0):
        return np.insert(table, 1, value, axis=1)

    wide = batch._replace(gains=wider(batch.gains), losses=wider(batch.losses), counts=wider(N))
    found, slope = LOSSES[name](*(wider(table, -INF) for table in (x, ref, old)), wider(N), wide)
    assert found == pytest.approx(loss, rel=1e-14, abs=1e-14)
    np.testing.assert_allclose(slope, wider(grad), rtol=1e-12, atol=1e-15)


# All public functions of a table.


def masked_world(seed, S=4, A=3):
    """A random world in which some actions are not available, and in state 1 only the last is."""
    mdp, rng = random_mdp(np.random.default_rng(seed), S, A, 2, 0.9), np.random.default_rng(seed)
    available = rng.random((S, A)) < 0.7
    available[:, -1] = available[0] = True
    available[1:2, :-1] = False
    return replace(mdp, reward=rng.integers(0, 3, mdp.reward.shape), available=available)


def moderate(rng, shape):
    return rng.normal(size=shape)


def extreme(rng, shape):
    return 1e4 * np.sign(rng.normal(size=shape))


def with_zeros(rng, shape):
    """A table with zeros of its own, none of them in the last action."""
    zeros = rng.random(shape) < 0.4
    zeros[:, -1] = False
    return np.where(zeros, -INF, rng.normal(size=shape))


KINDS = {  # a world, and how its tables are made: the policy, the reference and the old policy
    "masked": (masked_world(1), (moderate, moderate, moderate)),
    "extreme": (masked_world(2), (extreme, extreme, extreme)),
    "extreme beside moderate": (masked_world(3), (extreme, moderate, extreme)),
    "one action": (masked_world(4, A=1), (moderate, moderate, moderate)),
    "one state": (masked_world(5, S=1), (extreme, extreme, moderate)),
    "zeros of their own": (masked_world(6), (with_zeros, with_zeros, moderate)),
    "zeros of the policy": (masked_world(7), (with_zeros, moderate, moderate)),
    "zeros and extremes": (masked_world(8), (extreme, with_zeros, with_zeros))}
LOGITS = "logits", "ref_logits", "old_logits", "teacher_logits"
TABLES = {*LOGITS, "mdp", "world", "logp", "old_logp", "other_logp", "policy", "record",
          "action_values", "counts"}
# Given to the trainers in place of what they take by default: small batches, and a bonus.
SMALL = {"episodes", "horizon", "num_generations", "steps_per_iteration", "ent_coef"}


def public(wanted):
    """The public functions with such an argument, by chapter.name."""
    modules = [importlib.import_module(f"minirl.{chapter}") for chapter in CHAPTERS
               if not chapter.startswith("plain.")]
    return {f"{module.__name__.split('.')[-1]}.{name}": function for module in modules
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if function.__module__ == module.__name__ and not name.startswith("_")
            and wanted & set(inspect.signature(function).parameters)}


def given(kind):
    """A value for each argument, by its name, and for some functions of their own."""
    world, makers = KINDS[kind]
    rng, (S, A) = np.random.default_rng(3), world.shape
    logits, ref, old = (world.masked(make(rng, world.shape)) for make in makers)
    logp, ref_logp, old_logp = map(log_softmax, (logits, ref, old))
    policy, solved, record = np.exp(logp), policy_iteration(world), start(logits, rng=0)
    pairs = Pairs(*(steps_played(world, np.exp(ref_logp), np.zeros(8, int), horizon=4, rng=i)
                    for i in range(2)))
    means, matrices = (dict(zip(("chosen", "rejected"), two))
                       for two in (pairs.means, pairs.counts))
    own = play(world, record, rewards=environment_rewards, episodes=16, horizon=4)
    episodes = rollout(world, np.exp(old_logp), np.zeros(16, int), horizon=4, rng=0)
    steps = episodes.steps(world.shape)
    table, judged = counts.table(steps), rng.normal(size=steps.index.size)
    # From state to state, one outcome each, to an end; nothing pays.
    ends = np.arange(S)[:, None, None] + np.zeros((S, A, 1)) == S - 1
    chain = replace(world, next_state=np.where(ends, 0, np.arange(1, S + 1)[:, None, None]),
                    prob=np.ones(ends.shape), reward=-1.0 - ends, terminated=ends, gamma=1.0)
    by_name = {
        "mdp": world, "world": world, "logits": logits, "ref_logits": ref, "old_logits": old,
        "teacher_logits": ref, "teacher_logp": ref_logp,
        "logp": logp,
        "other_logp": ref_logp, "old_logp": old_logp, "policy": policy, "record": record,
        "action_values": solved.action_values, "values": solved.values, "optimum": solved,
        "pairs": pairs, "difference": pairs.difference, "steps": steps, "advantages": judged,
        "batch": collapse(steps, judged, counted=True), "rollout": episodes, "number": table,
        "table": table, "weights": table, "reward_table": table, "counts": table,
        "visits": table.sum(axis=1),
        "states": np.zeros(5, int), "starts": np.zeros(5, int), "numbers": rng.random(5),
        "rewards": environment_rewards,
        "beta": 0.5, "betas": [0.5, 2.0], "kl_coef": 0.5, "ent_coef": 0.3, "pull": 1.0, "z0": 0.1,
        "simpo_gamma": 1.0, "start": logits, "pseudo_count": 0.0, "label_smoothing": 0.1,
        "target_kl": 0.1, "kl_horizon": 100, "rng": 0, "num_generations": 4, "ptx_coef": 0.3,
        "episodes": 16, "horizon": 4, "steps_per_iteration": 8,
        "gate": cispo, "critic": np.where(logits == -INF, 0, logits), "joint": table,
        "state": 0, "width": 2, "longest": 3, "endings": viterbi(chain, logits), "choose": uct()}
    judging = {"credits": own.rewards, "batch": own.rollout, "ended": np.zeros(own.episodes),
               "scale": np.ones(own.rewards.size)}
    by_function = {
        "softmax.backward": {"G": table}, "softmax.difference": {"used": policy > 0},
        "softmax.entropy_loss": {"weights": table.sum(axis=1)},
        "playing.step": {"actions": np.full(5, A - 1)},
        "playing.move": {"actions": np.full(5, A - 1)},
        "gains.gains": {"states": np.full(S, True)}, "planning.optimum_of": {"rounds": 1},
        "gains.gains_from_zero": {"states": np.full(S, True)},
        **dict.fromkeys(("regularised.log_partition", "regularised.critical_beta",
                         "return_law.reward_law", "grpo.resting_policy"), {"mdp": chain}),
        "training.policy_step": {"grad": table, "state": None, "progress": 1.0,
                                 "learning_rate": 0.1, "optimiser": adam()},
        "training.next_record": {"batch": own, "metrics": {}},
        "training.save": {"path": os.devnull},
        **dict.fromkeys(("reinforce.value_baseline", "baselines.no_baseline",
                         "baselines.batch_mean", "baselines.leave_one_out",
                         "baselines.optimal_constant"), judging),
        "reinforce.weigh": {"rewards": own.rewards, "batch": own.rollout, "gamma": 0.9},
        "baselines.scores": {"batch": own.rollout, "weights": own.rewards},
        **dict.fromkeys(("q_learning.q_learning", "q_learning.sarsa", "q_learning.expected_sarsa"),
                        {"record": learners(world, rng=0)}),
        "q_learning.double_q_learning": {"record": learners(world, rng=0, tables=2)},
        "evaluation.evaluate_all": {"actions": np.full((2, S), A - 1)},
        "many_learners.move_together": {
            "world": playable(world), "record": learners(world, rng=0), "ahead": value_of_best,
            "exploration": epsilon_greedy(0.5), "tables": learners(world, rng=0).tables,
            "updates": learners(world, rng=0).updates, "step_sizes": np.full(9, 0.5),
            "numbers": rng.random((1, 8, 4)), "progress": 1.0},
        **dict.fromkeys(("prediction.td_prediction", "prediction.monte_carlo"),
                        {"record": predictors(world, rng=0)}),
        "pairs.check_possible": {"name": "rows", "rows": pairs.difference},
        **dict.fromkeys(("margins.margin_loss", "margins.fit_margins", "margins.aot_loss",
                         "margins.aot_unpaired_loss"), {"phi": partial(logistic, beta=0.5)}),
        "pairs.over_pairs": {"rows": pairs.counts, "phi": partial(logistic, beta=0.5)},
        **dict.fromkeys(("pairs.check_means", "simpo.simpo_loss", "orpo.orpo_loss"), means),
        "kto.kto_loss": matrices, "kto.fit_kto": {"divergence": lambda x: 0.1},
        **dict.fromkeys(("ratios.string_loss", "ratios.gmpo_loss"), {
            "batch": weighted_strings(steps, rng.normal(size=16), np.full(16, 1 / 16))}),
        "inference.answer_chances": {"mdp": chain},
        "inference.worlds_of_answers": {"mdp": chain, "right": np.full(S, S - 1)},
        "inference.right_answer_loss": {"mdp": chain, "right": np.full(S, S - 1)},
        **dict.fromkeys(("cascade.clean_chances", "cascade.error_rate",
                         "cascade.checked_steps", "cascade.clean_policy"),
                        {"mdp": chain, "correct": np.full((S, A), 0.5), "k": 3}),
        "unified.gradient": {"coefficients": judged, "weights": np.full(16, 1 / 16)},
        **dict.fromkeys(("search.viterbi", "search.follow", "search.beam",
                         "search.of_each_length"), {"mdp": chain}),
        "harvest.harvest": {"rows": pairs.counts.plus, "domains": np.zeros(8, int),
                            "person": lambda shown: shown, "record": begin([0, 1], 8, rng=0)},
        "rlhf.scored_rewards": {"score": lambda batch: batch.lengths}}
    return by_name, by_function


def answers(function, arguments):
    """What a function says; of a generator the first two things."""
    parameters = inspect.signature(function).parameters.values()
    needed = {one.name for one in parameters if one.default is one.empty or one.name in SMALL}
    found = function(**{name: arguments[name] for name in needed})
    return list(islice(found, 2)) if inspect.isgenerator(found) else found


def has_nan(x):
    numbers = [leaf for leaf in leaves(x) if isinstance(leaf, (float, np.ndarray))]
    return any(np.isnan(one).any() for one in numbers if np.asarray(one).dtype.kind in "fc")


@pytest.mark.parametrize("kind", KINDS)
def test_no_function_of_a_table_makes_nan_or_warns(kind):
    """Where two tables must have their zeros in the same places they may be refused if they have
    not.  (A tiny exponential that underflows to 0 is right, and no warning by default.)"""
    by_name, by_function = given(kind)
    alike, wrong = "zeros" not in kind, []
    with np.errstate(all="raise", under="ignore"):
        for name, function in public(TABLES).items():
            try:
                found = answers(function, by_name | by_function.get(name, {}))
                if has_nan(found):
                    wrong.append((name, found))
            except Exception as error:
                if alike or not isinstance(error, ValueError):
                    wrong.append((name, error))
    assert wrong == []


def test_one_rule_for_logits_in_all_functions():
    """NaN, +∞ and a row of −∞ are refused in the same words; a list is taken as a table, and so is
    that of a policy, of action values or of counts."""
    by_name, by_function = given("masked")
    tables = {*LOGITS, "policy", "action_values", "counts"}
    for name, function in public(tables).items():
        arguments = by_name | by_function.get(name, {})
        for argument in LOGITS:
            if argument in inspect.signature(function).parameters:
                for entry, value in ((0, 0), np.nan), ((3, 2), INF), (1, -INF):
                    wrong = by_name[argument].copy()
                    wrong[entry] = value
                    with pytest.raises(ValueError, match="logits must be finite or −∞, and not −∞"):
                        answers(function, arguments | {argument: wrong})
        lists = {argument: arguments[argument].tolist() for argument in tables}
        one, other = (leaves(answers(function, these)) for these in (arguments, arguments | lists))
        for a, b in zip(one, other, strict=True):
            assert callable(a) or not isinstance(a, (float, np.ndarray)) or same(a, b), name


@pytest.mark.parametrize("kind", ["masked", "zeros of the policy"])
def test_the_gradient_at_a_table_with_zeros(kind):
    """By the complex step, where the logits are finite; the others have none."""
    by_name, by_function = given(kind)
    logits, checked = by_name["logits"], 0
    for name, function in public({"logits"}).items():
        if name.endswith("_loss") or name == "kl.string_kl":
            arguments = by_name | by_function.get(name, {})
            try:
                loss, grad = answers(function, arguments)
            except ValueError:
                assert kind != "masked", name
                continue
            if np.isfinite(loss):
                checked += 1
                slopes = by_complex_step(lambda x: answers(function, arguments | {"logits": x}),
                                         logits)
                assert not grad[logits == -INF].any(), name
                np.testing.assert_allclose(grad, np.where(logits == -INF, 0, slopes), atol=1e-12,
                                           rtol=1e-10, err_msg=name)
    assert checked >= (14 if kind == "masked" else 4)
