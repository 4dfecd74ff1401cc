"""Direct preference optimisation (DPO): fit the policy to preferences, with no reward model.

RLHF first fits a reward to preferences and then looks for the policy that trades it against the KL
to a reference.  Can one step do both?  The optimal policy of (regularised.1) for a reward r of
whole strings is π(y) = π_ref(y) e^{r(y)/β}/Z.  Take logarithms and solve for the reward:

    r(y) = β [log π(y) − log π_ref(y)] + β log Z.                                            (dpo.1)

So a policy *is* a reward model, up to the constant β log Z, which no preference can see.  Put this
reward into the Bradley–Terry regression (reward_model.1), for pairs (chosen y⁺_i, rejected y⁻_i):

    L = −(1/B) Σ_i log σ(m_i),   m_i = β [log π/π_ref(y⁺_i) − log π/π_ref(y⁻_i)].            (dpo.2)

With D = X⁺ − X⁻ of (counts.3), m = β D (log π − log π_ref) is linear in the table log π, and

    G = ∂L/∂log π = −(β/B) Dᵀ σ(−m).                                                         (dpo.3)

A pair that the policy already ranks well, m_i ≫ 0, stops pushing.  Log-probabilities of strings are
sums over steps, the end symbol included; a mean over the length would be another method.

*What to watch.*  Only the difference of the two log-probabilities is trained.  Where chosen and
rejected strings share letter pairs, both may fall; that is no bug.  And as for the reward model,
few pairs make rare letter pairs run away: a pair of letters seen in preferred strings only is sent
to probability one.  `pull` attracts the logits to the reference, (optim.3) with weight pull/B.
Without it 20,000 pairs of the running example end far below the reference itself.

Lecture notes sometimes call DPO "derived from PPO".  It is derived from the optimum (dpo.1),
whatever algorithm would have found it, and from Bradley–Terry.  They also print (dpo.2) without its
logarithms.

Read first: `counts`, `regularised`, `reward_model`.  Compare: `rlhf`.
Source: Rafailov et al. 2023, arXiv:2305.18290, eqs. 5 and 7.
"""

import numpy as np

from minirl.optim import attracted, minimise
from minirl.softmax import backward, log_sigmoid, log_softmax


def dpo_loss(logits, ref_logits, pairs, *, beta):
    """The loss (dpo.2), to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits, ref_logits : (S, A) float
        Policy table θ and the frozen reference table.
    pairs : (B, S·A) sparse float
        Row i is counts of chosen sequence i minus counts of rejected sequence i:
        `counts.difference_matrix`.
    beta : float > 0
        Reward per nat of log-ratio.  A larger β holds the policy closer to the reference.

    Returns
    -------
    loss : float
        Mean over pairs, in nats; log 2 when the policy equals the reference.
    grad : (S, A) float
        ∂loss/∂logits.

    Raises
    ------
    ValueError
        If beta is not positive (at 0 the loss is log 2 for ever), there is no pair, or the shapes
        disagree.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> loss, grad = dpo_loss(np.zeros((1, 2)), np.zeros((1, 2)), csr_array([[-1., 1.]]), beta=0.5)
    >>> print(round(loss, 4), grad)
    0.6931 [[ 0.25 -0.25]]
    """
    if not 0 < beta < np.inf:
        raise ValueError(f"beta must be positive and finite, got {beta}")
    if logits.shape != ref_logits.shape:
        raise ValueError(f"ref_logits must have shape {logits.shape}, got {ref_logits.shape}")
    if pairs.shape[0] == 0 or pairs.shape[1] != logits.size:
        raise ValueError(f"pairs must be (B, {logits.size}) with B > 0 for logits of shape "
                         f"{logits.shape}, got {pairs.shape}")
    logp = log_softmax(logits)
    margin = beta * (pairs @ (logp - log_softmax(ref_logits)).ravel())
    G = -(beta / margin.size) * (pairs.T @ np.exp(log_sigmoid(-margin)))
    return -log_sigmoid(margin).mean(), backward(logp, G.reshape(logits.shape))


def fit_dpo(ref_logits, pairs, *, beta, pull):
    """Fit the policy to preferences, starting from the reference.

    Parameters
    ----------
    ref_logits, pairs, beta
        As for `dpo_loss`.
    pull : float ≥ 0
        Precision of a Gaussian prior on every logit around the reference; its share of the mean
        loss is pull/B.  0 is DPO as published, whose minimum may not exist.

    Returns
    -------
    optim.Fit
        `x` is the fitted table of logits, (S, A).

    Raises
    ------
    ValueError
        As `dpo_loss`, or if pull is negative.

    Examples
    --------
    Two of three raters preferred action 1.  Its log-ratio leads by log 2 / β:

    >>> from scipy.sparse import csr_array
    >>> data = csr_array([[-1., 1.], [-1., 1.], [1., -1.]])
    >>> logits = fit_dpo(np.zeros((1, 2)), data, beta=0.5, pull=0).x
    >>> print((logits[0, 1] - logits[0, 0]).round(4))
    1.3863
    """
    if not pull >= 0:
        raise ValueError(f"pull must not be negative, got {pull}")
    share = pull / max(pairs.shape[0], 1)  # an empty batch is refused by the loss
    fitted = attracted(lambda logits: dpo_loss(logits, ref_logits, pairs, beta=beta),
                       ref_logits, share)
    return minimise(fitted, ref_logits)
