"""Exercises of Part 3: returns, advantages, and values from play."""

import numpy as np

from minirl.exercises.exercise import ExerciseCase, Exercise, Mistake
from minirl.kernel.playing import Rollout
from minirl.plain.actor_critic import advantages
from minirl.plain.q_learning import double_q_learning, expected_sarsa, q_learning, sarsa
from minirl.play.returns import discounted_sums, gae, reward_to_go, td_errors


# Returns and advantages.


def _batch(rng, S, episodes):
    """A rollout of episodes, given by their lengths, that a minus marks as truncated."""
    episodes = np.array(episodes)
    starts, truncated = np.append(0, np.abs(episodes).cumsum()), episodes < 0
    terminated = np.zeros(starts[-1], bool)
    terminated[starts[1:] - 1] = ~truncated
    states, last_state = (rng.integers(S, size=size) for size in (starts[-1], episodes.size))
    return Rollout(states, np.zeros_like(states), rng.normal(size=starts[-1]), terminated, starts,
                   last_state, truncated)


def _batches(seed):
    """(S, rollout, gamma, lambda, generator) of three batches; the last episodes terminate."""
    rng = np.random.default_rng(seed)
    return [(S, _batch(rng, S, episodes), gamma, weight, rng) for S, episodes, gamma, weight in (
        (4, (3, -1, -5, 2), 0.9, 0.7), (3, (-2, 4, 1), 0.6, 0.95),
        (6, (1, -6, 2, -3, 4), 0.75, 0.3))]


def _place(starts, n):
    """(episode, t, length) of the step n."""
    episode = int(np.searchsorted(starts, n, "right")) - 1
    return episode, n - starts[episode], starts[episode + 1] - starts[episode]


def _reward_cases():
    """Rewards of several episodes, and where these begin."""
    return [ExerciseCase((batch.rewards, batch.starts), {"gamma": gamma}, {"gamma": gamma})
            for _, batch, gamma, _, _ in _batches(3)]


def _reward_there(case, place):
    rewards, starts = case.arguments
    episode, t, length = _place(starts, place[0])
    return (f"t = {t} in episode {episode}, whose rewards are "
            f"{rewards[starts[episode]:starts[episode] + length].round(3).tolist()}")


def _error_cases():
    """Other rewards than those of the rollout, and a value of every state."""
    return [ExerciseCase((rng.normal(size=batch.rewards.size), batch, rng.normal(size=S)),
                         {"gamma": gamma}, {"gamma": gamma})
            for S, batch, gamma, _, rng in _batches(4)]


def _gae_cases():
    """Those of the errors, with a λ."""
    return [ExerciseCase(case.arguments, case.keywords | {"gae_lambda": weight})
            for case, (_, _, _, weight, _) in zip(_error_cases(), _batches(4))]


def _error_there(case, place):
    _, batch, V = case.arguments
    episode, t, length = _place(batch.starts, place[0])
    end = "" if t + 1 < length else "cut" if batch.truncated[episode] else "over"
    return (f"t = {t} in episode {episode}: "
            f"{_value_of_step(V, batch.states[place], batch.next_states[place], end)}")


def _value_of_step(V, s, after, end):
    """What V says of a step, after which the episode goes on (end = ""), is over, or is cut."""
    return (f"from state {s} (V = {V[s]:+.3f}) to state {after} (V = {V[after]:+.3f})"
            f"{end and f', where the episode is {end}'}")


def _episode_cases():
    """Single episodes as lists of steps: two that terminate, two that are cut."""
    rng = np.random.default_rng(5)
    cases = []
    for S, length, ends, gamma, weight in ((4, 5, True, 0.9, 0.7), (3, 4, False, 0.6, 0.95),
                                           (6, 7, True, 0.75, 0.3), (5, 3, False, 0.8, 0.4)):
        walk, rewards = rng.integers(S, size=length + 1).tolist(), rng.normal(size=length).tolist()
        episode = [(s, int(rng.integers(3)), r, after, ends and t == length - 1)
                   for t, (s, r, after) in enumerate(zip(walk, rewards, walk[1:]))]
        cases.append(ExerciseCase((episode, rng.normal(size=S), gamma, weight),
                                  factors={"gamma": gamma, "lam": weight}))
    return cases


def _episode_there(case, place):
    episode, V, _, _ = case.arguments
    t = place[0]
    s, _, r, after, terminal = episode[t]
    end = "" if t + 1 < len(episode) else "over" if terminal else "cut"
    return f"t = {t} and r = {r:+.3f}: {_value_of_step(V, s, after, end)}"


_WITH_ROLLOUT = "import numpy as np\n\nfrom minirl.kernel.playing import Rollout"
_OF_A_ROLLOUT = (
    "Of each step the rollout holds states, next_states and terminated, all (N,), and of each "
    "episode truncated and last_state, both (B,).  Episode i owns the steps starts[i] : "
    "starts[i + 1].")
_AS_AN_END = ("a truncated episode is treated as a terminated one: 0 stands where (returns.2) has "
              "V(last_state).  The episode would have gone on, and V is an estimate of what it "
              "would have earned.")
_AS_A_CUT = ("V of the state behind a terminating step is used, where (returns.2) has 0.  "
             "Nothing can be earned after the end.")
_ONE_EARLY = ("the 0 for V(s_{t+1}) stands one step early: at the step before a terminating one, "
              "and not at the terminating step itself.")
_NO_LAMBDA = "λ is missing: γ A_{t+1} stands where (returns.3) has γλ A_{t+1}."
_NO_GAMMA_IN_THE_SUM = "γ is missing: λ A_{t+1} stands where (returns.3) has γλ A_{t+1}."
_CUT = "np.where(rollout.truncated, values[rollout.last_state], 0)"
_SUMS = "discounted_sums(rewards, starts, gamma)"

_ON_RETURNS = (
    Exercise(
        "reward_to_go", "play.returns", reward_to_go,
        "Write the reward-to-go of every step.  The steps of all episodes lie end to end: episode "
        "i has those from starts[i] to the one before starts[i + 1].",
        "import numpy as np", _reward_cases,
        mistakes=(
            Mistake("next_episode", "what the next episode earns is counted too.  R is 0 after the "
                    "last step of each episode, and not only after the last step of the batch.",
                    ((reward_to_go, _SUMS,
                      "discounted_sums(rewards, np.array([0, len(rewards)]), gamma)"),)),
            Mistake("undiscounted", "γ is missing: (returns.1) has r_t + γ R_{t+1}.",
                    ((reward_to_go, _SUMS, "discounted_sums(rewards, starts, 1.0)"),)),
            Mistake("whole_return", "every step has the return R_0 of its whole episode.  The "
                    "reward-to-go of a step counts nothing that was paid before it.",
                    ((reward_to_go, _SUMS,
                      f"np.repeat({_SUMS}[starts[:-1]], np.diff(starts))"),)),
            Mistake("from_the_start", "the rewards are discounted to the beginning of the episode: "
                    "this is γ^t R_t.  (returns.1) discounts them to the step itself.",
                    ((reward_to_go, _SUMS, "gamma**(np.arange(len(rewards)) - "
                      f"np.repeat(starts[:-1], np.diff(starts))) * {_SUMS}"),)),
            Mistake("past", "the sum runs the wrong way: it has the step and those before it, "
                    "r_t + γ R_{t−1}.  The reward-to-go has the step and those after it.",
                    ((reward_to_go, _SUMS, "discounted_sums(rewards[::-1], "
                      "len(rewards) - starts[::-1], gamma)[::-1]"),)),
            Mistake("one_step_late", "R_{t+1} stands where R_t should: the reward of the step "
                    "itself is missing.",
                    ((reward_to_go, _SUMS, f"({_SUMS} - rewards) / gamma"),))),
        hints=("(returns.1) needs R_{t+1} before R_t.  In which order do you go through the steps?",
               "`for n in reversed(range(len(rewards)))` begins with the last step.  One number, "
               "the R of the step after, is all that has to be kept.",
               "That number is 0 again whenever n is the last step of an episode: when n + 1 is "
               "one of `starts`.",
               "For each episode from i to j: `R[n] = rewards[n] + gamma * (R[n + 1] if n + 1 < j "
               "else 0)`, with n from j − 1 down to i."),
        by_hand="reward_to_go(np.array([2.0, 6.0, 8.0]), np.array([0, 2, 3]), gamma=0.5)",
        done="The book solves all of it as one system of equations, (returns.7), in one call.  "
             "Predict: what does gamma = 0 give?",
        equations=("returns.1",), results=("R",), helpers=(discounted_sums,),
        there=_reward_there),
    Exercise(
        "td_errors", "play.returns", td_errors,
        "Write the temporal-difference error of every step of a `Rollout`.  `rewards` (N,) need "
        "not be those of the rollout, and `values` (S,) is V.  " + _OF_A_ROLLOUT,
        _WITH_ROLLOUT, _error_cases,
        mistakes=(
            Mistake("end_is_a_cut", _AS_A_CUT,
                    ((td_errors, _CUT, "values[rollout.last_state]"),), 20),
            Mistake("cut_is_an_end", _AS_AN_END, ((td_errors, _CUT, "0.0"),), 20),
            Mistake("after_the_reset", "at a cut V of the first state of the next episode is "
                    "used.  (returns.2) has V(last_state): the state in which the cut left the "
                    "episode.",
                    ((td_errors, f"rollout.followed_by(here, {_CUT})",
                      "np.append(here[1:], 0.0) * ~rollout.terminated"),)),
            Mistake("one_step_early", _ONE_EARLY,
                    ((td_errors, _CUT, "values[rollout.last_state]"),
                     (td_errors, "gamma * after",
                      "gamma * after * ~np.append(rollout.terminated[1:], True)")), 21),
            Mistake("own_rewards", "the rollout's own rewards are used where the argument "
                    "`rewards` should be.  What is learned from may have a price or a bonus in it.",
                    ((td_errors, "return rewards +", "return rollout.rewards +"),)),
            Mistake("no_gamma", "γ is missing before V(s_{t+1}).",
                    ((td_errors, "gamma * after", "after"),)),
            Mistake("gamma_outside", "γ stands before both values, γ (V(s_{t+1}) − V(s_t)).  "
                    "(returns.2) discounts V(s_{t+1}) alone, which comes one step later.",
                    ((td_errors, "gamma * after - here", "gamma * (after - here)"),)),
            Mistake("target", "− V(s_t) is missing: r_t + γ V(s_{t+1}) is what V(s_t) should be, "
                    "and the error is the difference.",
                    ((td_errors, "gamma * after - here", "gamma * after"),))),
        hints=("V(s_t) is `values[rollout.states]`, one number per step.",
               "`rollout.next_states` is right for all steps, the last one of an episode included.",
               "What V says of the state after a step counts unless that step has `terminated` "
               "its episode.  A truncated one keeps it.",
               "`rewards + gamma * after - values[rollout.states]`, where `after` is "
               "`np.where(rollout.terminated, 0, values[rollout.next_states])`."),
        by_hand="td_errors(np.array([1.0, 1.0]), Rollout(states=np.array([0, 0]), "
                "actions=np.array([0, 1]), rewards=np.zeros(2), "
                "terminated=np.array([True, False]), starts=np.array([0, 1, 2]), "
                "last_state=np.array([0, 0]), truncated=np.array([False, True])), "
                "np.array([4.0]), gamma=0.5)",
        done="`truncated` and `last_state` are not needed: `terminated` and `next_states` say it "
             "all.  Predict: with the true V, what is the mean of the errors under the policy?",
        equations=("returns.2",), results=("errors",), helpers=(Rollout.followed_by,),
        there=_error_there),
    Exercise(
        "gae", "play.returns", advantages,
        "Write generalised advantage estimation for one episode, as a loop.  `episode` is a list "
        "of steps (s, a, r, next s, whether it is terminal); if the last one is not terminal, the "
        "episode was cut, and V of its next s counts as at any other step.  V (S,) holds the "
        "values of the states, and lam is λ.  Return the list of all A_t in the order of time.",
        "import numpy as np", _episode_cases,
        mistakes=(
            Mistake("end_is_a_cut", _AS_A_CUT,
                    ((advantages, "V[after] * (not terminal)", "V[after]"),), 20),
            Mistake("cut_is_an_end", "0 stands for V(s_{t+1}) at the last step, however the "
                    "episode ended.  An episode that was cut would have gone on: only a terminal "
                    "step has 0 there.",
                    ((advantages, "(not terminal)", "bool(found)"),), 20),
            Mistake("one_step_early", "V(s_{t+1}) is 0 at the step before the terminal one too: "
                    "the state in which the last step is taken still has a value.",
                    ((advantages, "(not terminal)", "(not terminal and (len(found) != 1 or not "
                      "episode[-1][4]))"),), 21),
            Mistake("no_lambda", _NO_LAMBDA, ((advantages, "gamma * lam * A", "gamma * A"),)),
            Mistake("no_gamma_in_the_sum", _NO_GAMMA_IN_THE_SUM,
                    ((advantages, "gamma * lam * A", "lam * A"),)),
            Mistake("no_gamma_in_the_error", "γ is missing before V(s_{t+1}) in δ_t.",
                    ((advantages, "gamma * V[after]", "V[after]"),)),
            Mistake("gamma_outside", "γ stands before both values, γ (V(s_{t+1}) − V(s_t)).  "
                    "(returns.2) discounts V(s_{t+1}) alone, which comes one step later.",
                    ((advantages, "gamma * V[after] * (not terminal) - V[s]",
                      "gamma * (V[after] * (not terminal) - V[s])"),)),
            Mistake("exchanged", "V(s_t) and V(s_{t+1}) have changed places.  (returns.2) adds γ "
                    "times what is expected after the step, and takes away what was expected "
                    "before it.",
                    ((advantages, "gamma * V[after] * (not terminal) - V[s]",
                      "gamma * V[s] * (not terminal) - V[after]"),)),
            Mistake("starts_with_value", "A begins with V of the state after the last step.  "
                    "That value is in the last δ already, where the episode was cut; beyond the "
                    "last step A is 0, however the episode ended.",
                    ((advantages, "A, found = 0.0, []", "A, found = V[episode[-1][3]], []"),)),
            Mistake("forwards", "the loop runs forwards, so that A_t sums the errors of the steps "
                    "before it.  (returns.3) sums those of the steps after it: begin at the end.",
                    ((advantages, "reversed(episode)", "episode"),
                     (advantages, "found[::-1]", "found"))),
            Mistake("not_turned", "the list is in the order in which it was computed, from the "
                    "last step backwards: turn it round.",
                    ((advantages, "found[::-1]", "found"),)),
            Mistake("lambda_returns", "these are the λ-returns A_t + V(s_t), and not the "
                    "advantages A_t.",
                    ((advantages, "found.append(A)", "found.append(A + V[s])"),))),
        hints=("A_t needs A_{t+1}: begin at the last step, after which A is 0.",
               "δ_t is `r + gamma * V[after] - V[s]`, without the term of V[after] if the step is "
               "terminal.",
               "`A = delta + gamma * lam * A`, step after step in `reversed(episode)`.",
               "Append each A to a list, and return it turned round: `found[::-1]`."),
        by_hand="[advantages([(0, 0, 1.0, 1, False), (1, 0, 3.0, 0, end)], np.array([5.0, 10.0]), "
                "0.8, 0.5) for end in (True, False)]",
        done="The sum needs no mask, because a list holds one episode.  Where several lie end to "
             "end it does: the exercise gae_flat.",
        equations=("returns.2", "returns.3"), results=("A",), there=_episode_there),
    Exercise(
        "gae_flat", "play.returns", gae,
        "Write generalised advantage estimation for all episodes of a `Rollout`, of which some "
        "terminate and others are cut.  Return A (N,) and the λ-returns (N,).  " + _OF_A_ROLLOUT,
        _WITH_ROLLOUT, _gae_cases,
        mistakes=(
            Mistake("cut_is_an_end", _AS_AN_END, ((td_errors, _CUT, "0.0"),), 20),
            Mistake("end_is_a_cut", _AS_A_CUT,
                    ((td_errors, _CUT, "values[rollout.last_state]"),), 20),
            Mistake("across_cuts", "A runs on into the next episode where one was cut.  A sum of "
                    "errors ends with its episode in either case; V(last_state) alone depends on "
                    "how it ended.",
                    ((gae, "rollout.starts", "np.append(0, 1 + np.flatnonzero(rollout.terminated))"
                      ),)),
            Mistake("next_episode", "A runs on into the next episode: it is 0 after the last step "
                    "of each one.",
                    ((gae, "rollout.starts", "np.array([0, len(errors)])"),)),
            Mistake("one_step_off", "A begins anew one step too soon: the step before the last one "
                    "of an episode lacks what follows, and the last one has A of the next episode.",
                    ((gae, "rollout.starts", "np.r_[0, rollout.starts[1:] - 1, len(errors)]"),),
                    22),
            Mistake("one_step_early", _ONE_EARLY,
                    ((td_errors, _CUT, "values[rollout.last_state]"),
                     (td_errors, "gamma * after",
                      "gamma * after * ~np.append(rollout.terminated[1:], True)")), 21),
            Mistake("no_lambda", _NO_LAMBDA, ((gae, "gamma * gae_lambda", "gamma"),)),
            Mistake("no_gamma_in_the_sum", _NO_GAMMA_IN_THE_SUM,
                    ((gae, "gamma * gae_lambda", "gae_lambda"),)),
            Mistake("one_step_targets", "the λ-returns are r_t + γ V(s_{t+1}), which is right for "
                    "λ = 0 only: (returns.3) has A_t + V(s_t).",
                    ((gae, "return A, A +", "return A, errors +"),))),
        hints=("δ first, for all steps: see the exercise td_errors.",
               "There are two questions at the last step of an episode.  Does V count after it?  "
               "If it was cut.  Does A go on after it?  Never.",
               "`last = np.zeros(N, bool); last[rollout.starts[1:] - 1] = True` marks the last "
               "steps.",
               "From the last step of all backwards: `A[n] = delta[n] + gamma * gae_lambda * (0 if "
               "last[n] else A[n + 1])`."),
        by_hand="gae(np.array([1.0, 3.0, 2.0]), Rollout(states=np.array([0, 1, 0]), "
                "actions=np.zeros(3, int), rewards=np.zeros(3), "
                "terminated=np.array([False, False, True]), starts=np.array([0, 2, 3]), "
                "last_state=np.array([0, 1]), truncated=np.array([True, False])), "
                "np.array([5.0, 10.0]), gamma=0.8, gae_lambda=0.5)",
        done="Two masks: V counts unless the step terminated the episode, and A goes on unless the "
             "step is the last one, terminated or cut.",
        equations=("returns.2", "returns.3"), results=("A", "returns"),
        helpers=(td_errors, discounted_sums), there=_error_there),
)


# Values of actions.


class _Luck:
    """Random numbers that depend on how many steps were taken, and not on how many were drawn.

    So a body may draw more often than the book, or earlier: whatever is drawn between two steps is
    the same.
    """

    def __init__(self, drawn):
        self.drawn, self.taken = drawn, 0  # a row for each step, and one for after the last

    def random(self):
        return self.drawn[self.taken, 0]

    def choice(self, options):
        options = np.arange(options) if np.ndim(options) == 0 else options
        return options[int(self.drawn[self.taken, 1] * len(options))]

    integers = choice


def _worlds(tables=(), stays=False):
    """Cases of a learner: a deterministic world in which no step ends an episode at its start.

    Where a step never stays in its state, an action may be drawn before or after the update.
    """
    rng = np.random.default_rng(7)
    return [_learning(rng, S, A, start, steps, tables, stays,
                      {"alpha": alpha, "gamma": gamma, "epsilon": epsilon})
            for S, A, start, steps, alpha, gamma, epsilon in (
                (4, 3, 1, 40, 0.3, 0.9, 0.4), (3, 5, 2, 60, 0.7, 0.6, 0.25),
                (6, 2, 3, 50, 0.15, 0.8, 0.35))]


def _learning(rng, S, A, start, steps, tables, stays, keywords):
    """The case of one world, and of one initial table."""
    after = (np.arange(S)[:, None] + rng.integers(0 if stays else 1, S, size=(S, A))) % S
    r, terminal = rng.normal(size=(S, A)), rng.random((S, A)) < 0.3
    terminal[start] = False
    luck = _Luck(rng.random((steps + 1, 2)))

    def step(s, a, rng):
        if luck.taken == steps:
            raise ValueError(f"this is one step more than `steps`, {steps}")
        luck.taken += 1
        return int(after[s, a]), float(r[s, a]), bool(terminal[s, a])

    return ExerciseCase((rng.normal(size=(*tables, S, A)), step, start, steps),
                        keywords | {"rng": luck})


def _two_tables():
    return _worlds(tables=(2,))


def _worlds_with_walls():
    return _worlds(stays=True)


def _steps_there(learn):
    """What the step of an entry does, and when the book takes it."""
    def there(case, place):
        Q, step, *rest = case.arguments
        taken = []

        def watched(s, a, rng):
            taken.append((s, a, *step(s, a, rng)))
            return taken[-1][2:]

        learn(Q, watched, *rest, **case.keywords)
        s, a = place[-2:]
        found = [number for number, one in enumerate(taken, start=1) if one[:2] == (s, a)]
        if not found:
            return f"the book never takes the action {a} in the state {s}"
        _, _, after, r, terminal = taken[found[0] - 1]
        steps = ", ".join(map(str, found[:2])) + ", …" * (len(found) > 2)
        return (f"the action {a} in the state {s} pays {r:+.3f} and "
                f"{'ends the episode' if terminal else f'leads to the state {after}'}; the book "
                f"takes it in step{'s' * (len(found) > 1)} {steps}")
    return there


_GOES_ON = "s = start if terminal else after"


def _wrong_starts(learn, old=_GOES_ON, behind="s = after", zero="s = 0 if terminal else after"):
    """What is done wrong after a terminal step."""
    return (
        Mistake("no_reset", "after a terminal step the next one is taken in `after`, where the "
                "episode is over.  It belongs to a new episode, which begins in `start`.",
                ((learn, old, behind),)),
        Mistake("one_episode", "the loop is left at the first terminal step.  A new episode "
                "begins in `start`, until `steps` steps have been taken.",
                ((learn, old, f"if terminal:\n            break\n        {behind}"),)),
        Mistake("starts_in_0", "a new episode begins in the state 0.  It begins in `start`, which "
                "may be another one.",
                ((learn, old, zero),)))


def _overwritten(learn, table="Q"):
    return Mistake("overwritten", "Q(s, a) is replaced by α times the difference, where "
                   "(q_learning.1) adds that to it: `+=`, and not `=`.",
                   ((learn, f"{table}[s, a] += alpha", f"{table}[s, a] = alpha"),))


def _bootstrapped_end(learn, value):
    return Mistake("bootstrapped_end", "Q of the state behind a terminal step is used as V(s').  "
                   "Nothing can be earned there: V(s') is 0, whatever the table says.",
                   ((learn, f"V = 0 if terminal else {value}", f"V = {value}"),), 36)


def _end_not_learned(learn):
    return Mistake("end_not_learned", "a terminal step changes nothing.  Its reward counts like "
                   "any other; often it is the only one that an episode has.",
                   ((learn, "alpha * (", "(not terminal) * alpha * ("),))


def _no_gamma(learn):
    return Mistake("no_gamma", "γ is missing before V(s').",
                   ((learn, "r + gamma * V", "r + V"),))


_THE_WORLD = ("`step(s, a, rng)` gives the next state, the reward and whether the episode is over, "
              "terminated: none is cut.  Every episode begins in the state `start`.  ")
_BY_ACT = _THE_WORLD + (
    "Take every action by act(Q[s], epsilon, rng), which takes any action with probability epsilon "
    "and otherwise the best one.  Change Q (S, A) in place.")
_WITH_ACT = "import numpy as np\n\nfrom minirl.plain.q_learning import act"
_FIRST = "act(Q[start], epsilon, rng)"
_TAKEN = "act(Q[after], epsilon, rng)"
_MEAN = "epsilon * np.mean(Q[after]) + (1 - epsilon) * max(Q[after])"
_JUDGED = "Q2[after, rng.choice(best(Q1[after]))]"


def _smallest(name, table, steps, epsilon=0, after="0", seed=0):
    """Every step from the state 1 pays 2 and goes on; one from 0 pays 2 and ends the episode.

    Luck plays no part: either all is greedy, or the seed lets all these steps be greedy.
    """
    return (f"[Q := np.array({table}), {name}(Q, lambda s, a, rng: ({after}, 2.0, s == 0), 1, "
            f"{steps}, alpha=0.25, gamma=0.5, epsilon={epsilon}, "
            f"rng=np.random.default_rng({seed}))][0]")


_ON_ACTIONS = (
    Exercise(
        "q_learning", "play.q_learning", q_learning,
        "Let Q-learning take `steps` steps.  " + _BY_ACT, _WITH_ACT, _worlds,
        mistakes=(
            _bootstrapped_end(q_learning, "max(Q[after])"),
            *_wrong_starts(q_learning),
            Mistake("next_action", "V(s') is the value of the action that is taken next, which is "
                    "SARSA: the maximum of (q_learning.4) does not depend on it.",
                    ((q_learning, "max(Q[after])", f"Q[after, {_TAKEN}]"),)),
            Mistake("mean", "V(s') is the mean over what may be done in s', which is expected "
                    "SARSA.  Q-learning has the value of the best action, whatever is done.",
                    ((q_learning, "max(Q[after])", _MEAN),)),
            Mistake("here", "V is the maximum of Q[s], the state in which the step was taken.  "
                    "(q_learning.4) has that of the state after it.",
                    ((q_learning, "max(Q[after])", "max(Q[s])"),)),
            Mistake("argmax", "the number of the best action stands where its value should: max, "
                    "and not argmax.",
                    ((q_learning, "max(Q[after])", "np.argmax(Q[after])"),)),
            _end_not_learned(q_learning),
            Mistake("no_difference", "− Q(s, a) is missing: α (r + γ V(s')) is added to Q(s, a) "
                    "again and again, where (q_learning.1) adds α times a difference.",
                    ((q_learning, "gamma * V - Q[s, a]", "gamma * V"),)),
            _overwritten(q_learning), _no_gamma(q_learning),
            Mistake("copied", "Q is as it was before.  The function is meant to change the table "
                    "that it is given, and not another one.",
                    ((q_learning, "s = start\n", "s, Q = start, Q.copy()\n"),))),
        hints=("A step needs four things: an action, what the world answers, V(s'), and the update "
               "of one entry.  And then: where is the next step taken?",
               "V(s') is the largest entry of Q[after]; but 0 after a terminal step, whatever "
               "Q[after] says.",
               "The update is `Q[s, a] += alpha * (r + gamma * V - Q[s, a])`, for a terminal step "
               "too.",
               "The next s is `start if terminal else after`."),
        by_hand=_smallest("q_learning", "[[0.0, 4.0], [8.0, 0.0]]", 3),
        done="Q learns what the best action is worth, and takes others all the time.  Predict: "
             "which entries never change at epsilon = 0?",
        equations=("q_learning.1",), results=("Q",), changes=("Q",),
        there=_steps_there(q_learning)),
    Exercise(
        "sarsa", "play.q_learning", sarsa,
        "Let SARSA take `steps` steps.  " + _BY_ACT, _WITH_ACT, _worlds_with_walls,
        mistakes=(
            Mistake("drawn_again", "the next action is drawn again after Q has changed.  SARSA "
                    "takes the very action a' whose value it has used, or it learns about another "
                    "policy than the one that plays.",
                    ((sarsa, "(after, b)", f"(after, {_TAKEN})"),)),
            Mistake("maximum", "V(s') is the maximum of Q[after], which is Q-learning.  SARSA has "
                    "Q(s', a') of the action that is taken next.",
                    ((sarsa, "Q[after, b]", "max(Q[after])"),)),
            _bootstrapped_end(sarsa, "Q[after, b]"),
            *_wrong_starts(sarsa, f"s, a = (start, {_FIRST}) if terminal else (after, b)",
                           "s, a = after, b",
                           "s, a = (0, act(Q[0], epsilon, rng)) if terminal else (after, b)"),
            Mistake("stale_action", "the first action of an episode is the one that was drawn in "
                    "the state behind the end of the last episode: draw it from Q[start].",
                    ((sarsa, f"(start, {_FIRST}) if", "(start, b) if"),)),
            Mistake("same_action", "V(s') is Q(s', a), of the action that was taken in s.  "
                    "(q_learning.2) has Q(s', a') of the next one.",
                    ((sarsa, "Q[after, b]", "Q[after, a]"),)),
            Mistake("mean", "V(s') is the mean over what may be done in s', which is expected "
                    "SARSA.  SARSA has Q(s', a') of the action that is done.",
                    ((sarsa, "Q[after, b]", _MEAN),)),
            _end_not_learned(sarsa),
            _overwritten(sarsa), _no_gamma(sarsa)),
        hints=("SARSA is named after s, a, r, s', a'.  The update needs all five, so a' is drawn "
               "before it.",
               "The first action is drawn before the loop.  In the loop: step, draw b in the state "
               "`after`, update with Q[after, b], and then go on with s and a.",
               "What goes on is `after` and b itself: b is not drawn again.",
               "After a terminal step it is `start` and a new action of act(Q[start], epsilon, "
               "rng)."),
        by_hand=_smallest("sarsa", "[[4.0, 0.0], [7.8, 8.0]]", 5, after="s * a"),
        done="Near a cliff SARSA knows that it may stumble, because a' is what it really does.  "
             "Predict: at epsilon = 0, how does it differ from Q-learning?",
        equations=("q_learning.1",), results=("Q",), changes=("Q",), there=_steps_there(sarsa)),
    Exercise(
        "expected_sarsa", "play.q_learning", expected_sarsa,
        "Let expected SARSA take `steps` steps.  " + _BY_ACT, _WITH_ACT, _worlds,
        mistakes=(
            Mistake("maximum", "V(s') is the maximum of Q[after], which is Q-learning.  Expected "
                    "SARSA has the mean under π, which explores with probability ε.",
                    ((expected_sarsa, _MEAN, "max(Q[after])"),)),
            Mistake("next_action", "V(s') is Q(s', a') of the next action, which is SARSA.  "
                    "(q_learning.3) has the mean over all actions, and needs no a'.",
                    ((expected_sarsa, _MEAN, f"Q[after, {_TAKEN}]"),)),
            Mistake("others_share", "ε is divided among the actions that are not the best.  Who "
                    "explores takes *any* action, the best one too: its probability is "
                    "1 − ε + ε/A.",
                    ((expected_sarsa, "np.mean(Q[after])",
                      "(sum(Q[after]) - max(Q[after])) / (len(Q[after]) - 1)"),)),
            Mistake("sum", "ε is a weight of the sum over the actions, where each of the A actions "
                    "has ε/A: a mean.",
                    ((expected_sarsa, "np.mean(Q[after])", "np.sum(Q[after])"),)),
            Mistake("exchanged", "ε and 1 − ε are exchanged: ε is how often the agent explores.",
                    ((expected_sarsa, _MEAN,
                      "(1 - epsilon) * np.mean(Q[after]) + epsilon * max(Q[after])"),)),
            Mistake("uniform", "V(s') is the mean of Q[after], as if all actions were equally "
                    "likely.  π takes the best one in most cases.",
                    ((expected_sarsa, _MEAN, "np.mean(Q[after])"),)),
            _bootstrapped_end(expected_sarsa, _MEAN),
            *_wrong_starts(expected_sarsa),
            _overwritten(expected_sarsa), _no_gamma(expected_sarsa)),
        hints=("It is Q-learning with another V(s').  Write that one first.",
               "π(b|s') is ε/A for every action, and 1 − ε more for the best one.",
               "So Σ_b π(b|s') Q(s', b) is ε times the mean of Q[after] and 1 − ε times its "
               "maximum.",
               "`V = 0 if terminal else epsilon * np.mean(Q[after]) + (1 - epsilon) * "
               "max(Q[after])`."),
        by_hand=_smallest("expected_sarsa", "[[0.0, 4.0], [8.0, 0.0]]", 3, 0.4, seed=4),
        done="On average it does what SARSA does, without the luck of a'.  Predict: at which "
             "epsilon is it Q-learning?",
        equations=("q_learning.1",), results=("Q",), changes=("Q",),
        there=_steps_there(expected_sarsa)),
    Exercise(
        "double_q_learning", "play.q_learning", double_q_learning,
        "Let double Q-learning take `steps` steps.  " + _THE_WORLD + "Take every action by "
        "act(q, epsilon, rng), where q is the mean of both rows of s; best(q) lists the actions "
        "of the highest value.  After every step toss a coin: Q[0] is updated where "
        "rng.random() < 0.5, and otherwise Q[1].  Change Q (2, S, A) in place.",
        _WITH_ACT + ", best", _two_tables,
        mistakes=(
            Mistake("own_maximum", "V(s') is the maximum of the table that is updated, which is "
                    "Q-learning in two tables: the other one is not asked.",
                    ((double_q_learning, _JUDGED, "max(Q1[after])"),)),
            Mistake("maximum_of_the_other", "V(s') is the maximum of the other table.  Its part "
                    "is to judge the action that the updated table thinks best, and not to choose "
                    "one itself.",
                    ((double_q_learning, _JUDGED, "max(Q2[after])"),)),
            Mistake("roles", "the roles are exchanged: the other table chooses, and the one that "
                    "is updated judges.",
                    ((double_q_learning, _JUDGED, "Q1[after, rng.choice(best(Q2[after]))]"),)),
            Mistake("maximum_of_the_mean", "V(s') is the maximum of the mean of both tables.  "
                    "Whoever chooses and judges by the same numbers takes luck for value.",
                    ((double_q_learning, _JUDGED, "max((Q1[after] + Q2[after]) / 2)"),)),
            Mistake("both", "both tables are updated in every step: the coin decides on one of "
                    "them, so that each has luck of its own.",
                    ((double_q_learning, "Q1[s, a] += alpha * (r + gamma * V - Q1[s, a])",
                      "W = 0 if terminal else Q1[after, rng.choice(best(Q2[after]))]\n        "
                      "Q1[s, a] += alpha * (r + gamma * V - Q1[s, a])\n        "
                      "Q2[s, a] += alpha * (r + gamma * W - Q2[s, a])"),)),
            Mistake("other_subtracted", "Q₂(s, a) is subtracted, where (q_learning.1) moves Q₁ by "
                    "the difference to Q₁(s, a).",
                    ((double_q_learning, "gamma * V - Q1[s, a]", "gamma * V - Q2[s, a]"),)),
            Mistake("acts_by_one", "the actions are taken by the first table alone, and not by the "
                    "mean of both.",
                    ((double_q_learning, "(Q[0, s] + Q[1, s]) / 2", "Q[0, s]"),)),
            _bootstrapped_end(double_q_learning, _JUDGED),
            *_wrong_starts(double_q_learning),
            _overwritten(double_q_learning, "Q1")),
        hints=("It is Q-learning with another V(s'), in one of two tables.  Write that one first.",
               "`Q1, Q2 = Q if rng.random() < 0.5 else Q[::-1]` are views: what is written to Q1 "
               "is written to Q.",
               "Q1 chooses: `b = best(Q1[after])[0]`, or any other of the best.  Q2 judges: V is "
               "`Q2[after, b]`, and 0 after a terminal step.",
               "Only Q1 is updated: `Q1[s, a] += alpha * (r + gamma * V - Q1[s, a])`."),
        by_hand=_smallest("double_q_learning",
                          "[[[0.0, 4.0], [8.0, 2.0]], [[6.0, 1.0], [0.0, 8.0]]]", 3, seed=10),
        done="The luck that makes an action look best in one table is not in the other.  Predict: "
             "are its values rather too high or too low?",
        equations=("q_learning.1",), results=("Q",), changes=("Q",),
        there=_steps_there(double_q_learning)),
)

ON_PLAYING = _ON_RETURNS + _ON_ACTIONS
