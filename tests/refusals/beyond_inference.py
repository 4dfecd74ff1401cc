"""What the chapters on attempts and on errors refuse."""

import numpy as np
from refusals import not_negative, positive, row, whole

from minirl.beyond.cascade import (checked_steps, clean_chances, clean_policy, error_rate,
                                   three_faces)
from minirl.beyond.inference import (answer_chances, estimated_pass_at_k, majority_at_k, pass_at_k,
                                     right_answer_loss, right_answer_rewards, tilted_chance,
                                     worlds_of_answers)
from minirl.exact.evaluation import NoEnd
from minirl.kernel.mdp import TabularMDP, coin_game, unroll

TWO, TABLE, COIN = unroll(coin_game(), 2), np.zeros((2, 2)), three_faces()
FACES, RIGHT = np.array([[0.2, 0.6, 0.2]]), np.array([[1, 1, 0]])
CHANCES = (lambda chances: pass_at_k(chances, 2), lambda chances: majority_at_k(chances, 0, 2),
           lambda chances: tilted_chance(chances, beta=1.0))
RIGHTS = (lambda right: right_answer_loss(TABLE, TWO, TABLE, right, beta=1.0),
          lambda right: worlds_of_answers(TWO, right),
          lambda right: right_answer_rewards(right)(None, TABLE))
CHECKED = (clean_chances, error_rate, clean_policy,
           lambda *three: checked_steps(*three, 2))
LUCK = TabularMDP(np.zeros((1, 1, 2), int), np.full((1, 1, 2), 0.5), np.zeros((1, 1, 2)),
                  [[[True, False]]], [1.0], 1.0)


def loss(ref=TABLE, beta=1.0):
    return right_answer_loss(TABLE, TWO, ref, [1, 0], beta=beta)


ROWS = {
    "inference": [
        *(row(lambda call=call, wrong=wrong: call(wrong), words) for call in CHANCES
          for wrong, words in (([0.5, 1.1], "chances must lie in [0, 1], got [0.5 1.1]"),
                               ([-0.1, 0.5], "chances must lie in [0, 1]"),
                               ([np.nan, 0.5], "chances must lie in [0, 1]"),
                               ([0.5j, 0.5], "chances must lie in [0, 1]"),
                               ("many", "chances must be an array of numbers"))),
        *whole("k", lambda k: pass_at_k([0.5], k), 2),
        *whole("k", lambda k: majority_at_k([0.5, 0.5], 0, k), 2),
        *whole("k", lambda k: estimated_pass_at_k([0, 1], 3, k), 2),
        *whole("samples", lambda n: estimated_pass_at_k([0, 1], n, 2), 3, least=2),
        *(row(lambda wrong=wrong: estimated_pass_at_k(wrong, 3, 2),
              "right must be a vector of whole numbers in [0, 4)")
          for wrong in (4, -1, [0.5], None, ["a"])),
        *(row(lambda wrong=wrong: majority_at_k(wrong, 0, 3), "chances must sum to one, got")
          for wrong in ([0.5, 0.1], [1, 1], [0.0, 0.0], [[0.5, 0.5], [0.5, 0.4]])),
        row(lambda: majority_at_k(0.5, 0, 3), "chances must have shape (A,) or (M, A), got ()"),
        row(lambda: majority_at_k([[0.5, 0.5]], [0, 1], 3), "right must have shape (1,), got (2,)"),
        row(lambda: majority_at_k([0.5, 0.5], 2, 3), "right must be a vector of whole numbers in "),
        *positive("beta", lambda beta: tilted_chance([0.5], beta=beta)),
        *not_negative("beta", lambda beta: loss(beta=beta)),
        *(row(lambda call=call, wrong=wrong: call(wrong), words) for call in RIGHTS
          for wrong, words in (([0, 1, 0], "right must have shape (2,), got (3,)"),
                               ([0, 2], "right must be a vector of whole numbers in [0, 2)"),
                               ([0, 0.5], "right must be a vector of whole numbers in [0, 2)"))),
        row(lambda: loss(np.zeros((2, 3))), "ref_logits must have shape (2, 2), got (2, 3)"),
        row(lambda: loss([[np.nan, 0], [0, 0]]), "ref_logits must be finite or −∞"),
        row(lambda: answer_chances(TWO, [[1.0, 1.0]] * 2), "policy[0] must sum to one, got 2.0"),
        row(lambda: answer_chances(coin_game(), [[1.0, 0.0]]), "policy never ends", kind=NoEnd),
    ],
    "cascade": [
        *(row(lambda call=call, wrong=wrong: call(COIN, FACES, wrong), words) for call in CHECKED
          for wrong, words in (([[1, 1]], "correct must have shape (1, 3), got (1, 2)"),
                               ([[1, 1, 2]], "correct must lie in [0, 1], got"),
                               ([[-0.5, 1, 1]], "correct must lie in [0, 1], got"),
                               ([[np.nan, 1, 1]], "correct must be finite"))),
        *(row(lambda call=call: call(COIN, [[0.5, 0.6, 0.2]], RIGHT),
              "policy[0] must sum to one") for call in CHECKED),
        *whole("k", lambda k: checked_steps(COIN, FACES, RIGHT, k), 2),
        row(lambda: clean_policy(LUCK, [[1.0]], [[1]]), "one outcome per action, got 2"),
        row(lambda: clean_chances(coin_game(), [[1.0, 0.0]], [[1, 1]]), "must end", kind=NoEnd),
    ],
}
