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


import numpy as np

from minirl.kernel import checks
from minirl.play.actor_critic import judge
from minirl.play.optim import adam, at, linear
from minirl.play.training import environment_rewards, play, policy_step
from minirl.kernel.sampling import generator
from minirl.kernel.softmax import backward, entropy, log_softmax
from minirl.play.surrogate import (approximate_kl, clip_fraction, collapse, mean_kl, minibatches,
                                   ratios, steps_in)

LEARNING_RATE, ENT_COEF = linear(0.05, 0.0, 400), linear(0.3, 0.0, 200)  # by default


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
    >>> from minirl.play.surrogate import Advantages
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
    >>> from minirl.play.training import start
    >>> from minirl.kernel import counts
    >>> one = counts.steps(np.array([0]), np.array([0]), np.array([0, 1]), (1, 2))
    >>> record, rng = start(np.zeros((1, 2)), rng=0), np.random.default_rng(0)
    >>> record = update(record, Judgement(one, np.array([4.0]), np.array([1.0]), np.nan),
    ...                 lambda logits, batch: ppo_loss(logits, np.zeros((1, 2)), batch), rng, {},
    ...                 n_epochs=1, batch_size=None, learning_rate=0.1, ent_coef=0.0,
    ...                 max_grad_norm=1.0, largest_kl=np.inf, optimiser=gradient_descent())
    >>> print(record.logits.round(4), record.values)
    [[ 0.0707 -0.0707]] [1.]
    """
    checks.whole("n_epochs", n_epochs)
    if batch_size is not None:
        checks.whole("batch_size", batch_size)
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
        value_rate=0.5, optimiser=adam(), observe=None):
    """Train by (ppo.2), for ever: yields a `training.Training` record an iteration.

    Parameters
    ----------
    mdp : TabularMDP
        Used to play only.
    record : Training
        From `training.start`, or any record yielded before: training continues bit for bit.
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
    observe : callable, optional
        `observe(rollout, logp) -> dict`: further metrics of the batch, which is not kept.

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
    >>> from minirl.play.training import start
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
                                       horizon=horizon, observe=observe)
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
