"""Drawing a world as text: arrows for a policy, numbers for values.

Read first: `world`.
"""

import numpy as np

ARROWS = {"L": "←", "D": "↓", "R": "→", "U": "↑"}


def _rows(world, words):
    """One word for each state, set in columns of equal width."""
    width = max(len(word) for word in words)
    columns = world.shape[1]
    lines = [words[i:i + columns] for i in range(0, len(words), columns)]
    return "\n".join(" ".join(word.rjust(width) for word in line) for line in lines)


def policy_text(world, policy):
    """The likeliest move in each cell as an arrow; goals, holes, cliffs and walls as themselves.

    Parameters
    ----------
    world : GridWorld
    policy : (S, 4) float
        Probabilities, logits or action values: only the largest of a row counts.  The first one is
        drawn on a tie.

    Raises
    ------
    ValueError
        If the table does not fit the map.

    Examples
    --------
    >>> from gridworld.world import GridWorld, parse
    >>> print(policy_text(GridWorld(parse("SFG")), np.array([[0., 0, 1, 0]] * 3)))
    → → G
    """
    cells = sum(world.cells, ())
    if policy.shape != (len(cells), 4):
        raise ValueError(f"policy must have shape {(len(cells), 4)}, got {policy.shape}")
    return _rows(world, [cell if cell in ("G", "H", "C", "#") else ARROWS[world.moves[action]]
                         for cell, action in zip(cells, policy.argmax(axis=1))])


def values_text(world, values):
    """The value (S,) of each cell to two decimals; goals, holes, cliffs and walls as themselves.

    A cell whose value is not a number, because no episode reaches it, is drawn as a dot.

    Raises
    ------
    ValueError
        If the values do not fit the map.

    Examples
    --------
    >>> from gridworld.world import GridWorld, parse
    >>> print(values_text(GridWorld(parse("SFG")), np.array([0.81, 0.9, 0])))
    0.81 0.90    G
    """
    cells = sum(world.cells, ())
    if values.shape != (len(cells),):
        raise ValueError(f"values must have shape {(len(cells),)}, got {values.shape}")
    return _rows(world, [cell if cell in ("G", "H", "C", "#") else
                         "·" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}"  # no −0.00
                         for cell, value in zip(cells, values)])


def side_by_side(titled, gap="    "):
    """Blocks of text next to each other, each under its title.

    Parameters
    ----------
    titled : dict
        Title to block.

    Examples
    --------
    >>> print(side_by_side({"one": "1 2\\n3 4", "two": "5 6"}))
    one    two
    1 2    5 6
    3 4
    """
    blocks = [[title, *block.splitlines()] for title, block in titled.items()]
    widths = [max(map(len, block)) for block in blocks]
    lines = []
    for i in range(max(map(len, blocks))):
        words = [block[i] if i < len(block) else "" for block in blocks]
        lines.append(gap.join(word.ljust(width) for word, width in zip(words, widths)).rstrip())
    return "\n".join(lines)
