"""What should a policy learn from raters who are always sure?

*Part 4.  Previous: `dpo`.  Next: `kto`.*

DPO lets a margin grow until σ(m) is the share of the comparisons that y⁺ won.  Most pairs of a data
set are compared only once, so that one string has won all of its comparisons.  The share is 1, and
no finite margin is enough.  *Identity preference optimisation* (IPO) asks every pair for the same
finite lead instead.

**In numbers.**  Two strings are equally likely under the reference, and y⁺ was preferred.  Let h =
log π − log π_ref as in (dpo.1), and call h(y⁺) − h(y⁻) the lead, in nats.  Here it is log(π(y⁺)/
π(y⁻)), so that π(y⁺) = σ(lead).  With β = 1 the margin of DPO is the lead itself, and its loss
falls for ever.  The reference is forgotten, although the price of a nat is not small.  Now take the
square of the distance to a lead of 1:

    lead                0       1       2       4       8
    π(y⁺)               0.5     0.731   0.881   0.982   1.000
    DPO, −log σ(lead)   0.693   0.313   0.127   0.018   0.000
    IPO, (lead − 1)²    1       0       1       9       49

The square is least at a lead of 1, and a pair that leads by more is called back.

>>> from minirl.people.dpo import dpo_loss
>>> from minirl.people.pairs import choices
>>> even, D = np.zeros((1, 2)), choices([1], [0], 2).difference
>>> for lead in 0.0, 1.0, 2.0, 4.0, 8.0:
...     x = np.array([[0.0, lead]])
...     print((1 / (1 + np.exp(-lead))).round(3), dpo_loss(x, even, D, beta=1.0)[0].round(3),
...           ipo_loss(x, even, D, beta=0.5)[0].round(3))
0.5 0.693 1.0
0.731 0.313 0.0
0.881 0.127 1.0
0.982 0.018 9.0
1.0 0.0 49.0

**The loss.**  The lead that is *asked for* is written 1/(2τ).  τ will turn out to be the price of a
nat (ipo.3): the dearer it is, the smaller the lead.  For B pairs, with h⁺_i = h(y⁺_i) and h⁻_i =
h(y⁻_i),

    L = (1/B) Σ_i (h⁺_i − h⁻_i − 1/(2τ))².                                                   (ipo.1)

In the example τ = ½.  (In code τ is called `beta`, as in TRL.)  With D = X⁺ − X⁻ of (counts.3), the
leads are D h for the table h = log π − log π_ref.  The derivative of a square is twice what is
squared, and that of a lead in log π is its row of D:

    G = ∂L/∂log π = (2/B) Dᵀ (D h − 1/(2τ)).                                                 (ipo.2)

**Three strings.**  A always beats B, B always beats C, and A always beats C.  At τ = 1 each pair
asks for a lead of ½.  They cannot all have it, since the leads of A on B and of B on C add up to
that of A on C.  If each of the first two is `lead`, the third is twice that, and 2 (lead − ½)² + (2
lead − ½)² has the derivative 4 (lead − ½) + 4 (2 lead − ½), which is zero at lead = 1/3.

>>> fit = fit_ipo(np.zeros((1, 3)), choices([0, 1, 0], [1, 2, 2], 3), beta=1.0, pull=0)
>>> print((fit.x - fit.x[0, 2]).round(4))
[[0.6667 0.3333 0.    ]]

**What it finds** in general.  Draw both strings of each pair from a distribution μ, independently,
and let wins(y, y') be the chance that y beats y', with ½ for y' = y.  A pair enters the loss with
the weight wins(y, y') as (y, y'), and with the weight 1 − wins(y, y') as (y', y).  Let the lead be
h(y) − h(y').  The two squares are (lead − 1/(2τ))² and (−lead − 1/(2τ))², and half of the
derivative of their weighted sum in the lead is

    wins(y, y') (lead − 1/(2τ)) + (1 − wins(y, y')) (lead + 1/(2τ))
        = lead − (2 wins(y, y') − 1)/(2τ).

Let the policy be free to give every string any probability.  The loss sees differences of h only.
So each h(y) may be varied by itself, and in the end a constant is added to all, which makes π sum
to 1.  Where the derivative in h(y) is zero, so is the sum of μ(y') times the last line over y':

    h(y) − Σ_{y'} μ(y') h(y') = (2 wins(y) − 1)/(2τ) = wins(y)/τ − 1/(2τ),

where wins(y) is the chance to beat a string of μ.  Only h(y) and wins(y)/τ depend on y, so that

    π(y) = π_ref(y) exp(wins(y)/τ) / Z,   wins(y) = Σ_{y'} μ(y') wins(y, y').                (ipo.3)

This is (regularised.2) with the chance to win as the reward and τ as the price.  In the example μ
is even, A has wins = (½ + 1 + 1)/3 = 5/6, B ½ and C 1/6: the leads are 1/3.  No chance exceeds 1.
So Z is finite for every τ, and log-ratios differ by 1/τ at most, however sure the raters are.

**The price** is that the scale of the reward is lost: a string that always wins by a little counts
as much as one that always wins by far.  Let the raters be Bradley-Terry's.  Where the rewards of
all strings are near one another, σ(m) ≈ ½ + m/4, since the slope of σ at 0 is ¼.  Then wins(y) is
R(y)/4 plus a constant, and exp(wins(y)/τ) is proportional to exp(R(y)/(4τ)).  The optimum of RLHF
has exp(R(y)/β), so that the two are the same for

    τ = β/4.                                                                                 (ipo.4)

Farther away a good string is told from a very good one by less than it deserves.  On the running
example 100,000 pairs give 90 % of what there is to gain at τ = β/4, and 45 % at τ = β.

*What stays finite* is the lead.  With a table over letters that is not enough.  Fitted to 300 pairs
of the running example without a pull, it ranks nearly all of them rightly and yet gives nearly all
probability to long strings, which were in none of them.  Even with the pull of 2 (`dpo`) the policy
is then worth less than the reference.  Squares that ask for leads of 1/(2τ) = 4 nats outweigh it:
their second derivative in the lead is 2, where that of DPO's loss is β²/4 at most.

**Pairs collapse.**  Multiply out the squares of (ipo.1).  The mean of the leads is the mean row of
D times h, so that

    L = hᵀ square h − (1/τ) mean h + 1/(4τ²),   square = DᵀD/B,   mean = the mean row of D.  (ipo.5)

So B pairs are one square table and one row, made once, as a batch is one table in (counts.1).  Of
the losses on preferences only this one collapses.

**Exercises.**  `from minirl.people.ipo import *; from minirl.people.pairs import choices; from
minirl.kernel.softmax import log_softmax`
1. Action 1 was preferred once, or a hundred times.  How likely does IPO make it in the two cases?
       for n in 1, 100:
           won = choices([1] * n, [0] * n, 2)
           np.exp(log_softmax(fit_ipo(np.zeros((1, 2)), won, beta=0.5, pull=0).x)).round(3)
2. At τ = ½ action 1 leads by 5 nats and wins again.  Which way is it pushed?
       won = choices([1], [0], 2).difference
       -ipo_loss(np.array([[0., 5.]]), np.zeros((1, 2)), won, beta=0.5)[1]
3. A beats B, B beats C, and C beats A.  Who gains?
       circle = choices([0, 1, 2], [1, 2, 0], 3)
       np.exp(log_softmax(fit_ipo(np.zeros((1, 3)), circle, beta=0.5, pull=0).x)).round(3)

Read next: `kto`, which needs no pairs.
Source: Azar et al. 2023, "A general theoretical paradigm to understand learning from human
preferences", arXiv:2310.12036, eqs. 8 and 17.
"""

from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward, log_ratios, log_softmax
from minirl.people.fitting import Fit, mean_squares, minimise_near
from minirl.people.pairs import check_difference, check_pairs, check_possible, over_pairs

LONG = 100  # steps of a pair: DᵀD takes as long to make as fifty evaluations of so long pairs


def ipo_loss(logits, ref_logits, difference, *, beta, pair_weights=None):
    """The loss (ipo.1), to be minimised, and its gradient.

    All but `beta` is as for `dpo.dpo_loss`.  `beta` > 0 is τ, with the lead of 1/(2τ) nats; the
    loss is in squared nats, 1/(2τ)² when the policy equals the reference.

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> even, D = np.zeros((1, 2)), choices([1], [0], 2).difference
    >>> loss, grad = ipo_loss(even, even, D, beta=0.5)
    >>> print(loss, grad)
    1.0 [[ 2. -2.]]
    """
    logp, ratios = log_ratios(logits, ref_logits)
    D = check_difference("difference", difference, logp)
    check_possible("difference", D, logp)
    return over_pairs(logp, ratios, D, partial(squared, beta=beta), pair_weights)


def squared(plus, minus, *, beta):
    """φ of (ipo.1) and its two slopes, (ipo.2), for h⁺ and h⁻ of any shape: what one pair costs.

    Examples
    --------
    >>> squared(0.0, 0.0, beta=0.5)
    (1.0, -2.0, 2.0)
    """
    checks.positive("beta", beta)
    missing = plus - minus - 1 / (2 * beta)
    return missing * missing, 2 * missing, -2 * missing


def fit_ipo(ref_logits, pairs, *, beta, pull) -> Fit:
    """Fit the policy to `Pairs` by (ipo.1), from the reference: as `dpo.fit_dpo`.

    Examples
    --------
    Two of three raters preferred action 1.  They ask for the leads 1, 1 and −1, on average 1/3:

    >>> from minirl.people.pairs import choices
    >>> logits = fit_ipo(np.zeros((1, 2)), choices([1, 1, 0], [0, 0, 1], 2), beta=0.5, pull=0).x
    >>> print((logits[0, 1] - logits[0, 0]).round(4))
    0.3333
    """
    check_pairs(pairs, log_softmax(ref_logits, "ref_logits"))
    D = pairs.difference
    # In squares where DᵀD has fewer entries than D, and does not take long to make.
    in_squares = D.shape[1]**2 < D.nnz and np.diff(D.indptr).max() < LONG
    loss = ipo_in_squares(ref_logits, pairs, beta=beta) if in_squares else (
        lambda logits: ipo_loss(logits, ref_logits, D, beta=beta))
    curvature = 2 / 16 * mean_squares(D, pairs.shape)  # a sixteenth of (fitting.3), with f″ = 2
    return minimise_near(loss, ref_logits, pull=pull, examples=len(pairs), curvature=curvature)


def ipo_in_squares(ref_logits, pairs, *, beta):
    """`ipo_loss` of `Pairs` as (ipo.5): a function `loss(logits) -> (loss, grad)`.

    DᵀD is dense, (S·A, S·A).  To make it takes as many steps as the squares of the lengths of all
    pairs together.

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> even = np.zeros((1, 2))
    >>> loss, grad = ipo_in_squares(even, choices([1], [0], 2), beta=0.5)(even)
    >>> print(loss, grad)
    1.0 [[ 2. -2.]]
    """
    checks.positive("beta", beta)
    logp = log_softmax(ref_logits, "ref_logits")
    check_pairs(pairs, logp)
    D, lead = pairs.difference, 1 / (2 * beta)
    check_possible("pairs", D, logp)
    square, mean = (D.T @ D).toarray() / len(pairs), D.T @ np.full(len(pairs), 1 / len(pairs))

    def loss(logits):
        logp, ratios = log_ratios(logits, ref_logits)
        h = ratios.ravel()
        G = 2 * (square @ h - lead * mean)  # (ipo.5)
        return h @ (G / 2 - lead * mean) + lead * lead, backward(logp, G.reshape(logp.shape))

    return loss
