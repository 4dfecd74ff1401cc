"""What learning from people refuses."""

import numpy as np
from refusals import row
from worlds import random_mdp

from minirl.kernel import counts
from minirl.kernel.playing import rollout
from minirl.people.calibration import accuracy, reward_error
from minirl.people.kl import kl_loss, string_kl
from minirl.people.rlhf import scored_rewards, step_rewards, string_rewards
from minirl.people.sft import fit_by_counting
from minirl.people.unified import grpo_coefficients

WORLD = random_mdp(np.random.default_rng(1), 4, 3, 2, 0.9)
ZEROS, FAIR = np.zeros((4, 3)), np.full((4, 3), 1 / 3)
ONE = counts.steps(np.zeros(1, int), np.zeros(1, int), np.array([0, 1]), (4, 3))
EPISODES = rollout(WORLD, FAIR, np.zeros(2, int), horizon=3, rng=0)


def one_is(value):
    """A table of zeros but for one entry."""
    table = ZEROS.copy()
    table[2, 1] = value
    return table


def no_score(batch):
    return np.zeros(2)


ROWS = {
    "sft": [
        row(lambda: fit_by_counting(np.ones((1, 2)), pseudo_count=[[np.inf, 1.0]]),
            "pseudo_count must be finite and not negative, got"),
        row(lambda: fit_by_counting(np.ones((1, 2)), pseudo_count=[[1.0, -1.0]]),
            "pseudo_count must be finite and not negative, got"),
    ],
    "kl": [
        *(row(call, "ref_logits must be finite")
          for value in (-np.inf, np.inf, np.nan) for call in (
            lambda value=value: string_kl(WORLD, ZEROS, one_is(value)),
            lambda value=value: kl_loss(ZEROS, one_is(value), np.ones(4)))),
    ],
    "calibration": [
        row(lambda: accuracy(np.zeros(0)), "margins must be at least one, got none"),
        *(row(lambda value=value: reward_error(WORLD, FAIR, one_is(value)),
              "weights must be finite") for value in (np.nan, np.inf)),
    ],
    "rlhf": [  # one row for all states would be broadcast
        *(row(lambda rewards=rewards: rewards(EPISODES, np.log(FAIR)),
              "ref_logits must have the shape of the policy, (4, 3), got (1, 3)")
          for rewards in (step_rewards(ZEROS[:1], ZEROS[:1], beta=1.0),
                          string_rewards(ZEROS[:1], ZEROS[:1], beta=1.0),
                          scored_rewards(no_score, ZEROS[:1], beta=1.0))),
        *(row(lambda maker=maker: maker(one_is(np.nan), ZEROS, beta=1.0), "weights must be finite")
          for maker in (step_rewards, string_rewards)),
    ],
    "unified": [
        *(row(lambda beta=beta: grpo_coefficients(ZEROS, ZEROS, ONE, np.ones(1), ref_logits=ZEROS,
                                                  beta=beta),
              f"beta must be finite and not negative, got {beta}")
          for beta in (-0.1, np.nan, np.inf)),
    ],
}
