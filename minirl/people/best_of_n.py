"""How good is it to write many strings and keep the best?

*Part 4.  Previous: `sft`.  Next: `regularised`.*

The simplest use of a reward trains nothing.  The reference writes K strings, and the one with the
largest reward is shown.  This is called *best of n*, and so is the code.  The letter here is K, the
size of a group of strings, since n numbers steps.  The chapter computes how much such a choice
earns and how far from the reference it leads, exactly, and then puts the choice into a policy.

**Five strings.**  π_ref is the law of one, and π_2 and π_4 are those of the best of two and four:

    y        no       on       non      noon     onon
    R        1        1        2        3        3
    π_ref    0.4      0.2      0.2      0.1      0.1
    π_2      0.24     0.12     0.28     0.18     0.18
    π_4      0.0864   0.0432   0.28     0.2952   0.2952

Only the rewards decide, so strings of equal reward are gathered.  Write R_1 < R_2 < … for the
rewards that occur, p_k for the chance that a string earns R_k, and F_k = p_1 + … + p_k for the
chance that it earns R_k or less.  The best of K earns R_k or less if all K strings do.  The chance
of that is F_k^K.  Take away the chance F_{k−1}^K that all of them earn less (with F_0 = 0), and
what is left is the chance q_k that the best earns exactly R_k:

    R_k    p_k    F_k     K = 2:  F_k²   q_k     K = 4:  F_k⁴     q_k
    1      0.6    0.6             0.36   0.36            0.1296   0.1296
    2      0.2    0.8             0.64   0.28            0.4096   0.28
    3      0.2    1               1      0.36            1        0.5904

The mean reward is 1.6 for one string, 1 · 0.36 + 2 · 0.28 + 3 · 0.36 = 2 for the best of two, and
2.4608 for the best of four.  If strings tie, the first is kept.  This choice looks at rewards only,
not at what the strings say.  So the strings of the reward R_k share q_k as they share p_k.  Of the
0.36 for the reward 1, "no" has two thirds, as it has of 0.6.  So the best of K has the law

    q_k = F_k^K − F_{k−1}^K,      π_K(y) = π_ref(y) q_k/p_k   where R(y) = R_k.        (best_of_n.1)

**How far, and how often it wins.**  By (best_of_n.1) log π_K(y) − log π_ref(y) is log(q_k/p_k) for
all strings of the reward R_k, and so the KL divergence is a sum over rewards:

    KL(π_K‖π_ref) = Σ_k q_k log(q_k/p_k) ≤ log K − (K − 1)/K.                          (best_of_n.2)

For K = 2 it is 0.36 log 0.6 + 0.28 log 1.4 + 0.36 log 1.8 = −0.184 + 0.094 + 0.212 = 0.122 nats,
and the bound is log 2 − ½ = 0.193.  Let one more string of the reference compete with the best.  It
earns less than R_k with the chance F_{k−1}, and the same with the chance p_k.  If a tie counts one
half, then the best wins with the chance

    Σ_k q_k (F_{k−1} + p_k/2) ≤ K/(K + 1).                                             (best_of_n.3)

For K = 2 that is 0.36 · 0.3 + 0.28 · 0.7 + 0.36 · 0.9 = 0.628, at most ⅔.  A `RewardLaw` holds R_k,
p_k, the chance of strings that are left out (0), and means of other sums (none here):

>>> from minirl.exact.return_law import RewardLaw
>>> law = RewardLaw(np.array([1., 2, 3]), np.array([0.6, 0.2, 0.2]), 0.0, np.zeros((0, 3)))
>>> two, four = best_of_n(law, 2), best_of_n(law, 4)
>>> print(two.prob, four.prob, np.round([two.reward, two.kl, two.bound, two.win_rate], 4))
[0.36 0.28 0.36] [0.1296 0.28   0.5904] [2.     0.1219 0.1931 0.628 ]

*Why only bounds?*  Let there be no ties for a moment: give each string of the reward R_k a *rank*,
a random number between F_{k−1} and F_k.  A rank is then uniform between 0 and 1.  The largest of K
is below a given rank with the chance rank^K, so its density is K rank^{K−1}.  By parts ∫ K
rank^{K−1} log rank = −1/K, from 0 to 1.  So its divergence from the uniform density is

    ∫ K rank^{K−1} log(K rank^{K−1}) = log K + (K − 1)(−1/K),

and its mean is ∫ K rank^{K−1} rank = K/(K + 1).  That is the chance to win, since one more string
has a lower rank with the chance rank.  Now put the ties back.  The ratio q_k/p_k is the mean of the
density over the ranks of R_k.  A number times its logarithm is a convex function: its value at a
mean is less than the mean of its values.  So each term of (best_of_n.2) is less than its part of
the integral.  With ties at one half a winner counts as the middle of its ranks, F_{k−1} + p_k/2.
Its mean rank is higher, since the density rises.  So for K > 1 both values lie below the bounds.

**Is it any good?**  The law of the reward, p, is computed exactly by `exact.return_law`.  On the
running example J = E[R] − β KL with β = 0.5 is largest at K = 4, with 91.5 % of what there is to
gain, J* − J(π_ref).  At K = 64 it is 20 %, and from K = 121 on less than nothing: the reward rises
ever more slowly, and each nat costs β.

**Put it into the policy.**  Best of n writes K strings for one.  *Rejection sampling* fine-tunes on
the winners instead.  With their counts N[s, a] and a pseudo-count α of the whole row, of which the
action a gets α π(a|s),

    π'(a|s) = (N[s, a] + α π(a|s)) / (N[s] + α).                                       (best_of_n.4)

    row o           end     n       o              end         n           o
    π               ¼       ½       ¼      π'      (0+1)/8     (3+2)/8     (1+1)/8
    counts, α = 4   0       3       1              0.125       0.625       0.25

With many winners α fades.  Then π' takes each step as often as the winners do (`sft`), and if R is
a sum over steps, *π' earns what π_K earns*.  But π' is nearer to the reference.  Where π was π_ref,

    KL(π'‖π_ref) = KL(π_K‖π_ref) − KL(π_K‖π').                                         (best_of_n.5)

Take the mean of log π_K − log π_ref = (log π_K − log π') + (log π' − log π_ref) under π_K.  The
last bracket is a sum over steps, so its mean is the same under π', where it is KL(π'‖π_ref).

In the coin game the better of two games of a fair coin has 5/3 heads and a tail, on average.  So π'
throws 8/3 times, head with the chance ⅝.  A throw is ⅝ log(5/4) + ⅜ log(3/4) = 0.0316 nats away,
and a game of π' 8/3 · 0.0316 = 0.0842.  The better of two games earns as much and is 0.1425 away.

On the running example the best of four, put into the policy, has 95.1 % of what there is to gain,
and 96.7 % at K = 7, its best.  With few winners the counts are noisy, and noise is paid for as
distance: from the 1,024 winners of the defaults it has about 80 %, from 10,000 winners 93 %.  The
next round takes the best of four of π', and nothing draws it back to the reference.  With 10,000
winners each, the second round has 84 %, the third about a fifth, and the J of the fourth is below
that of the reference.

**Exercises.**  `from minirl.people.best_of_n import *;
from minirl.exact.return_law import RewardLaw`
1. All strings earn the same.  What do (best_of_n.2) and its bound say of the best of 1,000?
       best = best_of_n(RewardLaw(np.array([5.]), np.ones(1), 0.0, np.zeros((0, 1))), 1000)
       best.kl, round(best.bound, 4)
2. One string in a million is good.  How often is it among a million strings?
       rare = RewardLaw(np.array([0., 1.]), np.array([1 - 1e-6, 1e-6]), 0.0, np.zeros((0, 2)))
       best_of_n(rare, 10**6).prob.round(4)
3. One string in a hundred earns −100, the others 0.  What does the best of 4 cost, in nats?
       bad = RewardLaw(np.array([-100., 0.]), np.array([0.01, 0.99]), 0.0, np.zeros((0, 2)))
       [round(best_of_n(bad, 4).reward, 6), round(best_of_n(bad, 4).kl, 4)]

Read next: `regularised`, the policy that no other beats at its distance from the reference.
Source: Stiennon et al. 2020, "Learning to summarize from human feedback", arXiv:2009.01325, §G.3,
for the bound; Beirami et al. 2024, "Theoretical guarantees on the best-of-n alignment policy",
arXiv:2401.01879; Touvron et al. 2023 (Llama 2), arXiv:2307.09288, §3.2.3.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import special

from minirl.kernel import checks, counts
from minirl.play.training import Training, environment_rewards, next_record, play
from minirl.people.sft import fit_by_counting


class BestOfN(NamedTuple):
    """What the best of K strings is like, exactly: see `best_of_n`."""

    prob: np.ndarray   # q_k of (best_of_n.1), for each level of the law
    reward: float      # its mean
    kl: float          # to the reference, in nats per string, (best_of_n.2)
    bound: float       # log K − (K − 1)/K, which kl would be if two draws never tied
    win_rate: float    # against one string of the reference, (best_of_n.3)
    means: np.ndarray  # (m,) means of the law's other sums


def best_of_n(law, n) -> BestOfN:
    """What the best of K = `n` strings is like, by (best_of_n.1)-(best_of_n.3): a `BestOfN`.

    Parameters
    ----------
    law : return_law.RewardLaw
        That of the reference: `rewards` are the R_k, `prob` the p_k, and `means` (m, levels) the
        means of m other sums, such as the length, at each level; m may be 0.
    n : int ≥ 1
        K.

    Returns
    -------
    BestOfN
        `prob` (levels,) are the q_k, `reward` is their mean reward, `kl` the divergence from the
        reference in nats and `bound` the right side of (best_of_n.2), `win_rate` the chance in
        (best_of_n.3), and `means` (m,) are the means of the other sums.  The tail of the law is
        left out: `prob` and `win_rate` are off by at most K times the tail, and `kl` by about log K
        times that.  What the strings left out earn, nothing here bounds.

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
                       episodes=4096, horizon=200, pseudo_count=1.0) -> Iterator[Training]:
    """Fine-tune on the best of each group, (best_of_n.4), for ever: yields a record per iteration.

    The arguments are those of every trainer (`training`), and these:

    Parameters
    ----------
    num_generations : int ≥ 1
        K, which divides `episodes`.  The episodes of a group begin in one start state, and the best
        has the largest sum of rewards.
    pseudo_count : float ≥ 0
        α, of a row.  With 0 an action that no winner took, in a state where there was one, is never
        taken again; where there was none, the policy stays as it is.

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


def winners(steps, rewards, num_generations) -> counts.Steps:
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
