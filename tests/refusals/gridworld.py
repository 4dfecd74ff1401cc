"""What the worlds of maps refuse."""

import tempfile
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
from refusals import fraction, row, whole

from gridworld.classics import car_rental, gambler
from gridworld.draw import policy_text, values_text, visits_text
from gridworld.maps import frozen_lake
from gridworld.world import GridWorld, parse, read_map

KNOWN = "S F G H C # A a B b"
WORLD = GridWorld(parse("SG"))


def unknown(text, line, column, word):
    """The row of a cell that is none."""
    return row(lambda: parse(text),
               f"map line {line}, column {column}: {word!r} is neither one of {KNOWN} nor a number")


def ragged(text, line, column, cells, first):
    return row(lambda: parse(text), f"map line {line}, column {column}: this row has {cells} "
                                    f"cells, the first one {first}")


def world(message, text="SG", **rules):
    return row(lambda: GridWorld(parse(text), **rules), message)


def map_file(data, message):
    """The row of a file; `{}` in the message is its name."""
    def problem():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "map.txt")
            if data is not None:
                path.write_bytes(data)
            return row(lambda: read_map(path), message.format(path))()
    return problem


ROWS = {
    "world": [
        unknown("SFX", 1, 3, "X"), unknown("SF\nsF", 2, 1, "s"), unknown("\n\nSF\nF?", 4, 2, "?"),
        unknown("SF\n-5", 2, 1, "-"), unknown("S  F x", 1, 3, "x"), unknown("S nan", 1, 2, "nan"),
        unknown("S F\n\nF -inf", 3, 2, "-inf"), unknown("S 1e999", 1, 2, "1e999"),
        unknown("SF\nF\u00b2", 2, 2, "\u00b2"), unknown("S GG", 1, 2, "GG"),
        unknown("S SFGHC#", 1, 2, "SFGHC#"),
        ragged("SF\nF", 2, 2, 1, 2), ragged("SF\nFFFF", 2, 3, 4, 2),
        ragged("\nSFF\n\nFFF\nF 1\n", 5, 3, 2, 3),
        *(row(lambda text=text: parse(text), f"needs a start, S, and its {rows} rows have none")
          for text, rows in (("FG\nFF", 2), ("", 0), (" \n\n", 0))),
        map_file(b"SF\n\nFX", "{}: map line 3, column 2: 'X' is neither one of"),
        map_file(b"SF\nF", "{}: map line 2, column 2: this row has 1 cells, the first one 2"),
        map_file(b"FF", "{}: the map needs a start, S, and its 1 rows have none"),
        map_file(b"SF\nF\xff", "{}, line 2: not UTF-8 (byte 0xff)"),
        map_file(None, "cannot read {}: No such file or directory"),
        *(row(lambda cells=cells: GridWorld(cells), "cells must be rows of one length with")
          for cells in ((), (("F", "G"),), (("S", "F"), ("G",)))),
        *(world(f"moves must be L, D, R, U in a cyclic order, got {moves!r}", moves=moves)
          for moves in ("", "LDR", "LRDU", "LDRUL", "ldru", "LLLL", "UDLR", "LDRR", "DRUU", "RUUR",
                        "UURD")),
        *fraction("success_rate", lambda p: GridWorld(parse("SG"), success_rate=p)),
        *(world(f"slip must share 1 among the quarter turns -1, 1 and 2, got {slip}", slip=slip,
                success_rate=0.5)
          for slip in ({}, {-1: 0.5}, {-1: 0.5, 1: 0.6}, {0: 1.0}, {3: 1.0}, {-1: 1.5, 1: -0.5},
                       {-1: np.nan, 1: 1.0})),
        *(world(f"wind must hold a number for each of 2 columns, got {wind}", "SG\nFF\nFF",
                wind=wind) for wind in ((1,), (0, 0, 0))),
        *(world(f"wind must be a whole number, got {strength}", wind=(0, strength))
          for strength in (0.5, np.nan, np.inf, True, None)),
        *(world(f"{name} must be named by one of {KNOWN}, got {symbol!r}",
                **{name: {"G": 1.0, symbol: 2.0}})
          for name in ("rewards", "leaving") for symbol in ("X", "g", "SF", "", 2.5)),
        *(world(f"{name} must be finite, got {reward}", **rules)
          for reward in (np.nan, np.inf, -np.inf)
          for name, rules in (("rewards['F']", {"rewards": {"G": 1.0, "F": reward}}),
                              ("leaving['F']", {"leaving": {"G": 1.0, "F": reward}}),
                              ("step_reward", {"step_reward": reward}),
                              ("bump_reward", {"bump_reward": reward}))),
        *(world(f"a map with the symbol {symbol} needs exactly one {needed}, got {number}", text)
          for text, symbol, needed, number in (
            ("SCS", "C", "S", 2), ("SA", "A", "a", 0), ("SAb", "A", "a", 0), ("SaAa", "A", "a", 2),
            ("SAaB", "B", "b", 0), ("SbBBb", "B", "b", 2))),
        *fraction("gamma", lambda gamma: WORLD.mdp(gamma=gamma)),
        row(lambda: setattr(WORLD, "moves", "URDL"), "cannot assign to field 'moves'",
            kind=FrozenInstanceError),
    ],
    "maps": [
        *(row(lambda schedule=schedule: frozen_lake(reward_schedule=schedule),
              f"reward_schedule must be (goal, hole, ice), got {schedule}")
          for schedule in ((), (1, 0), (1, 0, 0, 0))),
    ],
    "classics": [
        *fraction("heads", lambda heads: gambler(heads=heads)),
        *whole("goal", lambda goal: gambler(goal=goal), 4, least=2),
        *whole("most", lambda most: car_rental(most=most), 5, least=5),
        *fraction("gamma", lambda gamma: car_rental(gamma=gamma, most=5)),
    ],
    "draw": [
        *(row(lambda shape=shape: policy_text(WORLD, np.zeros(shape)),
              f"policy must have shape (2, 4), got {shape}")
          for shape in ((3, 4), (2, 3), (8,), (2, 4, 1))),
        *(row(lambda shape=shape: values_text(WORLD, np.zeros(shape)),
              f"values must have shape (2,), got {shape}") for shape in ((3,), (1,), (2, 1))),
        row(lambda: visits_text(WORLD, np.zeros(3)), "visits must have shape (2,), got (3,)"),
        row(lambda: visits_text(WORLD, np.array([1, -2])), "visits must not be negative, got -2"),
    ],
}
