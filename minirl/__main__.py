"""The command line: `python -m minirl [JOB]`, also installed as `minirl`.

Without the name of a job it runs the main job.  Exit status: 0 done, 1 failed or interrupted, 2 a
wrong argument or a file that cannot be used.
"""

import argparse
import os
import sys

from minirl.console import file_name, finish, integer, number, progress, use_one_thread

use_one_thread()

from gridworld import maps
from gridworld.draw import show
from gridworld.world import GridWorld, read_map
from minirl import __version__, files
from minirl.files import STANDARD
from minirl.lab import (alignment, divergences, estimators, main_job, objectives, policies, report,
                        values)
from toy_lm import corpora

LANGUAGE = "language"  # the name of the world you can read


def _main_parser():
    parser = argparse.ArgumentParser(
        prog="minirl", allow_abbrev=False,
        description="Train the first learners on a gridworld and on a language model, and judge "
                    "each by its distance to the exact optimum.",
        epilog="Other jobs, each with a --help of its own: 'minirl values' solves a gridworld and "
               "learns its action values; 'minirl policies' lets four learners of policies play "
               "one world; 'minirl estimators' lists the exact bias and variance of every "
               "estimator of the policy gradient; 'minirl kl' those of every estimate of a KL "
               "divergence, and where its gradient leads; 'minirl objectives' shows what each way "
               "of aligning a language model really optimises; 'minirl alignment' aligns one in "
               "every way of the book.")
    parser.add_argument("--seed", type=integer(0), default=0, help="of everything random (0)")
    parser.add_argument("--beta", type=number(1e-6, 1e6), default=0.5,  # beyond: lost to rounding
                        help="price of a nat of KL to the reference, in reward (0.5)")
    parser.add_argument("--pairs", type=integer(1), default=20_000,
                        help="preferences that rlhf and dpo learn from (20,000)")
    parser.add_argument("--corpus", type=file_name, metavar="FILE",
                        help="text to model, UTF-8, one item a line (default: the words in Unicode "
                             "character names)")
    _add_output(parser)
    parser.add_argument("--version", action="version", version=f"minirl {__version__}")
    return parser


def _values_parser():
    parser = argparse.ArgumentParser(
        prog="minirl values", allow_abbrev=False,
        description="Solve a gridworld exactly, draw it, and let four learners find its action "
                    "values, many runs each, judged by their distance to Q*.")
    _add_world(parser, maps.WORLDS, "a known world; 4x4 and 8x8 are the slippery lakes (4x4)")
    parser.add_argument("--gamma", type=number(0, 1), default=0.95, help="discount (0.95)")
    parser.add_argument("--runs", type=integer(1), default=20, help="of each learner (20)")
    parser.add_argument("--steps", type=integer(values.POINTS), default=20_000,
                        help=f"of each run (20,000), a multiple of {values.POINTS}; episodes are "
                             f"cut after 200")
    parser.add_argument("--learning-rate", type=number(1e-6, 1), default=1.0, metavar="A",
                        help="step size of the first update (1)")
    parser.add_argument("--decay", type=number(0, 1), default=0.6,
                        help="the nth update of a pair has step size A / n^decay (0.6)")
    parser.add_argument("--exploration-rate", type=number(0, 1), default=0.5, metavar="E",
                        help="share of random actions (0.5)")
    parser.add_argument("--initial-value", type=number(-1e6, 1e6), default=1.0, metavar="Q",
                        help="of every action; optimistic if large (1)")
    parser.add_argument("--seed", type=integer(0), default=0, help="of everything random (0)")
    _add_plot(parser, "a heat map and the learning curves")
    _add_output(parser)
    return parser


def _policies_parser():
    parser = argparse.ArgumentParser(
        prog="minirl policies", allow_abbrev=False,
        description="Let REINFORCE, A2C, PPO and PPO with a KL penalty learn one world, many runs "
                    "each, judged by their distance to J*.  The runs are shared out among the "
                    "cores.")
    _add_world(parser, (*maps.WORLDS, LANGUAGE),
               f"a known world; 4x4 and 8x8 are the slippery lakes, {LANGUAGE} is the language "
               f"model of the main job (4x4)")
    parser.add_argument("--gamma", type=number(0, 1), help="discount of a gridworld (0.99)")
    parser.add_argument("--beta", type=number(1e-6, 1e6),
                        help="on the language model: price of a nat of KL to the reference (0.5)")
    parser.add_argument("--runs", type=integer(1), default=4, help="of each learner (4)")
    parser.add_argument("--iterations", type=integer(policies.POINTS), default=400,
                        help="of each run (400); all schedules end there")
    parser.add_argument("--episodes", type=integer(1), default=512,
                        help="played in an iteration (512); for 8x8 take 1024")
    parser.add_argument("--horizon", type=integer(1), default=200,
                        help="episodes are cut after this many steps (200)")
    parser.add_argument("--learner", choices=policies.LEARNERS, help="only this one (all four)")
    parser.add_argument("--seed", type=integer(0), default=0, help="of everything random (0)")
    _add_plot(parser, "the learning curves")
    _add_output(parser)
    return parser


def _estimators_parser():
    parser = argparse.ArgumentParser(
        prog="minirl estimators", allow_abbrev=False,
        description="The exact bias and variance of every estimator of the policy gradient, by "
                    "listing all episodes of a small world.  Nothing is sampled.")
    parser.add_argument("--episodes", type=integer(2, 10**9), default=32,
                        help="in the batch of an estimate (32)")
    _add_plot(parser, "bias and variance against lambda, and the surrogate against J,")
    _add_output(parser)
    return parser


def _alignment_parser():
    parser = argparse.ArgumentParser(
        prog="minirl alignment", allow_abbrev=False,
        description="Align one language model in every way of the book, draw each on the frontier "
                    "of reward and KL, and show what becomes of the true reward when another one "
                    "is maximised.")
    parser.add_argument("--pairs", type=integer(1, 10**7), default=100_000,
                        help="preferences that rlhf, dpo and its kin learn from (100,000)")
    parser.add_argument("--seed", type=integer(0), default=0, help="of everything random (0)")
    _add_plot(parser, "the frontier and the over-optimisation")
    _add_output(parser)
    return parser


def _kl_parser():
    parser = argparse.ArgumentParser(
        prog="minirl kl", allow_abbrev=False,
        description="The exact mean, variance and mean gradient of every estimate of the KL "
                    "divergence from a reference, by listing all strings of a small language.  "
                    "Nothing is sampled.")
    _add_output(parser)
    return parser


def _objectives_parser():
    parser = argparse.ArgumentParser(
        prog="minirl objectives", allow_abbrev=False,
        description="What every method of alignment puts into the one gradient that they share, "
                    "and where its expected update comes to rest, by listing all strings of a "
                    "small language.  Nothing is sampled.")
    _add_output(parser)
    return parser


def _add_world(parser, names, text):
    world = parser.add_mutually_exclusive_group()
    world.add_argument("--world", choices=names, default="4x4", help=text)
    world.add_argument("--map", type=file_name, metavar="FILE",
                       help="a map of your own, UTF-8, a character a cell: S start, F free, G goal "
                            "(pays 1), H hole, C cliff, # wall, A and B teleports to a and b; or, "
                            "with spaces between the cells, a number that the cell pays")
    parser.add_argument("--success-rate", type=number(0, 1), metavar="P",
                        help="on your own map: probability that a move goes where it was meant to "
                             "(1), and not to one of its sides")
    parser.add_argument("--step-reward", type=number(-1e6, 1e6), metavar="R",
                        help="on your own map: reward of every step (0)")


def _add_plot(parser, what):
    parser.add_argument("--plot", type=file_name, metavar="DIR",
                        help=f"draw {what} there as PNG files (needs the extra 'plot')")


def _add_output(parser):
    parser.add_argument("--json", type=file_name, metavar="FILE",
                        help="write the results there as well; to standard output (-) they "
                             "are written instead of tables")
    parser.add_argument("--quiet", action="store_true", help="print no tables")


def run_main_job(arguments):
    """The main job, with parsed arguments.  Raises ValueError for what the user can mend."""
    if arguments.json is not None:
        files.check_writable(arguments.json)
    items = (corpora.unicode_words() if arguments.corpus is None
             else corpora.read_lines(arguments.corpus))
    # The text first: if its objective has no optimum, that is known at once.
    result = main_job.language_table(items, arguments.seed, arguments.beta, arguments.pairs,
                                     progress)
    rows = main_job.grid_table(arguments.seed, progress)
    progress("")
    if arguments.json is not None:
        files.write_bytes(arguments.json, report.as_json(rows, result).encode())
    if not arguments.quiet:
        show(report.grid_text(rows) + "\n\n")
        print(report.language_text(result, beta=arguments.beta, pairs=arguments.pairs,
                                   file=arguments.corpus and files.shown(arguments.corpus)))


def run_values(arguments):
    """The job `values`, with parsed arguments.  Raises ValueError for what the user can mend."""
    name, grid = _world(arguments)
    figures = _prepared(arguments)
    mdp = grid.mdp(gamma=arguments.gamma)
    progress(f"{name}: planning")
    solution = values.solve_world(mdp)
    curves = []
    for method in values.LEARNERS:
        progress(f"{name}: {method}")
        curves.append(values.learn(
            mdp, solution.optimum, method, seed=arguments.seed, runs=arguments.runs,
            steps=arguments.steps, learning_rate=arguments.learning_rate, decay=arguments.decay,
            exploration_rate=arguments.exploration_rate, initial_value=arguments.initial_value))
    progress("")
    if arguments.json is not None:
        files.write_bytes(arguments.json, report.values_json(name, arguments.gamma, curves,
                                                             solution).encode())
    if arguments.plot is not None:
        figures.draw_values(arguments.plot, name, grid, curves, solution)
    if not arguments.quiet:
        show(report.solution_text(name, grid, arguments.gamma, solution) + "\n\n")
        print(report.curves_text(curves, solution))


def _world(arguments):
    """(name, GridWorld) that the arguments ask for."""
    if arguments.map is None:
        _refuse_rules(arguments)
        return arguments.world, maps.WORLDS[arguments.world]()
    success_rate = 1.0 if arguments.success_rate is None else arguments.success_rate
    name = ("map" if arguments.map == STANDARD
            else os.path.splitext(os.path.basename(arguments.map))[0])
    return name, GridWorld(read_map(arguments.map), success_rate=success_rate,
                           step_reward=arguments.step_reward or 0.0)


def _refuse_rules(arguments):
    """Raise ValueError if there are rules for a map, and no map."""
    if (arguments.success_rate, arguments.step_reward) != (None, None):
        raise ValueError("--success-rate and --step-reward are rules for a map of your own: give "
                         "--map too")


def run_policies(arguments):
    """The job `policies`, with parsed arguments.  Raises ValueError for what the user can mend."""
    name, title, problem = _problem(arguments)
    figures = _prepared(arguments)
    methods = list(policies.LEARNERS) if arguments.learner is None else [arguments.learner]
    curves = list(policies.learn(
        problem, methods, seed=arguments.seed, runs=arguments.runs, iterations=arguments.iterations,
        episodes=arguments.episodes, horizon=arguments.horizon,
        progress=lambda method: progress(f"{name}: {method}")))
    progress("")
    if arguments.json is not None:
        files.write_bytes(arguments.json, report.policies_json(
            name, problem, curves, seed=arguments.seed, episodes=arguments.episodes,
            horizon=arguments.horizon).encode())
    if arguments.plot is not None:
        figures.draw_policies(arguments.plot, name, problem, curves)
    if not arguments.quiet:
        print(report.policies_text(title, problem, curves))


def _problem(arguments):
    """(name, title, policies.Problem) that the arguments ask for."""
    if arguments.world == LANGUAGE:
        _refuse_rules(arguments)
        if arguments.gamma is not None:
            raise ValueError("--gamma is for gridworlds: strings are not discounted")
        beta = 0.5 if arguments.beta is None else arguments.beta
        return LANGUAGE, f"{LANGUAGE}, beta {beta:g}", policies.language_problem(beta)
    if arguments.beta is not None:
        raise ValueError(f"--beta is for the language model: give --world {LANGUAGE} too")
    gamma = 0.99 if arguments.gamma is None else arguments.gamma
    name, grid = _world(arguments)
    return name, f"{name}, gamma {gamma:g}", policies.grid_problem(grid.mdp(gamma=gamma))


def run_estimators(arguments):
    """The job `estimators`, with parsed arguments."""
    figures = _prepared(arguments)
    laboratory = estimators.run(arguments.episodes)
    if arguments.json is not None:
        files.write_bytes(arguments.json, report.estimators_json(laboratory).encode())
    if arguments.plot is not None:
        figures.draw_estimators(arguments.plot, laboratory)
    if not arguments.quiet:
        print(report.estimators_text(laboratory))


def run_alignment(arguments):
    """The job `alignment`, with parsed arguments."""
    figures = _prepared(arguments)
    found = alignment.run(arguments.pairs, arguments.seed,
                          lambda line: progress(f"alignment: {line}"))
    progress("")
    if arguments.json is not None:
        files.write_bytes(arguments.json, report.alignment_json(found).encode())
    if arguments.plot is not None:
        figures.draw_alignment(arguments.plot, found)
    if not arguments.quiet:
        print(report.alignment_text(found, pairs=arguments.pairs))


def run_kl(arguments):
    """The job `kl`, with parsed arguments."""
    _run_table(arguments, divergences.table, report.divergences_text, report.divergences_json)


def run_objectives(arguments):
    """The job `objectives`, with parsed arguments."""
    _run_table(arguments, objectives.table, report.objectives_text, report.objectives_json)


def _run_table(arguments, compute, text, document):
    """A job that takes nothing and draws nothing."""
    if arguments.json is not None:
        files.check_writable(arguments.json)
    found = compute()
    if arguments.json is not None:
        files.write_bytes(arguments.json, document(found).encode())
    if not arguments.quiet:
        print(text(found))


def _prepared(arguments):
    """Check where the results are to go, before the work; the module that draws, if asked for.

    It is imported only then, because it needs an extra.
    """
    if arguments.json is not None:
        files.check_writable(arguments.json)
    if arguments.plot is None:
        return None
    try:
        from minirl.lab import figures
    except ImportError as error:
        raise ValueError(f"--plot cannot draw: {error}") from None
    files.make_folder(arguments.plot)
    return figures


JOBS = {"values": (_values_parser, run_values), "policies": (_policies_parser, run_policies),
        "estimators": (_estimators_parser, run_estimators), "kl": (_kl_parser, run_kl),
        "objectives": (_objectives_parser, run_objectives),
        "alignment": (_alignment_parser, run_alignment)}


def main(argv=None):
    """Run the command line and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser, run = JOBS.get(argv[0] if argv else None, (_main_parser, run_main_job))
    arguments = parser().parse_args(argv[1:] if run is not run_main_job else argv)
    arguments.quiet = arguments.quiet or arguments.json == STANDARD

    def work():
        sys.stdout.reconfigure(errors="replace")  # a terminal without arrows prints question marks
        run(arguments)

    return finish("minirl", work)


if __name__ == "__main__":
    sys.exit(main())
