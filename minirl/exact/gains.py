"""Gains: is an action really better, or is it rounding?

*Part 2, a side road.  Previous: `evaluation`.  Next: `planning`.*

A solver replaces an action of a policy where another one is worth more.  Its values are floating-
point numbers, so that a gain may be an error of the last digit.  Taken for real, it would send a
solver round in circles; at γ = 1 it may even replace an action that ends by one that never does.

When is a gain real?  If it is larger than the rounding of its own two values.  Computing r + γ P V
rounds by ε = 2⁻⁵² times the sum of the absolute values of its terms, and what each step rounds adds
up along an episode just as rewards do.  Let |r|(s, a) be the mean of the absolute rewards of a
step.  Then the doubt D(s, a) about Q(s, a) solves the equation of an action value,

    D(s, a) = ε [|r|(s, a) + γ Σ_s' P(s'|s, a) |V(s')|]
              + γ Σ_s' P(s'|s, a) Σ_b π(b|s') D(s', b).                                    (gains.1)

The advantage A(s, a) = Q(s, a) − V(s) of (evaluation.3) is a gain if it exceeds the doubts about
Q(s, a) and about V(s), which is the mean of D(s, ·) under π.  A scale for the whole world would not
do: beside a loss of a million, however unlikely, every choice about cents would be a tie.

Near γ = 1 values are large, and what tells actions apart is small beside them.  But gains stay the
same if all values are counted from another zero c.  Then V − c belongs to the rewards

    r − c where the episode ends,   r − (1 − γ) c where it goes on.                        (gains.2)

With the median of the values as c these rewards are as small as the differences of values, and so
are the doubts.  Gains are computed with c = 0 and with the median, and for each action the answer
with the smaller doubt counts.

*In numbers.*  One state, γ = 0.9: action 0 pays a billion for ever, so that V = 10¹⁰, and action 1
pays a little more.  By (gains.1) D = ε · 10¹⁰ + 0.9 D = 2.2·10⁻⁵, and as much about V.  So a tenth
more is a gain, and a millionth is not; counted from c = 10¹⁰, where nothing is left to be rounded,
it is one too:

>>> from minirl.kernel.mdp import TabularMDP
>>> for more in 0.1, 1e-6:
...     world = TabularMDP([[[0], [0]]], [[[1.0], [1.0]]], [[[1e9], [1e9 + more]]],
...                        [[[False], [False]]], [1.0], 0.9)
...     print(*(f"{answer(world, np.array([[1.0, 0.0]]), np.array([True]))[1][0, 1]:.1g}"
...             for answer in (gains_from_zero, gains)))
0.1 0.1
0 1e-06

Read first: `evaluation`.  Read next: `planning`.
Source: Higham 2002, "Accuracy and stability of numerical algorithms", chapters 3 and 12, for
rounding errors of sums and for the refinement of a solution.
"""

from dataclasses import replace

import numpy as np

from minirl.exact.evaluation import advantages, evaluate

DOUBT = 2.0**-52  # the rounding of a sum, per unit of its terms' absolute values
LOOKS = 9         # at the median, at most: each shows it better, until it stays the same


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
    """D of (gains.1): by how much rounding may have moved each Q(s, a) of a policy, (S, A).

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> D = doubts(coin_game(gamma=0.5), np.array([[1.0, 0.0]]), np.array([2.0]))
    >>> print(D / DOUBT)
    [[4. 0.]]
    """
    terms = (np.abs(mdp.prob * mdp.reward).sum(axis=2)
             + mdp.gamma * (mdp.transitions @ np.abs(np.nan_to_num(values))).reshape(mdp.shape))
    later = np.nan_to_num(evaluate(mdp, policy, terms, states=states))
    return DOUBT * (terms + mdp.gamma * (mdp.transitions @ later).reshape(mdp.shape))
