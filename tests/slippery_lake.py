"""A hundred runs of Q-learning on the slippery lake, 100,000 steps each: `slippery_lake.py FILE`.

It takes seconds, so `conftest.py` runs it beside the tests.  The file is JSON: the number of steps,
and ‖Q − Q*‖∞ of every run.  Play is uniform, from a random cell.
"""

from dataclasses import replace
import json
import sys

import numpy as np

from gridworld.maps import frozen_lake
from minirl.play.exploration import epsilon_greedy
from minirl.exact.planning import policy_iteration
from minirl.play.q_learning import learners, q_learning

if __name__ == "__main__":
    grid = frozen_lake()
    ice = np.isin(grid.symbols, ["S", "F"])
    lake = replace(grid.mdp(gamma=0.95), start=ice / ice.sum())
    trainer = q_learning(lake, learners(lake, rng=range(100)), learning_rate=1.0, decay=0.7,
                         exploration=epsilon_greedy(1.0), steps_per_iteration=1000,
                         truth=policy_iteration(lake).action_values)
    record = next(record for record in trainer if record.steps >= 100_000)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"steps": record.steps, "errors": record.metrics["error/max"].tolist()}, file)
