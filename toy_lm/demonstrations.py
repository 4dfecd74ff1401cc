"""Instruction data: prompts with the completions that one wants to see, and how to make more.

Supervised fine-tuning (`minirl.people.sft`) imitates demonstrations.  A `Demonstration` is a prompt
and a completion, and only the completion is imitated: `Vocabulary.encode` leaves the steps of the
prompt out.  The prompts are the first letters of strings here, and to a bigram only the last of
them matters.

Demonstrations are dear, so models are used to make more of them.

*Rejection sampling*: let the model write, keep what a verifier passes, fine-tune on that.  What is
kept follows the model's own law under the condition that it passes, π(y | y passes).  If passing is
a matter of two letters in a row, such as "no letter twice in a row", this law is again a bigram,

    π'(a|s) = π(a|s) ok(s, a) Z(a)/Z(s),   Z(s) = Σ_a π(a|s) ok(s, a) Z(a),       (demonstrations.1)

with Z(s) the chance to pass from s on and Z = 1 after the end: the optimum of (regularised.4) with
the reward log ok.  Then fine-tuning learns everything that the verifier knows, in one round.  If
passing is another matter, as with a palindrome, then the fine-tuned bigram is only the nearest one,
it fails the check again at times, and another round helps.

*Self-instruct* (Wang et al. 2022): begin with a pool of a few seeds.  Let a model write, throw away
what fails the check and what the pool already has, add the rest to the pool, and go on.  In the
paper the model is a fixed one, which is shown examples from the pool, and what is too *similar* to
the pool is thrown away too; it is fine-tuned at the end.  A table has no room for examples, so here
the model is fitted to the pool in each round, and only what is equal is thrown away.

What comes of it?  Take every twelfth of the Unicode words as seeds, 206 of them, and "no letter
twice in a row" as the check.  Of the first thousand strings about 200 fail it, of the eighth
thousand about ten: the check is learned.  But nobody checks the rest.  Short strings are in the
pool already and are thrown away, so the pool's strings grow, from 6.1 letters expected to more than
8, and the other words of the corpus cost 2.95 nats per character in the end, 2.74 at first.  What
is not checked drifts.

Read first: `models`, `minirl.people.sft`.  Read next: `raters`.
Source: Wang et al. 2022, arXiv:2212.10560; Yuan et al. 2023, "Scaling relationship on learning
mathematical reasoning", arXiv:2308.01825, for rejection sampling fine-tuning.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.kernel.sampling import generator
from toy_lm.jsonl import Demonstration
from toy_lm.models import Model, fit
from toy_lm.ngram import decoding, finished, sample


class Filtered(NamedTuple):
    """What rejection sampling kept."""

    kept: list   # of Demonstration
    share: float  # of what was drawn


class Pool(NamedTuple):
    """A round of self-instruct."""

    items: list        # the pool after this round, seeds first
    model: Model       # that wrote in this round
    refused: int       # how many of its strings failed the check, or had no end
    repeated: int      # how many were in the pool already
    rng: dict          # state of the bit generator


def complete(model, strings, *, rng, prompts=("",), temperature=1.0):
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


def filtered(model, verifier, strings, *, rng, prompts=("",), temperature=1.0):
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
                  temperature=1.0):
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
