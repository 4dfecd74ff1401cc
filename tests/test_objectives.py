"""The job `objectives`: the expected update of every method by sums over another list of all
strings, and where it is zero."""

import inspect
from functools import cache, partial
from math import factorial, log

import numpy as np
import pytest
from languages import all_strings
from scipy import optimize
from sharing import once
from test_kl import score

from minirl.lab import objectives
from minirl.lab.table import fixed
from minirl.kernel.softmax import log_softmax
from minirl.people import dpo, ipo, margins, orpo, ratios

BETA, G = 0.5, 4
REF = np.array([[0.10, 0.45, 0.45], [0.30, 0.25, 0.45], [0.30, 0.40, 0.30]])
SURROGATES = {  # by what a step is divided: its string, the steps of its group, or a constant
    **dict.fromkeys(("grpo_kl_in_reward", "unclipped", "sapo", "gspo", "gmpo"), "string"),
    **dict.fromkeys(("ppo_kl", "dual_clip", "dapo", "cispo", "vespo"), "group"),
    "luspo": "constant"}
METHODS = ["sft", "rejection_sampling", "online_sampling", "grpo", "dr_grpo", "reinforce", "rlhf",
           *SURROGATES, "dpo", "dpo_smoothed", "robust", "robust_mistaken", "ipo",
           "truncated_squared", "hinge", "savage", "exponential", "exo", "discopop", "aot", "kto",
           "bco", "nca", "sppo", "apo_zero", "apo_down", "aot_unpaired", "forward_kl",
           "jensen_shannon", "alpha_divergence", "ipo_by_length", "simpo", "orpo"]
AIMING = ["sft", "reinforce", "rlhf", *SURROGATES, "dpo", "robust_mistaken", "savage"]
RESTLESS = ["online_sampling", "kto", "apo_zero", "apo_down", "aot_unpaired"]
RESTING = [method for method in METHODS if method not in (*RESTLESS, "hinge")]


# Everything again, from the definitions: arrays over strings, pairs and groups of them.


@cache
def every_string(steps=4):
    """The strings that end within so many steps, and the first steps of all the longer ones."""
    beyond = [pairs[:steps] for pairs in all_strings(2, steps) if len(pairs) > steps]
    return all_strings(2, steps - 1) + beyond


LENGTHS = np.array([len(pairs) for pairs in every_string()])
LETTERS = np.array([sum(a > 0 for _, a in pairs) for pairs in every_string()])
LIKE = np.array([sum(s == a > 0 for s, a in pairs) for pairs in every_string()])
REWARDS = 0.139 * LETTERS - LIKE


def log_chances(logp):
    return np.array([sum(logp[pair] for pair in pairs) for pairs in every_string()])


def scores(logp):
    """∇log π of every string, (31, 3, 3)."""
    return np.array([score(logp, pairs) for pairs in every_string()])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


P_REF = np.exp(log_chances(np.log(REF)))
PREFERS = sigmoid(REWARDS[:, None] - REWARDS)  # the row's string beats the column's
MET = 2 * P_REF[:, None] * P_REF * PREFERS     # how often it is chosen, and the other rejected
TILTED = P_REF * np.exp(REWARDS / BETA)
OPTIMUM = TILTED / TILTED.sum()


def best_of_four(chance, rewards=REWARDS):
    """The probability of a string to be taken, with k equals among the three others."""
    found = []
    for r in rewards:
        equal, below = chance[np.isclose(rewards, r)].sum(), chance[rewards < r - 1e-9].sum()
        found.append(sum(factorial(3) / factorial(k) / factorial(3 - k) * equal**k
                         * below**(3 - k) / (k + 1) for k in range(4)))
    return np.array(found)


def normalised(rewards):
    """A of (groups.1) of a string with any three others, (31, 31, 31, 31)."""
    group = [rewards.reshape(np.roll([-1, 1, 1, 1], k)) for k in range(G)]
    mean = sum(group) / G
    return (group[0] - mean) / (np.sqrt(sum((r - mean)**2 for r in group) / G) + 1e-4)


@cache
def normalised_rewards():
    return normalised(REWARDS)


def over_others(A, chance):
    return A @ chance @ chance @ chance


def k3_pull(logp, weights):
    """Σ_y w(y) Σ_t β (π_ref/π − 1) ∇log π(a_t|s_t)."""
    total = np.zeros((3, 3))
    for pairs, w in zip(every_string(), weights):
        for pair in pairs:
            total += w * BETA * (REF[pair] / np.exp(logp[pair]) - 1) * score(logp, [pair])
    return total


def mixed(coefficients, gradients):
    """Σ of coefficients (31,) or (31, 31) times gradients."""
    return np.tensordot(coefficients, gradients, coefficients.ndim)


@cache
def steps_of_a_group():
    """How many steps four strings have together, (31, 31, 31, 31)."""
    return sum(LENGTHS.reshape(np.roll([-1, 1, 1, 1], k)) for k in range(G))


# What a pair costs, downhill in the margin m: a function of m alone.
DOWN_THE_MARGIN = {
    "robust": lambda m: (0.9 * sigmoid(-m) + 0.1 * sigmoid(m)) / 0.8,
    "robust_mistaken": lambda m: (0.9 * sigmoid(-m) + 0.1 * sigmoid(m)) / 0.8,
    "truncated_squared": lambda m: 2 * np.where(m < 1, 1 - m, 0),
    "hinge": lambda m: np.where(m < 1, 1.0, 0.0),
    "savage": lambda m: 2 * sigmoid(m) * sigmoid(-m)**2,
    "exponential": lambda m: np.exp(-m),
    "exo": lambda m: sigmoid(m) * sigmoid(-m) * (np.log(0.999 / 0.001) - m),
    "discopop": lambda m: (
        (1 - sigmoid(20 * m)) * sigmoid(-m) + sigmoid(20 * m) * np.exp(-m)
        - 20 * sigmoid(20 * m) * sigmoid(-20 * m) * (np.exp(-m) - np.log(1 + np.exp(-m))))}

# Downhill in the rewards r⁺ and r⁻ of the two strings, which BCO has shifted.
DOWN_THE_REWARDS = {
    "bco": lambda r, s: (sigmoid(-r), -sigmoid(s)),
    "nca": lambda r, s: (sigmoid(-r) - sigmoid(r) / 2, -sigmoid(s) / 2),
    "sppo": lambda r, s: (8 * (0.5 - r), 8 * (-0.5 - s)),  # (h − 1)² is 4 (r − ½)²
    "apo_zero": lambda r, s: (sigmoid(r) * sigmoid(-r), -sigmoid(s) * sigmoid(-s)),
    "apo_down": lambda r, s: (sigmoid(r - s) * sigmoid(s - r) - sigmoid(r) * sigmoid(-r),
                              -sigmoid(r - s) * sigmoid(s - r))}

# What stands in the place of log π/π_ref, by the ratio u = π/π_ref, and its slope in log u.
IN_PLACE_OF_THE_LOG = {
    "forward_kl": lambda u: (-1 / u, 1 / u),
    "jensen_shannon": lambda u: (np.log(2 * u / (1 + u)), 1 / (1 + u)),
    "alpha_divergence": lambda u: ((1 - u**-0.5) / 0.5, u**-0.5)}


def matched(values, weights, others, other_weights):
    """The mass that each of some values shares with each of others, both laid out in order."""
    def ends(x, w):
        order = np.argsort(x, kind="stable")
        high = np.empty(x.size)
        high[order] = np.cumsum(w[order])
        return high - w, high

    (low, high), (other_low, other_high) = ends(values, weights), ends(others, other_weights)
    return np.maximum(np.minimum(high[:, None], other_high)
                      - np.maximum(low[:, None], other_low), 0)


def own_update(method, logits):
    """The expected update of a method, uphill."""
    logp = log_softmax(logits)
    return update_of(method, log_chances(logp), scores(logp), partial(k3_pull, logp))


def update_of(method, log_chance, S, k3):
    """That of a policy by what it gives each string, ∇log π of each, and its gradient of −β k3."""
    chance = np.exp(log_chance)
    ratio = log_chance - np.log(P_REF)
    lead = ratio[:, None] - ratio
    towards = S[:, None] - S
    means = log_chance / LENGTHS
    mean_scores = (S.T / LENGTHS).T
    if method == "sft":
        return mixed(OPTIMUM, S)
    if method == "rejection_sampling":
        return mixed(P_REF * best_of_four(P_REF), S)
    if method == "online_sampling":
        return mixed(chance * best_of_four(chance), S)
    if method in ("reinforce", "rlhf"):
        return mixed(chance * (REWARDS - BETA * ratio), S)
    if method == "grpo":
        w = chance / LENGTHS
        return mixed(w * over_others(normalised_rewards(), chance), S) + k3(w)
    if method == "dr_grpo":
        shrunk = 0.75 * (REWARDS - chance @ REWARDS)
        return mixed(chance / 4 * shrunk, S) + k3(chance / 4)
    if method in SURROGATES:  # whose ratio is 1, and so its slope
        A = normalised(REWARDS - BETA * ratio)
        A = {"string": A / LENGTHS.reshape(-1, 1, 1, 1), "group": G * A / steps_of_a_group(),
             "constant": A}[SURROGATES[method]]
        return mixed(chance * over_others(A, chance), S)
    met = 0.9 * MET + 0.1 * MET.T if method == "robust_mistaken" else MET
    if method in DOWN_THE_MARGIN:
        return mixed(met * BETA * DOWN_THE_MARGIN[method](BETA * lead), towards)
    if method in DOWN_THE_REWARDS:
        r, s = np.broadcast_arrays(BETA * ratio[:, None], BETA * ratio)
        shift = (MET * (r + s)).sum() / MET.sum() / 2 if method == "bco" else 0
        plus, minus = DOWN_THE_REWARDS[method](r - shift, s - shift)
        return BETA * mixed((MET * plus).sum(axis=1) + (MET * minus).sum(axis=0), S)
    if method in IN_PLACE_OF_THE_LOG:
        u, slope = IN_PLACE_OF_THE_LOG[method](np.exp(ratio))
        push = MET * BETA * sigmoid(-BETA * (u[:, None] - u))
        return mixed(slope * (push.sum(axis=1) - push.sum(axis=0)), S)
    if method == "aot":
        ahead, before = (x[:, None] - x for x in (log_chance, np.log(P_REF)))
        mass = matched(ahead.ravel(), MET.ravel(), before.ravel(), MET.ravel())
        push = mass * sigmoid(-BETA * (ahead.reshape(-1, 1) - before.ravel()))
        return mixed(BETA * push.sum(axis=1).reshape(MET.shape), towards)
    if method == "aot_unpaired":
        mass = matched(ratio, MET.sum(axis=1), ratio, MET.sum(axis=0))
        return mixed(mass * BETA * sigmoid(-BETA * lead), towards)
    if method == "ipo_by_length":
        lead = (ratio / LENGTHS)[:, None] - ratio / LENGTHS
        return mixed(-2 * MET * (lead - 1 / (2 * BETA / 4)),
                     mean_scores[:, None] - mean_scores)
    if method == "dpo":
        return mixed(MET * BETA * sigmoid(-BETA * lead), towards)
    if method == "dpo_smoothed":
        right, wrong = sigmoid(-BETA * lead), sigmoid(BETA * lead)
        return mixed(MET * BETA * (0.9 * right - 0.1 * wrong), towards)
    if method == "ipo":
        return mixed(-2 * MET * (lead - 1 / (2 * BETA / 4)), towards)
    if method == "kto":
        x = BETA * (ratio - max(chance @ ratio, 0))
        vote = MET.sum(axis=1) - MET.sum(axis=0)
        return mixed(vote * BETA * sigmoid(x) * sigmoid(-x) / 2, S)
    if method == "simpo":
        m = 2 * (means[:, None] - means)
        return mixed(MET * 2 * sigmoid(1 - m), mean_scores[:, None] - mean_scores)
    assert method == "orpo"
    P = np.exp(means)
    odds = np.log(P / (1 - P))
    push = MET * sigmoid(odds - odds[:, None])  # of the row, against the column
    liked = (MET + push / (1 - P)[:, None]).sum(axis=1)
    return mixed(liked - (push / (1 - P)).sum(axis=0), mean_scores)


# What the job computes.


@cache
def job():
    """The whole table, and the logits that its rows are about, by method."""
    return once("objectives", recorded_job)


def recorded_job():
    places, search, lowest = [], objectives.at_rest, objectives.lowest_hinge

    def recorded(update, starts):
        logits, rests = search(update, starts)
        places.append(logits)
        return logits, rests

    def recorded_hinge(found, start):
        places.append(lowest(found, start))
        return places[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objectives, "at_rest", recorded)
        patch.setattr(objectives, "lowest_hinge", recorded_hinge)
        found = objectives.measure_objectives()
    return found, dict(zip((rest.method for rest in found.rests[1:]), places[1:], strict=True))


@pytest.fixture(scope="module")
def found():
    return job()[0]


@pytest.fixture(scope="module")
def places():
    return job()[1]


@pytest.fixture(scope="module")
def rests(found):
    return {rest.method: rest for rest in found.rests}


@pytest.fixture(scope="module")
def moves():
    return objectives.updates(objectives.every_string())


@cache
def best_bigram():
    """J of the best bigram and log π of it, by minimising −J directly."""
    def loss(x):
        logp = log_softmax(x.reshape(3, 3))
        chance = np.exp(log_chances(logp))
        earned = REWARDS - BETA * (log_chances(logp) - np.log(P_REF))
        return -chance @ earned, -mixed(chance * earned, scores(logp)).ravel()

    fits = [optimize.minimize(loss, x, jac=True, method="BFGS", options={"gtol": 1e-10})
            for x in np.random.default_rng(0).normal(size=(3, 9))]
    for fit in fits:
        assert fit.fun == pytest.approx(fits[0].fun, abs=1e-12)
    return -fits[0].fun, log_softmax(fits[0].x.reshape(3, 3))


@pytest.mark.parametrize("method", METHODS)
def test_the_expected_update_is_that_of_sums_over_strings(moves, method):
    """At the reference, and at policies far from it"""
    away = 0.8 * np.random.default_rng(1).normal(size=(2, 3, 3))
    for logits in (np.log(REF), *away):
        grad = own_update(method, logits)
        close = 1e-6 if method == "rlhf" else 1e-12  # its reward has been fitted
        assert moves[method](logits) == pytest.approx(grad, abs=close)
    assert np.abs(grad).max() > 0.01


# Where methods come to rest.


def test_every_method_has_a_row_and_rests_where_nothing_is_expected_to_move(found, rests, places):
    assert list(rests) == ["reference", *METHODS] and len(METHODS) == 43
    assert [method for method in METHODS if not rests[method].at_rest] == RESTLESS
    assert {type(rests[method].at_rest) for method in (*RESTING, *RESTLESS)} == {bool}
    for method in RESTING:
        largest = np.abs(own_update(method, places[method])).max()
        assert largest < (1e-6 if method == "rlhf" else 2e-9), method


@pytest.mark.parametrize("method", RESTLESS)
def test_what_does_not_rest_goes_on_for_ever(places, moves, method):
    """Some letters lose their probability step by step."""
    logits = places[method]
    before = np.exp(log_softmax(logits).min())
    for _ in range(500):
        logits = logits + objectives.RATE * moves[method](logits)
    assert np.exp(log_softmax(logits).min()) < 0.9 * before < 1e-4
    assert np.abs(own_update(method, places[method])).max() > 1e-7


def test_the_hinge_is_lowest_where_its_slope_jumps(rests, places):
    """There margins are 1, whose slope may be any from −1 to 0; some of these add up to nothing.
    The lowest point is where others are higher, and no update near it is zero."""
    assert rests["hinge"].at_rest == "kink"
    logp = log_softmax(places["hinge"])
    S, ratio = scores(logp), log_chances(logp) - np.log(P_REF)
    m = BETA * (ratio[:, None] - ratio)
    bent = np.abs(m - 1) < 1e-5
    towards = BETA * (MET[:, :, None, None] * (S[:, None] - S))
    fixed_part = towards[(m < 1) & ~bent].sum(axis=0).ravel()
    found = optimize.lsq_linear(towards[bent].reshape(-1, 9).T, -fixed_part, (0, 1), tol=1e-14)
    assert bent.sum() >= 6 and np.abs(found.fun).max() < 1e-6

    def loss(logits):
        ratio = log_chances(log_softmax(logits)) - np.log(P_REF)
        return (MET * np.maximum(0, 1 - BETA * (ratio[:, None] - ratio))).sum()

    for step in np.random.default_rng(2).normal(size=(50, 3, 3)):
        assert loss(places["hinge"] + 1e-3 * step) > loss(places["hinge"]) + 1e-6
        assert np.abs(own_update("hinge", places["hinge"] + 1e-3 * step)).max() > 1e-3


def free_scores(log_chance):
    """∇log π of every string, where each has a logit of its own, (31, 31)."""
    return np.eye(31) - np.exp(log_chance)


def free_k3(chance, weights):
    """Σ_y w(y) Σ_t β (π_ref/π − 1) ∇log π(a_t|what was before), over logits of strings."""
    total = np.zeros(31)

    def going_on(begin):
        return np.array([pairs[:len(begin)] == begin for pairs in every_string()])

    for pairs, w in zip(every_string(), weights):
        for t in range(len(pairs)):
            parts = [going_on(pairs[:end]) for end in (t, t + 1)]
            (ref, ref_on), (p, p_on) = ([x[part].sum() for part in parts] for x in (P_REF, chance))
            grad = parts[1] * chance / p_on - parts[0] * chance / p
            total += w * BETA * (ref_on / ref / (p_on / p) - 1) * grad
    return total


@pytest.mark.parametrize("method", METHODS)
def test_who_aims_at_the_optimum_has_no_update_there(rests, method):
    """Over a softmax of whole strings, which can be the optimum, and elsewhere has one."""
    log_chance = np.log(OPTIMUM)
    grad = update_of(method, log_chance, free_scores(log_chance), partial(free_k3, OPTIMUM))
    assert rests[method].aims == (np.abs(grad).max() < 1e-12) == (method in AIMING)
    assert method in AIMING or np.abs(grad).max() > 1e-4
    bent = log_softmax(np.log(OPTIMUM) + np.random.default_rng(3).normal(size=31) / 5)
    grad = update_of(method, bent, free_scores(bent), partial(free_k3, np.exp(bent)))
    assert np.abs(grad).max() > 1e-4


def test_the_frontier_is_of_optima(found):
    """KL and reward of π_ref e^{R/β}/Z from β = 10 to 0.1; no row lies above its tangents."""
    kl, reward = np.transpose(found.frontier)
    assert (np.diff(kl) > 0).all() and (np.diff(reward) > 0).all()
    assert kl[0] < 0.01 < 1.5 < kl[-1]
    for x, y, beta in zip(kl, reward, np.geomspace(10, 0.1, 41), strict=True):
        most = beta * log(P_REF @ np.exp(REWARDS / beta))
        assert y - beta * x == pytest.approx(most, abs=1e-12)
        assert max(rest.reward - beta * rest.kl for rest in found.rests) < most + 1e-12


def test_what_a_policy_is_worth(found, rests, places):
    """Every number of the second table, by sums over strings"""
    best, _ = best_bigram()
    low = P_REF @ REWARDS
    for method, rest in rests.items():
        logp = log_softmax(places.get(method, np.log(REF)))
        chance, ratio = np.exp(log_chances(logp)), log_chances(logp) - np.log(P_REF)
        reward, kl = chance @ REWARDS, chance @ ratio
        J = reward - BETA * kl
        assert rest[3:] == pytest.approx(
            (reward, kl, J, (J - low) / (best - low), chance @ LETTERS, np.exp(logp).min()),
            abs=1e-10)
        assert J <= best + 1e-12 <= found.strings
    assert (found.strings, found.reference) == (31, pytest.approx(low, abs=1e-14))
    assert found.optimum == pytest.approx(BETA * log(TILTED.sum()), abs=1e-14)


def test_the_policy_gradient_rests_at_the_best_bigram(found, places, rests):
    """Found again by minimising −J; so do those who have the KL in the reward, or learned it."""
    best, logp = best_bigram()
    assert found.best_bigram == pytest.approx(best, abs=1e-13)
    assert log_softmax(places["reinforce"]) == pytest.approx(logp, abs=1e-7)
    assert log_softmax(places["rlhf"]) == pytest.approx(logp, abs=1e-5)
    assert rests["reinforce"].share == pytest.approx(1, abs=1e-14)
    assert rests["rlhf"].share == pytest.approx(1, abs=1e-9)
    for method in SURROGATES:
        assert 0.999 < rests[method].share < 1


def test_dpo_rests_a_hair_beside_the_best_bigram(rests, places):
    """The cut takes the optimum over strings out of the class, and DPO and J miss it in different
    ways.  (Where strings end by themselves the two coincide: `test_dpo`.)"""
    _, logp = best_bigram()
    assert 1e-3 < np.abs(log_softmax(places["dpo"]) - logp).max() < 0.1
    assert 1e-6 < 1 - rests["dpo"].share < 1e-3
    assert rests["robust_mistaken"][1:] == pytest.approx(rests["dpo"][1:], abs=1e-9)
    for method in RESTING:
        assert rests[method].share < (1 if method in (*AIMING, "bco") else 0.99) + 1e-14


def with_mean_zero(logits):
    return logits - logits.mean(axis=1, keepdims=True)


TARGET = np.array([[0.3, -0.3], [-1.0, 1.0]])


def one_gap(x):
    """Its zeros are multiples of π, and only the odd ones are stable."""
    return np.sin(x[:, :1] - x[:, 1:]) * [[1.0, -1.0]]


@pytest.mark.parametrize("update, starts, gap", [
    (lambda x: with_mean_zero(TARGET - x), [np.zeros((2, 2))], [[0.6], [-2.0]]),
    (one_gap, [np.zeros((1, 2)), np.pi / 2 * np.array([[1.0, -1.0]]) + [[0.1, 0.2]]], [[np.pi]])])
def test_a_stable_zero_is_a_point_of_rest(update, starts, gap):
    """It may be that of the second start."""
    place, rests = objectives.at_rest(update, starts)
    assert rests is True
    np.testing.assert_allclose(place[:, :1] - place[:, 1:], gap, atol=1e-9)


SADDLE = np.array([[0.1, 0.1], [-0.1, -0.1]])  # the second row is driven away


@pytest.mark.parametrize("update", [
    lambda x: with_mean_zero(x - TARGET),
    lambda x: with_mean_zero(TARGET - x) * SADDLE,
    lambda x: with_mean_zero(TARGET - x)**3,
], ids=["unstable", "saddle", "flat"])
def test_a_zero_that_is_not_stable_is_not_a_point_of_rest(update):
    """It is followed from where it began, for so many steps at such a rate."""
    assert np.abs(update(TARGET)).max() < 1e-15
    begin = TARGET + 0.01 * np.array([[1.0, -1.0], [1.0, -1.0]])
    for start in (TARGET, begin):
        expected = start
        for _ in range(3):
            expected = expected + 0.5 * update(expected)
        place, rests = objectives.at_rest(update, [start, TARGET], steps=3, rate=0.5)
        assert rests is False
        assert place == pytest.approx(expected, abs=1e-15)
    # Without a zero too: 2,000 steps of learning rate 10.
    push = np.array([[0.1, -0.1], [0.0, 0.0]])
    place, rests = objectives.at_rest(lambda x: push, [np.ones((2, 2)), np.zeros((2, 2))])
    assert rests is False
    assert place == pytest.approx(1 + 20_000 * push, rel=1e-9)


# One gradient.


@pytest.fixture(scope="module")
def halfway(places):
    return log_softmax((np.log(REF) + places["reinforce"]) / 2)


def gradient_rows(logp):
    """Strings, judge, and for each string its coefficients and its weight, by method."""
    chance, ratio = np.exp(log_chances(logp)), log_chances(logp) - np.log(P_REF)
    earned = REWARDS - BETA * ratio
    pushes = BETA * sigmoid(-BETA * (ratio[:, None] - ratio))

    def same(c):
        return [[x] * n for x, n in zip(c, LENGTHS)]

    judged = over_others(normalised_rewards(), chance)
    by_step = [[A + BETA * (REF[pair] / np.exp(logp[pair]) - 1) for pair in pairs]
               for pairs, A in zip(every_string(), judged)]
    dpo = [[push] * LENGTHS[i] for (i, j), push in np.ndenumerate(pushes)]
    dpo += [[-push] * LENGTHS[j] for (i, j), push in np.ndenumerate(pushes)]
    return {"sft": ("optimum", "nobody", same(np.ones(31)), OPTIMUM),
            "rejection_sampling": ("reference", "best of 4", same(best_of_four(P_REF)), P_REF),
            "online_sampling": ("policy", "best of 4", same(best_of_four(chance)), chance),
            "dpo": ("reference", "comparison", dpo, np.tile(MET.ravel(), 2)),
            "ppo": ("policy", "reward - beta KL", same(earned - chance @ earned), chance),
            "grpo": ("policy", "group of 4", by_step, chance / LENGTHS)}


def test_the_coefficients_of_six_methods(found, halfway):
    """(unified.1) and (unified.3): what a method says, as often as it says it"""
    mine = gradient_rows(halfway)
    assert [row.method for row in found.gradient] == list(mine)
    for row in found.gradient:
        strings, judge, coefficients, weights = mine[row.method]
        assert (row.strings, row.judge) == (strings, judge)
        each = np.repeat(weights, list(map(len, coefficients)))
        c = np.concatenate(coefficients)
        assert (row.least, row.mean, row.largest) == pytest.approx(
            (c.min(), each @ c / each.sum(), c.max()), abs=1e-9), row.method


def test_the_angle_with_the_policy_gradient_and_the_gradient_of_the_methods_own_loss(found,
                                                                                    halfway):
    true = own_update("reinforce", halfway)
    for row in found.gradient:
        method = "reinforce" if row.method == "ppo" else row.method
        update = own_update(method, halfway)
        cosine = (update * true).sum() / np.linalg.norm(update) / np.linalg.norm(true)
        assert row.cosine == pytest.approx(cosine, abs=1e-9), method
        assert (row.cosine == pytest.approx(1, abs=1e-12)) == (row.method == "ppo")
        assert 0 <= row.difference < 1e-12


def test_a_wrong_coefficient_is_seen_in_the_difference(monkeypatch):
    """The column is not zero whatever is compared."""
    right = objectives.grpo_coefficients
    monkeypatch.setattr(objectives, "grpo_coefficients",
                        lambda *args, **kwargs: 1.01 * right(*args, **kwargs))
    setting = objectives.every_string(group=2)
    rows = objectives.one_gradient(setting, objectives.updates(setting), setting.ref - 0.1 * REF)
    assert {row.method for row in rows if row.difference > 1e-6} == {"ppo", "grpo"}
    assert all(row.difference < 1e-12 for row in rows if row.method not in ("ppo", "grpo"))


def test_every_number_is_printed_under_its_name_and_with_its_decimals(found):
    """In the table that docs/jobs.md does not show"""
    lines = [" ".join(line.split()) for line in objectives.objectives_text(found).splitlines()]
    place = lines.index("method strings of judged by least mean most cosine") + 1
    assert lines[place:place + len(found.gradient)] == [
        " ".join(map(fixed, row[:3])) + "".join(f" {fixed(value, 3)}" for value in row[3:7])
        for row in found.gradient]


def test_every_row_stands_below_the_heading_of_its_family(found):
    """Once, in the order in which the rows come"""
    text = objectives.objectives_text(found)
    table = text.partition("\n\nWhere the expected update")[2].partition("\n\nAim: ")[0]
    blocks = [block.splitlines() for block in table.split("\n\n")[2:]]
    assert [block[0] for block in blocks] == list(objectives.HEADINGS.values())
    assert [block[1].split()[0] for block in blocks] == [
        "reference", "grpo_kl_in_reward", "dpo", "kto", "forward_kl", "ipo_by_length"]
    assert [line.split()[0] for block in blocks for line in block[1:]] == ["reference", *METHODS]
    assert objectives.families(found.rests) == {
        block[0]: [rest for rest in found.rests if f"{rest.method} " in "\n".join(block)]
        for block in blocks}


def test_what_each_loss_wants_of_a_pair(found):
    """(margins.2): log odds, of mixed answers, half of them, or what is linear in the share"""
    def log_odds(share):
        return np.log(share / (1 - share))

    mine = {"dpo": log_odds, "dpo_smoothed": lambda p: log_odds(0.9 * p + 0.1 * (1 - p)),
            "ipo": lambda p: 2 * (2 * p - 1), "truncated_squared": lambda p: 2 * p - 1,
            "hinge": lambda p: (p > 0.5) * 1.0, "exponential": lambda p: log_odds(p) / 2}
    assert list(found.wanted) == list(mine)
    for name, points in found.wanted.items():
        share, margin = np.transpose(points)
        assert (share[0], share[-1], len(share)) == (0.5, 0.98, 26)
        np.testing.assert_allclose(margin, mine[name](share), rtol=0, atol=1e-9)


# Figures.


@pytest.fixture(scope="module")
def figures():
    pytest.importorskip("matplotlib")
    from minirl.lab import figures
    return figures


def test_every_row_is_a_mark_with_a_name_that_covers_no_other(found, figures):
    """At its KL and reward, or at the edge, where the KL is said; in 900 pixels"""
    from matplotlib.text import Text
    with figures.rc_context(figures.STYLE):
        figure = figures.rests_figure(found, objectives.families(found.rests), BETA)
    figure.set_dpi(110)
    figure.draw_without_rendering()
    assert figure.bbox.width <= 900 and len(figure.axes) == len(objectives.HEADINGS)
    for axes, rests in zip(figure.axes, objectives.families(found.rests).values(), strict=True):
        frontier, tangent, *marks = [line for line in axes.lines if len(line.get_xdata())]
        np.testing.assert_array_equal(frontier.get_xydata(), found.frontier)
        x, y = tangent.get_xydata().T
        np.testing.assert_allclose(y - BETA * x, found.optimum, rtol=1e-12)
        drawn = {text.get_text(): (mark.get_xydata()[0].tolist(), mark.get_marker())
                 for mark, text in zip(marks, axes.texts, strict=True)}
        assert drawn == {
            rest.method + (f", KL {rest.kl:.1f}" if rest.kl > 1.25 else ""):
            ([min(rest.kl, 1.25), rest.reward], "o" if rest.at_rest else "X") for rest in rests}
        filled = {text.get_text() for mark, text in zip(marks, axes.texts)
                  if mark.get_markerfacecolor() == figures.TEAL}
        assert filled == {rest.method for rest in rests if rest.aims}
        names = [Text.get_window_extent(text) for text in axes.texts]  # without their arrows
        assert all(low.y1 <= high.y0 for low, high in zip(names, names[1:]))
        panel = axes.get_window_extent()
        assert panel.width > 200 and min(name.x0 for name in names) >= panel.x1
        assert max(name.x1 for name in names) <= figure.bbox.x1 and names[-1].y1 < panel.y1 + 5


def test_most_of_those_who_aim_elsewhere_rest_close_to_the_path_of_optima(found):
    """Within 0.03 of what that price could buy; what the title says"""
    kl, reward = np.transpose(found.frontier)
    others = [rest for rest in found.rests[1:] if not rest.aims and rest.at_rest]
    close = [rest.method for rest in others
             if rest.reward > np.interp(rest.kl, kl, reward) - 0.03]
    assert len(others) == 21 and len(close) == 18
    assert {rest.method for rest in others} - {*close} == {"grpo", "simpo", "orpo"}


def test_the_figure_of_margins_has_a_line_for_each_loss(found, figures):
    """Which is mirrored at a share of one half, and has the colour of its name"""
    axes, = figures.margins_figure(found).axes
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert set(colours) == set(found.wanted) and len(set(colours.values())) == len(colours)
    for line, (name, points) in zip(axes.lines, found.wanted.items(), strict=True):
        share, margin = line.get_xydata().T
        np.testing.assert_allclose(share + share[::-1], 1, atol=1e-15)
        np.testing.assert_allclose(margin + margin[::-1], 0, atol=1e-15)
        np.testing.assert_allclose(line.get_xydata()[len(points):], points, atol=1e-15)
        assert line.get_color() == colours[name]


def test_every_loss_on_pairs_and_every_gate_has_a_row():
    """Under its own name, or under that of what is known by it"""
    known = {"logistic": "dpo", "squared": "ipo", "odds": "orpo", "aot_loss": "aot",
             "aot_unpaired_loss": "aot_unpaired", "clip": "grpo_kl_in_reward", "gmpo_loss": "gmpo"}
    for chapter in dpo, ipo, orpo, margins, ratios:
        for name, function in inspect.getmembers(chapter, inspect.isfunction):
            first = next(iter(inspect.signature(function).parameters), None)
            if function.__module__ == chapter.__name__ and not name.startswith("_") and (
                    first in ("plus", "ratio", "h") or name.startswith(("aot_", "gmpo_"))):
                assert known.get(name, name) in METHODS, name
