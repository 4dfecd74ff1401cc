"""What is often printed or shipped, and what is right.
"""
