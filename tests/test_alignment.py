"""The job `alignment`: every number of its rows, its frontier and its proxies against linear solves
and the law of the best of n; the constants of its fits; what it prints and draws.

`conftest.py` starts the job as a user does, so that it has one core while the tests have the other.
What is tested here without it is the same job in a hurry.
"""

from functools import partial
import json

import numpy as np
import pytest
from scipy import sparse
from test_jobs import SCALES, found
from test_objectives import SURROGATES

from minirl.people.regularised import FrontierPoint
from minirl.exact.return_law import reward_law
from minirl.kernel.softmax import log_softmax
from minirl.lab import alignment
from minirl.lab.alignment import (Alignment, AlignmentScale, BestPoint, Held, JudgedModel, Proxy,
                                  ProxyPoint)
from minirl.lab.job import as_json
from minirl.lab.running_example import RunningExample, Writer, bigram_of, running_example
from minirl.people import dpo, ipo, kto, orpo, simpo
from minirl.people.best_of_n import best_of_n
from minirl.people.fitting import minimise_near
from minirl.people.grpo import resting_policy
from minirl.people.kl import string_kl
from minirl.people.reward_model import bradley_terry_loss, fit_reward_model
from toy_lm.ngram import language, sample
from toy_lm.preferences import sample_pairs

JOB = "alignment"
SCALE, FULL = SCALES["alignment"], AlignmentScale()
METHODS = ["reference", "optimum", "best_of_n", "rejection_sampling", "reinforce", "ppo", "grpo",
           "dr_grpo", "grpo_kl_in_reward", "rloo", *list(SURROGATES)[1:], "rlhf", "rlhf_iterated",
           "dpo", "ipo", "kto", "simpo", "orpo", "savage", "robust_mistaken"]
PREFERENCES = METHODS[-7:-2]  # the methods without a reward model
SHARES = {**dict.fromkeys(("reinforce", "ppo", "rloo", *SURROGATES), (0.99, 1)),
          **dict.fromkeys(("rlhf", "rlhf_iterated", "dpo", "savage"), (0.97, 1)),
          "robust_mistaken": (0.96, 0.98),
          "rejection_sampling": (0.936, 0.966), "ipo": (0.89, 0.91), "kto": (0.86, 0.88),
          "simpo": (-0.1, 1 / 6), "orpo": (0.66, 0.68)}
FIELDS = ["method", "reward", "kl", "objective", "share", "mean_length", "seconds", "samples"]


@pytest.fixture(scope="module")
def full(full_alignment):
    return full_alignment.json


@pytest.fixture(scope="module")
def rows(full):
    return {row["method"]: row for row in full["language"]["methods"]}


@pytest.fixture(scope="module")
def setting():
    return running_example(bigram_of())


@pytest.fixture(scope="module")
def hurried_run():
    """`Alignment` of 50 preferences and seed 3 in a hurry."""
    return found("alignment")[0]


# Oracles.


def sums(policy, *tables):
    """What tables are expected to add up to over a string, by a dense solve."""
    going = policy.copy()
    going[:, 0] = 0
    visits = np.linalg.solve(np.eye(len(policy)) - going.T, np.eye(len(policy))[0])
    return [float((visits[:, None] * policy * table).sum()) for table in tables]


def letters(shape):
    return np.ones(shape) * (np.arange(shape[1]) > 0)


def optimum_by_partition(rewards, ref_logp, beta):
    """(policy, J*) by the linear equation of Z, which is 1 at the end."""
    weights = np.exp(ref_logp + rewards / beta)
    going = weights.copy()
    going[:, 0] = 0
    Z = np.linalg.solve(np.eye(len(weights)) - going, weights[:, 0])
    return weights * np.append(1, Z[1:]) / Z[:, None], beta * np.log(Z[0])


def measured(setting, policy):
    """(reward, KL, J, share, letters) of a policy, by the solves that `test_scorecard` proves."""
    score = setting.judge(policy)
    return score.reward, score.kl, score.objective, score.share, score.length - 1


# The full run.


@pytest.mark.slow
def test_every_method_has_a_row_and_comes_to_what_its_chapter_says(full, rows):
    """What climbs J comes to the optimum; what learns from preferences falls short by what they do
    not tell, and only DPO aims at J*.  The limit of rejection sampling by many winners is 95.1 %,
    and 25,000 winners are better than the best of four itself."""
    assert [row["method"] for row in full["language"]["methods"]] == METHODS
    for row in rows.values():
        assert list(row) == FIELDS and len(row["samples"]) == 10
        assert None not in row.values() and row["seconds"] >= 0
    share = {name: row["share"] for name, row in rows.items()}
    for name, (least, most) in SHARES.items():
        assert least <= share[name] < most, name
    assert max(share["rlhf"], share["dpo"]) < share["ppo"]
    assert share["best_of_n"] < share["rejection_sampling"]
    assert full["resting"]["8"] == pytest.approx(0.7713, abs=5e-5)
    assert all(rows[name]["reward"] > rows["reference"]["reward"] + 0.5 for name in PREFERENCES)
    assert rows["simpo"]["reward"] > rows["optimum"]["reward"] and rows["simpo"]["kl"] > 2


@pytest.mark.slow
@pytest.mark.parametrize("method", SURROGATES)
def test_every_surrogate_comes_to_the_optimum_with_every_seed(setting, method):
    """With the KL in the reward, whatever it clips and divides by: 20 seeds"""
    for seed in range(20):
        logp = alignment.trainers(setting, seed, FULL)[method]()
        assert 0.999 < measured(setting, np.exp(logp))[3] < 1, seed


@pytest.mark.slow
def test_a_pull_holds_what_few_preferences_let_run_away(full):
    """Without it DPO, IPO and SimPO write very long strings; with it only IPO is still worse than
    the reference."""
    assert [(row["method"], row["pairs"]) for row in full["held"]] == [
        ("dpo", 300), ("dpo", 3000), ("ipo", 300), ("kto", 300), ("simpo", 300), ("orpo", 300)]
    for row, share in zip(full["held"], (0.36, 0.735, None, 0.34, 0.16, 0.34), strict=True):
        assert row["share"] is None or row["share"] < row["held_share"]
        if row["method"] in ("dpo", "ipo", "simpo"):
            assert row["share"] is None or row["share"] < -1000
            assert row["mean_length"] is None or row["mean_length"] > 300
        if share is None:
            assert row["held_share"] < -1 and 6 < row["held_length"] < 20
        else:
            assert row["held_share"] == pytest.approx(share, abs=0.005)
            assert row["held_length"] < 5


@pytest.mark.slow
def test_the_row_of_best_of_n_is_the_best_entry_of_a_curve_which_is_that_of_its_law(full, rows,
                                                                                   setting):
    """Reward, KL and letters as `best_of_n` has them, and the share of J"""
    truth, found = setting.world.mean_reward, []
    law = reward_law(language(truth), np.exp(setting.reference), also=letters(truth.shape)[None])
    start, best = rows["reference"]["objective"], rows["optimum"]["objective"]
    assert [entry["n"] for entry in full["best_of_n"]] == list(FULL.ns)
    for entry in full["best_of_n"]:
        of_n = best_of_n(law, entry["n"])
        J = of_n.reward - 0.5 * of_n.kl
        numbers = of_n.reward, of_n.kl, J, (J - start) / (best - start), of_n.means[0]
        found.append((numbers[3], entry["n"], numbers))
        assert [entry[name] for name in ("reward", "kl", "share")] == pytest.approx(
            [*numbers[:2], numbers[3]], abs=1e-8)
    _, n, numbers = max(found)
    assert full["n"] == n == 4
    assert [rows["best_of_n"][field] for field in FIELDS[1:6]] == pytest.approx(numbers, abs=1e-8)


def test_the_words_shown_for_best_of_n_are_the_first_best_of_their_groups(setting):
    curve, row = alignment.best_of(setting, 5, FULL)
    n = max(curve, key=lambda point: point.share).n
    words = setting.model.vocabulary.decode(sample(setting.reference, 10 * n, rng=5, horizon=200))
    vowels = [[c in "aeiou" for c in word] for word in words]
    earned = [0.139 * len(v) - sum(a == b for a, b in zip(v, v[1:])) for v in vowels]
    assert row.samples == [words[max(range(g, g + n), key=lambda i: round(earned[i], 9))]
                           for g in range(0, 10 * n, n)]


def assert_critical(beta, table, setting):
    """The weights of all strings have a sum just above this price, and none just below it."""
    for factor, adds_up in ((1 + 1e-6, True), (1 - 1e-6, False)):
        going = np.exp(setting.reference + table / (beta * factor))
        going[:, 0] = 0
        assert (np.abs(np.linalg.eigvals(going)).max() < 1) == adds_up


@pytest.mark.slow
def test_the_points_of_the_frontier_are_optima_down_to_the_critical_price(full, setting):
    """(regularised.4), by a dense solve"""
    truth = setting.world.mean_reward
    assert [point["beta"] for point in full["frontier"]] == list(FULL.betas)
    for point in full["frontier"]:
        policy, J = optimum_by_partition(truth, setting.reference, point["beta"])
        reward, kl, *_ = measured(setting, policy)
        assert (point["reward"], point["kl"]) == pytest.approx((reward, kl), abs=1e-7)
        assert point["reward"] - point["beta"] * point["kl"] == pytest.approx(J, abs=1e-9)
    assert_critical(full["critical_beta"], truth, setting)


# Proxies.


@pytest.fixture(scope="module")
def proxies(setting):
    return alignment.over_optimised(setting, 0, FULL)


@pytest.fixture(scope="module")
def proxy_tables(setting):
    """The reward table of each proxy, put together here.

    Both fits see the same hundred preferences, the second minus the like pairs and the letters.
    """
    alike = (setting.world.mean_reward < 0).astype(float)
    data = drawn(setting, 100, [0, 9])
    every = fit_reward_model(np.zeros(alike.shape), data, pull=2.0).x
    gaps = data.difference @ np.array([-alike.ravel(), letters(alike.shape).ravel()]).T
    like, letter = minimise_near(lambda w: bradley_terry_loss(w, sparse.csr_array(gaps)),
                                 np.zeros((1, 2)), pull=2.0, examples=100).x.ravel()
    return every, letter * letters(alike.shape) - like * alike, -alike


@pytest.mark.slow
@pytest.mark.parametrize("which", range(3))
def test_each_path_is_that_of_its_proxy(proxies, proxy_tables, setting, which):
    """Proxy, truth, KL and letters of its optima by dense solves, which come close to its own
    critical price, and of the best of n by its law: the proxy chooses, and truth and letters are
    those of what it has chosen."""
    proxy, table = proxies[which], proxy_tables[which]
    policy = np.exp(setting.reference)
    truth, count = setting.world.mean_reward, letters(table.shape)
    proxy_0, gold_0 = sums(policy, table, truth)
    for point in proxy.optima:
        best, J = optimum_by_partition(table, setting.reference, point.at)
        kl, earned, gold, length = sums(best, np.log(best) - setting.reference, table, truth, count)
        assert point[:4] == pytest.approx((kl, earned - proxy_0, gold - gold_0, length), rel=1e-6,
                                          abs=1e-6)
    at = [point.at for point in proxy.optima]
    if which < 2:
        least = at[-1] / 1.05
        near = [least * x for x in (2.0, 1.5, 1.2, 1.1, 1.05)]
        assert at == pytest.approx(sorted({beta for beta in (*FULL.betas, 0.2, 0.1, *near)
                                           if beta > least * 1.01}, reverse=True), rel=1e-12)
        assert_critical(least, table, setting)
    else:
        assert at == [*FULL.betas, 0.2, 0.1]
    if which == 0:
        assert proxy.best_of_n == []
        return
    law = reward_law(language(table), policy, also=np.array([truth, count]))
    assert [point.at for point in proxy.best_of_n] == list(FULL.ns)
    for point in proxy.best_of_n:
        best = best_of_n(law, int(point.at))
        gold, length = best.means
        assert point[:4] == pytest.approx((best.kl, best.reward - proxy_0, gold - gold_0, length),
                                          abs=1e-7)


@pytest.mark.slow
def test_the_learned_proxy_over_optimises_and_the_others_do_not(proxies, setting):
    """Its truth rises and then falls, by more than it had risen, below that of the reference, while
    the proxy goes on rising; for every seed.  Two features from the same preferences are safe, and
    without the bonus for letters the strings become short."""
    hasty = FULL._replace(ns=(1,), law_tol=1e-4, betas=FULL.betas[3::4])
    for optima in (proxies[0].optima, *(alignment.over_optimised(setting, seed, hasty)[0].optima
                                        for seed in (1, 2, 3))):
        kl, proxy, gold, *_ = np.transpose(optima)
        top = gold.argmax()
        assert 0 < top < len(gold) - 1 and gold[top] > 0.1 and gold[0] > 0
        assert (np.diff(gold[:top + 1]) > 0).all() and (np.diff(gold[top:]) < 0).all()
        assert gold[-1] < -2 * gold[top] and (np.diff(proxy) > 0).all() and (np.diff(kl) > 0).all()
    _, two, bare = proxies
    gold = [point.gold for point in two.optima]
    assert (np.diff(gold) > 0).all() and gold[-1] > 6
    assert bare.name == "true reward without its letters"
    for points in bare.optima, bare.best_of_n:
        length = [point.letters for point in points]
        assert length[-1] < 2.7 and all(np.diff(length) < 1e-9)
    assert bare.best_of_n[0].letters == pytest.approx(5.91, abs=5e-3)


# The job in a hurry.


@pytest.mark.slow
def test_every_row_is_measured_by_expectation(hurried_run, setting):
    """The policy of each trainer is trained once more; reward, KL, length by dense solves."""
    assert [row.method for row in hurried_run.rows] == METHODS
    data = drawn(setting, 50, [3, 7, 0])
    trained = {**alignment.trainers(setting, 3, SCALE),
               "rlhf": lambda: alignment.by_rlhf(setting, data, [3, 8, 0], SCALE),
               "rlhf_iterated": lambda: alignment.by_iterated_rlhf(setting, 50, 3, SCALE),
               **alignment.by_preferences(setting, data),
               "savage": lambda: alignment.by_savage(setting, data),
               "robust_mistaken": lambda: alignment.by_robust(setting, 50, [3, 7, 0])}
    assert list(trained) == METHODS[3:]
    trained["reference"] = lambda: setting.reference
    trained["optimum"] = lambda: np.log(optimum_by_partition(setting.world.mean_reward,
                                                             setting.reference, 0.5)[0])
    objectives = set()
    for row in hurried_run.rows[:2] + hurried_run.rows[3:]:
        logp = trained[row.method]()
        assert row[1:6] == pytest.approx(measured(setting, np.exp(logp)), abs=1e-9)
        assert row.samples == setting.model.vocabulary.decode(sample(logp, 10, rng=3, horizon=200))
        objectives.add(row.objective)
    assert len(objectives) == 28 and hurried_run.pairs == 50
    assert hurried_run.rows[0].kl == 0 and hurried_run.rows[0].share == 0
    logp = resting_policy(setting.world, setting.reference, beta=0.5, num_generations=2)
    assert hurried_run.resting == {2: pytest.approx(measured(setting, np.exp(logp))[3], abs=1e-9)}


@pytest.mark.slow
def test_a_policy_whose_strings_do_not_end_has_no_numbers(setting, monkeypatch):
    runaway, found = np.full((27, 27), -np.log(26)), {}
    runaway[:, 0] = -1e4
    monkeypatch.setattr(alignment, "trainers", lambda *_: {"ppo": lambda: runaway, **found})
    for name in ("by_preferences", "judged_models", "over_optimised", "held_or_not", "by_rlhf",
                 "by_iterated_rlhf", "by_robust", "by_savage"):
        monkeypatch.setattr(alignment, name, lambda *_, name=name: (
            setting.reference if name.endswith(("rlhf", "robust", "savage")) else {}))
    row, rlhf, *_ = alignment.align(50, 0, str, SCALE).rows[3:]
    assert row.method == "ppo" and row[1:6] == (None,) * 5 and None not in rlhf
    assert all(len(word) == 201 and word[-1] == "…" for word in row.samples)
    for wrong in np.nan, -1.0:  # rows of NaN, and of exp(-1) each
        found["ppo"] = lambda wrong=wrong: np.full((27, 27), wrong)
        with pytest.raises(ValueError, match=r"(logits|policy).* must "):
            alignment.align(50, 0, str, SCALE)


def test_a_learned_reward_is_climbed_in_one_round_or_in_several(setting, monkeypatch):
    """Which share the preferences and ask about the policy before; the model is fitted to all."""
    seen, draw = [], RunningExample.preferences
    monkeypatch.setattr(RunningExample, "preferences", lambda self, pairs, rng, logp: (
        seen.append((logp, pairs)), draw(self, pairs, rng, logp))[1])
    last = alignment.by_iterated_rlhf(setting, 95, 5, SCALE)
    data = logp = None
    for k, (before, pairs) in enumerate(seen):
        np.testing.assert_array_equal(before, setting.reference if k == 0 else logp)
        more = draw(setting, 31, [5, 7, k], before)
        data = more if data is None else data + more
        reward_table = fit_reward_model(np.zeros((27, 27)), data, pull=2.0).x
        logp = alignment.by_rlhf(setting, data, [5, 8, k], SCALE)
        np.testing.assert_array_equal(
            logp, setting.climbed(reward_table, [5, 8, k], SCALE.iterations))
        assert pairs == 31
    np.testing.assert_array_equal(last, logp)
    assert len(seen) == 3


def test_preferences_are_charged_to_all_who_use_them_and_the_optimum_pays_for_itself(
        setting, monkeypatch):
    now = [0.0]

    def takes(seconds, found=None):
        def work(*_):
            now[0] += seconds
            return found
        return work

    ref = setting.reference
    for module in "job", "keeping":
        monkeypatch.setattr(f"minirl.lab.{module}.perf_counter", lambda: now[0])
    for owner, name, seconds, made in (
            (RunningExample, "preferences", 100, drawn(setting, 5, 0)),
            (alignment, "bigram_of", 1, setting.model), (alignment, "running_example", 10, setting),
            *((alignment, name, 1000, ref) for name in ("by_rlhf", "by_iterated_rlhf",
                                                        "by_robust", "by_savage")),
            *((alignment, name, 1e6, []) for name in ("judged_models", "over_optimised",
                                                      "held_or_not"))):
        monkeypatch.setattr(owner, name, takes(seconds, made))
    for name in "trainers", "by_preferences":
        monkeypatch.setattr(alignment, name, lambda *_, name=name: {name: takes(1000, ref)})
    found = alignment.align(50, 0, str, SCALE)
    assert {row.method: row.seconds for row in found.rows} == {
        "reference": 1, "optimum": 10, "best_of_n": 0, "trainers": 1000, "rlhf": 1100,
        "rlhf_iterated": 1000, "by_preferences": 1100, "savage": 1100,
        "robust_mistaken": 1000}


# Methods without a reward model.


def drawn(setting, pairs, rng):
    """Preferences over strings of the reference."""
    return sample_pairs(setting.reference, setting.world.mean_reward, pairs, rng=rng)


@pytest.mark.parametrize("pull", [{}, {"pull": 9.0}])
def test_each_fit_to_preferences_has_the_constants_of_the_job(setting, pull):
    """β = 0.5, τ = β/4, SimPO's β = 2 and γ = 1, λ = 1, and a pull of 2, whatever a fit's own
    defaults are."""
    data, pulled = drawn(setting, 50, 5), {"pull": 2.0, **pull}
    fits = {"dpo": partial(dpo.fit_dpo, beta=0.5), "ipo": partial(ipo.fit_ipo, beta=0.125),
            "kto": partial(kto.fit_kto, beta=0.5, divergence=lambda logits: string_kl(
                setting.world, logits, setting.reference)[0]),
            "simpo": partial(simpo.fit_simpo, beta=2.0, simpo_gamma=1.0),
            "orpo": partial(orpo.fit_orpo, beta=1.0)}
    found = alignment.by_preferences(setting, data, **pull)
    assert list(found) == list(fits) == PREFERENCES
    for name, fit in fits.items():
        expected = log_softmax(fit(setting.reference, data, **pulled).x)
        np.testing.assert_allclose(found[name](), expected, atol=1e-12)


# Few preferences, without a pull and with it.


def test_each_row_is_measured_without_the_pull_and_with_it(hurried_run, setting):
    """Share and length by dense solves, on the same data; `with` is the last two."""
    for row, (method, pairs) in zip(hurried_run.held, SCALE.unheld, strict=True):
        assert row[:2] == (method, pairs)
        data = drawn(setting, pairs, [3, 9])
        found = []
        for pull in 0.0, 2.0:
            logp = alignment.by_preferences(setting, data, pull)[method]()
            found += measured(setting, np.exp(logp))[3:]
        assert row[2:] == pytest.approx(found, rel=1e-6)
        assert row.share < row.held_share


def test_a_fit_whose_strings_do_not_end_has_neither_share_nor_length(setting, monkeypatch):
    """Neither where the policy is measured, nor where the fit of KTO wants its divergence.  A
    mistake of the fit, a policy of NaN and one of another shape are not taken for that."""
    runaway = np.full((27, 27), -np.log(26))
    runaway[:, 0] = -1e4
    fits = {(name, pull): lambda: setting.reference for name in ("dpo", "kto") for pull in (0, 2)}
    fits["dpo", 0] = lambda: runaway
    fits["kto", 0] = lambda: string_kl(setting.world, runaway, setting.reference)
    monkeypatch.setattr(alignment, "by_preferences", lambda setting, data, pull=2.0: {
        name: fits[name, pull] for name in ("dpo", "kto")})
    length = pytest.approx(measured(setting, np.exp(setting.reference))[4])
    methods = [("dpo", 7), ("kto", 8)]
    assert alignment.held_or_not(setting, 0, methods) == [
        (*method, None, None, pytest.approx(0, abs=1e-12), length) for method in methods]

    def mistaken():
        raise ValueError("beta must be positive and finite, got 0.0")

    for pull in 0, 2:
        for fit, message in ((mistaken, "beta must be positive"),
                             (lambda: np.full((27, 27), np.nan), "policy.* must lie in"),
                             (lambda: setting.reference[:, :5], "could not be broadcast")):
            monkeypatch.setitem(fits, ("dpo", pull), fit)
            with pytest.raises(ValueError, match=message):
                alignment.held_or_not(setting, 0, methods)
        monkeypatch.setitem(fits, ("dpo", pull), lambda: setting.reference)


@pytest.mark.slow
def test_the_reward_models_of_the_full_run_come_closer_to_what_is_possible(full):
    models = full["models"]
    assert [model["pairs"] for model in models] == [100, 1000, 10_000, 100_000]
    for worse, better in zip(models, models[1:]):
        assert worse["error"] > better["error"] and worse["accuracy"] < better["accuracy"]
        assert worse["calibration"] > better["calibration"]
    assert abs(models[-1]["accuracy"] - models[-1]["best_accuracy"]) < 0.01
    assert models[-1]["error"] < 0.2 < 1 < models[0]["error"] and models[-1]["has_optimum"]
    for said, seen in zip(models[-1]["predicted"], models[-1]["observed"]):
        assert abs(said - seen) < 0.03


# What is printed, of a small result made by hand.


def row(method, *numbers, seconds=1.234):
    return Writer(method, *(numbers or (None,) * 5), seconds, ["ana"])


SMALL = Alignment(
    1_234_567, [row("reference", -0.53549, 0.0, -0.53549, 0.0, 5.9129),
                row("best_of_n", 0.4, 0.6, 0.1, 0.91, 4.4),
                row("rejection_sampling", -1.5, 12.34567, 0.25, -0.00004, 123.456, seconds=99.995),
                row("ppo")],
    4, 0.277571, [FrontierPoint(10.0, -0.4, 0.00644), FrontierPoint(0.45, 1.0, 10.5)],
    [BestPoint(1, -0.53549, 0.0, 0.0), BestPoint(4, 0.40615, 0.63098, 0.91486),
     BestPoint(1024, 1.9495, 5.9194, -0.69351)],
    {2: 0.76095, 8: 0.77128},
    [JudgedModel(20, 0.5, 0.71234, 1.2, 40.5, False, 0.25, [None] * 9 + [0.98],
                 [None] * 9 + [0.5]),
     JudgedModel(10**7, 0.72, 0.71234, 0.0123, 0.8, True, 0.0012,
                 [k / 10 + 0.051 for k in range(10)], [k / 10 + 0.049 for k in range(10)])],
    [Held("dpo", 300, -1_234_560.0, 998.9, 0.3579, 5.4321),
     Held("kto", 3_000, None, None, 0.5, 4.25)],
    [Proxy("a", [ProxyPoint(0.1, 0.2, -0.3, 5.678, 10.0), *[ProxyPoint(*5 * [9.0])] * 2,
                 ProxyPoint(18.5254, 5.2374, -0.0001, 35.695, 0.227607)], []),
     Proxy("true reward without its letters", [], [ProxyPoint(0.0, -1e-9, 0.0, 5.9129, 1.0)])])


def small_text(**fields):
    return "\n" + alignment.alignment_text(SMALL._replace(**fields)) + "\n"


def test_every_table_is_set_in_columns_under_its_heads():
    """Null where there is no number; the frontier beside the best of n, every third point of a
    proxy, and no minus before nothing."""
    text = small_text()
    for table in ("""
best_of_n           0.4000  0.6000  0.1000 0.9100 █████████▏        4.40    1.23
rejection_sampling -1.5000 12.3457  0.2500 0.0000                 123.46  100.00
ppo                   null    null    null   null                   null    1.23
""", """
beta   reward       KL    best of n   reward      KL    share
  10  -0.4000   0.0064            1  -0.5355  0.0000   0.0000
0.45   1.0000  10.5000            4   0.4062  0.6310   0.9149  █████████▏
                               1024   1.9495  5.9194  -0.6935
""", """
No optimum exists at or below beta = 0.27757.
""", """
     pairs  accuracy  best possible  calibration  error  weights  optimum
        20    0.5000         0.7123       0.2500  1.200    40.50  no
10,000,000    0.7200         0.7123       0.0012  0.012     0.80  yes
""", """
predicted  0.05  0.15  0.25  0.35  0.45  0.55  0.65  0.75  0.85  0.95
observed   0.05  0.15  0.25  0.35  0.45  0.55  0.65  0.75  0.85  0.95
""", """
                   without                   with
method  pairs  mean length     share  mean length  share
dpo       300      998.900  -1.2e+06        5.432  0.358  ███▋
kto     3,000         null      null        4.250  0.500  █████
""", """
proxy                            maximised by      KL  proxy   truth  letters
a                                beta 10        0.100  0.200  -0.300     5.68
a                                beta 0.2276   18.525  5.237   0.000    35.70
true reward without its letters  n = 1          0.000  0.000   0.000     5.91
"""):
        assert table in text, table
    for words in "saw the same 1,234,567 preferences, ", "of 10,000,000 pairs predicts comes true:":
        assert words in " ".join(text.split())
    assert max(map(len, text.split("\n"))) <= 80
    few = small_text(best_of_n=SMALL.best_of_n[:1], models=SMALL.models[:1])
    assert "beta reward KL best of n reward KL share" in " ".join(few.split())
    assert "\n0.45   1.0000  10.5000\n\n" in few and "\npredicted  null  " in few


def test_a_corpus_of_ones_own_is_modelled_and_named(command, tmp_path, monkeypatch):
    """And where nothing comes to rest, the share is null"""
    given = []
    monkeypatch.setattr(alignment, "align", lambda *arguments: given.append(arguments[-2]) or SMALL)
    path = tmp_path / "own.txt"
    path.write_text("on\n no\n\nono\n")
    text = command("--corpus", str(path))[1]
    assert given == [["on", "no", "ono"]] and f"the bigram\nof {path}.\n" in text
    assert "fitted to the default corpus, not to this one." in text
    usual = command()[1]
    assert len(given[1]) == 2465 and "of the Unicode words." in usual and "default" not in usual
    text = " ".join(small_text(resting={2: None, 8: 0.5}).split())
    assert "(size of the group) null for 2, 0.500 for 8;" in text


def test_a_point_of_rest_that_is_not_found_in_time_has_no_share(setting, monkeypatch):
    """As with the strings of a corpus of sentences"""
    monkeypatch.setattr(alignment, "resting_policy", partial(resting_policy, max_rounds=2))
    assert alignment.at_rest_in_groups(setting, 2) is None


def test_the_json_has_exactly_the_promised_fields_unrounded(hurried_run):
    """And no number is turned into a float behind the reader's back, such as n."""
    for given in SMALL, hurried_run:
        found = json.loads(as_json(alignment.ALIGNMENT.document(given)))
        fields = json.loads(as_json(given))
        assert fields.pop("file") is None
        assert list(found) == ["language", *list(fields)[2:]] and fields.pop("pairs") == given.pairs
        assert found.pop("language") == {"methods": fields.pop("rows")} and found == fields
        assert type(found["n"]) is int and all(type(e["n"]) is int for e in found["best_of_n"])
    found = json.loads(as_json(SMALL))
    assert list(found)[2:] == ["n", "critical_beta", "frontier", "best_of_n", "resting", "models",
                               "held", "proxies", "file"]
    assert [list(row) for row in found["rows"]] == [FIELDS] * 4
    assert [tuple(point.values()) for point in found["frontier"]] == SMALL.frontier


# Figures.


def lines_of(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
            for line in axes.lines}


def test_the_figure_of_the_frontier_shows_what_costs_less_than_three_nats():
    """It begins at the reference; what has no numbers or lies farther away is left out."""
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    near = FrontierPoint(0.5, 0.6, 0.9)
    far, best = FrontierPoint(0.4, 0.7, 3.5), BestPoint(99, 0.8, 3.5, 0.5)
    figure = figures.frontier_figure(SMALL._replace(
        frontier=[SMALL.frontier[0], near, far, SMALL.frontier[1]],
        best_of_n=[*SMALL.best_of_n, best]))
    axes, = figure.axes
    assert lines_of(axes) == {
        "path of optima": ([0, 0.00644, 0.9], [-0.53549, -0.4, 0.6]),
        "best of n": ([0.0, 0.63098], [-0.53549, 0.40615]),
        "reference": ([0.0], [-0.53549])}
    assert {text.get_text() for text in axes.texts} == {"path of optima", "best of n", "reference"}
    assert axes.get_xlabel() == "KL to the reference, nats per string"
    assert axes.get_ylabel() == "E[reward]"


def test_every_method_has_a_mark_and_a_name_which_hides_no_mark(hurried_run):
    """None is left out because the marks have come to an end."""
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    from matplotlib.text import Text
    with figures.rc_context(figures.STYLE):
        figure = figures.frontier_figure(hurried_run)
    figure.draw_without_rendering()
    axes, = figure.axes
    drawn, near = lines_of(axes), {row.method: row for row in hurried_run.rows
                                   if row.method != "best_of_n" and row.kl is not None
                                   and row.kl < 3}
    assert len(near) > 20
    for name, row in near.items():
        assert drawn[name] == ([row.kl], [row.reward])
    boxes = {text.get_text(): Text.get_window_extent(text) for text in axes.texts
             if text.get_text() in near}  # without the lines that lead to them
    assert set(boxes) == set(near)
    panel, names = axes.get_window_extent(), sorted(boxes.values(), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in zip(names, names[1:]))
    assert panel.width > 300 and min(box.x0 for box in names) >= panel.x1
    assert max(box.x1 for box in names) <= figure.bbox.x1 and names[-1].y1 <= figure.bbox.y1


def test_the_figure_of_proxies_has_a_panel_each_with_promise_and_truth():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    with figures.rc_context(figures.STYLE):
        first, second = figures.proxies_figure(SMALL).axes
    kl = [0.1, 9.0, 9.0, 18.5254]
    assert lines_of(first) == {"proxy, optima": (kl, [0.2, 9.0, 9.0, 5.2374]),
                               "truth, optima": (kl, [-0.3, 9.0, 9.0, -0.0001]),
                               "peak": ([9.0], [9.0])}
    assert {text.get_text() for text in first.texts} == {"promise", "truth"}
    assert lines_of(second) == {"proxy, best of n": ([0.0], [-1e-9]),
                                "truth, best of n": ([0.0], [0.0])}
    for axes, proxy in zip((first, second), SMALL.proxies):
        assert axes.get_title(loc="left").replace("\n", " ") == proxy.name
        assert axes.get_xlabel() == "KL, nats per string"
        one, other = axes.lines[:2]
        assert one.get_color() != other.get_color()
    assert first.lines[0].get_linestyle() != second.lines[0].get_linestyle()


# The command.


def test_the_arguments_and_their_defaults_reach_the_work(command, monkeypatch):
    seen = []
    monkeypatch.setattr(alignment, "align", lambda pairs, seed, progress, scale, items, kept: (
        seen.append((pairs, seed, scale)) or SMALL))
    assert command("--quiet") == command("--pairs", "77", "--seed", "5", "--quiet") == (0, "", "")
    assert seen == [(100_000, 0, FULL), (77, 5, FULL)]


@pytest.mark.slow
def test_the_seed_reaches_all_that_is_drawn(hurried_run, setting):
    """And nothing that is exact"""
    for name, work in (("models", lambda seed: alignment.judged_models(setting, [20, 50], seed,
                                                                       SCALE)),
                       ("proxies", lambda seed: alignment.over_optimised(setting, seed, SCALE))):
        mine, same, other = getattr(hurried_run, name), work(3), work(4)
        assert mine == same and [one == two for one, two in zip(mine, other)] == [
            False, False, *[True] * (name == "proxies")]
    one, two = (alignment.trainers(setting, seed, SCALE)["reinforce"]() for seed in (3, 4))
    assert not np.array_equal(one, two)


@pytest.mark.slow
def test_k3_in_the_loss_comes_to_rest_where_the_expected_update_does(rows, full, grpo_at_rest):
    """(grpo.2) for Dr. GRPO, and for GRPO what `grpo_at_rest.py` has computed: to a point"""
    assert grpo_at_rest["update"] < 1e-4
    assert round(grpo_at_rest["share"], 2) == 0.79
    assert rows["grpo"]["share"] == pytest.approx(grpo_at_rest["share"], abs=0.01)
    assert rows["dr_grpo"]["share"] == pytest.approx(full["resting"]["8"], abs=0.01)
