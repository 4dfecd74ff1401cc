"""How does a map become a world?

*Worlds to draw, after `mdp`.  Next: `maps`.*

The small lake of `mdp` has four states and two actions, and its four arrays hold 64 numbers.
Nobody wants to write those of a larger world by hand.  This chapter draws a world as a *map*: rows
of cells of one length, a character per cell.  A few rules complete it.  `GridWorld.mdp` makes the
arrays.

    S  a start, otherwise a free cell      F  a free cell       #  a wall: a move into it stays put
    G  a goal: entering it ends            H  a hole: entering it ends
    C  a cliff: entering it puts the walker back on the start, and the episode goes on
    A  a teleport: every move made on it leads to the cell a, and from B to b

A digit is a free cell that pays that number on entering.  A line with spaces in it is read as words
instead.  So a cell may also hold a number such as `-2.5`.  Entering G pays 1, and entering any
other symbol nothing, unless the argument `rewards` says otherwise.

An episode begins on an S, and several of them are equally likely.  A map with a C has exactly one
S, one with an A exactly one a, and one with a B exactly one b.

**In numbers.**  Cells are numbered row by row from 0, and that number is the state.  Here is a
corridor of ice.  A move goes where it was meant to with the chance ½, and to each of its two sides
with ¼:

    S F G     0 1 2     right from cell 1:  to the goal with ½, up with ¼, down with ¼

Up and down lead off the map, and a move off the map stays put.  So right from cell 1 pays 1 with
the chance ½, and goes on in cell 1 with ¼ + ¼:

>>> corridor = GridWorld(parse("SFG"), success_rate=0.5).mdp(gamma=1.0)
>>> right = 2
>>> print(corridor.next_state[1, right], corridor.prob[1, right], corridor.terminated[1, right])
[1 2 1] [0.25 0.5  0.25] [False  True False]
>>> print(corridor.mean_reward[1, right], corridor.transitions.toarray()[4 * 1 + right])
0.5 [0.  0.5 0. ]

A goal and a hole are states too, in which nothing happens any more.  Their rows lead to themselves,
earn nothing and terminate.  The same holds for walls, where nobody ever is.

**The four rules.**

*Moves.*  There are four, and the order of their letters gives the numbers of the actions.  "LDRU"
means left 0, down 1, right 2, up 3, as on the lake; the cliff has "URDL".  Both orders go round in
a circle: the next letter is the move a quarter turn further, and after the last one comes the
first.

*Slip.*  The intended move happens with the probability `success_rate`.  Otherwise the walker goes
another way, some quarter turns off, and `slip` holds the share of each.  With (1 − success_rate)
shared out, an outcome that is some turns off has the chance

    prob = success_rate                       for no turn,
    prob = (1 − success_rate) · slip[turn]    for −1, 1 or 2 quarter turns.

`SIDES` gives ½ to each side and nothing to the way back.  `OTHERS` gives ⅓ to each of the other
three.  With a success rate of ½, a move to the right goes

    SIDES      ¼                OTHERS      ⅙
             · s ½                        ⅙ s ½
               ¼                            ⅙

An action has one outcome for each way that it can go: three with `SIDES`, four with `OTHERS`, and
one where nothing slips.  Outcomes stand in the order of their turns, −1, 0, 1, 2, and a turn of 1
is the next letter of the circle.

*Wind* blows the walker upwards after its move.  Its strength is a number of cells for each column,
and the column in which the walker stood decides.  An edge or a wall stops the wind too.  Only the
cell where the walker comes to rest counts as entered: the wind carries it over holes, goals and
cliffs.  A teleport is out of the wind.

*Rewards.*  A step pays the sum of up to four numbers:

    reward = step_reward                      always
           + leaving[symbol]                  by the cell that it was made in
           + rewards[symbol]                  by the cell that it entered
           + bump_reward                      if an edge or a wall stood in the way of the move

The cell that was entered is C on a cliff, and not the start to which the walker is put back.  A
move that stays put enters the same cell again.  An edge or a wall that stops only the wind costs no
`bump_reward`.  A cell that is a number pays that.  A symbol that is not named pays 0, and so does G
where `rewards` is given without it.

**In numbers again.**  Two cells lie side by side, a start and a cell that pays 5.  Every step costs
1, and a bump costs 2 more.  Right from the start earns −1 + 5 = 4.  Left from the start bumps: −1 −
2 = −3.  Right from the other cell bumps, and enters it again: −1 + 5 − 2 = 2.

>>> two = GridWorld(parse("S5"), rewards={}, step_reward=-1.0, bump_reward=-2.0).mdp(gamma=0.9)
>>> print(two.reward[0, right], two.reward[0, 0], two.reward[1, right])
[4.] [-3.] [2.]

**Exercises.**  `from gridworld.world import *`
1. On the corridor of ice the walker moves up from the start.  How likely is each cell afterwards?
       corridor = GridWorld(parse("SFG"), success_rate=0.5).mdp(gamma=1.0)
       corridor.transitions.toarray()[4 * 0 + 3]
2. The middle cell pays 5.  What do left, down, right and up pay from there?
       GridWorld(parse("S5G")).mdp(gamma=0.9).reward[1].ravel()
3. Above the start is a hole, and the wind blows with the strength 2.  Which moves end in the hole?
       cells = ("F",), ("H",), ("S",)  # three rows, as `parse` makes them
       GridWorld(cells, wind=(2,)).mdp(gamma=1.0).terminated[2].ravel()

Read next: `maps`, the worlds that everybody knows.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, examples 3.5, 6.5 and 6.6.
"""

import itertools
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from minirl.files import read_text, shown
from minirl.kernel import checks
from minirl.kernel.mdp import TabularMDP

MOVES = {"L": (0, -1), "D": (1, 0), "R": (0, 1), "U": (-1, 0)}
CYCLES = "LDRULDRU", "URDLURDL"  # the two ways round, twice, so that any start is found
SYMBOLS = ("S", "F", "G", "H", "C", "#", "A", "a", "B", "b")
DEAD = ("G", "H", "#")           # nothing happens here any more
EXITS = {"A": "a", "B": "b"}
SIDES = {-1: 0.5, 1: 0.5}                    # shares of what is left of the success rate,
OTHERS = {-1: 1 / 3, 1: 1 / 3, 2: 1 / 3}     # by quarter turns


@dataclass(frozen=True)
class GridWorld:
    """A map and its rules.

    Parameters
    ----------
    cells : tuple of rows
        From `parse` or `read_map`.
    moves : str
        The letters L, D, R, U in the order of the actions, neighbours at right angles.
    success_rate : float in [0, 1]
    slip : dict
        How the rest is shared: quarter turns (−1, 1 or 2) to share.  `SIDES` or `OTHERS`.
    wind : tuple of int
        Cells upwards for each column, downwards if negative.  Empty: no wind.
    rewards, leaving : dict
        By symbol; symbols not named pay 0.  By default entering G pays 1.
    step_reward, bump_reward : float

    Examples
    --------
    >>> corridor = GridWorld(parse("SFG"))
    >>> corridor.shape, corridor.mdp(gamma=1.0).next_state[1].ravel().tolist()
    ((1, 3), [0, 1, 2, 1])
    """

    cells: tuple
    moves: str = "LDRU"
    success_rate: float = 1.0
    slip: dict = field(default_factory=lambda: dict(SIDES))
    wind: tuple = ()
    rewards: dict = field(default_factory=lambda: {"G": 1.0})
    leaving: dict = field(default_factory=dict)
    step_reward: float = 0.0
    bump_reward: float = 0.0

    def __post_init__(self):
        if not self.cells or len({len(row) for row in self.cells}) > 1 or not self.places["S"]:
            raise ValueError("cells must be rows of one length with at least one start, as parse "
                             "makes them")
        if len(self.moves) != 4 or not any(self.moves in turns for turns in CYCLES):
            raise ValueError(f"moves must be L, D, R, U in a cyclic order, got {self.moves!r}")
        checks.fraction("success_rate", self.success_rate)
        if (not set(self.slip) <= {-1, 1, 2} or not all(share >= 0 for share in self.slip.values())
                or abs(sum(self.slip.values()) - 1) > 1e-9):
            raise ValueError(f"slip must share 1 among the quarter turns -1, 1 and 2, "
                             f"got {self.slip}")
        if len(self.wind) not in (0, self.shape[1]):
            raise ValueError(f"wind must hold a number for each of {self.shape[1]} columns, got "
                             f"{self.wind}")
        for strength in self.wind:
            checks.whole("wind", strength, least=-np.inf)
        for name in ("rewards", "leaving"):
            for symbol, reward in getattr(self, name).items():
                if symbol not in SYMBOLS:
                    raise ValueError(f"{name} must be named by one of {' '.join(SYMBOLS)}, "
                                     f"got {symbol!r}")
                checks.finite(f"{name}[{symbol!r}]", reward)
        checks.finite("step_reward", self.step_reward)
        checks.finite("bump_reward", self.bump_reward)
        for symbol, needed in {"C": "S", **EXITS}.items():
            if self.places[symbol] and len(self.places[needed]) != 1:
                raise ValueError(f"a map with the symbol {symbol} needs exactly one {needed}, got "
                                 f"{len(self.places[needed])}")

    @property
    def shape(self):
        """(rows, columns)."""
        return len(self.cells), len(self.cells[0])

    @cached_property
    def symbols(self):
        """The cells in the order of the states: a tuple of symbols and numbers."""
        return tuple(itertools.chain.from_iterable(self.cells))

    @cached_property
    def places(self):
        """The states of each symbol: a dict of lists; a symbol that does not occur has none."""
        return {symbol: [s for s, cell in enumerate(self.symbols) if cell == symbol]
                for symbol in SYMBOLS}

    def _beside(self, s, move):
        """The state a move away from s; s itself where an edge or a wall stands in the way."""
        rows, columns = self.shape
        row, column = s // columns + MOVES[move][0], s % columns + MOVES[move][1]
        inside = 0 <= row < rows and 0 <= column < columns
        return row * columns + column if inside and self.cells[row][column] != "#" else s

    def _land(self, s, move):
        """What a move that does not slip leads to: (next state, reward, whether it ends)."""
        symbols = self.symbols
        if symbols[s] in DEAD:
            return s, 0.0, True
        reward = self.step_reward + self.leaving.get(symbols[s], 0.0)
        if symbols[s] in EXITS:
            entered, = self.places[EXITS[symbols[s]]]
        else:
            entered = self._beside(s, move)
            reward += self.bump_reward * (entered == s)
            strength = int(self.wind[s % self.shape[1]]) if len(self.wind) else 0
            for _ in range(abs(strength)):
                entered = self._beside(entered, "U" if strength > 0 else "D")
        cell = symbols[entered]
        reward += cell if isinstance(cell, float) else self.rewards.get(cell, 0.0)
        return self.places["S"][0] if cell == "C" else entered, reward, cell in DEAD

    def mdp(self, *, gamma) -> TabularMDP:
        """The world as arrays, with S = rows · columns states and A = 4 actions.

        Examples
        --------
        On ice the move right succeeds with probability 1/3, and slips down or up otherwise.

        >>> ice = GridWorld(parse("SFG"), success_rate=1 / 3).mdp(gamma=1.0)
        >>> print(ice.next_state[0, 2], ice.prob[0, 2].round(4))
        [0 1 0] [0.3333 0.3333 0.3333]
        """
        S = len(self.symbols)
        chances = {0: self.success_rate, **{turn: (1 - self.success_rate) * share
                                            for turn, share in self.slip.items()}}
        turns = sorted(turn for turn, chance in chances.items() if chance > 0)
        prob = np.tile([chances[turn] for turn in turns], (S, 4, 1))
        prob[[cell in DEAD for cell in self.symbols]] = np.eye(len(turns))[0]
        start = np.bincount(self.places["S"], minlength=S) / len(self.places["S"])
        landings = [self._land(s, move) for s in range(S) for move in self.moves]
        # Slipping by a quarter turn is landing where the next move of the cycle would.
        next_state, reward, terminated = (
            np.stack([np.roll(np.reshape(column, (S, 4)), -turn, axis=1) for turn in turns], axis=2)
            for column in zip(*landings))
        return TabularMDP(next_state=next_state, prob=prob, reward=reward.astype(float),
                          terminated=terminated, start=start, gamma=gamma)


def parse(text):
    """The cells of a map: a tuple of rows, each a tuple of symbols and numbers.

    Blank lines are skipped.  A mistake is named by line and column.

    Examples
    --------
    >>> parse('''
    ... SF#
    ... 5FG''')
    (('S', 'F', '#'), (5.0, 'F', 'G'))
    >>> parse("S -2.5 G")
    (('S', -2.5, 'G'),)
    """
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line:
            continue
        words = line.split() if any(c.isspace() for c in line) else list(line)
        rows.append(tuple(_cell(word, number, column)
                          for column, word in enumerate(words, start=1)))
        if len(rows[-1]) != len(rows[0]):
            raise ValueError(f"map line {number}, column {min(len(rows[-1]), len(rows[0])) + 1}: "
                             f"this row has {len(rows[-1])} cells, the first one {len(rows[0])}")
    if not any("S" in row for row in rows):
        raise ValueError(f"the map needs a start, S, and its {len(rows)} rows have none")
    return tuple(rows)


def read_map(path):
    """The cells of a map file, UTF-8, as `parse` returns them; a mistake is named by file too."""
    text = read_text(path)
    try:
        return GridWorld(parse(text)).cells  # a world: no teleport without its end
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from None


def _cell(word, line, column):
    if word in SYMBOLS:
        return word
    try:
        number = float(word)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"map line {line}, column {column}: {word!r} is neither one of "
                         f"{' '.join(SYMBOLS)} nor a number")
    return number
