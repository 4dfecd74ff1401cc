"""`python -m benchmarks.tables FILE`: does `docs/speed.md` say what a file of `--json` says?

Every number is compared with that of the file.  Ratios and peaks of memory may differ by a factor,
and times by its square, since they depend on the machine and on the minute.  What is further off is
listed, and so is a library that is no longer the best.  What the file has not measured is not
judged.  With `--print` the tables are printed as the file has them.

Exit status: 0 up to date or printed, 1 out of date or failed, 2 a wrong argument or a file that
cannot be used.
"""

from minirl.start import by_signal, leave

if __name__ == "__main__":
    by_signal()

import argparse
import json
import re
from pathlib import Path

from benchmarks.works import WORKS, cases
from minirl.console import counted, file_name, finish, number, standard_output
from minirl.files import read_text, shown

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"
FACTOR = 1.3
SPEED = ("work", "the book", "plain loop", "as people use it", "best library", "in two threads",
         "compiled loop")
JOBS = "command", "seconds", "processor", "peak MB"
TIMES = "the book", "seconds", "processor"  # the columns that may differ more
LIBRARIES = {"jax": "JAX", "torch": "PyTorch", "torch_sparse": "PyTorch sparse",
             "gymnasium": "Gymnasium", "stable_baselines3": "Stable-Baselines3",
             "sklearn": "scikit-learn"}
USED = "gymnasium", "stable_baselines3", "sklearn"  # each has one form, that which people use
UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}


def speed_table(rows):
    """The cells of each work, from the rows of the file: a dict of lists of str.

    Examples
    --------
    >>> times = {"plain": 846, "book": 1, "jax": 1.31, "jax_2_threads": 1.1, "torch_idiom": 262}
    >>> table = speed_table([{"work": "W8", "case": "DPO, matrix given", "form": form, "ratio": x,
    ...                       "ns_per_item": 80 * x, "limit": 0.9} for form, x in times.items()])
    >>> table["W8 DPO, matrix given"]
    ['80 ns a pair', '850', 'PyTorch 260', 'JAX 1.3', 'JAX 1.1', '0.90']
    """
    units = {(case.work, case.title): case.unit for case in cases(WORKS)}
    forms, table = {}, {}
    for row in rows:
        forms.setdefault((row["work"], row["case"]), {})[row["form"]] = row
    for case, own in forms.items():
        used, best, in_two = [], [], []  # forms in 64 bits
        for form, row in own.items():
            name = form.removesuffix("_idiom").removesuffix("_2_threads")
            if name in LIBRARIES:
                kind = (in_two if form.endswith("_2_threads") else
                        used if form.endswith("_idiom") or name in USED else best)
                kind.append((row["ratio"], LIBRARIES[name]))
        article = "an" if units[case] == "update" else "a"
        limit = own["book"]["limit"]
        table[" ".join(case)] = [
            f"{in_units(own['book']['ns_per_item'])} {article} {units[case]}",
            short(own["plain"]["ratio"]),
            *(f"{min(kind)[1]} {short(min(kind)[0])}" if kind else ""
              for kind in (used, best, in_two)), "" if limit is None else short(limit)]
    return table


def jobs_table(costs):
    """The cells of each command: a dict of lists of str.

    Examples
    --------
    >>> jobs_table([{"job": "minirl kl", "seconds": 1.234, "processor": 1.2, "peak_mb": 83.8}])
    {'`minirl kl`': ['1.2', '1.2', '84']}
    """
    return {f"`{cost['job']}`": [short(cost[key]) for key in ("seconds", "processor", "peak_mb")]
            for cost in costs}


def short(x):
    """A number with two digits or so that count.

    Examples
    --------
    >>> [short(x) for x in (0.00234, 0.86, 2.04, 46.3, 2181.0)]
    ['0.0023', '0.86', '2.0', '46', '2,200']
    """
    digits = 1 - int(f"{x:e}"[-3:])
    return f"{round(x, digits):,.{max(digits, 0)}f}"


def in_units(ns):
    """A time with its unit.

    Examples
    --------
    >>> in_units(2.51), in_units(16_450.0)
    ('2.5 ns', '16 µs')
    """
    name = max((name for name in UNITS if ns >= UNITS[name]), key=UNITS.get, default="ns")
    return f"{short(ns / UNITS[name])} {name}"


def as_markdown(header, table):
    """A table of the page: str."""
    rows = [header, ["---"] + ["---:"] * (len(header) - 1),
            *([label, *cells] for label, cells in table.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def read_table(header, text):
    """The cells of a table that begins with `header` in a text: a dict as of `speed_table`.

    Examples
    --------
    >>> read_table(("a", "b"), "Here:\\n" + as_markdown(("a", "b"), {"one": ["1"]}) + "\\nText.")
    {'one': ['1']}
    """
    found = re.search(re.escape(f"| {' | '.join(header)} |") + r"\n\|[-:| ]*\|\n((\|.*\|\n?)*)",
                      text)
    rows = ([cell.strip() for cell in line.strip("|").split("|")]
            for line in (found[1] if found else "").splitlines())
    return {label: cells for label, *cells in rows}


def value(cell):
    """What is measured in a cell, and its number, in nanoseconds if there is a unit.

    Examples
    --------
    >>> value("JAX 0.88"), value("1,700"), value("16 µs an update"), value("")
    (('JAX', 0.88), ('', 1700.0), ('', 16000.0), None)
    """
    found = re.fullmatch(rf"(.*?) ?([\d.,]*\d)(?: ({'|'.join(UNITS)}) .*)?", cell)
    return found and (found[1], float(found[2].replace(",", "")) * UNITS.get(found[3], 1))


def out_of_date(header, said, measured, factor=FACTOR):
    """What a table of the page says wrongly: (a line for each cell, how many were compared).

    Examples
    --------
    >>> out_of_date(("work", "plain loop"), {"W5": ["100"]}, {"W5": ["140"]})
    (['W5, plain loop: 100, and now 140'], 1)
    """
    lines, compared = [], 0
    for label, cells in measured.items():
        for column, old, new in zip(header[1:], said.get(label, [""] * len(cells)), cells):
            if new:
                (what, was), (now_what, now) = value(old) or ("", 0.0), value(new)
                room = factor**2 if column in TIMES else factor
                compared += 1
                if what != now_what or not now / room <= was <= now * room:
                    lines.append(f"{label}, {column}: {old or 'nothing'}, and now {new}")
    return lines, compared


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", allow_abbrev=False,
        description="Compare the tables of docs/speed.md with what was measured now.")
    parser.add_argument("file", type=file_name, metavar="FILE",
                        help="what 'python -m benchmarks --json FILE' wrote")
    parser.add_argument("--factor", type=number(1, 1e3), default=FACTOR, metavar="F",
                        help=f"by which ratios and memory may differ ({FACTOR}), and times by F²")
    parser.add_argument("--print", action="store_true", dest="prints",
                        help="print the tables as the file has them instead")
    return parser


def run(arguments):
    """The lines that are out of date, after printing them.  Raises ValueError for a wrong file."""
    text = read_text(arguments.file)
    try:
        document = json.loads(text)
        tables = [(SPEED, speed_table(document.get("works", []))),
                  (JOBS, jobs_table(document.get("jobs", [])))]
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        raise ValueError(f"{shown(arguments.file)} is not what --json of the benchmarks writes"
                         ) from None
    if not any(table for _, table in tables):
        raise ValueError(f"{shown(arguments.file)} has neither works nor jobs")
    if arguments.prints:
        print("\n\n".join(as_markdown(*table) for table in tables if table[1]))
        return []
    text, stale, compared = PAGE.read_text(encoding="utf-8"), [], 0
    for header, measured in tables:
        lines, number_of = out_of_date(header, read_table(header, text), measured, arguments.factor)
        stale, compared = stale + lines, compared + number_of
    print("\n".join([*stale, f"{counted(compared, 'number')} compared, {len(stale)} out of date"]))
    return stale


def main(argv=None):
    """Run the command line and return its exit status, which is that of argparse too."""
    stale = []

    def work():
        arguments = _parser().parse_args(argv)
        with standard_output(errors="replace"):
            stale.extend(run(arguments))

    return finish("benchmarks.tables", work) or int(bool(stale))


if __name__ == "__main__":
    leave(main)
