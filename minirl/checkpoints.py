"""Appendix: how a record becomes a file, and the same record again, bit for bit.

`training.save` and `training.load` keep the records of all trainers, and the long jobs keep what
they have done.  A reader of the chapters needs no more than these two names.  This page says what
stands in a file, and what is done so that no damaged one is ever taken for a whole one.

**A file by hand.**  It begins with three lines that can be read, and then come the numbers of all
arrays, end to end, as they lie in memory.  A class of records is marked as `storable`, once, where
it is defined.  One record of such a class, with an array of two bytes:

>>> from collections import namedtuple
>>> Coin = storable(namedtuple("Coin", "side tosses"))
>>> data = packed(Coin("head", np.array([65, 66], np.uint8)))
>>> for line in data.decode().splitlines():
...     print(line[:80])
minirl checkpoint 1
46db578b6879aef922698923cec0284742b2d83a6231006de5ecb22215c609ae 81
{"record": ["Coin", {"side": "head", "tosses": {"array": ["|u1", [2], [0]]}}]}
AB
>>> print(unpacked(data, "coin.checkpoint"))
Coin(side='head', tosses=array([65, 66], dtype=uint8))

The first line says what this is, and the version of the format.  The second one has the digest
SHA-256 of all that follows, a number that a change of any bit changes, and its length in bytes.
The third one is a tree in JSON.  What JSON has no word for stands in braces, behind its kind:

    record                a name, and its fields
    tuple, set, dict      what is in it.  The entries of a set are sorted
    array                 the type of its numbers, its shape, and its axes, the slowest first
    number                a number of NumPy: its type, and its bytes in hexadecimal
    float                 the bytes of a float that is infinite or no number

So a record is the same file in every process.  Axes are kept because a sum over an array that lies
in memory in another order may differ in its last bit, and then training would not go on bit for
bit.

**What may be in it.**  Numbers, text, None, and what the list names.  Nothing in a file is ever
executed: it is no *pickle*, and a name in it is only looked up among the classes that were marked.
A digest protects from accidents, not from people, who can compute one too.  So all that a stranger
can do is to write a record with other numbers in it.

**What is refused.**  Whatever is wrong with a file is a `CheckpointError`, a ValueError that names
the file and says why:

>>> newer = b"minirl checkpoint 2" + data[19:]
>>> for damaged in data[:-1], data[:-1] + b"C", b"hello", newer:
...     try:
...         unpacked(damaged, "coin.checkpoint")
...     except CheckpointError as error:
...         print(error)
coin.checkpoint: truncated, since 80 of 81 bytes are there
coin.checkpoint: changed after it was written, since its digest does not fit
coin.checkpoint: no checkpoint of this book
coin.checkpoint: of version 2, which is newer than the version 1 that is read here
"""

import io
import json
import re
from hashlib import sha256
from math import isfinite, prod

import numpy as np

from minirl.files import shown

FORMAT = 1  # its version
FIRST_LINE = f"minirl checkpoint {FORMAT}".encode()
NUMBERS = re.compile(r"[<>|][biufc]\d+")  # the types that arrays may have
_STORABLE = {}  # the classes that were marked, by name


class CheckpointError(ValueError):
    """A file that is no whole checkpoint, or that cannot be read or written: which one, and why."""


def storable(kind):
    """Mark a class of named tuples, whose records may then be written and read: the class.

    Examples
    --------
    >>> from collections import namedtuple
    >>> Coin = storable(namedtuple("Coin", "side tosses"))
    """
    known = _STORABLE.setdefault(kind.__name__, kind)
    if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ValueError(f"kind must have a name of its own, got {kind.__name__}, which "
                         f"{known.__module__} has marked before")
    if not hasattr(kind, "_fields"):
        raise ValueError(f"kind must be a class of named tuples, got {kind.__name__}")
    _STORABLE[kind.__name__] = kind
    return kind


def packed(record):
    """A record as the bytes of a file.

    Examples
    --------
    >>> from collections import namedtuple
    >>> Coin = storable(namedtuple("Coin", "side tosses"))
    >>> packed(Coin("tail", 0))[:19]
    b'minirl checkpoint 1'
    """
    if _STORABLE.get(type(record).__name__) is not type(record):
        raise ValueError(f"record must be of a class that is marked as storable, such as what a "
                         f"trainer yields, got {type(record).__name__}")
    arrays = []
    tree = _tree(record, "record", arrays)
    content = json.dumps(tree).encode() + b"\n" + b"".join(arrays)
    seal = f"{sha256(content).hexdigest()} {len(content)}".encode()
    return b"\n".join([FIRST_LINE, seal, content])


def unpacked(data, path):
    """The record in the bytes of a file, which messages call `path`.

    Examples
    --------
    >>> from collections import namedtuple
    >>> Coin = storable(namedtuple("Coin", "side tosses"))
    >>> unpacked(packed(Coin("tail", 0)), "coin.checkpoint").side
    'tail'
    """
    try:
        line, _, numbers = _content(data).partition(b"\n")
        numbers, tree = io.BytesIO(numbers), json.loads(line)
        if not isinstance(tree, dict) or "record" not in tree:
            raise ValueError("without a record")
        record = _built(tree, numbers)
        if numbers.read():
            raise ValueError("longer than its record")
        return record
    except ValueError as error:
        raise CheckpointError(f"{shown(path)}: {error}") from None
    except Exception as error:  # whatever else is odd about a file that somebody has made by hand
        raise CheckpointError(f"{shown(path)}: not to be understood ({type(error).__name__}: "
                              f"{error})") from None


def _content(data):
    """What follows the first two lines of a whole file."""
    first, newline, rest = data.partition(b"\n")
    version = re.fullmatch(rb"minirl checkpoint (0|[1-9]\d{0,8})", first)
    if not newline and FIRST_LINE.startswith(first):
        raise ValueError("truncated in its first line")
    if not newline or not version:
        raise ValueError("no checkpoint of this book")
    if (found := int(version[1])) != FORMAT:
        raise ValueError(f"of version {found}, which is {'older' if found < FORMAT else 'newer'} "
                         f"than the version {FORMAT} that is read here")
    seal, newline, content = rest.partition(b"\n")
    size = re.fullmatch(rb"[0-9a-f]{64} (\d{1,18})", seal)
    if not newline and len(seal) <= 64 + 1 + 18:
        raise ValueError("truncated in its second line")
    if size and len(content) < int(size[1]):
        raise ValueError(f"truncated, since {len(content)} of {int(size[1])} bytes are there")
    if seal != f"{sha256(content).hexdigest()} {len(content)}".encode():
        raise ValueError("changed after it was written, since its digest does not fit")
    return content


def _tree(value, where, arrays):
    """A value as a tree of JSON; the bytes of its arrays are appended to `arrays`."""
    kind = type(value)
    if value is None or kind in (bool, int, str) or kind is float and isfinite(value):
        return value
    if kind is float:
        return {"float": np.float64(value).tobytes().hex()}
    if kind is list:
        return [_tree(part, f"{where}[{i}]", arrays) for i, part in enumerate(value)]
    if kind is tuple:
        return {"tuple": _tree([*value], where, arrays)}
    if kind is dict:
        return {"dict": [[_tree(key, f"the key {key!r} of {where}", arrays),
                          _tree(part, f"{where}[{key!r}]", arrays)] for key, part in value.items()]}
    if kind is set:
        return {"set": sorted(_tree([*value], where, arrays), key=json.dumps)}
    if _STORABLE.get(kind.__name__) is kind:
        return {"record": [kind.__name__, {name: _tree(part, f"{where}.{name}", arrays)
                                           for name, part in value._asdict().items()}]}
    if isinstance(value, np.generic) and NUMBERS.fullmatch(value.dtype.str):
        return {"number": [value.dtype.str, value.tobytes().hex()]}
    if kind is np.ndarray and NUMBERS.fullmatch(value.dtype.str):
        axes = list(range(value.ndim))
        if not value.flags.c_contiguous:
            value = value.copy(order="K")
            axes.sort(key=lambda axis: -value.strides[axis])
        arrays.append(value.transpose(axes).tobytes())
        return {"array": [value.dtype.str, list(value.shape), axes]}
    raise ValueError(f"{where} must be a number, text, None, an array of numbers, a list, tuple, "
                     f"dict or set of these or a storable record, to be written to a file, got "
                     f"{kind.__name__}")


def _built(tree, numbers):
    """The value of a tree; the numbers of its arrays are read from a file."""
    if isinstance(tree, list):
        return [_built(part, numbers) for part in tree]
    if not isinstance(tree, dict):
        return tree
    (kind, content), = tree.items()
    if kind == "float":
        return float(np.frombuffer(bytes.fromhex(content))[0])
    if kind in ("tuple", "set"):
        return {"tuple": tuple, "set": set}[kind](_built(content, numbers))
    if kind == "dict":
        return {_built(key, numbers): _built(part, numbers) for key, part in content}
    if kind == "record":
        name, fields = content
        if name not in _STORABLE:
            raise ValueError(f"with a record {name!r}, which nothing here knows: import the "
                             f"module that defines it")
        if tuple(fields) != _STORABLE[name]._fields:
            raise ValueError(f"with a {name} of other fields ({', '.join(fields)}) than here "
                             f"({', '.join(_STORABLE[name]._fields)})")
        return _STORABLE[name]._make([_built(part, numbers) for part in fields.values()])
    if kind == "number":
        return np.frombuffer(bytes.fromhex(content[1]), _type(content[0]))[0]
    if kind == "array":
        name, shape, axes = content
        size = prod(shape) * _type(name).itemsize
        data = numbers.read(size) if size > 0 else b""
        laid = np.frombuffer(data, _type(name)).reshape([shape[axis] for axis in axes])
        return np.array(laid.transpose(np.argsort(axes)))
    raise ValueError(f"with a value of the unknown kind {kind!r}")


def _type(name):
    if not NUMBERS.fullmatch(name):
        raise ValueError(f"with an array of {name!r}, which are no numbers")
    return np.dtype(name)
