"""REINFORCE: every expectation by listing all episodes, or all batches of two and three, of a small
world; the loss and the trainer against loops; the learner against J*."""

from dataclasses import replace
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from worlds import (law, random_mdp, random_record, single_outcome, small_world, without_discount)

from gridworld.maps import cliff_walk, frozen_lake
from minirl import counts, mdp as world
from minirl.evaluation import action_values, evaluate, occupancy
from minirl.optim import Optimiser, adam, gradient_descent, linear
from minirl.planning import policy_gradient, policy_iteration
from minirl.reinforce import (batch_mean, constant_baseline, environment_rewards, leave_one_out,
                              no_baseline, optimal_constant, play, reinforce, reinforce_loss,
                              scores, start, value_baseline, weigh)
from minirl.returns import reward_to_go, whole_return
from minirl.sampling import generator
from minirl.softmax import entropy_loss, log_softmax

# A credit, and whether γᵗ is kept: the three forms of the estimate.
WHOLE, KEPT, DROPPED = (whole_return, False), (reward_to_go, True), (reward_to_go, False)


def tiny_world(gamma=0.8):
    """Eight episodes of one to three steps, so that all batches of three can be listed."""
    return world.unroll(single_outcome([[1, 0], [0, 1]], [[1, 3], [-2, 0.5]],
                                       [[False, True], [False, True]], [0.4, 0.6], gamma), 3)


def columns(batch, who):
    """The episodes `who` of a batch as a batch of their own."""
    length = batch.alive[:, who].any(axis=1).sum()
    return world.Rollout(*(entry[:length, who] if entry.ndim == 2 else entry[who]
                           for entry in batch))


def expected_of_one(mdp, record, horizon=3, **options):
    """The expected update by an episode that is judged by itself, from one rectangle of all."""
    batch, chances = law(mdp, record.logits, horizon)
    weights = weigh(batch.rewards, batch, record, gamma=mdp.gamma, **options)
    return np.tensordot(chances, scores(batch, weights, log_softmax(record.logits)), 1)


def expected_of_many(mdp, record, N, form, baseline):
    """The expected update by N independent episodes, from all tuples of N episodes."""
    listed, chances = law(mdp, record.logits, 3)
    mean, credit = np.zeros(mdp.shape), form[0]
    for who in itertools.product(range(chances.size), repeat=N):
        batch = columns(listed, list(who))
        weights = weigh(batch.rewards, batch, record, gamma=mdp.gamma, credit=credit,
                        keep_discount=form[1], baseline=baseline)
        table = counts.table(batch.steps(mdp.shape), counts.flatten(weights, batch.alive))
        mean -= chances[list(who)].prod() * reinforce_loss(record.logits, table, episodes=N)[1]
    return mean


# What is expected of one episode.


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("form", [WHOLE, KEPT])
@pytest.mark.parametrize("baseline", [no_baseline, constant_baseline(3.0), value_baseline])
def test_the_expected_gradient_is_exact_for_any_baseline_when_gamma_t_is_kept(form, baseline,
                                                                              gamma):
    """(reinforce.1), (reinforce.2): every episode against (planning.5)"""
    mdp = small_world(gamma, horizon=3)
    record = random_record(mdp)
    found = expected_of_one(mdp, record, credit=form[0], keep_discount=form[1], baseline=baseline)
    np.testing.assert_allclose(found, policy_gradient(mdp, record.logits)[1], atol=1e-12)


@pytest.mark.parametrize("baseline", [no_baseline, constant_baseline(3.0), value_baseline])
def test_without_gamma_t_the_visits_are_not_discounted(baseline):
    mdp = small_world(horizon=3)
    record = random_record(mdp)
    credit, keep = DROPPED
    found = expected_of_one(mdp, record, credit=credit, keep_discount=keep, baseline=baseline)
    np.testing.assert_allclose(found, without_discount(mdp, record.logits), atol=1e-12)
    assert np.abs(found - policy_gradient(mdp, record.logits)[1]).max() > 1e-3


def test_the_defaults_drop_gamma_t_and_use_the_value_table():
    mdp = small_world(horizon=3)
    record = random_record(mdp)
    batch, _ = law(mdp, record.logits, 3)
    found = weigh(batch.rewards, batch, record, gamma=mdp.gamma)
    for i in range(len(found.T)):
        G = 0.0
        for t in reversed(range(batch.alive[:, i].sum())):
            G = batch.rewards[t, i] + mdp.gamma * G
            assert found[t, i] == pytest.approx(G - record.values[batch.states[t, i]], abs=1e-12)


# What is expected of a batch.


@pytest.mark.parametrize("form, N", [(WHOLE, 2), (KEPT, 2), (DROPPED, 2), (KEPT, 3)])
def test_in_a_batch_leaving_oneself_out_is_unbiased_and_the_batch_mean_takes_a_shorter_step(form,
                                                                                            N):
    """Pitfall 29 and (reinforce.3): all batches of two and three, each with its probability"""
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

    def the_living(credits, scale, batch, record):
        return credits.sum(axis=1, keepdims=True) / batch.alive.sum(axis=1, keepdims=True)

    def the_other_living(credits, scale, batch, record):
        others = batch.alive.sum(axis=1, keepdims=True) - batch.alive
        return (credits.sum(axis=1, keepdims=True) - credits) / np.maximum(others, 1)

    found = expected_of_many(mdp, record, 2, KEPT, the_living)
    cosine = (found * exact).sum() / np.linalg.norm(found) / np.linalg.norm(exact)
    assert 0 < cosine < 0.99
    found = expected_of_many(mdp, record, 2, KEPT, the_other_living)
    np.testing.assert_allclose(found, exact, atol=1e-12)


def test_the_batch_mean_is_a_share_of_leaving_oneself_out():
    """(reinforce.3), entry by entry, with loops over the others"""
    C = np.random.default_rng(2).normal(size=(3, 4))
    others = leave_one_out(C, None, None, None)
    shorter = C - batch_mean(C, None, None, None)
    for t, i in np.ndindex(3, 4):
        direct = sum(C[t, j] for j in range(4) if j != i) / 3
        assert others[t, i] == pytest.approx(direct, abs=1e-12)
        assert shorter[t, i] == pytest.approx(3 / 4 * (C[t, i] - direct), abs=1e-12)


# The best constant.


def scores_by_loops(batch, weights, logp):
    """Σ_t weights_t ∇ log π(a_t|s_t) of each episode, from ∂ log π(a|s)/∂θ[s, b] of softmax."""
    T, N = batch.states.shape
    found = np.zeros((N, *logp.shape))
    for i, t in np.ndindex(N, T):
        if batch.alive[t, i]:
            s, a = batch.states[t, i], batch.actions[t, i]
            for b in range(logp.shape[1]):
                found[i, s, b] += weights[t, i] * ((a == b) - np.exp(logp[s, b]))
    return found


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
def test_no_constant_has_less_variance_than_the_best_one(form):
    """(reinforce.4): the exact variance is a parabola in b with its lowest point there"""
    mdp = tiny_world()
    record = random_record(mdp)
    batch, chances = law(mdp, record.logits, 3)
    logp = log_softmax(record.logits)
    scale = mdp.gamma**np.arange(3.0)[:, None] if form == KEPT else np.ones((3, 1))
    credits = form[0](batch.rewards, gamma=mdp.gamma)
    g = scores_by_loops(batch, scale * np.ones(credits.shape), logp)
    h = scores_by_loops(batch, scale * credits, logp)
    length = chances @ (g * g).sum(axis=(1, 2))
    best = chances @ (h * g).sum(axis=(1, 2)) / length

    def variance(b):
        weights = weigh(batch.rewards, batch, record, gamma=mdp.gamma, credit=form[0],
                        keep_discount=form[1], baseline=constant_baseline(b))
        found = scores(batch, weights, logp)
        mean = np.tensordot(chances, found, 1)
        return chances @ (found**2).sum(axis=(1, 2)) - (mean**2).sum()

    for step in 0.1, -0.1, 2.0:
        assert variance(best + step) - variance(best) == pytest.approx(step**2 * length, abs=1e-10)
    assert abs(best - chances @ credits[0]) > 0.1, "it is not the mean return"
    if form == WHOLE:
        closed = chances @ ((g * g).sum(axis=(1, 2)) * credits[0]) / length
        assert best == pytest.approx(closed, abs=1e-12)

    copies = 10_000 // chances.size
    many = columns(batch, np.repeat(np.arange(chances.size),
                                    np.round(chances * chances.size * copies).astype(int)))
    found = optimal_constant(form[0](many.rewards, gamma=mdp.gamma), scale, many, record)
    np.testing.assert_allclose(found, best, atol=5e-3)


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
def test_the_best_constant_of_an_episode_is_estimated_from_the_others(form):
    """(reinforce.4), by loops over the others"""
    mdp = small_world(horizon=3)
    record = random_record(mdp, seed=3)
    batch, _, _ = play(mdp, record, generator(3), rewards=environment_rewards, episodes=7,
                       horizon=3)
    logp, credits = log_softmax(record.logits), form[0](batch.rewards, gamma=0.9)
    scale = (0.9 if form == KEPT else 1.0)**np.arange(len(credits))[:, None]
    g = scores_by_loops(batch, scale * np.ones(credits.shape), logp)
    h = scores_by_loops(batch, scale * credits, logp)
    found = optimal_constant(credits, scale, batch, record)
    assert found.shape == (7,)
    for i in range(7):
        product = sum((h[j] * g[j]).sum() for j in range(7) if j != i)
        assert found[i] == pytest.approx(product / sum((g[j]**2).sum() for j in range(7) if j != i))


def test_a_policy_that_never_hesitates_has_no_best_constant_but_zero():
    mdp = small_world()
    record = start(np.tile([1e4, -1e4], (mdp.shape[0], 1)), rng=0)
    batch, earned, _ = play(mdp, record, generator(0), rewards=environment_rewards, episodes=4,
                            horizon=2)
    found = optimal_constant(earned + 1, np.ones((len(earned), 1)), batch, record)
    assert found.tolist() == [0] * 4
    after = next(reinforce(mdp, record, baseline=optimal_constant, episodes=4))
    assert (after.logits == record.logits).all()


@pytest.mark.parametrize("gap", [0.0, 18.0, 25.0])
def test_the_best_constant_keeps_its_digits_where_one_episode_has_nearly_all_the_score(gap):
    """A rare action among certain ones: the others all have one score, so their credits' mean is
    the best constant, however little they move the policy."""
    credits = np.array([[1.0, 5.0, 2.0, 3.0]])
    batch = world.Rollout(np.zeros((1, 4), int), np.array([[0, 1, 0, 0]]), credits,
                          np.ones((1, 4), bool), np.ones((1, 4), bool), np.zeros(4, int),
                          np.zeros(4, bool))
    record = start(np.array([[gap, 0.0]]), rng=0)
    assert optimal_constant(credits, np.ones((1, 1)), batch, record)[1] == pytest.approx(2.0)


# The pieces.


def test_scores_are_those_of_each_episode_and_add_up_to_the_gradient_of_the_loss():
    mdp = small_world(horizon=3)
    record = random_record(mdp)
    batch, _, _ = play(mdp, record, generator(5), rewards=environment_rewards, episodes=9,
                       horizon=3)
    logp = log_softmax(record.logits)
    weights = np.random.default_rng(5).normal(size=batch.states.shape)
    weights[~batch.alive] = np.nan
    found = scores(batch, weights, logp)
    np.testing.assert_allclose(found, scores_by_loops(batch, weights, logp), atol=1e-12)
    table = counts.table(batch.steps(mdp.shape), counts.flatten(weights, batch.alive))
    _, grad = reinforce_loss(record.logits, table, episodes=9)
    np.testing.assert_allclose(found.sum(axis=0), -9 * grad, atol=1e-12)


@pytest.mark.parametrize("grid, degrees, length", [(frozen_lake(), 1.5, 1.09),
                                                   (cliff_walk(), 3.0, 58.9)])
def test_dropping_gamma_t_turns_the_gradient_by_the_angle_that_the_chapter_states(
        grid, degrees, length):
    discounted, endless = grid.mdp(gamma=0.99), grid.mdp(gamma=1.0)
    policy = np.full(discounted.shape, 0.25)
    _, exact = policy_gradient(discounted, np.zeros(discounted.shape))
    V = evaluate(discounted, policy)
    undiscounted_visits = occupancy(endless, policy)
    expected = undiscounted_visits[:, None] * policy * (action_values(discounted, V) - V[:, None])
    norm = np.linalg.norm
    angle = np.degrees(np.arccos((exact * expected).sum() / norm(exact) / norm(expected)))
    assert angle == pytest.approx(degrees, abs=0.06)
    assert norm(expected) / norm(exact) == pytest.approx(length, abs=0.05)


def test_the_loss_is_the_weighted_log_likelihood_of_an_episode():
    """(reinforce.5), as a loop over steps with repeated pairs"""
    rng = np.random.default_rng(3)
    states, actions = np.array([0, 1, 0, 0]), np.array([1, 2, 1, 0])
    steps = counts.steps(states, actions, np.array([0, 3, 4]), (2, 3))
    advantages, logits = rng.normal(size=4), rng.normal(size=(2, 3))
    logp = log_softmax(logits)
    direct = -sum(A * logp[s, a] for A, s, a in zip(advantages, states, actions)) / 2
    loss, _ = reinforce_loss(logits, counts.table(steps, advantages), episodes=2)
    assert loss == pytest.approx(direct, abs=1e-12)


# The trainer.


def doubled(batch, logp):
    return 2 * batch.rewards


@pytest.mark.parametrize("form", [WHOLE, KEPT, DROPPED])
@pytest.mark.parametrize("baseline", [value_baseline, leave_one_out, batch_mean,
                                      constant_baseline(0.7)])
@pytest.mark.parametrize("limit", [np.inf, 0.05])
def test_an_iteration_steps_along_the_loss_of_its_batch_with_the_earlier_baseline(form, baseline,
                                                                                  limit):
    """(reinforce.5), by loops; some episodes are cut, and count as they are"""
    mdp, B = random_mdp(np.random.default_rng(6), 4, 3, 2, 0.9), 50
    first = next(reinforce(mdp, start(np.zeros(mdp.shape), rng=4), episodes=B, horizon=3))
    second = next(reinforce(mdp, first, credit=form[0], keep_discount=form[1], baseline=baseline,
                            episodes=B, horizon=3, learning_rate=lambda i: 0.5 * i,
                            ent_coef=lambda i: 0.3 * i, value_rate=0.75, max_grad_norm=limit,
                            optimiser=gradient_descent(), rewards=doubled))

    rng = generator(first.rng)
    batch, earned, played = play(mdp, first, rng, rewards=doubled, episodes=B, horizon=3)
    assert played["rollout/truncated"] > 0 and second.rng == rng.bit_generator.state
    lengths = batch.alive.sum(axis=0)
    G = [[sum(0.9**(k - t) * earned[k, i] for k in range(t, lengths[i])) for t in range(3)]
         for i in range(B)]
    C = [[G[i][0] for t in range(3)] for i in range(B)] if form == WHOLE else G
    weights, visits = np.zeros(mdp.shape), np.zeros(4)
    targets = {s: [] for s in range(4)}
    for i, t in np.ndindex(B, 3):
        if t < lengths[i]:
            s = batch.states[t, i]
            b = {value_baseline: first.values[s], batch_mean: np.mean([c[t] for c in C]),
                 leave_one_out: np.mean([C[j][t] for j in range(B) if j != i])}.get(baseline, 0.7)
            weights[s, batch.actions[t, i]] += (0.9**t if form == KEPT else 1) * (C[i][t] - b)
            visits[s] += 1
            targets[s].append(G[i][t])
    _, grad = reinforce_loss(first.logits, weights, episodes=B)
    direction = grad + 0.3 * entropy_loss(first.logits, visits / B)[1]
    if limit < np.inf:
        assert np.linalg.norm(direction) > limit, "the limit should matter"
        direction = direction * limit / np.linalg.norm(direction)
    np.testing.assert_allclose(second.logits, first.logits - 0.5 * direction, atol=1e-12)
    assert second.iteration == 2 and second.steps == first.steps + lengths.sum()
    for s, seen in targets.items():
        value = first.values[s] + 0.75 * (np.mean(seen) - first.values[s])
        assert second.values[s] == pytest.approx(value, abs=1e-12)

    seen = [(g, first.values[s]) for s in targets for g in targets[s]]
    foreseen = 1 - np.var([g - v for g, v in seen]) / np.var([g for g, _ in seen])
    logp = log_softmax(second.logits)
    nats = sum(n * -p @ np.log(p) for n, p in zip(visits, np.exp(logp))) / lengths.sum()
    expected = played | {"policy/entropy": nats, "value/explained_variance": foreseen}
    assert second.metrics == pytest.approx(expected, abs=1e-10)


def test_the_rewards_seam_replaces_what_the_world_pays():
    mdp = small_world()
    seen = []

    def rewards(batch, logp):
        seen.append(logp)
        return 7.0 * batch.alive

    record = next(reinforce(mdp, start(np.zeros(mdp.shape), rng=0), rewards=rewards, episodes=20))
    np.testing.assert_allclose(seen[0], np.log(0.5))
    length = record.metrics["rollout/ep_len_mean"]
    assert record.metrics["rollout/ep_rew_mean"] == pytest.approx(7 * length)
    assert record.steps == pytest.approx(20 * length)


def test_strings_cut_by_the_horizon_are_counted():
    lake = frozen_lake().mdp(gamma=0.99)
    batch, _, metrics = play(lake, start(np.zeros(lake.shape), rng=0), generator(0),
                             rewards=environment_rewards, episodes=64, horizon=3)
    assert 0 < metrics["rollout/truncated"] == batch.truncated.sum() < 64


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_near_the_optimum_of_small_random_worlds(seed):
    """A share of J* − J(uniform); the promises for the grids are checked on the main job's run."""
    mdp = random_mdp(np.random.default_rng(seed), 5, 3, 2, 0.95)
    best, (worst, _) = policy_iteration(mdp).objective, policy_gradient(mdp, np.zeros((5, 3)))
    trainer = reinforce(mdp, start(np.zeros((5, 3)), rng=seed), episodes=256,
                        learning_rate=linear(0.3, 0.0, 60))
    record = next(record for record in trainer if record.iteration == 60)
    assert (policy_gradient(mdp, record.logits)[0] - worst) / (best - worst) >= 0.9


def test_training_continues_from_any_record_bit_for_bit():
    mdp = frozen_lake().mdp(gamma=0.99)
    options = {"learning_rate": linear(0.1, 0.0, 5), "ent_coef": linear(0.1, 0.0, 2),
               "episodes": 64, "max_grad_norm": 0.1}
    first = start(np.zeros(mdp.shape), rng=5)
    whole = [record for record, _ in zip(reinforce(mdp, first, **options), range(3))]
    for i, record in enumerate([first, *whole[:-1]]):
        for expected, found in zip(whole[i:], reinforce(mdp, record, **options)):
            np.testing.assert_equal(tuple(found), tuple(expected))


def test_the_optimiser_remembers():
    counting = Optimiser(init=lambda x: [0], step=lambda x, grad, state, rate: (x, [state[0] + 1]))
    trainer = reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), optimiser=counting)
    assert [next(trainer).optimiser for _ in range(3)] == [[1], [2], [3]]


def test_the_defaults_are_those_of_the_docstring():
    """Several episodes are longer than 200 steps."""
    mdp = single_outcome([[0, 0]], [[1, 3]], [[False, False]], [1.0], 0.9)
    mdp = replace(mdp, next_state=np.zeros((1, 2, 2), int), prob=np.tile([0.99, 0.01], (1, 2, 1)),
                  reward=np.tile(mdp.reward, 2), terminated=np.tile([False, True], (1, 2, 1)))
    record = random_record(mdp)
    found, spelt = next(reinforce(mdp, record)), next(reinforce(
        mdp, record, rewards=environment_rewards, credit=reward_to_go, baseline=value_baseline,
        keep_discount=False, episodes=512, horizon=200, learning_rate=0.05, ent_coef=0.0,
        max_grad_norm=np.inf, value_rate=0.5, optimiser=adam()))
    np.testing.assert_equal(tuple(found), tuple(spelt))
    assert found.metrics["rollout/truncated"] > 0


THREE_ITERATIONS = """
import hashlib, itertools
import numpy as np
from minirl.mdp import coin_game
from minirl.reinforce import reinforce, start
training = reinforce(coin_game(gamma=0.9), start(np.zeros((1, 2)), rng=5), episodes=64)
record = next(itertools.islice(training, 2, None))
digest = hashlib.sha256(record.logits.tobytes()).hexdigest()
"""


def test_another_process_comes_to_the_same_bits():
    here = {}
    exec(THREE_ITERATIONS, here)
    there = subprocess.run([sys.executable, "-c", f"{THREE_ITERATIONS}print(digest)"],
                           cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert here["record"].iteration == 3
    assert there.stdout.strip() == here["digest"], there.stderr


def test_a_generator_passed_to_start_does_not_advance():
    rng = np.random.default_rng(0)
    record = start(np.zeros((1, 2)), rng=rng)
    next(reinforce(world.coin_game(), record))
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("name, value, accepted", [
    ("value_rate", 2.0, r"value_rate must lie in \[0, 1\], got 2.0"),
    ("value_rate", -0.1, r"value_rate must lie in \[0, 1\], got -0.1"),
    ("horizon", 0, "horizon must be at least 1, got 0"),
    ("episodes", 0, "episodes must be at least 1, got 0"),
    ("horizon", 2.5, "horizon must be a whole number, got 2.5"),
    ("episodes", 2.5, "episodes must be a whole number, got 2.5"),
    ("learning_rate", -0.1, "learning_rate must be finite and not negative, got -0.1"),
    ("learning_rate", np.nan, "learning_rate must be finite and not negative, got nan"),
    ("ent_coef", np.inf, "ent_coef must be finite and not negative, got inf"),
    ("max_grad_norm", 0.0, "max_grad_norm must be positive, got 0"),
    ("max_grad_norm", np.nan, "max_grad_norm must be positive, got nan")])
def test_bad_arguments_are_refused_by_name(name, value, accepted):
    with pytest.raises(ValueError, match=accepted):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), **{name: value}))


def test_rewards_of_another_shape_are_not_stretched():
    batch, earned, _ = play(world.coin_game(), start(np.zeros((1, 2)), rng=0), generator(0),
                            rewards=environment_rewards, episodes=3, horizon=4)
    record = start(np.zeros((1, 2)), rng=0)
    for wrong in earned[:, :1], earned[:1]:
        with pytest.raises(ValueError, match=r"rewards must have shape \(\d, 3\), got"):
            weigh(wrong, batch, record, gamma=1.0, baseline=no_baseline)


def test_the_discount_of_the_whole_return_is_not_counted_twice():
    with pytest.raises(ValueError, match="keep_discount must be False for the whole return"):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), credit=whole_return,
                       keep_discount=True))


@pytest.mark.parametrize("baseline", [leave_one_out, optimal_constant])
def test_one_episode_has_no_others(baseline):
    with pytest.raises(ValueError, match="episodes must be at least 2 to leave one out, got 1"):
        next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), baseline=baseline,
                       episodes=1))


def test_a_price_of_kl_is_kept_and_must_be_positive():
    record = start(np.zeros((1, 2)), rng=0, kl_coef=0.3)
    assert record.kl_coef == next(reinforce(world.coin_game(), record)).kl_coef == 0.3
    assert start(np.zeros((1, 2)), rng=0).kl_coef == 1
    for wrong in 0.0, -1.0, np.inf, np.nan:
        with pytest.raises(ValueError, match=f"kl_coef must be positive and finite, got {wrong}"):
            start(np.zeros((1, 2)), rng=0, kl_coef=wrong)


def test_bad_tables_and_rewards_are_refused_by_name():
    for wrong in np.nan, np.inf:
        with pytest.raises(ValueError, match=f"value must be finite, got {wrong}"):
            constant_baseline(wrong)
    record = start(np.zeros((1, 2)), rng=0)
    batch, _, _ = play(world.coin_game(), record, generator(0), rewards=environment_rewards,
                       episodes=3, horizon=2)
    with pytest.raises(ValueError, match=r"weights must have shape \(2, 3\), got \(3, 2\)"):
        scores(batch, np.ones((3, 2)), log_softmax(record.logits))
    with pytest.raises(ValueError, match="weights must be finite"):
        reinforce_loss(np.zeros((1, 2)), np.array([[np.nan, 0.0]]), episodes=1)
    with pytest.raises(ValueError, match="weights must be finite and of shape"):
        reinforce_loss(np.zeros((1, 2)), np.zeros((2, 1)), episodes=1)
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        reinforce_loss(np.zeros((1, 2)), np.zeros((1, 2)), episodes=0)
    with pytest.raises(ValueError, match="logits must be a finite table"):
        start(np.array([[np.inf, 0.0]]), rng=0)
    for wrong, message in (
            (lambda batch, logp: batch.rewards[0], "an array of shape"),
            (lambda batch, logp: batch.rewards * np.nan, "finite numbers"),
            (lambda batch, logp: batch.rewards + 1, "zero after an episode's end")):
        with pytest.raises(ValueError, match=f"rewards must return {message}"):
            next(reinforce(world.coin_game(), start(np.zeros((1, 2)), rng=0), rewards=wrong))
    with pytest.raises(ValueError, match="policy must have shape"):
        next(reinforce(world.coin_game(), start(np.zeros((2, 2)), rng=0)))
