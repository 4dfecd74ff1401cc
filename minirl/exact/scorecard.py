"""The scorecard: how good is this policy, measured by the best one?

A learner hands over a policy, and the question is always the same.  What does it earn, and how much
better could it be?  Both have exact answers.  A *referee* computes the optimum once and then turns
any policy into a `Score`.

The objective J alone says little.  Is 0.5 much on the slippery lake?  Only the optimum J* says so.
A world that pays for itself, as a grid does, is scored by

    gap = J* − J,   share = 1 − (J* − J)/|J*|.                                      (scorecard.1)

Where J* is positive the share is J/J*.  The form above also holds where the best policy loses: on
the cliff every step costs 1, the best way takes 13 steps, and one of 26 steps has the share
1 − 13/13 = 0.

A language model that leaves a reference π_ref pays β per nat, and J is J_β of (regularised.1).  The
reference itself already has some J without having learned anything.  So one counts from there,

    gap = J* − J,   share = (J − J(π_ref)) / (J* − J(π_ref)).                       (scorecard.2)

The reference has the share 0 and the optimum 1.  A policy that is worse than the reference has a
share below 0.  Shares of the two kinds are different things, so a table says which one it shows.

*A worked example.*  In the coin game with γ = 0.9 the best policy always shows head and is worth
J* = 1/(1 − 0.9) = 10.  A fair coin has V = ½ (1 + 0.9 V), so J = ½/0.55 = 0.909, a gap of 9.091 and
a share of 1 − 9.091/10 = 0.091.  Its episodes are 2 steps long.

Read first: `planning` and `regularised`.  Read next: `returns`, where learning begins.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirl.exact.evaluation import NoEnd, evaluate, expectation, from_start, occupancy
from minirl.exact.planning import policy_iteration
from minirl.exact.regularised import regularised_optimum
from minirl.kernel.softmax import log_softmax


class Score(NamedTuple):
    """How good a policy is, exactly.  All are None where at gamma 1 its episodes do not end."""

    reward: float     # E[Σ γᵗ r] of an episode
    kl: float         # to the reference, nats per episode; None where there is none
    objective: float  # J: the reward, less β times the KL
    share: float      # of the optimum; None also where there is nothing to divide by
    gap: float        # J* − J
    length: float     # steps per episode, whatever γ is; None where some do not end


ENDLESS = Score(*6 * [None])


def referee(mdp):
    """A function from a policy (S, A) of probabilities to its `Score`, by (scorecard.1).

    Raises ValueError where `planning.policy_iteration` does: the world has no optimum.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> score = referee(coin_game(gamma=0.9))(np.array([[0.5, 0.5]]))
    >>> print(round(score.objective, 3), round(score.share, 3), round(score.length, 3))
    0.909 0.091 2.0
    """
    best = policy_iteration(mdp).objective

    def judge(policy):
        try:
            J = objective(mdp, policy)
        except NoEnd:
            return ENDLESS
        share = 1 - (best - J) / abs(best) if best != 0 else None
        return Score(J, None, J, share, best - J, _length(mdp, policy))

    return judge


def referee_near(mdp, ref_logits, *, beta):
    """The same by (scorecard.2), where a policy pays `beta` per nat of KL to a reference.

    Raises ValueError where `regularised.regularised_optimum` does.  The KL is discounted as the
    reward is.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> judge = referee_near(coin_game(), np.zeros((1, 2)), beta=2.0)
    >>> print(round(judge(np.array([[0.75, 0.25]])).share, 4))
    0.8729
    """
    ref_logp = log_softmax(ref_logits)
    best = regularised_optimum(mdp, ref_logits, beta=beta).objective

    def measured(policy):
        logp = np.log(np.where(policy > 0, policy, 1))  # 0 log 0 = 0
        reward, kl = expectation(mdp, policy, np.array([mdp.mean_reward, logp - ref_logp]))
        return float(reward), float(kl), float(reward - beta * kl)

    *_, low = measured(np.exp(ref_logp))
    room = best - low  # a difference of numbers that are good to 1e-16 β

    def judge(policy):
        try:
            reward, kl, J = measured(policy)
        except NoEnd:
            return ENDLESS
        share = (J - low) / room if room > 1e-10 * (1 + beta) else None
        return Score(reward, kl, J, share, best - J, _length(mdp, policy))

    return judge


def objective(mdp, policy):
    """J of (evaluation.2): what a policy (S, A) of probabilities is worth from the start.

    States that no episode reaches may have no value at gamma 1, and do not count.  Raises
    `evaluation.NoEnd` where the policy does not end.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> round(objective(coin_game(), np.array([[0.75, 0.25]])), 6)
    3.0
    """
    return float(from_start(mdp, evaluate(mdp, policy)))


def _length(mdp, policy):
    """Steps per episode, or None where some do not end."""
    try:
        return float(occupancy(replace(mdp, gamma=1.0), policy).sum())
    except NoEnd:
        return None
