"""How does a policy change when one of its logits moves?

*Part 1.  Previous: `checks`, a side road.  Next: `layout`, a side road.*

A policy that learns is a table of *logits* θ[s, a] in this book, one real number for each action a
in each state s.  The *softmax* makes probabilities of each row:

    π(a|s) = exp θ[s, a] / Σ_b exp θ[s, b].                                              (softmax.1)

**In numbers.**  Take one state with three actions and the logits log 2, log 1 and log 1.  Their
exponentials are 2, 1 and 1, which sum to 4, so that π = ½ ¼ ¼.  (To run the examples of a chapter,
first run the import that stands above its exercises.)

>>> logp = log_softmax(np.log([[2., 1., 1.]]))
>>> print(np.exp(logp))
[[0.5  0.25 0.25]]

Add 7 to all three logits, and every exponential is e⁷ times as large.  The shares stay what they
are: only the differences of a row's logits count.

**One logit moves.**  A *loss* L is a number that learning is to make small, and its *gradient* is
the table of its derivatives ∂L/∂θ[s, b].  Losses see a policy through its log-probabilities.  By
(softmax.1)

    log π(a|s) = θ[s, a] − log Σ_b exp θ[s, b].

Let b now be one action.  The derivative of the first term with respect to θ[s, b] is 1{a = b},
which is 1 if a is b and 0 otherwise.  That of the second is exp θ[s, b] over the whole sum, which
is π(b|s).  So

    ∂ log π(a|s) / ∂θ[s, b] = 1{a = b} − π(b|s).                                         (softmax.2)

If the logit of b rises by a little, log π(b|s) rises by 1 − π(b|s) times as much, and all others of
the row fall by π(b|s) times as much.  The other rows stay as they are.

**Backward.**  Let a loss see θ only through the table log π, and write G[s, a] for its derivative
with respect to the entry log π(a|s).  The chain rule sums over the entries of the row:

    ∂L/∂θ[s, b] = Σ_a G[s, a] (1{a = b} − π(b|s)) = G[s, b] − π(b|s) Σ_a G[s, a].        (softmax.3)

That is the whole of backpropagation here: a chapter derives one table G, and `backward` does the
rest.  Take L = −log π(0|s) in the example.  Then G = −1 0 0 and ΣG = −1, so that the gradient is
−1 + ½, 0 + ¼, 0 + ¼:

>>> print(backward(logp, np.array([[-1., 0., 0.]])))
[[-0.5   0.25  0.25]]

*May one vary an entry of log π alone?*  The entries of a row are tied together by Σ_a exp log
π(a|s) = 1.  But the chain rule only asks for the partial derivatives of the formula as it is
written, and whatever θ is, the tie holds.  Another formula for the same loss may have another G.
But both formulas are one function of θ, so (softmax.3) makes the same gradient of both tables.  Of
their difference d it therefore makes 0, which says d[s, b] = π(b|s) Σ_a d[s, a]: each row of d is a
multiple of π(·|s).  And `backward` removes any such multiple: π(b|s) − π(b|s) Σ_a π(a|s) = 0.
Summed over b, the right side of (softmax.3) is 0: each row of a gradient sums to zero.

**Entropy and distance.**  Two quantities belong to a row rather than to any algorithm: its
*entropy*, which says how undecided it is, and its KL divergence from another row μ,

    H(s) = −Σ_a π(a|s) log π(a|s),                                                       (softmax.4)
    KL(π(·|s) ‖ μ(·|s)) = Σ_a π(a|s) [log π(a|s) − log μ(a|s)] ≥ 0.                      (softmax.5)

The second is not negative, because −log x ≥ 1 − x: with x = μ/π the terms π (1 − μ/π) sum to 0, or
to more where π has zeros that μ has not.  Summed over the steps of strings it is the divergence of
chapter 0 (the chapter `kl` shows how).  The example has the entropy ½ log 2 + 2 · ¼ log 4, in nats,
and a fair choice among three has log 3:

>>> print(entropy(logp).round(4), np.log(3).round(4))
[1.0397] 1.0986

Where π(a|s) is 0 a term counts as 0: p log p has the limit 0, and what is never done costs nothing.
If π takes an action that μ never takes, the divergence is +∞.  A logit of −∞ stays −∞, whatever
finite number an update adds.  So a policy can be trained and keep its zeros.

**Two actions** with the logits x and 0: the first one has the probability σ(x) = 1/(1 + e^−x), the
*logistic function*.  At x = −1000 the power e^1000 overflows, although log σ(x) is about x.  Where
x is negative, multiply above and below by e^x: σ(x) = e^x/(1 + e^x), so that log σ(x) = x − log(1 +
e^x).  Both cases in one line never form a large power:

    log σ(x) = min(x, 0) − log(1 + e^−|x|).                                              (softmax.6)

**Exercises.**  `from minirl.kernel.softmax import *`
1. The loss is −log π(0|s) again, at a policy that is nearly sure of action 0.  How large is its
   gradient, and why?
       backward(log_softmax(np.array([[9., 0.]])), np.array([[-1., 0.]])).round(4)
2. Somebody adds 5·π to a table G.  What changes in the gradient?
       backward(np.log([[0.8, 0.2]]), np.array([[-1., 0.]]) + 5 * np.array([[0.8, 0.2]])).round(4)
3. A policy is sure, another one tosses a fair coin.  Which of the two KL divergences is finite?
       kl(log_softmax(np.array([[0., -np.inf]])), np.log([[0.5, 0.5]])).round(4)

Read next: `counts`, which makes one table of a whole batch.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, §2.8 and §13.3; Cover and Thomas,
"Elements of information theory", chapter 2.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks


class LogPolicy(NamedTuple):
    """A policy whose table log π is known: losses take it in the place of logits, unchecked."""

    logp: np.ndarray  # (S, A), from `log_softmax`


def log_softmax(logits, name="logits"):
    """The table log π (S, A) of (softmax.1) in nats, from logits of any size.

    The largest logit of each row is subtracted before `exp`.  A logit of −∞ is a probability of
    zero.  A row needs one that is finite; NaN and +∞ are refused, and the error calls them `name`.
    A loss of two policies needs the table of each.  Where one of the two stays as it is for many
    losses, a `LogPolicy` may be given in the place of its logits, so that its table is made once.

    Examples
    --------
    >>> logp = log_softmax(np.array([[0., 0.], [1e4, -1e4], [0., -np.inf]]))
    >>> print(np.exp(logp))
    [[0.5 0.5]
     [1.  0. ]
     [1.  0. ]]
    >>> log_softmax(LogPolicy(logp)) is logp
    True
    """
    if isinstance(logits, LogPolicy):
        return logits.logp
    logits = checks.floats(name, logits)
    if logits.ndim == 0:
        raise ValueError(f"{name} must be a table (S, A), got {logits}")
    largest = logits.max(axis=-1, keepdims=True)  # NaN where there is one
    if not np.isfinite(largest).all():
        raise ValueError(f"{name} must be finite or −∞, and not −∞ all along a row, got {logits}")
    logp = logits - largest
    logp -= np.log(np.exp(logp).sum(axis=-1, keepdims=True))
    return logp


def backward(logp, G):
    """The gradient in the logits, (softmax.3): ∂L/∂θ (S, A) from G = ∂L/∂log π at the table logp.

    Examples
    --------
    The loss −log π(0|s) of a fair coin: push the first logit up, the second one down.

    >>> print(backward(np.log([[0.5, 0.5]]), np.array([[-1., 0.]])))
    [[-0.5  0.5]]
    """
    G = np.asarray(G)
    if G.shape[G.ndim - np.ndim(logp):] != np.shape(logp):
        raise ValueError(f"G must end in shape {np.shape(logp)}, got {G.shape}")
    return G - np.exp(logp) * G.sum(axis=-1, keepdims=True)


def entropy(logp):
    """H of (softmax.4) for each row of `logp` (S, A): shape (S,), in nats, from 0 to log A.

    An action of probability zero adds nothing: 0 log 0 is 0, the limit of p log p.

    Examples
    --------
    >>> print(entropy(np.log([[0.5, 0.5], [0.9, 0.1]])).round(4))
    [0.6931 0.3251]
    """
    return -product(np.exp(logp), logp).sum(axis=-1)


def kl(logp, other_logp):
    """KL(π‖μ) of (softmax.5), row by row, for two (S, A) tables of log-probabilities.

    Returns (S,) in nats.  The order of the arguments is the direction: the mean is under the first.
    What π never does adds nothing.  What π does and μ never does makes it +∞.

    Examples
    --------
    >>> fair, bent = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    >>> print(kl(fair, bent).round(4), kl(bent, fair).round(4))
    [0.5108] [0.3681]
    >>> sure = log_softmax(np.array([[0., -np.inf]]))
    >>> print(kl(sure, fair).round(4), kl(fair, sure))
    [0.6931] [inf]
    """
    policy = np.exp(logp)
    return (policy * difference(logp, other_logp, policy != 0)).sum(axis=-1)


def difference(logp, other_logp, used):
    """logp − other_logp where `used` (bool), and 0 elsewhere, for tables of the same shape.

    What has no weight is not formed, because 0 times ∞, and ∞ − ∞, are not numbers.

    Examples
    --------
    >>> print(difference(np.array([0.0, -np.inf]), np.array([-1.0, -np.inf]), [True, False]))
    [1. 0.]
    """
    logp, other_logp = np.asarray(logp), np.asarray(other_logp)
    checks.shape("other_logp", other_logp, logp.shape)
    zero = np.zeros(logp.shape, np.result_type(logp, other_logp))
    return np.subtract(logp, other_logp, out=zero, where=used)


def product(weights, values):
    """weights · values, entry by entry, where 0 times ∞ is 0: what has no weight adds nothing.

    Examples
    --------
    >>> print(product(np.array([0.0, 2.0, 1.0]), np.array([-np.inf, 3.0, np.inf])))
    [ 0.  6. inf]
    """
    return weights * np.where(weights == 0, 0.0, values)


def log_ratios(logits, ref_logits):
    """log π and log π − log π_ref, two (S, A) tables in nats.

    Both must be −∞ in the same places, the actions that are not available; the ratio is 0 there.

    Examples
    --------
    >>> logp, ratios = log_ratios(np.log([[0.75, 0.25]]), np.zeros((1, 2)))
    >>> print(ratios.round(4))
    [[ 0.4055 -0.6931]]
    """
    logp, ref_logp = log_softmax(logits), log_softmax(ref_logits, "ref_logits")
    checks.shape("ref_logits", ref_logp, logp.shape)
    used, ref_used = np.isfinite(logp), np.isfinite(ref_logp)
    if (used != ref_used).any():
        raise ValueError(f"logits and ref_logits must be −∞ in the same places, got "
                         f"{(~used).sum()} and {(~ref_used).sum()} such entries")
    return logp, difference(logp, ref_logp, used)


def entropy_loss(logits, weights):
    """Minus the weighted entropy, −Σ_s weights[s] H(s): minimising it keeps a policy undecided.

    By (softmax.4), G = weights[s] π (log π + 1), and `backward` removes the 1.  The weights (S,)
    say how much each row matters, for example the share of a batch's steps taken there.  They are
    held fixed: that the policy also decides how often a state is visited is not differentiated.

    Examples
    --------
    >>> loss, grad = entropy_loss(np.log([[0.9, 0.1]]), np.array([1.0]))
    >>> print(round(loss, 4), grad.round(4))
    -0.3251 [[ 0.1978 -0.1978]]
    """
    logp = log_softmax(logits)
    weights = checks.array("weights", weights, logp.shape[:1])
    G = weights[:, None] * product(np.exp(logp), logp)
    return G.sum(), backward(logp, G)


def log_sigmoid(x):
    """log σ(x) of (softmax.6), any shape, in nats; never overflows.

    It accepts a complex x, since the tests differentiate by complex steps (`gradcheck`), in which
    |x| has no derivative; −|x| is therefore min(x, 0) − max(x, 0).

    Examples
    --------
    >>> print(log_sigmoid(np.array([-1000., 0., 1000.])).round(4))
    [-1.000e+03 -6.931e-01  0.000e+00]
    """
    negative = np.minimum(x, 0)
    return negative - np.log1p(np.exp(negative - np.maximum(x, 0)))
