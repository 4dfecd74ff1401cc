"""Value iteration: the best policy of a world whose law is known.

    V(s) ← max_a Σ_{s', r} p(s', r|s, a) [r + γ V(s')],   without V(s') where s' is terminal

Sutton and Barto, 2nd edition, (4.10).
"""


def value_iteration(law, gamma, tol=1e-10):
    """V and the best action of each state; law[s][a] lists (p, next s, r, terminal).

    For a state where the episode is over (H, G) both mean nothing: nobody acts there.  `tol` bounds
    the last change of V, not its error, which may be γ/(1 − γ) times as large.  Of several best
    actions the first is taken; at γ = 1 it may be one that, repeated, never ends (`planning`).
    """
    V = [0.0 for _ in law]
    while True:
        Q = [[sum(p * (r + gamma * V[after] * (not terminal)) for p, after, r, terminal in outcomes)
              for outcomes in actions] for actions in law]
        change = max(abs(max(q) - v) for q, v in zip(Q, V))
        V = [max(q) for q in Q]
        if change <= tol:
            return V, [q.index(max(q)) for q in Q]


CELLS = "SFFFFHFHFFFHHFFG"


def lake():
    """The law of the slippery lake: a move, left, down, right or up, may go to either side."""
    law = []
    for s in range(16):
        row, column = divmod(s, 4)
        to = [4 * row + max(column - 1, 0), 4 * min(row + 1, 3) + column,
              4 * row + min(column + 1, 3), 4 * max(row - 1, 0) + column]
        law.append([[(1 / 3, to[b % 4], float(CELLS[to[b % 4]] == "G"), CELLS[to[b % 4]] in "GH")
                     for b in (a - 1, a, a + 1)] for a in range(4)])
    return law


if __name__ == "__main__":
    V, best = value_iteration(lake(), 0.99)
    print(f"From the start the best policy is worth {V[0]:.4f}.")
    for row in range(0, 16, 4):
        print("   ".join(f"{CELLS[s]}     " if CELLS[s] in "GH" else f"{'<v>^'[best[s]]} {V[s]:.2f}"
                         for s in range(row, row + 4)))
