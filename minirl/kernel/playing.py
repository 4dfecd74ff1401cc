"""How are episodes drawn from the law of a world, many at once?

*Part 1.  Previous: `mdp`.  Next: `environment`, a side road.*

`mdp` wrote a world down as its law.  A learner that learns by experience does not look at the law.
It plays, and sees only the states that it came through and the rewards that its actions earned.  A
batch of episodes that a policy has played is a *rollout*.

**Two ways to stop.**  Not every episode ends soon, so there is a *horizon*: the number of steps
after which an episode is cut.  Here are two episodes, with a horizon of three steps:

    it ends     s_0 ──a_0──> s_1 ──a_1──> s_2 ──a_2──> over
                     r_0          r_1          r_2

    it is cut   s_0 ──a_0──> s_1 ──a_1──> s_2 ──a_2──> s_3 ┆ and so on, but nobody plays it
                     r_0          r_1          r_2

The first episode is *terminated*.  A goal, a hole or an end symbol has ended it, and nothing more
can be earned.  A termination says that it is over, not that it went well.  The second episode is
*truncated*.  It stands in s_3, and could still earn something there: a truncation says only that
nobody played on.  An episode whose third step ends it is terminated, although the horizon would
have stopped it too.  A `Rollout` keeps the two apart.  It says of each step whether the world
`terminated` the episode there.  Of each episode it says whether the horizon `truncated` it, and
which `last_state` it reached.

**In numbers.**  A fair coin plays the coin game four times.  Head is the action 0, tail is 1.
`np.zeros(4, int)` are the first states of four episodes, and `rng` is where the luck comes from:

>>> from minirl.kernel.mdp import coin_game
>>> fair = np.array([[0.5, 0.5]])
>>> play = rollout(coin_game(), fair, np.zeros(4, int), horizon=3, rng=10)
>>> print(play.actions, play.starts)
[1 1 0 1 0 0 0] [0 1 2 4 7]

Episodes differ in length.  So the steps of all of them are one list, in which the episodes lie end
to end, and `starts` says where each one begins:

    step      0      1      2    3      4    5    6      7
    action    tail | tail | head tail | head head head |
    starts    0      1      2           4                7

Episode i has the steps from `starts[i]` to the one before `starts[i + 1]`.  The last entry of
`starts` is the number of all steps.  Memory is needed for what was played and for nothing else.  In
a *rectangle*, an array with time downwards and a column per episode, one long episode would make
all the others as long.

The last episode was cut after three heads.  The sums of the rewards are 0, 0, 1 and 3:

>>> print(play.totals(play.rewards), play.truncated)
[0. 0. 1. 3.] [False False False  True]

**What a cut costs.**  With p = ½ the coin game has J = 1.  A horizon of 3 pays for no fourth head,
so that the mean return of such episodes is only p + p² + p³ = ½ + ¼ + ⅛ = 0.875.  The missing 0.125
can be found.  With the chance p³ = ⅛ the episode is cut, and there the game would have begun anew,
worth J on average: ⅛ · 1 = 0.125.  A learner that takes a truncated episode for a terminated one
loses this.  A learner that knows what the last state is worth adds it, times γ to the power of the
number of steps played, and loses nothing.  Here γ is 1.

**Two draws or one.**  A step draws an action from the policy, and then one of its outcomes from the
world.  A draw needs a random number u that may lie anywhere between 0 and 1, equally likely.  The
interval is cut into pieces as long as the probabilities, and u lies in the piece of what is drawn.
Where the policy is known beforehand, the two draws are one.  In the state s the action a and its
outcome k have together the probability

    Pr(a, k | s) = π(a|s) prob[s, a, k].                                                 (playing.1)

Take the state 0 of the small lake of `mdp`, and a policy that goes right and down with ½ each.  The
pieces are ½ · ¾ and ½ · ¼, twice:

    0                    3/8         1/2                   7/8          1
    | right, leads to 1  | right, 2  | down, leads to 2    | down, 1    |

With u = 2/5 the agent goes right and slips into the hole.  `sampling` shows how to find the piece
without a search.

**What there is.**

    `rollout`        whole episodes, up to a horizon
    `start_states`   the states in which they begin, drawn from the start distribution
    `step`           one step of N worlds, in which the actions may be any
    `walk`           the steps of N worlds under a policy, for ever: each end begins a new episode
    `steps_played`   the same episodes as in `rollout`, but only their states and actions

Time limits belong to `rollout`.  A step does not know the time, unless the world itself has a clock
(`mdp.unroll`).  Luck is the argument `rng`: a *seed*, a whole number that always gives the same
episodes, or a `Generator` of NumPy, which goes on from call to call.  Its numbers are dealt out
step by step to all episodes, so that an episode depends on how many are played beside it.  With a
tuple of `Generator`s, one for each episode, it does not.

**Speed.**  One world at a time would be slow in Python, so array operations move all N worlds at
once.  They have a fixed cost, that of about ten worlds in a plain loop; for fewer than ten worlds
the loop is used.  Episodes that are over drop out, and later steps cost less.

**Exercises.**  `from minirl.kernel.mdp import coin_game; from minirl.kernel.playing import *`
1. A fair coin plays 100,000 times, up to 1,000 steps each.  How long is the longest episode?
       play = rollout(coin_game(), [[0.5, 0.5]], np.zeros(100_000, int), horizon=1000, rng=0)
       play.lengths.max()
2. In a rectangle with a column for each of them, as high as the longest, what share is filled?
       play = rollout(coin_game(), [[0.5, 0.5]], np.zeros(100_000, int), horizon=1000, rng=0)
       round(play.states.size / (100_000 * int(play.lengths.max())), 2)
3. The same seed, once for four episodes and once for six.  Are the first four the same?
       rollout(coin_game(), [[0.5, 0.5]], np.zeros(4, int), horizon=9, rng=0).lengths.tolist()
       rollout(coin_game(), [[0.5, 0.5]], np.zeros(6, int), horizon=9, rng=0).lengths.tolist()

Read next: `gradcheck`, which closes this part; then `evaluation`, which computes exactly what play
can only estimate.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, §3.3-3.4; Pardo et al. 2018, "Time
limits in reinforcement learning", arXiv:1712.00378.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks, counts, layout
from minirl.kernel.mdp import check_policy
from minirl.kernel.sampling import FEW, alias, codes, codes_of_few, draw, generator, words

STRIDE = 16       # Random words are drawn for so many steps at once, or for a multiple of them.
TOGETHER = 2**13  # So many steps of all worlds are looked up together: they fit in the cache.


class Rollout(NamedTuple):
    """N steps of B episodes, laid end to end: episode i owns the steps starts[i] : starts[i + 1].

    Every episode has at least one step.
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
        """The values (B,) of the episodes, each repeated for all steps of its episode: (N,)."""
        return np.repeat(values, self.lengths)

    def totals(self, values):
        """The values (N,) of the steps, added up in each episode in the order of time: (B,)."""
        checks.shape("values", values, self.states.shape)
        return np.bincount(self.episode, values, self.truncated.size)

    def select(self, rows) -> "Rollout":
        """The episodes `rows`, (M,) int or a mask (B,) bool."""
        places, starts = layout.taken(self.starts, rows)
        return Rollout(*(x[places] for x in self[:4]), starts, *(x[rows] for x in self[5:]))

    def steps(self, shape) -> counts.Steps:
        """These episodes as `counts.Steps` over a table of `shape` (S, A)."""
        return counts.steps(self.states, self.actions, self.starts, shape)


def rollout(mdp, policy, states, *, horizon, rng) -> Rollout:
    """Play one episode from each of `states` (B,), all side by side: a `Rollout`.

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
        π(a|s): rows of probabilities, not logits, so that a greedy policy may be played too.
    states : (B,) int
        The states in which the episodes begin, see `start_states`.
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
    states, chain = checks.numbers("states", states, mdp.shape[0]), _chain(mdp, policy)
    A, K = mdp.prob.shape[1:]
    played = _play(chain, states, horizon, rng, note=chain.outcome)
    outcome, starts = layout.laid_out(played, states.size, np.int32)
    seen, actions = (part.astype(np.int64) for part in np.divmod(outcome // K, A))
    last = outcome[starts[1:] - 1]
    return Rollout(seen, actions, mdp.reward.take(outcome), mdp.terminated.take(outcome),
                   starts, mdp.next_state.take(last), ~mdp.terminated.take(last))


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


def step(mdp, states, actions, rng, *, auto_reset=False):
    """Move N parallel worlds by one step.

    Parameters
    ----------
    mdp : TabularMDP
    states, actions : (N,) int
        Where each world stands, and what is done there, which must be available.
    rng : Generator or seed
        A Generator advances; a seed draws the same numbers at every call.
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


class Moves(NamedTuple):
    """One step of N worlds."""

    states: np.ndarray      # (N,) int, where each was
    actions: np.ndarray     # (N,) int
    rewards: np.ndarray     # (N,) float
    terminated: np.ndarray  # (N,) bool, the step ended the episode
    next_states: np.ndarray  # (N,) int, of the next step: a first state where an episode ended


def walk(mdp, policy, states, *, rng) -> Iterator[Moves]:
    """Move N worlds under a policy (S, A), for ever: yields `Moves`, one step at a time.

    They begin in `states` (N,).  Where an episode ends, the next one begins at once.  There is no
    time limit.  A Generator has advanced further than the steps that were yielded, since many steps
    are played together.

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
    rng, begins = generator(rng), np.flatnonzero(mdp.start)
    A, K = mdp.prob.shape[1:]
    if begins.size == 1:  # then every end leads there
        onward = np.where(chain.onward == chain.dead, chain.first(begins), chain.onward)
        draws = chain._replace(onward=onward).codes
        block = max(STRIDE, TOGETHER // states.size // STRIDE * STRIDE)
    else:  # the words of a block come before the first states that are drawn in it
        draws = partial(codes, chain.draw, onward=partial(_begun_again, mdp, chain, rng))
        block = STRIDE
    tables = ((chain.outcome // K % A).astype(np.int64), mdp.reward.take(chain.outcome),
              mdp.terminated.take(chain.outcome))
    first, everyone = chain.first(states), np.arange(states.size)
    while True:
        for numbers in _parts(words(rng, block, everyone)):
            code, first = draws(first, numbers)
            states = chain.states(code)
            next_states = np.concatenate([states[1:], chain.states(first[None])])
            yield from map(Moves, states, *(table.take(code) for table in tables), next_states)


def steps_played(mdp, policy, states, *, horizon, rng) -> counts.Steps:
    """The same episodes as those of `rollout`, but only their states and actions: `counts.Steps`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin, fair = coin_game(), np.array([[0.5, 0.5]])
    >>> print(steps_played(coin, fair, np.zeros(4, int), horizon=3, rng=10).index)
    [1 1 0 1 0 0 0]
    """
    states, chain = checks.numbers("states", states, mdp.shape[0]), _chain(mdp, policy)
    played = _play(chain, states, horizon, rng, note=chain.outcome // mdp.prob.shape[2])
    return counts.from_parts(played, states.size, mdp.shape)


def first_states(mdp, numbers):
    """The first state that each uniform number draws from `mdp.start`: int, in the same shape.

    (sampling.1) counts the thresholds that are ≤ u.  All numbers draw from one distribution here,
    so counting is a search in one sorted list.

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


def _for_episodes(rng, episodes):
    """The randomness of a batch: one Generator for all, or a tuple with one per episode."""
    if not isinstance(rng, tuple):
        return generator(rng)
    if len(rng) != episodes:
        raise ValueError(f"rng must hold one Generator per episode, {episodes}, got {len(rng)}")
    return rng


class _Chain(NamedTuple):
    """A world under a policy: in each state one draw decides action and outcome together.

    A code (see "Codes" in `sampling`) stands for a state, an action and an outcome.  Episodes that
    are over, "the dead", are in row S and stay there.
    """

    draw: object          # sampling.Alias of S + 1 rows
    outcome: np.ndarray   # of each code, (s·A + a)·K + k int32: its place in the world's tables
    onward: np.ndarray    # of each code, the first one of the next state, or of row S after an end

    def first(self, states):
        """The first codes of the rows of states: 2n times their numbers."""
        return states << (self.draw.bits + 1)

    def states(self, code):
        """The states whose rows the codes are in."""
        return code >> (self.draw.bits + 1)

    @property
    def dead(self):
        """The first code of row S: the living have smaller ones."""
        return self.onward.size - (2 << self.draw.bits)

    def codes(self, first, numbers):
        """What N worlds draw in t steps, by words (t, N): codes (t, N), and the first ones after.

        Few worlds play in plain Python.
        """
        if first.size < FEW:
            return codes_of_few(self.draw, first, numbers, self.onward)
        return codes(self.draw, first, numbers, self.onward.take)


def _chain(mdp, policy):
    policy = check_policy(mdp, policy)
    S, A, K = mdp.next_state.shape
    joint = (policy[:, :, None] * mdp.prob).reshape(S, A * K)
    draw = alias(np.concatenate([joint, np.eye(1, A * K)]))
    cells = np.zeros((S + 1, 2**draw.bits), np.int32)
    cells[:S, :A * K] = np.arange(S * A * K).reshape(S, A * K)
    outcome = cells.take(draw.either)
    ahead = np.where(mdp.terminated, S, mdp.next_state).take(outcome)
    row = 2 << draw.bits  # the codes of a row
    ahead[-row:] = S
    return _Chain(draw, outcome, ahead * row)


def _begun_again(mdp, chain, rng, code):
    """The first codes after `code` (N,), where an episode that ended begins again by a draw."""
    first = chain.onward.take(code)
    over = np.flatnonzero(first == chain.dead)
    if over.size:
        first[over] = chain.first(start_states(mdp, over.size, rng))
    return first


def _play(chain, states, horizon, rng, note):
    """Episodes from start to end or horizon, in phases: the parts of `layout.laid_out`.

    For a step with the code c, `note[c]` is written down, and −1 for the dead.

    The dead stay where they are, and after each block of steps they are counted.  When half of the
    phase's episodes are over, a new phase begins without them, so that a block costs at most twice
    what the living need at its beginning.  Where each episode has its own Generator, the dead leave
    with the block in which they die, since what an episode draws depends on no other.
    """
    left, rng = checks.whole("horizon", horizon), _for_episodes(rng, states.size)
    note = note.copy()
    note[chain.dead:] = -1
    who, first = np.arange(states.size), chain.first(states)
    while who.size and left:
        blocks, few = [], who.size - 1 if isinstance(rng, tuple) else who.size // 2
        while np.count_nonzero(first < chain.dead) > few and left:
            for numbers in _parts(words(rng, min(STRIDE, left), who)):
                code, first = chain.codes(first, numbers)
                blocks.append(note.take(code))
                left -= len(code)
        played = layout.columns(sum(map(len, blocks)), who.size, note.dtype)
        yield who, np.concatenate(blocks, out=played)
        going = first < chain.dead
        who, first = who[going], first[going]


def _parts(numbers):
    """Words (T, N) for T steps of N worlds, cut into parts of steps that are looked up together."""
    together = max(1, TOGETHER // numbers.shape[1])
    return (numbers[t:t + together] for t in range(0, len(numbers), together))
