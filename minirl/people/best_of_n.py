"""Best of n: sample n strings, keep the best.  The strongest baseline, and its exact law.

The simplest way to use a reward trains nothing: let the reference π write n strings and show the
one that earns most.  How good is that, and how far from the reference?  Both are known exactly,
because only the *levels* of the reward matter.  Let r_1 < r_2 < … be the values that a string's
reward can take, p_k the probability of r_k, and F_k = p_1 + … + p_k.  The best of n is at most r_k
if all n are.  So it earns r_k with probability w_k, and among the strings of a level it is drawn as
π draws them,

    w_k = F_kⁿ − F_{k−1}ⁿ,      P_n(y) = π(y) w_k / p_k   where r(y) = r_k.            (best_of_n.1)

Ties may be broken by any rule that does not look at the strings, such as "the first".  The distance
to the reference is a sum over levels too,

    KL(P_n‖π) = Σ_k w_k log(w_k/p_k) ≤ log n − (n − 1)/n,                              (best_of_n.2)

and so is the chance to beat one more string of the reference, where a tie counts one half,

    Σ_k w_k (F_{k−1} + p_k/2) ≤ n/(n + 1).                                             (best_of_n.3)

Both bounds are often quoted as values.  They are values where two draws never earn the same, as
under a continuous law.  A string is drawn twice with a positive chance, so for strings the truth is
always smaller, if only by a little.

*The law of the reward.*  Where do p_k come from?  First, for rewards that are whole numbers, all ≥
0: let M_j hold the chances of going from state to state while earning j, and e_j those of ending
with it.  The chance f_k(s) to earn k from s on splits by the first reward that is not zero:

    f_k = M_0 f_k + e_k + Σ_{j=1}^{k} M_j f_{k−j},  so  f_k = (I − M_0)⁻¹ (e_k + Σ_j M_j f_{k−j}).
                                                                                       (best_of_n.4)

One factorisation serves all levels, and the length of the string is not limited.  After that n =
10⁶ costs as much as n = 2.  Secondly, for any rewards that have few distinct values v_1 … v_d: the
string's reward is Σ_i x_i v_i, where x_i counts how often v_i was earned.  So play all episodes at
once, forward in time, and keep the joint law of counts and states,

    D_{t+1}(x, s') = Σ_{i,s} D_t(x − 1_i, s) M_{v_i}(s, s').                           (best_of_n.5)

What ends in step t with v_i adds Σ_s D_t(x − 1_i, s) e_{v_i}(s) to the chance of the reward of x.
The mean of anything else that steps add up, such as the letters, or the reward that was meant when
another one was maximised, is carried along: with b(s, a) in a step,

    E_{t+1}(x, s') = Σ_{i,s} E_t(x − 1_i, s) M_{v_i}(s, s') + D_t(x − 1_i, s) (bM)_{v_i}(s, s'),
                                                                                       (best_of_n.6)

where bM has each transition's chance times its b, and E_t(x, s)/D_t(x, s) is the mean so far.

The reward of the running example has two values before the end, one for like pairs and one for the
others, so after t letters there are t vectors of counts.  Here time must stop somewhere: the mass
that is still playing then is the `tail`, and is stated.

*Is it any good?*  On the running example J = E[r] − β KL at β = 0.5 is best at n = 4, with 91.5 %
of what the best policy gains, and falls after that: at n = 64 it is 20 %, and at n = 200 less than
the reference has.  The reward goes on rising, but more and more slowly, and the KL is not free.
(And this is the true reward.  Where the best is chosen by a learned one, the true one falls in the
end.)

*Put it into the policy.*  Best of n pays n times for each string.  *Rejection sampling* (as Llama 2
calls it) fine-tunes on the winners instead.  With C their counts and a pseudo-count α for what the
policy did before,

    π'(a|s) = (C[s, a] + α π(a|s)) / (N[s] + α).                                       (best_of_n.7)

A bigram cannot follow P_n, which is no bigram: it must remember what the string has earned.  With
many winners π' becomes the bigram that makes KL(P_n‖π') smallest, the one with the same expected
counts.  If the reward is a sum over pairs, then the expected counts decide it, so π' *earns what
P_n earns*.  And log π'/π is such a sum as well, so its mean is the same under both:

    KL(π'‖π) = KL(P_n‖π) − KL(P_n‖π').                                                 (best_of_n.8)

The same reward for a smaller distance: so fine-tuning beats the best of n at every n > 1.  On the
running example the best of n = 4, put into the policy, has 95.1 % of what the best policy gains,
and 96.7 % at n = 7, its best.

These are limits for many winners.  Counts of few strings are noisy, and noise is paid for as
distance: with the 1,024 winners of the defaults one round has about 80 %, with 10,000 winners 93 %.
And one round is all that (best_of_n.8) speaks of.  The next takes the best of four of π', not of π,
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
from scipy import sparse, special
from scipy.sparse import linalg

from minirl.kernel import counts
from minirl.exact.evaluation import reachable, solve, transitions_under
from minirl.kernel.mdp import check_count, check_policy
from minirl.play.reinforce import environment_rewards, play
from minirl.kernel.sampling import generator
from minirl.people.sft import fit_by_counting
from minirl.kernel.softmax import entropy, log_softmax

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


class BestOfN(NamedTuple):
    """What the best of n strings is like, exactly."""

    prob: np.ndarray  # (K,) w_k of (best_of_n.1), for each level of the law
    reward: float     # its mean
    kl: float         # to the reference, in nats a string, (best_of_n.2)
    bound: float      # log n − (n − 1)/n, which kl would be if two draws never tied
    win_rate: float   # against one string of the reference, (best_of_n.3)
    means: np.ndarray  # (m,) of the law's other sums


class _Outcomes(NamedTuple):
    """What a step may earn, in the n states that the policy reaches."""

    values: np.ndarray  # the distinct rewards
    onwards: list       # for each the matrix M (n, n) of going on with it
    endings: list       # and the vector e (n,) of ending with it; both for b = 1 and for each b
    start: np.ndarray   # (n,)


def _outcomes(mdp, policy, also):
    """The `_Outcomes` of a policy, with tables `also` (m, S, A) to be carried along.

    Raises ValueError unless the policy fits the world and ends.
    """
    check_policy(mdp, policy)
    if also.ndim != 3 or also.shape[1:] != mdp.shape or not np.isfinite(also).all():
        raise ValueError(f"also must be finite tables of shape (m, {mdp.shape[0]}, "
                         f"{mdp.shape[1]}), got shape {also.shape}")
    reached = reachable(mdp, policy)
    n = reached.sum()
    if solve(transitions_under(mdp, policy)[reached][:, reached], np.ones(n)) is None:
        raise ValueError("the policy must end, from every state that it reaches")
    S = len(reached)
    chance = (policy[:, :, None] * mdp.prob).ravel()
    rewards, ends = mdp.reward.ravel(), mdp.terminated.ravel()
    states, following = np.repeat(np.arange(S), chance.size // S), mdp.next_state.ravel()
    values, onwards, endings = np.unique(rewards[chance > 0]), [], []
    for value in values:
        here = (rewards == value) & (chance > 0)
        goes, stops = here & ~ends, here & ends
        Ms, es = [], []
        for b in (np.ones(mdp.shape), *also):
            part = chance * b.ravel().repeat(chance.size // b.size)
            M = sparse.csr_array((part[goes], (states[goes], following[goes])), shape=(S, S))
            Ms.append(M[reached][:, reached])
            es.append(np.bincount(states[stops], part[stops], minlength=S)[reached])
        onwards.append(Ms)
        endings.append(es)
    return _Outcomes(values, onwards, endings, mdp.start[reached])


def integer_law(mdp, policy):
    """The law of the reward by (best_of_n.4), where rewards are whole numbers of one sign.

    Parameters
    ----------
    mdp : TabularMDP
        Its rewards count undiscounted, whatever gamma is.
    policy : (S, A) float

    Returns
    -------
    RewardLaw
        With every level between the smallest and the largest, some of which may have no chance.
        The tail is what rounding leaves.

    Raises
    ------
    ValueError
        If the policy does not fit the world or does not end, a reward is no whole number, or some
        are positive and some negative.

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
    standing = M.pop(0, sparse.csr_array((n, n)))
    system = sparse.csc_array(sparse.identity(n)) - sparse.csc_array(standing)
    system.indices, system.indptr = system.indices.astype(np.int32), system.indptr.astype(np.int32)
    factors = linalg.splu(system)
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
    """The law of the reward by (best_of_n.5), where a step's reward has few distinct values.

    Parameters
    ----------
    mdp : TabularMDP
        Its rewards count undiscounted, whatever gamma is.
    policy : (S, A) float
    also : (m, S, A) float, optional
        Tables b of (best_of_n.6): what else a step adds up to, for the law's `means`.
    tol : float in (0, 1)
        Stop when no more than this mass is still playing.

    Returns
    -------
    RewardLaw
        Its tail is the mass that was still playing, and appears in no level.

    Raises
    ------
    ValueError
        If the policy does not fit the world or does not end, tol is out of range, or the counts are
        too many: the rewards have too many distinct values, or the episodes are too long.

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


def _moved(carried, parts):
    """D and each E after a step: (best_of_n.5) and (best_of_n.6), for a matrix or a vector."""
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


def best_of_n(law, n):
    """What the best of n strings is like, by (best_of_n.1)-(best_of_n.3).

    Parameters
    ----------
    law : RewardLaw
        Of the reference.  Its tail is left out: `prob` and `win_rate` are off by at most n times
        the tail, and `kl` by about log n times that.  What the strings left out earn, nothing here
        bounds.
    n : int ≥ 1

    Returns
    -------
    BestOfN
        For n = 1 the reference itself, with a KL of zero.

    Raises
    ------
    ValueError
        If n is not a whole number from 1 upwards.

    Examples
    --------
    The better of two coins that show 0 or 1:

    >>> coin = RewardLaw(np.array([0., 1.]), np.array([0.5, 0.5]), 0.0, np.zeros((0, 2)))
    >>> best = best_of_n(coin, 2)
    >>> print(best.prob, best.reward, round(best.kl, 4), round(best.bound, 4), best.win_rate)
    [0.25 0.75] 0.75 0.1308 0.1931 0.625
    """
    check_count("n", n)
    possible = law.prob > 0
    p = law.prob[possible] / law.prob.sum()
    # Where n is a million, F is needed to the last digit of 1 − F, hence sums from above as well.
    below, above = p.cumsum(), np.append(p[:0:-1].cumsum()[::-1], 0)
    low = below < 0.5
    log_F = np.where(low, np.log(below), special.log1p(-above))
    share = np.minimum(p / np.where(low, below, 1 - above), 1)      # p_k/F_k = 1 − F_{k−1}/F_k
    w = -np.exp(n * log_F) * special.expm1(n * special.log1p(-share))
    ratio = np.log(w, where=w > 0, out=np.zeros(w.size)) - np.log(p)
    prob = np.zeros(law.prob.size)
    prob[possible] = w
    return BestOfN(prob=prob, reward=float(prob @ law.rewards),
                   kl=max(float((w * ratio).sum()), 0.0),  # at n = 1 rounding may leave −1e-17
                   bound=float(np.log(float(n)) - (n - 1) / n),
                   win_rate=float(w @ (1 - above - p / 2)), means=law.means @ prob)


def winners(steps, rewards, num_generations):
    """The best of each group of strings, as `counts.Steps`; of equals the first.

    Parameters
    ----------
    steps : Steps
        B strings; a group is `num_generations` neighbours.
    rewards : (B,) float
    num_generations : int ≥ 1

    Raises
    ------
    ValueError
        If there is not one finite reward a string, or B is no multiple of the group.

    Examples
    --------
    >>> four = counts.steps(np.zeros(4, int), np.array([0, 1, 2, 1]), np.arange(5), (1, 3))
    >>> print(winners(four, np.array([1., 7., 2., 2.]), 2).index)
    [1 2]
    """
    strings = steps.starts.size - 1
    check_count("num_generations", num_generations)
    if rewards.shape != (strings,):
        raise ValueError(f"rewards must have shape ({strings},), got {rewards.shape}")
    if not np.isfinite(rewards).all():
        raise ValueError("rewards must be finite")
    if strings % num_generations:
        raise ValueError(f"num_generations must divide the number of strings, {strings}, got "
                         f"{num_generations}")
    best = rewards.reshape(-1, num_generations).argmax(axis=1)
    return counts.select(steps, np.arange(0, strings, num_generations) + best)


def rejection_sampling(mdp, record, *, rewards=environment_rewards, num_generations=4,
                       episodes=4096, horizon=200, pseudo_count=1.0):
    """Fine-tune on the best of each group, (best_of_n.7), for ever: yields a record an iteration.

    Parameters
    ----------
    mdp : TabularMDP
        Used to play only.
    record : reinforce.Training
        From `reinforce.start`, or any record yielded before; training continues bit for bit.
    rewards : callable
        `rewards(rollout, logp) -> (T, N)`; the best episode has the largest sum.
    num_generations : int ≥ 1
        n.  The episodes of a group begin in one start state.
    episodes : int ≥ 1
        Played in each iteration, a multiple of n.
    horizon : int ≥ 1
        Episodes are cut after this many steps, and then count as they are.
    pseudo_count : float ≥ 0
        α.  With 0 an action that no winner took, in a state where there was one, is never taken
        again; where there was none, the policy stays as it is.

    Yields
    ------
    reinforce.Training
        Its value table and optimiser are not used.  Its `metrics` are those of `reinforce.play`;
        `rejection/reward`, the mean reward of the winners; and `policy/entropy`, nats a step over
        the states of the winners, after the update.

    Raises
    ------
    ValueError
        If an argument is out of range, at the first iteration.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.reinforce import start
    >>> for record in rejection_sampling(coin_game(), start(np.zeros((1, 2)), rng=0)):
    ...     break
    >>> print(np.exp(record.logits).round(1), record.metrics["rejection/reward"] > 2)
    [[0.7 0.3]] True
    """
    if not 0 <= pseudo_count < np.inf:
        raise ValueError(f"pseudo_count must be finite and not negative, got {pseudo_count}")
    while True:
        rng = generator(record.rng)
        batch, earned, metrics = play(mdp, record, rng, rewards=rewards, episodes=episodes,
                                      horizon=horizon, num_generations=num_generations)
        totals = earned.sum(axis=0)
        steps = batch.steps(mdp.shape)
        table = counts.table(winners(steps, totals, num_generations))
        visits = table.sum(axis=1)
        present = log_softmax(record.logits)
        fitted = fit_by_counting(table, pseudo_count=pseudo_count * np.exp(present))
        logits = np.where(visits[:, None] + pseudo_count > 0, fitted, present)
        metrics["rejection/reward"] = float(totals.reshape(-1, num_generations).max(axis=1).mean())
        metrics["policy/entropy"] = float(visits @ entropy(logits) / visits.sum())
        record = record._replace(iteration=record.iteration + 1, steps=record.steps
                                 + steps.index.size, logits=logits,
                                 rng=rng.bit_generator.state, metrics=metrics)
        yield record
