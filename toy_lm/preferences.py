"""Preference data: pairs of strings, and a person who prefers one of them.

Nobody can say how good a name is on a scale from 0 to 100 and mean the same tomorrow.  Comparing
two is easier.  So the data for alignment are pairs: two strings are drawn from the reference model,
and a rater says which is better.  Our rater is simulated by the Bradley–Terry model with a reward
that we know,

    P(first preferred) = σ((r(y₁) − r(y₂)) / temperature),                           (preferences.1)

so that everything learned from the pairs can be compared with the truth.  A rater of temperature 1
errs often where the rewards are close; one of temperature near 0 never does.

Two equal strings are possible.  Such a pair carries no information, and the number of them is
reported.

Read first: `bigram`, `rewards`.  Read next: `minirl.reward_model`, which undoes (preferences.1).
Source: Bradley and Terry 1952; Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, §3.
"""

from typing import NamedTuple

import numpy as np

from minirl import counts
from minirl.sampling import generator
from minirl.softmax import log_sigmoid
from toy_lm.bigram import sample


class Preferences(NamedTuple):
    """B pairs of strings: string i of `chosen` was preferred to string i of `rejected`."""

    chosen: counts.Steps
    rejected: counts.Steps

    @property
    def identical(self):
        """How many pairs consist of one string twice."""
        same = np.flatnonzero(np.diff(self.chosen.starts) == np.diff(self.rejected.starts))
        ours, theirs = counts.select(self.chosen, same), counts.select(self.rejected, same)
        owner = np.repeat(np.arange(same.size), np.diff(ours.starts))
        differences = np.bincount(owner, ours.index != theirs.index, minlength=same.size)
        return int((differences == 0).sum())


def sample_pairs(logits, rewards, pairs, *, rng, temperature=1.0):
    """Draw pairs of strings from a model and let the rater of (preferences.1) choose.

    Parameters
    ----------
    logits : (A, A) float
        The model that writes, usually the reference.
    rewards : (A, A) float
        The rater's own reward table.
    pairs : int ≥ 1
    rng : Generator or seed
    temperature : float > 0
        Units of reward.  The larger, the more often the rater prefers the worse string.

    Returns
    -------
    Preferences

    Raises
    ------
    ValueError
        If a number is not positive or the tables differ in shape.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> words, longer_is_better = Vocabulary("no"), np.array([[0., 9, 9], [0, 9, 9], [0, 9, 9]])
    >>> data = sample_pairs(np.zeros((3, 3)), longer_is_better, 3, rng=0)
    >>> words.decode(data.chosen), words.decode(data.rejected), data.identical
    (['ono', 'n', 'oonononnn'], ['n', 'o', ''], 0)
    """
    if rewards.shape != logits.shape:
        raise ValueError(f"rewards must have the shape of logits, {logits.shape}, "
                         f"got {rewards.shape}")
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    rng = generator(rng)
    strings = sample(logits, 2 * pairs, rng=rng)
    reward = (counts.matrix(strings) @ rewards.ravel()).reshape(pairs, 2)
    log_chance = log_sigmoid((reward[:, 0] - reward[:, 1]) / temperature)
    loses = (np.log(1 - rng.random(pairs)) > log_chance).astype(int)  # 0: the first is chosen
    first = 2 * np.arange(pairs)
    return Preferences(counts.select(strings, first + loses),
                       counts.select(strings, first + 1 - loses))
