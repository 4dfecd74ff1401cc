"""IPO: DPO for raters who never doubt.

*Part 4.  Previous: `dpo`.  Next: `kto`.*

DPO lets a margin grow until σ(m) is the share of comparisons that y⁺ won.  If it won all of them,
no margin is enough.  Each pair of a data set was usually compared once, so each was won by all, and
only what the policy cannot express, or a pull, keeps the margins finite.  Identity preference
optimisation asks every pair for the same finite lead instead, with the log-ratios h of (dpo.1):

    L = (1/B) Σ_i (h⁺_i − h⁻_i − 1/(2τ))²,   h⁺_i = h(y⁺_i),   h⁻_i = h(y⁻_i).               (ipo.1)

With D = X⁺ − X⁻ of (counts.3), h⁺ − h⁻ = D h for the table h = log π − log π_ref, so

    G = ∂L/∂log π = (2/B) Dᵀ (D h − 1/(2τ)).                                                 (ipo.2)

The loss is quadratic in h: a pair that leads by too much is called back.  τ goes by the name `beta`
here, as in TRL, which means that the price of DPO does not carry over (see below).

*What it finds.*  Let the pairs be drawn from a distribution μ, both strings independently, and let
wins(y, y') be the probability that y beats y'.  A pair enters both ways round, as (y, y') with
weight wins(y, y') and as (y', y) with 1 − wins(y, y').  The weighted squares are least where h(y) −
h(y') is the mean of their targets, (2 wins(y, y') − 1)/(2τ).  Set the derivative in h(y) to zero,
and h(y) − E h(y') is the mean over y' ~ μ of these targets, which is wins(y)/τ − 1/(2τ), with
wins(y) the probability to beat a string of μ.  So where the policy is free to give every string any
probability,

    π(y) = π_ref(y) exp(wins(y)/τ) / Z,   wins(y) = Σ_{y'} μ(y') wins(y, y').                (ipo.3)

It is the optimum of E[wins(y)] − τ KL: not of the reward but of the chance to win, which no reward
can raise above one.  Therefore Z exists for every τ, and log-ratios differ by 1/τ at most, also
where preferences are deterministic.  The price is that the scale of the reward is lost.  Where the
rewards of all strings are near one another, σ(m) ≈ 1/2 + m/4 makes wins(y) ≈ R(y)/4 + constant, so
that (ipo.3) is the optimum of RLHF for

    τ = β/4.                                                                                 (ipo.4)

Farther away a good string is told from a very good one by less than it deserves.  On the running
example 100,000 pairs give 90 % of what there is to gain at τ = β/4, and 45 % at τ = β.

*What stays finite* is the margin.  With a table over letters that is not enough: fitted to few
pairs, it may rank nearly all of them rightly and yet give long strings, which were in none of them,
nearly all the probability.  With 300 pairs of the running example and no pull it does.  Even with a
pull of 2 the policy is then worth less than the reference: squares that ask for leads of 1/(2τ) = 4
nats outweigh it, for they curve by 2 where the loss of DPO curves by β²/4 at most.

*Pairs collapse.*  Of all losses on preferences only this one needs no pair by itself.  Multiply out
the squares of (ipo.1):

    L = hᵀ square h − (1/τ) meanᵀ h + 1/(4τ²),   square = DᵀD/B,   mean = Dᵀ1/B.             (ipo.5)

So B pairs are one square table and one vector, made once, as the steps of a batch are one table in
(counts.1).  A fit of 100,000 pairs of the running example then takes a quarter of the time.

The paper's formula has sums, as here.  Its authors' results are those of means over the length, by
which TRL divides.

Read first: `dpo`.  Read next: `kto`.
Source: Azar et al. 2023, "A general theoretical paradigm to understand learning from human
preferences", arXiv:2310.12036, eqs. 8 and 17.
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward, log_ratios
from minirl.people.fitting import mean_squares, minimise_near
from minirl.people.pairs import check_difference, check_pairs, check_possible, shares

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
    checks.positive("beta", beta)
    logp, ratios = log_ratios(logits, ref_logits)
    D = check_difference("difference", difference, logp)
    check_possible("difference", D, logp)
    w = shares(pair_weights, D.shape[0])
    missing = D @ ratios.ravel() - 1 / (2 * beta)
    G = 2 * (D.T @ (w * missing)).reshape(logp.shape)
    return (w * missing * missing).sum(), backward(logp, G)


def fit_ipo(ref_logits, pairs, *, beta, pull):
    """Fit the policy to `Pairs` by (ipo.1), from the reference: as `dpo.fit_dpo`.

    Examples
    --------
    Two of three raters preferred action 1.  Its mean target is (1/3)/(2 · 0.5):

    >>> from minirl.people.pairs import choices
    >>> logits = fit_ipo(np.zeros((1, 2)), choices([1, 1, 0], [0, 0, 1], 2), beta=0.5, pull=0).x
    >>> print((logits[0, 1] - logits[0, 0]).round(4))
    0.3333
    """
    check_pairs(pairs, ref_logits)
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
    check_pairs(pairs, ref_logits)
    logp, _ = log_ratios(ref_logits, ref_logits)
    D, lead = pairs.difference, 1 / (2 * beta)
    check_possible("pairs", D, logp)
    square, mean = (D.T @ D).toarray() / len(pairs), D.T @ np.full(len(pairs), 1 / len(pairs))

    def loss(logits):
        logp, ratios = log_ratios(logits, ref_logits)
        h = ratios.ravel()
        G = 2 * (square @ h - lead * mean)  # (ipo.5)
        return h @ (G / 2 - lead * mean) + lead * lead, backward(logp, G.reshape(logp.shape))

    return loss
