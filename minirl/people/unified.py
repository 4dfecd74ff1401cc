"""The view from above: one gradient, and what each method puts into it.

*Part 4.  Previous: `orpo`.*

Every method that moves a policy along log-probabilities, from imitation to GRPO, follows

    g = Σ_y w(y) Σ_t c(y, t) ∇log π(a_t|s_t).                                            (unified.1)

They differ in three things: where the strings y come from, who judges them, and the *coefficient* c
that the judgement becomes.  The weight w(y) makes the sum a mean over strings; where a paper
divides by the length of the string, or weighs it as KTO does, w does.  (The table is that of
DeepSeekMath, with more rows; it divides the sums of DPO by the lengths too.)

    method              strings of             judged by             coefficient c
    sft                 the demonstrations     nobody                1
    rejection sampling  the reference          a rule, or best of n  1 if kept, else 0
    the same, online    the policy             likewise              likewise
    dpo                 pairs, the reference   a comparison          ±β σ(−m), + if chosen
    ipo                 pairs, the reference   a comparison          ±2 (1/(2τ) − (h⁺ − h⁻))
    simpo               pairs, anybody         a comparison          ±β σ(lead − m), w = 1/(B·|y|)
    kto                 the reference          a thumb               ±β σ(m)σ(−m), + if liked
    orpo                pairs, anybody         a comparison          (unified.2)
    reinforce, rloo     the policy             a reward, a baseline  R − baseline
    ppo, rlhf           the policy before      a reward, a critic    ρ A, and 0 where clipped
    grpo                the policy before      a reward, the group   (unified.3)

where two coefficients need more room, both with w = 1/(B·|y|):

    ±λ σ(−m)/(1 − π̄), + if chosen, and then 1 more,                                     (unified.2)
    ρ A, and 0 where clipped;  plus β (π_ref/π − 1).                                     (unified.3)

So the second part of GRPO's is a reward that pays for the letters the policy has made less likely,
judged one by one.  A coefficient is the only thing that a method can say about a string.  Imitation
says 1 to everything, and nothing about what to avoid.  Rejection sampling says 0 to the rest.  DPO
says no as loudly as yes, but to pairs that somebody else has written, and falls silent where it is
right; IPO calls back what has gone too far.  Only with strings of the policy itself is the sum a
gradient of what the policy earns.

*When is the policy gradient just supervised learning?*  When all that is judged good is equally
good, and all the rest is worth nothing.  Let the reward be 1 for strings that pass and 0 for
others.  Then

    ∇E[R] = Pr(pass) E[∇log π(y) | y passes],                                            (unified.4)

which is Pr(pass) times the step of supervised learning on those of one's own strings that passed,
once for the strings just written.  What remains of the difference is time.  Supervised learning
goes on with the same strings until it imitates them: it ends at the law of the reference *given*
that the string passes, or as near to it as a policy of its kind can come.  The policy gradient
writes new ones after each step, and ends where everything passes, if it can.  A baseline makes c
negative for failures, which no demonstration can say.  It leaves the mean of g alone if it does not
look at the string itself, since

    E[∇log π(y)] = 0.                                                                    (unified.5)

To imitate oneself teaches nothing.

*Two KLs.*  PPO's and RLHF's look alike, and are two things.  KL(π_old‖π) is a bound on the step: at
the start of each batch π is π_old, its gradient is zero, and so the price β of `ppo_kl` changes the
path, and not where the expected update is zero.  KL(π‖π_ref) is part of the aim: its gradient is
zero at the reference only, and where it is put decides where one ends (`grpo`).

`python -m minirl objectives` computes all this for a language of 31 strings: the coefficients, what
they have to do with the gradient of J, and where each method of the book comes to rest.

Read first: `grpo`, `orpo`.
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
    """ρ A, and 0 where it is clipped: (N,) for N `steps` and their `advantages` (N,).

    `old_logits` are of the policy that wrote the strings.  In units of the advantages; with weights
    of 1/N.

    Examples
    --------
    >>> two = counts.steps(np.zeros(2, int), np.zeros(2, int), np.array([0, 2]), (1, 2))
    >>> old, new = np.log([[0.5, 0.5]]), np.log([[0.75, 0.25]])
    >>> print(ppo_coefficients(new, old, two, np.array([1., -1.])))
    [ 0.  -1.5]
    """
    ratio = step_ratios(logits, old_logits, steps)
    dead = clipped(ratio, advantages, clip_range=clip_range)
    return np.where(dead, 0, ratio * np.asarray(advantages))


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
