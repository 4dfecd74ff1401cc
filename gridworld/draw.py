"""How does one see a policy, values or visits in a terminal?

*Worlds to draw, after `evaluation`.  Previous: `classics`.  Next: `figures`.*

The tables of a world have a row per state.  A reader wants them where the cells are.  A drawing has
a word per cell, in columns of one width: arrows for a policy, numbers for values, counts for
visits.

**In numbers.**  A walker on the slippery 4x4 lake chooses its moves at random, at γ = 0.99.  Its
values solve Bellman's equation (evaluation.1), and its visits solve (evaluation.2):

>>> from gridworld.maps import frozen_lake
>>> from minirl.exact.evaluation import evaluate, occupancy
>>> lake, fair = frozen_lake().mdp(gamma=0.99), np.full((16, 4), 1 / 4)
>>> show(side_by_side({"the map": map_text(frozen_lake()),
...                    "values": values_text(frozen_lake(), evaluate(lake, fair)),
...                    "visits": visits_text(frozen_lake(), occupancy(lake, fair))}))
the map    values                 visits
S F F F    0.01 0.01 0.02 0.01    3.15 1.21 0.54 0.26
F H F H    0.01    H 0.04    H    1.18    H 0.15    H
F F F H    0.03 0.08 0.14    H    0.44 0.15 0.09    H
H F F G       H 0.17 0.43    G       H 0.06 0.05    G

The value of the start is J, 0.0124 as in chapter 0, and here it has two decimals.  The values grow
towards the goal, and the visits towards the start.  The walker is at the start 3.15 times on
average, discounted as in (evaluation.2), since a move off the map stays put.  Few walks come near
the goal before a hole ends them.

**What is drawn.**  Goals, holes, cliffs and walls stand for themselves, whatever their numbers are.
NaN, the value of a cell that no episode reaches, is a dot.  A policy has an arrow for each of its
likeliest moves:

>>> from gridworld.world import GridWorld, parse
>>> row = GridWorld(parse("SFG"))
>>> show(policy_text(row, np.array([[0, 0, 1, 0], [0, 0.5, 0.5, 0], [1, 0, 0, 0]])))
 → ↓→  G

Only the largest of a row counts.  So the table may hold probabilities, logits, action values, or a
mask of the best actions.

**80 columns** are enough where the map allows it.  A drawing is as wide as its words and the spaces
between them.  When that is more than 80, the words become shorter:

    values     two decimals, then one, then none
    visits     counts: whole numbers, then thousands (k), then millions (M);
               expected visits, which are no whole numbers, like values
    a policy   all the arrows of a cell, then the first one

A map may still be too wide.  Then the spaces between the words are given up too.

**On a terminal** `show` prints a drawing in colour: arrows cyan, goals green, holes blue, cliffs
red, walls dim.  It does so only where the text goes to a terminal that is not dumb, and only if the
variable NO_COLOR of the environment is not set.  Where the encoding has no arrows they become
< v > ^.  All other functions return plain text.

**Exercises.**  `from gridworld.draw import *; from gridworld.maps import *`
1. A policy is undecided in every cell of a corridor of five.  What is drawn?
       print(policy_text(random_walk(), np.full((7, 4), 0.25)))
2. A walker moves at random on the cliff, at γ = 1.  How often is it on the start?
       from minirl.exact.evaluation import occupancy
       visits = occupancy(cliff_walk().mdp(gamma=1.0), np.full((48, 4), 0.25))
       print(visits_text(cliff_walk(), visits.round()))
3. A row of 28 cells has the value 0.126 everywhere.  Which numbers stand in its first three cells?
       from gridworld.world import GridWorld, parse
       wide = GridWorld(parse("S" + 26 * "F" + "G"))
       values_text(wide, np.full(28, 0.126)).split()[:3]

Read next: `figures`, which makes pictures of the same.
"""

import re
from itertools import zip_longest

import numpy as np

from minirl.console import emit
from minirl.kernel import checks

ARROWS = {"L": "←", "D": "↓", "R": "→", "U": "↑"}
COLUMNS = 80
STANDING = ("G", "H", "C", "#")  # drawn as themselves, whatever the numbers are
# ANSI: green, blue, red, dim, bold, and cyan for arrows.
PAINT = {"G": "32", "H": "34", "C": "31", "#": "2", "S": "1", **dict.fromkeys("←↓→↑", "36")}


def policy_text(world, policy):
    """The likeliest moves in each cell as arrows; goals, holes, cliffs and walls as themselves.

    The policy (S, 4) may be probabilities, logits, action values, or the mask of
    `planning.best_actions`: only the largest of a row count.  Where several are equal each has an
    arrow, or only the first if the drawing would be wider than 80 columns.

    Examples
    --------
    >>> from gridworld.world import GridWorld, parse
    >>> row = GridWorld(parse("SFG"))
    >>> print(policy_text(row, np.array([[0, 0, 1, 0], [0, 0.5, 0.5, 0], [1, 0, 0, 0]])))
     → ↓→  G
    """
    check_fits(world, "policy", policy, moves=True)
    best = policy == np.max(policy, axis=1, keepdims=True)
    arrows = np.array([ARROWS[move] for move in world.moves])
    return _first_that_fits(world, [
        [cell if cell in STANDING else "".join(arrows[moves][:most])
         for cell, moves in zip(world.symbols, best)] for most in (4, 1)])


def values_text(world, values):
    """The value (S,) of each cell; goals, holes, cliffs and walls as themselves.

    Two decimals, or fewer if the drawing would be wider than 80 columns.  NaN, the value of a cell
    that no episode reaches, is drawn as a dot.

    Examples
    --------
    >>> from gridworld.world import GridWorld, parse
    >>> print(values_text(GridWorld(parse("SFG")), np.array([0.81, 0.9, 0])))
    0.81 0.90    G
    """
    check_fits(world, "values", values)
    # Adding zero makes −0.00, a small negative number rounded, an ordinary zero.
    return _numbers(world, values, [lambda value, digits=digits:
                                    f"{round(float(value), digits) + 0.0:.{digits}f}"
                                    for digits in (2, 1, 0)])


def visits_text(world, visits):
    """How often each cell was visited (S,); goals, holes, cliffs and walls as themselves.

    Whole numbers are drawn as they are, or in thousands (k) or millions (M) if the drawing would be
    wider than 80 columns; expected visits, which are no whole numbers, like values.

    Examples
    --------
    >>> from gridworld.world import GridWorld, parse
    >>> print(visits_text(GridWorld(parse("SFFG")), np.array([12, 7, 0, 3])))
    12  7  0  G
    """
    check_fits(world, "visits", visits)
    if (visits < 0).any():
        raise ValueError(f"visits must not be negative, got {visits.min()}")
    if (visits != np.round(visits)).any():
        return values_text(world, visits)
    return _numbers(world, visits, [lambda count: f"{count:.0f}",
                                    lambda count: f"{count / 1e3:.0f}k",
                                    lambda count: f"{count / 1e6:.0f}M"])


def map_text(world, walker=None):
    """The map itself; given the state of a walker, with that cell in brackets.

    Examples
    --------
    >>> from gridworld.maps import frozen_lake
    >>> print(map_text(frozen_lake()))
    S F F F
    F H F H
    F F F H
    H F F G
    >>> print(map_text(frozen_lake(), walker=4).split("\\n")[1])
    [F]H F H
    """
    words = [cell if isinstance(cell, str) else repr(cell).removesuffix(".0")
             for cell in world.symbols]
    return _rows(world, words, walker)


def side_by_side(titled, gap="    "):
    """Blocks of text next to each other, each under its title: `titled` maps title to block.

    Examples
    --------
    >>> print(side_by_side({"one": "1 2\\n3 4", "two": "5 6"}))
    one    two
    1 2    5 6
    3 4
    """
    blocks = [[title, *block.splitlines()] for title, block in titled.items()]
    widths = [max(map(len, block)) for block in blocks]
    return "\n".join(gap.join(map(str.ljust, words, widths)).rstrip()
                     for words in zip_longest(*blocks, fillvalue=""))


def show(drawing, file=None):
    """Print a drawing, `painted` if the file (or standard output) is a terminal, unless NO_COLOR.

    Examples
    --------
    >>> show("→ → G")
    → → G
    """
    emit(drawing, painted, file)


def painted(drawing):
    """A drawing with the colours of a terminal: arrows cyan, goals green, holes blue, cliffs red.

    Only a symbol that stands alone is painted, so that words of a text stay as they are.

    Examples
    --------
    >>> painted("→↑ G")
    '\\x1b[36m→↑\\x1b[0m \\x1b[32mG\\x1b[0m'
    """
    return re.sub(r"(?<!\S)([GHC#S]|[←↓→↑]+)(?!\S)",
                  lambda found: f"\x1b[{PAINT[found[0][0]]}m{found[0]}\x1b[0m", drawing)


def check_fits(world, name, table, *, moves=False):
    """Raise ValueError unless a table has one number per state, or one per state and move.

    Examples
    --------
    >>> from gridworld.maps import frozen_lake
    >>> check_fits(frozen_lake(), "values", np.zeros(15))
    Traceback (most recent call last):
    ValueError: values must have shape (16,), got (15,)
    """
    checks.shape(name, table, (len(world.symbols), 4) if moves else (len(world.symbols),))


def _rows(world, words, walker=None):
    """One word for each state, set in columns of equal width, the state `walker` in brackets."""
    width = max(len(word) for word in words)
    rows, columns = world.shape
    gap = " " if columns * (width + 1) - 1 <= COLUMNS else ""
    edge = "" if walker is None else gap  # room for a bracket
    lines = []
    for first in range(0, rows * columns, columns):
        between = [edge, *[gap] * (columns - 1), edge]  # what stands before, between and after
        if walker is not None and first <= walker < first + columns:
            between[walker - first:walker - first + 2] = "[", "]"
        cells = [word.rjust(width) for word in words[first:first + columns]]
        lines.append("".join(map(str.__add__, between, [*cells, ""])).rstrip())
    return "\n".join(lines)


def _numbers(world, numbers, forms):
    """The drawing of one number a state in the first of several forms that fits; NaN is a dot."""
    return _first_that_fits(world, [
        [cell if cell in STANDING else "·" if np.isnan(number) else form(number)
         for cell, number in zip(world.symbols, numbers)] for form in forms])


def _first_that_fits(world, drawings):
    """The first of several drawings, each a word for each state, that is narrow enough; or the
    last."""
    for words in drawings:
        if (max(map(len, words)) + 1) * world.shape[1] - 1 <= COLUMNS:
            break
    return _rows(world, words)
