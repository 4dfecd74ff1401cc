"""Grades files as `minirl.exercises.attempt` does, in a fork of this process for each of them, so
that the book is loaded once: a line of standard input is a JSON list of a folder to work in and the
arguments of `attempt`, and a line of standard output is the exit status.
"""

import importlib
import json
import os
import sys

from minirl.exercises.attempt import _main


def grade_in_a_fork(folder, arguments):
    """The exit status of `attempt` in a folder."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.chdir(folder)
        _main(*arguments[:3], float(arguments[3]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    importlib.import_module("minirl.exercises.grading")  # as an attempt does
    for line in sys.stdin:
        print(grade_in_a_fork(*json.loads(line)), flush=True)
