"""One wrong step spoils the string: how likely is a clean one, and what does checking buy?

*Part 5.  Previous: `inference`.  Next: `search`.*

A writer who adds step to step may go wrong at each of them, and what is written stays.  The longer
the string, the likelier it holds an error.  For a language model this *cascade of errors* is one
reason why it says with the same ease what is true and what is not, which is called *hallucination*.
This chapter computes the chance of a string without an error, and what it costs to check each step
or whole strings.  Last it asks why a skill of many right steps seems to appear all at once.

**A coin with three faces.**  A step ends the string with the chance 0.2, goes on rightly with 0.6,
and goes on wrongly with 0.2.  A string is *clean* if no step of it is wrong.  A clean string ends
at once, or takes a right step and is clean from there: clean = 0.2 + 0.6 clean.  So clean = 0.5.

>>> policy, correct = np.array([[0.2, 0.6, 0.2]]), np.array([[True, True, False]])
>>> print(clean_chances(three_faces(), policy, correct).round(6))
[0.5]

In general keep of each row what is right, good(a|s) = π(a|s) where the step (s, a) is right and 0
elsewhere.  Such rows sum to one at most.  What is missing is the chance of a wrong step in s:

    ε(s) = 1 − Σ_a good(a|s),   clean(s) = Σ_a good(a|s) E[clean(s')],                 (cascade.1)

where clean(s') counts as 1 after an end.  It is the equation of a value (`evaluation`).

**Why not a power?**  One may measure the share ε̄ of steps that are wrong, and raise 1 − ε̄ to the
mean length.  Here ε̄ = 0.2 and the mean length is 5, and 0.8^5 = 0.328 is far from 0.5.  There are
two reasons.  *Lengths differ*.  If every step, the end too, were wrong with the chance ε̄, whatever
came before, a string would be clean with the chance (1 − ε̄)^length.  Such a power is convex in the
exponent, so that its mean, 0.444 for the coin, is at least the power of the mean:

    E[(1 − ε̄)^length] ≥ (1 − ε̄)^E[length].                                            (cascade.2)

And *errors are not alike*: some steps and states have few.  The coin's end has none, and 0.444
becomes 0.5.  The bigram of the Unicode words writes 6.913 steps per word.  Say that a step is wrong
if it makes three symbols in a row, the ends included, that no word of the corpus has.  Then
ε̄ = 0.1733, and the two sides of (cascade.2) are 0.3660 and 0.2683, but 0.3776 of the words are
clean.  So most of the difference comes from the lengths, and 0.0116 from errors that are not alike.

**Checking steps.**  Let somebody see each step as it is drawn, and have it drawn until it is right,
at most k draws in all.  Draw i + 1 is made if i draws were wrong, with the chance ε^i.  So there
are 1 + ε + … + ε^{k−1} draws on average, and each is the right step a with the chance good(a|s):

    good_k(a|s) = good(a|s) (1 + ε + … + ε^{k−1}) = good(a|s) (1 − ε^k)/(1 − ε).       (cascade.3)

With k = 2 the coin has 0.24 and 0.72 in the place of 0.2 and 0.6.  So 0.24/(1 − 0.72) = 0.8571 of
the strings are clean.  Draws are counted too: 1.2 per step, and 1/(1 − 0.72) = 3.5714 steps until
the string ends or is given up, hence 4.2857 (`checked_steps`).

**Checking strings.**  Or write whole strings, give each up at its first wrong step, and stop at the
first clean one.  One string is `checked_steps` with k = 1.  It costs 2.5 draws, and half of them
are clean: 5 draws for a clean one.  By steps it is 4.2857/0.8571, which is 5 too.  One row gains
nothing: each draw completes a clean string with 0.2, whatever was drawn before.  Words do gain:

    draws of a step                 1       2       3       4       8       no limit
    clean                           0.3776  0.7371  0.8796  0.9357  0.9858  1.0000
    draws per word                  4.33    6.83    7.83    8.24    8.64    8.84
    draws per clean word            11.47   9.27    8.90    8.81    8.76    8.84
    as many draws by whole words    0.3776  0.5956  0.6828  0.7184  0.7533  0.7708

It pays to see early only where what follows differs from row to row.  Whoever writes n words in any
case, and does not stop at a clean one, has less still.  6.83 draws are n = 1.58 words, and 0.5266
is what (inference.1) gives if it is read for such n too.

*They do not write the same.*  Strings that are thrown away until one is clean are drawn from π,
given that they are clean.  That is a table again: a right step counts by what can follow it,

    π_clean(a|s) = good(a|s) clean(s')/clean(s),                                       (cascade.4)

against good(a|s)/(1 − ε(s)) by steps with no limit.  The coin ends with 0.4 by strings and with
0.25 by steps.  A long string is rarely clean, so whole strings that are clean are short: words have
4.21 letters by strings, and 6.08 by steps.  In the words a right step never leads to a state where
all steps are wrong.  Elsewhere it may, and then a check of single steps leads into dead ends.

**A skill out of nothing?**  Fit models that remember five letters (`toy_lm.contexts`) to more and
more names (`minirl inference`), and ask for letters of names that were held out: the next one, or
all of the next 4 or 16.  In 54 % of the places the sixteen run over the end of a name.

    letters     nats    next 1   next 4   next 16    (next 1)^16
    1,000       2.244   0.4109   0.1482   0.0016     6.6e-7
    16,000      1.126   0.6646   0.3473   0.0168     1.4e-3
    316,948     0.705   0.7498   0.4243   0.0224     1.0e-2

The loss falls smoothly, and the chance of the next letter does not even double.  The chance of
sixteen grows fourteen times.  It does not jump either.  But in a test of a hundred questions none
is right at first, and two at the end, and who sees only the test calls that *emergence*.

One would guess that the chance of k right steps is the k-th power of the chance of one.  It is a
bad guess.  Write p for the chance of the step that is due, which differs from place to place.  If
the k places of a run had nothing to do with each other, the power would be right.  If all of them
had the same p, it would be too small,

    E[p^k] ≥ E[p]^k,                                                                   (cascade.5)

and the more p varies the more so.  Names repeat whole phrases, which a model knows or does not.  So
easy letters stand together, and hard ones too.  After 1,000 letters the chance of sixteen is 2,400
times the power, and after all names still more than twice (within names 0.0454, across their ends
0.0027).  A power forecasts too little of a long skill, and errs most at the beginning.

**Exercises.**  `from minirl.beyond.cascade import *`
1. A string has two steps.  One of them, the first or the second, is wrong with the chance ½.  How
   many draws does a clean string cost by strings and by steps?
       from minirl.kernel.mdp import coin_game, unroll
       for right in [[0.5] * 2, [1] * 2], [[1] * 2, [0.5] * 2]:
           found = [checked_steps(unroll(coin_game(), 2), [[1, 0]] * 2, right, k) for k in (1, 99)]
           print([round(one.draws / one.clean, 3) for one in found])
2. Each step is right with the chance 0.8, whatever it is.  How many strings are clean if they have
   ten steps on average, and how many if each has ten?
       coin, sides = three_faces(), [[0.1, 0.45, 0.45]]
       clean_chances(coin, sides, np.full((1, 3), 0.8)).round(4), round(0.8**10, 4)
3. After a head nothing is right any more.  What do a thousand draws of each step buy, and what is
   the policy of the clean strings?
       from minirl.kernel.mdp import coin_game, unroll
       two, fair, correct = unroll(coin_game(), 2), np.full((2, 2), 0.5), [[1, 1], [0, 0]]
       found = checked_steps(two, fair, correct, 1000)
       [round(number, 3) for number in found], clean_policy(two, fair, correct)[0]

Read next: `search`, for strings that are looked for and not drawn.
Source: Dziri et al. 2023, arXiv:2305.18654; Lightman et al. 2023, arXiv:2305.20050 (steps); Wei et
al. 2022, arXiv:2206.07682, and Schaeffer et al. 2023, arXiv:2304.15004 (emergence).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirl.exact.evaluation import (NoEnd, at_states, ending_chance, expectation, links_among,
                                     reachable, transitions_under)
from minirl.exact.solving import solve
from minirl.kernel import checks
from minirl.kernel.mdp import TabularMDP, check_policy


class Verified(NamedTuple):
    """What a writer comes to whose steps are checked."""

    clean: float   # the chance of a whole string without a wrong step
    draws: float   # the mean number of steps drawn for a string, with those that were thrown away
    length: float  # the mean number of steps of the clean strings, their end included


def clean_chances(mdp, policy, correct):
    """The chance (S,) that no step from a state on is wrong, (cascade.1).

    Parameters
    ----------
    mdp : TabularMDP
        Gamma plays no part.
    policy : (S, A) float
    correct : (S, A) bool or float
        Whether a step is right; or how likely it is, from 0 to 1.

    Returns
    -------
    (S,) float
        0 in states that no episode visits.

    Examples
    --------
    Head is right, the end is right, and a third face of the coin goes on too but is wrong:

    >>> print(clean_chances(three_faces(), [[0.2, 0.6, 0.2]], [[1, 1, 0]]).round(6))
    [0.5]
    """
    return _clean(mdp, _good(mdp, policy, correct), reachable(mdp, policy))


def three_faces() -> TabularMDP:
    """A coin with three faces: 0 ends the game, 1 and 2 go on.  The example of this chapter.

    Examples
    --------
    >>> three_faces().terminated.tolist()
    [[[True], [False], [False]]]
    """
    return TabularMDP(np.zeros((1, 3, 1), int), np.ones((1, 3, 1)), np.zeros((1, 3, 1)),
                      [[[True], [False], [False]]], [1.0], 1.0)


def error_rate(mdp, policy, correct):
    """ε̄ of (cascade.2): the share of all steps that are wrong.

    Examples
    --------
    >>> print(error_rate(three_faces(), [[0.2, 0.6, 0.2]], [[1, 1, 0]]).round(6))
    0.2
    """
    wrong = 1 - _right_steps(correct, mdp.shape)
    mdp = replace(mdp, gamma=1.0)
    found, steps = expectation(mdp, policy, np.stack([wrong, np.ones(mdp.shape)]))
    return found / steps


def checked_steps(mdp, policy, correct, k) -> Verified:
    """`Verified`: each step is drawn until it is right, at most k times, (cascade.3).

    If all k draws of a step are wrong the string is given up.  With k = 1 nothing is drawn again,
    and a string is written until it ends or goes wrong.

    Examples
    --------
    >>> for k in 1, 2, 100:
    ...     print(*np.round(checked_steps(three_faces(), [[0.2, 0.6, 0.2]], [[1, 1, 0]], k), 4))
    0.5 2.5 2.5
    0.8571 4.2857 3.5714
    1.0 5.0 4.0
    """
    good = _good(mdp, policy, correct)
    error = np.maximum(1 - good.sum(axis=1), 0)
    tries = _tries(error, checks.whole("k", k))
    kept, states = good * tries[:, None], reachable(mdp, policy)
    visits = _solved(transitions_under(mdp, kept).T, mdp.start, states)
    clean = _clean(mdp, kept, states)
    ends = visits @ ending_chance(mdp, kept)
    # A clean string visits s as often as any string, if what comes after s is clean.
    length = (visits * clean).sum() / ends if ends > 0 else np.nan
    return Verified(float(ends), float(visits @ tries), float(length))


def clean_policy(mdp, policy, correct):
    """The policy that writes the clean strings of another one, in the same shares, (cascade.4).

    Rows from which no clean string is possible are those of `policy`.  There must be one outcome
    per action.

    Examples
    --------
    >>> print(clean_policy(three_faces(), [[0.2, 0.6, 0.2]], [[1, 1, 0]]).round(6))
    [[0.4 0.6 0. ]]
    """
    if mdp.next_state.shape[2] != 1:
        raise ValueError(f"mdp must have one outcome per action, got {mdp.next_state.shape[2]}")
    clean, policy = clean_chances(mdp, policy, correct), check_policy(mdp, policy)
    later = np.where(mdp.terminated[:, :, 0], 1.0, clean[mdp.next_state[:, :, 0]])
    weights = policy * correct * later
    total = weights.sum(axis=1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1), policy)


def _tries(error, k):
    """1 + ε + … + ε^{k−1}: how often a step is drawn that is wrong with the chance ε."""
    sure = error == 1
    return np.where(sure, k, (1 - error**k) / np.where(sure, 1, 1 - error))


def _clean(mdp, good, states):
    return _solved(transitions_under(mdp, good), ending_chance(mdp, good), states)


def _solved(M, right, states):
    """x = M x + right in these states, and 0 in the others."""
    solution = solve(links_among(states, M.tocsr()), right[states])
    if solution is None:
        raise NoEnd("the episodes must end, got a policy whose right steps go on for ever")
    return at_states(states, solution, elsewhere=0)


def _right_steps(correct, shape):
    correct = checks.array("correct", np.asarray(correct) * 1.0, shape)
    if not ((correct >= 0) & (correct <= 1)).all():
        raise ValueError(f"correct must lie in [0, 1], got {correct}")
    return correct


def _good(mdp, policy, correct):
    """π(a|s) times the chance that the step is right."""
    return check_policy(mdp, policy) * _right_steps(correct, mdp.shape)
