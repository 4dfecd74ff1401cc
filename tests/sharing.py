"""What is computed once for all tests, although pytest-xdist shares them out among workers: who
asks first computes it, and the others wait for the file in which it is left."""

import os
import pickle
import time

FOLDER = None  # Of the workers, if there are any; `conftest.py` says where.


def once(name, compute):
    """What `compute` returns, or what it has returned to another worker under the same name."""
    if FOLDER is None:
        return compute()
    path, part = FOLDER / f"{name}.pickle", FOLDER / f"{name}.part"
    try:
        path.with_suffix(".begun").touch(exist_ok=False)
    except FileExistsError:
        while not path.exists():
            time.sleep(0.1)
    else:
        try:
            result = compute(), None
        except Exception as error:
            result = None, repr(error)
        part.write_bytes(pickle.dumps(result))
        os.replace(part, path)
    found, error = pickle.loads(path.read_bytes())
    assert error is None, error
    return found
