"""Why is a language model a policy?

*Worlds to read, after `sft`.  Previous: `corpora`.  Next: `smoothing`.*

A bigram model knows one thing: the probability of the next character, given the last one.  That is
a softmax table π(a|s) with the last character as the state and the next one as the action.  Writing
is acting.  The step leads to s' = a, surely, and the end symbol ends the episode.  So a language
model *is* a policy, and `language` makes the world in which it acts.

**The log-probability of a string.**  By (vocabulary.1) a string y is the steps (s_0, y_0), (s_1,
y_1), … with the end symbol as the last y_t.  The model writes it if it takes each of these steps,
given the steps before.  Nothing but the state matters for a step.  So the probabilities multiply,
and their logarithms add up:

    log π(y) = Σ_t log π(y_t | s_t),  the end symbol included.                           (ngram.1)

**In numbers.**  The three words of `sft`, "on", "no" and "noon", have the shares below.  "on" is
start→o→n→end with ⅓ · ½ · ½ = 1/12, "no" has ⅔ · ½ · ¼ = 1/12, and "noon" has 1/48:

>>> from toy_lm.vocabulary import from_items
>>> words = from_items(["on", "no"])
>>> with np.errstate(divide="ignore"):  # the logarithm of 0 is −∞
...     shares = np.log([[0, 2 / 3, 1 / 3], [1 / 2, 0, 1 / 2], [1 / 4, 1 / 2, 1 / 4]])
>>> scores = score(shares, words.encode(["on", "no", "noon"]))
>>> print(scores.round(4), (1 / np.exp(scores)).round(6))
[-2.4849 -2.4849 -3.8712] [12. 12. 48.]

The score of a string is a sum and not a mean.  The mean over all N steps of all strings is another
quantity, the nats per character −(1/N) Σ log π, and its exponential is the perplexity.  Here it is
(2.4849 + 2.4849 + 3.8712)/11:

>>> cost = nats_per_character(shares, words.encode(["on", "no", "noon"]))
>>> print(round(cost, 4), round(np.exp(cost), 3))
0.8037 2.234

**Longer memories.**  A model of a higher order remembers more characters, and its world moves by
(vocabulary.2).  Nothing else changes.  The shape (S, A) of the table says its order, so that no
function here asks for it.  Every exact answer of this book holds at every order.  A table of a
lower order is one of a higher order whose rows repeat, which `widen` makes.

**Sampling is playing**: `sample` is a rollout in that world.  A rollout needs a horizon, and a
string that is cut by it has no end symbol.  `finished` tells which strings have one.  A string may
be *prompted*: then writing begins in the state that the prompt leaves.

**Temperature, top-k and top-p** make another policy of the model's table.  A *temperature* divides
all log-probabilities before the softmax.  Since exp(log π/temperature) = π^{1/temperature}, the
probabilities are raised to a power and then divided by their sum.  *Top-k* does so for the
likeliest actions of each row only, and gives 0 to the others:

    π'(a|s) ∝ π(a|s)^{1/temperature},  for the top_k likeliest actions of each row,      (ngram.2)

where ∝ says "up to a factor that makes the row sum to 1".  Actions that are as likely as the last
one kept are kept too, here and below.  *Top-p* keeps, of what top-k left, the fewest that together
have the probability top_p, the *nucleus*.  With the actions in falling order they are the likeliest
k, such that

    Σ_{i<k} π'(a_i|s) < top_p ≤ Σ_{i≤k} π'(a_i|s),   π'(a_1|s) ≥ π'(a_2|s) ≥ …           (ngram.3)

Take a row of 0.5, 0.3 and 0.2.  At the temperature ½ it is squared, to 0.25, 0.09 and 0.04, which
sum to 0.38.  A division gives 0.6579, 0.2368 and 0.1053.  With top_p = 0.75 the first action is too
little and the first two have 0.8 ≥ 0.75.  So these two are left, with 0.5/0.8 and 0.3/0.8:

>>> row, squares = np.log([[0.5, 0.3, 0.2]]), np.array([0.5, 0.3, 0.2])**2
>>> print(squares.sum().round(2), np.exp(decoding(row, temperature=0.5)).round(4))
0.38 [[0.6579 0.2368 0.1053]]
>>> print(np.exp(decoding(row, top_p=0.75)).round(4))
[[0.625 0.375 0.   ]]

**What is sampled from a decoded table is scored with it.**  Let a trainer sample at the temperature
½ from the row above.  The policy that played gave the first action 0.6579, and the table that is
trained gives it 0.5.  So the true ratio ρ of `surrogate` is 0.5/0.6579 = 0.76 before anything has
been learned.  A trainer that takes the undecoded table for π_old computes 1, and never notices.

>>> print(round(0.5 / 0.6579, 2))
0.76

**Exercises.**  `from toy_lm.ngram import *; from toy_lm.vocabulary import from_items`
1. With top_k = 1 a row keeps its likeliest action.  How many of these three rows keep one only?
       table = np.log([[0.6, 0.2, 0.2], [0.4, 0.4, 0.2], [0.2, 0.3, 0.5]])
       np.exp(decoding(table, top_k=1)).round(2)
2. A model gives 1/2 to each step that it knows, and 0 to writing n after n.  What do a thousand
   strings "on" cost per character, and what do they cost with one "nn" among them?
       words, table = from_items(["on"]), np.zeros((3, 3))
       table[[0, 1, 2], [0, 1, 0]] = -np.inf
       [round(nats_per_character(table, words.encode(1000 * ["on"] + more)), 4)
        for more in ([], ["nn"])]
3. A model of two letters is undecided everywhere.  Which share of its strings ends within three
   steps?
       finished(sample(np.zeros((3, 3)), 100_000, rng=0, horizon=3)).mean().round(2)

Read next: `smoothing`, for long memories that have seen little.
Source: Shannon 1948, "A mathematical theory of communication", §3; Bengio et al. 2003; Fan et al.
2018, "Hierarchical neural story generation", arXiv:1805.04833, for top-k; Holtzman et al. 2019,
"The curious case of neural text degeneration", arXiv:1904.09751, for top-p.
"""

from functools import partial

import numpy as np

from minirl.kernel import checks, counts, mdp, playing
from minirl.kernel.sampling import draw, generator, thresholds
from minirl.kernel.softmax import log_softmax

HORIZON = 1000  # longer strings are cut; far beyond any word, and no cost where strings end
AT_ONCE = 50_000  # strings drawn at once: enough for speed, and few enough for memory
PREPARED = 2**20  # entries of the largest table that is made ready before anything is drawn
ROWS = 2**13      # decoded at a time, so that they stay in the cache


def language(rewards) -> mdp.TabularMDP:
    """The world in which a model acts, a `TabularMDP` with gamma 1, from a reward table (S, A).

    Examples
    --------
    >>> world = language(np.zeros((3, 3)))
    >>> world.next_state[1].ravel().tolist(), world.terminated[1].ravel().tolist()
    ([0, 1, 2], [True, False, False])
    """
    rewards = checks.floats("rewards", rewards)
    checks.finite("rewards", rewards)
    order_of(rewards.shape)
    S, A = rewards.shape
    following = ((np.arange(S)[:, None] * A + np.arange(A)) % S)[:, :, None]
    ends = np.broadcast_to((np.arange(A) == 0)[:, None], following.shape)
    return mdp.TabularMDP(following, np.ones(following.shape), rewards[:, :, None], ends,
                          start=(np.arange(S) == 0).astype(float), gamma=1.0)


def sample(logits, strings, *, rng, horizon=HORIZON, prompt=0) -> counts.Steps:
    """Draw `strings` strings from the model, as `counts.Steps`.

    Parameters
    ----------
    logits : (S, A) float
        The table sampled from, for example a `decoding`.
    strings : int ≥ 1
    rng : Generator or seed
    horizon : int ≥ 1
        Strings are cut after this many steps, and then have no end symbol.
    prompt : int, or (strings,) int
        `Vocabulary.state` of what was written before.  The result holds what is written next.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> steps = sample(np.zeros((3, 3)), 4, rng=11)
    >>> Vocabulary("no").decode(steps)
    ['nooo', 'non', '', 'o']
    """
    logits = checks.floats("logits", logits)
    order_of(logits.shape)
    strings, horizon = checks.whole("strings", strings), checks.whole("horizon", horizon)
    if np.shape(prompt) not in ((), (strings,)):
        raise ValueError(f"prompt must be one state, or one per string, {strings}, got shape "
                         f"{np.shape(prompt)}")
    starts = np.broadcast_to(np.asarray(prompt), (strings,))
    checks.numbers("prompt", starts, len(logits))
    written = partial(_written, logits) if logits.size > PREPARED else partial(
        playing.steps_played, language(np.zeros(logits.shape)), np.exp(log_softmax(logits)))
    rng = generator(rng)
    return counts.join([written(starts[first:first + AT_ONCE], horizon=horizon, rng=rng)
                        for first in range(0, strings, AT_ONCE)])


def decoding(logits, *, temperature=1.0, top_k=None, top_p=1.0):
    """log π_T of (ngram.2) and (ngram.3), (S, A), from which to sample and with which to score.

    Actions that are as likely as the last one kept are kept too.  `top_p` is a share of what
    temperature and `top_k` leave, reached up to a rounding of 1e-12; 1 keeps all, 0 the likeliest.
    What is dropped has −∞; where that is the end symbol, no string ends.

    Examples
    --------
    >>> print(np.exp(decoding(np.log([[0.5, 0.3, 0.2]]), temperature=0.5, top_k=2)).round(4))
    [[0.7353 0.2647 0.    ]]
    >>> print(np.exp(decoding(np.log([[0.5, 0.3, 0.2]]), top_p=0.75)).round(4))
    [[0.625 0.375 0.   ]]
    """
    logits = checks.floats("logits", logits)
    order_of(logits.shape)
    checks.positive("temperature", temperature)
    checks.fraction("top_p", top_p)
    k = logits.shape[-1] if top_k is None else checks.whole("top_k", top_k)
    decoded = np.empty(logits.shape)
    for first in range(0, len(logits), ROWS):
        rows = slice(first, first + ROWS)
        decoded[rows] = _decoded(logits[rows], temperature, k, top_p)
    return decoded


def score(logits, steps):
    """log π(y) of (ngram.1) for each string: (B,) float, in nats.

    A string that was cut is scored as far as it goes.  One that the model cannot write has −∞.

    Examples
    --------
    >>> fair = np.zeros((3, 3))
    >>> score(fair, sample(fair, 3, rng=11)) / np.log(3)  # steps, at 1/3 each
    array([-7., -3., -1.])
    """
    checks.shape("logits", logits, steps.shape)
    return counts.matrix(steps) @ log_softmax(logits).ravel()


def nats_per_character(logits, steps):
    """−(1/N) Σ log π over N steps, ends included; its exponential is the perplexity.

    The same as `minirl.people.sft.sft_loss`, but infinite where the model cannot write a string.

    Examples
    --------
    >>> fair = np.zeros((3, 3))
    >>> print(np.exp(nats_per_character(fair, sample(fair, 3, rng=0))).round(6))
    3.0
    """
    checks.positive("the number of steps", steps.index.size)
    return float(0 - score(logits, steps).sum() / steps.index.size)


def finished(steps):
    """Which strings have an end, and were not cut: (B,) bool.

    Examples
    --------
    >>> finished(sample(np.zeros((3, 3)), 4, rng=11, horizon=3))
    array([False, False,  True,  True])
    """
    last = np.diff(steps.starts) > 0  # a string without steps was cut at once
    last[last] = steps.index[steps.starts[1:][last] - 1] % steps.shape[1] == 0
    return last


def widen(table, order):
    """Logits or rewards (S, A) for a longer memory, which ignores what it need not remember.

    Examples
    --------
    >>> widen(np.array([[1., 2.], [3., 4.]]), 3)[:, 0]
    array([1., 3., 1., 3.])
    """
    table = checks.floats("table", table)
    own = order_of(table.shape)
    order = checks.whole("order", order, least=own)
    # The last digits of a state are the state of the lower order.
    return np.tile(table, (table.shape[1]**(order - own), 1))


def order_of(shape):
    """The order of a model whose table has the shape (S, A): int.

    Examples
    --------
    >>> order_of((1, 27)), order_of((27, 27)), order_of((729, 27))
    (1, 2, 3)
    """
    if len(shape) == 2 and shape[1] >= 2:
        for order in range(1, 31):  # two symbols, and as many entries as can be numbered
            if shape[1]**(order - 1) == shape[0]:
                return order
    raise ValueError(f"a table of a language must have the shape (S, A), with A symbols and "
                     f"S = A^(order - 1) states, got {tuple(shape)}")


def _decoded(logits, temperature, k, p):
    logp = log_softmax(logits)
    if k < logp.shape[1]:
        logp = _likeliest(logp, np.full(len(logp), k))
    with np.errstate(over="ignore"):  # a temperature near zero: only the likeliest is left
        logp = log_softmax((logp - logp.max(axis=1, keepdims=True)) / temperature)
    if p < 1:
        sums = np.exp(np.sort(logp, axis=1)[:, ::-1]).cumsum(axis=1)
        logp = log_softmax(_likeliest(logp, 1 + (sums[:, :-1] < p - 1e-12).sum(axis=1)))
    return logp


def _likeliest(logp, number):
    """The `number` (S,) likeliest actions of each row, and those as likely as the last; else −∞."""
    least = np.take_along_axis(np.sort(logp, axis=1), logp.shape[1] - number[:, None], axis=1)
    return np.where(logp >= least, logp, -np.inf)


def _written(logits, states, *, horizon, rng):
    """What `steps_played` does, where only the rows that are met are made ready."""
    S, A = logits.shape
    who, parts = np.arange(states.size), []
    while who.size and len(parts) < horizon:
        chances = np.exp(log_softmax(logits[states]))
        actions = draw(thresholds(chances), rng.random(who.size))
        index = states * A + actions
        parts.append((who, index[None].astype(np.int32)))
        going = actions > 0
        who, states = who[going], index[going] % S
    return counts.from_parts(parts, parts[0][0].size, (S, A))
