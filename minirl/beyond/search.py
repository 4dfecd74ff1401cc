"""What can a search find that a policy does not do by itself?

*Part 5.  Previous: `cascade`.  Next: `scaling`.*
"""
