"""What the laws of scale refuse."""

import numpy as np
from refusals import positive, row

from minirl.beyond.scaling import (BESIROGLU, Law, compute_optimal, fit_law, kaplan, law_loss,
                                   predicted)

SIZES, LOSSES = np.geomspace(1, 100, 6)[:, None], np.linspace(3, 2, 6)
CALLS = (fit_law, lambda sizes, losses: law_loss(np.zeros(3), sizes, losses))

ROWS = {"scaling": [
    row(lambda: predicted(BESIROGLU, 1e9), "sizes must be as many as the law has factors, 2"),
    row(lambda: predicted(BESIROGLU, 1e9, 0.0), "sizes must be positive, got"),
    row(lambda: predicted(BESIROGLU, np.nan, 1e9), "sizes must be positive, got nan"),
    row(lambda: kaplan(-1.0, 1e9), "params must be positive, got -1.0"),
    row(lambda: kaplan(1e9, np.array([1e9, 0])), "tokens must be positive, got"),
    row(lambda: kaplan([1e9, -1], 1e9), "params must be positive, got"),
    row(lambda: compute_optimal(BESIROGLU, 0.0), "budget must be positive, got 0.0"),
    row(lambda: compute_optimal(BESIROGLU, [1e9, 0]), "budget must be positive, got"),
    *(row(lambda law=law: compute_optimal(Law(1.0, *law), 1e20), "law must have two factors and",
          "all positive, got Law(floor=1.0")
      for law in (((2, 1), (-0.5, 0.2)), ((0, 1), (0.5, 0.2)), ((2, np.nan), (0.5, 0.2)),
                  ((2,), (0.5,)), ((2, 1, 1), (0.5, 0.2, 0.2)))),
    *(check for call in CALLS for check in (
        row(lambda call=call: call(SIZES[:, 0], LOSSES), "sizes must be (B, k), a row per point"),
        row(lambda call=call: call(SIZES, LOSSES[:5]), "losses must have shape (6,), got (5,)"),
        row(lambda call=call: call(-SIZES, LOSSES), "sizes must be positive and finite, got values "
            "from -100.0 to -1.0"),
        row(lambda call=call: call(SIZES, 0 * LOSSES), "losses must be positive and finite, got"),
        row(lambda call=call: call(SIZES, LOSSES * np.inf), "losses must be positive and finite"))),
    row(lambda: law_loss(np.zeros(5), SIZES, LOSSES), "x must have shape (3,), got (5,)"),
    *positive("delta", lambda delta: law_loss(np.zeros(3), SIZES, LOSSES, delta=delta)),
    *positive("delta", lambda delta: fit_law(SIZES, LOSSES, delta=delta)),
    *positive("tol", lambda tol: fit_law(SIZES, LOSSES, tol=tol)),
    row(lambda: fit_law(SIZES[:2], LOSSES[:2]), "losses must be at least as many as the law has",
        "constants, 3, got 2"),
    *(row(lambda sizes=sizes, losses=losses: fit_law(np.array(sizes, float), losses),
          "sizes must have three different values or more in each column", f"got {got}")
      for sizes, losses, got in (
          ([[5]] * 4, [1, 1.1, 1.2, 1], [1]), ([[1], [1], [10], [10]], [3, 3, 2, 2], [2]),
          ([[7, tokens] for tokens in range(1, 9)], np.linspace(3, 2, 8), [1, 8]))),
]}
