"""What a long memory refuses."""

from refusals import positive, row, whole

from toy_lm.contexts import flat, look_up, tree
from toy_lm.vocabulary import Vocabulary

NO = Vocabulary("no")
FOUND = look_up(NO, ["on"], ["no"], order=2)

ROWS = {"contexts": [
    *whole("order", lambda order: look_up(NO, ["on"], ["no"], order=order), 3),
    row(lambda: look_up(NO, ["on"], ["no"], order=40), "order must be lower for 3 symbols: 3^40"),
    row(lambda: look_up(NO, ["on"], ["no"], order=10**9), "order must be lower for 3 symbols"),
    row(lambda: look_up(NO, [], ["no"], order=2), "the number of items in training must be"),
    row(lambda: look_up(NO, ["on"], [], order=2), "the number of items in held must be positive"),
    row(lambda: look_up(NO, ["on"], ["na"], order=2), "item 1 contains 'a', which is not in"),
    *positive("pseudo_count", lambda pseudo_count: flat(FOUND, pseudo_count=pseudo_count)),
    *positive("weight", lambda weight: tree(FOUND, weight=weight)),
]}
