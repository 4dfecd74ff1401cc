"""The job `policies`: runs that equal the trainers', exact judgement, and the promises of PPO's
defaults.

`conftest.py` starts one run of PPO on each of four worlds in the background, with the defaults.
"""

from functools import cache
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import pytest
from languages import BETA, running_example, share as share_of_text

from gridworld.maps import cliff_walk, frozen_lake
from gridworld.world import GridWorld, parse
from minirl.exact.planning import policy_gradient, policy_iteration
from minirl.lab import policies
from minirl.lab.policies import Policies, PolicyCurve, Problem
from minirl.people.rlhf import step_rewards
from minirl.play.actor_critic import actor_critic
from minirl.play.optim import linear
from minirl.play.ppo import ppo
from minirl.play.ppo_kl import ppo_kl
from minirl.play.reinforce import reinforce
from minirl.play.training import after, start

LAKE = frozen_lake().mdp(gamma=0.99)
JOB = "policies"
ROOT = Path(__file__).parent.parent


@cache
def text():
    return policies.language_problem(BETA)


@pytest.fixture
def asked(monkeypatch):
    """What the job asks for; nothing is learned."""
    asked = []

    def learn_policies(problem, methods, **arguments):
        asked.append((problem, methods, arguments))
        for method in methods:
            yield curve(method, [0.125, 0.25], [0.1, 0.2], [0.25, 0.5])

    monkeypatch.setattr(policies, "learn_policies", learn_policies)
    problem, real = text(), policies.language_problem
    monkeypatch.setattr(policies, "language_problem", lambda beta, items: (
        problem._replace(beta=beta) if len(items) == 2465 else real(beta, items)))
    return asked


def curve(method, *values, steps=(30, 34), shares=None):
    values = np.array(values, float)
    return PolicyCurve(method, 10 * np.arange(len(values)), np.array(steps), values,
                       values if shares is None else np.array(shares, float), 3.0)


def found_of(problem, *curves):
    return Policies("4x4", problem, list(curves), 3, 4, 5)


# The promises.


@pytest.mark.slow
def test_with_its_defaults_ppo_comes_within_one_percent_and_survives_the_cliff(learned):
    for world in "4x4", "8x8", "language":
        method, = learned[world]["methods"]
        assert method["share"] == method["share_worst"] >= 0.99
    method, = learned["cliff"]["methods"]
    assert method["worst"] >= -14 and learned["cliff"]["optimum"] == pytest.approx(
        -(1 - 0.99**13) / 0.01, abs=1e-9)


@pytest.mark.slow
def test_a_seed_gives_the_same_run_in_another_process_and_through_the_defaults(learned):
    """Bit for bit: the job's own process, and `ppo` without a schedule of our own."""
    example = running_example()
    rewards = step_rewards(example.world.mean_reward, example.reference, beta=BETA)
    record = after(ppo(example.world, start(example.reference, rng=[0, 0]), rewards=rewards), 20)
    theirs, = learned["language"]["methods"]
    assert theirs["iterations"][:2] == [0, 20]
    assert theirs["values"][1] == [text().judge(record.policy).objective]


@pytest.mark.slow
def test_runs_shared_out_to_other_processes_are_the_same_bit_for_bit(shared_out):
    found, = shared_out["methods"]
    problem = policies.grid_problem(LAKE)
    for i in range(2):
        _, scores, _ = run_of(problem, "reinforce", [3, i], 20, 8, 9)
        assert [values[i] for values in found["values"]] == [score.objective for score in scores]


# A run.


def run_of(problem, method, seed, iterations, episodes, horizon):
    """A run from point to point, as the job makes it: its last record, scores and seconds."""
    record, seconds = start(problem.logits, rng=seed), 0.0
    scores = [problem.judge(record.policy)]
    for point in policies.judged_at(iterations)[1:]:
        record, more = policies.climb_on((problem, method, record, point, iterations, episodes,
                                          horizon))
        scores, seconds = [*scores, problem.judge(record.policy)], seconds + more
    return record, scores, seconds


TRAINERS = {
    "reinforce": lambda mdp, record, **limits: reinforce(
        mdp, record, learning_rate=linear(0.1, 0.0), **limits),
    "actor_critic": lambda mdp, record, **limits: actor_critic(
        mdp, record, normalize_advantage=True, learning_rate=linear(0.1, 0.0),
        ent_coef=linear(0.3, 0.0, 0.5), **limits),
    "ppo": ppo,
    "ppo_kl": ppo_kl,
}


@pytest.mark.parametrize("method", policies.POLICY_LEARNERS)
def test_a_run_is_the_trainer_judged_exactly_at_every_point(method):
    last, scores, seconds = run_of(policies.grid_problem(LAKE), method, 7, 21, 8, 9)
    records = [record for record, _ in zip(
        TRAINERS[method](LAKE, start(np.zeros(LAKE.shape), rng=7), episodes=8, horizon=9,
                         iterations=21), range(21))]
    expected = np.array([policy_gradient(LAKE, logits)[0] for logits in (
        np.zeros(LAKE.shape), *(record.logits for record in records))])
    expected = np.delete(expected, 20)  # it is judged at 0 to 19 and 21
    best = policy_iteration(LAKE).objective
    np.testing.assert_allclose([score.objective for score in scores], expected, rtol=1e-10)
    np.testing.assert_allclose([score.share for score in scores], expected / best, rtol=1e-10)
    assert last.steps == records[-1].steps and seconds > 0


def test_on_the_language_model_the_price_of_the_kl_is_part_of_the_reward():
    problem, example = text(), running_example()
    assert problem.optimum == pytest.approx(example.optimum.objective, abs=1e-12)
    assert problem.beta == BETA and problem.mdp.gamma == 1
    rewards = step_rewards(example.world.mean_reward, example.reference, beta=BETA)
    _, scores, _ = run_of(problem, "ppo_kl", 7, 20, 8, 9)
    trainer = ppo_kl(example.world, start(example.reference, rng=7), rewards=rewards, episodes=8,
                     horizon=9, iterations=20)
    assert scores[-1].share == pytest.approx(share_of_text(after(trainer, 20).logits), abs=1e-9)
    assert scores[0].share == 0
    assert policies.judged_at(47).tolist() == [0, 2, 4, 7, 9, 11, 14, 16, 18, 21, 23, 25, 28, 30,
                                               32, 35, 37, 39, 42, 44, 47]


def test_every_run_has_its_own_seed_and_every_learner_its_own_runs(monkeypatch):
    """And progress names the learner that goes on.  Each point is reached from the one before."""
    played, heard, problem = [], [], policies.grid_problem(LAKE)

    def climb_on(task):
        played.append(task)
        _, method, record, point, *_ = task
        return record._replace(iteration=int(point), steps=record.steps + len(method)), 2.0**point

    monkeypatch.setattr(policies, "climb_on", climb_on)
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 1)
    first, second = policies.learn_policies(
        problem, ["reinforce", "ppo"], seed=3, runs=3, iterations=20, episodes=8, horizon=9,
        progress=lambda line: heard.append((line, len(played))))
    runs = [(i, method) for i in range(3) for method in ("reinforce", "ppo")]
    assert [(task[0], task[1], task[2].iteration, *task[3:]) for task in played] == [
        (problem, method, point - 1, point, 20, 8, 9) for point in range(1, 21)
        for _, method in runs]
    assert [task[2].rng for task in played] == [
        start(LAKE, rng=[3, i]).rng for i, _ in runs] * 20
    assert heard == [(f"{k + 1} of 120, {runs[k % 6][1]}", k) for k in range(120)]
    assert (first.method, second.method) == ("reinforce", "ppo")
    for found, letters in (first, 9), (second, 3):
        assert found.iterations.tolist() == list(range(21)) and found.values.shape == (21, 3)
        assert found.steps.tolist() == [20 * letters] * 3 and found.seconds == 3 * (2.0**21 - 2)


@pytest.mark.parametrize("tasks, cores, processes", [
    (3, 2, 2), (2, 7, 2), (1, 8, None), (5, 1, None), (5, None, None)])
def test_there_are_no_more_helpers_than_cores_or_runs(monkeypatch, tasks, cores, processes):
    begun, ended, lifelines = [], [], []

    class Pool:
        def __init__(self, count, *, mp_context, initializer, initargs):
            begun.append((count, mp_context.get_start_method()))
            initializer(*initargs)

        def submit(self, *given):
            program = sys.modules["__main__"]
            seen = given, hasattr(program, "__file__"), program.__spec__
            return SimpleNamespace(result=lambda: seen)

        def shutdown(self, **how):
            ended.append(how)

    monkeypatch.setattr(policies, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(policies, "Thread", lambda *, target, args, daemon: SimpleNamespace(
        start=lambda: lifelines.append((target, args))))
    monkeypatch.setattr(policies.os, "_exit", lambda status: ended.append(status))
    monkeypatch.setattr(policies.os, "cpu_count", lambda: cores)
    here = signal.getsignal(signal.SIGINT)
    try:
        program = sys.modules["__main__"]
        with pytest.raises(KeyboardInterrupt), policies._workers(tasks) as share_out:
            if processes is None:
                assert share_out is map
            else:  # a helper does not see the program that was started
                assert list(share_out(len, "ab")) == [((len, "a"), False, None),
                                                      ((len, "b"), False, None)]
                assert sys.modules["__main__"] is program
                (follow, (lifeline,)), = lifelines
                assert not lifeline.poll()
            # An interrupt ends a helper without a word.
            assert (signal.getsignal(signal.SIGINT) == signal.SIG_DFL) == (processes is not None)
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, here)
    assert begun == ([] if processes is None else [(processes, "spawn")])
    assert ended == [{"wait": False, "cancel_futures": True}] * len(begun)
    if begun:  # what a helper waits for has come
        follow(lifeline)
        assert ended[1:] == [1]


def test_a_helper_that_may_have_none_works_alone(monkeypatch):
    monkeypatch.setattr(policies, "current_process", lambda: SimpleNamespace(daemon=True))
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 8)
    with policies._workers(9) as share_out:
        assert share_out is map


SCRIPT = """
import contextlib, io, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from minirl.__main__ import main
out = io.StringIO()
with contextlib.redirect_stdout(out):
    status = main(["policies", "--learner", "reinforce", "--seed", "3", "--runs", "2",
                   "--iterations", sys.argv[1], "--episodes", "8", "--horizon", "9", "--json", "-"])
print(status, __name__, out.getvalue())
"""


@pytest.mark.slow
def test_a_program_without_a_main_guard_may_call_the_job(tmp_path, shared_out):
    """And a helper does not begin the program again."""
    path = tmp_path / "program.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path, "20"], capture_output=True, encoding="utf-8",
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    status, name, out = done.stdout.split(" ", 2)
    assert (status, name, done.stderr) == ("0", "__main__", "")
    assert json.loads(out)["methods"][0]["steps"] == shared_out["methods"][0]["steps"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/thread-self/children").exists(),
                    reason="asks Linux for its processes")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_helpers_do_not_outlive_their_parent(tmp_path, end):
    """Whether it is killed or interrupted; then it does not wait for them either."""
    path = tmp_path / "program.py"
    path.write_text(SCRIPT)
    with subprocess.Popen([sys.executable, path, "1000000"], stderr=subprocess.DEVNULL,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        helpers = poll(lambda: (found := children.read_text().split()) and len(found) > 1 and found)
        parent.send_signal(end)
        assert parent.wait(20) == (-end if end == signal.SIGTERM else 0)
    assert poll(lambda: not any(alive(helper) for helper in helpers))


def alive(process):
    """Whether a process of this number is there, and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def poll(ask, seconds=20):
    """What `ask` answers as soon as that is true, or at last."""
    end = monotonic() + seconds
    while not (answer := ask()) and monotonic() < end:
        sleep(0.02)
    return answer


# What is printed and written.


def test_a_policy_that_never_ends_has_no_value(monkeypatch):
    """Which is NaN in a curve, and null in its row and in the document."""
    corridor = GridWorld(parse("SFG"), step_reward=-1.0).mdp(gamma=1.0)
    problem = policies.grid_problem(corridor)
    assert problem.optimum == pytest.approx(-1.0)
    stay, judge = np.eye(4)[np.zeros(3, int)], problem.judge
    monkeypatch.setattr(policies, "climb_on", lambda task: (task[2], 1.0))
    monkeypatch.setattr(Problem, "judge", property(lambda problem: lambda policy: judge(stay)))
    monkeypatch.setattr(policies.os, "cpu_count", lambda: 1)
    found, = policies.learn_policies(problem, ["ppo"], seed=0, runs=1, iterations=20, episodes=1,
                                     horizon=1, progress=str)
    assert np.isnan(found.values).all() and np.isnan(found.shares).all()
    row, = policies.policy_rows([found])
    assert row["worst"] is row["share"] is row["values"][0][0] is None
    assert policies.POLICIES.document(found_of(text(), found)) == {
        "world": "4x4", "gamma": 1, "beta": BETA, "optimum": text().optimum, "before": None,
        "seed": 3, "episodes": 4, "horizon": 5, "methods": [row]}


def test_a_row_has_the_worst_the_median_and_the_best_run():
    four = curve("ppo", [0.0] * 4, [0.5, np.nan, 0.8, 0.4], steps=(1, 2, 3, 4),
                 shares=[[0] * 4, [0.6, np.nan, 0.9, 0.5]])
    row, other = policies.policy_rows([four, curve("a2c", [0, 0], [0.2, 0.6])])
    assert row == {"method": "ppo", "worst": None, "median": 0.4, "best": 0.8, "share_worst": None,
                   "share": 0.5, "steps": 10, "runs": 4, "seconds": 3.0, "iterations": [0, 10],
                   "values": [[0.0] * 4, [0.5, None, 0.8, 0.4]]}
    assert (other["worst"], other["median"], other["best"]) == (0.2, 0.2, 0.6)
    assert (other["share_worst"], other["share"]) == (0.2, 0.2)
    text = policies.policies_text(found_of(policies.grid_problem(LAKE), four))
    assert "  null  0.5000  █████  " in text  # the bar is that of the median


@pytest.mark.parametrize("J", [-49.25, -998.5, -999_999.0, -2e9, -2e99])
def test_a_number_however_bad_fits_and_what_does_not_exist_is_null(J):
    three = curve("ppo_kl", [0, 0, 0], [J, J, 0.25], steps=(10**8,) * 3)
    lines = policies.policies_text(found_of(policies.grid_problem(LAKE), three)).split("\n")
    assert max(map(len, lines)) <= 80
    method, worst, median, best, *shares, steps, seconds = lines[5].split()
    assert (float(worst), float(median), float(best)) == pytest.approx((J, J, 0.25), rel=0.1)
    one = curve("ppo", *[[np.nan]] * 21, steps=(1234567,))
    out = policies.policies_text(found_of(policies.grid_problem(LAKE), one))
    assert "\nthe first policy is worth null.\n" in out
    assert "\n1 run of 200 iterations.  J is exact" in out
    assert out.split("\n")[5].split() == ["ppo", *["null"] * 5, "1,234,567", "3.0"]


# The command.


def test_by_default_four_learners_play_the_lake(command, asked):
    status, out, err = command()
    (problem, methods, arguments), = asked
    assert status == 0 and err == "" and methods == list(policies.POLICY_LEARNERS)
    assert problem.optimum == policy_iteration(LAKE).objective and problem.beta is None
    assert arguments.pop("kept") and arguments.pop("progress") and arguments == {
        "seed": 0, "runs": 4, "iterations": 400, "episodes": 512, "horizon": 200}
    assert out.split("\n") == [
        "4x4, gamma 0.99: the optimum is J* = 0.542026,",
        "the first policy is worth 0.125000.",
        "",
        "                  J                  share                  steps   seconds",
        "method        worst  median   best   worst  median       of a run  of a run",
        *(f"{method:12}  0.250   0.250  0.500  0.2500  0.2500  ██▌        32       1.5"
          for method in policies.POLICY_LEARNERS),
        "",
        "2 runs of 20 iterations.  J is exact, of the stochastic policy as it is; null",
        "where episodes do not end.  Share is 1 - (J* - J)/|J*|.",
        ""]


def test_the_job_asks_for_what_it_was_told(command, asked, tmp_path):
    """On the language model beta is an argument."""
    path = tmp_path / "mine.txt"
    path.write_text("SFG\n")
    for world, S in (["--world", "cliff"], 48), (["--map", str(path), "--step-reward", "-1"], 3):
        status, out, err = command(*world, "--gamma", "0", "--runs", "3", "--iterations", "30",
                                   "--episodes", "5", "--horizon", "6", "--seed", "4", "--learner",
                                   "ppo")
        problem, methods, arguments = asked.pop()
        assert status == 0 and out.startswith(("cliff", "mine")[S == 3] + ", gamma 0: ")
        assert methods == ["ppo"] and problem.mdp.gamma == 0 and problem.mdp.shape == (S, 4)
        assert arguments.pop("kept") and arguments.pop("progress") and arguments == {
            "seed": 4, "runs": 3, "iterations": 30, "episodes": 5, "horizon": 6}
    for arguments, beta in ([], BETA), (["--beta", "2"], 2), (["--beta", "1e-6"], 1e-6):
        status, out, _ = command("--world", "language", *arguments)
        assert status == 0 and asked.pop()[0].beta == beta
        assert out.startswith(f"language, beta {beta:g}: the optimum is J* = ")
        assert out.endswith("  Share is (J - J(ref)) / (J* - J(ref)), where the\n"
                            "reference is the first policy.\n")
    path.write_text("on\n no\n\nono\n")
    _, out, _ = command("--world", "language", "--corpus", str(path))
    assert asked.pop()[0].mdp.shape == (3, 3)
    assert "".join(f"bigram of {path}.".split()) in "".join(out.split())  # wherever lines break


# Figures.


def test_the_curves_are_drawn_with_their_spread():
    """Each learner has a colour of its own, for its line, its bars and its name."""
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_hex

    from minirl.lab import figures
    problem = policies.grid_problem(cliff_walk().mdp(gamma=0.99))
    three = curve("ppo", [-90.0] * 3, [-20, -15, -18], [-13, -14, np.nan], [np.nan, -13, np.nan],
                  steps=(1, 2, 3))._replace(iterations=np.array([0, 2, 4, 5]))
    figure, = figures.policies_figures(found_of(
        problem, three, *(three._replace(method=name) for name in "abc"))).values()
    assert figure.get_suptitle().startswith("4x4: no learner ends nearer to J* than ")
    assert figure.get_supxlabel().startswith("median, worst and best of 3 runs; J* = −12.25; ")
    axes, = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(),
                               problem.optimum - np.array([-90, -18, -14, np.nan]))
    assert axes.lines[0].get_xdata().tolist() == [0, 2, 4, 5]
    bars = sorted(path.vertices[:, 1].tolist() for path in axes.collections[0].get_paths())
    assert bars[-1] == pytest.approx([problem.optimum + 15, problem.optimum + 20])
    colours = [to_hex(line.get_color()) for line in axes.lines[:4]]
    assert colours == [to_hex(bar.get_color()[0]) for bar in axes.collections]
    assert len(set(colours)) == 4 and axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "J* − J, exact")
    names = {text.get_text(): to_hex(text.get_color()) for text in axes.texts}
    assert [names[name] for name in ("● ppo", "■ a", "▲ b", "◆ c")] == colours


@pytest.mark.parametrize("missing, scale", [([0, -1e-15], "linear"), ([3, np.nan, 0], "log")])
def test_a_policy_that_misses_nothing_is_drawn_without_a_warning(missing, scale):
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    problem = Problem(LAKE, None, None, 1.0)
    figure, = figures.policies_figures(
        found_of(problem, curve("ppo", *([1.0 - gap] * 2 for gap in missing)))).values()
    assert figure.axes[0].get_yscale() == scale
    assert all(tick % 1 == 0 for axes in figure.axes for tick in axes.get_xticks())
    figure.draw_without_rendering()
