"""How can a single step be judged before its episode is over?

*Part 3.  Previous: `baselines`.  Next: `surrogate`.*

REINFORCE waits for the end of an episode, and then subtracts what was expected.  An *actor-critic*
does not need the end.  The *actor* is the policy.  The *critic* is the value table V.  After each
step the critic says by how much things have become better than it expected, and at a cut it stands
for the rest of the episode:

    play      s, a, r, s'
                ↓
    critic    δ = r + γ V(s') − V(s)  ── GAE ──→  A_n        (later V moves towards its targets)
                                                   ↓
    actor                             θ moves along Σ_n A_n ∇ log π(a_n|s_n)

**In numbers.**  Three steps lead from state 0 by 1 and 2 to the end, and the last one pays 1.  Let
γ = 1, and let the critic say V = 0.5 0.25 0.75.  By (returns.2), δ is what a step paid, plus V
after it, minus V before it, and V after the end is 0.  By (returns.3), A_t = δ_t + λ A_{t+1}:

    step      0 → 1                    1 → 2                    2 → end
    δ         0 + 0.25 − 0.5 = −0.25   0 + 0.75 − 0.25 = 0.5    1 + 0 − 0.75 = 0.25
    A, λ = 0  −0.25                    0.5                      0.25
    A, λ = ½  −0.25 + ½ · 0.625        0.5 + ½ · 0.25 = 0.625   0.25
              = 0.0625
    A, λ = 1  −0.25 + 0.75 = 0.5       0.5 + 0.25 = 0.75        0.25

>>> from minirl.plain.actor_critic import advantages
>>> walk = [(0, 0, 0, 1, False), (1, 0, 0, 2, False), (2, 0, 1, 2, True)]  # s, a, r, s', the end?
>>> for weight in 0, 0.5, 1:
...     print(advantages(walk, [0.5, 0.25, 0.75], 1, weight))
[-0.25, 0.5, 0.25]
[0.0625, 0.625, 0.25]
[0.5, 0.75, 0.25]

(`judge` does the same for a whole batch in one call.)  At λ = 1 all three steps are praised,
because the episode ended well: A = 1 − V, REINFORCE with a baseline.  At λ = 0 the first step is
blamed.  It led from a state that the critic holds to be worth 0.5 to one that it holds to be worth
0.25, and what came later is credited to the later steps.

**The loss** is that of REINFORCE with these advantages, over the N steps of B episodes, and with an
*entropy bonus*.  The bonus pays for the entropy H(s) of (softmax.4) in each state that was visited,
and keeps the policy undecided while little is known.  `ent_coef` says how much a nat is worth:

    L = −(1/B) Σ_n A_n log π(a_n|s_n) − ent_coef (1/B) Σ_n H(s_n),   A_n from GAE. (actor_critic.1)

The gradient of the first term is that of `reinforce_loss`, and `entropy_loss` has the other:

    ∂H(s)/∂θ[s, a] = −π(a|s) (log π(a|s) + H(s)).

The states that were visited are taken as given: the bonus pays for being undecided in them, and not
for going where one can be undecided.  While it lasts the best policy is another one.  In a game of
one throw, where head pays 1 and tail nothing, let head have the logit x and tail 0, so that π(head)
= σ(x).  The mean reward rises with x at the rate π(head) π(tail), and H at −π(head) π(tail) x, so
the best x is 1/ent_coef.  At `ent_coef` = 0.3 it gives head only 0.966.  Hence a schedule lets the
bonus fall to 0.

Advantage actor-critic, *A2C*, is this with many episodes at once.  (Any REINFORCE with a learned
baseline is sometimes called so; here the name is kept for a critic that replaces what has not been
observed.)

**What it costs.**  At λ = 1, and where every episode ends, the update has the same mean as that of
REINFORCE, whatever V is.  At λ < 1 a wrong V enters its mean.  It does so at any λ where an episode
is cut and V stands for what would have followed.  In return the noise of later steps is left out.
Take the thin ice of `reinforce`, values half of the true ones, and γᵗ kept.  An update by δ alone
(λ = 0) is off by 0.045 where ∇J is 0.077 long, and has a third of the variance of λ = 1.  Now let
the fourth step cut an episode instead of ending it, which makes ∇J 0.187 long.  Then λ = 1 is off
as well, by 0.054 in what the steps that were played contribute.

**The critic** moves towards the mean of its targets (returns.5), after the actor has used it.  The
targets are λ-returns, with a λ of their own:

    target_t = V(s_t) + Σ_k (γ λ_V)ᵏ δ_{t+k}.                                      (actor_critic.2)

At λ_V = 1 that is *regression* on what followed, with V only at a cut: in the example 1, 1 and 1.
At λ_V = 0 it is r_t + γ V(s_{t+1}), the target of TD(0): 0.25, 0.75 and 1.  Regression learns what
happened.  TD(0) learns what should have happened if V is right about the next state.  It makes more
of few data, and it carries the errors of V along.

**The scale.**  An entropy bonus means something else when all rewards are ten times as large, and
so does a learning rate in plain gradient descent.  Dividing the advantages by their size in the
batch,

    A_n ← A_n / (√(mean of all A_n²) + 10⁻⁸),                                      (actor_critic.3)

removes that.  It is a choice, `normalize_advantage`.  In one batch it changes nothing but the
length of the first term of (actor_critic.1), and so its weight against the bonus.  That is the aim.
The price: over many batches it is a bias, since the divisor depends on the luck that it divides.  A
batch with little to learn from is amplified like any other, so that only a falling learning rate
makes the steps small in the end.

Many libraries subtract the mean of the batch too, and divide by the standard deviation.  V has done
the work of a baseline already, so little is gained; and that mean contains each step's own
advantage, which by (baselines.1) is a bias.  What is lost is the sign, which said whether a step
was better than V expected.  To divide by the standard deviation without subtracting the mean would
be worse: while V is young all advantages may be near one number, and their spread is no measure of
their size.

**Without γᵗ.**  Like REINFORCE this trainer drops the factor γᵗ.  (In a world without ends one
would change three things to climb r̄, the objective of the side road `average_reward`: r − r̄ in
the place of r, γ = 1, and the V of that chapter.  The trainer does not.)

**Exercises.**  `from minirl.play.actor_critic import *; from minirl.plain.actor_critic import *`
1. A new critic says 0 everywhere.  Which of the three steps above does λ = 0 praise?
       advantages([(0, 0, 0, 1, False), (1, 0, 0, 2, False), (2, 0, 1, 2, True)], [0, 0, 0], 1, 0)
2. Nothing is ever paid, and V is 100 everywhere.  What does λ = 1 make of two steps that end the
   episode, and of two after which it is cut?
       advantages([(0, 0, 0, 1, False), (1, 0, 0, 0, True)], [100, 100], 1, 1)
       advantages([(0, 0, 0, 1, False), (1, 0, 0, 0, False)], [100, 100], 1, 1)
3. Both steps of a batch were good, 5 and 5.2.  What remains if the mean is subtracted before?
       normalised(np.array([5, 5.2])).round(2)
       normalised(np.array([5, 5.2]) - 5.1).round(2)

Read next: `surrogate`, which takes more than one step from a batch.
Source: Sutton and Barto, 2nd edition, §13.5-13.6; Mnih et al. 2016, "Asynchronous methods for deep
reinforcement learning", arXiv:1602.01783, of which A2C is the synchronous form; Schulman et al.
2016, arXiv:1506.02438; Williams and Peng 1991, "Function optimization using connectionist
reinforcement learning algorithms", for the entropy bonus.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts
from minirl.play.optim import adam, remaining
from minirl.play.training import Training, environment_rewards, next_record, play, policy_step
from minirl.play.reinforce import reinforce_loss
from minirl.play.returns import explained_variance, gae, move_values


def actor_critic(mdp, record, *, rewards=environment_rewards, episodes=512, horizon=200,
                 iterations=400, gae_lambda=0.95, value_lambda=1.0, normalize_advantage=False,
                 learning_rate=0.05, ent_coef=0.0, max_grad_norm=np.inf, value_rate=0.5,
                 optimiser=adam()) -> Iterator[Training]:
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


def judge(batch, values, *, gamma, gae_lambda, value_lambda, value_rate,
          normalize_advantage) -> Judgement:
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
