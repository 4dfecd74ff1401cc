"""What the kernel refuses."""

from dataclasses import replace

import numpy as np
from refusals import fraction, not_negative, outside, positive, row, whole
from worlds import random_mdp

from minirl.kernel import checks, counts
from minirl.kernel.gradcheck import check
from minirl.kernel.mdp import TabularMDP, check_policy, unroll
from minirl.kernel.playing import rollout, start_states, step, steps_played, walk
from minirl.kernel.sampling import generator, generators
from minirl.kernel.softmax import backward, entropy_loss, kl, log_softmax

# Steps over a table of 3 states and 4 actions.

ONE, TWO, MANY = (counts.steps(np.zeros(n, int), np.zeros(n, int), np.arange(n + 1), (3, 4))
                  for n in (1, 2, 3))
ELSEWHERE = counts.steps(np.zeros(1, int), np.zeros(1, int), np.array([0, 1]), (4, 3))
GAPS = counts.steps(np.zeros(3, int), np.zeros(3, int), np.array([0, 1, 1, 3, 3]), (3, 4))
LONG = counts.Steps(np.zeros(0, np.int32), np.array([0, 2**30], np.int32), (1, 1))


def steps(message, states=(0, 1, 2), actions=(0, 1, 2), starts=(0, 3), shape=(3, 4)):
    """The row of `counts.steps`."""
    return row(lambda: counts.steps(*map(np.array, (states, actions, starts)), shape), message)


# A world of 4 states, 3 actions and 3 outcomes.

WORLD = random_mdp(np.random.default_rng(1), 4, 3, 3, 0.9)
FAIR = np.full((4, 3), 1 / 3)
HERE = np.zeros(2, int)


def changed(array, entry, value):
    """A copy of an array with another entry."""
    array = array.copy()
    array[entry] = value
    return array


def world(message, **tables):
    """The row of a world in which some table is another."""
    return row(lambda: replace(WORLD, **tables), message)


def entry(name, place, value, message):
    """The row of a world in which one entry of a table is another."""
    return world(f"{name}{message}, got ", **{name: changed(getattr(WORLD, name), place, value)})


def right(x):
    """A loss with its gradient."""
    return np.exp(x).sum(), np.exp(x)


POLICIES = [
    (np.full((3, 4), 0.25), "policy must have shape (4, 3), got (3, 4)"),
    (changed(FAIR, (2, 1), -0.5), "policy[2, 1] must lie in [0, 1], got -0.5"),
    (changed(FAIR, (1, 2), 1.5), "policy[1, 2] must lie in [0, 1], got 1.5"),
    (changed(FAIR, (0, 0), np.nan), "policy[0, 0] must lie in [0, 1], got nan"),
    (changed(FAIR, 3, 0.25), "policy[3] must sum to one, got 0.75"),
    (changed(FAIR, 1, 0.5), "policy[1] must sum to one, got 1.5"),
]
PLAYED = [(HERE.reshape(1, 2), "[0, 4), got [[0 0]]"), (HERE[:0], "[0, 4), got []"),
          (HERE + 4, "[0, 4), got [4 4]"), (HERE - 1, "[0, 4), got [-1 -1]"),
          (HERE + 0.5, "[0, 4), got [0.5 0.5]"), (HERE > 0, "[0, 4), got [False False]"),
          (HERE + np.nan, "[0, 4), got [nan nan]"), (["0"], "[0, 4), got ['0']"),
          ([[0], [0, 0]], "[0, 4), got [[0], [0, 0]]"), (0, "[0, 4), got 0")]


def played(play, starts=HERE, horizon=1, rng=0):
    """Play on the world."""
    return play(WORLD, FAIR, starts, horizon=horizon, rng=rng)


# Tables of Gymnasium's form.

END = [(1.0, 0, 0.0, True)]


def gymnasium(P, message, start=0, gamma=1.0):
    """The row of such a table."""
    return row(lambda: TabularMDP.from_gymnasium(P, start, gamma), message)


def outcome(rule, *parts):
    """The row of one outcome in such a table."""
    P = [[END, END], [END, [(0.5, 1, 0.0, False), parts]]]
    return gymnasium(P, f"P[1][1][1] must {rule}, got {parts}" if len(parts) != 4 else
                     f"P[1][1][1] must {rule}, got ")


ROWS = {
    "checks": [
        *whole("n", lambda n: checks.whole("n", n), 3),
        *whole("n", lambda n: checks.whole("n", n, least=0), 0, least=0),
        *fraction("x", lambda x: checks.fraction("x", x)),
        *positive("x", lambda x: checks.positive("x", x)),
        *not_negative("x", lambda x: checks.not_negative("x", x)),
        *outside("learning_rate", lambda x: checks.step_size(x, 0.5), (0, -1, 1.1, np.nan),
                 "(0, 1]"),
        *fraction("decay", lambda x: checks.step_size(0.5, x)),
        row(lambda: checks.finite("x", np.array([-np.inf])), "x must be finite, got [-inf]"),
        row(lambda: checks.finite("x", np.nan), "x must be finite, got nan"),
        row(lambda: checks.finite("x", ["a"]), "x must be finite, got ['a']"),
        *(row(lambda wrong=wrong: checks.weights("x", [wrong, 1.0], (2,)),
              f"x must be finite and not negative, got [{wrong!r}, 1.0]")
          for wrong in (-1e-300, np.nan, np.inf, "1", 1j)),
        *(row(lambda wrong=wrong: checks.group_sizes(wrong, 4), "num_generations must be", "got")
          for wrong in ([2, 1], [4, 0], [5], [2.5, 1.5], [], 0)),
        *(row(lambda wrong=wrong: checks.finite("x", wrong), f"x must be finite, got {got}")
          for wrong, got in ((None, "None"), ("a", "a"), ([1, None], "[1 None] (entry 1 is None"),
                             ([[1, 2], [3, np.inf]], "[[ 1.  2.]\n [ 3. inf]] (entry (1, 1) is "),
                             (["a"], "['a'] (entry 0 "), ([1, [2], None], "[1 list([2]) None] "),
                             (np.append(np.zeros(99), np.nan), "[ 0. ... nan] (entry 99 is nan)"))),
        row(lambda: checks.shape("x", np.zeros((3, 1)), (3,)),
            "x must have shape (3,), got (3, 1)"),
    ],
    "softmax": [
        *(row(lambda shape=shape: entropy_loss(np.zeros((3, 4)), np.ones(shape)),
              f"weights must have shape (3,), got {shape}")
          for shape in ((4,), (1,), (3, 1), (3, 4))),
        *(row(lambda shape=shape: backward(np.zeros((3, 4)), np.ones(shape)),
              f"G must end in shape (3, 4), got {shape}")
          for shape in ((1, 4), (3, 1), (4,), (), (3, 4, 1))),
        row(lambda: kl(np.zeros((3, 4)), np.zeros((1, 4))),
            "other_logp must have shape (3, 4), got (1, 4)"),
        row(lambda: log_softmax(1.0, "table"), "table must be a table (S, A), got 1.0"),
    ],
    "counts": [
        steps("states must lie in [0, 3), got [0, 3]", (0, 3, 1)),
        steps("states must lie in [0, 3), got [-1, 1]", (-1, 0, 1)),
        steps("actions must lie in [0, 4), got [0, 4]", actions=(0, 4, 1)),  # not (1, 0)
        steps("actions must lie in [0, 4), got [-1, 1]", actions=(0, 1, -1)),
        steps("states must be a vector of integers, got float64 of shape (3,)", (0.0, 1, 2)),
        steps("states must be a vector of integers, got int64 of shape (1, 3)", ((0, 1, 2),)),
        steps("actions must be a vector of integers, got bool of shape (3,)", actions=[True] * 3),
        steps("actions must have shape (3,), got (1,)", actions=(0,)),
        *(steps(f"starts must rise from 0 to 3, got {np.array(starts)}", starts=starts)
          for starts in ((0, 2), (0, 4), (1, 3), (-1, 3), (0, 2, 1, 3), (3,))),
        steps("starts must rise from 0 to 3", starts=np.zeros(0, int)),
        # A difference of numbers without a sign is never negative.
        steps("starts must rise from 0 to 3", starts=np.array([0, 2, 1, 3], np.uint32)),
        steps("starts must be a vector of integers, got float64 of shape (3,)", starts=(0, 1.5, 3)),
        steps("starts must be a vector of integers, got int64 of shape (1, 2)", starts=((0, 3),)),
        steps("starts must be a vector of integers, got int64 of shape ()",
              np.zeros(0, int), np.zeros(0, int), 0),
        *whole("shape", lambda n: counts.steps([0, 1], [1, 0], [0, 2], (n, 3)), 2),
        # Its last entry would have a negative number.
        steps("32 bits, got 3 steps over a table of 2147483648 entries", shape=(2**16, 2**15)),
        row(lambda: rollout(WORLD, FAIR, HERE, horizon=1, rng=0)._replace(
            actions=HERE + 4).steps((4, 3)), "actions must lie in [0, 3), got [4, 4]"),
        *(row(lambda size=size: counts.table(MANY, np.ones(size)),
              f"weights must have shape (3,), got {size}") for size in ((1,), (4,), (3, 1))),
        *(row(lambda size=size: counts.sequence_tables(GAPS, np.ones(size)),
              f"weights must have shape (K, 4), got {size}")
          for size in ((4,), (1, 3), (2, 5), (4, 1), (1, 4, 1))),
        # Unrefused it would be a row of zeros: a log-probability of 0, the best there is.
        row(lambda: counts.mean_matrix(GAPS),
            "steps must have a step in every sequence, got none in sequence 1"),
        *(row(lambda rows=rows: counts.select(MANY, np.array(rows)),
              f"rows must lie in [0, 3), got [{min(rows)}, {max(rows)}]")
          for rows in ([3], [-1], [0, 3, 1], [2, -2])),
        row(lambda: counts.select(LONG, np.zeros(3, int)), "32 bits, got 3221225472 steps"),
        row(lambda: counts.join([ONE, ELSEWHERE]),
            "parts must be steps over one table, got tables [(3, 4), (4, 3)]"),
        row(lambda: counts.join([]), "parts must be steps over one table, got tables []"),
        *(row(lambda make=make, other=other: make(ONE, other), f"got 1 of (3, 4) and {words}")
          for make in (counts.difference_matrix, counts.two_matrices)
          for other, words in ((TWO, "2 of (3, 4)"), (ELSEWHERE, "1 of (4, 3)"))),
        row(lambda: counts.difference_matrix(LONG, LONG), "32 bits, got 2147483648 steps"),
    ],
    "sampling": [
        *(row(lambda seed=seed: generator(seed), f"rng must be a whole number, got {seed}")
          for seed in (0.5, np.nan, np.inf)),
        row(lambda: generator(-1.0), "rng must be at least 0, got -1.0"),
        *(row(lambda nobody=nobody: generators(nobody), "rng must name at least one run, got ")
          for nobody in ([], (), range(0))),
        row(lambda: generators([rng := np.random.default_rng(3), 4, rng]),
            "rng must hold a Generator of its own for each run, got one twice"),
    ],
    "mdp": [
        world("next_state must have shape (S, A, K), got (4, 3)", next_state=np.zeros((4, 3), int)),
        world("next_state must have shape (S, A, K), got (4, 0, 3)",
              next_state=np.zeros((4, 0, 3), int)),
        world("next_state[0, 0, 0] must be a whole number, got 0.5",
              next_state=np.full((4, 3, 3), 0.5)),
        world("next_state[0, 0, 0] must lie in [0, 4), got nan",
              next_state=np.full((4, 3, 3), np.nan)),
        *(world(f"{name} must hold numbers, got {kind}", **{name: values})
          for name in ("next_state", "prob", "reward", "start")
          for values, kind in (("0", "<U1"), ([[1], [1, 2]], "object"), (1j, "complex128"))),
        world("prob must have shape (4, 3, 3), got (4, 3, 1)",
              prob=np.ones((4, 3, 1))),
        world("reward must have shape (4, 3, 3), got (4, 3)",
              reward=np.ones((4, 3))),
        world("terminated must have shape (4, 3, 3), got (3, 3, 3)",
              terminated=np.zeros((3, 3, 3), bool)),
        world("terminated must hold booleans, got int64", terminated=np.zeros((4, 3, 3), int)),
        world("start must have shape (4,), got (3,)", start=np.ones(3) / 3),
        world("start must have shape (4,), got (4, 1)", start=np.ones((4, 1)) / 4),
        *fraction("gamma", lambda gamma: replace(WORLD, gamma=gamma)),
        entry("next_state", (1, 0, 2), 4, "[1, 0, 2] must lie in [0, 4)"),
        entry("next_state", (3, 2, 1), -1, "[3, 2, 1] must lie in [0, 4)"),
        entry("reward", (2, 1, 0), np.nan, "[2, 1, 0] must be finite"),
        entry("reward", (0, 0, 1), -np.inf, "[0, 0, 1] must be finite"),
        entry("reward", [1, 3], np.inf, "[1, 0, 0] must be finite"),  # the first of several
        entry("prob", (1, 2, 0), -0.25, "[1, 2, 0] must lie in [0, 1]"),
        entry("prob", (1, 2, 1), 1.25, "[1, 2, 1] must lie in [0, 1]"),
        entry("prob", (0, 1, 2), np.nan, "[0, 1, 2] must lie in [0, 1]"),
        entry("prob", (3, 1), [0.5, 0.5, 0.125], "[3, 1] must sum to one"),
        entry("prob", (3, 1), [0.5, 0.25, 0.125], "[3, 1] must sum to one"),
        entry("start", 2, -0.5, "[2] must lie in [0, 1]"),
        entry("start", 3, 1.5, "[3] must lie in [0, 1]"),
        entry("start", 0, np.nan, "[0] must lie in [0, 1]"),
        entry("start", slice(None), 0.125, " must sum to one"),
        *(row(lambda policy=policy: check_policy(WORLD, policy), message)
          for policy, message in POLICIES),
        *whole("horizon", lambda horizon: unroll(WORLD, horizon), 3),
        gymnasium({}, "P must be a dict or a list of at least one entry, got {}"),
        gymnasium(None, "P must be a dict or a list of at least one entry, got None"),
        gymnasium("P", "P must be a dict or a list of at least one entry, got 'P'"),
        gymnasium({1: [END], 2: [END]}, "P must have the keys 0 to 1, got [1, 2]"),
        gymnasium({0: [END], "1": [END]}, "P must have the keys 0 to 1, got [0, '1']"),
        gymnasium([[END], []], "P[1] must be a dict or a list of at least one entry, got []"),
        gymnasium([[END], {1: END}], "P[1] must have the keys 0 to 0, got [1]"),
        gymnasium([[END, END], [END]], "P[1] must have 2 actions, as P[0] has, got 1"),
        gymnasium([[END], [END, END]], "P[1] must have 1 actions, as P[0] has, got 2"),
        gymnasium([[END], [[]]], "P[1][0] must be a dict or a list of at least one entry, got []"),
        gymnasium([[END], [1.0]], "P[1][0] must be a dict or a list of at least one entry, got 1"),
        gymnasium([[[0.5]]], "P[0][0][0] must be (probability, next state, reward, terminated), "
                             "got 0.5"),
        gymnasium([["half"]], "P[0][0] must be a dict or a list of at least one entry, got 'half'"),
        outcome("be (probability, next state, reward, terminated)", 0.5, 0, 0.0),
        outcome("be (probability, next state, reward, terminated)", 0.5, 0, 0.0, True, 1),
        *(outcome("have a probability in [0, 1]", prob, 0, 0.0, True)
          for prob in (-0.5, 1.5, np.nan, "1")),
        *(outcome("lead to a state in [0, 2)", 0.5, state, 0.0, True)
          for state in (2, -1, 0.5, np.nan, np.inf, True, None)),
        *(outcome("have a finite reward", 0.5, 0, reward, True)
          for reward in (np.nan, -np.inf, None)),
        *(outcome("say True or False at its end", 0.5, 0, 0.0, end) for end in (1, "False", None)),
        gymnasium([[END, END], [END, [(0.5, 1, 0.0, False), (0.25, 0, 0.0, True)]]],
                  "prob[1, 1] must sum to one, got 0.75"),
        *(gymnasium([[END], [END]], f"start must be a state in [0, 2), got {start!r}", start)
          for start in (2, -1, 0.5, 2.0, np.inf, True, "0", None)),
        gymnasium([[END], [END]], "start must have shape (2,), got (1,)", [1.0]),
        gymnasium([[END], [END]], "start must sum to one, got 0.75", [0.5, 0.25]),
        gymnasium([[END], [END]], "start[0] must lie in [0, 1], got 1.5", [1.5, -0.5]),
        gymnasium([[END]], "gamma must lie in [0, 1], got 1.5", gamma=1.5),
    ],
    "playing": [
        *(row(call, message) for policy, message in POLICIES for call in (
            lambda policy=policy: rollout(WORLD, policy, HERE, horizon=1, rng=0),
            lambda policy=policy: steps_played(WORLD, policy, HERE, horizon=1, rng=0),
            lambda policy=policy: next(walk(WORLD, policy, HERE, rng=0)))),
        *(row(call, f"{name} must be a vector of whole numbers in {message}")
          for starts, message in PLAYED for name, call in (
            ("states", lambda starts=starts: played(rollout, starts)),
            ("states", lambda starts=starts: played(steps_played, starts)),
            ("states", lambda starts=starts: next(walk(WORLD, FAIR, starts, rng=0))),
            ("states", lambda starts=starts: step(WORLD, starts, HERE, 0)))),
        *(row(lambda actions=actions: step(WORLD, HERE, actions, 0),
              "actions must be a vector of whole numbers in [0, 3), got ")
          for actions in (HERE - 1, HERE + 3, HERE + 0.5, HERE > 0, HERE[:0], HERE.reshape(2, 1))),
        row(lambda: step(replace(WORLD, available=np.eye(4, 3) + np.eye(4, 3, -1) > 0),
                         np.array([1, 0]), [0, 2], 0),
            "actions must be available, got 2 in state 0"),
        row(lambda: step(WORLD, HERE, HERE[:1], 0),  # one for all would be broadcast
            "actions must have shape (2,), got (1,)"),
        row(lambda: step(WORLD, HERE[:1], HERE, 0),
            "actions must have shape (1,), got (2,)"),
        *whole("episodes", lambda episodes: start_states(WORLD, episodes, 0), 3),
        *(check for play in (rollout, steps_played)
          for check in whole("horizon", lambda horizon, play=play: played(play, horizon=horizon),
                             3)),
        *(row(call, f"rng must hold one Generator per episode, 2, got {count}")
          for count in (1, 3) for call in (
            lambda count=count: start_states(WORLD, 2, generators(range(count))),
            lambda count=count: played(rollout, rng=generators(range(count))),
            lambda count=count: played(steps_played, rng=generators(range(count))))),
    ],
    "gradcheck": [
        *(row(lambda x=x: check(right, x), "x must be an array of real numbers, at least one, got")
          for x in ([0.5], 0.5, np.zeros((2, 0)), np.ones(2) * 1j, np.ones(2) > 0)),
        row(lambda: check(right, np.array([0.5, np.nan])), "x must be finite, got [0.5 nan]"),
        row(lambda: check(lambda x: (np.nan, x), np.ones(2)), "the value of loss must be finite"),
        row(lambda: check(lambda x: (x, x), np.ones(2)),
            "the value of loss must have shape (), got (2,)"),
        *(row(lambda shape=shape: check(lambda x: (x.sum(), np.ones(shape)), np.zeros((2, 3))),
              f"the gradient of loss must have shape (2, 3), got {shape}")
          for shape in ((1,), (3, 2), (6,), (2, 1))),
        row(lambda: check(lambda x: (x.sum(), np.array([1, np.nan])), np.ones(2)),
            "the gradient of loss must be finite, got [ 1. nan]"),
        row(lambda: check(lambda x: (np.inf if x[0] > 0 else x[0], np.ones(1)), np.zeros(1)),
            "the central differences of loss must be finite, got [inf]"),
        row(lambda: check(lambda x: (x @ x, 2 * x), np.zeros(2)),
            "the largest slope of loss at x must be at least 0.0001", "got 0.0e+00"),
    ],
}
