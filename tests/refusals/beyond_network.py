"""What a network refuses."""

import numpy as np
from refusals import positive, row, whole

from minirl.beyond.network import (backpropagate, composed, embedded, forward, network_optimiser,
                                   pieces, random_params)

PARAMS = random_params(2, 3, 4, rng=0)
X, TABLE = np.ones((5, 2)), (lambda logits: (0.0, logits))
USES = {  # what takes params or features
    "forward": lambda x=X, params=PARAMS: forward(params, x, hidden=3),
    "back": lambda x=X, params=PARAMS: backpropagate(params, x, X, X, hidden=3),
    "composed": lambda x=X, params=PARAMS: composed(TABLE, x, hidden=3)(params),
    "optimiser": lambda x=X, params=PARAMS: network_optimiser(params, x, hidden=3).init(
        np.zeros((5, 4)))}


def looked_up(contexts=((0, 1),), symbols=2, width=1):
    return embedded(TABLE, contexts, symbols=symbols, width=width, hidden=3)(
        np.ones(int(symbols * width + 3 * (2 * width + 1) + 4 * 2)))[0]


ROWS = {"network": [
    *(check for use in USES.values() for check in (
        row(lambda use=use: use(x=np.ones(5)), "x must be a finite table (S, F), got"),
        row(lambda use=use: use(x=np.full((5, 2), np.nan)), "x must be a finite table (S, F), got"),
        row(lambda use=use: use(x=[["a", "b"]]), "x must be an array of numbers, got"),
        row(lambda use=use: use(params=PARAMS[1:]),
            "params must be a vector of 9 + 4 · actions numbers, got shape (24,)"),
        row(lambda use=use: use(params=np.ones(9)), "params must be a vector of 9 + 4 · actions"),
        row(lambda use=use: use(params=np.ones((5, 5))), "params must be a vector", "(5, 5)"))),
    *whole("hidden", lambda hidden: pieces(PARAMS, features=2, hidden=hidden), 3, least=0),
    *whole("hidden", lambda hidden: random_params(2, hidden, 4, rng=0), 3, least=0),
    *whole("features", lambda features: random_params(features, 3, 4, rng=0), 2),
    *whole("actions", lambda actions: random_params(2, 3, actions, rng=0), 4),
    *positive("scale", lambda scale: random_params(2, 3, 4, rng=0, scale=scale)),
    *whole("symbols", lambda symbols: looked_up(symbols=symbols), 2),
    *whole("width", lambda width: looked_up(width=width), 2),
    row(lambda: looked_up([0, 1]), "contexts must have shape (S, k), got (2,)"),
    row(lambda: looked_up([[0, 2]]), "contexts must be a vector of whole numbers in [0, 2), got"),
    *(row(lambda logits=logits: network_optimiser(PARAMS, X, hidden=3).init(logits),
          "logits must be those of params where training begins")
      for logits in (np.zeros((5, 4)), np.zeros((5, 3)), np.zeros(7), [[1, 2], [3, 4]])),
    *(row(lambda h=h: backpropagate(PARAMS, X, h, np.ones((5, 4)), hidden=3),
          "h must have shape (5, 3), got") for h in (np.ones((5, 1)), np.ones((3, 5)), 1.0)),
    row(lambda: backpropagate(np.ones(12), X, np.ones((5, 7)), np.ones((5, 4)), hidden=0),
        "h must have shape (5, 2), got (5, 7)"),
    *(row(lambda slope=slope: backpropagate(PARAMS, X, np.ones((5, 3)), slope, hidden=3),
          "slope must have shape (5, 4), got")
      for slope in (np.ones((5, 3)), np.ones((5, 1)), [1.0, 2.0])),
    *whole("features", lambda features: pieces(PARAMS, features=features, hidden=3), 2),
    row(lambda: embedded(TABLE, [[0, 1]], symbols=2, width=2, hidden=3)(np.ones(4)),
        "params must be a vector of 4 numbers of the embedding and more, got shape (4,)"),
    *(row(lambda params=params: embedded(TABLE, [[0, 1]], symbols=2, width=1, hidden=3)(params),
          "params must be a vector of 2 numbers of the embedding and more, got shape")
      for params in (np.ones(1), np.ones(2), np.ones((9, 9)))),
]}
