"""What do all learners of policies share?

*Part 3.  Previous: `returns`.  Next: `prediction`.*

To learn a policy by playing is a loop: play some episodes, make a gradient of them, take a step.
In this book such a loop is a *trainer*.  It is written as a Python `generator function`: it hands
out a result by `yield`, and goes on from there when it is asked for the next one.  (NumPy's
`Generator` is another thing, a source of random numbers.)  A trainer hands out a *record* after
each iteration, for ever.

A record is a tuple that nobody changes.  It holds all that the next iteration needs: the logits,
the value table, the states of the optimiser and of the random numbers, and how many iterations and
steps there were.  So whoever asks decides when to stop, and a trainer that starts from any record
continues from it bit for bit.  The first record comes from `start`, and `after(trainer, n)` is the
record after n more iterations.

    ┌────────────────────────────────────────────────────────────────────────┐
    ↓                                                                        │
    record ──→ play ──→ batch ──→ gradient ──→ policy_step ──→ next_record ──┴──→ yield
                                  here they differ

An iteration begins with `play`: a batch of episodes under the policy of the record.  It moves the
policy by one `policy_step` or by several, each along a gradient, and what this gradient is makes
one learner differ from another.  It ends with `next_record`, which counts and measures.

**A whole trainer.**  The coin game has one state; head pays 1 and goes on, tail pays nothing and
ends.  Let an action become likelier in proportion to what its own step earned.  (That is
short-sighted, and enough for a coin.)  Over B episodes the loss is −(1/B) Σ_n r_n log π(a_n|s_n).
By (counts.1) it depends on W[s, a], the rewards of each entry, summed, and its G is −W/B:

>>> from minirl.kernel.mdp import coin_game
>>> from minirl.kernel.softmax import backward
>>> from minirl.play.optim import gradient_descent
>>> def short_sighted(mdp, record):
...     while True:
...         batch = play(mdp, record, rewards=environment_rewards, episodes=4, horizon=3)
...         G = -counts.table(batch.steps, batch.rewards) / batch.episodes
...         logits, state = policy_step(
...             record.logits, backward(record.logp, G), record.optimiser, batch.visits, 1.0,
...             learning_rate=1.0, optimiser=gradient_descent())
...         record = next_record(record._replace(logits=logits, optimiser=state), batch, {})
...         yield record
>>> trainer = short_sighted(coin_game(), start(coin_game(), rng=4))
>>> for record in islice(trainer, 2):
...     print(record.steps, record.metrics["rollout/ep_rew_mean"], record.logits.round(4),
...           record.policy.round(4))
8 1.0 [[ 0.5 -0.5]] [[0.7311 0.2689]]
18 1.75 [[ 0.9706 -0.9706]] [[0.8745 0.1255]]

The first batch happens to be head tail, tail, head tail, head head tail: eight steps, of which four
earn 1.  The mean reward of an episode is 4/4 = 1, and G = −1 0.  At π = ½ ½ the gradient is −1 + ½
and 0 + ½, by (softmax.3).  A step at the learning rate 1 makes the logits ½ and −½, which differ by
1, so that head has the probability 1/(1 + e⁻¹) = 0.7311.  The second batch has seven heads in ten
steps.  So G = −7/4 0, and the logit of head gains 7/4 · (1 − 0.7311) = 0.4706.  (The arguments
`batch.visits` and 1.0, the progress that remains, matter where there is `ent_coef` or a schedule.)

**Stopping and going on.**  A record holds all that the next iteration needs.  So a file that holds
the record is enough to go on another day.  `save` writes one, and `load` reads it back bit for bit,
whatever trainer the record is of:

>>> import os, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     save(record, os.path.join(folder, "coin.checkpoint"))
...     again = load(os.path.join(folder, "coin.checkpoint"))
>>> print(next(short_sighted(coin_game(), again)).logits.round(4), next(trainer).logits.round(4))
[[ 1.1903 -1.1903]] [[ 1.1903 -1.1903]]

The file is written beside the old one and takes its place when it is whole and on the disk.  So a
program that is killed leaves the old record or the new one, and never half of one.

**The arguments all trainers share.**  The names are those of the library Stable-Baselines3, and in
the chapters on language those of TRL, a library that trains language models.

    mdp             the world; it is played, and of its tables only `available` is looked at
    record          from `start`, or any record yielded before
    rewards         `rewards(rollout, logp) -> (N,)`: what to maximise in place of what the world
                    paid (`environment_rewards`), for example a learned reward minus the price of
                    leaving a reference; one number per step, in the order of the rollout.  `logp`
                    is log π of the policy that played.  NaN is refused.  What cannot be scored is
                    *masked*: an episode with a masked entry (`np.ma.array(…, mask=…)`) carries no
                    weight, as if it had not been played.  `only_ended` masks what the horizon cut
    episodes        played in each iteration
    horizon         episodes are cut after this many steps
    iterations      where schedules end.  Training may go on after it, with the last values
    learning_rate   the step size: a number ≥ 0, or a schedule (`optim`)
    ent_coef        what a nat of entropy earns in a visited state (`softmax.entropy_loss`).  It
                    keeps the policy undecided while little is known, as `actor_critic` shows.  A
                    number ≥ 0, or a schedule
    max_grad_norm   the limit of (optim.3), > 0, for each step; infinity is no limit
    value_rate      in [0, 1]: how far the value table moves towards its targets, (returns.5)
    optimiser       an `optim.Optimiser`

**What `metrics` hold**, of the last iteration:

    rollout/ep_rew_mean   the mean of the rewards of an episode, added up without a discount
    rollout/ep_len_mean   the mean number of steps of an episode
    rollout/truncated     the number of episodes that the horizon cut
    rollout/masked        the number of masked episodes, where there are some.  They count in the
                          mean length, in the number truncated and in the record's `steps`, and in
                          nothing else
    policy/entropy        in nats per step, over the states of the batch, after the update

Trainers add their own.

**Exercises.**  `from minirl.play.training import *; from minirl.kernel.mdp import coin_game`
1. Two batches are played with one record.  How much do their counts of head and tail differ?
       record, how = start(coin_game(), rng=0), {"rewards": environment_rewards, "horizon": 3}
       [play(coin_game(), record, episodes=100, **how).counts.tolist() for _ in range(2)]
2. Is the mean reward larger or smaller when episodes that the horizon cut are left out?
       record, how = start(coin_game(), rng=0), {"episodes": 100, "horizon": 3}
       [round(play(coin_game(), record, rewards=rewards, **how).metrics["rollout/ep_rew_mean"], 4)
        for rewards in (environment_rewards, only_ended(environment_rewards))]
3. `after` asks the same trainer twice, for two more records each time.  Which one comes second?
       trainer = iter(["first", "second", "third", "fourth"])
       after(trainer, 2), after(trainer, 2)

Read next: `prediction`, where only V is learned.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from minirl.checkpoints import CheckpointError, packed, storable, unpacked
from minirl.files import read_bytes, write_bytes
from minirl.kernel import checks, counts
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.playing import Rollout, rollout, start_states
from minirl.kernel.sampling import generator
from minirl.kernel.softmax import entropy, entropy_loss, log_softmax
from minirl.play.optim import clip_norm, coefficient

_Record = TypeVar("_Record")  # `after` gives what its trainer yields


@storable
class Training(NamedTuple):
    """A policy in training; all that the next iteration of any trainer needs."""

    iteration: int
    steps: int           # environment steps so far
    logits: np.ndarray   # (S, A) the policy
    values: np.ndarray   # (S,) the value table: a baseline, or a critic
    optimiser: tuple     # state of the optimiser; None before the first step
    rng: dict            # state of the bit generator
    kl_coef: float       # the price of a nat of KL, where a learner adapts it
    metrics: dict        # of the last iteration

    @property
    def logp(self):
        """log π, (S, A)."""
        return log_softmax(self.logits)

    @property
    def policy(self):
        """π, (S, A)."""
        return np.exp(self.logp)


class Batch(NamedTuple):
    """The episodes of one iteration, played by the policy of its record."""

    rollout: Rollout         # without the episodes that `rewards` has masked
    rewards: np.ndarray      # (N,) what to learn from, one per step
    steps: counts.Steps      # the same steps, numbered
    counts: np.ndarray       # (S, A) how often each step was taken
    rng: np.random.Generator  # the record's, after playing
    metrics: dict
    groups: object = 1       # num_generations; or, where some are masked, the size of each group
    masked: int = 0          # steps of masked episodes, which are played but not in the batch

    @property
    def episodes(self):
        """B, the number of episodes."""
        return self.rollout.truncated.size

    @property
    def visits(self):
        """N[s], the number of steps in each state: (S,)."""
        return self.counts.sum(axis=1)


def start(logits, *, rng, kl_coef=1.0) -> Training:
    """The record from which training starts: a policy table (S, A), a seed, and values of zero.

    In place of the table may stand a `TabularMDP`, and then all actions that a state has are
    equally likely.  A logit of −∞ stays −∞ in training, and that is what an action has that is not
    available (`mdp.masked`).

    Training continues from a copy of the generator's state; the Generator itself does not advance.
    `kl_coef` is where an adaptive price of KL begins; most trainers have none.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> record = start(coin_game(), rng=0)
    >>> record.logits, record.values
    (array([[0., 0.]]), array([0.]))
    """
    if isinstance(logits, TabularMDP):
        logits = logits.masked(np.zeros(logits.shape))
    logits = np.array(logits, dtype=float)
    if log_softmax(logits).ndim != 2:
        raise ValueError(f"logits must be a table (S, A), got shape {logits.shape}")
    checks.positive("kl_coef", kl_coef)
    return Training(0, 0, logits, np.zeros(len(logits)), None,
                    generator(rng).bit_generator.state, kl_coef, {})


def after(trainer: Iterator[_Record], n) -> _Record:
    """The record that a trainer yields after `n` more iterations.

    Examples
    --------
    >>> after(iter("abc"), 2)
    'b'
    """
    return next(islice(trainer, checks.whole("n", n) - 1, None))


def save(record, path):
    """Write a record of any trainer to a file, whole or not at all.

    What stands in it says `minirl.checkpoints`.  Raises CheckpointError, which is a ValueError,
    where the file cannot be written; what was there before stays.

    Examples
    --------
    >>> import os
    >>> save(start(np.zeros((1, 2)), rng=0), os.devnull)
    """
    data = packed(record)
    try:
        write_bytes(path, data)
    except (OSError, ValueError) as error:
        raise CheckpointError(str(error)) from None


def load(path):
    """The record in a file that `save` has written, bit for bit.

    The module that defines its class must have been imported, as the one that trains it is.

    Raises CheckpointError, which is a ValueError, where the file cannot be read, is truncated, was
    changed, is no checkpoint, or is one of another version.

    Examples
    --------
    >>> load("no such file")
    Traceback (most recent call last):
    minirl.checkpoints.CheckpointError: cannot read no such file: No such file or directory
    """
    try:
        data = read_bytes(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    return unpacked(data, path)


def environment_rewards(rollout, logp):
    """The reward seam's default: what the world paid, (N,)."""
    return rollout.rewards


def play(mdp, record, *, rewards, episodes, horizon, num_generations=1, observe=None) -> Batch:
    """The `Batch` with which an iteration begins, played with the policy of `record`.

    The episodes come in groups of `num_generations` neighbours that begin in one start state.
    `observe(rollout, logp) -> dict` may add metrics of the batch, beside `rewards(rollout, logp)`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> batch = play(coin_game(), start(np.zeros((1, 2)), rng=0), rewards=environment_rewards,
    ...              episodes=100, horizon=3)
    >>> print(batch.counts, batch.metrics)
    [[77. 91.]] {'rollout/ep_rew_mean': 0.77, 'rollout/ep_len_mean': 1.68, 'rollout/truncated': 9}
    """
    episodes = checks.whole("episodes", episodes)
    size = checks.group_size(num_generations, episodes, "episodes")
    logp, rng = record.logp, generator(record.rng)
    _check_available(mdp, record.logits)
    starts = start_states(mdp, episodes // size, rng).repeat(size)
    played = rollout(mdp, np.exp(logp), starts, horizon=horizon, rng=rng)
    earned, number = rewards(played, logp), played.states.size
    checks.shape("what rewards return", earned, (number,))
    metrics = {"rollout/ep_len_mean": number / episodes,
               "rollout/truncated": int(played.truncated.sum()),
               **(observe(played, logp) if observe else {})}
    if np.ma.is_masked(earned):
        scored = played.totals(np.ma.getmaskarray(earned)) == 0
        played, earned = _without_masked(played, earned, scored)
        sizes = scored.reshape(-1, size).sum(axis=1)
        size, metrics["rollout/masked"] = sizes[sizes > 0], int((~scored).sum())
    checks.finite("what rewards return", earned)
    steps = played.steps(mdp.shape)
    metrics = {"rollout/ep_rew_mean": float(earned.sum() / played.truncated.size), **metrics}
    return Batch(played, earned, steps, counts.table(steps), rng, metrics, size,
                 number - steps.index.size)


def only_ended(rewards):
    """The reward function `rewards` with the episodes masked that the horizon cut.

    So cut strings are left out of the loss, whatever they have earned (in DAPO, arXiv:2503.14476,
    "overlong filtering").  What remains are the short ones: that a string should end is then told
    by nobody but the reward.  A batch of which the horizon cuts every episode is an error.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> batch = play(coin_game(), start(np.zeros((1, 2)), rng=0), episodes=100, horizon=3,
    ...              rewards=only_ended(environment_rewards))
    >>> batch.episodes, batch.metrics["rollout/masked"]
    (91, 9)
    """
    def masked(rollout, logp):
        earned = rewards(rollout, logp)
        cut = rollout.spread(rollout.truncated)
        return np.ma.array(earned, mask=np.ma.getmaskarray(earned) | cut)

    return masked


def policy_step(logits, grad, state, visits, progress, *, learning_rate, ent_coef=0.0,
                max_grad_norm=np.inf, optimiser):
    """One step of an optimiser along a loss with an entropy bonus: how every policy trainer moves.

    Parameters
    ----------
    logits, grad : (S, A) float
        The policy, and the gradient of its loss there.
    state : tuple
        Of the optimiser; None before its first step.
    visits : (S,) float, or None
        The weight of each row in `entropy_loss`; nobody looks where ent_coef is 0.
    progress : float
        The progress remaining, for the schedules.

    Returns
    -------
    logits : (S, A) float
    state : tuple

    Examples
    --------
    >>> from minirl.play.optim import gradient_descent
    >>> logits, _ = policy_step(np.zeros((1, 2)), np.array([[3., -3.]]), None, np.ones(1), 1.0,
    ...                         learning_rate=0.1, optimiser=gradient_descent())
    >>> print(logits.round(2))
    [[-0.3  0.3]]
    """
    bonus = coefficient("ent_coef", ent_coef, progress)
    if bonus > 0:
        grad = grad + bonus * entropy_loss(logits, visits)[1]
    return optimiser.step(logits, clip_norm(grad, max_grad_norm),
                          optimiser.init(logits) if state is None else state,
                          coefficient("learning_rate", learning_rate, progress))


def _check_available(mdp, logits):
    """Raise ValueError unless logits (S, A) are −∞ where an action is not available."""
    checks.shape("logits", logits, mdp.shape)
    wrong = ~mdp.available & (logits != -np.inf)
    if wrong.any():
        raise ValueError(f"logits{np.argwhere(wrong)[0].tolist()} must be −∞, since the action is "
                         f"not available: begin with start(mdp), or with mdp.masked(logits)")


def _without_masked(played, earned, scored):
    """The episodes (B,) bool of a rollout, and what they have earned."""
    if not scored.any():
        raise ValueError("rewards must score at least one episode of a batch, got all masked")
    return played.select(scored), np.ma.getdata(earned)[played.spread(scored)]


def next_record(record, batch, metrics) -> Training:
    """`record`, which has learned from a batch, at the end of the iteration; with these metrics.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> record = start(np.zeros((1, 2)), rng=0)
    >>> batch = play(coin_game(), record, rewards=environment_rewards, episodes=100, horizon=3)
    >>> record = next_record(record, batch, {})
    >>> record.iteration, record.steps, record.metrics["policy/entropy"]
    (1, 168, 0.6931471805599453)
    """
    visits = batch.visits
    return record._replace(
        iteration=record.iteration + 1, steps=record.steps + batch.steps.index.size + batch.masked,
        rng=batch.rng.bit_generator.state,
        metrics=batch.metrics | metrics
        | {"policy/entropy": float((visits * entropy(record.logp)).sum() / visits.sum())})
