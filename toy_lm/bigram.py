"""The bigram language model: a table policy that writes.

A bigram model knows one thing, the probability of the next character given the last one.  That is a
softmax table π(a|s) with the last character as the state and the next one as the action, and
writing is acting: the transition is deterministic, s' = a, and choosing the end symbol ends the
episode.  So a language model *is* a policy, and `language` makes the world in which it acts.

    log π(y) = Σ_t log π(y_t | y_{t−1}),  the end symbol included.                        (bigram.1)

This is a sum, not a mean: the mean over letters is another quantity, the negative likelihood per
character −(1/N) Σ log π, in nats, whose exponential is the perplexity.  `sft.sft_loss` computes it.

Sampling is playing: `sample` is a rollout in that world.  A rollout needs a horizon, and a string
cut by it has no end symbol; the cut ones are counted, not hidden.

Read first: `vocabulary`, `minirl.mdp`.  Read next: `rewards`.
Source: Shannon 1948, "A mathematical theory of communication", §3; Bengio et al. 2003.
"""

import numpy as np

from minirl import mdp
from minirl.sampling import generator
from minirl.softmax import log_softmax

HORIZON = 1000  # longer strings are cut; far beyond any word, and no cost where strings end


def language(rewards):
    """The world in which a bigram model acts, from a reward table.

    Parameters
    ----------
    rewards : (A, A) float
        Reward for writing symbol a after symbol s; symbol 0 is the start and the end.

    Returns
    -------
    TabularMDP
        With S = A states, one outcome an action, and gamma 1.

    Raises
    ------
    ValueError
        If the table is not square or not finite.

    Examples
    --------
    >>> world = language(np.zeros((3, 3)))
    >>> world.next_state[1].ravel().tolist(), world.terminated[1].ravel().tolist()
    ([0, 1, 2], [True, False, False])
    """
    A = len(rewards)
    if rewards.shape != (A, A):
        raise ValueError(f"rewards must be a square table, got {rewards.shape}")
    following = np.tile(np.arange(A)[:, None], (A, 1, 1))
    return mdp.TabularMDP(next_state=following, prob=np.ones((A, A, 1)),
                          reward=rewards[:, :, None], terminated=following == 0,
                          start=(np.arange(A) == 0).astype(float), gamma=1.0)


def sample(logits, strings, *, rng, horizon=HORIZON):
    """Draw `strings` strings from the model, as `counts.Steps`.

    Parameters
    ----------
    logits : (A, A) float
    strings : int ≥ 1
    rng : Generator or seed
    horizon : int ≥ 1
        Strings are cut after this many steps, and then have no end symbol.

    Raises
    ------
    ValueError
        If the table is not square, or a number is not positive.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> steps = sample(np.zeros((3, 3)), 4, rng=0)
    >>> Vocabulary("no").decode(steps)
    ['oo', 'o', 'no', 'o']
    """
    world = language(np.zeros(logits.shape))
    rng = generator(rng)
    starts = mdp.start_states(world, strings, rng)
    return mdp.rollout(world, np.exp(log_softmax(logits)), starts,
                       horizon=horizon, rng=rng).steps(world.shape)
