"""What the best policy near a reference refuses."""

import numpy as np
from refusals import positive, row, whole

from minirl.kernel.mdp import TabularMDP, coin_game
from minirl.people.regularised import (critical_beta, entropy_optimum, frontier, log_partition,
                                       referee_near, regularised_optimum, tilt)

COIN, HALF, ZERO = coin_game(), coin_game(gamma=0.5), np.zeros((1, 2))
TWO_OUTCOMES = TabularMDP(next_state=np.zeros((1, 2, 2), int), prob=np.full((1, 2, 2), 0.5),
                          reward=np.zeros((1, 2, 2)), terminated=np.ones((1, 2, 2), bool),
                          start=np.ones(1), gamma=1.0)


def references(use):
    """The rows of a reference of the coin game that is none."""
    yield row(lambda: use(np.zeros((2, 2))), "ref_logits must have shape (1, 2), got (2, 2)")
    yield row(lambda: use(np.array([[np.nan, 0.0]])), "ref_logits must be finite")


def prices(use, name="beta"):
    """The rows of a price that is none, or whose reciprocal is infinite."""
    yield from positive(name, use)
    yield row(lambda: use(1e-320), f"{name} must be positive and finite, got 1e-320")


ROWS = {
    "regularised": [
        *(check for use in (regularised_optimum, log_partition, lambda mdp, ref, beta:
                            critical_beta(mdp, ref), lambda mdp, ref, beta:
                            frontier(mdp, ref, [beta]))
          for check in references(lambda ref, use=use: use(COIN, ref, beta=2.0))),
        *prices(lambda beta: regularised_optimum(HALF, ZERO, beta=beta)),
        *prices(lambda beta: log_partition(COIN, ZERO, beta=beta)),
        *prices(lambda beta: frontier(HALF, ZERO, [1.0, beta])),
        *prices(lambda beta: tilt(ZERO, ZERO, beta=beta)),
        *prices(lambda beta: entropy_optimum(HALF, ent_coef=beta), "ent_coef"),
        *positive("tol", lambda tol: regularised_optimum(HALF, ZERO, beta=1.0, tol=tol)),
        *positive("tol", lambda tol: entropy_optimum(HALF, ent_coef=1.0, tol=tol)),
        *whole("max_rounds", lambda n: regularised_optimum(HALF, ZERO, beta=1, max_rounds=n), 50),
        *whole("max_rounds", lambda n: entropy_optimum(HALF, ent_coef=1.0, max_rounds=n), 50),
        *(row(call, said, f"only at gamma = 1 with one outcome per action, got {found}")
          for mdp, found in ((HALF, "gamma = 0.5 and 1 outcomes"),
                             (TWO_OUTCOMES, "gamma = 1.0 and 2 outcomes"))
          for said, call in (
              ("the partition sum is linear", lambda mdp=mdp: log_partition(mdp, ZERO, beta=2.0)),
              ("a critical beta is defined", lambda mdp=mdp: critical_beta(mdp, ZERO)))),
        row(lambda: referee_near(HALF, ZERO, beta=1.0)(np.ones((1, 2))),
            "policy[0] must sum to one, got 2.0"),
        *(row(lambda policy=policy: referee_near(HALF, ZERO, beta=1.0)(policy),
              f"policy must be a table of numbers, got {policy}")
          for policy in ([[0.5, 0.5], [1.0]], [["a", "b"]], [[1j, 0]], None)),
        *references(lambda ref: referee_near(COIN, ref, beta=2.0)),
        *prices(lambda beta: referee_near(HALF, ZERO, beta=beta)),
    ],
}
