"""Supervised fine-tuning (SFT): imitation, by maximum likelihood.

*Part 4.  Previous: `pairs`.  Next: `best_of_n`.*

The first of InstructGPT's three steps shows the model what good behaviour looks like, and raises
the probability of exactly that.  Let N[s, a] count how often the demonstrations took the step (s,
a), N steps in all.  The loss is the mean negative log-likelihood of a step, the cross-entropy,

    L = −(1/N) Σ_{s,a} N[s, a] log π(a|s),   G = −N[s, a]/N.                                 (sft.1)

With Σ_a N[s, a] = N[s], (softmax.3) makes the gradient (N[s] π(a|s) − N[s, a])/N.  It vanishes
where the policy does what the demonstrations do, as often:

    π(a|s) = N[s, a]/N[s].                                                                   (sft.2)

So for a table maximum likelihood is counting, and gradient descent only finds the same slowly.

*What is counted.*  A demonstration is a prompt and its completion.  Only the completion is to be
imitated: the steps that write the prompt are left out, and that is all there is to what others
do with a mask of labels −100.  The end symbol is one of the actions and is counted like any other.
A model whose end symbol is left out of the loss never learns to stop.

*What was never seen.*  A step without a count gets probability zero, and then one new string with
that step has an infinite loss.  There are two remedies, and both mix the frequencies with the
uniform distribution.  The older one adds a *pseudo-count* α to every count before dividing,

    π(a|s) = (N[s, a] + α) / (N[s] + α · actions),                                           (sft.3)

as if each step had been seen α times more, where `actions` is the number of actions.  The other one
is *label smoothing*: the target of a step is not the action a taken but, with the weight
`smoothing`, any action,

    L = −(1/N) Σ_n [(1 − smoothing) log π(a_n|s_n)
                    + (smoothing/actions) Σ_b log π(b|s_n)].                                 (sft.4)

Collect equal steps, and this is (sft.1) with the counts (1 − smoothing) N[s, a] + smoothing ·
N[s]/actions, of the same total N[s].  Its minimum is π = (1 − smoothing) N[s, a]/N[s] +
smoothing/actions.  Divide through by 1 − smoothing to see the pseudo-count in it:

    α[s] = smoothing · N[s] / ((1 − smoothing) · actions).                                   (sft.5)

So the two are one idea and differ in what they believe.  A constant α counts for less and less as
data come in.  Label smoothing grows its pseudo-count with the data: however often an action was not
taken, it keeps the probability smoothing/actions.  And in a state that was never visited it adds
nothing, where a constant α leaves the uniform distribution.

*Where demonstrations come from.*  People write some.  A model can write more: *rejection sampling*
lets it write, keeps what passes a check and fine-tunes on that, and *self-instruct* (Wang et al.
2022) puts what was kept into the pool of examples by which the model is led to write more.  Both
are in `toy_lm.demonstrations`; with a reward in place of the check the first is in `best_of_n`.

Is this reinforcement learning?  (sft.1) is the REINFORCE loss with every demonstrated step's
advantage set to one.  Imitation is the policy gradient on somebody else's episodes, all of them
judged good.

Read first: `softmax`, `counts`.  Compare: `reinforce`.  Read next: `best_of_n`.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, §3.5; Szegedy et al. 2016, "Rethinking
the Inception architecture", arXiv:1512.00567, §7, for (sft.4); Wang et al. 2022, "Self-instruct",
arXiv:2212.10560.
"""

import numpy as np

from minirl.kernel import checks
from minirl.people.fitting import minimise
from minirl.kernel.softmax import backward, log_softmax, product


def sft_loss(logits, counts, *, label_smoothing=0.0):
    """The loss (sft.4), which is (sft.1) without smoothing, to be minimised; and its gradient.

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


def fit_sft(start, counts, *, label_smoothing=0.0, tol=1e-9):
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
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise ValueError(f"counts must be finite, not negative and not all zero, "
                         f"got values from {counts.min()} to {counts.max()}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
    return counts
