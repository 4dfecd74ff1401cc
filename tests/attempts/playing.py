"""Attempts at the exercises of Part 3, first half."""

import numpy as np

from attempts import attempt
from minirl.plain.q_learning import act, best


# Reward-to-go.


def episodes(starts):
    return [range(i, j) for i, j in zip(starts[:-1], starts[1:])]


@attempt("reward_to_go")
def from_the_end(rewards, starts, *, gamma):
    R, later = np.zeros(len(rewards)), 0.0
    for n in reversed(range(len(rewards))):
        if n + 1 in starts:
            later = 0.0
        later = R[n] = rewards[n] + gamma * later
    return R


@attempt("reward_to_go")
def by_sums(rewards, starts, *, gamma):
    return [sum(gamma**(k - t) * rewards[k] for k in steps if k >= t)
            for steps in episodes(starts) for t in steps]


@attempt("reward_to_go", "next_episode")
def one_long_episode(rewards, starts, *, gamma):
    R = rewards.copy()
    for n in reversed(range(len(R) - 1)):
        R[n] += gamma * R[n + 1]
    return R


@attempt("reward_to_go", "undiscounted")
def plain_sums(rewards, starts, *, gamma):
    return np.concatenate([rewards[i:j][::-1].cumsum()[::-1]
                           for i, j in zip(starts[:-1], starts[1:])])


@attempt("reward_to_go", "whole_return")
def return_of_the_episode(rewards, starts, *, gamma):
    return np.concatenate([np.full(len(steps), sum(gamma**t * rewards[n]
                                                   for t, n in enumerate(steps)))
                           for steps in episodes(starts)])


@attempt("reward_to_go", "from_the_start")
def powers_of_t(rewards, starts, *, gamma):
    found = []
    for steps in episodes(starts):
        paid = rewards[steps] * gamma**np.arange(len(steps))
        found += [paid[t:].sum() for t in range(len(steps))]
    return np.array(found)


@attempt("reward_to_go", "past")
def running_sum(rewards, starts, *, gamma):
    R, before = [], 0.0
    for n, r in enumerate(rewards):
        before = r + gamma * (0 if n in starts else before)
        R.append(before)
    return np.array(R)


@attempt("reward_to_go", "one_step_late")
def kept_before_added(rewards, starts, *, gamma):
    R, later = np.zeros(len(rewards)), 0.0
    for n in reversed(range(len(rewards))):
        if n + 1 in starts:
            later = 0.0
        R[n] = later
        later = rewards[n] + gamma * later
    return R


@attempt("reward_to_go", "a factor gamma is too much")
def discounted_once_more(rewards, starts, *, gamma):
    return gamma * from_the_end(rewards, starts, gamma=gamma)


@attempt("reward_to_go", "none of the well-known mistakes")
def centred(rewards, starts, *, gamma):
    R = from_the_end(rewards, starts, gamma=gamma)
    return R - R.mean()


# Errors.


def values_after(rollout, V):
    """Of each next state, whatever has ended."""
    found = []
    for i, steps in enumerate(episodes(rollout.starts)):
        found += [V[rollout.states[n + 1]] for n in steps[:-1]] + [V[rollout.last_state[i]]]
    return np.array(found)


def bootstrapped(rollout, V):
    """Of each next state, and 0 behind an end."""
    return np.where(rollout.terminated, 0, values_after(rollout, V))


def early(rollout, V):
    """0 one step too soon."""
    found, N = values_after(rollout, V), len(rollout.states)
    for n in range(N):
        if rollout.terminated[min(n + 1, N - 1)]:
            found[n] = 0
    return found


def no_cuts(rollout, V):
    """0 after every episode."""
    found = values_after(rollout, V)
    found[rollout.starts[1:] - 1] = 0
    return found


@attempt("td_errors")
def by_masks(rewards, rollout, values, *, gamma):
    after = values[rollout.next_states] * (1 - rollout.terminated)
    return rewards + gamma * after - values[rollout.states]


@attempt("td_errors")
def by_episodes(rewards, rollout, values, *, gamma):
    delta = rewards - values[rollout.states]
    for i, steps in enumerate(episodes(rollout.starts)):
        for n in steps[:-1]:
            delta[n] += gamma * values[rollout.states[n + 1]]
        if rollout.truncated[i]:
            delta[steps[-1]] += gamma * values[rollout.last_state[i]]
    return delta


@attempt("td_errors", "end_is_a_cut")
def ends_ignored(rewards, rollout, values, *, gamma):
    return rewards + gamma * values[rollout.next_states] - values[rollout.states]


@attempt("td_errors", "cut_is_an_end")
def done_is_done(rewards, rollout, values, *, gamma):
    return rewards + gamma * no_cuts(rollout, values) - values[rollout.states]


@attempt("td_errors", "after_the_reset")
def next_row_of_the_batch(rewards, rollout, values, *, gamma):
    after = np.roll(values[rollout.states], -1)
    after[rollout.terminated] = 0
    return rewards + gamma * after - values[rollout.states]


@attempt("td_errors", "one_step_early")
def mask_of_the_next_step(rewards, rollout, values, *, gamma):
    return rewards + gamma * early(rollout, values) - values[rollout.states]


@attempt("td_errors", "own_rewards")
def rewards_of_the_world(rewards, rollout, values, *, gamma):
    return by_masks(rollout.rewards, rollout, values, gamma=gamma)


@attempt("td_errors", "no_gamma")
def undiscounted_values(rewards, rollout, values, *, gamma):
    return by_episodes(rewards, rollout, values, gamma=1)


@attempt("td_errors", "gamma_outside")
def both_discounted(rewards, rollout, values, *, gamma):
    V = gamma * values
    return rewards + bootstrapped(rollout, V) - V[rollout.states]


@attempt("td_errors", "target")
def no_difference_to_V(rewards, rollout, values, *, gamma):
    return rewards + gamma * bootstrapped(rollout, values)


@attempt("td_errors", "the sign is wrong")
def expected_minus_found(rewards, rollout, values, *, gamma):
    return values[rollout.states] - rewards - gamma * bootstrapped(rollout, values)


@attempt("td_errors", "none of the well-known mistakes")
def squared(rewards, rollout, values, *, gamma):
    return by_masks(rewards, rollout, values, gamma=gamma)**2 / 2


# GAE, of one episode.


def errors_of(episode, V, gamma):
    return [r + gamma * (0 if terminal else V[after]) - V[s]
            for s, _, r, after, terminal in episode]


def summed(errors, factor):
    return [sum(factor**k * error for k, error in enumerate(errors[t:]))
            for t in range(len(errors))]


@attempt("gae")
def sums_of_errors(episode, V, gamma, lam):
    return summed(errors_of(episode, V, gamma), gamma * lam)


@attempt("gae")
def backwards_in_place(episode, V, gamma, lam):
    A = np.array(errors_of(episode, V, gamma))
    for t in range(len(A) - 2, -1, -1):
        A[t] += gamma * lam * A[t + 1]
    return A


@attempt("gae", "end_is_a_cut")
def terminal_ignored(episode, V, gamma, lam):
    return summed([r + gamma * V[after] - V[s] for s, _, r, after, _ in episode], gamma * lam)


@attempt("gae", "cut_is_an_end")
def nothing_after_the_last(episode, V, gamma, lam):
    s, _, r, after, terminal = zip(*episode)
    following = np.append(V[list(s[1:])], 0)
    return summed(np.array(r) + gamma * following - V[list(s)], gamma * lam)


@attempt("gae", "one_step_early")
def zero_before_the_last(episode, V, gamma, lam):
    errors = errors_of(episode, V, gamma)
    if episode[-1][4]:
        errors[-2] -= gamma * V[episode[-2][3]]
    return summed(errors, gamma * lam)


@attempt("gae", "no_lambda")
def one_discount(episode, V, gamma, lam):
    return summed(errors_of(episode, V, gamma), gamma)


@attempt("gae", "no_gamma_in_the_sum")
def lambda_alone(episode, V, gamma, lam):
    return summed(errors_of(episode, V, gamma), lam)


@attempt("gae", "no_gamma_in_the_error")
def value_undiscounted(episode, V, gamma, lam):
    return summed(errors_of(episode, V, 1), gamma * lam)


@attempt("gae", "gamma_outside")
def both_values_discounted(episode, V, gamma, lam):
    return sums_of_errors(episode, gamma * V, 1, lam * gamma)


@attempt("gae", "exchanged")
def from_after_to_here(episode, V, gamma, lam):
    errors = [r - V[after] + (0 if terminal else gamma * V[s])
              for s, _, r, after, terminal in episode]
    return summed(errors, gamma * lam)


@attempt("gae", "starts_with_value")
def bootstrapped_sum(episode, V, gamma, lam):
    errors, factor = errors_of(episode, V, gamma), gamma * lam
    last = V[episode[-1][3]]
    return [A + factor**(len(errors) - t) * last for t, A in enumerate(summed(errors, factor))]


@attempt("gae", "forwards")
def in_the_order_of_time(episode, V, gamma, lam):
    A = [0]
    for error in errors_of(episode, V, gamma):
        A.append(error + gamma * lam * A[-1])
    return A[1:]


@attempt("gae", "not_turned")
def last_one_first(episode, V, gamma, lam):
    return list(reversed(sums_of_errors(episode, V, gamma, lam)))


@attempt("gae", "lambda_returns")
def what_V_should_be(episode, V, gamma, lam):
    return sums_of_errors(episode, V, gamma, lam) + V[[step[0] for step in episode]]


@attempt("gae", "the sign is wrong")
def negative(episode, V, gamma, lam):
    return [-A for A in backwards_in_place(episode, V, gamma, lam)]


@attempt("gae", "none of the well-known mistakes")
def standardised(episode, V, gamma, lam):
    A = backwards_in_place(episode, V, gamma, lam)
    return (A - A.mean()) / A.std()


# GAE, of a batch.


def flat(rewards, rollout, V, gamma, factor, *, after=bootstrapped, goes_on=None):
    """A by the loop of most code bases; `goes_on` is 0 where A_{t+1} is not added."""
    N = len(rewards)
    if goes_on is None:
        goes_on = np.ones(N)
        goes_on[rollout.starts[1:] - 1] = 0
    delta = rewards + gamma * after(rollout, V) - V[rollout.states]
    A, carry = np.zeros(N), 0.0
    for n in reversed(range(N)):
        carry = A[n] = delta[n] + factor * goes_on[n] * carry
    return A


def with_targets(A, rollout, values):
    return A, A + values[rollout.states]


@attempt("gae_flat")
def one_loop(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda)
    return with_targets(A, rollout, values)


@attempt("gae_flat")
def by_lists(rewards, rollout, values, *, gamma, gae_lambda):
    delta = by_episodes(rewards, rollout, values, gamma=gamma)
    A = np.concatenate([summed(delta[steps], gamma * gae_lambda)
                        for steps in episodes(rollout.starts)])
    return with_targets(A, rollout, values)


@attempt("gae_flat", "cut_is_an_end")
def one_mask_for_both(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda, after=no_cuts)
    return with_targets(A, rollout, values)


@attempt("gae_flat", "end_is_a_cut")
def V_of_every_last_state(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda, after=values_after)
    return with_targets(A, rollout, values)


@attempt("gae_flat", "across_cuts")
def terminated_for_both(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda, goes_on=1 - rollout.terminated)
    return with_targets(A, rollout, values)


@attempt("gae_flat", "next_episode")
def no_mask(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda, goes_on=np.ones(len(rewards)))
    return with_targets(A, rollout, values)


@attempt("gae_flat", "one_step_off")
def reset_after_the_last(rewards, rollout, values, *, gamma, gae_lambda):
    delta = by_masks(rewards, rollout, values, gamma=gamma)
    A, carry = np.zeros(len(rewards)), 0.0
    for n in reversed(range(len(rewards))):
        A[n] = delta[n] + gamma * gae_lambda * carry
        carry = 0.0 if n + 1 in rollout.starts else A[n]
    return with_targets(A, rollout, values)


@attempt("gae_flat", "one_step_early")
def zero_one_step_early(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda, after=early)
    return with_targets(A, rollout, values)


@attempt("gae_flat", "no_lambda")
def factor_gamma(rewards, rollout, values, *, gamma, gae_lambda):
    return with_targets(flat(rewards, rollout, values, gamma, gamma), rollout, values)


@attempt("gae_flat", "no_gamma_in_the_sum")
def factor_lambda(rewards, rollout, values, *, gamma, gae_lambda):
    return with_targets(flat(rewards, rollout, values, gamma, gae_lambda), rollout, values)


@attempt("gae_flat", "one_step_targets")
def targets_of_one_step(rewards, rollout, values, *, gamma, gae_lambda):
    A = flat(rewards, rollout, values, gamma, gamma * gae_lambda)
    return A, rewards + gamma * bootstrapped(rollout, values)


@attempt("gae_flat", "it must return (A, returns)")
def only_A(rewards, rollout, values, *, gamma, gae_lambda):
    return flat(rewards, rollout, values, gamma, gamma * gae_lambda)


@attempt("gae_flat", "none of the well-known mistakes")
def bootstrapped_twice(rewards, rollout, values, *, gamma, gae_lambda):
    paid = rewards.copy()
    paid[rollout.starts[1:] - 1] += gamma * values[rollout.last_state] * rollout.truncated
    A = flat(paid, rollout, values, gamma, gamma * gae_lambda)
    return with_targets(A, rollout, values)


# Q-learning, and expected SARSA, which differs in V(s').


def learned(value, Q, step, start, steps, *, alpha, gamma, epsilon, rng, ends=True, resets=True,
            again=None, kept=1):
    """Most of the bodies: `value(Q, s, after, epsilon, rng)` is V(s')."""
    s, again = start, start if again is None else again
    for _ in range(steps):
        a = act(Q[s], epsilon, rng)
        after, r, terminal = step(s, a, rng)
        target = r + gamma * value(Q, s, after, epsilon, rng)
        if terminal and ends:
            target = r
        Q[s, a] = (kept - alpha) * Q[s, a] + alpha * target
        s = again if terminal and resets else after


def until_the_end(value, Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """One episode, of at most `steps` steps."""
    s, terminal = start, False
    while steps and not terminal:
        a = act(Q[s], epsilon, rng)
        after, target, terminal = step(s, a, rng)
        if not terminal:
            target += gamma * value(Q, s, after, epsilon, rng)
        Q[s, a] += alpha * (target - Q[s, a])
        s, steps = after, steps - 1


def highest(Q, s, after, epsilon, rng):
    return Q[after].max()


def by_policy(Q, s, after, epsilon, rng):
    pi = np.full(len(Q[after]), epsilon / len(Q[after]))
    pi[Q[after].argmax()] += 1 - epsilon
    return pi @ Q[after]


def of_the_next(Q, s, after, epsilon, rng):
    return Q[after][act(Q[after], epsilon, rng)]


@attempt("q_learning")
def with_its_own_exploration(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """Without `act`, and the next action is drawn before the update."""
    def drawn(s):
        return rng.integers(Q.shape[1]) if rng.random() < epsilon else np.argmax(Q[s])

    s, a = start, drawn(start)
    for _ in range(steps):
        after, r, terminal = step(s, a, rng)
        there = start if terminal else after
        following = drawn(there)
        Q[s, a] += alpha * (r + gamma * (not terminal) * np.max(Q[after]) - Q[s, a])
        s, a = there, following


@attempt("q_learning")
def towards_the_best(*arguments, **options):
    learned(highest, *arguments, **options)


@attempt("q_learning", "bootstrapped_end")
def ends_are_not_asked_for(*arguments, **options):
    learned(highest, *arguments, ends=False, **options)


@attempt("q_learning", "no_reset")
def for_ever(*arguments, **options):
    learned(highest, *arguments, resets=False, **options)


@attempt("q_learning", "one_episode")
def while_it_lasts(*arguments, **options):
    until_the_end(highest, *arguments, **options)


@attempt("q_learning", "starts_in_0")
def from_the_first_state(*arguments, **options):
    learned(highest, *arguments, again=0, **options)


@attempt("q_learning", "mean")
def mean_of_the_policy(*arguments, **options):
    learned(by_policy, *arguments, **options)


@attempt("q_learning", "overwritten")
def change_for_entry(*arguments, **options):
    learned(highest, *arguments, kept=0, **options)


@attempt("q_learning", "next_action")
def on_policy(*arguments, **options):
    learned(of_the_next, *arguments, **options)


@attempt("q_learning", "here")
def best_of_the_old_state(*arguments, **options):
    learned(lambda Q, s, *_: Q[s].max(), *arguments, **options)


@attempt("q_learning", "argmax")
def which_is_best(*arguments, **options):
    learned(lambda Q, s, after, *_: Q[after].argmax(), *arguments, **options)


@attempt("q_learning", "no_gamma")
def gamma_one(*arguments, gamma, **options):
    learned(highest, *arguments, gamma=1, **options)


@attempt("q_learning", "end_not_learned")
def while_not_terminal(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    s = start
    for _ in range(steps):
        a = act(Q[s], epsilon, rng)
        after, r, terminal = step(s, a, rng)
        if terminal:
            s = start
            continue
        Q[s, a] += alpha * (r + gamma * max(Q[after]) - Q[s, a])
        s = after


@attempt("q_learning", "no_difference")
def target_added(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    s = start
    for _ in range(steps):
        a = act(Q[s], epsilon, rng)
        after, r, terminal = step(s, a, rng)
        Q[s, a] += alpha * (r if terminal else r + gamma * max(Q[after]))
        s = start if terminal else after


@attempt("q_learning", "copied")
def another_table(Q, *arguments, **options):
    table = np.array(Q)
    learned(highest, table, *arguments, **options)
    return table


@attempt("q_learning", "ValueError: this is one step more than `steps`, 40")
def so_many_episodes(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    for _ in range(steps):
        s, terminal = start, False
        while not terminal:
            a = act(Q[s], epsilon, rng)
            after, r, terminal = step(s, a, rng)
            Q[s, a] += alpha * (r + gamma * (not terminal) * max(Q[after]) - Q[s, a])
            s = after


@attempt("q_learning", "none of the well-known mistakes")
def alpha_shrinks(Q, *arguments, alpha, **options):
    learned(highest, Q, *arguments, alpha=alpha / 2, **options)


@attempt("expected_sarsa")
def by_the_policy(*arguments, **options):
    learned(by_policy, *arguments, **options)


@attempt("expected_sarsa")
def by_loops_over_actions(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    s, A = start, Q.shape[1]
    for _ in range(steps):
        a = act(Q[s], epsilon, rng)
        after, r, terminal = step(s, a, rng)
        target = r
        for b in range(A):
            if not terminal:
                chance = epsilon / A + (1 - epsilon) * (b == Q[after].argmax())
                target += gamma * chance * Q[after, b]
        Q[s, a] += alpha * (target - Q[s, a])
        s = start if terminal else after


@attempt("expected_sarsa", "maximum")
def as_q_learning(*arguments, **options):
    learned(highest, *arguments, **options)


@attempt("expected_sarsa", "next_action")
def as_sarsa(*arguments, **options):
    learned(of_the_next, *arguments, **options)


@attempt("expected_sarsa", "others_share")
def epsilon_for_the_others(*arguments, **options):
    def value(Q, s, after, epsilon, rng):
        pi = np.full(len(Q[after]), epsilon / (len(Q[after]) - 1))
        pi[Q[after].argmax()] = 1 - epsilon
        return pi @ Q[after]
    learned(value, *arguments, **options)


@attempt("expected_sarsa", "sum")
def epsilon_for_each(*arguments, **options):
    def value(Q, s, after, epsilon, rng):
        return epsilon * Q[after].sum() + (1 - epsilon) * Q[after].max()
    learned(value, *arguments, **options)


@attempt("expected_sarsa", "exchanged")
def greedy_with_epsilon(*arguments, **options):
    learned(lambda Q, s, after, epsilon, rng: by_policy(Q, s, after, 1 - epsilon, rng), *arguments,
            **options)


@attempt("expected_sarsa", "uniform")
def plain_mean(*arguments, **options):
    learned(lambda Q, s, after, *_: Q[after].mean(), *arguments, **options)


@attempt("expected_sarsa", "bootstrapped_end")
def mean_behind_the_end(*arguments, **options):
    learned(by_policy, *arguments, ends=False, **options)


@attempt("expected_sarsa", "no_reset")
def onwards(*arguments, **options):
    learned(by_policy, *arguments, resets=False, **options)


@attempt("expected_sarsa", "one_episode")
def mean_while_it_lasts(*arguments, **options):
    until_the_end(by_policy, *arguments, **options)


@attempt("expected_sarsa", "starts_in_0")
def mean_from_the_first_state(*arguments, **options):
    learned(by_policy, *arguments, again=0, **options)


@attempt("expected_sarsa", "overwritten")
def mean_change_for_entry(*arguments, **options):
    learned(by_policy, *arguments, kept=0, **options)


@attempt("expected_sarsa", "no_gamma")
def without_discount(*arguments, gamma, **options):
    learned(by_policy, *arguments, gamma=1, **options)


@attempt("expected_sarsa", "none of the well-known mistakes")
def mean_of_the_state_before(*arguments, **options):
    learned(lambda Q, s, after, *others: by_policy(Q, after, s, *others), *arguments, **options)


# SARSA.


def on_policy_by(value, Q, step, start, steps, *, alpha, gamma, epsilon, rng, ends=True,
                 first=None, again=False, kept=1):
    """`value(Q, after, a, b)` is V(s'); `first` tells (start, b) after an end."""
    s, a = start, act(Q[start], epsilon, rng)
    for _ in range(steps):
        after, r, terminal = step(s, a, rng)
        b = act(Q[after], epsilon, rng)
        V = value(Q, after, a, b)
        target = r + (0 if terminal and ends else gamma * V)
        Q[s, a] = (kept - alpha) * Q[s, a] + alpha * target
        s, a = after, act(Q[after], epsilon, rng) if again else b
        if terminal:
            s, a = (start, act(Q[start], epsilon, rng)) if first is None else first(start, after, b)


def of_b(Q, after, a, b):
    return Q[after, b]


@attempt("sarsa")
def where_the_next_step_is_taken(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """The first action of an episode is drawn before the update too."""
    s, a = start, act(Q[start], epsilon, rng)
    for _ in range(steps):
        after, r, terminal = step(s, a, rng)
        there = start if terminal else after
        b = act(Q[there], epsilon, rng)
        if not terminal:
            r += gamma * Q[there, b]
        Q[s, a] += alpha * (r - Q[s, a])
        s, a = there, b


@attempt("sarsa")
def by_episodes_of_steps(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """Nothing is drawn behind an end."""
    while steps:
        s, terminal = start, False
        a = act(Q[s], epsilon, rng)
        while steps and not terminal:
            after, target, terminal = step(s, a, rng)
            if not terminal:
                b = act(Q[after], epsilon, rng)
                target += gamma * Q[after, b]
            Q[s, a] = (1 - alpha) * Q[s, a] + alpha * target
            s, a, steps = after, b if not terminal else None, steps - 1


@attempt("sarsa", "drawn_again")
def new_action_at_every_step(*arguments, **options):
    on_policy_by(of_b, *arguments, again=True, **options)


@attempt("sarsa", "drawn_again")
def action_at_the_top_of_the_loop(*arguments, **options):
    learned(of_the_next, *arguments, **options)


@attempt("sarsa", "maximum")
def with_the_best(*arguments, **options):
    on_policy_by(lambda Q, after, a, b: Q[after].max(), *arguments, **options)


@attempt("sarsa", "bootstrapped_end")
def ends_forgotten(*arguments, **options):
    on_policy_by(of_b, *arguments, ends=False, **options)


@attempt("sarsa", "no_reset")
def never_at_the_start(*arguments, **options):
    on_policy_by(of_b, *arguments, first=lambda start, after, b: (after, b), **options)


@attempt("sarsa", "one_episode")
def sarsa_while_it_lasts(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    s, a, terminal = start, act(Q[start], epsilon, rng), False
    while steps and not terminal:
        after, target, terminal = step(s, a, rng)
        b = act(Q[after], epsilon, rng)
        if not terminal:
            target += gamma * Q[after, b]
        Q[s, a] += alpha * (target - Q[s, a])
        s, a, steps = after, b, steps - 1


@attempt("sarsa", "starts_in_0")
def sarsa_from_the_first_state(Q, *arguments, epsilon, rng, **options):
    on_policy_by(of_b, Q, *arguments, epsilon=epsilon, rng=rng,
                 first=lambda start, after, b: (0, act(Q[0], epsilon, rng)), **options)


@attempt("sarsa", "overwritten")
def sarsa_change_for_entry(*arguments, **options):
    on_policy_by(of_b, *arguments, kept=0, **options)


@attempt("sarsa", "stale_action")
def action_from_behind_the_end(*arguments, **options):
    on_policy_by(of_b, *arguments, first=lambda start, after, b: (start, b), **options)


@attempt("sarsa", "same_action")
def of_a(*arguments, **options):
    on_policy_by(lambda Q, after, a, b: Q[after, a], *arguments, **options)


@attempt("sarsa", "mean")
def as_expected_sarsa(*arguments, epsilon, **options):
    on_policy_by(lambda Q, after, a, b: by_policy(Q, None, after, epsilon, None), *arguments,
                 epsilon=epsilon, **options)


@attempt("sarsa", "end_not_learned")
def ends_skipped(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    s, a = start, act(Q[start], epsilon, rng)
    for _ in range(steps):
        after, r, terminal = step(s, a, rng)
        if terminal:
            s, a = start, act(Q[start], epsilon, rng)
        else:
            b = act(Q[after], epsilon, rng)
            Q[s, a] += alpha * (r + gamma * Q[after, b] - Q[s, a])
            s, a = after, b


@attempt("sarsa", "no_gamma")
def sarsa_at_gamma_one(*arguments, gamma, **options):
    on_policy_by(of_b, *arguments, gamma=1, **options)


@attempt("sarsa", "none of the well-known mistakes")
def value_of_the_worst(*arguments, **options):
    on_policy_by(lambda Q, after, a, b: Q[after].min(), *arguments, **options)


# Double Q-learning.


def doubled(value, Q, step, start, steps, *, alpha, gamma, epsilon, rng, ends=True, resets=True,
            once=False, again=None, kept=1, acting=lambda Q: Q.sum(axis=0),
            moved=lambda i: [(i, i)]):
    """`value(Q_i, Q_j)` is V(s') if Q_i is updated; `moved(i)` are the entries that move."""
    s, again = start, start if again is None else again
    for _ in range(steps):
        a = act(acting(Q[:, s]), epsilon, rng)
        after, r, terminal = step(s, a, rng)
        i = 0 if rng.random() < 0.5 else 1
        new = []
        for this, subtracted in moved(i):
            V = 0 if terminal and ends else value(Q[this, after], Q[1 - this, after])
            new.append((this, kept * Q[this, s, a] + alpha * (r + gamma * V - Q[subtracted, s, a])))
        for this, entry in new:
            Q[this, s, a] = entry
        if terminal and once:
            return
        s = again if terminal and resets else after


def judged(own, other):
    return other[own.argmax()]


@attempt("double_q_learning")
def by_numbers_of_tables(*arguments, **options):
    doubled(judged, *arguments, **options)


@attempt("double_q_learning")
def by_cases(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    first, second = Q
    s = start
    for _ in range(steps):
        a = act((first[s] + second[s]) / 2, epsilon, rng)
        after, r, terminal = step(s, a, rng)
        if rng.random() < 0.5:
            V = 0 if terminal else second[after, best(first[after])[-1]]
            first[s, a] += alpha * (r + gamma * V - first[s, a])
        else:
            V = 0 if terminal else first[after, best(second[after])[-1]]
            second[s, a] += alpha * (r + gamma * V - second[s, a])
        s = start if terminal else after


@attempt("double_q_learning", "own_maximum")
def two_q_learners(*arguments, **options):
    doubled(lambda own, other: own.max(), *arguments, **options)


@attempt("double_q_learning", "maximum_of_the_other")
def best_of_the_other(*arguments, **options):
    doubled(lambda own, other: other.max(), *arguments, **options)


@attempt("double_q_learning", "roles")
def the_other_chooses(*arguments, **options):
    doubled(lambda own, other: judged(other, own), *arguments, **options)


@attempt("double_q_learning", "maximum_of_the_mean")
def best_on_average(*arguments, **options):
    doubled(lambda own, other: (own / 2 + other / 2).max(), *arguments, **options)


@attempt("double_q_learning", "both")
def no_coin(*arguments, **options):
    doubled(judged, *arguments, moved=lambda i: [(0, 0), (1, 1)], **options)


@attempt("double_q_learning", "other_subtracted")
def difference_between_tables(*arguments, **options):
    doubled(judged, *arguments, moved=lambda i: [(i, 1 - i)], **options)


@attempt("double_q_learning", "acts_by_one")
def first_table_plays(*arguments, **options):
    doubled(judged, *arguments, acting=lambda row: row[0], **options)


@attempt("double_q_learning", "bootstrapped_end")
def judged_behind_the_end(*arguments, **options):
    doubled(judged, *arguments, ends=False, **options)


@attempt("double_q_learning", "no_reset")
def beyond_the_end(*arguments, **options):
    doubled(judged, *arguments, resets=False, **options)


@attempt("double_q_learning", "one_episode")
def two_tables_and_one_episode(*arguments, **options):
    doubled(judged, *arguments, once=True, **options)


@attempt("double_q_learning", "starts_in_0")
def doubled_from_the_first_state(*arguments, **options):
    doubled(judged, *arguments, again=0, **options)


@attempt("double_q_learning", "overwritten")
def doubled_change_for_entry(*arguments, **options):
    doubled(judged, *arguments, kept=0, **options)


@attempt("double_q_learning", "none of the well-known mistakes")
def judged_by_the_smaller(*arguments, **options):
    """Clipped double Q-learning, of another paper."""
    doubled(lambda own, other: min(own.max(), other[own.argmax()]), *arguments, **options)
