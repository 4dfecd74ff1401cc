"""What may be subtracted from a return, what does it cost, and what does it save?

*Part 3.  Previous: `reinforce`.  Next: `actor_critic`.*

REINFORCE judges a step by C_t − baseline_t, a credit minus a baseline (reinforce.2).  The credit is
R_t, what the episode earned from t on, or R_0, all that it earned.  A baseline that depends neither
on the action nor on what follows from it leaves the mean of the estimate alone.  A good one takes
away most of its noise.

**In numbers.**  A game ends after one throw of an uneven coin.  Head has the probability ¾ and pays
3; tail has ¼ and pays 1.  Look at the derivative in the logit of head.  The *score of an episode*
is the gradient of its log-probability (not the `Score` of `scorecard`).  Here it is ∇ log π of the
one throw, which by (softmax.2) has the entry 1 − ¾ = ¼ for head, and 0 − ¾ = −¾ for tail.  An
estimate from one throw is the reward minus a constant c, times the score:

    c      head: (3 − c) · ¼    tail: (1 − c) · (−¾)    mean    variance
    0             3/4                  −3/4             3/8     27/64
    2.5           1/8                   9/8             3/8     12/64
    1.5           3/8                   3/8             3/8      0

The mean is ¾ of the first number plus ¼ of the second.  It is right for each c: π(head) grows by
¾ · ¼ per unit of the logit, head pays 2 more than tail, and ¾ · ¼ · 2 = 3/8.  The variance is the
mean of the squares minus the square of the mean, at c = 0 for example 9/16 − 9/64 = 27/64:

>>> pays, chance, score = np.array([3., 1.]), np.array([0.75, 0.25]), np.array([0.25, -0.75])
>>> for c in 0.0, 2.5, 1.5:
...     g = (pays - c) * score
...     print(c, g, chance @ g, chance @ g**2 - (chance @ g)**2)
0.0 [ 0.75 -0.75] 0.375 0.421875
2.5 [0.125 1.125] 0.375 0.1875
1.5 [0.375 0.375] 0.375 0.0

The mean return, ¾ · 3 + ¼ · 1 = 2.5, is better than nothing here, and not the best constant.  Tail
is rare, but its score is three times as long: its errors count more than its share of the throws.

**Six of them.**  In code a baseline is a function, and an argument of `reinforce`:

    no_baseline        0                                             unbiased
    constant_baseline  a number chosen beforehand                    unbiased
    value_baseline     V(s_t), learned in earlier iterations         unbiased
    optimal_constant   the best number, from the other episodes      unbiased
    leave_one_out      the mean of the other episodes at the same t  unbiased
    batch_mean         the mean of the whole batch at the same t     (B − 1)/B of the gradient

**The mean over the batch** contains the episode's own credit, and that does depend on the action.
Let a batch have B episodes, and let C_i be the credit of the i-th one at a time t.  The mean of all
is C_i/B plus (B − 1)/B times the mean of the others.  So

    C_i − mean of all = (B − 1)/B · (C_i − mean of the others).                        (baselines.1)

The others know nothing of the action: subtracting their mean leaves the estimate unbiased.  The
mean of all gives exactly (B − 1)/B of that, a shorter step in the right direction.  This holds if
an episode that has ended still counts at every later t (`ended`): with a reward-to-go of 0, or with
its whole return.  If k episodes are still going at t, a mean over these alone gives (k − 1)/k of
what t contributes.  As k falls with t, late steps are shortened more than early ones, and the
direction turns.

**The best constant.**  Let z = Σ_t w_t ∇ log π(a_t|s_t) be the score of an episode, its steps
weighted, and g the same sum with each term times C_t.  The estimate with the constant c is g − c z.
Its mean is E[g], since E[z] = 0 by (reinforce.4).  Its variance, summed over the entries, is the
mean of |g − c z|² minus |E g|².  Multiply out, where ⟨g, z⟩ sums the products of the entries of g
and z:

    E|g|² − 2c E⟨g, z⟩ + c² E|z|² − |E g|²,   least at   c = E⟨g, z⟩ / E|z|².          (baselines.2)

It is a parabola in c, lowest where its derivative −2 E⟨g, z⟩ + 2c E|z|² is zero.  For the whole
return g = R_0 z, and so c = E[|z|² R_0] / E|z|².  That is a mean return in which each episode
counts by |z|², by how much it would move the policy.  In the example head weighs ¾ · 1 and tail
¼ · 9, which is 1 to 3, so that c = (1 · 3 + 3 · 1)/4 = 1.5.

This is the mean return itself only where |z|² and the return have nothing to do with each other.
Weaver and Tao study an endless stream of rewards in which that is so in the limit.

**What it saves.**  This is the exact variance of an estimate of ∇J from 32 episodes on the thin ice
of `reinforce`, summed over all logits.  ∇J is 0.077 long.  J and the optimal constant (baselines.2)
are known here; `optimal_constant` has to estimate it:

    baseline           R_0        γᵗ R_t
    none               0.0382     0.0248
    constant J         0.0051     0.0067
    optimal constant   0.0050     0.0057
    mean of batch      0.0050     0.0058      shorter by 1/32
    leave one out      0.0053     0.0062
    true V             0.0058     0.0038

Without a baseline the reward-to-go is the less noisy credit, as one expects.  With the constants
and the two means, which do not look at the state, the order is reversed.  With V it is as expected
again: V(s_t) foresees R_t, and not R_0.  The best of all is R_t with V.  A learned V is not the
true one.  As a baseline it is unbiased all the same, and only its savings are smaller.

**Exercises.**  `from minirl.play.baselines import *; from minirl.kernel.mdp import coin_game;
from minirl.kernel.playing import rollout`
1. A head has the probability 0.9 and pays 1; a tail pays 0.  How noisy is the estimate without a
   baseline, and with the mean return of 0.9?
       chance, score = np.array([0.9, 0.1]), np.array([0.1, -0.9])
       [round(float(chance @ g**2 - (chance @ g)**2), 4)
        for g in (score * [1.0, 0.0], score * [0.1, -0.9])]
2. A batch is a single episode.  What does it teach with its own mean as a baseline?
       one = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(1, int), horizon=3, rng=0)
       one.rewards - batch_mean(one.rewards, np.zeros(1), None, one, None)
3. Two throws have the credits 4 and 6.  What is left of them with either mean?
       two = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=1, rng=0)
       np.array([4., 6.]) - batch_mean(np.array([4., 6.]), np.zeros(2), None, two, None)
       np.array([4., 6.]) - leave_one_out(np.array([4., 6.]), np.zeros(2), None, two, None)

Read next: `actor_critic`, which does not wait for the end of an episode.
Source: Greensmith, Bartlett and Baxter 2004, "Variance reduction techniques for gradient estimates
in reinforcement learning", for (baselines.2); Weaver and Tao 2001, "The optimal reward baseline for
gradient-based reinforcement learning"; Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline
for free!", for leaving one out.
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import backward


def batch_mean(credits, ended, scale, batch, record):
    """The mean of C_t over all B episodes, those that have ended included: (N,).

    Biased: by (baselines.1) the expected gradient is (B − 1)/B of the right one.  The arguments are
    those of `reinforce.value_baseline`.

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
    z = scores(batch, scale, record.logp)
    g = scores(batch, scale * credits, record.logp)
    product, length = _of_others((g * z).sum(axis=(1, 2))), _of_others((z * z).sum(axis=(1, 2)))
    return batch.spread(np.divide(product, length, out=np.zeros_like(length), where=length > 0))


def no_baseline(credits, ended, scale, batch, record):
    """The baseline that is zero.  Unbiased.

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
