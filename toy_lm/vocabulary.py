"""How does a string become steps of a table?

*Worlds to read, after `sft`.  Next: `corpora`.*

A policy is a table over numbered states and actions, and a text is made of characters.  This
chapter numbers the characters, so that everything the book does with steps can be done with
strings.  A *corpus* is a list of strings, and its *vocabulary* holds the characters that occur in
it, sorted.  They are the *symbols* 1, 2, … in this order.

Symbol 0 is special.  As an action it ends the string.  As a state it is the beginning: nothing has
been written yet.  One symbol can do both, because nothing is written after the end.  A model of A
symbols therefore knows A − 1 letters.

**In numbers.**  The letters of "on" and "no" are n and o, so n is 1 and o is 2.  A string has one
more step than it has letters.  Each step is a pair (previous symbol, next symbol), and the last one
writes the end:

    "on"  →  (0, o) (o, n) (n, 0)  =  (0, 2) (2, 1) (1, 0)                          (vocabulary.1)

`counts` numbers the step (s, a) by s · A + a.  With A = 3 these are 0 · 3 + 2 = 2, 2 · 3 + 1 = 7
and 1 · 3 + 0 = 3.  The string "no" follows, and `starts` says where each string begins:

>>> words = from_items(["on", "no"])
>>> steps = words.encode(["on", "no"])
>>> print(steps.index, steps.starts)
[2 7 3 1 5 6] [0 3 6]

**All at once.**  No loop over the strings is needed.  Laid end to end, with an end after each, the
texts are one vector of symbols: the actions.  The states are the same vector shifted by one place,
with 0 where a string begins:

    text      o  n  end  n  o  end
    actions   2  1   0   1  2   0
    states    0  2   1   0  1   2

**Longer memories.**  Here the state is the last letter, and the model a bigram, of *order* 2.  In a
model of a higher order the state is the last order − 1 symbols, with zeros before the first letter.
They are read as the digits of a number in base A.  So there are S = A^(order − 1) states.  At order
3 the state after "on" has the digits 2 and 1, and is 2 · 3 + 1 = 7.

How does a step change the state?  Writing a moves every digit one place to the left, which
multiplies s by A, and puts a in the last place.  Then there is one digit too many.  The first digit
is worth a multiple of A^(order − 1) = S, so the remainder of a division by S is the number without
it:

    s' = (s · A + a) mod S.                                                         (vocabulary.2)

At order 3 with A = 3, S is 9.  The string "onno" begins in 0.  It goes on to 0 · 3 + 2 = 2, to 2 ·
3 + 1 = 7, to (7 · 3 + 1) mod 9 = 4 and to (4 · 3 + 2) mod 9 = 5.  The number of a step is s · A +
a, so a division by A = 3 leaves the state:

>>> print(words.encode(["onno"], order=3).index // 3)
[0 2 7 4 5]

The table stays S × A, and no learner needs to know what its rows mean.  Order 1 has a single state
and remembers nothing.  What a memory costs is the size of its table, A^order entries.  For the 27
symbols of the running example and the orders 2 to 5 these are

>>> print([27**order for order in (2, 3, 4, 5)])
[729, 19683, 531441, 14348907]

**Prompts.**  A *prompt* is the first letters of a string, and its *completion* is the rest.  What
is written next depends only on the state that the prompt leaves behind.  A bigram remembers only
the last letter of it, so "k" and "think" are one prompt to it.  `encode` leaves out the steps of a
prompt, as `sft` demands:

>>> print(words.encode(["n"], prompts=["o"]).index, words.state("o"))  # (o, n), (n, 0)
[7 3] 2

**Exercises.**  `from toy_lm.vocabulary import *`
1. Are "on" and "noon" the same prompt?  For the orders 2, 3 and 4:
       words = from_items(["on", "no"])
       [words.state("on", order=order) == words.state("noon", order=order) for order in (2, 3, 4)]
2. How many steps are two empty strings?
       from_items(["on", "no"]).encode(["", ""]).index.tolist()
3. Another program has written a row of symbols with an end in the middle.  Which string is it?
       words = from_items(["on", "no"])
       words.decode(from_tokens(np.array([[1, 2, 0, 1, 2]]), words.shape()))

Read next: `corpora`, real texts to encode.
"""

from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.kernel import checks, counts

END = "\n"  # what stands for symbol 0 in text; an item is one line, so it cannot contain it


@storable
class Vocabulary(NamedTuple):
    """The letters of symbols 1 … A − 1, sorted by code point.  Made by `from_items`."""

    letters: str

    @property
    def size(self):
        """A, the number of symbols, the end included."""
        return len(self.letters) + 1

    def shape(self, order=2):
        """(S, A), the shape of the tables of a model of this order ≥ 1."""
        order = checks.whole("order", order)
        if self.size**min(order, 31) >= 2**31:  # of a huge order the power would take for ever
            raise ValueError(f"order must be lower for {self.size} symbols: a table of "
                             f"{self.size}^{order} entries cannot be numbered with 32 bits")
        return self.size**(order - 1), self.size

    def _codes(self):
        """The code point of each symbol: (A,) uint32."""
        codes = np.frombuffer((END + self.letters).encode("utf-32-le"), dtype="<u4")
        if (codes[1:-1] >= codes[2:]).any():
            raise ValueError(f"letters must be sorted and different, got {self.letters!r}")
        return codes

    def encode(self, items, *, order=2, prompts=None) -> counts.Steps:
        """The steps (vocabulary.1) of strings, as `counts.Steps` over an (S, A) table.

        Of what precedes an item, its prompt, the steps are left out, and those of the item begin in
        the state that it leaves.  What cannot be read is named by its item, counted from 1.

        Examples
        --------
        >>> words = from_items(["on", "no"])  # n is 1, o is 2
        >>> steps = words.encode(["on"])
        >>> print(steps.index, steps.starts, steps.shape)
        [2 7 3] [0 3] (3, 3)
        >>> steps = words.encode(["n"], order=3, prompts=["o"])
        >>> print(steps.index, steps.shape)  # states 00→o, and then 0o and on
        [ 7 21] (9, 3)
        """
        shape = self.shape(order)
        _check_strings("items", items)
        prompts = [""] * len(items) if prompts is None else prompts
        _check_strings("prompts", prompts)
        if len(prompts) != len(items):
            raise ValueError(f"prompts must be one per item, {len(items)}, got {len(prompts)}")
        text = "".join(prompt + item + END for prompt, item in zip(prompts, items))
        if text.count(END) != len(items):
            i = next(i for i, whole in enumerate(zip(prompts, items), start=1)
                     if END in "".join(whole))
            raise ValueError(f"item {i} contains a line feed; an item is one line")
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        known = self._codes()
        ends = codes == ord(END)
        symbols = np.where(ends, 0, np.searchsorted(known[1:], codes) + 1)
        wrong = ~ends & (known[np.minimum(symbols, self.size - 1)] != codes)
        if wrong.any():
            n = int(wrong.argmax())
            item = int(ends[:n].sum()) + 1
            raise ValueError(f"item {item} contains {text[n]!r}, which is not in "
                             f"the vocabulary of {len(self.letters)} letters")
        starts = np.append(0, np.flatnonzero(ends) + 1)
        given = np.array([len(prompt) for prompt in prompts], int)
        return counts.steps(*_completions(symbols, starts, given, shape), shape)

    def state(self, prompt, *, order=2):
        """The state that a prompt leaves behind: int.

        Examples
        --------
        >>> words = from_items(["on", "no"])
        >>> words.state(""), words.state("on"), words.state("on", order=3)
        (0, 1, 7)
        """
        try:
            return int(self.encode([""], order=order, prompts=[prompt]).index[0]) // self.size
        except ValueError as error:
            raise ValueError(str(error).replace("item 1", f"the prompt {prompt!r}")) from None

    def decode(self, steps):
        """The strings of `counts.Steps`, a list; a string that was cut has no end and ends in '…'.

        Examples
        --------
        >>> words = from_items(["on", "no"])
        >>> words.decode(words.encode(["no", "", "onno"]))
        ['no', '', 'onno']
        """
        if steps.shape[1] != self.size:
            raise ValueError(f"steps must be over a table of {self.size} symbols, "
                             f"got {steps.shape}")
        symbols = steps.index % self.size
        text = self._codes()[symbols].tobytes().decode("utf-32-le")
        strings = (text[i:j] for i, j in zip(steps.starts[:-1], steps.starts[1:]))
        return [string[:-1] if string.endswith(END) else string + "…" for string in strings]


def _check_strings(name, strings):
    strange = [strings] if isinstance(strings, str) else [
        string for string in strings if not isinstance(string, str)]
    if strange:
        raise ValueError(f"{name} must be a list of strings, got {strange[0]!r}")


def _completions(symbols, starts, given, shape):
    """(states, actions, starts) of the steps after the first `given` (B,) of each string."""
    S, A = shape
    lengths = np.diff(starts)
    place = np.arange(symbols.size) - np.repeat(starts[:-1], lengths)
    states, digit, back = np.zeros(symbols.size, int), 1, 1
    while digit < S:
        before = np.append(np.zeros(back, int), symbols)[:symbols.size]
        states += np.where(place >= back, before, 0) * digit
        digit, back = digit * A, back + 1
    if digit != S:
        raise ValueError(f"shape must be (A^(order - 1), A), got {shape}")
    kept = place >= np.repeat(given, lengths)
    return states[kept], symbols[kept], np.append(0, np.cumsum(lengths - given))


def from_items(items) -> Vocabulary:
    """The vocabulary of a corpus: every character that occurs in `items`.

    It needs two letters, since a single one leaves only the length.

    Examples
    --------
    >>> from_items(["on", "no"])
    Vocabulary(letters='no')
    """
    _check_strings("items", items)
    letters = "".join(sorted(set("".join(items)) - {END}))
    if len(items) == 0:
        raise ValueError("the corpus is empty")
    if len(letters) < 2:
        raise ValueError(f"the corpus must have at least two different letters, got {letters!r}")
    return Vocabulary(letters)


def from_tokens(tokens, shape) -> counts.Steps:
    """The steps of rows of symbols (B, T) int, as other programs hold them: padded to one length.

    What comes after the first 0 of a row means nothing.  A row without a 0 was cut.  `shape` is
    `Vocabulary.shape`.

    Examples
    --------
    >>> words = from_items(["on", "no"])
    >>> words.decode(from_tokens(np.array([[2, 1, 0, 2, 9], [1, 2, 1, 2, 1]]), words.shape()))
    ['on', 'nonon…']
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"tokens must be integers of shape (B, T), got {tokens.dtype} of shape "
                         f"{tokens.shape}")
    tokens = tokens.astype(np.int64)
    alive = np.cumsum(tokens == 0, axis=1) == (tokens == 0)  # up to the first end, and with it
    starts = np.append(0, np.cumsum(alive.sum(axis=1)))
    # A symbol out of range would make a state out of range as well; the actions say it better.
    symbols = tokens[alive]
    if symbols.size and not (0 <= symbols.min() and symbols.max() < shape[1]):
        raise ValueError(f"tokens must lie in [0, {shape[1]}), got "
                         f"[{symbols.min()}, {symbols.max()}]")
    return counts.steps(*_completions(symbols, starts, np.zeros(len(tokens), int), shape), shape)
