"""KTO: strings that were liked and strings that were not, with no pairs.

*Part 4.  Previous: `ipo`.  Next: `simpo`.*

A thumb up or down is easier to come by than a comparison.  With h(y) = log π(y) − log π_ref(y), β h
is the implicit reward (dpo.1).  Kahneman–Tversky optimisation gives a string a worth that saturates
on both sides of a reference point z₀, as gains and losses do for people.  Let m be the margin, in
reward, by which a desirable string is above that point, or another one below it.  The worth of the
string is w σ(m), with weights w that may differ between the kinds.  What is missing to the largest
worth is minimised, over B strings of both kinds:

    L = (1/B) Σ_i w_i (1 − σ(m_i)),   m_i = ±β(h(y_i) − z₀), + if desirable.                 (kto.1)

With dσ(m)/dm = σ(m) σ(−m), and the matrices X⁺ and X⁻ of both kinds,

    G = ∂L/∂log π = −(β/B) [X⁺ᵀ w⁺ σ(m⁺)σ(−m⁺) − X⁻ᵀ w⁻ σ(m⁻)σ(−m⁻)].                        (kto.2)

A string far on either side of z₀ is left alone: one that is liked already, and one that is beyond
help.

*The reference point* is the log-ratio that a string of the policy has on average,

    z₀ = KL(π‖π_ref),                                                                        (kto.3)

held constant: nothing is differentiated through it, so it is an argument of the loss.  Here it is
exact (`kl.string_kl`); the paper estimates it from responses paired with the wrong prompts and cuts
it off at zero.  Since it moves with the policy, an update by (kto.2) is in general not the gradient
of any loss, and its zero is a fixed point, which `fit_kto` finds by fitting and looking again.

*What it finds.*  A loss with a logarithm, such as (dpo.2), is least where probabilities come true.
This one has none.  Let vote(y) be how often y was desirable less how often it was not, each with
its weight.  Then the expected gradient in h(y) is −β σ(m)σ(−m) vote(y), which has the sign of
−vote(y) wherever h is.  So every string is put to the *vote*: what is liked more often than not is
raised and what is not is driven out, and nothing stops it short of the extremes but that
probabilities sum to one and that strings share their steps.  In the small language of `python -m
minirl objectives` that is not enough: the update has no zero, and the policy creeps towards one in
which some letters never follow some others.  The pull of `dpo` holds them.

On the running example 100,000 pairs, taken apart, give 86 to 87 % of what there is to gain at DPO's
β = 0.5.

Read first: `dpo`, `kl`.  Read next: `simpo`.
Source: Ethayarajh et al. 2024, "KTO: model alignment as prospect theoretic optimization",
arXiv:2402.01306, section 4.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.softmax import backward, log_ratios, log_sigmoid
from minirl.people.fitting import minimise_near
from minirl.people.pairs import COUNTS, Pairs, check_matrix, check_possible, check_strings


class Fixed(NamedTuple):
    """A policy at rest with its own reference point."""

    x: np.ndarray    # (S, A) logits
    z0: float        # KL(π‖π_ref) there, in nats
    rounds: int
    converged: bool  # False: z₀ was still moving, or a fit had not converged


def kto_loss(logits, ref_logits, chosen, rejected, *, beta, z0, desirable_weight=1.0,
             undesirable_weight=1.0):
    """The loss (kto.1), to be minimised, and its gradient.

    Parameters
    ----------
    logits, ref_logits : (S, A) float
        Policy table θ and the frozen reference table.
    chosen, rejected : sparse float, (B⁺, S·A) and (B⁻, S·A)
        X⁺ of the desirable strings and X⁻ of the others: `Pairs.counts`, or any `counts.matrix`,
        since they need not be as many.  B = B⁺ + B⁻.
    beta : float > 0
        Reward per nat of log-ratio.
    z0 : float ≥ 0
        Reference point, in nats; held constant.
    desirable_weight, undesirable_weight : float ≥ 0, or one per string
        w⁺ and w⁻.  With B⁺ ≠ B⁻ they can make up for the difference.

    Returns
    -------
    loss : float
        Mean over strings, of no unit; half the mean weight where the policy equals the reference
        and z0 is 0.
    grad : (S, A) float

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> even = np.zeros((1, 2))
    >>> loss, grad = kto_loss(even, even, *choices([1], [0], 2).counts, beta=0.8, z0=0.0)
    >>> print(loss, grad)
    0.5 [[ 0.1 -0.1]]
    """
    checks.positive("beta", beta)
    checks.not_negative("z0", z0)
    logp, ratios = log_ratios(logits, ref_logits)
    plus = check_matrix("chosen", chosen, logp, COUNTS)
    minus = check_matrix("rejected", rejected, logp, COUNTS)
    check_possible("chosen", plus, logp)
    check_possible("rejected", minus, logp)
    _check_weights("desirable_weight", desirable_weight, plus.shape[0])
    _check_weights("undesirable_weight", undesirable_weight, minus.shape[0])
    loss, G, B = 0.0, 0.0, plus.shape[0] + minus.shape[0]
    for X, weight, sign in ((plus, desirable_weight, 1), (minus, undesirable_weight, -1)):
        m = sign * beta * (X @ ratios.ravel() - z0)
        missing = np.asarray(weight) * np.exp(log_sigmoid(-m))  # w − w σ(m)
        loss = loss + missing.sum() / B
        G = G - sign * beta / B * (X.T @ (missing * np.exp(log_sigmoid(m))))
    return loss, backward(logp, G.reshape(logp.shape))


def fit_kto(ref_logits, pairs, *, beta, pull, divergence, desirable_weight=1.0,
            undesirable_weight=1.0, max_rounds=50, tol=1e-6):
    """Fit the policy to liked and disliked strings, with z₀ its own divergence at the end.

    Parameters
    ----------
    ref_logits, beta, desirable_weight, undesirable_weight
        As for `kto_loss`.
    pairs : Pairs, or a tuple of two counts.Steps
        The strings that were liked, and those that were not; in a tuple they need not be as many.
    pull : float ≥ 0
        As for `fitting.minimise_near`; B is the number of strings of both kinds.
    divergence : callable
        `divergence(logits) -> float`, in nats: (kto.3), for example from `kl.string_kl`.  Below
        zero, as an estimate may be, it counts as zero.
    max_rounds : int ≥ 1
        Give up after so many fits.
    tol : float > 0
        Stop when z₀ changes by no more, in nats.

    Returns
    -------
    Fixed

    Examples
    --------
    Action 1 was liked three times in four.  Without a pull it would be voted to probability one:

    >>> from minirl.kernel.softmax import kl, log_softmax
    >>> from minirl.people.pairs import choices
    >>> even, told = np.zeros((1, 2)), choices([1, 1, 1], [0, 0, 1], 2)
    >>> fit = fit_kto(even, (told.chosen, counts.select(told.rejected, np.array([2]))), beta=0.5,
    ...               pull=0.1,
    ...               divergence=lambda logits: kl(log_softmax(logits), log_softmax(even))[0])
    >>> print(np.exp(log_softmax(fit.x)).round(2), round(fit.z0, 3), fit.converged)
    [[0.24 0.76]] 0.147 True
    """
    told = (pairs.chosen, pairs.rejected) if isinstance(pairs, Pairs) else pairs
    if not isinstance(told, tuple) or len(told) != 2:
        raise ValueError(f"pairs must be Pairs or two Steps, got {type(pairs).__name__}")
    check_strings("chosen", told[0], ref_logits)
    check_strings("rejected", told[1], ref_logits)
    checks.positive("tol", tol)
    plus, minus = map(counts.matrix, told)
    loss = partial(kto_loss, ref_logits=ref_logits, chosen=plus, rejected=minus, beta=beta,
                   desirable_weight=desirable_weight, undesirable_weight=undesirable_weight)
    x, z0 = np.asarray(ref_logits, float), max(float(divergence(ref_logits)), 0.0)
    for rounds in range(1, checks.whole("max_rounds", max_rounds) + 1):
        fit = minimise_near(partial(loss, z0=z0), ref_logits, pull=pull, start=x,
                            examples=plus.shape[0] + minus.shape[0])
        x, before, z0 = fit.x, z0, max(float(divergence(fit.x)), 0.0)
        if abs(z0 - before) <= tol:
            break
    return Fixed(x, z0, rounds, bool(fit.converged and abs(z0 - before) <= tol))


def _check_weights(name, weights, strings):
    if np.shape(weights) not in ((), (strings,)) or not (
            np.isfinite(weights).all() and np.min(weights) >= 0):
        raise ValueError(f"{name} must be finite and not negative, one for all or one per string, "
                         f"{strings}, got {weights}")
