"""The job `values`: a world solved three times, learners judged by it, text, JSON and figures."""

import io
import json
import sys

import numpy as np
import pytest

from gridworld import maps
from gridworld.maps import cliff_walk, corners, frozen_lake
from gridworld.world import GridWorld, parse
from minirl.exact.evaluation import evaluate
from minirl.play.exploration import epsilon_greedy
from minirl.lab import report, values
from minirl.exact.planning import policy_iteration
from minirl.play.q_learning import double_q_learning, expected_sarsa, learners, q_learning, sarsa

LAKE = frozen_lake().mdp(gamma=0.95)
HASTE = ["--steps", "20", "--runs", "2"]
DEFAULTS = {"learning_rate": 1.0, "decay": 0.6, "exploration_rate": 0.5, "initial_value": 1.0}
JOB = "values"


@pytest.fixture
def asked(monkeypatch):
    """What each learner is asked for, in order; none learns anything."""
    asked = []

    def learn(mdp, optimum, method, **arguments):
        asked.append((method, arguments))
        return values.Curve(method, np.array([20]), np.ones((1, 2)), np.ones((1, 2)), 0.5)

    monkeypatch.setattr(values, "learn", learn)
    return asked


def solution_and_curves(mdp, runs=3, steps=60, **hyperparameters):
    solution = values.solve_world(mdp)
    return solution, [values.learn(mdp, solution.optimum, method, seed=0, runs=runs, steps=steps,
                                   **hyperparameters) for method in values.LEARNERS]


@pytest.mark.parametrize("name", maps.WORLDS)
def test_every_known_world_is_solved_by_three_solvers_that_agree(name):
    mdp = maps.WORLDS[name]().mdp(gamma=0.95)
    solution = values.solve_world(mdp)
    assert len(solution.rounds) == 3 and solution.disagreement < 1e-8
    table = mdp.mean_reward
    J = (solution.visits[:, None] * solution.optimum.policy * table).sum()
    assert J == pytest.approx(solution.optimum.objective, abs=1e-9)


@pytest.mark.parametrize("solver", ["value_iteration", "linear_programme"])
@pytest.mark.parametrize("value", [7.0, -7.0])
def test_a_solver_that_is_wrong_would_be_noticed(monkeypatch, solver, value):
    right = getattr(values, solver)
    monkeypatch.setattr(values, solver, lambda *given, **options: right(*given, **options)._replace(
        values=np.full(16, value), rounds=123))
    solution = values.solve_world(LAKE)
    assert solution.disagreement > 6
    assert solution.rounds[solver.replace("_", " ")] == 123


def test_the_tolerance_of_value_iteration_grows_with_the_values_whatever_their_sign(monkeypatch):
    found, solve = [], values.value_iteration
    monkeypatch.setattr(values, "value_iteration",
                        lambda mdp, tol: found.append(tol) or solve(mdp, tol=tol))
    values.solve_world(GridWorld(parse("SG"), step_reward=-1e6).mdp(gamma=0.5))
    assert found == [pytest.approx(1e-5, rel=1e-4)]


@pytest.mark.parametrize("method, learner", [
    ("q_learning", q_learning), ("double_q_learning", double_q_learning), ("sarsa", sarsa),
    ("expected_sarsa", expected_sarsa)])
def test_a_curve_judges_the_records_of_the_learner(method, learner):
    """The steps are cut to a multiple of the points, downwards: 215 are 20 times 10."""
    best = policy_iteration(LAKE)
    curve = values.learn(LAKE, best, method, seed=4, runs=2, steps=215, learning_rate=0.9,
                         decay=0.7, exploration_rate=0.3, initial_value=0.2)
    record = learners(LAKE, rng=[[4, 0], [4, 1]], initial_value=0.2,
                   tables=2 if method == "double_q_learning" else 1)
    trainer = learner(LAKE, record, decay=0.7, learning_rate=0.9, exploration=epsilon_greedy(0.3),
                      steps_per_iteration=10)
    assert curve.method == method and curve.seconds > 0
    for point, record in zip(range(values.POINTS), trainer):
        assert curve.steps[point] == 10 * (point + 1)
        for run, Q in enumerate(record.Q):
            played = best.action_values.any(axis=1)  # holes and the goal are worth nothing
            assert curve.errors[point, run] == np.abs(Q - best.action_values)[played].max()
            greedy = evaluate(LAKE, np.eye(4)[Q.argmax(axis=1)])
            assert curve.values[point, run] == pytest.approx(greedy[0], abs=1e-12)


@pytest.mark.parametrize("method", values.LEARNERS)
def test_a_run_is_the_same_whatever_runs_beside_it(method):
    best = policy_iteration(LAKE)
    many, alone = (values.learn(LAKE, best, method, seed=1, runs=runs, steps=100)
                   for runs in (3, 1))
    assert (many.errors[:, :1] == alone.errors).all() and (many.values[:, :1] == alone.values).all()


def test_a_greedy_policy_that_never_ends_has_no_value():
    mdp = cliff_walk().mdp(gamma=1.0)
    assert np.isnan(values.greedy_value(mdp, np.zeros(mdp.shape)))  # always up
    assert values.greedy_value(mdp, policy_iteration(mdp).action_values) == -13


def test_a_spread_is_three_runs_that_exist_and_the_worst_have_no_value():
    assert values.spread(np.arange(11.0)).tolist() == [1, 5, 9]
    assert values.spread(np.array([3.0, np.nan, 1.0])).tolist() == [-np.inf, 1, 1]
    assert values.spread(np.array([[2.0], [7.0]])).tolist() == [[2, 7]] * 3


@pytest.mark.parametrize("name, gamma", [*((name, 0.95) for name in maps.WORLDS), ("cliff", 1.0)])
def test_what_is_printed_fits_into_80_columns(name, gamma):
    grid = maps.WORLDS[name]()
    solution, curves = solution_and_curves(grid.mdp(gamma=gamma), runs=1, steps=20,
                                           initial_value=-1234.5)
    text = f"{report.solution_text(name, grid, gamma, solution)}\n" \
           f"{report.curves_text(curves, solution)}"
    assert max(map(len, text.split("\n"))) <= 80
    visits = "expected visits" if gamma == 1 else "discounted visits"
    for word in (name, "best policy", "values", visits, *values.LEARNERS):
        assert word in text


def test_a_wide_world_is_drawn_below_and_a_narrow_one_beside():
    for grid, beside in (corners(), True), (cliff_walk(), False):
        text = report.solution_text("x", grid, 0.9, values.solve_world(grid.mdp(gamma=0.9)))
        assert ("best policy    values" in text) == beside


def test_a_world_is_drawn_beside_as_long_as_it_fits(monkeypatch):
    grid = corners()
    solution = values.solve_world(grid.mdp(gamma=0.9))
    whole = report.solution_text("x", grid, 0.9, solution).split("\n")
    widest = max(map(len, whole[2:whole.index("", 2)]))
    for width, beside in (widest, True), (widest - 1, False):
        monkeypatch.setattr(report, "WIDTH", width)
        text = report.solution_text("x", grid, 0.9, solution)
        assert ("best policy    values" in text) == beside


def test_the_text_of_a_solution_holds_its_drawings_and_its_numbers():
    grid = GridWorld(parse("SFG"), success_rate=0.5, step_reward=-1.0)
    solution = values.solve_world(grid.mdp(gamma=0.5))._replace(
        rounds={"one solver": 3, "another": 21}, disagreement=3.5e-12)
    assert report.solution_text("corridor", grid, 0.5, solution) == (
        "corridor, gamma 0.5: the optimum is J* = -1.555556\n\n"
        "best policy    values               discounted visits\n"
        "→ → G          -1.56 -0.67     G    1.33 0.44    G\n\n"
        "Solved three times, with these numbers of rounds: one solver 3, another 21.  The\n"
        "values differ by at most 4e-12.")


def test_the_text_of_the_learners_holds_their_last_points():
    """Of eleven runs the second, sixth and tenth; J* is −2 and the median −3, so half is lost."""
    runs = np.arange(11.0)
    last = np.where(runs < 2, np.nan, runs / 2 - 5.5)
    curve = values.Curve("sarsa", np.array([10, 12345]), np.stack([runs + 50, runs]),
                         np.stack([runs, last]), 0.5)
    solution = values.solve_world(LAKE)
    solution = solution._replace(optimum=solution.optimum._replace(objective=-2.0))
    assert report.curves_text([curve], solution).startswith(
        "                          |Q - Q*|                  J greedy            share\n"
        "method               10 %  median    90 %     10 %   median     90 %  median\n"
        "sarsa               1.000   5.000   9.000     null   -3.000   -1.000  0.5000\n\n"
        "11 runs of 12,345 steps each.  |Q - Q*| is")


@pytest.mark.parametrize("number, text", [
    (None, "null"), (0.12345, "0.123"), (998.9, "998.900"), (-998.9996, "-999.000"),
    (999.0, "1e+03"), (1234.5, "1.2e+03"), (-1234.5, "-1.2e+03"), (-1.26e99, "-1.3e+99")])
def test_a_number_of_the_table_has_at_most_eight_characters(number, text):
    assert report._compact(number) == text


def test_rows_hold_the_last_point_of_each_curve_and_its_share():
    solution = values.solve_world(LAKE)
    J = solution.optimum.objective
    curve = values.Curve("sarsa", np.array([10, 20]), np.array([[9.0, 9, 9], [1, 3, 2]]),
                         np.array([[0.0, 0, 0], [J, J / 2, np.nan]]), 0.5)
    row, = report.value_rows([curve], solution)
    assert row["error"] == [1, 2, 2] and row["value"] == [None, J / 2, J / 2]
    assert row["share"] == pytest.approx(0.5) and (row["steps"], row["runs"]) == (20, 3)
    lost, = report.value_rows([curve._replace(values=np.full((2, 3), np.nan))], solution)
    assert lost["value"] == [None] * 3 and lost["share"] is None
    assert row["method"] == "sarsa" and row["seconds"] == 0.5
    solution = solution._replace(disagreement=np.float64(0.25))
    text = report.values_json("lac gelé", 0.5, [curve], solution)
    assert text.startswith('{\n "world": "lac gelé",\n') and text.endswith("}\n")
    assert json.loads(text) == {"world": "lac gelé", "gamma": 0.5, "optimum": J,
                                "disagreement": 0.25, "rounds": solution.rounds, "methods": [row]}


def test_the_share_of_an_optimum_of_nothing_is_null():
    solution, curves = solution_and_curves(frozen_lake("SF").mdp(gamma=0.9), steps=20)
    assert all(row["share"] is None for row in report.value_rows(curves, solution))


def test_large_values_close_to_gamma_one_are_solved_too():
    """The tolerance is relative: 10^-12 cannot be told from the rounding of 2,000."""
    assert values.solve_world(maps.teleports().mdp(gamma=0.999)).disagreement < 1e-7


@pytest.mark.parametrize("cells, by", [("S -5 G", "4"), ("S -1.01 G", "0.01")])
def test_a_world_in_which_it_is_better_never_to_end_is_refused(cells, by):
    mdp = GridWorld(parse(cells)).mdp(gamma=1.0)
    with pytest.raises(ValueError, match=f"for ever is worth more than any end, by up to {by}, so"):
        values.solve_world(mdp)


def test_rounding_is_not_taken_for_a_world_without_an_end():
    assert 0 < values.solve_world(frozen_lake().mdp(gamma=1.0)).disagreement < 1e-7


# The command.


def test_it_prints_a_world_and_four_learners(command):
    status, out, err = command(*HASTE)
    assert status == 0 and err == "" and "J* = 0.180472" in out and "\x1b" not in out
    assert all(f"\n{method} " in out for method in values.LEARNERS)


def test_the_seed_decides_everything(command, tmp_path):
    found = []
    for seed in "3", "3", "4":
        status, out, _ = command("--steps", "200", "--runs", "2", "--quiet", "--seed", seed,
                                 "--json", str(tmp_path / "x"))
        assert status == 0 and out == ""
        rows = json.loads((tmp_path / "x").read_text())["methods"]
        found.append([{**row, "seconds": 0} for row in rows])
    assert found[0] == found[1] != found[2]


def test_the_defaults_are_those_of_the_learners(command, asked):
    assert command("--quiet") == (0, "", "")
    assert asked == [(method, {"seed": 0, "runs": 20, "steps": 20_000, **DEFAULTS}) for method in
                     ("q_learning", "double_q_learning", "sarsa", "expected_sarsa")]


def test_learn_has_the_defaults_of_the_command():
    assert values.learn.__kwdefaults__ == DEFAULTS


@pytest.mark.parametrize("numbers", [(3, 20, 1e-6, 0, 0, -1e6), (1, 41, 1, 1, 1, 1e6)])
def test_every_argument_reaches_the_learners_and_may_be_as_large_as_its_bounds(command, asked,
                                                                               numbers):
    names = ["runs", "steps", *DEFAULTS]
    options = [f"--{name.replace('_', '-')}={number}" for name, number in zip(names, numbers)]
    assert command("--quiet", "--seed=7", *options) == (0, "", "")
    assert all(given == {"seed": 7, **dict(zip(names, numbers))} for _, given in asked)


def test_progress_is_shown_on_a_terminal_and_wiped(command, asked, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert command("--quiet") == (0, "", "")
    assert terminal.getvalue().split("\r\033[K") == [
        "", "4x4: planning", *(f"4x4: {method}" for method in values.LEARNERS), ""]


def test_the_world_is_painted_on_a_terminal(command, asked, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\x1b[32mG\x1b[0m" in command()[1]


@pytest.mark.parametrize("rules, optimum", [
    ([], 0.5), (["--step-reward", "-1"], -1), (["--success-rate", "0"], 2 / 11),
    (["--success-rate", "0", "--step-reward", "0"], 2 / 11)])
def test_a_map_is_safe_and_free_unless_rules_are_given(command, asked, tmp_path, rules, optimum):
    """A rate of 0 is a rule too: up is left or right, V = V/4 + W/4 and W = V/4 + 1/2."""
    path = tmp_path / "my.own.txt"
    path.write_text("SFG\n")
    status, out, _ = command("--map", str(path), "--gamma", "0.5", *rules)
    assert status == 0
    assert out.startswith(f"my.own, gamma 0.5: the optimum is J* = {optimum:.6f}\n")


def test_a_map_of_ones_own_is_solved_with_its_rules(command, tmp_path):
    path = tmp_path / "corridor.txt"
    path.write_text("SFG\n")
    status, _, _ = command(*HASTE, "--map", str(path), "--gamma", "0.5", "--step-reward", "-1",
                           "--success-rate", "0.5", "--json", str(tmp_path / "out.json"))
    found = json.loads((tmp_path / "out.json").read_text())
    # From the middle, W = ½ · 0 + ½ (−1 + W/2) and a goal that pays 1; from the start, −1 as well.
    middle = (0.5 * 0 + 0.5 * -1) / (1 - 0.25)
    first = (-1 + 0.25 * middle) / (1 - 0.25)
    assert status == 0 and found["world"] == "corridor"
    assert found["optimum"] == pytest.approx(first, abs=1e-12)


@pytest.mark.parametrize("arguments, message", [
    (["--world", "moon"], "argument --world: invalid choice: 'moon'"),
    (["--map", ""], "argument --map: the name of a file is expected, got ''"),
    (["--world", "cliff", "--map", "x"], "not allowed with argument"),
    (["--gamma", "1.5"], "argument --gamma: must lie between 0 and 1, got 1.5"),
    (["--gamma", "nan"], "argument --gamma: must lie between 0 and 1, got nan"),
    (["--runs", "0"], "argument --runs: must be at least 1, got 0"),
    (["--steps", "19"], "argument --steps: must be at least 20, got 19"),
    (["--learning-rate", "0"], "argument --learning-rate: must lie between 1e-06 and 1, got 0"),
    (["--decay", "x"], "argument --decay: 'x' is not a number"),
    (["--decay", "1.1"], "argument --decay: must lie between 0 and 1, got 1.1"),
    (["--success-rate", "1.1"], "argument --success-rate: must lie between 0 and 1, got 1.1"),
    (["--step-reward", "1e7"], "--step-reward: must lie between -1e+06 and 1e+06, got 1e7"),
    (["--exploration-rate", "2"], "argument --exploration-rate: must lie between 0 and 1, got 2"),
    (["--initial-value", "1e7"], "--initial-value: must lie between -1e+06 and 1e+06, got 1e7"),
    (["--seed", "-1"], "argument --seed: must be at least 0, got -1"),
    (["--plot", ""], "argument --plot: the name of a file is expected, got ''"),
    (["--learn", "1"], "unrecognized arguments: --learn 1"),
    (["--step-reward", "0"], "are rules for a map of your own: give --map too"),
    (["--success-rate", "0.5"], "are rules for a map of your own: give --map too"),
    (["--map", "no such file"], "cannot read no such file: No such file or directory"),
    (["--world", "teleports", "--gamma", "1"], "from state 0 this policy never ends"),
    (["--json", "no/such/folder"], "cannot write no/such/folder"),
    (["--plot", "setup.cfg"], "cannot make the folder setup.cfg: File exists"),
    (["--beta", "1"], "unrecognized arguments: --beta 1"),
])
def test_what_the_user_can_mend_is_refused_in_a_sentence(command, arguments, message):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    status, out, err = command(*HASTE, *arguments)
    assert status == 2 and out == "" and message in err and "Traceback" not in err


def test_a_malformed_map_is_refused_by_file_line_and_column(command, tmp_path):
    path = tmp_path / "map.txt"
    path.write_text("SFF\nFXG\n")
    status, _, err = command("--map", str(path))
    assert status == 2 and f"{path}: map line 2, column 2: 'X' is neither" in err


def test_the_figures_are_written_as_png(command, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "folder"
    assert command(*HASTE, "--quiet", "--plot", str(folder))[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["4x4_curves.png", "4x4_values.png"]
    for path in folder.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_the_figures_show_the_solution_and_bear_the_name_of_the_map(command, asked, monkeypatch,
                                                                    tmp_path):
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    drawn, saved = [], []
    monkeypatch.setattr(figures, "heat_map", lambda *given, **options: drawn.append(
        (given[1], options)))
    monkeypatch.setattr(figures, "learning_curves", lambda *_, **options: drawn.append(options))
    monkeypatch.setattr(figures, "save", lambda _, path: saved.append(path))
    path = tmp_path / "mine.txt"
    path.write_text("SFG\n")
    assert command("--quiet", "--gamma", "0.5", "--step-reward", "-1", "--map", str(path), "--plot",
                   str(tmp_path)) == (0, "", "")
    (best, options), curves = drawn
    assert best.tolist() == [-1, 0, 0] and options["title"] == "mine: the best values and moves"
    assert options["policy"].argmax(axis=1)[:2].tolist() == [2, 2]
    assert curves == {"optimum": -1.0, "title": "mine"}
    assert saved == [str(tmp_path / f"mine_{what}.png") for what in ("values", "curves")]


def test_without_matplotlib_a_plot_is_refused_before_the_work(command, monkeypatch, tmp_path):
    for module in ("matplotlib.figure", "gridworld.figures", "minirl.lab.figures"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delattr("minirl.lab.figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(values, "solve_world", None)
    status, _, err = command("--plot", str(tmp_path))
    assert status == 2 and "pictures need matplotlib: pip install 'minirl[plot]'" in err


def test_learning_curves_draw_the_median_the_band_and_the_optimum():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    runs = np.arange(21.0)
    curve = values.Curve("sarsa", np.array([10, 20, 30]), np.stack([runs + 5, runs, runs]),
                         np.stack([runs, runs + 1, np.full(21, np.nan)]), 0.5)
    figure = figures.learning_curves([curve], optimum=33.0, title="x")
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [15, 10, 10]
    assert left.lines[0].get_xdata().tolist() == [10, 20, 30]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [10, 11, np.nan])
    assert list(left.lines[1].get_ydata()) == [0, 0]
    assert list(right.lines[1].get_ydata()) == [33, 33]
    corners = left.collections[0].get_paths()[0].vertices
    assert {(10, 7), (10, 23), (30, 2), (30, 18)} <= set(map(tuple, corners.tolist()))
    assert figure.get_suptitle() == "x: median and 10-90 % of 21 runs"
    assert left.get_title() == "distance to Q*" and left.get_ylabel() == "‖Q − Q*‖∞"
    assert right.get_title() == "value of the greedy policy"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["sarsa", "optimum"]


def test_each_learner_has_a_colour_of_its_own_for_its_line_and_its_band():
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_hex

    from minirl.lab import figures
    curves = [values.Curve(method, np.array([10, 20]), np.ones((2, 3)), np.ones((2, 3)), 0.5)
              for method in values.LEARNERS]
    for axes in figures.learning_curves(curves, optimum=2.0, title="x").axes:
        lines = [to_hex(line.get_color()) for line in axes.lines[:4]]
        assert lines == [to_hex(band.get_facecolor()[0]) for band in axes.collections]
        assert len(set(lines)) == 4
