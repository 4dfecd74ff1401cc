"""Groups of strings with one prompt: each is judged by the others, which saves the value table.

*Part 4.  Previous: `rlhf`.  Next: `grpo`.*

For each prompt the policy writes a group of K strings, neighbours in the batch.  How good is one of
them?  The others say what the prompt alone is worth.  That is the baseline of REINFORCE in its
plainest form.  With R_i the reward of the whole string, each of its steps has the advantage

    A_i = (R_i − mean of the group)/(std of the group),                                  (groups.1)

in GRPO, where the std is that of the population, plus 10⁻⁴.

*The group is not innocent.*  The mean contains the string's own reward, so the expected update is
(K − 1)/K of the true one (`baselines`).  Where all strings of a group earn the same there is
nothing to learn: its advantages are zero, and such groups are counted.  The std makes every group
equally loud, whether its strings differ by much or little.  (TRL takes the std of a sample, larger
by √(K/(K − 1)), and calls a group equal by an absolute size of it.)

*Gaps.*  A string that could not be scored is masked (`training`) and missing from its group, whose
others are then each other's baseline.  So all functions here take the sizes of the groups in place
of one K.  A string that is left alone has nobody to be compared with, and its advantage is zero.
(Its steps still have each other, under process supervision.)

*Variants.*  Dr. GRPO (Liu et al. 2025) leaves out the std,

    A_i = R_i − mean,                                                                    (groups.2)

and RLOO compares with the others only, and is unbiased,

    A_i = R_i − mean of the others = K/(K − 1) (R_i − mean).                             (groups.3)

*Process supervision* has rewards for steps.  They are normalised over all steps of the group, and a
step's advantage is the sum of those from it on,

    A_it = Σ_{t' ≥ t} (r_it' − mean)/std.                                                (groups.4)

*Weights.*  GRPO takes a mean over the letters of each string before the mean over B strings.  Dr.
GRPO divides by a constant length instead, because 1/|y| makes long failures cheap,

    w_i = 1/(B·|y_i|),      w_i = 1/(B·length).                                          (groups.5)

A step enters the loss only through its s and a, so a batch collapses into the tables of (ppo.2),
with weights in the place of numbers of steps: `weighted`.

Read first: `baselines`, `ppo`.  Read next: `grpo`.
Source: Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, eqs. 3-4; Liu et al. 2025, "Understanding
R1-Zero-like training", arXiv:2503.20783 (Dr. GRPO); Ahmadian et al. 2024, "Back to basics",
arXiv:2402.14740 (RLOO).
"""

import numpy as np

from minirl.kernel import checks, counts
from minirl.play.returns import reward_to_go
from minirl.play.surrogate import Advantages, collapse

EPS = 1e-4         # added to the std of a group
NO_SPREAD = 1e-12  # a std this small, relative to the rewards, is rounding


def group_normalised(rewards, batch, num_generations):
    """A of (groups.1): centred, and divided by the group's std.

    Parameters and result are those of `group_centred`.

    Examples
    --------
    >>> print(group_normalised(np.array([1., 3., 5., 5.]), None, 2).round(2))
    [-1.  1.  0.  0.]
    """
    centred = group_centred(rewards, batch, num_generations)
    sizes = _sizes(num_generations, centred)
    return centred / (np.sqrt(_over(np.add, centred**2, sizes) / sizes.repeat(sizes)) + EPS)


def group_centred(rewards, batch, num_generations):
    """A of (groups.2): the reward of a string less the mean of its group.

    Parameters
    ----------
    rewards : (N,) float
        One per step; or, without a batch, one per string, (B,).
    batch : playing.Rollout, or None
        B strings.  `batch.totals(rewards)` are the rewards of strings, and `batch.lengths` the
        numbers of their steps.
    num_generations : int ≥ 2, or (groups,) int
        K, which divides B; or the size of each group.

    Returns
    -------
    (B,) float
        One per string, for each of its steps.

    Examples
    --------
    >>> print(group_centred(np.array([1., 3., 5., 5.]), None, 2))
    [-1.  1.  0.  0.]
    """
    totals, magnitudes = _totals(rewards, batch)
    sizes = _sizes(num_generations, totals)
    centred = totals - _over(np.add, totals, sizes) / sizes.repeat(sizes)
    centred[_equal(totals, magnitudes, sizes).repeat(sizes)] = 0  # exactly
    return centred


def group_leave_one_out(rewards, batch, num_generations):
    """A of (groups.3), RLOO: the reward of a string less the mean of the others of its group.

    Parameters and result are those of `group_centred`.

    Examples
    --------
    >>> print(group_leave_one_out(np.array([1., 3., 5., 5.]), None, 2))
    [-2.  2.  0.  0.]
    """
    centred = group_centred(rewards, batch, num_generations)
    sizes = _sizes(num_generations, centred)
    return centred * (sizes / np.maximum(sizes - 1, 1)).repeat(sizes)


def process_normalised(rewards, batch, num_generations):
    """A of (groups.4): rewards of steps, normalised over the group, summed from each step on.

    Parameters are those of `group_centred`, with a batch; the result has a number per step, (N,).

    Examples
    --------
    Two strings of two steps, of which one is rewarded at once and one in the end:

    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=2, rng=0)
    >>> print(process_normalised(np.array([1., 0., 0., 1.]), batch, 2).round(2))
    [ 0. -1.  0.  1.]
    """
    sizes = _sizes(num_generations, batch.lengths)
    steps = _over(np.add, batch.lengths, sizes)

    def mean(values):
        """The mean over the steps of a group, for each of its steps."""
        return batch.spread(_over(np.add, batch.totals(values), sizes) / steps)

    centred = rewards - mean(rewards)
    std = np.sqrt(mean(centred**2))
    largest = _over(np.maximum, np.maximum.reduceat(np.abs(rewards), batch.starts[:-1]), sizes)
    centred[std <= NO_SPREAD * batch.spread(largest)] = 0
    return reward_to_go(centred / (std + EPS), batch.starts, gamma=1.0)


def per_string(batch):
    """w of (groups.5) for GRPO, one number per string: 1/(B·|y|).

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=5, rng=0)
    >>> print(per_string(batch))
    [0.1 0.1]
    """
    return 1 / (batch.lengths.size * batch.lengths)


def per_length(length):
    """w of (groups.5) for Dr. GRPO, as a function of the batch: 1/(B·length) for every string.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=5, rng=0)
    >>> print(per_length(10)(batch))
    [0.05 0.05]
    """
    checks.positive("length", length)
    return lambda batch: np.full(batch.truncated.size, 1 / (batch.truncated.size * length))


def equal_groups(rewards, batch, num_generations):
    """Which groups hold strings that earned the same in total, up to rounding: (groups,) bool.

    Parameters are those of `group_centred`.

    Examples
    --------
    >>> print(equal_groups(np.array([1., 3., 5., 5.]), None, 2))
    [False  True]
    """
    totals, magnitudes = _totals(rewards, batch)
    return _equal(totals, magnitudes, _sizes(num_generations, totals))


def weighted(steps, advantages, weights):
    """The tables of (ppo.2) for `grpo_loss`: `Advantages` in which a step counts with its weight.

    The numbers of steps become sums of weights.  All steps of a string have one sign, that of its
    advantage A.  So its part of A⁺, A⁻ and the weights is max(wA, 0), min(wA, 0) and w in each of
    its steps, and the three tables are one product (`counts.sequence_tables`).

    Parameters
    ----------
    steps : counts.Steps
        N steps of B strings.
    advantages : (N,) float, or (B,) float
        One per step, or one per string, which saves most of the time.  If B = N, they are read as
        one per step, which is the same unless a string is empty.
    weights : (B,) float > 0
        One per string.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 1]), np.array([0, 2]), (1, 2))
    >>> batch = weighted(two, np.array([3., -1.]), np.array([0.5]))
    >>> print(batch.gains, batch.losses, batch.counts)
    [[0.  1.5]] [[ 0.  -0.5]] [[0. 1.]]
    """
    strings, weights, advantages = steps.starts.size - 1, *map(np.asarray, (weights, advantages))
    if weights.shape != (strings,) or not ((0 < weights) & (weights < np.inf)).all():
        raise ValueError(f"weights must be {strings} positive numbers, got {weights}")
    if steps.index.size and advantages.shape == weights.shape != steps.index.shape:
        checks.finite("advantages", advantages)
        A = weights * advantages
        gains, losses, W = counts.sequence_tables(
            steps, [np.maximum(A, 0), np.minimum(A, 0), weights])
        return Advantages(gains, losses, W.sum(), W)
    return collapse(steps, advantages, np.repeat(weights, np.diff(steps.starts)))


def _totals(rewards, batch):
    """What each string earned, and the sum of its rewards without their signs: (B,) each."""
    rewards = np.asarray(rewards, float)  # which may be answers, True or False
    magnitudes = np.abs(rewards)
    return ((rewards, magnitudes) if batch is None
            else (batch.totals(rewards), batch.totals(magnitudes)))


def _equal(totals, magnitudes, sizes):
    """Which groups hold equal strings, relative to what was added up: (groups,) bool."""
    most, least, size = (_reduced(ufunc, x, sizes) for ufunc, x in (
        (np.maximum, totals), (np.minimum, totals), (np.maximum, magnitudes)))
    return most - least <= NO_SPREAD * size


def _sizes(num_generations, strings):
    """The sizes of the groups of B strings, by something that each of them has."""
    return checks.group_sizes(num_generations, strings.size, least=2)


def _over(ufunc, values, sizes):
    """The sum, or the largest, of the values (B,) of each group, for each of its strings."""
    return _reduced(ufunc, values, sizes).repeat(sizes)


def _reduced(ufunc, values, sizes):
    """The sum, or the largest, of the values (B,) of each group: (groups,).

    Groups of one size may be the columns of an array, and NumPy adds up few long rows faster than
    many short ones.  A group of eight or more it would add up in another order.
    """
    if sizes[0] < 8 and (sizes == sizes[0]).all():
        return ufunc.reduce(values.reshape(-1, sizes[0]).T.copy(), axis=0)
    return ufunc.reduceat(values, sizes.cumsum() - sizes)
