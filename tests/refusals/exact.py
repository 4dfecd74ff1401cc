"""What the exact answers refuse."""

from dataclasses import replace

import numpy as np
from refusals import fraction, positive, row, whole
from worlds import corridor, island, single_outcome

from minirl.exact.average_reward import average_reward, average_reward_gradient
from minirl.exact.evaluation import (action_values, can_end, ending_chance, evaluate, evaluate_all,
                                     evaluate_by_sweeps, expectation, from_start, occupancy,
                                     reachable, return_variance, transitions_under, valued_states)
from minirl.exact.planning import backward_induction, policy_gradient, value_iteration
from minirl.exact.return_law import integer_law, reward_law
from minirl.exact.scorecard import objective, referee
from minirl.exact.solving import sweep
from minirl.kernel.mdp import coin_game

ISLAND, COIN, HALF = island(), coin_game(), coin_game(gamma=0.5)
FAIR, THIRDS = np.full((1, 2), 0.5), np.full((3, 3), 1 / 3)
HALVES = single_outcome([[0, 0]], [[0.5, 1.0]], [[False, True]], [1.0])
BOTH_SIGNS = single_outcome([[0, 0]], [[-1.0, 2.0]], [[False, True]], [1.0])


def policies(*uses):
    """The rows of a policy on the island that is none."""
    for use in uses:
        yield row(lambda use=use: use(np.ones((2, 3)) / 3),
                  "policy must have shape (3, 3), got (2, 3)")
        yield row(lambda use=use: use(np.ones((3, 3))), "policy[0] must sum to one, got 3.0")


def tables(*uses, name="table"):
    """The rows of a table for the island that has another shape."""
    for use in uses:
        yield row(lambda use=use: use(np.ones((3, 1))),
                  f"{name} must have shape (3, 3), got (3, 1)")
        for value in (np.nan, np.inf, -np.inf) if name == "table" else ():
            yield row(lambda use=use, value=value: use(np.full((3, 3), value)),
                      "table must be finite", f"is {value})")


ROWS = {
    "solving": [
        *fraction("gamma", lambda gamma: sweep(lambda V: V, np.zeros(1), gamma=gamma)),
        *positive("tol", lambda tol: sweep(lambda V: V, np.zeros(1), gamma=0.5, tol=tol)),
        *whole("max_sweeps", lambda n: sweep(lambda V: V, np.zeros(1), gamma=0.5, max_sweeps=n), 3),
    ],
    "evaluation": [
        *policies(*(lambda policy, use=use: use(ISLAND, policy) for use in (
            evaluate, evaluate_by_sweeps, occupancy, return_variance)),
                  lambda policy: expectation(ISLAND, policy, np.ones((3, 3)))),
        *(row(lambda use=use, wrong=wrong: use(ISLAND, wrong), "policy must ")
          for use in (can_end, ending_chance, reachable, transitions_under, valued_states)
          for wrong in (THIRDS[:1], THIRDS[:, :1], THIRDS * np.nan)),
        row(lambda: from_start(ISLAND, np.ones(1)), "values must have shape (3,), got (1,)"),
        row(lambda: evaluate(ISLAND, THIRDS, states=np.array([True])),
            "states must have shape (3,), got (1,)"),
        *tables(*(lambda table, use=use: use(ISLAND, THIRDS, table)
                  for use in (evaluate, evaluate_by_sweeps, return_variance))),
        *(row(lambda shape=shape: expectation(ISLAND, THIRDS, np.ones(shape)),
              f"table must end in shape (3, 3), got {shape}") for shape in ((3,), (3, 3, 2))),
        *(row(lambda actions=actions: evaluate_all(ISLAND, actions), f"actions must {message}")
          for actions, message in (
              (np.zeros(3), "have shape (3, 3), got (3,)"),
              (np.zeros((2, 4)), "have shape (2, 3), got (2, 4)"),
              (np.full((1, 3), 3), "be a vector of whole numbers in [0, 3), got [3 3 3]"))),
        row(lambda: evaluate_all(replace(COIN, available=np.array([[True, False]])), [[1]]),
            "actions must be available in their states (see mdp.masked)"),
        row(lambda: action_values(COIN, np.zeros(2)), "values must have shape (1,), got (2,)"),
        *positive("tol", lambda tol: evaluate_by_sweeps(HALF, FAIR, tol=tol)),
        *whole("max_sweeps", lambda n: evaluate_by_sweeps(HALF, FAIR, max_sweeps=n), 50),
    ],
    "planning": [
        *positive("tol", lambda tol: value_iteration(HALF, tol=tol)),
        *whole("max_sweeps", lambda n: value_iteration(HALF, max_sweeps=n), 50),
        *whole("horizon", lambda horizon: backward_induction(COIN, horizon), 3),
        *tables(lambda logits: policy_gradient(ISLAND, logits), name="logits"),
    ],
    "average_reward": [
        *policies(lambda policy: average_reward(ISLAND, policy)),
        *tables(lambda table: average_reward(ISLAND, THIRDS, table)),
        *tables(lambda logits: average_reward_gradient(ISLAND, logits), name="logits"),
    ],
    "return_law": [
        *(check for law in (integer_law, reward_law)
          for check in policies(lambda policy, law=law: law(ISLAND, policy))),
        *(row(lambda law=law: law(COIN, np.array([[1.0, 0.0]])),
              "the policy must end, from every state that it reaches")
          for law in (integer_law, reward_law)),
        row(lambda: integer_law(HALVES, FAIR),
            "rewards must be whole numbers, got 0.5: use reward_law"),
        row(lambda: integer_law(BOTH_SIGNS, FAIR),
            "rewards must have one sign, got -1 and 2: use reward_law"),
        *(row(lambda tol=tol: reward_law(COIN, FAIR, tol=tol), f"tol must lie between 0 and 1, "
                                                               f"got {tol}")
          for tol in (0.0, -1.0, np.nan, 1.0, 2.0)),
        *(row(lambda also=also: reward_law(COIN, FAIR, also=also),
              f"also must have shape (1, 1, 2), got {also.shape}")
          for also in (np.zeros((1, 2)), np.zeros((1, 2, 1)), np.zeros((1, 2, 2)),
                       np.zeros((1, 1, 1, 2)))),
        *(row(lambda wrong=wrong: reward_law(COIN, FAIR, also=np.full((1, 1, 2), wrong)),
              "also must be finite, got ") for wrong in (np.nan, np.inf)),
    ],
    "scorecard": [
        *policies(lambda policy: objective(ISLAND, policy)),
        row(lambda: referee(corridor(3, 0.9))(FAIR), "policy must have shape (3, 2), got (1, 2)"),
        *(row(lambda judge=judge, policy=policy: judge(policy),
              f"policy must be a table of numbers, got {policy}")
          for policy in ([[0.5, 0.5], [1.0]], [["a", "b"]], [[1j, 0]], None)
          for judge in (lambda policy: objective(HALF, policy), referee(HALF))),
    ],
}
