"""Appendix: what the command lines of this book share: how arguments are read, and how a command
ends.

A command exits with 0 if its work is done, with 2 for an argument or a file that cannot be used,
and with 1 if something else failed.  A user's mistake is one line on standard error, after the
usage if an argument is wrong, and never a traceback.  A program that calls `main` gets the status
back, and its standard output as it was, be that a terminal, a notebook or a text.

Whoever interrupts a command, tells it to terminate or closes its terminal ends it, and leaves no
half-written file and no process behind.  Shells count 128 and the number of the signal: 130, 143 or
129.  A program that calls `main` is ended as well, but for an interrupt, of which it gets the 130.

Colours go to a terminal only, unless it is a dumb one (the variable TERM of the environment) or the
variable NO_COLOR is set.  Arrows and bars become plain letters where an encoding has none.

A command uses one thread for linear algebra, whatever the environment says.  Several threads add up
in another order, so that the last bits differ, and training amplifies them.  Tables as small as
these would gain nothing from them either.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from math import inf

from minirl.start import INTERRUPTED

# What any terminal can show in the place of arrows, dots and the blocks of a bar.
PLAIN = str.maketrans("←↓→↑·█▉▊▋▌▍▎▏", "<v>^.#####   ")


def use_one_thread():
    """Tell the libraries of linear algebra to use one thread.

    They listen when they are loaded, so this comes before NumPy is imported.

    Examples
    --------
    >>> use_one_thread()
    >>> os.environ["OPENBLAS_NUM_THREADS"]
    '1'
    """
    for library in "OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR", "NUMBA":
        os.environ[f"{library}_NUM_THREADS"] = "1"


def integer(least, most=inf, *, multiple=1):
    """A converter of whole numbers from `least` upwards, or to `most`, for argparse.

    Examples
    --------
    >>> integer(1)("20")
    20
    """
    return _within(int, "a whole number", least, most, multiple)


def number(least, most):
    """A converter of numbers from `least` to `most`, for argparse.

    Examples
    --------
    >>> number(0, 1)("0.5")
    0.5
    """
    return _within(float, "a number", least, most)


def _within(kind, name, least, most, multiple=0):
    accepted = f"be at least {least}" if most == inf else f"lie between {least:g} and {most:g}"

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {name}") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must {accepted}, got {text}")
        if multiple and value % multiple:
            raise argparse.ArgumentTypeError(f"must be a multiple of {multiple}, got {text}")
        return value
    return convert


def check_command(parser, word, names):
    """End with an error that names all commands, and the nearest, if a first argument is none.

    Examples
    --------
    >>> check_command(argparse.ArgumentParser(), "values", ["demo", "values"])
    """
    if word not in names and not word.startswith("-"):
        parser.error(f"argument JOB: invalid choice: {word!r}{did_you_mean(word, names)} (choose "
                     f"from {', '.join(names)})")


def did_you_mean(word, names):
    """The nearest of some names, as the end of a sentence that refuses a word: "" if none is near.

    Examples
    --------
    >>> did_you_mean("vallues", ["demo", "values"]), did_you_mean("x", ["demo"])
    (", did you mean 'values'?", '')
    """
    return "".join(f", did you mean {name!r}?" for name in get_close_matches(word, names, 1))


def counted(number, name, form=""):
    """A number of things in words: one of them, or several.

    Examples
    --------
    >>> counted(1, "run"), counted(2000, "step", ",")
    ('1 run', '2,000 steps')
    """
    return f"{number:{form}} {name}" + ("" if number == 1 else "s")


def file_name(text):
    """A converter of file names, for argparse.

    Examples
    --------
    >>> file_name("words.txt")
    'words.txt'
    """
    if not text:
        raise argparse.ArgumentTypeError("the name of a file is expected, got ''")
    return text


def utf8(text):
    """A converter of text for argparse: its letters, whatever the locale made of their bytes.

    Examples
    --------
    >>> utf8("\\udcc3\\udca9")  # two bytes of UTF-8 in a locale that has only ASCII
    'é'
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from None


def progress(line):
    """One line of progress on stderr, overwritten by the next; nothing if it is no terminal.

    Examples
    --------
    >>> progress("fitting")
    """
    if is_terminal(sys.stderr):
        with suppress(OSError):  # of a terminal that is no more
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def note(line):
    """A line on standard error; nothing, and not one on standard output, if that is closed or full.

    Examples
    --------
    >>> note("not for the result")
    """
    if sys.stderr is not None:
        try:
            print(line, file=sys.stderr, flush=True)
        except OSError:
            _give_up(sys.stderr)


def is_terminal(file):
    """Whether a file is a terminal that understands escapes: one that is not dumb.

    Examples
    --------
    >>> is_terminal(None)
    False
    """
    return getattr(file, "isatty", bool)() and os.environ.get("TERM") != "dumb"


def emit(text, paint=str, file=None):
    """Print a text on a file (or standard output), with the colours of `paint` on a terminal.

    Where the encoding of the file lacks a letter of the text, arrows become < v > ^ and bars #.

    Examples
    --------
    >>> emit("→ G █▌", paint=lambda text: f"\\x1b[1m{text}\\x1b[0m")
    → G █▌
    """
    file = sys.stdout if file is None else file
    words = paint(text) if is_terminal(file) and not os.environ.get("NO_COLOR") else text
    try:
        text.encode(getattr(file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        words = "\n".join(map(str.rstrip, words.translate(PLAIN).split("\n")))
    print(words, file=file)


@contextmanager
def standard_output(**how) -> Iterator[None]:
    """Set the encoding of standard output, or what it does with `errors`, for a while.

    What a program that calls us has put in its place may have neither, and stays as it is.

    Examples
    --------
    >>> with standard_output(errors="replace"):
    ...     print("done")
    done
    """
    out, before = sys.stdout, {name: getattr(sys.stdout, name, None) for name in how}
    change = getattr(out, "reconfigure", None)
    if change is None:
        yield
        return
    change(**how)
    try:
        yield
    finally:
        change(**before)


def finish(program, work):
    """Do the work of a command, a function without arguments, and return its exit status.

    The work raises ValueError for what the user can mend; a message begins with the program's name.
    It may read the arguments too: the status of argparse is returned as well.

    Examples
    --------
    >>> finish("example", lambda: print("done"))
    done
    0
    """
    if sys.stdout is None:
        note(f"{program}: standard output is closed")
        return 1
    status, reason = 0, None
    try:
        with _ended_by_signals():
            work()
    except SystemExit as stop:  # of argparse, which has said why, or of a signal
        status = stop.code or 0
    except KeyboardInterrupt:
        status, reason = INTERRUPTED, "interrupted"
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _give_up(sys.stdout)
        status = 1
    except (ValueError, OSError, MemoryError, BrokenProcessPool) as error:
        status, reason = 2 if isinstance(error, ValueError) else 1, str(error) or "out of memory"
        progress("")
    try:
        getattr(sys.stdout, "flush", bool)()
    except OSError as error:
        _give_up(sys.stdout)
        status = status or 1
        if status == 1 and not isinstance(error, BrokenPipeError):
            reason = f"cannot write standard output: {error.strerror}"
    if reason is not None:
        note("\n" * (status == INTERRUPTED) + f"{program}: {reason}")
    return status


@contextmanager
def _ended_by_signals():
    """Let a signal that ends this process first end the work by an exception, so that files are
    tidied up and helpers are told.  What a program that calls us, or nohup, has arranged stays."""
    changed, struck = [], []

    def end(number, _):
        struck.append(number)
        raise SystemExit(128 + number)

    try:
        if threading.current_thread() is threading.main_thread():
            for name in "SIGTERM", "SIGHUP":
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                    changed.append(number)
                    signal.signal(number, end)
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
        for number in struck[:1]:
            signal.raise_signal(number)


def _give_up(file):
    """Send what is left of a stream nowhere, so that nothing is said of it on the way out."""
    with suppress(AttributeError, OSError):  # a text has no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
