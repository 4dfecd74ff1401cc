"""How much may one batch say, and who decides?

*Part 4.  Previous: `margins`.  Next: `distillation`.*

Several steps are taken from a batch that π_old wrote (`surrogate`).  With each of them the policy
moves on, and the batch knows less about it.  The clip of PPO stops listening to some steps.  There
are a dozen other answers, known by their acronyms.  They differ in three things: a function of the
ratio ρ = π/π_old, called a *gate* here; whether ρ is that of a step or of a string; and weights.

**In numbers.**  In one state there are two actions, and π_old took both alike.  By now π = ¾ ¼, so
ρ = 1.5 and 0.5.  String 1 is 0 0 and was good, A = 1; string 2 is 0 1 and was bad, A = −1.  Each
step weighs ½.  Without a clip G is ½ (−2 · 1.5 + 1.5) = −0.75 and ½ · 0.5 = 0.25, and by
(softmax.3) logit 0 gains 0.75 − ¾ · 0.5 = 0.375.  The clip leaves action 0 of string 2 only: G =
0.75, and logit 0 gains −0.75 + ¾ · 0.75.  As products the strings weigh 2.25 and 0.75: G is ½ (−2 ·
2.25 + 0.75) = −1.875 and 0.375, and logit 0 gains 1.875 − ¾ · 1.5 = 0.75.  At π_old (left) all
agree:

>>> steps = counts.steps([0] * 4, [0, 0, 0, 1], [0, 2, 4], (1, 2))
>>> old, new = np.log([[0.5, 0.5]]), np.log([[0.75, 0.25]])
>>> for name, surrogate in {
...         "steps, unclipped": on_steps(unclipped), "clip": on_steps(clip),
...         "product": on_strings(unclipped, rows=counts.matrix)}.items():
...     loss = surrogate(steps, np.array([1.0, -1.0]), np.array([0.5, 0.5]))
...     print(f"{name:16}", *(np.round(-loss(logits, old)[1][0, 0], 3) for logits in (old, new)))
steps, unclipped 0.5 0.375
clip             0.5 -0.188
product          0.5 0.75

**A gate** has a value and a slope in ρ for each sign of A, both 1 at ρ = 1.  The steps of a batch
collapse as in (ppo.2), and their weights hold the divisor (`groups.weighted`).

    L = −Σ_{s,a} [gate(ρ, +) A⁺ + gate(ρ, −) A⁻],                                       (ratios.1)
    G = −ρ [slope(ρ, +) A⁺ + slope(ρ, −) A⁻],   since ∂ρ/∂log π = ρ.                    (ratios.2)

                 gate                                         slope
    clip         min(ρ, 1 + ε_high); max(ρ, 1 − ε) if A < 0   1, or 0 where clipped
    dual_clip    the same, at most δ if A < 0                 1, or 0 where clipped
    cispo        capped (1 + log(ρ/capped))                   capped/ρ, capped = min(ρ, cap)
    sapo         1 + (2/τ) tanh(τ (ρ − 1)/2)                  1 − tanh²(τ (ρ − 1)/2)
    vespo        an incomplete gamma function                 ρ^(k−1) e^(λ(1−ρ))

(`unclipped` is ρ.)  CISPO and VESPO are printed as a weight times A log π, with the weight *held
fixed*, as if it did not depend on θ.  Only the gradient of that is used, −weight · A.  By
(ratios.2) the gate that has it has the slope weight/ρ.  At the defaults (cap 5, δ 3) slopes are

                 A > 0 and ρ = ½   2      8        A < 0 and ρ = ½   2      8
    clip                   1       0      0                  0       1      1
    dual_clip              1       0      0                  0       1      0
    cispo                  1       1      0.62               1       1      0.62
    sapo                   0.94    0.79   0.0036             0.93    0.77   0.0026
    vespo                  2.2     0.1    6.1e-9             0.68    0.54   5.3e-5

A step is alive at 1, dead at 0, damped in between, louder above, and pushes with ρ times the slope.
With a bad action at ρ = 10 clip pushes as with ten other steps.  Dual clip drops it, CISPO caps it.

**Strings.**  Let ρ_i be the ratio of string i: the geometric mean of the ratios of its steps (which
is no importance weight), by the rows of M, or their product, by those of X in the place of M.

    L = −Σ_i weight_i A_i gate(ρ_i, sign of A_i),  log ρ_i = Σ_{s,a} M[i,(s,a)] log ρ,  (ratios.3)
    G = −Mᵀ (weight A slope ρ),  since ∂ρ_i/∂log π = ρ_i M[i].                          (ratios.4)

GMPO clips steps, and then takes the mean.  So a dead step does not silence its string:

    log ρ_i = the mean of min(log ρ_it, ε), or of max(log ρ_it, −ε) if A_i < 0.         (ratios.5)

**One identity.**  A row of M sums to 1, and one of X to |y_i|.  So let weight_i be w_i |y_i| with M
and w_i with X, where w_i is what a *step* weighs.  At ρ = 1 every surrogate has the gradient

    −Σ_i w_i A_i Σ_t ∇log π(a_it|s_it),   whatever its gate.                            (ratios.6)

    weight of a step               steps          means         products
    per_step         1/N           DAPO, CISPO, dual clip       VESPO
    per_string       1/(B·|y|)     GRPO, SAPO     GSPO, GMPO
    per_length(1)    1/B                          LUSPO         RLOO in TRL

All but CISPO, SAPO, VESPO and GMPO have the gate `clip`, GSPO at ε = 3e-4.  But for ε LUSPO is GSPO
with REINFORCE's 1/B for GRPO's 1/(B·|y|).  Which first step is ∇J on average?  From here on J =
E[R], without a price.  Below are its cosine with ∇J and its length over that of ∇J, for a group of
4 from the reference of a language of 31 strings (`lab.stale`: two letters, cut after four steps).
The mean of the group shortens it by (K − 1)/K; the std, 1/|y| and N turn it.

                           per_string      per_length(1)    per_step
    group_normalised       0.991   0.33    0.9989  1.17     0.9976  0.39
    group_centred          0.9806  0.21    1       0.75     0.9997  0.24
    group_leave_one_out    0.9806  0.28    1       1        0.9997  0.32

**A stale batch.**  Now the batch is all 31 strings, each weighed by its chance, and A = R − J.  A
surrogate takes 16 steps of its own gradient at the rate 1, from J = −0.227.  How does its next one
compare with ∇J at the policy reached?  (Length and J: at the end.)  Trained is the worst of twenty
shares of the running example, KL in the reward, w and A of GRPO, 32 steps from each of 25 batches.

    cosine after        1      2      4      8      16     length  J       trained
    unclipped           0.996  0.982  0.917  0.662  0.014  0.92    0.173   0.502
    clip                0.748  0.693  0.659  0.738  0.263  0.45    0.018   0.951
    means, clip         0.998  0.974  0.992  0.535  0.785  0.38    0.151   0.913
    means, ε = 3e-4     dead after the first step          0       −0.114  0.985
    gmpo                0.998  0.782  0.759  0.705  0.794  0.21    0.058   0.922
    vespo               0.991  0.97   0.924  0.863  0.799  0.28    0.107   0.919
    product, clip       0.673  0.563  0.384  0.183  0      0       −0.01   0.964
    product, unclipped  1      1      1      1      1      1       0.316   −3.3

The product has no bias: π_old ρ = π, so that Σ_y π_old(y) ρ(y) A(y) ∇log π(y) is ∇E[A] at any π,
for rewards as they were paid.  But they hold the price of π_old (rlhf.1), and the product goes on
as if a KL were free.  With π's own price, β log ρ_i taken off A_i (and 1/B and RLOO's A) it reaches
0.99.  A step's ratio weighs this step alone: states, and what follows, stay π_old's (surrogate.5).
With 4 steps from each of 200 batches all exceed 99.9 %.  With 32, who is soon silent does best.

**Exercises.**  `from minirl.people.ratios import *`
1. A bad action has become ten times as likely.  How hard is it pushed back?
       [round(float(10 * g(np.array(10.), -1)[1]), 3) for g in (clip, dual_clip, cispo, sapo)]
2. One good head.  Where is GSPO with ε = 3e-4 after one small step, and after 1,000?
       one, x = counts.steps([0], [0], [0, 1], (1, 2)), np.zeros((1, 2))
       loss = on_strings(partial(clip, epsilon=3e-4))(one, np.ones(1), np.ones(1))
       went = [x := x - 0.01 * loss(x, 0 * x)[1] for _ in range(1000)]
       np.exp(log_softmax(np.concatenate([went[0], went[-1]]))).round(4)
3. Each of the 20 steps of a good string has become a tenth likelier.  How hard does VESPO push it?
       [(rho := np.array(1.1)**20).round(2).item(), (rho * vespo(rho, 1)[1]).round(7).item()]

Read next: `distillation`, where a teacher says what to do.
Source: the papers that the functions name.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from minirl.kernel import checks, counts
from minirl.kernel.softmax import backward, difference, log_softmax
from minirl.people.groups import weighted
from minirl.play.surrogate import steps_in

REACH = 700   # A ratio is held in [e^-700, e^700].
NEVER = -1e9  # It stands for a log ρ of −∞, so that sums over a string stay finite.


def gate_loss(logits, old_logits, batch, gate):
    """The loss (ratios.1) of the ratios of steps, to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits, old_logits : (S, A) float
        The policy θ, and the policy that wrote the batch.
    batch : surrogate.Advantages
        From `groups.weighted`, whose weights hold the divisor: nothing is divided here.
    gate : callable
        `gate(ratio, sign) -> (value, slope in the ratio)`, as below.

    Examples
    --------
    Half of the gain of action 0, which π takes 1.5 times as often as π_old, is clipped away:

    >>> from minirl.play.surrogate import Advantages
    >>> batch, old = Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 1.0), np.zeros((1, 2))
    >>> loss, grad = gate_loss(np.log([[0.75, 0.25]]), old, batch, partial(clip, epsilon=0.25))
    >>> print(round(loss, 4), grad)
    -1.25 [[-0. -0.]]
    """
    logp, h = _moved(logits, old_logits)
    steps_in(logp, h, batch)
    ratio = _ratios(h)
    (up, rise), (down, fall) = gate(ratio, 1), gate(ratio, -1)
    G = -ratio * (rise * batch.gains + fall * batch.losses)  # (ratios.2)
    return -(up * batch.gains + down * batch.losses).sum(), _backward(logp, G)


class StringAdvantages(NamedTuple):
    """A batch of B strings, each of which is judged as a whole; from `weighted_strings`."""

    matrix: sparse.sparray  # (B, S·A): `counts.matrix` for products, `counts.mean_matrix` for means
    advantages: np.ndarray  # (B,) A
    weights: np.ndarray     # (B,) what a string counts


def string_loss(logits, old_logits, batch, gate):
    """The loss (ratios.3) of the ratios of strings, to be minimised, and its gradient in `logits`.

    Parameters are those of `gate_loss`, with a batch of `StringAdvantages`.

    Examples
    --------
    One string took action 0 twice.  Its ratio is 1.5 per step, and 1.5² = 2.25 as a product:

    >>> steps = counts.steps([0, 0], [0, 0], [0, 2], (1, 2))
    >>> for rows in counts.mean_matrix, counts.matrix:
    ...     batch = weighted_strings(steps, np.ones(1), np.ones(1), rows=rows)
    ...     loss, grad = string_loss(np.log([[0.75, 0.25]]), np.zeros((1, 2)), batch, unclipped)
    ...     print(round(loss, 4), grad.round(4))
    -3.0 [[-0.75  0.75]]
    -2.25 [[-1.125  1.125]]
    """
    logp, h = _moved(logits, old_logits, batch.matrix)
    ratio = _ratios(batch.matrix @ h.ravel())
    value, slope = gate(ratio, np.sign(batch.advantages))
    A = batch.weights * batch.advantages
    G = -(batch.matrix.T @ (A * slope * ratio)).reshape(logp.shape)  # (ratios.4)
    return -(A * value).sum(), _backward(logp, G)


def gmpo_loss(logits, old_logits, batch, *, epsilon=0.4):
    """GMPO (ratios.5), *geometric mean*: log-ratios of steps are clipped, and then averaged.

    Parameters are those of `string_loss`, with a batch of `counts.mean_matrix`.  `epsilon` bounds
    log ρ, in nats.  A clipped step is dead, and counts in the mean of its string.  Zhao et al.
    2025, arXiv:2507.20673.

    Examples
    --------
    The ratios are 1.5 and 0.5, and the first is held at e^0.2: (e^0.2 · 0.5)^½ = 0.7815.

    >>> both = counts.steps([0, 0], [0, 1], [0, 2], (1, 2))
    >>> batch = weighted_strings(both, np.ones(1), np.array([0.5]))
    >>> loss, grad = gmpo_loss(np.log([[0.75, 0.25]]), np.zeros((1, 2)), batch, epsilon=0.2)
    >>> print(round(loss, 4), grad.round(4))
    -0.7815 [[ 0.2931 -0.2931]]
    """
    checks.positive("epsilon", epsilon)
    logp, h = _moved(logits, old_logits, batch.matrix)
    loss, G, A = 0.0, 0.0, batch.weights * batch.advantages
    for part, held in ((np.maximum(A, 0), np.minimum(h, epsilon)),
                       (np.minimum(A, 0), np.maximum(h, -epsilon))):
        pushed = part * _ratios(batch.matrix @ held.ravel())
        loss = loss - pushed.sum()
        G = G - (batch.matrix.T @ pushed).reshape(h.shape) * (held == h)
    return loss, _backward(logp, G)


# The gates.  A gate takes ratios and the signs of their advantages, and returns its values and its
# slopes.  At ρ = 1 both are 1.


def unclipped(ratio, sign):
    """ρ itself: importance sampling, and nothing is held back.

    Examples
    --------
    >>> print(unclipped(np.array([0.5, 3.0]), 1))
    (array([0.5, 3. ]), array([1., 1.]))
    """
    return ratio, np.ones_like(ratio)


def clip(ratio, sign, *, epsilon=0.2, epsilon_high=None):
    """min(ρ, 1 + ε_high) where A > 0, and max(ρ, 1 − ε) where A < 0: PPO.

    By default ε_high is ε.  A larger one is the *clip-higher* of DAPO, so that rare actions may
    become likely.  Schulman et al. 2017, arXiv:1707.06347; Yu et al. 2025, arXiv:2503.14476.

    Examples
    --------
    >>> print(clip(np.array([0.5, 1.25]), 1, epsilon_high=0.28))
    (array([0.5 , 1.25]), array([1., 1.]))
    """
    checks.positive("epsilon", epsilon, finite=False)
    high = epsilon if epsilon_high is None else epsilon_high
    checks.positive("epsilon_high", high, finite=False)
    held = np.where(sign > 0, np.minimum(ratio, 1 + high), np.maximum(ratio, 1 - epsilon))
    return held, (held == ratio) * 1.0


def dual_clip(ratio, sign, *, epsilon=0.2, epsilon_high=None, delta=3.0):
    """That of `clip`, and at most δ > 1 where A < 0: a bad action that became likely is let go.

    `clip` pulls it back with a force that grows with ρ.  Ye et al. 2020, arXiv:1912.09729.

    Examples
    --------
    >>> print(dual_clip(np.array([0.5, 2.0, 4.0]), -1))
    (array([0.8, 2. , 3. ]), array([0., 1., 0.]))
    """
    if not delta > 1:
        raise ValueError(f"delta must be above 1, got {delta}")
    value, slope = clip(ratio, sign, epsilon=epsilon, epsilon_high=epsilon_high)
    held = np.where(sign > 0, value, np.minimum(value, delta))
    return held, slope * (held == value)


def cispo(ratio, sign, *, low=0.0, high=5.0):
    """A weight within [low, high], and nobody is silenced: the slope is clip(ρ, low, high)/ρ.

    *Clipped importance sampling* takes −c A log π of a step, c = clip(ρ, low, high), held fixed.
    The gate with that gradient is c (1 + log(ρ/c)): ρ itself within, and a logarithm beyond.  In
    TRL `high` is called epsilon_high, and is 1 + clip_ratio_high in verl.  MiniMax 2025,
    arXiv:2506.13585.

    Examples
    --------
    >>> value, slope = cispo(np.array([0.5, 2.0, 8.0]), 1, high=4.0)
    >>> print(value.round(4), slope)
    [0.5    2.     6.7726] [1.  1.  0.5]
    """
    checks.not_negative("low", low)
    if not low <= 1 <= high:
        raise ValueError(f"low and high must lie on both sides of 1, got {low} and {high}")
    held = np.minimum(np.maximum(ratio, low), high)
    return held * (1 + np.log(ratio / held)), held / ratio


def sapo(ratio, sign, *, temperature_pos=1.0, temperature_neg=1.05):
    """*Soft adaptive*: the slope is 4 σ(x) σ(−x), x = τ (ρ − 1); τ depends on the sign of A.

    The paper prints 4σ(x)/τ, which has this slope but is 2/τ at ρ = 1.  A constant makes it 1 here,
    and 4σ(x) − 2 is 2 tanh(x/2).  A higher τ for A < 0 lets go of bad actions sooner.  Gao et al.
    2025, arXiv:2511.20347.

    Examples
    --------
    >>> value, slope = sapo(np.array([0.0, 1.0, 3.0]), 1)
    >>> print(value.round(4), slope.round(4))
    [0.0758 1.     2.5232] [0.7864 1.     0.42  ]
    """
    checks.positive("temperature_pos", temperature_pos)
    checks.positive("temperature_neg", temperature_neg)
    tau = np.where(sign > 0, temperature_pos, temperature_neg)
    soft = np.tanh(tau * (ratio - 1) / 2)
    return 1 + 2 / tau * soft, 1 - soft**2


def vespo(ratio, sign, *, k_pos=2.0, lambda_pos=3.0, k_neg=3.0, lambda_neg=2.0):
    """*Variational, soft*: the weight is ρ^k e^(λ(1 − ρ)), held fixed; k and λ depend on A's sign.

    It is meant for the products of strings, and fades to both sides of ρ = k/λ.  Divided by ρ it is
    the density of a gamma law but for a factor, so the gate is 1 + Γ(k) e^λ/λ^k [P(k, λρ) − P(k,
    λ)], with the incomplete gamma function P.  Shen et al. 2026, arXiv:2602.10693.

    Examples
    --------
    >>> value, slope = vespo(np.array([0.5, 1.0, 3.0]), 1)
    >>> print(value.round(4), slope.round(4))
    [0.1995 1.     1.4417] [2.2408 1.     0.0074]
    """
    for name, number in (("k_pos", k_pos), ("lambda_pos", lambda_pos), ("k_neg", k_neg),
                         ("lambda_neg", lambda_neg)):
        checks.positive(name, number)
    k, rate = np.where(sign > 0, k_pos, k_neg), np.where(sign > 0, lambda_pos, lambda_neg)
    scale = np.exp(special.gammaln(k) + rate - k * np.log(rate))
    value = 1 + scale * (_gamma_law(k, rate * ratio) - special.gammainc(k, rate))
    return value, np.exp((k - 1) * np.log(ratio) + rate * (1 - ratio))


# What `grpo` takes as its `surrogate`.


def on_steps(gate):
    """The `surrogate` of `grpo.grpo` that is the `gate_loss` of this gate.

    Examples
    --------
    >>> steps = counts.steps([0], [0], [0, 1], (1, 2))
    >>> loss = on_steps(sapo)(steps, np.ones(1), np.ones(1))
    >>> print(loss(np.zeros((1, 2)), np.zeros((1, 2)))[1])
    [[-0.5  0.5]]
    """
    return lambda *batch: partial(gate_loss, batch=weighted(*batch), gate=gate)


def on_strings(gate, *, rows=counts.mean_matrix):
    """The `surrogate` of `grpo.grpo` that is the `string_loss` of this gate: GSPO, LUSPO, VESPO.

    GSPO (*group sequence*): Zheng et al. 2025, arXiv:2507.18071.  LUSPO (*length-unbiased
    sequence*): Liu et al. 2026, arXiv:2602.05261.  A string has one advantage here, not one per
    step.  For a loss of another kind write it out, as in `lambda *batch: partial(gmpo_loss,
    batch=weighted_strings(*batch))`.

    Examples
    --------
    >>> steps = counts.steps([0, 0], [0, 0], [0, 2], (1, 2))
    >>> loss = on_strings(vespo, rows=counts.matrix)(steps, np.ones(1), np.ones(1))
    >>> print(loss(np.zeros((1, 2)), np.zeros((1, 2)))[1])
    [[-1.  1.]]
    """
    return lambda *batch: partial(string_loss, batch=weighted_strings(*batch, rows=rows), gate=gate)


def weighted_strings(steps, advantages, weights, *, rows=counts.mean_matrix) -> StringAdvantages:
    """`StringAdvantages` in which each *step* counts with its weight at ρ = 1, as in `weighted`.

    Parameters
    ----------
    steps : counts.Steps
        B strings, none of them empty.
    advantages, weights : (B,) float
        A and w of each string, from `groups`.
    rows : callable
        `counts.mean_matrix`, which makes ρ the geometric mean of the ratios of a string's steps, or
        `counts.matrix`, which makes it their product.

    Examples
    --------
    The geometric mean divides by |y|, so a string of two steps must count twice:

    >>> steps = counts.steps([0, 0], [0, 0], [0, 2], (1, 2))
    >>> print(weighted_strings(steps, np.ones(1), np.array([0.25])).weights)
    [0.5]
    """
    lengths = np.diff(steps.starts)
    checks.positive("the number of strings", lengths.size)
    advantages = checks.array("advantages", advantages, lengths.shape)
    weights = checks.weights("weights", weights, lengths.shape)
    matrix = rows(steps)
    if not lengths.all():
        raise ValueError(f"steps must have a step in every string, got none in {lengths.argmin()}")
    return StringAdvantages(matrix, advantages, weights * lengths / matrix.sum(axis=1))


def _moved(logits, old_logits, matrix=None):
    """log π, and h = log ρ, which is 0 where π_old never goes, and finite: (S, A) each."""
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    checks.shape("old_logits", old_logp, logp.shape)
    if matrix is not None and matrix.shape[1] != logp.size:
        raise ValueError(f"the matrix of the batch must have {logp.size} columns, "
                         f"got {matrix.shape[1]}")
    return logp, np.maximum(difference(logp, old_logp, np.not_equal(old_logp, -np.inf)), NEVER)


def _ratios(h):
    return np.exp(np.minimum(np.maximum(h, -REACH), REACH))


def _backward(logp, G):
    """What π never does has no gradient."""
    return backward(logp, np.where(logp == -np.inf, 0, G))


def _gamma_law(k, x):
    """P(k, x), and for the complex steps of the tests, which are tiny, its first-order term."""
    x, step = np.real(x), np.imag(x)
    law = special.gammainc(k, x)
    return law + 1j * step * x**(k - 1) * np.exp(-x) / special.gamma(k) if step.any() else law
