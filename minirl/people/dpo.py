"""Direct preference optimisation (DPO): fit the policy to preferences, with no reward model.

*Part 4.  Previous: `grpo`.  Next: `ipo`.*

RLHF first fits a reward to preferences and then looks for the policy that trades it against the KL
to a reference.  Can one step do both?  The optimal policy of (regularised.1) for a reward R of
whole strings is π(y) = π_ref(y) e^{R(y)/β}/Z.  Take logarithms and solve for the reward:

    R(y) = β h(y) + β log Z,   h = log π − log π_ref.                                        (dpo.1)

So a policy *is* a reward model, up to the constant β log Z, which no preference can see.  The
*log-ratio* h of a string is the sum of those of its steps, and β h is its *implicit reward*.  Put
it into the Bradley–Terry regression (reward_model.1), for pairs (chosen y⁺_i, rejected y⁻_i):

    L = −(1/B) Σ_i log σ(m_i),   m_i = β [h(y⁺_i) − h(y⁻_i)].                                (dpo.2)

With D = X⁺ − X⁻ of (counts.3), m = β D h.  So this is the loss of `reward_model` at the table β h,
whose derivative in log π is β, and

    G = ∂L/∂log π = −(β/B) Dᵀ σ(−m).                                                         (dpo.3)

A pair that the policy already ranks well, m_i ≫ 0, stops pushing.  Log-probabilities of strings are
sums over steps, the end symbol included; a mean over the length would be another method (`simpo`).

*What it finds.*  With Bradley–Terry raters and enough pairs, m is the rater's own margin.  Then the
implicit reward is the true one, and the policy is the optimum of RLHF: in the mean over the raters'
answers the gradient vanishes there, pair by pair.  That holds where the policy can be that optimum.
A bigram can, if the reward is a table and strings end by themselves; not if they are cut after a
fixed length.  On the running example 100,000 pairs give 98 % of what there is to gain.

*Label smoothing* (conservative DPO) believes that a share `smoothing` of the answers is wrong,

    L = −(1/B) Σ_i [(1 − smoothing) log σ(m_i) + smoothing · log σ(−m_i)].                   (dpo.4)

Where y⁺ wins a share `wins` of the comparisons with y⁻, this wants σ(m) = smoothing + (1 − 2 ·
smoothing) wins.  So it asks no pair for more than log((1 − smoothing)/smoothing).  But it does not
undo the raters' errors.  If a share `turned` of the answers was turned round, then y⁺ seems to win
a share turned + (1 − 2 · turned) wins already, and smoothing does it a second time.  Robust DPO
undoes them (Chowdhury et al. 2024).  For each pair it takes [turned · log σ(−m) − (1 − turned)
log σ(m)]/(1 − 2 · turned), which in the mean over turned and unturned answers is −log σ(m) for the
answer as it was meant.  (TRL's `label_smoothing` is this share in its loss "robust"; its loss
"sigmoid" ignores it.)

*Why the chosen string may fall.*  Only the difference of two log-probabilities is trained.  A small
step against the gradient of one pair moves them, up to a common factor, by

    Δ log π(y⁺) = |∇log π(y⁺)|² − ⟨∇log π(y⁺), ∇log π(y⁻)⟩,
    Δ log π(y⁻) = ⟨∇log π(y⁺), ∇log π(y⁻)⟩ − |∇log π(y⁻)|².                                  (dpo.5)

The first may be negative: where both take the same steps and the rejected string takes them more
often, its gradient points the same way and is longer, and the way down for y⁻ is a way down for y⁺.
In one softmax over *whole* strings it cannot be.  There ∇log π(y) is 1{y} − π, the difference of
the two is 1{y⁺} − 1{y⁻}, and Δ log π(y⁺) is 1 − π(y⁺) + π(y⁻) > 0.  On the running example the fit
to 20,000 pairs lowers the chosen strings by about 0.37 nats on average and the rejected ones by 2.
That is no bug, and `preference_metrics` shows it.

*What few pairs do.*  If y⁺ always wins, the loss falls for ever as m grows: the KL that β is
meant to charge for is never paid, since DPO knows the policy on the strings of the pairs only
(`ipo` is the answer of Azar et al.).  With a table over letters *one* step that occurs in chosen
strings only may be enough: if nothing else holds its row, it is sent to probability one.  `pull`
attracts the logits to the reference, (fitting.2) with weight pull/B.  Without it 300, 3,000 or
20,000 pairs of the running example make strings of dozens of letters, of billions, without an end
or without a letter (the reference has 5.9), and all are worth far less than the reference.  There
is no minimum; where the fit stops is the solver's choice.  With a pull of 2 they give about a
third, 73 and 93 % of what there is to gain.

DPO is derived from the optimum (dpo.1), whatever algorithm would have found it, and from
Bradley–Terry.

Read first: `counts`, `regularised`, `reward_model`.  Compare: `rlhf`.  Read next: `ipo`.
Source: Rafailov et al. 2023, arXiv:2305.18290, eqs. 5 and 7; Mitchell 2023, "A note on DPO with
noisy preferences and relationship to IPO", for (dpo.4); Chowdhury et al. 2024, arXiv:2403.00409.
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward, log_ratios
from minirl.people.calibration import accuracy
from minirl.people.fitting import mean_squares, minimise_near
from minirl.people.pairs import check_difference, check_pairs, check_possible, reward_margins
from minirl.people.reward_model import bradley_terry_loss


def dpo_loss(logits, ref_logits, difference, *, beta, label_smoothing=0.0, pair_weights=None):
    """The loss (dpo.4), which is (dpo.2) without smoothing, to be minimised; and its gradient.

    Parameters
    ----------
    logits, ref_logits : (S, A) float
        Policy table θ and the frozen reference table; −∞ in the same places, if anywhere, and not
        where a string of the pairs goes.
    difference : (B, S·A) sparse float, or counts.Difference
        `Pairs.difference`, or for one evaluation `Pairs.counts`.
    beta : float > 0
        Reward per nat of log-ratio.  A larger β holds the policy closer to the reference; at 0 the
        loss would be log 2 for ever.
    label_smoothing : float in [0, 0.5)
        `smoothing` of (dpo.4).
    pair_weights : (B,) float ≥ 0, optional
        By default all pairs count the same.

    Returns
    -------
    loss : float
        Mean over pairs, in nats; log 2 when the policy equals the reference.
    grad : (S, A) float

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> even, D = np.zeros((1, 2)), choices([1], [0], 2).difference
    >>> loss, grad = dpo_loss(even, even, D, beta=0.5)
    >>> print(round(loss, 4), grad)
    0.6931 [[ 0.25 -0.25]]
    """
    checks.positive("beta", beta)
    logp, ratios = log_ratios(logits, ref_logits)
    D = check_difference("difference", difference, logp)
    check_possible("difference", D, logp)
    loss, slope = bradley_terry_loss(beta * ratios, D, label_smoothing=label_smoothing,
                                     pair_weights=pair_weights)
    return loss, backward(logp, beta * slope)


def fit_dpo(ref_logits, pairs, *, beta, pull, label_smoothing=0.0):
    """Fit the policy to `Pairs` by (dpo.4), from the reference: a `fitting.Fit` of logits.

    `pull` is that of `fitting.minimise_near`, towards the reference.  0 is DPO as published, whose
    minimum may not exist.

    Examples
    --------
    Two of three raters preferred action 1.  Its log-ratio leads by log 2 / β:

    >>> from minirl.people.pairs import choices
    >>> logits = fit_dpo(np.zeros((1, 2)), choices([1, 1, 0], [0, 0, 1], 2), beta=0.5, pull=0).x
    >>> print((logits[0, 1] - logits[0, 0]).round(4))
    1.3863
    """
    check_pairs(pairs, ref_logits)
    checks.positive("beta", beta)
    D = pairs.difference
    # A sixteenth of (fitting.3), for f(x) = −log σ(βx) of a log-ratio x: f″(0) = β²/4.
    curvature = beta**2 / 4 / 16 * mean_squares(D, pairs.shape)
    return minimise_near(lambda logits: dpo_loss(logits, ref_logits, D, beta=beta,
                                                 label_smoothing=label_smoothing),
                         ref_logits, pull=pull, examples=len(pairs), curvature=curvature)


def preference_metrics(logits, ref_logits, pairs, *, beta):
    """What is watched while a policy is fitted to `Pairs`: a dict of float.

    They are means over pairs, under TRL's names.  `rewards/chosen` and `rewards/rejected` are
    implicit rewards, β times the log-ratio; `rewards/margins` is their difference, and
    `rewards/accuracies` the share of pairs in which it is positive, ties counting half.
    `logps/chosen` and `logps/rejected` are log π, in nats per string.

    Examples
    --------
    The chosen action is three times as likely as the other one, which the reference would not have
    said:

    >>> from minirl.people.pairs import choices
    >>> found = preference_metrics(np.log([[0.25, 0.75]]), np.zeros((1, 2)), choices([1], [0], 2),
    ...                            beta=0.5)
    >>> {name: round(value, 3) for name, value in found.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'rewards/chosen': 0.203, 'rewards/rejected': -0.347, 'rewards/margins': 0.549,
     'rewards/accuracies': 1.0, 'logps/chosen': -0.288, 'logps/rejected': -1.386}
    """
    checks.positive("beta", beta)
    logp, ratios = log_ratios(logits, ref_logits)
    check_pairs(pairs, logp)
    check_possible("pairs", pairs.counts, logp)
    chosen, rejected = (beta * (X @ ratios.ravel()) for X in pairs.counts)
    plus, minus = (X @ logp.ravel() for X in pairs.counts)
    return {"rewards/chosen": float(chosen.mean()), "rewards/rejected": float(rejected.mean()),
            "rewards/margins": float((chosen - rejected).mean()),
            "rewards/accuracies": accuracy(reward_margins(pairs.counts, beta * ratios)),
            "logps/chosen": float(plus.mean()), "logps/rejected": float(minus.mean())}
