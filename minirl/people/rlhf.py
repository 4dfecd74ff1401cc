"""RLHF: maximise a reward without leaving the reference, by PPO.

*Part 4.  Previous: `calibration`, a side road.  Next: `groups`.*

InstructGPT's third step.  The first (`sft`) made a policy that speaks, the second (`reward_model`)
a reward from human preferences.  Now the policy should earn reward, but it must not wander off to
strings that the reward model has never seen and happens to overrate.  So every step pays for
leaving the reference,

    r̃_t = r_t − β [log π_old(a_t|s_t) − log π_ref(a_t|s_t)],                               (rlhf.1)

where π_old is the policy that played the episode.  The sum of the second terms over an episode is
the log-ratio of the whole string, and its mean is the KL, so

    E[Σ_t r̃_t] = E[R] − β KL(π_old‖π_ref) = J_β(π_old),                                    (rlhf.2)

the objective (regularised.1), whose optimum is known exactly.  When an update begins π is π_old,
and the gradient of J_β there is that of REINFORCE with the reward r̃ *held fixed*, although r̃
contains the policy: differentiating the log-ratio itself would add E[∇log π] = 0.

That is all: `rlhf`.  Everything else is PPO, which need not know that it is aligning a language
model.  The reward is a table r(s, a), the true one or a learned one, and is paid in one of two
ways: step by step (`step_rewards`), or, as InstructGPT does with a reward model that reads whole
strings, in one sum on the last step (`string_rewards`).  The two have the same optimum, since the
sums are equal.  They are not equally easy.  A value table that sees only the last letter cannot
know what the string has earned so far, so with λ = 0.95 its advantages are biased: on the running
example PPO then stops near 97 % of the way to the optimum, with λ = 1 near 99 %, and step by step
it reaches 99.9 %.

*The price.*  β may be fixed, and then it defines the problem.  Or it is steered so that the KL of a
string comes to a target (Ziegler et al. 2019, whose code has the last factor below and whose paper
a constant 0.1 in its place): after a batch of B strings

    β ← β (1 + clip(KL/target − 1, −0.2, 0.2) · B/kl_horizon),                             (rlhf.3)

where `kl_horizon` is the number of strings in which β may change by a fifth.  The policy that comes
out is the optimum for the β at which it comes to rest: `adaptive_rlhf`.

*Whole strings.*  A program that checks a string (a verifier), or anything else that knows only the
whole of it, pays on the last step too: `scored_rewards`.  And a string that had to be cut, because
it did not end, may cost a penalty, the only thing that a policy learns to end by if nothing else
tells it.  A penalty that comes without warning at the last letter is a noisy teacher.  DAPO (Yu et
al. 2025) charges for the length before: nothing up to longest − soft steps, and then more with
each,

    penalty(y) = 0                            if |y| ≤ longest − soft,
                 (longest − soft − |y|)/soft  up to |y| = longest,
                 −1                           beyond,                                      (rlhf.4)

which is `length_penalty`, a score like others, to be added to one.

*What cannot be scored* has no reward of zero, which would be a verdict.  A score may be masked, by
`np.ma.masked_invalid(scores)` where it is NaN, and then the string carries no weight (`training`).

*Iterated.*  The reward model has seen strings of the reference.  The better the policy, the
stranger its strings.  So one asks for preferences on the new policy's strings, fits again to all of
them, and goes on, always with the price of leaving the same reference.  Llama 2 went on so from
version V1 to V5: until V4 by rejection sampling alone (`best_of_n`), and then by PPO as well.

Two policies, two divergences: π_old changes with every batch and belongs to PPO's clipping, π_ref
stays for a whole run and belongs to the reward.  They coincide where a run starts from the
reference, in its first batch.

Read first: `regularised`, `ppo`, `kl`, `reward_model`.  Compare: `dpo`.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, eq. 2 without its pretraining term;
Ziegler et al. 2019, arXiv:1909.08593; Yu et al. 2025 (DAPO), arXiv:2503.14476, eq. 13.
"""

from functools import partial

import numpy as np

from minirl.kernel import checks
from minirl.play.optim import adam, linear
from minirl.play.ppo import ppo
from minirl.kernel.softmax import difference, log_softmax


def rlhf(mdp, record, reward_table, ref_logits, *, beta, missing_eos_penalty=0.0, episodes=512,
         horizon=200, iterations=400, n_epochs=10, batch_size=None, clip_range=0.2,
         gae_lambda=0.95, normalize_advantage=True, learning_rate=linear(0.05, 0.0), ent_coef=0.0,
         max_grad_norm=np.inf, value_rate=0.5, optimiser=adam()):
    """PPO on the rewards (rlhf.1), for ever: yields a `training.Training` record per iteration.

    What `mdp` pays is not seen.  Training starts, as a rule, at the reference.

    Parameters
    ----------
    reward_table, ref_logits, beta, missing_eos_penalty
        As in `step_rewards`.

    The others are those of `ppo.ppo`.  By default the rate falls to zero, so that the noise of the
    batches dies out, and there is no entropy bonus: the KL does its work.

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
               optimiser=optimiser)


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


def adaptive_rlhf(mdp, record, reward_table, ref_logits, *, target_kl, kl_horizon=10_000,
                  missing_eos_penalty=0.0, episodes=512, horizon=200, iterations=400, n_epochs=10,
                  batch_size=None, clip_range=0.2, gae_lambda=0.95, normalize_advantage=True,
                  learning_rate=linear(0.05, 0.0), ent_coef=0.0, max_grad_norm=np.inf,
                  value_rate=0.5, optimiser=adam()):
    """`rlhf` with the price steered by (rlhf.3), for ever: yields a record per iteration.

    Parameters
    ----------
    record : training.Training
        Its `kl_coef`, an argument of `training.start`, is the first β.
    target_kl : float > 0
        Nats per string.
    kl_horizon : float ≥ episodes
        Strings in which β may change by a fifth.

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
                    optimiser=optimiser)
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
    number of strings in which β may change by a fifth.

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
