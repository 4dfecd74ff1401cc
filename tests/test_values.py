"""The job `values`: a world solved three times, learners judged by it, and what is printed."""

from functools import cache

import numpy as np
import pytest

from gridworld import maps
from gridworld.maps import cliff_walk, corners, frozen_lake
from gridworld.world import GridWorld, parse
from minirl.exact.evaluation import evaluate
from minirl.exact.planning import policy_iteration
from minirl.lab import summary, values
from minirl.lab.values import Settings, ValueCurve, Values
from minirl.play.exploration import epsilon_greedy
from minirl.play.q_learning import double_q_learning, expected_sarsa, learners, q_learning, sarsa

LAKE = frozen_lake().mdp(gamma=0.95)
JOB = "values"


def found_on(grid, gamma=0.95, name="x", **settings):
    """What the job finds with two runs of 20 steps."""
    mdp, settings = grid.mdp(gamma=gamma), Settings(gamma, 20, **settings)
    solution = values.solve_world(mdp)
    return Values(name, grid, settings, solution, [
        values.learn_values(mdp, solution.optimum, method, seed=0, runs=2, settings=settings)
        for method in values.VALUE_LEARNERS])


@pytest.fixture
def asked(monkeypatch):
    """What each learner is asked for, in order; none learns anything."""
    asked = []

    def learn_values(mdp, optimum, method, **arguments):
        asked.append((method, arguments))
        return ValueCurve(method, np.array([20]), np.ones((1, 2)), np.ones((1, 2)), np.ones(2), 0.5)

    monkeypatch.setattr(values, "learn_values", learn_values)
    return asked


@pytest.mark.parametrize("grid, gamma, visits", [
    *((world(), 0.95, "discounted visits") for world in maps.WORLDS.values()),
    (cliff_walk(), 1.0, "expected visits"), (frozen_lake(), 1.0, "expected visits"),
    (maps.teleports(), 0.999, "discounted visits")])
def test_every_known_world_is_solved_by_three_solvers_that_agree(grid, gamma, visits):
    """And drawn in 80 columns.  The tolerance is relative, since 10^-12 cannot be told from the
    rounding of 2,000, and rounding at gamma 1 is not taken for a world without an end."""
    mdp = grid.mdp(gamma=gamma)
    solution = values.solve_world(mdp)
    assert len(solution.rounds) == 3 and solution.left_out == solution.apart == {}
    assert solution.disagreement < (1e-8 if gamma == 0.95 else 1e-7)
    J = (solution.visits[:, None] * solution.optimum.policy * mdp.mean_reward).sum()
    assert J == pytest.approx(solution.optimum.objective, abs=1e-9 * max(1, abs(J)))
    text = values.solution_text(Values("x", grid, Settings(gamma), solution, []))
    assert max(map(len, text.split("\n"))) <= 80
    assert all(word in text for word in ("best moves", "values", visits))


@pytest.mark.parametrize("solver", ["value_iteration", "linear_programme"])
@pytest.mark.parametrize("value", [7.0, -7.0])
def test_a_solver_that_is_wrong_would_be_noticed(monkeypatch, solver, value):
    right = getattr(values, solver)
    monkeypatch.setattr(values, solver, lambda *given, **options: right(*given, **options)._replace(
        values=np.full(16, value), rounds=123))
    solution = values.solve_world(LAKE)
    assert solution.disagreement > 6 and (solution.apart[solver.replace("_", " ")] == value).all()
    assert solution.rounds[solver.replace("_", " ")] == 123


def test_the_tolerance_of_value_iteration_grows_with_the_values_whatever_their_sign(monkeypatch):
    found, solve = [], values.value_iteration
    monkeypatch.setattr(values, "value_iteration",
                        lambda mdp, *, tol, max_sweeps: found.append(tol) or solve(mdp, tol=tol))
    values.solve_world(GridWorld(parse("SG"), step_reward=-1e6).mdp(gamma=0.5))
    assert found == [pytest.approx(1e-5, rel=1e-3)]


@pytest.mark.parametrize("method, learner", [
    ("q_learning", q_learning), ("double_q_learning", double_q_learning), ("sarsa", sarsa),
    ("expected_sarsa", expected_sarsa)])
def test_a_curve_judges_the_records_of_the_learner(method, learner):
    """The steps are cut to a multiple of the points, downwards: 215 are 20 times 10."""
    best = policy_iteration(LAKE)
    curve = values.learn_values(LAKE, best, method, seed=4, runs=2,
                                settings=Settings(0.95, 215, 0.9, 0.7, 0.3, 0.2))
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
        assert (curve.actions == record.Q.argmax(axis=2)).all() or point < values.POINTS - 1
    assert curve.shares == pytest.approx(curve.values[-1] / best.objective, abs=1e-12)


def test_a_spread_is_three_runs_that_exist_and_the_worst_have_no_value():
    """Since their greedy policy never ends, such as going up for ever on the cliff."""
    mdp = cliff_walk().mdp(gamma=1.0)
    best = policy_iteration(mdp).policy.argmax(axis=1)
    J = values.worth(mdp, np.array([[np.zeros_like(best), best]]))
    np.testing.assert_array_equal(J, [[np.nan, -13]])
    assert summary.spread(np.arange(11.0)).tolist() == [1, 5, 9]
    assert summary.spread(np.array([3.0, np.nan, 1.0])).tolist() == [-np.inf, 1, 1]
    assert summary.spread(np.array([[2.0], [7.0]])).tolist() == [[2, 7]] * 3


@pytest.mark.slow
@pytest.mark.parametrize("name, steps, least", [("windy", 8000, [1, None, 0.8, 1]),
                                                ("cliff", 10_000, [1, 0.65, 0.65, 0.8]),
                                                ("teleports", 5000, [0.95, 0.85, 0.8, 0.8])])
def test_with_the_settings_of_their_world_learners_arrive_even_sooner(name, steps, least):
    """The median of five runs, which all have more steps in the job; on the cliff by a detour."""
    settings = values.SETTINGS[name]._replace(steps=steps)
    mdp = maps.WORLDS[name]().mdp(gamma=settings.gamma)
    for method, share in zip(values.VALUE_LEARNERS, least, strict=True):
        if share is not None:
            curve = values.learn_values(mdp, policy_iteration(mdp), method, seed=0, runs=5,
                                        settings=settings)
            assert summary.spread(curve.shares)[1] >= share, method


# What is printed and written.


def test_what_is_printed_of_learners_fits_into_80_columns_and_a_drawing_if_it_can(monkeypatch):
    found = found_on(corners(), initial_value=-1234.5)
    text = values.curves_text(found)
    assert max(map(len, text.split("\n"))) <= 80
    assert all(word in text for word in (*values.VALUE_LEARNERS, "initial value -1234.5"))
    whole = values.solution_text(found).split("\n")
    widest = max(map(len, whole[2:whole.index("", 2)]))
    for width, beside in (widest, True), (widest - 1, False):
        monkeypatch.setattr(values, "WIDTH", width)
        assert values.solution_text(found).split("\n")[2].startswith("best moves  ") == beside


def test_the_text_of_a_solution_and_the_document_hold_its_drawings_and_its_numbers():
    found = found_on(GridWorld(parse("SFG"), success_rate=0.5, step_reward=-1.0), 0.5, "lac gelé")
    found = found._replace(solution=found.solution._replace(
        rounds={"one solver": 3, "another": 21}, disagreement=3.5e-12,
        left_out={"a third": "not tried", "a fourth": "not settled after 20 sweeps"},
        apart={"another": np.array([0.5, np.nan, 2.0])}))
    assert values.solution_text(found) == (
        "lac gelé, gamma 0.5: the optimum is J* = -1.555556\n\n"
        "best moves    values               discounted visits\n"
        "→ → G         -1.56 -0.67     G    1.33 0.44    G\n\n"
        "Solved twice, with these numbers of rounds: one solver 3, another 21.  The\n"
        "values differ by at most 4e-12.  Left out: a third, not tried; a fourth, not\n"
        "settled after 20 sweeps.\n\n"
        "Not certain: another disagrees in 2 states (row 1, column 1: 0.5 and not\n"
        "-1.55556; row 1, column 3: 2 and not 0).")
    best, curve = found.solution.optimum, found.curves[0]
    document = values.VALUES.document(found)
    assert document.pop("methods") == values.value_rows(found.curves)
    assert list(document["curves"]) == list(values.VALUE_LEARNERS)
    assert document.pop("actions")["q_learning"] == curve.actions.tolist()
    assert curve.actions.shape == (2, 3)
    assert document.pop("curves")["q_learning"] == {
        "steps": curve.steps.tolist(), "errors": curve.errors.tolist(),
        "values": curve.values.tolist()} and curve.errors.shape == (values.POINTS, 2)
    assert document == {
        "world": "lac gelé", "gamma": 0.5, "optimum": best.objective,
        "disagreement": 3.5e-12, "rounds": {"one solver": 3, "another": 21},
        "left_out": {"a third": "not tried", "a fourth": "not settled after 20 sweeps"},
        "apart": {"another": [0.5, None, 2.0]}, "shape": (1, 3), "moves": "LDRU",
        "policy": best.policy.tolist(),
        "best_actions": [[False, False, True, False], [False, False, True, False], [True] * 4],
        "values": best.values.tolist(),
        "action_values": best.action_values.tolist(), "visits": found.solution.visits.tolist()}


def test_what_has_no_value_is_null_in_the_document():
    """A cell that is never reached at gamma 1, and a greedy policy that never ends."""
    found = found_on(GridWorld(parse("SG#F"), step_reward=-1.0), 1.0, initial_value=5.0)
    document = values.VALUES.document(found)
    assert document["values"] == [0, None, None, None]
    assert document["action_values"][0] == [-1, -1, 0, -1]
    assert {None} <= set(sum(document["curves"]["sarsa"]["values"], [])) <= {None, 0.0}
    assert values.listed(np.array([[1, np.nan], [np.inf, -np.inf]])) == [[1, None], [None, None]]


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_the_figure_says_which_sign_is_that_of_cells_never_reached(gamma):
    """Below gamma 1 they have a value."""
    figures = pytest.importorskip("minirl.lab.figures", exc_type=ImportError)
    found = found_on(GridWorld(parse("SG#F"), step_reward=-1.0), gamma)
    caption = figures.values_figures(found)["x_values"].get_supxlabel()
    assert "S start, G goal, # wall" in caption
    assert caption.endswith(", F never reached") == (gamma == 1)


def test_the_text_of_the_learners_holds_their_last_points_and_who_did_not_arrive():
    """Of eleven runs the second, sixth and tenth."""
    runs = np.arange(11.0)
    last = np.where(runs < 2, np.nan, runs / 2 - 5.5)

    def curve(method, values, shares):
        return ValueCurve(method, np.array([10, 12345]), np.stack([runs + 50, runs]),
                          np.stack([runs, values]), shares, 0.5)

    found = found_on(corners())._replace(curves=[
        curve("sarsa", last, last / 6 + 1), curve("q_learning", last, runs * 0 + 0.499),
        curve("expected_sarsa", runs * np.nan, runs * np.nan), curve("lazy", runs, runs * np.nan)])
    text = values.curves_text(found)
    assert text.startswith(
        "                       |Q - Q*|                J greedy           share\n"
        "method           10 %    median   90 %   10 %    median    90 %  median\n"
        "sarsa           1.000     5.000  9.000   null    -3.000  -1.000  0.5000  █████\n"
        "q_learning      1.000     5.000  9.000   null    -3.000  -1.000  0.4990  █████\n")
    assert "\n11 runs of 12,345 steps each, with learning rate 1, decay 0.6," in text
    assert text.endswith("Did not get there with these settings: q_learning, expected_sarsa.")
    assert "Did not" not in values.curves_text(found._replace(curves=found.curves[:1]))


def test_rows_hold_the_last_point_of_each_curve_and_its_share():
    """Which is null if the optimum is worth nothing."""
    J = 0.25
    curve = ValueCurve("sarsa", np.array([10, 20]), np.array([[9.0, 9, 9], [1, 3, 2]]),
                       np.array([[0.0, 0, 0], [J, J / 2, np.nan]]), np.array([1, 0.5, np.nan]), 0.5)
    row, = values.value_rows([curve])
    assert row == {"method": "sarsa", "error": [1, 2, 2], "value": [None, J / 2, J / 2],
                   "share": 0.5, "steps": 20, "runs": 3, "seconds": 0.5}
    lost, = values.value_rows([curve._replace(values=np.full((2, 3), np.nan),
                                              shares=np.full(3, np.nan))])
    assert lost["value"] == [None] * 3 and lost["share"] is None
    nothing = found_on(frozen_lake("SF"), 0.9)
    assert all(row["share"] is None for row in values.value_rows(nothing.curves))
    assert "Did not" not in values.curves_text(nothing)


@pytest.mark.parametrize("world, gamma, J, rounds, missing", [
    (maps.teleports(), 0.999, 1_996.81, ["policy", "modified policy", "linear"],
     {"value iteration": "not settled after 10,000 sweeps"}),
    (maps.teleports(), 0.9999, 19_996.80973809, ["policy", "linear"],
     {"value iteration": "not settled after 9 sweeps",
      "modified policy iteration": "not settled after 1 round"}),
    (frozen_lake(), 0.95, 0.180472, ["policy", "value"],
     {"linear programme": "not tried with more than 15 states"}),
    (frozen_lake(), 0.95, 0.180472, ["policy", "value"], {"linear programme": "not settled"}),
    (frozen_lake(), 0.95, 0.180472, ["policy"],
     {"value iteration": "not settled after 9 sweeps",
      "modified policy iteration": "not settled after 1 round",
      "linear programme": "not tried with more than 15 states"})])
def test_a_witness_that_is_slow_or_fails_is_left_out_and_the_rest_is_printed(
        monkeypatch, world, gamma, J, rounds, missing):
    """The work of value iteration is limited on a large map, however often it may sweep."""
    monkeypatch.setattr(values, "BUDGET", 10_000)
    if "9 sweeps" in missing.get("value iteration", ""):
        monkeypatch.setattr(values, "LOOKED_AT", 9 * world.mdp(gamma=gamma).transitions.nnz)
    if "15 states" in missing.get("linear programme", ""):
        monkeypatch.setattr(values, "PROGRAMMED", 15)
    elif "linear programme" in missing:
        def fail(mdp):
            raise ValueError("the linear programme is not settled")
        monkeypatch.setattr(values, "linear_programme", fail)
    solution = values.solve_world(world.mdp(gamma=gamma))
    assert solution.optimum.objective == pytest.approx(J, rel=1e-5)
    assert [name.rsplit(" ", 1)[0] for name in solution.rounds] == rounds
    assert solution.left_out == missing and solution.apart == {}
    assert solution.disagreement < 1e-6 * J
    text = values.solution_text(Values("x", world, Settings(gamma), solution, []))
    printed = " ".join(text.split())
    assert ("No other solver confirms it." in printed) == (rounds == ["policy"])
    assert f"Solved {[0, 'once', 'twice', 'three times'][len(rounds)]}, with" in printed
    assert printed.endswith("Left out: " + "; ".join(f"{name}, {reason}" for name, reason
                                                     in missing.items()) + ".")


@pytest.mark.parametrize("cells, gamma, J, apart", [
    ("S -5 G", 1, -4, [0]), ("S -1.01 G", 1, -0.01, [0]), ("S -2 -1 G", 1, -2, [0]),
    ("S -9 G\nF -9 F\nF -9 F\nF -9 F", 1, -8, [0, 3, 6, 9]), ("S F\nG F\n-3 #", 1, 1, []),
    ("S F F F F G\nH F F F F F\nF F F F F -1e8", 0.3, 0.0081, []),
    ("S F F G\nH -1e10 F F", 1, 1, []), ("S F # 1e9\nF 0.001 # -1e9\nF F # -1e9", 0.9, 0.009, []),
    ("S F F -1e12\nF F F H\n# F F 1e-6", 0.7, 0.7**4 / 0.3 * 1e-6, [])])
def test_the_states_in_which_solvers_disagree_are_named(cells, gamma, J, apart):
    """Where going on for ever is worth more than any end; not where numbers are huge elsewhere."""
    grid = GridWorld(parse(cells))
    solution = values.solve_world(grid.mdp(gamma=gamma))
    assert solution.optimum.objective == pytest.approx(J, rel=1e-9)
    assert len(solution.rounds) == 3 and solution.left_out == {}
    others = solution.apart.get("value iteration", np.full(len(grid.symbols), np.nan))
    assert np.flatnonzero(~np.isnan(others)).tolist() == apart and not others[apart].any()
    assert list(solution.apart) == ["value iteration"][:len(apart)]
    text = values.solution_text(Values("x", grid, Settings(gamma), solution, []))
    assert f"J* = {J:.6f}" in text and ("Not certain" in text) == (apart != [])
    if apart:
        cells = (f"row {s // grid.shape[1] + 1}, column 1: 0 and not {J:g}" for s in apart)
        assert " ".join(text.split()).endswith(
            f"value iteration disagrees in {len(apart)} state{'s' * (len(apart) > 1)} "
            f"({'; '.join(cells)}). It also counts going on for ever, which at gamma 1 may be "
            f"worth more than any end.")


@pytest.mark.parametrize("gamma", [1 - 1e-9, 1 - 1e-12])
def test_however_close_to_gamma_one_the_best_policy_is_found(monkeypatch, gamma):
    """Although no other solver arrives: 10 is paid in every fifth step."""
    monkeypatch.setattr(values, "BUDGET", 9)
    solution = values.solve_world(maps.teleports().mdp(gamma=gamma))
    assert solution.optimum.values[1] == pytest.approx(10 / (1 - gamma**5), rel=1e-3)
    assert solution.best[1].all() and 25 <= solution.best.sum() < 60
    assert (solution.optimum.policy <= solution.best).all()


def test_of_many_states_in_which_solvers_disagree_some_are_shown():
    grid = GridWorld(parse("S -9 G\n" + "F -9 F\n" * 6))
    solution = values.solve_world(grid.mdp(gamma=1.0))
    text, = values.apart_text(Values("x", grid, Settings(1.0), solution, []))
    assert "in 7 states (row 1, " in text and "row 5, column 1: 0 and not -8; and 2 more)" in text


# The command.


@pytest.mark.parametrize("arguments, runs, seed, settings", [
    ([], 20, 0, Settings()),
    (["--runs=3", "--seed=7", "--gamma=0", "--steps=20", "--learning-rate=1e-6", "--decay=0",
      "--exploration-rate=0", "--initial-value=-1e6"], 3, 7, Settings(0, 20, 1e-6, 0, 0, -1e6)),
    (["--world=cliff", "--gamma=1", "--decay=1", "--exploration-rate=1", "--initial-value=1e6"],
     20, 0, Settings(1, 40_000, 0.5, 1, 1, 1e6)),
    *(([f"--world={name}"], 20, 0, settings) for name, settings in values.SETTINGS.items())])
def test_arguments_reach_the_learners(command, asked, arguments, runs, seed, settings):
    """Defaults of the world where none is given; each may be as large as its bounds."""
    assert command("--quiet", *arguments) == (0, "", "")
    assert asked == [(method, {"seed": seed, "runs": runs, "settings": settings}) for method in
                     ("q_learning", "double_q_learning", "sarsa", "expected_sarsa")]
    assert settings.steps % values.POINTS == 0


@pytest.mark.parametrize("rules, optimum", [
    ([], 0.5), (["--step-reward", "-1"], -1), (["--success-rate", "0"], 2 / 11),
    (["--success-rate", "0", "--step-reward", "0"], 2 / 11),
    (["--step-reward", "-1", "--success-rate", "0.5"], (-1 + 0.25 * -0.5 / 0.75) / 0.75)])
def test_a_map_is_safe_and_free_unless_rules_are_given(command, asked, tmp_path, rules, optimum):
    """A rate of 0 is a rule too: up is left or right, V = V/4 + W/4 and W = V/4 + 1/2."""
    path = tmp_path / "my.own.txt"
    path.write_text("SFG\n")
    status, out, _ = command("--map", str(path), "--gamma", "0.5", *rules)
    assert status == 0 and asked[0][1]["settings"] == Settings(0.5)
    assert out.startswith(f"my.own, gamma 0.5: the optimum is J* = {optimum:.6f}\n")


# Figures.


def test_the_figures_show_the_solution_and_bear_the_name_of_the_map():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    found = figures.values_figures(found_on(corners(), 0.5, "mine"))
    assert list(found) == ["mine_values", "mine_curves"]
    heat, curves = found.values()
    assert heat.get_suptitle() == "mine: the best policy is worth −1.429 at γ = 0.5"
    assert heat.get_supxlabel().endswith("exact; S start, G goal")
    image, = heat.axes[0].images
    assert image.get_array().compressed() == pytest.approx(policy_iteration(
        corners().mdp(gamma=0.5)).values[1:-1])
    # One move is best in eight cells, two in four, and all in the two that are furthest.
    assert sum(hasattr(text, "arrow_patch") for text in heat.axes[0].texts) == 24
    assert curves.get_suptitle().startswith("mine: no learner ends nearer to Q* than ")
    assert curves.get_supxlabel().startswith("median of 2 runs, ")


def test_the_name_of_a_map_is_no_formula():
    """And one run is not "1 runs"."""
    name = "a$b_c^$ $\\frac$ {"
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    found = found_on_two_cells()
    one = found._replace(name=name, curves=[curve._replace(errors=curve.errors[:, :1])
                                            for curve in found.curves])
    assert list(figures.pictured(values.VALUES, one)) == [f"{name}_values", f"{name}_curves"]
    figure = figures.values_figures(one)[f"{name}_curves"]
    assert figure.get_supxlabel().startswith("median of 1 run, ")


@cache
def found_on_two_cells():
    return found_on(GridWorld(parse("SG")))


def test_learning_curves_draw_the_median_the_bars_and_the_optimum():
    """Each learner has a colour, a dash and a marker of its own, for its line and its bars."""
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_hex

    from minirl.lab import figures
    runs = np.arange(21.0)
    curve = ValueCurve("sarsa", np.array([10, 20, 30]), np.stack([runs + 5, runs, runs]),
                       np.stack([runs, runs + 1, np.full(21, np.nan)]), runs, 0.5)
    figure = figures.learning_curves([curve, *(curve._replace(method=name) for name in "abc")],
                                     optimum=33.0)
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [15, 10, 10]
    assert left.lines[0].get_xdata().tolist() == [10, 20, 30]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [10, 11, np.nan])
    assert list(left.lines[4].get_ydata()) == [0, 0]
    assert list(right.lines[4].get_ydata()) == [33, 33]
    bars = [path.vertices[:, 1].tolist() for path in left.collections[0].get_paths()]
    assert bars == [[2, 18], [7, 23]]  # every other one, from the last
    for axes in left, right:
        lines = [to_hex(line.get_color()) for line in axes.lines[:4]]
        assert lines == [to_hex(bars.get_color()[0]) for bars in axes.collections]
        assert len(set(lines)) == len({line.get_linestyle() for line in axes.lines[:4]}) == 4
        assert len({line.get_marker() for line in axes.lines[:4]}) == 4
        assert axes.get_xlabel() == "steps of each run"
    names = {text.get_text(): to_hex(text.get_color()) for text in right.texts}
    assert set(names) == {"● sarsa", "■ a", "▲ b", "◆ c", "J*"}
    assert [names[name] for name in ("● sarsa", "■ a", "▲ b", "◆ c")] == lines
