"""Bodies of the exercises as readers write them, and what they should be told.

`attempt("dpo")` marks a body that is right.  `attempt("dpo", "swapped")` marks one with the mistake
of that name in the catalogue; where there is no mistake of that name, the text stands in the
verdict.
"""

ATTEMPTS = []  # (exercise, expected or None, function)


def attempt(exercise, expected=None):
    """Register the body below; it may have any name."""
    def register(function):
        ATTEMPTS.append((exercise, expected, function))
        return function
    return register
