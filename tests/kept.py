"""What pages, commands and readers' notes quote: the numbers that each case of an exercise gives,
what is said of its entries, the settings of the experiments in the laboratory, and what their small
runs find, say and draw.

`python tests/kept.py > tests/kept.json` writes them down, when one of them changes on purpose.
"""

import ast
import inspect
import json
import re
import types
from collections import Counter
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

from minirl import lab
from minirl.exercises import EXERCISES
from minirl.exercises.exercise import right_results
from minirl.lab.job import Job, as_json

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


def of_exercise(one):
    """Of each case the sum of the sizes of the results, what is said of an entry, and the numbers
    and the words in what is said of all entries."""
    return [[_size(results), _said(one, case, results[-1]), *_said_of_all(one, at, results[-1])]
            for at, (case, results) in enumerate(zip(one.cases(), right_results(one)))]


def facts_of_exercise(one):
    """Its chapter, whether its gradient is taken in logits, the numbers of its smallest case, the
    factors that it names on each case, and the pitfalls of its mistakes."""
    names = {}
    exec(one.imports, names)
    names[one.function.__name__] = one.function
    return {"by_hand": _numbers(_plain(eval(one.by_hand, names))), "chapter": one.chapter,
            "through_softmax": one.through_softmax,
            "factors": [{name: float(f"{value:.9g}") for name, value in case.factors.items()}
                        for case in one.cases()],
            "pitfalls": {mistake.name: mistake.pitfall for mistake in one.mistakes
                         if mistake.pitfall}}


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


def _said_of_all(one, at, last):
    """Of all numbers, one added to each so that signs count, the sum of the sizes; and how often
    each phrase is said."""
    if one.there is None:
        return None, None
    case = one.cases()[at]
    said = "\n".join(one.there(one.cases()[at] if one.changes else case, place)
                     for place in np.ndindex(np.shape(last)))
    numbers = sum(abs(float(number) + 1) for number in re.findall(NUMBER, said))
    return float(f"{numbers:.9g}"), Counter(re.findall(r"[^\W\d]+(?: [^\W\d]+)*", said))


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


def of_document(document):
    """{field: how many numbers it holds, their sum, and their sum weighted by place}"""
    plain = json.loads(as_json(document))
    return {field: _sums(_numbers(value)) for field, value in plain.items()}


def _numbers(value):
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        return [number for part in value for number in _numbers(part)]
    return [float(value)] if isinstance(value, (bool, int, float)) else []


def _sums(numbers):
    x = np.nan_to_num(np.ma.filled(np.ma.asarray(numbers, float), 3).ravel(), nan=5, posinf=7,
                      neginf=9)
    x[abs(x) < 1e-12] = 0  # rounding
    return [float(f"{number:.9g}") for number in (x.size, x.sum(), x @ np.arange(1, x.size + 1))]


def of_figure(figure):
    """All that is on a figure: [kind, words, how it looks, its numbers] of each part."""
    found = [["figure", figure.get_suptitle(), figure.get_supxlabel(), [*figure.get_size_inches()]]]
    for axes in figure.axes:
        box = axes.get_position()
        found.append(["panel", f"{axes.get_title()} {axes.get_xlabel()} {axes.get_ylabel()}",
                      f"{axes.get_xscale()} {axes.get_yscale()}",
                      [*axes.get_xlim(), *axes.get_ylim(), *box.bounds]])
        for axis in axes.xaxis, axes.yaxis:
            words = [label.get_text() for label in axis.get_ticklabels()]
            found.append(["ticks", " ".join(words), "", _sums(axis.get_ticklocs())])
        for line in axes.lines:
            looks = [line.get_color(), line.get_linestyle(), line.get_marker(),
                     line.get_linewidth(), line.get_markersize(), line.get_zorder()]
            found.append(["line", "", " ".join(map(str, looks)), _sums(line.get_xydata())])
        for text in axes.texts:
            found.append(["text", text.get_text(), f"{text.get_color()} {text.get_ha()} "
                          f"{text.get_va()} {text.get_fontsize()}", _sums(
                              [*text.get_position(), *getattr(text, "xy", ())])])
        for marks in axes.collections:
            numbers = [marks.get_offsets(), marks.get_facecolor(), marks.get_edgecolor(),
                       *(path.vertices for path in marks.get_paths())]
            found.append(["marks", "", type(marks).__name__,
                          _sums([number for part in numbers for number in np.ma.filled(
                              part, 3).ravel().tolist()])])
        for patch in axes.patches:
            found.append(["patch", "", f"{patch.get_facecolor()} {patch.get_hatch()}",
                          _sums(patch.get_path().vertices)])
        for image in axes.images:
            found.append(["image", "", image.get_cmap().name,
                          [*_sums(image.get_array()), *image.get_clim()]])
    return json.loads(json.dumps([[kind, words, str(look), [*map(_plain, map(float, numbers))]]
                                  for kind, words, look, numbers in found]))


def of_jobs():
    """What each job finds, says and draws in its small run."""
    import test_jobs as small

    from minirl.lab import figures
    kept = {}
    for name, job in small.EVERY.items():
        found = small.found(name)[0]
        with figures.rc_context(figures.STYLE):
            drawn = job.draw(figures, found)
        kept[name] = {"document": of_document(job.document(found)),
                      "text": job.text(found).splitlines(),
                      "figures": {file: of_figure(figure) for file, figure in drawn.items()}}
    return kept


def everything():
    """All of it, by names."""
    return {"exercises": {one.name: of_exercise(one) for one in EXERCISES},
            "facts": {one.name: facts_of_exercise(one) for one in EXERCISES},
            "laboratory": {stem: of_module(stem) for stem in modules_of_laboratory()},
            "jobs": of_jobs()}


if __name__ == "__main__":
    print(re.sub(r"\[\n([^][{}]*)\n\]", lambda row: "[" + row[1].replace("\n", " ") + "]",
                 json.dumps(everything(), indent=0, ensure_ascii=False)))
