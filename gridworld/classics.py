"""Small worlds of Sutton and Barto that have a law but no map.

*Blackjack* (example 5.1).  The state is (sum, dealer's card, usable ace), with the numbers that the
observations of Gymnasium's Blackjack get in `environment`: 22·sum + 2·card + ace.  Action 0 sticks
and action 1 hits.  Cards are drawn with replacement, and each of 2 to 9 and the ace (1) is a
quarter as likely as 10.  An ace counts 11 as long as the sum does not exceed 21; then it is usable.
The dealer hits below 17.  A sum above 21 loses 1 at once; otherwise the larger sum wins 1.  The
rules are those of Gymnasium's default, under which a natural is a sum of 21 like any other.

*The gambler* (example 4.3) stakes some of his capital on each toss of a coin.  Heads pays the stake
and tails takes it; he stops at nothing or at 100, which alone pays 1.  So his value is the
probability of winning.  The state is the capital.  Action a stakes a + 1, but no more than he has
or needs.

*Car rental* (example 4.2, Jack's).  Two places hold up to 20 cars each; the state is 21·n₁ + n₂,
the cars in the evening.  Up to five are moved overnight, for 2 each: action a moves a − 5 from the
first place to the second, or as many as there are.  Then customers rent, 10 a car, and bring cars
back, which can be rented the day after.  Numbers are Poisson, with means 3 and 4 for renting, 3 and
2 for bringing back; cars beyond 20 disappear.  The reward of a day is its mean, given what was
moved: planning needs no more.  It never ends; gamma is 0.9 in the book.

*Maximisation bias* (example 6.7, figure 6.5).  From A one may go right, which ends with nothing, or
left to B, where every one of ten actions ends with a reward of mean −0.1 and variance 1.  Left is
wrong, but after a few lucky rewards in B its largest estimate looks good: Q-learning goes left far
too often, and double Q-learning much less.  A table has equally many actions in every state, so
five of A's ten go left and five go right.  And a table has finitely many outcomes: the normal
distribution of the book is replaced by twenty equally likely values at its quantiles, with the same
mean and variance.

Read first: `minirl.kernel.mdp`.  Read next: `draw`.
Source: Sutton and Barto, 2nd edition, chapters 4.3, 4.4, 5.1 and 6.7.
"""

import numpy as np
from scipy import stats

from minirl.kernel import checks
from minirl.kernel.mdp import TabularMDP


CARDS = {card: 4 / 13 if card == 10 else 1 / 13 for card in range(1, 11)}


def blackjack():
    """The world of blackjack, gamma 1: 32·11·2 states, most of which never occur, and two actions.

    Examples
    --------
    On a 21 without an ace one sticks, and the dealer's 6 makes another one tie:

    >>> game = blackjack()
    >>> game.shape, game.reward[22 * 21 + 2 * 6, 0, :3].tolist()
    ((704, 2), [1.0, 0.0, -1.0])
    >>> print(game.prob[22 * 21 + 2 * 6, 0, :3].round(3))
    [0.903 0.097 0.   ]
    """
    number = np.arange(704).reshape(32, 11, 2)
    next_state = np.broadcast_to(number.reshape(704, 1, 1), (704, 2, 10)).copy()
    prob, reward = np.zeros((704, 2, 10)), np.zeros((704, 2, 10))
    prob[:, :, 0] = 1  # where nobody ever is, and nothing happens
    terminated, start = np.full(prob.shape, True), np.zeros((32, 11, 2))
    for card, chance in CARDS.items():
        ends = _dealer(card, card == 1)
        for one, two in np.ndindex(10, 10):
            total, usable = _hit(one + 1, one == 0, two + 1)
            start[total, card, usable] += chance * CARDS[one + 1] * CARDS[two + 1]
        for total, usable in [(total, 0) for total in range(4, 22)] + [
                (total, 1) for total in range(12, 22)]:
            s = number[total, card, usable]
            prob[s, 0, :3] = [sum(p for end, p in ends.items() if np.sign(total - end) == sign)
                              for sign in (1, 0, -1)]
            reward[s, 0, :3] = 1, 0, -1
            for k, (drawn, p) in enumerate(CARDS.items()):
                after, ace = _hit(total - 10 * usable, usable, drawn)
                prob[s, 1, k], next_state[s, 1, k] = p, number[after, card, ace]
                terminated[s, 1, k], reward[s, 1, k] = after > 21, -(after > 21)
    return TabularMDP(next_state, prob, reward, terminated, start.ravel(), gamma=1.0)


def _hit(hard, ace, card):
    """(sum, usable ace) after a card, to a hand that adds up to `hard` with any ace as 1."""
    hard, ace = hard + card, ace or card == 1
    usable = int(ace and hard <= 11)
    return hard + 10 * usable, usable


def _dealer(hard, ace):
    """{sum: probability} of the dealer's hand in the end, 0 if it exceeds 21."""
    ends = {}
    for card, chance in CARDS.items():
        total, usable = _hit(hard, ace, card)
        more = {total if total <= 21 else 0: 1} if total >= 17 else _dealer(hard + card,
                                                                            ace or card == 1)
        for end, p in more.items():
            ends[end] = ends.get(end, 0) + chance * p
    return ends


def gambler(*, heads=0.4, goal=100):
    """The gambler's world, gamma 1: states 0 … goal, actions 0 … goal/2 − 1, a start anywhere.

    Examples
    --------
    >>> game = gambler(goal=4)
    >>> game.next_state[3, 1].tolist(), game.prob[3, 1].tolist(), game.terminated[3, 1].tolist()
    ([4, 2], [0.4, 0.6], [True, False])
    """
    checks.fraction("heads", heads)
    goal = checks.whole("goal", goal, least=2)
    capital = np.arange(goal + 1)[:, None]
    stake = np.minimum(np.arange(1, goal // 2 + 1), np.minimum(capital, goal - capital))
    next_state = np.stack([capital + stake, capital - stake], axis=2)
    wins = (next_state == goal) & (stake > 0)[:, :, None]
    return TabularMDP(next_state, np.broadcast_to([heads, 1 - heads], wins.shape),
                      wins.astype(float), (next_state == 0) | (next_state == goal),
                      start=np.pad(np.full(goal - 1, 1 / (goal - 1)), 1), gamma=1.0)


def car_rental(*, gamma=0.9, most=20):
    """The world of the car rental, in places for `most` ≥ 5 cars: (most + 1)² states, 11 actions.

    Examples
    --------
    With no car anywhere nothing can be moved or rented:

    >>> world = car_rental(most=5)
    >>> world.shape, world.mean_reward[0].round(6).tolist() == [0.0] * 11
    ((36, 11), True)
    """
    most = checks.whole("most", most, least=5)
    n = most + 1
    (first, earned_first), (second, earned_second) = (_day(3, 3, most), _day(4, 2, most))
    cars = np.arange(n)
    moved = np.clip(np.arange(-5, 6), -cars[None, :, None], cars[:, None, None])  # (n, n, 11)
    one = np.minimum(cars[:, None, None] - moved, most)
    two = np.minimum(cars[None, :, None] + moved, most)
    chance = first[one][..., :, None] * second[two][..., None, :]  # of (n₁', n₂')
    reward = 10 * (earned_first[one] + earned_second[two]) - 2 * np.abs(moved)
    prob = chance.reshape(n * n, 11, n * n)
    next_state, reward, never = (np.broadcast_to(values, prob.shape) for values in (
        np.arange(n * n), reward.reshape(n * n, 11, 1), False))
    return TabularMDP(next_state, prob, reward, never, np.full(n * n, 1 / n**2), gamma)


def _day(renting, bringing, most):
    """A day at one place: the law P(cars in the evening | cars in the morning), and mean rentals.

    Of n cars in the morning min(n, requests) are rented, and those brought back fill up to `most`.
    """
    P, rented = np.zeros((most + 1, most + 1)), np.zeros(most + 1)
    for n in range(most + 1):
        rents = stats.poisson.pmf(np.arange(n + 1), renting)
        rents[n] = stats.poisson.sf(n - 1, renting)  # n requests or more
        rented[n] = rents @ np.arange(n + 1)
        for left, chance in zip(range(n, -1, -1), rents):
            back = stats.poisson.pmf(np.arange(most - left + 1), bringing)
            back[-1] = stats.poisson.sf(most - left - 1, bringing)
            P[n, left:] += chance * back
    return P, rented


def maximisation_bias():
    """The world of the two estimates, gamma 1: A is state 0, B is state 1; actions 0 to 4 go left.

    Examples
    --------
    >>> world = maximisation_bias()
    >>> print(world.shape, world.mean_reward[1].round(6).tolist()[:2], world.terminated[0, :, 0])
    (2, 10) [-0.1, -0.1] [False False False False False  True  True  True  True  True]
    """
    values = stats.norm.ppf((np.arange(20) + 0.5) / 20)
    values /= values.std()
    reward, terminated = np.zeros((2, 10, 20)), np.full((2, 10, 20), True)
    reward[1] = values - 0.1
    terminated[0, :5] = False
    return TabularMDP(next_state=np.ones(reward.shape, int), prob=np.full(reward.shape, 1 / 20),
                      reward=reward, terminated=terminated, start=np.array([1.0, 0.0]), gamma=1.0)
