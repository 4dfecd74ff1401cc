"""What does a batch say about a policy that did not play it?

*Part 3.  Previous: `actor_critic`.  Next: `ppo`.*

Playing is expensive, and the estimates so far use a batch for one step: they are right for the
policy that played it, called π_old.  This chapter asks what the same batch says about a policy π
nearby, so that one batch can serve for several steps.

**Importance sampling.**  A fair coin was thrown, and π would throw head with ¾ and tail with ¼.
Weigh what head earned by ¾ / ½ = 1.5, and what tail earned by ¼ / ½ = 0.5.  Say that head earns 4
and tail 0.  Two heads and two tails give (1.5 · 4 + 1.5 · 4 + 0.5 · 0 + 0.5 · 0)/4 = 3, and so does
π, with ¾ · 4 + ¼ · 0.  For any table f, in a state s,

    Σ_a π(a|s) f(s, a) = Σ_a π_old(a|s) ρ(s, a) f(s, a),   ρ(s, a) = π(a|s)/π_old(a|s).

A mean under π is a mean under π_old of f times the *ratio* ρ.  This is *importance sampling*.  It
is unbiased if π_old may do all that π may do, and noisy where ρ is large.

>>> print(ratios(np.log([[0.75, 0.25]]), np.log([[0.5, 0.5]])))
[[1.5 0.5]]

A whole episode has the product of the ratios of its steps.  Ten heads would count 1.5¹⁰ = 58 times
and ten tails a thousandth.  So the product is avoided, and the actions of single steps are weighed.
What that costs is seen in an identity.

**How two policies differ.**  Let π play, and judge each step by the values V_old of π_old, with δ_t
= r_t + γ V_old(s_{t+1}) − V_old(s_t).  In the sum of γᵗ δ_t each V_old(s_{t+1}) comes twice: with
γᵗ⁺¹ from δ_t, and with −γᵗ⁺¹ from the next one.  They cancel.  V_old is 0 after the end, and where
no end comes, γᵗ V_old(s_t) goes to 0.  (At γ = 1 both policies must end.)  So what is left is the
return minus the first value:

    Σ_t γᵗ δ_t = Σ_t γᵗ r_t − V_old(s_0).

The mean of the right side over the episodes of π is J(π) − J(π_old), since both policies start in
the same states.  The mean of δ_t over what may follow the step (s, a) is Q_old(s, a) − V_old(s),
the advantage A_old(s, a).  So the mean of the left side is a sum over the table, with the visits η
of π, as in `reinforce`.  This is (planning.6), in other letters:

    J(π) − J(π_old) = Σ_{s,a} η(s) π(a|s) A_old(s, a).                                (surrogate.4)

The visits η of a policy that has not played are not known.  *Freeze* them at those of π_old, and
weigh the actions by importance sampling.  This is the *surrogate*,

    Σ_{s,a} η_old(s) π(a|s) A_old(s, a) = E_old[Σ_t γᵗ ρ(s_t, a_t) A_old(s_t, a_t)],  (surrogate.5)

where E_old is the mean over the episodes of π_old, and π = π_old ρ.  How far is it from the truth
(surrogate.4)?  The two differ by a sum over s of products, η(s) − η_old(s) times Σ_a π(a|s)
A_old(s, a).  At π = π_old both factors are 0, the second one by (evaluation.3).  The derivative of
a product is a sum of two terms, each of which keeps one of the factors, so it is 0 too.  So at
π_old the surrogate has the right value and the right gradient: it is *right to first order*.

**Near and far.**  The fair coin in the coin game at γ = 1 is worth V = 1, and throws η = 2 times.
Head has A = 1 + 1 − 1 = 1 and tail A = 0 − 1 = −1.  The coin with ¾ throws η = 4 times:

    the truth        J(π) − J(π_old) = 3 − 1 = 4 · (¾ · 1 − ¼ · 1) = 2
    the surrogate                              2 · (¾ · 1 − ¼ · 1) = 1

On the cliff it errs in the other direction, and by much more.  With γ = 0.99, start at the policy
that moves at random, and move its table of logits some way in the direction of ∇J:

    the way        0      0.5      1      2      4
    nats away      0     0.007  0.028  0.102  0.339    a mean over the visits, as (surrogate.2)
    J(π)       −1072     −725   −530   −358   −255
    promised   −1072     −641   −257    367   1219     J(π_old) + (surrogate.5)

Every step costs something on the cliff, so that no policy earns more than 0.  A learner that trusts
the surrogate must stay near π_old.  `ppo` shows how.

**Tables again.**  A surrogate may treat good and bad steps differently, as `ppo` does.  What it
makes of a step n is then A_n times a factor that depends only on s, a and the sign of A_n.  So a
batch of N steps collapses (counts.1) into the sums of its positive and of its negative advantages,

    A⁺[s, a] = Σ_{n: (s,a)} max(A_n, 0),   A⁻[s, a] = Σ_{n: (s,a)} min(A_n, 0),       (surrogate.1)

where each sum is over the steps n that took a in s.  The code calls them `gains` and `losses`:

>>> steps = counts.steps(np.zeros(3, int), np.array([0, 0, 1]), np.array([0, 3]), (1, 2))
>>> batch = collapse(steps, np.array([2.0, -0.5, 1.0]))
>>> print(batch.gains, batch.losses, batch.number)
[[2. 1.]] [[-0.5  0. ]] 3.0

After that a pass over the batch costs an operation or a few per entry, however long the batch was.

**How far did it go?**  The distance of π from π_old is a mean over the N steps, exact over the
actions, where N[s] counts the steps in s:

    (1/N) Σ_s N[s] KL(π_old(·|s) ‖ π(·|s)).                                           (surrogate.2)

Without a table one estimates it from the actions taken,

    (1/N) Σ_n (ρ_n − 1 − log ρ_n).                                                    (surrogate.3)

Under π_old the mean of ρ is Σ_a π(a|s) = 1, and that of −log ρ is the divergence, so the mean is
right if π does not depend on the batch.  No term is negative.  But π was trained on these very
actions, so the estimate is biased.  Say that a fair coin threw a head, was praised for it, and now
throws head with 0.6: ρ = 1.2, the estimate is 0.0177, and the distance is 0.0204.

**Exercises.**  `from minirl.play.surrogate import *`
1. π_old throws head once in a hundred throws, and π every other time.  How much does a head count?
       ratios(np.log([[0.5, 0.5]]), np.log([[0.01, 0.99]])).round(2)
2. Head and tail both earn 4, and a fair coin happened to throw three heads and a tail.  What should
   a coin with ¾ earn, according to them?
       rho = ratios(np.log([[0.75, 0.25]]), np.log([[0.5, 0.5]]))[0]
       round(float((3 * rho[0] * 4 + rho[1] * 4) / 4), 4)
3. How far is (surrogate.3) from the exact distance, after two heads and two tails of a fair coin?
       old, new = np.log([[0.5, 0.5]]), np.log([[0.75, 0.25]])
       round(mean_kl(new, old, np.array([4.0])), 4)
       round(approximate_kl(new, old, np.array([[2.0, 2.0]])), 4)

Read next: `ppo`, which climbs a surrogate without going far.
Source: Kakade and Langford 2002, "Approximately optimal approximate reinforcement learning", for
(surrogate.4); Schulman et al. 2015, "Trust region policy optimization", arXiv:1502.05477, on the
first order; J. Schulman 2020, "Approximating KL divergence", joschu.net/blog/kl-approx.html, for
(surrogate.3).
"""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.softmax import difference, kl, log_softmax, product


def ratios(logp, old_logp):
    """ρ of two tables log π: 1 where π_old never goes, and so has played nothing.

    It is capped where it would overflow, since ∞ times nothing is not a number.

    Examples
    --------
    >>> print(ratios(np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])).round(4))
    [[1.8 0.2]]
    """
    return np.exp(np.minimum(difference(logp, old_logp, np.not_equal(old_logp, -np.inf)), 700))


class Advantages(NamedTuple):
    """A batch of N steps, collapsed as in (surrogate.1)."""

    gains: np.ndarray          # (S, A) A⁺, sum of the positive advantages
    losses: np.ndarray         # (S, A) A⁻, sum of the negative ones
    number: float              # N, or the sum of the steps' weights
    counts: np.ndarray = None  # (S, A) N by state and action, for those who ask

    @property
    def visits(self):
        """N[s], the number of steps in each state, if they were counted: (S,)."""
        return self.counts.sum(axis=1)

    @property
    def shares(self):
        """N[s]/N: (S,), or None where nobody asked for counts."""
        return None if self.counts is None else self.visits / self.number


def collapse(steps, advantages, weights=None, *, counted=False) -> Advantages:
    """The `Advantages` of N steps: `counts.Steps`, and advantages (N,).

    `weights` (N,) ≥ 0 say how much each step counts in all three tables; by default one.  The
    third, `counts`, which (ppo.2) does not need, is made where there are weights, or if it is to be
    `counted`.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 1]), np.array([0, 2]), (1, 2))
    >>> batch = collapse(two, np.array([3., -1.]))
    >>> print(batch.gains, batch.losses, batch.number)
    [[0. 3.]] [[ 0. -1.]] 2.0
    """
    advantages = np.asarray(advantages)
    key = _by_sign(steps, advantages)
    if weights is not None:
        advantages = advantages * checks.weights("weights", weights, steps.index.shape)
    sums, = _tables(key, 1, steps.shape, advantages)
    checks.finite("sums of advantages", sums)  # where what is not finite leaves its mark
    if weights is None and not counted:
        return Advantages(*sums, float(steps.index.size))
    table = counts.table(steps, weights)
    return Advantages(*sums, table.sum(), table)


def mean_kl(logits, old_logits, visits):
    """(surrogate.2), KL(π_old(·|s)‖π(·|s)) over the states of a batch, in nats per step: float.

    Exact for the states that were visited, whatever was done there; `visits` is N[s], (S,).  It is
    +∞ if π never does what π_old may do in one of them.

    Examples
    --------
    >>> round(mean_kl(np.zeros((1, 2)), np.log([[0.9, 0.1]]), np.array([5.0])), 4)
    0.3681
    """
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    visits = checks.weights("visits", visits, logp.shape[:1])
    return float(product(visits, kl(old_logp, logp)).sum() / _number(visits))


def approximate_kl(logits, old_logits, number):
    """(surrogate.3), the same from the actions that were taken, in nats per step: float.

    `number` (S, A) says how often each was; what was never taken adds nothing.

    Examples
    --------
    >>> taken = np.array([[9.0, 1.0]])  # just as often as π_old takes them
    >>> round(approximate_kl(np.zeros((1, 2)), np.log([[0.9, 0.1]]), taken), 4)
    0.3681
    """
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    number = checks.weights("number", number, logp.shape)
    change = np.minimum(difference(logp, old_logp, number != 0), 700)
    # e^x − 1 by expm1, which keeps the digits of a small x.
    return float((number * (np.expm1(change) - change)).sum() / _number(number))


def clipped(ratio, advantages, *, clip_range=0.2):
    """Which steps have a dead gradient in (ppo.3): clipped, on the side that clipping stops.

    `ratio` and `advantages` are ρ and A of each step, (N,), and so is the result.  A step without
    advantage is not among them: there is nothing to clip.

    Examples
    --------
    >>> clipped(np.array([1.3, 1.3, 0.7, 0.7]), np.array([1., -1., 1., -1.])).tolist()
    [True, False, False, True]
    """
    checks.positive("clip_range", clip_range, finite=False)
    ratio = checks.floats("ratio", ratio)
    advantages = checks.array("advantages", advantages, ratio.shape)
    checks.finite("ratio", ratio)
    dead = np.where(advantages < 0, ratio < 1 - clip_range, ratio > 1 + clip_range)
    return dead & (advantages != 0)


def clip_fraction(logits, old_logits, steps, advantages, *, clip_range=0.2):
    """The share of N steps that are `clipped`.

    Examples
    --------
    Two good steps and a bad one, on an action that has become likelier by more than 1 + ε.  The
    good ones are dead; the bad one is being pulled back:

    >>> three = counts.steps(np.zeros(3, int), np.zeros(3, int), np.array([0, 3]), (1, 2))
    >>> clip_fraction(np.array([[2., 0.]]), np.zeros((1, 2)), three, np.array([1., 2., -1.]))
    0.6666666666666666
    """
    checks.positive("the number of steps", steps.index.size)
    ratio = step_ratios(logits, old_logits, steps)
    return float(clipped(ratio, advantages, clip_range=clip_range).mean())


def step_ratios(logits, old_logits, steps):
    """ρ of each of N steps: (N,).

    Examples
    --------
    >>> one = counts.steps(np.array([0]), np.array([1]), np.array([0, 1]), (1, 2))
    >>> print(step_ratios(np.log([[0.75, 0.25]]), np.zeros((1, 2)), one))
    [0.5]
    """
    logp, old_logp = log_softmax(logits), log_softmax(old_logits, "old_logits")
    checks.shape("logits", logp, steps.shape)
    checks.shape("old_logits", old_logp, steps.shape)
    return ratios(logp, old_logp).ravel()[steps.index]


def minibatches(steps, advantages, epochs, *, counted=False) -> Iterator[Advantages]:
    """`collapse` for parts of a batch, epoch after epoch: yields the `Advantages` of each part.

    For each epoch `epochs` holds the part of each of the B episodes: (B,) int, from 0 upwards, and
    every part has a step.  All parts of an epoch are collapsed at once, and their steps are counted
    if they are to be `counted`.

    Examples
    --------
    >>> two = counts.steps(np.array([0, 0]), np.array([1, 0]), np.array([0, 1, 2]), (1, 2))
    >>> for batch in minibatches(two, np.array([3., -1.]), [np.array([1, 0])]):
    ...     print(batch.gains, batch.losses, batch.number)
    [[0. 0.]] [[-1.  0.]] 1.0
    [[0. 3.]] [[0. 0.]] 1.0
    """
    signed, lengths = _by_sign(steps, advantages), np.diff(steps.starts)
    size = 2 * prod(steps.shape)
    for parts in epochs:
        if parts.shape != lengths.shape or parts.min() < 0 or parts.max() >= lengths.size:
            raise ValueError(f"parts must be {lengths.size} numbers in [0, {lengths.size}), "
                             f"got {parts}")
        numbers = np.bincount(parts, lengths)
        if not numbers.all():
            raise ValueError(f"every part up to {numbers.size - 1} must have a step, got {parts}")
        _check_size(numbers.size, steps.shape)
        # The number of a step's entry moves on by two tables for every part before its own.
        key = np.repeat(size * parts.astype(np.int32), lengths)
        key += signed
        sums = _tables(key, numbers.size, steps.shape, advantages)
        checks.finite("sums of advantages", sums)
        tables = (_tables(key, numbers.size, steps.shape).sum(axis=1) if counted
                  else [None] * numbers.size)
        for (gains, losses), number, table in zip(sums, numbers, tables):
            yield Advantages(gains, losses, number, table)


def steps_in(logp, old_logp, batch):
    """N, the number of steps of a batch, if all tables fit.

    Examples
    --------
    >>> batch = Advantages(np.zeros((1, 2)), np.zeros((1, 2)), 3.0)
    >>> print(steps_in(np.zeros((1, 2)), np.zeros((1, 2)), batch))
    3.0
    """
    checks.shape("old_logits", old_logp, logp.shape)
    checks.shape("the gains of the batch", batch.gains, logp.shape)
    checks.positive("the number of steps", batch.number)
    return batch.number


def _number(steps):
    """How many steps these numbers of steps are, at least one."""
    number = steps.sum()
    checks.positive("the number of steps", number)
    return number


def _by_sign(steps, advantages):
    """The key of each step in two tables, one after the other: gains, then losses; (N,) int32."""
    checks.shape("advantages", advantages, steps.index.shape)
    checks.positive("the number of steps", steps.index.size)
    _check_size(1, steps.shape)
    key = np.multiply(advantages < 0, prod(steps.shape), dtype=np.int32)
    key += steps.index
    return key


def _check_size(parts, shape):
    if 2 * parts * prod(shape) >= 2**31:
        raise ValueError(f"gains and losses of all parts are numbered with 32 bits, "
                         f"got {parts} parts of {prod(shape)} entries")


def _tables(key, parts, shape, advantages=None):
    """Sums of the advantages, or numbers of steps, by part and by sign: (parts, 2, S, A)."""
    return counts.add_up(key, parts * 2 * prod(shape), advantages).reshape(parts, 2, *shape)
