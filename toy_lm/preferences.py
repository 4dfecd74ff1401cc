"""How does one ask for preferences, and what do the answers contain?

*Worlds to read, after `reward_model`.  Previous: `raters`.  Next: `align`.*

The reference model writes two responses to a prompt, and a rater (`raters`) says which is better.
Such pairs are the data for alignment (`pairs`).  Here the rater has a reward that we know, so that
everything that is learned from the pairs can be compared with the truth.  With a reward R of whole
strings (raters.1) reads

    Pr(y_1 preferred to y_2) = σ((R(y_1) − R(y_2)) / temperature),                   (preferences.1)

and `sample_pairs` draws from it.  The data are `Pairs`, ready for the learners.  For files the same
pairs are text (`jsonl`): `as_text` and `from_text`.

**Twenty thousand pairs.**  A model writes a, b or the end with ⅓ each.  The rater counts unlike
neighbours, so that "ab" is worth 1 and "aba" 2.  Of pairs whose rewards differ by 1, 2 and 3 the
shares σ(1) = 0.73, σ(2) = 0.88 and σ(3) = 0.95 should be ordered rightly.  Where they do not differ
there is nothing to be right about.  A string is worth 0 with ⅔, 1 with 1/6, 2 with 1/12 and so on,
half as often each time.  The squares of these sum to 4/9 + 1/27 = 13/27, so that nearly half of all
pairs do not differ:

>>> from toy_lm.rewards import alternating
>>> from toy_lm.vocabulary import Vocabulary
>>> fair, reward = np.zeros((3, 3)), alternating(Vocabulary("ab"))
>>> data = sample_pairs(fair, reward, 20_000, rng=0)
>>> m = data.difference @ reward.ravel()
>>> print(*(round(float((m[abs(m) == k] > 0).mean()), 2) for k in (1, 2, 3)), (m == 0).mean())
0.73 0.89 0.95 0.4817

The reference writes short strings, and the reward knows few values.  A reward model that is fitted
to the pairs undoes (preferences.1).  Comparisons hide a constant (`reward_model`), so here are its
rewards of five strings, less that of the empty one.  They should be 0, 0, 1, 2 and 0:

>>> from minirl.people.reward_model import fit_reward_model
>>> fit = fit_reward_model(0, data, pull=2.0)
>>> five = counts.matrix(Vocabulary("ab").encode(["", "a", "ab", "aba", "aa"])) @ fit.x.ravel()
>>> print((five - five[0]).round(2))
[ 0.   -0.05  1.05  2.01 -0.03]

**Equal strings.**  Two responses of one model may be the same string.  Such a pair carries no
information, and `identical` says how many there are.  How often does it happen?  Here there are 2ⁿ
strings of n letters, each with the probability (⅓)ⁿ⁺¹.  Two draws agree with the sum of the
squares, Σ_n 2ⁿ (1/9)ⁿ⁺¹ = (1/9)/(1 − 2/9) = 1/7.  Of 7,000 pairs about 1,000 should be wasted:

>>> print(sample_pairs(fair, reward, 7000, rng=0).identical)
987

**Responses at several temperatures.**  To have more to choose from, one lets some responses be
written at a higher temperature.  Let a model end with ½ and write a or b with ¼ each.  Two strings
of it agree with ¼/(1 − 2/16) = 2/7, so about 2,000 pairs of 7,000 do.  If the second is written at
temperature 2, they are about three hundred fewer:

>>> short = np.log([[0.5, 0.25, 0.25]] * 3)
>>> print(*(sample_pairs(short, reward, 7000, rng=0, temperatures=temperatures).identical
...         for temperatures in ([1.0], [1.0, 2.0])))
2000 1704

The pairs then do not come from the reference.  That is allowed: whatever the strings, the answers
follow (preferences.1), and that alone is what the learners fit.  It changes how much the data say
about which strings.

**Edited responses.**  The rater may also improve the better response a little: `improve` changes
the one letter whose change is worth most.  Where vowels and consonants should alternate, "spy"
becomes "say":

>>> from toy_lm.rewards import easy_to_say, of_strings
>>> words = Vocabulary("aopsty")
>>> improve("spy", of_strings(words, easy_to_say(words)), words.letters)
'say'

That gives three in order, edited ≻ chosen ≻ rejected, to be kept as a `jsonl.Ranking`; or two,
where nothing is better, or the rejected response is what the edit makes.

**What is left out.**  Ties are left out and counted, and so are pairs with a string that had to be
cut at the horizon: it has no end symbol, and its reward is not known.

**Exercises.**  `from toy_lm.preferences import *`
1. A rater to whom all strings are the same may say so, with ties = 1.  How many of 3,000 pairs are
   left, and what do they say?
       data = sample_pairs(np.zeros((3, 3)), np.zeros((3, 3)), 3000, rng=0, ties=1.0)
       len(data), data.ties
2. "otto" has a double t.  What does an editor make of it who may change one letter?
       from toy_lm.rewards import easy_to_say, of_strings
       from toy_lm.vocabulary import Vocabulary
       words = Vocabulary("aeost")
       improve("otto", of_strings(words, easy_to_say(words)), words.letters)
3. A rater prefers long strings and hardly ever errs.  The model writes two letters on average.
   How long are the chosen and the rejected strings?
       longer = np.array([[0., 9, 9]] * 3)
       data = sample_pairs(np.zeros((3, 3)), longer, 10_000, rng=0)
       [round(float(np.diff(side.starts).mean() - 1), 1) for side in (data.chosen, data.rejected)]

Read next: `align`, which learns from a file of such pairs.
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, §3; Touvron et al. 2023 (Llama 2),
arXiv:2307.09288, §3.2.1, for temperatures; Dubey et al. 2024 (Llama 3), arXiv:2407.21783, §4.2.1,
for edited responses.
"""

from dataclasses import dataclass

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.sampling import generator
from minirl.people.pairs import Pairs
from toy_lm import jsonl
from toy_lm.ngram import decoding, finished, order_of, sample
from toy_lm.raters import FIRST, TIE, choose


@dataclass(frozen=True, eq=False)
class Preferences(Pairs):
    """The `Pairs` of a rater, and how many are not among them."""

    ties: int = 0  # because the rater could not decide,
    cut: int = 0   # and because a string had no end


def sample_pairs(logits, rewards, pairs, *, rng, temperature=1.0, noise=0.0, ties=0.0,
                 prompts=(0,), temperatures=(1.0,)) -> Preferences:
    """Draw pairs of strings from a model and let the rater of (preferences.1) choose.

    Parameters
    ----------
    logits : (S, A) float
        The model that writes, usually the reference.
    rewards : (S, A) float
        The rater's own reward table.
    pairs : int ≥ 1
        Asked of each prompt.
    rng : Generator or seed
    temperature, noise, ties
        Of the rater, as in `raters.choose`.
    prompts, temperatures
        Of the writer, as in `respond`.

    Returns
    -------
    Preferences
        Without the pairs that were ties, or had a string that was cut.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> words, longer_is_better = Vocabulary("no"), np.array([[0., 9, 9], [0, 9, 9], [0, 9, 9]])
    >>> data = sample_pairs(np.zeros((3, 3)), longer_is_better, 3, rng=12)
    >>> words.decode(data.chosen), words.decode(data.rejected), data.identical
    (['nno', '', 'nn'], ['on', '', ''], 1)
    """
    rewards = checks.floats("rewards", rewards)
    checks.shape("rewards", rewards, np.shape(logits))
    prompts, rng = np.repeat(prompts, checks.whole("pairs", pairs)), generator(rng)
    strings = respond(logits, 2, rng=rng, prompts=prompts, temperatures=temperatures)
    whole = whole_groups(strings, 2)
    reward = (counts.matrix(strings) @ rewards.ravel()).reshape(-1, 2)
    answer = choose(reward, rng=rng, temperature=temperature, noise=noise, ties=ties)
    decided = np.flatnonzero(whole & (answer != TIE))
    better = 2 * decided + (answer[decided] != FIRST)
    return Preferences(counts.select(strings, better), counts.select(strings, better ^ 1),
                       ties=int((whole & (answer == TIE)).sum()), cut=int((~whole).sum()))


def respond(logits, num_generations, *, rng, prompts=(0,), temperatures=(1.0,)) -> counts.Steps:
    """Let a model write several responses to each prompt, as `counts.Steps`.

    Parameters
    ----------
    logits : (S, A) float
    num_generations : int ≥ 1
        K.  The responses to a prompt are neighbours.
    rng : Generator or seed
    prompts : (prompts,) int
        `Vocabulary.state` of each prompt.
    temperatures : sequence of float > 0
        The responses to a prompt take these in turn; at most K.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> steps = respond(np.zeros((3, 3)), 2, rng=11, prompts=[0, 0], temperatures=[1.0, 0.5])
    >>> Vocabulary("no").decode(steps)
    ['n', 'no', 'noo', 'oo']
    """
    K = checks.whole("num_generations", num_generations)
    states = np.asarray(prompts)
    order_of(np.shape(logits))
    checks.numbers("prompts", states, len(logits))
    if np.ndim(temperatures) != 1 or not 1 <= len(temperatures) <= K:
        raise ValueError(f"temperatures must be a vector of one to {K}, one per response at most, "
                         f"got {temperatures}")
    tables = [decoding(logits, temperature=temperature) for temperature in temperatures]
    rng, number = generator(rng), np.arange(states.size * K)
    turns = [number[number % K % len(tables) == turn] for turn in range(len(tables))]
    parts = [sample(table, turn.size, rng=rng, prompt=states[turn // K])
             for table, turn in zip(tables, turns)]
    return counts.select(counts.join(parts), np.concatenate(turns).argsort())


def whole_groups(steps, num_generations):
    """Which groups of K neighbours have an end in every string: (groups,) bool.

    Examples
    --------
    >>> print(whole_groups(sample(np.zeros((3, 3)), 4, rng=11, horizon=3), 2))
    [False  True]
    """
    whole = finished(steps)
    return whole.reshape(-1, checks.group_size(num_generations, whole.size)).all(axis=1)


# Texts.


def as_text(vocabulary, pairs, prompt="") -> list[jsonl.Pair]:
    """`Pairs` as a list of `jsonl.Pair`, all of one prompt.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> words = Vocabulary("no")
    >>> as_text(words, Pairs(words.encode(["on"]), words.encode(["o"])), "n")
    [Pair(prompt='n', chosen='on', rejected='o')]
    """
    return [jsonl.Pair(prompt, chosen, rejected) for chosen, rejected
            in zip(vocabulary.decode(pairs.chosen), vocabulary.decode(pairs.rejected))]


def from_text(vocabulary, pairs, *, order=2) -> Pairs:
    """`Pairs` from a list of `jsonl.Pair`; what cannot be encoded is an item, counted from 1.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> data = from_text(Vocabulary("no"), [jsonl.Pair("n", "on", "o"), jsonl.Pair("", "o", "o")])
    >>> data.chosen.index.tolist(), data.rejected.index.tolist(), data.identical
    ([5, 7, 3, 2, 6], [5, 6, 2, 6], 1)
    """
    prompts = [pair.prompt for pair in pairs]
    return Pairs(*(vocabulary.encode([getattr(pair, side) for pair in pairs], order=order,
                                     prompts=prompts) for side in ("chosen", "rejected")))


def improve(text, reward, letters):
    """The best string that differs in one letter at most: what an editor makes of a response.

    `reward(texts) -> (n,)` is for example `rewards.of_strings`, and a letter may be changed to any
    of `letters`.  It is `text` itself if nothing is better; of equally good strings the first.

    Examples
    --------
    >>> improve("hond", lambda texts: [text.count("o") for text in texts], "aox")
    'oond'
    """
    edits = [text] + [text[:i] + letter + text[i + 1:] for i in range(len(text))
                      for letter in letters]
    rewards = checks.array("what reward returns", reward(edits), (len(edits),))
    best = int(rewards.argmax())
    noise = 1e-9 * (abs(rewards[0]) + abs(rewards[best]))  # Sums that differ by rounding are equal.
    return edits[best] if rewards[best] > rewards[0] + noise else text


def unpaired(pairs) -> list[jsonl.Labelled]:
    """Pairs taken apart: each chosen response was liked, each rejected one not.

    Examples
    --------
    >>> unpaired([jsonl.Pair("n", "on", "o")])[1]
    Labelled(prompt='n', completion='o', label=False)
    """
    return [jsonl.Labelled(pair.prompt, text, label) for pair in pairs
            for text, label in ((pair.chosen, True), (pair.rejected, False))]
