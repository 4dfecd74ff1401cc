"""What all policy trainers share: the record, the batch, the step."""

from itertools import islice
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.kernel.playing import rollout, start_states
from minirl.kernel.sampling import generator
from minirl.kernel.softmax import entropy_loss, log_softmax
from minirl.play.optim import clip_norm, coefficient


class Training(NamedTuple):
    """A policy in training; all that the next iteration of any trainer needs."""

    iteration: int
    steps: int           # environment steps so far
    logits: np.ndarray   # (S, A) the policy
    values: np.ndarray   # (S,) the value table: a baseline, or a critic
    optimiser: tuple     # state of the optimiser; None before the first iteration
    rng: dict            # state of the bit generator
    kl_coef: float       # the price of a nat of KL, where a learner adapts it
    metrics: dict        # of the last iteration

    @property
    def logp(self):
        """log π, (S, A)."""
        return log_softmax(self.logits)

    @property
    def policy(self):
        """π, (S, A)."""
        return np.exp(self.logp)


def start(logits, *, rng, kl_coef=1.0):
    """The record from which training starts: a policy table (S, A), a seed, and values of zero.

    Training continues from a copy of the generator's state; the Generator itself does not advance.
    `kl_coef` is where an adaptive price of KL begins; most trainers have none.

    Raises
    ------
    ValueError
        If the logits are not a finite table, or kl_coef is not positive.

    Examples
    --------
    >>> start(np.zeros((1, 2)), rng=0).values
    array([0.])
    """
    if logits.ndim != 2 or not np.isfinite(logits).all():
        raise ValueError(f"logits must be a finite table (S, A), got shape {logits.shape}")
    if not 0 < kl_coef < np.inf:
        raise ValueError(f"kl_coef must be positive and finite, got {kl_coef}")
    return Training(0, 0, np.array(logits, dtype=float), np.zeros(len(logits)), None,
                    generator(rng).bit_generator.state, kl_coef, {})


def after(trainer, n):
    """The record that a trainer yields after `n` more iterations.

    Examples
    --------
    >>> after(iter("abc"), 2)
    'b'
    """
    return next(islice(trainer, checks.whole("n", n) - 1, None))


def environment_rewards(rollout, logp):
    """The reward seam's default: what the world paid, (T, N)."""
    return rollout.rewards


def play(mdp, record, rng, *, rewards, episodes, horizon, num_generations=1, observe=None):
    """Play one batch with the policy of `record`: how every policy trainer's iteration begins.

    The episodes come in groups of `num_generations` neighbours that begin in one start state.
    `observe(batch, logp) -> dict` may add metrics of the batch, beside `rewards(batch, logp)`.

    Returns
    -------
    batch : playing.Rollout
    earned : (T, N) float
        What `rewards` makes of it.
    metrics : dict
        `rollout/ep_rew_mean` and `rollout/ep_len_mean` of the batch, and `rollout/truncated`, the
        number of episodes cut by the horizon.

    Raises
    ------
    ValueError
        If the episodes are no multiple of the group, or `rewards` returns the wrong shape, numbers
        that are not finite, or anything but zero after an episode's end.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> batch, earned, metrics = play(coin_game(), start(np.zeros((1, 2)), rng=0), generator(0),
    ...                               rewards=environment_rewards, episodes=100, horizon=3)
    >>> metrics
    {'rollout/ep_rew_mean': 0.77, 'rollout/ep_len_mean': 1.68, 'rollout/truncated': 9}
    """
    checks.whole("episodes", episodes)
    checks.whole("num_generations", num_generations)
    if episodes % num_generations:
        raise ValueError(f"num_generations must divide the number of episodes, {episodes}, got "
                         f"{num_generations}")
    logp = log_softmax(record.logits)
    starts = start_states(mdp, episodes // num_generations, rng).repeat(num_generations)
    batch = rollout(mdp, np.exp(logp), starts, horizon=horizon, rng=rng)
    earned = rewards(batch, logp)
    if earned.shape != batch.states.shape:
        raise ValueError(f"rewards must return an array of shape {batch.states.shape}, "
                         f"got shape {earned.shape}")
    if not np.isfinite(earned).all():
        raise ValueError("rewards must return finite numbers")
    if earned[~batch.alive].any():
        raise ValueError("rewards must return zero after an episode's end: multiply by alive")
    observed = observe(batch, logp) if observe else {}
    return batch, earned, {"rollout/ep_rew_mean": float(earned.sum() / episodes),
                           "rollout/ep_len_mean": float(batch.alive.sum() / episodes),
                           "rollout/truncated": int(batch.truncated.sum()), **observed}


def policy_step(logits, grad, state, visits, *, iteration, ent_coef, max_grad_norm, learning_rate,
                optimiser):
    """One step of an optimiser along a loss with an entropy bonus: how every policy trainer moves.

    Parameters
    ----------
    logits, grad : (S, A) float
        The policy, and the gradient of its loss there.
    state : tuple
        Of the optimiser.
    visits : (S,) float
        The weight of each row in `entropy_loss`.
    iteration : int
        Where the schedules are.
    ent_coef, learning_rate : float ≥ 0, or function of the iteration number
    max_grad_norm : float > 0
        M of (optim.4), for the gradient with the bonus.
    optimiser : Optimiser

    Returns
    -------
    logits : (S, A) float
    state : tuple

    Raises
    ------
    ValueError
        By name, if a number is out of range.

    Examples
    --------
    >>> from minirl.play.optim import gradient_descent
    >>> logits, _ = policy_step(np.zeros((1, 2)), np.array([[3., -3.]]), (), np.ones(1),
    ...                         iteration=0, ent_coef=0.0, max_grad_norm=np.inf,
    ...                         learning_rate=0.1, optimiser=gradient_descent())
    >>> print(logits.round(2))
    [[-0.3  0.3]]
    """
    _, entropy_grad = entropy_loss(logits, visits)
    grad = grad + coefficient("ent_coef", ent_coef, iteration) * entropy_grad
    return optimiser.step(logits, clip_norm(grad, max_grad_norm), state,
                          coefficient("learning_rate", learning_rate, iteration))
