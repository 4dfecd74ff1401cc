"""The Markov decision process: one object for a world you can draw and a world you can read.

A learner sits in a state s, takes an action a, receives a reward r and lands in a next state s'.
In a *tabular* world states and actions are numbered, so that the whole world is a handful of
arrays.  An action has K possible outcomes: outcome k of (s, a) has

    probability prob[s, a, k],  next state next_state[s, a, k],  reward reward[s, a, k],
    and terminated[s, a, k] says whether the episode ends with it.

K is 3 on slippery ice (forward, and the two sides) and 1 in a language model, where writing a
letter has only one consequence.  Two tables say everything that planning needs.  The mean reward of
a step, and the probability of going on in s',

    r(s, a)     = Σ_k prob[s, a, k] reward[s, a, k],                                         (mdp.1)
    P(s'|s, a)  = Σ_k prob[s, a, k] 1{next_state[s, a, k] = s'} 1{not terminated[s, a, k]}.  (mdp.2)

An ending is thus a *leak*: Σ_s' P(s'|s, a) is one minus the probability that the step ends the
episode, and no absorbing state is needed.  A policy π is judged by its expected return from the
start distribution,

    J(π) = E[Σ_t γᵗ r_t],   s_0 ~ start,  a_t ~ π(·|s_t).                                    (mdp.3)

The discount γ may be 1 where every policy that matters ends.

*Time limits truncate, goals terminate.*  An episode that reaches its goal is over, and the value of
what comes after is zero.  An episode that was merely cut by a limit would have gone on, and a
learner with a value table should count the value of the last state.  `Rollout` keeps the two apart.
To make a limit part of the world instead, so that a policy may know how much time is left, `unroll`
the world: its states are then pairs (time, state), and its last step does terminate.

There are three ways to play.  `step` moves N parallel worlds by one step and leaves the rest to
you.  `walk` moves them under a policy, for ever: a world whose episode has ended starts the next
one at once.  `rollout` plays whole episodes: one array operation moves all of them by one step, and
episodes that have ended drop out, so that later steps cost less.  Time limits belong to `rollout`;
a step does not know the time.

Where the policy is known beforehand, as in the last two, action and outcome are *one* draw.  A
state has A·K pairs (action a, outcome k), with the probabilities π(a|s) prob[s, a, k], and the
alias method (sampling.2) picks one of them at the price of one.  What was drawn is a cell, a number
that stands for state, action and outcome; what these are is looked up afterwards.

*Other people's worlds.*  Gymnasium's tabular environments hold their law as P[s][a], a list of
(probability, next state, reward, terminated), one entry an outcome.  `TabularMDP.from_gymnasium`
reads it, and `TabularMDP.P` writes it.

Read first: `softmax`, `counts`, `sampling`.  Read next: `evaluation`.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, chapter 3; Pardo et al. 2018, "Time
limits in reinforcement learning", arXiv:1712.00378.
"""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl import counts
from minirl.sampling import alias, cells, draw, generator, thresholds, uniform, words

BLOCK = 16  # steps for which random words are drawn at once


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A world of S states and A actions, each with K possible outcomes.

    Copied and checked when it is made, and read-only after that.

    Parameters
    ----------
    next_state : (S, A, K) int
    prob : (S, A, K) float, each (s, a) sums to one
    reward : (S, A, K) float
    terminated : (S, A, K) bool
    start : (S,) float, the distribution of the first state
    gamma : float in [0, 1]

    Raises
    ------
    ValueError
        If a shape, probability, next state, reward or gamma is impossible; the entry is named.

    Examples
    --------
    `coin_game` shows how one is made.

    >>> coin = coin_game()
    >>> coin.shape, coin.mean_reward.tolist(), coin.transitions.toarray().tolist()
    ((1, 2), [[1.0, 0.0]], [[1.0], [0.0]])
    """

    next_state: np.ndarray
    prob: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    start: np.ndarray
    gamma: float

    def __post_init__(self):
        for name in ("next_state", "prob", "reward", "terminated", "start"):
            object.__setattr__(self, name, np.array(getattr(self, name)))
        if self.next_state.ndim != 3 or self.next_state.size == 0:
            raise ValueError(f"next_state must have shape (S, A, K), got {self.next_state.shape}")
        for name in ("prob", "reward", "terminated"):
            if getattr(self, name).shape != self.next_state.shape:
                raise ValueError(f"{name} must have the shape of next_state, "
                                 f"{self.next_state.shape}, got {getattr(self, name).shape}")
        S = self.next_state.shape[0]
        if self.start.shape != (S,):
            raise ValueError(f"start must have shape ({S},), got {self.start.shape}")
        if not np.issubdtype(self.next_state.dtype, np.integer):
            raise ValueError(f"next_state must hold integers, got {self.next_state.dtype}")
        if self.terminated.dtype != bool:
            raise ValueError(f"terminated must hold booleans, got {self.terminated.dtype}")
        _refuse_first("next_state", self.next_state, f"must lie in [0, {S})",
                      (self.next_state < 0) | (self.next_state >= S))
        _refuse_first("reward", self.reward, "must be finite", ~np.isfinite(self.reward))
        _refuse_first("prob", self.prob, "must lie in [0, 1]",
                      ~((self.prob >= 0) & (self.prob <= 1)))
        _refuse_first("start", self.start, "must lie in [0, 1]",
                      ~((self.start >= 0) & (self.start <= 1)))
        total = self.prob.sum(axis=2)
        _refuse_first("prob", total, "must sum to one", np.abs(total - 1) > 1e-9)
        if abs(self.start.sum() - 1) > 1e-9:
            raise ValueError(f"start must sum to one, got {self.start.sum()}")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1], got {self.gamma}")
        # Sixty-four bits, because a small type would wrap around in a flat index.
        object.__setattr__(self, "next_state", self.next_state.astype(np.int64))
        for name in ("next_state", "prob", "reward", "terminated", "start"):
            getattr(self, name).flags.writeable = False

    @classmethod
    def from_gymnasium(cls, P, start=0, gamma=1.0):
        """A world from the law of a tabular Gymnasium environment, `env.unwrapped.P`.

        Parameters
        ----------
        P : dict or list
            P[s][a] is a list of (probability, next state, reward, terminated).  States and actions
            are numbered from 0, and every state has the same actions.
        start : int or (S,) float
            The first state, or its distribution; many environments hold theirs as
            `env.unwrapped.initial_state_distrib`.  P does not say it.
        gamma : float in [0, 1]
            P does not say it either.

        Returns
        -------
        TabularMDP
            K is the largest number of outcomes; a shorter list is filled up with outcomes of
            probability zero.

        Raises
        ------
        ValueError
            If P is no such table, or its entries are impossible; the entry is named.

        Examples
        --------
        >>> coin = TabularMDP.from_gymnasium({0: {0: [(1.0, 0, 1.0, False)],
        ...                                       1: [(1.0, 0, 0.0, True)]}})
        >>> coin.P == coin_game().P
        True
        """
        rows = [_numbered(f"P[{s}]", row) for s, row in enumerate(_numbered("P", P))]
        S, A = len(rows), len(rows[0])
        outcomes = {(s, a, k): outcome for s, row in enumerate(rows) for a, listed in enumerate(row)
                    for k, outcome in enumerate(_numbered(f"P[{s}][{a}]", listed))}
        shape = S, A, 1 + max(k for _, _, k in outcomes)
        next_state, terminated = np.zeros(shape, int), np.zeros(shape, bool)
        prob, reward = np.zeros(shape), np.zeros(shape)
        for s, row in enumerate(rows):
            if len(row) != A:
                raise ValueError(f"P[{s}] must have {A} actions, as P[0] has, got {len(row)}")
        for (s, a, k), outcome in outcomes.items():
            _check_outcome(f"P[{s}][{a}][{k}]", outcome, S)
            prob[s, a, k], next_state[s, a, k], reward[s, a, k], terminated[s, a, k] = outcome
        if np.ndim(start) == 0:
            if not isinstance(start, Integral) or not 0 <= start < S:
                raise ValueError(f"start must be a state in [0, {S}), got {start!r}")
            start = np.eye(S)[start]
        return cls(next_state=next_state, prob=prob, reward=reward, terminated=terminated,
                   start=np.asarray(start, float), gamma=gamma)

    @property
    def P(self):
        """The law as Gymnasium has it: P[s][a] = [(probability, next state, reward, terminated)].

        A new dict of plain Python numbers at every call.  Outcomes that differ in nothing but their
        probability are merged, and impossible ones are left out.
        """
        columns = [table.tolist() for table in (self.prob, self.next_state, self.reward,
                                                self.terminated)]
        law = {}
        for s, row in enumerate(zip(*columns)):
            law[s] = {}
            for a, outcomes in enumerate(zip(*row)):
                chances = {}
                for prob, *outcome in zip(*outcomes):
                    if prob > 0:
                        chances[tuple(outcome)] = chances.get(tuple(outcome), 0.0) + prob
                law[s][a] = [(prob, *outcome) for outcome, prob in chances.items()]
        return law

    @property
    def shape(self):
        """(S, A), the shape of every policy, logit and action-value table of this world."""
        return self.next_state.shape[:2]

    @cached_property
    def mean_reward(self):
        """r(s, a) of (mdp.1), shape (S, A)."""
        return _frozen((self.prob * self.reward).sum(axis=2))

    @cached_property
    def transitions(self):
        """P(s'|s, a) of (mdp.2), sparse (S·A, S); row s·A + a sums to the chance of going on."""
        S, A, K = self.next_state.shape
        going_on = sparse.csr_array(((self.prob * ~self.terminated).ravel(),
                                     self.next_state.flatten(),  # a copy: it is sorted in place
                                     np.arange(0, S * A * K + 1, K)), shape=(S * A, S))
        going_on.sum_duplicates()
        going_on.eliminate_zeros()
        _frozen(going_on.data)
        return going_on

    @cached_property
    def outcome_thresholds(self):
        """The thresholds of (sampling.1) for the outcomes of each pair, shape (K − 1, S·A)."""
        S, A, K = self.prob.shape
        return _frozen(thresholds(self.prob).reshape(K - 1, S * A))

    @cached_property
    def start_thresholds(self):
        """The same for the first state, shape (S − 1,)."""
        return _frozen(thresholds(self.start))


def coin_game(*, gamma=1.0):
    """The smallest world with an ending, and the example of the docstrings: one state, two actions.

    Head (action 0) pays 1 and goes on, tail (action 1) ends.  A policy with π(head) = p is worth
    p/(1 − p) at gamma 1.  Read as a language, it has one letter and an end symbol.

    Examples
    --------
    >>> coin_game().terminated.tolist()
    [[[False], [True]]]
    """
    return TabularMDP(next_state=np.zeros((1, 2, 1), int), prob=np.ones((1, 2, 1)),
                      reward=np.array([[[1.0], [0.0]]]), terminated=np.array([[[False], [True]]]),
                      start=np.ones(1), gamma=gamma)


def _frozen(array):
    """An array that nobody can write to any more."""
    array.flags.writeable = False
    return array


def _numbered(name, table):
    """The entries 0, 1, 2, … of a dict or list, as a list."""
    if not isinstance(table, (dict, list, tuple)) or not table:
        raise ValueError(f"{name} must be a dict or a list of at least one entry, got {table!r}")
    if isinstance(table, dict) and set(table) != set(range(len(table))):
        raise ValueError(f"{name} must have the keys 0 to {len(table) - 1}, "
                         f"got {list(table)[:5]} …")
    return [table[i] for i in range(len(table))]


def _check_outcome(name, outcome, S):
    """Raise ValueError unless `outcome` is (probability, next state, reward, terminated)."""
    if not isinstance(outcome, (tuple, list)) or len(outcome) != 4:
        raise ValueError(f"{name} must be (probability, next state, reward, terminated), "
                         f"got {outcome!r}")
    prob, next_state, reward, terminated = outcome
    if not isinstance(prob, Real) or not 0 <= prob <= 1:
        raise ValueError(f"{name} must have a probability in [0, 1], got {prob!r}")
    if not isinstance(next_state, Integral) or not 0 <= next_state < S:
        raise ValueError(f"{name} must lead to a state in [0, {S}), got {next_state!r}")
    if not isinstance(reward, Real) or not np.isfinite(reward):
        raise ValueError(f"{name} must have a finite reward, got {reward!r}")
    if not isinstance(terminated, (bool, np.bool_)):
        raise ValueError(f"{name} must say True or False at its end, got {terminated!r}")


def _refuse_first(name, values, rule, wrong):
    """Raise ValueError naming the first entry where `wrong` is true."""
    if wrong.any():
        entry = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name}[{', '.join(map(str, entry))}] {rule}, got {values[entry]}")


class Rollout(NamedTuple):
    """N episodes of at most T steps as time-major rectangles, one episode a column.

    T is the length of the longest episode.  After its end an episode is dead: `alive` is False and
    the other entries are zero.
    """

    states: np.ndarray      # (T, N) int, the state in which step t was taken
    actions: np.ndarray     # (T, N) int
    rewards: np.ndarray     # (T, N) float
    alive: np.ndarray       # (T, N) bool, step t was taken; true, then false, in each column
    terminated: np.ndarray  # (T, N) bool, step t ended the episode
    last_state: np.ndarray  # (N,) int, the state after the last step
    truncated: np.ndarray   # (N,) bool, the horizon cut the episode

    @property
    def next_states(self):
        """The state after each step, (T, N) int; zero after an episode's end."""
        following = np.zeros_like(self.states)
        following[:-1] = self.states[1:]
        last = self.alive.sum(axis=0) - 1
        following[last, np.arange(last.size)] = self.last_state
        return following

    def steps(self, shape):
        """These episodes as `counts.Steps` over a table of `shape` (S, A)."""
        return counts.from_rectangle(self.states, self.actions, self.alive, shape)


def check_policy(mdp, policy):
    """Raise ValueError unless `policy` (S, A) holds a distribution in each row of `mdp`'s table."""
    if policy.shape != mdp.shape:
        raise ValueError(f"policy must have shape {mdp.shape}, got {policy.shape}")
    _refuse_first("policy", policy, "must lie in [0, 1]", ~((policy >= 0) & (policy <= 1 + 1e-9)))
    total = policy.sum(axis=1)
    _refuse_first("policy", total, "must sum to one", np.abs(total - 1) > 1e-9)


def check_count(name, value):
    """Raise ValueError, by name, unless a number of things is a whole number from 1 upwards.

    Examples
    --------
    >>> check_count("horizon", 200)
    """
    if not float(value).is_integer():
        raise ValueError(f"{name} must be a whole number, got {value}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def move(mdp, states, actions, numbers):
    """Move N parallel worlds by one step; the outcomes are decided by uniform numbers.

    Parameters
    ----------
    mdp : TabularMDP
    states, actions : (N,) int
        *Trusted*, since this is the inner loop of everything that plays: an action A would silently
        be read as action 0 of the next state.  `step` is the form that checks.
    numbers : (N,) float
        One number in [0, 1) a world, which decides the outcome by (sampling.1).

    Returns
    -------
    next_states (N,) int, rewards (N,) float, terminated (N,) bool

    Examples
    --------
    >>> move(coin_game(), np.array([0]), np.array([1]), np.array([0.5]))
    (array([0]), array([0.]), array([ True]))
    """
    A, K = mdp.next_state.shape[1:]
    outcome = pair = states * A + actions
    if K > 1:
        outcome = pair * K + draw(mdp.outcome_thresholds.take(pair, axis=1), numbers)
    return mdp.next_state.take(outcome), mdp.reward.take(outcome), mdp.terminated.take(outcome)


def step(mdp, states, actions, rng, *, auto_reset=False):
    """Move N parallel worlds by one step.

    Parameters
    ----------
    mdp : TabularMDP
    states, actions : (N,) int
        Where each world stands, and what is done there.
    rng : Generator or seed
        A Generator advances; a seed would draw the same luck at every call.
    auto_reset : bool
        Whether a world whose episode ended with this step stands on a new first state afterwards.

    Returns
    -------
    next_states : (N,) int
        The states after the step, or the first states of new episodes where `auto_reset` asks for
        them.  Nothing is lost by that: after a termination there is no state to learn from.
    rewards : (N,) float
    terminated : (N,) bool

    Raises
    ------
    ValueError
        If the arrays are not vectors of one length, or an entry is no state or action.

    Examples
    --------
    >>> coin, rng = coin_game(), np.random.default_rng(0)
    >>> next_states, rewards, terminated = step(coin, np.array([0, 0]), np.array([0, 1]), rng)
    >>> print(next_states, rewards, terminated)
    [0 0] [1. 0.] [False  True]
    """
    for name, values, bound in (("states", states, mdp.shape[0]), ("actions", actions,
                                                                   mdp.shape[1])):
        _check_numbers(name, values, bound)
    if states.shape != actions.shape:
        raise ValueError(f"actions must have the shape of states, {states.shape}, "
                         f"got {actions.shape}")
    rng = generator(rng)
    next_states, rewards, terminated = move(mdp, states.astype(np.int64),
                                            actions.astype(np.int64), rng.random(states.size))
    if auto_reset and terminated.any():
        next_states[terminated] = start_states(mdp, int(terminated.sum()), rng)
    return next_states, rewards, terminated


def _check_numbers(name, values, bound):
    """Raise ValueError unless `values` is a vector of at least one whole number in [0, bound)."""
    if (values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.integer)
            or values.min() < 0 or values.max() >= bound):
        raise ValueError(f"{name} must be a vector of whole numbers in [0, {bound}), got {values}")


def start_states(mdp, episodes, rng):
    """Draw `episodes` first states from `mdp.start`: (episodes,) int.

    Parameters
    ----------
    mdp : TabularMDP
    episodes : int ≥ 1
    rng : Generator or seed; or a tuple of Generators, one an episode

    Raises
    ------
    ValueError
        If `episodes` is not positive, or not the number of Generators.

    Examples
    --------
    >>> print(start_states(coin_game(), 3, rng=0))
    [0 0 0]
    """
    check_count("episodes", episodes)
    rng = _for_episodes(rng, episodes)
    numbers, = uniform(rng, 1, np.arange(episodes))
    return first_states(mdp, numbers)


def first_states(mdp, numbers):
    """The first state that each uniform number draws from `mdp.start`: int, in the same shape.

    All are drawn from one distribution, so that counting the thresholds that are ≤ u, as
    (sampling.1) wants it, is a search in a sorted list.

    Examples
    --------
    >>> print(first_states(unroll(coin_game(), 3), np.array([[0.1], [0.9]])))
    [[0]
     [0]]
    """
    return mdp.start_thresholds.searchsorted(numbers, side="right")


def _for_episodes(rng, episodes):
    """The randomness of a batch: one Generator for all, or a tuple with one an episode."""
    if not isinstance(rng, tuple):
        return generator(rng)
    if len(rng) != episodes:
        raise ValueError(f"rng must hold one Generator an episode, {episodes}, got {len(rng)}")
    return rng


class Moves(NamedTuple):
    """One step of N worlds."""

    states: np.ndarray      # (N,) int, where each was
    actions: np.ndarray     # (N,) int
    rewards: np.ndarray     # (N,) float
    terminated: np.ndarray  # (N,) bool, the step ended the episode
    next_states: np.ndarray  # (N,) int, of the next step: a first state where an episode ended


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
        return states.astype(np.int64, copy=False) << self.draw.bits

    def moves(self, states, cell):
        """What the cells of these states stand for, as `Moves`."""
        return Moves(states, *(table.take(cell) for table in (self.actions, self.rewards,
                                                              self.terminated, self.next_states)))


def _chain(mdp, policy):
    S, A, K = mdp.next_state.shape
    joint = np.zeros((S + 1, A * K))
    joint[:S] = (policy[:, :, None] * mdp.prob).reshape(S, A * K)
    joint[S, 0] = 1
    draw = alias(joint)

    def by_cell(values, dead):
        table = np.full((S + 1, 2**draw.bits), dead)
        table[:S, :A * K] = np.broadcast_to(values, (S, A, K)).reshape(S, A * K)
        return table.ravel()

    return _Chain(draw, by_cell(np.arange(S)[:, None, None], 0), by_cell(np.arange(A)[:, None], 0),
                  by_cell(mdp.reward, 0.0), by_cell(mdp.terminated, False),
                  by_cell(mdp.next_state, 0),
                  by_cell(np.where(mdp.terminated, S, mdp.next_state) << draw.bits,
                          S << draw.bits))


def walk(mdp, policy, states, *, rng):
    """Move N worlds under a policy, for ever: yields `Moves`, one step at a time.

    Where an episode ends, the next one begins at once.  There is no time limit.

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
        π(a|s).
    states : (N,) int
        Where each world begins.
    rng : Generator or seed

    Yields
    ------
    Moves

    Raises
    ------
    ValueError
        If the policy is not one for this world, or a state is outside the table; at the first step.

    Examples
    --------
    >>> from itertools import islice
    >>> for moves in islice(walk(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), rng=3), 2):
    ...     print(moves.actions, moves.rewards)
    [1 0 0 0] [0. 1. 1. 1.]
    [0 1 1 1] [1. 0. 0. 0.]
    """
    check_policy(mdp, policy)
    _check_numbers("states", states, mdp.shape[0])
    rng, chain = generator(rng), _chain(mdp, policy)
    begins = np.flatnonzero(mdp.start)
    if begins.size == 1:  # then every end leads there
        chain = chain._replace(next_states=np.where(chain.terminated, begins, chain.next_states))
    first, everyone = chain.first(states), np.arange(states.size)
    while True:
        for numbers in words(rng, BLOCK, everyone):
            moves = chain.moves(first >> chain.draw.bits, cells(chain.draw, first, numbers))
            if begins.size > 1 and moves.terminated.any():
                over = np.flatnonzero(moves.terminated)
                moves.next_states[over] = start_states(mdp, over.size, rng)
            first = chain.first(moves.next_states)  # before anybody can write to them
            yield moves


def rollout(mdp, policy, starts, *, horizon, rng):
    """Play one episode from each start state, all at once.

    Parameters
    ----------
    mdp : TabularMDP
    policy : (S, A) float
        π(a|s): rows of probabilities, not logits, so that a greedy policy may be played too.
    starts : (N,) int
        The first state of each episode; see `start_states`.
    horizon : int ≥ 1
        Episodes that have not ended after this many steps are truncated.
    rng : Generator or seed; or a tuple of Generators, one an episode
        With a tuple an episode is the same, whatever is played beside it.

    Returns
    -------
    Rollout

    Raises
    ------
    ValueError
        If the policy is not one for this world, there is no episode, a start state is outside the
        table, the horizon is not positive, or there is not one Generator an episode.

    Examples
    --------
    >>> play = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=3, rng=10)
    >>> print(play.actions)
    [[1 1 0 0]
     [0 0 1 0]
     [0 0 0 0]]
    >>> print(play.rewards.sum(axis=0), play.truncated)
    [0. 0. 1. 3.] [False False False  True]
    """
    check_policy(mdp, policy)
    chain = _chain(mdp, policy)
    phases = list(_play(mdp, chain, starts, horizon, rng))
    N, dead = starts.size, mdp.shape[0] << chain.draw.bits
    lengths = np.zeros(N, int)
    for who, _, cell in phases:
        lengths[who] += (cell < dead).sum(axis=0)
    T = lengths.max()
    happened = np.full((T, N), dead)
    for who, since, cell in phases:
        happened[since:since + len(cell), who] = cell[:T - since]
    alive, last = happened < dead, happened[lengths - 1, np.arange(N)]
    moves = chain.moves(chain.states.take(happened), happened)
    return Rollout(moves.states, moves.actions, moves.rewards, alive, moves.terminated,
                   chain.next_states.take(last), ~chain.terminated.take(last))


def pairs_played(mdp, policy, starts, *, horizon, rng):
    """The same episodes as those of `rollout`, as `counts.Steps`, where nothing else is wanted.

    Parameters and errors are those of `rollout`.

    Examples
    --------
    >>> coin, fair = coin_game(), np.array([[0.5, 0.5]])
    >>> print(pairs_played(coin, fair, np.zeros(4, int), horizon=3, rng=10).index)
    [1 1 0 1 0 0 0]
    """
    check_policy(mdp, policy)
    chain = _chain(mdp, policy)
    pairs = (chain.states * mdp.shape[1] + chain.actions).astype(np.int32)
    pairs[-2**chain.draw.bits:] = -1
    parts = [(who, pairs.take(cell)) for who, _, cell in _play(mdp, chain, starts, horizon, rng)]
    return counts.from_parts(parts, starts.size, mdp.shape)


def _play(mdp, chain, starts, horizon, rng):
    """Episodes from start to end or horizon, in phases: yields (who, since, cells (t, n)).

    The dead stay where they are, and after each block of steps they are counted.  Where they are
    half of those who play, a new phase begins without them, so that at its beginning a block costs
    at most twice what the living need.  With a generator each, the dead leave with the block in
    which they die: what an episode draws depends on nobody else.
    """
    _check_numbers("starts", starts, mdp.shape[0])
    check_count("horizon", horizon)
    rng, dead = _for_episodes(rng, starts.size), mdp.shape[0] << chain.draw.bits
    who, first, since = np.arange(starts.size), chain.first(starts), 0
    while who.size and since < horizon:
        rows, left = [], int(horizon) - since
        few = who.size - 1 if isinstance(rng, tuple) else who.size // 2
        while np.count_nonzero(first < dead) > few and len(rows) < left:
            for numbers in words(rng, min(BLOCK, left - len(rows)), who):
                rows.append(cells(chain.draw, first, numbers))
                first = chain.onward.take(rows[-1])
        yield who, since, np.stack(rows)
        since, going = since + len(rows), first < dead
        who, first = who[going], first[going]


def unroll(mdp, horizon):
    """The same world with a time limit inside: state t·S + s is state s after t steps.

    The step at time horizon − 1 always terminates, so every policy ends, at any gamma, and the best
    policy of this world is the best one that may look at the clock.

    Parameters
    ----------
    mdp : TabularMDP
    horizon : int ≥ 1

    Returns
    -------
    TabularMDP
        With horizon·S states.  Its episodes start at time 0.

    Raises
    ------
    ValueError
        If the horizon is not positive.

    Examples
    --------
    >>> timed = unroll(coin_game(), 3)
    >>> timed.shape, timed.next_state[:, 0, 0].tolist(), timed.terminated[:, 0, 0].tolist()
    ((3, 2), [1, 2, 2], [False, False, True])
    """
    check_count("horizon", horizon)
    S = mdp.shape[0]
    later = np.minimum(np.arange(1, horizon + 1), horizon - 1)[:, None, None, None] * S
    terminated = np.tile(mdp.terminated, (horizon, 1, 1))
    terminated[-S:] = True
    return TabularMDP(next_state=(later + mdp.next_state).reshape(terminated.shape),
                      prob=np.tile(mdp.prob, (horizon, 1, 1)),
                      reward=np.tile(mdp.reward, (horizon, 1, 1)),
                      terminated=terminated,
                      start=np.concatenate([mdp.start, np.zeros((horizon - 1) * S)]),
                      gamma=mdp.gamma)
