"""What pages, commands and readers' notes quote: the numbers that each case of an exercise gives,
what is said of its largest entry, and the settings of the experiments in the laboratory.

`python tests/kept.py > tests/kept.json` writes them down, when one of them changes on purpose.
"""

import ast
import inspect
import json
import types
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

from minirl import lab
from minirl.exercises import EXERCISES
from minirl.exercises.exercise import right_results
from minirl.lab.job import Job


def of_exercise(one):
    """Of each case the sum of the sizes of the results, and what is said of an entry."""
    return [[_size(results), _said(one, case, results[-1])]
            for case, results in zip(one.cases(), right_results(one))]


def _size(results):
    results = (np.nan_to_num(np.asarray(x, float), posinf=7, neginf=9) for x in results)
    return float(f"{sum(np.abs(x).sum() for x in results):.9g}")


def _said(one, case, last):
    """What is said of the largest entry of the last result, the gradient of a loss."""
    last = np.nan_to_num(np.asarray(last, float))
    if one.there is None or not last.size:
        return None
    sizes = np.abs(last)
    first = (sizes >= (1 - 1e-9) * sizes.max()).argmax()  # of the largest, whatever the rounding
    return one.there(case, tuple(map(int, np.unravel_index(first, last.shape))))


def modules_of_laboratory():
    """Names; not those that draw."""
    return [path.stem for path in sorted(Path(lab.__file__).parent.glob("[a-z]*.py"))
            if path.stem not in ("figures", "style")]


def of_module(stem):
    """{NAME: value} of the constants of a module, and of the defaults of its records."""
    module = import_module(f"minirl.lab.{stem}")
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = {target.id for node in tree.body for target in getattr(node, "targets", ())
             if isinstance(target, ast.Name)}
    names |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return {name: _plain(value) for name, value in vars(module).items()
            if name in names and not isinstance(value, Job)}


def _plain(value):
    """As JSON has it; a function with what it was made of."""
    if inspect.isclass(value):
        return _plain(getattr(value, "_field_defaults", {}))
    if isinstance(value, partial):
        return [value.func.__name__, _plain(value.args), _plain(value.keywords)]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [value.__name__, *map(_plain, cells)]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [*map(_plain, value)]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.9g}") if np.isfinite(value) else str(value)
    return value if isinstance(value, (bool, int, str, type(None))) else type(value).__name__


def everything():
    """Both, by names."""
    return {"exercises": {one.name: of_exercise(one) for one in EXERCISES},
            "laboratory": {stem: of_module(stem) for stem in modules_of_laboratory()}}


if __name__ == "__main__":
    print(json.dumps(everything(), indent=0, ensure_ascii=False))
