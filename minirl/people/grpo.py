"""GRPO: PPO without a value table; the group is the baseline.

*Part 4.  Previous: `groups`.  Next: `dpo`.*

GRPO needs no critic: the strings that answer the same prompt are each other's baseline (`groups`).
DeepSeekMath's loss is that of PPO with one advantage for a whole string, a weight w_i for each of
its letters, and a penalty towards the reference,

    L = −Σ_i w_i Σ_t min(ρ_it A_i, clip(ρ_it, 1 ± ε) A_i) + β Σ_i w_i Σ_t k3(u_it),        (grpo.1)

with ρ = π/π_old and u = log π_ref − log π.  Two different policies: π_old wrote the batch, and
several steps are taken from it; π_ref stays for a whole run.  (DeepSeekMath's algorithm 1 sets it
to the policy when one run follows another.)  A and w are those of (groups.1) and (groups.5), or of
a variant.  In the tables of `groups` the first term is Σw times `ppo.ppo_loss`, and the second is
`kl.k3_loss`, which also counts the steps of groups whose advantages are zero.

*What does it climb?*  With β = 0 and the KL in the *reward* (`rlhf.step_rewards`) it climbs J_β,
and gets there: at the optimum every string has the same shaped return, J*, so that neither the std
nor 1/|y| nor the shrinking mean can move the fixed point.  On the running example it reaches 99.9 %
of what there is to gain.  With k3 in the loss it climbs nothing that has a name.  Where the update
of Dr. GRPO comes to rest, in expectation, the part of the reward and that of k3 cancel in every
row,

    π = π_ref / (1 − (1 − 1/K) (Q − V)/β),                                                 (grpo.2)

with groups of K, and Q and V of the raw reward under π itself: `resting_policy`.  The KL of later
steps is never charged to the choice that leads there, k3 descends the wrong KL, and the price of it
depends on the size of the group.  On the running example at β = 0.5 the resting policy has 76, 83,
77, 67 and 53 % of what there is to gain, for groups of 2, 4, 8, 16 and 64.  GRPO itself has no such
formula; with groups of 8 its expected update, computed, comes to rest at 79 %.

Read first: `ppo`, `kl`, `rlhf`, `groups`.
Source: Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, eqs. 3-4; Liu et al. 2025, "Understanding
R1-Zero-like training", arXiv:2503.20783 (Dr. GRPO); Ahmadian et al. 2024, "Back to basics",
arXiv:2402.14740 (RLOO).
"""

import numpy as np
from scipy import optimize

from minirl.kernel import checks
from minirl.exact.evaluation import action_values, evaluate
from minirl.people.kl import k3_loss
from minirl.play.optim import adam, linear, remaining
from minirl.play.surrogate import clip_fraction, mean_kl
from minirl.play.ppo import ppo_loss
from minirl.play.training import environment_rewards, next_record, play, policy_step
from minirl.kernel.softmax import LogPolicy, difference, log_softmax
from minirl.people.groups import equal_groups, group_normalised, per_string, weighted


def grpo_loss(logits, old_logits, batch, *, ref_logits, beta, epsilon=0.2):
    """The loss (grpo.1), to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits, old_logits : (S, A) float
        The policy θ, and the policy that wrote the batch.  A `softmax.LogPolicy` may stand for that
        one, and for the reference, as in `ppo.ppo_loss`.
    batch : surrogate.Advantages
        From `groups.weighted`.
    ref_logits : (S, A) float
        The reference; it matters only where beta is not 0.
    beta : float ≥ 0
        Price of k3, in units of the advantages per nat.  The loss is +∞ where k3 is, see
        `kl.k3_loss`.
    epsilon : float > 0
        ε of the clipping.

    Examples
    --------
    A gain for action 0, and a reference that likes action 1 better:

    >>> from minirl.play.surrogate import Advantages
    >>> ones = np.ones((1, 2))
    >>> batch = Advantages(np.array([[1., 0.]]), np.zeros((1, 2)), 2.0, counts=ones)
    >>> even, bent = np.zeros((1, 2)), np.log([[0.25, 0.75]])
    >>> loss, grad = grpo_loss(even, even, batch, ref_logits=bent, beta=0.5)
    >>> print(round(loss, 4), grad.round(4))
    -0.8562 [[-0.25  0.25]]
    """
    checks.not_negative("beta", beta)
    checks.positive("epsilon", epsilon)
    logp, ref_logp = log_softmax(logits), log_softmax(ref_logits, "ref_logits")
    checks.shape("ref_logits", ref_logp, logp.shape)
    policy = LogPolicy(logp)
    mean, up = ppo_loss(policy, old_logits, batch, clip_range=epsilon)
    penalty, back = k3_loss(policy, LogPolicy(ref_logp), batch.counts) if beta else (0.0, 0.0)
    total = batch.number  # Σw, by which `ppo_loss` divides
    return total * mean + beta * penalty, total * up + beta * back


def grpo(mdp, record, *, ref_logits, beta=0.0, rewards=environment_rewards, num_generations=8,
         episodes=512, horizon=200, iterations=400, num_iterations=4, epsilon=0.2,
         advantage=group_normalised, weights=per_string, learning_rate=linear(0.05, 0.0),
         max_grad_norm=np.inf, optimiser=adam()):
    """Train by (grpo.1), for ever: yields a `training.Training` record per iteration.

    The arguments are those of every trainer (`training`), and these:

    Parameters
    ----------
    ref_logits : (S, A) float
        The reference of the penalty and of the metric `objective/kl`.
    beta : float ≥ 0
        Price of k3 in the loss.  With 0 put the KL into the rewards: `rlhf.step_rewards`.
    num_generations : int ≥ 2
        K, which divides `episodes`.
    num_iterations : int ≥ 1
        Gradient steps from each batch.
    epsilon : float > 0
        ε of the clipping.
    advantage, weights : callable
        Those of `groups`, or your own.  `advantage(rewards, rollout, sizes)` sees the rewards of
        steps, (N,), and returns a number per string, (B,), or per step, (N,); `sizes` is K, or the
        size of each group where strings are masked.  `weights(rollout)` is (B,) and positive.

    Yields
    ------
    training.Training
        Its value table is not used.  Its own metrics are `policy/kl` and `policy/clipfrac` of the
        update (`surrogate`); `objective/kl`, the mean log-ratio of the batch's strings to the
        reference, in nats; and `frac_reward_zero_std`, the share of groups whose strings earned the
        same in total, from which an advantage per string learns nothing.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> from minirl.people.rlhf import step_rewards
    >>> coin, fair = coin_game(), np.zeros((1, 2))
    >>> paid = step_rewards(coin.mean_reward, fair, beta=2.0)
    >>> trainer = grpo(coin, start(fair, rng=0), ref_logits=fair, rewards=paid, iterations=100)
    >>> print(after(trainer, 100).policy.round(2))  # 0.8244 at best
    [[0.82 0.18]]
    """
    num_iterations = checks.whole("num_iterations", num_iterations)
    ref = LogPolicy(log_softmax(ref_logits, "ref_logits"))
    checks.shape("ref_logits", ref.logp, record.logits.shape)
    while True:
        progress = remaining(record.iteration, iterations)
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon,
                     num_generations=num_generations)
        judged = np.asarray(advantage(batch.rewards, batch.rollout, batch.groups))
        tables = weighted(batch.steps, judged, weights(batch.rollout))
        logits, state, old = record.logits, record.optimiser, LogPolicy(record.logp)
        for _ in range(num_iterations):
            _, grad = grpo_loss(logits, old, tables, ref_logits=ref, beta=beta, epsilon=epsilon)
            logits, state = policy_step(
                logits, grad, state, None, progress, learning_rate=learning_rate,
                max_grad_norm=max_grad_norm, optimiser=optimiser)
        new = LogPolicy(log_softmax(logits))
        ratio = difference(old.logp, ref.logp, batch.counts != 0)
        metrics = {
            "policy/kl": mean_kl(new, old, batch.visits),
            "policy/clipfrac": clip_fraction(new, old, batch.steps, _of_steps(judged, batch),
                                             clip_range=epsilon),
            "objective/kl": float((batch.counts * ratio).sum() / batch.episodes),
            "frac_reward_zero_std": float(equal_groups(batch.rewards, batch.rollout,
                                                        batch.groups).mean())}
        record = next_record(record._replace(logits=logits, optimiser=state), batch, metrics)
        yield record


def _of_steps(advantages, batch):
    """Advantages, one per string or per step, for each step: (N,)."""
    if advantages.size == batch.steps.index.size:
        return advantages
    return batch.rollout.spread(advantages)


def resting_policy(mdp, ref_logits, *, beta, num_generations, tol=1e-10, max_rounds=1000):
    """log π of (grpo.2), (S, A): where Dr. GRPO with k3 in the loss comes to rest, in expectation.

    Each row is solved for the V at which it sums to one, with Q of the policy before, until no
    probability changes by more than `tol`.  The world must be at gamma 1.

    Examples
    --------
    One toss that pays for heads: head = ½/(1 − ½ (1 − head)) in groups of two at β = 1.

    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> toss = unroll(coin_game(), 1)
    >>> policy = np.exp(resting_policy(toss, np.zeros((1, 2)), beta=1.0, num_generations=2))
    >>> print(policy.round(4), (0.5 / (1 - 0.5 * policy[0, 1])).round(4))
    [[0.618 0.382]] 0.618
    """
    checks.positive("beta", beta)
    K = checks.whole("num_generations", num_generations, least=2)
    share = (K - 1) / (K * beta)  # what multiplies Q − V in (grpo.2)
    ref = np.exp(log_softmax(ref_logits, "ref_logits"))
    policy = ref
    for _ in range(checks.whole("max_rounds", max_rounds)):
        # What the reference never does stays undone.
        Q = np.where(ref > 0, action_values(mdp, np.nan_to_num(evaluate(mdp, policy))), -np.inf)
        worse = Q.max(axis=1, keepdims=True) - Q
        # With V = max Q − 1/share + x a row is π_ref / (share (x + worse)), whose sum falls in x.
        x = [optimize.brentq(lambda x: (row / (share * (x + less))).sum() - 1,
                             row[less == 0].sum() / share * (1 - 1e-9), 2 / share,
                             xtol=1e-300, rtol=1e-14) for row, less in zip(ref, worse)]
        before, policy = policy, ref / (share * (np.array(x)[:, None] + worse))
        if np.abs(policy - before).max() <= tol:
            return np.log(policy, out=np.full(policy.shape, -np.inf), where=policy > 0)
    raise ValueError(f"the policy still moves after max_rounds = {max_rounds} rounds")
