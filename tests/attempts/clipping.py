"""Attempts at the exercises of `clipping`."""
