"""Playing: episodes drawn from the law of a world, many at once.

`mdp` is a world's law.  Who learns by experience does not look at it: a learner plays, and sees
only the states it came through and what its actions earned.  One world at a time would be slow in
Python.  So everything here plays N worlds side by side, and one array operation moves them all.

There are three ways to play.  `step` moves N parallel worlds by one step and leaves the rest to
you.  `walk` moves them under a policy, for ever: a world whose episode has ended starts the next
one at once.  `rollout` plays whole episodes, up to a horizon; those that have ended drop out, so
that later steps cost less.  `steps_played` is the same where only the steps (state, action) are
wanted, as `counts.Steps`.

Episodes are not equally long.  So they are kept as they were played, *end to end*: first all steps
of the first one, then those of the second, and `starts` says where each begins.  Three episodes of
two, one and three steps are

    steps    s₀ s₁ | s₀ | s₀ s₁ s₂         starts  0 2 3 6.

Memory is needed for what was played and for nothing else.  In a rectangle, one column an episode,
one long episode would make all the others as long.  (`counts.rectangle` makes one, for looking at.)

A step draws twice: from the policy an action a, and from the world k, one of its outcomes.  Where
the policy is known beforehand, as in `walk` and `rollout`, the two are *one* draw.  A state s has
A·K combinations (a, k), with the probabilities

    Pr(a, k | s) = π(a|s) prob[s, a, k],                                                 (playing.1)

and the alias method (sampling.2) picks one of them at the price of one.  What was drawn is a cell,
a number that stands for state, action and outcome; what these are is looked up afterwards.

*Time limits truncate, goals terminate.*  An episode that reaches its goal is over, and the value of
what comes after is zero.  An episode that was merely cut by a limit would have gone on, and a
learner with a value table should count the value of the last state.  `Rollout` keeps the two apart.
Time limits belong to `rollout`; a step does not know the time, unless the world itself has a clock
(`mdp.unroll`).

Read first: `counts`, `sampling`, `mdp`.  Read next: `returns`, what to make of an episode; or first
`evaluation`, which knows on average what play can only estimate.
Source: Sutton and Barto, 2nd edition, §3.3-3.4; Pardo et al. 2018, "Time limits in reinforcement
learning", arXiv:1712.00378.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts
from minirl.kernel.mdp import check_policy
from minirl.kernel.sampling import alias, cells, draw, generator, words

STRIDE = 16  # steps for which random words are drawn at once


class Rollout(NamedTuple):
    """N steps of B episodes, laid end to end: episode i owns the steps starts[i] : starts[i + 1].

    Every episode has a step at least.
    """

    states: np.ndarray      # (N,) int, in which each step was taken
    actions: np.ndarray     # (N,) int
    rewards: np.ndarray     # (N,) float
    terminated: np.ndarray  # (N,) bool, the step ended its episode
    starts: np.ndarray      # (B + 1,) int, from 0 to N, rising
    last_state: np.ndarray  # (B,) int, the state after an episode's last step
    truncated: np.ndarray   # (B,) bool, the horizon cut the episode

    @property
    def lengths(self):
        """The number of steps of each episode: (B,) int."""
        return np.diff(self.starts)

    @property
    def episode(self):
        """The episode of each step: (N,) int."""
        return self.spread(np.arange(self.truncated.size))

    @property
    def time(self):
        """t, the number of steps before each one in its episode: (N,) int."""
        return np.arange(self.states.size) - self.spread(self.starts[:-1])

    @property
    def next_states(self):
        """The state after each step: (N,) int."""
        return self.followed_by(self.states, self.last_state)

    def followed_by(self, values, last):
        """For each step the value (N,) of the next one, and `last` (B,) for an episode's last."""
        following = np.empty_like(values)
        following[:-1] = values[1:]
        following[self.starts[1:] - 1] = last
        return following

    def spread(self, values):
        """What each episode has, (B,), for each of its steps: (N,)."""
        return np.repeat(values, self.lengths)

    def totals(self, values):
        """What each step has, (N,), added up in each episode, in the order of time: (B,)."""
        checks.shape("values", values, self.states.shape)
        return np.bincount(self.episode, values, self.truncated.size)

    def select(self, rows):
        """The episodes `rows`, (M,) int or a mask (B,) bool."""
        starts = np.append(0, self.lengths[rows].cumsum()).astype(self.starts.dtype)
        moved = np.repeat(self.starts[:-1][rows] - starts[:-1], np.diff(starts))
        steps = np.arange(starts[-1]) + moved
        return Rollout(*(x[steps] for x in self[:4]), starts, *(x[rows] for x in self[5:]))

    def steps(self, shape):
        """These episodes as `counts.Steps` over a table of `shape` (S, A)."""
        return counts.steps(self.states, self.actions, self.starts, shape)


def rollout(mdp, policy, starts, *, horizon, rng):
    """Play one episode from each of `starts` (B,), all at once: a `Rollout`.

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
        π(a|s): rows of probabilities, not logits, so that a greedy policy may be played too.
    starts : (B,) int
        See `start_states`.
    horizon : int ≥ 1
        Episodes that have not ended after this many steps are truncated.
    rng : Generator or seed; or a tuple of Generators, one per episode
        With a tuple an episode is the same, whatever is played beside it.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> play = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=3, rng=10)
    >>> print(play.actions, play.starts)
    [1 1 0 1 0 0 0] [0 1 2 4 7]
    >>> print(play.totals(play.rewards), play.truncated)
    [0. 0. 1. 3.] [False False False  True]
    """
    starts, chain = checks.numbers("starts", starts, mdp.shape[0]), _chain(mdp, policy)
    played = _play(mdp, chain, starts, horizon, rng, note=lambda cell: cell)
    dead = mdp.shape[0] << chain.draw.bits
    cell, begins = counts.laid_out(
        [(who, np.where(here < dead, here, -1)) for who, here in played], starts.size, int)
    last = cell[begins[1:] - 1]
    return Rollout(*(table.take(cell) for table in (chain.states, chain.actions, chain.rewards,
                                                    chain.terminated)),
                   begins, chain.next_states.take(last), ~chain.terminated.take(last))


def steps_played(mdp, policy, starts, *, horizon, rng):
    """The same episodes as those of `rollout`, as `counts.Steps`, where nothing else is wanted.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin, fair = coin_game(), np.array([[0.5, 0.5]])
    >>> print(steps_played(coin, fair, np.zeros(4, int), horizon=3, rng=10).index)
    [1 1 0 1 0 0 0]
    """
    starts, chain = checks.numbers("starts", starts, mdp.shape[0]), _chain(mdp, policy)
    index = (chain.states * mdp.shape[1] + chain.actions).astype(np.int32)
    index[-2**chain.draw.bits:] = -1
    played = _play(mdp, chain, starts, horizon, rng, note=index.take)
    return counts.from_parts(played, starts.size, mdp.shape)


class Moves(NamedTuple):
    """One step of N worlds."""

    states: np.ndarray      # (N,) int, where each was
    actions: np.ndarray     # (N,) int
    rewards: np.ndarray     # (N,) float
    terminated: np.ndarray  # (N,) bool, the step ended the episode
    next_states: np.ndarray  # (N,) int, of the next step: a first state where an episode ended


def walk(mdp, policy, states, *, rng):
    """Move N worlds under a policy (S, A), for ever: yields `Moves`, one step at a time.

    They begin in `states` (N,).  Where an episode ends, the next one begins at once.  There is no
    time limit.

    Examples
    --------
    >>> from itertools import islice
    >>> from minirl.kernel.mdp import coin_game
    >>> for moves in islice(walk(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), rng=3), 2):
    ...     print(moves.actions, moves.rewards)
    [1 0 0 0] [0. 1. 1. 1.]
    [0 1 1 1] [1. 0. 0. 0.]
    """
    states, chain = checks.numbers("states", states, mdp.shape[0]), _chain(mdp, policy)
    rng = generator(rng)
    begins = np.flatnonzero(mdp.start)
    if begins.size == 1:  # then every end leads there
        chain = chain._replace(next_states=np.where(chain.terminated, begins, chain.next_states))
    first, everyone = chain.first(states), np.arange(states.size)
    while True:
        for numbers in words(rng, STRIDE, everyone):
            moves = chain.moves(first >> chain.draw.bits, cells(chain.draw, first, numbers))
            if begins.size > 1 and moves.terminated.any():
                over = np.flatnonzero(moves.terminated)
                moves.next_states[over] = start_states(mdp, over.size, rng)
            first = chain.first(moves.next_states)  # before anybody can write to them
            yield moves


def step(mdp, states, actions, rng, *, auto_reset=False):
    """Move N parallel worlds by one step.

    Parameters
    ----------
    mdp : TabularMDP
    states, actions : (N,) int
        Where each world stands, and what is done there, which must be available.
    rng : Generator or seed
        A Generator advances; a seed would draw the same luck at every call.
    auto_reset : bool
        Whether a world whose episode ended with this step stands on a new first state afterwards.
        Nothing is lost by that: after a termination there is no state to learn from.

    Returns
    -------
    next_states (N,) int, rewards (N,) float, terminated (N,) bool

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin, rng = coin_game(), np.random.default_rng(0)
    >>> next_states, rewards, terminated = step(coin, np.array([0, 0]), np.array([0, 1]), rng)
    >>> print(next_states, rewards, terminated)
    [0 0] [1. 0.] [False  True]
    """
    states = checks.numbers("states", states, mdp.shape[0])
    actions = checks.numbers("actions", actions, mdp.shape[1])
    checks.shape("actions", actions, states.shape)
    able = mdp.available[states, actions]
    if not able.all():
        raise ValueError(f"actions must be available, got {actions[~able][0]} in state "
                         f"{states[~able][0]}")
    rng = generator(rng)
    next_states, rewards, terminated = move(mdp, states, actions, rng.random(states.size))
    if auto_reset and terminated.any():
        next_states[terminated] = start_states(mdp, int(terminated.sum()), rng)
    return next_states, rewards, terminated


def start_states(mdp, episodes, rng):
    """Draw `episodes` ≥ 1 first states from `mdp.start`: (episodes,) int.

    `rng` is a Generator or a seed, or a tuple of Generators, one per episode.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> print(start_states(coin_game(), 3, rng=0))
    [0 0 0]
    """
    episodes = checks.whole("episodes", episodes)
    rng = _for_episodes(rng, episodes)
    return first_states(mdp, [one.random() for one in rng] if isinstance(rng, tuple)
                        else rng.random(episodes))


def first_states(mdp, numbers):
    """The first state that each uniform number draws from `mdp.start`: int, in the same shape.

    All are drawn from one distribution, so that counting the thresholds that are ≤ u, as
    (sampling.1) wants it, is a search in a sorted list.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> print(first_states(unroll(coin_game(), 3), np.array([[0.1], [0.9]])))
    [[0]
     [0]]
    """
    return mdp.thresholds[1].searchsorted(numbers, side="right")


def move(mdp, states, actions, numbers):
    """`step` without a check: numbers (N,) in [0, 1) decide the outcomes by (sampling.1).

    States and actions are *trusted*, since this is the inner loop of everything that learns step by
    step.  An action A would silently be read as action 0 of the next state.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> move(coin_game(), np.array([0]), np.array([1]), np.array([0.5]))
    (array([0]), array([0.]), array([ True]))
    """
    _, A, K = mdp.next_state.shape
    outcome = entry = states * A + actions
    if K > 1:
        outcome = entry * K + draw(mdp.thresholds[0].take(entry, axis=1), numbers)
    return mdp.next_state.take(outcome), mdp.reward.take(outcome), mdp.terminated.take(outcome)


class _Chain(NamedTuple):
    """A world under a policy: in each state one draw decides action and outcome together.

    A *cell* of (sampling.2) stands for a state, an action and an outcome, and all tables are
    indexed by cells.  Row S of them is where the dead are: nothing happens there.
    """

    draw: object            # sampling.Alias of S + 1 rows
    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    next_states: np.ndarray
    onward: np.ndarray      # the first cell of the next state's row, of row S after an end

    def first(self, states):
        """The first cells of the rows of states."""
        return states << self.draw.bits

    def moves(self, states, cell):
        """What the cells of these states stand for, as `Moves`."""
        return Moves(states, *(table.take(cell) for table in (self.actions, self.rewards,
                                                              self.terminated, self.next_states)))


def _chain(mdp, policy):
    policy = check_policy(mdp, policy)
    S, A, K = mdp.next_state.shape
    joint = (policy[:, :, None] * mdp.prob).reshape(S, A * K)
    draw = alias(np.concatenate([joint, np.eye(1, A * K)]))

    def by_cell(values, dead=0):
        table = np.full((S + 1, 2**draw.bits), dead, values.dtype)
        table[:S, :A * K] = np.broadcast_to(values, (S, A, K)).reshape(S, A * K)
        return table.ravel()

    onward = np.where(mdp.terminated, S, mdp.next_state) << draw.bits
    return _Chain(draw, *map(by_cell, (np.arange(S)[:, None, None], np.arange(A)[:, None],
                                       mdp.reward, mdp.terminated, mdp.next_state)),
                  by_cell(onward, dead=S << draw.bits))


def _play(mdp, chain, starts, horizon, rng, note):
    """Episodes from start to end or horizon, in phases: the parts of `counts.laid_out`.

    What is written down of a step is `note(cells (n,)) -> (n,)`, and −1 of the dead.

    The dead stay where they are, and after each block of steps they are counted.  Where they are
    half of those who play, a new phase begins without them, so that at its beginning a block costs
    at most twice what the living need.  With a generator each, the dead leave with the block in
    which they die: what an episode draws depends on nobody else.
    """
    horizon = checks.whole("horizon", horizon)
    rng, dead = _for_episodes(rng, starts.size), mdp.shape[0] << chain.draw.bits
    who, first, since = np.arange(starts.size), chain.first(starts), 0
    while who.size and since < horizon:
        rows, left = [], horizon - since
        few = who.size - 1 if isinstance(rng, tuple) else who.size // 2
        while np.count_nonzero(first < dead) > few and len(rows) < left:
            for numbers in words(rng, min(STRIDE, left - len(rows)), who):
                cell = cells(chain.draw, first, numbers)
                rows.append(note(cell))
                first = chain.onward.take(cell)
        yield who, np.stack(rows)
        since, going = since + len(rows), first < dead
        who, first = who[going], first[going]


def _for_episodes(rng, episodes):
    """The randomness of a batch: one Generator for all, or a tuple with one per episode."""
    if not isinstance(rng, tuple):
        return generator(rng)
    if len(rng) != episodes:
        raise ValueError(f"rng must hold one Generator per episode, {episodes}, got {len(rng)}")
    return rng
