"""What does a long memory cost, if only what occurs is kept?

*Worlds to read, after `sft`.  Previous: `smoothing`.  Next: `exact`.*

A table of order 6 over the 39 symbols of the Unicode names has 39^6 = 3,518,743,761 entries.  No
machine at hand holds it.  But a corpus of N characters has at most N contexts of a length.  So keep
those that occur, in a sorted list, and look up each context of a new text in it.  That is enough to
say what the new text costs.

**Numbers for n-grams.**  An *n-gram* of order n is a context of n − 1 symbols with the action that
followed.  As in (vocabulary.2) it is read as the digits of a number in base A, the action last.
With n = 1 and o = 2 the steps of "on" at order 3 have the digits 0 0 2, 0 2 1 and 2 1 0.  In base 3
these are the numbers 2, 7 and 21.  A division by A takes the last digit off and leaves the context.
So the sorted list of different n-grams, with how often each occurs, says both what is needed: N[s,
a], by looking up the n-gram, and N[s], by adding up those of one context.

**Flat**: each order has a row of its own, with a pseudo-count in every entry, as in (sft.3):

    π(a|s) = (N[s, a] + pseudo_count)/(N[s] + pseudo_count · actions).                  (contexts.1)

**Tree**: the shorter memory is asked, as in (smoothing.1), with kept = N and one weight for all
contexts, a *hierarchical* pseudo-count,

    π(a|s) = (N[s, a] + weight · π_shorter(a|short))/(N[s] + weight),                   (contexts.2)

and equal shares below order 1.  It is called a tree since the contexts of one more symbol are the
branches of a shorter one.  In a context that never occurred N[s, a] = N[s] = 0, and what is left is
π_shorter.

**In numbers.**  "on" is counted, and "no" is asked about.  Its steps are start→n, n→o and o→end.
There are three symbols.  At order 1 the counts of end, n and o are 1, 1 and 1, so that the tree has
(1 + 3 · ⅓)/(3 + 3) = ⅓ for each.  At order 2 start was followed by o, not by n: (0 + 3 · ⅓)/(1 + 3)
= ¼.  So it is for the other two steps:

>>> from toy_lm.vocabulary import from_items
>>> found = look_up(from_items(["on"]), ["on"], ["no"], order=2)
>>> print(found.count, found.total, sep="\\n")
[[1 1 1]
 [0 0 0]]
[[3 3 3]
 [1 1 1]]
>>> print(tree(found, weight=3.0).round(4)[1], flat(found, pseudo_count=0.1).round(4)[1])
[0.25 0.25 0.25] [0.0769 0.0769 0.0769]

**What it is worth.**  Every tenth line is held out, as in `corpora`.  Nats per character, ends
included, with a pseudo-count of 0.1 and a weight of 3:

    order                1       2       3       4       5       6
    words, flat      2.925   2.600   2.526   2.644   2.756   2.856
    words, tree      2.925   2.604   2.529   2.566   2.646   2.755
    names, flat      2.999   2.376   1.598   0.969   0.779   0.761
    names, tree      2.999   2.377   1.598   0.967   0.757   0.705

On 15,267 steps of words a memory of two letters is best.  On 316,948 steps of names the tree gains
up to order 6.  The names repeat whole phrases, of which a long memory knows the rest.  At order 6
they have 29,711 different n-grams: eight or nine of every million entries of the table.

A context that occurred once has one count against the weight.  With the weight 3 it gets a quarter
of the say, which is too much for words: with the weight 10 order 4 falls to 2.433.  The right
weight depends on the corpus.  Choose it on a tenth of the *training* items, never on the items held
out.

**Exercises.**  `from toy_lm.contexts import *; from toy_lm.vocabulary import from_items`
1. How many different n-grams of the orders 1 to 4 has "onono"?
       look_up(from_items(["onono"]), ["onono"], ["on"], order=4).kinds
2. What does a tree say, at any order, of a word in which no context occurred?
       found = look_up(from_items(["on", "ab"]), ["on"], ["ab"], order=4)
       tree(found, weight=1.0)[:, 1].round(3)
3. And the flat model of order 4?
       found = look_up(from_items(["on", "ab"]), ["on"], ["ab"], order=4)
       flat(found, pseudo_count=0.1)[3, 1].round(3)

Read next: `exact`, which says what a model writes.
Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model", for the weight; Chen and
Goodman 1998, as in `smoothing`.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks


class Found(NamedTuple):
    """What a corpus knows of each step of another text, at the orders 1, 2, …"""

    count: np.ndarray  # N[s, a] of each step, (order, N)
    total: np.ndarray  # N[s] of its context, (order, N)
    kinds: np.ndarray  # how many different n-grams of each order the corpus has, (order,)
    actions: int       # A


def look_up(vocabulary, training, held, *, order) -> Found:
    """Count the n-grams of `training` and look up those of `held`, up to this order: a `Found`.

    Both are lists of strings over the letters of the vocabulary.  The numbers of n-grams must fit
    into 63 bits.

    Examples
    --------
    >>> from toy_lm.vocabulary import from_items
    >>> found = look_up(from_items(["on"]), ["on", "oo"], ["o"], order=2)
    >>> print(found.count.tolist(), found.total.tolist(), found.kinds)
    [[3, 2], [2, 1]] [[6, 6], [2, 3]] [3 5]
    """
    A, order = vocabulary.size, checks.whole("order", order)
    if A**min(order, 63) >= 2**63:
        raise ValueError(f"order must be lower for {A} symbols: {A}^{order} n-grams cannot be "
                         f"numbered with 63 bits")
    known, asked = (_numbers(vocabulary.encode(items, order=1), order, A)
                    for items in (training, held))
    for name, numbers in ("training", known), ("held", asked):
        checks.positive(f"the number of items in {name}", numbers[0].size)
    rows = [_counted(these, those, A) for these, those in zip(known, asked)]
    return Found(*map(np.array, zip(*rows)), A)


def flat(found, *, pseudo_count):
    """The chance of each step by (contexts.1), at each order by itself: (order, N).

    Examples
    --------
    >>> from toy_lm.vocabulary import from_items
    >>> print(flat(look_up(from_items(["on"]), ["on"], ["o"], order=1), pseudo_count=1))
    [[0.33333333 0.33333333]]
    """
    checks.positive("pseudo_count", pseudo_count)
    return (found.count + pseudo_count) / (found.total + pseudo_count * found.actions)


def tree(found, *, weight):
    """The chance of each step by (contexts.2), at each order with all below it: (order, N).

    Examples
    --------
    >>> from toy_lm.vocabulary import from_items
    >>> print(tree(look_up(from_items(["on"]), ["on"], ["o"], order=2), weight=1).round(3))
    [[0.333 0.333]
     [0.667 0.167]]
    """
    checks.positive("weight", weight)
    chances, shorter = [], 1 / found.actions
    for count, total in zip(found.count, found.total):
        shorter = (count + weight * shorter) / (total + weight)
        chances.append(shorter)
    return np.array(chances)


def _numbers(steps, order, A):
    """The number of each step's n-gram, at the orders 1 to `order`: a list of (N,) int64."""
    symbols = steps.index.astype(np.int64)
    place = np.arange(symbols.size) - np.repeat(steps.starts[:-1], np.diff(steps.starts))
    numbers = [symbols]
    for back in range(1, order):  # before a string stand zeros
        before = np.append(np.zeros(back, np.int64), symbols)[:symbols.size]
        numbers.append(numbers[-1] + np.where(place >= back, before, 0) * A**back)
    return numbers


def _counted(known, asked, A):
    """How often each n-gram that is asked occurs among those known, and its context; and kinds."""
    grams, number = np.unique(known, return_counts=True)
    contexts, first = np.unique(grams // A, return_index=True)
    totals = np.add.reduceat(number, first)

    def of(sorted_keys, values, keys):
        place = np.minimum(np.searchsorted(sorted_keys, keys), sorted_keys.size - 1)
        return np.where(sorted_keys[place] == keys, values[place], 0)

    return of(grams, number, asked), of(contexts, totals, asked // A), grams.size
