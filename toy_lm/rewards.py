"""Rewards: what makes a string good.

A reward table gives each pair (last symbol, next symbol) a number, and the reward of a string is
the sum over its pairs.  Such a reward is *bigram-local*, and the best trade between it and a
reference model is again a bigram, known exactly (`minirl.regularised`).

The running example asks: which invented name is easier to say?  Words are easy to say when vowels
and consonants alternate.  So every pair of two consonants or two vowels costs 1.  That alone would
favour short words, since the empty one is never hard to say.  A small bonus per letter makes up for
it:

    r(y) = −(like pairs in y) + letter · (letters in y).                                 (rewards.1)

The default bonus of 0.139 holds the best policy at β = 0.5 near the mean length of the Unicode
words, 6.1 letters against 5.9.  On another corpus it may lengthen or shorten the words.

Read first: `vocabulary`.  Read next: `preferences`.
"""

import numpy as np

VOWELS = "aeiou"
LETTER = 0.139


def easy_to_say(vocabulary, *, letter=LETTER):
    """The table of (rewards.1).

    Parameters
    ----------
    vocabulary : Vocabulary
        Every letter other than a, e, i, o, u counts as a consonant.
    letter : float
        Reward of each letter.

    Returns
    -------
    (A, A) float
        The end symbol earns nothing, and the first letter cannot be part of a like pair.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(easy_to_say(Vocabulary("abc"), letter=0.1))
    [[ 0.   0.1  0.1  0.1]
     [ 0.  -0.9  0.1  0.1]
     [ 0.   0.1 -0.9 -0.9]
     [ 0.   0.1 -0.9 -0.9]]
    """
    vowel = np.array([c in VOWELS for c in vocabulary.letters])
    table = np.zeros((vocabulary.size, vocabulary.size))
    table[1:, 1:] = -(vowel[:, None] == vowel).astype(float)
    table[:, 1:] += letter
    return table
