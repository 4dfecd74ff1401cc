"""`python -m benchmarks [WORK …]`: time all works, or some.

Exit status: 0 done, 1 failed or interrupted, 2 a wrong argument or a file that cannot be used.
"""

import argparse
import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec

from minirl.console import file_name, finish, progress, use_one_thread
from minirl.files import STANDARD, check_writable, write_bytes

WORKS = {"W1": "stepping", "W2": "q_learning", "W3": "sampling", "W4": "text", "W5": "ppo",
         "W6": "returns", "W7": "preferences", "W8": "preferences", "W9": "grpo", "W10": "lake"}
COSTS = "costs"
PEERS = "numba", "jax", "torch", "gymnasium", "stable_baselines3", "sklearn"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", allow_abbrev=False,
        description="Time the inner loops of the book against the plain form of each, on one core, "
                    "after proving that both agree.",
        epilog=f"The works: {', '.join(f'{work} {module}' for work, module in WORKS.items())}; and "
               f"{COSTS}, how time and memory grow.")
    parser.add_argument("works", nargs="*", type=_work, metavar="WORK",
                        help=f"{', '.join(WORKS)} or {COSTS} (all)")
    parser.add_argument("--full", action="store_true",
                        help="take larger shapes and more rounds")
    parser.add_argument("--peers", action="store_true",
                        help=f"compare with whatever is installed of {', '.join(PEERS)}")
    parser.add_argument("--json", type=file_name, metavar="FILE",
                        help="write the rows of the table there as well; to standard output (-) "
                             "they are written instead of tables")
    return parser


def _work(text):
    if text not in (*WORKS, COSTS):
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join((*WORKS, COSTS))}")
    return text


def use_one_core():
    """Keep this process on one core, and tell the libraries it will import to use one thread."""
    use_one_thread()
    os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen="
                               "false intra_op_parallelism_threads=1").strip()
    if hasattr(os, "sched_setaffinity"):  # not on every system
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def cases(works):
    """The cases of the works named, in the order of `WORKS`; other names are passed over."""
    modules = {name: import_module(f"benchmarks.{name}") for name in
               dict.fromkeys(WORKS[work] for work in WORKS if work in works)}
    return [case for work in WORKS if work in works
            for case in modules[WORKS[work]].CASES if case.work == work]


def run(arguments):
    """Time what the arguments ask for.  Raises ValueError for what the user can mend."""
    if arguments.json is not None:
        check_writable(arguments.json)
    timing = import_module("benchmarks.timing")  # now that the threads are limited
    asked = arguments.works or [*WORKS, COSTS]
    peers = frozenset(name for name in PEERS if arguments.peers and find_spec(name))
    quiet = arguments.json == STANDARD
    if COSTS in asked and not quiet:
        progress("costs")
        text = import_module("benchmarks.costs").text(full=arguments.full)
        progress("")
        print(text + "\n")
    rows, control = [], []
    for case in cases(asked):
        progress(f"{case.work} {case.title}")
        more, speed = timing.run(case, peers, arguments.full)
        rows, control = rows + more, control + speed
    progress("")
    if arguments.json is not None:
        write_bytes(arguments.json, as_json(rows).encode())
    if rows and not quiet:
        print(timing.table(rows, control))


def as_json(rows):
    """The rows as a JSON text, without the extremes."""
    keys = "work", "case", "form", "ns_per_item", "ratio", "limit"
    return json.dumps([{key: getattr(row, key) for key in keys} for row in rows], indent=1) + "\n"


def main(argv=None):
    """Run the command line and return its exit status, which is that of argparse too."""
    def work():
        arguments = _parser().parse_args(argv)
        use_one_core()
        run(arguments)

    return finish("benchmarks", work)


if __name__ == "__main__":
    sys.exit(main())
