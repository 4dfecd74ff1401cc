"""Which texts does a model learn from, and which must it not see?

*Worlds to read, after `sft`.  Previous: `vocabulary`.  Next: `ngram`.*

The strings of a corpus are there to be imitated.  One real corpus is on every machine that has
Python.  The Unicode standard gives every character a name, such as "LATIN SMALL LETTER A WITH
ACUTE".  Python ships the names of version 3.2 beside the current ones, so that they never change.
The words in these names are the corpus of the running example: short words that look like English,
from the names of letters, scripts and signs in dozens of languages.

**In numbers.**  There are 2,465 words, each once and sorted, of three to twelve letters.  They have
14,521 letters, so that a word has 5.891 on average.  Each word has an end too.  So a model is
counted from 14,521 + 2,465 = 16,986 steps:

>>> words = unicode_words()
>>> letters = sum(map(len, words))
>>> print(len(words), letters, round(letters / len(words), 3), letters + len(words))
2465 14521 5.891 16986
>>> print(words[:3], words[-3:])
['aabaafili', 'aaru', 'aayanna'] ['zqapha', 'zra', 'zygos']

**Why some texts are held out.**  A model that is judged by the strings from which it was counted is
judged by its memory.  A model that had learned all of them by heart would look best, and be of no
use for a new string.  So some items are *held out*: they are not counted, and the model is scored
with them.

**Which items?**  A tenth could be the last tenth.  But the corpus is sorted, and its last tenth are
the words from "tonos" to "zygos", whose beginnings are rare among the others.  So `held_out`
spreads them evenly.  With a tenth it takes every tenth item, beginning with the tenth:

>>> training, held = held_out(words)
>>> print(len(training), len(held), held[:3])
2219 246 ['acknowledge', 'aesc', 'ainn']

**What it shows.**  The 2,219 words are counted, and the 246 are held out.  This is what both
cost models of three orders, with a pseudo-count of 0.1 as in (sft.3).  The unit is nats per
character, as in (sft.1), ends included:

    order                    2        3        4
    counted words        2.584    2.212    1.790
    words held out       2.600    2.526    2.644

On the counted words a longer memory always looks better.  On the words held out order 4 is worse
than a bigram: it has learned by heart what it saw.  After letters that it has not seen together, a
pseudo-count gives equal shares to all 27 symbols, and the next one costs log 27 nats, which is more
than 3.  The chapter `smoothing` has a remedy.

**A larger corpus**: the names themselves, in the order of their characters.  The names of CJK
ideographs, which are numbers, and those of Hangul syllables, which are spelt by a rule, are left
out.  The other 12,771 have 339,361 letters.  38 different ones occur, space and hyphen included:

>>> names = unicode_names()
>>> print(len(names), sum(map(len, names)), len(set("".join(names))), names[1])
12771 339361 38 EXCLAMATION MARK

Many names are almost alike, as "LATIN SMALL LETTER A WITH GRAVE" and the same with "ACUTE" are.
So a name that is held out is less new to a model than a word is.

**Your own text** is a file with one item per line.  Blank lines and the space around an item are
dropped.  What a model wrote is such a file too, but there an empty line is the empty string, and
`read_strings` keeps it.  What is wrong with a file is named by file and line.

**Exercises.**  `from toy_lm.corpora import *`
1. Of the 2,465 words, how many have none of the letters a, e, i, o, u?
       len([word for word in unicode_words() if not set(word) & set("aeiou")])
2. A tenth of nine items is held out.  How many is that?
       [len(part) for part in held_out(list("abcdefghi"))]
3. Half of a to f is held out.  Which half?
       "".join(held_out(list("abcdef"), 0.5)[1])

Read next: `ngram`, the model that is counted from a corpus.
Source: the Unicode Character Database, version 3.2.
"""

import re
import unicodedata
from functools import cache

from minirl.files import read_text, shown

SKIPPED = ("CJK", "HANGUL", "YI ", "ETHIOPIC", "CANADIAN", "CHEROKEE")  # names made by a system
SIGNS = range(0x30000)           # the characters that are written
TAGS = range(0xE0000, 0xE1000)   # those that say in which language; no others had a name


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
    return list(_unicode_words())


@cache
def _unicode_words():
    text = "\n".join(name for name in _names(SIGNS) if not name.startswith(SKIPPED))
    return sorted(set(re.findall(r"\b[a-z]{3,12}\b", text.lower())))


def unicode_names():
    """The Unicode 3.2 names of characters, in their order, but for CJK ideographs and Hangul.

    `unicodedata.ucd_3_2_0.lookup` says which character has a name.

    Examples
    --------
    >>> len(unicode_names()), unicode_names()[:2], ord(unicodedata.ucd_3_2_0.lookup("SPACE"))
    (12771, ['SPACE', 'EXCLAMATION MARK'], 32)
    """
    return [name for name in (*_names(SIGNS), *_names(TAGS))
            if not name.startswith(("CJK", "HANGUL SYLLABLE"))]


@cache
def _names(codes):
    names = (unicodedata.ucd_3_2_0.name(chr(code), "") for code in codes)
    return [name for name in names if name]


def read_lines(path):
    """The items of a UTF-8 text file, one a line; blank lines and surrounding space are dropped.

    `-` is standard input.  What is wrong is named by file, and a bad byte by line.  A byte order
    mark in a line is where two files were joined, the first of which had no last line end.
    """
    lines = [line.strip() for line in read_text(path).replace("\ufeff", "\n").split("\n")]
    if not any(lines):
        raise ValueError(f"{shown(path)} holds no item: one item per line is expected")
    return [line for line in lines if line]


def read_strings(path, letters):
    """The strings of a UTF-8 text file, one a line, as a model of these letters has written them.

    An empty line is the empty string.  Space around a string is dropped unless it is a letter.

    Examples
    --------
    >>> import os
    >>> read_strings(os.devnull, "no")
    []
    """
    lines = read_text(path).split("\n")
    if lines[-1] == "":  # behind the end of the last line
        lines.pop()
    return [line.strip("".join(c for c in {*line} - {*letters} if c.isspace())) for line in lines]


def check_letters(path, number, text, letters):
    """Refuse a text, of this line of this file, that has another letter.

    Examples
    --------
    >>> check_letters("words.txt", 3, "kato", "akt")
    Traceback (most recent call last):
    ValueError: words.txt, line 3: 'o' is not among the 3 letters that the model knows
    """
    unknown = next((c for c in text if c not in letters), None)
    if unknown is not None:
        raise ValueError(f"{shown(path)}, line {number}: {unknown!r} is not among the "
                         f"{len(letters)} letters that the model knows")


def held_out(items, fraction=0.1):
    """Split a corpus, for an honest likelihood: (training items, items held out).

    The items held out are spread evenly: with a tenth every tenth one, beginning with the tenth.

    Examples
    --------
    >>> training, held = held_out(list("abcdefghijkl"))
    >>> "".join(training), "".join(held)
    ('abcdefghikl', 'j')
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction must lie in [0, 1), got {fraction}")
    # How many of the first i items are held out, one of them at least not; the small number makes
    # up for rounding.
    held = [min(int(i * fraction + 1e-9), max(i - 1, 0)) for i in range(len(items) + 1)]
    training, out = [], []
    for item, before, after in zip(items, held, held[1:]):
        (out if after > before else training).append(item)
    return training, out
