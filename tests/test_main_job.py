"""The main job, run once as a user starts it, and judged by its own JSON.

`conftest.py` starts it before the first test, so that it has one core while the tests have the
other.
"""

import pytest

from minirl.lab import main_job
from minirl.exact.planning import policy_iteration


@pytest.fixture(scope="module")
def grids(full_run):
    return {(row["world"], row["method"]): row for row in full_run.json["gridworld"]}


@pytest.fixture(scope="module")
def methods(full_run):
    return {row["method"]: row for row in full_run.json["language"]["methods"]}


@pytest.mark.slow
def test_the_full_run_says_nothing_on_stderr(full_run):
    assert full_run.stderr == ""


@pytest.mark.slow
def test_the_full_run_lists_worlds_and_methods_in_order(full_run):
    found = full_run.json
    assert [(row["world"], row["method"]) for row in found["gridworld"]] == [
        (world, method) for world in ("frozen_lake_4x4", "cliff_walk")
        for method in ("q_learning", "reinforce", "ppo")]
    assert [row["method"] for row in found["language"]["methods"]] == [
        "reference", "optimum", "ppo", "rlhf", "dpo"]


@pytest.mark.slow
def test_the_grids_are_measured_against_their_exact_optimum(grids):
    optima = {world: policy_iteration(grid.mdp(gamma=0.99)).objective
              for world, grid in main_job.GRIDS.items()}
    assert optima["cliff_walk"] == pytest.approx(-(1 - 0.99**13) / 0.01, abs=1e-9)
    for (world, _), row in grids.items():
        best = row["optimum"]
        assert best == pytest.approx(optima[world], abs=1e-9)
        assert row["value"] <= best + 1e-9 and row["steps"] > 100_000 and row["seconds"] > 0
        assert row["gap"] == pytest.approx(best - row["value"], abs=1e-12)
        assert row["share"] == pytest.approx(1 - (best - row["value"]) / abs(best), abs=1e-12)


@pytest.mark.slow
def test_every_learner_crosses_the_lake_and_survives_the_cliff(grids):
    for method in "q_learning", "reinforce", "ppo":
        assert grids["frozen_lake_4x4", method]["share"] >= 0.95
    assert abs(grids["cliff_walk", "q_learning"]["gap"]) <= 1e-9
    assert grids["cliff_walk", "ppo"]["value"] >= -14
    assert grids["cliff_walk", "reinforce"]["value"] >= -30


@pytest.mark.slow
def test_every_writer_reaches_its_share_of_the_exact_optimum(methods):
    assert abs(methods["reference"]["kl"]) <= 1e-12 and methods["reference"]["share"] == 0
    assert methods["optimum"]["share"] == pytest.approx(1, abs=1e-12)
    assert 0.99 <= methods["ppo"]["share"] <= 1
    assert 0.88 <= methods["rlhf"]["share"] <= 1
    assert 0.90 <= methods["dpo"]["share"] <= 1


@pytest.mark.slow
def test_the_numbers_of_a_writer_agree_with_each_other(methods):
    worst, best = methods["reference"]["objective"], methods["optimum"]["objective"]
    for row in methods.values():
        J = row["reward"] - 0.5 * row["kl"]
        assert row["objective"] == pytest.approx(J, abs=1e-12)
        assert row["share"] == pytest.approx((J - worst) / (best - worst), abs=1e-9)
        assert row["kl"] >= 0 and row["seconds"] > 0
    assert round(methods["reference"]["mean_length"], 2) == 5.91  # letters; an end is none
    assert round(methods["optimum"]["mean_length"], 2) == 6.11


@pytest.mark.slow
def test_ten_words_are_drawn_from_each_writer_with_one_seed(methods):
    for row in methods.values():
        assert len(row["samples"]) == 10
        assert set("".join(row["samples"])) <= set("abcdefghijklmnopqrstuvwxyz…")
    assert methods["reference"]["samples"] != methods["optimum"]["samples"]
    # The same luck for nearly the same policies: nearly the same first letters.
    together = zip(methods["optimum"]["samples"], methods["ppo"]["samples"])
    assert sum(one[:1] == other[:1] for one, other in together) >= 9


@pytest.mark.slow
def test_the_corpus_of_the_full_run_is_the_unicode_words(full_run):
    corpus = full_run.json["language"]["corpus"]
    assert (corpus["items"], corpus["symbols"]) == (2465, 27)
    assert round(corpus["nll_train"], 4) == 2.5842 and round(corpus["nll_heldout"], 4) == 2.5996
    assert "2.5838 fitted to all items" in full_run.stdout


@pytest.mark.slow
def test_the_tables_show_the_numbers_of_the_json_within_eighty_columns(full_run, grids, methods):
    lines = full_run.stdout.split("\n")
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    for (world, method), row in grids.items():
        numbers = [f"{row[name]:.4f}" for name in ("value", "optimum", "share", "gap")]
        assert [world, method, *numbers, f"{row['steps']:,}", f"{row['seconds']:.1f}"] in rows
    for method, row in methods.items():
        numbers = [f"{row[name]:.4f}" for name in ("reward", "kl", "objective", "share")]
        assert [method, *numbers, f"{row['mean_length']:.2f}", f"{row['seconds']:.2f}"] in rows
        first = row["samples"][0]
        assert lines[lines.index(f"{method}:") + 1].startswith(f"  {first or '(empty)'}")
