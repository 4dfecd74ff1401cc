"""Which way is better, if the world can only be played?

*Part 3.  Previous: `q_learning`.  Next: `baselines`.*

The policy gradient of `planning` says how J changes with each logit.  It needs the table Q, and Q
needs the tables of the world.  *REINFORCE* needs neither.  It plays episodes, and makes each action
likelier in proportion to what followed it.  On average over episodes this step goes along the exact
gradient.

**In numbers.**  A fair coin, with the logits 0 and 0, plays the coin game at γ = ½: head, head,
tail.  The rewards are 1 1 0.  Backwards in time, the returns R_t = r_t + γ R_{t+1} are 0, then
1 + ½ · 0 = 1, then 1 + ½ · 1 = 1.5.  By (softmax.2) the derivatives of log π(head) in the two
logits are ½ and −½, and those of log π(tail) are −½ and ½:

    t   action   r_t   R_t   γᵗ R_t   ∇ log π(a_t|s_t)   product
    0   head      1    1.5    1.5          ½  −½         0.75  −0.75
    1   head      1    1      0.5          ½  −½         0.25  −0.25
    2   tail      0    0      0           −½   ½         0      0
                                                 sum:    1     −1

A step along the sum makes head likelier.  In code a table W adds up γᵗ R_t by action: 2 for head
and 0 for tail.  The loss is to be made small, so its gradient is minus the sum:

>>> R = reward_to_go(np.array([1., 1., 0.]), np.array([0, 3]), gamma=0.5)
>>> print(R, 0.5 ** np.arange(3) * R)
[1.5 1.  0. ] [1.5 0.5 0. ]
>>> print(reinforce_loss(np.zeros((1, 2)), np.array([[2., 0.]]), episodes=1)[1])
[[-1.  1.]]

Other episodes say something else.  This is the derivative in the logit of head, by the number of
heads in the episode; the last row is explained below:

    heads            0     1     2      3      …     mean    variance
    chance           1/2   1/4   1/8    1/16
    estimate         0     1/2   1      11/8         4/9     0.297
    with baseline    1/3   1/3   7/12   5/6          4/9     0.050

>>> from minirl.exact.planning import policy_gradient
>>> from minirl.kernel.mdp import coin_game
>>> print(policy_gradient(coin_game(gamma=0.5), np.zeros((1, 2)))[1].round(4))  # 4/9 = 0.4444
[[ 0.4444 -0.4444]]

**The gradient is an expectation.**  The theorem of `planning` is ∇J = Σ_s η(s) Σ_a ∇π(a|s) Q(s, a),
with the visits η.  Three steps remain.  *First*, ∇ log π = ∇π/π.  Hence ∇π = π ∇ log π, and

    ∇J = Σ_{s,a} η(s) π(a|s) Q(s, a) ∇ log π(a|s).

*Second*, η(s) is the mean of Σ_t γᵗ 1{s_t = s} over episodes, and a share π(a|s) of it takes the
action a.  So for any table f

    E[Σ_t γᵗ f(s_t, a_t)] = Σ_{s,a} η(s) π(a|s) f(s, a).

Read from right to left with f = Q ∇ log π, this is ∇J = E[Σ_t γᵗ Q(s_t, a_t) ∇ log π(a_t|s_t)].
*Third*, Q(s_t, a_t) is the mean of R_t over all that may follow the step t.  The factor ∇ log π is
fixed before that happens, so R_t may stand in the place of its mean:

    ∇J = E[Σ_t γᵗ R_t ∇ log π(a_t|s_t)] = E[Σ_t R_0 ∇ log π(a_t|s_t)].                 (reinforce.1)

The last form follows from R_0 = (the discounted rewards before t) + γᵗ R_t.  What came before t is
fixed when a_t is drawn, and in any state the mean of ∇ log π over the actions is zero,

    Σ_a π(a|s) ∇ log π(a|s) = Σ_a ∇π(a|s) = ∇ Σ_a π(a|s) = ∇1 = 0.                     (reinforce.4)

So the first part of R_0, times ∇ log π(a_t|s_t), is 0 on average, and γᵗ R_t remains.  The number
that judges a step is its *credit* C_t.  Either C_t = R_t with the weight w_t = γᵗ, or C_t = R_0
with w_t = 1.  By (reinforce.1) both are right on average.  R_t is usually less noisy, since it
leaves out what the action could not change.

**A baseline.**  By (reinforce.4) a number may be subtracted from the credit if it depends neither
on the action a_t nor on anything that follows from it.  It is called a *baseline*:

    A_t = C_t − baseline_t,   ∇J = E[Σ_t w_t A_t ∇ log π(a_t|s_t)].                    (reinforce.2)

The mean stays, and the noise usually falls if the baseline is about what C_t usually is
(`baselines` shows when it rises).  Here it is V(s_t) of a value table, learned in *earlier*
iterations: a table that had learned from this batch would know the luck of its actions.  The fair
coin has V = ½ (1 + ½ V), so V = 2/3.  The three steps above have A = 5/6, 1/3 and −2/3, which γᵗ
makes 5/6, 1/6 and −1/6.  Heads have the sum 1 and tails −1/6, so the derivative is ½ (1 + 1/6) =
7/12, which is nearer to 4/9 than 1 is.  An estimate is *unbiased* if its mean is what it estimates.
This one is, where no episode is cut: what would have followed a cut is missing from the credits.

**As a loss.**  Let n number the steps of B episodes, and let W[s, a] be the sum of w_n A_n over the
steps that took a in s.  By (counts.1),

    L = −(1/B) Σ_n w_n A_n log π(a_n|s_n) = −(1/B) Σ_{s,a} W[s, a] log π(a|s),
    G = −W/B.                                                                          (reinforce.3)

Its gradient is minus the estimate of ∇J; its value means nothing.  The divisor counts episodes, not
steps, because J is a mean over episodes.  An iteration of `reinforce` plays B episodes (`play`),
weighs their steps (`weigh`), adds them up in W (`counts.table`), takes a step (`policy_step`), and
moves V towards the mean R_t of each state (`move_values`).

**What it costs.**  This and the next two chapters measure in one world, `python -m minirl
estimators`.  On three cells of *thin ice*, between a hole on the left and a goal on the right, a
step pays ¼, and into the goal 1 more.  One step in five goes the wrong way, and the fourth ends the
episode; the state includes the time.  γ is 0.9, and the logits are 0 for left and ½ for right.  All
episodes are listed, so that means and variances are exact.  Over all logits, an estimate from 32
episodes has a standard deviation of 2.04 times the length of ∇J, and of 0.80 with the true V.

**Without γᵗ.**  Like nearly every implementation, the trainer drops the factor γᵗ unless it is told
to keep it: otherwise late steps would hardly be learned from.  At γ = 1 that changes nothing.
Below it the mean update is no longer ∇J, and in general the gradient of nothing.  For the policy
that moves at random, with γ = 0.99, it points 1.5 degrees away from ∇J on the slippery 4x4 lake,
and 3 degrees on the cliff.  There it is also 59 times as long: with γᵗ an episode's steps count for
at most 1/(1 − γ) = 100 in all, and without it for 6,453 on average.

**Exercises.**  `from minirl.play.reinforce import *`
1. Head and tail both pay 100, and the game ends.  A fair coin throws head.  What does it learn?
       -reinforce_loss(np.zeros((1, 2)), np.array([[100., 0.]]), episodes=1)[1]
2. The first step paid 5, and the second one nothing.  With which credit is the second one praised?
       reward_to_go(np.array([5., 0.]), np.array([0, 2]), gamma=1.0)
       whole_return(np.array([5., 0.]), np.array([0, 2]), gamma=1.0)
3. Tail has a chance of about e⁻⁹.  Two games of one throw each earn 1, one by a head and one by a
   tail.  Which logit rises?
       -reinforce_loss(np.array([[9., 0.]]), np.array([[1., 1.]]), episodes=2)[1].round(3)

Read next: `baselines`, what to subtract, and what it saves.
Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist
reinforcement learning"; Sutton and Barto, 2nd edition, §13.3-13.4; Nota and Thomas 2020, "Is the
policy gradient a gradient?", arXiv:1906.07073.
"""

from collections.abc import Iterator

import numpy as np

from minirl.kernel import checks, counts
from minirl.play.optim import adam, remaining
from minirl.play.returns import explained_variance, move_values, reward_to_go, whole_return
from minirl.kernel.softmax import backward, log_softmax, product
from minirl.play.training import Training, environment_rewards, next_record, play, policy_step


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

    The arguments of every baseline are what `weigh` hands over: `credits`, C of N steps, (N,);
    `ended`, what an episode counts with at every t after its last step, (B,), which is 0 for the
    reward-to-go and R_0 for the whole return; `scale`, w of the steps, (N,); the episodes; and the
    record that played them.  The result is subtracted from C.

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
              value_rate=0.5, optimiser=adam()) -> Iterator[Training]:
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
