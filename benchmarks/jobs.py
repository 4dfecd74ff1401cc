"""What the jobs of the book cost from beginning to end: seconds, processor seconds, memory.

Each command runs once, with the arguments of `docs/speed.md` or with none, in a process of its own.
The processor's seconds are those of the program and of the system, helpers included.  The peak is
the most memory that the process held at one time, the interpreter and the libraries included; of a
job with helpers it is that of the largest process.

A process begins as a copy of the one that started it, and that counts as its memory.  So jobs are
run before this program loads NumPy.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter
from typing import NamedTuple

from minirl.console import progress
from toy_lm.corpora import unicode_words

COMMANDS = ("minirl demo", "minirl values", "minirl estimators", "minirl kl", "minirl objectives",
            "minirl contrastive", "minirl inference", "minirl search", "minirl scaling",
            "minirl harvest",
            "toy_lm train words.txt --out model.npz",
            "toy_lm pairs model.npz --out pairs.jsonl --pairs 20000",
            "toy_lm align model.npz pairs.jsonl --method dpo --out aligned.npz",
            "toy_lm align model.npz pairs.jsonl --method reward_model --out aligned.npz")
SLOW = "minirl policies", "minirl alignment", "minirl network"  # with --full
ROOT = Path(__file__).parent.parent


class Cost(NamedTuple):
    """What a job took."""

    job: str
    seconds: float    # by the clock on the wall
    processor: float  # seconds
    peak_mb: float


def run(*, full=False):
    """Run all jobs, or with `full` also the slow ones: a list of Cost.

    A job that fails is an OSError.  Raises ValueError where the system does not tell what a process
    has used.
    """
    if not hasattr(os, "wait4"):
        raise ValueError("jobs cannot be measured here: the system does not tell what a process "
                         "has used (there is no os.wait4)")
    costs = []
    with TemporaryDirectory() as folder:
        Path(folder, "words.txt").write_text("\n".join(unicode_words()), encoding="utf-8")
        for command in COMMANDS + SLOW * full:
            progress(command)
            costs.append(measure(command, folder))
    return costs


def measure(command, folder):
    """The Cost of a command, such as "minirl values", that works in a folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with TemporaryFile() as errors:
        began = perf_counter()
        child = subprocess.Popen([sys.executable, "-m", *command.split()], cwd=folder,
                                 env={**os.environ, "PYTHONPATH": path}, stderr=errors,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:  # an interrupt, which need not have reached the child
            child.kill()
            child.wait()
            raise
        seconds, child.returncode = perf_counter() - began, os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            why = errors.read().decode(errors="replace").strip().split("\n")[-1]
            raise ChildProcessError(f"'{command}' ended with status {child.returncode}"
                                    + f": {why}" * bool(why))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of the peak
    return Cost(command, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6)


def text(costs):
    """The table of all costs.

    Examples
    --------
    >>> print(text([Cost("minirl kl", 1.25, 1.2, 98.7)]))
    jobs           seconds   processor     peak MB
    minirl kl         1.25        1.20          99
    """
    width = max(len(cost.job) for cost in costs)
    return "\n".join([f"{'jobs':<{width}}{'seconds':>13}{'processor':>12}{'peak MB':>12}"] + [
        f"{job:<{width}}{seconds:>13.2f}{processor:>12.2f}{peak:>12.0f}"
        for job, seconds, processor, peak in costs])
