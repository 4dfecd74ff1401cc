"""How a command begins and ends: what an interrupt does then, and with which status it leaves."""

import signal

import pytest

from minirl import __version__, start


@pytest.fixture(autouse=True)
def as_before():
    """An interrupt does afterwards what it did, and is an exception in the test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def handler():
    return signal.getsignal(signal.SIGINT)


def test_an_interrupt_ends_the_process_or_is_an_exception_in_turns():
    start.by_signal()
    assert handler() == signal.SIG_DFL
    start.by_exception()
    assert handler() == signal.default_int_handler


@pytest.mark.parametrize("change", [start.by_signal, start.by_exception])
@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda number, frame: None])
def test_what_a_program_has_arranged_for_interrupts_stays(change, own):
    """As nohup does, or a program with a handler of its own."""
    signal.signal(signal.SIGINT, own)
    change()
    assert handler() == own


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_command_leaves_with_its_status_and_an_interrupt_is_an_exception_during_the_work(status):
    start.by_signal()
    seen = []
    with pytest.raises(SystemExit) as stop:
        start.leave(lambda: seen.append(handler()) or status)
    assert stop.value.code == status
    assert [*seen, handler()] == [signal.default_int_handler, signal.SIG_DFL]


def test_an_interrupt_beside_the_work_has_its_status_and_no_traceback():
    def main():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(SystemExit) as stop:
        start.leave(main)
    assert stop.value.code == start.INTERRUPTED and handler() == signal.SIG_DFL


@pytest.mark.parametrize("command, said", [
    ("minirl", f"minirl {__version__}\n"), ("toy_lm", f"toy_lm {__version__}\n")])
def test_an_installed_command_reads_its_arguments_and_leaves(command, said, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [command, "--version"])
    with pytest.raises(SystemExit) as stop:
        getattr(start, f"run_{command}")()
    assert stop.value.code == 0 and capsys.readouterr() == (said, "")
