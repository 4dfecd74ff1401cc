"""What happens when a model learns from what models have written?

*Worlds to read, after `sft`.  Previous: `jsonl`.  Next: `raters`.*

Supervised fine-tuning (`sft`) imitates demonstrations.  A `Demonstration` is a prompt and a
completion, and only the completion is imitated: `Vocabulary.encode` leaves the steps of the prompt
out.  The prompts are the first letters of strings here, and to a bigram only the last of them
matters.  Demonstrations by people are dear, so models are used to make more of them.

**Rejection sampling.**  Let the model write, keep what a verifier passes, fine-tune on that.  What
is kept follows the model's own law under the condition that it passes, π(y | y passes).  Sometimes
passing is a matter of two letters in a row, such as "no letter twice in a row".  Write ok(s, a) = 1
for a step that is allowed, and 0 for one that is not.  Let Z(s) be the chance that a string passes
from the state s on, with Z = 1 after the end:

    π'(a|s) = π(a|s) ok(s, a) Z(a)/Z(s),   Z(s) = Σ_a π(a|s) ok(s, a) Z(a).       (demonstrations.1)

The second equation says that the rows of π' sum to 1.  Multiply the first one along a string: the
Z(a) of each step meets the 1/Z(s) of the next, and only 1/Z(start) is left.  So π'(y) is π(y) over
the chance to pass if y passes, and 0 if not.  That is the law of what is kept, and a bigram has it.
Fine-tuning then learns everything that the verifier knows, in one round.

*By hand*: the model writes a, b or the end with ⅓ each.  After a letter, the end and the other
letter are allowed, so that Z(letter) = ⅓ + ⅓ Z(letter) = ½.  At the start everything is, and
Z(start) = ⅓ + 2 · ⅓ · ½ = ⅔.  Two strings of three are kept.  The row of the start becomes ⅓/⅔ = ½
for the end and ⅓ · ½/⅔ = ¼ for each letter, and that of a letter ⅓/½ = ⅔ for the end and ⅓ · ½/½ =
⅓ for the other letter.  From 3,000 sampled strings it looks nearly so:

>>> from toy_lm.vocabulary import Vocabulary
>>> def no_doubles(text):
...     return "aa" not in text and "bb" not in text
>>> fair = Model(Vocabulary("ab"), np.zeros((3, 3)))
>>> found = filtered(fair, no_doubles, 3000, rng=0)
>>> kept = [item.completion for item in found.kept]
>>> print(round(found.share, 2), fit(kept, pseudo_count=0).policy.round(2).tolist())
0.68 [[0.51, 0.24, 0.25], [0.66, 0.0, 0.34], [0.68, 0.32, 0.0]]

**A rule that a bigram cannot keep.**  If the check is for palindromes, no bigram has the law of
what is kept.  The fine-tuned one is only the nearest.  It fails again at times, and another round
helps.  `palindrome_counts` of `verifiers` gives the chance to pass and the expected counts of what
passes, so that the rounds can be followed without luck.  Each line says how often the model passes,
and then its row after an a, once it is fitted to what passed (end, a, b):

>>> from minirl.people.sft import fit_by_counting
>>> from toy_lm.verifiers import palindrome_counts
>>> logits = np.zeros((3, 3))
>>> for _ in range(4):
...     passes, table = palindrome_counts(logits)
...     logits = fit_by_counting(table, pseudo_count=0)
...     print(round(float(passes), 4), np.exp(logits[1]).round(3))
0.7143 [0.549 0.294 0.157]
0.893 [0.677 0.286 0.037]
0.9756 [0.713 0.285 0.002]
0.9986 [0.715 0.285 0.   ]

In the end nearly all strings pass, and after an a comes an a or the end.  "aba" is a palindrome as
well, but it is hardly written any more.

**Without a check** a model that is fitted to its own strings learns nothing: on average they take
each step as often as its table says.  It forgets, though.  A step with the chance 0.1 that is not
among ten draws has a share of 0, and without a pseudo-count it never comes back.  The chance of
that is 0.9¹⁰ = 0.3487 in the first round alone:

>>> print(round(0.9**10, 4))
0.3487

**Self-instruct** (Wang et al. 2022) begins with a pool of a few seeds.  Let a model write, throw
away what fails the check and what the pool already has, add the rest to the pool, and go on.  In
the paper the model is a fixed one, which is shown examples from the pool, and what is too *similar*
to the pool is thrown away too; it is fine-tuned at the end.  A table has no room for examples.  So
here the model is fitted to the pool in each round, and only what is equal is thrown away.

What comes of it?  Take every twelfth of the Unicode words as seeds, 206 of them, and "no letter
twice in a row" as the check.  Of the first thousand strings about 200 fail it, of the eighth
thousand about ten: the check is learned.  Nobody checks the rest.  Short strings are in the pool
already and are thrown away, so the pool's strings grow, from 6.1 letters expected to more than 8.
The other words of the corpus cost 2.95 nats per character in the end, and 2.74 at first.  What is
not checked drifts.

**Exercises.**  `from toy_lm.demonstrations import *`
1. A rule passes strings of at most two letters, 19/27 of what the fair model writes.  Fitted to all
   that passes, a model ends with 9/19 at once and with 5/7 after a letter.  How often does it pass?
       from toy_lm.exact import lengths
       round(1 - lengths(np.log([[9 / 19, 10 / 19], [5 / 7, 2 / 7]]), 3).unfinished, 3)
2. A thousand coins show head with 0.1.  Each is fitted to ten throws of its own, two hundred times.
   Which coins are there in the end, and what has become of the mean?
       rng, coins = np.random.default_rng(0), np.full(1000, 0.1)
       for _ in range(200): coins = rng.binomial(10, coins) / 10
       np.unique(coins).tolist(), round(float(coins.mean()), 3)
3. Self-instruct from three words without any check: what becomes of the expected letters?
       from toy_lm.exact import summary
       rounds = self_instruct(["on", "no", "noon"], lambda text: True, rng=0)
       [round(summary(next(rounds).model.logits).letters, 2) for _ in range(4)]

Read next: `raters`, who judge what a model has written.
Source: Wang et al. 2022, arXiv:2212.10560; Yuan et al. 2023, "Scaling relationship on learning
mathematical reasoning", arXiv:2308.01825, for rejection sampling fine-tuning.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.kernel import checks
from minirl.kernel.sampling import generator
from toy_lm.jsonl import Demonstration
from toy_lm.models import Model, fit
from toy_lm.ngram import decoding, finished, sample


class Filtered(NamedTuple):
    """What rejection sampling kept."""

    kept: list   # of Demonstration
    share: float  # of what was drawn


@storable
class Pool(NamedTuple):
    """A round of self-instruct."""

    items: list        # the pool after this round, seeds first
    model: Model       # that wrote in this round
    refused: int       # how many of its strings failed the check, or had no end
    repeated: int      # how many were in the pool already
    rng: dict          # state of the bit generator


def complete(model, strings, *, rng, prompts=("",), temperature=1.0) -> list[Demonstration]:
    """Let a model write: `strings` completions of each prompt, as a list of `Demonstration`.

    Those of one prompt stand together.  A completion that would be longer than `ngram.HORIZON` is
    left out, so there may be fewer.

    Examples
    --------
    >>> complete(fit(["on", "no", "onno"]), 2, rng=6, prompts=["n"])
    [Demonstration(prompt='n', completion='oo'), Demonstration(prompt='n', completion='onon')]
    """
    strings = checks.whole("strings", strings)
    if len(prompts) == 0:
        raise ValueError("prompts must be at least one, got none")
    drawn = sample(decoding(model.logits, temperature=temperature), strings * len(prompts), rng=rng,
                   prompt=np.repeat([model.state(prompt) for prompt in prompts], strings))
    whole = finished(drawn)
    return [Demonstration(prompts[i // strings], completion)
            for i, completion in enumerate(model.vocabulary.decode(drawn)) if whole[i]]


def filtered(model, verifier, strings, *, rng, prompts=("",), temperature=1.0) -> Filtered:
    """Rejection sampling: let a model write, and keep what passes: `Filtered`.

    `verifier(text) -> bool` is asked of prompt and completion together; the other arguments are
    those of `complete`.

    Examples
    --------
    >>> from toy_lm.verifiers import is_palindrome
    >>> found = filtered(fit(["on", "no", "onno"]), is_palindrome, 5, rng=6)
    >>> print([item.completion for item in found.kept], found.share)
    ['onno', 'o', 'ono', 'o'] 0.8
    """
    written = complete(model, strings, rng=rng, prompts=prompts, temperature=temperature)
    kept = [item for item in written if verifier("".join(item))]
    return Filtered(kept, len(kept) / (strings * len(prompts)))


def self_instruct(seeds, verifier, *, rng, strings=100, order=2, pseudo_count=0.1,
                  temperature=1.0) -> Iterator[Pool]:
    """Let a pool of strings grow by what its own model writes, for ever: yields a `Pool` a round.

    Parameters
    ----------
    seeds : list of str
        Repetitions are dropped.
    verifier : callable
        `verifier(text) -> bool`.
    rng : Generator, seed, or the state of a `Pool`
        The state of a Generator is copied, and the Generator does not advance.  To go on from a
        pool, give its items as the seeds and its state.
    strings : int ≥ 1
        Written in each round.
    order, pseudo_count, temperature
        As in `models.fit` and `ngram.decoding`.

    Examples
    --------
    >>> rounds = self_instruct(["on", "no"], lambda text: len(text) < 4, rng=0, strings=10)
    >>> next(rounds).items
    ['on', 'no', 'non', 'o', 'oo', '', 'n']
    """
    strings = checks.whole("strings", strings)
    pool = Pool(list(dict.fromkeys(seeds)), None, 0, 0, generator(rng).bit_generator.state)
    while True:
        rng = generator(pool.rng)
        model = fit(pool.items, order=order, pseudo_count=pseudo_count)
        passed = [item.completion for item in filtered(model, verifier, strings, rng=rng,
                                                       temperature=temperature).kept]
        items = list(dict.fromkeys(pool.items + passed))
        new = len(items) - len(pool.items)
        pool = Pool(items, model, strings - len(passed), len(passed) - new, rng.bit_generator.state)
        yield pool
