"""The job `policies`: runs that equal the trainers', exact judgement, and the promises of PPO's
defaults.

`conftest.py` starts one run of PPO on each of four worlds in the background, with the defaults.
"""

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
import io
import json
import signal
import sys

import numpy as np
import pytest
from languages import BETA, running_example, share as share_of_text

from gridworld.maps import cliff_walk, frozen_lake
from gridworld.world import GridWorld, parse
from minirl.play.actor_critic import actor_critic
from minirl.lab import main_job, policies, report
from minirl.play.optim import linear
from minirl.exact.planning import policy_gradient, policy_iteration
from minirl.play.ppo import ppo
from minirl.play.ppo_kl import ppo_kl
from minirl.play.reinforce import reinforce
from minirl.play.training import start
from minirl.people.rlhf import step_rewards

LAKE = frozen_lake().mdp(gamma=0.99)
HASTE = {"iterations": 20, "episodes": 8, "horizon": 9}
TITLE = "4x4, gamma 0.99"
JOB = "policies"


@cache
def text():
    return policies.language_problem(BETA)


@cache
def fitted_corpus():
    return main_job.fit_corpus(policies.unicode_words())


@pytest.fixture
def asked(monkeypatch):
    """What the job asks for; nothing is learned."""
    asked = []

    def learn(problem, methods, **arguments):
        asked.append((problem, methods, arguments))
        for method in methods:
            arguments["progress"](method)
            yield policies.Curve(method, np.array([0, 10, 20]), np.array([30, 34]),
                                 np.array([[problem.before] * 2, [0.1, 0.2], [0.25, 0.5]]), 3.0)

    monkeypatch.setattr(policies, "learn", learn)
    monkeypatch.setattr(policies, "fit_corpus", lambda items: fitted_corpus())
    return asked


def curve(method, *values, steps=(30, 34)):
    return policies.Curve(method, np.arange(len(values)), np.array(steps), np.array(values), 3.0)


# The promises.


@pytest.mark.slow
@pytest.mark.parametrize("world, least", [("4x4", 0.99), ("8x8", 0.99), ("language", 0.99)])
def test_with_its_defaults_ppo_comes_within_one_percent(learned, world, least):
    method, = learned[world]["methods"]
    assert method["share"] == method["share_worst"] >= least


@pytest.mark.slow
def test_with_its_defaults_ppo_survives_the_cliff(learned):
    method, = learned["cliff"]["methods"]
    assert method["worst"] >= -14 and learned["cliff"]["optimum"] == pytest.approx(
        -(1 - 0.99**13) / 0.01, abs=1e-9)


@pytest.mark.slow
def test_a_seed_gives_the_same_run_in_another_process_and_through_the_defaults(learned):
    """Bit for bit: the job's own process, and `ppo` without a schedule of our own."""
    example = running_example()
    rewards = step_rewards(example.world.mean_reward, example.reference, beta=BETA)
    for record in ppo(example.world, start(example.reference, rng=[0, 0]), rewards=rewards):
        if record.iteration == 20:
            break
    theirs, = learned["language"]["methods"]
    assert theirs["iterations"][:2] == [0, 20]
    assert theirs["values"][1] == [policies.objective(policies.language_problem(BETA),
                                                      record.logits)]


# A run.


TRAINERS = {
    "reinforce": lambda mdp, record, **limits: reinforce(
        mdp, record, learning_rate=linear(0.1, 0.0), **limits),
    "actor_critic": lambda mdp, record, **limits: actor_critic(
        mdp, record, normalize_advantage=True, learning_rate=linear(0.1, 0.0),
        ent_coef=linear(0.3, 0.0, 0.5), **limits),
    "ppo": ppo,
    "ppo_kl": ppo_kl,
}


@pytest.mark.parametrize("method", policies.LEARNERS)
def test_a_run_is_the_trainer_judged_exactly_at_every_point(method):
    problem = policies.grid_problem(LAKE)
    steps, values, seconds = policies.run((problem, method, 7, 21, 8, 9))
    records = [record for record, _ in zip(
        TRAINERS[method](LAKE, start(np.zeros(LAKE.shape), rng=7), episodes=8, horizon=9,
                         iterations=21),
        range(21))]
    expected = [policy_gradient(LAKE, logits)[0]
                for logits in (np.zeros(LAKE.shape), *(record.logits for record in records))]
    np.testing.assert_allclose(values, np.delete(expected, 20), rtol=1e-10)  # at 0 to 19 and 21
    assert steps == records[-1].steps and seconds > 0


@pytest.mark.parametrize("method", policies.LEARNERS)
def test_on_the_language_model_the_price_of_the_kl_is_part_of_the_reward(method):
    problem, example = text(), running_example()
    assert problem.optimum == pytest.approx(example.optimum.objective, abs=1e-12)
    rewards = step_rewards(example.world.mean_reward, example.reference, beta=BETA)
    steps, values, _ = policies.run((problem, method, 7, 21, 8, 9))
    trainer = TRAINERS[method](example.world, start(example.reference, rng=7), rewards=rewards,
                               episodes=8, horizon=9, iterations=21)
    record = next(record for record in trainer if record.iteration == 21)
    assert policies.share(problem, values[-1]) == pytest.approx(share_of_text(record.logits),
                                                                abs=1e-9)
    assert policies.share(problem, values[0]) == 0


def test_a_run_may_have_more_iterations_than_points():
    assert policies.judged_at(400).tolist() == list(range(0, 401, 20))
    problem = policies.grid_problem(LAKE)
    assert policies.judged_at(47).tolist() == [0, 2, 4, 7, 9, 11, 14, 16, 18, 21, 23, 25, 28, 30,
                                               32, 35, 37, 39, 42, 44, 47]
    _, values, _ = policies.run((problem, "reinforce", 0, 47, 2, 3))
    assert len(values) == 21


def test_runs_shared_out_to_other_processes_are_the_same_bit_for_bit(monkeypatch):
    pools = []

    def pool(processes, **options):
        pools.append(ProcessPoolExecutor(processes - 1, **options))  # one is proof enough
        return pools[-1]

    monkeypatch.setattr(policies, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 2)
    problem = policies.grid_problem(LAKE)
    found, = policies.learn(problem, ["reinforce"], seed=3, runs=2, progress=str, **HASTE)
    assert len(pools) == 1
    for i in range(2):
        steps, values, _ = policies.run((problem, "reinforce", [3, i], 20, 8, 9))
        assert found.steps[i] == steps and found.values[:, i].tolist() == values


def test_every_run_has_its_own_seed_and_every_learner_its_own_runs(monkeypatch):
    played, heard, problem = [], [], policies.grid_problem(LAKE)

    def run(task):
        played.append(task)
        _, method, (seed, i), *_ = task
        return 10 * seed + i, [i + point for point in range(21)], 2.0**i

    monkeypatch.setattr(policies, "run", run)
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 1)
    first, second = policies.learn(
        problem, ["reinforce", "ppo"], seed=3, runs=3, iterations=40, episodes=8, horizon=9,
        progress=lambda line: heard.append((line, len(played))))
    assert played == [(problem, method, [3, i], 40, 8, 9) for method in ("reinforce", "ppo")
                      for i in range(3)]
    assert heard == [("reinforce", 0), ("ppo", 3)]
    assert (first.method, second.method) == ("reinforce", "ppo")
    for found in first, second:
        assert found.iterations.tolist() == list(range(0, 41, 2)) and found.seconds == 7
        assert found.steps.tolist() == [30, 31, 32]
        np.testing.assert_array_equal(found.values, np.add.outer(range(21), range(3)))


@pytest.mark.parametrize("tasks, cores, processes", [
    (3, 2, 2), (2, 7, 2), (1, 8, None), (5, 1, None), (5, None, None)])
def test_there_are_no_more_helpers_than_cores_or_runs(monkeypatch, tasks, cores, processes):
    begun, ended = [], []

    class Pool:
        map = object()

        def __init__(self, count, *, mp_context, initializer, initargs):
            begun.append((count, mp_context.get_start_method()))
            initializer(*initargs)

        def shutdown(self, **how):
            ended.append(how)

    monkeypatch.setattr(policies, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(policies.os, "cpu_count", lambda: cores)
    here = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt), policies._workers(tasks) as share_out:
            assert share_out is (map if processes is None else Pool.map)
            # An interrupt ends a helper without a word.
            assert (signal.getsignal(signal.SIGINT) == signal.SIG_DFL) == (processes is not None)
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, here)
    assert begun == ([] if processes is None else [(processes, "spawn")])
    assert ended == [{"wait": False, "cancel_futures": True}] * len(begun)


# Judgement.


def test_a_policy_that_never_ends_has_no_value():
    coin = GridWorld(parse("SFG"), step_reward=-1.0).mdp(gamma=1.0)
    problem = policies.grid_problem(coin)
    assert problem.optimum == pytest.approx(-1.0) and np.isfinite(problem.before)
    stay = np.zeros(coin.shape)
    stay[:, 0] = 1e4
    assert np.isnan(policies.objective(problem, stay))
    assert policies.share(problem, np.nan) is None


def test_shares_are_of_the_optimum_on_a_grid_and_of_the_way_to_it_on_text():
    grid = policies.Problem(LAKE, None, None, -10.0, -100.0)
    assert policies.share(grid, -12.0) == pytest.approx(0.8)
    assert policies.share(grid._replace(optimum=0.0), -12.0) is None
    text = grid._replace(beta=0.5)
    assert policies.share(text, -55.0) == pytest.approx(0.5)
    assert policies.share(text, -190.0) == pytest.approx(-1.0)
    assert policies.share(text._replace(before=-10.0), -12.0) is None
    # A reference that is the optimum, but for rounding, leaves no way to go either.
    assert policies.share(text._replace(before=-10.0 + 1e-14), -12.0) is None


def test_a_row_has_the_worst_the_median_and_the_best_run():
    problem = policies.Problem(LAKE, None, None, 1.0, 0.0)
    four = curve("ppo", [0.0] * 4, [0.5, np.nan, 0.8, 0.4], steps=(1, 2, 3, 4))
    row, other = report.policy_rows(problem, [four, curve("a2c", [0, 0], [0.2, 0.6])])
    assert (row["worst"], row["median"], row["best"]) == (None, 0.4, 0.8)
    assert row["share_worst"] is None and row["share"] == pytest.approx(0.4)
    assert row["values"] == [[0.0] * 4, [0.5, None, 0.8, 0.4]]
    assert (row["steps"], row["runs"], row["iterations"]) == (10, 4, [0, 1])
    assert (row["method"], row["seconds"], row["share_worst"]) == ("ppo", 3.0, None)
    assert (other["share_worst"], other["share"]) == (pytest.approx(0.2), pytest.approx(0.2))
    assert (other["worst"], other["median"], other["best"]) == (0.2, 0.2, 0.6)


# The command line.


def test_the_job_asks_for_what_it_was_told(command, asked):
    assert command("--world", "cliff", "--gamma", "0.9", "--runs", "3", "--iterations", "30",
                   "--episodes", "5", "--horizon", "6", "--seed", "4", "--learner", "ppo",
                   "--quiet") == (0, "", "")
    (problem, methods, arguments), = asked
    assert methods == ["ppo"] and problem.mdp.gamma == 0.9 and problem.mdp.shape == (48, 4)
    assert arguments.pop("progress") and arguments == {
        "seed": 4, "runs": 3, "iterations": 30, "episodes": 5, "horizon": 6}


def test_a_discount_of_nothing_is_a_discount(command, asked):
    assert command("--gamma", "0", "--quiet") == (0, "", "") and asked[0][0].mdp.gamma == 0


def test_by_default_four_learners_play_the_lake(command, asked):
    status, out, err = command()
    (problem, methods, arguments), = asked
    assert status == 0 and err == "" and methods == list(policies.LEARNERS)
    assert problem.optimum == policy_iteration(LAKE).objective and problem.beta is None
    assert arguments.pop("progress") and arguments == {
        "seed": 0, "runs": 4, "iterations": 400, "episodes": 512, "horizon": 200}
    assert out.split("\n") == [
        "4x4, gamma 0.99: the optimum is J* = 0.542026,",
        "the first policy is worth 0.012356.",
        "",
        "                      J                       share               steps  seconds",
        "method            worst    median      best   worst  median    of a run of a run",
        *(f"{method:13}     0.250     0.250     0.500  0.4612  0.4612          32      1.5"
          for method in policies.LEARNERS),
        "",
        "2 runs of 20 iterations.  J is exact, of the stochastic policy as it is; null",
        "where episodes do not end.  Share is 1 - (J* - J)/|J*|.",
        ""]


def test_one_run_is_one_run_and_what_does_not_exist_is_null():
    problem = policies.grid_problem(LAKE)._replace(before=np.nan)
    one = curve("ppo", *[[np.nan]] * 21, steps=(1234567,))
    out = report.policies_text(TITLE, problem, [one])
    assert "\nthe first policy is worth null.\n" in out
    assert "\n1 run of 20 iterations.  J is exact" in out
    assert out.split("\n")[5].split() == ["ppo", *["null"] * 5, "1,234,567", "3.0"]


def test_worst_comes_before_median_and_median_before_best():
    problem = policies.Problem(LAKE, None, None, 0.5, 0.0)
    three = curve("ppo", [0, 0, 0], [0.3, 0.2, 0.5], steps=(2, 3, 4))
    row = report.policies_text(TITLE, problem, [three]).split("\n")[5]
    assert row.split() == ["ppo", "0.200", "0.300", "0.500", "0.4000", "0.6000", "3", "1.0"]


@pytest.mark.parametrize("J, value", [
    (0.5, "0.500"), (-4.25, "-4.250"), (-23.25, "-23.250"), (-49.25, "-49.250"),
    (-998.5, "-998.500"), (-2e9, "-2e+09"), (-2e99, "-2e+99")])
def test_a_share_however_bad_keeps_its_column(J, value):
    problem = policies.Problem(LAKE, None, None, 0.5, 0.0)
    lines = report.policies_text(TITLE, problem, [curve("ppo_kl", [0, 0], [J, J])]).split("\n")
    names, row = lines[4:6]
    assert len(row) == len(names) == 80
    assert [row[end - len(value):end] for end in (23, 33, 43)] == [value] * 3
    assert row[:13].strip() == "ppo_kl" and row[43] == row[51] == row[59] == " "
    for share in row[44:51], row[52:59]:
        assert float(share) == pytest.approx(1 - (0.5 - J) / 0.5, rel=0.1)


def test_progress_is_shown_on_a_terminal_and_wiped(command, asked, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert command("--quiet", "--world", "cliff") == (0, "", "")
    assert terminal.getvalue().split("\r\033[K") == [
        "", *(f"cliff: {method}" for method in policies.LEARNERS), ""]


def test_a_helper_that_dies_is_one_line_on_stderr(command, monkeypatch):
    def learn(*_, progress, **__):
        progress("ppo")
        raise BrokenProcessPool("A process was terminated abruptly")

    monkeypatch.setattr(policies, "learn", learn)
    assert command() == (1, "", "minirl: A process was terminated abruptly\n")


def test_on_the_language_model_beta_is_an_argument(command, asked):
    status, out, _ = command("--world", "language", "--beta", "2")
    (problem, *_), = asked
    assert status == 0 and problem.beta == 2 and problem.mdp.gamma == 1
    assert out.startswith("language, beta 2: the optimum is J* = ")
    assert out.endswith("  Share is (J - J(ref)) / (J* - J(ref)), where the\n"
                        "reference is the first policy.\n")


def test_a_map_of_ones_own_is_played(command, asked, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("SFG\n")
    status, out, err = command("--map", str(path), "--step-reward", "-1", "--success-rate", "0.5")
    (problem, *_), = asked
    assert status == 0 and out.startswith("mine, gamma 0.99") and problem.mdp.shape == (3, 4)


def test_the_results_are_written_as_json(command, tmp_path):
    path = tmp_path / "out.json"
    status, out, err = command("--runs", "1", "--iterations", "20", "--episodes", "4", "--horizon",
                               "5", "--seed", "3", "--learner", "reinforce", "--json", str(path))
    assert status == 0 and err == ""
    found = json.loads(path.read_text(encoding="utf-8"))
    row, = found.pop("methods")
    problem = policies.grid_problem(LAKE)
    assert found == {"world": "4x4", "gamma": 0.99, "beta": None, "optimum": problem.optimum,
                     "before": problem.before, "seed": 3, "episodes": 4, "horizon": 5}
    assert row.pop("seconds") > 0
    steps, values, _ = policies.run((problem, "reinforce", [3, 0], 20, 4, 5))
    last = values[-1]
    assert row.pop("share") == row.pop("share_worst") == pytest.approx(last / problem.optimum)
    assert row == {"method": "reinforce", "worst": last, "median": last, "best": last, "runs": 1,
                   "steps": steps, "iterations": list(range(21)),
                   "values": [[value] for value in values]}


def test_the_json_of_a_language_has_its_beta_and_null_for_what_does_not_exist():
    problem = text()._replace(before=np.nan)
    found = json.loads(report.policies_json("language", problem, [curve("ppo", [0, np.nan])],
                                            seed=1, episodes=2, horizon=3))
    assert (found["world"], found["gamma"], found["beta"]) == ("language", 1, BETA)
    assert (found["before"], found["optimum"]) == (None, problem.optimum)
    assert (found["seed"], found["episodes"], found["horizon"]) == (1, 2, 3)
    assert found["methods"][0]["values"] == [[0.0, None]]


@pytest.mark.parametrize("arguments, message", [
    (["--world", "language", "--gamma", "0.9"], "--gamma is for gridworlds"),
    (["--world", "language", "--gamma", "0"], "--gamma is for gridworlds"),
    (["--world", "language", "--step-reward", "1"], "rules for a map of your own"),
    (["--beta", "1"], "--beta is for the language model: give --world language too"),
    (["--success-rate", "0.5"], "rules for a map of your own"),
    (["--world", "language", "--beta", "0.25"], "no optimum exists at beta = 0.25"),
    (["--map", "no such file"], "no such file"),
    (["--json", "no/such/folder"], "cannot write no/such/folder"),
    (["--plot", "setup.cfg"], "cannot make the folder setup.cfg: File exists"),
])
def test_arguments_that_do_not_fit_are_refused(command, asked, arguments, message):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    status, out, err = command(*arguments)
    assert status == 2 and out == "" and not asked
    assert err.startswith("minirl: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments, message", [
    (["--iterations", "19"], "argument --iterations: must be at least 20, got 19"),
    (["--runs", "0"], "argument --runs: must be at least 1, got 0"),
    (["--episodes", "0"], "argument --episodes: must be at least 1, got 0"),
    (["--horizon", "0"], "argument --horizon: must be at least 1, got 0"),
    (["--gamma", "1.5"], "argument --gamma: must lie between 0 and 1, got 1.5"),
    (["--gamma", "-0.1"], "argument --gamma: must lie between 0 and 1, got -0.1"),
    (["--beta", "0"], "argument --beta: must lie between 1e-06 and 1e+06, got 0"),
    (["--beta", "1e7"], "argument --beta: must lie between 1e-06 and 1e+06, got 1e7"),
    (["--seed", "-1"], "argument --seed: must be at least 0, got -1"),
    (["--world", "cliff", "--map", "x"], "argument --map: not allowed with argument --world"),
    (["--learn", "ppo"], "unrecognized arguments: --learn ppo"),
    (["--plot", ""], "argument --plot: the name of a file is expected, got ''"),
    (["--learner", "sarsa"], "argument --learner: invalid choice: 'sarsa'"),
    (["--world", "moon"], "argument --world: invalid choice: 'moon'"),
])
def test_wrong_arguments_are_refused_by_name(command, asked, arguments, message):
    status, out, err = command(*arguments)
    assert status == 2 and out == "" and not asked
    assert f"\nminirl policies: error: {message}" in err


@pytest.mark.parametrize("world, name", [([], "4x4"), (["--world", "language"], "language")])
def test_the_figure_bears_the_name_of_the_world(command, asked, monkeypatch, tmp_path, world,
                                                name):
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_rgb

    from minirl.lab import figures
    saved = []
    monkeypatch.setattr(figures, "save", lambda figure, path: saved.append((figure, path)))
    assert command("--plot", str(tmp_path), "--quiet", *world) == (0, "", "")
    (figure, path), = saved
    assert path == str(tmp_path / f"{name}_policies.png")
    assert figure.get_suptitle() == f"{name}: median, worst and best of 2 runs"
    left, right = figure.axes
    names = [entry.get_text() for entry in left.get_legend().get_texts()]
    assert names == [*policies.LEARNERS, "optimum"]
    (problem, *_), = asked
    assert left.lines[-1].get_ydata()[0] == problem.optimum
    assert problem.optimum == (text() if world else policies.grid_problem(LAKE)).optimum
    for axes in figure.axes:
        colours = [line.get_color() for line in axes.lines[:4]]
        assert len(set(colours)) == len(axes.collections) == 4
        for colour, band in zip(colours, axes.collections):
            np.testing.assert_array_equal(band.get_facecolor()[0, :3], to_rgb(colour))


def test_the_curves_are_drawn_with_their_spread():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    problem = policies.grid_problem(cliff_walk().mdp(gamma=0.99))
    three = curve("ppo", [-90.0] * 3, [-20, -15, -18], [-13, -14, np.nan], [np.nan, -13, np.nan],
                  steps=(1, 2, 3))._replace(iterations=np.array([0, 2, 4, 5]))
    left, right = figures.policy_curves([three], problem, title="cliff").axes
    J = np.array([-90, -18, -14, np.nan])
    np.testing.assert_array_equal(left.lines[0].get_ydata(), J)
    np.testing.assert_allclose(right.lines[0].get_ydata(), problem.optimum - J)
    for axes in left, right:
        assert axes.lines[0].get_xdata().tolist() == [0, 2, 4, 5]
        assert axes.get_xlabel() == "iteration"
    assert (left.get_title(), left.get_ylabel()) == ("J, exact", "J")
    assert (right.get_title(), right.get_ylabel()) == ("what is missing", "J* − J")
    assert left.lines[1].get_ydata()[0] == problem.optimum
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "log")
    for axes, worst, best in ((left, -20, -15), (right, problem.optimum + 20,
                                                 problem.optimum + 15)):
        corners = axes.collections[0].get_paths()[0].vertices
        assert {(2, worst), (2, best)} <= set(map(tuple, corners.tolist()))


@pytest.mark.parametrize("missing, scale", [([0, -1e-15], "linear"), ([3, np.nan, 0], "log")])
def test_a_policy_that_misses_nothing_is_drawn_without_a_warning(missing, scale):
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    problem = policies.Problem(LAKE, None, None, 1.0, 1.0)
    figure = figures.policy_curves([curve("ppo", *([1.0 - gap] * 2 for gap in missing))], problem,
                                   title="x")
    assert figure.axes[1].get_yscale() == scale
    assert all(tick % 1 == 0 for axes in figure.axes for tick in axes.get_xticks())
    figure.draw_without_rendering()
