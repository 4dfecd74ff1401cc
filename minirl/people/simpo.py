"""SimPO: preferences without a reference, by the mean log-probability of a step.

*Part 4.  Previous: `kto`.  Next: `orpo`.*

A string is written by π alone, so why compare it with π_ref?  And why let long strings have large
log-ratios?  Simple preference optimisation takes as the reward of a string its mean
log-probability, and asks the chosen one for a lead (γ in the paper, `simpo_gamma` in code):

    L = −(1/B) Σ_i log σ(m_i − lead),   m_i = β [log π(y⁺_i)/|y⁺_i| − log π(y⁻_i)/|y⁻_i|]. (simpo.1)

|y| is the number of steps, the end symbol included.  With M⁺ and M⁻, the rows of (counts.4), this
is (reward_model.3) for the table β log π, the matrix M⁺ − M⁻ and this lead, and

    G = ∂L/∂log π = −(β/B) (M⁺ − M⁻)ᵀ σ(lead − m).                                         (simpo.2)

The lead stands beside β, not inside it: it is in units of reward.  (Some speak of lead/β, in nats
per step.)

*What it finds.*  If the raters are Bradley–Terry's and the lead is 0, the mean log-probabilities of
strings become β⁻¹ times their rewards plus a constant, as far as a policy can do that.  Nothing
else holds it: no reference, and no likelihood of anything.  Two strings with the same mean are
worth the same whatever their length, so that a likely string can be made of many likely steps, and
the end is but one step among them.  On the running example 3,000 pairs, fitted without a pull, make
a policy that hardly ever ends a string.  So do 20,000 as a rule, but some such samples make one
that ends before the first letter; 100,000 still make dozens or hundreds of letters.  With the pull
of `dpo` 100,000 pairs give less than a fifth of what there is to gain, and may give less than
nothing, at β = 2 and a lead of 1, which are among the paper's: the reward rises by more than at the
optimum, and a KL of more than 2 nats, which it never heard of, eats it up.

With a lead each winner is to lead by more.  Where two strings win equally often against each other
that changes nothing: m = 0 is still best, at a higher loss.  Where one wins more often, m is
larger than the log-odds of its winning that a logistic regression would give, as if the reward were
larger.

Read first: `dpo`.  Read next: `orpo`.
Source: Meng et al. 2024, "SimPO: simple preference optimization with a reference-free reward",
arXiv:2405.14734, eq. 6.
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax
from minirl.people.fitting import minimise_near
from minirl.people.pairs import check_means, check_pairs, shares


def simpo_loss(logits, chosen, rejected, *, beta, simpo_gamma, pair_weights=None):
    """The loss (simpo.1), to be minimised, and its gradient.

    Parameters
    ----------
    logits : (S, A) float
        Policy table θ.
    chosen, rejected : (B, S·A) sparse float
        M⁺ and M⁻: `Pairs.means`.
    beta : float > 0
        Reward per nat of mean log-probability.
    simpo_gamma : float ≥ 0
        The lead, in units of reward.
    pair_weights : (B,) float ≥ 0, optional
        By default all pairs count the same.

    Returns
    -------
    loss : float
        Mean over pairs, in nats.
    grad : (S, A) float

    Examples
    --------
    >>> from minirl.people.pairs import choices
    >>> loss, grad = simpo_loss(np.zeros((1, 2)), *choices([1], [0], 2).means, beta=2.0,
    ...                         simpo_gamma=1.0)
    >>> print(round(loss, 4), grad.round(4))
    1.3133 [[ 1.4621 -1.4621]]
    """
    checks.positive("beta", beta)
    checks.not_negative("simpo_gamma", simpo_gamma)
    logp = log_softmax(logits)
    plus, minus = check_means(chosen, rejected, logp)
    w = shares(pair_weights, plus.shape[0])
    m = beta * (plus @ logp.ravel() - minus @ logp.ravel())
    push = beta * w * np.exp(log_sigmoid(simpo_gamma - m))
    G = (minus.T @ push - plus.T @ push).reshape(logp.shape)
    return -(w * log_sigmoid(m - simpo_gamma)).sum(), backward(logp, G)


def fit_simpo(ref_logits, pairs, *, beta, simpo_gamma, pull):
    """Fit the policy to `Pairs` by (simpo.1): a `fitting.Fit` of logits.

    The fit begins at `ref_logits`, and `pull` leads there, as in `dpo.fit_dpo`.  The loss itself
    knows no reference.

    Examples
    --------
    Two of three raters preferred action 1.  Without a margin its log-probability leads by
    log 2 / β:

    >>> from minirl.people.pairs import choices
    >>> pairs = choices([1, 1, 0], [0, 0, 1], 2)
    >>> logits = fit_simpo(np.zeros((1, 2)), pairs, beta=2.0, simpo_gamma=0.0, pull=0).x
    >>> print((logits[0, 1] - logits[0, 0]).round(4))
    0.3466
    """
    check_pairs(pairs, ref_logits)
    return minimise_near(lambda logits: simpo_loss(logits, *pairs.means, beta=beta,
                                                   simpo_gamma=simpo_gamma),
                         ref_logits, pull=pull, examples=len(pairs))
