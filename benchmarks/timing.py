"""Timing several forms of one work fairly.

The forms take turns, round by round, so that a slow minute of the machine hits all of them.  Every
round has an order of its own, since a form is faster after one that has just read the same arrays.
Each is reported by its median, with the fastest and slowest round beside it.  A control, a fixed
piece of NumPy arithmetic, takes its turn too: where its extremes are far apart the machine was
busy.

Before any form is timed all of them must agree, on a batch small enough for the plain form.  The
first call on each size is not timed, since it may compile.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

ROUNDS = 7, 15       # normally, and for the larger shapes
PATIENCE = 1.0       # seconds; a form that takes longer is timed once
CONTROL = np.linspace(0.0, 1.0, 100_000)
LIMIT = "numba"      # the peer that stands for the machine's limit
UNLIKELY = 1e-6      # p-value below which samplers disagree


def equal(results, tolerance=1e-10):
    """Raise AssertionError unless all forms returned the same numbers, such as (loss, grad).

    `results` maps the name of a form to what it returned.  Where a form computes in float32, its
    numbers need only agree to 1e-4.

    Examples
    --------
    >>> equal({"book": (1.0, np.zeros(2)), "jax": (np.float32(1.00001), np.zeros(2))})
    """
    ours = _numbers(results["book"])
    for name, result in results.items():
        theirs = _numbers(result)
        single = any(part.dtype == np.float32 for part in theirs)
        assert len(ours) == len(theirs), f"book and {name} return {len(ours)}, {len(theirs)} arrays"
        for one, other in zip(ours, theirs):
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-4 if single else tolerance,
                                       err_msg=f"book and {name} disagree")


def _numbers(result):
    """A number, an array or a tuple of them, of any library, as NumPy arrays."""
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def likely(law, count=np.asarray):
    """An `agree` for samplers: what each form drew must be likely, by a chi-square test.

    Parameters
    ----------
    law : (S, M) float
        The exact probability of each outcome in each state.
    count : callable
        `count(result) -> (S, M)`: how often a form drew each outcome in each state.

    Examples
    --------
    >>> likely(np.array([[0.5, 0.5]]))({"book": np.array([[480, 520]])})
    """
    def agree(results):
        for name, result in results.items():
            counts = count(result)
            assert not counts[law == 0].any(), f"{name} draws what is impossible"
            mean = counts.sum(axis=1, keepdims=True) * law
            common = mean >= 5  # rarer ones are far from normal
            statistic = ((counts - mean)[common]**2 / mean[common]).sum()
            freedom = (1 - law)[common].sum()  # its mean: a count has the variance mean (1 - law)
            p = chi2.sf(statistic, freedom)
            assert p > UNLIKELY, (f"{name} draws from another law: chi-square {statistic:.0f}, "
                                  f"where {freedom:.0f} is the mean; p = {p:.0e}")
    return agree


class Case(NamedTuple):
    """One work at one shape, in all its forms."""

    work: str           # "W5"
    title: str          # distinguishes the cases of one work
    unit: str           # what an item is: "token", "pair", "step", "update"
    prepare: Callable   # prepare(size, peers) -> (forms, items), see `run`
    sizes: tuple        # (small, normal, full)
    agree: Callable = equal


class Row(NamedTuple):
    """One form of one case, timed."""

    work: str
    case: str
    form: str
    ns_per_item: float  # median of the rounds
    low: float
    high: float
    ratio: float        # time / the book's time
    limit: float        # time of numba / time, or None without numba


def run(case, peers=frozenset(), full=False, threads=1):
    """Check that all forms of a case agree, and time them.

    `case.prepare(size, peers)` returns

    - forms, which maps a name to a function without arguments.  There are always "book" and
      "plain".  A peer that is installed and asked for adds its best form under its module's name,
      such as "jax", and the form people use, where it differs, under "jax_idiom";
    - items, how many one call works on: one number, or a dict from the names to numbers.

    All forms are compared on the small size.  There the plain form and the idioms are timed too;
    the others are timed on a larger one.

    Parameters
    ----------
    case : Case
    peers : frozenset of str
        Names of the modules to compare with.
    full : bool
        Whether to take the full size and more rounds.
    threads : int
        How many the peers have.  With more than one only these are timed, beside the book, and
        their names end with the number, as in "jax_2_threads".

    Returns
    -------
    rows : list of Row
        Without the book, if the peers have several threads.
    control : list of float
        Nanoseconds for each entry of the control, round by round.

    Raises
    ------
    AssertionError
        If two forms disagree.
    """
    small, items = case.prepare(case.sizes[0], peers)
    timed = [name for name in small
             if threads == 1 or name == "book" or name.startswith(tuple(peers))]
    if threads > 1 and timed == ["book"]:
        return [], []
    case.agree({name: form() for name, form in small.items()})
    large, more = case.prepare(case.sizes[1 + full], peers)
    forms = {name: small[name] if _is_slow(name) else large[name] for name in timed}
    sizes = {name: _items(items if _is_slow(name) else more, name) for name in forms}
    for name, form in forms.items():
        if not _is_slow(name):
            form()
    forms["control"], sizes["control"] = (lambda: np.exp(CONTROL)), CONTROL.size

    ns, rng = {name: [] for name in forms}, np.random.default_rng(0)
    for _ in range(ROUNDS[full]):
        for name in rng.permutation(list(forms)).tolist():
            if not ns[name] or ns[name][0] * sizes[name] < PATIENCE * 1e9:
                began = perf_counter()
                forms[name]()
                ns[name].append((perf_counter() - began) / sizes[name] * 1e9)

    control = ns.pop("control")
    middle = {name: median(times) for name, times in ns.items()}
    return [Row(case.work, case.title, name + f"_{threads}_threads" * (threads > 1), middle[name],
                min(times), max(times), middle[name] / middle["book"],
                middle[LIMIT] / middle[name] if LIMIT in middle else None)
            for name, times in ns.items() if threads == 1 or name != "book"], control


def limited(row, rows):
    """A row that was timed beside the book elsewhere, with the limit of the book's case.

    Examples
    --------
    >>> book = Row("W5", "PPO", "book", 4.0, 4.0, 4.0, 1.0, 0.5)
    >>> limited(Row("W5", "PPO", "jax_2_threads", 6.0, 6.0, 6.0, 2.0, None), [book]).limit
    0.25
    """
    book, = (own for own in rows if own.form == "book")
    return row if book.limit is None else row._replace(limit=book.limit / row.ratio)


def _is_slow(name):
    return name == "plain" or name.endswith("_idiom")


def _items(items, name):
    return items[name] if isinstance(items, dict) else items


def table(rows, control):
    """All rows as a text, the control last.

    Examples
    --------
    >>> print(table([Row("W5", "PPO", "book", 2.0, 1.0, 4.0, 1.0, 0.5)], [1.0, 3.0]))
    work  case     form      ns per item       min       max   time / book   of limit
    W5    PPO      book             2.00      1.00      4.00          1.00       0.50
          control                   2.00      1.00      3.00             -          -
    """
    title = max(len(text) for text in ["control", *(row.case for row in rows)])
    form = max(len(text) for text in ["form  ", *(row.form for row in rows)])
    lines = [f"{'work':<6}{'case':<{title}}  {'form':<{form}}{'ns per item':>15}{'min':>10}"
             f"{'max':>10}{'time / book':>14}{'of limit':>11}"]
    shown = None
    for row in rows:
        work, case = ("", "") if (row.work, row.case) == shown else (row.work, row.case)
        shown = row.work, row.case
        limit = "-" if row.limit is None else f"{row.limit:.2f}"
        lines.append(f"{work:<6}{case:<{title}}  {row.form:<{form}}"
                     + "".join(f"{_short(ns):>{width}}" for ns, width in
                               ((row.ns_per_item, 15), (row.low, 10), (row.high, 10)))
                     + f"{_short(row.ratio):>14}{limit:>11}")
    lines.append(f"{'':<6}{'control':<{title}}  {'':<{form}}"
                 + "".join(f"{_short(ns):>{width}}" for ns, width in
                           ((median(control), 15), (min(control), 10), (max(control), 10)))
                 + f"{'-':>14}{'-':>11}")
    return "\n".join(lines)


def _short(number):
    """Three digits or so, in millions where there are many.

    Examples
    --------
    >>> _short(1.234), _short(12.34), _short(12340.0), _short(1.234e9)
    ('1.23', '12.3', '12,340', '1,234M')
    """
    if number >= 1e6:
        return f"{_short(number / 1e6)}M"
    return f"{number:,.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"
