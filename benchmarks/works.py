"""Which works there are, and the cases of each."""

from importlib import import_module

WORKS = {"W1": "stepping", "W2": "q_learning", "W3": "sampling", "W4": "text", "W5": "ppo",
         "W6": "returns", "W7": "preferences", "W8": "preferences", "W9": "grpo", "W10": "lake"}


def cases(works):
    """The cases of the works named, in the order of `WORKS`; other names are passed over.

    Their modules are imported only now, so that whoever asks can set the number of threads before.
    """
    modules = {name: import_module(f"benchmarks.{name}") for name in
               dict.fromkeys(WORKS[work] for work in WORKS if work in works)}
    return [case for work in WORKS if work in works
            for case in modules[WORKS[work]].CASES if case.work == work]
