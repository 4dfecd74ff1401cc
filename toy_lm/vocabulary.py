"""The vocabulary: characters to numbers and back.

Symbol 0 is special.  As an action it ends the string.  As a state it is the beginning: nothing has
been written yet.  One symbol can do both, because a string is never asked what follows its end.
The characters of the corpus, sorted, are the symbols 1, 2, …, so a model of A symbols knows A − 1
letters.

A string of n letters is n + 1 steps (previous symbol, next symbol), the last of which writes the
end:

    "on"  →  (0, o) (o, n) (n, 0)                                                     (vocabulary.1)

*Longer memories.*  Here the state is the last letter, and the model a bigram, a model of *order* 2.
In a model of order m the state is the last m − 1 symbols, read as the digits of a number, with
zeros before the first letter.  There are S = A^(m−1) of them, and writing a moves every digit one
place to the left and drops the first:

    s' = (s·A + a) mod S.                                                             (vocabulary.2)

The table stays S × A, and no learner needs to know what its rows mean.  Order 1 has a single state
and remembers nothing.

*Prompts.*  A prompt is the first letters of a string, and its completion the rest.  What is written
next depends only on the state that the prompt leaves behind: a bigram remembers only its last
letter, "k" and "think" are one prompt to it.

Strings are encoded all at once.  Laid end to end with a line feed after each, the text is one
vector of symbols, and the digits of the states are that vector shifted by one place, two places,
and so on, where that does not reach back over the beginning of the string.

Read first: `minirl.kernel.counts`.  Read next: `corpora`.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts

END = "\n"  # what stands for symbol 0 in text; an item is one line, so it cannot contain it


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

    def encode(self, items, *, order=2, prompts=None):
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


def from_items(items):
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


def from_tokens(tokens, shape):
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
