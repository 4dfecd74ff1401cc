"""How can one batch serve for many steps, none of which goes too far?

*Part 3.  Previous: `surrogate`.  Next: `ppo_kl`.*

The surrogate (surrogate.5) is right to first order around π_old, the policy that played.  Far from
π_old it promises what it cannot keep.  *PPO* (proximal policy optimisation) has the mean of ρ A
over the steps of a batch in its place, without γᵗ.  It takes several steps along this surrogate,
and removes what one could gain by going far.  With clip(ρ, low, high) = min(max(ρ, low), high), the
*clipped surrogate* of N steps is

    L = −(1/N) Σ_n min(ρ_n A_n, clip(ρ_n, 1 − ε, 1 + ε) A_n),   here ε = 0.2.            (ppo.1)

**Two signs, three ranges.**  Divide the minimum by A_n.  Where A_n > 0 it is the smaller one of ρ
and clip(ρ).  Above 1 + ε the clip is smaller, and everywhere else ρ is, or the two are equal: that
makes min(ρ, 1 + ε).  Dividing by A_n < 0 turns a minimum into a maximum: that makes max(ρ, 1 − ε).
In a table, with what the gradient does:

                        ρ < 1 − ε              between         ρ > 1 + ε
    A > 0, a good one   ρ A         alive      ρ A  alive      (1 + ε) A   dead
    A < 0, a bad one    (1 − ε) A   dead       ρ A  alive      ρ A         alive

A good action that has become likelier by more than the factor 1 + ε gains nothing more.  A bad one
whose probability has fallen below 1 − ε times what it was gains nothing more either.  These
gradients are *dead*.  An action that has moved the wrong way is always pulled back.  The share of
dead steps in a batch is the *clip fraction*.  (Counting every step outside the interval would
include those that are pulled back.)

**As tables.**  The minimum is A_n times a factor that depends only on s, a and the sign of A_n.  So
by (surrogate.1) the batch collapses into the sums A⁺ and A⁻ of its positive and negative
advantages:

    L = −(1/N) Σ_{s,a} [min(ρ, 1 + ε) A⁺ + max(ρ, 1 − ε) A⁻].                           (ppo.2)

Since ρ = exp(log π − log π_old), ∂ρ/∂log π = ρ.  At a bound itself the gradient of ρ is taken:

    G = −(ρ/N) (A⁺·1{ρ ≤ 1 + ε} + A⁻·1{ρ ≥ 1 − ε}).                                     (ppo.3)

**In numbers.**  A fair coin played four steps.  By now π = 0.7 0.3, so ρ = 1.4 for head and 0.6 for
tail, and ε = 0.2.  So no step is in the middle column of the table above, and the other four cells
have one step each:

    step    A    ρ A     clip(ρ) A   minimum   gradient
    head    2    2.8     2.4         2.4       dead
    head   −1   −1.4    −1.2        −1.4       alive
    tail    1    0.6     0.8         0.6       alive
    tail   −1   −0.6    −0.8        −0.8       dead

The minima sum to 0.8, so L = −0.8/4 = −0.2.  In tables A⁺ = 2 1 and A⁻ = −1 −1.  By (ppo.3), G is
−(1.4/4)(−1) = 0.35 for head and −(0.6/4)(1) = −0.15 for tail.  ΣG = 0.2, and (softmax.3) gives
0.35 − 0.7 · 0.2 = 0.21: descent lowers head, although heads earned more than tails.

>>> from minirl.play.surrogate import Advantages
>>> batch = Advantages(np.array([[2., 1.]]), np.array([[-1., -1.]]), 4.0)
>>> loss, grad = ppo_loss(np.log([[0.7, 0.3]]), np.log([[0.5, 0.5]]), batch, clip_range=0.2)
>>> print(round(loss, 4), grad.round(4))
-0.2 [[ 0.21 -0.21]]

**The first step** is that of `actor_critic`.  At π = π_old ρ is 1, nothing is clipped, and A⁺ + A⁻
is the sum W of (reinforce.3).  G is −W/N here and −W/B there, so for the two gradients

    N · (gradient of ppo) = B · (gradient of reinforce).                                (ppo.4)

**An iteration** of `ppo` is

    1. `play`         B episodes under π_old, which stays as it is until the iteration ends;
    2. `judge`        the critic judges each step and learns (`actor_critic`); the advantages are
                      divided by their size in the whole batch, (actor_critic.3);
    3. `epochs`       the tables A⁺ and A⁻ of the batch, `n_epochs` times; or of its minibatches of
                      `batch_size` whole episodes, drawn anew in each epoch;
    4. `ppo_loss`,    for each of these tables: the gradient of (ppo.1) − ent_coef (1/N) Σ_n H(s_n),
       `policy_step`  and a step of Adam; if `target_kl` is given, no more steps once `mean_kl`,
                      (surrogate.2), is above 1.5 times that;
    5. `next_record`  with the metrics: (surrogate.2), (surrogate.3) and the clip fraction.

**What it costs.**  The clip removes an incentive, and is no fence.  Four things carry ρ past the
bound: Adam's running mean m, the steps of other actions in the same state, the entropy bonus, and
one long step (exercise 2).  After one iteration from random play on the 4x4 lake ρ lies between
0.60 and 1.41.  Take the cliff table of `surrogate` again, and clip ρ A in (surrogate.5) as in
(ppo.1).  What is promised then rises from −1072 to −595, where the way is 3, and falls beyond it.
Without the clip it rose to 1219.

**The defaults** are one set for every world in this book: ten epochs of the full batch, Adam at
0.06 falling to nearly nothing, and an entropy bonus that falls from 0.3 per nat to zero over the
first half of `iterations`.  (The unit is that of the normalised advantages.)  With γ = 0.99 and 400
iterations, the worst of twenty runs reaches 99.7 % of the optimum on the slippery 4x4 lake, 99.1 %
on the 8x8 one with 1,024 episodes per iteration, −12.249 on the cliff, where −12.248 is best, and
99.97 % of the way from the reference to J* in the running example.  On the 4x4 lake the worst of
twenty runs of 50 iterations, the schedules shortened with them, reaches 91 %, and of 100 iterations
96 %.  The bonus matters.  Without it thirteen of twenty runs on the 4x4 lake stop at 98.2 %: a
policy that is nearly deterministic has nearly no gradient.  (The others reach 99.95 %, more than
with it.)  On the cliff a bonus of 0.1 is too small: all twenty runs stay on a detour, at −14.

**Two policies that are not one.**  π_old played this batch, and changes in each iteration.  The
reference π_ref is where training began, and PPO does not know it.  In Part 4 π_ref enters through
the reward.  The two coincide in the first iteration of a run only.

**Without γᵗ.**  Like REINFORCE and A2C, PPO drops the factor γᵗ.  It also divides by N, the number
of steps, where REINFORCE divides by B, the number of episodes.  So what it climbs is the mean
advantage of a step drawn from the batch.

**Exercises.**  `from minirl.play.ppo import *; from minirl.play.surrogate import Advantages`
1. A head was bad, and its ratio is 1.5 by now.  Is its gradient dead?
       bad = Advantages(np.zeros((1, 2)), np.array([[-1., 0.]]), 1.0)
       ppo_loss(np.log([[0.75, 0.25]]), np.zeros((1, 2)), bad)[1].round(3)
2. One good head, and 1,000 small steps.  Where do they end?  And after one step at the rate 9?
       old, good = np.zeros((1, 2)), Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 1.0)
       logits = old
       for _ in range(1000): logits = logits - 0.01 * ppo_loss(logits, old, good)[1]
       np.exp(log_softmax(logits)).round(2)
       np.exp(log_softmax(old - 9 * ppo_loss(old, old, good)[1])).round(2)
3. How far have these two gone, in nats, by (surrogate.2)?
       round(mean_kl(np.log([[0.6, 0.4]]), np.zeros((1, 2)), np.array([1.0])), 2)
       round(mean_kl(np.array([[4.5, -4.5]]), np.zeros((1, 2)), np.array([1.0])), 2)

Read next: `ppo_kl`, which charges for the distance.
Source: Schulman et al. 2017, "Proximal policy optimization algorithms", arXiv:1707.06347, eq. 7.
"""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.play.actor_critic import judge
from minirl.play.optim import adam, at, coefficient, linear, remaining
from minirl.play.training import Training, environment_rewards, next_record, play, policy_step
from minirl.kernel.softmax import LogPolicy, backward, log_softmax
from minirl.play.surrogate import (Advantages, approximate_kl, clip_fraction, collapse, mean_kl,
                                   minibatches, ratios, steps_in)

# The default schedules: both fall in a straight line, the bonus to zero at half of the iterations.
LEARNING_RATE, ENT_COEF = linear(0.06, 0.0001), linear(0.3, 0.0, 0.5)


def ppo_loss(logits, old_logits, batch, *, clip_range=0.2):
    """The loss (ppo.2), to be minimised, and its gradient in `logits`.

    It is minus a mean over the N steps of the batch, in units of the advantages.

    Parameters
    ----------
    logits, old_logits : (S, A) float
        The policy θ, and the policy that played the batch.  If the latter stays the same for many
        losses, give a `softmax.LogPolicy` of its log π, which is then computed only once.
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
    gains, losses, low, high = batch.gains, batch.losses, 1 - clip_range, 1 + clip_range
    loss = -(np.minimum(ratio, high) * gains + np.maximum(ratio, low) * losses).sum() / N
    G = ratio * (gains * (ratio <= high) + losses * (ratio >= low)) / -N  # (ppo.3)
    return loss, backward(logp, G)


def ppo(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200, iterations=400,
        n_epochs=10, batch_size=None, clip_range=0.2, gae_lambda=0.95, normalize_advantage=True,
        learning_rate=LEARNING_RATE, ent_coef=ENT_COEF, max_grad_norm=np.inf, target_kl=np.inf,
        value_rate=0.5, optimiser=adam(), observe=None, loss=ppo_loss) -> Iterator[Training]:
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
        No further step is taken on a batch once its `mean_kl` is more than 1.5 times this, which is
        the factor of Spinning Up and Stable-Baselines3.  They compare a sampled estimate with it.
    observe : callable, optional
        `observe(rollout, logp) -> dict`: further metrics of the batch, which is not kept.
    loss : callable
        `loss(logits, old_logits, batch, clip_range=ε) -> (loss, grad)`, as `ppo_loss` is.

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
            _, grad = loss(logits, old, part, clip_range=epsilon)
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


def epochs(batch, advantages, *, n_epochs, batch_size, counted=False) -> Iterable[Advantages]:
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
