"""What a reader has solved: one small file beside the exercises, `minirl_exercises.json`."""

import json
import os

from minirl.files import read_text, write_bytes

FILE, FORMAT = "minirl_exercises.json", 1


def read_progress(path=FILE):
    """What is known of each exercise: {name: {"checks", "hints", "solved", "shown"}}.

    A file that is not what `write_progress` writes is refused, and is left as it is.
    """
    if not os.path.exists(path):
        return {}
    try:
        document = json.loads(read_text(path))
        known = document["exercises"]
        fit = document["format"] == FORMAT and all(
            isinstance(name, str) and set(one) == set(_NOTHING) and all(
                type(value) is type(_NOTHING[key]) and value >= 0 for key, value in one.items())
            for name, one in known.items())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fit = False
    if not fit:
        raise ValueError(f"{path} is not a record of exercises of this version; your solutions are "
                         "in their own files, so move it away to begin a new one")
    return known


_NOTHING = {"checks": 0, "hints": 0, "solved": False, "shown": False}


def noted(known, name, **news):
    """What is known after some news of an exercise; `known` stays as it is."""
    return {**known, name: {**_NOTHING, **known.get(name, {}), **news}}


def write_progress(known, path=FILE):
    """Write what is known, beside and renamed."""
    document = {"format": FORMAT, "exercises": known}
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())
