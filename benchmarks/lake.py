"""W10: PPO from nothing to an optimal policy of the 8x8 lake without slipping.

A run begins with the uniform policy and ends as soon as the greedy policy walks from the start to
the goal by a shortest way, 14 steps, which is looked at after every batch.  The hard part is to
find the goal at all: a random walker does so in one of 647 episodes of 80 steps.

*plain* plays episode by episode and sums over tokens, as the paper writes it.  *book* is
`minirl.play.ppo.ppo` with the same settings, of which a few batches are enough.  The peer,
*stable_baselines3*, has the network that it takes by default, with a learning rate and an entropy
bonus that suit this world better than its own.  How long a run takes is mostly how soon it finds
the goal, so that several seeds are run of each.
"""

from bisect import bisect
from functools import partial
from random import Random

import numpy as np

from benchmarks.timing import Case
from gridworld.maps import LAKE_8X8, frozen_lake
from minirl.exact.evaluation import evaluate
from minirl.exact.planning import policy_iteration
from minirl.play.ppo import ppo
from minirl.play.training import start
from minirl.kernel.softmax import backward, log_softmax

WORLD = frozen_lake(LAKE_8X8, slippery=False).mdp(gamma=0.95)
FOLLOWING, REWARD, ENDS = (table[:, :, 0] for table in (WORLD.next_state, WORLD.reward,
                                                        WORLD.terminated))
SHORTEST, BATCHES = 14, 60  # steps to the goal; batches after which a run gives up
EPISODES, HORIZON, EPOCHS, CLIP, LAMBDA = 384, 80, 3, 1.0, 0.95
RATE, ENTROPY = 0.5, 0.1


def has_arrived(action):
    """Whether the walk by `action` (S,) from the start reaches the goal by a shortest way."""
    s = 0
    for _ in range(SHORTEST - 1):
        s = FOLLOWING[s, action[s]]
    return REWARD[s, action[s]] == 1


def book(seeds):
    """The greedy actions at the end of each run: (seeds, S)."""
    found = []
    for seed in range(seeds):
        for record in ppo(WORLD, start(np.zeros(WORLD.shape), rng=seed), episodes=EPISODES,
                          horizon=HORIZON, n_epochs=EPOCHS, clip_range=CLIP, gae_lambda=LAMBDA,
                          value_rate=1.0, learning_rate=RATE, ent_coef=ENTROPY):
            action = record.logits.argmax(axis=1)
            if has_arrived(action) or record.iteration == BATCHES:
                break
        found.append(action)
    return np.array(found)


def plain(seeds):
    """The same as `book`, episode by episode, with arrays over tokens in the epochs."""
    return np.array([plain_run(seed) for seed in range(seeds)])


def plain_run(seed):
    """The greedy actions at the end of one run: (S,)."""
    random, S, A = Random(seed).random, *WORLD.shape
    following, paid, ends = FOLLOWING.tolist(), REWARD.tolist(), ENDS.tolist()
    logits, values = np.zeros((S, A)), np.zeros(S)
    mean, square, number = np.zeros((S, A)), np.zeros((S, A)), 0
    for _ in range(BATCHES):
        running = np.exp(log_softmax(logits)).cumsum(axis=1).tolist()
        old_logp, v = log_softmax(logits), values.tolist()
        states, actions, advantages, targets = [], [], [], []
        for _ in range(EPISODES):
            s, episode, ended = 0, [], False
            while len(episode) < HORIZON and not ended:
                a = bisect(running[s], random(), hi=A - 1)
                ended = ends[s][a]
                after = 0.0 if ended else v[following[s][a]]
                episode.append((s, a, paid[s][a] + WORLD.gamma * after - v[s]))
                s = following[s][a]
            advantage = 0.0
            for s, a, error in reversed(episode):
                advantage = error + WORLD.gamma * LAMBDA * advantage
                states.append(s)
                actions.append(a)
                advantages.append(advantage)
                targets.append(advantage + v[s])
        s, a, weight = np.array(states), np.array(actions), np.array(advantages)
        weight = weight / max(np.sqrt((weight**2).mean()), 1e-8)
        visits = np.bincount(s, minlength=S)
        seen = visits > 0
        values[seen] = np.bincount(s, targets, minlength=S)[seen] / visits[seen]
        for _ in range(EPOCHS):
            logp = log_softmax(logits)
            ratio = np.exp(logp[s, a] - old_logp[s, a])
            alive = np.where(weight > 0, ratio <= 1 + CLIP, ratio >= 1 - CLIP)
            G = np.zeros((S, A))
            np.add.at(G, (s, a), -ratio * weight * alive / s.size)
            entropy = -(np.exp(logp) * logp).sum(axis=1, keepdims=True)
            share = visits[:, None] / s.size
            grad = backward(logp, G) + ENTROPY * share * np.exp(logp) * (logp + entropy)
            number += 1  # Adam
            mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad**2
            logits = logits - RATE * (mean / (1 - 0.9**number)
                                      / (np.sqrt(square / (1 - 0.999**number)) + 1e-8))
        action = logits.argmax(axis=1)
        if has_arrived(action):
            break
    return action


def with_stable_baselines3(seeds):
    """Runs that also end as soon as their greedy policy has arrived: (seeds, S)."""
    import torch
    from gymnasium import make
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)

    def action(model):
        return model.predict(np.arange(64), deterministic=True)[0]

    class Look(BaseCallback):
        def _on_rollout_start(self):
            self.over = has_arrived(action(self.model))

        def _on_step(self):
            return not self.over

    def run(seed):
        lake = DummyVecEnv([partial(make, "FrozenLake-v1", map_name="8x8", is_slippery=False)] * 16)
        model = PPO("MlpPolicy", lake, gamma=WORLD.gamma, n_steps=128, batch_size=512, n_epochs=4,
                    learning_rate=0.02, ent_coef=0.1, seed=seed, device="cpu")
        model.learn(200_000, callback=Look())
        return action(model)

    return lambda: np.array([run(seed) for seed in range(seeds)])


def prepare(seeds, peers):
    """As `timing.run` wants it; only the book does all seeds, since the others take long."""
    few = min(seeds, 3)
    forms = {"plain": partial(plain, few), "book": partial(book, seeds)}
    items = {"plain": few, "book": seeds}
    if "stable_baselines3" in peers:
        forms["stable_baselines3"] = with_stable_baselines3(few)
        items["stable_baselines3"] = few
    return forms, items


def optimal(results):
    """Raise AssertionError unless every run of every form ended with an optimal policy."""
    best = policy_iteration(WORLD).objective
    for name, found in results.items():
        for seed, action in enumerate(found):
            worth = evaluate(WORLD, np.eye(4)[action])[0]
            assert abs(worth - best) < 1e-10, f"{name} is worth {worth}, not {best}, seed {seed}"


CASES = [Case("W10", "PPO to an optimal policy", "run", prepare, (20, 5, 20), optimal)]
