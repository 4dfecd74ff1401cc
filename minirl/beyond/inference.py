"""What can more attempts buy, after training?

*Part 5.  Previous: `contrastive`.  Next: `search`.*
"""
