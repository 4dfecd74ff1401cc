"""What learning from play refuses."""

import numpy as np
from refusals import fraction, not_negative, outside, positive, row, whole

from minirl.kernel import counts
from minirl.kernel.mdp import coin_game
from minirl.kernel.playing import Rollout, rollout
from minirl.play import q_learning as q
from minirl.play.actor_critic import actor_critic
from minirl.play.baselines import (constant_baseline, leave_one_out, no_baseline, optimal_constant,
                                   scores)
from minirl.play.exploration import boltzmann, epsilon_greedy
from minirl.play.many_learners import plan
from minirl.play.optim import adam, clip_norm, coefficient, linear, remaining
from minirl.play.ppo import ppo, ppo_loss
from minirl.play.ppo_kl import ppo_kl, ppo_kl_loss
from minirl.play.prediction import (batch_monte_carlo, batch_td, monte_carlo, predictors,
                                    td_prediction)
from minirl.play.reinforce import reinforce, reinforce_loss, weigh
from minirl.play.returns import (explained_variance, gae, gae_of_rectangle, move_values,
                                 n_step_returns, reward_to_go, td_errors, whole_return)
from minirl.play.surrogate import (Advantages, approximate_kl, clip_fraction, clipped, collapse,
                                   mean_kl, minibatches)
from minirl.play.training import after, environment_rewards, play, start
from worlds import single_outcome

COIN, FAIR = coin_game(), np.zeros((1, 2))
LAKE = single_outcome([[1], [2], [0]], [[1]] * 3, [[False]] * 3, [1, 0, 0])
TOSSES = rollout(COIN, np.full((1, 2), 0.5), np.zeros(3, int), horizon=4, rng=1)
RECORD = start(FAIR, rng=0)


def closed(name, call):
    """The rows of a number in [0, 1], of which both ends are taken."""
    def ends_are_taken():
        for end in 0, 1, 0.0, 1.0:
            call(end)

    yield from fraction(name, call)
    yield ends_are_taken


def train(trainer, record=RECORD, **options):
    """One iteration of a trainer on the coin."""
    return next(trainer(COIN, record, **{"episodes": 8, "horizon": 3} | options))


def shared(trainer):
    """What all trainers of policies refuse."""
    for name, good in (("episodes", 2), ("horizon", 2), ("iterations", 7)):
        yield from whole(name, lambda n, name=name: train(trainer, **{name: n}), good)
    for name in "learning_rate", "ent_coef":
        yield from not_negative(name, lambda x, name=name: train(trainer, **{name: x}))
        yield row(lambda name=name: train(trainer, **{name: lambda progress: -progress}),
                  f"{name} must be finite and not negative, got -1.0")
    yield from positive("max_grad_norm", lambda x: train(trainer, max_grad_norm=x), finite=False)
    yield from closed("value_rate", lambda x: train(trainer, value_rate=x))
    N = play(COIN, RECORD, rewards=environment_rewards, episodes=8, horizon=3).steps.index.size
    for rewards, message in (
            (lambda batch, logp: batch.rewards[0], f"return must have shape ({N},), got ()"),
            (lambda batch, logp: batch.rewards[:1], f"return must have shape ({N},), got (1,)"),
            (lambda batch, logp: batch.rewards[:, None],
             f"return must have shape ({N},), got ({N}, 1)"),
            (with_one(np.nan), "return must be finite, got [nan"),
            (with_one(np.inf), "return must be finite, got [inf")):
        yield row(lambda rewards=rewards: train(trainer, rewards=rewards), f"rewards {message}")
    yield row(lambda: train(trainer, start(np.zeros((2, 2)), rng=0)),
              "logits must have shape (1, 2), got (2, 2)")


def with_one(value):
    """The rewards of the world, but for the first."""
    def rewards(batch, logp):
        earned = np.array(batch.rewards)
        earned.flat[0] = value
        return earned

    return rewards


# The value table is asked for states 0 and 3, and in this order or the other.

CUT = Rollout(np.array([0]), np.array([0]), np.array([1.0]), np.array([False]), np.array([0, 1]),
              np.array([3]), np.array([True]))
BACK = CUT._replace(states=np.array([3]), last_state=np.array([0]))
V = np.zeros(4)


def asks_the_table(function):
    """What a function of rewards, episodes and values refuses."""
    yield from closed("gamma", lambda gamma: function(CUT.rewards, CUT, V, gamma=gamma))
    for wrong in np.ones(2), np.ones((1, 1)), np.ones(0), np.float64(1):
        yield row(lambda wrong=wrong: function(wrong, CUT, V, gamma=0.5),
                  f"rewards must have shape (1,), got {wrong.shape}")
    for wrong, cut in (V[:3], CUT), (V[:3], BACK), (V[:, None], CUT), (np.float64(0), CUT):
        yield row(lambda wrong=wrong, cut=cut: function(CUT.rewards, cut, wrong, gamma=0.5),
                  f"values must be a vector with an entry for state 3, got shape {wrong.shape}")
    for wrong in np.nan, np.inf:
        yield row(lambda wrong=wrong: function(np.array([wrong]), CUT, V, gamma=0.5),
                  "rewards must be finite, got [")
        yield row(lambda wrong=wrong: function(CUT.rewards, CUT, 0 * V + wrong, gamma=0.5),
                  "values of the states in a batch must be finite, got [")


def discounted(function):
    """What a function of rewards and starts alone refuses."""
    yield from closed("gamma", lambda gamma: function(np.zeros(4), np.array([0, 1, 4]),
                                                      gamma=gamma))
    yield row(lambda: function([1.0, np.nan], np.array([0, 2]), gamma=0.9),
              "rewards must be finite, got [ 1. nan]")
    for x, starts in ((np.zeros((2, 2)), [0, 2]), (np.zeros((2, 2)), [0, 4]), (np.zeros(()), [0]),
                      (np.zeros(2), [0, 1]), (np.zeros(2), [0, 3]), (np.zeros(2), []),
                      (np.zeros(3), [1, 3]), (np.zeros(3), [-1, 3]), (np.zeros(3), [0, 2, 1, 3])):
        starts = np.array(starts, int)
        yield row(lambda x=x, starts=starts: function(x, starts, gamma=0.9),
                  f"starts must rise from 0 to the number of steps, got {starts} for shape "
                  f"{x.shape}")


def side_by_side():
    """What the recursion by rows refuses."""
    table = np.ones((2, 3))
    options = {"gamma": 0.5, "gae_lambda": 0.5}
    for name in options:
        yield from closed(name, lambda x, name=name: gae_of_rectangle(table, table, table[0],
                                                                      **options | {name: x}))
    for wrong in table.T, table[:1], table[0]:
        yield row(lambda wrong=wrong: gae_of_rectangle(table, wrong, table[0], **options),
                  f"values must have shape (2, 3), got {wrong.shape}")
    for wrong in table, table[:1], table[0, :2]:
        yield row(lambda wrong=wrong: gae_of_rectangle(table, table, wrong, **options),
                  f"last_values must have shape (3,), got {wrong.shape}")


# Learners of values.

LEARNERS = {q.q_learning: 1, q.sarsa: 1, q.expected_sarsa: 1, q.double_q_learning: 2}


def step_sizes(learn):
    """What a learner with step sizes learning_rate / n^decay refuses."""
    yield from outside("learning_rate", lambda x: learn(learning_rate=x), (0.0, 1.5, np.nan),
                       "(0, 1]")
    yield from closed("decay", lambda x: learn(decay=x))
    yield from whole("horizon", lambda n: learn(horizon=n), 3)


def values_of_actions(learner, M):
    """What Q-learning and its relatives refuse."""
    def learn(world=COIN, record=q.learners(COIN, rng=0, tables=M), **options):
        return next(learner(world, record, **{"steps_per_iteration": 20} | options))

    yield from step_sizes(learn)
    yield from whole("steps_per_iteration", lambda n: learn(steps_per_iteration=n), 20)
    yield from whole("iterations", lambda n: learn(iterations=n), 3)
    yield row(lambda: learn(exploration=epsilon_greedy(1.5)),
              "exploration_rate must lie in [0, 1], got 1.5")
    yield row(lambda: learn(truth=np.zeros((2, 1))), "truth must have shape (1, 2), got (2, 1)")
    for record, got in ((q.learners(LAKE, rng=[0, 1], tables=M), (M, 2, 3, 1)),
                        (q.learners(COIN, rng=0, tables=3 - M), (3 - M, 1, 1, 2))):
        yield row(lambda record=record: learn(record=record),
                  f"the record's tables must have shape {(M, got[1], 1, 2)}, got {got}")


def values_of_states(learner):
    """What the two forms of prediction refuse."""
    def learn(policy=np.full((1, 2), 0.5), record=predictors(COIN, rng=0), **options):
        return next(learner(COIN, policy, record, **options))

    yield from step_sizes(learn)
    yield row(lambda: learn(truth=np.zeros(2)), "truth must have shape (1,), got (2,)")
    yield row(lambda: learn(record=predictors(LAKE, rng=[0, 1])),
              "the record's values must have shape (2, 1), got (2, 3)")
    for truth in None, np.zeros(1):
        yield row(lambda truth=truth: learn(np.ones((2, 1)), truth=truth),
                  "policy must have shape (1, 2), got (2, 1)")
        yield row(lambda truth=truth: learn(np.array([[0.5, 0.2]]), truth=truth),
                  "policy[0] must sum to one, got 0.7")


def settles(batch):
    """What the tables of a fixed batch refuse."""
    yield from closed("gamma", lambda gamma: batch(TOSSES, states=1, gamma=gamma))
    yield from whole("states", lambda n: batch(TOSSES, states=n, gamma=0.5), 2)
    for played in CUT, BACK:
        yield row(lambda played=played: batch(played, states=3, gamma=0.9),
                  "states must be above 3, a state of the batch, got 3")
    yield row(lambda: batch(CUT._replace(last_state=np.array([0])), states=1, gamma=1.0),
              "at gamma = 1.0 the batch must show an end from every state in it")


# Batches of one step, and of nine episodes of which the second has no step.

TOSS = counts.steps(np.zeros(1, int), np.zeros(1, int), np.array([0, 1]), (1, 2))
NINE = counts.steps(*np.zeros((2, 8), int), np.array([0, 1, 1, 2, 3, 4, 5, 6, 7, 8]), (1, 2))
NOTHING = counts.steps(np.zeros(0, int), np.zeros(0, int), np.zeros(2, int), (1, 2))


def epoch(*parts):
    """One epoch over nine episodes in these parts."""
    return next(minibatches(NINE, np.ones(8), [np.array(parts)]))


def surrogate(loss):
    """What a loss of a batch, of the policy and of the one that played refuses."""
    batch, fit = collapse(TOSS, np.ones(1), counted=True), np.zeros((1, 2))
    yield row(lambda: loss(FAIR, np.zeros((2, 2)), batch),
              "old_logits must have shape (1, 2), got (2, 2)")
    yield row(lambda: loss(FAIR, FAIR, Advantages(*np.zeros((2, 2, 1)), 1.0, fit)),
              "the gains of the batch must have shape (1, 2), got (2, 1)")
    yield row(lambda: loss(FAIR, FAIR, Advantages(fit, fit, 0.0, fit)),
              "the number of steps must be positive and finite, got 0.0")


ROWS = {
    "optim": [
        *positive("eps", lambda x: adam(eps=x)),
        *(row(lambda a=a, b=b: adam(beta1=a, beta2=b),
              f"beta1 and beta2 must lie in [0, 1), got {a} and {b}")
          for a, b in ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, -0.1), (np.nan, 0.9),
                       (0.9, np.nan))),
        *positive("max_grad_norm", lambda x: clip_norm(np.ones(2), x), finite=False),
        row(lambda: clip_norm(np.ones(2), -np.inf), "max_grad_norm must be positive, got -inf"),
        *outside("end_fraction", lambda x: linear(1.0, 0.0, x), (0.0, -0.5, 1.5, np.nan), "(0, 1]"),
        *(row(lambda wrong=wrong: linear(**{"start": 1.0, "end": 0.0} | wrong), " must be finite")
          for wrong in ({"start": np.nan}, {"end": np.inf}, {"end": -np.inf})),
        *whole("iterations", lambda n: remaining(3, n), 4),
        *not_negative("ent_coef", lambda x: coefficient("ent_coef", x, 0.5)),
    ],
    "returns": [
        *(row for function in (
            td_errors,
            lambda *args, gamma: gae(*args, gamma=gamma, gae_lambda=0.5),
            lambda *args, gamma: n_step_returns(*args, gamma=gamma, n=2))
          for row in asks_the_table(function)),
        *closed("gae_lambda", lambda x: gae(CUT.rewards, CUT, V, gamma=0.5, gae_lambda=x)),
        *whole("n", lambda n: n_step_returns(TOSSES.rewards, TOSSES, V, gamma=0.5, n=n), 2),
        *discounted(reward_to_go), *discounted(whole_return), *side_by_side(),
        row(lambda: move_values(np.zeros(2), TOSS, np.ones(1), rate=0.5),
            "values must have shape (1,), got (2,)"),
        row(lambda: move_values(np.zeros(1), TOSS, np.ones(3), rate=0.5),
            "weights must have shape (1,), got (3,)"),
        row(lambda: move_values(np.zeros(1), TOSS, np.ones(1), rate=0.5, visits=np.ones(2)),
            "visits must have shape (1,), got (2,)"),
        *closed("rate", lambda x: move_values(np.zeros(1), TOSS, np.ones(1), rate=x)),
        *(row(lambda one=one, other=other: explained_variance(one, other),
              f"predictions must have shape {other.shape}, got {one.shape}")
          for one, other in ((np.zeros(2), np.zeros(3)), (np.zeros((3, 1)), np.zeros(3)))),
        row(lambda: explained_variance(np.zeros(0), np.zeros(0)),
            "the number of returns must be positive and finite, got 0"),
    ],
    "training": [
        row(lambda: start(np.array([[np.inf, 0.0]]), rng=0),
            "logits must be finite or −∞, and not −∞ all along a row"),
        row(lambda: start(np.zeros(2), rng=0), "logits must be a table (S, A), got shape (2,)"),
        *positive("kl_coef", lambda x: start(FAIR, rng=0, kl_coef=x)),
        *whole("n", lambda n: after(iter("abc"), n), 2),
        *whole("num_generations", lambda n: play(
            COIN, RECORD, rewards=environment_rewards, episodes=6, horizon=3, num_generations=n)[1],
               2),
        row(lambda: play(COIN, RECORD, rewards=environment_rewards, episodes=30, horizon=3,
                         num_generations=4),
            "num_generations must divide the number of episodes, 30, got 4"),
        row(lambda: play(COIN, RECORD, rewards=environment_rewards, episodes=4, horizon=3,
                         num_generations=8),
            "num_generations must divide the number of episodes, 4, got 8"),
    ],
    "prediction": [
        row(lambda: predictors(COIN, rng=0, initial_value=np.nan),
            "initial_value must be finite, got nan"),
        *values_of_states(td_prediction), *values_of_states(monte_carlo),
        *settles(batch_td), *settles(batch_monte_carlo),
    ],
    "exploration": [
        *(row for rule in (lambda rule: rule.policy(np.ones((2, 3)), 1.0),
                           lambda rule: plan(rule, np.full((1, 2), 0.5), 3, 1.0)(
                               0, np.ones((2, 3)), np.arange(2), None, False))
          for row in (
              *closed("exploration_rate", lambda x, rule=rule: rule(epsilon_greedy(x))),
              *positive("temperature", lambda x, rule=rule: rule(boltzmann(x))))),
        row(lambda: epsilon_greedy(linear(2.0, 0.0)).policy(np.ones((2, 3)), 0.6),
            "exploration_rate must lie in [0, 1], got 1.2"),
        row(lambda: boltzmann(lambda progress: -progress).policy(np.ones((2, 3)), 0.5),
            "temperature must be positive and finite, got -0.5"),
    ],
    "q_learning": [
        *(row for learner, M in LEARNERS.items() for row in values_of_actions(learner, M)),
        *(row(lambda wrong=wrong: q.learners(COIN, rng=0, tables=wrong),
              f"tables must be 1 or 2, got {wrong}") for wrong in (0, 3)),
        row(lambda: q.learners(COIN, rng=0, initial_value=np.zeros((2, 2))),
            "initial_value must fit (1, 1, 2), got (2, 2)"),
        *(row(lambda wrong=wrong: q.learners(COIN, rng=0, initial_value=wrong),
              f"initial_value must be finite, got {wrong}")
          for wrong in (np.nan, np.array([0, np.inf]))),
        row(lambda: q.learners(COIN, rng=[]), "rng must name at least one run, got []"),
        *(row(call, f"world must be a TabularMDP or an environment.Environment, got {wrong!r}")
          for wrong in (None, "Blackjack-v1", COIN.P) for call in (
              lambda wrong=wrong: q.learners(wrong, rng=0),
              lambda wrong=wrong: next(q.sarsa(wrong, q.learners(COIN, rng=0))))),
    ],
    "reinforce": [
        *shared(reinforce),
        row(lambda: reinforce_loss(FAIR, np.array([[np.nan, 0.0]]), episodes=1),
            "weights must be finite, got [[nan  0.]]"),
        *(row(lambda wrong=wrong: reinforce_loss([[0.0, -np.inf]], [[1.0, wrong]], episodes=1),
              "weights must be 0 where logits are −∞, got") for wrong in (1.0, -1.0)),
        row(lambda: reinforce_loss([[0.0, -np.inf, -np.inf]], [[0, 1, -1]], episodes=1),
            "weights must be 0 where logits are −∞, got"),
        row(lambda: reinforce_loss(FAIR, np.zeros((2, 1)), episodes=1),
            "weights must have shape (1, 2), got (2, 1)"),
        *whole("episodes", lambda n: reinforce_loss(FAIR, np.ones((1, 2)), episodes=n), 2),
        *(row(lambda wrong=wrong: weigh(wrong, TOSSES, RECORD, gamma=1.0, baseline=no_baseline),
              f"rewards must have shape {TOSSES.rewards.shape}, got {wrong.shape}")
          for wrong in (TOSSES.rewards[:, None], TOSSES.rewards[:1], TOSSES.rewards[None])),
        row(lambda: train(reinforce, credit=whole_return, keep_discount=True),
            "keep_discount must be False for the whole return"),
    ],
    "baselines": [
        *(row(lambda value=value: constant_baseline(value), f"value must be finite, got {value}")
          for value in (np.nan, np.inf)),
        *(row(lambda baseline=baseline: train(reinforce, baseline=baseline, episodes=1),
              "episodes must be at least 2 to leave one out, got 1")
          for baseline in (leave_one_out, optimal_constant)),
        row(lambda: scores(TOSSES, TOSSES.rewards[:, None], FAIR),
            f"weights must have shape {TOSSES.rewards.shape}, got {TOSSES.rewards[:, None].shape}"),
    ],
    "actor_critic": [
        *shared(actor_critic),
        *closed("gae_lambda", lambda x: train(actor_critic, gae_lambda=x)),
        *closed("value_lambda", lambda x: train(actor_critic, value_lambda=x)),
        row(lambda: train(actor_critic, RECORD._replace(values=np.zeros(0))),
            "values must be a vector with an entry for state 0, got shape (0,)"),
    ],
    "surrogate": [
        *(row(lambda wrong=wrong: collapse(TOSS, wrong),
              f"advantages must have shape (1,), got {wrong.shape}")
          for wrong in (np.ones(0), np.ones(2), np.ones((1, 1)))),
        row(lambda: collapse(NOTHING, np.ones(0)),
            "the number of steps must be positive and finite, got 0"),
        row(lambda: collapse(NINE, np.ones(8), np.ones(1)),
            "weights must have shape (8,), got (1,)"),
        *(row(lambda make=make, wrong=wrong: make(NINE, np.array([-wrong, *[0] * 6, wrong])),
              "sums of advantages must be finite, got [")
          for make in (collapse, lambda *args: next(minibatches(*args, [np.zeros(9, int)])))
          for wrong in (np.nan, np.inf, -np.inf)),
        *(row(lambda wrong=wrong: collapse(NINE, np.ones(8), [1.0] * 7 + [wrong]),
              "weights must be finite and not negative, got")
          for wrong in (-1.0, np.nan, np.inf)),
        *(row(lambda measure=measure, wrong=wrong: measure(FAIR, FAIR, wrong), words)
          for measure, ones in ((mean_kl, np.ones(1)), (approximate_kl, np.ones((1, 2))))
          for wrong, words in ((-ones, "must be finite and not negative"),
                               (np.nan * ones, "must be finite and not negative"),
                               (0 * ones, "the number of steps must be positive"))),
        row(lambda: clip_fraction(FAIR, FAIR, NOTHING, np.ones(0)),
            "the number of steps must be positive"),
        *(row(lambda wrong=wrong: clip_fraction(*wrong[:2], TOSS, wrong[2]),
              f"{name} must have shape (1,", "got (2, 1)") for name, wrong in (
            ("logits", (np.ones((2, 1)), FAIR, np.ones(1))),
            ("old_logits", (FAIR, np.ones((2, 1)), np.ones(1))),
            ("advantages", (FAIR, FAIR, np.ones((2, 1)))))),
        row(lambda: epoch(2, 0, 0, 2, 2, 0, 0, 2, 0), "every part up to 2 must have a step, got"),
        row(lambda: epoch(2, 1, 0, 2, 2, 0, 0, 2, 0), "every part up to 2 must have a step, got"),
        row(lambda: epoch(1, 0, -1, 1, 1, 0, 0, 1, 0), "parts must be 9 numbers in [0, 9), got"),
        row(lambda: epoch(1, 0, 9, 1, 1, 0, 0, 1, 0), "parts must be 9 numbers in [0, 9), got"),
        row(lambda: epoch(*[0] * 8), "parts must be 9 numbers in [0, 9), got"),
        row(lambda: epoch([0] * 9), "parts must be 9 numbers in [0, 9), got"),
        *positive("clip_range", lambda x: clipped(np.ones(2), np.ones(2), clip_range=x),
                  finite=False),
        *positive("clip_range", lambda x: clip_fraction(FAIR, FAIR, TOSS, np.ones(1), clip_range=x),
                  finite=False),
    ],
    "ppo": [
        *shared(ppo), *surrogate(ppo_loss),
        *positive("clip_range", lambda x: ppo_loss(FAIR, FAIR, collapse(TOSS, np.ones(1)),
                                                   clip_range=x), finite=False),
        *positive("clip_range", lambda x: train(ppo, clip_range=x), finite=False),
        *positive("clip_range", lambda x: train(ppo, clip_range=lambda progress: x), finite=False),
        *positive("target_kl", lambda x: train(ppo, target_kl=x), finite=False),
        *whole("n_epochs", lambda n: train(ppo, n_epochs=n), 2),
        *whole("batch_size", lambda n: train(ppo, batch_size=n), 3),
        *closed("gae_lambda", lambda x: train(ppo, gae_lambda=x)),
    ],
    "ppo_kl": [
        *shared(ppo_kl), *surrogate(lambda *args: ppo_kl_loss(*args, kl_coef=0.7)),
        *not_negative("kl_coef", lambda x: ppo_kl_loss(
            FAIR, FAIR, collapse(TOSS, np.ones(1), counted=True), kl_coef=x)),
        row(lambda: ppo_kl_loss(FAIR, FAIR, collapse(TOSS, np.ones(1)), kl_coef=0.7),
            "the counts of the batch must have shape (1, 2), got ()"),
        *positive("target_kl", lambda x: train(ppo_kl, target_kl=x)),
        *whole("n_epochs", lambda n: train(ppo_kl, n_epochs=n), 2),
        *whole("batch_size", lambda n: train(ppo_kl, batch_size=n), 3),
        *closed("gae_lambda", lambda x: train(ppo_kl, gae_lambda=x)),
    ],
}
