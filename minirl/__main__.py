"""The command line: `python -m minirl`, also installed as `minirl`.

Exit status: 0 done, 1 failed or interrupted, 2 a wrong argument or a file that cannot be used.
"""

import argparse
import os
import sys

from minirl import __version__
from minirl.lab import main_job, report
from toy_lm import corpora


def _parser():
    parser = argparse.ArgumentParser(
        prog="minirl", allow_abbrev=False,
        description="Train the first learners on a gridworld and on a language model, and judge "
                    "each by its distance to the exact optimum.")
    parser.add_argument("--seed", type=_whole(0), default=0, help="of everything random (0)")
    parser.add_argument("--beta", type=_positive, default=0.5,
                        help="price of a nat of KL to the reference, in reward (0.5)")
    parser.add_argument("--pairs", type=_whole(1), default=20_000,
                        help="preferences that rlhf and dpo learn from (20,000)")
    parser.add_argument("--corpus", type=_file, metavar="FILE",
                        help="text to model, UTF-8, one item a line (default: the words in Unicode "
                             "character names)")
    parser.add_argument("--json", type=_file, metavar="FILE",
                        help="write the results there as well")
    parser.add_argument("--quiet", action="store_true", help="print no tables")
    parser.add_argument("--version", action="version", version=f"minirl {__version__}")
    return parser


def _whole(least):
    """A converter of whole numbers from `least` upwards, for argparse."""
    def convert(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value
    return convert


def _file(text):
    """A converter of file names, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a file is expected, got ''")
    return text


def _positive(text):
    """A converter of positive numbers of a sensible size, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 1e-6 <= value <= 1e6:  # beyond that the KL is lost to rounding, or the reward is
        raise argparse.ArgumentTypeError(f"must be positive, from 1e-6 to 1e6, got {text}")
    return value


def _progress(line):
    """One line of progress on stderr, overwritten by the next; nothing if it is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def run(arguments):
    """The main job, with parsed arguments.  Raises ValueError for what the user can mend."""
    if arguments.json is not None:
        report.check_writable(arguments.json)
    items = (corpora.unicode_words() if arguments.corpus is None
             else corpora.read_lines(arguments.corpus))
    # The text first: if its objective has no optimum, that is known at once.
    result = main_job.language_table(items, arguments.seed, arguments.beta, arguments.pairs,
                                     _progress)
    rows = main_job.grid_table(arguments.seed, _progress)
    _progress("")
    if arguments.json is not None:
        report.write_text(arguments.json, report.as_json(rows, result))
    if not arguments.quiet:
        print(report.grid_text(rows), end="\n\n\n")
        print(report.language_text(result, beta=arguments.beta, pairs=arguments.pairs,
                                   file=arguments.corpus))


def main(argv=None):
    """Run the command line and return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    sys.stdout.reconfigure(errors="replace")  # a terminal without arrows prints question marks
    try:
        run(arguments)
        sys.stdout.flush()
    except ValueError as error:
        _progress("")
        print(f"minirl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nminirl: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError) as error:
        _progress("")
        print(f"minirl: {str(error) or 'out of memory'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
