"""Exercises of Part 4: demonstrations, the best of n, the exact optimum, and the KL."""

ON_IMITATION = ()
