"""Three figures that move: the numbers that `docs/living.js` shows, computed by the book itself.

Each is a `<figure>` before the exercises of its chapter.  It holds a table that everybody can read,
and the numbers as JSON.  Where JavaScript runs, the table gives way to a slider.
"""

import json
import re
from html import escape

import numpy as np

from gridworld.draw import ARROWS, policy_text, side_by_side, values_text
from gridworld.maps import frozen_lake
from minirl.exact.planning import backward_induction, value_iteration
from minirl.lab.running_example import bigram_of, running_example, written
from minirl.lab.table import in_columns
from minirl.people.regularised import frontier, regularised_optimum
from minirl.play.ppo import ppo_loss
from minirl.play.surrogate import Advantages
from toy_lm.rewards import is_vowel

# The prices of the frontier, which are denser where the policy runs away.
BETAS = (8, 6, 5, 4, 3.5, 3, 2.5, 2, 1.8, 1.6, 1.4, 1.2, 1.1, 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7,
         0.65, 0.6, 0.58, 0.56, 0.54, 0.52, 0.5, 0.48, 0.46, 0.44, 0.42, 0.4, 0.39, 0.38, 0.37,
         0.36, 0.35, 0.345, 0.34, 0.335, 0.33, 0.325, 0.32, 0.315, 0.31, 0.305, 0.3)
EPSILON = 0.2
RATIOS = tuple(k / 100 for k in range(1, 200))
GAMMA = 0.99
_TAG = re.compile(r"\((\w+\.\d+)\)")
EQUAL = 1e-12  # moves whose values differ by no more are equally good
SHOWN_SWEEPS = (*range(51), *range(60, 101, 10), *range(150, 701, 50))  # and the last one


def frontier_numbers():
    """What the slider for β shows: the optimum at each price, and ten words that it writes.

    π* is not listed.  It follows from `values`, by (regularised.2) and (regularised.3).
    """
    example = running_example(bigram_of())
    vowel = is_vowel(example.model.vocabulary)
    points, values, words = [], [], []
    for point in frontier(example.world, example.reference, BETAS):
        best = regularised_optimum(example.world, example.reference, beta=point.beta)
        writer = written(example, "", np.log(best.policy), None, 0)
        points.append([point.beta, point.reward, point.kl, best.objective, writer.mean_length])
        values.append(best.values.round(4).tolist())
        words.append(writer.samples)
    before = written(example, "", example.reference, None, 0)
    return {
        "letters": example.model.vocabulary.letters,
        "order": [0, *(np.flatnonzero(vowel) + 1).tolist(), *(np.flatnonzero(~vowel) + 1).tolist()],
        "start": BETAS.index(example.beta),
        "reference": {"reward": round(before.reward, 4), "length": round(before.mean_length, 2),
                      "words": before.samples},
        "points": np.round(points, 4).tolist(), "values": values, "words": words,
        "ref_logp": example.reference.round(3).tolist(),
        "reward": example.world.mean_reward.round(3).tolist(),
    }


def clip_numbers():
    """What the slider for ρ shows: the term and its gradient in log π, from `ppo_loss`.

    One step took head, which has the chance ½ under π_old and ρ/2 under π.  That is the only entry
    of G.  So the gradient in the logit of head is G (1 − ρ/2), by (softmax.3).
    """
    terms, gradients = {}, {}
    for A in (1, -1):
        step = Advantages(np.array([[max(A, 0.0), 0]]), np.array([[min(A, 0.0), 0]]), 1.0)
        found = [ppo_loss(np.log([[ratio / 2, 1 - ratio / 2]]), np.log([[0.5, 0.5]]), step,
                          clip_range=EPSILON) for ratio in RATIOS]
        terms[A] = [round(-loss, 4) + 0.0 for loss, _ in found]
        gradients[A] = [round(-grad[0, 0] / (1 - ratio / 2), 4) + 0.0
                        for ratio, (_, grad) in zip(RATIOS, found)]
    return {"epsilon": EPSILON, "ratios": RATIOS, "start": RATIOS.index(1.4),
            "terms": terms, "gradients": gradients}


def sweep_numbers():
    """What the slider for sweeps shows: values, greedy moves and the largest change.

    With k steps to go, `backward_induction` has the values of k sweeps from V = 0: (planning.3) is
    (planning.1) read as an assignment.
    """
    world = frozen_lake()
    mdp = world.mdp(gamma=GAMMA)
    best = value_iteration(mdp)
    plan = backward_induction(mdp, best.rounds + 1)
    values, Q = plan.values[:0:-1], plan.action_values[::-1]  # from sweep 0 on
    greedy = Q >= Q.max(axis=2, keepdims=True) - EQUAL
    changes = np.abs(np.diff(values, axis=0)).max(axis=1)
    settled = 1 + int(np.flatnonzero((greedy != greedy[-1]).any(axis=(1, 2)))[-1])
    arrows = np.array([ARROWS[move] for move in world.moves])
    shown = [*SHOWN_SWEEPS, best.rounds]
    return {
        "symbols": "".join(world.symbols), "sweeps": shown, "start": 5, "settled": settled,
        "best": round(best.objective, 4),
        "values": values[shown].round(4).tolist(),
        "changes": [float(f"{changes[k - 1]:.3g}") if k else None for k in shown],
        "arrows": [["".join(arrows[moves]) for moves in greedy[k]] for k in shown],
    }


def frontier_still(found):
    """The reference and five prices, and what is written there."""
    reference = found["reference"]
    rows = [("reference", reference["reward"], 0.0, reference["reward"],
             " ".join(reference["words"][:4]))]
    for beta in (4, 1, 0.5, 0.35, 0.3):
        at = BETAS.index(beta)
        rows.append((f"β = {beta:g}", *found["points"][at][1:4], " ".join(found["words"][at][:3])))
    rows = [(*row, words if len(words) < 45 else words[:44] + "…") for *row, words in rows]
    return [in_columns("price, E[R], KL, J, some words", rows).replace("-", "−")]


def clip_still(found):
    """The six cells: two signs and three ranges."""
    rows = []
    for A in (1, -1):
        for ratio in (0.6, 1.1, 1.4):
            at, clipped = RATIOS.index(ratio), np.clip(ratio, 1 - EPSILON, 1 + EPSILON)
            rows.append((A, ratio, ratio * A, float(clipped * A),
                         found["terms"][A][at], "alive" if found["gradients"][A][at] else "dead"))
    return [in_columns("A, ρ, ρ A, clip(ρ) A, minimum, gradient", rows, 1).replace("-", "−")]


def sweep_still(found):
    """The lake after some numbers of sweeps: values, and beside them the greedy moves."""
    world, drawn = frozen_lake(), []
    for k in (1, 6, found["settled"], found["sweeps"][-1]):
        at = found["sweeps"].index(k)
        moves = np.array([[ARROWS[move] in cell for move in world.moves]
                          for cell in found["arrows"][at]], float)
        change = f"sweep {k}, change {found['changes'][at]:.2g}"
        drawn.append(side_by_side({change: values_text(world, np.array(found["values"][at])),
                                   "greedy moves": policy_text(world, moves)}))
    return drawn


FIGURES = {  # page: the name in living.js, the numbers, the table, and what one sees
    "chapters/minirl/people/regularised": (
        "frontier", frontier_numbers, frontier_still,
        "The best policy of the running example at each price.  The straight line has the slope β "
        "and touches the frontier at the optimum, by (regularised.7).  At KL 0 its height is J*.  "
        "At the price 0.27757 and below there is no optimum."),
    "chapters/minirl/play/ppo": (
        "clip", clip_numbers, clip_still,
        "One step of a batch, and its term min(ρ A, clip(ρ) A) of (ppo.1) with ε = 0.2: for a good "
        "action and for a bad one.  The gradient is that in log π, by (ppo.3)."),
    "chapters/minirl/exact/planning": (
        "sweeps", sweep_numbers, sweep_still,
        "Value iteration on the slippery 4x4 lake with γ = 0.99, from V = 0.  The greedy policy is "
        "the best one from sweep 45 on.  The values need 704 sweeps to settle within 10⁻¹⁰."),
}


def figure(page):
    """The `<figure>` of a page: HTML without an empty line, at which Markdown would end it."""
    name, numbers, still, caption = FIGURES[page]
    found, caption = numbers(), _TAG.sub(r'(<a href="#\1">\1</a>)', caption)
    data = json.dumps(found, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    tables = "\n".join(f'<pre class="table" tabindex="0">{escape(table, quote=False)}</pre>'
                       for table in still(found))
    return (f'<figure class="living" data-living="{name}">\n<div class="still">\n{tables}\n'
            f"<noscript><p>With JavaScript this table is a slider.</p></noscript>\n</div>\n"
            f'<script type="application/json">{data}</script>\n'
            f"<figcaption>{caption}</figcaption>\n</figure>")


def placed(page, text):
    """The Markdown of a page with its living figure, if it has one, before the exercises."""
    if page not in FIGURES:
        return text
    return text.replace("\n## Exercises\n", f"\n{figure(page)}\n\n## Exercises\n", 1)
