"""What learning from play refuses."""

import numpy as np
from refusals import positive, row

from minirl.kernel import counts
from minirl.kernel.mdp import coin_game
from minirl.play.ppo import ppo_loss
from minirl.play.reinforce import reinforce
from minirl.play.surrogate import collapse
from minirl.play.training import start

COIN, FAIR = coin_game(), np.zeros((1, 2))
TOSS = collapse(counts.steps(np.zeros(1, int), np.zeros(1, int), np.array([0, 1]), (1, 2)),
                np.ones(1))


def one_nan(batch, logp):
    """The rewards of the world, but for the first, which is no number."""
    rewards = np.array(batch.rewards)
    rewards.flat[0] = np.nan
    return rewards


ROWS = {
    "training": [
        row(lambda: next(reinforce(COIN, start(FAIR, rng=0), rewards=one_nan)),
            "rewards must return finite numbers"),
    ],
    "ppo": [
        *positive("clip_range", lambda size: ppo_loss(FAIR, FAIR, TOSS, clip_range=size),
                  finite=False),
    ],
}
