"""In which files do people keep demonstrations and preferences?

*Worlds to read, after `sft`.  Previous: `verifiers`.  Next: `demonstrations`.*

What people say about strings (`pairs`) is kept in text files, one record per line, each a JSON
object: names in quotation marks, a colon after each, and its value.  The forms here are those of
the library TRL, so that its data can be read here and ours there:

    preferences      {"prompt": …, "chosen": …, "rejected": …}
                     {"chosen": …, "rejected": …}          the prompt is in both: implicit
    rankings         {"prompt": …, "ranking": [best, …, worst]}    an extension of ours
    unpaired         {"prompt": …, "completion": …, "label": true or false}
    prompts          {"prompt": …}
    demonstrations   {"prompt": …, "completion": …}        written only

**A record** says that after "k" somebody prefers "ato" to "a".  It is written in the explicit form
and in the implicit one, and the implicit one is read back:

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     write(folder + "/explicit", [Pair("k", "ato", "a")])
...     write_implicit(folder + "/implicit", [Pair("k", "ato", "a")])
...     for name in "explicit", "implicit":
...         with open(folder + "/" + name, encoding="utf-8") as file:
...             print(file.read(), end="")
...     read_preferences(folder + "/implicit").records
{"prompt": "k", "chosen": "ato", "rejected": "a"}
{"chosen": "kato", "rejected": "ka"}
[Pair(prompt='ka', chosen='to', rejected='')]

**What has become of the prompt?**  In the implicit form both strings are whole.  (So they are in
Anthropic's data on helpfulness and harmlessness, where they are dialogues.)  Where the prompt ends
is not said, so the reader takes the *longest common prefix* for it.  The two responses begin alike
here, with an a, and so the prompt is a letter longer than it was.

Does that matter?  The steps of the two responses, with prompt "k" and as they were read:

    prompt   chosen                           rejected
    k        k→a  a→t  t→o  o→end             k→a  a→end
    ka            a→t  t→o  o→end                  a→end

Say that k→a, a→t and t→o cost a nat each, a→end three nats and o→end five.  The log-probabilities
are −8 and −4 before, and −7 and −3 after: the margin is −4 both times.  In general the steps that
both strings share cancel in every row of D, by (counts.3).  So it makes no difference to learners
that compare sums.  To a mean per step it makes one.  The means are −8/4 = −2 and −4/2 = −2 before,
and −7/3 and −3 after: a margin of 0 has become ⅔.

**Two equal responses** say nothing about what is better, and well-known data hold such pairs.  They
are read and counted, for you to decide.

**Dialogues** are lists of messages, {"role": "user" or "assistant", "content": …}.  Longer ones are
not read: there is no one to speak to here.  A question and its answer are a prompt and a
completion, under the name "messages".  A list of one message may stand in the place of a string.
"chosen" and "rejected" may be two dialogues that begin with the same question.

**When it fails.**  The first line that is no such record makes the whole file unusable: it is a
ValueError with the number of the line and the reason, and nothing is skipped.  Blank lines are not
records, entries of other names are ignored, and null is as if it were not there.

**Exercises.**  `from toy_lm.jsonl import *; from tempfile import TemporaryDirectory`
1. Somebody writes a pair of equal responses in the implicit form.  What is its prompt?
       with TemporaryDirectory() as folder:
           write_implicit(folder + "/pairs", [Pair("k", "ato", "ato")])
           read_preferences(folder + "/pairs").records
2. A label is 1, as in many data.  Is that true?
       with TemporaryDirectory() as folder:
           write(folder + "/labels", [Labelled("k", "ato", True), Labelled("k", "a", 1)])
           try: read_preferences(folder + "/labels")
           except ValueError as error: print(str(error)[-51:])
3. A record has a label and two strings, "chosen" and "rejected".  What is it?
       with TemporaryDirectory() as folder:
           with open(folder + "/both", "w") as file:
               _ = file.write('{"chosen": "on", "rejected": "no", "label": false, "by": null}')
           read_preferences(folder + "/both").records

Read next: `demonstrations`, the first kind of such data.
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


def read_preferences(path) -> Reading:
    """What a file says about responses: `Reading` of `Pair`, `Ranking` and `Labelled`.

    `-` is standard input.  A file that cannot be read, or a line that is no record, is a ValueError
    with the number of the line and the reason.

    Examples
    --------
    >>> read_preferences(os.devnull)
    Reading(records=[], lines=[])
    """
    return _read(path, _preference)


def read_prompts(path) -> Reading:
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
