"""The command `minirl exercise`: write a file, grade it, give a hint, show the book's own body."""

import os
import textwrap
import time

from minirl.console import counted, integer
from minirl.exercises import EXERCISES, exercise_called, mistakes_by_name
from minirl.exercises.attempt import verdict_on
from minirl.exercises.breaking import break_the_book
from minirl.exercises.cutting import call_of, file_of, solution_of
from minirl.exercises.exercise import capital
from minirl.exercises.progress import FILE, noted, read_progress, write_progress
from minirl.exercises.quiz import ask
from minirl.files import write_bytes

ABOUT = ("Exercises that the gradient checks grade: a function of the book without its body, in a "
         "file of your own.  Without a name they are listed.")
ALL = "*"  # `--break` without a name


def add_exercise_arguments(parser):
    """The arguments of `minirl exercise`."""
    parser.add_argument("name", nargs="?", metavar="NAME",
                        help="an exercise; alone, NAME_exercise.py is written for you to fill in")
    what = parser.add_mutually_exclusive_group()
    for flag, about in {
            "check": "grade the file: exit status 0 right, 1 wrong, 2 no file",
            "watch": "grade it whenever it is saved, until it is right",
            "hint": "give one more hint", "solution": "show the book's own body",
            "quiz": "three questions of its chapter: predict, then run",
            "force": "write the file even if there is one"}.items():
        what.add_argument(f"--{flag}", action="store_true", help=about)
    what.add_argument("--case", type=integer(1), metavar="N",
                      help="show a case of the check, to try by oneself")
    what.add_argument("--break", dest="mistake", nargs="?", const=ALL, metavar="MISTAKE",
                      help="put a famous mistake into the book and show the test that catches it; "
                           "without a name, list the mistakes")


def exercise(arguments):
    """Do what the arguments ask for: the exit status.  ValueError for what the user can mend."""
    if arguments.mistake is not None:
        return _break(arguments)
    if arguments.name is None:
        asked = [flag for flag in ("check", "watch", "hint", "solution", "quiz", "case", "force")
                 if getattr(arguments, flag)]
        if asked:
            raise ValueError(f"--{asked[0]} needs the name of an exercise")
        print(listing(read_progress()))
        return 0
    chosen = exercise_called(arguments.name)
    path = os.path.join(_here(), f"{chosen.name}_exercise.py")
    if arguments.quiz:
        ask(chosen.chapter)
        return 0
    if arguments.check:
        return _check(chosen, path)
    if arguments.watch:
        return _watch(chosen, path)
    if arguments.hint:
        return _hint(chosen)
    if arguments.case:
        number = len(chosen.cases())
        if arguments.case > number:
            raise ValueError(f"--case must be at most {number}, got {arguments.case}")
        print(call_of(chosen, arguments.case - 1))
        return 0
    if arguments.solution:
        print(solution_of(chosen))
        _note(chosen, shown=True)
        return 0
    return _write(chosen, path, arguments.force)


def _here():
    try:
        return os.getcwd()
    except OSError as error:
        raise ValueError(f"the folder of your files cannot be found: {error.strerror}") from None


def listing(known):
    """All exercises in reading order, and what is solved: str."""
    lines, chapters = [], {}
    for one in EXERCISES:
        chapters.setdefault(one.chapter, []).append(one.name)
    for chapter, names in chapters.items():
        marked = [("[x] " if known.get(name, {}).get("solved") else "[ ] ") + name
                  for name in names]
        shown = textwrap.wrap("  ".join(mark.replace(" ", "\0") for mark in marked), 64,
                              break_on_hyphens=False)
        for at, line in enumerate(shown):
            lines.append(f"{chapter if at == 0 else '':22}  {line}".replace("\0", " "))
    solved = sum(one.get("solved", False) for one in known.values())
    return "\n".join([*lines, "", f"{solved} of {len(EXERCISES)} solved.  Begin one by its name: "
                                  f"minirl exercise {EXERCISES[0].name}"])


def _write(chosen, path, force):
    name = os.path.basename(path)
    if os.path.exists(path) and not force:
        raise ValueError(f"{name} is already there, and is kept; --force writes a new one")
    write_bytes(path, file_of(chosen).encode())
    print(textwrap.fill(f"{name}: {chosen.task}", 88))
    print(f"Then: minirl exercise {chosen.name} --check.  "
          f"Stuck: --hint ({len(chosen.hints)}).")
    return 0


def _check(chosen, path):
    if not os.path.exists(path):
        raise ValueError(f"there is no {os.path.basename(path)} here: 'minirl exercise "
                         f"{chosen.name}' writes it")
    known = read_progress()  # before the work: a corrupt one is refused
    verdict = verdict_on(chosen.name, path)
    width = max(len(head) for head, _ in verdict["lines"])
    for head, text in verdict["lines"]:
        text, *shown = text.split("\n")
        print(textwrap.fill(f"{head:{width}}  {text}", 88, subsequent_indent=" " * (width + 2)))
        for line in shown:
            print(" " * (width + 2) + line)
    if verdict["printed"]:
        said = verdict["printed"].strip().split("\n")
        lines = [f"  {textwrap.shorten(line, 86, placeholder=' …')}" for line in said[:5]]
        print("\n".join(["It printed", *lines, *["  …"] * (len(said) > 5)]))
    mine = known.get(chosen.name, {})
    _note(chosen, known, checks=mine.get("checks", 0) + 1,
          solved=verdict["right"] or mine.get("solved", False))
    if verdict["right"]:
        at = EXERCISES.index(chosen)
        after = EXERCISES[at + 1:at + 2]
        print("The book's own: --solution." + "".join(f"  Next: minirl exercise {one.name}"
                                                       for one in after))
    return 0 if verdict["right"] else 1


def _watch(chosen, path):
    """Grade now and whenever the file has been saved."""
    print(f"Watching {os.path.basename(path)}; Ctrl-C ends.", flush=True)
    before = _saved(path)
    status = _check(chosen, path)
    try:
        while status:
            time.sleep(0.2)
            if _saved(path) not in (before, None):
                before = _saved(path)
                print(f"\n{time.strftime('%H:%M:%S')}", flush=True)
                status = _check(chosen, path)
    except KeyboardInterrupt:
        print()
    return status


def _saved(path):
    """When and how large a file was saved; None while an editor replaces it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _hint(chosen):
    known = read_progress()
    given, number = known.get(chosen.name, {}).get("hints", 0), len(chosen.hints)
    if given >= number:
        print(f"These are all; minirl exercise {chosen.name} --solution shows the book's own.")
    for at in range(number) if given >= number else [given]:
        print(textwrap.fill(f"Hint {at + 1} of {number}: {chosen.hints[at]}", 88,
                            subsequent_indent="  "))
    _note(chosen, known, hints=min(given + 1, number))
    return 0


def _note(chosen, known=None, **news):
    """Keep the news beside the exercises, or say that they cannot be kept."""
    known = read_progress() if known is None else known
    try:
        write_progress(noted(known, chosen.name, **news))
    except (ValueError, OSError) as error:
        print(f"({FILE} is not updated: {error})")


def _break(arguments):
    if arguments.mistake in {one.name for one in EXERCISES}:
        arguments.name, arguments.mistake = arguments.mistake, ALL
    if arguments.mistake != ALL:
        break_the_book(arguments.mistake)
        return 0
    if arguments.name is None:
        for one in EXERCISES:
            print(textwrap.fill(f"{one.name}:  {' '.join(what.name for what in one.mistakes)}", 88,
                                subsequent_indent="    "))
        first, count = EXERCISES[0], len(mistakes_by_name())
        print(f"\n{counted(count, 'mistake')} in {counted(len(EXERCISES), 'exercise')}.  What they "
              f"say: minirl exercise {first.name} --break")
    else:
        first = exercise_called(arguments.name)
        for mistake in first.mistakes:
            print(textwrap.fill(f"{first.name}.{mistake.name}: {capital(mistake.says)}", 88,
                                subsequent_indent="    "))
        print()
    print(f"Break the book by one: minirl exercise --break {first.name}.{first.mistakes[0].name}")
    return 0
