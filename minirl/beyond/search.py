"""Which string is the likeliest, and is it one that a model should write?

*Part 5.  Previous: `cascade`.  Next: `tree_search`.*

A policy writes by drawing one action after the other.  Whoever wants one answer, with no luck in
it, may ask for the likeliest string instead.  The obvious way is greedy: take the likeliest action
of each row.  But the likeliest first step may lead to a state from which no ending is likely.

**In numbers.**  A language has the letters o and n.  At the start the chances of end, o and n are
0.1, 0.5 and 0.4.  After o they are 0.4, 0.3 and 0.3, and after n they are 0.9, 0.05 and 0.05.
Greedy writes "o", with 0.5 · 0.4 = 0.2.  The likeliest string is "n", with 0.4 · 0.9 = 0.36.  Below
each answer has its actions, of which 0 ends, its chance, and how many rows of the table were read.

>>> from toy_lm.ngram import language
>>> table = np.log([[0.1, 0.5, 0.4], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])
>>> world = language(np.zeros((3, 3)))
>>> for width in 1, 2:
...     answer = beam(world, table, 0, width)
...     print(answer.actions, round(np.exp(answer.log_prob), 2), answer.rows)
(1, 0) 0.2 2
(2, 0) 0.36 3
>>> best = viterbi(world, table)
>>> print(np.exp(best.values), best.rounds, follow(world, best, 0).actions)
[0.36 0.4  0.9 ] 2 (2, 0)

**Exactly, by planning.**  A string's log-probability is a sum over its steps.  So it is the return,
at γ = 1, of a world that pays log π(a|s) for each step, and the likeliest string is the best way
through it.  Let V(s) be the log-probability of the likeliest ending from s.  By (planning.1),

    V(s) = max_a [log π(a|s) + V(s')],   with V(s') = 0 where a ends the string.          (search.1)

Begin with V = −∞, since no ending is known, and put V into its own equation.  After round k it is
the likeliest ending of at most k steps.  No ending gains by visiting a state twice, since each step
of the loop costs −log π ≥ 0.  So at most S rounds are needed, and one in which nothing changes.
This is *Viterbi's algorithm*, and `policy_iteration` finds the same in the world that pays log π.
Below are three models of the Unicode words, which have 3 to 12 letters: of order 2 and 3 with a
pseudo-count of 0.1, and of order 4 with 0.01 and 19,683 states.  They take 2, 4 and 8 rounds.

**A beam** is for models with too many states for a table.  It keeps the `width` likeliest prefixes:

    prefixes_{k+1} = the likeliest `width` of {y followed by a: y in prefixes_k}.         (search.2)

A string that ends uses one of the places at its last step, and is then set aside.  With width 1 the
beam is greedy, and with room for all prefixes it is exact.  It loses strings whose beginnings look
poor.  Here are 27 prompts, nothing and each letter: how often it is right, and what it lacks:

    width        1      2      3      4      8     16     32     64
    order 2     13     19     23     25     27     27     27     27   of 27 right
    order 3      8     15     19     22     25     27     27     27
    order 4      5      9     11     13     20     25     26     27
    order 4   1.01   0.68   0.48   0.25   0.09  0.004  0.001      0   nats short, mean

At order 4 a beam of 64 reads 161 rows on average, and Viterbi's algorithm 9 · 19,683.  The mean
falls with the width, but not for each prompt.  After d a beam of 2 keeps "iga" and its end, which
has −5.111.  A beam of 3 keeps "iv" as well.  At the fourth step "ivid" and "ivis" are likelier than
that end, and crowd it out.  So the wider beam ends with "ivide", which has −5.320.

**The likeliest string is not a usual one.**  From nothing it is "s" for the bigram, with a chance
of 0.0237, "ma" at order 3 with 0.0059, and "bar" at order 4 with 0.0014.  Yet words have 5.89
letters on average, and none has fewer than three.  Strings of the bigram have a mean −log π(y) of
17.93 nats, the entropy of its strings, and "s" has 3.74.  Each usual string is far less likely than
"s", but there are very many.  Each step costs log-probability, so likely strings are short.  On
average they are shorter, the wider the beam: the *curse of the beam*.  At order 4, after 26 prompts
of one letter, greedy has 4.31 letters, the prompt's included, a beam of 4 has 3.50, and one of 32
has 3.31, like the exact answers.  But from nothing widths 4, 8 and 16 find "ther", "comple", "bar".

**A price on length.**  Many programs take the y with the highest score

    log π(y)/|y|^penalty,   |y| being the number of steps.                                (search.3)

At penalty 0 it is the likeliest, and at 1 the one with the best mean per step.  The score is no sum
over steps, and the best rest depends on the length of what came before.  So (search.1) does not
apply, and a beam still keeps prefixes by log π.  The exact answer is found length by length.  Let
V_k(s) be the log-probability of the likeliest ending of exactly k steps.  Then

    V_1(s) = max_a log π(a|s) over the a that end,
    V_k(s) = max_a [log π(a|s) + V_{k−1}(s')] over the a that go on.                      (search.4)

Divide each V_k by k^penalty, and the highest score wins.  From nothing, in at most a hundred steps:

    order  penalty   greedy     width 4         width 16          exact
      3       1      se         cortion         mation            rection
      4       0.6    semicine   semicircular    comple            daviyanna
      4       1      semicine   semicrossbone   semicirculation   naaksikyayanna

No beam up to 64 finds the last two.  At penalty 1 one of 64 goes round in "mikuruzeirth" nearly to
the horizon.

**Two temperatures.**  One is of *rows*: it raises each to a power and divides by the sum.  At 0 it
is greedy.  The other is of *strings*.  Reward them by R(y) = log π(y), with π itself as the
reference, at a price β.  The optimum (regularised.9) is

    π*(y) ∝ π(y) e^{log π(y)/β} = π(y)^(1 + 1/β).                                         (search.5)

The power belongs to the temperature β/(1 + β).  At 0 only the likeliest string is written.

**Exercises.**  `from minirl.beyond.search import *; from minirl.kernel.mdp import coin_game; from
toy_lm.corpora import unicode_words; from toy_lm.models import fit; from toy_lm.ngram import
language`
1. A model of order 3 goes on after k.  Does a wider beam add letters to what a narrower one wrote?
       model = fit(unicode_words(), order=3)
       world, k = language(model.logits), model.vocabulary.state("k", order=3)
       for width in 1, 2, 4, 16:
           answer = beam(world, model.logits, k, width)
           "k" + "".join(model.vocabulary.letters[a - 1] for a in answer.actions[:-1])
2. A model is silent with the chance 1/10.  Else it says one of a hundred letters, all as likely,
   and then nearly always stops.  What is its likeliest string?
       table = np.log([[0.1] + 100 * [0.009]] + 100 * [[0.99] + 100 * [0.0001]])
       follow(language(table), viterbi(language(table), table), 0).actions
3. Head has the chance 0.9, and tail ends.  How many steps has the best of all strings of up to 100,
   at the penalties 0, ½ and 1?
       answers = of_each_length(coin_game(), np.log([[0.9, 0.1]]), 0, longest=100)
       [len(max(answers, key=lambda y: y.log_prob / len(y.actions)**penalty).actions)
        for penalty in (0, 0.5, 1)]

Read next: `tree_search`, where the world answers by chance.
Source: Viterbi 1967, "Error bounds for convolutional codes and an asymptotically optimum decoding
algorithm"; Yang, Huang and Ma 2018, arXiv:1808.09582, for the curse; Stahlberg and Byrne 2019,
arXiv:1908.10090: a translator's likeliest sentence is often the empty one; Wu et al. 2016,
arXiv:1609.08144, for a penalty on length.
"""

from typing import NamedTuple

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import log_softmax


class Endings(NamedTuple):
    """The likeliest ending of a string from each state."""

    values: np.ndarray   # (S,) its log-probability; −∞ where no string ends
    actions: np.ndarray  # (S,) its first action; −1 where there is none
    rounds: int          # of (search.1); the longest of these endings has that many steps


class Answer(NamedTuple):
    """What a search has found."""

    actions: tuple   # of the string, the one that ends it included; empty if nothing was found
    log_prob: float  # log π(y), from the state where it begins; −∞ if nothing was found
    rows: int        # how many rows of the policy were read


def viterbi(mdp, logits) -> Endings:
    """(search.1): the likeliest ending of a string from every state, exact.

    Of endings that are equally likely it is the shortest one, and of several such the first in the
    order of their actions.

    Parameters
    ----------
    mdp : TabularMDP
        A language: each action has one outcome.  What it pays does not matter.
    logits : (S, A) float

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> viterbi(coin_game(), np.log([[0.75, 0.25]])).values.round(4)  # tail at once
    array([-1.3863])
    """
    logp, following, ends = _steps(mdp, logits)
    values, actions = np.full(len(logp), -np.inf), np.full(len(logp), -1)
    rounds = 0
    while True:
        Q = logp + np.where(ends, 0, values[following])
        better = Q.max(axis=1) > values
        if not better.any():
            return Endings(values, actions, rounds)
        values = np.where(better, Q.max(axis=1), values)
        actions = np.where(better, Q.argmax(axis=1), actions)
        rounds += 1


def follow(mdp, endings, state) -> Answer:
    """The `Answer` that `viterbi` gives from one state.

    Its rows are those of all rounds, the last one, in which nothing changes, included.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> coin, logits = coin_game(), np.log([[0.75, 0.25]])
    >>> follow(coin, viterbi(coin, logits), 0).actions
    (1,)
    """
    state, = checks.numbers("state", [state], mdp.shape[0])
    actions, log_prob, over = [], float(endings.values[state]), endings.actions[state] < 0
    while not over:
        a = endings.actions[state]
        actions.append(int(a))
        over, state = mdp.terminated[state, a, 0], mdp.next_state[state, a, 0]
    return Answer(tuple(actions), log_prob, (endings.rounds + 1) * len(endings.values))


def beam(mdp, logits, state, width, *, length_penalty=0.0, horizon=100) -> Answer:
    """(search.2): the `width` likeliest prefixes of each length; an end takes a place among them.

    Of equally likely prefixes those come first whose own prefix does, then those of the action with
    the lower number.  Of strings with the same score the one that ends first is the answer.
    The search stops when no prefix can become a better one.

    Parameters
    ----------
    mdp, logits
        As in `viterbi`.
    state : int
        Where the string begins: the state that a prompt leaves.
    width : int ≥ 1
        With 1 the search is greedy.
    length_penalty : float ≥ 0, but not so high that horizon^penalty is no float
        Of all strings that end within the beam the one with the highest log π(y)/|y|^penalty is
        the answer, |y| being its number of steps.
    horizon : int ≥ 1
        Prefixes with that many steps are given up.

    Examples
    --------
    Greedy writes head for ever where head is the likelier one:

    >>> from minirl.kernel.mdp import coin_game
    >>> coin, logits = coin_game(), np.log([[0.75, 0.25]])
    >>> beam(coin, logits, 0, width=1), beam(coin, logits, 0, width=2).actions
    (Answer(actions=(), log_prob=-inf, rows=100), (1,))
    """
    logp, following, ends = _steps(mdp, logits)
    state = checks.numbers("state", [state], len(logp))
    width, horizon = checks.whole("width", width), checks.whole("horizon", horizon)
    checks.not_negative("length_penalty", length_penalty)
    if length_penalty * np.log(horizon) > 700:  # e^700 is a float, e^710 is none
        raise ValueError(f"length_penalty must be at most 700/log(horizon), got {length_penalty}")
    totals, states, prefixes, rows = np.zeros(1), state, [()], 0
    best, highest = Answer((), -np.inf, 0), -np.inf
    for steps in range(1, horizon + 1):
        every, rows = totals[:, None] + logp[states], rows + len(states)
        kept = np.argsort(-every, axis=None, kind="stable")[:width]
        which, a = np.divmod(kept[every.ravel()[kept] > -np.inf], logp.shape[1])
        totals, over = every[which, a], ends[states[which], a]
        states = following[states[which], a]
        prefixes = [(*prefixes[i], int(action)) for i, action in zip(which, a)]
        for i in np.flatnonzero(over):
            if totals[i] / steps**length_penalty > highest:  # (search.3)
                highest = totals[i] / steps**length_penalty
                best = Answer(prefixes[i], float(totals[i]), 0)
        totals, states = totals[~over], states[~over]
        prefixes = [prefix for prefix, ended in zip(prefixes, over) if not ended]
        # What a prefix may still become: never likelier, and no longer than the horizon.
        if not prefixes or totals[0] / horizon**length_penalty <= highest:
            break
    return best._replace(rows=rows)


def of_each_length(mdp, logits, state, longest) -> list[Answer]:
    """(search.4): the likeliest string of 1, 2, … and `longest` steps, a list of `Answer`s.

    Where no string has a length, its `actions` are empty and its `log_prob` is −∞: leave it out
    before you divide by a length.  Of equally likely ones it is the first in the order of actions.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> answers = of_each_length(coin_game(), np.log([[0.75, 0.25]]), 0, longest=3)
    >>> [(y.actions, round(float(np.exp(y.log_prob)), 4)) for y in answers]
    [((1,), 0.25), ((0, 1), 0.1875), ((0, 0, 1), 0.1406)]
    """
    logp, following, ends = _steps(mdp, logits)
    state, = checks.numbers("state", [state], len(logp))
    Q, choices, answers = np.where(ends, logp, -np.inf), [], []
    for _ in range(checks.whole("longest", longest)):
        V, choices = Q.max(axis=1), [Q.argmax(axis=1), *choices]
        actions, s = [], state
        for choice in choices:
            actions.append(int(choice[s]))
            s = following[s, choice[s]]
        found = tuple(actions) if V[state] > -np.inf else ()
        answers.append(Answer(found, float(V[state]), len(choices) * len(logp)))
        Q = np.where(ends, -np.inf, logp + V[following])
    return answers


def _steps(mdp, logits):
    """log π, the next states and which steps end, (S, A) each, of a world without chance."""
    checks.shape("logits", logits, mdp.shape)
    if mdp.prob.max(axis=2).min() < 1:
        raise ValueError("mdp must have one outcome for each action, as a language has")
    sure = mdp.prob.argmax(axis=2)[:, :, None]
    following, ends = (np.take_along_axis(table, sure, axis=2)[:, :, 0]
                       for table in (mdp.next_state, mdp.terminated))
    return log_softmax(mdp.masked(logits)), following, ends
