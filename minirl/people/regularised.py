"""What is the best policy that stays near a reference?

*Part 4.  Previous: `best_of_n`.  Next: `kl`.*

A policy that sought nothing but reward would forget how to write (chapter 0).  So each nat of KL
divergence from the reference π_ref costs a price β, which defines the problem and is not learned:

    J_β(π) = E[Σ_t γᵗ (r_t − β log(π(a_t|s_t)/π_ref(a_t|s_t)))]
           = E[R] − β KL(π‖π_ref).                                                   (regularised.1)

At γ = 1 the log-ratios of the steps sum to log(π(y)/π_ref(y)) of the whole string y, and the mean
of that is the KL divergence of chapter 0.  Below γ = 1 we call the discounted sum the KL too.

**One step by hand.**  In a single state the reference takes three actions with ½ ¼ ¼.  They earn 0,
1 and 2, and each ends the episode.  Let β = 1/log 2 = 1.4427, so that β log 2 = 1 and e^{1/β} = 2.

    policy   E[R]   β KL(π‖π_ref)                          J
    ½ ¼ ¼    0.75   0                                      0.75   the reference
    0 0 1    2      β log 4 = 2                            0      the largest reward
    ¼ ¼ ½    1.25   β (¼ log ½ + ¼ log 1 + ½ log 2) = ¼    1      the best policy

The best policy is made in two moves.  Multiply the reference by e^{r/β}, which is 2^r here: ½ · 1,
¼ · 2 and ¼ · 4, or ½ ½ 1.  Divide by the sum Z = 2.  Then the best J, called J*, is β log Z = 1.

>>> from minirl.kernel.mdp import TabularMDP
>>> end = np.ones((1, 3, 1), bool)
>>> world = TabularMDP(0 * end, 1.0 * end, [[[0], [1], [2]]], terminated=end, start=[1], gamma=1.0)
>>> best = regularised_optimum(world, np.log([[0.5, 0.25, 0.25]]), beta=1 / np.log(2))
>>> print(best.policy.round(4), round(best.objective, 4))
[[0.25 0.25 0.5 ]] 1.0

**Why it is the best.**  Let Q(s, a) be what an action is worth *before* its own price, and

    π*(a|s) = π_ref(a|s) exp(Q(s, a)/β) / Z,   Z = Σ_b π_ref(b|s) exp(Q(s, b)/β).    (regularised.2)

The logarithm of this says Q(s, a) = β log Z + β log(π*(a|s)/π_ref(a|s)).  So any row π is worth

    Σ_a π(a|s) [Q(s, a) − β log(π(a|s)/π_ref(a|s))]
        = Σ_a π(a|s) [β log Z − β log(π(a|s)/π*(a|s))] = β log Z − β KL(π(·|s)‖π*(·|s)).

By (softmax.5) the last term is 0 for π* and negative for all other rows.  So π* is worth β log Z.

**Many steps.**  The same holds in each state, if Q* includes what may follow, at its best:

    V*(s) = β log Σ_a π_ref(a|s) exp(Q*(s, a)/β),
    Q*(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V*(s').                                   (regularised.3)

*Soft policy iteration* is policy iteration with (regularised.2) instead of the greedy action.  It
solves for V under the present policy, whose steps earn r(s, a) − β log(π(a|s)/π_ref(a|s)), and
tilts the reference by the new Q.  V rises in each round, as in `planning`.  The running example
takes 7 rounds at β = 0.5, 10 at 0.3 and 12 at 0.28.

**Strings.**  In a language model an action has one outcome s', and γ = 1.  Put Z(s) = e^{V*(s)/β},
and Z = 1 after the end.  Then (regularised.3) is linear, and J* is a mean of V*:

    Z(s) = Σ_a π_ref(a|s) e^{r(s,a)/β} Z(s'),   J*_β = β Σ_s start(s) log Z(s).      (regularised.4)

(regularised.2) says π*(a|s) = π_ref(a|s) e^{r(s,a)/β} Z(s')/Z(s).  Multiply this along a string y.
The Z(s') of each step meets the 1/Z(s') of the next one, and only 1/Z(s_0) is left:

    π*(y) = Π_t π*(a_t|s_t) = π_ref(y) e^{R(y)/β} / Z(s_0).                          (regularised.9)

This is (regularised.2) with whole strings as the actions, and Z(s_0) = Σ_y π_ref(y) e^{R(y)/β}.  So
π*, a bigram, is best among *all* laws of strings.  (With a reward that is no sum over steps, or a
limited length, it need not be.)  *By hand*, e^{1/β} = 2: letters alternate and earn 1, the end 0.

    after a   b with ½, or the end with ½     Z(a) = ½ · 2 · Z(b) + ½     so Z(a) = 5/2
    after b   a with ¼, or the end with ¾     Z(b) = ¼ · 2 · Z(a) + ¾        Z(b) = 2

So π*(b|a) = ½ · 2 · 2/(5/2) = 4/5, and π*(a|b) = ¼ · 2 · (5/2)/2 = 5/8.  After an a, "ba" and the
end have the chance ½ · ¼ · ½ · 4/(5/2) = 1/10 by (regularised.9), and by steps 4/5 · 5/8 · 1/5.

**No optimum.**  Each further "ba" multiplies a term of the sum Z(s_0) by ½ · ¼ · e^{2/β}.  That is
½ here.  At β = ½ it is e⁴/8 = 6.8, and Z is infinite: a sure further "ba" costs β log 8 = 1.04, for
a chance of ⅛ in π_ref, and earns 2.  Longer is always better.  In general Z adds up the powers of
the matrix with entries π_ref(s'|s) e^{r/β}.  Its kth power grows like the kth power of one number,
here √(e^{2/β}/8), and Z is finite if and only if that is below 1 (`solving`).  J_β(π) never rises
with β, so a bound at one price holds at any higher one.  So an optimum exists exactly above one
`critical_beta`: here 2/log 8 = 0.9618, and 0.27757 in the running example.

**The frontier.**  For each policy J_β is a straight line over β, with the slope −KL.  J* is the
highest line at each β.  The line of π* meets J* at its own β and is nowhere above it, so the slopes
agree there: dJ* = −KL dβ.  J* = E[R] − β KL also gives dJ* = dE[R] − KL dβ − β dKL.  Put together,

    dE[R] = β dKL.                                                                   (regularised.7)

As β falls, the lines on top are steeper, so that KL and reward of π* grow along a path of slope β,
the *frontier*.  No policy with the same KL earns more: its J_β would exceed J*.

**A share from the reference on.**  The reference has some J without having learned anything, so

    gap = J* − J,   share = (J − J(π_ref)) / (J* − J(π_ref)).                        (regularised.8)

It is 0 for π_ref and 1 for π*.  In the coin game with β = 2 and a fair reference J(π_ref) is 1, Z =
½ e^½ Z + ½ = 2.847, and J* = 2 log Z = 2.0924.  A coin with head ¾ earns 3 in 4 throws, each ¾ log
1.5 + ¼ log ½ = 0.13081 nats away.  So J = 3 − 8 · 0.13081 = 1.9535, and the share 0.9535/1.0924 =
0.873.

**Entropy, and small prices.**  A row has KL(π‖uniform) = log(actions) − H.  So the objective

    E[Σ_t γᵗ (r_t + β H(π(·|s_t)))]                                                  (regularised.5)

is that of a uniform reference if each step pays β log(actions) more, for the actions of its state:
`entropy_optimum`.  It also favours long episodes.  Let π_0 be best at the price 0, with the values
V_0 and a finite KL.  It pays β KL(π_0‖π_ref), and no KL is negative.  So V*_β → V_0 as β → 0:

    V_0 ≥ V*_β ≥ V_0 − β KL(π_0‖π_ref).                                              (regularised.6)

**Exercises.**  `from minirl.people.regularised import *; from minirl.kernel.mdp import coin_game`
1. What earns 10 is one in a million under π_ref.  How often does π* take it, at β = 1 and at ½?
       [np.exp(tilt(np.log([[1, 1e-6]]), [[0, 10]], beta=b))[0, 1].round(3) for b in (1, 0.5)]
2. The critical price of a fair coin is 1.4427.  How many heads has the best coin at 2, and at 1.45?
       [round(point.reward, 1) for point in frontier(coin_game(), np.zeros((1, 2)), [2, 1.45])]
3. The best coin at β = 2 is judged at β = 4.  Is its share 1, or less?  By how much?
       best = regularised_optimum(coin_game(), np.zeros((1, 2)), beta=2.0)
       round(referee_near(coin_game(), np.zeros((1, 2)), beta=4.0)(best.policy).share, 2)

Read next: `kl`, which measures and estimates the distance.
Source: Ziegler et al. 2019, arXiv:1909.08593, eq. 2; Rafailov et al. 2023, arXiv:2305.18290, eq. 4;
Todorov 2007, "Linearly-solvable Markov decision problems", for (regularised.4).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import optimize

from minirl.checkpoints import storable
from minirl.exact.evaluation import (NoEnd, action_values, at_states, evaluate, expectation,
                                     links_among, reachable, transitions_under, valued_states)
from minirl.exact.planning import Optimum, optimum_of
from minirl.exact.scorecard import ENDLESS, Score, as_policy, mean_length
from minirl.exact.solving import solve
from minirl.kernel import checks
from minirl.kernel.mdp import check_policy
from minirl.kernel.softmax import difference, log_softmax


def regularised_optimum(mdp, ref_logits, *, beta, tol=1e-12, max_rounds=100) -> Optimum:
    """The policy that maximises J_β of (regularised.1), by soft policy iteration.

    Parameters
    ----------
    mdp : TabularMDP
    ref_logits : (S, A) float
        The reference policy's table.  What the reference never does, at −∞, the optimum never does.
    beta : float > 0
        Reward per nat of KL.
    tol : float > 0
        Stop when a round changes no value by more than this, relative to β and the absolute rewards
        and log-ratios of an episode from there, which is what rounding allows.
    max_rounds : int ≥ 1
        Where actions have several outcomes there is no exact test of whether an optimum exists: if
        so many rounds do not converge, J_β most likely has no upper bound, which is a ValueError.

    Returns
    -------
    planning.Optimum
        `values` are V*, with the KL charged; `action_values` are Q*, before their own KL.  At
        gamma 1 the values of states that no episode reaches are NaN.

    Examples
    --------
    The coin game with a fair coin as the reference.  At β = 2, (regularised.4) reads
    Z = ½ e^{1/2} Z + ½, so that J* = 2 log Z = 2 log(½ / (1 − ½ e^{1/2})):

    >>> from minirl.kernel.mdp import coin_game
    >>> best = regularised_optimum(coin_game(), np.zeros((1, 2)), beta=2.0)
    >>> print(best.policy.round(4), round(best.objective, 4))
    [[0.8244 0.1756]] 2.0924
    """
    ref_logp = _reference(mdp, ref_logits)
    checks.positive("beta", beta)
    checks.positive("tol", tol)
    max_rounds = checks.whole("max_rounds", max_rounds)
    if _is_linear(mdp):
        log_partition(mdp, ref_logits, beta=beta)  # which raises where there is no optimum
    ref_logp = log_softmax(ref_logits)
    support = ref_logp > -np.inf
    # Every state that the reference reaches, also where the policy's probability underflows to 0.
    states = valued_states(mdp, support.astype(float))
    logp, before = ref_logp, None
    for rounds in range(1, max_rounds + 1):
        policy = np.exp(logp)
        try:
            price = beta * difference(logp, ref_logp, support)
            values = evaluate(mdp, policy, mdp.mean_reward - price, states=states)
            size = evaluate(mdp, policy, np.abs(mdp.mean_reward) + np.abs(price), states=states)
        except NoEnd:  # the policy has run away so far that its episodes do not end
            break
        known = np.nan_to_num(values)
        scale = tol * (beta + np.nan_to_num(size))
        if before is not None and (np.abs(known - before) <= scale).all():
            return optimum_of(mdp, policy, values, rounds)
        logp, before = tilt(ref_logits, action_values(mdp, known), beta=beta), known
    raise ValueError(f"no convergence at beta = {beta:g} in {rounds} rounds: the objective most "
                     f"likely has no upper bound, or the reference does not end")


def tilt(ref_logits, action_values, *, beta):
    """log π of (regularised.2): the reference, tilted towards what is worth more before its own KL.

    The log-probabilities (S, A) are finite where the probability itself underflows to zero.

    Examples
    --------
    >>> print(np.exp(tilt(np.zeros((1, 2)), np.array([[1., 0.]]), beta=0.5)).round(4))
    [[0.8808 0.1192]]
    """
    checks.positive("beta", beta)
    checks.shape("action_values", log_softmax(action_values, "action_values"),
                 log_softmax(ref_logits, "ref_logits").shape)
    return log_softmax(log_softmax(ref_logits) + np.asarray(action_values) / beta)


@storable
class FrontierPoint(NamedTuple):
    """The best policy at a price."""

    beta: float
    reward: float  # E[R] of the optimum
    kl: float      # to the reference, nats per episode


def frontier(mdp, ref_logits, betas) -> list[FrontierPoint]:
    """The path of optima (regularised.7): a list with the `FrontierPoint` of each price in `betas`.

    A price without an optimum is a ValueError.

    Examples
    --------
    At β = 2 the best coin shows heads with probability head = ½ √e; E[R] = head/(1 − head).

    >>> from minirl.kernel.mdp import coin_game
    >>> for point in frontier(coin_game(), np.zeros((1, 2)), [20.0, 2.0]):
    ...     print(point.beta, round(point.reward, 4), round(point.kl, 4))
    20.0 1.1081 0.0028
    2.0 4.6935 1.3006
    """
    ref_logp = _reference(mdp, ref_logits)
    points = []
    for beta in betas:
        best = regularised_optimum(mdp, ref_logits, beta=beta)
        logp = tilt(ref_logits, best.action_values, beta=beta)
        ratio = difference(logp, ref_logp, ref_logp > -np.inf)
        reward, kl = expectation(mdp, np.exp(logp), np.array([mdp.mean_reward, ratio]))
        points.append(FrontierPoint(float(beta), float(reward), float(kl)))
    return points


def referee_near(mdp, ref_logits, *, beta) -> Callable[..., Score]:
    """A function from a policy (S, A) to its `Score`, a nat of KL costing `beta`: (regularised.8).

    Raises ValueError where `regularised_optimum` does.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> judge = referee_near(coin_game(), np.zeros((1, 2)), beta=2.0)
    >>> print(round(judge(np.array([[0.75, 0.25]])).share, 4))
    0.8729
    """
    ref_logp = log_softmax(ref_logits, "ref_logits")
    ref = np.exp(ref_logp)
    best = regularised_optimum(mdp, ref_logits, beta=beta).objective

    def measured(policy):
        # 0 log 0 = 0; and where π is π_ref, so is log π to the last bit, and the KL exactly 0.
        logp = np.where(policy == ref, ref_logp, np.log(np.where(policy > 0, policy, 1)))
        outside = (policy > 0) & (ref_logp == -np.inf)
        ratio = difference(logp, ref_logp, (policy > 0) & ~outside)
        reward, kl, beyond = expectation(mdp, policy, np.array([mdp.mean_reward, ratio, outside]))
        kl = np.inf if beyond > 0 else kl  # what the reference never does is infinitely far away
        return float(reward), float(kl), float(reward - beta * kl)

    *_, low = measured(ref)
    # Both are good to about 1e-16 (1 + β).  Where they differ by less than a million times that,
    # the reference counts as the best policy, and there is nothing to have a share of.
    room = best - low

    def judge(policy):
        policy = as_policy(policy)
        try:
            reward, kl, J = measured(policy)
        except NoEnd:
            return ENDLESS
        share = (J - low) / room if room > 1e-10 * (1 + beta) else None
        return Score(reward, kl, J, share, best - J, mean_length(mdp, policy))

    return judge


def entropy_optimum(mdp, *, ent_coef, tol=1e-12, max_rounds=100) -> Optimum:
    """The policy that maximises the return plus `ent_coef` times its entropy, (regularised.5).

    `ent_coef` is the temperature β, reward per nat of entropy; `tol` and `max_rounds` are those of
    `regularised_optimum`.  Values and objective of the `Optimum` have the entropy bonus, its action
    values do not have that of their own row: π ∝ exp(Q/β).  At gamma 1 the entropy of going on may
    be worth more than any end, and then no optimum is found, which is a ValueError.

    Examples
    --------
    Head pays 1 and goes on, discounted by ½; V = log(e^{1 + V/2} + 1):

    >>> from minirl.kernel.mdp import coin_game
    >>> best = entropy_optimum(coin_game(gamma=0.5), ent_coef=1.0)
    >>> print(best.policy.round(4), best.values.round(4))
    [[0.8923 0.1077]] [2.228]
    """
    checks.positive("ent_coef", ent_coef)
    checks.positive("tol", tol)
    max_rounds = checks.whole("max_rounds", max_rounds)
    bonus = ent_coef * np.log(mdp.available.sum(axis=1))[:, None]
    try:
        best = regularised_optimum(replace(mdp, reward=mdp.reward + bonus[:, :, None]),
                                   mdp.masked(np.zeros(mdp.shape)), beta=ent_coef, tol=tol,
                                   max_rounds=max_rounds)
    except ValueError:
        raise ValueError(f"no optimum was found at ent_coef = {ent_coef:g} in {max_rounds} rounds "
                         f"or fewer: most likely going on, with its entropy, is worth more than "
                         f"any end") from None
    return best._replace(action_values=best.action_values - bonus)


def log_partition(mdp, ref_logits, *, beta):
    """β log Z of (regularised.4), by one linear solve: the values V* of `regularised_optimum`.

    Only where actions have a single outcome and gamma is 1.  After a step that ends the episode Z
    is 1.  NaN in states that no episode reaches; an infinite Z is a ValueError.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(log_partition(coin_game(), np.zeros((1, 2)), beta=2.0).round(4))
    [2.0924]
    """
    _reference(mdp, ref_logits)
    checks.positive("beta", beta)
    _check_linear(mdp, "the partition sum is linear")
    log_Z = _log_partition(mdp, ref_logits, 1 / beta)
    if log_Z is None:
        raise ValueError(
            f"no optimum exists at beta = {beta:g}: a longer episode is always worth more than the "
            f"KL it costs; one exists above beta = {critical_beta(mdp, ref_logits):.5f}")
    return beta * log_Z


def critical_beta(mdp, ref_logits):
    """The β at or below which no optimum exists, because Z of (regularised.4) diverges.

    It is in units of reward per nat, and 0.0 if an optimum exists at every β down to a millionth of
    the largest reward.  Where the world is so large that `solving.solve` adds up a series, a
    spectral radius of 0.9998 already counts as one, and β is a little too large.

    Examples
    --------
    A fair coin, ½ e^{1/β} = 1 at β = 1/log 2:

    >>> from minirl.kernel.mdp import coin_game
    >>> print(round(critical_beta(coin_game(), np.zeros((1, 2))), 4))
    1.4427
    """
    _reference(mdp, ref_logits)
    _check_linear(mdp, "a critical beta is defined")

    def diverges(inverse_beta):
        return 1.0 if _log_partition(mdp, ref_logits, inverse_beta) is None else -1.0

    if diverges(0.0) > 0:
        raise ValueError("the reference policy does not end, so that no objective is finite")
    largest = mdp.mean_reward.max()
    if largest <= 0:  # no step earns anything, so Z is at most the reference's
        return 0.0
    for upper in 2.0 ** np.arange(-10, 21) / largest:
        if diverges(upper) > 0:
            return 1 / optimize.bisect(diverges, 0.0, upper, xtol=1e-15 / largest, rtol=1e-14)
    return 0.0


def _reference(mdp, ref_logits):
    """log π_ref (S, A) of a reference that does only what is available."""
    checks.shape("ref_logits", ref_logits, mdp.shape)
    logp = log_softmax(ref_logits, "ref_logits")
    check_policy(mdp, np.exp(logp))
    return logp


def _is_linear(mdp):
    """Whether (regularised.4) holds: one outcome per action, and no discount."""
    return mdp.next_state.shape[2] == 1 and mdp.gamma == 1


def _check_linear(mdp, what):
    if not _is_linear(mdp):
        raise ValueError(f"{what} only at gamma = 1 with one outcome per action, got gamma = "
                         f"{mdp.gamma} and {mdp.next_state.shape[2]} outcomes")


def _log_partition(mdp, ref_logits, inverse_beta):
    """log Z of (regularised.4) at 1/β, NaN in states no episode reaches; None if it is infinite.

    The terms of Z are as large as e^{r/β}, so the largest is taken out first, as in every
    log-sum-exp.  Here a term is a string.  The largest one that starts in s has the logarithm
    best(s) = max_a log π_ref(a|s) + r(s, a)/β + best(s'), found by at most S sweeps.  What is left,

        Z(s) e^{−best(s)} = Σ_a π_ref(a|s) e^{r(s,a)/β + best(s') − best(s)} Z(s') e^{−best(s')},

    has no coefficient above one, unless going round in circles pays, and then Z is infinite.
    """
    steps = log_softmax(ref_logits) + mdp.mean_reward * inverse_beta
    following, ends = mdp.next_state[:, :, 0], mdp.terminated[:, :, 0]
    best = np.where(ends, steps, -np.inf).max(axis=1)
    for _ in range(mdp.shape[0]):
        before, best = best, (steps + np.where(ends, 0, best[following])).max(axis=1)
        if (best == before).all():
            break
    states = reachable(mdp, (steps > -np.inf).astype(float))
    if not np.isfinite(best[states]).all():  # there is no end in sight
        return None
    best[~states] = 0
    scaled = np.exp(np.minimum(steps + np.where(ends, 0, best[following]) - best[:, None], 700))
    solution = solve(links_among(states, transitions_under(mdp, scaled)),
                     (scaled * ends).sum(axis=1)[states])
    if solution is None:
        return None
    return best + np.log(at_states(states, solution))
