"""The running example as the jobs need it: a corpus, its reference, and a judge of other policies.

The reference is the bigram of a corpus.  The reward asks which string is easier to say, and a nat
of KL to the reference costs β.  Everything that a table says of a policy here is exact, except the
words that are drawn for you to read.
"""

from collections import namedtuple
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from minirl.checkpoints import storable
from minirl.console import file_name
from minirl.exact.planning import Optimum
from minirl.files import shown
from minirl.kernel.mdp import TabularMDP
from minirl.lab.keeping import trained
from minirl.lab.table import bar, in_columns
from minirl.people.regularised import referee_near, regularised_optimum
from minirl.people.rlhf import rlhf
from minirl.play.optim import linear
from minirl.play.training import start
from toy_lm.align import BETA
from toy_lm.corpora import read_lines, unicode_words
from toy_lm.models import Model, fit
from toy_lm.ngram import sample
from toy_lm.preferences import Preferences, sample_pairs
from toy_lm.rewards import LETTER, easy_to_say
from toy_lm.vocabulary import from_items

PSEUDO_COUNT = 0.1  # of the reference
WORDS = 10          # drawn from each policy,
SHOWN = 200         # and cut after this many letters
CORPUS = {"type": file_name, "metavar": "FILE", "help": "text to model, UTF-8, one item per line "
          "(the words in Unicode character names)"}
FITTED = f"The bonus of {LETTER} a letter was fitted to the default corpus, not to this one."


class RunningExample(NamedTuple):
    """A reference, what is rewarded, and at which price."""

    model: Model       # the reference
    world: TabularMDP  # it pays what is easy to say
    beta: float
    optimum: Optimum
    judge: Callable    # policy (S, A) -> `scorecard.Score`

    @property
    def reference(self):
        """log π_ref, (S, A)."""
        return self.model.logits

    def preferences(self, pairs, rng, logp=None) -> Preferences:
        """So many `Pairs` of strings of the reference, or of another policy."""
        writer = self.reference if logp is None else logp
        return sample_pairs(writer, self.world.mean_reward, pairs, rng=rng)

    def climbed(self, reward_table, rng, iterations, horizon=200, after=trained):
        """log π after so many iterations of `rlhf` on a reward table (S, A)."""
        trainer = partial(rlhf, self.world, reward_table=reward_table, ref_logits=self.reference,
                          beta=self.beta, horizon=horizon, iterations=iterations,
                          learning_rate=linear(0.05, 0.0))
        return after(trainer, start(self.reference, rng=rng), iterations).logp


# One policy that writes: E[R] of the true reward, the KL to the reference in nats per string, J =
# E[R] − β KL, the share (J − J(ref)) / (J* − J(ref)), and the mean length in letters.  These are
# None where its strings do not end.
Writer = storable(namedtuple(
    "Writer", "method reward kl objective share mean_length seconds samples"))


def corpus_of(path):
    """The items of a file, or the Unicode words if it is None; and how tables call the file.

    Raises ValueError, with the name of the file, if it is no corpus for a model.
    """
    if path is None:
        return unicode_words(), None
    items, file = read_lines(path), shown(path)
    try:
        from_items(items)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return items, file


def bigram_of(items=None) -> Model:
    """The reference of a corpus, or of the Unicode words."""
    return fit(unicode_words() if items is None else items, pseudo_count=PSEUDO_COUNT)


def running_example(model, beta=BETA) -> RunningExample:
    """The `RunningExample` of a reference.  Raises ValueError where it has no optimum."""
    world = model.world(easy_to_say(model.vocabulary))
    return RunningExample(model, world, beta, regularised_optimum(world, model.logits, beta=beta),
                          referee_near(world, model.logits, beta=beta))


def written(example, method, logp, seconds, seed) -> Writer:
    """The `Writer` of a policy."""
    words = example.model.vocabulary.decode(sample(logp, WORDS, rng=seed, horizon=SHOWN))
    score = example.judge(np.exp(logp))
    return Writer(method, score.reward, score.kl, score.objective, score.share, letters_of(score),
                  seconds, words)


def letters_of(score):
    """The letters of a string: its steps but the end.  None where strings do not end."""
    return None if score.length is None else score.length - 1


def writers_text(writers):
    """The table of all `writers`."""
    return in_columns("method, reward, KL, J, share, , mean length, seconds",
                      [(*row[:5], bar(row.share), *row[5:-1]) for row in writers],
                      (0, 4, 4, 4, 4, 0, 2, 2))
