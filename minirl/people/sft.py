"""How does one learn from examples, and why no better than they are?

*Part 4.  Previous: `pairs`.  Next: `best_of_n`.*

*Supervised fine-tuning* (SFT) imitates demonstrations.  It raises their probability as far as it
will go, which is called *maximum likelihood*.  For a table it is no more than counting.  This
chapter shows why, what to do about steps that no demonstration shows, and what imitation cannot do.

**Three words.**  The demonstrations are "on", "no" and "noon", over the letters n and o:

    on     start→o  o→n  n→end
    no     start→n  n→o  o→end
    noon   start→n  n→o  o→o  o→n  n→end

N[s, a] is the number of steps that took the action a in the state s, and N = 11 the number of all
steps.  N[s] is the sum of a row.  Divide each row by its sum:

    counts     end   n   o   N[s]        shares     end   n    o
    start       0    2   1    3          start      0     ⅔    ⅓
    n           2    0   2    4          n          ½     0    ½
    o           1    2   1    4          o          ¼     ½    ¼

>>> table = np.array([[0., 2, 1], [2, 0, 2], [1, 2, 1]])
>>> shares = fit_by_counting(table, pseudo_count=0)
>>> print(np.exp(shares).round(4))
[[0.     0.6667 0.3333]
 [0.5    0.     0.5   ]
 [0.25   0.5    0.25  ]]

**Why the shares.**  The loss is minus the mean log-probability of a demonstrated step.  Gather
equal steps, as in (counts.1):

    L = −(1/N) Σ_n log π(a_n|s_n) = −(1/N) Σ_{s,a} N[s, a] log π(a|s),   G = −N[s, a]/N.     (sft.1)

By (softmax.3) the derivative in θ[s, a] is G[s, a] − π(a|s) Σ_b G[s, b].  Here Σ_b G[s, b] is
−N[s]/N, so the derivative is (N[s] π(a|s) − N[s, a])/N.  It is zero in each entry if and only if,
in every state that was demonstrated, the policy does what the demonstrations do, as often:

    π(a|s) = N[s, a]/N[s].                                                                   (sft.2)

(Where N[s, a] = 0 this takes a logit of −∞.)  This is the minimum.  At any π, L is larger by (1/N)
Σ_{s,a} N[s, a] [log(N[s, a]/N[s]) − log π(a|s)] than there.  Take N[s] out of each row, and what
remains is KL(shares‖π) ≥ 0, by (softmax.5).  So maximum likelihood is counting, and gradient
descent finds the same more slowly.

**In numbers.**  At the shares "on" has the probability ⅓ · ½ · ½ = 1/12, "no" has ⅔ · ½ · ¼ = 1/12
and "noon" has ⅔ · ½ · ¼ · ½ · ½ = 1/48.  The loss is (log 12 + log 12 + log 48)/11 = 0.8037 nats
per step.  The perplexity e^0.8037 = 2.234 says that a character is guessed among little more than
two, where the uniform policy guesses among three:

>>> loss, grad = sft_loss(shares, table)
>>> print(round(loss, 4), round(np.exp(loss), 3), abs(grad).max() < 1e-12)
0.8037 2.234 True
>>> print(round(np.exp(sft_loss(np.zeros((3, 3)), table)[0]), 3))
3.0

**What is counted.**  A demonstration often is a prompt and its *completion*, the text that follows
it.  Only the completion is imitated: the steps of the prompt are not counted.  The end symbol is an
action like the others and is counted.  Without it a model never learns to stop.

**What was never seen** gets probability zero.  Then one new string with such a step has an infinite
loss.  A *pseudo-count* α is added to every count before dividing,

    π(a|s) = (N[s, a] + α) / (N[s] + α · actions),                                           (sft.3)

where `actions` is the number of actions.  It is a belief held before the data: each row is taken to
have been seen doing everything α times.  With α = 1 the row of n is 3/7 1/7 3/7 instead of ½ 0 ½.

*Label smoothing* is another remedy.  The target of a step is not the action a_n alone but, with the
weight `smoothing`, any action:

    L = −(1/N) Σ_n [(1 − smoothing) log π(a_n|s_n)
                    + (smoothing/actions) Σ_b log π(b|s_n)].                                 (sft.4)

Gather equal steps again.  Entry (s, a) gets (1 − smoothing) N[s, a] from the first term, and from
the second one (smoothing/actions) N[s], whatever a is.  So (sft.4) is (sft.1) with other counts of
the same sum N[s], and its minimum is their shares, (1 − smoothing) N[s, a]/N[s] +
smoothing/actions.  A factor of all counts does not change the shares.  Divide by 1 − smoothing, and
what is left is N[s, a] plus a pseudo-count

    α[s] = smoothing · N[s] / ((1 − smoothing) · actions).                                   (sft.5)

With smoothing = 0.1 row n has α = 0.1 · 4/(0.9 · 3) = 0.148.  A constant α counts for less as data
come in, and makes a row without data uniform.  That of label smoothing grows with the data, so an
action that is never taken keeps smoothing/actions for ever; and a row without data gets nothing.

**No better than the demonstrations.**  A string of the policy (sft.2) takes each step as often, on
average, as a demonstration does: N[s, a]/B times, with B demonstrations.  To see it, let η(s) be
the visits of a state per string.  A letter s' is visited as often as a step leads to it, so that
η(s') = Σ_s η(s) π(s'|s), and η(start) = 1.  Where strings end, only one η solves this.  The
difference of two solutions is 0 at the start, and each step of the policy reproduces it.  But what
is carried on from step to step dies out, since all strings end.  So the difference is 0.  Put η(s)
= N[s]/B in.  At the start it is B/B = 1.  Since η(s) π(s'|s) = N[s, s']/B, the equation of s' says
that the demonstrations visit s' as often as their steps lead there.  This is so.  In the example η
= 1, 4/3, 4/3, and for the letter o the equation is 4/3 = 1 · ⅓ + 4/3 · ½ + 4/3 · ¼.

So if a reward is a sum over steps, then imitation earns what the demonstrations earned on average,
no more and no less.  Let the step o→o earn 1.  "noon" earned 1 and the others nothing, a mean of ⅓,
and the policy earns η(o) π(o|o) = 4/3 · ¼ = ⅓.

SFT is the loss of (reinforce.3) on somebody else's episodes, with the credit 1 for every step, and
divided by N instead of B.  It is never told what to avoid.  A learner that is paid for o→o writes
its own strings, finds "nooon", which no demonstration shows, and writes it more often.

**Exercises.**  `from minirl.people.sft import *`
1. Nobody demonstrated "non".  How likely is it, beside the 1/12 of "on" and the 1/48 of "noon"?
       pi = np.exp(fit_by_counting(np.array([[0., 2, 1], [2, 0, 2], [1, 2, 1]]), pseudo_count=0))
       round(float(pi[0, 1] * pi[1, 2] * pi[2, 1] * pi[1, 0]), 4)
2. Head was demonstrated a million times, and tail never.  How likely is tail with α = 1, and how
   likely with a smoothing of 0.1?
       seen = np.array([[1e6, 0.]])
       np.exp(fit_by_counting(seen, pseudo_count=1)).round(4)
       alpha = equivalent_pseudo_count(seen, label_smoothing=0.1)
       np.exp(fit_by_counting(seen, pseudo_count=alpha)).round(4)
3. The same demonstrations without smoothing: does gradient descent come to rest at a minimum?
       fit_sft(np.zeros((1, 2)), np.array([[1e6, 0.]])).converged

Read next: `best_of_n`, what a reward adds to a reference that imitates.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, §3.5; Szegedy et al. 2016, "Rethinking
the Inception architecture", arXiv:1512.00567, §7, for (sft.4).
"""

import numpy as np

from minirl.kernel import checks
from minirl.people.fitting import Fit, minimise
from minirl.kernel.softmax import backward, log_softmax, product


def sft_loss(logits, counts, *, label_smoothing=0.0):
    """The loss (sft.1), with `label_smoothing` that of (sft.4), to be minimised; and its gradient.

    Parameters
    ----------
    logits : (S, A) float
    counts : (S, A) float ≥ 0
        N[s, a]: `counts.table` of the demonstrated steps, plus a pseudo-count if wanted.
    label_smoothing : float in [0, 1)
        `smoothing` of (sft.4).

    Returns
    -------
    loss : float
        Nats per step (per character, for a language model).  Without smoothing its exponential is
        the perplexity.  +∞ if a step is demonstrated that the policy never takes.
    grad : (S, A) float
        Such a step has no part in it.

    Examples
    --------
    >>> loss, grad = sft_loss(np.zeros((1, 2)), np.array([[3., 1.]]))
    >>> print(round(loss, 4), grad)
    0.6931 [[-0.25  0.25]]
    """
    logp = log_softmax(logits)
    counts = _checked(counts, label_smoothing)
    checks.shape("counts", counts, logp.shape)
    anything = counts.mean(axis=1, keepdims=True)  # N[s]/actions
    G = -((1 - label_smoothing) * counts + label_smoothing * anything) / counts.sum()
    loss = product(G, logp).sum()
    return loss, backward(logp, np.where(logp == -np.inf, 0, G) if np.isinf(loss) else G)


def fit_by_counting(counts, *, pseudo_count):
    """The logits of (sft.3), the minimum of `sft_loss` for counts N[s, a] + α.

    The data come first, for counting has no table to start from.

    Parameters
    ----------
    counts : (S, A) float ≥ 0
    pseudo_count : float ≥ 0, or an array that fits (S, A)
        α.  Zero is maximum likelihood: a step never seen has a log-probability of −∞.

    Returns
    -------
    (S, A) float
        log π; uniform in a state that has no count of either kind.

    Examples
    --------
    >>> print(np.exp(fit_by_counting(np.array([[3., 0.]]), pseudo_count=0.5)))
    [[0.875 0.125]]
    >>> print(fit_by_counting(np.array([[1., 1., 0.], [0., 0., 0.]]), pseudo_count=0).round(3))
    [[-0.693 -0.693   -inf]
     [-1.099 -1.099 -1.099]]
    """
    counts = _checked(counts)
    alpha = checks.weights("pseudo_count", pseudo_count, np.shape(pseudo_count))
    if any(own not in (1, size) for own, size in zip(alpha.shape[::-1], counts.shape[::-1])) or (
            alpha.ndim > counts.ndim):
        raise ValueError(f"pseudo_count must be a number or fit the shape of the counts, "
                         f"{counts.shape}, got shape {alpha.shape}")
    total = counts + alpha
    total = np.where(total.sum(axis=1, keepdims=True) > 0, total, 1.0)
    return log_softmax(np.log(total, where=total > 0, out=np.full(total.shape, -np.inf)))


def fit_sft(start, counts, *, label_smoothing=0.0, tol=1e-9) -> Fit:
    """Minimise `sft_loss` by gradient, from the logits `start` (S, A): a `fitting.Fit`.

    It finds what `fit_by_counting` computes, and exists to show that.  Where an action was never
    taken in a state that was met there is no minimum without smoothing, and it has not `converged`.

    Examples
    --------
    >>> fit = fit_sft(np.zeros((1, 2)), np.array([[3., 1.]]))
    >>> print(np.exp(log_softmax(fit.x)).round(6))
    [[0.75 0.25]]
    """
    counts = _checked(counts, label_smoothing)
    checks.shape("counts", counts, log_softmax(start, "start").shape)
    found = minimise(lambda logits: sft_loss(logits, counts, label_smoothing=label_smoothing),
                     start, tol=tol)
    never = (counts == 0) & (counts.sum(axis=1, keepdims=True) > 0) & (found.x > -np.inf)
    return found._replace(converged=found.converged and not (label_smoothing == 0 and never.any()))


def equivalent_pseudo_count(counts, *, label_smoothing):
    """α[s] of (sft.5), (S, 1): the pseudo-counts for `fit_by_counting` that smooth labels.

    They are zero in a state without counts, where smoothing says nothing.

    Examples
    --------
    Four observations, of which a fifth is to be uniform, and the policy 0.8 · (1, 0) + 0.2 · ½:

    >>> seen = np.array([[4., 0.]])
    >>> alpha = equivalent_pseudo_count(seen, label_smoothing=0.2)
    >>> print(alpha, np.exp(fit_by_counting(seen, pseudo_count=alpha)))
    [[0.5]] [[0.9 0.1]]
    """
    counts = _checked(counts, label_smoothing)
    return label_smoothing / (1 - label_smoothing) * counts.mean(axis=1, keepdims=True)


def _checked(counts, label_smoothing=0.0):
    """The counts as an array."""
    counts = checks.floats("counts", counts)
    if counts.ndim != 2:
        raise ValueError(f"counts must be a table (S, A), got shape {counts.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise ValueError(f"counts must be finite, not negative and not all zero, "
                         f"got values from {counts.min()} to {counts.max()}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
    return counts
