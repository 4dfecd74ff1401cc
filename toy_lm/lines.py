"""What is in a line of text, and where does it come from?

*Worlds to read, after `scaling`.  Previous: `align`.*

A classifier of lines, and a search for lines that are nearly the same, see a line as a set of
*features*.  This chapter makes such sets, and one matrix of all of them.  It also says what the
Unicode standard knows of a character besides its name.  `harvest` learns from both.

**Runs of words.**  "NOT EQUAL TO" has the runs of one word NOT, EQUAL and TO, and the runs of two
NOT EQUAL and EQUAL TO.  What is neither letter nor digit separates words:

>>> sorted(word_runs("NOT EQUAL TO", 1, 2))
['EQUAL', 'EQUAL TO', 'NOT', 'NOT EQUAL', 'TO']

**Shingles** are all runs of some characters, spaces included.  A change of one letter makes another
word, and leaves most shingles as they were.  They notice order too, as single words do not:

>>> sorted(shingles("NOT EQUAL", 6))
[' EQUAL', 'NOT EQ', 'OT EQU', 'T EQUA']

**The matrix** has a row per line and a column per feature, with a 1 where the line has it, by the
alphabet:

    presence[line, feature] = 1 if the line has the feature, else 0.                      (lines.1)

The product of two rows is then the number of features that two lines share, and the sum of a row
the number that a line has.  "TO" and "NOT EQUAL TO" share a word, of one and three.  A set in
Python has an order that changes from one start to the next, so the columns are sorted:

>>> rows, names = presence([word_runs(line, 1) for line in ("TO", "NOT EQUAL TO")])
>>> print(names, rows.toarray().tolist(), (rows @ rows.T).toarray().tolist())
['EQUAL', 'NOT', 'TO'] [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]] [[1.0, 1.0], [1.0, 3.0]]

**The names of Unicode.**  Each character has a number, its *code point*, and a *category* of two
letters: Lu is a capital letter, Nd a digit, Sm a mathematical symbol.  Related characters have
neighbouring numbers.  The code charts print them in *blocks* of a subject, in columns of 16:

>>> lines = ["NOT EQUAL TO", "IDENTICAL TO", "LATIN CAPITAL LETTER A"]
>>> for line, code, category in zip(lines, code_points(lines), categories(lines)):
...     print(f"{code:04X} {category} {line}")
2260 Sm NOT EQUAL TO
2261 Sm IDENTICAL TO
0041 Lu LATIN CAPITAL LETTER A

So the standard is a small web.  A page is a name, a web site is 128 characters in a row, and a part
of a site is 16 in a row.  There are 119 such sites.  Of the 899 mathematical symbols, in 25 of
them, 790 stand in a row of 16 that is mostly mathematical.  The words and pairs of words in two
names at least are 4,735 features.

**Decontamination.**  A *benchmark* is a set of lines on which models are judged.  Whoever has seen
a line of it has seen the answer.  The usual remedy drops what has n words in a row of any of them:
`harvest.contaminated` on runs of n words.  Draw 90 of the 899 as the benchmark.  Of the other names

    n   dropped   of them mathematical   lines of the benchmark that are shorter
    3       301                    203                                        20
    4        79                     72                                        40
    5        38                     38                                        56

A small n drops what only sounds alike.  A large one lets pass what differs in a word, and does not
see short lines at all.  DeepSeekMath took n = 10, and whole lines where they were shorter, if of
three words at least.

**Exercises.**  `from toy_lm.lines import *; from toy_lm.corpora import unicode_names`
1. How many Unicode 3.2 names are a single word?
       sum(len(word_runs(name, 1, 2)) == 1 for name in unicode_names())
2. Two lines of ten letters differ in their last one.  What is their overlap, in shingles of four?
       one, other = shingles("ABCDEFGHIJ"), shingles("ABCDEFGHIX")
       len(one & other) / len(one | other)
3. Is everything that sounds like mathematics a mathematical symbol?
       categories(["SQUARE ROOT", "PLUS SIGN", "HYPHEN-MINUS", "MICRO SIGN"]).tolist()

Read next: `harvest`, which finds the mathematical names among all others.
Source: the Unicode Character Database, version 3.2; Broder 1997 for shingles.
"""

from collections import Counter
from itertools import chain
import re
import unicodedata

import numpy as np
from scipy import sparse

from minirl.kernel import checks

UNICODE = unicodedata.ucd_3_2_0  # of which Python ships this version for good


def presence(features, least=1):
    """The matrix (lines.1), (lines, F) sparse, and the names of its columns, F str, sorted.

    `features` is a set of str per line.  Those that fewer than `least` lines have are left out.

    Examples
    --------
    >>> rows, names = presence([{"a", "b"}, {"b"}, {"c", "b", "a"}], least=2)
    >>> print(names, rows.toarray().tolist())
    ['a', 'b'] [[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]
    """
    features, least = list(features), checks.whole("least", least)
    number = Counter(chain.from_iterable(features))
    names = sorted(name for name, lines in number.items() if lines >= least)
    place = {name: column for column, name in enumerate(names)}
    columns = [sorted(place[name] for name in line if name in place) for line in features]
    starts = np.cumsum([0, *map(len, columns)])
    found = np.fromiter(chain.from_iterable(columns), int)
    shape = len(columns), len(names)
    return sparse.csr_array((np.ones(found.size), found, starts), shape=shape), names


def with_ones(rows):
    """The same rows with one more feature, which each of them has: a constant for `harvest`.

    Examples
    --------
    >>> print(with_ones(sparse.csr_array([[0., 1.], [1., 1.]])).toarray())
    [[0. 1. 1.]
     [1. 1. 1.]]
    """
    return sparse.csr_array(sparse.hstack([rows, np.ones((rows.shape[0], 1))]))


def word_runs(line, *lengths):
    """All runs of so many words, for each of the lengths: a set of str.

    A word is of letters and digits.

    Examples
    --------
    >>> sorted(word_runs("LESS-THAN SIGN", 1, 2))
    ['LESS', 'LESS THAN', 'SIGN', 'THAN', 'THAN SIGN']
    >>> word_runs("LESS-THAN SIGN", 4)
    set()
    """
    words, lengths = re.findall(r"[^\W_]+", line), [checks.whole("length", n) for n in lengths]
    return {" ".join(words[first:first + length]) for length in lengths
            for first in range(len(words) - length + 1)}


def shingles(line, letters=4):
    """All runs of so many characters, as a set; a shorter line is one itself.

    Examples
    --------
    >>> sorted(shingles("PLUS SIGN"))
    [' SIG', 'LUS ', 'PLUS', 'S SI', 'SIGN', 'US S']
    """
    letters = checks.whole("letters", letters)
    return {line[first:first + letters] for first in range(max(1, len(line) - letters + 1))}


def code_points(names):
    """The numbers of the characters that have these names in Unicode 3.2, (N,) int.

    Examples
    --------
    >>> print(code_points(["PLUS SIGN", "INTEGRAL"]), hex(0x222B), 0x222B)
    [  43 8747] 0x222b 8747
    """
    return np.array([ord(_character(name)) for name in names], int)


def categories(names):
    """The general categories of these characters, such as "Lu", a capital letter: (N,) str.

    Examples
    --------
    >>> print(categories(["PLUS SIGN", "DIGIT TWO", "LATIN CAPITAL LETTER A"]))
    ['Sm' 'Nd' 'Lu']
    """
    return np.array([UNICODE.category(_character(name)) for name in names], "U2")


def _character(name):
    try:
        return UNICODE.lookup(name)
    except (KeyError, TypeError):
        raise ValueError(f"names must be those of characters in Unicode 3.2, got {name!r}"
                         ) from None
