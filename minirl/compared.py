"""All methods side by side, and how to add a loss of your own.

A page to turn to after Part 4.  Each line of its tables is held by `tests/test_compared.py`.  What
three libraries call these methods stands in `names`.

**What is made small, and by what it is divided.**  N counts the steps of a batch, B its episodes,
strings or pairs, and |y| the steps of a string.  Sums over n run over steps, and bare ones over
strings or pairs.

    method              the sum                                                  divided by
    reinforce           −Σ_n w_n A_n log π(a_n|s_n)                              B
    actor_critic        the same, A by GAE from a critic; less an entropy bonus  B
    ppo                 −Σ_n min(ρ_n A_n, clip(ρ_n) A_n); less an entropy bonus  N
    ppo_kl              −Σ_n ρ_n A_n + β Σ_s N[s] KL(π_old‖π)                    N
    sft                 −Σ_n log π(a_n|s_n), over demonstrations                 N
    rejection_sampling  the same, over the best string of each group             N
    reward_model        −Σ log σ(m), m = R(y⁺) − R(y⁻)                           B
    rlhf                that of ppo, paid r − β (log π_old − log π_ref)          N
    grpo                −Σ_n min(ρ_n A, clip(ρ_n) A) + β Σ_n k3, A of the group  B·|y|
    dr_grpo             the same, A without the std                              B·length
    rloo                the same, A without the std, from the others' mean       B·length
    dpo                 −Σ log σ(m), m = β (h⁺ − h⁻)                             B
    ipo                 Σ (h⁺ − h⁻ − 1/(2τ))²                                    B
    kto                 Σ w (1 − σ(m)), m = ±β (h − z₀)                          B
    simpo               −Σ log σ(m − lead), m = β (log π̄⁺ − log π̄⁻)            B; |y| in π̄
    orpo                −Σ log π̄⁺ − λ Σ log σ(m), m the lead in log-odds of π̄  B; |y| in π̄

`dr_grpo` and `rloo` are `grpo` with other arguments: `group_centred` or `group_leave_one_out` and
`per_length` of `groups`.  The `length` is a constant.  `rlhf.ptx_loss` adds the loss of `sft` to
that of `ppo`.  log π̄ is log π(y)/|y|.

**Whose policy is in the denominator, and whose strings are used.**  The policy that is trained is
π.  (`dr_grpo` and `rloo` are as `grpo`.)

    method              in the denominator  learns from             is held near
    reinforce           nothing             what π has just played  nothing
    actor_critic        nothing             what π has just played  nothing
    ppo                 π_old               what π_old played       π_old, by the clip
    ppo_kl              π_old               what π_old played       π_old, by β
    sft                 nothing             demonstrations          nothing
    rejection_sampling  nothing             what π has just played  π_old, by a pseudo-count
    reward_model        nothing             pairs                   nothing
    rlhf                π_old, π_ref        what π_old played       π_old, π_ref
    grpo                π_old, and π in k3  what π_old played       π_old, by the clip; π_ref, by β
    dpo                 π_ref               pairs                   π_ref, by β
    ipo                 π_ref               pairs                   π_ref, by τ
    kto                 π_ref               strings, liked or not   nothing
    simpo               nothing             pairs                   nothing
    orpo                nothing             pairs                   what was chosen

In `rlhf` π_old stands in the ratio of PPO and π_ref in the reward; the clip holds π near π_old and
the price β near π_ref.  In k3 of `grpo` it is π_ref/π, the other way round.  To be held near π_ref
`reinforce`, `actor_critic`, `ppo`, `ppo_kl`, and `grpo` at β = 0, need a reward that pays for it
(`rlhf.step_rewards`).  Each fit of this book to pairs or labels adds a `pull` towards a table
(`fitting`), which is no part of the method.

**What it climbs, and how far it gets.**  The shares are (J − J(π_ref))/(J* − J(π_ref)), exact, with
J = E[R] − β KL at β = 0.5.  `strings` is the share where the expected update is zero in the
language of 31 strings, with J* of the best bigram and groups of 4 (`python -m minirl objectives`).
`words` is that of one run on the running example, with 100,000 preferences where it learns from
them, its own strings where it plays, groups of 8, and the sizes of `python -m minirl alignment`.
Among these are 200 iterations for what climbs J, without an entropy bonus.  (The figures of `ppo`
are of 400 with one.)  Where a method plays, the KL is in the reward, except in the rows `grpo` and
`dr_grpo`, which have k3 in the loss, and `rejection_sampling`, which pays for none.  `sft` is the
limit of endless demonstrations by the optimum.  `dpo` has 1.000 in `strings` up to rounding: where
strings are cut, a bigram cannot be the optimum that it looks for.  (`kto` does not come to rest; in
`strings` it is shown after 2,000 steps.)  The two jobs have more rows: `objectives` every loss of
`margins` and every surrogate of `ratios`, and which of them aim at J; `alignment` those that do.

    method              climbs                                               strings  words
    reinforce           J                                                    1.000    0.998
    actor_critic        J                                                    -        0.999
    ppo                 J                                                    -        0.999
    ppo_kl              J                                                    1.000    0.999
    sft                 the likelihood of the optimum's own strings          1.000    1.000
    best_of_n           nothing: it shows the best of 4, and is not trained  -        0.915
    rejection_sampling  the likelihood of the best of 4, in one round        0.858    0.938
    reward_model        that of comparisons; then the exact optimum          1.000    0.978
    rlhf                J with the fitted reward                             1.000    0.979
    grpo                nothing that has a name                              0.482    0.789
    dr_grpo             nothing; rests at (grpo.2)                           0.867    0.777
    grpo_paid           J, with the KL in the reward of grpo                 1.000    1.000
    rloo                J                                                    -        1.000
    dpo                 the likelihood of comparisons                        1.000    0.982
    ipo                 the chance to win, less τ KL                         0.987    0.901
    kto                 a vote on each string                                0.811    0.861
    simpo               the likelihood of comparisons of log π̄              0.561    0.140
    orpo                imitation, and comparisons of odds                   0.526    0.671

**Four learners of action values.**  Each moves Q(s, a) towards r + γ V(s').  The numbers are J on
the cliff at γ = 1, of the greedy policy and of one that explores with a rate of 0.1 (`q_learning`).

    learner            V(s')                       learns what it is worth  greedy  exploring
    sarsa              Q(s', a'), then taken       to explore               −15     −20.7
    expected_sarsa     Σ_b π(b|s') Q(s', b)        to explore               −15     −20.7
    q_learning         max_b Q(s', b)              to act best              −13     −50.8
    double_q_learning  Q₂(s', argmax_b Q₁(s', b))  to act best, from below  −17     −24.5

**When do π_old and π_ref coincide?**  π_old played the present batch.  π_ref is where the run
began, and stays.  So they coincide in the first batch of a run that starts from the reference, and
in no later one.  Another pair, π and π_old, coincides at the first step from each batch.  There
ρ = 1, and KL(π_old‖π) is 0 and has the gradient 0: the price β of `ppo_kl` changes the way, not the
place where the expected update is zero.  KL(π‖π_ref) is part of the aim.  Its gradient is 0 at the
reference only, and so it does move that place.

**What does a step weigh?**  Two strings, of one step and of three, with the same advantage.  The
`length` of Dr. GRPO is 2.

                                 reinforce  ppo   grpo  dr_grpo
    the step of the short one    1/2        1/4   1/2   1/4
    a step of the long one       1/2        1/4   1/6   1/4
    the long one, all steps      3/2        3/4   1/2   3/4

REINFORCE and PPO differ by the factor N/B = 2, the mean length (ppo.4).  GRPO alone gives all
strings the same total, so that a long failure costs no more than a short one.

**What replaces the reference in SimPO and ORPO?**  In SimPO it is the length: a mean of log π
stands in the place of a log-ratio, and nothing holds the policy near anything.  In ORPO it is the
first term, the likelihood of the chosen strings, which holds the policy near these.

**A loss of your own.**  On pairs it is mostly a φ of `margins`: what a pair costs, and its slopes
in h⁺ and h⁻.  Say that a pair far from the lead asked for may be a mistake, so that it shall cost
only the logarithm of its square.  *Cauchy's* φ = log(1 + (1 − m)²), with m = β (h⁺ − h⁻), has the
slope −2 (1 − m)/(1 + (1 − m)²) in m.

>>> from functools import partial
>>> import numpy as np
>>> from minirl.kernel.gradcheck import check
>>> from minirl.people.margins import fit_margins, margin_loss
>>> from minirl.people.pairs import choices
>>> def cauchy(plus, minus, *, beta):
...     missing = 1 - beta * (plus - minus)
...     slope = -2 * beta * missing / (1 + missing**2)
...     return np.log1p(missing**2), slope, -slope
>>> pairs, phi = choices([0, 1, 2, 0], [1, 2, 0, 2], 3), partial(cauchy, beta=2.0)
>>> x, even = np.array([[0.3, -0.5, 0.1]]), np.zeros((1, 3))
>>> check(lambda x: margin_loss(x, even, pairs, phi), x).passed
True
>>> print(fit_margins(even, pairs, phi, pull=1.0).x.round(2) + 0)
[[ 0.24  0.   -0.24]]

To share it, go through these files.  On the right is the test that fails if one is forgotten.

    minirl/people/margins.py         the function below its kin, with an example   test_house.py
    minirl/names.py                  what libraries call it                        test_names.py
    tests/test_margins.py            OF_A_DIFFERENCE or OF_TWO: as its paper says  none
    tests/test_gradients.py          `margin_cases`: a line                        none
    minirl/lab/objectives.py         `updates`: where it comes to rest            test_objectives.py

A surrogate is mostly a gate of `ratios`, (ratio, sign) → (value, slope in the ratio).  It goes into
`ratios.py`, `names.py`, GATES of `tests/test_ratios.py` and of `tests/test_gradients.py`, and into
SURROGATES of `lab/objectives.py`, which `alignment` trains.  `test_objectives.py` asks for a row.

What needs a text of its own is a chapter.  Say `cauchy`, with a `cauchy_loss` as `ipo_loss`,
between `orpo` and `margins`:

    minirl/people/cauchy.py          text, loss and `fit_cauchy`, as in ipo.py     test_book.py
    minirl/people/__init__.py        a line of the contents, and the import        test_house.py
    minirl/__init__.py               its name in Part 4                            test_house.py
    minirl/people/orpo.py            `Next` and `Read next`                        test_book.py
    minirl/people/margins.py         `Previous`                                    test_book.py
    minirl/people/unified.py         a line of coefficients                        none
    minirl/people/pairs.py           its name among the chapters of preferences    none
    README.md                        its name in "Read it"                         test_house.py
    tests/test_gradients.py          CASES["cauchy.cauchy_loss"] = […]             test_gradients.py
    tests/test_cauchy.py             what it finds; names each tag, as (cauchy.1)  test_house.py
    tests/answers.py                 what the three exercises print                test_book.py
    minirl/symbols.py                new letters                                   test_book.py
    minirl/glossary.py               new terms                                     none
    minirl/names.py                  what libraries call it                        test_names.py
    tests/refusals/people_pairs.py   LOSSES, FITS and ROWS: what is refused        none
    tests/test_preference_losses.py  PLAIN and EACH: the loss by loops             none

The case goes below the table in `tests/test_gradients.py`.  Inside the table it would use up random
numbers, so that the cases after it would get other ones, and one of these might meet a kink.

To compare it with the others:

    minirl/compared.py               a line in three tables, and docs/losses.md    test_compared.py
    toy_lm/align.py                  METHODS: how to fit, and at what β            test_align.py
    minirl/lab/alignment.py          PIECES, one more                              test_jobs.py
    minirl/lab/objectives.py         `updates`                                    test_objectives.py

The tests on the right, and `tests/test_alignment.py`, list the methods and what is expected of
them.  They fail until the new one is in their lists: what appears in a table by itself should be
expected by somebody.

By itself it appears in the report of the gradients, among the functions that `tests/test_zeros.py`
calls (which needs a value for an argument with a new name), and with METHODS in `python -m toy_lm
align --method cauchy` and the table and the figure of `python -m minirl alignment`.

    python -m pytest -q -m gradient
    python -m pytest -q tests/test_house.py tests/test_book.py tests/test_zeros.py
    python -m pytest -q tests/test_refusals.py tests/test_compared.py tests/test_align.py
    python -m pytest -q -m "slow or not slow"
"""
