"""The job `demo`: run once as a user starts it and judged by its own JSON; run in a hurry; and what
it prints.

`conftest.py` starts the full run before the first test, so that it has one core while the tests
have the other.
"""

from math import log
from types import SimpleNamespace

import numpy as np
import pytest
from test_command_line import NAMES
from test_jobs import SCALES

from minirl.exact.planning import policy_iteration
from minirl.lab import demo
from minirl.lab.demo import Corpus, DemoScale, GridRow, Language
from minirl.lab.running_example import RunningExample, Writer

@pytest.mark.slow
def test_every_learner_on_a_grid_is_measured_against_the_exact_optimum_and_arrives(full_run):
    """On the cliff, of which the optimum is known in closed form, it survives."""
    grids = {(row["world"], row["method"]): row for row in full_run.json["gridworld"]}
    assert list(grids) == [(world, method) for world in ("frozen_lake_4x4", "cliff_walk")
                           for method in ("q_learning", "reinforce", "ppo")]
    assert len(full_run.json["gridworld"]) == 6
    optima = {world: policy_iteration(grid.mdp(gamma=0.99)).objective
              for world, grid in demo.GRIDS.items()}
    assert optima["cliff_walk"] == pytest.approx(-(1 - 0.99**13) / 0.01, abs=1e-9)
    for (world, _), row in grids.items():
        best = row["optimum"]
        assert best == pytest.approx(optima[world], abs=1e-9)
        assert row["value"] <= best + 1e-9 and row["steps"] > 100_000 and row["seconds"] > 0
        assert row["gap"] == pytest.approx(best - row["value"], abs=1e-12)
        assert row["share"] == pytest.approx(1 - (best - row["value"]) / abs(best), abs=1e-12)
        assert row["share"] >= 0.95 or world == "cliff_walk"
    assert abs(grids["cliff_walk", "q_learning"]["gap"]) <= 1e-9
    assert grids["cliff_walk", "ppo"]["value"] >= -14
    assert grids["cliff_walk", "reinforce"]["value"] >= -30


@pytest.mark.slow
def test_every_writer_reaches_its_share_of_the_exact_optimum(full_run):
    """The corpus is that of the Unicode words; all writers draw ten words with one seed, so that
    nearly the same policies write nearly the same first letters."""
    found = full_run.json["language"]
    corpus, rows = found["corpus"], {row["method"]: row for row in found["methods"]}
    assert (corpus["items"], corpus["symbols"]) == (2465, 27)
    assert round(corpus["nll_train"], 4) == 2.5842 and round(corpus["nll_heldout"], 4) == 2.5996
    assert "2.5838 fitted to all items" in full_run.stdout
    assert [row["method"] for row in found["methods"]] == [
        "reference", "optimum", "ppo", "rlhf", "dpo"]
    worst, best = rows["reference"]["objective"], rows["optimum"]["objective"]
    for row in rows.values():
        J = row["reward"] - 0.5 * row["kl"]
        assert row["objective"] == pytest.approx(J, abs=1e-12)
        assert row["share"] == pytest.approx((J - worst) / (best - worst), abs=1e-9)
        assert row["kl"] >= 0 and row["seconds"] > 0 and len(row["samples"]) == 10
        assert set("".join(row["samples"])) <= set("abcdefghijklmnopqrstuvwxyz…")
    assert abs(rows["reference"]["kl"]) <= 1e-12 and rows["reference"]["share"] == 0
    assert rows["optimum"]["share"] == pytest.approx(1, abs=1e-12)
    for method, least in ("ppo", 0.99), ("rlhf", 0.88), ("dpo", 0.90):
        assert least <= rows[method]["share"] <= 1
    assert round(rows["reference"]["mean_length"], 2) == 5.91  # letters; an end is none
    assert round(rows["optimum"]["mean_length"], 2) == 6.11
    assert rows["reference"]["samples"] != rows["optimum"]["samples"]
    together = zip(rows["optimum"]["samples"], rows["ppo"]["samples"])
    assert sum(one[:1] == other[:1] for one, other in together) >= 9


# In a hurry.


def language_of(seed=0, items=NAMES, pairs=20):
    return demo.language_table(items, seed, 0.5, pairs, str, SCALES["demo"])


@pytest.mark.slow
def test_a_seed_gives_the_same_results_apart_from_the_seconds():
    """And an own corpus its own letters"""
    found, again, other = (language_of(seed) for seed in (3, 3, 4))
    assert (found.corpus.items, found.corpus.symbols, found.pairs, found.beta) == (11, 6, 20, 0.5)
    assert [row.method for row in found.rows] == ["reference", "optimum", "ppo", "rlhf", "dpo"]
    assert found._replace(rows=[]) == again._replace(rows=[])
    for row, same, different in zip(found.rows, again.rows, other.rows, strict=True):
        assert row._replace(seconds=0.0) == same._replace(seconds=0.0) and None not in row
        assert len(row.samples) == 10 and set("".join(row.samples)) <= set("ahnot…")
        assert row.samples != different.samples
        assert (row.objective == different.objective) == (row.method in ("reference", "optimum"))
    assert language_of(items=NAMES[:9]).corpus.nll_heldout is None


@pytest.mark.slow
def test_the_scale_and_the_seed_reach_every_learner_on_a_grid():
    rows = demo.grid_table(3, str, DemoScale(q_learning=2, runs=3, reinforce=1, ppo=1))
    by_name = {row[:2]: row for row in rows}
    assert list(by_name) == [(world, method) for world in ("frozen_lake_4x4", "cliff_walk")
                             for method in ("q_learning", "reinforce", "ppo")]
    for world, grid in demo.GRIDS.items():
        best = policy_iteration(grid.mdp(gamma=0.99))
        assert by_name[world, "q_learning"].steps == 2 * 3 * 1000
        for method in "q_learning", "reinforce", "ppo":
            row = by_name[world, method]
            assert row.gap == pytest.approx(best.objective - row.value, abs=1e-12)
            assert row.policy.shape == best.policy.shape and 512 <= row.steps <= 512 * 200
    other = demo.grid_table(4, str, SCALES["demo"])
    assert {row.steps for row in rows}.isdisjoint(row.steps for row in other)


@pytest.mark.parametrize("bonus, exists", [(0.1, True), (9.0, False)])
def test_a_learned_reward_without_an_optimum_is_found_out(monkeypatch, bonus, exists):
    monkeypatch.setattr(demo, "fit_reward_model", lambda table, data, *, pull: SimpleNamespace(
        x=np.array([[0.0] + [bonus] * (table.shape[1] - 1)] * table.shape[0])))
    found = language_of()
    assert found.learned_optimum is exists and len(found.rows) == 5


def test_drawing_the_preferences_is_charged_to_both_who_use_them(monkeypatch):
    """And nothing else to more than one: one clock, which is read before and after each piece."""
    now = [0.0]

    def later(function, seconds):
        def slow(*args, **kwargs):
            now[0] += seconds
            return function(*args, **kwargs)
        return slow

    monkeypatch.setattr("minirl.lab.job.perf_counter", lambda: now[0])
    for owner, name, seconds in (
            (demo, "bigram_of", 1), (demo, "running_example", 10),
            (RunningExample, "preferences", 100), (demo, "fit_reward_model", 1000),
            (demo, "fit_dpo", 10_000), (RunningExample, "climbed", 100_000)):
        monkeypatch.setattr(owner, name, later(getattr(owner, name), seconds))
    assert [row.seconds for row in language_of().rows] == [1, 10, 100_000, 101_100, 10_100]


# What is printed, of results made by hand.


RIGHT = np.eye(4)[np.full(16, 2)]
GRID_ROWS = [
    GridRow("frozen_lake_4x4", "ppo", 0.53885, 0.54203, 0.99413, 0.00318, 2_397_201, 1.58, RIGHT),
    GridRow("frozen_lake_4x4", "reinforce", 0.5, 0.54203, 0.92246, 0.04203, 640, 12.04,
            np.eye(4)[np.arange(16) % 4]),
    GridRow("cliff_walk", "reinforce", -98.8566, -12.2479, -6.0713, 86.6087, 9_979_046, 8.25,
            np.eye(4)[np.zeros(48, int)])]
WRITERS = [Writer("reference", -0.53549, 0.0, -0.53549, 0.0, 5.9129, 0.014, ["on", "", "ön←"]),
           Writer("optimum", 0.59576, 0.89366, 0.14893, 1.0, 6.114, 0.006,
                  ["a\x1b[31mb", "\0", "é ü\u200d", "\U0001d538…"]),
           Writer("rlhf", None, None, None, None, None, 12.3456, ["na" * 99 + "…"] * 10)]
CORPUS = Corpus(items=2465, symbols=27, nll_train=log(13.25), nll_heldout=log(16), nll_all=2.58377)
TEXT = Language(CORPUS, WRITERS, identical=1041, learned_optimum=True, beta=0.375, pairs=123_456)


def test_what_is_printed_first_are_the_learned_policies_on_their_maps():
    assert demo.DEMO.drawing((GRID_ROWS, TEXT)) == """\
A world you can draw: the learned policies, each by its likeliest moves

frozen_lake_4x4, where the optimum is J* = 0.5420

ppo        reinforce
→ → → →    ← ↓ → ↑
→ H → H    ← H → H
→ → → H    ← ↓ → H
H → → G    H ↓ → G

cliff_walk, where the optimum is J* = -12.2479

reinforce
↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑
↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑
↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑
↑ C C C C C C C C C C G"""


def test_a_share_on_a_grid_has_a_bar_unless_it_is_negative():
    """Both texts follow the maps."""
    lines = demo.grid_text(GRID_ROWS).split("\n")
    assert lines[:6] == [
        "The exact value of these policies, gamma 0.99", "",
        "world           method       value   share                gap     steps seconds",
        "frozen_lake_4x4 ppo         0.5389  0.9941 ██████████  0.0032 2,397,201     1.6",
        "frozen_lake_4x4 reinforce   0.5000  0.9225 █████████▎  0.0420       640    12.0",
        "cliff_walk      reinforce -98.8566 -6.0713            86.6087 9,979,046     8.2"]
    assert demo.DEMO.text((GRID_ROWS, TEXT)) == (
        "\n".join(lines) + "\n\n\n" + demo.language_text(TEXT))


def test_the_text_describes_the_corpus_the_policies_and_their_words():
    """What is not for reading is printed as a question mark."""
    text = demo.language_text(TEXT)
    for part in ("  2.7726 on every tenth, held out (perplexity 16.00)\n",
                 "to say?  J = E[reward] - 0.375 KL to the reference\n",
                 "optimum     0.5958  0.8937   0.1489  1.0000  ██████████         6.11     0.01\n"
                 "rlhf          null    null     null    null                     null    12.35\n",
                 "rlhf and dpo saw 123,456 preferences over strings of the\n"
                 "reference; in 1,041 of them the two strings were the same.\n",
                 "reference:\n  on  (empty)  ön←\n",
                 "optimum:\n  a?[31mb  ?  é ü?  \U0001d538…\n"):
        assert part in text
    words = text[text.index("\nrlhf:\n") + 7:].split("\n")
    assert max(map(len, words)) <= 80 and all(line.startswith("  ") for line in words)
    assert "".join(words).replace(" ", "") == ("na" * 99 + "…") * 10


def test_what_does_not_go_without_saying_is_said():
    lost = "The learned reward has no optimum at this beta; PPO went on climbing it."
    own = "The bonus of 0.139 a letter was fitted to the default corpus, not to this one."
    usual = demo.language_text(TEXT)
    assert lost not in usual and own not in usual
    lines = demo.language_text(TEXT._replace(learned_optimum=False, file="names.txt", corpus=(
        CORPUS._replace(items=9, nll_heldout=None)))).split("\n")
    assert lost in lines and own in lines and lines[1] == "names.txt"
    assert lines[5] == "  no held-out items in a corpus of fewer than ten"


def test_the_document_has_exactly_the_promised_fields():
    found = demo.DEMO.document((GRID_ROWS, TEXT))
    assert list(found) == ["gridworld", "language"]
    assert found["language"] == {"methods": WRITERS, "corpus": {
        "items": 2465, "symbols": 27, "nll_train": log(13.25), "nll_heldout": log(16)}}
    assert [list(row) for row in found["gridworld"]] == [
        ["world", "method", "value", "optimum", "share", "gap", "steps", "seconds"]] * 3
    assert tuple(found["gridworld"][0].values()) == GRID_ROWS[0][:-1]
    assert list(WRITERS[0]._asdict()) == ["method", "reward", "kl", "objective", "share",
                                          "mean_length", "seconds", "samples"]


def test_the_figure_shows_the_share_of_each_learner_and_where_the_writers_are():
    """Below 0 a share is drawn as 0; who never ends has no place, and is not best."""
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    grids = [GridRow(world, method, 1.0, 1.0, share, 0.0, 1, 1.0, None)
             for world, shares in (("lake", (0.5, -2.0)), ("cliff", (1.0, 0.75)))
             for method, share in zip(("q_learning", "ppo"), shares)]
    rows = [Writer("reference", -0.5, 0.0, -0.5, 0.0, 5.0, 1.0, []),
            Writer("optimum", 0.6, 0.9, 0.15, 1.0, 6.0, 1.0, []),
            Writer("ppo", None, None, None, None, None, 1.0, []),
            Writer("dpo", 0.5, 0.8, 0.1, 0.9231, 5.8, 1.0, [])]
    found = Language(None, rows, 0, True, 0.5, 20)
    figure, = figures.demo_figures(grids, found).values()
    assert figure.get_suptitle() == ("No learner of words gains more than dpo: 92.3% of what "
                                     "there is")
    left, right = figure.axes
    assert [list(line.get_xdata()) for line in left.lines] == [[0.5, 0.0], [1.0, 0.75]]
    marks = [line.get_xydata()[0].tolist() for line in right.lines[1:]]
    assert marks == [[0.0, -0.5], [0.9, 0.6], [0.8, 0.5]]
    (x, other), (y, far) = right.lines[0].get_data()
    assert (x, y) == (0, 0.15) and far - y == pytest.approx(0.5 * other)  # a nat costs β
    none = figures.demo_figures(grids, found._replace(rows=rows[:3]))["demo"]
    assert none.get_suptitle() == "No learner of words has a J"
