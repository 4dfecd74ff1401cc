"""What does a critic learn that only has to tell the right answer from others?

*Part 5.  Previous: `unified`.  Next: `inference`.*
"""
