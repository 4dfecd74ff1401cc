"""REINFORCE: the policy gradient by sampling, with a baseline.

The exact gradient (planning.5) needs Q, and Q needs the tables of the world.  But its expectation
can be sampled.  For any number A_t that judges the action at time t,

    ∇J = E[Σ_t γᵗ A_t ∇ log π(a_t|s_t)],   for example A_t = G_t, the reward-to-go.    (reinforce.1)

An action followed by much reward is made likelier, whatever the reason.  The price of not asking
for the reason is noise.  Part of it can be removed for free: a *baseline* b(s) that does not depend
on the action changes no expectation, because Σ_a π(a|s) ∇ log π(a|s) = ∇ Σ_a π(a|s) = 0.  So

    A_t = G_t − b(s_t)                                                                 (reinforce.2)

is as right as G_t, and less noisy when b(s) is about what state s usually brings.  Here b is a
value table learned from the episodes of *earlier* iterations.  A baseline that contained its own
sample would be biased.

As a loss to be minimised, over B episodes, with the steps counted (counts.1),

    L = −(1/B) Σ_n A_n log π(a_n|s_n) = −(1/B) Σ_{s,a} W[s, a] log π(a|s),  G = −W/B,  (reinforce.3)

where W[s, a] sums the advantages of the pair.  The value of this loss means nothing; its gradient
does.  The normaliser is the number of episodes, not of steps: J is a sum over an episode.

The factor γᵗ of (reinforce.1) is dropped in (reinforce.3), as it is in almost every implementation.
With it, late steps would hardly be learned from at all.  Without it, the expected update is no
longer ∇J.  For the uniform policy at γ = 0.99 it points 1.5 degrees away from ∇J on the slippery
4x4 lake and 3 degrees away on the cliff, where it is also 59 times as long, because there an
episode lasts 6,453 steps.  At γ = 1, as in every language model, the two are the same.

A trainer in this book is a generator that yields a record for each iteration, for ever.  The record
holds everything that the next iteration needs, so any record can be trained on from, bit for bit.
The reward is a seam: `rewards(rollout, logp)` may replace what the world paid by anything else,
such as a learned reward minus the price of leaving a reference.

Read first: `planning`, `returns`.  Compare: `sft`, the same loss with every advantage one.  Read
next: `ppo`.
Source: Williams 1992; Sutton and Barto, 2nd edition, §13.3-13.4.
"""

from typing import NamedTuple

import numpy as np

from minirl import counts
from minirl.mdp import rollout, start_states
from minirl.optim import adam, at
from minirl.returns import move_values, reward_to_go
from minirl.sampling import generator
from minirl.softmax import backward, entropy_loss, log_softmax


class Training(NamedTuple):
    """A policy in training; all that the next iteration of `reinforce` or `ppo` needs."""

    iteration: int
    steps: int           # environment steps so far
    logits: np.ndarray   # (S, A) the policy
    values: np.ndarray   # (S,) the baseline
    optimiser: tuple     # state of the optimiser; None before the first iteration
    rng: dict            # state of the bit generator
    metrics: dict        # of the last iteration


def start(logits, *, rng):
    """The record from which training starts: a policy table (S, A), a seed, and a baseline of zero.

    Training continues from a copy of the generator's state; the Generator itself does not advance.

    Raises
    ------
    ValueError
        If the logits are not a finite table.

    Examples
    --------
    >>> start(np.zeros((1, 2)), rng=0).values
    array([0.])
    """
    if logits.ndim != 2 or not np.isfinite(logits).all():
        raise ValueError(f"logits must be a finite table (S, A), got shape {logits.shape}")
    return Training(0, 0, np.array(logits, dtype=float), np.zeros(len(logits)), None,
                    generator(rng).bit_generator.state, {})


def environment_rewards(rollout, logp):
    """The reward seam's default: what the world paid, (T, N)."""
    return rollout.rewards


def play(mdp, record, rng, *, rewards, episodes, horizon):
    """Play one batch with the policy of `record`: how every policy trainer's iteration begins.

    Returns
    -------
    batch : mdp.Rollout
    earned : (T, N) float
        What `rewards` makes of it.
    metrics : dict
        `rollout/ep_rew_mean` and `rollout/ep_len_mean` of the batch, and `rollout/truncated`, the
        number of episodes cut by the horizon.

    Raises
    ------
    ValueError
        If `rewards` returns the wrong shape or numbers that are not finite.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> batch, earned, metrics = play(coin_game(), start(np.zeros((1, 2)), rng=0), generator(0),
    ...                               rewards=environment_rewards, episodes=100, horizon=3)
    >>> metrics
    {'rollout/ep_rew_mean': 0.72, 'rollout/ep_len_mean': 1.63, 'rollout/truncated': 9}
    """
    logp = log_softmax(record.logits)
    batch = rollout(mdp, np.exp(logp), start_states(mdp, episodes, rng), horizon=horizon, rng=rng)
    earned = rewards(batch, logp)
    if earned.shape != batch.states.shape or not np.isfinite(earned).all():
        raise ValueError(f"rewards must return finite numbers of shape {batch.states.shape}, "
                         f"got shape {earned.shape}")
    return batch, earned, {"rollout/ep_rew_mean": float(earned.sum() / episodes),
                           "rollout/ep_len_mean": float(batch.alive.sum() / episodes),
                           "rollout/truncated": int(batch.truncated.sum())}


def reinforce_loss(logits, weights, *, episodes):
    """The loss (reinforce.3), to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits : (S, A) float
        Policy table θ.
    weights : (S, A) float
        W, the sum of the advantages of each pair: `counts.table(steps, advantages)`.
    episodes : int ≥ 1
        B.

    Returns
    -------
    loss : float
    grad : (S, A) float
        ∂loss/∂logits; minus an estimate of ∇J.

    Raises
    ------
    ValueError
        If the shapes differ, a weight is not finite, or `episodes` is not positive.

    Examples
    --------
    >>> loss, grad = reinforce_loss(np.zeros((1, 2)), np.array([[4., 0.]]), episodes=2)
    >>> print(round(loss, 4), grad)
    1.3863 [[-1.  1.]]
    """
    if weights.shape != logits.shape or not np.isfinite(weights).all():
        raise ValueError(f"weights must be finite and of shape {logits.shape}, "
                         f"got shape {weights.shape}")
    if not episodes >= 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    logp = log_softmax(logits)
    return -(weights * logp).sum() / episodes, backward(logp, -weights / episodes)


def reinforce(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200,
              learning_rate=0.05, ent_coef=0.0, value_rate=0.5, optimiser=adam()):
    """Train by (reinforce.3), for ever: yields a `Training` record an iteration.

    Parameters
    ----------
    mdp : TabularMDP
        Used to play only.
    record : Training
        From `start`, or any record yielded before: training continues from it bit for bit.
    rewards : callable
        `rewards(rollout, logp) -> (T, N)`: what to maximise, in place of what the world paid.
    episodes : int ≥ 1
        B, played in each iteration.
    horizon : int ≥ 1
        Episodes are cut after this many steps, and then count as they are.
    learning_rate, ent_coef : float, or function of the iteration number
        Step size, and the weight of `entropy_loss` over the states visited, in reward per nat.
    value_rate : float in [0, 1]
        How far the baseline moves towards the mean return of each state.
    optimiser : Optimiser

    Yields
    ------
    Training
        Its `metrics` are those of `play`.

    Raises
    ------
    ValueError
        If an argument is out of range, at the first iteration.

    Examples
    --------
    >>> from minirl.mdp import coin_game
    >>> for record in reinforce(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)):
    ...     if record.iteration == 20: break
    >>> print(np.exp(log_softmax(record.logits)).round(1))
    [[0.9 0.1]]
    """
    if not 0 <= value_rate <= 1:
        raise ValueError(f"value_rate must lie in [0, 1], got {value_rate}")
    while True:
        rng = generator(record.rng)
        batch, earned, metrics = play(mdp, record, rng, rewards=rewards, episodes=episodes,
                                      horizon=horizon)
        steps = batch.steps(mdp.shape)
        returns = counts.flatten(reward_to_go(earned, gamma=mdp.gamma), batch.alive)
        advantages = returns - record.values[steps.index // mdp.shape[1]]
        visits = counts.table(steps).sum(axis=1)

        _, grad = reinforce_loss(record.logits, counts.table(steps, advantages), episodes=episodes)
        _, entropy_grad = entropy_loss(record.logits, visits / episodes)
        logits, state = optimiser.step(
            record.logits, grad + at(ent_coef, record.iteration) * entropy_grad,
            record.optimiser or optimiser.init(record.logits), at(learning_rate, record.iteration))
        values = move_values(record.values, steps, returns, rate=value_rate)
        record = Training(record.iteration + 1, record.steps + steps.index.size, logits, values,
                          state, rng.bit_generator.state, metrics)
        yield record
