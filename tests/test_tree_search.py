"""Looking ahead by trying: what a simulation does, and what the answers lose, exactly."""

import re
from dataclasses import replace
from functools import cache
from itertools import islice
from math import log, sqrt

import numpy as np
import pytest
from worlds import random_mdp

from gridworld.maps import frozen_lake
from minirl.beyond import tree_search as chapter
from minirl.beyond.tree_search import deceptive_chain, puct, regret, tree_search, uct
from minirl.exact.evaluation import action_values, evaluate
from minirl.exact.planning import backward_induction, policy_iteration, value_iteration
from minirl.exact.scorecard import referee
from minirl.kernel.mdp import coin_game
from minirl.kernel.softmax import log_softmax
from minirl.lab import searches


def last(trees, n):
    *_, tree = islice(trees, n)
    return tree


# What a simulation does.


def test_the_rules_are_their_equations():
    """(tree_search.2), (tree_search.3)"""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        N, Q = rng.integers(1, 4, 4).tolist(), rng.random(4).tolist()
        prior = rng.dirichlet(np.ones(4), 3)
        able = sorted(rng.permutation(4)[:3].tolist())
        for c in 0.0, 0.7, 2.0:
            upper = {a: Q[a] + c * sqrt(log(1 + sum(N)) / N[a]) for a in able}
            assert uct(c)(1, able, N, Q) == max(upper, key=upper.get)
            upper = {a: Q[a] + c * prior[1, a] * sqrt(1 + sum(N)) / (1 + N[a]) for a in able}
            assert puct(prior, c)(1, able, N, Q) == max(upper, key=upper.get)
    assert uct()(0, [0, 1, 3], [5, 4, 0, 0], [0.0, 9.0, 0.0, 0.0]) == 3


def test_the_tree_grows_by_a_node_a_simulation_and_its_means_are_those_of_returns():
    """(tree_search.1): what the rule is shown, by a rule that keeps a diary.  In the coin game,
    heads and then a tail earn Σ γᵗ."""
    shown = []

    def choose(state, actions, N, Q):
        shown.append((tuple(N), tuple(Q)))
        return 0

    returns, nodes = [], []
    for tree in islice(tree_search(coin_game(gamma=0.9), 0, choose, rng=0, horizon=6), 12):
        before = returns[:]
        nodes.append(len(shown))
        returns.append(tree.values[0] * (len(before) + 1) - sum(before))
        assert tree.visits == (len(returns), 0) and tree.values[1] == 0
        shown.clear()
    assert nodes == [1, 2, 3, 4, 5, *[6] * 7]  # one more each time, until the horizon
    sums = np.cumsum(0.9**np.arange(6))
    assert all(np.abs(sums - value).min() < 1e-12 for value in returns)


def test_below_the_tree_a_policy_plays():
    """The first simulation plays it from the second step on, so its mean is Q of that policy."""
    mdp = random_mdp(np.random.default_rng(1), 4, 3, 2, 0.9)
    policy = np.random.default_rng(2).dirichlet(np.ones(3), 4)
    Q = action_values(mdp, evaluate(mdp, policy))
    rng, first = np.random.default_rng(3), []
    for _ in range(20_000):
        tree = next(tree_search(mdp, 2, lambda *_: 1, rng=rng, policy=policy, horizon=200))
        first.append(tree.values[1])
    assert np.mean(first) == pytest.approx(Q[2, 1], abs=4 * np.std(first) / sqrt(20_000))


def test_only_what_is_available_is_chosen():
    mdp = random_mdp(np.random.default_rng(1), 4, 3, 2, 0.9)
    mdp = replace(mdp, available=np.tile([True, False, True], (4, 1)))
    for rule in uct(), puct(np.full((4, 3), 1 / 3)):
        tree = last(tree_search(mdp, 0, rule, rng=0), 200)
        assert tree.visits[1] == 0 and min(tree.visits[0], tree.visits[2]) > 0


def test_a_search_goes_on_from_where_it_was_and_a_seed_is_a_search():
    mdp = frozen_lake().mdp(gamma=0.9)
    long = list(islice(tree_search(mdp, 0, uct(), rng=5), 50))
    assert long == list(islice(tree_search(mdp, 0, uct(), rng=5), 50))
    assert [sum(tree.visits) for tree in long] == list(range(1, 51))
    assert long != list(islice(tree_search(mdp, 0, uct(), rng=6), 50))


def test_the_mean_comes_to_the_best_value_within_the_horizon_from_below():
    """Where every action is tried for ever and the world is short."""
    mdp = random_mdp(np.random.default_rng(4), 3, 2, 2, 1.0)
    best = backward_induction(mdp, 3)
    tree = last(tree_search(mdp, 0, uct(3.0), rng=0, horizon=3), 10_000)
    assert tree.action == best.policy[0, 0].argmax()
    assert tree.values[tree.action] == pytest.approx(best.values[0, 0], abs=0.1)


def test_the_numbers_of_the_example():
    """To leave is worth 1.68 and to stay 1.67 in the fourth simulation."""
    assert round(0.5 + sqrt(2) * sqrt(log(4) / 2), 2) == 1.68
    assert round(sqrt(2) * sqrt(log(4)), 2) == 1.67


# What an answer loses.


def test_regret_is_what_the_first_action_costs_if_all_later_ones_are_best():
    """(tree_search.4): V* less the value of a policy that errs once"""
    best = policy_iteration(frozen_lake().mdp(gamma=0.9))
    for s in range(16):
        for a in range(4):
            assert regret(best, s, a) == pytest.approx(
                best.values[s] - best.action_values[s, a], abs=1e-12)
    assert regret(best, 3, int(best.policy[3].argmax())) == 0


@cache
def lake_regrets(rule, simulations):
    """In percent, by seed and number of simulations."""
    lake = searches.lake()
    return 100 * np.array([searches.regrets(lake, searches.rules(lake)[rule], simulations, seed)
                           for seed in range(8)])


@cache
def lake_shares(rule, simulations, ice):
    """Of J*, in percent, by seed and number of simulations, of the policies that take the answers
    in all cells: on the lake of the job, or on the slippery one."""
    lake = searches.lake()
    mdp = frozen_lake().mdp(gamma=0.99) if ice else lake.mdp
    best, judge, shares = policy_iteration(mdp), referee(mdp), []
    for seed in range(8):
        policies = {n: mdp.uniform.copy() for n in simulations}
        for s in np.flatnonzero(np.ptp(best.action_values, axis=1) > 1e-12):
            trees = tree_search(mdp, s, searches.rules(lake)[rule], rng=seed)
            for n, tree in enumerate(islice(trees, max(simulations)), 1):
                if n in policies:
                    policies[n][s] = np.eye(4)[tree.action]
        shares.append([judge(policy).objective / best.objective for policy in policies.values()])
    return 100 * np.array(shares)


NAMES = {"UCT, c = √2": "UCT", "PUCT, c = 2, good prior": "PUCT, good prior",
         "PUCT, c = 2, no opinion": "PUCT, no opinion",
         "PUCT, c = 2, wrong prior": "PUCT, wrong prior", "UCT, slippery ice": "UCT"}


def table_of_the_chapter():
    """The numbers of simulations; and what is shown, its row, medians and what is worst."""
    head, *lines = re.search(r"^    simulations a cell .*?\n\n", chapter.__doc__,
                             flags=re.M | re.S)[0].strip().split("\n")
    simulations, what = tuple(int(n.replace(",", "")) for n in head.split()[3:]), None
    for line in lines:
        first, name, numbers = re.fullmatch(
            r"    (regret|share|) +(\S.*?) +([\d. ]+)", line).groups()
        what = first or what
        numbers = np.array(numbers.split(), float)
        yield what, name, simulations[:len(numbers) // 2], numbers[::2], numbers[1::2]


@pytest.mark.slow
@pytest.mark.parametrize("what, name, simulations, median, worst", [*table_of_the_chapter()],
                         ids=lambda x: x if isinstance(x, str) else "")
def test_the_regrets_and_shares_of_the_chapter(what, name, simulations, median, worst):
    """(tree_search.4), and the share of J*: at each number of simulations, as the text has them"""
    if what == "regret":
        found = lake_regrets(NAMES[name], simulations)
        np.testing.assert_allclose(found.max(axis=0), worst, rtol=0, atol=0.051)
        np.testing.assert_allclose(np.median(found, axis=0), median, rtol=0, atol=0.051)
    else:
        found = lake_shares(NAMES[name], simulations, name == "UCT, slippery ice")
        np.testing.assert_allclose(found.min(axis=0), worst, rtol=0, atol=0.51)
        np.testing.assert_allclose(np.median(found, axis=0), median, rtol=0, atol=0.51)


ROWS = """
    regret  UCT, c = √2              16.8  28.4  10.6  18.2   2.7   4.4   0.9   2.2     0   1.2
            PUCT, c = 2, good prior     0   1.2     0   1.9     0     0     0     0
            PUCT, c = 2, no opinion  17.2  26.1   8.4  12.9   3.1   5.9   1.5   3.0
            PUCT, c = 2, wrong prior 64.4  64.4  62.2  64.4  62.2  62.2  62.2  62.2
    share   UCT, c = √2                 0     0    13     0    50     0    77    44   100    45
            PUCT, c = 2, good prior   100    54   100    84   100   100   100   100
            PUCT, c = 2, no opinion     0     0     0     0    16     0    67    45
            UCT, slippery ice           0     0     4     0    14     2    15    10    33    23
"""


def test_the_table_of_the_chapter_has_all_rows():
    """Each is read by the test above."""
    assert ROWS in chapter.__doc__
    rows = [(what, name, len(simulations))
            for what, name, simulations, *_ in table_of_the_chapter()]
    good, none, wrong = [*NAMES][1:4]
    assert rows == [("regret", "UCT, c = √2", 5), *(("regret", name, 4) for name in
                                                    (good, none, wrong)),
                    ("share", "UCT, c = √2", 5), ("share", good, 4), ("share", none, 4),
                    ("share", "UCT, slippery ice", 5)]


@pytest.mark.slow
def test_with_a_wrong_prior_a_policy_earns_nothing():
    assert lake_shares("PUCT, wrong prior", (16, 64, 256, 1024), False).max() < 0.5


@pytest.mark.slow
def test_uct_comes_to_the_best():
    """At most 2 % in eight of eight seeds: 0 in five of them, and else 0.8 to 1.2."""
    found = lake_regrets("UCT", (16, 64, 256, 1024, 4096))[:, 4]
    assert found.max() <= 2
    assert np.round([np.median(found), found.max()], 1).tolist() == [0, 1.2]
    assert (found < 1e-9).sum() == 5
    assert round(found[found > 1e-9].min(), 1) == 0.8


def test_a_wrong_prior_shares_the_visits_and_hides_what_is_below():
    """The best action of the start is tried 184 of 1,024 times; no mean is above 0.002."""
    lake = searches.lake()
    tree = last(tree_search(lake.mdp, 0, searches.rules(lake)["PUCT, wrong prior"], rng=0), 1024)
    prior = np.exp(log_softmax(-lake.optimum.action_values / 0.1))[0]
    assert tree.visits[lake.optimum.policy[0].argmax()] == 184
    assert max(tree.values) < 0.002
    assert np.round(prior, 2).tolist() == [0.25, 0.18, 0.30, 0.27]
    assert np.round(np.array(tree.visits) / 1024, 2).tolist() == [0.25, 0.18, 0.30, 0.27]


@pytest.mark.slow
def test_the_regret_of_a_wrong_prior_falls_slowly():
    """In seed 0: 55, 34 and 31 % after 4,096, 16,384 and 65,536 simulations."""
    lake = searches.lake()
    found = searches.regrets(lake, searches.rules(lake)["PUCT, wrong prior"],
                             (4096, 16_384, 65_536), 0)
    assert np.round(100 * found).tolist() == [55, 34, 31]


def test_a_good_prior_needs_few_simulations_and_none():
    """At most 1 % in eight of eight seeds at 256; its likeliest action is the best one."""
    lake = searches.lake()
    assert lake_regrets("PUCT, good prior", (16, 64, 256))[:, 2].max() <= 1
    prior = np.exp(log_softmax(lake.optimum.action_values / 0.1))[lake.cells]
    assert np.mean(prior.max(axis=1)) == pytest.approx(0.58, abs=0.005)
    assert len(lake.cells) == 11
    assert all(regret(lake.optimum, s, row.argmax()) < 1e-12
               for s, row in zip(lake.cells, prior))


def test_on_the_slippery_lake_the_second_term_is_larger_than_the_returns():
    """0.012 by random play, against 0.13 after a thousand visits to each of four actions."""
    mdp = frozen_lake().mdp(gamma=0.99)
    assert round(referee(mdp)(mdp.uniform).objective, 3) == 0.012
    assert round(sqrt(2) * sqrt(log(4001) / 1000), 2) == 0.13
    assert last(tree_search(mdp, 0, uct(), rng=0), 4096).visits == (1_042, 1_006, 1_051, 997)


# The chain.


def chain_of_the_chapter():
    """(D, simulations): a number, or "> " and one."""
    lengths, simulations = re.search(r"^    D +(.*)\n    simulations +(.*)$", chapter.__doc__,
                                     flags=re.M).groups()
    return list(zip(map(int, lengths.split()), re.findall(r"(?:> )?[\d,]+", simulations),
                    strict=True))


@pytest.mark.parametrize("length, simulations", [
    pytest.param(D, n, marks=[pytest.mark.slow] * (D > 6)) for D, n in chain_of_the_chapter()])
def test_the_chain_needs_many_more_simulations_for_each_state(length, simulations):
    """The same for every seed."""
    for seed in range(5):
        found = searches.until_it_stays(length, 131_072, seed)
        assert (f"{found:,}" if found else "> 131,072") == simulations


def test_the_two_bounds_stay_together():
    """(tree_search.5): after 32,768 simulations at D = 7, which left 32,266 times and stayed 502
    times for 0.679; both bounds are 0.8825.  (tree_search.6): at each power of 2 before."""
    trees = enumerate(islice(tree_search(deceptive_chain(7), 0, uct(), rng=0), 32_768), 1)
    for n, tree in trees:
        if n >= 64 and n & (n - 1) == 0:
            gap = tree.values[0] - tree.values[1]
            assert gap > 0 and tree.visits[1] < 2 * log(n + 1) / gap**2
    assert tree.visits == (32_266, 502)
    assert tree.values[0] == pytest.approx(6 / 7) and round(tree.values[1], 3) == 0.679
    bounds = [Q + sqrt(2) * sqrt(log(32_769) / N) for N, Q in zip(*tree)]
    assert np.round(bounds, 4).tolist() == [0.8825, 0.8825]


def test_few_simulations_come_far_along_the_chain():
    """Of 4,096 at D = 7, the second node is reached by 256, and those behind by 56, 18, 7, 3, 1."""
    rule, reached = uct(), {}

    def choose(state, actions, N, Q):
        reached[state] = N  # the list that the search goes on counting in
        return rule(state, actions, N, Q)

    last(tree_search(deceptive_chain(7), 0, choose, rng=0), 4096)
    assert [sum(reached[d]) for d in range(7)] == [4096, 256, 56, 18, 7, 3, 1]


def test_the_chain_is_what_it_says_and_a_solver_sees_through_it():
    """After d times staying to leave pays (D − d − 1)/D; value iteration needs D sweeps."""
    for D in 2, 5, 9:
        mdp = deceptive_chain(D)
        assert mdp.mean_reward[:, 0].tolist() == [(D - d - 1) / D for d in range(D)]
        best = value_iteration(mdp)
        assert best.policy.argmax(axis=1).tolist() == [1] * D and best.objective == 1
        assert best.rounds in (D, D + 1)  # the last one sees that nothing moves
        assert regret(best, 0, 0) == pytest.approx(1 / D)


# The job.


@cache
def job():
    return searches.measure_searches(0, lambda line: None, searches.SearchScale(
        (2, 3), (1, 2, 4), (4, 8), 3, 64))


def test_the_job_finds_what_its_parts_find():
    found, world = job(), searches.lake()
    assert [(one.order, one.likeliest, one.greedy) for one in found.strings] == [
        (2, "s", "s"), (3, "ma", "se")]
    assert [beam.right for one in found.strings for beam in one.beams] == [13, 19, 25, 8, 15, 22]
    assert found.chain == [(2, 8), (3, 32), *((D, None) for D in range(4, 8))]
    assert [tree.rule for tree in found.trees] == list(searches.rules(world))
    rule = uct()
    by_hand = [[np.mean([regret(world.optimum, s, last(tree_search(
        world.mdp, s, rule, rng=seed), n).action) / world.optimum.values[s] for s in world.cells])
        for seed in range(3)] for n in (4, 8)]
    np.testing.assert_allclose(found.trees[0].regrets, by_hand, rtol=0, atol=1e-15)


def test_enough_is_the_first_width_that_finds_all():
    """And not one that finds 26 of 27."""
    one = job().strings[0]
    beams = [beam._replace(right=right) for beam, right in zip(one.beams, (26, 27, 27))]
    text = searches.searches_text(job()._replace(strings=[one._replace(beams=beams)]))
    line, = re.findall("^ +2  s .*$", text, flags=re.M)
    assert line.split()[-1] == "2" == str(beams[1].width)


def test_the_figures_show_what_was_found():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures

    beams, trees = figures.searches_figures(job()).values()
    left, right = beams.axes
    for one, short, letters in zip(job().strings, left.lines, right.lines, strict=True):
        assert list(short.get_ydata()) == [beam.short for beam in one.beams]
        assert list(letters.get_ydata()) == [beam.letters for beam in one.beams]
    assert {text.get_text() for text in right.texts} == {"● order 2", "■ order 3"}
    left, right = trees.axes
    for tree, line in zip(job().trees, left.lines, strict=True):
        assert list(line.get_ydata()) == [100 * sorted(runs)[1] for runs in tree.regrets]
    assert {text.get_text()[2:] for text in left.texts} == {tree.rule for tree in job().trees}
    assert right.lines[0].get_xydata().tolist() == [[2, 8], [3, 32]]
    assert [text.get_text() for text in right.texts] == ["more than 64"]
    assert list(right.lines[1].get_xdata()) == [4, 5, 6, 7]
