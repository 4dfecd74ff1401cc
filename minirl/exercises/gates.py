"""Exercises of Part 4, the end: losses of margins, and surrogates of a ratio."""

ON_GATES = ()
