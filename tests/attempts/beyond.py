"""Attempts at the exercises of `beyond`."""
