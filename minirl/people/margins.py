"""Which lead does each loss on preferences want, and where does it stop?

*Part 4.  Previous: `orpo`.  Next: `ratios`.*
"""

from functools import partial
from numbers import Real

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.softmax import log_ratios, log_sigmoid, log_softmax
from minirl.people.dpo import logistic
from minirl.people.fitting import minimise_near
from minirl.people.pairs import (Pairs, check_difference, check_means, check_possible, over_pairs,
                                 shares)

HELD_AT = 300.0  # Powers are held at e^300, so that a float has room for the product of two.


def margin_loss(logits, ref_logits, pairs, phi, *, pair_weights=None):
    """The loss (margins.1) of any φ, to be minimised, and its gradient.

    Parameters
    ----------
    logits, ref_logits : (S, A) float
        Policy table θ and the frozen reference table; −∞ in the same places, if anywhere, and not
        where a string of the pairs goes.
    pairs : Pairs, or its counts, means or difference
        `Pairs`, and `Pairs.counts`, give φ the log-ratios of whole strings; `Pairs.means` gives it
        those per step; `Pairs.difference` will do for a φ of h⁺ − h⁻ alone.
    phi : callable
        `phi(plus, minus) -> (value, slope_plus, slope_minus)` for h⁺ and h⁻ (B,): one of those
        below or of `dpo.logistic`, `ipo.squared`, with its hyperparameters held by `partial`.
    pair_weights : (B,) float ≥ 0, optional
        By default all pairs count the same.

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> loss, grad = margin_loss([[0.0, 0.5]], [[0.0, 0.0]], choices([1], [0], 2),
    ...                          partial(hinge, beta=1.0))
    >>> print(loss, grad)
    0.5 [[ 1. -1.]]
    """
    logp, h = log_ratios(logits, ref_logits)
    return over_pairs(logp, h, _rows(pairs, logp), phi, pair_weights)


def _rows(pairs, logp):
    """X⁺ and X⁻, or M⁺ and M⁻, or D, checked."""
    rows = pairs.counts if isinstance(pairs, Pairs) else pairs
    if isinstance(rows, tuple) and len(rows) == 2 and not isinstance(rows, counts.Difference):
        return check_means(*rows, logp)
    rows = check_difference("pairs", rows, logp)
    check_possible("pairs", rows, logp)
    return rows


# Functions of the difference, m = β (h⁺ − h⁻).


def hinge(plus, minus, *, beta):
    """φ = max(0, 1 − m): a lead of 1/β is enough, and nothing less.

    It is RSO's form (arXiv:2309.06657) of SLiC's loss, which has no reference and adds the
    likelihood of a good string (arXiv:2305.10425).

    Examples
    --------
    >>> print(np.array(hinge(0.5, 0.0, beta=1.0)))
    [ 0.5 -1.   1. ]
    """
    m = _margin(plus, minus, beta)
    slope = -beta * (m.real < 1)
    return np.maximum(1 - m, 0), slope, -slope


def truncated_squared(plus, minus, *, beta):
    """φ = max(0, 1 − m)² (arXiv:2402.05749): IPO that does not call back who leads by more.

    Examples
    --------
    >>> print(np.array([truncated_squared(lead, 0.0, beta=1.0) for lead in (0.5, 2.0)]) + 0)
    [[ 0.25 -1.    1.  ]
     [ 0.    0.    0.  ]]
    """
    missing = np.maximum(1 - _margin(plus, minus, beta), 0)
    slope = -2 * beta * missing
    return missing * missing, slope, -slope


def exponential(plus, minus, *, beta):
    """φ = e^−m (arXiv:2402.05749): what is ranked wrongly by far pushes out of all proportion.

    Examples
    --------
    >>> print(np.array(exponential(0.0, 0.0, beta=0.5)))
    [ 1.  -0.5  0.5]
    """
    value = _exp(-_margin(plus, minus, beta))
    return value, -beta * value, beta * value


def robust(plus, minus, *, beta, label_smoothing):
    """φ = [−(1 − ε) log σ(m) + ε log σ(−m)]/(1 − 2ε), for raters of whom a share ε has erred.

    ε is `label_smoothing` (arXiv:2403.00409).  Its mean over such errors is DPO's φ of the truth.

    Examples
    --------
    >>> print(np.round(robust(0.0, 0.0, beta=1.0, label_smoothing=0.25), 4))
    [ 0.6931 -1.      1.    ]
    """
    _check_smoothing(label_smoothing)
    checks.positive("beta", beta)
    push = label_smoothing / (1 - 2 * label_smoothing)  # as conservative DPO's smoothing pulls
    return logistic(plus, minus, beta=beta, label_smoothing=-push)


def exo(plus, minus, *, beta, label_smoothing=1e-3):
    """φ = σ(m) log(σ(m)/(1 − ε)) + σ(−m) log(σ(−m)/ε), EXO's for pairs (arXiv:2402.00856).

    It is the KL of (σ(m), σ(−m)) to (1 − ε, ε), which DPO takes the other way round.  ε is
    `label_smoothing`.

    Examples
    --------
    >>> print(np.round(exo(0.0, 0.0, beta=1.0, label_smoothing=0.1), 4))
    [ 0.5108 -0.5493  0.5493]
    """
    _check_smoothing(label_smoothing, "(")
    m = _margin(plus, minus, beta)
    right, wrong = log_sigmoid(m), log_sigmoid(-m)
    sure, unsure = np.log1p(-label_smoothing), np.log(label_smoothing)
    slope = beta * np.exp(right + wrong) * (m - (sure - unsure))
    return np.exp(right) * (right - sure) + np.exp(wrong) * (wrong - unsure), slope, -slope


def discopop(plus, minus, *, beta, discopop_tau=0.05):
    """φ = −(1 − s) log σ(m) + s e^−m, s = σ(m/τ): found by a search (arXiv:2406.08414).

    τ is `discopop_tau`.  Not convex: near m = 0 a larger lead costs more.

    Examples
    --------
    >>> print(np.round(discopop(0.0, 0.0, beta=1.0), 4))
    [ 0.8466  0.7843 -0.7843]
    """
    checks.positive("discopop_tau", discopop_tau)
    m = _margin(plus, minus, beta)
    right, on, off = (log_sigmoid(x) for x in (m, m / discopop_tau, -m / discopop_tau))
    switch = (_exp(on + off - m) + np.exp(on + off) * right) / discopop_tau
    slope = beta * (switch - np.exp(off + right - m) - _exp(on - m))  # log σ(−m) = log σ(m) − m
    return _exp(on - m) - np.exp(off) * right, slope, -slope


# Functions of the two numbers r⁺ = β h⁺ and r⁻ = β h⁻.


def nca(plus, minus, *, beta):
    """φ = −log σ(r⁺) − ½ log σ(−r⁺) − ½ log σ(−r⁻), NCA's for pairs (arXiv:2402.05369).

    It asks of each string whether it was chosen, or written by the reference.

    Examples
    --------
    >>> print(np.round(nca(0.0, 0.0, beta=1.0), 4))
    [ 1.3863 -0.25    0.25  ]
    """
    checks.positive("beta", beta)
    r, s = beta * plus, beta * minus
    value = -log_sigmoid(r) - log_sigmoid(-r) / 2 - log_sigmoid(-s) / 2
    return value, beta * (_sigma(r) / 2 - _sigma(-r)), beta * _sigma(s) / 2


def bco(plus, minus, *, beta, delta=0.0):
    """φ = −log σ(r⁺ − δ) − log σ(δ − r⁻), BCO's (arXiv:2404.04656): which of the two is it?

    A classifier tells chosen strings from rejected ones.  δ is held fixed, as KTO's z₀ is.

    Examples
    --------
    >>> print(np.round(bco(0.0, 0.0, beta=1.0), 4))
    [ 1.3863 -0.5     0.5   ]
    """
    checks.positive("beta", beta)
    checks.finite("delta", delta)
    r, s = beta * plus - delta, beta * minus - delta
    return -log_sigmoid(r) - log_sigmoid(-s), -beta * _sigma(-r), beta * _sigma(s)


def sppo(plus, minus, *, beta):
    """φ = (h⁺ − 1/(2β))² + (h⁻ + 1/(2β))², SPPO's with hard labels (arXiv:2405.00675).

    Examples
    --------
    >>> print(np.array(sppo(0.0, 0.0, beta=1.0)))
    [ 0.5 -1.   1. ]
    """
    checks.positive("beta", beta)
    up, down = plus - 1 / (2 * beta), minus + 1 / (2 * beta)
    return up * up + down * down, 2 * up, 2 * down


def apo_zero(plus, minus, *, beta):
    """φ = σ(−r⁺) + σ(r⁻) (arXiv:2408.06266): the chosen string up, the rejected one down.

    Examples
    --------
    >>> print(np.array(apo_zero(0.0, 0.0, beta=1.0)))
    [ 1.   -0.25  0.25]
    """
    checks.positive("beta", beta)
    r, s = beta * plus, beta * minus
    return _sigma(-r) + _sigma(s), -beta * _sigma(r) * _sigma(-r), beta * _sigma(s) * _sigma(-s)


def apo_down(plus, minus, *, beta):
    """φ = σ(r⁺) + σ(r⁻ − r⁺) (arXiv:2408.06266): both down, the rejected one further.

    It is for pairs whose chosen string is worse than what the policy writes.

    Examples
    --------
    >>> print(np.array(apo_down(0.0, 0.0, beta=1.0)))
    [1.   0.   0.25]
    """
    m, r = _margin(plus, minus, beta), beta * plus
    apart = beta * _sigma(m) * _sigma(-m)
    return _sigma(r) + _sigma(-m), beta * _sigma(r) * _sigma(-r) - apart, apart


# Other divergences than the KL: u(h) and du/dh.


def under(divergence, phi):
    """The φ of u(h⁺) and u(h⁻), (margins.5): `phi` for a policy that pays another divergence.

    Examples
    --------
    >>> phi = under(forward_kl, partial(logistic, beta=1.0))
    >>> print(np.round(phi(np.log(2), 0.0), 4))
    [ 0.4741 -0.1888  0.3775]
    """
    def composed(plus, minus):
        (u, u_slope), (v, v_slope) = divergence(plus), divergence(minus)
        value, slope_plus, slope_minus = phi(u, v)
        return value, slope_plus * u_slope, slope_minus * v_slope

    return composed


def forward_kl(h):
    """u = 1 − e^−h and e^−h, for KL(π_ref‖π).

    Examples
    --------
    >>> print(np.array(forward_kl(0.0)))
    [0. 1.]
    """
    inverse = _exp(-h)
    return 1 - inverse, inverse


def jensen_shannon(h):
    """u = log 2 + log σ(h) and σ(−h), for the KLs of both policies to their mean, added.

    Examples
    --------
    >>> print(np.array(jensen_shannon(0.0)))
    [0.  0.5]
    """
    return np.log(2) + log_sigmoid(h), _sigma(-h)


def alpha_divergence(h, *, alpha):
    """u = (1 − e^(−alpha·h))/alpha and e^(−alpha·h): between KL(π‖π_ref), 0, and KL(π_ref‖π), 1.

    Examples
    --------
    >>> print(np.array(alpha_divergence(0.0, alpha=0.5)))
    [0. 1.]
    """
    checks.positive("alpha", alpha)
    inverse = _exp(-alpha * h)
    return (1 - inverse) / alpha, inverse


# Losses of a whole batch.


def aot_loss(logits, ref_logits, pairs, phi, *, pair_weights=None):
    """AOT for pairs (arXiv:2406.05882): the leads under π in order, against those under π_ref.

    The k-th smallest log π(y⁺) − log π(y⁻) is set against the k-th smallest under π_ref, of
    whatever pair.  `phi` is a φ of a difference, and sees this one; all else is as for
    `margin_loss`.  With weights it is the coupling of `coupled`.

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> loss, grad = aot_loss([[0.0, 1.0]], [[0.0, 0.5]], choices([1, 0], [0, 1], 2),
    ...                       partial(exponential, beta=1.0))
    >>> print(loss.round(4), grad.round(4))
    1.1276 [[-0.5211  0.5211]]
    """
    logp, _ = log_ratios(logits, ref_logits)
    plus, minus = _both(pairs, logp)
    lead, ref_lead = (plus @ table.ravel() - minus @ table.ravel()
                      for table in (logp, log_softmax(ref_logits)))
    i, j, mass = coupled(lead, ref_lead, shares(pair_weights, lead.size))

    def shifted(plus, minus):
        return phi(plus - minus - ref_lead[j], 0.0)

    return over_pairs(logp, logp, (plus[i], minus[i]), shifted, mass)


def aot_unpaired_loss(logits, ref_logits, pairs, phi, *, pair_weights=None):
    """AOT without pairs: the k-th smallest h⁺ is set against the k-th smallest h⁻.

    All else is as for `aot_loss`.  Who was compared with whom plays no part.

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> loss, grad = aot_unpaired_loss([[0.0, 1.0]], [[0.0, 0.0]], choices([1, 0], [0, 1], 2),
    ...                                partial(exponential, beta=1.0))
    >>> print(loss, grad)
    1.0 [[0. 0.]]
    """
    logp, h = log_ratios(logits, ref_logits)
    plus, minus = _both(pairs, logp)
    i, j, mass = coupled(plus @ h.ravel(), minus @ h.ravel(), shares(pair_weights, plus.shape[0]))
    return over_pairs(logp, h, (plus[i], minus[j]), phi, mass)


def _both(pairs, logp):
    rows = _rows(pairs, logp)
    if not isinstance(rows, tuple):
        raise ValueError("pairs must be Pairs, or its counts or means, got one matrix")
    return rows


def coupled(values, others, weights):
    """Which of `values` meets which of `others`, both (B,), in order of size: rows, rows, masses.

    Entry i of either has weights[i] (B,), which sum to 1.  Both are laid end to end in rising
    order.  Where a piece of one lies beside a piece of the other they meet, with the mass that both
    have there.  With equal weights this is sorting.

    Examples
    --------
    The larger value, of weight ¾, meets all of the larger other one, of ¼, and part of the smaller:

    >>> i, j, mass = coupled(np.array([5.0, 7.0]), np.array([3.0, 2.0]), np.array([0.25, 0.75]))
    >>> print(i, j, mass)
    [0 1 1] [1 1 0] [0.25 0.5  0.25]
    """
    i, j = np.argsort(values, kind="stable"), np.argsort(others, kind="stable")
    ends, other_ends = np.cumsum(weights[i]), np.cumsum(weights[j])
    cuts = np.union1d(ends, other_ends)
    mass = np.diff(cuts, prepend=0.0)
    inside, last = cuts - mass / 2, weights.size - 1  # rounding may put a cut past the last end
    return (i[np.minimum(np.searchsorted(ends, inside), last)],
            j[np.minimum(np.searchsorted(other_ends, inside), last)], mass)


# What a φ wants, and fits.


def wanted_margin(phi, wins):
    """The h⁺ − h⁻ at which the mean cost of a pair is least, where y⁺ wins a share of comparisons.

    `phi` is a convex φ of h⁺ − h⁻ that falls at 0.  The margin is the root of (margins.2), where
    the slope jumps the place of the jump, and ±∞ where the cost falls for ever.  Of several the
    one nearest to 0.

    Examples
    --------
    >>> print(round(wanted_margin(partial(logistic, beta=1.0), 0.75), 4))  # log 3
    1.0986
    >>> print(wanted_margin(partial(exponential, beta=1.0), 1.0))
    inf
    """
    checks.fraction("wins", wins)
    if wins < 0.5:
        return -wanted_margin(phi, 1 - wins)
    if not phi(0.0, 0.0)[1] < 0:
        raise ValueError(f"phi must fall at 0, got the slope {phi(0.0, 0.0)[1]}")

    def slope(m):
        return wins * phi(m, 0.0)[1] - (1 - wins) * phi(-m, 0.0)[1]

    low, high = 0.0, 1e-9 * (wins > 0.5)
    while slope(high) < 0:
        # A slope that fades without a zero, or lasts beyond all bounds: no margin is enough.
        if slope(high) > 1e-30 * phi(0.0, 0.0)[1] or high > 1e9:
            return np.inf
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:  # halved to the last digit
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return high


def fit_margins(ref_logits, pairs, phi, *, pull):
    """Fit the policy to preferences by (margins.1), from the reference: as `dpo.fit_dpo`.

    Examples
    --------
    Two of three raters preferred action 1.  The hinge asks for its lead of 1/β all the same:

    >>> from minirl.people.pairs import choices
    >>> fit = fit_margins(np.zeros((1, 2)), choices([1, 1, 0], [0, 0, 1], 2),
    ...                   partial(truncated_squared, beta=0.5), pull=0)
    >>> print((fit.x[0, 1] - fit.x[0, 0]).round(4))
    0.6667
    """
    rows = _rows(pairs, log_softmax(ref_logits, "ref_logits"))
    B = (rows[0] if isinstance(rows, tuple) else rows).shape[0]
    loss = partial(margin_loss, ref_logits=ref_logits, pairs=rows, phi=phi)
    return minimise_near(loss, ref_logits, pull=pull, examples=B)


def _margin(plus, minus, beta):
    checks.positive("beta", beta)
    return beta * (plus - minus)


def _sigma(x):
    return np.exp(log_sigmoid(x))


def _exp(x):
    return np.exp(np.minimum(x, HELD_AT))


def _check_smoothing(value, left="["):
    if not isinstance(value, Real) or not 0 <= value < 0.5 or left == "(" and value == 0:
        raise ValueError(f"label_smoothing must lie in {left}0, 0.5), got {value}")
