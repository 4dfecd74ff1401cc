"""What a long job has done so far, in a file, so that the same command goes on where it was.

A job is made of pieces, and some pieces train.  With `--checkpoint FILE` the file holds what the
finished pieces have found and the last records of the trainers that are at work, and is written
anew at most once per second.  It also holds what was asked for.  Who asks for something else is
refused, since the results would be of neither.  When the job is done, the file holds its results,
and the same command prints them at once.

Results do not depend on where a job was stopped.  Only the seconds are a matter of chance anyway:
they add up the time of all attempts, less what was lost between the last writing and the stop.
"""

import os
from hashlib import sha256
from itertools import islice
from math import inf
from time import monotonic, perf_counter
from typing import NamedTuple

from minirl import __version__
from minirl.checkpoints import storable
from minirl.console import file_name
from minirl.files import STANDARD, check_apart, check_writable, read_bytes
from minirl.play.training import after, load, save

CHECKPOINT = {"type": file_name, "metavar": "FILE", "help": "keep there what is done, at most once "
              "per second, and go on from it where it is there"}
INTERVAL = 1.0  # the least seconds between two writings
WHERE_IT_GOES = {"job", "checkpoint", "json", "plot", "quiet"}  # results do not depend on these


@storable
class JobRecord(NamedTuple):
    """What a job has done so far."""

    job: str
    asked: dict    # what its results depend on
    found: object  # all that it finds; None until it is done
    done: dict     # by the name of a piece: what it has found, and its seconds
    begun: dict    # by the name of a piece at work: how far it is


class Keeper:
    """Keeps what a job has done in memory and, where there is a path, in a file."""

    def __init__(self, record=JobRecord("", {}, None, {}, {}), path=None):
        self.job, self.asked, self.found, *pieces = record
        self.done, self.begun = map(dict, pieces)
        self.path, self.written = path, -inf
        self.name, self.records, self.trainings, self.start = None, [], 0, 0.0  # of this piece

    def whole(self, work):
        """All that the job finds: what the file holds, or else what `work()` returns."""
        if self.found is None:
            self.found = work()
            self.done, self.begun = {}, {}
            self.write(at_once=True)
        return self.found

    def piece(self, name, work):
        """What a piece finds, and its seconds: from the file, or else by `work()`."""
        if name not in self.done:
            records, seconds = self.begun.get(name, ([], 0.0))
            self.name, self.records, self.trainings = name, list(records), 0
            self.start = perf_counter() - seconds
            self.done[name] = work(), perf_counter() - self.start
            self.begun.pop(name, None)
            self.write()
        return self.done[name]

    def after(self, trainer, record, n):
        """The record after n iterations of `trainer(record=…)`, the next training of this piece.

        It goes on from the last record that the file holds of it.
        """
        number, self.trainings = self.trainings, self.trainings + 1
        if number == len(self.records):
            self.records.append(record)
        last = self.records[number]
        for further in islice(trainer(record=last), record.iteration + n - last.iteration):
            self.records[number] = further
            self.begun[self.name] = self.records, perf_counter() - self.start
            self.write()
        return self.records[number]

    def write(self, at_once=False):
        """Write the file, where there is one, unless the last time was a moment ago."""
        if self.path is not None and (at_once or monotonic() >= self.written + INTERVAL):
            save(JobRecord(self.job, self.asked, self.found, self.done, self.begun), self.path)
            self.written = monotonic()


def keeper(arguments) -> Keeper:
    """The `Keeper` of a job that was asked for: with what its checkpoint holds, if there is one.

    Raises ValueError where the checkpoint is of something else, or cannot be read or written.
    """
    path = arguments.checkpoint
    if path is None:
        return Keeper()
    if path == STANDARD:
        raise ValueError("--checkpoint must be the name of a file, got -")
    kept = Keeper(JobRecord(arguments.job.name, _asked(arguments), None, {}, {}), path)
    if os.path.exists(path):
        found = load(path)
        _check_same(found, kept, path)
        check_writable(path)
        return Keeper(found, path)
    kept.write(at_once=True)
    return kept


def _asked(arguments):
    """What the results of a job depend on, by the names that messages have for it."""
    asked = {f"--{name.replace('_', '-')}": value for name, value in vars(arguments).items()
             if name not in WHERE_IT_GOES}
    for name in "--corpus", "--map":
        path = asked.get(name)
        if path == STANDARD:
            raise ValueError(f"--checkpoint needs files that can be read again, got {name} -")
        if path is not None:
            check_apart(arguments.checkpoint, path)
            asked[f"the digest of what {name} holds"] = sha256(read_bytes(path)).hexdigest()[:16]
    return {**asked, "the version of minirl": __version__}


def _check_same(found, kept, path):
    """Raise ValueError if a record is not of this job with these arguments."""
    if not isinstance(found, JobRecord) or found.job != kept.job:
        what = f"job {found.job}" if isinstance(found, JobRecord) else type(found).__name__
        raise ValueError(f"--checkpoint must be of the job {kept.job}, and {path} is of the {what}")
    for name in {**kept.asked, **found.asked}:
        here, there = ("not given" if value is None else value
                       for value in (kept.asked.get(name), found.asked.get(name)))
        if here != there:
            raise ValueError(f"{name} is {here} here, and {there} in {path}: ask for the same, or "
                             f"name another file")


def trained(trainer, record, n):
    """The record after n iterations of `trainer(record=…)`, which nobody keeps."""
    return after(trainer(record=record), n)
