"""How does another program play our worlds, and how do we play its?

*Worlds to draw, after `environment`.  Previous: `figures`.*

Gymnasium is a library of environments (`environment`), and many programs learn from whatever speaks
its language.  This module makes an environment of each of our worlds.  It needs Gymnasium, which
comes with `pip install 'minirl-book[gym]'`.  Without it the import fails with a sentence that says
so.

    reset()        ──> (state, info)                              begins an episode
    step(action)   ──> (state, reward, terminated, truncated, info)
    P[s][a]        ──> [(probability, next state, reward, terminated), …], the law

**In numbers.**  A walker stands on the start of the cliff, cell 36 of 48.  It goes up, to cell 36 −
12 = 24.  Then it goes right and down.  That is a step over the edge: it costs 100, and leads back
to the start.

>>> env = WorldEnv(maps.cliff_walk())
>>> state, info = env.reset(seed=0)
>>> print(state, [env.step(action)[:3] for action in (0, 1, 2)])
36 [(24, -1.0, False), (25, -1.0, False), (36, -100.0, False)]

Any `GridWorld` becomes an environment by `WorldEnv(world)`, and so does any `TabularMDP`.  Two
things are told in `info`.  `prob` is the chance of the start, or of the outcome that came.
`action_mask` is 1 for each action that is available in the present state, and 0 for the others.

**By name.**  `import gridworld.gymnasium` registers `minirl/GridWorld-v0`, so that

    gymnasium.make("minirl/GridWorld-v0")                       the slippery 4x4 lake
    gymnasium.make("minirl/GridWorld-v0", map_name="8x8", is_slippery=False)
    gymnasium.make("minirl/GridWorld-v0", desc=["SFF", "FHG"])  a lake of your own
    gymnasium.make("minirl/GridWorld-v0", map_name=None)        a random lake
    gymnasium.make("minirl/GridWorld-v0", map_name="cliff")     or windy, four_rooms, …
    gymnasium.make_vec("minirl/GridWorld-v0", num_envs=8)       eight of them at once

work as for Gymnasium's own FrozenLake, with its names.

**Cut or ended?**  As there, an episode is truncated after 100 steps unless `max_episode_steps` says
otherwise.  The time limit is Gymnasium's and not the world's: `step` of the world itself never
truncates.  A truncated episode would have gone on, so a learner must not take its last state for an
end.

>>> env = gymnasium.make("minirl/GridWorld-v0", desc=["SFG"], is_slippery=False,
...                      max_episode_steps=1)
>>> state, info = env.reset(seed=0)
>>> print(env.step(2)[:4])  # one step to the right: cut, and not ended
(1, 0.0, False, True)

**The way back.**  There are two.  `TabularMDP.from_gymnasium` takes the law of an environment that
has one:

>>> from minirl.kernel.mdp import TabularMDP
>>> lake = gymnasium.make("minirl/GridWorld-v0").unwrapped
>>> print(TabularMDP.from_gymnasium(lake.P, lake.initial_state_distrib, gamma=0.99).shape)
(16, 4)

`environment.Environment` lets the learners of `q_learning` play an environment that has none.

**Exercises.**  `from gridworld.gymnasium import *`
1. The ice leads three ways.  How many outcomes has left from the start, and how many from a hole?
       lake = gymnasium.make("minirl/GridWorld-v0").unwrapped
       len(lake.P[0][0]), len(lake.P[5][0])
2. The walker of a world without a wrapper moves left from the start of the lake, 1,000 times, where
   nothing slips.  Is the episode truncated?
       env = WorldEnv(maps.frozen_lake(slippery=False))
       state, info = env.reset(seed=0)
       any(env.step(0)[3] for _ in range(1000))
3. The same with the registered lake, and its first 100 steps.
       env = gymnasium.make("minirl/GridWorld-v0", is_slippery=False)
       state, info = env.reset(seed=0)
       [env.step(0)[3] for _ in range(100)].index(True)

Read next: `q_learning`, which plays an environment without its law.
Source: the documentation of Gymnasium; its FrozenLake for the names.
"""

import numpy as np

from gridworld import maps
from gridworld.draw import map_text
from gridworld.world import GridWorld
from minirl.kernel.playing import first_states, move

try:
    import gymnasium
    from gymnasium.envs.toy_text.frozen_lake import generate_random_map
except ImportError:
    raise ImportError(
        "gridworld.gymnasium needs Gymnasium: pip install 'minirl-book[gym]'") from None

LAKES = {"4x4": maps.LAKE_4X4, "8x8": maps.LAKE_8X8}


class WorldEnv(gymnasium.Env):
    """A world as a `gymnasium.Env`: observations and actions are whole numbers.

    `info["action_mask"]` is 1 for each action that is available in the present state, and 0 for the
    others; `env.action_space.sample(mask)` obeys it.  As in Taxi an action that is not available is
    not refused: it has whatever outcomes the arrays of the world give to it.

    Parameters
    ----------
    world : GridWorld or TabularMDP
    render_mode : None or "ansi"
        "ansi" draws the map as text, the cell of the walker in brackets; of a `TabularMDP`, which
        has no map, only the number of the state.

    Examples
    --------
    >>> env = WorldEnv(maps.cliff_walk())
    >>> env.reset(seed=0)
    (36, {'prob': 1.0, 'action_mask': array([1, 1, 1, 1], dtype=int8)})
    >>> env.step(0)[:4]
    (24, -1.0, False, False)
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(self, world, render_mode=None):
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode must be None or 'ansi', got {render_mode!r}")
        self.world = world if isinstance(world, GridWorld) else None
        self.mdp = world.mdp(gamma=1.0) if self.world is not None else world
        self.P = self.mdp.P
        self.initial_state_distrib = self.mdp.start
        self.render_mode = render_mode
        self.observation_space, self.action_space = map(gymnasium.spaces.Discrete, self.mdp.shape)
        self.state = None
        # `make` replaces it; without one, Gymnasium's checker could not make this world again.
        self.spec = gymnasium.envs.registration.EnvSpec("minirl/World-v0", WorldEnv,
                                                        kwargs={"world": world})

    def reset(self, *, seed=None, options=None):
        """A new episode: (state, info).  `info["prob"]` is the chance of this start."""
        super().reset(seed=seed)
        self.state = int(first_states(self.mdp, self.np_random.random()))
        return self.state, self._info(float(self.mdp.start[self.state]))

    def step(self, action):
        """One step: (state, reward, terminated, False, info).

        `info["prob"]` is the chance of this outcome.  Time limits, which truncate, are the business
        of Gymnasium's wrapper.
        """
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be a whole number in [0, {self.action_space.n}), "
                             f"got {action!r}")
        (following,), (reward,), (terminated,) = move(
            self.mdp, np.array([self.state]), np.array([action]), self.np_random.random(1))
        outcome = int(following), float(reward), bool(terminated)
        prob = next(chance for chance, *other in self.P[self.state][int(action)]
                    if tuple(other) == outcome)
        self.state = outcome[0]
        return *outcome, False, self._info(prob)

    def _info(self, prob):
        return {"prob": prob, "action_mask": self.mdp.available[self.state].astype(np.int8)}

    def render(self):
        """The map as text, or None without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn("render was called without a render_mode; choose \"ansi\"")
            return None
        if self.world is None or self.state is None:
            return f"state {self.state}\n"
        return map_text(self.world, walker=self.state) + "\n"


def make(map_name="4x4", desc=None, is_slippery=True, success_rate=1 / 3,
         reward_schedule=(1, 0, 0), render_mode=None) -> WorldEnv:
    """The environment registered as `minirl/GridWorld-v0`.

    Parameters
    ----------
    map_name : str or None
        "4x4" or "8x8", the frozen lakes; or another of `maps.WORLDS`, to which the arguments about
        ice do not apply.  None: a lake of 8x8 that Gymnasium draws, another one each time.
    desc : list of str, or str, optional
        A lake of your own, a string per row or one with line breaks, in place of `map_name`.  Rows
        of cells, bytes and arrays of them will do too, such as FrozenLake's own `desc`.
    is_slippery, success_rate, reward_schedule
        As in `maps.frozen_lake`, and as FrozenLake has them.
    render_mode : None or "ansi"

    Examples
    --------
    >>> gymnasium.make("minirl/GridWorld-v0").unwrapped.P[0][0][0][1:]
    (0, 0.0, False)
    """
    if desc is None and map_name is None:
        desc = generate_random_map()
    if desc is None and map_name not in maps.WORLDS:
        raise ValueError(f"map_name must be one of {', '.join(maps.WORLDS)}, or None for a random "
                         f"lake, got {map_name!r}")
    if desc is None and map_name not in LAKES:
        return WorldEnv(maps.WORLDS[map_name](), render_mode)
    text = LAKES[map_name] if desc is None else _text(desc, "\n")
    return WorldEnv(maps.frozen_lake(text, slippery=is_slippery, success_rate=success_rate,
                                     reward_schedule=reward_schedule), render_mode)


def _text(cells, between):
    """A map, or a row of one, as text."""
    if isinstance(cells, (str, bytes)):
        return cells if isinstance(cells, str) else cells.decode()
    try:
        return between.join(_text(part, " ") for part in cells)
    except TypeError:
        raise ValueError(f"desc must be a map, as text or in rows, got {cells!r}") from None


# A string, so that what is made can be written down as JSON.
gymnasium.register(id="minirl/GridWorld-v0", entry_point=f"{__name__}:make", max_episode_steps=100)
