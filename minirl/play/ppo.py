"""PPO: many steps from one batch, none of them too far.

*Part 3.  Previous: `surrogate`.  Next: `ppo_kl`.*

REINFORCE uses a batch once and throws it away, since (reinforce.1) holds only for the policy that
played it.  With the ratio ρ[s, a] = π(a|s)/π_old(a|s), where π_old played, the surrogate E[ρ A]
(`surrogate`) is right to first order around π_old.  At ρ = 1, N times its gradient is B times that
of REINFORCE: the mean here is over N steps, not over B episodes.  But far from π_old it promises
what it cannot keep.  PPO takes away the incentive to go far: the *clipped surrogate* of a batch of
N steps is

    L = −(1/N) Σ_n min(ρ_n A_n, clip(ρ_n, 1 − ε, 1 + ε) A_n).                                (ppo.1)

A good action gains nothing beyond 1 + ε, a bad one nothing below 1 − ε.  The minimum keeps it
pessimistic: an action that has moved the wrong way is always pulled back.

The minimum depends on A_n only through its sign.  Divide by A_n: where it is positive the minimum
is min(ρ, 1 + ε), and where it is negative the inequality turns round and it is max(ρ, 1 − ε).  So
the batch collapses into U and V of (surrogate.1):

    L = −(1/N) Σ_{s,a} [min(ρ, 1 + ε) U + max(ρ, 1 − ε) V].                                  (ppo.2)

Since ∂ρ/∂log π = ρ,

    G = −(ρ/N) (U·1{ρ ≤ 1 + ε} + V·1{ρ ≥ 1 − ε}).                                            (ppo.3)

Where a bracket is zero the gradient is dead; at a bound itself the gradient of ρ is taken.  The
share of steps with a dead gradient is the *clip fraction*; counting every step outside the
interval, as some libraries do, would also count those that are being pulled back.

How far a batch has moved the policy is reported twice, as (surrogate.2) and (surrogate.3), and
(surrogate.2) can stop the epochs early.

**An iteration.**  The critic of `actor_critic` judges the batch and learns from it.  Advantages are
divided by their size in the whole batch, (actor_critic.3), so that one learning rate and one
entropy coefficient serve every reward scale.  Then come `n_epochs` passes over the batch, in
minibatches of whole episodes if `batch_size` says so.  The gradient of the batch is the mean of
those of its minibatches, weighted by their numbers of steps.  The tables of all minibatches of an
epoch are made at once, and log π_old once for the whole batch.

**The defaults** are one set for every world in this book: ten full-batch epochs per iteration, Adam
at 0.06 annealed to nearly nothing, and an entropy bonus of 0.3 per normalised advantage annealed to
zero over the first half of `iterations`.  With γ = 0.99 and 400 iterations they come within 1 % of
the optimum on both slippery lakes (with 1,024 episodes per iteration on the 8x8 one), above −14 on
the cliff, and to 99 % of J* − J(ref) on the language model, for each of twenty seeds.  Shorter runs
on the 4x4 lake keep 91 % of the optimum after 50 iterations, 96 % after 100 and 97 % after 200.
Without the entropy bonus thirteen of twenty runs of 400 stop there at 98.2 % of the optimum, near a
saddle: a policy that is nearly deterministic has nearly no gradient.  (The others come closer than
with it, to 99.95 %.)  On the cliff a bonus of 0.1 is too small: every run stays on a detour, at
−14.

**Which objective?**  Like A2C, PPO drops γᵗ, and it divides by steps besides.  What it climbs is
the advantage of a step taken at random from those of the batch.  For γ near 1 that leads nearly the
way of ∇J, and in a world without ends nearly the way of the gradient of the reward per step.

Lecture notes often put the reference policy of RLHF where PPO has the old one.  They are two
policies.  π_old is the one that played this batch and changes every iteration; π_ref is the one
before training and never changes.  PPO knows nothing of π_ref.  In RLHF the reference enters
through the reward (`rlhf`).

Read first: `surrogate`.  Compare: `ppo_kl`, which charges for the distance.  Read next: `rlhf`.
Source: Schulman et al. 2017, "Proximal policy optimization algorithms", arXiv:1707.06347, eq. 7.
"""

from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.play.actor_critic import judge
from minirl.play.optim import adam, at, coefficient, linear, remaining
from minirl.play.training import environment_rewards, next_record, play, policy_step
from minirl.kernel.softmax import LogPolicy, backward, log_softmax
from minirl.play.surrogate import (approximate_kl, clip_fraction, collapse, mean_kl, minibatches,
                                   ratios, steps_in)

LEARNING_RATE, ENT_COEF = linear(0.06, 0.0001), linear(0.3, 0.0, 0.5)  # by default


def ppo_loss(logits, old_logits, batch, *, clip_range=0.2):
    """The loss (ppo.2), to be minimised, and its gradient in `logits`.

    Minus the surrogate advantage of a step, in units of the advantages.

    Parameters
    ----------
    logits, old_logits : (S, A) float
        The policy θ, and the policy that played the batch.  Where it is asked many times, a
        `softmax.LogPolicy` may stand for its logits.
    batch : surrogate.Advantages
        From `surrogate.collapse`.
    clip_range : float > 0
        ε; infinity is the surrogate without clipping.

    Examples
    --------
    >>> from minirl.play.surrogate import Advantages
    >>> batch = Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 2.0)
    >>> loss, grad = ppo_loss(np.zeros((1, 2)), np.zeros((1, 2)), batch)
    >>> print(loss, grad)
    -0.5 [[-0.25  0.25]]
    """
    checks.positive("clip_range", clip_range, finite=False)
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    N, ratio = steps_in(logp, old_logp, batch), ratios(logp, old_logp)
    U, V, low, high = batch.gains, batch.losses, 1 - clip_range, 1 + clip_range
    loss = -(np.minimum(ratio, high) * U + np.maximum(ratio, low) * V).sum() / N
    G = ratio * (U * (ratio <= high) + V * (ratio >= low)) / -N
    return loss, backward(logp, G)


def ppo(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200, iterations=400,
        n_epochs=10, batch_size=None, clip_range=0.2, gae_lambda=0.95, normalize_advantage=True,
        learning_rate=LEARNING_RATE, ent_coef=ENT_COEF, max_grad_norm=np.inf, target_kl=np.inf,
        value_rate=0.5, optimiser=adam(), observe=None):
    """Train by (ppo.2), for ever: yields a `training.Training` record per iteration.

    The arguments are those of every trainer (`training`), and these:

    Parameters
    ----------
    n_epochs : int ≥ 1
        Passes over each batch.
    batch_size : int ≥ 1, optional
        *Episodes* in a minibatch, not steps as in Stable-Baselines3, drawn anew in every epoch; the
        last may be smaller.  By default there is one gradient step per epoch, on all of them.
    clip_range : float > 0, or schedule
        ε.
    gae_lambda : float in [0, 1]
        λ of (returns.3), for the advantages and for the critic's targets.
    normalize_advantage : bool
        Whether to apply (actor_critic.3), over the whole batch; Stable-Baselines3 does it in each
        minibatch, and subtracts the mean.
    ent_coef
        In the units of the advantages per nat, over the states of a minibatch.
    target_kl : float > 0
        No further step is taken on a batch once its `mean_kl` is more than 1.5 times this, the
        factor of most libraries.
    observe : callable, optional
        `observe(rollout, logp) -> dict`: further metrics of the batch, which is not kept.

    Yields
    ------
    Training
        Its `metrics` are those of `actor_critic`, and of this batch under the new policy:
        `policy/kl` (`mean_kl`), `policy/approxkl` (`approximate_kl`), `policy/clipfrac`
        (`clip_fraction`) and `policy/updates`, the number of gradient steps.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> trainer = ppo(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0))
    >>> print(after(trainer, 5).policy.round(1))
    [[1. 0.]]
    """
    checks.positive("target_kl", target_kl, finite=False)
    judge_batch = partial(judge, gamma=mdp.gamma, gae_lambda=gae_lambda, value_lambda=gae_lambda,
                          value_rate=value_rate, normalize_advantage=normalize_advantage)
    step = partial(policy_step, learning_rate=learning_rate, ent_coef=ent_coef,
                   max_grad_norm=max_grad_norm, optimiser=optimiser)
    while True:
        progress = remaining(record.iteration, iterations)
        epsilon = at(clip_range, progress)
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon,
                     observe=observe)
        judged = judge_batch(batch, record.values)
        logits, state, updates = record.logits, record.optimiser, 0
        old = LogPolicy(record.logp)
        for part in epochs(batch, judged.advantages, n_epochs=n_epochs, batch_size=batch_size,
                           counted=coefficient("ent_coef", ent_coef, progress) > 0):
            if target_kl < np.inf and mean_kl(logits, old, batch.visits) > 1.5 * target_kl:
                break
            _, grad = ppo_loss(logits, old, part, clip_range=epsilon)
            logits, state = step(logits, grad, state, part.shares, progress)
            updates += 1
        new = LogPolicy(log_softmax(logits))
        metrics = {
            "policy/kl": mean_kl(new, old, batch.visits),
            "policy/approxkl": approximate_kl(new, old, batch.counts),
            "policy/updates": updates, "value/explained_variance": judged.explained_variance,
            "policy/clipfrac": clip_fraction(new, old, batch.steps, judged.advantages,
                                             clip_range=epsilon)}
        record = next_record(
            record._replace(logits=logits, values=judged.values, optimiser=state), batch, metrics)
        yield record


def epochs(batch, advantages, *, n_epochs, batch_size, counted=False):
    """The batch for each epoch, or its minibatches, of whole episodes drawn anew: `Advantages`.

    The steps of the batch have been counted, and those of the minibatches are if `counted`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import start
    >>> batch = play(coin_game(), start(np.zeros((1, 2)), rng=0), rewards=environment_rewards,
    ...              episodes=5, horizon=3)
    >>> for part in epochs(batch, np.ones(batch.steps.index.size), n_epochs=1, batch_size=3):
    ...     print(part.gains)
    [[0. 3.]]
    [[0. 2.]]
    """
    n_epochs = checks.whole("n_epochs", n_epochs)
    if batch_size is None:
        return [collapse(batch.steps, advantages)._replace(counts=batch.counts)] * n_epochs
    batch_size = checks.whole("batch_size", batch_size)
    episodes = batch.steps.starts.size - 1
    return minibatches(batch.steps, advantages, (
        batch.rng.permutation(episodes) // batch_size for _ in range(n_epochs)), counted=counted)
