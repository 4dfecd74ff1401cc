"""The maps of the literature, with their rules.

*The frozen lake.*  A walker crosses a lake from S to G and must not fall into a hole.  Reaching the
goal pays 1, everything else 0.  On slippery ice a move goes where it was meant to with probability
1/3 only, and to one of its sides otherwise; then the best policy often walks into the edge of the
map, so as to slip along it.  It is the FrozenLake of Gymnasium.

*The cliff.*  Every step costs 1.  The shortest way runs along a cliff; a step over the edge costs
100 and leads back to the start, but does not end the episode.  It is example 6.6 of Sutton and
Barto, and the CliffWalking of Gymnasium.

Read first: `world`.  Read next: `draw`.
Source: the map files of Gymnasium; Sutton and Barto, 2nd edition, example 6.6.
"""

from gridworld.world import GridWorld, parse

LAKE_4X4 = """
SFFF
FHFH
FFFH
HFFG
"""

LAKE_8X8 = """
SFFFFFFF
FFFFFFFF
FFFHFFFF
FFFFFHFF
FFFHFFFF
FHHFFFHF
FHFFHFHF
FFFHFFFG
"""

CLIFF = """
FFFFFFFFFFFF
FFFFFFFFFFFF
FFFFFFFFFFFF
SCCCCCCCCCCG
"""


def frozen_lake(text=LAKE_4X4, *, slippery=True):
    """The frozen lake on a map; its actions are left, down, right, up.

    Examples
    --------
    >>> frozen_lake().shape, frozen_lake(LAKE_8X8).shape
    ((4, 4), (8, 8))
    """
    return GridWorld(parse(text), moves="LDRU", success_rate=1 / 3 if slippery else 1.0)


def cliff_walk():
    """The 4x12 cliff; its actions are up, right, down, left.

    Examples
    --------
    From the start, up is safe and right falls:

    >>> world = cliff_walk().mdp(gamma=1.0)
    >>> world.reward[36, :2].ravel().tolist(), world.next_state[36, :2].ravel().tolist()
    ([-1.0, -100.0], [24, 36])
    """
    return GridWorld(parse(CLIFF), moves="URDL",
                     rewards={"S": -1.0, "F": -1.0, "G": -1.0, "C": -100.0})
