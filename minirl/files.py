"""Appendix: reading and writing files so that nothing is lost and every error can be understood.

A file is written beside its place and renamed when it is whole, so that a crash leaves the old one
or the new one.  A text is read as UTF-8, and a bad byte is reported with its line.  The name `-`
stands for standard input where something is read, and for standard output where it is written.
"""

import os
import sys

STANDARD = "-"


def shown(path):
    """How messages name a file to read: str.

    Examples
    --------
    >>> shown("words.txt"), shown("-")
    ('words.txt', 'standard input')
    """
    return "standard input" if path == STANDARD else str(path)


def read_bytes(path):
    """The content of a file, or of standard input: bytes.

    Examples
    --------
    >>> read_bytes(os.devnull)
    b''
    """
    try:
        if path == STANDARD:
            if sys.stdin is None:
                raise ValueError("cannot read standard input: it is closed")
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"cannot read {shown(path)}: {error.strerror}") from None


def read_text(path):
    """The text of a UTF-8 file, without a byte order mark: str.

    A bad byte is refused with its line.

    Examples
    --------
    >>> read_text("no such file")
    Traceback (most recent call last):
    ValueError: cannot read no such file: No such file or directory
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ValueError(f"{shown(path)}, line {line}: not UTF-8 (byte {byte:#04x})") from None


def _is_device(path):
    """Whether `path` is something other than a file: a terminal, a pipe, /dev/null."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def check_writable(path):
    """Raise ValueError unless a file can be written at `path`, before the work starts.

    Examples
    --------
    >>> check_writable(os.devnull)
    """
    if path == STANDARD:
        return
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path) or not (
            _is_device(path) or os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise ValueError(f"cannot write {path}: it must be a file in a folder that exists and may "
                         f"be written to")


def make_folder(path):
    """Make a folder, unless it is there, and raise ValueError if files cannot be written in it.

    Examples
    --------
    >>> make_folder(os.curdir)
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {path}: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise ValueError(f"cannot write in the folder {path}")


def write_bytes(path, data):
    """Write a file beside and rename it, so that a crash leaves the old one or the new one.

    Standard output and devices have no beside, and are written to directly.

    Examples
    --------
    >>> write_bytes(os.devnull, b"into the void")
    """
    if path == STANDARD:
        sys.stdout.flush()  # what was printed before comes first
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if _is_device(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    target = os.path.realpath(path)
    beside = f"{target}.{os.getpid()}.part"
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        if os.path.exists(beside):
            os.remove(beside)
