"""Alignment: from a file of preferences to a model that writes what was preferred.

Each method of `minirl.people` fits the table of a model to the same `Pairs`, and is pulled towards
the table that the model had.  `METHODS` holds them by name, each with its own price; the job
`minirl alignment` compares them at these prices.

*The reward model* stands for RLHF without its sampling.  A reward is fitted to the pairs, and the
result is the optimum of that reward less β KL, on which PPO would be at work for many iterations;
here it is one exact solve (`minirl.people.regularised`).  It need not exist.  Below some β the
fitted reward is worth more than all KL that it costs, and the strings grow without end.

*What a file holds.*  A ranking of K responses gives its K(K − 1)/2 pairs.  Labelled responses,
liked or not, are no pairs, and KTO alone can fit them.  A letter that the model does not know is
refused with its line, since the table has no row for it; `models.fit` takes the letters of a
preference file along.

Read first: `preferences`, and the methods of `minirl.people`.
"""

from functools import partial
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from minirl.people.regularised import regularised_optimum, tilt
from minirl.files import shown
from minirl.people import dpo, existence, ipo, kl, kto, orpo, reward_model, simpo
from minirl.people.pairs import Pairs
from toy_lm import jsonl
from toy_lm.corpora import check_letters
from toy_lm.exact import summary
from toy_lm.ngram import language, order_of, score
from toy_lm.preferences import from_text

PULL = 2.0      # precision of the prior on every logit or reward; a unit prior would be 1
BETA = 0.5      # reward per nat of KL
TAU = BETA / 4  # of IPO: the optimum of RLHF if all rewards were close, (ipo.4)
SCALE, LEAD = 2.0, 1.0  # β and the lead of SimPO, among those of its paper
ODDS = 1.0      # λ of ORPO


class Method(NamedTuple):
    """A way to fit a model to preferences."""

    fit: callable  # fit(ref_logits, pairs, *, beta, pull); `x` of the result is the table
    beta: float    # the price, by default


class RewardFit(NamedTuple):
    """A reward model, and the best policy for it."""

    x: np.ndarray        # (S, A) log π
    rewards: np.ndarray  # (S, A) the fitted table
    loss: float          # of the pairs, nats per pair; log 2 without a model
    converged: bool


def fit_by_reward(ref_logits, pairs, *, beta, pull):
    """Fit a reward model to `Pairs`, and take its optimum (regularised.2): a `RewardFit`.

    Raises ValueError where β is so low that there is none.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> pairs = from_text(Vocabulary("no"), [jsonl.Pair("", "on", "nn"), jsonl.Pair("", "n", "o")])
    >>> found = fit_by_reward(np.zeros((3, 3)), pairs, beta=1.0, pull=1.0)
    >>> print(np.exp(found.x[0]).round(4), round(found.loss, 4))
    [0.3084 0.3419 0.3496] 0.4116
    """
    reward = reward_model.fit_reward_model(0, pairs, pull=pull)
    best = regularised_optimum(language(reward.x), ref_logits, beta=beta)
    return RewardFit(tilt(ref_logits, best.action_values, beta=beta), reward.x,
                     reward_model.bradley_terry_loss(reward.x, pairs.difference)[0],
                     reward.converged)


def certainty(vocabulary, rewards, pairs, *, pull):
    """How well `Pairs` know a reward table that was fitted to them with a pull: lines of text.

    The standard error is from the curvature with the pull (existence.5).  It is left out where
    there is no pull, unless a maximum is known to exist.  For tables of more than
    `existence.MOST_WEIGHTS` entries there is only the verdict.

    Examples
    --------
    The pairs differ in four steps, and (existence.5) gives 4/(2 · 4/4 + 1) for the variance.

    >>> from toy_lm.vocabulary import Vocabulary
    >>> words, lines = Vocabulary("no"), [jsonl.Pair("", "on", "nn"), jsonl.Pair("", "nn", "on")]
    >>> pairs = from_text(words, lines)
    >>> for line in certainty(words, np.zeros((3, 3)), pairs, pull=1.0):
    ...     print(line)
    the pairs see 1 of the 9 directions of its weights
    its margins have a standard error of 1.154701 (root mean square)
    a maximum exists
    """
    D, lines, small = pairs.difference, [], rewards.size <= existence.MOST_WEIGHTS
    found = existence.existence(D)
    if small:
        seen = rewards.size - existence.flat_directions(D)
        lines.append(f"the pairs see {seen} of the {rewards.size} directions of its weights")
    if small and (pull > 0 or found.exists):
        slope = expit(-(D @ rewards.ravel()))
        information = (D.T @ D.multiply((slope * (1 - slope))[:, None]).tocsr()).toarray()
        covariance = np.linalg.pinv(information + pull * np.eye(rewards.size), hermitian=True)
        variance = (D.T @ D).multiply(covariance).sum() / len(pairs)
        lines.append(f"its margins have a standard error of {variance**0.5:.6f} (root mean square)")
    return [*lines, existence.verdict(found, step_names(vocabulary, rewards.shape))]


def step_names(vocabulary, shape):
    """What each entry of a table (S, A) is called: the letters before, an arrow, and the next.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> step_names(Vocabulary("no"), (3, 3))[:5]
    ['start→end', 'start→n', 'start→o', 'n→end', 'n→n']
    """
    states = product(["", *vocabulary.letters], repeat=order_of(shape) - 1)
    return [f"{''.join(before) or 'start'}→{letter}" for before in states
            for letter in ("end", *vocabulary.letters)]


def _fit_kto(ref_logits, pairs, *, beta, pull):
    """With z₀ the exact KL of the strings."""
    world = language(np.zeros(ref_logits.shape))
    return kto.fit_kto(ref_logits, pairs, beta=beta, pull=pull,
                       divergence=lambda logits: kl.string_kl(world, logits, ref_logits)[0])


METHODS = {"dpo": Method(dpo.fit_dpo, BETA), "ipo": Method(ipo.fit_ipo, TAU),
           "kto": Method(_fit_kto, BETA),
           "simpo": Method(partial(simpo.fit_simpo, simpo_gamma=LEAD), SCALE),
           "orpo": Method(orpo.fit_orpo, ODDS), "reward_model": Method(fit_by_reward, BETA)}


def load_preferences(path, model):
    """The preferences of a JSON-lines file, over the table of a model.

    Returns
    -------
    Pairs, or (counts.Steps, counts.Steps)
        Of labelled strings those that were liked, and those that were not.

    Raises
    ------
    ValueError
        By file, and where it can be by line: if a record or a letter cannot be read, there is none,
        or labelled strings are mixed with others or all of one kind.

    Examples
    --------
    >>> import os
    >>> from toy_lm.models import fit
    >>> load_preferences(os.devnull, fit(["on", "no"]))
    Traceback (most recent call last):
    ValueError: /dev/null holds no preferences
    """
    (records, lines), name = jsonl.read_preferences(path), shown(path)
    if not records:
        raise ValueError(f"{name} holds no preferences")
    labelled = isinstance(records[0], jsonl.Labelled)
    for line, record in zip(lines, records):
        if isinstance(record, jsonl.Labelled) != labelled:
            raise ValueError(f"{name}, line {line}: labelled strings and pairs cannot be mixed")
        check_letters(path, line, jsonl.text_of(record), model.vocabulary.letters)
    if not labelled:
        pairs = [jsonl.Pair(record.prompt, *two) for record in records  # a pair is a ranking of two
                 for two in combinations(getattr(record, "ranking", record[1:]), 2)]
        return from_text(model.vocabulary, pairs, order=model.order)
    sides = [[record for record in records if record.label == liked] for liked in (True, False)]
    if not all(sides):
        raise ValueError(f"{name} must hold strings that were liked and others, got "
                         f"{len(sides[0])} and {len(sides[1])}")
    return tuple(model.encode([record.completion for record in side],
                              [record.prompt for record in side]) for side in sides)


def watched(logits, ref_logits, data, *, beta):
    """What is said of a policy and the `data` of `load_preferences`, by name: a dict of float.

    Of `dpo.preference_metrics` labelled strings have the log-probabilities alone.  KL and length
    are exact, and raise `evaluation.NoEnd` where strings do not end.

    Examples
    --------
    >>> from toy_lm.vocabulary import Vocabulary
    >>> pairs = from_text(Vocabulary("no"), [jsonl.Pair("", "on", "nn")])
    >>> round(watched(np.zeros((3, 3)), np.zeros((3, 3)), pairs, beta=0.5)["letters per string"], 9)
    2.0
    """
    if isinstance(data, Pairs):
        found = dpo.preference_metrics(logits, ref_logits, data, beta=beta)
    else:
        found = {f"logps/{name}": float(score(logits, side).mean())
                 for name, side in zip(("chosen", "rejected"), data)}
    distance, _ = kl.string_kl(language(np.zeros(logits.shape)), logits, ref_logits)
    return {**found, "KL in nats per string": distance,
            "letters per string": summary(logits).letters}
