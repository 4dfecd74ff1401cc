"""The exact bias and variance of every estimator of the policy gradient.

An estimator is a random table.  Its expectation and its variance are usually estimated too, by
running it many times.  Here they are computed: the world is so small that every episode can be
listed, with its probability, and the functions that the trainers use are applied to all of them at
once.  The exact gradient is (planning.5), so the bias is exact as well.  One baseline is not the
trainer's own: `optimal_constant` is the number (baselines.2) itself, which a trainer can only
estimate.

The world is a strip of *thin ice*: three cells in a row, a hole to the left, a goal to the right
that pays 1.  Every step pays 0.25, because skating is fun.  The two actions go left and right; one
time in five the ice decides otherwise.  An episode starts in any of the cells, and its fourth step
is its last.  In the first tables the clock belongs to the state (`mdp.unroll`), so that every
episode ends.  In the table of cuts it does not, and an episode that is still on the ice after four
steps is truncated.

An estimate is made from a batch of N episodes.  Where an episode's part does not depend on the
others, the variance is that of one episode over N.  Where it does, as with the batch mean and
leave-one-out, the estimate is a mean over all pairs of episodes,

    ĝ = 1/(N(N−1)) Σ_{i≠j} Σ_t w_t (C_ti − C_tj) ∇ log π(a_ti|s_ti),

and the variance of such a mean follows from two numbers: how much a pair varies, and how much the
mean over its second member varies with the first (Hoeffding 1948, "A class of statistics with
asymptotically normal distribution").

The last table leaves the thin ice for the cliff: it follows the surrogate that PPO climbs, and the
true J, along a line.
"""

from collections import namedtuple
from typing import NamedTuple

import numpy as np

from gridworld.maps import cliff_walk
from minirl.console import integer
from minirl.exact.evaluation import advantages, evaluate, occupancy
from minirl.exact.planning import policy_gradient
from minirl.kernel.mdp import TabularMDP, unroll
from minirl.kernel import layout
from minirl.kernel.playing import Rollout
from minirl.kernel.softmax import log_softmax
from minirl.lab.job import Job
from minirl.lab.listing import all_episodes
from minirl.lab.table import in_columns, page
from minirl.play.baselines import constant_baseline, no_baseline, scores
from minirl.play.ppo import ppo_loss
from minirl.play.reinforce import after_the_end, value_baseline, weigh
from minirl.play.returns import gae, n_step_returns, reward_to_go, whole_return
from minirl.play.surrogate import Advantages, mean_kl
from minirl.play.training import start

GAMMA = 0.9
STEPS = 4          # of an episode on the ice, at most
PREFERENCE = 0.5  # logit of right over left
LAMBDAS = tuple(k / 10 for k in range(11))
LINE = tuple(k / 10 for k in range(41))  # x of every `LinePoint`
CLIP_RANGE = 0.2
FORMS = {"whole_return": (whole_return, False), "reward_to_go": (reward_to_go, True),
         "reward_to_go_undiscounted": (reward_to_go, False)}  # credit, whether γᵗ is kept


# One estimator ĝ of ∇J from a batch: ‖E ĝ − ∇J‖, the trace of its covariance, ‖E ĝ‖ / √variance.
Estimator = namedtuple("Estimator", "estimator baseline bias variance snr")


# A policy on the line θ + x · ∇J/‖∇J‖: x, `surrogate.mean_kl` over the discounted visits of θ in
# nats per step, J, the surrogate J(θ) + E[Σ γᵗ ρ A], and the same with the clipped ratio of PPO.
LinePoint = namedtuple("LinePoint", "step kl objective surrogate clipped")


# What the job finds: N; how many trajectories were listed; ‖∇J‖ where episodes end, a list of
# Estimator, and for each λ a tuple (λ, Estimator with wrong values, Estimator with true values);
# ‖∇J‖ where episodes may be cut, and a list of (Estimator, bias of the steps before the cut); and a
# list of LinePoint.
Laboratory = namedtuple("Laboratory", "episodes trajectories gradient_norm rows gae "
                        "cut_gradient_norm cut surrogate")


def measure_estimators(episodes) -> Laboratory:
    """The `Laboratory`, for batches of a number N ≥ 2 of episodes."""
    ends, cut = (case_of(mdp, episodes) for mdp in (unroll(thin_ice(), STEPS), thin_ice()))
    cliff = cliff_walk().mdp(gamma=0.99)
    return Laboratory(episodes, ends.chances.size, float(np.linalg.norm(ends.gradient)),
                      baseline_rows(ends) + critic_rows(ends), gae_rows(ends),
                      float(np.linalg.norm(cut.gradient)), cut_rows(cut),
                      surrogate_line(cliff, np.zeros(cliff.shape)))


def thin_ice() -> TabularMDP:
    """The world of this module, without its clock: a `TabularMDP`.

    Action 0 goes left, action 1 right; the second outcome is the slip.
    """
    to = np.arange(3)[:, None, None] + np.array([[-1, 1], [1, -1]])  # of an action, by outcome
    return TabularMDP(next_state=np.clip(to, 0, 2), prob=np.tile([0.8, 0.2], (3, 2, 1)),
                      reward=0.25 + (to == 3), terminated=(to < 0) | (to > 2),
                      start=np.full(3, 1 / 3), gamma=GAMMA)


class Case(NamedTuple):
    """A world, a policy, everything that can happen, and the number of episodes in a batch."""

    mdp: TabularMDP
    record: tuple         # training.Training with the policy; its values are zero
    logp: np.ndarray      # (S, A)
    batch: Rollout        # M episodes, every one that can happen
    chances: np.ndarray   # (M,)
    objective: float      # J
    gradient: np.ndarray  # (S, A) ∇J
    values: np.ndarray    # (S,) the true ones
    episodes: int         # N

    @property
    def critics(self):
        """Value tables by name; the wrong one is half of the true one, on its way from zero."""
        return {"true_values": self.values, "wrong_values": self.values / 2}

    @property
    def discounts(self):
        """γᵗ of each step, (N,)."""
        return GAMMA ** self.batch.time


def case_of(mdp, episodes) -> Case:
    """The `Case` of a world: a policy that goes right a little more often than left."""
    logits = np.tile([0.0, PREFERENCE], (mdp.shape[0], 1))
    logp = log_softmax(logits)
    batch, chances = all_episodes(mdp, np.exp(logp), STEPS)
    J, gradient = policy_gradient(mdp, logits)
    return Case(mdp, start(logits, rng=0), logp, batch, chances, float(J), gradient,
                np.nan_to_num(evaluate(mdp, np.exp(logp))), episodes)


def baseline_rows(case):
    """An `Estimator` for each form of REINFORCE and each baseline."""
    rows, rewards, short = [], case.batch.rewards, 1 - 1 / case.episodes
    for form, (credit, keep_discount) in FORMS.items():
        credits = credit(rewards, case.batch.starts, gamma=GAMMA)
        scale = case.discounts if keep_discount else np.ones(rewards.size)
        best = best_constant(case, scale, credits)
        baselines = {"none": no_baseline, "constant": constant_baseline(case.objective),
                     "optimal_constant": constant_baseline(best),
                     **dict.fromkeys(case.critics, value_baseline)}
        for name, baseline in baselines.items():
            record = case.record._replace(values=case.critics.get(name, case.values))
            rows.append(_judged(case, form, name, weigh(
                rewards, case.batch, record, gamma=GAMMA, credit=credit, baseline=baseline,
                keep_discount=keep_discount)))
        mean, variance = of_pairs(case, credits, after_the_end(credits, case.batch, credit), scale)
        rows += [_row(case, form, "batch_mean", short * mean, short**2 * variance),  # (baselines.1)
                 _row(case, form, "leave_one_out", mean, variance)]
    return rows


def critic_rows(case):
    """An `Estimator` for estimators that ask a value table, the true one and a wrong one."""
    rows, batch = [], case.batch
    for name, values in case.critics.items():
        two = n_step_returns(batch.rewards, batch, values, gamma=GAMMA, n=2) - values[batch.states]
        rows += [_judged(case, estimator, name, weights) for estimator, weights in (
            ("td_error", case.discounts * _gae(case, name, 0.0)),
            ("two_steps", case.discounts * two),
            ("gae_0.9", case.discounts * _gae(case, name, 0.9)),
            ("gae_0.9_undiscounted", _gae(case, name, 0.9)))]
    return rows


def gae_rows(case):
    """A tuple (λ, `Estimator` with wrong values, `Estimator` with true values) for each λ."""
    return [(x, *(_judged(case, f"gae_{x}", name, case.discounts * _gae(case, name, x))
                  for name in ("wrong_values", "true_values"))) for x in LAMBDAS]


def cut_rows(case):
    """(`Estimator`, bias of the steps taken) for estimators on episodes that may be cut.

    Two things go wrong at a cut.  The steps after it are missing from every estimate, even with the
    true values.  The second number leaves that out: it compares with the part of ∇J that belongs to
    the steps before the cut, which is the estimate with the true advantages.
    """
    true = advantages(case.mdp, case.values)[case.batch.states, case.batch.actions]
    taken, _ = of_one(case, case.discounts * true)
    credits = [("reward_to_go", "none", reward_to_go(case.batch.rewards, case.batch.starts,
                                                    gamma=GAMMA)),
               *((f"gae_{x}", name, _gae(case, name, x))
                 for x in (1.0, 0.9, 0.0) for name in case.critics)]
    rows = []
    for estimator, baseline, credit in credits:
        mean, variance = of_one(case, case.discounts * credit)
        rows.append((_row(case, estimator, baseline, mean, variance),
                     float(np.linalg.norm(mean - taken))))
    return rows


def _gae(case, critic, gae_lambda):
    """Generalised advantage estimates by one of the critics, (N,)."""
    return gae(case.batch.rewards, case.batch, case.critics[critic], gamma=GAMMA,
               gae_lambda=gae_lambda)[0]


def _judged(case, estimator, baseline, weights):
    """The `Estimator` that multiplies the score of each step by `weights` (N,)."""
    return _row(case, estimator, baseline, *of_one(case, weights))


def _row(case, estimator, baseline, mean, variance):
    return Estimator(estimator, baseline, float(np.linalg.norm(mean - case.gradient)),
                     float(variance), float(np.linalg.norm(mean) / np.sqrt(variance)))


def _moments(estimates, chances):
    """(expectation, trace of the covariance) of a table with the values (M, S, A)."""
    mean = np.tensordot(chances, estimates, 1)
    return mean, chances @ (estimates**2).sum(axis=(1, 2)) - (mean**2).sum()


def of_one(case, weights):
    """(expectation, variance) of the mean of `reinforce.scores` over N episodes.

    `weights` (N,) are what multiplies the score of each step.
    """
    mean, variance = _moments(scores(case.batch, weights, case.logp), case.chances)
    return mean, variance / case.episodes


def of_pairs(case, credits, ended, scale):
    """(expectation, variance) of the estimate from N episodes with `reinforce.leave_one_out`.

    `credits` (N,) are C, `ended` (M,) are C after the end, and `scale` (N,) is w.
    """
    M, N, shape, batch = case.chances.size, case.episodes, case.logp.shape, case.batch
    first, second = np.divmod(np.arange(M * M), M)
    of_first = batch.select(first)
    C, w = layout.rectangle(credits, batch.starts, ended), layout.rectangle(scale, batch.starts)
    t, own, other = of_first.time, of_first.spread(first), of_first.spread(second)
    kernel = scores(of_first, w[t, own] * (C[t, own] - C[t, other]), case.logp)
    kernel = kernel.reshape(M, M, -1)
    kernel = (kernel + kernel.swapaxes(0, 1)) / 2
    mean, pair = _moments(kernel.reshape(M * M, *shape),
                          np.outer(case.chances, case.chances).ravel())
    given_first = np.tensordot(case.chances, kernel, (0, 1)).reshape(M, *shape)
    _, single = _moments(given_first, case.chances)
    return mean, 2 / (N * (N - 1)) * (2 * (N - 2) * single + pair)


def best_constant(case, weights, credits):
    """(baselines.2), exactly: E⟨g, z⟩ / E|z|², for `weights` and `credits` (N,)."""
    z, g = (scores(case.batch, x, case.logp) for x in (weights, weights * credits))
    return float(case.chances @ (g * z).sum(axis=(1, 2)) / (case.chances @ (z**2).sum(axis=(1, 2))))


def surrogate_line(mdp, logits, line=LINE):
    """`LinePoint`s along the gradient from the policy `logits`, where J and the surrogates agree.

    The surrogates are PPO's loss on the *population*, the discounted visits of every pair times its
    true advantage: the tables of an endless batch with γᵗ kept and without noise in its advantages.
    """
    J, gradient = policy_gradient(mdp, logits)
    policy = np.exp(log_softmax(logits))
    visits = occupancy(mdp, policy)
    weights = visits[:, None] * policy
    expected = weights * advantages(mdp, np.nan_to_num(evaluate(mdp, policy)))
    population = Advantages(np.maximum(expected, 0), np.minimum(expected, 0), weights.sum())
    points = []
    for step in line:
        moved = logits + step * gradient / np.linalg.norm(gradient)
        promised = (J - visits.sum() * ppo_loss(moved, logits, population, clip_range=epsilon)[0]
                    for epsilon in (np.inf, CLIP_RANGE))
        points.append(LinePoint(step, mean_kl(moved, logits, visits),
                                float(policy_gradient(mdp, moved)[0]), *map(float, promised)))
    return points


# What is asked for, printed and written.


def estimators_text(found):
    """The tables of the job."""
    N, trajectories, norm, rows, _, cut_norm, _, line = found
    curve = [(weight, wrong.bias, wrong.variance, wrong.bias**2 + wrong.variance, true.bias,
              true.variance) for weight, wrong, true in found.gae]
    best = min(curve, key=lambda row: row[3])[0]
    cut = [(*row[:3], taken, *row[3:]) for row, taken in found.cut]
    return page(
        f"Estimates of the policy gradient from {N} episodes on thin ice: exact, from all\n"
        f"{trajectories} episodes that can happen.  The length of the gradient is {norm:.5f}.",
        in_columns("estimator, baseline, bias, variance, SNR", rows, (0, 0, _bias, 5, 3)),
        "Bias is the length of E[estimate] - gradient, variance the trace of the covariance, SNR "
        "the length of E[estimate] over the root of the variance.  constant is J; optimal_constant "
        "is (baselines.2), known beforehand, which the trainer must estimate; true_values is the "
        "policy's own V, wrong_values half of it.  What A2C and PPO follow, but for scale, is "
        "gae_0.9_undiscounted.",
        "Generalised advantage estimation, from one step (0) to the episode's end (1):",
        in_columns(", wrong, values, , true, values\n"
                   "lambda, bias, variance, error, bias, variance", curve,
                   (1, _bias, 5, 5, _bias, 5)),
        f"Error is bias squared plus variance; with {N} episodes and these values lambda "
        f"{best:.1f} has the least.  More episodes lower the variance, not the bias.",
        f"Episodes cut after four steps, not ended by them; the gradient is {cut_norm:.5f} long:",
        in_columns("estimator, baseline, bias, of steps, variance, SNR", cut,
                   (0, 0, _bias, _bias, 5, 3)),
        "What follows a cut is missing from every estimate.  'of steps' leaves that out: it is the "
        "bias in what the steps before the cut contribute, by counting the episode as it is, by "
        "trusting wrong values at the cut, and below lambda 1 by trusting them at every step.",
        "From the uniform policy on the cliff (gamma 0.99) x logits along the gradient:",
        in_columns("x, KL, J, surrogate, clipped", line[::5], (1, 4, 2, 2, 2)),
        "KL is from the uniform policy, in nats per step.  The surrogate is what importance "
        "sampling promises: right to first order, and soon more than any policy can earn (J* is "
        "-12.25).  Clipped at 0.2, as PPO does, it promises nothing for going far.")


def _bias(value):
    """A bias; what is only rounding is shown as such."""
    return f"{value:.0e}" if value < 1e-12 else f"{value:.5f}"


def _document(found):
    return {**found._asdict(),
            "gae": [{"lambda": x, **row._asdict()} for x, *rows in found.gae for row in rows],
            "cut": [{**row._asdict(), "bias_of_steps": taken} for row, taken in found.cut]}


ESTIMATORS = Job("estimators", __doc__,
                 lambda arguments, progress: measure_estimators(arguments.episodes),
                 estimators_text, arguments={"episodes": {
                     "type": integer(2, 10**9), "default": 32,
                     "help": "in the batch of an estimate (32)"}},
                 document=_document, draw=lambda figures, found: figures.estimators_figures(found))
