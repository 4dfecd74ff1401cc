"""How can a policy earn a reward and not forget how to write?

*Part 4.  Previous: `calibration`, a side road.  Next: `groups`.*

A reward model has seen strings of the reference.  A policy that sought nothing but its reward would
find strings that the model has never seen and happens to overrate.  *RLHF*, reinforcement learning
from human feedback, charges for leaving the reference.  InstructGPT does so in three steps:

    1   demonstrations: counts (S, A)  ──sft──→            π_ref  (S, A)
    2   B pairs of π_ref:  D (B, S·A)  ──reward_model──→   r      (S, A)
    3   N steps of π_old; r, π_ref, β  ──step_rewards──→   r̃      (N,)   ──ppo──→   π  (S, A)
              ↑                                                                    │
              └───────────────── it plays the next batch as π_old ─────────────────┘

**Two policies.**  π_old played the batch, and changes with every batch.  π_ref stays as it is for a
whole run.  They coincide only in the first batch of a run that starts from the reference.  PPO's
ratio and its clip are about π/π_old.  The price is about π_old and π_ref: a step is paid

    r̃_t = r_t − β [log π_old(a_t|s_t) − log π_ref(a_t|s_t)].                               (rlhf.1)

**In numbers.**  The coin game has the fair coin as reference, and β = 1.  Let π_old show head with
the chance ¾.  A head pays 1 − log(¾/½) = 0.595, and a tail 0 − log(¼/½) = 0.693.  A game has three
heads on average, and one tail: 3 · 0.5945 + 0.6931 = 2.477.  Whole games say the same: they earn 3,
and four tosses of 0.1308 nats (`regularised`) cost 0.523, which leaves 2.477.

>>> from minirl.kernel.mdp import coin_game
>>> from minirl.kernel.playing import rollout
>>> old, coin = np.array([[0.75, 0.25]]), coin_game()
>>> game = rollout(coin, old, np.zeros(1, int), horizon=9, rng=14)  # 0 is head, and 1 is tail
>>> rewards = step_rewards(coin.mean_reward, np.zeros((1, 2)), beta=1.0)
>>> print(game.actions, rewards(game, np.log(old)).round(3))
[0 0 1] [0.595 0.595 0.693]

**What is climbed.**  The brackets of (rlhf.1), summed over an episode, are the log-ratio of the
whole string.  Its mean is the KL.  So the mean of what a string is paid is the objective of
(regularised.1), whose optimum is known exactly:

    E[Σ_t r̃_t] = E[R] − β KL(π_old‖π_ref) = J_β(π_old).                                    (rlhf.2)

r̃ contains the policy, and yet PPO holds it fixed.  Where an update begins, at π = π_old, that is
right.  J_β sums π(y) [R(y) − β log(π(y)/π_ref(y))] over the strings.  By the product rule there are
two terms.  ∇π(y) = π(y) ∇log π(y) times the bracket is the gradient of `reinforce`.  And π(y) times
the gradient of the bracket, −β ∇log π(y), is −β ∇π(y), which sums to −β ∇1 = 0.

So `rlhf` is `ppo` on these rewards: with the true reward it reaches 99.9 % of what there is to gain
on the running example.  A table r(s, a) pays step by step (`step_rewards`).  A reward model that
reads whole strings pays once, on the last step (`string_rewards`).  So does any other judge, which
needs no derivative: a program that checks strings (a *verifier*), or a place in a rater's order
(`scored_rewards`).  The optimum is the same, but the way is harder.  The critic sees only the last
letter, not what the string has earned so far, and errs: PPO stops near 97 % with `gae_lambda` =
0.95, near 99 % with 1.  A string that cannot be scored is left out; a zero would judge it.

**What imitation cannot find.**  A policy fitted to the 2,465 words (the *corpus*) has J = −0.5355.
More such words do not help.  The best policy has 0.1489.  RLHF finds what no demonstration shows,
since it judges strings that it has written itself.

**What it finds besides.**  *Goodhart's law* says that a measure that becomes a target ceases to be
a good measure.  A learned reward is such a measure.  Fit it to 100 pairs of the running example
with a pull of 2.  Its best policy at each β earns, before the price, more than the reference by

    β                        2       1       0.5     0.4     0.3
    of the learned reward    0.209   0.378   0.744   1.054   3.437
    of the true reward       0.117   0.183   0.232   0.214   −0.160

This is *over-optimisation*, or *reward hacking*: a high learned reward with a low true one.  A high
price allows less of it, and more pairs help.  So does *iterating*, as Llama 2 did from V1 to V5:
asking about the new policy's strings, and fitting again to all pairs, with the same reference.

**The price** may be fixed; then it defines the problem.  Or it is steered until the KL of a string
comes to a target (`adaptive_rlhf`): after a batch of B strings

    β ← β (1 + clip(KL/target − 1, −0.2, 0.2) · B/kl_horizon),                             (rlhf.3)

so that β may change by about a fifth in `kl_horizon` strings.  If it comes to rest, training ends
at the optimum for that β.  (Ziegler et al. print 0.1, not B/kl_horizon.)

**Strings without an end.**  A string that was cut may cost a penalty, often the only thing that
teaches a policy to end.  The method DAPO charges sooner.  It adds to a score its `length_penalty`,

    penalty(y) = 0                            if |y| ≤ longest − soft,
                 (longest − soft − |y|)/soft  up to |y| = longest,
                 −1                           beyond.                                      (rlhf.4)

**PPO-ptx.**  A large model is first fitted to many texts (*pretraining*), and then to
demonstrations.  RLHF makes those first texts less likely; here they are the corpus.  InstructGPT
adds their log-probability to the objective, here its mean per step, and so their loss to PPO's:

    J_β(π) + ptx_coef · E_pretraining[log π],                                              (rlhf.5)
    L = L_ppo + ptx_coef · L_sft.                                                          (rlhf.6)

`ptx_loss` is (rlhf.6), to be the `loss` of `rlhf`.  By (ppo.4) PPO divides by steps where J_β is a
mean over strings, and also by the size of the advantages.  So the `ptx_coef` of (rlhf.6) is that of
(rlhf.5), divided by the mean length of a string and by that size.  The exact optima of (rlhf.5):

                  ptx_coef   reward    KL      nats per character of the corpus
    reference                −0.535    0       2.584
    β = 0.5       0           0.596    0.894   2.778
    β = 0.5       2           0.230    0.336   2.647
    β = 1         0           0.195    0.287   2.646

At β = 0.5 the term saves 2.778 − 2.647 nats per character and costs 0.596 − 0.230 of the reward.  A
higher price saves as much, but leaves less of the reward, 0.195.

**Exercises.**  `from minirl.people.rlhf import *; from minirl.kernel.mdp import coin_game; from
minirl.play.training import after, start; from minirl.play.surrogate import Advantages`
1. The KL is ten times its target.  By how much does the price rise?  And at 1.1 times?
       [round(steered(1.0, kl, target=1.0, strings=100, kl_horizon=100), 4) for kl in (10.0, 1.1)]
2. Head pays 1 and costs at most log 2 = 0.69 nats.  Where does the policy go at β = 1?
       trainer = rlhf(coin_game(), start(coin_game(), rng=0), coin_game().mean_reward,
                      np.zeros((1, 2)), beta=1.0, horizon=20, iterations=50)
       after(trainer, 50).policy.round(1)
3. PPO alone stops where ρ = 1.2, at 0.6.  How far does it go if half of the texts are tails?
       x, good = np.zeros((1, 2)), Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 1.0)
       for _ in range(1000): x = x - 0.1 * ptx_loss(x, 0 * x, good, [[1, 1]], ptx_coef=8.0)[1]
       np.exp(log_softmax(x)).round(3)

Read next: `groups`, strings that share a prompt.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, eq. 2; Ziegler et al. 2019,
arXiv:1909.08593, §2.2; Gao et al. 2022, arXiv:2210.10760, on over-optimisation; Yu et al. 2025
(DAPO), arXiv:2503.14476, eq. 13; Touvron et al. 2023 (Llama 2), arXiv:2307.09288, §3.2.3.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.play.optim import adam, linear
from minirl.play.ppo import ppo, ppo_loss
from minirl.kernel.softmax import LogPolicy, difference, log_softmax
from minirl.people.sft import sft_loss
from minirl.play.training import Training


def rlhf(mdp, record, reward_table, ref_logits, *, beta, missing_eos_penalty=0.0, episodes=512,
         horizon=200, iterations=400, n_epochs=10, batch_size=None, clip_range=0.2,
         gae_lambda=0.95, normalize_advantage=True, learning_rate=linear(0.05, 0.0), ent_coef=0.0,
         max_grad_norm=np.inf, value_rate=0.5, optimiser=adam(),
         loss=ppo_loss) -> Iterator[Training]:
    """PPO on the rewards (rlhf.1), for ever: yields a `training.Training` record per iteration.

    What `mdp` pays is not seen.  Training starts, as a rule, at the reference.

    Parameters
    ----------
    reward_table, ref_logits, beta, missing_eos_penalty
        As in `step_rewards`.

    The others are those of `ppo.ppo`.  By default the rate falls to zero, so that the noise of the
    batches dies out, and there is no entropy bonus, since the KL does its work.

    Yields
    ------
    training.Training
        Its metrics are those of `ppo.ppo`, and `objective/kl`, the mean log-ratio of the batch's
        strings to the reference, in nats.

    Examples
    --------
    A fair coin learns to show heads as often as (regularised.2) says, 0.8244:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> coin, fair = coin_game(), np.zeros((1, 2))
    >>> trainer = rlhf(coin, start(fair, rng=0), coin.mean_reward, fair, beta=2.0,
    ...                iterations=50)
    >>> print(after(trainer, 50).policy.round(2))
    [[0.82 0.18]]
    """
    ref_logp = log_softmax(ref_logits, "ref_logits")

    def distance(rollout, logp):
        ratio = _taken(rollout, _ratios(logp, ref_logp))
        return {"objective/kl": float(ratio.sum() / rollout.truncated.size)}

    paid = step_rewards(reward_table, ref_logits, beta=beta,
                        missing_eos_penalty=missing_eos_penalty)
    return ppo(mdp, record, rewards=paid, observe=distance, episodes=episodes, horizon=horizon,
               iterations=iterations, n_epochs=n_epochs, batch_size=batch_size,
               clip_range=clip_range, gae_lambda=gae_lambda,
               normalize_advantage=normalize_advantage, learning_rate=learning_rate,
               ent_coef=ent_coef, max_grad_norm=max_grad_norm, value_rate=value_rate,
               optimiser=optimiser, loss=loss)


def step_rewards(reward_table, ref_logits, *, beta, missing_eos_penalty=0.0):
    """The rewards (rlhf.1), with r paid step by step from a table.

    Parameters
    ----------
    reward_table : (S, A) float
        r(s, a): the world's own `mean_reward`, or a fitted `reward_model`.
    ref_logits : (S, A) float
        A step that the reference never takes has an infinite price, and is refused.
    beta : float > 0
        Reward per nat of KL.
    missing_eos_penalty : float ≥ 0
        What a string that was cut pays on its last step.

    Returns
    -------
    callable
        `rewards(rollout, logp) -> (N,)`, the reward seam of every trainer.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> coin, fair = coin_game(), np.zeros((1, 2))
    >>> heads = rollout(coin, np.array([[1., 0.]]), np.zeros(1, int), horizon=3, rng=0)
    >>> paid = step_rewards(coin.mean_reward, fair, beta=1.0)
    >>> print(paid(heads, np.log([[0.75, 0.25]])).round(3))  # 1 − log(0.75/0.5) each
    [0.595 0.595 0.595]
    """
    checks.positive("beta", beta)
    checks.not_negative("missing_eos_penalty", missing_eos_penalty)
    ref_logp = log_softmax(ref_logits, "ref_logits")
    reward_table = checks.array("reward_table", reward_table, ref_logp.shape)

    def rewards(rollout, logp):
        return _paid(rollout, reward_table - beta * _ratios(logp, ref_logp),
                     -missing_eos_penalty * rollout.truncated)

    return rewards


def string_rewards(reward_table, ref_logits, *, beta, missing_eos_penalty=0.0):
    """The rewards (rlhf.1), with the sum of r over the string paid on its last step.

    Parameters and result are those of `step_rewards`.  A string cut by the horizon is paid on the
    step at which it was cut.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> coin, fair = coin_game(), np.zeros((1, 2))
    >>> heads = rollout(coin, np.array([[1., 0.]]), np.zeros(1, int), horizon=3, rng=0)
    >>> paid = string_rewards(coin.mean_reward, fair, beta=1.0)
    >>> print(paid(heads, np.log([[0.75, 0.25]])).round(3))
    [-0.405 -0.405  2.595]
    """
    reward_table = checks.array("reward_table", reward_table, np.shape(ref_logits))

    def score(rollout):
        return rollout.totals(_taken(rollout, reward_table))

    return scored_rewards(score, ref_logits, beta=beta, missing_eos_penalty=missing_eos_penalty)


def scored_rewards(score, ref_logits, *, beta, missing_eos_penalty=0.0):
    """The rewards (rlhf.1), with a score of the whole string paid on its last step.

    `score(rollout) -> (B,)` is a verifier, a reward model of strings, or a program of your own, and
    gives one finite number per string, or masks it.  The rest is as in `step_rewards`.

    Examples
    --------
    A program that likes games of two tosses, which the third one is:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> games = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=9, rng=5)
    >>> paid = scored_rewards(lambda batch: batch.lengths == 2, np.zeros((1, 2)), beta=1.0)
    >>> print(games.starts, np.flatnonzero(paid(games, np.log([[0.5, 0.5]]))))  # its second toss
    [0 1 2 4 5] [3]
    """
    checks.positive("beta", beta)
    checks.not_negative("missing_eos_penalty", missing_eos_penalty)
    ref_logp = log_softmax(ref_logits, "ref_logits")

    def rewards(rollout, logp):
        prices = -beta * _ratios(logp, ref_logp)
        totals = np.ma.asarray(score(rollout), float)
        checks.shape("what score returns", totals, rollout.truncated.shape)
        checks.finite("what score returns", totals.data[~np.ma.getmaskarray(totals)])
        return _paid(rollout, prices, totals - missing_eos_penalty * rollout.truncated)

    return rewards


def length_penalty(longest, soft):
    """The score (rlhf.4) of length: `score(rollout) -> (B,)`, from 0 to −1 over the last steps.

    `longest` is in steps, the end symbol included, and so is `soft`.  Times a weight of your own,
    it is added to what `scored_rewards` takes.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> games = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=3, rng=10)
    >>> print(games.lengths, length_penalty(3, 2)(games))
    [1 1 2 3] [ 0.   0.  -0.5 -1. ]
    """
    if not 0 < soft <= longest < np.inf:
        raise ValueError(f"soft must be positive and at most longest, {longest}, got {soft}")
    return lambda rollout: np.clip((longest - soft - rollout.lengths) / soft, -1, 0)


def ptx_loss(logits, old_logits, batch, counts, *, ptx_coef, clip_range=0.2):
    """The loss (rlhf.6), to be minimised, and its gradient: the `loss` of `ppo.ppo` for PPO-ptx.

    Parameters
    ----------
    logits, old_logits, batch, clip_range
        As in `ppo.ppo_loss`.
    counts : (S, A) float ≥ 0
        N[s, a] of the texts that are not to be forgotten, as in `sft.sft_loss`.
    ptx_coef : float ≥ 0
        In the units of the advantages per nat of a demonstrated step.

    Examples
    --------
    >>> from minirl.play.surrogate import Advantages
    >>> fair, batch = np.zeros((1, 2)), Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 2.0)
    >>> loss, grad = ptx_loss(fair, fair, batch, np.array([[3., 1.]]), ptx_coef=2.0)
    >>> print(round(loss, 4), grad)
    0.8863 [[-0.75  0.75]]
    """
    checks.not_negative("ptx_coef", ptx_coef)
    now = LogPolicy(log_softmax(logits))
    loss, grad = ppo_loss(now, old_logits, batch, clip_range=clip_range)
    nats, pull = sft_loss(now, counts)
    return loss + ptx_coef * nats, grad + ptx_coef * pull


def adaptive_rlhf(mdp, record, reward_table, ref_logits, *, target_kl, kl_horizon=10_000,
                  missing_eos_penalty=0.0, episodes=512, horizon=200, iterations=400, n_epochs=10,
                  batch_size=None, clip_range=0.2, gae_lambda=0.95, normalize_advantage=True,
                  learning_rate=linear(0.05, 0.0), ent_coef=0.0, max_grad_norm=np.inf,
                  value_rate=0.5, optimiser=adam(), loss=ppo_loss) -> Iterator[Training]:
    """`rlhf` with the price steered by (rlhf.3), for ever: yields a record per iteration.

    Parameters
    ----------
    record : training.Training
        Its `kl_coef`, an argument of `training.start`, is the first β.
    target_kl : float > 0
        Nats per string.
    kl_horizon : float ≥ episodes
        Strings in which β may change by about a fifth.

    The others are those of `rlhf`.

    Yields
    ------
    training.Training
        `kl_coef` is the next β.  The metrics are those of `rlhf`, whose `objective/kl` the
        controller sees, and `objective/kl_coef`, the β that this batch was trained with.

    Examples
    --------
    The optimum is 0.523 nats from a fair coin at β = 1/log 1.5 = 2.47:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> coin, fair = coin_game(), np.zeros((1, 2))
    >>> trainer = adaptive_rlhf(coin, start(fair, rng=0, kl_coef=2.0), coin.mean_reward, fair,
    ...                         target_kl=0.523, kl_horizon=4000, iterations=60)
    >>> print(round(after(trainer, 60).kl_coef, 1))
    2.5
    """
    checks.positive("target_kl", target_kl)
    checks.positive("kl_horizon", kl_horizon)
    episodes = checks.whole("episodes", episodes)
    if not kl_horizon >= episodes:
        raise ValueError(f"kl_horizon must be at least episodes, {episodes}, got {kl_horizon}")
    train = partial(rlhf, mdp, reward_table=reward_table, ref_logits=ref_logits,
                    missing_eos_penalty=missing_eos_penalty, episodes=episodes, horizon=horizon,
                    iterations=iterations, n_epochs=n_epochs, batch_size=batch_size,
                    clip_range=clip_range, gae_lambda=gae_lambda,
                    normalize_advantage=normalize_advantage, learning_rate=learning_rate,
                    ent_coef=ent_coef, max_grad_norm=max_grad_norm, value_rate=value_rate,
                    optimiser=optimiser, loss=loss)
    while True:
        beta = record.kl_coef
        record = next(train(record, beta=beta))
        price = steered(beta, record.metrics["objective/kl"], target=target_kl, strings=episodes,
                        kl_horizon=kl_horizon)
        record = record._replace(kl_coef=price,
                                 metrics=record.metrics | {"objective/kl_coef": beta})
        yield record


def steered(beta, distance, *, target, strings, kl_horizon):
    """The price after a batch, by (rlhf.3).

    `distance` is the KL of a batch of B = `strings`, in nats per string; `kl_horizon` ≥ B is the
    number of strings in which β may change by about a fifth.

    Examples
    --------
    At twice the target the price rises by a fifth; at the target it stays.

    >>> steered(1.0, 2.0, target=1.0, strings=100, kl_horizon=100)
    1.2
    >>> steered(1.0, 1.0, target=1.0, strings=100, kl_horizon=100)
    1.0
    """
    return float(beta * (1 + np.clip(distance / target - 1, -0.2, 0.2) * strings / kl_horizon))


def _ratios(logp, ref_logp):
    """log π − log π_ref, and 0 where the policy never goes."""
    checks.shape("ref_logits", ref_logp, logp.shape)
    return difference(logp, ref_logp, logp != -np.inf)


def _taken(rollout, table):
    """The entries of a table (S, A) at the steps of a batch: (N,)."""
    return table[rollout.states, rollout.actions]


def _paid(rollout, table, totals):
    """What a table (S, A) pays for each step, and `totals` (B,) more on the last of an episode.

    Where a total is masked, so is what the whole episode is paid.
    """
    paid = _taken(rollout, table)
    if not np.isfinite(paid).all():
        step = np.isinf(paid).argmax()
        raise ValueError(f"ref_logits must not be −∞ where the policy goes, got that in state "
                         f"{rollout.states[step]} for action {rollout.actions[step]}")
    paid[rollout.starts[1:] - 1] += np.ma.filled(totals, 0)
    if not np.ma.is_masked(totals):
        return paid
    return np.ma.array(paid, mask=rollout.spread(totals.mask))
