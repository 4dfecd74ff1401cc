"""What if the distance from the policy that played had a price, in place of a clip?

*Part 3.  Previous: `ppo`.  Next: `fitting`, a side road.*

A surrogate can be trusted near π_old, the policy that played the batch.  `ppo` removes the
incentive to go far.  The other form of PPO charges for the distance: a nat costs β, and so

    L = −(1/N) Σ_n ρ_n A_n + β (1/N) Σ_s N[s] KL(π_old(·|s) ‖ π(·|s)).                    (ppo_kl.1)

The first term is the surrogate without a clip, with the ratios ρ = π/π_old.  The second is the
distance (surrogate.2) times β, where N[s] counts the steps in s.  Mind its direction: the mean is
taken under π_old, which played the batch.  So it is +∞ if π gives up an action that π_old could
take in a visited state.

**The gradient.**  Let W = A⁺ + A⁻ sum all advantages of an entry.  The derivative of ρ W in log π
is ρ W.  That of KL = Σ_a π_old (log π_old − log π) is −π_old.  Together

    G = −(ρ W + β N[s] π_old)/N.                                                          (ppo_kl.2)

What does the price do to the logits?  By (softmax.3) its part −β N[s] π_old/N of G becomes
−β (N[s]/N) (π_old − π), since π_old sums to 1 in a row.  So descent moves the logits along
π_old − π: each probability is pulled back to where it was, the harder the farther it has gone.

**In numbers.**  A fair coin played one step, a head with A = 1.  Let p be the new π(head), so that
ρ = 2p.  Raising the logit of head raises ρ A at the rate ρ (1 − p), and the price takes β (p − ½).
The two are equal where 2p (1 − p) = β (p − ½).  The distance is ½ log(½/p) + ½ log(½/(1 − p)):

    β          1        4        16
    p          0.809    0.618    0.531
    in nats    0.241    0.029    0.002

>>> from minirl.play.surrogate import Advantages
>>> head = np.array([[1., 0.]])
>>> batch = Advantages(head, 0 * head, 1.0, counts=head)
>>> for beta, p in (1.0, 0.25 + 1.25**0.5 / 2), (4.0, 1.25**0.5 - 0.5):
...     _, grad = ppo_kl_loss(np.log([[p, 1 - p]]), np.zeros((1, 2)), batch, kl_coef=beta)
...     print(round(p, 3), np.abs(grad).max() < 1e-12)
0.809 True
0.618 True

**Which β?**  No single one is right for long: how far a given β lets an iteration go changes as the
policy becomes surer and the learning rate falls.  It is therefore steered.  One chooses a `target`,
the nats per step that an iteration may go, here 0.01, and after each batch

    β ← β/2 if KL < target/1.5,   2β if KL > 1.5 · target,                                (ppo_kl.3)

and β stays as it is in between.  The KL is the exact one, (surrogate.2).  By hand, over three
batches: 0.03 is more than 1.5 · 0.01 = 0.015, so β = 1 becomes 2.  0.012 lies between 0.01/1.5 =
0.0067 and 0.015, so β stays 2.  0.004 is less than 0.0067, so β becomes 1:

>>> beta = 1.0
>>> for distance in 0.03, 0.012, 0.004:
...     beta = adapted(beta, distance, 0.01)
...     print(distance, beta)
0.03 2.0
0.012 2.0
0.004 1.0

The rule looks back.  The batch that went too far has been trained on already, and β moves by a
factor of 2 however far off it was.

**What it costs, and how good it is.**  While the learning rate falls towards zero, so does the KL,
and the rule would halve β until it could not come back within the run.  Here it stops at 10⁻⁶, and
on the other side at 10⁶; the paper's β has no such ends.  Over the first hundred iterations on the
slippery 4x4 lake half of the batches go less than 0.0097 nats and half go more, which is near the
target of 0.01.  Later β lies at 10⁻⁶, and the small learning rate alone keeps the steps short.

The paper finds clipping ahead, on its seven tasks.  In the worlds of this book the two are about
equally good.  With γ = 0.99 the worst of twenty runs with the defaults reaches 99.8 % of the
optimum on the 4x4 lake, where that of `ppo` reaches 99.7 %.  On the cliff it is worth −12.248, and
that of `ppo` −12.249.  `python -m minirl policies` compares them on other worlds.

**Not to be confused.**  This KL is to the *old* policy, which changes with every batch, and its
mean is taken under that policy: KL(π_old‖π).  Part 4 charges for the distance to the *reference*,
where training began, and takes the mean under the policy that learns: KL(π‖π_ref).  That price is
part of the reward, and both may be paid at once.

**Exercises.**  `from minirl.play.ppo_kl import *; from minirl.play.surrogate import Advantages`
1. Nothing was good and nothing bad.  What does (ppo_kl.1) do to a policy of 0.9 and 0.1 that was
   fair when it played?
       nothing = Advantages(np.zeros((1, 2)), np.zeros((1, 2)), 1.0, np.array([[1., 0.]]))
       -ppo_kl_loss(np.log([[0.9, 0.1]]), np.zeros((1, 2)), nothing, kl_coef=1.0)[1].round(3)
2. Three batches in a row went a hundred times too far.  How large is β after them?
       adapted(adapted(adapted(1.0, 1.0, 0.01), 1.0, 0.01), 1.0, 0.01)
3. π is sure of head, π_old was fair.  Which of the two KL divergences does (ppo_kl.1) charge, and
   what is the other one?
       sure, fair = log_softmax(np.array([[0., -np.inf]])), np.log([[0.5, 0.5]])
       kl(fair, sure), kl(sure, fair).round(3)

Read next: `pairs`, with which learning from people begins.
Source: Schulman et al. 2017, "Proximal policy optimization algorithms", arXiv:1707.06347, eq. 8.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.play.actor_critic import judge
from minirl.play.optim import adam, remaining
from minirl.play.ppo import ENT_COEF, LEARNING_RATE, epochs
from minirl.play.surrogate import approximate_kl, mean_kl, ratios, steps_in
from minirl.play.training import Training, environment_rewards, next_record, play, policy_step
from minirl.kernel.softmax import LogPolicy, backward, kl, log_softmax, product


def ppo_kl_loss(logits, old_logits, batch, *, kl_coef):
    """The loss (ppo_kl.1), to be minimised, and its gradient in `logits`.

    `kl_coef` is β ≥ 0, in units of the advantages per nat.  The others are as in `ppo.ppo_loss`,
    and the batch is `counted`.  Where a visited row never does what π_old may do there, the loss is
    +∞, and the gradient of its KL is taken as zero.

    Examples
    --------
    >>> from minirl.play.surrogate import Advantages
    >>> ones = np.ones((1, 2))
    >>> batch = Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 2.0, counts=ones)
    >>> loss, grad = ppo_kl_loss(np.zeros((1, 2)), np.log([[0.2, 0.8]]), batch, kl_coef=2.0)
    >>> print(round(loss, 4), grad)
    -0.8645 [[-0.025  0.025]]
    """
    checks.not_negative("kl_coef", kl_coef)
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    N, ratio = steps_in(logp, old_logp, batch), ratios(logp, old_logp)
    checks.shape("the counts of the batch", batch.counts, logp.shape)
    gains, price, distance = batch.gains + batch.losses, kl_coef * batch.visits, kl(old_logp, logp)
    loss = (product(price, distance).sum() - (ratio * gains).sum()) / N
    G = -(ratio * gains + (price * np.isfinite(distance))[:, None] * np.exp(old_logp)) / N
    return loss, backward(logp, G)


def ppo_kl(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200, iterations=400,
           n_epochs=10, batch_size=None, target_kl=0.01, gae_lambda=0.95, normalize_advantage=True,
           learning_rate=LEARNING_RATE, ent_coef=ENT_COEF, max_grad_norm=np.inf, value_rate=0.5,
           optimiser=adam()) -> Iterator[Training]:
    """Train by (ppo_kl.1), for ever: yields a `training.Training` record per iteration.

    Parameters
    ----------
    target_kl : float > 0
        What (ppo_kl.3) steers the `mean_kl` of a batch to, in nats per step.  The β in force is
        `kl_coef` of the record; `training.start` says where it begins.

    The other parameters and the metrics are those of `ppo.ppo`; `policy/kl_coef` takes the place of
    `policy/clipfrac`.  It is the β that this batch was trained with; the record already has the
    next one.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> record = after(ppo_kl(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0)), 10)
    >>> print(record.policy.round(1), record.kl_coef)
    [[1. 0.]] 0.125
    """
    checks.positive("target_kl", target_kl)
    judge_batch = partial(judge, gamma=mdp.gamma, gae_lambda=gae_lambda, value_lambda=gae_lambda,
                          value_rate=value_rate, normalize_advantage=normalize_advantage)
    step = partial(policy_step, learning_rate=learning_rate, ent_coef=ent_coef,
                   max_grad_norm=max_grad_norm, optimiser=optimiser)
    while True:
        progress, kl_coef = remaining(record.iteration, iterations), record.kl_coef
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon)
        judged = judge_batch(batch, record.values)
        logits, state, updates = record.logits, record.optimiser, 0
        old = LogPolicy(record.logp)
        for part in epochs(batch, judged.advantages, n_epochs=n_epochs, batch_size=batch_size,
                           counted=True):
            _, grad = ppo_kl_loss(logits, old, part, kl_coef=kl_coef)
            logits, state = step(logits, grad, state, part.shares, progress)
            updates += 1
        new = LogPolicy(log_softmax(logits))
        metrics = {
            "policy/kl": mean_kl(new, old, batch.visits),
            "policy/approxkl": approximate_kl(new, old, batch.counts),
            "policy/updates": updates, "value/explained_variance": judged.explained_variance,
            "policy/kl_coef": kl_coef}
        record = next_record(record._replace(
            logits=logits, values=judged.values, optimiser=state,
            kl_coef=adapted(kl_coef, metrics["policy/kl"], target_kl)), batch, metrics)
        yield record


def adapted(kl_coef, distance, target):
    """β after a batch with this KL, by (ppo_kl.3): a half, the same, or twice as much.

    β does not fall below 10⁻⁶ or rise above 10⁶, unless it began there.

    Examples
    --------
    >>> [adapted(1.0, distance, target=0.01) for distance in (0.005, 0.01, 0.02)]
    [0.5, 1.0, 2.0]
    """
    if distance < target / 1.5:
        return max(kl_coef / 2, min(kl_coef, 1e-6))
    if distance > 1.5 * target:
        return min(2 * kl_coef, max(kl_coef, 1e6))
    return kl_coef
