"""What every public function with an array among its arguments says of a wrong one.

The calls are those of the examples (`harvested`).  In each call one array is spoilt: one entry is
NaN among good ones, or the shape is another.  It is refused by a ValueError that names it, or the
function stands in a table below, with the reason.
"""

from copy import deepcopy
import inspect
import re
from types import GeneratorType

import numpy as np
import pytest
from harvested import calls, public_functions

pytestmark = pytest.mark.slow  # it runs all examples
FUNCTIONS = public_functions()

# Rooms and functions that are not asked, and why.
TRUSTED = {
    "minirl.kernel.checks": "they are the checks",
    "minirl.kernel.sampling": "inner loops: the tables are those of a checked world and policy",
    "minirl.kernel.layout": "inner loops: what lies end to end was built by `counts` or `playing`",
    "minirl.play.many_learners": "inner loops of the learners",
    "minirl.play.exploration": "inner loops of the learners",
    "minirl.exact.solving": "solvers of what `evaluation` and `planning` have made",
    "minirl.exact.gains": "certificates of what `planning` has made",
    "minirl.play.baselines": "`reinforce.weigh` gives them what `training.play` has checked",
    "minirl.kernel.gradcheck.check": "the loss says what it refuses",
    "minirl.kernel.playing.first_states": "inner loop: numbers from a generator",
    "minirl.kernel.playing.move": "inner loop: `step` and `rollout` have checked",
    "minirl.kernel.playing.walk": "its states are arrays of the example, which it changes",
    "minirl.kernel.counts.sequence_tables": "`groups.weighted` has checked",
    "minirl.exact.evaluation.at_states": "of a mask and what was solved where it holds",
    "minirl.exact.evaluation.evaluate_all": "the policies are those of `planning`",
    "minirl.exact.planning.optimum_of": "of what a solver has found",
    "minirl.people.existence.covariance": "the loss says what it refuses",
    "minirl.people.existence.curvature": "the loss says what it refuses",
    "minirl.people.existence.settled": "of what a fit has found",
    "minirl.people.fitting.minimise": "the loss says what it refuses, in its own words",
    "minirl.people.fitting.minimise_lasting": "the loss says what it refuses, in its own words",
    "minirl.people.fitting.minimise_near": "the loss says what it refuses, in its own words",
    "minirl.people.pairs.check_difference": "it checks the other argument",
    "minirl.people.pairs.check_matrix": "it checks the other argument",
    "minirl.people.pairs.check_means": "it checks the other argument",
    "minirl.people.pairs.check_pairs": "it checks the other argument",
    "minirl.people.pairs.check_possible": "it checks the other argument",
    "minirl.people.pairs.check_strings": "it checks the other argument",
    "minirl.people.pairs.finite_table": "it is a check, and told the name",
    "minirl.people.pairs.over_pairs": "the losses have checked",
    "minirl.play.reinforce.after_the_end": "`weigh` has checked",
    "minirl.play.reinforce.value_baseline": "`weigh` has checked",
    "minirl.play.returns.whole_return": "of the starts of a rollout",
    "minirl.play.training.environment_rewards": "it does not look at the policy",
    "minirl.play.training.policy_step": "of a loss and its gradient",
    "minirl.play.actor_critic.normalised": "of advantages of a batch, which has a step",
    "minirl.play.surrogate.steps_in": "it asks for shapes",
    "gridworld.draw.check_fits": "it asks for shapes",
    "toy_lm.raters.compare": "`choose` refuses its scores, as rewards",
}

# Arithmetic on the entries of tables: what is no number stays none.
ENTRIES = {f"minirl.{name}" for name in """
    kernel.softmax.backward kernel.softmax.difference kernel.softmax.entropy kernel.softmax.kl
    kernel.softmax.log_sigmoid kernel.softmax.product play.surrogate.ratios play.optim.clip_norm
    people.kl.k1 people.kl.k2 people.kl.k3 people.dpo.logistic people.ipo.squared
    people.margins.hinge people.margins.exponential people.margins.truncated_squared
    people.orpo.log_odds people.orpo.odds people.ratios.cispo people.ratios.clip
    people.ratios.dual_clip people.ratios.sapo people.ratios.unclipped people.ratios.vespo
    people.distillation.row_distance""".split()}

# Where NaN is an answer, or what it means.
MEANT = {
    "minirl.exact.average_reward.rate_bounds(values)": "no bound",
    "minirl.exact.evaluation.action_values(values)": "a state in which no value is asked",
    "minirl.exact.evaluation.advantages(values)": "a state in which no value is asked",
    "minirl.exact.evaluation.from_start(values)": "a state in which no value is asked",
    "minirl.exact.scorecard.as_policy(policy)": "it makes an array; `evaluate` asks for a policy",
    "minirl.kernel.counts.add_up(weights)": "a sum that is no number",
    "minirl.kernel.counts.table(weights)": "a sum that is no number",
    "minirl.kernel.gradcheck.by_complex_step(x)": "the loss says what it refuses",
    "minirl.kernel.gradcheck.by_differences(x)": "the loss says what it refuses",
    "minirl.kernel.softmax.difference(logp)": "an entry that is not used",
    "minirl.kernel.softmax.difference(other_logp)": "an entry that is not used",
    "minirl.people.ratios.unclipped(sign)": "it does not ask for signs",
    "minirl.people.ratios.vespo(sign)": "the caller takes the signs of what it has checked",
    "minirl.play.prediction.td_prediction(truth)": "the error is no number either",
    "minirl.play.q_learning.q_learning(truth)": "the error is no number either",
    "minirl.play.returns.explained_variance(predictions)": "nothing is explained",
    "minirl.play.returns.explained_variance(returns)": "nothing is explained",
    "minirl.play.returns.move_values(targets)": "the value is no number",
    "minirl.play.returns.n_step_returns(values)": "a state that the batch does not reach",
    "minirl.beyond.network.network_optimiser(params)": "refused when training begins",
    "gridworld.draw.policy_text(policy)": "no arrow",
    "gridworld.draw.values_text(values)": "a dot: no episode comes here",
    "gridworld.draw.visits_text(visits)": "a dot: no episode comes here",
    "gridworld.figures.heat_map(values)": "no colour: no episode comes here",
    "gridworld.figures.heat_map(policy)": "no arrow",
    "toy_lm.ngram.widen(table)": "it takes rows of any table",
}


@pytest.fixture(scope="module")
def harvest():
    return calls()


def answer(name, arguments):
    """What a function returns, the first thing that it yields, or its error."""
    places, options = [], {}
    for key, parameter in inspect.signature(FUNCTIONS[name]).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            places.extend(arguments[key])
        elif parameter.kind is parameter.KEYWORD_ONLY:
            options[key] = arguments[key]
        else:
            places.append(arguments[key])
    try:
        found = FUNCTIONS[name](*places, **options)
        return next(found) if isinstance(found, GeneratorType) else found
    except Exception as error:
        return error


def spoilt(harvest, spoil):
    """(name, argument, what is answered) for each array of each call, for each way to spoil it."""
    for name, found in harvest.items():
        if name in TRUSTED or name.rpartition(".")[0] in TRUSTED:
            continue
        for arguments in found:
            for key, value in arguments.items():
                for new in spoil(value) if isinstance(value, np.ndarray) else ():
                    yield name, key, answer(name, deepcopy(arguments) | {key: new})


def one_nan(array):
    """The array with one entry that is no number."""
    for place in {0, array.size - 1} if array.dtype.kind == "f" and array.size else ():
        new = array.copy()
        new.flat[place] = np.nan
        yield new


def test_every_function_has_an_example_in_which_it_is_called(harvest):
    assert {name for name, found in harvest.items() if not found} == {
        "minirl.beyond.harvest.until_stopped",  # takes a generator
        "gridworld.world.read_map", "toy_lm.corpora.read_lines"}  # take files


def test_one_entry_that_is_no_number_is_refused_or_stays_none(harvest):
    meant, entries = set(), set()
    for name, argument, found in spoilt(harvest, one_nan):
        named = isinstance(found, ValueError) and re.search(rf"\b{argument}\b", str(found))
        if f"{name}({argument})" in MEANT:
            meant |= {f"{name}({argument})"} if not named else set()
        elif name in ENTRIES:
            entries.add(name)
            assert holds_nan(found), (name, argument, found)
        else:
            assert named, (name, argument, found)
    there = {place for place in MEANT if "gridworld.figures.heat_map" in FUNCTIONS
             or not place.startswith("gridworld.figures.")}  # which need Matplotlib
    assert meant == there and entries <= ENTRIES, there - meant


def holds_nan(x):
    """Whether there is NaN in a result."""
    if isinstance(x, tuple):
        return any(map(holds_nan, x))
    return isinstance(x, (float, np.ndarray)) and np.isnan(x).any()


def shapes(array):
    """No rows, one row more, an axis more, no axis, a column more, no columns."""
    if array.ndim:
        yield from (array[:0], np.concatenate([array, array[-1:]]), array[None])
        if array.size:
            yield array.ravel()[0]
    if array.ndim == 2:
        yield from (np.concatenate([array, array[:, -1:]], axis=1), array.ravel())


OF_NUMPY = re.compile("broadcast|cannot reshape|zero-size|mismatch|unpack|operand|input array|"
                      "out of bounds|same size|at least one array|len\\(\\)|not iterable")


def test_no_array_of_another_shape_ends_in_an_error_of_numpy(harvest):
    """The function answers, since other data have other shapes; or says what it wants itself."""
    for name, argument, found in spoilt(harvest, shapes):
        if isinstance(found, Exception) and name not in ENTRIES:
            assert type(found) is ValueError and not OF_NUMPY.search(str(found)), (
                name, argument, found)


def one_row(array):
    """The first row of a table, and its first column: what NumPy would stretch."""
    if array.ndim == 2 and array.shape[0] > 1:
        yield array[:1]
    if array.ndim == 2 and array.shape[1] > 1:
        yield array[:, :1]


def test_no_row_is_stretched_to_the_table_of_a_world_or_to_another_table(harvest):
    """Where another argument has the same shape, or its world has, the table must keep it."""
    for name, found in harvest.items():
        if name in TRUSTED or name.rpartition(".")[0] in TRUSTED:
            continue
        for arguments in found:
            for argument, table in arguments.items():
                others = [np.shape(getattr(other, "mean_reward", other)) for key, other
                          in arguments.items() if key != argument and not callable(other)
                          and not isinstance(other, (list, tuple, dict))]
                if isinstance(table, np.ndarray) and table.shape in others:
                    for new in one_row(table):
                        got = answer(name, deepcopy(arguments) | {argument: new})
                        assert isinstance(got, ValueError) or name in ENTRIES | {
                            "minirl.people.sft.fit_by_counting"}, (name, argument)  # it may fit
