"""What sets of features refuse."""

from refusals import row, whole

from toy_lm.lines import categories, code_points, presence, shingles, word_runs

ROWS = {"lines": [
    *whole("least", lambda least: presence([{"a"}, {"a", "b"}], least), 2),
    *whole("letters", lambda letters: shingles("abc", letters), 2),
    *whole("length", lambda length: word_runs("a b c", length), 2),
    row(lambda: code_points(["PLUS SIGN", "PLUS"]), "names must be those of characters in Unicode",
        "'PLUS'"),
    row(lambda: code_points([3]), "names must be those of characters in Unicode 3.2, got 3"),
    row(lambda: categories([""]), "names must be those of characters in Unicode", "''"),
]}
