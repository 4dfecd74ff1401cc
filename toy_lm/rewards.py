"""What makes a string good, as a sum over its steps?

*Worlds to read, after `regularised`.  Previous: `models`.  Next: `verifiers`.*

A *reward table* gives each step (last symbol, next symbol) a number.  The reward R(y) of a string
is the sum over its steps, the end included.  The running example asks: which invented name is
easier to say?  Words are easy to say when vowels and consonants alternate.  So two consonants or
two vowels in a row, *like neighbours*, cost 1.  That alone would favour short words, since the
empty one is never hard to say.  A small bonus per letter makes up for it:

    R(y) = −(like neighbours in y) + letter · (letters in y).                            (rewards.1)

With letter = 0.139 the entries of the table are

    before, next    end    vowel     other letter
    start             0      0.139     0.139
    vowel             0     −0.861     0.139
    other letter      0      0.139    −0.861

**Four words.**  "sun" has three letters and no like neighbours, hence 3 · 0.139 = 0.417.  "spy" has
two pairs of them, sp and py, since the table knows no vowels but a, e, i, o and u.  "otto" has one:

>>> from toy_lm.vocabulary import from_items
>>> four = from_items(["", "sun", "spy", "otto"])
>>> print(of_strings(four, easy_to_say(four))(["", "sun", "spy", "otto"]).round(3))
[ 0.     0.417 -1.583 -0.444]

Four more rewards, of one line each:

    alternating(y)     = unlike neighbours, a vowel and a consonant,                     (rewards.2)
    ends_in_vowel(y)   = 1 if the last letter is a vowel,                                (rewards.3)
    no_doubles(y)      = −(equal neighbours),                                            (rewards.4)
    short(y)           = −letters(y).                                                    (rewards.5)

For the same four words they say:

>>> for table in alternating, ends_in_vowel, no_doubles, short:
...     print(of_strings(four, table(four))(["", "sun", "spy", "otto"]))
[0. 2. 0. 2.]
[0. 0. 0. 1.]
[ 0.  0.  0. -1.]
[ 0. -3. -3. -4.]

**Why a table?**  The best trade between such a reward and the KL to a bigram is a bigram again, by
(regularised.9), and is known exactly.  What a table over neighbours cannot say, such as whether a
string reads the same backwards, is the next chapter.

A table is also a *true reward*: whoever has it knows what each string is worth.  The algorithms of
Part 3 are told the true reward of every step.  People can only be asked what they prefer, and they
err; `raters` shows by how much that changes a reward.  In this book a table stands behind the
simulated people, so that what is learned from their answers can be compared with the truth.

**By hand.**  The reference writes a, b or the end with ⅓ each, after whatever letter.  Unlike
neighbours earn 1.  Choose β = 1/log(3/2), so that e^{1/β} = 3/2.  After a letter, a step to the
same letter has the factor ⅓, one to the other letter ⅓ · 3/2, and the end ⅓.  So the Z of
(regularised.4) is the same for a and b, and

    Z(letter) = ⅓ + (⅓ + ½) Z(letter) = 2,     Z(start) = ⅓ + ⅔ Z(letter) = 5/3.

J* is β log(5/3) = 1.2599.  The best policy starts with either letter, ⅓ · 2/(5/3) = 2/5 each.  Then
it goes on to the other letter with ⅓ · 3/2 · 2/2 = ½, repeats the letter with ⅓, and ends with 1/6:

>>> from minirl.people.regularised import regularised_optimum
>>> from toy_lm.ngram import language
>>> from toy_lm.vocabulary import Vocabulary
>>> world = language(alternating(Vocabulary("ab")))
>>> best = regularised_optimum(world, np.zeros((3, 3)), beta=1 / np.log(1.5))
>>> print(best.policy.round(4), round(best.objective, 4))
[[0.2    0.4    0.4   ]
 [0.1667 0.3333 0.5   ]
 [0.1667 0.5    0.3333]] 1.2599

**A letter must not pay too much.**  Z(start) adds up all strings.  If each letter earned a bonus
and nothing else counted, the strings of one letter more would contribute ⅔ e^{bonus/β} times as
much to it as those before.  Z is finite if and only if that is below 1, and an optimum exists above
β = bonus/log(3/2) only.  In the example a further letter is the same one, with ⅓, or the other,
with ⅓ e^{1/β}.  So the factor is (1 + e^{1/β})/3, and an optimum exists above β = 1/log 2 = 1.4427
only.  Below it a longer string is always worth more than its KL:

>>> from minirl.people.regularised import critical_beta
>>> print(round(critical_beta(world, np.zeros((3, 3))), 4))
1.4427

On the Unicode words (rewards.2) has no optimum below β = 3.97.  (rewards.1) has one down to β =
0.27757, since a letter is worth little there.  Its 0.139 holds the best policy at β = 0.5 near the
mean length of these words, 6.1 letters against 5.9.  On another corpus it may lengthen or shorten
the words.

A table is made for a bigram.  `ngram.widen` makes it one for a model of a higher order.

**Exercises.**  `from toy_lm.rewards import *; from toy_lm.vocabulary import Vocabulary`
1. "ne" and "né" sound alike.  Are they worth the same?
       words = Vocabulary("enoé")
       of_strings(words, easy_to_say(words))(["ne", "né"]).round(3)
2. The reference of the example writes two letters on average.  The reward says nothing of length.
   How many letters does the best policy of the example write?
       from toy_lm.exact import summary
       best = np.array([[0.2, 0.4, 0.4], [1 / 6, 1 / 3, 1 / 2], [1 / 6, 1 / 2, 1 / 3]])
       round(summary(np.log(best)).letters, 4)
3. Which of these rewards have an optimum at any price, near the same reference?
       from minirl.people.regularised import critical_beta
       from toy_lm.ngram import language
       for table in short, no_doubles, easy_to_say, alternating:
           world = language(table(Vocabulary("ab")))
           print(table.__name__, round(critical_beta(world, np.zeros((3, 3))), 4))

Read next: `verifiers`, for rules of the whole string.
"""

import numpy as np

from minirl.kernel import checks, counts
from toy_lm.ngram import order_of

VOWELS = "aeiou"
LETTER = 0.139


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


def short(vocabulary):
    """The table of (rewards.5), (A, A): −1 for each letter.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(short(Vocabulary("abc"))[0])
    [ 0. -1. -1. -1.]
    """
    return 0 - letters(vocabulary.shape())


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


def is_vowel(vocabulary):
    """Which letters are a, e, i, o or u: (A − 1,) bool.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(is_vowel(Vocabulary("abc")))
    [ True False False]
    """
    return np.array([c in VOWELS for c in vocabulary.letters])
