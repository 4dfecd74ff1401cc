"""What is reinforcement learning, and what has it to do with a language model?

*Chapter 0.  Next: `checks`, a side road.*

**A walk.**  Somebody wants to cross a frozen lake from S to G.  F is ice, and H is a hole.

    S F F F        0  1  2  3        ← ↑ ↑ ↑
    F H F H        4  5  6  7        ← H ← H
    F F F H        8  9 10 11        ↑ ↓ ← H
    H F F G       12 13 14 15        H → ↓ G
    the map       the states         the best policy

The walker is the *agent*.  The cell it stands in is the *state* s.  There it chooses an *action* a:
left, down, right or up.  The ice is slippery: it leads where the move was meant to go with the
chance 1/3, and to the left or the right of that with 1/3 each.  A move off the map leaves the
walker where it is.  The world answers with the next state s' and with a *reward* r: 1 for reaching
G, and 0 otherwise.  A hole or the goal ends the *episode*.  How the agent acts is its *policy*:
π(a|s) is the probability that it takes the action a in the state s.

Here is one episode of the best policy, a *step* per line, by the loop in `minirl/plain/episode.py`:

>>> import numpy as np
>>> from minirl.plain.episode import careful, episode, lake, returns
>>> walk = episode(lake, careful, np.random.default_rng(4))
>>> for s, a, r, after, _ in walk:
...     print(f"{s:2} {'←↓→↑'[a]} pays {r:g} and leads to {after}")
 0 ← pays 0 and leads to 4
 4 ← pays 0 and leads to 4
 4 ← pays 0 and leads to 8
 8 ↑ pays 0 and leads to 9
 9 ↓ pays 0 and leads to 13
13 → pays 0 and leads to 14
14 ↓ pays 1 and leads to 15

The *return* of an episode adds its rewards up.  A reward that comes later counts less: the
*discount* γ multiplies it once for every step of waiting.  With r_t the reward of step t,

    R_0 = r_0 + γ r_1 + γ² r_2 + …                                                  (introduction.1)

At γ = 0.99 this episode has the return 0.99⁶ · 1 = 0.9415, since six steps come before the last:

>>> print(round(returns([r for _, _, r, _, _ in walk], 0.99)[0], 4))
0.9415

**A word.**  A *bigram* language model writes a character at a time and looks one character back:
the state is the last character, the action the next one.  Two words of the reference below:

    state    start   s      u      n           state    start   s       p       y
    action   s       u      n      end         action   s       p       y       end
    π(a|s)   0.113   0.051  0.121  0.261       π(a|s)   0.113   0.030   0.008   0.246
    reward   0.139   0.139  0.139  0           reward   0.139   −0.861  −0.861  0

**They are the same object**, a table π(a|s) that acts, and so every algorithm here runs on both:

                   on the lake                    in a language
    state          a cell                         the last character
    action         a move                         the next character
    next state     where the ice leads            the character just written, s' = a
    end            a hole or the goal             the end symbol
    episode        a walk                         a *string*, y
    policy         how to walk                    the language model itself
    reward         1 at the goal                  how good the string is

**Better** always means a larger *objective* J(π).  On the lake J is the mean return: at γ = 0.99 a
policy that moves at random has J = 0.0124, and the best one J* = 0.5420.  Part 2 computes both
exactly, and every learner of the book is measured by its distance to J*.

**Why a reference?**  A language model first learns to write, by imitating texts.  That makes the
*reference* π_ref.  Then its strings are judged.  A policy that sought nothing but reward would
forget how to write: if each letter earned something, its strings would never end.  So each
departure has a price.  The logarithm of a string's probability, its *log-probability*, is the sum
over its steps; for "sun" it is

    log 0.113 + log 0.051 + log 0.121 + log 0.261 = −2.18 − 2.98 − 2.11 − 1.34 = −8.61 nats.

A *nat* is the unit of natural logarithms: a string that is a nat less likely is e = 2.718 times as
rare.  The mean of log π(y) − log π_ref(y) over the strings of π is the *KL divergence* KL(π‖π_ref).
A nat of it costs β, and the objective of a language model is

    J(π) = mean reward of a string − β KL(π‖π_ref).                                 (introduction.2)

**The running example.**  Count how often each of 27 symbols, the letters and one for start and end,
follows each of them in the 2,465 words of Unicode character names.  Add 0.1 to all counts, and
divide each row by its sum: that is π_ref.  It gives these words, ends included, −2.58 nats per
character.  The *perplexity* e^2.58 = 13.2 says that this is like guessing among 13 equally likely
characters.  The reward asks which word is easier to say: 0.139 per letter, minus 1 for every two
neighbours that are both among a e i o u or both not.  It is added up without a discount, so that
"sun" earns 0.417.  With β = 0.5 the reference has J = −0.5355, and the best policy J* = 0.1489.
That one gives "sun" −8.07 nats instead of −8.61, and "spy" −15.40 instead of −11.93; `regularised`
shows how.  Three other worlds come back again and again:

    SFFFFFFF   the slippery 8x8 lake            FFFFFFFFFFFF   the cliff: every step costs 1,
    FFFFFFFF                                    FFFFFFFFFFFF   a step onto C costs 100 and
    FFFHFFFF                                    FFFFFFFFFFFF   leads back to S
    FFFFFHFF                                    SCCCCCCCCCCG
    FFFHFFFF
    FHHFFFHF                                    the coin game has one state:
    FHFFHFHF                                    head pays 1 and goes on,
    FFFHFFFG                                    tail pays nothing and ends

**How to read.**  A chapter is a module: first the text, then the function that it is about, then
helpers.  A *tag* such as (softmax.3) names an equation; a search for it finds text, code and test.
`minirl/plain` has each algorithm on one screen.  `python -m pytest -m gradient` checks every
gradient.  `symbols` lists the letters and `glossary` the terms.  Chapters in brackets on the
contents page, `help(minirl)`, are side roads.  For an exercise start Python, run the import above
it, predict, and then run the line.  Three routes.  *In three hours*: `softmax`, `counts`, `mdp`,
`evaluation`, `planning`, `returns`, `reinforce`, `surrogate`, `ppo`, `pairs`, `regularised`,
`reward_model`, `dpo`.  *Reinforcement learning*: Parts 1 to 3 without brackets.  *Alignment*: the
same, less `gradcheck`, `prediction`, `exploration`, `q_learning` and `ppo_kl`, then Parts 4 and 5.

**Exercises.**  `from minirl.plain.episode import *`
1. The walk above, at γ = 0.5: what is its return?
       returns([0, 0, 0, 0, 0, 0, 1], 0.5)[0]
2. How long is an episode at random, on average?  Guess before 1,000 of them are played.
       sum(len(episode(lake, at_random, np.random.default_rng(n))) for n in range(1000)) / 1000
3. A fair coin plays the coin game.  What is the log-probability of head, head, tail, in nats?
       round(3 * float(np.log(0.5)), 4)

Read next: `softmax`, the table that a policy is.
Source: Sutton and Barto, "Reinforcement learning", 2nd edition, chapters 1 and 3.
"""
