"""The page of errata: its form, and every sentence of it that can be computed."""

import ast
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from test_book import ORDER, PATHS
from test_house import ROOT
from worlds import random_mdp, single_outcome

from minirl import errata
from minirl.exact.evaluation import advantages, evaluate, occupancy
from minirl.exact.planning import policy_gradient
from minirl.exact.return_law import integer_law
from minirl.kernel.mdp import coin_game
from minirl.kernel.playing import Rollout
from minirl.kernel.softmax import backward, log_softmax
from minirl.people.best_of_n import best_of_n
from minirl.people.dpo import dpo_loss
from minirl.people.groups import group_normalised
from minirl.people.orpo import log_odds
from minirl.play.returns import gae

HEADING = r"^\*\*(.+)\*\*$"
ENTRY = re.compile(r'^(\d+)\. ("(?:.|\n)+?")\n {3,4}(\S(?:.|\n)+)$')
NOWHERE = "Not in a chapter"


def entries():
    """Of each entry: its chapter, number, what is said, what is right, its tag and its source."""
    found, chapter = [], None
    for block in re.split(r"\n\n", errata.__doc__.strip())[2:]:
        heading = re.match(HEADING, block)
        if heading:
            chapter = heading[1]
            continue
        number, said, rest = ENTRY.match(block).groups()
        right, _, source = rest.partition("Source: ")
        tag = re.search(r"\((\w+\.\d+)\)\s*$", right)
        found.append((chapter, int(number), said, right.strip(), tag and tag[1], source))
    return found


def test_every_entry_says_what_is_right_and_where():
    """A chapter and one of its equations, or a source; the chapters in reading order."""
    rooms = PATHS | {f"toy_lm/{path.stem}": path for path in (ROOT / "toy_lm").glob("*.py")}
    order, found = [*ORDER, "toy_lm/ngram", "toy_lm/raters", NOWHERE], entries()
    assert [number for _, number, *_ in found] == list(range(1, len(found) + 1)) and len(found) > 50
    places = [order.index(chapter) for chapter, *_ in found]
    assert places == sorted(places)
    for chapter, number, said, right, tag, source in found:
        assert len(right) > 15 and right.count("\n") <= 4, number
        assert tag or source.strip().endswith("."), number
        if chapter == NOWHERE:
            assert tag is None, number
        elif tag:
            text = ast.get_docstring(ast.parse(rooms[chapter].read_text(encoding="utf-8")))
            assert tag.split(".")[0] == chapter.split("/")[-1], number
            assert re.search(rf"\({tag}\)$", text, re.M), number


def test_the_text_of_the_book_leaves_such_sentences_to_this_page():
    paths = [*(ROOT / "minirl").rglob("*.py"), *(ROOT / "toy_lm").glob("*.py"), ROOT / "README.md",
             *(ROOT / "docs").glob("*.md")]
    assert [str(path) for path in paths if path.stem != "errata" and re.search(
        r"(?i)lecture\s+notes|\bslides\s+(?!along)", path.read_text(encoding="utf-8"))] == []


def test_every_figure_of_the_page_is_computed_below():
    """A number with a decimal point, but those of versions, tags and papers"""
    whole = (ROOT / "tests" / "test_errata.py").read_text(encoding="utf-8")
    tests = whole.split("# Policies", 2)[2]
    for _, number, said, right, *_ in entries():
        text = re.sub(r"\(\w+\.\d+\)|version [\d.]+|beta[\d.]+", "", said + right)
        for figure in re.findall(r"\d+\.\d+(?:e\d+)?", text):
            assert figure in tests, (number, figure)


# Policies and values.


def test_the_derivative_of_the_visits_drops_out(rng):
    """1: J by central differences, against the visits held fixed, (planning.5)"""
    visits, h = np.zeros((2, 3)), 1e-6
    while np.abs(visits[1] - visits[0]).max() / h < 1e-3:  # until they depend on the logits
        mdp, logits = random_mdp(rng, 3, 2, 2, 0.9), rng.normal(size=(3, 2))
        moved = logits + h * np.eye(3)[:, [0]] * [1, 0]
        policies = [np.exp(log_softmax(x)) for x in (logits, moved)]
        visits = [occupancy(mdp, policy) for policy in policies]
    J = [mdp.start @ evaluate(mdp, policy) for policy in policies]
    assert (J[1] - J[0]) / h == pytest.approx(policy_gradient(mdp, logits)[1][0, 0], rel=1e-4)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.99])
def test_of_two_actions_the_better_one_is_pushed(p):
    """2: the gradient p (1 − p) (5 − 2) of the first logit, by (planning.5) and (softmax.3)"""
    policy, Q = np.array([[p, 1 - p]]), np.array([[5.0, 2.0]])
    A = Q - (policy * Q).sum()
    np.testing.assert_allclose(A, [[3 * (1 - p), -3 * p]], atol=1e-12)
    np.testing.assert_allclose(policy * A, backward(np.log(policy), policy * Q), atol=1e-12)
    assert (policy * A)[0, 0] == pytest.approx(3 * p * (1 - p)) and (policy * A)[0, 0] > 0


def test_gae_stops_at_the_end_of_an_episode_and_asks_the_table_at_a_cut():
    """3 to 5: an episode that is cut after two steps, and one that ends after three"""
    states, rewards = np.array([0, 1, 0, 2, 1]), np.array([1.0, 0, 2, 0, 4])
    batch = Rollout(states=states, actions=0 * states, rewards=rewards,
                    terminated=np.array([False] * 4 + [True]), starts=np.array([0, 2, 5]),
                    last_state=np.array([2, 0]), truncated=np.array([True, False]))
    values, after = np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 4.0, 2.0, 0.0])
    delta = rewards + 0.5 * after - values[states]
    found, _ = gae(rewards, batch, values, gamma=0.5, gae_lambda=0.5)
    A = [delta[0] + delta[1] / 4, delta[1], delta[2] + delta[3] / 4 + delta[4] / 16,
         delta[3] + delta[4] / 4, delta[4]]
    np.testing.assert_allclose(found, A, atol=1e-12)
    leaking = delta[1] + A[2] / 4
    assert abs(found[1] - leaking) > 0.1 and abs(found[1] - (delta[1] - 0.5 * 4)) > 0.1
    assert found[4] == rewards[4] - values[states[4]] != delta[4] + 0.5 * values[0]


def test_without_the_factor_the_update_is_no_gradient_unless_gamma_is_one():
    """8: a gradient has a symmetric Jacobian.  State 0 leads to state 1, which pays 5 or 1."""
    logits, h = np.random.default_rng(3).normal(size=4), 1e-5

    def asymmetry(gamma):
        mdp = single_outcome([[1, 0], [0, 0]], [[0, 1], [5, 1]], [[False, True], [True, True]],
                             [1, 0], gamma)

        def update(x):
            policy = np.exp(log_softmax(x.reshape(2, 2)))
            visits = occupancy(replace(mdp, gamma=1.0), policy)
            return (visits[:, None] * policy * advantages(mdp, evaluate(mdp, policy))).ravel()

        moves = h * np.eye(4)
        jacobian = [(update(logits + x) - update(logits - x)) / (2 * h) for x in moves]
        return np.abs(np.array(jacobian) - np.transpose(jacobian)).max()

    assert asymmetry(0.5) > 1e-3 > 1e-9 > asymmetry(1.0)


def test_the_best_constant_and_the_variance_of_an_advantage():
    """9 and 11: one state, two actions with 0.9 and 0.1, which pay 1 and 0"""
    policy, reward = np.array([0.9, 0.1]), np.array([1.0, 0.0])
    score = np.eye(2) - policy
    length = (score**2).sum(axis=1)

    def variance(baseline):
        estimates = (reward - baseline)[:, None] * score
        mean = policy @ estimates
        return policy @ (estimates**2).sum(axis=1) - mean @ mean

    best = policy @ (length * reward) / (policy @ length)
    assert best == pytest.approx(0.1) and policy @ reward == 0.9
    assert variance(best) < min(variance(best - 0.01), variance(best + 0.01))
    assert (variance(0.0), variance(policy @ reward)) == pytest.approx((0.0018, 0.1152))


# PPO.


def surrogate_gradient(logits, old, A, epsilon=0.2):
    """(ppo.3) for one step of each action, written out."""
    logp = log_softmax(logits)
    ratio = np.exp(logp - old)
    alive = np.where(A > 0, ratio <= 1 + epsilon, ratio >= 1 - epsilon)
    return ratio, alive, backward(logp, -ratio * A * alive / A.size)


def test_a_clipped_ratio_is_carried_further_by_its_row():
    """16: the first action is beyond the bound; the second one, which is bad, pays for it"""
    old = np.log([[0.3, 0.3, 0.4]])
    logits, A = np.log([[0.39, 0.27, 0.34]]), np.array([[1.0, -1.0, 0.0]])
    ratio, alive, gradient = surrogate_gradient(logits, old, A)
    assert ratio[0, 0] > 1.2 and not alive[0, 0]
    later, *_ = surrogate_gradient(logits - gradient, old, A)
    assert later[0, 0] > ratio[0, 0]


def test_outside_the_interval_a_gradient_may_be_alive():
    """17: a bad action above 1 + ε is pulled back"""
    ratio, alive, gradient = surrogate_gradient(
        np.log([[0.4, 0.6]]), np.log([[0.3, 0.7]]), np.array([[-1.0, 0.0]]))
    assert ratio[0, 0] > 1.2 and alive[0, 0] and gradient[0, 0] > 0


# Divergences and rewards.


def test_the_bounds_of_the_best_of_n_are_not_reached_where_there_are_ties():
    """22: games of a fair coin"""
    law = integer_law(coin_game(), np.array([[0.5, 0.5]]))
    for n in 2, 4, 64:
        best = best_of_n(law, n)
        assert best.kl < math.log(n) - (n - 1) / n - 0.02
        assert best.win_rate < n / (n + 1) - 0.001


def test_the_sum_without_logarithms():
    """24: zero, negative, bounded, and not additive; the KL is none of these"""
    def wrong(P, Q):
        return float(np.sum(P * (P - Q)))

    def right(P, Q):
        return float(np.sum(P * np.log(P / Q)))

    fair, one, other = np.array([0.5, 0.5]), np.array([0.6, 0.4]), np.array([0.9, 0.1])
    for coin in one, other:
        assert wrong(fair, coin) == pytest.approx(0, abs=1e-15) and right(fair, coin) > 0.02
    assert wrong(one, other) == pytest.approx(-0.06)
    sure, far = np.array([1.0, 1e-300]), np.array([1e-9, 1.0])
    assert wrong(sure, far) <= 1 < 20 < right(sure, far)
    twice = np.outer(other, other).ravel(), np.outer(one, one).ravel()
    assert right(*twice) == pytest.approx(2 * right(other, one))
    assert abs(wrong(*twice) - 2 * wrong(other, one)) > 0.01


def test_an_estimate_of_the_kl_is_not_a_loss(rng):
    """26 and 27: the mean gradients of k1, k2 and k3 in a row"""
    logp, ref = log_softmax(rng.normal(size=(1, 4))), log_softmax(rng.normal(size=(1, 4)))
    policy, u = np.exp(logp), ref - logp
    slopes = np.ones(u.shape), -u, 1 - np.exp(u)
    towards_ref, from_ref = policy * (logp - ref), -np.exp(ref)
    for slope, G in zip(slopes, (np.zeros(u.shape), towards_ref, from_ref)):
        np.testing.assert_allclose(backward(logp, policy * slope), backward(logp, G), atol=1e-12)
    k1, k3 = -u, np.exp(u) - u - 1
    assert (policy * k1).sum() == pytest.approx((policy * k3).sum()) and (k1 != k3).all()


def test_the_advantages_of_a_group_are_zero_on_average():
    """37: strings of one step, in groups of four"""
    rewards, none = np.array([1.0, 0, 0, 1, 5, 2, 2, 9]), np.zeros(8, int)
    batch = Rollout(states=none, actions=none, rewards=rewards, terminated=none == 0,
                    starts=np.arange(9), last_state=none, truncated=none > 0)
    found = group_normalised(rewards, batch, 4).reshape(2, 4)
    assert found.mean(axis=1) == pytest.approx(0, abs=1e-12)
    assert found[0] == pytest.approx([1, -1, -1, 1], rel=1e-3)


def test_dividing_by_one_less_makes_advantages_smaller():
    """38: groups of eight"""
    rewards = np.array([1.0, 0, 0, 1, 5, 2, 2, 9])
    book, library = (rewards.mean() - rewards) / rewards.std(), (
        rewards.mean() - rewards) / rewards.std(ddof=1)
    assert library / book == pytest.approx(np.sqrt(7 / 8)) == pytest.approx(0.935, abs=5e-4)


def by_complex_step_in_log_pi(function, logp):
    """∂/∂log π of each entry of a row."""
    steps = 1e-30j * np.eye(logp.size)
    return np.array([function(logp + step).imag / 1e-30 for step in steps])


def test_a_ratio_that_is_differentiated_turns_k3_into_the_reverse_kl():
    """43 and 62: mean gradients over π_old = π, of ρ k3 and of k3"""
    logp, ref = (log_softmax(np.array([row]))[0] for row in ([0.3, -1.0, 0.8], [1.0, 0.2, -0.5]))
    policy = np.exp(logp)

    def k3(x):
        return np.exp(ref - x) - (ref - x) - 1

    def uphill(G):
        return backward(logp[None], G[None])[0]

    for loss, kl in (
            (lambda x: policy @ (np.exp(x - logp) * k3(x)), lambda x: np.exp(x) @ (x - ref)),
            (lambda x: policy @ k3(x), lambda x: np.exp(ref) @ (ref - x))):
        np.testing.assert_allclose(uphill(by_complex_step_in_log_pi(loss, logp)),
                                   uphill(by_complex_step_in_log_pi(kl, logp)), atol=1e-14)


def test_a_mixed_divergence_vanishes_at_both_ends():
    """63: and divided by β, or by 1 − β, it does not"""
    T, P = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.2, 0.6])

    def mixed(beta):
        middle = beta * T + (1 - beta) * P
        return beta * T @ np.log(T / middle) + (1 - beta) * P @ np.log(P / middle)

    assert mixed(0) == mixed(1) == 0
    assert mixed(1e-7) / 1e-7 == pytest.approx(T @ np.log(T / P), rel=1e-6)
    assert mixed(1 - 1e-7) / 1e-7 == pytest.approx(P @ np.log(P / T), rel=1e-6)


# Pairs.


def log_sigma(m):
    return -np.log1p(np.exp(-m))


def test_without_logarithms_a_rejected_string_hardly_counts():
    """46: from its present ratio to none the margin gains β times the ratio; DPO's has no bound"""
    D, ref = sparse.csr_array([[1.0, -1.0]]), np.log([[0.5, 0.5]])
    for low in 1e-2, 1e-4, 1e-8:
        policy = np.array([[1 - low, low]])
        loss, _ = dpo_loss(np.log(policy), ref, D, beta=0.5)
        assert loss == pytest.approx(-log_sigma(0.5 * (np.log(2 - 2 * low) - np.log(2 * low))))
        ratios = policy / np.exp(ref)
        assert 0.5 * (ratios[0, 0] - ratios[0, 1]) <= 0.5 * ratios[0, 0] <= 1
    assert loss < 1e-3 < 0.3 < -log_sigma(1.0)  # the least that the other one can come to


@pytest.mark.parametrize("epsilon", [0.1, 0.3])
def test_the_robust_loss_is_right_on_average_and_the_smoothed_one_is_not(epsilon):
    """48: over answers that are turned round with the chance ε"""
    for m in -1.5, 0.3, 2.0:
        plain, turned = -log_sigma(m), -log_sigma(-m)

        def robust(one, other):
            return ((1 - epsilon) * one - epsilon * other) / (1 - 2 * epsilon)

        def smoothed(one, other):
            return (1 - epsilon) * one + epsilon * other

        def mean(loss):
            return (1 - epsilon) * loss(plain, turned) + epsilon * loss(turned, plain)

        assert mean(robust) == pytest.approx(plain, rel=1e-12)
        twice = 2 * epsilon * (1 - epsilon)  # the chance that one of two flips is seen
        assert mean(smoothed) == pytest.approx((1 - twice) * plain + twice * turned, rel=1e-12)


def test_the_sign_of_the_gradient_of_the_odds():
    """54: −log σ(z) by central differences in the log-probability of the chosen string"""
    chosen, rejected, h = -0.7, -1.1, 1e-6

    def z(x):
        return log_odds(np.array(x))[0] - log_odds(np.array(rejected))[0]

    slope = (-log_sigma(z(chosen + h)) + log_sigma(z(chosen - h))) / (2 * h)
    delta = 1 / (1 + np.exp(z(chosen)))  # the paper's, 1/(1 + odds ratio)
    assert slope == pytest.approx(-delta / (1 - np.exp(chosen)), rel=1e-6) and slope < 0


# Scale.


def chinchilla(N, D, *, beta=0.28):
    """E + A/N^α + B/D^β with the constants as printed."""
    return 1.69 + 406.4 / N**0.34 + 410.7 / D**beta


def test_the_losses_of_gopher_and_chinchilla():
    """72: 280 billion parameters and 300 billion tokens; 70 billion and 1.4 trillion"""
    models = (280e9, 300e9), (70e9, 1.4e12)
    assert [round(chinchilla(*one), 3) for one in models] == [1.993, 1.937]
    assert [round(chinchilla(*one, beta=0.25), 3) for one in models] == [2.297, 2.151]


@pytest.mark.parametrize("flops, asked", [(1e19, 32), (5.76e23, 93), (1e26, 153)])
def test_the_tokens_per_parameter_that_the_printed_constants_ask_for(flops, asked):
    """73: at 6 N D FLOPs, by a fine grid and by the closed form of its equation 4"""
    N = np.exp(np.linspace(np.log(1e6), np.log(1e14), 200_001))
    best = N[chinchilla(N, flops / (6 * N)).argmin()]
    assert round(flops / 6 / best**2) == asked
    G = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62)
    assert best == pytest.approx(G * (flops / 6) ** (0.28 / 0.62), rel=1e-3)


def test_the_tokens_per_parameter_that_two_models_had():
    """73 and 74"""
    assert (1.4e12 / 70e9, round(300e9 / 175e9, 1)) == (20, 1.7)
