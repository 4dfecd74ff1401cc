"""What can a program check that a bigram cannot learn?

*Worlds to read, after `rlhf`.  Previous: `rewards`.  Next: `jsonl`.*

Not every reward needs a person.  Code is run against its test cases, an answer is compared with the
solution, and here a program looks at the string.  Is it a *palindrome*, the same backwards?  Does
it match a pattern?  Has it the right length?  Such a program is a *verifier*.  It returns True or
False, and a string that passes earns a bonus, paid once, on its last step (`rlhf`).  A person errs,
and a program does not: it is a true reward.  But it checks its rule and nothing else, and the rule
may not be all that was meant.

**The best policy.**  Let p be the chance that a string of the reference passes.  The best law over
strings is (regularised.2) with whole strings as the actions, π_ref(y) e^{R(y)/β}/Z.  Here R is the
bonus or 0.  So Z = (1 − p) · 1 + p · e^{bonus/β}, and one number decides what the rule is worth:

    J* = β log Z = β log(1 + p (e^{bonus/β} − 1)).                                     (verifiers.1)

*In numbers*: the reference writes a, b or the end with ⅓ each, whatever stands before.  A string of
it is a palindrome with p = 5/7, as (verifiers.4) will show.  Take bonus = 1 and β = 1/log 2, so
that e^{bonus/β} = 2.  Then Z = 2/7 + 5/7 · 2 = 12/7 and J* = log(12/7)/log 2 = 0.7776.  The best
policy passes with (5/7 · 2)/(12/7) = 5/6.

**The best bigram.**  To write a palindrome one must remember its first half, and a bigram remembers
a letter.  So no bigram reaches J*.  A bigram π earns

    J(π) = bonus p(π) − β KL(π‖π_ref),   ∂p/∂log π(a|s) = E[X[s, a] 1{y passes}],      (verifiers.2)

where X[s, a] counts the steps (s, a) of the string.  For π(y) is a product in which the factor
π(a|s) occurs X[s, a] times, so ∂π(y)/∂log π(a|s) = X[s, a] π(y); sum this over the strings that
pass.  Call these expected counts N[s, a].  With p and N a good bigram can be climbed to.  The climb
ends at a local optimum.  A better bigram may exist, so the true gap is at most the one found, here
0.7776 − 0.749.  Printed are the chance that the reference passes, J*, J of the best bigram found,
and the chance that this bigram passes:

>>> fair = np.zeros((3, 3))
>>> print(*np.round(gap(fair, palindrome_counts, bonus=1.0, beta=1 / np.log(2)), 4))
0.7143 0.7776 0.749 0.7845

**A pattern** has a class of letters for each place (and an exact length is the pattern of that many
arbitrary letters).  Let P_t be the matrix π(a|s) in which only the columns of the letters of place
t are kept.  The product of two such matrices sums over the letter in the middle.  So

    p = (startᵀ P_1 P_2 … P_k) · π(end|·).                                             (verifiers.3)

N[s, a] at place t is what comes from the left, times π(a|s), times what is still to come on the
right.  The reference above writes exactly k letters with (⅔)ᵏ · ⅓.

**A palindrome** is read from both ends at once.  Let inner(a) be the chance of what stands between
an outer letter a and its mirror image, that image included.  Nothing more may come, then the two
are one letter in the middle: chance 1.  The second a may follow at once: π(a|a).  Or there is a
letter b next to each: π(b|a) to go in, π(a|b) to come out, and inner(b) between.  With the matrix
P[a, b] = π(b|a) π(a|b) and middle(a) = 1 + π(a|a), this is inner = middle + P inner.  Outside, the
first letter costs π(a|0) and the end after the last one π(0|a): outer(a) = π(a|0) π(0|a).  The
empty string is a palindrome too, so that

    p = π(0|0) + outerᵀ (I − P)⁻¹ middle.                                              (verifiers.4)

*In numbers*: P is 1/9 everywhere and middle = 4/3.  So inner = 4/3 + 2/9 inner, which is 12/7, and
p = ⅓ + 2 · 1/9 · 12/7 = 5/7.

**The Unicode words**, at β = 0.5 with a bonus of 2 for passing (CVCV: consonant, vowel, consonant,
vowel):

    rule           reference passes       J*   J of the bigram found   that bigram passes
    palindrome               0.1681   1.1518                  1.0974               0.9805
    five letters             0.0830   0.8475                  0.1676               0.0846
    CVCV                     0.0262   0.4384                  0.0624               0.0377

A bigram cannot be taught to write five letters: it cannot count.  With palindromes it does well,
and a look at what it writes says why.  A single letter is a palindrome, and that is what nearly all
its strings are.  It found a way to be paid that nobody had in mind.

Would a longer memory help?  To write five letters a policy must know how many it has written.  A
model of order 6 sees that, and so does a policy that may look at the clock: the optimum of the
unrolled world (`minirl.kernel.mdp.unroll`) is, for a fixed length, all of J*.

**A verifier is silent** as long as nothing passes.  Of eight strings of the reference at once, none
passes CVCV with the chance (1 − 0.0262)⁸ = 0.81.  Then all have earned the same, and a learner that
only compares them learns nothing:

>>> print(round((1 - 0.0262)**8, 2))
0.81

**Exercises.**  `from toy_lm.verifiers import *`
1. All symbols are equally likely.  How likely is a palindrome with 1, 2 or 26 letters to choose
   from?
       [round(float(palindrome_counts(np.zeros((n, n)))[0]), 4) for n in (2, 3, 27)]
2. The rule asks for exactly two letters, and the bonus is eight times the price.  How often does
   the best bigram that is found pass, starting from 4/27 = 0.1481?
       two = np.array([[False, True, True]] * 2)
       found = gap(np.zeros((3, 3)), lambda logits: pattern_counts(logits, two), bonus=4, beta=0.5)
       round(found.ref_passes, 3), round(found.bigram_passes, 3)
3. With a bonus of 8 the best bigram practically always writes a palindrome.  What does it write?
   (If it only repeated its first letter, the reference would write such strings with ⅔.)
       found = gap(np.zeros((3, 3)), palindrome_counts, bonus=8, beta=0.5)
       round(found.bigram, 3), round(8 + 0.5 * float(np.log(2 / 3)), 3)

Read next: `jsonl`, the files in which strings and judgements are kept.
Source: Lambert et al. 2024 (Tülu 3), arXiv:2411.15124, §6, reinforcement learning with verifiable
rewards; DeepSeek-AI 2025, arXiv:2501.12948, §2.2.2 of version 1, rule-based rewards.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from minirl.exact.evaluation import occupancy
from minirl.exact.solving import solve
from minirl.kernel import checks
from minirl.kernel.softmax import backward, log_softmax
from minirl.people.fitting import minimise
from minirl.people.kl import string_kl
from minirl.people.sft import fit_by_counting
from toy_lm.ngram import language, order_of
from toy_lm.rewards import VOWELS, is_vowel


class Gap(NamedTuple):
    """What a rule of the whole string costs a bigram, in units of reward."""

    ref_passes: float     # chance that the reference passes
    optimum: float        # J* over all policies of strings, (verifiers.1)
    bigram: float         # J of the best bigram found, (verifiers.2)
    bigram_passes: float  # chance that this bigram passes


def is_palindrome(text):
    """Whether a string reads the same backwards.

    Examples
    --------
    >>> is_palindrome("otto"), is_palindrome("otter")
    (True, False)
    """
    return text == text[::-1]


def matches(text, pattern):
    """Whether a string matches a pattern, letter by letter.

    V stands for a vowel, C for any other letter, and . for any letter; what else a pattern holds
    stands for itself.

    Examples
    --------
    >>> matches("kato", "CVCV"), matches("kato", "k.."), matches("kat", "k..")
    (True, False, True)
    """
    def fits(letter, wanted):
        if wanted in "VC":
            return (letter in VOWELS) == (wanted == "V")
        return wanted in (".", letter)

    checks.string("text", text)
    checks.string("pattern", pattern)
    return len(text) == len(pattern) and all(map(fits, text, pattern))


def pattern_classes(vocabulary, pattern):
    """The letters that a pattern allows in each place: (k, A) bool, with no end symbol anywhere.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> print(pattern_classes(Vocabulary("abc"), "V.c").astype(int))
    [[0 1 0 0]
     [0 1 1 1]
     [0 0 0 1]]
    """
    checks.string("pattern", pattern)
    vowel = is_vowel(vocabulary)
    named = {"V": vowel, "C": ~vowel, ".": np.full(vowel.size, True)}
    places = np.zeros((len(pattern), vocabulary.size), bool)
    for place, wanted in zip(places, pattern):
        if wanted not in named and wanted not in vocabulary.letters:
            raise ValueError(f"pattern must consist of V, C, . and letters of the vocabulary, "
                             f"got {wanted!r}")
        place[1:] = named.get(wanted, np.array([c == wanted for c in vocabulary.letters]))
    return places


def pattern_counts(logits, classes):
    """p and N[s, a] of (verifiers.3) for a pattern.

    Parameters
    ----------
    logits : (A, A) float
        A bigram.
    classes : (k, A) bool
        From `pattern_classes`; for an exact length, that of so many `.`.

    Returns
    -------
    p : float
        The chance that a string passes.
    N : (A, A) float
        Expected counts of its steps, where it passes, else zero.

    Examples
    --------
    One letter: from the start to it, and to the end, at 1/3 each.

    >>> p, N = pattern_counts(np.zeros((3, 3)), np.array([[False, True, False]]))
    >>> print(round(p * 9, 6), (N * 9).round(6).tolist())
    1.0 [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    policy, classes = _bigram(logits), np.asarray(classes)
    if classes.ndim != 2 or classes.shape[1] != len(policy) or classes[:, 0].any():
        raise ValueError(f"classes must have {len(policy)} columns, without the end symbol in any "
                         f"place, got shape {classes.shape}")
    left = [np.eye(len(policy))[0]]
    for place in classes:
        left.append((left[-1] @ policy) * place)
    right, N = policy[:, 0], np.zeros_like(policy)
    N[:, 0] = left[-1] * right
    for before, place in zip(left[-2::-1], classes[::-1]):
        N += before[:, None] * policy * (place * right)
        right = policy @ (place * right)
    return right[0], N


def palindrome_counts(logits):
    """p and N[s, a] of (verifiers.4): as `pattern_counts`, for palindromes of any length.

    Examples
    --------
    Two letters and the end, all equally likely: outer = 1/9, P = 1/9 everywhere, middle = 4/3.

    >>> p, N = palindrome_counts(np.zeros((3, 3)))
    >>> print(round(p, 6), round(N[:, 0].sum(), 6))  # every palindrome ends once
    0.714286 0.714286
    """
    policy = _bigram(logits)
    inner = policy[1:, 1:]
    outer, P, middle = policy[0, 1:] * policy[1:, 0], inner * inner.T, 1 + inner.diagonal()
    # What may stand outside a letter, on both sides, and what inside.  P is its own transpose.
    outside, inside = solve(sparse.csr_array(P), outer), solve(sparse.csr_array(P), middle)
    if inside is None:
        raise ValueError("logits must be of a bigram that ends, got one that writes a letter for "
                         "ever")
    edge, inwards = outer * inside, outside[:, None] * P * inside
    N = np.block([[policy[0, 0], edge],
                  [edge[:, None], inwards + inwards.T + np.diag(outside * inner.diagonal())]])
    return policy[0, 0] + outer @ inside, N


def _bigram(logits):
    """The policy of a bigram's table."""
    if order_of(np.shape(logits)) != 2:
        raise ValueError(f"logits must be the table of a bigram, (A, A), got {np.shape(logits)}")
    return np.exp(log_softmax(logits))


def objective_loss(logits, ref_logits, counts_of, *, bonus, beta):
    """−J of (verifiers.2), to be minimised, and its gradient.

    Parameters
    ----------
    logits, ref_logits : (A, A) float
        A bigram and the reference.
    counts_of : callable
        `counts_of(logits) -> (p, N)`, for example `palindrome_counts`.
    bonus : float
        Reward of a string that passes.
    beta : float > 0
        Reward per nat of KL.

    Examples
    --------
    >>> fair = np.zeros((3, 3))
    >>> loss, grad = objective_loss(fair, fair, palindrome_counts, bonus=1.0, beta=0.5)
    >>> print(round(loss, 4), grad.round(3)[0])  # better to end at once: "" is a palindrome
    -0.7143 [-0.095  0.048  0.048]
    """
    checks.finite("bonus", bonus)
    checks.positive("beta", beta)
    p, N = counts_of(logits)
    distance, slope = string_kl(language(np.zeros(np.shape(logits))), logits, ref_logits)
    return beta * distance - bonus * p, beta * slope - backward(log_softmax(logits), bonus * N)


def gap(ref_logits, counts_of, *, bonus, beta) -> Gap:
    """What the best policy of strings has, and what is left of it for a bigram: `Gap`.

    The arguments are those of `objective_loss`.  The best bigram is climbed to from the one that
    has the expected counts of the best policy.  It is a local optimum, so the true gap may be
    smaller.  A bonus of more than 8 β is reached by doubling a smaller one: at once it would lead
    to some bigram that always passes, and not to the nearest of them.

    Examples
    --------
    >>> found = gap(np.zeros((3, 3)), palindrome_counts, bonus=1.0, beta=0.5)
    >>> print(*np.round(found, 4))
    0.7143 0.8581 0.8217 0.9363
    """
    checks.positive("bonus", bonus)
    checks.positive("beta", beta)
    checks.finite("ref_logits", ref_logits)
    p, N = counts_of(ref_logits)
    policy = np.exp(log_softmax(ref_logits))
    visits = occupancy(language(np.zeros(policy.shape)), policy)
    # (verifiers.1) and the counts, with the largest exponential taken out.
    optimum = beta * np.logaddexp(special.log1p(-min(p, 1)), special.xlogy(1, p) + bonus / beta)
    failing = np.maximum(visits[:, None] * policy - N, 0)

    def loss(logits):
        try:
            return objective_loss(logits, ref_logits, counts_of, bonus=present, beta=beta)
        except ValueError:  # It writes for ever, and counts as a thousand nats away.
            return 1e3 * beta, np.zeros(policy.shape)

    present = min(bonus, 8 * beta)
    start = fit_by_counting(np.exp(-present / beta) * failing + N, pseudo_count=0)
    best = minimise(loss, start, tol=1e-5 * beta)
    while present < bonus:
        present = min(2 * present, bonus)
        best = minimise(loss, best.x, tol=1e-5 * beta)
    return Gap(ref_passes=float(p), optimum=float(optimum), bigram=-best.loss,
               bigram_passes=float(counts_of(best.x)[0]))
