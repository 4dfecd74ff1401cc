"""The distance to the reference: exact, estimated, and where the gradient of an estimate leads.

*Part 4.  Previous: `regularised`.  Next: `existence`, a side road.*

A policy that is trained on a reward must not forget the reference π_ref that it started from.  What
it has moved is measured by the KL divergence of *strings* (episodes),

    KL(π‖π_ref) = Σ_y π(y) log(π(y)/π_ref(y)) = Σ_s η(s) KL(π(·|s)‖π_ref(·|s)),             (kl.1)

where η(s) counts the expected visits, so that a string's distance is the sum of the distances of
the rows it passes through.  Its gradient is a policy gradient, with the log-ratio in the place of a
reward that is held fixed, since the log-ratio's own gradient has mean zero,

    ∇KL(π‖π_ref) = Σ_y π(y) log(π(y)/π_ref(y)) ∇log π(y).                                    (kl.2)

Both are linear solves: `string_kl`.

*Freezing the visits.*  A loss that adds up the rows of a batch knows only the states that were
visited, N[s] times each,

    L = Σ_s N[s] KL(π(·|s)‖π_ref(·|s)),   G = N[s] π (log π − log π_ref).                    (kl.3)

Its value may be right, and its gradient is not (kl.2).  It charges each row for its own distance
and never for where its actions lead: a letter after which the policy is far from the reference
costs nothing to write.

*Estimates.*  With u = log π_ref − log π of a sample from π there are three well-known estimates of
KL(π‖π_ref) (Schulman 2020),

    k1 = −u,      k2 = u²/2,      k3 = e^u − u − 1.                                          (kl.4)

k1 and k3 are unbiased, because E[e^u] = Σ π π_ref/π = 1; k3 is never negative and varies little
near the reference.  k2 is biased, and good where u is small.

*An estimate is not a loss.*  Differentiate an estimate at a sample and take the mean, and something
else comes out than the gradient of its mean, for the sample came from π too.  With ∇u = −∇log π,

    ∇k1 = ∇log π,      ∇k2 = −u ∇log π,      ∇k3 = (1 − e^u) ∇log π.                         (kl.5)

Now take the mean over one row, or over strings with the log-ratio of the whole string:

    E[∇k1] = 0,      E[∇k2] = ∇KL(π‖π_ref),      E[∇k3] = ∇KL(π_ref‖π).                      (kl.6)

So k1 as a loss does nothing at all, k2, the biased one, has the right gradient, and k3 descends the
*other* KL.  Added up token by token, as libraries do, they follow Σ_s η(s) ∇ of those of the row,
with the visits frozen as in (kl.3).

There are two cures.  Put k1 into the *reward*: then (kl.2) is what the policy gradient follows
(`rlhf`).  Or multiply the estimate by the ratio ρ = π/π_old of the policy to the one that wrote the
sample, and differentiate that too:

    E_{π_old}[∇(ρ estimate)] = ∇E_π[estimate],                                               (kl.7)

which for k1 and k3 is ∇KL(π‖π_ref), whatever π_old is.  This holds for a row, and for whole strings
with the ratio of the whole string.  With the ratio of each single step the rows count as often as
π_old visits them: it is the frozen sum again.  Without ρ, samples of another policy estimate
nothing in particular.  `python -m minirl kl` prints all this, exactly, for a small language.

Who logs k3 and trains on k1 sees another number than the one that is paid for.

Read first: `regularised`.  Read next: `reward_model`.
Source: Schulman 2020, "Approximating KL divergence", http://joschu.net/blog/kl-approx.html; Shao et
al. 2024 (DeepSeekMath), arXiv:2402.03300, eq. 4, for k3 in a loss.
"""

import numpy as np

from minirl.exact.evaluation import evaluate, occupancy
from minirl.kernel import checks
from minirl.kernel.softmax import backward, difference, kl, log_softmax, product

SMALL = 1e-4  # below it k3 is summed up as a series


def string_kl(mdp, logits, ref_logits):
    """KL(π‖π_ref) of whole episodes and its gradient, (kl.1) and (kl.2), exactly.

    In nats per episode.  At gamma below 1 later steps are discounted; rewards do not matter.  Where
    an episode may take a step that the reference never takes the KL is +∞, near that policy too,
    and the gradient zero.

    Examples
    --------
    Three heads in four tosses where the reference is fair.  There are four tosses a game, and each
    is 0.1308 nats away:

    >>> from minirl.kernel.mdp import coin_game
    >>> distance, grad = string_kl(coin_game(), np.log([[0.75, 0.25]]), np.zeros((1, 2)))
    >>> print(round(distance, 4), grad.round(4))
    0.5232 [[ 1.2164 -1.2164]]
    """
    logp, ref_logp = _tables(logits, ref_logits)
    checks.shape("logits", logp, mdp.shape)
    policy = np.exp(logp)
    visits = occupancy(mdp, policy.real)[:, None]
    ratio = difference(logp, ref_logp, (policy != 0) & (visits > 0))
    if np.isinf(ratio).any():
        return np.inf, np.zeros(mdp.shape)
    values = np.nan_to_num(evaluate(mdp, policy, ratio))
    later = mdp.gamma * (mdp.transitions @ values).reshape(mdp.shape)
    # Q − V of the log-ratio as a reward; `backward` subtracts the mean of a row.
    G = visits * policy * (ratio + later)
    return (mdp.start * values).sum(), backward(logp, G)


def kl_loss(logits, ref_logits, visits):
    """The loss (kl.3) and its gradient: rows of KL(π‖π_ref), with the visits frozen.

    `visits` (S,) is N[s], or the share of each state; the loss is in nats.  A row that is visited
    and does what the reference never does makes the loss +∞, and has a gradient of zero.

    Examples
    --------
    >>> loss, grad = kl_loss(np.log([[0.75, 0.25]]), np.zeros((1, 2)), np.array([4.0]))
    >>> print(round(loss, 4), grad.round(4))
    0.5232 [[ 0.824 -0.824]]
    """
    logp, ref_logp = _tables(logits, ref_logits)
    visits = checks.weights("visits", visits, logp.shape[:1])
    policy, distance = np.exp(logp), kl(logp, ref_logp)
    used = (policy != 0) & np.isfinite(distance)[:, None]
    G = visits[:, None] * policy * difference(logp, ref_logp, used)
    return product(visits, distance).sum(), backward(logp, G)


def k3_loss(logits, ref_logits, weights):
    """Σ W k3 over a batch, and its gradient, for which G = W (1 − e^u): GRPO's penalty.

    By (kl.6) it pulls towards small KL(π_ref‖π), row by row.  `weights` (S, A) is W, the sum of the
    weights of the steps at each entry: `counts.table(steps, weights)`.  An entry with weight that
    one of the two policies never takes makes the loss +∞, and has no part in the gradient.

    Examples
    --------
    >>> loss, grad = k3_loss(np.log([[0.75, 0.25]]), np.zeros((1, 2)), np.array([[3., 1.]]))
    >>> print(round(loss, 4), grad.round(4))
    0.5232 [[ 1. -1.]]
    """
    logp, ref_logp = _tables(logits, ref_logits)
    weights = checks.weights("weights", weights, logp.shape)
    used = (weights != 0) & np.isfinite(logp + ref_logp)
    u = difference(ref_logp, logp, used)
    G = -weights * np.expm1(np.minimum(u, 700))
    impossible = used != (weights != 0)
    return np.inf if impossible.any() else (weights * k3(u)).sum(), backward(logp, G)


def k1(u):
    """−u of (kl.4), for log-ratios u = log π_ref − log π of any shape; in nats.

    Examples
    --------
    >>> print(k1(np.array([-1.0, 1.0])))
    [ 1. -1.]
    """
    return -u


def k2(u):
    """u²/2 of (kl.4); in nats.

    Examples
    --------
    >>> print(k2(np.array([-1.0, 1.0])))
    [0.5 0.5]
    """
    return u * u / 2


def k3(u):
    """e^u − u − 1 of (kl.4), never negative; in nats.

    Near zero the terms cancel to a number like u²/2, so the series is used there.  From u = 700
    upwards it is that of 700, and +∞ where u is ±∞.

    Examples
    --------
    >>> print(k3(np.array([-1.0, 1e-8, 1.0])))
    [3.67879441e-01 5.00000002e-17 7.18281828e-01]
    """
    small = (u.real < SMALL) & (u.real > -SMALL)
    near = np.where(small, u, 0)
    far = np.where(small, 0, u)
    series = near**2 / 2 * (1 + near / 3 * (1 + near / 4 * (1 + near / 5)))
    capped = np.minimum(far, 700)
    return series + np.expm1(capped) - capped + np.where(u == np.inf, np.inf, 0)


def _tables(logits, ref_logits):
    """log π and log π_ref, of one shape."""
    logp, ref_logp = log_softmax(logits), log_softmax(ref_logits, "ref_logits")
    checks.shape("ref_logits", ref_logp, logp.shape)
    return logp, ref_logp
