"""An experiment as a command: what it asks for, prints, writes and draws."""

import json
import os
from collections.abc import Callable
from importlib import import_module
from itertools import count
from time import perf_counter
from typing import NamedTuple

from gridworld.draw import show
from gridworld.maps import WORLDS
from gridworld.world import GridWorld, read_map
from minirl.console import emit, file_name, integer, number, progress
from minirl.files import STANDARD, check_apart, check_writable, make_folder, shown, write_bytes
from minirl.lab.table import coloured_bars

MAP = ("a map of your own, UTF-8, a character a cell: S start, F free, G goal (pays 1), H hole, C "
       "cliff, # wall, A and B teleports to a and b; or, with spaces between the cells, a number "
       "that the cell pays")
SEED = {"type": integer(0), "default": 0, "help": "of everything random (0)"}


class Job(NamedTuple):
    """An experiment as a command."""

    name: str
    about: str           # the text of its module; the first paragraph stands in the list of jobs
    run: Callable        # (arguments, progress) -> found; ValueError for what the user can mend
    text: Callable       # found -> what is printed, with bars of a colour on a terminal
    draw: Callable       # (lab.figures, found) -> {name of a file: Figure}
    arguments: dict = {}      # name to the options of argparse
    worlds: tuple = ()        # among which one may choose; then maps of one's own are read too
    document: Callable = lambda found: found  # its JSON; a record stands for its fields
    drawing: Callable = None  # found -> what is printed first: maps, in colour on a terminal


def add_arguments(parser, job):
    """All arguments of a job: its own, and those that say where results go."""
    if job.worlds:
        _add_world(parser, job.worlds)
    for name, options in job.arguments.items():
        parser.add_argument(f"--{name}", **options)
    parser.set_defaults(job=job)
    parser.add_argument("--plot", type=file_name, metavar="DIR",
                        help="draw the results there as PNG files (needs the extra 'plot')")
    parser.add_argument("--json", type=file_name, metavar="FILE",
                        help="write the results there as well; to standard output (-) they "
                             "are written instead of tables")
    parser.add_argument("--quiet", action="store_true", help="print no tables")


def do(job, arguments):
    """Run a job and hand out what it finds.  Raises ValueError for what the user can mend.

    Whether the results can be written and drawn is checked before the work.
    """
    read = [getattr(arguments, name, None) for name in ("corpus", "map", "checkpoint")]
    check_apart(arguments.json, *read)
    if None not in (read[-1], arguments.json) and (
            os.path.realpath(read[-1]) == os.path.realpath(arguments.json)):
        raise ValueError(f"--json and --checkpoint must be two files, got {arguments.json} twice")
    if arguments.plot is not None:
        try:
            figures = import_module("minirl.lab.figures")
        except ImportError as error:  # of an extra
            raise ValueError(f"--plot cannot draw: {error}") from None
        make_folder(arguments.plot)
    if arguments.json is not None:  # which may be in that folder
        check_writable(arguments.json)
    found, paths = job.run(arguments, lambda line: progress(f"{job.name}: {line}")), []
    progress("")
    if arguments.json is not None:
        write_bytes(arguments.json, as_json(job.document(found)).encode())
    if arguments.plot is not None:
        for name, data in figures.pictured(job, found).items():
            paths.append(os.path.join(arguments.plot, f"{name}.png"))
            check_apart(paths[-1], arguments.json, *read)
            write_bytes(paths[-1], data)
    if arguments.quiet or arguments.json == STANDARD:
        return
    if job.drawing is not None:
        show(f"{job.drawing(found)}\n\n")
    emit(job.text(found), coloured_bars)
    if paths:
        print(f"\nDrawn: {', '.join(paths)}")


def as_json(document):
    """A JSON document: str, as it is written.  A number that is none raises ValueError."""
    return json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value):
    """Records as dicts of their fields, however deep."""
    value = value._asdict() if hasattr(value, "_asdict") else value
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def stopwatch(pieces, progress):
    """The one clock of the laboratory: `timed(name, work) -> (result, seconds)`.

    It first tells which of how many pieces of work is running.  `timed(name, work, piece)` has the
    work done by a `piece(name, work)` that returns the same, such as `keeping.Keeper.piece`.
    """
    numbers = count(1)

    def at_once(name, work):
        began = perf_counter()
        return work(), perf_counter() - began

    def timed(name, work, piece=at_once):
        progress(f"{next(numbers)} of {pieces}, {name}")
        return piece(name, work)

    return timed


def _add_world(parser, names):
    """The arguments that choose a world."""
    world = parser.add_mutually_exclusive_group()
    world.add_argument("--world", choices=names, default="4x4",
                       help="a known world (4x4, which is a slippery lake like 8x8)")
    world.add_argument("--map", type=file_name, metavar="FILE", help=MAP)
    parser.add_argument("--success-rate", type=number(0, 1), metavar="P",
                        help="on your own map: probability that a move goes where it was meant to "
                             "(1), and not to one of its sides")
    parser.add_argument("--step-reward", type=number(-1e6, 1e6), metavar="R",
                        help="on your own map: reward of every step (0)")


def chosen_world(arguments):
    """(name, GridWorld) that the arguments ask for; None in its place where it is no grid."""
    rules = {name: value for name in ("success_rate", "step_reward")
             if (value := getattr(arguments, name)) is not None}
    if arguments.map is not None:
        name, _ = os.path.splitext(os.path.basename(shown(arguments.map)))
        return ("map" if arguments.map == STANDARD else name,
                GridWorld(read_map(arguments.map), **rules))
    if rules:
        raise ValueError("--success-rate and --step-reward are rules for a map of your own: give "
                         "--map too")
    return arguments.world, WORLDS[arguments.world]() if arguments.world in WORLDS else None
