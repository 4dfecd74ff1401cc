"""Which lead does each loss on preferences want, and where does it stop?

*Part 4.  Previous: `orpo`.  Next: `ratios`.*

Whoever aligns a model picks one of some twenty losses by name.  Most differ in one thing only: what
a pair costs, as a function of the log-ratios h⁺ = log π(y⁺) − log π_ref(y⁺) of its chosen string
and h⁻ of its rejected one.  Call it φ(h⁺, h⁻), and its slopes φ₊ in h⁺ and φ₋ in h⁻.  With the
table h = log π − log π_ref the h⁺ of all pairs are X⁺ h, by (counts.2).  With weights w that sum to
1 the chain rule gives one builder for all.  (M⁺ and M⁻ for X⁺ and X⁻ make means per step of sums.)

    L = Σ w φ(h⁺, h⁻),   G = ∂L/∂log π = X⁺ᵀ(w φ₊) + X⁻ᵀ(w φ₋).                          (margins.1)

**In numbers.**  The reference gives ½ to both strings, and the policy ¾ to the chosen one.  So h⁺ =
log(¾ / ½) = log 1.5 and h⁻ = log(¼ / ½) = log 0.5.  At β = 1 the margin m = β (h⁺ − h⁻) is log 3.
DPO costs −log σ(m) = −log ¾ with the slope −σ(−m) = −¼.  The *exponential* loss costs e^−m = 1/3.
The *hinge* costs max(0, 1 − m), here nothing.  BCO classifies strings one by one, at −log σ(β h⁺)
− log σ(−β h⁻), here −log(3/5) − log(2/3), with the slopes −2/5 and 1/3.  Here are φ, φ₊ and φ₋:

>>> for phi in logistic, exponential, hinge, bco:
...     print(f"{phi.__name__:11}", np.round(phi(np.log(1.5), np.log(0.5), beta=1.0), 3) + 0)
logistic    [ 0.288 -0.25   0.25 ]
exponential [ 0.333 -0.333  0.333]
hinge       [0. 0. 0.]
bco         [ 0.916 -0.4    0.333]

**What a function of the margin wants.**  Most φ see m alone.  Write φ(m) for them, so that φ₊ = β
φ′ = −φ₋.  Let y⁺ win a share `wins` of its comparisons with y⁻.  In the others they change places,
and m changes its sign.  The mean cost wins φ(m) + (1 − wins) φ(−m) has the slope 0 where

    wins φ′(m) = (1 − wins) φ′(−m),   or odds = φ′(−m)/φ′(m),  odds = wins/(1 − wins).   (margins.2)

Where φ is convex this is the minimum.  With savage and EXO too: their mean slope changes its sign
once.  DPO has φ′ = −σ(−m), so odds = σ(m)/σ(−m) = e^m.  Savage has φ′ = −2 σ(m) σ(−m)², and the
same odds.  The exponential has φ′ = −e^−m, so odds = e^(2m).  A square wants wins (m − 1) = (1 −
wins) (−m − 1), so m = 2 wins − 1.  Cut off at 1 it wants the same.  The mean hinge is a straight
line from m = −1 to 1 with the slope 1 − 2 wins, so that one end is lowest (at ½ all are).  EXO's φ
is the KL of (σ(m), σ(−m)) to (1 − smoothing, smoothing).  So φ′ = σ(m) σ(−m) (m − top), with top =
log(1/smoothing − 1).  The σ cancel in (margins.2), and leave wins (m − top) = (1 − wins) (−m −
top).  Raters who err *mix* the wins: (1 − smoothing) wins + smoothing (1 − wins).  The inverse
*unmixes* them: (wins − smoothing)/(1 − 2 smoothing).  The smoothing in this table is 0.05:

                       φ(m)             wanted margin              wins 0.9     1       RLHF?
    logistic, DPO      −log σ(m)        log odds                      2.197     ∞       yes
    savage             σ(−m)²           log odds                      2.197     ∞       yes
    exponential        e^−m             ½ log odds                    1.099     ∞       at price 2β
    conservative       (margins.4)      log odds of mixed wins        1.815   2.944     no
    robust             (margins.4)      log odds of unmixed wins      2.833     ∞       if mixed
    exo                the KL above     (2 wins − 1) top              2.356   2.944     no
    squared, IPO       (m − 1)², β = 2τ 2 wins − 1                    0.8       1       no
    truncated_squared  max(0, 1 − m)²   2 wins − 1                    0.8     1 or more no
    hinge              max(0, 1 − m)    1, or −1 if wins < ½          1       1 or more no

**Which find the optimum of RLHF?**  There h⁺ − h⁻ is the difference of rewards over the price, by
(dpo.1), and if raters follow Bradley-Terry this difference is log odds.  So the wanted margin must
be log odds over some factor, and by (margins.2) this is

    φ′(−m) = e^(factor·m) φ′(m),   for RLHF at the price factor·β.                       (margins.3)

The first three rows do it, and robust DPO if wins come mixed.  Then, with enough pairs, each pair
is content by itself, whoever wrote it.  With three strings or more the others want leads that
contradict each other, as in `ipo`.  They rest at a compromise, which depends on who wrote the pairs
and in general is RLHF's optimum at no price, and so do KTO, SimPO, ORPO and the losses below.
`python -m minirl objectives` says what each is worth, and draws the wanted margins with `--plot`.

**Smoothing, back and forth.**  As log σ(−m) = log σ(m) − m, (dpo.4) is −log σ(m) + smoothing·m, so
that each margin is drawn back.  *Robust* DPO subtracts a multiple of m instead:

    [−(1 − smoothing) log σ(m) + smoothing · log σ(−m)]/(1 − 2 smoothing)
        = −log σ(m) − smoothing/(1 − 2 smoothing)·m.                                     (margins.4)

Let raters turn a share `smoothing` of their answers round.  In the mean of the bracket −log σ(m)
has the factor (1 − smoothing)² − smoothing² = 1 − 2 smoothing, which cancels, and log σ(−m) cancels
too: what is left is DPO without errors.  But where the wins exceed 1 − smoothing, as in each pair
that is compared once, this loss falls for ever.

**Two numbers.**  BCO, NCA, SPPO and APO-zero cost a function of h⁺ plus one of h⁻.  A string that
wins wins(y) of all its comparisons is told its own h(y), and not only a difference:

    wins(y) φ₊(h(y)) + (1 − wins(y)) φ₋(h(y)) = 0.                                       (margins.5)

BCO: wins σ(−β h) = (1 − wins) σ(β h), so β h is the log odds of wins(y).  NCA: wins σ(−β h) = ½ σ(β
h), so β h = log(2 wins(y)).  SPPO: β h = wins(y) − ½.  APO-zero is twice KTO at z₀ = 0, a vote: its
(margins.5) has no root.  Such π(y) need not sum to 1, and a policy can only come near them.  But
with β = 1 and pairs of the reference NCA finds 2 wins(y) π_ref(y), the law of the chosen strings,
which sums to 1, as wins(y) is ½ on average.  For "aa" over "aaaa" in `dpo` all four begin as DPO
does, since φ₊ = −φ₋ at h = 0.  So "aa" falls from its chance of 0.222, but not to 0.  With BCO, NCA
and SPPO a falling h⁺ costs more and more, while h⁻ can save only so much; with APO-zero near 0 all
that was saved is lost again.  At β = 1 it ends at 0.205 with SPPO, 0.159 with NCA, 0.149 with BCO
and 0.113 with APO-zero.  A finite lead stops it too: IPO with τ = ½ at 0.161, EXO (0.1) at 0.099.

**Another divergence.**  Charge β Σ_y π_ref(y) f(π(y)/π_ref(y)) for a convex f.  With f(x) = x log x
it is the KL.  At the best policy E[R] less this has the same derivative in every π(y), since they
sum to 1:

    R(y) = β f′(π(y)/π_ref(y)) + a constant.                                             (margins.6)

So f′(e^h) may replace h in any φ (`under`).  Where (margins.3) holds, this finds the best policy.

**Two oddities.**  AOT forgets who was compared with whom.  It sorts the h⁺ and the h⁻ of a batch,
and sets the k-th against the k-th; or sorted leads under π against sorted leads under π_ref.
DiscoPOP turns from −log σ(m) to e^−m within some twentieths around m = 0.  There its slope is +0.78
(β = 1).  So it pushes the reference the wrong way, and may rest at m = −0.119 where y⁺ always won.

**Exercises.**  `from minirl.people.margins import *; from minirl.people.pairs import choices; from
minirl.kernel.softmax import log_softmax`
1. Raters are almost undecided: y⁺ won 51 of 100.  What margin do four losses want?
       for phi in logistic, exponential, truncated_squared, hinge:
           round(wanted_lead(partial(phi, beta=1.0), 0.51), 3)
2. The reference writes action 1 with ¼, and 16 of its pairs come as often as expected.  Action 1
   always wins.  How likely does NCA make it?
       wins = choices([0] * 9 + [1] * 7, [0] * 9 + [0] * 6 + [1], 2)
       fit = fit_margins(np.log([[0.75, 0.25]]), wins, partial(nca, beta=1.0), pull=0)
       np.exp(log_softmax(fit.x)).round(4)
3. Two actions won a comparison each, and one leads by 2 nats.  Which loss calls it back?
       both, ahead, even = choices([0, 1], [1, 0], 2), np.array([[0.0, 2.0]]), np.zeros((1, 2))
       for loss in margin_loss, aot_unpaired_loss:
           -loss(ahead, even, both, partial(logistic, beta=1.0))[1].round(3) + 0

Read next: `ratios`, the same for what learns from its own strings.
Source: Tang et al. 2024, arXiv:2402.05749; Wang et al. 2023, arXiv:2309.16240; each function's own.
"""

from functools import partial

import numpy as np
from scipy import sparse

from minirl.kernel import checks, counts
from minirl.kernel.softmax import log_ratios, log_sigmoid, log_softmax
from minirl.people.dpo import check_smoothing, logistic
from minirl.people.fitting import Fit, minimise_near
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
        `phi(plus, minus) -> (value, slope_plus, slope_minus)` for h⁺ and h⁻, (B,) each: one of
        those below, or `dpo.logistic` or `ipo.squared`, its hyperparameters held by `partial`.
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
    rows = _rows(pairs, logp)
    if sparse.issparse(rows):
        _check_difference_alone(phi)
    return over_pairs(logp, h, rows, phi, pair_weights)


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

    It is RSO's form (arXiv:2309.06657).  SLiC's has no reference, and adds the likelihood of a good
    string (arXiv:2305.10425).

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


def savage(plus, minus, *, beta):
    """φ = σ(−m)² (arXiv:2402.05749): not convex, so that what is ranked wrongly by far is given up.

    Examples
    --------
    >>> print(np.array(savage(0.0, 0.0, beta=1.0)))
    [ 0.25 -0.25  0.25]
    """
    m = _margin(plus, minus, beta)
    slope = -2 * beta * _sigma(m) * _sigma(-m) ** 2
    return _sigma(-m) ** 2, slope, -slope


def robust(plus, minus, *, beta, label_smoothing):
    """φ of robust DPO, (margins.4), for raters who turn a share `label_smoothing` round.

    Its mean over their answers is DPO's φ of the answers they meant (arXiv:2403.00409).

    Examples
    --------
    >>> print(np.round(robust(0.0, 0.0, beta=1.0, label_smoothing=0.25), 4))
    [ 0.6931 -1.      1.    ]
    """
    check_smoothing(label_smoothing)
    push = label_smoothing / (1 - 2 * label_smoothing)
    value, slope, _ = logistic(plus, minus, beta=beta)
    return value - push * beta * (plus - minus), slope - push * beta, push * beta - slope


def exo(plus, minus, *, beta, label_smoothing=1e-3):
    """φ of EXO for pairs, the KL of (σ(m), σ(−m)) to (1 − smoothing, smoothing).

    The smoothing is `label_smoothing`.  Like RLHF's, this KL is that of the policy to its aim;
    conservative DPO takes it the other way round (arXiv:2402.00856).

    Examples
    --------
    >>> print(np.round(exo(0.0, 0.0, beta=1.0, label_smoothing=0.1), 4))
    [ 0.5108 -0.5493  0.5493]
    """
    check_smoothing(label_smoothing)
    if label_smoothing == 0:
        raise ValueError("label_smoothing must be above 0 for EXO, got 0")
    m = _margin(plus, minus, beta)
    right, wrong = log_sigmoid(m), log_sigmoid(-m)
    sure, unsure = np.log1p(-label_smoothing), np.log(label_smoothing)
    slope = beta * np.exp(right + wrong) * (m - (sure - unsure))
    return np.exp(right) * (right - sure) + np.exp(wrong) * (wrong - unsure), slope, -slope


def discopop(plus, minus, *, beta, discopop_tau=0.05):
    """φ = −(1 − part) log σ(m) + part e^−m with part = σ(m/`discopop_tau`) (arXiv:2406.08414).

    A language model found it, by proposing losses that were then tried.  Not convex: near m = 0 a
    larger lead costs more.

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
    """φ = −log σ(r⁺ − delta) − log σ(delta − r⁻), BCO's (arXiv:2404.04656): a classifier.

    It tells chosen strings from rejected ones.  The paper's `delta` is the mean of all r⁺ and r⁻,
    held fixed as KTO's z₀ is; TRL's "bco_pair" has 0.

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

    The paper plays rounds: π_ref is the policy of the last one, and wrote the pairs.

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

    It is for pairs whose chosen string is better than what the policy writes.

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


# Other divergences than the KL: f′(e^h) and its slope in h.


def under(divergence, phi):
    """The φ of f′(e^h⁺) and f′(e^h⁻), (margins.6): `phi` where another divergence is charged.

    Examples
    --------
    >>> phi = under(forward_kl, partial(logistic, beta=1.0))
    >>> print(np.round(phi(np.log(2), 0.0), 4))
    [ 0.4741 -0.1888  0.3775]
    """
    def composed(plus, minus):
        (good, good_slope), (bad, bad_slope) = divergence(plus), divergence(minus)
        value, slope_plus, slope_minus = phi(good, bad)
        return value, slope_plus * good_slope, slope_minus * bad_slope

    return composed


def forward_kl(h):
    """f′(e^h) = 1 − e^−h and its slope, for the price KL(π_ref‖π).

    Examples
    --------
    >>> print(np.array(forward_kl(0.0)))
    [0. 1.]
    """
    inverse = _exp(-h)
    return 1 - inverse, inverse


def jensen_shannon(h):
    """f′(e^h) = log 2 + log σ(h) and its slope, for the KLs of both policies to their mean.

    Examples
    --------
    >>> print(np.array(jensen_shannon(0.0)))
    [0.  0.5]
    """
    return np.log(2) + log_sigmoid(h), _sigma(-h)


def alpha_divergence(h, *, alpha):
    """f′(e^h) = (1 − e^(−alpha·h))/alpha and its slope: from KL(π‖π_ref), 0, to KL(π_ref‖π), 1.

    This is the paper's alpha.  TRL's `f_alpha_divergence_coef` is 1 − alpha.

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
    _check_difference_alone(phi)
    logp, _ = log_ratios(logits, ref_logits)
    plus, minus = _both(pairs, logp)
    lead, ref_lead = (plus @ table.ravel() - minus @ table.ravel()
                      for table in (logp, log_softmax(ref_logits)))
    i, j, mass = coupled(lead, ref_lead, shares(pair_weights, lead.size))

    def shifted(plus, minus):
        return phi(plus - minus - ref_lead[j], np.zeros(j.size))

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
    weights = checks.weights("weights", weights, (np.size(weights),))
    values = checks.array("values", values, weights.shape)
    others = checks.array("others", others, weights.shape)
    i, j = np.argsort(values, kind="stable"), np.argsort(others, kind="stable")
    ends, other_ends = np.cumsum(weights[i]), np.cumsum(weights[j])
    cuts, last = np.union1d(ends, other_ends), weights.size - 1  # the last sum may be rounded down
    return (i[np.minimum(np.searchsorted(ends, cuts), last)],
            j[np.minimum(np.searchsorted(other_ends, cuts), last)], np.diff(cuts, prepend=0.0))


# What a φ wants, and fits.


def wanted_lead(phi, wins):
    """The lead h⁺ − h⁻ at which a pair costs least on average, where y⁺ wins a share `wins`.

    β times this lead is the wanted margin.  `phi` is a φ of h⁺ − h⁻ alone which falls at 0, and
    whose mean slope changes its sign once, as it does where φ is convex.  The lead is the root of
    (margins.2), or the place where the slope jumps past 0, or ±∞ where the cost falls for ever: if
    it still does at a lead of 1e9, or with a slope 1e-30 of the first.  Of several leads it is the
    one nearest to 0.

    Examples
    --------
    >>> print(round(wanted_lead(partial(logistic, beta=1.0), 0.75), 4))  # log 3
    1.0986
    >>> print(wanted_lead(partial(exponential, beta=1.0), 1.0))
    inf
    """
    checks.fraction("wins", wins)
    if wins < 0.5:
        return -wanted_lead(phi, 1 - wins)
    _check_difference_alone(phi)
    def slope(m):
        at_m, against = phi(np.array([m, -m]), np.zeros(2))[1]
        return wins * at_m - (1 - wins) * against

    first = phi(np.zeros(1), np.zeros(1))[1][0]
    if not first < 0:
        raise ValueError(f"phi must fall at 0, got the slope {first}")
    low, high = 0.0, 1e-9 * (wins > 0.5)
    while slope(high) < 0:
        # A slope that fades without a zero, or lasts beyond all bounds: no lead is enough.
        if slope(high) > 1e-30 * first or high > 1e9:
            return np.inf
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:  # halved to the last digit
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return high


def fit_margins(ref_logits, pairs, phi, *, pull) -> Fit:
    """Fit the policy to preferences by (margins.1), from the reference: as `dpo.fit_dpo`.

    Examples
    --------
    Two of three raters preferred action 1.  A square wants a lead of (2/3 − 1/3)/β:

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


def _check_difference_alone(phi):
    """That φ and its slopes stay what they are if the same is added to h⁺ and h⁻."""
    plus, minus = np.array([1.0, -0.7, 2.3]), np.array([0.0, 0.4, 3.1])
    (value, up, down), (alone, slope, _) = phi(plus, minus), phi(plus - minus, np.zeros(3))
    if not np.allclose([value, up, -down], [alone, slope, slope], rtol=1e-9, atol=1e-12):
        raise ValueError(f"phi must depend on h⁺ − h⁻ alone here, got {value} for {plus} and "
                         f"{minus}, but {alone} for {plus - minus} and zeros")


def _margin(plus, minus, beta):
    checks.positive("beta", beta)
    return beta * (plus - minus)


def _sigma(x):
    return np.exp(log_sigmoid(x))


def _exp(x):
    return np.exp(np.minimum(x, HELD_AT))
