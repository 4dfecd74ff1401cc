"""Gains: is an action really better, or is it rounding?

*Part 2, a side road.  Previous: `evaluation`.  Next: `planning`.*

Policy iteration in `planning` replaces an action where another one has a positive advantage A(s, a)
= Q(s, a) − V(s).  Its values are floating-point numbers, so that a positive advantage, a *gain*,
may be an error of the last digit.  Taken for real, it would send a solver round in circles.  At γ =
1 it may even replace an action that ends by one that never does.

**In numbers.**  A float64 keeps 53 binary digits, or about 16 decimal ones.  The result of one
addition is wrong by less than eps = 2⁻⁵² times its size:

>>> DOUBT, 0.1 + 0.2 - 0.3, (1e9 + 0.1) - 1e9
(2.220446049250313e-16, 5.551115123125783e-17, 0.10000002384185791)

Beside a billion a tenth keeps six of its digits.  Now take a world of one state with γ = 0.9.
Action 0 pays a billion for ever, so that V = 10¹⁰.  Action 1 pays a little more.  How much more can
be seen?

**The doubt.**  A gain is real if it is larger than the rounding of the two values that it is the
difference of.  Computing r + γ P V rounds by about eps times the sum of the absolute values of its
terms, and with K outcomes by up to K/2 times as much: then eps is K/2 times as large in what
follows.  What each step rounds adds up along an episode, just as rewards do.  So the *doubt* about
Q(s, a), by how much it may be wrong, solves the equation of an action value (evaluation.1) with
such roundings as its rewards.  Write |r|(s, a) for the mean of the absolute rewards of a step:

    doubt(s, a) = eps [|r|(s, a) + γ Σ_s' P(s'|s, a) |V(s')|]
                + γ Σ_s' P(s'|s, a) Σ_b π(b|s') doubt(s', b).                            (gains.1)

The doubt about V(s) is the mean of the row doubt(s, ·) under π.  An advantage counts as a gain if
it exceeds the doubts about Q(s, a) and V(s) together.  In the example the bracket is 10⁹ + 0.9 ·
10¹⁰ = 10¹⁰, so doubt = eps · 10¹⁰ + 0.9 doubt, which is 10 eps · 10¹⁰ = 2.2e-05.  V is as doubtful,
so that a tenth more is a gain, and a millionth is not.

Why not one scale for the whole world, such as its largest value?  Beside a loss of a million,
however unlikely, every choice about cents would then be a tie.

**Another zero.**  Near γ = 1 values are large, and what tells actions apart is small beside them.
But advantages stay the same if all values are counted from another zero z.  Take z from both sides
of V(s) = r + γ P V.  Where the step goes on, V(s') is (V(s') − z) + z, and what is left beside γ
(V(s') − z) is r − z + γ z; where it ends, it is r − z.  So V − z has the same equation as V, with
the rewards

    r − z where the episode ends,   r − (1 − γ) z where it goes on.                      (gains.2)

With the median of the values as z these rewards are as small as the differences of values, and so
are the doubts.  Below γ = 1 `gains` takes z = 0 and the median, and for each action the answer with
the smaller doubt.  Counted from z = 10¹⁰ the billion becomes 10⁹ − 0.1 · 10¹⁰ = 0.  Nothing is left
to be rounded, and a millionth is a gain too:

>>> from minirl.kernel.mdp import TabularMDP
>>> for more in 0.1, 1e-6:
...     world = TabularMDP([[[0], [0]]], [[[1.0], [1.0]]], [[[1e9], [1e9 + more]]],
...                        [[[False], [False]]], [1.0], 0.9)
...     print(*(f"{find(world, np.array([[1.0, 0.0]]), np.array([True]))[1][0, 1]:.1g}"
...             for find in (gains_from_zero, gains)))
0.1 0.1
0 1e-06

**What it costs.**  Each count takes three linear solves: the values, what rounding left of their
equation, and the doubts.  So policy iteration counts from 0 while that finds gains, and from the
median only at the end.

**Exercises.**  `from minirl.exact.gains import *; from minirl.kernel.mdp import *`
1. Head for ever is worth 100 in the coin game at γ = 0.99.  How many eps is the doubt about that?
       head, V = np.array([[1., 0.]]), np.array([100.])
       (doubts(coin_game(gamma=0.99), head, V) / DOUBT).round(2)
2. In state 0 the second action pays a billionth more than the first one.  In state 1, where nobody
   comes, the first action loses a billion.  Does that hide the gain?
       far = TabularMDP([[[0], [0]], [[1], [1]]], np.ones((2, 2, 1)), gamma=0.5, start=[1, 0],
                        reward=[[[0], [1e-9]], [[-1e9], [0]]], terminated=np.full((2, 2, 1), True))
       gains(far, np.eye(2), np.full(2, True))[1]
3. What is left of a ten-millionth beside a billion?
       (1e9 + 1e-7) - 1e9

Read next: `planning`, which asks for gains in every round.
Source: Higham 2002, "Accuracy and stability of numerical algorithms", chapters 3 and 12, for
rounding errors of sums and for the refinement of a solution.
"""

from dataclasses import replace

import numpy as np

from minirl.exact.evaluation import advantages, evaluate

DOUBT = 2.0**-52  # A sum of two is rounded by less than this per unit of its absolute values.
LOOKS = 9         # So often at most the median is taken; each one is better, until it stays.


def gains(mdp, policy, states):
    """V of a policy (S,), what each action gains over it (S, A), and the doubts about that (S, A).

    The gain is Q − V where it exceeds the doubt, and also where it is a loss, however small.  It is
    0 where rounding may explain a gain, and where no value is asked; it is −∞ where the action is
    not available.  `states` is that of `evaluate`.  Below gamma 1 values are counted from their
    median too, (gains.2).

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> values, gain, _ = gains(coin_game(gamma=0.5), np.array([[0.0, 1.0]]), np.array([True]))
    >>> print(values, gain)
    [0.] [[1. 0.]]
    """
    policy = np.asarray(policy)
    values, gain, doubt = gains_from_zero(mdp, policy, states)
    zero = 0.0
    for _ in range(LOOKS if mdp.gamma < 1 and states.any() else 0):
        before, zero = zero, np.median(values[states])
        if abs(zero - before) <= 1e-12 * abs(zero):
            break
        moved = replace(mdp, reward=mdp.reward - zero * np.where(mdp.terminated, 1, 1 - mdp.gamma))
        near, near_gain, near_doubt = gains_from_zero(moved, policy, states)
        own, near_own = ((policy * table).sum(axis=1) for table in (doubt, near_doubt))
        values = np.where(near_own + DOUBT * abs(zero) < own, near + zero, values)
        gain, doubt = np.where(near_doubt < doubt, near_gain, gain), np.minimum(doubt, near_doubt)
    return values, gain, doubt


def gains_from_zero(mdp, policy, states):
    """`gains` with all values counted from 0: by (gains.1) alone, and in a third of the time.

    What rounding left of the equation is solved for once more, so that small values beside large
    ones have digits of their own.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> _, gain, doubt = gains_from_zero(coin_game(gamma=0.5), np.array([[1.0, 0.0]]),
    ...                                  np.array([True]))
    >>> print(gain, doubt / DOUBT)
    [[ 0. -2.]] [[8. 4.]]
    """
    values = evaluate(mdp, policy, states=states)
    left = advantages(mdp, np.nan_to_num(values))
    values = values + evaluate(mdp, policy, left, states=states)
    doubt, known = doubts(mdp, policy, values, states), np.nan_to_num(values)
    doubt += (policy * doubt).sum(axis=1, keepdims=True)
    gain = advantages(mdp, known)
    gain[(gain > 0) & (gain <= doubt)] = 0
    gain[policy == 1] = 0
    gain[~states] = 0
    return values, mdp.masked(gain), doubt


def doubts(mdp, policy, values, states=None):
    """The doubt of (gains.1): by how much rounding may have moved each Q(s, a) of a policy, (S, A).

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(doubts(coin_game(gamma=0.5), np.array([[1.0, 0.0]]), np.array([2.0])) / DOUBT)
    [[4. 0.]]
    """
    terms = (np.abs(mdp.prob * mdp.reward).sum(axis=2)
             + mdp.gamma * (mdp.transitions @ np.abs(np.nan_to_num(values))).reshape(mdp.shape))
    later = np.nan_to_num(evaluate(mdp, policy, terms, states=states))
    rounded = terms + mdp.gamma * (mdp.transitions @ later).reshape(mdp.shape)
    return DOUBT * max(1.0, mdp.prob.shape[2] / 2) * rounded  # by sums over the outcomes
