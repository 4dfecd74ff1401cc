"""RLHF: the shaped rewards against loops, their expectation against J, PPO's share of J*, and a
price that is steered."""

from functools import cache, partial
from itertools import islice, pairwise

import numpy as np
import pytest
from languages import BETA, mean_length, preference_pairs, running_example, share
from scipy.optimize import brentq

from minirl.play.optim import gradient_descent, linear
from minirl.exact.evaluation import expectation, occupancy
from minirl.exact.planning import policy_gradient
from minirl.kernel import counts
from minirl.people.fitting import minimise
from minirl.people.kl import string_kl
from minirl.kernel.mdp import coin_game
from minirl.kernel.playing import rollout, start_states
from minirl.play.ppo import ppo
from minirl.people.regularised import regularised_optimum, tilt
from minirl.play.training import after, start
from minirl.people.reward_model import fit_reward_model
from minirl.people.rlhf import (adaptive_rlhf, length_penalty, ptx_loss, rlhf, scored_rewards,
                                steered, step_rewards, string_rewards)
from minirl.people.sft import sft_loss
from minirl.play.surrogate import collapse
from minirl.kernel.softmax import log_softmax
from toy_lm.corpora import unicode_words
from toy_lm.ngram import language
from toy_lm.preferences import sample_pairs
from toy_lm.verifiers import gap, is_palindrome, objective_loss, palindrome_counts
from toy_lm.vocabulary import from_items

DEFAULTS = {"ent_coef": 0.0, "learning_rate": linear(0.05, 0.0)}  # where PPO has others


def small_language(seed=0):
    rng = np.random.default_rng(seed)
    reward_table, ref, logits = rng.normal(size=(3, 3, 3))
    world = language(reward_table)
    batch = rollout(world, np.exp(log_softmax(logits)), start_states(world, 60, rng), horizon=3,
                    rng=rng)
    assert batch.truncated.any() and not batch.truncated.all()
    return reward_table, ref, logits, world, batch


def test_every_step_is_paid_minus_the_price_of_leaving_the_reference():
    """(rlhf.1), π_old and π_ref being two different tables (pitfall 9); or the string in one sum on
    its last step, the end symbol or where the horizon cut it (pitfall 25)"""
    reward_table, ref, logits, _, batch = small_language()
    logp, ref_logp = log_softmax(logits), log_softmax(ref)
    paid = step_rewards(reward_table, ref, beta=0.4)(batch, logp)
    at_end = string_rewards(reward_table, ref, beta=0.4)(batch, logp)
    assert paid.shape == at_end.shape == batch.states.shape
    for begin, end in pairwise(batch.starts):
        for n in range(begin, end):
            s, a = batch.states[n], batch.actions[n]
            direct = reward_table[s, a] - 0.4 * (logp[s, a] - ref_logp[s, a])
            assert paid[n] == pytest.approx(direct, abs=1e-12)
            charged = -0.4 * (logp[s, a] - ref_logp[s, a])
            assert n == end - 1 or at_end[n] == pytest.approx(charged, abs=1e-12)
        assert at_end[begin:end].sum() == pytest.approx(paid[begin:end].sum(), rel=1e-7, abs=1e-12)


def test_the_expected_return_is_the_objective_of_the_whole_string():
    """(rlhf.2), pitfall 6: KL = Σ_y π(y) log π(y)/π_ref(y), summed over strings by their length"""
    reward_table, ref, logits, world, _ = small_language()
    policy, ratio = np.exp(log_softmax(logits)), log_softmax(logits) - log_softmax(ref)
    step, onwards = policy * ratio, (np.arange(3) > 0)  # symbol 0 ends the string
    chance, spent, divergence = np.array([1.0, 0, 0]), np.zeros(3), 0.0
    for _ in range(2000):  # chance of, and Σ chance · log-ratio over, the beginnings of this length
        divergence += chance @ step[:, 0] + spent @ policy[:, 0]
        spent = spent @ (policy * onwards) + chance @ (step * onwards)
        chance = chance @ (policy * onwards)
    assert chance.sum() < 1e-15 and divergence > 0.1
    reward = expectation(world, policy, reward_table)
    shaped = expectation(world, policy, reward_table - 0.4 * ratio)
    assert shaped == pytest.approx(reward - 0.4 * divergence, abs=1e-12)


def test_three_heads_in_four_earn_the_same_by_steps_and_by_games():
    """(rlhf.2) in the numbers of the chapter, at β = 1"""
    coin, old = coin_game(), np.array([[0.75, 0.25]])
    paid = np.array([[1 - np.log(1.5), -np.log(0.5)]])
    assert paid.round(3).tolist() == [[0.595, 0.693]]
    distance = string_kl(coin, np.log(old), np.zeros((1, 2)))[0]
    assert distance == pytest.approx(0.523, abs=5e-4)
    assert expectation(coin, old, paid) == pytest.approx(3 - distance, abs=1e-12)
    assert paid.round(4).tolist() == [[0.5945, 0.6931]] and round(3 * 0.5945 + 0.6931, 3) == 2.477
    assert 3 - distance == pytest.approx(2.477, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ppo_on_the_true_reward_reaches_the_optimum(seed):
    """At least 99.9 % of J* − J(ref) on the running example, as the chapter states"""
    example = running_example()
    trainer = rlhf(example.world, start(example.reference, rng=seed), example.world.mean_reward,
                   example.reference, beta=BETA, horizon=1000, episodes=1024, iterations=60)
    assert share(after(trainer, 60).logits) >= 0.999


def test_a_reward_on_the_last_step_is_biased_by_lambda_as_the_chapter_states():
    """With λ = 0.95 a value table of the last letter misjudges; with λ = 1 less is lost."""
    example = running_example()
    rewards = string_rewards(example.world.mean_reward, example.reference, beta=BETA)
    shares = []
    for gae_lambda in (0.95, 1.0):
        trainer = ppo(example.world, start(example.reference, rng=0), rewards=rewards, horizon=1000,
                      episodes=1024, gae_lambda=gae_lambda, iterations=60, **DEFAULTS)
        shares.append(share(after(trainer, 60).logits))
    assert 0.955 < shares[0] < 0.975 and 0.98 < shares[1] < 0.995


# Whole strings.


def makers(reward_table, ref):
    """The three ways to be paid, as functions of the penalty."""
    def score(batch):
        return np.array([sum(reward_table[batch.states[n], batch.actions[n]]
                             for n in range(begin, end))
                         for begin, end in pairwise(batch.starts)])

    return (lambda **options: step_rewards(reward_table, ref, beta=0.4, **options),
            lambda **options: string_rewards(reward_table, ref, beta=0.4, **options),
            lambda **options: scored_rewards(score, ref, beta=0.4, **options))


@pytest.mark.parametrize("way", range(3))
def test_a_string_that_was_cut_pays_the_penalty_once_on_its_last_step(way):
    """Pitfall 25; a string that ended, were it at the last step of all, pays nothing."""
    reward_table, ref, logits, _, batch = small_language()
    maker, logp = makers(reward_table, ref)[way], log_softmax(logits)
    fined = maker(missing_eos_penalty=1.5)(batch, logp) - maker()(batch, logp)
    assert fined.shape == batch.states.shape
    for i, (begin, end) in enumerate(pairwise(batch.starts)):
        for n in range(begin, end):
            due = 1.5 if batch.truncated[i] and n == end - 1 else 0
            assert fined[n] == pytest.approx(-due, abs=1e-12)
    assert (~batch.truncated & (batch.lengths == 3)).any()


def test_the_first_step_that_the_reference_never_takes_is_named():
    reward_table, ref, logits, _, batch = small_language()
    met = list(dict.fromkeys(zip(batch.states.tolist(), batch.actions.tolist())))
    for never in met[2:4]:
        ref[never] = -np.inf
    state, action = met[2]
    for make in makers(reward_table, ref):
        with pytest.raises(ValueError, match=f"got that in state {state} for action {action}$"):
            make()(batch, log_softmax(logits))


def test_scores_may_be_answers_and_are_not_changed():
    """A verifier says True or False; beta times the log-ratio is paid beside it on every step."""
    _, ref, logits, _, batch = small_language()
    answers = np.arange(60) % 3 == 0
    logp = log_softmax(logits)
    paid = scored_rewards(lambda batch: answers, ref, beta=0.4, missing_eos_penalty=1.0)(batch,
                                                                                        logp)
    ratio = (logp - log_softmax(ref))[batch.states, batch.actions]
    assert paid.shape == batch.states.shape
    for i, (begin, end) in enumerate(pairwise(batch.starts)):
        for n in range(begin, end):
            total = int(answers[i]) - int(batch.truncated[i]) if n == end - 1 else 0
            assert paid[n] == pytest.approx(total - 0.4 * ratio[n], abs=1e-12)
    assert answers.dtype == bool and answers.sum() == 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_program_that_checks_palindromes_teaches_the_best_bigram(seed):
    """At least 99.9 % of the way from the reference to the optimum of `verifiers.gap`"""
    ref = 0.5 * np.random.default_rng(seed).normal(size=(4, 4)) + 0.5 * (np.arange(4) == 0)

    def passes(batch):
        texts = ("".join(map(str, batch.actions[begin:end - 1]))
                 for begin, end in pairwise(batch.starts))
        return 2.0 * np.array([is_palindrome(text) for text in texts]) * ~batch.truncated

    trainer = ppo(language(np.zeros((4, 4))), start(ref, rng=seed), horizon=60, gae_lambda=1.0,
                  rewards=scored_rewards(passes, ref, beta=BETA), iterations=60, **DEFAULTS)
    before, now = (-objective_loss(logits, ref, palindrome_counts, bonus=2.0, beta=BETA)[0]
                   for logits in (ref, after(trainer, 60).logits))
    best = gap(ref, palindrome_counts, bonus=2.0, beta=BETA).bigram
    assert 0.999 < (now - before) / (best - before) < 1 + 1e-9


def cut_share(penalty):
    """How often strings of a reference that likes to go on are cut at ten, after training."""
    ref = np.log(np.array([[0.02, 0.98], [0.02, 0.98]]))
    trainer = ppo(language(np.zeros((2, 2))), start(ref, rng=0), horizon=10, ent_coef=0.0,
                  rewards=step_rewards(np.zeros((2, 2)), ref, beta=0.5,
                                       missing_eos_penalty=penalty))
    return after(trainer, 40).policy[1, 1]**10


@pytest.mark.parametrize("longest, soft", [(3, 2), (2, 1), (3, 3), (2.5, 0.7), (1, 1), (9, 4)])
def test_length_is_charged_before_the_end(longest, soft):
    """(rlhf.4), case by case"""
    batch = small_language()[4]
    for length, charged in zip(np.diff(batch.starts), length_penalty(longest, soft)(batch),
                               strict=True):
        expected = (0 if length <= longest - soft
                    else (longest - soft - length) / soft if length <= longest else -1)
        assert charged == pytest.approx(expected)


def test_a_score_may_be_masked_and_nothing_else_may_be_missing():
    """The whole string is masked; the others are paid as before."""
    _, ref, logits, _, batch = small_language()
    scores, wrong = np.arange(60.0), np.arange(60) % 7 == 3
    told = np.where(wrong, np.nan, scores)
    whole, gaps = (scored_rewards(lambda _, told=told: told, ref, beta=0.4)(
        batch, log_softmax(logits)) for told in (scores, np.ma.masked_invalid(told)))
    unscored = wrong[batch.episode]
    assert (gaps.mask == unscored).all() and not np.ma.is_masked(whole)
    np.testing.assert_array_equal(gaps.data[~unscored], whole[~unscored])
    with pytest.raises(ValueError, match=r"^what score returns must be finite"):
        scored_rewards(lambda _: told, ref, beta=0.4)(batch, log_softmax(logits))


def test_the_penalty_teaches_to_end():
    """Without it nothing does, and the reference stays as it is."""
    assert cut_share(0.0) > 0.75 and cut_share(5.0) < 0.2


# The pipeline.


PLAIN = {"episodes": 40, "horizon": 3, "n_epochs": 3, "learning_rate": 0.1, "gae_lambda": 0.8}
OTHER = {"episodes": 40, "iterations": 7, "batch_size": 16, "clip_range": 0.05,
         "normalize_advantage": False, "ent_coef": 0.2, "max_grad_norm": 0.5, "value_rate": 0.3,
         "optimiser": gradient_descent()}


@pytest.mark.parametrize("settings", [{}, PLAIN, OTHER])
def test_rlhf_is_ppo_on_rewards_that_are_paid_step_by_step(settings):
    """(rlhf.1), with each of PPO's arguments passed on, and the KL of the batch's strings."""
    reward_table, ref, logits, world, _ = small_language()

    def distance(batch, logp):
        ratio = logp - log_softmax(ref)
        total = sum(ratio[s, a] for s, a in zip(batch.states, batch.actions))
        return {"objective/kl": total / (len(batch.starts) - 1)}

    record = start(logits, rng=5)._replace(iteration=3)
    price = {"beta": 0.7, "missing_eos_penalty": 2.0}
    found = next(rlhf(world, record, reward_table, ref, **price, **settings))
    expected = next(ppo(world, record, rewards=step_rewards(reward_table, ref, **price),
                        observe=distance, **{**DEFAULTS, **settings}))
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.metrics == pytest.approx(expected.metrics, abs=1e-12)


@pytest.mark.slow
def test_a_reward_learned_from_a_hundred_pairs_is_gamed():
    """The table of the chapter: gains over the reference at the exact optima of the learned reward.
    It promises more and more, and the truth falls below that of the reference."""
    example = running_example()
    truth, ref = example.world.mean_reward, example.reference
    learned = fit_reward_model(np.zeros((27, 27)), preference_pairs(100, 1), pull=2.0).x
    both, before = np.array([learned, truth]), []
    for beta, promised, true in ((2.0, 0.209, 0.117), (1.0, 0.378, 0.183), (0.5, 0.744, 0.232),
                                 (0.4, 1.054, 0.214), (0.3, 3.437, -0.160)):
        best = regularised_optimum(language(learned), ref, beta=beta)
        policy = np.exp(tilt(ref, best.action_values, beta=beta))
        gain = expectation(example.world, policy, both) - expectation(
            example.world, np.exp(ref), both)
        np.testing.assert_allclose(gain, (promised, true), atol=1e-3)
        before.append(gain)
    assert (np.diff(before, axis=0)[:, 0] > 0).all()


# What was learned before.


def test_the_term_of_pretraining_is_a_mean_over_the_steps_of_the_demonstrations():
    """(rlhf.5) and (rlhf.6), by loops over the batch and over the demonstrations"""
    _, ref, logits, world, batch = small_language()
    steps, shown = batch.steps(world.shape), batch.steps(world.shape).index[::3]
    A = np.random.default_rng(8).normal(size=steps.index.size)
    logp, old_logp = log_softmax(logits), log_softmax(ref)
    value, grad = 0.0, np.zeros((3, 3))
    for s, a, advantage in zip(batch.states, batch.actions, A):
        ratio = np.exp(logp[s, a] - old_logp[s, a])
        clipped = min(max(ratio, 0.7), 1.3)
        value -= min(ratio * advantage, clipped * advantage) / A.size
        if ratio * advantage <= clipped * advantage:
            grad[s] -= ratio * advantage * ((np.arange(3) == a) - np.exp(logp[s])) / A.size
    for s, a in (divmod(int(n), 3) for n in shown):
        value -= 0.4 * logp[s, a] / shown.size
        grad[s] -= 0.4 * ((np.arange(3) == a) - np.exp(logp[s])) / shown.size
    seen = np.bincount(shown, minlength=9).reshape(3, 3)
    found = ptx_loss(logits, ref, collapse(steps, A), seen, ptx_coef=0.4, clip_range=0.3)
    assert found[0] == pytest.approx(value, abs=1e-12)
    np.testing.assert_allclose(found[1], grad, atol=1e-12)


@cache
def corpus():
    """N[s, a] of the running example: 16,986 steps."""
    items = unicode_words()
    return counts.table(from_items(items).encode(items))


def measured(logits, beta=BETA):
    """Reward and KL per string, and nats per character of the corpus, exactly."""
    example = running_example()
    return (expectation(example.world, np.exp(log_softmax(logits)), example.world.mean_reward),
            string_kl(example.world, logits, example.reference)[0], sft_loss(logits, corpus())[0])


@cache
def held(ptx_coef):
    """The maximum of (rlhf.5) on the running example, by gradient from the reference."""
    example = running_example()

    def loss(logits):
        (J, up), (nats, pull) = policy_gradient(example.world, logits), sft_loss(logits, corpus())
        distance, away = string_kl(example.world, logits, example.reference)
        return (BETA * distance + ptx_coef * nats - J,
                BETA * away + ptx_coef * pull - up)

    steps = np.exp(example.reference)  # a step counts about as often as the reference takes it
    steps *= occupancy(example.world, steps)[:, None]
    found = minimise(loss, example.reference, tol=1e-7, curvature=steps)
    assert found.converged
    return found.x


def test_what_the_term_of_pretraining_buys_and_costs():
    """(rlhf.5): the table of the chapter, exactly.  Without the term the same number of nats per
    character asks for a higher price, and leaves less reward."""
    example = running_example()
    assert corpus().sum() == 16_986

    def optimum(beta):
        best = regularised_optimum(example.world, example.reference, beta=beta)
        return tilt(example.reference, best.action_values, beta=beta)

    for logits, expected in ((example.reference, (-0.535, 0, 2.584)),
                             (optimum(0.5), (0.596, 0.894, 2.778)),
                             (held(2.0), (0.230, 0.336, 2.647)),
                             (optimum(1.0), (0.195, 0.287, 2.646))):
        np.testing.assert_allclose(measured(logits), expected, atol=6e-4)
    assert share(held(0.0)) == pytest.approx(1, abs=1e-7)
    nats = measured(held(2.0))[2]
    same = optimum(brentq(lambda beta: measured(optimum(beta))[2] - nats, 0.9, 1.1))
    assert measured(same)[0] < 0.2 < 0.23 < measured(held(2.0))[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_ppo_with_the_term_of_pretraining_rests_at_the_exact_optimum(seed):
    """(rlhf.6): with advantages in units of reward a step counts 1/length of a string, (ppo.4), so
    that 2 nats of reward per nat and character are 2/length here."""
    example, best = running_example(), held(2.0)

    def objective(logits):
        reward, distance, nats = measured(logits)
        return reward - BETA * distance - 2 * nats

    extra = partial(ptx_loss, counts=corpus(), ptx_coef=2 / (mean_length(best) + 1))
    trainer = rlhf(example.world, start(example.reference, rng=seed), example.world.mean_reward,
                   example.reference, beta=BETA, episodes=1024, iterations=100, loss=extra,
                   normalize_advantage=False)
    low, high = objective(example.reference), objective(best)
    assert 0.99 < (objective(after(trainer, 100).logits) - low) / (high - low) < 1


# A price that is steered.


def test_the_price_follows_the_distance_from_the_target_and_is_clipped_on_both_sides():
    """(rlhf.3), pitfall 8: the documented factors, and at the target exactly 1"""
    def factor(distance, strings=50, kl_horizon=100):
        return steered(3.0, distance, target=2.0, strings=strings, kl_horizon=kl_horizon) / 3.0

    assert factor(2.0) == 1 == factor(2.0, strings=100)
    assert factor(4.0) == pytest.approx(1.1, abs=1e-15)  # twice the target, held to a fifth
    assert factor(4.0, strings=100) == pytest.approx(1.2, abs=1e-15)
    assert factor(2.2) == pytest.approx(1.05, abs=1e-15)
    assert factor(1.8) == pytest.approx(0.95, abs=1e-15)
    for far in (1.0, 0.0, -5.0):
        assert factor(far) == pytest.approx(0.9, abs=1e-15)
    for far in (2.5, 40.0):
        assert factor(far) == pytest.approx(1.1, abs=1e-15)
    assert factor(9.0, strings=1, kl_horizon=10_000) == pytest.approx(1 + 2e-5, abs=1e-15)


@pytest.mark.parametrize("settings, kl_horizon", [(PLAIN, 40), (OTHER, 100)])
def test_each_iteration_is_rlhf_at_the_price_of_the_record(settings, kl_horizon):
    """(rlhf.3): the price that comes out is the next batch's."""
    reward_table, ref, logits, world, _ = small_language()
    record, settings = start(logits, rng=5, kl_coef=0.7), {**settings, "missing_eos_penalty": 2.0}
    for found in islice(adaptive_rlhf(world, record, reward_table, ref, target_kl=0.3,
                                      kl_horizon=kl_horizon, **settings), 4):
        expected = next(rlhf(world, record, reward_table, ref, beta=record.kl_coef, **settings))
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.metrics == expected.metrics | {"objective/kl_coef": record.kl_coef}
        change = np.clip(expected.metrics["objective/kl"] / 0.3 - 1, -0.2, 0.2) * 40 / kl_horizon
        assert found.kl_coef == pytest.approx(record.kl_coef * (1 + change), abs=1e-12)
        record = found


@pytest.mark.slow
@pytest.mark.parametrize("seed, beta", [(1, 0.5), (2, 2.0)])
def test_the_kl_comes_to_the_target_and_the_price_to_that_of_the_exact_optimum(seed, beta):
    """(rlhf.3): on the running example one nat is the optimum's KL at β = 0.4756."""
    example = running_example()
    truth = example.world.mean_reward

    def distance(price):
        best = regularised_optimum(example.world, example.reference, beta=price)
        return string_kl(example.world, tilt(example.reference, best.action_values, beta=price),
                         example.reference)[0]

    rest = brentq(lambda price: distance(price) - 1, 0.4, 0.6)
    assert rest == pytest.approx(0.4756, abs=1e-4)
    trainer = adaptive_rlhf(example.world, start(example.reference, rng=seed, kl_coef=beta), truth,
                            example.reference, target_kl=1.0, kl_horizon=4000)
    records = list(islice(trainer, 100))
    assert abs(records[0].kl_coef - beta) < 0.03 * beta  # it starts there
    price, divergence = np.mean([
        (record.kl_coef, string_kl(example.world, record.logits, example.reference)[0])
        for record in records[60:]], axis=0)
    assert price == pytest.approx(rest, rel=0.04) and divergence == pytest.approx(1, rel=0.04)


# Iterated.


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_asking_about_the_new_policys_strings_beats_as_many_pairs_of_the_reference(seed):
    """Iterated RLHF with exact optima: 2000 pairs a round, all pairs so far in each fit."""
    example, rng = running_example(), np.random.default_rng(seed)
    truth = example.world.mean_reward

    def ask(logits, pairs):
        return sample_pairs(logits, truth, pairs, rng=rng)

    def best(pairs):
        w = fit_reward_model(np.zeros((27, 27)), pairs, pull=2.0).x
        learned = regularised_optimum(language(w), example.reference, beta=BETA)
        return tilt(example.reference, learned.action_values, beta=BETA)

    asked = ask(example.reference, 2000)
    logits = best(asked)
    shares = [share(logits)]
    for _ in range(2):
        asked = asked + ask(logits, 2000)
        logits = best(asked)
        shares.append(share(logits))
    once = share(best(ask(example.reference, 6000)))
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > once > shares[0]
