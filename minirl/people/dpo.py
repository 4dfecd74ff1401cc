"""Can a policy be fitted to preferences, with no reward model and without writing a string?

*Part 4.  Previous: `grpo`.  Next: `ipo`.*

RLHF fits a reward to preferences (`reward_model`), and then looks for the policy that trades it
against the KL to the reference (`rlhf`, `grpo`).  This second step has a known answer.  *Direct
preference optimisation* (DPO) uses the answer to do both in one fit.

**The answer, solved for the reward.**  Take one state, the end of the prompt, whose actions are all
the strings y.  By (regularised.2) the best policy for the reward R and the price β is

    π*(y) = π_ref(y) exp(R(y)/β) / Z,   Z = Σ_y π_ref(y) exp(R(y)/β).

Take logarithms, log π*(y) = log π_ref(y) + R(y)/β − log Z, solve for R(y), and write π for π*:

    R(y) = β h(y) + β log Z,   h = log π − log π_ref.                                        (dpo.1)

This is the reward for which π is the best policy.  So each policy stands for a reward, up to a
constant: β h(y) is its *implicit reward*.  The *log-ratio* h of a string is the sum over its steps,
the end symbol included.  In a large language nobody can compute the sum Z.  But both strings of a
pair answer the same prompt, so that they have the same Z.  It cancels in a difference:

    R(y⁺) − R(y⁻) = β h(y⁺) + β log Z − β h(y⁻) − β log Z = β [h(y⁺) − h(y⁻)].

The loss (reward_model.1) needs no more to fit π.  For B pairs, y⁺_i chosen and y⁻_i rejected,

    L = −(1/B) Σ_i log σ(m_i),   m_i = β [h(y⁺_i) − h(y⁻_i)].                                (dpo.2)

**In numbers.**  The reference gives three strings ½ ¼ ¼, they earn 0, log 2 and log 4, and β = 1.
Then π_ref e^R is ½ ½ 1, so that Z = 2, and the best policy is ¼ ¼ ½.  Its implicit rewards are −log
2, 0 and log 2: the true ones less log Z = log 2 (dpo.1).  The third string is log 4 ahead of the
first, so it wins a share σ(log 4) = 4/(4 + 1) of their comparisons.  Of five pairs of these two it
wins four.  DPO begins at the reference.  There h = 0 and m = 0, the loss is log 2 whatever the
pairs say, and each has the derivative −β σ(0) = −½ in log π of its chosen string, and ½ in that of
the other.  For the third string the mean is [4 · (−½) + ½]/5 = −0.3.  At the best policy m = log 4
in the four pairs, and each has −σ(−log 4) = −1/5 for the third string.  The fifth pair has σ(log 4)
= 4/5.  The sum is 0.  (This is G.  Its row sums to 0, so by (softmax.3) it is the gradient.)

>>> from minirl.people.pairs import choices
>>> reference, best = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.25, 0.5]])
>>> D = choices([2, 2, 2, 2, 0], [0, 0, 0, 0, 2], 3).difference
>>> for logits in reference, best:
...     print(-dpo_loss(logits, reference, D, beta=1.0)[1].round(4) + 0)
[[-0.3  0.   0.3]]
[[0. 0. 0.]]

**As matrices.**  D = X⁺ − X⁻ of (counts.3) has a row per pair and a column per entry (s, a).  With
the rows of the table h laid end to end, m = β D h.  By `reward_model`, d log σ(m)/dm = σ(−m), and
∂m_i/∂log π(a|s) = β D[i, (s, a)].  So the chain rule gives

    G = ∂L/∂log π = −(β/B) Dᵀ σ(−m),                                                         (dpo.3)

reshaped into a table.  A pair with m_i ≫ 0 stops pushing.  Pair 1 of `pairs` was ab over aa.  With
the policy of `counts`, which is its own reference here, and β = ½, G is −½ σ(0) D = −¼ D, and
(softmax.3) makes of it for end, a and b (the example of `dpo_loss`):

    row    D           π          G           ΣG    G − π ΣG
    a      −1 −1  1    ¼  ¼  ½     ¼  ¼ −¼     ¼     ¼ − 1/16 = 3/16,   3/16,   −¼ − 1/8 = −3/8
    b       1  0  0    ½  ¼  ¼    −¼  0  0    −¼    −¼ + 1/8 = −1/8,    1/16,    1/16

**What it finds.**  Let y⁺ win a share `wins` of its comparisons with y⁻.  The derivative in their m
is −wins σ(−m) + (1 − wins) σ(m) = σ(m) − wins, since σ(−m) = 1 − σ(m).  It is zero where σ(m) =
wins.  With Bradley-Terry raters and enough pairs m is the true difference of rewards.  Then π is
the best policy of RLHF, if the table can hold that one.  The table of a bigram can if the reward is
a table and strings end by themselves, but not if they are cut.

*Label smoothing* (conservative DPO) believes that a share `smoothing` of the answers is wrong,

    L = −(1/B) Σ_i [(1 − smoothing) log σ(m_i) + smoothing · log σ(−m_i)],                   (dpo.4)

so y⁺ wins with the weight 1 − smoothing and loses with the rest.  Then σ(m) rests at (1 −
smoothing) wins + smoothing (1 − wins), and m ≤ log((1 − smoothing)/smoothing).  If raters err so
often, their `wins` come mixed, and this mixes them again.  *Robust DPO* unmixes them (`errata`).

**The chosen string may fall.**  In a language with the letter a only, π(a|a) = 1/3 and π(end|a) =
2/3.  "aa" is preferred to "aaaa".  After the first letter their probabilities are

    π(a|a)   "aa"                 "aaaa"                quotient
    1/3      1/3 · 2/3 = 2/9      (1/3)³ 2/3 = 2/81     9
    1/4      1/4 · 3/4 = 3/16     (1/4)³ 3/4 = 3/256    16

The quotient is 1/π(a|a)², so only a smaller π(a|a) can raise it.  But π(a|a) (1 − π(a|a)), that of
"aa", grows up to π(a|a) = ½.  As 1/3 lies below ½, a smaller π(a|a) makes it smaller: "aa" falls,
here from 0.222 to 0.188, and "aaaa" falls further.  In general a small step against the gradient of
(dpo.2) for one pair moves the logits by a multiple of ∇log π(y⁺) − ∇log π(y⁻).  Its product with
∇log π(y) is what log π(y) changes by.  Up to that factor, with ⟨ , ⟩ for the sum of products,

    Δ log π(y⁺) = |∇log π(y⁺)|² − ⟨∇log π(y⁺), ∇log π(y⁻)⟩,
    Δ log π(y⁻) = ⟨∇log π(y⁺), ∇log π(y⁻)⟩ − |∇log π(y⁻)|².                                  (dpo.5)

So the chosen string falls exactly where ⟨∇log π(y⁺), ∇log π(y⁻)⟩ > |∇log π(y⁺)|²; ∇log π(y⁻) is
then the longer one.  Here "aa" has the gradient (1, 1) − 2 (1/3, 2/3) = (1/3, −1/3) for a and end,
and "aaaa" has (3, 1) − 4 (1/3, 2/3) = (5/3, −5/3).  So Δ is 2/9 − 10/9 = −8/9, and 10/9 − 50/9 =
−40/9.  In one softmax over *whole* strings y⁺ rises: ∇log π(y) is 1 at y, less π (softmax.2), and
Δ log π(y⁺) = 1 − π(y⁺) + π(y⁻) > 0.  A fit to 20,000 pairs of the running example lowers chosen
strings by about 0.37 nats on average and rejected ones by 2 (`preference_metrics`).

**What few pairs do.**  If y⁺ always wins, the loss falls for ever as m grows, and nothing charges
for the KL: DPO knows the policy on the strings of its pairs only.  In a table over letters *one*
step that occurs in chosen strings only may be sent to probability one.  There is no minimum, and a
fit to 300, 3,000 or 20,000 pairs of the running example stops where the solver does.  Its strings
may have dozens of letters, or billions, or no end, or end at once.  The reference has 5.9 letters,
and is worth far more.  A *pull* adds (pull/(2B)) Σ (θ − θ_ref)² to the loss.  With a pull of 2 they
give about a third, 73 and 93 % of what there is to gain, J* − J(π_ref), and 100,000 pairs 98 %.

**Exercises.**  `from minirl.people.dpo import *; from minirl.people.pairs import choices; from
minirl.kernel.softmax import log_softmax`
1. Action 1 wins three comparisons of four.  How likely does DPO make it, at three prices?
       won, even = choices([1, 1, 1, 0], [0, 0, 0, 1], 2), np.zeros((1, 2))
       for beta in 0.1, 1, 10: np.exp(log_softmax(fit_dpo(even, won, beta=beta, pull=0).x)).round(2)
2. A pair is ranked rightly already, by m = 3.  Where does smoothing by 0.1 push its logits?
       pair, ahead = choices([1], [0], 2).difference, np.array([[0., 3.]])
       -dpo_loss(ahead, np.zeros((1, 2)), pair, beta=1.0, label_smoothing=0.1)[1].round(3)
3. The last of three strings is in no pair.  What becomes of its probability of 0.1?
       reference, won = np.log([[0.1, 0.8, 0.1]]), choices([0, 0, 0, 1], [1, 1, 1, 0], 3)
       np.exp(log_softmax(fit_dpo(reference, won, beta=1.0, pull=0).x)).round(3)

Read next: `ipo`, for raters who are always sure.
Source: Rafailov et al. 2023, arXiv:2305.18290, eqs. 5 and 7; Mitchell 2023, "A note on DPO with
noisy preferences and relationship to IPO", for (dpo.4); Chowdhury et al. 2024, arXiv:2403.00409.
"""

from functools import partial
from numbers import Real

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import log_ratios, log_sigmoid, log_softmax
from minirl.people.calibration import accuracy
from minirl.people.fitting import Fit, mean_squares, minimise_near
from minirl.people.pairs import (check_difference, check_pairs, check_possible, over_pairs,
                                 reward_margins)


def dpo_loss(logits, ref_logits, difference, *, beta, label_smoothing=0.0, pair_weights=None):
    """The loss (dpo.2), with `label_smoothing` that of (dpo.4), to be minimised; and its gradient.

    Parameters
    ----------
    logits, ref_logits : (S, A) float
        Policy table θ and the frozen reference table.  They may be −∞, both in the same places, for
        actions that no string of the pairs takes.
    difference : (B, S·A) sparse float, or counts.Difference
        D of (counts.3), `Pairs.difference`.  Or X⁺ and X⁻ as they are, `Pairs.counts`: for a single
        loss they are faster, since D need not be made.
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
    >>> from minirl.kernel.counts import steps
    >>> from minirl.people.pairs import Pairs
    >>> pair = Pairs(*(steps([0, 1, s], [1, s, 0], [0, 3], (3, 3)) for s in (2, 1)))  # ab, aa
    >>> x = np.log([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
    >>> loss, grad = dpo_loss(x, x, pair.difference, beta=0.5)
    >>> print(round(loss, 4), grad[1:].tolist())
    0.6931 [[0.1875, 0.1875, -0.375], [-0.125, 0.0625, 0.0625]]
    """
    logp, ratios = log_ratios(logits, ref_logits)
    D = check_difference("difference", difference, logp)
    check_possible("difference", D, logp)
    phi = partial(logistic, beta=beta, label_smoothing=label_smoothing)
    return over_pairs(logp, ratios, D, phi, pair_weights)


def logistic(plus, minus, *, beta, label_smoothing=0.0):
    """φ of (dpo.4) and its two slopes, for h⁺ and h⁻ of any shape: what one pair costs.

    Examples
    --------
    >>> print(np.round(logistic(0.0, 0.0, beta=1.0, label_smoothing=0.1), 4))
    [ 0.6931 -0.4     0.4   ]
    """
    checks.positive("beta", beta)
    check_smoothing(label_smoothing)
    m = beta * (plus - minus)
    right = log_sigmoid(m)
    wrong = right - m  # log σ(−m), since σ(m)/σ(−m) = e^m
    # (dpo.3); with smoothing, (1 − smoothing) σ(−m) − smoothing σ(m) = σ(−m) − smoothing.
    slope = -beta * (np.exp(wrong) - label_smoothing)
    return -((1 - label_smoothing) * right + label_smoothing * wrong), slope, -slope


def check_smoothing(label_smoothing):
    """Refuse what is no share of wrong answers below ½.

    Examples
    --------
    >>> check_smoothing(0.5)
    Traceback (most recent call last):
    ValueError: label_smoothing must lie in [0, 0.5), got 0.5
    """
    if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must lie in [0, 0.5), got {label_smoothing}")


def fit_dpo(ref_logits, pairs, *, beta, pull, label_smoothing=0.0) -> Fit:
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
    check_pairs(pairs, log_softmax(ref_logits, "ref_logits"))
    checks.positive("beta", beta)
    # A sixteenth of (fitting.3), for f(x) = −log σ(βx) of a log-ratio x: f″(0) = β²/4.
    curvature = beta**2 / 4 / 16 * mean_squares(pairs.difference, pairs.shape)
    return minimise_near(lambda logits: dpo_loss(logits, ref_logits, pairs.difference, beta=beta,
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
