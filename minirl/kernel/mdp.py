"""The Markov decision process: one object for a world you can draw and a world you can read.

*Part 1.  Previous: `sampling`.  Next: `playing`.*

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

*A clock in the world.*  With a time limit the best action may depend on the time that is left.
`unroll` makes the limit part of the world: its states are then (time, state), and its last
step terminates.  In such a world every policy ends, and γ may be 1.

*Actions that are not available.*  A driver cannot set down a passenger who is not on board.
`available[s, a]` says which actions a state has, at least one each.  A policy plays no other: an
action that is not available has probability 0, a logit of −∞, and the value −∞ in what solvers and
learners find.  `masked` makes such tables, and `uniform` is the policy that takes all available
actions equally often.

*Other people's worlds.*  Gymnasium's tabular environments hold their law as P[s][a], a list of
(probability, next state, reward, terminated), one entry per outcome.  `TabularMDP.from_gymnasium`
reads it, and `TabularMDP.P` writes it.

A world is only its law.  Two things can be done with a law: compute with it, which is what
`evaluation` and `planning` do, or draw from it, which is `playing`.

Read first: `softmax`, for what a policy is.  Read next: `playing`, then `evaluation`.
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

    Copied and checked when it is made, in double precision whatever it came in, and read-only after
    that.  `coin_game` shows how.

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

        A new dict of plain Python numbers at every call.  Outcomes that differ in nothing but their
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
    def from_gymnasium(cls, P, start=0, gamma=1.0, available=None):
        """A world from the law of a tabular Gymnasium environment, `env.unwrapped.P`.

        P[s][a] is a list of (probability, next state, reward, terminated), in dicts or lists, and
        all states have the same actions.  K is the largest number of outcomes: a shorter list is
        filled up with outcomes of probability zero.  P does not say where episodes start: `start`
        is a state or a distribution (S,), which many environments hold as
        `env.unwrapped.initial_state_distrib`.  Nor does it say what is available: `available`
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


def coin_game(*, gamma=1.0):
    """The smallest world with an ending, and the example of many docstrings.

    Head (action 0) pays 1 and goes on, tail (action 1) ends.  A policy with π(head) = p is worth
    p/(1 − p) at gamma 1.  Read as a language, it has one letter and an end symbol.

    Examples
    --------
    >>> coin_game().terminated.tolist()
    [[[False], [True]]]
    """
    return TabularMDP(next_state=[[[0], [0]]], prob=[[[1.0], [1.0]]], reward=[[[1.0], [0.0]]],
                      terminated=[[[False], [True]]], start=[1.0], gamma=gamma)


def unroll(mdp, horizon):
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
