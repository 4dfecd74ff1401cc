"""Rewards: what makes a string good.

A reward table gives each step (last symbol, next symbol) a number, and the reward of a string is
the sum over its steps.  Such a reward is *bigram-local*, and the best trade between it and a bigram
as the reference is again a bigram, known exactly (`minirl.people.regularised`).  What a table
cannot say, such as whether the string is a palindrome, is the next chapter.

The running example asks: which invented name is easier to say?  Words are easy to say when vowels
and consonants alternate.  So two consonants or two vowels in a row cost 1.  That alone would favour
short words, since the empty one is never hard to say.  A small bonus per letter makes up for it:

    R(y) = −(like neighbours in y) + letter · (letters in y).                            (rewards.1)

The default bonus of 0.139 holds the best policy at β = 0.5 near the mean length of the Unicode
words, 6.1 letters against 5.9.  On another corpus it may lengthen or shorten the words.

Four more, of one line each:

    alternating(y)     = unlike neighbours, a vowel and a consonant,                     (rewards.2)
    ends_in_vowel(y)   = 1 if the last letter is a vowel,                                (rewards.3)
    no_doubles(y)      = −(equal neighbours),                                            (rewards.4)
    short(y)           = −letters(y).                                                    (rewards.5)

Letters must not be free.  Unlike neighbours earn 1 each time, so a longer string is always worth
more than its KL: on the Unicode words (rewards.2) has no optimum below β = 3.97.

Such a table is made for a bigram.  `ngram.widen` makes it one for a model of a higher order.

Read first: `vocabulary`.  Read next: `verifiers`.
"""

import numpy as np

from minirl.kernel import checks, counts
from toy_lm.ngram import order_of

VOWELS = "aeiou"
LETTER = 0.139


def is_vowel(vocabulary):
    """Which letters are a, e, i, o or u: (A − 1,) bool.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(is_vowel(Vocabulary("abc")))
    [ True False False]
    """
    return np.array([c in VOWELS for c in vocabulary.letters])


def of_strings(vocabulary, table):
    """The reward of a table (S, A) as a function of strings: `reward(texts) -> (n,)`.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> words = Vocabulary("abc")
    >>> print(of_strings(words, alternating(words))(["", "ab", "bab", "bb"]))
    [0. 1. 2. 0.]
    """
    table = checks.floats("table", table)
    checks.finite("table", table)
    order, weights = order_of(table.shape), table.ravel()
    checks.shape("table", table, vocabulary.shape(order))
    return lambda texts: counts.matrix(vocabulary.encode(texts, order=order)) @ weights


def easy_to_say(vocabulary, *, letter=LETTER):
    """The table of (rewards.1), (A, A); every letter but a, e, i, o, u counts as a consonant.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(easy_to_say(Vocabulary("abc"), letter=0.1))
    [[ 0.   0.1  0.1  0.1]
     [ 0.  -0.9  0.1  0.1]
     [ 0.   0.1 -0.9 -0.9]
     [ 0.   0.1 -0.9 -0.9]]
    """
    checks.finite("letter", letter)
    vowel = is_vowel(vocabulary)
    table = letter * letters(vocabulary.shape())
    table[1:, 1:] -= vowel[:, None] == vowel
    return table


def alternating(vocabulary):
    """The table of (rewards.2), (A, A): 1 for a consonant after a vowel, and the reverse.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(alternating(Vocabulary("abc"))[1:, 1:])
    [[0. 1. 1.]
     [1. 0. 0.]
     [1. 0. 0.]]
    """
    vowel = is_vowel(vocabulary)
    table = np.zeros(vocabulary.shape())
    table[1:, 1:] = vowel[:, None] != vowel
    return table


def ends_in_vowel(vocabulary):
    """The table of (rewards.3), (A, A): 1 for the end after a vowel.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(ends_in_vowel(Vocabulary("abc"))[:, 0])
    [0. 1. 0. 0.]
    """
    table = np.zeros(vocabulary.shape())
    table[1:, 0] = is_vowel(vocabulary)
    return table


def no_doubles(vocabulary):
    """The table of (rewards.4), (A, A): −1 for each letter that repeats the one before.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(no_doubles(Vocabulary("abc")).diagonal())
    [ 0. -1. -1. -1.]
    """
    return np.diag([0.0] + [-1.0] * len(vocabulary.letters))


def letters(shape):
    """The letters of a string as a reward: a table of `shape` (S, A), 1 for all but the end.

    Examples
    --------
    >>> print(letters((2, 2)))
    [[0. 1.]
     [0. 1.]]
    """
    checks.shape("shape", shape, (2,))
    table = np.ones(checks.numbers("shape", shape, 2**31))
    table[:, 0] = 0
    return table


def short(vocabulary):
    """The table of (rewards.5), (A, A): −1 for each letter.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(short(Vocabulary("abc"))[0])
    [ 0. -1. -1. -1.]
    """
    return 0 - letters(vocabulary.shape())
