"""Worlds you can read: character-level language models, made into the arrays that `minirl` learns
from.

In reading order:

    vocabulary   characters to numbers and back, with one symbol for start and end
    corpora      real text: the words of Unicode's character names, or a file of your own
    bigram       the model: a table policy, scored, made into a world, and sampled
    rewards      what makes a string good, as a table over pairs of symbols
    preferences  pairs of strings, and a simulated person who prefers one of them
"""
