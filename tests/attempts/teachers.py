"""Attempts at the exercises of `teachers`."""
