"""What is there to learn in worlds that have a law but no map?

*Worlds to draw, after `planning`.  Previous: `maps`.  Next: `draw`.*

Four small worlds of Sutton and Barto have no cells.  Each is a `TabularMDP` all the same, and
policy iteration solves it.  For each of them this chapter says what a state and an action are, and
what the best policy knows.

**The gambler** stakes some of his capital on each toss of a coin.  Heads pays the stake and tails
takes it.  He stops at nothing or at his goal, which alone pays 1.  So his value is the probability
of winning.  The state s is the capital.  The action a stakes a + 1, but no more than he has or
needs.  Bellman's equation for the best policy (planning.1) is

    V(s) = max_a [heads · V(s + stake) + (1 − heads) · V(s − stake)],

with `heads` the probability of heads, and with 0 and 1 in the places of V at nothing and at the
goal.  Let the goal be 4 and heads = 0.4.  From 2 he may stake everything, and wins with 0.4.  From
1 he must win twice in a row: first to 2, and then again.  From 3 one win will do, and a loss leads
to 2:

    V(2) = 0.4        V(1) = 0.4 · 0.4 = 0.16        V(3) = 0.4 + 0.6 · 0.4 = 0.64

>>> from minirl.exact.planning import policy_iteration
>>> best = policy_iteration(gambler(goal=4))
>>> print(best.values[1:4], best.policy[2])  # from 2 he stakes 2, the second action
[0.16 0.4  0.64] [0. 1.]

The coin is against him, so the best policy is bold: few tosses give the coin few chances to take
its share.  With the goal of 100 in the book the values at 25, 50 and 75 are the same three numbers.

**Blackjack.**  Player and dealer get two cards each, and one of the dealer's is seen.  The state is
(sum, dealer's card, usable ace).  Its number is 22 · sum + 2 · card + ace, as in `environment`.
Action 0 sticks and action 1 hits, that is, takes a card.  Cards are drawn with replacement.  Each
of 2 to 9 and the ace (1) has the chance 1/13, and 10 has 4/13, since three pictures count 10 as
well.  An ace counts 11 as long as the sum does not exceed 21; then it is *usable*.  A player above
21 loses 1 at once.  If the player sticks, the dealer hits as long as his own sum is below 17.  A
dealer above 21 loses too.  Otherwise the larger sum pays 1, a smaller one −1, and equal sums 0.  A
natural, 21 with the first two cards, is a sum of 21 like any other, as in Gymnasium's default.

From a sum of 20 without an ace a hit is safe only if the card drawn is an ace.  Then it makes 21;
every other card loses.  So hit has the mean −12/13 plus 1/13 of the value of 21.  The two action
values against a 10, and the value of the game, are

>>> best = policy_iteration(blackjack())
>>> print(best.action_values[22 * 20 + 2 * 10].round(4), round(best.objective, 4))  # stick, hit
[ 0.435  -0.8547] -0.0466

The game is worth −0.0466 to the best policy.  The player loses slightly more often than the dealer,
because a sum above 21 loses at once even if the dealer would have exceeded it too.

**Car rental** (Jack's).  Two places hold up to `most` cars each.  With n₁ and n₂ cars in the
evening, the state is (most + 1) · n₁ + n₂.  Up to five cars are moved overnight, for 2 each: action
a moves a − 5 from the first place to the second, or as many as there are.  Then customers rent, for
10 per car, and bring cars back, which can be rented on the day after.  The numbers are Poisson: n
customers come with the probability e^−mean · meanⁿ/n!.  The means are 3 and 4 for renting, and 3
and 2 for bringing back.  Cars beyond `most` disappear.  Nothing ever ends, and γ is 0.9 in the
book.  The reward of a day is its mean, given what was moved, since planning needs no more.  The
second place rents more and gets fewer cars back.  So what the best policy moves goes mostly there,
where many cars stand at the first place and few at the second.

Let one car stand at the first place and none at the second, and move nothing.  The car is rented
unless no customer comes, which has the chance e⁻³.  So the day earns 10 (1 − e⁻³):

>>> day = car_rental(most=5).mean_reward[6 * 1 + 0, 5]
>>> print(round(float(day), 4), round(10 * (1 - np.exp(-3)), 4))
9.5021 9.5021

**The largest of noisy estimates** (`maximisation_bias`).  From A one may go right, which ends with
nothing, or left to B.  There each of ten actions ends with a random reward of mean −0.1 and
variance 1:

    nothing, ends <── right ── A ── left ──> B ── any of ten actions ──> −0.1 on average, ends

Left is wrong, and planning knows it.  A learner that has tried each action in B once sees ten
rewards.  Their mean is about −0.1, but the largest of them is far above 0.  If the learner takes it
for the value of B, it goes left.  Part 3 shows it in `q_learning`, with a remedy.  A table has
finitely many outcomes.  So the normal distribution of the book is replaced by twenty equally likely
values at its quantiles, with the same mean and variance.  With the values in ascending order, the
largest of ten is at most the k-th with the probability (k/20)¹⁰.  Differences of these are the
chances of each value:

>>> values, k = np.sort(maximisation_bias().reward[1, 0]), np.arange(1, 21)
>>> print(values.mean().round(4), values.var().round(4))
-0.1 1.0
>>> print((values @ ((k / 20)**10 - ((k - 1) / 20)**10)).round(4))
1.4171

A table has equally many actions in every state.  So five of A's ten go left, and five go right.

**Exercises.**  `from gridworld.classics import *; from minirl.exact.planning import *`
1. The coin shows heads with 0.6.  How likely does the best gambler reach 100 from 1, and from 10?
       policy_iteration(gambler(heads=0.6)).values[[1, 10]].round(4)
2. A sum of 16 without an ace, and the dealer shows a 10.  What are sticking and hitting worth?
       policy_iteration(blackjack()).action_values[22 * 16 + 2 * 10].round(4)
3. Both places hold up to five cars.  Five stand at the first one, none at the second.  How many are
   moved overnight?
       policy_iteration(car_rental(most=5)).policy[6 * 5 + 0].argmax().item() - 5

Read next: `draw`, which shows worlds as text.
Source: Sutton and Barto, 2nd edition, examples 4.2, 4.3, 5.1 and 6.7, figure 6.5.
"""

import numpy as np
from scipy import stats

from minirl.kernel import checks
from minirl.kernel.mdp import TabularMDP


CARDS = {card: 4 / 13 if card == 10 else 1 / 13 for card in range(1, 11)}


def blackjack() -> TabularMDP:
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
        total, _ = _hit(hard, ace, card)
        more = {total if total <= 21 else 0: 1} if total >= 17 else _dealer(hard + card,
                                                                            ace or card == 1)
        for end, p in more.items():
            ends[end] = ends.get(end, 0) + chance * p
    return ends


def gambler(*, heads=0.4, goal=100) -> TabularMDP:
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


def car_rental(*, gamma=0.9, most=20) -> TabularMDP:
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


def maximisation_bias() -> TabularMDP:
    """The world of noisy estimates, gamma 1: A is state 0, B is state 1; actions 0 to 4 go left.

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
