"""Every public loss of the book, and the exact policy gradient, against two numerical gradients.

`python -m pytest -m gradient` runs these alone and prints the errors.  A loss is a public function
of a chapter whose name ends in `_loss`; one that has no case here fails the first test.
"""

from functools import partial
import importlib
import inspect

import numpy as np
import pytest
from worlds import endless, random_mdp

import minirl
from minirl.kernel import counts, softmax
from minirl.kernel.gradcheck import check
from minirl.exact import average_reward, planning
from minirl.beyond import contrastive, inference, scaling
from minirl.play import ppo, ppo_kl, reinforce, surrogate
from minirl.people import (distillation, dpo, fitting, grpo, ipo, kl, kto, margins, orpo, ratios,
                           reward_model, rlhf, sft, simpo)
from minirl.people.groups import weighted
from test_house import CHAPTERS

RNG = np.random.default_rng(3)
S, A = 4, 3


def table(scale=1.0):
    return scale * RNG.normal(size=(S, A))


def some_steps(sequences, longest):
    lengths = RNG.integers(1, longest + 1, sequences)
    starts = np.append(0, np.cumsum(lengths))
    return counts.steps(RNG.integers(S, size=starts[-1]), RNG.integers(A, size=starts[-1]), starts,
                        (S, A))


def some_pairs(pairs):
    return counts.difference_matrix(some_steps(pairs, 6), some_steps(pairs, 4))


def some_advantages():
    """A batch with repeated pairs and both signs."""
    steps = some_steps(12, 3)
    return surrogate.collapse(steps, RNG.normal(size=steps.index.size), counted=True)


def ppo_case(clip_range):
    """Old logits far from the new ones: gains and losses meet every branch of the clipping."""
    logits, old, batch = table(), table(), some_advantages()
    assert_every_branch(logits, old, batch, clip_range)
    return lambda x: ppo.ppo_loss(x, old, batch, clip_range=clip_range), logits


def assert_every_branch(logits, old, batch, clip_range):
    ratio = np.exp(softmax.log_softmax(logits) - softmax.log_softmax(old))
    for advantages in (batch.gains > 0, batch.losses < 0):
        assert (ratio < 1 - clip_range)[advantages].any()
        assert (ratio > 1 + clip_range)[advantages].any()


def ptx_case(ptx_coef):
    """The same, and demonstrations."""
    logits, old, batch, seen = table(), table(), some_advantages(), counts.table(some_steps(5, 3))
    assert_every_branch(logits, old, batch, 0.2)
    return lambda x: rlhf.ptx_loss(x, old, batch, seen, ptx_coef=ptx_coef), logits


def grpo_case(beta, epsilon):
    """Three tables far from one another, and strings of unequal weights."""
    logits, old, ref, steps = table(), table(), table(), some_steps(40, 3)
    batch = weighted(steps, RNG.normal(size=steps.index.size), RNG.random(40) + 0.1)
    assert_every_branch(logits, old, batch, epsilon)
    return lambda x: grpo.grpo_loss(x, old, batch, ref_logits=ref, beta=beta,
                                    epsilon=epsilon), logits


def some_strings(strings, longest):
    return counts.matrix(some_steps(strings, longest))


def some_means():
    """M⁺ and M⁻ of seven pairs of unequal lengths."""
    return counts.mean_matrix(some_steps(7, 6)), counts.mean_matrix(some_steps(7, 4))


def case(loss, *arguments, at=1.0, **hyperparameters):
    return lambda x: loss(x, *arguments, **hyperparameters), table(at)


CASES = {
    "softmax.entropy_loss": [case(softmax.entropy_loss, RNG.random(S)),
                             case(softmax.entropy_loss, RNG.random(S), at=5.0)],
    "planning.policy_gradient": [
        (lambda x, mdp=random_mdp(np.random.default_rng(1), S, A, 3, 0.9):
         planning.policy_gradient(mdp, x), table()),
        (lambda x, mdp=random_mdp(np.random.default_rng(2), S, A, 2, 1.0):
         planning.policy_gradient(mdp, x), table(2.0))],
    "average_reward.average_reward_gradient": [
        (lambda x, mdp=random_mdp(np.random.default_rng(3), S, A, 2, 0.9):
         average_reward.average_reward_gradient(mdp, x), table()),
        (lambda x, mdp=random_mdp(np.random.default_rng(5), S, A, 1, 1.0):
         average_reward.average_reward_gradient(mdp, x), table()),
        (lambda x, mdp=endless(random_mdp(np.random.default_rng(4), S, A, 3, 0.9)):
         average_reward.average_reward_gradient(mdp, x), table(2.0))],
    "sft.sft_loss": [case(sft.sft_loss, RNG.random((S, A))),
                     case(sft.sft_loss, counts.table(some_steps(3, 3)), at=5.0),
                     case(sft.sft_loss, RNG.random((S, A)), label_smoothing=0.3),
                     case(sft.sft_loss, counts.table(some_steps(3, 3)), label_smoothing=0.9,
                          at=5.0)],
    "reinforce.reinforce_loss": [case(reinforce.reinforce_loss, table(), episodes=3)],
    "ppo.ppo_loss": [ppo_case(0.2), ppo_case(0.05), ppo_case(0.4)],
    "ppo_kl.ppo_kl_loss": [
        case(ppo_kl.ppo_kl_loss, table(), some_advantages(), kl_coef=0.0),
        case(ppo_kl.ppo_kl_loss, table(), some_advantages(), kl_coef=0.7),
        case(ppo_kl.ppo_kl_loss, table(), some_advantages(), kl_coef=3.0, at=3.0)],
    "reward_model.bradley_terry_loss": [
        case(reward_model.bradley_terry_loss, some_pairs(7)),
        case(reward_model.bradley_terry_loss, some_pairs(7), at=9.0),
        case(reward_model.bradley_terry_loss, some_pairs(7), margin=RNG.normal(size=7)),
        case(reward_model.bradley_terry_loss, some_pairs(7), margin=0.5, label_smoothing=0.3),
        case(reward_model.bradley_terry_loss, some_pairs(7), margin=RNG.normal(size=7),
             label_smoothing=0.1, pair_weights=RNG.random(7), at=9.0)],
    "fitting.attracted": [case(fitting.attracted(lambda x: (0.0, 0.0), table(), 0.3))],
    "kl.string_kl": [
        (lambda x, ref=table(), mdp=random_mdp(np.random.default_rng(6), S, A, 3, 0.9):
         kl.string_kl(mdp, x, ref), table()),
        (lambda x, ref=table(), mdp=random_mdp(np.random.default_rng(7), S, A, 1, 0.8):
         kl.string_kl(mdp, x, ref), table(3.0))],
    "kl.kl_loss": [case(kl.kl_loss, table(), RNG.random(S)),
                   case(kl.kl_loss, table(), np.array([2.0, 0.0, 1.0, 5.0]), at=4.0)],
    "kl.k3_loss": [case(kl.k3_loss, table(), RNG.random((S, A))),
                   case(kl.k3_loss, table(), counts.table(some_steps(3, 3)), at=4.0)],
    "dpo.dpo_loss": [
        case(dpo.dpo_loss, table(), some_pairs(7), beta=0.5),
        case(dpo.dpo_loss, table(), some_pairs(7), beta=3.0),
        case(dpo.dpo_loss, table(), some_pairs(7), beta=0.1, at=9.0),
        case(dpo.dpo_loss, table(), some_pairs(7), beta=0.5, label_smoothing=0.1),
        case(dpo.dpo_loss, table(), some_pairs(7), beta=0.3, label_smoothing=0.1, at=9.0),
        case(dpo.dpo_loss, table(), some_pairs(7), beta=2.0, pair_weights=RNG.random(7)),
        case(dpo.dpo_loss, table(), some_pairs(7), beta=0.1, label_smoothing=0.4,
             pair_weights=np.array([0, 1.0, 3, 0, 0.5, 1, 1]), at=5.0)],
    "ipo.ipo_loss": [
        case(ipo.ipo_loss, table(), some_pairs(7), beta=0.5),
        case(ipo.ipo_loss, table(), some_pairs(7), beta=0.05),
        case(ipo.ipo_loss, table(), some_pairs(7), beta=3.0, at=9.0),
        case(ipo.ipo_loss, table(), some_pairs(7), beta=0.2, pair_weights=RNG.random(7), at=5.0)],
    "kto.kto_loss": [
        case(kto.kto_loss, table(), some_strings(7, 5), some_strings(4, 5), beta=0.5, z0=0.0),
        case(kto.kto_loss, table(), some_strings(3, 5), some_strings(6, 5), beta=2.0, z0=1.3,
             desirable_weight=2.0, undesirable_weight=0.7),
        case(kto.kto_loss, table(), some_strings(5, 5), some_strings(2, 5), beta=0.1, z0=0.0,
             desirable_weight=RNG.random(5), undesirable_weight=RNG.random(2), at=9.0),
        case(kto.kto_loss, table(), some_strings(2, 5), some_strings(5, 5), beta=0.3, z0=2.5,
             desirable_weight=1.5, undesirable_weight=RNG.random(5), at=5.0)],
    "simpo.simpo_loss": [
        case(simpo.simpo_loss, *some_means(), beta=2.0, simpo_gamma=0.0),
        case(simpo.simpo_loss, *some_means(), beta=2.0, simpo_gamma=1.0),
        case(simpo.simpo_loss, *some_means(), beta=0.3, simpo_gamma=0.0, at=9.0),
        case(simpo.simpo_loss, *some_means(), beta=0.7, simpo_gamma=3.0, at=5.0,
             pair_weights=RNG.random(7))],
    "orpo.orpo_loss": [
        case(orpo.orpo_loss, *some_means(), beta=1.0),
        case(orpo.orpo_loss, *some_means(), beta=0.1, at=5.0),
        case(orpo.orpo_loss, *some_means(), beta=20.0, at=9.0),
        case(orpo.orpo_loss, *some_means(), beta=4.0, at=5.0, pair_weights=RNG.random(7))],
    "grpo.grpo_loss": [grpo_case(0.0, 0.2), grpo_case(0.3, 0.4), grpo_case(3.0, 0.2)],
    "rlhf.ptx_loss": [ptx_case(0.0), ptx_case(0.7), ptx_case(30.0)],
    "reward_model.plackett_luce_loss": [
        case(reward_model.plackett_luce_loss, counts.matrix(some_steps(8, 5)), 4),
        case(reward_model.plackett_luce_loss, counts.matrix(some_steps(6, 5)), 2, at=9.0)],
    "reward_model.logistic_loss": [
        case(reward_model.logistic_loss, counts.matrix(some_steps(7, 5)), RNG.random(7)),
        case(reward_model.logistic_loss, counts.matrix(some_steps(7, 5)),
             np.array([0, 1.0, 1, 0, 0, 1, 0]), at=9.0)],
    "reward_model.squared_loss": [
        case(reward_model.squared_loss, counts.matrix(some_steps(7, 5)), RNG.normal(size=7)),
        case(reward_model.squared_loss, counts.matrix(some_steps(7, 5)), RNG.normal(size=7),
             at=9.0)],
}


CASES["dpo.dpo_loss"].append(case(
    dpo.dpo_loss, table(), counts.two_matrices(some_steps(7, 6), some_steps(7, 4)), beta=0.5))


def margin_cases():
    """Every φ, of sums and of means; those with a kink at m = 1 on both of its sides."""
    phis = [partial(dpo.logistic, beta=0.5), partial(dpo.logistic, beta=0.5, label_smoothing=0.1),
            partial(ipo.squared, beta=0.5), partial(margins.hinge, beta=0.5),
            partial(margins.truncated_squared, beta=0.5), partial(margins.exponential, beta=0.5),
            partial(margins.robust, beta=0.5, label_smoothing=0.1),
            partial(margins.savage, beta=0.5),
            partial(margins.exo, beta=0.5, label_smoothing=0.1),
            partial(margins.discopop, beta=0.5, discopop_tau=0.5), partial(margins.nca, beta=0.5),
            partial(margins.bco, beta=0.5, delta=0.2), partial(margins.sppo, beta=0.5),
            partial(margins.apo_zero, beta=0.5), partial(margins.apo_down, beta=0.5)]
    phis += [margins.under(divergence, phi) for divergence in (
        margins.forward_kl, margins.jensen_shannon, partial(margins.alpha_divergence, alpha=0.5))
        for phi in (phis[0], phis[10])]
    two = some_steps(20, 5), some_steps(20, 4)
    for phi in phis:
        for rows in counts.two_matrices(*two), tuple(map(counts.mean_matrix, two)):
            x, ref = table(), table()
            h = softmax.log_softmax(x) - softmax.log_softmax(ref)
            short = 0.5 * (rows[0] @ h.ravel() - rows[1] @ h.ravel()) < 1
            assert short.any() and (not short.all() or not isinstance(rows, counts.Difference))
            yield partial(margins.margin_loss, ref_logits=ref, pairs=rows, phi=phi,
                          pair_weights=RNG.random(20)), x


def aot_cases(loss):
    """Weighted or not; the order of what is sorted has no ties."""
    pairs = counts.two_matrices(some_steps(12, 5), some_steps(12, 4))
    for weights in None, RNG.random(12):
        yield case(loss, table(), pairs, partial(dpo.logistic, beta=0.5), pair_weights=weights)
        yield case(loss, table(), pairs, partial(margins.exponential, beta=0.2),
                   pair_weights=weights)


CASES["margins.margin_loss"] = list(margin_cases())
CASES["margins.aot_loss"] = list(aot_cases(margins.aot_loss))
CASES["margins.aot_unpaired_loss"] = list(aot_cases(margins.aot_unpaired_loss))


def gate_case(gate, at=1.0):
    """Old logits far from the new ones, and both signs in every entry."""
    logits, old = table(at), table()
    batch = surrogate.Advantages(RNG.random((S, A)), -RNG.random((S, A)), 12.0)
    assert_every_branch(logits, old, batch, 0.35)
    return lambda x: ratios.gate_loss(x, old, batch, gate), logits


def string_batch(rows):
    """Forty strings, of both signs."""
    steps = some_steps(40, 4)
    return ratios.weighted_strings(steps, np.tile([1, -1], 20) * (RNG.random(40) + 0.1),
                                   RNG.random(40) + 0.1, rows=rows)


def string_case(gate, rows):
    """The same for the ratios of strings."""
    logits, old, batch = table(2.0), table(2.0), string_batch(rows)
    h = batch.matrix @ (softmax.log_softmax(logits) - softmax.log_softmax(old)).ravel()
    for sign in (1, -1):
        met = np.exp(h)[np.sign(batch.advantages) == sign]
        assert met.min() < 0.65 and met.max() > 1.35
    return lambda x: ratios.string_loss(x, old, batch, gate), logits


def gmpo_case(epsilon):
    logits, old, batch = table(), table(), string_batch(counts.mean_matrix)
    h = softmax.log_softmax(logits) - softmax.log_softmax(old)
    assert (h > epsilon).any() and (h < -epsilon).any()
    return lambda x: ratios.gmpo_loss(x, old, batch, epsilon=epsilon), logits


GATES = [ratios.unclipped, ratios.clip, partial(ratios.clip, epsilon=0.1, epsilon_high=0.28),
         partial(ratios.dual_clip, delta=1.3), partial(ratios.cispo, high=1.2),
         partial(ratios.cispo, low=0.9, high=1.1), ratios.sapo,
         partial(ratios.sapo, temperature_pos=0.3, temperature_neg=5.0), ratios.vespo,
         partial(ratios.vespo, k_pos=0.7, lambda_pos=0.4, k_neg=2.5, lambda_neg=6.0)]
CASES |= {
    "ratios.gate_loss": [gate_case(gate, at) for gate in GATES for at in (1.0, 2.0)],
    "ratios.string_loss": [string_case(gate, rows) for gate in GATES
                           for rows in (counts.matrix, counts.mean_matrix)],
    "ratios.gmpo_loss": [gmpo_case(0.4), gmpo_case(0.05)]}


def distillation_cases():
    """Six contexts share four rows; with numbers of their own, since others may come after."""
    rng, rows = np.random.default_rng(8), np.array([0, 1, 0, 2, 3, 1])
    for beta in 0, 0.1, 0.5, 0.9, 1:
        yield (partial(distillation.distillation_loss, teacher_logits=rng.normal(size=(6, A)),
                       visits=rng.random(6), beta=beta, rows=rows), rng.normal(size=(S, A)))


def string_distillation_cases():
    rng, rows = np.random.default_rng(9), np.array([0, 1, 0, 2, 3, 1])
    for gamma in 0.8, 0.9:
        yield (partial(distillation.string_distillation_loss, rows=rows,
                       mdp=random_mdp(rng, 6, A, 2, gamma),
                       teacher_logits=rng.normal(size=(6, A))), rng.normal(size=(S, A)))


CASES["distillation.distillation_loss"] = list(distillation_cases())
CASES["distillation.string_distillation_loss"] = list(string_distillation_cases())


def contrastive_cases(loss, options):
    """Counts with a column that is not in the batch, and a batch of the population."""
    rng = np.random.default_rng(10)
    for batch in rng.integers(0, 3, (S, A)) * [1, 0, 1], rng.random((S, A)):
        def of_batch(x, batch=batch):
            return loss(x, batch, **options)

        for scale in 1.0, 3.0:
            yield of_batch, scale * rng.normal(size=(S, A))


for _name, _loss, _options in (
        ("infonce_loss", contrastive.infonce_loss, [{}]),
        ("symmetric_infonce_loss", contrastive.symmetric_infonce_loss, [{}]),
        ("negative_sampling_loss", contrastive.negative_sampling_loss,
         [{"negatives": 1}, {"negatives": 5}]),
        ("mean_infonce_loss", contrastive.mean_infonce_loss,
         [{"batch_size": 2}, {"batch_size": 9}])):
    CASES[f"contrastive.{_name}"] = [
        pair for options in _options for pair in contrastive_cases(_loss, options)]


def right_answer_cases():
    """Prompts that share a table, at several prices."""
    rng = np.random.default_rng(10)
    for beta in 0.0, 0.1, 1.0:
        world, right = random_mdp(rng, S, A, 2, 1.0), np.arange(S)[::-1]
        yield (partial(inference.right_answer_loss, mdp=world, ref_logits=rng.normal(size=(S, A)),
                       right=right, beta=beta), rng.normal(size=(S, A)))


CASES["inference.right_answer_loss"] = list(right_answer_cases())


def law_cases():
    """Errors on both sides of 0, and of delta."""
    rng = np.random.default_rng(12)
    for k, delta in (1, 0.5), (2, 0.5), (2, 1e-3), (3, 50.0):
        yield (partial(scaling.law_loss, sizes=np.exp(rng.normal(size=(12, k))),
                       losses=np.exp(rng.normal(size=12)), delta=delta),
               rng.normal(size=1 + 2 * k))


CASES["scaling.law_loss"] = list(law_cases())


def public_losses():
    """`chapter.function` for every public function named …_loss, and the exact policy gradient."""
    found = {"planning.policy_gradient", "average_reward.average_reward_gradient",
             "fitting.attracted", "kl.string_kl"}  # gradients under another name
    for chapter in CHAPTERS:
        module = importlib.import_module(f"{minirl.__name__}.{chapter}")
        for name, value in inspect.getmembers(module, inspect.isfunction):
            public = name.endswith("_loss") and not name.startswith("_")
            if public and value.__module__ == module.__name__:
                found.add(f"{module.__name__.split('.')[-1]}.{name}")
    return found


@pytest.mark.gradient
def test_every_public_loss_has_a_gradient_check():
    assert public_losses() == set(CASES)


@pytest.mark.gradient
@pytest.mark.parametrize("name", CASES)
def test_gradient(name, report_gradient):
    """(softmax.3), (planning.5), (average_reward.4), (fitting.2), (sft.1), (sft.4), (reinforce.3),
    (ppo.3), (ppo_kl.2), (reward_model.2), (rlhf.6), (kl.2), (kl.3), (kl.5), (dpo.3), (dpo.4),
    (ipo.2), (kto.2), (simpo.2), (orpo.2), (margins.1), (grpo.1), (ratios.2),
    (ratios.4), (ratios.5), (distillation.3), (distillation.5), (contrastive.2), (contrastive.7),
    (contrastive.8), (contrastive.10),
    and (scaling.6); pitfalls 17 and 18"""
    for loss, x in CASES[name]:
        report_gradient(name, check(loss, x))


@pytest.mark.parametrize("name", CASES)
def test_a_loss_stays_finite_at_extreme_logits(name):
    """No overflow, and no warning, which would be an error here."""
    for loss, shape in dict.fromkeys((loss, x.shape) for loss, x in CASES[name]):
        extreme = 1e4 * np.sign(RNG.normal(size=shape))
        for logits in (extreme, -extreme):
            value, grad = loss(logits)
            assert np.isfinite(value) and np.isfinite(grad).all()


def test_a_loss_does_not_change_its_arguments():
    for name, cases in CASES.items():
        for loss, x in cases:
            x = x.copy()
            x.flags.writeable = False
            first, second = loss(x), loss(x)
            assert first[0] == second[0] and (first[1] == second[1]).all(), name
