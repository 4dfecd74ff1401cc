"""One gradient for all methods: what does each of them say of a step?

*Part 4.  Previous: `distillation`.  Next: `contrastive`.*

Imitation, PPO, GRPO, DPO: each makes some steps likelier and others rarer.  This chapter writes all
as one sum, so that two methods differ by a number per step.  Each of them goes in the direction

    g = Σ_y w(y) Σ_t c(y, t) ∇log π(a_t|s_t)                                             (unified.1)

over strings y and their steps t.  The weight w(y) makes it a mean.  The *coefficient* c(y, t) is
what the method says of the step: to be likelier if c > 0, rarer if c < 0, and by how much.

**In numbers.**  A prompt is one state.  It has three answers, 0, 1 and 2, of one step each.  Two
were written: answer 0 earned 1, and answer 1 earned 0.  Let β = 1, ε = 0.2 and the policies be

    π      0.5   0.25  0.25    learns now               ∇log π(0) =   ½  −¼  −¼
    π_old  0.5   0.2   0.3     wrote the two answers    ∇log π(1) =  −½   ¾  −¼
    π_ref  0.25  0.25  0.5     is the reference         by (softmax.2)

SFT is shown answer 0 alone.  REINFORCE subtracts the baseline ½ from the rewards.  (It needs what π
wrote; pretend that these are.)  PPO has the advantages ±½ too, and ρ = 1 and 0.25/0.2 = 1.25.
Neither gradient is dead: answer 1 was bad, and has become likelier.  The group of GRPO has the mean
½ and the std ½, so A = ±1 (without the 10⁻⁴), and k3 adds β (π_ref/π − 1), which is −½ for answer 0
and 0 for answer 1.  In DPO answer 0 was preferred.  It has h = log 2 and the other one h = 0, so
the margin is log 2, and σ(−log 2) = 1/(1 + 2).

>>> from minirl.people.pairs import Pairs
>>> pi, old, ref = np.log([[[.5, .25, .25]], [[.5, .2, .3]], [[.25, .25, .5]]])
>>> two = counts.steps([0, 0], [0, 1], [0, 1, 2], (1, 3))
>>> pair = Pairs(*(counts.select(two, np.array([i])) for i in (0, 1)))
>>> A, half = [1, -1], [0.5, 0.5]
>>> said = {"sft": ([1, 1], [1, 0]), "reinforce": ([0.5, -0.5], half),
...         "ppo": (ppo_coefficients(pi, old, two, [0.5, -0.5]), half),
...         "grpo": (grpo_coefficients(pi, old, two, A, ref_logits=ref, beta=1.0), half),
...         "dpo": (np.concatenate(dpo_coefficients(pi, ref, pair, beta=1.0)), [1, 1])}
>>> for name, (c, w) in said.items():
...     print(f"{name:9}  c {np.round(c, 3)}  w {w}  g {gradient(pi, two, c, w)[0].round(2)}")
sft        c [1 1]  w [1, 0]  g [ 0.5  -0.25 -0.25]
reinforce  c [ 0.5 -0.5]  w [0.5, 0.5]  g [ 0.25 -0.25  0.  ]
ppo        c [ 0.5   -0.625]  w [0.5, 0.5]  g [ 0.28 -0.3   0.02]
grpo       c [ 0.5  -1.25]  w [0.5, 0.5]  g [ 0.44 -0.53  0.09]
dpo        c [ 0.333 -0.333]  w [1, 1]  g [ 0.33 -0.33  0.  ]

**Nobody wrote answer 2, and it moves.**  (unified.1) is the backward pass (softmax.3) of the table

    G[s, a] = −Σ_{y,t: (s,a)} w(y) c(y, t),   g = −∂L/∂θ.                                (unified.6)

An action that was never taken has G = 0.  Its logit moves by −π(b|s) times the sum of all w c in s:
here for PPO by −¼ · ½ · (0.5 − 0.625) = 0.016.  Where more is said against than for, the logits of
all that was not written rise; where the two cancel, as in DPO on one row, they stay.  Yet its
probability may fall, if a likelier action of the row rises more: by (softmax.2) log π(2) changes by
g_2 − Σ_b π(b) g_b, which is 0.016 − 0.070 = −0.055 for PPO and 0 − 0.083 for DPO.

**Where coefficients come from.**  Differentiate the loss of a string in log π of a step.  That is
−1 for −log π.  For −ρ A it is −ρ A, since ρ = exp(log π − log π_old).  For −log σ(m) it is −σ(−m)
times ∂m/∂log π, which is ±β for m = β (h⁺ − h⁻).  With u = log π_ref − log π, k3 = e^u − u − 1 has
1 − e^u.  The log-odds have the slope 1/(1 − π̄) in log π̄.  Change the sign, and this is c; the
divisor and the weights of the loss go into w:

    method              strings of             judged by             coefficient c
    sft                 the demonstrations     nobody                1
    rejection sampling  the reference          a rule, or best of n  1 if kept, else 0
    the same, online    the policy             likewise              likewise
    dpo                 pairs, the reference   a comparison          ±β σ(−m), + if chosen
    ipo                 pairs, the reference   a comparison          ±2 (1/(2τ) − (h⁺ − h⁻))
    simpo               pairs, anybody         a comparison          ±β σ(lead − m), w = 1/(B·|y|)
    kto                 the reference          a thumb               ±β σ(m)σ(−m), + if liked
    orpo                pairs, anybody         a comparison          (unified.2)
    reinforce           the policy             a reward, a baseline  R − baseline
    ppo, rlhf           the policy before      a reward, a critic    ρ A, and 0 where dead
    rloo                the policy before      a reward, the others  ρ A, and 0 where dead
    grpo                the policy before      a reward, the group   (unified.3)

A gradient is dead where PPO clips it (ppo.3).  Any φ of `margins` has −φ₊ and −φ₋, and any gate of
`ratios` ρ A times its slope.  Two coefficients, both with w = 1/(B·|y|), are left:

    ±λ σ(−m)/(1 − π̄), + if chosen, and then 1 more,                                     (unified.2)
    ρ A, and 0 where dead;  plus β (π_ref/π − 1).                                        (unified.3)

An entropy bonus and the KL of `ppo_kl` look at all actions of a row: parts of G, no coefficients.

**When is the policy gradient supervised learning?**  When a string passes or fails, R = 1 or 0:

    ∇E[R] = Σ_{y passes} ∇π(y) = Pr(pass) E[∇log π(y) | y passes],                       (unified.4)

since ∇π = π ∇log π.  Pr(pass) is the chance to pass, and π(y)/Pr(pass) that of y given that it
passes.  So the gradient is Pr(pass) times a step of imitation of one's own strings that passed.
Only later steps differ.  Imitation goes on with the same strings, and ends at the law of π_ref
*given* that a string passes, or as near as the policy can come.  The policy gradient writes new
ones after each step, and ends where all pass, if it can.  A baseline makes c negative for failures,
as no demonstration can.  It adds the same number to all c, and leaves the mean of g alone:

    E[∇log π(y)] = Σ_y π(y) ∇log π(y) = ∇Σ_y π(y) = ∇1 = 0.                              (unified.5)

For the same reason a policy learns nothing on average if it imitates *all* of its own strings.  All
this needs the policy's own strings, or ratios ρ: only then is the mean of g the gradient of E[R].

**How far apart are they?**  `python -m minirl objectives` compares g with ∇J for a language of 31
strings, at logits halfway from the reference to the best bigram.  The cosine between them is 1 for
PPO with the KL in the reward, 0.980 for imitation of the optimum, 0.974 for DPO, 0.888 for the best
of 4 from the reference, 0.657 for the same online, and 0.615 for GRPO with k3 in the loss.

**Exercises.**  `from minirl.people.unified import *`
1. Of answer 0 a method says −1, and no more.  Which logit gains most, and which log π rise?
       pi, one = np.array([[0.3, 0.6, 0.1]]), counts.steps([0], [0], [0, 1], (1, 3))
       g = gradient(np.log(pi), one, [-1], [1])
       g, (g - (pi * g).sum()).round(2)
2. A bad answer is half as likely as when it was written, and the reference would write it as often
   as before.  What does PPO say of it, and what GRPO?
       one, old, new = counts.steps([0], [0], [0, 1], (1, 2)), [[0., 0.]], np.log([[0.25, 0.75]])
       ppo_coefficients(new, old, one, [-1]).round(3)
       grpo_coefficients(new, old, one, [-1], ref_logits=old, beta=0.5).round(3)
3. Each answer is written as often as π says; answer 0 earns 1 and the others 0.  Now subtract 100
   from all rewards, so that every coefficient is negative.  What changes?
       pi, every = np.array([0.5, 0.25, 0.25]), counts.steps([0] * 3, [0, 1, 2], range(4), (1, 3))
       gradient(np.log([pi]), every, [1, 0, 0], pi).round(4)
       gradient(np.log([pi]), every, [-99, -100, -100], pi).round(4)

Read next: `contrastive`, with which Part 5 begins; and `compared`, all methods side by side.
Source: Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, section 5.2 and appendix A.
"""

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.softmax import backward, log_ratios, log_sigmoid, log_softmax
from minirl.people.pairs import check_pairs, check_possible
from minirl.play.surrogate import clipped, step_ratios


def gradient(logits, steps, coefficients, weights):
    """(unified.1) in the logits (S, A), the direction in which to go.

    For N `steps` of B strings: c is one of `coefficients` (N,) per step, and w one of `weights`
    (B,) per string.  The result is minus the gradient of the loss that the method minimises.  A
    step that the policy never takes has no part in it.

    Examples
    --------
    Imitation of one demonstration; `sft_loss` has minus this gradient:

    >>> one = counts.steps(np.array([0, 0]), np.array([1, 0]), np.array([0, 2]), (1, 2))
    >>> print(gradient(np.log([[0.75, 0.25]]), one, np.ones(2), np.array([0.5])))
    [[-0.25  0.25]]
    """
    logp = log_softmax(logits)
    checks.shape("logits", logp, steps.shape)
    coefficients = checks.array("coefficients", coefficients, steps.index.shape)
    weights = checks.array("weights", weights, (steps.starts.size - 1,))
    each = np.repeat(weights, np.diff(steps.starts))
    G = np.where(logp == -np.inf, 0, counts.table(steps, each * coefficients))
    return backward(logp, G)


def dpo_coefficients(logits, ref_logits, pairs, *, beta):
    """±β σ(−m): (N⁺,) for the steps of chosen strings, and (N⁻,) for those of rejected ones.

    In units of reward; with weights of 1/B.

    Examples
    --------
    >>> from minirl.people.pairs import Pairs
    >>> good = counts.steps(np.array([0]), np.array([1]), np.array([0, 1]), (1, 2))
    >>> bad = counts.steps(np.array([0, 0]), np.array([0, 0]), np.array([0, 2]), (1, 2))
    >>> dpo_coefficients(np.zeros((1, 2)), np.zeros((1, 2)), Pairs(good, bad), beta=0.5)
    (array([0.25]), array([-0.25, -0.25]))
    """
    checks.positive("beta", beta)
    logp, ratio = log_ratios(logits, ref_logits)
    check_pairs(pairs, logp)
    check_possible("pairs", pairs.counts, logp)
    m = beta * (pairs.counts @ ratio.ravel())
    push = beta * np.exp(log_sigmoid(-m))
    return (np.repeat(push, np.diff(pairs.chosen.starts)),
            -np.repeat(push, np.diff(pairs.rejected.starts)))


def ppo_coefficients(logits, old_logits, steps, advantages, *, clip_range=0.2):
    """ρ A, and 0 where the gradient is dead: (N,) for N `steps` and their `advantages` (N,).

    `old_logits` are of the policy that wrote the strings.  In units of the advantages; with weights
    of 1/N.

    Examples
    --------
    >>> two = counts.steps(np.zeros(2, int), np.zeros(2, int), np.array([0, 2]), (1, 2))
    >>> old, new = np.log([[0.5, 0.5]]), np.log([[0.75, 0.25]])
    >>> print(ppo_coefficients(new, old, two, np.array([1., -1.])))
    [ 0.  -1.5]
    """
    advantages = checks.array("advantages", advantages, steps.index.shape)
    ratio = step_ratios(logits, old_logits, steps)
    dead = clipped(ratio, advantages, clip_range=clip_range)
    return np.where(dead, 0, ratio * advantages)


def grpo_coefficients(logits, old_logits, steps, advantages, *, ref_logits, beta, epsilon=0.2):
    """(unified.3) of each step, (N,): `ppo_coefficients`, clipped at `epsilon`, and `beta` k3.

    The advantages are those of the string; the weights are those of `groups.per_string`.

    Examples
    --------
    Nothing to choose in the group, and an action that the reference would take more often:

    >>> one = counts.steps(np.array([0]), np.array([0]), np.array([0, 1]), (1, 2))
    >>> print(grpo_coefficients(np.log([[0.5, 0.5]]), np.log([[0.5, 0.5]]), one, np.zeros(1),
    ...                         ref_logits=np.log([[0.75, 0.25]]), beta=0.5))
    [0.25]
    """
    checks.not_negative("beta", beta)
    checks.positive("epsilon", epsilon)
    reward = ppo_coefficients(logits, old_logits, steps, advantages, clip_range=epsilon)
    logp, ratio = log_ratios(logits, ref_logits)
    checks.shape("logits", logp, steps.shape)
    u = -ratio.ravel()[steps.index]
    return reward + beta * np.expm1(np.minimum(u, 700))
