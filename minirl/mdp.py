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

`rollout` plays many episodes at once: one array operation moves all of them by one step, and
episodes that have ended drop out, so that later steps cost less.  It draws by inverting the
cumulative distribution: with u uniform on [0, 1),

    draw the number of cumulative probabilities that are ≤ u.                                (mdp.4)

Read first: `softmax`, `counts`.  Read next: `planning`.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, chapter 3; Pardo et al. 2018, "Time
limits in reinforcement learning", arXiv:1712.00378.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from minirl import counts


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A world of S states and A actions, each with K possible outcomes.

    Checked when it is made, and read-only after that.

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
        for name in ("next_state", "prob", "reward", "terminated", "start"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @property
    def shape(self):
        """(S, A), the shape of every policy, logit and action-value table of this world."""
        return self.next_state.shape[:2]

    @cached_property
    def mean_reward(self):
        """r(s, a) of (mdp.1), shape (S, A)."""
        return (self.prob * self.reward).sum(axis=2)

    @cached_property
    def transitions(self):
        """P(s'|s, a) of (mdp.2), sparse (S·A, S); row s·A + a sums to the chance of going on."""
        S, A, K = self.next_state.shape
        going_on = sparse.csr_array(((self.prob * ~self.terminated).ravel(),
                                     self.next_state.flatten(),  # a copy: it is sorted in place
                                     np.arange(0, S * A * K + 1, K)), shape=(S * A, S))
        going_on.sum_duplicates()
        going_on.eliminate_zeros()
        return going_on

    @cached_property
    def outcome_thresholds(self):
        """The thresholds of (mdp.4) for the outcomes of each pair, shape (S·A, K − 1)."""
        S, A, K = self.prob.shape
        return thresholds(self.prob).reshape(S * A, K - 1)


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

    def steps(self, shape):
        """These episodes as `counts.Steps` over a table of `shape` (S, A)."""
        return counts.from_rectangle(self.states, self.actions, self.alive, shape)


def generator(rng):
    """A NumPy `Generator` from a Generator, a seed, or a saved `bit_generator.state`.

    A Generator is returned as it is and will advance; a saved state is copied, so that work
    continued from it draws the same numbers again.

    Examples
    --------
    >>> first = generator(7)
    >>> saved = first.bit_generator.state
    >>> first.random() == generator(saved).random()
    True
    """
    if isinstance(rng, dict):
        bits = getattr(np.random, rng["bit_generator"])()
        bits.state = rng
        return np.random.Generator(bits)
    return np.random.default_rng(rng)


def check_policy(mdp, policy):
    """Raise ValueError unless `policy` (S, A) holds a distribution in each row of `mdp`'s table."""
    if policy.shape != mdp.shape:
        raise ValueError(f"policy must have shape {mdp.shape}, got {policy.shape}")
    _refuse_first("policy", policy, "must lie in [0, 1]", ~((policy >= 0) & (policy <= 1 + 1e-9)))
    total = policy.sum(axis=1)
    _refuse_first("policy", total, "must sum to one", np.abs(total - 1) > 1e-9)


def thresholds(prob):
    """The running sums along the last axis that (mdp.4) compares with, all but the last.

    Divided by the total first, so that a last outcome of probability zero can never be drawn.

    Examples
    --------
    >>> print(thresholds(np.array([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]])))
    [[0.25 0.5 ]
     [0.   1.  ]]
    """
    running = prob.cumsum(axis=-1)
    return (running / running[..., -1:])[..., :-1]


def draw(rows, uniforms):
    """One outcome for each row of thresholds (N, n − 1), by (mdp.4), from uniforms (N,): (N,) int.

    Examples
    --------
    >>> print(draw(np.array([[0.25, 0.5], [0.0, 1.0]]), np.array([0.3, 0.0])))
    [1 1]
    """
    return (rows <= uniforms[:, None]).sum(axis=1)


def step(mdp, states, actions, uniforms):
    """Move N parallel worlds by one step.

    Parameters
    ----------
    mdp : TabularMDP
    states, actions : (N,) int
        *Trusted*, since this is the inner loop of everything that plays: an action A would silently
        be read as action 0 of the next state.
    uniforms : (N,) float
        One number in [0, 1) a world, which decides the outcome by (mdp.4).

    Returns
    -------
    next_states (N,) int, rewards (N,) float, terminated (N,) bool

    Examples
    --------
    >>> step(coin_game(), np.array([0]), np.array([1]), np.array([0.5]))
    (array([0]), array([0.]), array([ True]))
    """
    A, K = mdp.next_state.shape[1:]
    pair = states * A + actions
    outcome = pair * K + draw(mdp.outcome_thresholds.take(pair, axis=0), uniforms)
    return mdp.next_state.take(outcome), mdp.reward.take(outcome), mdp.terminated.take(outcome)


def start_states(mdp, episodes, rng):
    """Draw `episodes` first states from `mdp.start`: (episodes,) int.

    Raises ValueError if `episodes` is not positive.

    Examples
    --------
    >>> print(start_states(coin_game(), 3, rng=0))
    [0 0 0]
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    rows = np.broadcast_to(thresholds(mdp.start), (episodes, mdp.start.size - 1))
    return draw(rows, generator(rng).random(episodes))


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
    rng : Generator or seed

    Returns
    -------
    Rollout

    Raises
    ------
    ValueError
        If the policy is not one for this world, there is no episode, a start state is outside the
        table, or the horizon is not positive.

    Examples
    --------
    >>> play = rollout(coin_game(), np.array([[0.5, 0.5]]), np.zeros(4, int), horizon=3, rng=1)
    >>> print(play.actions)
    [[1 1 0 1]
     [0 0 1 0]]
    >>> print(play.rewards.sum(axis=0), play.truncated)
    [0. 0. 1. 0.] [False False False False]
    """
    check_policy(mdp, policy)
    if (starts.ndim != 1 or starts.size == 0 or not np.issubdtype(starts.dtype, np.integer)
            or starts.min() < 0 or starts.max() >= mdp.shape[0]):
        raise ValueError(f"starts must be a vector of states in [0, {mdp.shape[0]}), got {starts}")
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    rng = generator(rng)
    choices = thresholds(policy)
    running, states, trace = np.arange(starts.size), starts.astype(np.int64), []
    while running.size and len(trace) < horizon:
        choice, luck = rng.random((2, running.size))
        actions = draw(choices.take(states, axis=0), choice)
        following, rewards, ended = step(mdp, states, actions, luck)
        trace.append((running, states, actions, rewards, ended, following))
        running, states = running[~ended], following[~ended]

    T = len(trace)
    when = np.repeat(np.arange(T), [len(entry[0]) for entry in trace])
    who, *columns = (np.concatenate(parts) for parts in zip(*trace))

    def rectangle(values):
        table = np.zeros((T, starts.size), values.dtype)
        table[when, who] = values
        return table

    states, actions, rewards, ended, following = columns
    last_state, truncated = np.empty(starts.size, int), np.full(starts.size, False)
    last_state[who] = following  # in the order of time, so that the last one stays
    truncated[running] = True
    return Rollout(rectangle(states), rectangle(actions), rectangle(rewards),
                   rectangle(np.full(who.size, True)), rectangle(ended), last_state, truncated)


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
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
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
