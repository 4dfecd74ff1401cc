"""What can more attempts buy, and what does training take from them?

*Part 5.  Previous: `contrastive`.  Next: `cascade`.*

A model may answer a question more than once.  If somebody can tell right from wrong, one right
attempt of k is enough, and the chance of that is called *pass@k*.  If nobody can, the attempts
vote.  The *majority vote* is the answer given most often, and *maj@k* is the chance that it is
right.  Where prompts share a table, training often raises pass@1 and maj@k, and lowers pass@64.

**Attempts.**  An episode begins in a state s, the *prompt*, which is drawn with the chance
start(s).  Its *answer* is the state in which it ends.  Let p_s be the chance that one attempt is
right.  All k of them are wrong with the chance (1 − p_s)^k, so that

    pass@k = Σ_s start(s) [1 − (1 − p_s)^k].                                           (inference.1)

The mean over prompts comes last.  With the chances 0.5 and 0.1, pass@2 is the mean of 0.75 and
0.19, which is 0.47.  The mean chance 0.3 would give 1 − 0.7² = 0.51.

Mostly p_s is unknown, and samples must tell.  One may put the share that is wrong in the place of
1 − p_s.  A k-th power is a convex function, so its mean is too large and the estimate of pass@k too
low: with 16 samples and p_s = 0.1, pass@16 is 0.815, and the mean of this estimate 0.659.  Instead
ask how likely k of the samples, drawn without putting any back, have a right one among them:

    1 − Π_{i<k} (wrong − i)/(samples − i).                                             (inference.2)

The k that are drawn are k attempts like any others.  So the mean of (inference.2) is pass@k itself.

**Votes.**  Of three answers the right one has the chance 0.4, the others 0.3 each.  In three votes
it has all with the chance 0.4³ = 0.064, and two of them with 3 · 0.4² · 0.6 = 0.288.  One vote for
each answer has the chance 6 · 0.4 · 0.3 · 0.3 = 0.216, and then a tie is broken by lot, which falls
on the right one in a third of the cases: 0.064 + 0.288 + 0.072 = 0.424.  For more votes use a
trick.  Let the number of attempts itself be random: it is j with the chance k^j e^{−k}/j!, the law
of Poisson with the mean k.  Then the votes of the answers do not depend on each other: one with the
chance p has j votes with the chance votes(j, p).  Given that there are k votes in all, they are
those of k attempts.  Let others_j(m, i) be the chance that the others have m votes in all, i of
them j each and the rest fewer.  It is built up one answer at a time.  A further answer with l < j
votes takes m to m + l; with l = j, i to i + 1 too.  With i others on top, the right one wins the
lot in one of 1 + i cases.  In the end divide by votes(k, 1), the chance of k votes:

    votes(j, p) = (k p)^j e^{−k p}/j!,
    maj@k = Σ_{s,j,i} start(s) votes(j, p_s) others_j(k − j, i)/[(1 + i) votes(k, 1)]. (inference.3)

>>> print(majority_at_k([0.4, 0.3, 0.3], 0, 3).round(3))
0.424

With many votes the likeliest answer wins.  So maj@k tends to the share of prompts whose right
answer alone is the likeliest (reference below: 4/26, but slowly), and pass@k to that with p_s > 0.

**Two prompts that share a row.**  To the prompt c the answer n is right, and to n the answer a:

    c ──→ n ──→ end            c asks the row n to end, and n asks it to go on.
          └───→ a ──→ end      Two of three prompts are c.

If the row n ends with p, c is right with p and n with 1 − p.  Train pass@1, at the price β of a
nat from p = ½.  Every episode visits the row once, so the KL has the slope log(p/(1 − p)):

    pass@1 = (2 p + 1 − p)/3,     J = (1 + p)/3 − β KL,     best at log(p/(1 − p)) = 1/(3 β).

With β = 1/9 that is 3, and p = 0.953.  One, four and 64 attempts and five votes, before and after:

>>> for p in 0.5, 1 / (1 + np.exp(-3)):
...     each = [pass_at_k([p, 1 - p], k) for k in (1, 4, 64)]
...     each.append(majority_at_k([[p, 1 - p], [p, 1 - p]], [0, 1], 5))
...     print((np.array(each) @ [2 / 3, 1 / 3]).round(3))
[0.5   0.938 1.    0.5  ]
[0.651 0.726 0.985 0.666]

**Why.**  c has won the row, and n needs some twenty times as many attempts as c.  What is trained
is, with the distance KL_s of the episodes that begin in s,

    J = Σ_s start(s) (p_s − β KL_s).                                                   (inference.4)

If each prompt has a table of its own, each term is made best by itself.  The reference has no
distance to itself, so the best is worth at least what the reference has:

    p_s ≥ p_s − β KL_s ≥ p_s of the reference.                                         (inference.5)

*No prompt can fall, and no pass@k.*  A table of its own reaches, by (regularised.9), what is best
among all laws of strings: the right strings times e^{1/β}, divided by the sum:

    p_s = p e^{1/β} / (1 − p + p e^{1/β}),   with p of the reference.                  (inference.6)

Where prompts share rows, (inference.5) holds for the sum over prompts alone.  So *pass@1 cannot
fall, but single prompts can*.  What that does to more attempts, the slope of (inference.1) tells:

    ∂pass@k/∂p_s = start(s) k (1 − p_s)^{k−1}.                                         (inference.7)

At k = 1 a prompt weighs start(s), and the many may gain what the few lose.  At k = 64 it weighs
64 · 0.95^63 = 2.5 times that where p_s = 0.05, and less than 1e-16 times where it is ½.  So gains
of the many count nothing, and a prompt that falls low costs much.

**On letters.**  The bigram of the Unicode words is given the first letter of a word and asked for
its last.  Right is the most usual one.  *Fell* means: below the reference (`minirl inference`).

    policy              pass@1     @4    @16    @64   @256   maj@8    @32   prompts that fell
    reference            0.125  0.405  0.856  0.998  1.000   0.166  0.198   0
    descent to β = 0.3   0.260  0.653  0.934  0.991  1.000   0.390  0.458   4
    descent to β = 0.1   0.923  0.923  0.923  0.923  0.924   0.923  0.923   2
    PPO, a middle run    0.922  0.923  0.923  0.924  0.927   0.923  0.923   2
    own tables, β = 0.1  1.000  1.000  1.000  1.000  1.000   1.000  1.000   0

At β = 0.1 and in most runs of PPO, which has no price, two of 26 prompts end with a chance near 0,
e and n: 24/26 is 0.923.  n must go on to a where c, h, i, x and y want to end; the row e must end
for nine prompts, and e is asked for s.  Of eight runs six lose just these two, one loses h as well,
and the worst c, e, h, i, x and y (0.768).  At β = 0.05, descent on −J from the reference ends there
too: J has several peaks.  With 64 attempts the reference beats every shared table above.

**Exercises.**  `from minirl.beyond.inference import *`
1. One model is right in a hundredth of its attempts, whatever the prompt.  Another always solves
   half of the prompts, and never the others.  How many attempts make the first one better?
       [round(float(pass_at_k([0.01], k)[0]), 4) for k in (1, 10, 68, 69, 1000)]
2. How much better are two votes than one, and three than two?
       [round(float(majority_at_k([0.7, 0.2, 0.1], 0, k)), 4) for k in (1, 2, 3)]
3. What do 100 votes say if the right answer has 0.3, and seven others 0.1 each, or two 0.35 each?
       [round(float(majority_at_k(chances, 0, 100)), 3)
        for chances in ([0.3] + 7 * [0.1], [0.3, 0.35, 0.35])]

Read next: `cascade`, for what goes wrong on the way to an answer.
Source: Chen et al. 2021, arXiv:2107.03374, eq. 1, for (inference.2); Wang et al. 2022 (votes),
arXiv:2203.11171; Shao et al. 2024, arXiv:2402.03300; Yue et al. 2025, arXiv:2504.13837.
"""

from dataclasses import replace

import numpy as np
from scipy import special

from minirl.exact.evaluation import ending_chance, evaluate
from minirl.exact.planning import policy_gradient
from minirl.kernel import checks
from minirl.kernel.mdp import check_policy
from minirl.kernel.softmax import product
from minirl.people.kl import string_kl


def pass_at_k(chances, k):
    """The chance that one of k attempts is right, (inference.1), if each is right with `chances`.

    It has the shape of `chances`, one for each prompt.  What is reported is the mean over prompts.

    Examples
    --------
    >>> print(pass_at_k([0.5, 0.1, 0.0], 2))
    [0.75 0.19 0.  ]
    """
    chances = _chances("chances", chances)
    with np.errstate(divide="ignore"):  # what is sure is right at once
        return -np.expm1(checks.whole("k", k) * np.log1p(-chances))


def estimated_pass_at_k(right, samples, k):
    """The unbiased estimate (inference.2) of pass@k: `right` of `samples` ≥ k attempts were right.

    `right` may be an array, one number for each prompt.

    Examples
    --------
    >>> print(estimated_pass_at_k([0, 1, 2, 3], samples=4, k=2).round(4))
    [0.     0.5    0.8333 1.    ]
    """
    k = checks.whole("k", k)
    samples = checks.whole("samples", samples, least=k)
    wrong = samples - checks.numbers("right", np.ravel(right), samples + 1).reshape(np.shape(right))
    i = np.arange(k)
    return 1 - (np.maximum(wrong[..., None] - i, 0) / (samples - i)).prod(axis=-1)


def majority_at_k(chances, right, k):
    """The chance that the right answer has most of k votes, (inference.3); ties are broken by lot.

    Parameters
    ----------
    chances : (A,) or (M, A) float
        How likely an attempt gives each of A answers, for one prompt or for M.  Rows sum to one.
    right : int, or (M,) int
        The right answer.
    k : int ≥ 1
        About k²·A/4 products of arrays: a second for M = 26, A = 27 and k = 100.

    Examples
    --------
    >>> print([round(float(majority_at_k([0.4, 0.3, 0.3], 0, k)), 4) for k in (1, 2, 3, 99)])
    [0.4, 0.4, 0.424, 0.8092]
    """
    chances, k = _chances("chances", chances), checks.whole("k", k)
    if chances.ndim not in (1, 2):
        raise ValueError(f"chances must have shape (A,) or (M, A), got {chances.shape}")
    if (np.abs(chances.sum(axis=-1) - 1) > 1e-8).any():
        raise ValueError(f"chances must sum to one, got {chances.sum(axis=-1)}")
    if np.ndim(right):
        checks.shape("right", right, chances.shape[:-1])
    A = chances.shape[-1]
    right = np.broadcast_to(right, chances.shape[:-1])
    checks.numbers("right", right.ravel(), A)
    rows, own = chances.reshape(-1, A), right.reshape(-1, 1)
    votes = np.arange(k + 1)
    # Poisson chances of so many votes, of an answer of each prompt: (A, M, k + 1).
    poisson = np.exp(special.xlogy(votes, k * rows.T[:, :, None]) - k * rows.T[:, :, None]
                     - special.gammaln(votes + 1))
    mine = poisson[own[:, 0], np.arange(len(rows))]
    # Where an answer is the right one itself, nothing is left to do: it has 0 votes for sure.
    others = np.where((np.arange(A)[:, None] == own[:, 0])[:, :, None], votes == 0, poisson)
    others = others[(rows > 0).any(axis=0)]
    won = np.zeros(len(rows))
    for j in range(1, k + 1):
        won += mine[:, j] * (_others_below(others, j, k - j) / np.arange(
            1, 2 + (k - j) // j)).sum(axis=1)
    total = np.exp(special.xlogy(k, k) - k - special.gammaln(k + 1))
    return (won / total).reshape(right.shape)


def _others_below(poisson, most, votes):
    """others_j(m, i) of (inference.3), with j `most` and m `votes`: (M, 1 + votes // most)."""
    found = np.zeros((poisson.shape[1], votes + 1, 1 + votes // most))
    found[:, 0, 0] = 1
    for chance in poisson:
        before, found = found, found * chance[:, :1, None]
        for i in range(1, min(most - 1, votes) + 1):
            found[:, i:] += before[:, :-i] * chance[:, i, None, None]
        if most <= votes:
            found[:, most:, 1:] += before[:, :-most, :-1] * chance[:, most, None, None]
    return found[:, votes]


def answer_chances(mdp, policy):
    """How likely an episode from each state ends in each state: (S, S).

    An *answer* is the state in which an episode ends.  Rows sum to one; those of states that no
    episode visits are 0.  Gamma plays no part.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> print(answer_chances(unroll(coin_game(), 3), np.full((3, 2), 0.5))[0])
    [0.5  0.25 0.25]
    """
    mdp = replace(mdp, gamma=1.0)
    ends = ending_chance(mdp, check_policy(mdp, policy))
    states = np.arange(len(ends))
    per_step = np.broadcast_to(ends[:, None], mdp.shape)
    return np.nan_to_num(np.stack([
        evaluate(mdp, policy, np.where(states[:, None] == i, per_step, 0.0)) for i in states], 1))


def right_answer_loss(logits, mdp, ref_logits, right, *, beta):
    """−J of (inference.4), to be minimised, and its gradient.

    Parameters
    ----------
    logits, ref_logits : (S, A) float
        The policy and the reference.
    mdp : TabularMDP
        Episodes begin with a prompt: `mdp.start` says how often with which.  Gamma plays no part.
    right : (S,) int
        The state in which an episode that starts in s must end to be right.
    beta : float ≥ 0
        The price of a nat.  Where it is low, descent may end in one of several optima.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> three, fair = unroll(coin_game(), 3), np.zeros((3, 2))
    >>> loss, grad = right_answer_loss(fair, three, fair, [1, 1, 1], beta=0.1)
    >>> print(loss, grad[:2].tolist())  # one head and then a tail
    -0.25 [[-0.125, 0.125], [0.125, -0.125]]
    """
    checks.not_negative("beta", beta)
    loss, grad = string_kl(replace(mdp, gamma=1.0), logits, ref_logits)
    loss, grad = product(beta, loss), beta * grad
    for share, world in worlds_of_answers(mdp, right):
        J, slope = policy_gradient(world, logits)
        loss, grad = loss - share * J, grad - share * slope
    return loss, grad


def worlds_of_answers(mdp, right):
    """For each answer that is right for some prompt: its share of the prompts, and its world.

    The world has these prompts, and pays 1 for ending in the answer.  `right` is that of
    `right_answer_loss`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> (share, world), = worlds_of_answers(unroll(coin_game(), 2), [1, 0])
    >>> print(share, world.reward[:, :, 0].tolist())
    1.0 [[0.0, 0.0], [1.0, 1.0]]
    """
    right = _right(right, mdp.shape[0])
    worlds = []
    for answer in np.unique(right[mdp.start > 0]):
        start = np.where(right == answer, mdp.start, 0.0)
        pays = mdp.terminated & (np.arange(len(start)) == answer)[:, None, None]
        worlds.append((float(start.sum()), replace(mdp, start=start / start.sum(), gamma=1.0,
                                                   reward=pays.astype(float))))
    return worlds


def right_answer_rewards(right):
    """Rewards for a trainer: 1 at the end of an episode that ends in right[its first state].

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game, unroll
    >>> from minirl.play.training import play, start
    >>> batch = play(unroll(coin_game(), 2), start(np.zeros((2, 2)), rng=0), episodes=100,
    ...              rewards=right_answer_rewards([1, 0]), horizon=9)
    >>> print(batch.metrics["rollout/ep_rew_mean"])
    0.48
    """
    def rewards(batch, logp):
        answers = _right(right, len(logp))
        first, last = batch.starts[:-1], batch.starts[1:] - 1
        paid = np.zeros(batch.states.size)
        paid[last] = ~batch.truncated & (batch.states[last] == answers[batch.states[first]])
        return paid

    return rewards


def tilted_chance(chances, *, beta):
    """The chances of (inference.6): of the best law of whole strings, where a right one pays 1.

    Examples
    --------
    >>> print(tilted_chance([0.0, 0.1, 0.9], beta=0.5).round(4))
    [0.     0.4509 0.9852]
    """
    checks.positive("beta", beta)
    with np.errstate(divide="ignore"):  # a chance of 0 or 1 stays what it is
        return special.expit(special.logit(_chances("chances", chances)) + 1 / beta)


def _chances(name, values):
    values = checks.floats(name, values)
    if np.iscomplexobj(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1], got {values}")
    return values


def _right(right, states):
    checks.shape("right", right, (states,))
    checks.numbers("right", right, states)
    return np.asarray(right)
