"""Python reads this at its start, if its folder is on the path: the module of a mutant, which a
file named by the environment holds as code, stands in the place of the book's own."""

import os

if os.environ.get("MUTANT"):
    import importlib.machinery
    import marshal
    import sys

    with open(os.environ["MUTANT"], "rb") as mutant:
        MODULE, CODE = marshal.load(mutant)

    class _Loader(importlib.machinery.SourceFileLoader):
        def get_code(self, fullname):
            return CODE

    class _Finder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):
            if fullname != MODULE:
                return None
            spec = importlib.machinery.PathFinder.find_spec(fullname, path)
            spec.loader = _Loader(fullname, spec.origin)
            return spec

    sys.meta_path.insert(0, _Finder)
