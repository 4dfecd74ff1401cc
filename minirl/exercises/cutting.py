"""The file of an exercise, cut from the book's own source: it cannot drift away from it."""

import ast
import inspect
import re
import sys
import textwrap
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

import minirl
from minirl.exercises.exercise import capital, joined

ROOT, PARTS = Path(minirl.__file__).parent, ("kernel", "exact", "play", "people", "beyond")


def file_of(exercise):
    """The text of the file that the reader fills in: str."""
    about = textwrap.fill(f"Exercise `{exercise.name}`. {exercise.task}", 96,
                          break_on_hyphens=False)
    chapter, module = f"minirl.{exercise.chapter}", exercise.function.__module__
    form = "" if module == chapter else f"Form   that of {module}, in which the book has it\n"
    return (f'"""{about}\n\nRead   python -m pydoc {chapter}: the text, without the bodies\n{form}'
            f"Check  minirl exercise {exercise.name} --check\n"
            f'Stuck  minirl exercise {exercise.name} --hint\n"""\n\n{exercise.imports}\n\n\n'
            f"{_signature(exercise)}\n{_docstring(exercise)}\n    raise NotImplementedError\n")


def call_of(exercise, number):
    """A case as the reader's function gets it, as near to Python as its arguments allow: str."""
    case = exercise.cases()[number]
    names = list(inspect.signature(exercise.function).parameters)
    values = [*zip(names, case.arguments), *case.keywords.items()]
    given = [name if at < len(case.arguments) else f"{name}={name}"
             for at, (name, _) in enumerate(values)]
    with np.printoptions(threshold=sys.maxsize, linewidth=88, suppress=True):
        lines = [f"{name} = {_as_python(value)}" for name, value in values]
    return "\n".join([*lines, f"{exercise.function.__name__}({', '.join(given)})"])


def _as_python(value):
    if hasattr(value, "toarray"):
        return f"csr_array({value.toarray()!r})"
    if hasattr(value, "_fields"):  # a record
        inside = ", ".join(f"{name}={_as_python(x)}" for name, x in zip(value._fields, value))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, partial):
        inside = "".join(f", {name}={_as_python(x)}" for name, x in value.keywords.items())
        return f"partial({_as_python(value.func)}{inside})"
    if isinstance(value, (tuple, list)):
        inside = "".join(f"{_as_python(x)}, " for x in value)
        return f"[{inside[:-2]}]" if isinstance(value, list) else f"({inside})"
    return getattr(value, "__name__", None) or repr(value)


def solution_of(exercise):
    """The book's own body, then those of the functions it calls that say what happens: str."""
    bodies = [_body(exercise.function), *map(_body, exercise.helpers)]
    return "\n\n\n".join(bodies)


def _body(function):
    """A function without its docstring and without the record it returns, unknown in the file."""
    source = textwrap.dedent(inspect.getsource(function))
    source = re.sub(r"(?<=\)) -> [^\n]+(?=:$)", "", source, count=1, flags=re.M)
    node = ast.parse(source).body[0]
    lines, first = source.rstrip().split("\n"), node.body[0]
    if ast.get_docstring(node) is not None:
        del lines[first.lineno - 1:first.end_lineno]
    return "\n".join(lines)


def _signature(exercise):
    node = ast.parse(textwrap.dedent(inspect.getsource(exercise.function))).body[0]
    kept = [(name, default) for name, default in zip(node.args.kwonlyargs, node.args.kw_defaults)
            if name.arg not in exercise.without]
    node.args.kwonlyargs = [name for name, _ in kept]
    node.args.kw_defaults = [default for _, default in kept]
    kept = len(node.args.args) - len(node.args.defaults)
    for at in reversed(range(kept, len(node.args.args))):  # what has a default may be left out too
        if node.args.args[at].arg in exercise.without:
            del node.args.args[at], node.args.defaults[at - kept]
    head = f"def {node.name}({ast.unparse(node.args)}):"
    return "\n".join(textwrap.wrap(head, 96, subsequent_indent=" " * head.index("(") + " "))


def _docstring(exercise):
    """That of the book, with the equations of the chapter, without the derivative."""
    text = inspect.getdoc(exercise.function)
    if exercise.without:
        name = "|".join(exercise.without)
        text = re.sub(rf"^(?:{name})(?:, (?:{name}))* : .*\n(?:    .*\n?|\n(?=    ))*", "", text,
                      flags=re.M)
    first, _, rest = text.partition("\n\n")
    first = _without_derivative(first) or textwrap.fill(exercise.task, 90, break_on_hyphens=False)
    if exercise.equations and any(f"`{name}`" in first for name in exercise.without):
        first = f"{capital(joined(exercise.results))} of ({exercise.equations[0]})."
    shown = [display(tag) for tag in exercise.equations]
    body, mark, example = rest.partition("Examples\n--------")
    paragraphs = [_without_derivative(part) for part in body.split("\n\n")]
    body = "\n\n".join(part for part in paragraphs if part.strip())
    rest = f"{body}\n\n{mark}{example}" if mark else body
    text = "\n\n".join(part for part in [first, *shown, rest.strip("\n")] if part)
    end = "\n" * ("\n" in text)
    return textwrap.indent(f'"""{text}{end}"""', "    ", lambda line: line.strip() != "")


def _without_derivative(paragraph):
    """A paragraph without the sentences that give G = ∂L/∂log π away."""
    if not re.search(r"\bG (?:=|is)\s", paragraph):
        return paragraph
    sentences = re.split(r"(?<=[.])\s+", paragraph)
    kept = " ".join(part for part in sentences if not re.search(r"\bG (?:=|is)\s", part))
    return textwrap.fill(kept, 96, break_on_hyphens=False)


def display(tag):
    """The display of the book that a tag stands behind, in its lines, without G: str."""
    text = inspect.cleandoc(import_module(_chapter_of(tag)).__doc__)
    lines = text.split("\n")
    at = next(number for number, line in enumerate(lines) if line.rstrip().endswith(f"({tag})"))
    begin = end = at
    while begin and lines[begin - 1].startswith("    "):
        begin -= 1
    while end + 1 < len(lines) and lines[end + 1].startswith("    "):
        end += 1
    kept, skipped = [], False
    for line in lines[begin:end + 1]:
        depth = len(line) - len(line.lstrip())
        skipped = re.match(r"\s*G\b.* = ", line) is not None or skipped and depth > 4
        if not skipped:
            kept.append(re.sub(r",? {3,}G\b[^=]* = .*?(?= +\(\w+\.\d+\)$|$)", ".", line))
    if not any(line.endswith(f"({tag})") for line in kept):
        kept[-1] = f"{kept[-1].rstrip(',')}.  ({tag})"
    return "\n".join(part for line in kept for part in _indented(line))


def _indented(line):
    """A line of a display, its tag where the indentation of a docstring leaves room for it."""
    body, tag = re.fullmatch(r"(.*?)(?: +(\(\w+\.\d+\)))?", line).groups()
    if tag is None:
        return [line]
    room = 96 - len(body)
    return [body + tag.rjust(room)] if room > len(tag) + 1 else [body, tag.rjust(96)]


def _chapter_of(tag):
    """The module whose equations a tag counts, as in `dpo.2`."""
    stem = tag.partition(".")[0]
    part = next(part for part in PARTS if (ROOT / part / f"{stem}.py").exists())
    return f"minirl.{part}.{stem}"
