"""Benchmarks: each work in its plain form and as the book does it, first proved equal, then timed.

In reading order:

    timing  interleaved rounds, a control row, one table
    ppo     four epochs of PPO on one batch of strings
    dpo     the DPO loss and its gradient on pairs of strings

`python -m benchmarks` runs all, `python -m benchmarks dpo` one.  Absolute times depend on the
machine and on the minute; compare the ratios of one run.
"""
