"""How does the loss fall with more data and more parameters?

*Part 5.  Previous: `tree_search`.  Next: `harvest`.*

A large model is trained once, and its size has to be chosen beforehand.  So a formula is fitted to
the held-out losses of many small ones, which are cheap, and is asked about the large one: a
*scaling law*.  `params` is the number of a model's parameters, and `tokens` that of the *tokens* it
read.  These are the symbols of a text: pieces of words for large models, characters in this book.

A *power law* is factor/size^power.  Twice the size divides it by 2^power, wherever one begins.
With both axes logarithmic it is a straight line of the slope −power.  Kaplan et al. found such
lines over many powers of ten: (8.8e13/params)^0.076 with tokens in plenty, and
(5.4e13/tokens)^0.095 with params in plenty.  Then they put both sizes into one formula:

    L = [(params_scale/params)^(params_power/tokens_power)
         + tokens_scale/tokens]^tokens_power.                                            (scaling.1)

Its own fit has the scales 6.4e13 and 1.8e13, and the powers 0.076 and 0.103, params first.  For the
175e9 params of GPT-3 the line says 1.604 nats per token.  The formula says 1.566 with endless
tokens, and 1.661 with the 300e9 that GPT-3 read.  With both sizes endless it is 0.  But nobody
knows the next word for sure.  Hoffmann et al. add a floor (their E + A/N^α + B/D^β):

    L = floor + params_factor/params^params_power + tokens_factor/tokens^tokens_power.   (scaling.2)

**In numbers.**  Let the floor be 1, the factors 4 and 1, and both powers ½.  400 params and 25
tokens have the loss 1 + 4/20 + 1/5 = 1.4.  For 100 of each it is 1 + 4/10 + 1/10 = 1.5:

>>> small = Law(floor=1.0, factors=(4.0, 1.0), powers=(0.5, 0.5))
>>> print(predicted(small, 400, 25), predicted(small, 100, 100))
1.4 1.5

**What to buy.**  Training takes about 6 operations (FLOP) per param and token, 2 of them forwards
and 4 backwards.  That is the *budget*, 60,000 for both models above.  Let it be fixed.  If log
params rises, log tokens falls by as much.  In log params the first term has the derivative
−params_power · term, and the second +tokens_power · term.  At the least loss the two sum to zero:

    budget = 6 params · tokens,
    params_power · params_factor/params^params_power
        = tokens_power · tokens_factor/tokens^tokens_power.                              (scaling.3)

So params^params_power/tokens^tokens_power is the constant params_power · params_factor/
(tokens_power · tokens_factor).  Put tokens = area/params in, with area = budget/6 and both =
params_power + tokens_power.  The left side becomes params^both/area^tokens_power, and

    params = split · area^(tokens_power/both),   tokens = area^(params_power/both)/split,
    split = (params_power params_factor/(tokens_power tokens_factor))^(1/both),          (scaling.4)
    tokens/params = area^((params_power − tokens_power)/both)/split².                    (scaling.5)

In the example split = 4 and area = 10,000, so that 400 and 25 are best.  Only with equal powers is
the number of tokens per param the same for every budget.

>>> print(compute_optimal(small, 60_000))
(400.0, 25.0)

**What was published.**  Gopher has 280e9 params and read 300e9 tokens.  Chinchilla has 70e9 and
read 1.4e12, for about the same budget, and it was better.  Four sets of constants say:

                                  nats per token         tokens per param at a budget of
                                  Gopher  Chinchilla      1e18     5.76e23        1e26
    Hoffmann, as printed          1.9933      1.9366      25.7        92.6       152.6
    Hoffmann, not rounded         1.9672      1.9208      18.6        58.9        92.3
    Besiroglu                     1.9996      1.9739      25.7        18.4        16.1
    as printed, with 0.25         2.2970      2.1511     154.8     1,171.1     2,571.7

The budget was about 5.76e23, and Chinchilla has 20 tokens per param.  The powers that are printed
as α = 0.34 and β = 0.28 are rounded from 0.3392 and 0.2849.  That alone turns 58.9 into 92.6.  A
slip of the second to 0.25, which is in circulation, makes it 1,171.1.  Besiroglu et al. fitted
Hoffmann's points anew.  Their powers are nearly equal, and params grow like budget^0.51.  By
(scaling.1) they grow like budget^0.58.  Kaplan et al. advised 0.73, from another fit.

**The fit.**  Losses err in proportion to their size, and a few err wildly.  So compare logarithms.
Let an error count by its square up to `delta` = 0.001, and in proportion beyond (Huber's loss):

    L = Σ_i huber(log Σ_terms e^term − log measured_i) for points i,   terms: log floor and
        log factor − power · log size_i;   huber(error) = error²/2 up to delta, and then
        delta (|error| − delta/2).                                                       (scaling.6)

The derivative of log Σ e^term in a term is that term's share of the sum, a softmax.  `fit_law`
starts from many places.  From 60 losses without error it finds all constants to 1e-8.  With errors
of 0.3 % the first power is right within 0.016 for 20 seeds.  But the best number of tokens per
param at 5.76e23 lies between 13 and 31, where 18.4 is true.

**When it fails.**  SciPy's L-BFGS-B stops where a step gains less than 2e-9 of the loss *or of 1*,
whichever is larger, or where the gradient is below 1e-5.  Both suit a loss near 1.  The *mean* of
(scaling.6) is 2e-6 here.  With 240 points its search ends at 12.8 tokens per param in the units of
`fit_law`, and at about 6 in raw units, by SciPy's release, where the fit to the end has 15.8.  In
raw units other points end far above.  The *sum* is 4e-4, of which 2e-9 is 5e-6: with it the same
starts and stops arrive.  Hoffmann et al. took the mean, as Besiroglu et al. report.

**The book's own models.**  A *tree* of n-grams asks the shorter memory about what it has not seen
(`contexts`), here with the weight 3.  Counted on random parts of the Unicode names (a step is a
token; means of eight shuffles), the best order and its held-out loss in nats are:

    steps            1,000    4,000   16,000   64,000  316,948
    best order           5        6        6        6        6
    nats             2.198    1.577    1.149    0.877    0.705

From size to size it falls with a power of 0.26 at most, and of 0.125 at the end: a floor of 0.420
bends the line.  Fitted up to 64,000 steps, the law foretells 0.661 for the whole, too good by 6 %.
A straight line through the logarithms, from 4,000 steps on, errs by 4.7 %.  On prose, the texts of
Python's help, it errs by less than 0.5 %, and the power stays between 0.15 and 0.17.  There a power
law holds, while the best order rises.  On the words the power is below 0.07 and wanders: none
holds.  And (scaling.2) for the orders 1 to 5 together, with their n-grams as params, errs on the
names by up to 0.32 in log L: one order rests where another falls, and a longer memory can be worse.

**Exercises.**  `from minirl.beyond.scaling import *`
1. How far above its floor is the best loss, each time that the budget grows a hundredfold?
       budgets = np.array([1e20, 1e22, 1e24, 1e26])
       (predicted(BESIROGLU, *compute_optimal(BESIROGLU, budgets)) - BESIROGLU.floor).round(3)
2. Half of Chinchilla's params, and as good: how many times its tokens?
       left = predicted(BESIROGLU, 70e9, 1.4e12) - predicted(BESIROGLU, 35e9, np.inf)
       round(float((BESIROGLU.factors[1] / left)**(1 / BESIROGLU.powers[1]) / 1.4e12), 3)
3. The power is ½, and one of nine losses 50 % too high.  Which do Huber's loss and squares find?
       sizes = np.geomspace(10, 1000, 9)[:, None]
       losses = (1 + 8 / sizes[:, 0]**0.5) * np.array([1, 1, 1, 1, 1.5, 1, 1, 1, 1])
       [round(fit_law(sizes, losses, delta=delta).x.powers[0], 2) for delta in (1e-3, 1e3)]

Read next: `harvest`, for where the tokens come from.
Source: Kaplan et al. 2020, arXiv:2001.08361; Hoffmann et al. 2022, arXiv:2203.15556; Besiroglu
et al. 2024, arXiv:2404.10102; Pearce and Song 2024, arXiv:2406.12907, for 0.73.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.people.fitting import Fit, minimise

POWERS = 0.2, 0.5, 1.0   # with which a fit begins,
FLOORS = 0.5, 0.8, 0.95  # and its floors, as shares of the least loss
RUNAWAY = 20.0           # a power, or the logarithm of a term, that no law has


class Law(NamedTuple):
    """The constants of (scaling.2): a factor and a power for each size, params before tokens."""

    floor: float    # what is left when every size is infinite
    factors: tuple  # what each term is where its size is 1
    powers: tuple   # how fast it falls


HOFFMANN = Law(1.69, (406.4, 410.7), (0.34, 0.28))  # as printed
HOFFMANN_TEX = Law(1.69337368, (406.401018, 410.722827), (0.33917084, 0.2849083))  # not rounded
BESIROGLU = Law(1.8172, (482.01, 2085.43), (0.3478, 0.3658))  # fitted anew


def predicted(law, *sizes):
    """The loss of (scaling.2), in nats per token, for numbers or arrays of as many sizes as terms.

    Examples
    --------
    >>> print(predicted(Law(1.0, (4.0, 1.0), (0.5, 0.5)), 400, 25))
    1.4
    """
    if len(sizes) != len(law.factors):
        raise ValueError(f"sizes must be as many as the law has factors, {len(law.factors)}, got "
                         f"{len(sizes)}")
    return law.floor + sum(factor / _positive("sizes", size)**power
                           for size, factor, power in zip(sizes, law.factors, law.powers))


def kaplan(params, tokens, *, params_scale=6.4e13, params_power=0.076, tokens_scale=1.8e13,
           tokens_power=0.103):
    """The loss of (scaling.1), for numbers or arrays; either may be infinite.

    The constants are those of the fit to both sizes together, not of the two lines.

    Examples
    --------
    >>> print(round(kaplan(175e9, np.inf), 3), round(kaplan(175e9, 300e9), 3))
    1.566 1.661
    """
    few = (params_scale / _positive("params", params))**(params_power / tokens_power)
    return (few + tokens_scale / _positive("tokens", tokens))**tokens_power


def compute_optimal(law, budget):
    """params and tokens of (scaling.4), of the least loss for a budget in FLOP, or an array.

    The law has two sizes, and its factors and powers are positive.

    Examples
    --------
    >>> print(compute_optimal(Law(1.0, (4.0, 1.0), (0.5, 0.5)), 6 * 400 * 25))
    (400.0, 25.0)
    """
    if len(law.powers) != 2 or not all(number > 0 for number in (*law.factors, *law.powers)):
        raise ValueError(f"law must have two factors and two powers, all positive, got {law}")
    (params_factor, tokens_factor), (params_power, tokens_power) = law.factors, law.powers
    both, area = params_power + tokens_power, _positive("budget", budget) / 6
    split = (params_power * params_factor / (tokens_power * tokens_factor))**(1 / both)
    return split * area**(tokens_power / both), area**(params_power / both) / split


def law_loss(x, sizes, losses, *, delta=1e-3):
    """The loss (scaling.6), a sum over points, and its gradient.

    Parameters
    ----------
    x : (1 + 2k,) float
        log floor, then the k logarithms of the factors, then the k powers.
    sizes : (B, k) float > 0
        Of k sizes, such as params and tokens, in any units.
    losses : (B,) float > 0
        What was measured.
    delta : float > 0
        From where on an error counts in proportion, and no longer by its square.

    Examples
    --------
    >>> value, grad = law_loss(np.array([0.0, 0.0, 0.5]), np.array([[1.0]]), np.array([2.0]))
    >>> print(value, grad)  # 1 + 1 is 2
    0.0 [ 0.  0. -0.]
    """
    sizes, losses = _checked(sizes, losses)
    checks.positive("delta", delta)
    k, logs = sizes.shape[1], np.log(sizes)
    x = checks.array("x", x, (1 + 2 * k,))
    terms = np.column_stack([np.full(len(sizes), x[0]), x[1:k + 1] - x[k + 1:] * logs])
    top = terms.real.max(axis=1, keepdims=True)
    parts = np.exp(terms - top)
    error = top[:, 0] + np.log(parts.sum(axis=1)) - np.log(losses)
    small, sign = np.abs(error.real) <= delta, np.sign(error.real)
    value = np.where(small, error**2 / 2, delta * (sign * error - delta / 2)).sum()
    slope = np.where(small, error, delta * sign)  # of the Huber loss, and then of each term
    slopes = slope[:, None] * parts / parts.sum(axis=1, keepdims=True)
    return value, np.concatenate([slopes.sum(axis=0), -(slopes[:, 1:] * logs).sum(axis=0)])


def fit_law(sizes, losses, *, delta=1e-3, tol=1e-9) -> Fit:
    """The law of the least `law_loss`, found from many starts: a `fitting.Fit` whose x is a `Law`.

    The sizes are measured in units of their geometric means, so that all directions curve alike.
    `evaluations` counts those of all starts.  Of each size there must be three different values,
    since two do not decide a floor, a factor and a power.

    Examples
    --------
    >>> sizes = np.array([[1.0], [4.0], [16.0], [64.0]])
    >>> fit = fit_law(sizes, 1 + 8 / sizes[:, 0]**0.5)
    >>> print(round(fit.x.floor, 6), round(fit.x.factors[0], 6), round(fit.x.powers[0], 6))
    1.0 8.0 0.5
    """
    sizes, losses = _checked(sizes, losses)
    k, least = sizes.shape[1], losses.min()
    if losses.size <= 2 * k:
        raise ValueError(f"losses must be at least as many as the law has constants, {2 * k + 1}, "
                         f"got {losses.size}")
    if min(np.unique(column).size for column in sizes.T) < 3:
        raise ValueError(f"sizes must have three different values or more in each column, got "
                         f"{[np.unique(column).size for column in sizes.T]}")
    units = np.exp(np.log(sizes).mean(axis=0))
    fits = []
    for share, *powers in product(FLOORS, *k * [POWERS]):
        terms = np.log(least * np.array([share, *k * [(1 - share) / k]]))
        fits.append(minimise(lambda x: law_loss(x, sizes / units, losses, delta=delta),
                             np.append(terms, powers), tol=tol))
    kept = [fit for fit in fits if fit.x.max() < RUNAWAY]
    if not kept:
        raise ValueError("losses must decide the constants of a law: here they run away")
    best = min(kept, key=lambda fit: fit.loss)
    floor, *factors = np.exp(best.x[:k + 1] + np.append(0, best.x[k + 1:] * np.log(units)))
    law = Law(float(floor), tuple(map(float, factors)), tuple(map(float, best.x[k + 1:])))
    return best._replace(x=law, evaluations=sum(fit.evaluations for fit in fits))


def _checked(sizes, losses):
    """Both as arrays, (B, k) and (B,)."""
    sizes, losses = checks.floats("sizes", sizes), checks.floats("losses", losses)
    if sizes.ndim != 2:
        raise ValueError(f"sizes must be (B, k), a row per point, got shape {sizes.shape}")
    checks.shape("losses", losses, (len(sizes),))
    for name, values in ("sizes", sizes), ("losses", losses):
        if not ((values > 0) & (values < np.inf)).all():
            raise ValueError(f"{name} must be positive and finite, got values from "
                             f"{values.min()} to {values.max()}")
    return sizes, losses


def _positive(name, values):
    """A number as it is, or an array of floats, if all are above zero."""
    values = checks.floats(name, values) if np.ndim(values) else values
    if not np.greater(values, 0).all():
        raise ValueError(f"{name} must be positive, got {values}")
    return values
