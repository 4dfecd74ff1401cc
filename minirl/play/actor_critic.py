"""Actor-critic: a value table that judges single steps, and not only whole futures.

*Part 3.  Previous: `baselines`.  Next: `surrogate`.*

REINFORCE waits for the end of an episode and subtracts what was expected.  An *actor-critic* does
not wait.  Its critic, the value table V, says after every step how much better things have become,
and stands for the rest of the episode.  Actions are judged by generalised advantage estimation
(returns.3),

    L = −(1/B) Σ_n A_n log π(a_n|s_n) − c (1/B) Σ_n H(s_n),   A_n from GAE,         (actor_critic.1)

over B episodes; the second term is the *entropy bonus* with coefficient c, which keeps the policy
undecided while little is known.  Advantage actor-critic, A2C, is this with many episodes at once.

**What it costs.**  At λ = 1, and where every episode ends, A_n = G_n − V(s_n): REINFORCE with a
baseline, and unbiased whatever V is.  At λ < 1 a wrong V enters the expectation.  So it does at any
λ where an episode is cut and V stands for what would have followed.  In return the noise of all
later steps is left out.  How much is gained and lost can be computed, and `python -m minirl
estimators` does.  In its small world, with values half of the true ones, an update by δ alone is
off by 0.045 where ∇J is 0.077 long, and has a third of the variance of λ = 1.  Where episodes are
cut, λ = 1 is off as well, by 0.054 of 0.187.

Lecture notes call any REINFORCE with a learned baseline A2C.  The name is better kept for this: a
critic that replaces what has not been observed.

**The critic** moves towards the mean of its targets (returns.5), after the actor has used it.  The
targets are λ-returns, with a λ of their own:

    target_t = V(s_t) + Σ_k (γ λ_V)ᵏ δ_{t+k}.                                       (actor_critic.2)

At λ_V = 1 that is *regression* on what followed, with V only at a cut.  At λ_V = 0 it is r_t + γ
V(s_{t+1}), the *temporal difference* target of TD(0).  Regression learns what happened.  TD learns
what should have happened if V is right about the next state: it makes better use of few data and
carries errors of V along.

**The scale.**  A learning rate and an entropy bonus mean something else when all rewards are ten
times as large.  Dividing the advantages by their size in the batch,

    A_n ← A_n / (√(mean of all A_n²) + 10⁻⁸),                                       (actor_critic.3)

removes that.  It is a choice, `normalize_advantage`.  In one batch it changes the length of the
first term of (actor_critic.1), and so its weight against the bonus.  Over many batches it is a
bias, since the divisor depends on the luck that it divides.  And a batch with little to learn from
is amplified like any other, so that only the learning rate can make the steps smaller in the end.

Most libraries subtract the mean as well, and divide by the standard deviation.  A constant would be
one more baseline, and do no harm.  But the mean of the batch contains each step's own advantage,
the defect of (baselines.1), and V has done a baseline's work already.  Without subtracting the mean
the standard deviation is the wrong size: while V is young all advantages may be near one number,
their spread near zero, and noise comes out far too large.

**Which objective?**  As REINFORCE does by default, this trainer drops γᵗ: its exact form is of use
where gradients are compared, not where policies are trained.  In a world without ends an
actor-critic for the reward per step replaces r by r − ρ, with the mean reward of the batch for ρ,
and sets γ = 1; then V becomes the differential values of (average_reward.2).

Read first: `reinforce`, `returns`.  Compare: `prediction`.  Read next: `ppo`.
Source: Sutton and Barto, 2nd edition, §13.5-13.6; Mnih et al. 2016, "Asynchronous methods for deep
reinforcement learning", arXiv:1602.01783, of which A2C is the synchronous form; Schulman et al.
2016, arXiv:1506.02438; Williams and Peng 1991, "Function optimization using connectionist
reinforcement learning algorithms", for the entropy bonus.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts
from minirl.play.optim import adam, remaining
from minirl.play.training import environment_rewards, next_record, play, policy_step
from minirl.play.reinforce import reinforce_loss
from minirl.play.returns import explained_variance, gae, move_values


def actor_critic(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200,
                 iterations=400, gae_lambda=0.95, value_lambda=1.0, normalize_advantage=False,
                 learning_rate=0.05, ent_coef=0.0, max_grad_norm=np.inf, value_rate=0.5,
                 optimiser=adam()):
    """Train by (actor_critic.1), for ever: yields a `training.Training` record per iteration.

    The arguments are those of every trainer (`training`), and gae_lambda, value_lambda and
    normalize_advantage those of `judge`.  Where an episode was cut the critic stands for what would
    have followed.  The metric `value/explained_variance` is (returns.6) of the critic before the
    batch.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> trainer = actor_critic(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0))
    >>> print(after(trainer, 20).policy.round(1))
    [[0.9 0.1]]
    """
    while True:
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon)
        judged = judge(batch, record.values, gamma=mdp.gamma, gae_lambda=gae_lambda,
                       value_lambda=value_lambda, value_rate=value_rate,
                       normalize_advantage=normalize_advantage)
        _, grad = reinforce_loss(record.logits, counts.table(batch.steps, judged.advantages),
                                 episodes=batch.episodes)
        logits, state = policy_step(
            record.logits, grad, record.optimiser, batch.visits / batch.episodes,
            remaining(record.iteration, iterations), learning_rate=learning_rate,
            ent_coef=ent_coef, max_grad_norm=max_grad_norm, optimiser=optimiser)
        record = next_record(
            record._replace(logits=logits, values=judged.values, optimiser=state), batch,
            {"value/explained_variance": judged.explained_variance})
        yield record


class Judgement(NamedTuple):
    """What the critic makes of a batch of N steps."""

    advantages: np.ndarray     # (N,) for the actor
    values: np.ndarray         # (S,) the critic after the batch
    explained_variance: float  # (returns.6) of the critic before the batch


def judge(batch, values, *, gamma, gae_lambda, value_lambda, value_rate, normalize_advantage):
    """What a critic says of a batch, and the critic after learning from it: a `Judgement`.

    Parameters
    ----------
    batch : training.Batch
    values : (S,) float
        The critic.
    gamma, gae_lambda, value_lambda : float in [0, 1]
        Discount, λ of the advantages, and λ of the targets, (actor_critic.2).
    value_rate : float in [0, 1]
        How far the critic moves.
    normalize_advantage : bool
        Whether to apply (actor_critic.3).

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import start
    >>> toss = play(coin_game(), start(np.zeros((1, 2)), rng=3), rewards=environment_rewards,
    ...             episodes=2, horizon=9)
    >>> judged = judge(toss, np.array([2.0]), gamma=1.0, gae_lambda=0.0, value_lambda=1.0,
    ...                value_rate=1.0, normalize_advantage=False)
    >>> print(toss.rewards, judged.advantages, judged.values.round(2))
    [1. 0. 0.] [ 1. -2. -2.] [0.33]
    """
    for name, value in (("gae_lambda", gae_lambda), ("value_lambda", value_lambda),
                        ("value_rate", value_rate)):
        checks.fraction(name, value)

    @cache  # often two of the three are one
    def estimate(weight):
        return gae(batch.rewards, batch.rollout, values, gamma=gamma, gae_lambda=weight)

    (advantages, _), (_, targets), (_, returns) = map(estimate, (gae_lambda, value_lambda, 1.0))
    return Judgement(normalised(advantages) if normalize_advantage else advantages,
                     move_values(values, batch.steps, targets, rate=value_rate,
                                 visits=batch.visits),
                     explained_variance(values[batch.rollout.states], returns))


def normalised(advantages):
    """(actor_critic.3): advantages (N,) over the root of their mean square; not centred.

    Examples
    --------
    >>> print(normalised(np.array([1., 7.])).round(6))
    [0.2 1.4]
    """
    return advantages / (np.sqrt(np.square(advantages).mean()) + 1e-8)
