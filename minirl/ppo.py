"""PPO: many steps from one batch, none of them too far.

REINFORCE uses a batch once and throws it away, since (reinforce.1) holds only for the policy that
played it.  Playing is expensive.  Importance sampling corrects for the difference: with the ratio
ρ[s, a] = π(a|s)/π_old(a|s), where π_old played, E[ρ A] is right to first order around π_old, and
its gradient at ρ = 1 is that of REINFORCE.  But far from π_old it promises what it cannot keep.
PPO takes away the incentive to go far: the *clipped surrogate* of a batch of N steps is

    L = −(1/N) Σ_n min(ρ_n A_n, clip(ρ_n, 1 − ε, 1 + ε) A_n).                                (ppo.1)

A good action gains nothing beyond 1 + ε, a bad one nothing below 1 − ε.  The minimum keeps it
pessimistic: an action that has moved the wrong way is always pulled back.

The ratio depends on a step only through its pair, and the minimum on A_n only through its sign.
Divide by A_n: where it is positive the minimum is min(ρ, 1 + ε), and where it is negative the
inequality turns round and it is max(ρ, 1 − ε).  So the batch collapses (counts.1) into the sum of
its positive advantages U[s, a] and of its negative ones V[s, a]:

    L = −(1/N) Σ_{s,a} [min(ρ, 1 + ε) U + max(ρ, 1 − ε) V].                                  (ppo.2)

An epoch then costs S·A operations however long the batch was.  Since ∂ρ/∂log π = ρ,

    G = −(ρ/N) (U·1{ρ ≤ 1 + ε} + V·1{ρ ≥ 1 − ε}).                                            (ppo.3)

Where a bracket is zero the gradient is dead.  The share of steps with a dead gradient is the *clip
fraction*; counting every step outside the interval, as some libraries do, would also count those
that are being pulled back.

Advantages come from GAE (returns.3) on the value table, which moves towards the λ-returns after the
policy.  They are divided by their standard deviation over the batch, so that one learning rate and
one entropy coefficient serve every reward scale.  Their mean is not subtracted: that would reward
or punish being alive.

Lecture notes often put the reference policy of RLHF where PPO has the old one.  They are two
policies.  π_old is the one that played this batch and changes every iteration; π_ref is the one
before training and never changes.  PPO knows nothing of π_ref.  In RLHF the reference enters
through the reward (`rlhf`).

Read first: `reinforce`, `returns`.  Read next: `rlhf`.
Source: Schulman et al. 2017, arXiv:1707.06347, eq. 7.
"""

from typing import NamedTuple

import numpy as np

from minirl import counts
from minirl.optim import adam, at
from minirl.reinforce import Training, environment_rewards, play
from minirl.returns import gae, move_values
from minirl.sampling import generator
from minirl.softmax import backward, entropy_loss, log_softmax


class Advantages(NamedTuple):
    """A batch of N steps, collapsed as in (ppo.2)."""

    gains: np.ndarray   # (S, A) U, sum of the positive advantages
    losses: np.ndarray  # (S, A) V, sum of the negative ones
    counts: np.ndarray  # (S, A) number of steps; their sum is N


def collapse(steps, advantages):
    """The tables of (ppo.2) from N steps and their advantages.

    One histogram makes both U and V: where an advantage is negative its key moves S·A further.

    Raises
    ------
    ValueError
        If there is no step, or the advantages are not one finite number a step.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 1]), np.array([0, 2]), (1, 2))
    >>> batch = collapse(two, np.array([3., -1.]))
    >>> print(batch.gains, batch.losses, batch.counts)
    [[0. 3.]] [[ 0. -1.]] [[0. 2.]]
    """
    if advantages.shape != steps.index.shape or steps.index.size == 0:
        raise ValueError(f"advantages must have shape {steps.index.shape} and not be empty, "
                         f"got {advantages.shape}")
    if not np.isfinite(advantages).all():
        raise ValueError("advantages must be finite")
    size = steps.shape[0] * steps.shape[1]
    both = np.bincount(steps.index + size * (advantages < 0), advantages, minlength=2 * size)
    gains, losses = both.reshape(2, *steps.shape)
    return Advantages(gains, losses, counts.table(steps))


def ppo_loss(logits, old_logits, batch, *, clip_range=0.2):
    """The loss (ppo.2), to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits, old_logits : (S, A) float
        The policy θ, and the policy that played the batch.
    batch : Advantages
        From `collapse`.
    clip_range : float > 0
        ε.

    Returns
    -------
    loss : float
        Minus the surrogate advantage of a step, in units of the advantages.
    grad : (S, A) float
        ∂loss/∂logits.

    Raises
    ------
    ValueError
        If the shapes disagree, the batch is empty, or clip_range is not positive.

    Examples
    --------
    >>> batch = Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), np.array([[1., 1.]]))
    >>> loss, grad = ppo_loss(np.zeros((1, 2)), np.zeros((1, 2)), batch)
    >>> print(loss, grad)
    -0.5 [[-0.25  0.25]]
    """
    if not clip_range > 0:
        raise ValueError(f"clip_range must be positive, got {clip_range}")
    if not logits.shape == old_logits.shape == batch.counts.shape:
        raise ValueError(f"old_logits and the batch must have shape {logits.shape}, "
                         f"got {old_logits.shape} and {batch.counts.shape}")
    N = batch.counts.sum()
    if not N > 0:
        raise ValueError("the batch must hold at least one step")
    logp = log_softmax(logits)
    ratio = _ratio(logp, log_softmax(old_logits))
    low, high = 1 - clip_range, 1 + clip_range
    gains, losses = np.minimum(ratio, high) * batch.gains, np.maximum(ratio, low) * batch.losses
    loss = -(gains + losses).sum() / N
    G = -ratio * (batch.gains * (ratio <= high) + batch.losses * (ratio >= low)) / N
    return loss, backward(logp, G)


def _ratio(logp, old_logp):
    """ρ, capped where it would overflow: ∞ times no advantage would not be a number."""
    return np.exp(np.minimum(logp - old_logp, 700))


def clip_fraction(logits, old_logits, steps, advantages, *, clip_range=0.2):
    """The share of steps whose gradient (ppo.3) is dead: clipped, on the side that clipping stops.

    Parameters
    ----------
    logits, old_logits : (S, A) float
    steps : counts.Steps
    advantages : (N,) float
    clip_range : float > 0

    Examples
    --------
    Two good steps and a bad one, on an action that has become likelier by more than 1 + ε.  The
    good ones are dead; the bad one is being pulled back:

    >>> three = counts.steps(np.zeros(3, int), np.zeros(3, int), np.array([0, 3]), (1, 2))
    >>> clip_fraction(np.array([[2., 0.]]), np.zeros((1, 2)), three, np.array([1., 2., -1.]))
    0.6666666666666666
    """
    ratio = _ratio(log_softmax(logits), log_softmax(old_logits)).ravel()[steps.index]
    dead = np.where(advantages < 0, ratio < 1 - clip_range, ratio > 1 + clip_range)
    return float((dead & (advantages != 0)).mean())


def ppo(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200, n_epochs=10,
        clip_range=0.2, gae_lambda=0.95, learning_rate=0.05, ent_coef=0.0, value_rate=0.5,
        optimiser=adam()):
    """Train by (ppo.2), for ever: yields a `Training` record an iteration.

    Parameters
    ----------
    mdp : TabularMDP
        Used to play only.
    record : Training
        From `reinforce.start`, or any record yielded before: training continues bit for bit.
    rewards : callable
        `rewards(rollout, logp) -> (T, N)`: what to maximise, in place of what the world paid.
    episodes : int ≥ 1
        Played in each iteration.
    horizon : int ≥ 1
        Episodes are cut after this many steps; the value table stands for what would have followed.
    n_epochs : int ≥ 1
        Gradient steps on each batch, all of it at once.
    clip_range : float > 0
        ε.
    gae_lambda : float in [0, 1]
        λ of (returns.3).
    learning_rate, ent_coef : float, or function of the iteration number
        Step size, and the weight of `entropy_loss` over the states of the batch, per normalised
        advantage.
    value_rate : float in [0, 1]
        How far the value table moves towards the mean λ-return of each state.
    optimiser : Optimiser

    Yields
    ------
    Training
        Its `metrics` are those of `reinforce.play` and `policy/clipfrac`, see `clip_fraction`.

    Raises
    ------
    ValueError
        If an argument is out of range, at the first iteration.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> from minirl.reinforce import start
    >>> for record in ppo(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)):
    ...     if record.iteration == 5: break
    >>> print(np.exp(log_softmax(record.logits)).round(1))
    [[1. 0.]]
    """
    if n_epochs < 1:
        raise ValueError(f"n_epochs must be at least 1, got {n_epochs}")
    if not 0 <= value_rate <= 1:
        raise ValueError(f"value_rate must lie in [0, 1], got {value_rate}")
    while True:
        rng = generator(record.rng)
        played, earned, metrics = play(mdp, record, rng, rewards=rewards, episodes=episodes,
                                       horizon=horizon)
        steps = played.steps(mdp.shape)
        advantages, returns = (counts.flatten(rectangle, played.alive) for rectangle in
                               gae(earned, played, record.values, gamma=mdp.gamma,
                                   gae_lambda=gae_lambda))
        advantages = advantages / (advantages.std() + 1e-8)
        batch = collapse(steps, advantages)
        visits = batch.counts.sum(axis=1)

        logits, state = record.logits, record.optimiser or optimiser.init(record.logits)
        for _ in range(n_epochs):
            _, grad = ppo_loss(logits, record.logits, batch, clip_range=clip_range)
            _, entropy_grad = entropy_loss(logits, visits / visits.sum())
            logits, state = optimiser.step(
                logits, grad + at(ent_coef, record.iteration) * entropy_grad, state,
                at(learning_rate, record.iteration))
        values = move_values(record.values, steps, returns, rate=value_rate)
        metrics["policy/clipfrac"] = clip_fraction(logits, record.logits, steps, advantages,
                                                   clip_range=clip_range)
        record = Training(record.iteration + 1, record.steps + steps.index.size, logits, values,
                          state, rng.bit_generator.state, metrics)
        yield record
