"""How does a file of preferences become a model that writes what was preferred?

*Worlds to read, after `dpo`.  Previous: `preferences`.  Next: `lines`.*

Most methods of Part 4 that learn from pairs fit the table of a model to them, and are pulled
towards the table that the model had; one fits a reward.  Here they stand side by side, under names.

**From a file to a model.**  Two lines say that "on" was preferred to "nn", and "n" to "o".  The
reference writes n, o or the end with ⅓ each.  DPO is fitted to the pairs, and the result is saved:

>>> import tempfile
>>> from toy_lm import models
>>> model = models.Model(models.Vocabulary("no"), np.zeros((3, 3)))
>>> two = [jsonl.Pair("", "on", "nn"), jsonl.Pair("", "n", "o")]
>>> with tempfile.TemporaryDirectory() as folder:
...     jsonl.write(folder + "/p.jsonl", two)
...     pairs = load_preferences(folder + "/p.jsonl", model)
...     table = METHODS["dpo"].fit(model.logits, pairs, beta=0.5, pull=PULL).x
...     models.save(folder + "/aligned.npz", model._replace(logits=table))
...     print(models.load(folder + "/aligned.npz").policy.round(3))
[[0.333 0.333 0.333]
 [0.373 0.295 0.332]
 [0.295 0.373 0.332]]

On the command line this is `python -m toy_lm align m.npz p.jsonl --method dpo --out aligned.npz`.

**Six methods.**  `dpo` is known.  IPO, KTO, SimPO and ORPO are the chapters after it: other losses
of the same pairs.  The sixth, `reward_model`, stands for RLHF without its sampling: a reward is
fitted to the pairs, and the result is the optimum of that reward less β KL.  PPO would be at work
on it for many iterations; here it is one exact solve (`regularised`).  A row per method: its β, or
what IPO and ORPO have in its place; by how much log π leads in the mean of the two pairs; the KL
from the reference in nats per string; the letters per string:

>>> fair = model.logits
>>> for name, method in METHODS.items():
...     table = method.fit(fair, pairs, beta=method.beta, pull=PULL).x
...     found = watched(table, fair, pairs, beta=method.beta)
...     print(f"{name:12} {method.beta:6}"
...           f" {found['logps/chosen'] - found['logps/rejected']:6.2f}"
...           f" {found['KL in nats per string']:6.3f} {found['letters per string']:5.2f}")
dpo             0.5   0.24  0.009  1.99
ipo           0.125   2.67  0.600  1.47
kto             0.5   0.12  0.003  2.00
simpo           2.0   0.52  0.045  1.97
orpo            1.0   0.51  0.056  1.89
reward_model    0.5   0.80  0.117  2.27

Two pairs are little, and most methods hardly move.  The *pull*, 2 here, is the reason.  It adds
(pull/2B) Σ (x − centre)² to the mean loss of the B pairs, summed over the entries x of the table.
Its centre is the reference, and for a reward the table of zeros.  IPO wants every pair to lead by a
fixed amount, and its 0.125 makes it a large one.

**The reward by hand.**  The start steps of "on" and "nn" in the first pair, start→o and start→n,
are those of "o" and "n" in the second one, so what they would gain in one pair they lose in the
other.  Left are o→n over n→n, and n→end over o→end.  The two pairs are alike, so all four rewards
have one size x, two of them with a minus.  Both margins are 2x, and the loss with B = 2 is

    −log σ(2x) + (pull/4) · 4x²,     whose derivative is   −2σ(−2x) + 2 · pull · x.

At pull = 2 it is zero where x = ½ σ(−2x), which is x = 0.2005.  The reference gives both strings of
a pair the same, so by (regularised.9) log π leads by the margin over β, 2x/β = 0.80, as the last
row above says:

>>> found = fit_by_reward(fair, pairs, beta=0.5, pull=2.0)
>>> print((found.rewards.round(4) + 0)[1:])
[[ 0.2005 -0.2005  0.    ]
 [-0.2005  0.2005  0.    ]]
>>> print(round(0.5 * float(expit(-2 * 0.2005)), 4), round(2 * 0.2005 / 0.5, 2))
0.2005 0.8

**When there is no optimum.**  Below some β the fitted reward is worth more than all KL that it
costs, and the strings grow without end (`rewards`).  That is an error and no model.  The weaker the
pull, the larger the fitted reward, and the higher that β:

>>> from minirl.people.regularised import critical_beta
>>> for pull in 2.0, 0.5, 0.1:
...     fit = reward_model.fit_reward_model(0, pairs, pull=pull)
...     print(pull, round(critical_beta(language(fit.x), fair), 3))
2.0 0.116
0.5 0.301
0.1 0.615

**How sure is the reward?**  `certainty` says how many directions of the table the pairs see at all,
and how uncertain the margins are.  (The side road `existence` shows how.)  Then it says whether a
largest likelihood exists without the pull, and if not, what runs away:

>>> for line in certainty(model.vocabulary, found.rewards, pairs, pull=2.0):
...     print(line)
the pairs see 2 of the 9 directions of its weights
its margins have a standard error of 1.129128 (root mean square)
no maximum without a pull: nothing speaks against raising n→end, o→n and lowering n→n, o→end

**What a file may hold.**  A ranking of K responses gives its K(K − 1)/2 pairs.  Labelled responses,
liked or not, are no pairs, and KTO alone can fit them.  Refused are an empty file, labelled
responses mixed with pairs or all of one kind, and a letter that the model does not know, since the
table has no row for it.  (`models.fit` takes the letters of a preference file along.)  The command
also refuses a reference with −∞ in its table, and a result whose strings do not end.

**Exercises.**  `from toy_lm.align import *; from toy_lm.vocabulary import Vocabulary`
1. The same two pairs are all there is, and DPO is hardly pulled.  By how much does log π lead now?
   With the pull of 2 it was 0.24.
       two = [jsonl.Pair("", "on", "nn"), jsonl.Pair("", "n", "o")]
       pairs, fair = from_text(Vocabulary("no"), two), np.zeros((3, 3))
       table = METHODS["dpo"].fit(fair, pairs, beta=0.5, pull=0.001).x
       found = watched(table, fair, pairs, beta=0.5)
       round(found["logps/chosen"] - found["logps/rejected"], 1)
2. The first pair alone is told, and again turned round.  What does the reward model make of that?
       both = [jsonl.Pair("", *two) for two in (("on", "nn"), ("nn", "on"))]
       pairs = from_text(Vocabulary("no"), both)
       found = fit_by_reward(np.zeros((3, 3)), pairs, beta=0.5, pull=2.0)
       np.exp(found.x).round(4), round(float(found.loss), 4)
3. Nothing but a length was preferred: "nn" to "n".  How many letters does each method write on
   average, where the reference writes one?
       pairs, fair = from_text(Vocabulary("n"), [jsonl.Pair("", "nn", "n")]), np.zeros((2, 2))
       for name, method in METHODS.items():
           table = method.fit(fair, pairs, beta=method.beta, pull=PULL).x
           print(name, round(summary(table).letters, 2))

Read next: `lines`, another view of text.  The methods that only had a name here begin with `ipo`.
Source: the papers of the methods, in their chapters.
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from minirl.people.regularised import regularised_optimum, tilt
from minirl.files import shown
from minirl.kernel import checks
from minirl.people import dpo, existence, ipo, kl, kto, orpo, reward_model, simpo
from minirl.people.pairs import Pairs
from toy_lm import jsonl
from toy_lm.corpora import check_letters
from toy_lm.exact import summary
from toy_lm.ngram import language, order_of, score
from toy_lm.preferences import from_text

PULL = 2.0      # The pull of every method, on each logit or reward.
BETA = 0.5      # The reward that a nat of KL costs.
TAU = BETA / 4  # IPO's price: near the optimum of RLHF where all rewards are close, (ipo.4).
SCALE, LEAD = 2.0, 1.0  # β and the lead of SimPO, among those of its paper.
ODDS = 1.0      # The weight λ of the odds in ORPO.


class Method(NamedTuple):
    """A way to fit a model to preferences."""

    fit: Callable  # fit(ref_logits, pairs, *, beta, pull); `x` of the result is the table
    beta: float    # β by default, or what stands in its place


class RewardFit(NamedTuple):
    """A reward model, and the best policy for it."""

    x: np.ndarray        # (S, A) log π
    rewards: np.ndarray  # (S, A) the fitted table
    loss: float          # of the pairs, nats per pair; log 2 without a model
    converged: bool


def fit_by_reward(ref_logits, pairs, *, beta, pull) -> RewardFit:
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
    rewards = checks.array("rewards", rewards, pairs.shape)
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
