"""ORPO: imitation and preference in one loss, without a reference.

*Part 4.  Previous: `simpo`.  Next: `unified`.*

Fine-tuning on chosen strings raises the rejected ones too, since both are made of the same letters.
Odds-ratio preference optimisation adds to the likelihood of the chosen string a penalty on the odds
of the rejected one.  With π̄(y) the geometric mean of the probabilities of a string's steps,

    log π̄(y) = log π(y)/|y|,   odds(y) = π̄(y)/(1 − π̄(y)),
    L = (1/B) Σ_i [−log π̄(y⁺_i) − λ log σ(m_i)],
    m_i = log odds(y⁺_i) − log odds(y⁻_i).                                                  (orpo.1)

Both terms have the mean over the string, the end symbol included.  (The paper's code takes the
first over all tokens of a batch, the prompt's too; that is the same for one string without a
prompt.)  Since d log odds/d log π̄ = 1 + π̄/(1 − π̄) = 1/(1 − π̄), with the rows M of (counts.4)

    G = ∂L/∂log π = −(1/B) [M⁺ᵀ(1 + λ σ(−m)/(1 − π̄⁺)) − M⁻ᵀ λ σ(−m)/(1 − π̄⁻)].            (orpo.2)

λ goes by the name `beta`, as in TRL.

*Numerics.*  1 − π̄ is −expm1(log π̄), which keeps the digits that log π̄ has.  But log π̄ itself is
rounded to about 10⁻¹⁶, so that 1 − π̄ has few digits left where it is small.  Below 10⁻¹⁶ log odds
are held at log π̄ + 37, with the slope 1: a string that is certain is pushed no more by its odds.

*What it finds.*  There is no reference, so it cannot be the optimum of J.  For λ → 0 the loss is
imitation of the chosen strings with each string's steps weighted 1/|y|, a count of fractions
(`sft`).  This favours what short strings do, and what all of them do once is end: on the running
example strings become half as long, 3.0 letters for 5.9.  The second term then tells chosen from
rejected.  100,000 pairs give 67 % of what there is to gain at λ = 1, and at best 72 or 73 %, near λ
= 4.

Read first: `sft`, `simpo`.  Read next: `unified`.
Source: Hong et al. 2024, "ORPO: monolithic preference optimization without reference model",
arXiv:2403.07691, eqs. 3-7.
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax
from minirl.people.fitting import minimise_near
from minirl.people.pairs import check_means, check_pairs, shares

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
    checks.positive("beta", beta)
    logp = log_softmax(logits)
    plus, minus = check_means(chosen, rejected, logp)
    w = shares(pair_weights, plus.shape[0])
    log_p = plus @ logp.ravel()
    odds, slope = log_odds(log_p)
    other_odds, other_slope = log_odds(minus @ logp.ravel())
    m = odds - other_odds
    push = beta * np.exp(log_sigmoid(-m))
    G = minus.T @ (w * push * other_slope) - plus.T @ (w * (1 + push * slope))
    loss = -(w * (log_p + beta * log_sigmoid(m))).sum()
    return loss, backward(logp, G.reshape(logp.shape))


def fit_orpo(ref_logits, pairs, *, beta, pull):
    """Fit the policy to `Pairs` by (orpo.1): as `simpo.fit_simpo`.

    Examples
    --------
    Action 1 is preferred always, and yet the pull leaves it short of certain:

    >>> from minirl.people.pairs import choices
    >>> fit = fit_orpo(np.zeros((1, 2)), choices([1], [0], 2), beta=1.0, pull=0.5)
    >>> print(np.exp(log_softmax(fit.x)).round(3), fit.converged)
    [[0.207 0.793]] True
    """
    check_pairs(pairs, ref_logits)
    plus, minus = pairs.means
    # Of the likelihood, which is the larger part, each state's n actions curve it by n π(1 − π).
    taken = (plus.T @ np.full(len(pairs), 1 / len(pairs))).reshape(pairs.shape)
    return minimise_near(lambda logits: orpo_loss(logits, plus, minus, beta=beta), ref_logits,
                         pull=pull, examples=len(pairs), curvature=taken)


def log_odds(log_p):
    """log(π̄/(1 − π̄)) and its derivative in log π̄, 1/(1 − π̄), for log π̄ ≤ 0 of any shape.

    The value is at most 37: see the numerics above.

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
