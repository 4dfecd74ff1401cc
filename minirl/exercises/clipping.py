"""Exercises of Part 3, the end: the policy gradient, and PPO."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.plain import ppo as plain
from minirl.play.ppo import ppo_loss
from minirl.play.ppo_kl import ppo_kl_loss
from minirl.play.reinforce import reinforce_loss
from minirl.play.surrogate import collapse, ratios


def _weight_tables():
    """Tables of logits and of W, of both signs, and numbers of episodes."""
    rng = np.random.default_rng(3)
    return [ExerciseCase((rng.normal(size=shape), 3 * rng.normal(size=shape)), {"episodes": B},
                         {"episodes": B, "S·A": shape[0] * shape[1]})
            for shape, B in (((4, 3), 5), ((3, 5), 7), ((6, 2), 11))]


def _batches(seed):
    """Shapes, and N steps of a few episodes there, N more than there are entries, with A_n."""
    rng = np.random.default_rng(seed)
    for shape, lengths in (((4, 3), (7, 9, 14)), ((3, 5), (11, 6, 5, 15)), ((5, 2), (13, 10))):
        states, actions = (rng.integers(size, size=sum(lengths)) for size in shape)
        starts = np.append(0, np.cumsum(lengths))
        yield rng, counts.steps(states, actions, starts, shape), rng.normal(size=sum(lengths))


def _weighed_batches():
    """Steps and advantages: with weights, without but counted, and with weights again."""
    made = [(steps, advantages, 3 * rng.random(advantages.size))
            for rng, steps, advantages in _batches(4)]
    made[1] = made[1][:2] + (None,)
    return [ExerciseCase(arguments, {"counted": number == 1}, {"N": arguments[1].size})
            for number, arguments in enumerate(made)]


def _two_policies(rng, shape):
    """The logits of a policy some way off, and of the one that played."""
    old = rng.normal(size=shape)
    return old + 0.6 * rng.normal(size=shape), old


def _of_batch(steps):
    """What may be missing, or too much, in a mean over these steps."""
    return {"N": steps.index.size, "S·A": steps.shape[0] * steps.shape[1]}


def _ppo_cases():
    return [ExerciseCase((*_two_policies(rng, steps.shape), collapse(steps, advantages)),
                         {"clip_range": epsilon}, _of_batch(steps))
            for (rng, steps, advantages), epsilon in zip(_batches(5), (0.3, 0.2, 0.15))]


def _ppo_kl_cases():
    return [ExerciseCase((*_two_policies(rng, steps.shape),
                          collapse(steps, advantages, counted=True)), {"kl_coef": beta},
                         {**_of_batch(steps), "kl_coef": beta})
            for (rng, steps, advantages), beta in zip(_batches(6), (0.7, 3.0, 0.4))]


def _loop_cases():
    """Steps as tuples, whose first two entries are s and a, and a list of advantages."""
    return [ExerciseCase((*_two_policies(rng, steps.shape),
                          [divmod(int(entry), steps.shape[1]) for entry in steps.index],
                          advantages.tolist(), epsilon), {}, _of_batch(steps))
            for (rng, steps, advantages), epsilon in zip(_batches(7), (0.3, 0.2, 0.15))]


def _epoch_cases():
    """Episodes as lists of (s, a, r, next s, terminal); some are cut, and some states not met."""
    rng = np.random.default_rng(8)
    return [ExerciseCase((rng.normal(size=shape), 50 * rng.normal(size=shape[0]),
                          [_episode(rng, shape, length) for length in lengths]),
                         {"gamma": gamma, "lam": lam, "epsilon": epsilon, "epochs": epochs,
                          "alpha": alpha, "rate": rate})
            for shape, lengths, gamma, lam, epsilon, epochs, alpha, rate in (
                ((4, 3), (5, 3, 6), 0.9, 0.7, 0.2, 3, 2.3, 0.6),
                ((6, 2), (4, 1, 7, 2), 0.8, 0.3, 0.1, 4, 3.7, 0.35),
                ((3, 5), (8, 6), 0.95, 0.6, 0.3, 5, 5.9, 0.85))]


def _episode(rng, shape, length):
    """An episode that ends at its last step, or is cut if its length is even."""
    states = rng.integers(shape[0] - 1, size=length + 1).tolist()
    return [(states[t], int(rng.integers(shape[1])), float(60 * rng.normal()), states[t + 1],
             t == length - 1 and length % 2 == 1) for t in range(length)]


# The numbers that matter at an entry.


def _weight_there(case, place):
    logits, weights = case.arguments
    return f"π = {np.exp(log_softmax(logits)[place]):.3f}, W = {weights[place]:+.3f}"


def _ratio_there(case, place):
    logits, old_logits, batch = case.arguments
    logp, old_logp = log_softmax(logits), log_softmax(old_logits)
    said = f"ρ = {ratios(logp, old_logp)[place]:.3f}"
    if "clip_range" in case.keywords:
        said += _bounds(case.keywords["clip_range"])
    said += f", A⁺ = {batch.gains[place]:+.3f}, A⁻ = {batch.losses[place]:+.3f}"
    if batch.counts is not None:
        said += f", N[s] = {batch.visits[place[0]]:.0f}, π_old = {np.exp(old_logp[place]):.3f}"
    return said


def _bounds(epsilon):
    return f" (the bounds are {1 - epsilon:.2f} and {1 + epsilon:.2f})"


def _steps_there(case, place):
    logits, old_logits, steps, advantages, epsilon = case.arguments
    ratio = ratios(log_softmax(logits), log_softmax(old_logits))[place]
    found = [f"{A:+.3f}" for (s, a), A in zip(steps, advantages) if (s, a) == place]
    return f"ρ = {ratio:.3f}{_bounds(epsilon)}; its steps have A = {', '.join(found) or 'none'}"


# What the edits replace.

_MINIMUM = "np.minimum(ratio, high) * gains + np.maximum(ratio, low) * losses"
_ALIVE = "gains * (ratio <= high) + losses * (ratio >= low)"
_LOOP_MINIMUM, _LOOP_ALIVE = "min(ratio * A_t, clipped * A_t)", "ratio * A_t <= clipped * A_t"
_RATIOS = "ratios(logp, old_logp)"
_PRICE = "(price * np.isfinite(distance))[:, None] * np.exp(old_logp)"

# What is said of a mistake that can be made with tables and in a loop.

_SAYS = {
    "max_for_min": "max stands where (ppo.1) has min, or the wrong side is clipped: a good action "
                   "is held when it has become rarer, and goes on for ever when it has become "
                   "likelier.",
    "clipped_alone": "clip(ρ) A stands alone, without the minimum: an action that has moved the "
                     "wrong way by more than ε is clipped too, and is never pulled back.",
    "dead_on_both_sides": "the loss is right, and the gradient is dead on both sides: a good "
                          "action below 1 − ε and a bad one above 1 + ε are still alive.",
    "unclipped": "nothing is clipped: this is the surrogate mean of ρ A, which promises more the "
                 "farther the policy goes.",
    "gradient_unclipped": "the loss is clipped and the gradient is not: beyond the bound the "
                          "clipped term is a constant, whose derivative is zero.",
    "no_ratio_in_gradient": "the ratio is missing in the gradient: ∂ρ/∂log π = ρ, since ρ = "
                            "exp(log π − log π_old).",
    "upside_down": "the ratio is upside down: ρ is π/π_old, and not π_old/π."}


ON_CLIPPING = (
    Exercise(
        "reinforce", "play.reinforce", reinforce_loss,
        "Write the loss of REINFORCE, on the table W of a batch of episodes, and its gradient.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax",
        _weight_tables,
        mistakes=(
            Mistake("no_log", "the logarithm is missing: this is −Σ W π/B.  The steps were "
                    "drawn from π, and so a likely action has its chance counted twice.",
                    ((reinforce_loss, "terms = product(G, logp)",
                      "G = G * np.exp(logp)\n    terms = G"),)),
            Mistake("weighed_by_policy", "W is multiplied by π: −Σ π W log π/B, with this π as a "
                    "constant.  W is already a sum over the steps that π took, so that likely "
                    "actions are in it more often.",
                    ((reinforce_loss, "terms = product(G, logp)",
                      "G = G * np.exp(logp)\n    terms = G * logp"),)),
            Mistake("softmax_over_states", "the softmax runs over the states, down a column; "
                    "(softmax.1) runs over the actions of a row.",
                    ((reinforce_loss, "log_softmax(logits)", "log_softmax(np.transpose(logits)).T"
                      ),)),
            Mistake("logits_for_log_policy", "θ stands where (reinforce.3) has log π: the softmax "
                    "is missing, and the loss falls for ever as the logits grow.",
                    ((reinforce_loss, "logp = log_softmax(logits)", "logp = np.asarray(logits)"),
                     (reinforce_loss, "backward(logp, G)", "G"))),
            Mistake("only_praise", "negative weights are left out: what went worse than expected "
                    "is not made rarer.",
                    ((reinforce_loss, "G = -weights /", "G = -np.maximum(weights, 0) /"),)),
            Mistake("centred", "the mean of the table is taken from W.  A baseline belongs to a "
                    "step, before the steps are added up: here entries that nobody visited would "
                    "learn too.",
                    ((reinforce_loss, "G = -weights /", "G = -(weights - weights.mean()) /"),)),
            Mistake("divided_by_weights", "the sum is divided by Σ |W| where (reinforce.3) divides "
                    "by B: twice the reward would teach no more.",
                    ((reinforce_loss, "checks.whole(\"episodes\", episodes)",
                      "np.abs(weights).sum()"),))),
        hints=("The loss is a sum over entries of W times something, divided by the number of "
               "episodes.",
               "The derivative of −W[s, a] log π(a|s)/B in log π(a|s) is the factor before log π.",
               "That table of factors is G.  It is not yet the gradient in the logits.",
               "`G = -weights / episodes`, and the gradient is `backward(logp, G)`."),
        by_hand="reinforce_loss(np.log([[3.0, 1.0]]), np.array([[8.0, -4.0]]), episodes=4)",
        done="A row of the gradient is π ΣW/B − W/B: what is praised is compared with what π "
             "would have done anyway.  What does an action learn that π takes for certain?",
        equations=("reinforce.3",), there=_weight_there),
    Exercise(
        "collapse", "play.surrogate", collapse,
        "Collapse a batch of N steps into `Advantages`: gains A⁺, losses A⁻, the number of steps, "
        "or the sum of their weights, and the counts, which you may make in any case.  "
        "`counts.table(steps, numbers)` adds up a number per step at the entry of each step.",
        "import numpy as np\n\nfrom minirl.kernel import counts\n"
        "from minirl.play.surrogate import Advantages", _weighed_batches,
        mistakes=(
            Mistake("netted", "the advantages of an entry are added up before their signs are "
                    "taken.  The sign is that of each step: otherwise a good step and a bad one "
                    "cancel, and PPO cannot clip one and keep the other.",
                    ((collapse, "sums, = _tables(key, 1, steps.shape, advantages)",
                      "net = _tables(key, 1, steps.shape, advantages)[0].sum(axis=0)\n"
                      "    sums = np.stack([np.maximum(net, 0), np.minimum(net, 0)])"),)),
            Mistake("last_step_only", "of the steps at one entry only the last one is there: "
                    "`table[index] += numbers` does not add up repeated indices.  np.add.at, "
                    "np.bincount and counts.table do.",
                    ((collapse, "sums, = _tables(key, 1, steps.shape, advantages)",
                      "sums = np.zeros((2, prod(steps.shape)))\n"
                      "    sums[0, steps.index] = np.maximum(advantages, 0)\n"
                      "    sums[1, steps.index] = np.minimum(advantages, 0)\n"
                      "    sums = sums.reshape(2, *steps.shape)"),
                     (collapse, "table = counts.table(steps, weights)\n"
                      "    return Advantages(*sums, table.sum(), table)",
                      "weights = np.ones(steps.index.size) if weights is None else weights\n"
                      "    table = np.zeros(prod(steps.shape))\n    table[steps.index] = weights\n"
                      "    return Advantages(*sums, weights.sum(), table.reshape(steps.shape))")),
                    41),
            Mistake("weights_not_in_sums", "the weights are in the counts and not in the sums: "
                    "a step counts as much as its weight in all three tables.",
                    ((collapse, "advantages * checks.weights(\"weights\", weights, "
                      "steps.index.shape)", "advantages"),)),
            Mistake("number_without_weights", "the number is N, the number of steps, where it "
                    "should be the sum of their weights.",
                    ((collapse, "table.sum(), table", "float(steps.index.size), table"),)),
            Mistake("counts_without_weights", "counts and number are without the weights, which "
                    "count in all three tables.",
                    ((collapse, "counts.table(steps, weights)", "counts.table(steps)"),)),
            Mistake("losses_as_magnitudes", "the losses are positive: A⁻ is a sum of negative "
                    "advantages, and (ppo.2) adds it as it is.",
                    ((collapse, "Advantages(*sums, table", "Advantages(sums[0], -sums[1], table"),
                     )),
            Mistake("divided", "gains and losses are divided by the number of steps; "
                    "(surrogate.1) has sums, and the loss divides them itself.",
                    ((collapse, "Advantages(*sums, table", "Advantages(*sums / table.sum(), table"
                      ),)),
            Mistake("exchanged", "gains and losses have changed places.",
                    ((collapse, "Advantages(*sums, table", "Advantages(*sums[::-1], table"),))),
        hints=("Each step has an entry, `steps.index`, and steps may share one: sum, do not "
               "overwrite.",
               "Split each A_n into max(A_n, 0) and min(A_n, 0) before you add up.",
               "A weight is a factor of the advantage, and what the step adds to the counts.",
               "`gains = counts.table(steps, weights * np.maximum(advantages, 0))`, where the "
               "weights are ones if there are none."),
        by_hand="collapse(counts.steps(np.zeros(3, int), np.array([0, 0, 1]), np.array([0, 3]), "
                "(1, 2)), np.array([3.0, -1.0, 2.0]), np.array([0.5, 1.0, 2.0]))",
        done="A pass over the batch now costs an operation or a few per entry, however long it "
             "was.  Would tables of A⁺ and A⁻ be enough for a loss with ρ² in the place of ρ?",
        equations=("surrogate.1",), results=("gains", "losses", "number", "counts")),
    Exercise(
        "ppo", "play.ppo", ppo_loss,
        "Write the clipped loss of PPO, on the tables of a batch, and its gradient.  The batch "
        "has `gains` A⁺ ≥ 0 and `losses` A⁻ ≤ 0, both (S, A), and `number`, the number of steps N.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, log_softmax\n"
        "from minirl.play.surrogate import Advantages", _ppo_cases,
        mistakes=(
            Mistake("max_for_min", _SAYS["max_for_min"],
                    ((ppo_loss, _MINIMUM,
                      "np.maximum(ratio, low) * gains + np.minimum(ratio, high) * losses"),
                     (ppo_loss, _ALIVE, "gains * (ratio >= low) + losses * (ratio <= high)")), 31),
            Mistake("clipped_alone", _SAYS["clipped_alone"],
                    ((ppo_loss, _MINIMUM, "np.clip(ratio, low, high) * (gains + losses)"),
                     (ppo_loss, _ALIVE, "(gains + losses) * (ratio >= low) * (ratio <= high)")),
                    31),
            Mistake("dead_on_both_sides", _SAYS["dead_on_both_sides"],
                    ((ppo_loss, _ALIVE, "(gains + losses) * (ratio >= low) * (ratio <= high)"),),
                    31),
            Mistake("netted", "A⁺ and A⁻ are added up before the minimum is taken.  The minimum "
                    "is that of each step: at one entry a good step may be dead while a bad one "
                    "is alive.",
                    ((ppo_loss, _MINIMUM, "np.minimum(ratio * (gains + losses), "
                      "np.clip(ratio, low, high) * (gains + losses))"),
                     (ppo_loss, _ALIVE, "(gains + losses) * np.where(gains + losses > 0, "
                      "ratio <= high, ratio >= low)"))),
            Mistake("no_ratio_in_gradient", _SAYS["no_ratio_in_gradient"],
                    ((ppo_loss, "G = ratio * (", "G = ("),)),
            Mistake("gradient_unclipped", _SAYS["gradient_unclipped"],
                    ((ppo_loss, _ALIVE, "gains + losses"),)),
            Mistake("unclipped", _SAYS["unclipped"],
                    ((ppo_loss, _MINIMUM, "ratio * (gains + losses)"),
                     (ppo_loss, _ALIVE, "gains + losses"))),
            Mistake("upside_down", _SAYS["upside_down"],
                    ((ppo_loss, _RATIOS, "ratios(old_logp, logp)"),)),
            Mistake("log_ratio", "the ratio is the difference of the logarithms, without exp: it "
                    "is 0 at π = π_old, where ρ is 1.",
                    ((ppo_loss, _RATIOS, "logp - old_logp"),), 32)),
        hints=("The ratio of each entry is exp(log π − log π_old), and ∂ρ/∂log π = ρ.",
               "Gains are held at 1 + ε from above, and losses at 1 − ε from below.",
               "Where min(ρ, 1 + ε) is 1 + ε, its derivative is 0; where it is ρ, it is ρ.",
               "G is −(ρ/N) times A⁺ where ρ ≤ 1 + ε, plus A⁻ where ρ ≥ 1 − ε; then "
               "`backward(logp, G)`."),
        by_hand="ppo_loss(np.log([[6.0, 4.0]]), np.log([[2.0, 3.0]]), "
                "Advantages(np.array([[2.0, 3.0]]), np.array([[-1.0, -1.0]]), 4.0), "
                "clip_range=0.3)",
        done="At π = π_old every ratio is 1, and nothing is clipped: the first step is that of "
             "`actor_critic`.  Predict: which steps can be dead after it?",
        equations=("ppo.1", "ppo.2"), there=_ratio_there),
    Exercise(
        "ppo_loop", "play.ppo", plain.surrogate,
        "Write the clipped surrogate of PPO as a loop over steps, with its gradient: L, (7) of "
        "its paper, is the mean over the steps of min(ρ A, clip(ρ, 1 − ε, 1 + ε) A), and is to be "
        "made large.  A step is a tuple that begins with s and a; A has a number for each step; "
        "theta and old are the logits of π and of π_old.",
        "import numpy as np\n\nfrom minirl.plain.ppo import softmax", _loop_cases,
        mistakes=(
            Mistake("max_for_min", _SAYS["max_for_min"],
                    ((plain.surrogate, "L += min(", "L += max("),
                     (plain.surrogate, _LOOP_ALIVE, "ratio * A_t >= clipped * A_t")), 31),
            Mistake("clipped_alone", _SAYS["clipped_alone"],
                    ((plain.surrogate, _LOOP_MINIMUM, "clipped * A_t"),
                     (plain.surrogate, _LOOP_ALIVE, "ratio == clipped")), 31),
            Mistake("dead_on_both_sides", _SAYS["dead_on_both_sides"],
                    ((plain.surrogate, _LOOP_ALIVE, "ratio == clipped"),), 31),
            Mistake("own_entry_only", "the step moves its own entry alone: in ∇ log π(a|s) = e_a − "
                    "π(·|s) the second part is missing, by which the others of the row fall.",
                    ((plain.surrogate, "grad[s] -= ratio * A_t * pi[s] / len(steps)", "pass"),)),
            Mistake("no_ratio_in_gradient", _SAYS["no_ratio_in_gradient"],
                    ((plain.surrogate, "grad[s] -= ratio * A_t", "grad[s] -= A_t"),
                     (plain.surrogate, "grad[s, a] += ratio * A_t", "grad[s, a] += A_t"))),
            Mistake("gradient_unclipped", _SAYS["gradient_unclipped"],
                    ((plain.surrogate, _LOOP_ALIVE, "True"),)),
            Mistake("unclipped", _SAYS["unclipped"],
                    ((plain.surrogate, _LOOP_MINIMUM, "ratio * A_t"),
                     (plain.surrogate, _LOOP_ALIVE, "True"))),
            Mistake("upside_down", _SAYS["upside_down"],
                    ((plain.surrogate, "pi[s, a] / pi_old[s, a]", "pi_old[s, a] / pi[s, a]"),))),
        hints=("Make the two tables π and π_old once, before the loop.",
               "A step has two numbers, ρ A and clip(ρ) A; L gets the smaller one.",
               "If the clipped one is smaller, the step is a constant and adds nothing to the "
               "gradient.",
               "Otherwise it adds ρ A ∇ log π(a|s): `grad[s] -= ratio * A_t * pi[s]` and "
               "`grad[s, a] += ratio * A_t`, both divided by the number of steps."),
        by_hand="surrogate(np.log([[6.0, 4.0]]), np.log([[2.0, 3.0]]), [(0, 0), (0, 0), (0, 1)], "
                "[2.0, -1.0, 3.0], 0.3)",
        done="These are the numbers of `ppo_loss`, with the other sign: there the loss is to be "
             "made small.  How often is a ratio computed here, and how often there?",
        results=("objective", "gradient"), through_softmax=False, there=_steps_there),
    Exercise(
        "ppo_epochs", "play.ppo", plain.ppo,
        "Write what PPO does with one batch: a few steps of θ along the surrogate, and one of V. "
        " An episode is a list of steps (s, a, r, next s, terminal), and V has a number for each "
        "state.  The advantages are judged once, by the V that came in.  Each epoch adds `alpha` "
        "times the gradient to θ, which learns from advantages divided by their root mean square "
        "plus 1e-8, over the whole batch.  V learns from the undivided ones: V(s) moves by `rate` "
        "times the mean A_t of the steps in s, and stays where s was not met.",
        "import numpy as np\n\nfrom minirl.plain.ppo import advantages, surrogate", _epoch_cases,
        mistakes=(
            Mistake("old_moves", "the old policy moves with the new one: then every ratio is 1 and "
                    "nothing is ever clipped.  π_old played the batch, and stays as it is until "
                    "the last epoch.",
                    ((plain.ppo, "surrogate(theta, old,", "surrogate(theta, theta,"),), 32),
            Mistake("centred", "the mean is taken from the advantages.  Libraries do so; here they "
                    "are divided by their size alone, so that each keeps its sign.",
                    ((plain.ppo, "A / (np.sqrt(np.mean(np.square(A))) + 1e-8)",
                      "(A - np.mean(A)) / (np.std(A) + 1e-8)"),), 33),
            Mistake("standard_deviation", "the advantages are divided by their standard deviation, "
                    "where the root of their mean square should be: the first is smaller if their "
                    "mean is not zero.",
                    ((plain.ppo, "np.sqrt(np.mean(np.square(A)))", "np.std(A)"),), 33),
            Mistake("unscaled", "the advantages that θ learns from are not divided by their size: "
                    "the length of a step then depends on the unit of the rewards.",
                    ((plain.ppo, "steps, scaled, epsilon", "steps, A, epsilon"),), 33),
            Mistake("across_episodes", "the advantages run across the ends of the episodes: the "
                    "first step of an episode leaks into the last one of the episode before.",
                    ((plain.ppo, "[A_t for episode in episodes for A_t in "
                      "advantages(episode, V, gamma, lam)]", "advantages(steps, V, gamma, lam)"),)),
            Mistake("scaled_for_critic", "V learns from the scaled advantages: their unit is no "
                    "longer that of the rewards.",
                    ((plain.ppo, "zip(steps, A)", "zip(steps, scaled)"),)),
            Mistake("sum_for_critic", "V moves by the sum of the errors in a state, where it "
                    "should be their mean: a state that was met often moves too far.",
                    ((plain.ppo, " / np.maximum(visits, 1)", ""),)),
            Mistake("mean_over_batch", "V moves by the errors in a state divided by all steps of "
                    "the batch, where it should be the steps in that state.",
                    ((plain.ppo, "np.maximum(visits, 1)", "len(steps)"),)),
            Mistake("downhill", "the step goes against the gradient: `surrogate` is to be made "
                    "large.",
                    ((plain.ppo, "theta + alpha", "theta - alpha"),))),
        hints=("`advantages(episode, V, gamma, lam)` is one list; make one for all episodes, in "
               "the order of the steps.",
               "`theta = theta + ...` leaves the old table as it is, and `theta += ...` would "
               "change it.",
               "`surrogate(theta, old, steps, scaled, epsilon)[1]` is the gradient; old is the θ "
               "that came in, in every epoch.",
               "For V, add up A_t and 1 by state, and divide the sums where a state was met."),
        by_hand="ppo(np.zeros((2, 2)), np.zeros(2), [[(0, 0, 7.0, 0, True)], "
                "[(0, 1, -1.0, 0, True)], [(1, 0, 5.0, 0, True)]], gamma=0.9, lam=0.7, "
                "epsilon=0.2, epochs=2, alpha=0.6, rate=0.25)",
        done="The first epoch goes the way of `actor_critic`.  Predict: what do a thousand epochs "
             "on one batch do, with the clip and without it?",
        results=("theta", "values"), through_softmax=False),
    Exercise(
        "ppo_kl", "play.ppo_kl", ppo_kl_loss,
        "Write the loss of PPO with a price on the KL, without a clip, and its gradient.  The "
        "batch has `gains` A⁺ ≥ 0 and `losses` A⁻ ≤ 0, both (S, A), `number`, the number of steps "
        "N, and `visits`, the number N[s] of those in each state.",
        "import numpy as np\n\nfrom minirl.kernel.softmax import backward, kl, log_softmax\n"
        "from minirl.play.surrogate import Advantages", _ppo_kl_cases,
        mistakes=(
            Mistake("other_direction", "this is KL(π‖π_old), and (ppo_kl.1) has KL(π_old‖π): the "
                    "mean is taken under the policy that played.",
                    ((ppo_kl_loss, "kl(old_logp, logp)", "kl(logp, old_logp)"),
                     (ppo_kl_loss, "np.exp(old_logp)", "np.exp(logp) * (old_logp - logp)"))),
            Mistake("price_without_gradient", "the price has no gradient: its part of G is "
                    "missing, or has π where (ppo_kl.2) has π_old, and the backward pass makes a "
                    "multiple of π zero.",
                    ((ppo_kl_loss, "np.exp(old_logp)", "np.exp(logp)"),)),
            Mistake("wrong_sign_of_price", "the price has the wrong sign: the policy is paid for "
                    "going far.",
                    ((ppo_kl_loss, "(product(price, distance).sum() -",
                      "(-product(price, distance).sum() -"),
                     (ppo_kl_loss, "gains + (price", "gains - (price")), 2),
            Mistake("every_state_alike", "the KL is a mean over the states of the table, where "
                    "(ppo_kl.1) has N[s]/N: a state that was met often costs more.",
                    ((ppo_kl_loss, "kl_coef * batch.visits", "kl_coef * np.full(len(logp), "
                      "N / len(logp))"),)),
            Mistake("price_not_divided", "the price is a sum over the steps, where (ppo_kl.1) has "
                    "a mean: it is N times too large beside the surrogate.",
                    ((ppo_kl_loss, "kl_coef * batch.visits", "kl_coef * N * batch.visits"),)),
            Mistake("no_kl_coef", "β is missing: a nat costs 1.",
                    ((ppo_kl_loss, "kl_coef * batch.visits", "1.0 * batch.visits"),)),
            Mistake("actions_taken", "the KL is estimated from the actions that were taken, by the "
                    "mean of log π_old − log π.  (ppo_kl.1) has that of the whole row, which is "
                    "exact for every visited state.",
                    ((ppo_kl_loss, "product(price, distance).sum()",
                      "kl_coef * (batch.counts * (old_logp - logp)).sum()"),
                     (ppo_kl_loss, _PRICE, "kl_coef * batch.counts"))),
            Mistake("no_ratio_in_gradient", _SAYS["no_ratio_in_gradient"],
                    ((ppo_kl_loss, "-(ratio * gains", "-(gains"),)),
            Mistake("upside_down", _SAYS["upside_down"],
                    ((ppo_kl_loss, _RATIOS, "ratios(old_logp, logp)"),))),
        hints=("W = A⁺ + A⁻ is enough here, since good and bad steps are not treated differently.",
               "`kl(first, second)` gives a number per row, the mean under the first; the order of "
               "the two is the direction.",
               "∂ρ/∂log π = ρ; and in KL(π_old‖π) only −Σ π_old log π depends on π.",
               "G is −(ρ W + β N[s] π_old)/N, with N[s] as a column; then `backward(logp, G)`."),
        by_hand="ppo_kl_loss(np.log([[6.0, 4.0], [1.0, 1.0]]), np.log([[2.0, 3.0], [1.0, 3.0]]), "
                "Advantages(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros((2, 2)), 4.0, "
                "np.array([[2.0, 1.0], [0.0, 1.0]])), kl_coef=0.7)",
        done="The price pulls each probability back to where it was, the harder the farther it "
             "has gone: π_old − π.  Predict the first step: does β matter there?",
        equations=("ppo_kl.1",), there=_ratio_there),
)
