"""Exercises of Part 3, the end: the policy gradient, and PPO."""

ON_CLIPPING = ()
