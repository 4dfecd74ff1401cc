"""Can imitation itself learn from preferences, without a reference?

*Part 4.  Previous: `simpo`.  Next: `margins`.*

SFT raises the chosen strings and knows nothing of the rejected ones.  It may raise those too, since
both are made of the same steps.  *Odds-ratio preference optimisation*, ORPO, is SFT with a second
term, which asks that the chosen string be likelier than the rejected one.  No string is compared
with a reference.  In its place stands the likelihood: what holds the policy is that it must go on
writing the chosen strings.

**Odds.**  Let π̄(y) be the typical probability of a step of y.  It is the geometric mean over the
|y| steps, the end included:

    log π̄(y) = log π(y)/|y|.

The *odds* of an event of probability ¾ are 3 to 1, that is ¾/(1 − ¾).  ORPO takes the odds of π̄,
and the margin m is how far the log-odds of the chosen string lead.  With the weight λ, `beta` in
code, as in TRL,

    odds(y) = π̄(y)/(1 − π̄(y)),   m_i = log odds(y⁺_i) − log odds(y⁻_i),
    L = (1/B) Σ_i [−log π̄(y⁺_i) − λ log σ(m_i)].                                           (orpo.1)

**Two strings.**  "ab" was preferred to "ba".  The policy is that of `counts`: start→a, a→b and
b→end have the chance ½, and all else has ¼.

    y      probabilities of the steps      π̄     odds     log odds
    ab     ½  ½  ½                         ½     1         0
    ba     ¼  ¼  ¼                         ¼     1/3      −1.0986

So m = log 3 = 1.0986 and σ(m) = 3/(3 + 1) = ¾.  With λ = 1 the loss is −log ½ − log ¾ = 0.9808:

>>> from minirl.kernel import counts
>>> from minirl.people.pairs import Pairs
>>> pairs = Pairs(counts.steps([0, 1, 2], [1, 2, 0], [0, 3], (3, 3)),
...               counts.steps([0, 2, 1], [2, 1, 0], [0, 3], (3, 3)))
>>> logits = np.log([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
>>> loss, grad = orpo_loss(logits, *pairs.means, beta=1.0)
>>> print(round(loss, 4), grad[0].round(4))
0.9808 [ 0.0972 -0.3056  0.2083]

**The derivative of the log-odds.**  Since π̄ is e^(log π̄), its derivative in log π̄ is π̄ again.
So that of log odds = log π̄ − log(1 − π̄) is

    d log odds/d log π̄ = 1 + π̄/(1 − π̄) = (1 − π̄ + π̄)/(1 − π̄) = 1/(1 − π̄).

It is 2 for "ab" and 4/3 for "ba".  Move log π̄ of "ab" by 0.001 to both sides, and see:

>>> ends = log_odds(np.log(0.5) + np.array([-0.001, 0.001]))[0]
>>> print(((ends[1] - ends[0]) / 0.002).round(4))
2.0

**The gradient.**  The derivative of −λ log σ(m) in m is −λ σ(−m).  The derivative of log π̄ in
log π is a row of M, by (counts.4).  By the chain rule

    G = ∂L/∂log π = −(1/B) [M⁺ᵀ(1 + λ σ(−m)/(1 − π̄⁺)) − M⁻ᵀ λ σ(−m)/(1 − π̄⁻)].            (orpo.2)

In the example σ(−m) = ¼, and each step counts ⅓.  A step of "ab" has G = −⅓ (1 + ¼ · 2) = −½, and a
step of "ba" has G = ⅓ · ¼ · 4/3 = 1/9.  In the row of the start ΣG = −½ + 1/9 = −7/18, so that
(softmax.3) makes −½ + ½ · 7/18 = −0.3056 of that of start→a, as above.  The 1 in the bracket never
fades.  The odds push less where m is large, and more where π̄ is near 1.

**What it finds.**  Two of three raters preferred action 1 of two.  Imitation alone, λ near 0, makes
it as likely as it was chosen, ⅔.  The odds alone want σ(m) = ⅔, so m = log 2.  The odds of action 0
are one over those of action 1, and so m is twice the log-odds of action 1.  These come to half of
log 2, which is the chance σ(½ log 2) = 0.586.  λ = 1 lies between the two:

>>> from minirl.people.pairs import choices
>>> for weight in (1e-6, 1.0, 1e4):
...     fit = fit_orpo(np.zeros((1, 2)), choices([1, 1, 0], [0, 0, 1], 2), beta=weight, pull=0)
...     print(np.exp(log_softmax(fit.x)).round(3))
[[0.333 0.667]]
[[0.397 0.603]]
[[0.414 0.586]]

None of these is the best policy for J, which has a reference in it.  Over longer strings, the first
term alone is SFT on a count of fractions: each string's steps are weighted 1/|y|.  This favours
what short strings do.  The end is a step of every string, and a larger share of a short one.  So on
the running example strings become half as long, 3.0 letters for 5.9.  The second term then tells
chosen from rejected.  100,000 pairs give 67 % of what there is to gain at λ = 1, and at best 72 or
73 %, near λ = 4.

*Where π̄ is 1*, up to rounding, 1/(1 − π̄) is about 10¹⁶, and times the 1 − π of (softmax.3) it
leaves a number of no meaning.  So where 1 − π̄ is below 10⁻¹⁶, the log-odds are held at log π̄ +
37, with the slope 1: a string that is certain is pushed no more by its odds.

**Exercises.**  `from minirl.people.orpo import *; from minirl.people.pairs import *`
1. "ab" was preferred to "abab", at the policy above.  After a step of gradient descent, is the log
   π̄ of "abab" lower?
       x = np.log([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
       M = Pairs(counts.steps([0, 1, 2], [1, 2, 0], [0, 3], (3, 3)),
                 counts.steps([0, 1, 2, 1, 2], [1, 2, 1, 2, 0], [0, 5], (3, 3))).means
       steps = [0.1 * orpo_loss(x, *M, beta=weight)[1] for weight in (0.001, 1.0)]
       [round(float((M[1] @ (log_softmax(x - step) - x).ravel())[0]), 4) for step in steps]
2. Actions 0 and 1 each won one comparison with the other.  Action 2 was not compared.  How likely
   does a fit make it?  Predict whether λ matters.
       pairs = choices([0, 1], [1, 0], 3)
       [np.exp(log_softmax(fit_orpo(np.zeros((1, 3)), pairs, beta=weight, pull=1.0).x)).round(2)
        for weight in (0.01, 100.0)]
3. How steep are the log-odds of a string where π̄ is 0.5, 0.999 and 1?
       log_odds(np.log([0.5, 0.999, 1.0]))[1].round(1)

Read next: `margins`, every loss on preferences side by side.
Source: Hong et al. 2024, "ORPO: monolithic preference optimization without reference model",
arXiv:2403.07691, eqs. 3-7.
"""

from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import log_sigmoid, log_softmax
from minirl.people.fitting import Fit, minimise_near
from minirl.people.pairs import check_means, check_pairs, over_pairs

LEAST = 1e-16  # Where 1 − π̄ is below this, π̄ cannot be told from 1.


def orpo_loss(logits, chosen, rejected, *, beta, pair_weights=None):
    """The loss (orpo.1), to be minimised, and its gradient.

    All but `beta` is as for `simpo.simpo_loss`.  `beta` > 0 is λ, the weight of the odds ratio; it
    has no unit.

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> loss, grad = orpo_loss(np.zeros((1, 2)), *choices([1], [0], 2).means, beta=1.0)
    >>> print(round(loss, 4), grad)
    1.3863 [[ 1.5 -1.5]]
    """
    logp = log_softmax(logits)
    means = check_means(chosen, rejected, logp)
    return over_pairs(logp, logp, means, partial(odds, beta=beta), pair_weights)


def odds(plus, minus, *, beta):
    """φ of (orpo.1) and its two slopes, for log π̄⁺ and log π̄⁻ of any shape: what one pair costs.

    Examples
    --------
    >>> value, slope_plus, slope_minus = odds(np.log(0.5), np.log(0.5), beta=1.0)
    >>> print(value.round(4), slope_plus, slope_minus)
    1.3863 -2.0 1.0
    """
    checks.positive("beta", beta)
    (good, slope), (bad, other_slope) = log_odds(plus), log_odds(minus)
    push = beta * np.exp(log_sigmoid(bad - good))
    return -plus - beta * log_sigmoid(good - bad), -1 - push * slope, push * other_slope


def fit_orpo(ref_logits, pairs, *, beta, pull) -> Fit:
    """Fit the policy to `Pairs` by (orpo.1): as `simpo.fit_simpo`.

    Examples
    --------
    Action 1 is preferred always, and yet the pull leaves it short of certain:

    >>> from minirl.people.pairs import choices
    >>> fit = fit_orpo(np.zeros((1, 2)), choices([1], [0], 2), beta=1.0, pull=0.5)
    >>> print(np.exp(log_softmax(fit.x)).round(3), fit.converged)
    [[0.207 0.793]] True
    """
    check_pairs(pairs, log_softmax(ref_logits, "ref_logits"))
    plus, minus = pairs.means
    # Of the likelihood, which is the larger part, each state's n actions curve it by n π(1 − π).
    taken = (plus.T @ np.full(len(pairs), 1 / len(pairs))).reshape(pairs.shape)
    return minimise_near(lambda logits: orpo_loss(logits, plus, minus, beta=beta), ref_logits,
                         pull=pull, examples=len(pairs), curvature=taken)


def log_odds(log_p):
    """log(π̄/(1 − π̄)) and its derivative in log π̄, 1/(1 − π̄), for log π̄ ≤ 0 of any shape.

    The value is at most 37, where π̄ cannot be told from 1.

    Examples
    --------
    >>> value, slope = log_odds(np.log([0.5, 0.75]))
    >>> print(value.round(4), slope)
    [0.     1.0986] [2. 4.]
    """
    rest = -np.expm1(log_p)
    known = rest.real > LEAST
    rest = np.where(known, rest, LEAST)
    return log_p - np.log(rest), np.where(known, 1 / rest, 1.0)
