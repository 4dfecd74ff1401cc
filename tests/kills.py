"""Kill runs that keep checkpoints, at random moments, and go on from what they leave behind.

    python tests/kills.py [KILLS] [SEED]

A bare trainer that is saved after each iteration, and a short run of each job that takes
`--checkpoint`, are started in a process of their own and killed (SIGKILL) a random time after their
work has begun.  The file that is left is loaded.  Then the run is continued, here, and must end bit
for bit as the one that nobody killed.  Runs that are done before they are killed, or that had no
file yet, are counted apart and do not count as kills.
"""

from collections import Counter
from functools import partial
from itertools import count
import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from time import monotonic, sleep
from unittest.mock import patch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from minirl.console import use_one_thread  # noqa: E402

use_one_thread()

import numpy as np  # noqa: E402

from gridworld.maps import frozen_lake  # noqa: E402
from minirl.__main__ import JOBS, _parser  # noqa: E402
from minirl.checkpoints import packed  # noqa: E402
from minirl.lab import keeping  # noqa: E402
from minirl.lab.alignment import AlignmentScale  # noqa: E402
from minirl.lab.job import as_json  # noqa: E402
from minirl.lab.networks import NetworkScale  # noqa: E402
from minirl.play.ppo import ppo  # noqa: E402
from minirl.play.training import load, save, start  # noqa: E402

SCALES = {
    "alignment": AlignmentScale(6, 6, 400, (1, 2, 4), (2.0, 0.5), (2,), 30, (20, 100), 200,
                                (("dpo", 20), ("orpo", 10)), 1e-4),
    "network": NetworkScale(4, 12, 12, (1, 2, 3), (0, 2), (0, 1), 50)}
ARGUMENTS = {"policies": ["--runs", "2", "--iterations", "20", "--episodes", "40"],
             "alignment": ["--pairs", "50"], "network": ["--runs", "1"]}
KINDS = "trainer", *ARGUMENTS
LAKE = frozen_lake().mdp(gamma=0.99)
FIRST = start(LAKE, rng=0)


def learn(record):
    """The bare trainer."""
    return ppo(LAKE, record, episodes=16, horizon=20, iterations=50, batch_size=64)


def run_job(name, path=None, helpers=1):
    """The JSON of a short run of a job, with its seconds left out."""
    job, = (job for job in JOBS if job.name == name)
    if name in SCALES:
        job = job._replace(run=partial(job.run, scale=SCALES[name]))
    asked = [name, *ARGUMENTS[name], *(["--checkpoint", path] if path else [])]
    with patch.object(os, "cpu_count", return_value=helpers):
        found = job.run(_parser(JOBS).parse_args(asked), lambda line: None)
    return re.sub(r'"seconds": [^,\n]*', '"seconds"', as_json(job.document(found)))


def at_work(kind, path, number):
    """What is killed: a line tells that the work begins, and another one that it is done.

    Every fifth run of `policies` has helpers, which it takes long to start.
    """
    keeping.INTERVAL = 0.0
    print("begun", flush=True)
    if kind == "trainer":
        for record in learn(load(path) if os.path.exists(path) else FIRST):
            save(record, path)
    run_job(kind, path, helpers=1 if int(number) % 5 else 2)
    print("done", flush=True)


def kill(kind, path, delay, signal_sent=signal.SIGKILL, number=1):
    """Start a run, and kill it so many seconds after its work began: the seconds that it worked,
    and whether it was still at work."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--at-work", kind, path, str(number)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(number)})
    try:
        assert child.stdout.readline() == "begun\n"
        began = monotonic()
        while child.poll() is None and monotonic() < began + delay:
            sleep(0.001)
        worked = monotonic() - began
        child.send_signal(signal_sent)
        return worked, child.communicate()[0] != "done\n"
    finally:
        child.kill()


class Uninterrupted:
    """How runs end that nobody kills."""

    def __init__(self, kinds=KINDS):
        self.records, self.trainer = [FIRST], learn(FIRST)
        self.documents = {kind: run_job(kind) for kind in kinds if kind != "trainer"}

    def check(self, kind, path):
        """Go on from a copy of a file to the end, and compare: what had been done."""
        record = load(path)
        if kind == "trainer":
            while len(self.records) <= record.iteration + 3:
                self.records.append(next(self.trainer))
            own = [packed(record), *(packed(further) for _, further in zip(
                range(3), learn(record)))]
            assert own == list(map(packed, self.records[record.iteration:][:4]))
            return record.iteration
        shutil.copy(path, path + ".copy")
        assert run_job(kind, path + ".copy") == self.documents[kind]
        os.remove(path + ".copy")
        return len(record.done) + sum(getattr(run, "record", FIRST).iteration
                                      for run in record.begun.values())


def campaign(kills, seed=0, kinds=KINDS, signal_sent=signal.SIGKILL):
    """So many kills in turn among the kinds: what happened, counted by kind."""
    rng, whole, found = np.random.default_rng(seed), Uninterrupted(kinds), {}
    for kind in kinds:
        found[kind] = Counter({"kills": 0, "no file yet": 0, "done before": 0, "half written": 0})
        span, seen = 1.0, []
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.checkpoint")
            if kind != "trainer":
                span, _ = kill(kind, path, np.inf)
                whole.check(kind, path)
                os.remove(path)
            for number in count():
                if found[kind]["kills"] == -(-kills // len(kinds)):
                    break
                span *= 1.02  # the machine may have become slower
                worked, killed = kill(kind, path, rng.uniform(0, span), signal_sent, number)
                parts = [name for name in os.listdir(folder) if name.endswith(".part")]
                for name in parts:
                    os.remove(os.path.join(folder, name))
                if not killed:
                    found[kind]["done before"] += 1
                    span = worked
                elif not os.path.exists(path):
                    found[kind]["no file yet"] += 1
                    continue
                else:
                    seen.append(whole.check(kind, path))
                    found[kind]["kills"] += 1
                    found[kind]["half written"] += bool(parts)
                # Every other killed run is gone on with by the next process, which is killed too.
                if not killed or rng.random() < 0.5:
                    os.remove(path)
        found[kind]["stopped at"] = [min(seen), int(np.median(seen)), max(seen)]
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--at-work"]:
        at_work(*sys.argv[2:])
    else:
        asked = list(map(int, sys.argv[1:]))
        counted = campaign(*asked or [200])
        for kind, what in counted.items():
            print(f"{kind}: {json.dumps(what)}")
        kills = sum(what["kills"] for what in counted.values())
        print(f"{kills} kills, {kills} checkpoints loaded, {kills} runs gone on with, all bit for "
              f"bit the uninterrupted ones")
