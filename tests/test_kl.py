"""The distance to the reference: strings and rows by loops over all episodes, estimates and their
mean gradients by exact sums."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from languages import score
from worlds import episodes, island, random_mdp, small_world

from minirl.kernel import counts
from minirl.exact.evaluation import occupancy
from minirl.people.kl import SMALL, k1, k2, k3, k3_loss, kl_loss, string_kl
from minirl.kernel.gradcheck import by_complex_step
from minirl.kernel.mdp import coin_game, unroll
from minirl.kernel.softmax import backward, log_softmax
from toy_lm.ngram import language

ESTIMATES = {"k1": k1, "k2": k2, "k3": k3}
SEEDS = pytest.mark.parametrize("seed", range(3))
EVERY = pytest.mark.parametrize("name", ESTIMATES)


def two_tables(shape, seed=0, scale=1.5):
    """Logits far from the reference, and the reference."""
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=shape), rng.normal(size=shape)


def cut_language():
    """Two letters, and strings that are cut after four steps."""
    return unroll(language(np.zeros((3, 3))), 4)


WORLDS = {"short": small_world(0.8), "language": cut_language(),
          "discounted": unroll(random_mdp(np.random.default_rng(1), 2, 3, 1, 0.7), 4)}
ANY = pytest.mark.parametrize("name", WORLDS)


def listed(mdp, logp):
    """(probability, pairs) of every episode; all must end."""
    for chance, pairs, _, ended in episodes(mdp, 4):
        assert ended
        yield chance * np.prod([np.exp(logp[pair]) for pair in pairs]), pairs


def complex_gradient(f, x):
    """∂f/∂x by complex step, entry by entry."""
    return by_complex_step(lambda z: (f(z), None), x)


def row_kl(logp, ref_logp):
    """KL(π‖π_ref) of one row, for complex numbers too."""
    return sum(np.exp(p) * (p - q) for p, q in zip(logp, ref_logp))


# Whole strings.


@SEEDS
@ANY
def test_the_distance_of_strings_is_the_sum_over_all_strings(name, seed):
    """(kl.1) and (kl.2), each step discounted as the world says"""
    mdp = WORLDS[name]
    logits, ref = two_tables(mdp.shape, seed)
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    distance, grad = 0.0, np.zeros(mdp.shape)
    for chance, pairs in listed(mdp, logp):
        ratio = sum(mdp.gamma**t * (logp[pair] - ref_logp[pair]) for t, pair in enumerate(pairs))
        distance += chance * ratio
        grad += chance * ratio * score(logp, pairs)
    found, found_grad = string_kl(mdp, logits, ref)
    assert found == pytest.approx(distance, abs=1e-12) and distance > 0.1
    assert found_grad == pytest.approx(grad, abs=1e-12) and np.abs(grad).max() > 0.05


def test_a_state_that_no_string_reaches_does_not_matter():
    """State 1 of the island never ends, and at gamma 1 it has no value."""
    mdp = island()
    logits, ref = two_tables(mdp.shape)
    distance, grad = string_kl(mdp, logits, ref)
    assert (grad[1] == 0).all() and np.abs(grad[0]).max() > 0.1
    logits[1], ref[1] = 9.0, [0.0, 40.0, -np.inf]
    again, same = string_kl(mdp, logits, ref)
    assert again == distance and (same == grad).all()


# Rows with frozen visits.


@SEEDS
def test_the_loss_of_rows_is_their_sum(seed):
    """(kl.3), with G by loops; visits may be zero, and need not be whole numbers."""
    logits, ref = two_tables((5, 3), seed)
    visits = np.random.default_rng(seed).random(5) * np.array([0, 1, 1, 4, 1])
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    total, G = 0.0, np.zeros(logits.shape)
    for s, a in np.ndindex(logits.shape):
        ratio = logp[s, a] - ref_logp[s, a]
        total += visits[s] * np.exp(logp[s, a]) * ratio
        G[s, a] = visits[s] * np.exp(logp[s, a]) * ratio
    loss, grad = kl_loss(logits, ref, visits)
    assert loss == pytest.approx(total, abs=1e-13) and loss > 0.1
    assert grad == pytest.approx(backward(logp, G), abs=1e-13)
    assert (grad[0] == 0).all() and np.abs(grad[1:]).max(axis=1).min() > 1e-3


@ANY
def test_freezing_the_visits_keeps_the_value_and_loses_the_gradient(name):
    """(kl.3) against (kl.2)"""
    mdp = WORLDS[name]
    logits, ref = two_tables(mdp.shape)
    visits = occupancy(mdp, np.exp(log_softmax(logits)))
    distance, grad = string_kl(mdp, logits, ref)
    loss, frozen = kl_loss(logits, ref, visits)
    assert loss == pytest.approx(distance, abs=1e-12)
    assert np.abs(frozen - grad).max() > (1e-4 if name == "short" else 0.05)


# Estimates.


@SEEDS
def test_the_means_of_k1_and_k3_are_the_divergence(seed):
    """(kl.4) and pitfall 1, far from the reference: neither the wrong sign nor upside down."""
    logp, ref_logp = (log_softmax(logits)[0] for logits in two_tables((1, 4), seed))
    policy, u = np.exp(logp), ref_logp - logp
    distance, other = row_kl(logp, ref_logp), row_kl(ref_logp, logp)
    assert policy @ k1(u) == pytest.approx(distance, abs=1e-14)
    assert policy @ k3(u) == pytest.approx(distance, abs=1e-14)
    assert abs(policy @ k2(u) - distance) > 0.01
    assert distance > 0.1 and abs(distance - other) > 0.01
    assert policy @ np.exp(u) == pytest.approx(1, abs=1e-14)
    assert k1(u).min() < 0 < k3(u).min()


def test_three_actions_by_hand():
    """(kl.4) and (kl.6): the chapter's table of estimates, the other divergence, and what each
    estimate follows as a loss."""
    policy, ref = np.array([4, 3, 1]) / 8, np.array([1, 6, 1]) / 8
    logp, ref_logp = np.log(policy), np.log(ref)
    u = ref_logp - logp
    assert u.round(4).tolist() == [-1.3863, 0.6931, 0]
    for k, row, mean in ((k1, [1.3863, -0.6931, 0], 0.4332), (k2, [0.9609, 0.2402, 0], 0.5705),
                         (k3, [0.6363, 0.3069, 0], 0.4332)):
        assert k(u).round(4).tolist() == row and round(policy @ k(u), 4) == mean
    assert round(row_kl(logp, ref_logp), 4) == 0.4332
    assert round(row_kl(ref_logp, logp), 4) == round(np.log(2) / 2, 4) == 0.3466
    grads = {name: backward(logp, policy * SLOPES[name](u)) for name in SLOPES}
    assert grads["k1"] == pytest.approx(0, abs=1e-15)
    assert grads["k2"] == pytest.approx(kl_loss(logp[None], ref_logp[None], [1.0])[1][0])
    assert grads["k3"] == pytest.approx(policy - ref) and grads["k3"][2] == 0


def test_a_bent_coin_by_hand():
    """(kl.2) and (kl.3): frozen, a head is not charged for the throws to which it leads."""
    per_throw = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    slope = 0.75 * 0.25 * (np.log(1.5) - np.log(0.5))
    assert (round(per_throw, 4), round(slope, 4)) == (0.1308, 0.2060)
    bent, fair = np.log([[0.75, 0.25]]), np.zeros((1, 2))
    assert kl_loss(bent, fair, [4.0])[1][0, 0] == pytest.approx(4 * slope, rel=1e-12)
    assert string_kl(coin_game(), bent, fair)[1][0, 0] == pytest.approx(
        4 * slope + 3 * per_throw, rel=1e-12)
    assert (round(4 * slope, 4), round(4 * slope + 3 * per_throw, 4)) == (0.8240, 1.2164)


@pytest.mark.parametrize("sign", [1, -1])
def test_k3_has_all_its_digits_near_zero(sign):
    """Pitfall 4, (kl.4), against eighty decimal digits; what is left is rounding of e^u − 1."""
    with localcontext() as context:
        context.prec = 80
        for size in np.append(np.geomspace(1e-12, 1e-2, 301), [SMALL, 0.999 * SMALL]):
            u = Decimal(float(sign * size))
            true = u.exp() - u - 1
            error = abs(Decimal(float(k3(sign * size))) / true - 1)
            assert error < (1e-15 if size < SMALL else 1e-15 / size), size
    assert k3(sign * 1e-8) == pytest.approx(5e-17, rel=1e-8)
    assert k3(sign * 0.0) == 0


def test_k3_is_never_negative():
    """From the smallest numbers to the largest, and around the switch to the series."""
    sizes = np.concatenate([np.geomspace(1e-300, 1e300, 4001), SMALL * np.linspace(0.9, 1.1, 999)])
    for sign in (1, -1):
        assert (k3(sign * sizes) >= 0).all()


def test_k1_k2_and_k3_are_the_formulas_and_k3_is_finite_far_away():
    """(kl.4), number by number; pitfall 4: the exponential is capped from 700 upwards, and nothing
    warns."""
    for u in (-1e6, -50.0, -30.0, -3.0, -0.5, 0.0, 0.02, 1.0, 9.0, 50.0, 699.0, 700.0):
        assert (k1(u), k2(u)) == (-u, u * u / 2)
        assert k3(u) == pytest.approx(np.exp(u) - u - 1, rel=1e-12)
    assert k3(1e4) == k3(700.0) and np.isfinite(k3(np.array([710.0, 1e4, 1e300]))).all()


SLOPES = {"k1": lambda u: 1.0, "k2": lambda u: -u, "k3": lambda u: 1 - np.exp(u)}


@EVERY
def test_the_gradient_of_an_estimate_at_a_sample(name):
    """(kl.5), by complex step, on both sides of the switch to the series; the multiple of ∇log π
    is found twice, in log π and in the logits."""
    for u in (-3.0, -2e-3, -2e-5, 1e-9, 5e-5, 5e-3, 0.7, 4.0):
        slope = ESTIMATES[name](np.array(u - 1e-30j)).imag / 1e-30  # log π grows, u falls
        assert slope == pytest.approx(SLOPES[name](u), rel=1e-7, abs=1e-15), u
    logits, ref = two_tables((1, 3))
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    for a in range(3):
        grad = complex_gradient(lambda x: ESTIMATES[name](ref_logp - log_softmax(x))[0, a], logits)
        u = ref_logp[0, a] - logp[0, a]
        assert grad == pytest.approx(SLOPES[name](u) * score(logp, [(0, a)]), abs=1e-13)


FOLLOWED = {  # (kl.6)
    "k1": lambda logp, ref_logp: 0 * logp.sum(),
    "k2": lambda logp, ref_logp: (np.exp(logp) * (logp - ref_logp)).sum(),
    "k3": lambda logp, ref_logp: (np.exp(ref_logp) * (ref_logp - logp)).sum()}


def all_sums(mdp, logp):
    """log π of the actions of every episode; complex numbers too."""
    return np.array([sum(logp[pair] for pair in pairs)
                     for chance, pairs, _, _ in episodes(mdp, 4)])


@SEEDS
@EVERY
def test_what_the_mean_gradient_over_strings_is_the_gradient_of(name, seed):
    """(kl.6) for strings and pitfall 3, and that (kl.2) is what k2 follows"""
    mdp = cut_language()
    logits, ref = two_tables(mdp.shape, seed, scale=1.0)
    logp, ref_strings = log_softmax(logits), all_sums(mdp, log_softmax(ref))
    mean = np.zeros(mdp.shape)
    for (chance, pairs), ref_string in zip(listed(mdp, logp), ref_strings):
        u = ref_string - np.log(chance)
        mean += chance * SLOPES[name](u) * score(logp, pairs)
    grad = complex_gradient(
        lambda x: FOLLOWED[name](all_sums(mdp, log_softmax(x)), ref_strings), logits)
    assert mean == pytest.approx(grad, abs=1e-12)
    assert (np.abs(mean - string_kl(mdp, logits, ref)[1]).max() < 1e-12) == (name == "k2")


@SEEDS
@EVERY
def test_added_up_token_by_token_the_visits_are_frozen(name, seed):
    """(kl.6) for tokens and pitfall 3: Σ η(s) ∇ of the rows, and for k2 that is (kl.3)."""
    mdp = cut_language()
    logits, ref = two_tables(mdp.shape, seed, scale=1.0)
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    mean = np.zeros(mdp.shape)
    for chance, pairs in listed(mdp, logp):
        for pair in pairs:
            mean += chance * SLOPES[name](ref_logp[pair] - logp[pair]) * score(logp, [pair])
    visits = occupancy(mdp, np.exp(logp))
    rows = np.array([visits[s] * complex_gradient(
        lambda x: FOLLOWED[name](log_softmax(x), ref_logp[s]), logits[s])
        for s in range(mdp.shape[0])])
    assert mean == pytest.approx(rows, abs=1e-12)
    assert (np.abs(mean - kl_loss(logits, ref, visits)[1]).max() < 1e-12) == (name == "k2")
    if name == "k3":
        taken = visits[:, None] * np.exp(logp)
        assert k3_loss(logits, ref, taken)[1] == pytest.approx(mean, abs=1e-12)
    else:
        assert np.abs(mean - string_kl(mdp, logits, ref)[1]).max() > 0.02


@pytest.mark.parametrize("writer", [1, 2])
@EVERY
def test_the_ratio_repairs_an_estimate_whoever_wrote_the_samples(name, writer):
    """(kl.7): the mean, under μ, of the gradient of ρ k at each string, for two different μ"""
    mdp = cut_language()
    logits, ref = two_tables(mdp.shape, scale=1.0)
    strings = all_sums(mdp, log_softmax(logits))
    by_writer = np.exp(all_sums(mdp, log_softmax(two_tables(mdp.shape, writer)[0])))
    u = all_sums(mdp, log_softmax(ref)) - strings
    assert by_writer.sum() == pytest.approx(1) and np.abs(by_writer - np.exp(strings)).max() > 0.05

    def slope(weighted):
        """∂/∂log π(y) of the estimate at each string y, by complex step."""
        moved = strings + 1e-30j
        ratio = np.exp(moved) / by_writer if weighted else 1.0
        return (ratio * ESTIMATES[name](u - 1e-30j)).imag / 1e-30

    def mean(weighted):
        scores = [score(log_softmax(logits), pairs) for _, pairs, _, _ in episodes(mdp, 4)]
        return np.tensordot(by_writer * slope(weighted), np.array(scores), axes=1)

    def expected(x):
        moved = all_sums(mdp, log_softmax(x))
        return (np.exp(moved) * ESTIMATES[name](u + strings - moved)).sum()

    true = string_kl(mdp, logits, ref)[1]
    assert mean(True) == pytest.approx(complex_gradient(expected, logits), abs=1e-11)
    assert (np.abs(mean(True) - true).max() < 1e-11) == (name != "k2")
    assert np.abs(mean(False) - true).max() > 0.05
    assert abs(by_writer @ ESTIMATES[name](u) - string_kl(mdp, logits, ref)[0]) > 0.05


# The penalty k3 as a loss.


@SEEDS
def test_k3_as_a_loss_is_a_sum_over_the_steps_of_a_batch(seed):
    """(kl.4) and (kl.5), step by step, from real steps with weights"""
    rng = np.random.default_rng(seed)
    logits, ref = two_tables((4, 3), seed)
    states, actions, weights = rng.integers(4, size=20), rng.integers(3, size=20), rng.random(20)
    steps = counts.steps(states, actions, np.array([0, 20]), (4, 3))
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    total, grad = 0.0, np.zeros((4, 3))
    for pair, weight in zip(zip(states, actions), weights):
        u = ref_logp[pair] - logp[pair]
        total += weight * (np.exp(u) - u - 1)
        grad += weight * (1 - np.exp(u)) * score(logp, [pair])
    found, found_grad = k3_loss(logits, ref, counts.table(steps, weights))
    assert found == pytest.approx(total, abs=1e-12)
    assert found_grad == pytest.approx(grad, abs=1e-12)


def test_k3_as_a_loss_forms_no_ratio_where_nothing_was_done():
    """The reference forbids an action that the batch never took."""
    logits, ref = np.zeros((2, 2)), np.array([[0.0, -np.inf], [0.0, 0.0]])
    loss, grad = k3_loss(logits, ref, np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert loss == pytest.approx(2 * (1 - np.log(2)))
    assert grad == pytest.approx(np.array([[-1.0, 1.0], [0, 0]]))


def test_k3_as_a_loss_is_capped_where_the_ratio_overflows():
    """Pitfall 4: a policy that has dropped what the reference writes."""
    loss, grad = k3_loss(np.array([[0.0, -2e3]]), np.zeros((1, 2)), np.array([[0.0, 1.0]]))
    assert loss == pytest.approx(np.exp(700)) and grad[0] == pytest.approx(np.exp(700) *
                                                                          np.array([1, -1]))
    loss, grad = k3_loss(np.zeros((1, 2)), np.array([[0.0, -2e3]]), np.array([[0.0, 1.0]]))
    assert loss == pytest.approx(2e3 - np.log(2) - 1) and grad[0] == pytest.approx([-0.5, 0.5])
