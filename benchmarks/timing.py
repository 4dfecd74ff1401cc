"""Timing several forms of one work fairly.

The forms take turns, round by round, so that a slow minute of the machine hits all of them.  Each
is reported by its median, with the fastest and slowest round beside it.  A control, a fixed piece
of NumPy arithmetic, takes its turn too: where its extremes are far apart the machine was busy.
"""

from statistics import median
from time import perf_counter

import numpy as np

ROUNDS = 7
CONTROL = np.linspace(0.0, 1.0, 100_000)


def assert_equal(results):
    """Raise AssertionError unless all forms returned the same loss and gradient, to 1e-10.

    `results` maps the name of a form to its (loss, grad).
    """
    names = list(results)
    for name in names[1:]:
        for ours, theirs in zip(results[names[0]], results[name]):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10,
                                       err_msg=f"{names[0]} and {name} disagree")


def compare(work, forms, items, unit):
    """Check that all `forms` agree, time them, and print a table.

    Parameters
    ----------
    work : str
        What is done, for the heading.
    forms : dict
        Name to a function without arguments that returns (loss, grad).  One is named "book".
    items : int
        How many items one call works on.
    unit : str
        What an item is.

    Returns
    -------
    dict
        Name of the form to its median ns per item.
    """
    assert_equal({name: form() for name, form in forms.items()})
    turns = {**forms, "control": lambda: np.exp(CONTROL)}
    seconds = {name: [] for name in turns}
    for _ in range(ROUNDS):
        for name, form in turns.items():
            began = perf_counter()
            form()
            seconds[name].append(perf_counter() - began)

    sizes = {name: items for name in forms} | {"control": CONTROL.size}
    ns = {name: median(times) / sizes[name] * 1e9 for name, times in seconds.items()}
    print(f"{work}: {items:,} {unit}s, all forms equal to 1e-10, {ROUNDS} interleaved rounds")
    print(f"  {'form':<10}{f'ns per {unit}':>14}{'min':>12}{'max':>12}{'time / book':>14}")
    for name, times in seconds.items():
        low, high = (extreme(times) / sizes[name] * 1e9 for extreme in (min, max))
        ratio = f"{ns[name] / ns['book']:.1f}" if name in forms else "-"
        print(f"  {name:<10}{ns[name]:>14.1f}{low:>12.1f}{high:>12.1f}{ratio:>14}")
    print()
    return ns
