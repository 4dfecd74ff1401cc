"""A learning curve, with the optimum."""

from itertools import islice

from gridworld.figures import training_curve
from gridworld.maps import frozen_lake
from minirl.play.ppo import ppo
from minirl.play.training import start

lake = frozen_lake().mdp(gamma=0.99)
trainer = ppo(lake, start(lake, rng=0), iterations=50)
training_curve(lake, islice(trainer, 50)).savefig("curve.png")
