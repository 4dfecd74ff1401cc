"""Sphinx's way to the book: before it reads anything, a page is written for each module."""

import re
import sys
from pathlib import Path

from rendering.lists import exercise_list, one_page
from rendering.pages import ROOT, Book


def write(app):
    """Write the pages, where they have changed, so that Sphinx builds only those again."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from answers import ANSWERS
    from minirl.exercises import EXERCISES
    from minirl.pictures.gallery import PICTURES
    from rendering.living import placed
    book, folder, written = Book(), ROOT / "docs", set()
    for module in book.modules:
        answers = ANSWERS.get(module.name, []) if module is book.chapters[module.name] else []
        text = placed(module.page, book.page(module, answers, EXERCISES, PICTURES))
        written.add(_write(folder / f"{module.page}.md", text + book_tree(module)))
    parts = ("kernel", "exact", "play", "people", "beyond")
    chapters = [book.chapters[name] for part in parts
                for name in _order(next(one for one in book.modules
                                        if one.parts == ["minirl", part]))]
    written.add(_write(folder / "chapters" / "one_page.md", one_page(book, chapters)))
    written.add(_write(folder / "chapters" / "exercise_list.md", exercise_list(book, EXERCISES)))
    for path in (folder / "chapters").rglob("*.md"):
        if path not in written:
            path.unlink()


def book_tree(module):
    """What is below a contents page, for the list beside every page."""
    if module.path.name != "__init__.py" or module.parts == ["minirl"]:
        return ""
    below = [name for name in _order(module) if (module.path.parent / f"{name}.py").exists()]
    lines = "\n".join(f"{name} <{module.name}/{name}>" for name in below)
    return f"\n```{{toctree}}\n:hidden:\n\n{lines}\n```\n"


def _order(module):
    """The modules of a folder in the order in which its contents page names them, then the rest."""
    named = re.findall(r"^ {4,8}\(?(\w+)\)? {2,}", module.text, re.M)
    files = sorted(path.stem for path in module.path.parent.glob("*.py") if path.stem != "__init__")
    return list(dict.fromkeys([*(name for name in named if name in files), *files]))


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def lead(app, name, source):
    """On a page that is no module, what leads to a file of the book leads to its page."""
    if not name.startswith("chapters/"):
        source[0] = re.sub(
            r"\]\(\.\./((?:minirl|toy_lm|gridworld)[\w/]*?)(?:/__init__)?(?:\.py|/)?\)",
            r"](chapters/\1.md)", source[0])


def join(app, error):
    """In the book on one page, what leads to another page leads to a place of this one."""
    if error is None and app.builder.name == "singlehtml":
        path = Path(app.outdir) / "index.html"
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'href="(?:\.\./)*chapters/[\w/]*\.html#([^"]+)"', r'href="#\1"', text)
        text = re.sub(r'href="(?:\.\./)*chapters/([\w/]*)\.html"',
                      lambda found: f'href="#{found[1].replace("/", ".")}"', text)
        path.write_text(text, encoding="utf-8")


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    app.connect("source-read", lead)
    app.connect("build-finished", join)
    return {"parallel_read_safe": True}
