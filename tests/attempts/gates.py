"""Attempts at the exercises of `gates`."""
