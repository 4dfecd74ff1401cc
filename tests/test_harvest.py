"""Rounds of a classifier and a person, against plain loops, and what they find of the names of
mathematical symbols; near duplicates against sets of Python; and what the lines are worth."""

from functools import cache
from itertools import combinations, islice
import re

import defaults
from luck import FALSE_ALARM, assert_share
import numpy as np
import pytest
from refusals import same
from scipy import sparse
from scipy.special import chdtrc

from minirl.beyond import harvest as chapter
from minirl.beyond.harvest import (Harvest, begin, buckets, chance_to_meet, contaminated,
                                   fit_classifier, harvest, min_hashes, mostly_right,
                                   near_duplicates, overlaps, precision_and_recall, share_of,
                                   until_stopped)
from minirl.kernel.gradcheck import check
from minirl.kernel.softmax import log_sigmoid
from minirl.lab.collecting import (BENCHMARK, ORDER, STARTS, WEIGHT, collected_text,
                                   names_to_search, rounds_of, worth_of_lines)
from minirl.people.fitting import attracted
from minirl.people.reward_model import logistic_loss
from toy_lm.contexts import look_up, tree
from toy_lm.lines import presence, shingles
from toy_lm.vocabulary import from_items

RNG = np.random.default_rng(0)
SEEDS = range(8)


def some_rows(lines, features, share=0.3, rng=RNG):
    return sparse.csr_array((rng.random((lines, features)) < share).astype(float))


@cache
def names():
    return names_to_search()


@cache
def runs(start, negatives, rounds=5):
    """Eight runs, their rounds each: precision, recall, already there, known, collected."""
    right = names().right
    return np.array([[(*precision_and_recall(record.collected, right), record.already_there,
                       record.known.size, record.collected.sum())
                      for record in rounds_of(names(), start, negatives, seed, rounds)]
                     for seed in SEEDS])


# The classifier.


def test_the_loss_is_that_of_a_loop_over_lines_and_its_gradient_is_right():
    """(harvest.1), by (reward_model.5) on another matrix, with (fitting.2)"""
    rows, pull = some_rows(9, 5), 1.5
    labels, w = RNG.integers(0, 2, 9).astype(float), RNG.normal(size=5)
    loss = attracted(lambda x: logistic_loss(x, rows, labels), np.zeros(5), pull / 9)
    by_hand = 0.0
    for x, label in zip(rows.toarray(), labels):
        R = sum(x[j] * w[j] for j in range(5))
        by_hand -= label * log_sigmoid(R) + (1 - label) * log_sigmoid(-R)
    assert loss(w)[0] == pytest.approx(by_hand / 9 + pull / 18 * (w**2).sum(), abs=1e-12)
    assert check(loss, w)
    fit = fit_classifier(np.zeros(5), rows, labels, pull=pull)
    assert fit.converged and fit.loss == pytest.approx(loss(fit.x)[0], abs=1e-12)
    assert np.abs(loss(fit.x)[1]).max() <= 1e-6
    again = fit_classifier(fit.x, rows, labels, pull=0.5)  # where another centre attracts
    gradient = logistic_loss(again.x, rows, labels)[1] + 0.5 / 9 * (again.x - fit.x)
    assert np.abs(gradient).max() <= 1e-6


@pytest.mark.parametrize("negatives", [1, 5, 20])
def test_more_negatives_lower_every_reward_by_their_logarithm(negatives):
    """(harvest.3): 8 of 10 known lines have the feature, and 1 of 10 of the pool"""
    rows = np.ones((10 + 10 * negatives, 2))
    rows[8:10, 0] = rows[10 + negatives:, 0] = 0
    labels = np.repeat([1.0, 0.0], [10, 10 * negatives])
    w = fit_classifier(np.zeros(2), sparse.csr_array(rows), labels, pull=0, tol=1e-9).x
    for x, known, pool in (np.array([1, 1]), 0.8, 0.1), (np.array([0, 1]), 0.2, 0.9):
        assert x @ w == pytest.approx(np.log(known / (negatives * pool)), abs=1e-5)
        # Bayes: with a share of 6 % the chance to be right exceeds negatives · share where R > 0.
        assert (x @ w > 0) == (0.06 * known / pool > negatives * 0.06)


# The loop.


def a_world():
    """Sixty lines in six domains of two paths, half of which are mostly right."""
    lines = np.arange(60)
    rows = some_rows(60, 8, rng=np.random.default_rng(0))
    return rows, lines // 10, lines // 5, (lines // 5 + lines) % 4 < 2


@pytest.mark.parametrize("negatives", [1, 3])
def test_a_round_is_what_a_plain_loop_does(negatives):
    """(harvest.2) and (harvest.4)"""
    rows, domains, paths, right = a_world()
    first = begin([1, 2, 4], 60, rng=5)
    rounds = list(islice(harvest(rows, domains, mostly_right(paths, right), first,
                                 negatives=negatives, pull=0.5), 6))
    rng, known, before = np.random.default_rng(5), {1, 2, 4}, set()
    for number, record in enumerate(rounds, 1):
        assert record.iteration == number and set(record.known.tolist()) == known
        others = [line for line in range(60) if line not in known]
        wrong = rng.choice(others, min(negatives * len(known), len(others)), replace=False)
        taught = np.append(sorted(known), wrong)
        w = fit_classifier(np.zeros(8), rows[taught], (np.arange(taught.size) < len(known)) * 1.0,
                           pull=0.5).x
        np.testing.assert_array_equal(record.weights, w)
        found = {line for line in range(60) if rows.toarray()[line] @ w > 0} | known
        assert found == set(np.flatnonzero(record.collected).tolist())
        assert record.already_there == pytest.approx(len(found & before) / len(found))
        good = set(np.flatnonzero(right).tolist())
        assert precision_and_recall(record.collected, right) == pytest.approx(
            (len(found & good) / len(found), len(found & good) / len(good)))
        for domain in range(6):
            here = {line for line in range(60) if domains[line] == domain}
            if len(here & found) > 0.1 * len(here):
                for path in {paths[line] for line in here}:
                    part = {line for line in here if paths[line] == path}
                    known = known | part if len(part & good) > len(part) / 2 else known
        before = found
        assert set(record.marked.tolist()) == known
    assert [record.known.size for record in rounds][::5] == {1: [3, 30], 3: [3, 25]}[negatives]


def test_it_goes_on_from_any_record_bit_for_bit_and_changes_nothing():
    rows, domains, paths, right = a_world()
    person, first = mostly_right(paths, right), begin([1, 2, 4], 60, rng=5)
    domains.flags.writeable = rows.data.flags.writeable = first.marked.flags.writeable = False
    whole = list(islice(harvest(rows, domains, person, first), 4))
    for i, record in enumerate(whole[:-1]):
        assert same(list(islice(harvest(rows, domains, person, record), 3 - i)), whole[i + 1:])
    assert same(next(harvest(rows, domains, person, first)), whole[0])
    assert isinstance(whole[0], Harvest)


def test_all_lines_may_be_known_and_nothing_may_be_found():
    rows = sparse.csr_array(np.eye(3))
    everything = next(harvest(rows, [0, 0, 0], lambda shown: [], begin(range(3), 3, rng=0)))
    assert everything.collected.all() and everything.marked.size == 3
    assert precision_and_recall(np.zeros(3, bool), np.ones(3, bool)) == (1.0, 0.0)
    with pytest.raises(ValueError, match="known must be a vector of whole numbers in"):
        begin([], 3, rng=0)


def test_a_domain_is_shown_only_if_more_than_the_share_was_collected():
    shown = []
    for least_share in 0.49, 0.5:
        next(harvest(sparse.csr_array(np.eye(4)), [0, 0, 3, 3],
                     lambda lines: shown.append(lines.tolist()) or [], begin([2], 4, rng=0),
                     least_share=least_share))
    assert shown == [[2, 3], []]
    assert share_of(np.array([True, False, True]), np.array([0, 0, 2])).tolist() == [0.5, 0, 1]


def test_rounds_stop_when_little_is_new_or_when_there_were_enough():
    def rounds():
        for share in 0.0, 0.9, 0.97, 0.98, 1.0:
            yield Harvest(0, None, None, None, share, None, None)

    def stopped(**options):
        return [record.already_there for record in until_stopped(rounds(), **options)]

    assert stopped() == [0.0, 0.9, 0.97, 0.98]
    assert stopped(enough=0.9) == [0.0, 0.9]
    assert stopped(most=1) == [0.0]


def test_no_round_is_lost_and_nobody_is_asked_once_more():
    asked = []
    loop = harvest(sparse.csr_array(np.eye(4)), [0, 1, 2, 3],
                   lambda shown: asked.append(shown) or [], begin([2], 4, rng=0))
    assert [record.iteration for record in until_stopped(loop, enough=1, most=1)] == [1]
    assert len(asked) == 1 and next(loop).iteration == 2


def test_whole_numbers_say_which_of_the_lines_are_right_and_masks_do_not():
    rows, domains = sparse.csr_array(np.eye(6)), [0, 0, 0, 1, 1, 1]
    right, first = np.arange(6) > 2, begin([3], 6, rng=0)
    record = next(harvest(rows, domains, lambda shown: shown[right[shown]], first))
    assert record.marked.tolist() == [3, 4, 5]
    record = next(harvest(rows, domains, lambda shown: [5.0], first))
    assert record.marked.tolist() == [3, 5] and record.marked.dtype.kind == "i"
    for none in [], np.zeros(0), ():
        record = next(harvest(rows, domains, lambda shown, none=none: none, first))
        assert record.marked.tolist() == [3] and record.marked.dtype.kind == "i"


# What it finds: the names of mathematical symbols.


def test_the_names_that_are_searched():
    pool = names()
    assert (len(pool.names), pool.right.sum(), pool.rows.shape[1]) == (12_771, 899, 4_736)
    assert 0.0655 < 899 / 12_771 < 0.0745  # 7 in a hundred


@pytest.mark.parametrize("rounds", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_a_random_start_with_five_negatives_finds_nine_tenths_in_two_rounds_in_eight_of_eight(
        rounds):
    """The worst of eight has 0.879 and 0.902."""
    found = runs("random", 5, rounds)
    assert found[:, 1, 0].min() >= 0.86 and found[:, 1, 1].min() >= 0.90
    assert found[:, 2, 2].min() >= 0.95
    assert found[:, 1:, 3].min() >= 750 and (found[:, 0, 3] == 100).all()


MEDIANS = {  # start, negatives, round: known, collected, precision, recall, already there
    ("random", 5, 1): (100, 505, 0.819, 0.460, 0.0),
    ("random", 5, 2): (810, 924, 0.886, 0.915, 0.475),
    ("random", 5, 3): (810, 921, 0.891, 0.917, 0.970),
    ("random", 1, 2): (812, 1_670, 0.527, 0.977, 0.933),
    ("random", 20, 3): (759, 772, 0.986, 0.848, 1.000),
    ("one block", 5, 5): (608, 683, 0.933, 0.709, 0.969),
    ("one block", 20, 5): (512, 518, 0.998, 0.576, 0.995)}


@pytest.mark.slow
@pytest.mark.parametrize("row", MEDIANS, ids=str)
def test_the_table_of_the_chapter(row):
    """Medians of eight; fits of another library may differ by a line or two."""
    start, negatives, number = row
    median = np.median(runs(start, negatives)[:, number - 1], axis=0)
    known, collected, *shares = MEDIANS[row]
    assert median[3:] == pytest.approx((known, collected), abs=1.5)
    assert median[:3] == pytest.approx(shares, abs=0.002)
    line, = re.findall(rf"^    {start} +{negatives} +{number} {{2,}}(.*)$", chapter.__doc__, re.M)
    assert line.split() == [f"{known:,}", "→", f"{collected:,}", *map("{:.3f}".format, shares[:2]),
                            f"{shares[2]:.3f}" if number > 1 else "-"]
    if negatives == 20 and start == "random":  # more than there are
        wrong = np.minimum(20, 12_771 / runs(start, 20)[:, 2, 3] - 1)
        assert wrong.max() < 20 and round(np.median(wrong), 1) == 15.8


@pytest.mark.slow
def test_most_of_what_is_found_the_person_has_marked():
    """In round 2: 800 of the 810 known lines are right, and 24 of 120 others."""
    right, found = names().right, []
    for seed in SEEDS:
        record = rounds_of(names(), "random", 5, seed, 2)[-1]
        added = record.collected.copy()
        added[record.known] = False
        found.append((right[record.known].sum(), record.known.size, (added & right).sum(),
                      added.sum()))
    assert np.median(found, axis=0) == pytest.approx((800, 810, 24, 120), abs=1.5)


@pytest.mark.slow
def test_what_the_words_say_at_most():
    """With all labels but a fifth, on that fifth: a precision of 0.946 and a recall of 0.759"""
    pool, fold = names(), np.arange(12_771) % 5
    rewards = np.zeros(12_771)
    for part in range(5):
        w = fit_classifier(np.zeros(4_736), pool.rows[fold != part],
                           pool.right[fold != part] * 1.0, pull=2.0).x
        rewards[fold == part] = pool.rows[fold == part] @ w
    assert precision_and_recall(rewards > 0, pool.right) == pytest.approx((0.946, 0.759), abs=0.002)


@pytest.mark.slow
def test_without_a_person_the_loop_drifts():
    """Where each line is a domain, and all that is shown is believed: from 0.337 to 0.277"""
    pool, found = names(), []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        known = rng.choice(np.flatnonzero(pool.right), 100, replace=False)
        found.append([precision_and_recall(record.collected, pool.right) for record in islice(
            harvest(pool.rows, np.arange(12_771), lambda shown: shown,
                    begin(known, 12_771, rng=rng), negatives=1), 6)])
        assert found[-1][0][0] > found[-1][-1][0]
    precision, recall = np.median(found, axis=0).T
    assert precision[[0, -1]] == pytest.approx((0.337, 0.277), abs=0.003)
    assert (np.diff(precision) < 0).all() and recall[-1] > 0.98


def arrows():
    return np.array(["ARROW" in name for name in names().names])


@pytest.mark.slow
def test_the_stopping_rule_says_neither_that_all_is_found_nor_that_the_loop_is_at_rest():
    """From one block with 20 negatives: all eight runs stop, with a recall of 0.445 to 0.582.  Two
    would have gone on, from 0.445 to 0.58 and from 384 known lines to 512; the other six are at
    rest, and what they miss is in domains that are never shown."""
    recalls, domains, goes_on = [], names().codes // 128, []
    for seed in SEEDS:
        rounds = rounds_of(names(), "one block", 20, seed, 10)
        *_, last = until_stopped(iter(rounds))
        assert last.already_there >= 0.98 and last.iteration <= 8
        missed = names().right & ~last.collected
        assert (missed & arrows()).sum() > 100
        first, final = (precision_and_recall(record.collected, names().right)[1]
                        for record in (last, rounds[-1]))
        recalls.append(first)
        if rounds[-1].known.size > last.known.size:
            goes_on.append(seed)
            assert (last.known.size, rounds[-1].known.size) == (384, 512)
            assert first == pytest.approx(0.4455, abs=0.001)
            assert final == pytest.approx(0.58, abs=0.01)
        else:
            shown = share_of(last.collected, domains)[domains] > 0.1
            assert last.known.size == 512 and not (missed & shown).any()
    assert goes_on == [0, 1]
    assert (min(recalls), max(recalls)) == pytest.approx((0.445, 0.582), abs=0.002)
    assert np.median(runs("one block", 20)[:, -1, 2]) >= 0.99
    assert np.median(runs("one block", 20)[:, -1, 1]) <= 0.59


@pytest.mark.slow
def test_a_loop_at_rest_may_never_stop():
    """At random with 5 negatives nothing new is known after round 2, and two runs of eight have
    never 98 % in ten rounds.  With 1 negative none does, and from one block the recall is 0.970."""
    for seed in SEEDS:
        rounds = rounds_of(names(), "random", 5, seed, 10)
        assert len({record.known.size for record in rounds[1:]}) == 1
        assert (max(record.already_there for record in rounds) < 0.98) == (seed in (0, 7))
    assert np.median(runs("one block", 1)[:, 1, 1]) == pytest.approx(0.970, abs=0.002)
    for start in "random", "one block":
        assert runs(start, 1, 10)[:, :, 2].max() < 0.98


@pytest.mark.slow
def test_half_of_the_loops_from_one_block_go_on_after_a_pause():
    """With 5 negatives, to a recall of 0.88 or 0.89 in round 12, with 768 or 784 known lines"""
    recall, _, known = np.moveaxis(runs("one block", 5, 12)[:, :, 1:4], 2, 0)
    far = known[:, -1] >= 768
    assert far.sum() == 4 and set(known[far, -1]) == {768, 784} and known[~far, -1].max() <= 640
    assert set(recall[far, -1].round(2)) == {0.88, 0.89} and recall[~far, -1].max() < 0.75
    assert all((np.diff(line[2:]) == 0).any() for line in known[far])  # the pause


@pytest.mark.slow
def test_how_much_of_the_pool_is_right():
    """6 % in round 1, and below 1 % later, when 10 known lines are wrong"""
    right = names().right
    for seed in SEEDS:
        first, *later = rounds_of(names(), "random", 5, seed, 3)
        shares = [np.delete(right, record.known).mean() for record in (first, *later)]
        assert round(shares[0], 2) == 0.06 and round(1 / shares[0]) == 16
        assert 0.3 < 5 * shares[0] < 1 / 3 and 20 * shares[0] > 1 and max(shares[1:]) < 0.01
        assert (~right[later[0].known]).sum() == 10


# Near duplicates.


def test_overlaps_and_near_duplicates_are_those_of_sets(monkeypatch):
    """(harvest.5), in blocks of lines too"""
    rows = some_rows(40, 9)
    sets = [set(np.flatnonzero(row)) | {-1} for row in rows.toarray()]
    rows = sparse.csr_array(sparse.hstack([rows, np.ones((40, 1))]))
    table = np.array([[len(one & other) / len(one | other) for other in sets] for one in sets])
    np.testing.assert_allclose(overlaps(rows, rows[:7]).toarray(), table[:, :7], rtol=1e-12)
    expected = [(i, j) for i, j in combinations(range(40), 2) if table[i, j] >= 0.6]
    for block in 1000, 7:
        monkeypatch.setattr(chapter, "COMPARED_AT_ONCE", block)
        i, j, overlap = near_duplicates(rows, 0.6)
        assert sorted(zip(i, j)) == expected and len(expected) > 5
        np.testing.assert_allclose(overlap, table[i, j], rtol=1e-12)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int64])
def test_small_integers_and_bools_do_not_wrap_around(kind):
    rows = np.zeros((3, 500))
    rows[:2, :300] = rows[2, 299:] = 1
    for make in sparse.csr_array, sparse.csr_matrix, sparse.coo_array:
        small, large = make(rows.astype(kind)), sparse.csr_array(rows)
        assert (overlaps(small, small) != overlaps(large, large)).nnz == 0
        assert overlaps(small, small).toarray()[0].tolist() == [1, 1, 1 / 500]
        assert [part.tolist() for part in near_duplicates(small)] == [[0], [1], [1.0]]
        assert contaminated(small, small).tolist() == [True] * 3
    few = sparse.csr_array(rows[:, :256].astype(kind))  # a sum of 256 is 0 in eight bits
    assert contaminated(few, few).tolist() == [True, True, False]


def test_no_lines_have_no_near_duplicates():
    assert [part.shape for part in near_duplicates(sparse.csr_array((0, 5)))] == 3 * [(0,)]


@pytest.mark.statistical
def test_two_lines_agree_with_the_chance_of_their_overlap_and_meet_with_that_of_the_formula():
    """(harvest.5) and (harvest.6): a hundred pairs, and 20,000 orders.  The pairs share the orders,
    so that their errors depend on each other; the chi-square is that of all together."""
    rows = some_rows(200, 12, 0.6)
    rows = sparse.csr_array(sparse.hstack([rows, np.ones((200, 1))]))
    one, other = np.arange(100), np.arange(100, 200)
    overlap = overlaps(rows, rows).toarray()[one, other]
    signatures = min_hashes(rows, 20_000, rng=3)
    agree = signatures[one] == signatures[other]
    for chance, hits in zip(overlap, agree):
        assert_share(chance, hits)
    errors, shared = (agree.mean(axis=1) - overlap), np.cov(agree) / 20_000
    statistic = errors @ np.linalg.pinv(shared, rcond=1e-9, hermitian=True) @ errors
    freedom = np.linalg.matrix_rank(shared, rtol=1e-9, hermitian=True)
    assert freedom > 50 and FALSE_ALARM < chdtrc(freedom, statistic) < 1 - FALSE_ALARM
    bands = agree.reshape(100, 1_000, 4, 5).all(axis=3).any(axis=2)
    for chance, hits in zip(chance_to_meet(overlap, 4, 5), bands):
        assert_share(chance, hits)


def test_lines_meet_in_a_bucket_if_they_agree_in_all_of_a_band():
    signatures = RNG.integers(0, 3, (30, 12))
    met = (overlaps(b := buckets(signatures, 4), b).toarray() > 0)
    expected = (signatures[:, None] == signatures).reshape(30, 30, 4, 3).all(axis=3).any(axis=2)
    np.testing.assert_array_equal(met, expected)
    assert buckets(signatures, 4).sum() == 30 * 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_minhash_finds_the_near_duplicates_among_the_names_as_its_formula_says(seed):
    """62,628 pairs, of which 6,022 lines are the later one; 16 bands of 8 find 0.977 of them, and
    the formula says 0.982.  The pairs come in families, which are found or missed together.  Less
    than 1 % of all pairs meet, 320,000 to 450,000 of 82 million."""
    rows, (i, j, overlap) = name_pairs()
    assert (overlap.size, np.unique(j).size) == (62_628, 6_022)
    signatures = min_hashes(rows, 128, rng=seed)
    agree = signatures[i] == signatures[j]
    met, said = agree.reshape(-1, 16, 8).all(axis=2).any(axis=1).mean(), chance_to_meet(
        overlap, 16, 8).mean()
    assert abs(met - said) <= 0.01 and round(said, 3) == 0.982
    assert seed != 1 or round(met, 3) == 0.977
    bucket = buckets(signatures, 16)
    pairs = ((bucket @ bucket.T).nnz - rows.shape[0]) / 2
    assert 300_000 < pairs < 460_000 and pairs < 0.01 * 12_771 * 12_770 / 2
    error = np.sqrt(((agree.mean(axis=1) - overlap)**2).mean())
    assert error == pytest.approx(np.sqrt((overlap * (1 - overlap)).mean() / 128), rel=0.15)


@cache
def name_pairs():
    rows, _ = presence(map(shingles, names().names))
    return rows, near_duplicates(rows, 0.8)


def test_a_line_is_contaminated_if_it_shares_something_with_any_of_a_benchmark():
    rows, benchmark = some_rows(50, 30, 0.1), some_rows(3, 30, 0.1)
    seen = set(np.flatnonzero(benchmark.toarray().sum(axis=0)))
    expected = [bool(set(np.flatnonzero(row)) & seen) for row in rows.toarray()]
    assert contaminated(rows, benchmark).tolist() == expected and 0 < sum(expected) < 50


# What it is worth.


@pytest.mark.slow
def test_near_duplicates_do_harm_and_other_lines_do_not():
    """Nats per character of the 90 names, from the others: 1.367; without the later line of each
    near pair among them 1.250; and where as many are left out at random 1.42, the mean of eight"""
    pool, (i, j, _) = names(), name_pairs()[1]
    right = np.flatnonzero(pool.right)
    held = np.sort(np.random.default_rng(0).choice(right, BENCHMARK, replace=False))
    letters, count = from_items(pool.names), len(pool.names)
    kept = ~np.isin(np.arange(count), held)
    later = np.unique(j[kept[i] & kept[j]])

    def nats(out):
        lines = [pool.names[line] for line in np.setdiff1d(np.flatnonzero(kept), out)]
        found = look_up(letters, lines, [pool.names[line] for line in held], order=ORDER)
        return -np.log(tree(found, weight=WEIGHT)[-1]).mean()

    others = [nats(np.random.default_rng(seed).choice(np.flatnonzero(kept), later.size,
                                                      replace=False)) for seed in range(8)]
    assert (nats([]), nats(later)) == pytest.approx((1.367, 1.250), abs=0.002)
    assert np.mean(others) == pytest.approx(1.42, abs=0.005) and min(others) > nats([])


@pytest.mark.slow
def test_what_was_harvested_is_worth_nearly_as_much_as_all_that_is_right():
    """Nats per character of 90 names: 1.46, 0.966, 1.82, 0.935 and 1.367; and where near duplicates
    of these have left 1.57, 1.118, 2.00, 1.089 and 1.485.  The pool has 14 or 15 times the letters
    of the harvest, and then 18 or 19."""
    worths = [worth_of_lines(names(), seed) for seed in range(4)]
    found = np.array([[[row[-1] for row in rows] for rows in worth] for worth in worths])
    letters = np.array([[[row[2] for row in rows] for rows in worth] for worth in worths])
    times = (letters[:, :, 4] / letters[:, :, 1]).round()
    assert [set(column) for column in times.T] == [{14, 15}, {18, 19}]
    known, harvested, random, right, pool = found[:, 0].T
    assert harvested.max() <= 1.0 and random.min() >= 1.7
    assert harvested.mean() - right.mean() <= 0.05 and (pool - harvested).min() >= 0.3
    assert (known > harvested).all() and (random > known).all()
    mean = found.mean(axis=0)
    rows = re.findall(r"the whole pool\n(.*)\n(.*)\n", chapter.__doc__)[0]
    shown = [[float(number) for number in row.split()] for row in rows]
    assert shown == [[1.46, 0.966, 1.82, 0.935, 1.367], [1.57, 1.118, 2.00, 1.089, 1.485]]
    assert mean[0] == pytest.approx(shown[0], abs=0.01)
    assert mean[1] == pytest.approx(shown[1], abs=0.01)
    assert (mean[0].argsort() == mean[1].argsort()).all()
    assert ((mean[1] - mean[0] > 0.1) & (mean[1] - mean[0] < 0.21)).all()


def job():
    return defaults.harvest()[0]


def test_the_job_counts_what_is_right_and_wrong_and_trains_on_equal_sizes():
    found = job()
    assert [(row.start, row.negatives) for row in found.rounds[::5]] == [*STARTS]
    for row in found.rounds:
        assert row.precision == pytest.approx(row.hits / row.collected, abs=1e-12)
        assert row.recall == pytest.approx(row.hits / 899, abs=1e-12)
        assert row.known <= row.collected and row.round in range(1, 6)
    last = found.rounds[9]
    assert (last.start, last.negatives, last.round) == ("random", 5, 5)
    text = " ".join(collected_text(found).split())
    assert (f"{last.hits:,} are collected rightly, {last.collected - last.hits:,} wrongly; "
            f"{899 - last.hits:,} are missed, {12_771 - 899 - last.collected + last.hits:,} left "
            f"out rightly") in text
    last = found.rounds[9], found.rounds[19]  # of both loops that are printed
    assert max(row.already_there for row in last) < 0.98 and last[1].recall < 0.75
    known, harvested, random, right, pool = found.worths
    assert (known.lines, right.lines, pool.lines) == (100, 899 - 90, 12_771 - 90)
    for a, b in (harvested.letters, random.letters), (harvested.letters_near, random.letters_near):
        assert 0 <= a - b < 90
    assert pool.lines - pool.lines_near == 184  # lines near to one of the 90


def test_the_figure_draws_the_path_of_each_start():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures

    found = job()
    axes, = figures.harvest_figures(found)["harvest_rounds"].axes
    paths, firsts = axes.lines[::2], axes.lines[1::2]
    for place, (start, negatives) in enumerate(STARTS):
        rows = found.rounds[5 * place:5 * place + 5]
        assert [*zip(*paths[place].get_data())] == [(row.recall, row.precision) for row in rows]
        assert [*zip(*firsts[place].get_data())] == [(rows[0].recall, rows[0].precision)]
        assert axes.texts[place].get_text() == f"{start} ×{negatives}"
