"""Groups of strings with one prompt: their advantages and their weights."""

import numpy as np

from minirl.kernel import checks, counts
from minirl.play.returns import reward_to_go
from minirl.play.surrogate import Advantages, collapse

EPS = 1e-4       # added to the std of a group
NO_SPREAD = 1e-12  # a std this small, relative to the rewards, is rounding


def _groups(values, num_generations):
    """(…, N) values as (…, N/G, G), if that is possible."""
    checks.whole("num_generations", num_generations)
    if num_generations < 2:
        raise ValueError(f"num_generations must be at least 2, got {num_generations}: a string "
                         f"alone has no others to be compared with")
    if values.shape[-1] % num_generations:
        raise ValueError(f"num_generations must divide the number of strings, "
                         f"{values.shape[-1]}, got {num_generations}")
    return values.reshape(*values.shape[:-1], -1, int(num_generations))


def group_centred(rewards, batch, num_generations):
    """A of (grpo.3): the reward of a string less the mean of its group, on each of its steps.

    Parameters
    ----------
    rewards : (T, N) float
        Zero after an episode's end.
    batch : playing.Rollout
    num_generations : int ≥ 2
        G; a group is G neighbours.

    Returns
    -------
    (T, N) float
        Entries after an episode's end mean nothing.

    Raises
    ------
    ValueError
        If the group has one string, or the strings are no multiple of it.

    Examples
    --------
    >>> print(group_centred(np.array([[1., 3., 5., 5.]]), None, 2))
    [[-1.  1.  0.  0.]]
    """
    totals = _groups(rewards.sum(axis=0), num_generations)
    centred = totals - totals.mean(axis=1, keepdims=True)
    centred[equal_groups(rewards, num_generations)] = 0  # exactly, whatever rounding says
    return np.broadcast_to(centred.ravel(), rewards.shape)


def equal_groups(rewards, num_generations):
    """Which groups hold strings of equal rewards, up to rounding: (N/G,) bool.

    Examples
    --------
    >>> print(equal_groups(np.array([[1., 3., 5., 5.]]), 2))
    [False  True]
    """
    totals = _groups(rewards.sum(axis=0), num_generations)
    size = _groups(np.abs(rewards).sum(axis=0), num_generations).max(axis=1)
    return np.ptp(totals, axis=1) <= NO_SPREAD * size


def group_normalised(rewards, batch, num_generations):
    """A of (grpo.2): centred, and divided by the group's std (of the population, plus 10⁻⁴).

    Parameters, result and errors are those of `group_centred`.

    Examples
    --------
    >>> print(group_normalised(np.array([[1., 3., 5., 5.]]), None, 2).round(2))
    [[-1.  1.  0.  0.]]
    """
    centred = group_centred(rewards, batch, num_generations)
    spread = _groups(rewards.sum(axis=0), num_generations).std(axis=1)
    return centred / (spread + EPS).repeat(int(num_generations))


def leave_one_out(rewards, batch, num_generations):
    """A of (grpo.4), RLOO: the reward of a string less the mean of the others of its group.

    Parameters, result and errors are those of `group_centred`.

    Examples
    --------
    >>> print(leave_one_out(np.array([[1., 3., 5., 5.]]), None, 2))
    [[-2.  2.  0.  0.]]
    """
    centred = group_centred(rewards, batch, num_generations)
    return centred * (num_generations / (num_generations - 1))


def process_normalised(rewards, batch, num_generations):
    """A of (grpo.5): rewards of steps, normalised over the group's steps, summed from each step on.

    Parameters, result and errors are those of `group_centred`.

    Examples
    --------
    Two strings of two steps, of which one is rewarded at once and one in the end:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=2, rng=0)
    >>> print(process_normalised(np.array([[1., 0.], [0., 1.]]), batch, 2).round(2))
    [[ 0.  0.]
     [-1.  1.]]
    """
    _groups(rewards[0], num_generations)
    G = int(num_generations)
    alive = batch.alive

    def over_group(sums):
        """The mean over the steps of a group, for each of its strings."""
        steps = alive.sum(axis=0).reshape(-1, G).sum(axis=1)
        return (sums.sum(axis=0).reshape(-1, G).sum(axis=1) / steps).repeat(G)

    centred = (rewards - over_group(rewards * alive)) * alive
    std = np.sqrt(over_group(centred**2))
    centred[:, std <= NO_SPREAD * np.abs(rewards).max()] = 0
    return reward_to_go(centred / (std + EPS), gamma=1.0)


def per_string(batch):
    """w of (grpo.2), one number a string: 1/(B·|y|).

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=5, rng=0)
    >>> print(per_string(batch))
    [0.1 0.1]
    """
    lengths = batch.alive.sum(axis=0)
    return 1 / (lengths.size * lengths)


def per_length(length):
    """w of (grpo.3), as a function of the batch: 1/(B·length), the same for all strings.

    Raises ValueError if the length is not positive.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=5, rng=0)
    >>> print(per_length(10)(batch))
    [0.05 0.05]
    """
    if not 0 < length < np.inf:
        raise ValueError(f"length must be positive and finite, got {length}")
    return lambda batch: np.full(batch.truncated.size, 1 / (batch.truncated.size * length))


def weighted(steps, advantages, weights):
    """The tables of (grpo.1): `Advantages` of weighted advantages, with weights for numbers.

    Parameters
    ----------
    steps : counts.Steps
        N steps of B strings.
    advantages : (N,) float, or (B,) float
        One a step, or one a string, which saves most of the time.  Where B = N each string has one
        step; otherwise some are empty, and the numbers are read as one a step.
    weights : (B,) float > 0
        One a string.

    Raises
    ------
    ValueError
        If there is no step, or the arrays do not fit.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 1]), np.array([0, 2]), (1, 2))
    >>> batch = weighted(two, np.array([3., -1.]), np.array([0.5]))
    >>> print(batch.gains, batch.losses, batch.counts)
    [[0.  1.5]] [[ 0.  -0.5]] [[0. 1.]]
    """
    if weights.shape != (steps.starts.size - 1,) or not (weights > 0).all():
        raise ValueError(f"weights must be {steps.starts.size - 1} positive numbers, got {weights}")
    if steps.index.size and advantages.shape == weights.shape != steps.index.shape:
        if not np.isfinite(advantages).all():
            raise ValueError("advantages must be finite")
        A = weights * advantages
        return Advantages(*(counts.sequence_table(steps, x)
                            for x in (np.maximum(A, 0), np.minimum(A, 0), weights)))
    return collapse(steps, advantages, np.repeat(weights, np.diff(steps.starts)))
