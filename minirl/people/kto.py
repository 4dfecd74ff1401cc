"""Can a policy learn from thumbs up and thumbs down, with no pairs?

*Part 4.  Previous: `ipo`.  Next: `simpo`.*

A thumb is easier to come by than a comparison.  It says of a single string that it was liked, or
that it was not.  *Kahneman–Tversky optimisation* (KTO) learns from such thumbs.  Its name is that
of two psychologists.  They found that people judge a gain or a loss by its distance from a
reference point, and that more of either matters less and less.

**The worth of a string.**  With h(y) = log π(y) − log π_ref(y), β h(y) is the implicit reward
(dpo.1).  Let z₀ be the *reference point*, in nats.  The margin m of a *desirable* string, one that
was liked, says by how much its implicit reward is above β z₀.  That of another one says by how much
it is below.  The worth of a string is w σ(m), with a weight w that may differ between the kinds.
It lies between 0 and w, and is w/2 at the reference point.  The loss is what it falls short of w
by, on average over B strings of both kinds:

    L = (1/B) Σ_i w_i (1 − σ(m_i)),   m_i = ±β(h(y_i) − z₀), + if desirable.                 (kto.1)

From σ(m) = 1/(1 + e^−m) follows dσ(m)/dm = e^−m/(1 + e^−m)² = σ(m) σ(−m).  Let the rows of X⁺ and
X⁻ count the steps of the strings of the two kinds (counts.2), so that h(y_i) is row i times the
table h.  Then ∂m_i/∂log π is β times the row of a desirable string, and −β times that of another:

    G = ∂L/∂log π = −(β/B) [X⁺ᵀ w⁺ σ(m⁺)σ(−m⁺) − X⁻ᵀ w⁻ σ(m⁻)σ(−m⁻)].                        (kto.2)

Here is what a string, or a pair of DPO, is pushed by, in units of β w/B:

    m                   −4      −2      0      2       4
    KTO, σ(m) σ(−m)     0.018   0.105   0.25   0.105   0.018
    DPO, σ(−m)          0.982   0.881   0.5    0.119   0.018

Both leave alone what is right by far.  But where m is far below zero DPO pushes most, and KTO
hardly at all: it gives such a string up.

**In numbers.**  There are two strings, and the reference gives ½ to each.  The policy has reached ¾
and ¼.  The first string was liked, the second one was not, and β = w = 1.

    h       log(¾ / ½) = 0.4055             log(¼ / ½) = −0.6931
    z₀      ¾ · 0.4055 + ¼ · (−0.6931) = 0.1308, explained below
    m       0.4055 − 0.1308 = 0.2747        −(−0.6931 − 0.1308) = 0.8240
    σ(m)    0.5682                          0.6951
    G       −½ · 0.5682 · 0.4318 = −0.1227  +½ · 0.6951 · 0.3049 = 0.1060

The loss is ½ (0.4318 + 0.3049) = 0.3683.  ΣG = −0.0167, and by (softmax.3) the gradient is −0.1227
+ ¾ · 0.0167 = −0.110 in the first logit, and 0.110 in the other:

>>> from minirl.kernel.softmax import kl
>>> from minirl.people.pairs import choices
>>> logp, reference = np.log([[0.75, 0.25]]), np.log([[0.5, 0.5]])
>>> z0 = kl(logp, reference)[0]
>>> liked, other = choices([0], [1], 2).counts
>>> loss, grad = kto_loss(logp, reference, liked, other, beta=1.0, z0=z0)
>>> print(z0.round(4), loss.round(4), grad.round(3))
0.1308 0.3683 [[-0.11  0.11]]

**The reference point** is the log-ratio that a string of the policy has on average,

    z₀ = Σ_y π(y) h(y) = KL(π‖π_ref).                                                        (kto.3)

So a liked string is a gain only if its log-ratio is above that of the policy's usual strings.  z₀
is held constant: the gradient does not ask how z₀ depends on π, and in code it is an argument of
the loss.  If it asked, each string would also push all strings that the policy writes, through
their mean.  With z₀ held, a string moves its own rows only, and z₀ decides no more than how hard.
(The paper finds that training is much more stable this way.)  Here z₀ is exact (`kl.string_kl`).
The paper estimates it from strings that answer other prompts, and cuts it off at zero.  Since z₀
moves with the policy, an update by (kto.2) is in general not the gradient of any loss.  It comes to
rest where it is zero at the policy's own z₀.  `fit_kto` finds that: it fits with z₀ held, takes z₀
from the fit, and fits again, until z₀ stays.

**What it finds.**  Let vote(y) be how often y was liked, less how often it was not, each with its
weight.  Liked and not liked, y has the margins m and −m, and σ(m) σ(−m) is the same for both.  So
the expected derivative in h(y) is −(β/B) σ(m) σ(−m) vote(y).  It has the sign of −vote(y), wherever
h(y) is.  Every string is put to the *vote*.  What is liked more often than not is raised, what is
not is driven out, and by itself nothing stops before the extremes.  The loss of DPO differs: its
derivative σ(m) − wins is zero where σ(m) is the share of wins.  What does hold KTO is that
probabilities sum to one and that strings share their steps.  In the small language of `python -m
minirl objectives` that is not enough: the update has no zero, and the policy creeps towards one in
which some letters never follow some others.  The pull of `dpo` holds it.

On the running example 100,000 pairs, taken apart into 200,000 thumbs, give 86 to 87 % of what there
is to gain at DPO's β = 0.5 and a pull of 2.

**Exercises.**  `from minirl.people.kto import *; from minirl.people.pairs import choices; from
minirl.kernel.softmax import kl, log_softmax`
1. Action 1 was liked 51 times in 100, and nothing was said of action 0.  Where does it end, with a
   pull of 0.001?
       even, said = np.zeros((1, 2)), choices([1] * 51, [1] * 51, 2)
       told = said.chosen, counts.select(said.rejected, np.arange(49))
       distance = lambda logits: kl(log_softmax(logits), log_softmax(even))[0]
       fit = fit_kto(even, told, beta=0.5, pull=0.001, divergence=distance)
       np.exp(log_softmax(fit.x)).round(2)
2. A string was liked once and disliked once, and the policy prefers it by far.  What moves?
       one = choices([1], [1], 2).counts
       kto_loss(np.array([[0., 3.]]), np.zeros((1, 2)), *one, beta=1.0, z0=0.5)[1].round(4)
3. The reference point rises from 0 to 2.  Which of the two strings pushes more than before?
       two, even = choices([1], [0], 2).counts, np.zeros((1, 2))
       [kto_loss(even, even, *two, beta=1.0, z0=z0)[1].round(3).tolist() for z0 in (0.0, 2.0)]

Read next: `simpo`, which needs no reference.
Source: Ethayarajh et al. 2024, "KTO: model alignment as prospect theoretic optimization",
arXiv:2402.01306, section 4.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.softmax import backward, log_ratios, log_sigmoid, log_softmax
from minirl.people.fitting import minimise_near
from minirl.people.pairs import COUNTS, Pairs, check_matrix, check_possible, check_strings


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


class Fixed(NamedTuple):
    """A policy at rest with its own reference point."""

    x: np.ndarray    # (S, A) logits
    z0: float        # KL(π‖π_ref) there, in nats
    rounds: int
    converged: bool  # False: z₀ was still moving, or a fit had not converged


def fit_kto(ref_logits, pairs, *, beta, pull, divergence, desirable_weight=1.0,
            undesirable_weight=1.0, max_rounds=50, tol=1e-6) -> Fixed:
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
    logp = log_softmax(ref_logits, "ref_logits")
    check_strings("chosen", told[0], logp)
    check_strings("rejected", told[1], logp)
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
    w = checks.floats(name, weights)
    if w.shape not in ((), (strings,)) or not ((w >= 0) & (w < np.inf)).all():
        raise ValueError(f"{name} must be finite and not negative, one for all or one per string, "
                         f"{strings}, got {weights}")
