"""Exercises of Part 5: contrastive learning, right answers, laws of scale."""

ON_BEYOND = ()
