"""Corpora: real text to imitate.

One real corpus is on every machine that has Python.  The Unicode standard gives every character a
name, "LATIN SMALL LETTER A WITH ACUTE", and Python ships those of version 3.2 beside the current
ones, so that they never change.  The words in these names, 2,465 of them, are a corpus of short
English-like words:  letter, script and sign names in dozens of languages.

For your own text use a file with one item a line.

Read first: `vocabulary`.  Read next: `bigram`.
"""

import re
import unicodedata

from minirl.files import read_text

SKIPPED = ("CJK", "HANGUL", "YI ", "ETHIOPIC", "CANADIAN", "CHEROKEE")  # names made by a system


def unicode_words():
    """The words in Unicode 3.2 character names, in lower case, each once, sorted: 2,465 strings.

    A word is three to twelve letters A-Z between word boundaries.  Names of a few large scripts are
    skipped, because they are syllables or numbers rather than words.

    Examples
    --------
    >>> words = unicode_words()
    >>> len(words), sum(map(len, words)), words[:3]
    (2465, 14521, ['aabaafili', 'aaru', 'aayanna'])
    """
    words = set()
    for code in range(0x30000):
        name = unicodedata.ucd_3_2_0.name(chr(code), "")
        if not name.startswith(SKIPPED):
            words.update(re.findall(r"\b[A-Z]{3,12}\b", name))
    return sorted(word.lower() for word in words)


def read_lines(path):
    """The items of a UTF-8 text file, one a line; blank lines and surrounding space are dropped.

    Raises
    ------
    ValueError
        If the file cannot be read, is not UTF-8, or has no item; the message names the file, and
        the line of a bad byte.
    """
    items = [line.strip() for line in read_text(path).split("\n")]
    items = [item for item in items if item]
    if not items:
        raise ValueError(f"{path} holds no item: one item a line is expected")
    return items


def held_out(items):
    """Split a corpus: (training items, every tenth item), for an honest likelihood.

    Examples
    --------
    >>> training, held = held_out(list("abcdefghijkl"))
    >>> "".join(training), "".join(held)
    ('abcdefghikl', 'j')
    """
    return [item for i, item in enumerate(items, start=1) if i % 10], items[9::10]
