"""Appendix: what the command lines of this book share: how arguments are read, and how a command
ends.

A command exits with 0 if its work is done, with 2 for an argument or a file that cannot be used,
and with 1 if something else failed or it was interrupted.  A user's mistake is one line on standard
error, after the usage if an argument is wrong, and never a traceback.
"""

import argparse
import os
import sys
from concurrent.futures.process import BrokenProcessPool


def whole(least, most=None):
    """A converter of whole numbers from `least` upwards, or to `most`, for argparse.

    Examples
    --------
    >>> whole(1)("20")
    20
    """
    def convert(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, got {text}")
        return value
    return convert


def number(least, most):
    """A converter of numbers from `least` to `most`, for argparse.

    Examples
    --------
    >>> number(0, 1)("0.5")
    0.5
    """
    def convert(text):
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must lie between {least:g} and {most:g}, got {text}")
        return value
    return convert


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


def progress(line):
    """One line of progress on stderr, overwritten by the next; nothing if it is no terminal.

    Examples
    --------
    >>> progress("fitting")
    """
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def finish(program, work):
    """Do the work of a command, and return its exit status.

    Parameters
    ----------
    program : str
        Its name, with which a message begins.
    work : callable
        Without arguments.  It raises ValueError for what the user can mend.

    Examples
    --------
    >>> finish("example", lambda: print("done"))
    done
    0
    """
    if sys.stdout is None:
        print(f"{program}: standard output is closed", file=sys.stderr)
        return 1
    try:
        work()
        sys.stdout.flush()
    except ValueError as error:
        progress("")
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError, BrokenProcessPool) as error:
        progress("")
        print(f"{program}: {str(error) or 'out of memory'}", file=sys.stderr)
        return 1
    return 0
