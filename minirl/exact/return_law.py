"""Which returns can an episode have, and how likely is each?

*Part 2, a side road.  Previous: `average_reward`, a side road.  Next: `scorecard`.*

`evaluation` computes the mean of the return.  A mean says little where much hangs on luck, and
nothing about the largest of several returns.  This chapter computes the whole *law*: the *levels*
that an episode's reward can have, undiscounted and in rising order, and the probability p of each.

**In numbers.**  A fair coin plays the coin game: a head pays 1 and goes on, a tail pays nothing and
ends.  After the first throw half of the games have ended with 0.  The other half have one head and
throw again.  Each throw ends half of what is left:

    throw   still in the game     ends with this throw
      1     1    with no head     ½    and the reward 0
      2     ½    with 1 head      ¼    and the reward 1
      3     ¼    with 2 heads     ⅛    and the reward 2

So the reward is k with probability (½)^(k+1).  Its mean is 0 · ½ + 1 · ¼ + 2 · ⅛ + … = 1.

>>> from minirl.kernel.mdp import coin_game
>>> fair = np.array([[0.5, 0.5]])
>>> print(integer_law(coin_game(), fair).prob[:4])
[0.5    0.25   0.125  0.0625]
>>> law = reward_law(coin_game(), fair, tol=0.1)
>>> print(law.rewards, law.prob, law.tail)
[0. 1. 2. 3.] [0.5    0.25   0.125  0.0625] 0.0625

These are two ways to the law.  The second one stops after a while, here with one game in sixteen
still going on: that is its *tail*.

**Whole numbers.**  Let the rewards of steps be whole numbers, none below 0.  Write P_j(s'|s) for
the chance that the next step earns j and leads to s', end_j(s) for the chance that it earns j and
ends, and p_k(s) for the chance to earn k in all from s on.  The next step earns some j ≤ k, and
what follows must earn the rest, k − j:

    p_k(s) = end_k(s) + Σ_{j=0}^{k} Σ_s' P_j(s'|s) p_{k−j}(s').

For j = 0 the unknown p_k stands on the right as well.  With P_j as a matrix, p_k as a vector and
the identity matrix I,

    p_k = P_0 p_k + end_k + Σ_{j=1}^{k} P_j p_{k−j},
    p_k = (I − P_0)⁻¹ (end_k + Σ_{j=1}^{k} P_j p_{k−j}).                              (return_law.1)

So the levels are solved one after the other, all with the same matrix.  For the fair coin P_0 = 0,
P_1 = ½, end_0 = ½ and all else is 0, hence p_0 = ½ and p_k = ½ p_{k−1}, as above.  The length of
the episode is not limited.  Where no reward is above 0 the same is done with the signs turned.

**Few values.**  Let the rewards be any numbers, but let there be few different ones, r_1, r_2, …
The reward of an episode is Σ_i k_i r_i, where k_i counts how often r_i was earned, so the vector k
of counts is all that must be remembered.  Play all episodes at once, forward in time.  Let p_t(k,
s) be the chance that an episode is still going on after t steps, is in s, and has the counts k.
Now P_i and end_i are for the value r_i, and 1_i is the vector with a 1 in place i and 0 elsewhere;
the value 0 needs no count, so for r_i = 0 all of 1_i is 0.
Who has the counts k after a step that earned r_i had k − 1_i before:

    p_{t+1}(k, s') = Σ_{i,s} p_t(k − 1_i, s) P_i(s'|s).                               (return_law.2)

What ends with r_i in this step adds Σ_s p_t(k − 1_i, s) end_i(s) to the level Σ_i k_i r_i.  The
table above is this with the one count of heads.

**What else?**  A step may have another number, also(s, a): a 1 to count steps, or the reward that
was meant where another one is paid.  Its mean at each level is carried along.  Let m_t(k, s) be the
chance p_t(k, s) times the mean that has been summed so far.  Each step moves this on, and adds its
own number for all who take it,

    m_{t+1}(k, s') = Σ_{i,s} [m_t(k − 1_i, s) P_i(s'|s) + p_t(k − 1_i, s) (also P)_i(s'|s)],
                                                                                      (return_law.3)

where (also P)_i has each transition's chance times its number.  Divided by the chance of a level,
the sum is the mean there.  A game with k heads has k + 1 throws:

>>> print(reward_law(coin_game(), fair, also=np.ones((1, 1, 2)), tol=0.1).means)
[[1. 2. 3. 4.]]

**What it costs.**  The vectors of counts are many: with two values other than 0 there may be about
t²/2 of them after t steps, with three t³/6.  The running example has two before the end: 0.139 for
a letter, and 0.139 − 1 for one that follows its own kind.  The first letter follows none, so there
are t vectors after t letters, and the law is found in a moment, but for a tail of 10⁻¹⁵.  More than
10⁸ entries in all are refused.  Sums of floats that agree to nine digits are one level.

**Exercises.**  `from minirl.kernel.mdp import coin_game; from minirl.exact.return_law import *`
1. A coin that shows head with ¾ earns 3 on average.  Which reward is the most likely one?
       reward_law(coin_game(), np.array([[0.75, 0.25]])).prob.argmax()
2. A fair coin earns 1 on average.  Four games are played, the best one counts.  What is its mean?
   (All four earn k or less with the fourth power of the chance that one does.)
       law = reward_law(coin_game(), np.array([[0.5, 0.5]]))
       round(float(law.rewards @ np.diff(law.prob.cumsum()**4, prepend=0)), 4)
3. The best walk on the slippery lake has J = 0.5420 at γ = 0.99.  How likely is it to arrive?
       from gridworld.maps import frozen_lake
       from minirl.exact.planning import policy_iteration
       lake = frozen_lake().mdp(gamma=0.99)
       reward_law(lake, policy_iteration(lake).policy).prob.round(4)

Read next: `scorecard`, which is content with the mean.
Source: Bellemare, Dabney and Rowland 2023, "Distributional reinforcement learning", chapter 2, on
laws of returns; the recursions are derived here.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.exact.evaluation import reachable, transitions_under
from minirl.exact.solving import factorised, solve
from minirl.kernel import checks
from minirl.kernel.mdp import check_policy

NOTHING = 1e-30    # A level whose chance is this small from every state has none.
ALIKE = 1e-9       # Rewards closer than this, relative to the largest, are one level.
LEVELS = 100_000   # More levels of whole numbers are refused.
WORK = 10**8       # More entries of all p_t together are refused too.


class RewardLaw(NamedTuple):
    """The law of an episode's reward.

    `rewards` are its levels, rising, and `prob` their probabilities.  `tail` is the probability of
    the episodes left out.  `means` has a row for each of m other sums over an episode, such as its
    length: the mean of that sum at each level.  m may be 0.
    """

    rewards: np.ndarray  # (levels,)
    prob: np.ndarray     # (levels,) sums to 1 − tail
    tail: float
    means: np.ndarray    # (m, levels)


def reward_law(mdp, policy, *, also=None, tol=1e-15) -> RewardLaw:
    """The law of the reward by (return_law.2), where a step's reward has few distinct values.

    It stops when a mass of no more than `tol` is still playing.  That is the tail of the
    `RewardLaw`, and appears in no level.  The tables `also` (m, S, A) are those of (return_law.3):
    what else a step adds up to, for the law's `means`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> law = reward_law(coin_game(), np.array([[0.5, 0.5]]), tol=0.1)
    >>> print(law.rewards, law.prob, law.tail)
    [0. 1. 2. 3.] [0.5    0.25   0.125  0.0625] 0.0625
    """
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie between 0 and 1, got {tol}")
    also = np.zeros((0, *mdp.shape)) if also is None else also
    values, onwards, endings, start = _outcomes(mdp, policy, also)
    ones = np.eye(values.size, dtype=int)[:, values != 0]  # what a step adds to the counts k
    values = values[values != 0]
    k, finished, work = np.zeros((1, values.size), int), [], 0
    carried = np.zeros((1 + len(also), 1, start.size))  # p and each m, over counts and states
    carried[0, 0] = start
    while carried[0].sum() > tol:
        finished += [((k + one) @ values, _moved(carried, end)) for one, end in zip(ones, endings)]
        arrivals = [(k + one, _moved(carried, P)) for one, P in zip(ones, onwards) if P[0].nnz]
        if not arrivals:
            carried = carried[:, :0]
            break
        k, which = np.unique(np.concatenate([new for new, _ in arrivals]), axis=0,
                             return_inverse=True)
        work += k.shape[0] * start.size
        if work > WORK:
            raise ValueError(f"there are too many levels: the rewards of this world have "
                             f"{values.size} values besides 0, and {carried[0].sum():.1e} of the "
                             f"episodes are longer than {len(finished) // len(ones)} steps")
        merged = np.zeros((len(carried), len(k), start.size))
        for total, parts in zip(merged, zip(*(new for _, new in arrivals))):
            np.add.at(total, which.ravel(), np.concatenate(parts))
        carried = merged
    rewards, sums = (np.concatenate(parts, axis=-1) for parts in zip(*finished))
    return _levels(rewards, sums, float(carried[0].sum()))


def integer_law(mdp, policy) -> RewardLaw:
    """The law of the reward by (return_law.1), where rewards are whole numbers of one sign.

    The `RewardLaw` has every level between the smallest and the largest, some of which may have no
    chance.  Its tail is what rounding leaves.

    Examples
    --------
    A coin that pays one for each head: k heads and a tail.

    >>> from minirl.kernel.mdp import coin_game
    >>> law = integer_law(coin_game(), np.array([[0.5, 0.5]]))
    >>> print(law.rewards[:4], law.prob[:4])
    [0 1 2 3] [0.5    0.25   0.125  0.0625]
    """
    values, onwards, endings, start = _outcomes(mdp, policy, np.zeros((0, *mdp.shape)))
    if (values != np.round(values)).any():
        raise ValueError(f"rewards must be whole numbers, got {values[values != values.round()][0]}"
                         f": use reward_law")
    if values.min() < 0 < values.max():
        raise ValueError(f"rewards must have one sign, got {values.min():g} and {values.max():g}: "
                         f"use reward_law")
    sign = -1 if values.min() < 0 else 1
    largest = int(np.abs(values).max())
    if largest >= LEVELS:
        raise ValueError(f"rewards must be below {LEVELS}, got {largest}: use reward_law")
    n = start.size
    P, end = ({abs(int(value)): part for value, (part,) in zip(values, parts)}
              for parts in (onwards, endings))
    factors = factorised(P.pop(0, sparse.csr_array((n, n))))
    levels, quiet = [], 0  # how many levels in a row have next to no chance
    while len(levels) <= largest or quiet < largest:
        k = len(levels)
        if k == LEVELS:
            raise ValueError(f"the reward has more than {LEVELS} levels")
        right = end.get(k, np.zeros(n)) + sum(P[j] @ levels[k - j] for j in P if j <= k)
        levels.append(factors.solve(right))
        quiet = 0 if levels[-1].max() > NOTHING else quiet + 1
    prob = np.array(levels) @ start
    order = slice(None, None, sign)
    return RewardLaw(sign * np.arange(len(levels))[order], prob[order], max(0.0, 1 - prob.sum()),
                     np.zeros((0, prob.size)))


def _outcomes(mdp, policy, also):
    """What a step may earn, in the n states that the policy reaches.

    Returns the distinct rewards; for each of them the matrices P (n, n) of going on with it, and
    the vectors end (n,), first for a number of 1 and then for each table of `also` (m, S, A);
    and the start (n,).
    """
    policy = check_policy(mdp, policy)
    checks.array("also", also, (*also.shape[:1], *mdp.shape))
    reached = reachable(mdp, policy)
    if solve(transitions_under(mdp, policy)[reached][:, reached], np.ones(reached.sum())) is None:
        raise ValueError("the policy must end, from every state that it reaches")
    S = len(reached)
    chance = (policy[:, :, None] * mdp.prob).ravel()
    rewards, ends = mdp.reward.ravel(), mdp.terminated.ravel()
    states, following = np.repeat(np.arange(S), chance.size // S), mdp.next_state.ravel()
    parts = [chance * x.ravel().repeat(chance.size // x.size) for x in (np.ones(mdp.shape), *also)]
    values, onwards, endings = np.unique(rewards[chance > 0]), [], []
    for value in values:
        here = (rewards == value) & (chance > 0)
        goes, stops = here & ~ends, here & ends
        onwards.append([sparse.csr_array((part[goes], (states[goes], following[goes])),
                                         shape=(S, S))[reached][:, reached] for part in parts])
        endings.append([np.bincount(states[stops], part[stops], minlength=S)[reached]
                        for part in parts])
    return values, onwards, endings, mdp.start[reached]


def _moved(carried, parts):
    """p and each m after a step: (return_law.2) and (return_law.3), for a matrix or a vector."""
    p, *means = carried
    P, *also_P = parts
    return np.array([p @ P, *(m @ P + p @ more for m, more in zip(means, also_P))])


def _levels(rewards, sums, tail):
    """The law with rising levels, where sums of floats that differ by rounding are one.

    `sums` holds the chance of each entry and, for each of `also`, the chance times the mean.
    """
    order = rewards.argsort()
    rewards, sums = rewards[order], sums[:, order]
    new = np.diff(rewards) > ALIKE * np.abs(rewards).max()
    level = np.concatenate([[0], new.cumsum()])
    prob, *means = (np.bincount(level, entry) for entry in sums)
    some = prob > 0
    first = np.flatnonzero(np.concatenate([[True], new]))[some]
    means = np.array(means).reshape(len(means), prob.size)[:, some] / prob[some]
    return RewardLaw(rewards[first], prob[some], tail, means)
