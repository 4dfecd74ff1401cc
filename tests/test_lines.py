"""Sets of features and their matrix, against plain loops; and what Unicode knows of its names."""

import re
import unicodedata

import numpy as np

from minirl.beyond.harvest import contaminated, share_of
from minirl.lab.collecting import BENCHMARK, names_to_search
from minirl.kernel.sampling import generator
from toy_lm import lines as chapter
from toy_lm.corpora import unicode_names
from toy_lm.lines import categories, code_points, presence, shingles, with_ones, word_runs


def test_a_matrix_says_which_line_has_which_feature():
    """(lines.1)"""
    features = [{"c", "a"}, set(), {"b", "c"}, {"c"}]
    for least, columns in (1, "abc"), (2, "c"), (4, ""):
        rows, names = presence(features, least)
        assert names == list(columns) and rows.shape == (4, len(columns))
        assert rows.toarray().tolist() == [[name in line for name in columns] for line in features]
    rows, _ = presence(iter(features))
    assert (rows @ rows.T).toarray().tolist() == [[len(one & other) for other in features]
                                                  for one in features]
    assert rows.has_canonical_format
    np.testing.assert_array_equal(with_ones(rows).toarray(), np.c_[rows.toarray(), np.ones(4)])


def test_runs_of_words_and_of_characters_are_those_of_loops():
    line = "VULGAR FRACTION ONE-HALF, 1/2"
    words = ["VULGAR", "FRACTION", "ONE", "HALF", "1", "2"]
    for lengths in (1,), (2, 4), (7,):
        assert word_runs(line, *lengths) == {" ".join(words[i:i + n]) for n in lengths
                                             for i in range(7 - n)}
    for letters in 1, 4, len(line):
        assert shingles(line, letters) == {line[i:i + letters]
                                           for i in range(len(line) - letters + 1)}
    assert word_runs("A_B C-_1é", 1) == {"A", "B", "C", "1é"}
    assert shingles("ab") == {"ab"} and shingles("") == {""} and word_runs("", 1) == set()


def test_code_points_and_categories_are_those_of_version_3_2_whose_names_are_all_different():
    names = unicode_names()
    codes = code_points(names)
    assert [unicodedata.ucd_3_2_0.name(chr(code)) for code in codes] == names
    assert (np.diff(codes) > 0).all()
    found = categories(names)
    assert found[names.index("PLUS SIGN")] == "Sm" and (found == "Sm").sum() == 899


def test_no_names_have_no_numbers_and_no_categories_of_the_same_types():
    for function, names in (code_points, ["PLUS SIGN"]), (categories, ["PLUS SIGN"]):
        assert function([]).shape == (0,) and function([]).dtype == function(names).dtype


def test_a_change_of_one_letter_makes_another_word_and_leaves_most_shingles():
    def share(features, *lines):
        one, other = map(features, lines)
        return len(one & other) / len(one | other)

    lines = "NOT EQUAL", "NOT EQUAX"
    assert share(lambda line: word_runs(line, 1), *lines) == 1 / 3
    assert share(shingles, *lines) == 5 / 7
    turned = "NOT EQUAL", "EQUAL NOT"
    assert share(lambda line: word_runs(line, 1), *turned) == 1 > share(shingles, *turned)


def test_the_small_web():
    """899 names in 25 of 119 domains, 790 of them in rows that are mostly mathematical; 4,735
    features and the ones"""
    pool = names_to_search()
    codes, right = pool.codes, pool.right
    assert np.unique(codes // 128).size == 119 and np.unique(codes[right] // 128).size == 25
    assert right[share_of(right, codes // 16)[codes // 16] > 0.5].sum() == 790
    assert pool.rows.shape[1] == 4_735 + 1


def test_the_table_of_decontamination():
    names, right = unicode_names(), categories(unicode_names()) == "Sm"
    benchmark = np.sort(generator(0).choice(np.flatnonzero(right), BENCHMARK, replace=False))
    for n, expected in (3, (301, 203, 20)), (4, (79, 72, 40)), (5, (38, 38, 56)):
        runs, _ = presence(word_runs(name, n) for name in names)
        dropped = contaminated(runs, runs[benchmark])
        dropped[benchmark] = False
        short = sum(not word_runs(names[i], n) for i in benchmark)
        assert (dropped.sum(), (dropped & right).sum(), short) == expected
        row, = re.findall(rf"^    {n}  +(\d.*)$", chapter.__doc__, flags=re.M)
        assert row.split() == [str(number) for number in expected]
