"""Part 2, exact answers: what a policy is worth and which one is best, by linear solves.

In reading order, side roads in brackets:

    (solving)         linear equations with a certificate, and sweeps that know when to stop
    evaluation        what a policy is worth: values, advantages, visits
    (gains)           is an action really better, or is it rounding?
    planning          which policy is best, by five solvers; the exact policy gradient
    (average_reward)  the other objective: reward per step
    (return_law)      the law of an episode's return, level by level
    scorecard         how good a policy is, measured by the best one
"""

from minirl.exact import (solving, evaluation, gains, planning, average_reward,
                          return_law, scorecard)
