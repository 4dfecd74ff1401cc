"""The command line: `python -m minirl [JOB]`, also installed as `minirl`.

Without the name of a job it runs `demo`.  `minirl exercise` leads to the exercises, and `minirl
figures` draws the pictures of the book.  Exit status: 0 done, 1 failed, 2 a wrong argument or a
file that cannot be used, 130 interrupted.
"""

from minirl.start import by_signal, leave

if __name__ == "__main__":
    by_signal()

import argparse
import sys

from minirl.console import check_command, finish, standard_output, use_one_thread

use_one_thread()

from minirl import __version__
from minirl.exercises import command as exercises
from minirl.lab import (alignment, attempts, collecting, contrasts, demo, divergences, estimators,
                        laws, networks, objectives, policies, searches, values)
from minirl.lab.job import add_arguments, do
from minirl.pictures import command as pictures

JOBS = (demo.DEMO, values.VALUES, policies.POLICIES, estimators.ESTIMATORS, divergences.DIVERGENCES,
        objectives.OBJECTIVES, alignment.ALIGNMENT, contrasts.CONTRASTIVE, attempts.INFERENCE,
        searches.SEARCHES, laws.LAWS, collecting.HARVEST, networks.NETWORKS)


def _parser(jobs):
    parser = argparse.ArgumentParser(
        prog="minirl", allow_abbrev=False,
        description="The experiments of the book.  Each job has a --help of its own; without the "
                    "name of a job the arguments are those of demo.")
    parser.add_argument("--version", action="version", version=f"minirl {__version__}")
    choices = parser.add_subparsers(metavar="JOB", title="jobs")
    for job in jobs:
        about = job.about.split("\n\n")[0].replace("\n", " ")
        add_arguments(choices.add_parser(job.name, allow_abbrev=False, help=about,
                                         description=about), job)
    exercises.add_exercise_arguments(choices.add_parser(
        "exercise", allow_abbrev=False, help=exercises.ABOUT, description=exercises.ABOUT))
    pictures.add_figures_arguments(choices.add_parser(
        "figures", allow_abbrev=False, help=pictures.FIGURES, description=pictures.FIGURES))
    return parser


def main(argv=None, jobs=JOBS):
    """Run the command line and return its exit status, which is that of argparse too."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    elif not argv or argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version"):
        argv = ["demo", *argv]

    def work():
        parser = _parser(jobs)
        check_command(parser, argv[0], [*(job.name for job in jobs), "exercise", "figures"])
        arguments = parser.parse_args(argv)
        with standard_output(errors="replace"):  # what a terminal cannot show is a question mark
            if argv[0] == "exercise":
                sys.exit(exercises.exercise(arguments))
            if argv[0] == "figures":
                pictures.figures(arguments)
            else:
                do(arguments.job, arguments)

    return finish("minirl", work)


if __name__ == "__main__":
    leave(main)
