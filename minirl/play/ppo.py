"""PPO: many steps from one batch, none of them too far.

REINFORCE uses a batch once and throws it away, since (reinforce.1) holds only for the policy that
played it.  Playing is expensive.  Importance sampling corrects for the difference: with the ratio
ρ[s, a] = π(a|s)/π_old(a|s), where π_old played, E[ρ A] is right to first order around π_old.  At ρ
= 1, N times its gradient is B times that of REINFORCE: the mean here is over N steps, not over B
episodes.  But far from π_old it promises what it cannot keep.  PPO takes away the incentive to go
far: the *clipped surrogate* of a batch of N steps is

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

Where a bracket is zero the gradient is dead; at a bound itself the gradient of ρ is taken.  The
share of steps with a dead gradient is the *clip fraction*; counting every step outside the
interval, as some libraries do, would also count those that are being pulled back.

**How far did it go?**  The distance of a batch's new policy from the old one is a mean over the N
steps, exact over the actions, where N[s] counts the steps in s,

    (1/N) Σ_s N[s] KL(π_old(·|s) ‖ π(·|s)).                                                  (ppo.4)

A library that has no table estimates it from the steps,

    (1/N) Σ_n (ρ_n − 1 − log ρ_n),                                                           (ppo.5)

which has the right mean over actions drawn from π_old if π does not depend on them.  Here π was
trained on them, so with few episodes it comes out a little too large.  Both are reported, and
(ppo.4) can stop the epochs early.

**An iteration.**  The critic of `actor_critic` judges the batch and learns from it.  Advantages are
divided by their size in the whole batch, (actor_critic.3), so that one learning rate and one
entropy coefficient serve every reward scale.  Then come `n_epochs` passes over the batch, in
minibatches of whole episodes if `batch_size` says so.  The gradient of the batch is the mean of
those of its minibatches, weighted by their numbers of steps.  The tables of all minibatches of an
epoch are made at once.

**The defaults** are one set for every world in this book: 400 iterations of ten full-batch epochs,
Adam at 0.05 annealed to zero, an entropy bonus of 0.3 per normalised advantage annealed to zero
over the first half.  With γ = 0.99 they come within 1 % of the optimum on both slippery lakes (with
1,024 episodes an iteration on the 8x8 one), above −14 on the cliff, and to 99 % of J* − J(ref) on
the language model, for each of twenty seeds.  Without the entropy bonus seven of twenty runs on the
4x4 lake stop at 98.2 % of the optimum, near a saddle: a policy that is nearly deterministic has
nearly no gradient.  (Most of the others come closer than with it, to 99.95 %.)

**Which objective?**  Like A2C, PPO drops γᵗ, and it divides by steps besides.  What it climbs is
the advantage of a step taken at random from those of the batch.  For γ near 1 that leads nearly the
way of ∇J, and in a world without ends nearly the way of the gradient of the reward per step.

Lecture notes often put the reference policy of RLHF where PPO has the old one.  They are two
policies.  π_old is the one that played this batch and changes every iteration; π_ref is the one
before training and never changes.  PPO knows nothing of π_ref.  In RLHF the reference enters
through the reward (`rlhf`).

Read first: `actor_critic`.  Compare: `ppo_kl`, which charges for the distance.  Read next: `rlhf`.
Source: Schulman et al. 2017, "Proximal policy optimization algorithms", arXiv:1707.06347, eq. 7;
Kakade and Langford 2002, "Approximately optimal approximate reinforcement learning", and
Schulman et al. 2015, "Trust region policy optimization", arXiv:1502.05477, on the first order; J.
Schulman 2020, "Approximating KL divergence", joschu.net/blog/kl-approx.html, for (ppo.5).
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import counts
from minirl.play.actor_critic import judge
from minirl.kernel.mdp import check_count
from minirl.play.optim import adam, at, linear
from minirl.play.reinforce import environment_rewards, play, policy_step
from minirl.kernel.sampling import generator
from minirl.kernel.softmax import backward, entropy, kl, log_softmax

LEARNING_RATE, ENT_COEF = linear(0.05, 0.0, 400), linear(0.3, 0.0, 200)  # by default


class Advantages(NamedTuple):
    """A batch of N steps, collapsed as in (ppo.2)."""

    gains: np.ndarray   # (S, A) U, sum of the positive advantages
    losses: np.ndarray  # (S, A) V, sum of the negative ones
    counts: np.ndarray  # (S, A) number of steps; their sum is N

    @property
    def visits(self):
        """N[s], the number of steps in each state: (S,)."""
        return self.counts.sum(axis=1)


def collapse(steps, advantages, weights=None):
    """The tables of (ppo.2) from N steps and their advantages.

    Parameters
    ----------
    steps : counts.Steps
        N steps.
    advantages : (N,) float
    weights : (N,) float ≥ 0, optional
        How much each step counts, in all three tables; by default one.

    Returns
    -------
    Advantages

    Raises
    ------
    ValueError
        If there is no step, the advantages are not one finite number a step, or the table has
        2³⁰ pairs or more.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 1]), np.array([0, 2]), (1, 2))
    >>> batch = collapse(two, np.array([3., -1.]))
    >>> print(batch.gains, batch.losses, batch.counts)
    [[0. 3.]] [[ 0. -1.]] [[0. 2.]]
    """
    key, number = _by_sign(steps, advantages), counts.table(steps, weights)
    if weights is not None:
        advantages = advantages * weights
    sums = _finite(counts.add_up(key, 2 * number.size, advantages))
    return Advantages(*sums.reshape(2, *steps.shape), number)


def minibatches(steps, advantages, epochs):
    """`collapse` for parts of a batch, epoch after epoch: yields one `Advantages` for each part.

    Parameters
    ----------
    steps : counts.Steps
        N steps of B episodes.
    advantages : (N,) float
    epochs : iterable of (B,) int
        For each epoch, the part each episode belongs to, from 0 upwards.

    Raises
    ------
    ValueError
        If the parts are not one number an episode, a part has no step, the advantages are not
        one finite number a step, or the tables of all parts together have 2³⁰ pairs or more; when
        the epoch begins.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 0]), np.array([0, 1, 2]), (1, 2))
    >>> for batch in minibatches(two, np.array([3., -1.]), [np.array([1, 0])]):
    ...     print(batch.gains, batch.losses, batch.counts)
    [[0. 0.]] [[-1.  0.]] [[1. 0.]]
    [[0. 3.]] [[0. 0.]] [[0. 1.]]
    """
    signed, lengths = _by_sign(steps, advantages), np.diff(steps.starts)
    size = 2 * steps.shape[0] * steps.shape[1]
    for parts in epochs:
        if parts.shape != lengths.shape or parts.min() < 0 or parts.max() >= lengths.size:
            raise ValueError(f"parts must be {lengths.size} numbers in [0, {lengths.size}), "
                             f"got {parts}")
        number = int(parts.max()) + 1
        _check_size(number, steps.shape)
        # A step's key moves on by two tables for every part before its own.
        key = np.repeat(size * parts.astype(np.int32), lengths)
        key += signed
        sums, numbers = (counts.add_up(key, number * size, x).reshape(number, 2, *steps.shape)
                         for x in (advantages, None))
        numbers = numbers.sum(axis=1)
        if not numbers.any(axis=(1, 2)).all():
            raise ValueError(f"every part up to {number - 1} must have a step, got {parts}")
        for (gains, losses), count in zip(_finite(sums), numbers):
            yield Advantages(gains, losses, count)


def _by_sign(steps, advantages):
    """The key of each step in two tables, one after the other: gains, then losses; (N,) int32."""
    if advantages.shape != steps.index.shape or steps.index.size == 0:
        raise ValueError(f"advantages must have shape {steps.index.shape} and not be empty, "
                         f"got {advantages.shape}")
    _check_size(1, steps.shape)
    key = np.multiply(advantages < 0, steps.shape[0] * steps.shape[1], dtype=np.int32)
    key += steps.index
    return key


def _check_size(parts, shape):
    if 2 * parts * shape[0] * shape[1] >= 2**31:
        raise ValueError(f"gains and losses of all parts are numbered with 32 bits, "
                         f"got {parts} parts of {shape[0] * shape[1]} pairs")


def _finite(sums):
    """The same sums.  What is not finite leaves its mark, and there are fewer sums than steps."""
    if not np.isfinite(sums).all():
        raise ValueError("advantages must be finite, and so must their sums")
    return sums


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
    N = steps_in(logits, old_logits, batch)
    logp = log_softmax(logits)
    ratio = ratios(logp, log_softmax(old_logits))
    low, high = 1 - clip_range, 1 + clip_range
    gains, losses = np.minimum(ratio, high) * batch.gains, np.maximum(ratio, low) * batch.losses
    loss = -(gains + losses).sum() / N
    G = -ratio * (batch.gains * (ratio <= high) + batch.losses * (ratio >= low)) / N
    return loss, backward(logp, G)


def steps_in(logits, old_logits, batch):
    """N, the number of steps of a batch, if all tables fit.

    Raises
    ------
    ValueError
        If the shapes disagree or there is no step.

    Examples
    --------
    >>> batch = Advantages(np.zeros((1, 2)), np.zeros((1, 2)), np.array([[1., 2.]]))
    >>> print(steps_in(np.zeros((1, 2)), np.zeros((1, 2)), batch))
    3.0
    """
    if not logits.shape == old_logits.shape == batch.counts.shape:
        raise ValueError(f"old_logits and the batch must have shape {logits.shape}, "
                         f"got {old_logits.shape} and {batch.counts.shape}")
    N = batch.counts.sum()
    if not N > 0:
        raise ValueError("the batch must hold at least one step")
    return N


def ratios(logp, old_logp):
    """ρ of two tables log π, capped where it would overflow: ∞ times nothing is not a number.

    Examples
    --------
    >>> print(ratios(np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])).round(4))
    [[1.8 0.2]]
    """
    return np.exp(np.minimum(logp - old_logp, 700))


def mean_kl(logits, old_logits, visits):
    """(ppo.4), KL(π_old(·|s)‖π(·|s)) over the states of a batch, in nats a step: float.

    Exact for the states that were visited, whatever was done there; `visits` is N[s], (S,).

    Examples
    --------
    >>> round(mean_kl(np.zeros((1, 2)), np.log([[0.9, 0.1]]), np.array([5.0])), 4)
    0.3681
    """
    return float(visits @ kl(log_softmax(old_logits), log_softmax(logits)) / visits.sum())


def approximate_kl(logits, old_logits, number):
    """(ppo.5), the same from the actions that were taken, in nats a step: float.

    `number` (S, A) counts the steps of each pair.

    Examples
    --------
    >>> taken = np.array([[9.0, 1.0]])  # just as often as π_old takes them
    >>> round(approximate_kl(np.zeros((1, 2)), np.log([[0.9, 0.1]]), taken), 4)
    0.3681
    """
    change = log_softmax(logits) - log_softmax(old_logits)
    # e^x − 1 by expm1, which keeps the digits of a small x.
    return float((number * (np.expm1(np.minimum(change, 700)) - change)).sum() / number.sum())


def clipped(ratio, advantages, *, clip_range=0.2):
    """Which steps have a dead gradient in (ppo.3): clipped, on the side that clipping stops.

    Parameters
    ----------
    ratio, advantages : (N,) float
        ρ and A of each step.
    clip_range : float > 0

    Returns
    -------
    (N,) bool
        Not where the advantage is zero: there is nothing to clip.

    Raises
    ------
    ValueError
        If clip_range is not positive.

    Examples
    --------
    >>> clipped(np.array([1.3, 1.3, 0.7, 0.7]), np.array([1., -1., 1., -1.])).tolist()
    [True, False, False, True]
    """
    if not clip_range > 0:
        raise ValueError(f"clip_range must be positive, got {clip_range}")
    dead = np.where(advantages < 0, ratio < 1 - clip_range, ratio > 1 + clip_range)
    return dead & (advantages != 0)


def clip_fraction(logits, old_logits, steps, advantages, *, clip_range=0.2):
    """The share of steps that are `clipped`.

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
    ratio = ratios(log_softmax(logits), log_softmax(old_logits)).ravel()[steps.index]
    return float(clipped(ratio, advantages, clip_range=clip_range).mean())


def update(record, judged, loss, rng, metrics, *, n_epochs, batch_size, learning_rate, ent_coef,
           max_grad_norm, largest_kl, optimiser):
    """The record after the gradient steps on one batch, for both forms of PPO.

    Parameters
    ----------
    record : Training
        Its policy played the batch.
    judged : actor_critic.Judgement
    loss : callable
        `loss(logits, Advantages) -> (loss, grad)`.
    rng : Generator
        Draws the minibatches; its state goes into the new record.
    metrics : dict
        Of the batch so far; those of the policy and the critic are added.
    largest_kl : float > 0
        No step is taken where `mean_kl` is larger.

    The other parameters are those of `ppo`.

    Examples
    --------
    >>> from minirl.play.actor_critic import Judgement
    >>> from minirl.play.optim import gradient_descent
    >>> from minirl.play.reinforce import start
    >>> one = counts.steps(np.array([0]), np.array([0]), np.array([0, 1]), (1, 2))
    >>> record, rng = start(np.zeros((1, 2)), rng=0), np.random.default_rng(0)
    >>> record = update(record, Judgement(one, np.array([4.0]), np.array([1.0]), np.nan),
    ...                 lambda logits, batch: ppo_loss(logits, np.zeros((1, 2)), batch), rng, {},
    ...                 n_epochs=1, batch_size=None, learning_rate=0.1, ent_coef=0.0,
    ...                 max_grad_norm=1.0, largest_kl=np.inf, optimiser=gradient_descent())
    >>> print(record.logits.round(4), record.values)
    [[ 0.0707 -0.0707]] [1.]
    """
    check_count("n_epochs", n_epochs)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    steps, episodes = judged.steps, judged.steps.starts.size - 1
    whole = collapse(steps, judged.advantages)

    if batch_size is None:
        batches = [whole] * int(n_epochs)
    else:
        epochs = (rng.permutation(episodes) // batch_size for _ in range(int(n_epochs)))
        batches = minibatches(steps, judged.advantages, epochs)

    logits, state, updates = record.logits, record.optimiser or optimiser.init(record.logits), 0
    for batch in batches:
        if largest_kl < np.inf and mean_kl(logits, record.logits, whole.visits) > largest_kl:
            break
        _, grad = loss(logits, batch)
        logits, state = policy_step(
            logits, grad, state, batch.visits / batch.visits.sum(), iteration=record.iteration,
            ent_coef=ent_coef, max_grad_norm=max_grad_norm, learning_rate=learning_rate,
            optimiser=optimiser)
        updates += 1

    visits = whole.visits
    metrics["value/explained_variance"] = judged.explained_variance
    metrics["policy/entropy"] = float(visits @ entropy(log_softmax(logits)) / visits.sum())
    metrics["policy/kl"] = mean_kl(logits, record.logits, visits)
    metrics["policy/approxkl"] = approximate_kl(logits, record.logits, whole.counts)
    metrics["policy/updates"] = updates
    return record._replace(iteration=record.iteration + 1, steps=record.steps + steps.index.size,
                           logits=logits, values=judged.values, optimiser=state,
                           rng=rng.bit_generator.state, metrics=metrics)


def ppo(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200, n_epochs=10,
        batch_size=None, clip_range=0.2, gae_lambda=0.95, normalize_advantage=True,
        learning_rate=LEARNING_RATE, ent_coef=ENT_COEF, max_grad_norm=np.inf, target_kl=np.inf,
        value_rate=0.5, optimiser=adam()):
    """Train by (ppo.2), for ever: yields a `reinforce.Training` record an iteration.

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
        Episodes are cut after this many steps; the critic stands for what would have followed.
    n_epochs : int ≥ 1
        Passes over each batch.
    batch_size : int ≥ 1, optional
        *Episodes* in a minibatch, not steps as in Stable-Baselines3, drawn anew in every epoch; the
        last may be smaller.  By default there is one gradient step an epoch, on all of them.
    clip_range : float > 0, or function of the iteration number
        ε.
    gae_lambda : float in [0, 1]
        λ of (returns.3), for the advantages and for the critic's targets.
    normalize_advantage : bool
        Whether to apply (actor_critic.3), over the whole batch; Stable-Baselines3 does it in each
        minibatch, and subtracts the mean.
    learning_rate, ent_coef : float, or function of the iteration number
        Step size, and the weight of `entropy_loss` over the states of a minibatch, in the units of
        the advantages per nat.  The defaults fall to zero in 400 and 200 iterations.
    max_grad_norm : float > 0
        M of (optim.4), for each gradient step.
    target_kl : float > 0
        No further step is taken on a batch once its `mean_kl` is more than 1.5 times this, the
        factor of most libraries.
    value_rate : float in [0, 1]
        How far the critic moves towards the mean λ-return of each state.
    optimiser : Optimiser

    Yields
    ------
    Training
        Its `metrics` are those of `actor_critic`, and of this batch under the new policy:
        `policy/kl` (`mean_kl`), `policy/approxkl` (`approximate_kl`), `policy/clipfrac`
        (`clip_fraction`) and `policy/updates`, the number of gradient steps.

    Raises
    ------
    ValueError
        If an argument is out of range, at the first iteration.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.reinforce import start
    >>> for record in ppo(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)):
    ...     if record.iteration == 5: break
    >>> print(np.exp(log_softmax(record.logits)).round(1))
    [[1. 0.]]
    """
    if not target_kl > 0:
        raise ValueError(f"target_kl must be positive, got {target_kl}")
    while True:
        rng, epsilon = generator(record.rng), at(clip_range, record.iteration)
        played, earned, metrics = play(mdp, record, rng, rewards=rewards, episodes=episodes,
                                       horizon=horizon)
        judged = judge(earned, played, record.values, shape=mdp.shape, gamma=mdp.gamma,
                       gae_lambda=gae_lambda, value_lambda=gae_lambda, value_rate=value_rate,
                       normalize_advantage=normalize_advantage)
        old = record.logits
        record = update(
            record, judged, lambda logits, batch: ppo_loss(logits, old, batch, clip_range=epsilon),
            rng, metrics, n_epochs=n_epochs, batch_size=batch_size, learning_rate=learning_rate,
            ent_coef=ent_coef, max_grad_norm=max_grad_norm, largest_kl=1.5 * target_kl,
            optimiser=optimiser)
        metrics["policy/clipfrac"] = clip_fraction(record.logits, old, judged.steps,
                                                   judged.advantages, clip_range=epsilon)
        yield record
