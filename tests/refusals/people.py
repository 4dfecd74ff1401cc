"""What imitation and alignment to a reward refuse."""

from dataclasses import replace
from functools import partial

import numpy as np
from refusals import not_negative, positive, row, whole
from worlds import island, random_mdp

from minirl.exact.evaluation import NoEnd
from minirl.exact.return_law import RewardLaw
from minirl.kernel import counts
from minirl.kernel.mdp import coin_game, unroll
from minirl.kernel.playing import rollout
from minirl.people import groups
from minirl.people.best_of_n import best_of_n, rejection_sampling, winners
from minirl.people.grpo import grpo, grpo_loss, resting_policy
from minirl.people.kl import k3_loss, kl_loss, string_kl
from minirl.people.ratios import (cispo, clip, dual_clip, gate_loss, gmpo_loss, sapo, string_loss,
                                  unclipped, vespo, weighted_strings)
from minirl.people.rlhf import (adaptive_rlhf, length_penalty, ptx_loss, rlhf, scored_rewards,
                                step_rewards, string_rewards)
from minirl.people.sft import equivalent_pseudo_count, fit_by_counting, fit_sft, sft_loss
from minirl.play.ppo import ppo
from minirl.play.training import start

WORLD = random_mdp(np.random.default_rng(1), 4, 3, 2, 0.9)
ZEROS, FAIR = np.zeros((4, 3)), np.full((4, 3), 1 / 3)
EPISODES = rollout(WORLD, FAIR, np.zeros(2, int), horizon=3, rng=0)
LAW = RewardLaw(np.arange(2.0), np.array([0.5, 0.5]), 0.0, np.zeros((0, 2)))
FOUR = counts.steps(np.zeros(4, int), np.arange(4), np.arange(5), (1, 4))
TWELVE = rollout(WORLD, FAIR, np.zeros(12, int), horizon=3, rng=0)
STEPS, EARNED = TWELVE.steps((4, 3)), TWELVE.rewards
EMPTY = counts.steps(np.zeros(0, int), np.zeros(0, int), np.zeros(3, int), (4, 3))
BATCH = groups.weighted(STEPS, np.ones(12), np.ones(12))
JUDGED = weighted_strings(STEPS, np.ones(12), np.ones(12))
FIRST, COIN = start(ZEROS, rng=0), coin_game()
LOST = replace(island(), start=np.array([0.0, 1.0, 0.0]))


def one_is(value):
    """A table of zeros but for one entry."""
    table = ZEROS.copy()
    table[2, 1] = value
    return table


def no_score(batch):
    return np.zeros(2)


def smoothed(smoothing):
    """The three ways to smooth labels, as functions without arguments."""
    one = np.ones((1, 2))
    return (lambda: sft_loss(one, one, label_smoothing=smoothing),
            lambda: fit_sft(one, one, label_smoothing=smoothing),
            lambda: equivalent_pseudo_count(one, label_smoothing=smoothing))


def priced(**options):
    """The three makers of rewards, and what trains on them: functions without arguments."""
    options = {"beta": 1.0, **options}
    return (lambda: step_rewards(ZEROS, ZEROS, **options),
            lambda: string_rewards(ZEROS, ZEROS, **options),
            lambda: scored_rewards(no_score, ZEROS, **options),
            lambda: next(rlhf(WORLD, FIRST, ZEROS, ZEROS, **options)))


def adaptive(*, reward_table=ZEROS, **options):
    return next(adaptive_rlhf(WORLD, FIRST, reward_table, ZEROS, **{"target_kl": 1.0, **options}))


def sampled(**options):
    return next(rejection_sampling(COIN, start(np.zeros((1, 2)), rng=0), **options))


def trained(**options):
    small = {"ref_logits": ZEROS, "episodes": 12, "num_generations": 4, "horizon": 3}
    return next(grpo(WORLD, FIRST, **{**small, **options}))


def rested(**options):
    return resting_policy(unroll(COIN, 2), np.zeros((2, 2)),
                          **{"beta": 1.0, "num_generations": 2, **options})


ROWS = {
    "sft": [
        *(row(call, f"label_smoothing must lie in [0, 1), got {smoothing}")
          for smoothing in (-0.1, 1.0, 1.5, np.nan) for call in smoothed(smoothing)),
        *(row(call, f"counts must be finite, not negative and not all zero, got values from {got}")
          for wrong, got in ((np.zeros((1, 2)), "0.0 to 0.0"), *(
              (np.array([[2.0, x]]), got) for x, got in (
                  (-1.0, "-1.0 to 2.0"), (np.nan, "nan to nan"), (np.inf, "2.0 to inf"))))
          for call in (lambda wrong=wrong: sft_loss(np.zeros((1, 2)), wrong),
                       lambda wrong=wrong: fit_by_counting(wrong, pseudo_count=0.1),
                       lambda wrong=wrong: equivalent_pseudo_count(wrong, label_smoothing=0.1))),
        row(lambda: fit_by_counting(np.ones(2), pseudo_count=0.1),
            "counts must be a table (S, A), got shape (2,)"),
        row(lambda: fit_sft(np.array([[0, np.nan]]), np.ones((1, 2))), "start must be finite or"),
        row(lambda: sft_loss(np.zeros((1, 2)), np.ones((2, 2))),
            "counts must have shape (1, 2), got (2, 2)"),
        *(row(lambda wrong=wrong: fit_by_counting(np.ones((1, 2)), pseudo_count=wrong),
              "pseudo_count must be finite and not negative, got")
          for wrong in (-1.0, np.inf, np.nan, [[np.inf, 1.0]], [[1.0, -1.0]])),
        *(row(lambda shape=shape: fit_by_counting(np.ones((2, 2)), pseudo_count=np.ones(shape)),
              f"pseudo_count must be a number or fit the shape of the counts, (2, 2), got shape "
              f"{shape}") for shape in ((3, 2), (2, 2, 2), (3,))),
    ],
    "best_of_n": [
        *whole("n", lambda n: best_of_n(LAW, n), 3),
        *whole("num_generations", lambda n: winners(FOUR, np.arange(4.0), n), 2),
        *(row(lambda shape=shape: winners(FOUR, np.zeros(shape), 2),
              f"rewards must have shape (4,), got {shape}") for shape in ((3,), (2, 2))),
        *(row(lambda n=n: winners(FOUR, np.zeros(4), n),
              f"num_generations must divide the number of strings, 4, got {n}") for n in (3, 8)),
        *(row(lambda wrong=wrong: winners(FOUR, np.array([0.0, wrong, 1.0, 2.0]), 2),
              "rewards must be finite") for wrong in (np.nan, np.inf)),
        row(lambda: sampled(num_generations=5, episodes=16),
            "num_generations must divide the number of episodes, 16, got 5"),
        *not_negative("pseudo_count", lambda alpha: sampled(pseudo_count=alpha)),
    ],
    "kl": [
        row(lambda: string_kl(WORLD, ZEROS, ZEROS[:, :1]),
            "ref_logits must have shape (4, 3), got (4, 1)"),
        row(lambda: string_kl(WORLD, ZEROS[:3], ZEROS[:3]),
            "logits must have shape (4, 3), got (3, 3)"),
        row(lambda: string_kl(WORLD, one_is(np.nan), ZEROS), "logits must be finite"),
        row(lambda: string_kl(LOST, np.zeros((3, 3)), np.zeros((3, 3))),
            "at gamma = 1.0 from state 1 this policy never ends", kind=NoEnd),
        row(lambda: kl_loss(ZEROS, ZEROS[:1], np.ones(4)),
            "ref_logits must have shape (4, 3), got (1, 3)"),
        row(lambda: kl_loss(ZEROS, ZEROS, np.ones((4, 1))),
            "visits must have shape (4,), got (4, 1)"),
        *(row(lambda wrong=wrong: kl_loss(ZEROS, ZEROS, np.array([1, wrong, 0, 0])),
              "visits must be finite and not negative") for wrong in (np.nan, np.inf, -1.0)),
        row(lambda: k3_loss(ZEROS, ZEROS[0], FAIR),
            "ref_logits must have shape (4, 3), got (3,)"),
        row(lambda: k3_loss(ZEROS, ZEROS, np.ones(4)), "weights must have shape (4, 3), got (4,)"),
        *(row(lambda wrong=wrong: k3_loss(ZEROS, ZEROS, one_is(wrong)),
              "weights must be finite and not negative") for wrong in (np.nan, np.inf, -1.0)),
        *(row(call, "ref_logits must be finite")
          for value in (np.inf, np.nan) for call in (
            lambda value=value: string_kl(WORLD, ZEROS, one_is(value)),
            lambda value=value: kl_loss(ZEROS, one_is(value), np.ones(4)))),
    ],
    "rlhf": [  # one row for all states would be broadcast
        *(row(lambda rewards=rewards: rewards(EPISODES, np.log(FAIR)),
              "ref_logits must have shape (4, 3), got (1, 3)")
          for rewards in (step_rewards(ZEROS[:1], ZEROS[:1], beta=1.0),
                          string_rewards(ZEROS[:1], ZEROS[:1], beta=1.0),
                          scored_rewards(no_score, ZEROS[:1], beta=1.0))),
        *(row(lambda maker=maker, wrong=wrong: maker(wrong, ZEROS, beta=1.0),
              f"reward_table must {words}")
          for maker in (step_rewards, string_rewards)
          for wrong, words in ((one_is(np.nan), "be finite"),
                               (ZEROS[:1], "have shape (4, 3), got (1, 3)"))),
        *(row(call, f"beta must be positive and finite, got {beta}")
          for beta in (0.0, -0.5, np.nan, np.inf) for call in priced(beta=beta)),
        *(row(call, f"missing_eos_penalty must be finite and not negative, got {penalty}")
          for penalty in (-1.0, np.nan, np.inf) for call in priced(missing_eos_penalty=penalty)),
        *(row(lambda scores=scores: scored_rewards(lambda batch: scores, ZEROS, beta=1.0)(
            TWELVE, np.log(FAIR)), f"what score returns must have shape (12,), got "
            f"{np.shape(scores)}")
          for scores in (np.zeros(11), np.zeros((12, 1)), 0.0)),
        *(row(lambda bad=bad: scored_rewards(lambda batch: [*range(11), bad], ZEROS, beta=1.0)(
            TWELVE, np.log(FAIR)), "what score returns must be finite, got ")
          for bad in (np.nan, np.inf)),
        *(row(lambda soft=soft: length_penalty(5, soft),
              f"soft must be positive and at most longest, 5, got {soft}")
          for soft in (0, -1, 6, np.nan)),
        row(lambda: next(ppo(WORLD, FIRST, episodes=4, horizon=3, rewards=scored_rewards(
            lambda batch: np.ma.masked_all(4), ZEROS, beta=1.0))),
            "rewards must score at least one episode of a batch, got all masked"),
        row(lambda: step_rewards(ZEROS, one_is(-np.inf), beta=1.0)(
            rollout(WORLD, np.eye(3)[[1] * 4], np.full(4, 2), horizon=1, rng=0), np.log(FAIR)),
            "ref_logits must not be −∞ where the policy goes, got that in state 2 for action 1"),
        *not_negative("ptx_coef", lambda x: ptx_loss(ZEROS, ZEROS, None, ZEROS, ptx_coef=x)),
        *positive("target_kl", lambda target: adaptive(target_kl=target)),
        *(row(lambda horizon=horizon: adaptive(kl_horizon=horizon),
              f"kl_horizon must be at least episodes, 512, got {horizon}")
          for horizon in (511, 0.5)),
        *positive("kl_horizon", lambda horizon: adaptive(kl_horizon=horizon)),
        row(lambda: adaptive(reward_table=ZEROS[:1]),
            "reward_table must have shape (4, 3), got (1, 3)"),
        *not_negative("missing_eos_penalty", lambda fine: adaptive(missing_eos_penalty=fine)),
        *whole("episodes", lambda n: adaptive(episodes=n)[2:], 3),
        row(lambda: adaptive(n_epochs=0), "n_epochs must be at least 1, got 0"),
        row(lambda: adaptive(gae_lambda=2.0), "lambda must lie in [0, 1], got 2.0"),
    ],
    "groups": [
        *(wrong for judge in (groups.group_normalised, groups.group_centred,
                              groups.group_leave_one_out, groups.process_normalised)
          for wrong in (
              *whole("num_generations", lambda G, judge=judge: judge(EARNED, TWELVE, G), 4,
                     least=2),
              *(row(lambda G=G, judge=judge: judge(EARNED, TWELVE, G),
                    f"num_generations must divide the number of strings, 12, got {G}")
                for G in (5, 24)))),
        *whole("num_generations", lambda G: groups.equal_groups(EARNED, TWELVE, G), 4, least=2),
        *(row(lambda sizes=sizes: groups.group_centred(EARNED, TWELVE, np.array(sizes)),
              "num_generations must be ", "got [")
          for sizes in ([5, 5], [12, 0], [-1, 13], [6.5, 5.5])),
        *positive("length", groups.per_length),
        *(row(lambda judge=judge, wrong=wrong: judge(wrong, None, 2), "rewards must ")
          for judge in (groups.group_normalised, groups.group_centred, groups.equal_groups,
                        groups.group_leave_one_out)
          for wrong in ([1.0, np.nan], [np.inf, 1.0], [], np.ones((1, 2)))),
        *(row(lambda wrong=wrong: groups.process_normalised(wrong, TWELVE, 4), "rewards must ")
          for wrong in (EARNED[1:], EARNED * np.nan)),
        *(row(lambda weights=weights: groups.weighted(STEPS, np.ones(12), weights),
              "weights must be 12 positive numbers, got ")
          for weights in (np.ones(11), np.ones((12, 1)), *(
              np.append(np.ones(11), wrong) for wrong in (0.0, -1.0, np.nan, np.inf)))),
        *(row(lambda size=size: groups.weighted(STEPS, np.ones(size), np.ones(12)),
              f"advantages must have shape ({STEPS.index.size},)")
          for size in (1, STEPS.index.size - 1)),
        *(row(lambda wrong=wrong: groups.weighted(STEPS, np.append(np.ones(11), wrong),
                                                  np.ones(12)), "advantages must be finite")
          for wrong in (np.nan, np.inf, -np.inf)),
        row(lambda: groups.weighted(EMPTY, np.ones(2), np.ones(2)),
            "advantages must have shape (0,), got (2,)"),
    ],
    "ratios": [
        *positive("epsilon", lambda width: clip(1.0, 1, epsilon=width), finite=False),
        *positive("epsilon_high", lambda width: clip(
            1.0, 1, epsilon_high="None" if width is None else width), finite=False),
        *(row(lambda delta=delta: dual_clip(1.0, 1, delta=delta),
              f"delta must be above 1, got {delta}") for delta in (1.0, -3.0, np.nan)),
        *not_negative("low", lambda low: cispo(1.0, 1, low=low)),
        *(row(lambda ends=ends: cispo(1.0, 1, low=ends[0], high=ends[1]),
              f"low and high must lie on both sides of 1, got {ends[0]} and {ends[1]}")
          for ends in ((1.2, 5.0), (0.0, 0.2), (0.0, np.nan))),
        *positive("temperature_pos", lambda tau: sapo(1.0, 1, temperature_pos=tau)),
        *positive("temperature_neg", lambda tau: sapo(1.0, 1, temperature_neg=tau)),
        *(check for name in ("k_pos", "lambda_pos", "k_neg", "lambda_neg")
          for check in positive(name, lambda x, name=name: vespo(1.0, 1, **{name: x}))),
        *positive("epsilon", lambda width: gmpo_loss(ZEROS, ZEROS, JUDGED, epsilon=width)),
        *(row(lambda loss=loss: loss(ZEROS, ZEROS[:2]),
              "old_logits must have shape (4, 3), got (2, 3)")
          for loss in (partial(gate_loss, batch=BATCH, gate=unclipped),
                       partial(string_loss, batch=JUDGED, gate=unclipped),
                       partial(gmpo_loss, batch=JUDGED))),
        row(lambda: gate_loss(ZEROS, ZEROS, BATCH._replace(gains=ZEROS[:2]), unclipped),
            "the gains of the batch must have shape (4, 3), got (2, 3)"),
        *(row(lambda loss=loss: loss(ZEROS[:2], ZEROS[:2], JUDGED),
              "the matrix of the batch must have 6 columns, got 12")
          for loss in (partial(string_loss, gate=unclipped), gmpo_loss)),
        row(lambda: weighted_strings(EMPTY._replace(starts=np.zeros(1, int)), [], []),
            "the number of strings must be positive and finite, got 0"),
        row(lambda: weighted_strings(STEPS, np.ones(STEPS.index.size), np.ones(12)),
            f"advantages must have shape (12,), got ({STEPS.index.size},)"),
        row(lambda: weighted_strings(STEPS, np.ones(12), -np.ones(12)), "weights must", "-1"),
        *(row(lambda rows=rows: weighted_strings(EMPTY, np.ones(2), np.ones(2), rows=rows),
              "steps must have a step in every", "got none in", "0")
          for rows in (counts.matrix, counts.mean_matrix)),
    ],
    "grpo": [
        *not_negative("beta", lambda beta: grpo_loss(ZEROS, ZEROS, BATCH, ref_logits=ZEROS,
                                                     beta=beta)),
        *positive("epsilon", lambda width: grpo_loss(ZEROS, ZEROS, BATCH, ref_logits=ZEROS,
                                                     beta=0.0, epsilon=width)),
        row(lambda: grpo_loss(ZEROS, ZEROS[:2], BATCH, ref_logits=ZEROS, beta=0.0),
            "old_logits must have shape (4, 3), got (2, 3)"),
        row(lambda: grpo_loss(ZEROS, ZEROS, BATCH, ref_logits=ZEROS[:2], beta=0.0),
            "ref_logits must have shape (4, 3), got (2, 3)"),
        *positive("tol", lambda tol: resting_policy(coin_game(), np.zeros((1, 2)), beta=1.0,
                                                    num_generations=2, tol=tol)),
        *whole("num_iterations", lambda number: trained(num_iterations=number), 2),
        row(lambda: trained(num_generations=1), "num_generations must be at least 2, got 1"),
        row(lambda: trained(num_generations=5),
            "num_generations must divide the number of episodes, 12, got 5"),
        *not_negative("beta", lambda beta: trained(beta=beta)),
        *positive("epsilon", lambda width: trained(epsilon=width)),
        row(lambda: trained(ref_logits=ZEROS.T), "ref_logits must have shape (4, 3), got (3, 4)"),
        row(lambda: trained(weights=lambda batch: np.ones(7)),
            "weights must be 12 positive numbers"),
        *(row(lambda size=size: trained(advantage=lambda *_: np.full(size(*_), np.nan)),
              "advantages must be finite")
          for size in (lambda rewards, *_: rewards.shape,
                       lambda rewards, batch, sizes: batch.truncated.shape)),
        row(lambda: trained(learning_rate=-1.0), "learning_rate must be ", "got -1.0"),
        row(lambda: trained(max_grad_norm=0.0), "max_grad_norm must be positive, got 0.0"),
        row(lambda: trained(episodes=0), "episodes must be at least 1, got 0"),
        row(lambda: trained(horizon=0), "horizon must be at least 1, got 0"),
        *positive("beta", lambda beta: rested(beta=beta)),
        *whole("num_generations", lambda G: rested(num_generations=G), 2, least=2),
        *whole("max_rounds", lambda number: rested(max_rounds=number), 50),
        row(lambda: rested(max_rounds=1), "still moves after max_rounds = 1 rounds"),
    ],
}
