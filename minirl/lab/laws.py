"""Laws of scale: what the published ones imply, and which one the book's own models obey.

*Published*: the losses that four sets of constants predict for Gopher (280e9 params, 300e9 tokens)
and Chinchilla (70e9, 1.4e12), the power of the budget with which the best params grow, and the best
number of tokens per param for four budgets.  The last set is the first one with a slip, a power of
0.25 in place of 0.28.

*Fitted*: 240 models whose losses are those of one published law, with an error of 0.3 %.  They are
fitted twice.  Once the fit ends when its gradient has vanished.  Once it minimises the mean over
the points, in raw units, and ends where SciPy ends by default: when a step gains less than 2e-9,
or the gradient is below 1e-5.  Both are fit for a loss near 1, and here it is a millionth of that.

*Own*: n-grams of the orders 1 to 6 on random parts of the Unicode names, or of a corpus of your
own; nested parts of eight shuffles, whose losses are averaged.  A step is a token, which is a
character or the end of a line.  Every tenth line is held out.
"Flat" models have a pseudo-count, and "tree" models ask the shorter memory, as in `contexts`.
"""

from collections import namedtuple
from itertools import product

import numpy as np
from scipy import optimize

from minirl.beyond.scaling import (BESIROGLU, HOFFMANN, HOFFMANN_TEX, Law, compute_optimal, fit_law,
                                   law_loss, predicted)
from minirl.files import shown
from minirl.lab.job import SEED, Job
from minirl.lab.running_example import CORPUS, PSEUDO_COUNT
from minirl.lab.table import in_columns, page
from toy_lm.contexts import flat, look_up, tree
from toy_lm.corpora import held_out, read_lines, unicode_names
from toy_lm.vocabulary import from_items

WRONG = HOFFMANN._replace(powers=(0.34, 0.25))  # as it is often quoted
PUBLISHED = {"Hoffmann, as printed": HOFFMANN, "Hoffmann, not rounded": HOFFMANN_TEX,
             "Besiroglu": BESIROGLU, "as printed, with 0.25": WRONG}
MODELS = (280e9, 300e9), (70e9, 1.4e12)  # Gopher and Chinchilla: params and tokens
SPENT = 5.76e23                          # on each of these
BUDGETS = 1e18, 1e21, SPENT, 1e26
FITTED_POINTS, FITTED_ERROR = 240, 0.003
LONGEST_MEMORY = 6
TREE_WEIGHT = 3.0
SHUFFLES = 8
FIRST_PART = 1000  # steps, and then twice as many, below four fifths of all

# What a set of constants says: the losses of Gopher and of Chinchilla, the power of the budget with
# which params grow, and tokens per param at each budget.
Implied = namedtuple("Implied", "constants gopher chinchilla power tokens_per_param")

# So many steps of a corpus: the best order of the flat models, its different n-grams and its nats
# per held-out character; the same for the trees; and the power of their loss since the size before,
# −Δ log loss / Δ log steps; and the losses of all orders.
Part = namedtuple("Part", "steps order kinds loss tree_order tree_kinds tree_loss power flat tree")

# `frontier` is the Law of the best trees, `worst` its largest error of a logarithm, `foretold` the
# loss at the full size by the law of the parts up to `foretold_from` steps, at most a quarter.
# These are None where there are too few parts.  `tokens_per_param` are those of the truth, of the
# fit and of the fit that stops early, for the budget `SPENT`.
Laws = namedtuple("Laws", "published tokens_per_param corpus parts frontier worst foretold_from "
                          "foretold")


def measure_laws(items=None, *, seed=0, corpus=None) -> Laws:
    """All figures of the job, `Laws`: items of a corpus and its name; by default the names."""
    parts = parts_of(unicode_names() if items is None else items, seed)
    steps = np.array([part.steps for part in parts], float)
    losses = np.array([part.tree_loss for part in parts])
    law = worst = few = foretold = None
    if len(parts) > 3:
        law = _law_of(steps, losses)
    if law is not None:
        worst = float(np.abs(np.log(predicted(law, steps) / losses)).max())
    used = steps <= steps[-1] / 4 + 1
    if law is not None and len(parts) > 5 and (early := _law_of(steps[used], losses[used])):
        few, foretold = parts[used.sum() - 1].steps, float(predicted(early, steps[-1]))
    return Laws([implied(name, law) for name, law in PUBLISHED.items()], fitted_ratios(seed),
                corpus, parts, law, worst, few, foretold)


def _law_of(steps, losses):
    """The law of one size, or None where losses are zero or decide none."""
    try:
        return fit_law(steps[:, None], losses).x
    except ValueError:
        return None


def fitted_ratios(seed) -> list:
    """Tokens per param of the truth, of a fit to noisy points and of one that stops early."""
    sizes, measured = noisy_points(seed)
    return [_tokens_per_param(law, SPENT) for law in (
        BESIROGLU, fit_law(sizes, measured).x, stopped_early(sizes, measured))]


def implied(name, law) -> Implied:
    """What a published law says: an `Implied`."""
    power = law.powers[1] / sum(law.powers)
    return Implied(name, *(float(predicted(law, *sizes)) for sizes in MODELS), power,
                   [_tokens_per_param(law, budget) for budget in BUDGETS])


def _tokens_per_param(law, budget):
    params, tokens = compute_optimal(law, budget)
    return float(tokens / params)


# Two fits of the same points.


def noisy_points(seed, points=FITTED_POINTS, error=FITTED_ERROR):
    """sizes (points, 2) and losses (points,) of Besiroglu's law, with an error of log loss."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log([7e7, 5e9]), np.log([1.6e10, 5e11]), (points, 2)))
    return sizes, predicted(BESIROGLU, *sizes.T) * np.exp(error * rng.normal(size=points))


def stopped_early(sizes, losses, share=None) -> Law:
    """The `Law` of the mean over points, in raw units, where SciPy's defaults stop.

    `share` is what the sum is multiplied by, in place of one over the number of points.
    """
    share = 1 / len(losses) if share is None else share
    found = [optimize.minimize(
        lambda x: tuple(share * part for part in law_loss(x, sizes, losses)),
        [floor, *factors, *powers], jac=True, method="L-BFGS-B")
        for *factors, floor in product((0, 10, 20), (0, 10, 20), (-0.5, 0.5))
        for powers in product((0.2, 0.5, 1.0), repeat=2)]
    best = min(found, key=lambda one: one.fun).x
    return Law(float(np.exp(best[0])), tuple(np.exp(best[1:3])), tuple(best[3:]))


# The book's own models.


def parts_of(items, seed):
    """The `Part`s of a corpus, from small to large; the last one is all of its training items."""
    training, held = held_out(items)
    if not held:
        raise ValueError(f"the corpus must have at least ten items, got {len(items)}")
    vocabulary, lengths = from_items(items), np.array([len(item) + 1 for item in training])
    shuffles = [np.random.default_rng([seed, k]).permutation(len(training))
                for k in range(SHUFFLES)]
    total, parts = int(lengths.sum()), []
    while (steps := FIRST_PART * 2**len(parts)) < 0.8 * total:
        parts.append((steps, [_costs(vocabulary, [training[i] for i in _first(
            shuffle, lengths, steps)], held) for shuffle in shuffles]))
    parts.append((total, [_costs(vocabulary, training, held)]))
    return _in_order([(steps, np.mean(costs, axis=0)) for steps, costs in parts])


def _first(shuffle, lengths, steps):
    """The first items of a shuffle that have so many steps or more together."""
    return shuffle[:np.searchsorted(lengths[shuffle].cumsum(), steps) + 1]


def _costs(vocabulary, training, held):
    """Nats per character held out of flat models and of trees, and the n-grams: (3, orders)."""
    found = look_up(vocabulary, training, held, order=LONGEST_MEMORY)
    return (-np.log(flat(found, pseudo_count=PSEUDO_COUNT)).mean(axis=1),
            -np.log(tree(found, weight=TREE_WEIGHT)).mean(axis=1), found.kinds)


def _in_order(rows):
    parts = []
    for steps, (flats, trees, kinds) in rows:
        one, other = flats.argmin(), trees.argmin()
        power = None
        if parts and trees.min() > 0:
            power = float(-np.log(trees.min() / parts[-1].tree_loss)
                          / np.log(steps / parts[-1].steps))
        parts.append(Part(steps, int(one) + 1, round(kinds[one]), float(flats[one]),
                          int(other) + 1, round(kinds[other]), float(trees[other]), power,
                          flats.tolist(), trees.tolist()))
    return parts


# What is printed.


def laws_text(found):
    """The tables of the job, and what the fits found."""
    truth, fitted, early = found.tokens_per_param
    name = "the Unicode names" if found.corpus is None else found.corpus
    rows = [(one.constants, one.gopher, one.chinchilla, one.power,
             *one.tokens_per_param) for one in found.published]
    own = [part[:-2] for part in found.parts]
    text = [
        "What published constants imply: nats per token of two models, the power of the budget "
        "with which the best params grow, and the best tokens per param for four budgets.",
        in_columns("constants, Gopher, Chinchilla, power, 1e18, 1e21, 5.76e23, 1e26", rows,
                   (0, *[4] * 3, *[1] * 4)),
        f"At 5.76e23 the third has {truth:.1f} tokens per param.  From {FITTED_POINTS} points of "
        f"it, with an error of {FITTED_ERROR:.1%}, a fit to the end finds {fitted:.1f}, and one "
        f"that stops early, on the mean and in raw units, about {early:.0f}.",
        f"The best n-gram on parts of {name}, nats per held-out character:",
        in_columns("steps, flat, n-grams, nats, tree, n-grams, nats, power", own,
                   (0, 0, 0, 3, 0, 0, 3, _or_dash))]
    if found.frontier is not None:
        (factor,), (power,) = found.frontier.factors, found.frontier.powers
        law = (f"The best trees lose {found.frontier.floor:.3f} + {factor * 1e4**-power:.3f} "
               f"(10,000/steps)^{power:.3f}, to within {found.worst:.1%}.")
        if found.foretold is not None:
            law += (f"  Fitted up to {found.foretold_from:,} steps, such a law foretells "
                    f"{found.foretold:.3f} for all, where it is {found.parts[-1].tree_loss:.3f}.")
        text.append(law)
    return page(*text)


def _or_dash(power):
    return "-" if power is None else f"{power:.3f}"


def _run(arguments, progress):
    path = arguments.corpus
    items = None if path is None else read_lines(path)
    return measure_laws(items, seed=arguments.seed, corpus=None if path is None else shown(path))


LAWS = Job("scaling", __doc__, _run, laws_text, arguments={"seed": SEED, "corpus": {
    **CORPUS, "help": CORPUS["help"].replace("the words in", "the")}},
    draw=lambda figures, found: figures.laws_figures(found, PUBLISHED, SPENT))
