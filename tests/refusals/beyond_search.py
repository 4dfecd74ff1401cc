"""What the searches for strings and from one state refuse."""

import numpy as np
from refusals import not_negative, row, whole

from minirl.beyond.search import beam, follow, of_each_length, viterbi
from minirl.beyond.tree_search import deceptive_chain, puct, tree_search, uct
from minirl.kernel.mdp import TabularMDP, coin_game

COIN, LOGITS = coin_game(), np.log([[0.75, 0.25]])
CHANCE = TabularMDP(np.zeros((1, 2, 2), int), np.full((1, 2, 2), 0.5), np.zeros((1, 2, 2)),
                    np.full((1, 2, 2), True), [1.0], 1.0)
FINDS = {  # a search in a world, from a table and a state
    "viterbi": lambda mdp=COIN, logits=LOGITS, state=0: follow(mdp, viterbi(mdp, logits), state),
    "beam": lambda mdp=COIN, logits=LOGITS, state=0: beam(mdp, logits, state, 2),
    "lengths": lambda mdp=COIN, logits=LOGITS, state=0: of_each_length(mdp, logits, state, 2)}


def tries(**options):
    return next(tree_search(COIN, **{"state": 0, "choose": uct(), "rng": 0, **options}))


ROWS = {"search": [
    *(check for find in FINDS.values() for check in (
        row(lambda find=find: find(mdp=CHANCE), "mdp must have one outcome for each action, as a"),
        row(lambda find=find: find(logits=np.zeros((2, 2))), "logits must have shape (1, 2), got"),
        row(lambda find=find: find(logits=[[np.nan, 0]]), "logits must be finite or −∞"),
        row(lambda find=find: find(state=1), "state must be a vector of whole numbers in [0, 1)"),
        row(lambda find=find: find(state=0.5), "state must be a vector of whole numbers in [0, 1)"),
        row(lambda find=find: find(state=-1), "state must be a vector of whole numbers in [0"))),
    *whole("width", lambda width: beam(COIN, LOGITS, 0, width), 2),
    *whole("horizon", lambda horizon: beam(COIN, LOGITS, 0, 2, horizon=horizon), 3),
    *not_negative("length_penalty", lambda x: beam(COIN, LOGITS, 0, 2, length_penalty=x)),
    row(lambda: beam(COIN, LOGITS, 0, 2, length_penalty=200.0),
        "length_penalty must be at most 700/log(horizon), got 200.0"),
    *whole("longest", lambda longest: of_each_length(COIN, LOGITS, 0, longest), 3),
], "tree_search": [
    *(row(lambda state=state: tries(state=state), "state must be a vector of whole numbers in [0")
      for state in (1, -1, 0.5)),
    *whole("horizon", lambda horizon: tries(horizon=horizon), 3),
    row(lambda: tries(policy=np.ones((1, 2))), "policy[0] must sum to one, got 2.0"),
    row(lambda: tries(policy=np.ones((2, 2)) / 2), "policy must have shape (1, 2), got (2, 2)"),
    *not_negative("exploration", uct),
    *not_negative("exploration", lambda c: puct([[0.5, 0.5]], c)),
    row(lambda: puct([[1.0, -0.5]]), "prior must be finite and not negative, got"),
    row(lambda: puct([[5, 50]]), "prior must have rows that sum to one, got [[ 5. 50.]]"),
    row(lambda: tries(choose=puct([[0.5, 0.25, 0.25]])), "prior must have a row for state 0, of 2 ",
        "actions, got shape (1, 3)"),
    row(lambda: next(tree_search(deceptive_chain(2), 1, puct([[0.5, 0.5]]), rng=0)),
        "prior must have a row for state 1, of 2 actions, got shape (1, 2)"),
    *(row(lambda a=a: tries(choose=lambda *_: a), f"choose must return one of [0, 1] here, got {a}")
      for a in (-1, 2, 0.5, None)),
    row(lambda: puct([0.5, 0.5]), "prior must be a table (S, A), got shape (2,)"),
    *whole("length", deceptive_chain, 3),
]}
