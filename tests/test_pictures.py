"""The pictures of the book: one look, findings that are true, small files of the same bytes."""

import io
import re
import struct
from collections import Counter
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import combinations

import defaults
import numpy as np
import pytest
import test_objectives
from test_house import ROOT

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from gridworld.draw import STANDING
from gridworld.maps import WORLDS
from gridworld.world import MOVES
from minirl.__main__ import main
from minirl.exact import planning
from minirl.exact.planning import best_actions, policy_gradient, policy_iteration
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.lab import style
from minirl.lab.running_example import bigram_of, running_example
from minirl.people.regularised import tilt
from minirl.pictures import on_worlds
from minirl.pictures.gallery import PICTURES
from minirl.pictures.on_people import displaced
from minirl.play import q_learning
from minirl.play.surrogate import collapse
from toy_lm.ngram import sample

DRAWN_BY = "3.11.2"  # the matplotlib of docs/figures; another one places letters a little elsewhere
NAMES = [picture.name for picture in PICTURES]

# What whole jobs find with their defaults, which other tests look at too.
JOBS = {"frontier": lambda: test_objectives.job()[0], "contrast": lambda: defaults.contrasts()[0],
        "scaling": lambda: defaults.scaling()[0], "harvest": lambda: defaults.harvest()[0]}

# What is trained for a picture alone, or by whole jobs.
TRAINED = {*JOBS, "learning_curves", "over_optimisation", "groups", "attempts", "beams", "trees",
           "memory"}

# What is drawn from many numbers, or in many panels.
LARGE = {"two_worlds", "policy_iteration", "baselines", "kl_estimates", "skills"}


def pictures(names):
    """A parameter for each of some pictures, slow where it is trained for or large."""
    return pytest.mark.parametrize("name", [
        pytest.param(name, marks=pytest.mark.slow) if name in TRAINED | LARGE else name
        for name in names])


def picture_called(name):
    return PICTURES[NAMES.index(name)]


@cache
def numbers_of(name):
    """The numbers of a picture, from seed 0."""
    return JOBS[name]() if name in JOBS else picture_called(name).data(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_picture_of_a_job_draws_what_the_job_finds(name):
    assert str(picture_called(name).data(0)) == str(numbers_of(name))


def words_of(figure):
    """All words on a figure as they are drawn, and where: list of (text, box in dots)."""
    figure.set_dpi(style.DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [text for text in figure.findobj(Text)
             if text.get_visible() and text.get_text().strip()]
    ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for tick in axis.get_major_ticks() + axis.get_minor_ticks()
             for label in (tick.label1, tick.label2)}
    shown = {tick.label1 for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for tick in axis._update_ticks()}  # which are within the panel
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in found
            if text not in ticks or text in shown]


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
def test_a_picture_says_a_finding_and_belongs_to_a_chapter(picture):
    """The title is a sentence that fits; the caption is one line; the tag is one of the book."""
    assert picture.finding[0].isupper() or not picture.finding[0].isascii()
    assert not picture.finding.endswith(".") and len(picture.finding) <= 84
    assert not picture.caption.endswith(".") and "\n" not in picture.caption
    package = "" if picture.chapter.startswith(("gridworld.", "toy_lm.")) else "minirl."
    assert import_module(package + picture.chapter).__doc__
    if picture.tag:
        stem = picture.tag.partition(".")[0]
        path, = (path for path in ROOT.glob(f"*/*/{stem}.py") if path.parts[-2] != "plain")
        assert f"({picture.tag})" in path.read_text(encoding="utf-8")


@cache
def drawn(name):
    """The file of a picture, and the words on it."""
    figure = style.titled(picture_called(name), numbers_of(name))
    return style.png(figure), words_of(figure)


@pictures(NAMES)
def test_a_file_is_small_and_the_one_that_the_pages_show(name):
    """At most 900 dots wide and 60 kB, nothing drawn over an edge, and up to a few dots the file of
    the pages."""
    found, words_on_it = drawn(name)
    width, height = struct.unpack(">II", found[16:24])
    assert width <= 900 and height <= 900 and len(found) <= 60_000
    if matplotlib.__version__ == DRAWN_BY:
        kept = (ROOT / "docs" / "figures" / f"{name}.png").read_bytes()
        one, other = (np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
                      for file in (found, kept))
        assert one.shape == other.shape and (one != other).any(axis=2).mean() <= 1 / 5000
    for words, box in words_on_it:
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, words


@pictures(NAMES)
def test_no_words_of_a_picture_lie_over_others(name):
    for (one, box), (other, another) in combinations(drawn(name)[1], 2):
        assert not box.shrunk(0.96, 0.7).overlaps(another.shrunk(0.96, 0.7)), (one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_always_the_same(name):
    """It has no date.  The fast tests say it of `clip` alone, which the command draws again."""
    assert drawn(name)[0] == style.png(style.titled(picture_called(name), numbers_of(name)))


def test_the_pages_have_every_picture_under_its_own_name():
    assert len(set(NAMES)) == len(NAMES)
    assert {path.stem for path in (ROOT / "docs" / "figures").iterdir()} == set(NAMES)


# Colours.


RGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])
RGB_TO_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714],
                       [0.0299566, 0.184309, 1.46709]])
WITHOUT = {  # Viénot, Brettel and Mollon 1999, on linear RGB
    "nothing": np.eye(3),
    "red": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "green": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])}


def linear(colour):
    c = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055)**2.4)


def lab(rgb):
    """CIELAB of linear RGB."""
    x = RGB_TO_XYZ @ rgb / (0.95047, 1, 1.08883)
    f = np.where(x > (6 / 29)**3, np.cbrt(x), x / (3 * (6 / 29)**2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("missing", WITHOUT)
def test_colours_are_told_apart_by_every_reader(missing):
    """A distance of 10 in CIELAB is plain to see side by side, and 25 in thin lines."""
    seen = np.linalg.inv(RGB_TO_LMS) @ WITHOUT[missing] @ RGB_TO_LMS
    if missing == "nothing":
        seen = np.eye(3)
    found = [lab(np.clip(seen @ linear(colour), 0, 1)) for colour in style.PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in combinations(found, 2)) > 25


def test_colours_are_told_apart_in_grey_and_seen_on_white():
    lightness = sorted(lab(linear(colour))[0] for colour in style.PALETTE)
    assert min(np.diff(lightness)) > 8
    for colour in (*style.PALETTE, style.GREY, style.INK):
        assert 1.05 / (RGB_TO_XYZ[1] @ linear(colour) + 0.05) > 3


# The command.


def test_the_command_lists_and_draws(tmp_path, capsys):
    assert main(["figures"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES
    assert main(["figures", "clip", "--plot", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'clip.png'}\n"
    clip = picture_called("clip")
    assert (tmp_path / "clip.png").read_bytes() == style.png(style.titled(clip, clip.data(0)))


def test_a_picture_that_is_none_is_refused(capsys):
    assert main(["figures", "clap"]) == 2
    assert re.search("there is no picture 'clap', did you mean 'clip'", capsys.readouterr().err)


# What the titles say.


# on_worlds


def test_one_gradient_formula_is_zero_in_both_worlds_and_then_letters_alternate():
    """(regularised.1) is the return of a world that charges for leaving the first table, and its
    gradient by (planning.5) is that of a table, of moves or of letters."""
    found, example = numbers_of("two_worlds"), running_example(bigram_of())
    lake = found.grid.mdp(gamma=0.99)
    for world, first, policy, beta in (
            (lake, lake.uniform, found.walk, on_worlds.LAKE_BETA),
            (example.world, found.reference, found.aligned, example.beta)):
        assert policy.shape == world.shape and np.allclose(policy.sum(axis=1), 1)
        logp = np.log(np.maximum(policy, 1e-300))
        price = beta * (logp - np.log(np.maximum(first, 1e-300)))
        charged = replace(world, reward=world.reward - price[:, :, None])
        assert np.abs(policy_gradient(charged, logp)[1]).max() < 1e-9
    best = best_actions(lake, policy_iteration(lake))
    assert best[np.arange(16), found.walk.argmax(axis=1)].all()
    vowel = np.array([letter in "aeiou" for letter in found.letters])
    like = vowel[:, None] == vowel
    before, after = ((policy[1:, 1:] * like).sum(axis=1) / policy[1:, 1:].sum(axis=1)
                     for policy in (found.reference, found.aligned))
    assert (after < before).all() and found.rewards[0] < 0 < found.rewards[1]


def test_q_learning_walks_along_the_edge_and_falls_more_often():
    """The numbers of the chapter; each step costs 1, and a fall 99 more."""
    grid, walks = numbers_of("cliff")
    edge = slice(25, 35)  # the cells above the cliff
    for learner, steps, J in ("Q-learning", 13, -50.8), ("SARSA", 15, -20.7):
        walk = walks[learner]
        assert round(walk.exploring, 1) == J and walk.steps == pytest.approx(steps)
        assert walk.exploring == pytest.approx(-walk.visits.sum() - 99 * walk.falls)
        assert f"{steps} steps" in q_learning.__doc__ and f"−{-J}" in q_learning.__doc__
    assert walks["Q-learning"].visits[edge].min() > 1 > 0.1 > walks["SARSA"].visits[edge].max()
    assert walks["Q-learning"].falls > 8 * walks["SARSA"].falls


def test_policy_iteration_stops_after_six_rounds():
    """(planning.2), with the policies and J of the chapter."""
    grid, found = numbers_of("policy_iteration")
    lake = grid.mdp(gamma=0.99)
    best = policy_iteration(lake)
    assert len(found) - 1 == best.rounds == 6 and (found[-1].policy == best.policy).all()
    for before, after in zip(found, found[1:]):
        assert ((before.policy != after.policy).any(axis=1) == after.changed).all()
        assert after.changed.any() and after.objective >= before.objective
        assert f"{after.objective:.4f}".rstrip("0") in planning.__doc__
    assert not best_actions(lake, best)[found[0].policy == 1].all()


@pytest.mark.slow
def test_two_learners_find_the_optimum_of_the_teleports_and_two_the_cautious_policy():
    found = numbers_of("learning_curves")
    assert found.careful < found.optimum - 1
    for learner, (low, median, high) in found.worths.items():
        assert high.max() <= found.optimum + 1e-9
        goal = found.careful if "sarsa" in learner else found.optimum
        assert (np.abs(median[-4:] - goal) < 0.3).all(), learner


@pytest.mark.parametrize("name", WORLDS)
def test_a_map_has_a_sign_for_all_that_is_special_and_an_arrow_for_each_likely_move(name):
    world = WORLDS[name]()
    figure, axes = style.panels(4)
    policy = np.tile([0.5, 0.5, 0, 0], (len(world.symbols), 1))
    on_worlds.draw_map(axes, world, policy=policy)
    found = Counter(text.get_text() for text in axes.texts)
    shown = Counter(world.symbols)
    for symbol in "GHCAaBb":
        assert found[symbol] == shown[symbol]
    assert found["S"] == (shown["S"] if shown["F"] else 0)
    assert sum(found[arrows] * len(arrows) for arrows in ("↑", "↑↑")) == sum(world.wind)
    signs = Counter(type(patch).__name__ for patch in axes.patches)
    assert signs["Circle"] == shown["H"] and signs["FancyArrowPatch"] == shown["A"] + shown["B"]
    assert signs["Rectangle"] == shown["G"] + shown["C"] + shown["#"]
    arrows = [artist for artist in axes.collections if hasattr(artist, "U")]
    assert len(arrows) == sum(cell not in STANDING for cell in world.symbols)
    for artist in arrows:
        for move, right, down in zip(world.moves, artist.U, artist.V):
            assert [np.sign(down), np.sign(right)] == list(MOVES[move])


# on_play


def test_the_clip_is_dead_on_one_side_only():
    """For a good action above 1 + ε, for a bad one below 1 − ε: (ppo.1) and (ppo.2)."""
    found = numbers_of("clip")
    for A, dead in (1, found.ratios > 1.2001), (-1, found.ratios < 0.7999):
        edge = np.isclose(found.ratios, 1 + 0.2 * A)
        assert edge.sum() == 1 and dead.any() and (found.slopes[A][dead] == 0).all()
        np.testing.assert_allclose(found.slopes[A][~dead & ~edge], A)
        np.testing.assert_allclose(found.terms[A], np.minimum(
            found.ratios * A, np.clip(found.ratios, 0.8, 1.2) * A))


def test_who_does_not_see_a_picture_hears_its_title_and_its_caption():
    picture = PICTURES[0]
    assert picture.alt == f"{picture.finding}. {picture.caption}"


def test_a_gradient_is_g_without_the_shares_of_its_sum():
    """By (softmax.2), for each pair of actions; and so it sums to zero, which G does not."""
    policy, G, gradient = numbers_of("backward")
    assert policy.sum() == pytest.approx(1) and G.sum() == -4
    np.testing.assert_allclose(gradient, [-2.4, 2.2, 0.8, -0.6])
    np.testing.assert_allclose(gradient, (np.eye(4) - policy[:, None]) @ G)
    assert gradient.sum() == pytest.approx(0, abs=1e-15)


def test_nine_steps_are_three_tables_and_so_are_nine_thousand():
    """Each step is added to one entry of A⁺ or A⁻; more steps change the sums and not the shape."""
    found = numbers_of("collapse")
    tables = found.tables
    gains, losses, number = np.zeros((3, 3, 2))
    for s, a, A in zip(found.states, found.actions, found.advantages):
        (gains if A > 0 else losses)[s, a] += A
        number[s, a] += 1
    np.testing.assert_array_equal((tables.gains, tables.losses, tables.counts),
                                  (gains, losses, number))
    assert found.states.size == tables.number == 9
    many = collapse(counts.steps(np.tile(found.states, 1000), np.tile(found.actions, 1000),
                                 [0, 9000], (3, 2)), np.tile(found.advantages, 1000))
    np.testing.assert_allclose(many.gains, 1000 * gains)
    np.testing.assert_allclose(many.losses, 1000 * losses)


def test_the_best_lambda_grows_with_the_batch_since_only_the_variance_falls():
    """With the values that are wrong; what an estimate is off by is its bias and its variance."""
    curves = numbers_of("gae")
    assert [curve.weights[curve.best] for curve in curves] == [0.3, 0.7, 0.9]
    assert [curve.episodes for curve in curves] == [32, 128, 512]
    for curve in curves:
        np.testing.assert_allclose(curve.bias, curves[0].bias)
        np.testing.assert_allclose(curve.variance * curve.episodes, curves[0].variance * 32)
        np.testing.assert_allclose(curve.error, curve.bias + curve.variance)
        assert (np.diff(curve.bias) < 0).all() and (np.diff(curve.variance) > 0).all()


def test_each_baseline_takes_away_most_of_the_noise_and_the_true_v_the_most():
    """The bars are sorted, and the mean of the batch alone is biased: by 1/32 of the gradient."""
    norm, rows = numbers_of("baselines")
    most, *others = rows
    assert most.name == "none" and others[-1].name == "true V" and len(others) == 6
    assert all(row.variance < most.variance / 2 for row in others)
    assert [row.variance for row in rows] == sorted((row.variance for row in rows), reverse=True)
    assert [row.name for row in rows if row.bias > 1e-12] == ["mean of the batch"]
    assert next(row.bias for row in rows if row.bias > 1e-12) == pytest.approx(norm / 32)


# on_people


def test_best_of_n_stops_where_the_best_strings_tie():
    """(best_of_n.2): at log 1/p, p the chance of the best reward, and nowhere above the bound."""
    found = numbers_of("best_of_n")
    for name, kl in found.kl.items():
        assert (kl <= found.bound + 1e-12).all()
        assert name == "words" or kl[-1] == pytest.approx(-np.log(found.top[name]), abs=1e-9)
    assert found.top["five"] == 0.2 and round(found.top["bare"], 2) == 0.41
    assert (found.kl["words"] > 0.98 * found.bound).all() and found.bound[-1] > 5.9


@pytest.mark.slow
def test_no_method_is_above_the_path_of_optima_and_its_slope_is_the_price():
    """(regularised.7): each point of the path has a tangent of slope β, and all lies below it."""
    found, prices = numbers_of("frontier"), np.geomspace(10, 0.1, 41)
    kl, reward = np.transpose(found.frontier)
    steps = np.diff(reward) / np.diff(kl)
    assert (steps < prices[:-1]).all() and (steps > prices[1:]).all()
    for rest in found.rests:
        assert (rest.reward <= reward + prices * (rest.kl - kl) + 1e-9).all(), rest.method
        assert not rest.aims or rest.share > 0.999
    assert {rest.method for rest in found.rests if rest.kl > 1.25} == {
        "online_sampling", "apo_down", "aot_unpaired"}
    assert {rest.method for rest in found.rests if not rest.at_rest and rest.kl < 1.25} == {
        "kto", "apo_zero"}
    assert {"sft", "reinforce", "ppo_kl", "dpo"} < {r.method for r in found.rests if r.aims}


def test_k1_pulls_nowhere_k2_down_the_kl_and_k3_down_the_other():
    """(kl.6), by exact gradients; and each descent lowers its own divergence to nothing."""
    found = numbers_of("kl_estimates")
    policy, ref = found.policy, found.reference
    ratio = np.log(policy / ref)
    assert np.abs(found.gradients["k1"]).max() < 1e-15
    assert np.allclose(found.gradients["k2"], policy * (ratio - policy @ ratio))
    assert np.allclose(found.gradients["k3"], policy - ref)
    assert np.ptp(found.paths["k1"], axis=0).max() < 1e-12
    for name, distance in (("k2", lambda p: (p * np.log(p / ref)).sum(axis=1)),
                           ("k3", lambda p: (ref * np.log(ref / p)).sum(axis=1))):
        distances = distance(found.paths[name])
        assert (np.diff(distances) < 1e-15).all() and distances[-1] < 1e-3 < distances[0]


@pytest.mark.slow
def test_the_truth_peaks_and_the_learned_reward_goes_on():
    found = numbers_of("over_optimisation")
    for path in found:
        assert (np.diff([point.kl for point in path]) > 0).all()
        assert (np.diff([point.proxy for point in path]) > 0).all()
    best = max(found.few, key=lambda point: point.gold)
    assert round(best.kl, 1) == 1.2 and round(best.gold, 2) == 0.25
    last = next(point for point in found.few if point.kl > 8)
    assert last.gold < 0 and last.proxy > 3 * best.proxy
    assert (np.diff([point.gold for point in found.many if point.kl < 9]) > 0).all()


@pytest.mark.slow
def test_only_with_k3_in_the_loss_does_the_size_of_a_group_matter():
    """The table of `grpo`, (grpo.2); and at the optimum all strings earn the same."""
    found = numbers_of("groups")
    for shares in found.words["reinforce"], *(found.strings[name] for name in (
            "reinforce", "grpo_kl_in_reward")):
        assert min(shares.values()) > 0.9995 and max(shares.values()) < 1 + 1e-9
    assert [round(100 * found.words["dr_grpo"][K]) for K in (2, 4, 8, 16, 64)] == [
        76, 83, 77, 67, 53]
    for name in "dr_grpo", "grpo":
        shares = list(found.strings[name].values())
        assert np.ptp(shares) > 0.1 and max(shares) < 0.9
    example = running_example(bigram_of())
    best = tilt(example.reference, example.optimum.action_values, beta=example.beta)
    paid = example.world.mean_reward - example.beta * (best - log_softmax(example.reference))
    earned = counts.matrix(sample(best, 100, rng=0)) @ paid.ravel()
    assert np.allclose(earned, example.optimum.objective)


def test_the_chosen_string_falls_where_steps_are_shared():
    """(dpo.5), whose changes are in the ratio of −8/9 to −40/9."""
    found = numbers_of("displacement")
    assert (np.diff(found.letters, axis=0) < 0).all()
    assert (np.diff(found.strings, axis=0) * [1, -1] > 0).all()
    assert np.allclose(np.exp(found.letters[0]), [2 / 9, 2 / 81])
    assert np.allclose(np.exp(found.strings[0]), [2 / 9, 2 / 81])
    small = np.diff(displaced(steps=1, rate=1e-6).letters, axis=0)[0]
    assert small[1] / small[0] == pytest.approx(5, abs=1e-4)


# on_beyond


@pytest.mark.slow
def test_no_batch_shows_more_than_log_k_or_than_there_is():
    """(contrastive.5); and a rank shows more than a smaller one, up to all of I."""
    found = numbers_of("contrast")
    for steps in found.steps:
        assert all(row.shown < min(row.ceiling, steps.information) for row in steps.batches)
    copy = found.steps[-1]
    assert copy.information > copy.batches[3].ceiling and copy.batches[-1].missing < 0.02
    shares = [*found.shares.values()]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_a_trained_table_wins_with_few_attempts_and_the_reference_with_many():
    """(inference.1); a table of its own for each prompt loses nowhere."""
    found = {row.policy: row for row in numbers_of("attempts").answers}
    passes = {name: np.array(row.passes) for name, row in found.items()}
    reference, trained = passes["reference"], passes["descent, beta 0.1"]
    assert (trained > reference)[:5].all() and (trained < reference)[5:].all()
    assert (trained > reference + 0.5)[:2].all() and trained[-1] < reference[-1] - 0.05
    for run in numbers_of("attempts").runs:
        assert run.passes[0] > reference[0] + 0.5 and run.passes[-1] < reference[-1] - 0.05
    assert (passes["own tables"] >= reference - 1e-9).all()


@pytest.mark.slow
def test_a_wider_beam_finds_likelier_and_shorter_words():
    for one in numbers_of("beams").strings:
        short, letters = ([getattr(beam, name) for beam in one.beams]
                          for name in ("short", "letters"))
        assert short == sorted(short, reverse=True) and letters == sorted(letters, reverse=True)
        assert abs(short[-1]) < 1e-9 and letters[-1] == one.letters < letters[0]


def test_checked_steps_buy_more_than_words_and_long_skills_grow_by_more():
    """(cascade.3), for as many draws; and letters that follow each other are right together."""
    found = numbers_of("skills")
    assert all(row.clean > row.stopping + 0.1 for row in found.checks[1:])
    gains = np.array(found.emergence[-1].chances) / found.emergence[0].chances
    assert gains[0] < 2 < gains[1] < 3 < 10 < gains[2]
    assert all(row.chances[-1] > 2 * row.power for row in found.emergence)


@pytest.mark.slow
def test_a_tree_search_is_as_good_as_its_prior_and_uct_can_be_misled():
    """In percent of V*; the chain asks for four times as many simulations a state, or more."""
    found = numbers_of("trees")
    worst = {tree.rule: np.max(tree.regrets, axis=1) for tree in found.trees}
    best = {tree.rule: np.min(tree.regrets, axis=1) for tree in found.trees}
    assert (worst["PUCT, good prior"] < 0.01).all() and (best["PUCT, wrong prior"] > 0.6).all()
    for rule in "UCT", "PUCT, no opinion":
        assert best[rule][0] > 0.05 > worst[rule][-1]
    known = [n for _, n in found.chain if n is not None]
    assert all(after >= 4 * n for n, after in zip(known, known[1:])) and known[-1] > 1000


@pytest.mark.slow
def test_each_memory_comes_to_rest_and_published_laws_disagree():
    """The last doublings gain less than the first ones, and least where the memory is short."""
    found = numbers_of("scaling")
    losses, steps = np.log([part.tree for part in found.parts]), [p.steps for p in found.parts]
    powers = -np.diff(losses, axis=0) / np.diff(np.log(steps))[:, None]
    assert (powers[-1] < powers[2]).all() and (np.diff(powers[-1]) > 0).all()
    assert powers[-1, 0] < 0.001 and powers[-1, 2] < 0.02 < 0.1 < powers[-1, -1]
    budgets = np.array([law.tokens_per_param for law in found.published])
    assert (budgets[:, 0] < budgets[:, -1]).tolist() == [True, True, False, True]
    assert budgets[:, -1].max() > 100 * budgets[:, -1].min()


@pytest.mark.slow
def test_few_negatives_collect_too_much_and_a_strict_narrow_loop_stops_early():
    found = {}
    for row in numbers_of("harvest").rounds:
        found.setdefault((row.start, row.negatives), []).append(row)
    last = {start: rows[-1] for start, rows in found.items()}
    assert all(rows[0].round == 1 and rows[-1].round == 5 for rows in found.values())
    assert last["random", 1].precision < 0.6 < 0.8 < last["random", 5].precision
    strict = found["one block", 20]
    assert strict[-1].recall < 0.5 < last["one block", 5].recall < last["random", 20].recall
    assert strict[-1].recall - strict[-2].recall < 0.01 and strict[-1].precision > 0.95


@pytest.mark.slow
def test_a_longer_memory_hurts_flat_n_grams_and_hardly_a_network():
    found = numbers_of("memory").memories
    flat, tree, network = ([getattr(row, name) for row in found]
                           for name in ("flat", "tree", "network"))
    assert flat[3] > flat[2] > flat[1] + 0.1 and flat[3] > flat[0] + 0.1
    assert max(network[1:]) - min(network[1:]) < 0.05 < 0.1 < network[0] - max(network[1:])
    assert tree == sorted(tree, reverse=True)
