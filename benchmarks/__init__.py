"""Benchmarks: each work in its plain form and as the book does it, first proved equal, then timed.

In reading order:

    works        which there are
    timing       interleaved rounds, a control row, one table
    stepping     W1   many worlds at once under one policy
    q_learning   W2   Q-learning, one run and many at once
    sampling     W3   strings from a bigram model
    text         W4   the likelihood of a text and its gradient
    ppo          W5   four epochs of PPO on one batch
    returns      W6   generalised advantage estimates
    preferences  W7   the Bradley-Terry model of pairs, its loss and its fit
                 W8   the DPO loss and its gradient
    grpo         W9   the GRPO loss and its gradient
    lake         W10  PPO from nothing to the optimal policy of a lake
    costs             how time and memory grow with the size of the work
    jobs              what each command of the book takes from beginning to end
    peers             how a peer gets what the book gets
    threads           how many cores and threads a peer gets
    tables            do the tables of `docs/speed.md` say what was measured?

`python -m benchmarks` runs all but the jobs, and `python -m benchmarks W5 jobs` what is named.
With `--peers` the same works are also timed as the libraries do them that people use, each in its
best form, and where it differs in the form that one finds in tutorials, whose name ends in
`_idiom`; and as a compiled loop (`numba`), which stands for the limit of the machine.  All have one
thread; where a name ends in `_2_threads`, two.  Absolute times depend on the machine and on the
minute; compare the ratios of one run.
"""
