"""The book as pages, before Sphinx: equations lose no sign, prose keeps its stars and indices."""

import ast
import html
import re
import sys
from inspect import cleandoc

import pytest
from test_house import ROOT, SOURCES, parsed

sys.path.insert(0, str(ROOT / "docs"))

from rendering.mathematics import mathml, signs
from rendering.prose import Links, blocks, inline, markdown, tag_of

LINKS = Links(equation=lambda tag: f"page.html#{tag}" if tag == "dpo.2" else None,
              name=lambda name: "page.html" if name == "dpo" else None,
              label=lambda tag: f"<b>({tag})</b>")


def equations():
    """Every line of every equation of the book that has a tag, without it."""
    for path in SOURCES:
        text = cleandoc(ast.get_docstring(parsed(path)) or "")
        for kind, lines in blocks(text):
            if kind == "shown" and any(tag_of(line[4:])[1] for line in lines):
                yield from (tag_of(line[4:])[0].strip() for line in lines)


def shown(element):
    """What a reader sees of a `<math>`."""
    return html.unescape(re.sub("<[^>]+>", "", element))


def test_no_sign_of_an_equation_is_lost():
    """Only the brackets and the stroke of a small fraction are drawn as a line."""
    number = 0
    for line in equations():
        wanted, element = signs(line), mathml(line)
        for _ in range(element.count("<mfrac>")):
            for sign in "(/)":
                wanted.remove(sign)
        assert wanted == signs(shown(element)), line
        assert not re.search(r"<mo[^>]*>[_^]</mo>", re.sub("<mover.*?</mover>", "", element)), line
        number += 1
    assert number > 250


@pytest.mark.parametrize("line, element", [
    ("π_ref", "<msub><mi>π</mi><mrow><mi>ref</mi></mrow></msub>"),
    ("y⁺_i", "<msubsup><mi>y</mi><mrow><mi>i</mi></mrow><mrow><mo form=\"prefix\">+</mo></mrow>"
             "</msubsup>"),
    ("(1/B)", "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>B</mi></mrow></mfrac>"),
    ("ρ_it", "<msub><mi>ρ</mi><mrow><mi>i</mi><mi>t</mi></mrow></msub>"),
    ("V'", "<msup><mi>V</mi><mo>′</mo></msup>"),
    ("r̄", '<mover accent="true"><mi>r</mi><mo>¯</mo></mover>'),
    ("max_a", "<munder><mi>max</mi><mrow><mi>a</mi></mrow></munder>"),
    ("Σ_{s,a}", "<munder><mo>∑</mo><mrow><mi>s</mi><mo>,</mo><mi>a</mi></mrow></munder>")])
def test_the_notation_of_the_chapters_is_understood(line, element):
    assert mathml(line) == f'<math displaystyle="true">{element}</math>'


def test_a_function_of_a_quotient_is_no_fraction():
    assert "mfrac" not in mathml("log(1/p)") and "mfrac" in mathml("−(β/B) Dᵀ")


@pytest.mark.parametrize("text, found", [
    ("the optimum π* and Q*(s, a)", r"the optimum π\* and Q\*(s, a)"),
    ("*Direct* and **bold.** words", "*Direct* and **bold.** words"),
    ("*Part 4.  Previous: `grpo`.*", "*Part 4.  Previous: `grpo`.*"),
    ("π_ref of N[s, a]", r"<i>π</i><sub>ref</sub> of N\[s, a\]"),
    ("by (dpo.2), not (x.1)", 'by (<a href="page.html#dpo.2">dpo.2</a>), not (x.1)'),
    ("`dpo` and `a*b_c`",
     '<a href="page.html"><code class="docutils literal">dpo</code></a> and `a*b_c`'),
    ("e^R < 2 & |y|", r"e<sup>R</sup> \< 2 & \|y\|")])
def test_prose_keeps_what_markdown_would_take(text, found):
    assert inline(text, LINKS) == found


def test_a_table_with_tags_keeps_its_columns_and_its_places():
    text = """
    learner    target      value
    SARSA      Q(s', a')   −15      −20.7                                              (dpo.1)
    Q          max_b Q     −13      −50.8                                              (dpo.2)
"""
    found = markdown(text, LINKS)
    assert found.startswith('<pre class="table"') and "<math" not in found
    assert '<span id="dpo.2">(dpo.2)</span></pre>' in found and found.endswith("(dpo.2)</b></div>")


def test_a_docstring_is_cut_into_its_blocks():
    text = cleandoc("""Prose of
        two lines.

            x = 1.                                                                       (dpo.2)

        >>> 1 + 1
        2

            a table   of columns
            and       more

        1. One?
               code()
        2. Two.
        """)
    assert [kind for kind, _ in blocks(text)] == ["text", "shown", "example", "shown", "list"]
    found = markdown(text, LINKS)
    assert '<div class="equation" id="dpo.2">' in found and "<b>(dpo.2)</b>" in found
    assert '<pre class="table" tabindex="0">a table   of columns\nand       more</pre>' in found
    assert "```pycon\n>>> 1 + 1\n2\n```" in found
    assert "1. One?\n\n   ```python\n   code()\n   ```\n" in found
