"""Drawing: from probabilities to outcomes, for many rows at once, and reproducibly.

Everything that plays must draw: a first state, an action, where the ice leads.  An outcome is drawn
by inverting the cumulative distribution: with u uniform on [0, 1),

    draw the number of cumulative probabilities that are ≤ u.                           (sampling.1)

The running sums are called *thresholds* here.  They are computed once for all rows of a table, and
then a draw is a comparison.

*Randomness is an argument.*  Nothing in this book touches NumPy's global generator.  An argument
`rng` is a `Generator`, which advances, or a seed, which always gives the same numbers.  A record of
training holds the state of its generator, so that training can go on from it bit for bit.

Where R independent runs are trained side by side, each has a generator of its own.  Then a run is
the same whether it is trained alone or among a thousand others, which is what makes one seed of a
figure reproducible: `generators`.

Read next: `mdp`.
Source: Devroye 1986, "Non-uniform random variate generation", chapter III.2.
"""

import numpy as np


def generator(rng):
    """A NumPy `Generator` from a Generator, a seed, or a saved `bit_generator.state`.

    A Generator is returned as it is and will advance; a saved state is copied, so that work
    continued from it draws the same numbers again.

    Examples
    --------
    >>> first = generator(7)
    >>> saved = first.bit_generator.state
    >>> first.random() == generator(saved).random()
    True
    """
    if isinstance(rng, dict):
        bits = getattr(np.random, rng["bit_generator"])()
        bits.state = rng
        return np.random.Generator(bits)
    return np.random.default_rng(rng)


def generators(rng):
    """One Generator a run, as a tuple.

    Parameters
    ----------
    rng : what `generator` accepts, or a list, tuple, range or array of such
        A sequence has one entry a run.  Anything else means a single run.

    Raises
    ------
    ValueError
        If the sequence is empty, or holds one Generator twice: runs that share it would not be
        independent of each other.

    Examples
    --------
    >>> len(generators(7)), len(generators(range(20)))
    (1, 20)
    """
    several = isinstance(rng, (list, tuple, range)) or np.ndim(rng) == 1
    runs = list(rng) if several else [rng]
    if not runs:
        raise ValueError(f"rng must name at least one run, got {rng!r}")
    made = tuple(generator(run) for run in runs)
    if len({id(bits) for bits in made}) < len(made):
        raise ValueError("rng must hold a Generator of its own for each run, got one twice")
    return made


def uniform(rng, count, which):
    """`count` numbers in [0, 1) for each of the runs `which`: (count, n) float.

    Parameters
    ----------
    rng : Generator, or tuple of Generators
        One for all, or one a run.
    count : int
    which : (n,) int
        Numbers of the runs.  With one Generator for all only their number matters.

    Examples
    --------
    A run draws the same, whoever is beside it:

    >>> pair = uniform(generators([3, 4]), 2, np.array([0, 1]))
    >>> alone = uniform(generators(4), 2, np.array([0]))
    >>> print((alone == pair[:, 1:]).all())
    True
    """
    if isinstance(rng, tuple):
        return np.stack([rng[run].random(count) for run in which], axis=1)
    return rng.random((count, len(which)))


def thresholds(prob):
    """The running sums that (sampling.1) compares with, all but the last: (n − 1, …).

    Parameters
    ----------
    prob : (…, n) float
        Distributions along the last axis.  They are divided by their total, so that a last outcome
        of probability zero can never be drawn.

    Returns
    -------
    (n − 1, …) float
        Outcomes first, so that a comparison runs along the many draws and not along the few
        outcomes.

    Examples
    --------
    >>> print(thresholds(np.array([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]])))
    [[0.25 0.  ]
     [0.5  1.  ]]
    """
    running = np.moveaxis(prob, -1, 0).cumsum(axis=0)
    return running[:-1] / running[-1]


def draw(columns, numbers):
    """One outcome for each column of thresholds (n − 1, N), by (sampling.1).

    Parameters
    ----------
    columns : (n − 1, N) float
    numbers : (N,) float
        Uniform on [0, 1).

    Returns
    -------
    (N,) int

    Examples
    --------
    >>> print(draw(np.array([[0.25, 0.0], [0.5, 1.0]]), np.array([0.3, 0.0])))
    [1 1]
    """
    return (columns <= numbers).sum(axis=0)
