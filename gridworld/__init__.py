"""Worlds you can draw: maps of cells, made into the arrays that `minirl` learns from.

In reading order:

    world      a map of your own and its rules, and the TabularMDP they make
    maps       the maps of the literature: lakes, the cliff, wind, teleports, rooms
    classics   worlds of the literature without a map: blackjack, a gambler, cars, noisy estimates
    draw       a map, a policy, values or visits as text
    figures    the same as pictures, and learning curves, with matplotlib (the extra `plot`)
    gymnasium  our worlds as Gymnasium environments (the extra `gym`)
"""
