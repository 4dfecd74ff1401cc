"""Baselines: what to subtract from a return, what it costs and what it saves.

*Part 3.  Previous: `reinforce`.  Next: `actor_critic`.*

REINFORCE judges an action by C_t − b_t, a credit minus a baseline (reinforce.2).  The credit is
what the episode earned from t on, or all that it earned.  Any b_t that does not depend on the
action leaves the expectation alone; a good one takes away most of the noise.  A baseline is a
function here, and an argument of `reinforce`.  Beside `reinforce.value_baseline`,

    value_baseline     V(s_t), learned in earlier iterations         unbiased

there are five that need no value table:

    no_baseline        0                                             unbiased
    constant_baseline  a number chosen beforehand                    unbiased
    optimal_constant   the best number, estimated from the others    unbiased
    batch_mean         the mean over the batch, of the same t        (B − 1)/B of the gradient
    leave_one_out      the mean over the others, of the same t       unbiased

The mean over the batch contains the episode's own credit, and that does depend on the action.  For
B episodes

    C_i − mean of all = (B − 1)/B · (C_i − mean of the others),                        (baselines.1)

so its expectation is exactly (B − 1)/B of the right one: a shorter step in the right direction.
This holds if an episode that has ended still counts at every later t (`ended`): with a reward-to-go
of zero, or with its whole return.  A mean over the n episodes still alive, the own one among them,
gives (n − 1)/n of each time step by itself.  Since n falls with time, that turns the direction as
well.

Which constant is best?  Let g be the score of an episode, Σ_t w_t ∇ log π(a_t|s_t), where w_t is γᵗ
or 1, and h the same sum with the credits inside.  Since E[g] = 0, the variance of h − b g is

    E|h|² − 2b E⟨h, g⟩ + b² E|g|² − |E h|²,   least at   b = E⟨h, g⟩ / E|g|².          (baselines.2)

For the whole return that is E[|g|² G_0] / E|g|²: not the mean return, but a mean in which episodes
count by how much they would move the policy.

Read first: `reinforce`.  Read next: `actor_critic`.  The exact variance of each, in a small world,
is in `python -m minirl estimators`.
Source: Weaver and Tao 2001, "The optimal reward baseline for gradient-based reinforcement
learning"; Greensmith et al. 2004, "Variance reduction techniques for gradient estimates in
reinforcement learning"; Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!".
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward


def batch_mean(credits, ended, scale, batch, record):
    """The mean of C_t over all B episodes, those that have ended included: (N,).

    Biased: by (baselines.1) the expected gradient is (B − 1)/B of the right one.

    Examples
    --------
    Two games, the first of which is over after one toss:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> games = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(2, int), horizon=2, rng=2)
    >>> print(games.starts, batch_mean(np.array([4., 6., 3.]), np.zeros(2), None, games, None))
    [0 1 3] [5.  5.  1.5]
    """
    return _of_the_same_time(credits, ended, batch) / batch.truncated.size


def leave_one_out(credits, ended, scale, batch, record):
    """The mean of C_t over the other B − 1 episodes: (N,).  Unbiased.

    Examples
    --------
    The games of `batch_mean`:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> games = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(2, int), horizon=2, rng=2)
    >>> print(leave_one_out(np.array([4., 6., 3.]), np.zeros(2), None, games, None))
    [6. 4. 0.]
    """
    return (_of_the_same_time(credits, ended, batch) - credits) / _others(batch)


def optimal_constant(credits, ended, scale, batch, record):
    """The constant (baselines.2), for each episode estimated from all the others: (N,).  Unbiased.

    It is the same for all steps of an episode.

    Zero where the others have no score at all, as under a deterministic policy.  With few episodes
    the estimate is noisy itself.

    Examples
    --------
    Three tosses of a fair coin, one head that pays 1; every toss moves the policy equally far:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> from minirl.play.training import start
    >>> toss = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(3, int), horizon=1, rng=2)
    >>> print(toss.rewards, optimal_constant(toss.rewards, None, np.ones(3), toss,
    ...                                      start(np.zeros((1, 2)), rng=0)))
    [0. 1. 1.] [1.  0.5 0.5]
    """
    _others(batch)
    g = scores(batch, scale, record.logp)
    h = scores(batch, scale * credits, record.logp)
    product, length = _of_others((h * g).sum(axis=(1, 2))), _of_others((g * g).sum(axis=(1, 2)))
    return batch.spread(np.divide(product, length, out=np.zeros_like(length), where=length > 0))


def no_baseline(credits, ended, scale, batch, record):
    """b = 0.  Unbiased; for the arguments see `reinforce.value_baseline`.

    Examples
    --------
    >>> no_baseline(np.array([4., 6.]), None, None, None, None)
    0.0
    """
    return 0.0


def constant_baseline(value):
    """The baseline that is `value` everywhere.  Unbiased, if it was chosen before playing.

    Examples
    --------
    >>> constant_baseline(5.0)(np.array([4., 6.]), None, None, None, None)
    5.0
    """
    checks.finite("value", value)
    return lambda credits, ended, scale, batch, record: value


def scores(batch, weights, logp):
    """Σ_t weights_t ∇ log π(a_t|s_t) of each episode by itself: (B, S, A).

    Their sum is minus B times the gradient of `reinforce_loss`.

    Parameters
    ----------
    batch : playing.Rollout
        B episodes.
    weights : (N,) float
        One number per step.
    logp : (S, A) float
        log π.

    Examples
    --------
    Two games of three heads each, scored as those of a fair coin:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> game = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=3, rng=0)
    >>> print(scores(game, np.ones(6), np.log([[0.5, 0.5]])))
    [[[ 1.5 -1.5]]
    <BLANKLINE>
     [[ 1.5 -1.5]]]
    """
    checks.shape("weights", weights, batch.states.shape)
    (S, A), B = logp.shape, batch.truncated.size
    entry = (batch.episode * S + batch.states) * A + batch.actions
    return backward(logp, np.bincount(entry, weights, B * S * A).reshape(B, S, A))


def _of_the_same_time(credits, ended, batch):
    """For each step the sum of C_t, of the same t, over all episodes: (N,)."""
    checks.shape("credits", credits, batch.states.shape)
    ended = checks.array("ended", ended, batch.truncated.shape)
    living = np.bincount(batch.time, credits)
    over = np.bincount(batch.lengths, ended).cumsum()[:-1]  # of those that have ended by t
    return (living + over)[batch.time]


def _others(batch):
    """B − 1, if there are others."""
    if batch.truncated.size < 2:
        raise ValueError("episodes must be at least 2 to leave one out, got 1")
    return batch.truncated.size - 1


def _of_others(x):
    """For each entry the sum of all others: those before plus those after.

    The sum of all minus the own one would lose every digit where one entry is nearly the sum.
    """
    return np.append(0, np.cumsum(x[:-1])) + np.append(np.cumsum(x[:0:-1])[::-1], 0)
