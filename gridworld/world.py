"""A gridworld: a map in ASCII, and the rules that make it a `TabularMDP`.

A map is a rectangle of cells, one character each:

    S  a start, otherwise a free cell      F  a free cell       #  a wall: a move into it stays put
    G  a goal: entering it ends            H  a hole: entering it ends
    C  a cliff: entering it puts the walker back on the start, and the episode goes on

and digits, which are free cells that pay that number on entering.  A line with spaces in it is read
as words instead, so that a cell may also hold a number such as −2.5.

Cells are numbered row by row from 0, and that number is the state.  There are four moves.  A move
off the map stays put.  Three rules complete a world.

*Moves.*  Their order gives the numbers of the actions: "LDRU" (left 0, down 1, right 2, up 3) on
the lake, "URDL" on the cliff.  The two orders in use are both cyclic, so the neighbours of a move
in the string are the two moves at right angles to it.

*Slip.*  The intended move happens with probability `success_rate`.  Otherwise the walker goes to
one of the two sides, each with half of what is left.  An action has K = 3 outcomes then, and K = 1
without slip.

*Rewards* are paid on entering a cell, by its symbol.  A move that stays put enters the same cell
again.

A goal and a hole are states too, in which nothing happens any more: their rows lead to themselves,
earn nothing and terminate.  The same holds for walls, where nobody ever is.

Read first: `minirl.mdp`.  Read next: `maps`.
"""

from dataclasses import dataclass, field

import numpy as np

from minirl.mdp import TabularMDP

MOVES = {"L": (0, -1), "D": (1, 0), "R": (0, 1), "U": (-1, 0)}
CYCLES = "LDRULDRU", "URDLURDL"  # the two ways round, twice, so that any start is found
SYMBOLS = ("S", "F", "G", "H", "C", "#")


def parse(text):
    """The cells of a map: a tuple of rows, each a tuple of symbols and numbers.

    Blank lines are skipped.

    Raises
    ------
    ValueError
        If a row has another length than the first, a symbol is unknown, or there is no start; the
        message names the line and the column.

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


@dataclass(frozen=True)
class GridWorld:
    """A map and its rules.

    Parameters
    ----------
    cells : tuple of rows
        As `parse` returns them.
    moves : str
        The letters L, D, R, U in the order of the actions, neighbours at right angles.
    success_rate : float in [0, 1]
        Probability that the intended move happens.
    rewards : dict
        Reward on entering a cell, by symbol; symbols not named pay 0.

    Raises
    ------
    ValueError
        If the moves are not a cyclic order, the success rate is no probability, a reward belongs to
        no symbol, or there is a cliff but not exactly one start.

    Examples
    --------
    >>> corridor = GridWorld(parse("SFG"))
    >>> corridor.shape, corridor.mdp(gamma=1.0).next_state[1].ravel().tolist()
    ((1, 3), [0, 1, 2, 1])
    """

    cells: tuple
    moves: str = "LDRU"
    success_rate: float = 1.0
    rewards: dict = field(default_factory=lambda: {"G": 1.0})

    def __post_init__(self):
        if len(self.moves) != 4 or not any(self.moves in turns for turns in CYCLES):
            raise ValueError(f"moves must be L, D, R, U in a cyclic order, got {self.moves!r}")
        if not 0 <= self.success_rate <= 1:
            raise ValueError(f"success_rate must lie in [0, 1], got {self.success_rate}")
        for symbol in self.rewards:
            if symbol not in SYMBOLS:
                raise ValueError(f"rewards must be named by one of {' '.join(SYMBOLS)}, "
                                 f"got {symbol!r}")
        if self._where("C").size and self._where("S").size != 1:
            raise ValueError(f"a map with a cliff needs exactly one start, "
                             f"got {self._where('S').size}")

    @property
    def shape(self):
        """(rows, columns)."""
        return len(self.cells), len(self.cells[0])

    def _where(self, symbol):
        """The states whose cell is `symbol`: (n,) int."""
        return np.array([s for s, cell in enumerate(sum(self.cells, ())) if cell == symbol], int)

    def _landing(self):
        """For each state and move: the state after it, its reward, and whether it ends; (S, 4)."""
        rows, columns = self.shape
        cells = sum(self.cells, ())
        pays = [cell if isinstance(cell, float) else self.rewards.get(cell, 0.0) for cell in cells]
        next_state = np.zeros((len(cells), 4), int)
        reward = np.zeros((len(cells), 4))
        terminated = np.zeros((len(cells), 4), bool)
        for s, cell in enumerate(cells):
            for a, move in enumerate(self.moves):
                if cell in ("G", "H", "#"):
                    next_state[s, a], terminated[s, a] = s, True
                    continue
                row, column = s // columns + MOVES[move][0], s % columns + MOVES[move][1]
                inside = 0 <= row < rows and 0 <= column < columns
                entered = row * columns + column if inside else s
                entered = s if cells[entered] == "#" else entered
                reward[s, a] = pays[entered]
                terminated[s, a] = cells[entered] in ("G", "H")
                next_state[s, a] = self._where("S")[0] if cells[entered] == "C" else entered
        return next_state, reward, terminated

    def mdp(self, *, gamma):
        """The world as arrays, with S = rows · columns states and A = 4 actions.

        Raises ValueError if gamma is outside [0, 1].

        Examples
        --------
        On ice the move right succeeds with probability 1/3, and slips down or up otherwise.

        >>> ice = GridWorld(parse("SFG"), success_rate=1 / 3).mdp(gamma=1.0)
        >>> print(ice.next_state[0, 2], ice.prob[0, 2].round(4))
        [0 1 0] [0.3333 0.3333 0.3333]
        """
        slip = (1 - self.success_rate) / 2
        turns, chances = (0,), (1.0,)
        if slip > 0:
            turns, chances = (-1, 0, 1), (slip, self.success_rate, slip)
        next_state, reward, terminated = (
            np.stack([np.roll(table, -turn, axis=1) for turn in turns], axis=2)
            for table in self._landing())
        start, prob = np.zeros(next_state.shape[0]), np.empty(next_state.shape)
        prob[:] = chances
        start[self._where("S")] = 1 / self._where("S").size
        return TabularMDP(next_state=next_state, prob=prob,
                          reward=reward, terminated=terminated, start=start, gamma=gamma)
