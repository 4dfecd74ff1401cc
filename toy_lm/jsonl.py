"""Data files: the forms in which people keep demonstrations and preferences.

One record per line, each a JSON object; the forms are those of the library TRL, so that its
datasets can be read here and ours there:

    preferences      {"prompt": …, "chosen": …, "rejected": …}
                     {"chosen": …, "rejected": …}          the prompt is in both: implicit
    rankings         {"prompt": …, "ranking": [best, …, worst]}    an extension of ours
    unpaired         {"prompt": …, "completion": …, "label": true or false}
    prompts          {"prompt": …}
    demonstrations   {"prompt": …, "completion": …}        written only

*The implicit form* is also that of Anthropic's data on helpfulness and harmlessness, where both
strings are whole dialogues.  Where the prompt ends is not said, so the reader takes the *longest
common prefix* for it.  If the two responses begin alike, that is longer than the prompt was.  It
makes no difference to learners that compare sums of log-probabilities, as
`minirl.people.reward_model` and `minirl.people.dpo` do: the steps that both strings share cancel in
every row of (counts.3).  To a mean over the response it does make one.

*Two equal responses* say nothing about what is better, and well-known data hold such pairs.  They
are read and counted, for you to decide.

*Dialogues* are lists of messages, {"role": "user" or "assistant", "content": …}.  Longer ones are
not read: there is no one to speak to here.  But a question and its answer are a prompt and a
completion, under the name "messages", and so are lists of one message in the place of a string, and
two dialogues that begin with one question as "chosen" and "rejected".

A line that is no such record is refused, by its number and with the reason.  Blank lines are not
records, entries of other names are ignored, and null is as if it were not there.

Read first: `corpora`.  Read next: `demonstrations`.
Source: the dataset formats of TRL, https://huggingface.co/docs/trl/dataset_formats; Bai et al.
2022, "Training a helpful and harmless assistant", arXiv:2204.05862.
"""

import json
import os
from typing import NamedTuple

from minirl.console import counted
from minirl.files import read_bytes, shown, split_lines, write_bytes


class Demonstration(NamedTuple):
    """A prompt and what should follow it; plain text has the empty prompt."""

    prompt: str
    completion: str


class Pair(NamedTuple):
    """Two responses to a prompt, of which the first was preferred."""

    prompt: str
    chosen: str
    rejected: str


class Labelled(NamedTuple):
    """One response to a prompt, and whether it was liked."""

    prompt: str
    completion: str
    label: bool


class Ranking(NamedTuple):
    """Two or more responses to a prompt, the best first."""

    prompt: str
    ranking: tuple


class Reading(NamedTuple):
    """What a file held."""

    records: list
    lines: list  # the number of each record's line


_TWICE = object()  # the value of a name that an object has twice


def read_preferences(path):
    """What a file says about responses: `Reading` of `Pair`, `Ranking` and `Labelled`.

    `-` is standard input.  A file that cannot be read, or a line that is no record, is a ValueError
    with the number of the line and the reason.

    Examples
    --------
    >>> read_preferences(os.devnull)
    Reading(records=[], lines=[])
    """
    return _read(path, _preference)


def read_prompts(path):
    """The prompts of a file, as `Reading` of str; the rest is as for `read_preferences`.

    Examples
    --------
    >>> read_prompts(os.devnull).records
    []
    """
    return _read(path, lambda found: _texts(found, "prompt")[0])


def write(path, records):
    """Write records of any kind, a line each; preferences in the explicit form.

    Reading them gives the same records.

    Parameters
    ----------
    path : str or path
        `-` is standard output.
    records : list of Demonstration, Pair, Labelled or Ranking

    Raises
    ------
    ValueError
        If a string is no Unicode text; the record is named, counted from 1.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(folder + "/pairs.jsonl", [Pair("k", "ato", "kk")])
    ...     print(Path(folder, "pairs.jsonl").read_text(), end="")
    {"prompt": "k", "chosen": "ato", "rejected": "kk"}
    """
    _write(path, [record._asdict() for record in records])


def write_implicit(path, pairs):
    """Write preferences in the implicit form: the prompt at the head of both responses.

    Reading them gives the same whole strings; and the same prompts, unless responses begin alike.
    Parameters and errors are those of `write`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_implicit(folder + "/pairs.jsonl", [Pair("k", "ato", "kk")])
    ...     print(Path(folder, "pairs.jsonl").read_text(), end="")
    {"chosen": "kato", "rejected": "kkk"}
    """
    _write(path, [{"chosen": pair.prompt + pair.chosen, "rejected": pair.prompt + pair.rejected}
                  for pair in pairs])


def text_of(record):
    """All that a record says, as one string: the prompt and the responses.

    Examples
    --------
    >>> text_of(Ranking("k", ("ato", "kk"))), text_of(Labelled("k", "ato", True))
    ('katokk', 'kato')
    """
    return "".join(map("".join, record[:2] if isinstance(record, Labelled) else record))


def _object(line):
    """The JSON object of a line of bytes; ValueError says what is wrong with it."""
    try:
        # Numbers are not needed, and as floats they may have any number of digits.
        found = json.loads(line.decode("utf-8"), object_pairs_hook=_entries, parse_int=float)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {line[error.start]:#04x})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("not JSON that can be read (nested too deeply)") from None
    if not isinstance(found, dict):
        raise ValueError(f"must be a JSON object, got {_kind(found)}")
    if "messages" in found and not {"prompt", "chosen"} & set(found):
        names = {"user": "prompt", "assistant": "completion"}
        found |= {names[role]: text for role, text in _turns('"messages"', found["messages"])}
    return found


def _entries(pairs):
    """An object without what is null; what is named twice is `_TWICE`, an error where it is used.
    """
    found = {}
    for name, value in pairs:
        found[name] = _TWICE if name in found else value
    return {name: value for name, value in found.items() if value is not None}


def _turns(name, messages):
    """The (role, content) of a question, an answer, or both."""
    roles = messages
    if isinstance(messages, list):
        roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    if roles not in (["user"], ["assistant"], ["user", "assistant"]):
        got = counted(len(roles), "message") if isinstance(roles, list) else _kind(roles)
        raise ValueError(f"{name} must be one user turn, one answer or both, got {got}")
    return [(message["role"], _string(f'"content" in {name}', message.get("content")))
            for message in messages]


def _kind(value):
    """What a JSON value is, in the words of JSON."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false",
             type(None): "null", object: "two values"}
    return names.get(type(value), "a number")


def _text(name, value):
    """A string, or the content of a list of one message."""
    if isinstance(value, list):
        (_, value), *more = _turns(name, value)
        if more:
            raise ValueError(f"{name} must be a string or one message, got two messages")
    return _string(name, value)


def _string(name, value):
    """A string that can be written again."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {_kind(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{name} contains a lone surrogate, no character") from None
    return value


def _texts(found, *names):
    """The strings of these names, all of which must be there."""
    for name in names:
        if name not in found:
            raise ValueError(f'"{name}" is missing')
    return [_text(f'"{name}"', found[name]) for name in names]


def _preference(found):
    if "chosen" not in found and "ranking" in found:
        return _ranking(found)
    if "chosen" not in found and ("label" in found or "completion" in found):
        return _labelled(found)
    if "prompt" in found:
        return Pair(*_texts(found, "prompt", "chosen", "rejected"))
    if all(isinstance(found.get(name), list) for name in ("chosen", "rejected")):
        (*asked, chosen), (*other, rejected) = (
            _turns(f'"{name}"', found[name]) for name in ("chosen", "rejected"))
        if not asked or asked != other:
            raise ValueError('"chosen" and "rejected" must answer the same user turn')
        return Pair(asked[0][1], chosen[1], rejected[1])
    chosen, rejected = _texts(found, "chosen", "rejected")
    prompt = os.path.commonprefix([chosen, rejected])
    return Pair(prompt, chosen[len(prompt):], rejected[len(prompt):])


def _labelled(found):
    if not isinstance(found.get("label"), bool):
        raise ValueError('"label" is missing' if "label" not in found else
                         f'"label" must be true or false, got {_kind(found["label"])}')
    return Labelled(*_texts(found, "prompt", "completion"), found["label"])


def _ranking(found):
    ranking = found["ranking"]
    if not isinstance(ranking, list) or len(ranking) < 2:
        got = f"a list of {len(ranking)}" if isinstance(ranking, list) else _kind(ranking)
        raise ValueError(f'"ranking" must be a list of at least two strings, got {got}')
    return Ranking(*_texts(found, "prompt"),
                   tuple(_text('a response in "ranking"', text) for text in ranking))


def _read(path, parse):
    records, numbers = [], []
    for number, line in enumerate(split_lines(read_bytes(path)), start=1):
        if line.strip():
            try:
                records.append(parse(_object(line)))
            except ValueError as error:
                raise ValueError(f"{shown(path)}, line {number}: {error}") from None
            numbers.append(number)
    return Reading(records, numbers)


def _write(path, objects):
    lines = []
    for number, found in enumerate(objects, start=1):
        try:
            lines.append((json.dumps(found, ensure_ascii=False) + "\n").encode("utf-8"))
        except UnicodeEncodeError:
            raise ValueError(f"record {number} contains a lone surrogate, which is no "
                             f"character") from None
    write_bytes(path, b"".join(lines))
