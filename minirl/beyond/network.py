"""What if the table is too large, and its rows share parameters?

*Part 5.  Previous: `harvest`.*
"""
