"""What the tests of preference learning share: the running example, and all strings of a small
one."""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from minirl.kernel import counts
from minirl.exact.evaluation import expectation
from minirl.people.regularised import regularised_optimum
from minirl.people.pairs import Pairs
from minirl.people.sft import fit_by_counting
from minirl.kernel.softmax import log_softmax
from toy_lm.ngram import language
from toy_lm.corpora import unicode_words
from toy_lm.preferences import sample_pairs
from toy_lm.rewards import easy_to_say
from toy_lm.vocabulary import from_items

BETA = 0.5


class Example(NamedTuple):
    """The running example: the reference of the Unicode words and the reward "easy to say"."""

    reference: np.ndarray
    world: object
    optimum: object


@cache
def running_example():
    items = unicode_words()
    vocabulary = from_items(items)
    reference = fit_by_counting(counts.table(vocabulary.encode(items)), pseudo_count=0.1)
    world = language(easy_to_say(vocabulary))
    return Example(reference, world, regularised_optimum(world, reference, beta=BETA))


@cache
def preference_pairs(pairs, seed):
    """The running example's preferences."""
    example = running_example()
    return sample_pairs(example.reference, example.world.mean_reward, pairs, rng=seed)


def preference_matrix(pairs, seed):
    """D of them."""
    return preference_pairs(pairs, seed).difference


def share(logits):
    """(J − J(ref)) / (J* − J(ref)) on the running example, exactly."""
    example = running_example()

    def J(logp):
        table = example.world.mean_reward - BETA * (logp - example.reference)
        return expectation(example.world, np.exp(logp), table)

    start = J(example.reference)
    return (J(log_softmax(logits)) - start) / (example.optimum.objective - start)


def mean_length(logits):
    """Letters of a string of the running example, exactly; infinite where that cannot be solved."""
    letters = np.ones((27, 27)) * (np.arange(27) > 0)
    try:
        return expectation(running_example().world, np.exp(log_softmax(logits)), letters)
    except ValueError:
        return np.inf


def sigma(x):
    return 1 / (1 + np.exp(-x))


def totals(table, strings):
    """The sum of a table over the steps of each string, as a loop over strings and steps."""
    return np.array([sum(table[step] for step in string) for string in strings])


def score(logp, string):
    """∇log π of a list of steps: e_a − π(·|s), summed over them."""
    total = np.zeros(logp.shape)
    for s, a in string:
        total[s] -= np.exp(logp[s])
        total[s, a] += 1
    return total


def all_strings(letters, longest):
    """Every string of at most `longest` letters, as lists of steps (s, a), the end included."""
    strings = []
    for length in range(longest + 1):
        for letters_of in product(range(1, letters + 1), repeat=length):
            path = [0, *letters_of, 0]
            strings.append(list(zip(path[:-1], path[1:])))
    return strings


def pairs_of(chosen, rejected, symbols=3):
    """`Pairs` of lists of strings."""
    return Pairs(as_steps(chosen, symbols), as_steps(rejected, symbols))


def as_steps(strings, symbols):
    """`counts.Steps` of lists of steps over a (symbols, symbols) table."""
    steps = np.array([step for string in strings for step in string])
    starts = np.append(0, np.cumsum([len(string) for string in strings]))
    return counts.steps(steps[:, 0], steps[:, 1], starts, (symbols, symbols))


def strings_of(steps):
    """The steps (s, a) of each string, as lists."""
    return [[divmod(int(n), steps.shape[1]) for n in steps.index[first:last]]
            for first, last in zip(steps.starts[:-1], steps.starts[1:])]
