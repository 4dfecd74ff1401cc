"""How results are set: numbers, bars, tables and paragraphs of at most 80 columns."""

import re
import textwrap

WIDTH = 80
CELLS = 10            # of the bar of a share of 1
BLOCKS = " ▏▎▍▌▋▊▉█"  # by eighths of a cell


def in_columns(heads, rows, forms=4):
    """A table: each column as wide as its longest word, text to the left and numbers to the right.

    `heads` are the names of the columns with a comma between them, in one line or more; `forms` are
    the decimals of each column, or functions that make its words.  There are two spaces between
    columns.  Where that is too wide there is one, and then there are fewer decimals.

    >>> print(in_columns("method, share, steps", [("ppo", 0.99921, 1024), ("dpo", None, 9)]))
    method   share  steps
    ppo     0.9992  1,024
    dpo       null      9
    """
    forms = forms if isinstance(forms, tuple) else (forms,) * len(rows[0])
    for gap, fewer in ("  ", 0), (" ", 0), (" ", 1), (" ", 2), (" ", 3), (" ", 4):
        words = [line.split(", ") for line in heads.splitlines()]
        words += [[form(value) if callable(form) else fixed(value, max(form - fewer, 0))
                   for value, form in zip(row, forms)] for row in rows]
        widths = [max(map(len, column)) for column in zip(*words)]
        if sum(widths) + len(gap) * (len(widths) - 1) <= WIDTH:
            break
    left = [all(isinstance(value, (str, bool)) for value in column) for column in zip(*rows)]
    return "\n".join(gap.join(word.ljust(width) if to_left else word.rjust(width)
                              for word, width, to_left in zip(line, widths, left)).rstrip()
                     for line in words)


def fixed(value, digits=4):
    """A value in words: a number with so many decimals, or with two digits from a million on.

    >>> fixed(0.99415), fixed(-1e-9, 2), fixed(-2e99), fixed(2465), fixed(True), fixed(None)
    ('0.9941', '0.00', '-2e+99', '2,465', 'yes', 'null')
    """
    if isinstance(value, (str, bool, type(None))):
        return {None: "null", True: "yes", False: "no"}.get(value, value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{round(value, digits) + 0.0:.{digits}f}" if abs(value) < 1e6 else f"{value:.2g}"


def bar(share):
    """A share as a bar of blocks, to an eighth of a cell: ten cells from 1 on.

    There is none where the share is negative, or no number: the column beside it has the number.

    >>> [bar(share) for share in (1, 0.5, 1 / 16, 0, -3, None)]
    ['██████████', '█████', '▋', '', '', '']
    """
    whole, rest = divmod(round(8 * CELLS * min(max(0, share or 0), 1)), 8)
    return whole * BLOCKS[8] + BLOCKS[rest].strip()


def coloured_bars(text):
    """A text whose bars have the colour of a terminal, that of arrows in `gridworld.draw`: cyan.

    >>> coloured_bars("0.1500 █▌  9")
    '0.1500 \\x1b[36m█▌\\x1b[0m  9'
    """
    return re.sub(f"[{BLOCKS[1:]}]+", "\x1b[36m\\g<0>\x1b[0m", text)


def shortest(value):
    """A number in the fewest digits that tell it from every other one.

    >>> shortest(1.0), shortest(0.9999999), shortest(1e-7)
    ('1', '0.9999999', '1e-07')
    """
    return repr(float(value)).removesuffix(".0")


def paragraph(text, indent=""):
    """A text in lines.

    >>> paragraph("a few words", indent="  ")
    '  a few words'
    """
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def page(*parts):
    """All that a job prints, with a line between its parts.  A text in one line is a paragraph.

    >>> print(page("a few words", "two\\nlines"))
    a few words
    <BLANKLINE>
    two
    lines
    """
    return "\n\n".join(part if "\n" in part else paragraph(part) for part in parts)
