"""A model and its alphabet: fitted, saved, and loaded again.

A table alone cannot be read: which row is "k"?  So a `Model` keeps the vocabulary with it, and
knows what one wants of both: strings as steps and back, and the world in which it acts.  `fit`
counts a corpus (`minirl.people.sft`), with a pseudo-count or by `smoothing`.

On disk a model is one `.npz` file, NumPy's archive of plain arrays,

    version   the number of this format, 1
    letters   the code points of the letters, rising
    logits    the table, (S, A) floating-point numbers

and nothing that would have to be *executed* to be read: pickled objects are refused.  A file comes
from anywhere, so every entry is checked, and whatever is wrong with it is one kind of error.

Read first: `ngram`, `smoothing`.  Read next: `rewards`.
"""

import io
import warnings
import zipfile
from typing import NamedTuple

import numpy as np

from minirl.files import read_bytes, shown, write_bytes
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.people.sft import fit_by_counting
from toy_lm.ngram import language, order_of, sample, widen
from toy_lm.vocabulary import END, Vocabulary, from_items

VERSION = 1
ENTRIES = "version", "letters", "logits"


class Model(NamedTuple):
    """A language model: its letters and its table."""

    vocabulary: Vocabulary
    logits: np.ndarray  # (S, A)

    @property
    def order(self):
        """How many characters the model sees at once, the next one included; 2 is a bigram."""
        return order_of(self.logits.shape)

    @property
    def policy(self):
        """π, (S, A)."""
        return np.exp(log_softmax(self.logits))

    def encode(self, items, prompts=None):
        """The steps of strings over this table: `Vocabulary.encode`."""
        return self.vocabulary.encode(items, order=self.order, prompts=prompts)

    def state(self, prompt):
        """The state that a prompt leaves behind: `Vocabulary.state`."""
        return self.vocabulary.state(prompt, order=self.order)

    def write(self, strings, *, rng):
        """So many strings of the model, as a list of str; one that is cut ends in '…'."""
        return self.vocabulary.decode(sample(self.logits, strings, rng=rng))

    def world(self, rewards):
        """The `language` of a reward table, which may be of a lower order than the model."""
        return language(widen(rewards, self.order))


def fit(items, *, order=2, pseudo_count=0.1, smoothing=None, vocabulary=None, also=()):
    """The `Model` of a corpus, a list of str, by counting.

    Parameters
    ----------
    order : int ≥ 1
    pseudo_count : float ≥ 0
        α of (sft.3).
    smoothing : function from counts (S, A) to a policy (S, A), optional
        `smoothing.witten_bell` or `smoothing.kneser_ney`, in place of the pseudo-count.
    vocabulary : Vocabulary, optional
        By default the letters of the items,
    also : list of str or `jsonl.Pair`
        and those of the data that the model is meant for.

    Examples
    --------
    >>> model = fit(["on", "no", "o"], pseudo_count=0, also=[("", "to", "n")])
    >>> print(model.vocabulary.letters, model.policy[0].round(4))
    not [0.     0.3333 0.6667 0.    ]
    >>> fit(["kato", "kata"]).write(3, rng=0)
    ['kkattatoo', 'ka', 'ta']
    """
    if vocabulary is None:
        vocabulary = from_items([*items, *map("".join, also)])
    table = counts.table(vocabulary.encode(items, order=order))
    if smoothing is not None:
        if not callable(smoothing):
            raise ValueError(f"smoothing must be a function of counts, got {smoothing!r}")
        table, pseudo_count = smoothing(table), 0
    return Model(vocabulary, fit_by_counting(table, pseudo_count=pseudo_count))


def save(path, model):
    """Write a model as an `.npz` file, whole or not at all; `-` is standard output.

    Examples
    --------
    >>> import os
    >>> save(os.devnull, fit(["on", "no"]))
    """
    letters = np.array([ord(c) for c in model.vocabulary.letters], np.uint32)
    logits = np.asarray(model.logits, float)
    _checked(np.array(VERSION), letters, logits)
    data = io.BytesIO()
    np.savez_compressed(data, version=VERSION, letters=letters, logits=logits)
    write_bytes(path, data.getvalue())


def load(path):
    """Read a model back, as it was: `Model`; `-` is standard input.

    Examples
    --------
    >>> import os
    >>> load(os.devnull)
    Traceback (most recent call last):
    ValueError: /dev/null holds no model: it is no .npz archive
    """
    data = read_bytes(path)
    try:
        return _parse(data)
    except ValueError as error:
        raise ValueError(f"{shown(path)} holds no model: {error}") from None


def _parse(data):
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("it is no .npz archive")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                damaged = archive.zip.testzip()  # before a damaged header is believed
                found = {} if damaged else {name: archive[name] for name in ENTRIES
                                            if name in archive.files}
    except Exception as error:  # whatever zipfile, zlib and NumPy find wrong with an archive
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from None
    if damaged:
        raise ValueError(f"the entry {damaged!r} is damaged")
    for name in ENTRIES:
        if not isinstance(found.get(name), np.ndarray):
            raise ValueError(f"the entry {name!r} is "
                             f"{'no array' if name in found else 'missing'}")
    return _checked(*(found[name] for name in ENTRIES))


def _checked(version, letters, logits):
    """A `Model` of arrays that may hold anything."""
    if version.shape != () or not np.issubdtype(version.dtype, np.integer) or version != VERSION:
        raise ValueError(f"the format must be version {VERSION}, got {version}")
    if letters.dtype != np.uint32 or letters.ndim != 1 or letters.size < 2:
        raise ValueError(f"letters must be a vector of at least two uint32, got {letters.dtype} of "
                         f"shape {letters.shape}")
    codes = letters.astype(int)
    if (np.diff(codes) <= 0).any():
        raise ValueError("letters must rise")
    if codes[-1] > 0x10FFFF or np.isin(codes, [ord(END), *range(0xD800, 0xE000)]).any():
        raise ValueError("letters must be characters other than the line feed")
    if logits.dtype != np.float64 or logits.ndim != 2 or logits.shape[1] != letters.size + 1:
        raise ValueError(f"logits must be a float64 table with {letters.size + 1} columns, one per "
                         f"letter and one for the end, got {logits.dtype} of shape {logits.shape}")
    order_of(logits.shape)
    if not np.isfinite(logits.max(axis=1)).all():  # of NaN and a number, the largest is NaN
        raise ValueError("logits must be numbers below infinity, one of each row finite")
    return Model(Vocabulary("".join(map(chr, codes))), logits)
