"""What should a long memory do where it has seen nothing?

*Worlds to read, after `sft`.  Previous: `ngram`.  Next: `contexts`.*

A longer memory sees more at once, and has seen it less often.  Call a state a *context* here: the
last order − 1 symbols.  At order 5 most contexts of a small corpus occur once.  A pseudo-count, as
in (sft.3), fills the rest of their rows with equal shares, as if nothing were known.  But the model
of the next lower order knows something.  This chapter lets a long memory ask a shorter one.

**The mixture.**  Let kept[s, a] be what is kept of the count N[s, a], and weight[s] a weight for
what was not seen.  The shorter memory has the context `short`, which is s without its oldest
character.  It shares the weight out:

    π(a|s) = (kept[s, a] + weight[s] π_shorter(a|short))
             / (Σ_b kept[s, b] + weight[s]).                                           (smoothing.1)

The numerators of a row sum to Σ kept + weight, since a row of π_shorter sums to 1.  So each row
sums to one.  The table π_shorter is itself such a mixture with the next lower order, and so on down
to order 1, which is mixed with equal shares.  So no entry is zero.  In a context that never
occurred nothing is kept, and the weight is set to 1: its row is that of `short`.  A pseudo-count α
is the case kept = N, weight = α · actions, with equal shares in place of π_shorter.

**Witten-Bell** asks how often something new was seen here.  With seen[s] = Σ_a 1{N[s, a] > 0}, the
number of different actions that were counted in s,

    kept = N,   weight[s] = seen[s].                                                   (smoothing.2)

*In numbers.*  Four actions were counted 2, 1, 0 and 0 times at order 1, below which each has ¼.
Two of them were seen.  The weight 2 gives 2 · ¼ = ½ to each action, and the row is divided by 3 +
2:

    (2 + ½)/5 = 0.5    (1 + ½)/5 = 0.3    ½/5 = 0.1    ½/5 = 0.1

>>> counts = np.array([[2., 1., 0., 0.]])
>>> print(witten_bell(counts))
[[0.5 0.3 0.1 0.1]]

**Kneser-Ney** takes a discount from every count and gives what it took to the shorter memory,

    kept[s, a] = max(N[s, a] − discount, 0),   weight[s] = discount · seen[s],
    discount = once/(once + 2 twice),                                                  (smoothing.3)

where `once` is the number of entries of the whole table N that are 1, and `twice` the number of
those that are 2.  Each order has its own discount, which is ½ where once or twice is zero.  What
was kept and what was taken sum to the counts, so the denominator is Σ_b N[s, b].

*In numbers.*  In the same row once = twice = 1, so that the discount is 1/(1 + 2) = ⅓.  It takes ⅔
in all, and that gives ⅙ to each of four actions.  The row is (1⅔ + ⅙)/3, (⅔ + ⅙)/3, and ⅙/3 for
each of the other two:

>>> print(kneser_ney(counts).round(4))
[[0.6111 0.2778 0.0556 0.0556]]

**What does a shorter memory count?**  It is asked about contexts that are new.  So Kneser-Ney fits
its counts to this purpose: an action counts as often as there are longer contexts in which it was
seen,

    N_shorter[short, a] = Σ_s 1{N[s, a] > 0},                                          (smoothing.4)

where the sum goes over the contexts s that are `short` behind one more character.  More than half
of all "h" in an English text stand behind a "t".  The letter is frequent, but it is not to be
expected behind a letter that never had one.  Witten-Bell adds the counts themselves,
N_shorter[short, a] = Σ_s N[s, a].

Let the last of three symbols come 100 times, but in two contexts only, once after 0 and 99 times
after 1.  Added up, the columns of this table are 2, 1 and 100.  By (smoothing.4) they are 2, 1 and
2.  In the last row the symbol never came.  There Kneser-Ney expects it less than Witten-Bell:

>>> counts = np.array([[0., 1., 1.], [1., 0., 99.], [1., 0., 0.]])
>>> print(kneser_ney(counts)[2].round(2), witten_bell(counts)[2].round(2))
[0.7 0.1 0.2] [0.51 0.01 0.48]

In all of this the beginning and the end of a string are characters like any other.

**What it is worth.**  A mixture of tables is a table, so everything that is exact in this book is
exact for it.  The Unicode words held out, every tenth (`corpora`), cost in nats per character:

    order                       2        3        4        5
    pseudo-count 0.1        2.600    2.526    2.644    2.756
    Witten-Bell             2.598    2.469    2.481    2.552
    Kneser-Ney              2.597    2.470    2.433    2.384

With a pseudo-count, and with Witten-Bell, the cost rises again from order 4 on.  With Kneser-Ney it
falls up to order 5.

**Exercises.**  `from toy_lm.smoothing import *`
1. A context was seen a million times, always with the same action.  What does Witten-Bell give to
   each of the other three?
       witten_bell(np.array([[1e6, 0., 0., 0.]]))[0, 1:].round(9)
2. Every action was counted twice.  Which discount does Kneser-Ney take, and which row is left?
       counts = np.array([[2., 2., 2., 2.]])
       discount(counts), kneser_ney(counts)
3. State 2 of a bigram never occurred.  Does either of the two methods give it equal shares?
       counts = np.array([[0., 9., 1.], [1., 1., 0.], [0., 0., 0.]])
       witten_bell(counts)[2].round(2), kneser_ney(counts)[2].round(2)

Read next: `contexts`, for memories so long that no table holds them.
Source: Witten and Bell 1991; Ney, Essen and Kneser 1994, for the discount; Kneser and Ney 1995; all
in Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", §2.5
to §2.7.
"""

import numpy as np

from minirl.kernel import checks
from toy_lm.ngram import order_of, widen


def witten_bell(counts):
    """The policy of (smoothing.2), (S, A), from counts (S, A) of a model's order.

    Examples
    --------
    >>> print(witten_bell(np.array([[2., 1., 0., 0.]])))
    [[0.5 0.3 0.1 0.1]]
    """
    counts = _checked(counts)
    different = (counts > 0).sum(axis=1, keepdims=True)
    return _mixed(counts, different, _shorter(witten_bell, counts))


def kneser_ney(counts):
    """The policy of (smoothing.3), (S, A), from whole counts (S, A) of a model's order.

    Examples
    --------
    >>> print(kneser_ney(np.array([[2., 1., 0., 0.]])).round(4))  # the discount is 1/3
    [[0.6111 0.2778 0.0556 0.0556]]

    At order 2 the last letter came a hundred times, but in two contexts only.  Behind itself, where
    it never came, it is expected less than by Witten-Bell:

    >>> counts = np.array([[0., 1., 1.], [1., 0., 99.], [1., 0., 0.]])
    >>> print(kneser_ney(counts)[2].round(2), witten_bell(counts)[2].round(2))
    [0.7 0.1 0.2] [0.51 0.01 0.48]
    """
    counts = _checked(counts)
    broken = counts[counts != np.rint(counts)]
    if broken.size:
        raise ValueError(f"counts must be whole numbers, got {broken[0]}")
    taken, seen = discount(counts), (counts > 0).sum(axis=1, keepdims=True)
    return _mixed(np.maximum(counts - taken, 0), taken * seen, _shorter(kneser_ney, counts > 0))


def discount(counts):
    """That of (smoothing.3); ½ where no entry was counted once, or none twice: not 0 or 1.

    Examples
    --------
    >>> discount(np.array([[2, 1, 1, 1]])), discount(np.array([[2, 2, 9, 0]]))
    (0.6, 0.5)
    """
    counts = checks.weights("counts", counts, np.shape(counts))
    once, twice = (int(np.equal(counts, n).sum()) for n in (1, 2))
    return once / (once + 2 * twice) if once and twice else 0.5


def _mixed(kept, weight, shorter):
    """(smoothing.1); in a context that never occurred the weight of the shorter memory is 1."""
    total = kept.sum(axis=1, keepdims=True) + weight
    unseen = total == 0
    return (kept + (weight + unseen) * shorter) / (total + unseen)


def _shorter(smooth, counts):
    """π_shorter, a row for each s: the counts are added over the oldest character of a context."""
    S, A = counts.shape
    if S == 1:
        return np.full((1, A), 1 / A)
    return widen(smooth(counts.reshape(A, -1, A).sum(axis=0)), order_of(counts.shape))


def _checked(counts):
    counts = checks.floats("counts", counts)
    order_of(counts.shape)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.any()):
        raise ValueError(f"counts must be finite, not negative and not all zero, "
                         f"got values from {counts.min()} to {counts.max()}")
    return counts
