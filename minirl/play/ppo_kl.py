"""PPO with a price on the distance: the other way to stay near the policy that played.

*Part 3.  Previous: `ppo`.  Next: `fitting`.*

Clipping takes away the incentive to go far (ppo.1).  Instead one can charge for the distance,

    L = −(1/N) Σ_n ρ_n A_n + β (1/N) Σ_s N[s] KL(π_old(·|s) ‖ π(·|s)),                    (ppo_kl.1)

where N[s] counts the steps in s: the surrogate without its clipping, plus β times (surrogate.2).
With W = U + V, all advantages of an entry summed, and ∂KL/∂log π = −π_old,

    G = −(ρ W + β N[s] π_old)/N.                                                          (ppo_kl.2)

No single β is right for long, so it is steered: after each batch

    β ← β/2 if KL < target/1.5,   2β if KL > 1.5 · target,                                (ppo_kl.3)

and as it was in between.  The KL is the exact one, (surrogate.2).  While the learning rate falls
towards zero, so does the KL, and the rule would halve β until it could not come back within the
run.  Here it stops at 10⁻⁶, and on the other side at 10⁶.  The paper's β has no such ends.

Which of the two is better?  The paper finds clipping ahead, on its seven tasks.  In the worlds of
this book they are about equally good: try `python -m minirl policies`.

This KL is to the *old* policy, which changes with every batch.  The KL of RLHF is to the reference,
which never changes, and it is part of the reward (`rlhf`).

Read first: `ppo`.  Read next: `rlhf`.
Source: Schulman et al. 2017, "Proximal policy optimization algorithms", arXiv:1707.06347, eq. 8.
"""

from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.play.actor_critic import judge
from minirl.play.optim import adam, remaining
from minirl.play.ppo import ENT_COEF, LEARNING_RATE, epochs
from minirl.play.surrogate import approximate_kl, mean_kl, ratios, steps_in
from minirl.play.training import environment_rewards, next_record, play, policy_step
from minirl.kernel.softmax import LogPolicy, backward, kl, log_softmax, product


def ppo_kl_loss(logits, old_logits, batch, *, kl_coef):
    """The loss (ppo_kl.1), to be minimised, and its gradient in `logits`.

    `kl_coef` is β ≥ 0, in units of the advantages per nat.  The others are as in `ppo.ppo_loss`,
    and the batch is `counted`.  A visited row that never does what π_old does there makes the loss
    +∞, and the gradient of its KL is zero.

    Examples
    --------
    >>> from minirl.play.surrogate import Advantages
    >>> ones = np.ones((1, 2))
    >>> batch = Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 2.0, counts=ones)
    >>> loss, grad = ppo_kl_loss(np.zeros((1, 2)), np.log([[0.2, 0.8]]), batch, kl_coef=2.0)
    >>> print(round(loss, 4), grad)
    -0.8645 [[-0.025  0.025]]
    """
    checks.not_negative("kl_coef", kl_coef)
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    N, ratio = steps_in(logp, old_logp, batch), ratios(logp, old_logp)
    checks.shape("the counts of the batch", batch.counts, logp.shape)
    gains, price, distance = batch.gains + batch.losses, kl_coef * batch.visits, kl(old_logp, logp)
    loss = (product(price, distance).sum() - (ratio * gains).sum()) / N
    G = -(ratio * gains + (price * np.isfinite(distance))[:, None] * np.exp(old_logp)) / N
    return loss, backward(logp, G)


def ppo_kl(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200, iterations=400,
           n_epochs=10, batch_size=None, target_kl=0.01, gae_lambda=0.95, normalize_advantage=True,
           learning_rate=LEARNING_RATE, ent_coef=ENT_COEF, max_grad_norm=np.inf, value_rate=0.5,
           optimiser=adam()):
    """Train by (ppo_kl.1), for ever: yields a `training.Training` record per iteration.

    Parameters
    ----------
    target_kl : float > 0
        What (ppo_kl.3) steers the `mean_kl` of a batch to, in nats per step.  The β in force is
        `kl_coef` of the record; `training.start` says where it begins.

    The other parameters and the metrics are those of `ppo.ppo`; `policy/kl_coef` takes the place of
    `policy/clipfrac`.  It is the β that this batch was trained with; the record already has the
    next one.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> record = after(ppo_kl(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)), 10)
    >>> print(record.policy.round(1), record.kl_coef)
    [[1. 0.]] 0.125
    """
    checks.positive("target_kl", target_kl)
    judge_batch = partial(judge, gamma=mdp.gamma, gae_lambda=gae_lambda, value_lambda=gae_lambda,
                          value_rate=value_rate, normalize_advantage=normalize_advantage)
    step = partial(policy_step, learning_rate=learning_rate, ent_coef=ent_coef,
                   max_grad_norm=max_grad_norm, optimiser=optimiser)
    while True:
        progress, kl_coef = remaining(record.iteration, iterations), record.kl_coef
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon)
        judged = judge_batch(batch, record.values)
        logits, state, updates = record.logits, record.optimiser, 0
        old = LogPolicy(record.logp)
        for part in epochs(batch, judged.advantages, n_epochs=n_epochs, batch_size=batch_size,
                           counted=True):
            _, grad = ppo_kl_loss(logits, old, part, kl_coef=kl_coef)
            logits, state = step(logits, grad, state, part.shares, progress)
            updates += 1
        new = LogPolicy(log_softmax(logits))
        metrics = {
            "policy/kl": mean_kl(new, old, batch.visits),
            "policy/approxkl": approximate_kl(new, old, batch.counts),
            "policy/updates": updates, "value/explained_variance": judged.explained_variance,
            "policy/kl_coef": kl_coef}
        record = next_record(record._replace(
            logits=logits, values=judged.values, optimiser=state,
            kl_coef=adapted(kl_coef, metrics["policy/kl"], target_kl)), batch, metrics)
        yield record


def adapted(kl_coef, distance, target):
    """β after a batch with this KL, by (ppo_kl.3): a half, the same, or twice as much.

    β does not fall below 10⁻⁶ or rise above 10⁶, unless it began there.

    Examples
    --------
    >>> [adapted(1.0, distance, target=0.01) for distance in (0.005, 0.01, 0.02)]
    [0.5, 1.0, 2.0]
    """
    if distance < target / 1.5:
        return max(kl_coef / 2, min(kl_coef, 1e-6))
    if distance > 1.5 * target:
        return min(2 * kl_coef, max(kl_coef, 1e6))
    return kl_coef
