"""The law of an episode's return: which values it can take, and with what probability.

*Part 2, a side road.  Previous: `average_reward`.  Next: `scorecard`.*

A mean says little about a reward that is kept only if it is the best of many, as in `best_of_n`.
There the whole law is needed: the *levels* r_1 < r_2 < … of an episode's reward, undiscounted, and
their probabilities p_k.  There are two ways to them.

*Whole numbers.*  Let the rewards of steps be whole numbers, all ≥ 0.  Let M_j hold the chances of
going from state to state while earning j, and e_j those of ending with it.  The chance f_k(s) to
earn k from s on splits by the first reward that is not zero:

    f_k = M_0 f_k + e_k + Σ_{j=1}^{k} M_j f_{k−j},  so  f_k = (I − M_0)⁻¹ (e_k + Σ_j M_j f_{k−j}).
                                                                                      (return_law.1)

One factorisation serves all levels, and the length of the episode is not limited.

*Few values.*  Let the rewards be any numbers of which there are few, v_1 … v_d.  The episode's
reward is Σ_i x_i v_i, where x_i counts how often v_i was earned.  So play all episodes at once,
forward in time, and keep the joint law of counts and states,

    D_{t+1}(x, s') = Σ_{i,s} D_t(x − 1_i, s) M_{v_i}(s, s').                          (return_law.2)

What ends in step t with v_i adds Σ_s D_t(x − 1_i, s) e_{v_i}(s) to the chance of the reward of x.
The mean of anything else that steps add up, such as the letters, or the reward that was meant when
another one was maximised, is carried along: with b(s, a) in a step,

    E_{t+1}(x, s') = Σ_{i,s} E_t(x − 1_i, s) M_{v_i}(s, s') + D_t(x − 1_i, s) (bM)_{v_i}(s, s'),
                                                                                      (return_law.3)

where bM has each transition's chance times its b, and E_t(x, s)/D_t(x, s) is the mean so far.

The reward of the running example has two values before the end, one where two vowels or two
consonants stand side by side and one for all other letters, so after t letters there are t vectors
of counts.  Here time must stop somewhere: the mass that is still playing then is the `tail`, and is
stated.

Read first: `evaluation`.  Read next: `best_of_n`.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl.exact.evaluation import reachable, transitions_under
from minirl.exact.solving import factorised, solve
from minirl.kernel import checks
from minirl.kernel.mdp import check_policy

NOTHING = 1e-30    # a chance this small at any n is none
ALIKE = 1e-9       # rewards closer than this, relative to the largest, are one level
LEVELS = 100_000   # more of them are refused,
WORK = 10**8       # and more entries of all D together


class RewardLaw(NamedTuple):
    """The law of an episode's reward: K levels, rising, and their probabilities."""

    rewards: np.ndarray  # (K,)
    prob: np.ndarray     # (K,) sums to 1 − tail
    tail: float          # probability of the episodes left out
    means: np.ndarray    # (m, K) means of other sums over an episode, at each level


def integer_law(mdp, policy):
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
    M, e = ({abs(int(value)): part for value, (part,) in zip(values, parts)}
            for parts in (onwards, endings))
    factors = factorised(M.pop(0, sparse.csr_array((n, n))))
    levels, quiet = [], 0  # how many levels in a row have next to no chance
    while len(levels) <= largest or quiet < largest:
        k = len(levels)
        if k == LEVELS:
            raise ValueError(f"the reward has more than {LEVELS} levels")
        right = e.get(k, np.zeros(n)) + sum(M[j] @ levels[k - j] for j in M if j <= k)
        levels.append(factors.solve(right))
        quiet = 0 if levels[-1].max() > NOTHING else quiet + 1
    prob = np.array(levels) @ start
    order = slice(None, None, sign)
    return RewardLaw(sign * np.arange(len(levels))[order], prob[order], max(0.0, 1 - prob.sum()),
                     np.zeros((0, prob.size)))


def reward_law(mdp, policy, *, also=None, tol=1e-15):
    """The law of the reward by (return_law.2), where a step's reward has few distinct values.

    It stops when a mass of no more than `tol` is still playing.  That is the tail of the
    `RewardLaw`, and appears in no level.  The tables `also` (m, S, A) are b of (return_law.3): what
    else a step adds up to, for the law's `means`.

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
    earned = np.eye(values.size, dtype=int)[:, values != 0]  # what a step adds to the counts x
    values = values[values != 0]
    x, finished, work = np.zeros((1, values.size), int), [], 0
    carried = np.zeros((1 + len(also), 1, start.size))  # D and each E, over counts and states
    carried[0, 0] = start
    while carried[0].sum() > tol:
        finished += [((x + more) @ values, _moved(carried, e)) for more, e in zip(earned, endings)]
        arrivals = [(x + more, _moved(carried, M)) for more, M in zip(earned, onwards) if M[0].nnz]
        if not arrivals:
            carried = carried[:, :0]
            break
        x, which = np.unique(np.concatenate([new for new, _ in arrivals]), axis=0,
                             return_inverse=True)
        work += x.shape[0] * start.size
        if work > WORK:
            raise ValueError(f"there are too many levels: the rewards of this world have "
                             f"{values.size} values besides 0, and {carried[0].sum():.1e} of the "
                             f"episodes are longer than {len(finished) // len(earned)} steps")
        merged = np.zeros((len(carried), len(x), start.size))
        for total, parts in zip(merged, zip(*(new for _, new in arrivals))):
            np.add.at(total, which.ravel(), np.concatenate(parts))
        carried = merged
    rewards, sums = (np.concatenate(parts, axis=-1) for parts in zip(*finished))
    return _levels(rewards, sums, float(carried[0].sum()))


def _outcomes(mdp, policy, also):
    """What a step may earn, in the n states that the policy reaches.

    Returns the distinct rewards; for each of them the matrices M (n, n) of going on with it, and
    the vectors e (n,) of ending with it, both for b = 1 and then for each b in `also` (m, S, A);
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
    parts = [chance * b.ravel().repeat(chance.size // b.size) for b in (np.ones(mdp.shape), *also)]
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
    """D and each E after a step: (return_law.2) and (return_law.3), for a matrix or a vector."""
    D, *means = carried
    M, *bM = parts
    return np.array([D @ M, *(E @ M + D @ b for E, b in zip(means, bM))])


def _levels(rewards, sums, tail):
    """The law with rising levels, where sums of floats that differ by rounding are one.

    `sums` holds the chance of each entry and, for each b, the chance times the mean.
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
