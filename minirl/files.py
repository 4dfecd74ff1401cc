"""Appendix: reading and writing files so that nothing is lost and every error can be understood.

A file is written beside its place and renamed when it is whole, so that a crash leaves the old one
or the new one.  Who may read it stays as it was, and a file that is read-only or that is read by
the same command is not replaced.  A text is read as UTF-8, and a bad byte is reported with its
line.  Lines end as on any system, and a byte order mark at the start of one is dropped, since files
may have been joined.  The name `-` stands for standard input where something is read, and for
standard output where it is written.
"""

import os
import re
import sys
from contextlib import suppress
from stat import S_IMODE

STANDARD = "-"
MOST_BYTES, PIECE = 2**30, 2**20


def shown(path):
    """How messages and results name a file to read: str, of characters.

    Examples
    --------
    >>> shown("words.txt"), shown("-")
    ('words.txt', 'standard input')
    """
    if path == STANDARD:
        return "standard input"
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")  # bytes that are no text


def read_bytes(path):
    """The content of a file, or of standard input: bytes.

    What has no end, such as /dev/zero, is refused after 2³⁰ bytes.

    Examples
    --------
    >>> read_bytes(os.devnull)
    b''
    """
    try:
        if path == STANDARD:
            if sys.stdin is None:
                raise ValueError("cannot read standard input: it is closed")
            # A program that calls us may have put a text in its place.
            return _content(getattr(sys.stdin, "buffer", sys.stdin), path)
        with open(path, "rb") as file:
            return _content(file, path)
    except OSError as error:
        raise ValueError(f"cannot read {shown(path)}: {error.strerror}") from None


def _content(file, path):
    """All bytes of an open file, read piece by piece, lest one without an end fill the memory."""
    content = bytearray()
    while len(content) <= MOST_BYTES:
        piece = file.read(PIECE)
        content += piece if isinstance(piece, bytes) else piece.encode("utf-8")
        if len(piece) < PIECE:
            return bytes(content)
    raise ValueError(f"cannot read {shown(path)}: it has more than {MOST_BYTES:,} bytes")


def read_text(path):
    """The text of a UTF-8 file, whose lines end with one line feed: str.

    A bad byte is refused with its line.

    Examples
    --------
    >>> read_text("no such file")
    Traceback (most recent call last):
    ValueError: cannot read no such file: No such file or directory
    """
    lines = []
    for number, line in enumerate(split_lines(read_bytes(path)), start=1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{shown(path)}, line {number}: not UTF-8 (byte "
                             f"{line[error.start]:#04x})") from None
    return "\n".join(lines)


def split_lines(data):
    """The lines of a UTF-8 file, each as bytes, without what ends them and byte order marks.

    Examples
    --------
    >>> split_lines(b"one\\r\\ntwo\\rthree\\n")
    [b'one', b'two', b'three', b'']
    """
    return [re.sub(b"^(\xef\xbb\xbf)+", b"", line) for line in re.split(b"\r\n?|\n", data)]


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
    try:
        folder = os.path.dirname(os.path.realpath(path))
    except OSError as error:  # a working directory that is no more
        raise ValueError(f"cannot write {path}: {error.strerror}") from None
    if os.path.isdir(path) or not (
            _is_device(path) or os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise ValueError(f"cannot write {path}: it must be a file in a folder that exists and may "
                         f"be written to")
    # Who is root may write to every file, but not without having been asked to.
    if os.path.isfile(path) and not (os.access(path, os.W_OK) and os.stat(path).st_mode & 0o222):
        raise ValueError(f"cannot write {path}: it is read-only")


def check_apart(out, *read):
    """Raise ValueError if the file `out` is one of those that are read, however it is spelled.

    A name that is None is none.

    Examples
    --------
    >>> check_apart("model.npz", "words.txt", "-", None)
    """
    for path in read:
        if (out is not None and path is not None and STANDARD not in (out, path)
                and os.path.isfile(out) and os.path.exists(path) and os.path.samefile(out, path)):
            raise ValueError(f"cannot write {out}: the same file is read")


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

    Standard output and devices have no beside, and are written to directly.  A file that is there
    keeps its mode and its owner, and is refused if it is read-only.

    Examples
    --------
    >>> write_bytes(os.devnull, b"into the void")
    """
    if path == STANDARD:
        _print_bytes(data)
        return
    check_writable(path)
    try:
        if _is_device(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            _replace(os.path.realpath(path), data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def _replace(target, data):
    beside = f"{target}.{os.getpid()}.part"
    old = os.stat(target) if os.path.exists(target) else None
    mode = 0o666 if old is None else S_IMODE(old.st_mode)
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if old is not None:
                with suppress(OSError, AttributeError):  # of another owner; Windows has none
                    os.chown(beside, old.st_uid, old.st_gid)
                os.chmod(beside, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        if os.path.exists(beside):
            os.remove(beside)
    _sync_folder(os.path.dirname(target))


def _sync_folder(path):
    """See to it that the new name of a file is on the disk too, where a system can be told so."""
    with suppress(OSError):  # Windows opens no folder
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _print_bytes(data):
    """Write to standard output, which a program that calls us may have replaced by a text."""
    getattr(sys.stdout, "flush", bool)()  # what was printed before comes first
    out = getattr(sys.stdout, "buffer", None)
    if out is None:
        try:
            sys.stdout.write(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise ValueError("standard output takes only text here: name a file") from None
    else:
        out.write(data)
        out.flush()
