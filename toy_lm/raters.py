"""How far can a judgement be trusted, and what can be learned from one that errs?

*Worlds to read, after `reward_model`.  Previous: `demonstrations`.  Next: `preferences`.*

Most algorithms of reinforcement learning assume *true rewards*: the number that they are told is
what a step or a string is worth.  People have no such number to give.  They can be asked in three
ways.  *Point-wise*: give each response a score.  *Pair-wise*: which of these two is better?
*List-wise*: put these K responses to one prompt in order.  The answers are related.  Scores give a
ranking, and a ranking gives its K(K − 1)/2 pairs, here of the responses 0, 1 and 2 with the scores
95, 40 and 60:

>>> scores = np.array([[95., 40., 60.]])
>>> print(ranking_of_scores(scores), pairs_of_scores(scores).tolist())
[[0 2 1]] [[0, 2], [0, 1], [2, 1]]

The way back is not always there.  Pairs that were asked one by one may run in a circle, 0 ≻ 1 ≻ 2 ≻
0, where ≻ means "is preferred to".  Then no ranking agrees with all of them, and
`ranking_from_pairs` names the circle.  A regression on pairs (`reward_model`) is not troubled: it
finds the scores that fit best, which for a circle are equal ones.

**A simulated person** has a reward R that we know, and errs.  With the margin m = (R_1 −
R_2)/temperature she prefers the first of two by the model of Bradley and Terry,

    Pr(1 ≻ 2) = σ(m).                                                                     (raters.1)

She puts K in order by the model of Plackett and Luce: the best of all, then the best of the rest,
and so on.  Each is chosen in proportion to e^{R/temperature}:

    Pr(ranking) = Π_k e^{R_k/temperature} / Σ_{j ≥ k} e^{R_j/temperature},                (raters.2)

where R_k is the reward of the kth of the ranking.  K = 2 is (raters.1), since e^{R_1}/(e^{R_1} +
e^{R_2}) = 1/(1 + e^−m).

*By hand*: the rewards are log 4, log 2 and 0, so that the weights are 4, 2 and 1 at temperature 1.
The ranking 0 ≻ 1 ≻ 2 has the probability 4/7 · 2/3 = 8/21, and 0 ≻ 2 ≻ 1 has 4/7 · 1/3 = 4/21.  The
other four have 8/35, 2/35, 2/21 and 1/21.  Response 0 is before 1 in the first two and in 2 ≻ 0 ≻
1, together 8/21 + 4/21 + 2/21 = ⅔.  That is 4/(4 + 2), the law (raters.1) of these two.  The pairs
of a ranking all follow that law, but they are not independent: K(K − 1)/2 of them say less than as
many that were asked one by one.  Of 210,000 simulated rankings the law expects 80, 40, 48, 12, 20
and 10 thousand:

>>> rewards = np.log([[4., 2., 1.]])
>>> many = rank(np.tile(rewards, (210_000, 1)), rng=0)
>>> found, number = np.unique(many, axis=0, return_counts=True)
>>> print(found.tolist(), (number / 1000).round())
[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] [80. 40. 48. 12. 20. 10.]

(`rank` draws a whole ranking at once by a known trick, which its code shows.)

**What errors do to a reward.**  The *temperature* is the unit in which rewards can be learned.  A
regression finds m, so it finds R/temperature, and a price β must be in the same unit.  (So a
rater's temperature is in units of reward.  That of a writer, in `ngram`, has no unit.)  She may
also be careless: with the probability `noise` her answer is turned round.  She then prefers the
better one with (1 − noise) σ(m) + noise σ(−m).  At noise = 0.1, margins of 1, 3 and 10 look like

>>> m = np.array([1., 3., 10.])
>>> wins = 0.9 * expit(m) + 0.1 * expit(-m)
>>> print(wins.round(3), np.log(wins / (1 - wins)).round(3))
[0.685 0.862 0.9  ] [0.776 1.833 2.197]

and no margin can look larger than log 9 = 2.197, however many answers are asked for.  The order is
right, but great differences are not told from middling ones.  Label smoothing (`reward_model`) does
not undo this.  It turns a share of the answers round once more: 0.862 becomes 0.9 · 0.862 + 0.1 ·
(1 − 0.862) = 0.79.  Where the noise is known, (wins − noise)/(1 − 2 noise) is σ(m) again:

>>> print((0.9 * wins + 0.1 * (1 - wins)).round(2))
[0.65 0.79 0.82]
>>> print(((wins - 0.1) / 0.8).round(3), expit(m).round(3))
[0.731 0.953 1.   ] [0.731 0.953 1.   ]

She may be unable to decide.  With Davidson's parameter `ties`, "first", "tie" and "second" have
chances in proportion to e^{m/2}, ties and e^{−m/2}:

    Pr(tie) = ties / (e^{m/2} + e^{−m/2} + ties),                                         (raters.3)

likeliest where the rewards are equal.  With ties = 1 and m = log 4 they are 2 : 1 : ½, or 4/7, 2/7
and 1/7.  If she does decide, the first wins 4 : 1, and in general e^{m/2} : e^{−m/2}, which is
(raters.1).  So leaving ties out does no harm to a regression on pairs, though rewards that are
close are seen more rarely.

**Programs that give scores.**  A *verifier* scores 1 or 0, and where both responses pass, or
neither, it has no preference.  A person who answers by (raters.1) would toss a coin there, and
`compare` calls equal scores a tie.  It does not err unless it is told to.  How many ties are there?
A string of the running example's reference is a palindrome with 0.1681 (`verifiers`), so of two
strings both pass or both fail with

>>> print(round(0.1681**2 + (1 - 0.1681)**2, 2))
0.72

**The language model itself** can judge: `judgement` scores a response by its log-probability per
character.  (Not by that of the whole string, which falls with every letter, so that short strings
win.)  A judge has its own taste: it prefers what is usual.  On the running example it agrees with
58 % of a person's choices, where her own reward would agree with 72 %, ties counted half.

**Exercises.**  `from toy_lm.raters import *`
1. Whoever turns half of all answers round, how often does she prefer a response that leads by 10?
       answers = choose(np.tile([[10., 0.]], (10_000, 1)), rng=0, noise=0.5)
       round(float((answers == FIRST).mean()), 2)
2. Four responses have six pairs.  Are the three below enough for a ranking, and are the next three?
       ranking_from_pairs([[2, 0], [0, 3], [3, 1]], 4)
       try: ranking_from_pairs([[2, 0], [2, 1], [2, 3]], 4)
       except ValueError as error: print(error)
3. A bigram was fitted to "on", "no" and "noon".  Which of these strings does it judge the best?
       from toy_lm.models import fit
       model = fit(["on", "no", "noon"], pseudo_count=0)
       judgement(model.logits, model.encode(["on", "noon", "n"])).round(3)

Read next: `preferences`, the pairs of such raters as data.
Source: Bradley and Terry 1952; Luce 1959; Plackett 1975; Davidson 1970, "On extending the
Bradley-Terry model to accommodate ties in paired comparison experiments"; Zheng et al. 2023,
"Judging LLM-as-a-judge", arXiv:2306.05685.
"""

from graphlib import CycleError, TopologicalSorter
from itertools import combinations

import numpy as np
from scipy.special import expit

from minirl.kernel import checks
from minirl.kernel.sampling import generator
from toy_lm.ngram import score

FIRST, TIE, SECOND = 1, 0, -1  # answers to a pair
SURE = 1e-300  # a temperature at which every difference is decisive


def choose(rewards, *, rng, temperature=1.0, noise=0.0, ties=0.0):
    """Which of two responses a simulated person prefers: (B,) int, FIRST, SECOND or TIE.

    Parameters
    ----------
    rewards : (B, 2) float
        What she thinks of each.
    rng : Generator or seed
    temperature : float > 0
        That of (raters.1), in units of reward.  The larger, the more often she prefers the worse
        one.
    noise : float in [0, 1]
        The probability that an answer is turned round.
    ties : float ≥ 0
        That of (raters.3); with 0 she always decides.

    Examples
    --------
    >>> print(choose(np.array([[1., 0.], [0., 1.], [5., 5.]]), rng=0, temperature=0.1))
    [ 1 -1  1]
    """
    rewards = _checked(rewards, range(2, 3), temperature, noise)
    checks.not_negative("ties", ties)
    with np.errstate(over="ignore"):  # a temperature near zero: infinitely sure
        m = (rewards[:, 0] - rewards[:, 1]) / temperature
    half = np.exp(-np.abs(m) / 2)
    tie = ties * half / (1 + half**2 + ties * half)  # (raters.3), without a large exponential
    first = (1 - tie) * ((1 - noise) * expit(m) + noise * expit(-m))
    number = generator(rng).random(len(rewards))
    return np.where(number < first, FIRST, np.where(number < first + tie, TIE, SECOND))


def compare(scores, *, rng, temperature=SURE, noise=0.0, ties=0.0):
    """Which of two responses a program prefers, by its scores (B, 2): (B,) int, as of `choose`.

    Equal scores are a TIE, whatever else it is told, and by default the larger score wins.

    Examples
    --------
    >>> print(compare(np.array([[1., 0.], [0., 1.], [1., 1.]]), rng=0))
    [ 1 -1  0]
    """
    answers = choose(scores, rng=rng, temperature=temperature, noise=noise, ties=ties)
    return np.where(undecided(scores), TIE, answers)


def undecided(scores):
    """In which rows of scores (P, K) two responses are worth the same: (P,) bool.

    Examples
    --------
    >>> print(undecided(np.array([[95., 40., 60.], [1., 0., 1.]])))
    [False  True]
    """
    return (np.diff(np.sort(_floats("scores", scores), axis=1), axis=1) == 0).any(axis=1)


def rank(rewards, *, rng, temperature=1.0, noise=0.0):
    """In which order a simulated person puts the responses to each prompt, by (raters.2).

    Of rewards (P, K) she makes the numbers of the responses, the best first: (P, K) int.  The other
    arguments are those of `choose`; a ranking is turned round as a whole.

    Examples
    --------
    >>> print(rank(np.array([[95., 40., 60.]]), rng=0))
    [[0 2 1]]
    """
    rewards = _checked(rewards, range(2, 2**31), temperature, noise)
    rng = generator(rng)
    with np.errstate(over="ignore"):
        keys = (rewards - rewards.max(axis=1, keepdims=True)) / temperature
    order = np.lexsort((-rewards, -keys - rng.gumbel(size=rewards.shape)), axis=1)
    turned = rng.random(len(rewards)) < noise
    return np.where(turned[:, None], order[:, ::-1], order)


def ranking_of_scores(scores):
    """The ranking that scores (P, K) give: (P, K) int, the best first.

    Equal scores stay in the order in which they came, which says nothing: `pairs_of_scores` leaves
    such pairs out.

    Examples
    --------
    >>> print(ranking_of_scores(np.array([[95., 40., 60.]])))
    [[0 2 1]]
    """
    return np.argsort(-_floats("scores", scores), axis=1, kind="stable")


def pairs_of_ranking(ranking):
    """The pairs of rankings (P, K): (P·K(K − 1)/2, 2) int, the better response first.

    Response k of prompt i has the number i·K + k.  The pairs of a prompt stand together.

    Examples
    --------
    >>> print(pairs_of_ranking(np.array([[0, 2, 1]])))
    [[0 2]
     [0 1]
     [2 1]]
    """
    ranking = np.asarray(ranking)
    if ranking.ndim != 2 or (np.sort(ranking, axis=1) != np.arange(ranking.shape[1])).any():
        raise ValueError(f"every row of ranking must hold the numbers of the responses once, got "
                         f"{ranking}")
    P, K = ranking.shape
    places = np.array(list(combinations(range(K), 2)), int).reshape(-1, 2)
    return (ranking[:, places] + K * np.arange(P)[:, None, None]).reshape(-1, 2)


def pairs_of_scores(scores):
    """The pairs of scores (P, K) that are not equal: (M, 2) int, numbered as `pairs_of_ranking`.

    Examples
    --------
    A program that accepts the first and the third response:

    >>> print(pairs_of_scores(np.array([[1., 0., 1.]])))
    [[0 1]
     [2 1]]
    """
    pairs = pairs_of_ranking(ranking_of_scores(scores))
    better, worse = np.ravel(scores)[pairs].T
    return pairs[better > worse]


def ranking_from_pairs(pairs, responses):
    """The ranking (K,) of one prompt's K `responses` that agrees with all pairs.

    Pairs (M, 2) int are numbers of responses, the better one first; in any order, and repeated if
    they like.  A circle among them is refused, and so is a gap that leaves two undecided.

    Examples
    --------
    >>> print(ranking_from_pairs(np.array([[0, 2], [2, 1]]), 3))
    [0 2 1]
    >>> ranking_from_pairs(np.array([[0, 1], [1, 2], [2, 0]]), 3)
    Traceback (most recent call last):
    ValueError: no ranking agrees with the pairs: they run in a circle, 0 > 1 > 2 > 0
    """
    responses = checks.whole("responses", responses)
    pairs = np.asarray(pairs)
    pairs = pairs if pairs.size else np.zeros((0, 2), int)
    if (pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer)
            or (pairs < 0).any() or (pairs >= responses).any()):
        raise ValueError(f"pairs must be (M, 2) whole numbers in [0, {responses}), got {pairs}")
    above = {response: [] for response in range(responses)}
    for better, worse in pairs.tolist():
        above[worse].append(better)
    try:
        ranking = list(TopologicalSorter(above).static_order())
    except CycleError as error:
        circle = " > ".join(map(str, error.args[1]))
        raise ValueError(f"no ranking agrees with the pairs: they run in a circle, "
                         f"{circle}") from None
    for better, worse in zip(ranking, ranking[1:]):
        if better not in above[worse]:
            raise ValueError(f"the pairs do not decide between {better} and {worse}")
    return np.array(ranking)


def judgement(logits, steps):
    """What a language model thinks of strings: log-probability per character, (B,), in nats.

    `logits` is its own table, and `steps` are over it; ends are counted.

    Examples
    --------
    >>> from toy_lm.models import fit
    >>> model = fit(["kato", "kata"])
    >>> scores = judgement(model.logits, model.encode(["kata", "okta"]))
    >>> print(scores[0] > scores[1])
    True
    """
    lengths = np.diff(steps.starts)
    if (lengths == 0).any():
        raise ValueError("every string must have at least one step, its end")
    return score(logits, steps) / lengths


def _checked(rewards, columns, temperature, noise):
    rewards = _floats("rewards", rewards, columns)
    checks.positive("temperature", temperature)
    checks.fraction("noise", noise)
    return rewards


def _floats(name, scores, columns=range(1, 2**31)):
    """Scores as floats: of small whole numbers or of True and False a difference is wrong."""
    checks.finite(name, scores)
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or scores.shape[1] not in columns:
        number = {1: "one or more", 2: "two or more"}[columns[0]] if len(columns) > 1 else "two"
        raise ValueError(f"{name} must have a row per prompt and a column per response, {number}, "
                         f"got shape {scores.shape}")
    return scores
