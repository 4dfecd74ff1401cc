"""Q-learning, SARSA, expected SARSA and double Q-learning: what an action is worth, by acting.

    Q(s, a) ← Q(s, a) + α (r + γ V(s') − Q(s, a)),   V(s') = 0 where s' is terminal

The world is a function: `step(s, a, rng)` returns the next state s', the reward r, and whether s'
is terminal.  V(s') is the value given to the next state, in which the four differ.  α is the share
of the difference by which Q(s, a) moves.  ε is how often the agent explores: it takes any action at
all instead of the best it knows.  (In `ppo` ε is the clip; the chapters call this one `rate`.)

Sutton and Barto, 2nd edition, (6.8), (6.7), (6.9) and (6.10).
"""

import numpy as np


def q_learning(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """V(s') = max_b Q(s', b): the best action, whatever is done there."""
    s = start
    for _ in range(steps):
        a = act(Q[s], epsilon, rng)
        after, r, terminal = step(s, a, rng)
        V = 0 if terminal else max(Q[after])
        Q[s, a] += alpha * (r + gamma * V - Q[s, a])
        s = start if terminal else after


def sarsa(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """V(s') = Q(s', a'): the action a' that is done there.  It is drawn before Q changes."""
    s, a = start, act(Q[start], epsilon, rng)
    for _ in range(steps):
        after, r, terminal = step(s, a, rng)
        b = act(Q[after], epsilon, rng)
        V = 0 if terminal else Q[after, b]
        Q[s, a] += alpha * (r + gamma * V - Q[s, a])
        s, a = (start, act(Q[start], epsilon, rng)) if terminal else (after, b)


def expected_sarsa(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """V(s') = Σ_b π(b|s') Q(s', b): the mean over what may be done there."""
    s = start
    for _ in range(steps):
        a = act(Q[s], epsilon, rng)
        after, r, terminal = step(s, a, rng)
        V = 0 if terminal else epsilon * np.mean(Q[after]) + (1 - epsilon) * max(Q[after])
        Q[s, a] += alpha * (r + gamma * V - Q[s, a])
        s = start if terminal else after


def double_q_learning(Q, step, start, steps, *, alpha, gamma, epsilon, rng):
    """V(s') = Q_2(s', argmax_b Q_1(s', b)): one of two tables Q chooses, the other one judges.

    Q_2 may have seen that action fall where Q_1 has not, and so V(s') may be too low.
    """
    s = start
    for _ in range(steps):
        a = act((Q[0, s] + Q[1, s]) / 2, epsilon, rng)
        after, r, terminal = step(s, a, rng)
        Q1, Q2 = Q if rng.random() < 0.5 else Q[::-1]
        V = 0 if terminal else Q2[after, rng.choice(best(Q1[after]))]
        Q1[s, a] += alpha * (r + gamma * V - Q1[s, a])
        s = start if terminal else after


def act(q, epsilon, rng):
    """ε-greedy: with probability ε any action, otherwise one of the best; at first all are best."""
    return rng.choice(len(q) if rng.random() < epsilon else best(q))


def best(q):
    """The actions of the highest value."""
    return np.flatnonzero(q == max(q))


def cliff(s, a, rng):
    """A step up, right, down or left in example 6.6: next state, reward, terminal."""
    row = min(max(s // 12 + (a == 2) - (a == 0), 0), 3)
    column = min(max(s % 12 + (a == 1) - (a == 3), 0), 11)
    if row == 3 and 0 < column < 11:  # over the edge, and back to the start
        return 36, -100.0, False
    return 12 * row + column, -1.0, (row, column) == (3, 11)


if __name__ == "__main__":
    for learn in q_learning, sarsa, expected_sarsa, double_q_learning:
        Q = np.zeros((2, 48, 4) if learn is double_q_learning else (48, 4))
        learn(Q, cliff, 36, 20_000, alpha=0.2, gamma=1, epsilon=0.1, rng=np.random.default_rng(0))
        s, terminal, R = 36, False, 0
        while not terminal and R > -100:
            s, r, terminal = cliff(s, np.argmax(Q[s] if Q.ndim == 2 else Q.sum(axis=0)[s]), None)
            R += r
        walk = f"returns {R:.0f}" if terminal else "does not arrive"
        print(f"{learn.__name__:17}  the greedy policy {walk}; along the edge -13")
    print("Q-learning learns what the best walk is worth, SARSA what its own is worth, with a\n"
          "stray step in ten; near the edge a stray step costs 100, so SARSA goes round.  So does\n"
          "double Q-learning, because it may value the edge too low, and then rarely tries it.")
