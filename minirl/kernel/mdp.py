"""What is a world, written down so that one can compute with it?

*Part 1.  Previous: `sampling`, a side road.  Next: `playing`.*

This chapter turns the worlds of chapter 0 into a few arrays.  In a *tabular* world the states and
the actions are numbered.  An action may have several *outcomes*, such as the three directions in
which the ice may lead.  Four arrays describe the outcome k of the action a in the state s:

    `prob[s, a, k]`         its probability
    `next_state[s, a, k]`   the state that it leads to
    `reward[s, a, k]`       what it pays
    `terminated[s, a, k]`   whether the episode ends with it

With S states, A actions per state and at most K outcomes per action, each array has the shape
(S, A, K).  Where an action has fewer outcomes, the others have probability 0.  For an ending any
state may stand as the next one: nothing depends on it, since the episode is over.

The state s_0 in which an episode begins is drawn from the *start distribution* start(s).  All this,
with the discount γ, is a *Markov decision process*: the *law* of a world.  *Decision* says that
there are actions.  *Markov* says that s and a alone decide the chances of what comes next: how the
agent came to s does not matter.

**In numbers.**  Here is a small lake.  The agent has two actions, right and down.  The ice leads
where it was asked to with the chance 3/4, and in the other one of the two directions with 1/4.

    S F    0 1      s   a       outcome 0 (3/4)          outcome 1 (1/4)
    H G    2 3      0   right   to 1                     to 2, ends
                    0   down    to 2, ends               to 1
    the    the      1   right   stays in 1               to 3, pays 1, ends
    map    states   1   down    to 3, pays 1, ends       stays in 1

The agent never acts in the hole 2 or at the goal 3.  Yet they have rows, since an array has a place
for each state and action.  These rows are filled with endings.

>>> lake = TabularMDP(
...     next_state=[[[1, 2], [2, 1]], [[1, 3], [3, 1]], [[2, 2], [2, 2]], [[3, 3], [3, 3]]],
...     prob=[[[0.75, 0.25], [0.75, 0.25]]] * 4,
...     reward=[[[0, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]],
...     terminated=[[[False, True], [True, False]], [[False, True], [True, False]],
...                 [[True, True], [True, True]], [[True, True], [True, True]]],
...     start=[1, 0, 0, 0], gamma=0.9)

**A word** is a path through such a world.  In a language the state is the last character, and an
action has one outcome: it leads to the character that was written.  The end symbol ends; it shares
the number 0 with the start.  The path of "sun" is

    start ──s──> s ──u──> u ──n──> n ──end──> over        `next_state[s, a, 0]` = a

**Two tables.**  The mean return depends on the outcomes through two tables only: the mean reward
r(s, a) of a step, and the chance P(s'|s, a) that it leads to s' and the episode goes on.  Let 1{…}
be 1 if the statement in the braces is true, and 0 otherwise.  Sums over the outcomes give

    r(s, a)    = Σ_k prob[s, a, k] reward[s, a, k],                                          (mdp.1)
    P(s'|s, a) = Σ_k prob[s, a, k] 1{outcome k leads to s' and does not end the episode}.    (mdp.2)

In the lake r(1, down) = 3/4 · 1 + 1/4 · 0.  The step (0, right) goes on with the chance 3/4, in the
state 1.  The rest of its row of P is missing: an ending is a leak.  The sum of a row is 1 minus the
probability that the step ends the episode.  `transitions` holds P as a sparse matrix, with a row
for each (s, a):

>>> print(lake.mean_reward[:2])
[[0.   0.  ]
 [0.25 0.75]]
>>> print(lake.transitions.toarray()[:4])  # (0, right), (0, down), (1, right), (1, down)
[[0.   0.75 0.   0.  ]
 [0.   0.25 0.   0.  ]
 [0.   0.75 0.   0.  ]
 [0.   0.25 0.   0.  ]]

**The objective** is the mean return, where E is the mean over the episodes that the policy plays:

    J(π) = E[Σ_t γᵗ r_t],   s_0 ~ start,  a_t ~ π(·|s_t).                                    (mdp.3)

The sign ~ says "is drawn from", and π(·|s) is the row of the state s.  The discount can be read as
impatience, or as a chance of going on: if every step had the further chance 1 − γ to be the last
one, the agent would reach step t with γᵗ times the probability, and the mean sum of its rewards,
undiscounted, would be J.  The discount also keeps sums finite: a reward of 1 per step for ever is
worth 1 + γ + γ² + … = 1/(1 − γ) in all.  So at γ = 1 there is a J only where episodes end.

**The coin game** has one state.  Head pays 1 and goes on, tail pays nothing and ends.  Let π show
head with the probability p, and let γ be 1.  There are two ways to J:

- *A sum.*  Head number n is paid if the first n tosses are all heads, with the chance pⁿ.  So the
  mean return is J = p + p² + p³ + …, a geometric series.  Times p it is p² + p³ + p⁴ + …, the same
  sum without its first term: pJ = J − p.
- *The first step.*  With the chance p, head pays 1 and the game stands where it began, worth J once
  more.  With the chance 1 − p it is over.  So J = p (1 + J).

Both say that J (1 − p) = p, hence J = p/(1 − p).  A fair coin has J = 1, and p = 0.9 has J = 9.  At
p = 1 there is no end and no J.  A discount multiplies what comes after the first step, so that then
J = p (1 + γJ), hence J = p/(1 − γp).

>>> p, gamma = 0.9, 0.9
>>> print(round(sum(p**n for n in range(1, 1000)), 4), round(p / (1 - gamma * p), 4))
9.0 4.7368

**A clock.**  With a time limit the best action may depend on the time that is left.  `unroll` makes
the limit part of the world.  A state of the new world is a pair, a time and a state of the old one,
and the step at the last time ends.  So every episode ends, whatever the policy, and γ may be 1.

**Actions that are not available.**  A driver cannot set down a passenger who is not on board.
`available[s, a]` says which actions a state has, at least one each.  A policy plays only these: the
others have probability 0 and a logit of −∞.  `masked` makes such tables of logits, and `uniform` is
the policy that takes all available actions equally often.

*Gymnasium* is a library of worlds.  `TabularMDP.from_gymnasium` reads the law of one that is
tabular, and `TabularMDP.P` writes a law in its form.

**Exercises.**  `from minirl.kernel.mdp import *`
1. A coin with p = 0.99 has J = 99 at γ = 1.  How much of it does γ = 0.99 leave?
       round(0.99 / (1 - 0.99 * 0.99), 4)
2. To what do the rows of P(s'|s, a) sum in the coin game, for head and for tail?
       coin_game().transitions.sum(axis=1)
3. A clock allows three tosses.  Which of head and tail end the game, toss by toss?
       unroll(coin_game(), 3).terminated[:, :, 0].tolist()

Read next: `playing`, which draws episodes from a law.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, chapter 3; Pardo et al. 2018, "Time
limits in reinforcement learning", arXiv:1712.00378, for the clock.
"""

from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
from scipy import sparse

from minirl.kernel import checks
from minirl.kernel.sampling import thresholds

ARRAYS = "next_state", "prob", "reward", "terminated", "start", "available"
LAW = [("prob", float), ("next_state", int), ("reward", float), ("terminated", bool)]  # Gymnasium's


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A world of S states and A actions, each with K possible outcomes.

    The arrays are copied and checked when the world is made, and are read-only after that.  Numbers
    are kept in double precision, whatever precision they came in.  `coin_game` is an example.

    Examples
    --------
    >>> coin = coin_game()
    >>> coin.shape, coin.mean_reward.tolist(), coin.transitions.toarray().tolist()
    ((1, 2), [[1.0, 0.0]], [[1.0], [0.0]])
    """

    next_state: np.ndarray  # (S, A, K) int
    prob: np.ndarray        # (S, A, K) float, summing to one for each (s, a)
    reward: np.ndarray      # (S, A, K) float
    terminated: np.ndarray  # (S, A, K) bool
    start: np.ndarray       # (S,) float, the distribution of the first state
    gamma: float            # in [0, 1]
    available: np.ndarray = None  # (S, A) bool; None: every action in every state

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

    @property
    def shape(self):
        """(S, A), the shape of every policy, logit and action-value table of this world."""
        return self.next_state.shape[:2]

    @cached_property
    def uniform(self):
        """The policy (S, A) that takes every available action equally often."""
        return _frozen(self.available / self.available.sum(axis=1, keepdims=True))

    def masked(self, table):
        """A table (S, A) of logits or action values, with −∞ where the action is not available.

        Examples
        --------
        >>> from dataclasses import replace
        >>> game = replace(coin_game(), available=np.array([[True, False]]))
        >>> print(game.masked(np.zeros((1, 2))), game.uniform)
        [[  0. -inf]] [[1. 0.]]
        """
        checks.shape("table", table, self.shape)
        return np.where(self.available, table, -np.inf)

    @cached_property
    def thresholds(self):
        """Those of (sampling.1) for all outcomes, (K − 1, S·A), and for the start, (S − 1,)."""
        S, A, K = self.prob.shape
        return thresholds(self.prob).reshape(K - 1, S * A), thresholds(self.start)

    def __post_init__(self):
        if self.available is None:
            object.__setattr__(self, "available", np.full(np.shape(self.next_state)[:2], True))
        arrays = {name: _array(name, getattr(self, name)) for name in ARRAYS}
        next_state = arrays["next_state"]
        if next_state.ndim != 3 or next_state.size == 0:
            raise ValueError(f"next_state must have shape (S, A, K), got {next_state.shape}")
        S = next_state.shape[0]
        for name, shape in zip(ARRAYS[1:], 3 * [next_state.shape] + [(S,), next_state.shape[:2]]):
            checks.shape(name, arrays[name], shape)
        _refuse_first("next_state", next_state, f"must lie in [0, {S})",
                      ~((next_state >= 0) & (next_state < S)))
        _refuse_first("next_state", next_state, "must be a whole number", next_state % 1 != 0)
        arrays["next_state"] = next_state.astype(np.int64)  # a small type would wrap around
        _refuse_first("reward", arrays["reward"], "must be finite", ~np.isfinite(arrays["reward"]))
        arrays["reward"] = arrays["reward"].astype(float)
        for name in "prob", "start":
            arrays[name] = _doubled(arrays[name])
            _check_distributions(name, arrays[name])
        able = arrays["available"].sum(axis=1)
        _refuse_first("available", able, "must be at least one action", able == 0)
        checks.fraction("gamma", self.gamma)
        for name in ARRAYS:
            object.__setattr__(self, name, _frozen(arrays[name]))

    @property
    def P(self):
        """The law as Gymnasium has it: P[s][a] = [(probability, next state, reward, terminated)].

        Every call makes a new dict of plain Python numbers.  Outcomes that differ only in their
        probability are merged, and impossible ones are left out.  `available` is not part of it.
        """
        law = {s: {} for s in range(len(self.start))}
        for s, a in np.ndindex(self.shape):
            chances = {}
            for prob, *outcome in zip(*(getattr(self, name)[s, a].tolist() for name, _ in LAW)):
                if prob > 0:
                    chances[tuple(outcome)] = chances.get(tuple(outcome), 0.0) + prob
            law[s][a] = [(prob, *outcome) for outcome, prob in chances.items()]
        return law

    @classmethod
    def from_gymnasium(cls, P, start=0, gamma=1.0, available=None) -> "TabularMDP":
        """A world from the law of a tabular Gymnasium environment, `env.unwrapped.P`.

        P[s][a] is a list of (probability, next state, reward, terminated), in dicts or lists, and
        all states have the same actions.  K is the largest number of outcomes: a shorter list is
        filled up with outcomes of probability zero.  P does not say where episodes start: `start`
        is a state or a distribution (S,), which many environments hold as
        `env.unwrapped.initial_state_distrib`.  P does not say what is available either: `available`
        (S, A) may be made of action masks, which are 0 or 1.

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
        for s, row in enumerate(rows):
            if len(row) != A:
                raise ValueError(f"P[{s}] must have {A} actions, as P[0] has, got {len(row)}")
        law = np.zeros((S, A, 1 + max(k for _, _, k in outcomes)), LAW)
        for (s, a, k), outcome in outcomes.items():
            _check_outcome(f"P[{s}][{a}][{k}]", outcome, S)
            law[s, a, k] = tuple(outcome)
        if np.ndim(start) == 0:
            if not _is_state(start, S):
                raise ValueError(f"start must be a state in [0, {S}), got {start!r}")
            start = np.eye(S)[int(start)]
        # Probabilities of a smaller type add up to one only as exactly as their type can.
        types = [prob.dtype for prob, *_ in outcomes.values() if isinstance(prob, np.floating)]
        arrays = {name: law[name] for name, _ in LAW}
        arrays["prob"] = law["prob"].astype(min(types, key=lambda kind: kind.itemsize,
                                                default=float))
        if available is not None and np.isin(available, (0, 1)).all():
            available = np.equal(available, 1)
        return cls(**arrays, start=start, gamma=gamma, available=available)


def coin_game(*, gamma=1.0) -> TabularMDP:
    """The smallest world with an ending, and the example of many docstrings.

    Head (action 0) pays 1 and goes on, tail (action 1) ends.  A policy with π(head) = p is worth
    p/(1 − p) at gamma 1.  Read as a language, it has one letter, head, and an end symbol, tail.

    Examples
    --------
    >>> coin_game().terminated.tolist()
    [[[False], [True]]]
    """
    return TabularMDP(next_state=[[[0], [0]]], prob=[[[1.0], [1.0]]], reward=[[[1.0], [0.0]]],
                      terminated=[[[False], [True]]], start=[1.0], gamma=gamma)


def unroll(mdp, horizon) -> TabularMDP:
    """The same world with a time limit inside: state t·S + s is state s after t < horizon steps.

    The step at time horizon − 1 always terminates, so every policy ends, at any gamma, and the best
    policy of this world is the best one that may look at the clock.

    Examples
    --------
    >>> timed = unroll(coin_game(), 3)
    >>> timed.shape, timed.next_state[:, 0, 0].tolist(), timed.terminated[:, 0, 0].tolist()
    ((3, 2), [1, 2, 2], [False, False, True])
    """
    horizon, S = checks.whole("horizon", horizon), mdp.shape[0]
    later = np.minimum(np.arange(1, horizon + 1), horizon - 1)[:, None, None, None] * S
    terminated = np.tile(mdp.terminated, (horizon, 1, 1))
    terminated[-S:] = True
    prob, reward = (np.tile(table, (horizon, 1, 1)) for table in (mdp.prob, mdp.reward))
    return TabularMDP((later + mdp.next_state).reshape(prob.shape), prob, reward, terminated,
                      start=np.append(mdp.start, np.zeros((horizon - 1) * S)), gamma=mdp.gamma,
                      available=np.tile(mdp.available, (horizon, 1)))


def check_policy(mdp, policy):
    """A policy as an array (S, A), whose rows are distributions over what is available."""
    policy = checks.floats("policy", policy)
    checks.shape("policy", policy, mdp.shape)
    _check_distributions("policy", policy)
    _refuse_first("policy", policy, "must be 0, since the action is not available (see mdp.masked)",
                  (policy != 0) & ~mdp.available)
    return policy


def _check_distributions(name, rows):
    """Raise ValueError unless rows hold probabilities along the last axis, up to rounding."""
    _refuse_first(name, rows, "must lie in [0, 1]", ~((rows >= 0) & (rows <= 1 + 1e-9)))
    total = rows.sum(axis=-1)
    _refuse_first(name, total, "must sum to one", np.abs(total - 1) > 1e-9)


def _array(name, values):
    """A copy of numbers, or of booleans, as an array; whatever the numbers are."""
    try:
        array = np.array(values)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    what, kinds = (("booleans", "b") if name in ("terminated", "available") else
                   ("numbers", "biuf"))
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} must hold {what}, got {array.dtype}")
    return array


def _doubled(prob):
    """Distributions in double precision.  What came in a smaller one, and adds up to one as exactly
    as that can be, is divided by its sum."""
    double = prob.astype(float)
    if prob.dtype.kind == "f" and prob.dtype.itemsize < double.dtype.itemsize:
        total = double.sum(axis=-1, keepdims=True)
        close = np.abs(total - 1) <= 8 * np.finfo(prob.dtype).eps
        double = np.where(close, double / np.where(close, total, 1), double)
    return double


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
    prob, state, reward, end = outcome
    for good, rule, got in (
            (isinstance(prob, Real) and 0 <= prob <= 1, "have a probability in [0, 1]", prob),
            (_is_state(state, S), f"lead to a state in [0, {S})", state),
            (isinstance(reward, Real) and np.isfinite(reward), "have a finite reward", reward),
            (isinstance(end, (bool, np.bool_)), "say True or False at its end", end)):
        if not good:
            raise ValueError(f"{name} must {rule}, got {got!r}")


def _is_state(value, S):
    return (isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
            and 0 <= value < S and value % 1 == 0)


def _refuse_first(name, values, rule, wrong):
    """Raise ValueError naming the first entry where `wrong` is true."""
    if wrong.any():
        entry = np.argwhere(wrong)[0].tolist()
        raise ValueError(f"{name}{entry or ''} {rule}, got {values[tuple(entry)]}")
