"""All that draws or trains, from a seed: what it gives, as bytes.

    python tests/same.py           a fingerprint of each trainer and sampler, a line each
    python tests/same.py printed   of each job, picture and plain page, which takes minutes
    python tests/same.py golden    tests/golden.json: a few numbers for each trainer and sampler

Two processes must print the same, whatever differs between them.  The numbers are also the same
with another Python, NumPy or SciPy, but for rounding.
"""

from contextlib import redirect_stdout
from dataclasses import fields, is_dataclass
from functools import partial
import hashlib
import io
import json
from itertools import islice
import runpy
import sys
from types import SimpleNamespace

import numpy as np
from scipy import sparse

from minirl.beyond import harvest
from minirl.beyond.network import forward, network_optimiser, random_params
from minirl.beyond.tree_search import deceptive_chain, tree_search, uct
from minirl.kernel import playing
from minirl.kernel.environment import playable
from minirl.kernel.sampling import generator, generators, words
from minirl.people.grpo import grpo
from minirl.play.optim import adam
from minirl.play.ppo import ppo
from minirl.play.prediction import predictors
from minirl.play.q_learning import learners
from minirl.play.reinforce import reinforce
from minirl.play.training import start
from test_trainers import TRAINERS
from toy_lm import demonstrations, models, preferences, raters
from toy_lm.ngram import language, sample
from toy_lm.verifiers import is_palindrome
from worlds import random_mdp

RNG = np.random.default_rng(5)
WORLD = random_mdp(RNG, 4, 3, 3, 0.9)
POLICY, STATES = RNG.dirichlet(np.ones(3), 4), RNG.integers(0, 4, 30)
ROWS = sparse.csr_array(RNG.random((30, 20)) < 0.3).astype(float)
SCORES, LETTERS = RNG.normal(size=(40, 4)), RNG.normal(size=(5, 5))
SPOILT = {"temperature": 0.7, "noise": 0.1}
MODEL = models.fit("no on one none noon neon eon ton note tone".split())
PLAIN = ["actor_critic", "best_of_n", "dpo", "episode", "grpo", "language_model", "ppo",
         "q_learning", "reinforce", "reward_model", "rlhf", "value_iteration"]


def main(arguments):
    if arguments == ["golden"]:
        rows = (f"{json.dumps(name)}: {json.dumps(summary(run()))}" for name, run in ALL.items())
        print("{", ",\n".join(rows), "}", sep="\n")
        return
    runs = jobs() | pictures() | plain() if arguments == ["printed"] else ALL
    for name, run in runs.items():
        print(f"{fingerprint(run())}  {name}", flush=True)


def trained(name):
    """Three records of a trainer."""
    return list(islice(TRAINERS[name](TRAINERS[name].first), 3))


def large(trainer, **options):
    """Three records of a trainer whose table has 19,683 entries: sums that libraries of linear
    algebra would share out among threads."""
    logits, ref = np.random.default_rng(2).normal(size=(2, 27**2, 27))
    world, record = language(ref), start(logits, rng=3)
    return list(islice(trainer(world, record, episodes=64, optimiser=adam(), **options), 3))


def large_network():
    """PPO on a network with 64 features and 64 hidden units, for 729 states."""
    rng, params = np.random.default_rng(4), random_params(64, 64, 27, rng=5)
    x, rewards = rng.normal(size=(27**2, 64)), rng.normal(size=(27**2, 27))
    record = start(forward(params, x, hidden=64)[0], rng=6)
    return list(islice(ppo(language(rewards), record, episodes=64, max_grad_norm=0.5,
                           optimiser=network_optimiser(params, x, hidden=64)), 2))


def drawn(function, *arguments, **options):
    """What a sampler gives with a seed, and with a generator, twice."""
    def calls():
        again = np.random.default_rng(8)
        return [function(*arguments, rng=rng, **options) for rng in (7, again, again)]

    return calls


def planned(policy):
    """A search of two hundred simulations, with a policy to end them by."""
    *_, tree = islice(tree_search(deceptive_chain(4), 0, uct(), rng=7, policy=policy), 200)
    return tree


def instructed():
    return list(islice(demonstrations.self_instruct(["on", "no"], is_palindrome, rng=7,
                                                    strings=10), 3))


def harvested():
    first = harvest.begin([1, 2, 4], 30, rng=7)
    return list(islice(harvest.harvest(ROWS, np.arange(30) % 3, lambda shown: shown[::2], first),
                       3))


def printed(name):
    """What the page of an algorithm prints when it is run."""
    with redirect_stdout(io.StringIO()) as out:
        runpy.run_module(f"minirl.plain.{name}", run_name="__main__")
    return out.getvalue()


SAMPLERS = {
    generator: drawn(lambda rng: generator(rng).random(3)),
    generators: lambda: [bits.random() for bits in generators([7, 8])],
    words: lambda: [words(generator(7), 5, np.arange(3)),
                    words(generators([7, 8]), 5, np.array([1]))],
    playing.rollout: drawn(playing.rollout, WORLD, POLICY, STATES, horizon=9),
    playing.start_states: drawn(partial(playing.start_states, WORLD, 30)),
    playing.step: drawn(playing.step, WORLD, STATES, STATES % 3),
    playing.walk: drawn(lambda **options: list(islice(
        playing.walk(WORLD, POLICY, STATES, **options), 9))),
    playing.steps_played: drawn(playing.steps_played, WORLD, POLICY, STATES, horizon=9),
    "playable": lambda: playable(WORLD).begin(generators([7, 8])),
    start: drawn(start, LETTERS),
    predictors: lambda: predictors(WORLD, rng=[7, 8]),
    learners: lambda: learners(WORLD, rng=[7, 8]),
    random_params: drawn(random_params, 3, 4, 5),
    tree_search: lambda: [planned(None), planned(np.full((4, 2), 0.5))],
    harvest.begin: harvested,
    harvest.min_hashes: drawn(harvest.min_hashes, ROWS, 16),
    raters.choose: drawn(raters.choose, SCORES[:, :2], **SPOILT, ties=0.3),
    raters.compare: drawn(raters.compare, SCORES[:, 2:], **SPOILT, ties=0.1),
    raters.rank: drawn(raters.rank, SCORES, **SPOILT),
    sample: drawn(sample, LETTERS, 30),
    preferences.sample_pairs: drawn(preferences.sample_pairs, LETTERS, -LETTERS, 30),
    preferences.respond: drawn(preferences.respond, LETTERS, 3, prompts=[0, 1]),
    demonstrations.complete: drawn(demonstrations.complete, MODEL, 9, prompts=["n"]),
    demonstrations.filtered: drawn(demonstrations.filtered, MODEL, is_palindrome, 9),
    demonstrations.self_instruct: instructed,
    models.Model.write: drawn(MODEL.write, 9)}
TRAINED = {name: partial(trained, name) for name in TRAINERS} | {
    "reinforce, a large table": partial(large, reinforce, max_grad_norm=0.1),
    "ppo, a large table": partial(large, ppo, max_grad_norm=0.1, batch_size=32, n_epochs=2),
    "grpo, a large table": partial(large, grpo, ref_logits=np.zeros((27**2, 27)), beta=0.1,
                                   max_grad_norm=0.1),
    "ppo, a large network": large_network}
ALL = TRAINED | {getattr(name, "__name__", name): run for name, run in SAMPLERS.items()}


def jobs():
    """The jobs of parts 1 to 4, as small as their tests run them: the text and the JSON.  The clock
    stands still, since seconds are printed.  (Those of part 5 are run as commands in test_jobs.)"""
    import test_jobs
    from minirl.lab import job, keeping, policies, values
    for module in job, keeping, policies, values:
        module.perf_counter = lambda: 0.0

    def run(name):
        found, lines = test_jobs.found(name)
        one = test_jobs.EVERY[name]
        return one.text(found), job.as_json(one.document(found)), lines

    return {f"job {name}": partial(run, name) for name in test_jobs.EVERY
            if name not in test_jobs.BEYOND}


def plain():
    """What the pages of the algorithms print."""
    return {f"plain.{name}": partial(printed, name) for name in PLAIN}


def pictures():
    """The numbers of the pictures that are not those of a job of part 5."""
    from minirl.pictures import on_people, on_play, on_worlds
    return {f"picture {one.name}": partial(one.data, 0) for one in (
        *on_worlds.ON_WORLDS, *on_play.ON_PLAY, *on_people.ON_PEOPLE)}


def fingerprint(found):
    """The sha256 of all bytes of a record, however deep."""
    return hashlib.sha256(b"\n".join(
        f"{leaf.dtype} {leaf.shape} ".encode() + leaf.tobytes() if isinstance(leaf, np.ndarray)
        else repr(leaf).encode() for leaf in _leaves(found))).hexdigest()


def summary(found):
    """How many floats there are, the sum of their sizes, a sum with weights that tell them apart,
    and a remainder that tells the whole numbers and letters apart: a generator's among them."""
    floats, whole = [], []
    for leaf in _leaves(found):
        values = leaf.ravel().tolist() if isinstance(leaf, np.ndarray) else [leaf]
        for value in values:
            if isinstance(value, float):
                floats.append(value)
            else:
                whole.extend([value] if isinstance(value, int) else repr(value).encode())
    x = np.array(floats)
    return [x.size, float(np.abs(x).sum()), float((x * np.cos(np.arange(x.size))).sum()),
            sum(k * n for k, n in enumerate(whole, 1)) % (2**61 - 1)]


def _leaves(x):
    """Arrays, numbers, texts and None, in their order."""
    if sparse.issparse(x):
        x = x.shape, x.data, x.indices, x.indptr
    if is_dataclass(x):
        x = [getattr(x, field.name) for field in fields(x)]
    if isinstance(x, dict):
        x = list(x.items())
    if isinstance(x, SimpleNamespace):
        x = sorted(vars(x).items())
    if isinstance(x, (list, tuple)):
        for part in x:
            yield from _leaves(part)
    elif isinstance(x, (np.ndarray, np.generic)):
        yield np.asarray(x)
    elif callable(x):
        yield x.__qualname__
    elif x is None or isinstance(x, (bool, int, float, str, bytes)):
        yield x
    else:
        raise TypeError(f"what are the bytes of {x!r}?")


if __name__ == "__main__":
    main(sys.argv[1:])
