"""Attempts at the exercises of `playing`."""
