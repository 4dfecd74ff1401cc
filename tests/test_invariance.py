"""What every loss and every trainer does whatever the order, the labels and the kinds of arrays."""

from copy import deepcopy
from functools import partial
import inspect
from itertools import product
import re

import numpy as np
import pytest
from items import LOSSES, by_weights, given
from refusals import same
from scipy import sparse
from test_gradients import public_losses

GIVEN = given()


def losses(*without):
    """The losses for which none of these laws is given up with a reason."""
    return pytest.mark.parametrize("name", [
        name for name, loss in LOSSES.items() if not any(getattr(loss, law) for law in without)])


def assert_close(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-11)


def test_no_loss_is_missing():
    names = {name.partition(",")[0] for name in LOSSES}
    assert names == public_losses() | {"verifiers.objective_loss"}
    for name, loss in LOSSES.items():
        assert (loss.divides is None) == bool(loss.parts), name


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_strings_does_not_matter(name):
    call = LOSSES[name].call
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(GIVEN.items))
        other = GIVEN._replace(items=[GIVEN.items[i] for i in order])
        assert_close(call(other)(), call(GIVEN)())


@losses("parts")
def test_the_loss_of_a_batch_is_the_mean_of_its_parts_as_its_normaliser_says(name):
    call, divides, _ = LOSSES[name][:3]
    for cuts in (1, 9), (4, 9), (2, 3, 9), range(1, 10):
        value, grad, begin = 0.0, 0.0, 0
        for end in cuts:
            part = GIVEN._replace(items=GIVEN.items[begin:end])
            one, slope = call(part)()
            share, begin = divides(part) / divides(GIVEN) if divides(GIVEN) != 1 else 1, end
            value, grad = value + share * one, grad + share * slope
        assert_close((value, grad), call(GIVEN)())


@losses("names")
def test_other_numbers_of_states_and_actions_give_the_same_in_other_places(name):
    call = LOSSES[name].call
    for seed in range(3):
        rng = np.random.default_rng(seed)
        states, actions = rng.permutation(4), rng.permutation(3)
        value, grad = call(GIVEN.relabelled(states, actions))()
        assert_close((value, grad[np.ix_(states, actions)]), call(GIVEN)())


@losses("rows")
def test_a_constant_added_to_a_row_changes_nothing(name):
    """To the logits of the policy, and to those of the others."""
    call = LOSSES[name].call(GIVEN)
    np.testing.assert_allclose(call()[1].sum(axis=1), 0, atol=1e-11)
    for exchange, argument, array in leaves(call):
        if argument in ("critic", "logits", "old_logits", "ref_logits", "teacher_logits"):
            shift = np.array([[3.0], [-7.0], [0.5], [40.0]])[:len(array)]
            assert_close(exchange(array + shift)(), call())


def leaves(call):
    """The arrays that a call was given: (how to exchange it, its name, the array)."""
    names = list(inspect.signature(call.func).parameters)
    given = dict(zip(names, call.args)) | call.keywords
    for name, value in given.items():
        for exchange, array in inside(value):
            yield (lambda new, name=name, exchange=exchange: partial(
                call.func, **given | {name: exchange(new)})), name, array


def inside(value):
    """The arrays in an argument that is an array, a sparse matrix, or a named tuple of such."""
    if isinstance(value, np.ndarray):
        yield lambda new: new, value
    elif sparse.issparse(value):
        yield lambda new: sparse.csr_array((new, value.indices, value.indptr), value.shape), (
            value.data)
    elif hasattr(value, "_fields"):
        for field in value._fields:
            for exchange, array in inside(getattr(value, field)):
                yield lambda new, field=field, exchange=exchange: value._replace(
                    **{field: exchange(new)}), array


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array):
    """Every second entry, along each axis, of a larger array."""
    larger = np.full([2 * n for n in array.shape], 7, array.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def backwards(array):
    """The same entries, with negative strides."""
    return np.flip(np.flip(array).copy())


FORMS = {
    "Fortran order": np.asfortranarray, "read-only": read_only, "strided": strided,
    "backwards": backwards, "the other byte order": lambda array: array.astype(
        array.dtype.newbyteorder()),
    "not aligned": lambda array: np.frombuffer(b"." + array.tobytes(), array.dtype, offset=1)
    .reshape(array.shape)}


@pytest.mark.parametrize("name", LOSSES)
def test_arrays_of_any_form_give_the_same_answer(name):
    call = LOSSES[name].call(GIVEN)
    for exchange, argument, array in leaves(call):
        for form in FORMS.values():
            assert_close(exchange(form(array))(), call())


@pytest.mark.parametrize("name", LOSSES)
def test_numbers_of_any_type_give_the_answer_of_floats(name):
    """The answer of the same numbers in float64, and in float64; or both are refused.  That numbers
    are objects is refused always."""
    call = LOSSES[name].call(GIVEN)
    for (exchange, argument, array), dtype in product(arrays(call), (
            np.float16, np.float32, np.int8, np.uint8, object)):
        for values in (array, 100 * np.sign(array)) if dtype in (np.int8, np.uint8) else (array,):
            with np.errstate(invalid="ignore"):
                new = values.astype(dtype)
            expected = refusal_or_answer(exchange(new.astype(float)), argument)
            found = refusal_or_answer(exchange(new), argument)
            if dtype is object or isinstance(expected, str):
                assert isinstance(found, str), argument
            else:
                assert found[1].dtype == np.asarray(found[0]).dtype == float, argument
                assert_close(found, expected)


def arrays(call):
    """Those that are arguments.  What lies in a record or a matrix was made, and checked, by the
    function that makes them."""
    return [leaf for leaf in leaves(call) if any(leaf[2] is one for one in (
        *call.args, *call.keywords.values()))]


def refusal_or_answer(call, argument):
    """The message, which must name the argument, or what the call returns."""
    try:
        return call()
    except ValueError as error:
        assert re.search(rf"\b{argument}\b", str(error)), error
        return str(error)


@pytest.mark.parametrize("name", LOSSES)
def test_a_list_does_what_an_array_does(name):
    call = LOSSES[name].call(GIVEN)
    for exchange, argument, array in arrays(call):
        assert_close(exchange(array.tolist())(), call())


@pytest.mark.parametrize("name", LOSSES)
def test_one_wrong_number_among_good_ones_is_refused_by_name(name):
    call = LOSSES[name].call(GIVEN)
    for exchange, argument, array in arrays(call):
        for place, wrong in product(range(array.size), (np.nan, np.inf)):
            if array.dtype.kind != "f":
                continue
            new = array.copy()
            new.flat[place] = wrong
            assert isinstance(refusal_or_answer(exchange(new), argument), str), (argument, place)


@pytest.mark.parametrize("name", LOSSES)
def test_an_array_of_another_shape_is_refused_and_never_stretched(name):
    call = LOSSES[name].call(GIVEN)
    for exchange, argument, array in arrays(call):
        for new in (array[:1], array[:-1], array[:0], np.concatenate([array, array[:1]]),
                    array[None], array[..., None], array[..., :1], array.ravel()[0]):
            if new.shape != array.shape and not fits(name, argument, array, new):
                with pytest.raises(ValueError, match=r"shape|must (be|have)"):
                    exchange(new)()


def fits(name, argument, array, new):
    """Whether the other shape is right too: one number for all; a table of the same size, which is
    all that a matrix knows; and more or fewer actions where only the states are known."""
    return (new.ndim == 0 and argument in ("margin", "desirable_weight", "undesirable_weight")
            or new.size == array.size and argument == "reward_table"
            or new.ndim == 2 and len(new) == len(array) and name == "softmax.entropy_loss")


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_changed_or_shared(name):
    """Neither by the call, nor by whoever writes into what it returned."""
    call = LOSSES[name].call(GIVEN)
    before = deepcopy(call)
    value, grad = call()
    first = value, grad.copy()
    for _, argument, array in leaves(call):
        assert not np.shares_memory(grad, array), argument
    grad += 1
    for one, other in zip(leaves(call), leaves(before), strict=True):
        assert same(one[2], other[2]), one[1]
    assert same(call(), first)


TABLES = ("critic", "reward_table", "logits", "old_logits", "ref_logits", "teacher_logits")


@losses("extreme")
def test_logits_of_ten_thousand_need_no_warning(name):
    """Those of any of the policies, and of all at once."""
    call = LOSSES[name].call(GIVEN)
    signs = np.sign(GIVEN.table - GIVEN.ref)
    for exchange, argument, array in arrays(call):
        for extreme in (1e4 * signs, -1e4 * signs) if argument in TABLES else ():
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                value, grad = exchange(extreme[:len(array)])()
            assert np.isfinite(value) and np.isfinite(grad).all()


@losses("absent")
def test_an_action_that_is_not_available_is_as_if_there_were_none(name):
    call = LOSSES[name].call
    value, grad = call(GIVEN.widened())()
    assert_close((value, grad[:, :-1]), call(GIVEN)())
    assert not grad[:, -1].any()


@losses("absent")
def test_a_probability_of_zero_costs_nothing_or_everything_or_is_refused(name):
    """Of the policy, or of one of the others, at any entry: never NaN, no slope without end, and
    none at all in a logit of −∞."""
    call = LOSSES[name].call(GIVEN)
    for exchange, argument, array in arrays(call):
        for place in range(array.size) if argument in TABLES else ():
            new = array.copy()
            new.flat[place] = -np.inf
            found = refusal_or_answer(exchange(new), ".*")
            if not isinstance(found, str):
                assert found[0] > -np.inf and np.isfinite(found[1]).all(), (argument, place)
                assert argument != "logits" or found[1].flat[place] == 0, place


@losses("parts")
def test_no_weight_is_as_good_as_no_item(name):
    loss = LOSSES[name]
    less = GIVEN._replace(items=[item._replace(weight=0.0) if i in (2, 8) else item
                                 for i, item in enumerate(GIVEN.items)])
    if loss.divides is by_weights:
        found = loss.call(less)()
        assert_close(found, loss.call(GIVEN._replace(items=[
            item for item in less.items if item.weight]))())


@pytest.mark.parametrize("name", LOSSES)
def test_no_item_is_refused(name):
    loss = LOSSES[name]
    if loss.divides:
        found = refusal_or_answer(lambda: loss.call(GIVEN._replace(items=[]))(), "")
        assert isinstance(found, str) != bool(loss.empty), found


@losses("absent", "extreme")
def test_where_there_is_no_choice_there_is_nothing_to_learn(name):
    """One state, one action, one string of one step."""
    value, grad = LOSSES[name].call(given(S=1, A=1, number=1, longest=1))()
    assert np.isfinite(value) and grad.tolist() == [[0.0]]
