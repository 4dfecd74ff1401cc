"""The reward model: from preferences back to a reward, by Bradley–Terry regression.

People compare; algorithms need numbers.  The Bradley–Terry model says how a reward makes
preferences:  y⁺ is preferred to y⁻ with probability σ(r(y⁺) − r(y⁻)).  So the reward can be fitted
by maximum likelihood.  Here r is linear: a table w of weights, summed over the pairs of the string,
r(y) = X w.  With D = X⁺ − X⁻ of (counts.3),

    L = −(1/B) Σ_i log σ(m_i),   m = D w = r(y⁺) − r(y⁻).                           (reward_model.1)

Since d log σ(m)/dm = σ(−m), and m is linear in w,

    ∂L/∂w = −(1/B) Dᵀ σ(−m).                                                        (reward_model.2)

There is no softmax behind w, so this *is* the gradient.  The loss is convex.

*What can be learned.*  Only differences of rewards, so r is known up to a constant.  The table is
free besides by a potential: adding φ(a) − φ(s) to every w[s, a], with φ = 0 at the start and the
end, changes no string's reward, because the sum telescopes.  So compare rewards string by string,
centred, never table entry by table entry.  The rewards themselves are unbounded; it is the
*probabilities* of (reward_model.1) that lie between 0 and 1, which slides like to confuse.  And a
cross-entropy can train a reward model: this is one, on the difference.

*What few pairs do.*  A letter pair that happened to occur in preferred strings only has an infinite
maximum-likelihood weight.  Then a policy that maximises the learned reward has no optimum, because
repeating that pair pays more than any KL.  `pull` adds a Gaussian prior of that precision on each
weight, (optim.3) with weight pull/B: with `pull=0` the trouble can be seen, and with more pairs it
fades.

Read first: `counts`, `sft`.  Compare: `dpo`, the same regression with the policy as its own reward
model.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, eq. 1; Bradley and Terry 1952; Ng et al.
1999 on potentials.
"""

import numpy as np

from minirl.optim import attracted, minimise
from minirl.softmax import log_sigmoid


def bradley_terry_loss(weights, pairs):
    """The loss (reward_model.1), to be minimised, and its gradient (reward_model.2).

    Parameters
    ----------
    weights : (S, A) float
        The reward table w.
    pairs : (B, S·A) sparse float
        Row i is counts of chosen sequence i minus counts of rejected sequence i:
        `counts.difference_matrix`.

    Returns
    -------
    loss : float
        Mean over pairs, in nats; log 2 for a constant reward of equally long sequences.
    grad : (S, A) float
        ∂loss/∂weights.

    Raises
    ------
    ValueError
        If there is no pair, or the shapes disagree.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> loss, grad = bradley_terry_loss(np.zeros((1, 2)), csr_array([[-1., 1.]]))
    >>> print(round(loss, 4), grad)
    0.6931 [[ 0.5 -0.5]]
    """
    if pairs.shape[0] == 0 or pairs.shape[1] != weights.size:
        raise ValueError(f"pairs must be (B, {weights.size}) with B > 0 for weights of shape "
                         f"{weights.shape}, got {pairs.shape}")
    margin = pairs @ weights.ravel()
    grad = -(pairs.T @ np.exp(log_sigmoid(-margin))) / margin.size
    return -log_sigmoid(margin).mean(), grad.reshape(weights.shape)


def fit_reward_model(pairs, shape, *, pull):
    """Fit the reward table to preferences.

    Parameters
    ----------
    pairs : (B, S·A) sparse float
        As for `bradley_terry_loss`.
    shape : (int, int)
        S and A.
    pull : float ≥ 0
        Precision of a Gaussian prior around zero on every weight; its share of the mean loss is
        pull/B.  0 is maximum likelihood, which may not exist.

    Returns
    -------
    optim.Fit
        `x` is the table w, (S, A).

    Raises
    ------
    ValueError
        If pull is negative, there is no pair, or the shapes disagree.

    Examples
    --------
    Two of three raters preferred action 1, so that its reward leads by log 2:

    >>> from scipy.sparse import csr_array
    >>> w = fit_reward_model(csr_array([[-1., 1.], [-1., 1.], [1., -1.]]), (1, 2), pull=0).x
    >>> print((w[0, 1] - w[0, 0]).round(4))
    0.6931
    """
    if not pull >= 0:
        raise ValueError(f"pull must not be negative, got {pull}")
    share = pull / max(pairs.shape[0], 1)  # an empty batch is refused by the loss
    fitted = attracted(lambda weights: bradley_terry_loss(weights, pairs), 0, share)
    return minimise(fitted, np.zeros(shape))
