"""How does a learner play a world of which nobody has written down the law?

*Part 1, a side road.  Previous: `playing`.  Next: `gradcheck`.*

A learner that learns step by step (`q_learning`) needs no law.  A world need only be able to begin
episodes, to make a step, and to begin again where an episode is over.  Gymnasium, a library of
worlds for such learners, calls a world like that an *environment*.  This chapter is the seam at
which both kinds of worlds look alike:

    `TabularMDP`   ── `playable` ──┐
    (has a law)                    ├── begin, moves, restart ──  a learner, in R runs side by side
    Gymnasium      ── `Environment`┘
    (has none)

`Environment` takes an environment with all its wrappers, or a vector of R of them, one per run.

**A state must be a number.**  An environment shows an *observation*.  Where observations are whole
numbers, or tuples or arrays of them, they can be numbered.  Blackjack shows the sum of the player,
the card of the dealer, and whether the player has a usable ace: 32, 11 and 2 possible values.  They
are numbered as a clock counts hours, minutes and seconds, the last one running fastest:

    state = (sum · 11 + card) · 2 + ace.

There are 32 · 11 · 2 = 704 states.  A hand of 15 without an ace, against a 6, is the state (15 · 11
+ 6) · 2 = 342.  An environment says what it shows by its *spaces*:

>>> from types import SimpleNamespace as Space
>>> shown = Space(spaces=[Space(n=size, start=0) for size in (32, 11, 2)])
>>> blackjack = Environment(Space(observation_space=shown, action_space=Space(n=2, start=0)))
>>> print(blackjack.shape, blackjack.number((15, 6, 0)))
(704, 2) 342

**A step through the seam.**  Two runs of the coin game begin in the state 0.  The learner hands
in its random numbers, a row per step, and gets a function that makes these steps.  For each run it
then names an entry, s · (number of actions) + a.  The first run shows head, which is entry 0, and
the second one tail, entry 1.

>>> from minirl.kernel.mdp import coin_game
>>> coin = playable(coin_game(gamma=0.9))
>>> print(coin.begin((np.random.default_rng(0), np.random.default_rng(1))))
[0 0]
>>> move = coin.moves(np.array([[0.3, 0.7]]))
>>> names = "next state", "reward", "discount", "terminated"
>>> for name, what in zip(names, move(0, np.array([0, 1]))):
...     print(f"{name:10}", what)
next state [0 0]
reward     [1. 0.]
discount   [0.9 0. ]
terminated [False  True]

The discount of a step is γ, and 0 where the episode is terminated: what follows then counts for
nothing.  A fifth answer says which episodes a time limit has truncated.  Their last step keeps the
discount γ, since they are not terminated.  The answer is None here: this world has no limit.  The
episode of the second run is over, and `restart` begins the next one.

**What an environment cannot do.**  A law can go on from any state, and the random numbers that the
learner gives it decide what happens.  An environment goes on only from where it stands.  It draws
its own random numbers, from a seed that it is given when it begins.  In some states an action may
not be available.  A law says so from the beginning.  An environment says it when the state is
reached, by an *action mask*, which is 1 for each action that is available and 0 for the others.
Until then all actions of the state are taken to be available.

**Speed.**  A law's outcomes are drawn by thresholds (sampling.1).  Where all of its thresholds
together cut [0, 1) into few pieces, a table has the outcome for each entry and piece, and the piece
of each number is found for many steps at once.

**Exercises.**  `from minirl.kernel.environment import *`
1. A world shows two dice, each from 1 to 6.  Which state are two sixes?
       from types import SimpleNamespace as Space
       dice = Space(spaces=[Space(n=6, start=1), Space(n=6, start=1)])
       Environment(Space(observation_space=dice, action_space=Space(n=2, start=0))).number((6, 6))
2. From the start of the slippery lake of chapter 0, the action right has the outcomes down, right
   and up, in this order.  Two runs take it, with the numbers 0.4 and 0.6.  Where does each land?
       from gridworld.maps import frozen_lake
       move = playable(frozen_lake().mdp(gamma=0.99)).moves(np.array([[0.4, 0.6]]))
       move(0, np.array([2, 2]))[0]
3. An environment with γ = 0.9 cuts an episode.  Is the discount of that step 0.9 or 0?
       from types import SimpleNamespace as Space
       class Cut:
           observation_space = action_space = Space(n=1, start=0)
           reset = lambda self, seed: (0, {})
           step = lambda self, action: (0, 1.0, False, True, {})
       world = Environment(Cut(), gamma=0.9)
       first = world.begin((np.random.default_rng(0),))
       world.moves(None)(0, first)[2]

Read next: `gradcheck`, which closes this part.
Source: Towers et al. 2024, "Gymnasium: a standard interface for reinforcement learning
environments", arXiv:2407.17032.
"""

import math
from functools import cached_property

import numpy as np

from minirl.kernel import checks
from minirl.kernel.mdp import TabularMDP
from minirl.kernel.playing import first_states, move, start_states

MOST_PIECES = 16  # One more piece of [0, 1) costs a comparison per step, and a longer table.


class Environment:
    """A Gymnasium environment behind the seam, or a vector of R of them, one for each run.

    Its observations must be whole numbers, or tuples or arrays of them.  They are numbered in the
    order of `np.ndindex`, and `number(observation)` is the state.  Luck, the first state and any
    time limit are the environment's own.  So each run seeds its environment, and learning can go on
    only from where the environment stands.  An `action_mask` in `info` becomes a row of
    `available`, which is all true for a state not yet seen.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> discrete = lambda n: SimpleNamespace(n=n, start=0)
    >>> game = SimpleNamespace(observation_space=SimpleNamespace(spaces=(discrete(3), discrete(5))),
    ...                        action_space=discrete(2), step=None)
    >>> world = Environment(game, gamma=0.9)
    >>> world.shape, world.number((2, 4))
    ((15, 2), 14)
    """

    def __init__(self, env, *, gamma=1.0):
        checks.fraction("gamma", gamma)
        self.several = hasattr(env, "num_envs")
        spaces = [getattr(env, f"{'single_' * self.several}{kind}_space", None)
                  for kind in ("observation", "action")]
        S, self.number = _numbering("observation_space", spaces[0])
        if not _is_discrete(spaces[1]):
            raise ValueError(f"action_space must be discrete, got {spaces[1]}")
        self.env, self.gamma, self.shape = env, gamma, (S, int(spaces[1].n))
        self.runs, self.first = getattr(env, "num_envs", 1), spaces[1].start
        self.available, self.told = np.full(self.shape, True), np.full(S, False)
        self.states = self.begun = None

    def begin(self, rng):
        """Begin R episodes, seeded by R Generators: their states (R,)."""
        if len(rng) != self.runs:
            raise ValueError(f"rng must name {self.runs} runs, one per environment, "
                             f"got {len(rng)}")
        seeds = [int(bits.integers(2**31)) for bits in rng]
        self.states = self._arrived(*self.env.reset(seed=seeds if self.several else seeds[0]))
        return self.states.copy()

    def resume(self, states):
        """Raise ValueError unless `states`, which a learner recorded, are the environment's."""
        if not np.array_equal(states, self.states):
            raise ValueError(f"the record must be the last one of its environment, which stands in "
                             f"{self.states}, got {states}")

    def moves(self, numbers):
        """The function that makes a step of each run; luck is the environment's own."""
        return lambda t, entry: self._move(entry % self.shape[1])

    def _move(self, actions):
        actions = actions + self.first
        seen, *ends, info = self.env.step(actions if self.several else int(actions[0]))
        rewards, terminated, truncated = (np.array(part, kind).reshape(-1)
                                          for part, kind in zip(ends, (float, bool, bool)))
        states = self._arrived(seen, info)
        self.begun = info.get("_final_obs")  # where the vector has begun a new episode already
        if self.begun is None:
            self.states = states.copy()
        else:
            self.states, states = states, states.copy()
            states[self.begun] = [self.number(last) for last in info["final_obs"][self.begun]]
            self._tell(states, info["final_info"])
        return states, rewards, np.where(terminated, 0, self.gamma), terminated, truncated

    def restart(self, over, numbers):
        """A new episode for the runs `over` (n,): their states (n,)."""
        wanted = np.isin(np.arange(self.runs), over)
        if self.begun is not None:
            wanted &= ~self.begun
        if wanted.any():
            options = {"options": {"reset_mask": wanted}} if self.several else {}
            self.states = np.where(wanted, self._arrived(*self.env.reset(**options)), self.states)
        return self.states[over]

    def _arrived(self, seen, info):
        """The states (R,) of observations, whose masks are noted."""
        states = np.array(self.number(seen), int).reshape(-1)
        self._tell(states, info)
        return states

    def _tell(self, states, info):
        """Note the masks of states, if there are any.  A mask that allows nothing, as at an end, is
        not noted."""
        if "action_mask" not in info:
            return
        masks = np.array(info["action_mask"], bool).reshape(len(states), -1)
        told = masks.any(axis=1) & info.get("_action_mask", True)
        states, masks = states[told], masks[told]
        news = (masks != self.available[states]).any(axis=1)
        wrong = news & self.told[states]
        if wrong.any():
            raise ValueError(f"action_mask must be a function of the observation; in state "
                             f"{states[wrong][0]} it changed to {masks[wrong][0].astype(int)}")
        if news.any():
            self.available = self.available.copy()
            self.available[states] = masks
        self.told[states] = True


def playable(world):
    """A world that a learner can play step by step: a TabularMDP, or an `Environment`.

    What is playable has `shape`, `gamma` and `available`, and four functions.

    - `begin(rng)` begins an episode for each of R Generators and returns their states (R,).
    - `resume(states)` goes on from the states that a learner has recorded.
    - `restart(over, numbers)` begins a new episode for the runs `over` (n,) and returns their
      states.  `numbers` (R,) are uniform numbers, one for every run.
    - `moves(numbers)` is given uniform numbers (T, R) for T steps and returns a function that makes
      step t, `move(t, entry)`.  Its `entry` (R,) holds s·A + a for each run.  It returns next
      states, rewards, discounts (γ, and 0 after an end), terminated and truncated, each (R,).
      Truncated is None where the world has no time limit.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin = playable(coin_game())
    >>> coin.begin((np.random.default_rng(0),))
    array([0])
    """
    if isinstance(world, TabularMDP):
        return _Law(world)
    if not all(hasattr(world, name) for name in ("begin", "resume", "moves", "restart")):
        raise ValueError(f"world must be a TabularMDP or an environment.Environment, "
                         f"got {world!r}")
    return world


class _Law:
    """A TabularMDP behind the seam: numbers in [0, 1) decide what happens.

    An entry (s, a) has its outcome k if exactly k of its thresholds are ≤ u (sampling.1).  The
    thresholds of all entries together cut [0, 1) into pieces, within which no entry's outcome
    changes.  So the piece of a number is found before anybody acts, and a table holds the outcome
    for each entry and piece.  In a world with many pieces each outcome is drawn when it happens.
    """

    def __init__(self, mdp):
        self.mdp, self.shape, self.gamma, self.available = mdp, mdp.shape, mdp.gamma, mdp.available
        self.first = np.flatnonzero(mdp.start)

    def begin(self, rng):
        return start_states(self.mdp, len(rng), rng)

    def resume(self, states):
        pass

    def restart(self, over, numbers):
        # With one first state there is nothing to draw.
        return self.first if self.first.size == 1 else first_states(self.mdp, numbers[over])

    def moves(self, numbers):
        if self._pieces is None:
            return lambda t, entry: self._drawn(entry, numbers[t])
        limits, next_state, reward, discount, terminated = self._pieces
        piece, count = np.zeros(numbers.shape, int), limits.size + 1
        for limit in limits:
            piece += numbers >= limit

        def move(t, entry):
            cell = entry * count
            cell += piece[t]
            return (next_state.take(cell), reward.take(cell), discount.take(cell),
                    terminated.take(cell), None)

        return move

    def _drawn(self, entry, numbers):
        next_states, rewards, terminated = move(self.mdp, *divmod(entry, self.shape[1]), numbers)
        return next_states, rewards, self.gamma * ~terminated, terminated, None

    @cached_property
    def _pieces(self):
        """All thresholds, and the tables of `moves`, where each (s, a) has an entry per piece."""
        mdp, law = self.mdp, self.mdp.thresholds[0]
        limits = np.unique(law)
        if limits.size >= MOST_PIECES:
            return None
        outcome = (law[:, :, None] <= np.append(0, limits)).sum(axis=0)
        cell = np.arange(0, mdp.prob.size, mdp.prob.shape[2])[:, None] + outcome
        return limits, *(table.take(cell.ravel()) for table in (
            mdp.next_state, mdp.reward, np.where(mdp.terminated, 0, mdp.gamma), mdp.terminated))

    @cached_property
    def lists(self):
        """For each state and action: its thresholds, and (next state, reward, terminated) of each
        outcome, in lists and tuples."""
        mdp = self.mdp
        S, A, K = mdp.prob.shape
        thresholds = mdp.thresholds[0].T.reshape(S * A, K - 1).tolist()
        outcomes = zip(*(table.ravel().tolist()
                         for table in (mdp.next_state, mdp.reward, mdp.terminated)))
        entries = zip(thresholds, zip(*K * [outcomes]))  # K outcomes in turn belong to one entry,
        return list(zip(*A * [entries]))                 # and A entries to one state


def _numbering(name, space):
    """The size of a discrete space, and the function that numbers its elements from 0."""
    if hasattr(space, "spaces") and not isinstance(space.spaces, dict):  # a tuple
        sizes, numberings = zip(*(_numbering(name, part) for part in space.spaces))
        return math.prod(sizes), lambda element: _mixed(
            sizes, [number(part) for number, part in zip(numberings, element)])
    if hasattr(space, "nvec"):  # an array, in the last axes of a batch
        sizes, starts = space.nvec.ravel().tolist(), space.start
        return math.prod(sizes), lambda element: _mixed(sizes, np.moveaxis(
            (element - starts).reshape(*np.shape(element)[:-starts.ndim], -1), -1, 0))
    if _is_discrete(space):
        return int(space.n), lambda element: element - space.start
    raise ValueError(f"{name} must be discrete, or a tuple or array of such, got {space}")


def _is_discrete(space):
    return hasattr(space, "n") and hasattr(space, "start")


def _mixed(sizes, digits):
    """The number with these digits, the first of which counts most, in bases of these sizes."""
    number = 0
    for size, digit in zip(sizes, digits):
        number = number * size + digit
    return number
