"""The job `kl`: every figure of its table against plain loops over another list of all strings, and
what each estimate follows."""

from functools import cache
from itertools import combinations, product
from math import exp, sqrt

import numpy as np
import pytest
import test_objectives
from test_kl import score

from minirl.people.kl import kl_loss, string_kl
from minirl.lab import divergences
from minirl.kernel.mdp import unroll
from minirl.kernel.softmax import kl
from toy_lm.ngram import language

HORIZON = 6

KEYS = list(product(("row", "string", "tokens"), ("own", "other", "weighted"), ("k1", "k2", "k3")))
@pytest.fixture(scope="module")
def found():
    return divergences.measure_divergences()


@pytest.fixture(scope="module")
def rows(found):
    return {(row.form, row.samples, row.name): row for row in found.estimates}


@cache
def every_string(form):
    """The strings that end within six steps, and the first six steps of all the longer ones."""
    if form == "row":
        return [[(0, a)] for a in range(3)]
    return test_objectives.every_string(HORIZON)


def value_and_slope(name, u):
    """An estimate and its derivative in log π, as the chapter writes them."""
    return {"k1": (-u, 1.0), "k2": (u * u / 2, -u), "k3": (exp(u) - u - 1, 1 - exp(u))}[name]


def chance(logp, pairs):
    return exp(sum(logp[pair] for pair in pairs))


@cache
def by_loops(form, samples, name):
    """Mean, variance and mean gradient of one estimate."""
    logp, ref, other = divergences.three_bigrams()
    writer = logp if samples == "own" else other
    mean, square, gradient = 0.0, 0.0, np.zeros(logp.shape)
    for pairs in every_string(form):
        estimate, pull = 0.0, np.zeros(logp.shape)
        for part in ([[pair] for pair in pairs] if form == "tokens" else [pairs]):
            u = sum(ref[pair] - logp[pair] for pair in part)
            value, slope = value_and_slope(name, u)
            if samples == "weighted":
                ratio = chance(logp, part) / chance(other, part)
                value, slope = ratio * value, ratio * value + ratio * slope
            estimate += value
            pull += slope * score(logp, part)
        mean += chance(writer, pairs) * estimate
        square += chance(writer, pairs) * estimate**2
        gradient += chance(writer, pairs) * pull
    return mean, square - mean**2, gradient


@cache
def targets(form):
    """Gradients of the divergences, by their names in the table."""
    logp, ref, other = divergences.three_bigrams()
    strings = every_string(form)
    found = {"KL(pi|ref)": sum(chance(logp, pairs) * score(logp, pairs)
                               * sum(logp[pair] - ref[pair] for pair in pairs)
                               for pairs in strings),
             "KL(ref|pi)": -sum(chance(ref, pairs) * score(logp, pairs) for pairs in strings)}
    if form != "row":
        for whose, writer in (("", logp), ("mu's ", other)):
            one, two = np.zeros(logp.shape), np.zeros(logp.shape)
            for pairs in strings:
                for s, _ in pairs:
                    for a in range(3):
                        step = chance(writer, pairs) * score(logp, [(s, a)])
                        one += np.exp(logp[s, a]) * (logp[s, a] - ref[s, a]) * step
                        two -= np.exp(ref[s, a]) * step
            found[f"{whose}rows of KL(pi|ref)"] = one
            found[f"{whose}rows of KL(ref|pi)"] = two
    return found


def test_the_list_of_all_strings_is_complete_and_the_three_policies_differ_in_every_row(found):
    strings, tables = every_string("string"), divergences.three_bigrams()
    assert found.strings == len(strings) == len(set(map(tuple, strings))) == 127
    assert divergences.LONGEST == max(map(len, strings)) == HORIZON
    for logp in tables:
        assert sum(chance(logp, pairs) for pairs in strings) == pytest.approx(1, abs=1e-13)
        assert logp.shape == (3, 3) and np.exp(logp).sum(axis=1) == pytest.approx(1, abs=1e-14)
    for one, other in combinations(tables, 2):
        assert kl(one, other).min() > 0.005
    assert list(map(tuple, (row[:3] for row in found.estimates))) == KEYS


@pytest.mark.parametrize("form, samples, name", KEYS)
def test_an_estimate_has_the_moments_of_plain_loops_and_follows_one_divergence_or_none(
        rows, form, samples, name):
    """(kl.4) and pitfall 1: mean and variance over all strings.  (kl.5): the length of the mean
    gradient, and its angle with (kl.2).  (kl.6), (kl.7) and pitfall 3: all other divergences are
    far away."""
    row = rows[form, samples, name]
    mean, variance, gradient = by_loops(form, samples, name)
    assert row.mean == pytest.approx(mean, abs=1e-12)
    assert row.variance == pytest.approx(variance, abs=1e-11)
    length, true = sqrt((gradient**2).sum()), targets(form)["KL(pi|ref)"]
    assert row.gradient == pytest.approx(length, abs=1e-12)
    if name == "k1" and samples == "own":
        assert row.cosine is None and length < 1e-14
    else:
        assert row.cosine == pytest.approx((gradient * true).sum() / length / sqrt((true**2).sum()),
                                           abs=1e-12)
    distance = {other: np.abs(gradient - target).max() for other, target in
                {"nothing": np.zeros(gradient.shape), **targets(form)}.items()}
    assert [other for other in distance if distance[other] < 1e-3] == (
        [] if row.follows == "none of these" else [row.follows])
    assert distance.get(row.follows, 0) < 1e-13


def test_the_divergences_are_those_of_the_chapter(found):
    """(kl.1) and (kl.2) on the language whose states know the time: `string_kl` and the gradient
    (kl.3), with the time forgotten again."""
    logp, ref, _ = divergences.three_bigrams()
    world = unroll(language(np.zeros((3, 3))), HORIZON)
    timed, timed_ref = np.tile(logp, (HORIZON, 1)), np.tile(ref, (HORIZON, 1))
    distance, grad = string_kl(world, timed, timed_ref)
    assert found.string_kl == pytest.approx(distance, abs=1e-13)
    assert found.row_kl == pytest.approx(kl(logp, ref)[0], abs=1e-15)
    assert type(found.row_kl) is type(found.string_kl) is float
    assert grad.reshape(HORIZON, 3, 3).sum(axis=0) == pytest.approx(
        targets("string")["KL(pi|ref)"], abs=1e-13)
    assert kl_loss(logp, ref, np.eye(3)[0])[1] == pytest.approx(targets("row")["KL(pi|ref)"],
                                                               abs=1e-13)


def test_the_figure_shows_each_mean_and_where_each_gradient_points(found):
    """The title: of own samples k1 has the right mean in each form, and no gradient"""
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    for row in found.estimates:
        if (row.samples, row.name) == ("own", "k1"):
            true = found.row_kl if row.form == "row" else found.string_kl
            assert row.mean == pytest.approx(true, abs=1e-12) and row.follows == "nothing"
    figure, = figures.divergences_figures(found).values()
    left, right = figure.axes
    places = [label.get_text() for label in left.get_yticklabels()]
    assert places == [f"{form}, {samples}" for form, samples in product(
        ("row", "string", "tokens"), ("own", "other", "weighted"))]
    marks = {axes: sorted((line.get_marker(), round(line.get_ydata()[0]), line.get_xdata()[0])
                          for line in axes.lines if line.get_marker() in "os^")
             for axes in (left, right)}
    assert marks[right] == sorted((dict(k1="o", k2="s", k3="^")[row.name],
                                   places.index(f"{row.form}, {row.samples}"), row.cosine or 0)
                                  for row in found.estimates)
    assert len(marks[left]) == 27
    assert sum(text.get_text() == "no gradient" for text in right.texts) == 3
