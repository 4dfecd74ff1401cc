"""Pictures of Part 5: bounds, attempts, checks, searches, laws of scale, collecting, a network."""

from minirl.lab import (attempts, collecting, contrasts, figures, laws, networks, searches)
from minirl.lab.style import Picture
from toy_lm.corpora import unicode_words

TRAINED = attempts.AttemptsScale(runs=2, letters=())
WIDTHS = searches.SearchScale().widths
SEARCHED = searches.SearchScale(orders=(), runs=4, most=2**13)


def contrasts_numbers(seed=0) -> contrasts.Contrasts:
    """The numbers of the picture `contrast`; nothing in them is random."""
    return contrasts.measure_contrasts()


def attempts_numbers(seed=0) -> attempts.Attempts:
    """The numbers of the picture `attempts`: two runs of PPO, all else by descent."""
    return attempts.attempt(seed, _quiet, TRAINED)


def skills_numbers(seed=0) -> attempts.Attempts:
    """The numbers of the picture `skills`."""
    errors, checks = attempts.cascade_of_words()
    return attempts.Attempts([], [], errors, checks,
                             attempts.emerging(seed, attempts.AttemptsScale().letters))


def beams_numbers(seed=0) -> searches.Searches:
    """The numbers of the picture `beams`; nothing in them is random."""
    words = unicode_words()
    strings = [searches.strings_of(words, order, WIDTHS) for order in searches.PSEUDO_COUNTS]
    return searches.Searches(seed, None, strings, [], None, [])


def trees_numbers(seed=0) -> searches.Searches:
    """The numbers of the picture `trees`: four runs of each rule, and the chain."""
    return searches.measure_searches(seed, _quiet, SEARCHED)


def laws_numbers(seed=0) -> laws.Laws:
    """The numbers of the picture `scaling`."""
    return laws.measure_laws(seed=seed)


def draw_laws(found):
    """Trees of each order, and what published laws would buy."""
    return figures.laws_figure(found, laws.PUBLISHED, laws.SPENT)


def harvest_numbers(seed=0) -> collecting.Collected:
    """The numbers of the picture `harvest`."""
    return collecting.measure_harvest(seed, _quiet)


def memories_numbers(seed=0) -> networks.Networks:
    """The numbers of the picture `memory`: networks after 100 iterations."""
    memories = [networks.remember(letters, iterations=100, seed=seed) for letters in (1, 2, 3, 4)]
    return networks.Networks(memories, *10 * [None])


def _quiet(line):
    """Progress that nobody sees."""


BEYOND_PICTURES = (
    Picture("contrast", "beyond.contrastive",
            "A batch of K shows at most log K of the mutual information I",
            "mean over all batches at the best critic, exact; right: by a dual encoder, best of 13 "
            "fits", contrasts_numbers, figures.contrasts_figure, "contrastive.5"),
    Picture("attempts", "beyond.inference",
            "A trained table wins with few attempts, the reference with many",
            "by one of k attempts (lines), by majority (dotted); own tables: one per prompt; "
            "seed 0",
            attempts_numbers, figures.attempts_figure, "inference.1"),
    Picture("skills", "beyond.cascade",
            "Checking steps buys more than checking words; long skills grow by more",
            "left: at most 1, 2, 3, 4, 8 or 1,000 draws of a step, exact; right: a memory of five "
            "letters", skills_numbers, figures.checks_figure, "cascade.3"),
    Picture("beams", "beyond.search", "A wider beam finds likelier words, and so shorter ones",
            "nats of log π and letters, means of 27 prompts; models of Unicode words, exact",
            beams_numbers, figures.beams_figure, "search.2"),
    Picture("trees", "beyond.tree_search",
            "A tree search is as good as its prior, and UCT can be misled",
            "left: median, worst and best of four seeds; right: in powers of 2, seed 0",
            trees_numbers, figures.trees_figure, "tree_search.4"),
    Picture("scaling", "beyond.scaling",
            "Each memory comes to rest as data grow; published laws disagree",
            "left: n-gram trees on Unicode names, the best as a band, seed 0; right: published "
            "fits", laws_numbers, draw_laws, "scaling.5"),
    Picture("harvest", "beyond.harvest",
            "Few negatives collect too much; a strict loop from a narrow start stops early",
            "five rounds, the first open; ×5: 5 negatives for each of 100 known lines; seed 0",
            harvest_numbers, figures.harvest_figure),
    Picture("memory", "beyond.network",
            "A longer memory hurts flat n-grams, and hardly a network",
            "Unicode words, a tenth held out; 64 hidden units, 100 iterations of a fit, seed 0",
            memories_numbers, figures.memories_figure),
)
