"""Attempts at the exercises of `imitation`."""
