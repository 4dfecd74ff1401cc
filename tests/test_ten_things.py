"""Ten natural things in few lines: each is a script, which is counted, run, and judged."""

from pathlib import Path
import runpy
import sys

import numpy as np
import pytest

from minirl.exact.scorecard import referee
from minirl.people.calibration import best_accuracy
from minirl.people.dpo import preference_metrics
from toy_lm import jsonl
from toy_lm.corpora import unicode_words
from toy_lm.rewards import easy_to_say, of_strings

FOLDER = Path(__file__).parent / "ten_things"
LINES = {"ppo_on_a_map": 6, "dpo_on_your_pairs": 7, "learning_curve": 8, "share_of_the_optimum": 7,
         "words_of_a_corpus": 5, "preferences_and_a_reward_model": 9, "law_of_the_best_of_n": 7,
         "best_of_n_strings": 8, "kl_frontier": 7, "rlhf_on_a_corpus": 10}
PAIRS = [jsonl.Pair("", "tamika", "sprkt"), jsonl.Pair("ka", "noti", "shtk"),
         jsonl.Pair("", "belo", "aeiou")]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Call with the name of a script: its names after it has run beside three files, and what it
    printed."""
    def run(name):
        monkeypatch.chdir(tmp_path)
        Path("map.txt").write_text("SFFF\nFHFF\nFFFH\nHFFG\n")
        Path("words.txt").write_text("\n".join(unicode_words()))
        jsonl.write("pairs.jsonl", PAIRS)
        names = runpy.run_path(str(FOLDER / f"{name}.py"))
        return names, capsys.readouterr().out.splitlines()
    return run


def test_each_script_is_as_short_as_was_promised_and_hides_nothing():
    """Without its docstring, blanks, comments and imports of the standard library"""
    assert {path.stem for path in FOLDER.glob("*.py")} == set(LINES)
    for name, most in LINES.items():
        docstring, code = (FOLDER / f"{name}.py").read_text(encoding="utf-8")[3:].split('"""')
        lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")
                 and not (line.startswith("from ") and line.split()[1] in sys.stdlib_module_names)]
        assert docstring and ";" not in code and len(lines) <= most, name
        assert max(map(len, lines)) <= 100


def test_ppo_on_a_map(run):
    names, printed = run("ppo_on_a_map")
    assert referee(names["mdp"])(names["record"].policy).share > 0.99
    assert len(printed) == 16 and names["mdp"].shape == (16, 4)


def test_dpo_on_your_pairs(run):
    names, printed = run("dpo_on_your_pairs")
    metrics = preference_metrics(names["aligned"].logits, names["model"].logits, names["pairs"],
                                 beta=0.5)
    assert len(names["pairs"]) == 3 and metrics["rewards/accuracies"] == 1 and len(printed) == 10


def test_a_learning_curve(run):
    pytest.importorskip("matplotlib")
    run("learning_curve")
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_share_of_the_optimum_is_the_example_of_the_readme():
    """Which is run in `test_house`."""
    readme = FOLDER.parent.parent.joinpath("README.md").read_text(encoding="utf-8")
    source = (FOLDER / "share_of_the_optimum.py").read_text(encoding="utf-8")
    body, _ = source[source.index("from "):].rsplit("print(")
    assert body in readme


def test_words_of_a_corpus(run):
    _, printed = run("words_of_a_corpus")
    assert len(printed) == 10 and set("".join(printed)) <= set("abcdefghijklmnopqrstuvwxyz")


def test_preferences_and_a_reward_model(run):
    """Nearly as good as any model can be."""
    names, (accuracy,) = run("preferences_and_a_reward_model")
    best = best_accuracy(names["pairs"].difference @ names["liked"].ravel())
    assert float(accuracy) == pytest.approx(best, abs=0.01)


def test_the_law_of_the_best_of_n(run):
    """Against a hundred thousand draws, and log n − (n − 1)/n above the KL."""
    names, (printed,) = run("law_of_the_best_of_n")
    reward, kl, win_rate = map(float, printed.split())
    rate = of_strings(names["model"].vocabulary, easy_to_say(names["model"].vocabulary))
    drawn = rate(names["model"].write(100_000, rng=1)).reshape(-1, 4).max(axis=1)
    assert abs(drawn.mean() - reward) < 5 * drawn.std() / drawn.size**0.5
    assert 0.5 < kl < np.log(4) - 3 / 4 and win_rate == pytest.approx(4 / 5, abs=0.01)


def test_the_best_of_n_strings(run):
    names, printed = run("best_of_n_strings")
    words = np.reshape(names["model"].write(40, rng=0), (10, 4))
    for best, group in zip(printed, words, strict=True):
        assert best in group and names["rate"]([best])[0] == names["rate"](group.tolist()).max()


def test_the_kl_frontier(run):
    """The dearer the KL the less of it is spent, and a nat buys β at the margin or more before."""
    _, printed = run("kl_frontier")
    beta, kl, reward = np.array([line.split() for line in printed], float).T
    slope = np.diff(reward) / np.diff(kl)
    assert beta.size == 5 and (beta[1:] < slope).all() and (slope < beta[:-1]).all()


@pytest.mark.slow
def test_rlhf_on_a_corpus(run):
    _, (share,) = run("rlhf_on_a_corpus")
    assert 0.9 < float(share) < 1
