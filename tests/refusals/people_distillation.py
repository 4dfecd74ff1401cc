"""What distillation refuses."""

import numpy as np
from refusals import fraction, positive, row

from minirl.exact.evaluation import NoEnd
from minirl.kernel.mdp import coin_game, unroll
from minirl.people.distillation import (distillation_loss, distilled, fit_distilled, row_distance,
                                        string_distillation_loss)

WORLD, TWO, ONE, VISITS = unroll(coin_game(), 2), np.zeros((2, 2)), np.zeros((1, 2)), np.ones(2)
USES = {  # what takes a teacher and the rows of a student of one row
    "loss": lambda teacher=TWO, rows=(0, 0): distillation_loss(ONE, teacher, VISITS, rows=rows),
    "strings": lambda teacher=TWO, rows=(0, 0): string_distillation_loss(ONE, WORLD, teacher,
                                                                         rows=rows),
    "fit": lambda teacher=TWO, rows=(0, 0): fit_distilled(ONE, WORLD, teacher, rows=rows)}
CALLS = (lambda **options: distillation_loss(TWO, TWO, VISITS, **options),
         lambda **options: row_distance(np.log(TWO + 0.5), np.log(TWO + 0.5), **options),
         lambda **options: distilled(TWO, VISITS, **options),
         lambda **options: fit_distilled(TWO, WORLD, TWO, **options))


ROWS = {"distillation": [
    *(check for call in CALLS for check in fraction("beta", lambda beta, call=call:
                                                    call(beta=beta))),
    *fraction("lmbda", lambda lmbda: fit_distilled(TWO, WORLD, TWO, lmbda=lmbda)),
    *(check for use in USES.values() for check in (
        row(lambda use=use: use(rows=(0, 1)), "rows must be a vector of whole numbers in [0, 1)"),
        row(lambda use=use: use(rows=(0, 0.5)), "rows must be a vector of whole numbers in [0, 1)"),
        row(lambda use=use: use(rows=(0,)), "rows must have shape (2,), got (1,)"),
        row(lambda use=use: use(np.zeros((2, 3))), "teacher_logits must have shape (2, 2), got"),
        row(lambda use=use: use(np.full((2, 2), np.nan)), "teacher_logits must be finite or −∞"))),
    row(lambda: distillation_loss(ONE, TWO, VISITS),
        "rows must be given unless the student has one for each of the 2 contexts, got 1"),
    row(lambda: distillation_loss(TWO, ONE, VISITS[:1]), "the 1 contexts, got 2"),
    *(row(lambda call=call, wrong=wrong: call(wrong), "visits must be finite and not negative, got")
      for wrong in ([1.0, -1.0], [np.nan, 1.0], [np.inf, 1.0])
      for call in (lambda visits: distillation_loss(TWO, TWO, visits),
                   lambda visits: distilled(TWO, visits))),
    *positive("tol", lambda tol: distilled(TWO, VISITS, tol=tol)),
    row(lambda: distilled(TWO, np.ones(3)), "visits must have shape (2,), got (3,)"),
    row(lambda: distilled(TWO, VISITS, rows=[1, 1]),
        "rows must hold each number up to the largest, got [1]"),
    row(lambda: fit_distilled(TWO, WORLD, TWO, rows=[0, 0]), "start must have shape (1, 2), got"),
    row(lambda: fit_distilled([[np.nan, 0]], WORLD, TWO, rows=[0, 0]), "start must be finite or"),
    row(lambda: fit_distilled([[0, -np.inf]], coin_game(), [[0, 0]], lmbda=1.0),
        "the number of visits is infinite", kind=NoEnd),
]}
