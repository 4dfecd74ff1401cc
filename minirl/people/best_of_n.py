"""Best of n: sample n strings, keep the best.  The strongest baseline, and its exact law.

*Part 4.  Previous: `sft`.  Next: `regularised`.*

The simplest way to use a reward trains nothing: let the reference write K strings and show the one
that earns most.  (Everybody says *best of n*, and so does the code; here n is the number of a step,
and K the size of a group of strings.)  How good is that, and how far from the reference?  Both are
known exactly, because only the *levels* of the reward matter.  Let R_1 < R_2 < … be the values that
a string's reward can take, p_k the probability of R_k under the reference, and F_k = p_1 + … + p_k.
The best of K is at most R_k if all K are.  So it earns R_k with probability q_k, and among the
strings of a level it is drawn as the reference draws them, by the law π_K,

    q_k = F_k^K − F_{k−1}^K,      π_K(y) = π_ref(y) q_k / p_k   where R(y) = R_k.      (best_of_n.1)

Ties may be broken by any rule that does not look at the strings, such as "the first".  The distance
to the reference is a sum over levels too,

    KL(π_K‖π_ref) = Σ_k q_k log(q_k/p_k) ≤ log K − (K − 1)/K,                          (best_of_n.2)

and so is the chance to beat one more string of the reference, where a tie counts one half,

    Σ_k q_k (F_{k−1} + p_k/2) ≤ K/(K + 1).                                             (best_of_n.3)

Both bounds are often quoted as values.  They are values where two draws never earn the same, as
under a continuous law.  A string is drawn twice with a positive chance, so for strings the truth is
always smaller, if only by a little.

*The law of the reward*, the levels R_k and their p_k, is computed exactly by `return_law`.  After
that K = 10⁶ costs as much as K = 2.

*Is it any good?*  On the running example J = E[R] − β KL at β = 0.5 is best at K = 4, with 91.5 %
of what the best policy gains, and falls after that: at K = 64 it is 20 %, and from K = 121 on less
than the reference has.  The reward goes on rising, but more and more slowly, and the KL is not
free.  (And this is the true reward.  Where the best is chosen by a learned one, the true one falls
in the end.)

*Put it into the policy.*  Best of n pays K times for each string.  *Rejection sampling* (as Llama 2
calls it) fine-tunes on the winners instead.  With N[s, a] their counts and a pseudo-count α for
what the policy π did before,

    π'(a|s) = (N[s, a] + α π(a|s)) / (N[s] + α).                                       (best_of_n.4)

A bigram cannot follow π_K, which is no bigram: it must remember what the string has earned.  Where
the reference was π, with many winners π' becomes the bigram that makes KL(π_K‖π') smallest, the one
with the same expected counts.  If the reward is a sum over steps, then the expected counts decide
it, so π' *earns what π_K earns*.  And log(π'/π_ref) is such a sum as well, so its mean is the same
under both:

    KL(π'‖π_ref) = KL(π_K‖π_ref) − KL(π_K‖π').                                         (best_of_n.5)

The same reward for a smaller distance: so fine-tuning beats the best of K at every K > 1.  On the
running example the best of K = 4, put into the policy, has 95.1 % of what the best policy gains,
and 96.7 % at K = 7, its best.

These are limits for many winners.  Counts of few strings are noisy, and noise is paid for as
distance: with the 1,024 winners of the defaults one round has about 80 %, with 10,000 winners 93 %.
And one round is all that (best_of_n.5) speaks of.  The next takes the best of four of π', not of π,
and nothing pulls it back to the reference: with 10,000 winners 84 % are left after the second
round, a fifth after the third, and after that less than the reference has.

Read first: `regularised`, `sft`, `reinforce` for how a batch is played.  Compare: `rlhf`.
Source: Stiennon et al. 2020, "Learning to summarize from human feedback", arXiv:2009.01325, §G.3,
for the bound; Beirami et al. 2024, "Theoretical guarantees on the best-of-n alignment policy",
arXiv:2401.01879; Touvron et al. 2023 (Llama 2), arXiv:2307.09288, §3.2.3; Gao et al. 2022, "Scaling
laws for reward model overoptimization", arXiv:2210.10760, for the best by a learned reward.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from minirl.kernel import checks, counts
from minirl.play.training import environment_rewards, next_record, play
from minirl.people.sft import fit_by_counting


class BestOfN(NamedTuple):
    """What the best of K strings is like, exactly."""

    prob: np.ndarray  # q_k of (best_of_n.1), for each level of the law
    reward: float     # its mean
    kl: float         # to the reference, in nats per string, (best_of_n.2)
    bound: float      # log K − (K − 1)/K, which kl would be if two draws never tied
    win_rate: float   # against one string of the reference, (best_of_n.3)
    means: np.ndarray  # (m,) of the law's other sums


def best_of_n(law, n):
    """What the best of K = `n` strings is like, by (best_of_n.1)-(best_of_n.3): a `BestOfN`.

    Of the `RewardLaw` of the reference the tail is left out: `prob` and `win_rate` are off by at
    most K times the tail, and `kl` by about log K times that.  What the strings left out earn,
    nothing here bounds.

    Examples
    --------
    The better of two coins that show 0 or 1:

    >>> from minirl.exact.return_law import RewardLaw
    >>> coin = RewardLaw(np.array([0., 1.]), np.array([0.5, 0.5]), 0.0, np.zeros((0, 2)))
    >>> best = best_of_n(coin, 2)
    >>> print(best.prob, best.reward, round(best.kl, 4), round(best.bound, 4), best.win_rate)
    [0.25 0.75] 0.75 0.1308 0.1931 0.625
    """
    K, p = float(checks.whole("n", n)), law.prob / law.prob.sum()
    F, q = _levels_of_the_best(p, K)  # q = F**K − (F − p)**K
    kl = special.rel_entr(q, p).sum()
    return BestOfN(prob=q, reward=float(q @ law.rewards), means=law.means @ q,
                   kl=max(float(kl), 0.0),  # at K = 1 rounding may leave −1e-17
                   bound=float(np.log(K) - (K - 1) / K), win_rate=float(q @ (F - p / 2)))


def rejection_sampling(mdp, record, *, rewards=environment_rewards, num_generations=4,
                       episodes=4096, horizon=200, pseudo_count=1.0):
    """Fine-tune on the best of each group, (best_of_n.4), for ever: yields a record per iteration.

    The arguments are those of every trainer (`training`), and these:

    Parameters
    ----------
    num_generations : int ≥ 1
        K, which divides `episodes`.  The episodes of a group begin in one start state, and the best
        has the largest sum of rewards.
    pseudo_count : float ≥ 0
        α.  With 0 an action that no winner took, in a state where there was one, is never taken
        again; where there was none, the policy stays as it is.

    Yields
    ------
    training.Training
        Its value table and optimiser are not used.  Its own metric is `rejection/reward`, the mean
        reward of the winners.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.training import after, start
    >>> record = after(rejection_sampling(coin_game(), start(np.zeros((1, 2)), rng=0)), 1)
    >>> print(record.policy.round(1), record.metrics["rejection/reward"] > 2)
    [[0.7 0.3]] True
    """
    checks.not_negative("pseudo_count", pseudo_count)
    while True:
        batch = play(mdp, record, rewards=rewards, episodes=episodes, horizon=horizon,
                     num_generations=num_generations)
        totals = batch.rollout.totals(batch.rewards)
        best = _best(totals, batch.groups)
        table = counts.table(counts.select(batch.steps, best))
        present = record.logp
        fitted = fit_by_counting(table, pseudo_count=pseudo_count * np.exp(present))
        logits = np.where(table.sum(axis=1, keepdims=True) + pseudo_count > 0, fitted, present)
        record = next_record(record._replace(logits=logits), batch,
                             {"rejection/reward": float(totals[best].mean())})
        yield record


def winners(steps, rewards, num_generations):
    """The best of each group of neighbours among B strings, as `counts.Steps`; of equals the first.

    `rewards` (B,) has one number per string, and `num_generations` is K, or the size of each group.

    Examples
    --------
    >>> four = counts.steps(np.zeros(4, int), np.array([0, 1, 2, 1]), np.arange(5), (1, 3))
    >>> print(winners(four, np.array([1., 7., 2., 2.]), 2).index)
    [1 2]
    """
    rewards = checks.array("rewards", rewards, (steps.starts.size - 1,))
    return counts.select(steps, _best(rewards, num_generations))


def _best(rewards, num_generations):
    """The number of the best string of each group, of equals the first."""
    sizes = checks.group_sizes(num_generations, rewards.size)
    most = np.maximum.reduceat(rewards, sizes.cumsum() - sizes).repeat(sizes)
    best = np.flatnonzero(rewards == most)
    group = np.arange(sizes.size).repeat(sizes)[best]
    return best[np.append(True, np.diff(group) > 0)]


def _levels_of_the_best(prob, K):
    """F_k and q_k of (best_of_n.1), to the last digit.

    Where K is a million, F is needed to the last digit of 1 − F: hence sums from above as well, and
    the power by logarithms, q_k = −F_k^K (exp(K log(1 − p_k/F_k)) − 1).
    """
    possible = prob > 0
    p = prob[possible]
    below, above = p.cumsum(), np.append(p[:0:-1].cumsum()[::-1], 0)
    low = below < 0.5
    F = np.where(low, below, 1 - above)
    log_F = np.where(low, np.log(below), special.log1p(-above))
    q = -np.exp(K * log_F) * special.expm1(K * special.log1p(-np.minimum(p / F, 1)))
    found = np.zeros((2, prob.size))
    found[:, possible] = F, q
    return found
