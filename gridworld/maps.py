"""Which maps does everybody use, and what is there to see on them?

*Worlds to draw, after `mdp`.  Previous: `world`.  Next: `classics`.*

Here are the maps of the literature with their rules, a function for each.  Their best policies are
known, so that a learner can be judged by them.  Part 2 computes these policies.

**The frozen lake.**  A walker crosses from S to G and must not fall into a hole.  Reaching the goal
pays 1, and everything else 0.  On slippery ice a move goes where it was meant to with the chance
1/3, and to each of its sides with 1/3.

    S F F F      0  1  2  3      left from 4:   up to 0, stays in 4, down to 8
    F H F H      4  5  6  7      right from 4:  up to 0, to the hole 5, down to 8
    F F F H      8  9 10 11
    H F F G     12 13 14 15

Cell 4 lies beside the hole 5.  Left from there is a move into the edge of the map.  It is the only
one of the four moves that never slips into the hole.  These are the chances that a move from cell 4
ends the episode:

>>> lake = frozen_lake().mdp(gamma=1.0)
>>> print((lake.prob * lake.terminated).sum(axis=2)[4].round(4))  # left, down, right, up
[0.     0.3333 0.3333 0.3333]

So the best policy walks into the edge, and lets the ice carry it along.  Without a limit of time,
at γ = 1, the best policy reaches the goal of the 4x4 lake 14 times in 17, and that of the 8x8 lake
surely.  If the walk is cut after 100 steps, the best policy with a clock (`unroll` in `mdp`)
arrives on the 4x4 lake with the probability 0.7442.  Part 2 explains the function that finds both:

>>> from minirl.exact.planning import policy_iteration
>>> from minirl.kernel.mdp import unroll
>>> best, timed = policy_iteration(lake), policy_iteration(unroll(lake, 100))
>>> print(round(best.objective, 4), round(14 / 17, 4), round(timed.objective, 4))
0.8235 0.8235 0.7442

The lakes are those of FrozenLake in Gymnasium, a library of worlds.

**The cliff.**  Every step costs 1.  A step over the edge costs 100 and leads back to the start, but
does not end the episode.  The shortest way takes 13 steps along the edge.

    F F F F F F F F F F F F
    F F F F F F F F F F F F
    F F F F F F F F F F F F
    S C C C C C C C C C C G

**The windy grid.**  Every step costs 1, and in the middle the wind blows upwards.  The numbers
below the columns say how strongly.  Without wind 7 steps would do.  With it the shortest way takes
15.  It passes above the goal and comes back to it from the right.

    F F F F F F F F F F
    F F F F F F F F F F
    F F F F F F F F F F
    S F F F F F F G F F
    F F F F F F F F F F
    F F F F F F F F F F
    F F F F F F F F F F
    0 0 0 1 1 1 2 2 1 0

**Teleports.**  Nothing ever ends.  Every move from A pays 10 and leads to a, every move from B pays
5 and leads to b, and a move off the map costs 1.  B pays less, but b is nearer.

    S A S B S      From A the teleport leads down to a, and four moves lead back up.
    S S S S S      So whoever walks this circle earns 10 at the times 0, 5, 10, …
    S S S b S
    S S S S S          10 + γ⁵ 10 + γ¹⁰ 10 + … = 10/(1 − γ⁵)
    S a S S S

That is the best return from A.  At γ = 0.9 it is

>>> print(round(10 / (1 - 0.9**5), 4))
24.4194

**Corners.**  Every step costs 1 until one of two corners is reached, and an episode starts in any
other cell.  A walker that moves at random needs 14 steps on average if it starts beside a goal.
From the corners without a goal it needs 22.

    G S S S
    S S S S
    S S S S
    S S S G

**Four rooms**, joined by doorways, are a test of learning over a long way without a reward.  A move
succeeds with the probability 2/3, and goes in each of the other directions with 1/9.  The goal is
the doorway on the right, and pays 1.  Where no move slips it is 14 steps away.

    # # # # # # # # # # # # #
    # S F F F F # F F F F F #
    # F F F F F # F F F F F #
    # F F F F F F F F F F F #
    # F F F F F # F F F F F #
    # F F F F F # F F F F F #
    # # F # # # # F F F F F #
    # F F F F F # # # G # # #
    # F F F F F # F F F F F #
    # F F F F F # F F F F F #
    # F F F F F F F F F F F #
    # F F F F F # F F F F F #
    # # # # # # # # # # # # #

**The random walk** is a corridor, `H F F S F F G`.  The hole on the left pays 0, the goal on the
right pays 1, and a fair coin decides between left and right.  The chance to end on the right is 0
in the hole and 1 in the goal.  In each cell between them it is the mean of the chances of the two
neighbours.  So it rises evenly, by 1/6 per cell: 1/6, 2/6, 3/6, 4/6, 5/6.

**Exercises.**  `from gridworld.maps import *`
1. The goal of the slippery 4x4 lake lies right of cell 14.  How likely does each move from 14 reach
   it: left, down, right, up?
       frozen_lake().mdp(gamma=1.0).mean_reward[14].round(4)
2. In the windy grid the walker stands left of the goal, in cell 36, and moves right.  Where is it
   then, and is the episode over?
       windy = windy_grid().mdp(gamma=1.0)
       windy.next_state[36, 2].tolist(), windy.terminated[36, 2].tolist()
3. Cells 0 and 1 of the teleports lie in the top row, and 1 is A.  What does a move up pay there?
       teleports().mdp(gamma=0.9).reward[[0, 1], 3].ravel()

Read next: `classics`, worlds that have no map.
Source: the map files of Gymnasium; Sutton and Barto, 2nd edition, examples 3.5, 3.8, 4.1, 6.2, 6.5
and 6.6; Sutton, Precup and Singh 1999, "Between MDPs and semi-MDPs", figure 2.
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


def frozen_lake(text=LAKE_4X4, *, slippery=True, success_rate=1 / 3,
                reward_schedule=(1, 0, 0)) -> GridWorld:
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


def cliff_walk() -> GridWorld:
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


def teleports() -> GridWorld:
    """The 5x5 grid with two teleports; its episodes never end, so gamma must be below 1.

    Examples
    --------
    >>> world = teleports().mdp(gamma=0.9)
    >>> world.next_state[1].ravel().tolist(), world.reward[1].ravel().tolist()
    ([21, 21, 21, 21], [10.0, 10.0, 10.0, 10.0])
    """
    return GridWorld(parse(TELEPORTS), rewards={}, leaving={"A": 10.0, "B": 5.0}, bump_reward=-1.0)


def corners() -> GridWorld:
    """The 4x4 grid with goals in two corners; an episode starts anywhere else.

    Examples
    --------
    >>> corners().mdp(gamma=1.0).reward[1].ravel().tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """
    return GridWorld(parse(CORNERS), rewards={}, step_reward=-1.0)


def windy_grid() -> GridWorld:
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


def four_rooms(*, success_rate=2 / 3) -> GridWorld:
    """The 13x13 map of four rooms; the goal pays 1.

    Examples
    --------
    >>> world = four_rooms().mdp(gamma=0.99)
    >>> world.prob[20, 0].round(4).tolist()
    [0.1111, 0.6667, 0.1111, 0.1111]
    """
    return GridWorld(parse(FOUR_ROOMS), success_rate=success_rate, slip=OTHERS)


def random_walk() -> GridWorld:
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
