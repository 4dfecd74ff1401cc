"""Exercises of Part 4: reward models, groups, and what is trained on them."""

ON_REWARDS = ()
