"""The vocabulary: characters to numbers and back.

Symbol 0 is special.  As an action it ends the string.  As a state it is the beginning: nothing has
been written yet.  One symbol can do both, because a string is never asked what follows its end.
The characters of the corpus, sorted, are the symbols 1, 2, …, so a model of A symbols knows A − 1
letters.

A string of n letters is n + 1 steps (previous symbol, next symbol), the last of which writes the
end:

    "on"  →  (0, o) (o, n) (n, 0)                                                     (vocabulary.1)

Strings are encoded all at once.  Laid end to end with a line feed after each, the text is one
vector of symbols, and the states are that vector shifted by one: what precedes the first letter of
a string is the end of the string before it, which is symbol 0, as it should be.

Read first: `minirl.counts`.  Read next: `corpora`.
"""

from typing import NamedTuple

import numpy as np

from minirl import counts

END = "\n"  # what stands for symbol 0 in text; an item is one line, so it cannot contain it


class Vocabulary(NamedTuple):
    """The letters of symbols 1 … A − 1, sorted by code point.  Made by `from_items`."""

    letters: str

    @property
    def size(self):
        """A, the number of symbols, the end included."""
        return len(self.letters) + 1

    def _codes(self):
        """The code point of each symbol: (A,) uint32."""
        return np.frombuffer((END + self.letters).encode("utf-32-le"), dtype="<u4")

    def encode(self, items):
        """The steps (vocabulary.1) of strings, as `counts.Steps` over an (A, A) table.

        Raises
        ------
        ValueError
            If a string contains a letter that is not in the vocabulary, or a line feed; the message
            names the item, counted from 1, and the letter.

        Examples
        --------
        >>> steps = from_items(["on", "no"]).encode(["on"])
        >>> print(steps.index, steps.starts, steps.shape)
        [2 7 3] [0 3] (3, 3)
        """
        text = "".join(item + END for item in items)
        if text.count(END) != len(items):
            i = next(i for i, item in enumerate(items, start=1) if END in item)
            raise ValueError(f"item {i} contains a line feed; an item is one line")
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        known = self._codes()
        ends = codes == ord(END)
        symbols = np.where(ends, 0, np.searchsorted(known[1:], codes) + 1)
        wrong = ~ends & (known[np.minimum(symbols, self.size - 1)] != codes)
        if wrong.any():
            n = int(wrong.argmax())
            item = int(ends[:n].sum()) + 1
            raise ValueError(f"item {item} contains {text[n]!r}, which is not in "
                             f"the vocabulary of {len(self.letters)} letters")
        states = np.append(0, symbols)[:symbols.size]
        starts = np.append(0, np.flatnonzero(ends) + 1)
        return counts.steps(states, symbols, starts, (self.size, self.size))

    def decode(self, steps):
        """The strings of `counts.Steps`, a list; a string that was cut has no end and ends in '…'.

        Raises
        ------
        ValueError
            If the steps belong to a table of another size.

        Examples
        --------
        >>> words = from_items(["on", "no"])
        >>> words.decode(words.encode(["no", "", "onno"]))
        ['no', '', 'onno']
        """
        if steps.shape != (self.size, self.size):
            raise ValueError(f"steps must be over a table of {(self.size, self.size)}, "
                             f"got {steps.shape}")
        symbols = steps.index % self.size
        text = self._codes()[symbols].tobytes().decode("utf-32-le")
        strings = (text[i:j] for i, j in zip(steps.starts[:-1], steps.starts[1:]))
        return [string[:-1] if string.endswith(END) else string + "…" for string in strings]


def from_items(items):
    """The vocabulary of a corpus: every character that occurs in `items`.

    Raises
    ------
    ValueError
        If there are no items, or fewer than two letters: a single one leaves nothing to model.

    Examples
    --------
    >>> from_items(["on", "no"])
    Vocabulary(letters='no')
    """
    letters = "".join(sorted(set("".join(items)) - {END}))
    if len(items) == 0:
        raise ValueError("the corpus is empty")
    if len(letters) < 2:
        raise ValueError(f"the corpus must have at least two different letters, got {letters!r}")
    return Vocabulary(letters)
