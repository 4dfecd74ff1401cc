"""A reader's file is graded in a process of its own: `python -m minirl.exercises.attempt`.

It may loop for ever, end the program or print without end, and nothing of this reaches the reader
as a traceback, or keeps the command from its answer.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from importlib.util import decode_source
from pathlib import Path

from minirl.console import use_one_thread
from minirl.files import read_bytes

SECONDS = 10.0  # what an attempt may take; the right ones take milliseconds
GRACE = 10.0  # what its process may take besides: it begins, grades and ends


def verdict_on(name, path, seconds=SECONDS):
    """The verdict on a file, from another process: a dict with `right`, `lines` and `printed`."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "verdict.json")
        root = str(Path(__file__).parent.parent.parent)
        inherited = os.environ.get("PYTHONPATH")
        environment = os.environ | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH":
                                    os.pathsep.join([root] + ([inherited] if inherited else []))}
        child = subprocess.Popen(
            [sys.executable, "-m", "minirl.exercises.attempt", name, str(path), out, str(seconds)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment)
        try:
            child.wait(2 * seconds + GRACE)
        except subprocess.TimeoutExpired:
            return _stopped(f"it is still running after {seconds:g} seconds, and could not be "
                            "asked where.")
        finally:
            child.kill()
            child.wait()
        if not os.path.exists(out):
            return _stopped(f"it ends the program (status {child.returncode}).")
        return json.loads(Path(out).read_text(encoding="utf-8"))


def _stopped(sentence):
    return {"right": False, "lines": [["Runs", f"no: {sentence}"]], "printed": ""}


def source_of(path):
    """The text of a reader's file: str.  ValueError if there is none."""
    data = read_bytes(path)
    if b"\0" in data:
        raise ValueError("it is no Python: it holds null bytes")
    try:
        return decode_source(data)
    except (SyntaxError, UnicodeError, LookupError):  # what a first line may name as its encoding
        raise ValueError("it is not UTF-8") from None


class _Printed(io.TextIOBase):
    """What a file prints: only the beginning is kept."""

    def __init__(self, limit=1000):
        self.text, self.limit = "", limit

    def write(self, text):
        self.text += text[:self.limit - len(self.text)]
        return len(text)


def _main(name, path, out, seconds):
    """Load the file, grade it and write the verdict, within some seconds."""
    use_one_thread()
    printed = sys.stdout = sys.stderr = _Printed()

    def answer(verdict):
        beside = f"{out}.part"
        document = {**verdict, "printed": printed.text}
        Path(beside).write_text(json.dumps(document), encoding="utf-8")
        os.replace(beside, out)
        os._exit(0)  # whatever else the file has started

    reader = threading.main_thread().ident

    def late():
        frames = traceback.extract_stack(sys._current_frames()[reader])
        own = [frame for frame in frames if frame.filename == path]
        where = f"  It was at line {own[-1].lineno}: {own[-1].line}" if own else ""
        answer(_stopped(f"it is still running after {seconds:g} seconds; a case has a few dozen "
                        f"steps, so a loop that does not end is likely.{where}"))

    from minirl.exercises import exercise_called  # slow, and none of the reader's seconds
    from minirl.exercises.grading import grade, raised

    clock = threading.Timer(seconds, late)
    clock.daemon = True
    clock.start()
    exercise = exercise_called(name)
    sys.path.insert(0, os.path.dirname(path))
    names = {"__name__": "exercise", "__file__": path}
    try:
        source = source_of(path)
    except ValueError as error:
        answer(_stopped(f"{error}."))
    try:
        exec(compile(source, path, "exec"), names)
    except BaseException as error:
        answer(_stopped(raised(error, path)))
    wanted = exercise.function.__name__
    if not callable(names.get(wanted)):
        answer(_stopped(f"there is no function {wanted} in it."))
    answer(grade(exercise, names[wanted], path)._asdict())


if __name__ == "__main__":
    _main(*sys.argv[1:4], float(sys.argv[4]))
