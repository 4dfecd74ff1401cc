"""Q-learning on Gymnasium's blackjack, without its law: `python tests/blackjack.py [EPISODES]`.

Prints the value at the start, Σ_s start(s) max_a Q(s, a), after so many episodes, and what it is
exactly.
"""

import sys

import gymnasium

from gridworld.classics import blackjack
from minirl.exact.planning import policy_iteration
from minirl.kernel.environment import Environment
from minirl.play.exploration import epsilon_greedy
from minirl.play.q_learning import learners, q_learning


def value_after(episodes, rng=0):
    """What a learner of so many episodes, or a few more, thinks that the game is worth."""
    env, start = Environment(gymnasium.make("Blackjack-v1")), blackjack().start
    trainer = q_learning(env, learners(env, rng=rng), decay=0.8, exploration=epsilon_greedy(0.1))
    record = next(record for record in trainer if record.episodes[0] >= episodes)
    return start @ record.Q[0].max(axis=1)


if __name__ == "__main__":
    episodes = int((sys.argv[1:] or ["500000"])[0])
    print(f"{value_after(episodes):.4f} after {episodes:,} episodes; exactly "
          f"{policy_iteration(blackjack()).objective:.4f}")
