"""`python -m benchmarks [NAME …]`: run all benchmarks, or some."""

import argparse

from benchmarks import dpo, ppo

WORKS = {"ppo": ppo, "dpo": dpo}


def main():
    """Run the works named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks",
                                     description="Time the book's forms against plain ones.")
    parser.add_argument("works", nargs="*", metavar="NAME", help=f"one of {', '.join(WORKS)}")
    names = parser.parse_args().works or list(WORKS)
    for name in names:
        if name not in WORKS:
            parser.error(f"NAME must be one of {', '.join(WORKS)}, got {name!r}")
    for name in names:
        WORKS[name].run()


if __name__ == "__main__":
    main()
