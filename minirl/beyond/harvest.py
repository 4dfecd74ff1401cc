"""How is the data found from which a model learns?

*Part 5.  Previous: `scaling`.  Next: `network`.*
"""
