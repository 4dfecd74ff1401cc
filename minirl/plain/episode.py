"""An episode: the agent acts, the world answers, until it ends.

    s_0, a_0, r_0, s_1, a_1, r_1, …,   R_t = r_t + γ R_{t+1}

The agent sees a state s, here the number of a cell, and by its policy chooses an action a.  The
world answers with a reward r and the next state; if that is terminal, the episode is over.  The
return R_t sums the rewards from step t on, each counting γ times as much as the one before it.

Sutton and Barto, 2nd edition, (3.1) and (3.9), where R_t is called G_t and r_t is called R_{t+1}.
"""

import numpy as np


def episode(step, act, rng, horizon=200):
    """One episode from state 0: a list of (s, a, r, next s, terminal), cut after `horizon`."""
    steps, s, terminal = [], 0, False
    while not terminal and len(steps) < horizon:
        a = act(s, rng)
        after, r, terminal = step(s, a, rng)
        steps.append((s, a, r, after, terminal))
        s = after
    return steps


def returns(rewards, gamma):
    """R_t of every step, from the last one backwards."""
    R, found = 0.0, []
    for r in reversed(rewards):
        R = r + gamma * R
        found.append(R)
    return found[::-1]


def lake(s, a, rng):
    """A step on the slippery lake, left, down, right or up: next state, reward, terminal.

    S is the start, F ice, H a hole and G the goal, which alone pays, 1.  The ice leads ahead or to
    either side, a third each, so whoever pushes against a wall stays or slides along it.
    """
    a = (a + int(3 * rng.random()) - 1) % 4  # where the ice leads: ahead, or to either side
    row = min(max(s // 4 + (a == 1) - (a == 3), 0), 3)
    column = min(max(s % 4 + (a == 2) - (a == 0), 0), 3)
    cell = "SFFFFHFHFFFHHFFG"[4 * row + column]
    return 4 * row + column, float(cell == "G"), cell in "GH"


def at_random(s, rng):
    """An agent that does anything."""
    return int(4 * rng.random())


def careful(s, rng):
    """The best policy there is: it pushes away from holes where it can."""
    return "<v>^".index("<^^^< < ^v<  >v "[s])


if __name__ == "__main__":
    print("gamma is 0.99; the best policy's exact value is 0.542")
    for act in at_random, careful:
        rng = np.random.default_rng(0)
        R = [returns([r for _, _, r, _, _ in episode(lake, act, rng)], 0.99)[0]
             for _ in range(2000)]
        walk = " ".join(str(s) for s, *_ in episode(lake, act, rng, horizon=12))
        print(f"{act.__name__:9} mean return {np.mean(R):.3f} (standard error "
              f"{np.std(R) / 2000**0.5:.3f}); first cells of one episode: {walk}")
