"""What a model writes, exactly: the length of its strings, and the entropy of its text.

A model is a policy, so nothing about its strings has to be estimated.  Let P_π hold the chances of
going on from state to state, |y| be the number of steps of a string, its letters and the end, and η
the expected visits.  The string is still unfinished after t steps with probability

    Pr(|y| > t) = Σ_s (start P_πᵗ)(s),  Pr(|y| = t) = Pr(|y| > t − 1) − Pr(|y| > t),       (exact.1)

and the moments are linear solves: a step counts one, and 2 E[rest] more in the square, as in
(evaluation.4),

    E|y| = Σ_s η(s),      E[|y|²] = E[Σ_t (1 + 2 E[|y| − t − 1 | s_t, a_t])].              (exact.2)

The *entropy* of the string is the entropy of the rows it passes through.  Per step it is the
entropy rate of the text that consists of such strings end to end, whose stationary law is η/E|y|,

    H(y) = Σ_s η(s) H(π(·|s)),      rate = H(y)/E|y|.                                      (exact.3)

The exponential of the rate is the perplexity that the model has on its own text, the least that any
model can have on it.  A model that was fitted by maximum likelihood visits each state as often as
its corpus did, so there, without pseudo-counts, the rate *is* the negative log-likelihood per
character of the corpus.

Read first: `ngram`, `minirl.exact.evaluation`.  Read next: `models`.
Source: Shannon 1948, §7; Cover and Thomas, "Elements of information theory", chapter 4.2.
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


def lengths(logits, horizon):
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


def summary(logits):
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
