"""PPO on a map of your own."""

from gridworld.world import GridWorld, read_map
from minirl.play.ppo import ppo
from minirl.play.training import after, start

mdp = GridWorld(read_map("map.txt")).mdp(gamma=0.99)
record = after(ppo(mdp, start(mdp, rng=0), iterations=50), 50)
print(record.policy.round(2))
