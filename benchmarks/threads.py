"""How many cores and threads the peers get: one, and those that would take all of them also two.

jax and torch use every core by default; the book and the loops of numba use one.  A library counts
the cores when it is loaded, so that the second figure comes from a second process, `python -m
benchmarks.threads`.  It times the peers beside the book once more, and writes the rows as JSON.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

from benchmarks.works import cases
from minirl.console import finish, use_one_thread

THREADED = "jax", "torch"


def cores():
    """The cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())


def use_cores(number):
    """Keep this process to some cores, and tell the libraries it will import to use all of them.

    NumPy has one thread always.
    """
    use_one_thread()
    os.environ["OMP_NUM_THREADS"] = str(number)
    if number == 1:
        os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen"
                                   "=false intra_op_parallelism_threads=1").strip()
    if hasattr(os, "sched_setaffinity"):  # not on every system
        os.sched_setaffinity(0, sorted(cores())[-number:])


def rows_in_two_threads(works, full):
    """`timing.Row`s of those peers that use threads, as lists; none without peers or cores."""
    if len(cores()) < 2 or not any(map(find_spec, THREADED)):
        return []
    done = subprocess.run([sys.executable, "-m", "benchmarks.threads", *works, *["--full"] * full],
                          capture_output=True, encoding="utf-8")
    if done.returncode:
        *_, why = done.stderr.strip().split("\n")
        raise ChildProcessError(f"two threads: {why}")
    return json.loads(done.stdout)


def main(arguments):
    """What the second process does: `arguments` are names of works, and --full."""
    def work():
        use_cores(2)
        timing, peers = import_module("benchmarks.timing"), frozenset(filter(find_spec, THREADED))
        print(json.dumps([row for case in cases(arguments)
                          for row in timing.run(case, peers, "--full" in arguments, 2)[0]]))

    return finish("benchmarks.threads", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
