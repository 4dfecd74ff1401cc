"""The living figures: their numbers are those of the book, also where JavaScript computes them."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from test_house import ROOT

pytest.importorskip("pygments")
sys.path.append(str(ROOT / "docs"))

from rendering import living

from gridworld.maps import frozen_lake
from minirl.exact.evaluation import action_values, evaluate, from_start
from minirl.exact.planning import policy_iteration, value_iteration
from minirl.kernel.softmax import log_softmax
from minirl.lab.running_example import bigram_of, running_example
from minirl.people.regularised import critical_beta, regularised_optimum
from toy_lm.ngram import sample

SCRIPT = ROOT / "docs" / "living.js"


@cache
def figure(page):
    return living.figure(page)


def shown(name):
    """The JSON of a figure, as a page holds it."""
    page, = (page for page, entry in living.FIGURES.items() if entry[0] == name)
    text, = re.findall(r'<script type="application/json">(.*?)</script>', figure(page), re.S)
    return json.loads(text)


def caption(name):
    return next(entry[3] for entry in living.FIGURES.values() if entry[0] == name)


@cache
def example():
    return running_example(bigram_of())


def computed(expression, *arguments):
    """What living.js computes, by a process of node."""
    if shutil.which("node") is None:
        pytest.skip("node, which runs JavaScript without a browser, is not installed")
    call = (f"const js = require({json.dumps(str(SCRIPT))}); const [data, ...rest] = "
            "JSON.parse(require('fs').readFileSync(0)); "
            f"process.stdout.write(JSON.stringify({expression}))")
    done = subprocess.run(["node", "-e", call], input=json.dumps(arguments), text=True,
                          capture_output=True, encoding="utf-8", timeout=60, check=True)
    return json.loads(done.stdout)


# The pages.


@pytest.mark.parametrize("page", living.FIGURES)
def test_a_figure_is_small_and_reads_without_javascript(page):
    """Below 60 kB, without an empty line; tables, a sentence, and the tags as links to the page."""
    found = figure(page)
    assert len(found.encode()) < 60_000 and "\n\n" not in found
    still = found.split("<script")[0]
    assert still.count("<pre") >= 1 and "<noscript>" in still
    for tag in re.findall(r'href="#([^"]+)"', found):
        assert tag.split(".")[0] == page.split("/")[-1]


def test_a_figure_stands_before_the_exercises_of_its_chapter_alone():
    for page in living.FIGURES:
        chapter = ROOT.joinpath(*page.split("/")[1:]).with_suffix(".py")
        assert "\n**Exercises.**" in chapter.read_text(encoding="utf-8")
    before, after = "# A\n\ntext\n", "\n## Exercises\n\n1. One\n"
    page = "chapters/minirl/play/ppo"
    assert living.placed(page, before + after) == f"{before}\n{figure(page)}\n{after}"
    assert living.placed("chapters/minirl/play/reinforce", before + after) == before + after


def test_the_script_fetches_nothing():
    """No address but the name of SVG, and no import, so that it works from a file."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(fetch|import|XMLHttpRequest)\b", text)


# The frontier.


def test_the_frontier_has_the_points_of_the_book():
    """E[R], KL, J and the length at each price, as the judge finds them for π*."""
    found = shown("frontier")
    assert [point[0] for point in found["points"]] == list(living.BETAS)
    assert living.BETAS[found["start"]] == example().beta
    none = critical_beta(example().world, example().reference)
    assert none < min(living.BETAS) and f"{none:.5f} and below" in caption("frontier")
    for beta, reward, kl, J, letters in found["points"]:
        best = regularised_optimum(example().world, example().reference, beta=beta)
        score = example().judge(best.policy)
        assert [reward, kl] == pytest.approx([score.reward, score.kl], abs=6e-5)
        assert J == pytest.approx(best.objective, abs=6e-5)
        assert J == pytest.approx(reward - beta * kl, abs=5e-4)  # β times a rounding of 5e-5
        assert letters == pytest.approx(score.length - 1, abs=6e-5)


def test_the_words_at_a_price_are_those_of_its_policy():
    found, vocabulary = shown("frontier"), example().model.vocabulary
    assert found["reference"]["words"] == vocabulary.decode(sample(example().reference, 10, rng=0))
    for k in (0, len(living.BETAS) - 1):
        best = regularised_optimum(example().world, example().reference, beta=living.BETAS[k])
        assert found["words"][k] == vocabulary.decode(sample(np.log(best.policy), 10, rng=0))


def test_the_policy_follows_from_the_values_that_the_page_holds():
    """(regularised.2), from rounded numbers: by NumPy here, and by the page's own function."""
    found = shown("frontier")
    symbols = len(found["order"])
    assert sorted(found["order"]) == list(range(symbols))
    asked = (0, found["start"], len(living.BETAS) - 1)
    for k in asked:
        best = regularised_optimum(example().world, example().reference, beta=living.BETAS[k])
        values = np.array(found["values"][k]) * (np.arange(symbols) > 0)  # 0 after the end
        Q = np.array(found["reward"]) + values
        policy = np.exp(log_softmax(np.array(found["ref_logp"]) + Q / living.BETAS[k]))
        assert policy == pytest.approx(best.policy, abs=1e-3)
    for k, policy in zip(asked, computed("rest[0].map(k => js.policyAt(data, k))", found, asked)):
        best = regularised_optimum(example().world, example().reference, beta=living.BETAS[k])
        assert np.array(policy) == pytest.approx(best.policy, abs=1e-3)


# The clip.


def test_the_clip_has_the_terms_of_the_equation_and_their_gradients():
    """(ppo.1), and (ppo.3) as a slope over log ρ: dead where going further gains nothing."""
    found = shown("clip")
    ratios, epsilon = np.array(found["ratios"]), found["epsilon"]
    assert f"ε = {epsilon}" in caption("clip")
    for A in (1, -1):
        terms, gradients = (np.array(found[name][str(A)]) for name in ("terms", "gradients"))
        clipped = np.clip(ratios, 1 - epsilon, 1 + epsilon)
        assert terms == pytest.approx(np.minimum(ratios * A, clipped * A), abs=1e-4)
        slopes = (terms[2:] - terms[:-2]) / (ratios[2:] - ratios[:-2]) * ratios[1:-1]
        at_bound = np.abs(np.abs(ratios - 1) - epsilon) < 1e-9
        assert gradients[1:-1][~at_bound[1:-1]] == pytest.approx(slopes[~at_bound[1:-1]], abs=1e-3)
        dead = ratios > 1 + epsilon + 1e-9 if A > 0 else ratios < 1 - epsilon - 1e-9
        assert (gradients == 0).tolist() == dead.tolist()


def test_the_sentence_about_a_step_is_that_of_its_cell():
    """The six cells of the table of `ppo`: pulled back only where it moved the wrong way."""
    cells = [(A, ratio) for A in (1, -1) for ratio in (0.6, 1.1, 1.4)]
    found = shown("clip")
    gradients = [found["gradients"][str(A)][living.RATIOS.index(ratio)] for A, ratio in cells]
    said = computed("data.map(([A, ratio], k) => js.said(A, ratio, 0.2, rest[0][k]))",
                    cells, gradients)
    assert [words.split(":")[0] for words in said] == ["alive", "alive", "dead",
                                                       "dead", "alive", "alive"]
    assert ["pulled back" in words for words in said] == [True, False, False, False, False, True]


# The sweeps.


def test_the_sweeps_are_those_of_value_iteration():
    """Each follows from the one before by (planning.1), and the last has settled."""
    found, mdp = shown("sweeps"), frozen_lake().mdp(gamma=living.GAMMA)
    best = value_iteration(mdp)
    assert found["sweeps"][-1] == best.rounds and not np.any(found["values"][0])
    assert np.array(found["values"][-1]) == pytest.approx(best.values, abs=6e-5)
    V, after = np.zeros(16), {}
    for sweep in range(1, best.rounds + 1):
        before, V = V, action_values(mdp, V).max(axis=1)
        after[sweep] = V, np.abs(V - before).max()
    for sweep, values, change in list(zip(found["sweeps"], found["values"], found["changes"]))[1:]:
        assert np.array(values) == pytest.approx(after[sweep][0], abs=6e-5)
        assert change == pytest.approx(after[sweep][1], rel=6e-3)


def test_the_arrows_are_greedy_and_become_the_best_policy_when_the_caption_says():
    found, mdp = shown("sweeps"), frozen_lake().mdp(gamma=living.GAMMA)
    best = policy_iteration(mdp)
    assert found["best"] == round(best.objective, 4)
    assert f"sweep {found['settled']} on" in caption("sweeps")
    assert f"{found['sweeps'][-1]} sweeps" in caption("sweeps")
    assert f"γ = {living.GAMMA}" in caption("sweeps")

    def worth(sweep):  # of the first arrows, which on a tie is what value iteration takes
        arrows = found["arrows"][found["sweeps"].index(sweep)]
        policy = np.eye(4)[["←↓→↑".index(moves[0]) for moves in arrows]]
        return from_start(mdp, evaluate(mdp, policy))

    assert worth(found["settled"]) == pytest.approx(best.objective, abs=1e-12)
    assert worth(found["settled"] - 1) < best.objective - 1e-4
    assert all(len(moves) == 4 for moves in found["arrows"][0][:14])  # at V = 0 only 14 can see G


def test_numbers_are_written_with_a_true_minus():
    """And without a minus at zero, or in the way of powers of ten."""
    assert computed("data.map(x => js.fixed(x, 2))", [-0.5354, -0.001, 1.005]) == [
        "−0.54", "0.00", "1.00"]
    assert computed("data.map(js.scientific)", [0.0514, 1.234e-7, 9.8e-13]) == [
        "0.0514", "1.2 · 10⁻⁷", "9.8 · 10⁻¹³"]
