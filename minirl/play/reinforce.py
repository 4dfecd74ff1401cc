"""REINFORCE: the policy gradient by sampling, with a baseline.

*Part 3.  Previous: `q_learning`.  Next: `baselines`.*

The exact gradient (planning.5) needs Q, and Q needs the tables of the world.  But its expectation
can be sampled.  For any number A_t whose mean is Q(s_t, a_t), or differs from it by what does not
depend on a_t,

    ∇J = E[Σ_t γᵗ A_t ∇ log π(a_t|s_t)],   for example A_t = G_t, the reward-to-go.    (reinforce.1)

An action followed by much reward is made likelier, whatever the reason.  The price of not asking
for the reason is noise.

**Two credits.**  The plainest form pays every action of an episode with the whole return G_0.  It
has no factor γᵗ, because G_0 counts every reward as the start sees it.  The rewards before t have
no part in the expectation, since they cannot depend on a_t.  Leaving them out gives γᵗ G_t, the
*reward-to-go*, which is as right and usually less noisy.  (Not always: a constant baseline suits
the whole return better, and in the small world of `estimators` that turns the order round.)

**A baseline.**  More of the noise can be removed for free.  A baseline b_t that does not depend on
the action changes no expectation, because Σ_a π(a|s) ∇ log π(a|s) = ∇ Σ_a π(a|s) = 0.  So, with the
credit C_t = G_t or G_0,

    A_t = C_t − b_t                                                                    (reinforce.2)

is as right as C_t, and less noisy if b_t is about what C_t usually is.  Here it is V(s_t), from a
value table that has learned from the episodes of *earlier* iterations.  Five others are in
`baselines`.  They are called unbiased if the expectation is that of C alone.  It is ∇J if γᵗ is
kept, or γ is 1, and no episode is cut: what would have followed a cut is missing from every credit
of this chapter.

**As a loss**, to be minimised, over B episodes, with the steps counted (counts.1),

    L = −(1/B) Σ_n A_n log π(a_n|s_n) = −(1/B) Σ_{s,a} W[s, a] log π(a|s),  G = −W/B,  (reinforce.3)

where W[s, a] sums the advantages of the entry, each times w_t, which is γᵗ or 1.  The value of this
loss means nothing; its gradient does.  The normaliser is the number of episodes, not of steps: J is
a sum over an episode.

**Which objective?**  With the factor γᵗ it is the discounted return from the start, J.  The trainer
drops the factor unless told to keep it, as almost every implementation does.  With it, late steps
would hardly be learned from at all.  Without it, for γ < 1, the expected update is no longer ∇J,
and in general not the gradient of anything (Nota and Thomas).  For the uniform policy at γ = 0.99
it points 1.5 degrees away from ∇J on the slippery 4x4 lake and 3 degrees away on the cliff, where
it is also 59 times as long, because there an episode lasts 6,453 steps.  At γ = 1, as in every
language model, the two are the same.  In a world without ends the visits that remain when γᵗ is
dropped are, for a long horizon T, T times the shares of time of (average_reward.3).  So there it
approximates T times the gradient of the reward per step, the better the nearer γ is to 1 (Baxter
and Bartlett).  With γ = 1, r − ρ in place of r and the differential values in place of V it does so
up to the steps near both ends; at the far end an actor-critic can ask V what the cut has hidden.

The job `python -m minirl estimators` lists the exact bias and variance of every form and baseline.

A trainer in this book is a generator that yields a record for each iteration, for ever.  The record
holds everything that the next iteration needs, so any record can be trained on from, bit for bit.
The reward is a seam: `rewards(rollout, logp)` may replace what the world paid by anything else,
such as a learned reward minus the price of leaving a reference.

Read first: `planning`, `returns`.  Compare: `sft`, the same loss with every advantage one.  Read
next: `baselines`, `actor_critic`.
Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist
reinforcement learning"; Sutton and Barto, 2nd edition, §13.3-13.4; Baxter and Bartlett 2001,
"Infinite-horizon policy-gradient estimation", arXiv:1106.0665; Nota and Thomas 2020, "Is the policy
gradient a gradient?", arXiv:1906.07073.
"""

import numpy as np

from minirl.kernel import checks, counts
from minirl.play.optim import adam, remaining
from minirl.play.returns import explained_variance, move_values, reward_to_go, whole_return
from minirl.kernel.softmax import backward, log_softmax, product
from minirl.play.training import environment_rewards, next_record, play, policy_step


def reinforce_loss(logits, weights, *, episodes):
    """The loss (reinforce.3), to be minimised, and its gradient in `logits`.

    The gradient is minus an estimate of ∇J.

    Parameters
    ----------
    logits : (S, A) float
        Policy table θ.
    weights : (S, A) float
        W, the sum of w A over the steps of each entry: `counts.table(steps, weights)`.  It is 0
        where the policy never goes, since the policy played these steps.
    episodes : int ≥ 1
        B.

    Examples
    --------
    >>> loss, grad = reinforce_loss(np.zeros((1, 2)), np.array([[4., 0.]]), episodes=2)
    >>> print(round(loss, 4), grad)
    1.3863 [[-1.  1.]]
    """
    logp = log_softmax(logits)
    weights = checks.array("weights", weights, logp.shape)
    G = -weights / checks.whole("episodes", episodes)
    terms = product(G, logp)
    if np.isinf(terms).any():
        raise ValueError(f"weights must be 0 where logits are −∞, got {weights}")
    return terms.sum(), backward(logp, G)


def value_baseline(credits, ended, scale, batch, record):
    """V(s_n) of the record's value table: (N,).  Unbiased, since V was learned before this batch.

    The arguments of every baseline are those of `weigh`: `credits`, C of N steps, (N,); `ended`,
    what an episode counts with at every t after its last step, (B,), which is 0 for the
    reward-to-go and G_0 for the whole return; `scale`, w of the steps, (N,); the episodes; and the
    record that played them.  Its result is subtracted from C.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> toss = rollout(coin_game(), np.array([[0., 1.]]), np.zeros(2, int), horizon=3, rng=0)
    >>> from minirl.play.training import start
    >>> record = start(np.zeros((1, 2)), rng=0)._replace(values=np.array([7.0]))
    >>> print(value_baseline(toss.rewards, None, None, toss, record))
    [7. 7.]
    """
    return record.values[batch.states]


def reinforce(mdp, record, *, rewards=environment_rewards, credit=reward_to_go,
              baseline=value_baseline, keep_discount=False, episodes=512, horizon=200,
              iterations=400, learning_rate=0.05, ent_coef=0.0, max_grad_norm=np.inf,
              value_rate=0.5, optimiser=adam()):
    """Train by (reinforce.3), for ever: yields a `Training` record per iteration.

    The arguments are those of every trainer (`training`), and credit, baseline and keep_discount
    those of `weigh`.  An episode that was cut counts as it is.  The value table learns the mean
    reward-to-go of each state.  The metric `value/explained_variance` is (returns.6) of the values
    before, for the reward-to-go.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> trainer = reinforce(coin_game(gamma=0.5), start(np.zeros((1, 2)), rng=0))
    >>> print(after(trainer, 20).policy.round(1))
    [[0.9 0.1]]
    """
    checks.fraction("value_rate", value_rate)
    while True:
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon)
        weights = weigh(batch.rewards, batch.rollout, record, gamma=mdp.gamma, credit=credit,
                        baseline=baseline, keep_discount=keep_discount)
        _, grad = reinforce_loss(record.logits, counts.table(batch.steps, weights),
                                 episodes=batch.episodes)
        logits, state = policy_step(
            record.logits, grad, record.optimiser, batch.visits / batch.episodes,
            remaining(record.iteration, iterations), learning_rate=learning_rate,
            ent_coef=ent_coef, max_grad_norm=max_grad_norm, optimiser=optimiser)

        returns = reward_to_go(batch.rewards, batch.rollout.starts, gamma=mdp.gamma)
        explained = explained_variance(record.values[batch.rollout.states], returns)
        values = move_values(record.values, batch.steps, returns, rate=value_rate,
                             visits=batch.visits)
        record = next_record(record._replace(logits=logits, values=values, optimiser=state), batch,
                             {"value/explained_variance": explained})
        yield record


def weigh(rewards, batch, record, *, gamma, credit=reward_to_go, baseline=value_baseline,
          keep_discount=False):
    """w A, what multiplies ∇ log π(a_n|s_n) of each step, from the credits C and the scale w: (N,).

    Parameters
    ----------
    rewards : (N,) float
        What to learn from.
    batch : playing.Rollout
    record : Training
        Its policy played the batch.
    gamma : float in [0, 1]
    credit : callable
        C: `returns.reward_to_go` or `returns.whole_return`.
    baseline : callable
        `value_baseline`, one of the chapter `baselines`, or one of your own.
    keep_discount : bool
        Whether w_t is γᵗ, as (reinforce.1) has it for the reward-to-go, or 1.  The whole return
        already has the factor, so that the two together are refused.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> game = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(1, int), horizon=3, rng=0)
    >>> from minirl.play.training import start
    >>> record = start(np.zeros((1, 2)), rng=0)
    >>> for keep in False, True:
    ...     print(weigh(game.rewards, game, record, gamma=0.5, keep_discount=keep))
    [1.75 1.5  1.  ]
    [1.75 0.75 0.25]
    """
    checks.shape("rewards", rewards, batch.states.shape)
    if keep_discount and credit is whole_return:
        raise ValueError("keep_discount must be False for the whole return, which already counts "
                         "every reward as the start sees it")
    credits = credit(rewards, batch.starts, gamma=gamma)
    ended = after_the_end(credits, batch, credit)
    scale = (gamma if keep_discount else 1.0) ** batch.time
    return scale * (credits - baseline(credits, ended, scale, batch, record))


def after_the_end(credits, batch, credit):
    """C of each episode once it has ended, (B,): its whole return, or no reward-to-go any more.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> game = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(1, int), horizon=3, rng=0)
    >>> for credit in reward_to_go, whole_return:
    ...     print(after_the_end(credit(game.rewards, game.starts, gamma=1.0), game, credit))
    [0.]
    [3.]
    """
    return credits[batch.starts[:-1]] * (credit is whole_return)
