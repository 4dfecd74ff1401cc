"""What every trainer does whatever the numbers of states and actions, the order of the episodes and
the kinds of arrays.

A run is random, and its draws depend on the numbers of the actions and on the order of the
episodes.  So these two are asked of an iteration whose batch is given.  All else holds for runs.
"""

from dataclasses import fields, is_dataclass, replace
from itertools import islice

import numpy as np
from items import relabelled_world
from refusals import same
from test_invariance import FORMS
import test_trainers
from test_trainers import POLICIES, TRAINERS, leaves, these
from worlds import random_mdp

from minirl.kernel.playing import Rollout
from minirl.play import training

STATES, ACTIONS, SAME = np.array([2, 0, 3, 1]), np.array([1, 2, 0]), np.arange(3)
TABULAR = {name: case for name, case in TRAINERS.items() if name != "ppo, a network"}
WORLD = replace(test_trainers.WORLD, start=np.eye(4)[1])  # so that nobody draws a first state


def mapped(change, x):
    """x with every array in it, and in what it is made of, changed."""
    if isinstance(x, np.ndarray):
        return change(x)
    if isinstance(x, dict):
        return {key: mapped(change, value) for key, value in x.items()}
    if isinstance(x, (tuple, list)):
        parts = [mapped(change, part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if is_dataclass(x) and not isinstance(x, type):
        return replace(x, **{part.name: mapped(change, getattr(x, part.name)) for part in fields(x)
                             if part.init})
    return x


def relabelled(x, states, actions):
    """x in other numbers: its tables, which end in S or in (S, A), and the states of learners."""
    def change(table):
        if table.shape[-1:] == (4,):
            return table[..., np.argsort(states)]
        if table.shape[-2:] == (4, 3):
            return table[..., np.argsort(states)[:, None], np.argsort(actions)]
        return table

    x = mapped(change, x)
    return x._replace(states=states[x.states]) if hasattr(x, "tables") else x


def close(one, other):
    """Whether two results are the same up to rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, (np.ndarray, float)):
        return np.allclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
    return same(one, other)


def told(case, states, actions):
    """The same case in other numbers."""
    return case._replace(first=relabelled(case.first, states, actions),
                         options=relabelled(case.options, states, actions),
                         arguments=relabelled(case.arguments, states, actions))


@these(TABULAR)
def test_a_run_does_not_depend_on_the_numbers_of_the_states(case, monkeypatch):
    monkeypatch.setattr(test_trainers, "WORLD", WORLD)
    expected = list(islice(case(case.first), 4))
    monkeypatch.setattr(test_trainers, "WORLD", relabelled_world(WORLD, STATES, SAME))
    monkeypatch.setattr(test_trainers, "POLICY", relabelled(test_trainers.POLICY, STATES, SAME))
    other = told(case, STATES, SAME)
    for one, record in zip(expected, islice(other(other.first), 4), strict=True):
        assert close(record, relabelled(one, STATES, SAME))


def with_batch(monkeypatch, change, seen=lambda policy: policy):
    """Let trainers have a changed batch: that of the world as it was, under the policy `seen`."""
    roll, begin = training.rollout, training.start_states
    monkeypatch.setattr(training, "start_states", lambda mdp, *options: begin(WORLD, *options))
    monkeypatch.setattr(training, "rollout", lambda mdp, policy, starts, **options: change(
        roll(WORLD, seen(policy), starts, **options)))


@these({name: case for name, case in POLICIES.items() if name in TABULAR})
def test_an_iteration_does_not_depend_on_the_numbers_of_states_and_actions(case, monkeypatch):
    monkeypatch.setattr(test_trainers, "WORLD", WORLD)
    expected = next(case(case.first))
    monkeypatch.setattr(test_trainers, "WORLD", relabelled_world(WORLD, STATES, ACTIONS))
    with_batch(monkeypatch, lambda rollout: rollout._replace(
        states=STATES[rollout.states], actions=ACTIONS[rollout.actions],
        last_state=STATES[rollout.last_state]), lambda policy: policy[STATES][:, ACTIONS])
    other = told(case, STATES, ACTIONS)
    assert close(next(other(other.first)), relabelled(expected, STATES, ACTIONS))


@these(POLICIES)
def test_an_iteration_does_not_depend_on_the_order_of_the_groups(case, monkeypatch):
    """With minibatches it does, since they are drawn by the numbers of the episodes."""
    monkeypatch.setattr(test_trainers, "WORLD", WORLD)
    options = {"batch_size": None} if "batch_size" in case.options else {}
    expected = next(case(case.first, **options))
    G = case.options.get("num_generations", 1)
    groups = np.random.default_rng(3).permutation(24 // G)
    order = (groups[:, None] * G + np.arange(G)).ravel()
    with_batch(monkeypatch, lambda rollout: in_order(rollout, order))
    assert close(next(case(case.first, **options)), expected)


def in_order(rollout, order):
    """A rollout with its episodes in another order, by loops."""
    steps = np.concatenate([np.arange(*rollout.starts[i:i + 2]) for i in order])
    return Rollout(*(table[steps] for table in rollout[:4]),
                   np.cumsum([0, *np.diff(rollout.starts)[order]]), rollout.last_state[order],
                   rollout.truncated[order])


@these(POLICIES)
def test_a_constant_added_to_a_row_stays_there_and_changes_nothing_else(case):
    """To the logits, and to those of the reference."""
    shift = np.array([[2.0], [-8.0], [0.5], [32.0]])
    expected, ref = next(case(case.first)), test_trainers.REF

    def change(array):
        return array + shift if array is ref else array

    moved = case._replace(**{name: mapped(change, getattr(case, name))
                             for name in ("options", "arguments")})
    found = next(moved(case.first._replace(logits=case.first.logits + shift)))
    if case.trainer is not test_trainers.rejection_sampling:  # which counts, and moves nothing
        found = found._replace(logits=found.logits - shift)
    assert close(found, expected)


@these(TABULAR)
def test_arrays_of_any_form_give_the_same_run(case, monkeypatch):
    """Those of the world, of the record and of the options."""
    monkeypatch.setattr(test_trainers, "WORLD", WORLD)
    expected = list(islice(case(case.first), 2))
    for form in FORMS.values():
        def change(array):
            return form(array) if array.ndim else array

        with monkeypatch.context() as patch:
            patch.setattr(test_trainers, "WORLD", mapped(change, WORLD))
            patch.setattr(test_trainers, "POLICY", change(test_trainers.POLICY))
            other = case._replace(**{name: mapped(change, getattr(case, name))
                                     for name in ("first", "options", "arguments")})
            assert close(list(islice(other(other.first), 2)), expected)


@these(TABULAR)
def test_one_state_and_one_action_can_be_trained(case, monkeypatch):
    def change(table):
        table = table[..., :1] if table.shape[-1:] == (4,) else table
        return table[..., :1, :1] if table.shape[-2:] == (4, 3) else table

    monkeypatch.setattr(test_trainers, "WORLD", random_mdp(np.random.default_rng(0), 1, 1, 2, 0.9))
    monkeypatch.setattr(test_trainers, "POLICY", np.ones((1, 1)))
    case = case._replace(**{name: mapped(change, getattr(case, name))
                            for name in ("first", "options", "arguments")})
    if hasattr(case.first, "tables"):
        case = case._replace(first=case.first._replace(states=np.zeros(2, int)))
    for record in islice(case(case.first), 3):
        assert all(np.isfinite(leaf).all() for leaf in leaves(record[2:-2])
                   if isinstance(leaf, np.ndarray))


@these(POLICIES)
def test_logits_of_ten_thousand_can_be_trained(case):
    """Without a warning, and the policy stays one."""
    first = case.first._replace(logits=1e4 * np.sign(case.first.logits))
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for record in islice(case(first), 3):
            np.testing.assert_allclose(record.policy.sum(axis=1), 1)
            assert np.isfinite(record.values).all()
