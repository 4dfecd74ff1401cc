"""What the main job prints and writes: exact lines, valid JSON, and files that survive a crash."""

import json
from math import log

import numpy as np
import pytest

from minirl.lab import report
from minirl.lab.main_job import GRIDS, Corpus, GridRow, Language, LanguageRow

RIGHT = np.eye(4)[np.full(16, 2)]
ROWS = [GridRow("frozen_lake_4x4", "ppo", 0.53885, 0.54203, 0.99413, 0.00318, 2_397_201, 1.58,
                RIGHT),
        GridRow("frozen_lake_4x4", "reinforce", 0.5, 0.54203, 0.92246, 0.04203, 640, 12.04,
                np.eye(4)[np.arange(16) % 4]),
        GridRow("cliff_walk", "reinforce", -98.8566, -12.2479, -6.0713, 86.6087, 9_979_046, 8.25,
                np.eye(4)[np.zeros(48, int)])]
METHODS = [LanguageRow("reference", -0.53549, 0.0, -0.53549, 0.0, 5.9129, 0.014,
                       ["on", "", "ön←"]),
           LanguageRow("optimum", 0.59576, 0.89366, 0.14893, 1.0, 6.114, 0.006, ["ala"]),
           LanguageRow("rlhf", None, None, None, None, None, 12.3456, ["na" * 99 + "…"] * 10)]
CORPUS = Corpus(items=2465, symbols=27, nll_train=log(13.25), nll_heldout=log(16), nll_all=2.58377)
RESULT = Language(CORPUS, METHODS, identical=1041, learned_optimum=True)


def lines_of_language(result=RESULT, *, beta=0.5, pairs=20_000, file=None):
    return report.language_text(result, beta=beta, pairs=pairs, file=file).split("\n")


# Text.


def test_the_table_of_grids_is_set_in_columns():
    lines = report.grid_text(ROWS).split("\n")
    head = lines.index(
        "world           method        value  optimum  share      gap     steps seconds")
    assert lines[head + 1:head + 5] == [
        "frozen_lake_4x4 ppo          0.5389   0.5420 0.9941   0.0032 2,397,201     1.6",
        "frozen_lake_4x4 reinforce    0.5000   0.5420 0.9225   0.0420       640    12.0",
        "cliff_walk      reinforce  -98.8566 -12.2479 -6.0713  86.6087 9,979,046     8.2",
        ""]
    assert "gamma 0.99" in lines[0]


def test_the_policies_are_drawn_under_their_world_and_method():
    text = report.grid_text(ROWS)
    assert text.endswith("""

frozen_lake_4x4: the likeliest move in each cell

ppo        reinforce
→ → → →    ← ↓ → ↑
→ H → H    ← H → H
→ → → H    ← ↓ → H
H → → G    H ↓ → G

cliff_walk: the likeliest move in each cell

reinforce
↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑
↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑
↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑ ↑
↑ C C C C C C C C C C G""")
    assert list(GRIDS) == ["frozen_lake_4x4", "cliff_walk"]


def test_the_table_of_methods_is_set_in_columns_and_prints_null_where_there_is_no_number():
    lines = lines_of_language()
    head = lines.index("method        reward        KL          J    share  mean length  seconds")
    assert lines[head + 1:head + 5] == [
        "reference    -0.5355    0.0000    -0.5355   0.0000         5.91     0.01",
        "optimum       0.5958    0.8937     0.1489   1.0000         6.11     0.01",
        "rlhf            null      null       null     null         null    12.35",
        ""]


def test_the_corpus_is_described_in_nats_and_perplexity():
    assert lines_of_language()[:9] == [
        "A world you can read: 2,465 items, 27 symbols, from",
        "the words in Unicode 3.2 character names",
        "",
        "bigram, pseudo-count 0.1, nats per character, end symbols counted:",
        "  2.5840 on training items (perplexity 13.25)",
        "  2.7726 on every tenth, held out (perplexity 16.00)",
        "  2.5838 fitted to all items: the reference below",
        "",
        "reward: which is easier to say?  J = E[reward] - 0.5 KL to the reference"]


def test_a_corpus_without_held_out_items_is_described_too():
    small = RESULT._replace(corpus=CORPUS._replace(items=9, nll_heldout=None))
    assert lines_of_language(small)[4:7] == [
        "  2.5840 on training items (perplexity 13.25)",
        "  no held-out items in a corpus of fewer than ten",
        "  2.5838 fitted to all items: the reference below"]


def test_the_text_names_the_beta_the_pairs_and_how_many_were_identical():
    text = "\n".join(lines_of_language(beta=0.375, pairs=123_456))
    assert "J = E[reward] - 0.375 KL" in text
    assert "saw 123,456 preferences" in text and "in 1,041 of them" in text


def test_a_learned_reward_without_an_optimum_is_admitted():
    sentence = "The learned reward has no optimum at this beta; PPO went on climbing it."
    assert sentence in lines_of_language(RESULT._replace(learned_optimum=False))
    assert sentence not in lines_of_language()


def test_the_bonus_is_admitted_to_fit_another_corpus_only_when_there_is_one():
    sentence = "The bonus of 0.139 a letter was fitted to the default corpus, not to this one."
    own = lines_of_language(file="names.txt")
    assert own[1] == "names.txt" and sentence in own
    assert sentence not in lines_of_language()


def test_the_words_of_each_method_follow_its_name_within_eighty_columns():
    lines = lines_of_language()
    assert lines[lines.index("reference:") + 1] == "  on  (empty)  ön←"
    assert lines[lines.index("optimum:") + 1] == "  ala"
    words = lines[lines.index("rlhf:") + 1:]
    assert max(map(len, words)) <= 80 and all(line.startswith("  ") for line in words)
    assert "".join(words).replace(" ", "") == ("na" * 99 + "…") * 10


def test_what_is_not_for_reading_is_printed_as_a_question_mark_and_written_as_it_is():
    strange = METHODS[1]._replace(samples=["a\x1b[31mb", "\0", "é ü\u200d", "\U0001d538…"])
    result = RESULT._replace(rows=[METHODS[0], strange])
    assert lines_of_language(result)[-1] == "  a?[31mb  ?  é ü?  \U0001d538…"
    found = json.loads(report.as_json(ROWS, result))["language"]["methods"][1]["samples"]
    assert found == strange.samples


def test_the_numeric_tables_fit_in_eighty_columns():
    for lines, head in ((report.grid_text(ROWS).split("\n"), "world "),
                        (lines_of_language(), "method ")):
        first = next(i for i, line in enumerate(lines) if line.startswith(head))
        table = lines[first:lines.index("", first)]
        assert len(table) == 4 and max(map(len, table)) <= 80
        assert not any(line.endswith(" ") for line in table)


# JSON.


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_the_json_has_exactly_the_promised_fields():
    text = report.as_json(ROWS, RESULT)
    found = json.loads(text, parse_constant=refuse)
    assert text.endswith("}\n") and list(found) == ["gridworld", "language"]
    assert list(found["language"]) == ["corpus", "methods"]
    assert [list(row) for row in found["gridworld"]] == [
        ["world", "method", "value", "optimum", "share", "gap", "steps", "seconds"]] * 3
    assert found["language"]["corpus"] == {"items": 2465, "symbols": 27, "nll_train": log(13.25),
                                           "nll_heldout": log(16)}
    assert [list(row) for row in found["language"]["methods"]] == [
        ["method", "reward", "kl", "objective", "share", "mean_length", "seconds", "samples"]] * 3


def test_the_json_holds_the_numbers_unrounded_and_null_where_there_is_none():
    found = json.loads(report.as_json(ROWS, RESULT))
    assert list(found["gridworld"][0].values()) == ["frozen_lake_4x4", "ppo", 0.53885, 0.54203,
                                                    0.99413, 0.00318, 2_397_201, 1.58]
    assert list(found["language"]["methods"][1].values()) == ["optimum", 0.59576, 0.89366, 0.14893,
                                                              1.0, 6.114, 0.006, ["ala"]]
    assert list(found["language"]["methods"][2].values())[1:6] == [None] * 5


def test_letters_are_written_as_themselves():
    assert '"ön←"' in report.as_json(ROWS, RESULT)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_never_written_as_one(value):
    with pytest.raises(ValueError):
        report.as_json([ROWS[0]._replace(gap=value)], RESULT)
