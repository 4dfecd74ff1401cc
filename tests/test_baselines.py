"""Baselines: what REINFORCE expects with each, by listing all episodes, or all batches of two and
three, of a small world; the best constant; the scores."""

import itertools

import numpy as np
import pytest
from worlds import (DROPPED, KEPT, WHOLE, apart, law, random_record, single_outcome, small_world,
                    without_discount)

from minirl.kernel import counts, mdp as world, playing
from minirl.lab import estimators
from minirl.play.baselines import (batch_mean, constant_baseline, leave_one_out, no_baseline,
                                   optimal_constant, scores)
from minirl.exact.planning import policy_gradient
from minirl.play.training import environment_rewards, play, start
from minirl.play.reinforce import (after_the_end, reinforce, reinforce_loss, value_baseline,
                                   weigh)
from minirl.play.returns import reward_to_go, whole_return
from minirl.kernel.softmax import log_softmax


def tiny_world(gamma=0.8):
    """Eight episodes of one to three steps, so that all batches of three can be listed."""
    return world.unroll(single_outcome([[1, 0], [0, 1]], [[1, 3], [-2, 0.5]],
                                       [[False, True], [False, True]], [0.4, 0.6], gamma), 3)


def expected_of_one(mdp, record, horizon=3, **options):
    """The expected update by an episode that is judged by itself, from one batch of all."""
    batch, chances = law(mdp, record.logits, horizon)
    weights = weigh(batch.rewards, batch, record, gamma=mdp.gamma, **options)
    return np.tensordot(chances, scores(batch, weights, log_softmax(record.logits)), 1)


def expected_of_many(mdp, record, N, form, baseline):
    """The expected update by N independent episodes, from all tuples of N episodes."""
    listed, chances = law(mdp, record.logits, 3)
    mean, credit = np.zeros(mdp.shape), form[0]
    for who in itertools.product(range(chances.size), repeat=N):
        batch = listed.select(list(who))
        weights = weigh(batch.rewards, batch, record, gamma=mdp.gamma, credit=credit,
                        keep_discount=form[1], baseline=baseline)
        table = counts.table(batch.steps(mdp.shape), weights)
        mean -= chances[list(who)].prod() * reinforce_loss(record.logits, table, episodes=N)[1]
    return mean


# What is expected of one episode.


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
@pytest.mark.parametrize("baseline", [no_baseline, constant_baseline(3.0), value_baseline])
def test_the_expected_gradient_is_exact_for_any_baseline(form, baseline, gamma):
    """(reinforce.1), (reinforce.2): every episode against (planning.5); without γᵗ the visits are
    not discounted."""
    mdp = small_world(gamma, horizon=3)
    record = random_record(mdp)
    found = expected_of_one(mdp, record, credit=form[0], keep_discount=form[1], baseline=baseline)
    exact = policy_gradient(mdp, record.logits)[1]
    wanted = without_discount(mdp, record.logits) if form == DROPPED else exact
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert gamma == 1 or (np.abs(found - exact).max() > 1e-3) == (form == DROPPED)


# What is expected of a batch.


@pytest.mark.slow
@pytest.mark.parametrize("form, N", [(WHOLE, 2), (KEPT, 2), (DROPPED, 2), (KEPT, 3)])
def test_in_a_batch_leaving_oneself_out_is_unbiased_and_the_batch_mean_takes_a_shorter_step(form,
                                                                                            N):
    """Pitfall 29 and (baselines.1): all batches of two and three, each with its probability"""
    mdp = tiny_world()
    record = random_record(mdp)
    exact = (without_discount(mdp, record.logits) if form == DROPPED
             else policy_gradient(mdp, record.logits)[1])
    for baseline, share in ((leave_one_out, 1), (optimal_constant, 1), (batch_mean, (N - 1) / N)):
        found = expected_of_many(mdp, record, N, form, baseline)
        np.testing.assert_allclose(found, share * exact, atol=1e-12)


def test_a_mean_over_those_still_alive_would_turn_the_expected_gradient():
    """Only because it contains oneself: its share, 1/n, grows while the others end."""
    mdp = tiny_world()
    record = random_record(mdp)
    exact = policy_gradient(mdp, record.logits)[1]

    def sums(credits, batch):
        """Of the credits of all who are alive at the time of a step, and how many these are."""
        return [np.bincount(batch.time, x)[batch.time] for x in (credits, np.ones(credits.size))]

    def the_living(credits, ended, scale, batch, record):
        total, living = sums(credits, batch)
        return total / living

    def the_other_living(credits, ended, scale, batch, record):
        total, living = sums(credits, batch)
        return (total - credits) / np.maximum(living - 1, 1)

    found = expected_of_many(mdp, record, 2, KEPT, the_living)
    cosine = (found * exact).sum() / np.linalg.norm(found) / np.linalg.norm(exact)
    assert 0 < cosine < 0.99
    found = expected_of_many(mdp, record, 2, KEPT, the_other_living)
    np.testing.assert_allclose(found, exact, atol=1e-12)


@pytest.mark.parametrize("credit", [reward_to_go, whole_return])
def test_who_has_ended_counts_with_the_whole_return_or_with_no_reward_to_go(credit):
    """(baselines.1), by loops over episodes, each of which has a credit at every time."""
    rng = np.random.default_rng(7)
    lengths = np.array([1, 4, 2, 2, 6, 1, 3])
    starts, x = np.append(0, lengths.cumsum()), rng.normal(size=lengths.sum())
    none = np.zeros(x.size, int)
    batch = playing.Rollout(none, none, x, np.zeros(x.size, bool), starts, none[:7],
                            np.ones(7, bool))
    credits = credit(x, starts, gamma=0.9)
    ended = after_the_end(credits, batch, credit)
    always = []  # C of each episode at the times 0 to 5
    for paid in apart(x, starts):
        R = [sum(0.9**(k - t) * paid[k] for k in range(t, len(paid))) for t in range(6)]
        always.append(R if credit is reward_to_go else [R[0]] * 6)
    assert ended == pytest.approx([0 if credit is reward_to_go else C[0] for C in always])
    mean, others = (baseline(credits, ended, None, batch, None)
                    for baseline in (batch_mean, leave_one_out))
    assert mean.shape == others.shape == x.shape
    for i, (own_mean, own_others) in enumerate(zip(apart(mean, starts), apart(others, starts))):
        for t in range(lengths[i]):
            at_once = [C[t] for C in always]
            assert own_mean[t] == pytest.approx(sum(at_once) / 7, abs=1e-12)
            assert own_others[t] == pytest.approx((sum(at_once) - at_once[i]) / 6, abs=1e-12)


# The best constant.


def scores_by_loops(batch, weights, logp):
    """Σ_t weights_t ∇ log π(a_t|s_t) of each episode, from ∂ log π(a|s)/∂θ[s, b] of softmax."""
    found = np.zeros((batch.truncated.size, *logp.shape))
    for i, (begin, end) in enumerate(zip(batch.starts[:-1], batch.starts[1:])):
        for n in range(begin, end):
            s, a = batch.states[n], batch.actions[n]
            for b in range(logp.shape[1]):
                found[i, s, b] += weights[n] * ((a == b) - np.exp(logp[s, b]))
    return found


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
def test_no_constant_has_less_variance_than_the_best_one(form):
    """(baselines.2): the exact variance is a parabola in c with its lowest point there"""
    mdp = tiny_world()
    record = random_record(mdp)
    batch, chances = law(mdp, record.logits, 3)
    logp = log_softmax(record.logits)
    scale = mdp.gamma**batch.time if form == KEPT else np.ones(batch.states.size)
    credits = form[0](batch.rewards, batch.starts, gamma=mdp.gamma)
    returns = credits[batch.starts[:-1]]
    z, g = (scores_by_loops(batch, x, logp) for x in (scale, scale * credits))
    length = chances @ (z * z).sum(axis=(1, 2))
    best = chances @ (g * z).sum(axis=(1, 2)) / length

    def variance(constant):
        weights = weigh(batch.rewards, batch, record, gamma=mdp.gamma, credit=form[0],
                        keep_discount=form[1], baseline=constant_baseline(constant))
        found = scores(batch, weights, logp)
        mean = np.tensordot(chances, found, 1)
        return chances @ (found**2).sum(axis=(1, 2)) - (mean**2).sum()

    for step in 0.1, -0.1, 2.0:
        assert variance(best + step) - variance(best) == pytest.approx(step**2 * length, abs=1e-10)
    assert abs(best - chances @ returns) > 0.1, "it is not the mean return"
    if form == WHOLE:
        closed = chances @ ((z * z).sum(axis=(1, 2)) * returns) / length
        assert best == pytest.approx(closed, abs=1e-12)


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
def test_the_best_constant_of_an_episode_is_estimated_from_the_others(form):
    """(baselines.2), by loops over the others"""
    mdp = small_world(horizon=3)
    record = random_record(mdp, seed=3)
    batch = play(mdp, record, rewards=environment_rewards, episodes=7, horizon=3).rollout
    logp = log_softmax(record.logits)
    credits = form[0](batch.rewards, batch.starts, gamma=0.9)
    scale = (0.9 if form == KEPT else 1.0)**batch.time
    z, g = (scores_by_loops(batch, x, logp) for x in (scale, scale * credits))
    found = optimal_constant(credits, after_the_end(credits, batch, form[0]), scale, batch, record)
    assert found.shape == batch.states.shape
    for i, of_steps in enumerate(apart(found, batch.starts)):
        product = sum((g[j] * z[j]).sum() for j in range(7) if j != i)
        assert len(set(of_steps)) == 1
        assert of_steps[0] == pytest.approx(
            product / sum((z[j]**2).sum() for j in range(7) if j != i))


def test_a_policy_that_never_hesitates_has_no_best_constant_but_zero():
    mdp = small_world()
    record = start(np.tile([1e4, -1e4], (mdp.shape[0], 1)), rng=0)
    batch = play(mdp, record, rewards=environment_rewards, episodes=4, horizon=2).rollout
    found = optimal_constant(batch.rewards + 1, None, np.ones(batch.rewards.size), batch, record)
    assert found.tolist() == [0] * batch.rewards.size and batch.truncated.size == 4
    after = next(reinforce(mdp, record, baseline=optimal_constant, episodes=4))
    assert (after.logits == record.logits).all()


@pytest.mark.parametrize("gap", [0.0, 18.0, 25.0])
def test_the_best_constant_keeps_its_digits_where_one_episode_has_nearly_all_the_score(gap):
    """A rare action among certain ones: the others all have one score, so their credits' mean is
    the best constant, however little they move the policy."""
    credits = np.array([1.0, 5.0, 2.0, 3.0])
    batch = playing.Rollout(np.zeros(4, int), np.array([0, 1, 0, 0]), credits, np.ones(4, bool),
                            np.arange(5), np.zeros(4, int), np.zeros(4, bool))
    record = start(np.array([[gap, 0.0]]), rng=0)
    assert optimal_constant(credits, None, np.ones(4), batch, record)[1] == pytest.approx(2.0)


def test_what_a_baseline_saves_is_what_the_table_of_the_chapter_says():
    """And the batch mean is shorter by 1/32, with the noise of leaving one out but for that."""
    found = estimators.measure_estimators(32)
    assert found.gradient_norm == pytest.approx(0.077, abs=5e-4)
    variance = {row[:2]: row.variance for row in found.rows}
    for baseline, whole, to_go in (
            ("none", 0.0382, 0.0248), ("constant", 0.0051, 0.0067),
            ("optimal_constant", 0.0050, 0.0057), ("batch_mean", 0.0050, 0.0058),
            ("leave_one_out", 0.0053, 0.0062), ("true_values", 0.0058, 0.0038)):
        assert variance["whole_return", baseline] == pytest.approx(whole, abs=5e-5)
        assert variance["reward_to_go", baseline] == pytest.approx(to_go, abs=5e-5)
    assert variance["reward_to_go", "batch_mean"] == pytest.approx(
        (31 / 32)**2 * variance["reward_to_go", "leave_one_out"])


def test_where_scores_and_returns_are_independent_the_best_constant_is_the_mean_return():
    """(baselines.2), in the limit of Weaver and Tao; and 1.5, not 2.5, where they are not"""
    chance, score = np.array([0.75, 0.25]), np.array([0.25, -0.75])
    pays = np.array([3.0, 1.0])
    best = chance @ (score**2 * pays) / (chance @ score**2)
    assert (best, chance @ pays) == (1.5, 2.5)
    apart = np.outer(chance, chance)  # the score of one throw, the return of another
    assert (apart * np.outer(score**2, pays)).sum() / (chance @ score**2) == chance @ pays


# The scores.


def test_scores_are_those_of_each_episode_and_add_up_to_the_gradient_of_the_loss():
    mdp = small_world(horizon=3)
    record = random_record(mdp)
    batch = play(mdp, record, rewards=environment_rewards, episodes=9, horizon=3).rollout
    logp = log_softmax(record.logits)
    weights = np.random.default_rng(5).normal(size=batch.states.shape)
    found = scores(batch, weights, logp)
    np.testing.assert_allclose(found, scores_by_loops(batch, weights, logp), atol=1e-12)
    table = counts.table(batch.steps(mdp.shape), weights)
    _, grad = reinforce_loss(record.logits, table, episodes=9)
    np.testing.assert_allclose(found.sum(axis=0), -9 * grad, atol=1e-12)
