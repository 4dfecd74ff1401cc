"""Pictures of the worlds: one table in two of them, a cliff, the rounds of planning, learners."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gridworld.draw import STANDING
from gridworld.figures import draw_sign
from gridworld.maps import cliff_walk, frozen_lake, teleports
from gridworld.world import EXITS, MOVES, OTHERS, GridWorld
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch
from minirl.exact.evaluation import expectation, occupancy
from minirl.exact.gains import gains
from minirl.exact.planning import policy_iteration, policy_that_ends
from minirl.exact.scorecard import objective
from minirl.lab.running_example import bigram_of, running_example
from minirl.lab.summary import spread
from minirl.lab.values import SETTINGS, learn_values
from minirl.people.regularised import regularised_optimum
from minirl.lab.style import (INK, NAVY, PALE, PALETTE, RED, TEAL, WIDTH, Figure, Picture,
                              name_at_end)
from minirl.play.exploration import epsilon_greedy
from toy_lm.rewards import VOWELS

# Maps.

DARK = 0.5         # the shade from which words on a cell are white
UNLIKELY = 0.02    # the chance below which a move has no arrow
HALF_ARROW = 0.34  # half the length of the arrow of a move that is certain, in cells


def mixed(colour, shades):
    """White at the shade 0, the colour at the shade 1, a mixture between: (..., 3) from (...).

    >>> mixed("#000000", [0, 0.5]).tolist()
    [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]
    """
    return 1 + np.asarray(shades, float)[..., None] * (np.array(to_rgb(colour)) - 1)


def draw_map(axes, world, *, shades=None, colour=NAVY, policy=None, changed=None, words=None,
             size=8):
    """A map: cells in shades of a colour, an arrow for each likely move, and a word in the corner.

    A hole is a disc, a goal a frame, a cliff hatched and a wall filled; all but the wall have their
    letter.  Teleports have one in the corner, and show where they lead.  So have starts, unless an
    episode may start anywhere.  Wind stands below its column, an arrow for each cell that it blows.
    `shades` (S,) lie between 0 and 1.  Arrows of states that have `changed` (S,) are red and thick.
    """
    rows, columns = world.shape
    shades = np.zeros(rows * columns) if shades is None else np.array(shades, float)
    standing = np.array([cell in STANDING for cell in world.symbols])
    shades[standing] = 0
    changed = np.full(rows * columns, False) if changed is None else changed
    axes.imshow(mixed(colour, shades).reshape(rows, columns, 3), zorder=0)
    axes.set(xticks=[], yticks=[], xlim=(-0.54, columns - 0.46), ylim=(rows - 0.46, -0.54))
    axes.grid(False)
    axes.vlines(np.arange(columns + 1) - 0.5, -0.5, rows - 0.5, PALE, linewidth=0.8, zorder=1)
    axes.hlines(np.arange(rows + 1) - 0.5, -0.5, columns - 0.5, PALE, linewidth=0.8, zorder=1)
    inks = np.where(shades > DARK, "white", INK)
    plain = "F" if "F" in world.symbols else "S"  # has no letter
    for s, cell in enumerate(world.symbols):
        row, column = divmod(s, columns)
        if standing[s]:
            draw_sign(axes, row, column, cell, size + 3)
            continue
        if cell != plain:
            name = cell if isinstance(cell, str) else f"{cell:+g}".replace("-", "−")
            axes.text(column - 0.44, row - 0.44, name, color=inks[s], fontsize=size, va="top",
                      fontweight="bold")
        if words is not None:
            axes.text(column + 0.46, row + 0.45, words[s], color=inks[s], fontsize=size, ha="right",
                      va="bottom")
    if policy is not None:
        _moves(axes, world, policy, np.where(changed, RED, inks), np.where(changed, 3.0, 1.8),
               ~standing)
    for entrance, landing in EXITS.items():
        for s in world.places[entrance]:
            _leads(axes, divmod(s, columns), divmod(world.places[landing][0], columns))
    for column, strength in enumerate(world.wind):
        axes.text(column, rows - 0.4, "↑↓"[strength < 0] * abs(int(strength)), color=TEAL,
                  fontsize=size, ha="center", va="top")


def _moves(axes, world, policy, inks, widths, shown):
    """Arrows as long as a move is likely; they begin where their mean is in the middle."""
    steps = np.array([MOVES[move][::-1] for move in world.moves])  # to the right, and down
    for s in np.flatnonzero(shown):
        row, column = divmod(s, world.shape[1])
        moves = np.flatnonzero(policy[s] > UNLIKELY)
        right, down = 2 * HALF_ARROW * policy[s, moves] * steps[moves].T
        axes.quiver(np.full(moves.size, column - right.sum() / 2),
                    np.full(moves.size, row - down.sum() / 2), right, down, color=inks[s],
                    angles="xy", scale_units="xy", scale=1, units="dots", width=widths[s],
                    headwidth=4.5, headlength=4.5, headaxislength=4, minlength=0, zorder=3)


def _leads(axes, entrance, landing):
    """The bent arrow of a teleport, from (row, column) to (row, column)."""
    axes.add_patch(FancyArrowPatch(entrance[::-1], landing[::-1], color=TEAL, linewidth=1.5,
                                   connectionstyle="arc3,rad=-0.25", arrowstyle="-|>",
                                   mutation_scale=10, linestyle="--", shrinkA=6, shrinkB=6))


def draw_table(axes, policy, states, actions):
    """A policy as a table: a row per state, a column per action, the darker the likelier.

    The shade is the root of the probability, so that small ones are seen too.
    """
    axes.imshow(mixed(NAVY, np.sqrt(policy)), aspect="auto", zorder=0)
    axes.set_xticks(range(len(actions)), actions, fontsize=8)
    axes.set_yticks(range(len(states)), states, fontsize=8)
    axes.tick_params(length=0, pad=2)
    axes.grid(False)
    rows, columns = policy.shape
    axes.vlines(np.arange(columns + 1) - 0.5, -0.5, rows - 0.5, PALE, linewidth=0.6, zorder=1)
    axes.hlines(np.arange(rows + 1) - 0.5, -0.5, columns - 0.5, PALE, linewidth=0.6, zorder=1)


# One table twice.

LAKE_BETA = 0.001        # the price of a nat of KL to the walk at random
KEY = np.array([0, 0.01, 0.05, 0.2, 0.5, 1])  # probabilities whose shades are explained
ROWS_SHOWN = "aeionqst"  # of the 27 rows of the language model


class TwoWorlds(NamedTuple):
    """The policies of a lake and of a language model that are the exact optimum, and the first."""

    grid: GridWorld
    walk: np.ndarray       # (16, 4) on the lake
    arrives: float         # J of it
    letters: str           # of the language model, whose symbol 0 is the end
    reference: np.ndarray  # (27, 27)
    aligned: np.ndarray    # (27, 27)
    rewards: tuple         # E[R] of both


def two_worlds(seed=0) -> TwoWorlds:
    """The numbers of the picture `two_worlds`; nothing in them is random.

    One function finds the optimum of either world.
    """
    grid, example = frozen_lake(), running_example(bigram_of())
    lake, reference = grid.mdp(gamma=0.99), np.exp(example.reference)
    walk, aligned = (
        regularised_optimum(world, logits, beta=beta).policy for world, logits, beta in (
            (lake, np.zeros(lake.shape), LAKE_BETA),
            (example.world, example.reference, example.beta)))
    return TwoWorlds(grid, walk, objective(lake, walk), example.model.vocabulary.letters,
                     reference, aligned, tuple(example.judge(policy).reward
                                               for policy in (reference, aligned)))


def draw_two_worlds(found):
    """The lake as a map and as a table; and the table of the language model, before and after."""
    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
    axes = figure.subplot_mosaic([["map", "walk", "before"], ["map", "walk", "before"],
                                  ["map", "walk", "after"], ["key", "walk", "after"]],
                                 width_ratios=[1, 0.37, 1.6])
    draw_map(axes["map"], found.grid, policy=found.walk,
             words=[str(s) for s in range(len(found.walk))])
    axes["map"].set(title=f"a gridworld, solved: J = {found.arrives:.2f}", anchor="N")
    draw_table(axes["key"], KEY[None], [""], [f"{share:g}" for share in KEY])
    axes["key"].set(xlabel="π(a|s), a probability", box_aspect=0.18, anchor="S")
    live = [s for s, cell in enumerate(found.grid.symbols) if cell not in STANDING]
    draw_table(axes["walk"], found.walk[live], live, "←↓→↑")
    axes["walk"].set(title="its table", ylabel="state: cell", xlabel="action: move")
    symbols = ["end", *found.letters]
    order = [0, *sorted(range(1, len(symbols)), key=lambda a: symbols[a] not in VOWELS)]
    rows = [0, *(symbols.index(letter) for letter in ROWS_SHOWN)]
    for name, policy in ("before", found.reference), ("after", found.aligned):
        draw_table(axes[name], policy[np.ix_(rows, order)], ["start", *ROWS_SHOWN],
                   [symbols[a] for a in order])
        axes[name].set_ylabel("state: last letter")
        axes[name].get_xticklabels()[0].set_ha("right")
        for label in axes[name].get_xticklabels() + axes[name].get_yticklabels():
            if label.get_text() in VOWELS:
                label.set(color=RED, fontweight="bold")
    before, after = (f"{reward:.2f}".replace("-", "−") for reward in found.rewards)
    axes["before"].set_title(f"a language model, R = {before}: its table")
    axes["after"].set(title=f"aligned, R = {after}: vowels beside consonants",
                      xlabel="action: next letter")
    return figure


# The cliff.

CLIFF_RATE = 0.1


class Walks(NamedTuple):
    """What is done on the cliff by a table at rest."""

    greedy: np.ndarray  # (S, 4), its best moves on the way that never strays, elsewhere 0
    visits: np.ndarray  # (S,) of an episode that explores
    steps: float        # of the way that never strays
    exploring: float    # J of an episode that explores
    falls: float        # in it


def cliff_walks(seed=0):
    """The numbers of the picture `cliff`; nothing in them is random.

    Q-learning rests at Q*.  SARSA rests where Q is what the exploring policy earns.  To explore is
    to slip, so that this is Q* of a cliff on which moves slip in all directions.
    """
    grid, rule = cliff_walk(), epsilon_greedy(CLIFF_RATE)
    slippery = replace(grid, success_rate=1 - 3 / 4 * CLIFF_RATE, slip=OTHERS)
    mdp, found = grid.mdp(gamma=1.0), {}
    fell = (mdp.reward == -100).astype(float)[:, :, 0]
    for learner, law in ("Q-learning", grid), ("SARSA", slippery):
        Q = policy_iteration(law.mdp(gamma=1.0)).action_values
        greedy, exploring = epsilon_greedy(0.0).policy(Q, 1.0), rule.policy(Q, 1.0)
        way = occupancy(mdp, greedy)
        found[learner] = Walks(greedy * (way > 0)[:, None], occupancy(mdp, exploring), way.sum(),
                               objective(mdp, exploring), expectation(mdp, exploring, fell))
    return grid, found


def draw_cliff(numbers):
    """Two maps: the visits of a walk that explores, and arrows on the way that never strays."""
    grid, walks = numbers
    figure = Figure(figsize=(WIDTH, 5.9), layout="constrained")
    most = max(walk.visits.max() for walk in walks.values())
    for axes, (learner, walk) in zip(figure.subplots(2), walks.items()):
        draw_map(axes, grid, shades=walk.visits / most, policy=walk.greedy,
                 words=[f"{visits:.1f}" if visits >= 0.05 else "" for visits in walk.visits])
        axes.set_title(f"{learner}: {walk.steps:.0f} steps if it never strays.  Exploring: "
                       f"{walk.falls:.2f} falls per episode, J = −{-walk.exploring:.1f}")
    return figure


# Policy iteration.


class ImprovedPolicy(NamedTuple):
    """A policy of policy iteration."""

    policy: np.ndarray   # (S, 4)
    objective: float     # J
    changed: np.ndarray  # (S,) bool, where it differs from the one before


def lake_rounds(seed=0):
    """The numbers of the picture `policy_iteration`; nothing in them is random."""
    grid = frozen_lake()
    mdp = grid.mdp(gamma=0.99)
    policy, changed, found = policy_that_ends(mdp), np.full(16, False), []
    while not found or changed.any():
        found.append(ImprovedPolicy(policy, objective(mdp, policy), changed))
        _, gain, _ = gains(mdp, policy, np.full(16, True))  # by (planning.2)
        changed = gain.max(axis=1) > 0
        policy = np.where(changed[:, None], np.eye(4)[gain.argmax(axis=1)], policy)
    return grid, found


def draw_policy_iteration(numbers):
    """A map for each round, with what it changed, and J of all of them."""
    grid, found = numbers
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    *maps, last = figure.subplots(2, 4).ravel()
    for number, (axes, step) in enumerate(zip(maps, found)):
        draw_map(axes, grid, shades=0.15 * step.changed, colour=RED, policy=step.policy,
                 changed=step.changed)
        axes.set_title(f"{f'round {number}' if number else 'first'}: J = {step.objective:.2f}")
    last.plot([step.objective for step in found], "-o", color=NAVY)
    last.set(title="J of each round", xlabel="round", xticks=range(len(found)),
             yticks=[0, 0.2, 0.4, 0.6])
    last.yaxis.tick_right()
    return figure


# Learning curves.

RUNS = 40
LEARNERS = {"q_learning": "Q-learning", "sarsa": "SARSA", "double_q_learning": "double Q-learning",
            "expected_sarsa": "expected SARSA"}


class Curves(NamedTuple):
    """What greedy policies of four learners are worth on the teleports, exactly."""

    grid: GridWorld
    steps: np.ndarray  # (N,) of each run, in thousands
    worths: dict       # learner to (3, N): 10 %, median and 90 % of the runs
    optimum: float     # J*
    careful: float     # J of the greedy policy that is best for those who explore


def teleport_curves(seed=0) -> Curves:
    """The numbers of the picture `learning_curves`."""
    grid, settings = teleports(), SETTINGS["teleports"]
    mdp = grid.mdp(gamma=settings.gamma)
    best = policy_iteration(mdp)
    slippery = replace(grid, success_rate=1 - 3 / 4 * settings.exploration_rate, slip=OTHERS)
    curves = [learn_values(mdp, best, learner, seed=seed, runs=RUNS, settings=settings)
              for learner in LEARNERS]
    return Curves(grid, curves[0].steps / 1000,
                  {curve.method: spread(curve.values) for curve in curves}, best.objective,
                  objective(mdp, policy_iteration(slippery.mdp(gamma=settings.gamma)).policy))


def draw_learning_curves(found):
    """The map, and a panel for each learner: the median of its runs in a band, and two goals."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplot_mosaic([["map", "q_learning", "sarsa"],
                                  ["map", "double_q_learning", "expected_sarsa"]])
    draw_map(axes["map"], found.grid, size=11)
    axes["map"].set(title="the teleports", anchor="N",
                    xlabel="A pays 10, B pays 5,\noff the map −1")
    for (learner, (low, median, high)), colour in zip(found.worths.items(), PALETTE):
        panel = axes[learner]
        panel.fill_between(found.steps, low, high, color=mixed(colour, 0.2), linewidth=0)
        panel.axhline(found.optimum, linestyle="--", color=INK, linewidth=1)
        panel.axhline(found.careful, linestyle=":", color=INK, linewidth=1.4)
        panel.plot(found.steps, median, "-o", color=colour, markersize=3)
        panel.set(title=LEARNERS[learner], ylim=(20, 38), xlim=(0, 20.5))
    for learner in "sarsa", "expected_sarsa":
        name_at_end(axes[learner], 20.5, found.optimum, "optimum", INK, dy=3)
        name_at_end(axes[learner], 20.5, found.careful, "cautious", INK, dy=-3)
    for learner in "double_q_learning", "expected_sarsa":
        axes[learner].set_xlabel("thousand steps")
    for learner in "q_learning", "double_q_learning":
        axes[learner].set_ylabel("J of the greedy π")
    return figure


ON_WORLDS = (
    Picture("two_worlds", "introduction",
            "A gridworld and a language model are the same table θ[s, a]",
            "π = softmax θ, exact; J: mean return; R: mean reward of a word; 9 of 27 letters",
            two_worlds, draw_two_worlds),
    Picture("cliff", "play.q_learning",
            "Q-learning walks along the edge and falls, SARSA keeps a step away from it",
            "exact visits in an episode that explores, ε = 0.1, tables at rest; C: −100, to S",
            cliff_walks, draw_cliff, "q_learning.4"),
    Picture("policy_iteration", "exact.planning",
            "On the slippery lake policy iteration changes nothing more after six rounds",
            "the move in each cell, red where the round changed it; J exact, γ = 0.99",
            lake_rounds, draw_policy_iteration, "planning.2"),
    Picture("learning_curves", "play.q_learning",
            "Q-learning finds the optimum, SARSA what is best for those who explore",
            f"exact; median, 10–90 % of {RUNS} runs; cautious: best at ε = 0.3, judged without",
            teleport_curves, draw_learning_curves, "q_learning.2"),
)
