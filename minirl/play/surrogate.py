"""What a batch says about a policy that did not play it.

*Part 3.  Previous: `actor_critic`.  Next: `ppo`.*

Playing is expensive, and importance sampling lets one batch serve several gradient steps: with the
ratio ρ[s, a] = π(a|s)/π_old(a|s), where π_old played, E[ρ A] is right to first order around π_old.
Such a *surrogate* may treat good and bad advantages differently, as the clipping of `ppo` does.  It
still depends on a step only through its s and a and the sign of A_n, so a batch of N steps
collapses (counts.1) into the sum of its positive advantages and that of its negative ones,

    U[s, a] = Σ_{n: (s,a)} max(A_n, 0),   V[s, a] = Σ_{n: (s,a)} min(A_n, 0).          (surrogate.1)

An epoch then costs S·A operations however long the batch was.  (With minibatches that are drawn
anew in every epoch the steps are read once per epoch.)  Of the number of steps it needs N alone;
how often each entry was taken is counted where the visits of states are asked for.

**How far did it go?**  The distance of a batch's new policy from the old one is a mean over the N
steps, exact over the actions, where N[s] counts the steps in s,

    (1/N) Σ_s N[s] KL(π_old(·|s) ‖ π(·|s)).                                            (surrogate.2)

A library that has no table estimates it from the steps,

    (1/N) Σ_n (ρ_n − 1 − log ρ_n),                                                     (surrogate.3)

which has the right mean over actions drawn from π_old if π does not depend on them.  Here π was
trained on them, so with few episodes it comes out a little too large.

Read first: `actor_critic`.  Read next: `ppo`.
Source: Kakade and Langford 2002, "Approximately optimal approximate reinforcement learning", and
Schulman et al. 2015, "Trust region policy optimization", arXiv:1502.05477, on the first order; J.
Schulman 2020, "Approximating KL divergence", joschu.net/blog/kl-approx.html, for (surrogate.3).
"""

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

    gains: np.ndarray          # (S, A) U, sum of the positive advantages
    losses: np.ndarray         # (S, A) V, sum of the negative ones
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


def collapse(steps, advantages, weights=None, *, counted=False):
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
    +∞ if π never does what π_old does in one of them.

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
    ratio, advantages = np.asarray(ratio), np.asarray(advantages)
    checks.shape("advantages", advantages, ratio.shape)
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


def minibatches(steps, advantages, epochs, *, counted=False):
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
