"""GRPO: the loss against loops over letters, what is expected of a group by listing all groups of a
small world, where k3 comes to rest, and the learners against J*."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from batches import A, S, assert_same, random_batch, random_world
from languages import BETA, running_example, share, strings_of
from refusals import same
from test_baselines import tiny_world
from worlds import law, random_record, single_outcome

from minirl.kernel import counts, mdp as world
from minirl.people.groups import (group_centred, group_leave_one_out, group_normalised, per_length,
                                  per_string, process_normalised, weighted)
from minirl.people.grpo import grpo, grpo_loss, resting_policy
from minirl.people.kl import string_kl
from minirl.play.optim import clip_norm, gradient_descent
from minirl.exact.planning import policy_gradient
from minirl.play.surrogate import clip_fraction, mean_kl
from minirl.people.regularised import regularised_optimum, tilt
from minirl.play.training import after, environment_rewards, only_ended, play, start
from minirl.people.rlhf import step_rewards
from minirl.kernel.softmax import kl, log_softmax


def loss_by_loops(logits, old_logits, ref_logits, strings, judged, weights, beta, epsilon):
    """(grpo.1) and its gradient, a letter at a time; `judged` has an advantage for each."""
    policy, old, ref = (np.exp(log_softmax(x)) for x in (logits, old_logits, ref_logits))
    loss, grad = 0.0, np.zeros(logits.shape)
    for pairs, advantages, w in zip(strings, judged, weights):
        for (s, a), advantage in zip(pairs, advantages):
            ratio = policy[s, a] / old[s, a]
            free = ratio * advantage
            held = max(min(ratio, 1 + epsilon), 1 - epsilon) * advantage
            u = np.log(ref[s, a]) - np.log(policy[s, a])
            loss += w * (beta * (np.exp(u) - u - 1) - min(free, held))
            slope = w * (beta * (1 - np.exp(u)) - (free if free <= held else 0.0))
            for b in range(logits.shape[1]):
                grad[s, b] += slope * ((a == b) - policy[s, b])
    return loss, grad


# The loss.


@pytest.mark.parametrize("beta", [0.0, 0.3, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_its_gradient_equal_the_loop_over_letters(seed, beta):
    """(grpo.1): advantages of single steps, weights of strings, an empty string among them;
    pitfall 9, with three tables that all differ."""
    steps, advantages, logits, old = random_batch(seed)
    rng = np.random.default_rng(seed)
    ref, weights = rng.normal(size=(S, A)), rng.random(steps.starts.size - 1) + 0.1
    batch = weighted(steps, advantages, weights)
    judged = np.split(advantages, steps.starts[1:-1])
    for epsilon in (0.05, 0.2, 0.9):
        assert_same(grpo_loss(logits, old, batch, ref_logits=ref, beta=beta, epsilon=epsilon),
                    loss_by_loops(logits, old, ref, strings_of(steps), judged, weights, beta,
                                  epsilon))
    found = grpo_loss(logits, old, batch, ref_logits=ref, beta=beta)
    assert_same(found, grpo_loss(logits, old, batch, ref_logits=ref, beta=beta, epsilon=0.2))
    exchanged = grpo_loss(logits, ref, batch, ref_logits=old, beta=beta)
    assert np.abs(found[1] - exchanged[1]).max() > 1e-3


def test_a_group_of_two_by_hand():
    """(grpo.1): one throw each, of which head earned 1; the reference likes tail better."""
    u = np.log([0.25 / 0.5, 0.75 / 0.5])
    k3, A = np.exp(u) - u - 1, group_normalised(np.array([1.0, 0.0]), None, 2)
    assert (u.round(4).tolist(), k3.round(4).tolist()) == ([-0.6931, 0.4055], [0.1931, 0.0945])
    assert A.round(4).tolist() == [0.9998, -0.9998] and (A / 2).round(4)[0] == 0.4999
    steps = counts.steps([0, 0], [0, 1], [0, 1, 2], (1, 2))
    loss, grad = grpo_loss(np.zeros((1, 2)), np.zeros((1, 2)), weighted(steps, A, [0.5, 0.5]),
                           ref_logits=np.log([[0.25, 0.75]]), beta=0.5)
    assert loss == pytest.approx(0.25 * k3.sum(), abs=1e-12) and round(loss, 4) == 0.0719
    G = -A / 2 + 0.25 * (1 - np.exp(u))
    np.testing.assert_allclose(grad, [G - 0.5 * G.sum()], rtol=0, atol=1e-12)
    assert G.round(3).tolist() == [-0.375, 0.375]


# What is expected of a group.


def expected_gradient(mdp, logits, K, advantage, weights, *, rewards=environment_rewards,
                      ref=None, beta=0.0):
    """The expected gradient of the loss where the batch is one group, from all groups."""
    ref = logits if ref is None else ref
    listed, chances = law(mdp, logits, 3)
    first, mean, total = listed.states[listed.starts[:-1]], np.zeros(mdp.shape), 0.0
    for who in product(range(chances.size), repeat=K):
        who = list(who)
        if len(set(first[who])) > 1:
            continue
        chance = chances[who].prod() / mdp.start[first[who[0]]]**(K - 1)
        batch = listed.select(who)
        judged = advantage(rewards(batch, log_softmax(logits)), batch, K)
        tables = weighted(batch.steps(mdp.shape), judged, weights(batch))
        mean += chance * grpo_loss(logits, logits, tables, ref_logits=ref, beta=beta)[1]
        total += chance
    assert total == pytest.approx(1, abs=1e-12)
    return mean


def cosine(x, y):
    return (x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y)


@pytest.mark.parametrize("K", [2, 3])
def test_the_expected_update_of_dr_grpo_is_a_share_of_the_gradient_and_rloo_is_all_of_it(K):
    """(groups.2), (groups.3), (groups.5), pitfalls 29 and 30: all groups of strings of one to three
    steps; the length is a factor."""
    mdp = tiny_world(gamma=1.0)
    logits = random_record(mdp).logits
    _, exact = policy_gradient(mdp, logits)
    for advantage, part in ((group_centred, (K - 1) / K), (group_leave_one_out, 1.0)):
        for length in (1, 7.5):
            found = expected_gradient(mdp, logits, K, advantage, per_length(length))
            np.testing.assert_allclose(-length * found, part * exact, rtol=0, atol=1e-12)


def test_the_length_of_a_string_and_the_std_of_a_group_turn_the_expected_update():
    """Pitfall 30: with 1/|y| or the std it is not parallel to ∇J, by either factor alone."""
    mdp = tiny_world(gamma=1.0)
    logits = random_record(mdp).logits
    _, exact = policy_gradient(mdp, logits)
    for advantage, weights in ((group_centred, per_string), (group_leave_one_out, per_string),
                               (group_normalised, per_length(1)), (group_normalised, per_string)):
        found = expected_gradient(mdp, logits, 2, advantage, weights)
        assert 0 < cosine(-found, exact) < 0.99, (advantage, weights)


def test_for_one_prompt_and_rewards_of_nought_or_one_the_std_changes_only_the_length_of_a_step():
    """And the direction too, where there are three rewards or two prompts"""
    logits = np.array([[0.3, -0.5, 0.1], [0.2, 0.4, -0.9]])

    def turned(start, rewards):
        mdp = single_outcome([[0] * 3] * 2, rewards, [[True] * 3] * 2, start)
        _, exact = policy_gradient(mdp, logits)
        return cosine(-expected_gradient(mdp, logits, 3, group_normalised, per_length(1)), exact)

    assert turned([1, 0], [[1, 0, 0], [0, 0, 0]]) == pytest.approx(1, abs=1e-12)
    assert turned([1, 0], [[1, 0, 0.2], [0, 0, 0]]) < 0.999
    assert turned([0.5, 0.5], [[1, 0, 0], [0, 0.1, 0]]) < 0.9


@pytest.mark.parametrize("advantage", [group_normalised, group_centred, group_leave_one_out])
@pytest.mark.parametrize("weights", [per_string, per_length(3)])
def test_with_the_kl_in_the_reward_nothing_is_expected_at_the_exact_optimum(advantage, weights):
    """Pitfall 5: every string has the same shaped return J*; counted once more, in the loss, the
    KL would pull back to the reference."""
    mdp = tiny_world(gamma=1.0)
    ref = random_record(mdp, seed=2).logits
    best = regularised_optimum(mdp, ref, beta=0.7)
    logits = tilt(ref, best.action_values, beta=0.7)
    paid = step_rewards(mdp.mean_reward, ref, beta=0.7)
    listed, _ = law(mdp, logits, 3)
    np.testing.assert_allclose(listed.totals(paid(listed, logits)),
                               best.values[listed.states[listed.starts[:-1]]], rtol=0, atol=1e-12)
    once = expected_gradient(mdp, logits, 2, advantage, weights, rewards=paid)
    assert np.abs(once).max() < 1e-9
    twice = expected_gradient(mdp, logits, 2, advantage, weights, rewards=paid, ref=ref, beta=0.7)
    assert np.abs(twice).max() > 1e-2
    off = expected_gradient(mdp, 0.9 * logits, 2, advantage, weights, rewards=paid)
    assert np.abs(off).max() > 1e-3


# Where k3 in the loss comes to rest.


@pytest.mark.parametrize("K, beta", [(2, 0.7), (3, 2.0), (2, 0.2)])
def test_at_the_resting_policy_nothing_is_expected_of_dr_grpo(K, beta):
    """(grpo.2): all groups of a small world"""
    mdp = tiny_world(gamma=1.0)
    ref = random_record(mdp, seed=4).logits
    logits = resting_policy(mdp, ref, beta=beta, num_generations=K)
    options = {"ref": ref, "beta": beta}
    found = expected_gradient(mdp, logits, K, group_centred, per_length(5), **options)
    assert np.abs(found).max() < 1e-9
    for other in (resting_policy(mdp, ref, beta=beta, num_generations=K + 1),
                  resting_policy(mdp, ref, beta=1.1 * beta, num_generations=K),
                  np.log(regularised_optimum(mdp, ref, beta=beta).policy)):
        found = expected_gradient(mdp, other, K, group_centred, per_length(5), **options)
        assert np.abs(found).max() > 1e-4


def test_for_one_throw_it_rests_at_the_golden_ratio_in_groups_of_two():
    """(grpo.2): 0.618, 0.667 and 0.707 for K = 2, 4 and ∞, where RLHF has 0.731; at β = 0.1 the
    optimum is 0.99995."""
    toss, fair = world.unroll(world.coin_game(), 1), np.zeros((1, 2))
    heads = [np.exp(resting_policy(toss, fair, beta=1.0, num_generations=K))[0, 0]
             for K in (2, 4, 10**9)]
    assert heads == pytest.approx([(5**0.5 - 1) / 2, 2 / 3, 0.5**0.5], abs=1e-8)
    best = [regularised_optimum(toss, fair, beta=beta).policy[0, 0] for beta in (1.0, 0.1)]
    assert best == pytest.approx([np.e / (1 + np.e), 1 / (1 + np.exp(-10))], abs=1e-12)
    assert np.round([*heads, best[0]], 3).tolist() == [0.618, 0.667, 0.707, 0.731]
    assert round(best[1], 5) == 0.99995


def test_the_shares_of_the_resting_policy_are_those_of_the_chapter():
    """76, 83, 77, 67 and 53 % for groups of 2, 4, 8, 16 and 64, and the KL of each and of RLHF"""
    example = running_example()
    world, ref = example.world, example.reference
    found = [resting_policy(world, ref, beta=BETA, num_generations=K) for K in (2, 4, 8, 16, 64)]
    assert np.round([*map(share, found)], 3).tolist() == [0.761, 0.830, 0.771, 0.673, 0.532]
    found.append(np.log(regularised_optimum(world, ref, beta=BETA).policy))
    assert [round(string_kl(world, logits, ref)[0], 3) for logits in found] == [
        0.222, 0.548, 0.969, 1.371, 1.856, 0.894]


def test_it_rests_at_the_reference_where_k3_is_dear_or_nothing_is_paid():
    mdp = tiny_world(gamma=1.0)
    ref = log_softmax(random_record(mdp).logits)
    for paid, beta in ((mdp, 1e9), (replace(mdp, reward=0 * mdp.reward), 0.1)):
        found = resting_policy(paid, ref + 3.0, beta=beta, num_generations=2)
        np.testing.assert_allclose(found, ref, rtol=0, atol=1e-7)


def test_a_state_that_nobody_reaches_does_not_disturb_the_resting_policy():
    two = single_outcome([[0, 0], [1, 1]], [[1, 0], [2, 0]], [[False, True]] * 2, [1, 0])
    ref = np.random.default_rng(0).normal(size=(6, 2))
    found = resting_policy(world.unroll(two, 3), ref, beta=0.4, num_generations=2)
    alone = resting_policy(world.unroll(world.coin_game(), 3), ref[::2], beta=0.4,
                           num_generations=2)
    np.testing.assert_allclose(found[::2], alone, rtol=0, atol=1e-12)
    assert np.exp(found).sum(axis=1) == pytest.approx(1, abs=1e-9)


def test_what_the_reference_never_does_is_not_what_the_others_are_worse_than():
    """A third action that would pay most, and that the reference never takes."""
    three = single_outcome([[0, 0, 0]], [[1, 0, 5]], [[True, True, True]], [1])
    two = single_outcome([[0, 0]], [[1, 0]], [[True, True]], [1])
    found = resting_policy(three, [[0.0, 0.0, -np.inf]], beta=0.4, num_generations=2)
    alone = resting_policy(two, np.zeros((1, 2)), beta=0.4, num_generations=2)
    np.testing.assert_allclose(found, [[*alone[0], -np.inf]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rare", [-5.0, -18.0, -30.0, 25.0])
@pytest.mark.parametrize("beta", [1.0, 0.3, 0.01])
def test_the_resting_policy_finds_what_the_reference_hardly_ever_does(rare, beta):
    """(grpo.2) for one toss is a quadratic equation: c p² + (1 − c) p = π_ref(head)."""
    ref = np.array([[rare, 0.0]])
    logits = resting_policy(world.unroll(world.coin_game(), 1), ref, beta=beta, num_generations=2)
    c, chance = 0.5 / beta, np.exp(log_softmax(ref))[0, 0]
    root = np.sqrt((1 - c)**2 + 4 * c * chance)
    head = (root + c - 1) / (2 * c) if c > 1 else 2 * chance / (root + 1 - c)
    np.testing.assert_allclose(np.exp(logits), [[head, 1 - head]], rtol=0, atol=1e-9)


# The trainer.


def tables(seed):
    """A policy in training and a reference, which are not equal."""
    rng = np.random.default_rng(seed)
    return start(rng.normal(size=(S, A)), rng=seed)._replace(iteration=3), rng.normal(size=(S, A))


SMALL = {"episodes": 24, "horizon": 5, "num_generations": 4, "optimiser": gradient_descent()}


@pytest.mark.parametrize("advantage, weights", [
    (group_normalised, per_string), (group_centred, per_length(1.5)),
    (group_leave_one_out, per_length(1.5)), (process_normalised, per_string)])
def test_an_iteration_takes_its_steps_along_the_loss_of_its_batch(advantage, weights):
    """(grpo.1) in the trainer, pitfall 9: the old policy wrote the batch and stays for all steps,
    the reference is another; and the metrics."""
    mdp, (record, ref) = random_world(4), tables(4)
    paid = step_rewards(mdp.mean_reward, ref, beta=0.2)
    found = next(grpo(mdp, record, ref_logits=ref, beta=0.6, rewards=paid, advantage=advantage,
                      weights=weights, num_iterations=3, epsilon=0.1, iterations=6,
                      learning_rate=lambda progress: 6 * progress, max_grad_norm=0.3, **SMALL))
    batch = play(mdp, record, rewards=paid, episodes=24, horizon=5, num_generations=4)
    judged = advantage(batch.rewards, batch.rollout, 4)
    if advantage is not process_normalised:  # one per string
        judged = batch.rollout.spread(judged)
    table, logits = weighted(batch.steps, judged, weights(batch.rollout)), record.logits
    for _ in range(3):
        _, grad = grpo_loss(logits, record.logits, table, ref_logits=ref, beta=0.6, epsilon=0.1)
        logits = logits - 3.0 * clip_norm(grad, 0.3)
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-12)
    ratio = log_softmax(record.logits) - log_softmax(ref)
    expected = {
        "policy/kl": mean_kl(logits, record.logits, batch.visits),
        "policy/clipfrac": clip_fraction(logits, record.logits, batch.steps, judged,
                                         clip_range=0.1),
        "objective/kl": sum(ratio.ravel()[batch.steps.index]) / 24, "frac_reward_zero_std": 0.0}
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found.metrics["policy/clipfrac"] > 0 and batch.rollout.truncated.any()


@pytest.mark.parametrize("advantage", [group_normalised, process_normalised])
def test_an_iteration_equals_the_loop_over_the_letters_of_its_strings(advantage):
    """One advantage for all letters of a string, or one for each; strings of unequal lengths."""
    mdp, (record, ref) = random_world(4), tables(4)
    found = next(grpo(mdp, record, ref_logits=ref, beta=0.6, advantage=advantage, num_iterations=1,
                      learning_rate=2.0, **SMALL))
    batch = play(mdp, record, rewards=environment_rewards, episodes=24, horizon=5,
                 num_generations=4)
    judged = advantage(batch.rewards, batch.rollout, 4)
    judged = ([[A_i] * length for A_i, length in zip(judged, batch.rollout.lengths, strict=True)]
              if advantage is group_normalised else np.split(judged, batch.rollout.starts[1:-1]))
    assert len({len(own) for own in judged}) > 2 and (
        any(len(set(own)) > 1 for own in judged) == (advantage is process_normalised))
    _, grad = loss_by_loops(record.logits, record.logits, ref, strings_of(batch.steps), judged,
                            per_string(batch.rollout), 0.6, 0.2)
    np.testing.assert_allclose(found.logits, record.logits - 2.0 * grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("advantage", [group_normalised, group_centred, group_leave_one_out])
def test_an_advantage_of_your_own_may_be_one_per_string_or_one_per_step(advantage):
    """Bit for bit, if all steps of a string have the same; also where strings are masked."""
    mdp, (record, ref) = random_world(4), tables(4)

    def on_each_step(rewards, batch, sizes):
        return batch.spread(advantage(rewards, batch, sizes))

    for paid in environment_rewards, only_ended(environment_rewards):
        one, other = (next(grpo(mdp, record, ref_logits=ref, beta=0.6, rewards=paid,
                                advantage=form, learning_rate=2.0, **SMALL))
                      for form in (advantage, on_each_step))
        assert ("rollout/masked" in one.metrics) == (paid is not environment_rewards)
        assert same(one, other) and one.metrics["policy/clipfrac"] > 0


def once(amount):
    """The same reward for every string, paid on its first step."""
    def rewards(rollout, logp):
        return amount * (rollout.time == 0)

    return rewards


def test_with_nothing_to_gain_a_step_reduces_the_kl():
    """Pitfall 2: equal groups are counted, their k3 stays, and it pulls to the reference."""
    mdp, (record, ref) = random_world(0), tables(0)
    for amount in (0.0, -3.3):
        found = next(grpo(mdp, record, ref_logits=ref, beta=1.0, num_iterations=1,
                          rewards=once(amount), learning_rate=0.1, **SMALL))
        assert found.metrics["frac_reward_zero_std"] == 1.0
        assert string_kl(mdp, found.logits, ref)[0] < string_kl(mdp, record.logits, ref)[0]
        backwards = [kl(log_softmax(ref), log_softmax(x)).sum()
                     for x in (found.logits, record.logits)]
        assert backwards[0] < backwards[1]


def test_some_groups_have_nothing_to_learn_and_are_counted():
    """The share is one of groups, not of strings or steps."""
    coin, fair = world.coin_game(), np.zeros((1, 2))
    record = start(fair, rng=1)
    found = next(grpo(coin, record, ref_logits=fair, episodes=60, num_generations=2))
    batch = play(coin, record, rewards=environment_rewards, episodes=60, horizon=200,
                 num_generations=2)
    totals = [own.sum() for own in np.split(batch.rewards, batch.rollout.starts[1:-1])]
    equal = sum(totals[i] == totals[i + 1] for i in range(0, 60, 2))
    assert 0 < equal < 30 and found.metrics["frac_reward_zero_std"] == pytest.approx(equal / 30)


# The learners, on the running example.


@pytest.mark.slow
@pytest.mark.parametrize("advantage, weights, seed", [
    (group_normalised, per_string, 0), (group_centred, per_length(7), 2)])
def test_with_the_kl_in_the_reward_they_come_to_the_optimum(advantage, weights, seed):
    """99.9 % of what there is to gain"""
    example = running_example()
    paid = step_rewards(example.world.mean_reward, example.reference, beta=BETA)
    training = grpo(example.world, start(example.reference, rng=seed),
                    ref_logits=example.reference, rewards=paid, advantage=advantage,
                    weights=weights, iterations=200)
    assert share(after(training, 200).logits) > 0.999
