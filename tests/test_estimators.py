"""The job `estimators`: the list of all episodes, exact moments against every batch there is, and
what the tables promise."""

from itertools import product

import numpy as np
import pytest
from worlds import apart, episodes, random_mdp

from minirl.play.baselines import batch_mean, leave_one_out, scores
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.lab import estimators
from minirl.lab.listing import all_episodes
from minirl.kernel.mdp import TabularMDP, unroll
from minirl.exact.planning import policy_gradient
from minirl.play.surrogate import mean_kl
from minirl.play.reinforce import after_the_end, weigh
from minirl.kernel.softmax import log_softmax


@pytest.fixture(scope="module")
def laboratory():
    return estimators.measure_estimators(8)


@pytest.fixture(scope="module")
def ends():
    """The setting whose episodes all end."""
    return estimators.case_of(unroll(estimators.thin_ice(), 4), 8)


def tiny(episodes):
    """A setting of 6 episodes, with a random policy, in which every episode ends."""
    rng = np.random.default_rng(0)
    mdp = unroll(random_mdp(rng, 1, 2, 2, estimators.GAMMA), 2)
    case = estimators.case_of(mdp, episodes)
    logits = rng.normal(size=mdp.shape)
    logp = log_softmax(logits)
    batch, chances = all_episodes(mdp, np.exp(logp), 2)
    return case._replace(record=case.record._replace(logits=logits), logp=logp, batch=batch,
                         chances=chances, gradient=policy_gradient(mdp, logits)[1])


def by_tuples(case, baseline, credit, keep_discount):
    """(expectation, variance) of the estimate from N episodes, over all tuples of N episodes."""
    mean, square = np.zeros(case.mdp.shape), 0.0
    for which in product(range(case.chances.size), repeat=case.episodes):
        batch = case.batch.select(list(which))
        weights = weigh(batch.rewards, batch, case.record, gamma=estimators.GAMMA, credit=credit,
                        baseline=baseline, keep_discount=keep_discount)
        estimate = scores(batch, weights, case.logp).mean(axis=0)
        chance = case.chances[list(which)].prod()
        mean += chance * estimate
        square += chance * (estimate**2).sum()
    return mean, square - (mean**2).sum()


def judged(case, weights):
    """The numbers of a `Estimator`, and E ĝ, by a loop over episodes and steps.

    `weights` maps the index of an episode to what the scores of its steps are multiplied with.
    """
    policy, batch = np.exp(case.logp), case.batch
    mean, square = np.zeros(case.mdp.shape), 0.0
    states, actions = (apart(x, batch.starts) for x in (batch.states, batch.actions))
    for i, chance in enumerate(case.chances):
        estimate = np.zeros(case.mdp.shape)
        assert len(weights(i)) == len(states[i])
        for s, a, weight in zip(states[i], actions[i], weights(i)):
            estimate[s] -= weight * policy[s]
            estimate[s, a] += weight
        mean += chance * estimate
        square += chance * (estimate**2).sum()
    variance = (square - (mean**2).sum()) / case.episodes
    numbers = np.linalg.norm(mean - case.gradient), variance, np.linalg.norm(mean) / variance**0.5
    return pytest.approx(numbers, rel=1e-10, abs=1e-12), mean


def rewards_of(case, i):
    """What the steps of episode i paid: a list as long as the episode."""
    return steps_of(case, i, case.batch.rewards).tolist()


def steps_of(case, i, values):
    """What the steps of episode i have, of what all steps have."""
    return values[case.batch.starts[i]:case.batch.starts[i + 1]]


def by_critic(case, V, reach, discount):
    """Weights for `judged`: reach[0] δ_t + reach[1] δ_{t+1} + …, times discount to the t."""
    def weights(i):
        r = rewards_of(case, i)
        after = case.batch.truncated[i] * V[case.batch.last_state[i]]
        v = [*V[steps_of(case, i, case.batch.states)], after]
        delta = [r[t] + 0.9 * v[t + 1] - v[t] for t in range(len(r))]
        return [discount**t * sum(x * y for x, y in zip(reach, delta[t:])) for t in range(len(r))]
    return weights


@pytest.mark.parametrize("K", [1, 2])
def test_all_episodes_are_listed_once_with_their_probability(K):
    rng = np.random.default_rng(K)
    mdp = random_mdp(rng, 3, 2, K, 0.9)
    policy = np.exp(log_softmax(rng.normal(size=(3, 2))))
    batch, chances = all_episodes(mdp, policy, 3)
    found = {}
    assert batch.starts[-1] == batch.states.size and batch.lengths.min() == 1
    for i, (begin, end) in enumerate(zip(batch.starts[:-1], batch.starts[1:])):
        pairs = list(zip(batch.states[begin:end].tolist(), batch.actions[begin:end].tolist()))
        key = (*pairs, *batch.rewards[begin:end].tolist(), bool(batch.truncated[i]))
        assert key not in found
        found[key] = chances[i]
        assert batch.terminated[begin:end].sum() == (not batch.truncated[i])
        assert batch.terminated[end - 1] == (not batch.truncated[i])
        assert batch.last_state[i] in mdp.next_state[pairs[-1]]
    expected = {(*pairs, *rewards, not ended):
                chance * np.prod([policy[pair] for pair in pairs])
                for chance, pairs, rewards, ended in episodes(mdp, 3)}
    assert found.keys() == expected.keys() and chances.sum() == pytest.approx(1, abs=1e-12)
    for key, chance in expected.items():
        assert found[key] == pytest.approx(chance, abs=1e-15)


@pytest.mark.parametrize("N", [2, 3])
@pytest.mark.parametrize("credit, keep_discount", estimators.FORMS.values())
def test_the_moments_of_leave_one_out_and_the_batch_mean_are_those_of_all_batches(
        N, credit, keep_discount):
    case = tiny(N)
    credits = credit(case.batch.rewards, case.batch.starts, gamma=estimators.GAMMA)
    scale = (0.9 if keep_discount else 1.0) ** case.batch.time
    ended = after_the_end(credits, case.batch, credit)
    mean, variance = estimators.of_pairs(case, credits, ended, scale)
    expected, spread = by_tuples(case, leave_one_out, credit, keep_discount)
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    assert variance == pytest.approx(spread, rel=1e-10) and spread > 1e-3
    own, own_spread = by_tuples(case, batch_mean, credit, keep_discount)
    np.testing.assert_allclose((1 - 1 / N) * mean, own, atol=1e-12)
    assert (1 - 1 / N) ** 2 * variance == pytest.approx(own_spread, rel=1e-10)


# The tables.


def test_baselines_are_what_a_plain_loop_finds(laboratory, ends):
    """(returns.1), (baselines.2)"""
    rows = {(row.estimator, row.baseline): row for row in laboratory.rows}
    assert list(rows)[:21] == list(product(estimators.FORMS, (
        "none", "constant", "optimal_constant", "true_values", "wrong_values", "batch_mean",
        "leave_one_out")))
    assert list(estimators.FORMS) == ["whole_return", "reward_to_go", "reward_to_go_undiscounted"]

    def with_baseline(i, V, constant):
        r, kept = rewards_of(ends, i), 0.9 if form == "reward_to_go" else 1.0
        credit = [sum(0.9**k * x for k, x in enumerate(r[t if form != "whole_return" else 0:]))
                  for t in range(len(r))]
        return [kept**t * (c - V[s] - constant)
                for t, (c, s) in enumerate(zip(credit, steps_of(ends, i, ends.batch.states)))]

    nothing, J = 0 * ends.values, ends.mdp.start @ ends.values
    for form in estimators.FORMS:
        for name, V, constant in (("none", nothing, 0), ("constant", nothing, J),
                                  ("true_values", ends.values, 0),
                                  ("wrong_values", ends.values / 2, 0)):
            found, _ = judged(ends, lambda i: with_baseline(i, V, constant))
            assert rows[form, name][2:] == found, name
        # Through three points of the parabola that the variance is, its least.
        left, middle, right = (judged(ends, lambda i: with_baseline(i, nothing, b))[0].expected[1]
                               for b in (-1, 0, 1))
        least = middle - (right - left)**2 / (8 * (right + left - 2 * middle))
        assert rows[form, "optimal_constant"].variance == pytest.approx(least, rel=1e-10)


CRITICS = {"td_error": ([1], 0.9), "two_steps": ([1, 0.9], 0.9),  # `by_critic`, reach and discount
           "gae_0.9": ([0.81**k for k in range(4)], 0.9),
           "gae_0.9_undiscounted": ([0.81**k for k in range(4)], 1.0),
           "gae_1.0": ([0.9**k for k in range(4)], 0.9), "gae_0.0": ([1], 0.9)}


def test_estimators_with_a_critic_are_what_a_plain_loop_finds(laboratory, ends):
    """(returns.2), (returns.3), (returns.4); also of episodes that are cut, where with the true V a
    TD error has the true advantage as its mean: the steps taken, and no more."""
    cut, both = estimators.case_of(estimators.thin_ice(), 8), ("true_values", "wrong_values")
    _, taken = judged(cut, by_critic(cut, cut.values, [1], 0.9))
    assert [row[:2] for row in laboratory.rows[21:]] == [
        (form, name) for name, form in product(both, list(CRITICS)[:4])]
    assert [row[:2] for row, _ in laboratory.cut] == [
        ("reward_to_go", "none"), *product(("gae_1.0", "gae_0.9", "gae_0.0"), both)]
    for case, row, bias_of_steps in (*((ends, row, None) for row in laboratory.rows[21:]),
                                     *((cut, *rows) for rows in laboratory.cut)):
        if row.estimator == "reward_to_go":
            found, mean = judged(case, lambda i: [
                sum(0.9**k * x for k, x in enumerate(rewards_of(case, i)) if k >= t)
                for t in range(case.batch.lengths[i])])
        else:
            V = case.values * {"true_values": 1, "wrong_values": 0.5}[row.baseline]
            found, mean = judged(case, by_critic(case, V, *CRITICS[row.estimator]))
        assert row[2:] == found, row
        if case is cut:
            assert bias_of_steps == pytest.approx(np.linalg.norm(mean - taken), abs=1e-12)


def test_what_is_called_unbiased_is_and_the_rest_is_off_by_what_the_chapter_says(laboratory, ends):
    """(reinforce.1), (reinforce.2), (baselines.1), pitfall 29"""
    policy, ice = np.exp(ends.logp), estimators.thin_ice()
    advantage = action_values(ends.mdp, ends.values) - ends.values[:, None]
    undiscounted = occupancy(unroll(TabularMDP(ice.next_state, ice.prob, ice.reward, ice.terminated,
                                               ice.start, 1.0), 4), policy)
    dropped = undiscounted[:, None] * policy * advantage
    assert np.linalg.norm(dropped - ends.gradient) > 1e-3 and ends.mdp.shape[0] == 12
    for row in laboratory.rows:
        if row.estimator == "reward_to_go_undiscounted" or (
                row.estimator == "gae_0.9_undiscounted" and row.baseline == "true_values"):
            short = 7 / 8 if row.baseline == "batch_mean" else 1
            expected = np.linalg.norm(short * dropped - ends.gradient)
        elif row.baseline == "batch_mean":
            expected = laboratory.gradient_norm / 8
        elif row.baseline == "true_values" or row.estimator in ("whole_return", "reward_to_go"):
            expected = 0
        else:
            assert row.bias > 1e-3, row
            continue
        assert row.bias == pytest.approx(expected, abs=1e-12), row


def test_the_optimal_constant_beats_every_other_constant_and_values_beat_nothing(laboratory):
    """With a constant baseline the whole return has less variance than the reward to go, as the
    chapter on baselines says of this world; without a baseline it has more."""
    variance = {(row.estimator, row.baseline): row.variance for row in laboratory.rows}
    for form in estimators.FORMS:
        none, constant, best, left_out = (variance[form, name] for name in (
            "none", "constant", "optimal_constant", "leave_one_out"))
        assert best < constant < none and best < left_out
    assert variance["reward_to_go", "true_values"] < variance["reward_to_go", "optimal_constant"]
    for baseline, sign in (("none", 1), ("constant", -1), ("optimal_constant", -1)):
        difference = variance["whole_return", baseline] - variance["reward_to_go", baseline]
        assert sign * difference > 0


def test_along_lambda_bias_falls_and_variance_rises(laboratory):
    """(returns.3): at λ = 1 any V is unbiased where episodes end; with the true V every λ is."""
    weights, wrong, true = zip(*laboratory.gae)
    assert weights == tuple(k / 10 for k in range(11))
    for rows, baseline in (wrong, "wrong_values"), (true, "true_values"):
        assert [row[:2] for row in rows] == [(f"gae_{weight}", baseline) for weight in weights]
        assert all(a.variance < b.variance for a, b in zip(rows, rows[1:]))
    assert all(row.bias < 1e-12 for row in true) and wrong[-1].bias < 1e-12
    assert all(a.bias > b.bias + 1e-4 for a, b in zip(wrong, wrong[1:]))
    # What λ costs, in the words of the chapter on actor-critics; no bias depends on N.
    assert (wrong[0].bias, laboratory.gradient_norm) == pytest.approx((0.045, 0.077), abs=5e-4)
    assert wrong[0].variance / wrong[-1].variance == pytest.approx(1 / 3, abs=0.03)
    row, taken = laboratory.cut[2]
    assert (row.estimator, row.baseline) == ("gae_1.0", "wrong_values")
    assert (taken, laboratory.cut_gradient_norm) == pytest.approx((0.054, 0.187), abs=5e-4)


def test_a_cut_biases_whatever_trusts_a_wrong_value_there(laboratory):
    """Pitfall 20: with the true V only what follows the cut is missing, the gradient of the later
    steps.  Their visits are η minus those of the first four."""
    ice, logits = estimators.thin_ice(), np.tile([0.0, estimators.PREFERENCE], (3, 1))
    policy = np.exp(log_softmax(logits))
    visits = occupancy(ice, policy) - occupancy(unroll(ice, 4), np.tile(policy, (4, 1))).reshape(
        4, 3).sum(axis=0)
    V = evaluate(ice, policy)
    missing = np.linalg.norm(visits[:, None] * policy * (action_values(ice, V) - V[:, None]))
    for row, taken in laboratory.cut:
        assert row.bias > 1e-2 and (taken < 1e-12) == (row.baseline == "true_values")
        if row.baseline == "true_values":
            assert row.bias == pytest.approx(missing, abs=1e-12)
        else:
            assert taken > 1e-2
    assert len(laboratory.cut) == 7


def test_the_surrogate_is_importance_sampling_and_right_to_first_order():
    rng = np.random.default_rng(3)
    mdp, logits = random_mdp(rng, 4, 3, 2, 0.9), rng.normal(size=(4, 3))
    first, near, far = estimators.surrogate_line(mdp, logits, [0.0, 1e-6, 0.7])
    J, gradient = policy_gradient(mdp, logits)
    assert first.kl == 0 and first[2:] == pytest.approx((J, J, J), abs=1e-12)
    slope = np.linalg.norm(gradient)
    for value in near[2:]:
        assert (value - J) / 1e-6 == pytest.approx(slope, rel=1e-4)

    moved = logits + 0.7 * gradient / slope
    old, new = np.exp(log_softmax(logits)), np.exp(log_softmax(moved))
    V, visits = evaluate(mdp, old), occupancy(mdp, old)
    A = action_values(mdp, V) - V[:, None]
    surrogate = clipped = J
    for s, a in np.ndindex(4, 3):
        ratio = new[s, a] / old[s, a]
        weight = visits[s] * old[s, a]
        surrogate += weight * ratio * A[s, a]
        clipped += weight * min(ratio * A[s, a], min(max(ratio, 0.8), 1.2) * A[s, a])
    assert far.surrogate == pytest.approx(surrogate, abs=1e-12)
    assert far.clipped == pytest.approx(clipped, abs=1e-12) and clipped < surrogate - 1e-3
    assert far.kl == pytest.approx(mean_kl(moved, logits, visits), abs=1e-15)
    assert far.objective == pytest.approx(policy_gradient(mdp, moved)[0], abs=1e-12)


def test_the_surrogate_soon_promises_more_than_any_policy_can_earn(laboratory):
    assert [point.step for point in laboratory.surrogate] == [k / 10 for k in range(41)]
    assert all(a.objective < b.objective < -12.24
               for a, b in zip(laboratory.surrogate, laboratory.surrogate[1:]))
    assert laboratory.surrogate[-1].surrogate > 1000
    assert max(point.clipped for point in laboratory.surrogate) < -590


# What is printed.


def test_every_number_is_printed_under_its_name_and_with_its_decimals(laboratory):
    """In the tables that docs/jobs.md does not show"""
    lines = [" ".join(line.split())
             for line in estimators.estimators_text(laboratory).splitlines()]
    bias = estimators._bias
    for heads, rows in {
            "estimator baseline bias of steps variance SNR": [
                f"{row.estimator} {row.baseline} {bias(row.bias)} {bias(taken)} {row.variance:.5f} "
                f"{row.snr:.3f}" for row, taken in laboratory.cut],
            "x KL J surrogate clipped": [
                f"{point.step:.1f} {point.kl:.4f} {point.objective:.2f} {point.surrogate:.2f} "
                f"{point.clipped:.2f}".replace(" -0.00", " 0.00")
                for point in laboratory.surrogate[::5]]}.items():
        place = lines.index(heads) + 1
        assert lines[place:place + len(rows)] == rows
    assert bias(9.4e-13) == "9e-13" and bias(1.1e-12) == "0.00000"


@pytest.mark.parametrize("episodes, best", [(2, 0.0), (32, None), (200, None), (10**6, 1.0)])
def test_the_lambda_that_is_named_has_the_least_squared_error(laboratory, episodes, best):
    """Of the wrong values; with few episodes that is low, with many it is high."""
    scale = laboratory.episodes / episodes
    found = laboratory._replace(episodes=episodes, gae=[
        (weight, *(row._replace(variance=row.variance * scale) for row in rows))
        for weight, *rows in laboratory.gae])
    errors = {weight: wrong.bias**2 + wrong.variance for weight, wrong, _ in found.gae}
    least = min(errors, key=errors.get)
    assert best in (None, least)
    text = " ".join(estimators.estimators_text(found).split())
    assert f"these values lambda {least:.1f} has the least." in text
    for weight, wrong, _ in found.gae:
        assert f"{weight:.1f} {estimators._bias(wrong.bias)} {wrong.variance:.5f} " \
               f"{errors[weight]:.5f} " in text
