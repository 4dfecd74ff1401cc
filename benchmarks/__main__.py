"""`python -m benchmarks [WORK …]`: time all works, or some.

Exit status: 0 done, 1 failed, 2 a wrong argument or a file that cannot be used, 130
interrupted.
"""

from minirl.start import by_signal, leave

if __name__ == "__main__":
    by_signal()

import argparse
import json
from importlib import import_module
from importlib.util import find_spec

from benchmarks.threads import rows_in_two_threads, use_cores
from benchmarks.works import WORKS, cases
from minirl.console import file_name, finish, progress, standard_output, use_one_thread
from minirl.files import STANDARD, check_writable, write_bytes

COSTS, JOBS = "costs", "jobs"
NAMES = *WORKS, COSTS, JOBS
PEERS = "numba", "jax", "torch", "gymnasium", "stable_baselines3", "sklearn"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", allow_abbrev=False,
        description="Time the inner loops of the book against the plain form of each, on one core, "
                    "after proving that both agree.",
        epilog=f"The works: {', '.join(f'{work} {module}' for work, module in WORKS.items())}; "
               f"{COSTS}, how time and memory grow; and {JOBS}, what each command of the book "
               f"takes from beginning to end.")
    parser.add_argument("works", nargs="*", type=_work, metavar="WORK",
                        help=f"{', '.join(NAMES)} (all but the last)")
    parser.add_argument("--full", action="store_true",
                        help="take larger shapes, more rounds and the slow jobs too")
    parser.add_argument("--peers", action="store_true",
                        help=f"compare with whatever is installed of {', '.join(PEERS)}, in one "
                             f"thread, and those that would take all cores also in two")
    parser.add_argument("--json", type=file_name, metavar="FILE",
                        help="write what is measured there as well; to standard output (-) it is "
                             "written instead of tables")
    return parser


def _work(text):
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(NAMES)}")
    return text


def run(arguments):
    """Measure what the arguments ask for.  Raises ValueError for what the user can mend."""
    asked, full = arguments.works or [*WORKS, COSTS], arguments.full
    if arguments.json is not None:
        check_writable(arguments.json)
    found = {}

    def keep(name, measured, table):
        progress("")
        found[name] = [row._asdict() for row in measured]
        if measured and arguments.json != STANDARD:
            print(f"\n{table}" if len(found) > 1 else table)

    # Other processes come first: this one is still small, and may use all cores.
    if JOBS in asked:
        jobs = import_module("benchmarks.jobs")
        costs = jobs.run(full=full)
        keep(JOBS, costs, jobs.text(costs))
    works = [work for work in asked if work in WORKS]
    in_two = []
    if arguments.peers and works:
        progress("two threads")
        in_two = rows_in_two_threads(works, full)
    use_cores(1)
    if COSTS in asked:
        growth = import_module("benchmarks.costs")
        costs = growth.run(full=full)
        keep(COSTS, costs, growth.text(costs))
    if works:
        timing = import_module("benchmarks.timing")
        peers = frozenset(name for name in PEERS if arguments.peers and find_spec(name))
        rows, control = [], []
        for case in cases(works):
            progress(f"{case.work} {case.title}")
            more, speed = timing.run(case, peers, full)
            rows += more + [timing.limited(timing.Row(*row), more) for row in in_two
                            if row[:2] == [case.work, case.title]]
            control += speed
        keep("works", rows, timing.table(rows, control))
    if arguments.json is not None:
        write_bytes(arguments.json, (json.dumps(found, indent=1) + "\n").encode())


def main(argv=None):
    """Run the command line and return its exit status, which is that of argparse too."""
    def work():
        arguments = _parser().parse_args(argv)
        use_one_thread()
        with standard_output(errors="replace"):
            run(arguments)

    return finish("benchmarks", work)


if __name__ == "__main__":
    leave(main)
