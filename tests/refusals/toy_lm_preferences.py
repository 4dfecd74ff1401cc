"""What preference data refuse."""

import numpy as np
from refusals import fraction, not_negative, positive, row, whole

from toy_lm.jsonl import Pair
from toy_lm.preferences import from_text, respond, sample_pairs
from toy_lm.vocabulary import Vocabulary

ZEROS = np.zeros((4, 4))


def drawn(**options):
    return sample_pairs(ZEROS, ZEROS, **{"pairs": 2, "rng": 0, **options})


def answered(**options):
    return respond(ZEROS, **{"num_generations": 2, "rng": 0, **options})


ROWS = {
    "preferences": [
        *whole("pairs", lambda pairs: drawn(pairs=pairs), 3),
        *positive("temperature", lambda temperature: drawn(temperature=temperature)),
        *fraction("noise", lambda noise: drawn(noise=noise)),
        *not_negative("ties", lambda ties: drawn(ties=ties)),
        row(lambda: sample_pairs(ZEROS, ZEROS[:3], 1, rng=0),
            "rewards must have shape (4, 4), got (3, 4)"),
        row(lambda: sample_pairs(ZEROS[:3], ZEROS[:3], 1, rng=0), "states, got"),
        *whole("num_generations", lambda K: answered(num_generations=K), 3),
        row(lambda: drawn(prompts=[]), "prompts must be a vector of whole numbers in [0, 4), got"),
        *(row(lambda wrong=wrong: answered(prompts=wrong),
              f"prompts must be a vector of whole numbers in [0, 4), got {np.array(wrong)}")
          for wrong in ([], [[0]], [4], [0, -1], [0.5])),
        *(row(lambda wrong=wrong: answered(temperatures=wrong),
              f"temperatures must be a vector of one to 2, one per response at most, got {wrong}")
          for wrong in ([], 1.0, [1.0, 2.0, 3.0])),
        *(problem for run in (drawn, answered)
          for problem in positive("temperature", lambda wrong, run=run: run(
              temperatures=[1.0, wrong]))),
        *(row(lambda wrong=wrong: from_text(Vocabulary("ab"), [Pair("", "a", "b"), wrong]),
              "item 2 contains 'x', which is not in the vocabulary")
          for wrong in (Pair("x", "a", "b"), Pair("", "ax", "b"), Pair("", "a", "bx"))),
    ],
}
