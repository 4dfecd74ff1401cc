"""Every episode that can happen in a small world, so that an expectation is a sum over a list."""

import numpy as np

from minirl.kernel import layout
from minirl.kernel.playing import Rollout


def all_episodes(mdp, policy, horizon):
    """Every episode of at most `horizon` steps, with its probability under a policy (S, A).

    Returns
    -------
    batch : playing.Rollout
        M episodes; one that has not ended at the horizon is truncated, as in `playing.rollout`.
    chances : (M,) float
        They sum to one.
    """
    S, A, K = mdp.next_state.shape
    state, *branches = np.indices((S, *[A * K] * horizon)).reshape(horizon + 1, -1)
    chance, running = mdp.start[state], np.full(state.size, True)
    rows = []
    for branch in branches:
        a, k = np.divmod(branch, K)
        ended = running & mdp.terminated[state, a, k]
        rows.append([running * x for x in (state, a, mdp.reward[state, a, k], 1)] + [ended])
        # After an end the first branch stands for all.
        chance = chance * np.where(running, policy[state, a] * mdp.prob[state, a, k], branch == 0)
        state = np.where(running, mdp.next_state[state, a, k], state)
        running = running & ~ended
    states, actions, rewards, alive, terminated = (np.array(rectangle)[:, chance > 0]
                                                   for rectangle in zip(*rows))
    starts = layout.starts_of(alive.sum(axis=0))
    flat = (layout.flatten(x, alive > 0) for x in (states, actions, rewards, terminated))
    return Rollout(*flat, starts, state[chance > 0], running[chance > 0]), chance[chance > 0]
