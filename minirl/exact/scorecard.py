"""The scorecard: how good is this policy, measured by the best one?

A learner hands over a policy, and the question is always the same.  What does it earn, and how much
better could it be?  Both have exact answers.  A *referee* computes the optimum once and then turns
any policy into a `Score`.

The objective J alone says little.  Is 0.5 much on the slippery lake?  Only the optimum J* says so.
A world that pays for itself, as a grid does, is scored by

    gap = J* − J,   share = 1 − (J* − J)/|J*|.                                      (scorecard.1)

Where J* is positive the share is J/J*.  The form above also holds where the best policy loses: on
the cliff every step costs 1, the best way takes 13 steps, and one of 26 steps has the share
1 − 13/13 = 0.  A longer one has a share below 0.

A language model that leaves a reference π_ref pays β per nat, and J is J_β of (regularised.1).  The
reference itself already has some J without having learned anything.  So one counts from there,

    gap = J* − J,   share = (J − J(π_ref)) / (J* − J(π_ref)).                       (scorecard.2)

The reference has the share 0 and the optimum 1, and a policy that is worse than the reference has a
share below 0.  Shares of the two kinds are different things, so a table says which one it shows.

*Two worked examples.*  The coin game has one state: head pays 1 and goes on, tail pays 0 and ends.
With γ = 0.9 the best policy always shows head and is worth J* = 1/(1 − 0.9) = 10.  A fair coin has
V = ½ (1 + 0.9 V), so J = ½/0.55 = 0.909, a gap of 9.091 and a share of 1 − 9.091/10 = 0.091.  Its
episodes are 2 steps long.

Now let γ = 1 and β = 2, and let the fair coin be the reference.  It earns one head per episode and
pays nothing: J(π_ref) = 1.  By (regularised.4) Z = ½ e^½ Z + ½ = 2.847, and J* = 2 log Z = 2.092.
A coin with head ¾ is thrown 4 times per episode and earns 3.  Each throw is ¾ log 3/2 + ¼ log ½ =
0.1308 nats away, so J = 3 − 2·4·0.1308 = 1.954, and the share is 0.954/1.092 = 0.873.

Read first: `planning` and `regularised`.  Read next: `returns`, where learning begins.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirl.exact.evaluation import NoEnd, evaluate, expectation, from_start, occupancy
from minirl.exact.planning import policy_iteration
from minirl.exact.regularised import regularised_optimum
from minirl.kernel.softmax import difference, log_softmax


class Score(NamedTuple):
    """How good a policy is, exactly.  All are None where at gamma 1 its episodes do not end."""

    reward: float     # E[Σ γᵗ r] of an episode
    kl: float         # to the reference, in nats, discounted as the reward is; None without one
    objective: float  # J: the reward, less β times the KL
    share: float      # of the optimum; None also where there is nothing to divide by
    gap: float        # J* − J
    length: float     # steps per episode, whatever γ is; None where some do not end


ENDLESS = Score(*6 * [None])


def referee(mdp, optimum=None):
    """A function from a policy (S, A) of probabilities to its `Score`, by (scorecard.1).

    `optimum` is that of `planning`, where it is known already.  Raises ValueError where
    `planning.policy_iteration` does: the world has no optimum.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> score = referee(coin_game(gamma=0.9))(np.array([[0.5, 0.5]]))
    >>> print(round(score.objective, 3), round(score.share, 3), round(score.length, 3))
    0.909 0.091 2.0
    """
    best = objective(mdp, (optimum or policy_iteration(mdp)).policy)

    def judge(policy):
        policy = _table(policy)
        try:
            J = objective(mdp, policy)
        except NoEnd:
            return ENDLESS
        return Score(J, None, J, share_of_optimum(J, best), best - J, _length(mdp, policy))

    return judge


def share_of_optimum(J, best):
    """The share of (scorecard.1) that J is of the optimum `best`, or None if that is 0.

    Examples
    --------
    >>> share_of_optimum(-26.0, -13.0)
    0.0
    """
    return 1 - (best - J) / abs(best) if best != 0 else None


def referee_near(mdp, ref_logits, *, beta):
    """The same by (scorecard.2), where a policy pays `beta` per nat of KL to a reference.

    Raises ValueError where `regularised.regularised_optimum` does.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> judge = referee_near(coin_game(), np.zeros((1, 2)), beta=2.0)
    >>> print(round(judge(np.array([[0.75, 0.25]])).share, 4))
    0.8729
    """
    ref_logp = log_softmax(ref_logits, "ref_logits")
    ref = np.exp(ref_logp)
    best = regularised_optimum(mdp, ref_logits, beta=beta).objective

    def measured(policy):
        # 0 log 0 = 0; and where π is π_ref, so is log π to the last bit, and the KL exactly 0.
        logp = np.where(policy == ref, ref_logp, np.log(np.where(policy > 0, policy, 1)))
        outside = (policy > 0) & (ref_logp == -np.inf)
        ratio = difference(logp, ref_logp, (policy > 0) & ~outside)
        reward, kl, beyond = expectation(mdp, policy, np.array([mdp.mean_reward, ratio, outside]))
        kl = np.inf if beyond > 0 else kl  # what the reference never does is infinitely far away
        return float(reward), float(kl), float(reward - beta * kl)

    *_, low = measured(ref)
    # Both are good to about 1e-16 (1 + β).  Where they differ by less than a million times that,
    # the reference counts as the best policy, and there is nothing to have a share of.
    room = best - low

    def judge(policy):
        policy = _table(policy)
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
    return float(from_start(mdp, evaluate(mdp, _table(policy))))


def _table(policy):
    """A policy as an array, also if it came as a list of lists."""
    try:
        return np.asarray(policy).astype(float, casting="same_kind", copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"policy must be a table of numbers, got {policy!r}") from error


def _length(mdp, policy):
    """Steps per episode, or None where some do not end."""
    try:
        return float(occupancy(replace(mdp, gamma=1.0), policy).sum())
    except NoEnd:
        return None
