"""What contrastive learning refuses."""

import numpy as np
from refusals import positive, row, whole

from minirl.beyond import contrastive as chapter

F, ONE = np.zeros((2, 3)), np.ones((2, 3))
OF_COUNTS = (chapter.infonce_loss, chapter.symmetric_infonce_loss, chapter.negative_sampling_loss)
OF_A_JOINT = (lambda critic, joint: chapter.mean_infonce_loss(critic, joint, batch_size=2),
              lambda critic, joint: chapter.chance_right(critic, joint, batch_size=2))
OF_A_LAW = chapter.pointwise_information, chapter.mutual_information, chapter.chi_square
CALLS = [*((call, "counts") for call in OF_COUNTS), *((call, "joint") for call in OF_A_JOINT)]
LAWS = [*((lambda law, call=call: call(F, law), name) for call, name in CALLS),
        *((call, "joint") for call in OF_A_LAW)]


ROWS = {"contrastive": [
    *(check for call, name in CALLS for check in (
        row(lambda call=call: call(F, ONE.T), f"{name} must have shape (2, 3), got (3, 2)"),
        row(lambda call=call: call([[0, np.nan]], [[1, 1]]), "critic must be finite, got"),
        row(lambda call=call: call([[0, -np.inf]], [[1, 1]]), "critic must be finite, got"),
        row(lambda call=call: call([0.0, 1.0], [[1, 1]]),
            "critic must be a table (S, A), got shape (2,)"),
        row(lambda call=call: call("f", [[1, 1]]), "critic must be an array of numbers, got 'f'"))),
    *(check for call, name in LAWS for check in (
        row(lambda call=call: call(-ONE), f"{name} must be finite and not negative, got"),
        row(lambda call=call: call(ONE * np.nan), f"{name} must be finite and not negative, got"),
        row(lambda call=call: call(1e308 * ONE), f"{name} must be a table (S, A)", "a finite sum"),
        row(lambda call=call: call(0 * ONE), f"{name} must be a table (S, A) and not all zero"),
        row(lambda call=call: call([1, 1]), f"{name} must be a table (S, A) and not all zero"))),
    row(lambda: OF_A_JOINT[0]([[0, 2e5]], [[1, 1]]),
        "critic must span at most 100000 nats in a row, got"),
    *whole("batch_size", lambda K: chapter.mean_infonce_loss(F, ONE, batch_size=K), 3, least=2),
    *whole("batch_size", lambda K: chapter.chance_right(F, ONE, batch_size=K), 3),
    *positive("negatives", lambda k: chapter.negative_sampling_loss(F, ONE, negatives=k)),
    *whole("states", lambda n: chapter.encoded(lambda f: (f.sum(), 0 * f), n)(np.ones((5, 2))), 2),
    row(lambda: chapter.on_sphere(lambda x: (x.sum(), 0 * x))(np.array([[1.0, 0], [0, 0]])),
        "x must have rows of positive length, got"),
    *positive("temperature", lambda t: chapter.encoded(None, 2, temperature=t)),
]}
