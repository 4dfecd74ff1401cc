"""How good is a string, among others that answer the same prompt?

*Part 4.  Previous: `rlhf`.  Next: `grpo`.*

PPO judges a step by a value table, which must be learned and is wrong at first.  For a language
model there is another way.  The strings that answer a prompt start in the same state (`pairs`).
For each prompt the policy writes a *group* of K strings, neighbours in the batch.  The others of a
group say what may be earned from that prompt, and so they are the baseline.  No value table is
needed.  This chapter makes the advantages and weights, and `grpo` is the trainer that uses them.

**In numbers.**  Here are two groups of K = 4, and R is the reward of a whole string:

    prompt      first                 second
    string      1    2    3    4      5    6    7    8
    R           0    1    1    0      1    1    1    1
    R − mean   −½    ½    ½   −½      0    0    0    0

The mean of the first group is ½.  The mean of the squares of its differences from it is ¼, and the
standard deviation (std) is the root of that, ½.  *Group relative policy optimisation* (GRPO)
divides the differences by the std, which makes them −1, 1, 1 and −1.  The small number 10⁻⁴ is
added to the std, so that the division is always possible.  Dr. GRPO ("GRPO done right", Liu et al.
2025) does not divide.  RLOO (REINFORCE, leave one out) compares with the others only: those of
string 1 have 1 1 0 with the mean 2/3, and those of string 2 have 0 1 0 with the mean 1/3.  All
steps of string i have the same advantage:

                                                                strings 1 and 2
    GRPO       A_i = (R_i − mean)/(std + 10⁻⁴)                  −0.9998, 0.9998           (groups.1)
    Dr. GRPO   A_i = R_i − mean                                 −½, ½                     (groups.2)
    RLOO       A_i = R_i − (mean of the others)                 0 − 2/3, 1 − 1/3
                   = K/(K − 1) (R_i − mean)                     = 4/3 (−½), 4/3 (½)       (groups.3)

>>> R = np.array([0., 1., 1., 0., 1., 1., 1., 1.])
>>> for judge in group_normalised, group_centred, group_leave_one_out:
...     print(judge(R, None, 4).round(4))
[-0.9998  0.9998  0.9998 -0.9998  0.      0.      0.      0.    ]
[-0.5  0.5  0.5 -0.5  0.   0.   0.   0. ]
[-0.6667  0.6667  0.6667 -0.6667  0.      0.      0.      0.    ]

(groups.3) has two forms for the same reason as (baselines.1):

    mean = 1/K R_i + (K − 1)/K (mean of the others),   so that
    R_i − mean = (K − 1)/K [R_i − (mean of the others)].

**Which is right?**  The others know nothing of string i, so that their mean is a baseline that
changes no expectation (reinforce.2).  If all steps of a batch weigh the same, RLOO follows ∇J on
average.  The mean of all contains R_i, and Dr. GRPO follows (K − 1)/K ∇J, a shorter step in the
right direction.  The std makes all groups equally loud, whether their strings differ by much or by
little: R = 0, 0.01, 0.01, 0 has ∓0.98, nearly the same as 0 1 1 0.  So some prompts count for more
than in ∇J and some for less.  Besides, the std depends on R_i.  In general the direction changes.
(If there is one prompt, and R is 0 or 1, only the length of the step does.)  The std is that of the
population, which divides the sum of squares by K.  So the mean of A² is 1, up to the 10⁻⁴, in each
group whose strings differ, whatever its size, even if strings are missing from some of them.

**A group of equals**, such as the second one, says that a string is neither better nor worse than
the others.  Its advantages are zero.  They are so exactly: 0.1 + 0.2 and 0.3 differ by rounding,
and a difference that small, relative to the rewards, counts as none (`equal_groups`).  The trainer
counts such groups, and reports their share as `frac_reward_zero_std`.  It is the share of the work
that taught nothing: prompts that are too easy, where every string passes, or too hard.

*Gaps.*  A string that could not be scored is masked (`training`) and missing from its group, and
the rest are each other's baseline.  So all functions here take the sizes of the groups in place of
one K.  A string that is left alone has nobody to be compared with, and its advantage is zero.

**Process supervision** rewards single steps.  Their rewards are normalised by the mean and the std
over all steps of the group, and a step's advantage is the sum of those from it on,

    A_it = Σ_{t' ≥ t} (r_it' − mean)/(std + 10⁻⁴).                                        (groups.4)

Two strings of two steps have r = 1 0 and 0 1.  The mean is ½ and the std ½, so that normalised they
are about 1 −1 and −1 1.  The sums from each step on are 0 −1 and 0 1.  A step is credited with its
own reward and with all that follow.  So the first steps have 0 both, although only one of them
earned 1: the second step of each string takes back what the first one gained or lost.  What the
first step earned does not count for the second.  (A string that is alone in its group has something
to compare here, its steps.)

**Weights.**  How much does a letter count?  GRPO takes the mean over the |y_i| steps of a string,
the end symbol included, and then the mean over the B strings of the batch.  Dr. GRPO divides by the
same constant `length` for all, and DAPO by the N steps of the batch:

    w_i = 1/(B·|y_i|),      w_i = 1/(B·length),      w_i = 1/N.                           (groups.5)

Let the first group be the batch, B = 4, with |y| = 2, 4, 4 and 10, N = 20, and length = 10.  A
letter of string i is pushed by w_i A_i.  A is ∓½ in Dr. GRPO, else ∓1 (without the 10⁻⁴):

    string      1       2       3       4
    GRPO       −1/8     1/16    1/16   −1/40
    Dr. GRPO   −1/80    1/80    1/80   −1/80
    DAPO       −1/20    1/20    1/20   −1/20

In GRPO a letter of the long failure is blamed a fifth as much as one of the short failure: to fail
at length is cheap.  The others treat all letters of a batch alike.

In the loss of `grpo` a step of string i has w_i A_i times a factor, the ratio or its bound, which
depends only on s, a and the sign of A_i.  (In its penalty it has w_i times a number that depends on
s and a.)  So a batch collapses into the tables of (surrogate.1), in which a step counts with its
weight: `weighted`.

**Exercises.**  `from minirl.people.groups import *`
1. One string of the group passes, and the others fail.  Its A in GRPO, for three values of K?
       [round(float(group_normalised(np.eye(K)[0], None, K)[0]), 2) for K in (2, 4, 64)]
2. Of four strings three earn 5, and one earns 5.001.  How loud is that?
       group_normalised(np.array([5., 5., 5., 5.001]), None, 4).round(2)
3. The fourth string's prompt lost its other strings.  What are the advantages of RLOO?
       group_leave_one_out(np.array([0., 1., 1., 7.]), None, [3, 1])

Read next: `grpo`, PPO with these advantages.
Source: Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, eqs. 3-4; Liu et al. 2025, "Understanding
R1-Zero-like training", arXiv:2503.20783 (Dr. GRPO); Ahmadian et al. 2024, "Back to basics",
arXiv:2402.14740 (RLOO); Yu et al. 2025, arXiv:2503.14476 (DAPO).
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
    sizes = checks.group_sizes(num_generations, centred.size, least=2)
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
    sizes = checks.group_sizes(num_generations, totals.size, least=2)
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
    sizes = checks.group_sizes(num_generations, centred.size, least=2)
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
    sizes = checks.group_sizes(num_generations, batch.lengths.size, least=2)
    steps = _over(np.add, batch.lengths, sizes)
    rewards = checks.array("rewards", rewards, batch.states.shape)

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


def per_step(batch):
    """w for DAPO, one number for all strings: 1/N, with the N steps of the whole batch.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.kernel.playing import rollout
    >>> batch = rollout(coin_game(), np.array([[1., 0.]]), np.zeros(2, int), horizon=5, rng=0)
    >>> print(per_step(batch))
    [0.1 0.1]
    """
    return np.full(batch.lengths.size, 1 / batch.lengths.sum())


def equal_groups(rewards, batch, num_generations):
    """Which groups hold strings that earned the same in total, up to rounding: (groups,) bool.

    Parameters are those of `group_centred`.

    Examples
    --------
    >>> print(equal_groups(np.array([1., 3., 5., 5.]), None, 2))
    [False  True]
    """
    totals, magnitudes = _totals(rewards, batch)
    return _equal(totals, magnitudes, checks.group_sizes(num_generations, totals.size, least=2))


def weighted(steps, advantages, weights) -> Advantages:
    """(surrogate.1) for `grpo_loss`: `Advantages` in which a step counts with its weight.

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
    rewards = checks.floats("rewards", rewards)  # which may be answers, True or False
    shape = (rewards.size,) if batch is None else batch.states.shape
    rewards = checks.array("rewards", rewards, shape)
    magnitudes = np.abs(rewards)
    return ((rewards, magnitudes) if batch is None
            else (batch.totals(rewards), batch.totals(magnitudes)))


def _equal(totals, magnitudes, sizes):
    """Which groups hold equal strings, relative to what was added up: (groups,) bool."""
    most, least, size = (_reduced(ufunc, x, sizes) for ufunc, x in (
        (np.maximum, totals), (np.minimum, totals), (np.maximum, magnitudes)))
    return most - least <= NO_SPREAD * size


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
