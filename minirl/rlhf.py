"""RLHF: maximise a reward without leaving the reference, by PPO.

InstructGPT's third step.  The first (`sft`) made a policy that speaks, the second (`reward_model`)
a reward from human preferences.  Now the policy should earn reward, but it must not wander off to
strings that the reward model has never seen and happens to overrate.  So every step pays for
leaving the reference,

    r̃_t = r_t − β [log π_old(a_t|s_t) − log π_ref(a_t|s_t)],                               (rlhf.1)

where π_old is the policy that played the episode.  The sum of the second terms over an episode is
the log-ratio of the whole string, and its mean is the KL, so

    E[Σ_t r̃_t] = E[r] − β KL(π‖π_ref) = J_β(π),                                            (rlhf.2)

the objective (regularised.1), whose optimum is known exactly.  Its gradient is that of REINFORCE
with the reward r̃ *held fixed*, although r̃ contains the policy: differentiating the log-ratio
itself would add E[∇ log π] = 0.

That is all.  Everything else is PPO, which need not know that it is aligning a language model.  The
reward is a table w over pairs, the true one or a learned one, and is paid in one of two ways: pair
by pair (`pair_rewards`), or, as InstructGPT does with a reward model that reads whole strings, in
one sum on the last step (`string_rewards`).  The two have the same optimum, since the sums are
equal.  They are not equally easy.  A value table that sees only the last letter cannot know what
the string has earned so far, so with λ = 0.95 its advantages are biased: on the running example PPO
then stops near 97 % of the way to the optimum, with λ = 1 near 99 %, and pair by pair it reaches
99.9 %.

Two policies, two divergences: π_old changes with every batch and belongs to PPO's clipping, π_ref
never changes and belongs to the reward.  Notes and at least five libraries have confused them.

Read first: `regularised`, `ppo`, `reward_model`.  Compare: `dpo`.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, eq. 2; Ziegler et al. 2019,
arXiv:1909.08593.
"""

import numpy as np

from minirl.softmax import log_softmax


def _check(weights, ref_logits, beta):
    if not 0 < beta < np.inf:
        raise ValueError(f"beta must be positive and finite, got {beta}")
    if weights.shape != ref_logits.shape or not np.isfinite(weights).all():
        raise ValueError(f"weights must be finite and have the shape of ref_logits, "
                         f"{ref_logits.shape}, got {weights.shape}")


def pair_rewards(weights, ref_logits, *, beta):
    """The rewards (rlhf.1), with r paid pair by pair from a table.

    Parameters
    ----------
    weights : (S, A) float
        The reward table: the world's own `mean_reward`, or a fitted `reward_model`.
    ref_logits : (S, A) float
        The reference policy.
    beta : float > 0
        Reward per nat of KL.

    Returns
    -------
    callable
        `rewards(rollout, logp) -> (T, N)`, for `reinforce` and `ppo`.

    Raises
    ------
    ValueError
        If beta is not positive or the tables do not fit.

    Examples
    --------
    A fair coin learns to show heads as often as (regularised.2) says, 0.8244:

    >>> from minirl.mdp import coin_game
    >>> from minirl.optim import linear
    >>> from minirl.ppo import ppo
    >>> from minirl.reinforce import start
    >>> coin, reference = coin_game(), np.zeros((1, 2))
    >>> paid = pair_rewards(coin.mean_reward, reference, beta=2.0)
    >>> for record in ppo(coin, start(reference, rng=0), rewards=paid,
    ...                   learning_rate=linear(0.05, 0.0, 50), ent_coef=0.0):
    ...     if record.iteration == 50: break
    >>> print(np.exp(log_softmax(record.logits)).round(2))
    [[0.82 0.18]]
    """
    _check(weights, ref_logits, beta)
    ref_logp = log_softmax(ref_logits)

    def rewards(rollout, logp):
        shaped = weights - beta * (logp - ref_logp)
        return shaped[rollout.states, rollout.actions] * rollout.alive

    return rewards


def string_rewards(weights, ref_logits, *, beta):
    """The rewards (rlhf.1), with the sum of r over the string paid on its last step.

    Parameters, result and errors are those of `pair_rewards`.  A string cut by the horizon is paid
    on the step at which it was cut.

    Examples
    --------
    >>> from minirl.mdp import coin_game, rollout
    >>> coin, fair = coin_game(), np.zeros((1, 2))
    >>> heads = rollout(coin, np.array([[1., 0.]]), np.zeros(1, int), horizon=3, rng=0)
    >>> paid = string_rewards(coin.mean_reward, fair, beta=1.0)
    >>> print(paid(heads, np.log([[0.75, 0.25]])).ravel().round(3))
    [-0.405 -0.405  2.595]
    """
    _check(weights, ref_logits, beta)
    ref_logp = log_softmax(ref_logits)

    def rewards(rollout, logp):
        price = beta * (logp - ref_logp)
        paid = -price[rollout.states, rollout.actions] * rollout.alive
        last, episodes = rollout.alive.sum(axis=0) - 1, np.arange(rollout.alive.shape[1])
        total = (weights[rollout.states, rollout.actions] * rollout.alive).sum(axis=0)
        paid[last, episodes] += total
        return paid

    return rewards
