"""Appendix: how a command begins and ends as a process.

To load NumPy and the book takes half a second.  Whoever presses Ctrl-C in it wants the command to
stop, and no traceback of an import.  So as long as there is nothing to tidy up, before the work and
after it, an interrupt simply ends the process.  During the work it is an exception
(`console.finish`).  A program that imports a command and calls `main` is left as it is.
"""

import signal
import sys
from importlib import import_module

INTERRUPTED = 128 + signal.SIGINT  # as shells count: what an interrupt ends


def by_signal():
    """From now on an interrupt ends this process without a word."""
    _on_interrupt(signal.default_int_handler, signal.SIG_DFL)


def by_exception():
    """From now on an interrupt is a KeyboardInterrupt."""
    _on_interrupt(signal.SIG_DFL, signal.default_int_handler)


def _on_interrupt(before, after):
    """Change what an interrupt does; who has told this process to ignore it is obeyed."""
    if signal.getsignal(signal.SIGINT) == before:
        signal.signal(signal.SIGINT, after)


def leave(main):
    """Do all that a command does, and end the process with its status."""
    try:
        by_exception()
        status = main()
        by_signal()
    except KeyboardInterrupt:  # beside the work, or once more
        by_signal()
        status = INTERRUPTED
    sys.exit(status)


def run_minirl():
    """The installed command `minirl`."""
    by_signal()
    leave(import_module("minirl.__main__").main)


def run_toy_lm():
    """The installed command `toy_lm`."""
    by_signal()
    leave(import_module("toy_lm.__main__").main)
