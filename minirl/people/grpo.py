"""What does PPO become, if a group of strings replaces the value table?

*Part 4.  Previous: `groups`.  Next: `dpo`.*

GRPO is PPO with the advantages of `groups`, so that it needs no value table.  Its loss also has a
penalty for leaving the reference.  This chapter writes the loss down, and then asks where its
update comes to rest.

**The loss.**  The policy π_old wrote a batch of B strings, in groups of K that answer one prompt.
String i has the reward R_i and |y_i| steps.  Mean and std are those of its group:

    L = −Σ_i w_i Σ_t [min(ρ_it A_i, clip(ρ_it, 1 − ε, 1 + ε) A_i) − β k3(u_it)],
    A_i = (R_i − mean)/(std + 10⁻⁴),        w_i = 1/(B·|y_i|),
    ρ_it = π(a_t|s_t)/π_old(a_t|s_t),       u_it = log π_ref(a_t|s_t) − log π(a_t|s_t),
    k3(u) = e^u − u − 1.                                                                   (grpo.1)

Each string has its own advantage A_i, one for all of its steps t (groups.1).  The minimum is that
of PPO (ppo.1), with the clip range ε.  k3 estimates the KL to the reference (kl.4).  Since A is
measured in stds of the group, so is β, the price of a nat.  After the first step of a batch k3 is
averaged over what π_old wrote, and no longer estimates the KL of π.  The weights w_i (groups.5)
make L a mean over strings of means over steps: a long string counts as much as a short one, and
each of its letters less.  PPO divides by all steps of the batch, and REINFORCE by B, so that
letters count alike.

*Two other policies*, as in `rlhf`: ρ is over π_old, from which an iteration takes several steps,
and k3 is about π_ref, which stays for a whole run.  (In DeepSeekMath several runs follow one
another, and each begins with π_ref set to the policy.)

**In numbers.**  A string is one throw of a coin.  A group of two threw head, which earned 1, and
tail, which earned 0.  Mean and std are ½, so that A = 0.9998 and −0.9998, and w = ½.  Let π and
π_old be the fair coin, π_ref = ¼ ¾, and β = 0.5.  Then ρ = 1, and

    u            log(¼ / ½) = −0.6931                log(¾ / ½) = 0.4055
    k3(u)        ½ + 0.6931 − 1 = 0.1931             1.5 − 0.4055 − 1 = 0.0945

The two advantages cancel in L, which leaves ½ · 0.5 · (0.1931 + 0.0945) = 0.0719.  The derivative
of −wA ρ in log π is −wA ρ, here −wA, and that of w β k3 is w β (1 − e^u), by (kl.5).  So G is
−0.4999 + 0.25 (1 − ½) = −0.375 for head and 0.4999 + 0.25 (1 − 1.5) = 0.375 for tail.  Head earned
more, and becomes likelier although the reference pulls the other way:

>>> from minirl.kernel import counts
>>> steps = counts.steps([0, 0], [0, 1], [0, 1, 2], (1, 2))
>>> batch = weighted(steps, group_normalised(np.array([1., 0.]), None, 2), np.array([0.5, 0.5]))
>>> fair, reference = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
>>> loss, grad = grpo_loss(fair, fair, batch, ref_logits=reference, beta=0.5)
>>> print(round(loss, 4), grad.round(3))
0.0719 [[-0.375  0.375]]

**As tables.**  `weighted` adds up wA in A⁺ where A > 0 and in A⁻ where A < 0, and w in W, for each
entry, and sets the batch's `number` to ΣW instead of N.  `ppo.ppo_loss` divides by it, and is
multiplied by ΣW again to make the first part of L.  The second part is β times `kl.k3_loss`:

    G = −ρ (A⁺·1{ρ ≤ 1 + ε} + A⁻·1{ρ ≥ 1 − ε}) + β W (1 − π_ref/π).

The steps of a group of equals have no part in A⁺ and A⁻, but they do in W: k3 pulls at them.

**An iteration** of `grpo`: `play` has B strings written by π_old, in groups of K, which is
`num_generations`.  Functions of `groups`, or your own, give each string its A_i (`advantage`) and
w_i (`weights`).  `weighted` makes the tables.  Then `grpo_loss` and a step of Adam take turns,
`num_iterations` times.  Among the metrics is the share of groups of equals.

**The KL in the reward.**  Set the argument `beta` of the loss to 0, and let `rlhf.step_rewards`
charge the price β.  Then GRPO rests at the optimum of J.  There π(y) = π_ref(y) e^{R(y)/β}/Z, so
that R(y) − β log(π(y)/π_ref(y)) = β log Z for all strings of a prompt.  A group earns the same, and
all advantages are zero: neither the std nor 1/|y| nor the mean can move that point.  On the running
example it reaches more than 99.9 % of what there is to gain.

**k3 in the loss** leads elsewhere.  Take Dr. GRPO, which gives all letters the same weight, at the
first step, where ρ = 1.  On average its first part follows (1 − 1/K) ∇J (`groups`), where J has no
KL in it, and k3 adds its derivative (kl.5).  Up to the weight the expected update is

    Σ_{s,a} η(s) π(a|s) push(s, a) ∇log π(a|s),   push = (1 − 1/K) Q − β (1 − π_ref/π).

By (softmax.2) the logit of b in s moves by

    η(s) Σ_a π(a|s) push(s, a) (1{a = b} − π(b|s)) = η(s) π(b|s) [push(s, b) − (mean push in s)].

So the update rests where all pushes of a row are equal, and so equal to their mean under π.  The
mean of Q is V.  That of π_ref/π is Σ_a π_ref(a|s) = 1, so that β (1 − π_ref/π) has the mean 0:

    (1 − 1/K) Q − β (1 − π_ref/π) = (1 − 1/K) V.

Divide by β, and solve for π:

    π = π_ref / (1 − (1 − 1/K) (Q − V)/β).                                                 (grpo.2)

Q and V are those of the raw reward under π itself, so this is an equation for π, which
`resting_policy` solves.  For one throw of a fair coin that pays 1 for head, V = π(head) and Q(head)
= 1.  At β = 1 and K = 2, π(head) = ½/(1 − ½ (1 − π(head))), or π(head)² + π(head) = 1.  The
solution 0.618 is one over the golden ratio.  For K = 4 it is 0.667 and for K = ∞ 0.707, where RLHF
has e/(1 + e) = 0.731.  Here is the running example at β = 0.5:

    K                             2       4       8       16      64      RLHF
    KL(π‖π_ref) of a string       0.222   0.548   0.969   1.371   1.856   0.894
    of what there is to gain      76 %    83 %    77 %    67 %    53 %    100 %

The price of a nat depends on the size of the group: divide push by 1 − 1/K, and it is β/(1 − 1/K),
2β for K = 2 and β for large K.  Where it is high, the policy stays too near the reference.  Where
it is low, it goes too far, since the KL of later steps is never charged to the choice that leads
there, as in (kl.3).  Besides, k3 descends the other KL in each row (kl.6).  GRPO itself has no such
formula; at K = 8 its expected update, computed, rests at 79 %.

**Exercises.**  `from minirl.people.grpo import *; from minirl.kernel import counts; from
minirl.kernel.mdp import coin_game, unroll`
1. Both strings of a group earned 1.  Does the policy stay where it is?
       steps, fair = counts.steps([0, 0], [0, 1], [0, 1, 2], (1, 2)), np.zeros((1, 2))
       batch = weighted(steps, group_normalised(np.ones(2), None, 2), np.array([0.5, 0.5]))
       -grpo_loss(fair, fair, batch, ref_logits=np.log([[0.2, 0.8]]), beta=1.0)[1].round(3)
2. Head was good and tail was bad, and ρ is 1.5 for head by now.  Which way is head pushed?
       steps, fair = counts.steps([0, 0], [0, 1], [0, 1, 2], (1, 2)), np.zeros((1, 2))
       batch = weighted(steps, group_normalised(np.array([1., 0.]), None, 2), np.array([0.5, 0.5]))
       -grpo_loss(np.log([[0.75, 0.25]]), fair, batch, ref_logits=fair, beta=0.5)[1].round(3)
3. At β = 0.1 the optimum throws head with 0.99995.  Where does k3 leave it, in groups of 2 and 64?
       [np.exp(resting_policy(unroll(coin_game(), 1), np.zeros((1, 2)), beta=0.1,
                              num_generations=K)).round(2).tolist() for K in (2, 64)]

Read next: `dpo`, which reaches the optimum without writing a string.
Source: Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, eqs. 3-4; Liu et al. 2025, "Understanding
R1-Zero-like training", arXiv:2503.20783 (Dr. GRPO); Ahmadian et al. 2024, "Back to basics",
arXiv:2402.14740 (RLOO).
"""

from collections.abc import Iterator

import numpy as np
from scipy import optimize

from minirl.kernel import checks
from minirl.exact.evaluation import action_values, evaluate
from minirl.people.kl import k3_loss
from minirl.play.optim import adam, linear, remaining
from minirl.play.surrogate import clip_fraction, mean_kl
from minirl.play.ppo import ppo_loss
from minirl.play.training import Training, environment_rewards, next_record, play, policy_step
from minirl.kernel.softmax import LogPolicy, difference, log_softmax
from minirl.people.groups import equal_groups, group_normalised, per_string, weighted


def grpo_loss(logits, old_logits, batch, *, ref_logits, beta, epsilon=0.2, policy_loss=None):
    """The loss (grpo.1), to be minimised, and its gradient in `logits`.

    Parameters
    ----------
    logits, old_logits : (S, A) float
        The policy θ, and the policy that wrote the batch.  The latter, and the reference, may be
        given as a `softmax.LogPolicy`, as in `ppo.ppo_loss`.
    batch : surrogate.Advantages
        From `groups.weighted`.
    ref_logits : (S, A) float
        The reference; it matters only where beta is not 0.
    beta : float ≥ 0
        Price of k3, in units of the advantages per nat.  The loss is +∞ where k3 is, see
        `kl.k3_loss`.
    epsilon : float > 0
        ε of the clipping.
    policy_loss : callable, optional
        `policy_loss(logits, old_logits) -> (loss, grad)` of the same batch, in place of the clipped
        part: what a `surrogate` of `grpo` returns.

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
    if policy_loss is None:
        mean, up = ppo_loss(policy, old_logits, batch, clip_range=epsilon)
        total = batch.number  # Σw, by which `ppo_loss` divides
        loss, grad = total * mean, total * up
    else:
        loss, grad = policy_loss(policy, old_logits)
    penalty, back = k3_loss(policy, LogPolicy(ref_logp), batch.counts) if beta else (0.0, 0.0)
    return loss + beta * penalty, grad + beta * back


def grpo(mdp, record, *, ref_logits, beta=0.0, rewards=environment_rewards, num_generations=8,
         episodes=512, horizon=200, iterations=400, num_iterations=4, epsilon=0.2,
         advantage=group_normalised, weights=per_string, learning_rate=linear(0.05, 0.0),
         max_grad_norm=np.inf, optimiser=adam(), surrogate=None) -> Iterator[Training]:
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
    surrogate : callable, optional
        What takes the place of the clipped part of (grpo.1), as `ratios.on_steps` makes it:
        `surrogate(steps, advantages, weights) -> loss`, from the `counts.Steps` of a batch and what
        the two functions above return.  `loss(logits, old_logits) -> (loss, grad)` is asked for
        each gradient step; `epsilon` then matters only for the metric `policy/clipfrac`.

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
        on_steps = judged if judged.size == batch.steps.index.size else batch.rollout.spread(judged)
        w = weights(batch.rollout)
        tables = weighted(batch.steps, judged, w)
        policy_loss = None if surrogate is None else surrogate(batch.steps, judged, w)
        logits, state, old = record.logits, record.optimiser, LogPolicy(record.logp)
        for _ in range(num_iterations):
            _, grad = grpo_loss(logits, old, tables, ref_logits=ref, beta=beta, epsilon=epsilon,
                                policy_loss=policy_loss)
            logits, state = policy_step(
                logits, grad, state, None, progress, learning_rate=learning_rate,
                max_grad_norm=max_grad_norm, optimiser=optimiser)
        new = LogPolicy(log_softmax(logits))
        ratio = difference(old.logp, ref.logp, batch.counts != 0)
        metrics = {
            "policy/kl": mean_kl(new, old, batch.visits),
            "policy/clipfrac": clip_fraction(new, old, batch.steps, on_steps, clip_range=epsilon),
            "objective/kl": float((batch.counts * ratio).sum() / batch.episodes),
            "frac_reward_zero_std": float(equal_groups(batch.rewards, batch.rollout,
                                                        batch.groups).mean())}
        record = next_record(record._replace(logits=logits, optimiser=state), batch, metrics)
        yield record


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
    checks.positive("tol", tol)
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
