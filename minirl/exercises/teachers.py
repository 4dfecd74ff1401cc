"""Exercises of Part 4, the end: learning from a teacher."""

ON_TEACHERS = ()
