"""Calls of public functions, as the examples of the three packages make them.

Every public function has an example, so that what must hold for all of them needs no list: the
examples of all modules are run once, and who calls what, with which arguments, is written down.
"""

from contextlib import suppress
from copy import deepcopy
import doctest
import importlib
import inspect
import pkgutil
import sys

import gridworld
import minirl
import toy_lm

LEFT_OUT = {"lab", "exercises", "pictures", "plain"}  # experiments and what surrounds the book


def modules():
    """All modules of the book and of the two worlds, but for what lacks its extra."""
    for package in minirl, gridworld, toy_lm:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            names = found.name.split(".")
            if names[-1] != "__main__" and not LEFT_OUT & set(names) and found.name.count(".") == (
                    2 if package is minirl else 1):
                with suppress(ImportError):
                    yield importlib.import_module(found.name)


def public_functions():
    """`module.function`, and the function."""
    return {f"{module.__name__}.{name}": value for module in modules()
            for name, value in inspect.getmembers(module, inspect.isfunction)
            if value.__module__ == module.__name__ and not name.startswith("_")}


def calls():
    """name -> the arguments, by name, of its first calls, one for each combination of their types.

    What cannot be copied is left out.
    """
    public, found = public_functions(), {}
    names = {function.__code__: name for name, function in public.items()}

    def write_down(frame, event, _):
        name = names.get(frame.f_code) if event == "call" else None
        if name is None:
            return
        given = {key: frame.f_locals[key] for key in inspect.signature(public[name]).parameters}
        kinds = tuple(map(type, given.values()))
        if kinds not in found.setdefault(name, {}):
            sys.setprofile(None)
            try:
                found[name][kinds] = deepcopy(given)
            except TypeError:  # a generator
                pass
            sys.setprofile(write_down)

    runner = doctest.DocTestRunner()
    for module in modules():
        for test in doctest.DocTestFinder().find(module, module.__name__):
            before = sys.getprofile()
            sys.setprofile(write_down)
            runner.run(test, out=lambda text: None, clear_globs=False)
            sys.setprofile(before)
    return {name: list(found.get(name, {}).values()) for name in public}
