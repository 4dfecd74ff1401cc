"""How does the loss fall with more data and more parameters?

*Part 5.  Previous: `search`.  Next: `harvest`.*
"""
