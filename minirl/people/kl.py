"""How far is a policy from the reference, and where does the gradient of an estimate lead?

*Part 4.  Previous: `regularised`.  Next: `existence`, a side road.*

The price of `regularised` is paid for the KL divergence from the reference π_ref.  This chapter
computes it exactly.  Then it estimates it from strings, as one must where a model is no table, and
asks what happens if such an estimate is used as a loss.

**Strings and rows.**  The divergence of strings is a mean over the strings y of π.  It is also a
sum over the rows through which they pass:

    KL(π‖π_ref) = Σ_y π(y) log(π(y)/π_ref(y)) = Σ_s η(s) KL(π(·|s)‖π_ref(·|s)).             (kl.1)

The probability of a string is the product of those of its steps, so that its log-ratio is a sum:

    Σ_y π(y) log(π(y)/π_ref(y)) = E[Σ_t log(π(a_t|s_t)/π_ref(a_t|s_t))]
                                = Σ_{s,a} η(s) π(a|s) log(π(a|s)/π_ref(a|s)).

The second line counts how often each step is taken: there are η(s) visits, and a share π(a|s) of
them takes a (`reinforce`).  The sum over a is the divergence of a row, (softmax.5).

**Its gradient.**  By the product rule, with ∇π = π ∇log π, and since π_ref does not move,

    ∇ Σ_y π(y) log(π(y)/π_ref(y)) = Σ_y ∇π(y) log(π(y)/π_ref(y)) + Σ_y π(y) ∇log π(y),
    ∇KL(π‖π_ref) = Σ_y π(y) log(π(y)/π_ref(y)) ∇log π(y),                                    (kl.2)

because the last sum is Σ_y ∇π(y) = ∇1 = 0.  So it is a policy gradient: the log-ratio stands in
place of the reward, and is held fixed.  `string_kl` finds both by linear solves.

**Freezing the visits.**  A loss that adds up the rows of a batch knows only the states that were
visited, N[s] times each,

    L = Σ_s N[s] KL(π(·|s)‖π_ref(·|s)),   G = N[s] π (log π − log π_ref).                    (kl.3)

(The derivative has another term N[s] π, which `backward` would take out again.)  With N = η its
value is right, and its gradient is not.  A row pays for its own distance and not for where its
actions lead.  A coin with head ¾ throws 4 times, and each throw is ¾ log 1.5 + ¼ log ½ = 0.1308
nats from a fair one.  This has the slope ¾ · ¼ · (log 1.5 − log ½) = 0.2060 in the logit of head,
by (softmax.3).  Frozen, it makes 4 · 0.2060 = 0.8240.  But a head leads to more throws.  With the
chance p of head there are 1/(1 − p), with the derivative 1/(1 − p)² in p.  In the logit it is p (1
− p)/(1 − p)² = 3.  Each throw costs 0.1308, so the true gradient is 0.8240 + 3 · 0.1308 = 1.2164:

>>> from minirl.kernel.mdp import coin_game
>>> bent, fair = np.log([[0.75, 0.25]]), np.log([[0.5, 0.5]])
>>> print(kl_loss(bent, fair, np.array([4.0]))[1].round(4))
[[ 0.824 -0.824]]
>>> print(string_kl(coin_game(), bent, fair)[1].round(4))
[[ 1.2164 -1.2164]]

**Three estimates.**  Let u = log π_ref − log π of a sample from π.  There are three well-known
estimates of KL(π‖π_ref) (Schulman 2020):

    k1 = −u,      k2 = u²/2,      k3 = e^u − u − 1.                                          (kl.4)

The mean of k1 is the divergence by definition.  The mean of e^u is Σ π π_ref/π = Σ π_ref = 1, so
that k3 is unbiased as well.  It is never negative, since e^u ≥ 1 + u, and varies little near the
reference.  k2 is biased.  Since e^u − u − 1 = u²/2 + u³/6 + …, it is nearly k3 where u is small.
Three actions:

    action               1         2         3        mean under π
    π                    ½         ⅜         ⅛
    π_ref                ⅛         ¾         ⅛
    u = log(π_ref/π)    −1.3863    0.6931    0
    k1                   1.3863   −0.6931    0        0.4332    = KL(π‖π_ref)
    k2                   0.9609    0.2402    0        0.5705    too much
    k3                   0.6363    0.3069    0        0.4332    = KL(π‖π_ref)

**The other divergence.**  KL(π_ref‖π) = ⅛ log ¼ + ¾ log 2 = 0.3466 is another number.  KL(π‖π_ref)
is large if π does what π_ref hardly does.  Staying in one likely part of π_ref, a *mode*, keeps it
small.  KL(π_ref‖π) is large if π hardly does what π_ref does, so π must *cover* it.

**An estimate is not a loss.**  Differentiate an estimate at a sample.  With ∇u = −∇log π,

    ∇k1 = ∇log π,      ∇k2 = −u ∇log π,      ∇k3 = (1 − e^u) ∇log π.                         (kl.5)

Now take the mean over one row, or over strings with the log-ratio of the whole string.  Something
else comes out than the gradient of the mean, since the samples come from π too:

    E[∇k1] = 0,      E[∇k2] = ∇KL(π‖π_ref),      E[∇k3] = ∇KL(π_ref‖π).                      (kl.6)

The first is Σ π ∇log π = 0.  The second is (kl.2).  The third is 0 − Σ π (π_ref/π) ∇log π = −Σ
π_ref ∇log π, which is ∇ Σ π_ref (log π_ref − log π).  So k1 as a loss has no effect on average; all
it adds is noise.  k2, the biased one, has the right gradient.  k3 descends the *other* divergence.
(If estimates of steps are added up, (kl.6) holds row by row, with frozen visits as in (kl.3).)  In
the example G is π times the factor of (kl.5).  The last gradient is π − π_ref:

>>> logp, ref = np.log([[4, 3, 1]]) - np.log(8), np.log([[1, 6, 1]]) - np.log(8)
>>> for slope in 1, logp - ref, 1 - np.exp(ref - logp):
...     print(backward(logp, np.exp(logp) * slope).round(4) + 0)
[[0. 0. 0.]]
[[ 0.4765 -0.4224 -0.0542]]
[[ 0.375 -0.375  0.   ]]

**Two cures.**  Put k1 into the *reward*: then the policy gradient follows (kl.2) (`rlhf`).  Or let
π_old be the policy that wrote the samples, multiply the estimate by the ratio ρ = π/π_old, and
differentiate that too.  As π_old does not move, it cancels:

    E_old[∇(ρ estimate)] = ∇ Σ π_old (π/π_old) estimate = ∇E_π[estimate].                    (kl.7)

For k1 and k3 that is ∇KL(π‖π_ref), whatever π_old is.  This holds for a row, and for whole strings
with the ratio of the whole string.  With the ratio of each single step the rows count as often as
π_old visits them: the frozen sum again.  Without ρ, samples of π_old estimate nothing in
particular.  `python -m minirl kl` prints all this, exactly, for a small language.

**Exercises.**  `from minirl.people.kl import *; from minirl.kernel.mdp import coin_game, unroll`
1. π is a coin with head ¾.  A fair π_ref writes the samples.  What are the means of k1 and k3?
       u = np.log([0.5, 0.5]) - np.log([0.75, 0.25])
       [round(float(k(u).mean()), 4) for k in (k1, k3)]
2. π has all but dropped tail, and π_ref is fair.  Which mean gradient is larger, of k2 or of k3?
       x, fair = np.array([[9., 0.]]), np.zeros((1, 2))
       kl_loss(x, fair, np.ones(1))[1].round(3)
       k3_loss(x, fair, np.exp(log_softmax(x)))[1].round(3)
3. Two throws, and only the second is bent.  What does each gradient say of the first throw?
       bent, fair = np.array([[0., 0.], [3., 0.]]), np.zeros((2, 2))
       kl_loss(bent, fair, np.array([1.0, 0.5]))[1][0].round(3) + 0
       string_kl(unroll(coin_game(), 2), bent, fair)[1][0].round(3)

Read next: `reward_model`, which makes a reward of preferences; or first `existence`.
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
