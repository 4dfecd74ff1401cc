"""Exercises of Part 3: returns, advantages, and values from play."""

ON_PLAYING = ()
