"""From a preference file to a policy: the job `align`, and what it says."""

import io
from math import log
import os
from pathlib import Path
import re
import sys

import numpy as np
import pytest
from test_command_line import NAMES

from minirl.people.regularised import regularised_optimum
from minirl.people.calibration import accuracy
from minirl.people.kl import string_kl
from minirl.people.reward_model import bradley_terry_loss
from toy_lm import exact, jsonl
from toy_lm.__main__ import main
from toy_lm.align import BETA, METHODS, PULL, fit_by_reward, load_preferences, step_names
from toy_lm.corpora import unicode_words
from toy_lm.models import fit, load, save
from toy_lm.ngram import language
from toy_lm.preferences import from_text, unpaired
from toy_lm.vocabulary import Vocabulary

PROGRAM, JOB = "toy_lm", "align"
PAIRS = [jsonl.Pair("", "anna", "tt"), jsonl.Pair("ha", "na", "tt"), jsonl.Pair("", "", "hh"),
         jsonl.Pair("o", "na", "tto"), jsonl.Pair("", "nono", "nono"), jsonl.Pair("t", "o", "hn"),
         jsonl.Pair("", "tona", "aa"), jsonl.Pair("", "aht", "tona")]
ALIGN = ["m.npz", "p.jsonl", "--out", "a.npz", "--method"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A present folder with m.npz, the bigram of the names, and p.jsonl, eight pairs."""
    monkeypatch.chdir(tmp_path)
    save("m.npz", fit(NAMES))
    jsonl.write("p.jsonl", PAIRS)


def numbers(out):
    """The columns before and after, by name."""
    rows = re.findall(r"^(\S.*?) +(-?\d+\.\d{6}) +(-?\d+\.\d{6})$", out, flags=re.M)
    return {name: (float(before), float(after)) for name, before, after in rows}


def logp_by_loops(model, prompt, text):
    """log π of a completion of a bigram."""
    letters = "\n" + model.vocabulary.letters
    chances = model.policy
    places = [letters.index(c) for c in ("\n" + prompt)[-1] + text + "\n"]
    return sum(log(chances[s, a]) for s, a in zip(places, places[1:]))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_printed_is_true_of_the_model_that_is_written(command, folder, method):
    """By loops over the strings; KL and length are exact.  Pitfall 19: equal responses count as
    such."""
    status, out, err = command(*ALIGN, method)
    assert (status, err) == (0, "")
    assert out.startswith("8 pairs, 1 of them of two equal responses\n")
    before, after = load("m.npz"), load("a.npz")
    found, beta = numbers(out), METHODS[method].beta
    assert len(found) == 8 and after.vocabulary == before.vocabulary
    for column, model in enumerate((before, after)):
        sides = {name: [(logp_by_loops(model, pair.prompt, getattr(pair, name)),
                         logp_by_loops(before, pair.prompt, getattr(pair, name)))
                        for pair in PAIRS] for name in ("chosen", "rejected")}
        rewards = {name: beta * np.array([a - b for a, b in side]) for name, side in sides.items()}
        margins = rewards["chosen"] - rewards["rejected"]
        margins[4] = 0.0
        expected = {**{f"logps/{name}": np.mean(side, axis=0)[0] for name, side in sides.items()},
                    **{f"rewards/{name}": values.mean() for name, values in rewards.items()},
                    "rewards/margins": margins.mean(),
                    "rewards/accuracies": np.mean([(m > 0) + (m == 0) / 2 for m in margins]),
                    "KL in nats per string": string_kl(language(np.zeros((6, 6))), model.logits,
                                                       before.logits)[0],
                    "letters per string": exact.summary(model.logits).letters}
        for name, value in expected.items():
            assert found[name][column] == pytest.approx(value, abs=1e-6), name
    assert found["rewards/accuracies"][1] > 0.7 and found["rewards/margins"][1] > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_defaults_are_those_of_the_job_alignment_and_options_are_passed_on(command, folder,
                                                                              method):
    """SimPO has a lead of its own."""
    model = load("m.npz")
    pairs = from_text(model.vocabulary, PAIRS)
    cases = [([], METHODS[method].beta, 2.0, {}),
             (["--beta", "0.7", "--pull", "5"], 0.7, 5.0, {})]
    if method == "simpo":
        cases += [([], 2.0, 2.0, {"simpo_gamma": 1.0}),
                  (["--simpo-gamma", "0.25"], 2.0, 2.0, {"simpo_gamma": 0.25})]
    for given, beta, pull, more in cases:
        assert command(*ALIGN, method, *given)[0] == 0
        expected = METHODS[method].fit(model.logits, pairs, beta=beta, pull=pull, **more).x
        np.testing.assert_array_equal(load("a.npz").logits, expected)
    assert {name: method.beta for name, method in METHODS.items()} == {
        "dpo": 0.5, "ipo": 0.125, "kto": 0.5, "simpo": 2.0, "orpo": 1.0, "reward_model": 0.5}
    assert (BETA, PULL) == (0.5, 2.0)


def test_a_reward_model_and_its_optimum_are_what_they_say(command, folder):
    """(regularised.2) of the fitted reward; the optimum ranks the pairs as the reward does."""
    model = load("m.npz")
    pairs = from_text(model.vocabulary, PAIRS)
    found = fit_by_reward(model.logits, pairs, beta=0.5, pull=2.0)
    best = regularised_optimum(language(found.rewards), model.logits, beta=0.5)
    np.testing.assert_allclose(np.exp(found.x), best.policy, atol=1e-12)
    assert found.loss == bradley_terry_loss(found.rewards, pairs.difference)[0] < log(2)
    _, out, _ = command(*ALIGN, "reward_model")
    margins = pairs.difference @ found.rewards.ravel()
    margins[4] = 0  # of two equal strings, up to rounding
    assert (f"\nreward model: {found.loss:.6f} nats per pair (log 2 without one), of which it "
            f"ranks {accuracy(margins):.1%} rightly\n") in out
    assert numbers(out)["rewards/margins"][1] == pytest.approx(margins.mean(), abs=1e-6)


@pytest.mark.slow
def test_the_page_prints_what_the_commands_print(command, folder, capsys):
    page = Path(__file__).parent.parent.joinpath("docs", "worlds_and_text.md").read_text(
        encoding="utf-8")
    Path("words.txt").write_text("\n".join(unicode_words()))
    for line in ("train words.txt --out model.npz",
                 "sample model.npz -n 5 --prompt ka --temperature 0.8 --seed 1"):
        assert main(line.split()) == 0 and f"\n{capsys.readouterr().out}```\n" in page
    assert main("pairs model.npz --out p.jsonl --pairs 20000".split()) == 0
    status, out, _ = command("model.npz", *ALIGN[1:], "dpo")
    table = out[out.index(" " * 30 + "before"):]
    assert status == 0 and len(table.splitlines()) == 9 and table + "```\n" in page
    _, out, _ = command("model.npz", *ALIGN[1:], "reward_model")
    assert out[out.index("reward model: "):] + "```\n" in page


def test_a_reward_model_says_how_well_it_is_known_and_what_runs_away(command, folder):
    """(existence.5) by the matrix itself; the verdict is about the pairs, whatever the pull."""
    pairs = from_text(load("m.npz").vocabulary, PAIRS)
    D, no_fit = pairs.difference.toarray(), "the fit stopped before it converged\n"
    for pull in 2.0, 0.5:
        w = fit_by_reward(load("m.npz").logits, pairs, beta=5.0, pull=pull).rewards.ravel()
        s = 1 / (1 + np.exp(D @ w))
        C = np.linalg.inv(D.T @ np.diag(s * (1 - s)) @ D + pull * np.eye(36))
        error = np.sqrt(np.mean([row @ C @ row for row in D]))
        _, out, _ = command(*ALIGN, "reward_model", "--pull", f"{pull}", "--beta", "5")
        assert f"\nits margins have a standard error of {error:.6f} (root mean square)\n" in out
        rank = np.linalg.matrix_rank(D)
        assert f"\nthe pairs see {rank} of the 36 directions of its weights\n" in out and rank < 8
        assert "\nno maximum without a pull: nothing speaks against raising start→end, " in out
        assert no_fit not in out
    free = command(*ALIGN, "reward_model", "--pull", "0", "--beta", "1e6")
    assert free[0] == 0 and free[1].endswith(no_fit) and "standard error" not in free[1]
    both = [jsonl.Pair("", "an", "na"), jsonl.Pair("", "na", "an")]
    jsonl.write("p.jsonl", both)
    status, out, _ = command(*ALIGN, "reward_model", "--pull", "0")
    assert status == 0 and out.endswith("a maximum exists\n")
    jsonl.write("p.jsonl", both[:1])
    assert command(*ALIGN, "reward_model")[1].startswith("1 pair, 0 of them")
    jsonl.write("p.jsonl", unpaired(both[:1]))
    assert command(*ALIGN, "kto")[1].startswith("1 string liked, 1 not\n")


def test_the_steps_of_a_table_are_named_by_what_was_seen_and_what_comes():
    names = step_names(Vocabulary("ab"), (9, 3))
    assert names[:4] == ["start→end", "start→a", "start→b", "a→end"]
    assert names[-3:] == ["bb→end", "bb→a", "bb→b"] and len(names) == 27
    assert step_names(Vocabulary("ab"), (1, 3)) == ["start→end", "start→a", "start→b"]


# What a file may hold.


def test_every_form_of_the_same_pairs_gives_the_same_model(command, folder):
    """The implicit form moves the prompt, which changes no difference; a ranking of three is its
    three pairs."""
    tables = {}
    for name, write in (
            ("explicit", lambda: jsonl.write("p.jsonl", PAIRS)),
            ("implicit", lambda: jsonl.write_implicit("p.jsonl", PAIRS)),
            ("ranking", lambda: jsonl.write("p.jsonl", [
                jsonl.Ranking(pair.prompt, pair[1:]) for pair in PAIRS])),
            ("three", lambda: jsonl.write("p.jsonl", [jsonl.Ranking("", ("anna", "tt", "oh"))])),
            ("its pairs", lambda: jsonl.write("p.jsonl", [
                jsonl.Pair("", *two) for two in (("anna", "tt"), ("anna", "oh"), ("tt", "oh"))]))):
        write()
        assert command(*ALIGN, "dpo")[0] == 0
        tables[name] = load("a.npz").logits
    np.testing.assert_allclose(tables["implicit"], tables["explicit"], atol=1e-6)
    np.testing.assert_array_equal(tables["ranking"], tables["explicit"])
    np.testing.assert_array_equal(tables["three"], tables["its pairs"])


def test_kto_reads_pairs_and_labelled_strings_alike(command, folder):
    _, out, _ = command(*ALIGN, "kto")
    table = load("a.npz").logits
    jsonl.write("p.jsonl", unpaired(PAIRS)[::-1])
    status, again, err = command(*ALIGN, "kto")
    assert (status, err) == (0, "") and again.startswith("8 strings liked, 8 not\n")
    np.testing.assert_allclose(load("a.npz").logits, table, atol=1e-5)
    one, two = numbers(out), numbers(again)
    assert {name for name in one if "rewards" in name} == set(one) - set(two)
    for name in two:
        assert two[name] == pytest.approx(one[name], abs=1e-4), name
    jsonl.write("p.jsonl", unpaired(PAIRS)[:3])
    assert command(*ALIGN, "kto")[1].startswith("2 strings liked, 1 not\n")


@pytest.mark.parametrize("order", [1, 3])
def test_a_model_of_any_order_is_aligned_and_prompts_are_remembered(command, folder, order):
    model = fit(NAMES, order=order)
    save("m.npz", model)
    assert command(*ALIGN, "dpo")[0] == 0
    pairs = from_text(model.vocabulary, PAIRS, order=order)
    expected = METHODS["dpo"].fit(model.logits, pairs, beta=0.5, pull=2.0).x
    np.testing.assert_array_equal(load("a.npz").logits, expected)


def test_files_may_come_and_go_by_pipes_and_the_result_can_be_sampled(command, folder, monkeypatch,
                                                                      capsys):
    _, report, _ = command(*ALIGN, "dpo")
    assert main(["sample", "a.npz", "-n", "5"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    model, pairs, aligned = (Path(name).read_bytes() for name in ("m.npz", "p.jsonl", "a.npz"))
    for given, data in (["m.npz", "-"], pairs), (["-", "p.jsonl"], model):
        assert command(*given, "--method", "dpo", "--out", "b.npz", stdin=data) == (0, report, "")
        assert Path("b.npz").read_bytes() == aligned
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
    assert main(["align", "m.npz", "p.jsonl", "--method", "dpo", "--out", "-"]) == 0
    assert sys.stdout.buffer.getvalue() == aligned and capsys.readouterr().err == report


def test_a_model_can_be_trained_that_knows_the_letters_of_a_preference_file(command, folder):
    for records in ([jsonl.Pair("x", "anna", "y")], [jsonl.Ranking("y", ("a", "x"))],
                    [jsonl.Labelled("x", "y", True), jsonl.Labelled("", "", False)]):
        jsonl.write("p.jsonl", records)
        Path("names.txt").write_text("\n".join(NAMES))
        assert main(["train", "names.txt", "--heldout", "0", "--also", "p.jsonl", "--out",
                     "n.npz"]) == 0
        model = load("n.npz")
        assert model.vocabulary.letters == "ahnotxy"
        assert model.logits.tobytes() == fit(NAMES, also=["xy"]).logits.tobytes()
        load_preferences("p.jsonl", model)
        status, _, err = command(*ALIGN, "kto")
        assert status == 2 and "p.jsonl, line 1: '" in err


# What is refused.


def endless():
    """A model whose strings end so rarely that this cannot be told from never."""
    model = fit(NAMES)
    return model._replace(logits=np.where(np.arange(6) == 0, -60.0, model.logits))


@pytest.mark.parametrize("prepare, arguments, message", [
    (lambda: jsonl.write("p.jsonl", [*PAIRS[:2], jsonl.Pair("a", "", "nox")]), ["dpo"],
     "p.jsonl, line 3: 'x' is not among the 5 letters that the model knows"),
    (lambda: Path("p.jsonl").write_text('\n{"chosen": "a\\nb", "rejected": ""}'), ["orpo"],
     "p.jsonl, line 2: '\\n' is not among the 5 letters that the model knows"),
    (lambda: Path("p.jsonl").write_text('{"chosen": "a", "rejected": "b"'), ["dpo"],
     "p.jsonl, line 1: not JSON (Expecting ',' delimiter, column 32)"),
    (lambda: Path("p.jsonl").write_text("\n"), ["dpo"], "p.jsonl holds no preferences"),
    (lambda: os.remove("p.jsonl"), ["dpo"], "cannot read p.jsonl: No such file or directory"),
    (lambda: os.remove("m.npz"), ["dpo"], "cannot read m.npz: No such file or directory"),
    (lambda: jsonl.write("p.jsonl", unpaired(PAIRS)), ["dpo"],
     "p.jsonl holds labelled strings, and they are for --method kto"),
    (lambda: jsonl.write("p.jsonl", [*PAIRS, *unpaired(PAIRS)]), ["kto"],
     "p.jsonl, line 9: labelled strings and pairs cannot be mixed"),
    (lambda: jsonl.write("p.jsonl", [*unpaired(PAIRS), *PAIRS]), ["kto"],
     "p.jsonl, line 17: labelled strings and pairs cannot be mixed"),
    (lambda: jsonl.write("p.jsonl", unpaired(PAIRS)[::2]), ["kto"],
     "p.jsonl must hold strings that were liked and others, got 8 and 0"),
    (lambda: save("m.npz", fit(NAMES, pseudo_count=0)), ["dpo"],
     "m.npz holds a model to which some strings are impossible: train it with a --pseudo-count "
     "above"),
    (lambda: save("m.npz", endless()), ["dpo"], "strings would not end: a larger --pull "),
    (lambda: None, ["reward_model", "--beta", "0.001"], "no optimum exists at beta = 0.001"),
    (lambda: None, ["dpo", "--simpo-gamma", "1"], "--simpo-gamma is for --method simpo"),
    (lambda: None, ["dpo", "--out", "m.npz"], "cannot write m.npz: the same file is read"),
    (lambda: None, ["dpo", "--out", "./p.jsonl"],
     "cannot write ./p.jsonl: the same file is read"),
    (lambda: None, ["dpo", "--out", "missing/a.npz"], "cannot write missing/a.npz: "),
])
def test_what_cannot_be_used_is_refused_in_one_line_and_nothing_is_written(
        command, folder, prepare, arguments, message):
    prepare()
    Path("a.npz").write_text("old")
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    status, out, err = command(*ALIGN, *arguments)
    assert status == 2 and out == "" and err.startswith(f"toy_lm: {message}")
    assert err.count("\n") == 1 and err.endswith("\n")
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pull, beta", [("0", "1e-6"), ("0", "0.3"), ("1e-9", "1e6"),
                                        ("1e9", "1e-6")])
def test_no_setting_ends_in_a_traceback_or_a_warning(command, folder, method, pull, beta):
    status, out, err = command(*ALIGN, method, "--pull", pull, "--beta", beta)
    assert (status, err.count("\n")) in {(0, 0), (2, 1)}
    if status == 0:
        assert np.isfinite([*map(np.isfinite, numbers(out).values())]).all()
