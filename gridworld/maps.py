"""The maps of the literature, with their rules.

*The frozen lake.*  A walker crosses a lake from S to G and must not fall into a hole.  Reaching the
goal pays 1, everything else 0.  On slippery ice a move goes where it was meant to with probability
1/3 only, and to one of its sides otherwise; then the best policy often walks into the edge of the
map, so as to slip along it.  It is the FrozenLake of Gymnasium.

*The cliff.*  Every step costs 1.  The shortest way runs along a cliff; a step over the edge costs
100 and leads back to the start, but does not end the episode.  It is example 6.6 of Sutton and
Barto, and the CliffWalking of Gymnasium.

*Teleports.*  In examples 3.5 and 3.8 of Sutton and Barto nothing ever ends.  Every move from A pays
10 and leads to a, every move from B pays 5 and leads to b, and a move off the map costs 1.

*Corners.*  In their example 4.1 every step costs 1 until one of two corners is reached.

*The windy grid.*  In their example 6.5 every step costs 1, and in the middle the wind blows
upwards.  The shortest way takes 15 steps.

*Four rooms*, joined by doorways, are a test of learning over a long way without reward.  A move
succeeds with probability 2/3, and goes in any other direction otherwise.  The map is that of
Sutton, Precup and Singh; the goal is the doorway on the right.

*The random walk* of their example 6.2 is a corridor of five cells, read from left to right: a hole
on the left pays 0, a goal on the right pays 1, and the walker starts in the middle.

Read first: `world`.  Read next: `classics`, `draw`.
Source: the map files of Gymnasium; Sutton and Barto, 2nd edition; Sutton, Precup and Singh 1999,
"Between MDPs and semi-MDPs", figure 2.
"""

from gridworld.world import OTHERS, GridWorld, parse

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

TELEPORTS = """
SASBS
SSSSS
SSSbS
SSSSS
SaSSS
"""

CORNERS = """
GSSS
SSSS
SSSS
SSSG
"""

WINDY = """
FFFFFFFFFF
FFFFFFFFFF
FFFFFFFFFF
SFFFFFFGFF
FFFFFFFFFF
FFFFFFFFFF
FFFFFFFFFF
"""

FOUR_ROOMS = """
#############
#SFFFF#FFFFF#
#FFFFF#FFFFF#
#FFFFFFFFFFF#
#FFFFF#FFFFF#
#FFFFF#FFFFF#
##F####FFFFF#
#FFFFF###G###
#FFFFF#FFFFF#
#FFFFF#FFFFF#
#FFFFFFFFFFF#
#FFFFF#FFFFF#
#############
"""


def frozen_lake(text=LAKE_4X4, *, slippery=True, success_rate=1 / 3, reward_schedule=(1, 0, 0)):
    """The frozen lake on a map; its actions are left, down, right, up.

    Parameters
    ----------
    text : str
        `LAKE_4X4`, `LAKE_8X8`, or a map of your own.
    slippery : bool
        Without it every move succeeds.
    success_rate : float in [0, 1]
        Of a move on slippery ice.
    reward_schedule : (goal, hole, ice)
        Paid on entering each kind of cell.

    Examples
    --------
    >>> frozen_lake().shape, frozen_lake(LAKE_8X8).shape
    ((4, 4), (8, 8))
    """
    if len(reward_schedule) != 3:
        raise ValueError(f"reward_schedule must be (goal, hole, ice), got {reward_schedule}")
    goal, hole, ice = map(float, reward_schedule)
    return GridWorld(parse(text), moves="LDRU", success_rate=success_rate if slippery else 1.0,
                     rewards={"G": goal, "H": hole, "F": ice, "S": ice})


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


def teleports():
    """The 5x5 grid with two teleports; its episodes never end, so gamma must be below 1.

    Examples
    --------
    >>> world = teleports().mdp(gamma=0.9)
    >>> world.next_state[1].ravel().tolist(), world.reward[1].ravel().tolist()
    ([21, 21, 21, 21], [10.0, 10.0, 10.0, 10.0])
    """
    return GridWorld(parse(TELEPORTS), rewards={}, leaving={"A": 10.0, "B": 5.0}, bump_reward=-1.0)


def corners():
    """The 4x4 grid with goals in two corners; an episode starts anywhere else.

    Examples
    --------
    >>> corners().mdp(gamma=1.0).reward[1].ravel().tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """
    return GridWorld(parse(CORNERS), rewards={}, step_reward=-1.0)


def windy_grid():
    """The 7x10 windy grid.

    Examples
    --------
    From the cell on the right of the goal, left lands above the goal:

    >>> world = windy_grid().mdp(gamma=1.0)
    >>> world.next_state[38, 0].item(), 2 * 10 + 7
    (27, 27)
    """
    return GridWorld(parse(WINDY), rewards={}, step_reward=-1.0,
                     wind=(0, 0, 0, 1, 1, 1, 2, 2, 1, 0))


def four_rooms(*, success_rate=2 / 3):
    """The 13x13 map of four rooms; the goal pays 1.

    Examples
    --------
    >>> world = four_rooms().mdp(gamma=0.99)
    >>> world.prob[20, 0].round(4).tolist()
    [0.1111, 0.6667, 0.1111, 0.1111]
    """
    return GridWorld(parse(FOUR_ROOMS), success_rate=success_rate, slip=OTHERS)


def random_walk():
    """The corridor of five cells between 0 and 1.

    Left and right with equal chances make it the random walk; up and down stay put.

    Examples
    --------
    >>> random_walk().mdp(gamma=1.0).next_state[3].ravel().tolist()
    [2, 3, 4, 3]
    """
    return GridWorld(parse("HFFSFFG"))


# The names by which the command line and Gymnasium know these worlds; 4x4 and 8x8 are the lakes.
WORLDS = {"4x4": frozen_lake, "8x8": lambda: frozen_lake(LAKE_8X8), "cliff": cliff_walk,
          "windy": windy_grid, "four_rooms": four_rooms, "teleports": teleports,
          "corners": corners, "random_walk": random_walk}
