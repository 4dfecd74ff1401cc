"""Attempts at the exercises of `rewards`."""
