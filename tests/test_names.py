"""The page of names: what it names exists here, and the forms agree where it says nothing else.

The formulas of the libraries are written down as they were read in TRL 1.16.0 and verl 0.9.1.
"""

import inspect
import re
from functools import partial

import numpy as np
import pytest
from languages import as_steps
from test_compared import FITS, LOSSES, PLAYING
from test_house import PARTS

import minirl
from minirl import names
from minirl.kernel import counts
from minirl.kernel.softmax import kl, log_sigmoid, log_softmax
from minirl.people import (distillation, dpo, groups, ipo, kto, margins, pairs, ratios, sft,
                           simpo)

TEXT = names.__doc__
PART_OF = {name: part for part in ("play", "people") for name in PARTS[part]}
BLOCKS = [[re.split(r" {2,}", line.strip()) for line in block.split("\n")]
          for block in re.findall(r"^    here .*(?:\n    .*)*", TEXT, flags=re.M)]
TABLES = [rows for rows in BLOCKS if rows[0][1] == "TRL"]
SETTINGS = [rows for rows in BLOCKS if rows[0][1] == "of"]
NOTES = dict(re.findall(r"^(\d+)\. ((?:.|\n)+?)(?=\n\d+\. |\Z)", TEXT, flags=re.M))


def function(name):
    """What `chapter.function` is."""
    chapter, _, name = name.partition(".")
    return getattr(getattr(getattr(minirl, PART_OF[chapter]), chapter), name)


def public(chapter, *first):
    """The functions of a chapter whose first arguments are these, by name."""
    module = getattr(minirl.people, chapter)
    found = inspect.getmembers(module, lambda thing: inspect.isfunction(thing)
                               and thing.__module__ == module.__name__)
    return {f"{chapter}.{name}" for name, thing in found if name[0] != "_"
            and [*inspect.signature(thing).parameters][:len(first)] == [*first]}


NOWHERE = re.findall(r"`(\w+\.\w+)`", re.search(r"In none of(?:.|\n)+?\n\n", TEXT)[0])
LISTED = NOWHERE + [name for rows in TABLES for row in rows[1:] for name in row[0].split(", ")]


def test_all_tables_have_their_shape_and_all_notes_are_asked_for_in_their_order():
    assert len(TABLES) == 4 and len(SETTINGS) == 2
    for rows in TABLES + SETTINGS:
        assert len(rows[0]) > 2 and all(len(row) == len(rows[0]) for row in rows)
        assert all(row[1:] != [""] for row in rows)
    asked = re.findall(r" \((\d+)\)", TEXT.split("**Same name")[0])
    assert [*dict.fromkeys(asked)] == [*NOTES] == [str(n) for n in range(1, len(NOTES) + 1)]
    assert all(note.rstrip()[-1] == "." for note in NOTES.values())


def test_every_method_of_parts_3_and_4_has_a_row():
    """Each loss and trainer of `compared`, each φ and each gate; each thing that is named exists"""
    assert all(callable(function(name)) for name in LISTED)
    found = {function(name) for name in LISTED}
    missing = {thing.__name__ for thing in (*LOSSES.values(), *PLAYING.values())
               if thing not in found}
    assert missing == {"reinforce_loss", "grpo_loss", "ppo_kl"}  # of which the other has a row
    for chapter in ("margins", "dpo", "ipo", "orpo"):
        assert public(chapter, "plus", "minus") <= {*LISTED}, chapter
    assert public("margins", "h") <= {*LISTED} and public("ratios", "ratio", "sign") <= {*LISTED}
    whole = (public("margins", "logits", "ref_logits") | public("ratios", "logits", "old_logits")
             | public("distillation", "logits") | public("groups", "rewards", "batch")
             | public("groups", "batch"))
    assert whole - {*LISTED} == {"margins.margin_loss", "ratios.gate_loss",
                                 "groups.process_normalised", "groups.equal_groups"}
    assert not {*FITS} - {name.split(".")[0] for name in LISTED}


@pytest.mark.parametrize("row", [row for rows in SETTINGS for row in rows[1:]], ids=" ".join)
def test_a_hyperparameter_is_one_of_its_function_and_a_default_is_not_ours(row):
    argument = re.match(r"\w+", row[0])[0]
    at, = {f"{chapter}.{row[1]}" for chapter in PART_OF
           if hasattr(getattr(getattr(minirl, PART_OF[chapter]), chapter), row[1])
           and getattr(getattr(getattr(minirl, PART_OF[chapter]), chapter),
                       row[1]).__module__.endswith(f".{chapter}")}
    ours = inspect.signature(function(at)).parameters[argument].default
    for cell in row[2:]:
        for default in re.findall(r"=(\S+)", cell):
            assert callable(ours) or str(ours) != default and (
                default == "None" or ours in (None, inspect.Parameter.empty)
                or float(default) != ours), cell


# The forms of the libraries.

H = np.random.default_rng(0).normal(size=(2, 40)) * 2
S = lambda x: np.exp(log_sigmoid(x))  # noqa: E731
L = log_sigmoid
PHIS = {  # (ours, as in TRL's DPOTrainer), of h⁺, h⁻ and β
    "sigmoid": (dpo.logistic, lambda p, m, b: -L(b * (p - m))),
    "hinge": (margins.hinge, lambda p, m, b: np.maximum(0, 1 - b * (p - m))),
    "ipo": (ipo.squared, lambda p, m, b: (p - m - 1 / (2 * b)) ** 2),
    "exo_pair": (partial(margins.exo, label_smoothing=0.1), lambda p, m, b: (
        S(b * (p - m)) * (L(b * (p - m)) - np.log1p(-0.1))
        + S(b * (m - p)) * (L(b * (m - p)) - np.log(0.1)))),
    "nca_pair": (margins.nca, lambda p, m, b: -L(b * p) - 0.5 * L(-b * p) - 0.5 * L(-b * m)),
    "robust": (partial(margins.robust, label_smoothing=0.1), lambda p, m, b: (
        -0.9 * L(b * (p - m)) + 0.1 * L(b * (m - p))) / 0.8),
    "bco_pair": (margins.bco, lambda p, m, b: -L(b * p) - L(-b * m)),
    "sppo_hard": (margins.sppo, lambda p, m, b: (p - 0.5 / b) ** 2 + (m + 0.5 / b) ** 2),
    "apo_zero": (margins.apo_zero, lambda p, m, b: 1 - S(b * p) + S(b * m)),
    "apo_down": (margins.apo_down, lambda p, m, b: S(b * p) + 1 - S(b * (p - m))),
    "discopop": (margins.discopop, lambda p, m, b: (
        -L(b * (p - m)) * (1 - S(b * (p - m) / 0.05))
        + np.exp(-b * (p - m)) * S(b * (p - m) / 0.05)))}


@pytest.mark.parametrize("name", PHIS)
def test_a_phi_is_what_trl_computes_from_the_same_two_numbers(name):
    """Whatever these are: sums over strings, or for its "ipo" means."""
    ours, theirs = PHIS[name]
    assert f'"{name}"' in TEXT
    np.testing.assert_allclose(ours(*H, beta=0.7)[0], theirs(*H, 0.7), rtol=1e-12, atol=1e-12)


LOGITS, REF = np.random.default_rng(1).normal(size=(2, 2, 2))
BOTH = pairs.Pairs(as_steps([[(0, 0)], [(1, 0), (1, 1)], [(0, 1)]], 2),
                   as_steps([[(0, 1), (0, 0)], [(1, 1)], [(1, 0), (0, 0), (0, 1)]], 2))
PLUS, MINUS = (rows @ log_softmax(LOGITS).ravel() for rows in BOTH.counts)
H_PLUS, H_MINUS = (rows @ (log_softmax(LOGITS) - log_softmax(REF)).ravel() for rows in BOTH.counts)
LENGTHS = [np.diff(side.starts) for side in (BOTH.chosen, BOTH.rejected)]
SORTED = {"aot": np.sort(PLUS - MINUS) - np.sort(PLUS - MINUS - H_PLUS + H_MINUS),
          "aot_unpaired": np.sort(H_PLUS) - np.sort(H_MINUS)}
LOGISTIC = partial(dpo.logistic, beta=0.7)
WHOLE = {  # (ours, as in TRL), of three pairs
    "nll": (sft.sft_loss(LOGITS, counts.table(BOTH.chosen)), -PLUS.sum() / LENGTHS[0].sum()),
    "kto": (kto.kto_loss(LOGITS, REF, *BOTH.counts, beta=0.7, z0=0.2), np.concatenate(
        [1 - S(0.7 * (H_PLUS - 0.2)), 1 - S(0.7 * (0.2 - H_MINUS))]).mean()),
    "simpo": (simpo.simpo_loss(LOGITS, *BOTH.means, beta=2.0, simpo_gamma=0.5), -L(
        2.0 * (PLUS / LENGTHS[0] - MINUS / LENGTHS[1] - 0.5 / 2.0)).mean()),
    "aot": (margins.aot_loss(LOGITS, REF, BOTH, LOGISTIC), -L(0.7 * SORTED["aot"]).mean()),
    "aot_unpaired": (margins.aot_unpaired_loss(LOGITS, REF, BOTH, LOGISTIC),
                     -L(0.7 * SORTED["aot_unpaired"]).mean())}


@pytest.mark.parametrize("name", WHOLE)
def test_a_loss_of_whole_strings_is_trls(name):
    (loss, _), theirs = WHOLE[name]
    assert loss == pytest.approx(theirs, abs=1e-12)
    assert not np.array_equal(SORTED["aot"], SORTED["aot_unpaired"])


def test_every_loss_type_of_the_table_of_preferences_is_held_to_its_form():
    named = {name for row in TABLES[0][1:] for name in re.findall(r'"(\w+)"', row[1])}
    assert named == {*PHIS, *WHOLE}


ALPHA = 0.3
DIVERGENCES = {  # (ours, TRL's score) of h
    "forward_kl": (margins.forward_kl, lambda h: 1 - np.exp(-h)),
    "js_divergence": (margins.jensen_shannon, lambda h: np.log(2) + L(h)),
    "alpha_divergence": (partial(margins.alpha_divergence, alpha=ALPHA),
                         lambda h, a=1 - ALPHA: (np.exp((a - 1) * h) - 1) / (a - 1))}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_divergence_is_trls_and_the_coefficient_of_its_alpha_is_one_less_ours(name):
    ours, theirs = DIVERGENCES[name]
    np.testing.assert_allclose(ours(H[0])[0], theirs(H[0]), rtol=1e-12, atol=1e-12)


RATIOS = np.exp(H[0])


def clipped(ratio, A, low=0.2, high=0.2):
    return np.minimum(ratio * A, np.clip(ratio, 1 - low, 1 + high) * A)


def trls_delta(ratio, A, delta):
    return np.minimum(np.minimum(ratio, delta) * A, np.clip(ratio, 0.8, 1.2) * A)


def verls_dual(ratio, A):
    return np.where(A < 0, np.maximum(clipped(ratio, A), 3.0 * A), clipped(ratio, A))


@pytest.mark.parametrize("A", [2.0, -2.0])
def test_the_gates_are_those_of_the_libraries_and_a_delta_below_the_clip_is_another_thing(A):
    """The value times A, up to a constant; of those held fixed the weight of log π, ρ g′"""
    assert {*np.digitize(RATIOS, [0.8, 1.2, 3.0, 5.0])} == {0, 1, 2, 3, 4}
    sign = np.sign(A)
    for gate, theirs in ((ratios.clip, clipped(RATIOS, A)),
                         (ratios.dual_clip, verls_dual(RATIOS, A)),
                         (ratios.dual_clip, trls_delta(RATIOS, A, 3.0)),
                         (partial(ratios.clip, epsilon_high=0.28), clipped(RATIOS, A, high=0.28))):
        np.testing.assert_allclose(gate(RATIOS, sign)[0] * A, theirs, rtol=1e-12)
    low = partial(ratios.dual_clip, delta=1.1)(RATIOS, sign)[0] * A
    assert not np.allclose(low, trls_delta(RATIOS, A, 1.1))
    tau = 1.0 if A > 0 else 1.05
    soft = 4 / tau * S(tau * (RATIOS - 1))
    np.testing.assert_allclose(ratios.sapo(RATIOS, sign)[0] - 1, soft - 2 / tau, atol=1e-12)
    k, rate = (2.0, 3.0) if A > 0 else (3.0, 2.0)
    for gate, held in ((ratios.cispo, np.minimum(RATIOS, 5.0)),
                       (partial(ratios.cispo, low=0.8, high=1.2), np.clip(RATIOS, 0.8, 1.2)),
                       (ratios.vespo, np.exp(rate + k * H[0] - rate * RATIOS))):
        np.testing.assert_allclose(RATIOS * gate(RATIOS, sign)[1], held, rtol=1e-12)


def test_the_ratio_of_strings_is_gspos_and_by_a_length_of_one_luspos(rng):
    """Strings of 1, 2 and 3 steps; GMPO's clip is of logarithms"""
    steps = as_steps([[(0, 1)], [(1, 0), (0, 1)], [(0, 0), (1, 1), (0, 1)]], 2)
    A = np.array([1.0, -2.0, 0.5])
    string, lengths = np.repeat([0, 1, 2], [1, 2, 3]), np.array([1, 2, 3])
    h = held = np.zeros(6)
    while (held == h).all() or (held != h).all():  # until GMPO's clip holds some, and not all
        logits, old = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
        h = (log_softmax(logits) - log_softmax(old)).ravel()[steps.index]
        held = np.where(A[string] > 0, np.minimum(h, 0.4), np.maximum(h, -0.4))
    mean = np.bincount(string, h) / lengths

    class Batch:
        pass

    Batch.lengths, Batch.truncated = lengths, np.zeros(3, bool)
    for weights, times in ((groups.per_string, 1), (groups.per_length(1), lengths)):
        batch = ratios.weighted_strings(steps, A, weights(Batch))
        loss, _ = ratios.string_loss(logits, old, batch, ratios.clip)
        assert loss == pytest.approx(-(times * clipped(np.exp(mean), A)).mean(), abs=1e-12)
    loss, _ = ratios.gmpo_loss(logits, old, ratios.weighted_strings(
        steps, A, groups.per_string(Batch)))
    theirs = -(np.exp(np.bincount(string, held) / lengths) * A).mean()
    assert loss == pytest.approx(theirs, abs=1e-12)


def test_the_deviation_of_a_group_has_one_less_below_it_in_the_libraries(rng):
    rewards = rng.normal(size=8)
    ours = groups.group_normalised(rewards, None, 8)
    theirs = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
    np.testing.assert_allclose(theirs, ours * np.sqrt(7 / 8), rtol=1e-3)
    np.testing.assert_allclose(groups.group_leave_one_out(rewards, None, 8),
                               (rewards - rewards.mean()) * 8 / 7, rtol=1e-12)


def test_zero_is_the_kl_of_the_teacher_to_the_student_and_one_the_other_way_round(rng):
    """And between them TRL's formula, with M = beta T + (1 − beta) π"""
    student, teacher = (log_softmax(rng.normal(size=(2, 3))) for _ in range(2))
    N = np.array([1.0, 2.0])

    def ours(beta):
        return distillation.distillation_loss(student, teacher, N, beta=beta)[0]

    assert ours(0) == pytest.approx(N @ kl(teacher, student), abs=1e-12)
    assert ours(1) == pytest.approx(N @ kl(student, teacher), abs=1e-12)
    middle = np.log(0.3 * np.exp(teacher) + 0.7 * np.exp(student))
    theirs = N @ (0.3 * kl(teacher, middle) + 0.7 * kl(student, middle))
    assert ours(0.3) == pytest.approx(theirs, abs=1e-12)


def test_ipo_by_means_is_margins_with_the_means_of_pairs():
    for rows, lengths in ((BOTH.means, LENGTHS), (BOTH.counts, (1, 1))):
        loss, _ = margins.margin_loss(LOGITS, REF, rows, partial(ipo.squared, beta=0.5))
        lead = H_PLUS / lengths[0] - H_MINUS / lengths[1]
        assert loss == pytest.approx(((lead - 1) ** 2).mean(), abs=1e-12)
