"""A docstring of the book as Markdown: prose, equations, tables, examples, questions.

The docstrings are Markdown already, but for two things.  An indented block that carries a tag, or
looks like an equation, becomes MathML (`mathematics`); any other is a table and stays as it is.
And signs that Markdown would take for its own, as the star of π*, are protected.
"""

import re
from html import escape
from typing import NamedTuple

from rendering.mathematics import mathml

_TAG = re.compile(r"^(.*?)\s*\((\w+\.\d+)\)$")
_ITEM = re.compile(r"(\d+\.|-) +")
_WIDE = 72  # a tag at the right edge begins beyond this column, a mention of one does not


class Links(NamedTuple):
    """Where references lead: functions from a tag, or from a name in backticks, to HTML."""

    equation: object  # "dpo.2" -> an address
    name: object      # "softmax.backward" -> an address, or None
    label: object     # "dpo.2" -> what stands at the right edge of the equation


def markdown(text, links):
    """The Markdown of a docstring, or of a part of one: str."""
    return "\n\n".join(_block(kind, lines, links) for kind, lines in blocks(text))


def blocks(text):
    """The blocks of a docstring: list of (kind, lines).

    A kind is "text", "shown" (indented by four), "example" (a doctest) or "list", whose lines are
    lists of lines, one for each item.
    """
    found = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines, items = paragraph.split("\n"), 0
        for line in lines:
            kind = found[-1][0] if found and line is not lines[0] else None
            marker = _ITEM.match(line)
            if line.startswith(">>> ") or kind == "example":
                _add(found, "example", line, kind)
            elif marker and (kind is None or marker[1] == f"{items + 1}."
                             or kind == "list" and marker[1] == "-"):
                items = int(marker[1][:-1]) if marker[1] != "-" else items
                if kind == "list":
                    found[-1][1].append([line])
                else:
                    found.append(("list", [[line]]))
            elif kind == "list":
                found[-1][1][-1].append(line)
            else:
                _add(found, "shown" if line.startswith("    ") else "text", line, kind)
    return found


def _add(found, kind, line, last):
    if last == kind:
        found[-1][1].append(line)
    else:
        found.append((kind, [line]))


def _block(kind, lines, links):
    if kind == "text":
        return inline(" ".join(line.strip() for line in lines), links)
    if kind == "example":
        return _fence("pycon", lines)
    if kind == "list":
        return "\n".join(_item(item, links) for item in lines)
    lines = [line[4:] for line in lines]
    if is_equation(lines):
        return f'<div class="display">\n{equation(lines, links)}\n</div>'
    return table(lines, links)


def _item(lines, links):
    """An item of a list, with the code or the example that belongs to it."""
    marker = _ITEM.match(lines[0])[0]
    width, out, text, code = len(marker), [], [lines[0][len(marker):]], []
    for line in [*lines[1:], None]:
        is_code = line is not None and (line.startswith("    " + " " * width)
                                        or line.lstrip().startswith((">>> ", "... "))
                                        or bool(code) and code[0].lstrip().startswith(">>> "))
        if code and not is_code:
            prompt = code[0].lstrip().startswith(">>>")
            shown = [one[width if prompt else width + 4:] for one in code]
            out.append(_fence("pycon" if prompt else "python", shown))
            code = []
        if is_code:
            if text:
                out.append(inline(" ".join(part.strip() for part in text), links))
                text = []
            code.append(line)
        elif line is not None:
            text.append(line)
    if text:
        out.append(inline(" ".join(part.strip() for part in text), links))
    body = "\n\n".join(out).replace("\n", "\n" + " " * width)
    return marker + re.sub(r"\n +(?=\n)", "\n", body) + "\n"


def _fence(language, lines):
    return f"```{language}\n" + "\n".join(lines) + "\n```"


def table(lines, links):
    """Lines that keep their columns; tags in them are places, and unfold below."""
    tags = [tag for line in lines if (tag := tag_of(line)[1])]
    shown = escape("\n".join(lines), quote=False)
    for tag in tags:
        shown = re.sub(rf" {{3,}}\({re.escape(tag)}\)",
                       f'   <span id="{tag}">({tag})</span>', shown)
    labels = f'\n<div class="tags">{"".join(map(links.label, tags))}</div>' if tags else ""
    return f'<pre class="table" tabindex="0">{shown}</pre>{labels}'


def is_equation(lines):
    """Whether an indented block is set as mathematics: no table, and with a tag or a relation."""
    gaps = [len(re.findall(r"[^\s,.;:] {3,}\S", tag_of(line)[0])) for line in lines]
    if any(tag_of(line)[1] for line in lines):
        return len(lines) < 3 or 2 * sum(gap > 1 for gap in gaps) <= len(lines)
    columns = any(gaps)
    words = sum(len(word) > 3 for word in re.findall(r"[A-Za-z]+", " ".join(lines)))
    return (not columns and len(lines) <= 4 and words <= 6
            and not re.search(r"[─┌│`\"]|\.py\b", lines[0])
            and any(re.search(r" [=≤≥<>∝←≈] ", line) for line in lines))


def tag_of(line):
    """A line of an equation without its tag, and the tag or None."""
    found = _TAG.match(line)
    if found and len(line) + 4 >= _WIDE and re.search(r"(^|\s)\(\w+\.\d+\)$", line):
        return found[1], found[2]
    return line, None


def equation(lines, links):
    """The lines of an equation as HTML, each with its tag at the right edge."""
    out = []
    for line in lines:
        body, tag = tag_of(line)
        if not body.strip() and out and tag:  # the tag had no room on its line
            out[-1] = (out[-1][0], tag)
        else:
            out.append((body, tag))
    return "\n".join(_line(body, tag, links) for body, tag in out)


def _line(body, tag, links):
    depth = len(body) - len(body.lstrip())
    parts = "".join(f"<span>{mathml(part)}</span>" for part in re.split(r"\s{3,}", body.strip()))
    spot, label = (f' id="{tag}"', links.label(tag)) if tag else ("", "")
    return (f'<div class="equation"{spot}><div class="line" tabindex="0" '
            f'style="padding-left: {1 + 0.5 * depth:g}em">{parts}</div>{label}</div>')


def inline(text, links):
    """Running prose as Markdown: indices set, references linked, other signs protected."""
    kept = []  # what is finished, and out of reach for the rules that follow

    def keep(html):
        kept.append(html)
        return f"\0{len(kept) - 1}\0"

    def equation(found):
        address = links.equation(found[1])
        return keep(f'(<a href="{address}">{found[1]}</a>)') if address else found[0]

    def emphasis(found):
        return keep(found[1]) + found[2] + keep(found[1])

    def lowered(found):
        if links.name(f"{found[1]}_{found[3]}"):  # no index, but a chapter such as q_learning
            return found[0]
        star = (found[2] or "")[-1:]
        return keep(f"<i>{found[1]}</i>{star}<sub>{escape(found[3].strip('{}'))}</sub>")

    rules = (
        (r"`([^`]+)`", lambda found: keep(_code(found[1], links))),
        (r"https?://[^\s,;)]+[^\s,;).]", lambda found: keep(f"<{found[0]}>")),
        (r"arXiv:(\d{4}\.\d{4,5})", lambda found: keep(
            f"[{found[0]}](https://arxiv.org/abs/{found[1]})")),
        (r"\((\w+\.\d+)\)", equation),
        (r"(?<![\w*])(\*{1,2})(?=[^\s*])((?:[^*]|(?<=\w)\*(?=[\s(.,]))*?[^\s*])\1(?![\w*])",
         emphasis),
        (r"[\\*_\[\]<>#|]", r"\\\g<0>"),
        (r"(?<![A-Za-z0-9])([^\W\d_][\u0302-\u0304]?)([⁺⁻]|\\\*)?\\_(\{[^}]*\}|[^\W_]+'?)",
         lowered),
        (r"(?<=[\w)])\^(\{[^}]*\}|[−+]?[^\W_]+(?:[.]\d+)?)",
         lambda found: keep(f"<sup>{escape(found[1].strip('{}'))}</sup>")))
    for pattern, change in rules:
        text = re.sub(pattern, change, text)
    while "\0" in text:
        text = re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)
    return text


def plain_html(text):
    """A sentence with names in backticks, as HTML and without links."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text, quote=False))


def _code(text, links):
    address = links.name(text)
    if address is None:
        return f"`{text}`"
    return f'<a href="{address}"><code class="docutils literal">{escape(text)}</code></a>'
