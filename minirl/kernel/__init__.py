"""Part 1, the kernel: the table, how it is counted, and the world that it plays in.

In reading order, side roads in brackets:

    (checks)       what an argument must be
    softmax        the table π(a|s), and the one backward pass
    (layout)       sequences of different lengths, end to end or side by side
    counts         batches as tables and sparse matrices of counts
    (sampling)     drawing outcomes, and where randomness comes from
    mdp            the world: tabular Markov decision processes
    playing        many episodes at once: one step, for ever, or to the end
    (environment)  the seam: a world with a law or without one
    gradcheck      how do we know that a gradient is right?
"""

from minirl.kernel import (checks, softmax, layout, counts, sampling, mdp, playing,
                           environment, gradcheck)
