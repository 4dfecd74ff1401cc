"""Files: written whole or not at all, and read with errors that say where."""

import io
import os
import re
import select
import stat
import sys
import threading

import pytest

from minirl.files import (check_apart, check_writable, make_folder, read_bytes, read_text, shown,
                          split_lines, write_bytes)


# Writing.


def test_a_file_is_written_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "out.json"
    for data in b"first, and longer", b"\xff\x00\r\n", b"":
        write_bytes(str(path), data)
        assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["out.json"]


def fail(error):
    def function(*_):
        raise error
    return function


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["replace", "fsync"])
@pytest.mark.parametrize("there", [True, False])
def test_a_failure_leaves_the_old_file_and_no_stray_one(tmp_path, monkeypatch, name, error, there):
    """Pitfall 44: a file is written beside and renamed."""
    path = tmp_path / "out.json"
    if there:
        path.write_text("old")
    monkeypatch.setattr(os, name, fail(error))
    with pytest.raises(type(error)):
        write_bytes(path, b"new")
    assert os.listdir(tmp_path) == ["out.json"] * there
    assert not there or path.read_text() == "old"


def test_the_whole_file_is_on_disk_beside_the_file_before_it_takes_its_place(tmp_path, monkeypatch):
    path, seen = tmp_path / "out.json", []
    path.write_text("old")

    def watch(name, real):
        def function(*arguments):
            files = {file.read_text() for file in tmp_path.iterdir()}
            seen.append((name, sorted(files)))
            return real(*arguments)
        return function

    monkeypatch.setattr(os, "fsync", watch("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", watch("replace", os.replace))
    write_bytes(path, b"new")
    assert seen == [("fsync", ["new", "old"]), ("replace", ["new", "old"]), ("fsync", ["new"])]


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_followed_and_stays_a_link(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "real.json", tmp_path / "link.json"
    link.symlink_to(os.path.join("far", "real.json"))
    if there:
        target.write_text("old")
    check_writable(link)
    write_bytes(link, b"new")
    assert link.is_symlink() and target.read_text() == "new" and not target.is_symlink()
    assert os.listdir(tmp_path / "far") == ["real.json"]
    assert sorted(os.listdir(tmp_path)) == ["far", "link.json"]


def test_the_new_file_is_renamed_within_the_folder_of_the_old_one(tmp_path, monkeypatch):
    """A link may lead to another disk, and a file cannot be renamed from one disk to another.  Two
    processes do not write beside it in the same place."""
    (tmp_path / "far").mkdir()
    link, renamed, replace = tmp_path / "link.json", [], os.replace
    link.symlink_to(tmp_path / "far" / "real.json")
    monkeypatch.setattr(os, "replace", lambda *paths: renamed.append(paths) or replace(*paths))
    for process in 11, 12:
        monkeypatch.setattr(os, "getpid", lambda: process)
        write_bytes(link, b"new")
    far = os.path.realpath(tmp_path / "far")
    assert [os.path.dirname(path) for paths in renamed for path in paths] == [far] * 4
    assert renamed[0][0] != renamed[1][0]


@pytest.fixture
def pipe(tmp_path):
    """A named pipe with somebody who reads it: (path, file descriptor)."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(pipe, monkeypatch):
    """Although its folder may not, as with /dev/null for everybody but root"""
    path, reader = pipe
    monkeypatch.setattr(os, "access", lambda some, mode: os.fspath(some) != str(path.parent))
    check_writable(path)
    write_bytes(path, b"\xff\r\n")
    assert os.read(reader, 100) == b"\xff\r\n" and stat.S_ISFIFO(path.stat().st_mode)
    assert os.listdir(path.parent) == ["pipe"]


def test_a_file_that_could_be_written_is_let_through_untouched(tmp_path, monkeypatch):
    """A bare name is one in the present folder."""
    monkeypatch.chdir(tmp_path)
    old = tmp_path / "old.json"
    old.write_text("old")
    for path in old, tmp_path / "new.json", "bare.json":
        check_writable(path)
    assert os.listdir(tmp_path) == ["old.json"] and old.read_text() == "old"
    write_bytes("bare.json", b"new")
    assert (tmp_path / "bare.json").read_text() == "new"


@pytest.mark.parametrize("name", ["", "missing/out.json", "file/out.json", "folder", "loop"])
def test_a_file_that_could_not_be_written_is_refused_by_name(tmp_path, name):
    (tmp_path / "file").write_text("a file, not a folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "missing" / "out.json")
    path = os.path.join(tmp_path, name)
    with pytest.raises(ValueError) as found:
        check_writable(path)
    assert str(found.value).startswith(f"cannot write {path}: it must be a file in a folder")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o200])
def test_who_may_read_a_file_stays_as_it_was_and_never_more_may(tmp_path, monkeypatch, mode):
    """Nor while it is being written."""
    path, seen, replace = tmp_path / "out.json", [], os.replace
    path.write_text("old")
    path.chmod(mode)
    monkeypatch.setattr(os, "replace", lambda *paths: seen.append(os.stat(paths[0])) or replace(
        *paths))
    owner = os.stat(path)
    write_bytes(path, b"new")
    after = os.stat(path)
    assert stat.S_IMODE(seen[0].st_mode) == stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (owner.st_uid, owner.st_gid)
    new = tmp_path / "new.json"
    write_bytes(new, b"new")
    (tmp_path / "usual").write_text("")
    assert new.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_reader_that_has_seen_enough_is_no_failure_to_write(tmp_path):
    """It goes when the pipe is full, and before a million bytes are through."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def go():
        select.select([reader], [], [])
        os.close(reader)

    thread = threading.Thread(target=go)
    thread.start()
    with pytest.raises(BrokenPipeError):
        write_bytes(str(path), bytes(10**6))
    thread.join()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_stays_theirs(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    write_bytes(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o555])
@pytest.mark.parametrize("name", ["out.json", "link.json"])
def test_a_read_only_file_is_not_replaced(tmp_path, name, mode):
    """Not even by root, or through a link."""
    (tmp_path / "out.json").write_text("old")
    (tmp_path / "out.json").chmod(mode)
    (tmp_path / "link.json").symlink_to("out.json")
    for function in check_writable, lambda path: write_bytes(path, b"new"):
        with pytest.raises(ValueError, match=f"^cannot write .*{name}: it is read-only$"):
            function(tmp_path / name)
    assert (tmp_path / "out.json").read_text() == "old" and len(os.listdir(tmp_path)) == 2


def test_a_file_that_is_read_is_not_written_however_it_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far").mkdir()
    for name in "w.txt", "-", "other":
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to("w.txt")
    (tmp_path / "far" / "back").symlink_to(os.path.join("..", "link"))
    os.link("w.txt", "twin")
    same = "w.txt", "./w.txt", str(tmp_path / "w.txt"), "far/../w.txt", "link", "far/back", "twin"
    for out in same:
        for read in same:
            with pytest.raises(ValueError, match=f"^cannot write {out}: the same file is read$"):
                check_apart(out, None, "other", read)
    for out, read in (("new", "new"), ("-", "-"), ("-", "w.txt"), ("other", "-"), (None, "w.txt"),
                      (os.devnull, os.devnull), ("other", "w.txt"), ("w.txt", "missing")):
        check_apart(out, read, None)
    with pytest.raises(ValueError, match="the same file is read"):
        check_apart("./-", "./-")


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((str(path), mode)))
    with pytest.raises(ValueError, match="cannot write"):
        check_writable(tmp_path / "out.json")
    with pytest.raises(ValueError, match=re.escape(f"cannot write in the folder {tmp_path}")):
        make_folder(tmp_path)
    assert asked == [(str(tmp_path), os.W_OK)] * 2


# Folders.


def test_a_folder_is_made_with_those_above_it_and_left_alone_if_it_is_there(tmp_path):
    path = tmp_path / "new" / "folder"
    make_folder(path)
    (path / "old").write_text("old")
    make_folder(path)
    assert (path / "old").read_text() == "old"


@pytest.mark.parametrize("name, reason", [
    ("file", "File exists"), ("file/inside", "Not a directory")])
def test_a_folder_that_cannot_be_made_is_refused_by_name_and_reason(tmp_path, name, reason):
    (tmp_path / "file").write_text("a file, not a folder")
    path = tmp_path / name
    with pytest.raises(ValueError, match=re.escape(f"cannot make the folder {path}: {reason}")):
        make_folder(path)


# Reading.


@pytest.mark.parametrize("data, text", [
    (b"", ""), (b"one\r\ntwo\n\n three\r", "one\ntwo\n\n three\n"),
    (b"one\rtwo\r\rthree", "one\ntwo\n\nthree"), (b"one\n\r\r\ntwo", "one\n\n\ntwo"),
    (b"\xef\xbb\xbfone", "one"), (b"\xef\xbb\xbf", ""),
    ("\ufeffone\n\ufefftwo\r\ufeff\ufeffthree\r\n\ufeff".encode(), "one\ntwo\nthree\n"),
    ("\ufeff\ufeffone\ufeff".encode(), "one\ufeff"),
    ("\u00e9\0\U0001d538\u2028".encode(), "\u00e9\0\U0001d538\u2028"),
    (b"\xef\xbb\xbfa\r\n\xff\0", None), (bytes(range(256)) * 300, None)])
def test_a_text_is_read_line_by_line_without_byte_order_marks(tmp_path, data, text):
    """Whatever ends its lines, and bytes as they are"""
    path = tmp_path / "some.txt"
    path.write_bytes(data)
    assert read_bytes(path) == read_bytes(str(path)) == data
    if text is not None:
        assert read_text(path) == read_text(str(path)) == text
        assert b"\n".join(split_lines(data)) == text.encode()


@pytest.mark.parametrize("data, line, byte", [
    (b"\xff\xfe", 1, 0xFF), (b"one\xe9", 1, 0xE9), (b"one\n\xe9\n\xff", 2, 0xE9),
    (b"\r\n\r\n\r\n\x80\r\n", 4, 0x80), (b"a\rb\r\r\n\x80", 4, 0x80), (b"\xc3\rb", 1, 0xC3),
    (b"\n\xed\xa0\x80", 2, 0xED),
    (b"\xef\xbb\xbfa\n\xf0\x9d\x94", 2, 0xF0)])
def test_a_text_that_is_not_utf_8_is_refused_by_line_and_byte(tmp_path, data, line, byte):
    path = tmp_path / "some.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError) as found:
        read_text(path)
    assert str(found.value) == f"{path}, line {line}: not UTF-8 (byte {byte:#04x})"


@pytest.mark.parametrize("name, reason", [
    ("missing", "No such file or directory"), (".", "Is a directory"),
    ("file/inside", "Not a directory"), ("loop", "Too many levels of symbolic links")])
def test_a_file_that_cannot_be_read_is_refused_by_name_and_reason(tmp_path, name, reason):
    (tmp_path / "file").write_text("a file, not a folder")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = os.path.join(tmp_path, name)
    with pytest.raises(ValueError, match=re.escape(f"cannot read {path}: {reason}")):
        read_text(path)


# Standard input and output.


class Standard(io.BytesIO):
    """A stream of text on top of this one, as Python opens it."""

    def text(self):
        return io.TextIOWrapper(self, encoding="ascii")


@pytest.mark.parametrize("data", [b"", b"\xff\x00\r\n\x1a", "\ufeff\u00f6\r\n".encode()])
def test_a_dash_reads_standard_input_byte_for_byte(monkeypatch, tmp_path, data):
    """And no file of that name, which has to be given with its folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(b"the file")
    monkeypatch.setattr(sys, "stdin", Standard(data).text())
    assert read_bytes("-") == data and read_bytes("./-") == b"the file"


def test_messages_name_standard_input(monkeypatch):
    assert (shown("-"), shown("./-"), shown("words")) == ("standard input", "./-", "words")
    monkeypatch.setattr(sys, "stdin", Standard("\ufeffa\u00f6\r\n".encode()).text())
    assert read_text("-") == "a\u00f6\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\u00f6\r\n"))  # of a program that calls us
    assert read_bytes("-") == "a\u00f6\r\n".encode()
    monkeypatch.setattr(sys, "stdin", Standard(b"a\n\xf6").text())
    with pytest.raises(ValueError, match=r"^standard input, line 2: not UTF-8 .byte 0xf6.$"):
        read_text("-")
    broken = Standard(b"")
    broken.read = fail(OSError(5, "Input/output error"))
    for stdin, reason in (broken.text(), "Input/output error"), (None, "it is closed"):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(ValueError, match=f"^cannot read standard input: {reason}"):
            read_text("-")


def test_a_dash_writes_to_standard_output_what_follows_what_was_printed(monkeypatch, tmp_path):
    """At once, and whatever the terminal can show; there is no file, and none is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(sys, "stdout", Standard().text())
    check_writable("-")
    print("first", end="\0")
    write_bytes("-", b"\xff\r\n")
    assert sys.stdout.buffer.getvalue() == b"first\0\xff\r\n"
    print("last", end="", flush=True)
    assert sys.stdout.buffer.getvalue().endswith(b"\nlast") and os.listdir(tmp_path) == []
    text = io.StringIO()  # where a program that calls us has put a text
    monkeypatch.setattr(sys, "stdout", text)
    write_bytes("-", "\u00f6\n".encode())
    assert text.getvalue() == "\u00f6\n"
    with pytest.raises(ValueError, match=r"^standard output takes only text here: name a file$"):
        write_bytes("-", b"PK\x03\xff")
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        write_bytes("-", b"whole")
        assert os.read(reader, 100) == b"whole"
