"""Worlds you can draw: maps of cells, made into the arrays that `minirl` learns from.

In reading order:

    world  a map and its rules, and the TabularMDP they make
    maps   the maps of the literature: the frozen lake and the cliff
    draw   a policy or a value table as text, over its map
"""
