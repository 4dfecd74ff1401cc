"""How far does an agent see that looks ahead from one state, by trying?

*Part 5.  Previous: `search`.  Next: `scaling`.*

Planning says what to do in every state.  Often only one question is open: what to do *here*.  A
*tree search* answers it with a simulator alone, which draws outcomes and hides their chances.  It
plays *simulations* from the state at hand, the *root*.  Near the root it remembers what they have
earned.  A *node* of the tree is a state at a time, and holds for each action the number of visits
N(s, a) and the mean return Q(s, a) after it.  A simulation

1. goes down the tree, by a rule that chooses an action in each node,
2. adds the first node that is not in the tree yet, and lets the rule choose there too,
3. goes on by a policy, for example at random, until the end or a horizon,
4. and updates each of its nodes by R, the discounted return from that node on:

    N(s, a) ← N(s, a) + 1,   Q(s, a) ← Q(s, a) + (R − Q(s, a))/N(s, a).             (tree_search.1)

The answer is the action that was visited most at the root.  Now for the rule.  *UCT* adds to the
mean what an action that was tried seldom may still be worth, and tries every action once:

    a = argmax_a [Q(s, a) + c √(log N(s)/N(s, a))],   N(s) = 1 + Σ_b N(s, b).       (tree_search.2)

N(s) counts the visits of the node, this one included.  The sum in brackets is the *bound* of the
action, an upper one of what it may be worth.  Its own visits make the second term smaller, and
visits to other actions let it grow again, slowly.  The exploration c has the size of returns; √2
suits those between 0 and 1.  *PUCT* has an opinion before it tries, the *prior*, a policy that was
learned or guessed.  Until an action is tried its Q is 0:

    a = argmax_a [Q(s, a) + c prior(a|s) √N(s)/(1 + N(s, a))].                      (tree_search.3)

**In numbers.**  Leave (action 0) now for ½, or stay (action 1) and choose again: then to leave pays
0, and to stay 1.  The first two simulations try both actions.  The second one stays, comes to a new
node, tries its first action there, and earns 0.  In the fourth N(s) is 4.  The bound for leaving is
½ + √2 √(log 4/2) = 1.68, and for staying 0 + √2 √(log 4/1) = 1.67.  So it leaves once more.  The
fifth stays, and finds the 1:

>>> from itertools import islice
>>> for tree in islice(tree_search(deceptive_chain(2), 0, uct(), rng=0), 7):
...     print(tree.visits, np.round(tree.values, 3))
(1, 0) [0.5 0. ]
(1, 1) [0.5 0. ]
(2, 1) [0.5 0. ]
(3, 1) [0.5 0. ]
(3, 2) [0.5 0.5]
(3, 3) [0.5   0.667]
(3, 4) [0.5  0.75]

To stay is worth 1, but its mean is 0.75.  A mean still holds what was earned before the search knew
better, and what exploring costs below.  So Q is too low, and creeps up.

**How far from the best?**  A solver knows Q*.  So what an answer loses is known exactly:

    regret = V*(s) − Q*(s, a),   a being the most visited action at the root s.     (tree_search.4)

Take the 4x4 lake, where moves succeed with the chance 0.8, at γ = 0.9.  Below is the regret in
percent of V*, the mean over the 11 cells where actions differ, each searched by itself.  Regret is
what one error costs.  A policy that takes the answers in all cells may err again and again.  So its
share of J* is below as well, in percent.  Median and worst of 8 seeds:

    simulations a cell                      16          64         256       1,024       4,096
    regret  UCT, c = √2              16.8  28.4  10.6  18.2   2.7   4.4   0.9   2.2     0   1.2
            PUCT, c = 2, good prior     0   1.2     0   1.9     0     0     0     0
            PUCT, c = 2, no opinion  17.2  26.1   8.4  12.9   3.1   5.9   1.5   3.0
            PUCT, c = 2, wrong prior 64.4  64.4  62.2  64.4  62.2  62.2  62.2  62.2
    share   UCT, c = √2                 0     0    13     0    50     0    77    44   100    45
            PUCT, c = 2, good prior   100    54   100    84   100   100   100   100
            PUCT, c = 2, no opinion     0     0     0     0    16     0    67    45
            UCT, slippery ice           0     0     4     0    14     2    15    10    33    23

The regret of UCT after 4,096 simulations is 0 in 5 of 8 seeds, and 0.8 to 1.2 % in the others.  The
good prior is softmax(Q*/0.1).  It gives the best action 0.58 on average, and in each cell more than
any other.  So its success is no merit of the search, which could only spoil it.  No opinion is the
uniform policy.  The wrong prior is softmax(−Q*/0.1), and its share is 0.  It does not keep the best
action of the start from being tried: 184 of 1,024 simulations take it.  But every node below
follows the prior into the holes, and no mean at the root is above 0.002.  In seed 0 the regret
falls to 55, 34 and 31 % after 4,096, 16,384 and 65,536 simulations.

The last row is of the slippery lake at γ = 0.99.  Random play earns about 0.012 from its start, but
the second term of a bound is 0.13 after a thousand visits to each action.  So all are tried about
equally often: 1,042, 1,006, 1,051 and 997 times of 4,096 in seed 0.

**Where it fails.**  Make the chain of the example D states long.  In state d, counted from 0, to
leave pays (D − d − 1)/D, and to stay in all of them pays 1.  All that is near says to leave, the
sooner the better.  After how many simulations, in powers of 2, is staying visited most?

    D                 2      3      4      5      6        7          8
    simulations       8     32    256  1,024  4,096  131,072  > 131,072

Value iteration needs D sweeps.  At a node UCT takes the action with the higher bound, and this
lowers the bound.  So the bounds of leaving and of staying remain close together:

    Q(s, 0) + c √(log N(s)/N(s, 0)) ≈ Q(s, 1) + c √(log N(s)/N(s, 1)).              (tree_search.5)

After 32,768 simulations at D = 7 it has left 32,266 times, for 6/7 each, and stayed 502 times, for
0.679 on average.  Both bounds are 0.8825.  Now let the gap be Q(s, 0) − Q(s, 1), while staying
seems worse.  Drop the second term on the left of (tree_search.5), which is positive.  Then the gap
is less than the second term on the right, and

    N(s, 1) stays below about c² log N(s)/gap².                                     (tree_search.6)

So of N simulations about log N reach the second node, up to a factor, about log log N the third,
and so on.  In this search it was 256 and 56 after 4,096, and 18, 7, 3 and 1 behind.

**Exercises.**  `from itertools import islice; from minirl.beyond.tree_search import *; from
minirl.kernel.mdp import coin_game`
1. Less exploration wastes less.  With c = 0.3, is staying found at D = 3 in 32,768 simulations?
       *_, tree = islice(tree_search(deceptive_chain(3), 0, uct(0.3), rng=0), 32768)
       tree.visits
2. A prior gives staying 0.5, 0.4 or 0.3.  After how many simulations is staying ahead at D = 3?
       for stay in 0.5, 0.4, 0.3:
           trees = tree_search(deceptive_chain(3), 0, puct([[1 - stay, stay]] * 3), rng=0)
           next(n for n, tree in enumerate(trees, 1) if tree.action == 1)
3. Head for ever is worth 10 in the coin game at γ = 0.9.  What does the mean say after a thousand?
       *_, tree = islice(tree_search(coin_game(gamma=0.9), 0, uct(), rng=0), 1000)
       np.round(tree.values, 1)

Read next: `scaling`, on what more data and more parameters buy.
Source: Kocsis and Szepesvári 2006, "Bandit based Monte-Carlo planning", for UCT; Coquelin and Munos
2007, arXiv:cs/0703062, for the chain; Rosin 2011, "Multi-armed bandits with episode context", and
Silver et al. 2017, "Mastering the game of Go without human knowledge", for PUCT.
"""

from bisect import bisect
from collections.abc import Iterator
from math import inf, log, sqrt
from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.kernel.mdp import TabularMDP, check_policy
from minirl.kernel.sampling import generator


class Tree(NamedTuple):
    """What a search knows at its root."""

    visits: tuple  # (A,) how often each action was taken there
    values: tuple  # (A,) the mean return after it; 0 where it was never taken

    @property
    def action(self):
        """The answer: the action that was visited most."""
        return self.visits.index(max(self.visits))


def tree_search(mdp, state, choose, *, rng, policy=None, horizon=50) -> Iterator[Tree]:
    """A `Tree` after each simulation from a root, by (tree_search.1), for ever.

    Parameters
    ----------
    mdp : TabularMDP
        The simulator: outcomes are drawn from it.
    state : int
        The root.
    choose : callable
        `choose(state, actions, visits, values) -> action` in a node, where `actions` are those
        available, and `visits` and `values` have an entry for every action: `uct` or `puct`, or
        one of your own.
    rng : Generator or seed
    policy : (S, A) float, optional
        What is played below the tree; by default all actions equally often.
    horizon : int ≥ 1
        Simulations are cut after that many steps.

    Examples
    --------
    >>> from itertools import islice
    >>> from minirl.kernel.mdp import coin_game
    >>> *_, tree = islice(tree_search(coin_game(gamma=0.9), 0, uct(), rng=0), 100)
    >>> tree.action, sum(tree.visits)
    (0, 100)
    """
    root, = checks.numbers("state", [state], mdp.shape[0]).tolist()
    horizon, rng = checks.whole("horizon", horizon), generator(rng)
    policy = mdp.uniform if policy is None else check_policy(mdp, policy)
    plays, chances = policy.cumsum(axis=1).tolist(), mdp.prob.cumsum(axis=2).tolist()
    following, reward, ends = mdp.next_state.tolist(), mdp.reward.tolist(), mdp.terminated.tolist()
    able = [np.flatnonzero(row).tolist() for row in mdp.available]
    visits, values = {}, {}
    while True:
        s, path, rewards, below, over = root, [], [], False, False
        while not over and len(rewards) < horizon:
            if below:
                a = _drawn(plays[s], rng)
            else:
                node = len(rewards), s
                if node not in visits:
                    visits[node], values[node] = [0] * mdp.shape[1], [0.0] * mdp.shape[1]
                    below = True  # from the next step on
                a = choose(s, able[s], visits[node], values[node])
                if a not in able[s]:
                    raise ValueError(f"choose must return one of {able[s]} here, got {a}")
                path.append((visits[node], values[node], a))
            k = _drawn(chances[s][a], rng)
            rewards.append(reward[s][a][k])
            over, s = ends[s][a][k], following[s][a][k]
        R = 0.0
        for t in reversed(range(len(rewards))):
            R = rewards[t] + mdp.gamma * R
            if t < len(path):
                N, Q, a = path[t]
                N[a] += 1
                Q[a] += (R - Q[a]) / N[a]
        yield Tree(tuple(visits[0, root]), tuple(values[0, root]))


def uct(exploration=sqrt(2)):
    """The rule (tree_search.2); `exploration` is c, in the unit of returns.

    Examples
    --------
    >>> uct()(0, [0, 1], [3, 1], [0.5, 0.0]), uct()(0, [0, 1], [2, 1], [0.5, 0.0])
    (1, 0)
    """
    checks.not_negative("exploration", exploration)

    def choose(state, actions, N, Q):
        log_visits = log(1 + sum(N))
        return max(actions, key=lambda a: (
            Q[a] + exploration * sqrt(log_visits / N[a]) if N[a] else inf))

    return choose


def puct(prior, exploration=2.0):
    """The rule (tree_search.3) with a `prior` (S, A), whose rows sum to 1.

    Examples
    --------
    >>> puct([[0.3, 0.7]])(0, [0, 1], [0, 0], [0.0, 0.0])
    1
    """
    if np.ndim(prior) != 2:
        raise ValueError(f"prior must be a table (S, A), got shape {np.shape(prior)}")
    prior = checks.weights("prior", prior, np.shape(prior))
    if not np.allclose(prior.sum(axis=1), 1):
        raise ValueError(f"prior must have rows that sum to one, got {prior}")
    shape, prior = prior.shape, prior.tolist()
    checks.not_negative("exploration", exploration)

    def choose(state, actions, N, Q):
        if state >= shape[0] or len(N) != shape[1]:
            raise ValueError(f"prior must have a row for state {state}, of {len(N)} actions, got "
                             f"shape {shape}")
        root = exploration * sqrt(1 + sum(N))
        return max(actions, key=lambda a: Q[a] + root * prior[state][a] / (1 + N[a]))

    return choose


def regret(optimum, state, action):
    """(tree_search.4), from the `Optimum` of a solver.

    Examples
    --------
    >>> from minirl.exact.planning import policy_iteration
    >>> best = policy_iteration(deceptive_chain(5))
    >>> print(round(regret(best, 0, 0), 6), regret(best, 0, 1))
    0.2 0.0
    """
    Q = optimum.action_values[state]
    return float(Q.max() - Q[action])


def deceptive_chain(length) -> TabularMDP:
    """The world in which UCT fails: leave (action 0) or stay (action 1), in `length` states.

    Examples
    --------
    >>> deceptive_chain(4).mean_reward.tolist()
    [[0.75, 0.0], [0.5, 0.0], [0.25, 0.0], [0.0, 1.0]]
    """
    D = checks.whole("length", length)
    d, last = np.arange(D), np.arange(D) == D - 1
    reward, ends = np.stack([(D - d - 1) / D, last], axis=1), np.stack([d >= 0, last], axis=1)
    following = np.stack([d, np.minimum(d + 1, D - 1)], axis=1)
    return TabularMDP(following[:, :, None], np.ones((D, 2, 1)), reward[:, :, None],
                      ends[:, :, None], start=(d == 0).astype(float), gamma=1.0)


def _drawn(sums, rng):
    """A number by its chance, from the sums of the chances up to it."""
    return bisect(sums, rng.random() * sums[-1])  # which is less than the last of them
