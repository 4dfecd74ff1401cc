"""The job `policies`: runs that equal the trainers', exact judgement, and the promises of PPO's
defaults.

`conftest.py` starts one run of PPO on each of four worlds in the background, with the defaults.
"""

import json

import numpy as np
import pytest
from languages import BETA, running_example, share as share_of_text

from gridworld.maps import cliff_walk, frozen_lake
from gridworld.world import GridWorld, parse
from minirl import __main__ as command_line
from minirl.actor_critic import actor_critic
from minirl.lab import policies, report
from minirl.optim import linear
from minirl.planning import policy_gradient, policy_iteration
from minirl.ppo import ppo, ppo_kl
from minirl.reinforce import reinforce, start
from minirl.rlhf import pair_rewards

LAKE = frozen_lake().mdp(gamma=0.99)
HASTE = {"iterations": 20, "episodes": 8, "horizon": 9}


@pytest.fixture
def command(capsys):
    """Run the command line here: (exit status, stdout, stderr)."""
    def run(*arguments):
        try:
            status = command_line.main(["policies", *arguments])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()
    return run


@pytest.fixture
def asked(monkeypatch):
    """What the job asks for; nothing is learned."""
    asked = []

    def learn(problem, methods, **arguments):
        asked.append((problem, methods, arguments))
        for method in methods:
            yield policies.Curve(method, np.array([0, 20]), np.array([30, 34]),
                                 np.array([[problem.before] * 2, [0.25, 0.5]]), 3.0)

    monkeypatch.setattr(policies, "learn", learn)
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
    rewards = pair_rewards(example.world.mean_reward, example.reference, beta=BETA)
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
        mdp, record, learning_rate=linear(0.1, 0.0, 20), **limits),
    "actor_critic": lambda mdp, record, **limits: actor_critic(
        mdp, record, normalize_advantage=True, learning_rate=linear(0.1, 0.0, 20),
        ent_coef=linear(0.3, 0.0, 10), **limits),
    "ppo": lambda mdp, record, **limits: ppo(
        mdp, record, learning_rate=linear(0.05, 0.0, 20), ent_coef=linear(0.3, 0.0, 10), **limits),
    "ppo_kl": lambda mdp, record, **limits: ppo_kl(
        mdp, record, learning_rate=linear(0.05, 0.0, 20), ent_coef=linear(0.3, 0.0, 10), **limits),
}


@pytest.mark.parametrize("method", policies.LEARNERS)
def test_a_run_is_the_trainer_judged_exactly_at_every_point(method):
    problem = policies.grid_problem(LAKE)
    steps, values, seconds = policies.run((problem, method, 7, 20, 8, 9))
    records = [record for record, _ in zip(
        TRAINERS[method](LAKE, start(np.zeros(LAKE.shape), rng=7), episodes=8, horizon=9),
        range(20))]
    expected = [policy_gradient(LAKE, logits)[0]
                for logits in (np.zeros(LAKE.shape), *(record.logits for record in records))]
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    assert steps == records[-1].steps and seconds > 0


@pytest.mark.parametrize("method", policies.LEARNERS)
def test_on_the_language_model_the_price_of_the_kl_is_part_of_the_reward(method):
    problem = policies.language_problem(BETA)
    example = running_example()
    assert problem.optimum == pytest.approx(example.optimum.objective, abs=1e-12)
    rewards = policies.rewards_of(problem)
    steps, values, _ = policies.run((problem, method, 7, 20, 8, 9))
    trainer = TRAINERS[method](example.world, start(example.reference, rng=7), rewards=rewards,
                               episodes=8, horizon=9)
    record = next(record for record in trainer if record.iteration == 20)
    assert policies.share(problem, values[-1]) == pytest.approx(share_of_text(record.logits),
                                                                abs=1e-9)
    assert policies.share(problem, values[0]) == 0


def test_a_run_may_have_more_iterations_than_points():
    assert policies.judged_at(400).tolist() == list(range(0, 401, 20))
    problem = policies.grid_problem(LAKE)
    assert policies.judged_at(47)[-1] == 47
    _, values, _ = policies.run((problem, "reinforce", 0, 47, 2, 3))
    assert len(values) == 21


def test_runs_shared_out_to_other_processes_are_the_same_bit_for_bit():
    problem = policies.grid_problem(LAKE)
    lines = []
    found, = policies.learn(problem, ["ppo"], seed=3, runs=2, progress=lines.append, **HASTE)
    for i in range(2):
        steps, values, _ = policies.run((problem, "ppo", [3, i], 20, 8, 9))
        assert found.steps[i] == steps and found.values[:, i].tolist() == values
    assert lines == ["ppo"] and found.method == "ppo" and found.seconds > 0


def test_one_run_is_played_here_and_every_learner_is_announced(monkeypatch):
    monkeypatch.setattr(policies, "get_context",
                        lambda *_: pytest.fail("another process was begun"))
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 1)
    problem, lines = policies.grid_problem(LAKE), []
    found = list(policies.learn(problem, ["reinforce", "ppo"], seed=3, runs=2,
                                progress=lines.append, **HASTE))
    assert lines == ["reinforce", "ppo"] == [curve.method for curve in found]
    assert all(curve.values.shape == (21, 2) for curve in found)


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


def test_a_row_has_the_worst_the_median_and_the_best_run():
    problem = policies.Problem(LAKE, None, None, 1.0, 0.0)
    four = curve("ppo", [0.0] * 4, [0.5, np.nan, 0.8, 0.4], steps=(1, 2, 3, 4))
    row, other = report.policy_rows(problem, [four, curve("a2c", [0, 0], [0.2, 0.6])])
    assert (row["worst"], row["median"], row["best"]) == (None, 0.4, 0.8)
    assert row["share_worst"] is None and row["share"] == pytest.approx(0.4)
    assert row["values"] == [[0.0] * 4, [0.5, None, 0.8, 0.4]]
    assert (row["steps"], row["runs"], row["iterations"]) == (10, 4, [0, 1])
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


def test_by_default_four_learners_play_the_lake(command, asked):
    status, out, err = command()
    (problem, methods, arguments), = asked
    assert status == 0 and err == "" and methods == list(policies.LEARNERS)
    assert problem.optimum == policy_iteration(LAKE).objective and problem.beta is None
    assert arguments.pop("progress") and arguments == {
        "seed": 0, "runs": 4, "iterations": 400, "episodes": 512, "horizon": 200}
    lines = out.split("\n")
    assert lines[0] == "4x4, gamma 0.99: the optimum is J* = 0.542026,"
    assert lines[1] == "the first policy is worth 0.012356."
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    assert ["ppo", "0.250", "0.250", "0.500", "0.4612", "0.4612", "32", "1.5"] in words
    assert "2 runs of 20 iterations.  J is exact, of the stochastic policy as it is; null" in out


def test_on_the_language_model_beta_is_an_argument(command, asked):
    status, out, _ = command("--world", "language", "--beta", "2")
    (problem, *_), = asked
    assert status == 0 and problem.beta == 2 and problem.mdp.gamma == 1
    assert out.startswith("language, beta 2: the optimum is J* = ")
    assert "(J - J(ref)) / (J* - J(ref))" in " ".join(out.split())


def test_a_map_of_ones_own_is_played(command, asked, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("SFG\n")
    status, out, err = command("--map", str(path), "--step-reward", "-1", "--success-rate", "0.5")
    (problem, *_), = asked
    assert status == 0 and out.startswith("mine, gamma 0.99") and problem.mdp.shape == (3, 4)


def test_the_results_are_written_as_json(command, tmp_path):
    path = tmp_path / "out.json"
    status, out, err = command("--runs", "1", "--iterations", "20", "--episodes", "4", "--horizon",
                               "5", "--json", str(path))
    assert status == 0 and err == ""
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["world"] == "4x4" and found["beta"] is None
    assert found["optimum"] == policy_iteration(LAKE).objective
    assert [row["method"] for row in found["methods"]] == list(policies.LEARNERS)
    for row in found["methods"]:
        assert row["iterations"] == list(range(21)) and len(row["values"]) == 21
        assert row["worst"] == row["best"] == row["values"][-1][0] < found["optimum"]
        assert row["share"] == pytest.approx(1 - (found["optimum"] - row["worst"])
                                             / found["optimum"])


@pytest.mark.parametrize("arguments, message", [
    (["--world", "language", "--gamma", "0.9"], "--gamma is for gridworlds"),
    (["--world", "language", "--step-reward", "1"], "rules for a map of your own"),
    (["--beta", "1"], "--beta is for the language model: give --world language too"),
    (["--success-rate", "0.5"], "rules for a map of your own"),
    (["--world", "language", "--beta", "0.25"], "no optimum exists at beta = 0.25"),
    (["--map", "no such file"], "no such file"),
])
def test_arguments_that_do_not_fit_are_refused(command, asked, arguments, message):
    status, out, err = command(*arguments)
    assert status == 2 and out == "" and not asked
    assert err.startswith("minirl: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments, message", [
    (["--iterations", "19"], "argument --iterations: must be at least 20, got 19"),
    (["--runs", "0"], "argument --runs: must be at least 1, got 0"),
    (["--episodes", "0"], "argument --episodes: must be at least 1, got 0"),
    (["--horizon", "0"], "argument --horizon: must be at least 1, got 0"),
    (["--gamma", "1.5"], "argument --gamma: must lie between 0 and 1, got 1.5"),
    (["--learner", "sarsa"], "argument --learner: invalid choice: 'sarsa'"),
    (["--world", "moon"], "argument --world: invalid choice: 'moon'"),
])
def test_wrong_arguments_are_refused_by_name(command, asked, arguments, message):
    status, out, err = command(*arguments)
    assert status == 2 and out == "" and message in err and not asked


def test_the_curves_are_drawn_with_their_spread(command, asked, tmp_path):
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    assert command("--plot", str(tmp_path), "--quiet")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["4x4_policies.png"]
    problem = policies.grid_problem(cliff_walk().mdp(gamma=0.99))
    three = curve("ppo", [-90.0] * 3, [-20, -15, -18], [-13, -14, np.nan], steps=(1, 2, 3))
    left, right = figures.policy_curves([three], problem, title="cliff").axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [-90, -18, -14])
    np.testing.assert_allclose(right.lines[0].get_ydata(),
                               problem.optimum - np.array([-90, -18, -14]))
    assert left.lines[1].get_ydata()[0] == problem.optimum and right.get_yscale() == "log"
    band = left.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == -90 and band[:, 1].max() == -15
