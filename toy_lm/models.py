"""A model is a table and its letters: how are they fitted, saved and loaded?

*Worlds to read, after `sft`.  Previous: `exact`.  Next: `rewards`.*

A table alone cannot be read: which row is "k"?  So a `Model` keeps the vocabulary with it.  It
knows what one wants of both: strings as steps and back, and the world in which it acts.

**Three words.**  `fit` counts the steps of a corpus and divides each row by its sum (`sft`).  For
the words "on", "no" and "noon" the rows are start, n and o, and the columns are end, n and o:

>>> model = fit(["on", "no", "noon"], pseudo_count=0)
>>> print(model.vocabulary.letters, model.order)
no 2
>>> print(model.policy.round(4))
[[0.     0.6667 0.3333]
 [0.5    0.     0.5   ]
 [0.25   0.5    0.25  ]]
>>> model.write(4, rng=4)
['on', 'noonon', 'nono', 'o']

The model can be asked how likely a string is, letter by letter.  "noon" has the steps start→n, n→o,
o→o, o→n, n→end, hence ⅔ · ½ · ¼ · ½ · ½ = 1/48:

>>> from toy_lm.ngram import score
>>> print(np.exp(score(model.logits, model.encode(["noon"]))).round(4), round(1 / 48, 4))
[0.0208] 0.0208

**Which letters?**  Those of the corpus.  A letter outside of them has no row and cannot be encoded.
If the model is meant for data that have more letters, `also` takes them along.  What nobody has
seen is divided as the pseudo-count α of (sft.3) says, 0.1 by default.  `smoothing` is another way:
it makes a policy of the counts, and takes the place of the pseudo-count.

**How long a memory?**  The order is the number of characters that the model sees at once, the next
one included.  A bigram has the order 2.  At order 3 the state is the last two characters, and the
three words leave only one question open after the first letter: what follows "no".  Then the model
can write nothing but these words.  Each has the probability ⅓, the entropy is log 3 per string, and
11/3 characters per string make a perplexity of e^(3 log 3/11) = 1.3493:

>>> from toy_lm.exact import summary
>>> parrot = fit(["on", "no", "noon"], order=3, pseudo_count=0)
>>> print(sorted(set(parrot.write(1000, rng=0))), round(summary(parrot.logits).perplexity, 4))
['no', 'noon', 'on'] 1.3493

That is a low perplexity on words it has seen, and an infinite one on any other word.  A model is
judged by words that were held out (`corpora`).

**On disk** a model is one `.npz` file, NumPy's archive of plain arrays:

    version   the number of this format, 1
    letters   the code points of the letters, rising         n and o: 110 and 111
    logits    the table, S × A floating-point numbers        log 0 is kept as −∞

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     save(folder + "/three.npz", model)
...     with np.load(folder + "/three.npz") as archive:
...         print(archive["version"], archive["letters"], archive["logits"].shape)
...     same = load(folder + "/three.npz")
1 [110 111] (3, 3)
>>> print(same.vocabulary.letters, (same.logits == model.logits).all())
no True

Python's own format for objects, the *pickle*, may hold instructions that are executed when it is
read.  Such entries are refused.  A file comes from anywhere, so every entry is checked, and
whatever is wrong with it is one kind of error, a ValueError that names the file.

**What it costs.**  The table has A times as many entries for each order more, and 27 symbols make
27 · 27 = 729 of them at order 2.  It is kept whole, with all the zeros.

**Exercises.**  `from toy_lm.models import *; three = ["on", "no", "noon"]`
1. Order 1 remembers nothing.  No word is empty: how likely is the empty string?
       fit(three, order=1, pseudo_count=0).policy.round(4)
2. The corpus is the single word "on", and the model knows x too.  What does it write after an x,
   and what after an n, with the pseudo-count of 0.1?
       model = fit(["on"], also=["x"])
       model.policy[model.state("x")].round(4), model.policy[model.state("n")].round(4)
3. "no" three times, "on" once.  How likely is "on", and is that one in four?
       from toy_lm.ngram import score
       model = fit(["no", "no", "no", "on"], pseudo_count=0)
       np.exp(score(model.logits, model.encode(["on"]))).round(4)

Read next: `rewards`, which say what makes a string good.
"""

import io
import warnings
import zipfile
from math import prod
from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.files import read_bytes, shown, write_bytes
from minirl.kernel import counts
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.softmax import log_softmax
from minirl.people.sft import fit_by_counting
from toy_lm.ngram import language, order_of, sample, widen
from toy_lm.vocabulary import END, Vocabulary, from_items

VERSION = 1
ENTRIES = "version", "letters", "logits"
MOST_NUMBERS = 2**26  # numbers of a table, half a gigabyte


@storable
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

    def encode(self, items, prompts=None) -> counts.Steps:
        """The steps of strings over this table: `Vocabulary.encode`."""
        return self.vocabulary.encode(items, order=self.order, prompts=prompts)

    def state(self, prompt):
        """The state that a prompt leaves behind: `Vocabulary.state`."""
        return self.vocabulary.state(prompt, order=self.order)

    def write(self, strings, *, rng):
        """So many strings of the model, as a list of str; one that is cut ends in '…'."""
        return self.vocabulary.decode(sample(self.logits, strings, rng=rng))

    def world(self, rewards) -> TabularMDP:
        """The `language` of a reward table, which may be of a lower order than the model."""
        return language(widen(rewards, self.order))


def fit(items, *, order=2, pseudo_count=0.1, smoothing=None, vocabulary=None, also=()) -> Model:
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


def load(path) -> Model:
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
    if not (data.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(data))):
        raise ValueError("it is no .npz archive")
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as archive:
            warnings.simplefilter("error")
            _check_room(archive.infolist())
            damaged = archive.testzip()  # before a damaged header is believed
            found = {} if damaged else {name: _array(archive.read(f"{name}.npy"))
                                        for name in ENTRIES if f"{name}.npy" in archive.namelist()}
    except Exception as error:  # whatever zipfile, zlib and NumPy find wrong with an archive
        raise ValueError(f"it cannot be read ({type(error).__name__}: "
                         f"{' '.join(str(error).split())})") from None
    if damaged:
        raise ValueError(f"the entry {damaged!r} is damaged")
    for name in ENTRIES:
        if found.get(name) is None:
            raise ValueError(f"the entry {name!r} is "
                             f"{'no array' if name in found else 'missing'}")
    return _checked(*(found[name] for name in ENTRIES))


def _check_room(entries):
    """Refuse what is small as a file and would be huge in memory, before it is unfolded.

    The library unfolds what is packed in other ways all at once.
    """
    if not {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError("its entries must be stored or deflated")
    if sum(entry.file_size for entry in entries) > 16 * MOST_NUMBERS:
        raise ValueError(f"its entries must have at most {16 * MOST_NUMBERS:,} bytes in all")


def _array(entry):
    """The array of an entry, whose header may not promise more than there is; None if it is none.
    """
    file, form = io.BytesIO(entry), np.lib.format
    if not entry.startswith(form.MAGIC_PREFIX):
        return None
    if form.read_magic(file) != (1, 0):
        raise ValueError("its arrays must have the format 1.0 of NumPy")
    shape, _, dtype = form.read_array_header_1_0(file)
    if prod(shape) * dtype.itemsize > len(entry):
        raise ValueError(f"an array promises {prod(shape) * dtype.itemsize:,} bytes")
    return form.read_array(io.BytesIO(entry), allow_pickle=False)


def _checked(version, letters, logits):
    """A `Model` of arrays that may hold anything."""
    if version.shape != () or not np.issubdtype(version.dtype, np.integer) or version != VERSION:
        got = _kind(version) if version.shape else repr(version.item())
        raise ValueError(f"the format must be version {VERSION}, got {got:.40}")
    if letters.dtype != np.uint32 or letters.ndim != 1 or letters.size < 2:
        raise ValueError(f"letters must be a vector of at least two uint32, got {_kind(letters)}")
    codes = letters.astype(int)
    if (np.diff(codes) <= 0).any():
        raise ValueError("letters must rise")
    if codes[-1] > 0x10FFFF or ((codes == ord(END)) | (codes >> 11 == 0xD800 >> 11)).any():
        raise ValueError("letters must be characters other than the line feed")
    if logits.dtype != np.float64 or logits.ndim != 2 or logits.shape[1] != letters.size + 1:
        raise ValueError(f"logits must be a float64 table with {letters.size + 1} columns, one per "
                         f"letter and one for the end, got {_kind(logits)}")
    if logits.size > MOST_NUMBERS:
        raise ValueError(f"logits must be at most {MOST_NUMBERS:,} numbers, got {logits.size:,}")
    order_of(logits.shape)
    if not np.isfinite(logits.max(axis=1)).all():  # of NaN and a number, the largest is NaN
        raise ValueError("logits must be numbers below infinity, one of each row finite")
    return Model(Vocabulary("".join(map(chr, codes))), logits)


def _kind(array):
    """What an array is, in a few words."""
    return f"{array.dtype} of shape {array.shape}"
