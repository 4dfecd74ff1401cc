"""Supervised fine-tuning (SFT): imitation, by maximum likelihood.

The first of InstructGPT's three steps shows the model what good behaviour looks like, and raises
the probability of exactly that.  Let C[s, a] count how often the demonstrations took the pair (s,
a), N times in all.  The loss is the mean negative log-likelihood of a step, the cross-entropy,

    L = −(1/N) Σ_{s,a} C[s, a] log π(a|s),   G = −C/N.                                       (sft.1)

With Σ_a C[s, a] = N[s], (softmax.3) makes the gradient (N[s] π(a|s) − C[s, a])/N.  It vanishes
where the policy does what the demonstrations do, as often:

    π(a|s) = C[s, a]/N[s].                                                                   (sft.2)

So for a table maximum likelihood is counting, and gradient descent only finds the same slowly.  A
pair that was never seen gets probability zero, and then one new string with that pair has an
infinite loss.  The oldest remedy adds a *pseudo-count* α to every pair before dividing, π = (C +
α)/(N[s] + αA): each pair is treated as if it had been seen α times more.

The end symbol is one of the actions and is counted like any other.  A model whose end symbol is
left out of the loss never learns to stop, a defect that has shipped in well-known libraries.

Is this reinforcement learning?  (sft.1) is the REINFORCE loss with every demonstrated step's
advantage set to one.  Imitation is the policy gradient on somebody else's episodes, all of them
judged good.

Read first: `softmax`, `counts`.  Compare: `reinforce`.  Read next: `reward_model`.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, §3.5.
"""

import numpy as np

from minirl.optim import minimise
from minirl.softmax import backward, log_softmax


def _check(counts):
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise ValueError(f"counts must be finite, not negative and not all zero, "
                         f"got values from {counts.min()} to {counts.max()}")


def sft_loss(logits, counts):
    """The loss (sft.1), to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits : (S, A) float
        Policy table θ.
    counts : (S, A) float ≥ 0
        How often each pair was demonstrated: `counts.table` of the steps, plus a pseudo-count if
        wanted.

    Returns
    -------
    loss : float
        Nats per step (per character, for a language model).  Its exponential is the perplexity.
    grad : (S, A) float
        ∂loss/∂logits.

    Raises
    ------
    ValueError
        If the shapes differ, or the counts are negative, not finite or all zero.

    Examples
    --------
    >>> loss, grad = sft_loss(np.zeros((1, 2)), np.array([[3., 1.]]))
    >>> print(round(loss, 4), grad)
    0.6931 [[-0.25  0.25]]
    """
    if logits.shape != counts.shape:
        raise ValueError(f"counts must have shape {logits.shape}, got {counts.shape}")
    _check(counts)
    logp = log_softmax(logits)
    N = counts.sum()
    return -(counts * logp).sum() / N, backward(logp, -counts / N)


def fit_by_counting(counts, *, pseudo_count):
    """The logits whose policy is (C + α)/(N[s] + αA), the minimum of `sft_loss` for counts C + α.

    Parameters
    ----------
    counts : (S, A) float ≥ 0
    pseudo_count : float > 0
        α.  Not zero: a pair never seen would have a log-probability of −∞.

    Returns
    -------
    (S, A) float
        log π.

    Raises
    ------
    ValueError
        If the pseudo-count is not positive, or the counts are negative, not finite or all zero.

    Examples
    --------
    >>> print(np.exp(fit_by_counting(np.array([[3., 0.]]), pseudo_count=0.5)))
    [[0.875 0.125]]
    """
    if not 0 < pseudo_count < np.inf:
        raise ValueError(f"pseudo_count must be positive and finite, got {pseudo_count}")
    _check(counts)
    return log_softmax(np.log(counts + pseudo_count))


def fit_sft(counts, start, *, tol=1e-9):
    """Minimise `sft_loss` by gradient, from the logits `start` (S, A): an `optim.Fit`.

    It finds what `fit_by_counting` computes, and exists to show that.

    Examples
    --------
    >>> fit = fit_sft(np.array([[3., 1.]]), np.zeros((1, 2)))
    >>> print(np.exp(log_softmax(fit.x)).round(6))
    [[0.75 0.25]]
    """
    return minimise(lambda logits: sft_loss(logits, counts), start, tol=tol)
