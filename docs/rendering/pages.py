"""The pages of the book: one for each module, written from its source before Sphinx reads them."""

import ast
import re
import textwrap
from html import escape
from inspect import cleandoc
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from rendering.prose import Links, inline, markdown, plain_html

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("minirl", "toy_lm", "gridworld")
_TAG = re.compile(r"\((\w+\.\d+)\)")
_SECTION = re.compile(
    r"^(Parameters|Returns|Yields|Raises|Attributes|Examples|Notes|Fields)\n-+\n", re.M)


class Module:
    """A source file of the book: where it is, what it says, and what it defines."""

    def __init__(self, path):
        self.path, self.source = path, path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        inside = path.relative_to(ROOT).with_suffix("")
        self.parts = [part for part in inside.parts if part != "__init__"]
        self.name = self.parts[-1]
        self.page = "/".join(["chapters", *self.parts])
        self.spot = ".".join(self.parts)  # which stands before the names of its definitions
        self.title, _, self.text = cleandoc(ast.get_docstring(self.tree) or "").partition("\n\n")

    def definitions(self):
        """What stands in the module after its imports, in its order: nodes of `ast`."""
        return [node for at, node in enumerate(self.tree.body)
                if not isinstance(node, (ast.Import, ast.ImportFrom))
                and not (at == 0 and isinstance(node, ast.Expr))]

    def lines_of(self, node):
        """The source of a definition, with its decorators and the comments above it."""
        lines = self.source.split("\n")
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))]) - 1
        while first and lines[first - 1].startswith("#"):
            first -= 1
        return first, lines[first:node.end_lineno]


def modules():
    """Every module of the three packages that has a text, in the order of their files."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))
             if "__pycache__" not in path.parts]
    return [Module(path) for path in paths]


class Book:
    """All pages, and what refers to what: equations, functions, tests, exercises."""

    def __init__(self):
        self.modules = modules()
        self.chapters = {module.name: module for module in self.modules
                         if module.parts[0] == "minirl"
                         and not {"plain", "lab", "exercises", "pictures"} & set(module.parts[:-1])}
        for module in self.modules:
            self.chapters.setdefault(module.name, module)
        self.equations = {}  # tag -> the module whose text shows it
        self.places = {}     # tag -> [(module, name of a definition)]
        for module in self.modules:
            for line in module.text.split("\n"):
                found = re.search(r"\((\w+\.\d+)\)$", line)
                if found and line.startswith("    ") and found[1].split(".")[0] == module.name:
                    self.equations.setdefault(found[1], module)
            for node in module.definitions():
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    for tag in set(_TAG.findall("\n".join(module.lines_of(node)[1]))):
                        self.places.setdefault(tag, []).append((module, node.name))
        self.tests = {}      # tag -> [(file, name, source)]
        for path in sorted((ROOT / "tests").glob("test_*.py")):
            source = path.read_text(encoding="utf-8")
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    text = ast.get_source_segment(source, node)
                    for tag in set(_TAG.findall(text)):
                        self.tests.setdefault(tag, []).append((path.name, node.name, text))

    def links(self, page, module=None):
        """The `Links` of a page, whose names may be those of a module."""
        up = "../" * page.count("/")

        def equation(tag):
            return f"{up}{self.equations[tag].page}.html#{tag}" if tag in self.equations else None

        def name(text):
            head, _, rest = text.strip().partition(".")
            if module and re.fullmatch(r"\w+", text) and text in names_of(module):
                return f"#{module.spot}.{text}"
            if not re.fullmatch(r"\w+(\.\w+)*", text) or head not in self.chapters:
                return None
            found = self.chapters[head]
            elsewhere = module and not rest and found.parts[0] not in ("minirl", module.parts[0])
            if elsewhere or found.parts[0] == found.name:
                return None
            if not rest:
                return f"{up}{found.page}.html"
            return (f"{up}{found.page}.html#{found.spot}.{rest}" if rest in names_of(found)
                    else None)

        def label(tag):
            where = "".join(f'<li><a href="{up}{one.page}.html#{one.spot}.{what}">'
                            f"<code>{one.name}.{what}</code></a></li>"
                            for one, what in self.places.get(tag, []))
            tests = "".join(f"<details><summary><code>{file}::{what}</code></summary>"
                            f"{_highlighted(source)}</details>"
                            for file, what, source in self.tests.get(tag, []))
            return (f'<details class="tag"><summary>({tag})</summary><div>'
                    + (f"<p>In the code</p><ul>{where}</ul>" if where else "")
                    + (f"<p>Tested by</p>{tests}" if tests else "") + "</div></details>")

        return Links(equation, name, label)

    def page(self, module, answers, exercises, pictures):
        """The Markdown of a module's page."""
        links = self.links(module.page, module)
        before, mark, rest = module.text.partition("**Exercises.**")
        title = module.title.rstrip(".").replace("\n", " ")
        out = ["---\nhide-toc: true\n---", f"# {inline(title, links)}",
               f'<p class="where" id="{module.spot}">'
               f"<code>{module.path.relative_to(ROOT)}</code></p>",
               self._contents(module, _illustrated(before, module, pictures, links))]
        if mark:
            asked, after = re.match(r"(.*?)(\n\n.*|$)", rest, re.S).groups()
            out += ["## Exercises", _questions(asked, answers, links)]
            out += [markdown(re.sub(r"\nSource:", "\n\nSource:", after), links)]
        own = [one for one in exercises if one.chapter == ".".join(module.parts[1:])]
        if own:
            out += ["## Write it yourself", *[_exercise(one, links) for one in own]]
        code = list(self._code(module, links))
        return "\n\n".join([*out, *(["## The code", *code] if code else [])]) + "\n"

    def _contents(self, module, text):
        """The contents page of a part has its chapters as links."""
        if module.path.name != "__init__.py":
            return text
        folder, up = module.path.parent, "../" * module.page.count("/")

        def linked(found):
            name = found[2]
            if not ((folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()):
                return found[0]
            return f'{found[1]}<a href="{up}{module.page}/{name}.html">{name}</a>{found[3]}'

        return re.sub(r"(?<=[\n>])((?: {0,8})\(?)(\w+)(\)? {2,})", linked, text)

    def _code(self, module, links):
        """Each definition with its text on the left and its body on the right."""
        plain = []
        for node in [*module.definitions(), None]:
            if node is not None and not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                plain += module.lines_of(node)[1]
                continue
            if plain:
                yield _fence(plain)
                plain = []
            if node is not None:
                yield _definition(module, node, links)


def _illustrated(text, module, pictures, links):
    """The text of a chapter, with its pictures before the first paragraph on something new."""
    parts = text.split("\n\n")
    at = next((number for number, part in enumerate(parts) if number > 1 and part.startswith("**")
               and not parts[number - 1].startswith("**")), len(parts))
    shown = [f"```{{image}} /figures/{picture.name}.png\n:alt: {picture.alt}\n:class: picture\n```"
             for picture in pictures if picture.chapter in (".".join(module.parts[1:]), module.spot)
             and (ROOT / "docs" / "figures" / f"{picture.name}.png").exists()]
    before, after = ("\n\n".join(some) for some in (parts[:at], parts[at:]))
    return "\n\n".join([markdown(before, links), *shown, markdown(after, links)])


def names_of(module):
    """The names that a module defines by functions and classes."""
    return {node.name for node in module.tree.body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def _definition(module, node, links):
    first, lines = module.lines_of(node)
    text = ast.get_docstring(node)
    if text is not None:
        start, end = node.body[0].lineno - 1 - first, node.body[0].end_lineno - first
        lines = lines[:start] + lines[end:]
    kind = "" if not node.name.startswith("_") else " private"
    return (f"::::{{container}} beside{kind}\n:::{{container}} says\n"
            f'<p class="name" id="{module.spot}.{node.name}"><code>{node.name}</code></p>\n\n'
            + described(text or "", links)
            + f"\n:::\n:::{{container}} body\n{_fence(lines)}\n:::\n::::")


def described(text, links):
    """The Markdown of a function's docstring: its sections are lists of definitions."""
    parts = _SECTION.split(text)
    out = [markdown(parts[0], links)]
    for title, body in zip(parts[1::2], parts[2::2]):
        out.append(f'<p class="section">{title}</p>')
        if title in ("Examples", "Notes"):
            out.append(markdown(body, links))
        else:
            entries = re.split(r"^(?=\S)", body.strip("\n"), flags=re.M)
            out += [_entry(entry, links) for entry in entries if entry.strip()]
    return "\n\n".join(part for part in out if part)


def _entry(entry, links):
    term, _, about = entry.partition("\n")
    name, colon, kind = term.partition(" : ")
    head = f"`{name.strip()}`" + (f" : {inline(kind, links)}" if colon else "")
    about = markdown(textwrap.dedent(about), links) or "\u200b"
    return f"{head}\n: " + about.replace("\n", "\n  ")


def _questions(text, answers, links):
    """The questions at the end of a chapter, each with its answer folded."""
    out, left = [], list(answers)
    head, *items = re.split(r"^(?=\d+\. )", text.strip(), flags=re.M)
    out.append(inline("Predict, then run.  " + " ".join(head.split()), links))
    for item in items:
        shown = markdown(item.rstrip(), links).rstrip()
        if left:
            shown += ("\n\n   <details class=\"answer\"><summary>Answer</summary>"
                      f"<pre>{_indented(escape(left.pop(0), quote=False))}</pre></details>")
        out.append(shown)
    return "\n\n".join(out)


def _indented(text):
    """Lines of a <pre> within an item of a list, whose indentation Markdown takes away again."""
    return text.replace("\n", "\n   ")


def _exercise(one, links):
    hints = "".join(f"<li>{plain_html(hint)}</li>" for hint in one.hints)
    return (f"`minirl exercise {one.name}`: {inline(one.task, links)}\n\n"
            f'<details class="answer"><summary>{len(one.hints)} hints</summary>'
            f"<ol>{hints}</ol></details>")


def _fence(lines):
    return "```python\n" + "\n".join(lines).strip("\n") + "\n```"


def _highlighted(source):
    """Python as HTML without an empty line, at which Markdown would end its block."""
    html = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)).rstrip("\n")
    return f'<div class="highlight"><pre>{html}</pre></div>'.replace("\n\n", "\n&#8203;\n")
