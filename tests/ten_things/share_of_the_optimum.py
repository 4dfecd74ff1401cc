"""How much of the optimum has a policy reached?"""

from gridworld.maps import frozen_lake
from minirl.exact.scorecard import referee
from minirl.play.ppo import ppo
from minirl.play.training import after, start

lake = frozen_lake().mdp(gamma=0.99)
policy = after(ppo(lake, start(lake, rng=0), iterations=100), 100).policy
print(referee(lake)(policy).share)
