"""What a loop of collecting refuses, and the search for lines that are nearly the same."""

from itertools import islice

import numpy as np
from refusals import fraction, not_negative, positive, row, whole
from scipy import sparse

from minirl.beyond.harvest import (begin, buckets, chance_to_meet, fit_classifier, harvest,
                                   min_hashes, mostly_right, near_duplicates, precision_and_recall,
                                   share_of, until_stopped)

ROWS_OF = sparse.csr_array(np.eye(4))
FIRST = begin([0], 4, rng=0)
RIGHT = np.array([True, True, False, False])


def rounds(rows=ROWS_OF, domains=(0, 0, 1, 1), person=lambda shown: shown, record=FIRST, **options):
    return list(islice(harvest(rows, domains, person, record, **options), 2))


ROWS = {"harvest": [
    row(lambda: rounds(np.eye(4)), "rows must be a sparse matrix"),
    row(lambda: rounds(-ROWS_OF), "rows must be whole and not negative"),
    row(lambda: rounds(ROWS_OF / 2), "rows must be whole and not negative", "to 0.5"),
    row(lambda: rounds(domains=[0, 0, 1]), "domains must have shape (4,), got (3,)"),
    row(lambda: rounds(domains=[0, 0, 1, -1]), "domains must be a vector of whole numbers in [0,"),
    row(lambda: rounds(domains=[0, 0, 1, 0.5]), "domains must be a vector of whole numbers in [0,"),
    row(lambda: rounds(record=begin([4], 5, rng=0)), "record must be of 4 lines, got one of 5"),
    row(lambda: rounds(person=lambda shown: [4]), "what person returns must be a vector of whole"),
    row(lambda: rounds(person=lambda shown: [0.5]), "what person returns must be a vector of"),
    row(lambda: rounds(person=lambda shown: RIGHT[shown]), "what person returns must be a vector"),
    row(lambda: rounds(person=lambda shown: RIGHT), "what person returns must be a vector"),
    row(lambda: rounds(person=lambda shown: [0, 2]), "person must return some of the lines that it",
        "is shown, [0 1], got [0 2]"),
    *whole("negatives", lambda negatives: rounds(negatives=negatives), 2),
    *not_negative("pull", lambda pull: rounds(pull=pull)),
    *fraction("least_share", lambda least_share: rounds(least_share=least_share)),
    row(lambda: begin([4], 4, rng=0), "known must be a vector of whole numbers in [0, 4), got [4]"),
    row(lambda: begin([], 4, rng=0), "known must be a vector of whole numbers in [0, 4), got []"),
    *whole("lines", lambda lines: begin([0], lines, rng=0), 4),
    row(lambda: fit_classifier(np.zeros(3), ROWS_OF, np.ones(4)), "rows must be (B, 3), B > 0"),
    row(lambda: fit_classifier(np.zeros(4), ROWS_OF, np.ones(3)), "labels must have shape (4,)"),
    row(lambda: fit_classifier(np.zeros(4), ROWS_OF, np.full(4, 2.0)), "labels must lie in [0, 1]"),
    row(lambda: fit_classifier([np.nan] * 4, ROWS_OF, np.ones(4)), "weights must be finite, got"),
    *positive("tol", lambda tol: fit_classifier(np.zeros(4), ROWS_OF, np.ones(4), tol=tol)),
    *fraction("enough", lambda enough: list(until_stopped(iter([]), enough=enough))),
    *whole("most", lambda most: [found.iteration for found in until_stopped(
        harvest(ROWS_OF, [0, 0, 1, 1], lambda shown: [], FIRST), most=most)], 1),
    row(lambda: mostly_right([0, 0, 1], RIGHT), "chosen must have shape (3,), got (4,)"),
    row(lambda: mostly_right([0, 0, 1, -1], RIGHT), "paths must be a vector of whole numbers"),
    *(row(lambda call=call: call([3, 0, 0, 1]), "must be an array of bool, got [3, 0, 0, 1]")
      for call in (lambda chosen: share_of(chosen, [0, 0, 1, 1]),
                   lambda right: mostly_right([0, 0, 1, 1], right),
                   lambda right: precision_and_recall(RIGHT, right),
                   lambda collected: precision_and_recall(collected, RIGHT))),
    row(lambda: share_of(np.array([1, 0, 2, 0]), [0, 0, 1, 1]), "chosen must be an array of bool"),
    row(lambda: share_of(RIGHT, [0, 0, 1, np.nan]), "groups must be a vector of whole numbers"),
    row(lambda: precision_and_recall(RIGHT, RIGHT[:3]), "right must have shape (4,), got (3,)"),
    row(lambda: precision_and_recall(RIGHT, ~RIGHT & RIGHT), "right must hold at least one line"),
    *fraction("least", lambda least: near_duplicates(ROWS_OF, least)),
    row(lambda: near_duplicates(ROWS_OF, 0.0), "least must be positive", "got 0.0"),
    row(lambda: min_hashes(ROWS_OF * [1, 1, 1, 0], 3, rng=0), "rows must have an entry in each"),
    *whole("hashes", lambda hashes: min_hashes(ROWS_OF, hashes, rng=0), 3),
    *whole("bands", lambda bands: buckets(np.ones((3, 4), int), bands), 2),
    *(row(lambda wrong=wrong: buckets(wrong, 1), "signatures must be a")
      for wrong in (np.ones(4), np.ones((0, 4)))),
    *(row(lambda wrong=wrong: chance_to_meet(wrong, 2, 3), "overlap must lie in [0, 1], got")
      for wrong in ([0.5, np.nan], 1.5, -0.5)),
    *whole("bands", lambda bands: chance_to_meet(0.5, bands, 3), 2),
    *whole("width", lambda width: chance_to_meet(0.5, 2, width), 3),
    row(lambda: buckets(np.ones((3, 4), int), 3), "bands must divide the number of hashes, 4, got"),
]}
