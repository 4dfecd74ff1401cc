"""How long are the strings of a model, and how undecided is it as it writes them?

*Worlds to read, after `sft`.  Previous: `contexts`.  Next: `models`.*

One may let a model write a million strings and measure them.  It is not needed: a model is a
policy, and its strings are the episodes of a world that is known.  So their lengths follow from the
table, exactly, and so does their *entropy*, the mean of −log π(y).

**Three words.**  The words of `sft`, "on", "no" and "noon", make this bigram when their steps are
counted:

    shares     end   n    o
    start      0     ⅔    ⅓
    n          ½     0    ½
    o          ¼     ½    ¼

Write |y| for the number of steps of a string y, its letters and the end.  The first step writes n
with ⅔ and o with ⅓.  The second one ends the string with ⅔ · ½ + ⅓ · ¼ = 5/12.  From o it goes on
to n with ⅓ · ½ = 1/6.  To o it leads with ⅔ · ½ from n and with ⅓ · ¼ from o, together 5/12.  So
the third step ends it with 1/6 · ½ + 5/12 · ¼ = 3/16.  Strings of no, one and two letters have the
probabilities 0, 5/12 and 3/16:

>>> from minirl.people.sft import fit_by_counting
>>> words = fit_by_counting(np.array([[0., 2, 1], [2, 0, 2], [1, 2, 1]]), pseudo_count=0)
>>> print(lengths(words, 3).prob.round(4))
[0.     0.4167 0.1875]

No word has one letter, and yet five strings of twelve do.

**How long?**  In general, let P_π hold the chances of going on from state to state, and let
start(s) be the chance that a string begins in s.  After t steps the string is in s, and not yet
finished, with the probability ((P_πᵀ)ᵗ start)(s), as in `evaluation`.  Add up the states:

    Pr(|y| > t) = Σ_s ((P_πᵀ)ᵗ start)(s),   Pr(|y| = t) = Pr(|y| > t − 1) − Pr(|y| > t).   (exact.1)

A step counts 1.  So the mean of |y| is the sum of the visits η(s).  For the square, let `rest` be
the number of steps that follow a step.  The square of 1 + rest is 1 + 2 rest + rest², and rest² is
the square of what begins with the next step.  Take that apart in the same way, and so on to the end
of the string.  What each step adds is 1 + 2 rest, like the mean square of a return in `evaluation`:

    E|y| = Σ_s η(s),      E[|y|²] = E[Σ_t (1 + 2 E[|y| − t − 1 | s_t, a_t])].              (exact.2)

*By hand*: the visits are 1, 4/3 and 4/3 (`sft`), so that E|y| = 11/3, the mean of the three words.
Counted from a state on, n has 5/2 steps, since 5/2 = 1 + ½ · 3, and o has 3 = 1 + ½ · 5/2 + ¼ · 3.
A state with k expected steps has an expected rest of k − 1, so a visit adds 1 + 2(k − 1) = 2k − 1.
The mean square is 1 · 19/3 + 4/3 · 4 + 4/3 · 5 = 55/3, and the variance 55/3 − (11/3)² = 44/9.

**How undecided?**  −log π(y) is the sum of −log π(a_t|s_t) over the steps.  In the state s the mean
of this is the entropy H(s) of the row, by (softmax.4), and s is visited η(s) times.  The sum
is the entropy of a string, and per step it makes the *entropy rate*:

    H(y) = Σ_s η(s) H(s),      rate = H(y)/E|y|.                                           (exact.3)

The rate is that of the text that consists of such strings end to end: k of them have about k E|y|
steps and k H(y) nats, if k is large.  The rows of the example have the entropies log 3 − ⅔ log 2,
log 2 and 1½ log 2:

>>> print(entropy(words).round(4))
[0.6365 0.6931 1.0397]

So H(y) = 0.6365 + 4/3 (0.6931 + 1.0397) = 2.947, and the rate is 2.947/(11/3) = 0.8037 nats per
character.  `summary` gives the letters, which are one fewer than the steps, their standard
deviation √(44/9), H(y), the rate, and e^rate:

>>> print(*np.round(summary(words), 4))
2.6667 2.2111 2.947 0.8037 2.2339

**What e^rate says.**  It is the perplexity of the model on its own text.  Another model μ needs
−Σ_y π(y) log μ(y) = H(y) + KL(π‖μ) nats per string on that text.  A KL divergence is never
negative, so no model has a lower perplexity there.

The rate 0.8037 is also what the words cost in `sft`.  That is no accident.  Without a pseudo-count
the model visits each state as often as its B words did, η(s) = N[s]/B, and a row is N[s, a]/N[s].
Put into (exact.3), H(y) is −(1/B) Σ N[s, a] log π(a|s), and E|y| is N/B.  Their quotient is the
loss of (sft.1).  With a pseudo-count neither the rate nor the length is that of the words.

**What it costs, and when it fails.**  One linear solve gives all of `summary`, and `lengths` takes
one product with a sparse matrix per step.  A model that may write for ever has no mean length, and
`summary` refuses it with the error `NoEnd`.  `lengths` answers still: a part remains unfinished.

**Exercises.**  `from toy_lm.exact import *; from minirl.people.sft import fit_by_counting`
1. A model of one letter ends with 1/100 in each step, so that it writes 99 letters on average.
   Which share of its strings is shorter than that?
       round(1 - lengths(np.log([[0.01, 0.99]]), 99).unfinished, 4)
2. A temperature of ½ makes the likely letters of the three words likelier still.  Are its strings
   shorter than 2.6667 letters?
       from toy_lm.ngram import decoding
       words = fit_by_counting(np.array([[0., 2, 1], [2, 0, 2], [1, 2, 1]]), pseudo_count=0)
       np.round(summary(decoding(words, temperature=0.5)), 4).tolist()
3. With a pseudo-count of 1 every step of the nine is possible.  How likely is an empty string now,
   and are strings longer or shorter?
       words = fit_by_counting(np.array([[0., 2, 1], [2, 0, 2], [1, 2, 1]]), pseudo_count=1)
       round(lengths(words, 1).prob[0], 4), round(summary(words).letters, 4)

Read next: `models`, where a table keeps its letters.
Source: Shannon 1948, "A mathematical theory of communication", §7; Cover and Thomas, "Elements of
information theory", chapter 4.2.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.exact.evaluation import ending_chance, expectation, return_variance, transitions_under
from minirl.kernel.softmax import entropy, log_softmax
from toy_lm.ngram import language


class Lengths(NamedTuple):
    """The law of the number of letters, as far as it was asked for."""

    prob: np.ndarray  # (horizon,) of 0, 1, 2, … letters
    unfinished: float  # probability of no end after `horizon` steps


class Summary(NamedTuple):
    """What the strings of a model are like."""

    letters: float         # expected number of letters
    letters_std: float     # its standard deviation
    entropy: float         # of a string, in nats
    entropy_rate: float    # nats per character, the end included
    perplexity: float      # exp of the rate


def lengths(logits, horizon) -> Lengths:
    """The law of (exact.1) of the first `horizon` steps: `Lengths`.

    A string of n letters has n + 1 steps.  Works for models that do not end, too.

    Examples
    --------
    Two letters and the end, all equally likely:

    >>> law = lengths(np.zeros((3, 3)), 3)
    >>> print((law.prob * 27).round(6), round(law.unfinished * 27, 6))
    [9. 6. 4.] 8.0
    """
    policy = np.exp(log_softmax(logits))
    world = language(np.zeros(policy.shape))
    onwards, ends = transitions_under(world, policy).T.tocsr(), ending_chance(world, policy)
    unfinished, prob = world.start, []
    for _ in range(checks.whole("horizon", horizon)):
        prob.append(unfinished @ ends)
        unfinished = onwards @ unfinished
    return Lengths(np.array(prob), float(unfinished.sum()))


def summary(logits) -> Summary:
    """Length and entropy of the strings of a model, by (exact.2) and (exact.3): `Summary`.

    Examples
    --------
    Two letters and the end, all equally likely: log 3 a character, three characters a string.

    >>> print(*np.round(summary(np.zeros((3, 3))), 4))
    2.0 2.4495 3.2958 1.0986 3.0
    """
    logp = log_softmax(logits)
    policy = np.exp(logp)
    world, ones = language(np.zeros(logp.shape)), np.ones(logp.shape)
    steps, nats = expectation(world, policy, np.array([ones, entropy(logp)[:, None] * ones]))
    rate = float(nats / steps)
    spread = return_variance(world, policy, ones)
    return Summary(letters=float(steps - 1), letters_std=float(max(spread, 0)**0.5),
                   entropy=float(nats), entropy_rate=rate, perplexity=float(np.exp(rate)))
